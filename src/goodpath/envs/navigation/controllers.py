"""Scripted drivers for the Point: they see only the observation, and each episode has a temper of its own.

They exist to collect data. A careful driver keeps the limits, a reckless one takes the short way, a slow one
is safe and poor; so a collection spreads over the plane of cost and return as the data sets of DSRL do
(arXiv 2306.09303).
"""

from dataclasses import dataclass, fields, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from goodpath.envs.navigation.lidar import BINS
from goodpath.envs.navigation.robots import POINT
from goodpath.envs.navigation.tasks import TASKS, Task
from goodpath.errors import GoodpathError, nearest

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

_VELOCIMETER = slice(3, 5)
_MAGNETOMETER = slice(9, 11)
_FIRST_LIDAR = slice(12, 12 + BINS)
_OBSTACLE_RADIUS = 0.2
_GOAL_RADIUS = 0.3
_WIDTH = 2.0 * np.pi / BINS
# Of the Point: full thrust over mass, and damping over mass.
_FULL_ACCELERATION = 2.9
_DAMPING = 1.93
_HASTE = 0.25  # seconds in which a wrong velocity is to be mended


@dataclass(frozen=True)
class CircleTemper:
    """How a driver circles; every field is (batch,).

    Attributes:
        half_width: largest |x| of the oval it follows, in metres; the walls stand at 1.125.
        half_height: largest |y| of it, in metres.
        speed: aimed at, in m/s; the Point's limit is near 1.4.
        turn: action for each radian that the heading is off.
        patience: how much of a push is kept back while the heading is off; at 1, all of it beyond 45 degrees.
        noise: standard deviation of what is added to actions.
        lapses: chance at each step to lose attention: for a moment the action is a random one.
        detours: chance at each step to follow a smaller oval for a second or two.
    """

    half_width: Array
    half_height: Array
    speed: Array
    turn: Array
    patience: Array
    noise: Array
    lapses: Array
    detours: Array


@dataclass(frozen=True)
class GoalTemper:
    """How a driver runs to goals; every field is (batch,).

    Attributes:
        margin: distance it keeps from the rims of what costs, in metres; with a negative one it cuts through.
        speed: aimed at, in m/s.
        turn: action for each radian that the heading is off.
        patience: how much of a push is kept back while the heading is off; at 1, all of it beyond 45 degrees.
        noise: standard deviation of what is added to actions.
        lapses: chance at each step to lose attention: for a moment the action is a random one.
    """

    margin: Array
    speed: Array
    turn: Array
    patience: Array
    noise: Array
    lapses: Array


def controller(task_name: str, num_envs: int, rng: np.random.Generator) -> "CircleDriver | GoalDriver":
    """A driver for `num_envs` copies of a task, with tempers already drawn.

    Args:
        task_name: a Circle or Goal task of the Point.
        num_envs: size of the batch.
        rng: where tempers and noise come from.

    Raises:
        GoodpathError: nobody can drive that task.
    """
    known = [
        name
        for name, task in TASKS.items()
        if task.robot is POINT and task.reward in ("circle", "goal") and task.costs
    ]
    if task_name not in known:
        raise GoodpathError(f"there is no driver for '{task_name}'.{nearest(task_name, known)}")
    task = TASKS[task_name]
    driver = CircleDriver if task.reward == "circle" else GoalDriver
    return driver(task, num_envs, rng)


