"""Two folders of images compared, whoever made them: `augment-mri evaluate`."""

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data_contracts.manifest import DIAGNOSES, TUMOUR
from data_contracts.results import PRIMARY_EXTRACTOR, Evaluation, FidelityScores, MemorisationScores
from data_contracts.splits import strata
from data_contracts.violations import ContractError, Violation, require
from flows.config import FidelityConfig, StudyConfig, versions
from flows.errors import ConfigError
from flows.judge import judge, require_extractors, score_copies
from flows.progress import stage
from pipeline.compute import best_compute
from pipeline.evidence import memorisation
from pipeline.evidence.classifier import train_classifier
from pipeline.evidence.classifier_networks import Classifier
from pipeline.evidence.embeddings import CLASSIFIER
from pipeline.export.gate import screen
from pipeline.run_dir import RunDir, write_record
from pipeline.scans.gallery import Gallery, read_gallery
from pipeline.scans.inputs import IngestConfig
from pipeline.scans.normalise import Measured, apply, fit, measure, measure_all
from pipeline.scans.reading import Slice
from pipeline.scans.remote import is_remote
from pipeline.scans.workers import require_temporary_folder

ALL = "all"  # in place of a diagnosis, where a set does not tell any
FEWEST_GROUPS = 3  # of a diagnosis in each half of the real images: fewer tell no copy from likeness


@dataclass(frozen=True)
class _Set:
    """Images (N, 1, S, S) in [-1, 1] with their groups and diagnoses, (N,) each."""

    images: NDArray[np.float32]
    groups: NDArray[np.str_]
    diagnoses: NDArray[np.str_]

    def rows(self, chosen: NDArray[np.bool_]) -> "_Set":
        return _Set(self.images[chosen], self.groups[chosen], self.diagnoses[chosen])


def evaluate(*, real: str, synthetic: str, out: Path, config: StudyConfig, seed: int) -> Evaluation:
    """Judge a synthetic set against a real one and write the scores.

    real, synthetic: any source that `ingest` reads. Both are prepared alike, grey values by what is fitted on the real
    ones; where both tell diagnoses, each is judged by itself. Of the synthetic images only what cannot be read is left
    out. Raises ConfigError, ContractError.
    """
    require_extractors(config.fidelity)
    for source in (real, synthetic):
        if not is_remote(source) and not Path(source).exists():
            raise ConfigError(f"{source} does not exist; name a folder of images")
    _require_new(out)
    require_temporary_folder()
    with tempfile.TemporaryDirectory(prefix="augment-mri-evaluate-") as folder:
        sides = {"real": RunDir(Path(folder) / "real"), "synthetic": RunDir(Path(folder) / "synthetic")}
        read = {
            name: _read(source, sides[name], config.ingest, seed=seed, synthetic=name == "synthetic")
            for name, source in (("real", real), ("synthetic", synthetic))
        }
        told = all(one.label_rule != "assumed" for gallery in read.values() for one in gallery.slices)
        ours, theirs = _prepared(read, sides, config, told=told)
    diagnoses = _shared(ours, theirs, told=told)
    half = _half(ours, rng=np.random.default_rng([seed, 0]))
    _require_enough(ours, theirs, half, diagnoses, config.fidelity)
    with stage("Learn how alike real images are"):
        finders = _Finders(*(memorisation.CopyFinder(s.images, s.groups.tolist()) for s in (ours, ours.rows(half))))
    fidelity: list[FidelityScores] = []
    copies: dict[str, tuple[MemorisationScores, int]] = {}
    for i, diagnosis in enumerate(diagnoses):
        with stage(f"Judge {diagnosis}"):
            try:
                fidelity += _fidelity(ours, theirs, half, diagnosis, config, seed=seed + i)
                copies[diagnosis] = _copies(ours, theirs, half, diagnosis, finders)
            except ValueError as error:  # such as one picture over and over
                raise ContractError([Violation(diagnosis, "cannot be judged", str(error))]) from error
    strange = read["synthetic"].strange
    scores = Evaluation(
        mode_collapse=any(one.collapse.mode_collapse for one in fidelity if one.extractor == PRIMARY_EXTRACTOR),
        n_real=len(ours.images),
        n_half=int(half.sum()),
        n_groups=len(set(ours.groups)),
        subjects_known=read["real"].subjects_known,
        n_synthetic=len(theirs.images),
        strange_synthetic=strange,
        strange_share=sum(strange.values()) / len(theirs.images),
        image_size=config.normalise.size,
        refused_real=read["real"].refused,
        refused_synthetic=read["synthetic"].refused,
        fidelity=tuple(fidelity),
        memorisation=tuple(scored for scored, _ in copies.values()),
        near_copies_of_any={diagnosis: of_any for diagnosis, (_, of_any) in copies.items()},
        seed=seed,
        versions=versions(),
    )
    write_record(out, scores)
    return scores


