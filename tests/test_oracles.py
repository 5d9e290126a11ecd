import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction as Exact

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goodpath.errors import GoodpathError
from goodpath.oracles import (
    BAD,
    GOOD,
    NEITHER,
    All,
    CostLimit,
    CVaRLimit,
    Fraction,
    FromFunction,
    Labels,
    MovingReturnThreshold,
    Oracle,
    ReturnThreshold,
    SafeTop,
)
from goodpath.trajectories import Dataset, Outcomes, Trajectory


def outcomes_of(returns: list[float], costs: list[float]) -> Outcomes:
    """Trajectories of one step with these returns and costs."""

    def one(reward: float, cost: float) -> Trajectory:
        state, action = np.zeros((1, 1), np.float32), np.zeros((1, 1), np.float32)
        return Trajectory(state, state, action, np.float32([reward]), np.float32([cost]), True, False)

    if not returns:
        return Outcomes(np.zeros(0), np.zeros(0), np.zeros(0, np.int64), np.zeros(0, np.int64), one)
    return Dataset.from_trajectories([one(*pair) for pair in zip(returns, costs, strict=True)]).outcomes()


# Whole numbers, so that ties and costs at the very limit are common and sums are exact.
pairs = st.lists(st.tuples(st.integers(-20, 20), st.integers(0, 30)), min_size=1, max_size=30)
shares = st.integers(0, 100)


@st.composite
def made_outcomes(draw: st.DrawFn) -> Outcomes:
    drawn = draw(pairs)
    return outcomes_of([float(r) for r, _ in drawn], [float(c) for _, c in drawn])


def top_and_bottom(values: list[float], top: int, bottom: int) -> list[int]:
    """Labels by rank with percentages, in exact arithmetic."""
    order = sorted(range(len(values)), key=lambda i: values[i])
    labels = [NEITHER] * len(values)
    for i in order[len(values) - math.ceil(Exact(top, 100) * len(values)) :]:
        labels[i] = GOOD
    for i in order[: math.ceil(Exact(bottom, 100) * len(values))]:
        labels[i] = BAD
    return labels


@given(made_outcomes(), st.integers(0, 30))
def test_cost_limit(outcomes: Outcomes, limit: int) -> None:
    expected = [GOOD if cost <= limit else BAD for cost in outcomes.costs]
    assert CostLimit(limit)(outcomes).tolist() == expected
    mild = [GOOD if cost <= limit else NEITHER for cost in outcomes.costs]
    assert CostLimit(limit, beyond=NEITHER)(outcomes).tolist() == mild


def test_a_sum_of_stored_costs_keeps_the_limit_it_is_meant_to_equal() -> None:
    step = np.float32([0.1])
    state = np.zeros((10, 1), np.float32)
    tenths = Trajectory(state, state, state, step.repeat(10), step.repeat(10), True, False)
    outcomes = Dataset.from_trajectories([tenths]).outcomes()
    assert outcomes.costs[0] > 1  # ten times 0.1 in single precision
    assert CostLimit(1.0)(outcomes).tolist() == [GOOD]
    assert CostLimit(0.999)(outcomes).tolist() == [BAD]
    assert CostLimit(100.0).scaled(0.29)(outcomes_of([0.0], [29.0])).tolist() == [GOOD]  # 100 * 0.29 < 29


@given(made_outcomes(), st.integers(-20, 20), st.integers(0, 10))
def test_return_threshold(outcomes: Outcomes, good: int, gap: int) -> None:
    expected = [GOOD if r >= good else BAD if r < good - gap else NEITHER for r in outcomes.returns]
    assert ReturnThreshold(good, good - gap)(outcomes).tolist() == expected
    assert BAD not in ReturnThreshold(good)(outcomes)


def test_moving_threshold_by_hand() -> None:
    oracle = MovingReturnThreshold(min_good=25, max_bad=20, lower_good=True)
    assert (oracle.good, oracle.bad) == (25, -math.inf)
    assert oracle.updated(outcomes_of([], [])) == oracle

    weak = oracle.updated(outcomes_of([1.0, 5.0, 9.0, 5.0], [0.0] * 4))  # mean 5, deviation sqrt(8)
    assert weak.good == pytest.approx(5 + 2 * math.sqrt(8))
    assert weak.bad == pytest.approx(5 - math.sqrt(8))
    assert weak(outcomes_of([2.0, 5.0, 11.0], [0.0] * 3)).tolist() == [BAD, NEITHER, GOOD]

    strong = weak.updated(outcomes_of([40.0, 40.0], [0.0] * 2))  # no spread: 1 stands in for it
    assert (strong.good, strong.bad) == (25, 20)
    steady = weak.updated(outcomes_of([10.0, 10.0], [0.0] * 2))
    assert (steady.good, steady.bad) == (12, 9)
    fixed = MovingReturnThreshold(25, 20).updated(outcomes_of([10.0, 10.0], [0.0] * 2))
    assert (fixed.good, fixed.bad) == (25, 9)


