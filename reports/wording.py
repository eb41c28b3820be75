"""Every text of the report that depends on a number: pure functions from records to sentences.

Each says the direction of its number, its n, and what it does not show. Fractions come in, per cent and
percentage points go out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from data_contracts.manifest import NO_TUMOUR, TUMOUR
from data_contracts.results import (
    PRIMARY_ARM,
    REFERENCE_ARM,
    AlarmReason,
    ArmScores,
    CurvePoint,
    DataFlow,
    Difference,
    Estimate,
    FidelityScores,
    MemorisationScores,
    MetricSet,
    Picture,
    RunSummary,
    ShortcutScores,
    TrainingRecord,
)
from reports.numbers import NBSP, count, count_interval, decimal, percent, points, slices, units

ARM_NAMES: Final = {
    "real": "Real",
    "real+classic": "Real + classic augmentation",
    "real+classic+duplicates": "Real + classic + duplicates",
    "real+classic+synthetic": "Real + classic + synthetic",
    "synthetic_only": "Synthetic only",
}
DIAGNOSIS_NAMES: Final = {TUMOUR: "tumour", NO_TUMOUR: "no tumour"}
REFERENCE_NAMES: Final = {"real+classic": "no added slices", "real+classic+duplicates": "repeated copies"}
LABEL_RULE_NAMES: Final = {
    "mask": "the mask beside the image",
    "folder": "the class folder",
    "assumed": "what the configuration assumes where nothing else tells it",
    "manifest": "the manifest table",
    "participants": "participants.tsv",
    "dicom": "a DICOM element",
}
METRIC_NAMES: Final = {"balanced_accuracy": "balanced accuracy", "auc": "AUC"}


def arm_name(arm: str) -> str:
    """The arm as the page calls it."""
    return ARM_NAMES.get(arm, arm)


def reference_name(arm: str) -> str:
    """What an arm adds to the real slices and their classic augmentation, for a label that must be short."""
    return REFERENCE_NAMES.get(arm, arm_name(arm).lower())


def diagnosis_name(diagnosis: str) -> str:
    """The diagnosis as the page calls it: `no_tumour` is `no tumour`."""
    return DIAGNOSIS_NAMES.get(diagnosis, diagnosis)


def slices_of(diagnosis: str) -> str:
    """`tumour slices`, `no-tumour slices`."""
    return f"{diagnosis_name(diagnosis).replace(' ', '-')} slices"


def find_arm(arms: Sequence[ArmScores], name: str) -> ArmScores | None:
    """The scores of one arm, or None where the run did not train it."""
    return next((arm for arm in arms if arm.arm == name), None)


# --- the verdict ---


def headline(summary: RunSummary) -> str:
    """The verdict as one plain sentence."""
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
    """What the verdict means for the use of the synthetic set."""
    return {
        "gain": _advice_gain(summary.difference_to_duplicates),
        "equivalent": "There is no reason in this result to add the synthetic set to training.",
        "harm": "Do not add this synthetic set to training.",
        "insufficient_evidence": "Do not rely on the synthetic set for training until a larger test has been made.",
    }[summary.verdict]


def _advice_gain(to_duplicates: Difference) -> str:
    if to_duplicates.low > 0:
        return "On this data the synthetic set is worth adding to training. Confirm it on scans of another hospital."
    return "But repeated copies of the real slices may do as well: it is not shown that the synthetic ones are needed."


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
    """The smallest true difference that this study could have seen."""
    effect = decimal(100 * difference.minimum_detectable_effect, 1)
    return (
        f"The smallest true difference this study could have seen is {effect} percentage points "
        "(found in 80 % of repetitions); anything smaller would usually be missed."
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
    """What the counts per 1,000 rest on, and how far to trust their change."""
    difference = summary.difference
    tested = f"{slices(difference.n_slices)} of {units(difference.n_subjects, known=summary.data.subjects_known)}"
    limit = {
        "gain": "The changes are best estimates; the interval of the gain says how sure they are.",
        "equivalent": "Taken together the changes are within what this study calls no difference.",
        "harm": "The changes are best estimates; the interval of the loss says how sure they are.",
        "insufficient_evidence": "The changes may be chance alone.",
    }[summary.verdict]
    return f"Each scan read as one slice; expected from {tested}, 95{NBSP}% interval in brackets. {limit}"


# --- data ---


def data_sentence(data: DataFlow) -> str:
    """What came in and what was used."""
    return (
        f"{count(data.files_found, 'file', 'files')} found; {slices(data.slices_used)} of "
        f"{units(data.subjects, known=data.subjects_known)} used."
    )


def kept_out_sentence(data: DataFlow) -> str:
    """How much did not enter the study, quarantined and left out apart."""
    total = {o: sum(rule.count for rule in data.out if rule.outcome == o) for o in ("quarantined", "left_out")}
    if not any(total.values()):
        return "Nothing was kept out."
    return (
        f"Kept out: {count(total['quarantined'], 'file or slice', 'files or slices')} quarantined as unusable, "
        f"{total['left_out']:,} sound but outside what the study asks for."
    )


def duplicates_found(data: DataFlow) -> str:
    """How many duplicates there were, and what was done about them."""
    exact, near = data.exact_duplicates, data.near_duplicate_pairs
    if exact == near == 0:
        return "No duplicate slices were found."
    return (
        f"{count(exact, 'exact duplicate', 'exact duplicates')} and "
        f"{count(near, 'pair of near-duplicates', 'pairs of near-duplicates')} were found; duplicates were always kept "
        "on the same side of the split, so that no slice is tested on that was learned from."
    )


def review_sentence(data: DataFlow) -> str:
    """How much is used although a person should look at it."""
    total = sum(rule.count for rule in data.review)
    if not total:
        return "No slice is used that its quality control wants a person to look at."
    return (
        f"{count(total, 'scan or slice is', 'scans or slices are')} used although quality control wants a person to "
        "look at them; review.csv in the run folder lists each."
    )


def label_sentence(data: DataFlow) -> str:
    """Where the diagnoses came from."""
    return f"Diagnosis from {' and from '.join(LABEL_RULE_NAMES.get(rule, rule) for rule in data.label_rules)}."


def shortcut_reading(scores: ShortcutScores) -> str:
    """Whether the diagnosis can be told without looking at the brain, with what it means where it can."""
    found = (
        f"{percent(scores.balanced_accuracy.estimate, 0)} balanced accuracy on {slices(scores.n_slices)} held out, "
        f"95{NBSP}% interval {percent(scores.balanced_accuracy.low, 0)} to "
        f"{percent(scores.balanced_accuracy.high, 0)}; shuffled diagnoses reach {percent(scores.chance_high, 0)}, "
        f"guessing 50{NBSP}%"
    )
    if scores.what == "file_facts":
        meaning = (
            "The two diagnoses came by different roads: whatever looks at the raw files can tell them apart without "
            "the brain, so normalisation must hide it."
            if scores.suspected
            else "No shortcut was found in the files; one weaker than what shuffled diagnoses reach would not show."
        )
        return f"From size, format and header alone: {found}. {meaning}"
    meaning = (
        "Even the normalised images give the diagnosis away at their edge: every accuracy on this page may be too high."
        if scores.suspected
        else "No shortcut was found at the edge; one weaker than what shuffled diagnoses reach would not show."
    )
    return f"From corners and border of the normalised images alone: {found}. {meaning}"


def rule_name(rule: str) -> str:
    """A quarantine rule as words: `not_a_head` is `not a head`."""
    return rule.replace("_", " ")


# --- diversity ---


def diversity_reading(scores: FidelityScores) -> str:
    """Coverage, recall and spread of one diagnosis in words, beside held-out real slices."""
    synthetic, real = scores.synthetic, scores.held_out_real
    name = slices_of(scores.diagnosis)
    return (
        f"Synthetic {name} cover {percent(synthetic.coverage, 0)} of the real training slices; held-out real slices "
        f"cover {percent(real.coverage, 0)}. {percent(synthetic.recall, 0)} of the real training slices lie "
        f"within reach of the synthetic ones (held-out real: {percent(real.recall, 0)}). {_precision(synthetic, real)} "
        f"{_spread(synthetic, real)} n = {scores.n:,} slices of each, {count(scores.k, 'neighbour', 'neighbours')}."
    )


def _precision(synthetic: MetricSet, real: MetricSet) -> str:
    return (
        f"{percent(synthetic.precision, 0)} of the synthetic slices look like a training slice "
        f"(held-out real: {percent(real.precision, 0)})."
    )


def _spread(synthetic: MetricSet, real: MetricSet) -> str:
    ratio = f"{decimal(synthetic.spread, 2)} times as varied as the training slices (held-out real: {real.spread:.2f})"
    if synthetic.spread < 0.5 * real.spread:
        return f"They are only {ratio}: the generator repeats itself."
    return f"They are {ratio}."


# --- copies ---


def copies_reading(scores: MemorisationScores) -> str:
    """Near-copies of one diagnosis: how many were refused, and what the rule would say of real slices."""
    if scores.n_generated == 0:
        return f"No {slices_of(scores.diagnosis)} were generated."
    share = percent(scores.n_near_copies / scores.n_generated)
    return (
        f"Of {scores.n_generated:,} generated {slices_of(scores.diagnosis)}, {scores.n_near_copies:,} ({share}) "
        f"{_was(scores.n_near_copies)} too near to a training slice and {scores.n_broken:,} {_was(scores.n_broken)} "
        f"broken; all of these were refused and {scores.n_kept:,} {_was(scores.n_kept)} kept. "
        f"The same rule would call {percent(scores.held_out_real_near_copy_share)} of "
        f"{scores.n_held_out_real:,} held-out real slices near-copies. {_distance(scores)}"
    )


def _was(n: int) -> str:
    return "was" if n == 1 else "were"


def _distance(scores: MemorisationScores) -> str:
    synthetic, real = scores.median_distance_synthetic, scores.median_distance_held_out_real
    where = "nearer to" if synthetic < real else "farther from" if synthetic > real else "just as far from"
    end = "a training slice than a" if where != "just as far from" else "a training slice as a"
    return (
        f"The median synthetic slice lies {where} {end} held-out real one does (relative distance "
        f"{decimal(synthetic, 3)} and {decimal(real, 3)}; 0 is a copy, 1 is no nearer to one patient than to the next)."
    )


# --- training ---

RAISED: Final = ("alarm", "stop")  # verdicts of a tick at which an alarm was raised
SMALLEST_HELD_OUT: Final = 16  # slices; with fewer held out the watch takes the kernel distance to training slices
NEARLY_ALL: Final = 0.95  # above this the discriminator has all but won and teaches the generator little


def training_reading(record: TrainingRecord, *, known: bool) -> str:
    """How one generator was trained, and where the contest stood at the end."""
    without = " (without those that an alarm went back on)" if _went_back(record) else ""
    start = (
        f"Learned from {slices(record.n_slices)} of {units(record.n_subjects, known=known)}, shown "
        f"{_images(record.images_seen)}{without}; {count(record.generator_parameters, 'weight', 'weights')} in "
        f"the generator, {record.discriminator_parameters:,} in the discriminator."
    )
    if not record.curve:
        return f"{start} No curve was recorded."
    last = [point for point in record.curve if point.attempt == record.curve[-1].attempt]
    end = last[-max(1, len(last) // 10) :]  # the last tenth: one tick alone is noise
    accuracy = sum(point.discriminator_accuracy for point in end) / len(end)
    state = (
        f"At the end the discriminator told real from synthetic in {percent(accuracy, 0)} of images (50 % is a draw)"
    )
    alarm = ": it had all but won, and the generator could learn little more." if accuracy >= NEARLY_ALL else "."
    return f"{start} {state}{alarm}"


def _images(n: int) -> str:
    return count(n, "image", "images")


# --- the collapse watch ---


def watch_reading(record: TrainingRecord) -> str:
    """How often the collapse watch looked and how many alarms it raised; or that none looked."""
    if not record.watched:
        return (
            "No collapse watch looked on during this training: whether the generator repeats itself can only be read "
            "from what it made in the end."
        )
    n, own = len(looks(record)), looks(record)[_joint_looks(record) :]
    if not alarm_possible(record):
        return f"The collapse watch looked {count(n, 'time', 'times')}, {_IN_VAIN}"
    said = f"The collapse watch raised no alarm in {count(n, 'look', 'looks')}."
    if record.alarms:
        said = (
            f"The collapse watch raised {count(len(record.alarms), 'alarm', 'alarms')} in "
            f"{count(n, 'look', 'looks')}: a training at fault several looks in a row."
        )
    if _enough(own, record.confirm):
        return said
    of_these = f"Of these, {count(len(own), 'was', 'were')} at the copy that is used"
    return f"{said} {of_these}, {_IN_VAIN}"


_IN_VAIN: Final = "too early or too seldom for an alarm; this says nothing for or against the generator."


def alarm_possible(record: TrainingRecord) -> bool:
    """Whether any look, of this training or of a joint one before it, could have raised an alarm; or it is unknown."""
    first = _joint_looks(record)
    parts = looks(record)[:first], looks(record)[first:]
    return not record.watched or bool(record.alarms) or any(_enough(part, record.confirm) for part in parts)


def _enough(of: Sequence[CurvePoint], confirm: int | None) -> bool:
    """Whether an alarm was raised or could have been: so many looks old enough for one, or it was not noted."""
    if confirm is None or any(point.judged is None or point.verdict in RAISED for point in of):
        return True
    return sum(bool(point.judged) for point in of) >= confirm


def joint_reading(record: TrainingRecord) -> str:
    """What the generator learned from slices of the other diagnosis; empty where it never did."""
    if record.joint_until is None:
        return ""
    if record.joint_until >= record.images_seen:
        measured = " What the collapse watch measured is of all diagnoses together." if record.watched else ""
        return f"One generator was trained on the slices of all diagnoses, and is told which to make.{measured}"
    return (
        f"Up to {_images(record.joint_until)} it was trained on the slices of all diagnoses, and from there as a copy "
        f"of its own on {slices_of(record.diagnosis)} alone."
    )


def looks(record: TrainingRecord) -> tuple[CurvePoint, ...]:
    """The ticks at which the collapse watch looked."""
    return tuple(point for point in record.curve if point.verdict is not None)


def n_compared(record: TrainingRecord) -> int | None:
    """Generated slices, and as many real ones, in a comparison of the watch; None where it was not noted."""
    return next((point.n for point in reversed(looks(record))), None)


def ended_at_alarm(record: TrainingRecord) -> bool:
    """Whether nothing followed the last alarm: the watch stopped the training, or the budget was over."""
    if record.stopped or not record.alarms or not record.curve:
        return record.stopped
    end = record.curve[-1]
    return end.verdict == "alarm" and end.images_seen == record.alarms[-1].images_seen


def _went_back(record: TrainingRecord) -> bool:
    return len(record.alarms) > ended_at_alarm(record)


def _joint_ticks(record: TrainingRecord) -> int:
    """Points of the curve, the first ones, of a joint training that this one is a copy of; 0 where it is none."""
    until = record.joint_until
    if until is None or until >= record.images_seen:
        return 0
    if record.joint_ticks is not None:
        return record.joint_ticks
    return sum(point.images_seen <= until for point in record.curve)


def _joint_looks(record: TrainingRecord) -> int:
    return sum(point.verdict is not None for point in record.curve[: _joint_ticks(record)])


def _raised(record: TrainingRecord, i: int) -> tuple[CurvePoint | None, bool, bool]:
    """The tick of an alarm where there is one, whether a copy of a joint GAN raised it, and whether it ended the joint.

    Both are false in a training that is no copy.
    """
    ticks, until = _joint_ticks(record), record.joint_until
    at = next((k for k, p in enumerate(record.curve) if p.attempt == i and p.verdict in RAISED), None)
    if until is None or until >= record.images_seen:
        return None if at is None else record.curve[at], False, False
    if at is None:
        return None, record.alarms[i].images_seen > until, False
    return record.curve[at], at >= ticks, at == ticks - 1


def alarm_readings(record: TrainingRecord) -> tuple[str, ...]:
    """Each alarm in order: when, what was wrong with its number, limit and n, and what was done."""
    return tuple(
        f"Alarm {i + 1}, at {_images(alarm.images_seen)}: {_broken(record, i)}. {_done(record, i)}"
        for i, alarm in enumerate(record.alarms)
    )


def _broken(record: TrainingRecord, i: int) -> str:
    """One phrase a rule; where several measures broke one rule, that which went farthest beyond its limit."""
    tick, of_copy, _ = _raised(record, i)
    # a joint training holds out its own slices, which the record of its copy does not count
    held_out = record.n_held_out if of_copy or not _joint_ticks(record) else None
    worst: dict[str, AlarmReason] = {}
    for reason in record.alarms[i].reasons:
        if reason.rule not in worst or _excess(reason) > _excess(worst[reason.rule]):
            worst[reason.rule] = reason
    n = None if tick is None else tick.n
    phrases = (alarm_phrase(reason, n=n, n_held_out=held_out) for reason in worst.values())
    return "; ".join(phrases) or "no reason was noted"


def _excess(reason: AlarmReason) -> float:
    """How far beyond its limit, as a share of it; below or above is the same."""
    return abs(reason.value - reason.limit) / abs(reason.limit) if reason.limit else abs(reason.value)


def alarm_phrase(reason: AlarmReason, *, n: int | None = None, n_held_out: int | None = None) -> str:
    """What a broken rule means, with the measured value, the limit that it went beyond, and n where it is known.

    n: generated slices in a comparison with as many real ones; copies are counted among at least as many.
    """
    digits = _digits_apart(100 * reason.value, 100 * reason.limit)
    value, limit = percent(reason.value, digits), percent(reason.limit, digits)
    of = "" if n is None else f"; n{NBSP}={NBSP}{n:,}"
    held_out = f"; n{NBSP}={NBSP}{n_held_out:,} held out" if n_held_out else ""
    below = f"(alarm below {limit}{of})"
    at_least = f"{of} or more" if of else ""
    return {
        "repeats": "the generator repeated a few heads: the distance from one of its slices to the nearest other was "
        f"{value} of what it is among equally varied real slices {below}",
        "alike": f"its slices hardly differed from one another, {value} as much as real slices do {below}",
        "uncovered": f"most kinds of real heads were missing: {value} of what real slices cover was covered {below}",
        "fallen": "its slices differed less, or covered less, than at this training's own best: "
        f"{value} of what real slices reach (alarm below {limit}, a share of that best{of})",
        "copies": f"slices of patients came out again: {value} of its slices were near-copies "
        f"(alarm above {limit}{at_least})",
        "discriminator_wins": "the discriminator was right about nearly everything, so the generator learned nothing "
        f"from it: right on {value} of the images it knew least (alarm from {limit}{held_out or at_least})",
        "discriminator_overfits": "the discriminator knew its training slices by heart: it was right about them "
        f"{decimal(100 * reason.value, digits)} percentage points more often than about real slices it had never "
        f"seen, chance allowed for (alarm above {decimal(100 * reason.limit, digits)}{held_out})",
    }[reason.rule]


def _digits_apart(value: float, limit: float) -> int:
    """As few decimals as tell a value from its limit, three at most; none where they are the same."""
    return next((digits for digits in range(4) if decimal(value, digits) != decimal(limit, digits)), 0)


def _done(record: TrainingRecord, i: int) -> str:
    """What followed an alarm."""
    alarm, (_, of_copy, ended_joint) = record.alarms[i], _raised(record, i)
    onward = "more slowly and with stronger augmentation" if record.augmented else "more slowly"
    if i == len(record.alarms) - 1 and ended_at_alarm(record):
        return _stop(i + 1) if record.stopped else "Training ended there: the budget was over."
    if ended_joint:
        start = "random first weights" if alarm.return_to is None else f"its state at {_images(alarm.return_to)}"
        return f"The training of all diagnoses ended there, and the copy began from {start}."
    if alarm.return_to is None and of_copy:
        return f"No healthy moment had been seen since, so training began again from the joint generator, {onward}."
    if alarm.return_to is None:
        return f"No healthy moment had been seen, so training began anew from another random start, {onward}."
    return f"Training went back to its last healthy moment, at {_images(alarm.return_to)}, and went on {onward}."


def _stop(n: int) -> str:
    return "Training was stopped." if n == 1 else "Training was stopped, for going back had not helped."


def kept_reading(record: TrainingRecord) -> str:
    """Which moment's generator is used; empty where none is recorded."""
    if record.kept_at is None:
        return ""
    if not record.watched:
        return f"The generator is used as it was at {_images(record.kept_at)}."
    which = {
        0: "of all healthy moments",
        1: "no moment was healthy; of the poor ones",
        2: "every moment was at fault; of these",
    }[record.best_wrong]
    return (
        f"The generator is used as it was at {_images(record.kept_at)}: {which} the nearest to real slices of the "
        "training part (kernel distance)."
    )


