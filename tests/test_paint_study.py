"""The study by the strategy paint, through the command line, on phantoms: with masks, and with none."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from painted_study import Command, config, run_study
from PIL import Image
from scipy.ndimage import binary_dilation

from data_contracts.manifest import DIAGNOSES, TUMOUR
from data_contracts.results import ARMS, PASTED_ARM, RunSummary
from data_contracts.splits import Splits
from pipeline.formats.synthetic import read_painted, read_synthetic
from pipeline.run_dir import RunDir, read_record

pytestmark = pytest.mark.slow

CONFIG = config(
    "paint",
    utility='way = "best"',
    more="""
[localisation.classifier]
steps = 40

[utility.ways]
tried = ["mix", "pretrain"]
inner_folds = 2
""",
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, augment_mri: Command, scans: Path) -> RunDir:
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "phantoms"
    augment_mri("phantom", elsewhere, "--subjects", 8, "--seed", 4)
    root = tmp_path_factory.mktemp("study") / "run"
    return run_study(root, scans, augment_mri, "--subjects", 14, "--external-test", elsewhere, config=CONFIG)


def test_every_painted_and_pasted_slice_is_a_training_slice_but_for_its_region(finished: RunDir) -> None:
    (fold,) = read_record(finished.splits, Splits).folds
    assert len(fold.train) == 14
    manifest = pd.read_parquet(finished.manifest).reset_index(drop=True)
    real = np.load(finished.normalised(0))
    row = {name: i for i, name in enumerate(manifest["slice_id"])}
    for diagnosis in DIAGNOSES:
        for folder in (finished.synthetic(0, diagnosis), finished.pasted(0, diagnosis)):
            table, regions = read_painted(folder)
            own, images = read_synthetic(folder)
            assert own["slice_id"].tolist() == table["slice_id"].tolist()
            sources = manifest.iloc[[row[name] for name in table["source"]]]
            assert set(sources["group"]) <= set(fold.train)
            assert diagnosis not in set(sources["diagnosis"])  # each lies on a slice of the other diagnosis
            for image, region, source in zip(images, regions, sources.index, strict=True):
                near = binary_dilation(region, iterations=3)  # the soft edge
                differing = np.abs(image[0] - real[source, 0]) > 1 / 127  # more than a grey step of its PNG file
                assert differing.any()
                assert not differing[~near].any()
            lesions = table["lesion"]
            if diagnosis == TUMOUR:
                assert set(manifest.iloc[[row[name] for name in lesions]]["group"]) <= set(fold.train)
            else:
                assert lesions.eq("").all()


def test_the_summary_and_the_page_say_what_painted_slices_are(finished: RunDir) -> None:
    summary = read_record(finished.summary, RunSummary)
    assert {arm.arm for arm in summary.arms} == {*ARMS, PASTED_ARM}
    assert summary.difference_to_copy_paste is not None
    assert summary.difference_to_copy_paste.reference == PASTED_ARM
    assert summary.external is not None
    assert all(one.contains_patient_anatomy and one.outside_copy_share == 1 for one in summary.memorisation)
    (source,) = summary.lesions
    assert source.source == "given"
    assert source.n_usable <= source.n_tumour
    assert {one.blurred_to for one in summary.transfer} <= {None, 16}
    assert sum(one.chosen for one in summary.ways) <= 1
    assert {one.watched for one in summary.training} == {False}
    page = finished.report.read_text()
    assert "copy and paste" in page
    assert "patient" in page


def test_without_masks_lesions_are_found_in_the_training_part_alone(
    finished: RunDir, scans: Path, tmp_path: Path, augment_mri: Command
) -> None:
    bare = tmp_path / "bare"
    for path in sorted(scans.rglob("*.png")):
        mask = path.with_name(f"{path.stem}_mask.png")
        if mask.exists():
            folder = bare / ("yes" if np.asarray(Image.open(mask)).any() else "no") / path.parent.name
            folder.mkdir(parents=True, exist_ok=True)
            (folder / path.name).write_bytes(path.read_bytes())
    run = run_study(tmp_path / "run", bare, augment_mri, config=CONFIG)
    (source,) = read_record(run.summary, RunSummary).lesions
    assert source.source == "found"
    (fold,) = read_record(run.splits, Splits).folds
    manifest = pd.read_parquet(run.manifest)
    found = np.load(run.found_masks(0)).any(axis=(1, 2))
    assert found.sum() == source.n_usable
    assert set(manifest.loc[found, "group"]) <= set(fold.train)
    assert not np.load(run.normalised_masks).any()
