"""The tables of the report: pure functions from records to rows of text, every number with its unit and its n."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, get_args

from data_contracts.machine import MachineRecord
from data_contracts.results import (
    PASTED_ARM,
    PRIMARY_RATIO,
    Arm,
    ArmScores,
    CollapseVerdict,
    Control,
    DataFlow,
    Difference,
    DiscriminatorScores,
    DosePoint,
    Estimate,
    FidelityScores,
    LearningPoint,
    MemorisationScores,
    SetScores,
    ShortcutScores,
    Statistics,
    TrainingRecord,
    TransferScores,
    Way,
    WayTried,
)
from reports.language import _
from reports.numbers import (
    NBSP,
    count,
    decimal,
    percent,
    percent_interval,
    plain_interval,
    points,
    points_interval,
    probability,
    significant,
    slices,
    units,
)
from reports.wording.controls import CONTROL_NAMES, CONTROL_SEES, control_null, control_result, control_value
from reports.wording.copies import copy_rate, of_regions
from reports.wording.data import rule_name
from reports.wording.diversity import collapsed_side, reason_values, references
from reports.wording.further import metric_name, secondary_difference
from reports.wording.machine import stage_rows
from reports.wording.names import arm_name, diagnosis_name, maker
from reports.wording.transfer import sharpness
from reports.wording.verdict import PerThousand
from reports.wording.watch import alarm_possible, looks
from reports.wording.ways import WAY_NAMES


@dataclass(frozen=True)
class Table:
    """A caption, column heads, and rows of as many cells; the first cell of a row names it."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def arms_table(arms: Sequence[ArmScores], difference: Difference, *, known: bool) -> Table:
    """All measures of all arms on the same real test slices."""
    n = f"n = {slices(difference.n_slices)} of {units(difference.n_subjects, known=known)}"
    rows = tuple(
        (
            arm_name(arm.arm),
            f"{slices(arm.n_real)} + {count(arm.n_added, 'added', 'added')}",
            f"{arm.n_seeds:,}",
            percent_interval(arm.balanced_accuracy),
            percent_interval(arm.accuracy),
            plain_interval(arm.auc),
            percent_interval(arm.sensitivity),
            percent_interval(arm.specificity),
        )
        for arm in arms
    )
    columns = (
        "Arm",
        "Trained on, a fold",
        "Runs",
        "Balanced accuracy",
        "Accuracy",
        "AUC",
        "Sensitivity",
        "Specificity",
    )
    return Table(f"Every arm on the same real test slices: mean and 95 % interval; {n}.", columns, rows)


def further_table(arms: Sequence[ArmScores], statistics: Statistics | None) -> Table | None:
    """The further measures that any arm has, a column each; None where no arm has one."""
    at, prevalence = (
        ("fixed", "stated prevalence")
        if statistics is None
        else (percent(statistics.at_specificity, 0), f"prevalence {percent(statistics.prevalence, 0)}")
    )
    possible = {
        f"Sensitivity at {at} specificity": ("sensitivity_at_specificity", percent_interval),
        f"PPV at {prevalence}": ("ppv", percent_interval),
        f"NPV at {prevalence}": ("npv", percent_interval),
        "Brier score": ("brier", plain_interval),
        "Calibration error": ("calibration_error", plain_interval),
    }
    measured = {
        column: [(getattr(arm, name), written) for arm in arms]
        for column, (name, written) in possible.items()
        if any(getattr(arm, name) is not None for arm in arms)
    }
    if not measured:
        return None
    rows = tuple(
        (arm_name(arm.arm), *(_or_dash(*cells[i]) for cells in measured.values())) for i, arm in enumerate(arms)
    )
    caption = (
        "Further measures of the same arms, mean and 95 % interval. Brier score and calibration error: better low; "
        "a Brier score of 0.25 says nothing."
    )
    return Table(caption, ("Arm", *measured), rows)


def _or_dash(value: Estimate | None, written: Callable[[Estimate], str]) -> str:
    return "–" if value is None else written(value)