def lines(scores: Evaluation) -> list[str]:
    """What a reader wants first: what was compared and, of each diagnosis, collapse, reach and copies."""
    said = [f"{scores.n_synthetic} synthetic images against {scores.n_real} real ones of {scores.n_groups} groups."]
    refused = {"synthetic": scores.refused_synthetic, "real": scores.refused_real}
    said += [f"Not used of the {name} ones: {_counted(rules)}." for name, rules in refused.items() if rules]
    if not scores.subjects_known:
        said.append(
            "Not every real image names its subject: slices of one head may stand in both halves, which flatters the "
            "real figures and hides copies; name subjects by folders, a table or headers."
        )
    if scores.strange_synthetic:
        said.append(
            f"{scores.strange_share:.1%} of the synthetic images are what quality control refuses among scans: "
            f"{_counted(scores.strange_synthetic)}; they are judged like the others."
        )
    primary = [one for one in scores.fidelity if one.extractor == PRIMARY_EXTRACTOR]
    for judged, copied in zip(primary, scores.memorisation, strict=True):
        got, real = judged.synthetic, judged.held_out_real
        said.append(
            f"{judged.diagnosis}: {'MODE COLLAPSE' if judged.collapse.mode_collapse else 'no mode collapse found'}; "
            f"coverage {got.coverage:.2f} (real {real.coverage:.2f}), recall {got.recall:.2f} ({real.recall:.2f}), "
            f"precision {got.precision:.2f} ({real.precision:.2f}), n = {judged.n}."
        )
        of_any = scores.near_copies_of_any[judged.diagnosis]
        said.append(
            f"{judged.diagnosis}: {of_any} of {copied.n_generated} are near-copies of one of the {scores.n_real} real "
            f"images. Of one of the {scores.n_half} in half of them, by that half's threshold: "
            f"{copied.n_near_copies / copied.n_generated:.1%} of the {copied.n_generated} synthetic images, "
            f"{copied.held_out_real_near_copy_share:.1%} of the {copied.n_held_out_real} real ones of the other half."
        )
    return said


def _counted(rules: dict[str, int]) -> str:
    return ", ".join(f"{rule} ({n})" for rule, n in rules.items())


def _require_new(out: Path) -> None:
    """Raise ConfigError unless a file `out` can be made: tried where its folder is or will be, and nothing is left."""
    try:
        if out.exists():
            raise ConfigError(f"{out} exists; choose a new file with --out")
        with tempfile.TemporaryFile(dir=next(folder for folder in out.absolute().parents if folder.exists())):
            pass
    except OSError as error:
        raise ConfigError(f"{out} cannot be written: {os.strerror(error.errno or 0)}") from error


