"""What a start from elsewhere is worth: safer at once, better at once, safe and good sooner (arXiv 2307.14316).

The paper names these measures and gives no formulas; these are ours. A curve is what an agent's own episodes returned
and cost, line by line of its log (the behaviour), or what evaluations of its policy did (the target policy).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

FIRST = 30_000  # steps of a beginning: an epoch of the paper, 30 episodes
STEADY = 90_000  # steps for which the limit has to be kept: three epochs
WEIGHT = 0.8  # of the past in moving averages
SHARE = 0.95  # of the best return that counts as the best

Floats = NDArray[np.float64]
Side = Literal["behaviour", "target"]
SIDES: tuple[Side, ...] = ("behaviour", "target")


@dataclass(frozen=True)
class Curve:
    """One seed's course.

    Attributes:
        steps: (n,) environment steps.
        returns: (n,) mean returns.
        costs: (n,) mean costs.
    """

    steps: Floats
    returns: Floats
    costs: Floats

    def beginning(self) -> tuple[float, float]:
        """Mean return and cost of the beginning."""
        early = self.steps <= max(FIRST, self.steps[0])
        return float(self.returns[early].mean()), float(self.costs[early].mean())

    def time_to_safety(self, limit: float) -> float | None:
        """Steps after which the smoothed cost keeps the limit for a while; 0 from the start; None for never."""
        kept = smooth(self.costs) <= limit
        for index in np.flatnonzero(kept):
            until = self.steps >= self.steps[index] + STEADY
            last = int(np.argmax(until)) if until.any() else len(kept) - 1
            if kept[index : last + 1].all():
                return 0.0 if index == 0 else float(self.steps[index])
        return None

    def time_to_return(self, wanted: float) -> float | None:
        """Steps after which the smoothed return is as wanted; None for never."""
        there = smooth(self.returns) >= wanted
        return float(self.steps[np.argmax(there)]) if there.any() else None

    def final_return(self) -> float:
        """Smoothed return at the end."""
        return float(smooth(self.returns)[-1])


def smooth(values: Floats) -> Floats:
    """Moving averages; the first one is the first value."""
    averages = np.array(values, np.float64)
    for index in range(1, len(averages)):
        averages[index] = WEIGHT * averages[index - 1] + (1 - WEIGHT) * values[index]
    return averages


def curves(folder: Path, of: Side) -> list[Curve]:
    """The course of each seed of a run; empty where there is nothing yet."""
    text = (folder / "metrics.jsonl").read_text(encoding="utf-8")
    lines = [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]
    if of == "behaviour":
        chosen = [line for line in lines if line["kind"] == "update" and "return" in line["metrics"]]
        pairs = [(line["metrics"]["return"], line["metrics"]["cost"]) for line in chosen]
    else:
        chosen = [line for line in lines if line["kind"] == "evaluation"]
        pairs = [(np.mean(line["returns"], axis=1), np.mean(line["costs"], axis=1)) for line in chosen]
    if not chosen:
        return []
    steps = np.array([line["step"] for line in chosen], np.float64)
    returns, costs = (np.array([pair[which] for pair in pairs], np.float64) for which in range(2))
    return [Curve(steps, returns[:, seed], costs[:, seed]) for seed in range(returns.shape[1])]


def beginning(folder: Path, limit: float) -> list[dict[str, Any]]:
    """For each seed what `result.json` says of the beginning: of behaviour and of the target policy.

    Args:
        folder: of a run.
        limit: on the episode cost.
    """
    found: list[dict[str, Any]] = []
    for of in SIDES:
        for seed, curve in enumerate(curves(folder, of)):
            if len(found) <= seed:
                found.append({})
            gained, paid = curve.beginning()
            found[seed][of] = {
                "return": gained,
                "cost": paid,
                "above_limit": max(0.0, paid - limit),
                "time_to_safety": curve.time_to_safety(limit),
                "always_safe": bool(np.all(smooth(curve.costs) <= limit)),
            }
    return found


def times(course: Sequence[Curve], limit: float, best: float) -> dict[str, list[float | None]]:
    """For each seed the steps until it is safe, and until it returns about as much as the best; None for never.

    Args:
        course: of all seeds.
        limit: on the episode cost.
        best: the best final return among all that are compared.
    """
    wanted = best - (1 - SHARE) * abs(best)
    return {
        "time_to_safety": [curve.time_to_safety(limit) for curve in course],
        "time_to_optimum": [curve.time_to_return(wanted) for curve in course],
    }


def compare(
    scratch: Sequence[Curve], transferred: Sequence[Curve], limit: float, best: float
) -> dict[str, Any]:
    """What a start from elsewhere is worth against a start from nothing, as means over seeds.

    Args:
        scratch: seeds that started from nothing.
        transferred: seeds that started from elsewhere.
        limit: on the episode cost.
        best: the best final return among all that are compared.

    Returns:
        safety_jump_start: cost above the limit in the beginning, from scratch less transferred.
        time_to_safety, time_to_optimum: steps saved; None where one of them is never there on some seed.
        return_jump_start: return in the beginning, transferred less scratch; None unless neither ever broke the limit.
    """

    def above(curves: Sequence[Curve]) -> float:
        return float(np.mean([max(0.0, curve.beginning()[1] - limit) for curve in curves]))

    sides = (scratch, transferred)
    taken = [times(side, limit, best) for side in sides]

    def saved(which: str) -> float | None:
        if any(time is None for side in taken for time in side[which]):
            return None
        before, after = (float(np.mean([time for time in side[which] if time is not None])) for side in taken)
        return before - after

    safe = all(np.all(smooth(curve.costs) <= limit) for side in sides for curve in side)
    gains = [float(np.mean([curve.beginning()[0] for curve in side])) for side in sides]
    return {
        "safety_jump_start": above(scratch) - above(transferred),
        "time_to_safety": saved("time_to_safety"),
        "return_jump_start": gains[1] - gains[0] if safe else None,
        "time_to_optimum": saved("time_to_optimum"),
    }
