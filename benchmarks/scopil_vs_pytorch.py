r"""SCOPIL in the marble maze end to end, 1, 5 and 20 seeds, against eager PyTorch and simulators in Python, in one run.

    python benchmarks/scopil_vs_pytorch.py --original HAI-MAZE --out results/scopil_vs_pytorch.json

A step is one of the environment and one update of everything that SCOPIL learns, batches of 256 and 256, networks
32-32. The peer (`benchmarks/peer_scopil.py`) does the same in eager PyTorch, with the faster of `--threads`. It has a
simulator in plain Python, written for this comparison and lean: hundreds of times as fast as the published one. With
`--original`, see `benchmarks/marble_maze.py`, the published one is measured too, and without it taken to make 210
steps/s, which was measured on an idle machine. `ratio` is against the learner in PyTorch with the published simulator,
as they would be used together, and `ratio_lean` against it with the lean one.

Everything takes turns, `--rounds` times, and the best of each counts, as others may use the machine. Seconds of the
processor are told beside those of the clock: on two idle cores, 20 seeds take half of theirs. What demonstrations say
makes no difference to speed: these are drawn at random, as many as the planner makes. `share_of_peak` is the floor: the
arithmetic of the updates, as XLA counts it, at the speed of this machine's large matrix products on all cores.

PyTorch comes from an environment of its own, made and thrown away as `ppo_lagrangian_vs_omnisafe.py` does it;
`--venv DIR` keeps it, or takes one there that has PyTorch already.
"""

import argparse
import json
import os
import platform
import shlex
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from environments import run, with_pytorch
from marble_maze import original, ours

from goodpath.envs.marble_maze import SETTINGS, State
from goodpath.envs.pure import find
from goodpath.files import write_json
from goodpath.methods.scopil import SCOPIL
from goodpath.training.compiled import CompiledProgram, _learn
from goodpath.trajectories import Dataset, Trajectory

PEER = Path(__file__).with_name("peer_scopil.py")
TASK, PAIRS, PUBLISHED = "MarbleMaze-v0", 740, 210.0
SEEDS, GAMES = (1, 5, 20), (1, 1024)

Numbers = dict[str, Any]


def demonstrations() -> Dataset:
    """Pairs that nobody meant, as many as the planner makes for the training starts."""
    rng = np.random.default_rng(0)
    observations = rng.uniform(-1, 1, (PAIRS + 1, 8)).astype(np.float32)
    actions = np.eye(9, dtype=np.float32)[rng.integers(0, 9, PAIRS)]
    nothing = np.zeros(PAIRS, np.float32)
    steps = Trajectory(observations[:-1], observations[1:], actions, nothing, nothing, False, True)
    return Dataset.from_trajectories([steps])


