"""Did synthetic data help? Five arms, the same folds, seeds and steps, tested on the same real slices.

Reads normalised real slices and is handed synthetic images; whoever made them was fitted to the fold's training
part alone, which `flows` arranges and this file cannot know. Beside the arms that decide stand other doses of
synthetic slices, folds of a learning curve, and controls that must come out null. `comparison` reads what comes out.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Final, Self

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, model_validator

from data_contracts import splits
from data_contracts.images import ImageSpec, check_images
from data_contracts.manifest import DIAGNOSES
from data_contracts.results import (
    ARMS,
    DUPLICATES_ARM,
    PRIMARY_ARM,
    PRIMARY_RATIO,
    REFERENCE_ARM,
    Arm,
)
from data_contracts.splits import Fold
from data_contracts.violations import Violation, require
from pipeline.compute import Compute, best_compute
from pipeline.evidence.arms import (
    COLLAPSED_TO,
    Images,
    Labels,
    Training,
    choose_synthetic,
    deal_anew,
    plan,
    train_images,
)
from pipeline.evidence.classifier import ClassifierConfig, predict_logits, train_classifier
from pipeline.evidence.classifier_networks import Classifier
from pipeline.evidence.temperature import Temperature, calibrated, fit_temperature, hold_out
from pipeline.formats.raster import to_uint8
from pipeline.run_dir import RunDir, read_record, write_record, write_table

# trainings of each control and fold: with one, its interval would say nothing of how diagnoses were dealt
CONTROL_SEEDS: Final = 2


class UtilityConfig(BaseModel):
    """The comparison of arms; PRIMARY_RATIO synthetic slices a real training slice decide, in each diagnosis.

    doses: other such ratios, tried beside it. calibrate: one more training an arm and fold finds the temperature of
    its probabilities. controls: trainings that must come out null. prevalence: at which predictive values are stated;
    at_specificity: at which a sensitivity is.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    seeds: int = Field(3, ge=1)
    doses: tuple[Annotated[float, Field(gt=0)], ...] = ()
    arms: tuple[Arm, ...] = ARMS
    calibrate: bool = True
    controls: bool = True
    equivalence_margin: float = Field(0.01, gt=0, lt=1)
    prevalence: float = Field(0.1, gt=0, lt=1)
    at_specificity: float = Field(0.9, gt=0, lt=1)
    bootstrap: int = Field(2000, ge=100)
    classifier: ClassifierConfig = ClassifierConfig()

    @model_validator(mode="after")
    def _can_decide(self) -> Self:
        missing = {REFERENCE_ARM, DUPLICATES_ARM, PRIMARY_ARM} - set(self.arms)
        if missing or len(set(self.arms)) != len(self.arms):
            raise ValueError(f"arms: the verdict needs each once, missing {sorted(missing)}")
        if PRIMARY_RATIO in self.doses or len(set(self.doses)) != len(self.doses):
            raise ValueError(f"doses: want each once, and {PRIMARY_RATIO} is always tried")
        return self


def synthetic_wanted(*, n_real: int, fold: Fold, config: UtilityConfig) -> int:
    """Synthetic slices of one diagnosis that a fold's largest dose takes, for n_real real training slices of it."""
    largest = max((PRIMARY_RATIO, *config.doses)) if fold.whole else PRIMARY_RATIO
    return max(1, round(largest * n_real))


def check_fold(*, manifest: pd.DataFrame, fold: Fold, real: Images, synthetic: Mapping[str, Images]) -> list[Violation]:
    """The test part is real, no group or subject of it is trained on, and no synthetic image is a test slice.

    Images are compared in 8 bits: synthetic ones come out of PNG files and real ones do not.
    """
    found = splits.check_fold(fold, manifest)
    if len(real) != len(manifest):
        return [*found, Violation(f"fold-{fold.fold}", "rows", f"{len(real)} images, {len(manifest)} in the manifest")]
    spec = ImageSpec(size=real.shape[-1])
    found += check_images(real, spec, f"fold-{fold.fold} real")
    tested = {to_uint8(image).tobytes() for image in real[manifest["group"].isin(fold.test).to_numpy()]}
    for diagnosis in DIAGNOSES:
        record = f"fold-{fold.fold} synthetic {diagnosis}"
        if not len(synthetic.get(diagnosis, ())):
            found.append(Violation(record, "missing", "no synthetic images"))
            continue
        found += check_images(synthetic[diagnosis], spec, record)
        inside = sum(to_uint8(image).tobytes() in tested for image in synthetic[diagnosis])
        if inside:
            found.append(Violation(record, "in the test part", f"{inside} images equal real test slices"))
    return found


