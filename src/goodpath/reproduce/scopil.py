"""The experiments of SCOPIL (arXiv 2507.06780): settings, methods, and what is known of the paper's findings.

The tables of the paper could not be read. What stands beside ours are figures that we measured by running the code
that its authors once published, simulator and agent, with demonstrations of a planner.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from goodpath.data import hdf5
from goodpath.data.demos import Games, demonstrate, usual_mode
from goodpath.envs import marble_maze
from goodpath.envs.marble_maze import KINDS
from goodpath.files import read_json, write_json
from goodpath.reproduce import scopil_table
from goodpath.reproduce.grid import Limits, Plan, Presentation, Study, Variant
from goodpath.training import games as playing

SETTINGS = {
    "h-c": "MarbleMaze-v0",
    "multi-constraint": "MarbleMazeMulti-v0",
    "two-mode": "MarbleMazeTwoModes-v0",
}
LIMITS = {"strict": Limits(0.0, 0.0)}  # no method here is told of a cost

_CLONING = {"hidden": (32, 32), "batch_size": 256}
_WIDE = {"hidden": (64, 64)}
VARIANTS = {
    "sac-discrete": Variant("SAC", "sac-discrete"),
    "sac-wide": Variant("SAC, 64-64", "sac-discrete", _WIDE),
    "scopil": Variant("SCOPIL", "scopil"),
    "scopil-wide": Variant("SCOPIL, 64-64", "scopil", _WIDE),
    "scopil-release": Variant("SCOPIL, release", "scopil", preset="release"),
    "s-eic": Variant("S-EiC", "scopil", preset="s-eic"),
    "s-dgd-eic": Variant("S-DGD-EiC", "scopil", preset="s-dgd-eic"),
    "bc": Variant("BC", "bc", _CLONING),
    "sqil": Variant("SQIL", "sqil"),
    "gail": Variant("GAIL", "gail"),
    "gail-constraint": Variant("GAIL-constraint", "gail", preset="constraint"),
    "icrl": Variant("ICRL", "icrl", steps=2.0),
    "icrl-release": Variant("ICRL, release", "icrl", preset="release", steps=2.4),
    "ppo-demonstrations": Variant("PPO with demonstrations", "ppo-demonstrations", steps=2.0),
}

CLAIMS = (
    "SCOPIL violates constraints about ten times less often than SAC.",
    "It returns more than ICRL and SAC, with few violations.",
    "That holds on both lists of starts, those that were demonstrated and those that were not.",
    "Of demonstrations with two modes it keeps both.",
    "Without a learned multiplier and without the entropy in the constraint (S-DGD-EiC) it generalises poorly to the "
    "test starts.",
)

# Of the line and the circle: variant -> list -> return, H, C (violating steps a game) and goal rate.
_MAIN = {
    "planner": (("-12.56", "0", "0.025", "100 %"), ("-11.56", "0", "0.05", "100 %")),
    "sac-discrete": (
        ("-56.1 ± 31.0", "39.6 ± 32.1", "0.41", "69 %"),
        ("-53.3 ± 33.3", "50.6 ± 42.0", "0.31", "71 %"),
    ),
    "scopil-release": (
        ("-12.54 ± 0.04", "0.00", "0.05", "100 %"),
        ("-15.4 ± 2.6", "3.6 ± 1.8", "0.30", "99 %"),
    ),
    "s-eic": (("-12.56 ± 0.01", "0.00", "0.03", "100 %"), ("-37.5 ± 5.6", "18.0 ± 14.6", "0.18", "81 %")),
    "s-dgd-eic": (
        ("-14.0 ± 1.3", "2.0 ± 1.8", "0.04", "99 %"),
        ("-19.6 ± 1.7", "10.1 ± 5.6", "0.25", "94 %"),
    ),
    "bc": (
        ("-12.6 to -19.2", "0.05 to 8.9", "0.05 to 0.15", "95 to 100 %"),
        ("-18.6 to -41.4", "3.0 to 41", "0.3 to 0.7", "78 to 100 %"),
    ),
    "icrl-release": (
        ("-51.6, -143", "51, 0.3", "6.0, 0.5", "70, 5 %"),
        ("-56.1, -146", "52, 0.2", "11.0, 0.7", "68, 5 %"),
    ),
    "icrl": (
        ("-27.0, -150", "2.6, 84", "0.6, 0.3", "93, 0 %"),
        ("-13.8, -150", "2.9, 100", "0.85, 0.3", "100, 0 %"),
    ),
}
_MAIN["scopil"] = _MAIN["scopil-release"]
_FIGURES = {
    name: {
        which: dict(zip(("return", "below", "circle", "goal"), row, strict=True))
        for which, row in zip(("train", "test"), lists, strict=True)
    }
    for name, lists in _MAIN.items()
}
RERUN = {"MarbleMaze-v0": _FIGURES, "MarbleMazeLegacy-v0": _FIGURES}
ABOUT_RERUN = (
    "our re-run of the authors' code, not the paper's table: its agent and simulator, 100,000 steps, demonstrations of "
    "an earlier planner (740 pairs), the most likely actions; the mean of the last three evaluations, ± standard "
    "deviation over 3 seeds (BC: the range of 4 seeds after 30,000 updates; ICRL: its two seeds after 240,000 steps, "
    "with the authors' ends of episodes repaired in the row ICRL, as they are in that of its release)"
)


def find(name: str) -> str:
    """The environment of a setting, by its short name or an environment's.

    Raises:
        GoodpathError: there is no such setting.
    """
    return SETTINGS.get(name) or marble_maze.find(name).name


def show(task: str, path: Path) -> None:
    """Lets the planner play a setting: demonstrations from the training starts, and its own figures beside them.

    Args:
        task: name of the setting.
        path: of the data set; the figures are `planner.json` in the same folder.
    """
    maze = marble_maze.find(task)
    played = {name: demonstrate(maze, usual_mode(maze), name) for name in ("train", "test")}
    write_json(path.parent / "planner.json", {name: planner_scores(games) for name, games in played.items()})
    hdf5.save(played["train"].dataset, path)


def planner_scores(games: Games) -> dict[str, Any]:
    """The same figures of the planner's games as `result.json` has of a policy's."""
    outcomes = games.dataset.outcomes()
    lengths = outcomes.lengths.astype(np.float64)
    same = playing.Games(outcomes.returns[None], games.violations[None], lengths[None], games.goals[None])
    return same.scores(0, KINDS)


def build(plan: Plan, failures: Mapping[Path, str]) -> dict[str, Any]:
    """See `Presentation`."""
    table = scopil_table.build(plan, failures)
    for section in table["sections"]:
        path = plan.out / section["setting"] / "planner.json"
        section["planner"] = read_json(path) if path.is_file() else None
        section["rerun"] = RERUN.get(section["setting"], {})
    return table | {"claims": list(CLAIMS), "rerun": ABOUT_RERUN}


def deviations(plan: Plan) -> list[str]:
    """What differs from the paper in a plan."""
    tasks = [find(task) for task in plan.tasks]
    found = [
        f"Ours is trained for {plan.steps:,} steps of each seed; the authors' configuration says {STUDY.steps:,}, and "
        "what the paper used is not known. BC has no steps; it makes 20,000 updates.",
        f"Ours has {len(plan.seeds)} seed{'s' if len(plan.seeds) > 1 else ''}; the paper's number is not known.",
        "The expert is goodpath's planner, on the training starts; the paper's was a person, whose games were not "
        "published.",
        "Every figure is of the policy at the end of training: no checkpoint is chosen.",
        "Methods that build on PPO (ICRL and PPO with demonstrations) have at least twice the steps of the others, and "
        "the episodes from which ICRL learns its constraint are not counted among them.",
    ]
    if any("Legacy" not in task for task in tasks):
        found.append(
            "Mazes without `Legacy` in their name have a barrier that reflects, a scale of features and a time limit "
            "of their own (docs/marble-maze.md); the re-run is in the original's."
        )
    return found


STUDY = Study(
    name="scopil",
    title="SCOPIL, Learning safe, constrained policies via imitation learning (arXiv 2507.06780)",
    steps=100_000,
    measure="",
    variants=VARIANTS,
    figures={},
    deviations=deviations,
    presentation=Presentation(build, scopil_table.markdown),
    demonstrate=show,
)
