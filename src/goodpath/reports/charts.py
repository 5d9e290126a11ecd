"""The charts of a report, on given axes: the cost-return cloud, the episodes, the learning curves."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from goodpath.reports.runs import Data, Doubles, Run
from goodpath.reports.theme import DATA, INK, MUTED, PAPER, SAFE, Style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Quantity = Literal["returns", "costs"]

CLOUD_POINTS = 3000
ROW, BLOCK_GAP = 15.0, 16.0

Box = tuple[float, float, float, float]


def draw_cloud(axes: "Axes", runs: Sequence[Run], looks: dict[str, Style]) -> None:
    """Every trajectory of the data, and each run: its mean, the spread of its seeds, and the seeds."""
    limit, data = runs[0].limit, next((run.data for run in runs if run.data), None)
    costs = [np.array(run.summary["cost"]["seeds"]) for run in runs]
    returns = [np.array(run.summary["return"]["seeds"]) for run in runs]
    all_costs = np.concatenate([*map(_reach, costs), [] if data is None else data.costs])
    all_returns = np.concatenate([*map(_reach, returns), [] if data is None else data.returns])
    low, high = float(all_returns.min()), float(all_returns.max())
    margin = 0.08 * ((high - low) or 1.0)
    right = max(float(all_costs.max()) * 1.04, limit * 1.6, 1.0)
    axes.set_xlim(-0.012 * right, right)
    axes.set_ylim(low - margin, high + margin)
    _title(axes, "Return of an episode")
    axes.set_xlabel("Cost of an episode", loc="right")
    _limit(axes, limit, "x")
    if data is not None:
        _data_points(axes, data)
    for run, cost, gain in zip(runs, costs, returns, strict=True):
        look = looks[run.label]
        axes.errorbar(
            cost.mean(),
            gain.mean(),
            xerr=run.summary["cost"]["std"],
            yerr=run.summary["return"]["std"],
            fmt=look.marker,
            color=look.colour,
            markersize=10,
            markeredgecolor=PAPER,
            markeredgewidth=1.2,
            elinewidth=1.4,
            zorder=6,
        )
        if len(cost) > 1:
            axes.plot(cost, gain, look.marker, color=look.colour, ms=4, mec=PAPER, mew=0.6, zorder=5)
    centres = [(float(c.mean()), float(g.mean())) for c, g in zip(costs, returns, strict=True)]
    _name_points(axes, centres, runs, looks)


def draw_episodes(axes: "Axes", runs: Sequence[Run], looks: dict[str, Style]) -> None:
    """Every evaluation episode's cost: a row of dots a seed, a block of rows a run."""
    limit = runs[0].limit
    largest = max(float(costs.max()) for run in runs for costs in run.episode_costs)
    right = max(largest * 1.04, limit * 1.6, 1.0)
    axes.set_xlim(-0.012 * right, right)
    y = 0.0
    for run in runs:
        look, top = looks[run.label], y
        for costs in run.episode_costs:
            axes.plot(costs, np.full(len(costs), y), "o", color=look.colour, ms=6, mew=0, alpha=0.45)
            y += ROW
        bottom = y - ROW
        for value, dashes in (
            (run.summary["cost"]["mean"], "-"),
            (run.summary["cost"]["cvar"], (0, (2, 1.5))),
        ):
            axes.plot(
                [value, value], [top - 8, bottom + 8], color=INK, lw=1.7, ls=dashes, solid_capstyle="butt"
            )
        place: dict[str, Any] = {"transform": axes.get_yaxis_transform(), "ha": "right", "va": "center"}
        axes.text(-0.02, (top + bottom) / 2, run.label, color=look.colour, weight="bold", **place)
        y += BLOCK_GAP
    axes.set_ylim(y - BLOCK_GAP, -ROW)
    axes.spines["left"].set_visible(False)
    axes.set_yticks([])
    axes.set_xlabel("Cost of an episode", loc="right")
    _limit(axes, limit, "x")


@dataclass(frozen=True)
class Line:
    """A learning curve.

    Attributes:
        label: written at its end.
        look: its colour and marker.
        steps: (points,).
        middle: (points,).
        low: (points,) lower edge of the band around it.
        high: (points,) upper edge.
    """

    label: str
    look: Style
    steps: Doubles
    middle: Doubles
    low: Doubles
    high: Doubles


def draw_curve(axes: "Axes", runs: Sequence[Run], looks: dict[str, Style], quantity: Quantity) -> None:
    """Mean over seeds of the evaluations against steps of training, with the range of the seeds as a band."""
    lines = []
    for run in runs:
        if run.curves is not None:
            values = run.curves.returns if quantity == "returns" else run.curves.costs
            shape = values.mean(axis=1), values.min(axis=1), values.max(axis=1)
            lines.append(Line(run.label, looks[run.label], run.curves.steps, *shape))
    draw_lines(axes, lines, quantity, runs[0].limit)


