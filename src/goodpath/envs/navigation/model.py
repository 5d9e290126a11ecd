"""The simulated world of a task, as a compiled model."""

from functools import cache
from math import sqrt
from typing import Any

import mujoco

from goodpath.envs.navigation.tasks import Task

SUBSTEPS = 10
# MuJoCo 2.3.3 regularised the rotation rows of a weld as if they were translations; this undoes the change.
_TORQUE_SCALE = slice(10, 11)


@cache
def build_model(task: Task) -> Any:
    """Compiles the task's model, with every object at the origin. Copy it before changing it.

    What nothing can touch (goal, hazards, track, walls) is not in it: rewards, costs and lidars need only
    their places. Its sensors are those of the robot; then, for each of `task.touching()`, one that counts the
    contact points with the agent; then the world velocity of the agent's body where the reward needs it.
    """
    robot = task.robot
    bodies = [  # movable ones first: they follow the agent in the order of joints
        (f"{group.name}{index}", group.kind)
        for movable in (True, False)
        for group in task.groups
        if group.kind.geoms and group.kind.movable is movable
        for index in range(len(group))
    ]
    driven = [name for name, kind in bodies if kind.travel]
    touching = [_name(task, column) for column in task.touching()]
    # At the usual tolerance, the solver of MuJoCo 4 stops earlier than that of 2.3.3 did.
    model = mujoco.MjModel.from_xml_string(f"""
<mujoco>
  <compiler angle="radian"/>
  <option timestep="{robot.timestep}" tolerance="1e-14" magnetic="0 -0.5 0" {robot.options}/>
  {robot.defaults}
  <worldbody>
    <geom name="floor" type="plane" size="3.5 3.5 0.1" {robot.floor}/>
    <body name="agent" pos="0 0 {robot.spawn_height}">{robot.body}</body>
    {"".join(_body(name, kind.height, kind.geoms, kind.movable) for name, kind in bodies)}
    {"".join(f'<body name="{name}mocap" mocap="true"/>' for name in driven)}
  </worldbody>
  <equality>
    {"".join(f'<weld body1="{name}mocap" body2="{name}" solref="0.02 1.5"/>' for name in driven)}
  </equality>
  {robot.rest}
  <sensor>
    {robot.sensors}
    {"".join(f'<contact subtree1="agent" body2="{name}" data="found"/>' for name in touching)}
    {'<framelinvel objtype="xbody" objname="agent"/>' if task.reward == "circle" else ""}
  </sensor>
</mujoco>""")
    for number, name in enumerate(driven):
        translation, rotation = model.body_invweight0[model.body(name).id]
        model.eq_data[number, _TORQUE_SCALE] = sqrt(rotation / translation)
    return model


def _body(name: str, height: float, geoms: str, movable: bool) -> str:
    joint = "<freejoint/>" if movable else ""
    return f'<body name="{name}" pos="0 0 {height}">{joint}{geoms}</body>'


def _name(task: Task, column: int) -> str:
    """Name of the body of the thing that stands in that column."""
    group = next(
        group for group in task.groups if column in range(*task.columns(group.name).indices(column + 1))
    )
    return f"{group.name}{column - task.columns(group.name).start}"


def observed_sensors(task: Task) -> int:
    """How many numbers of the sensors belong to the robot; the rest is for costs and rewards."""
    extra = len(task.touching()) + 3 * (task.reward == "circle")
    return int(build_model(task).nsensordata) - extra