def _read(source: str, into: RunDir, config: IngestConfig, *, seed: int, synthetic: bool) -> Gallery:
    """The slices of one side; where nothing tells a diagnosis one is assumed, and the slice says so."""
    labels = config.labels.model_copy(update={"otherwise": TUMOUR})
    values: dict[str, object] = {"labels": labels}
    if synthetic:  # its masks say which pixels were made a lesion: one is enough
        marked = labels.model_copy(update={"tumour_min_pixels": 1})
        values = {"labels": marked, "min_side": 16, "window": (0.0, 1.0)}
    with stage(f"Read the {'synthetic' if synthetic else 'real'} images", "files") as update:
        return read_gallery(
            source=source,
            out=into,
            config=config.model_copy(update=values),
            seed=seed,
            synthetic=synthetic,
            progress=update,
        )


def _prepared(
    read: dict[str, Gallery], sides: dict[str, RunDir], config: StudyConfig, *, told: bool
) -> tuple[_Set, _Set]:
    """Both sets in one frame and grey scale, fitted on the real one; without diagnoses where not all are told.

    Real slices are brought to the synthetic ones' size first: a finer picture differs by its grain alone.
    """
    with stage("Normalise"):
        measured = {
            name: _measured(sides[name], gallery.slices, config, any_picture=name == "synthetic")
            for name, gallery in read.items()
        }
        side = int(np.median([min(one.height, one.width) for one in read["synthetic"].slices]))
        if side < np.median([min(one.height, one.width) for one in read["real"].slices]):
            measured["real"] = _coarser(sides["real"], read["real"].slices, config, side=side)
    fitted = fit(measured["real"])

    def prepared(name: str) -> _Set:
        slices = read[name].slices
        return _Set(
            images=np.stack([apply(one, fitted) for one in measured[name]]),
            groups=np.array([str(one.group) for one in slices]),
            diagnoses=np.array([one.diagnosis if told else ALL for one in slices]),
        )

    return prepared("real"), prepared("synthetic")


def _measured(
    run: RunDir, slices: Sequence[Slice], config: StudyConfig, *, any_picture: bool = False
) -> list[Measured]:
    spacings = [np.nan if one.spacing_mm is None else one.spacing_mm for one in slices]
    known = spacings if config.normalise.spacing_mm else None
    names = [one.slice_id for one in slices]
    return measure_all(run, names, config.normalise, spacings=known, any_picture=any_picture)


def _coarser(run: RunDir, slices: Sequence[Slice], config: StudyConfig, *, side: int) -> list[Measured]:
    """The slices measured as they would come from a generator of images of `side` pixels."""
    small = config.model_copy(update={"normalise": config.normalise.model_copy(update={"size": max(16, side)})})
    measured = _measured(run, slices, small)
    fitted = fit(measured)
    again = config.normalise.model_copy(update={"spacing_mm": None, "strip": False, "bias_correction": False})
    return [measure(apply(one, fitted)[0], again) for one in measured]


def _shared(ours: _Set, theirs: _Set, *, told: bool) -> list[str]:
    """The diagnoses to judge. Raises ContractError where a diagnosis of the synthetic set has no real counterpart."""
    if not told:
        return [ALL]
    missing = set(theirs.diagnoses) - set(ours.diagnoses)
    if missing:
        detail = f"the synthetic set holds {', '.join(sorted(missing))} and the real one does not"
        raise ContractError([Violation("real", "diagnosis missing", detail)])
    return [diagnosis for diagnosis in DIAGNOSES if diagnosis in theirs.diagnoses]


