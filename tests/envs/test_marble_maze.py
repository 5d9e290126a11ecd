"""The marble maze against the original: trajectories, a recording, figures of random play; and our own barrier."""

import warnings
from dataclasses import replace
from pathlib import Path

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from goodpath import envs
from goodpath.envs import marble_maze
from goodpath.envs.marble_maze import CELL, CELLS, GOAL, SETTINGS, TEST_STARTS, TRAIN_STARTS, at, side
from goodpath.envs.vector import BatchedEnv, Drawable
from goodpath.errors import GoodpathError

MAZE, LEGACY = SETTINGS["MarbleMaze-v0"], SETTINGS["MarbleMazeLegacy-v0"]
MULTI = SETTINGS["MarbleMazeMulti-v0"]
SIGN = {0: 0, 1: 1, -1: 2}
STEP = {maze: jax.jit(maze.step) for maze in (MAZE, LEGACY)}


@pytest.fixture(autouse=True, scope="module")
def nothing_is_traced_yet():
    """Where a thread has traced the maze before, JAX takes what it traced for double precision too."""
    jax.clear_caches()


def action(tilt_x, tilt_y):
    return 3 * SIGN[tilt_x] + SIGN[tilt_y]


def play(maze, cell, actions):
    """Transitions of one game."""
    state, outcomes = maze.start(cell), []
    for chosen in actions:
        outcomes.append(STEP[maze](state, chosen))
        state = outcomes[-1].state
    return outcomes


def numbers(outcomes, *names):
    return np.array([[float(getattr(outcome.state, name)) for name in names] for outcome in outcomes])


def random_games(maze, games, steps, seed=0):
    """(steps + 1, games) states of games in which an action is often held for some steps, whatever is reached."""

    def one(carry, key):
        state, held = carry
        fresh, draws = jax.random.split(key)
        chosen = jnp.where(
            jax.random.uniform(fresh, (games,)) < 0.3, jax.random.randint(draws, (games,), 0, 9), held
        )
        state = maze.step(state, chosen).state
        return (state, chosen), state

    start = maze.start(np.arange(games) % len(CELLS))
    keys = jax.random.split(jax.random.key(seed), steps)
    return jax.jit(lambda: jax.lax.scan(one, (start, jnp.zeros(games, jnp.int32)), keys)[1])()


GOLDEN = {
    "free motion": (
        0,
        [(0, 0), (-1, 1), (-1, 1), (-1, 1), (0, 0), (1, 0)],
        [152.655976, 152.130976, 149.880976, 145.755976, 139.755976, 131.880976],
        [152.655976, 152.130976, 149.880976, 145.755976, 139.755976, 132.405976],
        [0, -0.225, -0.6, -0.975, -1.35, -1.725],
        [0, -0.225, -0.6, -0.975, -1.35, -1.5],
        [-0.790973, -0.790753, -0.789811, -0.788082, -0.785568, -0.782378],
    ),
    "walls": (
        0,
        [(1, -1)] * 8,
        *[[153.180976, 155.430976, 159.555976, 165.555976, 173.430976, 171.480976, 171.405976, 173.205976]]
        * 2,
        *[[0.225, 0.6, 0.975, 1.35, 1.725, -0.24, 0.135, 0.51]] * 2,
        None,
    ),
    "opening and goal": (
        23,
        [(-1, 1)] * 12,
        *[
            [
                *(-22.332997, -24.582997, -28.707997, -34.707997, -42.582997, -52.332997),
                *(-63.957997, -77.457997, -92.832997, -110.082997, -129.207997, -137.382997),
            ]
        ]
        * 2,
        *[[-0.225, -0.6, -0.975, -1.35, -1.725, -2.1, -2.475, -2.85, -3.225, -3.6, -3.975, -4.125]] * 2,
        None,
    ),
}


