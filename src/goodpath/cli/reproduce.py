"""`goodpath reproduce`: train what a paper compares, and table it beside the paper's figures."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from goodpath.errors import GoodpathError, nearest
from goodpath.reproduce import STUDIES

if TYPE_CHECKING:
    from goodpath.reproduce.grid import Plan

USAGE = """usage: goodpath reproduce STUDY [options]     (goodpath reproduce STUDY --help lists them)

Trains what a paper compares, as ordinary run folders, and writes a table beside the paper's figures. Ctrl-C saves;
the same command goes on, and skips what is finished.

studies:"""


@dataclass(frozen=True)
class Sim:
    """Train what the SIM paper compares, and table it beside the paper's figures.

    What is finished is skipped, and what was interrupted goes on, so the same command can be given again and again.
    """

    tasks: tuple[str, ...] = ("SafetyPointGoal1-v0", "SafetyPointPush1-v0", "SafetyPointButton1-v0")
    """Tasks, a table each."""
    methods: tuple[str, ...] = ("ppo-lag", "cpo", "focops", "cup", "sim")
    """Rows; docs/reproduce.md lists what else there is, such as sim-good, gail-good-bad, sim-cvar, bc-gb."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Of each run."""
    steps: int = 5_000_000
    """Environment steps of each seed; the paper's are 30000000."""
    preset: str = "default"
    """Preset of those methods that have it."""
    cost_limit: float = 15.0
    """Limit on the cost of an episode that training keeps to."""
    report_limit: float = 18.0
    """Limit that results are held against."""
    unknown_cost: bool = False
    """Add the rows where the cost is unknown, and those that they are compared with."""
    unknown_cost_limit: float = 50.0
    """Their limit."""
    episodes: int = 50
    """Episodes of each seed in the evaluation at the end."""
    out: Path = Path("runs/sim")
    """Folder for runs and tables."""
    only_table: bool = False
    """Train nothing; table what is finished."""
    quiet: bool = False
    """Show no progress."""


@dataclass(frozen=True)
class Scopil:
    """Train what the SCOPIL paper compares in its marble maze, and table it.

    What is finished is skipped, and what was interrupted goes on, so the same command can be given again and again.
    """

    settings: Annotated[tuple[str, ...], tyro.conf.arg(aliases=["--tasks"])] = (
        "h-c",
        "multi-constraint",
        "two-mode",
    )
    """Settings, tables of their own: h-c, multi-constraint, two-mode, or a maze's name such as MarbleMazeLegacy-v0."""
    methods: tuple[str, ...] = (
        "sac-discrete",
        "scopil",
        "s-eic",
        "s-dgd-eic",
        "scopil-release",
        "bc",
        "sqil",
        "gail",
        "gail-constraint",
        "icrl",
        "icrl-release",
        "ppo-demonstrations",
    )
    """Rows."""
    seeds: tuple[int, ...] = tuple(range(10))
    """Of each run."""
    steps: int = 100_000
    """Environment steps of each seed, as in the authors' configuration."""
    out: Path = Path("runs/scopil")
    """Folder for runs, demonstrations and tables."""
    only_table: bool = False
    """Train nothing; table what is finished."""
    quiet: bool = False
    """Show no progress."""


@dataclass(frozen=True)
class Sagui:
    """Train what the SaGui paper compares in its arenas, and table it.

    What is finished is skipped, and what was interrupted goes on, so the same command can be given again and again.
    """

    arenas: tuple[Literal["static", "semi-dynamic", "dynamic"], ...] = ("static", "semi-dynamic")
    """Arenas, a table each."""
    methods: tuple[str, ...] = ("sagui", "sac-lag")
    """Rows; docs/sagui.md lists what else there is, such as student-only, sagui-random, egpo. Guides are trained where
    they are needed."""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """Of each run."""
    steps: int = 0
    """Environment steps of each seed; 0 is as many as in the paper: 1.5, 3 and 4.5 million."""
    guide_steps: int = 0
    """Environment steps of guides and of pre-training; 0 is as many as of the others."""
    guide_seeds: tuple[int, ...] = ()
    """Of guides and of pre-training, which the others take in turn; the same when left out."""
    hidden: tuple[int, ...] = ()
    """Sizes of the hidden layers; as in the paper when left out: 32 32, 64 64 and 256 256."""
    batch: int = 0
    """Steps in an update; 0 is as many as in the paper: 32, 64 and 256."""
    updates: float = 0.0
    """Updates for every environment step, in the SAC family; 0 is one."""
    preset: str = "default"
    """Preset of those methods that have it; by default the arena's, such as semi-dynamic."""
    episodes: int = 50
    """Episodes of each seed in the evaluation at the end."""
    out: Path = Path("runs/sagui")
    """Folder for runs and tables."""
    only_table: bool = False
    """Train nothing; table what is finished."""
    quiet: bool = False
    """Show no progress."""


