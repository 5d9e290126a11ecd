"""SCOPIL for continuous actions: the constraint by hand, and a bandit whose expert does not do what pays best."""

import math
from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from goodpath.methods import scopil_continuous as scopil
from goodpath.methods.contract import Demonstrations, Transitions
from goodpath.networks import MLP
from goodpath.policies import SquashedGaussianPolicy
from goodpath.spec import Spec

SPEC = Spec("", 3, 1, 10, -2.0, 2.0)
CONFIG = scopil.Config(
    hidden=(16,),
    slack=0.5,
    batch=64,
    learning_rate=3e-3,
    critic_learning_rate=3e-3,
    initial_temperature=0.05,
    learn_temperature=False,
    demonstration_batch=32,
    multiplier_learning_rate=1e-2,
)


def numbers(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).uniform(-1, 1, shape), jnp.float32)


OBSERVATIONS = numbers(0, 256, 3)
ACTIONS = 2 * numbers(1, 256, 1)
BEST, SHOWN = 1.2, -0.8
BANDIT = Transitions(
    OBSERVATIONS,
    ACTIONS,
    -((ACTIONS[:, 0] - BEST) ** 2),
    jnp.zeros(256),
    OBSERVATIONS,
    jnp.ones(256, bool),
)


def expert(action):
    done = jnp.zeros(256, bool)
    shown = action + 0.2 * jnp.asarray(np.random.default_rng(2).standard_normal((256, 1)), jnp.float32)
    return Demonstrations(OBSERVATIONS, shown, OBSERVATIONS, done)


def replace_actions(pairs, action):
    return eqx.tree_at(lambda p: p.actions, pairs, jnp.full((256, 1), action))


def trained(config, pairs, updates=3000):
    def step(state, key):
        return scopil.update(config, jnp.zeros(()), state, BANDIT, pairs, key)

    keys = jax.random.split(jax.random.key(1), updates)
    start = scopil.init(config, SPEC, jax.random.key(0))
    state, metrics = jax.jit(lambda s, k: jax.lax.scan(step, s, k))(start, keys)
    tail = {name: float(np.mean(values[-300:])) for name, values in metrics.items()}
    return tail | {"action": float(np.mean(state.sac.actor(OBSERVATIONS)))}


def test_the_constraint_is_what_its_page_says():
    # A policy without weights: mean m and deviation s before tanh, the same everywhere.
    m, s = 0.3, math.exp(-0.7)
    log_std = 3.5 * math.atanh((math.log(s) + 1.5) / 3.5)
    network = MLP((jnp.zeros((3, 2)),), (jnp.array([m, log_std], jnp.float32),))
    actor = SquashedGaussianPolicy(network, -2.0, 2.0)
    noise = numbers(3, 256, 1)
    pairs = replace_actions(expert(SHOWN), SHOWN)
    floor = jnp.asarray(0.2)
    found, parts = scopil.constraint(CONFIG, actor, floor, jnp.asarray(0.5), pairs, noise)

    def density(raw):  # of 2 tanh(raw)
        gaussian = np.exp(-0.5 * ((raw - m) / s) ** 2) / (s * math.sqrt(2 * math.pi))
        return gaussian / (2 * (1 - np.tanh(raw) ** 2))

    surprise = -math.log(density(math.atanh(SHOWN / 2)))
    entropy = -np.mean(np.log(density(m + s * np.asarray(noise, np.float64))))
    assert float(parts["demonstration_loss"]) == pytest.approx(surprise, abs=1e-4)
    assert float(parts["demonstration_entropy"]) == pytest.approx(entropy, abs=1e-4)
    assert float(found) == pytest.approx(surprise - 0.5 * entropy - 0.2 - 0.5, abs=1e-4)


def test_an_action_on_the_bound_is_moved_inside():
    actor = scopil.init(CONFIG, SPEC, jax.random.key(0)).sac.actor
    on, inside = (
        float(scopil.surprise(CONFIG, actor, replace_actions(expert(0.0), action))) for action in (2.0, 1.96)
    )
    assert on == pytest.approx(inside, abs=1e-4)


def test_what_pays_best_is_done_as_far_as_the_expert_allows():
    free = trained(replace(CONFIG, initial_multiplier=0.0, learn_multiplier=False), expert(SHOWN))
    assert free["action"] == pytest.approx(BEST, abs=0.15)
    assert free["constraint"] > 1

    held = trained(CONFIG, expert(SHOWN))
    assert held["constraint"] == pytest.approx(0.0, abs=0.05)
    assert held["multiplier"] > 0.1
    # Half a nat is about one standard deviation of the expert, 0.2; to the side that pays.
    assert SHOWN + 0.05 < held["action"] < SHOWN + 0.4


def test_a_constraint_that_costs_nothing_has_no_price():
    agreed = trained(CONFIG, expert(BEST))
    assert agreed["multiplier"] < 0.05
    assert agreed["constraint"] < 0
