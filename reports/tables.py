"""The tables of the report: pure functions from records to rows of text, every number with its unit and its n."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from data_contracts.results import (
    ArmScores,
    DataFlow,
    Difference,
    FidelityScores,
    MemorisationScores,
    MetricSet,
    ShortcutScores,
    TrainingRecord,
)
from reports.numbers import count, decimal, percent, percent_interval, plain_interval, points, slices, units
from reports.wording import PerThousand, alarm_possible, arm_name, diagnosis_name, looks, rule_name


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


def differences_table(compared: Sequence[Difference], *, known: bool) -> Table:
    """The differences that decide, with what the study could have seen."""
    rows = tuple(
        (
            f"{arm_name(d.arm)} − {arm_name(d.reference).lower()}",
            f"{points(d.estimate)} points",
            f"{points(d.low)} to {points(d.high)} points",
            f"{slices(d.n_slices)} of {units(d.n_subjects, known=known)}, {count(d.n_seeds, 'run', 'runs')} an arm",
            f"±{decimal(100 * d.equivalence_margin, 1)} points",
            f"{decimal(100 * d.minimum_detectable_effect, 1)} points",
        )
        for d in compared
    )
    columns = ("Difference", "Estimate", "95 % interval", "n", "Called no difference", "Smallest it could see")
    return Table("The two differences that decide, in percentage points.", columns, rows)


def fidelity_table(fidelity: Sequence[FidelityScores]) -> Table:
    """Synthetic and held-out real slices, judged alike, a row each."""
    rows = tuple(
        row
        for scores in fidelity
        for row in (
            _metric_row(scores, "synthetic", scores.synthetic),
            _metric_row(scores, "held-out real", scores.held_out_real),
        )
    )
    columns = ("Slices", "Fold", "n", "Precision", "Recall", "Density", "Coverage", "KID", "Spread")
    k = sorted({scores.k for scores in fidelity})
    caption = (
        "Synthetic and held-out real slices against the same real training slices. KID ± standard error, lower is "
        f"nearer; density and spread are 1 where as in training; k = {', '.join(map(str, k))} neighbours."
    )
    return Table(caption, columns, rows)


def _metric_row(scores: FidelityScores, origin: str, metrics: MetricSet) -> tuple[str, ...]:
    return (
        f"{diagnosis_name(scores.diagnosis)}, {origin}",
        str(scores.fold),
        f"{scores.n:,}",
        percent(metrics.precision, 0),
        percent(metrics.recall, 0),
        decimal(metrics.density, 2),
        percent(metrics.coverage, 0),
        f"{decimal(metrics.kid, 4)} ± {decimal(metrics.kid_standard_error, 4)}",
        decimal(metrics.spread, 2),
    )


def memorisation_table(memorisation: Sequence[MemorisationScores]) -> Table:
    """What the screen refused, and distances beside those of held-out real slices."""
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
        )
        for scores in memorisation
    )
    columns = (
        "Slices", "Fold", "Generated, n", "Near-copies refused, n", "Broken refused, n", "Kept, n",
        "Held-out real by the same rule", "Near-copy below",
        "Median distance, synthetic", "Median distance, held-out real",
    )  # fmt: skip
    caption = (
        "Distance to the nearest training slice, relative to the next patient’s: 0 is a copy, "
        "1 is no nearer to one patient than to the next."
    )
    return Table(caption, columns, rows)


def training_table(training: Sequence[TrainingRecord], *, known: bool) -> Table:
    """What each generator learned from and how long."""
    rows = tuple(
        (
            diagnosis_name(record.diagnosis),
            str(record.fold),
            f"{slices(record.n_slices)} of {units(record.n_subjects, known=known)}",
            count(record.images_seen, "image", "images"),
            f"{record.generator_parameters:,}",
            f"{record.discriminator_parameters:,}",
            _alarms(record),
            "–" if record.kept_at is None else f"at {count(record.kept_at, 'image', 'images')}",
        )
        for record in training
    )
    columns = (
        "Generator of", "Fold", "Learned from", "Shown", "Weights, generator", "Weights, discriminator",
        "Alarms of the collapse watch", "Kept",
    )  # fmt: skip
    return Table("The generators that were trained, each only on the training part of its fold.", columns, rows)


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
