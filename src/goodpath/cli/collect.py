"""`goodpath collect`: fill a data file with episodes."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

if TYPE_CHECKING:
    import numpy as np

    from goodpath.data.collect import Driver
    from goodpath.envs.vector import BatchedEnv


@dataclass(frozen=True)
class Arguments:
    """Drive a task and save whole trajectories as HDF5 in DSRL layout.

    Scripted drivers draw a temper for each episode, from careful to reckless, so that returns and costs fan out.
    """

    environment: Annotated[str, tyro.conf.Positional]
    """Task to drive; `goodpath envs` lists them."""
    out: Path
    """File to write, replaced only when all episodes are there."""
    episodes: int = 400
    """How many episodes."""
    policy: Path | None = None
    """Run folder or policy file that drives instead of the scripted drivers."""
    noise: float = 0.0
    """Standard deviation of Gaussian noise on a policy's actions."""
    max_cost: float = math.inf
    """Episodes that cost more are driven, but not kept."""
    seed: int = 0
    """Determines everything."""
    num_envs: int = 32
    """Environments stepped together."""
    threads: int | None = None
    """Threads that step them; one for each core when left out."""


def main(arguments: list[str]) -> int:
    """Runs the command."""
    options = tyro.cli(Arguments, args=arguments, prog="goodpath collect")
    from time import perf_counter

    import numpy as np
    from rich.progress import track

    from goodpath.data.collect import collect

    began = perf_counter()
    bar = iter(track(range(options.episodes), "collecting", transient=True))
    done = 0

    def show(finished: int) -> None:
        nonlocal done
        for _ in range(finished - done):
            next(bar)
        done = finished

    result = collect(
        options.environment,
        _driver(options.policy, options.noise),
        options.episodes,
        options.out,
        options.seed,
        options.num_envs,
        options.threads,
        show,
        options.max_cost,
    )
    list(bar)
    seconds = perf_counter() - began
    low, middle, high = np.quantile(result.returns, (0, 0.5, 1))
    cheap, typical, dear = np.quantile(result.costs, (0, 0.5, 1))
    print(
        f"{options.out}: {len(result.returns)} episodes, {result.steps} steps in {seconds:.1f} s "
        f"({result.steps / seconds:,.0f} steps/s); return {low:.1f} to {high:.1f} (median {middle:.1f}), "
        f"cost {cheap:g} to {dear:g} (median {typical:g})"
    )
    return 0


def _driver(policy: Path | None, noise: float) -> "Callable[[BatchedEnv, np.random.Generator], Driver]":
    if policy is not None:
        from goodpath.data.collect import PolicyDriver
        from goodpath.training.results import find_policies

        trained = find_policies(policy)[0]
        return lambda env, rng: PolicyDriver(trained, noise, rng)
    from goodpath.envs.navigation.controllers import controller

    return lambda env, rng: controller(env.spec.name, env.num_envs, rng)
