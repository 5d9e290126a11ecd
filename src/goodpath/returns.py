"""Advantages from rewards or costs and value estimates, with time limits treated as what they are."""

import jax
import jax.numpy as jnp
from jax import Array


def advantages(
    rewards: Array,
    values: Array,
    next_values: Array,
    terminated: Array,
    ended: Array,
    discount: float,
    trace: float,
) -> Array:
    """Generalised advantage estimates (arXiv 1506.02438).

    With d_t = r_t + discount * V(s'_t) - V(s_t), the estimate is A_t = d_t + discount * trace * A_{t+1}. Where the
    environment terminated an episode, V(s'_t) counts as zero. Where a time limit or the end of the rollout cut
    it, V of its true last observation stands for what would have come. Nothing leaks from one episode into
    another: the sum stops wherever an episode ended. Advantage plus V(s_t) is the target for V.

    Args:
        rewards: (..., T) rewards, or costs.
        values: (..., T) V(s_t).
        next_values: (..., T) V(s'_t) of the true successor, also where a new episode follows.
        terminated: (..., T) bool, the environment ended the episode at this step.
        ended: (..., T) bool, the episode ended at this step for whatever reason.
        discount: gamma.
        trace: lambda: 0 trusts V, 1 trusts the sum of rewards.

    Returns:
        (..., T) advantages.
    """
    differences = rewards + discount * jnp.where(terminated, 0.0, next_values) - values
    carried = jnp.where(ended, 0.0, discount * trace)

    def back(later: Array, now: tuple[Array, Array]) -> tuple[Array, Array]:
        difference, carry = now
        advantage = difference + carry * later
        return advantage, advantage

    time_first = (jnp.moveaxis(differences, -1, 0), jnp.moveaxis(carried, -1, 0))
    _, result = jax.lax.scan(back, jnp.zeros(differences.shape[:-1]), time_first, reverse=True)
    return jnp.moveaxis(result, 0, -1)
