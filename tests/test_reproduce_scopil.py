"""SCOPIL's grid: the tables say what the runs say, nothing is trained twice, sides are where the balls went."""

import math
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from goodpath import envs
from goodpath.cli import main
from goodpath.data.demos import play
from goodpath.data.hdf5 import save
from goodpath.envs.marble_maze import CELLS, KINDS, SETTINGS, side
from goodpath.errors import GoodpathError
from goodpath.files import read_json, write_json
from goodpath.networks import MLP
from goodpath.policies import CategoricalPolicy, load_policy
from goodpath.reproduce import scopil
from goodpath.reproduce.grid import Plan, Variant
from goodpath.reproduce.run import reproduce
from goodpath.reproduce.sides import FAR, shares
from goodpath.reproduce.table import DASH
from goodpath.training.compiled import CompiledProgram
from goodpath.training.offline import OfflineProgram

MAZE = "MarbleMaze-v0"
CELLS_SHOWN = [23, 0]


def games():
    return play(SETTINGS[MAZE], CELLS_SHOWN, [[0, 7, 7, 7], [0, 5, 5]])


def show(task, path):
    """In place of the planner, which takes its time."""
    save(games().dataset, path)
    scores = scopil.planner_scores(games())
    write_json(path.parent / "planner.json", {"train": scores, "test": scores})


def plan(out, **changes):
    small = {"hidden": (8,), "batch": 16}
    variants = {
        "scopil": Variant("SCOPIL", "scopil", small),
        "bc": Variant("BC", "bc", {"steps": 20, "hidden": (8,)}),
    }
    given = {
        "study": replace(scopil.STUDY, variants=variants, demonstrate=show),
        "tasks": (MAZE,),
        "methods": ("scopil", "bc"),
        "seeds": (0, 1),
        "steps": 600,
        "limits": scopil.LIMITS,
        "out": out,
    }
    return Plan(**(given | changes))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    out = tmp_path_factory.mktemp("grid")
    return plan(out), reproduce(plan(out), quiet=True)


@pytest.mark.parametrize("name", ["scopil", "bc"])
def test_the_table_says_what_the_runs_say(made, name):
    asked, done = made
    assert not done.failures
    table = read_json(asked.out / "table.json")
    [section] = table["sections"]
    row = next(row for row in section["rows"] if row["name"] == name)
    first, second = read_json(asked.out / MAZE / name / "result.json")["seeds"]
    assert (row["state"], row["sides"]) == ("finished", None)
    for which in ("train", "test"):
        for way, (a, b) in {
            "greedy": (first["lists"], second["lists"]),
            "sampled": (first["stochastic"]["lists"], second["stochastic"]["lists"]),
        }.items():
            found = row["lists"][which][way]
            pairs = {measure: found[measure] for measure in ("return", "length", "goal")}
            values = {measure: (a[which][measure], b[which][measure]) for measure in pairs}
            for kind in KINDS:
                for measure in ("number", "frequency"):
                    pairs[kind, measure] = found["violations"][kind][measure]
                    values[kind, measure] = tuple(s[which]["violations"][kind][measure] for s in (a, b))
            for key, spread in pairs.items():
                low, high = values[key]
                assert spread["seeds"] == [low, high]
                assert spread["mean"] == pytest.approx((low + high) / 2)
                assert spread["std"] == pytest.approx(abs(low - high) / math.sqrt(2))
    text = (asked.out / "table.md").read_text()
    [part] = [part for part in text.split("### ") if part.startswith("test starts, the most likely")]
    line = next(line for line in part.splitlines() if line.startswith(f"| {row['label']} |"))
    gain = row["lists"]["test"]["greedy"]["return"]
    assert line.split(" | ")[1] == f"{gain['mean']:.2f} ± {gain['std']:.2f}"
    assert "(at least 0.05 violations a game)" in part
    assert section["floor"] == {"train": 0.025, "test": 0.05}
    assert section["kinds"] == ["below", "circle"]


def test_the_planner_s_figures_are_those_of_its_games(made):
    asked, _ = made
    scores = read_json(asked.out / "table.json")["sections"][0]["planner"]["train"]
    played = games()
    outcomes = played.dataset.outcomes()
    assert scores["return"] == pytest.approx(outcomes.returns.mean())
    assert scores["length"] == 3.5
    assert scores["goal"] == 0
    costs = [trajectory.costs for trajectory in played.dataset]
    assert sum(scores["violations"][kind]["number"] for kind in KINDS) == sum(map(sum, costs)) / 2
    frequency = sum(scores["violations"][kind]["frequency"] for kind in KINDS)
    assert frequency == pytest.approx(np.mean([c.mean() for c in costs]))


def test_methods_learn_from_the_demonstrations_beside_them(made):
    asked, _ = made
    for name in ("scopil", "bc"):
        config = read_json(asked.out / MAZE / name / "config.json")
        assert config["data"] == str(asked.out / MAZE / "demos.h5")
        assert config["environment"] == MAZE


def test_nothing_is_trained_or_shown_twice(made, monkeypatch):
    asked, first = made
    monkeypatch.setattr(CompiledProgram, "advance", None)
    monkeypatch.setattr(OfflineProgram, "advance", None)
    before = {file: file.stat().st_mtime_ns for file in asked.out.glob(f"{MAZE}/**/*")}
    again = reproduce(asked, quiet=True)
    assert again.table == first.table
    assert {file: file.stat().st_mtime_ns for file in asked.out.glob(f"{MAZE}/**/*")} == before


