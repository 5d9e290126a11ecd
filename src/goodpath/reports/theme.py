"""Colours and type of the figures, and how a matplotlib figure becomes a themed inline SVG or a PNG.

Figures are drawn in the light colours below. In an SVG each of them becomes a CSS variable with that colour
as its fallback, so that the page decides how it looks in the dark, and text stays text in the page's face.
Vermilion is kept for cost that was paid and green for the limit; no method wears them.
"""

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from goodpath.files import replacing
from goodpath.reports.runs import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, MUTED, RULE, PAPER = "#1d2730", "#5f6b76", "#ccd3d9", "#fffffe"
SAFE, COST, DATA = "#2b8a6e", "#cf3f27", "#8795a1"

# By method: the colour, from Okabe and Ito's set, darkened where white paper asks for it, and a marker, so
# that nothing hangs on colour alone.
METHODS = {
    "trac": ("#0072b2", "o"),
    "bc": ("#ad7600", "s"),
    "bc-safe": ("#b5538c", "D"),
    "sim": ("#2a6f83", "^"),
    "sagui": ("#43389a", "v"),
    "scopil": ("#5c4433", "P"),
}
OTHERS = (("#2f86bd", "X"), ("#6f7a1e", "h"), ("#8a4fa8", "<"), ("#7d8791", ">"))

_VARIABLES = {
    INK: "ink",
    MUTED: "muted",
    RULE: "rule",
    PAPER: "paper",
    SAFE: "safe",
    COST: "cost",
    DATA: "data",
    **{colour: f"series-{i}" for i, (colour, _) in enumerate([*METHODS.values(), *OTHERS])},
}

_DARK = {
    "ink": "#e4e9ed",
    "muted": "#9aa7b2",
    "rule": "#3a4651",
    "paper": "#151a1f",
    "safe": "#52c49e",
    "cost": "#ff7d5f",
    "data": "#73828f",
    "series-0": "#5ab4f0",
    "series-1": "#e3b04c",
    "series-2": "#e58dc3",
    "series-3": "#7cc4d6",
    "series-4": "#a79ff0",
    "series-5": "#cfae94",
    "series-6": "#93cbf3",
    "series-7": "#b7c35d",
    "series-8": "#cf9fe6",
    "series-9": "#b7c0c8",
}

_SETTINGS: dict[Any, Any] = {
    "font.family": ["DejaVu Sans"],
    "font.size": 11.0,
    "text.color": INK,
    "text.parse_math": False,
    "axes.edgecolor": RULE,
    "axes.labelcolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "xtick.color": RULE,
    "ytick.color": RULE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.labelsize": 10.0,
    "ytick.labelsize": 10.0,
    "svg.fonttype": "none",
    "path.simplify": True,
}


@dataclass(frozen=True)
class Style:
    """How one run looks in every figure.

    Attributes:
        colour: hexadecimal, of the light theme.
        marker: matplotlib's name of its marker.
    """

    colour: str
    marker: str

    @property
    def css(self) -> str:
        """The colour as the page's CSS knows it."""
        return f"var(--{_VARIABLES[self.colour]})"


def variables() -> str:
    """CSS rules that give the page the figures' colours, also in the dark, and always light on paper."""
    light, dark = (
        ":root{" + "".join(f"--{name}:{colour};" for name, colour in pairs) + "}"
        for pairs in (((name, colour) for colour, name in _VARIABLES.items()), _DARK.items())
    )
    return f"{light}@media screen and (prefers-color-scheme:dark){{{dark}}}"


def styles(runs: Sequence[Run]) -> dict[str, Style]:
    """A style for each run's label, see `looks`."""
    return looks({run.label: str(run.result["method"]) for run in runs})


def looks(methods: Mapping[str, str]) -> dict[str, Style]:
    """A style for each name of something that a method made: the method's own, or a free one where it is taken or
    unknown.
    """
    free = list(dict.fromkeys([*OTHERS, *METHODS.values()]))
    for method in methods.values():
        own = METHODS.get(method)
        if own in free:
            free.remove(own)
    chosen: dict[str, Style] = {}
    taken: set[tuple[str, str]] = set()
    for i, (name, method) in enumerate(methods.items()):
        look = METHODS.get(method)
        if look is None or look in taken:
            look = free.pop(0) if free else OTHERS[i % len(OTHERS)]
        taken.add(look)
        chosen[name] = Style(*look)
    return chosen


@contextmanager
def drawing(width: float, height: float, salt: str = "") -> Iterator["Figure"]:
    """A blank figure of the given size in points (one point is one CSS pixel in the page), in our settings.

    Args:
        width: in points.
        height: in points.
        salt: what tells the ids inside this figure's SVG from those of the others in the page.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with matplotlib.rc_context({**_SETTINGS, "svg.hashsalt": f"goodpath {salt}"}):
        figure = Figure(figsize=(width / 72, height / 72), dpi=72, facecolor="none")
        FigureCanvasAgg(figure)
        yield figure


def axes_at(figure: "Figure", left: float, bottom: float, width: float, height: float) -> "Axes":
    """Axes at a place given in points from the figure's lower left corner."""
    across, up = figure.get_size_inches() * 72
    axes: Axes = figure.add_axes((left / across, bottom / up, width / across, height / up))
    axes.set_facecolor("none")
    axes.tick_params(length=3, width=0.8)
    return axes


def svg(figure: "Figure", description: str) -> str:
    """The figure as an SVG to put into a page: themed, no date, no links, no ids but those in use.

    Call inside `drawing`.

    Args:
        figure: what to write.
        description: said aloud by screen readers in place of the figure.
    """
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    box = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', text)
    assert box is not None, "matplotlib always writes a viewBox"
    head = (
        f'<svg viewBox="0 0 {box[1]} {box[2]}" width="{box[1]}" role="img" '
        f'aria-label="{escape(description, quote=True)}">'
    )
    text = head + text[text.index(">") + 1 :]
    text = re.sub(r"<style.*?</style>", "", text, flags=re.DOTALL).replace("xlink:href=", "href=")
    used = set(re.findall(r'(?:url\(#|href="#)([^")]+)', text))
    text = re.sub(r' id="([^"]*)"', lambda match: match[0] if match[1] in used else "", text)
    text = re.sub(r' transform="rotate\(-0 [^"]*"', "", text)
    text = re.sub(r'="[^"]*"', lambda match: _attribute(match[0]), text)
    return re.sub(r"\s*\n\s*", " ", text).replace("> <", "><").strip()


def _attribute(text: str) -> str:
    """One quoted attribute: the page's face instead of ours, variables for colours, hundredths of a point."""
    text = re.sub(r" ?font-family: [^;\"]*;?", "", text)
    text = re.sub(r"font: (?:(\w+) )?([\d.]+)px [^;\"]*", _font, text)
    for colour, name in _VARIABLES.items():
        text = text.replace(colour, f"var(--{name}, {colour})")
    return re.sub(r"(\d\.\d\d)\d+", r"\1", text)


def _font(match: re.Match[str]) -> str:
    return f"font-weight: {match[1]}; font-size: {match[2]}px" if match[1] else f"font-size: {match[2]}px"


def png(figure: "Figure", path: Path) -> None:
    """Saves the figure on white paper, at two pixels a point, whole or not at all. Call inside `drawing`."""
    from matplotlib.patheffects import withStroke
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        text.set_path_effects([withStroke(linewidth=3, foreground=PAPER)])
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=144, facecolor=PAPER, metadata={"Software": None})
