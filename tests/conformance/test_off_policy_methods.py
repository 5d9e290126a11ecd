"""Acting and learning in one program: resumed runs are the same runs, and errors are for people."""

import json
from functools import lru_cache

import jax
import numpy as np
import pytest

from goodpath import envs
from goodpath.cli import main
from goodpath.data.demos import play
from goodpath.data.hdf5 import save
from goodpath.envs import pure
from goodpath.envs.marble_maze import KINDS, SETTINGS, TEST_STARTS
from goodpath.errors import GoodpathError
from goodpath.methods import METHODS, find, sac
from goodpath.methods.contract import OffPolicyMethod
from goodpath.policies import CategoricalPolicy, load_policy, parameters_sha256
from goodpath.training import checkpoint, compiled
from goodpath.training.compiled import CompiledProgram
from goodpath.training.games import play as play_games
from goodpath.training.job import make_config
from goodpath.training.run import resume, train

OFF_POLICY = [
    name
    for name in METHODS
    if isinstance(find(name), OffPolicyMethod) and not issubclass(find(name).config, sac.Config)
]
SMALL = {"hidden": (8,), "batch": 16, "steps": 60}
MAZE = "MarbleMaze-v0"


@lru_cache
def demonstrations():
    return play(SETTINGS[MAZE], [0, 5], [[0, 7, 7, 7, 5, 5], [7, 7, 0, 3]]).dataset


@lru_cache
def config(name):
    return make_config(find(name), "default", SMALL)


def program(name, seeds=(0, 1)):
    method = find(name)
    data = demonstrations() if method.demonstrated else None
    return CompiledProgram(method, config(name), pure.find(MAZE), 0.0, seeds, data)


def finish(trained, stride=11):
    while trained.step < trained.total_steps:
        trained.advance(min(trained.step + stride, trained.phase()[1]))
    return [parameters_sha256(trained.policy(i)) for i in range(len(trained.seeds))]


@pytest.mark.parametrize("name", OFF_POLICY)
def test_seeds_determine_everything_and_a_checkpoint_continues_bit_for_bit(tmp_path, name):
    whole = finish(program(name))
    assert len(set(whole)) == 2
    assert finish(program(name), stride=17) == whole  # wherever the log's lines fall
    for stop in (9, 16, 38):  # while the buffer fills, when it is full enough, and while learning
        first = program(name)
        while first.step < stop:
            first.advance(min(stop, first.phase()[1]))
        checkpoint.save(tmp_path / str(stop), first.step, first.states, {"step": first.step})
        second = program(name)
        second.states, about = checkpoint.restore(tmp_path / str(stop), second.states)
        second.step = about["step"]
        assert finish(second) == whole


@pytest.mark.parametrize("name", OFF_POLICY)
def test_metrics_are_finite_and_one_for_each_seed(name):
    trained = program(name)
    untouched = [parameters_sha256(trained.policy(i)) for i in range(2)]
    filling = trained.advance(trained.phase()[1])
    assert trained.step == 16
    assert [parameters_sha256(trained.policy(i)) for i in range(2)] == untouched
    learning = trained.advance(60)
    assert {"return", "cost", "length", "goal", "episodes"} == set(filling)
    assert {"loss", "critic_loss", "entropy", "temperature"} <= set(learning)
    for metrics in (filling, learning):
        assert all(np.shape(values) == (2,) and np.isfinite(values).all() for values in metrics.values())
    assert trained.updates == 44


@pytest.mark.parametrize("name", OFF_POLICY)
def test_a_run_from_the_command_line(tmp_path, capsys, name):
    out, data = tmp_path / "run", tmp_path / "demos.h5"
    words = [
        "train",
        name,
        "--env",
        MAZE,
        "--hidden",
        "8",
        "--batch",
        "16",
        "--steps",
        "60",
        "--seeds",
        "3",
        "4",
    ]
    if find(name).demonstrated:
        save(demonstrations(), data)
        words += ["--data", str(data)]
    assert main([*words, "--quiet", "--out", str(out)]) == 0
    result = json.loads((out / "result.json").read_text())
    for index, entry in enumerate(result["seeds"]):
        assert entry["seed"] == 3 + index
        assert entry["training_environment_steps"] == 60
        assert entry["gradient_steps"] == 44
        for lists in (entry["lists"], entry["stochastic"]["lists"]):
            assert set(lists) == {"train", "test"}
            assert set(lists["test"]["violations"]) == {"below", "left", "circle"}
        test = entry["lists"]["test"]
        assert test["games"] == entry["episodes"] == 40
        assert test["return"] == pytest.approx(entry["return"])
        numbers = sum(kind["number"] for kind in test["violations"].values())
        assert numbers == pytest.approx(entry["cost"])
    policy = load_policy(out / "policies" / "seed-3.npz")
    assert policy(np.zeros((5, 8))).sum(1).tolist() == [1] * 5
    assert (out / "report.html").is_file()
    before = [entry["parameters_sha256"] for entry in result["seeds"]]
    assert [entry["parameters_sha256"] for entry in resume(out, quiet=True).result["seeds"]] == before


