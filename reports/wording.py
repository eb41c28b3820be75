"""Every text of the report that depends on a number: pure functions from records to sentences.

Each says the direction of its number, its n, and what it does not show. Fractions come in, per cent and
percentage points go out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from data_contracts.manifest import NO_TUMOUR, TUMOUR
from data_contracts.results import (
    CONTROL_HALF_WIDTH,
    PRIMARY_ARM,
    PRIMARY_EXTRACTOR,
    PRIMARY_RATIO,
    REFERENCE_ARM,
    AlarmReason,
    ArmScores,
    CollapseReason,
    Control,
    CurvePoint,
    DataFlow,
    Difference,
    DiscriminatorScores,
    DosePoint,
    Estimate,
    ExternalTest,
    FidelityScores,
    LearningPoint,
    MemorisationScores,
    MetricSet,
    Picture,
    RunSummary,
    SecondaryMetric,
    SetScores,
    ShortcutScores,
    Statistics,
    TrainingRecord,
    Verdict,
)
from reports.numbers import (
    NBSP,
    count,
    count_interval,
    decimal,
    percent,
    percent_interval,
    plain_interval,
    points,
    points_interval,
    probability,
    signed_interval,
    significant,
    slices,
    units,
)

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


# --- controls ---

CHANCE: Final = 0.5  # balanced accuracy of guessing
CONTROL_NAMES: Final = {
    "permuted_diagnoses": "Diagnoses dealt anew among the training groups",
    "collapsed_generator": "Three synthetic slices of each diagnosis, repeated",
    "border": "Corners and border of the normalised images alone",
}
CONTROL_SEES: Final = {  # what makes it fail, and what it lets pass
    "permuted_diagnoses": (
        "diagnoses of test slices that reach the classifier, or a score that guessing can raise",
        "copies of test slices in training, whose diagnoses are dealt anew too; anything of the synthetic slices",
    ),
    "collapsed_generator": (
        "a comparison that calls anything added a gain",
        "what the generator learned from: three of its slices hardly help, of test slices or not",
    ),
    "border": (
        "a diagnosis that is left outside the head",
        "one that scanner or file left inside the head; anything of the synthetic slices",
    ),
}


def all_controls(summary: RunSummary) -> tuple[Control, ...]:
    """Those that were trained, and what is left at the edge of normalised images: that must be null too."""
    edges = (scores for scores in summary.shortcuts if scores.what == "border")
    return (*summary.controls, *(_edge(scores) for scores in edges))


def _edge(scores: ShortcutScores) -> Control:
    """The audit of corners and border as a control, held to the same width of its interval."""
    found = scores.balanced_accuracy
    wide = (found.high - found.low) / 2 > CONTROL_HALF_WIDTH
    passed = False if scores.suspected else None if wide else True
    return Control(control="border", estimate=found, null=CHANCE, passed=passed)


def failed_controls(summary: RunSummary) -> tuple[Control, ...]:
    """The controls that had to come out null and did not; not those that could not tell."""
    return tuple(control for control in all_controls(summary) if control.passed is False)


def unsure_controls(summary: RunSummary) -> tuple[Control, ...]:
    """The controls that could not tell whether they are null."""
    return tuple(control for control in all_controls(summary) if control.passed is None)


def controls_level(summary: RunSummary) -> Literal["good", "caution", "problem"]:
    """Good only where every control could tell and came out null."""
    return "problem" if failed_controls(summary) else "caution" if unsure_controls(summary) else "good"


def control_result(control: Control) -> str:
    """The result in words: `passed`, `NOT passed`, `could not tell`."""
    return "could not tell" if control.passed is None else "passed" if control.passed else "NOT passed"


def control_value(control: Control) -> str:
    """What a control measured, with its interval and unit."""
    in_points = control.control == "collapsed_generator"
    return points_interval(control.estimate) if in_points else percent_interval(control.estimate)


def control_null(control: Control) -> str:
    """What a control must come out as."""
    if control.control == "collapsed_generator":
        return f"no gain over {points(control.null)}{NBSP}points"
    told = f"{percent(control.null, 0)}, as by guessing"
    return f"{told}, or what shuffled diagnoses reach" if control.control == "border" else told


def disbelief(summary: RunSummary) -> str:
    """Why the figures of the study are not to be believed, control by control; empty where no control failed."""
    reasons = [
        {
            "permuted_diagnoses": "a classifier that learned diagnoses dealt anew at random did not do as guessing "
            f"does: its balanced accuracy is {control_value(control)}, where {percent(control.null, 0)} is guessing",
            "collapsed_generator": "three synthetic slices of each diagnosis, repeated, came out as a gain, although "
            f"they show next to nothing new: {control_value(control)} against {arm_name(REFERENCE_ARM).lower()}",
            "border": "corners and border of the normalised images alone give the diagnosis away: a balanced accuracy "
            f"of {control_value(control)}, where {percent(control.null, 0)} is guessing",
        }[control.control]
        for control in failed_controls(summary)
    ]
    if not reasons:
        return ""
    return f"The figures of this study are not to be believed, because {', and because '.join(reasons)}."


def controls_count(summary: RunSummary) -> str:
    """How many controls did not come out null, where any did not: for a place where the reasons stand elsewhere."""
    failed, n = len(failed_controls(summary)), len(all_controls(summary))
    return f"{failed} of {count(n, 'control', 'controls')} did not come out null." if failed else ""


def unsure_count(summary: RunSummary) -> str:
    """How many controls could not tell, where any could not; it speaks neither for nor against the study."""
    unsure, n = len(unsure_controls(summary)), len(all_controls(summary))
    return f"{unsure} of {count(n, 'control', 'controls')} could not tell." if unsure else ""


def controls_reading(summary: RunSummary) -> str:
    """Whether the controls came out null; what that is worth."""
    if failed_controls(summary):
        return f"{disbelief(summary)} {unsure_count(summary)}".rstrip()
    n, unsure = len(all_controls(summary)), len(unsure_controls(summary))
    if unsure:
        return (
            f"{unsure_count(summary)} Too few groups of a diagnosis were tested, or the interval is wider than "
            f"±{decimal(100 * CONTROL_HALF_WIDTH, 0)} points: it shows neither that the method is sound nor that it is "
            f"not. {n - unsure:,} came out null."
        )
    these = "The control that must come out null did" if n == 1 else f"The {n} controls that must come out null did"
    return f"{these}: no fault that they can see was found; a fault smaller than the intervals would not show."


# --- other ways to ask ---

LOWER_IS_BETTER: Final[frozenset[SecondaryMetric]] = frozenset({"brier"})
SIGNIFICANT: Final = 0.05


def metric_name(metric: SecondaryMetric, statistics: Statistics) -> str:
    """A secondary measure as the page calls it, with the specificity that it is taken at."""
    return {
        "accuracy": "accuracy",
        "auc": "AUC",
        "sensitivity": "sensitivity",
        "specificity": "specificity",
        "sensitivity_at_specificity": f"sensitivity at {percent(statistics.at_specificity, 0)} specificity",
        "brier": "Brier score (lower is better)",
    }[metric]


def secondary_difference(metric: SecondaryMetric, difference: Estimate) -> str:
    """A difference in a secondary measure: in percentage points of shares, without unit of AUC and Brier score."""
    return signed_interval(difference) if metric in ("auc", "brier") else points_interval(difference)


def statistics_reading(statistics: Statistics, difference: Difference) -> str:
    """The primary difference asked in other ways, whether they agree with its interval, and that none decides."""
    p_values = [("sign flips of whole groups", statistics.sign_flip_p)]
    if statistics.nadeau_bengio_p is not None:
        p_values.append(("a corrected t-test over folds and runs", statistics.nadeau_bengio_p))
    asked = ", ".join(f"{name} {probability(p)}" for name, p in p_values)
    beyond = difference.low > 0 or difference.high < 0
    alike = all((p < SIGNIFICANT) == beyond for _, p in p_values)
    agree = (
        "in line with the interval" if alike else "not all in line with the interval, so take the difference with care"
    )
    return (
        "Nothing here decides; the verdict follows from the two differences above alone. "
        f"Asked in other ways: {asked}; {agree}."
    )


def belief_reading(statistics: Statistics, difference: Difference) -> str:
    """How probable a true gain, no difference and a loss are, by the Bayesian test; empty where it was not made."""
    belief = statistics.belief
    if belief is None:
        return ""
    margin = f"{decimal(100 * difference.equivalence_margin, 1)} points"
    return (
        f"Given these runs, a true gain of more than {margin} has {percent(belief.better, 0)} of the belief, no "
        f"difference that matters {percent(belief.equivalent, 0)}, a loss of more than {margin} "
        f"{percent(belief.worse, 0)} (correlated Bayesian t-test)."
    )


def secondaries_reading(statistics: Statistics) -> str:
    """Which of the secondary measures differ after Holm's correction, and which way; empty where there are none."""
    tested = statistics.secondaries
    if not tested:
        return ""
    n = count(len(tested), "further measure", "further measures")
    changed = [
        f"{metric_name(s.metric, statistics).removesuffix(' (lower is better)')} {_way(s.metric, s.difference)}"
        for s in tested
        if s.p_holm < SIGNIFICANT
    ]
    if not changed:
        return f"Of {n}, not one differs by more than chance gives, corrected for asking {len(tested)} times (Holm)."
    return f"Of {n}, corrected for asking {len(tested)} times (Holm), {_differ(len(changed))}: {', '.join(changed)}."


