"""What happens when something goes wrong, and in the long run."""

import resource

import numpy as np
import pytest

from goodpath.envs import make
from goodpath.envs.navigation.engine import NavigationEnv
from goodpath.envs.navigation.variants import EVERY_TASK


@pytest.mark.parametrize("physics", ["exact", "fast"])
@pytest.mark.parametrize("name", ["SafetyPointGoal1-v0", "SafetyCarButton1-v0", "SafetyCarGoal2-v0"])
def test_an_instability_starts_one_simulator_over_and_leaves_the_others_alone(
    name, physics, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)  # MuJoCo writes its log there
    env, twin = (make(name, 3, threads=2, physics=physics) for _ in range(2))
    env.reset(0), twin.reset(0)
    start = env.positions()
    rng = np.random.default_rng(0)
    for number in range(12):
        if number == 5:
            env.physics.qpos[1, 0] = np.nan
        actions = rng.uniform(-1, 1, (3, 2))
        step, other = env.step(actions), twin.step(actions)
        assert np.isfinite(step.observations).all()
        np.testing.assert_array_equal(step.observations[[0, 2]], other.observations[[0, 2]])
        np.testing.assert_array_equal(step.rewards[[0, 2]], other.rewards[[0, 2]])
        assert not step.truncated.any()
        if number == 5:  # at rest where the episode began, and without control for the rest of the step
            np.testing.assert_allclose(env.positions()[1], start[1], atol=1e-3)
    assert env.physics._time[1] == pytest.approx(env.physics._time[0] * 7 / 12)


@pytest.mark.parametrize("name", ["SafetyPointGoal1-v0", "SafetyPointButton1-v0"])
def test_an_error_in_a_thread_comes_out(name):
    env = make(name, 4, threads=2)
    env.reset(0)
    env.physics._batch.expand("opt.integrator")[3] = 99
    with pytest.raises(RuntimeError, match=r"simulation 3: .*invalid integrator"):
        env.step(np.zeros((4, 2)))


def test_a_reset_costs_less_than_ten_steps():
    from goodpath.envs.navigation.speed import measure

    for name in ("SafetyPointGoal2-v0", "SafetyPointPush1-v0", "SafetyCarCircle1-v0"):
        assert measure(EVERY_TASK[name], 16, 1, "exact", rounds=1).reset_in_steps < 10


def resets(name, count):
    """Resets 100 copies until there were `count` resets; the growth of memory afterwards, in MB."""
    env = NavigationEnv(EVERY_TASK[name], 100, 2, physics="fast")
    env.reset(0)
    for _ in range(3):
        env.reset()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(count // 100):
        assert np.isfinite(env.reset()).all()
    env.close()
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


@pytest.mark.parametrize("name", ["SafetyCarGoal2-v0", "SafetyPointButton0-v0", "SafetyAntCircle1-v0"])
def test_resets_neither_fail_nor_leak(name):
    assert resets(name, 1000) < 5


@pytest.mark.slow
@pytest.mark.parametrize("name", EVERY_TASK)
def test_ten_thousand_resets_neither_fail_nor_leak(name):
    assert resets(name, 10_000) < 10
