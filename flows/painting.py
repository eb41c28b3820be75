"""The strategies that paint, as tasks: where lesions lie in a fold's training part, its painters, the sets they make.

What is painted on is a real slice of the other diagnosis, or a slice without a tumour that a GAN drew
(`sampling.dream_task`). Sets by copy and paste, which need no network, are made beside them: what painting must beat.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data_contracts.manifest import DIAGNOSES, NO_TUMOUR, REAL, SYNTHETIC, TUMOUR
from data_contracts.results import PASTED_ARM, PRIMARY_RATIO, LesionSource, MemorisationScores
from data_contracts.splits import Fold
from data_contracts.violations import ContractError, Violation
from flows import pictures, progress
from flows.account import stage_task
from flows.devices import Job
from flows.sampling import Generated, copy_finder, sum_up_copies, synthetic_wanted
from flows.study import fold_of, record_of, rows_of, score_path, seed_of
from pipeline.compute import best_compute
from pipeline.evidence.localisation import find_lesions
from pipeline.evidence.memorisation import CopyFinder, Found
from pipeline.evidence.patches import PaintedCopies, outside_copy_share, painted_copies, score_painted
from pipeline.export.gate import Screened, screen
from pipeline.formats.synthetic import MANIFEST_NAME, read_painted, read_synthetic, write_synthetic
from pipeline.run_dir import RunDir, read_record, write_array, write_record
from pipeline.scans.inputs import IngestRecord
from pipeline.scans.split import MIN_TRAIN_GROUPS
from pipeline.synthesis.canvases import Canvases
from pipeline.synthesis.gan import TrainingFailed
from pipeline.synthesis.lesions import LesionBank, PastedSet, lesion_bank, paste_set
from pipeline.synthesis.painter import TrainedPainter, load_painter, train_painter
from pipeline.synthesis.painting import lesson, paint_set, painted_region

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
    if found.n_usable < FEWEST_LESIONS or groups < MIN_TRAIN_GROUPS:
        raise ContractError([_too_few(parts, found, groups=groups, n_given=n_given)])
    write_record(path, found)


def _too_few(parts: Fold, found: LesionSource, *, groups: int, n_given: int) -> Violation:
    told = f", {n_given} given and the others looked for," if found.source == "found" else ""
    detail = (
        f"lesions are known{told} in {found.n_usable} of {found.n_tumour} tumour slices, of {groups} subjects; "
        f"{FEWEST_LESIONS} of {MIN_TRAIN_GROUPS} are needed: give or draw more masks, or do without "
        f"(another synthesis.strategy than one that paints, and utility.arms without {PASTED_ARM})"
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
    masks[of_tumour] = found.masks & found.usable[:, None, None]
    write_array(run.found_masks(parts.fold), masks)
    return LesionSource(
        fold=parts.fold,
        source="found",
        n_tumour=int(of_tumour.sum()),
        n_usable=int(found.usable.sum()),
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
        diagnoses=rows["diagnosis"].tolist(),
        groups=rows["group"].tolist(),
        positions=rows["position"].to_numpy(float).tolist(),
        whole=not found.exists(),
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

    On slices that a GAN drew they are screened as a whole, too. judged: as of `sampling.sample_task`. Raises
    TrainingFailed where none passes the screen.
    """
    run, parts = RunDir(root), fold_of(RunDir(root), fold)
    folder = run.synthetic(fold, diagnosis)
    if (folder / MANIFEST_NAME).exists():
        return
    bank, rows = read_bank(run, fold)
    judge = _Judge(run, parts, diagnosis, on=_sources(run, parts, diagnosis, rows))
    generator, _ = load_painter(run.model(fold, diagnosis))

    def painted_in(turn: int, n: int) -> PastedSet:
        seed = seed_of(record_of(run).seed, "paint", fold, diagnosis, turn)
        on = judge.on.dreamt
        return paint_set(bank, generator, diagnosis=diagnosis, n=n, seed=seed, compute=best_compute(), dreamt=on)

    with progress.stage(f"Paint and screen {diagnosis} slices, fold {fold}", "slices") as update:
        painted = paint_until(synthetic_wanted(run, parts, diagnosis), painted_in, judge=judge, update=update)
    made, screened = painted.made, painted.screened
    if not screened.kept.any():
        raise TrainingFailed(
            f"none of {len(made.images)} painted {diagnosis} slices of fold {fold} passed the screen "
            f"({screened.near_copy.sum()} near-copies, {screened.broken.sum()} broken); train longer (painter.images)"
        )
    if parts.whole and judged:
        write_record(score_path(run, "memorisation", fold, diagnosis), judge.scores(painted))
        nearest, distances = judge.nearest(painted)
        pictures.nearest_pairs(run, fold, diagnosis, generated=made.images, nearest=nearest, distances=distances)
    write_changed(
        folder,
        made,
        rows,
        generator=f"painted-{fold}-{diagnosis}",
        kept=screened.kept,
        sources=judge.on.names,
        painted_on=judge.on.origin,
    )


