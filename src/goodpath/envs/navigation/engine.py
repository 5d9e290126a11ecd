"""The batched navigation environment: physics in threads, everything that follows from it at once."""

import os
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from goodpath.envs.navigation.formulas import Formulas, State
from goodpath.envs.navigation.layout import Layout, OriginalSampler, PlacementError, Plan, Sampler
from goodpath.envs.navigation.physics import Physics
from goodpath.envs.navigation.sampler import FastSampler
from goodpath.envs.navigation.tasks import Task
from goodpath.envs.navigation.variants import EVERY_TASK
from goodpath.envs.vector import Array, Scene, Shape, Step
from goodpath.errors import GoodpathError
from goodpath.spec import Spec

BUTTON_DELAY = 10  # steps for which buttons stay dark after a press
Rows = NDArray[np.int64]
Mask = NDArray[np.bool_]
Fidelity = Literal["exact", "fast"]
Seeding = Literal["fast", "original"]
Guard = Literal["tell", "end"]


class NavigationEnv:
    """`num_envs` copies of one navigation task, stepped together.

    Each keeps its own simulator and random stream. A step is physics, which MuJoCo does in its own threads,
    and then reward, cost, new goals and observation of all copies at once.

    Args:
        task: what to simulate.
        num_envs: number of copies.
        threads: number of threads; as many as there are processors, but no more than copies, when left out.
        physics: `exact` follows safety-gymnasium 1.0.0 to rounding; `fast` lets resting objects sleep, which
            moves them by up to 2e-5 m and leaves the agent as it is.
        seeding: `fast` draws layouts and goals in blocks; `original` draws the very layouts and goals that
            safety-gymnasium 1.0.0 draws from the same seed, which takes it long where the arena is crowded.
        guard: `tell` of each step's way and of acting from beyond the square that objects are placed in: `info`
            then holds `displacement`, in metres, and `outside`; `end` also ends the episode there.

    Attributes:
        task: what is simulated.
        physics: the simulators.
        formulas: what follows from their state.
        places: (num_envs, things, 2) metres, where all is: the agent, then the task's groups in order.
        angles: (num_envs, things) how everything was turned at the start, in radians.
        last_remaining: (num_envs,) metres that were to go before the step, where the task has a goal.
        goal_button: (num_envs,) which button is the goal, where the task has buttons.
        timer: (num_envs,) steps for which buttons stay dark.

    Raises:
        GoodpathError: `num_envs` or `threads` is not positive, or `physics` or `seeding` is unknown.
    """

    def __init__(
        self,
        task: Task,
        num_envs: int,
        threads: int | None = None,
        physics: Fidelity = "exact",
        seeding: Seeding = "fast",
        guard: Guard | None = None,
    ) -> None:
        if num_envs < 1:
            raise GoodpathError(f"an environment needs at least one copy, but num_envs is {num_envs}.")
        threads = (os.cpu_count() or 1) if threads is None else threads
        if threads < 1:
            raise GoodpathError(f"an environment needs at least one thread, but threads is {threads}.")
        if physics not in ("exact", "fast"):
            raise GoodpathError(f"physics is '{physics}'; it must be 'exact' or 'fast'.")
        if guard not in (None, "tell", "end"):
            raise GoodpathError(f"guard is '{guard}'; it must be 'tell' or 'end'.")
        if seeding not in ("fast", "original"):
            raise GoodpathError(f"seeding is '{seeding}'; it must be 'fast' or 'original'.")
        self.task = task
        self.num_envs = num_envs
        self._guard = guard
        self.physics = Physics(task, num_envs, min(threads, num_envs), sleep=physics == "fast")
        self.formulas = Formulas(task)
        self.spec = Spec(
            name=task.name,
            observation_size=self.formulas.observation_size(self.physics.sensors.shape[1]),
            action_size=task.robot.action_size,
            episode_length=task.episode_length,
            observation_keys=self.formulas.observation_keys(self.physics.sensors.shape[1]),
        )
        self._plan = Plan.of(task)
        self._sampler = FastSampler if seeding == "fast" else OriginalSampler
        self._samplers: list[Sampler] = [self._sampler(self._plan, None) for _ in range(num_envs)]
        self._owed = np.zeros(num_envs, np.int64)  # draws that the original made and we have yet to make

        things = len(self._plan.keepouts)
        self.places, self.angles = np.zeros((num_envs, things, 2)), np.zeros((num_envs, things))
        self.last_remaining = np.zeros(num_envs)
        self.goal_button, self.timer = np.zeros((2, num_envs), np.int64)
        self._steps = np.zeros(num_envs, np.int64)
        self._started = False
        self._movable = task.movable()
        self._goal = task.columns("goal").start if task.has_goal else 0

    # ------------------------------------------------------------------ the contract of every environment

    def reset(self, seed: int | Sequence[int] | None = None) -> Array:
        """Starts new episodes everywhere and returns (num_envs, observation) observations.

        Args:
            seed: a number s seeds environment i with s + i; a sequence gives each its own; None goes on with
                the random streams as they are.

        Raises:
            GoodpathError: a seed is outside [0, 2³²), a sequence has the wrong length, or an object finds no
                room.
        """
        if seed is not None:
            self._samplers = [self._sampler(self._plan, value) for value in self._seeds(seed)]
            self._owed[:] = 0
        self._begin(np.arange(self.num_envs))
        self._started = True
        return self.formulas.observe(self.state())

    def step(self, actions: NDArray[Any]) -> Step:
        """Steps every environment with its row of the (num_envs, action) `actions`; see `Step`.

        Raises:
            GoodpathError: `actions` has the wrong shape or is not finite, or `reset` was never called.
        """
        step = self.transition(actions)
        ended = np.flatnonzero(step.terminated | step.truncated)
        if not ended.size:
            return step
        self._begin(ended)
        observations = step.observations.copy()
        observations[ended] = self.formulas.observe(self.state()[ended])
        return step._replace(observations=observations)

    def close(self) -> None:
        """Does nothing: simulators and threads end with the environment."""

    def positions(self) -> Array:
        """(num_envs, 2) where each agent is now, in metres."""
        return self.physics.position[:, :2].copy()

    def headings(self) -> Array:
        """(num_envs,) which way each agent's front points, in radians from the x axis."""
        rotation = self.physics.rotation
        return np.arctan2(rotation[:, 1, 0], rotation[:, 0, 0]) + self.task.robot.front

    def scene(self, index: int) -> Scene:
        """The arena of environment `index` as it is now."""
        turns = self.physics.turns(index).tolist()
        shapes = []
        for group in self.task.groups:
            columns = np.r_[self.task.columns(group.name)]
            for column, place in zip(columns, self.places[index, columns].tolist(), strict=True):
                # Walls at the ends lie across.
                across = bool(group.fixed) and abs(place[1]) > abs(place[0])
                angle = turns[self._movable.index(column)] if group.kind.movable else np.pi / 2 * across
                shapes.append(Shape(group.kind.shape, group.kind.role, tuple(place), group.kind.size, angle))
        return Scene(self.task.extent, tuple(shapes))

    # ------------------------------------------------------------------------------------ one step, in parts

    def transition(self, actions: NDArray[Any]) -> Step:
        """One step without autoreset: `observations` and `final_observations` are the same array."""
        before = self.positions() if self._guard else None
        self.simulate(self._controls(actions))
        rewards, info = self.outcome()
        terminated = (
            self.renew_goals(info["goal_met"]) if self.task.has_goal else np.zeros(self.num_envs, bool)
        )
        terminated |= self.dead()
        if before is not None:
            outside: Mask = np.any(np.abs(before) > self.task.extent, axis=1)
            info["outside"] = outside
            info["displacement"] = np.hypot(*(self.positions() - before).T)
            if self._guard == "end":
                terminated = terminated | outside
        self._steps += 1
        truncated = self._steps >= self.task.episode_length
        observations = self.formulas.observe(self.state())
        return Step(
            rewards=rewards,
            costs=info["cost_sum"],
            terminated=terminated,
            truncated=truncated,
            observations=observations,
            final_observations=observations,
            info=info,
        )

    def simulate(self, controls: Array) -> None:
        """The physics of one step: changes the simulators, and nothing else."""
        self._owed += 1  # the original draws its number of substeps, which always comes out as ten
        self.physics.step(controls)

    def state(self) -> State:
        """The state as the formulas want it, with the places of what moves brought up to date."""
        physics = self.physics
        self.places[:, 0] = physics.position[:, :2]
        if self._movable:
            self.places[:, self._movable] = physics.objects[..., :2]
        return State(
            physics.position,
            physics.rotation,
            physics.sensors,
            physics.velocity,
            self.places,
            physics.objects,
            physics.velocities,
            physics.contacts,
            self.goal_button,
            self.timer,
        )

    def outcome(self) -> tuple[Array, dict[str, NDArray[Any]]]:
        """(num_envs,) rewards of the step that led here, and its info: the terms of the cost, `goal_met`.

        While buttons are dark, `cost_buttons` is 0; safety-gymnasium 1.0.0 leaves it out.
        """
        state, formulas = self.state(), self.formulas
        info: dict[str, NDArray[Any]] = dict(formulas.costs(state))
        if self.task.reward == "circle":
            return formulas.circle_reward(state), info
        if not self.task.has_goal:
            return np.zeros(self.num_envs), info
        remaining = formulas.remaining(state)
        info["goal_met"] = met = formulas.goal_met(state, remaining)
        rewards = formulas.goal_reward(remaining, self.last_remaining, met)
        self.last_remaining = remaining
        return rewards, info

    def renew_goals(self, met: Mask) -> Mask:
        """Draws new goals where they were met; true where there was no room, which ends the episode.

        Where buttons are, this also counts the steps for which they stay dark.
        """
        stuck = np.zeros(self.num_envs, np.bool_)
        if self.task.reward == "button":
            np.maximum(self.timer - 1, 0, out=self.timer)
        if not met.any():
            return stuck
        for row in np.flatnonzero(met).tolist():
            try:
                self._draw_goal(row)
            except PlacementError:
                stuck[row] = True
        if self.task.reward == "button":
            self.timer[met] = BUTTON_DELAY
        self.last_remaining = self.formulas.remaining(self.state())
        return stuck

    def dead(self) -> Mask:
        """(num_envs,) whether each agent has sunk so low that its episode ends."""
        return self.physics.position[:, 2] <= self.task.robot.lowest

    def place(self, rows: Rows, layouts: Sequence[Layout], joints: Array | None = None) -> None:
        """Starts the simulators of some environments, each from its layout; `joints` as `Physics.reset`."""
        places = np.stack([layout.places for layout in layouts])
        angles = np.stack([layout.angles for layout in layouts])
        for group in self.task.groups:
            if group.fixed:  # without the jitter they were drawn with: nothing may depend on it
                places[:, self.task.columns(group.name)] = group.fixed
        self.places[rows], self.angles[rows] = places, angles
        self.physics.reset(rows, places, angles, joints)

    # ------------------------------------------------------------------------------------------------ private

    def _begin(self, rows: Rows) -> None:
        robot = self.task.robot
        samplers = [self._samplers[row] for row in rows.tolist()]
        for row, sampler in zip(rows.tolist(), samplers, strict=True):
            sampler.skip(self._owed[row])
            self._owed[row] = 0
        layouts = [sampler.layout() for sampler in samplers]
        self.places[rows] = np.stack([layout.places for layout in layouts])
        if self.task.has_goal:  # the goal of the layout gives way to another, as in the original
            for row in rows.tolist():
                self._draw_goal(row)
        goals = self.places[rows, self._goal].copy()
        joints = None
        if robot.stance:
            drawn = np.stack([sampler.uniform(len(robot.stance)) for sampler in samplers])
            signs = np.where(np.array(robot.stance) < 0.0, -1.0, 1.0)
            joints = robot.stance + signs * robot.noise * (2.0 * drawn - 1.0)
        self.place(rows, layouts, joints)
        self._steps[rows] = self.timer[rows] = 0
        if self.task.has_goal:
            self.places[rows, self._goal] = goals
            self.last_remaining[rows] = self.formulas.remaining(self.state())[rows]

    def _draw_goal(self, row: int) -> None:
        sampler = self._samplers[row]
        sampler.skip(self._owed[row])
        self._owed[row] = 0
        if self.task.reward == "button":
            buttons = self.task.columns("buttons")
            self.goal_button[row] = button = sampler.choice(buttons.stop - buttons.start)
            self.places[row, self._goal] = self.places[row, buttons.start + button]
        else:
            self.places[row, self._goal] = sampler.place(self._goal, self.places[row])

    def _controls(self, actions: NDArray[Any]) -> Array:
        if not self._started:
            raise GoodpathError("step was called before reset; call reset first.")
        controls = np.asarray(actions, np.float64)
        expected = (self.num_envs, self.spec.action_size)
        if controls.shape != expected:
            raise GoodpathError(
                f"actions have shape {controls.shape}, but {self.num_envs} copies of {self.spec.name} "
                f"take {expected}."
            )
        if not np.isfinite(controls).all():
            row = int(np.flatnonzero(~np.isfinite(controls).all(1))[0])
            raise GoodpathError(
                f"the action of environment {row} is {controls[row]}; actions must be finite."
            )
        return np.clip(controls, self.spec.action_low, self.spec.action_high)

    def _seeds(self, seed: int | Sequence[int]) -> list[int]:
        seeds = (
            [seed + i for i in range(self.num_envs)]
            if isinstance(seed, int | np.integer)
            else [int(s) for s in seed]
        )
        if len(seeds) != self.num_envs:
            raise GoodpathError(
                f"{len(seeds)} seeds were given for {self.num_envs} environments; give one each."
            )
        for value in seeds:
            if not 0 <= value < 2**32:
                raise GoodpathError(f"{value} is no seed; give a whole number from 0 to 4294967295.")
        return seeds


def make(
    name: str,
    num_envs: int,
    threads: int | None,
    physics: Fidelity = "exact",
    seeding: Seeding = "fast",
    guard: Guard | None = None,
) -> NavigationEnv:
    """The navigation task of that name; see `NavigationEnv`."""
    return NavigationEnv(EVERY_TASK[name], num_envs, threads, physics, seeding, guard)
