"""Figures as SVG text, drawn from records by pure functions: the same record gives the same bytes.

Drawn with matplotlib's object API at the width of a phone, so that no text shrinks there. Colours are names of the
page's own style sheet, so that one figure serves light and dark mode; markers differ in shape as well as in colour.
"""

import html
import re
import zlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from io import StringIO
from itertools import groupby
from math import log2, nan
from typing import Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from data_contracts.results import (
    PASTED_ARM,
    PRIMARY_ARM,
    PRIMARY_RATIO,
    REFERENCE_ARM,
    Arm,
    ArmScores,
    CurvePoint,
    Difference,
    DosePoint,
    Estimate,
    FidelityScores,
    LearningPoint,
    TrainingRecord,
)
from reports.numbers import decimal, percent, percent_interval, points, points_interval
from reports.wording.further import dose_name
from reports.wording.names import arm_name, diagnosis_name, maker, reference_name, slices_of
from reports.wording.watch import alarm_possible, ended_at_alarm, n_compared

# matplotlib knows no CSS variables: it draws in these stand-ins, and `_svg` puts the variables in their place.
INK, MUTED, LINE, ACCENT, BAND, CARD = "#010101", "#020202", "#030303", "#040404", "#050505", "#060606"
VARIABLES: Final = {INK: "ink", MUTED: "muted", LINE: "line", ACCENT: "accent", BAND: "band", CARD: "card"}
BELOW_LABEL: Final = 0.22  # half the height of an interval's row, which leaves its label clear
Value = Callable[[CurvePoint], float | None]  # one measure of a tick; None where it was not taken
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
    """Precision, recall, density and coverage of synthetic (diamond) and held-out real slices (ring).

    Smaller, for what a bad set reaches: a few slices repeated (cross) and noise (plus).
    """
    with _style():
        figure = Figure(figsize=(WIDTH, 1.95), layout="constrained")
        axes = figure.subplots()
        names = ("precision", "recall", "density", "coverage")
        for row, name in enumerate(names):
            synthetic, real = getattr(scores.synthetic, name), getattr(scores.held_out_real, name)
            axes.plot((synthetic, real), (row, row), color=LINE, linewidth=3, zorder=1)
            for bad, marker, said in ((scores.collapsed, "x", "a few repeated"), (scores.noise, "+", "noise")):
                value, first = getattr(bad, name), row == 0
                label = said if first else None
                axes.plot(value, row, marker, color=MUTED, markersize=5, label=label, clip_on=False)
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
        figure.legend(loc="outside upper left", ncols=2, handletextpad=0.2, borderaxespad=0, reverse=True)
        return _svg(
            figure,
            f"Precision, recall, density and coverage of {slices_of(scores.diagnosis)}; the table has the numbers.",
        )


def dose(tried: Sequence[DosePoint], *, margin: float) -> str:
    """Difference made at each dose, with 95 % intervals; a diamond marks the dose fixed beforehand.

    tried: at least one dose, each a positive ratio. margin: fraction, half the width of the shaded band of no
    difference.
    """
    with _style():
        figure, axes = _plot()
        axes.axhspan(-100 * margin, 100 * margin, color=BAND, linewidth=0)
        axes.axhline(0, color=INK, linewidth=1)
        for point in tried:
            decides = point.ratio == PRIMARY_RATIO
            _upright(axes, log2(point.ratio), point.difference, "D" if decides else "o", ACCENT if decides else INK)
        axes.set_xticks([log2(point.ratio) for point in tried], [f"{point.ratio:g}" for point in tried])
        axes.margins(x=0.1)
        axes.set_xlabel("synthetic slices a real one")
        axes.set_ylabel("difference, points")
        spoken = "; ".join(f"at {dose_name(point.ratio)} {points_interval(point.difference)}" for point in tried)
        return _svg(figure, f"Difference made by synthetic slices at each dose, with 95 % intervals: {spoken}.")


def learning(tried: Sequence[LearningPoint], *, known: bool) -> str:
    """Balanced accuracy with (diamond) and without (square, dashed) synthetic slices over subjects learned from.

    With 95 % intervals; with copy and paste too (circle, dotted) where a point has that arm.
    tried: in order of share, at least one point.
    """
    with _style():
        figure, axes = _plot()
        aside = 0.01 * max(point.n_subjects for point in tried)  # apart, so that no interval hides the other
        spoken = []
        series: tuple[tuple[Arm, str, str, str, float], ...] = (
            (REFERENCE_ARM, "s", INK, "--", -aside),
            (PASTED_ARM, "o", MUTED, ":", 0.0),
            (PRIMARY_ARM, "D", ACCENT, "-", aside),
        )
        for arm, marker, colour, style, shift in series:
            there = [(point, point.arms[arm]) for point in tried if arm in point.arms]
            if not there:
                continue
            places = [point.n_subjects + shift for point, _ in there]
            axes.plot(places, [100 * e.estimate for _, e in there], style, color=colour, linewidth=1.2)
            for place, (_, estimate) in zip(places, there, strict=True):
                _upright(axes, place, estimate, marker, colour)
            axes.plot([], [], style, marker=marker, color=colour, label=arm_name(arm))
            of = ", ".join(f"{percent(p.share, 0)} {percent_interval(estimate)}" for p, estimate in there)
            spoken.append(f"{arm_name(arm)}: {of}")
        axes.set_xticks([p.n_subjects for p in tried], [f"{p.n_subjects:,.0f}\n{100 * p.share:.0f} %" for p in tried])
        axes.set_xlabel(f"{'subjects' if known else 'image groups'} learned from, a fold")
        axes.set_ylabel("balanced accuracy, %")
        figure.legend(loc="outside upper left", ncols=1, handletextpad=0.4, borderaxespad=0)
        return _svg(
            figure, f"Balanced accuracy by share of subjects learned from, 95 % intervals. {'; '.join(spoken)}."
        )