def draw_lines(axes: "Axes", lines: Sequence[Line], quantity: Quantity, limit: float) -> None:
    """Learning curves of returns, or of costs with their limit, each named at its end."""
    from matplotlib.ticker import MaxNLocator

    ends: list[tuple[float, str, str]] = []
    last = max(float(line.steps[-1]) for line in lines)
    for line in lines:
        colour, marker = line.look.colour, line.look.marker
        axes.fill_between(line.steps, line.low, line.high, color=colour, alpha=0.16, lw=0)
        axes.plot(
            line.steps, line.middle, color=colour, lw=1.8, marker=marker if len(line.steps) == 1 else None
        )
        ends.append((float(line.middle[-1]), line.label, colour))
    axes.set_xlim(0, last * 1.02 or 1.0)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.xaxis.set_major_formatter(lambda step, _: f"{step:,.0f}")
    axes.set_xlabel("Steps of training", loc="right")
    if quantity == "costs":
        axes.set_ylim(0, max(axes.get_ylim()[1], limit * 1.4) or 1.0)
        _limit(axes, limit, "y")
        ends.append((limit, f"limit {limit:g}", SAFE))
    _title(axes, "Mean return" if quantity == "returns" else "Mean cost")
    _name_ends(axes, ends)


def _reach(means: Doubles) -> Doubles:
    """The seeds' means and the ends of the bar drawn for them."""
    bar = means.std(ddof=1) if len(means) > 1 else 0.0
    return np.array([*means, means.mean() - bar, means.mean() + bar])


def _title(axes: "Axes", text: str) -> None:
    """What the vertical axis measures, upright above it, where it is read first."""
    axes.annotate(text, (0, 1), (-44, 26), "axes fraction", "offset points", color=MUTED)


def _limit(axes: "Axes", limit: float, direction: Literal["x", "y"]) -> None:
    """The limit as a line, and a shade over all that keeps it; along x the line says its number."""
    if direction == "x":
        axes.axvspan(axes.get_xlim()[0], limit, color=SAFE, alpha=0.1, lw=0, zorder=0)
        axes.axvline(limit, color=SAFE, lw=1.4, zorder=3)
        place = axes.get_xaxis_transform()
        axes.text(
            limit, 1.02, f"cost limit {limit:g}", color=SAFE, weight="bold", transform=place, va="bottom"
        )
    else:
        axes.axhspan(0, limit, color=SAFE, alpha=0.1, lw=0, zorder=0)
        axes.axhline(limit, color=SAFE, lw=1.4, zorder=3)


def _data_points(axes: "Axes", data: Data) -> None:
    """The trajectories of the data; of very many, a fixed random choice."""
    chosen = np.arange(len(data.costs))
    if len(chosen) > CLOUD_POINTS:
        chosen = np.sort(np.random.default_rng(0).choice(chosen, CLOUD_POINTS, replace=False))
    axes.plot(data.costs[chosen], data.returns[chosen], "o", color=DATA, ms=4.2, mew=0, alpha=0.42, zorder=1)


def _name_points(
    axes: "Axes", points: Sequence[tuple[float, float]], runs: Sequence[Run], looks: dict[str, Style]
) -> None:
    """Names each run beside its point: of the places around it, the one that hides the fewest other marks."""
    at = axes.transData.transform(points)
    frame = axes.get_window_extent()
    taken = []
    for run, (x, y), point in zip(runs, at, points, strict=True):
        spreads = [run.summary[key]["std"] or 0.0 for key in ("cost", "return")]
        across, up = axes.transData.transform(np.add(point, spreads)) - (x, y)
        taken += [(x - across - 8, y - 8, x + across + 8, y + 8), (x - 3, y - up, x + 3, y + up)]
    for run, (x, y) in zip(runs, at, strict=True):
        width, height = 7.4 * len(run.label) + 4, 14.0
        corners = [
            (12, -5),
            (-12 - width, -5),
            (10, 7),
            (10, -19),
            (-10 - width, 7),
            (-10 - width, -19),
            (-width / 2, 14),
        ]
        boxes = [(x + dx, y + dy, x + dx + width, y + dy + height) for dx, dy in corners]
        outside = [
            not (b[0] > frame.x0 and b[1] > frame.y0 and b[2] < frame.x1 and b[3] < frame.y1) for b in boxes
        ]
        best = min(
            range(len(boxes)), key=lambda i: 3 * outside[i] + sum(_overlap(boxes[i], t) for t in taken)
        )
        taken.append(boxes[best])
        axes.annotate(
            run.label,
            (x, y),
            corners[best],
            "figure points",
            "offset points",
            color=looks[run.label].colour,
            weight="bold",
            size=12.5,
            zorder=8,
        )


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _name_ends(axes: "Axes", ends: Sequence[tuple[float, str, str]]) -> None:
    """Writes (value, text, colour) at the right end of the axes, moved apart where values are close."""
    height = float(axes.get_window_extent().height)
    low, high = axes.get_ylim()
    ends = sorted(ends)
    places: list[float] = []
    for value, _, _ in ends:
        wanted = (value - low) / (high - low) * height
        places.append(max(wanted, places[-1] + 14) if places else wanted)
    excess = max(places[-1] - height, 0.0)
    for (_, text, colour), place in zip(ends, places, strict=True):
        at = (1, (place - excess) / height)
        axes.annotate(
            text, at, (6, 0), "axes fraction", "offset points", color=colour, weight="bold", va="center"
        )
