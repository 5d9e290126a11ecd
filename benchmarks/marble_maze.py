r"""Steps a second of the marble maze inside one compiled program, and of the published simulator in the same run.

    python benchmarks/marble_maze.py --original HAI-MAZE --out results/marble_maze.json

`--original` is the folder of that name in the repository AILabDsUnipi/SafeQIL at commit c141ec1; it needs the
package pyrr. Of the original only its board is run, without window, agent, reward and files: less than its games
do. Ours draws random actions, steps, rewards, observes, and starts anew where a game ended. Without
`--original` its column is left out.
"""

import argparse
import os
import platform
import sys
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from goodpath.envs.marble_maze import CELLS, GOAL, GOAL_RADIUS, SETTINGS, Maze, choose
from goodpath.files import write_json

WALLS = [
    "11111111111",
    "10000000111",
    "10200005611",
    "10000056401",
    "10000064001",
    "10000000001",
    "10056000001",
    "10564000001",
    "11640000001",
    "11100000001",
    "11111111111",
]


def ours(maze: Maze, games: int, steps: int, rounds: int) -> float:
    """Steps a second of `games` games, the best of some rounds, compilation left out."""

    @jax.jit
    def run(key: jax.Array) -> jax.Array:
        def one(carry: Any, key: jax.Array) -> Any:
            state, total = carry
            act, begin = jax.random.split(key)
            outcome = maze.step(state, jax.random.randint(act, (games,), 0, 9))
            fresh = maze.start(jax.random.randint(begin, (games,), 0, len(CELLS)))
            state = choose(outcome.terminated | outcome.truncated, fresh, outcome.state)
            observed = maze.observe(state).sum(-1)
            return (state, total + outcome.reward + outcome.violations.sum(-1) + observed), None

        first, rest = jax.random.split(key)
        start = maze.start(jax.random.randint(first, (games,), 0, len(CELLS)))
        carry, _ = jax.lax.scan(one, (start, jnp.zeros(games)), jax.random.split(rest, steps))
        return carry[1].sum()

    run(jax.random.key(0)).block_until_ready()
    best = np.inf
    for i in range(rounds):
        began = perf_counter()
        run(jax.random.key(i)).block_until_ready()
        best = min(best, perf_counter() - began)
    return games * steps / best


def original(folder: Path, steps: int) -> float:
    """Steps a second of the published board, with the constraints of the main setting."""
    sys.path.insert(0, str(folder))
    # The board needs one table of these helpers, which import plotting libraries.
    helpers: Any = ModuleType("maze3D_new.utils")
    helpers.goals = {"left_down": list(GOAL)}
    sys.modules["maze3D_new.utils"] = helpers
    board_of: Any = import_module("maze3D_new.gameObjects").GameBoard
    rng = np.random.default_rng(0)

    def begin() -> Any:
        layout = [[int(cell) for cell in row] for row in WALLS]
        row, column = CELLS[rng.integers(len(CELLS))]
        layout[row][column] = 3
        return board_of(
            layout,
            render=False,
            constr_ball_only_at_the_up_side_wrt_hole=True,
            constr_ball_not_in_circle=True,
            constr_ball_not_in_circle_circle_position=[(-90, -90)],
            constr_ball_not_in_circle_circle_radius=[19.8398435],
            goal="left_down",
        )

    board, played = begin(), 0
    began = perf_counter()
    for _ in range(steps):
        action = rng.integers(0, 3, 2)
        for _ in range(5):
            board.handleKeys(action.tolist())
            board.update()
            over = np.hypot(board.ball.x - GOAL[0], board.ball.y - GOAL[1]) < GOAL_RADIUS
            if over:
                break
        played += 1
        if over or played == 200:
            board, played = begin(), 0
    return steps / (perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--original", type=Path)
    parser.add_argument("--original-steps", type=int, default=2000)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    peer = original(args.original, args.original_steps) if args.original else None
    rows = []
    for name in ("MarbleMaze-v0", "MarbleMazeLegacy-v0", "MarbleMazeMulti-v0"):
        for games in (1, 32, 1024, 8192):
            rate = ours(SETTINGS[name], games, args.steps, args.rounds)
            ratio = None if peer is None else rate / peer
            rows.append({"environment": name, "games": games, "steps_per_second": rate, "ratio": ratio})
            times = "" if ratio is None else f", {ratio:,.0f} times the original"
            print(f"{name}, {games} games: {rate:,.0f} steps/s{times}", flush=True)
    if peer is not None:
        print(f"the original: {peer:,.0f} steps/s")
    if args.out:
        load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
        facts = {
            "command": "python benchmarks/marble_maze.py --original HAI-MAZE",
            "python": platform.python_version(),
            "processors": os.cpu_count(),
            "load_average": load,
            "versions": {package: version(package) for package in ("goodpath", "jax", "numpy")},
            "original_steps_per_second": peer,
            "rows": rows,
        }
        write_json(args.out, facts)


if __name__ == "__main__":
    main()
