"""On which side of the circle the policies of a run pass: whether both modes of the demonstrations are kept."""

from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from goodpath.envs import marble_maze
from goodpath.envs.marble_maze import CELLS, Maze, State, choose
from goodpath.files import read_json, write_json
from goodpath.policies import Policy
from goodpath.training.evaluate import EVALUATION_SEED, stack
from goodpath.training.results import find_policies

# Cells beyond the barrier's centre line, where x + y > 0.
FAR = tuple(cell for cell, (row, column) in enumerate(CELLS) if row + column > 11)
SAMPLES = 4  # games from each of them with sampled actions


def sides(folder: Path, task: str) -> dict[str, Any]:
    """Shares of the games from the far side that pass each side of the circle, for each seed of a finished run.

    They are kept in `sides.json` of the run's folder, and read from there the next time.
    """
    path = folder / "sides.json"
    if path.is_file():
        return read_json(path)
    maze, policies = marble_maze.find(task), stack(find_policies(folder))
    key = jax.random.key(EVALUATION_SEED)
    greedy = shares(maze, policies, None, 1)
    sampled = shares(maze, policies, key, SAMPLES)
    seeds = [{"greedy": a, "sampled": b} for a, b in zip(greedy, sampled, strict=True)]
    found = {"starts": len(FAR), "samples": SAMPLES, "seeds": seeds}
    write_json(path, found)
    return found


def shares(maze: Maze, policies: Policy, key: Array | None, games: int) -> list[dict[str, float]]:
    """For each policy, the shares of its games that pass left and right of the circle, and neither.

    Args:
        maze: the setting.
        policies: stacked along a leading axis.
        key: with it, actions are sampled.
        games: from each start.
    """
    paths = np.asarray(_paths(maze, policies, jnp.tile(jnp.asarray(FAR), games), key))
    return [_count(of_one) for of_one in paths]


def _count(paths: NDArray[Any]) -> dict[str, float]:
    found = np.array([marble_maze.side(path) for path in paths])
    passed = {"left": found < 0, "right": found > 0, "neither": found == 0}
    return {name: float(which.mean()) for name, which in passed.items()}


@eqx.filter_jit
def _paths(maze: Maze, policies: Policy, starts: Array, key: Array | None) -> Array:
    """(policies, games, steps + 1, 2) where the ball is; it stays where a game has ended."""

    def one(policy: Policy, key: Array | None) -> Array:
        def turn(carry: tuple[State, Array], time: Array) -> tuple[tuple[State, Array], Array]:
            state, over = carry
            action_key = None if key is None else jax.random.fold_in(key, time)
            action = jnp.argmax(policy(maze.observe(state), action_key), axis=-1)
            outcome = jax.vmap(maze.step)(state, action)
            after = choose(over, state, outcome.state)
            return (after, over | outcome.terminated | outcome.truncated), jnp.stack([after.x, after.y], -1)

        first = maze.start(starts)
        carry = (first, jnp.zeros(len(starts), jnp.bool_))
        _, places = jax.lax.scan(turn, carry, jnp.arange(maze.spec.episode_length))
        return jnp.concatenate([jnp.stack([first.x, first.y], -1)[None], places]).swapaxes(0, 1)

    number = jax.tree.leaves(policies)[0].shape[0]
    return jax.vmap(one)(policies, None if key is None else jax.random.split(key, number))