class CircleDriver:
    """Runs round an oval; see `controller`."""

    def __init__(self, task: Task, num_envs: int, rng: np.random.Generator) -> None:
        self._rng = rng
        self._task = task
        self._reach = task.lidar_range
        self._lapses = _Lapses(num_envs, rng)
        self._detours = _Spells(num_envs, rng, (40, 100))
        self._shrink = np.ones(num_envs)
        self.temper = _circle_tempers(task, num_envs, rng)

    def redraw(self, mask: Mask) -> None:
        """Draws new tempers where a new episode begins; `mask` is (batch,)."""
        self.temper = _mix(mask, _circle_tempers(self._task, len(mask), self._rng), self.temper)

    def __call__(self, observations: Array) -> Array:
        """(batch, 2) actions in [-1, 1] for (batch, observation) observations."""
        temper = self.temper
        centre = single_target(observations[:, _FIRST_LIDAR], self._reach)
        cos, sin = heading(observations)
        # Where we are in the world: the centre lies opposite, turned by our heading.
        x = -(cos * centre[:, 0] - sin * centre[:, 1])
        y = -(sin * centre[:, 0] + cos * centre[:, 1])
        # And where we shall be by the time that we can do anything about it: so curves are met early enough.
        velocity = observations[:, _VELOCIMETER]
        x += _HASTE * (cos * velocity[:, 0] - sin * velocity[:, 1])
        y += _HASTE * (sin * velocity[:, 0] + cos * velocity[:, 1])
        # Now and then it leaves the oval for a smaller one, and so has to find back to it.
        begins, away = self._detours(temper.detours)
        self._shrink[begins] = self._rng.uniform(0.1, 0.7, len(x))[begins]
        size = np.where(away, self._shrink, 1.0)
        wanted = _circle_velocity(x, y, cos, sin, size, temper)
        return self._lapses(_drive(velocity, wanted, temper, self._rng), temper.lapses)


def _circle_velocity(x: Array, y: Array, cos: Array, sin: Array, size: Array, temper: CircleTemper) -> Array:
    """(batch, 2) velocity to aim at, in the agent's frame: along the oval, and back onto it where off it."""
    a, b = size * temper.half_width, size * temper.half_height
    level = np.sqrt((x / a) ** 2 + (y / b) ** 2) + 1e-9
    normal = np.stack([x / a**2, y / b**2], 1)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-9
    off = (level - 1.0) * np.hypot(x, y) / level  # metres outside the oval, along the radius
    inwards = np.clip(2.5 * off, -1.2, 1.2)
    tangent = np.stack([-normal[:, 1], normal[:, 0]], 1)
    # A mass needs time to turn: who is inside the oval approaches it at a moderate pace.
    pace = temper.speed * np.clip(level, 0.4, 1.0)
    wanted = pace[:, None] * (np.cos(inwards)[:, None] * tangent - np.sin(inwards)[:, None] * normal)
    return np.stack([cos * wanted[:, 0] + sin * wanted[:, 1], -sin * wanted[:, 0] + cos * wanted[:, 1]], 1)


class GoalDriver:
    """Runs to goals, round what costs as far as its temper cares; see `controller`."""

    def __init__(self, task: Task, num_envs: int, rng: np.random.Generator) -> None:
        self._rng = rng
        self._reach = task.lidar_range
        self._costly = [
            12 + BINS * index
            for index, name in enumerate(task.lidars)
            if any(cost.group == name for cost in task.costs)
        ]
        self._lapses = _Lapses(num_envs, rng)
        self.temper = _goal_tempers(num_envs, rng)

    def redraw(self, mask: Mask) -> None:
        """Draws new tempers where a new episode begins; `mask` is (batch,)."""
        self.temper = _mix(mask, _goal_tempers(len(mask), self._rng), self.temper)

    def __call__(self, observations: Array) -> Array:
        """(batch, 2) actions in [-1, 1] for (batch, observation) observations."""
        goal = single_target(observations[:, _FIRST_LIDAR], self._reach)
        obstacles = np.concatenate(
            [lidar_points(observations[:, start : start + BINS], self._reach) for start in self._costly], 1
        )
        velocity = observations[:, _VELOCIMETER]
        drift = _HASTE * velocity  # looks ahead as the other driver does
        direction = _clear_direction(goal - drift, obstacles - drift[:, None], self.temper.margin)
        actions = _drive(velocity, self.temper.speed[:, None] * direction, self.temper, self._rng)
        return self._lapses(actions, self.temper.lapses)


