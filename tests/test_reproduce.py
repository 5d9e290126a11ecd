"""Reproductions: the tables say what the runs say, nothing is trained twice, and another job is refused."""

import json
import math
import re
import signal
from dataclasses import replace

import numpy as np
import pytest

from goodpath.cli import main
from goodpath.errors import GoodpathError
from goodpath.files import read_json
from goodpath.reproduce import sim
from goodpath.reproduce.grid import Plan, Variant
from goodpath.reproduce.page import smoothed
from goodpath.reproduce.run import reproduce
from goodpath.reproduce.table import choose, markdown
from goodpath.training import loop
from goodpath.training.online import OnlineProgram

TASK = "ProbeLine-v0"
OPTIONS = {
    "hidden": (8, 8),
    "num_envs": 10,
    "rollout": 200,
    "minibatch": 100,
    "passes": 2,
    "good_capacity": 400,
    "bad_capacity": 400,
    "start": 10,
    "classifier_updates": 5,
    "classifier_batch": 32,
    "expert_episodes": 20,
}


def plan(out, **changes):
    given = {
        "study": sim.STUDY,
        "tasks": (TASK,),
        "methods": ("ppo-lag", "sim"),
        "seeds": (0, 1),
        "steps": 2400,
        "limits": sim.limits(2.5, 3.0, 6.0),
        "out": out,
        "episodes": 4,
        "options": OPTIONS,
        "command": "goodpath reproduce sim <here>",
    }
    return Plan(**(given | changes))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A finished grid of two methods and one task."""
    out = tmp_path_factory.mktemp("grid")
    return plan(out), reproduce(plan(out), quiet=True)


def by_hand(folder, measure):
    """Each seed's own episodes in the last tenth of the log: the last of its 12 lines."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    updates = [line["metrics"][measure] for line in lines if line["kind"] == "update"]
    assert len(updates) == 12
    return updates[-1]


@pytest.mark.parametrize("name", ["ppo-lag", "sim"])
def test_the_table_says_what_the_runs_say(made, name):
    asked, _ = made
    folder = asked.out / TASK / name
    [section] = read_json(asked.out / "table.json")["sections"]
    row = next(row for row in section["rows"] if row["name"] == name)
    seeds = read_json(folder / "result.json")["seeds"]
    for measure in ("return", "cost"):
        first, second = by_hand(folder, measure)
        score = row["training"][measure]
        assert score["seeds"] == pytest.approx([first, second])
        assert score["mean"] == pytest.approx((first + second) / 2)
        # Of two values the standard error of the mean is half their distance.
        assert score["sem"] == pytest.approx(abs(first - second) / 2)
        assert row["deterministic"][measure]["seeds"] == [seed[measure] for seed in seeds]
        assert row["deterministic"][measure]["std"] == pytest.approx(
            abs(seeds[0][measure] - seeds[1][measure]) / math.sqrt(2)
        )
        assert row["stochastic"][measure]["seeds"] == [seed["stochastic"][measure] for seed in seeds]
    costs = [cost for seed in seeds for cost in seed["stochastic"]["episode_costs"]]
    assert row["stochastic"]["above_limit"] == sum(cost > 3.0 for cost in costs) / 8
    assert (section["report_limit"], row["training_limit"]) == (3.0, 2.5)
    text = (asked.out / "table.md").read_text()
    gain, cost = row["training"]["return"], row["training"]["cost"]
    shown = f"{gain['mean']:.2f} ± {gain['sem']:.2f} / {cost['mean']:.1f} ± {cost['sem']:.1f}"
    line = next(line for line in text.splitlines() if line.startswith(f"| {row['label']} |"))
    assert shown in line


def test_the_page_is_one_file_with_both_curves(made):
    asked, _ = made
    page = (asked.out / "report.html").read_text()
    assert page.count("<svg") == 2
    assert not re.search(r'(?:src|href)="(?!#)', page)
    assert "goodpath reproduce sim &lt;here&gt;" in page
    assert page.count("PPO-Lagrangian</text>") == 2


def test_nothing_is_trained_twice(made, monkeypatch):
    asked, first = made
    monkeypatch.setattr(OnlineProgram, "advance", None)
    before = {file: file.stat().st_mtime_ns for file in asked.out.glob(f"{TASK}/**/*")}
    again = reproduce(asked, quiet=True)
    assert again.table == first.table
    assert {file: file.stat().st_mtime_ns for file in asked.out.glob(f"{TASK}/**/*")} == before


