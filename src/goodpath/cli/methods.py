"""`goodpath methods`: list the methods."""

from dataclasses import dataclass

import tyro

from goodpath.methods import METHODS


@dataclass(frozen=True)
class Arguments:
    """List the methods; `goodpath explain METHOD` says more about one."""


def main(arguments: list[str]) -> int:
    """Runs the command."""
    tyro.cli(Arguments, args=arguments, prog="goodpath methods")
    for name, (_, summary) in METHODS.items():
        print(f"{name:<12} {summary}")
    return 0
