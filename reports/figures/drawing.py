"""How every figure is drawn: matplotlib's object API at the width of a phone, so that no text shrinks there.

Colours are names of the page's own style sheet, so that one figure serves light and dark mode; markers differ in shape
as well as in colour.
"""

import html
import re
import zlib
from contextlib import AbstractContextManager
from io import StringIO
from typing import Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath
from matplotlib.ticker import ScalarFormatter

from data_contracts.results import Estimate
from reports.language import in_symbols

# matplotlib knows no CSS variables: it draws in these stand-ins, and `svg` puts the variables in their place.
INK, MUTED, LINE, ACCENT, BAND, CARD = "#010101", "#020202", "#030303", "#040404", "#050505", "#060606"
VARIABLES: Final = {INK: "ink", MUTED: "muted", LINE: "line", ACCENT: "accent", BAND: "band", CARD: "card"}
BELOW_LABEL: Final = 0.22  # half the height of an interval's row, which leaves its label clear
ROOM: Final = 246.0  # points: what a label above an interval may take of WIDTH
WIDTH: Final = 3.6  # inches: 346 CSS pixels, a phone held upright


def style() -> AbstractContextManager[None]:
    """Everything that differs from matplotlib's defaults, for the length of one figure."""
    return mpl.rc_context(
        {
            "svg.fonttype": "none",  # text stays text: it can be read aloud, searched and scaled
            "font.family": "DejaVu Sans",
            "font.size": 9,  # points: 12 CSS pixels
            "text.color": INK,
            "axes.labelcolor": MUTED,
            "axes.edgecolor": LINE,
            "xtick.color": MUTED,
            "ytick.color": MUTED,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.spines.left": False,
            "ytick.left": False,
            "axes.axisbelow": True,
            "legend.frameon": False,
        }
    )


def rows(n: int) -> tuple[Figure, Axes]:
    """A figure of n horizontal intervals, first at the top, each under its label."""
    figure = Figure(figsize=(WIDTH, 0.5 + 0.44 * n), layout="constrained")
    axes = figure.subplots()
    axes.set_ylim(n - 0.5, -0.75)
    axes.set_yticks([])
    return figure, axes


def interval(
    axes: Axes, row: int, shares: tuple[float, float, float], label: str, marker: str, *, strong: bool
) -> None:
    """One interval, given as (low, estimate, high) in fractions, drawn in per cent with its label above it."""
    low, estimate, high = (100 * share for share in shares)
    colour = ACCENT if strong else INK
    axes.plot((low, high), (row, row), color=colour, linewidth=2.5 if strong else 1.5, solid_capstyle="butt")
    axes.plot(estimate, row, marker, color=colour, markersize=7)
    weight = "bold" if strong else "normal"
    text = axes.text(
        0,
        row - 1.3 * BELOW_LABEL,
        label,
        transform=axes.get_yaxis_transform(),
        va="bottom",
        weight=weight,
        size=_fitting(label, weight),
    )
    text.set_in_layout(False)  # a long label must not squeeze the axis


def _fitting(label: str, weight: str) -> float:
    """Font size in points at which a label, in whatever language, is not wider than its figure."""
    size = float(mpl.rcParams["font.size"])
    font = FontProperties(family=mpl.rcParams["font.family"], weight=weight, size=size)
    return size * min(1.0, ROOM / float(TextPath((0, 0), label, prop=font).get_extents().width))


def plot() -> tuple[Figure, Axes]:
    """A figure of one panel with horizontal grid lines."""
    figure = Figure(figsize=(WIDTH, 2.4), layout="constrained")
    axes = figure.subplots()
    axes.grid(axis="y", color=LINE, linewidth=0.6)
    return figure, axes


def upright(axes: Axes, place: float, value: Estimate, marker: str, colour: str) -> None:
    """An upright interval in per cent or percentage points, its estimate marked."""
    axes.vlines(place, 100 * value.low, 100 * value.high, color=colour, linewidth=1.5)
    axes.plot(place, 100 * value.estimate, marker, color=colour, markersize=6)


class _ReadersFormatter(ScalarFormatter):
    """Numbers along an axis with the decimal sign of the language that is spoken."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        return in_symbols(super().__call__(x, pos))


def svg(figure: Figure, label: str) -> str:
    """The figure as one inline `<svg>` element that says aloud what it shows."""
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        if type(axis.get_major_formatter()) is ScalarFormatter:
            axis.set_major_formatter(_ReadersFormatter())
    buffer = StringIO()
    nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}  # no day, no version: same bytes
    with mpl.rc_context({"svg.hashsalt": label}):  # ids follow from it: fixed, and no id twice on a page
        figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r'<g id="[^"]*"', "<g", text)  # named alike in every figure, and nothing refers to them
    # a clip is named after its place down to the last bit, in which the solver of the layout differs from run to run
    for number, name in enumerate(dict.fromkeys(re.findall(r'<clipPath id="(\w+)"', text))):
        text = text.replace(name, f"clip{zlib.crc32(label.encode()):08x}-{number}")
    for stand_in, variable in VARIABLES.items():
        text = text.replace(stand_in, f"var(--{variable})")
    text = text.replace("'DejaVu Sans'", "system-ui, sans-serif").replace("\n", " ")
    return text.replace("<svg", f'<svg role="img" aria-label="{html.escape(label)}"', 1)