def _differ(n: int) -> str:
    return f"{n} {'differs' if n == 1 else 'differ'}"


def _way(metric: SecondaryMetric, difference: Estimate) -> str:
    return "is better" if (difference.estimate > 0) != (metric in LOWER_IS_BETTER) else "is worse"


def dose_reading(dose: Sequence[DosePoint]) -> str:
    """Which dose has the best estimate, whether it can be told from the others, and that one was fixed beforehand.

    dose: at least one point.
    """
    best = max(dose, key=lambda point: point.difference.estimate)
    apart = max(p.difference.low for p in dose) > min(p.difference.high for p in dose)
    told = (
        "some intervals lie apart, so the dose matters"
        if apart
        else "all intervals overlap, so which dose is best cannot be told"
    )
    return (
        f"The dose that decides, {dose_name(PRIMARY_RATIO)}, was fixed beforehand. The best estimate is that at "
        f"{dose_name(best.ratio)}, {points_interval(best.difference)}; {told}."
    )


def dose_name(ratio: float) -> str:
    """`0.25 synthetic slices a real one`."""
    return f"{ratio:g} synthetic {'slice' if ratio == 1 else 'slices'} a real one"


def learning_reading(learning: Sequence[LearningPoint], *, known: bool) -> str:
    """The difference at the fewest and the most subjects, and whether it changes between them.

    learning: in order of share, at least one point.
    """
    fewest, most = learning[0], learning[-1]

    def at(point: LearningPoint) -> str:
        unit = ("subject", "subjects") if known else ("image group", "image groups")
        return (
            f"with {percent(point.share, 0)} of those in training ({count(round(point.n_subjects), *unit)} a fold) "
            f"{points_interval(point.difference)}"
        )

    if fewest is most:
        return f"The difference made by synthetic slices: {at(most)}."
    if fewest.difference.low > most.difference.high:
        change = "they did more where there was less to learn from"
    elif fewest.difference.high < most.difference.low:
        change = "they did less where there was less to learn from"
    else:
        change = "the intervals overlap, so whether they do more with fewer cannot be told"
    return f"The difference made by synthetic slices: {at(fewest)}, {at(most)}; {change}."


