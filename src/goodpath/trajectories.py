"""Trajectories: what everything in goodpath learns from. Cost is a field like reward, from disk to loss."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from goodpath.errors import GoodpathError

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]


@dataclass(frozen=True)
class Trajectory:
    """One episode, or a piece of one, of length T.

    Attributes:
        observations: (T, observation).
        next_observations: (T, observation); the true successor, also at the last step.
        actions: (T, action).
        rewards: (T,).
        costs: (T,).
        terminated: whether the environment ended the episode.
        truncated: whether a time limit ended it.
    """

    observations: Floats
    next_observations: Floats
    actions: Floats
    rewards: Floats
    costs: Floats
    terminated: bool
    truncated: bool

    def __len__(self) -> int:
        return len(self.rewards)


@dataclass(frozen=True)
class Outcomes:
    """What an oracle may look at: totals of n trajectories (or segments), and the trajectories on demand.

    Attributes:
        returns: (n,) undiscounted sums of rewards.
        costs: (n,) undiscounted sums of costs.
        lengths: (n,) steps.
        parents: (n,) index of the trajectory in the data set that each one is, or was cut from.
        trajectory: gives the i-th trajectory itself; costly, so only for oracles that need more than totals.
    """

    returns: Doubles
    costs: Doubles
    lengths: Integers
    parents: Integers
    trajectory: Callable[[int], Trajectory]

    def __len__(self) -> int:
        return len(self.returns)


@dataclass(frozen=True)
class Dataset:
    """Whole trajectories, one after another in flat arrays of N steps.

    The names of the arrays are the seven keys of the DSRL file layout. A trajectory ends wherever `terminals`
    or `timeouts` is true, and the last step always ends one.

    Attributes:
        observations: (N, observation) float32.
        next_observations: (N, observation) float32.
        actions: (N, action) float32.
        rewards: (N,) float32.
        costs: (N,) float32, not negative.
        terminals: (N,) bool, the environment ended the episode here.
        timeouts: (N,) bool, a time limit ended the episode here.
        environment: id of the environment the data came from; empty where unknown.
    """

    observations: Floats
    next_observations: Floats
    actions: Floats
    rewards: Floats
    costs: Floats
    terminals: Booleans
    timeouts: Booleans
    environment: str = ""

    KEYS = ("observations", "next_observations", "actions", "rewards", "costs", "terminals", "timeouts")

    @property
    def num_steps(self) -> int:
        """Number of steps N."""
        return len(self.rewards)

    @property
    def observation_size(self) -> int:
        """Length of one observation."""
        return int(self.observations.shape[1])

    @property
    def action_size(self) -> int:
        """Length of one action."""
        return int(self.actions.shape[1])

    @cached_property
    def ends(self) -> Integers:
        """(trajectories,) index one past the last step of each trajectory."""
        return np.flatnonzero(self.terminals | self.timeouts).astype(np.int64) + 1

    @cached_property
    def starts(self) -> Integers:
        """(trajectories,) index of the first step of each trajectory."""
        return np.concatenate([np.zeros(1, np.int64), self.ends])[:-1]

    @cached_property
    def lengths(self) -> Integers:
        """(trajectories,) number of steps of each trajectory."""
        return self.ends - self.starts

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, index: int) -> Trajectory:
        if not -len(self) <= index < len(self):
            raise IndexError(f"trajectory {index} of a data set with {len(self)} trajectories")
        return self._slice(int(self.starts[index]), int(self.ends[index]))

    def __iter__(self) -> Iterator[Trajectory]:
        return (self[index] for index in range(len(self)))

    def _slice(self, start: int, end: int) -> Trajectory:
        piece = slice(start, end)
        return Trajectory(
            self.observations[piece],
            self.next_observations[piece],
            self.actions[piece],
            self.rewards[piece],
            self.costs[piece],
            bool(self.terminals[end - 1]),
            bool(self.timeouts[end - 1]),
        )

    @cached_property
    def _reward_prefix(self) -> Doubles:
        return np.concatenate([np.zeros(1), np.cumsum(self.rewards, dtype=np.float64)])

    @cached_property
    def _cost_prefix(self) -> Doubles:
        return np.concatenate([np.zeros(1), np.cumsum(self.costs, dtype=np.float64)])

    def outcomes(
        self, starts: Integers | None = None, ends: Integers | None = None, parents: Integers | None = None
    ) -> Outcomes:
        """Totals of every trajectory, or of the segments `[starts[i], ends[i])` cut from them.

        Sums come from one prefix sum, so that asking for a million segments is one subtraction each.

        Args:
            starts: (n,) first step of each segment; whole trajectories when left out.
            ends: (n,) one past the last step of each segment.
            parents: (n,) the trajectory that each segment was cut from; found from the starts when left out.

        Raises:
            GoodpathError: starts are given without ends, or ends without starts.
        """
        if (starts is None) != (ends is None):
            raise GoodpathError("segments need both starts and ends, but only one of the two was given.")
        if starts is None or ends is None:
            starts, ends = self.starts, self.ends
        if parents is None:
            parents = np.searchsorted(self.ends, starts, side="right").astype(np.int64)
        first, last = starts, ends
        return Outcomes(
            returns=self._reward_prefix[last] - self._reward_prefix[first],
            costs=self._cost_prefix[last] - self._cost_prefix[first],
            lengths=last - first,
            parents=parents,
            trajectory=lambda i: self._slice(int(first[i]), int(last[i])),
        )

    def select(self, trajectories: Sequence[int] | Integers | Booleans) -> Self:
        """A data set of the given trajectories only, in the given order.

        Args:
            trajectories: indices, or a mask with one entry for each trajectory.

        Raises:
            GoodpathError: nothing is selected, or a trajectory that is not there.
        """
        chosen = np.asarray(trajectories)
        if chosen.dtype == np.bool_:
            if len(chosen) != len(self):
                raise GoodpathError(
                    f"a mask of {len(chosen)} entries cannot select among {len(self)} trajectories."
                )
            chosen = np.flatnonzero(chosen)
        if len(chosen) == 0:
            raise GoodpathError(
                f"no trajectory of the {len(self)} in the data set was selected; loosen the selection."
            )
        strangers = chosen[(chosen < 0) | (chosen >= len(self))]
        if len(strangers):
            raise GoodpathError(
                f"trajectory {strangers[0]} was selected, but the data set has 0 to {len(self) - 1}."
            )
        steps = np.concatenate([np.arange(self.starts[i], self.ends[i]) for i in chosen])
        return replace(self, **{key: getattr(self, key)[steps] for key in self.KEYS})

    @classmethod
    def from_trajectories(cls, trajectories: Sequence[Trajectory], environment: str = "") -> Self:
        """Joins trajectories into one data set; one with neither end flag is taken as cut by time.

        Raises:
            GoodpathError: there are no trajectories, or one has no steps.
        """
        if not trajectories:
            raise GoodpathError("a data set needs at least one trajectory.")
        for index, trajectory in enumerate(trajectories):
            if len(trajectory) == 0:
                raise GoodpathError(f"trajectory {index} has no steps; leave it out of the data set.")
        arrays = {
            field.name: np.concatenate([getattr(t, field.name) for t in trajectories]).astype(np.float32)
            for field in fields(Trajectory)
            if field.name not in ("terminated", "truncated")
        }
        lasts = np.cumsum([len(t) for t in trajectories]) - 1
        terminals = np.zeros(lasts[-1] + 1, np.bool_)
        timeouts = np.zeros(lasts[-1] + 1, np.bool_)
        terminals[lasts] = [t.terminated for t in trajectories]
        timeouts[lasts] = [t.truncated or not t.terminated for t in trajectories]
        return cls(**arrays, terminals=terminals, timeouts=timeouts, environment=environment)
