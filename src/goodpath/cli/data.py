"""`goodpath data`: look into data files, check them, and list, download and score the DSRL data sets."""

import json as json_format
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

if TYPE_CHECKING:
    from goodpath.spec import Spec

_USAGE = """usage: goodpath data {inspect,validate,list,download,score} ...

  inspect FILE    steps, trajectories, returns, costs, and how many keep each cost limit
  validate FILE   find the first defect, or say that there is none
  list            the 38 DSRL data sets
  download NAME   fetch one of them, resuming where an earlier try broke off
  score           put a return and a cost on the scale of the benchmark

`goodpath data inspect --help` explains one of them."""


@dataclass(frozen=True)
class Inspect:
    """Say what is in a data file."""

    file: tyro.conf.Positional[Path]
    """HDF5 file in DSRL layout."""
    cost_limit: tuple[float, ...] = ()
    """Cost limits to count trajectories within; those of the DSRL task when left out."""
    json: bool = False
    """Print one JSON object instead of a table."""


@dataclass(frozen=True)
class Validate:
    """Check a data file; exit code 2 and one sentence about the first defect, if there is one."""

    file: tyro.conf.Positional[Path]
    """HDF5 file in DSRL layout."""
    env: str = ""
    """Task whose sizes it must have; any name of a DSRL task or of an environment."""
    json: bool = False
    """Print one JSON object instead of a sentence."""


@dataclass(frozen=True)
class List:
    """List the 38 DSRL data sets (arXiv 2306.09303; CC-BY-4.0)."""

    json: bool = False
    """Print one JSON object a line instead of a table."""


@dataclass(frozen=True)
class Download:
    """Download a data set; what is there already is used, and a broken download is resumed."""

    name: tyro.conf.Positional[str]
    """DSRL task, such as PointCircle1, or an http or https URL."""
    folder: Path | None = None
    """Where to; $GOODPATH_DATA, $DSRL_DATASET_DIR or ~/.cache/goodpath/datasets when left out."""
    sha256: str | None = None
    """Hash that the file must have."""
    verify: bool = False
    """Compare a file that is there with the hash recorded when it was downloaded."""
    json: bool = False
    """Print one JSON object instead of the path."""


@dataclass(frozen=True)
class Score:
    """Normalise a return and a cost as the DSRL benchmark does."""

    task: str
    """DSRL task, such as PointCircle1."""
    return_: Annotated[float, tyro.conf.arg(name="return")]
    """Undiscounted return of an episode, or a mean of them."""
    cost: float
    """Undiscounted cost of an episode, or a mean of them."""
    cost_limit: float
    """Cost limit; a normalised cost of at most 1 keeps it."""
    json: bool = False
    """Print one JSON object instead of a sentence."""


def main(arguments: list[str]) -> int:
    """Runs `goodpath data inspect`, `validate`, `list`, `download` or `score`, and returns the exit code."""
    name, rest = (arguments[0], arguments[1:]) if arguments else ("--help", [])
    prog = f"goodpath data {name}"
    match name:
        case "inspect":
            return _inspect(tyro.cli(Inspect, args=rest, prog=prog))
        case "validate":
            return _validate(tyro.cli(Validate, args=rest, prog=prog))
        case "list":
            return _list(tyro.cli(List, args=rest, prog=prog))
        case "download":
            return _download(tyro.cli(Download, args=rest, prog=prog))
        case "score":
            return _score(tyro.cli(Score, args=rest, prog=prog))
        case "-h" | "--help":
            print(_USAGE)
            return 0
    from goodpath.errors import GoodpathError, nearest

    close = nearest(name, ["inspect", "validate", "list", "download", "score"])
    raise GoodpathError(
        f"there is no command 'data {name}'.{close} `goodpath data --help` lists all of them."
    )


def summary(path: Path, cost_limits: tuple[float, ...] = ()) -> dict[str, Any]:
    """What `goodpath data inspect` tells of a file, as plain values.

    Raises:
        GoodpathError: the file is not a sound data set.
    """
    import numpy as np

    from goodpath.data import dsrl, hdf5
    from goodpath.oracles import within

    dataset = hdf5.load(path)
    outcomes = dataset.outcomes()
    task = dsrl.guess(dataset.environment)
    limits = cost_limits or (task.cost_limits if task else ())
    last = dataset.ends - 1
    shares = {"min": 0.0, "q25": 0.25, "median": 0.5, "q75": 0.75, "max": 1.0}

    def spread(values: Any) -> dict[str, float]:
        quantiles = {name: float(np.quantile(values, share)) for name, share in shares.items()}
        return quantiles | {"mean": float(np.mean(values))}

    return {
        "file": str(path),
        "environment": dataset.environment,
        "steps": dataset.num_steps,
        "trajectories": len(dataset),
        "observation_size": dataset.observation_size,
        "action_size": dataset.action_size,
        "ended": int(dataset.terminals[last].sum()),
        "cut_by_time": int((dataset.timeouts[last] & ~dataset.terminals[last]).sum()),
        "length": spread(dataset.lengths),
        "return": spread(outcomes.returns),
        "cost": spread(outcomes.costs),
        "within": {f"{limit:g}": int(within(outcomes.costs, limit).sum()) for limit in limits},
    }


