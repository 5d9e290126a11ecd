"""The marble maze: a ball on a square tray that tilts about two axes, with constraints that nobody tells the agent.

The task of SCOPIL (arXiv 2507.06780), rebuilt from its published dynamics as pure JAX functions. `Maze` holds the
settings and gives `start`, `reset`, `observe` and `step` for one game; `jax.vmap` and `jax.lax.scan` make many of
them. `marble_maze_env` puts them behind the batched contract.

Lengths are in units of the original, velocities in units a substep. A step is five substeps of

    tilt <- clip(tilt +- 0.1, -0.5, 0.5),   v <- v + 0.15 (-tilt_y, tilt_x),   walls and barrier,   p <- p + v

and ends early where the ball's centre comes within a third of a cell of the goal. The reward of a step is
(raw - 10) / 15, where raw is 10 at the goal and else minus the distance to it over 225. Constraints are looked at
after each step, and the cost of a step is the number of kinds that it violates:

    below      H, y <= -152.7: below the line through the hole
    left       V, x <= -170.1: left of the line beside the hole
    circle     C, in one of the circles, which the original tests as squares

Four quirks of the original are switches of `Maze`: its squares, on by default as they are what was published;
its barrier, its observation scale and its time-out, off by default and on in the environments named `Legacy`.
"""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import ArrayLike, NDArray

from goodpath.envs import marble_maze_legacy
from goodpath.envs.vector import Scene, Shape
from goodpath.errors import GoodpathError, nearest
from goodpath.spec import Spec

CELL = 43.615993  # edge of a cell, and the ball's diameter
RADIUS = CELL / 2
GOAL = (-144.0, -144.0)
GOAL_RADIUS = CELL / 3
CIRCLE_RADIUS = 19.8398435
SUBSTEPS = 5
ACTIONS = 9
KINDS = ("below", "left", "circle")  # of constraints: H, V, C in the paper's code

# fmt: off
# (row, column) of the cells on whose corner a game may begin; without a list of starts, all alike.
CELLS = (
    (9, 9), (4, 9), (5, 9), (6, 9), (7, 9), (8, 9), (5, 8), (6, 8), (7, 8), (8, 8), (9, 8), (6, 7),
    (7, 7), (8, 7), (9, 7), (6, 6), (7, 6), (8, 6), (9, 6), (2, 6), (2, 5), (3, 5), (4, 5), (5, 5),
    (8, 5), (9, 5), (2, 4), (3, 4), (4, 4), (5, 4), (9, 4), (3, 3), (4, 3), (5, 3), (4, 2), (5, 2),
    (6, 2),
)
# What a seeded generator drew for the published figures: 40 games each, 22 and 24 different cells.
TRAIN_STARTS = (
    23, 25, 6, 33, 28, 3, 22, 32, 22, 17, 13, 5, 24, 3, 28, 17, 7, 32, 29, 6,
    15, 24, 8, 36, 1, 7, 22, 7, 25, 34, 13, 27, 23, 34, 36, 34, 11, 1, 31, 5,
)
TEST_STARTS = (
    8, 32, 0, 27, 36, 1, 35, 10, 2, 32, 30, 10, 31, 11, 28, 27, 9, 26, 31, 33,
    22, 27, 22, 5, 29, 4, 22, 20, 8, 18, 33, 26, 10, 7, 30, 13, 32, 0, 13, 22,
)
# fmt: on
STARTS = {"train": TRAIN_STARTS, "test": TEST_STARTS, "all": tuple(range(len(CELLS)))}

