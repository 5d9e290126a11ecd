"""The agents on four legs."""

from math import pi

from goodpath.envs.navigation.robots import INERTIAL, Robot

# For each leg of the Ant: the signs of x and y, the axis of its ankle, and the ankle's range.
_ANT_LEGS = (
    (1, 1, "-1 1 0", "0.52 1.74"),
    (-1, 1, "1 1 0", "-1.74 -0.52"),
    (-1, -1, "-1 1 0", "-1.74 -0.52"),
    (1, -1, "1 1 0", "0.52 1.74"),
)
_ANT_JOINTS = [f"{joint}_{leg}" for leg in (1, 2, 3, 4) for joint in ("hip", "ankle")]


def _ant_leg(number: int, x: int, y: int, axis: str, span: str) -> str:
    upper = f"{0.05 * x} {0.05 * y} 0"
    return f"""
<body>
  <geom fromto="0 0 0 {upper}"/>
  <body pos="{upper}">
    <joint name="hip_{number}" axis="0 0 1" range="-0.7 0.7"/>
    <geom fromto="0 0 0 {upper}"/>
    <body pos="{upper}">
      <joint name="ankle_{number}" axis="{axis}" range="{span}"/>
      <geom fromto="0 0 0 {0.1 * x} {0.1 * y} 0"/>
    </body>
  </body>
</body>"""


ANT = Robot(
    name="Ant",
    action_size=8,
    timestep=0.01,
    spawn_height=0.18,
    front=0.0,
    defaults="""
<default>
  <geom condim="6" density="5"/>
  <joint armature="1" damping="1" limited="true"/>
  <motor gear="150" ctrllimited="true" ctrlrange="-1 1"/>
  <default class="leg"> <geom type="capsule" size="0.02"/> </default>
</default>""",
    body="""
<joint name="root" type="free" armature="0" damping="0" limited="false" margin="0.01"/>
<geom type="sphere" size="0.0625"/>
<site name="agent" pos="0 0 -0.02"/>
<frame childclass="leg">"""
    + "".join(_ant_leg(number, *leg) for number, leg in enumerate(_ANT_LEGS, start=1))
    + "</frame>",
    rest="<actuator>" + "".join(f'<motor joint="{name}"/>' for name in _ANT_JOINTS) + "</actuator>",
    # Of the torso's place, only its height is observed.
    sensors=INERTIAL
    + "".join(f'<jointvel joint="{name}"/>' for name in _ANT_JOINTS)
    + '<framepos objtype="site" objname="agent"/> <frameangvel objtype="site" objname="agent"/>'
    + "".join(f'<jointpos joint="{name}"/>' for name in _ANT_JOINTS),
    unseen=(20, 21),
    angles=8,
    floor='conaffinity="3"',
    options='integrator="RK4"',
    stance=(0.0, pi / 2, 0.0, -pi / 2, 0.0, -pi / 2, 0.0, pi / 2),
    noise=0.1,
    lowest=0.08,
)

_DOGGO_JOINTS = (
    [f"hip_{leg}_z" for leg in (1, 2, 3, 4)]
    + [f"hip_{leg}_y" for leg in (1, 2, 3, 4)]
    + [f"ankle_{leg}" for leg in (1, 2, 3, 4)]
)


def _doggo_leg(number: int, x: int, y: int) -> str:
    span, rest = ("-1.308998 0.2618", -0.174533) if x > 0 else ("0 2.356196", 0.0)
    hip, knee = f"{0.1 * x} {0.05 * y} 0", f"0.049 {0.0283 * y} -0.025"
    return f"""
<body childclass="leg">
 <geom fromto="{0.05 * x} 0 0 {hip}"/>
 <body pos="{hip}">
  <joint name="hip_{number}_z" axis="0 0 {y}" range="-0.174533 0.523599"/>
  <joint name="hip_{number}_y" axis="0 1 0" range="{span}" springref="{rest}"/>
  <geom fromto="0 0 0 {knee}"/>
  <body pos="{knee}">
    <joint name="ankle_{number}" axis="{-0.5 * y} 0.866 0" range="-1.308998 0" springref="-0.349066"/>
    <geom fromto="0 0 0 -0.0588 {-0.0339 * y} -0.05"/>
    <site name="touch_{number}a" size="0.018"/>
    <site name="touch_{number}b" size="0.018" pos="-0.0588 {-0.0339 * y} -0.05"/>
  </body>
 </body>
</body>"""


def _trunk(x: int) -> str:
    return f'<geom type="cylinder" size="0.0375" fromto="0 0 0 {0.1 * x} 0 0" density="2"/>'


DOGGO = Robot(
    name="Doggo",
    action_size=12,
    timestep=0.01,
    spawn_height=0.22,
    front=0.0,
    defaults="""
<default>
  <geom condim="6" density="5" size="0.016" type="capsule"/>
  <joint limited="true" stiffness="0.0001" armature="0.00005"/>
  <motor gear="0.00625" ctrllimited="true" ctrlrange="-1 1"/>
  <default class="leg"> <geom density="20"/> </default>
</default>""",
    body=f"""
<freejoint name="root"/>
{_trunk(1)}
<site name="agent"/>
{_doggo_leg(1, 1, 1)}
{_doggo_leg(4, 1, -1)}
<body name="rear">
  <joint name="waist_x" axis="1 0 0" range="-0.523599 0.523599"/>
  {_trunk(-1)}
  {_doggo_leg(2, -1, 1)}
  {_doggo_leg(3, -1, -1)}
</body>""",
    rest="<actuator>" + "".join(f'<motor joint="{name}"/>' for name in _DOGGO_JOINTS) + "</actuator>",
    sensors=INERTIAL
    + "".join(f'<touch site="touch_{leg}{end}"/>' for end in "ab" for leg in (1, 2, 3, 4))
    + "".join(f'<jointvel joint="{name}"/>' for name in _DOGGO_JOINTS)
    + "".join(f'<jointpos joint="{name}"/>' for name in _DOGGO_JOINTS),
    angles=12,
)
