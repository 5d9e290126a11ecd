"""SCOPIL for actions from a box: reach the goal by reward, and keep to rules that only demonstrations tell of.

The constraint of `methods/scopil.py` on the squashed Gaussian of SAC (`methods/sac.py`). With D the expert's pairs of
state and action, p the policy, a the temperature and H the entropy, estimated by one draw in each state,

    g = mean over D of (-log p(action|state) - a H(p(.|state))) - threshold <= 0,

    actor:       SAC's loss + m g
    multiplier:  m rises while g > 0, with g of the actor and the temperature after their steps

What changes with continuous actions is the threshold. There g is one of densities, which has no floor: a policy
could fit demonstrations ever more closely, and with a threshold that it never reaches m rises for ever. So the
threshold is said as a distance: it is the entropy of a Gaussian of standard deviation `spread`, in units of half the
range of the actions, and (but for the entropy in g) the constraint holds when the policy is off the expert's actions
by that much. Demonstrated actions on the bounds, where the squashed Gaussian has no density, are moved inside.

The paper leaves continuous actions open; this is our answer, not the authors'.
"""

import math
from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
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

    spread: float = 0.05
    """How far off the expert's actions the policy may be, in half ranges of the actions."""
    edge: float = 0.02
    """How far inside the bounds demonstrated actions are moved, in half ranges."""


class State(eqx.Module):
    """Everything that changes in training.

    Attributes:
        sac: of SAC.
        multiplier: state of its rule.
    """

    sac: sac.State
    multiplier: duals.GradientState


def init(config: Config, spec: Spec, key: Array) -> State:
    """A fresh state."""
    return State(sac.init(config, spec, key), scopil.multiplier(config).init())


def threshold(config: Config, policy: SquashedGaussianPolicy, actions: int) -> float:
    """Entropy of a Gaussian of the standard deviation `spread` over that many components, in nats."""
    half = (policy.high - policy.low) / 2
    return actions * (0.5 * math.log(2 * math.pi * math.e) + math.log(config.spread * half))


def constraint(
    config: Config, actor: SquashedGaussianPolicy, price: Array, pairs: Demonstrations, noise: Array
) -> tuple[Array, Metrics]:
    """() how far g is above 0, and its parts.

    Args:
        config: threshold and what counts.
        actor: policy to hold against the expert.
        price: () temperature.
        pairs: what the expert did.
        noise: (pairs, action) standard normal, for the estimate of the entropy.
    """
    margin = config.edge * (actor.high - actor.low) / 2
    shown = jnp.clip(pairs.actions, actor.low + margin, actor.high - margin)
    surprise = -jnp.mean(actor.log_prob(pairs.observations, shown))
    spread = -jnp.mean(actor.sample(pairs.observations, noise)[1])
    parts = {"demonstration_loss": surprise, "demonstration_entropy": spread}
    if config.entropy_in_constraint:
        surprise = surprise - 2 * config.beta * price * spread
    return surprise - threshold(config, actor, pairs.actions.shape[-1]), parts


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

    def penalty(actor: SquashedGaussianPolicy) -> Array:
        return strength * constraint(config, actor, price, pairs, noise)[0]

    after, metrics = sac.learn(
        config, state.sac, batch, learn_key, penalty, entropy_weight=2 * (1 - config.beta)
    )
    excess, parts = constraint(config, after.actor, warmth.multiplier(after.temperature), pairs, noise)
    moved = rule.update(state.multiplier, excess) if config.learn_multiplier else state.multiplier
    return State(after, moved), metrics | parts | {"constraint": excess, "multiplier": strength}


SCOPIL_CONTINUOUS = OffPolicyMethod(
    name="scopil-continuous",
    title="SCOPIL for continuous actions",
    config=Config,
    presets={"default": Config()},
    init=init,
    update=update,
    acts=lambda state: state.sac.actor,
    policy=lambda state: state.sac.actor,
    document=__doc__ or "",
    demonstrated=True,
)
