"""Soft actor-critic for discrete actions (arXiv 1910.07207), with dueling critics.

The policy p = p(.|s) is a softmax, so every expectation over actions is a sum. With twin critics Q_1, Q_2, their
slow copies T_1, T_2, temperature a and entropy H, all losses being means over a batch of (s, a, r, s', d):

    critics:      (Q_k(s, a) - y)^2,   y = r + (1 - d) discount sum_a' p(a'|s') (min_k T_k(s', a') - a log p(a'|s'))
    actor:        -sum_a p(a|s) min_k Q_k(s, a) - a H(p)
    temperature:  log a (H(p) - target entropy): it rises while the entropy is below the target, 0.4 of the largest

d is 1 where the environment ended the episode, not where a time limit did. A critic is dueling:
Q(s, a) = V(s) + A(s, a) - mean over a' of A(s, a'). All gradients of an update are those of the networks before
it; each network has its Adam; then the copies follow by `target_rate`.

All that is computed for a batch is (actions, batch): a CPU then works along the batch, not along nine actions.

Sizes, rates and the target entropy are those of the code of SCOPIL's authors (arXiv 2507.06780).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from jax.flatten_util import ravel_pytree

from goodpath import duals
from goodpath.errors import GoodpathError
from goodpath.methods.contract import Demonstrations, Metrics, OffPolicyMethod, Transitions
from goodpath.networks import MLP, xavier_mlp
from goodpath.policies import CategoricalPolicy
from goodpath.spec import Spec

Penalty = Callable[[CategoricalPolicy], Array]


@dataclass(frozen=True)
class Config:
    """Options of discrete SAC."""

    steps: int = 100_000
    """Environment steps of each seed."""
    start: int = 0
    """Steps at the beginning that are random."""
    capacity: int = 1_000_000
    """Steps that the replay buffer keeps; no more than `steps` are made room for."""
    batch: int = 256
    """Steps in an update; learning begins when the buffer holds more."""
    updates: int = 1
    """Updates after every environment step."""
    hidden: tuple[int, ...] = (32, 32)
    """Sizes of the hidden layers of actor and critics."""
    learning_rate: float = 3e-4
    """Of Adam, for the actor."""
    critic_learning_rate: float = 3e-4
    """Of Adam, for the critics."""
    discount: float = 0.99
    """Of rewards."""
    target_rate: float = 0.005
    """How far the slow copies of the critics follow in an update."""
    initial_temperature: float = 1.0
    """At the start."""
    temperature_learning_rate: float = 2e-3
    """Of Adam, for the logarithm of the temperature."""
    target_entropy: float = 0.4
    """In units of the largest entropy, ln of the number of actions."""
    averaging: float = 0.0
    """Weight of the past in the mean of the actor's parameters that is evaluated and saved; 0 takes the last."""


class State(eqx.Module):
    """Everything that changes in training.

    Attributes:
        actor: the policy.
        critics: both, stacked along a leading axis: observations to one value and one advantage for each action.
        targets: their slow copies.
        averaged: mean of the actor over its past.
        optimizer: moments of Adam, of the actor's parameters and then the critics' as one vector.
        temperature: state of its rule.
    """

    actor: CategoricalPolicy
    critics: MLP
    targets: MLP
    averaged: CategoricalPolicy
    optimizer: optax.OptState
    temperature: duals.GradientState


def temperature(config: Config) -> duals.Gradient:
    """The rule that moves the temperature."""
    return duals.Gradient(
        config.temperature_learning_rate, config.initial_temperature, form="log", epsilon=1e-4
    )


_ADAM = optax.scale_by_adam(eps=1e-4)


def init(config: Config, spec: Spec, key: Array) -> State:
    """A fresh state.

    Raises:
        GoodpathError: the task's actions are not discrete.
    """
    if not spec.actions:
        raise GoodpathError(f"{spec.name or 'the task'} has no discrete actions; this method needs them.")
    actor_key, *critic_keys = jax.random.split(key, 3)
    sizes = (spec.observation_size, *config.hidden)

    def critic(key: Array) -> MLP:
        return xavier_mlp(sizes, key, heads=(1, spec.actions), bias=0.01)

    actor = CategoricalPolicy(xavier_mlp((*sizes, spec.actions), actor_key, bias=0.01))
    critics = jax.vmap(critic)(jnp.stack(critic_keys))
    return State(
        actor=actor,
        critics=critics,
        targets=critics,
        averaged=actor,
        optimizer=_ADAM.init(ravel_pytree((actor, critics))[0]),
        temperature=temperature(config).init(),
    )


def log_probs(actor: CategoricalPolicy, observations: Array) -> Array:
    """(actions, batch) log-probabilities for (batch, observation) observations."""
    return jax.nn.log_softmax(actor.network.columns(observations), axis=-2)


