"""The probes: their contract, and their optima by brute force."""

import numpy as np
import pytest

from goodpath import envs
from goodpath.envs.probe import PROBES
from goodpath.errors import GoodpathError

LIMITS = {"ProbeBandit-v0": 0.25, "ProbeContext-v0": 0.0625, "ProbeLine-v0": 2.5}


def play(env, act):
    """(num_envs,) returns and costs of one episode each."""
    observations = env.reset(0)
    returns, costs = np.zeros(env.num_envs), np.zeros(env.num_envs)
    for _ in range(env.spec.episode_length):
        step = env.step(act(observations)[:, None])
        observations = step.observations
        returns += step.rewards
        costs += step.costs
    assert step.truncated.all()
    return returns, costs


@pytest.mark.parametrize("name", PROBES)
def test_the_best_policy_earns_what_is_said_and_spends_the_limit(name):
    probe, limit = PROBES[name], LIMITS[name]
    returns, costs = play(envs.make(name, 20_000), lambda seen: probe.best_action(seen, limit))
    error = 4 / np.sqrt(20_000)
    assert abs(costs.mean() - limit) < error * costs.std() + 1e-5
    assert abs(returns.mean() - probe.best_return(limit)) < error * returns.std() + 1e-5


@pytest.mark.parametrize("name", PROBES)
def test_the_multiplier_is_the_slope_of_the_best_return(name):
    probe, limit = PROBES[name], LIMITS[name]
    slope = (probe.best_return(limit + 1e-4) - probe.best_return(limit - 1e-4)) / 2e-4
    assert abs(slope - probe.best_multiplier(limit)) < 1e-3


@pytest.mark.parametrize("name", PROBES)
def test_no_other_policy_within_the_limit_earns_more(name):
    probe, limit = PROBES[name], LIMITS[name]
    best = probe.best_return(limit)
    rng, env = np.random.default_rng(0), envs.make(name, 500)
    for _ in range(200):
        shift, scale = rng.uniform(-1, 1), rng.uniform(0, 2)
        returns, costs = play(env, lambda seen, a=shift, b=scale: np.clip(a + b * seen[:, 0], -1, 1))
        if costs.mean() <= limit:
            assert returns.mean() <= best + 4 * returns.std() / np.sqrt(500) + 1e-6


def test_seeds_determine_everything_and_copies_differ():
    first, second = (envs.make("ProbeContext-v0", 4) for _ in range(2))
    np.testing.assert_array_equal(first.reset(3), second.reset([3, 4, 5, 6]))
    assert len(np.unique(first.reset(3))) == 4
    np.testing.assert_array_equal(
        first.step(np.zeros((4, 1))).observations, second.step(np.zeros((4, 1))).observations
    )


def test_bad_calls_are_explained():
    env = envs.make("ProbeLine-v0", 2)
    with pytest.raises(GoodpathError, match="reset the environment"):
        env.step(np.zeros((2, 1)))
    env.reset(0)
    with pytest.raises(GoodpathError, match=r"shape \(2, 1\), got \(2,\)"):
        env.step(np.zeros(2))
    with pytest.raises(GoodpathError, match="finite"):
        env.step(np.full((2, 1), np.nan))
    with pytest.raises(GoodpathError, match="3 seeds were given for 2"):
        env.reset([1, 2, 3])
