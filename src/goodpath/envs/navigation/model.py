"""The simulated world: one compiled model for each task, one live copy of it for each environment."""

import copy
from dataclasses import dataclass
from functools import cache
from typing import Any, Self

import mujoco
import numpy as np
from numpy.typing import NDArray

from goodpath.envs.navigation.layout import Layout
from goodpath.envs.navigation.tasks import Task

Array = NDArray[np.float64]

SUBSTEPS = 10
_AGENT = 1  # the first body after the world


@cache
def build_model(task: Task) -> Any:
    """Compiles the task's model, with every movable object at the origin. Copy it before changing it.

    What nothing can touch (goal, hazards, track, walls) is not in it: rewards, costs and lidars need only
    their places.
    """
    robot = task.robot
    bodies = "".join(
        f'<body name="{group.name}{index}" pos="0 0 {group.kind.height}">'
        f"{'<freejoint/>' if group.kind.movable else ''}{group.kind.geoms}</body>"
        for group in task.groups
        if group.kind.geoms
        for index in range(len(group))
    )
    # At the usual tolerance, the solver of MuJoCo 4 stops earlier than that of 2.3.3 did.
    return mujoco.MjModel.from_xml_string(f"""
<mujoco>
  <compiler angle="radian"/>
  <option timestep="{robot.timestep}" tolerance="1e-14" magnetic="0 -0.5 0"/>
  {robot.defaults}
  <worldbody>
    <geom name="floor" type="plane" size="3.5 3.5 0.1"/>
    <body name="agent" pos="0 0 {robot.spawn_height}">{robot.body}</body>
    {bodies}
  </worldbody>
  {robot.rest}
  <sensor>{robot.sensors}</sensor>
</mujoco>""")


@dataclass(frozen=True)
class Readings:
    """What the simulators of all environments say, gathered; a row for each environment.

    Attributes:
        position: (num_envs, 3) of the agent's body, in metres.
        rotation: (num_envs, 9) its rotation matrix, from body to world.
        sensors: (num_envs, sensors).
        objects: (num_envs, movable, 3) where the movable objects are, in metres.
        velocities: (num_envs, movable, 3) of the movable objects, in m/s.
        contacts: (num_envs, groups) contact points between the agent and each group of the task.
    """

    position: Array
    rotation: Array
    sensors: Array
    objects: Array
    velocities: Array
    contacts: NDArray[np.int64]

    @classmethod
    def empty(cls, task: Task, num_envs: int) -> Self:
        """Zeros of the right shapes."""
        movable = len(task.movable())
        return cls(
            position=np.zeros((num_envs, 3)),
            rotation=np.zeros((num_envs, 9)),
            sensors=np.zeros((num_envs, build_model(task).nsensordata)),
            objects=np.zeros((num_envs, movable, 3)),
            velocities=np.zeros((num_envs, movable, 3)),
            contacts=np.zeros((num_envs, len(task.groups)), np.int64),
        )


class World:
    """One environment's simulator, kept alive: a reset moves bodies instead of compiling a model.

    Args:
        task: what to simulate.
        readings: where to write what it says.
        row: the environment's row there.
        sleep: whether resting objects may sleep, which is faster and moves objects by up to 2e-6.
    """

    def __init__(self, task: Task, readings: Readings, row: int, sleep: bool = False) -> None:
        self.model = copy.copy(build_model(task))
        if sleep:
            self.model.opt.enableflags |= mujoco.mjtEnableBit.mjENBL_SLEEP
        self.data = mujoco.MjData(self.model)
        self.qpos: Array = self.data.qpos
        self.qvel: Array = self.data.qvel
        self._control = self.data.ctrl
        self._floating = self.model.jnt_type[0] == mujoco.mjtJoint.mjJNT_FREE
        self._columns = task.movable()
        movable = len(self._columns)
        bodies = slice(self.model.nbody - movable, self.model.nbody)  # they come last
        self.agent_size: int = self.model.nq - 7 * movable
        self._joints = self.qpos[self.agent_size :].reshape(movable, 7)
        pairs = [
            (readings.position[row], self.data.xpos[_AGENT]),
            (readings.rotation[row], self.data.xmat[_AGENT]),
            (readings.sensors[row], self.data.sensordata),
            (readings.objects[row], self.data.xpos[bodies]),
            (readings.velocities[row], self.qvel[self.model.nv - 6 * movable :].reshape(movable, 6)[:, :3]),
        ]
        self._pairs = [(target, source) for target, source in pairs if target.size]
        self._contacts = readings.contacts[row]
        self._touched = [
            (index, np.array([self._owner(geom) == group.name for geom in range(self.model.ngeom)]))
            for index, group in enumerate(task.groups)
            if any(cost.kind == "contact" and cost.group == group.name for cost in task.costs)
        ]
        self._agent = np.array([self._owner(geom) == "agent" for geom in range(self.model.ngeom)])

    def _owner(self, geom: int) -> str:
        """Name of the group a geom belongs to, `agent`, or `world`."""
        root = self.model.body_rootid[self.model.geom_bodyid[geom]]
        name: str = self.model.body(root).name
        return name.rstrip("0123456789")

    def reset(self, layout: Layout) -> None:
        """Puts the agent and the movable objects where the layout says, at rest."""
        mujoco.mj_resetData(self.model, self.data)
        turns = np.zeros((len(layout.angles), 4))
        turns[:, 0], turns[:, 3] = np.cos(layout.angles / 2), np.sin(layout.angles / 2)
        if self._floating:
            self.qpos[:2], self.qpos[3:7] = layout.places[0], turns[0]
        else:  # its joints measure from where its body starts, and that is part of the model
            self.model.body_pos[_AGENT, :2], self.model.body_quat[_AGENT] = layout.places[0], turns[0]
        if self._columns:
            self._joints[:, :2] = layout.places[self._columns]
            self._joints[:, 3:] = turns[self._columns]
        self.forward()

    def turns(self) -> Array:
        """(movable,) how the movable objects are turned about z, in radians."""
        w, x, y, z = self._joints[:, 3:].T
        turns: Array = np.arctan2(2.0 * (w * z + x * y), 1.0 - 2.0 * (y * y + z * z))
        return turns

    def force(self, qpos: Array, qvel: Array, control: Array, warmstart: Array, time: float) -> None:
        """Puts the simulator into a recorded state of the episode that the last reset started."""
        mujoco.mj_resetData(self.model, self.data)
        self.qpos[:], self.qvel[:] = qpos, qvel
        self._control[:] = control
        self.data.qacc_warmstart[:] = warmstart
        self.data.time = time
        self.forward()

    def step(self, control: Array) -> None:
        """One environment step: ten of MuJoCo under the same control.

        Args:
            control: (action,) already within [-1, 1].
        """
        self._control[:] = control
        mujoco.mj_step(self.model, self.data, SUBSTEPS)
        self.forward()

    def forward(self) -> None:
        """Brings everything that follows from the state up to date, and writes the readings."""
        mujoco.mj_forward(self.model, self.data)
        for target, source in self._pairs:
            target[...] = source
        if self._touched:
            first, second = self.data.contact.geom.T
            for index, touched in self._touched:
                hits = (self._agent[first] & touched[second]) | (touched[first] & self._agent[second])
                self._contacts[index] = np.count_nonzero(hits)
