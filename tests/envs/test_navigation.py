"""The batched engine: seeds, threads, autoreset, errors."""

import numpy as np
import pytest

from goodpath.envs import make
from goodpath.envs.navigation.engine import NavigationEnv
from goodpath.envs.navigation.variants import EVERY_TASK as TASKS
from goodpath.envs.vector import BatchedEnv, Drawable
from goodpath.errors import GoodpathError

CIRCLE, GOAL = "SafetyPointCircle1-v0", "SafetyPointGoal1-v0"
every_task = pytest.mark.parametrize("name", TASKS)
one_of_each = pytest.mark.parametrize(
    "name",
    [
        GOAL,
        CIRCLE,
        "SafetyPointButton1-v0",
        "SafetyCarPush2-v0",
        "SafetyCarGoal2-v0",
        "SafetyAntGoal1-v0",
        "SafetyDoggoCircle2-v0",
        "SaguiStaticStudent-v0",
    ],
)


def short(name, length):
    """The task with episodes of that length."""
    from dataclasses import replace

    return replace(TASKS[name], episode_length=length)


def actions(steps, num_envs, name=GOAL, seed=0):
    size = TASKS[name].robot.action_size
    return np.random.default_rng(seed).uniform(-1, 1, (steps, num_envs, size))


def rollout(env, all_actions, seed):
    """Everything that came out, as one flat array."""
    parts = [env.reset(seed)]
    for row in all_actions:
        step = env.step(row)
        parts += [step.observations, step.final_observations, step.rewards, step.costs, *step.info.values()]
    env.close()
    return np.concatenate([np.ravel(part) for part in parts])


@every_task
def test_it_keeps_the_contract(name):
    env = make(name, num_envs=3)
    assert isinstance(env, BatchedEnv)
    assert isinstance(env, Drawable)
    observations = env.reset(0)
    assert observations.shape == (3, env.spec.observation_size)
    assert observations.dtype == np.float64
    step = env.step(np.zeros((3, env.spec.action_size)))
    assert step.observations.shape == (3, env.spec.observation_size)
    assert np.isfinite(step.observations).all()
    for array in (step.rewards, step.costs, step.terminated, step.truncated, *step.info.values()):
        assert array.shape == (3,)
    np.testing.assert_array_equal(step.costs, step.info["cost_sum"])
    assert {f"cost_{cost.name}" for cost in TASKS[name].costs} <= set(step.info)
    assert ("goal_met" in step.info) == TASKS[name].has_goal
    assert not step.costs.any()  # nobody starts where it costs
    env.close()


@one_of_each
@pytest.mark.parametrize("physics", ["exact", "fast"])
@pytest.mark.parametrize("seeding", ["fast", "original"])
def test_the_same_seed_gives_the_same_numbers_whatever_the_threads(name, physics, seeding):
    all_actions = actions(15, 3, name)
    runs = [
        rollout(NavigationEnv(short(name, 8), 3, threads, physics, seeding), all_actions, 3)
        for threads in (1, 3)
    ]
    for run in runs[1:]:
        np.testing.assert_array_equal(run, runs[0])


def test_other_seeds_give_other_numbers():
    env = make(GOAL, num_envs=2)
    first, other = env.reset(0), env.reset(1)
    assert (first != other).any()
    np.testing.assert_array_equal(first[1], other[0])
    np.testing.assert_array_equal(env.reset([5, 0])[1], first[0])
    env.close()


@one_of_each
def test_each_copy_is_the_single_environment_of_its_seed(name):
    task = short(name, 8)
    all_actions = actions(20, 4, name)
    batch = NavigationEnv(task, 4)
    together = [batch.reset(11)] + [batch.step(row).observations for row in all_actions]
    batch.close()
    for index in range(4):
        single = NavigationEnv(task, 1)
        alone = [single.reset(11 + index)] + [
            single.step(row[index : index + 1]).observations for row in all_actions
        ]
        np.testing.assert_array_equal(np.stack(together)[:, index], np.stack(alone)[:, 0])
        single.close()


def test_reset_without_a_seed_goes_on_with_the_stream():
    env = make(CIRCLE, num_envs=1)
    sequences = []
    for _ in range(2):
        sequences.append([env.reset(4), env.reset(), env.reset()])
    np.testing.assert_array_equal(sequences[0], sequences[1])
    assert (sequences[0][0] != sequences[0][1]).any()
    env.close()


def test_unseeded_environments_differ():
    assert (make(CIRCLE).reset() != make(CIRCLE).reset()).any()


@pytest.mark.parametrize("name", [CIRCLE, GOAL])
def test_autoreset_keeps_the_true_last_observation(name):
    """Without autoreset the same seed shows the same last observation, and reset gives the next first one."""
    env, plain = NavigationEnv(short(name, 10), 3), NavigationEnv(short(name, 10), 3)
    np.testing.assert_array_equal(env.reset(2), plain.reset(2))
    all_actions = actions(25, 3)
    for number, row in enumerate(all_actions, start=1):
        step, bare = env.step(row), plain.transition(row)
        np.testing.assert_array_equal(step.final_observations, bare.observations)
        assert step.truncated.all() == step.truncated.any() == (number % 10 == 0)
        assert not step.terminated.any()
        expected = plain.reset() if step.truncated.all() else bare.observations
        np.testing.assert_array_equal(step.observations, expected)
        np.testing.assert_array_equal(env.positions(), plain.positions())
    env.close()
    plain.close()


