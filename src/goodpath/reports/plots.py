"""The figures of a report. Each function gives one inline SVG; `picture` saves a PNG for a README.

What all of them share: the region that keeps the limit is shaded, the limit is a line that says its number,
methods are named beside their marks in their colour, and cost that was paid is vermilion.
"""

from collections.abc import Sequence
from pathlib import Path

from goodpath.errors import GoodpathError
from goodpath.reports.arenas import draw_arena, panels, words
from goodpath.reports.charts import Line, Quantity, draw_cloud, draw_curve, draw_episodes, draw_lines
from goodpath.reports.runs import Run, load
from goodpath.reports.theme import Style, axes_at, drawing, png, styles, svg


def cloud(runs: Sequence[Run], looks: dict[str, Style]) -> str:
    """Return against cost: every trajectory of the data, and where each method's episodes lie on average.

    Args:
        runs: of one task and limit.
        looks: a style for each run's label.
    """
    with drawing(912, 420, "cloud") as figure:
        draw_cloud(axes_at(figure, 44, 42, 850, 332), runs, looks)
        return svg(figure, f"Return against cost of {_names(runs)}; cost limit {runs[0].limit:g}.")


def episodes(runs: Sequence[Run], looks: dict[str, Style]) -> str:
    """The cost of every evaluation episode, a row of dots a seed, with each method's mean and CVaR."""
    lines = [len(run.seeds) for run in runs]
    height = sum(lines) * 15 + len(runs) * 16 + 74
    left = _room([run.label for run in runs])
    with drawing(912, height, "episodes") as figure:
        draw_episodes(axes_at(figure, left, 42, 894 - left, height - 74), runs, looks)
        return svg(figure, f"Cost of every evaluation episode of {_names(runs)}; limit {runs[0].limit:g}.")


def curve(runs: Sequence[Run], looks: dict[str, Style], quantity: Quantity) -> str:
    """Mean over seeds of the evaluated return or cost against steps of training, and the range of the seeds.

    Args:
        runs: of one task and limit, each with curves.
        looks: a style for each run's label.
        quantity: which one to draw.
    """
    with drawing(444, 300, f"curve {quantity}") as figure:
        width = 396 - _room([run.label for run in runs])
        draw_curve(axes_at(figure, 44, 42, width, 218), runs, looks, quantity)
        return svg(figure, f"Evaluated {quantity} during training of {_names(runs)}.")


def lines(lines: Sequence[Line], quantity: Quantity, limit: float, description: str) -> str:
    """Learning curves of several methods in one wide figure.

    Args:
        lines: at least one.
        quantity: what they show.
        limit: on the cost.
        description: said aloud by screen readers in place of the figure.
    """
    with drawing(912, 340, f"lines {description}") as figure:
        width = 864 - _room([line.label for line in lines])
        draw_lines(axes_at(figure, 44, 42, width, 258), lines, quantity, limit)
        return svg(figure, description)


def arenas(run: Run, look: Style) -> list[str]:
    """The first recorded episodes of a run from above, one figure for each arena."""
    figures = []
    for i, panel in enumerate(panels(run)):
        with drawing(288, 314, f"arena {run.label} {i}") as figure:
            draw_arena(axes_at(figure, 1, 1, 286, 286), panel, run.label, look)
            figures.append(svg(figure, f"Paths of {run.label} from above: {words(panel)}."))
    return figures


def picture(runs: Sequence[Path], path: Path) -> None:
    """Saves one wide PNG for a README: cost and return at the left, the paths of up to three methods beside.

    Args:
        runs: run folders, or a folder that holds them; all of one environment and limit.
        path: file to write.

    Raises:
        GoodpathError: the runs are of several environments or limits, or cannot be read.
    """
    loaded = load(runs)
    tasks = sorted({f"{run.environment} at limit {run.limit:g}" for run in loaded})
    if len(tasks) > 1:
        raise GoodpathError(
            f"a picture shows one task, and these runs are of {', '.join(tasks)}; give one's."
        )
    looks = styles(loaded)
    drawn = [run for run in loaded if run.paths][:3]
    with drawing(600 + 300 * len(drawn), 380) as figure:
        draw_cloud(axes_at(figure, 56, 46, 512, 290), loaded, looks)
        for i, run in enumerate(drawn):
            axes = axes_at(figure, 590 + 300 * i, 46, 280, 280)
            draw_arena(axes, panels(run)[0], run.label, looks[run.label])
        png(figure, path)


def _room(labels: Sequence[str]) -> float:
    """Points that the longest name takes at the side of a figure."""
    return 24 + 7.2 * max([8, *map(len, labels)])


def _names(runs: Sequence[Run]) -> str:
    return ", ".join(run.label for run in runs)
