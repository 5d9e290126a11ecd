"""The marble maze one game at a time, behind Gymnasium's interface; `goodpath.envs.register()` names it."""

from typing import Any, Literal

import gymnasium
import numpy as np

from goodpath.envs.gymnasium_env import Image, paint, single
from goodpath.envs.marble_maze import RADIUS
from goodpath.envs.marble_maze_env import make
from goodpath.envs.vector import Array, Shape
from goodpath.errors import GoodpathError


class MarbleMazeGymEnv(gymnasium.Env[Array, np.int64]):
    """One copy of a marble maze, with nine discrete actions. The cost of a step is `info["cost"]`.

    Args:
        name: a marble maze, such as `MarbleMaze-v0`.
        render_mode: `rgb_array` draws the tray from above; None draws nothing.

    Raises:
        GoodpathError: there is no marble maze of that name, or no such way of drawing.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012 (Gymnasium's own form)

    def __init__(self, name: str, render_mode: Literal["rgb_array"] | None = None) -> None:
        if render_mode not in (None, "rgb_array"):
            raise GoodpathError(f"render_mode is '{render_mode}'; it must be 'rgb_array' or None.")
        self.render_mode = render_mode
        self._env = make(name, 1)
        size = self._env.spec.observation_size
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (size,), np.float64)
        self.action_space = gymnasium.spaces.Discrete(self._env.spec.actions)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Array, dict[str, Any]]:
        """Starts a game; `options={"cell": 5}` starts it in that cell instead of any."""
        super().reset(seed=seed)
        observations = self._env.reset(seed)
        if options and "cell" in options:
            observations = self._env.reset_to([options["cell"]])
        return observations[0], {}

    def step(self, action: np.int64) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        """One step; nothing starts over by itself at the end of a game."""
        if not self.action_space.contains(action):
            raise GoodpathError(f"the action is {action}; it must be a whole number from 0 to 8.")
        return single(self._env.transition(np.eye(self._env.spec.actions)[[action]]))

    def render(self) -> Image | None:
        """(320, 320, 3) the tray from above, where `render_mode` asks for it."""
        if self.render_mode is None:
            return None
        scene, (x, y) = self._env.scene(0), self._env.positions()[0]
        return paint((*scene.shapes, Shape("circle", "agent", (x, y), RADIUS)), scene.extent)
