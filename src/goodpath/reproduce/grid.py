"""A grid of run folders, `<out>/<task>/<variant>`, each made by `training.run` as `goodpath train` makes one.

What is finished is skipped and what was interrupted goes on, so that one command, given again and again, comes to
the end. A folder that holds another job than the one asked for is refused before anything is trained.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from goodpath import envs, methods
from goodpath.data.collect import PolicyDriver, collect
from goodpath.errors import GoodpathError, nearest
from goodpath.files import sha256
from goodpath.methods.contract import Method, OfflineMethod, takes_data
from goodpath.reports.html import write
from goodpath.training.job import load_job, make_config
from goodpath.training.loop import Schedule
from goodpath.training.results import find_policies
from goodpath.training.run import resume, train

EPISODES_OF_DATA = 1000

Condition = Literal["finished", "unfinished", "new"]
Demonstrate = Callable[[str, Path], object]


@dataclass(frozen=True)
class Variant:
    """A row of a paper's tables.

    Attributes:
        label: what tables call it.
        method: name of the method.
        options: what differs from the preset.
        preset: of the method; the one that was asked for, where it has it, when left out.
        limits: names of the limits that it is held against; it is trained for the first.
        steps: share of the steps of the grid.
        start: variant whose policy makes the trajectories that this one starts from: the data of an offline
            method, the expert's episodes of an online one.
        single: trained for the first seed only, as others start from it.
        seeds: that it is trained for; those of the grid when left out.
        starts_as: option of an online method that names the folder which it starts from.
        trained_in: task -> the task that this row is trained in, where it is another one.
    """

    label: str
    method: str
    options: Mapping[str, Any] = field(default_factory=dict)
    preset: str = ""
    limits: tuple[str, ...] = ("strict",)
    steps: float = 1.0
    start: str = ""
    single: bool = False
    seeds: tuple[int, ...] = ()
    starts_as: str = "expert"
    trained_in: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Score:
    """What a paper reports of one row: means over seeds and their standard errors; None where it does not say."""

    gain: float
    gain_error: float | None = None
    cost: float | None = None
    cost_error: float | None = None


@dataclass(frozen=True)
class Presentation:
    """How what a grid has found is shown.

    Attributes:
        build: (plan, folder -> message of each cell that failed) -> what `table.json` says.
        markdown: that -> `table.md`.
        page: (plan, that) -> `report.html`; None for no page.
    """

    build: Callable[["Plan", Mapping[Path, str]], dict[str, Any]]
    markdown: Callable[[dict[str, Any]], str]
    page: Callable[["Plan", dict[str, Any]], str] | None = None


@dataclass(frozen=True)
class Study:
    """What a paper compares.

    Attributes:
        name: as on the command line.
        title: of the paper, with its number.
        steps: environment steps of each seed in the paper.
        measure: what its figures are, in one sentence.
        variants: name -> row.
        figures: task -> variant -> what the paper reports.
        deviations: plan -> sentences on what differs from the paper.
        presentation: its tables.
        weight: share of the old value in the moving average of the paper's curves.
        demonstrate: (task, path) -> writes the demonstrations that methods learn from; None where there are none.
    """

    name: str
    title: str
    steps: int
    measure: str
    variants: Mapping[str, Variant]
    figures: Mapping[str, Mapping[str, Score]]
    deviations: Callable[["Plan"], list[str]]
    presentation: Presentation
    weight: float = 0.8
    demonstrate: Demonstrate | None = None


@dataclass(frozen=True)
class Limits:
    """Cost limits on an episode.

    Attributes:
        training: what training keeps to.
        report: what results are held against.
    """

    training: float
    report: float


@dataclass(frozen=True)
class Cell:
    """One run folder of the grid.

    Attributes:
        task: canonical name.
        name: of the variant.
        label: what tables call it.
        method: that is trained.
        preset: of the method.
        config: its options.
        limits: see `Limits`.
        seeds: all in this run.
        schedule: of the run.
        folder: where it is.
        start: cell that has to be finished before this one; None for most.
        demonstrate: see `Study`.
    """

    task: str
    name: str
    label: str
    method: Method
    preset: str
    config: Any
    limits: Limits
    seeds: tuple[int, ...]
    schedule: Schedule
    folder: Path
    start: "Cell | None" = None
    demonstrate: Demonstrate | None = None


@dataclass(frozen=True)
class Plan:
    """A grid that was asked for.

    Attributes:
        study: what it reproduces.
        tasks: names of tasks, in the order of the tables.
        methods: names of variants, in the order of the tables.
        seeds: of each cell.
        steps: environment steps of each seed.
        limits: name -> cost limits; `Variant.limits` says which are whose.
        out: folder of it all.
        preset: of those methods that have it.
        episodes: of each seed in the evaluation at the end.
        options: of all those methods that have them.
        command: what the person typed.
    """

    study: Study
    tasks: tuple[str, ...]
    methods: tuple[str, ...]
    seeds: tuple[int, ...]
    steps: int
    limits: Mapping[str, Limits]
    out: Path
    preset: str = "default"
    episodes: int = 50
    options: Mapping[str, Any] = field(default_factory=dict)
    command: str = ""

    def cells(self) -> list[Cell]:
        """One for each task and variant, task by task.

        Raises:
            GoodpathError: there is no such task, variant, method, preset or option.
        """
        for what, given in (("task", self.tasks), ("method", self.methods), ("seed", self.seeds)):
            if not given or len(set(given)) != len(given):
                raise GoodpathError(f"name at least one {what}, and each of them once.")
        known = list(self.study.variants)
        for name in self.methods:
            if name not in known:
                raise GoodpathError(
                    f"{self.study.name} compares no '{name}'; it has {', '.join(known)}.{nearest(name, known)}"
                )
        names = [self.study.variants[name].method for name in self.methods]
        if not any(self.preset in methods.find(name).presets for name in names):
            raise GoodpathError(f"none of {', '.join(dict.fromkeys(names))} has a preset '{self.preset}'.")
        return [self._cell(envs.canonical(task), name) for task in self.tasks for name in self.methods]

    def _cell(self, task: str, name: str) -> Cell:
        variant = self.study.variants[name]
        method = methods.find(variant.method)
        home = self.out / task.replace(":", "-").replace("/", "-")
        preset = variant.preset or (self.preset if self.preset in method.presets else "default")
        start = self._cell(task, variant.start) if variant.start else None
        options = {key: value for key, value in self.options.items() if hasattr(method.presets[preset], key)}
        if not isinstance(method, OfflineMethod):
            options["steps"] = max(1, round(variant.steps * self.steps))
            if start is not None:
                options[variant.starts_as] = str(start.folder.resolve())
        return Cell(
            task=variant.trained_in.get(task, task),
            name=name,
            label=variant.label,
            method=method,
            preset=preset,
            config=make_config(method, preset, {**options, **variant.options}),
            limits=self.limits[variant.limits[0]],
            seeds=self.seeds[:1] if variant.single else variant.seeds or self.seeds,
            schedule=Schedule(episodes=max(1, self.episodes // 4), final_episodes=self.episodes),
            folder=home / name,
            start=start,
            demonstrate=self.study.demonstrate,
        )


def condition(cell: Cell) -> Condition:
    """How far the folder of a cell is.

    Raises:
        GoodpathError: it holds another job.
    """
    if not (cell.folder / "config.json").is_file():
        return "new"
    different = differences(cell)
    if different:
        raise GoodpathError(
            f"{cell.folder} was trained with {'; '.join(different)}. Ask for the same again, choose another --out, or "
            "remove the folder."
        )
    return "finished" if (cell.folder / "result.json").is_file() else "unfinished"


def differences(cell: Cell) -> list[str]:
    """What the job in the folder of a cell does differently, as `cost limit 10, not 15`."""
    job = load_job(cell.folder)
    pairs: dict[str, tuple[Any, Any]] = {
        "method": (job.method, cell.method.name),
        "task": (job.environment, cell.task),
        "cost limit": (job.cost_limit, cell.limits.training),
        "report limit": (job.report_limit, cell.limits.report),
        "seeds": (job.seeds, cell.seeds),
        "episodes": (job.schedule.final_episodes, cell.schedule.final_episodes),
    }
    demonstrations = _demonstrations(cell)
    if demonstrations is not None and demonstrations.is_file():
        pairs["demonstrations"] = (job.data_sha256[:12], sha256(demonstrations)[:12])
    if job.method == cell.method.name:
        wanted, had = asdict(cell.config), asdict(job.config())
        pairs |= {name.replace("_", " "): (had[name], wanted[name]) for name in wanted}
    return [f"{name} {_show(had)}, not {_show(now)}" for name, (had, now) in pairs.items() if had != now]


def _show(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return " ".join(map(str, value)) if isinstance(value, tuple) else f"{value}"


def run(
    cells: Sequence[Cell],
    quiet: bool = False,
    command: str = "",
    say: Callable[[str], None] = lambda line: None,
    after: Callable[[dict[Path, str]], object] = lambda failures: None,
) -> dict[Path, str]:
    """Trains what is not finished, in order.

    Args:
        cells: of the grid.
        quiet: show no progress.
        command: what to name as the origin of the runs.
        say: is told what happens.
        after: is called after each cell that was trained.

    Returns:
        Folder -> message of each cell that failed; the others go on without it.

    Raises:
        GoodpathError: a folder holds another job; nothing was trained then.
        Interrupted: after Ctrl-C; the run is saved.
    """
    order = list({cell.folder: cell for one in cells for cell in _with_starts(one)}.values())
    conditions = [condition(cell) for cell in order]
    failures: dict[Path, str] = {}
    for cell, was in zip(order, conditions, strict=True):
        if was == "finished":
            continue
        say(f"{cell.label} in {cell.task}{', going on' if was == 'unfinished' else ''}:")
        try:
            _finish(cell, was, failures, quiet, command)
        except GoodpathError as error:
            failures[cell.folder] = str(error)
            say(f"failed: {error}")
        after(failures)
    return failures


def _with_starts(cell: Cell) -> list[Cell]:
    """The cell after those that it starts from."""
    return [*([] if cell.start is None else _with_starts(cell.start)), cell]


def _finish(cell: Cell, was: Condition, failures: dict[Path, str], quiet: bool, command: str) -> None:
    if cell.start is not None and cell.start.folder in failures:
        raise GoodpathError(f"{cell.start.label}, which it starts from, failed.")
    if was == "unfinished":
        resume(cell.folder, quiet)
    else:
        train(
            cell.method.name,
            _data(cell),
            env=cell.task,
            cost_limit=cell.limits.training,
            report_limit=cell.limits.report,
            seeds=cell.seeds,
            out=cell.folder,
            preset=cell.preset,
            options=asdict(cell.config),
            schedule=cell.schedule,
            quiet=quiet,
            command=command,
        )
    write([cell.folder], cell.folder / "report.html")


def _demonstrations(cell: Cell) -> Path | None:
    """Where the study's demonstrations for a cell are or will be; None where it learns from none."""
    needed = cell.demonstrate is not None and cell.start is None and takes_data(cell.method)
    return cell.folder.parent / "demos.h5" if needed else None


def _data(cell: Cell) -> Path | None:
    """What a method learns from, where it needs data, made where it is not there yet.

    Either episodes of the most likely actions of another cell's first policy, or the study's demonstrations.
    """
    demonstrations = _demonstrations(cell)
    if demonstrations is not None:
        if not demonstrations.is_file():
            assert cell.demonstrate is not None
            cell.demonstrate(cell.task, demonstrations)
        return demonstrations
    if not takes_data(cell.method):
        return None
    if cell.start is None:
        raise GoodpathError(f"{cell.label} learns from data, and its variant says not from whose.")
    path = cell.folder.parent / f"data-{cell.start.name}.hdf5"
    if not path.is_file():
        policy = find_policies(cell.start.folder)[0]
        collect(cell.task, lambda env, rng: PolicyDriver(policy, 0.0, rng), EPISODES_OF_DATA, path)
    return path
