"""What the arms' probabilities say: ROC and calibration curves of the reference and the synthetic arm."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from data_contracts.results import PRIMARY_ARM, REFERENCE_ARM, ArmDetail, CalibrationBin
from reports.figures.drawing import ACCENT, BAND, CARD, INK, LINE, MUTED, WIDTH, style, svg
from reports.language import _
from reports.wording.detail import FEW_SUBJECTS, calibration_aloud, compared, roc_aloud
from reports.wording.names import arm_name


class Look(NamedTuple):
    """Marker, colour and dashes of an arm, the same in both figures."""

    marker: str
    colour: str
    dashes: str


LOOKS: Final = {REFERENCE_ARM: Look("s", INK, "--"), PRIMARY_ARM: Look("D", ACCENT, "-")}
BAR: Final = 4.2  # per cent of probability: two beside one another fill a bin


def roc(details: Sequence[ArmDetail]) -> str:
    """Tumour slices found over false alarms, in per cent; bands shaded (synthetic arm) and between dots (reference).

    details: with the reference or the synthetic arm among them; others are not drawn.
    """
    with style():
        figure = Figure(figsize=(WIDTH, 3.9), layout="constrained")
        axes = figure.subplots()
        _square(axes)
        for detail in compared(details):
            look = LOOKS[detail.arm]
            rates = [100 * point.false_alarms for point in detail.roc]
            low, found, high = (
                [100 * value for value in curve]
                for curve in zip(*((p.low, p.sensitivity, p.high) for p in detail.roc), strict=True)
            )
            if detail.arm == PRIMARY_ARM:
                axes.fill_between(rates, low, high, color=BAND, linewidth=0, zorder=0.5)
            else:
                for end in (low, high):
                    axes.plot(rates, end, ":", color=look.colour, linewidth=0.8)
            axes.plot(
                rates,
                found,
                look.dashes,
                marker=look.marker,
                color=look.colour,
                markersize=4.5,
                linewidth=1.4,
                label=arm_name(detail.arm),
                clip_on=False,
            )
        axes.set_xlabel(_("false alarms, % of slices without a tumour"))
        axes.set_ylabel(_("tumour slices found, %"))
        figure.legend(loc="outside upper left", ncols=1, handletextpad=0.4, borderaxespad=0)
        return svg(figure, roc_aloud(details))


def calibration(details: Sequence[ArmDetail]) -> str:
    """Share of tumour over the probability given, in per cent, with the slices of each bin as bars below.

    Hollow: a bin of fewer than FEW_SUBJECTS subjects. details: as for `roc`, each with at least one bin.
    """
    with style():
        figure = Figure(figsize=(WIDTH, 4.7), layout="constrained")
        axes, counts = figure.subplots(2, 1, sharex=True, height_ratios=[3.4, 1])
        _square(axes)
        for detail in compared(details):
            look = LOOKS[detail.arm]
            given = [100 * one.probability for one in detail.calibration]
            shown = [100 * one.tumour for one in detail.calibration]
            axes.plot(given, shown, look.dashes, color=look.colour, linewidth=1.4)
            for one, x, y in zip(detail.calibration, given, shown, strict=True):
                face = look.colour if one.n_subjects >= FEW_SUBJECTS else CARD
                axes.plot(x, y, look.marker, color=look.colour, markerfacecolor=face, markersize=5, clip_on=False)
            axes.plot([], [], look.dashes, marker=look.marker, color=look.colour, label=arm_name(detail.arm))
            _bars(counts, detail)
        axes.set_ylabel(_("show a tumour, %"))
        counts.set_ylabel(_("slices"))
        counts.set_xlabel(_("probability of tumour given, %"))
        counts.grid(axis="y", color=LINE, linewidth=0.6)
        figure.legend(loc="outside upper left", ncols=1, handletextpad=0.4, borderaxespad=0)
        return svg(figure, calibration_aloud(details))


def _square(axes: Axes) -> None:
    """From 0 to 100 % both ways, with the diagonal: chance, or probabilities that are just right."""
    axes.plot((0, 100), (0, 100), color=MUTED, linewidth=0.8, linestyle=":")
    axes.set_xlim(0, 100)
    axes.set_ylim(0, 100)
    axes.set_yticks(range(0, 101, 20))
    axes.grid(axis="y", color=LINE, linewidth=0.6)


def _bars(axes: Axes, detail: ArmDetail) -> None:
    """Slices a bin: the reference's hollow bars on the left, the synthetic arm's filled ones on the right."""
    look, filled = LOOKS[detail.arm], detail.arm == PRIMARY_ARM
    axes.bar(
        [_middle(one) + (BAR if filled else -BAR) / 2 for one in detail.calibration],
        [one.n_slices for one in detail.calibration],
        width=BAR - 0.6,
        color=look.colour if filled else CARD,
        edgecolor=look.colour,
        linewidth=1,
    )


def _middle(one: CalibrationBin) -> float:
    """The middle of the bin that holds this mean probability, in per cent."""
    return 10 * min(int(10 * one.probability), 9) + 5