def values(critics: MLP, observations: Array) -> Array:
    """(2, actions, batch) what both critics say of every action."""
    heads = jax.vmap(lambda critic: critic.columns(observations))(critics)
    value, advantage = heads[:, :1], heads[:, 1:]
    return value + advantage - jnp.mean(advantage, axis=1, keepdims=True)


def entropy(log_probs: Array) -> Array:
    """(batch,) entropy of (actions, batch) log-probabilities, in nats."""
    return -jnp.sum(jnp.exp(log_probs) * log_probs, axis=0)


def target(config: Config, state: State, price: Array, batch: Transitions) -> Array:
    """(batch,) what the critics should say of the batch's actions; `price` is the temperature."""
    log_p = log_probs(state.actor, batch.next_observations)
    least = jnp.min(values(state.targets, batch.next_observations), axis=0)
    following = jnp.sum(jnp.exp(log_p) * (least - price * log_p), axis=0)
    return batch.rewards + config.discount * jnp.where(batch.terminated, 0.0, following)


def critic_loss(critics: MLP, targets: Array, batch: Transitions) -> tuple[Array, Array]:
    """() squared errors of both critics, and (actions, batch) the lesser of what they say."""
    said = values(critics, batch.observations)
    # A choice and no product: one seed's step took a sixth longer with XLA's sum of products of this shape.
    taken = jnp.sum(jnp.where(batch.actions.T > 0, said, 0.0), axis=1)
    return jnp.sum(jnp.mean((taken - targets) ** 2, axis=-1)), jnp.min(said, axis=0)


def actor_loss(
    actor: CategoricalPolicy, least: Array, price: Array, batch: Transitions
) -> tuple[Array, Array]:
    """() minus value and priced entropy, and () the mean entropy; `least` (actions, batch) is what critics say."""
    log_p = log_probs(actor, batch.observations)
    mean_entropy = jnp.mean(entropy(log_p))
    return -jnp.mean(jnp.sum(jnp.exp(log_p) * least, axis=0)) - price * mean_entropy, mean_entropy


def learn(
    config: Config,
    state: State,
    batch: Transitions,
    penalty: Penalty | None = None,
    entropy_weight: float = 1.0,
) -> tuple[State, Metrics]:
    """One update.

    Args:
        config: rates.
        state: what to update.
        batch: steps from the replay buffer.
        penalty: actor -> () what is added to the actor's loss.
        entropy_weight: factor on the entropy in the actor's loss.
    """
    rule = temperature(config)
    price = rule.multiplier(state.temperature)
    targets = jax.lax.stop_gradient(target(config, state, price, batch))
    (critics_lost, least), critic_slope = jax.value_and_grad(critic_loss, has_aux=True)(
        state.critics, targets, batch
    )

    def lost(actor: CategoricalPolicy) -> tuple[Array, Array]:
        loss, mean_entropy = actor_loss(actor, least, entropy_weight * price, batch)
        return loss if penalty is None else loss + penalty(actor), mean_entropy

    (actor_lost, mean_entropy), actor_slope = jax.value_and_grad(lost, has_aux=True)(state.actor)
    wanted = config.target_entropy * math.log(batch.actions.shape[-1])

    # One vector: on a CPU each of a dozen small arrays costs as much in calls as in arithmetic.
    flat, separate = ravel_pytree((state.actor, state.critics))
    change, optimizer = _ADAM.update(ravel_pytree((actor_slope, critic_slope))[0], state.optimizer)
    rates = np.full(flat.size, config.critic_learning_rate, np.float32)
    rates[: sum(leaf.size for leaf in jax.tree.leaves(state.actor))] = config.learning_rate
    actor, critics = separate(flat - rates * change)
    after = State(
        actor=actor,
        critics=critics,
        targets=optax.incremental_update(critics, state.targets, config.target_rate),
        averaged=optax.incremental_update(actor, state.averaged, 1 - config.averaging),
        optimizer=optimizer,
        temperature=rule.update(state.temperature, wanted - mean_entropy),
    )
    metrics = {
        "loss": actor_lost,
        "critic_loss": critics_lost,
        "value": jnp.mean(jnp.max(least, axis=0)),
        "entropy": mean_entropy,
        "temperature": price,
    }
    return after, metrics


def update(
    config: Config,
    cost_limit: Array,
    state: State,
    batch: Transitions,
    demonstrations: Demonstrations | None,
    key: Array,
) -> tuple[State, Metrics]:
    """One update; neither costs nor demonstrations make a difference."""
    return learn(config, state, batch)


def policy(state: Any) -> CategoricalPolicy:
    """The policy that is evaluated."""
    averaged: CategoricalPolicy = state.averaged
    return averaged


SAC_DISCRETE = OffPolicyMethod(
    name="sac-discrete",
    title="Soft actor-critic for discrete actions",
    config=Config,
    presets={"default": Config()},
    init=init,
    update=update,
    acts=lambda state: state.actor,
    policy=policy,
    document=__doc__ or "",
)
