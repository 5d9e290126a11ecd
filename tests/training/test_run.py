"""Training from Python: the run folder, its result, and what bad input is told."""

import json
from dataclasses import replace

import numpy as np
import pytest

import goodpath as gp
from goodpath.data.collect import PolicyDriver, collect
from goodpath.envs.navigation.controllers import controller
from goodpath.files import sha256
from goodpath.training.loop import Schedule

TASK = "SafetyPointCircle1-v0"
FEW = Schedule(log_every=50, episodes=1, final_episodes=2, drawn=1)
SMALL = {"hidden": (16, 16), "steps": 100}


def drive(env, rng):
    return controller(env.spec.name, env.num_envs, rng)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "circle.hdf5"
    collect(TASK, drive, 12, path, num_envs=12)
    return path


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "bc"
    return gp.train(
        "bc", data, env=TASK, cost_limit=20, seeds=(0, 3), out=folder, options=SMALL, schedule=FEW, quiet=True
    )


def test_the_result_says_what_was_measured(run, data):
    result = json.loads((run.folder / "result.json").read_text())
    assert result == run.result
    assert [seed["seed"] for seed in result["seeds"]] == [0, 3]
    for seed in result["seeds"]:
        assert seed["return"] == pytest.approx(np.mean(seed["episode_returns"]))
        assert seed["cost"] == pytest.approx(np.mean(seed["episode_costs"]))
        assert seed["violations"] == sum(cost > 20 for cost in seed["episode_costs"])
        assert seed["environment_steps"] == 1_000
        assert seed["gradient_steps"] == 100
        assert seed["normalized_cost"] == pytest.approx(seed["cost"] / 20)
    assert result["summary"]["return"]["mean"] == pytest.approx(
        np.mean([s["return"] for s in result["seeds"]])
    )
    assert {"jax", "numpy", "mujoco", "python"} <= set(result["versions"])
    about = json.loads((run.folder / "data.json").read_text())
    assert about["sha256"] == sha256(data)
    assert len(about["returns"]) == 12
    paths = json.loads((run.folder / "paths.json").read_text())["episodes"]
    assert [(path["seed"], len(path["positions"])) for path in paths] == [(0, 500), (3, 500)]


def test_the_log_has_every_update_and_evaluation(run):
    log = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in log if line["kind"] == "update"] == [50, 100]
    assert [np.shape(line["returns"]) for line in log if line["kind"] == "evaluation"] == [(2, 1), (2, 1)]


def test_evaluation_repeats_and_depends_on_its_seed(run):
    first, second = gp.evaluate(run.folder, episodes=2), gp.evaluate(run.folder, episodes=2)
    assert first == second
    assert [s["episode_returns"] for s in first["seeds"]] == [
        s["episode_returns"] for s in run.result["seeds"]
    ]
    assert gp.evaluate(run.folder, episodes=2, seed=5)["seeds"] != first["seeds"]
    assert gp.evaluate(run.policy(3), episodes=2, cost_limit=7)["evaluation_cost_limit"] == 7


def test_a_policy_takes_numpy_and_can_collect(run, tmp_path):
    policy = run.policy(seed=3)
    assert policy(np.zeros(28)).shape == (2,)
    assert policy.about["method"] == "bc"
    collected = collect(TASK, lambda env, rng: PolicyDriver(policy, 0.0, rng), 2, tmp_path / "own.hdf5")
    dataset = gp.load(tmp_path / "own.hdf5")
    np.testing.assert_allclose(dataset.outcomes().returns, collected.returns, rtol=1e-5)
    np.testing.assert_allclose(dataset[0].actions[0], policy(dataset[0].observations[0]), atol=1e-5)


def test_collection_depends_on_its_seed_only(data, tmp_path):
    for name, threads, seed in (("a", 1, 0), ("b", 2, 0), ("c", 2, 1)):
        collect(TASK, drive, 12, tmp_path / name, seed=seed, num_envs=12, threads=threads)
    original, one, two, other = (
        gp.load(path) for path in (data, tmp_path / "a", tmp_path / "b", tmp_path / "c")
    )
    for same in (one, two):
        np.testing.assert_array_equal(same.observations, original.observations)
        np.testing.assert_array_equal(same.costs, original.costs)
    assert not np.array_equal(other.observations[:500], original.observations[:500])


def test_a_dataset_in_memory_and_no_simulator(data, tmp_path):
    dataset = gp.load(data)
    run = gp.train(
        "bc", dataset, cost_limit=20, out=tmp_path / "run", options=SMALL, schedule=FEW, quiet=True
    )
    assert run.result["summary"] is None
    assert "return" not in run.result["seeds"][0]
    np.testing.assert_array_equal(gp.load(run.folder / "data.hdf5").actions, dataset.actions)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "tarc"}, "no method 'tarc'.*Did you mean 'trac'"),
        ({"preset": "relaese"}, "bc has no preset 'relaese'"),
        ({"options": {"learning_rte": 1.0}}, "no option 'learning_rte'.*Did you mean 'learning_rate'"),
        ({"cost_limit": -1}, "cost limit is -1"),
        ({"cost_limit": float("nan")}, "cost limit is nan"),
        ({"seeds": (1, 1)}, "different numbers"),
        ({"env": "SafetyPointCircel1-v0"}, "no environment 'SafetyPointCircel1-v0'.*Did you mean"),
        ({"env": "SafetyPointGoal1-v0"}, "60"),
        ({"data": "missing.hdf5"}, "missing.hdf5"),
        ({"method": "bc-safe", "data": "costly"}, "the lowest cost is"),
        ({"method": "trac", "data": "costly"}, "raise the cost limit"),
    ],
)
def test_bad_input_is_explained_and_leaves_nothing(data, tmp_path, changes, message):
    if changes.get("data") == "costly":
        dataset = gp.load(data)
        gp.save(replace(dataset, costs=np.ones_like(dataset.costs)), tmp_path / "costly.hdf5")
        changes = {**changes, "data": tmp_path / "costly.hdf5"}
    arguments = {
        "method": "bc",
        "data": data,
        "cost_limit": 20,
        "out": tmp_path / "run",
        "quiet": True,
    } | changes
    with pytest.raises(gp.GoodpathError, match=message):
        gp.train(arguments.pop("method"), arguments.pop("data"), **arguments)
    assert not (tmp_path / "run").exists()