def health_caption(record: TrainingRecord) -> str:
    """What the figure of the watch measures, at which n, and its signs, only those that are there."""
    ended = "training was stopped" if record.stopped else "the budget was over"
    signs = (
        "Triangle and dotted line: alarm, its arrow to where training went on again; thin and dotted: what it went "
        "back on." if _went_back(record) else "",
        f"Cross: alarm at which {ended}." if ended_at_alarm(record) else "",
        "Diamond: the moment that is kept." if record.kept_at is not None else "",
    )  # fmt: skip
    meaning = (
        "Coverage: share of real slices that have a generated one near them. Diversity: how much two generated slices "
        "differ, beside two real ones; both are better high. KID: kernel distance to real slices, better low; the "
        "random start may lie beyond an axis."
    )
    return " ".join(text for text in (meaning, _compared(record), *signs) if text)


def _compared(record: TrainingRecord) -> str:
    """How many slices the watch compared with how many; empty where it was not noted."""
    n, held_out = n_compared(record), record.n_held_out
    if n is None:
        return ""
    said = f"Compared: n{NBSP}={NBSP}{n:,} generated against as many real slices of the training part"
    if held_out is not None and held_out < SMALLEST_HELD_OUT:
        said += f"; kernel distance to training slices too, for fewer than {SMALLEST_HELD_OUT} were held out"
    elif held_out is not None:
        most = "up to " if held_out > n else ""  # of many held out it takes as many as it has others
        said += f"; kernel distance to {most}{slices(held_out)} held out from the generator"
    before = looks(record)[: _joint_looks(record)]
    if before and before[-1].n is not None and record.joint_until is not None:
        said += (
            f". In the training of all diagnoses, up to {_images(record.joint_until)}: "
            f"n{NBSP}={NBSP}{before[-1].n:,}, generated and real slices of all diagnoses"
        )
    return f"{said}."


