"""Can a network see from an observation whether it costs? What `--normalize` and `--near` do for it.

    python benchmarks/seeing_costs.py --out results/seeing_costs.json

Someone wanders at random, a new direction every twenty steps on average. A network as in SaGui's Semi-Dynamic arena
(64-64, Adam, batches of 64) learns from three quarters of the steps, first what a step costs, then the discounted cost
from there on, and is asked about the last quarter: 1 - mean squared error / variance, so 0 is who always says the mean.
"""

import argparse
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from numpy.typing import NDArray

from goodpath import envs
from goodpath.files import write_json
from goodpath.networks import MLP, Near, xavier_mlp
from goodpath.normalize import Scaler
from goodpath.spec import Spec

TASKS = ["SaguiSemiDynamicGuide-v0", "SaguiDynamicGuide-v0"]
VIEWS = ("plain", "normalize", "normalize, near")
COPIES, STEPS, LEARNT, POWER, DISCOUNT = 20, 4000, 3000, 16.0, 0.97
Steps = NDArray[np.float32]


def wander(task: str) -> tuple[Spec, Steps, Steps, Steps]:
    """The task, (STEPS, COPIES, observation) observations, (STEPS, COPIES) costs and discounted costs from there on."""
    env, rng = envs.make(task, COPIES, physics="fast"), np.random.default_rng(0)
    env.reset(list(range(COPIES)))
    heading = rng.uniform(-1, 1, (COPIES, env.spec.action_size))
    seen, costs, ended = [], [], []
    for _ in range(STEPS):
        turns = rng.random(COPIES) < 0.05
        heading[turns] = rng.uniform(-1, 1, (turns.sum(), env.spec.action_size))
        step = env.step(np.clip(heading + 0.3 * rng.standard_normal(heading.shape), -1, 1))
        seen.append(step.final_observations)
        costs.append(step.costs)
        ended.append(step.terminated | step.truncated)
    follows, following = np.zeros((STEPS, COPIES)), np.zeros(COPIES)
    for t in reversed(range(STEPS)):
        following = costs[t] + DISCOUNT * following * ~ended[t]
        follows[t] = following
    env.close()
    return env.spec, np.asarray(seen, np.float32), np.asarray(costs, np.float32), follows.astype(np.float32)


def scaler(view: str, spec: Spec, seen: Array) -> Scaler | None:
    """How the network sees (steps, observation) observations; None for as they are."""
    if view == "plain":
        return None
    lidars = tuple(
        place for name, places in spec.places.items() if name.endswith("_lidar") for place in places
    )
    near = Near(lidars, POWER) if "near" in view else Near()
    return Scaler.empty(spec.observation_size, near).updated(seen)


@partial(jax.jit, static_argnames="updates")
def fit(key: Array, seen: Array, wanted: Array, updates: int) -> MLP:
    """A network that has learnt (steps,) numbers from (steps, inputs)."""
    network = xavier_mlp((seen.shape[1], 64, 64, 1), key)
    adam = optax.adam(1e-3)

    def step(state: tuple[MLP, Any], key: Array) -> tuple[tuple[MLP, Any], None]:
        network, moments = state
        rows = jax.random.randint(key, (64,), 0, len(wanted))
        slope = jax.grad(lambda net: jnp.mean((net(seen[rows])[:, 0] - wanted[rows]) ** 2))(network)
        change, moments = adam.update(slope, moments)
        return (optax.apply_updates(network, change), moments), None

    return jax.lax.scan(step, (network, adam.init(network)), jax.random.split(key, updates))[0][0]


def scores(inputs: Array, wanted: Array, updates: int, networks: int) -> list[float]:
    """What networks from so many seeds know of the last steps, having learnt from the first."""
    cut, keys = LEARNT * COPIES, jax.random.split(jax.random.key(0), networks)
    learnt = jax.lax.map(lambda key: fit(key, inputs[:cut], wanted[:cut], updates), keys)
    said = jax.vmap(lambda network: network(inputs[cut:])[:, 0])(learnt)
    errors = jnp.mean((said - wanted[cut:]) ** 2, axis=1)
    return [1 - float(error / jnp.var(wanted[cut:])) for error in errors]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--tasks", nargs="*", default=TASKS)
    parser.add_argument("--updates", type=int, default=20_000)
    parser.add_argument("--networks", type=int, default=3, help="how many, from one seed each")
    parser.add_argument("--out", type=Path, help="where to write everything as JSON")
    args = parser.parse_args()

    found: dict[str, Any] = {}
    for task in args.tasks:
        spec, seen, costs, follows = wander(task)
        flat = jnp.asarray(seen.reshape(-1, spec.observation_size))
        found[task] = {"cost_rate": float(costs.mean())}
        for what, numbers in (("cost", costs), ("discounted cost", follows)):
            for view in VIEWS:
                units = scaler(view, spec, flat[: LEARNT * COPIES])
                inputs = flat if units is None else units(flat)
                known = scores(inputs, jnp.asarray(numbers.ravel()), args.updates, args.networks)
                found[task][f"{what}, {view}"] = known
                print(f"{task:<28}{what:<18}{view:<18}{np.mean(known):>7.2f}", flush=True)
    if args.out:
        command = f"python benchmarks/seeing_costs.py --updates {args.updates} --networks {args.networks}"
        versions = {name: version(name) for name in ("jax", "mujoco", "numpy", "optax")}
        write_json(args.out, {"command": command, "power": POWER, "versions": versions, "tasks": found})


if __name__ == "__main__":
    main()
