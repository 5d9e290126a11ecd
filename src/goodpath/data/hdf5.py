"""Data sets in the HDF5 layout of DSRL (arXiv 2306.09303): seven flat arrays, one trajectory after another.

| key | shape | type as we write it |
|---|---|---|
| observations, next_observations | (N, observation) | float32 |
| actions | (N, action), in [-1, 1] | float32 |
| rewards, costs | (N,) | float32 |
| terminals, timeouts | (N,) | bool |

Files of DSRL may hold other number types, flags as 0 and 1, and (N, 1) where (N,) is meant; all of these are
read. What cannot be right is refused with a sentence that says where it is.
"""

from dataclasses import replace
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np
from numpy.typing import NDArray

from goodpath.data import dsrl
from goodpath.data._files import existing_file, temporary_beside
from goodpath.errors import GoodpathError
from goodpath.files import publish
from goodpath.spec import Spec
from goodpath.trajectories import Dataset, Trajectory

_MATRICES = ("observations", "next_observations", "actions")
_FLAGS = ("terminals", "timeouts")
_ACTION_TOLERANCE = 1e-6  # single precision may round a bound up
_CHUNK_BYTES = 2**18
_BUFFER_BYTES = 2**24


def load(path: str | Path, spec: Spec | None = None, repair: bool = False) -> Dataset:
    """Reads and checks a data set.

    Its environment is the file's attribute `environment`, else the DSRL task that the file is named after.

    Args:
        path: an HDF5 file with the seven keys.
        spec: sizes and action bounds that the data must have.
        repair: takes steps after the last end flag as one more trajectory, cut by time.

    Raises:
        GoodpathError: the file is missing or damaged, or its content is not a sound data set.
    """
    path = existing_file(Path(path))
    try:
        with h5py.File(path, "r") as file:
            shapes = _shapes(file, path)
            _check_shapes(shapes, str(path))
            arrays = {key: _read(file[key], len(shapes[key]), path, key) for key in Dataset.KEYS}
            environment = file.attrs.get("environment", "")
    except (OSError, RuntimeError, KeyError, ValueError) as error:  # h5py raises each of them for some damage
        reason = " ".join(str(error).split())
        raise GoodpathError(
            f"{path} is no HDF5 file, or is cut short or damaged ({reason}); download or write it again."
        ) from error
    if isinstance(environment, bytes):
        environment = environment.decode()
    if not environment and (task := dsrl.guess(path.name)):
        environment = task.environment
    dataset = Dataset(**arrays, environment=str(environment))
    if repair:
        timeouts = dataset.timeouts.copy()
        timeouts[-1] |= not dataset.terminals[-1]
        dataset = replace(dataset, timeouts=timeouts)
    check(dataset, str(path), spec)
    return dataset


def save(dataset: Dataset, path: str | Path) -> None:
    """Writes a data set; the file is there whole or not at all.

    Raises:
        GoodpathError: the data set would be refused by `load`, or the file cannot be written.
    """
    with Writer(path, dataset.environment) as writer:
        writer.extend(dataset)


