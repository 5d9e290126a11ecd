import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu, trim_mean

from goodpath.errors import GoodpathError
from goodpath.reports.statistics import (
    bootstrap_interval,
    cvar,
    interquartile_mean,
    probability_of_improvement,
    summarize,
    wilson,
)

values = st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=40)


# Published by Newcombe, "Two-sided confidence intervals for the single proportion" (1998), Table I, method 3.
@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0000, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_matches_published_intervals(successes: int, n: int, low: float, high: float) -> None:
    assert wilson(successes, n) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 500), st.floats(0, 1), st.floats(0.5, 0.99))
def test_wilson_ends_solve_its_equation(n: int, share: float, confidence: float) -> None:
    from scipy.stats import norm

    successes = round(share * n)
    z = norm.ppf(0.5 + confidence / 2)
    for end in wilson(successes, n, confidence):
        assert (successes / n - end) ** 2 == pytest.approx(z**2 * end * (1 - end) / n, abs=1e-9)
    low, high = wilson(n - successes, n, confidence)
    assert wilson(successes, n, confidence) == pytest.approx((1 - high, 1 - low))


@pytest.mark.parametrize(("successes", "n"), [(0, 0), (-1, 3), (4, 3)])
def test_wilson_refuses_what_is_no_share(successes: int, n: int) -> None:
    with pytest.raises(GoodpathError, match="is not a share"):
        wilson(successes, n)


@given(values, st.integers(0, 99))
def test_cvar_is_the_mean_of_the_worst_share_of_finely_split_values(costs: list[float], percent: int) -> None:
    # Every value split into 100 equal parts: then the worst share is a whole number of parts.
    parts = np.sort(np.repeat(costs, 100))[::-1]
    worst = parts[: len(costs) * (100 - percent)]
    assert cvar(costs, percent / 100) == pytest.approx(worst.mean(), abs=1e-6)


def test_cvar_counts_the_last_value_by_its_fraction() -> None:
    assert cvar(range(1, 26), 0.9) == pytest.approx((25 + 24 + 0.5 * 23) / 2.5)
    assert cvar([3.0, 7.0], 0.9) == pytest.approx(7.0)
    assert cvar([3.0, 7.0], 0.0) == pytest.approx(5.0)


@pytest.mark.parametrize("level", [-0.1, 1.0])
def test_cvar_refuses_levels_without_a_tail(level: float) -> None:
    with pytest.raises(GoodpathError, match="outside"):
        cvar([1.0], level)


@given(values)
def test_interquartile_mean_is_scipys_trimmed_mean(returns: list[float]) -> None:
    assert interquartile_mean(returns) == pytest.approx(trim_mean(returns, 0.25), abs=1e-9)


@given(values, values)
def test_probability_of_improvement_is_mann_whitneys_u_over_pairs(x: list[float], y: list[float]) -> None:
    u = mannwhitneyu(x, y, method="asymptotic").statistic
    assert probability_of_improvement(x, y) == pytest.approx(u / (len(x) * len(y)))
    assert probability_of_improvement(x, y) + probability_of_improvement(y, x) == pytest.approx(1)


def test_bootstrap_interval_covers_the_true_mean_about_as_often_as_it_says() -> None:
    generator = np.random.default_rng(0)
    covered = 0
    for _ in range(100):
        seeds = generator.normal(0, 1, (12, 1)) + generator.normal(0, 1, (12, 5))
        low, high = bootstrap_interval(list(seeds), np.mean, generator, resamples=200)
        covered += low <= 0 <= high
    assert 88 <= covered <= 100


def test_bootstrap_interval_sees_the_spread_between_seeds_not_only_between_episodes() -> None:
    generator = np.random.default_rng(1)
    episodes = [np.full(50, 0.0), np.full(50, 10.0), np.full(50, 20.0)]
    low, high = bootstrap_interval(episodes, interquartile_mean, generator)
    assert low == 0.0
    assert high == 20.0


def test_bootstrap_interval_is_a_function_of_the_generators_state() -> None:
    seeds = [[1.0, 2.0, 5.0], [0.0, 3.0]]
    first, second = (
        bootstrap_interval(seeds, interquartile_mean, np.random.default_rng(7)) for _ in range(2)
    )
    assert first == second


def test_summary_by_hand() -> None:
    returns = [[10.0, 20.0], [30.0, 40.0]]
    costs = [[0.0, 20.0], [40.0, 21.0]]
    summary = summarize(returns, costs, 20.0, "SafetyPointCircle1-v0")
    assert summary["episodes"] == 4
    assert summary["return"]["mean"] == 25.0
    assert summary["return"]["std"] == pytest.approx(200**0.5)
    assert summary["return"]["interquartile_mean"] == 25.0
    # DSRL's extremes of this task: 20.067626953125 and 61.72819519042969.
    normalized = (25 - 20.067626953125) / (61.72819519042969 - 20.067626953125)
    assert summary["return"]["normalized_mean"] == pytest.approx(normalized)
    assert summary["cost"]["seeds"] == [10.0, 30.5]
    assert summary["cost"]["worst_seed"] == 30.5
    assert summary["cost"]["normalized_mean"] == pytest.approx(20.25 / 20)
    assert summary["cost"]["cvar"] == 40.0
    assert summary["above_limit"]["episodes"] == 2  # a cost equal to the limit keeps it
    assert summary["above_limit"]["interval"] == pytest.approx(wilson(2, 4))
    assert summary["keeps_limit"] == [True, False]
    assert summary["seeds_that_keep_limit"] == 1


def test_summary_is_plain_json_and_the_same_each_time() -> None:
    first, second = (summarize([[1.0, 2.0, 4.0]], [[0.0, 0.0, 1.0]], 0.0, "MyTask-v0") for _ in range(2))
    assert json.loads(json.dumps(first, allow_nan=False)) == first == second
    assert first["return"]["normalized_mean"] is None
    assert first["return"]["std"] is None
    assert first["cost"]["normalized_mean"] == pytest.approx(1 / 3 + 1)


def test_an_episode_whose_cost_is_not_a_number_is_above_the_limit() -> None:
    summary = summarize([[1.0, 1.0]], [[0.0, float("nan")]], 5.0, "")
    assert summary["above_limit"]["episodes"] == 1
    assert summary["keeps_limit"] == [False]


@pytest.mark.parametrize(
    ("returns", "costs"), [([], []), ([[1.0]], [[1.0, 2.0]]), ([[1.0]], []), ([[]], [[]])]
)
def test_summary_refuses_episodes_that_do_not_match(
    returns: list[list[float]], costs: list[list[float]]
) -> None:
    with pytest.raises(GoodpathError):
        summarize(returns, costs, 1.0, "")
