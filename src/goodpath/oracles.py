"""Oracles: trajectories in, `GOOD`, `BAD` or `NEITHER` out. The one place where good and bad are decided.

An oracle is a plain value: a frozen dataclass that can be compared, printed, and kept in a checkpoint. It is
asked about a whole set at once, as some judge each trajectory by its rank among the others. `goodpath.labels`
has one more, for labels that people gave.

The rule of SIM (arXiv 2312.10385), good with a high return within the cost limit, bad with a low return or
beyond the limit, is `All((CostLimit(15.0), ReturnThreshold(good=25.0, bad=20.0)))`. The rule of TraC
(arXiv 2412.15429) is `SafeTop(20.0, top=0.25, bottom=0.25)`.
"""

import math
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from goodpath.errors import GoodpathError
from goodpath.trajectories import Outcomes, Trajectory

Labels = NDArray[np.int8]

GOOD: Final = 1
NEITHER: Final = 0
BAD: Final = -1


class Oracle(Protocol):
    """Whatever can tell good trajectories from bad. To make one, derive from this and write `__call__`."""

    @abstractmethod
    def __call__(self, outcomes: Outcomes) -> Labels:
        """Returns (n,) labels, each `GOOD`, `BAD` or `NEITHER`."""

    def scaled(self, fraction: float) -> "Oracle":
        """The same question for segments that are `fraction` of an episode long.

        A cost limit of 20 for 500 steps is 15 for 375. What is about whole trajectories, or about ranks among
        them, stays as it is.
        """
        del fraction
        return self

    def updated(self, outcomes: Outcomes) -> "Oracle":
        """The oracle to ask after these episodes: itself, unless it moves with learning."""
        del outcomes
        return self


def within(costs: NDArray[np.float64], cost_limit: float) -> NDArray[np.bool_]:
    """(n,) whether each cost keeps the limit; the limit itself does, up to the rounding of sums (1e-6)."""
    return costs <= cost_limit + 1e-6 * max(1.0, cost_limit)


@dataclass(frozen=True)
class CostLimit(Oracle):
    """Good where the cost is at most the limit.

    Attributes:
        limit: undiscounted cost of an episode.
        beyond: label of a higher cost; `NEITHER` makes the limit a need of good, but no reason for bad.
    """

    limit: float
    beyond: Literal[-1, 0] = BAD

    def __post_init__(self) -> None:
        _check_limit(self.limit)

    def __call__(self, outcomes: Outcomes) -> Labels:
        """Labels by cost."""
        return np.where(within(outcomes.costs, self.limit), GOOD, self.beyond).astype(np.int8)

    def scaled(self, fraction: float) -> Self:
        """With that fraction of the limit."""
        return replace(self, limit=self.limit * _checked(fraction))


@dataclass(frozen=True)
class ReturnThreshold(Oracle):
    """Good from one return on, bad below another, neither in between. It does not move.

    Attributes:
        good: lowest return that is good.
        bad: lowest return that is not bad; none is bad when left out.
    """

    good: float
    bad: float = -math.inf

    def __post_init__(self) -> None:
        _check_order(self.bad, self.good)

    def __call__(self, outcomes: Outcomes) -> Labels:
        """Labels by return."""
        return _by_threshold(outcomes.returns, self.good, self.bad)

    def scaled(self, fraction: float) -> Self:
        """With that fraction of both returns."""
        return replace(self, good=self.good * _checked(fraction), bad=self.bad * fraction)


