"""Can the verdict be trusted? Simulated studies of head phantoms, where the truth is known because phantoms are cheap.

    OMP_NUM_THREADS=1 python benchmarks/calibration.py WORK [--studies 200] [--again]

Each study draws its own subjects, folds and seeds, and trains the arms that decide with the code of a real study. What
is called synthetic is made so that the truth is known:

no gain  every training slice of the fold once more. Batches are drawn with repeats, so this arm learns from exactly
         the distribution that the reference learns from: the true difference of the two methods is 0.
gain     slices of fresh subjects of the same population, as of a perfect generator; how much that helps is measured.
         Only few subjects of each training part are learned from, or there would be nothing to gain.

Every model is also scored on slices of 20,000 test phantoms that no study draws from (a part of them drawn anew for
each study). `models` is the truth of the very models that a study trained, each in its share of the test part; the
truth of the `method` is its mean over all studies of one kind. WORK, outside of the repository, keeps phantoms and raw
predictions: a run that was ended goes on, and --again reads intervals and verdicts anew without any training.
"""

import argparse
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, get_args

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy import stats

from data_contracts.manifest import DIAGNOSES, NO_TUMOUR, REAL, TUMOUR
from data_contracts.results import DUPLICATES_ARM, PRIMARY_ARM, REFERENCE_ARM, Verdict
from data_contracts.splits import Fold
from pipeline.compute import Compute
from pipeline.evidence.arms import Training
from pipeline.evidence.classifier import ClassicAugmentation, ClassifierConfig, predict
from pipeline.evidence.inference import difference_by_model, parts_by_group, resampled_t, sign_flip_p
from pipeline.evidence.statistics import THRESHOLD, bootstrap, verdict
from pipeline.evidence.utility import FoldData, UtilityConfig, learn
from pipeline.run_dir import write_array, write_table
from pipeline.scans.phantom import PhantomConfig, phantom
from pipeline.scans.split import SplitConfig, split

COMPUTE: Final = Compute("cpu", None, torch.channels_last)
DECIDING: Final = (REFERENCE_ARM, DUPLICATES_ARM, PRIMARY_ARM)
KINDS: Final = ("no gain", "gain")
SIZE: Final = 32  # pixels
PART: Final = 500  # heads of one file of the pool
MARGIN: Final = UtilityConfig().equivalence_margin
Images = NDArray[np.float32]


@dataclass(frozen=True)
class Heads:
    """One population of phantoms. lesion: pixels, from and below, that a tumour covers in a slice that is kept."""

    number: int
    seed: int
    lesion: tuple[int, int]
    noise: tuple[float, float]

    def draw(self, number: int) -> Images:
        """Some slices (n, 1, SIZE, SIZE) in [-1, 1] of one head, perhaps none; odd numbers have a tumour."""
        rng = np.random.default_rng([self.seed, number])
        config = PhantomConfig(slices=5, size=SIZE, spacing_mm=(10.0, 4.0, 4.0), noise=self.noise, bias=0.1)
        tumour = number % 2 == 1
        head = phantom(rng=rng, tumour=tumour, config=config)
        if tumour:
            seen = head.mask.sum(axis=(1, 2))
            rows = np.flatnonzero((seen >= self.lesion[0]) & (seen < self.lesion[1]))
        else:
            rows = np.sort(rng.permutation(config.slices)[: rng.integers(1, 4)])
        # the median of the head lies near grey matter: twice as bright is as bright as it gets
        grey = np.median(head.voxels[head.voxels > 0.3 * np.percentile(head.voxels, 99)])
        scaled: Images = 2 * np.clip(head.voxels[rows] / (2 * grey), 0, 1) - 1
        return scaled[:, None]


@dataclass(frozen=True)
class Design:
    """Of the studies of one kind. heads: half of each diagnosis; ratio: slices added a real training slice.

    learners: heads of each fold's training part that are learned from, half of each diagnosis; None: all.
    """

    heads: int
    folds: int
    seeds: int
    ratio: float
    learners: int | None = None

    @property
    def test_share(self) -> float:
        """Heads that a fold tests, over those that it tests or learns from."""
        tested = self.heads / self.folds
        return tested / (tested + (self.learners or self.heads - tested))


