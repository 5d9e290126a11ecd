"""The tables of SCOPIL's grid: a section for each setting, a table for each list of starts and way of acting."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import goodpath
from goodpath.envs import marble_maze
from goodpath.envs.marble_maze import KINDS, STARTS
from goodpath.envs.marble_maze_planner import unavoidable
from goodpath.files import read_json
from goodpath.reproduce.grid import Cell, Plan
from goodpath.reproduce.sides import sides
from goodpath.reproduce.table import DASH, Row, one, progress, spread, stated
from goodpath.training.results import versions

SCHEMA = 1
LISTS = ("train", "test")
WAYS = {"greedy": "the most likely actions", "sampled": "sampled actions"}
LETTERS = {"below": "H", "left": "V", "circle": "C"}


def build(plan: Plan, failures: Mapping[Path, str]) -> dict[str, Any]:
    """The table of a grid, also of a half-finished one; `failures` is folder -> message.

    Returns:
        `sections`, one for each setting, with `rows` in the order of the plan: for each list and way of acting the
        `spread` over seeds of every figure in `result.json`; what was asked for; what differs from the paper.
    """
    sections = []
    cells = plan.cells()
    for task in dict.fromkeys(cell.task for cell in cells):
        maze = marble_maze.find(task)
        there = {"below": maze.below is not None, "left": maze.left is not None, "circle": bool(maze.circles)}
        sections.append(
            {
                "setting": task,
                "kinds": [kind for kind in KINDS if there[kind]],
                "floor": {name: float(unavoidable(maze)[list(STARTS[name])].mean()) for name in LISTS},
                "rows": [_row(plan, cell, failures) for cell in cells if cell.task == task],
            }
        )
    return {
        "schema": SCHEMA,
        "goodpath": goodpath.__version__,
        "study": plan.study.name,
        "paper": {"title": plan.study.title},
        "command": plan.command,
        "settings": [section["setting"] for section in sections],
        "methods": list(plan.methods),
        "seeds": list(plan.seeds),
        "steps": plan.steps,
        "deviations": plan.study.deviations(plan),
        "sections": sections,
        "versions": versions(),
    }


def _row(plan: Plan, cell: Cell, failures: Mapping[Path, str]) -> Row:
    row: Row = {
        "name": cell.name,
        "label": cell.label,
        "method": cell.method.name,
        "preset": cell.preset,
        "folder": str(cell.folder.relative_to(plan.out)),
        **progress(cell, failures),
        "lists": None,
        "sides": None,
    }
    if row["state"] == "finished":
        seeds = read_json(cell.folder / "result.json")["seeds"]
        row["lists"] = {
            name: {
                "greedy": _figures([seed["lists"][name] for seed in seeds]),
                "sampled": _figures([seed["stochastic"]["lists"][name] for seed in seeds]),
            }
            for name in LISTS
        }
        if "TwoModes" in cell.task:
            row["sides"] = sides(cell.folder, cell.task)
    return row


def _figures(seeds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The spread over seeds of what is said of their games."""
    figures: dict[str, Any] = {
        name: spread([seed[name] for seed in seeds]) for name in ("return", "length", "goal")
    }
    figures["violations"] = {
        kind: {
            measure: spread([seed["violations"][kind][measure] for seed in seeds])
            for measure in ("number", "frequency")
        }
        for kind in KINDS
    }
    return figures


def markdown(table: dict[str, Any]) -> str:
    """The tables with their explanations."""
    lines = [f"# {table['paper']['title']}", "", *explanations(table)]
    for section in table["sections"]:
        lines += ["", f"## {section['setting']}"]
        for which in LISTS:
            for way, said in WAYS.items():
                floor = section["floor"][which]
                lines += ["", f"### {which} starts, {said} (at least {floor:g} violations a game)", ""]
                lines += _table(section, which, way)
        if any(row["sides"] for row in section["rows"]):
            lines += ["", "### sides of the circle at (-90, -90), from the 22 starts on the far side", ""]
            lines += _sides(section)
    lines += ["", "What the paper claims, in our words:", "", *(f"- {line}" for line in table["claims"])]
    lines += ["", "What differs from the paper:", "", *(f"- {line}" for line in table["deviations"]), ""]
    return "\n".join(lines)


