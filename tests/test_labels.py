from pathlib import Path

import numpy as np
import pytest

from goodpath.errors import GoodpathError
from goodpath.labels import LabelFile
from goodpath.trajectories import Dataset, Trajectory


def data_of(lengths: list[int]) -> Dataset:
    def one(length: int) -> Trajectory:
        matrix, vector = np.zeros((length, 1), np.float32), np.zeros(length, np.float32)
        return Trajectory(matrix, matrix, matrix, vector, vector, True, False)

    return Dataset.from_trajectories([one(length) for length in lengths])


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_labels_are_read_in_every_spelling(tmp_path: Path) -> None:
    path = write(
        tmp_path / "labels.csv",
        "\ufefftrajectory, label,who\r\n0,good,Ann\r\n1, BAD ,Bob\n\n3,-1,\n4,1\n5,Neither,x\n7,0\n99,good\n",
    )
    oracle = LabelFile(path)
    assert oracle(data_of([2] * 8).outcomes()).tolist() == [1, -1, 0, -1, 1, 0, 0, 0]
    assert oracle(data_of([2] * 8).outcomes()).dtype == np.int8
    assert oracle.scaled(0.5) == oracle


def test_a_segment_has_the_label_of_its_trajectory(tmp_path: Path) -> None:
    oracle = LabelFile(write(tmp_path / "labels.csv", "label,trajectory\ngood,0\nbad,1\n"))
    data = data_of([4, 6, 2])
    starts = np.array([7, 0, 2, 10, 4])
    assert oracle(data.outcomes(starts, starts + 2)).tolist() == [-1, 1, 1, 0, -1]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "the first line names the columns, trajectory,label"),
        ("0,good\n", "the columns, trajectory,label, not '0,good'"),
        ("trajectory,label\n", "has no labels"),
        (
            "trajectory,label\n0,good\n1,great\n",
            "line 3: a label is good, bad, neither, 1, -1 or 0, not 'great'",
        ),
        ("trajectory,label\n\n-1,good\n", "line 3: a trajectory is a number from 0 on, not '-1'"),
        ("trajectory,label\n1.5,good\n", "line 2: a trajectory is a number"),
        ("trajectory,label\n4\n", "line 2: a label is"),
        ("trajectory,label\n4,good\n5,bad\n4,good\n", "line 4: trajectory 4 has a label already"),
    ],
)
def test_errors_name_the_file_and_the_line(tmp_path: Path, text: str, sentence: str) -> None:
    path = write(tmp_path / "labels.csv", text)
    with pytest.raises(GoodpathError) as caught:
        LabelFile(path)
    assert str(path) in str(caught.value)
    assert sentence in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(GoodpathError, match=r"cannot read the label file .*none\.csv"):
        LabelFile(tmp_path / "none.csv")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(GoodpathError, match="cannot read the label file"):
        LabelFile(tmp_path / "binary.csv")


def test_labels_of_another_data_set_are_refused(tmp_path: Path) -> None:
    oracle = LabelFile(write(tmp_path / "labels.csv", "trajectory,label\n500,good\n"))
    with pytest.raises(GoodpathError, match="labels no trajectory that is in the data"):
        oracle(data_of([2, 2]).outcomes())
