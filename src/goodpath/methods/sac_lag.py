"""SAC-Lagrangian: SAC on reward minus cost at a price, and a price that rises while the limit is broken.

To SAC (`methods/sac.py`) comes a third critic C of costs c, and a multiplier m (arXiv 2307.14316, appendix A):

    critic of costs:  (C(s, a) - c - (1 - d) cost discount max(T_C(s', a'), 0))^2 / 2
    actor:            SAC's loss + (m - D) C(s, a~)
    multiplier:       m (limit - mean of C(s, a) over the batch): it rises while C is above the limit

The limit L of a whole episode of T steps becomes one of discounted cost: that of a cost which is the same at
every step, g being the cost discount,

    limit = L (1 - g^T) / ((1 - g) T).

D = `damping` * (limit - mean of C(s, a)) is not in the paper; the authors' code has it, at 10. It weighs costs more
while the limit is broken, and *pays* for them while it is kept.

The critic says too little: the actor looks for what it underrates. In SaGui's Static arena it stood at the limit of 5
while episodes cost 10. So its error, what episodes cost less what it says, is followed slowly (`calibration`), and
added for the multiplier: in the end the limit holds for the mean cost of an episode. Neither paper nor code have that.
The mean of C is of the batch's actions, as in the code, or of fresh ones, as the paper has it (`value_of`): those
follow the policy at once, where a long replay buffer lags behind.

A multiplier that is the softplus of a parameter, as in both, sinks to nothing while the limit is kept, where its
gradient vanishes and it may stay. By default it is moved itself and cut off at 0.

Presets: `default` is what we recommend. `paper` has the paper's networks for its smallest task, a softplus and no
damping; `release` adds what the authors' code has. Their step of the multiplier is 50 times that of the
networks. `semi-dynamic` and `dynamic` are for SaGui's wide arenas, with the paper's networks for each.
"""

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

import equinox as eqx
import jax.numpy as jnp
from jax import Array

from goodpath import duals
from goodpath.methods import sac
from goodpath.methods.contract import Demonstrations, Metrics, OffPolicyMethod, Transitions
from goodpath.spec import Spec


@dataclass(frozen=True)
class Config(sac.Config):
    """Options of SAC-Lagrangian."""

    cost_discount: float = 0.99
    """Of costs."""
    multiplier: Literal["projected", "softplus"] = "projected"
    """What the gradient moves: the multiplier itself, cut off at 0, or a parameter whose softplus it is."""
    multiplier_learning_rate: float = 1e-4
    """Of Adam: about how far the multiplier, or its parameter, moves in an update."""
    initial_multiplier: float = 0.7
    """At the start."""
    max_multiplier: float = 1000.0
    """Bound on it."""
    calibration: float = 5e-5
    """How fast, in an update, the critic's error is learnt that the multiplier adds to it; 0 adds nothing."""
    value_of: Literal["batch", "policy"] = "batch"
    """Whose actions the mean cost value is of: those that were taken once, or what the policy would do now."""
    damping: float = 0.0
    """Weight of the limit less the mean cost value, which is taken off the multiplier."""


class State(eqx.Module):
    """Everything that changes in training.

    Attributes:
        sac: of SAC, with a critic of costs.
        multiplier: state of its rule.
        error: () by how much episodes really cost more than the critic says, or (kinds,) for several kinds of them.
        episode_length: steps of an episode, which the limit is about.
    """

    sac: sac.State
    multiplier: duals.GradientState
    error: Array
    episode_length: int = eqx.field(static=True)


def dual(config: Config) -> duals.Gradient:
    """The rule that moves the multiplier."""
    return duals.Gradient(
        config.multiplier_learning_rate,
        config.initial_multiplier,
        config.max_multiplier,
        form=config.multiplier,
    )


def init(config: Config, spec: Spec, key: Array, kinds: tuple[int, ...] = ()) -> State:
    """A fresh state, for one kind of episodes or several."""
    networks = sac.init(config, spec, key, critics=3)
    return State(networks, dual(config).init(), jnp.zeros(kinds), spec.episode_length)


