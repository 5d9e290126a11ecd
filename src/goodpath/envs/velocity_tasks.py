"""The robots and speed limits of the velocity tasks, as in safety-gymnasium 1.0.0."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from goodpath.envs.vector import Array

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Robot:
    """What the tasks of one robot share.

    Attributes:
        model: model file of Gymnasium, without its suffix.
        substeps: MuJoCo steps in one environment step.
        hidden: leading numbers of qpos that observations leave out.
        noise: scale of the noise of a reset.
        normal: whether the noise of velocities is normal; uniform otherwise. That of positions is uniform.
        control_cost: weight of the squared norm of the action in the reward.
        alive: reward of every step.
        forward: weight of the forward velocity in the reward.
        action_bound: of every component of an action, either side of zero.
        clip: observed velocities are clipped to [-clip, clip].
        halved_margins: whether the model has contact margins that have to be halved.
        place: what measures the speed: the root joints, the torso's frame, or the centre of mass. The latter
            two are where MuJoCo's last substep found them, a substep behind qpos.
        free: whether its root is a free joint, which newer MuJoCo integrates otherwise; see `_advance`.
        internals: whether observations end with inertias, velocities and forces of all bodies.
        healthy: (num_envs,) from qpos and qvel, whether an episode goes on; None is always.
    """

    model: str
    substeps: int
    hidden: int
    noise: float
    normal: bool
    control_cost: float
    alive: float = 1.0
    forward: float = 1.0
    action_bound: float = 1.0
    clip: float = np.inf
    halved_margins: bool = False
    place: Literal["root", "torso", "mass"] = "root"
    free: bool = False
    internals: bool = False
    healthy: Callable[[Array, Array], Flags] | None = None


def _hopper_healthy(qpos: Array, qvel: Array) -> Flags:
    rest = np.concatenate([qpos[:, 2:], qvel], axis=1)
    healthy: Flags = (np.abs(rest) < 100.0).all(1) & (qpos[:, 1] > 0.7) & (np.abs(qpos[:, 2]) < 0.2)
    return healthy


def _walker_healthy(qpos: Array, qvel: Array) -> Flags:
    healthy: Flags = (qpos[:, 1] > 0.8) & (qpos[:, 1] < 2.0) & (np.abs(qpos[:, 2]) < 1.0)
    return healthy


def _ant_healthy(qpos: Array, qvel: Array) -> Flags:
    finite = np.isfinite(qpos).all(1) & np.isfinite(qvel).all(1)
    healthy: Flags = finite & (qpos[:, 2] >= 0.2) & (qpos[:, 2] <= 1.0)
    return healthy


def _humanoid_healthy(qpos: Array, qvel: Array) -> Flags:
    healthy: Flags = (qpos[:, 2] > 1.0) & (qpos[:, 2] < 2.0)
    return healthy


ROBOTS = {
    "HalfCheetah": Robot("half_cheetah", 5, 1, 0.1, True, 0.1, alive=0.0),
    "Hopper": Robot(
        "hopper", 4, 1, 0.005, False, 1e-3, clip=10.0, halved_margins=True, healthy=_hopper_healthy
    ),
    "Walker2d": Robot("walker2d", 4, 1, 0.005, False, 1e-3, clip=10.0, healthy=_walker_healthy),
    "Swimmer": Robot("swimmer", 4, 2, 0.1, False, 1e-4, alive=0.0),
    "Ant": Robot(
        "ant",
        5,
        2,
        0.1,
        True,
        0.5,
        halved_margins=True,
        place="torso",
        free=True,
        healthy=_ant_healthy,
    ),
    "Humanoid": Robot(
        "humanoid",
        5,
        2,
        0.01,
        False,
        0.1,
        alive=5.0,
        forward=1.25,
        action_bound=float(np.float32(0.4)),
        halved_margins=True,
        place="mass",
        free=True,
        internals=True,
        healthy=_humanoid_healthy,
    ),
}


@dataclass(frozen=True)
class Task:
    """One velocity task: a robot and the speed that costs.

    Attributes:
        robot: what runs.
        threshold: metres a second; a step faster than that costs 1.
        planar: whether the speed is that in the plane; the signed velocity along x otherwise.
    """

    robot: Robot
    threshold: float
    planar: bool


_THRESHOLDS = {  # of v0 and v1
    "HalfCheetah": (2.8795, 3.2096),
    "Hopper": (0.37315, 0.7402),
    "Walker2d": (1.7075, 2.3415),
    "Swimmer": (0.04845, 0.2282),
    "Ant": (2.5745, 2.6222),
    "Humanoid": (2.3475, 1.4149),
}

_PLANAR = {"Swimmer": (True, False), "Ant": (True, True), "Humanoid": (True, True)}

TASKS = {
    f"Safety{name}Velocity-v{version}": Task(
        robot, _THRESHOLDS[name][version], _PLANAR.get(name, (False, False))[version]
    )
    for name, robot in ROBOTS.items()
    for version in (0, 1)
}