class Side:
    """A training of ours that is taken up again and again."""

    def __init__(self, seeds: int) -> None:
        config = replace(SCOPIL.presets["default"], steps=100_000)
        self.program = CompiledProgram(SCOPIL, config, find(TASK), 0.0, range(seeds), demonstrations())
        self.program.advance(config.batch)
        self.train(1000 // seeds)  # compiles
        self.wall: list[float] = []
        self.processor: list[float] = []

    def train(self, steps: int) -> None:
        """So many steps of all seeds; its metrics are waited for."""
        self.program.advance(self.program.step + steps)

    def measure(self, steps: int) -> None:
        """Notes milliseconds a step."""
        processor, wall = time.process_time(), time.perf_counter()
        self.train(steps)
        self.wall.append((time.perf_counter() - wall) / steps * 1e3)
        self.processor.append((time.process_time() - processor) / steps * 1e3)

    def flops(self) -> float:
        """Of one seed's update, as XLA counts them."""
        program = self.program
        state = jax.tree.map(lambda leaf: leaf[0], program.states[0])
        static = (program.method, program.config, program.task, program.cost_limit)
        update = jax.jit(lambda state: _learn(*static, state, program.demonstrations))
        counted: Any = update.lower(state).compile().cost_analysis()
        return float(counted["flops"])

    def result(self, seeds: int, flops: float, peak: float) -> Numbers:
        """The best of what was noted; with what an update of one seed takes, and what a second has at most."""
        return {
            "seeds": seeds,
            "milliseconds": min(self.wall),
            "processor_milliseconds": min(self.processor),
            "steps_per_second": seeds * 1e3 / min(self.wall),
            "share_of_peak": seeds * flops / (min(self.wall) * 1e-3 * peak),
        }


def matrix_flops(size: int = 1024) -> float:
    """What large matrix products make in a second."""
    matrix = jnp.full((size, size), 0.5)
    multiply = jax.jit(jnp.matmul).lower(matrix, matrix).compile()
    multiply(matrix, matrix).block_until_ready()
    start = time.perf_counter()
    for _ in range(10):
        multiply(matrix, matrix).block_until_ready()
    return 20 * size**3 / (time.perf_counter() - start)


def ask_peer(python: Path, threads: int, steps: int) -> Numbers:
    """What `peer_scopil.py` answers."""
    words = [str(python), str(PEER), "--threads", str(threads), "--steps", str(steps)]
    answer: Numbers = json.loads(run(words))
    return answer


def agreement(walk: list[Any]) -> float:
    """Share of the peer's steps that the maze of ours takes the same way."""
    before, actions, after, rewards = (np.array(column, np.float32) for column in zip(*walk, strict=True))
    states = State._make([*before.T, np.zeros(len(before), np.int32)])
    outcome = SETTINGS[TASK].step(jax.tree.map(jnp.asarray, states), jnp.asarray(actions, jnp.int32))
    found = np.stack([*outcome.state[:8], outcome.reward], axis=-1)
    return float(np.isclose(found, np.column_stack([after, rewards]), atol=1e-3).all(axis=1).mean())


def measure(args: argparse.Namespace, python: Path) -> Numbers:
    """All sides in turns."""
    sides = {seeds: Side(seeds) for seeds in SEEDS}
    peers: dict[int, list[Numbers]] = {threads: [] for threads in args.threads}
    boards: list[float] = []
    peaks: list[float] = []
    for _ in range(args.rounds):
        for threads, answers in peers.items():
            answers.append(ask_peer(python, threads, args.peer_steps))
        if args.original:
            boards.append(original(args.original, 500))
        for _ in range(5):
            peaks.append(matrix_flops())
            for seeds, side in sides.items():
                side.measure(max(50, args.steps // seeds))
    tries = [
        {
            "threads": threads,
            **{
                name: max(answer[name] for answer in answers)
                for name in ("maze_steps_per_second", "training_steps_per_second")
            },
            "training_processor_milliseconds": min(
                answer["training_processor_milliseconds"] for answer in answers
            ),
        }
        for threads, answers in peers.items()
    ]
    best = max(tries, key=lambda found: found["training_steps_per_second"])
    published = max(boards, default=PUBLISHED)
    # The published board instead of the lean one.
    seconds = 1 / best["training_steps_per_second"] - 1 / best["maze_steps_per_second"] + 1 / published
    flops = sides[1].flops()
    training = [side.result(seeds, flops, max(peaks)) for seeds, side in sides.items()]
    single, twenty = training[0], training[-1]
    return {
        "torch": peers[args.threads[0]][0]["torch"],
        "agreement": agreement(peers[args.threads[0]][0]["walk"]),
        "peer": tries,
        "published_steps_per_second": published,
        "published_was_measured": bool(boards),
        "maze": [
            {"games": games, "steps_per_second": ours(SETTINGS[TASK], games, 400, 3)} for games in GAMES
        ],
        "training": training,
        "peak_gflops": max(peaks) / 1e9,
        "ratio": seconds * 1e3 / single["milliseconds"],
        "ratio_lean": 1e3 / best["training_steps_per_second"] / single["milliseconds"],
        "ratio_lean_processor": min(row["training_processor_milliseconds"] for row in tries)
        / single["processor_milliseconds"],
        "twenty_to_one": twenty["milliseconds"] / single["milliseconds"],
        "twenty_to_one_processor": twenty["processor_milliseconds"] / single["processor_milliseconds"],
    }


def describe(result: Numbers) -> str:
    """The result in a few lines."""
    lines = [
        f"the maze alone, {row['games']} games: {row['steps_per_second']:,.0f} steps/s"
        for row in result["maze"]
    ]
    lines.append(f"the published board: {result['published_steps_per_second']:,.0f} steps/s")
    lines += [
        f"PyTorch, threads {row['threads']}: {row['training_steps_per_second']:,.0f} steps/s"
        f" ({row['training_processor_milliseconds']:.3f} ms of the processor a step)"
        f" with a lean maze of {row['maze_steps_per_second']:,.0f} steps/s"
        for row in result["peer"]
    ]
    lines += [
        f"goodpath, seeds {row['seeds']}: {row['milliseconds']:.3f} ms a step of all"
        f" ({row['processor_milliseconds']:.3f} of the processor), {row['steps_per_second']:,.0f} steps/s,"
        f" {row['share_of_peak']:.0%} of the machine's {result['peak_gflops']:.0f} GFLOP/s"
        for row in result["training"]
    ]
    lines.append(
        f"20 seeds take {result['twenty_to_one']:.1f} times as long as one,"
        f" and {result['twenty_to_one_processor']:.1f} times as much of the processor"
    )
    lines.append(
        f"ratio: {result['ratio']:.1f} (with the lean maze {result['ratio_lean']:.1f},"
        f" and {result['ratio_lean_processor']:.1f} by the processor)"
    )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--venv", type=Path, help="make PyTorch's environment here, and keep it")
    parser.add_argument("--original", type=Path, help="the folder HAI-MAZE of the published simulator")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="of PyTorch, to try")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--steps", type=int, default=1000, help="of ours at a time, shared among seeds")
    parser.add_argument("--peer-steps", type=int, default=500, help="of PyTorch at a time")
    parser.add_argument("--out", type=Path, help="where to write everything as JSON")
    args = parser.parse_args()
    words = ["DIR" if args.venv and word == str(args.venv) else word for word in sys.argv[1:]]
    load = os.getloadavg()[0]
    with ExitStack() as stack:
        folder = args.venv or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        found = measure(args, with_pytorch(folder))
    result = {
        "command": shlex.join(["python", f"benchmarks/{Path(__file__).name}", *words]),
        "note": "others use the machine too: load_average is of the minute before",
        "load_average": load,
        "python": platform.python_version(),
        "processors": os.cpu_count(),
        "versions": {name: version(name) for name in ("goodpath", "jax", "numpy")},
        **found,
    }
    print(describe(result))
    if args.out:
        write_json(args.out, result)
        print(f"written to {args.out}")


if __name__ == "__main__":
    main()
