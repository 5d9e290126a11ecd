"""SQIL: imitation by soft Q-learning with two constant rewards (arXiv 1905.11108).

Discrete SAC (`methods/sac_discrete.py`) that never hears the task's reward. Half of each batch are steps of the
expert, half are its own; with r the reward that takes the place of the task's,

    r = demonstration_reward   for a step of the expert,
    r = own_reward             for a step of its own,

and critics, actor and temperature learn from both halves alike. A policy is rewarded for doing what the expert did
where it was, and for getting back to where it was.

The paper has the rewards 1 and 0 (preset `paper`). It assumes that time never ends: where the environment ends an
episode at a goal, positive rewards make it pay to stay away from there. By default they are 0 and -1, so that
every step of its own costs something and the goal ends that; without an end the two pairs are the same task.
"""

from dataclasses import dataclass, replace

import jax.numpy as jnp
from jax import Array

from goodpath.methods import sac_discrete
from goodpath.methods.contract import Demonstrations, Metrics, OffPolicyMethod, Transitions
from goodpath.methods.sac_discrete import State, init, policy
from goodpath.replay import sample


@dataclass(frozen=True)
class Config(sac_discrete.Config):
    """Options of SQIL."""

    demonstration_reward: float = 0.0
    """Reward of every step of the expert."""
    own_reward: float = -1.0
    """Reward of every other step."""


def mixed(config: Config, batch: Transitions, demonstrations: Demonstrations, key: Array) -> Transitions:
    """As many steps as in `batch`: its first half, rounded up, and steps of the expert, with their rewards."""
    number = len(batch.rewards) // 2
    kept = len(batch.rewards) - number
    shown = sample(key, demonstrations, number)

    def join(own: Array, expert: Array) -> Array:
        return jnp.concatenate([own[:kept], expert])

    return Transitions(
        observations=join(batch.observations, shown.observations),
        actions=join(batch.actions, shown.actions),
        rewards=join(
            jnp.full_like(batch.rewards, config.own_reward), jnp.full(number, config.demonstration_reward)
        ),
        costs=join(batch.costs, jnp.zeros(number)),
        next_observations=join(batch.next_observations, shown.next_observations),
        terminated=join(batch.terminated, shown.terminated),
    )


def update(
    config: Config,
    cost_limit: Array,
    state: State,
    batch: Transitions,
    demonstrations: Demonstrations,
    key: Array,
) -> tuple[State, Metrics]:
    """One update of SAC on the mixed batch."""
    return sac_discrete.learn(config, state, mixed(config, batch, demonstrations, key))


_DEFAULT = Config()
SQIL = OffPolicyMethod(
    name="sqil",
    title="SQIL: soft Q-learning from demonstrations",
    config=Config,
    presets={
        "default": _DEFAULT,
        "paper": replace(_DEFAULT, demonstration_reward=1.0, own_reward=0.0),
    },
    init=init,
    update=update,
    acts=lambda state: state.actor,
    policy=policy,
    document=__doc__ or "",
    demonstrated=True,
)
