"""Continuous actions and a replay buffer: resumed runs are the same runs, rows are true, and errors are for people."""

import json
from dataclasses import replace
from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from goodpath import envs
from goodpath.cli import main
from goodpath.data import hdf5
from goodpath.errors import GoodpathError
from goodpath.methods import METHODS, find, sac
from goodpath.methods.contract import OffPolicyMethod
from goodpath.networks import Near
from goodpath.policies import load_policy, parameters_sha256
from goodpath.training import checkpoint
from goodpath.training.acting import HostSquashed
from goodpath.training.guided import find_guide
from goodpath.training.job import make_config
from goodpath.training.replayed import Layout, ReplayProgram, Tally
from goodpath.training.run import resume, train
from goodpath.trajectories import Dataset

REPLAYED = [
    name
    for name in METHODS
    if isinstance(find(name), OffPolicyMethod) and issubclass(find(name).config, sac.Config)
]
SMALL = {
    "hidden": (8,),
    "num_envs": 3,
    "every": 5,
    "stretch": 20,
    "start": 40,
    "batch": 16,
    "capacity": 100,
    "updates": 0.4,
    "steps": 300,
}
OWN = {
    "sagui": {"guide": "random", "normalize": True},
    "sagui-guide": {"explore": "novelty"},
    "scopil-continuous": {"normalize": True},
}
TASK = "ProbeLine-v0"


@lru_cache
def demonstrations():
    """Two episodes of an expert that stands still, then runs."""
    position = np.r_[np.zeros(10), np.arange(10)]
    seen = np.stack([position, np.tile(np.arange(10) / 10, 2)], 1).astype(np.float32)
    speed = np.repeat(np.float32([0, 1]), 10)
    following = seen + np.stack([speed, np.full(20, 0.1, np.float32)], 1)
    last = np.arange(20) % 10 == 9
    return Dataset(seen, following, 2 * speed[:, None] - 1, speed, speed**2, np.zeros(20, bool), last)


@lru_cache
def config(name):
    return make_config(find(name), "default", SMALL | OWN.get(name, {}))


def program(name, seeds=(0, 1), task=TASK):
    env, method = envs.make(task, len(seeds) * SMALL["num_envs"]), find(name)
    data = demonstrations() if method.demonstrated else None
    guide = None
    if method.guidance is not None:
        guide = find_guide(method.guidance(config(name)), env.spec, (8,), seeds)
    return ReplayProgram(method, config(name), env, 2.5, seeds, data, guide)


def finish(trained):
    while trained.step < trained.total_steps:
        trained.advance(trained.step + 60)
    return [parameters_sha256(trained.policy(i)) for i in range(len(trained.seeds))]


@pytest.mark.parametrize("name", REPLAYED)
def test_seeds_determine_everything_and_a_checkpoint_continues_bit_for_bit(tmp_path, name):
    whole = finish(program(name))
    assert len(set(whole)) == 2
    first = program(name)
    first.advance(120)  # past random actions, before the buffer is full
    checkpoint.save(tmp_path, first.step, first.states, {"step": first.step})
    second = program(name)
    second.states, about = checkpoint.restore(tmp_path, second.states)
    second.step = about["step"]
    assert finish(second) == whole


@pytest.mark.parametrize("name", REPLAYED)
def test_a_run_from_the_command_line(tmp_path, capsys, name):
    out = tmp_path / "run"
    options = SMALL | OWN.get(name, {})
    given = {f"--{key.replace('_', '-')}": value for key, value in options.items() if key != "hidden"}
    words = [flag if value is True else f"{flag}={value}" for flag, value in given.items()]
    if find(name).demonstrated:
        hdf5.save(demonstrations(), tmp_path / "shown.hdf5")
        words += ["--data", str(tmp_path / "shown.hdf5")]
    words = ["train", name, "--env", TASK, "--cost-limit", "2", "--seeds", "3", "4", *words]
    assert main([*words, "--hidden", "8", "--episodes", "4", "--quiet", "--out", str(out)]) == 0
    result = json.loads((out / "result.json").read_text())
    for index, entry in enumerate(result["seeds"]):
        assert entry["seed"] == 3 + index
        assert entry["training_environment_steps"] == 300
        # Rounds of 15 steps with 6 updates each, those after the first 40 steps.
        assert entry["gradient_steps"] == 18 * 6
        assert entry["stochastic"]["episodes"] == entry["episodes"] == 4
        assert 0 <= entry["training"]["cost"] <= 10
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    log = [line["metrics"] for line in lines if line["kind"] == "update"]
    assert len(log) == 5
    assert {"return", "cost", "length", "episodes", "cost_rate"} <= set(log[0])
    assert {"loss", "critic_loss", "entropy", "temperature"} <= set(log[-1])
    assert all(np.shape(values) == (2,) and np.isfinite(values).all() for values in log[-1].values())
    assert log[-1]["episodes"] == [6, 6]
    assert load_policy(out / "policies" / "seed-3.npz")(np.zeros((5, 2))).shape == (5, 1)
    assert (out / "report.html").is_file()
    before = [entry["parameters_sha256"] for entry in result["seeds"]]
    assert [entry["parameters_sha256"] for entry in resume(out, quiet=True).result["seeds"]] == before


