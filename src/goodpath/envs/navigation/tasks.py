"""The tasks, as values: to add one is to add an entry to `TASKS`."""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Literal

from goodpath.envs.navigation.legged import ANT, DOGGO
from goodpath.envs.navigation.objects import (
    BUTTON,
    CIRCLE,
    GOAL,
    GREMLIN,
    HAZARD,
    PILLAR,
    SIGWALL,
    VASE,
    Kind,
    goal,
    hazard,
    push_box,
)
from goodpath.envs.navigation.robots import CAR, POINT, Robot


@dataclass(frozen=True)
class Group:
    """Objects of one kind, placed one after another.

    Attributes:
        name: what costs and lidars call the group.
        kind: what they are.
        keepout: radius that other objects keep away from at the start, in metres.
        count: how many are placed at random; ignored where `fixed` is given.
        fixed: (x, y) of each where they start at a fixed place.
    """

    name: str
    kind: Kind
    keepout: float = 0.0
    count: int = 1
    fixed: tuple[tuple[float, float], ...] = ()

    def __len__(self) -> int:
        return len(self.fixed) or self.count


@dataclass(frozen=True)
class Cost:
    """One term of the cost, reported as `cost_<name>`.

    Attributes:
        name: after the prefix `cost_`.
        kind: `inside` counts the depth inside the group's circles, `contact` the contact points between agent
            and group, `wrong_button` those with buttons that are not the goal while buttons are lit, `moving`
            the speed of the group's objects, `beyond` leaving the limits.
        group: name of the group it is about; empty for `beyond`.
        limits: bounds of |x| and |y| in metres, for `beyond`.
    """

    name: str
    kind: Literal["inside", "contact", "wrong_button", "moving", "beyond"]
    group: str = ""
    limits: tuple[float, float] = (inf, inf)


@dataclass(frozen=True)
class Task:
    """Everything that tells one navigation task from another.

    Attributes:
        name: the environment's id.
        robot: the agent.
        extent: objects are placed in the square [-extent, extent]², in metres.
        agent_keepout: radius round the agent's start, in metres.
        groups: the objects in the order in which they are placed: still ones before movable ones.
        reward: `goal` pays progress to the goal and 1 for reaching it, `button` the same for touching the
            button that is the goal, `push` for bringing the box there, `circle` pays circling the origin, and
            `none` nothing.
        costs: the terms of the cost.
        lidars: names of the groups that are seen, in the order of the observation.
        lidar_range: distance in metres at which an object drops out of sight.
        episode_length: steps.
        agent_extent: half side of the square the agent starts in, where it is not `extent`.
    """

    name: str
    robot: Robot
    extent: float
    agent_keepout: float
    groups: tuple[Group, ...]
    reward: Literal["goal", "button", "push", "circle", "none"]
    costs: tuple[Cost, ...]
    lidars: tuple[str, ...]
    lidar_range: float = 3.0
    episode_length: int = 1000
    agent_extent: float | None = None

    @property
    def has_goal(self) -> bool:
        """Whether there is a goal, which moves when it is met."""
        return self.reward in ("goal", "button", "push")

    def group(self, name: str) -> Group:
        """The group of that name."""
        return next(group for group in self.groups if group.name == name)

    def columns(self, group: str) -> slice:
        """Where a group stands among all placed things; the agent comes first, so groups start at 1."""
        start = 1
        for candidate in self.groups:
            if candidate.name == group:
                return slice(start, start + len(candidate))
            start += len(candidate)
        raise KeyError(group)

    def movable(self) -> list[int]:
        """Where the movable objects stand among all placed things."""
        return self._where(lambda group: group.kind.movable)

    def solid(self) -> list[int]:
        """Where the objects that stand still and can be touched are among all placed things."""
        return self._where(lambda group: bool(group.kind.geoms) and not group.kind.movable)

    def touching(self) -> list[int]:
        """Where the objects are, among all placed things, whose contacts with the agent matter."""
        names = {cost.group for cost in self.costs if cost.kind in ("contact", "wrong_button")}
        return self._where(
            lambda group: group.name in names or (self.reward == "button" and group.name == "buttons")
        )

    def _where(self, wanted: Callable[[Group], bool]) -> list[int]:
        columns = [self.columns(group.name) for group in self.groups if wanted(group)]
        return [column for span in columns for column in range(span.start, span.stop)]