def _plot() -> tuple[Figure, Axes]:
    """A figure of one panel with horizontal grid lines."""
    figure = Figure(figsize=(WIDTH, 2.4), layout="constrained")
    axes = figure.subplots()
    axes.grid(axis="y", color=LINE, linewidth=0.6)
    return figure, axes


def _upright(axes: Axes, place: float, value: Estimate, marker: str, colour: str) -> None:
    """An upright interval in per cent or percentage points, its estimate marked."""
    axes.vlines(place, 100 * value.low, 100 * value.high, color=colour, linewidth=1.5)
    axes.plot(place, 100 * value.estimate, marker, color=colour, markersize=6)


def curves(record: TrainingRecord, *, painted: bool = False) -> str:
    """Losses above, the discriminator's accuracy with its line of a draw below, over thousands of images seen.

    Broken at alarms, each a dotted line; thin and dotted what an alarm went back on.
    """
    with _style():
        figure = Figure(figsize=(WIDTH, 2.9), layout="constrained")
        losses, accuracy = figure.subplots(2, 1, sharex=True)
        _over_training(losses, record, lambda p: p.generator_loss, ACCENT, label=maker(painted=painted))
        _over_training(losses, record, lambda p: p.discriminator_loss, MUTED, style="--", label="discriminator")
        losses.set_ylabel("loss, no unit")
        _over_training(accuracy, record, lambda p: 100 * p.discriminator_accuracy, INK)
        accuracy.axhline(50, color=MUTED, linewidth=0.8, linestyle=":")
        accuracy.set_ylim(0, 104)
        accuracy.set_ylabel("told apart, %")
        accuracy.set_xlabel("images seen, thousands (dotted: a draw, 50 %)")
        for axes in (losses, accuracy):
            axes.grid(axis="y", color=LINE, linewidth=0.6)
        figure.legend(loc="outside upper left", ncols=2, handletextpad=0.4, borderaxespad=0)
        name = diagnosis_name(record.diagnosis)
        return _svg(figure, f"Losses and share of images told apart by the discriminator during training, {name}.")


def health(record: TrainingRecord) -> str:
    """What the collapse watch saw: its alarms and the kept moment, then coverage, diversity and kernel distance.

    All over thousands of images seen and beside what real slices reach (dashed). An alarm is a numbered triangle with
    an arrow to the moment that training went back to, one at which it ended a cross, the kept moment a diamond, in
    every row.
    record: with at least one look of the watch.
    """
    rows: tuple[tuple[str, Value, Value], ...] = (
        ("coverage, %", lambda p: _times(100, p.coverage), lambda p: _times(100, p.coverage_real)),
        (
            "diversity,\n% of real",
            lambda p: _times(100, _over(p.diversity, p.diversity_real)),
            lambda p: _times(100, _over(p.diversity_real, p.diversity_real)),
        ),
        ("KID,\nno unit", lambda p: p.kid, lambda p: p.kid_real),
    )
    with _style():
        strip = 0.2 * max(1, len(record.alarms) + (record.kept_at is not None))  # inches
        figure = Figure(figsize=(WIDTH, 3.6 + strip), layout="constrained")
        timeline, *panels = figure.subplots(4, 1, sharex=True, height_ratios=[strip, 1, 1, 1])
        _alarms(timeline, record)
        for axes, (label, generated, real) in zip(panels, rows, strict=True):
            first = axes is panels[0]
            _over_training(axes, record, real, MUTED, style="--", label="real against real" if first else None)
            _over_training(axes, record, generated, ACCENT, label="generated" if first else None)
            axes.set_ylabel(label)
            axes.grid(axis="y", color=LINE, linewidth=0.6)
            axes.set_ylim(*_reach(record, generated, real))
            if (kept := _kept(record)) is not None and (value := generated(kept)) is not None:
                axes.plot(kept.images_seen / 1000, value, "D", color=ACCENT, markersize=6, clip_on=False)
        panels[-1].set_xlabel("images seen, thousands")
        figure.legend(loc="outside upper left", ncols=2, handletextpad=0.4, borderaxespad=0)
        return _svg(figure, _health_aloud(record))


def _times(factor: float, value: float | None) -> float | None:
    return None if value is None else factor * value


def _over(value: float | None, real: float | None) -> float | None:
    """`value` as a share of `real`; None where either was not measured or real slices reach nothing."""
    return None if value is None or not real else value / real


