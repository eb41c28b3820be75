"""Single test slices for the report: what two classifiers look at in some of them.

The classifiers are those of the first fold and first seed of the arms with and without synthetic slices, kept when
they were trained. The slices are drawn by lot; nobody picks them.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data_contracts.manifest import DIAGNOSES, TUMOUR
from data_contracts.results import PRIMARY_ARM, PRIMARY_RATIO, REFERENCE_ARM, Arm, OcclusionCase, Occlusions
from data_contracts.splits import Splits
from flows import case_pictures, progress
from flows.account import stage_task
from flows.study import record_of, seed_of
from pipeline.compute import Compute, best_compute
from pipeline.evidence.arms import Training
from pipeline.evidence.classifier import ClassifierConfig, predict_logits
from pipeline.evidence.classifier_networks import Classifier
from pipeline.evidence.kept import keep_classifier, read_classifier
from pipeline.evidence.localisation import heads_of
from pipeline.evidence.measures import THRESHOLD
from pipeline.evidence.occlusion import PATCH, draw_cases, occlusion_maps, shares_in_lesion
from pipeline.evidence.temperature import calibrated
from pipeline.evidence.utility import Keep
from pipeline.run_dir import RunDir, read_record, write_record

Images = NDArray[np.float32]
Flags = NDArray[np.bool_]

ASKED: Final[tuple[Arm, Arm]] = (PRIMARY_ARM, REFERENCE_ARM)  # whose classifiers are kept and asked


def first_fold(run: RunDir) -> int:
    """The number of the first fold that decides."""
    return read_record(run.splits, Splits).whole.folds[0].fold


def keeper(run: RunDir, fold: int, config: ClassifierConfig) -> Keep | None:
    """Keeps the first classifier of ASKED in the study's first fold; None in other folds, of which none is kept."""
    if fold != first_fold(run):
        return None

    def keep(training: Training, model: Classifier, temperature: float) -> None:
        if training.decides and training.index == 0 and training.arm in ASKED:
            keep_classifier(run.classifier(fold, training.arm), model, config=config, temperature=temperature)

    return keep


def record_path(run: RunDir, fold: int) -> Path:
    """What was found by covering parts of slices; written last, so where it stands the pictures do."""
    return run.metric(f"occlusion/{fold}.json")


def read_occlusions(run: RunDir) -> Occlusions | None:
    """What was found in the first fold; None where nothing was looked for."""
    path = record_path(run, first_fold(run))
    return read_record(path, Occlusions) if path.exists() else None


@stage_task("see what classifiers look at")
def occlusion_task(root: Path, fold: int) -> None:
    """Occlusion maps of the kept classifiers on some test slices: pictures and a record.

    Only in the first fold, and only where both classifiers were kept: a run of an earlier version has none.
    """
    run = RunDir(root)
    if record_path(run, fold).exists() or fold != first_fold(run):
        return
    if not all(run.classifier(fold, arm).exists() for arm in ASKED):
        return
    with progress.stage(f"See what the classifiers look at, fold {fold}"):
        rng = np.random.default_rng(seed_of(record_of(run).seed, "occlusion", fold))
        look(run, fold, rng=rng, compute=best_compute())


@dataclass(frozen=True)
class _Answers:
    """What both classifiers say of n test slices: all (n,), probabilities of tumour by arm."""

    slice_ids: NDArray[np.str_]
    diagnoses: NDArray[np.str_]
    groups: NDArray[np.str_]
    probability: dict[Arm, NDArray[np.float64]]

    def called_tumour(self, arm: Arm) -> Flags:
        return self.probability[arm] >= THRESHOLD

    @property
    def right(self) -> Flags:
        """Which the primary arm calls what they are."""
        right: Flags = self.called_tumour(PRIMARY_ARM) == (self.diagnoses == TUMOUR)
        return right

    def of(self, rows: NDArray[np.int64]) -> "_Answers":
        some = {arm: values[rows] for arm, values in self.probability.items()}
        return _Answers(self.slice_ids[rows], self.diagnoses[rows], self.groups[rows], some)


