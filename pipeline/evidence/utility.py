"""Did synthetic data help? The arms, the same folds, seeds and steps, tested on the same real slices.

Reads normalised real slices and is handed synthetic images; whoever made them was fitted to the fold's training
part alone, which `flows` arranges and this file cannot know. Beside the arms that decide stand other doses of
synthetic slices, folds of a learning curve, and controls that must come out null. `comparison` reads what comes out.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Final, Literal, Self

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, model_validator

from data_contracts import splits
from data_contracts.images import ImageSpec, check_images
from data_contracts.manifest import DIAGNOSES
from data_contracts.results import (
    ARMS,
    DUPLICATES_ARM,
    PASTED_ARM,
    PRIMARY_ARM,
    PRIMARY_RATIO,
    REFERENCE_ARM,
    Arm,
    Way,
    WayTried,
)
from data_contracts.splits import Fold
from data_contracts.violations import Violation, require
from pipeline.compute import Compute, best_compute
from pipeline.evidence.arms import (
    ADDING_ARMS,
    COLLAPSED_TO,
    FoldData,
    Images,
    Sources,
    Training,
    choose_pasted,
    choose_synthetic,
    deal_anew,
    plan,
    train_images,
)
from pipeline.evidence.classifier import ClassifierConfig, predict_logits, train_classifier
from pipeline.evidence.classifier_networks import Classifier
from pipeline.evidence.temperature import Temperature, calibrated, fit_temperature, hold_out
from pipeline.evidence.ways import Choice, WaysConfig, choose_way, schedule
from pipeline.formats.raster import to_uint8
from pipeline.run_dir import RunDir, read_record, write_record, write_table

__all__ = [
    "FoldData",
    "Learned",
    "UtilityConfig",
    "check_fold",
    "find_temperature",
    "find_way",
    "learn",
    "predict_arms",
    "predict_training",
    "read_fold",
    "synthetic_wanted",
]

# what is done with a training's classifier and its temperature
Keep = Callable[[Training, Classifier, float], None]

# trainings of each control and fold: with one, its interval would say nothing of how diagnoses were dealt
CONTROL_SEEDS: Final = 2


class UtilityConfig(BaseModel):
    """The comparison of arms; PRIMARY_RATIO synthetic slices a real training slice decide, in each diagnosis.

    doses: other such ratios, tried beside it. calibrate: one more training an arm and fold finds the temperature of
    its probabilities. controls: trainings that must come out null. way: how slices added to the real ones are used, in
    all arms alike; `best` chooses for each fold among `ways.tried`, on inner folds. prevalence: at which predictive
    values are stated; at_specificity: at which a sensitivity is.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    seeds: int = Field(3, ge=1)
    doses: tuple[Annotated[float, Field(gt=0)], ...] = ()
    arms: tuple[Arm, ...] = ARMS
    way: Way | Literal["best"] = "mix"
    ways: WaysConfig = WaysConfig()
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


def check_fold(
    *,
    manifest: pd.DataFrame,
    fold: Fold,
    real: Images,
    synthetic: Mapping[str, Images],
    pasted: Mapping[str, Images] | None = None,
    sources: Sources | None = None,
    pasted_sources: Sources | None = None,
) -> list[Violation]:
    """The test part is real, no group or subject of it is trained on, and no synthetic or pasted image is of it.

    Such an image is no test slice, and contains none as far as sources tell. Images are compared in 8 bits:
    synthetic ones come out of PNG files and real ones do not.
    """
    found = splits.check_fold(fold, manifest)
    if len(real) != len(manifest):
        return [*found, Violation(f"fold-{fold.fold}", "rows", f"{len(real)} images, {len(manifest)} in the manifest")]
    spec = ImageSpec(size=real.shape[-1])
    found += check_images(real, spec, f"fold-{fold.fold} real")
    tested = {to_uint8(image).tobytes() for image in real[manifest["group"].isin(fold.test).to_numpy()]}
    for kind, images, origin in (("synthetic", synthetic, sources), ("pasted", pasted, pasted_sources)):
        for diagnosis in DIAGNOSES if images is not None else ():
            record = f"fold-{fold.fold} {kind} {diagnosis}"
            if images is None or not len(images.get(diagnosis, ())):
                found.append(Violation(record, "missing", f"no {kind} images"))
                continue
            found += check_images(images[diagnosis], spec, record)
            inside = sum(to_uint8(image).tobytes() in tested for image in images[diagnosis])
            if inside:
                found.append(Violation(record, "in the test part", f"{inside} images equal real test slices"))
            if origin is not None:
                found += _check_sources(origin.get(diagnosis, ()), n=len(images[diagnosis]), fold=fold, record=record)
    return found


def _check_sources(sources: Sequence[Set[str]], *, n: int, fold: Fold, record: str) -> list[Violation]:
    """Of n images each: groups of the training part."""
    if len(sources) != n:
        return [Violation(record, "sources", f"of {len(sources)} images, there are {n}")]
    outside = sum(not of <= set(fold.train) for of in sources)
    return [Violation(record, "source not trained on", f"of {outside} images")] if outside else []


