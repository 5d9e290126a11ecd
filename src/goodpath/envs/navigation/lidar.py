"""The pseudo-lidar: how near the objects of a group are, in sixteen directions round the agent."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

BINS = 16
_WIDTH = 2.0 * np.pi / BINS


def lidar(
    position: Array, rotation: Array, targets: Array, groups: NDArray[np.int64], count: int, reach: float
) -> Array:
    """Readings of several lidars for a batch of agents, as safety-gymnasium 1.0.0 defines them.

    An object at distance d fills its bin with 1 - d / reach, and its two neighbours with shares of that
    which tell where in the bin it stands; a bin keeps the largest value it was given.

    Args:
        position: (batch, 3) of the agents, in metres.
        rotation: (batch, 3, 3) from agent to world.
        targets: (batch, objects, 2) places on the floor, in metres.
        groups: (objects,) which lidar sees each object.
        count: number of lidars.
        reach: distance in metres at which a reading falls to zero.

    Returns:
        (batch, count, 16) readings in [0, 1]; bin 0 starts straight ahead, and they go round to the left.
    """
    offset_x = targets[..., 0] - position[:, None, 0]
    offset_y = targets[..., 1] - position[:, None, 1]
    # Into the agent's own frame; all targets are at z = 0, which matters once the agent tilts.
    turn, height = rotation[:, None], position[:, None, 2]
    ahead = offset_x * turn[..., 0, 0] + offset_y * turn[..., 1, 0] - height * turn[..., 2, 0]
    left = offset_x * turn[..., 0, 1] + offset_y * turn[..., 1, 1] - height * turn[..., 2, 1]

    nearness = np.maximum(0.0, reach - np.hypot(ahead, left)) / reach
    angle = np.arctan2(left, ahead) % (2.0 * np.pi) / _WIDTH
    floor = np.floor(angle)
    share = angle - floor
    bins = floor.astype(np.int64)

    batch = len(position)
    start = (np.arange(batch)[:, None] * count + groups) * BINS
    readings = np.zeros(batch * count * BINS)
    np.maximum.at(readings, (start + bins % BINS).ravel(), nearness.ravel())
    np.maximum.at(readings, (start + (bins + 1) % BINS).ravel(), (share * nearness).ravel())
    np.maximum.at(readings, (start + (bins - 1) % BINS).ravel(), ((1.0 - share) * nearness).ravel())
    return readings.reshape(batch, count, BINS)
