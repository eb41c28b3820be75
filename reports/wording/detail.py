"""The arms that decide in detail: which finds more tumours at the same false alarms, how sure it is, what it missed."""

from collections.abc import Sequence
from math import isclose
from typing import Final

from data_contracts.results import PRIMARY_ARM, REFERENCE_ARM, ArmDetail, RocPoint, Secondary, Statistics
from reports.language import _, grouped, later, plural
from reports.numbers import between, decimal, percent, points_interval, units
from reports.wording.further import SIGNIFICANT
from reports.wording.names import arm_name

FEW_SUBJECTS: Final = 5  # a bin of fewer says more of these subjects than of the classifier
ROC_LIMITS: Final = later(
    "Each model’s threshold is set on the test slices themselves, so in use both would find somewhat fewer. Bands show "
    "how the curves move with other subjects; they hold point by point, and the luck of training is not in them."
)
CALIBRATION_LIMITS: Final = later(
    "Both diagnoses are weighed alike here. Among patients of whom fewer have a tumour, the same probabilities would "
    "be too high."
)
CONFUSION_LIMITS: Final = later(
    "A slice is called tumour from a probability of 0.5 on. Each slice counts once, as the mean of all models that "
    "tested it, so counts have decimals. Whether a change is more than chance, the intervals above say."
)


def find_detail(details: Sequence[ArmDetail], arm: str) -> ArmDetail | None:
    """The details of one arm, or None where the run did not note them."""
    return next((detail for detail in details if detail.arm == arm), None)


def compared(details: Sequence[ArmDetail]) -> tuple[ArmDetail, ...]:
    """The reference and the synthetic arm, as far as they are there: what figures and sentences compare."""
    found = (find_detail(details, arm) for arm in (REFERENCE_ARM, PRIMARY_ARM))
    return tuple(detail for detail in found if detail is not None)


def roc_reading(details: Sequence[ArmDetail], statistics: Statistics | None) -> str:
    """Which arm finds more tumour slices at the same false alarms; empty where that was not compared.

    Told apart only where the difference stands the correction for all measures that were asked.
    """
    if len(compared(details)) < 2 or statistics is None:
        return ""
    reference, primary = (_at(detail, 1 - statistics.at_specificity) for detail in compared(details))
    tested = next((one for one in statistics.secondaries if one.metric == "sensitivity_at_specificity"), None)
    if reference is None or primary is None or tested is None:
        return ""
    found = _(
        "Where {rate} of the slices without a tumour raise a false alarm, the classifier finds {primary} of tumour "
        "slices with synthetic slices and {reference} without."
    ).format(
        rate=percent(primary.false_alarms, 0),
        primary=percent(primary.sensitivity),
        reference=percent(reference.sensitivity),
    )
    return f"{found} {_told_apart(tested)}"


def _at(detail: ArmDetail, rate: float) -> RocPoint | None:
    return next((point for point in detail.roc if isclose(point.false_alarms, rate, abs_tol=1e-6)), None)


def _told_apart(tested: Secondary) -> str:
    interval = points_interval(tested.difference)
    if tested.p_holm >= SIGNIFICANT:
        return _(
            "That one finds more than the other at the same false alarms is not shown: {interval}, corrected for all "
            "further measures asked."
        ).format(interval=interval)
    if tested.difference.estimate > 0:
        return _("At the same false alarms it finds more tumours with synthetic slices: {interval}.").format(
            interval=interval
        )
    return _("At the same false alarms it finds fewer tumours with synthetic slices: {interval}.").format(
        interval=interval
    )


def calibration_reading(detail: ArmDetail) -> str:
    """Whether one arm's classifier is surer than it is right, or less sure, or whether that cannot be told.

    Told only where the interval leaves out 0 as it is written, so that no one reads a verdict beside an end of 0.0.
    """
    gap = detail.overconfidence
    low, high = (round(100 * end, 1) for end in (gap.low, gap.high))
    if low > 0:
        said = _(
            "{arm}: over-confident. The classifier is on average {confidence} sure of what it calls a slice, and "
            "{right} are right; it is surer than right by {interval}."
        )
    elif high < 0:
        said = _(
            "{arm}: under-confident. The classifier is on average {confidence} sure of what it calls a slice, and "
            "{right} are right; confidence less what is right: {interval}."
        )
    else:
        said = _(
            "{arm}: whether it is over- or under-confident cannot be told. The classifier is on average {confidence} "
            "sure of what it calls a slice, and {right} are right; confidence less what is right: {interval}."
        )
    return said.format(
        arm=arm_name(detail.arm),
        confidence=percent(detail.confidence),
        right=percent(detail.confidence - gap.estimate),
        interval=points_interval(gap),
    )


