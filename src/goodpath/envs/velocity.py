"""The Safety-Gymnasium velocity tasks on MuJoCo 4: run forward, but not faster than a threshold.

Facts from safety-gymnasium 1.0.0 (`Safety*Velocity-v0` and `-v1`), which runs Gymnasium's `v4` robots on
MuJoCo 2.3.3. The model files are those of the installed Gymnasium. What newer MuJoCo does otherwise is
undone: contact margins of two geoms add up now (they were the larger of the two), orientations are no longer
made unit quaternions in place at a reset, and free joints are integrated otherwise.
"""

from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Any, Literal

import mujoco
import numpy as np
from numpy.typing import NDArray

from goodpath.envs.checks import actions_of, seeds_of
from goodpath.envs.threads import Threads
from goodpath.envs.vector import Array, Step
from goodpath.envs.velocity_tasks import TASKS, Flags, Robot
from goodpath.errors import GoodpathError
from goodpath.spec import Spec

EPISODE_LENGTH = 1000
_TORSO = 1
_RUNGE_KUTTA = np.array([[1.0, 1.0, 1.0, 0.0], [1.0, 2.0, 2.0, 1.0]]) / 6.0  # of velocities, of accelerations


@cache
def build_model(robot: Robot) -> mujoco.MjModel:
    """The compiled model of a robot; simulators only read it, so that all copies of a task share it.

    Raises:
        GoodpathError: the installed Gymnasium has no such model file.
    """
    file = resources.files("gymnasium") / "envs" / "mujoco" / "assets" / f"{robot.model}.xml"
    if not file.is_file():
        raise GoodpathError(
            f"the installed Gymnasium has no {robot.model}.xml; install gymnasium 1.1 to 1.x."
        )
    spec = mujoco.MjSpec.from_string(file.read_text(encoding="utf-8"))
    total_mass = spec.compiler.settotalmass  # MuJoCo 4 still obeys it, but complains on standard error
    spec.compiler.settotalmass = -1
    model = spec.compile()
    if total_mass > 0:
        mujoco.mj_setTotalmass(model, total_mass)
        mujoco.mj_setConst(model, mujoco.MjData(model))
    if robot.halved_margins:
        model.geom_margin[:] *= 0.5
    return model


