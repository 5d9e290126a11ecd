"""The scripted drivers: they read the observation rightly, and their tempers mean what they say."""

from dataclasses import fields, replace

import numpy as np
import pytest

from goodpath.envs import make
from goodpath.envs.navigation.controllers import controller, heading, lidar_points, single_target
from goodpath.envs.navigation.engine import NavigationEnv
from goodpath.envs.navigation.tasks import TASKS
from goodpath.errors import GoodpathError

CIRCLE, GOAL = "SafetyPointCircle1-v0", "SafetyPointGoal1-v0"


def turned(points, angles):
    cos, sin = np.cos(angles), np.sin(angles)
    return np.stack([cos * points[:, 0] - sin * points[:, 1], sin * points[:, 0] + cos * points[:, 1]], 1)


@pytest.mark.parametrize(("name", "column", "reach"), [(GOAL, 1, 3.0), (CIRCLE, 1, 6.0)])
def test_observations_tell_heading_and_target(name, column, reach):
    env = NavigationEnv(TASKS[name], 20)
    env.reset(0)
    rng = np.random.default_rng(0)
    for _ in range(30):
        observations = env.step(rng.uniform(-1, 1, (20, 2))).observations
        np.testing.assert_allclose(heading(observations), [np.cos(env.headings()), np.sin(env.headings())])
        seen = single_target(observations[:, 12:28], reach)
        place = env.positions() + turned(seen, env.headings())
        np.testing.assert_allclose(place, env.places[:, column], atol=1e-9)
    env.close()


def test_the_nearest_hazard_is_among_the_points():
    env = NavigationEnv(TASKS[GOAL], 20)
    observations = env.reset(0)
    distances = np.linalg.norm(env.places[:, 2:10] - env.positions()[:, None], axis=2).min(1)
    points = lidar_points(observations[:, 28:44], 3.0)
    np.testing.assert_allclose(np.linalg.norm(points, axis=2).min(1), distances, atol=1e-9)
    env.close()


def drive(name, num_envs, steps, **temper):
    """(num_envs,) returns and costs of so many steps, by drivers with that temper."""
    env = make(name, num_envs)
    driver = controller(name, num_envs, np.random.default_rng(0))
    driver.temper = replace(driver.temper, **{key: np.full(num_envs, value) for key, value in temper.items()})
    observations = env.reset(0)
    returns, costs = np.zeros(num_envs), np.zeros(num_envs)
    for _ in range(steps):
        step = env.step(driver(observations))
        observations = step.observations
        returns += step.rewards
        costs += step.costs
    env.close()
    return returns, costs


def test_circling_within_the_walls_is_safe_and_beyond_them_pays_more():
    attentive = {"lapses": 0.0, "detours": 0.0}
    usual = {"half_height": 1.5, "speed": 1.5, "turn": 1.2, "patience": 0.6, "noise": 0.1, **attentive}
    safe_returns, safe_costs = drive(CIRCLE, 8, 500, half_width=0.95, **usual)
    returns, costs = drive(CIRCLE, 8, 500, half_width=1.5, **usual)
    assert (safe_costs <= 20).all()
    assert safe_returns.mean() > 38
    assert (costs > 100).all()
    assert returns.mean() > safe_returns.mean() + 5


def test_lapses_and_detours_leave_the_track_and_come_back():
    usual = {"half_width": 0.95, "half_height": 1.3, "speed": 1.3, "turn": 1.2, "patience": 0.6, "noise": 0.1}
    steady, _ = drive(CIRCLE, 8, 500, **usual, lapses=0.0, detours=0.0)
    restless, costs = drive(CIRCLE, 8, 500, **usual, lapses=0.0, detours=0.006)
    assert restless.mean() < steady.mean() - 2
    assert costs.mean() < 30
    careless, _ = drive(CIRCLE, 8, 500, **usual, lapses=0.02, detours=0.0)
    assert careless.mean() < steady.mean()


def test_running_round_hazards_costs_less_than_running_through():
    usual = {"speed": 1.5, "turn": 1.2, "patience": 0.5, "noise": 0.1, "lapses": 0.0}
    careful_returns, careful_costs = drive(GOAL, 8, 500, margin=0.1, **usual)
    returns, costs = drive(GOAL, 8, 500, margin=-0.19, **usual)
    assert careful_costs.mean() < 0.5 * costs.mean()
    assert careful_returns.mean() > 5
    assert returns.mean() > careful_returns.mean()


@pytest.mark.parametrize(
    "name", [f"SafetyPoint{kind}{level}-v0" for kind in ("Goal", "Circle") for level in (1, 2)]
)
def test_actions_are_allowed_and_follow_the_generator(name):
    env = make(name, 6)
    observations = env.reset(0)
    first, second = (controller(name, 6, np.random.default_rng(5)) for _ in range(2))
    actions = first(observations)
    assert actions.shape == (6, 2)
    assert np.abs(actions).max() <= 1.0
    np.testing.assert_array_equal(actions, second(observations))
    env.close()


def test_a_new_temper_comes_only_where_it_is_asked_for():
    driver = controller(CIRCLE, 4, np.random.default_rng(0))
    before, mask = driver.temper, np.array([True, False, True, False])
    driver.redraw(mask)
    for name in (field.name for field in fields(before)):
        same = getattr(before, name) == getattr(driver.temper, name)
        np.testing.assert_array_equal(same, ~mask)


def test_careful_drivers_know_the_walls_at_the_ends():
    temper = controller("SafetyPointCircle2-v0", 500, np.random.default_rng(0)).temper
    assert temper.half_height[temper.half_width < 1.05].max() < 1.125


def test_an_unknown_task_has_no_driver():
    with pytest.raises(GoodpathError, match=r"no driver for 'SafetyPointGaol1-v0'\. Did you mean"):
        controller("SafetyPointGaol1-v0", 1, np.random.default_rng(0))
    for name in ("SafetyCarGoal1-v0", "SafetyPointGoal0-v0", "SafetyPointPush1-v0"):
        with pytest.raises(GoodpathError, match=f"no driver for '{name}'"):
            controller(name, 1, np.random.default_rng(0))