def main(arguments: list[str]) -> int:
    """Runs the command."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print("\n".join([USAGE, *(f"  {name:<8} {summary}" for name, (_, summary) in STUDIES.items())]))
        return 0
    if arguments[0] not in STUDIES:
        known = list(STUDIES)
        raise GoodpathError(
            f"'{arguments[0]}' cannot be reproduced; {', '.join(known)} can.{nearest(arguments[0], known)}"
        )
    return {"sim": _sim, "sagui": _sagui, "scopil": _scopil}[arguments[0]](arguments[1:])


def _sim(arguments: list[str]) -> int:
    chosen = tyro.cli(Sim, args=arguments, prog="goodpath reproduce sim")
    from goodpath.reproduce import sim
    from goodpath.reproduce.grid import Plan

    more = [name for name in sim.UNKNOWN_COST if chosen.unknown_cost and name not in chosen.methods]
    plan = Plan(
        study=sim.STUDY,
        tasks=chosen.tasks,
        methods=(*chosen.methods, *more),
        seeds=chosen.seeds,
        steps=chosen.steps,
        limits=sim.limits(chosen.cost_limit, chosen.report_limit, chosen.unknown_cost_limit),
        out=chosen.out,
        preset=chosen.preset,
        episodes=chosen.episodes,
        command=" ".join(["goodpath", "reproduce", "sim", *arguments]),
    )
    return _make(plan, chosen.only_table, chosen.quiet)


def _scopil(arguments: list[str]) -> int:
    chosen = tyro.cli(Scopil, args=arguments, prog="goodpath reproduce scopil")
    from goodpath.reproduce import scopil
    from goodpath.reproduce.grid import Plan

    plan = Plan(
        study=scopil.STUDY,
        tasks=tuple(scopil.find(name) for name in chosen.settings),
        methods=chosen.methods,
        seeds=chosen.seeds,
        steps=chosen.steps,
        limits=scopil.LIMITS,
        out=chosen.out,
        command=" ".join(["goodpath", "reproduce", "scopil", *arguments]),
    )
    return _make(plan, chosen.only_table, chosen.quiet)


def _sagui(arguments: list[str]) -> int:
    chosen = tyro.cli(Sagui, args=arguments, prog="goodpath reproduce sagui")
    from goodpath.reproduce import sagui
    from goodpath.reproduce.grid import Plan

    worst = 0
    for name in chosen.arenas:
        arena = sagui.ARENAS[name]
        steps = chosen.steps or arena.steps
        share = chosen.guide_steps / steps if chosen.guide_steps else 1.0
        given = {"hidden": chosen.hidden, "batch": chosen.batch, "updates": chosen.updates}
        plan = Plan(
            study=sagui.study(arena, share, chosen.guide_seeds, chosen.preset),
            tasks=(arena.task,),
            methods=chosen.methods,
            seeds=chosen.seeds,
            steps=steps,
            limits=arena.limits,
            out=chosen.out / name,
            preset=chosen.preset,
            episodes=chosen.episodes,
            options={**arena.options, **{option: value for option, value in given.items() if value}},
            command=" ".join(["goodpath", "reproduce", "sagui", *arguments]),
        )
        worst = max(worst, _make(plan, chosen.only_table, chosen.quiet))
        if worst == 130:
            return worst
    return worst


def _make(plan: "Plan", only_table: bool, quiet: bool) -> int:
    """Makes what was asked for, and prints it."""
    from goodpath.reproduce.run import reproduce
    from goodpath.training.loop import Interrupted

    try:
        made = reproduce(plan, only_table, quiet)
    except Interrupted as stop:
        print(f"goodpath: stopped and saved {stop}; give the same command again to go on.", file=sys.stderr)
        return 130
    print(made.text)
    print(f"{plan.out / ('table.md' if plan.study.presentation.page is None else 'report.html')}")
    return 1 if made.failures else 0