@pytest.mark.parametrize("maze", [MAZE, LEGACY], ids=["ours", "legacy"])
@pytest.mark.parametrize("name", GOLDEN)
def test_trajectories_of_the_original(maze, name):
    cell, tilts, x, y, vx, vy, rewards = GOLDEN[name]
    actions = [action(*tilt) for tilt in tilts]
    with jax.enable_x64(True):
        outcomes = play(maze, cell, actions)
    wanted = np.array([x, y, vx, vy]).T
    np.testing.assert_allclose(numbers(outcomes, "x", "y", "vx", "vy"), wanted, atol=2e-6)
    single = numbers(play(maze, cell, actions), "x", "y", "vx", "vy")
    np.testing.assert_allclose(single, wanted, atol=1e-4)
    if rewards is not None:
        np.testing.assert_allclose([float(outcome.reward) for outcome in outcomes], rewards, atol=1e-6)
    if name == "opening and goal":
        assert [bool(outcome.goal) for outcome in outcomes] == [False] * 11 + [True]
        assert [bool(outcome.terminated) for outcome in outcomes] == [False] * 11 + [True]
        assert [outcome.violations.tolist() for outcome in outcomes] == [
            [0, 0, float(i in (7, 8))] for i in range(12)
        ]
        assert float(outcomes[-1].reward) == 0


LEGACY_GOLDEN = {
    1: (-1, [-65.94899, -68.19899, -72.32399, -77.590259, -81.796607, -86.101805]),
    36: (
        1,
        [22.332997, 24.582997, 28.707997, 34.707997, 42.582997, 52.332997, 63.957997, 77.457997, 78.335497],
    ),
}


@pytest.mark.parametrize("cell", LEGACY_GOLDEN)
def test_the_legacy_barrier(cell):
    tilt, y = LEGACY_GOLDEN[cell]
    with jax.enable_x64(True):
        outcomes = play(LEGACY, cell, [action(tilt, 0)] + [0] * len(y))
    np.testing.assert_allclose(numbers(outcomes, "y")[:-1, 0], y, atol=1e-5)
    if cell == 36:  # it stops dead
        assert numbers(outcomes, "vx", "vy")[-1].tolist() == [0, 0]
    else:
        np.testing.assert_allclose(
            numbers(outcomes, "x", "vx", "vy")[3], [153.857105, 1.201129, -0.61627], atol=1e-5
        )


def recording():
    with np.load(Path(__file__).parent / "marble_maze_original.npz") as file:
        return file["actions"].astype(np.int32), file["states"]


def replayed(maze, actions):
    """(games, steps, 6) states of recorded actions."""
    start = maze.start(np.arange(len(actions)))
    run = jax.jit(
        lambda: jax.lax.scan(lambda s, a: (maze.step(s, a).state,) * 2, start, jnp.asarray(actions.T))[1]
    )
    return np.stack(run()[:6], -1).swapaxes(0, 1)


def test_37_games_of_the_original_step_by_step():
    actions, states = recording()
    with jax.enable_x64(True):
        ours = replayed(LEGACY, actions)
    played = np.isfinite(states)
    assert played[:, :, 0].sum() > 1500
    np.testing.assert_allclose(ours[played], states[played], atol=3e-5)


def test_our_barrier_changes_only_what_touches_the_barrier():
    actions, states = recording()
    with jax.enable_x64(True):
        ours = replayed(MAZE, actions)
    differs = np.isfinite(states[:, :, 0]) & (np.abs(ours - states).max(-1) > 1e-4)
    touched = 0
    for game in range(len(actions)):
        if differs[game].any():
            first = int(differs[game].argmax())
            near = np.abs(states[game, max(first - 1, 0) : first + 1, :2].sum(-1)).min()
            assert near < 74.5 + 20  # of the band of the barrier, and what is rolled in a step
            touched += 1
    assert 10 < touched < len(actions)


