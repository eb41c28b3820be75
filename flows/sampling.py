"""Slices that GANs draw, as tasks: until enough pass the screen. They are a synthetic set, or canvases to paint on."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data_contracts.manifest import DIAGNOSES, NO_TUMOUR
from data_contracts.results import MemorisationScores
from data_contracts.splits import Fold
from flows import pictures, progress
from flows.account import stage_task
from flows.judge import score_copies
from flows.study import CANVAS, fold_of, record_of, rows_of, score_path, seed_of
from pipeline.evidence import utility
from pipeline.evidence.memorisation import CopyFinder, Found
from pipeline.export.gate import Screened, screen
from pipeline.formats.synthetic import MANIFEST_NAME, write_synthetic
from pipeline.run_dir import RunDir, write_record
from pipeline.synthesis import model_dir
from pipeline.synthesis.canvases import heights, paintable
from pipeline.synthesis.gan import TrainingFailed
from pipeline.synthesis.sample import sample

MOST_DRAWN = 4  # times the images wanted: where so many were refused, a shortfall is accepted
Images = NDArray[np.float32]


@dataclass(frozen=True)
class Generated:
    """All images generated (N, 1, S, S) from seeds (N,), what was found of their nearest training slices, the screen's
    verdict.
    """

    images: Images
    seeds: NDArray[np.int64]
    copies: Found
    screened: Screened

    @property
    def chosen(self) -> NDArray[np.intp]:
        """Places of those that passed."""
        return np.flatnonzero(self.screened.kept)


@stage_task("sample")
def sample_task(root: Path, fold: int, diagnosis: str, *, judged: bool = True) -> None:
    """Sample until enough slices pass the screen: near-copies of training slices and broken images never leave.

    judged: copies are summed up for the report too; not of a fold of the learning curve, there for its classifiers.
    """
    run = RunDir(root)
    if (run.synthetic(fold, diagnosis) / MANIFEST_NAME).exists():
        return
    record, parts = record_of(run), fold_of(run, fold)
    # a generator that began as a joint one has seen the other diagnosis too, and may copy from it
    finder, learned = copy_finder(run, parts, diagnosis if record.config.synthesis.strategy == "per_class" else None)
    with progress.stage(f"Sample and screen {diagnosis} slices, fold {fold}", "slices") as update:
        found = _screened_sample(
            run,
            parts,
            diagnosis,
            model=run.model(fold, diagnosis),
            wanted=synthetic_wanted(run, parts, diagnosis),
            finder=finder,
            seed=seed_of(record.seed, "sample", fold, diagnosis),
            update=update,
        )
    _require_some(found, f"{diagnosis} slices of fold {fold}")
    if parts.whole and judged:
        scores = sum_up_copies(run, parts, diagnosis, found=found, finder=finder)
        write_record(score_path(run, "memorisation", fold, diagnosis), scores)
        nearest = learned[found.copies.nearest]
        pictures.nearest_pairs(
            run, fold, diagnosis, generated=found.images, nearest=nearest, distances=found.copies.distances
        )
    write_synthetic(
        run.synthetic(fold, diagnosis),
        images=found.images[found.chosen],
        names=[f"g{fold}-{diagnosis.replace('_', '-')}-{i:06d}" for i in found.chosen],
        generator=f"{fold}-{diagnosis}",
        diagnosis=diagnosis,
    )


@stage_task("dream canvases")
def dream_task(root: Path, fold: int, diagnosis: str, *, judged: bool = True) -> None:
    """Draw slices without a tumour, one for each slice of `diagnosis` that is wanted, and screen them as any others.

    Those of both diagnoses are of one generator, whose seeds they take in turns: a canvas of the one is none of the
    other. judged: as of `sample_task`. Raises TrainingFailed where none passes.
    """
    run = RunDir(root)
    folder = run.canvases(fold, diagnosis)
    if (folder / MANIFEST_NAME).exists():
        return
    seed, parts, model = record_of(run).seed, fold_of(run, fold), run.model(fold, CANVAS)
    finder, _ = copy_finder(run, parts, NO_TUMOUR)
    with progress.stage(f"Dream and screen canvases of {diagnosis} slices, fold {fold}", "slices") as update:
        found = _screened_sample(
            run,
            parts,
            NO_TUMOUR,
            model=model,
            wanted=synthetic_wanted(run, parts, diagnosis),
            finder=finder,
            seed=seed_of(seed, "canvas", fold) + DIAGNOSES.index(diagnosis),
            every=len(DIAGNOSES),
            sound=paintable,
            update=update,
        )
    _require_some(found, f"canvases of {diagnosis} slices of fold {fold}")
    if parts.whole and judged:
        # not what leaves: whoever attacks has the painted slices alone
        scores = sum_up_copies(run, parts, NO_TUMOUR, found=found, finder=finder, attacked=False)
        named = scores.model_copy(update={"diagnosis": diagnosis, "compared": "canvases"})
        write_record(score_path(run, "canvases", fold, diagnosis), named)
    manifest = pd.read_parquet(run.manifest)
    known = manifest.loc[rows_of(manifest, parts.train, NO_TUMOUR), "position"].to_numpy(float)
    seeds = found.seeds[found.chosen].tolist()
    write_synthetic(
        folder,
        images=found.images[found.chosen],
        names=[f"c{fold}-seed-{seed}" for seed in seeds],
        generator=f"{fold}-{CANVAS}",
        diagnosis=NO_TUMOUR,
        positions=heights(model_dir.load_generator(model)[1], seeds, known),
    )


def synthetic_wanted(run: RunDir, parts: Fold, diagnosis: str) -> int:
    """Synthetic slices of one diagnosis that the fold's classifiers want."""
    n_real = int(rows_of(pd.read_parquet(run.manifest), parts.train, diagnosis).sum())
    return utility.synthetic_wanted(n_real=n_real, fold=parts, config=record_of(run).config.utility)