def _ways(record: TrainingRecord) -> list[tuple[bool, list[CurvePoint]]]:
    """The curve in stretches drawn without a break, in order; with each, whether an alarm went back on it."""
    returns = [alarm.return_to for alarm in record.alarms]
    if ended_at_alarm(record):
        returns = returns[:-1]  # after the last alarm training ended: nothing was done again

    def left(point: CurvePoint) -> bool:
        return any(to is None or point.images_seen > to for to in returns[point.attempt :])

    return [(gone, list(points)) for (_, gone), points in groupby(record.curve, lambda p: (p.attempt, left(p)))]


def _over_training(
    axes: Axes, record: TrainingRecord, value: Value, colour: str, *, style: str = "-", label: str | None = None
) -> None:
    """One measure over thousands of images seen, broken at alarms, and where each alarm was raised."""
    named = label is None
    for gone, ticks in _ways(record):
        values = [nan if (measured := value(tick)) is None else measured for tick in ticks]
        axes.plot(
            [tick.images_seen / 1000 for tick in ticks],
            values,
            color=MUTED if gone else colour,
            linestyle=":" if gone else style,
            linewidth=1 if gone else 1.5,
            marker="." if len(ticks) == 1 else "",  # a line needs two
            label=None if named or gone else label,
        )
        named = named or not gone
    for alarm in record.alarms:
        axes.axvline(alarm.images_seen / 1000, color=INK, linewidth=0.8, linestyle=":")


def _alarms(axes: Axes, record: TrainingRecord) -> None:
    """The alarms in order, one below the other, then the kept moment: each a sign beside its word."""
    words = [f"alarm {n + 1}" for n in range(len(record.alarms))] + ["kept"] * (record.kept_at is not None)
    axes.set_yticks(range(len(words)), words)
    axes.set_ylim(max(1, len(words)) - 0.4, -0.6)
    axes.tick_params(axis="x", length=0)
    axes.spines["bottom"].set_visible(False)
    for row, alarm in enumerate(record.alarms):
        at, back = alarm.images_seen / 1000, (alarm.return_to or 0) / 1000
        if ended_at_alarm(record) and row == len(record.alarms) - 1:
            axes.plot(at, row, "X", color=INK, markersize=7)
            continue
        axes.plot((back, at), (row, row), color=INK, linewidth=1)
        axes.plot(back, row, "<", color=INK, markersize=5)
        axes.plot(at, row, "^", color=INK, markersize=7)
    if record.kept_at is not None:
        axes.plot(record.kept_at / 1000, len(record.alarms), "D", color=ACCENT, markersize=6)


def _kept(record: TrainingRecord) -> CurvePoint | None:
    """The tick whose generator is kept; of several at as many images seen, in different attempts, the nearest."""
    at = [p for p in record.curve if p.images_seen == record.kept_at and p.kid is not None]
    return min(at, key=lambda p: p.kid or 0.0, default=None)


def _reach(record: TrainingRecord, generated: Value, real: Value) -> tuple[float, float]:
    """Lower and upper end of an axis: from 0, as far as all after the first tenth, before which it is still random."""
    late = [p for p in record.curve if p.images_seen > record.images_seen / 10] or record.curve
    values = [v for p in late for v in (generated(p), real(p)) if v is not None]
    return min([0.0, *values]), 1.1 * max(values, default=0.0) or 1.0


def _health_aloud(record: TrainingRecord) -> str:
    """The figure in one sentence, with the numbers of the kept moment."""
    alarms = ", ".join(f"{alarm.images_seen:,}" for alarm in record.alarms)
    none = "no alarm" if alarm_possible(record) else "no alarm was possible"
    said = f"alarms at {alarms} images seen" if alarms else none
    n = n_compared(record)
    kept = _kept(record)
    if kept is not None:
        shares = [
            f"{name} {percent(value, 0)}{'' if real is None else f' (real against real: {percent(real, 0)})'}"
            for name, value, real in (
                ("coverage", kept.coverage, kept.coverage_real),
                ("diversity, share of real", _over(kept.diversity, kept.diversity_real), None),
            )
            if value is not None
        ]
        said += (
            f"; kept at {kept.images_seen:,}: {', '.join([*shares, f'kernel distance {decimal(kept.kid or 0, 4)}'])}"
        )
    return (
        f"Coverage, diversity and kernel distance over the training of {slices_of(record.diagnosis)}, beside what real "
        f"slices reach{'' if n is None else f' (n = {n:,} each)'}: {said}."
    )


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
    # a clip is named after its place down to the last bit, in which the solver of the layout differs from run to run
    for number, name in enumerate(dict.fromkeys(re.findall(r'<clipPath id="(\w+)"', text))):
        text = text.replace(name, f"clip{zlib.crc32(label.encode()):08x}-{number}")
    for stand_in, variable in VARIABLES.items():
        text = text.replace(stand_in, f"var(--{variable})")
    text = text.replace("'DejaVu Sans'", "system-ui, sans-serif").replace("\n", " ")
    return text.replace("<svg", f'<svg role="img" aria-label="{html.escape(label)}"', 1)
