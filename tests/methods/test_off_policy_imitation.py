"""SQIL's rewards, GAIL's classifier and cloning of discrete actions against what can be worked out by hand."""

from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from goodpath.envs.pure import Outcome, PureTask
from goodpath.methods import bc, bc_good_bad, gail, sac_discrete, sqil
from goodpath.methods.contract import Data, Demonstrations, Transitions
from goodpath.networks import MLP
from goodpath.policies import CategoricalPolicy
from goodpath.spec import Spec
from goodpath.training.compiled import CompiledProgram
from goodpath.training.offline import OfflineProgram
from goodpath.trajectories import Dataset, Trajectory

SPEC = Spec("", 3, 4, 10, 0.0, 1.0, actions=4)
KEY = jax.random.key(0)


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
DEMONSTRATIONS = Demonstrations(numbers(4, 6, 3), one_hot(5, 6), numbers(6, 6, 3), jnp.arange(6) == 5)


def rows(steps):
    fields = (steps.observations, steps.actions, steps.next_observations, steps.terminated[:, None])
    return [tuple(row) for row in np.concatenate(fields, 1).tolist()]


@pytest.mark.parametrize("size", [16, 15])
def test_half_of_sqil_s_batch_is_the_expert_s_and_rewards_say_which(size):
    config = sqil.Config(demonstration_reward=0.7, own_reward=-0.2)
    batch = jax.tree.map(lambda leaf: leaf[:size], BATCH)
    mixed = sqil.mixed(config, batch, DEMONSTRATIONS, KEY)
    assert rows(mixed)[:8] == rows(BATCH)[:8]
    assert len(mixed.rewards) == size
    expert = rows(DEMONSTRATIONS)
    assert set(rows(mixed)[8:]) <= set(expert)
    np.testing.assert_allclose(mixed.rewards, [-0.2] * 8 + [0.7] * (size - 8))
    # Every step of the expert is drawn, and each as often as any other.
    keys = jax.random.split(KEY, 300)
    drawn = jax.vmap(lambda key: sqil.mixed(config, batch, DEMONSTRATIONS, key).observations[8:])(keys)
    counts = [int((np.asarray(drawn)[..., 0] == row[0]).sum()) for row in expert]
    mean = 300 * (size - 8) / 6
    assert np.abs(np.array(counts) - mean).max() < 4 * np.sqrt(mean)


def test_sqil_s_update_is_that_of_sac_on_the_mixed_batch_and_blind_to_the_task_s_reward():
    config = sqil.Config(hidden=(8,), batch=16)
    state = sqil.init(config, SPEC, KEY)
    found, _ = sqil.update(config, LIMIT, state, BATCH, DEMONSTRATIONS, KEY)
    expected, _ = sac_discrete.learn(config, state, sqil.mixed(config, BATCH, DEMONSTRATIONS, KEY))
    other = eqx.tree_at(lambda steps: steps.rewards, BATCH, BATCH.rewards + 100.0)
    blind, _ = sqil.update(config, LIMIT, state, other, DEMONSTRATIONS, KEY)
    for a, b, c in zip(*map(jax.tree.leaves, (found, expected, blind)), strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, c)


# One state and action 0 to 3, drawn with these shares: the best classifier is expert / (expert + own).
EXPERT_SHARES = np.array([0.5, 0.25, 0.25, 0.0])
OWN_SHARES = np.array([0.125, 0.25, 0.5, 0.125])


def shares_of(shares):
    actions = jnp.eye(4)[np.repeat(np.arange(4), (8 * shares).astype(int))]
    return jnp.ones((8, 3)), actions, jnp.zeros(8)


def known():
    seen, expert, zeros = shares_of(EXPERT_SHARES)
    _, own, _ = shares_of(OWN_SHARES)
    never = jnp.zeros(8, bool)
    return Demonstrations(seen, expert, seen, never), Transitions(seen, own, zeros - 0.5, zeros, seen, never)