_POSITIONS = np.array([(CELL * (column - 5.5), CELL * (row - 5.5)) for row, column in CELLS])
_TILT_STEP = 0.1
_MOST_TILT = 5  # in steps
_GRAVITY = 0.15
_BOUNCE = 0.3
_REST = 0.1  # slower than this, a ball that meets a wall stays there
_DIAGONAL = float(np.sqrt(0.5))
_BAND = CELL + RADIUS / _DIAGONAL  # of x + y: where the barrier is, for the ball's centre
_NECK = CELL - RADIUS / _DIAGONAL  # of y - x: half of the opening's width, for the ball's centre
_NORMALS = (
    (1.0, 0.0),
    (0.0, -1.0),
    (_DIAGONAL, _DIAGONAL),
    (-_DIAGONAL, -_DIAGONAL),
    (_DIAGONAL, -_DIAGONAL),
)
_TIME_LIMIT = 200
_LOW = np.array([-174.46, -174.46, -6.70, -6.01, -0.5, -0.5, -0.1, -0.1])
_HIGH = np.array([161.79, 169.34, 6.22, 5.00, 0.5, 0.5, 0.1, 0.1])
_LEGACY_SPIN = np.array([0.01, 1.0])  # bounds of an older speed of tilting: the first is ten times too small


class State(NamedTuple):
    """One game; every field is a scalar, or has whatever batch axes one gives it.

    Attributes:
        x: of the ball's centre.
        y: of the ball's centre; the goal lies where both are low.
        vx: velocity, a substep.
        vy: velocity, a substep.
        tilt_x: angle about the x axis, which moves the ball along y.
        tilt_y: angle about the y axis, which moves the ball against x.
        spin_x: by how much the last substep changed `tilt_x`; 0 where it reached its bound.
        spin_y: the same of `tilt_y`.
        time: steps taken, int32.
    """

    x: Array
    y: Array
    vx: Array
    vy: Array
    tilt_x: Array
    tilt_y: Array
    spin_x: Array
    spin_y: Array
    time: Array


def at(x: Array, y: Array) -> State:
    """A game at rest, with the ball's centre anywhere."""
    zero = jnp.zeros_like(x)
    return State(x, y, zero, zero, zero, zero, zero, zero, jnp.zeros(x.shape, jnp.int32))


class Transition(NamedTuple):
    """What one step of one game gives.

    Attributes:
        state: the game after it.
        reward: () in [-1, 0].
        violations: (3,) 1 where the step violates a constraint, in the order of `KINDS`.
        terminated: () bool, the goal was reached, or the original's time-out.
        truncated: () bool, the time limit ended the game.
        goal: () bool, the goal was reached.
    """

    state: State
    reward: Array
    violations: Array
    terminated: Array
    truncated: Array
    goal: Array


