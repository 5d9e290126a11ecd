"""SCOPIL's losses against finite differences and what can be worked out by hand; discrete SAC on known optima."""

import math
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from goodpath.envs.pure import Outcome, PureTask
from goodpath.methods import sac_discrete, scopil
from goodpath.methods.contract import Demonstrations, Transitions
from goodpath.networks import MLP
from goodpath.policies import CategoricalPolicy
from goodpath.spec import Spec
from goodpath.training.compiled import CompiledProgram

SPEC = Spec("", 3, 4, 10, 0.0, 1.0, actions=4)
SMALL = scopil.Config(hidden=(8,), batch=16, demonstration_batch=8)


def numbers(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


def one_hot(seed, number):
    return jax.nn.one_hot(np.random.default_rng(seed).integers(0, 4, number), 4)


LIMIT = jnp.zeros(())
BATCH = Transitions(
    numbers(0, 16, 3),
    one_hot(1, 16),
    numbers(2, 16),
    numbers(7, 16),
    numbers(3, 16, 3),
    jnp.arange(16) % 5 == 0,
)


def demonstrations(observations, actions):
    return Demonstrations(observations, actions, observations, jnp.zeros(len(actions), bool))


PAIRS = demonstrations(numbers(4, 12, 3), one_hot(5, 12))


def fresh(config=SMALL):
    return scopil.init(config, SPEC, jax.random.key(0))


def trained(config, pairs=PAIRS, updates=400):
    def step(state, key):
        return scopil.update(config, LIMIT, state, BATCH, pairs, key)

    return jax.jit(lambda s, k: jax.lax.scan(step, s, k))(
        fresh(config), jax.random.split(jax.random.key(1), updates)
    )


def softmax(network, x):
    hidden = np.asarray(x, np.float64)
    for weight, bias in zip(network.weights[:-1], network.biases[:-1], strict=True):
        hidden = np.maximum(hidden @ np.asarray(weight, np.float64) + np.asarray(bias, np.float64), 0)
    logits = hidden @ np.asarray(network.weights[-1], np.float64) + np.asarray(network.biases[-1], np.float64)
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def test_a_dueling_critic_has_its_value_as_the_mean_over_actions():
    critics = fresh().sac.critics
    heads = np.asarray(jax.vmap(lambda critic: critic(BATCH.observations))(critics))
    said = np.asarray(sac_discrete.values(critics, BATCH.observations)).swapaxes(1, 2)
    np.testing.assert_allclose(said.mean(-1), heads[..., 0], atol=1e-5)
    np.testing.assert_allclose(np.diff(said, axis=-1), np.diff(heads[..., 1:], axis=-1), atol=1e-5)
    assert not np.allclose(said[0], said[1])


def test_the_target_is_soft_and_stops_where_the_task_does_but_not_where_time_does():
    state = fresh().sac
    p = softmax(state.actor.network, BATCH.next_observations)
    least = np.asarray(sac_discrete.values(state.targets, BATCH.next_observations)).min(0).T
    following = (p * (least - 0.3 * np.log(p))).sum(-1)
    over = np.asarray(BATCH.terminated)
    expected = np.asarray(BATCH.rewards) + 0.99 * (1 - over) * following
    found = sac_discrete.target(SMALL, state, jnp.float32(0.3), BATCH)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def independent_actor_loss(network, least, price, strength, pairs):
    p, q = softmax(network, BATCH.observations), softmax(network, pairs.observations)
    spread, demonstrated = (-(x * np.log(x)).sum(-1).mean() for x in (p, q))
    surprise = -np.log((q * np.asarray(pairs.actions)).sum(-1)).mean()
    return -(p * least).sum(-1).mean() - price * spread + strength * (surprise - price * demonstrated)


def test_the_actor_loss_has_the_gradient_of_finite_differences():
    state, price, strength = fresh().sac, 0.3, 1.7
    least = np.asarray(sac_discrete.values(state.critics, BATCH.observations)).min(0).T

    def loss(actor):
        mine = sac_discrete.actor_loss(actor, jnp.asarray(least.T), price, BATCH)[0]
        return mine + strength * scopil.constraint(SMALL, actor, jnp.float32(price), PAIRS)[0]

    network = state.actor.network
    slope = jax.grad(loss)(state.actor).network
    assert float(loss(state.actor)) == pytest.approx(
        independent_actor_loss(network, least, price, strength, PAIRS), abs=1e-5
    )
    for layer, i, j in [(0, 1, 3), (0, 2, 6), (1, 4, 0), (1, 7, 3)]:
        values = []
        for step in (1e-4, -1e-4):
            weights = [np.array(w, np.float64) for w in network.weights]
            weights[layer][i, j] += step
            moved = MLP(tuple(weights), network.biases)
            values.append(independent_actor_loss(moved, least, price, strength, PAIRS))
        assert float(slope.weights[layer][i, j]) == pytest.approx((values[0] - values[1]) / 2e-4, abs=1e-4)


@pytest.mark.parametrize("entropy", [0.1, 1.3])
def test_the_temperature_rises_just_where_the_entropy_is_below_its_target(entropy):
    target = 0.4 * math.log(4)
    state = fresh().sac
    # Logits (x, 0, 0, 0) whatever the observation, with x such that the entropy is about the wanted one.
    logits = np.array([0.0 if entropy > 1 else 5.0, 0, 0, 0], np.float32)
    network = state.actor.network
    blank = MLP(
        tuple(jnp.zeros_like(w) for w in network.weights), (*network.biases[:-1], jnp.asarray(logits))
    )
    state = replace_actor(state, CategoricalPolicy(blank))
    after, metrics = sac_discrete.learn(SMALL, state, BATCH)
    price = float(sac_discrete.temperature(SMALL).multiplier(after.temperature))
    assert (price > 1.0) == (float(metrics["entropy"]) < target)
    assert abs(math.log(price)) == pytest.approx(SMALL.temperature_learning_rate, rel=1e-3)


def replace_actor(state, actor):
    fields = {name: getattr(state, name) for name in state.__dataclass_fields__}
    return sac_discrete.State(**fields | {"actor": actor})


@pytest.mark.parametrize("threshold", [-10.0, 10.0])
def test_the_multiplier_rises_just_where_the_constraint_is_broken(threshold):
    config = replace(SMALL, threshold=threshold)
    state = fresh(config)
    after, metrics = scopil.update(config, LIMIT, state, BATCH, PAIRS, jax.random.key(0))
    before, now = (float(scopil.multiplier(config).multiplier(s.multiplier)) for s in (state, after))
    assert (now > before) == (float(metrics["constraint"]) > 0)
    assert abs(now - before) == pytest.approx(3e-4, rel=1e-2)


def test_the_multiplier_follows_the_actor_after_its_step():
    state = fresh()
    after, metrics = scopil.update(SMALL, LIMIT, state, BATCH, PAIRS, jax.random.key(0))
    price = sac_discrete.temperature(SMALL).multiplier(after.sac.temperature)
    pairs = scopil.draw(SMALL, PAIRS, jax.random.key(0))
    expected = scopil.constraint(SMALL, after.sac.actor, price, pairs)[0]
    assert float(metrics["constraint"]) == pytest.approx(float(expected), abs=1e-6)
    old = scopil.constraint(SMALL, state.sac.actor, jnp.float32(1.0), pairs)[0]
    assert abs(float(old - expected)) > 1e-5


def test_a_projected_multiplier_stops_at_zero_and_a_raw_one_does_not():
    slack = replace(SMALL, threshold=10.0, initial_multiplier=0.01)
    last = {}
    for project in (True, False):
        config = replace(slack, project_multiplier=project)
        state, _ = trained(config, updates=100)
        last[project] = float(scopil.multiplier(config).multiplier(state.multiplier))
    assert last[True] == 0.0
    assert last[False] < -0.01


def test_without_a_multiplier_the_update_is_that_of_sac_bit_for_bit():
    config = replace(SMALL, initial_multiplier=0.0, learn_multiplier=False)
    constrained, other, plain = (
        fresh(config),
        fresh(replace(config, initial_multiplier=0.1)),
        fresh(config).sac,
    )
    # Not compiled as a whole: XLA would fuse the two programs differently, and round differently.
    for key in jax.random.split(jax.random.key(1), 3):
        constrained, _ = scopil.update(config, LIMIT, constrained, BATCH, PAIRS, key)
        other, _ = scopil.update(config, LIMIT, other, BATCH, PAIRS, key)
        plain, _ = sac_discrete.update(config, LIMIT, plain, BATCH, None, key)

    def same(state):
        pairs = zip(jax.tree.leaves(state), jax.tree.leaves(plain), strict=True)
        return all(np.array_equal(a, b) for a, b in pairs)

    assert same(constrained.sac)
    assert not same(other.sac)


@pytest.mark.parametrize("ways", [1, 2, 3])
def test_a_uniform_expert_meets_the_constraint_exactly_at_temperature_one(ways):
    logits = jnp.where(jnp.arange(4) < ways, 0.0, -40.0)
    policy = CategoricalPolicy(MLP((jnp.zeros((3, 4)),), (logits,)))
    states = jnp.zeros((ways, 3))
    pairs = demonstrations(states, jnp.eye(4)[:ways])
    for temperature in (1.0, 0.25):
        g, _ = scopil.constraint(SMALL, policy, jnp.float32(temperature), pairs)
        assert float(g) == pytest.approx((1 - temperature) * math.log(ways), abs=1e-5)


def test_beta_divides_the_entropy_between_the_two():
    state, price = fresh().sac, jnp.float32(0.7)
    half, parts = scopil.constraint(SMALL, state.actor, price, PAIRS)
    for beta in (0.0, 1.0):
        g, _ = scopil.constraint(replace(SMALL, beta=beta), state.actor, price, PAIRS)
        expected = parts["demonstration_loss"] - 2 * beta * price * parts["demonstration_entropy"]
        assert float(g) == pytest.approx(float(expected), abs=1e-6)
    assert float(half) == pytest.approx(
        float(parts["demonstration_loss"] - price * parts["demonstration_entropy"]), abs=1e-6
    )


def test_a_large_fixed_multiplier_clones_the_demonstrations():
    # Three actions in one state, half, a quarter and a quarter of the time: cloning gives these shares.
    pairs = demonstrations(jnp.ones((4, 3)), jax.nn.one_hot(jnp.array([0, 0, 1, 2]), 4))
    config = replace(
        SMALL,
        initial_multiplier=1e4,
        learn_multiplier=False,
        entropy_in_constraint=False,
        learning_rate=1e-2,
        demonstration_batch=4,
    )
    state, _ = trained(config, pairs, updates=600)
    shares = np.exp(np.asarray(state.sac.actor.log_probs(jnp.ones(3))))
    np.testing.assert_allclose(shares, [0.5, 0.25, 0.25, 0.0], atol=0.02)


# One step, three contexts, and a reward for each context and action: the soft optimum is a softmax of it.
REWARDS = jnp.array([[1.0, 0.5, 0.0, -1.0], [0.0, 1.0, 0.0, 0.0], [-0.5, -0.5, 0.5, 0.3]])


def bandit_step(state, action):
    reward = REWARDS[state] @ action
    return Outcome(state, reward, action[:1], jnp.array(True), jnp.array(False), jnp.array(True))


BANDIT = PureTask(
    Spec("", 3, 4, 1, 0.0, 1.0, actions=4),
    ("first",),
    lambda key: jax.random.randint(key, (), 0, 3),
    lambda state: jnp.eye(3)[state],
    bandit_step,
    lambda start: start,
    {"test": (0, 1, 2)},
)


def test_discrete_sac_finds_the_softmax_of_the_rewards():
    config = sac_discrete.Config(
        steps=3000,
        hidden=(32,),
        batch=128,
        learning_rate=3e-3,
        critic_learning_rate=3e-3,
        initial_temperature=0.5,
        temperature_learning_rate=0.0,
    )
    program = CompiledProgram(sac_discrete.SAC_DISCRETE, config, BANDIT, 0.0, (0,))
    while program.step < program.total_steps:
        metrics = program.advance(program.phase()[1])
    shares = np.exp(np.asarray(program.policy(0).log_probs(jnp.eye(3))))
    expected = np.exp(np.asarray(REWARDS) / 0.5)
    np.testing.assert_allclose(shares, expected / expected.sum(1, keepdims=True), atol=0.05)
    assert metrics["length"][0] == 1
    assert metrics["goal"][0] == 1
    # The tally is that of what it did: the mean reward and how often it took the first action.
    played = expected / expected.sum(1, keepdims=True)
    assert metrics["return"][0] == pytest.approx((played * np.asarray(REWARDS)).sum(1).mean(), abs=0.06)
    assert metrics["cost"][0] == pytest.approx(played[:, 0].mean(), abs=0.06)
