"""Does painting help? Tables of finished studies, and small U-Nets that learn from painted slices and their labels.

    python benchmarks/painting.py table RUN [RUN ...]
    python benchmarks/painting.py segment RUN [--work WORK] [--steps 400] [--seeds 0,1] [--width 16]

RUN: the folder of a finished study with painted slices. With few patients, 12 drawn ten times, each draw tested on the
other half of the subjects:

    augment-mri run ../shared/data/lgg_flair --preset paint --subjects 12 --config few.toml --out RUN
    few.toml: [split] folds_drawn = 2, folds_evaluated = 2, repeats = 5 (a key a line)

`table` reads what the study measured, by `paint` or `dream_and_paint`, and trains nothing. `segment` trains a U-Net for
each fold, arm and seed: on the real training slices with their masks, and on these with painted, copied and pasted, or
repeated ones beside them, as many in each arm; all in the same number of steps, with the study's classic augmentation
moving image and mask alike. Each ends as WORK/FOLD-ARM-SEED.parquet, a row a real test slice (WORK: segment-NAME beside
RUN, out of the repository), and is not trained again. Steps, rate and the threshold of a half are fixed, whatever is
tested. Dice of a slice with a tumour, and the share of a slice without one that is called tumour, are averaged over the
slices of each subject, then over subjects. Intervals are those of the study (`pipeline.evidence.statistics`): t, over
subjects, who are resampled with all folds that test them, over trainings and over folds.
"""

import argparse
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import torch
from monai.losses.dice import DiceCELoss
from monai.networks.nets.basic_unet import BasicUNet
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from data_contracts.manifest import DIAGNOSES, TUMOUR
from data_contracts.results import (
    ARMS,
    DUPLICATES_ARM,
    PASTED_ARM,
    PRIMARY_ARM,
    PRIMARY_RATIO,
    REFERENCE_ARM,
    Arm,
    ArmScores,
    Estimate,
    RunSummary,
    TransferScores,
    UtilityComparison,
)
from data_contracts.splits import WHOLE, Fold, Splits
from data_contracts.violations import ContractError, Violation
from flows.study import record_of, rows_of, seed_of
from pipeline.compute import Compute, best_compute
from pipeline.evidence.arms import Labels, choose_pasted, choose_synthetic, train_images
from pipeline.evidence.classifier import ClassicAugmentation, augment
from pipeline.evidence.measures import Study, Sums, Tested
from pipeline.evidence.statistics import LEVEL, Bootstrap, Setting, Spread, bootstrap, count, leave_out, resample
from pipeline.formats.synthetic import read_painted, read_synthetic
from pipeline.run_dir import RunDir, read_record, write_record, write_table

Pairs = NDArray[np.float32]  # (N, 2, S, S): image in [-1, 1] and mask, 0 or 1
Masks = NDArray[np.bool_]
Floats = NDArray[np.float64]
ORDER: Final[tuple[Arm, ...]] = (*ARMS[:3], PASTED_ARM, *ARMS[3:])
SEGMENTING: Final[tuple[Arm, ...]] = (REFERENCE_ARM, DUPLICATES_ARM, PASTED_ARM, PRIMARY_ARM)
DIFFERENCES: Final[tuple[tuple[Arm, Arm], ...]] = (
    (PRIMARY_ARM, REFERENCE_ARM),
    (PRIMARY_ARM, DUPLICATES_ARM),
    (PRIMARY_ARM, PASTED_ARM),
    (PASTED_ARM, REFERENCE_ARM),
    ("synthetic_only", REFERENCE_ARM),
)
DRAWS: Final = 2000  # bootstrap resamples of subjects in `segment`
NAMES: Final[Mapping[str, str]] = {
    "real": "real",
    REFERENCE_ARM: "real + classic",
    DUPLICATES_ARM: "real + classic + duplicates",
    PASTED_ARM: "real + classic + copy and paste",
    PRIMARY_ARM: "real + classic + painted",
    "synthetic_only": "painted only",
}


# ---- table ----