def external_reading(external: ExternalTest, verdict: Verdict) -> str:
    """What the locked external test says, with its own n and unit, and whether it bears out the verdict."""
    d = external.difference
    found = {1: "a gain", -1: "a loss", 0: "neither a gain nor a loss"}[_side(d)]
    borne_out = {"gain": 1, "harm": -1}.get(verdict)
    if borne_out is None:
        meaning = ""
    elif _side(d) == borne_out:
        meaning = " It bears out the verdict."
    elif _side(d) == -borne_out:
        meaning = " It contradicts the verdict."
    else:
        meaning = " It does not bear out the verdict."
    left_out = (
        f" {slices(external.left_out)} of patients or pictures that the study has {_was(external.left_out)} left out."
        if external.left_out
        else ""
    )
    return (
        f"A test set that was locked until the end and opened once in this run: {slices(external.n_slices)} of "
        f"{external_units(external)}, none of which any training met.{left_out} Synthetic slices made "
        f"{points_interval(d)} of difference in balanced accuracy: {found} is shown.{meaning} {_independent(external)}"
    )


def external_units(external: ExternalTest) -> str:
    """What the external set was counted by, which may be another unit than that of the development set."""
    n = external.n_subjects
    if external.subjects_known:
        return units(n, known=True)
    return count(n, "group whose patient is unknown", "groups whose patients are unknown")