def test_a_run_that_learned_from_other_demonstrations_is_refused(made):
    asked, _ = made
    path = asked.out / MAZE / "demos.h5"
    kept = path.read_bytes()
    try:
        save(play(SETTINGS[MAZE], [5], [[0, 1, 2]]).dataset, path)
        with pytest.raises(GoodpathError, match="demonstrations"):
            reproduce(asked, quiet=True)
    finally:
        path.write_bytes(kept)


def test_the_two_mode_setting_says_on_which_side_the_policies_pass(tmp_path):
    maze = "MarbleMazeTwoModes-v0"
    asked = plan(tmp_path, tasks=(maze,), methods=("bc",), seeds=(3,))
    done = reproduce(asked, quiet=True)
    [row] = done.table["sections"][0]["rows"]
    policy = load_policy(tmp_path / maze / "bc" / "policies" / "seed-3.npz").policy
    [greedy] = [seed["greedy"] for seed in row["sides"]["seeds"]]
    assert greedy == pytest.approx(by_hand(policy))
    assert read_json(tmp_path / maze / "bc" / "sides.json") == row["sides"]
    assert f"| BC | {100 * greedy['left']:.1f} |" in done.text.split("### sides")[1]


def steering(seed):
    """A policy that steers to the goal with gains of its own: logits that are linear in what is seen."""
    rng = np.random.default_rng(seed)
    weights, biases = np.zeros((8, 9)), np.zeros(9)
    for action in range(9):
        up_x, up_y = (np.array([0, 1, -1])[part] for part in divmod(action, 3))
        # Tilting about x moves the ball along y, and about y against x.
        for axis, sign in ((1, up_x), (0, -up_y)):
            weights[axis, action] -= sign * rng.uniform(0.5, 2)
            weights[axis + 2, action] -= sign * rng.uniform(2, 6)
            biases[action] -= sign * rng.uniform(0.3, 1.5)
    return CategoricalPolicy(MLP((jnp.asarray(500 * weights),), (jnp.asarray(500 * biases),)))


def by_hand(policy):
    env = envs.make(MAZE, len(FAR))
    observations, over = env.reset_to(FAR), np.zeros(len(FAR), bool)
    paths = [[place] for place in env.positions()]
    while not over.all():
        step = env.transition(np.asarray(policy(observations.astype(np.float32))))
        for i in np.flatnonzero(~over):
            paths[i].append(env.positions()[i])
        over |= step.terminated | step.truncated
        observations = step.observations
    found = np.array([side(np.array(path)) for path in paths])
    return {"left": np.mean(found < 0), "right": np.mean(found > 0), "neither": np.mean(found == 0)}


def test_sides_are_where_the_balls_went():
    assert len(FAR) == 22
    assert set(FAR) <= set(range(len(CELLS)))
    policies = [steering(seed) for seed in range(4)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *policies)
    greedy = shares(SETTINGS[MAZE], stacked, None, 1)
    expected = [by_hand(policy) for policy in policies]
    for found, wanted in zip(greedy, expected, strict=True):
        assert found == pytest.approx(wanted)
    assert sum(found["left"] for found in greedy) > 0
    assert sum(found["right"] for found in greedy) > 0
    # Of policies that are all but certain, sampled games are the same.
    sampled = shares(SETTINGS[MAZE], stacked, jax.random.key(0), 2)
    for found, wanted in zip(sampled, expected, strict=True):
        assert found == pytest.approx(wanted, abs=0.1)


def test_the_command_tables_what_is_there_and_explains_mistakes(tmp_path, capsys):
    words = ["reproduce", "scopil", "--out", str(tmp_path), "--only-table", "--tasks", "multi-constraint"]
    assert main(words) == 0
    text = capsys.readouterr().out
    assert text.startswith("# SCOPIL")
    assert "not begun" in text
    [section] = read_json(tmp_path / "table.json")["sections"]
    assert section["setting"] == "MarbleMazeMulti-v0"
    assert section["floor"] == {"train": 0.05, "test": 0.25}
    assert section["kinds"] == list(KINDS)
    assert {row["name"] for row in section["rows"]} == set(scopil.VARIANTS) - {"sac-wide", "scopil-wide"}
    for wrong, message in (
        (["--settings", "marble-maze-mulit"], "Did you mean"),
        (["--methods", "scopli"], "Did you mean 'scopil'?"),
    ):
        assert main(["reproduce", "scopil", "--out", str(tmp_path), "--only-table", *wrong]) == 2
        assert message in capsys.readouterr().err


def test_the_re_run_is_named_as_such_and_stands_beside_its_own_rows(tmp_path):
    asked = Plan(scopil.STUDY, (MAZE,), ("scopil-release", "gail"), (0,), 10, scopil.LIMITS, tmp_path)
    text = reproduce(asked, only_table=True).text
    assert "our re-run of the authors' code, not the paper's table" in text
    rows = [line for line in text.splitlines() if line.startswith("| SCOPIL, release")]
    assert rows[0].endswith("| -12.54 ± 0.04; H 0.00; C 0.05; goal 100 % |")
    assert rows[2].endswith("| -15.4 ± 2.6; H 3.6 ± 1.8; C 0.30; goal 99 % |")
    assert all(line.endswith(f"| {DASH} |") for line in text.splitlines() if line.startswith("| GAIL"))
    elsewhere = reproduce(replace(asked, tasks=("MarbleMazeMulti-v0",)), only_table=True).text
    assert "goal 99 %" not in elsewhere
