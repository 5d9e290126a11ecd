"""What follows from a state: reward, cost and observation of a batch, as pure functions."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from goodpath.envs.navigation.lidar import BINS, lidar
from goodpath.envs.navigation.tasks import Cost, Task

Array = NDArray[np.float64]

CIRCLE_RADIUS = 1.5
_REWARD_BOUND = 10.0
_TINY = 1e-300
_RESTING = 1e-4  # m/s; an object slower than this is not called moving
_VELOCIMETER = slice(3, 6)


@dataclass(frozen=True)
class State:
    """A batch of states, as far as anything that follows from them is concerned.

    Attributes:
        position: (batch, 3) of the agent, in metres.
        rotation: (batch, 3, 3) from agent to world.
        sensors: (batch, sensors) as MuJoCo gives them.
        places: (batch, things, 2) where everything is now: the agent, then the groups in order.
        velocities: (batch, movable, 3) of the movable objects, in m/s.
        contacts: (batch, groups) contact points between the agent and each group.
    """

    position: Array
    rotation: Array
    sensors: Array
    places: Array
    velocities: Array
    contacts: NDArray[np.int64]

    def __getitem__(self, rows: NDArray[np.int64]) -> "State":
        return State(
            self.position[rows],
            self.rotation[rows],
            self.sensors[rows],
            self.places[rows],
            self.velocities[rows],
            self.contacts[rows],
        )


def goal_distance(task: Task, state: State) -> Array:
    """(batch,) metres between agent and goal, from above."""
    return _distances(task, state, "goal")[:, 0]


def goal_reward(task: Task, distance: Array, last_distance: Array) -> tuple[Array, NDArray[np.bool_]]:
    """The progress made towards the goal, plus 1 on reaching it.

    Returns:
        (batch,) rewards, and (batch,) whether the goal is reached.
    """
    size = next(group.kind.size for group in task.groups if group.name == "goal")
    met = distance <= size
    return np.clip(last_distance - distance + met, -_REWARD_BOUND, _REWARD_BOUND), met


def circle_reward(state: State) -> Array:
    """(batch,) a tenth of the speed counter-clockwise round the origin, over 1 + distance to the circle."""
    x, y = state.position[:, 0], state.position[:, 1]
    velocity = np.einsum("bij,bj->bi", state.rotation, state.sensors[:, _VELOCIMETER])
    radius = np.hypot(x, y)
    speed = (x * velocity[:, 1] - y * velocity[:, 0]) / np.maximum(radius, _TINY)
    rewards: Array = 0.1 * speed / (1.0 + np.abs(radius - CIRCLE_RADIUS))
    return np.clip(rewards, -_REWARD_BOUND, _REWARD_BOUND)


def raw_costs(task: Task, state: State) -> dict[str, Array]:
    """The terms of the cost before they become indicators: `cost_<name>` -> (batch,)."""
    return {f"cost_{cost.name}": _raw_cost(task, cost, state) for cost in task.costs}


def _raw_cost(task: Task, cost: Cost, state: State) -> Array:
    terms: Array  # (batch, n), to be summed
    if cost.kind == "beyond":
        terms = (np.abs(state.position[:, :2]) > cost.limits).astype(np.float64)
    elif cost.kind == "moving":
        speeds = np.linalg.norm(state.velocities, axis=-1)
        terms = np.where(speeds >= _RESTING, speeds, 0.0)
    else:
        index = [group.name for group in task.groups].index(cost.group)
        if cost.kind == "contact":
            terms = state.contacts[:, index : index + 1].astype(np.float64)
        else:
            terms = np.maximum(task.groups[index].kind.size - _distances(task, state, cost.group), 0.0)
    total: Array = terms.sum(-1)
    return total


def _distances(task: Task, state: State, group: str) -> Array:
    """(batch, count) metres between the agent and each object of a group, from above."""
    offsets = state.places[:, task.columns(group)] - state.position[:, None, :2]
    return np.hypot(offsets[..., 0], offsets[..., 1])


def indicators(raw: dict[str, Array]) -> dict[str, Array]:
    """Each term as 1.0 where it is positive and else 0.0, and `cost_sum`, the same of their sum."""
    total = sum(raw.values(), start=np.zeros(1))
    return {name: (value > 0.0).astype(np.float64) for name, value in (raw | {"cost_sum": total}).items()}


def observe(task: Task, state: State) -> Array:
    """(batch, observation) sensors, then the lidars."""
    columns = np.concatenate([np.r_[task.columns(name)] for name in task.lidars])
    groups = np.repeat(np.arange(len(task.lidars)), [np.r_[task.columns(name)].size for name in task.lidars])
    readings = lidar(
        state.position,
        state.rotation,
        state.places[:, columns],
        groups,
        len(task.lidars),
        task.lidar_range,
    )
    return np.concatenate([state.sensors, readings.reshape(len(readings), len(task.lidars) * BINS)], axis=1)