@dataclass(frozen=True)
class MovingReturnThreshold(Oracle):
    """A return threshold that rises with the agent, as in SIM (arXiv 2312.10385).

    With m and s the mean and the standard deviation of the returns since the last update, and s at least
    `least_spread`, `updated` sets

        bad = min(m - s, max_bad)        good = min(m + above s, min_good) if lower_good else min_good.

    The state is the pair (good, bad); all else is configuration. An update without episodes changes nothing.
    The authors' code moves the thresholds while it labels, one episode after another, and sets `bad` to 0
    before the first; here one pair labels a whole set.

    Attributes:
        min_good: return that is good however the agent does, such as the mean return of an expert.
        max_bad: return that the bad threshold never exceeds.
        lower_good: lets a weak agent's best episodes pass as good while none reaches `min_good`.
        least_spread: lower bound on s, in units of return.
        good: lowest return that is good now; `min_good` when left out.
        bad: lowest return that is not bad now; none is bad when left out.
        above: how many s above the mean is good.
    """

    min_good: float
    max_bad: float
    lower_good: bool = False
    least_spread: float = 1.0
    good: float = math.nan
    bad: float = -math.inf
    above: float = 2.0

    def __post_init__(self) -> None:
        _check_order(self.max_bad, self.min_good)
        if math.isnan(self.good):
            object.__setattr__(self, "good", self.min_good)

    def __call__(self, outcomes: Outcomes) -> Labels:
        """Labels by return, with the thresholds as they are now."""
        return _by_threshold(outcomes.returns, self.good, self.bad)

    def updated(self, outcomes: Outcomes) -> Self:
        """With the thresholds that follow from these episodes."""
        if len(outcomes) == 0:
            return self
        mean = float(np.mean(outcomes.returns))
        spread = max(self.least_spread, float(np.std(outcomes.returns)))
        good = min(mean + self.above * spread, self.min_good) if self.lower_good else self.min_good
        return replace(self, good=good, bad=min(mean - spread, self.max_bad))

    def scaled(self, fraction: float) -> Self:
        """With that fraction of every return."""
        names = ("min_good", "max_bad", "least_spread", "good", "bad")
        return replace(self, **{name: getattr(self, name) * _checked(fraction) for name in names})


@dataclass(frozen=True)
class Fraction(Oracle):
    """The best of the set by return are good, the worst bad, whatever they cost.

    Attributes:
        top: share of the set that is good, rounded up to whole trajectories.
        bottom: share that is bad, rounded up; where the two overlap, bad wins.
    """

    top: float
    bottom: float

    def __post_init__(self) -> None:
        _check_shares(self.top, self.bottom)

    def __call__(self, outcomes: Outcomes) -> Labels:
        """Labels by rank of return; of equal returns the later one ranks higher."""
        return _by_rank(outcomes.returns, self.top, self.bottom)


@dataclass(frozen=True)
class SafeTop(Oracle):
    """The rule of TraC (arXiv 2412.15429): of the safe the best are good and the worst bad; unsafe is bad.

    Attributes:
        limit: undiscounted cost of an episode up to which it is safe.
        top: share of the safe ones with the highest returns that is good, rounded up.
        bottom: share of the safe ones with the lowest returns that is bad, rounded up; bad wins an overlap.
    """

    limit: float
    top: float
    bottom: float

    def __post_init__(self) -> None:
        _check_limit(self.limit)
        _check_shares(self.top, self.bottom)

    def __call__(self, outcomes: Outcomes) -> Labels:
        """Labels by cost, then by rank of return among the safe.

        Raises:
            GoodpathError: nothing is safe.
        """
        safe = within(outcomes.costs, self.limit)
        if not safe.any():
            lowest = f"the lowest is {outcomes.costs.min():g}" if len(outcomes) else "there are none"
            raise GoodpathError(
                f"none of {len(outcomes)} trajectories or segments has a cost of at most {self.limit:g}"
                f" ({lowest}); raise the cost limit or add safer data."
            )
        labels = np.full(len(outcomes), BAD, np.int8)
        labels[safe] = _by_rank(outcomes.returns[safe], self.top, self.bottom)
        return labels

    def scaled(self, fraction: float) -> Self:
        """With that fraction of the limit."""
        return replace(self, limit=self.limit * _checked(fraction))


@dataclass(frozen=True)
class CVaRLimit(Oracle):
    """Good are the cheapest, as many as have a conditional value at risk within the limit; the rest is bad.

    CVaR at a level is the mean cost of the worst `level` share of a set; where that is not a whole number of
    trajectories, the last one counts in part. Taken in order of growing cost it never falls, so the good ones
    are the largest set of cheapest trajectories that keeps the limit. Single good ones may cost more than it.

    Attributes:
        limit: undiscounted cost of an episode.
        level: in (0, 1]; 1 bounds the mean of the good ones, and near 0 each of them as `CostLimit` does.
    """

    limit: float
    level: float

    def __post_init__(self) -> None:
        _check_limit(self.limit)
        if not 0 < self.level <= 1:
            raise GoodpathError(f"a CVaR level lies in (0, 1], 1 being the mean; it is {self.level}.")

    def __call__(self, outcomes: Outcomes) -> Labels:
        """Labels by rank of cost; of equal costs the earlier one counts as cheaper."""
        order = np.argsort(outcomes.costs, kind="stable")
        keeps = within(_growing_cvar(outcomes.costs[order], self.level), self.limit)
        labels = np.full(len(outcomes), BAD, np.int8)
        labels[order[keeps]] = GOOD
        return labels

    def scaled(self, fraction: float) -> Self:
        """With that fraction of the limit."""
        return replace(self, limit=self.limit * _checked(fraction))