def controls_table(controls: Sequence[Control]) -> Table:
    """What had to come out null, whether it did, and what it can see."""
    rows = tuple(
        (CONTROL_NAMES[c.control], control_value(c), control_null(c), control_result(c), *CONTROL_SEES[c.control])
        for c in controls
    )
    columns = ("Control", "Measured, 95 % interval", "Must come out as", "Result", "It sees", "It does not see")
    caption = (
        "Controls: what must come out null, or the figures are not to be believed. No control sees a generator that "
        "learned from test slices: that is kept out by the split, and an exact test slice among synthetic ones ends "
        "the run."
    )
    return Table(caption, columns, rows)


def statistics_table(statistics: Statistics, difference: Difference) -> Table:
    """The primary difference asked in other ways."""
    margin = f"{decimal(100 * difference.equivalence_margin, 1)} points"
    rows = [("Sign flips of whole groups, two-sided", probability(statistics.sign_flip_p))]
    if statistics.nadeau_bengio_p is not None:
        rows.append(("Corrected t-test over folds and runs, two-sided", probability(statistics.nadeau_bengio_p)))
    if statistics.belief is not None:
        rows += [
            (f"Belief in a gain of more than {margin}", percent(statistics.belief.better, 0)),
            (f"Belief in a difference within ±{margin}", percent(statistics.belief.equivalent, 0)),
            (f"Belief in a loss of more than {margin}", percent(statistics.belief.worse, 0)),
        ]
    return Table("Other ways to ask for the first difference. They do not decide.", ("Asked by", "Answer"), tuple(rows))


def secondaries_table(statistics: Statistics) -> Table:
    """Further measures, with synthetic slices minus without, and their p values."""
    rows = tuple(
        (
            metric_name(s.metric, statistics),
            secondary_difference(s.metric, s.difference),
            probability(s.p),
            probability(s.p_holm),
        )
        for s in statistics.secondaries
    )
    columns = ("Measure", "Difference, 95 % interval", "By itself", f"Corrected for {len(rows)} (Holm)")
    return Table("Further measures, with synthetic slices minus without. They do not decide.", columns, rows)


def dose_table(dose: Sequence[DosePoint]) -> Table:
    """Accuracy and difference at each dose."""
    rows = tuple(
        (
            f"{point.ratio:g}{' (decides)' if point.ratio == PRIMARY_RATIO else ''}",
            slices(point.n_added),
            percent_interval(point.balanced_accuracy),
            points_interval(point.difference),
        )
        for point in dose
    )
    columns = ("Synthetic slices a real one", "Added, a fold", "Balanced accuracy", "Difference to none added")
    return Table("How much was added: mean and 95 % interval on the same real test slices.", columns, rows)


def learning_table(learning: Sequence[LearningPoint], *, known: bool) -> Table:
    """Balanced accuracy of the arms by the share of subjects that everything learned from."""
    arms = [arm for arm in get_args(Arm) if any(arm in point.arms for point in learning)]
    rows = tuple(
        (
            percent(point.share, 0),
            f"{point.n_subjects:,.0f}",
            *("–" if arm not in point.arms else percent_interval(point.arms[arm]) for arm in arms),
            points_interval(point.difference),
        )
        for point in learning
    )
    unit = "Subjects" if known else "Image groups"
    columns = ("Share learned from", f"{unit}, a fold", *(arm_name(arm) for arm in arms), "Difference made")
    return Table("Learned from fewer: balanced accuracy on the same real test slices.", columns, rows)


