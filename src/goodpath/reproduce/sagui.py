"""The experiments of SaGui (arXiv 2307.14316): arenas, rows, and what the paper says it found.

The paper has curves and no tables, so no figures stand beside ours; its outcomes stand below them, a sentence each.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from goodpath import methods
from goodpath.reports.transfer import SIDES, Curve, Side, compare, curves, times
from goodpath.reproduce import page, table
from goodpath.reproduce.grid import Limits, Plan, Presentation, Study, Variant


@dataclass(frozen=True)
class Arena:
    """One of the paper's three settings.

    Attributes:
        name: of its tasks, between `Sagui` and `Student-v0`.
        steps: of a student in the paper.
        options: networks and batches.
        limit: of the student, which its results are held against.
        training_limit: that it is trained for: who is kept at a limit by a price is above it half of the time.
        guide_limit: of the guide; the authors' code names it for Dynamic alone.
        preset: of the methods that have it, where a row names none.
    """

    name: str
    steps: int
    options: Mapping[str, Any]
    limit: float
    training_limit: float
    guide_limit: float
    preset: str = "default"

    @property
    def task(self) -> str:
        """The student's."""
        return f"Sagui{self.name}Student-v0"

    @property
    def limits(self) -> dict[str, Limits]:
        """Of `VARIANTS`."""
        return {
            "strict": Limits(self.training_limit, self.limit),
            "guide": Limits(self.guide_limit, self.guide_limit),
        }


# A guide takes over when something has already cost, so it is trained for less than the student may cost.
ARENAS = {
    "static": Arena("Static", 1_500_000, {"hidden": (32, 32), "batch": 32}, 5.0, 5.0, 2.0),
    "semi-dynamic": Arena(
        "SemiDynamic", 3_000_000, {"hidden": (64, 64), "batch": 64}, 8.0, 6.5, 4.0, "semi-dynamic"
    ),
    "dynamic": Arena("Dynamic", 4_500_000, {"hidden": (256, 256), "batch": 256}, 25.0, 20.0, 20.0, "dynamic"),
}
_HOME = {arena.task: arena.task.replace("Student", "Guide") for arena in ARENAS.values()}


def _guide(label: str, options: Mapping[str, Any]) -> Variant:
    return Variant(label, "sagui-guide", options, limits=("guide",), trained_in=_HOME)


def _student(label: str, start: str = "guide", **options: Any) -> Variant:
    return Variant(label, "sagui", options, start=start, starts_as="guide")


VARIANTS = {
    "guide": _guide("Guide", {}),
    "guide-maxent": _guide("Guide, MaxEnt", {"explore": "none"}),
    "guide-novelty": _guide("Guide, novelty", {"explore": "novelty"}),
    "sagui": _student("SaGui"),
    "sagui-linear-decay": _student("SaGui, linear decay", composition="linear-decay"),
    "student-only": _student("StuSam", composition="student"),
    "guide-only": _student("GuiSam", composition="guide"),
    "fixed-omega": _student("FixReg", omega_scale=0.0, omega_floor=0.1),
    "decayed-omega": _student("DecReg", omega="decayed", omega_scale=0.1, omega_floor=0.0),
    "sagui-maxent": _student("SaGui, MaxEnt guide", "guide-maxent"),
    "sagui-novelty": _student("SaGui, novelty guide", "guide-novelty"),
    "sagui-random": Variant("SaGui, random guide", "sagui", {"guide": "random"}),
    "sagui-paper": Variant("SaGui, paper", "sagui", preset="paper", start="guide", starts_as="guide"),
    "sagui-release": Variant("SaGui, release", "sagui", preset="release", start="guide", starts_as="guide"),
    "sac-lag": Variant("SAC-Lagrangian", "sac-lag"),
    "pre-training": Variant("Pre-training", "sagui-guide", limits=("guide",)),
    "sac-lag-pre": Variant(
        "SAC-Lagrangian, pre-trained", "sac-lag", start="pre-training", starts_as="initial"
    ),
    "cpo": Variant("CPO", "cpo"),
    "cpo-pre-training": Variant("CPO, pre-training", "cpo", {"explore": True}, limits=("guide",)),
    "cpo-pre": Variant(
        "CPO, pre-trained", "cpo", {"free_steps": 0}, start="cpo-pre-training", starts_as="initial"
    ),
    "egpo": Variant("EGPO", "sagui", preset="egpo", start="sac-lag", starts_as="guide"),
}
CLAIMS = (
    "SaGui (control-switch) and EGPO are the only ones whose behaviour is safe throughout training in all three "
    "arenas; with linear decay it is not in Semi-Dynamic and Dynamic.",
    "SAC-Lagrangian and CPO become safe in Static and Semi-Dynamic but violate at the start; in Dynamic they never do.",
    "Pre-training gains nothing or harms, except CPO's in Static.",
    "The target policy of SaGui is the only one that ends safe with a high return in all three; EGPO's is unsafe "
    "alone.",
    "In Static the reward for moving covers more ground than MaxEnt and speeds up the student; an omega that adapts "
    "converges faster than one that is fixed or falls, and is as safe; StuSam ends alike but violates early; GuiSam is "
    "safe but never learns a safe and good student.",
)


