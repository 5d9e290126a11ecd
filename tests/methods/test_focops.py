"""FOCOPS: its loss leads to the policy of theorem 1; it finds the known optimum and multiplier."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from probes import check, learn

from goodpath.methods import find, on_policy
from goodpath.methods.focops import policy_loss
from goodpath.policies import gaussian_log_prob
from goodpath.training.job import make_config


def batch_of(mean, log_std, raw, objective):
    return {
        "raw": raw,
        "log_prob": gaussian_log_prob(mean, log_std, raw),
        "mean": mean,
        "objective": objective,
    }


def test_at_the_old_policy_the_slope_is_the_policy_gradient_over_the_temperature():
    config = make_config(find("focops"), "default", {"temperature": 0.7})
    keys = jax.random.split(jax.random.key(0), 3)
    mean, log_std = jax.random.normal(keys[0], (50, 2)), jnp.array([-0.3, 0.4])
    raw = mean + jnp.exp(log_std) * jax.random.normal(keys[1], (50, 2))
    objective = jax.random.normal(keys[2], (50,))
    batch = batch_of(mean, log_std, raw, objective)
    slopes = jax.grad(policy_loss(config, log_std), argnums=(0, 1))(mean, log_std, batch)
    # The score of a Gaussian by hand: z / std for the mean, z^2 - 1 for the logarithm of std.
    standard = (raw - mean) / jnp.exp(log_std)
    weight = -objective[:, None] / 0.7 / 50
    np.testing.assert_allclose(slopes[0], weight * standard / jnp.exp(log_std), atol=1e-6)
    np.testing.assert_allclose(slopes[1], jnp.sum(weight * (standard**2 - 1), axis=0), atol=1e-6)


def test_the_optimum_is_the_old_policy_times_the_exponential_of_the_objective():
    """With an objective quadratic in the action, pi_old exp(objective / temperature) is a Gaussian in closed form."""
    config = make_config(find("focops"), "default", {"temperature": 2.0, "state_kl": 10.0})
    old_mean, old_log_std, temperature = 0.3, jnp.log(jnp.array([0.8])), 2.0
    # A grid of quantiles stands for draws of the old policy: no noise of sampling.
    levels = (jnp.arange(40_000) + 0.5) / 40_000
    raw = old_mean + 0.8 * jax.scipy.stats.norm.ppf(levels)[:, None]
    objective = 0.9 * raw[:, 0] - 0.4 * raw[:, 0] ** 2
    batch = batch_of(jnp.full((40_000, 1), old_mean), old_log_std, raw, objective)
    slope = jax.jit(
        jax.grad(
            lambda x: policy_loss(config, old_log_std)(jnp.full((40_000, 1), x[0]), x[1:], batch),
        )
    )
    found = jnp.array([old_mean, old_log_std[0]])
    for _ in range(300):
        found = found - 0.1 * slope(found)
    precision = 1 / 0.8**2 + 2 * 0.4 / temperature
    np.testing.assert_allclose(jnp.exp(found[1]), precision**-0.5, rtol=2e-3)
    np.testing.assert_allclose(found[0], (old_mean / 0.8**2 + 0.9 / temperature) / precision, rtol=2e-3)


def test_a_state_counts_until_the_policy_has_moved_too_far_there():
    config = make_config(find("focops"), "default", {"state_kl": 0.02})
    old, log_std = jnp.zeros((2, 1)), jnp.zeros(1)
    batch = batch_of(old, log_std, jnp.ones((2, 1)), jnp.ones(2))
    # KL of unit Gaussians is half the squared distance: 0.0200 at 0.2.
    mean = jnp.array([[0.19], [0.21]])
    slope = jax.grad(policy_loss(config, log_std))(mean, log_std, batch)
    ratio = np.exp(-0.5 * 0.81**2 + 0.5)
    np.testing.assert_allclose(slope[0, 0], (0.19 - ratio * 0.81 / 1.5) / 2, rtol=1e-5)
    assert float(slope[1, 0]) == 0.0
    away = on_policy.divergence(old, log_std, mean, log_std)
    np.testing.assert_allclose(away, [0.5 * 0.19**2, 0.5 * 0.21**2], rtol=1e-4)


@pytest.mark.parametrize(("probe", "limit"), [("ProbeBandit-v0", 0.25), ("ProbeContext-v0", 0.09)])
def test_it_finds_the_known_optimum_and_multiplier(probe, limit):
    _, metrics = learn("focops", probe, limit, multiplier_learning_rate=0.05)
    check(probe, limit, metrics, metrics["multiplier"])
