"""What follows from a state: reward, cost and observation of a batch, as pure functions of one task."""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from goodpath.envs.navigation.lidar import BINS, lidar
from goodpath.envs.navigation.tasks import Cost, Task

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Rows = NDArray[np.int64]

CIRCLE_RADIUS = 1.5
_REWARD_BOUND = 10.0
_TINY = 1e-300
_RESTING = 1e-4  # m/s; an object slower than this is not called moving


@dataclass(frozen=True)
class State:
    """A batch of states, as far as anything that follows from them is concerned.

    Attributes:
        position: (batch, 3) of the agent, in metres.
        rotation: (batch, 3, 3) from agent to world.
        sensors: (batch, sensors) of the robot, as MuJoCo gives them.
        velocity: (batch, 3) of the agent in the world, in m/s; (batch, 0) where the reward does not need it.
        places: (batch, things, 2) where everything is now: the agent, then the groups in order.
        objects: (batch, movable, 3) where the movable objects are, in metres.
        velocities: (batch, movable, 3) of the movable objects, in m/s.
        contacts: (batch, touching) contact points between the agent and each of the task's `touching()`.
        goal_button: (batch,) which button is the goal, where buttons are.
        timer: (batch,) steps for which buttons stay dark after the last press.
    """

    position: Array
    rotation: Array
    sensors: Array
    velocity: Array
    places: Array
    objects: Array
    velocities: Array
    contacts: Array
    goal_button: Rows
    timer: Rows

    def __getitem__(self, rows: Rows) -> "State":
        return State(*(getattr(self, field.name)[rows] for field in fields(self)))