@dataclass(frozen=True)
class Settings:
    """Of all studies of one WORK."""

    truth: Heads
    subjects: Heads
    synthetic: Heads
    no_gain: Design
    gain: Design
    truth_slices: int = 800  # of the test phantoms, drawn anew for each study
    steps: int = 40
    batch_size: int = 32
    width: int = 8
    learning_rate: float = 0.02
    draws: int = 1000  # bootstrap resamples

    def design(self, kind: str) -> Design:
        return self.gain if kind == "gain" else self.no_gain

    @property
    def config(self) -> UtilityConfig:
        """Augmentation is weak: a network that is trained so briefly learns nothing under a strong one."""
        augmentation = ClassicAugmentation(
            rotation_degrees=5, shift=0.02, log_scale=0.04, log_gain=0.05, log_gamma=0.1, noise=0.01
        )
        return UtilityConfig(
            arms=DECIDING,
            classifier=ClassifierConfig(
                steps=self.steps,
                batch_size=self.batch_size,
                width=self.width,
                learning_rate=self.learning_rate,
                weight_decay=0.0,
                label_smoothing=0.0,
                augmentation=augmentation,
            ),
        )


LESION, NOISE = (18, 90), (0.0, 0.06)
SETTINGS: Final = Settings(
    truth=Heads(number=20_000, seed=1, lesion=LESION, noise=NOISE),
    subjects=Heads(number=12_000, seed=2, lesion=LESION, noise=NOISE),
    synthetic=Heads(number=6_000, seed=3, lesion=LESION, noise=NOISE),
    no_gain=Design(heads=150, folds=5, seeds=2, ratio=1.0, learners=10),
    # chosen by pilot studies, of other numbers, so that the gain is about twice the stated detectable effect
    gain=Design(heads=150, folds=8, seeds=2, ratio=8.0, learners=6),
)


@dataclass(frozen=True)
class Pool:
    """Slices (n, 1, SIZE, SIZE) of one population, and the head and diagnosis of each."""

    images: Images
    head: NDArray[np.int64]
    tumour: NDArray[np.bool_]

    def heads(self, *, tumour: bool) -> NDArray[np.int64]:
        """Numbers of the heads of one diagnosis that have a slice."""
        return np.unique(self.head[self.tumour == tumour])


def read_pool(work: Path, name: str, heads: Heads) -> Pool:
    """The population, drawn where it was not: PART heads a file, kept as whole grey values as a PNG would."""
    work.mkdir(parents=True, exist_ok=True)
    images, numbers = [], []
    for start in range(0, heads.number, PART):
        path = work / f"{name}-{start:06}.npy"
        if not path.exists():
            drawn = [heads.draw(number) for number in range(start, min(start + PART, heads.number))]
            head = np.repeat(np.arange(start, start + len(drawn)), [len(slices) for slices in drawn])
            flat = np.rint((np.concatenate(drawn).reshape(len(head), -1) + 1) * 127.5)
            write_array(path, np.column_stack([head, flat]).astype(np.float32))
        table = np.load(path)
        numbers.append(table[:, 0].astype(np.int64))
        images.append(table[:, 1:].reshape(-1, 1, SIZE, SIZE) / np.float32(127.5) - 1)
    head = np.concatenate(numbers)
    return Pool(np.concatenate(images), head, head % 2 == 1)


@dataclass(frozen=True)
class Population:
    """The three pools that every study draws from."""

    truth: Pool
    subjects: Pool
    synthetic: Pool


def read_population(work: Path, settings: Settings) -> Population:
    names = ("truth", "subjects", "synthetic")
    return Population(*(read_pool(work / "pool", name, getattr(settings, name)) for name in names))


