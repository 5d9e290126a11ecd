"""What determines a run: method, options, data, task, limits, seeds."""

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from goodpath import methods
from goodpath.errors import GoodpathError, nearest
from goodpath.files import read_json
from goodpath.methods.contract import Method
from goodpath.training.loop import Schedule

SCHEMA = 1


@dataclass(frozen=True)
class Job:
    """All that determines a run; `config.json` is this, written out.

    Attributes:
        method: name of the method.
        preset: where the options started from.
        options: every option of the method.
        data: path of the data file; empty for a method that acts while it learns.
        data_sha256: of its bytes.
        environment: task that evaluates the policy, and in which online methods learn; empty to train from data
            without a simulator.
        cost_limit: limit on the episode cost that training keeps to.
        report_limit: limit that evaluations are held against.
        seeds: one policy is trained for each.
        schedule: how often to log, evaluate and save.
        command: what the person typed.
    """

    method: str
    preset: str
    options: dict[str, Any]
    data: str
    data_sha256: str
    environment: str
    cost_limit: float
    report_limit: float
    seeds: tuple[int, ...]
    schedule: Schedule = field(default_factory=Schedule)
    command: str = ""

    def config(self) -> Any:
        """The method's configuration."""
        return make_config(methods.find(self.method), self.preset, self.options)


def make_config(method: Method, preset: str, options: dict[str, Any]) -> Any:
    """The method's configuration: a preset with some options changed.

    Raises:
        GoodpathError: there is no such preset or option.
    """
    if preset not in method.presets:
        known = list(method.presets)
        raise GoodpathError(
            f"{method.name} has no preset '{preset}'; it has {', '.join(known)}.{nearest(preset, known)}"
        )
    base = method.presets[preset]
    for name in options:
        if name not in asdict(base):
            raise GoodpathError(f"{method.name} has no option '{name}'.{nearest(name, list(asdict(base)))}")
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in options.items()}
    return replace(base, **values)


def load_job(folder: Path) -> Job:
    """What `config.json` of a run folder says.

    Raises:
        GoodpathError: there is no run in the folder.
    """
    values = read_json(folder / "config.json")
    try:
        if values.pop("schema") != SCHEMA:
            raise KeyError("schema")
        values.pop("steps")
        values["schedule"] = Schedule(**values["schedule"])
        values["seeds"] = tuple(values["seeds"])
        return Job(**values)
    except (KeyError, TypeError, AttributeError) as error:
        raise GoodpathError(
            f"{folder / 'config.json'} was not written by this version of goodpath ({error}); start a new run."
        ) from None
