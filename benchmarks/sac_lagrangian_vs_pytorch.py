"""SAC-Lagrangian end to end: steps and updates a second of goodpath against a plain PyTorch loop, in the same run.

    python benchmarks/sac_lagrangian_vs_pytorch.py --out results/sac_lagrangian.json

Both sides learn the same tasks on goodpath's own simulator, with the same networks and batch, and an update for every
environment step: `static` has networks 32-32 and batches of 32, `dynamic` 256-256 and 256, as SaGui (arXiv 2307.14316)
has them. The peer (`benchmarks/peer_sac_lagrangian.py`) is an eager loop of one environment; it gets the fastest of
`--threads`. goodpath runs its default of ten copies for each seed, once with one seed and once with `--seeds` at a
time, whose steps count together. Seconds are of training alone: simulating, learning and logging.

PyTorch lives in an environment of its own, which is made and thrown away at the end, or kept with `--venv DIR` for the
next time; that needs a package index and minutes. A folder that already is an environment with PyTorch is used as it
is.
"""

import argparse
import json
import os
import platform
import shlex
import sys
import tempfile
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import Any

from environments import run, with_pytorch

import goodpath
from goodpath.files import write_json

PEER = Path(__file__).with_name("peer_sac_lagrangian.py")
SOURCES = Path(goodpath.__file__).parents[1]
SETTINGS = {  # task, hidden, batch, limit, steps of the peer, stretches of goodpath
    "static": ("SaguiStaticStudent-v0", 32, 32, 5.0, 3000, 6),
    "dynamic": ("SaguiDynamicStudent-v0", 256, 256, 25.0, 300, 2),
}

Numbers = dict[str, Any]


def measure_goodpath(name: str, seeds: int, stretches: int, length: int) -> Numbers:
    """Steps a second of all seeds together; the first stretch, which compiles and fills, is left out."""
    from goodpath.training.loop import Schedule
    from goodpath.training.run import train

    task, hidden, batch, limit, _, _ = SETTINGS[name]
    copies = 10
    with tempfile.TemporaryDirectory() as folder:
        result = train(
            "sac-lag",
            env=task,
            cost_limit=limit,
            seeds=range(seeds),
            options={
                "hidden": (hidden, hidden),
                "batch": batch,
                "steps": stretches * length * copies,
                "num_envs": copies,
                "every": 10,
                "stretch": length,
                "start": 500,
                "updates": 1.0,
            },
            schedule=Schedule(episodes=1, final_episodes=1, evaluate_every=10**9),
            out=Path(folder) / "run",
            quiet=True,
        ).result
        text = (Path(folder) / "run" / "metrics.jsonl").read_text(encoding="utf-8")
    lines = [line for line in map(json.loads, text.splitlines()) if line["kind"] == "update"]
    seconds = lines[-1]["seconds"] - lines[0]["seconds"]
    steps = (lines[-1]["step"] - lines[0]["step"]) * seeds
    return {
        "seeds": seeds,
        "steps": steps,
        "seconds": seconds,
        "steps_per_second": steps / seconds,
        "updates_per_step": result["seeds"][0]["gradient_steps"] / lines[-1]["step"],
        "load_average": os.getloadavg()[0],
    }


def measure_peer(python: Path, name: str, threads: list[int], steps: int) -> Numbers:
    """The fastest of the numbers of threads, and what the others did."""
    task, hidden, batch, _, _, _ = SETTINGS[name]
    trials = []
    for number in threads:
        words = [task, "--hidden", hidden, "--batch", batch, "--steps", steps, "--threads", number]
        answer = run([str(python), "-W", "ignore", str(PEER), *map(str, words)], SOURCES)
        trials.append(json.loads(answer.splitlines()[-1]) | {"load_average": os.getloadavg()[0]})
    best: Numbers = max(trials, key=lambda found: float(found["steps_per_second"]))
    return best | {"trials": trials}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--venv", type=Path, help="make PyTorch's environment here and keep it, or use this one"
    )
    parser.add_argument("--settings", nargs="+", choices=list(SETTINGS), default=list(SETTINGS))
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="of PyTorch, to try")
    parser.add_argument(
        "--seeds", type=int, default=5, help="that goodpath trains at a time in its second run"
    )
    parser.add_argument(
        "--length", type=int, default=1000, help="steps of each copy between lines of the log"
    )
    parser.add_argument("--share", type=float, default=1.0, help="of the usual steps, for a short look")
    parser.add_argument("--out", type=Path, help="where to write everything as JSON")
    args = parser.parse_args()
    words = ["DIR" if args.venv and word == str(args.venv) else word for word in sys.argv[1:]]
    result: Numbers = {
        "command": shlex.join(["python", f"benchmarks/{Path(__file__).name}", *words]),
        "note": "others may use the machine too: load_average is of the minute before a side ended",
        "python": platform.python_version(),
        "processors": os.cpu_count(),
        "versions": {name: version(name) for name in ("goodpath", "jax", "mujoco", "numpy")},
    }
    print(f"{'':<10}{'':<22}{'steps/s':>10}{'updates/s':>12}{'ratio':>8}")
    with ExitStack() as stack:
        folder = args.venv or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        python = with_pytorch(folder, "mujoco==4.0.0", "gymnasium>=1.1,<2")
        for name in args.settings:
            *_, steps, stretches = SETTINGS[name]
            peer = measure_peer(python, name, args.threads, max(20, round(args.share * steps)))
            number = max(2, round(args.share * stretches))
            sides = [measure_goodpath(name, seeds, number, args.length) for seeds in (1, args.seeds)]
            for side in sides:
                side["ratio"] = side["steps_per_second"] / peer["steps_per_second"]
            result[name] = {"setting": SETTINGS[name][:4], "peer": peer, "goodpath": sides}
            rate = peer["steps_per_second"]
            print(f"{name:<10}{'PyTorch':<22}{rate:>10,.0f}{rate:>12,.0f}")
            for side in sides:
                rate, title = side["steps_per_second"], f"goodpath, {side['seeds']} seeds"
                print(f"{name:<10}{title:<22}{rate:>10,.0f}{rate:>12,.0f}{side['ratio']:>8.1f}", flush=True)
    if args.out:
        write_json(args.out, result)
        print(f"written to {args.out}")


if __name__ == "__main__":
    main()
