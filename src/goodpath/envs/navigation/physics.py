"""The simulators of all copies of a task: a live MuJoCo state each, stepped together in MuJoCo's threads."""

import copy
from typing import Any

import mujoco
import numpy as np
from mujoco.batch import Batch
from numpy.typing import NDArray

from goodpath.envs.navigation.model import SUBSTEPS, build_model, observed_sensors
from goodpath.envs.navigation.tasks import Task

Array = NDArray[np.float64]
Rows = NDArray[np.int64]

_AGENT = 1  # the first body after the world
_CURRENT = mujoco.mjtStage.mjSTAGE_ACC.value  # leave everything that follows from the state up to date
_NOTHING = mujoco.mjtStage.mjSTAGE_NONE.value
_DRIVE = int(mujoco.mjtState.mjSTATE_CTRL | mujoco.mjtState.mjSTATE_MOCAP_POS)
_TIME = int(mujoco.mjtState.mjSTATE_TIME)
_MOCAP_HEIGHT = 0.1


class Physics:
    """`num_envs` simulators of one task.

    Models are compiled once for a task; a reset moves bodies. A step of all copies is one call, which runs in
    MuJoCo's own threads without Python's lock. Every attribute is a live array, up to date after each call.

    Args:
        task: what to simulate.
        num_envs: number of simulators.
        threads: number of threads that step them.
        sleep: whether resting objects may sleep, which is faster and moves objects by up to 2e-5 m.

    Attributes:
        position: (num_envs, 3) of the agent's body, in metres.
        rotation: (num_envs, 3, 3) from the agent's body to the world.
        sensors: (num_envs, sensors) of the robot.
        velocity: (num_envs, 3) of the agent's body in the world, in m/s, where the reward needs it.
        objects: (num_envs, movable, 3) where the movable objects are, in metres.
        velocities: (num_envs, movable, 3) of the movable objects, in m/s.
        contacts: (num_envs, touching) contact points between the agent and each of `task.touching()`.
        qpos: (num_envs, nq) positions of all joints, the agent's first.
        agent_size: how many of them are the agent's.
    """

    def __init__(self, task: Task, num_envs: int, threads: int, sleep: bool = False) -> None:
        model = copy.copy(build_model(task))
        self._task = task
        self._driven = model.nmocap
        # What is driven round never rests, and under Runge-Kutta integration MuJoCo lets nothing sleep:
        # looking for rest would only cost time.
        euler = model.opt.integrator == mujoco.mjtIntegrator.mjINT_EULER
        if sleep and euler and task.movable() and not self._driven:
            model.opt.enableflags |= mujoco.mjtEnableBit.mjENBL_SLEEP
        self._timestep = float(model.opt.timestep)
        self._batch = Batch(model, num_envs, threads, persistent=True)
        bind, expand = self._batch.bind, self._batch.expand

        movable, solid = task.movable(), task.solid()
        self._movable, self._solid = movable, solid
        self._floating = model.jnt_type[0] == mujoco.mjtJoint.mjJNT_FREE
        self.agent_size = int(model.nq) - 7 * len(movable)
        self.qpos: Array = bind("qpos")
        self._qvel, self._control, self._time = bind("qvel"), bind("ctrl"), bind("time")
        self._warmstart = bind("qacc_warmstart")
        self._start = expand("qpos0") if self._floating or movable else None
        moved = not self._floating or solid
        self._body_pos = expand("body_pos") if moved else None
        self._body_quat = expand("body_quat") if moved else None
        self._weld = expand("eq_data") if self._driven else None
        self._solid_bodies = slice(model.nbody - self._driven - len(solid), model.nbody - self._driven)

        self._xpos, self._sensordata = bind("xpos"), bind("sensordata")
        bodies = [int(model.jnt_bodyid[model.njnt - len(movable) + index]) for index in range(len(movable))]
        self.position: Array = self._xpos[:, _AGENT]
        self.rotation: Array = bind("xmat")[:, _AGENT].reshape(num_envs, 3, 3)
        self.objects: Array = self._xpos[:, bodies[0] : bodies[-1] + 1] if bodies else self._xpos[:, :0]
        first = int(model.nv) - 6 * len(movable)
        self.velocities: Array = self._qvel[:, first:].reshape(num_envs, len(movable), 6)[..., :3]
        own, touching = observed_sensors(task), len(task.touching())
        self.sensors: Array = self._sensordata[:, :own]
        self.contacts: Array = self._sensordata[:, own : own + touching]
        self.velocity: Array = self._sensordata[:, own + touching :]

    def reset(self, rows: Rows, places: Array, angles: Array, joints: Array | None = None) -> None:
        """Puts agents and objects where they start, at rest.

        Args:
            rows: (n,) which simulators, in rising order.
            places: (n, things, 2) metres.
            angles: (n, things) rotations about z, in radians.
            joints: (n, joints) angles of the agent's joints in radians, where they do not start at zero.
        """
        turns = np.zeros((*angles.shape, 4))
        turns[..., 0], turns[..., 3] = np.cos(angles / 2), np.sin(angles / 2)
        if self._start is not None:
            # Part of the model, so that MuJoCo's own reset after an instability leads here too.
            start = self._start
            if self._floating:
                start[rows, :2], start[rows, 3:7] = places[:, 0], turns[:, 0]
            for number, column in enumerate(self._movable):
                first = self.agent_size + 7 * number
                start[rows, first : first + 2] = places[:, column]
                start[rows, first + 3 : first + 7] = turns[:, column]
        if self._body_pos is not None and self._body_quat is not None:
            if not self._floating:  # its joints measure from where its body starts
                self._body_pos[rows, _AGENT, :2], self._body_quat[rows, _AGENT] = places[:, 0], turns[:, 0]
            self._body_pos[rows, self._solid_bodies, :2] = places[:, self._solid]
            self._body_quat[rows, self._solid_bodies] = turns[:, self._solid]
        if self._weld is not None:
            driven = self._movable[-self._driven :]
            self._weld[rows, :, 3:5], self._weld[rows, :, 5] = places[:, driven], _MOCAP_HEIGHT
            self._weld[rows, :, 6:10] = turns[:, driven]
        if joints is None:
            self._batch.reset(rows)
            return
        self._batch.reset(rows, stage=_NOTHING)
        self.qpos[rows, self.agent_size - joints.shape[1] : self.agent_size] = joints
        self._batch.forward(rows)

    def step(self, controls: Array) -> None:
        """One environment step of all: ten of MuJoCo under (num_envs, action) controls in [-1, 1]."""
        if self._driven:
            self._drive(controls)
            return
        self._control[:] = controls
        self._batch.step(nstep=SUBSTEPS, stage=_CURRENT)

    def turns(self, row: int) -> Array:
        """(movable,) how the movable objects of one simulator are turned about z, in radians."""
        w, x, y, z = self.qpos[row, self.agent_size :].reshape(-1, 7)[:, 3:].T
        turns: Array = np.arctan2(2.0 * (w * z + x * y), 1.0 - 2.0 * (y * y + z * z))
        return turns

    def force(self, qpos: Array, qvel: Array, controls: Array, warmstart: Array, time: Array) -> None:
        """Puts all simulators into states of the episodes that the last reset started; rows of each array."""
        self._batch.reset(stage=_NOTHING)
        self.qpos[:], self._qvel[:], self._control[:] = qpos, qvel, controls
        self._warmstart[:], self._time[:] = warmstart, time
        self._batch.forward()

    def data(self, row: int) -> tuple[Any, Any]:
        """Copies of the model and the data of one simulator, for drawing and looking closer."""
        return self._batch.get_model(row), self._batch.get_data(row)

    def drive_plan(self, controls: Array, steps: int = 1) -> Array:
        """(num_envs, 10 steps, action + 3 driven) controls, and where drives are led before every substep.

        Args:
            controls: (num_envs, steps, action) or (num_envs, 1, action).
            steps: number of environment steps.
        """
        count = steps * SUBSTEPS
        # Added one at a time, as MuJoCo's clock adds them: the sums round alike.
        clock = np.full((len(controls), count), self._timestep)
        clock[:, 0] = self._time
        clock = np.add.accumulate(clock, axis=1)
        plan = np.empty((len(controls), count, controls.shape[-1] + 3 * self._driven))
        plan[..., : controls.shape[-1]] = np.repeat(controls, count // controls.shape[1], axis=1)
        if self._driven:
            radius = self._task.groups[-1].kind.travel
            circle = [radius * np.sin(clock), radius * np.cos(clock), np.full(clock.shape, _MOCAP_HEIGHT)]
            plan[..., controls.shape[-1] :] = np.tile(np.stack(circle, -1), self._driven)
        return plan

    def run(self, plan: Array) -> None:
        """Bare physics through all substeps of a plan, for measurements."""
        spec = _DRIVE if self._driven else mujoco.mjtState.mjSTATE_CTRL.value
        self._batch.rollout(plan.shape[1], plan, spec, record=())

    def _drive(self, controls: Array) -> None:
        plan = self.drive_plan(controls[:, None])
        times = self._batch.rollout(SUBSTEPS, plan, _DRIVE, record=(_TIME,))[_TIME][..., 0]
        for row in np.flatnonzero(times[:, -1] == times[:, -2]).tolist():
            self._finish(row, times[row])
        self._batch.forward(stage=_CURRENT)

    def _finish(self, row: int, times: Array) -> None:
        """Goes on with a simulator that stopped at a warning, as the original does.

        An instability makes MuJoCo start it over at time zero, with its controls at zero too, and then the
        substeps go on.
        """
        rows = np.array([row])
        done = 1 + np.count_nonzero(np.diff(times))
        for _ in range(SUBSTEPS - done):
            radius, now = self._task.groups[-1].kind.travel, self._time[row]
            self._batch.mocap_pos[row] = radius * np.sin(now), radius * np.cos(now), _MOCAP_HEIGHT
            self._batch.step(rows, nstep=1)