def differences_table(compared: Sequence[Difference], *, known: bool) -> Table:
    """The differences that decide, with what the study could have seen."""
    rows = tuple(
        (
            f"{arm_name(d.arm)} − {arm_name(d.reference).lower()}",
            f"{points(d.estimate)} points",
            f"{points(d.low)} to {points(d.high)} points",
            f"{slices(d.n_slices)} of {units(d.n_subjects, known=known)}, {count(d.n_seeds, 'run', 'runs')} an arm",
            f"±{decimal(100 * d.equivalence_margin, 1)} points",
            f"{decimal(100 * d.minimum_detectable_effect, 1)} points" if d.minimum_detectable_effect < 1 else "none",
        )
        for d in compared
    )
    columns = ("Difference", "Estimate", "95 % interval", "n", "Called no difference", "Smallest it could see")
    pasted = ", and that to copy and paste" if any(d.reference == PASTED_ARM for d in compared) else ""
    return Table(f"The two differences that decide{pasted}, in percentage points.", columns, rows)


def fidelity_table(fidelity: Sequence[FidelityScores]) -> Table:
    """How near to the training slices: synthetic slices and their references of the same n, a row each."""
    rows = tuple(
        (
            *_of(scores, origin),
            percent(metrics.precision, 0),
            percent(metrics.recall, 0),
            decimal(metrics.density, 2),
            percent(metrics.coverage, 0),
            f"{decimal(metrics.kid, 4)} ± {decimal(metrics.kid_standard_error, 4)}",
            significant(metrics.frechet),
            percent(metrics.different_bins, 0),
        )
        for scores in fidelity
        for origin, metrics in _sets(scores)
    )
    columns = (
        "Slices", "Fold", "Features", "n", "Precision", "Recall", "Density", "Coverage", "KID", "Frechet distance",
        "Bins that differ",
    )  # fmt: skip
    k = sorted({scores.k for scores in fidelity})
    caption = (
        "Likeness to the same real training slices. KID ± standard error and Frechet distance: lower is nearer; "
        f"density is 1 where as in training; k = {', '.join(map(str, k))} neighbours."
    )
    return Table(caption, columns, rows)


def variety_table(fidelity: Sequence[FidelityScores], *, painted: bool = False) -> Table:
    """How varied within themselves: synthetic slices and their references of the same n, a row each.

    painted: without how many a generator may know, which repeats of given heads do not tell.
    """
    rows = tuple(
        (
            *_of(scores, origin),
            decimal(metrics.vendi, 1),
            decimal(metrics.spread, 2),
            "–" if metrics.dissimilarity is None else decimal(metrics.dissimilarity, 3),
            percent(metrics.duplicate_share),
            *(() if painted else ("–" if metrics.support is None else f"{metrics.support:,.0f}",)),
        )
        for scores in fidelity
        for origin, metrics in _sets(scores)
    )
    columns = (
        "Slices", "Fold", "Features", "n", "As varied as so many different (Vendi)", "Spread", "Dissimilarity of two",
        "All but repeat another", *(() if painted else ("Different slices it may know",)),
    )  # fmt: skip
    judged = " of whole heads." if painted else "; all are better high, but for repeats."
    return Table(f"Variety within each set{judged}", columns, rows)


MEASURE_COLUMNS: Final = {
    "coverage": "Coverage",
    "recall": "Recall",
    "vendi": "Vendi",
    "spread": "Spread",
    "duplicate_share": "All but repeat another",
    "dissimilarity": "Dissimilarity of two",
}


def collapse_table(fidelity: Sequence[FidelityScores]) -> Table:
    """Each measure of diversity beside the limit that subsets of real slices set for it, a row a set."""
    measures = [m for m in MEASURE_COLUMNS if any(r.measure == m for s in fidelity for r in s.collapse.reasons)]
    rows = tuple(
        (
            diagnosis_name(scores.diagnosis),
            str(scores.fold),
            scores.extractor,
            f"{scores.collapse.n:,}",
            "mode collapse" if scores.collapse.mode_collapse else "none found",
            *(_beside_limit(scores.collapse, measure) for measure in measures),
        )
        for scores in fidelity
    )
    columns = ("Synthetic slices", "Fold", "Features", "n", "Mode collapse", *(MEASURE_COLUMNS[m] for m in measures))
    caption = (
        "Mode collapse. In brackets, from subsets of as many real slices: on which side of its limit a measure speaks "
        "of a collapse, and what they reach (median)."
    )
    return Table(caption, columns, rows)


