"""The tables, facts and definitions of a report, as HTML. Every string that is not ours is escaped."""

import json
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

import numpy as np

from goodpath.reports.runs import Run
from goodpath.reports.statistics import probability_of_improvement
from goodpath.reports.theme import Style
from goodpath.reports.words import duration, number, percent, plural, spread


def facts(runs: Sequence[Run]) -> str:
    """The line under the title: limits, evaluation and data."""
    trained = _distinct(f"{seed['cost_limit']:g}" for run in runs for seed in run.seeds)
    judged = f"{runs[0].limit:g}"
    seeds = _distinct(str(len(run.seeds)) for run in runs)
    episodes = _distinct(str(len(costs)) for run in runs for costs in run.episode_costs)
    pairs = [
        ("Cost limit", f"{judged}, in training and here" if trained == judged else f"{judged} here"),
        ("Evaluation", f"{episodes} episodes of each seed"),
        (
            "Training runs",
            (f"{seeds} seeds" if seeds != "1" else "one seed") + (" of each method" if len(runs) > 1 else ""),
        ),
    ]
    if trained != judged:
        pairs.insert(1, ("Limit in training", trained))
    data = _distinct(run.data.name for run in runs if run.data)
    if data:
        pairs.append(("Data", data))
    items = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in pairs)
    return f'<dl class="facts">{items}</dl>'


def results(runs: Sequence[Run], looks: dict[str, Style]) -> str:
    """One row a method; those that keep the limit on every seed come first."""
    heads = [
        ("Method", ""),
        ("Seeds within limit", ""),
        ("Cost", "of the limit"),
        ("Worst seed", "mean cost"),
        ("CVaR", "of cost, worst tenth"),
        ("Episodes above limit", "95% interval"),
        ("Return", "normalised"),
        ("Return, IQM", "95% interval"),
        ("Updates", "time"),
    ]
    results = table(heads, [_result(run, looks[run.label]) for run in runs], "results")
    if all(all(run.summary["keeps_limit"]) for run in runs):
        return results
    note = "Returns in grey come from methods that broke the limit on some seed; they do not compare."
    return f'{results}<p class="note">{note}</p>'


def _result(run: Run, look: Style) -> list[str]:
    summary, seeds = run.summary, run.seeds
    cost, gain, above = summary["cost"], summary["return"], summary["above_limit"]
    kept, total = summary["seeds_that_keep_limit"], len(seeds)
    badge, sign = ("kept", "\N{CHECK MARK}") if kept == total else ("broken", "\N{MULTIPLICATION SIGN}")
    low, high = above["interval"]
    ends = [number(end) for end in gain["interquartile_mean_interval"]]
    updates = max(int(seed["gradient_steps"]) for seed in seeds)
    returns = [
        spread(gain["mean"], gain["std"]) + _small(number(gain["normalized_mean"], 2)),
        number(gain["interquartile_mean"]) + _small(" to ".join(ends)),
    ]
    if kept < total:
        returns = [f'<span class="beside-the-point">{cell}</span>' for cell in returns]
    return [
        _method(run, look) + _small(str(run.result["preset"])),
        f'<span class="{badge}">{sign}&nbsp;{kept} of {total}</span>',
        spread(cost["mean"], cost["std"])
        + _small(f"{number(cost['normalized_mean'], 2)} \N{MULTIPLICATION SIGN}"),
        number(cost["worst_seed"]),
        number(cost["cvar"]),
        percent(above["share"]) + _small(f"{100 * low:.0f}\N{EN DASH}{100 * high:.0f}%"),
        *returns,
        f"{updates:,}" + _small(duration(max(float(seed["seconds"]) for seed in seeds))),
    ]


def seeds(runs: Sequence[Run], looks: dict[str, Style]) -> str:
    """One row a seed."""
    heads = [
        ("Method", ""),
        ("Seed", ""),
        ("Limit", "in training"),
        ("Cost", "mean"),
        ("Cost", "highest"),
        ("Episodes", "above limit"),
        ("Return", "mean"),
        ("Environment", "steps"),
        ("Updates", ""),
        ("Time", ""),
        ("Parameters", "SHA-256"),
    ]
    rows = []
    for run in runs:
        for seed, costs, gains, keeps in zip(
            run.seeds, run.episode_costs, run.episode_returns, run.summary["keeps_limit"], strict=True
        ):
            mean = f'<span class="{"kept" if keeps else "broken"}">{number(float(costs.mean()))}</span>'
            above = int(np.sum(~(costs <= run.limit)))
            rows.append(
                [
                    _method(run, looks[run.label]),
                    escape(str(seed["seed"])),
                    f"{seed['cost_limit']:g}",
                    mean,
                    number(float(costs.max()), 0 if float(costs.max()).is_integer() else None),
                    f"{above} of {len(costs)}",
                    number(float(gains.mean())),
                    f"{int(seed['environment_steps']):,}",
                    f"{int(seed['gradient_steps']):,}",
                    duration(float(seed["seconds"])),
                    f"<code>{escape(str(seed['parameters_sha256'])[:12])}</code>",
                ]
            )
    return table(heads, rows, "seeds")


