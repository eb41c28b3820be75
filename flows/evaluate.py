"""Two folders of images compared, whoever made them: `augment-mri evaluate`."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_contracts.manifest import DIAGNOSES, TUMOUR
from data_contracts.results import PRIMARY_EXTRACTOR, Evaluation, FidelityScores, MemorisationScores
from data_contracts.violations import ContractError, Violation
from flows.config import ConfigError, StudyConfig, versions
from flows.judge import judge, require_extractors, score_copies
from flows.progress import stage
from pipeline.compute import best_compute
from pipeline.evidence import memorisation
from pipeline.evidence.classifier import train_classifier
from pipeline.evidence.classifier_networks import Classifier
from pipeline.export.gate import screen
from pipeline.run_dir import RunDir, write_record
from pipeline.scans.gallery import Gallery, read_gallery
from pipeline.scans.inputs import IngestConfig
from pipeline.scans.normalise import Measured, apply, fit, measure, measure_all
from pipeline.scans.reading import Slice
from pipeline.scans.workers import require_temporary_folder

ALL = "all"  # in place of a diagnosis, where a set does not tell any
FEWEST_GROUPS = 6  # three in each half of the real images, as copies are told from likeness


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
    ones; where both tell diagnoses, each is judged by itself. Raises ConfigError, ContractError.
    """
    require_extractors(config.fidelity)
    if out.exists():
        raise ConfigError(f"{out} exists; choose a new file with --out")
    require_temporary_folder()
    with tempfile.TemporaryDirectory(prefix="augment-mri-evaluate-") as folder:
        sides = {"real": RunDir(Path(folder) / "real"), "synthetic": RunDir(Path(folder) / "synthetic")}
        read = {
            name: _read(source, sides[name], config.ingest, seed=seed, synthetic=name == "synthetic")
            for name, source in (("real", real), ("synthetic", synthetic))
        }
        told = all(one.label_rule != "assumed" for gallery in read.values() for one in gallery.slices)
        ours, theirs = _prepared(read, sides, config, told=told)
    fidelity: list[FidelityScores] = []
    copies: list[MemorisationScores] = []
    for i, diagnosis in enumerate(_shared(ours, theirs, told=told)):
        with stage(f"Judge {diagnosis}"):
            half = _half(ours.groups, rng=np.random.default_rng([seed, 0]))
            try:
                fidelity += _fidelity(ours, theirs, half, diagnosis, config, seed=seed + i)
                copies.append(_copies(ours, theirs, half, diagnosis))
            except ValueError as error:  # such as one picture over and over
                raise ContractError([Violation(diagnosis, "cannot be judged", str(error))]) from error
    scores = Evaluation(
        mode_collapse=any(one.collapse.mode_collapse for one in fidelity if one.extractor == PRIMARY_EXTRACTOR),
        n_real=len(ours.images),
        n_groups=len(set(ours.groups)),
        n_synthetic=len(theirs.images),
        image_size=config.normalise.size,
        refused_real=read["real"].refused,
        refused_synthetic=read["synthetic"].refused,
        fidelity=tuple(fidelity),
        memorisation=tuple(copies),
        seed=seed,
        versions=versions(),
    )
    write_record(out, scores)
    return scores


def lines(scores: Evaluation) -> list[str]:
    """What a reader wants first: collapse, copies, and how far the set reaches, a line a diagnosis."""
    said = [f"{scores.n_synthetic} synthetic images against {scores.n_real} real ones of {scores.n_groups} groups."]
    refused = {"synthetic": scores.refused_synthetic, "real": scores.refused_real}
    said += [
        f"Not used of the {name} ones: {', '.join(f'{rule} ({n})' for rule, n in rules.items())}."
        for name, rules in refused.items()
        if rules
    ]
    primary = [one for one in scores.fidelity if one.extractor == PRIMARY_EXTRACTOR]
    for judged, copied in zip(primary, scores.memorisation, strict=True):
        got, real = judged.synthetic, judged.held_out_real
        said.append(
            f"{judged.diagnosis}: {'MODE COLLAPSE' if judged.collapse.mode_collapse else 'no mode collapse found'}; "
            f"coverage {got.coverage:.2f} (real {real.coverage:.2f}), recall {got.recall:.2f} ({real.recall:.2f}), "
            f"precision {got.precision:.2f} ({real.precision:.2f}), n = {judged.n}; near-copies "
            f"{copied.n_near_copies} of {copied.n_generated} (real: {copied.held_out_real_near_copy_share:.1%})."
        )
    return said


