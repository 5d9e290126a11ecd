"""Going on from the networks of another run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from goodpath.errors import GoodpathError
from goodpath.training.checkpoint import read


def taken_over(states: Any, run: Path, parts: Mapping[str, str]) -> Any:
    """States with the networks of a run, its seeds in turn; optimisers, duals and all else stay as they are.

    Args:
        states: of all seeds, stacked along a leading axis.
        run: folder of the run.
        parts: name of each attribute to fill -> that of the one it is taken from.

    Raises:
        GoodpathError: the run has no such networks, or they have other sizes.
    """
    groups: dict[str, dict[int, Any]] = {}
    for name, leaf in read(run / "checkpoints").items():
        for part in set(parts.values()):
            if (place := _place(name, part)) >= 0:
                groups.setdefault(name[place:], {})[_group(name)] = leaf
    found = {name: np.concatenate([those[i] for i in sorted(those)]) for name, those in groups.items()}
    misfit = GoodpathError(
        f"the networks of {run} are of another kind or size; give a run of the same family of methods, in a task with "
        "the same observations, and the same --hidden, --normalize and --near."
    )
    paths = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_flatten_with_path(states)[0]]
    for part, source in parts.items():
        there = any(name.startswith(f".{source}.") for name in found)
        if there and all(_place(name, part) < 0 for name in paths):
            raise misfit

    def taken(path: Any, leaf: Array) -> Array:
        name = jax.tree_util.keystr(path)
        for part, source in parts.items():
            place = _place(name, part)
            if place < 0:
                continue
            value = found.get(f".{source}.{name[place + len(part) + 2 :]}")
            if value is None or value.shape[1:] != leaf.shape[1:]:
                raise misfit
            return jnp.asarray(value[np.arange(len(leaf)) % len(value)], leaf.dtype)
        return leaf

    return jax.tree_util.tree_map_with_path(taken, states)


def _group(name: str) -> int:
    """Which group of seeds a leaf is of, by its path; 0 where a run has no groups."""
    return int(name[1 : name.index("]")]) if name.startswith("[") else 0


def _place(name: str, part: str) -> int:
    """Where an attribute begins in the path of a leaf; -1 where it does not occur, or is that of an optimiser."""
    # What comes before is how a method keeps its networks; moments of Adam have names of their own.
    return -1 if "optimizer" in name else name.find(f".{part}.")