class Formulas:
    """Reward, cost and observation of one task.

    Args:
        task: which.
    """

    def __init__(self, task: Task) -> None:
        self.task = task
        self._goal = task.columns("goal").start if task.has_goal else 0
        self._goal_height = task.group("goal").kind.height if task.has_goal else 0.0
        self._goal_radius = task.group("goal").kind.radius if task.has_goal else 0.0
        touching = task.touching()
        self._touched = {
            group.name: np.array(
                [touching.index(column) for column in np.r_[task.columns(group.name)] if column in touching]
            )
            for group in task.groups
        }
        seen = [np.r_[task.columns(name)] for name in task.lidars]
        self._seen = np.concatenate(seen) if seen else np.zeros(0, np.int64)
        self._lidar_of = np.repeat(np.arange(len(seen)), [columns.size for columns in seen])
        robot = task.robot
        self._angles = robot.angles
        self._unseen = list(robot.unseen)
        # Dark buttons are not seen.
        self._dark = task.lidars.index("buttons") if task.reward == "button" else None

    def observation_size(self, sensors: int) -> int:
        """Length of an observation of a robot with so many sensors."""
        return sensors - len(self._unseen) + self._angles + BINS * len(self.task.lidars)

    def observation_keys(self, sensors: int) -> tuple[tuple[str, int], ...]:
        """Name and length of each part of an observation of a robot with so many sensors."""
        inertial = tuple((name, 3) for name in ("accelerometer", "velocimeter", "gyro", "magnetometer"))
        lidars = tuple((f"{name}_lidar", BINS) for name in self.task.lidars)
        own = self.observation_size(sensors) - sum(length for _, length in (*inertial, *lidars))
        return (*inertial, *([("joints", own)] if own else []), *lidars)

    def remaining(self, state: State) -> Array:
        """(batch,) metres still to go: from agent to goal, or from agent to box to goal."""
        goal = state.places[:, self._goal]
        if self.task.reward == "push":
            box = state.objects[:, -1]
            return _length(state.position - box) + self._box_to_goal(state)
        return np.hypot(goal[:, 0] - state.position[:, 0], goal[:, 1] - state.position[:, 1])

    def goal_met(self, state: State, remaining: Array) -> Mask:
        """(batch,) whether the goal is met; `remaining` as the method of that name gives it."""
        if self.task.reward == "button":
            rows = np.arange(len(state.contacts))
            pressed: Mask = state.contacts[rows, self._touched["buttons"][state.goal_button]] > 0
            return pressed
        distance = self._box_to_goal(state) if self.task.reward == "push" else remaining
        return distance <= self._goal_radius

    def _box_to_goal(self, state: State) -> Array:
        box, goal = state.objects[:, -1], state.places[:, self._goal]
        return np.sqrt(
            (box[:, 0] - goal[:, 0]) ** 2
            + (box[:, 1] - goal[:, 1]) ** 2
            + (box[:, 2] - self._goal_height) ** 2
        )

    def goal_reward(self, remaining: Array, last_remaining: Array, met: Mask) -> Array:
        """(batch,) the metres gained since the last step, plus 1 where the goal is met."""
        return np.clip(last_remaining - remaining + met, -_REWARD_BOUND, _REWARD_BOUND)

    def circle_reward(self, state: State) -> Array:
        """(batch,) a tenth of the speed counter-clockwise, over 1 + metres to the circle of radius 1.5."""
        x, y = state.position[:, 0], state.position[:, 1]
        radius = np.hypot(x, y)
        speed = (x * state.velocity[:, 1] - y * state.velocity[:, 0]) / np.maximum(radius, _TINY)
        rewards: Array = 0.1 * speed / (1.0 + np.abs(radius - CIRCLE_RADIUS))
        return np.clip(rewards, -_REWARD_BOUND, _REWARD_BOUND)

    def costs(self, state: State) -> dict[str, Array]:
        """Each term, `cost_<name>`, and `cost_sum`: (batch,) 1.0 where there is any, and else 0.0."""
        raw = {f"cost_{cost.name}": self._raw_cost(cost, state) for cost in self.task.costs}
        total = sum(raw.values(), start=np.zeros(len(state.position)))
        return {name: (value > 0.0).astype(np.float64) for name, value in (raw | {"cost_sum": total}).items()}

    def _raw_cost(self, cost: Cost, state: State) -> Array:
        """(batch,) a term before it becomes an indicator."""
        if cost.kind == "beyond":
            outside: Array = (np.abs(state.position[:, :2]) > cost.limits).astype(np.float64).sum(1)
            return outside
        if cost.kind == "moving":
            speeds = _length(state.velocities)
            moving: Array = np.where(speeds >= _RESTING, speeds, 0.0).sum(1)
            return moving
        if cost.kind == "inside":
            offsets = state.places[:, self.task.columns(cost.group)] - state.position[:, None, :2]
            radius = self.task.group(cost.group).kind.radius
            depth: Array = np.maximum(radius - np.hypot(offsets[..., 0], offsets[..., 1]), 0.0).sum(1)
            return depth
        contacts = state.contacts[:, self._touched[cost.group]]
        if cost.kind == "wrong_button":
            wrong = np.arange(contacts.shape[1]) != state.goal_button[:, None]
            contacts = contacts * (wrong & (state.timer == 0)[:, None])
        count: Array = contacts.sum(1)
        return count

    def observe(self, state: State) -> Array:
        """(batch, observation) sensors, then the lidars."""
        parts = [self._sensed(state.sensors)]
        if self._seen.size:
            readings = lidar(
                state.position,
                state.rotation,
                state.places[:, self._seen],
                self._lidar_of,
                len(self.task.lidars),
                self.task.lidar_range,
            )
            if self._dark is not None:
                readings[state.timer > 0, self._dark] = 0.0
            parts.append(readings.reshape(len(readings), -1))
        return np.concatenate(parts, axis=1)

    def _sensed(self, sensors: Array) -> Array:
        """(batch, n) what the observation holds of the robot's sensors."""
        if not self._angles:
            return sensors
        angles = sensors[:, -self._angles :]
        directions = np.stack([np.sin(angles), np.cos(angles)], -1).reshape(len(sensors), -1)
        others = np.delete(sensors[:, : -self._angles], self._unseen, 1) if self._unseen else None
        return np.concatenate([sensors[:, : -self._angles] if others is None else others, directions], 1)


def _length(vectors: Array) -> Array:
    """(...,) lengths of (..., 3) vectors."""
    lengths: Array = np.sqrt((vectors * vectors).sum(-1))
    return lengths
