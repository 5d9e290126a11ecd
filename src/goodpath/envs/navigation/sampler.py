"""The fast sampler: the distribution of safety-gymnasium 1.0.0 from another stream of numbers.

The original places one thing after another, draws up to 100 places for each until one is clear of all before
it, and starts over when none is. On the Button tasks one attempt in fifty comes to an end. Here attempts
go side by side, each by the same rule, and what succeeds beyond need is kept for later episodes. Attempts are
independent, so that which of them is used first changes nothing of the distribution.
"""

from math import pi

import numpy as np
from numpy.typing import NDArray

from goodpath.envs.navigation.layout import ATTEMPTS, DRAWS, Array, Layout, Plan

Rows = NDArray[np.int64]

# Attempts that go side by side, at first and where few of them succeed.
_FEW, _MANY, _ENOUGH = 64, 512, 4
# How many of its draws an attempt makes at once: most things find room soon.
_FIRST = 6  # things whose distance is asked about before that of the others
_BLOCKS = (6, 30, DRAWS - 36)


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
        self._count = _FEW
        # For each thing, those placed before it, by the distance they demand, and its square: two portions.
        self._before = []
        for thing, row in enumerate(self._apart):
            order = np.argsort(-row[:thing], kind="stable")
            portions = [part for part in (order[:_FIRST], order[_FIRST:]) if part.size]
            self._before.append([(part, row[part, None]) for part in portions])

    def skip(self, draws: int) -> None:
        """Does nothing: these are not the original's numbers."""

    def layout(self) -> Layout:
        """See `Sampler`."""
        tried = stuck = 0
        while not self._spare:
            if tried >= ATTEMPTS:
                raise self._plan.no_room(stuck)
            places, stuck = self._attempts(self._count)
            self._spare = list(places[::-1])
            tried += self._count
            if len(places) < _ENOUGH:
                self._count = _MANY
        places = self._spare.pop()
        return Layout(places, self._random.uniform(0.0, 2.0 * pi, len(places)))

    def place(self, thing: int, places: Array) -> tuple[float, float]:
        """See `Sampler`."""
        others = np.delete(places, thing, 0)
        apart = np.delete(self._apart[thing], thing)
        drawn, block = 0, 16
        while drawn < ATTEMPTS:
            x, y = self._candidates(thing, (block,))
            distances = (x[:, None] - others[:, 0]) ** 2 + (y[:, None] - others[:, 1]) ** 2
            clear = np.all(distances >= apart, axis=1)
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

    def _attempts(self, count: int) -> tuple[Array, int]:
        """(successes, things, 2) layouts of so many attempts, and the thing that failed the last."""
        things = len(self._low)
        xs, ys = np.empty((2, things, count))
        stuck = 0
        for thing in range(things):
            waiting = np.arange(xs.shape[1])
            for block in _BLOCKS:
                attempt = self._fill(thing, waiting, block, xs, ys)
                done = np.zeros(xs.shape[1], np.bool_)
                done[attempt] = True
                waiting = waiting[~done[waiting]]
                if not waiting.size:
                    break
            else:
                xs, ys, stuck = np.delete(xs, waiting, 1), np.delete(ys, waiting, 1), thing
                if not xs.size:
                    break
        return np.stack([xs, ys], -1).swapaxes(0, 1), stuck

    def _fill(self, thing: int, waiting: Rows, block: int, xs: Array, ys: Array) -> Rows:
        """Draws `block` places for a thing in each waiting attempt; returns attempts where it found room.

        The places go into `xs` and `ys`, (things, attempts).
        """
        x, y = self._candidates(thing, (len(waiting), block))
        attempt = np.repeat(waiting, block)
        # Those that keep most others away turn down most places: the rest is asked about few.
        for number, (others, apart) in enumerate(self._before[thing]):
            if number == 0:
                across = x - xs[others][:, waiting, None]
                along = y - ys[others][:, waiting, None]
                x, y = x.ravel(), y.ravel()
            else:
                across, along = x - xs[others][:, attempt], y - ys[others][:, attempt]
            across *= across
            along *= along
            across += along
            clear = np.flatnonzero((across.reshape(len(others), -1) >= apart).all(0))
            x, y, attempt = x[clear], y[clear], attempt[clear]
        x, y = x.ravel(), y.ravel()
        # The last one written stays, which is the first one drawn.
        xs[thing, attempt[::-1]], ys[thing, attempt[::-1]] = x[::-1], y[::-1]
        return attempt
