"""ICRL's losses, weights and early ends against independent computations, and what it learns where that is known."""

from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from goodpath.envs.pure import Outcome, PureTask
from goodpath.methods import icrl, ppo_demonstrations, ppo_discrete
from goodpath.methods.contract import Demonstrations, Episodes, Stretch
from goodpath.networks import MLP
from goodpath.spec import Spec
from goodpath.training.compiled_rollouts import RolloutProgram
from goodpath.trajectories import Dataset, Trajectory

SPEC = Spec("", 3, 4, 10, 0.0, 1.0, actions=4)
KEY = jax.random.key(0)
E = 1e-5


def numbers(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


def one_hot(seed, *shape):
    return jax.nn.one_hot(np.random.default_rng(seed).integers(0, 4, shape), 4)


SHOWN = Demonstrations(numbers(0, 6, 3), one_hot(1, 6), numbers(2, 6, 3), jnp.arange(6) == 5)
LENGTHS = np.array([5, 2, 4])
TAKEN = np.arange(5) < LENGTHS[:, None]
EPISODES = Episodes(numbers(3, 3, 5, 3), one_hot(4, 3, 5), jnp.asarray(TAKEN))


def forward(network, x):
    """A network with ReLU in double precision."""
    for i, (weight, bias) in enumerate(zip(network.weights, network.biases, strict=True)):
        x = x @ np.asarray(weight, np.float64) + np.asarray(bias, np.float64)
        x = np.maximum(x, 0) if i + 1 < len(network.weights) else x
    return x[..., 0]


def independent_z(network, steps):
    x = np.concatenate([steps.observations, steps.actions], -1).astype(np.float64)
    return 1 / (1 + np.exp(-forward(network, x)))


def independent_loss(config, network, weights):
    expert, own = independent_z(network, SHOWN), independent_z(network, EPISODES)[TAKEN]
    loss = -np.log(expert + E).mean() + (weights[TAKEN] * np.log(own + E)).mean()
    return loss + config.regularizer * ((1 - expert).mean() + (1 - own).mean())


def test_the_constraint_s_loss_and_its_gradient_are_those_of_an_independent_computation():
    config = icrl.Config(constraint_hidden=(5,), regularizer=0.7)
    network = icrl.init(config, SPEC, KEY).constraint
    weights = np.abs(np.asarray(numbers(5, 3, 5)))

    def loss(network):
        return icrl.constraint_loss(config, network, SHOWN, EPISODES, jnp.asarray(weights * TAKEN))

    assert float(loss(network)) == pytest.approx(independent_loss(config, network, weights), abs=1e-5)
    slope = jax.grad(loss)(network)
    for layer, i, j in [(0, 1, 3), (0, 5, 0), (1, 4, 0), (1, 2, 0)]:
        values = []
        for step in (1e-5, -1e-5):
            moved = [np.array(w, np.float64) for w in network.weights]
            moved[layer][i, j] += step
            values.append(independent_loss(config, MLP(tuple(moved), network.biases), weights))
        assert float(slope.weights[layer][i, j]) == pytest.approx((values[0] - values[1]) / 2e-5, abs=1e-4)
    # What lies behind the end of an episode makes no difference.
    junk = jnp.where(EPISODES.taken[..., None], EPISODES.observations, 1e3)
    other = eqx.tree_at(lambda episodes: episodes.observations, EPISODES, junk)
    behind = icrl.constraint_loss(config, network, SHOWN, other, jnp.asarray(weights * TAKEN))
    np.testing.assert_allclose(behind, loss(network), rtol=1e-6)


@pytest.mark.parametrize("kind", ["step", "episode", "none"])
def test_weights_and_divergences_are_those_of_an_independent_computation(kind):
    rng = np.random.default_rng(0)
    then, now = rng.uniform(0.05, 0.95, (2, 3, 5))
    found, ahead, back = icrl.correction(
        icrl.Config(weights=kind), *(jnp.asarray(z, jnp.float32) for z in (then, now)), jnp.asarray(TAKEN)
    )
    ratios = [(now[i, :n] + E) / (then[i, :n] + E) for i, n in enumerate(LENGTHS)]
    products = np.array([r.prod() for r in ratios])
    assert float(ahead) == pytest.approx(-np.log(products).mean(), rel=1e-4)
    expected = ((products - products.mean()) * np.log(products)).mean() / products.mean()
    assert float(back) == pytest.approx(expected, rel=1e-4)
    mean = np.concatenate(ratios).mean()
    for i, n in enumerate(LENGTHS):
        weights = {
            "step": ratios[i] / mean,
            "episode": np.full(n, products[i] / products.mean()),
            "none": np.ones(n),
        }
        np.testing.assert_allclose(found[i, :n], weights[kind], rtol=1e-4)
        assert not found[i, n:].any()


@pytest.mark.parametrize(("bound", "value"), [("max_kl_forward", 0.2), ("max_kl_backward", 0.1)])
def test_the_constraint_stops_after_the_step_that_went_too_far(bound, value):
    options = {"backward_steps": 60, "constraint_learning_rate": 0.01, "regularizer": 0.0}
    config = icrl.Config(constraint_hidden=(8,), hidden=(8,), **options)
    state = icrl.init(config, SPEC, KEY)
    stopped, metrics = icrl.revise(replace(config, **{bound: value}), state, EPISODES, SHOWN)
    done = int(metrics["constraint_steps"])
    assert 0 < done < config.backward_steps

    def distance(state):
        then, now = (
            icrl.allowed(s.constraint, EPISODES.observations, EPISODES.actions) for s in (START, state)
        )
        return float(icrl.correction(config, then, now, EPISODES.taken)[1 + (bound == "max_kl_backward")])

    START = state
    # It is where `done` steps without a bound lead, and one step fewer was not yet too far.
    for steps, far in ((done, True), (done - 1, False)):
        free, _ = icrl.revise(replace(config, backward_steps=steps), state, EPISODES, SHOWN)
        assert (distance(free) > value) == far
        same = [
            np.allclose(a, b, atol=1e-6)
            for a, b in zip(
                jax.tree.leaves(free.constraint), jax.tree.leaves(stopped.constraint), strict=True
            )
        ]
        assert all(same) == far


def test_the_learning_rate_falls_with_every_iteration():
    config = icrl.Config(constraint_hidden=(8,), hidden=(8,), backward_steps=1, decay=0.5)
    first = icrl.init(config, SPEC, KEY)
    third = eqx.tree_at(lambda s: s.revisions, first, jnp.asarray(2, jnp.int32))
    moves = []
    for state in (first, third):
        after, _ = icrl.revise(config, state, EPISODES, SHOWN)
        assert int(after.revisions) == int(state.revisions) + 1
        moves.append(np.asarray(after.constraint.weights[0] - state.constraint.weights[0]))
    np.testing.assert_allclose(moves[1], moves[0] / 4, atol=1e-6)


def batch_of(config, networks):
    stretch = Stretch(
        numbers(0, 2, 8, 3),
        one_hot(1, 2, 8),
        numbers(2, 2, 8),
        numbers(3, 2, 8, 3),
        jnp.arange(16).reshape(2, 8) % 5 == 4,
        jnp.arange(16).reshape(2, 8) % 5 >= 3,
    )
    return stretch, ppo_discrete.rows(config, networks, stretch, jnp.abs(numbers(6, 2, 8)))


def test_the_actor_s_loss_is_that_of_an_independent_computation():
    config = icrl.Config(hidden=(8,), clip=0.1)
    old = icrl.init(config, SPEC, KEY).agent.networks
    _, table = batch_of(config, old)
    actor = icrl.init(config, SPEC, jax.random.key(1)).agent.networks.actor
    actor = eqx.tree_at(lambda a: a.network.weights[-1], actor, numbers(7, 8, 4))
    logits = np.asarray(actor.network(table["observations"]), np.float64)
    chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    taken = np.asarray(table["actions"]).argmax(1)
    ratio = chances[np.arange(16), taken] / np.exp(np.asarray(table["log_prob"], np.float64))
    gain, cost = (np.asarray(table[name], np.float64) for name in ("advantage", "cost_advantage"))
    gain, cost = (gain - gain.mean()) / gain.std(), cost - cost.mean()
    least = np.minimum(ratio * gain, np.clip(ratio, 0.9, 1.1) * gain).mean()
    expected = (-least + 1.7 * (ratio * cost).mean()) / 2.7
    assert (np.abs(ratio - 1) > 0.1).any()
    found = icrl.priced_loss(config, actor, jnp.asarray(1.7), table)
    assert float(found) == pytest.approx(expected, abs=1e-4)


def test_shifted_ends_are_those_of_a_loop_that_reads_the_next_flag():
    config = ppo_discrete.Config(hidden=(8,), shifted_ends=True)
    critic = ppo_discrete.init(config, SPEC, KEY).networks.critic
    networks = icrl.init(icrl.Config(hidden=(8,)), SPEC, KEY).agent.networks
    stretch, _ = batch_of(config, networks)
    found, targets = ppo_discrete.estimate(config, critic, stretch.rewards, stretch)
    values = np.asarray(critic(stretch.observations)[..., 0])
    last = np.asarray(critic(stretch.next_observations)[:, -1, 0])
    flags, rewards = np.asarray(stretch.ended), np.asarray(stretch.rewards)
    for e in range(2):
        later = 0.0
        for t in reversed(range(8)):
            on = 1.0 - (flags[e, -1] if t == 7 else flags[e, t + 1])
            value = last[e] if t == 7 else values[e, t + 1]
            later = rewards[e, t] + 0.99 * value * on - values[e, t] + 0.99 * 0.95 * on * later
            assert float(found[e, t]) == pytest.approx(later, abs=1e-4)
    np.testing.assert_allclose(targets, found + values, atol=1e-6)
    repaired, _ = ppo_discrete.estimate(replace(config, shifted_ends=False), critic, stretch.rewards, stretch)
    assert not np.allclose(repaired, found)


def test_the_multiplier_follows_the_learnt_cost():
    config = icrl.Config(hidden=(8,), constraint_hidden=(8,), passes=1, minibatch=16)
    state = icrl.init(config, SPEC, KEY)
    stretch, _ = batch_of(config, state.agent.networks)
    _, metrics = icrl.update(config, state, stretch, SHOWN, KEY)
    cost = float(metrics["learnt_cost"])
    assert cost == pytest.approx(1 - independent_z(state.constraint, stretch).mean(), abs=1e-6)
    for budget, sign in ((cost - 0.01, 1), (cost + 0.01, -1)):
        kept = replace(config, budget=budget)
        after, _ = icrl.update(kept, state, stretch, SHOWN, KEY)
        moved = icrl.multiplier(kept).multiplier(after.agent.dual) - 1.0
        assert np.sign(float(moved)) == sign


# Two steps in one of three contexts. Action 3 is paid best, 2 next; the expert does 2 in the first two contexts, and 3
# in the last.
PAY = jnp.array([0.0, 0.0, 0.5, 1.0])


def context_step(state, action):
    context, time = state
    over = time == 1
    return Outcome(
        (context, time + 1), action @ PAY, action[3:], over, jnp.array(False), over & (action[3] > 0)
    )


CONTEXTS = PureTask(
    Spec("", 3, 4, 2, 0.0, 1.0, actions=4),
    ("fourth",),
    lambda key: (jax.random.randint(key, (), 0, 3), jnp.zeros((), jnp.int32)),
    lambda state: jnp.eye(3)[state[0]],
    context_step,
    lambda start: (start, jnp.zeros((), jnp.int32)),
    {"test": (0, 1, 2)},
)
EXPERT = [2, 2, 3]


def expert():
    zero = np.zeros(2, np.float32)
    seen = np.repeat(np.eye(3, dtype=np.float32)[:, None], 2, 1)
    actions = np.eye(4, dtype=np.float32)
    return Dataset.from_trajectories(
        [Trajectory(seen[i], seen[i], actions[[a, a]], zero, zero, True, False) for i, a in enumerate(EXPERT)]
    )


FAST = {
    "hidden": (16,),
    "num_envs": 8,
    "rollout": 256,
    "minibatch": 64,
    "learning_rate": 3e-3,
    "steps": 10_240,
}


def trained(method, **options):
    config = method.config(**(FAST | options))
    program = RolloutProgram(method, config, CONTEXTS, (0,), expert() if method.demonstrated else None)
    metrics = program.advance(program.total_steps)
    shares = np.exp(np.asarray(program.policy(0).log_probs(jnp.eye(3))))
    return program, metrics, shares


def test_ppo_finds_what_is_paid_best():
    _, metrics, shares = trained(ppo_discrete.PPO_DISCRETE)
    assert shares.argmax(1).tolist() == [3, 3, 3]
    assert shares.max(1).min() > 0.9
    assert metrics["return"][0] == pytest.approx(2.0, abs=0.1)


def test_icrl_learns_what_is_forbidden_and_takes_the_best_of_the_rest():
    options = {"iterations": 20, "own_episodes": 60, "constraint_hidden": (16,), "decay": 0.9}
    program, _, shares = trained(icrl.ICRL, constraint_learning_rate=0.01, **options)
    assert shares.argmax(1).tolist() == EXPERT
    assert shares.max(1).min() > 0.9
    constraint = jax.tree.map(lambda leaf: leaf[0], program.states[0].learner.constraint)
    seen, actions = np.repeat(np.eye(3), 4, 0), np.tile(np.eye(4), (3, 1))
    z = np.asarray(icrl.allowed(constraint, jnp.asarray(seen), jnp.asarray(actions))).reshape(3, 4)
    # What is paid best is forbidden where the expert did not do it; what the expert did is not.
    assert z[0, 3] < 0.1
    assert z[1, 3] < 0.1
    assert all(z[context, action] > 0.9 for context, action in enumerate(EXPERT))


def test_ppo_with_demonstrations_does_as_the_expert_where_the_price_is_high():
    method = ppo_demonstrations.PPO_DEMONSTRATIONS
    program, metrics, shares = trained(method, initial_multiplier=5.0)
    assert shares.argmax(1).tolist() == EXPERT
    chosen = shares[np.arange(3), EXPERT]
    assert float(metrics["demonstration_loss"][0]) == pytest.approx(-np.log(chosen).mean(), abs=1e-5)
    # The loss is never negative, so the multiplier rises with every minibatch.
    assert float(program.states[0].learner.dual.parameter[0]) > 5.0
    _, _, blind = trained(method, initial_multiplier=0.0, multiplier_learning_rate=0.0)
    assert blind.argmax(1).tolist() == [3, 3, 3]