def _side(difference: Estimate) -> Literal[-1, 0, 1]:
    """Where the whole interval lies: 1 above zero, -1 below, 0 neither."""
    return 1 if difference.low > 0 else -1 if difference.high < 0 else 0


def _independent(external: ExternalTest) -> str:
    tests = [
        f"{name} {probability(p)}"
        for name, p in (("McNemar’s test of accuracy", external.mcnemar_p), ("DeLong’s test of AUC", external.delong_p))
        if p is not None
    ]
    if not tests:
        return "McNemar’s and DeLong’s tests hold for one slice a known subject only, and were not made."
    return f"Two-sided: {', '.join(tests)}; one slice a subject."


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

SMALLEST_FRECHET: Final = 2000  # slices; below it the bias of the distance is of the size of the distance


def primary_fidelity(fidelity: Sequence[FidelityScores]) -> tuple[FidelityScores, ...]:
    """Those in the feature space that decides, or of the first extractor where that one was not used."""
    names = [scores.extractor for scores in fidelity]
    name = PRIMARY_EXTRACTOR if PRIMARY_EXTRACTOR in names else next(iter(names), "")
    return tuple(scores for scores in fidelity if scores.extractor == name)


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
    return (
        f"They lie {decimal(synthetic.spread, 2)} times as far apart as the training slices do "
        f"(held-out real: {real.spread:.2f})."
    )


_SCALES: Final[dict[str, tuple[float, str, int]]] = {  # factor, unit, fewest decimals
    "coverage": (100, f"{NBSP}%", 0),
    "recall": (100, f"{NBSP}%", 0),
    "duplicate_share": (100, f"{NBSP}%", 1),
    "vendi": (1, "", 0),
    "spread": (1, "", 2),
    "dissimilarity": (1, "", 2),
}


def reason_values(reason: CollapseReason) -> tuple[str, str, str]:
    """Value, limit and what real subsets reach, with as many decimals as tell the value from its limit."""
    factor, unit, fewest = _SCALES[reason.measure]
    digits = _digits_apart(factor * reason.value, factor * reason.limit, fewest)
    value, limit, real = (decimal(factor * x, digits) + unit for x in (reason.value, reason.limit, reason.real))
    return value, limit, real


def collapsed_side(reason: CollapseReason) -> str:
    """On which side of its limit a measure speaks of a collapse."""
    return "above" if reason.measure == "duplicate_share" else "below"


def collapse_phrase(reason: CollapseReason, n: int) -> str:
    """One measure of diversity of n slices, with its limit and what real subsets of as many reach."""
    value, limit, real = reason_values(reason)
    said = {
        "coverage": f"coverage {value}",
        "recall": f"recall {value}",
        "vendi": f"as varied as {value} different slices of {n:,}",
        "spread": f"{value} times as far apart as training slices",
        "duplicate_share": f"{value} all but repeat another",
        "dissimilarity": f"dissimilarity of two slices {value}",
    }[reason.measure]
    return f"{said} (collapse: {collapsed_side(reason)} {limit}; real slices: {real})"