def draw_study(pool: Pool, heads: int, rng: np.random.Generator) -> tuple[Images, pd.DataFrame]:
    """Real slices of `heads` subjects, half of each diagnosis, and their manifest."""
    chosen = np.concatenate([rng.choice(pool.heads(tumour=t), heads // 2, replace=False) for t in (False, True)])
    rows = np.flatnonzero(np.isin(pool.head, chosen))
    groups = [f"head-{head}" for head in pool.head[rows]]
    names = [f"slice-{row}" for row in rows]
    manifest = pd.DataFrame(
        {
            "slice_id": names,
            "sha256": names,
            "group": groups,
            "subject": groups,
            "diagnosis": np.where(pool.tumour[rows], TUMOUR, NO_TUMOUR),
            "origin": REAL,
        }
    )
    return pool.images[rows], manifest


def few(fold: Fold, manifest: pd.DataFrame, learners: int | None, rng: np.random.Generator) -> Fold:
    """The fold with `learners` of the groups of its training part, half of each diagnosis."""
    if learners is None:
        return fold
    diagnosis = manifest.drop_duplicates("group").set_index("group")["diagnosis"].loc[list(fold.train)]
    chosen = [
        rng.choice(diagnosis.index[diagnosis == name].to_numpy(), learners // 2, replace=False) for name in DIAGNOSES
    ]
    return fold.model_copy(update={"train": tuple(np.concatenate(chosen))})


def make_synthetic(
    kind: str, *, train: Images, tumour: NDArray[np.bool_], ratio: float, pool: Pool, rng: np.random.Generator
) -> dict[str, Images]:
    """By diagnosis, `ratio` slices a real training slice; without gain these are the training slices themselves."""
    found = {}
    for name in DIAGNOSES:
        own = train[tumour == (name == TUMOUR)]
        rows = np.flatnonzero(pool.tumour == (name == TUMOUR))
        fresh = pool.images[rng.choice(rows, round(ratio * len(own)), replace=False)]
        # in an order of their own, or the same random numbers would choose the same slices as without them
        found[name] = fresh if kind == "gain" else rng.permutation(own)
    return found


def simulate(
    kind: str, number: int, *, population: Population, settings: Settings
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One study: predictions as of `predict_arms`, and sensitivity and specificity of each model on test phantoms."""
    seed = np.random.SeedSequence([KINDS.index(kind), number])
    rng, design = np.random.default_rng(seed), settings.design(kind)
    real, manifest = draw_study(population.subjects, design.heads, rng)
    splits = split(manifest, config=SplitConfig(folds_drawn=design.folds, folds_evaluated=design.folds), seed=number)
    known = rng.choice(len(population.truth.head), settings.truth_slices, replace=False)
    tumour = population.truth.tumour[known]
    predictions, truths = [], []
    for whole in splits.folds:
        fold = few(whole, manifest, design.learners, rng)
        train, test = (manifest["group"].isin(groups).to_numpy() for groups in (fold.train, fold.test))
        ill = (manifest.loc[train, "diagnosis"] == TUMOUR).to_numpy()
        data = FoldData(
            fold=fold,
            real=real[train],
            real_diagnoses=np.where(ill, DIAGNOSES.index(TUMOUR), DIAGNOSES.index(NO_TUMOUR)),
            real_groups=manifest.loc[train, "group"].reset_index(drop=True),
            synthetic=make_synthetic(
                kind, train=real[train], tumour=ill, ratio=design.ratio, pool=population.synthetic, rng=rng
            ),
            test=real[test],
            test_rows=manifest[test],
        )
        for training in (Training(arm, index, design.ratio) for index in range(design.seeds) for arm in DECIDING):
            model = learn(
                data=data,
                training=training,
                config=settings.config,
                seed=int(seed.generate_state(1)[0]),
                compute=COMPUTE,
            ).model
            keys = {"fold": fold.fold, "arm": training.arm, "seed": training.index}
            rows = data.test_rows[["slice_id", "group", "diagnosis"]]
            predictions.append(rows.assign(**keys, probability=predict(model, data.test).astype(np.float32)))
            called = predict(model, population.truth.images[known]) >= THRESHOLD
            truths.append({**keys, "sensitivity": called[tumour].mean(), "specificity": 1 - called[~tumour].mean()})
    return pd.concat(predictions, ignore_index=True), pd.DataFrame(truths)


def simulate_all(work: Path, *, studies: int, settings: Settings) -> None:
    """Every study that is not there yet, both kinds in turn; a study is two files, the predictions last."""
    kept = work / "settings.json"
    told = json.dumps(asdict(settings), indent=1)
    if kept.exists() and kept.read_text() != told:
        raise SystemExit(f"{work} holds studies of other settings: name a new folder")
    population = read_population(work, settings)
    kept.write_text(told)
    began, cpu, done = time.monotonic(), time.process_time(), 0
    for number in range(studies):
        for kind in KINDS:
            predicted, known = study_files(work, kind, number)
            if predicted.exists():
                continue
            predictions, truths = simulate(kind, number, population=population, settings=settings)
            write_table(known, truths)
            write_table(predicted, predictions)
            done += 1
        if done and number % 10 == 9:
            each = (time.process_time() - cpu) / done
            spent = f"{each:.1f} s of processor each, {time.monotonic() - began:.0f} s"
            print(f"{number + 1} of {studies}: {spent}", flush=True)


def study_files(work: Path, kind: str, number: int) -> tuple[Path, Path]:
    folder = work / kind.replace(" ", "_")
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{number:03}.parquet", folder / f"{number:03}-truth.parquet"


def known_scores(predictions: pd.DataFrame, truths: pd.DataFrame) -> Mapping[str, float]:
    """Balanced accuracy of each arm's very models: of each fold's in its share of the slices tested, seeds averaged."""
    tested = predictions.drop_duplicates("slice_id")
    weights = {
        measure: tested.loc[tested["diagnosis"] == diagnosis, "fold"].value_counts(normalize=True)
        for measure, diagnosis in (("sensitivity", TUMOUR), ("specificity", NO_TUMOUR))
    }
    by_fold = truths.groupby(["arm", "fold"])[["sensitivity", "specificity"]].mean()
    return {
        str(arm): float(
            sum((rates.droplevel("arm")[measure] * weights[measure]).sum() for measure in weights) / len(weights)
        )
        for arm, rates in by_fold.groupby("arm")
    }


def seed_variance(predictions: pd.DataFrame, truths: pd.DataFrame) -> float:
    """Variance of the difference to the reference, had the same folds been trained with other seeds.

    Read from the scores on test phantoms, so there is no luck of the study's own test part in it.
    """
    of_model = truths.set_index(["arm", "fold", "seed"])[["sensitivity", "specificity"]].mean(axis=1)
    difference = (of_model.loc[PRIMARY_ARM] - of_model.loc[REFERENCE_ARM]).unstack("seed")  # noqa: PD010 - nothing to average
    weights = predictions.drop_duplicates("slice_id")["fold"].value_counts(normalize=True).sort_index()
    return float((weights**2 * difference.var(axis=1, ddof=1)).sum() / difference.shape[1])


def judge(
    predictions: pd.DataFrame, truths: pd.DataFrame, *, draws: int, test_share: float, rng: np.random.Generator
) -> dict[str, Any]:
    """What the report would say of one study, and what is true of its models."""
    drawn = bootstrap(predictions=predictions, draws=draws, rng=rng)
    to_reference, detectable = drawn.difference(PRIMARY_ARM, REFERENCE_ARM, "balanced_accuracy")
    to_duplicates, _ = drawn.difference(PRIMARY_ARM, DUPLICATES_ARM, "balanced_accuracy")
    said = verdict(
        to_reference=to_reference,
        to_duplicates=to_duplicates,
        margin=MARGIN,
        n_groups=len(drawn.study.groups),
        enough_groups=drawn.enough_groups(),
    )
    sure = drawn.uncertainty(
        drawn.spread(PRIMARY_ARM, "balanced_accuracy").minus(drawn.spread(REFERENCE_ARM, "balanced_accuracy"))
    )
    known = known_scores(predictions, truths)
    found: dict[str, Any] = {
        "verdict": said,
        "detectable": detectable,
        "error": sure.error,
        "reference": known[REFERENCE_ARM],
        "seed_variance": seed_variance(predictions, truths),
        "sign_flip_p": sign_flip_p(
            parts_by_group(drawn.study, arm=PRIMARY_ARM, reference=REFERENCE_ARM), flips=2000, rng=rng
        ),
    }
    by_model = difference_by_model(drawn, arm=PRIMARY_ARM, reference=REFERENCE_ARM)
    found["nadeau_bengio_p"] = resampled_t(by_model.ravel(), test_share=test_share).p()
    for arm, difference in ((REFERENCE_ARM, to_reference), (DUPLICATES_ARM, to_duplicates)):
        found |= {f"{key} to {arm}": value for key, value in difference.model_dump().items()}
        found[f"models to {arm}"] = known[PRIMARY_ARM] - known[arm]
    return found


def judge_all(work: Path, *, studies: int, settings: Settings) -> pd.DataFrame:
    """A row a study that is there."""
    found = []
    for k, kind in enumerate(KINDS):
        for number in range(studies):
            predicted, known = study_files(work, kind, number)
            if predicted.exists():
                rng = np.random.default_rng([k, number, 1])
                row = judge(
                    pd.read_parquet(predicted),
                    pd.read_parquet(known),
                    draws=settings.draws,
                    test_share=settings.design(kind).test_share,
                    rng=rng,
                )
                found.append({"kind": kind, "number": number, **row})
    return pd.DataFrame(found)


def share(hits: "pd.Series[bool]") -> str:
    """Share with its exact 95 % interval (Clopper and Pearson 1934)."""
    interval = stats.binomtest(int(hits.sum()), len(hits)).proportion_ci()
    return f"{hits.mean():.1%} ({interval.low:.1%} to {interval.high:.1%})"


def summary(kind: str, of: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """All that is to be said of the studies of one kind, line by line.

    The method's truth is the mean over the models of all studies, but where it is known: without gain, to the
    reference, it is 0.
    """
    models = {arm: of[f"models to {arm}"] for arm in (REFERENCE_ARM, DUPLICATES_ARM)}
    method = {arm: float(truths.mean()) for arm, truths in models.items()}
    if kind == "no gain":
        method[REFERENCE_ARM] = 0.0
    yield "studies", str(len(of))
    yield "true balanced accuracy of the reference", f"{of['reference'].mean():.3f}"
    for arm, truths in models.items():
        error = truths.std() / np.sqrt(len(truths))
        yield f"measured true difference to {arm} ± standard error", f"{truths.mean():+.4f} ± {error:.4f}"
    yield "stated minimum detectable effect, mean", f"{of['detectable'].mean():.4f}"
    yield "true difference over it", f"{method[REFERENCE_ARM] / of['detectable'].mean():.2f}"
    yield "verdict gain or harm", share(of["verdict"].isin(("gain", "harm")))
    for word in get_args(Verdict):
        yield f"verdict {word}", share(of["verdict"] == word)
    for arm, truths in models.items():
        low, high = of[f"low to {arm}"], of[f"high to {arm}"]
        yield f"interval to {arm} holds the method's truth", share((low <= method[arm]) & (method[arm] <= high))
        yield f"interval to {arm} holds the models' truth", share((low <= truths) & (truths <= high))
    estimates, truths = of[f"estimate to {REFERENCE_ARM}"], models[REFERENCE_ARM]
    yield "standard error stated (root mean square)", f"{np.sqrt((of['error'] ** 2).mean()):.4f}"
    yield "spread of estimates over studies", f"{estimates.std():.4f}"
    about_models, seeds = (estimates - truths).var(), of["seed_variance"].mean()
    yield "of it by the subjects tested", f"{np.sqrt(about_models):.4f}"
    yield "of it by the seeds", f"{np.sqrt(seeds):.4f}"
    yield "of it by the subjects learned from", f"{np.sqrt(max(0.0, truths.var() - seeds)):.4f}"
    yield "spread by subjects tested and seeds together", f"{np.sqrt(about_models + seeds):.4f}"
    for name in ("sign_flip_p", "nadeau_bengio_p"):
        yield f"{name} at most 0.05", share(of[name] <= 0.05)


def print_table(judged: pd.DataFrame) -> None:
    columns = [dict(summary(kind, judged[judged["kind"] == kind])) for kind in judged["kind"].unique()]
    print("| |", " | ".join(judged["kind"].unique()), "|\n|---|" + "---|" * len(columns))
    for name in columns[0]:
        print(f"| {name} |", " | ".join(column[name] for column in columns), "|")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path, help="a folder outside of the repository; what is there is gone on from")
    parser.add_argument("--studies", type=int, default=200, help="of each kind")
    parser.add_argument("--again", action="store_true", help="train nothing; judge what is there anew")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if not asked.again:
        simulate_all(asked.work, studies=asked.studies, settings=SETTINGS)
    judged = judge_all(asked.work, studies=asked.studies, settings=SETTINGS)
    write_table(asked.work / "judged.parquet", judged)
    print_table(judged)


if __name__ == "__main__":
    main()
