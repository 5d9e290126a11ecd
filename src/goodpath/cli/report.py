"""`goodpath report`: one HTML page on finished runs."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from goodpath.errors import GoodpathError


@dataclass(frozen=True)
class Report:
    """Writes one self-contained HTML page that says whether trained policies keep their cost limit."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Folders of finished runs, or a folder that holds them."""
    out: Path | None = None
    """File to write; default: report.html in the folder, or in the folder that all the runs share."""
    json: bool = False
    """Print the path and the verdicts as one line of JSON."""


def main(arguments: list[str]) -> int:
    """Runs the command and returns its exit code."""
    chosen = tyro.cli(Report, args=arguments, prog="goodpath report")
    if not chosen.runs:
        raise GoodpathError("no run was given; name the folder of a run, or a folder that holds several.")
    from goodpath.reports.html import write

    out = chosen.out or _common(chosen.runs) / "report.html"
    verdicts = write(chosen.runs, out)
    if chosen.json:
        print(json.dumps({"report": str(out), "verdicts": verdicts}))
    else:
        print("\n".join([*verdicts, f"Report: {out}"]))
    return 0


def _common(runs: tuple[Path, ...]) -> Path:
    """The one folder given, or the folder that holds all of several."""
    if len(runs) == 1:
        return runs[0]
    parents = {run.resolve().parent for run in runs}
    if len(parents) > 1:
        raise GoodpathError(
            "the runs lie in different folders; say where the page goes with --out report.html."
        )
    return parents.pop()
