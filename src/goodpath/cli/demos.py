"""`goodpath demos`: demonstrations of the marble maze from its planner."""

import json as json_format
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro


@dataclass(frozen=True)
class Arguments:
    """Let the planner play the marble maze and save its games as HDF5 in DSRL layout.

    It finds short games with as few violations as there can be. The file is a data set like any other.
    """

    environment: Annotated[str, tyro.conf.Positional]
    """`marble-maze`, `marble-maze-two-modes`, `marble-maze-multi`, or a full name from `goodpath envs`."""
    out: Path
    """File to write."""
    mode: Literal["any", "left", "right", "both"] | None = None
    """Side on which to pass the circle at (-90, -90): the shorter one, left, right, or every start on both. When left
    out: both for marble-maze-two-modes, else any."""
    starts: Literal["train", "test", "all"] = "train"
    """Where games begin: the published 40 of training or of testing, or each of the 37 cells once."""
    mistakes: float = 0.0
    """Lower quality: probability that a step is some other action, after which the planner goes on."""
    coverage: float = 1.0
    """Partial coverage: share of the different cells that are demonstrated."""
    seed: int = 0
    """Of the mistakes, and of which cells are covered."""
    beam: int = 150
    """Games that the planner keeps in view; more find shorter games and take longer."""
    json: bool = False
    """Print one JSON object instead of sentences."""


def main(arguments: list[str]) -> int:
    """Runs the command."""
    options = tyro.cli(Arguments, args=arguments, prog="goodpath demos")
    from goodpath.data import hdf5
    from goodpath.data.demos import demonstrate, summary, usual_mode
    from goodpath.envs.marble_maze import find

    maze = find(options.environment)
    mode = options.mode or usual_mode(maze)
    games = demonstrate(
        maze, mode, options.starts, options.mistakes, options.coverage, options.seed, options.beam
    )
    hdf5.save(games.dataset, options.out)
    facts = {"file": str(options.out)} | summary(maze, games)
    print(json_format.dumps(facts) if options.json else sentence(facts))
    return 0


def sentence(facts: dict[str, object]) -> str:
    """The facts about games, for a person."""
    paid = facts["violations"]
    assert isinstance(paid, dict)
    kinds = ", ".join(f"{kind} {count:g}" for kind, count in paid.items())
    return (
        f"{facts['file']}: {facts['games']} games of {facts['environment']}, {facts['steps']} steps; on average "
        f"return {facts['return']:.2f}, length {facts['length']:.1f}, goal reached {facts['goal']:.0%}\n"
        f"violations a game: {kinds}; {facts['unavoidable']:g} in all cannot be avoided\n"
        f"passing the circle at (-90, -90): {facts['left']} left, {facts['right']} right, "
        f"{facts['beyond']} from beyond it"
    )
