"""Where things start: what a sampler needs of a task, and the original sampler, draw for draw."""

from dataclasses import dataclass
from math import pi
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from goodpath.envs.navigation.tasks import Task
from goodpath.errors import GoodpathError

Array = NDArray[np.float64]
Rectangle = tuple[float, float, float, float]

ATTEMPTS = 10_000
DRAWS = 100
_JITTER = 1e-9


class PlacementError(GoodpathError):
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
    """What a sampler needs of a task, worked out once.

    Attributes:
        task: the task's name.
        names: what to call each thing.
        rectangles: for each thing, (x low, y low, x high, y high) to draw its centre from.
        keepouts: for each thing, its radius.
    """

    task: str
    names: tuple[str, ...]
    rectangles: tuple[Rectangle, ...]
    keepouts: tuple[float, ...]

    @classmethod
    def of(cls, task: Task) -> "Plan":
        """The plan of a task."""
        half = (task.agent_extent or task.extent) - task.agent_keepout
        rectangles: list[Rectangle] = [(-half, -half, half, half)]
        keepouts = [task.agent_keepout]
        names = ["the agent"]
        for group in task.groups:
            reach = task.extent - group.keepout
            keepouts += [group.keepout] * len(group)
            names += [f"{group.name}[{index}]" for index in range(len(group))]
            if group.fixed:  # even these take two draws each, from a square of a nanometre
                rectangles += [(x - _JITTER, y - _JITTER, x + _JITTER, y + _JITTER) for x, y in group.fixed]
            else:
                rectangles += [(-reach, -reach, reach, reach)] * len(group)
        return cls(task.name, tuple(names), tuple(rectangles), tuple(keepouts))

    def no_room(self, thing: int) -> PlacementError:
        """The error for a thing that found no place."""
        left, bottom, right, top = self.rectangles[thing]
        return PlacementError(
            f"{self.names[thing]} of {self.task} finds no room: in {ATTEMPTS:,} attempts, every place in "
            f"[{left:.3g}, {right:.3g}] x [{bottom:.3g}, {top:.3g}] was within its keepout of "
            f"{self.keepouts[thing]:g} m plus another thing's; widen the arena or lower counts or keepouts."
        )


class Sampler(Protocol):
    """The random choices of one environment; one random stream serves it for all its life."""

    def skip(self, draws: int) -> None:
        """Lets so many of the original's draws pass, where the stream is the original's."""

    def layout(self) -> Layout:
        """Places everything.

        Raises:
            PlacementError: there was no room in 10,000 attempts.
        """

    def place(self, thing: int, places: Array) -> tuple[float, float]:
        """Draws a new place for one thing, clear of where all others are now.

        Args:
            thing: which.
            places: (things, 2) where everything is now.

        Raises:
            PlacementError: there was no room in 10,000 draws.
        """

    def choice(self, count: int) -> int:
        """One of 0, ..., count - 1, each as likely as the others."""

    def uniform(self, count: int) -> Array:
        """(count,) numbers, uniform in [0, 1)."""


class OriginalSampler:
    """Draws what safety-gymnasium 1.0.0 draws from the same seed: layouts, goals, buttons and joint noise.

    As long as the agent does the same, later goals are the same too.

    Args:
        plan: of the task.
        seed: from 0 to 2³² - 1; None takes one from the operating system.
    """

    def __init__(self, plan: Plan, seed: int | None) -> None:
        self._plan = plan
        self._random = np.random.RandomState(seed)

    def skip(self, draws: int) -> None:
        """See `Sampler`."""
        self._random.random_sample(draws)

    def layout(self) -> Layout:
        """See `Sampler`; starts over whenever one thing finds no room in 100 draws."""
        plan = self._plan
        thing = 0
        for _ in range(ATTEMPTS):
            places: list[tuple[float, float]] = []
            for thing in range(len(plan.keepouts)):
                place = self._draw(thing, places, plan.keepouts[:thing], DRAWS)
                if place is None:
                    break
                places.append(place)
            else:
                return Layout(np.array(places), 2.0 * pi * self._random.random_sample(len(places)))
        raise plan.no_room(thing)

    def place(self, thing: int, places: Array) -> tuple[float, float]:
        """See `Sampler`."""
        others: list[tuple[float, float]] = [tuple(place) for place in np.delete(places, thing, 0).tolist()]
        keepouts = self._plan.keepouts[:thing] + self._plan.keepouts[thing + 1 :]
        place = self._draw(thing, others, keepouts, ATTEMPTS)
        if place is None:
            raise self._plan.no_room(thing)
        return place

    def choice(self, count: int) -> int:
        """See `Sampler`."""
        return int(self._random.choice(count))

    def uniform(self, count: int) -> Array:
        """See `Sampler`."""
        return self._random.random_sample(count)

    def _draw(
        self, thing: int, others: list[tuple[float, float]], keepouts: tuple[float, ...], draws: int
    ) -> tuple[float, float] | None:
        """The first of at most `draws` uniform places that is clear of all others (x is drawn before y)."""
        left, bottom, right, top = self._plan.rectangles[thing]
        keepout, sample = self._plan.keepouts[thing], self._random.random_sample
        for _ in range(draws):
            x = left + (right - left) * sample()
            y = bottom + (top - bottom) * sample()
            for (other_x, other_y), other_keepout in zip(others, keepouts, strict=True):
                if ((x - other_x) ** 2 + (y - other_y) ** 2) ** 0.5 < other_keepout + keepout:
                    break
            else:
                return x, y
        return None
