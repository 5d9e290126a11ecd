"""PPO with demonstrations under a multiplier: SCOPIL's constraint without its entropy, on PPO instead of SAC.

PPO for discrete actions (`methods/ppo_discrete.py`) whose actor minimises in each minibatch

    PPO's loss + m E_D[-log p(a|s)],

where D is a minibatch of an expert's steps, drawn anew, and m a multiplier that follows E_D[-log p(a|s)] by one step of
Adam after each minibatch. As that mean is never negative, m only rises, and the policy drifts towards cloning.

It is the on-policy ablation in the code of SCOPIL's authors (arXiv 2507.06780), which always drew from the same few
demonstrations; here all of them count.
"""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from goodpath import duals
from goodpath.methods import ppo_discrete
from goodpath.methods.contract import Demonstrations, Metrics, OnPolicyMethod, Stretch
from goodpath.methods.on_policy import Rows
from goodpath.methods.ppo_discrete import State
from goodpath.policies import CategoricalPolicy
from goodpath.replay import sample
from goodpath.spec import Spec


@dataclass(frozen=True)
class Config(ppo_discrete.Config):
    """Options of PPO with demonstrations."""

    initial_multiplier: float = 1.05
    """At the start."""
    multiplier_learning_rate: float = 3e-4
    """Of Adam: about how far the multiplier moves after a minibatch."""


def multiplier(config: Config) -> duals.Gradient:
    """The rule that moves the multiplier."""
    return duals.Gradient(config.multiplier_learning_rate, config.initial_multiplier, epsilon=1e-4)


def init(config: Config, spec: Spec, key: Array) -> State:
    """A fresh state."""
    return ppo_discrete.init(config, spec, key, dual=multiplier(config).init())


def update(
    config: Config, state: State, stretch: Stretch, demonstrations: Demonstrations, key: Array
) -> tuple[State, Metrics]:
    """One update from a stretch and from demonstrations."""
    rule = multiplier(config)

    def loss(
        actor: CategoricalPolicy, dual: duals.GradientState, batch: Rows, key: Array
    ) -> tuple[Array, duals.GradientState]:
        shown = sample(key, demonstrations, len(batch["log_prob"]))
        surprise = -jnp.mean(actor.log_prob(shown.observations, shown.actions))
        moved = rule.update(dual, jax.lax.stop_gradient(surprise))
        return ppo_discrete.clipped(config, actor, batch)[0] + rule.multiplier(dual) * surprise, moved

    table = ppo_discrete.rows(config, state.networks, stretch)
    after, metrics = ppo_discrete.fit(config, state, table, loss, key)
    surprise = -jnp.mean(after.networks.actor.log_prob(demonstrations.observations, demonstrations.actions))
    found: dict[str, Any] = {"multiplier": rule.multiplier(state.dual), "demonstration_loss": surprise}
    return after, metrics | found


PPO_DEMONSTRATIONS = OnPolicyMethod(
    name="ppo-demonstrations",
    title="PPO with demonstrations under a multiplier",
    config=Config,
    presets={"default": Config()},
    init=init,
    update=update,
    policy=ppo_discrete.policy,
    document=__doc__ or "",
    demonstrated=True,
)
