"""Checkpoints of a whole training state with Orbax: written whole or not at all, read back bit for bit."""

import shutil
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from goodpath.errors import GoodpathError

KEEP = 2  # the newest, and one before it in case a disk failure spoiled the newest


def _leaves(tree: Any) -> dict[str, Array]:
    """Every leaf by its path; random keys as their bits, which is what a file can hold."""
    flat, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {jax.tree_util.keystr(path): _bits(leaf) for path, leaf in flat}


def _bits(leaf: Array) -> Array:
    return jax.random.key_data(leaf) if _is_key(leaf) else leaf


def _is_key(leaf: Array) -> bool:
    return bool(jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key))


def save(folder: Path, step: int, state: Any, about: dict[str, Any]) -> None:
    """Saves `state` as `folder/<step>`, then removes all but the newest checkpoints.

    Orbax writes into a temporary folder and renames it at the end, so that a killed process leaves either a
    whole checkpoint or none.

    Args:
        folder: the run's `checkpoints` folder.
        step: updates done.
        state: a pytree of arrays and random keys.
        about: small JSON facts to get back with it.
    """
    import orbax.checkpoint as ocp

    folder = folder.resolve()
    target = folder / f"{step:09d}"
    if target.exists():
        return
    arguments = ocp.args.Composite(
        state=ocp.args.StandardSave(jax.tree.map(np.asarray, _leaves(state))), about=ocp.args.JsonSave(about)
    )
    with ocp.Checkpointer(ocp.CompositeCheckpointHandler("state", "about")) as checkpointer:
        checkpointer.save(target, arguments)
    for old in steps(folder)[:-KEEP]:
        shutil.rmtree(folder / f"{old:09d}")


def steps(folder: Path) -> list[int]:
    """Steps of the whole checkpoints in a folder, oldest first."""
    if not folder.is_dir():
        return []
    return sorted(int(entry.name) for entry in folder.iterdir() if entry.is_dir() and entry.name.isdigit())


def restore(folder: Path, like: Any) -> tuple[Any, dict[str, Any]] | None:
    """Reads the newest readable checkpoint of a folder.

    Args:
        folder: the run's `checkpoints` folder.
        like: a state of the same structure.

    Returns:
        The state and what was saved about it; None where there is no checkpoint.

    Raises:
        GoodpathError: there are checkpoints, but none of them can be read.
    """
    import orbax.checkpoint as ocp

    folder = folder.resolve()
    for leftover in folder.glob("*.orbax-checkpoint-tmp*"):
        shutil.rmtree(leftover, ignore_errors=True)
    template = jax.tree.map(np.asarray, _leaves(like))
    failure: Exception | None = None
    for step in reversed(steps(folder)):
        try:
            with ocp.Checkpointer(ocp.CompositeCheckpointHandler("state", "about")) as checkpointer:
                read = checkpointer.restore(
                    folder / f"{step:09d}",
                    ocp.args.Composite(
                        state=ocp.args.StandardRestore(template), about=ocp.args.JsonRestore()
                    ),
                )
        except Exception as error:  # whatever a damaged folder makes Orbax raise
            failure = error
            continue
        flat, structure = jax.tree_util.tree_flatten_with_path(like)
        leaves = [_unbits(read["state"][jax.tree_util.keystr(path)], leaf) for path, leaf in flat]
        return jax.tree_util.tree_unflatten(structure, leaves), read["about"]
    if failure is not None:
        raise GoodpathError(
            f"no checkpoint in {folder} can be read ({type(failure).__name__}); restore the folder from a copy, "
            "or start the run anew with --out elsewhere."
        ) from failure
    return None


def read(folder: Path) -> dict[str, Any]:
    """Every leaf of the newest checkpoint of a folder by its path, as NumPy.

    Raises:
        GoodpathError: there is none, or it cannot be read.
    """
    import orbax.checkpoint as ocp

    there = steps(folder)
    if not there:
        raise GoodpathError(f"there is no checkpoint in {folder}; give the folder of a run that has one.")
    try:
        with ocp.Checkpointer(ocp.CompositeCheckpointHandler("state", "about")) as checkpointer:
            state = checkpointer.restore(
                folder.resolve() / f"{there[-1]:09d}", ocp.args.Composite(state=ocp.args.StandardRestore())
            )["state"]
    except Exception as error:  # whatever a damaged folder makes Orbax raise
        raise GoodpathError(f"the checkpoint in {folder} cannot be read ({type(error).__name__}).") from error
    return {name: np.asarray(leaf) for name, leaf in state.items()}


def _unbits(value: Any, like: Array) -> Array:
    array = jnp.asarray(value)
    return jax.random.wrap_key_data(array) if _is_key(like) else array
