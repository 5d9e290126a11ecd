"""Soft actor-critic for actions from a box (arXiv 1801.01290, arXiv 1812.05905).

The policy p is a Gaussian squashed by tanh. With twin critics Q_1, Q_2, their slow copies T_1, T_2 and the
temperature w, all losses being means over a batch of (s, a, r, s', d), and a~, a' drawn from p at s and s':

    critics:      (Q_k(s, a) - y)^2 / 2,   y = r + (1 - d) discount (min_k T_k(s', a') - w log p(a'|s'))
    actor:        w log p(a~|s) - min_k Q_k(s, a~)
    temperature:  log w (H(p) - target entropy): it rises while the entropy is below the target

d is 1 where the environment ended the episode, not where a time limit did. All gradients of an update are those
of the networks before it; then the copies follow by `target_rate`. With `learn_temperature=False` the temperature
stays as it is, as in the training of SaGui's guides.

What the networks see may differ from what the task shows: observations in units of their spread so far (`normalize`),
and parts of them once more to a high power (`near`). A lidar that reaches 3 m says 0.93 at the border of a hazard and
1 at its centre, from which networks of this size do not learn what costs (`docs/sagui.md`). Saved policies take plain
observations.

Others build on `learn`: a third critic of costs joins where the state has one, `price` weighs it in the actor's
loss, and `penalty` adds to that loss whatever a method holds its policy to. The networks are multiplied as one, and
Adam moves all parameters as one vector: on a CPU a small step costs as much in calls as in arithmetic.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jax import Array

from goodpath import duals
from goodpath.errors import GoodpathError, nearest
from goodpath.methods.contract import Demonstrations, Metrics, OffPolicyMethod, Transitions
from goodpath.networks import MLP, Near, normal, xavier_mlp
from goodpath.normalize import Scaler
from goodpath.policies import SquashedGaussianPolicy
from goodpath.spec import Spec

Penalty = Callable[[SquashedGaussianPolicy], Array]
Price = Callable[[Array], Array]


@dataclass(frozen=True)
class Config:
    """Options of SAC."""

    steps: int = 1_000_000
    """Environment steps of each seed."""
    num_envs: int = 10
    """Copies of the environment for each seed."""
    every: int = 10
    """Steps of each copy between two rounds of updates."""
    stretch: int = 0
    """Steps of each copy after which all start anew: whole episodes. 0 is as many as fit into 1000 steps."""
    start: int = 1000
    """Environment steps at the beginning that are random."""
    capacity: int = 1_000_000
    """Steps that the replay buffer keeps; no more than `steps` are made room for."""
    batch: int = 256
    """Steps in an update; learning begins when the buffer holds more."""
    updates: float = 1.0
    """Updates for every environment step."""
    hidden: tuple[int, ...] = (256, 256)
    """Sizes of the hidden layers of actor and critics."""
    initial_gain: float = 0.01
    """Factor on the weights of the actor's last layer at the start: near 0, it begins without habits."""
    learning_rate: float = 1e-3
    """Of Adam, for the actor."""
    critic_learning_rate: float = 1e-3
    """Of Adam, for the critics."""
    discount: float = 0.99
    """Of rewards."""
    target_rate: float = 0.005
    """How far the slow copies of the critics follow in an update."""
    initial_temperature: float = 0.7
    """At the start."""
    min_temperature: float = 0.0
    """Where it stops falling: who is kept from lower entropy, by a guide or a price, otherwise has none left after."""
    learn_temperature: bool = True
    """The temperature follows the entropy; else it stays as it is."""
    temperature_learning_rate: float = 1e-3
    """Of Adam, for the logarithm of the temperature."""
    normalize: bool = False
    """Networks see observations in units of their spread so far; what is saved takes plain ones."""
    near: tuple[str, ...] = ()
    """Parts of observations that read 0 to 1, such as hazards_lidar, of which networks also see a power, so that what
    is near stands out; with `normalize`."""
    near_power: float = 16.0
    """That power."""
    initial: str = ""
    """Folder of a finished run of a method with the same networks, which this one goes on from."""
    target_entropy: float = -1.0
    """In nats for each component of the action, of actions scaled to [-1, 1]."""


