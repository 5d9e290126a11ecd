"""The fast sampler: the original's distribution, keepouts kept, and a clear word where there is no room."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from goodpath.envs import make
from goodpath.envs.navigation.layout import OriginalSampler, PlacementError, Plan
from goodpath.envs.navigation.sampler import FastSampler
from goodpath.envs.navigation.tasks import TASKS
from goodpath.envs.navigation.variants import EVERY_TASK

CROWDED = replace(TASKS["SafetyPointGoal0-v0"], extent=0.5)


def clear(plan, places):
    """Whether everything is in its rectangle and clear of everything else."""
    rectangles, keepouts = np.array(plan.rectangles), np.array(plan.keepouts)
    inside = (places >= rectangles[:, :2]) & (places <= rectangles[:, 2:])
    apart = np.linalg.norm(places[:, None] - places, axis=2) - keepouts[:, None] - keepouts
    return inside.all() and (apart[~np.eye(len(places), dtype=bool)] >= -1e-12).all()


@pytest.mark.parametrize("name", EVERY_TASK)
def test_layouts_keep_to_their_rectangles_and_apart(name):
    plan = Plan.of(EVERY_TASK[name])
    sampler = FastSampler(plan, 0)
    layouts = [sampler.layout() for _ in range(10)]
    assert all(clear(plan, layout.places) for layout in layouts)
    angles = np.concatenate([layout.angles for layout in layouts])
    assert 0.0 <= angles.min() <= angles.max() <= 2 * np.pi


def measurements(sampler, goal, count, crowded):
    """(count, n) distances and coordinates of layouts that together tell much about the distribution."""
    rows = []
    for _ in range(count):
        places = sampler.layout().places
        distances = np.linalg.norm(places[:, None] - places, axis=2)[np.triu_indices(len(places), 1)]
        # There is always room for another goal, except among buttons, of which one becomes the goal.
        new = places[goal] if crowded else np.array(sampler.place(goal, places))
        others = np.delete(places, goal, 0)
        rows.append(
            [
                *np.abs(places[[0, 1, -1]]).ravel(),
                *np.sort(distances)[[0, 3, len(distances) // 2, -1]],
                np.linalg.norm(places[0] - places[-1]),
                np.linalg.norm(new - others, axis=1).min(),
                *np.abs(new),
            ]
        )
    return np.array(rows)


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("SafetyPointGoal1-v0", 1500),
        ("SafetyPointGoal2-v0", 800),
        ("SafetyPointPush2-v0", 1500),
        ("SafetyPointButton0-v0", 1500),
    ],
)
def test_the_distribution_is_the_originals(name, count):
    task = TASKS[name]
    plan, goal = Plan.of(task), task.columns("goal").start
    crowded = "Button" in name
    original = measurements(OriginalSampler(plan, 1), goal, count, crowded)
    fast = measurements(FastSampler(plan, 2), goal, count, crowded)
    p_values = [stats.ks_2samp(*columns).pvalue for columns in zip(original.T, fast.T, strict=True)]
    assert min(p_values) > 1e-3


@pytest.mark.slow
def test_the_distribution_is_the_originals_where_one_attempt_in_fifty_succeeds():
    task = TASKS["SafetyPointButton1-v0"]
    plan, goal = Plan.of(task), task.columns("goal").start
    original = measurements(OriginalSampler(plan, 1), goal, 600, True)
    fast = measurements(FastSampler(plan, 2), goal, 600, True)
    p_values = [stats.ks_2samp(*columns).pvalue for columns in zip(original.T, fast.T, strict=True)]
    assert min(p_values) > 1e-3


def test_an_attempt_succeeds_as_often_as_the_originals():
    """The number of draws allowed, and starting over, matter: so attempts have to fail as often."""
    plan = Plan.of(TASKS["SafetyPointButton1-v0"])
    fast = FastSampler(plan, 0)
    share = np.mean([len(fast._attempts(512)[0]) / 512 for _ in range(12)])
    # The original's rule takes 52 attempts, give or take 3, in the mean of 250 layouts.
    assert 1 / 70 < share < 1 / 40


def test_the_same_seed_gives_the_same_layouts_and_another_does_not():
    plan = Plan.of(TASKS["SafetyPointGoal2-v0"])
    first, again, other = (FastSampler(plan, seed) for seed in (5, 5, 6))
    for _ in range(70):  # more than one block
        layout = first.layout()
        np.testing.assert_array_equal(layout.places, again.layout().places)
        assert (layout.places != other.layout().places).any()


@pytest.mark.parametrize("sampler", [FastSampler, OriginalSampler])
def test_what_finds_no_room_is_named(sampler, monkeypatch):
    from goodpath.envs.navigation import layout
    from goodpath.envs.navigation import sampler as fast

    for module in (layout, fast):
        monkeypatch.setattr(module, "ATTEMPTS", 100)
    with pytest.raises(PlacementError, match=r"goal\[0\] of SafetyPointGoal0-v0 finds no room"):
        sampler(Plan.of(CROWDED), 0).layout()


def test_a_task_without_room_says_so_at_reset(monkeypatch):
    from goodpath.envs.navigation.engine import NavigationEnv

    env = NavigationEnv(CROWDED, 2)
    with pytest.raises(PlacementError, match=r"widen the arena or lower counts or keepouts"):
        env.reset(0)


def test_a_place_that_does_not_exist_is_reported():
    plan = Plan.of(TASKS["SafetyPointGoal0-v0"])
    corner = np.zeros((2, 2))
    tight = replace(plan, keepouts=(2.0, 0.305))
    for sampler in (FastSampler(tight, 0), OriginalSampler(tight, 0)):
        with pytest.raises(PlacementError, match=r"goal\[0\] of .* finds no room"):
            sampler.place(1, corner)


def test_original_seeding_gives_the_originals_first_layout():
    """The agent's first place is the first thing drawn from the seed's stream."""
    env = make("SafetyPointGoal1-v0", seeding="original")
    env.reset(7)
    random = np.random.RandomState(7)
    np.testing.assert_array_equal(env.positions()[0], -1.1 + 2.2 * random.random_sample(2))
