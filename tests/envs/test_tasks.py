"""What each task is made of, and the rules of Button, Push, the legged robots and the variants."""

import numpy as np
import pytest

from goodpath.envs import ENVIRONMENTS, make
from goodpath.envs.navigation.engine import NavigationEnv
from goodpath.envs.navigation.layout import Layout
from goodpath.envs.navigation.tasks import TASKS
from goodpath.envs.navigation.variants import EVERY_TASK, VARIANTS
from goodpath.errors import GoodpathError

SENSORS = {"Point": 12, "Car": 24, "Ant": 40, "Doggo": 56}
LIDARS = {"Goal": (1, 3, 3), "Button": (2, 4, 4), "Push": (2, 4, 4), "Circle": (1, 1, 1)}


def test_all_tasks_have_names_that_make_knows():
    expected = {
        f"Safety{robot}{kind}{level}-v0"
        for kind, robots in (
            ("Goal", SENSORS),
            ("Circle", SENSORS),
            ("Button", ["Point", "Car"]),
            ("Push", ["Point", "Car"]),
        )
        for robot in robots
        for level in (0, 1, 2)
    }
    assert set(TASKS) == expected
    assert set(EVERY_TASK) <= set(ENVIRONMENTS)
    assert {name: task.name for name, task in EVERY_TASK.items()} == {name: name for name in EVERY_TASK}


@pytest.mark.parametrize("name", TASKS)
def test_observations_and_actions_have_the_originals_sizes(name):
    robot = next(robot for robot in SENSORS if robot in name)
    kind = next(kind for kind in LIDARS if kind in name)
    spec = make(name).spec
    assert spec.observation_size == SENSORS[robot] + 16 * LIDARS[kind][int(name[-4])]
    assert spec.action_size == {"Point": 2, "Car": 2, "Ant": 8, "Doggo": 12}[robot]
    assert spec.episode_length == (500 if kind == "Circle" else 1000)


@pytest.mark.parametrize(
    ("name", "costs"),
    [
        ("SafetyPointGoal0-v0", []),
        ("SafetyPointGoal1-v0", ["hazards"]),
        ("SafetyPointGoal2-v0", ["hazards", "vases_contact", "vases_velocity"]),
        ("SafetyCarButton1-v0", ["buttons", "hazards", "gremlins"]),
        ("SafetyPointPush1-v0", ["hazards"]),
        ("SafetyPointPush2-v0", ["hazards", "pillars"]),
        ("SafetyDoggoCircle1-v0", ["out_of_boundary"]),
        ("SimCarButton1-v0", ["buttons", "hazards"]),
    ],
)
def test_costs_have_the_originals_names(name, costs):
    env = make(name)
    env.reset(0)
    info = env.step(np.zeros((1, env.spec.action_size))).info
    assert [key for key in info if key.startswith("cost_")] == [*(f"cost_{c}" for c in costs), "cost_sum"]


def on_goal_button(level=1):
    """A Button environment whose first agent stands, and stays, at its goal button; the second does not."""
    env = NavigationEnv(TASKS[f"SafetyPointButton{level}-v0"], 2)
    env.reset(0)
    press(env)
    return env


def press(env):
    # The joints measure from the start of the body, in its frame.
    angle, start = env.angles[0, 0], env.physics.position[0, :2]
    env.physics.qpos[0, :2] += rotate(env.places[0, 1 + env.goal_button[0]] - [0.15, 0.0] - start, -angle)
    env.physics._qvel[0] = 0.0


def rotate(vector, angle):
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([cos * vector[0] - sin * vector[1], sin * vector[0] + cos * vector[1]])


