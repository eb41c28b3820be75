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
    Alarm,
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

NEARLY_ALL: Final = 0.95  # above this the discriminator has all but won and teaches the generator little


def training_reading(record: TrainingRecord, *, known: bool) -> str:
    """How one generator was trained, and where the contest stood at the end."""
    without = " (without those that an alarm went back on)" if record.alarms else ""
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
    n = len(looks(record))
    if not record.alarms:
        return f"The collapse watch raised no alarm in {count(n, 'look', 'looks')}."
    return (
        f"The collapse watch raised {count(len(record.alarms), 'alarm', 'alarms')} in {count(n, 'look', 'looks')}: "
        "a training at fault several looks in a row."
    )


def joint_reading(record: TrainingRecord) -> str:
    """What the generator learned from slices of the other diagnosis; empty where it never did."""
    if record.joint_until is None:
        return ""
    if record.joint_until >= record.images_seen:
        return "One generator was trained on the slices of all diagnoses, and is told which to make."
    return (
        f"Up to {_images(record.joint_until)} it was trained on the slices of all diagnoses, and from there as a copy "
        f"of its own on {slices_of(record.diagnosis)} alone."
    )


def looks(record: TrainingRecord) -> tuple[CurvePoint, ...]:
    """The ticks at which the collapse watch looked."""
    return tuple(point for point in record.curve if point.verdict is not None)


def alarm_readings(record: TrainingRecord) -> tuple[str, ...]:
    """Each alarm in order: when, what was wrong with its number and limit, and what was done."""
    last = len(record.alarms) - 1
    return tuple(
        f"Alarm {i + 1}, at {_images(alarm.images_seen)}: {_broken(alarm)}. "
        f"{_stop(i + 1) if record.stopped and i == last else _return(alarm, record.joint_until)}"
        for i, alarm in enumerate(record.alarms)
    )


def _broken(alarm: Alarm) -> str:
    """One phrase a rule; where several measures broke one rule, that which went farthest beyond its limit."""
    worst: dict[str, AlarmReason] = {}
    for reason in alarm.reasons:
        if reason.rule not in worst or _excess(reason) > _excess(worst[reason.rule]):
            worst[reason.rule] = reason
    return "; ".join(alarm_phrase(reason) for reason in worst.values()) or "no reason was noted"


def _excess(reason: AlarmReason) -> float:
    """How far beyond its limit, as a share of it; below or above is the same."""
    return abs(reason.value - reason.limit) / abs(reason.limit) if reason.limit else abs(reason.value)


def alarm_phrase(reason: AlarmReason) -> str:
    """What a broken rule means, with the measured value and the limit that it went beyond."""
    value, limit = percent(reason.value, 0), percent(reason.limit, 0)
    below, above = f"(alarm below {limit})", f"(alarm above {limit})"
    points_above = f"(alarm above {decimal(100 * reason.limit, 0)})"
    return {
        "repeats": "the generator repeated a few heads: the distance from one of its slices to the nearest other was "
        f"{value} of what it is among equally varied real slices {below}",
        "alike": f"its slices hardly differed from one another, {value} as much as real slices do {below}",
        "uncovered": f"most kinds of real heads were missing: {value} of what real slices cover was covered {below}",
        "fallen": f"its slices lost the variety that they already had, down to {value} of that of real slices {below}",
        "copies": f"slices of patients came out again: {value} of its slices were near-copies {above}",
        "discriminator_wins": "the discriminator was right about nearly everything, so the generator learned nothing "
        f"from it: right on {value} of the images it knew least (alarm from {limit})",
        "discriminator_overfits": "the discriminator knew its training slices by heart: it was right about them "
        f"{decimal(100 * reason.value, 0)} percentage points more often than about real slices it had never seen, "
        f"chance allowed for {points_above}",
    }[reason.rule]


def _return(alarm: Alarm, joint_until: int | None) -> str:
    onward = "more slowly and with stronger augmentation"
    if alarm.return_to is None and joint_until is not None and alarm.images_seen > joint_until:
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
    """The signs in the figure of the watch, only those that are there."""
    returned = len(record.alarms) > record.stopped
    signs = (
        "Triangle and dotted line: alarm, its arrow to where training went on again; thin and dotted: what it went "
        "back on." if returned else "",
        "Cross: alarm at which training was stopped." if record.stopped else "",
        "Diamond: the moment that is kept." if record.kept_at is not None else "",
    )  # fmt: skip
    meaning = (
        "Coverage: share of real slices that have a generated one near them. Diversity: how much two generated slices "
        "differ, beside two real ones; both are better high. KID: kernel distance to real slices, better low; the "
        "random start may lie beyond an axis. "
    )
    return meaning + " ".join(sign for sign in signs if sign)


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
