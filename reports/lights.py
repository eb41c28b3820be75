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
from reports.numbers import count, decimal, percent, plain_interval, points, points_interval, slices, units
from reports.wording.controls import controls_count, unsure_count
from reports.wording.copies import anatomy_reading, held_out_name, of_regions
from reports.wording.diversity import PAINTED_VARIETY, beyond_limits, primary_fidelity
from reports.wording.further import external_units
from reports.wording.names import is_painted, slices_of
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
    why = f"{points_interval(summary.difference)}, {units(summary.difference.n_subjects, known=known)} tested."
    against = f"Against repeated copies of real slices: {points(summary.difference_to_duplicates.estimate)} points."
    level, word = _UTILITY[summary.verdict]
    reasons = [why, against]
    if summary.difference_to_copy_paste is not None:
        reasons.append(paste_why(summary))
        if summary.difference_to_copy_paste.low <= 0 and level == "good":
            may_do = recommended(summary) == "copy_paste"
            level, word = "caution", "Copy and paste may do" if may_do else "Helped, may not be needed"
    if summary.external is not None:
        external = summary.external.difference
        reasons.append(f"External test: {points_interval(external)}, {external_units(summary.external)}.")
        if external.high < 0 and level == "good":
            level, word = "caution", "Not at another test"
    if carried := transfer_count(summary.transfer):
        reasons.append(carried)
    if unsure := unsure_count(summary):
        reasons.append(unsure)
    if failed := controls_count(summary):
        level, word = "problem", "Not to be believed"
        reasons.insert(0, failed)
    return Light("Utility", level, word, " ".join(reasons))


_UTILITY: Final[dict[str, tuple[Level, str]]] = {
    "gain": ("good", "Helped"),
    "equivalent": ("caution", "No difference"),
    "harm": ("problem", "Harmed"),
    "insufficient_evidence": ("caution", "Not shown"),
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
        return Light("Diversity", "unknown", "Not told by real heads", PAINTED_VARIETY)
    measured = _measured_diversity(primary_fidelity(fidelity))
    doubted = [record for record in training if doubt(record)]
    if not doubted:
        return measured
    worst = max(doubted, key=lambda record: record.best_wrong)
    level, word = _DOUBTED[worst.best_wrong]
    why = f"{doubt(worst)} {measured.why}"
    if _SEVERITY.index(measured.level) >= _SEVERITY.index(level):
        return Light(measured.name, measured.level, measured.word, why)
    return Light(measured.name, level, word, why)


_SEVERITY: Final[tuple[Level, ...]] = ("good", "unknown", "caution", "problem")
_DOUBTED: Final[dict[int, tuple[Level, str]]] = {  # by TrainingRecord.best_wrong
    0: ("caution", "Training was stopped"),
    1: ("caution", "Poor in training"),
    2: ("problem", "At fault in training"),
}


def _measured_diversity(fidelity: Sequence[FidelityScores]) -> Light:
    """Whether modes were lost, and how much of the real variety is reached, in the weakest diagnosis and fold."""
    if collapsed := [scores for scores in fidelity if scores.collapse.mode_collapse]:
        return _collapsed(collapsed, len(fidelity))
    measured = [(ratio, scores) for scores in fidelity if (ratio := reach(scores)) is not None]
    if not measured:
        return Light("Diversity", "unknown", "Not measured", "No held-out real slices to compare with.")
    ratio, weakest = min(measured, key=lambda pair: pair[0])
    synthetic, real = weakest.synthetic, weakest.held_out_real
    level: Level = "good" if ratio >= REACH_GOOD else "caution" if ratio >= REACH_CAUTION else "problem"
    word = {"good": "As varied as real", "caution": "Less varied", "problem": "Much is missing"}[level]
    why = (
        f"Weakest, {slices_of(weakest.diagnosis)}: coverage {percent(synthetic.coverage, 0)} beside "
        f"{percent(real.coverage, 0)} for held-out real, recall {percent(synthetic.recall, 0)} beside "
        f"{percent(real.recall, 0)}; n = {weakest.n:,} each."
    )
    if poorer := next((scores for scores in fidelity if beyond_limits(scores)), None):
        why += f" {slices_of(poorer.diagnosis).capitalize()}, fold {poorer.fold}: {beyond_limits(poorer)}."
        if level == "good":
            level, word = "caution", "Less varied"
    return Light("Diversity", level, word, why)


def _collapsed(collapsed: Sequence[FidelityScores], n: int) -> Light:
    """The first of the sets, of n, whose verdict is a mode collapse, with its reasons."""
    first = collapsed[0]
    reasons = beyond_limits(first) or "its measures together"
    others = f" So did {len(collapsed) - 1:,} more of {n:,} sets." if len(collapsed) > 1 else ""
    why = (
        f"The generator of {slices_of(first.diagnosis)} lost modes (fold {first.fold}): {reasons}; "
        f"n = {first.collapse.n:,}.{others}"
    )
    return Light("Diversity", "problem", "Collapsed", why)


def copies_light(memorisation: Sequence[MemorisationScores]) -> Light:
    """By the worst diagnosis and fold: near-copies generated, in excess of the share the rule finds in real slices.

    At best a caution where the median is much nearer, where there are copies in features, where a membership attack
    tells who was in the training part, and of painted slices, which are patients' slices but for the painted region.
    """
    measured = [scores for scores in memorisation if scores.n_generated > 0]
    if not measured:
        return Light("Copies of patients", "unknown", "Not measured", "No synthetic slices were screened.")
    worst = max(measured, key=_excess)
    level: Level = (
        "good" if _excess(worst) <= COPIES_GOOD else "caution" if _excess(worst) <= COPIES_CAUTION else "problem"
    )
    near = any(s.median_distance_synthetic < TOO_CLOSE * s.median_distance_held_out_real for s in measured)
    in_features = max((excess for s in measured if (excess := _feature_excess(s)) is not None), default=0.0)
    told = [s.membership_auc for s in measured if s.membership_auc is not None and s.membership_auc.low > 0.5]
    anatomy, held_out = anatomy_reading(measured), held_out_name(worst)
    if (near or told or anatomy or in_features > FEATURE_COPIES) and level == "good":
        level = "caution"
    word = {"good": "No sign of copying", "caution": "Some copying", "problem": "Copies its patients"}[level]
    if anatomy:
        word = word if level == "problem" else "Holds patient anatomy"
    refused, generated = sum(s.n_near_copies for s in measured), sum(s.n_generated for s in measured)
    why = (
        f"{refused:,} of {slices(generated)} generated were near-copies and refused. Worst, "
        f"{slices_of(worst.diagnosis)}: {percent(worst.n_near_copies / worst.n_generated)}; {held_out} by "
        f"the same rule {percent(worst.held_out_real_near_copy_share)}."
    )
    if anatomy:
        why = anatomy
    closer = ""
    if near:
        nearer = "Painted regions" if of_regions(worst) else "Synthetic slices"
        closer = f" {nearer} lie much nearer to training slices than {held_out} do."
    if in_features > FEATURE_COPIES:
        closer += (
            f" In features, copies are {decimal(100 * in_features, 1)} points more frequent than among held-out real."
        )
    if told:
        auc = max(told, key=lambda value: value.estimate)
        closer += f" Who was in the training part can be told from them: AUC {plain_interval(auc)}, 0.5 is guessing."
    return Light("Copies of patients", level, word, why + closer)


_FEATURE_POINTS: Final = f"{100 * FEATURE_COPIES:.0f} points"


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
        f"{fewest:,} of the rarer diagnosis, {difference.n_subjects:,} tested",
    ]
    if not data.subjects_known:
        level = "caution" if level == "good" else level
        reasons.append("the source names no subjects")
    if any(scores.suspected and scores.what == "border" for scores in shortcuts):
        level = "caution" if level == "good" else level
        reasons.append("the edge of the images gives the diagnosis away")
    refused = sum(rule.count for rule in data.out if rule.outcome == "quarantined")
    reasons.append(f"{count(refused, 'file or slice', 'files or slices')} quarantined")
    reasons.append(
        f"{count(data.exact_duplicates, 'exact duplicate', 'exact duplicates')} kept on one side of the split"
    )
    word = {"good": "Sound", "caution": "With limits", "problem": "Too few subjects"}[level]
    return Light("Data quality", level, word, "; ".join(reasons) + ".")


