"""Demonstrations, recordings and drawings of the marble maze from the command line."""

import io
import json
import sys

import numpy as np
import pytest
from PIL import Image

from goodpath.cli import main
from goodpath.data import hdf5


def run(capsys, *words, code=0):
    assert main([str(word) for word in words]) == code
    return capsys.readouterr()


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("maze") / "demos.h5"
    assert main(["demos", "marble-maze", "--out", str(path), "--mode", "left", "--coverage", "0.2"]) == 0
    return path


def test_demos_are_a_data_file_like_any_other(file, capsys):
    assert "is sound" in run(capsys, "data", "validate", file, "--env", "MarbleMaze-v0").out
    facts = json.loads(run(capsys, "data", "inspect", file, "--json").out)
    assert (facts["environment"], facts["action_size"], facts["observation_size"]) == ("MarbleMaze-v0", 9, 8)
    assert facts["ended"] == facts["trajectories"]


def test_two_modes_by_themselves(tmp_path, capsys):
    out = tmp_path / "two.h5"
    words = ("demos", "marble-maze-two-modes", "--out", out, "--starts", "all", "--coverage", "0.2", "--json")
    facts = json.loads(run(capsys, *words).out)
    assert facts["environment"] == hdf5.load(out).environment == "MarbleMazeTwoModes-v0"
    assert facts["left"] == facts["right"] > 0
    assert facts["goal"] == 1


def test_draw(file, tmp_path, capsys):
    said = run(capsys, "draw", file, "--out", tmp_path / "maze.png").out
    assert "maze.png" in said
    with Image.open(tmp_path / "maze.png") as picture:
        assert picture.size == (720, 776)
        paper = np.asarray(picture.convert("RGB"))[200, 450]  # in the open, upper right of the barrier
        assert (paper > 250).all()
    run(capsys, "draw", file, "--out", tmp_path / "maze.gif", "--games", "1")
    with Image.open(tmp_path / "maze.gif") as movie:
        assert movie.n_frames > 3 * len(hdf5.load(file)[0]) - 3


def test_record(tmp_path, capsys, monkeypatch):
    """From cell 23 the way to the goal is straight: down to the left twelve times."""
    out = tmp_path / "human.h5"
    monkeypatch.setattr(sys, "stdin", io.StringIO("z" * 12 + "x"))
    said = run(capsys, "record", "marble-maze", "--out", out).out
    assert "1 games of MarbleMaze-v0, 12 steps" in said
    assert "circle 2" in said
    first = hdf5.load(out)
    assert (first.num_steps, first.terminals[-1], first.costs.sum()) == (12, True, 2)

    monkeypatch.setattr(sys, "stdin", io.StringIO("z" * 12))
    assert "add --append" in run(capsys, "record", "marble-maze", "--out", out, code=2).err
    # The second start of the list is cell 25: no way through the barrier, so nothing is finished.
    words = ("record", "marble-maze", "--out", out, "--append")
    assert "nothing was saved" in run(capsys, *words, code=2).err
    monkeypatch.setattr(sys, "stdin", io.StringIO("s" * 200 + "\n"))
    run(capsys, *words, "--games", "1")
    both = hdf5.load(out)
    assert both.lengths.tolist() == [12, 200]
    assert (both.terminals[-1], both.timeouts[-1]) == (False, True)
    np.testing.assert_array_equal(both.observations[:12], first.observations)
    assert "not of MarbleMazeMulti-v0" in run(capsys, "record", "marble-maze-multi", *words[2:], code=2).err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["demos", "marble-maz", "--out", "x.h5"], "no marble maze 'marble-maz'"),
        (["demos", "marble-maze", "--out", "x.h5", "--coverage", "2"], "coverage is 2"),
        (["record", "marble-maze", "--out", "x.h5", "--games", "0"], "play at least one"),
        (["draw", "missing.h5", "--out", "x.mp4"], "neither a .png nor a .gif"),
        (["draw", "missing.h5", "--out", "x.gif", "--games", "0"], "draw at least one"),
        (["draw", "missing.h5", "--out", "x.gif"], "missing.h5"),
    ],
)
def test_mistakes_get_one_sentence_and_code_2(words, message, capsys):
    shown = run(capsys, *words, code=2)
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert message in shown.err


def test_only_the_maze_can_be_drawn(file, tmp_path, capsys):
    from dataclasses import replace

    other = tmp_path / "other.h5"
    hdf5.save(replace(hdf5.load(file), environment="SafetyPointCircle1-v0"), other)
    assert "only games of the marble maze" in run(capsys, "draw", other, "--out", "x.png", code=2).err
