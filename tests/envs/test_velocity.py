"""The velocity tasks against recordings of safety-gymnasium 1.0.0, and by themselves."""

import json
from pathlib import Path

import numpy as np
import pytest
from gymnasium.utils import seeding

from goodpath import envs
from goodpath.cli import main
from goodpath.envs.threads import Threads
from goodpath.envs.vector import BatchedEnv
from goodpath.envs.velocity import VelocityEnv, build_model
from goodpath.envs.velocity_tasks import ROBOTS, TASKS
from goodpath.envs.verify import verify
from goodpath.errors import GoodpathError

RECORDINGS = sorted((Path(__file__).parents[1] / "data" / "recordings" / "velocity").glob("*.npz"))
HOPPER = next(path for path in RECORDINGS if "Hopper" in path.name)
by_name = pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
by_task = pytest.mark.parametrize("name", TASKS)


def actions(env, steps):
    low, high = env.spec.action_low, env.spec.action_high
    return np.random.default_rng(1).uniform(low, high, (steps, env.num_envs, env.spec.action_size))


def test_every_robot_has_a_recording():
    assert {path.stem for path in RECORDINGS} == {f"Safety{robot}Velocity" for robot in ROBOTS}


@by_name
def test_the_environment_does_what_the_recording_says(path):
    verdict = verify(path)
    assert verdict.passed
    formulas, physics = verdict.formulas, verdict.physics
    assert formulas.reward_max_error == 0.0
    assert max(formulas.layout_max_error, formulas.observation_max_error) <= 4e-15
    assert physics.state_median_error < 1e-13
    if "Humanoid" not in path.name:
        assert physics.state_max_error < 1e-11
        assert physics.reward_max_error < 1e-12


@by_name
def test_the_model_is_the_original(path):
    with np.load(path) as recording:
        robot = TASKS[str(recording["task"])].robot
        model = build_model(robot)
        for key in recording.files:
            if key.startswith("model_") and key != "model_opt":
                expected = recording[key] * (
                    0.5 if key == "model_geom_margin" and robot.halved_margins else 1
                )
                np.testing.assert_allclose(getattr(model, key[6:]), expected, rtol=0, atol=1e-14)
        options = json.loads(str(recording["model_opt"]))
        for option in ("timestep", "integrator", "solver", "iterations", "density", "viscosity"):
            assert getattr(model.opt, option) == options[option]


def changed(target, **changes):
    with np.load(HOPPER) as file:
        arrays = {key: file[key] for key in file.files}
    np.savez(target, **(arrays | {key: change(arrays[key].copy()) for key, change in changes.items()}))
    return target


def add(index, amount):
    def change(array):
        array[index] += amount
        return array

    return change