def build(plan: Plan, failures: Mapping[Path, str]) -> dict[str, Any]:
    """See `Presentation`: the common table, the measures of transfer, and the paper's outcomes."""
    found = table.build(plan, failures)
    for section in found["sections"]:
        rows = {row["name"]: row for row in section["rows"] if row["state"] == "finished"}
        limit = section["report_limit"]
        section["transfer"], section["times"] = {}, {}
        for of in SIDES:
            courses = _courses(plan.out, rows, of)
            ends = [sum(c.final_return() for c in course) / len(course) for course in courses.values()]
            best = max(ends, default=0.0)
            section["transfer"][of] = {
                name: compare(courses["sac-lag"], course, limit, best)
                for name, course in courses.items()
                if name != "sac-lag"
            }
            section["times"][of] = {name: times(course, limit, best) for name, course in courses.items()}
    return found | {"claims": list(CLAIMS)}


def _courses(out: Path, rows: Mapping[str, Any], of: Side) -> dict[str, list[Curve]]:
    """Of each row; nothing where SAC-Lagrangian from scratch, which all are held against, has none."""
    courses = {name: curves(out / row["folder"], of) for name, row in rows.items()}
    courses = {name: course for name, course in courses.items() if course}
    return courses if "sac-lag" in courses else {}


_MEASURES = ("safety_jump_start", "time_to_safety", "return_jump_start", "time_to_optimum")


def markdown(found: dict[str, Any]) -> str:
    """See `Presentation`."""
    lines = [table.markdown(found), "## Transfer", ""]
    lines += [
        "Against SAC-Lagrangian from scratch, means over seeds. Safety jump-start: cost above the limit in the first "
        "30,000 steps, from scratch less with a guide. Time to safety and to optimum: steps saved. Return jump-start: "
        "only where neither ever breaks the limit. The optimum: 95 % of the best final return. A dash: some seed never "
        "gets there.",
    ]
    for section in found["sections"]:
        for of, rows in section["transfer"].items():
            if not rows:
                continue
            lines += ["", f"{section['task']}, {of}:", ""]
            lines += [f"| | {' | '.join(name.replace('_', ' ') for name in _MEASURES)} |", "|---" * 5 + "|"]
            for name, values in rows.items():
                cells = [table.DASH if values[one] is None else f"{values[one]:,.2f}" for one in _MEASURES]
                lines.append(f"| {VARIANTS[name].label} | {' | '.join(cells)} |")
            lines += ["", "| steps, seed by seed | until it is safe | until the optimum |", "|---" * 3 + "|"]
            for name, taken in section["times"][of].items():
                cells = [_steps(taken[one]) for one in ("time_to_safety", "time_to_optimum")]
                lines.append(f"| {VARIANTS[name].label} | {' | '.join(cells)} |")
    return "\n".join(
        [*lines, "", "What the paper says:", "", *(f"- {claim}" for claim in found["claims"]), ""]
    )


def _steps(taken: list[float | None]) -> str:
    return "; ".join(table.DASH if steps is None else f"{steps:,.0f}" for steps in taken)


def deviations(plan: Plan) -> list[str]:
    """What differs from the paper in a plan."""
    arena = next(arena for arena in ARENAS.values() if arena.task == plan.tasks[0])
    guide_steps = round(plan.steps * plan.study.variants["guide"].steps)
    return [
        f"Ours is trained for {plan.steps:,} steps of each seed, the paper's for {arena.steps:,}; guides for "
        f"{guide_steps:,}, where the authors' code says 9,000,000 in Dynamic.",
        f"Ours has {len(plan.seeds)} seeds, the paper 10.",
        "The arenas stand on MuJoCo 4 and safety-gymnasium's robots, not on OpenAI's Safety Gym.",
        "SaGui here is our default preset: the guide's divergence in the actor's loss and not in the reward, a guide "
        "who acts alone in the first 10,000 steps, a multiplier that hears what episodes cost; `sagui-paper` and "
        "`sagui-release` are the others. In wide arenas the student is alone in half of its episodes.",
        f"Guides are trained for a cost of {arena.guide_limit:g}, all others for {arena.training_limit:g}, and held "
        f"against the paper's {arena.limit:g}; the authors' code names 20 for the guide of Dynamic alone.",
        "All methods of the SAC family act in ten copies of the arena for each seed, with as many updates as steps.",
        "EGPO's expert is our SAC-Lagrangian.",
        *(
            [f"Rows of the SAC family take the preset `{arena.preset}` where nothing else is said."]
            if arena.preset != "default"
            else []
        ),
        *(
            f"The paper's --{name} is {arena.options.get(name, 1)}, ours {value}."
            for name, value in plan.options.items()
            if value != arena.options.get(name)
        ),
    ]


def study(
    arena: Arena, guide_steps: float = 1.0, guide_seeds: tuple[int, ...] = (), preset: str = "default"
) -> Study:
    """`STUDY` as it is in an arena.

    Args:
        arena: where.
        guide_steps: of guides and of pre-training, as a share of a student's.
        guide_seeds: of guides and of pre-training, which students take in turn; those of the grid when left out.
        preset: that was asked for; where a method lacks it, or nothing was, the arena's holds.
    """

    def suited(variant: Variant) -> Variant:
        if variant.limits == ("guide",):
            variant = replace(variant, steps=guide_steps, seeds=guide_seeds)
        known = set(methods.find(variant.method).presets) - {"default"}
        if variant.preset or preset in known or arena.preset not in known:
            return variant
        return replace(variant, preset=arena.preset)

    variants = {name: suited(variant) for name, variant in VARIANTS.items()}
    return replace(STUDY, steps=arena.steps, variants=variants)


STUDY = Study(
    name="sagui",
    title="SaGui, Reinforcement Learning by Guided Safe Exploration (arXiv 2307.14316)",
    steps=1_500_000,
    measure="mean return and cost of the behaviour policy's own episodes over the last tenth of training, ± standard "
    "error over seeds",
    variants=VARIANTS,
    figures={},
    deviations=deviations,
    presentation=Presentation(build, markdown, page.render),
)
