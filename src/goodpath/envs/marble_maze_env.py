"""The marble maze behind the batched contract: many games of one setting, stepped together."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from goodpath.envs.checks import actions_of, seeds_of
from goodpath.envs.marble_maze import CELLS, KINDS, Maze, State, Transition, choose, find, scene
from goodpath.envs.vector import Scene, Step
from goodpath.errors import GoodpathError


class MarbleMazeEnv:
    """`num_envs` games of a setting behind the contract `goodpath.envs.vector.BatchedEnv`.

    An action is a row of nine numbers of which the largest is taken, see `Spec`. Beside the constraints, `info`
    says whether the goal was reached.
    """

    def __init__(self, maze: Maze, num_envs: int) -> None:
        if num_envs < 1:
            raise GoodpathError(f"{num_envs} environments were asked for; make at least one.")
        self.maze, self.spec, self.num_envs = maze, maze.spec, num_envs
        self._state: State | None = None
        entropy = int(np.random.SeedSequence().generate_state(1)[0])
        self._keys = jax.random.split(jax.random.key(entropy), num_envs)

    def reset(self, seed: int | Sequence[int] | None = None) -> NDArray[np.float64]:
        """See `BatchedEnv`."""
        if seed is not None:
            seeds = seeds_of(seed, self.num_envs)
            self._keys = jax.vmap(jax.random.key)(jnp.asarray(seeds, jnp.uint32))
        self._state, self._keys, observations = _reset_all(self.maze, self._keys)
        return np.asarray(observations, np.float64)

    def reset_to(self, cells: Sequence[int] | NDArray[np.integer[Any]]) -> NDArray[np.float64]:
        """Starts new games in the given cells, one each, and returns (num_envs, 8) observations.

        Raises:
            GoodpathError: there is another number of cells than of games, or no such cell.
        """
        chosen = np.asarray(cells)
        if chosen.shape != (self.num_envs,):
            raise GoodpathError(f"{chosen.size} cells were given for {self.num_envs} games; give one each.")
        strange = chosen[(chosen < 0) | (chosen >= len(CELLS))]
        if len(strange):
            raise GoodpathError(f"there is no cell {strange[0]}; games begin in cells 0 to {len(CELLS) - 1}.")
        self._state = self.maze.start(chosen)
        return np.asarray(self.maze.observe(self._state), np.float64)

    def transition(self, actions: NDArray[Any]) -> Step:
        """A step in which nothing starts over by itself."""
        given = actions_of(actions, self.spec, self.num_envs, self._state is not None)
        outcome, final = _step_all(self.maze, self._state, jnp.asarray(given.argmax(1)))
        self._state = outcome.state
        violations = np.asarray(outcome.violations, np.float64)
        seen = np.asarray(final, np.float64)
        return Step(
            observations=seen,
            rewards=np.asarray(outcome.reward, np.float64),
            costs=violations.sum(1),
            terminated=np.asarray(outcome.terminated),
            truncated=np.asarray(outcome.truncated),
            final_observations=seen,
            info={
                **{f"cost_{kind}": violations[:, i] for i, kind in enumerate(KINDS)},
                "goal_met": np.asarray(outcome.goal),
            },
        )

    def step(self, actions: NDArray[Any]) -> Step:
        """See `BatchedEnv`."""
        step = self.transition(actions)
        over = step.terminated | step.truncated
        if not over.any():
            return step
        self._state, self._keys, observations = _reset_where(self.maze, self._state, self._keys, over)
        return step._replace(observations=np.asarray(observations, np.float64))

    def positions(self) -> NDArray[np.float64]:
        """(num_envs, 2) where the balls are.

        Raises:
            GoodpathError: no game has begun.
        """
        if self._state is None:
            raise GoodpathError("no game has begun; call reset first.")
        return np.stack([np.asarray(self._state.x), np.asarray(self._state.y)], 1).astype(np.float64)

    def scene(self, index: int) -> Scene:
        """The tray, the same in every game."""
        return scene(self.maze)

    def close(self) -> None:
        """There is nothing to free."""


@partial(jax.jit, static_argnums=0)
def _reset_all(maze: Maze, keys: Array) -> tuple[State, Array, Array]:
    pairs = jax.vmap(jax.random.split)(keys)
    state = jax.vmap(maze.reset)(pairs[:, 1])
    return state, pairs[:, 0], maze.observe(state)


@partial(jax.jit, static_argnums=0)
def _step_all(maze: Maze, state: State, actions: Array) -> tuple[Transition, Array]:
    outcome = maze.step(state, actions)
    return outcome, maze.observe(outcome.state)


@partial(jax.jit, static_argnums=0)
def _reset_where(maze: Maze, state: State, keys: Array, over: Array) -> tuple[State, Array, Array]:
    pairs = jax.vmap(jax.random.split)(keys)
    state = choose(over, jax.vmap(maze.reset)(pairs[:, 1]), state)
    keys = jnp.where(over, pairs[:, 0], keys)
    return state, keys, maze.observe(state)


def make(name: str, num_envs: int, threads: int | None = None) -> MarbleMazeEnv:
    """A marble maze by name; it needs no threads."""
    return MarbleMazeEnv(find(name), num_envs)
