"""Where the fields of a step are in a row of a replay buffer, so that it is read from one place in memory."""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array
from numpy.typing import NDArray

from goodpath.methods.contract import Transitions
from goodpath.training.acting import Floats


class Layout(NamedTuple):
    """Where the fields of a step are in a row.

    Attributes:
        observation: numbers in an observation.
        action: numbers in an action.
        extra: names of what is kept of each step besides, and the length of each; 0 is a number
            without an axis of its own.
    """

    observation: int
    action: int
    extra: tuple[tuple[str, int], ...] = ()

    @property
    def width(self) -> int:
        """Numbers in a row."""
        return 2 * self.observation + self.action + 3 + sum(max(length, 1) for _, length in self.extra)

    def pack(self, into: Floats, **fields: NDArray[Any]) -> None:
        """Writes the fields of steps (..., n) into rows (..., width); the names are those of `Transitions`."""
        size, end = self.observation, self.observation + self.action
        into[..., :size], into[..., size:end] = fields["observations"], fields["actions"]
        into[..., end], into[..., end + 1] = fields["rewards"], fields["costs"]
        into[..., end + 2] = fields["terminated"]
        into[..., end + 3 : end + 3 + size] = fields["next_observations"]
        for name, place in self._extra().items():
            into[..., place] = fields[name]

    def join(self, step: Transitions) -> Array:
        """(width,) the row of one step without `extra`."""
        numbers = jnp.stack([step.rewards, step.costs, step.terminated.astype(jnp.float32)])
        return jnp.concatenate([step.observations, step.actions, numbers, step.next_observations])

    def unpack(self, rows: Array) -> Transitions:
        """The steps that (batch, width) rows hold."""
        size, end = self.observation, self.observation + self.action
        return Transitions(
            observations=rows[:, :size],
            actions=rows[:, size:end],
            rewards=rows[:, end],
            costs=rows[:, end + 1],
            next_observations=rows[:, end + 3 : end + 3 + size],
            terminated=rows[:, end + 2] > 0.5,
            extra={name: rows[:, place] for name, place in self._extra().items()},
        )

    def _extra(self) -> dict[str, int | slice]:
        """Where the extra fields are."""
        places: dict[str, int | slice] = {}
        start = 2 * self.observation + self.action + 3
        for name, length in self.extra:
            places[name] = slice(start, start + length) if length else start
            start += max(length, 1)
        return places