def test_the_buffer_holds_what_happened():
    trained = program("sac")
    trained.advance(60)
    tables = [group.replay for group in trained.states]
    rows = np.stack([table.rows for table in tables])
    assert np.all(rows[:, 60:] == 0)
    rows = rows[:, :60]
    assert [int(table.pushed.item()) for table in tables] == [60, 60]
    for own in rows:
        steps = Layout(2, 1).unpack(own)
        speed = (np.asarray(steps.actions)[:, 0] + 1) / 2
        np.testing.assert_allclose(steps.rewards, speed, atol=1e-6)
        np.testing.assert_allclose(steps.costs, speed**2, atol=1e-6)
        moved = np.asarray(steps.next_observations - steps.observations)
        np.testing.assert_allclose(moved, np.stack([speed, np.full(60, 0.1)], 1), atol=1e-5)
        assert not np.any(steps.terminated)
        # Every third row is the same copy's next step; episodes have ten.
        first = np.asarray(steps.observations)[:, 1].reshape(20, 3)
        np.testing.assert_allclose(first, np.tile(np.arange(10) / 10, 2)[:, None].repeat(3, 1), atol=1e-5)
    assert not np.array_equal(rows[0], rows[1])


def test_acting_in_numpy_is_acting_in_jax():
    trained = program("sac")
    trained.advance(180)
    seen = np.random.default_rng(0).standard_normal((2, 10, 2)).astype(np.float32)
    noise = np.random.default_rng(1).standard_normal((2, 10, 1)).astype(np.float32)
    _, actions = HostSquashed(trained.policies()).draw(seen, noise)
    for i in range(2):
        expected, _ = trained.policy(i).sample(seen[i], noise[i])
        np.testing.assert_allclose(actions[i], expected, atol=1e-6)


def test_a_policy_that_sees_what_is_near_acts_in_numpy_as_in_jax():
    trained = program("sac")
    policies = trained.policies()
    wider = [jnp.concatenate([policies.network.weights[0], policies.network.weights[0][:, :1]], axis=1)]
    network = replace(policies.network, weights=(*wider, *policies.network.weights[1:]), near=Near((1,), 3.0))
    policies = replace(policies, network=network)
    seen = np.random.default_rng(0).random((2, 10, 2), np.float32)
    noise = np.random.default_rng(1).standard_normal((2, 10, 1)).astype(np.float32)
    _, actions = HostSquashed(policies).draw(seen, noise)
    for i in range(2):
        expected, _ = jax.tree.map(lambda leaf, i=i: leaf[i], policies).sample(seen[i], noise[i])
        np.testing.assert_allclose(actions[i], expected, atol=1e-6)


@pytest.mark.parametrize("name", ["sac-lag", "sagui"])
def test_seeds_in_threads_learn_what_they_learn_side_by_side(monkeypatch, name):
    in_threads = program(name, (0, 1, 2))
    assert [len(group.keys) for group in in_threads.states] == [1, 1, 1]
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    abreast = program(name, (0, 1, 2))
    assert [len(group.keys) for group in abreast.states] == [3]
    logs = [trained.advance(120) for trained in (in_threads, abreast)]
    for ours, other in zip(*map(jax.tree.leaves, (in_threads.policies(), abreast.policies())), strict=True):
        np.testing.assert_allclose(ours, other, atol=1e-4)
    assert logs[0].keys() == logs[1].keys()
    for key, values in logs[0].items():
        np.testing.assert_allclose(values, logs[1][key], atol=1e-3, err_msg=key)


