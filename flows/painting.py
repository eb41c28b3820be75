"""The strategy `paint`, as tasks: where lesions lie in a fold's training part, its painters, the sets that they make.

Sets by copy and paste, which need no network, are made beside them: what painting must beat.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data_contracts.manifest import DIAGNOSES, NO_TUMOUR, TUMOUR
from data_contracts.results import PASTED_ARM, PRIMARY_RATIO, LesionSource
from data_contracts.splits import Fold
from data_contracts.violations import ContractError, Violation
from flows import pictures, progress
from flows.account import stage_task
from flows.devices import Job
from flows.study import fold_of, record_of, rows_of, score_path, seed_of
from pipeline.compute import best_compute
from pipeline.evidence import utility
from pipeline.evidence.localisation import find_lesions
from pipeline.evidence.patches import PaintedCopies, outside_copy_share, painted_copies, score_painted
from pipeline.export.gate import Screened, screen
from pipeline.formats.synthetic import MANIFEST_NAME, read_painted, read_synthetic, write_synthetic
from pipeline.run_dir import RunDir, read_record, write_array, write_record
from pipeline.scans.inputs import IngestRecord
from pipeline.scans.split import MIN_TRAIN_GROUPS
from pipeline.synthesis.gan import TrainingFailed
from pipeline.synthesis.lesions import LesionBank, PastedSet, lesion_bank, paste_set
from pipeline.synthesis.painter import TrainedPainter, load_painter, train_painter
from pipeline.synthesis.painting import lesson, paint_set, painted_region

CLEAN = 2  # in found masks, of slices that show no tumour once it is covered; 1 of the others that are used
MOST_PAINTED = 4  # times the slices wanted: where so many were refused, a shortfall is accepted
FEWEST_LESIONS = 8  # as of images that a GAN may learn from: below, a painter knows each before it can paint one
Masks = NDArray[np.uint8]


def lesions_path(run: RunDir, fold: int) -> Path:
    """The fold's `LesionSource`."""
    return run.metric(f"lesions/{fold}.json")


@stage_task("find lesions")
def lesions_task(root: Path, fold: int) -> None:
    """Tell where lesions lie in the tumour slices of the fold's training part: by masks, or where none is, by finding.

    Raises ContractError where too few are known or found to paint from.
    """
    run, parts = RunDir(root), fold_of(RunDir(root), fold)
    path = lesions_path(run, fold)
    if path.exists():
        return
    manifest = pd.read_parquet(run.manifest)
    of_tumour = rows_of(manifest, parts.train, TUMOUR)
    given = np.load(run.normalised_masks, mmap_mode="r")
    has_mask = of_tumour & given.any(axis=(1, 2))
    n_given = int(has_mask.sum())
    if n_given >= FEWEST_LESIONS:
        # the run of a locked test set was joined and not ingested; nothing reports of its masks
        drawn = run.ingest_json.exists() and read_record(run.ingest_json, IngestRecord).masks_drawn > 0
        source: Literal["drawn", "given"] = "drawn" if drawn else "given"
        found = LesionSource(fold=fold, source=source, n_tumour=int(of_tumour.sum()), n_usable=n_given)
    else:
        found = _find(run, manifest, parts)
        has_mask = np.load(run.found_masks(fold), mmap_mode="r").any(axis=(1, 2))
    groups = manifest.loc[has_mask, "group"].nunique()
    none_clean = found.source == "found" and not found.n_clean
    if found.n_usable < FEWEST_LESIONS or groups < MIN_TRAIN_GROUPS or none_clean:
        raise ContractError([_too_few(parts, found, groups=groups, n_given=n_given)])
    write_record(path, found)


def _too_few(parts: Fold, found: LesionSource, *, groups: int, n_given: int) -> Violation:
    told = f", {n_given} given and the others looked for," if found.source == "found" else ""
    detail = (
        f"lesions are known{told} in {found.n_usable} of {found.n_tumour} tumour slices, of {groups} subjects; "
        f"{FEWEST_LESIONS} of {MIN_TRAIN_GROUPS} are needed: give or draw more masks, or do without "
        f"(another synthesis.strategy than paint, and utility.arms without {PASTED_ARM})"
    )
    where = f"fold-{parts.fold}" if parts.whole else f"fold-{parts.fold}, {parts.share:.0%} of the subjects"
    return Violation(where, "too few lesions to paint from", detail)


