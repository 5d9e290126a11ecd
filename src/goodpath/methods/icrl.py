"""ICRL: learn from demonstrations what is forbidden, and avoid it (arXiv 2011.09999), for discrete actions.

A network z(s, a) in (0, 1) says how likely it is that doing a in s is allowed. Iterations take turns:

1. *Forward.* PPO-Lagrangian on PPO for discrete actions (`methods/ppo_discrete.py`) learns from the task's reward
   and from the cost 1 - z. With the advantage A of rewards, standardised, the advantage C of costs, centred but not
   scaled, r and clip as in PPO, and the multiplier m, the actor minimises

       (-E[min(r A, clip(r, 1 - clip, 1 + clip) A)] + m E[r C]) / (1 + m)

   and m, the softplus of a parameter that Adam moves, follows the mean cost of a step less `budget`.

2. *Backward.* M new episodes of the policy are played, and z makes up to `backward_steps` steps of Adam on

       -E_D[log(z + e)] + E_own[w log(z + e)] + regularizer (E_D[1 - z] + E_own[1 - z]),    e = 1e-5

   where D are the steps of the demonstrations and own those of the episodes: the gradient of the likelihood of the
   demonstrations under a policy of maximal entropy that may do what z allows, and a preference for few constraints.
   The weights w correct for z having moved since the episodes were played. With the ratio q = (z + e) / (z_then + e),
   w of a step is q over its mean (`weights="step"`), or the product Q of q over its episode, over the mean of Q over
   episodes (`weights="episode"`). Steps end early once -E[log Q] exceeds `max_kl_forward` or
   E[(Q - E[Q]) log Q] / E[Q] exceeds `max_kl_backward`; both are over episodes, and estimate how far apart the policies
   of maximal entropy are.

The learning rate of z falls by `decay` with every iteration. Iterations are spread evenly over the run; the first has
the untrained z, for which everything costs about a half. The steps of the M episodes are not counted among `steps`;
`own_steps` in the log is their number. With a budget of 0 and costs that cannot be negative m only ever rises.

Nothing in this method is told the task's own costs.

Presets: `default` is what we found to work best, in few and short trials. `release` has the options of SCOPIL's
authors as far as they are known: one copy of the task, rollouts of 2000, and ends of episodes shifted by one step,
which handicaps it. Their multiplier cannot fall below 0.54; as it never falls, ours has no such bound.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jax import Array

from goodpath import duals
from goodpath.methods import ppo_discrete
from goodpath.methods.contract import Demonstrations, Episodes, Metrics, OnPolicyMethod, Stretch
from goodpath.methods.on_policy import Rows
from goodpath.networks import MLP, xavier_mlp
from goodpath.policies import CategoricalPolicy
from goodpath.spec import Spec

_SMALL = 1e-5


@dataclass(frozen=True)
class Config(ppo_discrete.Config):
    """Options of ICRL."""

    steps: int = 200_000
    """Environment steps of each seed, without those of the episodes from which the constraint is learnt."""
    minibatch: int = 250
    """Steps in a minibatch of PPO."""
    iterations: int = 100
    """How often the constraint is learnt anew, less one; no more often than there are rollouts."""
    own_episodes: int = 25
    """Of the policy, from which the constraint is learnt."""
    backward_steps: int = 20
    """Steps of Adam on the constraint in an iteration, at most."""
    constraint_hidden: tuple[int, ...] = (40, 40)
    """Sizes of the hidden layers of the constraint's network, with ReLU between them."""
    constraint_learning_rate: float = 0.003
    """Of Adam, for the constraint, in the first iteration."""
    decay: float = 0.97
    """Factor on that learning rate with every iteration."""
    regularizer: float = 0.5
    """Weight of the preference for few constraints."""
    weights: Literal["step", "episode", "none"] = "step"
    """What corrects for the constraint having moved: weights of steps, of episodes, or nothing."""
    max_kl_forward: float = 0.0
    """The constraint's steps end beyond this, from the policy that played to the one that it would allow now; 0 is no
    bound."""
    max_kl_backward: float = 0.0
    """The same the other way round; 0 is no bound."""
    budget: float = 0.0
    """Mean cost 1 - z of a step that is kept to."""
    initial_multiplier: float = 1.0
    """At the start."""
    multiplier_learning_rate: float = 0.1
    """Of Adam, for the parameter whose softplus is the multiplier; it moves once a rollout."""


