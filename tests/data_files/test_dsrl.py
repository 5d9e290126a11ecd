from collections import Counter

import numpy as np
import pytest

from goodpath.data import dsrl
from goodpath.errors import GoodpathError


def test_the_table_has_the_38_tasks_of_three_families() -> None:
    assert Counter(task.family for task in dsrl.TASKS) == {
        "SafetyGymnasium": 21,
        "BulletSafetyGym": 8,
        "MetaDrive": 9,
    }
    assert sum(task.num_trajectories for task in dsrl.TASKS) == 76_093
    for name in ("task", "env_id", "environment", "file_name"):
        assert len({getattr(task, name) for task in dsrl.TASKS}) == 38, name


@pytest.mark.parametrize("task", dsrl.TASKS, ids=lambda task: task.task)
def test_rows_make_sense(task: dsrl.DsrlTask) -> None:
    assert task.min_return < task.max_return
    assert 0 < task.max_cost <= task.cost_cap + 0.011  # one file exceeds its own cap by a hundredth
    assert max(task.cost_limits) <= task.max_cost
    assert task.spec.observation_size == task.observation_size
    assert (task.spec.action_low, task.spec.action_high) == (-1, 1)


@pytest.mark.parametrize(
    ("file_name", "env_id", "environment"),
    [
        (
            "SafetyPointCircle1Gymnasium-v0-200-1098.hdf5",
            "OfflinePointCircle1Gymnasium-v0",
            "SafetyPointCircle1-v0",
        ),
        (
            "SafetyWalker2dVelocityGymnasium-v1-300-2729.hdf5",
            "OfflineWalker2dVelocityGymnasium-v1",
            "SafetyWalker2dVelocity-v1",
        ),
        ("SafetyAntCircle-v0-200-5728.hdf5", "OfflineAntCircle-v0", "SafetyAntCircle-v0"),
        (
            "SafeMetaDrive-harddense-v0-85-1000.hdf5",
            "OfflineMetadrive-harddense-v0",
            "SafeMetaDrive-harddense-v0",
        ),
    ],
)
def test_published_names(file_name: str, env_id: str, environment: str) -> None:
    task = dsrl.find(env_id)
    assert (task.file_name, task.env_id, task.environment) == (file_name, env_id, environment)


@pytest.mark.parametrize("task", dsrl.TASKS, ids=lambda task: task.task)
def test_every_spelling_finds_the_task(task: dsrl.DsrlTask) -> None:
    online = task.env_id.replace("Offline", "Safety")
    for name in (task.task, task.env_id, task.environment, task.file_name, online, task.env_id.lower()):
        assert dsrl.find(name) is task


def test_tasks_of_similar_names_are_told_apart() -> None:
    assert dsrl.find("CarCircle").family == "BulletSafetyGym"
    assert dsrl.find("CarCircle1").family == "SafetyGymnasium"


def test_an_unknown_name_is_answered_with_the_closest() -> None:
    assert dsrl.guess("SafetyPointCircel1-v0") is None
    with pytest.raises(
        GoodpathError, match=r"no DSRL task 'SafetyPointCircel1-v0'\. Did you mean 'PointCircle1'"
    ):
        dsrl.find("SafetyPointCircel1-v0")
    with pytest.raises(GoodpathError, match=r"no DSRL task ''\. `goodpath data list`"):
        dsrl.find("")


def test_normalisation_by_hand() -> None:
    # PointCircle1: returns from 20.067626953125 to 61.72819519042969, a width of 41.66056823730469.
    assert dsrl.normalized_return("PointCircle1", 20.067626953125) == 0
    assert dsrl.normalized_return("PointCircle1", 61.72819519042969) == 1
    assert dsrl.normalized_return("PointCircle1", 45.0) == pytest.approx(24.932373046875 / 41.66056823730469)
    assert dsrl.normalized_return("OfflineCarRun-v0", 0.0) == pytest.approx(
        -204.28726196289062 / 370.3660583496094
    )
    returns = np.array([20.067626953125, 61.72819519042969])
    np.testing.assert_allclose(dsrl.normalized_return("PointCircle1", returns), [0, 1])

    assert dsrl.normalized_cost(15.0, 20) == 0.75
    assert dsrl.normalized_cost(20.0, 20) == 1
    assert dsrl.normalized_cost(0.0, 0) == 1  # (0 + 1) / (0 + 1)
    assert dsrl.normalized_cost(3.0, 0) == 4
    np.testing.assert_allclose(dsrl.normalized_cost(np.array([0.0, 5.0]), 10), [0, 0.5])
    for limit in (-1.0, float("nan")):
        with pytest.raises(GoodpathError, match="not negative"):
            dsrl.normalized_cost(1.0, limit)