def _inspect(args: Inspect) -> int:
    facts = summary(args.file, args.cost_limit)
    if args.json:
        print(json_format.dumps(facts))
        return 0
    from rich.console import Console
    from rich.table import Table

    number = facts["trajectories"]
    print(f"{facts['file']}: {number} trajectories, {facts['steps']} steps")
    print(f"environment {facts['environment'] or 'unknown'}")
    print(f"observations of {facts['observation_size']}, actions of {facts['action_size']} numbers")
    print(f"ends: {facts['ended']} by the environment, {facts['cut_by_time']} by time")
    columns = ("min", "q25", "median", "mean", "q75", "max")
    table = Table("", box=None)
    for column in columns:
        table.add_column(column, justify="right")
    for name in ("length", "return", "cost"):
        table.add_row(name, *(f"{facts[name][column]:.6g}" for column in columns))
    Console().print(table)
    for limit, count in facts["within"].items():
        print(f"cost at most {limit}: {count} of {number} trajectories ({count / number:.0%})")
    return 0


def _validate(args: Validate) -> int:
    from goodpath.data import hdf5

    dataset = hdf5.load(args.file, _spec(args.env) if args.env else None)
    if args.json:
        facts = {
            "file": str(args.file),
            "sound": True,
            "trajectories": len(dataset),
            "steps": dataset.num_steps,
        }
        print(json_format.dumps(facts))
    else:
        print(f"{args.file} is sound: {len(dataset)} trajectories, {dataset.num_steps} steps.")
    return 0


def _spec(name: str) -> "Spec":
    """Sizes from the table of DSRL, which needs no simulator, else from the environment."""
    from goodpath import envs
    from goodpath.data import dsrl

    task = dsrl.guess(name)
    if task is not None:
        return task.spec
    env = envs.make(name)
    try:
        return env.spec
    finally:
        env.close()


def _list(args: List) -> int:
    from goodpath.data import dsrl

    if args.json:
        for task in dsrl.TASKS:
            more = {"env_id": task.env_id, "file_name": task.file_name, "cost_limits": task.cost_limits}
            print(json_format.dumps(asdict(task) | more))
        return 0
    from rich.console import Console
    from rich.table import Table

    table = Table("task", "family", box=None)
    for column in ("obs", "act", "steps", "trajectories", "returns", "max cost"):
        table.add_column(column, justify="right")
    for task in dsrl.TASKS:
        sizes = task.observation_size, task.action_size, task.episode_length, task.num_trajectories
        returns = f"{task.min_return:.4g} to {task.max_return:.4g}"
        table.add_row(task.task, task.family, *map(str, sizes), returns, f"{task.max_cost:g}")
    Console(width=100).print(table)
    print("Cost limits: 20, 40, 80 for SafetyGymnasium; 10, 20, 40 for the others. Data under CC-BY-4.0.")
    return 0


def _download(args: Download) -> int:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    from goodpath.data.download import fetch
    from goodpath.files import sha256

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(
        *columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()
    ) as bar:
        row = bar.add_task(args.name, total=None, visible=False)
        path = fetch(
            args.name,
            args.folder,
            sha256=args.sha256,
            verify=args.verify,
            progress=lambda here, total: bar.update(row, completed=here, total=total, visible=True),
        )
    if args.json:
        print(json_format.dumps({"file": str(path), "sha256": sha256(path), "bytes": path.stat().st_size}))
    else:
        print(path)
    return 0


def _score(args: Score) -> int:
    from goodpath.data import dsrl

    task = dsrl.find(args.task)
    normalized_return = dsrl.normalized_return(task, args.return_)
    normalized_cost = dsrl.normalized_cost(args.cost, args.cost_limit)
    if args.json:
        scores = {"normalized_return": normalized_return, "normalized_cost": normalized_cost}
        print(json_format.dumps({"task": task.task} | scores))
    else:
        verdict = "keeps" if normalized_cost <= 1 else "exceeds"
        print(
            f"{task.task}: normalised return {normalized_return:.4f}, normalised cost {normalized_cost:.4f},"
            f" which {verdict} the limit of {args.cost_limit:g}"
        )
    return 0