def doubt(record: TrainingRecord) -> str:
    """Why the generator is to be distrusted for how it was trained; empty where the watch has nothing against it."""
    name = slices_of(record.diagnosis)
    if record.best_wrong == 2:
        return f"Do not trust the generator of {name}: the watch found it at fault even at the moment that was kept."
    if record.best_wrong == 1:
        return (
            f"Distrust the generator of {name}: even at the moment that was kept its slices were too much alike, or "
            "most kinds of real heads were missing."
        )
    if record.stopped:
        return (
            f"Use the generator of {name} with caution: the watch stopped its training early, and an earlier, healthy "
            "moment was kept."
        )
    return ""


# --- pictures ---


_NOT_ALWAYS_LAST: Final = "The generator that is used may be of an earlier moment than the last."


def still_text(picture: Picture) -> str:
    """What stands in place of a film where nothing may move, as its alternative text."""
    name, n = slices_of(picture.diagnosis), picture.n
    return f"The last moment of the film: {count(n, 'slice', 'slices')} by the generator of {name}."


def picture_text(picture: Picture) -> str:
    """What a picture shows, as its alternative text and caption."""
    name, n = slices_of(picture.diagnosis), picture.n
    if picture.kind == "review":
        shown = name.removesuffix("s") if n == 1 else name
        return f"{n:,} real {shown} that quality control wants a person to look at, those first that may be no head."
    if picture.kind == "training":
        return (
            f"What the generator of {name} made of the same {count(n, 'latent', 'latents')} as training went on: one "
            f"row a moment, the first at the top, the last at the bottom (fold {picture.fold}). {_NOT_ALWAYS_LAST}"
        )
    if picture.kind == "film":
        return (
            f"Film: what the generator of {name} made of the same {count(n, 'latent', 'latents')} as training went on, "
            f"from the first moment to the last, on which it rests (fold {picture.fold}). {_NOT_ALWAYS_LAST}"
        )
    if picture.kind == "nearest_pairs":
        return (
            f"The {count(n, 'pair', 'pairs')} of {name} most alike: left synthetic, right the nearest real training "
            f"slice, most alike first (fold {picture.fold})."
        )
    origin = {"real": "real", "synthetic": "synthetic", "both": "real and synthetic"}[picture.origin]
    shown = slices_of(picture.diagnosis).removesuffix("slices")
    return f"{n:,} {origin} {shown}{'slice' if n == 1 else 'slices'} (fold {picture.fold})."