@given(made_outcomes(), st.booleans())
def test_moving_thresholds_keep_their_order_and_bounds(outcomes: Outcomes, lower_good: bool) -> None:
    oracle = MovingReturnThreshold(6, 3, lower_good).updated(outcomes)
    assert oracle.bad <= 3
    assert oracle.bad <= oracle.good <= 6


@given(made_outcomes(), shares, shares)
def test_fraction(outcomes: Outcomes, top: int, bottom: int) -> None:
    expected = top_and_bottom(outcomes.returns.tolist(), top, bottom)
    assert Fraction(top / 100, bottom / 100)(outcomes).tolist() == expected


@given(made_outcomes(), st.integers(0, 30), shares, shares)
def test_safe_top(outcomes: Outcomes, limit: int, top: int, bottom: int) -> None:
    oracle = SafeTop(limit, top / 100, bottom / 100)
    safe = [i for i, cost in enumerate(outcomes.costs) if cost <= limit]
    if not safe:
        lowest = f"{min(outcomes.costs):g}"
        with pytest.raises(
            GoodpathError, match=rf"at most {limit} \(the lowest is {lowest}\); raise the cost"
        ):
            oracle(outcomes)
        return
    expected = [BAD] * len(outcomes)
    ranked = top_and_bottom([outcomes.returns[i] for i in safe], top, bottom)
    for i, label in zip(safe, ranked, strict=True):
        expected[i] = label
    assert oracle(outcomes).tolist() == expected


def exact_cvar(costs: list[int], level: Exact) -> Exact:
    """Mean of the worst `level` share of the costs, each of which has the same weight."""
    left = total = level * len(costs)
    weighted = Exact(0)
    for cost in sorted(costs, reverse=True):
        weight = min(left, Exact(1))
        weighted += weight * cost
        left -= weight
    return weighted / total


@given(pairs, st.integers(0, 30), st.integers(1, 100))
def test_cvar_limit(drawn: list[tuple[int, int]], limit: int, level: int) -> None:
    costs = [cost for _, cost in drawn]
    labels = CVaRLimit(limit, level / 100)(outcomes_of([0.0] * len(costs), [float(c) for c in costs]))
    cheapest = sorted(costs)
    sizes = [n for n in range(1, len(costs) + 1) if exact_cvar(cheapest[:n], Exact(level, 100)) <= limit]
    good = [cost for cost, label in zip(costs, labels, strict=True) if label == GOOD]
    assert sorted(good) == cheapest[: max(sizes, default=0)]
    assert set(labels.tolist()) <= {GOOD, BAD}


def test_cvar_at_its_two_ends() -> None:
    outcomes = outcomes_of([0.0] * 5, [0.0, 10.0, 20.0, 30.0, 40.0])
    assert CVaRLimit(20, 1.0)(outcomes).tolist() == [GOOD] * 5  # the mean of all is 20
    assert CVaRLimit(20, 1e-9)(outcomes).tolist() == CostLimit(20)(outcomes).tolist()
    assert (
        CVaRLimit(20, 0.5)(outcomes).tolist() == [GOOD] * 3 + [BAD] * 2
    )  # of 3 the tail: (20 + 10 / 2) / 1.5
    assert CVaRLimit(16, 0.5)(outcomes).tolist() == [GOOD] * 2 + [BAD] * 3


def test_a_function_sees_the_trajectory() -> None:
    outcomes = outcomes_of([1.0, 2.0, 3.0], [0.0, 5.0, 0.0])
    dear: Callable[[Trajectory], bool] = lambda trajectory: bool(trajectory.costs.sum() < 1)  # noqa: E731
    assert FromFunction(dear)(outcomes).tolist() == [GOOD, BAD, GOOD]
    assert FromFunction(lambda t: np.sign(2 - t.rewards[0]).astype(int))(outcomes).tolist() == [1, 0, -1]
    assert FromFunction(lambda t: t.rewards[0] > 2)(outcomes).tolist() == [BAD, BAD, GOOD]
    for wrong in (2, 0.5, None, "good"):
        with pytest.raises(GoodpathError, match=f"returned {wrong!r} for trajectory 0; return True or False"):
            FromFunction(lambda t, wrong=wrong: wrong)(outcomes)