def test_an_interrupted_grid_goes_on_and_ends_the_same(made, tmp_path, monkeypatch):
    asked, _ = made
    mine = replace(asked, out=tmp_path)
    advance = OnlineProgram.advance

    def stop_halfway(program, until):
        metrics = advance(program, until)
        if program.method.name == "sim" and program.step == 1200:
            signal.raise_signal(signal.SIGINT)
        return metrics

    with monkeypatch.context() as patch:
        patch.setattr(OnlineProgram, "advance", stop_halfway)
        with pytest.raises(loop.Interrupted):
            reproduce(mine, quiet=True)
    rows = read_json(tmp_path / "table.json")["sections"][0]["rows"]
    assert [row["state"] for row in rows] == ["finished", "unfinished"]
    assert "not finished: step 1,200 of 2,400" in (tmp_path / "table.md").read_text()
    assert reproduce(mine, only_table=True).table["sections"][0]["rows"] == rows
    reproduce(mine, quiet=True)
    for name in ("ppo-lag", "sim"):
        hashes = [
            [seed["parameters_sha256"] for seed in read_json(one.out / TASK / name / "result.json")["seeds"]]
            for one in (asked, mine)
        ]
        assert hashes[0] == hashes[1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 1200}, "steps 2400, not 1200"),
        ({"seeds": (0, 3)}, "seeds 0 1, not 0 3"),
        ({"limits": sim.limits(2.0, 3.0, 6.0)}, "cost limit 2.5, not 2"),
        ({"episodes": 8}, "episodes 4, not 8"),
        ({"options": OPTIONS | {"passes": 3}}, "passes 2, not 3"),
    ],
)
def test_another_job_in_the_folder_is_refused(made, changes, message):
    asked, _ = made
    with pytest.raises(GoodpathError, match=message):
        reproduce(replace(asked, **changes), quiet=True)


def test_a_run_that_fails_is_noted_and_the_others_go_on(tmp_path):
    broken = Variant("Broken", "ppo-lag", {"learning_rate": 1e30})
    study = replace(sim.STUDY, variants={**sim.STUDY.variants, "broken": broken})
    asked = plan(tmp_path, study=study, methods=("broken", "ppo"), steps=400, limits=sim.limits(2.5, 3, 6))
    done = reproduce(asked, quiet=True)
    rows = done.table["sections"][0]["rows"]
    assert [row["state"] for row in rows] == ["failed", "finished"]
    assert "NaN or infinity" in rows[0]["message"]
    assert "failed: training of seed 0" in done.text
    assert list(done.failures) == [tmp_path / TASK / "broken"]


def test_a_variant_starts_from_the_policy_of_another(tmp_path):
    variants = {
        "expert": replace(sim.VARIANTS["expert"], limits=("strict",)),
        "bc": replace(sim.VARIANTS["bc"], options={"steps": 20, "hidden": (8,)}),
        "sim-dynamic": sim.VARIANTS["sim-dynamic"],
    }
    study = replace(sim.STUDY, variants=variants)
    asked = plan(tmp_path, study=study, methods=("bc",), steps=400, limits=sim.limits(10.0, 10.0, 10.0))
    done = reproduce(asked, quiet=True)
    home = tmp_path / TASK
    assert not done.failures
    assert read_json(home / "expert" / "config.json")["seeds"] == [0]
    assert read_json(home / "bc" / "config.json")["data"] == str(home / "data-expert.hdf5")
    [row] = done.table["sections"][0]["rows"]
    assert row["training"] is None
    assert row["deterministic"]["episodes"] == 8
    [imitating] = replace(asked, methods=("sim-dynamic",)).cells()
    assert imitating.config.expert == str(home / "expert")
    assert imitating.start is not None
    assert imitating.start.folder == home / "expert"


def test_rows_are_held_against_the_limits_they_name(tmp_path):
    names = ("ppo", "sim", "ppo-lag-loose", "sim-unknown-cost")
    done = reproduce(plan(tmp_path, methods=names), only_table=True)
    sections = done.table["sections"]
    assert [section["report_limit"] for section in sections] == [3.0, 6.0]
    assert [[row["name"] for row in section["rows"]] for section in sections] == [
        ["ppo", "sim"],
        ["ppo", "ppo-lag-loose", "sim-unknown-cost"],
    ]
    assert [row["training_limit"] for row in sections[1]["rows"]] == [2.5, 6.0, 6.0]


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        # The highest return breaks the limit; the second meets it exactly.
        ([(30.0, 18.5), (20.0, 18.0), (10.0, 3.0)], ([False, True, True], 1)),
        ([(5.0, 17.0), (9.0, 12.0), (9.0, 1.0)], ([True, True, True], 1)),
        ([(5.0, 19.0), (9.0, 180.0)], ([False, False], None)),
        ([], ([], None)),
    ],
)
def test_best_is_the_highest_return_among_those_that_keep_the_limit(scores, expected):
    assert choose(scores, 18.0) == expected