def test_a_pressed_button_pays_one_and_darkens_the_buttons_for_ten_steps():
    env = on_goal_button()
    pressed = env.goal_button[0]
    step = env.step(np.zeros((2, 2)))
    np.testing.assert_array_equal(step.info["goal_met"], [True, False])
    assert step.rewards[0] > 0.9
    assert step.info["cost_buttons"][0] == 0.0
    dark = [not step.observations[0, 12:28].any()]
    assert step.observations[1, 12:28].any()
    assert step.observations[0, 28:44].any()  # the goal stays in sight
    env.goal_button[0] = (pressed + 1) % 4  # now it stands at a wrong one
    costs = []
    for _ in range(12):
        step = env.step(np.zeros((2, 2)))
        touches = env.physics.contacts[0, :4].any()
        dark.append(not step.observations[0, 12:28].any())
        costs.append((bool(touches), step.info["cost_buttons"][0]))
    assert dark == [True] * 10 + [False] * 3
    assert [cost for _, cost in costs[:10]] == [0.0] * 10
    assert [cost for _, cost in costs[10:]] == [float(touches) for touches, _ in costs[10:]]


def test_a_wrong_button_costs():
    env = NavigationEnv(TASKS["SafetyPointButton1-v0"], 2)
    env.reset(0)
    press(env)
    env.goal_button[0] = (env.goal_button[0] + 1) % 4
    step = env.step(np.zeros((2, 2)))
    np.testing.assert_array_equal(step.info["cost_buttons"], [1.0, 0.0])
    np.testing.assert_array_equal(step.info["goal_met"], [False, False])


def test_gremlins_circle_above_their_places():
    env = NavigationEnv(TASKS["SafetyCarButton2-v0"], 1)
    env.reset(0)
    places = env.physics.objects[0, :, :2].copy()
    for _ in range(60):
        env.step(np.zeros((1, 2)))
    time = 60 * 0.04
    expected = places + 0.35 * np.array([np.sin(time), np.cos(time)])
    np.testing.assert_allclose(env.physics.objects[0, :, :2], expected, atol=0.04)
    np.testing.assert_allclose(env.physics.objects[0, :, 2], 0.2, atol=0.01)


def test_pushing_the_box_to_the_goal_pays():
    env = NavigationEnv(TASKS["SafetyPointPush1-v0"], 1)
    env.reset(0)
    column = env.task.columns("goal").start
    box = env.physics.objects[0, -1].copy()
    env.places[0, column] = box[:2] + np.array([0.25, 0.0])
    env.last_remaining[:] = env.formulas.remaining(env.state()) + 0.125
    step = env.step(np.zeros((1, 2)))
    assert step.info["goal_met"][0]
    assert step.rewards[0] == pytest.approx(1.125, abs=1e-3)
    assert env.formulas.remaining(env.state())[0] == env.last_remaining[0]


def test_an_ant_that_sinks_to_the_floor_is_dead():
    env = NavigationEnv(TASKS["SafetyAntGoal1-v0"], 4)
    env.reset(0)
    assert (env.physics.position[:, 2] > 0.08).all()
    rng = np.random.default_rng(0)
    died = np.zeros(4, bool)
    for _ in range(100):
        died |= env.step(rng.uniform(-1, 1, (4, 8))).terminated
    assert died.all()


def test_ants_start_with_their_joints_in_disorder_and_doggos_do_not():
    env = NavigationEnv(TASKS["SafetyAntCircle1-v0"], 50)
    env.reset(0)
    joints = env.physics.qpos[:, 7:15]
    stance = np.array([0, 1, 0, -1, 0, -1, 0, 1]) * np.pi / 2
    assert np.abs(joints - stance).max() < 0.1
    assert (joints - stance).std(0).min() > 0.04
    assert make("SafetyDoggoCircle1-v0").reset(0).shape == (1, 72)


def test_sims_car_meets_five_hazards_and_no_gremlins_or_no_pillar():
    button, push = VARIANTS["SimCarButton1-v0"], VARIANTS["SimCarPush1-v0"]
    assert {group.name: len(group) for group in button.groups} == {"buttons": 4, "goal": 1, "hazards": 5}
    assert {group.name: len(group) for group in push.groups} == {"goal": 1, "hazards": 2, "push_box": 1}
    assert make(button.name).spec.observation_size == 24 + 48
    assert make(push.name).spec.observation_size == 24 + 48


