"""The four lights of the first screen: utility, diversity, copies, data quality, each with its reason in numbers.

A light never stands on colour alone: it has a word, and its level has a shape in the template.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from data_contracts.results import (
    CONTROL_HALF_WIDTH,
    DataFlow,
    Difference,
    FidelityScores,
    MemorisationScores,
    RunSummary,
    ShortcutScores,
    TrainingRecord,
)
from reports.language import _, capitalised, later, plural
from reports.numbers import (
    decimal,
    percent,
    plain_interval,
    points,
    points_interval,
    slices,
    units,
    whole,
)
from reports.wording.controls import controls_count, unsure_count
from reports.wording.copies import all_compared, anatomy_reading, compared_slices, held_out_name, of_regions
from reports.wording.diversity import PAINTED_VARIETY, beyond_limits, primary_fidelity
from reports.wording.further import external_units
from reports.wording.names import is_painted, kind, slices_of
from reports.wording.paste import paste_why, recommended
from reports.wording.transfer import transfer_count
from reports.wording.watch import doubt

Level = Literal["good", "caution", "problem", "unknown"]

# Conventions of this report, not laws: they sort runs into three, and the numbers stand beside each light.
REACH_GOOD, REACH_CAUTION = 0.8, 0.5  # synthetic recall or coverage over that of held-out real slices
COPIES_GOOD, COPIES_CAUTION = 0.01, 0.10  # near-copies in excess of what the rule says of held-out real slices
TOO_CLOSE = 0.5  # median nearest distance over that of held-out real slices
FEATURE_COPIES = 0.05  # copies in features, in excess of the share among held-out real slices
SUBJECTS_GOOD, SUBJECTS_CAUTION = 50, 10  # of the rarer diagnosis


@dataclass(frozen=True)
class Light:
    """One of the four questions: its level, the level as a word, and why."""

    name: str
    level: Level
    word: str
    why: str


def lights(summary: RunSummary) -> tuple[Light, ...]:
    """Utility, diversity, copies and data quality, in this order."""
    return (
        utility_light(summary),
        diversity_light(summary.fidelity, summary.training, painted=is_painted(summary)),
        copies_light(summary.memorisation),
        data_light(summary.data, summary.difference, summary.shortcuts),
    )


def utility_light(summary: RunSummary) -> Light:
    """Good only where the verdict is a gain, a problem where a control did not come out null.

    An external test where synthetic slices did harm leaves it a caution at best, and so does copy and paste that they
    are not shown to beat. A control that could not tell and a generator's shortcuts change no level and are told.
    """
    known = summary.data.subjects_known
    why = _("{difference}, {units} tested.").format(
        difference=points_interval(summary.difference), units=units(summary.difference.n_subjects, known=known)
    )
    against = _("Against repeated copies of real slices: {change} points.").format(
        change=points(summary.difference_to_duplicates.estimate)
    )
    level, message = _UTILITY[summary.verdict]
    word = _(message)
    reasons = [why, against]
    if summary.difference_to_copy_paste is not None:
        reasons.append(paste_why(summary))
        if summary.difference_to_copy_paste.low <= 0 and level == "good":
            may_do = recommended(summary) == "copy_paste"
            level, word = "caution", _("Copy and paste may do") if may_do else _("Helped, may not be needed")
    if summary.external is not None:
        external = summary.external.difference
        said = _("External test: {difference}, {units}.")
        reasons.append(said.format(difference=points_interval(external), units=external_units(summary.external)))
        if external.high < 0 and level == "good":
            level, word = "caution", _("Not at another test")
    if carried := transfer_count(summary.transfer):
        reasons.append(carried)
    if unsure := unsure_count(summary):
        reasons.append(unsure)
    if failed := controls_count(summary):
        level, word = "problem", _("Not to be believed")
        reasons.insert(0, failed)
    return Light(_("Utility"), level, word, " ".join(reasons))


_UTILITY: Final[dict[str, tuple[Level, str]]] = {
    "gain": ("good", later("Helped")),
    "equivalent": ("caution", later("No difference")),
    "harm": ("problem", later("Harmed")),
    "insufficient_evidence": ("caution", later("Not shown")),
}


def reach(scores: FidelityScores) -> float | None:
    """The smaller of recall and coverage, each over that of held-out real slices; None where both of those are 0."""
    synthetic, real = scores.synthetic, scores.held_out_real
    pairs = ((synthetic.recall, real.recall), (synthetic.coverage, real.coverage))
    return min((value / reference for value, reference in pairs if reference > 0), default=None)


def diversity_light(
    fidelity: Sequence[FidelityScores], training: Sequence[TrainingRecord], *, painted: bool = False
) -> Light:
    """By the weakest diagnosis and fold, and no better than the collapse watch thinks of the worst training.

    Of painted slices it is told by nothing, for whole heads are compared, and theirs are those of their sources.
    """
    if painted and fidelity:
        return Light(_("Diversity"), "unknown", _("Not told by real heads"), _(PAINTED_VARIETY))
    measured = _measured_diversity(primary_fidelity(fidelity))
    doubted = [record for record in training if doubt(record)]
    if not doubted:
        return measured
    worst = max(doubted, key=lambda record: record.best_wrong)
    level, message = _DOUBTED[worst.best_wrong]
    why = f"{doubt(worst)} {measured.why}"
    if _SEVERITY.index(measured.level) >= _SEVERITY.index(level):
        return Light(measured.name, measured.level, measured.word, why)
    return Light(measured.name, level, _(message), why)


_SEVERITY: Final[tuple[Level, ...]] = ("good", "unknown", "caution", "problem")
_DOUBTED: Final[dict[int, tuple[Level, str]]] = {  # by TrainingRecord.best_wrong
    0: ("caution", later("Training was stopped")),
    1: ("caution", later("Poor in training")),
    2: ("problem", later("At fault in training")),
}


def _measured_diversity(fidelity: Sequence[FidelityScores]) -> Light:
    """Whether modes were lost, and how much of the real variety is reached, in the weakest diagnosis and fold."""
    if collapsed := [scores for scores in fidelity if scores.collapse.mode_collapse]:
        return _collapsed(collapsed, len(fidelity))
    measured = [(ratio, scores) for scores in fidelity if (ratio := reach(scores)) is not None]
    if not measured:
        return Light(_("Diversity"), "unknown", _("Not measured"), _("No held-out real slices to compare with."))
    ratio, weakest = min(measured, key=lambda pair: pair[0])
    synthetic, real = weakest.synthetic, weakest.held_out_real
    level: Level = "good" if ratio >= REACH_GOOD else "caution" if ratio >= REACH_CAUTION else "problem"
    word = {"good": _("As varied as real"), "caution": _("Less varied"), "problem": _("Much is missing")}[level]
    why = _(
        "Weakest, {slices}: coverage {coverage} beside {real_coverage} for held-out real, recall {recall} beside "
        "{real_recall}; n = {n} each."
    ).format(
        slices=slices_of(weakest.diagnosis),
        coverage=percent(synthetic.coverage, 0),
        real_coverage=percent(real.coverage, 0),
        recall=percent(synthetic.recall, 0),
        real_recall=percent(real.recall, 0),
        n=whole(weakest.n),
    )
    if poorer := next((scores for scores in fidelity if beyond_limits(scores)), None):
        why += " " + _("{slices}, fold {fold}: {measures}.").format(
            slices=capitalised(slices_of(poorer.diagnosis)), fold=poorer.fold, measures=beyond_limits(poorer)
        )
        if level == "good":
            level, word = "caution", _("Less varied")
    return Light(_("Diversity"), level, word, why)


def _collapsed(collapsed: Sequence[FidelityScores], n: int) -> Light:
    """The first of the sets, of n, whose verdict is a mode collapse, with its reasons."""
    first = collapsed[0]
    why = _("The generator of {kind} slices lost modes (fold {fold}): {reasons}; n = {n}.").format(
        kind=kind(first.diagnosis),
        fold=first.fold,
        reasons=beyond_limits(first) or _("its measures together"),
        n=whole(first.collapse.n),
    )
    if more := len(collapsed) - 1:
        others = plural("So did {more} more of {sets} sets.", "So did {more} more of {sets} sets.", more)
        why += " " + others.format(more=whole(more), sets=whole(n))
    return Light(_("Diversity"), "problem", _("Collapsed"), why)


def copies_light(memorisation: Sequence[MemorisationScores]) -> Light:
    """By the worst diagnosis and fold: near-copies generated, in excess of the share the rule finds in real slices.

    At best a caution where the median is much nearer, where there are copies in features, where a membership attack
    tells who was in the training part, and of painted slices, which are patients' slices but for the painted region.
    Of slices painted on generated ones by the worst of these, of whole slices and of regions.
    """
    measured = [scores for scores in all_compared(memorisation) if scores.n_generated > 0]
    if not measured:
        return Light(_("Copies of patients"), "unknown", _("Not measured"), _("No synthetic slices were screened."))
    worst = max(measured, key=_excess)
    level: Level = (
        "good" if _excess(worst) <= COPIES_GOOD else "caution" if _excess(worst) <= COPIES_CAUTION else "problem"
    )
    near = [s for s in measured if s.median_distance_synthetic < TOO_CLOSE * s.median_distance_held_out_real]
    in_features = max((excess for s in measured if (excess := _feature_excess(s)) is not None), default=0.0)
    told = [s.membership_auc for s in measured if s.membership_auc is not None and s.membership_auc.low > 0.5]
    anatomy = anatomy_reading(measured)
    if (near or told or anatomy or in_features > FEATURE_COPIES) and level == "good":
        level = "caution"
    word = {"good": _("No sign of copying"), "caution": _("Some copying"), "problem": _("Copies its patients")}[level]
    if anatomy:
        word = word if level == "problem" else _("Holds patient anatomy")
    reasons = [anatomy or _refused(measured, worst)]
    if any(not of_regions(scores) for scores in near):
        reasons.append(_("Synthetic slices lie much nearer to training slices than held-out real slices do."))
    if any(of_regions(scores) for scores in near):
        said = _("Painted regions lie much nearer to training slices than regions of held-out real slices do.")
        reasons.append(said)
    if in_features > FEATURE_COPIES:
        said = _("In features, copies are {more} points more frequent than among held-out real.")
        reasons.append(said.format(more=decimal(100 * in_features, 1)))
    if told:
        # the most of several looks is more than any one would show, so how many there were is said with it
        said = _(
            "Who was in the training part can be told from {n} of {sets} sets: AUC {auc} at most, {guessing} is "
            "guessing."
        )
        best = max(told, key=lambda value: value.estimate)
        sets = sum(s.membership_auc is not None for s in measured)
        reasons.append(said.format(n=len(told), sets=sets, auc=plain_interval(best), guessing=decimal(0.5, 1)))
    return Light(_("Copies of patients"), level, word, " ".join(reasons))


def _refused(measured: Sequence[MemorisationScores], worst: MemorisationScores) -> str:
    """How many near-copies were refused, of whole slices where these were compared, and where most of them were."""
    slices_of_all = [s for s in measured if s.compared != "regions"] or measured  # regions are of slices counted here
    refused, generated = sum(s.n_near_copies for s in slices_of_all), sum(s.n_generated for s in slices_of_all)
    return _(
        "{refused} of {slices} generated were near-copies and refused. Worst, {worst}: {share}; {held_out} by the "
        "same rule {real}."
    ).format(
        refused=whole(refused),
        slices=slices(generated),
        worst=compared_slices(worst),
        share=percent(worst.n_near_copies / worst.n_generated),
        held_out=held_out_name(worst),
        real=percent(worst.held_out_real_near_copy_share),
    )


def _feature_excess(scores: MemorisationScores) -> float | None:
    share, real = scores.feature_copy_share, scores.held_out_real_feature_copy_share
    return None if share is None or real is None else share - real


def _excess(scores: MemorisationScores) -> float:
    return scores.n_near_copies / scores.n_generated - scores.held_out_real_near_copy_share


def data_light(data: DataFlow, difference: Difference, shortcuts: Sequence[ShortcutScores]) -> Light:
    """By the number of subjects of the rarer diagnosis, whether subjects are known, and whether a shortcut is left."""
    fewest = min((c.subjects for c in data.classes), default=0)
    level: Level = "good" if fewest >= SUBJECTS_GOOD else "caution" if fewest >= SUBJECTS_CAUTION else "problem"
    reasons = [
        units(data.subjects, known=data.subjects_known),
        _("{fewest} of the rarer diagnosis, {tested} tested").format(
            fewest=whole(fewest), tested=whole(difference.n_subjects)
        ),
    ]
    if not data.subjects_known:
        level = "caution" if level == "good" else level
        reasons.append(_("the source names no subjects"))
    if any(scores.suspected and scores.what == "border" for scores in shortcuts):
        level = "caution" if level == "good" else level
        reasons.append(_("the edge of the images gives the diagnosis away"))
    refused = sum(rule.count for rule in data.out if rule.outcome == "quarantined")
    reasons.append(plural("{n} file or slice quarantined", "{n} files or slices quarantined", refused))
    reasons.append(
        plural(
            "{n} exact duplicate kept on one side of the split",
            "{n} exact duplicates kept on one side of the split",
            data.exact_duplicates,
        )
    )
    word = {"good": _("Sound"), "caution": _("With limits"), "problem": _("Too few subjects")}[level]
    return Light(_("Data quality"), level, word, "; ".join(reasons) + ".")


def rules(*, painted: bool = False, pasted: bool = False, on_generated: bool = False) -> tuple[str, ...]:
    """How each light is set, from the constants above: a reader can disagree with a limit only where it is named.

    painted, pasted, on_generated: with the rules of a set painted on real slices, of a study with copy and paste, and
    of a set painted on generated slices.
    """
    return (
        *_utility_rules(pasted=pasted),
        *(_painted_diversity_rules() if painted else _diversity_rules()),
        *_copies_rules(painted=painted, on_generated=on_generated),
        *_data_rules(),
        _("These limits are conventions of this report, not clinical standards."),
    )


def _utility_rules(*, pasted: bool) -> tuple[str, ...]:
    rules = (
        _("Utility is good where the verdict is a gain, a problem where it is harm, and a caution otherwise."),
        _(
            "Utility is a problem whatever the verdict where a control did not come out null, the edge of images "
            "included."
        ),
        _(
            "Utility is no worse and no better for a control that could not tell (few groups, or wider than ±{width} "
            "points)."
        ).format(width=decimal(100 * CONTROL_HALF_WIDTH, 0)),
        _("Utility is at best a caution where the whole interval of an external test lies below zero."),
    )
    if not pasted:
        return rules
    return (
        *rules,
        _(
            "Utility is at best a caution where synthetic slices are not, by the whole interval, better than copy and "
            "paste."
        ),
    )


def _painted_diversity_rules() -> tuple[str, ...]:
    return (_("Diversity of painted slices is not told: whole heads are compared, and theirs are their sources’."),)


def _diversity_rules() -> tuple[str, ...]:
    return (
        _("Diversity is a problem where a mode collapse is found: limits from subsets of real slices, not from here."),
        _("Diversity is at best a caution where any measure is beyond such a limit."),
        _("Diversity otherwise takes recall and coverage of the weakest diagnosis over those of held-out real slices."),
        _("Diversity is good from {good}, a caution from {caution}, a problem below.").format(
            good=decimal(REACH_GOOD, 1), caution=decimal(REACH_CAUTION, 1)
        ),
        _(
            "Diversity is at best a caution where the collapse watch stopped a training, or found the kept generator "
            "poor."
        ),
        _("Diversity is a problem, too, where the watch found the kept generator at fault."),
        _("Diversity is no better for a collapse watch that raised no alarm."),
    )


def _copies_rules(*, painted: bool, on_generated: bool) -> tuple[str, ...]:
    rules = (
        _("Copies takes the share of near-copies among generated slices, less that among held-out real slices."),
        _("Copies is good up to {good}, a caution to {caution}, else a problem.").format(
            good=percent(COPIES_GOOD, 0), caution=percent(COPIES_CAUTION, 0)
        ),
        _(
            "Copies is at best a caution where the median distance is under {share} of that of held-out real slices."
        ).format(share=decimal(TOO_CLOSE, 1)),
        _("Copies is at best a caution where a membership attack does better than guessing, by its whole interval."),
        _(
            "Copies is at best a caution where copies in features exceed those of held-out real by {excess} points."
        ).format(excess=decimal(100 * FEATURE_COPIES, 0)),
    )
    if on_generated:
        worst = _(
            "Copies is set by the worst of the slices before painting, the painted slices and the painted regions."
        )
        return (*rules, worst)
    if not painted:
        return rules
    return (
        *rules,
        _("Copies of painted slices takes painted regions and regions of held-out real slices alone."),
        _("Copies is at best a caution where slices of patients were painted in, for these hold their anatomy."),
    )


def _data_rules() -> tuple[str, ...]:
    return (
        _("Data quality takes the number of subjects of the rarer diagnosis."),
        _("Data quality is good from {good}, a caution from {caution}, a problem below.").format(
            good=whole(SUBJECTS_GOOD), caution=whole(SUBJECTS_CAUTION)
        ),
        _(
            "Data quality is at best a caution where subjects are unknown, or the edge of the images tells the "
            "diagnosis."
        ),
    )
