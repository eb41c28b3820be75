"""From a finished run folder to the one record that a report may see."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, TypeVar

import pandas as pd
from pydantic import BaseModel

from data_contracts.manifest import DIAGNOSES, NO_TUMOUR
from data_contracts.results import (
    PRIMARY_ARM,
    REFERENCE_ARM,
    ClassCount,
    CurvePoint,
    DataFlow,
    DiscriminatorScores,
    ExternalTest,
    FeatureMap,
    FidelityScores,
    LesionSource,
    MemorisationScores,
    Occlusions,
    Picture,
    Provenance,
    RuleCount,
    RunSummary,
    ShortcutScores,
    TrainingRecord,
    TransferScores,
    UtilityComparison,
    WayTried,
    WrongCases,
)
from data_contracts.splits import Fold, Splits
from flows.config import RunRecord
from flows.painting import lesions_path, read_bank
from flows.study import CANVAS, record_of, score_path
from pipeline.evidence.locked import locked_tests
from pipeline.evidence.ways import Choice
from pipeline.run_dir import RunDir, read_record
from pipeline.scans.inputs import IngestRecord
from pipeline.scans.normalise import read_normalisation
from pipeline.synthesis import model_dir
from pipeline.synthesis.augment import STRONGEST
from pipeline.synthesis.config import GanConfig
from pipeline.synthesis.painter import TrainedPainter

M = TypeVar("M", bound=BaseModel)


def summarise(
    run: RunDir,
    *,
    fidelity: Sequence[FidelityScores],
    memorisation: Sequence[MemorisationScores],
    shortcuts: Sequence[ShortcutScores],
    pictures: Sequence[Picture],
    occlusions: Occlusions | None = None,
    wrong: WrongCases | None = None,
) -> RunSummary:
    """Gather what the stages measured."""
    record = record_of(run)
    comparison = read_record(run.metric("utility.json"), UtilityComparison)
    # folds of a learning curve are told of by the curve alone
    splits = read_record(run.splits, Splits)
    folds = splits.whole.folds
    training = tuple(one for fold in folds for one in _trainings(run, record, fold))
    return RunSummary(
        verdict=comparison.verdict,
        difference=comparison.difference,
        difference_to_duplicates=comparison.difference_to_duplicates,
        difference_to_copy_paste=comparison.difference_to_copy_paste,
        copy_paste=comparison.copy_paste,
        data=_data_flow(run, record, folds),
        shortcuts=tuple(shortcuts),
        arms=comparison.arms,
        arm_details=comparison.arm_details,
        statistics=comparison.statistics,
        dose=comparison.dose,
        learning=comparison.learning,
        controls=comparison.controls,
        external=_external(run),
        fidelity=tuple(fidelity),
        discriminators=tuple(told for one in training if (told := _discriminator(one)) is not None),
        memorisation=tuple(memorisation),
        transfer=tuple(_by_fold(run, "transfer", folds, TransferScores)),
        ways=tuple(_ways(run, folds)),
        lesions=tuple(_lesions(run, folds)),
        maps=tuple(_maps(run, folds)),
        occlusions=occlusions,
        wrong=wrong,
        training=training,
        pictures=tuple(pictures),
        warnings=tuple(_warnings(run, record, splits, memorisation)),
        provenance=Provenance(
            preset=record.preset,
            seed=record.seed,
            versions=record.versions,
            config=record.config.model_dump(mode="json"),
            config_digest=record.config_digest,
            source_digest=record.source_digest,
            external_digest=record.external_digest,
        ),
    )


def _data_flow(run: RunDir, record: RunRecord, folds: Sequence[Fold]) -> DataFlow:
    manifest = pd.read_parquet(run.manifest)
    ingested = read_record(run.ingest_json, IngestRecord)
    return DataFlow(
        files_found=ingested.files_found,
        slices_used=len(manifest),
        subjects=manifest["group"].nunique(),
        subjects_known=ingested.subjects_known,
        label_rules=tuple(sorted(manifest["label_rule"].unique())),
        sequences=tuple(sorted(manifest["sequence"].unique())),
        planes=tuple(sorted(manifest["plane"].unique())),
        out=tuple(_rules(pd.read_csv(run.quarantine, dtype=str))),
        review=tuple(_rules(pd.read_csv(run.review, dtype=str))),
        classes=tuple(_class_count(manifest, folds[0], diagnosis) for diagnosis in DIAGNOSES),
        exact_duplicates=ingested.exact_duplicates,
        near_duplicate_pairs=ingested.near_duplicate_pairs,
        image_size=record.config.normalise.size,
        folds_evaluated=len(folds) // record.config.split.repeats,
        folds_drawn=record.config.split.folds_drawn,
        repeats=record.config.split.repeats,
    )


def _rules(findings: pd.DataFrame) -> list[RuleCount]:
    return [
        RuleCount.model_validate(
            {"outcome": outcome, "rule": rule, "count": len(rows), "example": rows["detail"].iloc[0]}
        )
        for (outcome, rule), rows in findings.groupby(["outcome", "rule"], sort=True)
    ]


def _class_count(manifest: pd.DataFrame, fold: Fold, diagnosis: str) -> ClassCount:
    rows = manifest[manifest["diagnosis"] == diagnosis]
    train, test = rows[rows["group"].isin(fold.train)], rows[rows["group"].isin(fold.test)]
    return ClassCount(
        diagnosis=diagnosis,
        subjects=rows["group"].nunique(),
        slices=len(rows),
        train_subjects=train["group"].nunique(),
        train_slices=len(train),
        test_subjects=test["group"].nunique(),
        test_slices=len(test),
    )


def _by_fold(run: RunDir, name: str, folds: Sequence[Fold], kind: type[M]) -> Iterator[M]:
    """Records of metrics/NAME/FOLD.json, where that was measured."""
    for fold in folds:
        path = run.metric(f"{name}/{fold.fold}.json")
        if path.exists():
            yield from (kind.model_validate(one) for one in json.loads(path.read_bytes()))


def _ways(run: RunDir, folds: Sequence[Fold]) -> Iterator[WayTried]:
    for fold in folds:
        path = run.metric(f"predictions/{fold.fold}-way.json")
        if path.exists():
            yield from read_record(path, Choice).tried


def _lesions(run: RunDir, folds: Sequence[Fold]) -> Iterator[LesionSource]:
    for fold in folds:
        if lesions_path(run, fold.fold).exists():
            yield read_record(lesions_path(run, fold.fold), LesionSource)


def _maps(run: RunDir, folds: Sequence[Fold]) -> Iterator[FeatureMap]:
    for path in (score_path(run, "map", folds[0].fold, diagnosis) for diagnosis in DIAGNOSES):
        if path.exists():
            yield read_record(path, FeatureMap)


def _trainings(run: RunDir, record: RunRecord, fold: Fold) -> Iterator[TrainingRecord]:
    """How the GANs and painters of one fold were trained."""
    how = record.config.synthesis
    if how.dreams:
        yield _training(run, fold, NO_TUMOUR, model=CANVAS)
    for diagnosis in DIAGNOSES:
        yield _painter_training(run, fold, diagnosis) if how.paints else _training(run, fold, diagnosis)


def _training(run: RunDir, fold: Fold, diagnosis: str, *, model: str | None = None) -> TrainingRecord:
    """How one GAN was trained; model: its name in the run, where that is not the diagnosis."""
    folder = run.model(fold.fold, model or diagnosis)
    trained = read_record(model_dir.config_path(folder), model_dir.TrainedGan)
    told = {"n_slices", "n_subjects", "images_seen", "generator_parameters", "discriminator_parameters"}
    told |= {"n_held_out", "watched", "alarms", "stopped", "kept_at", "best_wrong", "joint_until", "joint_ticks"}
    told |= {"unimproved_since"}
    return TrainingRecord.model_validate(
        {
            **trained.model_dump(include=told),
            "fold": fold.fold,
            "diagnosis": diagnosis,
            "maker": "generator",
            "confirm": trained.gan.watch.confirm,
            "augmented": _stronger_after_alarm(trained.gan),
            "curve": _ticks(folder),
        }
    )


def _painter_training(run: RunDir, fold: Fold, diagnosis: str) -> TrainingRecord:
    """How one painter was trained: on slices of both diagnoses, one of them to paint on."""
    folder = run.model(fold.fold, diagnosis)
    trained = read_record(model_dir.config_path(folder), TrainedPainter)
    bank, _ = read_bank(run, fold.fold)
    told = {"diagnosis", "images_seen", "generator_parameters", "discriminator_parameters"}
    return TrainingRecord.model_validate(
        {
            **trained.model_dump(include=told),
            "fold": fold.fold,
            "maker": "painter",
            "n_slices": len(bank.tumour) + len(bank.no_tumour),
            "n_subjects": len({*bank.tumour_groups, *bank.no_tumour_groups}),
            "curve": _ticks(folder),
        }
    )


def _ticks(folder: Path) -> list[dict[str, object]]:
    """The curve of one training, as far as a report shows it."""
    curve = model_dir.read_curve(folder)
    ticks = curve[[name for name in CurvePoint.model_fields if name in curve]].to_dict("records")
    # no watch: NaN in a table, None in a record
    return [
        {str(name): None if value == "" or pd.isna(value) else value for name, value in tick.items()} for tick in ticks
    ]


def _discriminator(training: TrainingRecord) -> DiscriminatorScores | None:
    """What the discriminator could tell at the tick of the kept generator; None where no watch noted it."""
    kept = training.images_seen if training.kept_at is None else training.kept_at
    asked = [tick for tick in training.curve if tick.images_seen == kept and tick.accuracy_synthetic is not None]
    if not asked:
        return None
    tick = asked[-1]  # an earlier attempt may have passed here too
    held_out = tick.accuracy_held_out is not None
    sensitivity, specificity = tick.accuracy_synthetic, tick.accuracy_held_out if held_out else tick.accuracy_training
    n_real, n_synthetic = training.n_held_out if held_out else tick.n_judged_training, tick.n_judged_synthetic
    if sensitivity is None or specificity is None or n_real is None or n_synthetic is None:
        return None
    accuracy = (sensitivity + specificity) / 2
    return DiscriminatorScores(
        fold=training.fold,
        diagnosis=training.diagnosis,
        on="held_out_real" if held_out else "training",
        n_real=n_real,
        n_synthetic=n_synthetic,
        error_rate=1 - accuracy,
        accuracy=accuracy,
        sensitivity=sensitivity,
        specificity=specificity,
    )


def _external(run: RunDir) -> ExternalTest | None:
    """What the locked test set said, where there was one: the comparison of its own run."""
    locked = run.external
    if not locked.metric("utility.json").exists():
        return None
    comparison = read_record(locked.metric("utility.json"), UtilityComparison)
    predictions = pd.read_parquet(locked.metric("predictions.parquet"))
    # slices of unknown patients may be of one, and the tests are of independent cases
    known = read_record(locked.locked_scans.ingest_json, IngestRecord).subjects_known
    tests = locked_tests(predictions=predictions, arm=PRIMARY_ARM, reference=REFERENCE_ARM) if known else (None, None)
    return ExternalTest(
        n_subjects=comparison.difference.n_subjects,
        n_slices=comparison.difference.n_slices,
        left_out=json.loads(locked.left_out.read_bytes()),
        subjects_known=known,
        arms=comparison.arms,
        difference=comparison.difference,
        mcnemar_p=tests[0],
        delong_p=tests[1],
    )


def _stronger_after_alarm(config: GanConfig) -> bool:
    """Whether an alarm makes augmentation stronger: not where there is none, or where it adapts, or is at its end."""
    augmentation = config.augmentation
    fixed = augmentation.target is None and 0 < augmentation.strength < STRONGEST
    return fixed and config.watch.augmentation_factor > 1


_UNDONE: Final = {
    "skull_kept": "the skull could not be found and was left on",
    "bias_kept": "shading could not be corrected",
}


def _warnings(run: RunDir, record: RunRecord, splits: Splits, memorisation: Sequence[MemorisationScores]) -> list[str]:
    found = []
    if record.preset == "smoke":
        found.append(
            "The smoke preset only shows that the program runs. None of its figures says anything of the data."
        )
    if record.config.utility.seeds == 1:
        found.append(
            "Each arm was trained once a fold, so the intervals speak of these classifiers alone: another training of "
            "the same arms may come out otherwise. Set utility.seeds to 2 or more."
        )
    missing = sorted(set(record.config.split.shares) - {fold.share for fold in splits.folds})
    found += [
        f"The learning curve has no point at {share:.0%} of the subjects: too few would be left of a diagnosis."
        for share in missing
    ]
    for fold in splits.whole.folds:
        undone = read_normalisation(run, fold.fold).undone
        found += [
            f"Fold {fold.fold}, normalisation: {_UNDONE[what]} in {n} training slices." for what, n in undone.items()
        ]
    found += [
        f"Fold {s.fold}, {s.diagnosis}: only {s.n_kept} of {s.n_generated} generated slices passed the screen."
        for s in memorisation
        if s.n_kept < s.n_generated / 2
    ]
    return found
