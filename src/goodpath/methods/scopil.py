"""SCOPIL: reach the goal by reward, and keep to rules that only demonstrations tell of (arXiv 2507.06780).

Discrete SAC (`methods/sac_discrete.py`) whose actor is held to what an expert did. With D the expert's pairs of
state and action, a the temperature and H the entropy, the constraint is

    g = mean over D of (-log p(action|state) - a H(p(.|state))) - threshold <= 0,

the part of KL(expert || policy) that depends on the policy, less the entropy that the temperature asks for. Its
multiplier m joins the actor's loss, and then follows g by gradient ascent:

    actor:       SAC's loss + m g
    multiplier:  rises while g > 0, with g of the actor and the temperature after their steps

Demonstrations enter the critics nowhere. Where an expert does different things in one state, with entropy H_E, the
best fit has g = (1 - a) H_E - threshold, which a threshold of 0 forbids for a < 1: then m goes on rising.

`beta` divides the entropy between the two: its weight is 2 (1 - beta) in SAC's part and 2 beta in g; 0.5, as in the
paper, leaves both at 1. (The division is our reading; the authors' code has no beta.)

Presets: `default` is what we recommend. `release` follows the authors' code: its multiplier may become negative. For
all of its quirks take the task `MarbleMazeLegacy-v0`, which terminates at the time limit. `s-eic` leaves the entropy
out of g, so that m only rises; `s-dgd-eic` fixes m as well. Without any, see `sac-discrete`.
"""

from dataclasses import dataclass, replace

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array

from goodpath import duals
from goodpath.methods import sac_discrete
from goodpath.methods.contract import Demonstrations, Metrics, OffPolicyMethod, Transitions
from goodpath.methods.sac_discrete import entropy, log_probs
from goodpath.policies import CategoricalPolicy
from goodpath.replay import different
from goodpath.spec import Spec


@dataclass(frozen=True)
class Imitation:
    """Options of the constraint, whatever the actions are."""

    demonstration_batch: int = 256
    """Pairs of the expert in an update, all different."""
    entropy_in_constraint: bool = True
    """The entropy at the expert's states counts against the constraint."""
    beta: float = 0.5
    """Share of the entropy that belongs to the constraint."""
    learn_multiplier: bool = True
    """The multiplier follows the constraint; else it stays as it is."""
    initial_multiplier: float = 1.05
    """At the start."""
    multiplier_learning_rate: float = 3e-4
    """Of Adam: about how far the multiplier moves in an update."""
    project_multiplier: bool = True
    """The multiplier does not fall below 0, where it would drive the policy away from the demonstrations."""


@dataclass(frozen=True)
class Config(Imitation, sac_discrete.Config):
    """Options of SCOPIL."""

    threshold: float = 0.0
    """What the constraint may reach."""


class State(eqx.Module):
    """Everything that changes in training.

    Attributes:
        sac: of discrete SAC.
        multiplier: state of its rule.
    """

    sac: sac_discrete.State
    multiplier: duals.GradientState


def multiplier(config: Imitation) -> duals.Gradient:
    """The rule that moves the multiplier."""
    return duals.Gradient(
        config.multiplier_learning_rate,
        config.initial_multiplier,
        form="projected" if config.project_multiplier else "raw",
        epsilon=1e-4,
    )


def init(config: Config, spec: Spec, key: Array) -> State:
    """A fresh state."""
    return State(sac_discrete.init(config, spec, key), multiplier(config).init())


def draw(config: Imitation, demonstrations: Demonstrations, key: Array) -> Demonstrations:
    """Different pairs of the expert, all of them where there are no more than asked for."""
    number = len(demonstrations.observations)
    if number <= config.demonstration_batch:
        return demonstrations
    chosen = different(key, number, config.demonstration_batch)
    pairs: Demonstrations = jax.tree.map(lambda leaf: leaf[chosen], demonstrations)
    return pairs


def constraint(
    config: Config, actor: CategoricalPolicy, price: Array, pairs: Demonstrations
) -> tuple[Array, Metrics]:
    """() how far g is above 0, and its parts; `price` is the temperature."""
    log_p = log_probs(actor, pairs.observations)
    surprise = -jnp.mean(jnp.sum(pairs.actions.T * log_p, axis=0))
    spread = jnp.mean(entropy(log_p))
    parts = {"demonstration_loss": surprise, "demonstration_entropy": spread}
    if config.entropy_in_constraint:
        surprise = surprise - 2 * config.beta * price * spread
    return surprise - config.threshold, parts


def update(
    config: Config,
    cost_limit: Array,
    state: State,
    batch: Transitions,
    demonstrations: Demonstrations,
    key: Array,
) -> tuple[State, Metrics]:
    """One update of SAC under the constraint, then of the multiplier."""
    rule, warmth = multiplier(config), sac_discrete.temperature(config)
    strength, price = rule.multiplier(state.multiplier), warmth.multiplier(state.sac.temperature)
    pairs = draw(config, demonstrations, key)

    def penalty(actor: CategoricalPolicy) -> Array:
        return strength * constraint(config, actor, price, pairs)[0]

    sac, metrics = sac_discrete.learn(config, state.sac, batch, penalty, 2 * (1 - config.beta))
    excess, parts = constraint(config, sac.actor, warmth.multiplier(sac.temperature), pairs)
    moved = rule.update(state.multiplier, excess) if config.learn_multiplier else state.multiplier
    return State(sac, moved), metrics | parts | {"constraint": excess, "multiplier": strength}


_DEFAULT = Config()
_RELEASE = Config(project_multiplier=False)
SCOPIL = OffPolicyMethod(
    name="scopil",
    title="SCOPIL: constraints from demonstrations",
    config=Config,
    presets={
        "default": _DEFAULT,
        "release": _RELEASE,
        "s-eic": replace(_RELEASE, entropy_in_constraint=False),
        "s-dgd-eic": replace(_RELEASE, entropy_in_constraint=False, learn_multiplier=False),
    },
    init=init,
    update=update,
    acts=lambda state: state.sac.actor,
    policy=lambda state: state.sac.averaged,
    document=__doc__ or "",
    demonstrated=True,
)