def beyond_limits(scores: FidelityScores) -> str:
    """The measures on the collapsed side of their limits, a phrase each; empty where there are none."""
    return "; ".join(collapse_phrase(r, scores.collapse.n) for r in scores.collapse.reasons if r.beyond)


def collapse_reading(scores: FidelityScores) -> str:
    """Whether the generator lost modes, and by which measures."""
    name, beyond = slices_of(scores.diagnosis), beyond_limits(scores)
    if scores.collapse.mode_collapse:
        why = beyond or "its measures together, none of them beyond its limit alone"
        return f"Mode collapse, the generator of {name} repeats itself: {why}."
    if beyond:
        return f"No mode collapse of {name} was found, but less variety than in real ones: {beyond}."
    return f"No mode collapse of {name} was found."


def collapse_basis(scores: FidelityScores) -> str:
    """Where the limits of the verdict come from, and what it cannot see."""
    verdict = scores.collapse
    said = (
        f"Limits from {count(verdict.n_draws, 'draw', 'draws')} of {verdict.n:,} real slices, whole ones and ones with "
        "modes taken away."
    )
    return said if verdict.mode_collapse else f"{said} A loss too small for them would not show."


def variety_reading(scores: FidelityScores) -> str:
    """How many different slices the set is worth, and how many the generator may know, beside the references."""
    synthetic, n = scores.synthetic, scores.n
    beside = _beside([(name, decimal(s.vendi, 1)) for name, s in references(scores)])
    if synthetic.support is None:
        known = (
            "No two of them are all but alike, so how many different ones the generator may know cannot be told from "
            f"{n:,}."
        )
    else:
        known = (
            f"{percent(synthetic.duplicate_share)} of them all but repeat another (held-out real: "
            f"{percent(scores.held_out_real.duplicate_share)}): the generator may know about "
            f"{round(synthetic.support):,} different slices (birthday estimate)."
        )
    return (
        f"Synthetic {slices_of(scores.diagnosis)} are as varied as {decimal(synthetic.vendi, 1)} different slices of "
        f"{n:,} ({beside}). {known}"
    )


def frechet_reading(scores: FidelityScores) -> str:
    """The Frechet distance with its n and what it may be compared with."""
    beside = _beside([(name, significant(s.frechet)) for name, s in references(scores)])
    few = (
        "too few for a Frechet distance that can be compared elsewhere"
        if scores.n < SMALLEST_FRECHET
        else "compare it only with one of as many slices in the same features"
    )
    return f"Frechet distance {significant(scores.synthetic.frechet)} at n{NBSP}={NBSP}{scores.n:,} ({beside}): {few}."


def references(scores: FidelityScores) -> tuple[tuple[str, SetScores], ...]:
    """What the synthetic set stands beside, all of as many slices, from the best to hope for to the worst."""
    return (
        ("held-out real", scores.held_out_real),
        ("a few repeated", scores.collapsed),
        ("noise", scores.noise),
    )


def _beside(values: Sequence[tuple[str, str]]) -> str:
    return "; ".join(f"{name}: {value}" for name, value in values)


# --- copies ---


def copies_reading(scores: MemorisationScores) -> str:
    """Near-copies of one diagnosis: how many were refused, and what the rule would say of real slices."""
    if scores.n_generated == 0:
        return f"No {slices_of(scores.diagnosis)} were generated."
    share = percent(scores.n_near_copies / scores.n_generated)
    return (
        f"Of {scores.n_generated:,} generated {slices_of(scores.diagnosis)}, {scores.n_near_copies:,} ({share}) "
        f"{_was(scores.n_near_copies)} too near to a training slice and {scores.n_broken:,} {_was(scores.n_broken)} "
        f"broken; all of these were refused and {scores.n_kept:,} {_was(scores.n_kept)} kept. {_moved(scores)}"
        f"The same rule would call {percent(scores.held_out_real_near_copy_share)} of "
        f"{scores.n_held_out_real:,} held-out real slices near-copies. {_distance(scores)}"
    )


