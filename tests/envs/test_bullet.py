"""Bullet-Safety-Gym made repeatable. The package is no requirement of goodpath, hence looked for first."""

import os
import random
import sys

import numpy as np
import pytest

from goodpath import envs
from goodpath.errors import GoodpathError

NAMES = [name for name, entry in envs.ENVIRONMENTS.items() if entry.needs == "bullet_safety_gym"]
SIZES = {  # observation, action, steps; as in the DSRL data sets
    "SafetyBallRun-v0": (7, 2, 100),
    "SafetyCarRun-v0": (7, 2, 200),
    "SafetyDroneRun-v0": (17, 4, 200),
    "SafetyAntRun-v0": (33, 8, 200),
    "SafetyBallCircle-v0": (8, 2, 200),
    "SafetyCarCircle-v0": (8, 2, 300),
    "SafetyDroneCircle-v0": (18, 4, 300),
    "SafetyAntCircle-v0": (34, 8, 500),
}
by_name = pytest.mark.parametrize("name", NAMES)


def test_data_sets_names_mean_these_tasks():
    assert set(NAMES) == set(SIZES)
    assert envs.canonical("OfflineBallRun-v0") == "SafetyBallRun-v0"
    assert envs.canonical("OfflineDroneCircle-v0") == "SafetyDroneCircle-v0"


def test_without_the_package_the_error_says_how_to_get_it(monkeypatch):
    from goodpath.envs import bullet

    bullet._packages.cache_clear()
    monkeypatch.setitem(sys.modules, "bullet_safety_gym", None)
    with pytest.raises(GoodpathError, match="pip install --no-deps bullet-safety-gym"):
        envs.make("SafetyBallRun-v0")
    bullet._packages.cache_clear()


@pytest.fixture
def bullet():
    pytest.importorskip("bullet_safety_gym", reason="an optional package that cannot be a requirement")


def episode(env, row, steps):
    """What row `row` sees in some steps, whose actions are always the same."""
    chosen = np.random.default_rng(0).uniform(-1, 1, (steps, env.spec.action_size))
    seen = []
    for action in chosen:
        step = env.step(np.tile(action, (env.num_envs, 1)))
        seen.append([*step.final_observations[row], step.rewards[row], step.costs[row], step.terminated[row]])
    return np.array(seen)


@by_name
def test_same_seeds_give_the_same_episodes_in_any_order(bullet, name):
    env, used = envs.make(name, num_envs=1), envs.make(name, num_envs=2)
    assert (env.spec.observation_size, env.spec.action_size, env.spec.episode_length) == SIZES[name]
    first = env.reset(3)
    seen = episode(env, 0, 40)
    second = env.reset()  # the second episode of seed 3
    seen_second = episode(env, 0, 40)
    assert not np.array_equal(first, second)
    # Elsewhere, after other episodes, with a neighbour, and whatever the global generators were told.
    used.reset(70)
    episode(used, 0, 30)
    np.random.seed(1)  # noqa: NPY002
    np.testing.assert_array_equal(used.reset([9, 3])[1], first[0])
    np.testing.assert_array_equal(episode(used, 1, 40), seen)
    random.seed(2)
    np.testing.assert_array_equal(used.reset()[1], second[0])
    np.testing.assert_array_equal(episode(used, 1, 40), seen_second)
    env.close()
    used.close()


@pytest.mark.filterwarnings("ignore:overflow encountered in cast")  # in the bounds that the package gives
@by_name
def test_a_rebuilt_simulation_is_a_new_one(bullet, name):
    import gymnasium

    from goodpath.envs.bullet import BulletEnv, _generators, _packages

    env = BulletEnv(name)
    env.reset(seed=1)
    chosen = np.random.default_rng(0).uniform(-1, 1, (30, SIZES[name][1]))
    for action in chosen:
        env.step(action)
    observation, _ = env.reset(seed=5)
    (original,) = _packages().__bases__
    with _generators(int(np.random.default_rng(5).integers(2**32))):
        plain = original(**gymnasium.spec(name).kwargs)
        expected, _ = plain.reset()
    np.testing.assert_array_equal(observation, expected)
    for action in chosen:
        before = np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
        observation, reward, _, _, info = env.step(action)
        expected, expected_reward, _, _, expected_info = plain.step(action)
        np.testing.assert_array_equal(observation, expected)
        assert (reward, info["cost"]) == (expected_reward, expected_info["cost"])
        # A step leaves the global generators alone, so seeding them at resets is enough.
        np.testing.assert_array_equal(before[0], np.random.get_state()[1])  # noqa: NPY002
        assert before[1] == random.getstate()
    env.close()
    plain.close()


def test_nothing_is_printed(bullet, capfd):
    envs.make("SafetyBallRun-v0").close()
    assert capfd.readouterr() == ("", "")


def test_the_global_generators_are_left_as_they_were(bullet):
    np.random.seed(4)  # noqa: NPY002
    random.seed(4)
    expected = np.random.RandomState(4).random(), random.Random(4).random()
    env = envs.make("SafetyBallCircle-v0")
    env.reset(0)
    env.step(np.zeros((1, 2)))
    assert (np.random.random(), random.random()) == expected  # noqa: NPY002
    env.close()


def test_workers_do_what_one_process_does_with_bullet(bullet):
    alone = envs.make("SafetyBallRun-v0", num_envs=2)
    workers = envs.make("SafetyBallRun-v0", num_envs=2, threads=2)
    np.testing.assert_array_equal(workers.reset(7), alone.reset(7))
    np.testing.assert_array_equal(episode(workers, 1, 110), episode(alone, 1, 110))  # past the end at 100
    alone.close()
    workers.close()


def test_no_file_stays_open(bullet):
    descriptors = os.path.join("/proc", "self", "fd")
    if not os.path.isdir(descriptors):
        pytest.skip("this system does not list open files there")
    envs.make("SafetyBallRun-v0").close()
    before = len(os.listdir(descriptors))
    for _ in range(3):
        envs.make("SafetyBallRun-v0", num_envs=2).close()
    assert len(os.listdir(descriptors)) == before