@dataclass(frozen=True)
class FromFunction(Oracle):
    """Any Python function of a trajectory; of a segment it sees the segment only.

    Attributes:
        function: returns True for good and False for bad, or one of the three labels.
    """

    function: Callable[[Trajectory], bool | int]

    def __call__(self, outcomes: Outcomes) -> Labels:
        """Labels as the function gives them.

        Raises:
            GoodpathError: it gives something else.
        """
        labels = np.empty(len(outcomes), np.int8)
        for index in range(len(outcomes)):
            answer = self.function(outcomes.trajectory(index))
            if isinstance(answer, bool | np.bool_):
                labels[index] = GOOD if answer else BAD
            elif isinstance(answer, int | np.integer) and answer in (GOOD, BAD, NEITHER):
                labels[index] = answer
            else:
                raise GoodpathError(
                    f"the function of the oracle returned {answer!r} for trajectory {index}; return True or"
                    " False, or 1 (good), -1 (bad) or 0 (neither)."
                )
        return labels


@dataclass(frozen=True)
class All(Oracle):
    """Good where every oracle says good, bad where any says bad.

    Attributes:
        oracles: at least one.
    """

    oracles: tuple[Oracle, ...]

    def __post_init__(self) -> None:
        if not self.oracles:
            raise GoodpathError("All needs at least one oracle to ask.")

    def __call__(self, outcomes: Outcomes) -> Labels:
        """The lowest of all labels, as bad is less than neither, and neither less than good."""
        labels: Labels = np.stack([oracle(outcomes) for oracle in self.oracles]).min(axis=0)
        return labels

    def scaled(self, fraction: float) -> Self:
        """All of them scaled."""
        return replace(self, oracles=tuple(oracle.scaled(fraction) for oracle in self.oracles))

    def updated(self, outcomes: Outcomes) -> Self:
        """All of them updated."""
        return replace(self, oracles=tuple(oracle.updated(outcomes) for oracle in self.oracles))


def _by_threshold(returns: NDArray[np.float64], good: float, bad: float) -> Labels:
    return np.where(returns >= good, GOOD, np.where(returns < bad, BAD, NEITHER)).astype(np.int8)


def _by_rank(returns: NDArray[np.float64], top: float, bottom: float) -> Labels:
    # Rounded first, so that 0.07 of 100 is 7, though its floating-point product is a little more.
    best, worst = (math.ceil(round(share * len(returns), 9)) for share in (top, bottom))
    order = np.argsort(returns, kind="stable")
    labels = np.full(len(returns), NEITHER, np.int8)
    labels[order[len(returns) - best :]] = GOOD
    labels[order[:worst]] = BAD
    return labels


def _growing_cvar(costs: NDArray[np.float64], level: float) -> NDArray[np.float64]:
    """(n,) CVaR of the first 1, 2, ..., n of costs in ascending order."""
    prefix = np.concatenate([np.zeros(1), np.cumsum(costs)])
    sizes = np.arange(1, len(costs) + 1)
    tails = level * sizes
    whole = np.floor(tails).astype(np.int64)
    # What is left of the tail falls on the next cheaper one; nothing is left where there is none.
    rest = (tails - whole) * costs[np.maximum(sizes - whole - 1, 0)]
    cvar: NDArray[np.float64] = (prefix[sizes] - prefix[sizes - whole] + rest) / tails
    return cvar


def _check_limit(limit: float) -> None:
    if not limit >= 0:
        raise GoodpathError(f"a cost limit is a number that is not negative; it is {limit}.")


def _check_order(bad: float, good: float) -> None:
    if not bad <= good:
        raise GoodpathError(
            f"the return below which all is bad, {bad}, has to be at most the good one, {good}."
        )


def _check_shares(*shares: float) -> None:
    for share in shares:
        if not 0 <= share <= 1:
            raise GoodpathError(f"top and bottom are shares of the trajectories, in [0, 1]; one is {share}.")


def _checked(fraction: float) -> float:
    if not 0 < fraction <= 1:
        raise GoodpathError(f"a segment is a fraction of an episode in (0, 1], not {fraction}.")
    return fraction