def confusion_reading(details: Sequence[ArmDetail], *, known: bool) -> str:
    """Missed tumours and false alarms as counts, without and with synthetic slices; empty where one arm is missing."""
    if len(compared(details)) < 2:
        return ""
    reference, primary = (detail.confusion for detail in compared(details))
    return " ".join(
        (
            _missed(reference.missed, primary.missed, of=reference.found + reference.missed).format(
                subjects=units(reference.n_tumour_subjects, known=known),
                reference=mean_count(reference.missed),
                primary=mean_count(primary.missed),
                change=mean_count(abs(primary.missed - reference.missed)),
            ),
            _alarms(reference.false_alarms, primary.false_alarms, of=reference.cleared + reference.false_alarms).format(
                subjects=units(reference.n_no_tumour_subjects, known=known),
                reference=mean_count(reference.false_alarms),
                primary=mean_count(primary.false_alarms),
                change=mean_count(abs(primary.false_alarms - reference.false_alarms)),
            ),
        )
    )


def _missed(reference: float, primary: float, *, of: float) -> str:
    """The sentence of missed tumours, with its places but n still open; of: tumour slices."""
    n = round(of)
    if round(primary - reference, 1) == 0:
        return plural(
            "Of {n} tumour slice of {subjects}, {reference} is missed without synthetic slices and as many with them.",
            "Of {n} tumour slices of {subjects}, {reference} are missed without synthetic slices and as many with "
            "them.",
            n,
        )
    if primary < reference:
        return plural(
            "Of {n} tumour slice of {subjects}, {reference} is missed without synthetic slices and {primary} with "
            "them: {change} fewer.",
            "Of {n} tumour slices of {subjects}, {reference} are missed without synthetic slices and {primary} with "
            "them: {change} fewer.",
            n,
        )
    return plural(
        "Of {n} tumour slice of {subjects}, {reference} is missed without synthetic slices and {primary} with them: "
        "{change} more.",
        "Of {n} tumour slices of {subjects}, {reference} are missed without synthetic slices and {primary} with them: "
        "{change} more.",
        n,
    )


def _alarms(reference: float, primary: float, *, of: float) -> str:
    """The sentence of false alarms, with its places but n still open; of: slices without a tumour."""
    n = round(of)
    if round(primary - reference, 1) == 0:
        return plural(
            "Of {n} slice without a tumour, of {subjects}, {reference} raises a false alarm without synthetic slices "
            "and as many with them.",
            "Of {n} slices without a tumour, of {subjects}, {reference} raise a false alarm without synthetic slices "
            "and as many with them.",
            n,
        )
    if primary < reference:
        return plural(
            "Of {n} slice without a tumour, of {subjects}, {reference} raises a false alarm without synthetic slices "
            "and {primary} with them: {change} fewer.",
            "Of {n} slices without a tumour, of {subjects}, {reference} raise a false alarm without synthetic slices "
            "and {primary} with them: {change} fewer.",
            n,
        )
    return plural(
        "Of {n} slice without a tumour, of {subjects}, {reference} raises a false alarm without synthetic slices and "
        "{primary} with them: {change} more.",
        "Of {n} slices without a tumour, of {subjects}, {reference} raise a false alarm without synthetic slices and "
        "{primary} with them: {change} more.",
        n,
    )


def mean_count(n: float) -> str:
    """A mean of counts: `17`, `18.3`."""
    return grouped(n, 0 if round(n, 1).is_integer() else 1)


def roc_aloud(details: Sequence[ArmDetail]) -> str:
    """What the figure of ROC curves shows, with numbers at three shares of false alarms."""
    curves = "; ".join(
        _("{name}: {points}").format(
            name=arm_name(detail.arm),
            points=", ".join(
                _("{found} ({band}) at {rate}").format(
                    found=percent(point.sensitivity),
                    band=between(decimal(100 * point.low, 1), decimal(100 * point.high, 1)),
                    rate=percent(point.false_alarms, 0),
                )
                for rate in (0.05, 0.1, 0.2)
                if (point := _at(detail, rate)) is not None
            ),
        )
        for detail in compared(details)
    )
    return _(
        "ROC curves: tumour slices found at each share of false alarms among slices without a tumour, with 95 % bands. "
        "{curves}."
    ).format(curves=curves)


def calibration_aloud(details: Sequence[ArmDetail]) -> str:
    """What the figure of calibration curves shows, with the numbers of the lowest and the highest bin."""
    curves = "; ".join(
        _(
            "{name}: of slices given {low} on average, {low_share} show a tumour; of those given {high}, {high_share}"
        ).format(
            name=arm_name(detail.arm),
            low=percent(detail.calibration[0].probability, 0),
            low_share=percent(detail.calibration[0].tumour, 0),
            high=percent(detail.calibration[-1].probability, 0),
            high_share=percent(detail.calibration[-1].tumour, 0),
        )
        for detail in compared(details)
    )
    return _(
        "Calibration curves: share of slices that show a tumour at each probability given, with the number of slices "
        "below. {curves}."
    ).format(curves=curves)
