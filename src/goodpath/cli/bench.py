"""`goodpath bench envs`: how fast the navigation environments are, as a share of bare physics."""

import json as json_format
from dataclasses import dataclass
from typing import Literal

import tyro

from goodpath.errors import GoodpathError, nearest


@dataclass(frozen=True)
class EnvsArgs:
    """Steps navigation tasks under random actions, by turns with bare `mj_step` of the same scenes."""

    task: tuple[str, ...] = ("SafetyPointGoal1-v0",)
    """Navigation tasks to measure; `all` for every one."""

    num_envs: int = 32
    """Copies, stepped together."""

    threads: int = 2
    """Threads, for environment and bare physics alike."""

    physics: Literal["exact", "fast"] = "fast"
    """`fast` lets resting objects sleep."""

    rounds: int = 8
    """How often each takes its turn of fifty steps."""

    json: bool = False
    """Print one JSON object a task instead of a table."""


def main(arguments: list[str]) -> int:
    """Runs `goodpath bench envs`, and returns the exit code."""
    if arguments[:1] not in (["envs"], ["-h"], ["--help"]):
        given = arguments[0] if arguments else "nothing"
        raise GoodpathError(
            f"there is no benchmark of '{given}'; `goodpath bench envs` measures environments."
        )
    if arguments[0] == "envs":
        arguments = arguments[1:]
    args = tyro.cli(EnvsArgs, args=arguments, prog="goodpath bench envs")

    from goodpath.envs.navigation.speed import measure
    from goodpath.envs.navigation.variants import EVERY_TASK

    names = list(EVERY_TASK) if args.task == ("all",) else args.task
    if min(args.num_envs, args.threads, args.rounds) < 1:
        raise GoodpathError("num_envs, threads and rounds must be at least 1.")
    for name in names:
        if name not in EVERY_TASK:
            raise GoodpathError(f"there is no navigation task '{name}'.{nearest(name, list(EVERY_TASK))}")
    if not args.json:
        print(f"{'task':<28}{'steps/s':>10}{'raw/s':>10}{'share':>8}{'reset':>14}")
    for name in names:
        speed = measure(EVERY_TASK[name], args.num_envs, args.threads, args.physics, args.rounds)
        if args.json:
            print(json_format.dumps(speed.to_json()), flush=True)
        else:
            print(
                f"{name:<28}{speed.steps_per_second:>10,.0f}{speed.raw_steps_per_second:>10,.0f}"
                f"{speed.share_of_raw:>8.0%}{speed.reset_in_steps:>8.1f} steps",
                flush=True,
            )
    return 0
