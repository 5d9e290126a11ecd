"""Do random policies earn and cost the same here as in safety-gymnasium 1.0.0?

    python benchmarks/random_policy.py --peer-python peer/bin/python --out results/random_policy.json

Both sides act uniformly at random for whole episodes. Means differ by chance, so the difference is given in
standard errors of the difference; beyond three would be a reason to look. `benchmarks/peer.py` says how to
get an environment for `--peer-python`.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from envs_vs_safety_gymnasium import ask_peer
from numpy.typing import NDArray

from goodpath.envs.navigation.engine import NavigationEnv
from goodpath.envs.navigation.tasks import TASKS
from goodpath.files import write_json

Array = NDArray[np.float64]
DEFAULT = ["SafetyPointGoal1-v0", "SafetyCarGoal1-v0", "SafetyPointButton1-v0", "SafetyPointCircle1-v0"]


def ours(name: str, episodes: int, seed: int) -> tuple[Array, Array]:
    """Returns and costs of so many episodes, all at once."""
    env = NavigationEnv(TASKS[name], episodes, physics="fast")
    env.reset(seed)
    rng = np.random.default_rng(seed)
    returns, costs = np.zeros((2, episodes))
    for _ in range(env.spec.episode_length):
        step = env.step(rng.uniform(-1.0, 1.0, (episodes, env.spec.action_size)))
        returns += step.rewards
        costs += step.costs
    return returns, costs


def compare(here: Array, there: Array) -> dict[str, Any]:
    """Means, standard errors, and their difference in standard errors."""
    errors = [values.std(ddof=1) / len(values) ** 0.5 for values in (here, there)]
    difference = here.mean() - there.mean()
    return {
        "goodpath": {"mean": here.mean(), "standard_error": errors[0], "episodes": len(here)},
        "safety_gymnasium": {"mean": there.mean(), "standard_error": errors[1], "episodes": len(there)},
        "difference_in_standard_errors": difference / max(float(np.hypot(*errors)), 1e-12),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--peer-python", type=Path, required=True)
    parser.add_argument("--tasks", nargs="*", default=DEFAULT)
    parser.add_argument("--episodes", type=int, default=400)
    parser.add_argument("--peer-episodes", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="where to write everything as JSON")
    args = parser.parse_args()

    tasks = {}
    for name in args.tasks:
        returns, costs = ours(name, args.episodes, args.seed)
        words = ("episodes", name, "--episodes", str(args.peer_episodes), "--seed", str(args.seed))
        answer = ask_peer(args.peer_python, *words)
        tasks[name] = {
            "return": compare(returns, np.array(answer["returns"])),
            "cost": compare(costs, np.array(answer["costs"])),
            "versions": answer["versions"],
        }
        for what in ("return", "cost"):
            found = tasks[name][what]
            here, there = found["goodpath"], found["safety_gymnasium"]
            print(
                f"{name:<24}{what:<8}{here['mean']:>9.3f} +- {here['standard_error']:<8.3f}"
                f"{there['mean']:>9.3f} +- {there['standard_error']:<8.3f}"
                f"{found['difference_in_standard_errors']:>6.1f} standard errors apart",
                flush=True,
            )
    if args.out:
        command = (
            f"python benchmarks/random_policy.py --peer-python PEER --episodes {args.episodes} "
            f"--peer-episodes {args.peer_episodes} --seed {args.seed}"
        )
        write_json(args.out, {"command": command, "physics": "fast", "tasks": tasks})


if __name__ == "__main__":
    main()