def _half(ours: _Set, *, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Which real images the others are judged against: those of half of the groups of each diagnosis, drawn at random.

    Every second group of a list in which the groups of both diagnoses stand between those of one: each diagnosis is
    an unbroken part of it, so that its halves differ by one group at most.
    """
    drawn = [rng.permutation(names) for names in strata(pd.Series(ours.groups), pd.Series(ours.diagnoses))]
    ordered = np.concatenate([drawn[0], *drawn[2:], *drawn[1:2]])
    return np.isin(ours.groups, ordered[1::2].astype(str))


def _fidelity(
    ours: _Set, theirs: _Set, half: NDArray[np.bool_], diagnosis: str, config: StudyConfig, *, seed: int
) -> list[FidelityScores]:
    of_diagnosis = ours.diagnoses == diagnosis
    training, held_out = ours.rows(of_diagnosis & half), ours.rows(of_diagnosis & ~half)
    synthetic = theirs.rows(theirs.diagnoses == diagnosis)

    def classifier() -> Classifier:
        learnt = ours.rows(half)
        return train_classifier(
            images=learnt.images,
            diagnoses=np.array([DIAGNOSES.index(one) for one in learnt.diagnoses]),
            classic=True,
            config=config.utility.classifier,
            seed=seed,
            compute=best_compute(),
        )

    return judge(
        fold=0,
        diagnosis=diagnosis,
        synthetic=synthetic.images,
        held_out_real=held_out.images,
        training=training.images,
        training_groups=training.groups.tolist(),
        held_out_groups=held_out.groups.tolist(),
        config=config.fidelity,
        train_classifier=classifier,
        seed=seed,
    )


def _require_enough(
    ours: _Set, theirs: _Set, half: NDArray[np.bool_], diagnoses: Sequence[str], config: FidelityConfig
) -> None:
    """Raise ContractError that names every diagnosis with too few images to compare, or groups to tell copies by.

    Raises ConfigError where a feature space asks for diagnoses that the real images do not tell.
    """
    if CLASSIFIER in config.extractors and set(ours.rows(half).diagnoses) != set(DIAGNOSES):
        raise ConfigError("fidelity.extractors: a classifier's features want real images of both diagnoses")
    found = []
    for diagnosis in diagnoses:
        of_diagnosis = ours.diagnoses == diagnosis
        halves = [ours.rows(of_diagnosis & side) for side in (half, ~half)]
        smallest = min(*(len(side.images) for side in halves), int((theirs.diagnoses == diagnosis).sum()))
        if smallest <= config.k:
            detail = f"{smallest} images in the smallest of both halves of the real ones and the synthetic set"
            found.append(Violation(diagnosis, "too few images to judge", f"{detail}, {config.k + 1} are needed"))
        groups = min(len(set(side.groups)) for side in halves)
        if groups < FEWEST_GROUPS:
            detail = f"{groups} subjects or groups of copies in the smaller half of the real images"
            found.append(Violation(diagnosis, "too few subjects to judge", f"{detail}, {FEWEST_GROUPS} are needed"))
    require(found)


@dataclass(frozen=True)
class _Finders:
    """Near-copies of any real image, and of the half that is judged against, each by a threshold of its own."""

    of_any: memorisation.CopyFinder
    of_half: memorisation.CopyFinder


def _copies(
    ours: _Set, theirs: _Set, half: NDArray[np.bool_], diagnosis: str, finders: _Finders
) -> tuple[MemorisationScores, int]:
    """Copies of the half of the real images, beside those that the other half holds of it; and copies of any real one.

    Nobody says which real images the generator learned from, so there is no membership to attack.
    """
    of_diagnosis = ours.diagnoses == diagnosis
    training, held_out = ours.rows(of_diagnosis & half), ours.rows(of_diagnosis & ~half)
    synthetic = theirs.rows(theirs.diagnoses == diagnosis).images
    copies = finders.of_half.find(synthetic)
    screened = screen(synthetic=synthetic, training=training.images, near_copy=copies.near_copy)
    scores = score_copies(
        fold=0,
        diagnosis=diagnosis,
        synthetic=synthetic,
        copies=copies,
        kept=screened.kept,
        broken=np.zeros(len(synthetic), np.bool_),  # copies are a share of all images: here none is excused
        threshold=finders.of_half.threshold,
        training=training.images,
        training_groups=training.groups.tolist(),
        held_out=held_out.images,
        held_out_groups=held_out.groups.tolist(),
        held_out_copies=finders.of_half.find(held_out.images),
        attack=None,
    )
    of_any = int(finders.of_any.find(synthetic).near_copy.sum())
    return scores.model_copy(update={"n_broken": int(screened.broken.sum())}), of_any
