"""SIM's labels, buffers and classifier against what can be worked out by hand."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from goodpath import envs
from goodpath.cli import main
from goodpath.data.collect import collect
from goodpath.errors import GoodpathError
from goodpath.methods import find
from goodpath.methods.contract import Rollout
from goodpath.methods.sim import SIM, _eligible, classifier_loss, oracle
from goodpath.oracles import BAD, GOOD, NEITHER
from goodpath.training.job import make_config
from goodpath.training.online import OnlineProgram
from goodpath.trajectories import Outcomes

SMALL = {
    "hidden": (8, 8),
    "num_envs": 10,
    "rollout": 200,
    "minibatch": 50,
    "steps": 1200,
    "good_capacity": 400,
    "bad_capacity": 400,
    "start": 10,
}


def outcomes(returns, costs):
    number = len(returns)
    whole = np.arange(number)
    return Outcomes(
        np.array(returns, float), np.array(costs, float), np.ones(number, np.int64), whole, lambda i: None
    )


@pytest.mark.parametrize(
    ("preset", "options", "labels"),
    [
        # Returns 30, 30, 10, 10, 22 and costs 0, 50, 0, 50, 0; good from 25 on, bad below 20; limit 15.
        ("default", {"moving": False}, [GOOD, BAD, BAD, BAD, NEITHER]),
        ("paper", {}, [GOOD, BAD, BAD, BAD, NEITHER]),
        ("release", {}, [GOOD, NEITHER, BAD, BAD, NEITHER]),
        ("unknown-cost", {}, [GOOD, BAD, GOOD, BAD, GOOD]),
    ],
)
def test_the_label_truth_table_of_each_preset(preset, options, labels):
    config = make_config(SIM, preset, {"min_good": 25.0, "max_bad": 20.0, **options})
    judge = oracle(config, 15.0)
    episodes = outcomes([30, 30, 10, 10, 22], [0, 50, 0, 50, 0])
    # m - max(1, s) of these is below 20, so the threshold that moves is checked apart.
    if config.bad_rule != "cost":
        from dataclasses import replace

        rules, returns = judge.oracles
        judge = replace(judge, oracles=(rules, replace(returns, bad=20.0)))
    assert judge(episodes).tolist() == labels


def test_thresholds_move_with_the_rollout():
    config = make_config(SIM, "default", {"above": 1.0})
    returns = oracle(config, 15.0).updated(outcomes([0.0, 10.0], [0, 0])).oracles[1]
    assert (returns.good, returns.bad) == (10.0, 0.0)


def test_the_least_squares_loss_has_its_optimum_at_four():
    config = make_config(SIM, "release", {})
    slope = jax.grad(lambda x: classifier_loss(config, x[None], True))
    assert float(slope(4.0)) == pytest.approx(0.0)
    assert float(jax.grad(lambda x: classifier_loss(config, x[None], False))(-4.0)) == pytest.approx(0.0)

    # Where good, own and bad steps are equally likely, the logit is 4/3.
    def total(x):
        sides = (True, True, False)
        return sum(classifier_loss(config, x[None], good) for good in sides)

    assert float(jax.grad(total)(4 / 3)) == pytest.approx(0.0, abs=1e-6)


def test_the_logistic_loss_recovers_a_density_ratio():
    config = make_config(SIM, "paper", {})

    def total(x):  # good and own against bad, with masses 0.5 and 0.2
        return 0.5 * classifier_loss(config, x[None], True) + 0.2 * classifier_loss(config, x[None], False)

    assert float(jax.grad(total)(jnp.log(0.5 / 0.2))) == pytest.approx(0.0, abs=1e-6)


def test_the_best_own_episodes_are_those_a_spread_above_the_mean():
    config = make_config(SIM, "release", {})
    blank, returns = jnp.zeros((4, 2)), jnp.array([[0.0], [0.0], [0.0], [8.0]]).repeat(2, axis=1)
    ended = jnp.array([[False, True]] * 4)
    names = (
        "observations",
        "next_observations",
        "raw",
        "actions",
        "rewards",
        "costs",
        "terminated",
        "labels",
    )
    rollout = Rollout(**dict.fromkeys(names, blank), ended=ended, returns=returns, cost=jnp.zeros(()))
    assert _eligible(config, rollout).reshape(4, 2).tolist() == [[0, 0], [0, 0], [0, 0], [1, 1]]
    equal = Rollout(**dict.fromkeys(names, blank), ended=ended, returns=blank, cost=jnp.zeros(()))
    assert _eligible(config, equal).sum() == 8


@pytest.mark.parametrize(
    "options",
    [
        {"sets": "good", "own": "best", "loss": "least-squares", "reward": "logit"},
        {"own": "all", "adversarial": True, "cost": "none", "environment_reward": False, "cvar_level": 0.5},
    ],
)
def test_the_variants_learn_something_finite(options):
    config = make_config(SIM, "default", SMALL | options)
    program = OnlineProgram(SIM, config, envs.make("ProbeLine-v0", 10), 2.5, (0,))
    before = program.policy(0)
    for _ in range(2):
        metrics = program.advance(program.step + program.stride)
    assert all(np.isfinite(values).all() for values in metrics.values())
    after = jax.tree.leaves(program.policy(0))
    assert any((a != b).any() for a, b in zip(after, jax.tree.leaves(before), strict=True))


def test_without_labelled_episodes_nothing_is_paid():
    config = make_config(SIM, "default", SMALL | {"start": 10**6})
    program = OnlineProgram(SIM, config, envs.make("ProbeLine-v0", 10), 2.5, (0,))
    metrics = program.advance(program.stride)
    assert metrics["ready"][0] == metrics["classifier_reward"][0] == 0.0


class Slow:
    """Drives at a steady low speed, so that every episode keeps the limit."""

    def __init__(self, env, rng):
        self._speed = rng.uniform(-0.9, -0.4, (env.num_envs, 1))

    def __call__(self, observations):
        return self._speed

    def redraw(self, mask):
        pass


def test_it_starts_from_a_data_set_and_from_an_expert(tmp_path, capsys):
    data = tmp_path / "slow.hdf5"
    collect("ProbeLine-v0", Slow, 20, data, num_envs=10)
    words = ["train", "sim", "--env", "ProbeLine-v0", "--quiet", "--episodes", "4"]
    for key, value in SMALL.items():
        texts = [str(x) for x in value] if isinstance(value, tuple) else [str(value)]
        words += [f"--{key.replace('_', '-')}", *texts]
    assert main([*words, "--cost-limit", "2.5", "--good-data", str(data), "--out", str(tmp_path / "a")]) == 0
    expert = [*words, "--cost-limit", "10", "--expert", "train", "--expert-episodes", "20"]
    expert += ["--expert-steps", "400", "--expert-limit", "10", "--min-good=-1", "--bad-rule", "cost"]
    assert main([*expert, "--out", str(tmp_path / "b")]) == 0
    assert (tmp_path / "b" / "expert" / "result.json").is_file()
    assert (tmp_path / "b" / "expert.hdf5").is_file()
    # The first update already finds 20 episodes of ten steps in the buffer, beside its own.
    first = json.loads((tmp_path / "b" / "metrics.jsonl").read_text().splitlines()[0])
    assert first["metrics"]["good_steps"][0] >= 200
    # No slow episode reaches this return, and the message says so.
    hopeless = [*words, "--cost-limit", "0.01", "--good-data", str(data), "--out", str(tmp_path / "c")]
    assert main(hopeless) == 2
    assert "none of the 20 trajectories" in capsys.readouterr().err


def test_bad_input_is_explained():
    config = make_config(SIM, "default", SMALL | {"good_capacity": 10})
    with pytest.raises(GoodpathError, match="--good-capacity"):
        OnlineProgram(SIM, config, envs.make("ProbeLine-v0", 10), 2.5, (0,))
    config = make_config(SIM, "default", {"oracle": "no_such_module:f"})
    with pytest.raises(GoodpathError, match="module:function"):
        oracle(config, 1.0)
    assert find("sim") is SIM


def test_an_episode_that_did_not_end_does_not_spoil_the_choice_of_the_best():
    config = make_config(SIM, "release", {})
    names = (
        "observations",
        "next_observations",
        "raw",
        "actions",
        "rewards",
        "costs",
        "terminated",
        "labels",
    )
    returns = jnp.array([[0.0, -jnp.inf], [0.0, 0.0], [0.0, 0.0], [8.0, 8.0]])
    ended = jnp.array([[True, False], [False, True], [False, True], [False, True]])
    blank = dict.fromkeys(names, jnp.zeros((4, 2)))
    rollout = Rollout(**blank, ended=ended, returns=returns, cost=jnp.zeros(()))
    assert _eligible(config, rollout).reshape(4, 2).tolist() == [[0, 0], [0, 0], [0, 0], [1, 1]]
