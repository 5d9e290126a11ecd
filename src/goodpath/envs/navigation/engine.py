"""The batched navigation environment: physics in threads, everything that follows from it at once."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from goodpath.envs.navigation.formulas import (
    State,
    circle_reward,
    goal_distance,
    goal_reward,
    indicators,
    observe,
    raw_costs,
)
from goodpath.envs.navigation.layout import Layout, Plan, ResamplingError, resample, sample_layout
from goodpath.envs.navigation.lidar import BINS
from goodpath.envs.navigation.model import Readings, World, build_model
from goodpath.envs.navigation.tasks import TASKS, Task
from goodpath.envs.vector import Array, Scene, Shape, Step
from goodpath.errors import GoodpathError
from goodpath.spec import Spec


class NavigationEnv:
    """`num_envs` copies of one navigation task, stepped together.

    Each keeps its own simulator and random stream. A step is physics, which runs in threads because MuJoCo
    lets go of the interpreter's lock, and then reward, cost, new goals and observation of all at once.

    Args:
        task: what to simulate.
        num_envs: number of copies.
        threads: number of threads; as many as there are processors, but no more than copies, when left out.
        physics: `exact` follows safety-gymnasium 1.0.0 to rounding; `fast` lets resting objects sleep, which
            moves them by up to 2e-6 and leaves the agent as it is.

    Attributes:
        task: what is simulated.
        worlds: the simulator of each copy.
        places: (num_envs, things, 2) metres, where all is: the agent, then the task's groups in order.
        angles: (num_envs, things) how everything was turned at the start, in radians.
        last_distance: (num_envs,) metres to the goal before the step, where the task has one.

    Raises:
        GoodpathError: `num_envs` or `threads` is not positive, or `physics` is neither.
    """

    def __init__(
        self,
        task: Task,
        num_envs: int,
        threads: int | None = None,
        physics: Literal["exact", "fast"] = "exact",
    ) -> None:
        if num_envs < 1:
            raise GoodpathError(f"an environment needs at least one copy, but num_envs is {num_envs}.")
        threads = (os.cpu_count() or 1) if threads is None else threads
        if threads < 1:
            raise GoodpathError(f"an environment needs at least one thread, but threads is {threads}.")
        if physics not in ("exact", "fast"):
            raise GoodpathError(f"physics is '{physics}'; it must be 'exact' or 'fast'.")
        threads = min(threads, num_envs)
        self.task = task
        self.num_envs = num_envs
        self.spec = Spec(
            name=task.name,
            observation_size=int(build_model(task).nsensordata) + BINS * len(task.lidars),
            action_size=task.robot.action_size,
            episode_length=task.episode_length,
        )
        self._plan = Plan.of(task)
        self._readings = Readings.empty(task, num_envs)
        self.worlds = [World(task, self._readings, row, physics == "fast") for row in range(num_envs)]
        self._slices = [
            self.worlds[rows[0] : rows[-1] + 1] for rows in np.array_split(range(num_envs), threads)
        ]
        self._pool = ThreadPoolExecutor(threads, "goodpath-physics") if threads > 1 else None

        self._random = [np.random.RandomState() for _ in range(num_envs)]
        self._owed = np.zeros(num_envs, np.int64)  # draws that the original made and we have yet to make
        self.places = np.zeros((num_envs, len(self._plan.keepouts), 2))
        self.angles = np.zeros((num_envs, len(self._plan.keepouts)))
        self.last_distance = np.zeros(num_envs)
        self._steps = np.zeros(num_envs, np.int64)
        self._started = False
        self._movable = task.movable()

    # ------------------------------------------------------------------ the contract of every environment

    def reset(self, seed: int | Sequence[int] | None = None) -> Array:
        """Starts new episodes everywhere and returns (num_envs, observation) observations.

        Args:
            seed: a number s seeds environment i with s + i; a sequence gives each its own; None goes on with
                the random streams as they are.

        Raises:
            GoodpathError: a seed is outside [0, 2³²), or a sequence has the wrong length.
        """
        if seed is not None:
            self._random = [np.random.RandomState(value) for value in self._seeds(seed)]
            self._owed[:] = 0
        self._begin(np.arange(self.num_envs))
        self._started = True
        return observe(self.task, self.state())

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
        observations[ended] = observe(self.task, self.state()[ended])
        return step._replace(observations=observations)

    def close(self) -> None:
        """Ends the threads."""
        if self._pool:
            self._pool.shutdown()

    def positions(self) -> Array:
        """(num_envs, 2) where each agent is now, in metres."""
        return self._readings.position[:, :2].copy()

    def headings(self) -> Array:
        """(num_envs,) which way each agent's front points, in radians from the x axis."""
        rotation = self._readings.rotation
        return np.arctan2(rotation[:, 3], rotation[:, 0]) + self.task.robot.front

    def scene(self, index: int) -> Scene:
        """The arena of environment `index` as it is now."""
        turns = self.worlds[index].turns().tolist()
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
        self.simulate(self._controls(actions))
        rewards, info = self.outcome()
        terminated = (
            self.renew_goals(info["goal_met"]) if "goal_met" in info else np.zeros(self.num_envs, bool)
        )
        self._steps += 1
        truncated = self._steps >= self.task.episode_length
        observations = observe(self.task, self.state())
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
        """The physics of one step: changes simulators and readings, and nothing else."""
        self._owed += 1  # the original draws its number of substeps, which always comes out as ten
        if self._pool is None:
            _advance(self.worlds, controls)
            return
        first, futures = 0, []
        for worlds in self._slices:
            futures.append(self._pool.submit(_advance, worlds, controls[first : first + len(worlds)]))
            first += len(worlds)
        wait(futures)
        for future in futures:
            future.result()

    def state(self) -> State:
        """The readings as the formulas want them, with the places of what moves brought up to date."""
        readings = self._readings
        self.places[:, 0] = readings.position[:, :2]
        if self._movable:
            self.places[:, self._movable] = readings.objects[..., :2]
        return State(
            readings.position,
            readings.rotation.reshape(-1, 3, 3),
            readings.sensors,
            self.places,
            readings.velocities,
            readings.contacts,
        )

    def outcome(self) -> tuple[Array, dict[str, NDArray[Any]]]:
        """(num_envs,) rewards of the step that led here, and its info: the terms of the cost, `goal_met`."""
        state = self.state()
        info: dict[str, NDArray[Any]] = dict(indicators(raw_costs(self.task, state)))
        if self.task.reward == "circle":
            return circle_reward(state), info
        distance = goal_distance(self.task, state)
        rewards, info["goal_met"] = goal_reward(self.task, distance, self.last_distance)
        self.last_distance = distance
        return rewards, info

    def renew_goals(self, met: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Draws new goals where they were met; true where there was no room, which ends the episode."""
        stuck = np.zeros(self.num_envs, np.bool_)
        if not met.any():
            return stuck
        for row in np.flatnonzero(met).tolist():
            try:
                self._draw_goal(row)
            except ResamplingError:
                stuck[row] = True
        self.last_distance = goal_distance(self.task, self.state())
        return stuck

    def place(self, row: int, layout: Layout) -> None:
        """Starts the simulator of one environment from a layout."""
        self.worlds[row].reset(layout)
        self.places[row], self.angles[row] = layout.places, layout.angles
        for group in self.task.groups:
            if group.fixed:  # without the jitter they were drawn with: nothing may depend on it
                self.places[row, self.task.columns(group.name)] = group.fixed

    # ------------------------------------------------------------------------------------------------ private

    def _begin(self, rows: NDArray[np.int64]) -> None:
        for row in rows.tolist():
            self._settle(row)
            self.place(row, sample_layout(self._plan, self._random[row]))
            if self.task.reward == "goal":
                self._draw_goal(row)
        self._steps[rows] = 0
        if self.task.reward == "goal":
            self.last_distance[rows] = goal_distance(self.task, self.state())[rows]

    def _draw_goal(self, row: int) -> None:
        self._settle(row)
        column = self.task.columns("goal").start
        self.places[row, column] = resample(self._plan, column, self.places[row], self._random[row])

    def _settle(self, row: int) -> None:
        """Makes the draws that steps owe, so that the next ones are those of the original."""
        self._random[row].random_sample(self._owed[row])
        self._owed[row] = 0

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


def _advance(worlds: list[World], controls: Array) -> None:
    for world, control in zip(worlds, controls, strict=True):
        world.step(control)


def make(name: str, num_envs: int, threads: int | None) -> NavigationEnv:
    """The navigation task of that name, exact."""
    return NavigationEnv(TASKS[name], num_envs, threads)