def test_nothing_enters_the_barrier_or_the_walls_and_no_contact_gives_speed():
    def largest_gain(maze):
        games = random_games(maze, 2048, 120)
        speed = np.hypot(games.vx, games.vy)
        return float((speed[1:] - speed[:-1]).max()), games

    free = 5 * 0.15 * np.hypot(0.5, 0.5)  # what gravity gives in a step
    gain, games = largest_gain(MAZE)
    x, y = np.asarray(games.x), np.asarray(games.y)
    assert gain < free + 1e-5
    assert largest_gain(LEGACY)[0] > free + 0.1
    assert np.abs(x).max() < 4 * CELL + 1e-3
    assert np.abs(y).max() < 4 * CELL + 1e-3
    band, neck = CELL + CELL / np.sqrt(2), CELL - CELL / np.sqrt(2)
    for upper_left in (1, -1):
        depth = np.minimum(band - np.abs(x + y), upper_left * (y - x) - neck)
        inside = np.minimum(depth, np.minimum(-upper_left * x, upper_left * y))
        assert inside.max() < 1e-4
        assert inside.max() > -0.1  # some came up to it


def test_a_ball_bounces_off_a_diagonal_as_off_a_wall():
    # From the middle of the far side, rolled straight at the barrier without tilt: 0.3 of the speed comes back.
    state = at(jnp.float32(120.0), jnp.float32(0.0))._replace(vx=jnp.float32(-2.0), vy=jnp.float32(-2.0))
    for _ in range(3):
        state = STEP[MAZE](state, 0).state
    np.testing.assert_allclose([state.vx, state.vy], [0.6, 0.6], rtol=1e-6)
    assert state.x + state.y > CELL + CELL / np.sqrt(2)
    # Across the diagonal nothing is lost.
    state = at(jnp.float32(76.0), jnp.float32(-60.0 + 59.0))._replace(
        vx=jnp.float32(0.1), vy=jnp.float32(-0.6)
    )
    along = float(state.vx - state.vy)
    state = STEP[MAZE](state, 0).state
    assert abs(float(state.vx - state.vy) - along) < 1e-6


def test_the_maze_is_its_own_mirror_image():
    rng = np.random.default_rng(0)
    x, y = (jnp.asarray(v, jnp.float32) for v in rng.uniform(80, 170, (2, 200)))
    one, other = at(x, y), at(y, x)
    for _ in range(60):
        a, b = rng.integers(0, 3, (2, 200))
        one = STEP[MAZE](one, 3 * a + b).state
        flipped = np.array([0, 2, 1])  # what tilts along one axis tilts against the other
        other = STEP[MAZE](other, 3 * flipped[b] + flipped[a]).state
        np.testing.assert_allclose(one.x, other.y, atol=1e-3)
        np.testing.assert_allclose(one.vy, other.vx, atol=1e-3)


def test_start_lists_are_what_seeded_draws_give():
    for seed, starts in ((2023, TRAIN_STARTS), (2024, TEST_STARTS)):
        draw = np.random.RandomState(seed)
        assert tuple(int(draw.choice(37)) for _ in range(40)) == starts
    assert (len(set(TRAIN_STARTS)), len(set(TEST_STARTS))) == (22, 24)
    assert len([cell for cell in TEST_STARTS if cell not in TRAIN_STARTS]) == 15
    assert len(set(CELLS)) == 37
    sums = np.array([float(MAZE.start(cell).x + MAZE.start(cell).y) for cell in range(37)])
    assert ((sums > 1).sum(), (sums < -1).sum()) == (22, 15)


def test_time_is_up():
    late = MAZE.start(0)._replace(time=jnp.int32(199))
    outcome = STEP[MAZE](late, action(-1, 1))
    assert (bool(outcome.terminated), bool(outcome.truncated)) == (False, True)
    assert outcome.reward > -0.8
    assert MAZE.spec.episode_length == 200

    outcome = STEP[LEGACY](late, action(-1, 1))
    assert not outcome.terminated
    assert not outcome.truncated
    after = STEP[LEGACY](outcome.state, 0)
    assert (bool(after.terminated), bool(after.truncated), float(after.reward)) == (True, False, -1)
    # One substep only.
    assert abs(float(after.state.x - outcome.state.x) - float(after.state.vx)) < 1e-4
    assert LEGACY.spec.episode_length == 201