def _find(run: RunDir, manifest: pd.DataFrame, parts: Fold) -> LesionSource:
    """Search the training part by what it teaches itself, and keep the masks that are good enough."""
    record, train = record_of(run), rows_of(manifest, parts.train)
    of_tumour = rows_of(manifest, parts.train, TUMOUR)
    with progress.stage(f"Find lesions, fold {parts.fold}"):
        found = find_lesions(
            images=np.load(run.normalised(parts.fold), mmap_mode="r")[train],
            diagnoses=manifest.loc[train, "diagnosis"].map(DIAGNOSES.index).to_numpy(np.int64),
            groups=manifest.loc[train, "group"].tolist(),
            config=record.config.localisation,
            seed=seed_of(record.seed, "lesions", parts.fold),
            compute=best_compute(),
        )
    masks = np.zeros((len(manifest), *found.masks.shape[1:]), np.uint8)
    worth = np.where(found.clean, CLEAN, found.usable).astype(np.uint8)
    masks[of_tumour] = found.masks * worth[:, None, None]
    write_array(run.found_masks(parts.fold), masks)
    return LesionSource(
        fold=parts.fold,
        source="found",
        n_tumour=int(of_tumour.sum()),
        n_usable=int(found.usable.sum()),
        n_clean=int(found.clean.sum()),
    )


def read_bank(run: RunDir, fold: int) -> tuple[LesionBank, pd.DataFrame]:
    """Lesions and canvases of the fold's training part, and the manifest's rows that the bank was made of."""
    manifest = pd.read_parquet(run.manifest)
    train = rows_of(manifest, fold_of(run, fold).train)
    rows = manifest[train].reset_index(drop=True)
    found = run.found_masks(fold)
    masks = np.load(found if found.exists() else run.normalised_masks, mmap_mode="r")[train]
    bank = lesion_bank(
        real=np.load(run.normalised(fold), mmap_mode="r")[train],
        masks=masks,
        clean=(masks == CLEAN).any(axis=(1, 2)) if found.exists() else None,
        diagnoses=rows["diagnosis"].tolist(),
        groups=rows["group"].tolist(),
        positions=rows["position"].to_numpy(float).tolist(),
    )
    return bank, rows


def train_painter_job(job: Job, device: str | None, update: progress.Update) -> TrainedPainter:
    """Train one painter of a study on its fold's training part; as `tasks.train_job`."""
    run = RunDir(job.root)
    record, bank = record_of(run), read_bank(run, job.fold)[0]
    seed = seed_of(record.seed, "painter", job.fold, job.diagnosis)
    learned = lesson(bank, job.diagnosis, seed=seed)
    return train_painter(
        folder=run.model(job.fold, job.diagnosis),
        diagnosis=job.diagnosis,
        pairs=learned.pairs,
        canvases=learned.canvases,
        examples=learned.examples,
        config=record.config.painter,
        seed=seed,
        compute=best_compute(device),
        progress=update,
    )


