"""How fast the navigation environments are, against the physics that they cannot do without."""

from dataclasses import asdict, dataclass
from time import perf_counter, process_time
from typing import Any

import numpy as np

from goodpath.envs.navigation.engine import Fidelity, NavigationEnv
from goodpath.envs.navigation.tasks import Task

_CHUNK = 50  # environment steps measured at a time, by turns with as many of bare physics


@dataclass(frozen=True)
class Speed:
    """What was measured of one task; a step is one environment step of one copy.

    Attributes:
        task: its name.
        num_envs: copies.
        threads: threads, for environment and bare physics alike.
        physics: `exact` or `fast`, for both alike.
        steps: environment steps measured, of all copies together.
        steps_per_second: with random actions, and with one reset an episode.
        raw_steps_per_second: bare `mj_step`s of the same scenes under random actions, ten to a step.
        share_of_raw: the first over the second.
        reset_in_steps: how many steps one reset takes as long as.
        processor_seconds: processor time of a step, of all threads together and with its share of a reset; it
            depends less than a rate does on what else the machine does.
    """

    task: str
    num_envs: int
    threads: int
    physics: str
    steps: int
    steps_per_second: float
    raw_steps_per_second: float
    share_of_raw: float
    reset_in_steps: float
    processor_seconds: float

    def to_json(self) -> dict[str, Any]:
        """Everything as plain values."""
        return asdict(self)


def measure(task: Task, num_envs: int, threads: int, physics: Fidelity, rounds: int = 8) -> Speed:
    """Measures a task; environment and bare physics take turns, so that a busy machine is fair to both.

    Args:
        task: which.
        num_envs: copies.
        threads: threads that step them.
        physics: `exact` or `fast`.
        rounds: how often each takes its turn of fifty steps.
    """
    env = NavigationEnv(task, num_envs, threads, physics)
    rng = np.random.default_rng(0)
    shape = (_CHUNK, num_envs, env.spec.action_size)
    env.reset(0)
    _run(env, rng.uniform(-1.0, 1.0, shape))  # warms up, and lets what rests fall asleep
    times = np.zeros((rounds, 3))  # of stepping, of bare physics, of a reset
    processor = np.zeros((rounds, 2))  # of stepping, of a reset
    for turn, spent in zip(times, processor, strict=True):
        begun = process_time()
        turn[0] = _run(env, rng.uniform(-1.0, 1.0, shape))
        spent[0] = process_time() - begun
        plan = env.physics.drive_plan(rng.uniform(-1.0, 1.0, shape).swapaxes(0, 1), _CHUNK)
        begin = perf_counter()
        env.physics.run(plan)
        turn[1] = perf_counter() - begin
        begin, begun = perf_counter(), process_time()
        env.reset()
        turn[2], spent[1] = perf_counter() - begin, process_time() - begun
        _run(env, rng.uniform(-1.0, 1.0, (12, *shape[1:])))
    env.close()
    # Medians, because others' bursts of work hit single turns.
    step, bare, reset = np.median(times, axis=0) / num_envs / (_CHUNK, _CHUNK, 1)
    stepping, starting = np.median(processor, axis=0) / num_envs / (_CHUNK, 1)
    rate = 1.0 / (step + reset / task.episode_length)
    return Speed(
        task=task.name,
        num_envs=num_envs,
        threads=threads,
        physics=physics,
        steps=rounds * _CHUNK * num_envs,
        steps_per_second=float(rate),
        raw_steps_per_second=float(1.0 / bare),
        share_of_raw=float(rate * bare),
        reset_in_steps=float(reset / step),
        processor_seconds=float(stepping + starting / task.episode_length),
    )


def _run(env: NavigationEnv, actions: "np.ndarray[Any, np.dtype[np.float64]]") -> float:
    """Seconds that the (steps, num_envs, action) actions took."""
    begin = perf_counter()
    for row in actions:
        env.step(row)
    return perf_counter() - begin
