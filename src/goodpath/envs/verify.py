"""Compares environments with recordings of safety-gymnasium 1.0.0, whatever the family of the task."""

from pathlib import Path
from typing import Any, Protocol
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray


class Verdict(Protocol):
    """What came of one recording."""

    @property
    def task(self) -> str:
        """Name of the environment."""

    @property
    def steps(self) -> int:
        """Recorded steps that were compared."""

    @property
    def passed(self) -> bool:
        """Whether the environment does what the recording says."""

    def to_json(self) -> dict[str, Any]:
        """Everything as plain values."""


def verify(path: Path) -> Verdict:
    """Compares the environment that a recording is of with the recording.

    Raises:
        GoodpathError: the file is missing, is no recording, or records a task that is not there.
    """
    from goodpath.envs import velocity_verify
    from goodpath.envs.navigation import verify as navigation_verify

    recording = _velocity_recording(path)
    if recording is not None:
        return velocity_verify.verify(recording, path)
    return navigation_verify.verify(path)  # which also says what is wrong with a file that is no recording


def _velocity_recording(path: Path) -> dict[str, NDArray[Any]] | None:
    """The arrays of a recording of a velocity task; None where the file is anything else."""
    try:
        with np.load(path, allow_pickle=False) as file:
            if "Velocity" not in str(file["task"]):
                return None
            return {key: file[key] for key in file.files if not key.startswith("model_")}
    except (OSError, KeyError, ValueError, BadZipFile, AttributeError):
        return None