def _clear_direction(goal: Array, obstacles: Array, margin: Array) -> Array:
    """(batch, 2) the direction, among 48, that best trades nearing the goal for distance from obstacles."""
    angles = np.arange(48) * (2.0 * np.pi / 48)
    rays = np.stack([np.cos(angles), np.sin(angles)], 1)
    radius = (_OBSTACLE_RADIUS + margin)[:, None, None]
    distance = np.maximum(np.linalg.norm(goal, axis=1), 1e-6)
    along = np.einsum("kd,bod->bko", rays, obstacles)
    apart = np.linalg.norm(obstacles, axis=2)[:, None]
    aside = np.sqrt(np.maximum(apart**2 - along**2, 0.0))
    depth = np.clip(1.0 - aside / radius, 0.0, 1.0)
    # Only what is met before the goal is in the way, and only what is near counts.
    entry = along - np.sqrt(np.maximum(radius**2 - aside**2, 0.0))
    sight = np.clip(distance - _GOAL_RADIUS, 0.0, 1.2)[:, None, None]
    danger = np.where((along > 0.0) & (entry < sight), depth * (1.0 + 0.5 / (apart + 0.1)), 0.0).max(2)
    progress = (goal @ rays.T) / distance[:, None]
    best: Array = rays[np.argmax(progress - 4.0 * danger, axis=1)]
    return best


class _Spells:
    """Stretches of an episode in which a driver does something else, begun by chance.

    Args:
        num_envs: size of the batch.
        rng: what decides.
        steps: shortest and longest spell.
    """

    def __init__(self, num_envs: int, rng: np.random.Generator, steps: tuple[int, int]) -> None:
        self._rng, self._steps = rng, steps
        self._left = np.zeros(num_envs, np.int64)

    def __call__(self, chance: Array) -> tuple[Mask, Mask]:
        """(batch,) where a spell begins at this step, and where one is under way, new ones included."""
        number = len(self._left)
        begins = (self._left == 0) & (self._rng.random(number) < chance)
        lengths = self._rng.integers(*self._steps, number, endpoint=True)
        self._left = np.where(begins, lengths, np.maximum(self._left - 1, 0))
        return begins, self._left > 0


class _Lapses:
    """Moments of inattention: they show in the data how to come back from where nobody meant to go."""

    def __init__(self, num_envs: int, rng: np.random.Generator) -> None:
        self._rng = rng
        self._spells = _Spells(num_envs, rng, (5, 20))
        self._action = np.zeros((num_envs, 2))

    def __call__(self, actions: Array, chance: Array) -> Array:
        """The (batch, 2) actions, or random ones where attention is lost."""
        begins, lost = self._spells(chance)
        self._action[begins] = self._rng.uniform(-1.0, 1.0, actions.shape)[begins]
        return np.where(lost[:, None], self._action, actions)


def _drive(
    velocity: Array, wanted: Array, temper: CircleTemper | GoalTemper, rng: np.random.Generator
) -> Array:
    """(batch, 2) actions that bring the Point from one velocity to another, both (batch, 2) in its own frame.

    It is a mass that can only be pushed along its heading: so turn towards the push, and push as far as the
    heading allows. The motor saturates at 0.05, which is why small numbers are enough to push.
    """
    push = (wanted - velocity) / _HASTE + _DAMPING * wanted
    off = np.arctan2(push[:, 1], push[:, 0])
    # Off the heading a push does harm as well as good: wait for the turn.
    useful = np.maximum(np.abs(push[:, 0]) - temper.patience * np.abs(push[:, 1]), 0.0)
    actions = np.stack([np.sign(push[:, 0]) * useful / _FULL_ACCELERATION, temper.turn * off], 1)
    return np.clip(actions + temper.noise[:, None] * rng.standard_normal(actions.shape), -1.0, 1.0)


def heading(observations: Array) -> tuple[Array, Array]:
    """(batch,) cosine and sine of the heading, told by the magnetometer from a field along -y."""
    field = observations[:, _MAGNETOMETER]
    strength = np.maximum(np.linalg.norm(field, axis=1), 1e-9)
    return -field[:, 1] / strength, -field[:, 0] / strength


