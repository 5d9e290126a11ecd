"""The progress display: a live bar in a terminal, one line for each evaluation elsewhere."""

from types import TracebackType
from typing import Any, Self

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from goodpath.methods.contract import Metrics
from goodpath.training.evaluate import Evaluation


class Progress:
    """Shows phase, updates, speed, loss, and return and cost against the limit.

    Args:
        total: updates in all.
        cost_limit: what the cost is shown against.
        quiet: show nothing.
    """

    def __init__(self, total: int, cost_limit: float, quiet: bool) -> None:
        self._console = Console(stderr=True, quiet=quiet)
        self._limit, self._total, self._quiet = cost_limit, total, quiet
        self._scores = ""
        self._line: dict[str, Any] = {}
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[loss]}"),
            TextColumn("{task.fields[scores]}"),
            console=self._console,
            disable=quiet or not self._console.is_terminal,
        )
        self._task = self._bar.add_task("", total=total, rate="", loss="", scores="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def update(self, step: int, phase: str, rate: float, metrics: Metrics) -> None:
        """Shows where training is."""
        loss = f"loss {np.mean(metrics['loss']):.4g}" if "loss" in metrics else ""
        self._line = {
            "step": step,
            "phase": phase,
            "rate": f"{rate:.0f}/s" if rate >= 10 else f"{rate:.2g}/s",
        }
        self._bar.update(
            self._task,
            completed=step,
            description=phase,
            rate=self._line["rate"],
            loss=loss,
            scores=self._scores,
        )

    def evaluated(self, result: Evaluation) -> None:
        """Shows how the policies do."""
        cost = result.costs.mean()
        colour = "green" if cost <= self._limit else "red"
        self._scores = (
            f"return {result.returns.mean():.1f}, cost [{colour}]{cost:.1f}[/{colour}] of {self._limit:g}"
        )
        self._bar.update(self._task, scores=self._scores)
        if not self._console.is_terminal:
            line = self._line
            self._console.print(
                f"{line['phase']:>9} {line['step']:>7} of {self._total}, {line['rate']}, {self._scores}",
                highlight=False,
            )
