"""All navigation tasks: steps per second, share of bare physics, and the ratio to safety-gymnasium 1.0.0.

    python benchmarks/envs_vs_safety_gymnasium.py --peer-python peer/bin/python --out results/envs.json

The peer runs one environment in one process, as it comes but without its wrappers, on the same MuJoCo, right
after each of our tasks. `ratio` is of environment steps a second, our copies and threads against its one;
`a core` is of processor time a step, which a busy machine changes less: multiplied by the threads, it is near
what `ratio` would be if nobody else used the machine. Both sides take random actions, and count one
reset an episode. `benchmarks/peer.py` says how to make the environment for `--peer-python`; without it, the
columns about the peer are left out. Where `--out` exists already, only the tasks measured now are replaced.
"""

import argparse
import json
import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

from goodpath.envs.navigation.speed import measure
from goodpath.envs.navigation.tasks import TASKS
from goodpath.envs.navigation.variants import VARIANTS
from goodpath.files import read_json, write_json

PEER = Path(__file__).with_name("peer.py")
TARGETS = {
    "SafetyPointGoal2-v0": 40,
    "SafetyPointPush1-v0": 40,
    "SafetyPointGoal1-v0": 25,
    "SafetyPointCircle1-v0": 25,
    "SafetyCarGoal1-v0": 12,
    "SafetyCarGoal2-v0": 12,
    **{f"Safety{robot}Button{level}-v0": 6 for robot in ("Point", "Car") for level in (1, 2)},
}


def ask_peer(python: Path, *words: str) -> dict[str, Any]:
    """What `peer.py` answers under another Python."""
    command = [str(python), "-W", "ignore", str(PEER), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"the peer failed on {' '.join(words)}:\n{done.stderr[-2000:]}")
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def row(name: str, args: argparse.Namespace) -> dict[str, Any]:
    """Everything measured of one task."""
    task = (TASKS | VARIANTS)[name]
    load = os.getloadavg()[0]
    found = measure(task, args.num_envs, args.threads, "fast", args.rounds).to_json()
    found["load_average"] = load
    if args.peer_python is not None and name in TASKS:
        answer = ask_peer(args.peer_python, "speed", name, "--steps", str(args.peer_steps))
        seconds = answer["step_seconds"] + answer["reset_seconds"] / task.episode_length
        found["peer"] = answer | {"steps_per_second": 1.0 / seconds}
        found["ratio"] = found["steps_per_second"] * seconds
        found["ratio_without_resets"] = found["steps_per_second"] * answer["step_seconds"]
        spent = answer["step_processor_seconds"] + answer["reset_processor_seconds"] / task.episode_length
        found["processor_time_ratio"] = spent / found["processor_seconds"]
        found["target_ratio"] = TARGETS.get(name)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--tasks", nargs="*", default=[*TASKS, *VARIANTS])
    parser.add_argument("--num-envs", type=int, default=32)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=8, help="turns of fifty steps")
    parser.add_argument(
        "--peer-python", type=Path, help="Python of an environment with safety-gymnasium 1.0.0"
    )
    parser.add_argument("--peer-steps", type=int, default=500)
    parser.add_argument("--out", type=Path, help="where to write everything as JSON")
    args = parser.parse_args()
    if args.peer_python is None:
        print("no --peer-python, so no ratio to safety-gymnasium; benchmarks/peer.py says how to get one")

    print(
        f"{'task':<26}{'steps/s':>9}{'of raw':>8}{'reset':>13}{'peer/s':>8}{'ratio':>8}{'a core':>8}"
        f"{'target':>8}"
    )
    rows = []
    for name in args.tasks:
        found = row(name, args)
        rows.append(found)
        line = f"{name:<26}{found['steps_per_second']:>9,.0f}{found['share_of_raw']:>8.0%}"
        line += f"{found['reset_in_steps']:>7.1f} steps"
        if "peer" in found:
            line += f"{found['peer']['steps_per_second']:>8,.0f}{found['ratio']:>7,.0f}x"
            line += f"{found['processor_time_ratio']:>7,.0f}x"
            line += f"{found['target_ratio']:>7}x" if found["target_ratio"] else ""
        print(line, flush=True)

    if args.out:
        if args.out.exists():  # what was measured before and is not now stays
            measured = {found["task"] for found in rows}
            rows += [found for found in read_json(args.out)["tasks"] if found["task"] not in measured]
        names = [*TASKS, *VARIANTS]
        rows.sort(key=lambda found: names.index(found["task"]))
        options = [f"--num-envs {args.num_envs}", f"--threads {args.threads}", f"--rounds {args.rounds}"]
        if args.peer_python is not None:
            options += ["--peer-python PEER", f"--peer-steps {args.peer_steps}"]
        record = {
            "command": " ".join(["python", f"benchmarks/{Path(__file__).name}", *options]),
            "note": "others use the machine too: load_average is of the minute before each task",
            "python": platform.python_version(),
            "processors": os.cpu_count(),
            "versions": {name: version(name) for name in ("goodpath", "mujoco", "numpy")},
            "tasks": rows,
        }
        write_json(args.out, record)
        print(f"written to {args.out}")


if __name__ == "__main__":
    main()