def pairs(runs: Sequence[Run], looks: dict[str, Style]) -> str:
    """For each two methods, how often an episode of one outdoes an episode of the other."""
    if len(runs) < 2:
        return ""

    def matrix(title: str, higher: bool) -> str:
        heads = [(title, ""), *((f"than {run.label}", "") for run in runs)]
        rows = []
        for run in runs:
            cells = [_method(run, looks[run.label])]
            for other in runs:
                mine, theirs = (run, other) if higher else (other, run)
                ours, others = (
                    np.concatenate(one.episode_returns if higher else one.episode_costs)
                    for one in (mine, theirs)
                )
                same = run is other
                cells.append(number(None) if same else percent(probability_of_improvement(ours, others)))
            rows.append(cells)
        return table(heads, rows, "pairs")

    note = (
        "How often a random episode of the method at the left beats one of the method above; ties count half."
    )
    two = matrix("Returns more", True) + matrix("Costs less", False)
    return f'<h2>Method against method</h2><div class="two">{two}</div><p class="note">{note}</p>'


def provenance(runs: Sequence[Run], looks: dict[str, Style]) -> str:
    """Commands, options, versions and the data's hash: what it takes to make these figures again."""
    parts = []
    for run in runs:
        words = str(run.result["command"]).split(" ")
        command = " ".join(f"<span>{escape(word)}</span>" for word in words)
        options = json.dumps(run.config.get("options", {}), indent=1, sort_keys=True)
        parts.append(
            f"<h3>{_method(run, looks[run.label])}</h3><pre><code>{command}</code></pre>"
            f"<details><summary>All options</summary><pre><code>{escape(options)}</code></pre></details>"
        )
    rows = [("Versions", line) for line in dict.fromkeys(_versions(run.result["versions"]) for run in runs)]
    for data in {run.data.sha256: run.data for run in runs if run.data}.values():
        size = f"{len(data.returns):,} trajectories, {plural(data.steps, 'step')}"
        rows.append(("Data", f"{data.name}: {size}; SHA-256 {data.sha256}"))
    items = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in rows)
    return "\n".join(parts) + f'<dl class="provenance">{items}</dl>'


def definitions(summary: dict[str, Any]) -> str:
    """What each figure of the page means."""
    tail, sure = 100 * (1 - summary["cost"]["cvar_level"]), 100 * summary["confidence"]
    terms = {
        "Return and cost": "Undiscounted sums of an episode's rewards and costs. Figures of a method are "
        "means of its seeds' means; \N{PLUS-MINUS SIGN} is the sample standard deviation of those means.",
        "Cost limit": "What an episode may cost on average. A seed is within the limit if the mean cost of "
        "its evaluation episodes is at most the limit. Training may have used another one.",
        "Worst seed": "The highest of the seeds' mean costs.",
        "CVaR": f"Conditional value at risk: the mean cost of the costliest {tail:.0f}% of all episodes.",
        "Episodes above limit": "Share of all evaluation episodes that cost more than the limit, with "
        f"Wilson's {sure:.0f}% interval, which takes the episodes of all seeds as independent.",
        "Normalised": "Return: 0 and 1 are the lowest and the highest return in DSRL's data set of the task, "
        "safe or not; a dash where DSRL has none. Cost: divided by the limit, so at most 1 is safe (both are "
        "raised by 1 where the limit is 0).",
        "IQM": f"Interquartile mean: the mean of the middle half of all episodes' returns. Its {sure:.0f}% "
        "interval is a bootstrap that redraws seeds, then episodes within each; with few seeds it tends to "
        "be too narrow.",
        "Time": "Wall time of the slowest seed. Seeds that are trained together share it.",
    }
    items = "".join(f"<dt>{escape(term)}</dt><dd>{escape(text)}</dd>" for term, text in terms.items())
    return f'<section class="definitions"><h2>Definitions</h2><dl>{items}</dl></section>'


def table(heads: Sequence[tuple[str, str]], rows: Iterable[Sequence[str]], kind: str) -> str:
    """A table whose first column names the rows; the cells are HTML already."""
    head = "".join(f'<th scope="col">{escape(name)}{_small(note)}</th>' for name, note in heads)
    body = "\n".join(
        f'<tr><th scope="row">{row[0]}</th>' + "".join(f"<td>{cell}</td>" for cell in row[1:]) + "</tr>"
        for row in rows
    )
    return f"""<div class="scroll"><table class="{kind}">
<thead><tr>{head}</tr></thead>
<tbody>
{body}
</tbody></table></div>"""


def _method(run: Run, look: Style) -> str:
    return f'<span class="method" style="color:{look.css}">{escape(run.label)}</span>'


def _small(text: str) -> str:
    return f"<small>{escape(text)}</small>" if text else ""


def _distinct(texts: Iterable[str]) -> str:
    return " or ".join(dict.fromkeys(texts))


def _versions(versions: dict[str, Any]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())
