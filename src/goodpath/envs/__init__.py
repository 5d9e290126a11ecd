"""Environments: one batched contract (`vector`), and everything that keeps it, by name."""

import re
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Literal, NamedTuple

from goodpath.envs.vector import BatchedEnv
from goodpath.errors import GoodpathError, nearest

__all__ = ["ENVIRONMENTS", "Entry", "canonical", "choices", "describe", "make", "names", "register"]


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
_MARBLE = "goodpath.envs.marble_maze_env:make"

# Which of them have a choice of physics, of seeding and of a guard.
_CHOICES: dict[str, tuple[str, ...]] = {
    _NAVIGATION: ("physics", "seeding", "guard"),
    _VELOCITY: ("physics",),
}

_ROBOTS = {"Goal": 4, "Button": 2, "Push": 2, "Circle": 4}
_TASKS = {
    "Goal0": "reach goal after goal",
    "Goal1": "reach goal after goal round 8 hazards; a vase is free of cost",
    "Goal2": "reach goal after goal round 10 hazards and 10 vases",
    "Button0": "press one button of four after another",
    "Button1": "press one button of four after another among 4 hazards and 4 gremlins that circle",
    "Button2": "press one button of four after another among 8 hazards and 6 gremlins that circle",
    "Push0": "push a box to goal after goal",
    "Push1": "push a box to goal after goal round 2 hazards; a pillar is free of cost",
    "Push2": "push a box to goal after goal round 4 hazards and 4 pillars",
    "Circle0": "run round a circle",
    "Circle1": "run round a circle that reaches beyond two walls",
    "Circle2": "run round a circle that reaches beyond four walls",
}

_VARIANTS = {
    "SimCarButton1-v0": "CarButton1 as SIM has it (arXiv 2312.10385): 5 hazards, no gremlins",
    "SimCarPush1-v0": "CarPush1 as SIM has it (arXiv 2312.10385): 2 hazards, no pillar",
    "SaguiStaticGuide-v0": "move round one large hazard, without reward (SaGui, arXiv 2307.14316)",
    "SaguiStaticStudent-v0": "reach the one goal behind one large hazard (SaGui, arXiv 2307.14316)",
    "SaguiSemiDynamicGuide-v0": "move among 4 hazards and 4 vases at fixed places, without reward (SaGui)",
    "SaguiSemiDynamicStudent-v0": "reach goals among 4 hazards and 4 vases at fixed places (SaGui)",
    "SaguiDynamicGuide-v0": "move among 8 hazards and a free vase, without reward (SaGui)",
    "SaguiDynamicStudent-v0": "reach goals among 8 hazards and a free vase (SaGui)",
}

_SPEEDS = {  # robot -> what costs
    "HalfCheetah": "not too fast along x",
    "Hopper": "not too fast along x, without falling",
    "Walker2d": "not too fast along x, without falling",
    "Swimmer": "not too fast",
    "Ant": "not too fast in the plane, without falling",
    "Humanoid": "not too fast in the plane, without falling",
}

ENVIRONMENTS: dict[str, Entry] = {
    f"Safety{robot}{task}-v0": Entry(_NAVIGATION, summary)
    for task, summary in _TASKS.items()
    for robot in ("Point", "Car", "Ant", "Doggo")[: _ROBOTS[task[:-1]]]
} | {name: Entry(_NAVIGATION, summary) for name, summary in _VARIANTS.items()}
ENVIRONMENTS |= {
    f"Safety{robot}Velocity-v{version}": Entry(_VELOCITY, f"run forward, {limit} (version {version})")
    for robot, limit in _SPEEDS.items()
    for version in (1, 0)
}
ENVIRONMENTS |= {
    f"Safety{robot}{task}-v0": Entry(_BULLET, f"Bullet-Safety-Gym: {summary}", needs="bullet_safety_gym")
    for task, summary in (
        ("Run", "run fast, but not too fast, between two lines"),
        ("Circle", "run round a circle that reaches beyond two lines"),
    )
    for robot in ("Ball", "Car", "Drone", "Ant")
}

