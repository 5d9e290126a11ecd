"""The environments against recordings of safety-gymnasium 1.0.0."""

import json
from pathlib import Path

import numpy as np
import pytest

from goodpath.cli import main
from goodpath.envs.navigation.layout import OriginalSampler, Plan
from goodpath.envs.navigation.tasks import TASKS
from goodpath.envs.navigation.verify import verify
from goodpath.errors import GoodpathError

RECORDINGS = sorted((Path(__file__).parents[1] / "data" / "recordings").glob("*.npz"))
CIRCLE = next(path for path in RECORDINGS if "PointCircle1" in path.name)
GOAL = next(path for path in RECORDINGS if "PointGoal1" in path.name)
BUTTON, PUSH, ANT = (
    next(path for path in RECORDINGS if name in path.name) for name in ("CarButton2", "CarPush2", "AntGoal1")
)
KINDS = ("Goal", "Button", "Push", "Circle")
by_name = pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)


def changed(path: Path, target: Path, **changes) -> Path:
    with np.load(path) as file:
        arrays = {key: file[key] for key in file.files}
    np.savez(target, **(arrays | {key: change(arrays[key].copy()) for key, change in changes.items()}))
    return target


def add(index, amount):
    def change(array):
        array[index] += amount
        return array

    return change


def test_every_robot_and_kind_of_task_has_a_recording():
    tasks = [
        f"Safety{robot}{kind}{level}" for robot in ("Point", "Car") for kind in KINDS for level in (1, 2)
    ]
    assert {path.stem for path in RECORDINGS} == {*tasks, "SafetyAntGoal1", "SafetyDoggoGoal1"}


@by_name
def test_environment_does_what_the_recording_says(path):
    verdict = verify(path)
    assert verdict.formulas.layout_max_error == 0.0
    assert verdict.formulas.reward_max_error <= 1e-15
    assert verdict.formulas.observation_max_error <= 2e-14
    assert verdict.physics.cost_flips <= 1
    assert verdict.passed


@by_name
def test_layouts_are_the_originals_draw_for_draw(path):
    with np.load(path) as recording:
        task = TASKS[str(recording["task"])]
        plan = Plan.of(task)
        np.testing.assert_array_equal(plan.keepouts, recording["layout_keepout"])
        for row, seed in enumerate(recording["seeds"]):
            sampler = OriginalSampler(plan, seed)
            layout = sampler.layout()
            np.testing.assert_array_equal(layout.places, recording["layout_xy"][row])
            assert layout.angles[0] == recording["agent_rot"][row]
            if task.reward == "button":
                assert sampler.choice(4) == recording["b_goal_button"][row, 0]
            elif task.has_goal:
                goal = sampler.place(1, layout.places)
                np.testing.assert_array_equal(goal, recording["b_goal_pos"][row, 0, :2])


@pytest.mark.parametrize(
    ("path", "changes"),
    [
        (CIRCLE, {"reward": add((0, 7), 1e-9)}),
        (CIRCLE, {"reward": add((0, 7), np.nan)}),
        (CIRCLE, {"obs_after": add((1, 3, 20), 1e-9)}),
        (CIRCLE, {"cost_out_of_boundary": lambda cost: 1.0 - cost}),
        (CIRCLE, {"a_qpos": add((..., 0), 1e-6)}),
        (CIRCLE, {"layout_xy": add((0, 0), 0.01)}),
        (GOAL, {"goal_met": lambda met: ~met}),
        (GOAL, {"a_goal_pos": add((0, 249, 0), 1e-6)}),
        (GOAL, {"cost": add((1, 100), 1.0)}),
        (BUTTON, {"cost_buttons": lambda cost: 1.0 - cost}),
        (BUTTON, {"a_button_timer": add((0, 20), 1.0)}),
        (BUTTON, {"a_goal_button": add((0, 149), 1)}),
        (PUSH, {"b_last_box_goal": add((0, 10), 1e-9)}),
        (PUSH, {"cost_pillars": lambda cost: 1.0 - cost}),
        (ANT, {"terminated": lambda terminated: ~terminated}),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else value.stem,
)
def test_a_corrupted_recording_fails(path, changes, tmp_path, capsys):
    corrupted = changed(path, tmp_path / "corrupted.npz", **changes)
    assert main(["envs", "verify", str(corrupted), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["passed"] is False


def test_json_has_one_object_a_recording(capsys):
    assert main(["envs", "verify", *map(str, RECORDINGS), "--json"]) == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [record["task"] for record in records] == [f"{path.stem}-v0" for path in RECORDINGS]
    circle = records[RECORDINGS.index(CIRCLE)]
    assert circle["steps"] == 500
    assert circle["physics"]["object_p90_error_free"] is None
    assert circle["physics"]["contact_median_error"] is None
    assert circle["formulas"]["cost_mismatches"] == 0


def test_without_json_people_can_read_it(capsys):
    assert main(["envs", "verify", str(CIRCLE)]) == 0
    assert "SafetyPointCircle1-v0, 500 steps: passed" in capsys.readouterr().out


def test_what_is_no_recording_is_said_in_one_sentence(tmp_path, capsys):
    with pytest.raises(GoodpathError, match="no file"):
        verify(tmp_path / "missing.npz")
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(GoodpathError, match="no recording"):
        verify(tmp_path / "text.npz")
    np.savez(tmp_path / "other.npz", numbers=np.arange(3))
    with pytest.raises(GoodpathError, match="it has no 'task'"):
        verify(tmp_path / "other.npz")
    with pytest.raises(GoodpathError, match="is not here"):
        verify(changed(CIRCLE, tmp_path / "unknown.npz", task=lambda _: np.array("SafetyBoatCircle1-v0")))
    with pytest.raises(GoodpathError, match="does not hold"):
        verify(changed(CIRCLE, tmp_path / "short.npz", a_qpos=lambda qpos: qpos[..., :2]))
    assert main(["envs", "verify"]) == 2
    assert "no recording was given" in capsys.readouterr().err