@stage_task("paint")
def paint_task(root: Path, fold: int, diagnosis: str, *, judged: bool = True) -> None:
    """Paint as many slices of one diagnosis as the fold's classifiers want, and screen their painted regions.

    judged: as of `tasks.sample_task`. Raises TrainingFailed where none passes the screen.
    """
    run, parts = RunDir(root), fold_of(RunDir(root), fold)
    folder = run.synthetic(fold, diagnosis)
    if (folder / MANIFEST_NAME).exists():
        return
    bank, rows = read_bank(run, fold)
    beside = _beside(run, parts, diagnosis)
    with progress.stage(f"Paint and screen {diagnosis} slices, fold {fold}", "slices") as update:
        made, copies, screened = _painted(run, parts, diagnosis, bank=bank, rows=rows, beside=beside, update=update)
    if not screened.kept.any():
        raise TrainingFailed(
            f"none of {len(made.images)} painted {diagnosis} slices of fold {fold} passed the screen "
            f"({screened.near_copy.sum()} near-copies, {screened.broken.sum()} broken); train longer (painter.images)"
        )
    if parts.whole and judged:
        sources = np.load(run.normalised(fold), mmap_mode="r")[beside.train][made.source_rows]
        differing = np.stack(list(painted_region(made.masks)))
        scores = score_painted(
            fold=fold,
            diagnosis=diagnosis,
            copies=copies,
            outside=outside_copy_share(painted=made.images, regions=differing, sources=sources),
            n_broken=int(screened.broken.sum()),
            n_kept=int(screened.kept.sum()),
            contains_patient_anatomy=screened.contains_patient_anatomy,
        )
        write_record(score_path(run, "memorisation", fold, diagnosis), scores)
        nearest = beside.training[copies.nearest]
        pictures.nearest_pairs(run, fold, diagnosis, generated=made.images, nearest=nearest, distances=copies.distances)
    write_changed(folder, made, rows, generator=f"painted-{fold}-{diagnosis}", kept=screened.kept)


def _painted(
    run: RunDir,
    parts: Fold,
    diagnosis: str,
    *,
    bank: LesionBank,
    rows: pd.DataFrame,
    beside: "_Beside",
    update: progress.Update,
) -> tuple[PastedSet, PaintedCopies, Screened]:
    """Paint until as many pass the screen as are wanted, in rounds of what is missing, up to MOST_PAINTED times all.

    Were one diagnosis left short, having been painted would tell of the other.
    """
    record, fold = record_of(run), parts.fold
    wanted = _wanted(run, fold, rows, diagnosis)
    generator, _ = load_painter(run.model(fold, diagnosis))
    rounds: list[PastedSet] = []
    missing, drawn = wanted, 0
    while missing and drawn < MOST_PAINTED * wanted:
        seed = seed_of(record.seed, "paint", fold, diagnosis, len(rounds))
        rounds.append(paint_set(bank, generator, diagnosis=diagnosis, n=missing, seed=seed, compute=best_compute()))
        made = PastedSet(*(np.concatenate(of) for of in zip(*map(_fields, rounds), strict=True)))
        copies = beside.copies(made, rows)
        screened = screen(
            synthetic=made.images,
            training=beside.training,
            near_copy=copies.near_copy,
            regions=made.masks,
            training_regions=beside.training_regions,
            source_origins=rows["origin"].iloc[made.source_rows].tolist(),
        )
        missing, drawn = wanted - int(screened.kept.sum()), len(made.images)
        update(wanted - missing, wanted)
    return made, copies, screened


def _fields(made: PastedSet) -> list[NDArray[np.generic]]:
    return [made.images, made.masks, made.source_rows, made.lesion_rows, made.seeds]


@dataclass(frozen=True, eq=False)
class _Beside:
    """Real slices of one diagnosis that painted ones are judged by, (N, 1, S, S), with their lesions where known.

    train: bool, which slices of the manifest the fold learns from, of both diagnoses.
    """

    train: NDArray[np.bool_]
    training: NDArray[np.float32]
    training_groups: list[str]
    training_regions: NDArray[np.bool_] | None
    held_out: NDArray[np.float32]
    held_out_regions: NDArray[np.bool_] | None

    def copies(self, made: PastedSet, rows: pd.DataFrame) -> PaintedCopies:
        """What painted regions copy; rows: those of the bank. Healthy tissue may be like that of its own head."""
        healthy = self.training_regions is None
        return painted_copies(
            painted=made.images,
            regions=made.masks,
            training=self.training,
            training_groups=self.training_groups,
            training_regions=self.training_regions,
            held_out=self.held_out,
            held_out_regions=self.held_out_regions,
            painted_groups=rows["group"].iloc[made.source_rows].tolist() if healthy else None,
        )


