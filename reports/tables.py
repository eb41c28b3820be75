"""The tables of the report: pure functions from records to rows of text, every number with its unit and its n."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, get_args

from data_contracts.machine import MachineRecord
from data_contracts.results import (
    PASTED_ARM,
    PRIMARY_RATIO,
    Arm,
    ArmDetail,
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
from reports.language import _, capitalised, later, pgettext, plural
from reports.numbers import (
    NBSP,
    between,
    decimal,
    general,
    images,
    percent,
    percent_interval,
    plain_interval,
    points,
    points_interval,
    probability,
    significant,
    slices,
    units,
    whole,
)
from reports.wording.controls import control_name, control_null, control_result, control_sees, control_value
from reports.wording.copies import all_compared, compared_name, copy_rate, of_regions
from reports.wording.data import rule_name
from reports.wording.detail import compared, mean_count
from reports.wording.diversity import is_above, reason_values, references
from reports.wording.further import metric_name, secondary_difference
from reports.wording.machine import stage_rows
from reports.wording.names import arm_inside, arm_name, diagnosis_name
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
    rows = tuple(
        (
            arm_name(arm.arm),
            _("{slices} + {added}").format(
                slices=slices(arm.n_real), added=plural("{n} added", "{n} added", arm.n_added)
            ),
            whole(arm.n_seeds),
            percent_interval(arm.balanced_accuracy),
            percent_interval(arm.accuracy),
            plain_interval(arm.auc),
            percent_interval(arm.sensitivity),
            percent_interval(arm.specificity),
        )
        for arm in arms
    )
    columns = (
        _("Arm"),
        _("Trained on, a fold"),
        pgettext("of an arm", "Runs"),
        _("Balanced accuracy"),
        _("Accuracy"),
        _("AUC"),
        _("Sensitivity"),
        _("Specificity"),
    )
    caption = _("Every arm on the same real test slices: mean and 95 % interval; n = {slices} of {units}.").format(
        slices=slices(difference.n_slices), units=units(difference.n_subjects, known=known)
    )
    return Table(caption, columns, rows)


def further_table(arms: Sequence[ArmScores], statistics: Statistics | None) -> Table | None:
    """The further measures that any arm has, a column each; None where no arm has one."""
    if statistics is None:
        sensitivity = _("Sensitivity at fixed specificity")
        ppv, npv = _("PPV at stated prevalence"), _("NPV at stated prevalence")
    else:
        sensitivity = _("Sensitivity at {share} specificity").format(share=percent(statistics.at_specificity, 0))
        prevalence = percent(statistics.prevalence, 0)
        ppv = _("PPV at prevalence {share}").format(share=prevalence)
        npv = _("NPV at prevalence {share}").format(share=prevalence)
    possible = {
        sensitivity: ("sensitivity_at_specificity", percent_interval),
        ppv: ("ppv", percent_interval),
        npv: ("npv", percent_interval),
        _("Brier score"): ("brier", plain_interval),
        _("Calibration error"): ("calibration_error", plain_interval),
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
    caption = _(
        "Further measures of the same arms, mean and 95 % interval. Brier score and calibration error: better low; "
        "a Brier score of 0.25 says nothing."
    )
    return Table(caption, (_("Arm"), *measured), rows)


def _or_dash(value: Estimate | None, written: Callable[[Estimate], str]) -> str:
    return "–" if value is None else written(value)


def controls_table(controls: Sequence[Control]) -> Table:
    """What had to come out null, whether it did, and what it can see."""
    rows = tuple(
        (control_name(c), control_value(c), control_null(c), control_result(c), *control_sees(c)) for c in controls
    )
    columns = (
        _("Control"),
        _("Measured, 95 % interval"),
        _("Must come out as"),
        _("Result"),
        _("It sees"),
        _("It does not see"),
    )
    caption = _(
        "Controls: what must come out null, or the figures are not to be believed. No control sees a generator that "
        "learned from test slices: that is kept out by the split, and an exact test slice among synthetic ones ends "
        "the run."
    )
    return Table(caption, columns, rows)


def statistics_table(statistics: Statistics, difference: Difference) -> Table:
    """The primary difference asked in other ways."""
    margin = decimal(100 * difference.equivalence_margin, 1)
    rows = [(_("Sign flips of whole groups, two-sided"), probability(statistics.sign_flip_p))]
    if statistics.nadeau_bengio_p is not None:
        rows.append((_("Corrected t-test over folds and runs, two-sided"), probability(statistics.nadeau_bengio_p)))
    if (belief := statistics.belief) is not None:
        rows += [
            (_("Belief in a gain of more than {margin} points").format(margin=margin), percent(belief.better, 0)),
            (_("Belief in a difference within ±{margin} points").format(margin=margin), percent(belief.equivalent, 0)),
            (_("Belief in a loss of more than {margin} points").format(margin=margin), percent(belief.worse, 0)),
        ]
    caption = _("Other ways to ask for the first difference. They do not decide.")
    return Table(caption, (_("Asked by"), _("Answer")), tuple(rows))


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
    columns = (
        _("Measure"),
        _("Difference, 95 % interval"),
        _("By itself"),
        _("Corrected for {n} (Holm)").format(n=len(rows)),
    )
    return Table(_("Further measures, with synthetic slices minus without. They do not decide."), columns, rows)


def dose_table(dose: Sequence[DosePoint]) -> Table:
    """Accuracy and difference at each dose."""
    rows = tuple(
        (
            _("{ratio} (decides)").format(ratio=general(point.ratio))
            if point.ratio == PRIMARY_RATIO
            else general(point.ratio),
            slices(point.n_added),
            percent_interval(point.balanced_accuracy),
            points_interval(point.difference),
        )
        for point in dose
    )
    columns = (
        _("Synthetic slices a real one"),
        _("Added, a fold"),
        _("Balanced accuracy"),
        _("Difference to none added"),
    )
    return Table(_("How much was added: mean and 95 % interval on the same real test slices."), columns, rows)


def learning_table(learning: Sequence[LearningPoint], *, known: bool) -> Table:
    """Balanced accuracy of the arms by the share of subjects that everything learned from."""
    arms = [arm for arm in get_args(Arm) if any(arm in point.arms for point in learning)]
    rows = tuple(
        (
            percent(point.share, 0),
            whole(point.n_subjects),
            *("–" if arm not in point.arms else percent_interval(point.arms[arm]) for arm in arms),
            points_interval(point.difference),
        )
        for point in learning
    )
    unit = _("Subjects, a fold") if known else _("Image groups, a fold")
    columns = (_("Share learned from"), unit, *(arm_name(arm) for arm in arms), _("Difference made"))
    return Table(_("Learned from fewer: balanced accuracy on the same real test slices."), columns, rows)


def differences_table(compared: Sequence[Difference], *, known: bool) -> Table:
    """The differences that decide, with what the study could have seen."""
    rows = tuple(
        (
            f"{arm_name(d.arm)} − {arm_inside(d.reference)}",
            _("{change} points").format(change=points(d.estimate)),
            _("{low} to {high} points").format(low=points(d.low), high=points(d.high)),
            _("{slices} of {units}, {runs} an arm").format(
                slices=slices(d.n_slices),
                units=units(d.n_subjects, known=known),
                runs=plural("{n} run", "{n} runs", d.n_seeds),
            ),
            _("±{margin} points").format(margin=decimal(100 * d.equivalence_margin, 1)),
            _("{change} points").format(change=decimal(100 * d.minimum_detectable_effect, 1))
            if d.minimum_detectable_effect < 1
            else _("none"),
        )
        for d in compared
    )
    columns = (
        _("Difference"),
        _("Estimate"),
        _("95 % interval"),
        _("n"),
        _("Called no difference"),
        _("Smallest it could see"),
    )
    caption = (
        _("The two differences that decide, and that to copy and paste, in percentage points.")
        if any(d.reference == PASTED_ARM for d in compared)
        else _("The two differences that decide, in percentage points.")
    )
    return Table(caption, columns, rows)


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
        _("Slices"), _("Fold"), _("Features"), _("n"), _("Precision"), _("Recall"), _("Density"),
        _("Coverage"), _("KID"),
        _("Frechet distance"), _("Bins that differ"),
    )  # fmt: skip
    k = sorted({scores.k for scores in fidelity})
    caption = _(
        "Likeness to the same real training slices. KID ± standard error and Frechet distance: lower is nearer; "
        "density is 1 where as in training; k = {k} neighbours."
    ).format(k=", ".join(map(str, k)))
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
            *(() if painted else ("–" if metrics.support is None else whole(metrics.support),)),
        )
        for scores in fidelity
        for origin, metrics in _sets(scores)
    )
    columns = (
        _("Slices"), _("Fold"), _("Features"), _("n"), _("As varied as so many different (Vendi)"), _("Spread"),
        _("Dissimilarity of two"),
        _("All but repeat another"), *(() if painted else (_("Different slices it may know"),)),
    )  # fmt: skip
    caption = (
        _("Variety within each set of whole heads.")
        if painted
        else _("Variety within each set; all are better high, but for repeats.")
    )
    return Table(caption, columns, rows)


MEASURE_COLUMNS: Final = {
    "coverage": later("Coverage"),
    "recall": later("Recall"),
    "vendi": later("Vendi"),
    "spread": later("Spread"),
    "duplicate_share": later("All but repeat another"),
    "dissimilarity": later("Dissimilarity of two"),
}


def collapse_table(fidelity: Sequence[FidelityScores]) -> Table:
    """Each measure of diversity beside the limit that subsets of real slices set for it, a row a set."""
    measures = [m for m in MEASURE_COLUMNS if any(r.measure == m for s in fidelity for r in s.collapse.reasons)]
    rows = tuple(
        (
            diagnosis_name(scores.diagnosis),
            str(scores.fold),
            scores.extractor,
            whole(scores.collapse.n),
            _("mode collapse") if scores.collapse.mode_collapse else _("none found"),
            *(_beside_limit(scores.collapse, measure) for measure in measures),
        )
        for scores in fidelity
    )
    columns = (
        _("Synthetic slices"),
        _("Fold"),
        _("Features"),
        _("n"),
        _("Mode collapse"),
        *(_(MEASURE_COLUMNS[m]) for m in measures),
    )
    caption = _(
        "Mode collapse. In brackets, from subsets of as many real slices: on which side of its limit a measure speaks "
        "of a collapse, and what they reach (median)."
    )
    return Table(caption, columns, rows)


def _beside_limit(verdict: CollapseVerdict, measure: str) -> str:
    reason = next((reason for reason in verdict.reasons if reason.measure == measure), None)
    if reason is None:
        return "–"
    value, limit, real = reason_values(reason)
    if reason.limit <= 0 and not is_above(reason):  # real subsets of this size scatter down to nothing
        said = _("{value} (no limit at this n; real {real})")
    elif reason.beyond and is_above(reason):
        said = _("{value}, beyond (above {limit}; real {real})")
    elif reason.beyond:
        said = _("{value}, beyond (below {limit}; real {real})")
    elif is_above(reason):
        said = _("{value} (above {limit}; real {real})")
    else:
        said = _("{value} (below {limit}; real {real})")
    return (
        said.replace(" {limit}", NBSP + "{limit}")
        .replace(" {real}", NBSP + "{real}")
        .format(value=value, limit=limit, real=real)
    )


def _sets(scores: FidelityScores) -> tuple[tuple[str, SetScores], ...]:
    return ((_("synthetic"), scores.synthetic), *references(scores))


def _of(scores: FidelityScores, origin: str) -> tuple[str, ...]:
    name = _("{diagnosis}, {origin}").format(diagnosis=diagnosis_name(scores.diagnosis), origin=origin)
    return name, str(scores.fold), scores.extractor, whole(scores.n)


def memorisation_table(memorisation: Sequence[MemorisationScores]) -> Table:
    """What the screen refused, and distances beside those of held-out real slices; after a set its parts."""
    painted = any(of_regions(scores) for scores in memorisation)
    rows = tuple(
        (
            diagnosis_name(scores.diagnosis) if painted else compared_name(scores),
            str(scores.fold),
            whole(scores.n_generated),
            whole(scores.n_near_copies),
            whole(scores.n_broken),
            whole(scores.n_kept),
            _of_all(percent(scores.held_out_real_near_copy_share), scores.n_held_out_real),
            decimal(scores.threshold, 3),
            decimal(scores.median_distance_synthetic, 3),
            decimal(scores.median_distance_held_out_real, 3),
            *((_outside(scores),) if painted else ()),
        )
        for scores in all_compared(memorisation)
    )
    columns = (
        _("Slices"), _("Fold"), _("Generated, n"), _("Near-copies refused, n"), _("Broken refused, n"), _("Kept, n"),
        _("Regions of held-out real by the same rule") if painted else _("Held-out real by the same rule"),
        _("Near-copy below"), _("Median distance, synthetic"),
        _("Median distance, regions of held-out real") if painted else _("Median distance, held-out real"),
        *((_("Outside the painted region, copy rate"),) if painted else ()),
    )  # fmt: skip
    caption = _(
        "Distance to the nearest training slice, relative to the next patient’s: 0 is a copy, 1 is no nearer to one "
        "patient than to the next."
    )
    if painted:
        caption = _("Inside the painted region alone. {caption}").format(caption=caption)
    return Table(caption, columns, rows)


def _of_all(part: str, n: int) -> str:
    return _("{part} of {n}").format(part=part, n=whole(n))


def _outside(scores: MemorisationScores) -> str:
    """How many slices equal their source outside of the painted region, as a rate."""
    return "–" if scores.outside_copy_share is None else copy_rate(scores.outside_copy_share)


def traces_table(memorisation: Sequence[MemorisationScores]) -> Table | None:
    """Copies that pixels alone do not show, beside held-out real slices; None where nothing of it was measured."""
    cells = [
        (
            "–" if scores.n_moved_copies is None else _of_all(whole(scores.n_moved_copies), scores.n_near_copies),
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
            _("{first} and {second}").format(first=whole(scores.n_generated), second=whole(scores.n_held_out_real)),
            *row,
        )
        for scores, row in zip(memorisation, cells, strict=True)
    )
    columns = (
        _("Slices"), _("Fold"), _("Features"), _("n, synthetic and held-out real"),
        _("Near-copies found only by moving"),
        _("Copies in features, synthetic"), _("Copies in features, held-out real"), _("Authentic, synthetic"),
        _("Authentic, held-out real"),
        _("Membership attack, AUC"),
    )  # fmt: skip
    return Table(_("Copies that pixels alone do not show, before the screen."), columns, rows)


def _shares(share: float | None, real: float | None, *, digits: int) -> tuple[str, str]:
    first, second = ("–" if value is None else percent(value, digits) for value in (share, real))
    return first, second


def discriminators_table(discriminators: Sequence[DiscriminatorScores]) -> Table:
    """What the discriminator of each kept generator could tell."""
    rows = tuple(
        (
            diagnosis_name(scores.diagnosis),
            str(scores.fold),
            {"held_out_real": _("{n} held out from it"), "training": _("{n} learned from")}[scores.on].format(
                n=whole(scores.n_real)
            ),
            whole(scores.n_synthetic),
            percent(scores.error_rate),
            percent(scores.accuracy),
            percent(scores.sensitivity),
            percent(scores.specificity),
        )
        for scores in discriminators
    )
    columns = (
        _("Discriminator of"), _("Fold"), _("Real slices"), _("Synthetic slices"), _("Error rate"), _("Accuracy"),
        _("Sensitivity (synthetic called so)"), _("Specificity (real called so)"),
    )  # fmt: skip
    return Table(_("What the discriminator of each kept generator could tell; 50 % is a draw."), columns, rows)


def training_table(training: Sequence[TrainingRecord], *, known: bool, painted: bool = False) -> Table:
    """What each generator or painter learned from and how long; of generators, what the collapse watch did."""
    rows = tuple(
        (
            diagnosis_name(record.diagnosis),
            str(record.fold),
            _slices_of(record.n_slices, record.n_subjects, known=known),
            images(record.images_seen),
            whole(record.generator_parameters),
            whole(record.discriminator_parameters),
            *(() if painted else (_alarms(record), _kept(record))),
        )
        for record in training
    )
    columns = (
        _("Painter of") if painted else _("Generator of"), _("Fold"), _("Learned from"), _("Shown"),
        _("Weights, painter") if painted else _("Weights, generator"), _("Weights, discriminator"),
        *(() if painted else (_("Alarms of the collapse watch"), _("Kept"))),
    )  # fmt: skip
    caption = (
        _("The painters that were trained, each only on the training part of its fold.")
        if painted
        else _("The generators that were trained, each only on the training part of its fold.")
    )
    return Table(caption, columns, rows)


def _slices_of(n_slices: int, n_units: int, *, known: bool) -> str:
    return _("{slices} of {units}").format(slices=slices(n_slices), units=units(n_units, known=known))


def _kept(record: TrainingRecord) -> str:
    return "–" if record.kept_at is None else _("at {images}").format(images=images(record.kept_at))


def _alarms(record: TrainingRecord) -> str:
    if not record.watched:
        return _("not watched")
    if not alarm_possible(record):
        said = _("{alarms} in {looks}, too early or too seldom for one")
    elif record.stopped:
        said = _("{alarms} in {looks}; stopped")
    else:
        said = _("{alarms} in {looks}")
    n = len(looks(record))
    return said.format(alarms=whole(len(record.alarms)), looks=plural("{n} look", "{n} looks", n))


def classes_table(data: DataFlow) -> Table:
    """Subjects and slices of each diagnosis, in all and on the two sides of fold 0."""

    def cell(n_slices: int, n_units: int) -> str:
        return _slices_of(n_slices, n_units, known=data.subjects_known)

    rows = tuple(
        (
            diagnosis_name(c.diagnosis),
            cell(c.slices, c.subjects),
            cell(c.train_slices, c.train_subjects),
            cell(c.test_slices, c.test_subjects),
        )
        for c in data.classes
    )
    return Table(
        _("Diagnoses and split; training and test of fold 0."),
        (_("Diagnosis"), _("All"), _("Training"), _("Test")),
        rows,
    )


def kept_out_table(data: DataFlow) -> Table:
    """What was kept out, by rule, with the first case of each."""
    rows = tuple(
        (
            rule_name(rule.rule),
            rule_name(rule.outcome),
            plural("{n} record", "{n} records", rule.count),
            rule.example or "–",
        )
        for rule in data.out
    )
    return Table(_("Files or slices kept out, by reason."), (_("Reason"), _("Outcome"), _("n"), _("First case")), rows)


def review_table(data: DataFlow) -> Table:
    """What is used although a person should look at it, by rule, with the first case of each."""
    rows = tuple(
        (rule_name(rule.rule), plural("{n} record", "{n} records", rule.count), rule.example or "–")
        for rule in data.review
    )
    return Table(_("Used, and wants a look, by reason."), (_("Reason"), _("n"), _("First case")), rows)


def shortcuts_table(shortcuts: Sequence[ShortcutScores], *, known: bool) -> Table:
    """How well the diagnosis is told without the brain, and by what."""
    names = {"file_facts": _("File and header"), "border": _("Corners and border, normalised")}
    rows = tuple(
        (
            names[scores.what],
            percent_interval(scores.balanced_accuracy),
            percent(scores.chance_high),
            _slices_of(scores.n_slices, scores.n_subjects, known=known),
            ", ".join(rule_name(name) for name in scores.telling) or "–",
            _("suspected") if scores.suspected else _("not found"),
        )
        for scores in shortcuts
    )
    columns = (
        _("Looked at"),
        _("Balanced accuracy"),
        _("Shuffled diagnoses, upper end"),
        _("n"),
        _("What told most"),
        _("Shortcut"),
    )
    return Table(_("A forest fitted on training slices that never sees the brain, on test slices."), columns, rows)


def versions_table(versions: Mapping[str, str]) -> Table:
    """Software of the run."""
    return Table(_("Software of the run."), (_("Package"), _("Version")), tuple(sorted(versions.items())))


def errors_table(errors: Sequence[PerThousand]) -> Table:
    """Missed tumours and false alarms per 1,000 scans, without and with synthetic slices."""
    rows = tuple(
        (_("{event} {among}").format(event=e.event, among=e.among), e.reference, e.primary, e.change) for e in errors
    )
    columns = (_("Errors"), _("Without synthetic"), _("With synthetic"), _("Change"))
    return Table(_("What it means per 1,000 scans"), columns, rows)


def transfer_table(transfer: Sequence[TransferScores]) -> Table:
    """Classifiers carried from synthetic to real slices and back, a row a fold and sharpness."""
    rows = tuple(
        (
            _("fold {fold}, {sharpness}").format(fold=scores.fold, sharpness=sharpness(scores)),
            whole(scores.n_synthetic),
            whole(scores.n_real),
            percent(scores.synthetic_inside),
            percent(scores.real_inside),
            percent_interval(scores.synthetic_to_real),
            percent_interval(scores.real_to_real),
            percent(scores.real_to_synthetic),
            points_interval(scores.loss).replace("+", ""),
            _("carried") if scores.shortcuts else _("not found"),
        )
        for scores in transfer
    )
    columns = (
        _("Images"), _("Learned from, n"), _("Real test slices, n"), _("Synthetic, tested on other synthetic"),
        _("Real, tested on other real"), _("Synthetic, tested on real"), _("Real, tested on the same"),
        _("Real, on synthetic"),
        _("Loss on real by learning from synthetic"), _("Shortcuts"),
    )  # fmt: skip
    caption = _(
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
            _("fold {fold}").format(fold=fold),
            whole(max(one.n_groups for one in ways if one.fold == fold)),
            *(_reached(by_place.get((fold, way))) for way in tried),
        )
        for fold in dict.fromkeys(one.fold for one in ways)
    )
    columns = (_("Fold"), _("Groups kept aside, n"), *(capitalised(_(WAY_NAMES[way])) for way in tried))
    return Table(
        _("Ways to learn from synthetic slices: balanced accuracy on inner folds of the training part."), columns, rows
    )


def _reached(one: WayTried | None) -> str:
    if one is None:
        return "–"
    reached = percent(one.balanced_accuracy)
    return _("{accuracy}, chosen").format(accuracy=reached) if one.chosen else reached


def stages_table(record: MachineRecord) -> Table:
    """Wall clock by stage, of all attempts, folds and diagnoses together."""
    columns = (_("Stage"), _("Times"), _("Wall clock"), _("Share"))
    said = _("Wall clock by stage, of all folds, diagnoses and attempts together; what took no second is in the rest.")
    return Table(said, columns, stage_rows(record))


def confusion_table(details: Sequence[ArmDetail], *, known: bool) -> Table:
    """What each arm calls the test slices of either diagnosis: counts with their share of the row's slices."""

    def cells(right: float, wrong: float, n_units: int) -> tuple[str, str, str]:
        n = right + wrong
        of = _("{slices} of {subjects}").format(slices=slices(round(n)), subjects=units(n_units, known=known))
        return of, f"{mean_count(right)} ({percent(right / n)})", f"{mean_count(wrong)} ({percent(wrong / n)})"

    rows = tuple(
        (
            arm_name(detail.arm),
            *cells(detail.confusion.found, detail.confusion.missed, detail.confusion.n_tumour_subjects),
            *cells(detail.confusion.cleared, detail.confusion.false_alarms, detail.confusion.n_no_tumour_subjects),
        )
        for detail in details
    )
    columns = (
        _("Arm"), _("With a tumour"), _("Found"), _("Missed"),
        _("Without a tumour"), _("Called no tumour"), _("False alarms"),
    )  # fmt: skip
    return Table(_("What the classifiers call real test slices, mean over models."), columns, rows)


