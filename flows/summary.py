"""From a finished run folder to the one record that a report may see."""

from collections.abc import Sequence
from typing import Final

import pandas as pd

from data_contracts.manifest import DIAGNOSES
from data_contracts.results import (
    ClassCount,
    CurvePoint,
    DataFlow,
    FidelityScores,
    MemorisationScores,
    Picture,
    Provenance,
    RuleCount,
    RunSummary,
    ShortcutScores,
    TrainingRecord,
    UtilityComparison,
)
from data_contracts.splits import Fold, Splits
from flows.config import RunRecord
from pipeline.run_dir import RunDir, read_record
from pipeline.scans.inputs import IngestRecord
from pipeline.scans.normalise import read_normalisation
from pipeline.synthesis import model_dir
from pipeline.synthesis.augment import STRONGEST
from pipeline.synthesis.config import GanConfig


def summarise(
    run: RunDir,
    *,
    fidelity: Sequence[FidelityScores],
    memorisation: Sequence[MemorisationScores],
    shortcuts: Sequence[ShortcutScores],
    pictures: Sequence[Picture],
) -> RunSummary:
    """Gather what the stages measured."""
    record = read_record(run.run_json, RunRecord)
    comparison = read_record(run.metric("utility.json"), UtilityComparison)
    folds = read_record(run.splits, Splits).folds
    return RunSummary(
        verdict=comparison.verdict,
        difference=comparison.difference,
        difference_to_duplicates=comparison.difference_to_duplicates,
        data=_data_flow(run, record, folds),
        shortcuts=tuple(shortcuts),
        arms=comparison.arms,
        fidelity=tuple(fidelity),
        memorisation=tuple(memorisation),
        training=tuple(_training(run, fold.fold, diagnosis) for fold in folds for diagnosis in DIAGNOSES),
        pictures=tuple(pictures),
        warnings=tuple(_warnings(run, record, folds, memorisation)),
        provenance=Provenance(
            preset=record.preset,
            seed=record.seed,
            versions=record.versions,
            config=record.config.model_dump(mode="json"),
            config_digest=record.config_digest,
            source_digest=record.source_digest,
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
        folds_evaluated=len(folds),
        folds_drawn=record.config.split.folds_drawn,
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


def _training(run: RunDir, fold: int, diagnosis: str) -> TrainingRecord:
    """How one GAN was trained."""
    folder = run.model(fold, diagnosis)
    trained = read_record(model_dir.config_path(folder), model_dir.TrainedGan)
    told = {"n_slices", "n_subjects", "images_seen", "generator_parameters", "discriminator_parameters"}
    told |= {"n_held_out", "watched", "alarms", "stopped", "kept_at", "best_wrong", "joint_until", "joint_ticks"}
    curve = model_dir.read_curve(folder)
    ticks = curve[[name for name in CurvePoint.model_fields if name in curve]].to_dict("records")
    return TrainingRecord.model_validate(
        {
            **trained.model_dump(include=told),
            "fold": fold,
            "diagnosis": diagnosis,
            "confirm": trained.gan.watch.confirm,
            "augmented": _stronger_after_alarm(trained.gan),
            "curve": [  # no watch: NaN in a table, None in a record
                {name: None if value == "" or pd.isna(value) else value for name, value in tick.items()}
                for tick in ticks
            ],
        }
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


def _warnings(
    run: RunDir, record: RunRecord, folds: Sequence[Fold], memorisation: Sequence[MemorisationScores]
) -> list[str]:
    found = []
    if record.preset == "smoke":
        found.append(
            "The smoke preset only shows that the program runs. None of its figures says anything of the data."
        )
    for fold in folds:
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
