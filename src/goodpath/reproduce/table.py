"""What a grid has found so far, beside the paper: as JSON-ready dictionaries and as Markdown."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import goodpath
from goodpath import envs
from goodpath.files import read_json
from goodpath.oracles import within
from goodpath.reproduce.grid import Cell, Plan, condition
from goodpath.training.results import versions

SCHEMA = 1
DASH = "\N{EN DASH}"
NO_LIMIT = 1e6  # as much as an episode never costs
MEASURES = ("training", "deterministic", "stochastic", "paper")

Row = dict[str, Any]


def build(plan: Plan, failures: Mapping[Path, str] | None = None) -> dict[str, Any]:
    """The table of a grid, also of a half-finished one.

    Args:
        plan: the grid.
        failures: folder -> message of each cell that failed just now.

    Returns:
        `sections`, one for each task and reported limit, with `rows` in the order of the plan; what was asked for;
        what differs from the paper; versions.
    """
    cells = plan.cells()
    sections = []
    for task in dict.fromkeys(cell.task for cell in cells):
        here = [cell for cell in cells if cell.task == task]
        for limit in dict.fromkeys(cell.limits.report for cell in here):
            chosen = [cell for cell in here if limit in _held_against(plan, cell)]
            rows = [_row(plan, cell, limit, failures or {}) for cell in chosen]
            _mark(rows, limit)
            sections.append({"task": task, "report_limit": limit, "rows": rows})
    return {
        "schema": SCHEMA,
        "goodpath": goodpath.__version__,
        "study": plan.study.name,
        "paper": {"title": plan.study.title, "steps": plan.study.steps, "figures": plan.study.measure},
        "command": plan.command,
        "tasks": [envs.canonical(task) for task in plan.tasks],
        "methods": list(plan.methods),
        "seeds": list(plan.seeds),
        "steps": plan.steps,
        "preset": plan.preset,
        "episodes": plan.episodes,
        "deviations": plan.study.deviations(plan),
        "sections": sections,
        "versions": versions(),
    }


def _held_against(plan: Plan, cell: Cell) -> list[float]:
    return [plan.limits[name].report for name in plan.study.variants[cell.name].limits]


def _row(plan: Plan, cell: Cell, limit: float, failures: Mapping[Path, str]) -> Row:
    known = plan.study.figures.get(cell.task, {}).get(cell.name)
    row: Row = {
        "name": cell.name,
        "label": cell.label,
        "method": cell.method.name,
        "preset": cell.preset,
        "folder": str(cell.folder.relative_to(plan.out)),
        "training_limit": cell.limits.training,
        **progress(cell, failures),
        **dict.fromkeys(MEASURES),
    }
    if known is not None:
        row["paper"] = {
            "return": {"mean": known.gain, "sem": known.gain_error},
            "cost": {"mean": known.cost, "sem": known.cost_error},
        }
    if row["state"] == "finished":
        seeds = read_json(cell.folder / "result.json")["seeds"]
        row["seeds"] = [seed["seed"] for seed in seeds]
        row["deterministic"] = _evaluated(seeds, limit)
        if all("stochastic" in seed for seed in seeds):
            row["stochastic"] = _evaluated([seed["stochastic"] for seed in seeds], limit)
        if all("training" in seed for seed in seeds):
            row["training"] = {
                name: spread([seed["training"][name] for seed in seeds]) for name in ("return", "cost")
            }
    return row


def progress(cell: Cell, failures: Mapping[Path, str]) -> Row:
    """`state` of a cell: finished, unfinished, new or failed, and a `message` about it."""
    if cell.folder in failures:
        return {"state": "failed", "message": failures[cell.folder]}
    state, message = condition(cell), ""
    if state == "unfinished":
        steps = read_json(cell.folder / "config.json")["steps"]
        message = f"step {_last_step(cell.folder):,} of {steps:,}"
    return {"state": state, "message": message}


def stated(row: Row) -> str:
    """What is said of a row that is not finished, as Markdown."""
    state = {"new": "not begun", "unfinished": "not finished", "failed": "failed"}[row["state"]]
    message = f"{state}: {row['message']}" if row["message"] else state
    return message.replace("|", "/")


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Mean, sample standard deviation and standard error of the mean of the seeds' values, and these themselves."""
    std = float(np.std(values, ddof=1)) if len(values) > 1 else None
    sem = None if std is None else std / float(np.sqrt(len(values)))
    return {"mean": float(np.mean(values)), "std": std, "sem": sem, "seeds": [float(x) for x in values]}


def _evaluated(seeds: Sequence[Mapping[str, Any]], limit: float) -> dict[str, Any]:
    costs = np.concatenate([np.asarray(seed["episode_costs"], np.float64) for seed in seeds])
    return {
        "return": spread([seed["return"] for seed in seeds]),
        "cost": spread([seed["cost"] for seed in seeds]),
        "episodes": len(costs),
        "above_limit": float(np.mean(~within(costs, limit))),
    }