def test_the_classifier_learns_the_ratio_of_known_densities_and_the_reward_is_its_logarithm():
    config = gail.Config(hidden=(8,), batch=8, discriminator_hidden=(16,), discriminator_learning_rate=1e-2)
    shown, batch = known()
    best = EXPERT_SHARES / (EXPERT_SHARES + OWN_SHARES)

    def descend(carry, _):
        network, optimizer = carry
        slope = jax.grad(lambda d: gail.discriminator_loss(config, d, shown, batch, KEY)[0])(network)
        change, optimizer = gail._adam(config).update(slope, optimizer)
        return (jax.tree.map(jnp.add, network, change), optimizer), None

    state = gail.init(config, SPEC, KEY)
    carry = (state.discriminator, state.optimizer)
    (network, _), _ = jax.jit(lambda c: jax.lax.scan(descend, c, length=1500))(carry)
    found = jax.nn.sigmoid(gail.logits(network, jnp.ones((4, 3)), jnp.eye(4)))
    np.testing.assert_allclose(found, best, atol=0.02)
    taken = np.asarray(batch.actions).argmax(1)
    imitation = gail.rewards(config, network, batch)
    chosen = best[taken] > 0
    np.testing.assert_allclose(np.asarray(imitation)[chosen], np.log(best[taken][chosen]), atol=0.03)
    assert (np.asarray(imitation) < 0).all()
    both = gail.rewards(replace(config, constraint=True), network, batch)
    np.testing.assert_allclose(both, imitation - 0.5, atol=1e-6)


def test_gail_s_update_is_that_of_sac_with_the_rewards_of_the_new_classifier():
    for constraint in (False, True):
        config = gail.Config(hidden=(8,), batch=16, constraint=constraint)
        state = gail.init(config, SPEC, KEY)
        after, metrics = gail.update(config, LIMIT, state, BATCH, DEMONSTRATIONS, KEY)
        x = np.concatenate([BATCH.observations, BATCH.actions], 1).astype(np.float64)
        logit = independent_logit(after.discriminator, x)
        given = -np.log1p(np.exp(-logit)) + (np.asarray(BATCH.rewards) if constraint else 0)
        assert float(metrics["imitation_reward"]) == pytest.approx(given.mean(), abs=1e-5)
        judged = eqx.tree_at(lambda steps: steps.rewards, BATCH, jnp.asarray(given, jnp.float32))
        expected, _ = sac_discrete.learn(config, state.sac, judged)
        for a, b in zip(jax.tree.leaves(after.sac), jax.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-5)


def independent_logit(network, x):
    for i, (weight, bias) in enumerate(zip(network.weights, network.biases, strict=True)):
        x = x @ np.asarray(weight, np.float64) + np.asarray(bias, np.float64)
        x = np.maximum(x, 0) if i + 1 < len(network.weights) else x
    return x[..., 0]


@pytest.mark.parametrize("weight", [0.0, 0.7])
def test_the_classifier_s_loss_has_the_gradient_of_finite_differences(weight):
    config = gail.Config(discriminator_hidden=(5,), gradient_penalty=weight)
    network = gail.init(config, SPEC, KEY).discriminator
    shown = jax.tree.map(lambda leaf: jnp.concatenate([leaf, leaf, leaf])[:16], DEMONSTRATIONS)
    share = np.asarray(jax.random.uniform(KEY, (16, 1)), np.float64)
    own, expert = (
        np.concatenate([steps.observations, steps.actions], 1).astype(np.float64) for steps in (BATCH, shown)
    )

    def independent(network):
        loss = np.log1p(np.exp(-independent_logit(network, expert))).mean()
        loss += np.log1p(np.exp(independent_logit(network, own))).mean()
        between = share * own + (1 - share) * expert
        # With one hidden layer the slope is the sum of the paths through the units that are on.
        first, last = (np.asarray(w, np.float64) for w in network.weights)
        on = between @ first + np.asarray(network.biases[0], np.float64) > 0
        length = np.linalg.norm((on * last[:, 0]) @ first.T, axis=1)
        return loss + weight * ((length - 1) ** 2).mean()

    def loss(network):
        return gail.discriminator_loss(config, network, shown, BATCH, KEY)[0]

    assert float(loss(network)) == pytest.approx(independent(network), abs=1e-5)
    slope = jax.grad(loss)(network)
    for layer, i, j in [(0, 1, 3), (0, 5, 0), (1, 4, 0), (1, 2, 0)]:
        values = []
        for step in (1e-5, -1e-5):
            weights = [np.array(w, np.float64) for w in network.weights]
            weights[layer][i, j] += step
            values.append(independent(MLP(tuple(weights), network.biases)))
        assert float(slope.weights[layer][i, j]) == pytest.approx((values[0] - values[1]) / 2e-5, abs=1e-4)


