"""Compares the environments with recordings of safety-gymnasium 1.0.0.

Two questions are asked of every recorded step. *Formulas*: from the recorded state after the step, do
reward, cost, goal and observation come out the same? *Physics*: from the recorded state before the step, does
one step lead to the same state? The engine's own parts answer both; nothing is computed a second time here.
"""

from dataclasses import asdict, dataclass
from math import ceil
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from goodpath.envs.navigation.engine import NavigationEnv
from goodpath.envs.navigation.layout import Layout
from goodpath.envs.navigation.variants import EVERY_TASK
from goodpath.errors import GoodpathError, nearest

Array = NDArray[np.float64]
Recording = dict[str, NDArray[Any]]

_ACCELEROMETER = 3  # the first numbers of an observation; contact forces make them differ between MuJoCos
_OBJECTS = ("vase", "pillar", "gremlin", "push_box", "button", "goal_button")
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Formulas:
    """What follows from the recorded states; all of it should agree to rounding.

    Attributes:
        layout_max_error: of the first places and goals, which follow from the recorded seeds, in metres.
        observation_max_error: without the accelerometer.
        reward_max_error: of one step.
        cost_mismatches: steps in which a term of the cost differs.
        goal_mismatches: steps in which reaching the goal, or what comes next (its place, the goal button, the
            buttons' timer), differs.
        death_mismatches: steps in which the agent's death differs.
    """

    layout_max_error: float
    observation_max_error: float
    reward_max_error: float
    cost_mismatches: int
    goal_mismatches: int
    death_mismatches: int

    @property
    def passed(self) -> bool:
        """Whether everything agrees to 1e-12."""
        errors = (self.layout_max_error, self.observation_max_error, self.reward_max_error)
        exact = all(error <= _ROUNDING for error in errors)
        return exact and self.cost_mismatches == self.goal_mismatches == self.death_mismatches == 0


@dataclass(frozen=True)
class Physics:
    """One step of MuJoCo 4 from each recorded state. A free step is one with no contact round about it.

    Attributes:
        agent_p90_error_free: 90th percentile of the agent's error in free steps.
        object_p90_error_free: the same of the movable objects; None where there are none.
        contact_median_error: median error in steps with contact round about them; None without such steps.
        reward_p99_error: 99th percentile of the reward's error.
        cost_flips: steps in which the cost differs.
        goal_flips: steps in which reaching the goal differs.
    """

    agent_p90_error_free: float
    object_p90_error_free: float | None
    contact_median_error: float | None
    reward_p99_error: float
    cost_flips: int
    goal_flips: int

    def passed(self, steps: int, runge_kutta: bool = False) -> bool:
        """Whether it is as near as two versions of MuJoCo come.

        Args:
            steps: how many were compared.
            runge_kutta: whether the robot is integrated so, which MuJoCo 4 does otherwise than 2.3.3.
        """
        return (
            self.agent_p90_error_free < (1e-3 if runge_kutta else 1e-13)
            and (self.object_p90_error_free or 0.0) < 1e-11
            and (self.contact_median_error or 0.0) < 1e-3
            and self.reward_p99_error < 1e-3
            and self.cost_flips <= ceil(0.001 * steps)
            and self.goal_flips == 0
        )


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
        runge_kutta = "RK4" in EVERY_TASK[self.task].robot.options
        return self.formulas.passed and self.physics.passed(self.steps, runge_kutta)

    def to_json(self) -> dict[str, Any]:
        """Everything as plain values."""
        return asdict(self) | {"passed": self.passed}


def verify(path: Path) -> Verdict:
    """Compares the environment with one recording.

    Raises:
        GoodpathError: the file is missing, is no recording, or records a task that is not there.
    """
    recording = load(path)
    name = str(recording["task"])
    seeds = len(recording["seeds"])
    env = NavigationEnv(EVERY_TASK[name], seeds, threads=1, physics="exact", seeding="original")
    # Recordings of different lengths are compared as far as the shortest goes.
    steps = int(recording["n_steps"].min())
    try:
        return Verdict(name, seeds * steps, *_compare(env, recording, steps))
    except (KeyError, IndexError, ValueError) as error:
        raise GoodpathError(f"'{path}' does not hold what a recording of {name} should: {error}.") from error
    finally:
        env.close()


