"""The one batched environment contract, and what an environment tells a report about its arena."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from goodpath.errors import GoodpathError
from goodpath.spec import Spec

Array = NDArray[np.float64]


class Step(NamedTuple):
    """What one step of all environments gives; every array has the leading axis `num_envs`.

    Autoreset happens in the same step: where an episode ended, `observations` already holds the first
    observation of the next one, and `final_observations` the true last one. Elsewhere the two are equal.

    Attributes:
        observations: (num_envs, observation) what the policy acts on next.
        rewards: (num_envs,).
        costs: (num_envs,).
        terminated: (num_envs,) bool, the environment ended the episode.
        truncated: (num_envs,) bool, the time limit ended it.
        final_observations: (num_envs, observation) the true successor of the step.
        info: name -> (num_envs,) array, such as `cost_hazards` or `goal_met`.
    """

    observations: Array
    rewards: Array
    costs: Array
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    final_observations: Array
    info: dict[str, NDArray[Any]]


@runtime_checkable
class BatchedEnv(Protocol):
    """`num_envs` independent copies of one task, stepped together. Seeds determine everything."""

    spec: Spec
    num_envs: int

    def reset(self, seed: int | Sequence[int] | None = None) -> Array:
        """Starts new episodes everywhere and returns (num_envs, observation) observations.

        Args:
            seed: a number s seeds environment i with s + i; a sequence gives each its own; None goes on with
                the random streams as they are.
        """

    def step(self, actions: NDArray[Any]) -> Step:
        """Steps every environment with its row of the (num_envs, action) `actions`."""

    def close(self) -> None:
        """Frees threads and simulators."""


def way(info: dict[str, NDArray[Any]], guarded: bool) -> Array:
    """(num_envs,) metres that each agent moved in a step.

    Args:
        info: of the step, from a simulator that was asked to tell of the way (`guard` of `envs.make`).
        guarded: count nothing where the agent acted from beyond the arena.

    Raises:
        GoodpathError: the task does not tell.
    """
    if "displacement" not in info:
        raise GoodpathError(
            "the task does not tell how far the agent moves, and exploring is paid by that; take a navigation task, or "
            "explore otherwise (`sagui-guide` has --explore novelty and --explore none)."
        )
    moved: Array = info["displacement"]
    return np.where(info["outside"], 0.0, moved) if guarded else moved


@dataclass(frozen=True)
class Shape:
    """One thing to draw from above.

    Attributes:
        kind: `circle` (size is its radius) or `box` (size holds its two half lengths).
        role: what it is: `goal`, `hazard`, `vase`, `wall`, `track`, ...
        position: (x, y) of its centre in metres.
        size: metres, see `kind`.
        angle: rotation of a box in radians.
    """

    kind: Literal["circle", "box"]
    role: str
    position: tuple[float, float]
    size: float | tuple[float, float]
    angle: float = 0.0

    def covers(self, x: Array, y: Array) -> NDArray[np.bool_]:
        """Which of the points (x, y), two arrays of one shape, lie in it or on its edge."""
        right, up = x - self.position[0], y - self.position[1]
        if not isinstance(self.size, tuple):
            return np.asarray(right**2 + up**2 <= self.size**2)
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        across, along = np.abs(cos * right + sin * up), np.abs(cos * up - sin * right)
        return np.asarray((across <= self.size[0]) & (along <= self.size[1]))


@dataclass(frozen=True)
class Scene:
    """An arena from above.

    Attributes:
        extent: the square [-extent, extent]² in metres that shows all of it.
        shapes: what stands in it, in drawing order.
    """

    extent: float
    shapes: tuple[Shape, ...] = field(default=())


@runtime_checkable
class Drawable(Protocol):
    """An environment whose agents can be drawn from above."""

    def positions(self) -> Array:
        """(num_envs, 2) where each agent is now, in metres."""

    def scene(self, index: int) -> Scene:
        """The arena of environment `index` as it is now."""