def test_cloning_discrete_actions_gives_their_shares():
    seen, actions, zeros = (np.asarray(part, np.float32) for part in shares_of(EXPERT_SHARES))
    dataset = Dataset.from_trajectories([Trajectory(seen, seen, actions, zeros, zeros, False, True)])
    config = bc.Config(steps=400, batch_size=8, hidden=(8,), learning_rate=1e-2, normalize="none")
    program = OfflineProgram(bc.BC, config, dataset, SPEC, 0.0, (0,))
    metrics = program.advance(400)
    policy = program.policy(0)
    assert isinstance(policy, CategoricalPolicy)
    shares = np.exp(np.asarray(policy.log_probs(jnp.ones(3))))
    np.testing.assert_allclose(shares, EXPERT_SHARES, atol=0.01)
    # Nothing fits better than the entropy of the shares, 1.5 bits.
    loss = float(bc.clone_loss(policy, seen, actions, np.ones(8, np.float32), KEY))
    assert loss == pytest.approx(1.5 * np.log(2), abs=0.01)
    assert float(metrics["loss"][0]) > loss


@pytest.mark.parametrize(("floor", "away"), [(-1.0, -1.0), (-2.0, -np.log(4))])
def test_the_floor_under_a_bad_action_counts_once_where_actions_are_discrete(floor, away):
    policy = CategoricalPolicy(MLP((jnp.zeros((3, 4)),), (jnp.zeros(4),)))
    data = Data(numbers(0, 4, 3), jnp.eye(4), 4)
    batch = {"good": np.array([0, 1]), "bad": np.array([2, 3])}
    batch |= {"good_mask": np.ones(2, np.float32), "bad_mask": np.ones(2, np.float32)}
    loss, _ = bc_good_bad.loss(bc_good_bad.Config(floor=floor), policy, data, batch, KEY)
    assert float(loss) == pytest.approx(0.5 * np.log(4) + 0.5 * away, abs=1e-6)


# One step in one of three contexts. The reward is for action 3, and the expert takes 0, 1 and 2.
BANDIT = PureTask(
    Spec("", 3, 4, 1, 0.0, 1.0, actions=4),
    ("none",),
    lambda key: jax.random.randint(key, (), 0, 3),
    lambda state: jnp.eye(3)[state],
    lambda state, action: Outcome(
        state, 2 * action[3], jnp.zeros(1), jnp.array(True), jnp.array(False), jnp.array(True)
    ),
    lambda start: start,
    {"test": (0, 1, 2)},
)


@pytest.mark.parametrize(
    ("method", "options", "expected"),
    [
        (sqil.SQIL, {}, [0, 1, 2]),
        (gail.GAIL, {"discriminator_learning_rate": 3e-3}, [0, 1, 2]),
        (sac_discrete.SAC_DISCRETE, {}, [3, 3, 3]),
    ],
)
def test_imitators_do_what_the_expert_does_and_not_what_is_paid(method, options, expected):
    rates = {"learning_rate": 3e-3, "critic_learning_rate": 3e-3, "temperature_learning_rate": 0.0}
    config = method.config(steps=1500, hidden=(16,), batch=64, initial_temperature=0.1, **rates, **options)
    actions = np.eye(4, dtype=np.float32)[:3]
    seen, zero = np.eye(3, dtype=np.float32), np.zeros(1, np.float32)
    steps = [
        Trajectory(seen[i : i + 1], seen[i : i + 1], actions[i : i + 1], zero, zero, True, False)
        for i in range(3)
    ]
    dataset = Dataset.from_trajectories(steps) if method.demonstrated else None
    program = CompiledProgram(method, config, BANDIT, 0.0, (0,), dataset)
    while program.step < program.total_steps:
        program.advance(program.phase()[1])
    shares = np.exp(np.asarray(program.policy(0).log_probs(jnp.eye(3))))
    assert shares.argmax(1).tolist() == expected
    assert shares.max(1).min() > 0.9
