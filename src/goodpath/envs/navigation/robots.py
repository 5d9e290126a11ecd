"""The agents: what MuJoCo needs to know of each body, and nothing that depends on the task."""

from dataclasses import dataclass
from math import inf, pi


@dataclass(frozen=True)
class Robot:
    """One kind of agent, as pieces of MJCF.

    Attributes:
        name: as it appears in the names of tasks.
        action_size: number of actuators; all take controls in [-1, 1].
        timestep: seconds of one MuJoCo step; an environment step is ten of them.
        spawn_height: z of the body `agent` at the start of an episode, in metres.
        front: which way it drives when it goes ahead, in radians from the x axis of its body.
        defaults: the `<default>` element; it reaches the objects' geoms too.
        body: what is inside `<body name="agent">`, with a site `agent` that carries the sensors.
        rest: elements beside `<worldbody>`, such as `<actuator>` and `<contact>`.
        sensors: the elements of `<sensor>`, in the order of the observation.
        unseen: which numbers of the sensors no observation holds.
        angles: how many of the last numbers are angles of joints, observed as sine and cosine.
        floor: further attributes of the floor's geom.
        options: further attributes of `<option>`.
        stance: angles in radians at which its joints start, give or take `noise`; empty where they start at
            zero, without noise.
        noise: largest random deviation of each joint from `stance`, in radians.
        lowest: z in metres of its body at which it is dead.
    """

    name: str
    action_size: int
    timestep: float
    spawn_height: float
    front: float
    defaults: str
    body: str
    rest: str
    sensors: str
    unseen: tuple[int, ...] = ()
    angles: int = 0
    floor: str = ""
    options: str = ""
    stance: tuple[float, ...] = ()
    noise: float = 0.0
    lowest: float = -inf


# The first twelve numbers of every agent's observation.
INERTIAL = """
<accelerometer site="agent"/> <velocimeter site="agent"/> <gyro site="agent"/> <magnetometer site="agent"/>
"""

# The sphere touches the floor at distance zero and never gets a force from it, so the pair is excluded:
# the numbers stay the same and a fifth of the time is saved.
POINT = Robot(
    name="Point",
    action_size=2,
    timestep=0.002,
    spawn_height=0.1,
    front=0.0,
    defaults='<default> <geom condim="6" density="1"/> <joint damping="0.001"/> </default>',
    body="""
<joint name="x" type="slide" axis="1 0 0" damping="0.01"/>
<joint name="y" type="slide" axis="0 1 0" damping="0.01"/>
<joint name="z" type="hinge" axis="0 0 1" damping="0.005"/>
<geom name="agent" type="sphere" size="0.1" friction="1 0.01 0.01"/>
<geom name="pointarrow" type="box" pos="0.1 0 0" size="0.05 0.05 0.05"/>
<site name="agent"/>
""",
    rest="""
<actuator>
  <motor site="agent" gear="0.3 0 0 0 0 0" ctrllimited="true" ctrlrange="-1 1"
         forcelimited="true" forcerange="-0.05 0.05"/>
  <velocity jointinparent="z" gear="0.3" kv="1" ctrllimited="true" ctrlrange="-1 1"
            forcelimited="true" forcerange="-0.05 0.05"/>
</actuator>
<contact> <exclude body1="world" body2="agent"/> </contact>
""",
    sensors=INERTIAL,
)

CAR = Robot(
    name="Car",
    action_size=2,
    timestep=0.004,
    spawn_height=0.1,
    front=-pi / 2,
    defaults='<default> <geom condim="6" density="5" size="0.05"/> <joint damping="0.001"/> </default>',
    body="""
<freejoint name="agent"/>
<geom name="agent" type="box" size="0.1 0.1 0.05"/>
<geom name="back_bumper" type="box" pos="0 0.15 0" size="0.1 0.01 0.05"/>
<geom name="back_connector" type="box" pos="0 0.125 0" size="0.01 0.025 0.03"/>
<geom name="front_bumper" type="box" pos="0 -0.165 0" size="0.05 0.01 0.05"/>
<geom name="front_connector" type="box" pos="0 -0.13 0.04" size="0.05 0.03 0.01"/>
<site name="agent"/>
<body name="left" pos="-0.1 0.1 -0.05">
  <joint name="left" axis="1 0 0"/>
  <geom type="cylinder" size="0.05" fromto="-0.055 0 0 -0.005 0 0"/>
</body>
<body name="right" pos="0.1 0.1 -0.05">
  <joint name="right" axis="1 0 0"/>
  <geom type="cylinder" size="0.05" fromto="0.005 0 0 0.055 0 0"/>
</body>
<body name="rear" pos="0 -0.1 -0.05"> <joint name="rear" type="ball"/> <geom/> </body>
""",
    rest="""
<actuator>
  <motor jointinparent="left" ctrllimited="true" ctrlrange="-1 1"
         forcelimited="true" forcerange="-0.02 0.02"/>
  <motor jointinparent="right" ctrllimited="true" ctrlrange="-1 1"
         forcelimited="true" forcerange="-0.02 0.02"/>
</actuator>
""",
    # The last three are the ball's rotation matrix, row by row: the car's axes as the ball sees them.
    sensors=INERTIAL
    + """
<ballangvel joint="rear"/>
<framexaxis objtype="xbody" objname="agent" reftype="xbody" refname="rear"/>
<frameyaxis objtype="xbody" objname="agent" reftype="xbody" refname="rear"/>
<framezaxis objtype="xbody" objname="agent" reftype="xbody" refname="rear"/>
""",
)
