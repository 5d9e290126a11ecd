"""The grid of SaGui: who starts from whom, and a small one from end to end."""

import json
from dataclasses import replace

from goodpath.reproduce import sagui
from goodpath.reproduce.grid import Plan
from goodpath.reproduce.run import reproduce


def plan(out, methods, arena="dynamic", steps=100):
    chosen = sagui.ARENAS[arena]
    return Plan(
        sagui.study(chosen),
        (chosen.task,),
        methods,
        (0, 1),
        steps,
        chosen.limits,
        out,
        options=chosen.options,
    )


def test_guides_are_trained_in_their_own_task_and_students_start_from_them(tmp_path):
    cells = {cell.name: cell for cell in plan(tmp_path, tuple(sagui.VARIANTS)).cells()}
    assert cells["guide"].task == "SaguiDynamicGuide-v0"
    assert cells["guide"].limits.training == 20.0
    assert cells["guide"].config.hidden == (256, 256)
    for name in ("sagui", "student-only", "fixed-omega", "sagui-release"):
        cell = cells[name]
        assert cell.task == "SaguiDynamicStudent-v0"
        assert (cell.limits.training, cell.limits.report) == (20.0, 25.0)
        assert cell.start.folder == cells["guide"].folder
        assert cell.config.guide == str(cells["guide"].folder)
        assert cell.config.batch == 256
    assert cells["sagui-maxent"].start.config.explore == "none"
    assert cells["sagui-random"].config.guide == "random"
    assert cells["sac-lag-pre"].config.initial == str(cells["pre-training"].folder)
    assert cells["pre-training"].task == "SaguiDynamicStudent-v0"
    assert cells["cpo-pre"].config.initial == str(cells["cpo-pre-training"].folder)
    assert cells["cpo-pre-training"].config.explore
    assert cells["egpo"].config.guide == str(cells["sac-lag"].folder)
    assert (cells["egpo"].config.omega_scale, cells["egpo"].config.omega_floor) == (0.0, 0.0)


def test_arenas_have_presets_where_nothing_else_is_said(tmp_path):
    rows = ("guide", "sagui", "student-only", "sac-lag", "sagui-release", "egpo", "cpo")
    asked = plan(tmp_path, rows, "semi-dynamic")
    presets = {cell.name: cell.preset for cell in asked.cells()}
    own = dict.fromkeys(rows[:4], "semi-dynamic")
    assert presets == own | {"sagui-release": "release", "egpo": "egpo", "cpo": "default"}
    assert "preset `semi-dynamic`" in " ".join(sagui.deviations(asked))
    study = sagui.study(sagui.ARENAS["semi-dynamic"], preset="paper")
    presets = {cell.name: cell.preset for cell in replace(asked, study=study, preset="paper").cells()}
    assert (presets["guide"], presets["sagui"], presets["sac-lag"]) == ("semi-dynamic", "paper", "paper")
    assert study.steps == 3_000_000
    assert {cell.preset for cell in plan(tmp_path, rows[:4], "static").cells()} == {"default"}


def test_guides_can_be_trained_for_less(tmp_path):
    shorter = replace(
        plan(tmp_path, ("sagui", "cpo-pre")),
        study=sagui.study(sagui.ARENAS["dynamic"], 0.2, (7,)),
        options={"updates": 0.5},
    )
    steps = {cell.name: (cell.config.steps, cell.start.config.steps) for cell in shorter.cells()}
    assert steps == {"sagui": (100, 20), "cpo-pre": (100, 20)}
    assert {cell.start.seeds for cell in shorter.cells()} == {(7,)}
    said = " ".join(sagui.deviations(shorter))
    assert "guides for 20" in said
    assert "--updates is 1, ours 0.5" in said


def test_a_small_grid_from_end_to_end(tmp_path):
    few = {"hidden": (4,), "batch": 8, "updates": 0.01, "num_envs": 1, "start": 0}
    asked = replace(plan(tmp_path, ("sagui", "sac-lag"), "static", 1000), seeds=(0,), options=few, episodes=1)
    made = reproduce(asked, quiet=True)
    assert not made.failures
    [section] = made.table["sections"]
    assert [row["state"] for row in section["rows"]] == ["finished"] * 2
    assert set(section["transfer"]["behaviour"]) == set(section["transfer"]["target"]) == {"sagui"}
    assert {name: len(taken["time_to_optimum"]) for name, taken in section["times"]["target"].items()} == {
        "sagui": 1,
        "sac-lag": 1,
    }
    assert "safety jump start" in made.text
    assert "StuSam" in made.text
    result = json.loads((tmp_path / "SaguiStaticStudent-v0" / "sagui" / "result.json").read_text())
    assert result["guide"]["cost_limit"] == 2.0
    assert len(result["guide"]["costs"][0]) == 1
    assert {"behaviour", "target"} == set(result["seeds"][0]["beginning"])
