"""The oracle of labels that people gave, kept in a CSV file."""

import csv
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from goodpath.errors import GoodpathError
from goodpath.oracles import BAD, GOOD, NEITHER, Labels, Oracle
from goodpath.trajectories import Outcomes

_WORDS = {"good": GOOD, "bad": BAD, "neither": NEITHER, "1": GOOD, "-1": BAD, "0": NEITHER}


@dataclass(frozen=True)
class LabelFile(Oracle):
    """Labels from a CSV file with the columns `trajectory` and `label`; more columns may stand beside them.

    A label is good, bad or neither in any case, or 1, -1 or 0. Trajectories are counted from 0 in the order
    of the data set; those without a row are `NEITHER`. A segment has the label of what it was cut from.

    Attributes:
        path: the file; it is read once, when the oracle is made, and raises GoodpathError with the number of
            the line that is wrong.
        labels: trajectory -> label, as read.
    """

    path: str | Path
    labels: dict[int, int] = field(init=False, repr=False, hash=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", _read(Path(self.path)))

    def __call__(self, outcomes: Outcomes) -> Labels:
        """Labels by parent.

        Raises:
            GoodpathError: the file speaks of none of the trajectories.
        """
        parents = outcomes.parents.tolist()
        if parents and self.labels.keys().isdisjoint(parents):
            raise GoodpathError(
                f"{self.path} labels no trajectory that is in the data; is it for another data set?"
            )
        return np.array([self.labels.get(parent, NEITHER) for parent in parents], np.int8)


def _read(path: Path) -> dict[int, int]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise GoodpathError(f"cannot read the label file {path}: {error}.") from error
    header = rows[0][1] if rows else []
    if not {"trajectory", "label"} <= set(header):
        raise GoodpathError(
            f"{path}: the first line names the columns, trajectory,label, not {','.join(header)!r}."
        )
    labels: dict[int, int] = {}
    for line, cells in rows[1:]:
        row = dict(zip(header, cells, strict=False))
        number, word = row.get("trajectory", ""), row.get("label", "").lower()
        if not (number.isascii() and number.isdigit()):
            raise GoodpathError(f"{path} line {line}: a trajectory is a number from 0 on, not '{number}'.")
        if word not in _WORDS:
            raise GoodpathError(
                f"{path} line {line}: a label is good, bad, neither, 1, -1 or 0, not '{word}'."
            )
        if int(number) in labels:
            raise GoodpathError(
                f"{path} line {line}: trajectory {number} has a label already; keep one of them."
            )
        labels[int(number)] = _WORDS[word]
    if not labels:
        raise GoodpathError(
            f"{path} has no labels; write one line for each labelled trajectory, such as 0,good."
        )
    return labels
