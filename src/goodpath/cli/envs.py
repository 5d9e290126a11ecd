"""`goodpath envs`: what environments there are, and whether they do what safety-gymnasium 1.0.0 does."""

import json as json_format
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

if TYPE_CHECKING:
    from goodpath.envs.verify import Verdict


@dataclass(frozen=True)
class ListArgs:
    """Lists the environments. `goodpath envs verify RECORDING.npz` compares one with the original."""

    json: bool = False
    """Print JSON lines instead of a table."""


@dataclass(frozen=True)
class VerifyArgs:
    """Compares the environments with recordings of safety-gymnasium 1.0.0, step by step."""

    recordings: tyro.conf.Positional[Annotated[tuple[Path, ...], tyro.conf.arg(metavar="RECORDING.npz ...")]]
    """Recordings to compare with."""

    json: bool = False
    """Print one JSON object a recording instead of a table."""


def main(arguments: list[str]) -> int:
    """Runs `goodpath envs` or `goodpath envs verify`, and returns the exit code."""
    if arguments[:1] == ["verify"]:
        return _verify(tyro.cli(VerifyArgs, args=arguments[1:], prog="goodpath envs verify"))
    return _list(tyro.cli(ListArgs, args=arguments, prog="goodpath envs"))


def _list(args: ListArgs) -> int:
    from goodpath import envs

    rows = []
    for name in envs.names():
        env = envs.make(name)
        rows.append(
            {
                "name": name,
                "observation": env.spec.observation_size,
                "action": env.spec.action_size,
                "episode_length": env.spec.episode_length,
                "summary": envs.describe(name),
            }
        )
        env.close()
    if args.json:
        for row in rows:
            print(json_format.dumps(row))
        return 0

    from rich.console import Console
    from rich.table import Column, Table

    table = Table(Column("environment", no_wrap=True), box=None)
    for column in ("observation", "action", "episode"):
        table.add_column(column, justify="right")
    table.add_column("what it is")
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    Console().print(table)
    return 0


def _verify(args: VerifyArgs) -> int:
    from goodpath.envs.verify import verify
    from goodpath.errors import GoodpathError

    if not args.recordings:
        raise GoodpathError("no recording was given; give the path of at least one .npz file.")
    verdicts = []
    for path in args.recordings:
        verdicts.append(verify(path))
        if args.json:
            print(json_format.dumps(verdicts[-1].to_json()), flush=True)
        else:
            _show(verdicts[-1])
    return 0 if all(verdict.passed for verdict in verdicts) else 1


def _show(verdict: "Verdict") -> None:
    from rich import print as show

    record = verdict.to_json()
    mark = "[green]passed[/green]" if verdict.passed else "[red]failed[/red]"
    show(f"[bold]{verdict.task}[/bold], {verdict.steps} steps: {mark}")
    for part in ("formulas", "physics"):
        for name, value in record[part].items():
            text = "-" if value is None else f"{value:.1e}" if isinstance(value, float) else str(value)
            show(f"  {part:<8}  {name.replace('_', ' '):<24}{text:>10}")
