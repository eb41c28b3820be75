"""The first lines: the verdict, the difference it rests on, and what it means per 1,000 scans."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from data_contracts.results import PRIMARY_ARM, REFERENCE_ARM, ArmScores, Difference, Estimate, RunSummary, Verdict
from reports.language import _, later, plural
from reports.numbers import (
    count_interval,
    decimal,
    percent,
    points,
    slices,
    units,
)
from reports.settings import number
from reports.wording.controls import disbelief, failed_controls
from reports.wording.names import arm_inside, arm_name, find_arm, metric_words

VERDICT_NAMES: Final[dict[Verdict, str]] = {
    "gain": later("Gain"),
    "equivalent": later("No difference"),
    "harm": later("Harm"),
    "insufficient_evidence": later("Insufficient evidence"),
}


def verdict_name(summary: RunSummary) -> str:
    """The verdict in a word or two, and that it is not to be believed where a control says so."""
    name = _(VERDICT_NAMES[summary.verdict])
    return _("{verdict}, not to be believed").format(verdict=name) if failed_controls(summary) else name


def headline(summary: RunSummary) -> str:
    """The verdict as one plain sentence; where a control did not come out null, that instead."""
    if failed_controls(summary):
        return _("This study is not to be believed: it finds something where there is nothing to find.")
    return {
        "gain": _("Adding synthetic slices helped: the classifier became more accurate on real scans."),
        "equivalent": _("Adding synthetic slices did not help and did not harm: it made no difference that matters."),
        "harm": _("Adding synthetic slices did harm: the classifier became less accurate on real scans."),
        "insufficient_evidence": _headline_unsure(summary),
    }[summary.verdict]


def _headline_unsure(summary: RunSummary) -> str:
    if summary.difference.low > 0 and summary.difference_to_duplicates.low <= 0:
        return _("Not shown to help: accuracy rose, but perhaps no more than with repeated copies of the real slices.")
    return _("Not shown to help: this study cannot tell whether adding synthetic slices helps or harms.")


def advice(summary: RunSummary) -> str:
    """What the verdict means for the use of the synthetic set, or why it means nothing."""
    if failed_controls(summary):
        return _("{reasons} Neither the verdict nor any accuracy on this page can be relied on.").format(
            reasons=disbelief(summary)
        )
    return {
        "gain": _advice_gain(summary),
        "equivalent": _("There is no reason in this result to add the synthetic set to training."),
        "harm": _("Do not add this synthetic set to training."),
        "insufficient_evidence": _("Do not rely on the synthetic set for training until a larger test has been made."),
    }[summary.verdict]


def few_reading(summary: RunSummary) -> str:
    """That the study was told to learn from a few drawn subjects, which the difference is of; empty where from all."""
    few = number(summary, "split", "subjects")
    if few is None:
        return ""
    return _(
        "Every network learned from only {units}, drawn by lot: with more to learn from, the change may be another."
    ).format(units=units(round(few), known=summary.data.subjects_known))


def _advice_gain(summary: RunSummary) -> str:
    to_paste = summary.difference_to_copy_paste
    if summary.difference_to_duplicates.low <= 0:
        return _(
            "But repeated copies of the real slices may do as well: it is not shown that the synthetic ones are needed."
        )
    if to_paste is None or to_paste.low > 0:
        return _("On this data the synthetic set is worth adding to training. Confirm it on scans of another hospital.")
    if summary.copy_paste is not None and summary.copy_paste.verdict == "gain":
        if to_paste.high < 0:
            return _("But copy and paste of real lesions, which needs no network, did better.")
        return _(
            "But copy and paste of real lesions, which needs no network, helped too and may do as well: it is not "
            "shown that the synthetic slices are needed."
        )
    return _(
        "On this data the synthetic set is worth adding to training, but whether it takes a network is open. Confirm "
        "it on scans of another hospital."
    )


def difference_sentence(difference: Difference, *, known: bool) -> str:
    """The difference with unit, interval, n and seeds, in one sentence."""
    return _(
        "{arm} against {reference}: {change} percentage points of {measure} (95 % interval {low} to {high}), on "
        "{slices} of {units} kept for testing, {runs} an arm."
    ).format(
        arm=arm_name(difference.arm),
        reference=arm_inside(difference.reference),
        change=points(difference.estimate),
        measure=metric_words(difference.metric),
        low=points(difference.low),
        high=points(difference.high),
        slices=slices(difference.n_slices),
        units=units(difference.n_subjects, known=known),
        runs=plural("{n} training run", "{n} training runs", difference.n_seeds),
    )


def interval_reading(difference: Difference) -> str:
    """Where the interval lies: above or below zero, inside the margin, or open on both sides."""
    margin = decimal(100 * difference.equivalence_margin, 1)
    small = max(abs(difference.low), abs(difference.high)) <= difference.equivalence_margin
    if small and difference.low > 0:
        return _(
            "The whole interval lies above zero, a gain that chance alone would rarely give, but within "
            "±{margin} points: too small to matter."
        ).format(margin=margin)
    if small and difference.high < 0:
        return _(
            "The whole interval lies below zero, a loss that chance alone would rarely give, but within "
            "±{margin} points: too small to matter."
        ).format(margin=margin)
    if difference.low > 0:
        return _("The whole interval lies above zero, a gain that chance alone would rarely give.")
    if difference.high < 0:
        return _("The whole interval lies below zero, a loss that chance alone would rarely give.")
    if small:
        return _("The whole interval lies within ±{margin} points: a difference too small to matter.").format(
            margin=margin
        )
    return _("The interval includes zero: a gain, no effect and a loss all remain possible.")


def smallest_difference(difference: Difference) -> str:
    """The smallest true difference to one reference that this study could have seen; a gain needs two."""
    reference = arm_inside(difference.reference)
    if difference.minimum_detectable_effect >= 1:
        return _(
            "No true difference to {reference}, however large, would have been found by this study in 80 % of "
            "repetitions."
        ).format(reference=reference)
    return _(
        "The smallest true difference to {reference} this study could have seen is {effect} percentage points (found "
        "in 80 % of repetitions). A gain needs a second difference as well, to duplicates, so it takes more to find."
    ).format(reference=reference, effect=decimal(100 * difference.minimum_detectable_effect, 1))


def duplicates_sentence(difference: Difference) -> str:
    """Did the synthetic slices do more than as many repeated copies of real slices?"""
    interval = _("{change} points, 95 % interval {low} to {high}").format(
        change=points(difference.estimate), low=points(difference.low), high=points(difference.high)
    )
    if difference.low > 0:
        said = _("Synthetic slices did better than as many repeated copies of real slices ({interval}).")
    elif difference.high < 0:
        said = _("Synthetic slices did worse than as many repeated copies of real slices ({interval}).")
    else:
        said = _(
            "Synthetic slices are not shown to do better than as many repeated copies of real slices ({interval})."
        )
    return said.format(interval=interval)


@dataclass(frozen=True)
class PerThousand:
    """One kind of error in 1,000 scans, in the two arms that decide; every field is a text with its unit or n."""

    event: str
    among: str
    reference: str
    primary: str
    change: str


def per_thousand(arms: Sequence[ArmScores]) -> tuple[PerThousand, ...]:
    """Missed tumours and false alarms per 1,000 scans; empty where one of the two arms is missing.

    Counted apart, per 1,000 scans with and 1,000 without a tumour, so that no prevalence need be assumed.
    """
    reference, primary = find_arm(arms, REFERENCE_ARM), find_arm(arms, PRIMARY_ARM)
    if reference is None or primary is None:
        return ()
    return (
        _errors(_("Missed tumours"), _("per 1,000 scans with a tumour"), reference.sensitivity, primary.sensitivity),
        _errors(_("False alarms"), _("per 1,000 scans without a tumour"), reference.specificity, primary.specificity),
    )


def _errors(event: str, among: str, reference: Estimate, primary: Estimate) -> PerThousand:
    change = _missed(primary.estimate) - _missed(reference.estimate)
    more, fewer = plural("{n} more", "{n} more", abs(change)), plural("{n} fewer", "{n} fewer", abs(change))
    word = _("no change") if change == 0 else more if change > 0 else fewer
    return PerThousand(event, among, _missed_interval(reference), _missed_interval(primary), word)


def _missed(share_right: float) -> int:
    return round(1000 * (1 - share_right))


def _missed_interval(right: Estimate) -> str:
    return count_interval(_missed(right.estimate), _missed(right.high), _missed(right.low))


def per_thousand_note(summary: RunSummary) -> str:
    """What the counts per 1,000 rest on, and how far to trust their change: not at all where a control failed."""
    difference = summary.difference
    limit = {
        "gain": _("The changes are best estimates; the interval of the gain says how sure they are."),
        "equivalent": _("Taken together the changes are within what this study calls no difference."),
        "harm": _("The changes are best estimates; the interval of the loss says how sure they are."),
        "insufficient_evidence": _("The changes may be chance alone."),
    }[summary.verdict]
    if failed_controls(summary):
        limit = _("These counts are not to be believed either.")
    said = _("Each scan read as one slice; expected from {slices} of {units}, {share} interval in brackets. {limit}")
    return said.format(
        slices=slices(difference.n_slices),
        units=units(difference.n_subjects, known=summary.data.subjects_known),
        share=percent(0.95, 0),
        limit=limit,
    )