def study_tables(root: Path) -> str:
    """What one finished study measured, as Markdown.

    Raises ValueError where the predictions are not those that utility.json was made of.
    """
    run = RunDir(root)
    record, summary = record_of(run), read_record(run.summary, RunSummary)
    measured = read_record(run.metric("utility.json"), UtilityComparison)
    config = record.config.utility
    setting = Setting(at_specificity=config.at_specificity, prevalence=config.prevalence)
    predictions = deciding(pd.read_parquet(run.metric("predictions.parquet")))
    # the resamples of `compare`, so that figures which it wrote come out again
    rng = np.random.default_rng(seed_of(record.seed, "compare"))
    drawn = bootstrap(predictions=predictions, draws=config.bootstrap, rng=rng, setting=setting)
    again = drawn.difference(PRIMARY_ARM, REFERENCE_ARM, "balanced_accuracy")[0]
    written = measured.difference
    if not np.allclose([again.estimate, again.low, again.high], [written.estimate, written.low, written.high]):
        raise ValueError(f"{root}: {again} from predictions.parquet, {written} in utility.json")
    folds = read_record(run.splits, Splits).whole.folds
    arms = sorted(measured.arms, key=lambda one: ORDER.index(one.arm))
    return "\n\n".join(
        [
            f"### {root.name}",
            heading(summary, measured, folds),
            arms_table(arms, at=config.at_specificity),
            differences_table(drawn, [one.arm for one in arms], at=config.at_specificity),
            draws_table(predictions, folds, [one.arm for one in arms], setting),
            *([transfer_table(summary.transfer)] if summary.transfer else []),
        ]
    )


def deciding(predictions: pd.DataFrame) -> pd.DataFrame:
    """The rows that the verdict is read from: whole folds, no control, one synthetic slice a real one."""
    whole = (predictions["share"] == WHOLE) & (predictions["control"] == "none")
    return predictions[whole & (predictions["ratio"] == PRIMARY_RATIO)]


def heading(summary: RunSummary, measured: UtilityComparison, folds: Sequence[Fold]) -> str:
    """What was run, on how many, and the verdict."""
    primary, data = measured.difference, summary.data
    learned = span([len(fold.train) for fold in folds])
    tested = span([len(fold.test) for fold in folds])
    masks = sorted({one.source for one in summary.lesions})
    verdicts = [f"verdict: **{measured.verdict.replace('_', ' ')}**"]
    if measured.copy_paste:
        verdicts.append(f"of copy and paste: {measured.copy_paste.verdict.replace('_', ' ')}")
    return (
        f"Preset {summary.provenance.preset}, seed {summary.provenance.seed}, {data.image_size} px, "
        f"{data.slices_used} slices of {data.subjects} {'subjects' if data.subjects_known else 'image groups'}; "
        f"{len(folds)} draws, each learning from {learned} subjects and tested on {tested}; "
        f"{primary.n_seeds} trainings an arm and draw; n = {primary.n_slices} test slices of {primary.n_subjects} "
        f"subjects; masks: {', '.join(masks) or 'none used'}; {'; '.join(verdicts)}."
    )


def arms_table(arms: Sequence[ArmScores], *, at: float) -> str:
    rows = [
        (
            NAMES[one.arm],
            f"{one.n_real:.0f} + {one.n_added:.0f}",
            share(one.balanced_accuracy),
            share(one.sensitivity_at_specificity) if one.sensitivity_at_specificity else "",
        )
        for one in arms
    ]
    return markdown(["arm", "slices, real + added", "balanced accuracy", at_specificity(at)], rows)


def differences_table(drawn: Bootstrap, arms: Sequence[str], *, at: float) -> str:
    """Points, with 95 % intervals; the smallest true difference that such a study finds in 80 % of repetitions."""
    rows = []
    for arm, reference in DIFFERENCES:
        if {arm, reference} <= set(arms):
            estimate, detectable = drawn.difference(arm, reference, "balanced_accuracy")
            further = drawn.difference(arm, reference, "sensitivity_at_specificity")[0]
            names = f"{NAMES[arm]} − {NAMES[reference]}"
            rows.append((names, points(estimate), f"{100 * detectable:.1f}", points(further)))
    return markdown(["difference, points", "balanced accuracy", "detectable", at_specificity(at)], rows)


def draws_table(predictions: pd.DataFrame, folds: Sequence[Fold], arms: Sequence[str], setting: Setting) -> str:
    """Balanced accuracy of each arm in each fold, seeds averaged, and how they spread."""
    found = of_each_fold(predictions, setting)
    gains = 100 * (found[PRIMARY_ARM] - found[REFERENCE_ARM])
    rows = [
        (
            str(fold.fold),
            f"{len(fold.train)}, {len(fold.test)}",
            *(f"{found[arm][fold.fold]:.3f}" for arm in arms),
            signed(gains[fold.fold]),
        )
        for fold in folds
    ]
    if len(folds) > 1:
        spread = [f"{found[arm].std():.3f}" for arm in arms]
        rows.append(("standard deviation", "", *spread, f"{gains.std():.1f}"))
    names = [NAMES[arm] for arm in arms]
    return markdown(["draw", "subjects, training, test", *names, "painted − real + classic, points"], rows)