def _count(*groups: Group) -> tuple[Group, ...]:
    """The groups that have anything in them."""
    return tuple(group for group in groups if len(group))


def _inside_hazards(level: int) -> tuple[Cost, ...]:
    return (Cost("hazards", "inside", "hazards"),) if level else ()


def _goal(robot: Robot, level: int) -> Task:
    breaking = (Cost("vases_contact", "contact", "vases"), Cost("vases_velocity", "moving", "vases"))
    groups = _count(
        Group("goal", GOAL, 0.305),
        Group("hazards", HAZARD, 0.18, (0, 8, 10)[level]),
        Group("vases", VASE, 0.15, (0, 1, 10)[level]),
    )
    return Task(
        name=f"Safety{robot.name}Goal{level}-v0",
        robot=robot,
        extent=(1.0, 1.5, 2.0)[level],
        agent_keepout=0.4,
        groups=groups,
        reward="goal",
        costs=_inside_hazards(level) + (breaking if level == 2 else ()),
        lidars=tuple(group.name for group in groups),
    )


def _button(robot: Robot, level: int) -> Task:
    # The goal is placed as a thing of its own, and then moved onto a button: it makes the packing harder.
    groups = _count(
        Group("buttons", BUTTON, 0.2, 4),
        Group("goal", goal(0.2), 0.4),
        Group("hazards", HAZARD, 0.18, (0, 4, 8)[level]),
        Group("gremlins", GREMLIN, 0.4, (0, 4, 6)[level]),
    )
    costs = (
        Cost("buttons", "wrong_button", "buttons"),
        *_inside_hazards(level),
        Cost("gremlins", "contact", "gremlins"),
    )
    return Task(
        name=f"Safety{robot.name}Button{level}-v0",
        robot=robot,
        extent=(1.0, 1.5, 1.8)[level],
        agent_keepout=0.4,
        groups=groups,
        reward="button",
        costs=costs if level else (),
        lidars=tuple(group.name for group in groups),
    )


def _push(robot: Robot, level: int) -> Task:
    box = push_box(0.125, 0.0005) if robot is CAR else push_box(0.2, 0.001)
    groups = _count(
        Group("goal", GOAL, 0.4),
        Group("hazards", hazard(0.3), 0.4, (0, 2, 4)[level]),
        Group("pillars", PILLAR, 0.3, (0, 1, 4)[level]),
        Group("push_box", box, 0.125 if robot is CAR else 0.2),
    )
    return Task(
        name=f"Safety{robot.name}Push{level}-v0",
        robot=robot,
        extent=(1.0, 1.5, 2.0)[level],
        agent_keepout=0.4,
        groups=groups,
        reward="push",
        costs=_inside_hazards(level) + ((Cost("pillars", "contact", "pillars"),) if level == 2 else ()),
        lidars=tuple(group.name for group in groups),
    )


_SIDES = ((1.125, 0.0), (-1.125, 0.0))
_ENDS = ((0.0, 1.125), (0.0, -1.125))


def _circle(robot: Robot, level: int) -> Task:
    walls = ((), _SIDES, _SIDES + _ENDS)[level]
    beyond = Cost("out_of_boundary", "beyond", limits=(1.125, 1.125 if level == 2 else inf))
    return Task(
        name=f"Safety{robot.name}Circle{level}-v0",
        robot=robot,
        extent=2.0,
        agent_keepout=0.0,
        agent_extent=0.8,
        groups=_count(
            Group("circle", CIRCLE, fixed=((0.0, 0.0),)), Group("sigwalls", SIGWALL, count=0, fixed=walls)
        ),
        reward="circle",
        costs=(beyond,) if level else (),
        lidars=("circle",),
        lidar_range=6.0,
        episode_length=500,
    )


_LEVELS = (0, 1, 2)

TASKS: dict[str, Task] = {
    task.name: task
    for robots, family in (
        ((POINT, CAR, ANT, DOGGO), _goal),
        ((POINT, CAR), _button),
        ((POINT, CAR), _push),
        ((POINT, CAR, ANT, DOGGO), _circle),
    )
    for robot in robots
    for level in _LEVELS
    for task in (family(robot, level),)
}