@dataclass(frozen=True)
class Maze:
    """A setting of the maze, and its pure functions.

    Attributes:
        name: the environment's id.
        below: height of the line that the ball has to stay above; None for no such line.
        left: where the line is that the ball has to stay right of; None for no such line.
        circles: centres of the circles that the ball has to stay out of.
        square_circles: circles are tested as squares of the same width, as in the original.
        legacy_barrier: the barrier does what it does in the original, see `marble_maze_legacy`.
        legacy_norm: the scale of the seventh and eighth feature is the original's: one reaches 10, one 0.1.
        timeout_terminal: a game that took 200 steps without reaching the goal gets one more, of one substep and
            reward -1, and terminates; a goal in step 200 truncates. Otherwise step 200 just truncates.
    """

    name: str
    below: float | None = CELL * (2 - 5.5)
    left: float | None = None
    circles: tuple[tuple[float, float], ...] = ((-90.0, -90.0),)
    square_circles: bool = True
    legacy_barrier: bool = False
    legacy_norm: bool = False
    timeout_terminal: bool = False

    @property
    def spec(self) -> Spec:
        """Eight numbers are observed, one of nine actions is taken."""
        length = _TIME_LIMIT + self.timeout_terminal
        return Spec(self.name, 8, ACTIONS, length, action_low=0.0, action_high=1.0, actions=ACTIONS)

    def start(self, cell: ArrayLike) -> State:
        """A game that begins at rest in cell 0 to 36 of `CELLS`."""
        x, y = jnp.moveaxis(jnp.asarray(_POSITIONS)[jnp.asarray(cell)], -1, 0)
        return at(x, y)

    def reset(self, key: Array) -> State:
        """A game that begins in any of the cells, all alike."""
        return self.start(jax.random.randint(key, (), 0, len(CELLS)))

    def observe(self, state: State) -> Array:
        """(..., 8) position, velocity, tilt and change of tilt, scaled to about [-1, 1]."""
        low, high = self._bounds()
        features = zip(state[:8], low, high, strict=True)
        return jnp.stack([(value - least) * (2 / (most - least)) - 1 for value, least, most in features], -1)

    def positions(self, observations: NDArray[Any]) -> NDArray[np.float64]:
        """(..., 2) where the ball is in (..., 8) observations."""
        low, high = (np.array(bounds[:2]) for bounds in self._bounds())
        return (np.asarray(observations, np.float64)[..., :2] + 1) * (high - low) / 2 + low

    def _bounds(self) -> tuple[list[float], list[float]]:
        low, high = _LOW.copy(), _HIGH.copy()
        if self.legacy_norm:
            low[6:], high[6:] = -_LEGACY_SPIN, _LEGACY_SPIN
        return low.tolist(), high.tolist()

    def violations(self, state: State) -> Array:
        """(..., 3) 1 where the ball is somewhere it should not be, in the order of `KINDS`."""
        x, y = state.x, state.y
        nowhere = jnp.zeros_like(x, bool)
        below = nowhere if self.below is None else y <= self.below
        left = nowhere if self.left is None else x <= self.left
        inside = nowhere
        for centre_x, centre_y in self.circles:
            across, along = jnp.abs(x - centre_x), jnp.abs(y - centre_y)
            if self.square_circles:
                inside |= (across <= CIRCLE_RADIUS) & (along <= CIRCLE_RADIUS)
            else:
                inside |= across**2 + along**2 <= CIRCLE_RADIUS**2
        return jnp.stack([below, left, inside], -1).astype(x.dtype)

    def step(self, state: State, action: Array) -> Transition:
        """One step with action 0 to 8: 3 a + b, where a tilts about x and b about y: 0 not, 1 up, 2 down."""
        sign_x, sign_y = (jnp.where(part == 2, -1, part) for part in (action // 3, action % 3))
        late = state.time >= _TIME_LIMIT if self.timeout_terminal else jnp.zeros_like(state.time, bool)

        def substep(_: int, carry: tuple[State, Array]) -> tuple[State, Array]:
            ball, over = carry
            ball = choose(over, ball, self._substep(ball, sign_x, sign_y))
            return ball, over | late | _at_goal(ball)

        # A loop, not five copies: XLA would fuse those into one kernel that computes much of it many times.
        ball, _ = jax.lax.fori_loop(0, SUBSTEPS, substep, (state, jnp.zeros_like(late)))
        ball = ball._replace(time=state.time + 1)
        goal = _at_goal(ball)
        raw = jnp.where(goal, 10.0, -jnp.hypot(ball.x - GOAL[0], ball.y - GOAL[1]) / 225)
        reward = jnp.where(late, -1.0, (raw - 10) / 15)
        last = ball.time == _TIME_LIMIT
        if self.timeout_terminal:
            terminated, truncated = (goal & ~last) | late, goal & last
        else:
            terminated, truncated = goal, ~goal & last
        return Transition(ball, reward, self.violations(ball), terminated, truncated, goal & ~late)

    def _substep(self, ball: State, sign_x: Array, sign_y: Array) -> State:
        tilt_x, spin_x = _tilt(ball.tilt_x, sign_x)
        tilt_y, spin_y = _tilt(ball.tilt_y, sign_y)
        vx, vy = ball.vx - _GRAVITY * tilt_y, ball.vy + _GRAVITY * tilt_x
        next_x, next_y = ball.x + vx, ball.y + vy
        wall_x = _blocked(next_x + RADIUS * jnp.sign(vx), ball.y)
        wall_y = _blocked(ball.x, next_y + RADIUS * jnp.sign(vy))
        vx, vy = jnp.where(wall_x, _bounce(vx), vx), jnp.where(wall_y, _bounce(vy), vy)
        if self.legacy_barrier:
            vx, vy = marble_maze_legacy.rebound(next_x, next_y, vx, vy)
        else:
            vx, vy = _barrier(ball.x, ball.y, vx, vy)
        return State(ball.x + vx, ball.y + vy, vx, vy, tilt_x, tilt_y, spin_x, spin_y, ball.time)


def _at_goal(ball: State) -> Array:
    return jnp.square(ball.x - GOAL[0]) + jnp.square(ball.y - GOAL[1]) < GOAL_RADIUS**2


def choose(condition: Array, first: State, second: State) -> State:
    """The first game where the condition holds, else the second."""
    return State._make(jnp.where(condition, a, b) for a, b in zip(first, second, strict=True))


def _tilt(tilt: Array, sign: Array) -> tuple[Array, Array]:
    # Counted in whole steps, so that the bound is met exactly in every precision.
    steps = jnp.round(tilt / _TILT_STEP) + sign
    moved = jnp.where(jnp.abs(steps) >= _MOST_TILT, 0, sign)
    return jnp.clip(steps, -_MOST_TILT, _MOST_TILT) * _TILT_STEP, moved * _TILT_STEP


def _bounce(speed: Array) -> Array:
    return jnp.where(jnp.abs(speed) < _REST, 0.0, -_BOUNCE * speed)


def _blocked(x: Array, y: Array) -> Array:
    """Whether a point is in the rim of the tray, or in one of the three blocks in each of two corners."""
    rim = 4.5 * CELL
    outside = (jnp.abs(x) >= rim) | (jnp.abs(y) >= rim)
    return outside | _corner(x, -y) | _corner(-x, y)


def _corner(x: Array, y: Array) -> Array:
    """The blocks in the corner where x and y are high."""
    near, far = 2.5 * CELL, 3.5 * CELL
    return ((x >= near) & (y >= far)) | ((x >= far) & (y >= near))


def blocked(x: Array, y: Array) -> Array:
    """Whether the ball's centre cannot be at (x, y), because of a wall or the barrier."""
    probes = ((RADIUS, 0.0), (-RADIUS, 0.0), (0.0, RADIUS), (0.0, -RADIUS))
    walls = [_blocked(x + across, y + along) for across, along in probes]
    halves = [jnp.stack(_in_front(side * x, side * y)).max(0) < 0 for side in (1, -1)]
    return jnp.stack([*walls, *halves]).any(0)


def _barrier(x: Array, y: Array, vx: Array, vy: Array) -> tuple[Array, Array]:
    """The velocity of a ball at (x, y) that may be about to run into one half of the barrier.

    For the ball's centre each half is convex. The upper left one is where x < 0 < y, |x + y| < 74.5 and
    y - x > 12.8; the other is its mirror image through the origin. A ball that would enter bounces off the
    face that it is furthest in front of, as it does off a wall; what is tangential stays as it is.
    """
    side = jnp.where((y + vy) - (x + vx) > 0, 1.0, -1.0)  # brings the nearer half to the upper left
    x, y, vx, vy = side * x, side * y, side * vx, side * vy
    here, then = _in_front(x, y), _in_front(x + vx, y + vy)
    entering = (then[0] < 0) & (then[1] < 0) & (then[2] < 0) & (then[3] < 0) & (then[4] < 0)
    ahead, normal_x, normal_y = here[0], *(jnp.full_like(x, part) for part in _NORMALS[0])
    for distance, (part_x, part_y) in zip(here[1:], _NORMALS[1:], strict=True):
        further = distance > ahead
        ahead = jnp.where(further, distance, ahead)
        normal_x, normal_y = jnp.where(further, part_x, normal_x), jnp.where(further, part_y, normal_y)
    speed = vx * normal_x + vy * normal_y
    change = jnp.where(entering & (speed < 0), _bounce(speed) - speed, 0.0)
    return side * (vx + change * normal_x), side * (vy + change * normal_y)


def _in_front(x: Array, y: Array) -> list[Array]:
    """How far a point is in front of each face of the upper left half; behind all of them it is inside.

    The faces' normals are `_NORMALS`.
    """
    total, difference = x + y, y - x
    return [
        x,
        -y,
        (total - _BAND) * _DIAGONAL,
        -(total + _BAND) * _DIAGONAL,
        (_NECK - difference) * _DIAGONAL,
    ]


_SEVEN = (
    *((-90.0, -90.0), (-140.0, -40.0), (-10.0, -100.0), (0.0, 100.0)),
    *((60.0, 40.0), (100.0, 100.0), (140.0, -20.0)),
)
_PLAIN = (
    Maze("MarbleMaze-v0"),
    Maze("MarbleMazeTwoModes-v0"),
    Maze("MarbleMazeMulti-v0", left=CELL * (1.6 - 5.5), circles=_SEVEN),
)
SETTINGS = {maze.name: maze for maze in _PLAIN} | {
    name: replace(maze, name=name, legacy_barrier=True, legacy_norm=True, timeout_terminal=True)
    for maze in _PLAIN
    for name in (maze.name.replace("-v0", "Legacy-v0"),)
}


def find(name: str) -> Maze:
    """The setting of that name: an id such as `MarbleMazeMulti-v0`, or `marble-maze-multi` on a command line.

    Raises:
        GoodpathError: there is no such setting.
    """
    camel = "".join(word.capitalize() for word in name.split("-")) + "-v0"
    for candidate in (name, camel):
        if candidate in SETTINGS:
            return SETTINGS[candidate]
    raise GoodpathError(f"there is no marble maze '{name}'.{nearest(name, list(SETTINGS))}")


def scene(maze: Maze) -> Scene:
    """The tray of a setting from above: walls and barrier as they are, constraints, goal."""
    rim, half, low = 5.0 * CELL, CELL / 2, -4.5 * CELL
    walls = [((0.0, rim), (5.5 * CELL, half)), ((rim, 0.0), (half, 4.5 * CELL))]
    walls += [((3.0 * CELL, -4.0 * CELL), (half, half)), ((4.0 * CELL, -4.0 * CELL), (half, half))]
    walls += [((4.0 * CELL, -3.0 * CELL), (half, half)), ((CELL, -CELL), (half, half))]
    shapes = []
    if maze.below is not None:
        middle = (low + maze.below) / 2
        shapes.append(Shape("box", "hazard", (0.0, middle), (-low, maze.below - middle)))
    if maze.left is not None:
        middle = (low + maze.left) / 2
        shapes.append(Shape("box", "hazard", (middle, 0.0), (maze.left - middle, -low)))
    for centre in maze.circles:
        if maze.square_circles:
            shapes.append(Shape("box", "hazard", centre, (CIRCLE_RADIUS, CIRCLE_RADIUS)))
        else:
            shapes.append(Shape("circle", "hazard", centre, CIRCLE_RADIUS))
    shapes.append(Shape("circle", "goal", GOAL, GOAL_RADIUS))
    # The straight part of each half of the barrier; the square at its inner end is among the walls above.
    strip = (1.25 * CELL / _DIAGONAL, CELL * _DIAGONAL)
    for side in (1.0, -1.0):
        shapes += [Shape("box", "wall", (side * x, side * y), size) for (x, y), size in walls]
        shapes.append(Shape("box", "wall", (side * -2.25 * CELL, side * 2.25 * CELL), strip, -np.pi / 4))
    return Scene(5.5 * CELL, tuple(shapes))


def side(positions: NDArray[Any]) -> int:
    """On which side a path passes the circle at (-90, -90), on its way to the goal: -1 left of it, 1 right.

    What counts is where it crosses the diagonal through the circle's centre for the last time; left is up, right
    is down. 0 where it never does, as it began beyond.

    Args:
        positions: (steps, 2) the ball's centre after each step.
    """
    path = np.asarray(positions, np.float64)
    beyond = path.sum(1) <= 2 * -90.0
    crossings = np.flatnonzero(~beyond[:-1] & beyond[1:])
    if not len(crossings):
        return 0
    before, after = path[crossings[-1]], path[crossings[-1] + 1]
    share = (before.sum() + 180.0) / (before.sum() - after.sum())
    x, y = before + share * (after - before)
    return 1 if x > y else -1