def _moved(scores: MemorisationScores) -> str:
    """How many near-copies were found only after moving them; ends with a space, or is empty."""
    n = scores.n_moved_copies
    if n is None or not scores.n_near_copies:
        return ""
    if not n:
        return "No near-copy had to be shifted, scaled or turned to be found. "
    return f"{n:,} of the near-copies {_was(n)} found only by shifting, scaling or turning. "


def feature_copies_reading(scores: MemorisationScores) -> str:
    """Copies and authenticity in features, beside held-out real slices; empty where neither was measured."""
    n, n_real = f"{scores.n_generated:,} generated", f"{scores.n_held_out_real:,} held-out real"
    found = []
    share, real = scores.feature_copy_share, scores.held_out_real_feature_copy_share
    if share is not None and real is not None:
        found.append(
            f"{percent(share)} of {n} {slices_of(scores.diagnosis)} lie nearer to a training slice than slices of "
            f"different subjects almost ever do, {_more(share, real)} among {n_real} ones ({percent(real)})."
        )
    own, real = scores.authenticity, scores.held_out_real_authenticity
    if own is not None and real is not None:
        found.append(
            f"{percent(own, 0)} are authentic, farther from their nearest training slice than that one is from other "
            f"subjects, {_more(own, real)} among the held-out real ones ({percent(real, 0)}); many fewer would speak "
            "of copying."
        )
    if not found:
        return ""
    return f"In features{f' of {scores.extractor}' if scores.extractor else ''}: {' '.join(found)}"


def _more(share: float, real: float) -> str:
    return "more than" if share > real else "fewer than" if share < real else "as many as"


def membership_reading(scores: MemorisationScores) -> str:
    """Can one tell who was in the training part from the synthetic slices alone? Empty where it was not tried."""
    auc = scores.membership_auc
    if auc is None:
        return ""
    found = (
        f"AUC {plain_interval(auc)}, 0.5 is guessing; training slices against {scores.n_held_out_real:,} held-out real "
        f"ones, by their nearest of the synthetic {slices_of(scores.diagnosis)}"
    )
    if auc.low > 0.5:
        return f"One can tell, better than by guessing, who was in the training part: {found}."
    if auc.high < 0.5:
        return (
            f"Held-out slices lie nearer to synthetic ones than training slices do, so no one is given away: {found}."
        )
    return (
        f"This attack could not tell who was in the training part: {found}. An AUC of up to {decimal(auc.high, 2)} is "
        "not ruled out, nor an attack of another kind."
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


def discriminator_reading(scores: DiscriminatorScores) -> str:
    """What the discriminator of the kept generator could tell; "right" is to call synthetic slices synthetic."""
    of = {
        "held_out_real": f"{scores.n_real:,} real slices held out from its training",
        "training": f"{scores.n_real:,} real slices that it learned from, which it may know by heart,",
    }[scores.on]
    return (
        f"At the moment that is kept the discriminator was right on {percent(scores.accuracy, 0)} of slices "
        f"(error rate {percent(scores.error_rate, 0)}; 50{NBSP}% is a draw): it called "
        f"{percent(scores.sensitivity, 0)} of {scores.n_synthetic:,} synthetic {slices_of(scores.diagnosis)} synthetic "
        "(sensitivity) and "
        f"{percent(scores.specificity, 0)} of {of} real (specificity). Its threshold is the middle between its mean "
        "answers to training slices and to these synthetic ones."
    )


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


def _digits_apart(value: float, limit: float, fewest: int = 0) -> int:
    """As few decimals, from `fewest` on, as tell a value from its limit, three more at most; `fewest` if none does."""
    tried = range(fewest, fewest + 4)
    return next((digits for digits in tried if decimal(value, digits) != decimal(limit, digits)), fewest)


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
