"""Demonstrations as data sets."""

import numpy as np
import pytest

from goodpath import envs
from goodpath.data import hdf5
from goodpath.data.demos import demonstrate, play, summary
from goodpath.data.record import KEYS, frame, keyboard, record
from goodpath.envs.marble_maze import CELLS, SETTINGS
from goodpath.errors import GoodpathError

MAZE = SETTINGS["MarbleMaze-v0"]
LETTER = {value: key for key, value in KEYS.items() if len(key) == 1} | {0: "enter"}


@pytest.fixture(scope="module")
def games():
    return demonstrate(MAZE)


def test_the_expert_of_the_published_starts(games):
    facts = summary(MAZE, games)
    assert (facts["games"], facts["goal"]) == (40, 1)
    assert facts["violations"] == {"below": 0, "left": 0, "circle": pytest.approx(0.025)}
    assert facts["unavoidable"] == 0.025
    # A search published with other results has -12.56 and 18.5.
    assert facts["return"] > -12.56
    assert facts["length"] < 18.5
    assert facts["left"] + facts["right"] + facts["beyond"] == 40


def test_they_are_an_ordinary_data_set_that_the_environment_repeats(games, tmp_path):
    path = tmp_path / "demos.h5"
    hdf5.save(games.dataset, path)
    dataset = hdf5.load(path)
    assert dataset.environment == "MarbleMaze-v0"
    hdf5.load(path, envs.make("MarbleMaze-v0").spec)
    np.testing.assert_array_equal(dataset.actions.sum(1), 1)
    env = envs.make("MarbleMaze-v0", 1)
    for index in (0, 17):
        game = dataset[index]
        np.testing.assert_allclose(env.reset_to([games.cells[index]])[0], game.observations[0], atol=1e-6)
        for t in range(len(game)):
            step = env.step(game.actions[t][None])
            np.testing.assert_allclose(step.final_observations[0], game.next_observations[t], atol=1e-5)
            np.testing.assert_allclose(
                [step.rewards[0], step.costs[0]], [game.rewards[t], game.costs[t]], atol=1e-6
            )
        assert step.terminated[0]
        assert game.terminated


def test_both_modes_from_every_start():
    both = summary(MAZE, demonstrate(MAZE, "both", "all"))
    # 34 of 37 starts have the circle before them and are played on each side.
    assert (both["games"], both["left"], both["right"], both["beyond"]) == (71, 34, 34, 3)
    assert both["violations"]["circle"] == pytest.approx(1 / 71)


def test_mistakes_make_demonstrations_worse_and_a_seed_repeats_them():
    good, poor, again = (
        demonstrate(MAZE, mistakes=share, coverage=0.5, seed=1) for share in (0.0, 0.25, 0.25)
    )
    np.testing.assert_array_equal(poor.dataset.actions, again.dataset.actions)
    assert poor.cells.tolist() == good.cells.tolist()
    assert poor.dataset.outcomes().returns.mean() < good.dataset.outcomes().returns.mean() - 0.5
    assert poor.violations.sum() > good.violations.sum()
    assert poor.goals.mean() > 0.9


def test_partial_coverage():
    few = demonstrate(MAZE, starts="all", coverage=0.25, seed=3)
    assert len(few.cells) == round(0.25 * len(CELLS)) == len(set(few.cells.tolist()))
    assert set(demonstrate(MAZE, starts="all", coverage=0.25, seed=4).cells.tolist()) != set(
        few.cells.tolist()
    )


def test_bad_input_is_explained():
    with pytest.raises(GoodpathError, match="mistakes are 1; give"):
        demonstrate(MAZE, mistakes=1)
    with pytest.raises(GoodpathError, match="coverage is 0; give"):
        demonstrate(MAZE, coverage=0)
    with pytest.raises(GoodpathError, match="at least one step"):
        play(MAZE, [1], [[]])


def test_a_game_that_is_not_finished_is_cut_by_time():
    cut = play(MAZE, [0], [[0, 0, 0]]).dataset
    assert (cut.num_steps, cut.timeouts.tolist()) == (3, [False, False, True])


def test_a_person_plays(games):
    """The keys of two planned games, the first played twice, an unknown key, and a third game given up."""
    plans = [game.actions.argmax(1).tolist() for game in games.dataset][:2]
    first, second = ([LETTER[a] for a in actions] for actions in plans)
    keys = [*first, "u", *first[:3], "u", *first, "enter", "?", *second, "enter", "w", "x"]
    shown = []
    played = record(MAZE, games.cells[:3].tolist(), iter(keys), shown.append)
    assert played == [(int(cell), actions) for cell, actions in zip(games.cells, plans, strict=False)]
    again = play(MAZE, [cell for cell, _ in played], [actions for _, actions in played])
    np.testing.assert_allclose(
        again.dataset.rewards, games.dataset.rewards[: again.dataset.num_steps], atol=1e-6
    )
    assert "game 1 of 3, step 0" in shown[0]
    assert any("the goal. Enter keeps the game" in text for text in shown)


def test_stopping_after_a_game_keeps_it(games):
    actions = games.dataset[0].actions.argmax(1).tolist()
    keys = [LETTER[a] for a in actions]
    assert len(record(MAZE, [int(games.cells[0])] * 2, iter([*keys, "x"]), print)) == 1
    assert len(record(MAZE, [int(games.cells[0])] * 2, iter(keys), print)) == 1
    assert record(MAZE, [int(games.cells[0])] * 2, iter(keys[:-1]), print) == []

    def interrupted():
        yield from [*keys, "enter", "w"]
        raise KeyboardInterrupt

    assert len(record(MAZE, [int(games.cells[0])] * 2, interrupted(), print)) == 1


def test_the_tray_as_text():
    state = MAZE.start(0)
    lines = frame(MAZE, [state]).splitlines()
    rows = [row.ljust(48) for row in lines[:24]]
    assert rows[0] == rows[-1] == "#" * 48
    # The ball rolls in the upper right, the goal lies in the lower left above the forbidden strip.
    [(y, x)] = [(y, row.index("O")) for y, row in enumerate(rows) if "O" in row]
    assert (y, x) == (int((5.5 - 3.5) / 11 * 24), int((5.5 + 3.5) / 11 * 48))
    goals = [(y, x) for y, row in enumerate(rows) for x, mark in enumerate(row) if mark == "*"]
    assert min(y for y, _ in goals) > 17
    assert max(x for _, x in goals) < 14
    assert ":" in rows[20]
    moved = MAZE.step(state, 4).state  # up and left
    assert "tilt ↖" in frame(MAZE, [state, moved]).splitlines()[-1]


def test_keys_from_a_pipe(tmp_path):
    path = tmp_path / "keys"
    path.write_text("wW \n")
    with path.open() as stream, keyboard(stream) as keys:
        assert list(keys) == ["w", "w", "space", "enter"]