class VelocityEnv:
    """`num_envs` copies of one velocity task, stepped together.

    Each keeps its own simulator and random stream; a seed gives the same first states as in
    safety-gymnasium. `info` holds the `speed` that is compared with the threshold, `x_velocity` and, where a
    robot leaves the plane of x and z, `y_velocity`, all in metres a second, and the `x_position` in metres.

    Args:
        name: one of `TASKS`.
        num_envs: number of copies.
        threads: number of threads; as many as there are processors, but no more than copies, when left out.
        physics: `exact` follows safety-gymnasium 1.0.0 as closely as MuJoCo 4 lets it; `fast` leaves Ant and
            Humanoid to MuJoCo 4's own integrator. The other robots are the same in both.

    Attributes:
        task: what is simulated.
        state_size: how many leading numbers of an observation follow from qpos and qvel alone.
        positions_before: (num_envs, 2) metres, where each robot was before the last step.

    Raises:
        GoodpathError: `num_envs` or `threads` is not positive, or `physics` is neither.
    """

    def __init__(
        self,
        name: str,
        num_envs: int,
        threads: int | None = None,
        physics: Literal["exact", "fast"] = "exact",
    ) -> None:
        if physics not in ("exact", "fast"):
            raise GoodpathError(f"physics is '{physics}'; it must be 'exact' or 'fast'.")
        self.task = TASKS[name]
        self.num_envs = num_envs
        robot = self.task.robot
        self._advance = _advance if robot.free and physics == "exact" else mujoco.mj_step
        self._threads = Threads(num_envs, threads)
        self._model = build_model(robot)
        self._data = [mujoco.MjData(self._model) for _ in range(num_envs)]
        self._qpos, self._qvel = np.zeros((num_envs, self._model.nq)), np.zeros((num_envs, self._model.nv))
        self._bodies = np.zeros((num_envs, self._model.nbody, 3))
        self._internals = [
            np.zeros((num_envs, *getattr(self._data[0], part).shape))
            for part in ("cinert", "cvel", "qfrc_actuator", "cfrc_ext")
            if robot.internals
        ]
        self._pairs = [self._what_to_read(row) for row in range(num_envs)]
        self.state_size = int(self._model.nq + self._model.nv) - robot.hidden
        self._seconds = self._model.opt.timestep * robot.substeps
        self.spec = Spec(
            name=name,
            observation_size=self.observe().shape[1],
            action_size=int(self._model.nu),
            episode_length=EPISODE_LENGTH,
            action_low=-robot.action_bound,
            action_high=robot.action_bound,
        )
        self._random = [np.random.default_rng() for _ in range(num_envs)]
        self.positions_before = np.zeros((num_envs, 2))
        self._steps = np.zeros(num_envs, np.int64)
        self._started = False

    # ------------------------------------------------------------------ the contract of every environment

    def reset(self, seed: int | Sequence[int] | None = None) -> Array:
        """Starts new episodes everywhere and returns (num_envs, observation) observations.

        Args:
            seed: a number s seeds environment i with s + i; a sequence gives each its own; None goes on with
                the random streams as they are.

        Raises:
            GoodpathError: a seed is outside [0, 2³²), or a sequence has the wrong length.
        """
        if seed is not None:  # the stream that Gymnasium's own seeding gives
            self._random = [np.random.default_rng(value) for value in seeds_of(seed, self.num_envs)]
        self._begin(np.arange(self.num_envs))
        self._started = True
        return self.observe()

    def step(self, actions: NDArray[Any]) -> Step:
        """Steps every environment with its row of the (num_envs, action) `actions`; see `Step`.

        The simulator clips actions to their bounds; the reward counts them as they were given.

        Raises:
            GoodpathError: `actions` has the wrong shape or is not finite, or `reset` was never called.
        """
        step = self.transition(actions)
        ended = np.flatnonzero(step.terminated | step.truncated)
        if ended.size:
            self._begin(ended)
            step = step._replace(observations=self.observe())
        return step

    def transition(self, actions: NDArray[Any]) -> Step:
        """Like `step`, but nothing starts over at the end of an episode."""
        controls = actions_of(actions, self.spec, self.num_envs, self._started)
        self.simulate(controls)
        rewards, costs, terminated, info = self.outcome(controls, self.positions())
        self._steps += 1
        truncated = self._steps >= EPISODE_LENGTH
        final = self.observe()
        return Step(final, rewards, costs, terminated, truncated, final, info)

    def close(self) -> None:
        """Ends the threads."""
        self._threads.close()

    # ------------------------------------------------------------------------------------ one step, in parts

    def positions(self) -> Array:
        """(num_envs, 2) metres, where each robot is as far as its speed is concerned; see `Robot.place`."""
        if self.task.robot.place == "root":
            return self._qpos[:, :2].copy()
        if self.task.robot.place == "torso":
            return self._bodies[:, _TORSO, :2].copy()
        mass = self._model.body_mass[:, None]
        centre: Array = (mass * self._bodies).sum(1)[:, :2] / mass.sum()
        return centre

    def state(self) -> tuple[Array, Array]:
        """(num_envs, nq) qpos and (num_envs, nv) qvel as they are now; do not write to them."""
        return self._qpos, self._qvel

    def observe(self) -> Array:
        """(num_envs, observation) what the robots see now."""
        robot = self.task.robot
        velocities = np.clip(self._qvel, -robot.clip, robot.clip)
        rest = [part.reshape(self.num_envs, -1) for part in self._internals]
        return np.concatenate([self._qpos[:, robot.hidden :], velocities, *rest], axis=1)

    def simulate(self, controls: Array) -> None:
        """The physics of one step: changes simulators and readings, and nothing else."""
        self.positions_before = self.positions()

        def advance(rows: range) -> None:
            for row in rows:
                data = self._data[row]
                data.ctrl[:] = controls[row]
                self._advance(self._model, data, self.task.robot.substeps)
                if self.task.robot.internals:  # which alone need the contact forces
                    mujoco.mj_rnePostConstraint(self._model, data)
                self._read(row)

        self._threads.run(advance)

    def outcome(
        self, controls: Array, positions: Array
    ) -> tuple[Array, Array, Flags, dict[str, NDArray[Any]]]:
        """Rewards, costs, terminated (each (num_envs,)) and info of the step that led here.

        Args:
            controls: (num_envs, action) the actions as they were given.
            positions: (num_envs, 2) metres, where the robots are now.
        """
        robot = self.task.robot
        velocities = (positions - self.positions_before) / self._seconds
        along = velocities[:, 0]
        # Not sums over all columns at once: these are the original's own roundings.
        speed = np.sqrt(along**2 + velocities[:, 1] ** 2) if self.task.planar else along
        rewards = robot.forward * along + robot.alive - robot.control_cost * np.square(controls).sum(1)
        terminated = np.zeros(self.num_envs, np.bool_)
        if robot.healthy is not None:
            terminated = ~robot.healthy(self._qpos, self._qvel)
        info = {"speed": speed, "x_position": positions[:, 0], "x_velocity": along}
        if robot.hidden == 2:  # the others stay in the plane of x and z
            info["y_velocity"] = velocities[:, 1]
        costs = (speed > self.task.threshold).astype(np.float64)
        return rewards, costs, terminated, info

    def force(self, row: int, qpos: Array, qvel: Array, warmstart: Array | None = None) -> None:
        """Starts the simulator of one environment from a state, as the original's `set_state` does.

        Args:
            row: which environment.
            qpos: positions; quaternions are taken as they are.
            qvel: velocities.
            warmstart: accelerations that the solver starts from; its own when left out.
        """
        data = self._data[row]
        mujoco.mj_resetData(self._model, data)
        data.qpos[:], data.qvel[:] = qpos, qvel
        mujoco.mj_forward(self._model, data)
        if warmstart is not None:
            data.qacc_warmstart[:] = warmstart
        self._read(row)

    # ------------------------------------------------------------------------------------------------ private

    def _begin(self, rows: NDArray[np.int64]) -> None:
        robot, model = self.task.robot, self._model
        for row in rows.tolist():
            random = self._random[row]
            qpos = model.qpos0 + random.uniform(-robot.noise, robot.noise, model.nq)
            mujoco.mj_normalizeQuat(model, qpos)
            qvel = (
                robot.noise * random.standard_normal(model.nv)
                if robot.normal
                else random.uniform(-robot.noise, robot.noise, model.nv)
            )
            self.force(row, qpos, qvel)
        self._steps[rows] = 0

    def _what_to_read(self, row: int) -> list[tuple[NDArray[Any], NDArray[Any]]]:
        data, robot = self._data[row], self.task.robot
        pairs = [(self._qpos[row], data.qpos), (self._qvel[row], data.qvel)]
        if robot.place != "root":
            pairs.append((self._bodies[row], data.xpos if robot.place == "torso" else data.xipos))
        parts = (data.cinert, data.cvel, data.qfrc_actuator, data.cfrc_ext)
        return pairs + [(target[row], part) for target, part in zip(self._internals, parts, strict=False)]

    def _read(self, row: int) -> None:
        for target, source in self._pairs[row]:
            target[...] = source