ENVIRONMENTS |= {
    f"Probe{name}-v0": Entry("goodpath.envs.probe:make", f"known optimum: {summary}")
    for name, summary in (
        ("Bandit", "one step, reward and cost both grow with the action"),
        ("Context", "one step, the observation says which action is paid"),
        ("Line", "ten steps, speed is paid and costs its square"),
    )
}

ENVIRONMENTS |= {
    f"MarbleMaze{setting}{legacy}-v0": Entry(_MARBLE, f"tilt a ball to the goal {summary} (SCOPIL){quirks}")
    for setting, summary in (
        ("", "above a line and round a circle"),
        ("TwoModes", "above a line and on either side of a circle"),
        ("Multi", "above a line, beside another and round 7 circles"),
    )
    for legacy, quirks in (("", ""), ("Legacy", ", as the original has it"))
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


def choices(name: str) -> tuple[str, ...]:
    """Which of `physics`, `seeding` and `guard` `make` lets one choose for this environment.

    Raises:
        GoodpathError: no environment has that name.
    """
    return _CHOICES.get(_entry(name).factory, ())


def make(
    name: str,
    num_envs: int = 1,
    threads: int | None = None,
    physics: Literal["exact", "fast"] | None = None,
    seeding: Literal["fast", "original"] | None = None,
    guard: Literal["tell", "end"] | None = None,
) -> BatchedEnv:
    """Makes `num_envs` copies of an environment.

    Args:
        name: one of `names()`, the id that DSRL data sets give the same task, or `my_package:MyEnv-v0` for
            what the module `my_package` registers with Gymnasium as `MyEnv-v0`.
        num_envs: number of copies, stepped together.
        threads: threads to step them with, or processes where they are not goodpath's own; chosen for you
            when left out.
        physics: of navigation and velocity tasks: `exact`, the default, follows safety-gymnasium 1.0.0 to
            rounding; `fast` lets resting objects sleep, which moves them by up to 2e-5 m, and integrates Ant
            and Humanoid as newer MuJoCo does.
        seeding: of navigation tasks: `fast`, the default, or `original`, which draws what safety-gymnasium
            1.0.0 draws from the same seed.
        guard: of navigation tasks: `tell` of each step's way and of acting from beyond the arena, or `end` the
            episode there too.

    Raises:
        GoodpathError: no environment has that name, it has no such choice, or the package that it comes from
            is missing.
    """
    name = canonical(name)
    factory = _entry(name).factory
    module, attribute = factory.split(":")
    chosen = {"physics": physics, "seeding": seeding, "guard": guard}
    options: dict[str, Any] = {option: value for option, value in chosen.items() if value is not None}
    for option in options:
        if option not in choices(name):
            raise GoodpathError(f"'{name}' has no choice of {option}; leave it out.")
    env: BatchedEnv = getattr(import_module(module), attribute)(name, num_envs, threads, **options)
    return env


def register() -> None:
    """Tells Gymnasium of navigation and velocity tasks and marble mazes, as `goodpath/SafetyPointGoal1-v0` and so on.

    They have no time limit wrapper, because they truncate episodes themselves. Calling it twice does no harm.
    """
    import gymnasium

    single = {
        _NAVIGATION: "goodpath.envs.gymnasium_env:NavigationGymEnv",
        _VELOCITY: "goodpath.envs.gymnasium_env:VelocityGymEnv",
        _MARBLE: "goodpath.envs.marble_maze_gym:MarbleMazeGymEnv",
    }
    for name, entry in ENVIRONMENTS.items():
        identifier = f"goodpath/{name}"
        if entry.factory in single and identifier not in gymnasium.registry:
            gymnasium.register(identifier, single[entry.factory], kwargs={"name": name})