@dataclass(frozen=True, eq=False)
class _Painted:
    """All slices painted, what their regions and, on slices that a GAN drew, they themselves copy, and the screen."""

    made: PastedSet
    inside: PaintedCopies
    whole: Found | None
    screened: Screened


def paint_until(
    wanted: int, painted_in: Callable[[int, int], PastedSet], *, judge: "_Judge", update: progress.Update
) -> _Painted:
    """Paint until as many pass the screen as are wanted, in rounds of what is missing, up to MOST_PAINTED times all.

    painted_in: (round, n) to n slices. Each round is judged with those before it, and more may pass then than before.
    Were one diagnosis left short, having been painted would tell of the other.
    """
    rounds: list[PastedSet] = []
    missing, drawn = wanted, 0
    whole: Found | None = None
    while missing > 0 and drawn < MOST_PAINTED * wanted:
        new = painted_in(len(rounds), missing)
        rounds.append(new)
        made = PastedSet(*(np.concatenate(of) for of in zip(*map(_fields, rounds), strict=True)))
        if judge.finder is not None:
            found = judge.finder.find(new.images)
            whole = found if whole is None else whole.and_then(found)
        inside = judge.copies_inside(made)
        screened = judge.screen(made, inside=inside, whole=whole)
        missing, drawn = wanted - int(screened.kept.sum()), len(made.images)
        update(min(wanted, wanted - missing), wanted)
    return _Painted(made, inside, whole, screened)


def _fields(made: PastedSet) -> list[NDArray[np.generic]]:
    return [made.images, made.masks, made.source_rows, made.lesion_rows, made.seeds]


@dataclass(frozen=True, eq=False)
class _Sources:
    """Slices to paint on, by `PastedSet.source_rows`: their ids, pixels (N, 1, S, S), and where they are from.

    groups: subjects of real ones. dreamt: of those that a GAN drew, what `paint_set` takes.
    """

    names: list[str]
    images: NDArray[np.float32]
    origin: str
    groups: list[str] | None = None
    dreamt: Canvases | None = None


def _sources(run: RunDir, parts: Fold, diagnosis: str, rows: pd.DataFrame) -> _Sources:
    """What slices of the diagnosis are painted on; rows: those of the bank, which real sources are of."""
    if not record_of(run).config.synthesis.dreams:
        manifest = pd.read_parquet(run.manifest)
        real = np.load(run.normalised(parts.fold), mmap_mode="r")[rows_of(manifest, parts.train)]
        return _Sources(rows["slice_id"].tolist(), real, REAL, groups=rows["group"].tolist())
    drawn, images = read_synthetic(run.canvases(parts.fold, diagnosis))
    dreamt = Canvases(images, drawn["position"].to_numpy(float))
    return _Sources(drawn["slice_id"].tolist(), images, SYNTHETIC, dreamt=dreamt)