def _advance(model: mujoco.MjModel, data: mujoco.MjData, substeps: int) -> None:
    """MuJoCo steps with the fourth-order Runge-Kutta rule that MuJoCo 2.3.3 has for free joints.

    It averages the velocities of the four stages as they are, and hands every solution to the next solver.
    The mean velocity is written by accelerations, because stage i + 1 moves with v + h c_i a_i.
    """
    seconds = model.opt.timestep
    qpos, qvel, qacc, warmstart = data.qpos, data.qvel, data.qacc, data.qacc_warmstart
    accelerations = np.empty((4, model.nv))
    for _ in range(substeps):
        mujoco.mj_checkPos(model, data)
        mujoco.mj_checkVel(model, data)
        mujoco.mj_forward(model, data)
        mujoco.mj_checkAcc(model, data)
        warmstart[:] = accelerations[0] = qacc
        start, velocity = qpos.copy(), qvel.copy()
        for stage, part in ((1, 0.5 * seconds), (2, 0.5 * seconds), (3, seconds)):
            qpos[:] = start
            mujoco.mj_integratePos(model, qpos, qvel, part)
            np.multiply(accelerations[stage - 1], part, out=qvel)
            qvel += velocity
            mujoco.mj_forward(model, data)
            warmstart[:] = accelerations[stage] = qacc
        qpos[:] = start
        means = _RUNGE_KUTTA @ accelerations * seconds
        mujoco.mj_integratePos(model, qpos, velocity + means[0], seconds)
        qvel[:] = velocity + means[1]
        data.time += seconds


def make(
    name: str, num_envs: int, threads: int | None, physics: Literal["exact", "fast"] = "exact"
) -> VelocityEnv:
    """The velocity task of that name; see `VelocityEnv`."""
    return VelocityEnv(name, num_envs, threads, physics)
