"""SAC and SAC-Lagrangian: targets by hand, signs, and what they learn where the optimum is known."""

from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from goodpath import envs
from goodpath.envs.probe import PROBES
from goodpath.errors import GoodpathError
from goodpath.methods import find, sac, sac_lag
from goodpath.methods.contract import Transitions
from goodpath.networks import normal
from goodpath.policies import SquashedGaussianPolicy
from goodpath.spec import Spec
from goodpath.training.job import make_config
from goodpath.training.replayed import ReplayProgram

SPEC = Spec("", 3, 2, 1000)
KEY = jax.random.key(0)
SMALL = sac_lag.Config(hidden=(8,), batch=16)


def numbers(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


BATCH = Transitions(
    numbers(0, 16, 3),
    jnp.tanh(numbers(1, 16, 2)),
    numbers(2, 16),
    numbers(7, 16) ** 2,
    numbers(3, 16, 3),
    jnp.arange(16) % 5 == 0,
)


def network(layers, x):
    hidden = np.asarray(x, np.float64)
    for weight, bias in zip(layers.weights[:-1], layers.biases[:-1], strict=True):
        hidden = np.maximum(hidden @ np.asarray(weight, np.float64) + np.asarray(bias, np.float64), 0)
    return hidden @ np.asarray(layers.weights[-1], np.float64) + np.asarray(layers.biases[-1], np.float64)


def by_hand(actor, observations, noise):
    """Actions and their log-probabilities by the change of variables, in double precision."""
    mean, log_std = np.split(network(actor.network, observations), 2, axis=-1)
    log_std = -1.5 + 3.5 * np.tanh(log_std / 3.5)
    raw = mean + np.exp(log_std) * np.asarray(noise, np.float64)
    gaussian = -0.5 * ((raw - mean) / np.exp(log_std)) ** 2 - log_std - 0.5 * np.log(2 * np.pi)
    half = (actor.high - actor.low) / 2
    actions = actor.low + (np.tanh(raw) + 1) * half
    return actions, np.sum(gaussian - np.log(half * (1 - np.tanh(raw) ** 2)), axis=-1)


@pytest.mark.parametrize(("low", "high"), [(-1.0, 1.0), (-0.5, 2.5)])
def test_the_density_of_a_sample_is_that_of_its_action(low, high):
    actor = sac.init(SMALL, replace(SPEC, action_low=low, action_high=high), KEY).actor
    observations, noise = numbers(4, 16, 3), numbers(5, 16, 2)
    actions, log_prob = actor.sample(observations, noise)
    expected_actions, expected = by_hand(actor, observations, noise)
    np.testing.assert_allclose(actions, expected_actions, atol=1e-5)
    np.testing.assert_allclose(log_prob, expected, atol=1e-5)
    np.testing.assert_allclose(actor.log_prob(observations, actions), log_prob, atol=1e-4)
    far, density = actor.sample(observations, 100 + noise)  # where tanh is 1 in single precision
    assert np.isfinite(density).all()
    assert np.all(far <= high)


def test_the_soft_target_is_the_one_computed_by_hand():
    state = sac.init(SMALL, SPEC, KEY, critics=3)
    targets = sac.init(SMALL, SPEC, jax.random.key(1), critics=3).critics
    state = eqx.tree_at(lambda s: s.targets, state, targets)
    noise, price = numbers(6, 16, 2), 0.3
    found = sac.target(SMALL, state, jnp.float32(price), BATCH, noise, 0.9)
    actions, log_prob = by_hand(state.actor, BATCH.next_observations, noise)
    both = np.concatenate([np.asarray(BATCH.next_observations), actions], axis=-1)
    said = [network(jax.tree.map(lambda x, k=k: x[k], targets), both)[:, 0] for k in range(3)]
    goes_on = 1.0 - np.asarray(BATCH.terminated)
    rewards = BATCH.rewards + 0.99 * goes_on * (np.minimum(said[0], said[1]) - price * log_prob)
    costs = BATCH.costs + 0.9 * goes_on * said[2]
    np.testing.assert_allclose(found, [rewards, rewards, costs], atol=1e-4)


def actor_slope(before, after):
    """Adam's first step has the sign of the slope of each parameter."""
    pairs = zip(jax.tree.leaves(before.actor), jax.tree.leaves(after.actor), strict=True)
    return np.concatenate([np.sign(np.asarray(b - a)).ravel() for a, b in pairs])


def test_a_price_that_outweighs_all_else_moves_the_actor_down_the_slope_of_costs():
    state = sac.init(SMALL, SPEC, KEY, critics=3)
    dear, _ = sac.learn(SMALL, state, BATCH, KEY, price=lambda costs: jnp.float32(1e6))
    now = sac.normal(KEY, (2, 16, 2))[0]

    def cost(actor: SquashedGaussianPolicy):
        actions, _ = actor.sample(BATCH.observations, now)
        return jnp.mean(sac.values(state.critics, BATCH.observations, actions)[2])

    slope = np.concatenate(
        [np.sign(np.asarray(x)).ravel() for x in jax.tree.leaves(jax.grad(cost)(state.actor))]
    )
    moved = actor_slope(state, dear)
    assert np.mean(moved[slope != 0] == -slope[slope != 0]) > 0.95
    free, _ = sac.learn(SMALL, state, BATCH, KEY, price=lambda costs: jnp.float32(0.0))
    blind, _ = sac.learn(SMALL, state, BATCH, KEY)
    for a, b in zip(jax.tree.leaves(free.actor), jax.tree.leaves(blind.actor), strict=True):
        np.testing.assert_array_equal(a, b)


def test_weights_of_steps_leave_out_what_weighs_nothing():
    state = sac.init(SMALL, SPEC, KEY, critics=3)
    half = jnp.arange(16) < 8
    other = jax.tree.map(lambda x: jnp.where(half.reshape(-1, *[1] * (x.ndim - 1)), x, x[::-1] * 0), BATCH)
    weights = half.astype(jnp.float32)
    options = {"weights": weights, "critic_weights": weights, "price": lambda costs: jnp.float32(0.5)}
    one, _ = sac.learn(replace(SMALL, learn_temperature=False), state, BATCH, KEY, **options)
    two, _ = sac.learn(replace(SMALL, learn_temperature=False), state, other, KEY, **options)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(two), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_the_limit_of_an_episode_becomes_one_of_discounted_cost():
    found = [float(sac_lag.discounted_limit(jnp.float32(d), 0.99, 1000)) for d in (5.0, 8.0, 25.0)]
    np.testing.assert_allclose(found, [0.49998, 0.79997, 2.49989], atol=1e-5)
    assert float(sac_lag.discounted_limit(jnp.float32(5.0), 0.0, 1)) == 5.0


@pytest.mark.parametrize("form", ["projected", "softplus"])
@pytest.mark.parametrize("limit", [0.0, 1e4])
def test_the_multiplier_rises_exactly_while_the_cost_value_is_above_the_limit(form, limit):
    config = replace(SMALL, multiplier=form)
    state = sac_lag.init(config, SPEC, KEY)
    # A critic of costs that says 1 everywhere.
    critics = jax.tree.map(lambda x: x.at[2].set(0.0), state.sac.critics)
    critics = eqx.tree_at(lambda c: c.biases[-1], critics, critics.biases[-1].at[2].set(1.0))
    state = eqx.tree_at(lambda s: s.sac.critics, state, critics)
    after, metrics = sac_lag.learn(config, jnp.float32(limit), state, BATCH, KEY)
    rule = sac_lag.dual(config)
    change = rule.multiplier(after.multiplier) - rule.multiplier(state.multiplier)
    assert float(metrics["cost_value"]) == 1.0
    assert float(change) * (1.0 - float(sac_lag.discounted_limit(jnp.float32(limit), 0.99, 1000))) > 0


def test_the_multiplier_hears_by_how_much_episodes_cost_more_than_the_critic_says():
    config = replace(SMALL, calibration=0.5)
    state = sac_lag.init(config, SPEC, KEY)
    batch = replace(BATCH, episode_cost=jnp.float32(300.0))
    after, metrics = sac_lag.learn(config, jnp.float32(100.0), state, batch, KEY)
    # 0.3 a step, 0.3 (1 + 0.99 + ...), but for what lies beyond the end of the episode.
    error = 0.5 * (30.0 - float(metrics["cost_value"]))
    np.testing.assert_allclose(after.error, error, rtol=1e-3)
    np.testing.assert_allclose(metrics["violation"] - metrics["cost_value"] + 9.9996, error, rtol=1e-3)
    for unmeasured in (BATCH, replace(BATCH, episode_cost=jnp.float32(jnp.nan))):
        assert float(sac_lag.learn(config, jnp.float32(100.0), state, unmeasured, KEY)[0].error) == 0.0
    free = replace(BATCH, episode_cost=jnp.float32(-10_000.0))
    after, metrics = sac_lag.learn(config, jnp.float32(100.0), state, free, KEY, least_error=0.0)
    assert float(after.error) < 0.0
    np.testing.assert_allclose(metrics["violation"], metrics["cost_value"] - 9.9996, atol=1e-4)


def test_the_cost_value_is_of_the_batch_s_actions_or_of_fresh_ones():
    state = sac_lag.init(replace(SMALL, initial_gain=1.0), SPEC, KEY)
    fresh, _ = by_hand(state.sac.actor, BATCH.observations, normal(KEY, (2, 16, 2))[0])
    for whose, actions in (("batch", BATCH.actions), ("policy", jnp.asarray(fresh, jnp.float32))):
        _, metrics = sac_lag.learn(replace(SMALL, value_of=whose), jnp.float32(1.0), state, BATCH, KEY)
        wanted = sac.values(state.sac.critics, BATCH.observations, actions)[2].mean()
        np.testing.assert_allclose(metrics["cost_value"], wanted, atol=1e-5)


def test_a_policy_begins_without_habits():
    seen = jax.random.normal(KEY, (5, SPEC.observation_size))
    for gain in (0.01, 1.0):
        actions = sac.init(replace(SMALL, initial_gain=gain), SPEC, KEY).actor(seen)
        assert (float(jnp.abs(actions).max()) < 0.05) == (gain < 1.0)


def test_damping_pays_for_costs_while_the_limit_is_kept_and_adds_to_their_price_while_it_is_not():
    state = sac_lag.init(SMALL, SPEC, KEY)
    critics = jax.tree.map(lambda x: x.at[2].set(0.0), state.sac.critics)
    critics = eqx.tree_at(lambda c: c.biases[-1], critics, critics.biases[-1].at[2].set(1.0))
    state = eqx.tree_at(lambda s: s.sac.critics, state, critics)
    config = replace(SMALL, damping=10.0, initial_multiplier=0.7)
    limit = 30.0
    wanted = 0.7 - 10.0 * (float(sac_lag.discounted_limit(jnp.float32(limit), 0.99, 1000)) - 1.0)
    _, damped = sac_lag.learn(config, jnp.float32(limit), state, BATCH, KEY)
    _, plain = sac_lag.learn(SMALL, jnp.float32(limit), state, BATCH, KEY)
    # The critic says 1 of every action, so the losses differ by the difference of prices.
    np.testing.assert_allclose(damped["loss"] - plain["loss"], wanted - 0.7, atol=1e-4)


def test_with_normalisation_units_of_observations_do_not_matter():
    units, shift = jnp.array([1e-2, 1.0, 1e3]), jnp.array([0.0, 5.0, -1e3])
    measured = [BATCH, replace(BATCH, observations=BATCH.observations * units + shift)]
    measured[1] = replace(measured[1], next_observations=BATCH.next_observations * units + shift)
    config = replace(SMALL, normalize=True)
    actions = []
    for batch, plain in zip(measured, (numbers(8, 5, 3), numbers(8, 5, 3) * units + shift), strict=True):
        state = sac_lag.init(config, SPEC, KEY)
        for index in range(5):
            key = jax.random.fold_in(KEY, index)
            state, _ = sac_lag.update(config, jnp.float32(1.0), state, batch, None, key)
        networks = state.sac
        actions.append(sac.policy(networks)(plain))
        # What is saved acts on plain observations as the actor does on scaled ones.
        np.testing.assert_allclose(actions[-1], networks.actor(networks.scaler(plain)), atol=1e-5)
        np.testing.assert_allclose(networks.scaler.mean, batch.observations.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(*actions, atol=1e-4)


def test_what_is_near_is_what_networks_see_besides():
    spec = replace(SPEC, observation_keys=(("speed", 1), ("hazards_lidar", 2)))
    config = replace(SMALL, normalize=True, near=("hazards_lidar",), near_power=3.0)
    state = sac_lag.init(config, spec, KEY)
    plain = jnp.abs(BATCH.observations)
    batch = replace(BATCH, observations=plain, next_observations=jnp.abs(BATCH.next_observations))
    for index in range(5):
        state, _ = sac_lag.update(
            config, jnp.float32(1.0), state, batch, None, jax.random.fold_in(KEY, index)
        )
    networks = state.sac
    seen = np.concatenate([plain, plain[:, 1:] ** 3], axis=1)
    np.testing.assert_allclose(networks.scaler.mean, seen.mean(axis=0), rtol=1e-5)
    units = (seen - seen.mean(axis=0)) / seen.std(axis=0)
    np.testing.assert_allclose(networks.scaler(plain), units, atol=1e-4)
    # What is saved acts on plain observations as the actor does on those.
    np.testing.assert_allclose(sac.policy(networks)(plain), networks.actor(jnp.asarray(units)), atol=1e-4)
    with pytest.raises(GoodpathError, match=r"shows no 'hazard_lidar'.* Did you mean 'hazards_lidar'"):
        sac.init(replace(config, near=("hazard_lidar",)), spec, KEY)
    with pytest.raises(GoodpathError, match="--normalize"):
        sac.init(replace(config, normalize=False), spec, KEY)


PROBE = {
    "hidden": (16, 16),
    "num_envs": 20,
    "every": 5,
    "stretch": 50,
    "start": 500,
    "batch": 64,
    "capacity": 1000,
    "updates": 0.2,
    "learning_rate": 3e-3,
    "critic_learning_rate": 3e-3,
    "target_rate": 0.05,
    "discount": 0.0,
    "target_entropy": -2.5,
    "temperature_learning_rate": 3e-3,
    "steps": 30_000,
}


def learnt(method, probe, limit, **options):
    found = find(method)
    chosen = PROBE | ({"cost_discount": 0.0, "multiplier_learning_rate": 3e-3} if method == "sac-lag" else {})
    config = make_config(found, "default", chosen | options)
    program = ReplayProgram(found, config, envs.make(probe, 2 * config.num_envs), limit, (0, 1))
    log = []
    while program.step < program.total_steps:
        log.append(program.advance(program.step + program.stride))
    # Multiplier and policy circle round the optimum together; what they mean is their mean.
    last = log[-len(log) // 2 :]
    return program, {name: np.mean([line[name] for line in last], axis=0) for name in last[0]}


def test_sac_does_what_the_observation_says_is_paid():
    program, metrics = learnt("sac", "ProbeContext-v0", 0.0)
    seen = np.linspace(-0.9, 0.9, 7, dtype=np.float32)[:, None]
    for index in range(2):
        np.testing.assert_allclose(program.policy(index)(seen)[:, 0], seen[:, 0], atol=0.08)
    np.testing.assert_allclose(metrics["return"], 0.0, atol=0.02)


@pytest.mark.parametrize("probe", ["ProbeBandit-v0", "ProbeContext-v0"])
@pytest.mark.parametrize("form", ["projected", "softplus"])
def test_sac_lagrangian_finds_optimum_and_multiplier(probe, form):
    limit = {"ProbeBandit-v0": 0.25, "ProbeContext-v0": 0.09}[probe]
    best = PROBES[probe]
    _, metrics = learnt("sac-lag", probe, limit, multiplier=form)
    np.testing.assert_allclose(metrics["cost"], limit, atol=0.1 * limit)
    np.testing.assert_allclose(metrics["return"], best.best_return(limit), atol=0.03)
    np.testing.assert_allclose(metrics["multiplier"], best.best_multiplier(limit), atol=0.2)


def test_sac_lagrangian_spreads_discounted_cost_over_an_endless_line():
    """With discount g and a time limit that does not end the task, the cost of a step is limit (1 - g^T) / T."""
    _, metrics = learnt("sac-lag", "ProbeLine-v0", 5.0, discount=0.8, cost_discount=0.8, steps=20_000)
    allowed = 5.0 * (1 - 0.8**10) / 10
    np.testing.assert_allclose(metrics["cost_rate"], allowed, atol=0.06)
    np.testing.assert_allclose(metrics["return"], 10 * np.sqrt(allowed), atol=0.6)
    np.testing.assert_allclose(metrics["multiplier"], 0.5 / np.sqrt(allowed), atol=0.25)
