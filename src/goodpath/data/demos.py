"""Demonstrations of the marble maze: games of the planner, or of a person, as data sets like any other."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from goodpath.envs.marble_maze import ACTIONS, CELL, CELLS, KINDS, STARTS, Maze, State, Transition, side
from goodpath.envs.marble_maze_planner import Mode, plan, unavoidable
from goodpath.errors import GoodpathError
from goodpath.trajectories import Dataset, Doubles, Integers, Trajectory

Passing = Literal["any", "left", "right", "both"]
Starts = Literal["train", "test", "all"]

_WIDER = 4  # how much wider the second search is, where the first found nothing good enough


@dataclass(frozen=True)
class Games:
    """Games played from chosen cells.

    Attributes:
        dataset: the games as trajectories; an action is one-hot.
        cells: (games,) where each began.
        violations: (games, 3) how often each kind of constraint was violated, in the order of `KINDS`.
        goals: (games,) bool, whether the goal was reached.
        sides: (games,) on which side of the circle at (-90, -90) each passed; see `marble_maze.side`.
    """

    dataset: Dataset
    cells: Integers
    violations: Doubles
    goals: NDArray[np.bool_]
    sides: Integers


def play(maze: Maze, cells: Sequence[int], actions: Sequence[Sequence[int]]) -> Games:
    """Plays given actions from given cells; a game ends at its goal, at the time limit or where actions run out.

    Args:
        maze: the setting.
        cells: where each game begins.
        actions: of each game, 0 to 8.

    Raises:
        GoodpathError: there is no game, or one has no actions.
    """
    if not cells or not all(len(sequence) for sequence in actions):
        raise GoodpathError(
            "there is no game to keep, or one without a single action; play at least one step."
        )
    padded, outcome, _, seen = _run(maze, cells, actions)
    rewards, violations = np.asarray(outcome.reward), np.asarray(outcome.violations)
    terminated, truncated = np.asarray(outcome.terminated), np.asarray(outcome.truncated)
    one_hot = np.eye(ACTIONS, dtype=np.float32)
    trajectories, totals, goals, sides = [], [], [], []
    for i, sequence in enumerate(actions):
        ends = np.flatnonzero((terminated | truncated)[: len(sequence), i])
        length = int(ends[0]) + 1 if len(ends) else len(sequence)
        trajectories.append(
            Trajectory(
                observations=seen[:length, i],
                next_observations=seen[1 : length + 1, i],
                actions=one_hot[padded[:length, i]],
                rewards=rewards[:length, i],
                costs=violations[:length, i].sum(-1),
                terminated=bool(terminated[length - 1, i]),
                truncated=bool(truncated[length - 1, i]),
            )
        )
        totals.append(violations[:length, i].sum(0))
        goals.append(bool(outcome.goal[length - 1, i]))
        sides.append(side(maze.positions(seen[: length + 1, i])))
    return Games(
        Dataset.from_trajectories(trajectories, maze.name),
        np.asarray(cells, np.int64),
        np.array(totals, np.float64),
        np.array(goals),
        np.array(sides, np.int64),
    )


def _run(
    maze: Maze, cells: Sequence[int], actions: Sequence[Sequence[int]]
) -> tuple[Integers, Transition, State, NDArray[np.float32]]:
    """Plays on regardless of ends: (T, n) padded actions, outcomes, and T + 1 states and observations."""
    longest = max(1, -(-max(map(len, actions)) // 16)) * 16  # few different lengths, few programs to compile
    padded = np.zeros((longest, len(cells)), np.int64)
    for i, sequence in enumerate(actions):
        padded[: len(sequence), i] = sequence
    outcome, states, seen = _scan(maze, maze.start(np.asarray(cells)), jnp.asarray(padded, jnp.int32))
    return padded, outcome, states, np.asarray(seen, np.float32)


@partial(jax.jit, static_argnums=0)
def _scan(maze: Maze, start: State, actions: Array) -> tuple[Transition, State, Array]:
    def one(state: State, action: Array) -> tuple[State, Transition]:
        outcome = maze.step(state, action)
        return outcome.state, outcome

    outcomes = jax.lax.scan(one, start, actions)[1]
    states = jax.tree.map(lambda first, rest: jnp.concatenate([first[None], rest]), start, outcomes.state)
    return outcomes, states, maze.observe(states)


def usual_mode(maze: Maze) -> Passing:
    """On which side games of a setting pass the circle when nothing is said: both where its name says so."""
    return "both" if "TwoModes" in maze.name else "any"


def demonstrate(
    maze: Maze,
    mode: Passing = "any",
    starts: Starts = "train",
    mistakes: float = 0.0,
    coverage: float = 1.0,
    seed: int = 0,
    beam: int = 150,
) -> Games:
    """The planner's games from a list of starts.

    A start that the circle lies ahead of is left out where the planner knows no game on the wanted side, or
    none without a violation that can be avoided.

    Args:
        maze: the setting.
        mode: on which side to pass the circle; `any` is the shorter one, `both` plays every start on each side.
        starts: the published list of 40 for training or testing, or every cell once.
        mistakes: probability that a step is another action, drawn at random; the planner goes on from there. So
            games get longer, and violations happen.
        coverage: share of the different cells of the list that are demonstrated at all.
        seed: of the mistakes, and of which cells are covered.
        beam: see `marble_maze_planner.plan`.

    Raises:
        GoodpathError: mistakes or coverage are not shares, or nothing is left to demonstrate.
    """
    if not 0 <= mistakes < 1:
        raise GoodpathError(f"mistakes are {mistakes:g}; give a share of the steps from 0 to less than 1.")
    if not 0 < coverage <= 1:
        raise GoodpathError(f"coverage is {coverage:g}; give a share of the cells above 0 and up to 1.")
    rng = np.random.default_rng(seed)
    different = sorted(set(STARTS[starts]))
    covered = set(rng.permutation(different)[: max(1, round(coverage * len(different)))].tolist())
    cells = [cell for cell in STARTS[starts] if cell in covered]
    played: list[int] = []
    actions: list[list[int]] = []
    ways: tuple[Mode, ...] = ("left", "right") if mode == "both" else (mode,)
    for number, way in enumerate(ways):
        plans = _best(maze, sorted(covered), way, beam)
        # A start beyond the circle has no side, and is played once.
        taken = [cell for cell in cells if cell in plans and not (number and _beyond(cell))]
        if mistakes:
            actions += _blunder(maze, taken, way, mistakes, rng, beam)
        else:
            actions += [plans[cell] for cell in taken]
        played += taken
    if not played:
        raise GoodpathError(
            f"the planner found no game on the side '{mode}' from these starts; ask for `any`."
        )
    return play(maze, played, actions)


def _beyond(cell: int) -> bool:
    """Whether a game from the cell has the circle behind it from its beginning."""
    row, column = CELLS[cell]
    return (row - 5.5 + column - 5.5) * CELL <= -180


def _best(maze: Maze, cells: list[int], mode: Mode, beam: int) -> dict[int, list[int]]:
    """The planner's actions from each cell that it can show without a violation that can be avoided."""
    least = unavoidable(maze)
    plans = dict(zip(cells, plan(maze, maze.start(np.array(cells)), mode, beam), strict=True))
    poor = [cell for cell, found in plans.items() if found is None or found.violations > least[cell]]
    if poor:
        again = plan(maze, maze.start(np.array(poor)), mode, _WIDER * beam)
        plans |= dict(zip(poor, again, strict=True))
    return {
        cell: found.actions.tolist()
        for cell, found in plans.items()
        if found is not None and found.violations <= least[cell]
    }


