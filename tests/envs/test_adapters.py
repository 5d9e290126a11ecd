"""Environments of others behind the batched contract."""

import gymnasium
import numpy as np
import pytest
from own_environments import Drift, Fragile, Free, SixValues, Stretched, limited, spaced

from goodpath import envs
from goodpath.cli import main
from goodpath.envs.adapters import adapt
from goodpath.envs.vector import BatchedEnv
from goodpath.errors import GoodpathError

STEPS = 40


def actions(num_envs, steps=STEPS):
    return np.random.default_rng(3).uniform(-0.9, 0.9, (steps, num_envs, 2))


def rollout(env, seed=5):
    """Everything that happens in some steps from a seed, as one list of arrays."""
    seen = [env.reset(seed)]
    for chosen in actions(env.num_envs):
        step = env.step(chosen)
        seen += [*step[:-1], *(step.info[key] for key in sorted(step.info))]
    return seen


def assert_same(first, second):
    assert len(first) == len(second)
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


def test_it_does_what_a_plain_loop_does():
    env = adapt(Drift, 3, "drift", episode_length=7)
    assert isinstance(env, BatchedEnv)
    observations = env.reset([4, 9, 2])
    plain = [Drift() for _ in range(3)]
    now = [single.reset(seed=seed)[0] for single, seed in zip(plain, (4, 9, 2), strict=True)]
    np.testing.assert_array_equal(observations, now)
    ends = np.zeros(2, int)
    for chosen in actions(3):
        step = env.step(chosen)
        for row, single in enumerate(plain):
            last, reward, terminated, _, info = single.step(chosen[row].astype(np.float32))
            np.testing.assert_array_equal(step.final_observations[row], last)
            assert (step.rewards[row], step.costs[row]) == (reward, info["cost"])
            assert (step.info["age"][row], step.info["far"][row]) == (info["age"], info["far"])
            assert step.terminated[row] == terminated
            assert step.truncated[row] == (info["age"] == 7)
            ended = terminated or info["age"] == 7
            np.testing.assert_array_equal(step.observations[row], single.reset()[0] if ended else last)
            ends += [terminated, info["age"] == 7]
        assert set(step.info) == {"age", "far"}
    assert (ends > 0).all()
    env.close()


@pytest.mark.parametrize("make", [SixValues, limited(Drift)], ids=["six values", "TimeLimit"])
def test_other_ways_to_say_the_same(make):
    length = 7 if make is SixValues else 1000
    expected = rollout(adapt(Drift, 3, "drift", episode_length=7))
    assert_same(rollout(adapt(make, 3, "same", episode_length=length)), expected)


@pytest.mark.parametrize("name", ["Drift", "SixValues"])
def test_registered_environments_are_found_by_name(name):
    env = envs.make(f"own_environments:{name}-v0", num_envs=3)
    assert (env.spec.name, env.spec.episode_length) == (f"own_environments:{name}-v0", 7)
    assert_same(rollout(env), rollout(adapt(Drift, 3, "drift", episode_length=7)))
    assert "own_environments" in envs.describe(env.spec.name)


def test_seeds_determine_everything():
    env = adapt(Drift, 3, "drift", episode_length=7)
    first = rollout(env)
    rollout(env, seed=77)
    assert_same(rollout(env), first)
    alone = adapt(Drift, 1, "drift", episode_length=7)
    np.testing.assert_array_equal(alone.reset(6)[0], first[0][1])
    assert not np.array_equal(alone.reset(None)[0], first[0][1])


def test_actions_are_stretched_to_different_bounds_and_clipped():
    made = []

    def make():
        made.append(Stretched())
        return made[-1]

    env = adapt(make, 1, "stretched", episode_length=7)
    assert (env.spec.action_low, env.spec.action_high) == (-1.0, 1.0)
    env.reset(0)
    for given, arrives in (([0.0, 0.0], [0, 5]), ([-1.0, 1.0], [-1, 10]), ([3.0, -3.0], [1, 0])):
        env.step(np.array([given]))
        np.testing.assert_array_equal(made[0].last, arrives)


