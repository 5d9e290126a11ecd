"""The HTML page of a grid: its table and its learning curves, in one file."""

from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goodpath.reports import plots, tables
from goodpath.reports.charts import Line, Quantity
from goodpath.reports.html import document
from goodpath.reports.theme import looks
from goodpath.reproduce.grid import Plan
from goodpath.reproduce.table import HEADS, curves, explanations, words


def render(plan: Plan, table: dict[str, Any]) -> str:
    """The whole page, a section for each task and reported limit."""
    sections = "\n".join(_section(plan, section) for section in table["sections"])
    notes = "".join(f"<li>{escape(line)}</li>" for line in table["deviations"])
    legend = "".join(f'<p class="note">{_inline(line)}</p>' for line in explanations(table) if line)
    versions = ", ".join(f"{name} {version}" for name, version in table["versions"].items())
    main = f"""<header>
<p class="eyebrow">Reproduction</p>
<h1>{escape(plan.study.title)}</h1>
</header>
{legend}
<h2>What differs from the paper</h2>
<ul>{notes}</ul>
{sections}
<h2>How it was made</h2>
<pre><code>{escape(table["command"])}</code></pre>
<p class="note">{escape(versions)}</p>"""
    return document(f"{plan.study.title} \N{MIDDLE DOT} goodpath", main, table["goodpath"])


def _section(plan: Plan, section: dict[str, Any]) -> str:
    limit = section["report_limit"]
    rows = [[_inline(cell) for cell in words(row)] for row in section["rows"]]
    body = tables.table([(head, "") for head in HEADS], rows, "results")
    return f"""<section>
<h2>{escape(section["task"])}, held against a cost of {limit:g}</h2>
{body}
{_figure(plan, section)}
</section>"""


def _inline(text: str) -> str:
    """Escaped, with the one piece of Markdown that the cells have."""
    first, *rest = escape(text.removeprefix("- ")).split("**", 2)
    return f"{first}<strong>{rest[0]}</strong>{rest[1]}" if len(rest) == 2 else first


def _figure(plan: Plan, section: dict[str, Any]) -> str:
    logged = {row["name"]: curves(plan.out / row["folder"]) for row in section["rows"]}
    shown = {row["name"]: row["label"] for row in section["rows"] if logged[row["name"]][0]}
    if not shown:
        return ""
    styles = looks({row["name"]: row["method"] for row in section["rows"]})
    drawings = []
    quantities: tuple[tuple[str, Quantity], ...] = (("return", "returns"), ("cost", "costs"))
    for measure, quantity in quantities:
        lines = []
        for name, label in shown.items():
            steps, values = logged[name]
            mean, error = smoothed(values[measure], plan.study.weight)
            lines.append(
                Line(label, styles[name], np.array(steps, np.float64), mean, mean - error, mean + error)
            )
        about = f"{quantity} of training episodes in {section['task']}"
        drawings.append(plots.lines(lines, quantity, section["report_limit"], about))
    panels = "\n".join(f'<div class="panel">{drawing}</div>' for drawing in drawings)
    weight = plan.study.weight
    return f"""<figure>
<div class="panels">
{panels}
</div>
<figcaption>Training episodes of ours, smoothed for each seed as in the paper, y = {weight:g} y + {1 - weight:g} x at
each update; lines are means over seeds, bands their standard errors. The line across is the limit that results are
held against.</figcaption>
</figure>"""


def smoothed(values: NDArray[np.float64], weight: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Moving averages of each seed, their mean over seeds and its standard error; zero error for one seed.

    Args:
        values: (points, seeds).
        weight: of the old average at each point; the first average is the first value.

    Returns:
        (points,) each.
    """
    averages = values.copy()
    for i in range(1, len(averages)):
        averages[i] = weight * averages[i - 1] + (1 - weight) * values[i]
    seeds = values.shape[1]
    error = averages.std(axis=1, ddof=1) / np.sqrt(seeds) if seeds > 1 else np.zeros(len(averages))
    return averages.mean(axis=1), error
