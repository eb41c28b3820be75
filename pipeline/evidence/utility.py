"""Did synthetic data help? Five arms, the same folds, seeds and steps, tested on the same real slices.

Reads normalised real slices and is handed synthetic images; whoever made them was fitted to the fold's training
part alone, which `flows` arranges and this file cannot know.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from data_contracts.images import ImageSpec, check_images
from data_contracts.manifest import DIAGNOSES
from data_contracts.results import (
    ARMS,
    DUPLICATES_ARM,
    PRIMARY_ARM,
    REFERENCE_ARM,
    Arm,
    ArmScores,
    Difference,
    UtilityComparison,
)
from data_contracts.splits import Fold, Splits, check_splits
from data_contracts.violations import Violation, require
from pipeline.compute import Compute, best_compute
from pipeline.evidence.classifier import ClassifierConfig, predict, train_classifier
from pipeline.evidence.statistics import METRICS, Bootstrap, bootstrap, verdict
from pipeline.run_dir import RunDir, write_table

Images = NDArray[np.float32]
Labels = NDArray[np.int64]


class UtilityConfig(BaseModel):
    """The comparison of arms. `ratio` synthetic slices are added per real training slice, in each diagnosis."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    seeds: int = Field(3, ge=1)
    ratio: float = Field(1.0, gt=0)
    arms: tuple[Arm, ...] = ARMS
    equivalence_margin: float = Field(0.01, gt=0, lt=1)
    bootstrap: int = Field(2000, ge=100)
    classifier: ClassifierConfig = ClassifierConfig()

    @model_validator(mode="after")
    def _can_decide(self) -> Self:
        missing = {REFERENCE_ARM, DUPLICATES_ARM, PRIMARY_ARM} - set(self.arms)
        if missing or len(set(self.arms)) != len(self.arms):
            raise ValueError(f"arms: the verdict needs each once, missing {sorted(missing)}")
        return self


def dose(*, real_diagnoses: Labels, available: Mapping[int, int], ratio: float) -> dict[int, int]:
    """Synthetic slices to add of each diagnosis: `ratio` per real training slice, or as many as there are."""
    wanted = {d: round(ratio * int((real_diagnoses == d).sum())) for d in range(len(DIAGNOSES))}
    return {d: min(n, available.get(d, 0)) for d, n in wanted.items()}


def choose_synthetic(
    *, synthetic: Mapping[str, Images], real_diagnoses: Labels, ratio: float, rng: np.random.Generator
) -> tuple[Images, Labels]:
    """Draw the dose from each diagnosis' synthetic images, without repeats: images (n, 1, S, S), diagnoses (n,)."""
    available = {d: len(synthetic[name]) for d, name in enumerate(DIAGNOSES)}
    counts = dose(real_diagnoses=real_diagnoses, available=available, ratio=ratio)
    drawn = [
        synthetic[name][np.sort(rng.choice(available[d], counts[d], replace=False))] for d, name in enumerate(DIAGNOSES)
    ]
    return np.concatenate(drawn), np.repeat(np.arange(len(DIAGNOSES)), [len(images) for images in drawn])


def train_images(
    *,
    arm: Arm,
    real: Images,
    real_diagnoses: Labels,
    synthetic: Images,
    synthetic_diagnoses: Labels,
    rng: np.random.Generator,
) -> tuple[Images, Labels]:
    """Compose what one arm trains on: images (N, 1, S, S) and diagnoses (N,).

    synthetic: the dose itself, all of it used. The duplicates arm adds copies of real training slices instead,
    of each diagnosis exactly as many, drawn with repeats.
    """
    if arm in ("real", "real+classic"):
        return real, real_diagnoses
    if arm == "synthetic_only":
        return synthetic, synthetic_diagnoses
    if arm == "real+classic+synthetic":
        return np.concatenate([real, synthetic]), np.concatenate([real_diagnoses, synthetic_diagnoses])
    copies = [
        rng.choice(np.flatnonzero(real_diagnoses == d), int((synthetic_diagnoses == d).sum()))
        for d in range(len(DIAGNOSES))
    ]
    rows = np.concatenate([np.arange(len(real)), *copies])
    return real[rows], real_diagnoses[rows]


def check_fold(*, manifest: pd.DataFrame, fold: Fold, real: Images, synthetic: Mapping[str, Images]) -> list[Violation]:
    """The test part is real, no group or subject of it is trained on, and no synthetic image is a test slice."""
    found = check_splits(Splits(seed=0, folds=(fold,)), manifest)
    if len(real) != len(manifest):
        return [*found, Violation(f"fold-{fold.fold}", "rows", f"{len(real)} images, {len(manifest)} in the manifest")]
    spec = ImageSpec(size=real.shape[-1])
    found += check_images(real, spec, f"fold-{fold.fold} real")
    tested = {image.tobytes() for image in real[manifest["group"].isin(fold.test).to_numpy()]}
    for diagnosis in DIAGNOSES:
        record = f"fold-{fold.fold} synthetic {diagnosis}"
        if not len(synthetic.get(diagnosis, ())):
            found.append(Violation(record, "missing", "no synthetic images"))
            continue
        found += check_images(synthetic[diagnosis], spec, record)
        inside = sum(image.tobytes() in tested for image in synthetic[diagnosis])
        if inside:
            found.append(Violation(record, "in the test part", f"{inside} images equal real test slices"))
    return found


@dataclass(frozen=True)
class FoldData:
    """What the arms of one fold share: real training slices, the synthetic ones made from them, the test slices."""

    fold: int
    real: Images
    real_diagnoses: Labels
    synthetic: Mapping[str, Images]
    test: Images
    test_rows: pd.DataFrame  # of the manifest, in the order of `test`


