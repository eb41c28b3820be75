import hashlib
import json

import numpy as np
import pandas as pd
import pytest

from data_contracts.manifest import MANIFEST, check_manifest
from data_contracts.splits import Splits, check_splits
from data_contracts.violations import ContractError
from pipeline.run_dir import RunDir, read_record, write_table
from pipeline.scans.duplicates import pixel_digest
from pipeline.scans.external import join
from pipeline.scans.phantom import PhantomConfig, phantom


def dataset(folder, seeds, *, subjects=None, change=lambda pixels: pixels):
    """A dataset of one phantom slice a subject, tumour and no tumour in turn; seeds tell heads apart."""
    run = RunDir(folder)
    rows = []
    for i, seed in enumerate(seeds):
        rng = np.random.default_rng(seed)
        scan = phantom(
            rng=rng, tumour=bool(i % 2), config=PhantomConfig(slices=3, size=96, spacing_mm=(40.0, 2.0, 2.0))
        )
        pixels = change(scan.voxels[1])
        path = run.slice_pixels(f"file-{i:04d}")
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, pixels=pixels)
        rows.append(
            {
                "slice_id": f"file-{i:04d}",
                "origin": "real",
                "subject": f"subject-{i:04d}" if subjects is None else subjects[i],
                "subject_known": True,
                "group": f"group-{i:04d}",
                "diagnosis": ("no_tumour", "tumour")[i % 2],
                "label_rule": "folder",
                "sequence": "FLAIR",
                "plane": "axial",
                "position": 0.5,
                "height": pixels.shape[0],
                "width": pixels.shape[1],
                "spacing_mm": 2.0,
                "tumour_pixels": pd.NA,
                "sha256": pixel_digest(pixels),
                "review": "",
            }
        )
    table = pd.DataFrame(rows, columns=list(MANIFEST.columns)).astype({"tumour_pixels": "Int64"})
    write_table(run.manifest, table)
    write_table(run.seen, table[["sha256"]])
    return run


def test_all_development_slices_train_and_all_locked_ones_test(tmp_path):
    ours, theirs = dataset(tmp_path / "a", range(6)), dataset(tmp_path / "b", range(10, 16))
    out = RunDir(tmp_path / "out")
    assert join(development=ours, locked=theirs, out=out, seed=0) == 0
    manifest = pd.read_parquet(out.manifest)
    assert not check_manifest(manifest)
    assert len(manifest) == 12
    splits = read_record(out.splits, Splits)
    assert not check_splits(splits, manifest)
    (fold,) = splits.folds
    assert set(manifest.loc[manifest["group"].isin(fold.test), "slice_id"].str[:9]) == {"external-"}
    assert set(fold.train) == set(pd.read_parquet(ours.manifest)["group"])
    for run, prefix in ((ours, ""), (theirs, "external-")):
        for path in run.slice_pixels("any").parent.iterdir():
            joined = out.slice_pixels(prefix + path.stem)
            assert hashlib.sha256(joined.read_bytes()).digest() == hashlib.sha256(path.read_bytes()).digest()


def test_a_study_of_few_subjects_learns_from_as_many_for_the_locked_set_too(tmp_path):
    ours, theirs = dataset(tmp_path / "a", range(10)), dataset(tmp_path / "b", range(20, 26))
    join(development=ours, locked=theirs, out=RunDir(tmp_path / "out"), seed=0, subjects=6)
    (fold,) = read_record(RunDir(tmp_path / "out").splits, Splits).folds
    assert len(fold.train) == len(fold.test) == 6
    assert set(fold.train) < set(pd.read_parquet(ours.manifest)["group"])


@pytest.mark.parametrize("change", [lambda p: p, lambda p: p[:, ::-1].copy(), lambda p: (0.7 * p + 20).astype(p.dtype)])
def test_pictures_that_the_study_has_are_left_out(tmp_path, change):
    ours = dataset(tmp_path / "a", range(6))
    theirs = dataset(tmp_path / "b", [0, 11, 2, 13, 14, 15], change=change)
    out = RunDir(tmp_path / "out")
    assert join(development=ours, locked=theirs, out=out, seed=0) == 2
    kept = pd.read_parquet(out.manifest)["slice_id"]
    assert sorted(kept[kept.str.startswith("external-")]) == [f"external-file-{i:04d}" for i in (1, 3, 4, 5)]


def test_a_patient_is_known_by_a_picture_that_the_study_read_and_did_not_use(tmp_path):
    ours, theirs = dataset(tmp_path / "a", range(6)), dataset(tmp_path / "b", range(10, 16))
    unused = pd.read_parquet(theirs.manifest)["sha256"].iloc[[3]]
    write_table(ours.seen, pd.concat([pd.read_parquet(ours.seen), unused.to_frame()]))
    out = RunDir(tmp_path / "out")
    assert join(development=ours, locked=theirs, out=out, seed=0) == 1
    assert "external-file-0003" not in set(pd.read_parquet(out.manifest)["slice_id"])
    assert json.loads(out.left_out.read_bytes()) == 1


def test_patients_are_known_again_by_their_keyed_names_and_not_by_numbers(tmp_path):
    keyed = [f"subject-{i:016x}" for i in range(20)]
    ours = dataset(tmp_path / "a", range(6), subjects=keyed[:6])
    theirs = dataset(tmp_path / "b", range(10, 16), subjects=[keyed[0], *keyed[10:15]])
    out = RunDir(tmp_path / "out")
    assert join(development=ours, locked=theirs, out=out, seed=0) == 1
    assert "external-file-0000" not in set(pd.read_parquet(out.manifest)["slice_id"])


def test_a_locked_set_of_nothing_new_is_refused(tmp_path):
    ours, theirs = dataset(tmp_path / "a", range(6)), dataset(tmp_path / "b", range(6))
    with pytest.raises(ContractError, match="6 of 6 are of patients or pictures that the study has"):
        join(development=ours, locked=theirs, out=RunDir(tmp_path / "out"), seed=0)
    assert not (tmp_path / "out" / "manifest.parquet").exists()
