"""Reading run folders: what training left on disk, checked and typed for the plots and the page."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goodpath.envs.vector import Scene, Shape
from goodpath.errors import GoodpathError
from goodpath.files import read_json
from goodpath.reports.statistics import summarize

Doubles = NDArray[np.float64]

NAMES = {
    "bc": "BC",
    "bc-gb": "BC-GB",
    "bc-safe": "BC-Safe",
    "trac": "TraC",
    "sim": "SIM",
    "sagui": "SaGui",
    "scopil": "SCOPIL",
    "sqil": "SQIL",
    "gail": "GAIL",
    "ppo-lagrangian": "PPO-Lagrangian",
    "sac-lagrangian": "SAC-Lagrangian",
}


@dataclass(frozen=True)
class Curves:
    """Evaluations during training.

    Attributes:
        steps: (evaluations,) updates done, or environment steps taken, as the training loop counts them.
        returns: (evaluations, seeds) mean return of each seed's episodes.
        costs: (evaluations, seeds) mean cost of each seed's episodes.
    """

    steps: Doubles
    returns: Doubles
    costs: Doubles


@dataclass(frozen=True)
class Path2D:
    """One recorded evaluation episode, seen from above.

    Attributes:
        scene: the arena of that episode.
        positions: (steps, 2) metres, where each step began; one more row if the end was recorded too.
        costs: (steps,) cost of each step.
        episode_return: the episode's undiscounted return.
    """

    scene: Scene
    positions: Doubles
    costs: Doubles
    episode_return: float


@dataclass(frozen=True)
class Data:
    """The data set a run learned from.

    Attributes:
        name: file name, without its folder.
        sha256: of the file.
        steps: number of steps.
        returns: (trajectories,).
        costs: (trajectories,).
    """

    name: str
    sha256: str
    steps: int
    returns: Doubles
    costs: Doubles


@dataclass(frozen=True)
class Run:
    """One run folder.

    Attributes:
        folder: where it lies.
        label: the method's name, with preset or folder added where several runs share it.
        result: `result.json` as written.
        config: `config.json` as written.
        summary: the output of `summarize`, computed anew from the episodes.
        data: None for methods that learn without a data set.
        curves: None where nothing was evaluated during training.
        paths: recorded episodes; empty where none were.
    """

    folder: Path
    label: str
    result: dict[str, Any]
    config: dict[str, Any]
    summary: dict[str, Any]
    data: Data | None
    curves: Curves | None
    paths: tuple[Path2D, ...]

    @property
    def environment(self) -> str:
        """Id of the environment."""
        return str(self.result["environment"])

    @property
    def limit(self) -> float:
        """The cost limit that the run is judged by."""
        return float(self.result["evaluation_cost_limit"])

    @property
    def seeds(self) -> list[dict[str, Any]]:
        """The entries of `result.json`, one a seed."""
        return list(self.result["seeds"])

    @property
    def episode_costs(self) -> list[Doubles]:
        """For each seed, the cost of each evaluation episode."""
        return [np.asarray(seed["episode_costs"], np.float64) for seed in self.seeds]

    @property
    def episode_returns(self) -> list[Doubles]:
        """For each seed, the return of each evaluation episode."""
        return [np.asarray(seed["episode_returns"], np.float64) for seed in self.seeds]


def load(paths: Sequence[Path]) -> list[Run]:
    """Loads run folders; a folder that only holds run folders stands for them, in order of their names.

    Within a task and limit, runs whose every seed keeps the limit come first, by return; the rest by cost.

    Raises:
        GoodpathError: a folder is missing, or neither is nor holds a run, or one of its files is damaged.
    """
    folders = list(dict.fromkeys(folder.resolve() for path in paths for folder in _expand(path)))
    runs = [_load(folder) for folder in folders]
    labels = _labels(runs)
    runs = [replace(run, label=label) for run, label in zip(runs, labels, strict=True)]
    return sorted(runs, key=lambda run: (run.environment, run.limit, *_rank(run)))


def _rank(run: Run) -> tuple[bool, float]:
    if all(run.summary["keeps_limit"]):
        return False, -run.summary["return"]["mean"]
    return True, run.summary["cost"]["mean"]


def _expand(path: Path) -> list[Path]:
    if not path.is_dir():
        raise GoodpathError(
            f"{path} is not a folder; give the folder of a run, the --out of `goodpath train`."
        )
    if (path / "result.json").is_file():
        return [path]
    inside = sorted(child for child in path.iterdir() if (child / "result.json").is_file())
    if not inside:
        raise GoodpathError(
            f"{path} has no result.json and holds no run that has one; let its training finish, then report."
        )
    return inside


def _labels(runs: Sequence[Run]) -> list[str]:
    """Method names, made unique among the runs of one task and limit by preset, and at last by folder."""

    def unique(names: list[str], suffixes: list[str]) -> list[str]:
        count = Counter((run.environment, run.limit, name) for run, name in zip(runs, names, strict=True))
        return [
            f"{name} ({suffix})" if count[run.environment, run.limit, name] > 1 else name
            for run, name, suffix in zip(runs, names, suffixes, strict=True)
        ]

    names = [NAMES.get(run.result["method"], str(run.result["method"])) for run in runs]
    presets = [str(run.result["preset"]) for run in runs]
    return unique(unique(names, presets), [run.folder.name for run in runs])


def _load(folder: Path) -> Run:
    result, config = read_json(folder / "result.json"), read_json(folder / "config.json")
    try:
        returns = [seed["episode_returns"] for seed in result["seeds"]]
        costs = [seed["episode_costs"] for seed in result["seeds"]]
        limit, environment = float(result["evaluation_cost_limit"]), str(result["environment"])
        return Run(
            folder=folder,
            label=str(result["method"]),
            result=result,
            config=config,
            summary=summarize(returns, costs, limit, environment),
            data=_data(folder / "data.json"),
            curves=_curves(folder / "metrics.jsonl"),
            paths=_paths(folder / "paths.json"),
        )
    except KeyError as error:
        raise GoodpathError(f"a file of the run {folder} lacks the field {error}; train it again.") from None
    except (TypeError, ValueError) as error:
        raise GoodpathError(f"a file of the run {folder} is damaged ({error}); train it again.") from None


def _data(path: Path) -> Data | None:
    if not path.is_file():
        return None
    record = read_json(path)
    return Data(
        name=Path(record["path"]).name,
        sha256=str(record["sha256"]),
        steps=int(record["steps"]),
        returns=np.asarray(record["returns"], np.float64),
        costs=np.asarray(record["costs"], np.float64),
    )


def _curves(path: Path) -> Curves | None:
    """The last evaluation at each step counts: a resumed run may have written some twice."""
    if not path.is_file():
        return None
    lines = path.read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines if line.strip()]
    by_step = {float(record["step"]): record for record in records if record["kind"] == "evaluation"}
    if not by_step:
        return None
    steps = sorted(by_step)
    means = {
        key: np.array([[np.mean(episodes) for episodes in by_step[step][key]] for step in steps], np.float64)
        for key in ("returns", "costs")
    }
    return Curves(np.array(steps), means["returns"], means["costs"])


def _paths(path: Path) -> tuple[Path2D, ...]:
    if not path.is_file():
        return ()
    # The first episode of every seed comes before the second of any, so that a few stand for all seeds.
    return tuple(
        Path2D(
            scene=Scene(
                float(episode["scene"]["extent"]),
                tuple(_shape(shape) for shape in episode["scene"]["shapes"]),
            ),
            positions=np.asarray(episode["positions"], np.float64).reshape(-1, 2),
            costs=np.asarray(episode["costs"], np.float64),
            episode_return=float(episode["return"]),
        )
        for episode in sorted(read_json(path)["episodes"], key=lambda episode: int(episode["episode"]))
    )


def _shape(record: dict[str, Any]) -> Shape:
    size = record["size"]
    return Shape(
        kind=record["kind"],
        role=str(record["role"]),
        position=(float(record["position"][0]), float(record["position"][1])),
        size=(float(size[0]), float(size[1])) if isinstance(size, list) else float(size),
        angle=float(record.get("angle", 0.0)),
    )
