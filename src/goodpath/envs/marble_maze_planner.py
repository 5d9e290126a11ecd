"""An expert for the marble maze: beam search on its own simulator, in place of demonstrations by people.

The demonstrations of SCOPIL (arXiv 2507.06780) were not published. A plan here is the shortest game that the
search finds among those with the fewest violations, and can be made to pass the circle on one side.

The search goes forward one step at a time with all nine actions from up to `beam` games. A game's score is

    steps + 60 violations + distance to go / 12, looked at from four substeps ahead + 2 max(0, speed - 4)

where the distance to go is the length of the shortest path on a grid of ball centres, which goes round walls
and constraints.
"""

from functools import lru_cache, partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, map_coordinates
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra

from goodpath.envs import marble_maze
from goodpath.envs.marble_maze import CELL, CELLS, GOAL, GOAL_RADIUS, Maze, State, Transition

Mode = Literal["any", "left", "right"]
Integers = NDArray[np.int64]
Doubles = NDArray[np.float64]

PENALTY = 60.0  # steps that one violation is worth
_TOGETHER = 8  # searches
_GRID = 4.0
_REACH = 4.0 * CELL  # of the ball's centre
_AHEAD = 4.0  # substeps
_PACE = 12.0  # units a step
_BRISK = 4.0  # units a substep
_DETOUR = 6.0  # how many times as far it is through a constraint
_BLOCKED = 40.0  # units that a position behind a wall is further away than the nearest in front


class Plan(NamedTuple):
    """What the planner found from one position.

    Attributes:
        actions: (steps,) to the goal.
        violations: how many there are on the way.
    """

    actions: Integers
    violations: int


