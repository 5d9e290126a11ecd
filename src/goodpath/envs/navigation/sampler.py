"""The fast sampler: the distribution of safety-gymnasium 1.0.0 from another stream of numbers.

The original places one thing after another, draws up to 100 places for each until one is clear of all before
it, and starts over when none is. On the Button tasks one attempt in fifty comes to an end. Here 64 attempts
go side by side, each by the same rule, and what succeeds beyond need is kept for later episodes. Attempts are
independent, so that which of them is used first changes nothing of the distribution.
"""

from math import pi

import numpy as np

from goodpath.envs.navigation.layout import ATTEMPTS, DRAWS, Array, Layout, Plan

_SIDE_BY_SIDE = 64
# How many of its draws an attempt makes at once: most things find room soon.
_BLOCKS = (4, 16, DRAWS - 20)


class FastSampler:
    """Draws whole blocks at a time; see `Sampler` for what its methods promise.

    Args:
        plan: of the task.
        seed: a whole number; None takes one from the operating system.
    """

    def __init__(self, plan: Plan, seed: int | None) -> None:
        self._plan = plan
        self._random = np.random.Generator(np.random.PCG64(seed))
        self._low = np.array(plan.rectangles)[:, :2]
        self._span = np.array(plan.rectangles)[:, 2:] - self._low
        keepouts = np.array(plan.keepouts)
        self._apart = (keepouts[:, None] + keepouts) ** 2  # squares of the least distances
        self._spare: list[Array] = []

    def skip(self, draws: int) -> None:
        """Does nothing: these are not the original's numbers."""

    def layout(self) -> Layout:
        """See `Sampler`."""
        tried = 0
        while not self._spare:
            if tried >= ATTEMPTS:
                raise self._plan.no_room(stuck)
            places, stuck = self._attempts()
            self._spare = list(places[::-1])
            tried += _SIDE_BY_SIDE
        places = self._spare.pop()
        return Layout(places, self._random.uniform(0.0, 2.0 * pi, len(places)))

    def place(self, thing: int, places: Array) -> tuple[float, float]:
        """See `Sampler`."""
        others = np.delete(places, thing, 0)
        apart = np.delete(self._apart[thing], thing)
        drawn, block = 0, 16
        while drawn < ATTEMPTS:
            x, y = self._candidates(thing, (block,))
            clear = ((x[:, None] - others[:, 0]) ** 2 + (y[:, None] - others[:, 1]) ** 2 >= apart).all(1)
            first = int(clear.argmax())
            if clear[first]:
                return float(x[first]), float(y[first])
            drawn, block = drawn + block, min(ATTEMPTS - drawn - block, 1024)
        raise self._plan.no_room(thing)

    def choice(self, count: int) -> int:
        """See `Sampler`."""
        return int(self._random.integers(count))

    def uniform(self, count: int) -> Array:
        """See `Sampler`."""
        return self._random.random(count)

    def _candidates(self, thing: int, shape: tuple[int, ...]) -> tuple[Array, Array]:
        drawn = self._random.random((2, *shape))
        low, span = self._low[thing], self._span[thing]
        return low[0] + span[0] * drawn[0], low[1] + span[1] * drawn[1]

    def _attempts(self) -> tuple[Array, int]:
        """The layouts that came of a block of attempts, (successes, things, 2), and what failed the last."""
        things = len(self._low)
        xs, ys = np.empty((2, _SIDE_BY_SIDE, things))
        stuck = 0
        for thing in range(things):
            waiting = np.arange(len(xs))
            for block in _BLOCKS:
                x, y = self._candidates(thing, (len(waiting), block))
                across = x[..., None] - xs[waiting, None, :thing]
                along = y[..., None] - ys[waiting, None, :thing]
                clear = (across * across + along * along >= self._apart[thing, :thing]).all(-1)
                first = clear.argmax(1)
                rows = np.arange(len(waiting))
                found = clear[rows, first]
                xs[waiting[found], thing] = x[rows, first][found]
                ys[waiting[found], thing] = y[rows, first][found]
                waiting = waiting[~found]
                if not waiting.size:
                    break
            else:
                xs, ys, stuck = np.delete(xs, waiting, 0), np.delete(ys, waiting, 0), thing
                if not len(xs):
                    break
        return np.stack([xs, ys], -1), stuck
