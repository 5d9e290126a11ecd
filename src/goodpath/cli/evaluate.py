"""`goodpath evaluate`: run seeded episodes of trained policies."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass(frozen=True)
class Arguments:
    """Run seeded episodes of the policies of a run and say what they earn and cost.

    The same command gives the same numbers. A run's own `result.json` stays as training wrote it.
    """

    run: Annotated[Path, tyro.conf.Positional]
    """Folder of a finished run, or one policy file."""
    episodes: int = 20
    """Episodes of each policy."""
    env: str = ""
    """Task; the one it was trained for when left out."""
    cost_limit: float | None = None
    """Limit to hold the cost against; the training limit when left out."""
    seed: int = 1_000_000
    """Episode e starts from seed + e."""
    stochastic: bool = False
    """Sample actions instead of taking the most likely ones."""
    out: Path | None = None
    """Also write the scores to this JSON file."""
    json: bool = False
    """Print the scores as JSON."""


def main(arguments: list[str]) -> int:
    """Runs the command."""
    options = tyro.cli(Arguments, args=arguments, prog="goodpath evaluate")
    from goodpath.files import write_json
    from goodpath.training.results import evaluate

    scores = evaluate(
        options.run, options.env, options.episodes, options.cost_limit, options.seed, options.stochastic
    )
    if options.out is not None:
        write_json(options.out, scores)
    if options.json:
        print(json.dumps(scores))
        return 0
    from goodpath.cli.train import describe

    print(describe(scores))
    summary = scores["summary"]
    low, high = summary["above_limit"]["interval"]
    print(
        f"all: return {summary['return']['mean']:.2f}, cost {summary['cost']['mean']:.2f} of "
        f"{scores['evaluation_cost_limit']:g} (trained for {scores['cost_limit']:g}), "
        f"{100 * summary['above_limit']['share']:.0f} % of episodes above it ({100 * low:.0f} to {100 * high:.0f} %)"
    )
    return 0