def test_episodes_are_counted_when_they_end():
    tally = Tally(1, 2)
    ones = np.ones((1, 2))
    tally.add(ones, 2 * ones, np.array([[True, False]]), 5 * ones)
    tally.add(ones, 0 * ones, np.array([[False, True]]), 2 * ones)
    tally.add(ones, 4 * ones, np.array([[False, False]]), 4 * ones)
    scores = tally.scores()
    expected = {"return": 1.5, "cost": 2.0, "length": 1.5, "episodes": 2.0, "cost_rate": 2.0}
    assert {name: float(value[0]) for name, value in scores.items()} == expected
    assert tally.charged() == [6.0]
    # Copy 0 has ended after one step that was charged 5, copy 1 after two that were charged 7.
    alone = np.array([[False, True]])
    assert (tally.charged(where=~alone), tally.charged(where=alone)) == ([5.0], [7.0])
    assert (tally.scores(~alone)["cost"], tally.scores(alone)["cost"]) == ([2.0], [2.0])
    assert tally.charged(full=12) == [48.0]
    assert np.isnan(tally.charged(where=np.zeros((1, 2), bool)))
    assert np.isnan(Tally(1, 2).charged())


def test_bad_input_is_explained():
    with pytest.raises(GoodpathError, match="try --stretch 20"):
        train("sac", env=TASK, cost_limit=1.0, options={"stretch": 17})
    with pytest.raises(GoodpathError, match="--every that divides"):
        train("sac", env=TASK, cost_limit=1.0, options={"every": 7})
    with pytest.raises(GoodpathError, match="discrete actions"):
        train("sac", env="MarbleMaze-v0", cost_limit=1.0)
    with pytest.raises(GoodpathError, match="takes no --data"):
        train("sac-lag", "x.hdf5", env=TASK, cost_limit=1.0)
    with pytest.raises(GoodpathError, match="--env"):
        train("sac", cost_limit=1.0)


def test_a_run_may_go_on_from_another_s_networks(tmp_path):
    options = SMALL | {"explore": "novelty"}
    first = train(
        "sagui-guide", env=TASK, cost_limit=2.0, seeds=(0, 1, 2), out=tmp_path / "a", options=options
    )
    own = make_config(find("sac-lag"), "default", SMALL)
    trained = ReplayProgram(find("sac-lag"), own, envs.make(TASK, 15), 2.0, range(5))
    fresh = trained.learnt[0]
    trained.begin_from(tmp_path / "a")
    for index in range(5):  # the run's three seeds in turn
        wanted = first.policy(index % 3).policy
        for a, b in zip(jax.tree.leaves(trained.policy(index)), jax.tree.leaves(wanted), strict=True):
            np.testing.assert_array_equal(a, b)
    sac_state = trained.learnt[0].sac
    for a, b in zip(jax.tree.leaves(sac_state.targets), jax.tree.leaves(sac_state.critics), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(fresh.sac.critics.weights[0], sac_state.critics.weights[0])
    np.testing.assert_array_equal(fresh.multiplier.parameter, trained.learnt[0].multiplier.parameter)
    other = make_config(find("sac-lag"), "default", SMALL | {"hidden": (4,)})
    with pytest.raises(GoodpathError, match="same --hidden"):
        ReplayProgram(find("sac-lag"), other, envs.make(TASK, 3), 2.0, (0,)).begin_from(tmp_path / "a")
    scaled = make_config(find("sac-lag"), "default", SMALL | {"normalize": True})
    seeing = ReplayProgram(find("sac-lag"), scaled, envs.make(TASK, 3), 2.0, (0,))
    with pytest.raises(GoodpathError, match="--normalize"):
        seeing.begin_from(tmp_path / "a")
    seeing.advance(seeing.total_steps)
    checkpoint.save(tmp_path / "c" / "checkpoints", 1, seeing.states, {})
    with pytest.raises(GoodpathError, match="--normalize"):
        trained.begin_from(tmp_path / "c")
    again = ReplayProgram(find("sac-lag"), scaled, envs.make(TASK, 3), 2.0, (0,))
    again.begin_from(tmp_path / "c")
    for a, b in zip(jax.tree.leaves(again.policy(0)), jax.tree.leaves(seeing.policy(0)), strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(GoodpathError, match="no checkpoint"):
        trained.begin_from(tmp_path)
    result = train(
        "sac-lag",
        env=TASK,
        cost_limit=2.0,
        out=tmp_path / "b",
        options=SMALL | {"initial": str(tmp_path / "a")},
    ).result
    assert result["seeds"][0]["gradient_steps"] == 18 * 6
