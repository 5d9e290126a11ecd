"""The training loop: advance, log, look, save. It knows neither method nor task."""

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

import numpy as np

from goodpath.errors import GoodpathError
from goodpath.methods.contract import Metrics
from goodpath.policies import Policy
from goodpath.training import checkpoint
from goodpath.training.evaluate import Evaluation
from goodpath.training.offline import is_finite
from goodpath.training.progress import Progress

SAVING = 30.0  # times as long as it takes to save a checkpoint, nothing is saved


class Interrupted(Exception):
    """The person asked to stop; everything is saved."""


@dataclass(frozen=True)
class Schedule:
    """How often training is interrupted for something else, in updates unless said otherwise."""

    log_every: int = 0
    """Updates between two lines of the log; they run as one compiled program. 0 is 100, and for online methods,
    whose unit is the environment step, one rollout."""
    evaluate_every: int = 0
    """Updates (or environment steps) between two evaluations; 0 is a twentieth of the run."""
    episodes: int = 5
    """Episodes for each seed in an evaluation during training."""
    final_episodes: int = 20
    """Episodes for each seed in the evaluation at the end."""
    drawn: int = 3
    """Episodes for each seed whose path the report draws."""
    checkpoint_seconds: float = 30.0
    """Seconds between two checkpoints; more where saving one takes long."""


class Named(Protocol):
    """A stretch of training."""

    @property
    def name(self) -> str:
        """What the log calls it."""


class Program(Protocol):
    """What the loop drives. Steps are counted in `unit`s; `stride` is the natural distance of lines in the log."""

    unit: str
    stride: int
    step: int
    total_steps: int
    seeds: tuple[int, ...]
    states: Any

    @property
    def learnt(self) -> Any:
        """What of the states an update can spoil."""

    def phase(self) -> tuple[Named, int]:
        """The current phase and the step at which it ends."""

    def advance(self, until: int) -> Metrics:
        """Trains to step `until` and gives (seeds,) mean metrics."""

    def policies(self) -> Policy:
        """The current policies of all seeds, stacked."""


def train_loop(
    program: Program,
    folder: Path,
    schedule: Schedule,
    evaluate: Callable[[Policy], Evaluation | None],
    cost_limit: float,
    quiet: bool,
) -> float:
    """Trains to the end, from the newest checkpoint in the folder where there is one.

    Returns:
        Seconds spent in training, without evaluation and saving, over all sittings.

    Raises:
        Interrupted: after Ctrl-C; the state is saved.
        GoodpathError: a loss or a parameter became NaN or infinite; the last good checkpoint stays.
    """
    checkpoints, log_path = folder / "checkpoints", folder / "metrics.jsonl"
    log_path.touch()
    seconds = 0.0
    restored = checkpoint.restore(checkpoints, program.states)
    if restored is not None:
        program.states, about = restored
        program.step, seconds = about["step"], about["seconds"]
    # Lines written after the checkpoint will be written again.
    os.truncate(log_path, 0 if restored is None else about["log_bytes"])
    log_every = schedule.log_every or program.stride
    evaluate_every = schedule.evaluate_every or max(
        log_every, program.total_steps // 20 // log_every * log_every
    )
    next_look = (program.step // evaluate_every + 1) * evaluate_every
    saved_at, pause = time.monotonic(), schedule.checkpoint_seconds

    with (
        _stop_requests() as stop_requested,
        log_path.open("a", encoding="utf-8", buffering=1) as log,
        Progress(program.total_steps, cost_limit, quiet) as progress,
    ):

        def save() -> None:
            log.flush()
            os.fsync(log.fileno())
            about = {"step": program.step, "seconds": seconds, "log_bytes": log_path.stat().st_size}
            began = time.monotonic()
            checkpoint.save(checkpoints, program.step, program.states, about)
            nonlocal saved_at, pause
            saved_at = time.monotonic()
            pause = max(schedule.checkpoint_seconds, SAVING * (saved_at - began))

        while program.step < program.total_steps:
            phase, phase_end = program.phase()
            before, began = program.step, time.perf_counter()
            grid = (program.step // log_every + 1) * log_every
            metrics = program.advance(min(grid, phase_end))
            elapsed = time.perf_counter() - began
            seconds += elapsed
            _check_finite(program, metrics)
            rate = (program.step - before) / elapsed
            line = {
                "kind": "update",
                "step": program.step,
                "phase": phase.name,
                "seconds": round(seconds, 3),
                f"{program.unit}_per_second": round(rate, 3),
                "metrics": {name: np.asarray(values).tolist() for name, values in metrics.items()},
            }
            log.write(json.dumps(line) + "\n")
            progress.update(program.step, phase.name, rate, metrics)
            if program.step >= next_look or program.step == program.total_steps:
                next_look = (program.step // evaluate_every + 1) * evaluate_every
                result = evaluate(program.policies())
                if result is not None:
                    progress.evaluated(result)
                    scores = {"returns": result.returns.tolist(), "costs": result.costs.tolist()}
                    log.write(json.dumps({"kind": "evaluation", "step": program.step, **scores}) + "\n")
            if stop_requested():
                save()
                raise Interrupted(folder)
            if time.monotonic() - saved_at >= pause:
                save()
        save()
    return seconds


def _check_finite(program: Program, metrics: Metrics) -> None:
    spoiled = ~np.isfinite(np.stack([np.asarray(values) for values in metrics.values()])).all(axis=0)
    if spoiled.any() or not is_finite(program.learnt):
        seeds = [seed for seed, bad in zip(program.seeds, spoiled, strict=True) if bad] or list(program.seeds)
        raise GoodpathError(
            f"training of seed {', '.join(map(str, seeds))} gave NaN or infinity before step {program.step}; lower "
            "the learning rate or check the data's scale. The last good checkpoint is kept."
        )


@contextmanager
def _stop_requests() -> Iterator[Callable[[], bool]]:
    """Turns the first Ctrl-C into a request to stop at the next safe point; the second one stops at once."""
    requested = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield requested.is_set
        return

    def handle(number: int, frame: FrameType | None) -> None:
        if requested.is_set():
            raise KeyboardInterrupt
        requested.set()

    previous = signal.signal(signal.SIGINT, handle)
    try:
        yield requested.is_set
    finally:
        signal.signal(signal.SIGINT, previous)
