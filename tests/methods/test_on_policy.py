"""PPO-Lagrangian finds the known optimum and multiplier; the fused network is the three it stands for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from probes import check, learn

from goodpath import envs
from goodpath.methods import find, on_policy
from goodpath.methods.on_policy import Trio
from goodpath.policies import gaussian_log_prob
from goodpath.spec import Spec
from goodpath.training.evaluate import evaluate
from goodpath.training.job import make_config


def test_ppo_finds_the_best_return_and_does_not_mind_its_cost():
    program, _ = learn("ppo", "ProbeContext-v0", 0.09, steps=60_000)
    result = evaluate(program.policies(), envs.make("ProbeContext-v0", 2000), 1000)
    np.testing.assert_allclose(result.returns.mean(axis=1), 0.0, atol=0.01)
    np.testing.assert_allclose(result.costs.mean(axis=1), 0.25, atol=0.04)  # E[max(x, 0)]


@pytest.mark.parametrize(("probe", "limit"), [("ProbeBandit-v0", 0.25), ("ProbeContext-v0", 0.09)])
def test_ppo_lagrangian_finds_the_known_optimum_and_multiplier(probe, limit):
    _, metrics = learn(
        "ppo-lag", probe, limit, standardize="total", multiplier="gradient", multiplier_learning_rate=0.035
    )
    check(probe, limit, metrics, metrics["multiplier"])


def test_the_trio_is_its_three_networks():
    spec = Spec("x", 5, 2, 10)
    config = make_config(find("ppo"), "default", {"hidden": (8, 8)})
    state = on_policy.init(config, spec, jax.random.key(0))
    trio = Trio.join(state.actor, state.critic, state.cost_critic)
    seen = jax.random.normal(jax.random.key(1), (7, 5))
    mean, value, cost_value = trio(seen)
    np.testing.assert_allclose(mean, state.actor.network(seen), atol=1e-6)
    np.testing.assert_allclose(value, state.critic(seen)[:, 0], atol=1e-6)
    np.testing.assert_allclose(cost_value, state.cost_critic(seen)[:, 0], atol=1e-6)
    again = trio.unflat(trio.flat()).split(state)
    for a, b in zip(jax.tree.leaves(again), jax.tree.leaves(state), strict=True):
        if not jnp.issubdtype(a.dtype, jax.dtypes.prng_key):
            np.testing.assert_array_equal(a, b)


def test_divergence_and_log_prob_are_those_of_gaussians():
    from scipy.stats import norm

    mean, old = jnp.array([[0.3, -1.0]]), jnp.array([[0.1, 0.5]])
    log_std, old_log_std = jnp.array([0.2, -0.4]), jnp.array([-0.1, 0.3])
    raw = jnp.array([[0.7, 0.2]])
    expected = norm.logpdf(np.asarray(raw), np.asarray(mean), np.exp(np.asarray(log_std))).sum()
    np.testing.assert_allclose(gaussian_log_prob(mean, log_std, raw)[0], expected, rtol=1e-5)
    draws = old + jnp.exp(old_log_std) * jax.random.normal(jax.random.key(0), (200_000, 2))
    ratio = gaussian_log_prob(old, old_log_std, draws) - gaussian_log_prob(mean, log_std, draws)
    found = on_policy.divergence(mean, log_std, old, old_log_std)[0]
    np.testing.assert_allclose(found, jnp.mean(ratio), rtol=0.02)
    assert float(on_policy.divergence(old, old_log_std, old, old_log_std)[0]) == pytest.approx(0.0, abs=1e-6)