def read_fold(
    *,
    run: RunDir,
    manifest: pd.DataFrame,
    fold: Fold,
    synthetic: Mapping[str, Images],
    pasted: Mapping[str, Images] | None = None,
    sources: Sources | None = None,
    pasted_sources: Sources | None = None,
) -> FoldData:
    """Read the fold's normalised slices. Raises ContractError where `check_fold` finds a violation."""
    real: Images = np.load(run.normalised(fold.fold), mmap_mode="r")
    require(
        check_fold(
            manifest=manifest,
            fold=fold,
            real=real,
            synthetic=synthetic,
            pasted=pasted,
            sources=sources,
            pasted_sources=pasted_sources,
        )
    )
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
        pasted=pasted,
        sources=sources,
        pasted_sources=pasted_sources,
    )


def predict_arms(
    *,
    run: RunDir,
    manifest: pd.DataFrame,
    fold: Fold,
    synthetic: Mapping[str, Images],
    config: UtilityConfig,
    seed: int,
    pasted: Mapping[str, Images] | None = None,
    sources: Sources | None = None,
    pasted_sources: Sources | None = None,
    compute: Compute | None = None,
    progress: Callable[[int, int], None] | None = None,
    keep: Keep | None = None,
) -> pd.DataFrame:
    """Train every arm, dose, control and seed of one fold and predict the fold's real test slices.

    synthetic: by diagnosis, float32 (N, 1, S, S) in [-1, 1]; pasted: likewise, for the copy-paste arm; sources,
    pasted_sources: the training groups in each of these images (see FoldData). Reads `run.normalised(fold.fold)`, in
    the manifest's order. Returns a row a training and test slice: fold, share, arm, ratio, control, seed, slice_id,
    group, diagnosis, probability (at equal prevalence; calibrated in the arms of a whole fold at PRIMARY_RATIO), and
    of the training part n_subjects, n_real, n_added. Each training is a file of `metrics/predictions/`; one that is
    there is read, not made again, so a killed run resumes. compute: where and how to train; None takes the best
    there is. progress(done, total) counts trainings. keep: is handed each classifier that was trained here, with its
    temperature, before its predictions are written, so that where these stand it was handed over; it changes nothing.
    Raises ContractError where `check_fold` finds a violation, and where the copy-paste arm has nothing to paste.
    """
    if PASTED_ARM in config.arms and pasted is None:
        require([Violation(f"fold-{fold.fold}", "missing", f"no pasted slices for the arm {PASTED_ARM}")])
    data = read_fold(
        run=run,
        manifest=manifest,
        fold=fold,
        synthetic=synthetic,
        pasted=pasted,
        sources=sources,
        pasted_sources=pasted_sources,
    )
    calibrate = config.arms if config.calibrate and fold.whole else ()
    total = _trainings_to_choose(config) + len(calibrate) + len(_plan(fold, config, way="mix"))
    done = itertools.count(1)

    def tick() -> None:
        if progress:
            progress(next(done), total)

    making = _Making(run, data, config, seed, compute or best_compute(), tick, keep)
    way = making.way()
    temperatures = {arm: making.temperature(arm, way=way) for arm in calibrate}
    tables = [
        making.predictions(training, temperature=temperatures.get(training.arm, 1.0) if training.decides else 1.0)
        for training in _plan(fold, config, way=way)
    ]
    return pd.concat(tables, ignore_index=True)


def _plan(fold: Fold, config: UtilityConfig, *, way: Way) -> list[Training]:
    return plan(
        whole=fold.whole,
        seeds=config.seeds,
        arms=config.arms,
        doses=config.doses,
        control_seeds=min(CONTROL_SEEDS, config.seeds) if config.controls else 0,
        way=way,
    )


def _trainings_to_choose(config: UtilityConfig) -> int:
    return len(config.ways.tried) * config.ways.inner_folds if config.way == "best" else 0


@dataclass(frozen=True)
class _Making:
    """Makes what one fold needs, each a file, or reads it where it is there. tick and keep: called a training."""

    run: RunDir
    data: FoldData
    config: UtilityConfig
    seed: int
    compute: Compute
    tick: Callable[[], None]
    keep: Keep | None = None

    def _path(self, name: str) -> Path:
        return self.run.metric(f"predictions/{self.data.fold.fold}-{name}")

    def way(self) -> Way:
        if self.config.way != "best":
            return self.config.way
        path = self._path("way.json")
        if path.exists():
            for _ in range(_trainings_to_choose(self.config)):
                self.tick()
        else:
            tried = find_way(
                data=self.data, config=self.config, seed=self.seed, compute=self.compute, progress=self.tick
            )
            write_record(path, Choice(tried=tried))
        return read_record(path, Choice).way

    def temperature(self, arm: Arm, *, way: Way) -> float:
        path = self._path(f"{arm.replace('+', '_')}-temperature.json")
        if not path.exists():
            found = find_temperature(
                data=self.data, arm=arm, config=self.config, seed=self.seed, compute=self.compute, way=way
            )
            write_record(path, found)
        self.tick()
        return read_record(path, Temperature).temperature

    def predictions(self, training: Training, *, temperature: float) -> pd.DataFrame:
        path = self._path(f"{training.name}.parquet")
        if not path.exists():
            table = predict_training(
                data=self.data,
                training=training,
                temperature=temperature,
                config=self.config,
                seed=self.seed,
                compute=self.compute,
                keep=self.keep,
            )
            write_table(path, table)
        self.tick()
        return pd.read_parquet(path)


