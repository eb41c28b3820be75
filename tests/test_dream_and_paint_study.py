"""The study by the strategy dream_and_paint, through the command line, on phantoms."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from painted_study import Command, config, run_study
from scipy.ndimage import binary_dilation

from data_contracts.manifest import DIAGNOSES, NO_TUMOUR, SYNTHETIC, TUMOUR
from data_contracts.reader import ReaderKey
from data_contracts.results import ARMS, PASTED_ARM, MemorisationScores, RunSummary
from data_contracts.splits import Splits
from flows.painting import sources
from flows.reader_study import key_path
from flows.study import CANVAS
from pipeline.formats.synthetic import NOTICE_NAME, read_painted, read_synthetic
from pipeline.run_dir import RunDir, read_record
from pipeline.synthesis.model_dir import TrainedGan, config_path

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, augment_mri: Command, scans: Path) -> RunDir:
    root = tmp_path_factory.mktemp("study") / "run"
    return run_study(root, scans, augment_mri, "--subjects", 14, config=config("dream_and_paint"), timeout=3000)


def canvases(run: RunDir, diagnosis: str) -> tuple[pd.DataFrame, np.ndarray]:
    return read_synthetic(run.canvases(0, diagnosis))


def test_one_generator_of_slices_without_a_tumour_drew_the_canvases_of_both_and_none_serves_both(
    finished: RunDir,
) -> None:
    trained = read_record(config_path(finished.model(0, CANVAS)), TrainedGan)
    assert trained.diagnosis == NO_TUMOUR
    (fold,) = read_record(finished.splits, Splits).folds
    manifest = pd.read_parquet(finished.manifest)
    learned = manifest["group"].isin(fold.train) & manifest["diagnosis"].eq(NO_TUMOUR)
    assert trained.n_slices + trained.n_held_out == learned.sum()
    drawn = {diagnosis: canvases(finished, diagnosis) for diagnosis in DIAGNOSES}
    assert {name for table, _ in drawn.values() for name in table["subject"]} == {f"generator-0-{CANVAS}"}
    ids = [set(table["slice_id"]) for table, _ in drawn.values()]
    assert ids[0].isdisjoint(ids[1])
    pixels = [{image.tobytes() for image in images} for _, images in drawn.values()]
    assert pixels[0].isdisjoint(pixels[1])
    for table, _ in drawn.values():
        assert set(table["origin"]) == {SYNTHETIC}
        assert set(table["diagnosis"]) == {NO_TUMOUR}
        lowest, highest = manifest.loc[learned, "position"].agg(["min", "max"])
        assert table["position"].dropna().between(lowest, highest).all()


def test_every_painted_slice_is_a_canvas_but_for_its_region_and_says_whose_shape_the_region_has(
    finished: RunDir,
) -> None:
    (fold,) = read_record(finished.splits, Splits).folds
    manifest = pd.read_parquet(finished.manifest).set_index("slice_id")
    real = {image.tobytes() for image in np.load(finished.normalised(0))}
    areas = {}
    for diagnosis in DIAGNOSES:
        folder = finished.synthetic(0, diagnosis)
        table, regions = read_painted(folder)
        own, images = read_synthetic(folder)
        drawn, heads = canvases(finished, diagnosis)
        place = {name: i for i, name in enumerate(drawn["slice_id"])}
        assert set(table["source"]) <= set(place)
        for image, region, source in zip(images, regions, table["source"], strict=True):
            canvas = heads[place[source]]
            assert canvas.tobytes() not in real
            differing = image[0] != canvas[0]
            assert differing.any()
            assert not differing[~binary_dilation(region, iterations=3)].any()
        shapes = manifest.loc[table["lesion"]]
        assert set(shapes["group"]) <= set(fold.train)
        assert set(shapes["diagnosis"]) == {TUMOUR}
        assert own["tumour_pixels"].eq(0).all() == (diagnosis == NO_TUMOUR)
        assert not (folder / NOTICE_NAME).exists()
        known = sources({diagnosis: folder}, manifest.reset_index())[diagnosis]
        assert known == [frozenset([group]) for group in shapes["group"]]  # and no one else's anatomy
        areas[diagnosis] = regions.sum(axis=(1, 2))
    # of one place and size, so that how large a part was painted tells nothing
    assert np.median(areas[TUMOUR]) == pytest.approx(np.median(areas[NO_TUMOUR]), rel=0.5)


def test_copies_are_looked_for_in_canvases_in_whole_slices_and_in_painted_regions(finished: RunDir) -> None:
    summary = read_record(finished.summary, RunSummary)
    assert len(summary.memorisation) == len(DIAGNOSES)
    for scores in summary.memorisation:
        assert not scores.contains_patient_anatomy
        assert scores.compared == "slices"
        assert scores.membership_auc is not None
        of_canvases, of_regions = scores.parts
        assert (of_canvases.compared, of_regions.compared) == ("canvases", "regions")
        assert {of_canvases.diagnosis, of_regions.diagnosis} == {scores.diagnosis}
        assert of_canvases.n_kept == len(canvases(finished, scores.diagnosis)[0])
        assert not of_regions.contains_patient_anatomy
        assert of_regions.outside_copy_share == 1  # of its canvas
        assert of_regions.n_kept == scores.n_kept == len(read_painted(finished.synthetic(0, scores.diagnosis))[0])
        refused = max(scores.n_near_copies, of_regions.n_near_copies)
        assert refused <= scores.n_generated - scores.n_kept
    stored = json.loads(finished.metric("memorisation.json").read_bytes())
    assert [MemorisationScores.model_validate(one) for one in stored] == list(summary.memorisation)


def test_the_rest_of_the_study_works_as_with_real_canvases(finished: RunDir) -> None:
    summary = read_record(finished.summary, RunSummary)
    assert {arm.arm for arm in summary.arms} == {*ARMS, PASTED_ARM}
    assert summary.difference_to_copy_paste is not None
    assert {one.blurred_to for one in summary.transfer} <= {None, 16}
    assert [(one.maker, one.diagnosis) for one in summary.training] == [
        ("generator", NO_TUMOUR),
        *(("painter", diagnosis) for diagnosis in DIAGNOSES),
    ]
    key = read_record(key_path(finished), ReaderKey)
    drawn = {name for diagnosis in DIAGNOSES for name in canvases(finished, diagnosis)[0]["slice_id"]}
    assert {item.group for item in key.items if item.origin == SYNTHETIC} <= drawn


def test_the_page_says_that_heads_were_generated_and_that_no_patient_was_painted_over(finished: RunDir) -> None:
    page = finished.report.read_text()
    assert "Training of the generators" in page
    assert "Training of the painters" in page
    assert "real patient’s slice but for" not in page
    assert "Treat the set as patient data" not in page
