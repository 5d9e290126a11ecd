"""Trains by OmniSafe 0.5.0's own PPO-Lagrangian and tells the time; started by `ppo_lagrangian_vs_omnisafe.py`.

That script makes the environment for it (`REQUIREMENTS` and `WITHOUT_DEPENDENCIES` there). OmniSafe itself is
untouched: its `Agent("PPOLag", ...)`, its hyper-parameters, its `learn()` with its log and its TensorBoard file.
safety-gymnasium is patched while it is imported, as `peer.py` says, and made by its own `make`, wrappers included.

    peer/bin/python benchmarks/peer_omnisafe.py SafetyPointGoal1-v0 --threads 1 --epochs 1

prints one JSON object on its last line. Its `seconds` are those of `learn()`: imports, construction and the seeding
of the environment come before. The learning rate falls over OmniSafe's own 500 epochs, of which the first few are run.
"""

import argparse
import csv
import importlib
import importlib.metadata
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import peer

VERSION = "0.5.0"
COLUMNS = {
    "rollout_seconds": "Time/Rollout",
    "update_seconds": "Time/Update",
    "passes": "Train/StopIter",
    "divergence": "Train/KL",
    "return": "Metrics/EpRet",
    "cost": "Metrics/EpCost",
}


def train(
    task: str, threads: int, num_envs: int, steps_per_epoch: int, epochs: int, seed: int
) -> dict[str, Any]:
    """Seconds of `epochs` epochs, and what OmniSafe's log says of each."""
    installed = importlib.metadata.version("omnisafe")
    if installed != VERSION:
        raise SystemExit(f"peer_omnisafe.py: omnisafe is {installed}; install {VERSION}.")
    peer.load_package()
    omnisafe: Any = importlib.import_module("omnisafe")
    with tempfile.TemporaryDirectory() as logs:
        changes = {
            "seed": seed,
            "train_cfgs": {"torch_threads": threads, "vector_env_nums": num_envs},
            "algo_cfgs": {"steps_per_epoch": steps_per_epoch},
            "logger_cfgs": {"log_dir": logs},
        }
        agent = omnisafe.Agent("PPOLag", task, custom_cfgs=changes)
        hyper_parameters = json.loads(agent.cfgs.tojson())
        # Not `total_steps`, on which the learning rate's schedule depends.
        agent.cfgs.train_cfgs.recurisve_update({"epochs": epochs})
        processors, begin = _processor_seconds(), time.perf_counter()
        agent.learn()
        seconds, processors = time.perf_counter() - begin, _processor_seconds() - processors
        (log,) = Path(logs).glob("*/*/progress.csv")
        with log.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    if len(rows) != epochs:
        raise SystemExit(f"peer_omnisafe.py: {epochs} epochs were asked for, and the log has {len(rows)}.")
    hyper_parameters["logger_cfgs"].pop("log_dir")
    hyper_parameters["exp_increment_cfgs"].pop("logger_cfgs")
    return {
        "steps": epochs * steps_per_epoch,
        "seconds": seconds,
        "processor_seconds": processors,
        "steps_per_second": epochs * steps_per_epoch / seconds,
        "threads": threads,
        "num_envs": num_envs,
        "epochs": [{name: float(row[column]) for name, column in COLUMNS.items()} for row in rows],
        "hyper_parameters": hyper_parameters,
    }


def _processor_seconds() -> float:
    """Of this process and of the finished processes that it started."""
    return sum(os.times()[:4])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("task")
    parser.add_argument("--threads", type=int, default=1, help="of PyTorch")
    parser.add_argument("--num-envs", type=int, default=1, help="environments, each in a process if several")
    parser.add_argument("--steps-per-epoch", type=int, default=20_000)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    found = train(args.task, args.threads, args.num_envs, args.steps_per_epoch, args.epochs, args.seed)
    packages = ("omnisafe", "safety-gymnasium", "gymnasium", "mujoco", "torch", "numpy")
    versions = {name: importlib.metadata.version(name) for name in packages}
    print(json.dumps(found | {"task": args.task, "versions": versions}))


if __name__ == "__main__":
    main()
