"""A reproduction from end to end: the grid trained, the table written after every cell."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from goodpath.files import write_json, write_text
from goodpath.reproduce import grid
from goodpath.reproduce.grid import Plan
from goodpath.training.loop import Interrupted


@dataclass(frozen=True)
class Reproduction:
    """What has been found.

    Attributes:
        table: what `table.json` says.
        text: what `table.md` says.
        failures: folder -> message of each run that failed.
    """

    table: dict[str, Any]
    text: str
    failures: dict[Path, str]


def reproduce(plan: Plan, only_table: bool = False, quiet: bool = False) -> Reproduction:
    """Trains what a plan asks for and is not there yet, and writes its tables.

    `table.md`, `table.json` and, where the study has a page, `report.html` lie in the plan's folder.

    Args:
        plan: what to reproduce, and where.
        only_table: train nothing.
        quiet: show no progress.

    Raises:
        GoodpathError: the plan names something that does not exist, or a folder holds another job.
        Interrupted: after Ctrl-C; the run and the table are saved, and the same plan goes on.
    """
    cells = plan.cells()
    failures: dict[Path, str] = {}

    def say(line: str) -> None:
        if not quiet:
            print(f"\n{line}", file=sys.stderr, flush=True)

    if not only_table:
        try:
            failures = grid.run(cells, quiet, plan.command, say, lambda failed: _save(plan, failed, False))
        except Interrupted:
            _save(plan, {}, True)
            raise
    return _save(plan, failures, True)


def _save(plan: Plan, failures: dict[Path, str], with_page: bool) -> Reproduction:
    shown = plan.study.presentation
    table = shown.build(plan, failures)
    text = shown.markdown(table)
    write_json(plan.out / "table.json", table)
    write_text(plan.out / "table.md", text)
    if with_page and shown.page is not None:
        write_text(plan.out / "report.html", shown.page(plan, table))
    return Reproduction(table, text, failures)