def _read(source: str, into: RunDir, config: IngestConfig, *, seed: int, synthetic: bool) -> Gallery:
    """The slices of one side; where nothing tells a diagnosis one is assumed, and the slice says so."""
    labels = config.labels.model_copy(update={"otherwise": TUMOUR})
    values = {"labels": labels} | ({"min_side": 16, "window": (0.0, 1.0)} if synthetic else {})
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
        measured = {name: _measured(sides[name], gallery.slices, config) for name, gallery in read.items()}
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


def _measured(run: RunDir, slices: Sequence[Slice], config: StudyConfig) -> list[Measured]:
    spacings = [np.nan if one.spacing_mm is None else one.spacing_mm for one in slices]
    known = spacings if config.normalise.spacing_mm else None
    return measure_all(run, [one.slice_id for one in slices], config.normalise, spacings=known)


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


def _half(groups: NDArray[np.str_], *, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Which real images the others are judged against: those of half of the groups, drawn at random."""
    names = np.unique(groups)
    return np.isin(groups, rng.permutation(names)[: len(names) // 2])


def _fidelity(
    ours: _Set, theirs: _Set, half: NDArray[np.bool_], diagnosis: str, config: StudyConfig, *, seed: int
) -> list[FidelityScores]:
    of_diagnosis = ours.diagnoses == diagnosis
    training, held_out = ours.rows(of_diagnosis & half), ours.rows(of_diagnosis & ~half)
    synthetic = theirs.rows(theirs.diagnoses == diagnosis)
    _require_enough(diagnosis, training, held_out, synthetic, k=config.fidelity.k)

    def classifier() -> Classifier:
        learnt = ours.rows(half)
        if len(set(learnt.diagnoses)) < len(DIAGNOSES):
            raise ConfigError("fidelity.extractors: a classifier's features want real images of both diagnoses")
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


def _require_enough(diagnosis: str, training: _Set, held_out: _Set, synthetic: _Set, *, k: int) -> None:
    """Raise ContractError where there are too few images to compare, or groups to tell copies from likeness."""
    smallest = min(len(training.images), len(held_out.images), len(synthetic.images))
    if smallest <= k:
        detail = f"{smallest} images in the smallest of half the real ones and the synthetic set, {k + 1} are needed"
        raise ContractError([Violation(diagnosis, "too few images to judge", detail)])
    groups = len(set(training.groups)) + len(set(held_out.groups))
    if groups < FEWEST_GROUPS:
        detail = f"{groups} subjects or groups of copies among the real images, {FEWEST_GROUPS} are needed"
        raise ContractError([Violation(diagnosis, "too few subjects to judge", detail)])


def _copies(ours: _Set, theirs: _Set, half: NDArray[np.bool_], diagnosis: str) -> MemorisationScores:
    """Copies of any real image; the reference is one half of the real images, searched for among the other.

    Nobody says which real images the generator learned from, so there is no membership to attack.
    """
    of_diagnosis = ours.diagnoses == diagnosis
    training, held_out = ours.rows(of_diagnosis & half), ours.rows(of_diagnosis & ~half)
    synthetic = theirs.rows(theirs.diagnoses == diagnosis).images
    finder = memorisation.CopyFinder(ours.images, ours.groups.tolist())
    copies = finder.find(synthetic)
    screened = screen(synthetic=synthetic, training=ours.images[of_diagnosis], near_copy=copies.near_copy)
    return score_copies(
        fold=0,
        diagnosis=diagnosis,
        synthetic=synthetic,
        copies=copies,
        kept=screened.kept,
        broken=screened.broken,
        threshold=finder.threshold,
        training=training.images,
        training_groups=training.groups.tolist(),
        held_out=held_out.images,
        held_out_groups=held_out.groups.tolist(),
        held_out_copies=memorisation.CopyFinder(training.images, training.groups.tolist()).find(held_out.images),
        attack=None,
    )