def single_target(readings: Array, reach: float) -> Array:
    """Where the only target of a lidar is.

    Its bin tells the distance, and the shares of the two neighbours where in the bin it stands.

    Args:
        readings: (batch, 16).
        reach: the lidar's range, in metres.

    Returns:
        (batch, 2) metres ahead and to the left.
    """
    rows = np.arange(len(readings))
    best = readings.argmax(1)
    after, before = readings[rows, (best + 1) % BINS], readings[rows, (best - 1) % BINS]
    share = after / np.maximum(after + before, 1e-9)
    distance = reach * (1.0 - readings[rows, best])
    angle = (best + share) * _WIDTH
    return np.stack([distance * np.cos(angle), distance * np.sin(angle)], 1)


def lidar_points(readings: Array, reach: float) -> Array:
    """(batch, 16, 2) where targets may be, from (batch, 16) readings of a lidar that sees several.

    A bin that is no local maximum is only the shadow of its neighbour, and is put out of range.
    """
    after, before = np.roll(readings, -1, 1), np.roll(readings, 1, 1)
    share = after / np.maximum(after + before, 1e-9)
    peak = (readings >= after) & (readings >= before) & (readings > 0.0)
    distance = np.where(peak, reach * (1.0 - readings), 10.0 * reach)
    angle = (np.arange(BINS) + share) * _WIDTH
    return np.stack([distance * np.cos(angle), distance * np.sin(angle)], 2)


def _circle_tempers(task: Task, count: int, rng: np.random.Generator) -> CircleTemper:
    kind = _kinds(count, rng)
    half_width = _draw(kind, rng, (0.75, 1.02), (0.6, 1.02), (1.05, 1.55))
    # Careful ones keep clear of walls at the ends too, where there are any.
    tallest = np.where(kind < 2, np.minimum(1.6, 0.95 * task.costs[0].limits[1]), 1.6)
    return CircleTemper(
        half_width=half_width,
        half_height=half_width + rng.uniform(0.0, 1.0, count) * np.maximum(tallest - half_width, 0.0),
        speed=_draw(kind, rng, (0.9, 1.6), (0.1, 0.9), (0.5, 1.6)),
        turn=_turns(count, rng),
        patience=_draw(kind, rng, (0.3, 0.8), (0.2, 0.8), (0.0, 0.5)),
        noise=rng.uniform(0.0, 0.3, count),
        lapses=rng.uniform(0.0, 0.01, count),
        detours=rng.uniform(0.0, 0.006, count),
    )


def _goal_tempers(count: int, rng: np.random.Generator) -> GoalTemper:
    kind = _kinds(count, rng)
    return GoalTemper(
        margin=_draw(kind, rng, (0.05, 0.16), (0.0, 0.2), (-0.19, 0.05)),
        speed=_draw(kind, rng, (0.7, 1.6), (0.1, 0.7), (0.7, 1.6)),
        turn=_turns(count, rng),
        patience=_draw(kind, rng, (0.3, 0.8), (0.2, 0.8), (0.0, 0.5)),
        noise=rng.uniform(0.0, 0.3, count),
        lapses=rng.uniform(0.0, 0.01, count),
    )


def _kinds(count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """(count,) 0 for careful and quick drivers, 1 for careful and slow ones, 2 for reckless ones."""
    return rng.choice(3, count, p=(0.15, 0.3, 0.55))


def _draw(kind: NDArray[np.int64], rng: np.random.Generator, *ranges: tuple[float, float]) -> Array:
    """(count,) uniform in the range of each driver's kind."""
    low, high = np.array(ranges)[kind].T
    drawn: Array = rng.uniform(low, high)
    return drawn


def _turns(count: int, rng: np.random.Generator) -> Array:
    return np.exp(rng.uniform(np.log(0.6), np.log(2.0), count))


T = TypeVar("T", CircleTemper, GoalTemper)


def _mix(mask: Mask, new: T, old: T) -> T:
    """The new temper where the mask is true, and the old one elsewhere."""
    return replace(
        old, **{f.name: np.where(mask, getattr(new, f.name), getattr(old, f.name)) for f in fields(old)}
    )