def explanations(table: dict[str, Any]) -> list[str]:
    """What the columns are."""
    return [
        f"Ours after {table['steps']:,} steps, {len(table['seeds'])} seeds: means of 40 games, ± standard deviation "
        "over seeds.",
        "",
        "- H, V, C: steps of a game that violate a constraint, and in % their share of its steps.",
        "- at least: the violations that no policy can avoid from these starts. With two modes the planner plays a "
        "start on each side, where there are two, so that its means weigh the starts differently.",
        f"- re-run: return; H; C; goal. This is {table['rerun']}.",
    ]


def _table(section: dict[str, Any], which: str, way: str) -> list[str]:
    kinds = section["kinds"]
    letters = [LETTERS[kind] for kind in kinds]
    rerun = section["rerun"] if way == "greedy" else {}
    heads = ["method", "return", "length", "goal", *letters, *(f"{letter} %" for letter in letters)]
    heads += ["re-run"] if rerun else []
    rows = []
    if section["planner"] is not None:
        rows.append(
            ["planner", *_planner(section["planner"][which], kinds), *_again(rerun, "planner", which)]
        )
    for row in section["rows"]:
        words = _words(row["lists"][which][way], kinds) if row["lists"] else _missing(row, 3 + 2 * len(kinds))
        rows.append([row["label"], *words, *_again(rerun, row["name"], which)])
    return _lines(heads, rows)


def _lines(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [
        f"| {' | '.join(heads)} |",
        "|---" * len(heads) + "|",
        *(f"| {' | '.join(row)} |" for row in rows),
    ]


def _missing(row: Row, columns: int) -> list[str]:
    return [stated(row), *[DASH] * (columns - 1)]


def _words(figures: dict[str, Any], kinds: Sequence[str]) -> list[str]:
    paid = figures["violations"]
    return [
        one(figures["return"], "std", 2),
        one(figures["length"], "std", 1),
        _percent(figures["goal"]),
        *(one(paid[kind]["number"], "std", 2) for kind in kinds),
        *(_percent(paid[kind]["frequency"]) for kind in kinds),
    ]


def _percent(value: dict[str, Any]) -> str:
    scaled = {name: None if value[name] is None else 100 * value[name] for name in ("mean", "std")}
    return one(scaled, "std", 1)


def _planner(scores: dict[str, Any], kinds: Sequence[str]) -> list[str]:
    paid = scores["violations"]
    return [
        f"{scores['return']:.2f}",
        f"{scores['length']:.1f}",
        f"{100 * scores['goal']:.1f}",
        *(f"{paid[kind]['number']:.3f}" for kind in kinds),
        *(f"{100 * paid[kind]['frequency']:.1f}" for kind in kinds),
    ]


def _again(rerun: dict[str, Any], name: str, which: str) -> list[str]:
    """The cell of the re-run, where the table has such a column."""
    if not rerun:
        return []
    if name not in rerun:
        return [DASH]
    found = rerun[name][which]
    return [f"{found['return']}; H {found['below']}; C {found['circle']}; goal {found['goal']}"]


def _sides(section: dict[str, Any]) -> list[str]:
    heads = ["method"] + [f"{way}: {side}" for way in WAYS for side in ("left %", "right %", "neither %")]
    rows = []
    for row in section["rows"]:
        if row["sides"] is None:
            rows.append([row["label"], *_missing(row, len(heads) - 1)])
            continue
        shares = [
            _percent(spread([seed[way][side] for seed in row["sides"]["seeds"]]))
            for way in WAYS
            for side in ("left", "right", "neither")
        ]
        rows.append([row["label"], *shares])
    return _lines(heads, rows)
