"""What every environment asks of the seeds and the actions that it is given."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goodpath.envs.vector import Array
from goodpath.errors import GoodpathError
from goodpath.spec import Spec


def seeds_of(seed: int | Sequence[int], num_envs: int) -> list[int]:
    """One seed for each environment: from a number s, environment i gets s + i.

    Raises:
        GoodpathError: a seed is outside [0, 2³²), or a sequence has the wrong length.
    """
    seeds = (
        [int(seed) + i for i in range(num_envs)]
        if isinstance(seed, int | np.integer)
        else [int(value) for value in seed]
    )
    if len(seeds) != num_envs:
        raise GoodpathError(f"{len(seeds)} seeds were given for {num_envs} environments; give one each.")
    for value in seeds:
        if not 0 <= value < 2**32:
            raise GoodpathError(f"{value} is no seed; give a whole number from 0 to 4294967295.")
    return seeds


def actions_of(actions: NDArray[Any], spec: Spec, num_envs: int, started: bool) -> Array:
    """(num_envs, action) the actions as float64, not clipped.

    Raises:
        GoodpathError: the shape is wrong, a number is not finite, or the environment was never reset.
    """
    if not started:
        raise GoodpathError("step was called before reset; call reset first.")
    checked = np.asarray(actions, np.float64)
    expected = (num_envs, spec.action_size)
    if checked.shape != expected:
        raise GoodpathError(
            f"actions have shape {checked.shape}, but {num_envs} copies of {spec.name} take {expected}."
        )
    finite = np.isfinite(checked).all(1)
    if not finite.all():
        row = int(np.flatnonzero(~finite)[0])
        raise GoodpathError(f"the action of environment {row} is {checked[row]}; actions must be finite.")
    return checked
