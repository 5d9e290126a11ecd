"""The Bullet-Safety-Gym tasks of the DSRL data sets, made repeatable.

bullet-safety-gym 1.4.0 draws from NumPy's and Python's global generators whatever seed it is given, and what
moved in one episode leaves traces in the next. Here every episode starts from a simulation built anew, with
the global generators seeded for it and put back afterwards: a seed and the number of the episode determine
everything that happens.

The package asks for an old Gymnasium that it does not need, so it is installed without its requirements:
`pip install pybullet`, then `pip install --no-deps bullet-safety-gym==1.4.0`.
"""

import contextlib
import ctypes
import functools
import os
import random
import sys
import warnings
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from goodpath.envs.adapters import adapt
from goodpath.envs.vector import Array, BatchedEnv
from goodpath.errors import GoodpathError

TASKS = tuple(
    f"Safety{robot}{task}-v0" for task in ("Run", "Circle") for robot in ("Ball", "Car", "Drone", "Ant")
)


class BulletEnv(gymnasium.Env[Array, NDArray[np.float32]]):
    """One task behind Gymnasium's interface. The cost of a step is `info["cost"]`.

    Episodes have no time limit of their own.

    Args:
        name: one of `TASKS`.

    Raises:
        GoodpathError: bullet-safety-gym is not installed.
    """

    def __init__(self, name: str) -> None:
        blind = _packages()
        with warnings.catch_warnings(), _generators(0):
            warnings.simplefilter("ignore")  # about the precision of its bounds
            self._env = blind(**gymnasium.spec(name).kwargs)
        self.observation_space = self._env.observation_space
        self.action_space = self._env.action_space
        self._episodes = np.random.default_rng()

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Array, dict[str, Any]]:
        """Starts an episode in a new simulation; without a seed the stream of episodes goes on."""
        if seed is not None:
            self._episodes = np.random.default_rng(seed)
        with _generators(int(self._episodes.integers(2**32))):
            self._rebuild()
            observation, info = self._env.reset()
        return observation, info

    def step(self, action: NDArray[np.float32]) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        """One step; these tasks draw nothing in it."""
        observation, reward, terminated, truncated, info = self._env.step(action)
        return observation, float(reward), bool(terminated), bool(truncated), info

    def close(self) -> None:
        """Frees the simulator."""
        self._env.close()

    def _rebuild(self) -> None:
        """Empties the simulation and fills it as the environment's constructor did."""
        env, client = self._env, self._env.bc
        client.resetSimulation()
        client.setPhysicsEngineParameter(
            fixedTimeStep=env.time_step * env.frame_skip,
            numSolverIterations=env.number_solver_iterations,
            deterministicOverlappingPairs=1,
            numSubSteps=env.frame_skip,
        )
        client.setGravity(0, 0, -9.81)
        client.setDefaultContactERP(0.9)
        env._setup_simulation()
        env.stored_state_id = -1
        env.iteration = 0


def make(name: str, num_envs: int, threads: int | None) -> BatchedEnv:
    """The Bullet-Safety-Gym task of that name, in `threads` processes where that is more than one.

    Raises:
        GoodpathError: bullet-safety-gym is not installed.
    """
    _packages()
    workers = threads if threads is not None and threads > 1 else 0
    length = gymnasium.spec(name).max_episode_steps
    return adapt(functools.partial(BulletEnv, name), num_envs, name, episode_length=length, workers=workers)


@functools.cache
def _packages() -> Any:
    """The environments' class, changed to load no meshes that are only looked at: they take most of a start.

    Raises:
        GoodpathError: bullet-safety-gym is not installed.
    """
    try:
        # It redirects standard error as it is imported, which needs Python's real stream.
        with contextlib.redirect_stderr(sys.__stderr__), _silenced(2), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import_module("bullet_safety_gym")  # which registers the tasks
            pybullet: Any = import_module("pybullet")
            builder: Any = import_module("bullet_safety_gym.envs.builder")
    except ImportError as error:
        raise GoodpathError(
            f"this task needs Bullet-Safety-Gym ({error}); install it with `pip install pybullet` and "
            f"`pip install --no-deps bullet-safety-gym==1.4.0`."
        ) from error
    builder.RedirectStream = _quiet  # its own needs Python's real streams, and leaves a file open each time
    original = builder.EnvironmentBuilder

    def set_up(env: Any, graphics: bool = False) -> Any:
        client = original._setup_client_and_physics(env, graphics)
        load = functools.partial(pybullet.loadURDF, physicsClientId=client._client)

        def load_unseen(*args: Any, flags: int = 0, **options: Any) -> Any:
            return load(*args, flags=flags | pybullet.URDF_IGNORE_VISUAL_SHAPES, **options)

        client.loadURDF = load_unseen
        return client

    return type("BlindEnvironment", (original,), {"_setup_client_and_physics": set_up})


def _quiet(_stream: Any) -> contextlib.AbstractContextManager[None]:
    """Stands in for the package's own redirection of standard output."""
    return _silenced(1)


@contextlib.contextmanager
def _silenced(descriptor: int) -> Iterator[None]:
    """Silences C code, which greets when it is imported and whenever a simulator starts."""
    if os.name != "posix":
        yield
        return
    library = ctypes.CDLL(None)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    library.fflush(None)
    kept = os.dup(descriptor)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), descriptor)
    try:
        yield
    finally:
        library.fflush(None)
        os.dup2(kept, descriptor)
        os.close(kept)


@contextlib.contextmanager
def _generators(seed: int) -> Iterator[None]:
    """Seeds the global generators, and puts them back as they were."""
    numpy_state, python_state = np.random.get_state(), random.getstate()  # noqa: NPY002 (it is these that it draws from)
    np.random.seed(seed)  # noqa: NPY002
    random.seed(seed)
    try:
        yield
    finally:
        np.random.set_state(numpy_state)  # noqa: NPY002
        random.setstate(python_state)
