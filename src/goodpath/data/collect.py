"""Collecting trajectories: scripted drivers of many tempers, or a trained policy, fill a data file."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from goodpath import envs
from goodpath.data.hdf5 import Writer
from goodpath.envs.vector import BatchedEnv
from goodpath.errors import GoodpathError
from goodpath.policies import TrainedPolicy
from goodpath.trajectories import Doubles, Trajectory


class Driver(Protocol):
    """Acts in a batch of environments, and is told where a new episode begins."""

    def __call__(self, observations: NDArray[np.float64]) -> NDArray[np.float64]:
        """(num_envs, action) actions for (num_envs, observation) observations."""

    def redraw(self, mask: NDArray[np.bool_]) -> None:
        """New episodes begin where `mask` (num_envs,) is true."""


class PolicyDriver:
    """A trained policy as a driver, with Gaussian noise of standard deviation `noise` on its actions."""

    def __init__(self, policy: TrainedPolicy, noise: float, rng: np.random.Generator) -> None:
        self._policy, self._noise, self._rng = policy, noise, rng

    def __call__(self, observations: NDArray[np.float64]) -> NDArray[np.float64]:
        """See `Driver`."""
        actions = self._policy(observations).astype(np.float64)
        return actions + self._noise * self._rng.standard_normal(actions.shape)

    def redraw(self, mask: NDArray[np.bool_]) -> None:
        """Every episode is driven alike."""


class Collected(NamedTuple):
    """What was collected.

    Attributes:
        returns: (episodes,).
        costs: (episodes,).
        steps: in all.
    """

    returns: Doubles
    costs: Doubles
    steps: int


def collect(
    environment: str,
    driver: Callable[[BatchedEnv, np.random.Generator], Driver],
    episodes: int,
    out: str | Path,
    seed: int = 0,
    num_envs: int = 32,
    threads: int | None = None,
    progress: Callable[[int], None] | None = None,
    max_cost: float = np.inf,
) -> Collected:
    """Collects whole episodes into an HDF5 file in DSRL layout.

    The same arguments give the same file; the number of threads makes no difference. Every environment makes
    its share of the episodes, so that short episodes are not preferred over long ones.

    Args:
        environment: name of the task.
        driver: makes the driver for the environment from a random generator.
        episodes: how many.
        out: the file; replaced only when all episodes are there.
        seed: environment i starts from `seed + i`.
        num_envs: copies stepped together.
        threads: that step them; as many as there are cores when left out.
        progress: called with the number of finished episodes.
        max_cost: episodes that cost more are driven, but not kept.

    Raises:
        GoodpathError: no episode was asked for, or none is cheap enough.
    """
    if episodes < 1:
        raise GoodpathError(f"{episodes} episodes were asked for; collect at least one.")
    num_envs = min(num_envs, episodes)
    env = envs.make(environment, num_envs, threads)
    try:
        with Writer(out, environment=env.spec.name, spec=env.spec) as writer:
            chosen = driver(env, np.random.default_rng([seed, 7]))
            return _fill(env, chosen, episodes, seed, writer, progress, max_cost)
    finally:
        env.close()


def _fill(
    env: BatchedEnv,
    driver: Driver,
    episodes: int,
    seed: int,
    writer: Writer,
    progress: Callable[[int], None] | None,
    max_cost: float,
) -> Collected:
    spec, number = env.spec, env.num_envs
    # Each environment fills its own row of the buffer up to the end of an episode.
    length = spec.episode_length
    seen = np.zeros((number, length, spec.observation_size), np.float32)
    following = np.zeros_like(seen)
    actions = np.zeros((number, length, spec.action_size), np.float32)
    rewards, costs = (np.zeros((number, length), np.float32) for _ in range(2))
    position = np.zeros(number, np.int64)
    quota = np.full(number, episodes // number) + (np.arange(number) < episodes % number)
    rows = np.arange(number)
    totals: list[tuple[float, float]] = []
    steps, driven, least = 0, 0, np.inf
    observations = env.reset(seed)
    while quota.any():
        chosen = np.clip(driver(observations), spec.action_low, spec.action_high)
        step = env.step(chosen)
        seen[rows, position], following[rows, position] = observations, step.final_observations
        actions[rows, position] = chosen
        rewards[rows, position], costs[rows, position] = step.rewards, step.costs
        position += 1
        over = step.terminated | step.truncated
        for i in np.flatnonzero(over & (quota > 0)):
            end = int(position[i])
            # The buffer is used again, so the writer gets copies.
            trajectory = Trajectory(
                observations=seen[i, :end].copy(),
                next_observations=following[i, :end].copy(),
                actions=actions[i, :end].copy(),
                rewards=rewards[i, :end].copy(),
                costs=costs[i, :end].copy(),
                terminated=bool(step.terminated[i]),
                truncated=bool(step.truncated[i]),
            )
            cost = float(trajectory.costs.sum())
            if cost <= max_cost:
                writer.append(trajectory)
                totals.append((float(trajectory.rewards.sum()), cost))
                steps += end
            driven, least = driven + 1, min(least, cost)
            quota[i] -= 1
        if over.any():
            position[over] = 0
            driver.redraw(over)
            if progress is not None:
                progress(driven)
        observations = step.observations
    if not totals:
        raise GoodpathError(
            f"none of the {driven} episodes costs at most {max_cost:g}; the cheapest costs {least:g}: raise --max-cost."
        )
    returns, episode_costs = np.array(totals, np.float64).T
    return Collected(returns, episode_costs, steps)
