"""The figures a safety report rests on, each computed from single evaluation episodes.

Two questions are kept apart. *Does a trained policy keep its limit on average?* is asked of each seed's
mean cost, because the limit constrains an expectation. *How often, and how badly, does an episode break it?*
is asked of all episodes: their share above the limit with a Wilson interval, and the mean of the worst tenth.

Intervals of returns come from a bootstrap that redraws seeds and then episodes within them, in the spirit of
Agarwal et al., "Deep Reinforcement Learning at the Edge of the Statistical Precipice" (arXiv 2108.13264),
whence the interquartile mean and the probability of improvement also come.
"""

from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from goodpath.data import dsrl
from goodpath.errors import GoodpathError

Doubles = NDArray[np.float64]

CONFIDENCE = 0.95
CVAR_LEVEL = 0.9
RESAMPLES = 2000


def wilson(successes: int, n: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Wilson's score interval of a proportion; unlike the normal one it stays honest at 0 of n and n of n.

    Source: E. B. Wilson, "Probable Inference, the Law of Succession, and Statistical Inference" (1927).

    Args:
        successes: how many of the n trials had the property.
        n: number of trials, at least one.
        confidence: share of intervals meant to cover the true proportion.

    Returns:
        The lower and upper end, both in [0, 1].

    Raises:
        GoodpathError: there are no trials, or the successes are not between 0 and n.
    """
    if n < 1 or not 0 <= successes <= n:
        raise GoodpathError(f"{successes} of {n} is not a share; give n >= 1 trials and 0 to n successes.")
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    share = successes / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    # At 0 of n and n of n one end is the bound itself; rounding must not push it off.
    low = 0.0 if successes == 0 else float(centre - half)
    high = 1.0 if successes == n else float(centre + half)
    return low, high


def cvar(values: ArrayLike, level: float = CVAR_LEVEL) -> float:
    """Mean of the largest `1 - level` share of the values: how bad the bad episodes are.

    The share need not be a whole number of values: of 25 values at level 0.9 the two largest count fully and
    the third by half.

    Args:
        values: any shape, flattened; larger is worse.
        level: share of values left out, in [0, 1); 0 gives the mean.

    Raises:
        GoodpathError: there are no values, or the level is outside [0, 1).
    """
    descending = np.sort(_filled(values))[::-1]
    if not 0 <= level < 1:
        raise GoodpathError(f"level {level} of a CVaR is outside [0, 1); 0.9 means the worst tenth.")
    share = (1 - level) * len(descending)
    weights = np.clip(share - np.arange(len(descending)), 0, 1)
    return float(weights @ descending / share)


def interquartile_mean(values: ArrayLike) -> float:
    """Mean of the middle half: a quarter of the values, rounded down, is left out at each end.

    Args:
        values: any shape, flattened.

    Raises:
        GoodpathError: there are no values.
    """
    ascending = np.sort(_filled(values))
    cut = len(ascending) // 4
    return float(ascending[cut : len(ascending) - cut].mean())


def bootstrap_interval(
    seeds: Sequence[ArrayLike],
    statistic: Callable[[Doubles], float],
    generator: np.random.Generator,
    resamples: int = RESAMPLES,
    confidence: float = CONFIDENCE,
) -> tuple[float, float]:
    """Percentile interval of a statistic of all episodes, from redrawing seeds and then episodes within each.

    Redrawing whole seeds keeps the spread between training runs in the interval; redrawing only episodes
    would call one lucky training run certain. With a handful of seeds it is still rough and rather narrow.

    Args:
        seeds: for each seed, the values of its episodes; the numbers of episodes may differ.
        statistic: maps (episodes,) values of all drawn seeds together to a number.
        generator: source of the draws; the same generator state gives the same interval.
        resamples: number of redrawn samples.
        confidence: share of the redrawn statistics inside the interval.

    Raises:
        GoodpathError: there are no seeds, or a seed has no episodes.
    """
    groups = [_filled(seed) for seed in seeds]
    if not groups:
        raise GoodpathError("a bootstrap interval needs the episodes of at least one seed; none were given.")
    draws = np.empty(resamples)
    for i in range(resamples):
        chosen = generator.integers(len(groups), size=len(groups))
        draws[i] = statistic(np.concatenate([generator.choice(groups[j], len(groups[j])) for j in chosen]))
    tail = (1 - confidence) / 2
    low, high = np.quantile(draws, [tail, 1 - tail])
    return float(low), float(high)


def probability_of_improvement(values: ArrayLike, others: ArrayLike) -> float:
    """Probability that a random one of `values` exceeds a random one of `others`; ties count half.

    It is the Mann-Whitney U statistic divided by the number of pairs.

    Raises:
        GoodpathError: one side has no values.
    """
    left, right = _filled(values)[:, None], _filled(others)[None, :]
    return float(np.mean((left > right) + 0.5 * (left == right)))


def summarize(
    episode_returns: Sequence[Sequence[float]],
    episode_costs: Sequence[Sequence[float]],
    cost_limit: float,
    task_name: str,
) -> dict[str, Any]:
    """Everything a report says about one run, as plain JSON values; the same episodes give the same figures.

    Spreads are sample standard deviations of the seeds' means, None for a single seed. An episode whose
    cost is not a number counts as above the limit.

    Args:
        episode_returns: for each seed, the undiscounted return of each episode.
        episode_costs: for each seed, the undiscounted cost of each episode.
        cost_limit: the limit on an episode's expected cost that is judged here.
        task_name: the environment; normalised returns are None unless DSRL publishes its extremes.

    Raises:
        GoodpathError: no seeds, a seed without episodes, or returns and costs of different shapes.
    """
    returns, costs = [_filled(r) for r in episode_returns], [_filled(c) for c in episode_costs]
    if not returns or [len(r) for r in returns] != [len(c) for c in costs]:
        raise GoodpathError(
            f"{len(returns)} seeds with returns and {len(costs)} with costs do not match; "
            "give one return and one cost for every episode of every seed."
        )
    all_costs = np.concatenate(costs)
    above = int(np.sum(~(all_costs <= cost_limit)))
    cost_means = [float(c.mean()) for c in costs]
    keeps = [mean <= cost_limit for mean in cost_means]
    returns_of_seeds = _spread([float(r.mean()) for r in returns])
    interval = bootstrap_interval(returns, interquartile_mean, np.random.default_rng(0))
    return {
        "cost_limit": float(cost_limit),
        "episodes": len(all_costs),
        "confidence": CONFIDENCE,
        "return": {
            **returns_of_seeds,
            "normalized_mean": _normalized_return(task_name, returns_of_seeds["mean"]),
            "interquartile_mean": interquartile_mean(np.concatenate(returns)),
            "interquartile_mean_interval": list(interval),
        },
        "cost": {
            **_spread(cost_means),
            "normalized_mean": dsrl.normalized_cost(float(np.mean(cost_means)), cost_limit),
            "cvar": cvar(all_costs),
            "cvar_level": CVAR_LEVEL,
            "worst_seed": float(np.max(cost_means)),
        },
        "above_limit": {
            "episodes": above,
            "share": above / len(all_costs),
            "interval": list(wilson(above, len(all_costs))),
        },
        "keeps_limit": keeps,
        "seeds_that_keep_limit": sum(keeps),
    }


def _normalized_return(task_name: str, returns: float) -> float | None:
    task = dsrl.guess(task_name)
    return None if task is None else dsrl.normalized_return(task, returns)


def _filled(values: ArrayLike) -> Doubles:
    flat = np.asarray(values, np.float64).ravel()
    if len(flat) == 0:
        raise GoodpathError("a statistic of no values was asked for; evaluate at least one episode a seed.")
    return flat


def _spread(means: list[float]) -> dict[str, Any]:
    return {
        "mean": float(np.mean(means)),
        "std": float(np.std(means, ddof=1)) if len(means) > 1 else None,
        "seeds": means,
    }
