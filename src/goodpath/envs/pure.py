"""Tasks of pure JAX functions, for programs that compile environment and learning together."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from goodpath.envs import marble_maze
from goodpath.errors import GoodpathError, nearest
from goodpath.spec import Spec


class Outcome(NamedTuple):
    """What one step of one episode gives.

    Attributes:
        state: the episode after it.
        reward: ().
        violations: (kinds,) 1 for each kind of constraint that the step violates, else 0; the cost is their sum.
        terminated: () bool, the environment ended the episode.
        truncated: () bool, the time limit ended it.
        goal: () bool, the goal was reached.
    """

    state: Any
    reward: Array
    violations: Array
    terminated: Array
    truncated: Array
    goal: Array


@dataclass(frozen=True, eq=False)  # so that programs can be compiled for it
class PureTask:
    """A task as pure functions of one episode.

    Attributes:
        spec: sizes and bounds.
        kinds: names of the constraints.
        reset: key -> state of a new episode.
        observe: state -> (observation,).
        step: (state, (action,) action) -> outcome.
        start: () whole number -> state of an episode that begins there.
        lists: name -> numbers for `start` from which policies are evaluated; the last list is the test.
    """

    spec: Spec
    kinds: tuple[str, ...]
    reset: Callable[[Array], Any]
    observe: Callable[[Any], Array]
    step: Callable[[Any, Array], Outcome]
    start: Callable[[Array], Any]
    lists: Mapping[str, tuple[int, ...]]


def known(name: str) -> bool:
    """Whether there is a pure task of that name."""
    return name in marble_maze.SETTINGS


@lru_cache
def find(name: str) -> PureTask:
    """The pure task of that name.

    Raises:
        GoodpathError: there is no such environment, or it is none of pure functions.
    """
    if not known(name):
        names = list(marble_maze.SETTINGS)
        raise GoodpathError(
            f"'{name}' cannot be compiled into a program that learns in it; what can be is {', '.join(names)}."
            f"{nearest(name, names)}"
        )
    maze = marble_maze.SETTINGS[name]

    def step(state: marble_maze.State, action: Array) -> Outcome:
        return Outcome(*maze.step(state, jnp.argmax(action)))

    lists = {key: marble_maze.STARTS[key] for key in ("train", "test")}
    return PureTask(maze.spec, marble_maze.KINDS, maze.reset, maze.observe, step, maze.start, lists)
