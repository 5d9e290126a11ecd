"""Navigation and velocity tasks one at a time, behind Gymnasium's interface; `goodpath.envs.register()` names them."""

from typing import Any, Literal

import gymnasium
import numpy as np
from numpy.typing import NDArray

from goodpath.envs import canonical
from goodpath.envs.navigation.camera import Camera
from goodpath.envs.navigation.engine import Fidelity, NavigationEnv
from goodpath.envs.navigation.variants import EVERY_TASK
from goodpath.envs.vector import Array, Scene, Shape, Step
from goodpath.envs.velocity import VelocityEnv
from goodpath.envs.velocity_tasks import TASKS as VELOCITY_TASKS
from goodpath.errors import GoodpathError

Image = NDArray[np.uint8]

_PIXELS = 320
_COLOURS = {
    "goal": (120, 190, 90),
    "hazard": (120, 130, 220),
    "vase": (90, 200, 200),
    "button": (230, 150, 60),
    "gremlin": (150, 90, 190),
    "pillar": (110, 110, 110),
    "box": (220, 200, 80),
    "track": (215, 235, 215),
    "wall": (235, 190, 90),
    "agent": (200, 60, 60),
    "nose": (90, 20, 20),
}
_PAPER = (250, 250, 250)


class NavigationGymEnv(gymnasium.Env[Array, Array]):
    """One copy of a navigation task. The cost of a step is `info["cost"]`, its terms are beside it.

    Args:
        name: a navigation task, such as `SafetyPointGoal1-v0`.
        render_mode: `rgb_array` draws the arena; None draws nothing.
        camera: `above` draws outlines and needs nothing, `3d` draws through MuJoCo and needs EGL or OSMesa.
        physics: `exact` or `fast`; see `NavigationEnv`.

    Raises:
        GoodpathError: there is no navigation task of that name, or no such way of drawing.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 50}  # noqa: RUF012 (Gymnasium's own form)

    def __init__(
        self,
        name: str,
        render_mode: Literal["rgb_array"] | None = None,
        camera: Literal["above", "3d"] = "above",
        physics: Fidelity = "exact",
    ) -> None:
        if render_mode not in (None, "rgb_array"):
            raise GoodpathError(f"render_mode is '{render_mode}'; it must be 'rgb_array' or None.")
        if camera not in ("above", "3d"):
            raise GoodpathError(f"camera is '{camera}'; it must be 'above' or '3d'.")
        name = canonical(name)
        if name not in EVERY_TASK:
            raise GoodpathError(f"'{name}' is no navigation task; make it with goodpath.envs.make.")
        self.render_mode = render_mode
        self._env = NavigationEnv(EVERY_TASK[name], num_envs=1, physics=physics)
        self._camera = Camera(self._env) if render_mode and camera == "3d" else None
        sizes = self._env.spec
        sensors = sizes.observation_size - 16 * len(EVERY_TASK[name].lidars)
        low, high = np.zeros(sizes.observation_size), np.ones(sizes.observation_size)
        low[:sensors], high[:sensors] = -np.inf, np.inf  # sensors have no bounds, lidars lie in [0, 1]
        self.observation_space = gymnasium.spaces.Box(low, high, dtype=np.float64)
        self.action_space = gymnasium.spaces.Box(
            sizes.action_low, sizes.action_high, (sizes.action_size,), dtype=np.float64
        )

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Array, dict[str, Any]]:
        """Starts an episode; without a seed the random stream goes on. There are no options."""
        super().reset(seed=seed)
        return self._env.reset(seed)[0], {}

    def step(self, action: Array) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        """One step; nothing starts over by itself at the end of an episode."""
        return single(self._env.transition(np.asarray(action)[None]))

    def render(self) -> Image | None:
        """(320, 320, 3) the arena from above or (360, 480, 3) in 3D, where `render_mode` asks for it."""
        if self.render_mode is None:
            return None
        if self._camera is not None:
            return self._camera.picture()
        return draw(self._env.scene(0), self._env.positions()[0], self._env.headings()[0])

    def close(self) -> None:
        """Frees the simulator and the camera."""
        self._env.close()
        if self._camera is not None:
            self._camera.close()


class VelocityGymEnv(gymnasium.Env[Array, Array]):
    """One copy of a velocity task. The cost of a step is `info["cost"]`; nothing is drawn.

    Args:
        name: a velocity task, such as `SafetyHopperVelocity-v1`.
        physics: `exact` or `fast`; see `VelocityEnv`.

    Raises:
        GoodpathError: there is no velocity task of that name.
    """

    def __init__(self, name: str, physics: Fidelity = "exact") -> None:
        name = canonical(name)
        if name not in VELOCITY_TASKS:
            raise GoodpathError(f"'{name}' is no velocity task; make it with goodpath.envs.make.")
        self._env = VelocityEnv(name, num_envs=1, physics=physics)
        sizes = self._env.spec
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (sizes.observation_size,), np.float64)
        self.action_space = gymnasium.spaces.Box(
            sizes.action_low, sizes.action_high, (sizes.action_size,), dtype=np.float64
        )

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Array, dict[str, Any]]:
        """Starts an episode; without a seed the random stream goes on. There are no options."""
        super().reset(seed=seed)
        return self._env.reset(seed)[0], {}

    def step(self, action: Array) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        """One step; nothing starts over by itself at the end of an episode."""
        return single(self._env.transition(np.asarray(action)[None]))

    def close(self) -> None:
        """Ends the simulator's threads."""
        self._env.close()


def single(step: Step) -> tuple[Array, float, bool, bool, dict[str, Any]]:
    """What one step of the only copy is to Gymnasium."""
    info = {name: values[0].item() for name, values in step.info.items()}
    return (
        step.observations[0],
        float(step.rewards[0]),
        bool(step.terminated[0]),
        bool(step.truncated[0]),
        {"cost": float(step.costs[0])} | info,
    )


def draw(scene: Scene, position: Array, heading: float) -> Image:
    """(320, 320, 3) a scene with the agent in it, the y axis pointing up.

    Args:
        scene: what to draw.
        position: (2,) of the agent, in metres.
        heading: of the agent, in radians.
    """
    ahead = (float(position[0] + 0.1 * np.cos(heading)), float(position[1] + 0.1 * np.sin(heading)))
    agent = (
        Shape("circle", "agent", (float(position[0]), float(position[1])), 0.1),
        Shape("box", "nose", ahead, (0.05, 0.05), heading),
    )
    return paint((*scene.shapes, *agent), 1.2 * scene.extent)


def paint(shapes: tuple[Shape, ...], extent: float) -> Image:
    """(320, 320, 3) shapes over one another in the square [-extent, extent]², the y axis pointing up."""
    ticks = (np.arange(_PIXELS) + 0.5) / _PIXELS * 2.0 * extent - extent
    x, y = np.meshgrid(ticks, -ticks)
    image = np.full((_PIXELS, _PIXELS, 3), _PAPER, np.uint8)
    for shape in shapes:
        image[shape.covers(x, y)] = _COLOURS[shape.role]
    return image
