"""SCOPIL for actions from a box: reach the goal by reward, and keep to rules that only demonstrations tell of.

The constraint of `methods/scopil.py` on the squashed Gaussian of SAC (`methods/sac.py`). With D the expert's pairs of
state and action, p the policy, a the temperature and H the entropy, estimated by one draw in each state,

    g = mean over D of (-log p(action|state) + log q(action|state) - a H(p(.|state))) - slack <= 0,

    actor:       SAC's loss + m g
    multiplier:  m rises while g > 0, with g of the actor and the temperature after their steps

What changes with continuous actions is what g is held against. Surprise is of a density there and has no floor, and
how far down it can come depends on how much the expert's actions scatter: a fixed threshold is too loose for an exact
expert, whom the policy then leaves as soon as its reward asks for it, or out of reach for a noisy one. So q is a clone
of the expert that learns beside the policy, from the same pairs and by likelihood alone: the policy has to be as likely
as the clone to do what the expert did, but for `slack`. Demonstrated actions on the bounds, where the squashed Gaussian
has no density, are moved inside.

The paper leaves continuous actions open; this is our answer, not the authors'.
"""

from dataclasses import dataclass
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jax import Array

from goodpath import duals
from goodpath.methods import sac, scopil
from goodpath.methods.contract import Demonstrations, Metrics, OffPolicyMethod, Transitions
from goodpath.networks import normal
from goodpath.policies import SquashedGaussianPolicy
from goodpath.spec import Spec


@dataclass(frozen=True)
class Config(scopil.Imitation, sac.Config):
    """Options of SCOPIL for continuous actions."""

    initial_gain: float = 1.0
    """Factor on the weights of the actor's last layer at the start."""
    slack: float = 0.0
    """Nats by which the expert's actions may be less likely than under its clone."""
    edge: float = 0.02
    """How far inside the bounds demonstrated actions are moved, in half ranges."""


class State(eqx.Module):
    """Everything that changes in training.

    Attributes:
        sac: of SAC.
        clone: of the expert.
        optimizer: its moments of Adam.
        multiplier: state of its rule.
    """

    sac: sac.State
    clone: SquashedGaussianPolicy
    optimizer: optax.OptState
    multiplier: duals.GradientState


def init(config: Config, spec: Spec, key: Array) -> State:
    """A fresh state: the clone begins as the policy does."""
    learner = sac.init(config, spec, key)
    optimizer = optax.adam(config.learning_rate).init(learner.actor)
    return State(learner, learner.actor, optimizer, scopil.multiplier(config).init())


def surprise(config: Config, policy: SquashedGaussianPolicy, pairs: Demonstrations) -> Array:
    """() mean of minus the log-density of what the expert did."""
    margin = config.edge * (policy.high - policy.low) / 2
    shown = jnp.clip(pairs.actions, policy.low + margin, policy.high - margin)
    return -jnp.mean(policy.log_prob(pairs.observations, shown))


def constraint(
    config: Config,
    actor: SquashedGaussianPolicy,
    floor: Array,
    price: Array,
    pairs: Demonstrations,
    noise: Array,
) -> tuple[Array, Metrics]:
    """() how far g is above 0, and its parts.

    Args:
        config: slack and what counts.
        actor: policy to hold against the expert.
        floor: () surprise of the clone.
        price: () temperature.
        pairs: what the expert did.
        noise: (pairs, action) standard normal, for the estimate of the entropy.
    """
    loss = surprise(config, actor, pairs)
    spread = -jnp.mean(actor.sample(pairs.observations, noise)[1])
    excess = loss - floor - config.slack
    if config.entropy_in_constraint:
        excess = excess - 2 * config.beta * price * spread
    return excess, {"demonstration_loss": loss, "demonstration_entropy": spread}


def update(
    config: Config,
    cost_limit: Array,
    state: State,
    batch: Transitions,
    demonstrations: Demonstrations,
    key: Array,
) -> tuple[State, Metrics]:
    """One update of SAC under the constraint, then of the multiplier; the limit makes no difference."""
    rule, warmth = scopil.multiplier(config), sac.temperature(config)
    strength, price = rule.multiplier(state.multiplier), warmth.multiplier(state.sac.temperature)
    learn_key, draw_key, noise_key = jax.random.split(key, 3)
    pairs = scopil.draw(config, demonstrations, draw_key)
    noise = normal(noise_key, pairs.actions.shape)
    before, batch = sac.scaled(state.sac, batch)
    if before.scaler is not None:
        pairs = eqx.tree_at(lambda shown: shown.observations, pairs, before.scaler(pairs.observations))

    floor, slope = jax.value_and_grad(partial(surprise, config), argnums=0)(state.clone, pairs)
    change, optimizer = optax.adam(config.learning_rate).update(slope, state.optimizer)
    clone = optax.apply_updates(state.clone, change)

    def penalty(actor: SquashedGaussianPolicy) -> Array:
        return strength * constraint(config, actor, floor, price, pairs, noise)[0]

    after, metrics = sac.learn(
        config, before, batch, learn_key, penalty, entropy_weight=2 * (1 - config.beta)
    )
    excess, parts = constraint(config, after.actor, floor, warmth.multiplier(after.temperature), pairs, noise)
    moved = rule.update(state.multiplier, excess) if config.learn_multiplier else state.multiplier
    metrics = metrics | parts | {"clone_loss": floor, "constraint": excess, "multiplier": strength}
    return State(after, clone, optimizer, moved), metrics


SCOPIL_CONTINUOUS = OffPolicyMethod(
    name="scopil-continuous",
    title="SCOPIL for continuous actions",
    config=Config,
    presets={"default": Config()},
    init=init,
    update=update,
    acts=lambda state: sac.policy(state.sac),
    policy=lambda state: sac.policy(state.sac),
    document=__doc__ or "",
    demonstrated=True,
)