def roc_table(details: Sequence[ArmDetail]) -> Table:
    """Tumour slices found at each share of false alarms, a column an arm."""
    rows = tuple(
        (
            percent(points_there[0].false_alarms, 0),
            *(
                f"{percent(p.sensitivity)} ({between(decimal(100 * p.low, 1), decimal(100 * p.high, 1))})"
                for p in points_there
            ),
        )
        for points_there in zip(*(detail.roc for detail in details), strict=True)
    )
    columns = (_("False alarms"), *(arm_name(detail.arm) for detail in details))
    return Table(_("Tumour slices found at each share of false alarms, with 95 % bands."), columns, rows)


def calibration_table(details: Sequence[ArmDetail]) -> Table:
    """The bins of the reference's and the synthetic arm's calibration curves."""
    rows = tuple(
        (
            arm_name(detail.arm),
            percent(one.probability),
            percent(one.tumour),
            mean_count(one.n_slices),
            mean_count(one.n_subjects),
        )
        for detail in compared(details)
        for one in detail.calibration
    )
    columns = (
        _("Arm"), _("Probability given, mean"), _("Show a tumour"), _("Slices"), _("Subjects or image groups")
    )  # fmt: skip
    caption = _("Calibration by bins of probability; both diagnoses weighed alike, counts as means over models.")
    return Table(caption, columns, rows)
