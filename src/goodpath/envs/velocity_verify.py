"""Compares the velocity tasks with recordings of safety-gymnasium 1.0.0.

The questions are those of `goodpath.envs.navigation.verify`: do reward, cost, termination and observation
follow from a recorded state as recorded, and does one step of physics lead to the recorded state? Resets are
asked too: the recorded seeds have to give the recorded first observations.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goodpath.envs.vector import Array
from goodpath.envs.velocity import VelocityEnv
from goodpath.envs.velocity_tasks import TASKS
from goodpath.errors import GoodpathError, nearest

Recording = dict[str, NDArray[Any]]

_ROUNDING = 1e-12
# Largest (median, 99th percentile, maximum) of the error of one step. Humanoid's solver stops before it has
# converged, at another place in MuJoCo 4 wherever there is contact; the others agree to rounding.
_LIMITS = {"Humanoid": (1e-12, 2e-4, 1e-3)}
_EXACT = (1e-13, 1e-11, 1e-11)


@dataclass(frozen=True)
class Formulas:
    """What follows from the recorded states and seeds; all of it should agree to rounding.

    Attributes:
        layout_max_error: of the first observations, which follow from the recorded seeds.
        observation_max_error: of observations; what bodies feel inside is compared after resets only, because
            elsewhere it does not follow from positions and velocities.
        reward_max_error: of one step.
        cost_mismatches: steps in which the cost differs.
        goal_mismatches: None; there are no goals.
        death_mismatches: steps in which the end of the episode differs.
    """

    layout_max_error: float
    observation_max_error: float
    reward_max_error: float
    cost_mismatches: int
    goal_mismatches: None
    death_mismatches: int

    @property
    def passed(self) -> bool:
        """Whether everything agrees to 1e-12."""
        errors = (self.layout_max_error, self.observation_max_error, self.reward_max_error)
        exact = all(error <= _ROUNDING for error in errors)
        return exact and self.cost_mismatches == self.death_mismatches == 0


@dataclass(frozen=True)
class Physics:
    """One step of MuJoCo 4 from each recorded state. The error of a state is the largest of its numbers.

    Attributes:
        agent_p90_error_free: 90th percentile of the error of positions.
        object_p90_error_free: None; there are no objects.
        contact_median_error: None; there is nothing but the floor to touch.
        reward_p99_error: 99th percentile of the reward's error.
        cost_flips: steps in which the cost differs.
        goal_flips: None; there are no goals.
        termination_flips: steps in which the end of the episode differs.
        state_median_error: median of the error of positions and velocities.
        state_p99_error: its 99th percentile.
        state_max_error: its maximum.
        reward_max_error: maximum of the reward's error.
    """

    agent_p90_error_free: float
    object_p90_error_free: None
    contact_median_error: None
    reward_p99_error: float
    cost_flips: int
    goal_flips: None
    termination_flips: int
    state_median_error: float
    state_p99_error: float
    state_max_error: float
    reward_max_error: float

    def passed(self, limits: tuple[float, float, float]) -> bool:
        """Whether it is as near as two versions of MuJoCo come."""
        errors = (self.state_median_error, self.state_p99_error, self.state_max_error)
        near = all(error <= limit for error, limit in zip(errors, limits, strict=True))
        rewards = self.reward_p99_error <= limits[1] and self.reward_max_error <= limits[2]
        return near and rewards and self.cost_flips == self.termination_flips == 0


@dataclass(frozen=True)
class Verdict:
    """What came of one recording."""

    task: str
    steps: int
    formulas: Formulas
    physics: Physics

    @property
    def passed(self) -> bool:
        """Whether the environment does what the recording says."""
        robot = self.task.removeprefix("Safety").split("Velocity")[0]
        return self.formulas.passed and self.physics.passed(_LIMITS.get(robot, _EXACT))

    def to_json(self) -> dict[str, Any]:
        """Everything as plain values."""
        return asdict(self) | {"passed": self.passed}


def verify(recording: Recording, source: Path) -> Verdict:
    """Compares the environment with one recording.

    Args:
        recording: the arrays of the recording, with leading axes (seeds, steps).
        source: the file they come from, for error messages.

    Raises:
        GoodpathError: the recording is incomplete, or of a task that is not there.
    """
    name = str(recording["task"])
    if name not in TASKS:
        raise GoodpathError(f"'{source}' records '{name}', which is not here.{nearest(name, list(TASKS))}")
    try:
        env = VelocityEnv(name, len(recording["seeds"]), threads=1)
        try:
            steps = int(recording["n_steps"].min())
            return Verdict(name, env.num_envs * steps, *_compare(env, recording, steps))
        finally:
            env.close()
    except (KeyError, IndexError, ValueError) as error:
        raise GoodpathError(
            f"'{source}' does not hold what a recording of {name} should: {error}."
        ) from error


def _compare(env: VelocityEnv, recording: Recording, steps: int) -> tuple[Formulas, Physics]:
    """Asks both questions of every step."""
    first = env.reset([int(seed) for seed in recording["seeds"]])
    shape = (steps, env.num_envs)
    rewards, physics_rewards, qpos_errors, state_errors, observation_errors = (
        np.zeros(shape) for _ in range(5)
    )
    mismatches, flips = np.zeros(2, np.int64), np.zeros(2, np.int64)  # of costs, of terminations
    for t in range(steps):
        actions = recording["action"][:, t]
        _force(env, recording, "b", t)
        observation_errors[t] = _fresh_errors(env, recording, t)
        env.simulate(actions)
        env.positions_before = _positions(env, recording, "b", t)
        physics_rewards[t], wrong = _outcome_errors(env, recording, t, env.positions())
        flips += wrong
        qpos, qvel = env.state()
        qpos_errors[t] = np.abs(qpos - recording["a_qpos"][:, t]).max(1)
        state_errors[t] = np.maximum(qpos_errors[t], np.abs(qvel - recording["a_qvel"][:, t]).max(1))

        _force(env, recording, "a", t)
        rewards[t], wrong = _outcome_errors(env, recording, t, _positions(env, recording, "a", t))
        mismatches += wrong
        errors = np.abs(env.observe() - recording["obs_after"][:, t])[:, : env.state_size]
        observation_errors[t] = np.maximum(observation_errors[t], errors.max(1))
    return (
        Formulas(
            float(np.abs(first - recording["obs_before"][:, 0]).max()),
            float(observation_errors.max()),
            float(rewards.max()),
            int(mismatches[0]),
            None,
            int(mismatches[1]),
        ),
        Physics(
            float(np.percentile(qpos_errors, 90)),
            None,
            None,
            float(np.percentile(physics_rewards, 99)),
            int(flips[0]),
            None,
            int(flips[1]),
            float(np.median(state_errors)),
            float(np.percentile(state_errors, 99)),
            float(state_errors.max()),
            float(physics_rewards.max()),
        ),
    )


def _force(env: VelocityEnv, recording: Recording, when: str, t: int) -> None:
    """Puts every simulator into the recorded state before (`b`) or after (`a`) step t."""
    qpos, qvel, warmstart = (recording[f"{when}_{key}"][:, t] for key in ("qpos", "qvel", "qacc_warmstart"))
    for row in range(env.num_envs):
        env.force(row, qpos[row], qvel[row], warmstart[row])


def _positions(env: VelocityEnv, recording: Recording, when: str, t: int) -> Array:
    """(seeds, 2) what the original measured speeds by; behind qpos where the simulator's bodies are."""
    if env.task.robot.place == "root":
        places: Array = recording[f"{when}_qpos"][:, t, :2]
        return places
    return np.asarray(recording[f"{when}_xy"][:, t], np.float64)


def _fresh_errors(env: VelocityEnv, recording: Recording, t: int) -> Array:
    """(seeds,) errors of all of an observation and of positions where the state was set just before."""
    fresh = recording["is_first"][:, t]
    observations = np.abs(env.observe() - recording["obs_before"][:, t]).max(1)
    positions = np.abs(env.positions() - _positions(env, recording, "b", t)).max(1)
    return np.where(fresh, np.maximum(observations, positions), 0.0)


def _outcome_errors(
    env: VelocityEnv, recording: Recording, t: int, positions: Array
) -> tuple[Array, NDArray[np.int64]]:
    """(seeds,) errors of the reward, and how many costs and terminations differ."""
    rewards, costs, terminated, _ = env.outcome(recording["action"][:, t], positions)
    wrong = [
        np.count_nonzero(costs != recording["cost"][:, t]),
        np.count_nonzero(terminated != recording["terminated"][:, t]),
    ]
    return np.abs(rewards - recording["reward"][:, t]), np.array(wrong)
