"""CUP: what its projection does to a policy; it finds the known optimum and multiplier."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from probes import check, learn

from goodpath.methods import cup, find
from goodpath.policies import gaussian_log_prob
from goodpath.spec import Spec
from goodpath.training.job import make_config

COUNT = 4000


@pytest.fixture(scope="module")
def half():
    """Options, a state whose policy has left the one that acted, and the table of the latter: a single state."""
    chosen = {"hidden": (8,), "minibatch": COUNT, "projection_passes": 300, "projection_target_kl": 10.0}
    config = make_config(find("cup"), "default", chosen)
    state = cup.init(config, Spec("x", 1, 1, 10), jax.random.key(0))
    seen = jnp.ones((COUNT, 1))
    mean, log_std = state.actor.network(seen), state.actor.log_std
    # Quantiles stand for draws of the policy: no noise of sampling.
    levels = (jnp.arange(COUNT) + 0.5) / COUNT
    raw = mean + jnp.exp(log_std) * jax.scipy.stats.norm.ppf(levels)[:, None]
    table = {
        "observations": seen,
        "raw": raw,
        "log_prob": gaussian_log_prob(mean, log_std, raw),
        "mean": mean,
        "objective": raw[:, 0] - jnp.mean(raw),
        "target": jnp.ones(COUNT),
        "cost_target": jnp.zeros(COUNT),
    }
    moved = (state.actor.network.biases[-1] + 0.1, log_std - 0.05)
    return config, eqx.tree_at(lambda s: (s.actor.network.biases[-1], s.actor.log_std), state, moved), table


def test_without_a_price_the_policy_stays_where_the_first_stage_left_it(half):
    config, state, table = half
    after, metrics = cup.project(config, state, table, jnp.zeros(()))
    # Adam makes steps of rounding, no longer than its learning rate, and the divergence takes them back.
    assert float(metrics["kl"]) < 1e-5
    moved = after.actor.network(table["observations"]) - state.actor.network(table["observations"])
    assert float(jnp.max(jnp.abs(moved))) < 2e-3
    np.testing.assert_allclose(after.actor.log_std, state.actor.log_std, atol=2e-3)


def test_the_projection_is_the_closed_form_for_a_cost_that_is_linear_in_the_action(half):
    """E[r a] is the mean, so KL + w E[r a] is least at the mean minus w times the variance; the deviation stays."""
    config, state, table = half
    after, _ = cup.project(config, state, table, jnp.asarray(0.2))
    variance = jnp.exp(2 * state.actor.log_std[0])
    before, now = (s.actor.network(table["observations"])[0, 0] for s in (state, after))
    np.testing.assert_allclose(now - before, -0.2 * variance, rtol=0.03)
    np.testing.assert_allclose(after.actor.log_std, state.actor.log_std, atol=5e-3)


def test_each_stage_has_moments_of_its_own(half):
    config, state, table = half
    after, _ = cup.project(config, state, table, jnp.asarray(0.2))
    for kept, given in zip(jax.tree.leaves(after.optimizer), jax.tree.leaves(state.optimizer), strict=True):
        np.testing.assert_array_equal(kept, given)
    assert int(after.extra.count) == 300


def test_the_factor_of_the_bound():
    config = make_config(find("cup"), "default", {"cost_discount": 0.9, "cost_trace": 0.5})
    assert cup.scale(config) == pytest.approx(5.5)


@pytest.mark.parametrize(("probe", "limit"), [("ProbeBandit-v0", 0.25), ("ProbeContext-v0", 0.09)])
def test_it_finds_the_known_optimum_and_multiplier(probe, limit):
    options = {"multiplier_learning_rate": 0.03, "clip": 0.1, "projection_target_kl": 0.2}
    program, metrics = learn("cup", probe, limit, **options)
    # With one action, the first stage moves the mean by sqrt(2 KL) deviations, and the projection takes it back.
    step = np.sqrt(2 * metrics["improvement_kl"])
    check(probe, limit, metrics, metrics["multiplier"] * cup.scale(program.config) / step)