def _mark(rows: Sequence[Row], limit: float) -> None:
    """Writes into each score whether it keeps the limit, and whether no other that does returns more."""
    for measure in MEASURES:
        there = [
            row[measure]
            for row in rows
            if row[measure] is not None and row[measure]["cost"]["mean"] is not None
        ]
        keeps, best = choose([(score["return"]["mean"], score["cost"]["mean"]) for score in there], limit)
        for index, score in enumerate(there):
            score |= {"keeps_limit": keeps[index], "best": index == best}


def choose(scores: Sequence[tuple[float, float]], limit: float) -> tuple[list[bool], int | None]:
    """Who keeps a limit, and who returns most among those.

    Args:
        scores: (mean return, mean cost) of each.
        limit: on the mean cost; it is kept where it is met.

    Returns:
        Whether each keeps it, and the index of the best that does, the first of several; None when none does.
    """
    keeps = [bool(kept) for kept in within(np.array([cost for _, cost in scores], np.float64), limit)]
    keepers = [index for index, kept in enumerate(keeps) if kept]
    return keeps, max(keepers, key=lambda index: scores[index][0]) if keepers else None


def curves(folder: Path) -> tuple[list[int], dict[str, Any]]:
    """Steps, and (lines, seeds) means of the training episodes' `return` and `cost`, as a run has logged them."""
    lines = [line for line in _log(folder) if line["kind"] == "update" and "return" in line["metrics"]]
    return [line["step"] for line in lines], {
        name: np.array([line["metrics"][name] for line in lines], np.float64) for name in ("return", "cost")
    }


def _log(folder: Path) -> list[dict[str, Any]]:
    """The whole lines of the log; the last one may be half written."""
    path = folder / "metrics.jsonl"
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def _last_step(folder: Path) -> int:
    return max((line["step"] for line in _log(folder)), default=0)


HEADS = ("method", "trained for", "training", "each seed", "evaluation", "above", "sampled", "above", "paper")


def markdown(table: dict[str, Any]) -> str:
    """The table with its explanations."""
    lines = [f"# {table['paper']['title']}", "", *explanations(table)]
    for section in table["sections"]:
        lines += ["", f"## {section['task']}, held against a cost of {section['report_limit']:g}", ""]
        lines += [f"| {' | '.join(HEADS)} |", "|---" * len(HEADS) + "|"]
        lines += [f"| {' | '.join(words(row))} |" for row in section["rows"]]
    lines += ["", "What differs from the paper:", "", *(f"- {line}" for line in table["deviations"]), ""]
    return "\n".join(lines)


def explanations(table: dict[str, Any]) -> list[str]:
    """What the columns are, a line each."""
    seeds = len(table["seeds"])
    return [
        "Every pair is return / cost of an episode, undiscounted. ✓ keeps the limit with its mean cost; **bold** "
        "returns most among those that keep it, in its column.",
        "",
        f"- training: ours after {table['steps']:,} steps; {table['paper']['figures']} ({seeds} here). Each "
        "seed's follow.",
        f"- evaluation, sampled: ours; {table['episodes']} episodes of each seed, with the most likely actions and "
        "with sampled ones; means ± standard deviation over seeds, and the share of episodes above the limit.",
        f"- paper: after {table['paper']['steps']:,} steps; {table['paper']['figures']}.",
    ]


def words(row: Row) -> list[str]:
    """The cells of a row, in the order of `HEADS`, as Markdown."""
    trained = "no limit" if row["training_limit"] >= NO_LIMIT else f"{row['training_limit']:g}"
    training, paper = _pair(row["training"], "sem"), _pair(row["paper"], "sem")
    if row["state"] != "finished":
        return [row["label"], trained, stated(row), *[DASH] * (len(HEADS) - 4), paper]
    each = DASH
    if row["training"] is not None:
        pairs = zip(row["training"]["return"]["seeds"], row["training"]["cost"]["seeds"], strict=True)
        each = ", ".join(f"{gain:.2f} / {cost:.1f}" for gain, cost in pairs)
    evaluated = []
    for measure in ("deterministic", "stochastic"):
        score = row[measure]
        evaluated += [_pair(score, "std"), DASH if score is None else f"{100 * score['above_limit']:.0f} %"]
    return [row["label"], trained, training, each, *evaluated, paper]


def _pair(score: dict[str, Any] | None, error: str) -> str:
    if score is None:
        return DASH
    text = f"{one(score['return'], error, 2)} / {one(score['cost'], error, 1)}"
    text = f"**{text}**" if score.get("best") else text
    return f"{text} ✓" if score.get("keeps_limit") else text


def one(value: dict[str, Any], error: str, digits: int) -> str:
    """A `spread` as words, with one of its errors where it has it."""
    if value["mean"] is None:
        return DASH
    text = f"{value['mean']:.{digits}f}"
    return text if value[error] is None else f"{text} ± {value[error]:.{digits}f}"
