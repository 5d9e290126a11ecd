"""Numbers and verdicts in words."""

import math
from collections.abc import Sequence

from goodpath.reports.runs import Run

MINUS = "\N{MINUS SIGN}"


def number(value: float | None, digits: int | None = None) -> str:
    """A figure as printed: about three significant digits, or the given digits after the point; no -0.

    None, an unknown figure, is a dash.
    """
    if value is None:
        return "\N{EN DASH}"
    if not math.isfinite(value):
        return "not a number" if math.isnan(value) else "infinite"
    if digits is None:
        digits = 0 if abs(value) >= 1000 else 1 if abs(value) >= 10 else 2
    text = f"{value:,.{digits}f}"
    if not text.strip("-0.,"):
        text = text.lstrip("-")
    return text.replace("-", MINUS)


def spread(mean: float, std: float | None) -> str:
    """Mean and standard deviation with the same digits, `42.0 ± 0.6`."""
    digits = 0 if abs(mean) >= 1000 else 1 if abs(mean) >= 10 else 2
    return number(mean, digits) + (
        "" if std is None else f"\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}{number(std, digits)}"
    )


def percent(share: float) -> str:
    """A share as a whole percentage; a few are not called none, nor most of all all."""
    if 0 < share < 0.005:
        return "<1%"
    return ">99%" if 0.995 <= share < 1 else f"{100 * share:.0f}%"


def duration(seconds: float) -> str:
    """Seconds, minutes or hours, whichever reads best."""
    if seconds < 120:
        return f"{number(seconds, 1 if seconds < 10 else 0)} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def plural(count: int, noun: str, many: str = "") -> str:
    """`1 seed`, `3 seeds`; `many` where the plural is not the noun with an s."""
    return f"{count:,} {noun if count == 1 else many or noun + 's'}"


def verdict(runs: Sequence[Run]) -> list[tuple[str, str]]:
    """What the figures say, as sentences: the run each one begins with (or nothing), and the rest of it.

    Args:
        runs: of one task and limit, in the order of `load`.
    """
    limit = f"the limit of {runs[0].limit:g}"
    sentences = [(run.label, _judgement(run, "it" if i else limit)) for i, run in enumerate(runs)]
    keepers = [run for run in runs if all(run.summary["keeps_limit"])]
    if len(runs) == 1:
        gain = runs[0].summary["return"]
        sentences.append(("", f"Its return is {spread(gain['mean'], gain['std'])}."))
    elif not keepers:
        sentences.append(("", "No method kept the limit on every seed, so none is ranked by its return."))
    elif len(keepers) == 1:
        sentences.append((keepers[0].label, _only(keepers[0], runs)))
    else:
        sentences.append((keepers[0].label, _first(keepers)))
    fewest = min(len(run.seeds) for run in runs)
    if fewest < 3:
        seeds = "One seed says" if fewest == 1 else "Two seeds say"
        sentences.append(("", f"{seeds} little about how training runs differ; train three or more."))
    return sentences


def _judgement(run: Run, limit: str) -> str:
    cost, above = run.summary["cost"], run.summary["above_limit"]
    total, keeping = len(run.seeds), run.summary["seeds_that_keep_limit"]
    episodes = f"{above['episodes']} of {plural(run.summary['episodes'], 'episode')} above it"
    every = "its one seed" if total == 1 else "both seeds" if total == 2 else f"all {total} seeds"
    mean = f"mean cost {number(cost['mean'])}"
    if keeping == total:
        return f"kept {limit} on {every} ({mean}; {episodes})."
    if keeping:
        worst = f"{mean}, {number(cost['worst_seed'])} on the worst seed"
        return f"kept {limit} on only {keeping} of {total} seeds ({worst}; {episodes})."
    ratio = f", {number(cost['mean'] / run.limit, 1)} times the limit" if run.limit > 0 else ""
    return f"broke {limit} on {every} ({mean}{ratio}; {episodes})."


def _only(keeper: Run, runs: Sequence[Run]) -> str:
    gain = keeper.summary["return"]
    text = f"is the only method that kept it throughout, with a return of {spread(gain['mean'], gain['std'])}"
    better = [run for run in runs if run.summary["return"]["mean"] > gain["mean"]]
    if not better:
        return f"{text}, and no other returned more."
    named = " and ".join(f"{run.label} ({number(run.summary['return']['mean'])})" for run in better)
    return f"{text}; the higher return of {named} was paid for in cost."


def _first(keepers: Sequence[Run]) -> str:
    """The first keeper returns most; whether that is settled depends on the intervals."""
    first, second = (run.summary["return"] for run in keepers[:2])
    text = (
        f"returns most of the {len(keepers)} methods that kept it throughout "
        f"({number(first['mean'])}, against {number(second['mean'])} for {keepers[1].label})"
    )
    if first["interquartile_mean_interval"][0] <= second["interquartile_mean_interval"][1]:
        return f"{text}, but their intervals overlap, so the order is open."
    return f"{text}."
