"""What synthetic slices did to the classifier: the arms, the differences, the doses, the share learned from."""

from collections.abc import Sequence
from math import log2

from matplotlib.patches import Rectangle

from data_contracts.results import (
    PASTED_ARM,
    PRIMARY_ARM,
    PRIMARY_RATIO,
    REFERENCE_ARM,
    Arm,
    ArmScores,
    Difference,
    DosePoint,
    LearningPoint,
)
from reports.figures.drawing import ACCENT, BAND, BELOW_LABEL, INK, MUTED, interval, plot, rows, style, svg, upright
from reports.language import _
from reports.numbers import NBSP, decimal, general, percent, percent_interval, points, points_interval, whole
from reports.wording.further import dose_name
from reports.wording.names import arm_name, reference_name


def forest(arms: Sequence[ArmScores]) -> str:
    """Balanced accuracy of each arm with its 95 % interval, in per cent; a diamond marks the synthetic arm."""
    with style():
        figure, axes = rows(len(arms))
        low = min((arm.balanced_accuracy.low for arm in arms), default=0.5)
        axes.set_xlim(100 * max(0.0, min(0.48, low - 0.02)), 100)
        for row, arm in enumerate(arms):
            score = arm.balanced_accuracy
            axes.vlines(50, row - BELOW_LABEL, row + BELOW_LABEL, color=MUTED, linewidth=1, linestyle=":")
            label = f"{arm_name(arm.arm)}: {percent_interval(score)}"
            marker = {PRIMARY_ARM: "D", REFERENCE_ARM: "s"}.get(arm.arm, "o")
            interval(axes, row, (score.low, score.estimate, score.high), label, marker, strong=arm.arm == PRIMARY_ARM)
        axes.set_xlabel(_("balanced accuracy, % (dotted: chance, 50 %)"))
        spoken = "; ".join(f"{arm_name(a.arm)} {percent_interval(a.balanced_accuracy)}" for a in arms)
        said = _("Forest plot of balanced accuracy with 95 % intervals. {arms}.")
        return svg(figure, said.format(arms=spoken))


def differences(compared: Sequence[Difference]) -> str:
    """Differences in percentage points with 95 % interval, the zero line and the margin of no difference."""
    with style():
        figure, axes = rows(len(compared))
        margin = 100 * max(d.equivalence_margin for d in compared)
        reach = 100 * max(max(abs(d.low), abs(d.high)) for d in compared)
        axes.set_xlim(-1.1 * max(reach, margin), 1.1 * max(reach, margin))
        for row, d in enumerate(compared):
            axes.add_patch(
                Rectangle((-margin, row - BELOW_LABEL), 2 * margin, 2 * BELOW_LABEL, color=BAND, linewidth=0)
            )
            axes.vlines(0, row - BELOW_LABEL, row + BELOW_LABEL, color=INK, linewidth=1)
            label = _("against {reference}: {change} ({low} to {high})").format(  # the axis names the unit
                reference=reference_name(d.reference),
                change=points(d.estimate),
                low=points(d.low),
                high=points(d.high),
            )
            interval(axes, row, (d.low, d.estimate, d.high), label, "D" if row == 0 else "o", strong=row == 0)
        axes.set_xlabel(
            _("{left} worse    percentage points    better {right}").format(
                left="\N{LEFTWARDS ARROW}", right="\N{RIGHTWARDS ARROW}"
            )
        )
        against = _("against {reference} {difference}")
        spoken = "; ".join(
            against.format(reference=reference_name(d.reference), difference=points_interval(d)) for d in compared
        )
        said = _(
            "Difference made by synthetic slices, with 95 % intervals: {differences}. Shaded: no difference, ±{margin} "
            "points."
        )
        return svg(figure, said.format(differences=spoken, margin=decimal(margin, 1)))


def dose(tried: Sequence[DosePoint], *, margin: float) -> str:
    """Difference made at each dose, with 95 % intervals; a diamond marks the dose fixed beforehand.

    tried: at least one dose, each a positive ratio. margin: fraction, half the width of the shaded band of no
    difference.
    """
    with style():
        figure, axes = plot()
        axes.axhspan(-100 * margin, 100 * margin, color=BAND, linewidth=0)
        axes.axhline(0, color=INK, linewidth=1)
        for point in tried:
            decides = point.ratio == PRIMARY_RATIO
            upright(axes, log2(point.ratio), point.difference, "D" if decides else "o", ACCENT if decides else INK)
        axes.set_xticks([log2(point.ratio) for point in tried], [general(point.ratio) for point in tried])
        axes.margins(x=0.1)
        axes.set_xlabel(_("synthetic slices a real one"))
        axes.set_ylabel(_("difference, points"))
        at = _("at {dose} {difference}")
        spoken = "; ".join(
            at.format(dose=dose_name(point.ratio), difference=points_interval(point.difference)) for point in tried
        )
        said = _("Difference made by synthetic slices at each dose, with 95 % intervals: {differences}.")
        return svg(figure, said.format(differences=spoken))


def learning(tried: Sequence[LearningPoint], *, known: bool) -> str:
    """Balanced accuracy with (diamond) and without (square, dashed) synthetic slices over subjects learned from.

    With 95 % intervals; with copy and paste too (circle, dotted) where a point has that arm.
    tried: in order of share, at least one point.
    """
    with style():
        figure, axes = plot()
        aside = 0.01 * max(point.n_subjects for point in tried)  # apart, so that no interval hides the other
        spoken = []
        series: tuple[tuple[Arm, str, str, str, float], ...] = (
            (REFERENCE_ARM, "s", INK, "--", -aside),
            (PASTED_ARM, "o", MUTED, ":", 0.0),
            (PRIMARY_ARM, "D", ACCENT, "-", aside),
        )
        for arm, marker, colour, dashes, shift in series:
            there = [point for point in tried if arm in point.arms]
            if not there:
                continue
            places = [point.n_subjects + shift for point in there]
            estimates = [point.arms[arm] for point in there]
            axes.plot(places, [100 * e.estimate for e in estimates], dashes, color=colour, linewidth=1.2)
            for place, estimate in zip(places, estimates, strict=True):
                upright(axes, place, estimate, marker, colour)
            axes.plot([], [], dashes, marker=marker, color=colour, label=arm_name(arm))
            of = ", ".join(f"{percent(p.share, 0)} {percent_interval(p.arms[arm])}" for p in there)
            spoken.append(f"{arm_name(arm)}: {of}")
        axes.set_xticks(
            [p.n_subjects for p in tried],
            [f"{whole(p.n_subjects)}\n{percent(p.share, 0).replace(NBSP, ' ')}" for p in tried],
        )
        axes.set_xlabel(_("subjects learned from, a fold") if known else _("image groups learned from, a fold"))
        axes.set_ylabel(_("balanced accuracy, %"))
        figure.legend(loc="outside upper left", ncols=1, handletextpad=0.4, borderaxespad=0)
        said = _("Balanced accuracy by share of subjects learned from, 95 % intervals. {arms}.")
        return svg(figure, said.format(arms="; ".join(spoken)))
