"""The single environment behind Gymnasium's interface."""

import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from goodpath import envs
from goodpath.envs.gymnasium_env import NavigationGymEnv
from goodpath.envs.navigation import camera
from goodpath.envs.navigation.variants import EVERY_TASK
from goodpath.errors import GoodpathError


@pytest.mark.parametrize("name", [name for name in EVERY_TASK if "1" in name or name[:5] == "Sagui"])
def test_gymnasium_finds_nothing_to_complain_about(name):
    envs.register()
    envs.register()
    env = gymnasium.make(f"goodpath/{name}", render_mode="rgb_array").unwrapped
    with warnings.catch_warnings():
        # Sensors have no bounds; Gymnasium's advice against that is the only thing it may say.
        warnings.filterwarnings(
            "ignore", message=".*A Box observation space (min|max)imum value is -?infinity.*"
        )
        check_env(env)
    env.close()


@pytest.mark.parametrize("robot", ["HalfCheetah", "Hopper", "Walker2d", "Swimmer", "Ant", "Humanoid"])
def test_velocity_tasks_are_the_batched_environment_and_please_gymnasium(robot):
    envs.register()
    name = f"Safety{robot}Velocity-v1"
    env, batch = gymnasium.make(f"goodpath/{name}").unwrapped, envs.make(name)
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", message=".*A Box observation space (min|max)imum value is -?infinity.*"
        )
        check_env(env)
    np.testing.assert_array_equal(env.reset(seed=3)[0], batch.reset(3)[0])
    bound = batch.spec.action_high
    for action in np.random.default_rng(0).uniform(-bound, bound, (30, batch.spec.action_size)):
        observation, reward, terminated, truncated, info = env.step(action)
        step = batch.step(action[None])
        np.testing.assert_array_equal(observation, step.final_observations[0])
        assert (reward, terminated, truncated) == (step.rewards[0], step.terminated[0], False)
        assert info["cost"] == step.costs[0]
        if terminated:
            break
    env.close()
    batch.close()


def test_it_is_the_batched_environment():
    env, batch = NavigationGymEnv("SafetyPointGoal1-v0"), envs.make("SafetyPointGoal1-v0")
    observation, info = env.reset(seed=3)
    assert info == {}
    np.testing.assert_array_equal(observation, batch.reset(3)[0])
    for action in np.random.default_rng(0).uniform(-1, 1, (20, 2)):
        observation, reward, terminated, truncated, info = env.step(action)
        step = batch.step(action[None])
        np.testing.assert_array_equal(observation, step.observations[0])
        assert (reward, terminated, truncated) == (step.rewards[0], False, False)
        assert info == {"cost": step.costs[0]} | {key: value[0] for key, value in step.info.items()}
        assert {type(value) for value in info.values()} == {float, bool}
        assert observation in env.observation_space


def test_an_episode_ends_with_its_time_limit():
    env = NavigationGymEnv("SafetyPointCircle1-v0")
    env.reset(seed=0)
    ends = [env.step(np.zeros(2))[3] for _ in range(500)]
    assert ends == [False] * 499 + [True]


def test_the_picture_shows_the_agent_and_what_is_round_it():
    env = NavigationGymEnv("SafetyPointGoal1-v0", render_mode="rgb_array")
    env.reset(seed=0)
    image = env.render()
    assert image.shape == (320, 320, 3)
    assert image.dtype == np.uint8
    x, y = env._env.positions()[0]
    column, row = (int((value + 1.8) / 3.6 * 320) for value in (x, -y))
    np.testing.assert_array_equal(image[row, column], (200, 60, 60))
    assert len(np.unique(image.reshape(-1, 3), axis=0)) == 6  # paper, goal, hazards, vase, agent and its nose
    assert NavigationGymEnv("SafetyPointGoal1-v0").render() is None


def test_bad_requests_are_named():
    with pytest.raises(GoodpathError, match="Did you mean"):
        NavigationGymEnv("SafetyPointGoal9-v0")
    with pytest.raises(GoodpathError, match="render_mode is 'human'"):
        NavigationGymEnv("SafetyPointGoal1-v0", render_mode="human")


def has_3d():
    try:
        camera._context(8, 8).free()
    except GoodpathError:
        return False
    return True


@pytest.mark.skipif(not has_3d(), reason="this machine has neither EGL nor OSMesa")
def test_a_camera_shows_the_arena_in_3d():
    env = NavigationGymEnv("SafetyPointPush2-v0", render_mode="rgb_array", camera="3d")
    env.reset(seed=0)
    first = env.render()
    assert first.shape == (360, 480, 3)
    red, green, blue = first.reshape(-1, 3).astype(int).T
    assert ((red > 120) & (green < 90) & (blue < 90)).any()  # the agent
    assert ((green > red + 20) & (green > blue + 20)).any()  # the goal, which is not simulated
    for _ in range(20):
        env.step(np.ones(2))
    assert (env.render() != first).any()
    env.close()


def test_a_camera_says_what_it_needs(monkeypatch):
    monkeypatch.setattr(camera, "_PLATFORMS", ("no_such_platform",))
    with pytest.raises(GoodpathError, match="need EGL or OSMesa"):
        NavigationGymEnv("SafetyPointGoal1-v0", render_mode="rgb_array", camera="3d")
    with pytest.raises(GoodpathError, match="camera is 'below'"):
        NavigationGymEnv("SafetyPointGoal1-v0", camera="below")
