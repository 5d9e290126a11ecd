"""Pictures of an arena in three dimensions, through MuJoCo without a window."""

from importlib import import_module
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from goodpath.envs.navigation.engine import NavigationEnv
from goodpath.errors import GoodpathError

Image = NDArray[np.uint8]

_PLATFORMS = ("egl", "osmesa")
_COLOURS = {
    "goal": (0.4, 0.75, 0.35, 0.6),
    "hazard": (0.4, 0.45, 0.85, 0.7),
    "vase": (0.35, 0.8, 0.8, 1.0),
    "button": (0.9, 0.6, 0.25, 1.0),
    "gremlin": (0.6, 0.35, 0.75, 1.0),
    "pillar": (0.45, 0.45, 0.45, 1.0),
    "box": (0.85, 0.8, 0.3, 1.0),
    "track": (0.6, 0.85, 0.6, 0.4),
    "wall": (0.95, 0.75, 0.35, 0.25),
}
_AGENT = (0.8, 0.25, 0.25, 1.0)
_FLOOR = (0.9, 0.9, 0.9, 1.0)


class Camera:
    """A camera that looks down on an arena from the south.

    Args:
        env: whose copies to look at.
        width: of a picture, in pixels.
        height: of a picture, in pixels.

    Raises:
        GoodpathError: this machine has neither EGL nor OSMesa.
    """

    def __init__(self, env: NavigationEnv, width: int = 480, height: int = 360) -> None:
        self._env = env
        self._gl = _context(width, height)
        self._gl.make_current()
        self._model, self._data = env.physics.data(0)
        self._model.vis.global_.offwidth, self._model.vis.global_.offheight = width, height
        light = self._model.vis.headlight
        light.ambient[:], light.diffuse[:], light.specular[:] = 0.5, 0.6, 0.1
        self._paint()
        self._scene = mujoco.MjvScene(self._model, 1000)
        self._context = mujoco.MjrContext(self._model, mujoco.mjtFontScale.mjFONTSCALE_100.value)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN.value, self._context)
        self._view = mujoco.MjvCamera()
        self._view.distance, self._view.azimuth, self._view.elevation = 3.4 * env.task.extent, 90.0, -55.0
        self._frame = mujoco.MjrRect(0, 0, width, height)

    def picture(self, row: int = 0) -> Image:
        """(height, width, 3) copy `row` as it is now."""
        self._gl.make_current()
        _, data = self._env.physics.data(row)
        mujoco.mjv_updateScene(
            self._model,
            data,
            mujoco.MjvOption(),
            None,
            self._view,
            mujoco.mjtCatBit.mjCAT_ALL.value,
            self._scene,
        )
        self._add_what_is_not_simulated(row)
        image = np.empty((self._frame.height, self._frame.width, 3), np.uint8)
        mujoco.mjr_render(self._frame, self._scene, self._context)
        mujoco.mjr_readPixels(image, None, self._frame, self._context)
        return image[::-1].copy()

    def close(self) -> None:
        """Frees what the picture was drawn with."""
        self._context.free()
        self._gl.free()

    def _paint(self) -> None:
        roles = {group.name: group.kind.role for group in self._env.task.groups}
        for geom in range(self._model.ngeom):
            root = self._model.body_rootid[self._model.geom_bodyid[geom]]
            name = self._model.body(root).name.rstrip("0123456789")
            colour = _FLOOR if name == "world" else _AGENT if name == "agent" else _COLOURS[roles[name]]
            self._model.geom_rgba[geom] = colour

    def _add_what_is_not_simulated(self, row: int) -> None:
        for group in self._env.task.groups:
            if group.kind.geoms:
                continue
            colour = np.array(_COLOURS[group.kind.role], np.float32)
            for place in self._env.places[row, self._env.task.columns(group.name)]:
                geom = self._scene.geoms[self._scene.ngeom]
                self._scene.ngeom += 1
                kind, size, turn = mujoco.mjtGeom.mjGEOM_CYLINDER, np.zeros(3), np.eye(3)
                if isinstance(group.kind.size, tuple):
                    kind, size = mujoco.mjtGeom.mjGEOM_BOX, np.array([*group.kind.size, 0.3])
                    if abs(place[1]) > abs(place[0]):  # walls at the ends lie across
                        turn = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
                else:
                    half = group.kind.height - 0.01 if group.kind.role == "goal" else 0.01
                    size = np.array([group.kind.size, half, 0.0])
                position = np.array([*place, group.kind.height])
                mujoco.mjv_initGeom(geom, kind.value, size, position, turn.ravel(), colour)


def _context(width: int, height: int) -> Any:
    """The first drawing context that works on this machine."""
    reasons = []
    for platform in _PLATFORMS:
        try:
            return import_module(f"mujoco.{platform}").GLContext(width, height)
        except (ImportError, AttributeError, OSError, RuntimeError) as error:
            reasons.append(f"{platform}: {error}")
    raise GoodpathError(
        f"pictures in 3D need EGL or OSMesa, and neither works here ({'; '.join(reasons)}); install one of "
        "them, or take the camera 'above', which needs nothing."
    )