class State(eqx.Module):
    """Everything that changes in training.

    Attributes:
        actor: the policy.
        critics: stacked along a leading axis, observation and action to one value: two of rewards, and one of costs
            where they count.
        targets: their slow copies.
        optimizer: moments of Adam over actor and critics.
        temperature: state of its rule.
        scaler: of observations; None where networks see them as they are.
    """

    actor: SquashedGaussianPolicy
    critics: MLP
    targets: MLP
    optimizer: optax.OptState
    temperature: duals.GradientState
    scaler: Scaler | None


_ADAM = optax.scale_by_adam(eps=1e-8)


def temperature(config: Config) -> duals.Gradient:
    """The rule that moves the temperature."""
    rate, start = config.temperature_learning_rate, config.initial_temperature
    return duals.Gradient(rate, start, form="log", lower=config.min_temperature)


def init(config: Config, spec: Spec, key: Array, critics: int = 2) -> State:
    """A fresh state.

    Args:
        config: sizes.
        spec: of the task.
        key: draws the networks.
        critics: 2, or 3 with one of costs.

    Raises:
        GoodpathError: the task's actions are discrete.
    """
    if spec.actions:
        raise GoodpathError(f"{spec.name or 'the task'} has discrete actions; take sac-discrete for it.")
    actor_key, *critic_keys = jax.random.split(key, 1 + critics)
    near = _near(config, spec)
    inputs = spec.observation_size + len(near.columns)
    sizes = (inputs + spec.action_size, *config.hidden, 1)
    outline = (inputs, *config.hidden, 2 * spec.action_size)
    network = xavier_mlp(outline, actor_key, last_gain=config.initial_gain)
    actor = SquashedGaussianPolicy(network, spec.action_low, spec.action_high)
    stacked = jax.vmap(lambda k: xavier_mlp(sizes, k))(jnp.stack(critic_keys))
    return State(
        actor=actor,
        critics=stacked,
        targets=stacked,
        optimizer=_ADAM.init((actor, stacked)),
        temperature=temperature(config).init(),
        scaler=Scaler.empty(spec.observation_size, near) if config.normalize else None,
    )


def _near(config: Config, spec: Spec) -> Near:
    """What the networks see besides."""
    if config.near and not config.normalize:
        raise GoodpathError(
            "what is near stands out in units of its spread alone; give --normalize with --near."
        )
    places = spec.places
    for name in config.near:
        if name not in places:
            raise GoodpathError(
                f"{spec.name or 'the task'} shows no '{name}'; for --near it has "
                f"{', '.join(places) or 'no parts with names'}.{nearest(name, list(places))}"
            )
    return Near(tuple(column for name in config.near for column in places[name]), config.near_power)


def scaled(state: State, batch: Transitions) -> tuple[State, Transitions]:
    """The state that has seen the batch, and the batch as its networks see it."""
    if state.scaler is None:
        return state, batch
    scaler = state.scaler.updated(batch.observations)
    seen = scaler(batch.observations), scaler(batch.next_observations)
    batch = eqx.tree_at(lambda steps: (steps.observations, steps.next_observations), batch, seen)
    return replace(state, scaler=scaler), batch


def policy(state: State) -> SquashedGaussianPolicy:
    """The policy for plain observations."""
    return state.actor if state.scaler is None else state.scaler.fold(state.actor)


def values(critics: MLP, observations: Array, actions: Array) -> Array:
    """(critics, batch) what each critic says."""
    both = jnp.concatenate([observations, actions], axis=-1)
    return jax.vmap(lambda critic: critic(both))(critics)[..., 0]


def target(
    config: Config,
    state: State,
    price: Array,
    batch: Transitions,
    noise: Array,
    cost_discount: float,
) -> Array:
    """(critics, batch) what the critics should say of the batch's actions.

    Args:
        config: discount.
        state: actor and slow copies.
        price: () temperature.
        batch: steps.
        noise: (batch, action) standard normal, for the actions that follow.
        cost_discount: of the critic of costs, where there is one.
    """
    actions, log_prob = state.actor.sample(batch.next_observations, noise)
    following = values(state.targets, batch.next_observations, actions)
    soft = jnp.min(following[:2], axis=0) - price * log_prob
    goes_on = 1.0 - batch.terminated
    rewards = batch.rewards + config.discount * goes_on * soft
    # Costs are not negative, and neither is what follows; an actor in search of low costs finds where a critic forgets.
    costs = [batch.costs + cost_discount * goes_on * jnp.maximum(cost, 0.0) for cost in following[2:]]
    return jnp.stack([rewards, rewards, *costs])


