"""Proximal policy optimisation (PPO, arXiv 1707.06347): the return alone, whatever it costs.

With r = pi(a|s) / pi_old(a|s) and the standardised advantage A, each minibatch minimises

    -E[min(r A, clip(r, 1 - clip, 1 + clip) A)] - entropy * H(pi)

and half the squared errors of the critics. Passes end early once KL(pi_old || pi) exceeds `target_kl`. The cost
critic learns too, so that methods which build on PPO differ in the advantage only.
"""

from dataclasses import dataclass

import jax.numpy as jnp
from jax import Array

from goodpath.methods import on_policy
from goodpath.methods.contract import Metrics, OnlineMethod, Rollout
from goodpath.methods.on_policy import ActorLoss, Rows, State
from goodpath.policies import gaussian_log_prob


@dataclass(frozen=True)
class Config(on_policy.Config):
    """Options of PPO."""

    clip: float = 0.2
    """How far the ratio of densities may move before it stops counting."""
    entropy: float = 0.005
    """Weight of the policy's entropy."""


def clipped_loss(config: Config) -> ActorLoss:
    """The loss above, of the column `objective` as advantage."""

    def loss(mean: Array, log_std: Array, batch: Rows) -> Array:
        ratio = jnp.exp(gaussian_log_prob(mean, log_std, batch["raw"]) - batch["log_prob"])
        advantage = batch["objective"]
        held = jnp.clip(ratio, 1 - config.clip, 1 + config.clip)
        gain = jnp.mean(jnp.minimum(ratio * advantage, held * advantage))
        return -gain - config.entropy * on_policy.entropy(log_std)

    return loss


def update(config: Config, cost_limit: Array, state: State, rollout: Rollout) -> tuple[State, Metrics]:
    """One update from a rollout."""
    del cost_limit
    table = on_policy.rows(config, state, rollout)
    table["objective"] = on_policy.standardized(table["advantage"])
    after, metrics = on_policy.fit(config, state, table, clipped_loss(config))
    return on_policy.finish(config, after, rollout), metrics


PPO = OnlineMethod(
    name="ppo",
    title="PPO, blind to cost",
    config=Config,
    presets={"default": Config()},
    init=on_policy.init,
    update=update,
    policy=on_policy.policy,
    document=__doc__ or "",
)