def copy_finder(run: RunDir, parts: Fold, diagnosis: str | None) -> tuple[CopyFinder, Images]:
    """Of copies of the fold's training slices, of one diagnosis or of both, and these slices (M, 1, S, S)."""
    manifest = pd.read_parquet(run.manifest)
    rows = rows_of(manifest, parts.train, diagnosis)
    learned = np.load(run.normalised(parts.fold), mmap_mode="r")[rows]
    return CopyFinder(learned, manifest.loc[rows, "group"].tolist()), learned


def _screened_sample(
    run: RunDir,
    parts: Fold,
    diagnosis: str,
    *,
    model: Path,
    wanted: int,
    finder: CopyFinder,
    seed: int,
    update: progress.Update,
    every: int = 1,
    sound: Callable[[Images], NDArray[np.bool_]] | None = None,
) -> Generated:
    """Generate until `wanted` images pass the screen: each round replaces what was refused, up to MOST_DRAWN times.

    every: so many-th seeds from the first one on. sound: which finite images (N, 1, S, S) are not broken for all that
    the screen sees.
    """
    real = np.load(run.normalised(parts.fold), mmap_mode="r")
    training = real[rows_of(pd.read_parquet(run.manifest), parts.train, diagnosis)]
    generator, trained = model_dir.load_generator(model)
    images, seeds = np.empty((0, *training.shape[1:]), np.float32), np.empty(0, np.int64)
    copies = finder.find(images)
    missing = wanted
    while missing and len(images) < MOST_DRAWN * wanted:
        more = seed + every * (len(images) + np.arange(missing))
        new = sample(generator, trained, seeds=more.tolist())
        images, seeds, copies = (
            np.concatenate([images, new]),
            np.concatenate([seeds, more]),
            copies.and_then(finder.find(new)),
        )
        screened = screen(synthetic=images, training=training, near_copy=copies.near_copy)
        if sound is not None:
            passed = np.flatnonzero(~screened.broken)
            broken = screened.broken.copy()
            broken[passed] = ~sound(images[passed])
            screened = replace(screened, broken=broken)
        missing = wanted - int(screened.kept.sum())
        update(wanted - missing, wanted)
    return Generated(images, seeds, copies, screened)


def _require_some(found: Generated, what: str) -> None:
    """Raise TrainingFailed where nothing passed the screen."""
    if not len(found.chosen):
        raise TrainingFailed(
            f"none of {len(found.images)} generated {what} passed the screen "
            f"({found.screened.near_copy.sum()} near-copies, {found.screened.broken.sum()} broken); train longer "
            "(gan.images) or with more slices"
        )


def sum_up_copies(
    run: RunDir, fold: Fold, diagnosis: str, *, found: Generated, finder: CopyFinder, attacked: bool = True
) -> MemorisationScores:
    """Copies among all generated images of one diagnosis, beside its held-out real slices.

    attacked: who was learned from is guessed at, too.
    """
    manifest, real = pd.read_parquet(run.manifest), np.load(run.normalised(fold.fold), mmap_mode="r")
    of_training, of_test = (rows_of(manifest, groups, diagnosis) for groups in (fold.train, fold.test))
    seed = seed_of(record_of(run).seed, "membership", fold.fold, diagnosis)
    return score_copies(
        fold=fold.fold,
        diagnosis=diagnosis,
        synthetic=found.images,
        copies=found.copies,
        kept=found.screened.kept,
        broken=found.screened.broken,
        threshold=finder.threshold,
        training=real[of_training],
        training_groups=manifest.loc[of_training, "group"].tolist(),
        held_out=real[of_test],
        held_out_groups=manifest.loc[of_test, "group"].tolist(),
        held_out_copies=finder.find(real[of_test]),
        attack=np.random.default_rng(seed) if attacked else None,
    )
