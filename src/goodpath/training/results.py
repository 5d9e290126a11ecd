"""What a run leaves behind, and what is said of it: policies, scores, versions."""

import importlib.metadata
import json
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

import goodpath
from goodpath import envs
from goodpath.data import dsrl
from goodpath.errors import GoodpathError
from goodpath.files import write_json
from goodpath.policies import TrainedPolicy, load_policy
from goodpath.reports.statistics import summarize
from goodpath.training import evaluate as evaluation


def evaluate(
    path: str | Path | TrainedPolicy,
    env: str = "",
    episodes: int = 20,
    cost_limit: float | None = None,
    seed: int = evaluation.EVALUATION_SEED,
    stochastic: bool = False,
) -> dict[str, Any]:
    """Runs seeded episodes of trained policies; the same arguments give the same numbers.

    Args:
        path: a run folder, a policy file, or a policy.
        env: task; the one the policies were trained for when left out.
        episodes: episodes of each policy.
        cost_limit: what costs are held against; the training limit when left out.
        seed: episode e starts from `seed + e`.
        stochastic: sample actions instead of taking the most likely ones.

    Returns:
        `seeds`, `summary` and both limits, as in `result.json`.

    Raises:
        GoodpathError: no policy, no task, or a task of other sizes.
    """
    policies = [path] if isinstance(path, TrainedPolicy) else find_policies(path)
    trained_limit = float(policies[0].about.get("cost_limit", 0.0))
    limit = trained_limit if cost_limit is None else cost_limit
    task = envs.canonical(env or policies[0].spec.name)
    if episodes < 1:
        raise GoodpathError(f"{episodes} episodes were asked for; evaluate at least one.")
    simulator = envs.make(task, len(policies) * episodes)
    try:
        spec, trained = simulator.spec, policies[0].spec
        if (spec.observation_size, spec.action_size) != (trained.observation_size, trained.action_size):
            raise GoodpathError(
                f"{task} has observations of length {spec.observation_size} and actions of length "
                f"{spec.action_size}, but the policy was trained for {trained.observation_size} and "
                f"{trained.action_size} ({trained.name or 'unknown task'})."
            )
        stacked = evaluation.stack(policies)
        result = evaluation.evaluate(stacked, simulator, episodes, seed, stochastic=stochastic)
    finally:
        simulator.close()
    return {
        "environment": task,
        "cost_limit": trained_limit,
        "evaluation_cost_limit": limit,
        "stochastic": stochastic,
        "seeds": [
            {"seed": policy.about.get("seed", index), **seed_scores(result, index, limit, task)}
            for index, policy in enumerate(policies)
        ],
        "summary": summarize(result.returns.tolist(), result.costs.tolist(), limit, task),
        "versions": versions(),
    }


def find_policies(path: str | Path) -> list[TrainedPolicy]:
    """The policies of a run folder in order of their seeds, or the one in a policy file.

    Raises:
        GoodpathError: there is none.
    """
    path = Path(path)
    if path.is_file():
        return [load_policy(path)]
    files = sorted(
        (path / "policies").glob("seed-*.npz"), key=lambda file: int(file.stem.removeprefix("seed-"))
    )
    if not files:
        raise GoodpathError(
            f"there is no policy in {path}; give a policy file or the folder of a finished run "
            f"(an unfinished one goes on with `goodpath train --resume {path}`)."
        )
    return [load_policy(file) for file in files]


def seed_scores(result: evaluation.Evaluation, index: int, cost_limit: float, task: str) -> dict[str, Any]:
    """What `result.json` says of one policy's episodes."""
    returns, costs = result.returns[index], result.costs[index]
    constants = dsrl.guess(task)
    mean = float(returns.mean())
    return {
        "return": mean,
        "cost": float(costs.mean()),
        "normalized_return": None if constants is None else dsrl.normalized_return(constants, mean),
        "normalized_cost": dsrl.normalized_cost(float(costs.mean()), cost_limit),
        "episodes": len(returns),
        "violations": int(np.sum(costs > cost_limit)),
        "environment_steps": int(result.lengths[index].sum()),
        "episode_returns": [float(x) for x in returns],
        "episode_costs": [float(x) for x in costs],
    }


def training_tail(folder: Path) -> list[dict[str, float]]:
    """What each seed's own episodes gave in the last tenth of training, while it explored.

    Args:
        folder: of a run of an online method.

    Returns:
        For each seed `return` and `cost`, the means over those lines of the log of the means of their episodes.
    """
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    updates = [line["metrics"] for line in lines if line["kind"] == "update"]
    last = updates[-max(1, round(0.1 * len(updates))) :]
    means = {name: np.mean([line[name] for line in last], axis=0) for name in ("return", "cost")}
    return [
        {name: float(values[index]) for name, values in means.items()}
        for index in range(len(means["return"]))
    ]


def write_paths(folder: Path, result: evaluation.Evaluation, seeds: Sequence[int]) -> None:
    """Writes the recorded episodes for the report."""
    episodes = [{"seed": seeds[path["policy"]], **path} for path in result.paths]
    if episodes:
        write_json(folder / "paths.json", {"episodes": episodes})


def policy_path(folder: Path, seed: int) -> Path:
    """Where a run keeps the policy of a seed."""
    return folder / "policies" / f"seed-{seed}.npz"


def versions() -> dict[str, str]:
    """Versions of all that numbers depend on."""
    packages = ("jax", "jaxlib", "numpy", "equinox", "optax", "mujoco", "gymnasium")
    found = {name: importlib.metadata.version(name) for name in packages}
    return {
        "goodpath": goodpath.__version__,
        "python": platform.python_version(),
        **found,
        "device": jax.devices()[0].device_kind,
        "system": f"{sys.platform}-{platform.machine()}",
    }
