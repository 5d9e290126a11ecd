"""`goodpath demo`: the whole path, from simulator to report, in a few minutes."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import tyro

TASK = "SafetyPointCircle1-v0"
METHODS = ("bc", "bc-safe", "trac")


@dataclass(frozen=True)
class Arguments:
    """Collect data on SafetyPointCircle1-v0, train BC, BC-Safe and TraC on three seeds, evaluate and report."""

    out: Path = Path("runs/demo")
    """Folder for data, runs and report; an earlier demo in it is replaced."""
    episodes: int = 1_000
    """Episodes to collect."""
    cost_limit: float = 20.0
    """Limit on the cost of an episode of 500 steps."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Seeds to train."""
    steps: int | None = None
    """Updates of each method; what the preset `demo` says when left out."""


def main(arguments: list[str]) -> int:
    """Runs the command."""
    options = tyro.cli(Arguments, args=arguments, prog="goodpath demo")
    from goodpath.cli import collect, train
    from goodpath.reports.html import write
    from goodpath.reports.plots import picture

    out, data = options.out, options.out / "data.hdf5"
    collect.main([TASK, "--episodes", str(options.episodes), "--out", str(data)])
    runs = []
    for method in METHODS:
        print(f"\n{method}:", flush=True)
        folder = out / method
        shutil.rmtree(folder, ignore_errors=True)
        words = [method, "--data", str(data), "--env", TASK, "--cost-limit", str(options.cost_limit)]
        words += ["--seeds", *map(str, options.seeds), "--preset", "demo", "--out", str(folder)]
        words += [] if options.steps is None else ["--steps", str(options.steps)]
        code = train.main(words)
        if code != 0:
            return code
        runs.append(folder)
    verdicts = write(runs, out / "report.html")
    picture(runs, out / "picture.png")
    print("", *verdicts, f"{out / 'report.html'} has the figures.", sep="\n")
    return 0