def discounted_limit(cost_limit: Array, cost_discount: float, episode_length: int) -> Array:
    """() the discounted cost of an episode whose steps cost the same, and together the limit."""
    steps = (1 - cost_discount**episode_length) / (1 - cost_discount)
    return cost_limit * (steps / episode_length)


def scaled(state: State, batch: Transitions) -> tuple[State, Transitions]:
    """See `sac.scaled`."""
    networks, batch = sac.scaled(state.sac, batch)
    return replace(state, sac=networks), batch


def learn(
    config: Config,
    cost_limit: Array,
    state: State,
    batch: Transitions,
    key: Array,
    least_error: float = -math.inf,
    **options: Any,
) -> tuple[State, Metrics]:
    """One update of SAC at the current price, then of the price.

    Args:
        config: rates.
        cost_limit: () limit on the episode cost.
        state: what to update.
        batch: steps from the replay buffer, as `scaled` gives them.
        key: draws actions.
        least_error: the critic's error counts as no less than this.
        options: `penalty`, `weights`, `critic_weights` and `heard` of `sac.learn`.
    """
    rule = dual(config)
    multiplier = rule.multiplier(state.multiplier)
    limit = discounted_limit(cost_limit, config.cost_discount, state.episode_length)

    def price(costs: Array) -> Array:
        return multiplier - config.damping * (limit - jnp.mean(costs))

    after, metrics = sac.learn(
        config,
        state.sac,
        batch,
        key,
        price=price,
        cost_discount=config.cost_discount,
        fresh=config.value_of == "policy",
        **options,
    )
    error = state.error
    if batch.episode_cost is not None:
        measured = discounted_limit(batch.episode_cost, config.cost_discount, state.episode_length)
        apart = measured - metrics["cost_value"] - error
        error = error + config.calibration * jnp.where(jnp.isnan(measured), 0.0, apart)
    worst = jnp.max(error)
    violation = metrics["cost_value"] + jnp.maximum(worst, least_error) - limit
    moved = rule.update(state.multiplier, violation)
    metrics = metrics | {"multiplier": multiplier, "violation": violation, "critic_error": worst}
    return State(after, moved, error, state.episode_length), metrics


def update(
    config: Config,
    cost_limit: Array,
    state: State,
    batch: Transitions,
    demonstrations: Demonstrations | None,
    key: Array,
) -> tuple[State, Metrics]:
    """One update; demonstrations make no difference."""
    return learn(config, cost_limit, *scaled(state, batch), key)


WIDE: dict[str, Any] = {
    "normalize": True,
    "near": ("hazards_lidar", "vases_lidar"),
    "target_rate": 0.03,
    "discount": 0.97,
    "cost_discount": 0.97,
}
"""Units and horizon for SaGui's wide arenas, where costs are few and far between; `docs/sagui.md` says why."""
SEMI_DYNAMIC: dict[str, Any] = {
    **WIDE,
    "hidden": (64, 64),
    "batch": 64,
    "steps": 3_000_000,
    "target_entropy": 0.0,
    "min_temperature": 1e-3,
}
"""Who learns a task in SaGui's Semi-Dynamic arena; networks, batch and steps are the paper's."""
DYNAMIC: dict[str, Any] = {
    **SEMI_DYNAMIC,
    "hidden": (256, 256),
    "batch": 256,
    "steps": 4_500_000,
    "target_entropy": -0.7,
}
"""Who learns a task in SaGui's Dynamic arena."""
_DEFAULT = Config()
_PAPER = replace(
    _DEFAULT,
    hidden=(32, 32),
    batch=32,
    start=500,
    initial_gain=1.0,
    multiplier="softplus",
    multiplier_learning_rate=0.05,
    calibration=0.0,
)
SAC_LAG = OffPolicyMethod(
    name="sac-lag",
    title="SAC-Lagrangian",
    config=Config,
    presets={
        "default": _DEFAULT,
        "paper": _PAPER,
        "release": replace(_PAPER, damping=10.0),
        "semi-dynamic": replace(_DEFAULT, **SEMI_DYNAMIC),
        "dynamic": replace(_DEFAULT, **DYNAMIC),
    },
    init=init,
    update=update,
    acts=lambda state: sac.policy(state.sac),
    policy=lambda state: sac.policy(state.sac),
    document=__doc__ or "",
)