def test_only_the_copy_that_ended_starts_over(monkeypatch):
    env = NavigationEnv(TASKS[CIRCLE], 3)
    env.reset(0)
    env._steps[1] = 499
    step = env.step(np.zeros((3, 2)))
    np.testing.assert_array_equal(step.truncated, [False, True, False])
    same = (step.observations == step.final_observations).all(axis=1)
    np.testing.assert_array_equal(same, [True, False, True])
    assert not env.step(np.zeros((3, 2))).truncated.any()
    env.close()


def test_a_goal_that_is_met_pays_one_and_moves():
    env = NavigationEnv(TASKS[GOAL], 2)
    env.reset(0)
    env.places[0, 1] = env.positions()[0] + [0.2, 0.0]
    env.last_remaining[0] = 0.2
    before = env.places[:, 1].copy()
    step = env.step(np.zeros((2, 2)))
    np.testing.assert_array_equal(step.info["goal_met"], [True, False])
    assert step.rewards[0] == pytest.approx(1.0, abs=1e-3)
    assert abs(step.rewards[1]) < 1e-3
    assert (env.places[0, 1] != before[0]).all()
    np.testing.assert_array_equal(env.places[1, 1], before[1])
    # The observation already shows the new goal, and the next reward is about it.
    distance = np.linalg.norm(env.places[0, 1] - env.positions()[0])
    assert 3.0 * (1.0 - step.observations[0, 12:28].max()) == pytest.approx(distance, abs=0.01)
    assert abs(env.step(np.zeros((2, 2))).rewards[0]) < 1e-3
    env.close()


def test_a_goal_without_room_ends_the_episode(monkeypatch):
    from goodpath.envs.navigation import engine

    env = NavigationEnv(TASKS[GOAL], 2)
    env.reset(0)

    def no_room(*_):
        raise engine.PlacementError("no room")

    env.places[1, 1] = env.positions()[1]
    monkeypatch.setattr(env._samplers[1], "place", no_room)
    np.testing.assert_array_equal(env.transition(np.zeros((2, 2))).terminated, [False, True])
    env.close()


def test_standing_in_a_hazard_costs():
    env = NavigationEnv(TASKS[GOAL], 2)
    env.reset(0)
    env.places[1, 5] = env.positions()[1] + [0.1, 0.1]
    step = env.step(np.zeros((2, 2)))
    np.testing.assert_array_equal(step.costs, [0.0, 1.0])
    np.testing.assert_array_equal(step.info["cost_hazards"], [0.0, 1.0])
    env.close()


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (np.zeros((3, 2)), r"shape \(3, 2\)"),
        (np.zeros(2), r"shape \(2,\)"),
        (np.array([[0.0, 0.0], [0.0, np.nan]]), "environment 1"),
        (np.array([[np.inf, 0.0], [0.0, 0.0]]), "finite"),
    ],
)
def test_bad_actions_are_named(bad, message):
    env = make(CIRCLE, num_envs=2)
    env.reset(0)
    with pytest.raises(GoodpathError, match=message):
        env.step(bad)
    env.close()


def test_bad_requests_are_named():
    env = make(CIRCLE, num_envs=2)
    with pytest.raises(GoodpathError, match="call reset"):
        env.step(np.zeros((2, 2)))
    with pytest.raises(GoodpathError, match="3 seeds"):
        env.reset([1, 2, 3])
    with pytest.raises(GoodpathError, match="-1 is no seed"):
        env.reset(-1)
    with pytest.raises(GoodpathError, match="num_envs is 0"):
        make(CIRCLE, num_envs=0)
    with pytest.raises(GoodpathError, match="threads is 0"):
        make(CIRCLE, threads=0)
    with pytest.raises(GoodpathError, match="physics is 'quick'"):
        make(CIRCLE, physics="quick")
    with pytest.raises(GoodpathError, match="seeding is 'lazy'"):
        make(CIRCLE, seeding="lazy")
    env.close()


def test_actions_beyond_the_bounds_are_clipped():
    env, other = make(CIRCLE), make(CIRCLE)
    env.reset(0), other.reset(0)
    np.testing.assert_array_equal(
        env.step(np.array([[7.0, -3.0]])).observations, other.step(np.array([[1.0, -1.0]])).observations
    )


@pytest.mark.parametrize("name", ["SafetyPointGoal2-v0", CIRCLE, "SafetyCarPush1-v0", "SafetyCarButton1-v0"])
def test_sleeping_objects_change_nothing_that_matters(name):
    exact, fast = NavigationEnv(TASKS[name], 2), NavigationEnv(TASKS[name], 2, physics="fast")
    np.testing.assert_array_equal(exact.reset(0), fast.reset(0))
    for row in actions(40, 2):
        slow, quick = exact.step(row), fast.step(row)
        np.testing.assert_allclose(quick.observations[:, 3:], slow.observations[:, 3:], rtol=0, atol=1e-5)
        np.testing.assert_array_equal(quick.costs, slow.costs)
    exact.close()
    fast.close()


@every_task
def test_a_scene_shows_everything_where_it_is(name):
    env = NavigationEnv(TASKS[name], 2)
    env.reset(0)
    scene = env.scene(1)
    assert len(scene.shapes) == sum(len(group) for group in TASKS[name].groups)
    np.testing.assert_array_equal([shape.position for shape in scene.shapes], env.places[1, 1:])
    assert {shape.role for shape in scene.shapes} == {group.kind.role for group in TASKS[name].groups}
    env.close()


def test_walls_at_the_ends_lie_across():
    env = make("SafetyPointCircle2-v0")
    env.reset(0)
    walls = {shape.position: shape.angle for shape in env.scene(0).shapes if shape.role == "wall"}
    assert walls[(1.125, 0.0)] == walls[(-1.125, 0.0)] == 0.0
    assert walls[(0.0, 1.125)] == walls[(0.0, -1.125)] == np.pi / 2
