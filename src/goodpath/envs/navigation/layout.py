"""Where everything starts: the sampler of safety-gymnasium 1.0.0, draw for draw.

One `RandomState` serves an environment for all its life, so the same seed gives the same layouts and, as long
as the agent does the same, the same later goals as the original.
"""

from dataclasses import dataclass
from math import pi

import numpy as np
from numpy.typing import NDArray

from goodpath.envs.navigation.tasks import Task

Array = NDArray[np.float64]
Rectangle = tuple[float, float, float, float]

_ATTEMPTS = 10_000
_DRAWS = 100
_JITTER = 1e-9


class ResamplingError(Exception):
    """No free place was found for an object."""


@dataclass(frozen=True)
class Layout:
    """A start, one row for each placed thing: the agent, then the groups in order.

    Attributes:
        places: (things, 2) metres.
        angles: (things,) rotations about z in radians.
    """

    places: Array
    angles: Array


@dataclass(frozen=True)
class Plan:
    """What the sampler needs of a task, worked out once.

    Attributes:
        rectangles: for each thing, (x low, y low, x high, y high) to draw its centre from.
        keepouts: for each thing, its radius.
    """

    rectangles: tuple[Rectangle, ...]
    keepouts: tuple[float, ...]

    @classmethod
    def of(cls, task: Task) -> "Plan":
        """The plan of a task."""
        half = (task.agent_extent or task.extent) - task.agent_keepout
        rectangles: list[Rectangle] = [(-half, -half, half, half)]
        keepouts = [task.agent_keepout]
        for group in task.groups:
            reach = task.extent - group.keepout
            keepouts += [group.keepout] * len(group)
            if group.fixed:  # even these take two draws each, from a square of a nanometre
                rectangles += [(x - _JITTER, y - _JITTER, x + _JITTER, y + _JITTER) for x, y in group.fixed]
            else:
                rectangles += [(-reach, -reach, reach, reach)] * len(group)
        return cls(tuple(rectangles), tuple(keepouts))


def sample_layout(plan: Plan, random: np.random.RandomState) -> Layout:
    """Places everything, starting over whenever one thing finds no room in 100 draws.

    Raises:
        ResamplingError: there was no room in 10,000 attempts.
    """
    for _ in range(_ATTEMPTS):
        places: list[tuple[float, float]] = []
        for rectangle, keepout in zip(plan.rectangles, plan.keepouts, strict=True):
            place = _draw(rectangle, keepout, places, plan.keepouts, random, _DRAWS)
            if place is None:
                break
            places.append(place)
        else:
            angles = 2.0 * pi * random.random_sample(len(places))
            return Layout(np.array(places), angles)
    raise ResamplingError("the objects do not fit into the arena")


def resample(plan: Plan, column: int, places: Array, random: np.random.RandomState) -> tuple[float, float]:
    """Draws a new place for one thing, clear of where all others are now.

    Args:
        plan: the task's plan.
        column: which thing.
        places: (things, 2) where everything is now.
        random: the environment's stream.

    Raises:
        ResamplingError: there was no room in 10,000 draws.
    """
    others: list[tuple[float, float]] = [tuple(place) for place in np.delete(places, column, 0).tolist()]
    keepouts = plan.keepouts[:column] + plan.keepouts[column + 1 :]
    place = _draw(plan.rectangles[column], plan.keepouts[column], others, keepouts, random, _ATTEMPTS)
    if place is None:
        raise ResamplingError("there is no room for a new goal")
    return place


def _draw(
    rectangle: Rectangle,
    keepout: float,
    others: list[tuple[float, float]],
    keepouts: tuple[float, ...],
    random: np.random.RandomState,
    draws: int,
) -> tuple[float, float] | None:
    """The first of at most `draws` uniform places that is clear of all others (x is drawn before y)."""
    left, bottom, right, top = rectangle
    for _ in range(draws):
        x = left + (right - left) * random.random_sample()
        y = bottom + (top - bottom) * random.random_sample()
        for (other_x, other_y), other_keepout in zip(others, keepouts, strict=False):
            if ((x - other_x) ** 2 + (y - other_y) ** 2) ** 0.5 < other_keepout + keepout:
                break
        else:
            return x, y
    return None