def read_fold(*, run: RunDir, manifest: pd.DataFrame, fold: Fold, synthetic: Mapping[str, Images]) -> FoldData:
    """Read the fold's normalised slices. Raises ContractError where `check_fold` finds a violation."""
    real: Images = np.load(run.normalised(fold.fold), mmap_mode="r")
    require(check_fold(manifest=manifest, fold=fold, real=real, synthetic=synthetic))
    train, test = (manifest["group"].isin(groups).to_numpy() for groups in (fold.train, fold.test))
    diagnoses = manifest["diagnosis"].map(DIAGNOSES.index).to_numpy(np.int64)
    return FoldData(fold.fold, real[train], diagnoses[train], synthetic, real[test], manifest[test])


def predict_arms(
    *,
    run: RunDir,
    manifest: pd.DataFrame,
    fold: Fold,
    synthetic: Mapping[str, Images],
    config: UtilityConfig,
    seed: int,
    compute: Compute | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """Train every arm and seed of one fold and predict the fold's real test slices.

    synthetic: by diagnosis, float32 (N, 1, S, S) in [-1, 1]. Reads `run.normalised(fold.fold)`, in the manifest's
    order. Returns a row an arm, seed and test slice: fold, arm, seed, slice_id, group, diagnosis, probability.
    Each arm and seed is a file of `metrics/predictions/`; one that is there is read, not made again, so a killed
    run resumes. compute: where and how to train; None takes the best there is. progress(done, total) counts
    trainings. Raises ContractError where `check_fold` finds a violation.
    """
    data = read_fold(run=run, manifest=manifest, fold=fold, synthetic=synthetic)
    compute = compute or best_compute()
    trainings = list(product(range(config.seeds), config.arms))
    tables = []
    for done, (index, arm) in enumerate(trainings, start=1):
        path = run.metric(f"predictions/{fold.fold}-{arm.replace('+', '_')}-{index}.parquet")
        if not path.exists():
            write_table(path, predict_arm(data=data, arm=arm, index=index, config=config, seed=seed, compute=compute))
        tables.append(pd.read_parquet(path))
        if progress:
            progress(done, len(trainings))
    return pd.concat(tables, ignore_index=True)


def predict_arm(
    *, data: FoldData, arm: Arm, index: int, config: UtilityConfig, seed: int, compute: Compute
) -> pd.DataFrame:
    """Train one arm once and predict the test slices; columns as in `predict_arms`.

    What is random follows from seed, fold and index alone, so the arms of one index differ only in what they
    train on: the same first weights, the same dose of synthetic slices.
    """
    draw, learn = np.random.SeedSequence([seed, data.fold, index]).spawn(2)
    rng = np.random.default_rng(draw)
    synthetic, synthetic_diagnoses = choose_synthetic(
        synthetic=data.synthetic, real_diagnoses=data.real_diagnoses, ratio=config.ratio, rng=rng
    )
    images, diagnoses = train_images(
        arm=arm,
        real=data.real,
        real_diagnoses=data.real_diagnoses,
        synthetic=synthetic,
        synthetic_diagnoses=synthetic_diagnoses,
        rng=rng,
    )
    model = train_classifier(
        images=images,
        diagnoses=diagnoses,
        classic=arm != "real",
        config=config.classifier,
        seed=int(learn.generate_state(1)[0]),
        compute=compute,
    )
    rows = data.test_rows[["slice_id", "group", "diagnosis"]].reset_index(drop=True)
    keys = pd.DataFrame({"fold": data.fold, "arm": arm, "seed": index}, index=rows.index)
    return pd.concat([keys, rows], axis=1).assign(probability=predict(model, data.test))


def compare(
    predictions: pd.DataFrame, *, config: UtilityConfig, rng: np.random.Generator, n_real: float, n_added: float
) -> UtilityComparison:
    """Compare the arms over all folds and say whether synthetic data helped.

    predictions: the rows of `predict_arms` of every fold evaluated. n_real, n_added: real training slices and
    slices added in one fold, means over folds. Raises ContractError where predictions are incomplete.
    """
    drawn = bootstrap(predictions=predictions, draws=config.bootstrap, rng=rng)
    primary = _difference(drawn, reference=REFERENCE_ARM, config=config)
    to_duplicates = _difference(drawn, reference=DUPLICATES_ARM, config=config)
    return UtilityComparison(
        verdict=verdict(
            to_reference=primary,
            to_duplicates=to_duplicates,
            margin=config.equivalence_margin,
            n_groups=len(drawn.study.groups),
            enough_groups=drawn.enough_groups(),
        ),
        difference=primary,
        difference_to_duplicates=to_duplicates,
        arms=tuple(_arm_scores(drawn, arm=arm, n_real=n_real, n_added=n_added) for arm in config.arms),
    )


def _difference(drawn: Bootstrap, *, reference: Arm, config: UtilityConfig) -> Difference:
    estimate, detectable = drawn.difference(PRIMARY_ARM, reference, "balanced_accuracy")
    return Difference(
        **estimate.model_dump(),
        arm=PRIMARY_ARM,
        reference=reference,
        n_subjects=len(drawn.study.groups),
        n_slices=drawn.study.n_slices,
        n_seeds=drawn.study.n_seeds,
        minimum_detectable_effect=detectable,
        equivalence_margin=config.equivalence_margin,
    )


def _arm_scores(drawn: Bootstrap, *, arm: Arm, n_real: float, n_added: float) -> ArmScores:
    return ArmScores(
        arm=arm,
        n_seeds=drawn.study.n_seeds,
        n_real=0.0 if arm == "synthetic_only" else n_real,
        n_added=0.0 if arm in ("real", "real+classic") else n_added,
        **{metric: drawn.estimate(arm, metric) for metric in METRICS},
    )
