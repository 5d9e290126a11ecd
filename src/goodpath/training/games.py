"""Evaluation in a task of pure functions: all policies from every start of a list, as one compiled program."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from goodpath.envs.pure import PureTask
from goodpath.policies import Policy
from goodpath.training.evaluate import Evaluation
from goodpath.trajectories import Doubles


@dataclass(frozen=True)
class Games:
    """What P policies did from each of E starts.

    Attributes:
        returns: (P, E) undiscounted.
        violations: (P, E, kinds) steps that violated each kind of constraint.
        lengths: (P, E) steps.
        goals: (P, E) bool, whether the goal was reached.
    """

    returns: Doubles
    violations: Doubles
    lengths: Doubles
    goals: NDArray[np.bool_]

    def evaluation(self) -> Evaluation:
        """The same as far as every task has it; the cost of a game is the number of its violations."""
        return Evaluation(self.returns, self.violations.sum(-1), self.lengths, [])

    def scores(self, index: int, kinds: Sequence[str]) -> dict[str, Any]:
        """Means over the games of one policy, as plain values.

        A constraint's number is that of the violating steps in a game, its frequency their share of the steps.
        """
        violations, lengths = self.violations[index], self.lengths[index]
        share = violations / lengths[:, None]
        return {
            "return": float(self.returns[index].mean()),
            "length": float(lengths.mean()),
            "goal": float(self.goals[index].mean()),
            "games": len(lengths),
            "violations": {
                kind: {"number": float(violations[:, k].mean()), "frequency": float(share[:, k].mean())}
                for k, kind in enumerate(kinds)
            },
        }


def play(task: PureTask, policies: Policy, starts: Sequence[int], key: Array | None = None) -> Games:
    """One game of every policy from every start. The same arguments give the same games.

    Args:
        task: what to play.
        policies: policies of one structure, stacked along a leading axis of length P.
        starts: (E,) see `PureTask.start`.
        key: with it, actions are sampled; without, they are the most likely ones.
    """
    returns, violations, lengths, goals = _play(task, policies, jnp.asarray(starts), key)
    return Games(
        np.asarray(returns, np.float64),
        np.asarray(violations, np.float64),
        np.asarray(lengths, np.float64),
        np.asarray(goals),
    )


@eqx.filter_jit
def _play(task: PureTask, policies: Policy, starts: Array, key: Array | None) -> tuple[Array, ...]:
    observe, step = jax.vmap(task.observe), jax.vmap(task.step)

    def one(policy: Policy, key: Array | None) -> tuple[Array, ...]:
        def turn(carry: Any, time: Array) -> tuple[Any, None]:
            state, active, (returns, violations, lengths, goals) = carry
            action_key = None if key is None else jax.random.fold_in(key, time)
            outcome = step(state, policy(observe(state), action_key))
            sums = (
                returns + active * outcome.reward,
                violations + active[:, None] * outcome.violations,
                lengths + active,
                goals | (active & outcome.goal),
            )
            active &= ~(outcome.terminated | outcome.truncated)
            return (outcome.state, active, sums), None

        number = len(starts)
        zeros = jnp.zeros(number)
        sums = (zeros, jnp.zeros((number, len(task.kinds))), zeros, jnp.zeros(number, jnp.bool_))
        fresh = (jax.vmap(task.start)(starts), jnp.ones(number, jnp.bool_), sums)
        (_, _, totals), _ = jax.lax.scan(turn, fresh, jnp.arange(task.spec.episode_length))
        return totals

    keys = None if key is None else jax.random.split(key, jax.tree.leaves(policies)[0].shape[0])
    return jax.vmap(one)(policies, keys)