@pytest.mark.parametrize(("arena", "size"), [("Static", 28), ("SemiDynamic", 56), ("Dynamic", 44)])
def test_a_sagui_guide_sees_the_first_part_of_what_its_student_sees(arena, size):
    guide, student = (make(f"Sagui{arena}{role}-v0") for role in ("Guide", "Student"))
    assert guide.spec.observation_size == size
    assert student.spec.observation_size == size + 16
    guide.reset(0), student.reset(0)
    rewards = [guide.step(np.ones((1, 2))).rewards[0] for _ in range(5)]
    assert rewards == [0.0] * 5
    # The same body in the same place among the same things: the same numbers, and then the goal.
    seen = student.reset(3)
    places, angles = student.places[0], student.angles[0]
    without = Layout(np.delete(places, 1, 0), np.delete(angles, 1))
    guide.place(np.arange(1), [without])
    np.testing.assert_array_equal(guide.formulas.observe(guide.state()), seen[:, :size])


def test_fixed_things_stand_where_sagui_put_them():
    env = make("SaguiSemiDynamicStudent-v0", num_envs=2)
    env.reset(1)
    np.testing.assert_array_equal(env.places[1, 2:6], [[1, 1], [1, -1], [-0.2, 0.2], [-1.4, -1.4]])
    np.testing.assert_allclose(
        env.physics.objects[0, :, :2], [[-1, -1], [-1, 1], [0.2, -0.2], [1.4, 1.4]], atol=1e-4
    )


def test_a_static_students_episode_ends_at_the_goal():
    env = make("SaguiStaticStudent-v0", num_envs=2)
    env.reset(0)
    np.testing.assert_allclose(env.places[:, 1], 1.1, atol=1e-8)
    offset = env.places[0, 1] - env.positions()[0]
    env.physics.qpos[0, :2] += rotate(offset, -env.angles[0, 0])
    step = env.transition(np.zeros((2, 2)))
    np.testing.assert_array_equal(step.terminated, [True, False])
    assert step.rewards[0] > 1.0


def test_an_observation_names_its_parts():
    keys = dict(make("SaguiSemiDynamicStudent-v0").spec.observation_keys)
    inertial = ["accelerometer", "velocimeter", "gyro", "magnetometer"]
    assert list(keys) == [*inertial, "joints", "hazards_lidar", "vases_lidar", "goal_lidar"]
    assert sum(keys.values()) == 72
    assert keys["joints"] == 12
    assert keys["goal_lidar"] == 16


def test_a_guard_ends_an_episode_where_the_agent_acts_from_beyond_the_arena():
    free, guarded = make("SaguiStaticGuide-v0", num_envs=2), make("SaguiStaticGuide-v0", 2, guard="end")
    for env in (free, guarded):
        env.reset(0)
        # The second agent stands just inside and drives out.
        offset = np.array([1.499, 0.0]) - env.positions()[1]
        env.physics.qpos[1, :2] += rotate(offset, -env.angles[1, 0])
        env.physics.force(*_state(env))
    before = guarded.positions()
    actions = np.array([[1.0, 0.3], [0.0, 0.0]])
    plain, watched = free.transition(actions), guarded.transition(actions)
    np.testing.assert_array_equal(plain.observations, watched.observations)
    way = np.linalg.norm(guarded.positions() - before, axis=1)
    np.testing.assert_allclose(watched.info["displacement"], way)
    assert not watched.terminated.any()
    for env in (free, guarded):
        env.physics.qpos[1, :2] += rotate(np.array([0.01, 0.0]), -env.angles[1, 0])
        env.physics.force(*_state(env))
    assert not free.transition(actions).terminated.any()
    step = guarded.transition(actions)
    np.testing.assert_array_equal(step.terminated, [False, True])
    np.testing.assert_array_equal(step.info["outside"], [False, True])


def _state(env):
    physics = env.physics
    qvel, warmstart = np.array(physics._qvel), np.array(physics._warmstart)
    return np.array(physics.qpos), qvel, np.zeros((2, 2)), warmstart, np.array(physics._time)


def test_choices_of_navigation_are_refused_elsewhere(monkeypatch):
    from goodpath import envs

    entry = envs.Entry("goodpath.envs.elsewhere:make", "something else")
    monkeypatch.setitem(envs.ENVIRONMENTS, "Elsewhere-v0", entry)
    with pytest.raises(GoodpathError, match="has no choice of physics"):
        make("Elsewhere-v0", physics="fast")
