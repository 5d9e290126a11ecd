"""PPO-Lagrangian: PPO on reward minus cost at a price, and a price that rises while the limit is broken.

With the multiplier m, the advantage A of rewards and the advantage A_c of costs, PPO
(`methods/ppo.py`) maximises

    A - m A_c, standardised as a whole,

so that the multiplier has the units of the task: return for each unit of cost. With `standardize="rewards"` it is
(A - m A_c) / (1 + m) with only A standardised, as in OmniSafe and in the code of SIM.

After each rollout m follows the mean cost J of its episodes, J - cost limit, by a PID controller
(`multiplier="pid"`, arXiv 2007.03964) or by gradient ascent with Adam (`multiplier="gradient"`). Costs are the plain
sums over episodes that the limit is about, so nothing is lost between discounted surrogate and limit.

The controller is slow on purpose, and starts after `free_steps`. A price that is high before the policy knows how to
earn anything teaches it to stand still, which it unlearns late or never. And without some `entropy` the policy has
nothing left to explore with by the time that the price has risen.

Presets: `omnisafe` has the options of OmniSafe 0.5.0's `PPOLag`; `gradient` its multiplier, with our other options.
"""

from dataclasses import dataclass, replace
from typing import Literal

import equinox as eqx
import jax.numpy as jnp
from jax import Array

from goodpath import duals
from goodpath.methods import on_policy, ppo
from goodpath.methods.contract import Metrics, OnlineMethod, Rollout
from goodpath.methods.on_policy import State
from goodpath.spec import Spec


@dataclass(frozen=True)
class Config(ppo.Config):
    """Options of PPO-Lagrangian."""

    multiplier: Literal["gradient", "pid"] = "pid"
    """What moves the multiplier."""
    multiplier_learning_rate: float = 0.002
    """Of Adam, where the gradient moves it."""
    initial_multiplier: float = 0.0
    """At the start."""
    max_multiplier: float = 100.0
    """Bound on it."""
    kp: float = 0.004
    """Gain of the PID controller on the violation."""
    ki: float = 1.5e-4
    """Gain on its sum."""
    kd: float = 0.0
    """Gain on its growth."""
    standardize: Literal["rewards", "total"] = "total"
    """What has mean zero and unit deviation: the advantage of rewards, or the whole objective. With `total` the
    multiplier is in units of return for each unit of cost."""


def dual(config: Config) -> duals.Dual:
    """The rule that moves the multiplier."""
    if config.multiplier == "pid":
        return duals.PID(config.kp, config.ki, config.kd, config.initial_multiplier, config.max_multiplier)
    return duals.Gradient(
        config.multiplier_learning_rate, config.initial_multiplier, upper=config.max_multiplier
    )


def init(config: Config, spec: Spec, key: Array) -> State:
    """A fresh state."""
    return on_policy.init(config, spec, key, dual=dual(config).init())


def priced(config: Config, multiplier: Array, table: on_policy.Rows) -> Array:
    """(N,) what is maximised: advantage of rewards minus that of costs at the price, on PPO's scale."""
    if config.standardize == "total":
        return on_policy.standardized(table["advantage"] - multiplier * table["cost_advantage"])
    cost = table["cost_advantage"] - jnp.mean(table["cost_advantage"])
    return (on_policy.standardized(table["advantage"]) - multiplier * cost) / (1 + multiplier)


def update(
    config: Config, cost_limit: Array, state: State, rollout: Rollout, rewards: Array | None = None
) -> tuple[State, Metrics]:
    """One update from a rollout; `rewards` (E, T) stand in for those of the rollout."""
    rule = dual(config)
    # The price follows the costs of the policy that is about to change, before it does.
    priced_by = rule.update(state.dual, on_policy.violation(config, cost_limit, state, rollout))
    multiplier = rule.multiplier(priced_by)
    table = on_policy.rows(config, state, rollout, rewards)
    table["objective"] = priced(config, multiplier, table)
    state = eqx.tree_at(lambda s: s.dual, state, priced_by)
    after, metrics = on_policy.fit(config, state, table, ppo.clipped_loss(config))
    return on_policy.finish(config, after, rollout), metrics | {"multiplier": multiplier}


_DEFAULT = Config()
_GRADIENT = replace(
    _DEFAULT,
    multiplier="gradient",
    standardize="rewards",
    multiplier_learning_rate=0.035,
    initial_multiplier=0.001,
    free_steps=0,
    entropy=0.0,
)
PPO_LAG = OnlineMethod(
    name="ppo-lag",
    title="PPO-Lagrangian",
    config=Config,
    presets={
        "default": _DEFAULT,
        "gradient": _GRADIENT,
        "omnisafe": replace(
            _GRADIENT,
            num_envs=20,
            rollout=20_000,
            learning_rate=3e-4,
            passes=40,
            minibatch=64,
            anneal=True,
            critic_learning_rate=3e-4,
            max_gradient_norm=40.0,
            initial_std=1.0,
        ),
    },
    init=init,
    update=update,
    policy=on_policy.policy,
    document=__doc__ or "",
)
