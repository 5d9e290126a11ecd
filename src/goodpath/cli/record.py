"""`goodpath record`: play the marble maze by keyboard and save the games as demonstrations."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro


@dataclass(frozen=True)
class Arguments:
    """Play the marble maze in this terminal, one key a step, and save the games as HDF5 in DSRL layout.

    The maze waits for every key. Constraints are drawn with colons; nothing stops the ball from entering them.
    """

    environment: Annotated[str, tyro.conf.Positional]
    """`marble-maze`, `marble-maze-two-modes`, `marble-maze-multi`, or a full name from `goodpath envs`."""
    out: Path
    """File to write when you stop; finished games are kept also after Ctrl-C."""
    starts: Literal["train", "test", "all"] = "train"
    """Where games begin: the published 40 of training or of testing, or each of the 37 cells once."""
    games: int | None = None
    """How many games at most; all starts of the list when left out."""
    append: bool = False
    """Go on with the games of an existing file: its games stay, and the list goes on after as many starts."""


def main(arguments: list[str]) -> int:
    """Runs the command."""
    options = tyro.cli(Arguments, args=arguments, prog="goodpath record")
    from goodpath.cli.demos import sentence
    from goodpath.data import hdf5
    from goodpath.data.demos import play, summary
    from goodpath.data.record import keyboard, record
    from goodpath.envs.marble_maze import STARTS, find
    from goodpath.errors import GoodpathError
    from goodpath.trajectories import Dataset

    maze = find(options.environment)
    if options.games is not None and options.games < 1:
        raise GoodpathError(f"{options.games} games were asked for; play at least one.")
    earlier = hdf5.load(options.out, maze.spec) if options.append else None
    if earlier is None and options.out.exists():
        raise GoodpathError(f"{options.out} exists; add --append to go on with it, or name another file.")
    if earlier is not None and earlier.environment != maze.name:
        raise GoodpathError(f"{options.out} holds games of {earlier.environment}, not of {maze.name}.")
    done = 0 if earlier is None else len(earlier)
    cells = STARTS[options.starts][done:][: options.games]
    if not cells:
        raise GoodpathError(
            f"{options.out} holds all {done} games already; name another file or list of starts."
        )
    with keyboard() as keys:
        played = record(maze, cells, keys, _show)
    if not played:
        raise GoodpathError("no game was finished, so nothing was saved.")
    games = play(maze, [cell for cell, _ in played], [actions for _, actions in played])
    dataset = games.dataset
    if earlier is not None:
        dataset = Dataset.from_trajectories([*earlier, *dataset], maze.name)
    hdf5.save(dataset, options.out)
    print(sentence({"file": str(options.out)} | summary(maze, games)))
    return 0


def _show(text: str) -> None:
    if sys.stdout.isatty():
        print(f"\x1b[H\x1b[J{text}", flush=True)
