"""Acting and learning: resumed runs are the same runs, episodes are whole, and errors are for people."""

import json
from dataclasses import replace

import jax
import numpy as np
import pytest

from goodpath import envs
from goodpath.cli import main
from goodpath.errors import GoodpathError
from goodpath.methods import METHODS, find
from goodpath.methods.contract import OnlineMethod
from goodpath.policies import load_policy, parameters_sha256
from goodpath.training import checkpoint
from goodpath.training.acting import HostPolicies
from goodpath.training.job import make_config
from goodpath.training.online import Episodes, OnlineProgram
from goodpath.training.run import train

ONLINE = [name for name in METHODS if isinstance(find(name), OnlineMethod)]
SMALL = {
    "hidden": (8, 8),
    "num_envs": 10,
    "rollout": 200,
    "minibatch": 50,
    "steps": 1200,
    "passes": 2,
    "free_steps": 0,
}
SIM = {
    "good_capacity": 400,
    "bad_capacity": 400,
    "start": 10,
    "classifier_updates": 5,
    "classifier_batch": 32,
}
LIMIT = 2.5


def program(name, seeds=(0, 1), **options):
    method = find(name)
    chosen = SMALL | (SIM if name == "sim" else {}) | options
    config = make_config(method, "default", chosen)
    env = envs.make("ProbeLine-v0", len(seeds) * config.num_envs)
    return OnlineProgram(method, config, env, LIMIT, seeds)


def finish(trained):
    while trained.step < trained.total_steps:
        trained.advance(trained.step + trained.stride)
    return [parameters_sha256(trained.policy(i)) for i in range(len(trained.seeds))]


@pytest.mark.parametrize("name", ONLINE)
def test_seeds_determine_everything_and_a_checkpoint_continues_bit_for_bit(tmp_path, name):
    whole = finish(program(name))
    assert len(set(whole)) == 2
    first = program(name)
    first.advance(600)
    checkpoint.save(tmp_path, first.step, first.states, {"step": first.step})
    second = program(name)
    second.states, about = checkpoint.restore(tmp_path, second.states)
    second.step = about["step"]
    assert finish(second) == whole


@pytest.mark.parametrize("name", ONLINE)
def test_metrics_are_finite_and_one_for_each_seed(name):
    trained = program(name)
    metrics = trained.advance(trained.stride)
    assert {"loss", "return", "cost", "kl"} <= set(metrics)
    assert all(np.shape(values) == (2,) and np.isfinite(values).all() for values in metrics.values())


@pytest.mark.parametrize("name", ONLINE)
def test_a_run_from_the_command_line(tmp_path, capsys, name):
    out = tmp_path / "run"
    words = [f"--{key.replace('_', '-')}={value}" for key, value in (SMALL | SIM).items() if key != "hidden"]
    if name != "sim":
        words = [word for word in words if word.split("=")[0][2:].replace("-", "_") not in SIM]
    words = ["train", name, "--env", "ProbeLine-v0", "--cost-limit", "2", "--report-limit", "2.5", *words]
    assert main([*words, "--hidden", "8", "8", "--episodes", "4", "--quiet", "--out", str(out)]) == 0
    result = json.loads((out / "result.json").read_text())
    assert (result["cost_limit"], result["evaluation_cost_limit"]) == (2.0, 2.5)
    entry = result["seeds"][0]
    assert entry["training_environment_steps"] == 1200
    assert entry["gradient_steps"] == 6
    assert entry["stochastic"]["episodes"] == entry["episodes"] == 4
    assert 0 <= entry["training"]["cost"] <= 10
    assert load_policy(out / "policies" / "seed-0.npz").policy.log_std.shape == (1,)
    assert (out / "report.html").is_file()


def test_acting_in_numpy_is_acting_in_jax():
    trained = program("ppo-lag")
    trained.advance(400)
    policies = trained.policies()
    seen = np.random.default_rng(0).standard_normal((2, 10, 2)).astype(np.float32)
    noise = np.random.default_rng(1).standard_normal((2, 10, 1)).astype(np.float32)
    raw, actions = HostPolicies(policies).draw(seen, noise)
    for i in range(2):
        policy = trained.policy(i)
        expected = policy.network(seen[i]) + np.exp(policy.log_std) * noise[i]
        np.testing.assert_allclose(raw[i], expected, atol=1e-5)
        np.testing.assert_allclose(actions[i], policy.action(raw[i]), atol=1e-6)


def test_the_policy_of_scaled_observations_is_folded_into_one_of_plain_ones():
    trained = program("ppo-lag")
    trained.advance(600)
    state = jax.tree.map(lambda leaf: leaf[0], trained.states)
    seen = np.random.default_rng(0).standard_normal((5, 2)).astype(np.float32)
    assert float(state.scaler.count) == 600
    expected = state.actor.network(state.scaler(seen))
    np.testing.assert_allclose(trained.policy(0).network(seen), expected, atol=1e-4)


def test_episodes_are_cut_where_they_end_and_an_unfinished_one_is_left_out():
    rewards = np.arange(10, dtype=np.float32).reshape(2, 5)
    ended = np.array([[0, 1, 0, 0, 1], [0, 0, 1, 0, 0]], np.bool_)
    terminated = np.array([[0, 1, 0, 0, 0], [0, 0, 1, 0, 0]], np.bool_)
    blank = np.zeros((2, 5, 1), np.float32)
    episodes = Episodes(blank, blank, blank, rewards, 2 * rewards, terminated, ended)
    assert episodes.outcomes.returns.tolist() == [1, 9, 18]
    assert episodes.outcomes.costs.tolist() == [2, 18, 36]
    assert episodes.outcomes.lengths.tolist() == [2, 3, 3]
    assert episodes.outcomes.trajectory(1).truncated
    assert episodes.outcomes.trajectory(2).terminated
    spread = episodes.spread(np.array([1, -1, 1], np.int8), 0)
    assert spread.tolist() == [[1, 1, -1, -1, -1], [1, 1, 1, 0, 0]]


