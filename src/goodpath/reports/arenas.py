"""Arenas from above, with the paths that a policy took through them."""

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from goodpath.envs.vector import Shape
from goodpath.reports.runs import Path2D, Run
from goodpath.reports.theme import COST, INK, MUTED, PAPER, RULE, SAFE, Style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Doubles = NDArray[np.float64]
Panel = Sequence[Path2D]

EPISODES_TOGETHER = 5
EPISODES_APART = 3  # a row of the page

# By role: the edge, the fill and its opacity, and how a caption names it. Other roles are outlined in grey.
ROLES = {
    "hazard": (COST, COST, 0.10, "hazards are tinted vermilion"),
    "goal": (SAFE, SAFE, 0.28, "the goal is green, where it first stood"),
    "track": (MUTED, "none", 0.0, "the dashed circle is the track"),
    "wall": (MUTED, MUTED, 0.45, "walls are grey bars"),
    "vase": (MUTED, MUTED, 0.18, "vases are small grey boxes"),
    "pillar": (MUTED, MUTED, 0.45, "pillars are grey discs"),
    "button": (MUTED, MUTED, 0.28, "buttons are small grey discs"),
    "gremlin": (COST, COST, 0.28, "gremlins are vermilion boxes, where they started"),
    "box": (MUTED, MUTED, 0.28, "the box to push is grey, where it started"),
}


def panels(run: Run) -> list[Panel]:
    """Which recorded episodes are drawn together: always the first ones, never chosen by how they went.

    Episodes of one and the same arena lie over each other in one panel; others get a panel each.
    """
    if all(path.scene == run.paths[0].scene for path in run.paths):
        return [run.paths[:EPISODES_TOGETHER]] if run.paths else []
    return [[path] for path in run.paths[:EPISODES_APART]]


def words(panel: Panel) -> str:
    """What the drawn episodes earned and paid on average."""
    gain = np.mean([path.episode_return for path in panel])
    cost = np.mean([path.costs.sum() for path in panel])
    return f"return {gain:.1f}, cost {cost:.1f}"


def roles(runs: Sequence[Run]) -> list[str]:
    """How a caption names what stands in the drawn arenas."""
    shapes = [shape for run in runs for panel in panels(run) for path in panel for shape in path.scene.shapes]
    return [ROLES[role][3] for role in dict.fromkeys(shape.role for shape in shapes) if role in ROLES]


def draw_arena(axes: "Axes", panel: Panel, label: str, look: Style) -> None:
    """Draws the episodes of a panel over their arena, with the method's name and their outcome above."""
    from matplotlib.collections import LineCollection

    extent = max(panel[0].scene.extent, *(float(np.abs(path.positions).max()) * 1.03 for path in panel))
    axes.set_xlim(-extent, extent)
    axes.set_ylim(-extent, extent)
    axes.set_aspect("equal")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(True)
    for shape in panel[0].scene.shapes:
        _draw_shape(axes, shape)
    for path in panel:
        free, paid = _split(path)
        axes.add_collection(LineCollection(free, colors=INK, linewidths=1.0, alpha=0.6, zorder=4))
        axes.add_collection(LineCollection(paid, colors=COST, linewidths=2.4, zorder=5))
        axes.plot(*path.positions[0], "o", color=PAPER, mec=INK, mew=1.2, ms=5.5, zorder=6)
    above: dict[str, Any] = {"transform": axes.transAxes, "va": "bottom"}
    axes.text(0, 1.025, label, color=look.colour, weight="bold", size=12, **above)
    axes.text(1, 1.025, words(panel), color=MUTED, size=10.5, ha="right", **above)


def _draw_shape(axes: "Axes", shape: Shape) -> None:
    from matplotlib.colors import to_rgba
    from matplotlib.patches import Circle, Patch, Rectangle

    edge, fill, opacity, _ = ROLES.get(shape.role, (RULE, "none", 0.0, ""))
    patch: Patch
    if isinstance(shape.size, tuple):
        (x, y), (half_x, half_y) = shape.position, shape.size
        patch = Rectangle(
            (x - half_x, y - half_y),
            2 * half_x,
            2 * half_y,
            angle=float(np.degrees(shape.angle)),
            rotation_point="center",
        )
    else:
        patch = Circle(shape.position, shape.size)
    patch.set(
        facecolor="none" if fill == "none" else to_rgba(fill, opacity),
        edgecolor=to_rgba(edge, 0.7),
        linewidth=0.9,
        linestyle=(0, (4, 3)) if shape.role == "track" else "-",
        zorder=2,
    )
    axes.add_patch(patch)


def _split(path: Path2D) -> tuple[list[Doubles], list[Doubles]]:
    """The path as unbroken pieces without cost and with it, each a (points, 2) line."""
    paid = path.costs[: len(path.positions) - 1] > 0
    cuts = [0, *(np.flatnonzero(np.diff(paid)) + 1), len(paid)]
    pieces: tuple[list[Doubles], list[Doubles]] = ([], [])
    for start, end in pairwise(cuts if len(paid) else []):
        pieces[int(paid[start])].append(path.positions[start : end + 1])
    return pieces
