"""One page that says whether the trained policies keep their limit: a single file, no links, no scripts."""

from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from itertools import groupby
from pathlib import Path

from goodpath.files import write_text
from goodpath.reports import arenas, plots, tables
from goodpath.reports.charts import CLOUD_POINTS
from goodpath.reports.runs import Run, load
from goodpath.reports.theme import Style, styles, variables
from goodpath.reports.words import number, plural, verdict


def write(runs: Sequence[Path], out: Path) -> list[str]:
    """Writes the report of some run folders as one HTML file, whole or not at all.

    The same folders give the same bytes. Runs of different tasks, or judged by different limits, get a
    section each, because their figures must not be compared.

    Args:
        runs: run folders; a folder that only holds run folders stands for them.
        out: file to write.

    Returns:
        The verdict of each section in plain words.

    Raises:
        GoodpathError: a folder is missing, holds no finished run, or is damaged.
    """
    loaded = load(runs)
    groups = [list(group) for _, group in groupby(loaded, key=lambda run: (run.environment, run.limit))]
    write_text(out, render(groups))
    return [" ".join(f"{label} {rest}".strip() for label, rest in verdict(group)) for group in groups]


def render(groups: Sequence[Sequence[Run]]) -> str:
    """The whole page, a section for each group of runs of one task and limit."""
    names = list(dict.fromkeys(group[0].environment for group in groups))
    versions = list(dict.fromkeys(str(run.result["goodpath"]) for group in groups for run in group))
    sections = "\n".join(_section(group) for group in groups)
    return document(
        f"{', '.join(names)} \N{MIDDLE DOT} goodpath report",
        f"{sections}\n{tables.definitions(groups[0][0].summary)}",
        ", ".join(versions),
    )


def document(title: str, main: str, version: str) -> str:
    """A whole page, self-contained.

    Args:
        title: as plain text.
        main: what stands on it, as HTML.
        version: of goodpath, for the foot.
    """
    style = (files("goodpath.reports") / "report.css").read_text(encoding="utf-8")
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(title)}</title>
<style>
{variables()}
{style}</style>
</head>
<body>
<main>
{main}
</main>
<footer>goodpath {escape(version)}</footer>
</body>
</html>
"""


def _section(runs: Sequence[Run]) -> str:
    looks = styles(runs)
    sentences = "\n".join(
        f'<strong style="color:{looks[label].css}">{escape(label)}</strong> {escape(rest)}'
        if label
        else escape(rest)
        for label, rest in verdict(runs)
    )
    return f"""<section>
<header>
<p class="eyebrow">Safety report</p>
<h1>{escape(runs[0].environment)}</h1>
{tables.facts(runs)}
</header>
<p class="verdict">{sentences}</p>
<h2>Results</h2>
{tables.results(runs, looks)}
{_figures(runs, looks)}
{tables.pairs(runs, looks)}
<h2>Each seed</h2>
{tables.seeds(runs, looks)}
<h2>How it was made</h2>
{tables.provenance(runs, looks)}
</section>"""


def _figures(runs: Sequence[Run], looks: dict[str, Style]) -> str:
    shown = [
        ("Return against cost", [plots.cloud(runs, looks)], _cloud_caption(runs)),
        ("Every evaluation episode", [plots.episodes(runs, looks)], _episodes_caption(runs)),
    ]
    curved = [run for run in runs if run.curves]
    if curved:
        drawings = [plots.curve(curved, looks, "returns"), plots.curve(curved, looks, "costs")]
        caption = "Lines are means over seeds; bands reach from the lowest seed to the highest."
        shown.append(("During training", drawings, caption))
    drawings = [drawing for run in runs for drawing in plots.arenas(run, looks[run.label])]
    if drawings:
        shown.append(("Paths from above", drawings, _arena_caption(runs)))
    return "\n".join(_figure(i + 1, *figure) for i, figure in enumerate(shown))


def _figure(place: int, title: str, drawings: Iterable[str], caption: str) -> str:
    panels = "\n".join(f'<div class="panel">{drawing}</div>' for drawing in drawings)
    return f"""<figure>
<h2>{escape(title)}</h2>
<div class="panels">
{panels}
</div>
<figcaption><b>Figure {place}.</b> {escape(caption)}</figcaption>
</figure>"""


def _cloud_caption(runs: Sequence[Run]) -> str:
    text = (
        "Large marks are means over seeds, bars their standard deviations, small marks single seeds. "
        "The shaded region keeps the limit; higher is better inside it."
    )
    data = next((run.data for run in runs if run.data), None)
    if data is None:
        return text
    kept = data.returns[data.costs <= runs[0].limit]
    best = (
        f"{plural(len(kept), 'keeps', 'keep')} the limit, the best returning {number(float(kept.max()))}"
        if len(kept)
        else "none of them keeps the limit"
    )
    drawn = f", of which {CLOUD_POINTS:,} are drawn" if len(data.costs) > CLOUD_POINTS else ""
    return f"{text} Grey dots are the {len(data.costs):,} trajectories of {data.name}{drawn}: {best}."


def _episodes_caption(runs: Sequence[Run]) -> str:
    return (
        "A dot is an episode, a row of dots a seed. The solid line is the mean cost, the dashed line the "
        "mean of the worst tenth (CVaR). A mean within the limit does not put every episode within it."
    )


def _arena_caption(runs: Sequence[Run]) -> str:
    shown = "; ".join(arenas.roles(runs))
    return (
        "The first recorded evaluation episodes, not chosen by how they went; circles mark the start, and "
        f"vermilion the steps that cost something. {shown[:1].upper()}{shown[1:]}{'.' if shown else ''}"
    ).strip()