@dataclass(frozen=True)
class FoldData:
    """What the trainings of one fold share: real training slices, the synthetic ones made from them, the test slices.

    real (N, 1, S, S) float32 in [-1, 1] with real_diagnoses (N,) and real_groups (N,); synthetic by diagnosis; test
    likewise, test_rows of the manifest in its order.
    """

    fold: Fold
    real: Images
    real_diagnoses: Labels
    real_groups: pd.Series
    synthetic: Mapping[str, Images]
    test: Images
    test_rows: pd.DataFrame


def read_fold(*, run: RunDir, manifest: pd.DataFrame, fold: Fold, synthetic: Mapping[str, Images]) -> FoldData:
    """Read the fold's normalised slices. Raises ContractError where `check_fold` finds a violation."""
    real: Images = np.load(run.normalised(fold.fold), mmap_mode="r")
    require(check_fold(manifest=manifest, fold=fold, real=real, synthetic=synthetic))
    train, test = (manifest["group"].isin(groups).to_numpy() for groups in (fold.train, fold.test))
    diagnoses = manifest["diagnosis"].map(DIAGNOSES.index).to_numpy(np.int64)
    return FoldData(
        fold=fold,
        real=real[train],
        real_diagnoses=diagnoses[train],
        real_groups=manifest.loc[train, "group"].reset_index(drop=True),
        synthetic=synthetic,
        test=real[test],
        test_rows=manifest[test],
    )


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
    """Train every arm, dose, control and seed of one fold and predict the fold's real test slices.

    synthetic: by diagnosis, float32 (N, 1, S, S) in [-1, 1]. Reads `run.normalised(fold.fold)`, in the manifest's
    order. Returns a row a training and test slice: fold, share, arm, ratio, control, seed, slice_id, group,
    diagnosis, probability (at equal prevalence; calibrated in the arms of a whole fold at PRIMARY_RATIO), and of the
    training part n_subjects, n_real, n_added. Each training is a file of `metrics/predictions/`; one that is there
    is read, not made again, so a killed run resumes. compute: where and how to train; None takes the best there is.
    progress(done, total) counts trainings. Raises ContractError where `check_fold` finds a violation.
    """
    data = read_fold(run=run, manifest=manifest, fold=fold, synthetic=synthetic)
    compute = compute or best_compute()
    trainings = plan(
        whole=fold.whole,
        seeds=config.seeds,
        arms=config.arms,
        doses=config.doses,
        control_seeds=min(CONTROL_SEEDS, config.seeds) if config.controls else 0,
    )
    calibrate = config.arms if config.calibrate and fold.whole else ()
    total = len(calibrate) + len(trainings)
    found, tables = {}, []
    for done, arm in enumerate(calibrate, start=1):
        path = run.metric(f"predictions/{fold.fold}-{arm.replace('+', '_')}-temperature.json")
        if not path.exists():
            write_record(path, find_temperature(data=data, arm=arm, config=config, seed=seed, compute=compute))
        found[arm] = read_record(path, Temperature).temperature
        if progress:
            progress(done, total)
    for done, training in enumerate(trainings, start=1 + len(calibrate)):
        path = run.metric(f"predictions/{fold.fold}-{training.name}.parquet")
        decides = training == Training(training.arm, training.index)
        if not path.exists():
            temperature = found.get(training.arm, 1.0) if decides else 1.0
            write_table(
                path,
                predict_training(
                    data=data, training=training, temperature=temperature, config=config, seed=seed, compute=compute
                ),
            )
        tables.append(pd.read_parquet(path))
        if progress:
            progress(done, total)
    return pd.concat(tables, ignore_index=True)