@pytest.mark.parametrize(("maze", "terminated"), [(MAZE, True), (LEGACY, False)], ids=["ours", "legacy"])
def test_a_goal_in_the_last_step(maze, terminated):
    state = at(jnp.float32(GOAL[0] + 20), jnp.float32(GOAL[1]))._replace(
        vx=jnp.float32(-3.0), time=jnp.int32(199)
    )
    outcome = STEP[maze](state, 0)
    assert outcome.goal
    assert outcome.reward == 0
    assert (bool(outcome.terminated), bool(outcome.truncated)) == (terminated, not terminated)


def violated(maze, x, y):
    return maze.violations(at(jnp.float32(x), jnp.float32(y))).tolist()


def test_constraints():
    line = CELL * (2 - 5.5)
    assert violated(MAZE, 0, line) == [1, 0, 0]
    assert violated(MAZE, 0, line + 0.1) == [0, 0, 0]
    assert violated(MAZE, -174, 0) == [0, 0, 0]
    assert violated(MULTI, -174, 0) == [0, 1, 0]
    corner = (-90 + 19, -90 + 19)
    assert violated(MAZE, *corner) == [0, 0, 1]
    assert violated(replace(MAZE, square_circles=False), *corner) == [0, 0, 0]
    assert violated(replace(MAZE, square_circles=False), -90 + 19, -90) == [0, 0, 1]
    assert violated(MULTI, 140, -20) == violated(MULTI, 0, 100) == [0, 0, 1]
    assert violated(MAZE, 140, -20) == [0, 0, 0]


@pytest.mark.parametrize("cell", [19, 20, 26])
def test_three_cells_lie_on_the_line(cell):
    assert play(MAZE, cell, [0])[0].violations.tolist() == [1, 0, 0]
    assert play(MAZE, cell, [action(1, 0)])[0].violations.tolist() == [0, 0, 0]


def test_observations():
    state = play(MAZE, 0, [action(1, 1), action(-1, 0)])[-1].state
    seen = np.asarray(MAZE.observe(state))
    np.testing.assert_allclose(MAZE.positions(seen), [float(state.x), float(state.y)], atol=1e-3)
    # The tray came back from 0.5 about x, and stayed at 0.5 about y.
    np.testing.assert_allclose(seen[4:], [0, 1, -1, 0], atol=1e-6)
    np.testing.assert_allclose(np.asarray(LEGACY.observe(state))[4:], [0, 1, -10, 0], atol=1e-5)
    assert np.abs(np.asarray(MAZE.observe(random_games(MAZE, 512, 60)))).max() < 1.4


def test_random_games_go_as_in_the_original():
    games, steps = 2000, LEGACY.spec.episode_length

    def one(carry, key):
        state, playing = carry
        outcome = LEGACY.step(state, jax.random.randint(key, (games,), 0, 9))
        totals = (
            playing,
            playing * outcome.reward,
            playing[:, None] * outcome.violations,
            playing & outcome.goal,
        )
        return (outcome.state, playing & ~(outcome.terminated | outcome.truncated)), totals

    keys = jax.random.split(jax.random.key(0), steps)
    start = (LEGACY.start(np.arange(games) % 37), jnp.ones(games, bool))
    lengths, returns, violations, goals = (
        np.asarray(part).sum(0) for part in jax.jit(lambda: jax.lax.scan(one, start, keys)[1])()
    )
    # Figures of 200 games of the original; the tolerance is three of their standard errors.
    error = 3 / np.sqrt(200)
    assert abs(goals.mean() - 0.335) < error * goals.std()
    assert abs(lengths.mean() - 163) < error * lengths.std()
    assert abs(returns.mean() + 121.9) < error * returns.std()
    assert abs(violations[:, 0].mean() - 9.6) < error * violations[:, 0].std()
    assert abs(violations[:, 2].mean() - 0.9) < error * violations[:, 2].std()


