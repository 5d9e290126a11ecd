"""Games of the marble maze from above: a picture of their paths, or the balls rolling."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from goodpath.envs.marble_maze import RADIUS, Maze, scene
from goodpath.files import replacing
from goodpath.reports.arenas import draw_arena
from goodpath.reports.runs import Path2D
from goodpath.reports.theme import COST, INK, PAPER, SAFE, Style, axes_at, drawing, png
from goodpath.trajectories import Trajectory

_BETWEEN = 3  # frames a step
_MILLISECONDS = 40  # a frame
_PAUSE = 25  # frames at the end
_SIZE = 360


def path_of(maze: Maze, trajectory: Trajectory) -> Path2D:
    """Where the ball was before each step and after the last."""
    seen = np.concatenate([trajectory.observations, trajectory.next_observations[-1:]])
    return Path2D(
        scene(maze),
        maze.positions(seen),
        trajectory.costs.astype(np.float64),
        float(trajectory.rewards.sum()),
    )


def picture(maze: Maze, games: Sequence[Trajectory], path: Path) -> None:
    """Saves a PNG of the paths of all games; steps that violate a constraint are vermilion.

    Args:
        maze: the setting that they were played in.
        games: one or more.
        path: file to write.
    """
    with drawing(_SIZE, _SIZE + 28) as figure:
        axes = axes_at(figure, 2, 2, _SIZE - 4, _SIZE - 4)
        draw_arena(axes, [path_of(maze, game) for game in games], maze.name, Style(INK, "o"))
        png(figure, path)


def animation(maze: Maze, games: Sequence[Trajectory], path: Path) -> None:
    """Saves a GIF in which all games are played at once; a ball is vermilion while it violates a constraint.

    Args:
        maze: the setting that they were played in.
        games: one or more.
        path: file to write.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.patches import Circle
    from PIL import Image

    paths = [path_of(maze, game) for game in games]
    longest = max(len(one.costs) for one in paths)
    frames = []
    with drawing(_SIZE, _SIZE + 28) as figure:
        figure.set_facecolor(PAPER)
        axes = axes_at(figure, 2, 2, _SIZE - 4, _SIZE - 4)
        draw_arena(
            axes,
            [Path2D(one.scene, one.positions[:1], one.costs[:0], 0.0) for one in paths],
            "",
            Style(INK, "o"),
        )
        for text in list(axes.texts):
            text.remove()
        label = axes.text(0, 1.025, "", transform=axes.transAxes, weight="bold", size=12, color=INK)
        balls = [Circle((0, 0), RADIUS, ec=INK, lw=0.8, alpha=0.8, zorder=8) for _ in paths]
        trails = [axes.plot([], [], color=INK, lw=0.8, alpha=0.5, zorder=4)[0] for _ in paths]
        for ball in balls:
            axes.add_patch(ball)
        canvas = FigureCanvasAgg(figure)
        for moment in range(longest * _BETWEEN + 1):
            time = moment / _BETWEEN
            for one, ball, trail in zip(paths, balls, trails, strict=True):
                step = min(int(time), len(one.costs))
                share = min(time, len(one.costs)) - step
                here = one.positions[step]
                if share:
                    here = here + share * (one.positions[step + 1] - here)
                ball.set_center((float(here[0]), float(here[1])))
                over = step == len(one.costs)
                ball.set_facecolor(COST if step and one.costs[step - 1] else SAFE if over else PAPER)
                trail.set_data(
                    [*one.positions[: step + 1, 0], here[0]], [*one.positions[: step + 1, 1], here[1]]
                )
            label.set_text(f"{maze.name}  step {int(time)}")
            canvas.draw()  # type: ignore[no-untyped-call]
            pixels = np.array(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
            frames.append(Image.fromarray(pixels[..., :3]).quantize(64))
    with replacing(path) as temporary, temporary.open("wb") as file:
        durations = [_MILLISECONDS] * (len(frames) - 1) + [_MILLISECONDS * _PAUSE]
        frames[0].save(file, "GIF", save_all=True, append_images=frames[1:], duration=durations, loop=0)
