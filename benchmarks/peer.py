"""Runs safety-gymnasium 1.0.0 for comparisons; started by other benchmarks in an environment of its own.

The wheel pins versions that cannot live beside a current JAX, so it gets a throw-away environment:

    python3.11 -m venv peer
    peer/bin/pip install "numpy==2.3.5" "mujoco==4.0.0" "gymnasium==1.4.0" xmltodict pyyaml imageio packaging
    peer/bin/pip install --no-deps "safety-gymnasium==1.0.0"

and is patched while it is imported: its package initialiser, which registers environments and needs further
packages, does not run, and the arrays in its table of colours, which current Pythons refuse as defaults of a
dataclass, become hashable. What is measured is its `Builder`: the environment without the wrappers that its
`make` puts round it, which would only add to its time.

    peer/bin/python benchmarks/peer.py speed SafetyPointGoal1-v0 --steps 1000
    peer/bin/python benchmarks/peer.py episodes SafetyPointGoal1-v0 --episodes 10 --seed 0
    peer/bin/python benchmarks/peer.py trace SafetyPointGoal1-v0 --steps 3 --seed 0

Each prints one JSON object on its last line.
"""

import argparse
import importlib.machinery
import importlib.metadata
import importlib.util
import json
import re
import sys
import time
import types
from pathlib import Path
from typing import Any

import numpy as np

VERSION = "1.0.0"


class _Hashable(np.ndarray[Any, Any]):
    def __hash__(self) -> int:  # type: ignore[override]
        return hash(self.tobytes())


def load() -> Any:
    """Imports the wheel's `Builder`, patched as the module's docstring says."""
    _patch()
    return importlib.import_module("safety_gymnasium.builder").Builder


def load_package() -> Any:
    """Imports the whole wheel, patched, with its registry and its `make`; needs Gymnasium 0.28.1.

    Only the tasks of several robots are left out: they need Gymnasium-Robotics, which needs a NumPy that no
    current Python has.
    """
    package = _patch()
    name = "safety_gymnasium.tasks.safe_multi_agent.safe_mujoco_multi"
    absent = types.ModuleType(name)
    vars(absent)["make_ma"] = None
    sys.modules[name] = absent
    package.__spec__.loader.exec_module(package)
    return package


def _patch() -> Any:
    """Puts the wheel's package into `sys.modules` with colours that can be hashed, and runs nothing else of it."""
    installed = importlib.metadata.version("safety-gymnasium")
    if installed != VERSION:
        raise SystemExit(f"peer.py: safety-gymnasium is {installed}; install {VERSION}.")
    spec = importlib.machinery.PathFinder.find_spec("safety_gymnasium")
    assert spec is not None
    assert spec.origin is not None
    package = types.ModuleType("safety_gymnasium")
    package.__path__ = list(spec.submodule_search_locations or [])
    package.__file__, package.__spec__ = spec.origin, spec
    sys.modules["safety_gymnasium"] = package

    name = "safety_gymnasium.assets.color"
    colours = importlib.util.spec_from_file_location(name, Path(spec.origin).parent / "assets" / "color.py")
    assert colours is not None
    assert colours.loader is not None
    module = importlib.util.module_from_spec(colours)
    colours.loader.exec_module(module)
    for value in vars(module).values():
        if isinstance(value, dict):
            for key, entry in value.items():
                if isinstance(entry, np.ndarray):
                    value[key] = entry.view(_Hashable)
    sys.modules[name] = module
    return package


def make(task: str) -> Any:
    """The environment of a task such as `SafetyPointGoal1-v0`."""
    match = re.fullmatch(r"Safety(Point|Car|Ant|Doggo)(\w+)-v0", task)
    if match is None:
        raise SystemExit(f"peer.py: '{task}' is no navigation task of safety-gymnasium.")
    return load()(f"Safety{match[1]}{match[2]}-v0", config={"agent_name": match[1]})


def speed(task: str, steps: int) -> dict[str, float]:
    """Seconds of a step and of a reset, under random actions."""
    env = make(task)
    env.reset(seed=0)  # compiles twice; later resets only once
    rng = np.random.default_rng(0)
    stepping, resetting, resets, taken = (
        np.zeros(2),
        np.zeros(2),
        0,
        0,
    )  # seconds: of the clock, of processors
    while taken < steps:
        begin = _now()
        env.reset()
        resetting += _now() - begin
        resets += 1
        for action in rng.uniform(-1.0, 1.0, (min(steps - taken, 250), *env.action_space.shape)):
            begin = _now()
            ended = env.step(action)[-3:-1]
            stepping += _now() - begin
            taken += 1
            if any(ended):
                break
    step, reset = (stepping / taken).tolist(), (resetting / resets).tolist()
    return {
        "step_seconds": step[0],
        "reset_seconds": reset[0],
        "step_processor_seconds": step[1],
        "reset_processor_seconds": reset[1],
    }


def _now() -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array([time.perf_counter(), time.process_time()])


def episodes(task: str, count: int, seed: int) -> dict[str, list[float]]:
    """Returns and costs of whole episodes under uniformly random actions."""
    env = make(task)
    rng = np.random.default_rng(seed)
    returns, costs = [], []
    for number in range(count):
        env.reset(seed=seed + number)
        total = paid = 0.0
        ended = False
        while not ended:
            _, reward, cost, terminated, truncated, _ = env.step(
                rng.uniform(-1.0, 1.0, env.action_space.shape)
            )
            total, paid, ended = total + float(reward), paid + float(cost), terminated or truncated
        returns.append(total)
        costs.append(paid)
    return {"returns": returns, "costs": costs}


def trace(task: str, steps: int, seed: int) -> dict[str, Any]:
    """What one seed shows: the first observation, and what comes of a few random actions."""
    env = make(task)
    observations = [env.reset(seed=seed)[0].tolist()]
    rewards, costs = [], []
    for action in np.random.default_rng(seed).uniform(-1.0, 1.0, (steps, *env.action_space.shape)):
        observation, reward, cost, terminated, truncated, _ = env.step(action)
        observations.append(observation.tolist())
        rewards.append(float(reward))
        costs.append(float(cost))
        if terminated or truncated:
            break
    return {"observations": observations, "rewards": rewards, "costs": costs}


def main() -> None:
    parser = argparse.ArgumentParser(description="Runs safety-gymnasium 1.0.0 for comparisons.")
    parser.add_argument("what", choices=["speed", "episodes", "trace"])
    parser.add_argument("task")
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--episodes", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    found: dict[str, Any]
    if args.what == "speed":
        found = speed(args.task, args.steps)
    elif args.what == "episodes":
        found = episodes(args.task, args.episodes, args.seed)
    else:
        found = trace(args.task, args.steps, args.seed)
    versions = {name: importlib.metadata.version(name) for name in ("safety-gymnasium", "mujoco", "numpy")}
    print(json.dumps(found | {"task": args.task, "versions": versions}))


if __name__ == "__main__":
    main()