def test_sides():
    def path(*points):
        return np.array(points, float)

    assert side(path((0, 0), (-120, -60), (-144, -144))) == -1
    assert side(path((0, 0), (-60, -120), (-144, -144))) == 1
    assert side(path((-109, -109), (-144, -144))) == 0
    # What counts is the last crossing, and where it is rather than where its step ends.
    assert side(path((0, 0), (-60, -125), (-60, -60), (-125, -60), (-144, -144))) == -1
    assert side(path((-85, -91), (-100, -95))) == 1


def test_the_batched_contract():
    env, same = envs.make("MarbleMaze-v0", 6), envs.make("MarbleMaze-v0", 6)
    assert isinstance(env, BatchedEnv)
    assert isinstance(env, Drawable)
    np.testing.assert_array_equal(env.reset(3), same.reset([3, 4, 5, 6, 7, 8]))
    begun = env.reset_to([23, 0, 1, 2, 3, 4])
    np.testing.assert_allclose(MAZE.positions(begun)[0], [-CELL / 2] * 2, atol=1e-3)
    same.reset_to([23, 0, 1, 2, 3, 4])
    to_goal = np.tile(0.1 * np.eye(9)[action(-1, 1)], (6, 1))  # the largest counts, whatever it is
    for _ in range(12):
        step, other = env.step(to_goal), same.step(to_goal)
    np.testing.assert_array_equal(step.observations, other.observations)
    assert step.terminated.tolist() == [True] + [False] * 5
    assert step.info["goal_met"].tolist() == [True] + [False] * 5
    np.testing.assert_allclose(MAZE.positions(step.final_observations)[0], [-137.383] * 2, atol=1e-3)
    np.testing.assert_array_equal(step.observations[1:], step.final_observations[1:])
    corners = np.array([[CELL * (c - 5.5), CELL * (r - 5.5)] for r, c in CELLS])
    assert np.abs(corners - env.positions()[0]).max(1).min() < 1e-3  # a new game began
    np.testing.assert_allclose(step.costs, sum(step.info[f"cost_{kind}"] for kind in marble_maze.KINDS))


def test_bad_calls_are_explained():
    env = envs.make("MarbleMazeMulti-v0", 2)
    with pytest.raises(GoodpathError, match="call reset first"):
        env.step(np.zeros((2, 9)))
    with pytest.raises(GoodpathError, match="no game has begun"):
        env.positions()
    with pytest.raises(GoodpathError, match="3 cells were given for 2"):
        env.reset_to([1, 2, 3])
    with pytest.raises(GoodpathError, match="no cell 37"):
        env.reset_to([1, 37])
    env.reset(0)
    with pytest.raises(
        GoodpathError, match=r"shape \(2,\), but 2 copies of MarbleMazeMulti-v0 take \(2, 9\)"
    ):
        env.step(np.zeros(2))
    with pytest.raises(GoodpathError, match="make at least one"):
        envs.make("MarbleMaze-v0", 0)
    with pytest.raises(GoodpathError, match="Did you mean 'MarbleMazeMulti-v0'"):
        marble_maze.find("marble-maze-mutli")


def test_gymnasium():
    envs.register()
    env = gymnasium.make("goodpath/MarbleMaze-v0", render_mode="rgb_array").unwrapped
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", message=".*A Box observation space (min|max)imum value is -?infinity.*"
        )
        check_env(env)
    first, _ = env.reset(seed=5)
    np.testing.assert_array_equal(first, envs.make("MarbleMaze-v0").reset(5)[0])
    env.reset(options={"cell": 23})
    for _ in range(12):
        _, reward, terminated, truncated, info = env.step(action(-1, 1))
    assert (reward, terminated, truncated, info["goal_met"], info["cost"]) == (0, True, False, True, 0)
    with pytest.raises(GoodpathError, match="from 0 to 8"):
        env.step(9)
    picture = env.render()
    # The ball, at (-137, -137), covers the goal; the upper right corner is wall.
    assert picture[-60, 63].tolist() == [200, 60, 60]
    assert picture[5, -5].tolist() == [235, 190, 90]