def load(path: Path) -> Recording:
    """Reads a recording.

    Raises:
        GoodpathError: the file is missing, is no recording, or records a task that is not there.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            recording = {key: file[key] for key in file.files if not key.startswith("model_")}
    except FileNotFoundError:
        raise GoodpathError(f"there is no file '{path}'; give the path of a recording (.npz).") from None
    except (OSError, ValueError, BadZipFile, AttributeError) as error:
        raise GoodpathError(f"'{path}' is no recording: it cannot be read as an .npz file.") from error
    missing = [key for key in ("task", "seeds", "n_steps", "b_qpos", "a_qpos") if key not in recording]
    if missing:
        raise GoodpathError(f"'{path}' is no recording of a navigation task: it has no '{missing[0]}'.")
    name = str(recording["task"])
    if name not in EVERY_TASK:
        raise GoodpathError(f"'{path}' records '{name}', which is not here.{nearest(name, list(EVERY_TASK))}")
    return recording


def _compare(env: NavigationEnv, recording: Recording, steps: int) -> tuple[Formulas, Physics]:
    """Asks both questions of every step, in the recorded order, so that random streams stay in step too."""
    layout_error = _start(env, recording)
    rewards, observations = recording["reward"], recording["obs_after"]
    physics_rewards = np.zeros((env.num_envs, steps))
    physics_errors = np.zeros((env.num_envs, steps, recording["a_qpos"].shape[-1]))
    reward_error = observation_error = np.zeros(())
    mismatches, flips = np.zeros(3, np.int64), np.zeros(2, np.int64)  # of costs, of goals, of deaths
    for t in range(steps):
        _force(env, recording, "b", t)
        env.simulate(np.clip(recording["action"][:, t], -1.0, 1.0))
        physics_errors[:, t] = np.abs(env.physics.qpos - recording["a_qpos"][:, t])
        reward, info = env.outcome()
        physics_rewards[:, t] = np.abs(reward - rewards[:, t])
        flips += _disagreements(info, recording, t, ("cost_sum",))

        _force(env, recording, "a", t)
        _set_goals(env, recording, "b", t)  # reward, cost and goal are about the goal before the step
        reward, info = env.outcome()
        # Not Python's max, to which NaN is smaller than anything.
        reward_error = np.maximum(reward_error, np.abs(reward - rewards[:, t]).max())
        mismatches[:2] += _disagreements(info, recording, t, tuple(info))
        mismatches[2] += np.count_nonzero(env.dead() != recording["terminated"][:, t])
        if "goal_met" in info:
            env.renew_goals(info["goal_met"])
            mismatches[1] += np.count_nonzero(_goal_errors(env, recording, "a", t) > _ROUNDING)
            _set_goals(env, recording, "a", t)
        errors = np.abs(env.formulas.observe(env.state()) - observations[:, t])
        observation_error = np.maximum(observation_error, errors[:, _ACCELEROMETER:].max())

    near = _near_contact(recording, steps)
    size = env.physics.agent_size
    agent, objects = physics_errors[..., :size].max(-1), physics_errors[..., size:]
    return (
        Formulas(layout_error, float(observation_error), float(reward_error), *mismatches.tolist()),
        Physics(
            float(np.percentile(agent[~near], 90)),
            float(np.percentile(objects.max(-1)[~near], 90)) if objects.size else None,
            float(np.median(physics_errors.max(-1)[near])) if near.any() else None,
            float(np.percentile(physics_rewards, 99)),
            *flips.tolist(),
        ),
    )


def _start(env: NavigationEnv, recording: Recording) -> float:
    """Resets to the recorded seeds, then to the recorded places; returns how far apart the two were."""
    env.reset([int(seed) for seed in recording["seeds"]])
    fixed = [g.name for g in env.task.groups if g.fixed]
    placed = [
        c for g in env.task.groups if g.name not in ("goal", *fixed) for c in np.r_[env.task.columns(g.name)]
    ]
    errors = [
        np.abs(env.places - recording["layout_xy"])[:, [0, *placed]].max(),
        np.abs(env.angles[:, 0] - recording["agent_rot"]).max(),
    ]
    if env.task.has_goal:
        errors.append(_goal_errors(env, recording, "b", 0).max())
    layouts = [
        Layout(places, np.r_[turn, angles[1:]])
        for places, turn, angles in zip(
            recording["layout_xy"], recording["agent_rot"], env.angles, strict=True
        )
    ]
    env.place(np.arange(env.num_envs), layouts)
    return float(np.max(errors))


def _force(env: NavigationEnv, recording: Recording, when: str, t: int) -> None:
    """Puts every simulator, and the goals, into the recorded state before (`b`) or after (`a`) step t."""
    env.physics.force(
        *(recording[f"{when}_{key}"][:, t] for key in ("qpos", "qvel", "ctrl", "qacc_warmstart", "time"))
    )
    _set_goals(env, recording, when, t)


def _set_goals(env: NavigationEnv, recording: Recording, when: str, t: int) -> None:
    if not env.task.has_goal:
        return
    env.places[:, env.task.columns("goal").start] = recording[f"{when}_goal_pos"][:, t, :2]
    if env.task.reward == "push":
        to_box, to_goal = (recording[f"{when}_last_{way}"][:, t] for way in ("dist_box", "box_goal"))
        env.last_remaining[:] = to_box + to_goal
    else:
        env.last_remaining[:] = recording[f"{when}_last_dist_goal"][:, t]
    if env.task.reward == "button":
        env.goal_button[:] = recording[f"{when}_goal_button"][:, t]
        env.timer[:] = recording[f"{when}_button_timer"][:, t]


def _goal_errors(env: NavigationEnv, recording: Recording, when: str, t: int) -> Array:
    """(seeds,) metres from the goal to where it should be, plus what button and timer are off."""
    goals = env.places[:, env.task.columns("goal").start]
    errors: Array = np.abs(goals - recording[f"{when}_goal_pos"][:, t, :2]).max(1)
    if env.task.reward == "button":
        errors = errors + np.abs(env.goal_button - recording[f"{when}_goal_button"][:, t])
        errors = errors + np.abs(env.timer - recording[f"{when}_button_timer"][:, t])
    return errors


def _disagreements(
    info: dict[str, NDArray[Any]], recording: Recording, t: int, names: tuple[str, ...]
) -> NDArray[np.int64]:
    """How many environments disagree about a cost among `names`, and how many about reaching the goal."""
    wrong = np.zeros(len(info["cost_sum"]), np.bool_)
    for name in names:
        if name.startswith("cost_"):
            # Where the original leaves a cost out, because buttons are dark, it is zero here.
            wrong |= info[name] != np.nan_to_num(recording["cost" if name == "cost_sum" else name][:, t])
    goals = np.count_nonzero(info["goal_met"] != recording["goal_met"][:, t]) if "goal_met" in info else 0
    return np.array([np.count_nonzero(wrong), goals])


def _near_contact(recording: Recording, steps: int) -> NDArray[np.bool_]:
    """(seeds, steps) whether the agent touches an object in the step, the one before or the one after."""
    contacts = np.stack([recording[f"con_{name}"][:, :steps] for name in _OBJECTS])
    touching = np.asarray(contacts.any(axis=0))
    near = touching.copy()
    near[:, 1:] |= touching[:, :-1]
    near[:, :-1] |= touching[:, 1:]
    return near