def _blunder(
    maze: Maze, cells: list[int], mode: Mode, share: float, rng: np.random.Generator, beam: int
) -> list[list[int]]:
    """Games in which a share of the steps is a mistake, and the planner goes on from what it made."""
    games: list[list[int]] = [[] for _ in cells]
    playing = np.ones(len(cells), np.bool_)
    while playing.any():
        _, outcome, states, _ = _run(maze, cells, games)
        lengths = np.array([len(game) for game in games])
        over = np.asarray(outcome.terminated | outcome.truncated)
        playing &= ~np.array([over[: lengths[i], i].any() for i in range(len(cells))])
        going_on = np.flatnonzero(playing)
        if not len(going_on):
            break
        now = State._make(np.asarray(values)[lengths[going_on], going_on] for values in states)
        for i, found in zip(going_on, plan(maze, now, mode, beam), strict=True):
            # Where no game on the wanted side is left, anything will do; the time limit ends the worst.
            intended = rng.integers(0, ACTIONS, 5).tolist() if found is None else found.actions.tolist()
            slips = np.flatnonzero(rng.random(len(intended)) < share)
            until = int(slips[0]) if len(slips) else len(intended)
            games[i] += intended[:until]
            if len(slips):
                games[i].append(int((intended[until] + rng.integers(1, ACTIONS)) % ACTIONS))
    return games


def summary(maze: Maze, games: Games) -> dict[str, Any]:
    """What games amount to, as plain values: means over games, and how many pass the circle on which side.

    `unavoidable` is the mean number of violations that no policy can avoid from the same cells.
    """
    outcomes = games.dataset.outcomes()
    return {
        "environment": maze.name,
        "games": len(games.cells),
        "steps": games.dataset.num_steps,
        "return": float(outcomes.returns.mean()),
        "length": float(outcomes.lengths.mean()),
        "goal": float(games.goals.mean()),
        "violations": dict(zip(KINDS, games.violations.mean(0).tolist(), strict=True)),
        "unavoidable": float(unavoidable(maze)[games.cells].mean()),
        "left": int((games.sides < 0).sum()),
        "right": int((games.sides > 0).sum()),
        "beyond": int((games.sides == 0).sum()),
    }