def plan(
    maze: Maze, states: State, mode: Mode = "any", beam: int = 150, most_steps: int = 80
) -> list[Plan | None]:
    """A game to the goal from each state, or None where the search finds none.

    Args:
        maze: the setting.
        states: fields (n,), positions to plan from.
        mode: on which side to pass the circle at (-90, -90), from where that is on the way; see
            `marble_maze.side`.
        beam: how many games the search keeps.
        most_steps: of a plan.
    """
    number = len(states.x)
    rows = np.arange(-(-number // _TOGETHER) * _TOGETHER) % number
    chunks = rows.reshape(-1, _TOGETHER)
    found = [
        _search(maze, State._make(np.asarray(v)[chunk] for v in states), mode, beam, most_steps)
        for chunk in chunks
    ]
    return [plan for plans in found for plan in plans][:number]


def _search(maze: Maze, states: State, mode: Mode, beam: int, most_steps: int) -> list[Plan | None]:
    """`plan` for a fixed number of states, so that there is one program to compile."""
    number = len(states.x)
    distances = distance_to_go(maze, mode)
    ball = State._make(np.repeat(np.asarray(values)[:, None], beam, 1) for values in states)
    spent = np.full((number, beam), np.inf)
    spent[:, 0] = 0
    paid = np.zeros((number, beam), np.int64)
    rows = np.arange(number)[:, None]
    parents: list[Integers] = []
    best = [(np.inf, 0, 0, 0)] * number  # what was spent, violations, step and place in it
    for step in range(most_steps):
        done = np.array([found[0] <= spent[i].min() for i, found in enumerate(best)])
        if done.all():
            break
        outcome = _all_actions(maze, State._make(jnp.asarray(values) for values in ball))
        moved = State._make(np.asarray(values).reshape(number, -1) for values in outcome.state)
        violations = np.asarray(outcome.violations).sum(-1).reshape(number, -1).round().astype(np.int64)
        over = np.asarray(outcome.terminated | outcome.truncated).reshape(number, -1)
        goal = np.asarray(outcome.goal).reshape(number, -1)
        crosses = np.repeat(ball.x + ball.y > -180, 9, 1) & (moved.x + moved.y <= -180)
        wrong = crosses & _wrong(moved.x, moved.y, mode)
        total = np.where(wrong, np.inf, np.repeat(spent, 9, 1) + 1 + PENALTY * violations)
        paid = np.repeat(paid, 9, 1) + violations
        for i in np.flatnonzero(goal.any(1)):
            place = int(np.argmin(np.where(goal[i], total[i], np.inf)))
            if goal[i, place] and total[i, place] < best[i][0]:
                best[i] = (float(total[i, place]), int(paid[i, place]), step, place)
        total[over | done[:, None]] = np.inf
        kept = _select(total + _to_go(moved, distances), moved, beam)
        parents.append(kept)
        ball = State._make(values[rows, kept] for values in moved)
        spent, paid = total[rows, kept], paid[rows, kept]
    return [
        Plan(_trace(parents, i, step, place), violations) if np.isfinite(cost) else None
        for i, (cost, violations, step, place) in enumerate(best)
    ]


@partial(jax.jit, static_argnums=0)
def _all_actions(maze: Maze, ball: State) -> Transition:
    """Every action from every one of (n, beam) states: fields (n, beam, 9)."""
    spread = State._make(jnp.broadcast_to(values[..., None], (*values.shape, 9)) for values in ball)
    return maze.step(spread, jnp.broadcast_to(jnp.arange(9), spread.x.shape))


@partial(jax.jit, static_argnums=0)
def _step(maze: Maze, ball: State, actions: Array) -> Transition:
    return maze.step(ball, actions)


def _trace(parents: list[Integers], row: int, step: int, place: int) -> Integers:
    """The actions that lead to a place among the candidates of a step."""
    actions = [place % 9]
    for earlier in reversed(parents[:step]):
        place = int(earlier[row, place // 9])
        actions.append(place % 9)
    return np.array(actions[::-1], np.int64)


def _select(scores: Doubles, ball: State, beam: int) -> Integers:
    """(n, beam) the best candidates, at most one of those that are almost in the same state."""
    bins = np.stack(
        [
            np.round(np.asarray(values) / width)
            for values, width in zip(ball[:6], (4.0, 4.0, 0.4, 0.4, 0.5, 0.5), strict=True)
        ]
    ).astype(np.int64)
    keys = np.zeros(scores.shape, np.int64)
    for part in bins:
        keys = keys * 256 + part + 128
    kept = np.zeros((len(scores), beam), np.int64)
    for i, row in enumerate(scores):
        order = np.argsort(row, kind="stable")
        _, first = np.unique(keys[i, order], return_index=True)
        chosen = order[np.sort(first)][:beam]
        kept[i] = np.argmax(row)  # of infinite score where there are fewer than a beam
        kept[i, : len(chosen)] = chosen
    return kept


def _to_go(ball: State, distances: Doubles) -> Doubles:
    x, y, vx, vy = (np.asarray(values, np.float64) for values in ball[:4])
    ahead_x, ahead_y = x + _AHEAD * vx, y + _AHEAD * vy
    places = np.stack([(ahead_x + _REACH) / _GRID, (ahead_y + _REACH) / _GRID])
    distance = map_coordinates(distances, places, order=1, mode="nearest")
    return distance / _PACE + 2 * np.maximum(np.hypot(vx, vy) - _BRISK, 0)


def _wrong(x: Any, y: Any, mode: Mode) -> NDArray[np.bool_]:
    """Whether positions near the diagonal through the circle are on the side that they should not be on."""
    right = np.asarray(x) > np.asarray(y)
    return {"any": np.zeros_like(right), "left": right, "right": ~right}[mode]


@lru_cache
def unavoidable(maze: Maze, steps: int = 4) -> Integers:
    """(37,) how many violations the first steps of a game from each cell have, whatever is done.

    The mean over a list of starts is the floor of what any policy can reach on it: all sequences of that many
    actions are tried. The planner's games reach it, see the tests.

    Args:
        maze: the setting.
        steps: how far ahead to look; 9 to that power games are tried from each cell.
    """
    sequences = np.indices((9,) * steps).reshape(steps, -1)
    shape = (len(CELLS), sequences.shape[1])
    ball = maze.start(np.broadcast_to(np.arange(len(CELLS))[:, None], shape))
    paid, playing = np.zeros(shape), np.ones(shape, np.bool_)
    for actions in sequences:
        outcome = _step(maze, ball, jnp.asarray(np.broadcast_to(actions, shape)))
        ball = outcome.state
        paid += playing * np.asarray(outcome.violations).sum(-1)
        playing &= ~np.asarray(outcome.terminated | outcome.truncated)
    return paid.min(1).round().astype(np.int64)


@lru_cache
def distance_to_go(maze: Maze, mode: Mode) -> Doubles:
    """(n, n) length of the shortest path to the goal, by x and y of a grid of ball centres 4 units wide.

    A path through a constraint counts six times.
    """
    ticks = np.arange(-_REACH, _REACH + _GRID, _GRID)
    x, y = np.meshgrid(ticks, ticks, indexing="ij")
    walls = np.array(marble_maze.blocked(jnp.asarray(x), jnp.asarray(y)))
    costly = np.array(maze.violations(marble_maze.at(jnp.asarray(x), jnp.asarray(y)))).any(-1)
    walls |= (np.abs(x + y + 190) <= 10) & _wrong(x, y, mode)
    weight = np.where(costly, _DETOUR, 1.0)
    index = np.arange(x.size).reshape(x.shape)
    heads, tails, lengths = [], [], []
    for right, up in ((1, 0), (0, 1), (1, 1), (1, -1), (2, 1), (1, 2), (2, -1), (1, -2)):
        here = np.s_[: len(ticks) - right, max(0, -up) : len(ticks) - max(0, up)]
        there = np.s_[right:, max(0, up) : len(ticks) + min(0, up)]
        free = ~walls[here] & ~walls[there]
        heads.append(index[here][free])
        tails.append(index[there][free])
        lengths.append((_GRID * np.hypot(right, up) * (weight[here] + weight[there]) / 2)[free])
    edges = (np.concatenate(lengths), (np.concatenate(heads), np.concatenate(tails)))
    graph = coo_array(edges, shape=(x.size, x.size)).tocsr()
    goal = index[np.hypot(x - GOAL[0], y - GOAL[1]) < GOAL_RADIUS]
    distance = dijkstra(graph, directed=False, indices=goal, min_only=True).reshape(x.shape)
    unreached = ~np.isfinite(distance)
    far, nearest = distance_transform_edt(unreached, sampling=_GRID, return_indices=True)
    return np.where(unreached, distance[tuple(nearest)] + far + _BLOCKED, distance)