def of_each_fold(predictions: pd.DataFrame, setting: Setting) -> pd.DataFrame:
    """Balanced accuracy, a row a fold and a column an arm."""
    found = {}
    for fold, rows in predictions.groupby("fold"):
        study = count(rows)
        alone = Bootstrap(study, np.ones((1, len(study.groups))), setting)
        found[fold] = {arm: alone.spread(arm, "balanced_accuracy").point for arm in study.arms}
    return pd.DataFrame.from_dict(found, orient="index")


def transfer_table(transfer: Sequence[TransferScores]) -> str:
    """Balanced accuracies of classifiers carried between synthetic and real slices, means over folds."""
    rows = []
    for blurred in sorted({one.blurred_to for one in transfer}, key=lambda side: -(side or 10**6)):
        of = [one for one in transfer if one.blurred_to == blurred]
        losses = [one.loss.estimate for one in of]
        rows.append(
            (
                "as they are" if blurred is None else f"blurred to {blurred} px",
                mean(one.synthetic_inside for one in of),
                mean(one.real_inside for one in of),
                mean(one.synthetic_to_real.estimate for one in of),
                mean(one.real_to_real.estimate for one in of),
                f"{mean(losses)} ({min(losses):.3f} to {max(losses):.3f})",
                f"{sum(one.shortcuts for one in of)} of {len(of)}",
            )
        )
    names = ["inside painted", "inside real", "painted to real", "real to real", "loss (least to most)", "shortcuts"]
    return markdown(["transfer", *names], rows)


# ---- segment ----


class Settings(BaseModel):
    """One training of a U-Net; the same in every arm. width: channels of its first convolution.

    Steps and width were chosen for the arm of real slices alone, on one draw of twelve subjects of lgg_flair, one
    training each: 8 channels reached a Dice of 0.68, 16 reached 0.71, and with 800 steps no more.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    steps: int = Field(400, ge=1)
    batch_size: int = Field(32, ge=2, multiple_of=2)  # half of each diagnosis
    learning_rate: float = Field(4e-3, gt=0)  # at the peak of the one-cycle schedule
    weight_decay: float = Field(0.05, ge=0)
    width: int = Field(16, ge=1)
    augmentation: ClassicAugmentation = ClassicAugmentation()


class Work(BaseModel):
    """What a work folder holds trainings of, so that no two kinds meet in one table."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    seed: int
    config_digest: str
    source_digest: str
    settings: Settings


@dataclass(frozen=True, eq=False)
class Lessons:
    """All that the U-Nets of one fold may learn from: real training slices, and by diagnosis what was made of them."""

    real: Pairs
    diagnoses: Labels
    painted: Mapping[str, Pairs]
    pasted: Mapping[str, Pairs] | None  # None where the study has no such arm


@dataclass(frozen=True, eq=False)
class Exam:
    """Real test slices of one fold, (M, 1, S, S), with their true masks and their rows of the manifest."""

    images: NDArray[np.float32]
    masks: Masks
    rows: pd.DataFrame


def read_lessons(run: RunDir, fold: Fold) -> Lessons:
    """Read the training part of a fold alone.

    Raises ContractError where too few masks are known there, so that lesions were looked for, or a slice shows others.
    """
    if run.found_masks(fold.fold).exists():
        raise ContractError([Violation(f"fold-{fold.fold}", "no mask", "lesions were looked for: labels are guesses")])
    manifest = pd.read_parquet(run.manifest)
    train = known(run, manifest, fold, fold.train)
    rows = manifest[train]
    real = paired(np.load(run.normalised(fold.fold), mmap_mode="r")[train], true_masks(run)[train])
    training = set(manifest.loc[rows_of(manifest, fold.train), "slice_id"])
    pasted = {d: changed(run.pasted(fold.fold, d), d, training) for d in DIAGNOSES if run.pasted(fold.fold, d).exists()}
    return Lessons(
        real=real,
        diagnoses=rows["diagnosis"].map(DIAGNOSES.index).to_numpy(np.int64),
        painted={d: changed(run.synthetic(fold.fold, d), d, training) for d in DIAGNOSES},
        pasted=pasted or None,
    )