def test_the_paper_s_own_figures_are_marked_by_the_same_rule(tmp_path):
    asked = plan(
        tmp_path,
        tasks=("SafetyPointGoal1-v0", "SafetyCarButton1-v0"),
        methods=("ppo", "ppo-lag", "sim"),
        limits=sim.limits(15.0, 18.0, 50.0),
    )
    table = reproduce(asked, only_table=True).table
    goal, button = ({row["name"]: row["paper"] for row in section["rows"]} for section in table["sections"])
    assert goal["sim"]["return"] == {"mean": 23.86, "sem": 0.38}
    assert goal["sim"]["cost"] == {"mean": 15.3, "sem": 0.4}
    assert [goal[name]["best"] for name in ("ppo", "ppo-lag", "sim")] == [False, False, True]
    # On CarButton1 SIM's own mean cost is above 18.
    assert [button[name]["keeps_limit"] for name in ("ppo", "ppo-lag", "sim")] == [False, True, False]
    assert button["ppo-lag"]["best"]
    text = markdown(table)
    assert "**23.86 ± 0.38 / 15.3 ± 0.4** ✓" in text
    assert "changed task, which is SimCarButton1-v0 here" in text
    assert "the paper's for 30,000,000" in text


def test_curves_are_smoothed_as_in_the_paper():
    values = np.array([[1.0, 3.0], [2.0, 3.0], [0.0, 8.0]])
    mean, error = smoothed(values, 0.8)
    first = [1.0, 0.8 + 0.4, 0.8 * 1.2]
    second = [3.0, 3.0, 0.8 * 3.0 + 1.6]
    np.testing.assert_allclose(mean, (np.array(first) + second) / 2)
    np.testing.assert_allclose(error, np.abs(np.array(first) - second) / 2)


def test_the_command_lists_what_it_can(capsys):
    assert main(["reproduce"]) == 0
    assert "2312.10385" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["smi"], "Did you mean 'sim'?"),
        (["sim", "--methods", "ppo-leg"], "Did you mean 'ppo-lag'?"),
        (
            ["sim", "--methods", "sim", "--tasks", "SafetyPointGaol1-v0"],
            "Did you mean 'SafetyPointGoal1-v0'?",
        ),
        (["sim", "--methods", "sim", "--preset", "papr"], "preset 'papr'"),
        (["sim", "--methods", "sim", "sim"], "each of them once"),
    ],
)
def test_mistakes_get_one_sentence_and_code_2(tmp_path, capsys, words, message):
    assert main(["reproduce", *words[:1], "--out", str(tmp_path), *words[1:]]) == 2
    shown = capsys.readouterr().err
    assert message in shown
    assert shown.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_the_command_refuses_another_job(made, capsys):
    asked, _ = made
    words = ["reproduce", "sim", "--tasks", TASK, "--methods", "ppo-lag", "--out", str(asked.out)]
    words += ["--cost-limit", "2.5", "--report-limit", "3", "--episodes", "4", "--seeds", "0", "1", "--quiet"]
    assert main([*words, "--steps", "2400"]) == 2
    assert "hidden 8 8, not 64 64" in capsys.readouterr().err


@pytest.mark.parametrize(("failures", "code"), [({}, 0), ({"runs/ppo": "NaN"}, 1)])
def test_the_command_prints_the_table_and_fails_where_a_run_did(
    tmp_path, capsys, monkeypatch, failures, code
):
    monkeypatch.setattr("goodpath.reproduce.grid.run", lambda *arguments: failures)
    words = [
        "reproduce",
        "sim",
        "--tasks",
        TASK,
        "--methods",
        "ppo",
        "--unknown-cost",
        "--out",
        str(tmp_path),
    ]
    assert main(words) == code
    printed = capsys.readouterr().out
    assert (tmp_path / "table.md").read_text().strip() in printed
    assert read_json(tmp_path / "table.json")["methods"] == ["ppo", "ppo-lag-loose", "sim-unknown-cost"]
    assert (tmp_path / "report.html").is_file()