def look(run: RunDir, fold: int, *, rng: np.random.Generator, compute: Compute) -> Occlusions:
    """Map slices drawn by rng, draw the sheets, and write the record last.

    Reads the fold's normalised slices, the masks, the predictions of the fold and both kept classifiers.
    """
    answers = _read_answers(run, fold)
    drawn = draw_cases(diagnoses=answers.diagnoses, groups=answers.groups, right=answers.right, rng=rng)
    chosen = answers.of(drawn)
    rows = case_pictures.rows_of_slices(run, chosen.slice_ids)
    images = np.load(run.normalised(fold), mmap_mode="r")[rows]
    lesions = (np.load(run.normalised_masks, mmap_mode="r")[rows] > 0) & (chosen.diagnoses == TUMOUR)[:, None, None]
    heads = heads_of(images)
    maps = {arm: _maps(run.classifier(fold, arm), images, heads, chosen.called_tumour(arm), compute) for arm in ASKED}
    found = Occlusions(
        fold=fold,
        patch_share=PATCH,
        n_right=_counts(answers.diagnoses[answers.right]),
        n_wrong=_counts(answers.diagnoses[~answers.right]),
        cases=_cases(chosen, maps, lesions=lesions, heads=heads),
    )
    for diagnosis, right in case_pictures.SHEETS:
        of = np.flatnonzero((chosen.diagnoses == diagnosis) & (chosen.right == right))
        if len(of):
            case_pictures.write_sheet(
                case_pictures.sheet_path(run, fold, diagnosis, right=right),
                images=images[of],
                maps=[maps[arm][of] for arm in ASKED],
                lesions=lesions[of],
            )
    write_record(record_path(run, fold), found)
    return found


def _read_answers(run: RunDir, fold: int) -> _Answers:
    table = pd.read_parquet(run.metric(f"predictions-{fold}.parquet"))
    ours = table[(table["seed"] == 0) & (table["ratio"] == PRIMARY_RATIO) & (table["control"] == "none")]
    by_arm = ours.set_index(["slice_id", "diagnosis", "group", "arm"])["probability"].unstack("arm")  # noqa: PD010
    wide = by_arm.reset_index()
    return _Answers(
        wide["slice_id"].to_numpy(str),
        wide["diagnosis"].to_numpy(str),
        wide["group"].to_numpy(str),
        {arm: wide[arm].to_numpy(np.float64) for arm in ASKED},
    )


def _maps(path: Path, images: Images, heads: Flags, called_tumour: Flags, compute: Compute) -> Images:
    """Of each slice (N, 1, S, S) what speaks for the answer that this classifier gives it: (N, S, S)."""
    model, temperature = read_classifier(path, compute=compute)

    def predict(batch: Images) -> NDArray[np.float64]:
        return calibrated(predict_logits(model, batch), temperature=temperature)

    return occlusion_maps(predict, images, heads=heads, tumour=called_tumour)


def _counts(diagnoses: NDArray[np.str_]) -> dict[str, int]:
    return {diagnosis: int((diagnoses == diagnosis).sum()) for diagnosis in DIAGNOSES}


def _cases(chosen: _Answers, maps: dict[Arm, Images], *, lesions: Flags, heads: Flags) -> tuple[OcclusionCase, ...]:
    found = []
    for i, (lesion, head) in enumerate(zip(lesions, heads, strict=True)):
        inside: dict[Arm, float | None] = {}
        for arm in ASKED:
            shares = shares_in_lesion(maps[arm][i], lesion=lesion, head=head)
            inside[arm] = shares[0] if shares and chosen.called_tumour(arm)[i] else None
        covered = int((lesion & head).sum())
        case = OcclusionCase(
            slice_id=str(chosen.slice_ids[i]),
            diagnosis=str(chosen.diagnoses[i]),
            right=bool(chosen.right[i]),
            probability=float(chosen.probability[PRIMARY_ARM][i]),
            reference_probability=float(chosen.probability[REFERENCE_ARM][i]),
            largest_fall=float(maps[PRIMARY_ARM][i].max()),
            reference_largest_fall=float(maps[REFERENCE_ARM][i].max()),
            lesion_share=covered / int(head.sum()) if covered else None,
            in_lesion=inside[PRIMARY_ARM],
            reference_in_lesion=inside[REFERENCE_ARM],
        )
        found.append(case)
    return tuple(found)
