"""Environments: one batched contract (`vector`), and everything that keeps it, by name."""

import re
from importlib import import_module
from typing import Literal, NamedTuple

from goodpath.envs.vector import BatchedEnv
from goodpath.errors import GoodpathError, nearest

__all__ = ["ENVIRONMENTS", "Entry", "canonical", "describe", "make", "names", "register"]


class Entry(NamedTuple):
    """One environment.

    Attributes:
        factory: `module:attribute` of a function `(name, num_envs, threads) -> BatchedEnv`.
        summary: one line that says what it is.
    """

    factory: str
    summary: str


_NAVIGATION = "goodpath.envs.navigation.engine:make"

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

ENVIRONMENTS: dict[str, Entry] = {
    f"Safety{robot}{task}-v0": Entry(_NAVIGATION, summary)
    for task, summary in _TASKS.items()
    for robot in ("Point", "Car", "Ant", "Doggo")[: _ROBOTS[task[:-1]]]
} | {name: Entry(_NAVIGATION, summary) for name, summary in _VARIANTS.items()}


def names() -> list[str]:
    """The names that `make` knows, in order."""
    return list(ENVIRONMENTS)


def canonical(name: str) -> str:
    """The name without the decorations that data sets give it.

    `OfflinePointCircle1Gymnasium-v0` and `SafetyPointCircle1Gymnasium-v0` are both `SafetyPointCircle1-v0`.

    Raises:
        GoodpathError: no environment has that name.
    """
    match = re.fullmatch(r"(?:Offline|Safety)(\w+?)(?:Gymnasium)?-v(\d+)", name)
    plain = f"Safety{match[1]}-v{match[2]}" if match else name
    for candidate in (name, plain):
        if candidate in ENVIRONMENTS:
            return candidate
    raise GoodpathError(
        f"there is no environment '{name}'.{nearest(plain, names())} `goodpath envs` lists all of them."
    )


def describe(name: str) -> str:
    """One line that says what the environment is.

    Raises:
        GoodpathError: no environment has that name.
    """
    return ENVIRONMENTS[canonical(name)].summary


def make(
    name: str,
    num_envs: int = 1,
    threads: int | None = None,
    physics: Literal["exact", "fast"] | None = None,
    seeding: Literal["fast", "original"] | None = None,
) -> BatchedEnv:
    """Makes `num_envs` copies of an environment.

    Args:
        name: one of `names()`, or the id that DSRL data sets give the same task.
        num_envs: number of copies, stepped together.
        threads: threads to step them with, where the environment uses threads; chosen for you when left out.
        physics: of navigation tasks: `exact`, the default, follows safety-gymnasium 1.0.0 to rounding; `fast`
            lets resting objects sleep, which moves them by up to 2e-5 m.
        seeding: of navigation tasks: `fast`, the default, or `original`, which draws what safety-gymnasium
            1.0.0 draws from the same seed.

    Raises:
        GoodpathError: no environment has that name, or it has no such choice.
    """
    name = canonical(name)
    factory = ENVIRONMENTS[name].factory
    module, attribute = factory.split(":")
    chosen = {"physics": physics, "seeding": seeding}
    options = {option: value for option, value in chosen.items() if value is not None}
    if options and factory != _NAVIGATION:
        option = next(iter(options))
        raise GoodpathError(f"only navigation tasks have a choice of {option}; leave it out for '{name}'.")
    env: BatchedEnv = getattr(import_module(module), attribute)(name, num_envs, threads, **options)
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
