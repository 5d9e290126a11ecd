"""The same seed and actions, here and in safety-gymnasium 1.0.0, on the same MuJoCo: the differences.

    python benchmarks/envs_parity.py --peer-python peer/bin/python --out results/envs_parity.json

Recordings (`goodpath envs verify`) compare with MuJoCo 2.3.3, for the tasks that were recorded; this compares
all tasks, from the layout that a seed gives through a few steps. The accelerometer is left out: at a contact
it shows the solver's last digits. `benchmarks/peer.py` says how to get an environment for `--peer-python`.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from envs_vs_safety_gymnasium import ask_peer

from goodpath.envs.navigation.engine import NavigationEnv
from goodpath.envs.navigation.tasks import TASKS
from goodpath.files import write_json

_ACCELEROMETER = 3


def compare(name: str, peer: Path, steps: int, seed: int) -> dict[str, Any]:
    """Largest differences at the reset and over the steps of one task."""
    answer = ask_peer(peer, "trace", name, "--steps", str(steps), "--seed", str(seed))
    env = NavigationEnv(TASKS[name], 1, physics="exact", seeding="original")
    observations, rewards, costs = [env.reset(seed)[0]], [], []
    actions = np.random.default_rng(seed).uniform(-1.0, 1.0, (steps, env.spec.action_size))
    for action in actions[: len(answer["rewards"])]:
        step = env.transition(action[None])
        observations.append(step.observations[0])
        rewards.append(step.rewards[0])
        costs.append(step.costs[0])
    apart = np.abs(np.array(observations) - np.array(answer["observations"]))[:, _ACCELEROMETER:]
    return {
        "task": name,
        "reset_difference": float(apart[0].max()),
        "observation_difference": float(apart.max()),
        "reward_difference": float(np.abs(np.array(rewards) - answer["rewards"]).max()),
        "costs_differ": int(np.count_nonzero(np.array(costs) != answer["costs"])),
        "steps": len(rewards),
        "versions": answer["versions"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--peer-python", type=Path, required=True)
    parser.add_argument("--tasks", nargs="*", default=list(TASKS))
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--out", type=Path, help="where to write everything as JSON")
    args = parser.parse_args()
    print(f"{'task':<24}{'reset':>10}{'steps':>10}{'reward':>10}{'costs':>7}")
    rows = []
    for name in args.tasks:
        rows.append(found := compare(name, args.peer_python, args.steps, args.seed))
        print(
            f"{name:<24}{found['reset_difference']:>10.1e}{found['observation_difference']:>10.1e}"
            f"{found['reward_difference']:>10.1e}{found['costs_differ']:>7}",
            flush=True,
        )
    if args.out:
        command = (
            f"python benchmarks/envs_parity.py --peer-python PEER --steps {args.steps} --seed {args.seed}"
        )
        write_json(args.out, {"command": command, "tasks": rows})


if __name__ == "__main__":
    main()