def _beside_limit(verdict: CollapseVerdict, measure: str) -> str:
    reason = next((reason for reason in verdict.reasons if reason.measure == measure), None)
    if reason is None:
        return "–"
    value, limit, real = reason_values(reason)
    if reason.limit <= 0 and collapsed_side(reason) == "below":  # real subsets of this size scatter down to nothing
        return f"{value} (no limit at this n; real{NBSP}{real})"
    return f"{value}{', beyond' if reason.beyond else ''} ({collapsed_side(reason)}{NBSP}{limit}; real{NBSP}{real})"


def _sets(scores: FidelityScores) -> tuple[tuple[str, SetScores], ...]:
    return (("synthetic", scores.synthetic), *references(scores))


def _of(scores: FidelityScores, origin: str) -> tuple[str, ...]:
    return f"{diagnosis_name(scores.diagnosis)}, {origin}", str(scores.fold), scores.extractor, f"{scores.n:,}"


def memorisation_table(memorisation: Sequence[MemorisationScores]) -> Table:
    """What the screen refused, and distances beside those of held-out real slices."""
    painted = any(of_regions(scores) for scores in memorisation)
    held_out = "regions of held-out real" if painted else "held-out real"
    rows = tuple(
        (
            diagnosis_name(scores.diagnosis),
            str(scores.fold),
            f"{scores.n_generated:,}",
            f"{scores.n_near_copies:,}",
            f"{scores.n_broken:,}",
            f"{scores.n_kept:,}",
            f"{percent(scores.held_out_real_near_copy_share)} of {scores.n_held_out_real:,}",
            decimal(scores.threshold, 3),
            decimal(scores.median_distance_synthetic, 3),
            decimal(scores.median_distance_held_out_real, 3),
            *((_outside(scores),) if painted else ()),
        )
        for scores in memorisation
    )
    columns = (
        "Slices", "Fold", "Generated, n", "Near-copies refused, n", "Broken refused, n", "Kept, n",
        f"{held_out[0].upper()}{held_out[1:]} by the same rule", "Near-copy below",
        "Median distance, synthetic", f"Median distance, {held_out}",
        *(("Outside the painted region, copy rate",) if painted else ()),
    )  # fmt: skip
    caption = (
        f"{'Inside the painted region alone. ' if painted else ''}Distance to the nearest training slice, relative to "
        "the next patient’s: 0 is a copy, "
        "1 is no nearer to one patient than to the next."
    )
    return Table(caption, columns, rows)


def _outside(scores: MemorisationScores) -> str:
    """How many slices equal their source outside of the painted region, as a rate."""
    return "–" if scores.outside_copy_share is None else copy_rate(scores.outside_copy_share)


def traces_table(memorisation: Sequence[MemorisationScores]) -> Table | None:
    """Copies that pixels alone do not show, beside held-out real slices; None where nothing of it was measured."""
    cells = [
        (
            "–" if scores.n_moved_copies is None else f"{scores.n_moved_copies:,} of {scores.n_near_copies:,}",
            *_shares(scores.feature_copy_share, scores.held_out_real_feature_copy_share, digits=1),
            *_shares(scores.authenticity, scores.held_out_real_authenticity, digits=0),
            _or_dash(scores.membership_auc, plain_interval),
        )
        for scores in memorisation
    ]
    if all(cell == "–" for row in cells for cell in row):
        return None
    rows = tuple(
        (
            diagnosis_name(scores.diagnosis),
            str(scores.fold),
            scores.extractor or "–",
            f"{scores.n_generated:,} and {scores.n_held_out_real:,}",
            *row,
        )
        for scores, row in zip(memorisation, cells, strict=True)
    )
    columns = (
        "Slices", "Fold", "Features", "n, synthetic and held-out real", "Near-copies found only by moving",
        "Copies in features, synthetic", "Copies in features, held-out real", "Authentic, synthetic",
        "Authentic, held-out real",
        "Membership attack, AUC",
    )  # fmt: skip
    return Table("Copies that pixels alone do not show, before the screen.", columns, rows)