def find_way(
    *,
    data: FoldData,
    config: UtilityConfig,
    seed: int,
    compute: Compute,
    progress: Callable[[], None] | None = None,
) -> tuple[WayTried, ...]:
    """Try the ways of `config.ways` in the primary arm, on inner folds of the training part (see `choose_way`)."""
    dealing, training = _seeds(seed, data.fold.fold, 0)[4].spawn(2)
    inner_seed = int(training.generate_state(1)[0])

    def trained(left: FoldData, way: Way, index: int) -> Classifier:
        one = Training(PRIMARY_ARM, index, way=way)
        return learn(data=left, training=one, config=config, seed=inner_seed, compute=compute).model

    return choose_way(
        data=data, learn=trained, config=config.ways, rng=np.random.default_rng(dealing), progress=progress
    )


def find_temperature(
    *, data: FoldData, arm: Arm, config: UtilityConfig, seed: int, compute: Compute, way: Way = "mix"
) -> Temperature:
    """Train one arm once more without a fifth of the training groups, and fit the temperature on their real slices.

    The same slices are kept aside for every arm, and nothing here sees a test slice. The generators did see those
    kept aside, as they saw all of the training part; images that contain one of their groups are left out, unless
    a diagnosis would lose all of its images, and the dose falls in both diagnoses alike (`FoldData.without`).
    """
    aside_rng = np.random.default_rng(_seeds(seed, data.fold.fold, 0)[3])
    diagnoses = pd.Series([DIAGNOSES[d] for d in data.real_diagnoses])
    aside = hold_out(groups=data.real_groups, diagnoses=diagnoses, rng=aside_rng)
    rest = data.without(set(data.real_groups[aside]))
    if not all(len(images) for images in rest.synthetic.values()):
        rest = replace(rest, synthetic=data.synthetic, sources=data.sources)
    if rest.pasted and not all(len(images) for images in rest.pasted.values()):
        rest = replace(rest, pasted=data.pasted, pasted_sources=data.pasted_sources)
    training = Training(arm, 0, way=way if arm in ADDING_ARMS else "mix")
    learned = learn(data=rest, training=training, config=config, seed=seed, compute=compute)
    return Temperature(
        temperature=fit_temperature(
            logits=predict_logits(learned.model, data.real[aside]), diagnoses=data.real_diagnoses[aside]
        ),
        n_subjects=int(data.real_groups[aside].nunique()),
        n_slices=int(aside.sum()),
    )


def predict_training(
    *,
    data: FoldData,
    training: Training,
    temperature: float,
    config: UtilityConfig,
    seed: int,
    compute: Compute,
    keep: Keep | None = None,
) -> pd.DataFrame:
    """Train once and predict the test slices; columns and keep as in `predict_arms`."""
    learned = learn(data=data, training=training, config=config, seed=seed, compute=compute)
    if keep is not None:
        keep(training, learned.model, temperature)
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
    train on: the same first weights, the same synthetic slices, more or fewer of them. Raises ValueError where the
    copy-paste arm has nothing to paste.
    """
    drawing, learning, dealing, *_ = _seeds(seed, data.fold.fold, training.index)
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
        balance=training.way == "balance",
    )
    if training.arm == PASTED_ARM:
        if data.pasted is None:
            raise ValueError(f"no pasted slices for the arm {PASTED_ARM}")
        synthetic, synthetic_diagnoses = choose_pasted(
            pasted=data.pasted, synthetic_diagnoses=synthetic_diagnoses, rng=np.random.default_rng(drawing)
        )
    images, diagnoses = train_images(
        arm=training.arm,
        real=data.real,
        real_diagnoses=real_diagnoses,
        synthetic=synthetic,
        synthetic_diagnoses=synthetic_diagnoses,
        rng=rng,
    )
    n_real = 0 if training.arm == "synthetic_only" else len(data.real)
    model = train_classifier(
        images=images,
        diagnoses=diagnoses,
        classic=training.arm != "real",
        config=config.classifier,
        seed=int(learning.generate_state(1)[0]),
        compute=compute,
        added=np.arange(len(images)) >= n_real,
        schedule=schedule(training.way, steps=config.classifier.steps, config=config.ways),
    )
    return Learned(model, n_real, len(images) - n_real)


def _seeds(seed: int, fold: int, index: int) -> list[np.random.SeedSequence]:
    """To draw synthetic slices and copies, to learn, to deal diagnoses anew, to keep groups aside, to choose a way."""
    return np.random.SeedSequence([seed, fold, index]).spawn(5)