_WIDTH: Final = f"{100 * CONTROL_HALF_WIDTH:.0f} points"


_PASTED_RULES: Final = (
    "Utility is at best a caution where synthetic slices are not, by the whole interval, better than copy and paste.",
)
_PAINTED_RULES: Final = (
    "Copies of painted slices takes painted regions and regions of held-out real slices alone.",
    "Copies is at best a caution where slices of patients were painted in, for these hold their anatomy.",
)
_DIVERSITY_RULES: Final = (
    "Diversity is a problem where a mode collapse is found: limits from subsets of real slices, not from here.",
    "Diversity is at best a caution where any measure is beyond such a limit.",
    "Diversity otherwise takes recall and coverage of the weakest diagnosis over those of held-out real slices.",
    f"Diversity is good from {REACH_GOOD}, a caution from {REACH_CAUTION}, a problem below.",
    "Diversity is at best a caution where the collapse watch stopped a training, or found the kept generator poor.",
    "Diversity is a problem, too, where the watch found the kept generator at fault.",
    "Diversity is no better for a collapse watch that raised no alarm.",
)
_PAINTED_DIVERSITY: Final = (
    "Diversity of painted slices is not told: whole heads are compared, and theirs are their sources’.",
)


def rules(*, painted: bool = False, pasted: bool = False) -> tuple[str, ...]:
    """How each light is set, from the constants above: a reader can disagree with a limit only where it is named.

    painted, pasted: with the rules of a painted set, and of a study with copy and paste.
    """
    return (
        "Utility is good where the verdict is a gain, a problem where it is harm, and a caution otherwise.",
        "Utility is a problem whatever the verdict where a control did not come out null, the edge of images included.",
        f"Utility is no worse and no better for a control that could not tell (few groups, or wider than ±{_WIDTH}).",
        "Utility is at best a caution where the whole interval of an external test lies below zero.",
        *(_PASTED_RULES if pasted else ()),
        *(_PAINTED_DIVERSITY if painted else _DIVERSITY_RULES),
        "Copies takes the share of near-copies among generated slices, less that among held-out real slices.",
        f"Copies is good up to {percent(COPIES_GOOD, 0)}, a caution to {percent(COPIES_CAUTION, 0)}, else a problem.",
        f"Copies is at best a caution where the median distance is under {TOO_CLOSE} of that of held-out real slices.",
        "Copies is at best a caution where a membership attack does better than guessing, by its whole interval.",
        f"Copies is at best a caution where copies in features exceed those of held-out real by {_FEATURE_POINTS}.",
        *(_PAINTED_RULES if painted else ()),
        "Data quality takes the number of subjects of the rarer diagnosis.",
        f"Data quality is good from {SUBJECTS_GOOD}, a caution from {SUBJECTS_CAUTION}, a problem below.",
        "Data quality is at best a caution where subjects are unknown, or the edge of the images tells the diagnosis.",
        "These limits are conventions of this report, not clinical standards.",
    )