def test_seeds_in_groups_are_the_same_seeds_in_the_same_order(monkeypatch):
    joint = program("sac-discrete", seeds=(3, 4, 5))
    monkeypatch.setattr(compiled, "TOGETHER", 2)
    grouped = program("sac-discrete", seeds=(3, 4, 5))
    assert [len(group.key) for group in grouped.states] == [2, 1]
    for index in range(3):
        pairs = zip(jax.tree.leaves(joint.policy(index)), jax.tree.leaves(grouped.policy(index)), strict=True)
        assert all(np.array_equal(a, b) for a, b in pairs)
    expected, found = joint.advance(16), grouped.advance(16)
    assert all(np.shape(values) == (3,) for values in found.values())
    rows = np.concatenate([group.replay.rows for group in grouped.states])
    np.testing.assert_allclose(rows, joint.states[0].replay.rows, rtol=1e-5, atol=1e-6)
    assert len({tuple(table.ravel()) for table in rows}) == 3
    assert expected.keys() == found.keys()
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert [len(group.key) for group in program("sac-discrete", seeds=(3, 4, 5)).states] == [3]


def test_games_of_the_compiled_evaluation_are_those_of_the_batched_environment():
    trained = program("sac-discrete")
    trained.advance(16)
    games = play_games(pure.find(MAZE), trained.policies(), TEST_STARTS)
    policy, env = trained.policy(1), envs.make(MAZE, len(TEST_STARTS))
    observations, active = env.reset_to(TEST_STARTS), np.ones(len(TEST_STARTS), bool)
    returns, lengths = np.zeros(len(TEST_STARTS)), np.zeros(len(TEST_STARTS))
    costs = np.zeros((len(TEST_STARTS), 3))
    while active.any():
        step = env.transition(np.asarray(policy(observations.astype(np.float32))))
        returns += active * step.rewards
        lengths += active
        kinds = [step.info[f"cost_{kind}"] for kind in ("below", "left", "circle")]
        costs += active[:, None] * np.stack(kinds, 1)
        active &= ~(step.terminated | step.truncated)
        observations = step.observations
    np.testing.assert_allclose(games.lengths[1], lengths)
    np.testing.assert_allclose(games.returns[1], returns, rtol=1e-4)
    np.testing.assert_allclose(games.violations[1], costs)


def test_cloning_in_a_maze_is_evaluated_from_the_same_starts(tmp_path):
    options = {"hidden": (8,), "steps": 20}
    result = train("bc", demonstrations(), env=MAZE, cost_limit=0.0, out=tmp_path, options=options).result
    [entry] = result["seeds"]
    policy = load_policy(tmp_path / "policies" / "seed-0.npz").policy
    assert isinstance(policy, CategoricalPolicy)
    stacked = jax.tree.map(lambda leaf: leaf[None], policy)
    for name, starts in pure.find(MAZE).lists.items():
        games = play_games(pure.find(MAZE), stacked, starts)
        assert entry["lists"][name] == games.scores(0, KINDS)
        assert entry["stochastic"]["lists"][name]["games"] == 40
    assert entry["return"] == entry["lists"]["test"]["return"]


def test_bad_input_is_explained():
    with pytest.raises(GoodpathError, match="give it a file with --data"):
        train("scopil", env=MAZE, cost_limit=0.0)
    with pytest.raises(GoodpathError, match="--env"):
        train("scopil", demonstrations(), cost_limit=0.0)
    with pytest.raises(GoodpathError, match="takes no --data"):
        train("sac-discrete", demonstrations(), env=MAZE, cost_limit=0.0)
    with pytest.raises(GoodpathError, match="cannot be compiled"):
        train("sac-discrete", env="SafetyPointGoal1-v0", cost_limit=0.0)
