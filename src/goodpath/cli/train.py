"""`goodpath train`: train a method, or go on with an interrupted run."""

import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar

import tyro

from goodpath.errors import GoodpathError
from goodpath.methods import METHODS, find

Options = TypeVar("Options")

USAGE = """usage: goodpath train METHOD --data FILE --cost-limit LIMIT [--env TASK] [--seeds 0 1 2] [--steps N]
                      [--preset NAME] [--out DIR] [options of the method]
       goodpath train METHOD --env TASK --cost-limit LIMIT ...   (methods that learn by acting)
       goodpath train scopil --env MarbleMaze-v0 --data FILE ...   (acting, and demonstrations)
       goodpath train --resume DIR

`goodpath train METHOD --help` lists every option; `goodpath explain METHOD` says what they mean.

methods:"""


@dataclass(frozen=True)
class Arguments(Generic[Options]):
    """Train a method on a data set or in a task, evaluate its policies and write a report."""

    options: Annotated[Options, tyro.conf.arg(name="")]
    """Options of the method, with the values of the chosen preset."""
    cost_limit: float = field(default=tyro.MISSING)
    """Limit on the undiscounted cost of an episode. Methods that nobody tells of costs may leave it out: evaluations
    are then held against 0."""
    report_limit: float | None = None
    """Limit that evaluations are held against; the cost limit when left out."""
    data: Path | None = None
    """HDF5 file in DSRL layout, as `goodpath collect`, `goodpath demos` and `goodpath data download` leave; not for
    methods that learn by acting alone."""
    env: str = ""
    """Task that evaluates the policies, and in which methods that act learn; without one nothing is simulated."""
    seeds: tuple[int, ...] = (0,)
    """One policy is trained for each."""
    preset: str = "default"
    """Named options to start from; `goodpath explain METHOD` lists them."""
    out: Path | None = None
    """Folder of the run; `runs/METHOD-TASK-TIME` when left out."""
    log_every: int = 0
    """Updates between two lines of the log; 0 is 100, or one rollout for methods that act."""
    evaluate_every: int = 0
    """Updates, or environment steps, between two evaluations; 0 is a twentieth of the run."""
    episodes: int = 20
    """Episodes for each seed in the evaluation at the end; a quarter of them during training."""
    quiet: bool = False
    """Show no progress."""


def main(arguments: list[str]) -> int:
    """Runs the command."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print("\n".join([USAGE, *(f"  {name:<12} {summary}" for name, (_, summary) in METHODS.items())]))
        return 0 if arguments else 2
    from goodpath.training.loop import Interrupted

    try:
        run = _resume(arguments) if arguments[0].startswith("--resume") else _start(arguments)
    except Interrupted as stop:
        print(f"goodpath: stopped and saved; go on with `goodpath train --resume {stop}`.", file=sys.stderr)
        return 130
    from goodpath.reports.html import write

    write([run.folder], run.folder / "report.html")
    print(describe(run.result))
    print(f"{run.folder}/report.html")
    return 0


def _resume(arguments: list[str]) -> Any:
    words = [word for argument in arguments for word in argument.split("=", 1)]
    quiet = "--quiet" in words
    folders = [word for word in words[1:] if word != "--quiet"]
    if len(folders) != 1 or folders[0].startswith("-"):
        raise GoodpathError(
            "`goodpath train --resume` takes one folder and nothing else; the run knows its options."
        )
    from goodpath.training.run import resume

    return resume(folders[0], quiet)


def _start(arguments: list[str]) -> Any:
    method = find(arguments[0])
    rest = arguments[1:]
    preset = _preset(rest)
    from goodpath.training.job import make_config
    from goodpath.training.run import train

    default = make_config(method, preset, {})
    parsed = tyro.cli(
        Arguments[method.config],  # type: ignore[name-defined]
        default=_defaults(method, default, preset),
        args=rest,
        prog=f"goodpath train {method.name}",
    )
    from goodpath.training.loop import Schedule

    return train(
        method.name,
        parsed.data,
        env=parsed.env,
        cost_limit=parsed.cost_limit,
        report_limit=parsed.report_limit,
        seeds=parsed.seeds,
        out=parsed.out,
        preset=preset,
        options=asdict(parsed.options),
        schedule=Schedule(
            log_every=parsed.log_every,
            evaluate_every=parsed.evaluate_every,
            episodes=max(1, parsed.episodes // 4),
            final_episodes=parsed.episodes,
        ),
        quiet=parsed.quiet,
        command=" ".join(["goodpath", "train", *arguments]),
    )


def _defaults(method: Any, options: Any, preset: str) -> Arguments[Any]:
    """What holds where nothing is said; a cost limit only for methods that nobody tells of costs."""
    from goodpath.methods.contract import OffPolicyMethod, OnPolicyMethod

    if isinstance(method, OffPolicyMethod | OnPolicyMethod):
        return Arguments(options=options, preset=preset, cost_limit=0.0)
    return Arguments(options=options, preset=preset)


def _preset(words: list[str]) -> str:
    """The value of --preset, needed before the options are read because it gives their defaults."""
    for i, word in enumerate(words):
        if word.startswith("--preset="):
            return word.split("=", 1)[1]
        if word == "--preset" and i + 1 < len(words):
            return words[i + 1]
    return "default"


def describe(result: dict[str, Any]) -> str:
    """The result in one line for each seed."""
    if result["summary"] is None:
        return "trained; without --env nothing was simulated."
    limit = result["evaluation_cost_limit"]
    return "\n".join(
        f"seed {seed['seed']}: return {seed['return']:.2f}, cost {seed['cost']:.2f} of {limit:g}, "
        f"{seed['violations']} of {seed['episodes']} episodes above the limit"
        for seed in result["seeds"]
    )
