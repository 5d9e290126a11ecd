"""How the published marble maze treats its barrier, kept for comparison with results obtained there.

The rules below are those of the simulator published with arXiv 2507.06780 (the history of its successor's
repository), restated. They are not a reflection: a ball that runs into the barrier may stop dead or gain speed
sideways. `goodpath.envs.marble_maze` uses clean geometry unless `Maze.legacy_barrier` asks for this.

The polar angle of the next position enters only by its sine and cosine, except in two places where the original
adds degrees to radians; they are kept.
"""

import jax.numpy as jnp
from jax import Array

_CELL = 43.615993
_RADIUS = _CELL / 2
_DAMPING = 0.3
_SLOW = 1.5  # below this speed a ball slides along a diagonal
_FACE = 48.0  # how far up the axis-aligned face reaches, for the lower edge of the ball


def rebound(x: Array, y: Array, vx: Array, vy: Array) -> tuple[Array, Array]:
    """The velocity after the barrier has been looked at.

    Args:
        x: () where the ball's centre would be next, were there no walls.
        y: () the same.
        vx: () velocity along x, after the walls.
        vy: () velocity along y, after the walls.
    """
    distance = jnp.hypot(x, y)
    cos, sin = x / distance, y / distance
    upper = x + y >= 0
    lower = (x + y < 0) & ((x >= 0) | (y >= 0))
    near_upper = upper & (jnp.abs(x + y - _CELL) <= _RADIUS * jnp.sqrt(2.0))
    near_lower = lower & (jnp.abs(x + y + _CELL) <= _RADIUS * jnp.sqrt(2.0))
    ux, uy = _upper(x, y, vx, vy, cos, sin)
    lx, ly = _lower(x, y, vx, vy, cos, sin)
    new_x = jnp.where(near_upper, ux, jnp.where(near_lower, lx, vx))
    return new_x, jnp.where(near_upper, uy, jnp.where(near_lower, ly, vy))


def _select(cases: list[tuple[Array, Array, Array]], vx: Array, vy: Array) -> tuple[Array, Array]:
    """The velocity of the first case whose condition holds, else the one given."""
    for condition, case_x, case_y in reversed(cases):
        vx, vy = jnp.where(condition, case_x, vx), jnp.where(condition, case_y, vy)
    return vx, vy


def _upper(x: Array, y: Array, vx: Array, vy: Array, cos: Array, sin: Array) -> tuple[Array, Array]:
    """Next to the side that looks away from the goal."""
    slow = jnp.hypot(vx, vy) <= _SLOW
    left = x < 0
    passes = (vx > 0) & (vy < 0) & left & ((x > -_CELL / 6) | (y <= 2 * _CELL))
    free = (x >= 0) & (y >= 0)
    flipped_x, flipped_y = -_DAMPING * vx, -_DAMPING * vy
    falling, sinking, rising = (vx > 0) & (vy < 0), (vx <= 0) & (vy <= 0), (vx <= 0) & (vy >= 0)
    damped = -cos * sin * vy
    crooked = jnp.cos(90.0 - jnp.arctan2(y, x))
    cases = [
        (passes | free, vx, vy),
        ((x <= 2 * _CELL) & (y < 0), *_when(vy < 0, vx + flipped_y * sin, flipped_y, vx, vy)),
        (left & (y <= _FACE + _RADIUS), *_when(vx < 0, flipped_x, vy + flipped_x * sin, vx, vy)),
        (falling & left, 0.4 * vx + vy * cos, vy * cos**2),
        (falling, vx - damped * cos, damped),
        (sinking & left & slow, vy * cos, vy),
        (sinking & (y < 0) & slow, -vy * cos, -vy * sin),
        (sinking, flipped_x, flipped_y),
        (rising & (y >= 0), vx * cos**2, vy + vx * cos**3),
        (rising, vx * sin**2, vy + vx * sin**2 * crooked),
    ]
    return _select(cases, vx, vy)


def _lower(x: Array, y: Array, vx: Array, vy: Array, cos: Array, sin: Array) -> tuple[Array, Array]:
    """Next to the side that looks to the goal."""
    right = x >= 0
    free = (x <= 0) & (y <= 0)
    flipped_x, flipped_y = -_DAMPING * vx, -_DAMPING * vy
    rising, climbing, falling = (vx < 0) & (vy > 0), (vx >= 0) & (vy >= 0), (vx >= 0) & (vy <= 0)
    damped = -sin * cos * vy
    crooked = jnp.sin(-90.0 - jnp.arctan2(y, x))
    # Two rules in a row: the second looks at what the first has made of the velocity.
    slides = right & (jnp.hypot(vx, vy) <= _SLOW)
    first_x, first_y = jnp.where(slides, vy * cos, vx), jnp.where(slides, -vy * sin, vy)
    still_slow = jnp.hypot(first_x, first_y) <= _SLOW
    slid = _when(still_slow, first_x * sin, first_x * cos, -_DAMPING * first_x, _DAMPING * first_y)
    cases = [
        (free, vx, vy),
        ((x > 0) & (y >= -2 * _CELL), *_when(vx > 0, flipped_x, vy + flipped_x * cos, vx, vy)),
        ((x >= -2 * _CELL) & (y > 0), *_when(vy > 0, vx - flipped_y * cos, flipped_y, vx, vy)),
        (rising & right, vx + damped * crooked, damped),
        (rising, vx + damped * cos, damped),
        (climbing, *slid),
        (falling & right, vx * cos**2, vy + vx * cos**2 * sin),
        (falling, vx * sin, vx * cos),
    ]
    return _select(cases, vx, vy)


def _when(condition: Array, x: Array, y: Array, other_x: Array, other_y: Array) -> tuple[Array, Array]:
    return jnp.where(condition, x, other_x), jnp.where(condition, y, other_y)
