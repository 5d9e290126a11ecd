"""Where policies of the marble maze break its rules: on which starts, and in games that arrive or get stuck.

    python benchmarks/marble_maze_starts.py runs/scopil/*/scopil* --out results/scopil/starts.json

Finished runs play the 40 test starts with the most likely actions. Told are means over games and seeds: violating steps
by kind of all games, of those that begin on the line H itself, of the others, of games that arrive and that do not.
"""

import argparse
import shlex
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goodpath.envs import marble_maze
from goodpath.envs.marble_maze import CELL, CELLS, KINDS, TEST_STARTS
from goodpath.envs.pure import find
from goodpath.files import read_json, write_json
from goodpath.training.evaluate import stack
from goodpath.training.games import play
from goodpath.training.results import find_policies


def measure(run: Path) -> dict[str, Any]:
    """Of one run."""
    task = read_json(run / "result.json")["environment"]
    policies = find_policies(run)
    games = play(find(task), stack(policies), TEST_STARTS)
    line = marble_maze.find(task).below
    assert line is not None, f"{task} has no line H"
    heights = np.array([CELL * (CELLS[cell][0] - 5.5) for cell in TEST_STARTS])
    on_the_line = np.broadcast_to(np.isclose(heights, line), games.goals.shape)

    def of(chosen: NDArray[np.bool_]) -> dict[str, Any]:
        means = games.violations[chosen].mean(axis=0) if chosen.any() else np.zeros(len(KINDS))
        return {"share_of_games": float(chosen.mean()), **dict(zip(KINDS, means.tolist(), strict=True))}

    return {
        "run": str(run),
        "environment": task,
        "seeds": len(policies),
        "all": of(np.full(games.goals.shape, True)),
        "on_the_line": of(on_the_line),
        "elsewhere": of(~on_the_line),
        "arrived": of(games.goals),
        "stuck": of(~games.goals),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+", help="folders of finished runs")
    parser.add_argument("--out", type=Path, help="where to write everything as JSON")
    args = parser.parse_args()
    found = [measure(run) for run in args.runs]
    for row in found:
        print(
            row["run"], *(f"{part} {row[part]['below']:.2f}" for part in ("all", "on_the_line", "elsewhere"))
        )
    if args.out:
        command = shlex.join(["python", f"benchmarks/{Path(__file__).name}", *sys.argv[1:]])
        write_json(args.out, {"command": command, "runs": found})


if __name__ == "__main__":
    main()
