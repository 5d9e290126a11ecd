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
    """

    role: str
    shape: Literal["circle", "box"]
    size: float | tuple[float, float]
    height: float
    geoms: str = ""
    movable: bool = False


GOAL = Kind("goal", "circle", 0.3, 0.16)
HAZARD = Kind("hazard", "circle", 0.2, 0.02)
# Sunk by 4e-5, so that it starts settled on the floor.
VASE = Kind(
    "vase",
    "box",
    (0.1, 0.1),
    0.1 - 4e-5,
    '<geom type="box" size="0.1 0.1 0.1" density="0.001"/>',
    movable=True,
)
CIRCLE = Kind("track", "circle", 1.5, 0.01)
SIGWALL = Kind("wall", "box", (0.05, 3.5), 0.25)
