"""Figures as SVG text, drawn from records by pure functions: the same record gives the same bytes.

Drawn with matplotlib's object API at the width of a phone, so that no text shrinks there. Colours are names of the
page's own style sheet, so that one figure serves light and dark mode; markers differ in shape as well as in colour.
"""

import html
import re
from collections.abc import Sequence
from contextlib import AbstractContextManager
from io import StringIO
from typing import Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from data_contracts.results import (
    PRIMARY_ARM,
    REFERENCE_ARM,
    ArmScores,
    Difference,
    FidelityScores,
    TrainingRecord,
)
from reports.numbers import percent_interval, points, points_interval
from reports.wording import arm_name, diagnosis_name, reference_name, slices_of

# matplotlib knows no CSS variables: it draws in these stand-ins, and `_svg` puts the variables in their place.
INK, MUTED, LINE, ACCENT, BAND, CARD = "#010101", "#020202", "#030303", "#040404", "#050505", "#060606"
VARIABLES: Final = {INK: "ink", MUTED: "muted", LINE: "line", ACCENT: "accent", BAND: "band", CARD: "card"}
BELOW_LABEL: Final = 0.22  # half the height of an interval's row, which leaves its label clear
WIDTH: Final = 3.6  # inches: 346 CSS pixels, a phone held upright


def forest(arms: Sequence[ArmScores]) -> str:
    """Balanced accuracy of each arm with its 95 % interval, in per cent; a diamond marks the synthetic arm."""
    with _style():
        figure, axes = _rows(len(arms))
        low = min((arm.balanced_accuracy.low for arm in arms), default=0.5)
        axes.set_xlim(100 * max(0.0, min(0.48, low - 0.02)), 100)
        for row, arm in enumerate(arms):
            score = arm.balanced_accuracy
            axes.vlines(50, row - BELOW_LABEL, row + BELOW_LABEL, color=MUTED, linewidth=1, linestyle=":")
            label = f"{arm_name(arm.arm)}: {percent_interval(score)}"
            marker = {PRIMARY_ARM: "D", REFERENCE_ARM: "s"}.get(arm.arm, "o")
            _interval(axes, row, (score.low, score.estimate, score.high), label, marker, strong=arm.arm == PRIMARY_ARM)
        axes.set_xlabel("balanced accuracy, % (dotted: chance, 50 %)")
        spoken = "; ".join(f"{arm_name(a.arm)} {percent_interval(a.balanced_accuracy)}" for a in arms)
        return _svg(figure, f"Forest plot of balanced accuracy with 95 % intervals. {spoken}.")


def differences(compared: Sequence[Difference]) -> str:
    """Differences in percentage points with 95 % interval, the zero line and the margin of no difference."""
    with _style():
        figure, axes = _rows(len(compared))
        margin = 100 * max(d.equivalence_margin for d in compared)
        reach = 100 * max(max(abs(d.low), abs(d.high)) for d in compared)
        axes.set_xlim(-1.1 * max(reach, margin), 1.1 * max(reach, margin))
        for row, d in enumerate(compared):
            axes.add_patch(
                Rectangle((-margin, row - BELOW_LABEL), 2 * margin, 2 * BELOW_LABEL, color=BAND, linewidth=0)
            )
            axes.vlines(0, row - BELOW_LABEL, row + BELOW_LABEL, color=INK, linewidth=1)
            numbers = f"{points(d.estimate)} ({points(d.low)} to {points(d.high)})"  # the axis names the unit
            label = f"against {reference_name(d.reference)}: {numbers}"
            _interval(axes, row, (d.low, d.estimate, d.high), label, "D" if row == 0 else "o", strong=row == 0)
        axes.set_xlabel("\N{LEFTWARDS ARROW} worse    percentage points    better \N{RIGHTWARDS ARROW}")
        spoken = "; ".join(f"against {reference_name(d.reference)} {points_interval(d)}" for d in compared)
        return _svg(
            figure,
            f"Difference made by synthetic slices, with 95 % intervals: {spoken}. "
            f"Shaded: no difference, ±{margin:.1f} points.",
        )


