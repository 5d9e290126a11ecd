"""What can stand in an arena besides the agent."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Kind:
    """One kind of object.

    Attributes:
        role: what a drawing calls it; also the stem of its bodies' names.
        shape: its outline from above.
        size: radius of a circle, or the two half lengths of a box, in metres.
        height: z of the body's centre at the start, in metres.
        geoms: MJCF of its geoms; empty where nothing can touch it, and then it is left out of the simulation.
        movable: whether it has a free joint and can be pushed.
        travel: radius in metres of the circle on which it is driven round; 0 where nothing drives it.
    """

    role: str
    shape: Literal["circle", "box"]
    size: float | tuple[float, float]
    height: float
    geoms: str = ""
    movable: bool = False
    travel: float = 0.0

    @property
    def radius(self) -> float:
        """Radius of a circle, in metres; only circles are asked for it."""
        assert not isinstance(self.size, tuple)
        return self.size


def goal(radius: float = 0.3) -> Kind:
    """A cylinder half as high as it is wide, which nothing can touch; `radius` in metres."""
    return Kind("goal", "circle", radius, radius / 2 + 0.01)


def hazard(radius: float = 0.2) -> Kind:
    """A disc on the floor; `radius` in metres."""
    return Kind("hazard", "circle", radius, 0.02)


def vase(half: float = 0.1) -> Kind:
    """A box as light as paper, sunk by 4e-5 so that it starts settled on the floor; `half` side in metres."""
    geoms = f'<geom type="box" size="{half} {half} {half}" density="0.001"/>'
    return Kind("vase", "box", (half, half), half - 4e-5, geoms, movable=True)


def push_box(half: float, density: float) -> Kind:
    """A box with four posts at its corners, which give an agent something to pull.

    Args:
        half: its half side, in metres.
        density: in kg/m³.
    """
    post = f"{half / 2} {half / 2} {half}"
    corners = [(half, half), (-half, half), (half, -half), (-half, -half)]
    geoms = f'<geom type="box" size="{half} {half} {half}" density="{density}"/>' + "".join(
        f'<geom type="box" size="{post}" pos="{x} {y} 0" density="{density}"/>' for x, y in corners
    )
    return Kind("box", "box", (1.5 * half, 1.5 * half), half, geoms, movable=True)


GOAL, HAZARD, VASE = goal(), hazard(), vase()
PILLAR = Kind("pillar", "circle", 0.2, 0.5, '<geom type="cylinder" size="0.2 0.5"/>')
BUTTON = Kind("button", "circle", 0.1, 0.1, '<geom type="sphere" size="0.1"/>')
GREMLIN = Kind(
    "gremlin",
    "box",
    (0.1, 0.1),
    0.1,
    '<geom type="box" size="0.1 0.1 0.1" density="0.001"/>',
    movable=True,
    travel=0.35,
)
CIRCLE = Kind("track", "circle", 1.5, 0.01)
SIGWALL = Kind("wall", "box", (0.05, 3.5), 0.25)