def _shares(share: float | None, real: float | None, *, digits: int) -> tuple[str, str]:
    first, second = ("–" if value is None else percent(value, digits) for value in (share, real))
    return first, second


def discriminators_table(discriminators: Sequence[DiscriminatorScores]) -> Table:
    """What the discriminator of each kept generator could tell."""
    rows = tuple(
        (
            diagnosis_name(scores.diagnosis),
            str(scores.fold),
            f"{scores.n_real:,} " + {"held_out_real": "held out from it", "training": "learned from"}[scores.on],
            f"{scores.n_synthetic:,}",
            percent(scores.error_rate),
            percent(scores.accuracy),
            percent(scores.sensitivity),
            percent(scores.specificity),
        )
        for scores in discriminators
    )
    columns = (
        "Discriminator of", "Fold", "Real slices", "Synthetic slices", "Error rate", "Accuracy",
        "Sensitivity (synthetic called so)", "Specificity (real called so)",
    )  # fmt: skip
    return Table("What the discriminator of each kept generator could tell; 50 % is a draw.", columns, rows)


def training_table(training: Sequence[TrainingRecord], *, known: bool, painted: bool = False) -> Table:
    """What each generator or painter learned from and how long; of generators, what the collapse watch did."""
    rows = tuple(
        (
            diagnosis_name(record.diagnosis),
            str(record.fold),
            f"{slices(record.n_slices)} of {units(record.n_subjects, known=known)}",
            count(record.images_seen, "image", "images"),
            f"{record.generator_parameters:,}",
            f"{record.discriminator_parameters:,}",
            *(() if painted else (_alarms(record), _kept(record))),
        )
        for record in training
    )
    by = maker(painted=painted)
    columns = (
        f"{by.capitalize()} of", "Fold", "Learned from", "Shown", f"Weights, {by}", "Weights, discriminator",
        *(() if painted else ("Alarms of the collapse watch", "Kept")),
    )  # fmt: skip
    return Table(f"The {by}s that were trained, each only on the training part of its fold.", columns, rows)


def _kept(record: TrainingRecord) -> str:
    return "–" if record.kept_at is None else f"at {count(record.kept_at, 'image', 'images')}"


def _alarms(record: TrainingRecord) -> str:
    if not record.watched:
        return "not watched"
    found = f"{len(record.alarms):,} in {count(len(looks(record)), 'look', 'looks')}"
    if not alarm_possible(record):
        return f"{found}, too early or too seldom for one"
    return f"{found}; stopped" if record.stopped else found


def classes_table(data: DataFlow) -> Table:
    """Subjects and slices of each diagnosis, in all and on the two sides of fold 0."""

    def cell(n_slices: int, n_units: int) -> str:
        return f"{slices(n_slices)} of {units(n_units, known=data.subjects_known)}"

    rows = tuple(
        (
            diagnosis_name(c.diagnosis),
            cell(c.slices, c.subjects),
            cell(c.train_slices, c.train_subjects),
            cell(c.test_slices, c.test_subjects),
        )
        for c in data.classes
    )
    return Table("Diagnoses and split; training and test of fold 0.", ("Diagnosis", "All", "Training", "Test"), rows)


def kept_out_table(data: DataFlow) -> Table:
    """What was kept out, by rule, with the first case of each."""
    rows = tuple(
        (rule_name(rule.rule), rule_name(rule.outcome), count(rule.count, "record", "records"), rule.example or "–")
        for rule in data.out
    )
    return Table("Files or slices kept out, by reason.", ("Reason", "Outcome", "n", "First case"), rows)


def review_table(data: DataFlow) -> Table:
    """What is used although a person should look at it, by rule, with the first case of each."""
    rows = tuple(
        (rule_name(rule.rule), count(rule.count, "record", "records"), rule.example or "–") for rule in data.review
    )
    return Table("Used, and wants a look, by reason.", ("Reason", "n", "First case"), rows)