def diversity(scores: FidelityScores) -> str:
    """Precision, recall, density and coverage of synthetic (diamond) and held-out real slices (ring)."""
    with _style():
        figure = Figure(figsize=(WIDTH, 1.75), layout="constrained")
        axes = figure.subplots()
        names = ("precision", "recall", "density", "coverage")
        for row, name in enumerate(names):
            synthetic, real = getattr(scores.synthetic, name), getattr(scores.held_out_real, name)
            axes.plot((synthetic, real), (row, row), color=LINE, linewidth=3, zorder=1)
            axes.plot(
                real,
                row,
                "o",
                color=MUTED,
                markerfacecolor=CARD,
                markersize=7,
                label="held-out real" if row == 0 else None,
            )
            axes.plot(synthetic, row, "D", color=ACCENT, markersize=6, label="synthetic" if row == 0 else None)
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_xlim(left=0, right=max(1.02, axes.get_xlim()[1]))
        axes.grid(axis="x", color=LINE, linewidth=0.6)
        figure.legend(loc="outside upper left", ncols=2, handletextpad=0.2, borderaxespad=0)
        return _svg(
            figure,
            f"Precision, recall, density and coverage of {slices_of(scores.diagnosis)}; the table has the numbers.",
        )


def curves(record: TrainingRecord) -> str:
    """Losses above, the discriminator's accuracy with its line of a draw below, over thousands of images seen."""
    with _style():
        figure = Figure(figsize=(WIDTH, 2.9), layout="constrained")
        losses, accuracy = figure.subplots(2, 1, sharex=True)
        seen = [point.images_seen / 1000 for point in record.curve]
        losses.plot(seen, [p.generator_loss for p in record.curve], color=ACCENT, label="generator")
        losses.plot(
            seen, [p.discriminator_loss for p in record.curve], color=MUTED, linestyle="--", label="discriminator"
        )
        losses.set_ylabel("loss, no unit")
        accuracy.plot(seen, [100 * p.discriminator_accuracy for p in record.curve], color=INK)
        accuracy.axhline(50, color=MUTED, linewidth=0.8, linestyle=":")
        accuracy.set_ylim(0, 104)
        accuracy.set_ylabel("told apart, %")
        accuracy.set_xlabel("images seen, thousands (dotted: a draw, 50 %)")
        for axes in (losses, accuracy):
            axes.grid(axis="y", color=LINE, linewidth=0.6)
        figure.legend(loc="outside upper left", ncols=2, handletextpad=0.4, borderaxespad=0)
        name = diagnosis_name(record.diagnosis)
        return _svg(figure, f"Losses and share of images told apart by the discriminator during training, {name}.")


def _style() -> AbstractContextManager[None]:
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


def _rows(n: int) -> tuple[Figure, Axes]:
    """A figure of n horizontal intervals, first at the top, each under its label."""
    figure = Figure(figsize=(WIDTH, 0.5 + 0.44 * n), layout="constrained")
    axes = figure.subplots()
    axes.set_ylim(n - 0.5, -0.75)
    axes.set_yticks([])
    return figure, axes


def _interval(
    axes: Axes, row: int, shares: tuple[float, float, float], label: str, marker: str, *, strong: bool
) -> None:
    """One interval, given as (low, estimate, high) in fractions, drawn in per cent with its label above it."""
    low, estimate, high = (100 * share for share in shares)
    colour = ACCENT if strong else INK
    axes.plot((low, high), (row, row), color=colour, linewidth=2.5 if strong else 1.5, solid_capstyle="butt")
    axes.plot(estimate, row, marker, color=colour, markersize=7)
    weight = "bold" if strong else "normal"
    text = axes.text(
        0, row - 1.3 * BELOW_LABEL, label, transform=axes.get_yaxis_transform(), va="bottom", weight=weight
    )
    text.set_in_layout(False)  # a long label must not squeeze the axis


def _svg(figure: Figure, label: str) -> str:
    """The figure as one inline `<svg>` element that says aloud what it shows."""
    buffer = StringIO()
    nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}  # no day, no version: same bytes
    with mpl.rc_context({"svg.hashsalt": label}):  # ids follow from it: fixed, and no id twice on a page
        figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r'<g id="[^"]*"', "<g", text)  # named alike in every figure, and nothing refers to them
    for stand_in, variable in VARIABLES.items():
        text = text.replace(stand_in, f"var(--{variable})")
    text = text.replace("'DejaVu Sans'", "system-ui, sans-serif").replace("\n", " ")
    return text.replace("<svg", f'<svg role="img" aria-label="{html.escape(label)}"', 1)
