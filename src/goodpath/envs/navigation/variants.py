"""Tasks of particular papers, under names of their own, written as changes to the common ones.

*SIM* (arXiv 2312.10385) ran on a changed copy of two Car tasks: `SimCarButton1-v0` has five hazards and no
gremlins, `SimCarPush1-v0` has no pillar. Its other tasks are the common ones.

*SaGui* (arXiv 2307.14316) has three arenas, Semi-Dynamic for the Car and the others for the Point, each without a
goal for the guide and with one for the student. They were built on OpenAI's Safety Gym; here they stand on the same
robots and physics as all other tasks. What is read from the authors' settings: places, sizes, counts and keepouts.
What is inferred:

* a student sees what its guide sees, and then the goal; so the guide's observation is the first part of the
  student's (the originals sort sensors and lidars by name, which is a permutation of the same numbers);
* in the Static arena an episode of the student ends at the goal, because the only place for the next goal is
  the one where the agent stands;
* the agent's keepout is 0 for guides and 0.4 m for students.
"""

from dataclasses import replace

from goodpath.envs.navigation.objects import GOAL, HAZARD, VASE, hazard, vase
from goodpath.envs.navigation.robots import CAR, POINT, Robot
from goodpath.envs.navigation.tasks import TASKS, Cost, Group, Task

_INSIDE = Cost("hazards", "inside", "hazards")
_BREAKING = (Cost("vases_contact", "contact", "vases"), Cost("vases_velocity", "moving", "vases"))


def _without(task: Task, name: str, group: str) -> Task:
    """The task under another name, without a group, its lidar and its cost."""
    return replace(
        task,
        name=name,
        groups=tuple(g for g in task.groups if g.name != group),
        costs=tuple(c for c in task.costs if c.group != group),
        lidars=tuple(lidar for lidar in task.lidars if lidar != group),
    )


def _sim_button() -> Task:
    task = _without(TASKS["SafetyCarButton1-v0"], "SimCarButton1-v0", "gremlins")
    groups = tuple(replace(g, count=5) if g.name == "hazards" else g for g in task.groups)
    return replace(task, groups=groups)


def _sagui(
    arena: str,
    robot: Robot,
    extent: float,
    groups: tuple[Group, ...],
    costs: tuple[Cost, ...],
    goal: Group,
) -> tuple[Task, Task]:
    """The guide's and the student's task in one arena."""
    lidars = tuple(group.name for group in groups)
    guide = Task(
        name=f"Sagui{arena}Guide-v0",
        robot=robot,
        extent=extent,
        agent_keepout=0.0,
        groups=groups,
        reward="none",
        costs=costs,
        lidars=lidars,
    )
    student = replace(
        guide,
        name=f"Sagui{arena}Student-v0",
        agent_keepout=0.4,
        groups=(goal, *groups),
        reward="goal",
        lidars=(*lidars, "goal"),
    )
    return guide, student


_ANYWHERE = Group("goal", GOAL, 0.305)

VARIANTS: dict[str, Task] = {
    task.name: task
    for task in (
        _sim_button(),
        _without(TASKS["SafetyCarPush1-v0"], "SimCarPush1-v0", "pillars"),
        *_sagui(
            "Static",
            POINT,
            1.5,
            (Group("hazards", hazard(0.7), 0.705, fixed=((0.0, 0.0),)),),
            (_INSIDE,),
            replace(_ANYWHERE, fixed=((1.1, 1.1),)),
        ),
        *_sagui(
            "SemiDynamic",
            CAR,
            2.0,
            (
                Group("hazards", HAZARD, 0.18, fixed=((1.0, 1.0), (1.0, -1.0), (-0.2, 0.2), (-1.4, -1.4))),
                Group("vases", vase(0.2), 0.18, fixed=((-1.0, -1.0), (-1.0, 1.0), (0.2, -0.2), (1.4, 1.4))),
            ),
            (_INSIDE, *_BREAKING),
            _ANYWHERE,
        ),
        *_sagui(
            "Dynamic",
            POINT,
            1.5,
            (Group("hazards", HAZARD, 0.18, 8), Group("vases", VASE, 0.15, 1)),
            (_INSIDE,),
            _ANYWHERE,
        ),
    )
}

EVERY_TASK: dict[str, Task] = TASKS | VARIANTS