def learn(
    config: Config,
    state: State,
    batch: Transitions,
    key: Array,
    penalty: Penalty | None = None,
    price: Price | None = None,
    cost_discount: float = 0.99,
    weights: Array | None = None,
    critic_weights: Array | None = None,
    entropy_weight: float = 1.0,
    heard: Array | None = None,
    fresh: bool = False,
) -> tuple[State, Metrics]:
    """One update.

    Args:
        config: rates.
        state: what to update.
        batch: steps from the replay buffer, as `scaled` gives them.
        key: draws actions.
        penalty: actor -> () what is added to the actor's loss.
        price: (batch,) what the critic of costs says of the batch's actions -> () its weight in the actor's loss.
        cost_discount: of the critic of costs.
        weights: (batch,) of each step in the actor's loss; 1 when left out.
        critic_weights: (batch,) of each step in the critics' losses; 1 when left out.
        entropy_weight: factor on the entropy in the actor's loss.
        heard: (batch,) of each step in the mean cost value that is told; 1 when left out.
        fresh: the mean cost value is of actions drawn now, not of those in the batch.
    """
    rule = temperature(config)
    warmth = rule.multiplier(state.temperature)
    now, later = normal(key, (2, *batch.actions.shape))
    targets = jax.lax.stop_gradient(target(config, state, warmth, batch, later, cost_discount))

    def weighted(losses: Array, by: Array | None) -> Array:
        return jnp.mean(losses if by is None else by * losses, axis=-1)

    def critics_lost(critics: MLP) -> tuple[Array, Array]:
        said = values(critics, batch.observations, batch.actions)
        return jnp.sum(weighted(0.5 * (said - targets) ** 2, critic_weights)), said

    (critic_loss, said), critic_slope = jax.value_and_grad(critics_lost, has_aux=True)(state.critics)
    weight = None if price is None else jax.lax.stop_gradient(price(said[2]))

    def actor_lost(actor: SquashedGaussianPolicy) -> tuple[Array, tuple[Array, Array]]:
        actions, log_prob = actor.sample(batch.observations, now)
        worth = values(state.critics, batch.observations, actions)
        losses = entropy_weight * warmth * log_prob - jnp.min(worth[:2], axis=0)
        if weight is not None:
            losses = losses + weight * worth[2]
        loss = weighted(losses, weights)
        return loss if penalty is None else loss + penalty(actor), (-jnp.mean(log_prob), worth)

    (actor_loss, (entropy, worth)), actor_slope = jax.value_and_grad(actor_lost, has_aux=True)(state.actor)

    directions, optimizer = _ADAM.update((actor_slope, critic_slope), state.optimizer)
    actor = _moved(state.actor, directions[0], config.learning_rate)
    critics = _moved(state.critics, directions[1], config.critic_learning_rate)
    warmer = state.temperature
    if config.learn_temperature:
        half = (state.actor.high - state.actor.low) / 2
        wanted = batch.actions.shape[-1] * (config.target_entropy + math.log(half))
        warmer = rule.update(state.temperature, wanted - entropy)
    after = State(
        actor=actor,
        critics=critics,
        targets=optax.incremental_update(critics, state.targets, config.target_rate),
        optimizer=optimizer,
        temperature=warmer,
        scaler=state.scaler,
    )
    metrics = {
        "loss": actor_loss,
        "critic_loss": critic_loss,
        "value": jnp.mean(said[:2]),
        "entropy": entropy,
        "temperature": warmth,
    }
    if len(said) > 2:
        costs = (worth if fresh else said)[2]
        metrics["cost_value"] = jnp.mean(costs) if heard is None else heard @ costs / jnp.sum(heard)
    return after, metrics


def _moved(network: Any, directions: Any, rate: float) -> Any:
    return jax.tree.map(lambda x, direction: x - rate * direction, network, directions)


def update(
    config: Config,
    cost_limit: Array,
    state: State,
    batch: Transitions,
    demonstrations: Demonstrations | None,
    key: Array,
) -> tuple[State, Metrics]:
    """One update; neither costs nor demonstrations make a difference."""
    return learn(config, *scaled(state, batch), key)


SAC = OffPolicyMethod(
    name="sac",
    title="Soft actor-critic, blind to cost",
    config=Config,
    presets={"default": Config()},
    init=init,
    update=update,
    acts=policy,
    policy=policy,
    document=__doc__ or "",
)
