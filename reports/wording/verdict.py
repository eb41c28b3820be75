"""The first lines: the verdict, the difference it rests on, and what it means per 1,000 scans."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from data_contracts.results import PRIMARY_ARM, REFERENCE_ARM, ArmScores, Difference, Estimate, RunSummary, Verdict
from reports.numbers import NBSP, count, count_interval, decimal, points, slices, units
from reports.wording.controls import disbelief, failed_controls
from reports.wording.names import METRIC_NAMES, arm_name, find_arm

VERDICT_NAMES: Final[dict[Verdict, str]] = {
    "gain": "Gain",
    "equivalent": "No difference",
    "harm": "Harm",
    "insufficient_evidence": "Insufficient evidence",
}


def verdict_name(summary: RunSummary) -> str:
    """The verdict in a word or two, and that it is not to be believed where a control says so."""
    name = VERDICT_NAMES[summary.verdict]
    return f"{name}, not to be believed" if failed_controls(summary) else name


def headline(summary: RunSummary) -> str:
    """The verdict as one plain sentence; where a control did not come out null, that instead."""
    if failed_controls(summary):
        return "This study is not to be believed: it finds something where there is nothing to find."
    return {
        "gain": "Adding synthetic slices helped: the classifier became more accurate on real scans.",
        "equivalent": "Adding synthetic slices did not help and did not harm: it made no difference that matters.",
        "harm": "Adding synthetic slices did harm: the classifier became less accurate on real scans.",
        "insufficient_evidence": _headline_unsure(summary),
    }[summary.verdict]


def _headline_unsure(summary: RunSummary) -> str:
    if summary.difference.low > 0 and summary.difference_to_duplicates.low <= 0:
        return "Not shown to help: accuracy rose, but perhaps no more than with repeated copies of the real slices."
    return "Not shown to help: this study cannot tell whether adding synthetic slices helps or harms."


def advice(summary: RunSummary) -> str:
    """What the verdict means for the use of the synthetic set, or why it means nothing."""
    if failed_controls(summary):
        return f"{disbelief(summary)} Neither the verdict nor any accuracy on this page can be relied on."
    return {
        "gain": _advice_gain(summary),
        "equivalent": "There is no reason in this result to add the synthetic set to training.",
        "harm": "Do not add this synthetic set to training.",
        "insufficient_evidence": "Do not rely on the synthetic set for training until a larger test has been made.",
    }[summary.verdict]


def _advice_gain(summary: RunSummary) -> str:
    to_paste = summary.difference_to_copy_paste
    if summary.difference_to_duplicates.low <= 0:
        return (
            "But repeated copies of the real slices may do as well: it is not shown that the synthetic ones are needed."
        )
    if to_paste is None or to_paste.low > 0:
        return "On this data the synthetic set is worth adding to training. Confirm it on scans of another hospital."
    if summary.copy_paste is not None and summary.copy_paste.verdict == "gain":
        if to_paste.high < 0:
            return "But copy and paste of real lesions, which needs no network, did better."
        return (
            "But copy and paste of real lesions, which needs no network, helped too and may do as well: it is not "
            "shown that the synthetic slices are needed."
        )
    return (
        "On this data the synthetic set is worth adding to training, but whether it takes a network is open. Confirm "
        "it on scans of another hospital."
    )


def difference_sentence(difference: Difference, *, known: bool) -> str:
    """The difference with unit, interval, n and seeds, in one sentence."""
    metric = METRIC_NAMES.get(difference.metric, difference.metric.replace("_", " "))
    return (
        f"{arm_name(difference.arm)} against {arm_name(difference.reference).lower()}: "
        f"{points(difference.estimate)} percentage points of {metric} "
        f"(95 % interval {points(difference.low)} to {points(difference.high)}), on "
        f"{slices(difference.n_slices)} of {units(difference.n_subjects, known=known)} kept for testing, "
        f"{count(difference.n_seeds, 'training run', 'training runs')} an arm."
    )


def interval_reading(difference: Difference) -> str:
    """Where the interval lies: above or below zero, inside the margin, or open on both sides."""
    margin = f"±{decimal(100 * difference.equivalence_margin, 1)} points"
    small = max(abs(difference.low), abs(difference.high)) <= difference.equivalence_margin
    if difference.low > 0 or difference.high < 0:
        side, change = ("above", "gain") if difference.low > 0 else ("below", "loss")
        but = f", but within {margin}: too small to matter" if small else ""
        return f"The whole interval lies {side} zero, a {change} that chance alone would rarely give{but}."
    if small:
        return f"The whole interval lies within {margin}: a difference too small to matter."
    return "The interval includes zero: a gain, no effect and a loss all remain possible."


def smallest_difference(difference: Difference) -> str:
    """The smallest true difference to one reference that this study could have seen; a gain needs two."""
    if difference.minimum_detectable_effect >= 1:
        return (
            f"No true difference to {arm_name(difference.reference).lower()}, however large, would have been found by "
            "this study in 80 % of repetitions."
        )
    effect = decimal(100 * difference.minimum_detectable_effect, 1)
    return (
        f"The smallest true difference to {arm_name(difference.reference).lower()} this study could have seen is "
        f"{effect} percentage points (found in 80 % of repetitions). A gain needs a second difference as well, to "
        "duplicates, so it takes more to find."
    )


def duplicates_sentence(difference: Difference) -> str:
    """Did the synthetic slices do more than as many repeated copies of real slices?"""
    interval = (
        f"{points(difference.estimate)} points, 95 % interval {points(difference.low)} to {points(difference.high)}"
    )
    if difference.low > 0:
        return f"Synthetic slices did better than as many repeated copies of real slices ({interval})."
    if difference.high < 0:
        return f"Synthetic slices did worse than as many repeated copies of real slices ({interval})."
    return f"Synthetic slices are not shown to do better than as many repeated copies of real slices ({interval})."


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
        _errors("Missed tumours", "per 1,000 scans with a tumour", reference.sensitivity, primary.sensitivity),
        _errors("False alarms", "per 1,000 scans without a tumour", reference.specificity, primary.specificity),
    )


def _errors(event: str, among: str, reference: Estimate, primary: Estimate) -> PerThousand:
    change = _missed(primary.estimate) - _missed(reference.estimate)
    word = "no change" if change == 0 else f"{abs(change):,}{NBSP}{'more' if change > 0 else 'fewer'}"
    return PerThousand(event, among, _missed_interval(reference), _missed_interval(primary), word)


def _missed(share_right: float) -> int:
    return round(1000 * (1 - share_right))


def _missed_interval(right: Estimate) -> str:
    return count_interval(_missed(right.estimate), _missed(right.high), _missed(right.low))


def per_thousand_note(summary: RunSummary) -> str:
    """What the counts per 1,000 rest on, and how far to trust their change: not at all where a control failed."""
    difference = summary.difference
    tested = f"{slices(difference.n_slices)} of {units(difference.n_subjects, known=summary.data.subjects_known)}"
    limit = {
        "gain": "The changes are best estimates; the interval of the gain says how sure they are.",
        "equivalent": "Taken together the changes are within what this study calls no difference.",
        "harm": "The changes are best estimates; the interval of the loss says how sure they are.",
        "insufficient_evidence": "The changes may be chance alone.",
    }[summary.verdict]
    if failed_controls(summary):
        limit = "These counts are not to be believed either."
    return f"Each scan read as one slice; expected from {tested}, 95{NBSP}% interval in brackets. {limit}"