def test_what_cannot_be_adapted_is_named():
    space = gymnasium.spaces
    pixels = space.Box(0, 255, (4, 4, 3), np.uint8)
    cases = [
        (
            spaced(observation=space.Dict(a=space.Discrete(2))),
            "observations of kind Dict.*FlattenObservation",
        ),
        (spaced(observation=space.Discrete(3)), "observations of kind Discrete"),
        (spaced(observation=pixels), r"pixels of shape \(4, 4, 3\)"),
        (spaced(observation=space.Box(-1, 1, (2, 2))), r"arrays of shape \(2, 2\)"),
        (spaced(action=space.Discrete(3)), "actions of kind Discrete"),
        (spaced(action=space.Box(-1, 1, (2, 2))), r"actions of shape \(2, 2\)"),
        (spaced(action=space.Box(-np.inf, 1, (2,))), "finite bounds"),
    ]
    for make, words in cases:
        with pytest.raises(GoodpathError, match=words):
            adapt(make, 1, "odd", episode_length=7)
    with pytest.raises(GoodpathError, match="how long an episode of drift is"):
        adapt(Drift, 1, "drift")
    with pytest.raises(GoodpathError, match="how long"):
        envs.make("own_environments:Endless-v0")
    with pytest.raises(GoodpathError, match="0 steps"):
        adapt(Drift, 1, "drift", episode_length=0)
    with pytest.raises(GoodpathError, match="num_envs is 0"):
        adapt(Drift, 0, "drift", episode_length=7)
    with pytest.raises(GoodpathError, match="workers is -1"):
        adapt(Drift, 1, "drift", episode_length=7, workers=-1)
    one = Drift()
    with pytest.raises(GoodpathError, match="same environment twice"):
        adapt(lambda: one, 2, "drift", episode_length=7)


def test_an_environment_without_cost_is_refused():
    env = adapt(Free, 1, "free", episode_length=7)
    env.reset(0)
    with pytest.raises(GoodpathError, match=r"free reports no cost; put .* info\['cost'\]"):
        env.step(np.zeros((1, 2)))


def test_bad_calls_are_named():
    env = adapt(Drift, 2, "drift", episode_length=7)
    with pytest.raises(GoodpathError, match="before reset"):
        env.step(np.zeros((2, 2)))
    env.reset(0)
    with pytest.raises(GoodpathError, match=r"shape \(2,\)"):
        env.step(np.zeros(2))
    with pytest.raises(GoodpathError, match="must be finite"):
        env.step(np.array([[0, np.nan], [0, 0]]))
    with pytest.raises(GoodpathError, match="3 seeds were given for 2"):
        env.reset([1, 2, 3])
    with pytest.raises(GoodpathError, match="'no_such_module' of"):
        envs.make("no_such_module:Drift-v0")
    with pytest.raises(GoodpathError, match="does not register 'Drfit-v0'"):
        envs.make("own_environments:Drfit-v0")


def test_workers_do_what_one_process_does():
    alone = adapt(Drift, 3, "drift", episode_length=7)
    workers = adapt(Drift, 3, "drift", episode_length=7, workers=2)
    assert isinstance(workers, BatchedEnv)
    assert workers.spec == alone.spec
    assert_same(rollout(workers), rollout(alone))
    assert_same(rollout(workers, seed=[3, 1, 2]), rollout(alone, seed=[3, 1, 2]))
    workers.close()
    with pytest.raises(GoodpathError, match="have ended"):
        workers.reset(0)


@pytest.mark.parametrize(
    ("action", "words"),
    [([1.0, 0.0], "worker 1 .*RuntimeError: the point broke, line"), ([0.0, 1.0], "worker 1 .*exit code 3")],
    ids=["exception", "death"],
)
def test_what_happens_to_a_worker_is_an_error_here(action, words):
    env = adapt(Fragile, 2, "fragile", episode_length=7, workers=2)
    env.reset(0)
    with pytest.raises(GoodpathError, match=words):
        env.step(np.array([[0.0, 0.0], action]))
    with pytest.raises(GoodpathError, match="have ended"):
        env.step(np.zeros((2, 2)))
    env.close()


def test_workers_explain_themselves():
    env = adapt(Free, 1, "free", episode_length=7, workers=1)
    env.reset(0)
    with pytest.raises(GoodpathError, match=r"^free reports no cost"):
        env.step(np.zeros((1, 2)))
    with pytest.raises(GoodpathError, match="cannot be sent to a worker"):
        adapt(lambda: Drift(), 1, "drift", episode_length=7, workers=1)


def test_the_command_line_takes_the_name(tmp_path, capsys):
    import goodpath

    name = "own_environments:Drift-v0"
    env = envs.make(name, num_envs=1)
    assert (
        main(["train", "bc", "--env", "own_environments:Nothing-v0", "--data", "x", "--cost-limit", "1"]) == 2
    )
    assert "does not register" in capsys.readouterr().err
    assert goodpath.make(name).spec == env.spec