def _beside(run: RunDir, parts: Fold, diagnosis: str) -> _Beside:
    manifest, real = pd.read_parquet(run.manifest), np.load(run.normalised(parts.fold), mmap_mode="r")
    of_training, of_test = (rows_of(manifest, groups, diagnosis) for groups in (parts.train, parts.test))
    found = run.found_masks(parts.fold)
    regions, held_out_regions = None, None
    if diagnosis == TUMOUR:
        given = np.load(run.normalised_masks, mmap_mode="r")
        regions = (np.load(found, mmap_mode="r") if found.exists() else given)[of_training].astype(np.bool_)
        # where a part of the scans has masks, none may be of the test part
        if not found.exists() and given[of_test].any():
            held_out_regions = given[of_test].astype(np.bool_)
    return _Beside(
        train=rows_of(manifest, parts.train),
        training=real[of_training],
        training_groups=manifest.loc[of_training, "group"].tolist(),
        training_regions=regions,
        held_out=real[of_test],
        held_out_regions=held_out_regions,
    )


@stage_task("copy and paste")
def paste_task(root: Path, fold: int) -> None:
    """Lay real lesions into other real slices, and mirrored tissue over them, as many as the arm of them adds."""
    run = RunDir(root)
    if all((run.pasted(fold, diagnosis) / MANIFEST_NAME).exists() for diagnosis in DIAGNOSES):
        return
    bank, rows = read_bank(run, fold)
    with progress.stage(f"Copy and paste lesions, fold {fold}"):
        # no dose but the primary one has pasted slices: of more than are used, some would come twice and others never
        wanted = {d: round(PRIMARY_RATIO * int((rows["diagnosis"] == d).sum())) for d in DIAGNOSES}
        pasted = paste_set(
            bank,
            wanted[TUMOUR],
            wanted[NO_TUMOUR],
            np.random.default_rng(seed_of(record_of(run).seed, "paste", fold)),
        )
    for diagnosis, made in pasted.items():
        write_changed(run.pasted(fold, diagnosis), made, rows, generator=f"pasted-{fold}-{diagnosis}")


def write_changed(
    folder: Path, made: PastedSet, rows: pd.DataFrame, *, generator: str, kept: NDArray[np.bool_] | None = None
) -> None:
    """Write changed slices with their masks and where they came from; rows: those of the bank; kept: which, or all."""
    chosen = np.flatnonzero(np.ones(len(made.images), np.bool_) if kept is None else kept)
    names, lesions = rows["slice_id"].to_numpy(), made.lesion_rows[chosen]
    provenance = pd.DataFrame(
        {
            "source": names[made.source_rows[chosen]],
            "lesion": np.where(lesions < 0, "", names[lesions]),
            "seed": made.seeds[chosen],
        }
    )
    write_synthetic(
        folder,
        images=made.images[chosen],
        names=[f"{generator.replace('_', '-')}-{i:06d}" for i in chosen],
        generator=generator,
        diagnosis=folder.name,
        masks=made.masks[chosen],
        provenance=provenance,
    )


def _wanted(run: RunDir, fold: int, rows: pd.DataFrame, diagnosis: str) -> int:
    n_real = int((rows["diagnosis"] == diagnosis).sum())
    return utility.synthetic_wanted(n_real=n_real, fold=fold_of(run, fold), config=record_of(run).config.utility)


def sources(folders: Mapping[str, Path], manifest: pd.DataFrame) -> dict[str, list[frozenset[str]]]:
    """By diagnosis the groups of patients that each changed slice in these folders contains."""
    group = manifest.set_index("slice_id")["group"]
    found = {}
    for diagnosis, folder in folders.items():
        table, _ = read_painted(folder)
        pairs = zip(table["source"], table["lesion"], strict=True)
        found[diagnosis] = [frozenset(group[one] for one in pair if one) for pair in pairs]
    return found


def read_pasted(run: RunDir, fold: int) -> dict[str, NDArray[np.float32]]:
    """By diagnosis the images of `paste_task`."""
    return {diagnosis: read_synthetic(run.pasted(fold, diagnosis))[1] for diagnosis in DIAGNOSES}
