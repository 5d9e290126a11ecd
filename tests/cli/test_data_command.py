import json
from pathlib import Path

import numpy as np
import pytest

from goodpath.cli import main
from goodpath.data import hdf5
from goodpath.trajectories import Dataset, Trajectory


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Four trajectories with costs 0, 10, 20, 30, returns 1, 2, 3, 4 and lengths 30 to 60."""

    def one(index: int) -> Trajectory:
        length = 30 + 10 * index
        states, actions = np.zeros((length, 28), np.float32), np.zeros((length, 2), np.float32)
        rewards, costs = np.zeros(length, np.float32), np.zeros(length, np.float32)
        rewards[0] = index + 1
        costs[: 10 * index] = 1
        return Trajectory(states, states, actions, rewards, costs, index == 0, index != 0)

    path = tmp_path / "circle.hdf5"
    hdf5.save(Dataset.from_trajectories([one(i) for i in range(4)], "SafetyPointCircle1-v0"), path)
    return path


def out_of(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["data", *arguments]) == 0
    return capsys.readouterr().out


def error_of(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["data", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    return captured.err


def test_inspect(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    facts = json.loads(out_of(["inspect", str(file), "--json"], capsys))
    assert facts["environment"] == "SafetyPointCircle1-v0"
    assert (facts["trajectories"], facts["steps"], facts["ended"], facts["cut_by_time"]) == (4, 180, 1, 3)
    assert facts["length"] == {"min": 30, "q25": 37.5, "median": 45, "q75": 52.5, "max": 60, "mean": 45}
    assert (facts["return"]["mean"], facts["cost"]["median"], facts["cost"]["max"]) == (2.5, 15, 30)
    assert facts["within"] == {"20": 3, "40": 4, "80": 4}  # the limits of the task
    assert json.loads(out_of(["inspect", str(file), "--cost-limit", "9", "10", "--json"], capsys))[
        "within"
    ] == {
        "9": 1,
        "10": 2,
    }
    text = out_of(["inspect", str(file)], capsys)
    assert "4 trajectories, 180 steps" in text
    assert "cost at most 20: 3 of 4 trajectories (75%)" in text


def test_validate(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert out_of(["validate", str(file)], capsys) == f"{file} is sound: 4 trajectories, 180 steps.\n"
    answer = json.loads(
        out_of(["validate", str(file), "--env", "OfflinePointCircle1Gymnasium-v0", "--json"], capsys)
    )
    assert answer["sound"] is True
    assert "but SafetyCarRun-v0 has 7" in error_of(["validate", str(file), "--env", "CarRun"], capsys)
    assert "Did you mean" in error_of(["validate", str(file), "--env", "SafetyPointCircle9-v0"], capsys)
    assert "Did you mean 'circle.hdf5'" in error_of(["validate", str(file.parent / "circel.hdf5")], capsys)


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [json.loads(line) for line in out_of(["list", "--json"], capsys).splitlines()]
    assert len(rows) == 38
    text = out_of(["list"], capsys)
    assert all(row["task"] in text for row in rows)


def test_score(capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "score",
        "--task",
        "PointCircle1",
        "--return",
        "61.72819519042969",
        "--cost",
        "30",
        "--cost-limit",
        "20",
    ]
    scores = json.loads(out_of([*words, "--json"], capsys))
    assert scores == {"task": "PointCircle1", "normalized_return": 1.0, "normalized_cost": 1.5}
    assert "exceeds the limit of 20" in out_of(words, capsys)
    words[2] = "PointCircel1"
    assert "Did you mean 'PointCircle1'" in error_of(words, capsys)


def test_download_of_what_is_here(tmp_path: Path, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert out_of(["download", str(file)], capsys) == f"{file}\n"
    here = tmp_path / "SafetyPointCircle1Gymnasium-v0-200-1098.hdf5"
    here.write_bytes(file.read_bytes())
    answer = json.loads(out_of(["download", "PointCircle1", "--folder", str(tmp_path), "--json"], capsys))
    assert (answer["file"], answer["bytes"], len(answer["sha256"])) == (str(here), file.stat().st_size, 64)
    wrong = ["download", "PointCircle1", "--folder", str(tmp_path), "--sha256", "0" * 64]
    assert "delete it to download it again" in error_of(wrong, capsys)


def test_help_and_a_wrong_word(capsys: pytest.CaptureFixture[str]) -> None:
    for words in ([], ["--help"]):
        assert "download NAME" in out_of(words, capsys)
    assert "Did you mean 'inspect'" in error_of(["inspekt"], capsys)
