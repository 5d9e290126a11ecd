"""`goodpath draw`: games of the marble maze from above, as a picture or an animation."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass(frozen=True)
class Arguments:
    """Draw the games of a data file of the marble maze from above."""

    file: Annotated[Path, tyro.conf.Positional]
    """HDF5 file, such as `goodpath demos` or `goodpath record` writes."""
    out: Path
    """File to write: .png for the paths, .gif for an animation of all games at once."""
    games: int | None = None
    """How many games, from the first on; all when left out."""


def main(arguments: list[str]) -> int:
    """Runs the command."""
    options = tyro.cli(Arguments, args=arguments, prog="goodpath draw")
    from itertools import islice

    from goodpath.data import hdf5
    from goodpath.envs.marble_maze import SETTINGS
    from goodpath.errors import GoodpathError
    from goodpath.reports.mazes import animation, picture

    drawers = {".png": picture, ".gif": animation}
    kind = options.out.suffix.lower()
    if kind not in drawers:
        raise GoodpathError(
            f"{options.out} is neither a .png nor a .gif; name the file to write as one of them."
        )
    if options.games is not None and options.games < 1:
        raise GoodpathError(f"{options.games} games were asked for; draw at least one.")
    dataset = hdf5.load(options.file)
    if dataset.environment not in SETTINGS:
        raise GoodpathError(
            f"{options.file} is of {dataset.environment or 'an unknown environment'}, but only games of the "
            f"marble maze can be drawn; `goodpath demos` makes some."
        )
    games = list(islice(dataset, options.games))
    drawers[kind](SETTINGS[dataset.environment], games, options.out)
    print(f"{options.out}: {len(games)} of {len(dataset)} games")
    return 0