def read_exam(run: RunDir, fold: Fold) -> Exam:
    """Read the test part of a fold. Raises ContractError where no mask is known there."""
    manifest = pd.read_parquet(run.manifest)
    test = known(run, manifest, fold, fold.test)
    images = np.array(np.load(run.normalised(fold.fold), mmap_mode="r")[test])
    return Exam(images, true_masks(run)[test] > 0, manifest[test].reset_index(drop=True))


def true_masks(run: RunDir) -> NDArray[np.uint8]:
    """Given or drawn masks (N, S, S) in the manifest's order; never found ones, by which nothing can be judged."""
    masks: NDArray[np.uint8] = np.load(run.normalised_masks, mmap_mode="r")
    return masks


def known(run: RunDir, manifest: pd.DataFrame, fold: Fold, groups: tuple[str, ...]) -> Masks:
    """Which slices of the manifest are of these groups and have a mask that fits their diagnosis; bool (N,)."""
    has_lesion = (true_masks(run) > 0).any(axis=(1, 2))
    fits = has_lesion == (manifest["diagnosis"] == TUMOUR).to_numpy()
    chosen: Masks = rows_of(manifest, groups) & fits
    for diagnosis in DIAGNOSES:
        if not (chosen & (manifest["diagnosis"] == diagnosis).to_numpy()).any():
            raise ContractError([Violation(f"fold-{fold.fold}", "no mask", f"of any {diagnosis} slice")])
    return chosen


def changed(folder: Path, diagnosis: str, training: set[str]) -> Pairs:
    """Painted or pasted slices with their labels, which are empty in slices without a tumour.

    training: slice ids. Raises ContractError where a slice shows another than these.
    """
    rows, images = read_synthetic(folder)
    table, regions = read_painted(folder)
    foreign = (set(table["source"]) | set(table["lesion"])) - {""} - training
    if foreign or rows["slice_id"].tolist() != table["slice_id"].tolist():
        detail = f"{len(foreign)} sources are no training slices, or rows are in another order"
        raise ContractError([Violation(str(folder), "sources", detail)])
    return paired(images, regions * np.uint8(diagnosis == TUMOUR))


def paired(images: NDArray[np.float32], masks: NDArray[np.generic]) -> Pairs:
    """Images (N, 1, S, S) with their masks (N, S, S), 1 where they are not 0, as second channel."""
    return np.concatenate([images, (masks != 0)[:, None].astype(np.float32)], axis=1)


def compose(arm: Arm, lessons: Lessons, *, drawing: np.random.SeedSequence) -> tuple[Pairs, Labels]:
    """What one arm learns from, by the rules of the study's classifiers: as many added slices of each diagnosis."""
    rng = np.random.default_rng(drawing)
    added, diagnoses = choose_synthetic(
        synthetic=lessons.painted, real_diagnoses=lessons.diagnoses, ratio=PRIMARY_RATIO, rng=rng
    )
    if arm == PASTED_ARM:
        if lessons.pasted is None:
            raise ValueError(f"no pasted slices for the arm {PASTED_ARM}")
        again = np.random.default_rng(drawing)
        added, diagnoses = choose_pasted(pasted=lessons.pasted, synthetic_diagnoses=diagnoses, rng=again)
    return train_images(
        arm=arm,
        real=lessons.real,
        real_diagnoses=lessons.diagnoses,
        synthetic=added,
        synthetic_diagnoses=diagnoses,
        rng=rng,
    )