class _Judge:
    """Real slices of one diagnosis that painted ones are judged by, with their lesions where known; and what follows.

    finder: of copies of whole training slices of both diagnoses, which painters and GAN learned from; None where what
    is painted on is real, for then each is a copy of its source.
    """

    def __init__(self, run: RunDir, parts: Fold, diagnosis: str, *, on: _Sources) -> None:
        self.run, self.parts, self.diagnosis, self.on = run, parts, diagnosis, on
        manifest, real = pd.read_parquet(run.manifest), np.load(run.normalised(parts.fold), mmap_mode="r")
        of_training, of_test = (rows_of(manifest, groups, diagnosis) for groups in (parts.train, parts.test))
        self.training, self.held_out = real[of_training], real[of_test]
        self.training_groups = manifest.loc[of_training, "group"].tolist()
        self.training_regions: NDArray[np.bool_] | None = None
        self.held_out_regions: NDArray[np.bool_] | None = None
        if diagnosis == TUMOUR:
            found, given = run.found_masks(parts.fold), np.load(run.normalised_masks, mmap_mode="r")
            known = np.load(found, mmap_mode="r") if found.exists() else given
            self.training_regions = known[of_training].astype(np.bool_)
            # where a part of the scans has masks, none may be of the test part
            if not found.exists() and given[of_test].any():
                self.held_out_regions = given[of_test].astype(np.bool_)
        self.finder: CopyFinder | None = None
        self.learned: NDArray[np.float32] | None = None
        if on.origin == SYNTHETIC:
            self.finder, self.learned = copy_finder(run, parts, None)

    def copies_inside(self, made: PastedSet) -> PaintedCopies:
        """What painted regions copy. Healthy tissue may be like that of its own head, where that is a patient's."""
        healthy = self.training_regions is None
        own = None if self.on.groups is None else [self.on.groups[row] for row in made.source_rows]
        return painted_copies(
            painted=made.images,
            regions=made.masks,
            training=self.training,
            training_groups=self.training_groups,
            training_regions=self.training_regions,
            held_out=self.held_out,
            held_out_regions=self.held_out_regions,
            painted_groups=own if healthy else None,
        )

    def screen(self, made: PastedSet, *, inside: PaintedCopies, whole: Found | None) -> Screened:
        """What may leave: a slice is refused for its region or, where `whole` was looked at, for all of it."""
        return screen(
            synthetic=made.images,
            training=self.training,
            near_copy=inside.near_copy if whole is None else inside.near_copy | whole.near_copy,
            regions=made.masks,
            training_regions=self.training_regions,
            source_origins=[self.on.origin] * len(made.images),
        )

    def scores(self, painted: _Painted) -> MemorisationScores:
        """Copies among all painted slices: inside of their regions, and as a whole and of their canvases, if drawn."""
        made, screened = painted.made, painted.screened
        regions = score_painted(
            fold=self.parts.fold,
            diagnosis=self.diagnosis,
            copies=painted.inside,
            outside=outside_copy_share(
                painted=made.images,
                regions=np.stack(list(painted_region(made.masks))),
                sources=self.on.images[made.source_rows],
            ),
            n_broken=int(screened.broken.sum()),
            n_kept=int(screened.kept.sum()),
            contains_patient_anatomy=screened.contains_patient_anatomy,
        )
        if painted.whole is None or self.finder is None:
            return regions
        found = Generated(made.images, made.seeds, painted.whole, screened)
        whole = sum_up_copies(self.run, self.parts, self.diagnosis, found=found, finder=self.finder)
        canvases = score_path(self.run, "canvases", self.parts.fold, self.diagnosis)
        return whole.model_copy(update={"parts": (read_record(canvases, MemorisationScores), regions)})

    def nearest(self, painted: _Painted) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Of each painted slice the nearest training slice (N, 1, S, S), and how near it is (N,)."""
        if painted.whole is None or self.learned is None:
            return self.training[painted.inside.nearest], painted.inside.distances
        return self.learned[painted.whole.nearest], painted.whole.distances


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
    folder: Path,
    made: PastedSet,
    rows: pd.DataFrame,
    *,
    generator: str,
    kept: NDArray[np.bool_] | None = None,
    sources: Sequence[str] | None = None,
    painted_on: str = REAL,
) -> None:
    """Write changed slices with their masks and where they came from; rows: those of the bank; kept: which, or all.

    sources: ids of the slices that were changed, where they are not those of the bank; painted_on: their origin.
    """
    chosen = np.flatnonzero(np.ones(len(made.images), np.bool_) if kept is None else kept)
    names, lesions = rows["slice_id"].to_numpy(), made.lesion_rows[chosen]
    provenance = pd.DataFrame(
        {
            "source": (names if sources is None else np.asarray(sources))[made.source_rows[chosen]],
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
        painted_on=painted_on,
    )


def sources(folders: Mapping[str, Path], manifest: pd.DataFrame) -> dict[str, list[frozenset[str]]]:
    """By diagnosis the groups of patients that each changed slice in these folders contains, shapes of lesions too.

    A slice that a GAN drew contains none that are known.
    """
    group = manifest.set_index("slice_id")["group"].to_dict()
    found = {}
    for diagnosis, folder in folders.items():
        table, _ = read_painted(folder)
        pairs = zip(table["source"], table["lesion"], strict=True)
        found[diagnosis] = [frozenset(group[one] for one in pair if one in group) for pair in pairs]
    return found


def read_pasted(run: RunDir, fold: int) -> dict[str, NDArray[np.float32]]:
    """By diagnosis the images of `paste_task`."""
    return {diagnosis: read_synthetic(run.pasted(fold, diagnosis))[1] for diagnosis in DIAGNOSES}