class State(eqx.Module):
    """Everything that changes in training.

    Attributes:
        agent: PPO and its multiplier.
        constraint: observation and action, one behind the other, to the logit of z.
        optimizer: moments of Adam of the constraint.
        revisions: () how often it was learnt anew.
    """

    agent: ppo_discrete.State
    constraint: MLP
    optimizer: optax.OptState
    revisions: Array


_ADAM = optax.scale_by_adam()


def multiplier(config: Config) -> duals.Gradient:
    """The rule that moves the multiplier."""
    return duals.Gradient(config.multiplier_learning_rate, config.initial_multiplier, form="softplus")


def init(config: Config, spec: Spec, key: Array) -> State:
    """A fresh state."""
    agent_key, constraint_key = jax.random.split(key)
    agent = ppo_discrete.init(config, spec, agent_key, costs=True, dual=multiplier(config).init())
    sizes = (spec.observation_size + spec.action_size, *config.constraint_hidden, 1)
    constraint = xavier_mlp(sizes, constraint_key)
    return State(agent, constraint, _ADAM.init(constraint), jnp.zeros((), jnp.int32))


def allowed(constraint: MLP, observations: Array, actions: Array) -> Array:
    """(...,) z of (..., observation) observations and (..., action) actions."""
    return jax.nn.sigmoid(constraint(jnp.concatenate([observations, actions], axis=-1))[..., 0])


def priced_loss(config: ppo_discrete.Config, actor: CategoricalPolicy, price: Array, batch: Rows) -> Array:
    """() the actor's loss in a minibatch; `price` is the multiplier."""
    loss, ratio = ppo_discrete.clipped(config, actor, batch)
    costs = batch["cost_advantage"] - jnp.mean(batch["cost_advantage"])
    return (loss + price * jnp.mean(ratio * costs)) / (1 + price)


def update(
    config: Config, state: State, stretch: Stretch, demonstrations: Demonstrations, key: Array
) -> tuple[State, Metrics]:
    """One update of PPO-Lagrangian with the constraint as it is, then of the multiplier."""
    rule = multiplier(config)
    price = rule.multiplier(state.agent.dual)
    costs = 1 - allowed(state.constraint, stretch.observations, stretch.actions)

    def loss(actor: CategoricalPolicy, dual: Any, batch: Rows, key: Array) -> tuple[Array, Any]:
        return priced_loss(config, actor, price, batch), dual

    table = ppo_discrete.rows(config, state.agent.networks, stretch, costs)
    agent, metrics = ppo_discrete.fit(config, state.agent, table, loss, key)
    moved = rule.update(agent.dual, jnp.mean(costs) - config.budget)
    shown = allowed(state.constraint, demonstrations.observations, demonstrations.actions)
    metrics |= {"multiplier": price, "learnt_cost": jnp.mean(costs), "demonstrated_cost": jnp.mean(1 - shown)}
    after = eqx.tree_at(lambda agent: agent.dual, agent, moved)
    return eqx.tree_at(lambda s: s.agent, state, after), metrics