def shortcuts_table(shortcuts: Sequence[ShortcutScores], *, known: bool) -> Table:
    """How well the diagnosis is told without the brain, and by what."""
    names = {"file_facts": "File and header", "border": "Corners and border, normalised"}
    rows = tuple(
        (
            names[scores.what],
            percent_interval(scores.balanced_accuracy),
            percent(scores.chance_high),
            f"{slices(scores.n_slices)} of {units(scores.n_subjects, known=known)}",
            ", ".join(rule_name(name) for name in scores.telling) or "–",
            "suspected" if scores.suspected else "not found",
        )
        for scores in shortcuts
    )
    columns = ("Looked at", "Balanced accuracy", "Shuffled diagnoses, upper end", "n", "What told most", "Shortcut")
    return Table("A forest fitted on training slices that never sees the brain, on test slices.", columns, rows)


def versions_table(versions: Mapping[str, str]) -> Table:
    """Software of the run."""
    return Table("Software of the run.", ("Package", "Version"), tuple(sorted(versions.items())))


def errors_table(errors: Sequence[PerThousand]) -> Table:
    """Missed tumours and false alarms per 1,000 scans, without and with synthetic slices."""
    rows = tuple((f"{e.event} {e.among}", e.reference, e.primary, e.change) for e in errors)
    columns = ("Errors", "Without synthetic", "With synthetic", "Change")
    return Table("What it means per 1,000 scans", columns, rows)


def transfer_table(transfer: Sequence[TransferScores]) -> Table:
    """Classifiers carried from synthetic to real slices and back, a row a fold and sharpness."""
    rows = tuple(
        (
            f"fold {scores.fold}, {sharpness(scores)}",
            f"{scores.n_synthetic:,}",
            f"{scores.n_real:,}",
            percent(scores.synthetic_inside),
            percent(scores.real_inside),
            percent_interval(scores.synthetic_to_real),
            percent_interval(scores.real_to_real),
            percent(scores.real_to_synthetic),
            points_interval(scores.loss).replace("+", ""),
            "carried" if scores.shortcuts else "not found",
        )
        for scores in transfer
    )
    columns = (
        "Images", "Learned from, n", "Real test slices, n", "Synthetic, tested on other synthetic",
        "Real, tested on other real", "Synthetic, tested on real", "Real, tested on the same", "Real, on synthetic",
        "Loss on real by learning from synthetic", "Shortcuts",
    )  # fmt: skip
    caption = (
        "Balanced accuracy of small classifiers that learned from so many synthetic or real slices, or from about half "
        "where they are tested on others of the training part. A loss above 0 is worse than learning from real slices."
    )
    return Table(caption, columns, rows)


def ways_table(ways: Sequence[WayTried]) -> Table:
    """What each way of learning reached on inner folds, a row a fold, the chosen one marked."""
    tried = [way for way in get_args(Way) if any(one.way == way for one in ways)]
    by_place = {(one.fold, one.way): one for one in ways}
    rows = tuple(
        (
            f"fold {fold}",
            f"{max(one.n_groups for one in ways if one.fold == fold):,}",
            *(_reached(by_place.get((fold, way))) for way in tried),
        )
        for fold in dict.fromkeys(one.fold for one in ways)
    )
    columns = ("Fold", "Groups kept aside, n", *(WAY_NAMES[way].capitalize() for way in tried))
    return Table(
        "Ways to learn from synthetic slices: balanced accuracy on inner folds of the training part.", columns, rows
    )


def _reached(one: WayTried | None) -> str:
    return "–" if one is None else f"{percent(one.balanced_accuracy)}{', chosen' if one.chosen else ''}"


def stages_table(record: MachineRecord) -> Table:
    """Wall clock by stage, of all attempts, folds and diagnoses together."""
    columns = (_("Stage"), _("Times"), _("Wall clock"), _("Share"))
    said = _("Wall clock by stage, of all folds, diagnoses and attempts together; what took no second is in the rest.")
    return Table(said, columns, stage_rows(record))