class Writer:
    """Writes trajectories to a file as they come, for data that need not fit into memory.

    The file appears under its name when the `with` block ends well. After an exception, or if the process
    dies, what was there before is untouched.

        with Writer("circle.hdf5", environment="SafetyPointCircle1-v0") as writer:
            for trajectory in trajectories:
                writer.append(trajectory)
    """

    def __init__(self, path: str | Path, environment: str = "", spec: Spec | None = None) -> None:
        """Opens nothing yet.

        Args:
            path: the file to write, replaced if it exists.
            environment: id of the environment, kept as an attribute of the file.
            spec: sizes and action bounds that every trajectory must have.
        """
        self.path = Path(path)
        self.environment = environment
        self.spec = spec
        self.num_steps = 0
        self._waiting: list[Dataset] = []
        self._sizes: tuple[int, int] | None = None

    def __enter__(self) -> Self:
        self._temporary = temporary_beside(self.path)
        self._sink = _Sink(self._temporary, self.path)
        self._file = h5py.File(self._sink, "w")
        if self.environment:
            self._file.attrs["environment"] = self.environment
        return self

    def append(self, trajectory: Trajectory) -> None:
        """Adds one trajectory; with neither end flag it is taken as cut by time.

        Raises:
            GoodpathError: the trajectory is not sound, or its sizes differ from those before it.
        """
        self.extend(Dataset.from_trajectories([trajectory]))

    def extend(self, dataset: Dataset) -> None:
        """Adds all trajectories of a data set.

        Raises:
            GoodpathError: as for `append`.
        """
        where = f"cannot add to {self.path} after {self.num_steps} steps"
        check(dataset, where, self.spec)
        sizes = dataset.observation_size, dataset.action_size
        if self._sizes not in (None, sizes):
            raise GoodpathError(
                f"{where}: observations and actions have lengths {sizes}, but those before {self._sizes}."
            )
        self._sizes = sizes
        self.num_steps += dataset.num_steps
        self._waiting.append(dataset)
        if sum(waiting.observations.nbytes for waiting in self._waiting) > _BUFFER_BYTES:
            self._flush()

    def _flush(self) -> None:
        """Writes what waits. Many trajectories at once, as each write compresses the last chunk anew."""
        for key in Dataset.KEYS:
            arrays = [getattr(waiting, key) for waiting in self._waiting]
            array = arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
            if key not in self._file:
                self._create(key, array.shape[1:])
            stored = self._file[key]
            first = len(stored)
            stored.resize(first + len(array), axis=0)
            stored[first:] = array
        self._waiting.clear()
        self._sink.check()

    def _create(self, key: str, width: tuple[int, ...]) -> None:
        rows = max(1, _CHUNK_BYTES // (4 * int(np.prod(width))))
        kind = np.bool_ if key in _FLAGS else np.float32
        self._file.create_dataset(
            key, (0, *width), kind, maxshape=(None, *width), chunks=(rows, *width), compression="gzip"
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                if not self.num_steps:
                    raise GoodpathError(f"no trajectory was written, so {self.path} was not made.")
                if self._waiting:
                    self._flush()
                self._file.close()
                self._sink.check()
                publish(self._temporary, self.path)
        finally:
            self._file.close()
            self._sink.close()
            self._temporary.unlink(missing_ok=True)


class _Sink(FileIO):
    """A file that keeps the news of a full disk for `check`: HDF5 may crash when it is told itself."""

    def __init__(self, temporary: Path, target: Path) -> None:
        try:
            super().__init__(temporary, "w+")
        except OSError as error:
            raise GoodpathError(f"cannot write {target}: {error.strerror}.") from error
        self._target = target
        self._error: OSError | None = None

    def write(self, data: Any) -> int:
        rest = memoryview(data)
        try:
            while len(rest):
                rest = rest[super().write(rest) :]
        except OSError as error:
            self._error = self._error or error
        return len(data)

    def truncate(self, size: int | None = None) -> int:
        try:
            return super().truncate(size)
        except OSError as error:
            self._error = self._error or error
            return size or 0

    def check(self) -> None:
        if self._error is not None:
            raise GoodpathError(
                f"cannot write {self._target}: {self._error.strerror}; make room or name another folder."
            ) from self._error


def check(dataset: Dataset, where: str, spec: Spec | None = None) -> None:
    """Refuses a data set that no method should learn from.

    Args:
        dataset: what to look at.
        where: names the data in the message, such as the path of its file.
        spec: sizes and action bounds that it must have; bounds of [-1, 1] when left out.

    Raises:
        GoodpathError: names the first defect found and the step where it is.
    """
    _check_shapes({key: getattr(dataset, key).shape for key in Dataset.KEYS}, where)
    if spec is not None:
        _check_spec(dataset, where, spec)
    for key in ("observations", "next_observations", "actions", "rewards", "costs"):
        array = getattr(dataset, key)
        # The extremes carry every NaN and infinity, and need no array as large as the data.
        with np.errstate(invalid="ignore"):
            extremes = np.array([array.min(), array.max()])
        if not np.isfinite(extremes).all():
            row = _first_row(~np.isfinite(array))
            raise GoodpathError(f"{where}: {key} hold NaN or infinity, first at step {row}.")
    _check_ends(dataset, where)
    if dataset.costs.min() < 0:
        row = _first_row(dataset.costs < 0)
        raise GoodpathError(
            f"{where}: costs are not negative, but the cost of step {row} is {dataset.costs[row]:g}."
        )
    low, high = (-1.0, 1.0) if spec is None else (spec.action_low, spec.action_high)
    least, most = low - _ACTION_TOLERANCE, high + _ACTION_TOLERANCE
    if dataset.actions.min() < least or dataset.actions.max() > most:
        row = _first_row((dataset.actions < least) | (dataset.actions > most))
        raise GoodpathError(
            f"{where}: actions lie in [{low:g}, {high:g}], but step {row} has"
            f" {dataset.actions[row].tolist()}; scale them to this range."
        )


def _check_shapes(shapes: dict[str, tuple[int, ...]], where: str) -> None:
    for key, shape in shapes.items():
        wanted = 2 if key in _MATRICES else 1
        if len(shape) != wanted or 0 in shape[1:]:
            form = "(steps, size)" if wanted == 2 else "(steps,)"
            raise GoodpathError(f"{where}: {key} have shape {shape}, but need {form}.")
    if len({shape[0] for shape in shapes.values()}) > 1:
        lengths = ", ".join(f"{key} {shape[0]}" for key, shape in shapes.items())
        raise GoodpathError(f"{where}: the keys differ in their number of steps: {lengths}.")
    if shapes["rewards"][0] == 0:
        raise GoodpathError(f"{where}: there is not a single step (0 rows); collect or download data first.")
    if shapes["observations"] != shapes["next_observations"]:
        sizes = shapes["observations"][1], shapes["next_observations"][1]
        raise GoodpathError(
            f"{where}: observations of length {sizes[0]} have next_observations of length {sizes[1]}."
        )


def _check_spec(dataset: Dataset, where: str, spec: Spec) -> None:
    for what, have, want in (
        ("observations", dataset.observation_size, spec.observation_size),
        ("actions", dataset.action_size, spec.action_size),
    ):
        if have != want:
            raise GoodpathError(
                f"{where}: {what} have length {have}, but {spec.name or 'the environment'} has {want};"
                " is this the file of another task?"
            )


def _check_ends(dataset: Dataset, where: str) -> None:
    mend = "set timeouts on the last step, or load the file with repair=True"
    if len(dataset) == 0:
        raise GoodpathError(
            f"{where}: no trajectory ends in {dataset.num_steps} steps, as terminals and timeouts are"
            f" never true; {mend}."
        )
    rest = dataset.num_steps - int(dataset.ends[-1])
    if rest:
        raise GoodpathError(
            f"{where}: the last trajectory ends at step {dataset.ends[-1] - 1}, and {rest} of"
            f" {dataset.num_steps} steps after it would belong to none; {mend}."
        )


def _first_row(bad: NDArray[np.bool_]) -> int:
    return int(np.argmax(bad.reshape(len(bad), -1).any(axis=1)))


def _shapes(file: Any, path: Path) -> dict[str, tuple[int, ...]]:
    """Shapes of the seven keys, with (N, 1) taken as (N,) where that is meant."""
    missing = [key for key in Dataset.KEYS if not isinstance(file.get(key), h5py.Dataset)]
    if missing:
        found = ", ".join(sorted(map(str, file))) or "nothing"
        raise GoodpathError(
            f"{path} lacks {', '.join(missing)}; the keys are {', '.join(Dataset.KEYS)}, it holds {found}."
        )
    shapes = {key: tuple(file[key].shape) for key in Dataset.KEYS}
    return {
        key: shape[:1] if key not in _MATRICES and shape[1:] == (1,) else shape
        for key, shape in shapes.items()
    }


def _read(stored: Any, dimensions: int, path: Path, key: str) -> NDArray[Any]:
    if stored.dtype.kind not in ("fiub" if key in _FLAGS else "fiu"):
        raise GoodpathError(f"{path}: {key} are of type {stored.dtype}, but have to be numbers.")
    if key not in _FLAGS:
        values = stored.astype(np.float32)[()]
    else:
        raw = stored[()]
        values = raw != 0
        odd = values & (raw != 1)
        if odd.any():
            row = _first_row(odd)
            raise GoodpathError(f"{path}: {key} are true or false (1 or 0), but step {row} has {raw[row]}.")
    shape = (len(values),) if dimensions == 1 else values.shape
    return np.asarray(values).reshape(shape)
