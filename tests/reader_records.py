"""A finished run with a reader study, and readers of it, for the tests of drawing, scoring and the page."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from report_records import build_summary, write_pictures

from data_contracts.manifest import DIAGNOSES, MANIFEST, REAL, SYNTHETIC, TUMOUR
from data_contracts.reader import Answer, ReaderAnswers, ReaderKey
from data_contracts.results import Estimate, Picture, ReaderScores, ReaderSlices, ReaderStudy
from data_contracts.splits import Fold, Splits
from flows.config import StudyConfig, new_run_record
from flows.pictures import tile
from flows.reader_study import key_path
from pipeline.formats.raster import to_uint8, write_png
from pipeline.formats.synthetic import write_synthetic
from pipeline.run_dir import RunDir, read_record, write_array, write_record, write_table

SIDE = 16


def finished_run(
    root: Path, *, per_cell: int = 14, per_patient: int = 1, test: int = 14, painted: bool = False, seed: int = 3
) -> RunDir:
    """A run folder with all that a reader study is drawn from: noise for slices, `test` test slices of each diagnosis.

    per_cell: synthetic slices a diagnosis, the first four of them on a sheet of the page. per_patient: test slices of
    one diagnosis and patient; a patient has slices of both diagnoses.
    """
    run, rng = RunDir(root), np.random.default_rng(seed)
    rows = [
        _row(f"file-{1000 * (diagnosis == TUMOUR) + i}", f"group-{i // per_patient:03d}", diagnosis)
        for diagnosis in DIAGNOSES
        for i in range(test)
    ]
    rows += [_row(f"file-{5000 + i}", f"group-{900 + i}", DIAGNOSES[i % 2]) for i in range(12)]
    manifest = pd.DataFrame(rows)[list(MANIFEST.columns)].astype({"tumour_pixels": "Int64"})
    write_table(run.manifest, manifest)
    write_record(
        run.run_json,
        new_run_record(preset="smoke", seed=7, config=StudyConfig(), source_digest="d" * 64, compute="none"),
    )
    names = sorted(set(manifest["group"]))
    sides = [tuple(g for g in names if (g >= "group-900") == learned) for learned in (True, False)]
    write_record(run.splits, Splits(seed=0, folds=(Fold(fold=0, train=sides[0], test=sides[1]),)))
    write_array(run.normalised(0), _noise(len(rows), rng))
    shown = []
    for diagnosis in DIAGNOSES:
        images = _noise(per_cell, rng)
        made = {"images": images, "names": [f"g0-{diagnosis.replace('_', '-')}-{i:06d}" for i in range(per_cell)]}
        if painted:
            sources = [f"file-{5000 + i % 6}" for i in range(per_cell)]
            made["masks"] = np.ones((per_cell, SIDE, SIDE), np.uint8)
            made["provenance"] = pd.DataFrame({"source": sources, "lesion": sources, "seed": range(per_cell)})
        write_synthetic(run.synthetic(0, diagnosis), generator=f"0-{diagnosis}", diagnosis=diagnosis, **made)
        path = run.picture(f"0-{diagnosis}-synthetic.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        write_png(path, tile(to_uint8(images[:4, 0]), 2))
        told = {"kind": "slices", "fold": 0, "diagnosis": diagnosis, "origin": SYNTHETIC, "n": 4}
        shown.append(Picture.model_validate({**told, "path": run.relative(path)}))
    summary = build_summary(pictures=tuple(shown), arms=(), fidelity=(), training=())
    write_record(run.summary, summary)
    write_pictures(summary.model_copy(update={"pictures": ()}), root)
    return run


def _row(name: str, group: str, diagnosis: str) -> dict[str, object]:
    return {
        "slice_id": name, "origin": REAL, "subject": group.replace("group", "subject"), "subject_known": True,
        "group": group, "diagnosis": diagnosis, "label_rule": "folder", "sequence": "unknown", "plane": "unknown",
        "position": None, "height": SIDE, "width": SIDE, "spacing_mm": None, "tumour_pixels": None,
        "sha256": "0" * 64, "review": "",
    }  # fmt: skip


def _noise(n: int, rng: np.random.Generator) -> np.ndarray:
    return rng.uniform(-1, 1, (n, 1, SIDE, SIDE)).astype(np.float32)


def key_of(run: RunDir) -> ReaderKey:
    return read_record(key_path(run), ReaderKey)


def answers(key: ReaderKey, *, reader: str = "AB", seed: int = 1, wrong: int = 0, **changes: object) -> ReaderAnswers:
    """A reader who is wrong about the origin of the first `wrong` slices and right about all else, in another order."""
    other = {REAL: SYNTHETIC, SYNTHETIC: REAL}
    told = [
        Answer.model_validate(
            {
                "item": item.item,
                "origin": other[item.origin] if place < wrong else item.origin,
                "diagnosis": item.diagnosis,
                "confidence": 1 + place % 5,
            }
        )
        for place, item in enumerate(key.items)
    ]
    order = np.random.default_rng(seed).permutation(len(told))
    fields = {"kind": "augment-mri reader study", "version": 1, "study": key.study, "reader": reader, "seed": seed}
    return ReaderAnswers.model_validate({**fields, "answers": tuple(told[i] for i in order), **changes})


def slices(n: int = 40) -> ReaderSlices:
    return ReaderSlices(study="0123456789abcdef", size=SIDE, names=tuple(f"item-{i:02d}" for i in range(1, n + 1)))


def scores(
    accuracy: tuple[float, float, float] = (0.55, 0.4, 0.69), reader: str = "", **changes: object
) -> ReaderScores:
    fields = {
        "accuracy": accuracy,
        "auc": (0.58, 0.41, 0.73),
        "sensitivity": (0.6, 0.39, 0.78),
        "specificity": (0.5, 0.3, 0.7),
        "diagnosis_real": (0.9, 0.7, 0.97),
        "diagnosis_synthetic": (0.8, 0.58, 0.92),
        **changes,
    }
    values = {name: dict(zip(("estimate", "low", "high"), value, strict=True)) for name, value in fields.items()}
    return ReaderScores.model_validate({"reader": reader, **values})


def study(together: ReaderScores | None = None, readers: Sequence[ReaderScores] = (), **changes: object) -> ReaderStudy:
    together = together or scores()
    agreed = len(readers) > 1
    fields: dict[str, object] = {
        "study": "0123456789abcdef",
        "n_real": 20,
        "n_synthetic": 20,
        "n_real_groups": 20,
        "n_synthetic_groups": 20,
        "readers": tuple(readers) or (together,),
        "together": together,
        "detectable_accuracy": 0.715,
        "agreement_origin": Estimate(estimate=0.123, low=-0.05, high=0.3) if agreed else None,
        "agreement_diagnosis": Estimate(estimate=0.8, low=0.61, high=0.95) if agreed else None,
    }
    return ReaderStudy.model_validate({**fields, **changes})