def moved(pairs: torch.Tensor, config: ClassicAugmentation, rng: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Augment each image, and move its mask by the very same draw: (N, 1, S, S) both, masks 0 or 1."""
    twin = torch.Generator()
    twin.set_state(rng.get_state())
    moving = config.model_copy(update={"log_gain": 0.0, "log_gamma": 0.0, "noise": 0.0})
    masks = augment(2 * pairs[:, 1:] - 1, moving, twin) > 0
    return augment(pairs[:, :1], config, rng), masks.float()


def train_unet(pairs: Pairs, diagnoses: Labels, *, settings: Settings, seed: int, compute: Compute) -> nn.Module:
    """Train from scratch, half of each batch from each diagnosis; Dice of the batch and cross-entropy, added.

    AdamW with a one-cycle schedule. Dice is of the whole batch, for that of a slice without a tumour says nothing.
    """
    rng = torch.Generator().manual_seed(seed)
    width = settings.width
    with torch.random.fork_rng(devices=[]):  # layers draw their weights from the global generator
        torch.manual_seed(seed)
        features = (width, width, 2 * width, 4 * width, 8 * width, width)
        model: nn.Module = BasicUNet(spatial_dims=2, in_channels=1, out_channels=1, features=features)
    compute.place(model)
    rate, steps = settings.learning_rate, settings.steps
    optimiser = torch.optim.AdamW(model.parameters(), rate, weight_decay=settings.weight_decay, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps + 1, pct_start=0.2)
    wrong = DiceCELoss(sigmoid=True, batch=True)
    pool = torch.from_numpy(pairs)
    sides = [torch.from_numpy(np.flatnonzero(diagnoses == d)) for d in range(len(DIAGNOSES))]
    half = settings.batch_size // len(DIAGNOSES)
    for _ in range(steps):
        rows = torch.cat([side[torch.randint(len(side), (half,), generator=rng)] for side in sides])
        images, masks = moved(pool[rows], settings.augmentation, rng)
        with compute.autocast():
            logits = model(compute.put(images))
        loss = wrong(logits.float(), masks.to(compute.device))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return model.eval()


@torch.no_grad()
def found_by(model: nn.Module, images: NDArray[np.float32], *, batch_size: int = 256) -> Masks:
    """What a U-Net calls tumour, bool (M, S, S): probability above a half, in float32."""
    device = next(model.parameters()).device
    parts = [
        (model(torch.from_numpy(images[start : start + batch_size]).to(device)) > 0)[:, 0].cpu().numpy()
        for start in range(0, len(images), batch_size)
    ]
    return np.concatenate(parts)


def dice(found: Masks, true: Masks) -> Floats:
    """Twice the common area over the sum of both, of each pair of masks (M, S, S): (M,); NaN where both are empty."""
    common, both = (found & true).sum((1, 2)), found.sum((1, 2)) + true.sum((1, 2))
    found_dice: Floats = np.divide(2.0 * common, both, out=np.full(len(both), np.nan), where=both > 0)
    return found_dice


def score(found: Masks, exam: Exam) -> pd.DataFrame:
    """Of each test slice `dice`, where it has a tumour, else `false_area`, the share of it that is called tumour."""
    has_tumour = (exam.rows["diagnosis"] == TUMOUR).to_numpy()
    return exam.rows[["slice_id", "group", "diagnosis"]].assign(
        dice=np.where(has_tumour, dice(found, exam.masks), np.nan),
        false_area=np.where(has_tumour, np.nan, found.mean((1, 2))),
    )


def segment(
    run: RunDir, work: Path, *, settings: Settings, seeds: Sequence[int], compute: Compute | None = None
) -> pd.DataFrame:
    """Train and test what is missing in `work`; the rows of all trainings: fold, arm, seed, those of `score`, n_real
    and n_added. Raises ValueError where `work` is of another study or of other settings.
    """
    record = record_of(run)
    same = Work(
        seed=record.seed, config_digest=record.config_digest, source_digest=record.source_digest, settings=settings
    )
    note = work / "work.json"
    if not note.exists():
        write_record(note, same)
    if read_record(note, Work) != same:
        raise ValueError(f"{work} holds trainings of another study or of other settings: name another folder")
    compute = compute or best_compute()
    tables = []
    for fold in read_record(run.splits, Splits).whole.folds:
        lessons, exam = read_lessons(run, fold), read_exam(run, fold)
        arms = [arm for arm in SEGMENTING if arm != PASTED_ARM or lessons.pasted]
        for index in seeds:
            for arm in arms:
                path = work / f"{fold.fold}-{arm.replace('+', '_')}-{index}.parquet"
                if not path.exists():
                    one = train_and_test(
                        arm,
                        lessons=lessons,
                        exam=exam,
                        settings=settings,
                        place=(record.seed, fold.fold, index),
                        compute=compute,
                    )
                    write_table(path, one.assign(fold=fold.fold, arm=arm, seed=index))
                tables.append(pd.read_parquet(path))
    return pd.concat(tables, ignore_index=True)


def train_and_test(
    arm: Arm, *, lessons: Lessons, exam: Exam, settings: Settings, place: tuple[int, int, int], compute: Compute
) -> pd.DataFrame:
    """One training; place: study's seed, fold and index, from which all that is random follows, the arm aside."""
    started = time.perf_counter()
    drawing, learning = np.random.SeedSequence(place).spawn(2)
    pairs, diagnoses = compose(arm, lessons, drawing=drawing)
    seed = int(learning.generate_state(1)[0])
    model = train_unet(pairs, diagnoses, settings=settings, seed=seed, compute=compute)
    found = score(found_by(model, exam.images), exam)
    took = time.perf_counter() - started
    print(f"fold {place[1]}, {arm}, seed {place[2]}: Dice {found['dice'].mean():.3f}, {took:.0f} s", flush=True)
    return found.assign(n_real=len(lessons.real), n_added=len(pairs) - len(lessons.real))


@dataclass(frozen=True, eq=False)
class BySubject:
    """Means over subjects of one figure of test slices, with the study's kind of intervals."""

    drawn: Bootstrap

    def spread(self, arm: str) -> Spread:
        """As `Bootstrap.spread`, of a mean over subjects in place of a rate over slices."""
        study, n = self.drawn.study, len(self.drawn.study.groups)
        every, each = np.ones((1, n)), 1 - np.eye(n)
        point, resampled, left_out, lost = (
            weighed(study, arm, weights) for weights in (every, self.drawn.weights, leave_out(study), each)
        )
        estimate = float(point.quotient()[0, 0])

        def filled(figures: Floats) -> Floats:
            return np.nan_to_num(figures[..., 0], nan=estimate)  # a single fold or subject left out leaves nothing

        return Spread(
            estimate,
            filled(resampled.quotient()),
            filled(left_out.quotient()),
            filled(point.quotient_by_model())[0],
            filled(left_out.quotient_by_model()),
            filled(point.without_each_fold())[0],
            filled(point.with_each_fold_of(lost)),
            point.fold_shares(),
        )

    def estimate(self, arm: str) -> Estimate:
        """Of one arm, cut off at 0 and 1."""
        found = self._interval(self.spread(arm))
        return Estimate(estimate=found.estimate, low=max(0.0, found.low), high=min(1.0, found.high))

    def difference(self, arm: str, reference: str) -> Estimate:
        """Arm minus reference, paired: the same subjects in every resample."""
        return self._interval(self.spread(arm).minus(self.spread(reference)))

    def _interval(self, spread: Spread) -> Estimate:
        half = self.drawn.uncertainty(spread).quantile((1 + LEVEL) / 2)
        return Estimate(estimate=spread.point, low=spread.point - half, high=spread.point + half)


def weighed(study: Study, arm: str, weights: Floats) -> Sums:
    """Sums over subjects under each row of weights (B, G)."""
    pairs = list(zip(study.folds, study.arms[arm], strict=True))
    got = np.stack([weights[:, fold.groups] @ figures for fold, figures in pairs], 1)
    return Sums(got[..., None], np.stack([weights[:, fold.groups].sum(1) for fold, _ in pairs], 1)[..., None])


def by_subject(scores: pd.DataFrame, column: str, *, rng: np.random.Generator, draws: int = DRAWS) -> BySubject:
    """Average `column` of `segment`'s rows over the slices of each subject, fold, arm and seed; NaN ones have none.

    Raises ValueError where arms or seeds were not tested on the same subjects.
    """
    rows = scores[scores[column].notna()]
    table = rows.groupby(["fold", "group", "arm", "seed"])[column].mean().unstack(["arm", "seed"])  # noqa: PD010
    if table.isna().to_numpy().any():
        raise ValueError("arms or seeds were not tested on the same subjects")
    table = table.sort_index(axis=0).sort_index(axis=1)
    group, names = pd.factorize(table.index.get_level_values("group"), sort=True)
    fold = table.index.get_level_values("fold").to_numpy()
    inside = [np.flatnonzero(fold == number) for number in np.unique(fold)]
    study = Study(
        groups=tuple(str(name) for name in names),
        n_slices=int(rows["slice_id"].nunique()),
        n_seeds=int(rows["seed"].nunique()),
        tumour=np.ones(len(names)),  # all subjects are of one stratum
        no_tumour=np.zeros(len(names)),
        folds=tuple(Tested(group[at], np.eye(len(at)), np.ones(len(at), np.bool_)) for at in inside),
        arms={str(arm): tuple(table[arm].to_numpy(float)[at] for at in inside) for arm in table.columns.unique("arm")},
    )
    return BySubject(Bootstrap(study, resample(study=study, draws=draws, rng=rng)))


def segment_tables(scores: pd.DataFrame, *, seed: int) -> str:
    """Dice and false area of each arm, paired differences, and Dice of each draw, as Markdown."""
    found, false = (by_subject(scores, name, rng=np.random.default_rng(seed)) for name in ("dice", "false_area"))
    arms = [arm for arm in SEGMENTING if arm in set(scores["arm"])]
    sizes = scores.groupby("arm")[["n_real", "n_added"]].mean()
    rows = [
        (
            NAMES[arm],
            f"{sizes['n_real'][arm]:.0f} + {sizes['n_added'][arm]:.0f}",
            share(found.estimate(arm)),
            percent(false.estimate(arm)),
        )
        for arm in arms
    ]
    differences = [
        (f"{NAMES[arm]} − {NAMES[reference]}", points(found.difference(arm, reference)))
        for arm, reference in (*DIFFERENCES, (DUPLICATES_ARM, REFERENCE_ARM))
        if {arm, reference} <= set(arms)
    ]
    study, without = found.drawn.study, false.drawn.study
    draws = [
        (str(number), *(f"{study.arms[arm][place].mean():.3f}" for arm in arms))
        for place, number in enumerate(sorted(scores["fold"].unique()))
    ]
    head = (
        f"{len(study.folds)} draws, {study.n_seeds} trainings an arm and draw; n = {study.n_slices} test slices with a "
        f"tumour of {len(study.groups)} subjects, {without.n_slices} without one of {len(without.groups)}."
    )
    return "\n\n".join(
        [
            head,
            markdown(["U-Net", "slices, real + added", "Dice", "false area, % of a slice without a tumour"], rows),
            markdown(["difference", "Dice, points"], differences),
            markdown(["draw", *(NAMES[arm] for arm in arms)], draws),
        ]
    )


# ---- words ----


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def share(one: Estimate) -> str:
    return f"{one.estimate:.3f} ({one.low:.3f} to {one.high:.3f})"


def percent(one: Estimate) -> str:
    return f"{100 * one.estimate:.2f} ({100 * one.low:.2f} to {100 * one.high:.2f})"


def points(one: Estimate) -> str:
    return f"{signed(100 * one.estimate)} ({signed(100 * one.low)} to {signed(100 * one.high)})"


def signed(value: float) -> str:
    return f"{value:+.1f}".replace("-", "−")


def mean(values: Iterable[float]) -> str:
    return f"{np.mean(list(values)):.3f}"


def span(values: Sequence[int]) -> str:
    return str(min(values)) if min(values) == max(values) else f"{min(values)} to {max(values)}"


def at_specificity(at: float) -> str:
    return f"sensitivity at {100 * at:.0f} % specificity"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_subparsers(dest="what", required=True)
    tables = what.add_parser("table", help="what finished studies measured")
    tables.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    unets = what.add_parser("segment", help="train small U-Nets and print their Dice")
    unets.add_argument("run", type=Path, metavar="RUN")
    unets.add_argument("--work", type=Path)
    unets.add_argument("--steps", type=int, default=Settings().steps)
    unets.add_argument("--width", type=int, default=Settings().width)
    unets.add_argument("--seeds", type=lambda text: [int(one) for one in text.split(",")], default=[0, 1])
    given = parser.parse_args()
    for root in given.runs if given.what == "table" else [given.run]:
        if not RunDir(root).summary.exists() or not record_of(RunDir(root)).config.synthesis.paints:
            parser.error(f"{root} is no finished study with painted slices")
        if given.what == "segment" and record_of(RunDir(root)).config.synthesis.dreams:
            parser.error(f"{root} painted on generated slices: `segment` reads those painted on training slices alone")
    if given.what == "table":
        print("\n\n".join(study_tables(root) for root in given.runs))
        return
    run = RunDir(given.run)
    work = given.work or given.run.parent / f"segment-{given.run.resolve().name}"
    settings = Settings(steps=given.steps, width=given.width)
    scores = segment(run, work, settings=settings, seeds=given.seeds)
    print(f"\n### U-Nets on {given.run.name}\n")
    print(f"{settings.steps} steps of {settings.batch_size} slices, {settings.width} channels, seeds {given.seeds}.\n")
    print(segment_tables(scores, seed=record_of(run).seed))


if __name__ == "__main__":
    main()