def find_temperature(*, data: FoldData, arm: Arm, config: UtilityConfig, seed: int, compute: Compute) -> Temperature:
    """Train one arm once more without a fifth of the training groups, and fit the temperature on their real slices.

    The same slices are kept aside for every arm, and nothing here sees a test slice. The generators did see those
    kept aside, as they saw all of the training part.
    """
    aside_rng = np.random.default_rng(_seeds(seed, data.fold.fold, 0)[3])
    diagnoses = pd.Series([DIAGNOSES[d] for d in data.real_diagnoses])
    aside = hold_out(groups=data.real_groups, diagnoses=diagnoses, rng=aside_rng)
    rest = replace(
        data,
        real=data.real[~aside],
        real_diagnoses=data.real_diagnoses[~aside],
        real_groups=data.real_groups[~aside].reset_index(drop=True),
    )
    learned = learn(data=rest, training=Training(arm, 0), config=config, seed=seed, compute=compute)
    return Temperature(
        temperature=fit_temperature(
            logits=predict_logits(learned.model, data.real[aside]), diagnoses=data.real_diagnoses[aside]
        ),
        n_subjects=int(data.real_groups[aside].nunique()),
        n_slices=int(aside.sum()),
    )


def predict_training(
    *, data: FoldData, training: Training, temperature: float, config: UtilityConfig, seed: int, compute: Compute
) -> pd.DataFrame:
    """Train once and predict the test slices; columns as in `predict_arms`."""
    learned = learn(data=data, training=training, config=config, seed=seed, compute=compute)
    rows = data.test_rows[["slice_id", "group", "diagnosis"]].reset_index(drop=True)
    keys = pd.DataFrame(
        {
            "fold": data.fold.fold,
            "share": data.fold.share,
            "arm": training.arm,
            "ratio": training.ratio,
            "control": training.control,
            "seed": training.index,
        },
        index=rows.index,
    )
    return pd.concat([keys, rows], axis=1).assign(
        probability=calibrated(predict_logits(learned.model, data.test), temperature=temperature),
        n_subjects=len(data.fold.train),
        n_real=learned.n_real,
        n_added=learned.n_added,
    )


@dataclass(frozen=True)
class Learned:
    """A trained classifier, and how many real slices and slices added to them it learned from."""

    model: Classifier
    n_real: int
    n_added: int


def learn(*, data: FoldData, training: Training, config: UtilityConfig, seed: int, compute: Compute) -> Learned:
    """Train one classifier of a fold.

    What is random follows from seed, fold and index alone, so the trainings of one index differ only in what they
    train on: the same first weights, the same synthetic slices, more or fewer of them.
    """
    drawing, learning, dealing, _ = _seeds(seed, data.fold.fold, training.index)
    rng = np.random.default_rng(drawing)
    real_diagnoses = data.real_diagnoses
    if training.control == "permuted_diagnoses":
        real_diagnoses = deal_anew(
            groups=data.real_groups, diagnoses=real_diagnoses, rng=np.random.default_rng(dealing)
        )
    synthetic, synthetic_diagnoses = choose_synthetic(
        synthetic=data.synthetic,
        real_diagnoses=real_diagnoses,
        ratio=training.ratio,
        rng=rng,
        distinct=COLLAPSED_TO if training.control == "collapsed_generator" else None,
    )
    images, diagnoses = train_images(
        arm=training.arm,
        real=data.real,
        real_diagnoses=real_diagnoses,
        synthetic=synthetic,
        synthetic_diagnoses=synthetic_diagnoses,
        rng=rng,
    )
    model = train_classifier(
        images=images,
        diagnoses=diagnoses,
        classic=training.arm != "real",
        config=config.classifier,
        seed=int(learning.generate_state(1)[0]),
        compute=compute,
    )
    n_real = 0 if training.arm == "synthetic_only" else len(data.real)
    return Learned(model, n_real, len(images) - n_real)


def _seeds(seed: int, fold: int, index: int) -> list[np.random.SeedSequence]:
    """To draw synthetic slices and copies, to learn, to deal diagnoses anew, to keep groups aside."""
    return np.random.SeedSequence([seed, fold, index]).spawn(4)