@given(made_outcomes(), st.integers(0, 30), st.integers(-20, 20), st.integers(0, 10))
def test_all_of_cost_and_return_is_the_rule_of_sim(
    outcomes: Outcomes, limit: int, good: int, gap: int
) -> None:
    labels = All((CostLimit(limit), ReturnThreshold(good, good - gap)))(outcomes)
    for label, ret, cost in zip(labels, outcomes.returns, outcomes.costs, strict=True):
        is_good = ret >= good and cost <= limit
        is_bad = ret < good - gap or cost > limit
        assert label == (GOOD if is_good else BAD if is_bad else NEITHER)
    assert labels.dtype == np.int8


def test_all_moves_with_its_parts() -> None:
    moving = MovingReturnThreshold(25, 20)
    oracle = All((CostLimit(15), moving))
    seen = outcomes_of([10.0, 10.0], [0.0, 0.0])
    assert oracle.updated(seen) == All((CostLimit(15), moving.updated(seen)))
    assert oracle.updated(seen).oracles[1] != moving


def test_scaled_asks_the_same_question_of_a_piece() -> None:
    def keep(trajectory: Trajectory) -> bool:
        return True

    assert CostLimit(20).scaled(375 / 500) == CostLimit(15)
    assert SafeTop(20, 0.5, 0.1).scaled(0.75) == SafeTop(15, 0.5, 0.1)
    assert CVaRLimit(20, 0.3).scaled(0.75) == CVaRLimit(15, 0.3)
    assert ReturnThreshold(40, 20).scaled(0.75) == ReturnThreshold(30, 15)
    assert ReturnThreshold(40).scaled(0.5) == ReturnThreshold(20)
    moving = MovingReturnThreshold(40, 20, True, 1.0, 36.0, 16.0)
    assert moving.scaled(0.75) == MovingReturnThreshold(30, 15, True, 0.75, 27.0, 12.0)
    assert All((CostLimit(20), Fraction(0.1, 0.2))).scaled(0.75) == All((CostLimit(15), Fraction(0.1, 0.2)))
    assert FromFunction(keep).scaled(0.75) == FromFunction(keep)
    for fraction in (0.0, 1.5, float("nan")):
        with pytest.raises(GoodpathError, match=r"fraction of an episode in \(0, 1\]"):
            CostLimit(20).scaled(fraction)


def test_an_oracle_of_ones_own_needs_only_the_call() -> None:
    @dataclass(frozen=True)
    class Long(Oracle):
        steps: int

        def __call__(self, outcomes: Outcomes) -> Labels:
            return np.where(outcomes.lengths >= self.steps, GOOD, BAD).astype(np.int8)

    outcomes = outcomes_of([1.0], [1.0])
    assert All((Long(1),)).scaled(0.5).updated(outcomes)(outcomes).tolist() == [GOOD]


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: CostLimit(-1), "not negative; it is -1"),
        (lambda: SafeTop(float("nan"), 0.5, 0), "not negative; it is nan"),
        (lambda: ReturnThreshold(good=1, bad=2), "bad, 2, has to be at most the good one, 1"),
        (lambda: MovingReturnThreshold(min_good=1, max_bad=2), "bad, 2, has to be at most the good one, 1"),
        (lambda: Fraction(50, 0), "shares of the trajectories, in [0, 1]; one is 50"),
        (lambda: CVaRLimit(20, 0), "a CVaR level lies in (0, 1], 1 being the mean; it is 0"),
        (lambda: All(()), "at least one oracle"),
    ],
)
def test_oracles_that_make_no_sense(make: Callable[[], object], sentence: str) -> None:
    with pytest.raises(GoodpathError) as caught:
        make()
    assert sentence in str(caught.value)


def test_of_nothing_nothing_is_labelled() -> None:
    nothing = outcomes_of([], [])
    for oracle in (CostLimit(1), ReturnThreshold(1), Fraction(1, 1), CVaRLimit(1, 0.5), FromFunction(bool)):
        assert oracle(nothing).shape == (0,)
    with pytest.raises(GoodpathError, match="there are none"):
        SafeTop(1, 1, 0)(nothing)