@pytest.mark.parametrize(("share", "expected"), [(1.0, 5.0), (0.5, 8.0), (0.01, 11.0)])
def test_the_limited_cost_is_that_of_the_worst_episodes(monkeypatch, share, expected):
    trained = program("ppo-lag", seeds=(0,), num_envs=4, rollout=40, minibatch=40, cvar_level=share)
    costs = iter(range(10))

    def step(actions, sound=trained.env.step):
        first = next(costs) == 0
        return sound(actions)._replace(costs=np.array([1.0, 5.0, 3.0, 11.0]) * first)

    monkeypatch.setattr(trained.env, "step", step)
    rollout, _ = trained._roll()
    assert float(rollout.cost[0]) == expected


def test_bad_input_is_explained():
    with pytest.raises(GoodpathError, match="try --rollout 100"):
        program("ppo", rollout=130)
    with pytest.raises(GoodpathError, match="--env"):
        train("ppo", cost_limit=1.0)
    with pytest.raises(GoodpathError, match="takes no --data"):
        train("ppo", "x.hdf5", env="ProbeLine-v0", cost_limit=1.0)
    with pytest.raises(GoodpathError, match="--data"):
        train("bc", env="ProbeLine-v0", cost_limit=1.0)


def test_a_method_that_may_not_see_costs_does_not():
    """Whatever the costs are, an update that only has the oracle's word gives the same parameters."""

    class Dearer:
        def __init__(self, env):
            self.env, self.spec, self.num_envs = env, env.spec, env.num_envs

        def reset(self, seed=None):
            return self.env.reset(seed)

        def step(self, actions):
            step = self.env.step(actions)
            return step._replace(costs=step.costs + 100.0)

    def learnt(wrap, limit):
        method = find("sim")
        config = make_config(method, "unknown-cost", SMALL | SIM)
        env = wrap(envs.make("ProbeLine-v0", config.num_envs))
        return finish(OnlineProgram(method, config, env, limit, (0,)))

    # Both the cost of each of the ten steps and the limit rise: the oracle says the same of every episode.
    assert learnt(lambda env: env, LIMIT) == learnt(Dearer, LIMIT + 1000.0)
    assert learnt(lambda env: env, LIMIT) != learnt(lambda env: env, 0.5)


def test_a_seeded_config_is_hashable():
    assert hash(replace(make_config(find("sim"), "default", {}), steps=1))


@pytest.mark.parametrize("name", ["cpo", "sim"])
def test_a_run_may_go_on_from_another_s_networks(tmp_path, name):
    first = train(
        "ppo-lag", env="ProbeLine-v0", cost_limit=LIMIT, seeds=(0, 1), out=tmp_path / "a", options=SMALL
    )
    trained = program(name, seeds=(0, 1, 2))
    fresh = trained.states
    trained.begin_from(tmp_path / "a")
    for index in range(3):  # the run's two seeds in turn
        assert parameters_sha256(trained.policy(index)) == parameters_sha256(first.policy(index % 2).policy)
    assert not np.array_equal(fresh.cost_critic.weights[0], trained.states.cost_critic.weights[0])
    np.testing.assert_array_equal(trained.states.step, 0)
    for a, b in zip(jax.tree.leaves(fresh.optimizer), jax.tree.leaves(trained.states.optimizer), strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(GoodpathError, match="same --hidden"):
        program(name, hidden=(4,)).begin_from(tmp_path / "a")
    options = SMALL | {"initial": str(tmp_path / "a")}
    train("cpo", env="ProbeLine-v0", cost_limit=LIMIT, seeds=(0,), out=tmp_path / "b", options=options)
    train(
        "sac",
        env="ProbeLine-v0",
        cost_limit=LIMIT,
        seeds=(0,),
        out=tmp_path / "c",
        options={"steps": 200, "num_envs": 1},
    )
    with pytest.raises(GoodpathError, match="same family"):
        program(name).begin_from(tmp_path / "c")


def test_exploring_is_paid_by_metres_and_not_by_the_task():
    config = make_config(
        find("cpo"), "default", SMALL | {"num_envs": 1, "rollout": 1000, "steps": 1000, "explore": True}
    )
    env = envs.make("SaguiStaticStudent-v0", 1, guard="end")
    trained = OnlineProgram(find("cpo"), config, env, LIMIT, (0,))
    rollouts, scores = trained._roll()
    again = envs.make("SaguiStaticStudent-v0", 1, guard="end")
    again.reset([int(np.random.SeedSequence([0, 0]).generate_state(1)[0])])
    moved = []
    for action in np.asarray(rollouts.actions)[0, 0]:
        info = again.step(action[None]).info
        moved.append(0.0 if info["outside"][0] else info["displacement"][0])
    np.testing.assert_allclose(np.asarray(rollouts.rewards)[0, 0], moved, rtol=1e-5)
    assert scores["return"][0] > 0
    with pytest.raises(GoodpathError, match="how far the agent moves"):
        program("cpo", explore=True).advance(1)