def correction(config: Config, then: Array, now: Array, taken: Array) -> tuple[Array, Array, Array]:
    """(M, L) weights of the steps of M episodes, and () both divergences.

    Args:
        config: which weights.
        then: (M, L) z when the episodes were played.
        now: (M, L) z now.
        taken: (M, L) bool, the steps that count; the weight of others is 0.
    """
    logarithms = jnp.where(taken, jnp.log(now + _SMALL) - jnp.log(then + _SMALL), 0.0)
    products = jnp.sum(logarithms, axis=1)
    shares = len(products) * jax.nn.softmax(products)  # Q / E[Q], which may be a ratio of very small numbers
    forward = -jnp.mean(products)
    backward = jnp.mean((shares - 1) * products)
    weights = jnp.ones_like(then)
    if config.weights == "step":
        ratios = jnp.exp(logarithms)
        weights = ratios / jnp.mean(ratios, where=taken)
    if config.weights == "episode":
        weights = jnp.broadcast_to(shares[:, None], then.shape)
    return jnp.where(taken, weights, 0.0), forward, backward


def constraint_loss(
    config: Config, constraint: MLP, shown: Demonstrations, episodes: Episodes, weights: Array
) -> Array:
    """() what the constraint minimises; `weights` (M, L) are those of the steps of the episodes."""
    expert = allowed(constraint, shown.observations, shown.actions)
    own = allowed(constraint, episodes.observations, episodes.actions)
    likelihood = jnp.mean(jnp.log(expert + _SMALL)) - jnp.mean(
        weights * jnp.log(own + _SMALL), where=episodes.taken
    )
    forbidden = jnp.mean(1 - expert) + jnp.mean(1 - own, where=episodes.taken)
    return -likelihood + config.regularizer * forbidden


def revise(
    config: Config, state: State, episodes: Episodes, demonstrations: Demonstrations
) -> tuple[State, Metrics]:
    """The backward part of an iteration."""
    rate = config.constraint_learning_rate * config.decay**state.revisions

    def judged(constraint: MLP) -> Array:
        return allowed(constraint, episodes.observations, episodes.actions)

    then = judged(state.constraint)

    def step(carry: tuple[Array, Array, MLP, Any, Array]) -> tuple[Array, Array, MLP, Any, Array]:
        done, _, constraint, moments, _ = carry
        weights, forward, backward = correction(config, then, judged(constraint), episodes.taken)
        bounds = ((forward, config.max_kl_forward), (backward, config.max_kl_backward))
        far = jnp.any(jnp.stack([(value > bound) & (bound > 0) for value, bound in bounds]))
        loss, slope = jax.value_and_grad(
            lambda network: constraint_loss(config, network, demonstrations, episodes, weights)
        )(constraint)
        change, later = _ADAM.update(slope, moments)
        moved = jax.tree.map(lambda value, part: value - rate * part, constraint, change)
        constraint, moments = jax.tree.map(
            lambda old, new: jnp.where(far, old, new), (constraint, moments), (moved, later)
        )
        return done + ~far, far, constraint, moments, loss

    done, _, constraint, moments, loss = jax.lax.while_loop(
        lambda carry: (carry[0] < config.backward_steps) & ~carry[1],
        step,
        (
            jnp.zeros((), jnp.int32),
            jnp.zeros((), jnp.bool_),
            state.constraint,
            state.optimizer,
            jnp.zeros(()),
        ),
    )
    metrics = {
        "constraint_loss": loss,
        "constraint_steps": done.astype(jnp.float32),
        "own_allowed": jnp.mean(judged(constraint), where=episodes.taken),
        "own_steps": jnp.sum(episodes.taken).astype(jnp.float32),
    }
    return State(state.agent, constraint, moments, state.revisions + 1), metrics


_DEFAULT = Config()
ICRL = OnPolicyMethod(
    name="icrl",
    title="ICRL: a learnt constraint, and PPO-Lagrangian that keeps it",
    config=Config,
    presets={
        "default": _DEFAULT,
        "release": replace(
            _DEFAULT,
            steps=240_000,
            num_envs=1,
            minibatch=64,
            shifted_ends=True,
            iterations=40,
            own_episodes=100,
            constraint_learning_rate=0.01,
            decay=0.9,
            max_kl_forward=10.0,
            max_kl_backward=2.5,
        ),
    },
    init=init,
    update=update,
    policy=lambda state: state.agent.networks.actor,
    document=__doc__ or "",
    revise=revise,
    demonstrated=True,
)