@pytest.mark.parametrize(
    "changes",
    [
        {"reward": add((0, 7), 1e-9)},
        {"reward": add((0, 7), np.nan)},
        {"obs_after": add((1, 3, 2), 1e-9)},
        {"obs_before": add((1, 0, 0), 1e-9)},
        {"cost": lambda cost: 1.0 - cost},
        {"terminated": lambda ended: ~ended},
        {"a_qvel": add((0, 30, 0), 1e-6)},
        {"seeds": lambda seeds: seeds + 1},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_corrupted_recording_fails(changes, tmp_path, capsys):
    path = changed(tmp_path / "corrupted.npz", **changes)
    assert main(["envs", "verify", str(path), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["passed"] is False


def test_both_families_are_verified_in_one_go_and_say_the_same_things(capsys):
    navigation = next(RECORDINGS[0].parents[1].glob("*.npz"))
    assert main(["envs", "verify", str(HOPPER), str(navigation), "--json"]) == 0
    hopper, other = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert hopper["steps"] == 280
    for part in ("formulas", "physics"):
        assert set(other[part]) <= set(hopper[part])
        assert hopper[part]["goal_mismatches" if part == "formulas" else "goal_flips"] is None
    assert main(["envs", "verify", str(HOPPER)]) == 0
    assert "SafetyHopperVelocity-v1, 280 steps: passed" in capsys.readouterr().out


def test_recordings_that_are_none_are_named(tmp_path):
    with pytest.raises(GoodpathError, match="Did you mean 'SafetyHopperVelocity-v1'"):
        verify(changed(tmp_path / "a.npz", task=lambda _: np.array("SafetyHoperVelocity-v1")))
    with pytest.raises(GoodpathError, match="does not hold"):
        verify(changed(tmp_path / "b.npz", a_qpos=lambda qpos: qpos[..., :2]))
    with pytest.raises(GoodpathError, match="no file"):
        verify(tmp_path / "missing.npz")


@by_task
def test_seeds_determine_everything_however_many_run_together(name):
    many = envs.make(name, num_envs=3, threads=2)
    one = envs.make(name, num_envs=1, threads=1)
    assert isinstance(many, BatchedEnv)
    chosen = actions(many, 25)
    together, alone = many.reset(20), one.reset(22)
    for t in range(25):
        np.testing.assert_array_equal(together[2], alone[0])
        step, single = many.step(chosen[t]), one.step(chosen[t, 2:])
        for whole, part in zip(step[:-1], single[:-1], strict=True):
            np.testing.assert_array_equal(whole[2:], part)
        together, alone = step.observations, single.observations
    np.testing.assert_array_equal(many.reset(20)[2], one.reset(22)[0])
    assert many.spec.observation_size == together.shape[1]
    many.close()


def test_the_random_stream_is_gymnasiums():
    env = VelocityEnv("SafetyHalfCheetahVelocity-v1", 1)
    random, _ = seeding.np_random(8)
    for seed in (8, None):
        observation = env.reset(seed)[0]
        qpos, qvel = random.uniform(-0.1, 0.1, 9), 0.1 * random.standard_normal(9)
        np.testing.assert_array_equal(observation, [*qpos[1:], *qvel])


def test_an_episode_that_ends_starts_again_in_the_same_step():
    env = VelocityEnv("SafetyHopperVelocity-v1", 4)
    observations, ended = env.reset(0), np.zeros(4, bool)
    for chosen in actions(env, 200):
        step = env.step(chosen)
        done = step.terminated
        assert not step.truncated.any()
        np.testing.assert_array_equal(step.observations[~done], step.final_observations[~done])
        fallen = (step.final_observations[:, 0] <= 0.7) | (np.abs(step.final_observations[:, 1]) >= 0.2)
        np.testing.assert_array_equal(done, fallen)  # a hopper never gets as fast as 100 here
        assert (np.abs(step.observations[done, 0] - 1.25) <= 0.005).all()
        ended |= done
        observations = step.observations
    assert ended.all()
    assert observations.shape == (4, 11)


def test_an_episode_ends_after_a_thousand_steps():
    env = VelocityEnv("SafetySwimmerVelocity-v1", 1)
    env.reset(0)
    ends = [bool(env.step(np.zeros((1, 2))).truncated[0]) for _ in range(1001)]
    assert ends == [False] * 999 + [True, False]


@by_task
def test_cost_is_about_the_threshold_of_the_version(name):
    env = VelocityEnv(name, 2, threads=1)
    task = env.task
    env.reset(0)
    seconds = build_model(task.robot).opt.timestep * task.robot.substeps
    env.positions_before = np.zeros((2, 2))
    controls = np.zeros((2, env.spec.action_size))
    for speed, cost in ((task.threshold - 1e-9, 0.0), (task.threshold + 1e-9, 1.0)):
        sideways = np.array([[speed, 0.0], [0.0, speed]]) * seconds
        _, costs, _, info = env.outcome(controls, sideways)
        np.testing.assert_array_equal(costs, [cost, cost if task.planar else 0.0])
        np.testing.assert_allclose(info["x_velocity"], [speed, 0.0])
    assert task.threshold == {"v1": 0.2282, "v0": 0.04845}[name[-2:]] or "Swimmer" not in name
    assert task.planar == (
        name.startswith(("SafetyAnt", "SafetyHumanoid")) or name == "SafetySwimmerVelocity-v0"
    )


def test_fast_physics_differs_only_where_there_is_a_free_joint():
    for name, differs in (("SafetyAntVelocity-v1", True), ("SafetyWalker2dVelocity-v1", False)):
        exact, fast = VelocityEnv(name, 1), VelocityEnv(name, 1, physics="fast")
        np.testing.assert_array_equal(exact.reset(0), fast.reset(0))
        chosen = actions(exact, 1)[0]
        error = np.abs(exact.step(chosen).observations - fast.step(chosen).observations).max()
        assert (0.0 < error < 0.1) if differs else error == 0.0


@pytest.mark.parametrize("alias", ["OfflineHalfCheetahVelocityGymnasium-v1", "SafetyHalfCheetahVelocity-v1"])
def test_the_names_of_data_sets_mean_the_same_velocity_task(alias):
    assert envs.canonical(alias) == "SafetyHalfCheetahVelocity-v1"


def test_bad_velocity_requests_are_named():
    name = "SafetyHopperVelocity-v1"
    with pytest.raises(GoodpathError, match="num_envs is 0"):
        VelocityEnv(name, 0)
    with pytest.raises(GoodpathError, match="threads is 0"):
        VelocityEnv(name, 1, threads=0)
    with pytest.raises(GoodpathError, match="physics is 'quick'"):
        VelocityEnv(name, 1, physics="quick")
    env = VelocityEnv(name, 1)
    with pytest.raises(GoodpathError, match="before reset"):
        env.step(np.zeros((1, 3)))
    with pytest.raises(GoodpathError, match="is no seed"):
        env.reset(-1)


def test_threads_cover_every_row_once_and_raise_what_goes_wrong():
    threads = Threads(7, 3)
    seen = np.zeros(7, int)

    def count(rows):
        seen[rows.start : rows.stop] += 1

    threads.run(count)
    np.testing.assert_array_equal(seen, 1)
    with pytest.raises(ZeroDivisionError):
        threads.run(lambda rows: 1 // (rows.start - rows.start))
    threads.close()
