"""The vectorised lidar against its definition, written as loops over one agent and one object at a time."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from goodpath.envs.navigation.lidar import BINS, lidar


def by_definition(position, rotation, targets, reach):
    bins = [0.0] * BINS
    for x, y in targets:
        offset = [x - position[0], y - position[1], -position[2]]
        ahead, left = (sum(offset[i] * rotation[i][axis] for i in range(3)) for axis in (0, 1))
        nearness = max(0.0, reach - math.sqrt(ahead**2 + left**2)) / reach
        angle = (math.atan2(left, ahead) % (2 * math.pi)) / (2 * math.pi / BINS)
        first = int(angle)
        share = angle - first
        for index, value in (
            (first, nearness),
            (first + 1, share * nearness),
            (first - 1, (1 - share) * nearness),
        ):
            bins[index % BINS] = max(bins[index % BINS], value)
    return bins


def turned(yaw, pitch):
    about_z = np.array([[np.cos(yaw), -np.sin(yaw), 0], [np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]])
    about_y = np.array([[np.cos(pitch), 0, np.sin(pitch)], [0, 1, 0], [-np.sin(pitch), 0, np.cos(pitch)]])
    return about_z @ about_y


@given(
    seed=st.integers(0, 2**32 - 1),
    batch=st.integers(1, 5),
    sizes=st.lists(st.integers(1, 6), min_size=1, max_size=3),
    reach=st.sampled_from([3.0, 6.0]),
)
def test_lidar_follows_its_definition(seed, batch, sizes, reach):
    rng = np.random.default_rng(seed)
    position = rng.uniform(-2, 2, (batch, 3))
    rotation = np.stack([turned(*rng.uniform(-4, 4, 2)) for _ in range(batch)])
    targets = rng.uniform(-3, 3, (batch, sum(sizes), 2))
    groups = np.repeat(np.arange(len(sizes)), sizes)

    readings = lidar(position, rotation, targets, groups, len(sizes), reach)

    assert readings.shape == (batch, len(sizes), BINS)
    for row in range(batch):
        for group in range(len(sizes)):
            expected = by_definition(position[row], rotation[row], targets[row, groups == group], reach)
            np.testing.assert_allclose(readings[row, group], expected, rtol=0, atol=1e-11)


def test_a_target_straight_ahead_fills_the_first_bin_and_its_right_neighbour():
    readings = lidar(np.zeros((1, 3)), np.eye(3)[None], np.array([[[1.5, 0.0]]]), np.array([0]), 1, 3.0)
    expected = np.zeros(BINS)
    expected[[0, -1]] = 0.5
    np.testing.assert_array_equal(readings[0, 0], expected)


def test_an_angle_that_rounds_up_to_a_full_turn_wraps():
    # atan2 gives the smallest negative angle, which the modulus rounds to exactly 2 pi.
    readings = lidar(np.zeros((1, 3)), np.eye(3)[None], np.array([[[1.0, -1e-30]]]), np.array([0]), 1, 3.0)
    assert readings[0, 0].argmax() in (0, 15)
    assert np.isfinite(readings).all()


def test_what_is_out_of_reach_is_not_seen():
    readings = lidar(np.zeros((1, 3)), np.eye(3)[None], np.array([[[3.1, 0.0]]]), np.array([0]), 1, 3.0)
    assert not readings.any()
