"""Games of the marble maze played by a person in a terminal, one key a step, to record demonstrations."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any

import jax
import numpy as np

from goodpath.envs import marble_maze
from goodpath.envs.marble_maze import CELL, KINDS, Maze, State, Transition

# key -> action: 3 a + b, where a = 1 sends the ball up and 2 down, b = 1 left and 2 right.
_LETTERS = {"w": 3, "s": 6, "a": 1, "d": 2, "q": 4, "e": 5, "z": 7, "c": 8}
KEYS = _LETTERS | {"up": 3, "down": 6, "left": 1, "right": 2, "enter": 0, "space": 0}
HELP = (
    "w a s d or the arrows tilt the tray, q e z c tilt it both ways, Enter leaves it as it is;\n"
    "u plays this game again, x stops and keeps the finished games"
)
_ESCAPES = {
    "\x1b[A": "up",
    "\x1b[B": "down",
    "\x1b[C": "right",
    "\x1b[D": "left",
    "\n": "enter",
    "\r": "enter",
}
_COLUMNS, _ROWS = 48, 24
_MARKS = {"hazard": ":", "goal": "*", "wall": "#"}


def record(
    maze: Maze, cells: Sequence[int], keys: Iterator[str], show: Callable[[str], None]
) -> list[tuple[int, list[int]]]:
    """Lets a person play, and gives the cell and the actions of every game that was finished and kept.

    The game waits for a key at every step. After a game `u` discards it and plays it again.

    Args:
        maze: the setting.
        cells: where the games begin, one after another.
        keys: names of the pressed keys, see `KEYS`; the session ends where they do, or with Ctrl-C.
        show: draws what it is given.
    """
    step = jax.jit(maze.step)
    games: list[tuple[int, list[int]]] = []
    for number, cell in enumerate(cells):
        title = f"game {number + 1} of {len(cells)}"
        while True:
            try:
                actions, command = _game(maze, cell, keys, show, title, step)
            except KeyboardInterrupt:  # what was finished before is worth keeping
                return games
            if command != "u":
                break
        if command == "x":
            break
        games.append((cell, actions))
        if command == "last":
            break
    return games


def _game(
    maze: Maze,
    cell: int,
    keys: Iterator[str],
    show: Callable[[str], None],
    title: str,
    step: Callable[[State, int], Transition],
) -> tuple[list[int], str]:
    """One game: its actions, and `next`, `last` (kept, but no more after it), `u` or `x`."""
    state = maze.start(cell)
    path, actions = [state], list[int]()
    paid = np.zeros(len(KINDS), np.int64)
    show(f"{frame(maze, path)}\n{title}, step 0\n{HELP}")
    for key in keys:
        if key in ("u", "x"):
            return actions, key
        if key not in KEYS:
            continue
        outcome = step(state, KEYS[key])
        state = outcome.state
        actions.append(KEYS[key])
        path.append(state)
        now = np.asarray(outcome.violations).astype(np.int64)
        paid += now
        words = [
            f"{title}, step {len(actions)}",
            *(f"{k} {n}" for k, n in zip(KINDS, paid, strict=True) if n),
        ]
        if now.any():
            words.append("VIOLATION")
        show(f"{frame(maze, path)}\n{', '.join(words)}\n{HELP}")
        if outcome.terminated or outcome.truncated:
            end = "the goal" if outcome.goal else "out of time"
            show(
                f"{frame(maze, path)}\n{', '.join(words)}: {end}. Enter keeps the game, u plays it again, x stops."
            )
            for answer in keys:
                if answer in ("u", "x", "enter", "space"):
                    return actions, {"u": "u", "x": "last"}.get(answer, "next")
            return actions, "last"
    return actions, "x"


def frame(maze: Maze, path: Sequence[State]) -> str:
    """The tray as text, with the ball's path, and an arrow for how it is tilted."""
    scene = marble_maze.scene(maze)
    across = (np.arange(_COLUMNS) + 0.5) / _COLUMNS * 2 * scene.extent - scene.extent
    up = scene.extent - (np.arange(_ROWS) + 0.5) / _ROWS * 2 * scene.extent
    x, y = np.meshgrid(across, up)
    picture = np.full(x.shape, " ")
    for shape in scene.shapes:
        picture[shape.covers(x, y)] = _MARKS[shape.role]
    for state in path[:-1]:
        picture[_place(state, scene.extent)] = "."
    picture[_place(path[-1], scene.extent)] = "O"
    left, above = -int(np.sign(path[-1].tilt_y)), int(np.sign(path[-1].tilt_x))
    arrow = ("↙↓↘", "← →", "↖↑↗")[above + 1][left + 1]
    speed = float(np.hypot(path[-1].vx, path[-1].vy)) / CELL * marble_maze.SUBSTEPS
    lines = ["".join(row).rstrip() for row in picture]
    return "\n".join([*lines, f"tilt {arrow}  speed {speed:.2f} cells a step"])


def _place(state: State, extent: float) -> tuple[int, int]:
    share_x, share_y = (float(state.x) + extent) / (2 * extent), (extent - float(state.y)) / (2 * extent)
    return int(share_y * _ROWS), int(share_x * _COLUMNS)


@contextmanager
def keyboard(stream: IO[str] | None = None) -> Iterator[Iterator[str]]:
    """The names of keys as they are pressed; from what is not a terminal, of its characters.

    Args:
        stream: where the keys come from; standard input when left out.
    """
    source = sys.stdin if stream is None else stream
    if not source.isatty():
        yield (_name(character) for line in source for character in line)
        return
    with _unbuffered(source.fileno()):
        yield iter(lambda: _name(os.read(source.fileno(), 8).decode(errors="ignore")), "")


def _name(pressed: str) -> str:
    return _ESCAPES.get(pressed, "space" if pressed == " " else pressed.lower())


@contextmanager
def _unbuffered(terminal: int) -> Iterator[None]:
    """Keys arrive as they are pressed and are not echoed."""
    from importlib import import_module

    from goodpath.errors import GoodpathError

    try:  # these two are only where there are terminals of the Unix kind
        termios: Any = import_module("termios")
        tty: Any = import_module("tty")
    except ImportError:
        raise GoodpathError(
            "keys cannot be read one by one on this system; pipe them in, one character a step."
        ) from None
    before = termios.tcgetattr(terminal)
    try:
        tty.setcbreak(terminal)
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
