"""Environments: one batched contract (`vector`), and everything that keeps it, by name."""

import re
from importlib import import_module
from importlib.util import find_spec
from typing import NamedTuple

from goodpath.envs.vector import BatchedEnv
from goodpath.errors import GoodpathError, nearest

__all__ = ["ENVIRONMENTS", "Entry", "canonical", "describe", "make", "names", "register"]


class Entry(NamedTuple):
    """One environment.

    Attributes:
        factory: `module:attribute` of a function `(name, num_envs, threads) -> BatchedEnv`.
        summary: one line that says what it is.
        needs: module that has to be installed for it, where it is none of goodpath's own requirements.
    """

    factory: str
    summary: str
    needs: str = ""


_NAVIGATION = "goodpath.envs.navigation.engine:make"

_VELOCITY = "goodpath.envs.velocity:make"

_BULLET = "goodpath.envs.bullet:make"
_GYMNASIUM = "goodpath.envs.adapters:make"

_TASKS = {
    "Goal1": "reach goal after goal round 8 hazards; a vase is free of cost",
    "Goal2": "reach goal after goal round 10 hazards and 10 vases",
    "Circle1": "run round a circle that reaches beyond two walls",
    "Circle2": "run round a circle that reaches beyond four walls",
}

_SPEEDS = {  # robot -> what costs
    "HalfCheetah": "not too fast along x",
    "Hopper": "not too fast along x, without falling",
    "Walker2d": "not too fast along x, without falling",
    "Swimmer": "not too fast",
    "Ant": "not too fast in the plane, without falling",
    "Humanoid": "not too fast in the plane, without falling",
}

ENVIRONMENTS: dict[str, Entry] = (
    {
        f"Safety{robot}{task}-v0": Entry(_NAVIGATION, summary)
        for robot in ("Point", "Car")
        for task, summary in _TASKS.items()
    }
    | {
        f"Safety{robot}Velocity-v{version}": Entry(_VELOCITY, f"run forward, {limit} (version {version})")
        for robot, limit in _SPEEDS.items()
        for version in (1, 0)
    }
    | {
        f"Safety{robot}{task}-v0": Entry(_BULLET, f"Bullet-Safety-Gym: {summary}", needs="bullet_safety_gym")
        for task, summary in (
            ("Run", "run fast, but not too fast, between two lines"),
            ("Circle", "run round a circle that reaches beyond two lines"),
        )
        for robot in ("Ball", "Car", "Drone", "Ant")
    }
)

ENVIRONMENTS |= {
    f"Probe{name}-v0": Entry("goodpath.envs.probe:make", f"known optimum: {summary}")
    for name, summary in (
        ("Bandit", "one step, reward and cost both grow with the action"),
        ("Context", "one step, the observation says which action is paid"),
        ("Line", "ten steps, speed is paid and costs its square"),
    )
}


def names() -> list[str]:
    """The names of what can be made here, in order: without those that need a package which is missing."""
    return [name for name, entry in ENVIRONMENTS.items() if not entry.needs or find_spec(entry.needs)]


def canonical(name: str) -> str:
    """The name without the decorations that data sets give it.

    `OfflinePointCircle1Gymnasium-v0` and `SafetyPointCircle1Gymnasium-v0` are both `SafetyPointCircle1-v0`.
    Names such as `my_package:MyEnv-v0` stay as they are; `make` finds out whether there is such a thing.

    Raises:
        GoodpathError: no environment has that name.
    """
    if _foreign(name):
        return name
    match = re.fullmatch(r"(?:Offline|Safety)(\w+?)(?:Gymnasium)?-v(\d+)", name)
    plain = f"Safety{match[1]}-v{match[2]}" if match else name
    for candidate in (name, plain):
        if candidate in ENVIRONMENTS:
            return candidate
    raise GoodpathError(
        f"there is no environment '{name}'.{nearest(plain, list(ENVIRONMENTS))} `goodpath envs` lists "
        f"them; one of your own is called my_package:MyEnv-v0."
    )


def _foreign(name: str) -> bool:
    """Whether the name is `module:Id`: an environment that the module registers with Gymnasium."""
    return re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:\S+", name) is not None


def _entry(name: str) -> Entry:
    name = canonical(name)
    return (
        Entry(_GYMNASIUM, f"registered with Gymnasium by {name.split(':')[0]}")
        if _foreign(name)
        else ENVIRONMENTS[name]
    )


def describe(name: str) -> str:
    """One line that says what the environment is.

    Raises:
        GoodpathError: no environment has that name.
    """
    return _entry(name).summary


def make(name: str, num_envs: int = 1, threads: int | None = None) -> BatchedEnv:
    """Makes `num_envs` copies of an environment.

    Args:
        name: one of `names()`, the id that DSRL data sets give the same task, or `my_package:MyEnv-v0` for
            what the module `my_package` registers with Gymnasium as `MyEnv-v0`.
        num_envs: number of copies, stepped together.
        threads: threads to step them with, or processes where they are not goodpath's own; chosen for you
            when left out.

    Raises:
        GoodpathError: no environment has that name, or the package that it comes from is missing.
    """
    name = canonical(name)
    module, attribute = _entry(name).factory.split(":")
    env: BatchedEnv = getattr(import_module(module), attribute)(name, num_envs, threads)
    return env


def register() -> None:
    """Tells Gymnasium of the navigation tasks, as `goodpath/SafetyPointGoal1-v0` and so on.

    They have no time limit wrapper, because they truncate episodes themselves. Calling it twice does no harm.
    """
    import gymnasium

    for name, entry in ENVIRONMENTS.items():
        identifier = f"goodpath/{name}"
        if entry.factory == _NAVIGATION and identifier not in gymnasium.registry:
            gymnasium.register(
                identifier, "goodpath.envs.gymnasium_env:NavigationGymEnv", kwargs={"name": name}
            )
