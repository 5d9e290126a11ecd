"""Evaluation: seeded episodes of trained policies, all of them side by side in one batched environment."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from goodpath.envs.vector import BatchedEnv, Drawable
from goodpath.errors import GoodpathError
from goodpath.policies import Policy, TrainedPolicy
from goodpath.trajectories import Doubles

EVALUATION_SEED = 1_000_000  # far from the seeds people train with


@dataclass(frozen=True)
class Evaluation:
    """What P policies did in E episodes each; episode e starts from the same seed for every policy.

    Attributes:
        returns: (P, E) undiscounted.
        costs: (P, E) undiscounted.
        lengths: (P, E) steps.
        paths: recorded episodes to draw, as JSON-ready dictionaries; see `evaluate`.
    """

    returns: Doubles
    costs: Doubles
    lengths: Doubles
    paths: list[dict[str, Any]]


@eqx.filter_jit
def _act(policies: Policy, observations: Array, key: Array | None) -> Array:
    """Actions of stacked policies for (policies, episodes, observation) observations."""
    if key is None:
        return jax.vmap(lambda policy, seen: policy(seen))(policies, observations)
    keys = jax.random.split(key, observations.shape[0])
    return jax.vmap(lambda policy, seen, k: policy(seen, k))(policies, observations, keys)


def evaluate(
    policies: Policy,
    env: BatchedEnv,
    episodes: int,
    seed: int = EVALUATION_SEED,
    draw: int = 0,
    stochastic: bool = False,
) -> Evaluation:
    """Runs `episodes` episodes of every policy. The same arguments give the same numbers.

    Args:
        policies: policies of one structure, stacked along a leading axis of length P.
        env: an environment of P * episodes copies.
        episodes: episodes of each policy.
        seed: episode e starts from `seed + e`.
        draw: how many episodes of each policy are recorded for drawing, where the environment can be drawn.
        stochastic: sample actions instead of taking the most likely ones.
    """
    number = env.num_envs // episodes
    key = jax.random.key(seed) if stochastic else None
    observations = env.reset([seed + e for _ in range(number) for e in range(episodes)])
    returns, costs, lengths = (np.zeros(env.num_envs) for _ in range(3))
    active = np.ones(env.num_envs, np.bool_)
    recorders = _recorders(env, episodes, draw)
    while active.any():
        key, step_key = (None, None) if key is None else tuple(jax.random.split(key))
        shaped = jnp.asarray(observations.reshape(number, episodes, -1), jnp.float32)
        actions = np.asarray(_act(policies, shaped, step_key)).reshape(env.num_envs, -1)
        for recorder in recorders:
            recorder.before(env, active)
        step = env.step(actions)
        for recorder in recorders:
            recorder.after(step.costs, active)
        returns += active * step.rewards
        costs += active * step.costs
        lengths += active
        active &= ~(step.terminated | step.truncated)
        observations = step.observations
    shape = (number, episodes)
    return Evaluation(
        returns.reshape(shape),
        costs.reshape(shape),
        lengths.reshape(shape),
        [recorder.episode(returns, costs) for recorder in recorders],
    )


class _Recorder:
    """Keeps the path of one environment's first episode."""

    def __init__(self, env: Drawable, index: int, policy: int, episode: int) -> None:
        self._index, self._policy, self._episode = index, policy, episode
        self._scene = env.scene(index)
        self._positions: list[list[float]] = []
        self._costs: list[float] = []

    def before(self, env: Any, active: np.ndarray) -> None:
        if active[self._index]:
            self._positions.append([round(float(x), 4) for x in env.positions()[self._index]])

    def after(self, costs: np.ndarray, active: np.ndarray) -> None:
        if active[self._index]:
            self._costs.append(float(costs[self._index]))

    def episode(self, returns: Doubles, costs: Doubles) -> dict[str, Any]:
        shapes = [
            {
                "kind": shape.kind,
                "role": shape.role,
                "position": [float(x) for x in shape.position],
                "size": [float(x) for x in shape.size]
                if isinstance(shape.size, tuple)
                else float(shape.size),
                "angle": float(shape.angle),
            }
            for shape in self._scene.shapes
        ]
        return {
            "policy": self._policy,
            "episode": self._episode,
            "return": float(returns[self._index]),
            "cost": float(costs[self._index]),
            "scene": {"extent": float(self._scene.extent), "shapes": shapes},
            "positions": self._positions,
            "costs": self._costs,
        }


def _recorders(env: BatchedEnv, episodes: int, draw: int) -> list[_Recorder]:
    if draw == 0 or not isinstance(env, Drawable):
        return []
    return [
        _Recorder(env, policy * episodes + e, policy, e)
        for policy in range(env.num_envs // episodes)
        for e in range(min(draw, episodes))
    ]


def stack(policies: Sequence[TrainedPolicy]) -> Policy:
    """Stacks trained policies of one structure, for `evaluate`.

    Raises:
        GoodpathError: the policies differ in kind or size.
    """
    trees = [policy.policy for policy in policies]
    shapes = [jax.tree.map(jnp.shape, tree) for tree in trees]
    if any(shape != shapes[0] for shape in shapes):
        raise GoodpathError(
            "policies of different kinds or sizes cannot be evaluated together; do it one by one."
        )
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)
