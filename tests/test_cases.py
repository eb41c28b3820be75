"""Kept classifiers, what they look at, and single slices for the report: on a small hand-made run folder."""

import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from data_contracts.manifest import DIAGNOSES, NO_TUMOUR, REAL, TUMOUR
from data_contracts.results import PRIMARY_ARM, REFERENCE_ARM
from data_contracts.splits import Fold, Splits
from flows import cases
from flows.case_pictures import FAINT, HOT, dashed, draw_cases, heated, write_sheet
from pipeline.compute import PLAIN
from pipeline.evidence.classifier import ClassifierConfig, predict_logits
from pipeline.evidence.classifier_networks import build
from pipeline.evidence.kept import keep_classifier, read_classifier
from pipeline.evidence.temperature import calibrated
from pipeline.evidence.utility import UtilityConfig, predict_arms
from pipeline.evidence.wrong_cases import wrong_cases
from pipeline.formats.raster import read_png, to_uint8
from pipeline.run_dir import RunDir, write_array, write_record, write_table

CONFIG = UtilityConfig(
    seeds=2,
    arms=("real+classic", "real+classic+duplicates", "real+classic+synthetic"),
    controls=False,
    bootstrap=200,
    classifier=ClassifierConfig(steps=3, batch_size=8, width=4),
)
N, TESTED, SIDE = 36, 12, 32


def heads(n, seed):
    """Discs of tissue; every other triple with a bright lesion, its mask beside it."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    images = np.where(rows**2 + columns**2 < 13**2, rng.normal(-0.2, 0.1, (n, 1, SIDE, SIDE)), -1).astype(np.float32)
    tumour = np.arange(n) // 3 % 2 == DIAGNOSES.index(TUMOUR)
    masks = np.zeros((n, SIDE, SIDE), np.uint8)
    masks[tumour, 10:16, 18:24] = 1
    images[:, 0][masks > 0] = 0.8
    return images.clip(-1, 1), masks, np.where(tumour, TUMOUR, NO_TUMOUR)


def study(root):
    """A run of 12 groups of 3 slices, the last four tested, with lesion masks and synthetic slices."""
    run = RunDir(root)
    images, masks, diagnoses = heads(N, 0)
    groups = [f"group-{i // 3:04d}" for i in range(N)]
    manifest = pd.DataFrame(
        {
            "slice_id": [f"file-{i:04d}" for i in range(N)],
            "origin": REAL,
            "subject": [name.replace("group", "subject") for name in groups],
            "group": groups,
            "diagnosis": diagnoses,
            "sha256": [f"{i:064x}" for i in range(N)],
        }
    )
    parts = sorted(set(groups[:-TESTED])), sorted(set(groups[-TESTED:]))
    fold = Fold(fold=0, train=tuple(parts[0]), test=tuple(parts[1]))
    write_array(run.normalised(0), images)
    write_array(run.normalised_masks, masks)
    write_table(run.manifest, manifest)
    write_record(run.splits, Splits(seed=0, folds=(fold,)))
    drawn, _, kinds = heads(24, 1)
    return {
        "run": run,
        "manifest": manifest,
        "fold": fold,
        "synthetic": {d: drawn[kinds == d] for d in DIAGNOSES},
        "config": CONFIG,
        "seed": 5,
        "compute": PLAIN,
    }


def keeper(asked):
    return cases.keeper(asked["run"], 0, CONFIG.classifier)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The study with its classifiers kept and its predictions written."""
    asked = study(tmp_path_factory.mktemp("trained"))
    found = predict_arms(**asked, keep=keeper(asked))
    write_table(asked["run"].metric("predictions-0.parquet"), found)
    return asked


@pytest.fixture
def run(trained, tmp_path):
    shutil.copytree(trained["run"].root, tmp_path / "run")
    return RunDir(tmp_path / "run")


def look(run, seed=0):
    return cases.look(run, 0, rng=np.random.default_rng(seed), compute=PLAIN)


def test_keeping_classifiers_changes_no_byte_of_the_predictions_and_no_random_state(trained, tmp_path):
    before = torch.random.get_rng_state()
    plain = study(tmp_path)
    predict_arms(**plain)
    kept = sorted(trained["run"].metric("predictions").iterdir())
    bare = sorted(plain["run"].metric("predictions").iterdir())
    assert [path.name for path in kept] == [path.name for path in bare]
    assert len(kept) == 3 * 2 + 3
    assert [path.read_bytes() for path in kept] == [path.read_bytes() for path in bare]
    assert not plain["run"].classifier(0, PRIMARY_ARM).exists()
    assert torch.equal(before, torch.random.get_rng_state())


def test_a_kept_classifier_gives_the_very_predictions_of_its_first_training(trained):
    run = trained["run"]
    assert {path.name for path in run.classifier(0, PRIMARY_ARM).parent.iterdir()} == {
        "real_classic.safetensors",
        "real_classic_synthetic.safetensors",
    }
    before = torch.random.get_rng_state()
    for arm in (PRIMARY_ARM, REFERENCE_ARM):
        model, temperature = read_classifier(run.classifier(0, arm), compute=PLAIN)
        logits = predict_logits(model, np.load(run.normalised(0))[-TESTED:])
        table = pd.read_parquet(run.metric(f"predictions/0-{arm.replace('+', '_')}-0.parquet"))
        np.testing.assert_array_equal(calibrated(logits, temperature=temperature), table["probability"])
    assert torch.equal(before, torch.random.get_rng_state())


def test_other_folds_and_a_resumed_fold_keep_nothing_new(trained, tmp_path, monkeypatch):
    assert cases.keeper(trained["run"], 1, CONFIG.classifier) is None
    shutil.copytree(trained["run"].root, tmp_path / "run")
    again = trained | {"run": RunDir(tmp_path / "run")}
    path = again["run"].classifier(0, PRIMARY_ARM)
    there = path.stat().st_mtime_ns
    predict_arms(**again, keep=keeper(again))  # all predictions stand
    assert path.stat().st_mtime_ns == there
    again["run"].metric("predictions/0-real_classic_synthetic-0.parquet").unlink()  # killed before it was written
    bytes_before = path.read_bytes()
    path.unlink()
    predict_arms(**again, keep=keeper(again))
    assert path.read_bytes() == bytes_before


def test_a_classifier_comes_back_as_it_was_written(tmp_path):
    torch.manual_seed(0)
    model = build("small", width=4).eval()
    config = ClassifierConfig(width=4)
    keep_classifier(tmp_path / "a.safetensors", model, config=config, temperature=1 / 3)
    back, temperature = read_classifier(tmp_path / "a.safetensors", compute=PLAIN)
    assert temperature == 1 / 3
    assert not back.training
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), back.state_dict().values(), strict=True))
    keep_classifier(tmp_path / "b.safetensors", back, config=config, temperature=1 / 3)
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    with pytest.raises(FileNotFoundError):
        read_classifier(tmp_path / "none.safetensors", compute=PLAIN)


def test_maps_are_of_real_test_slices_alone_and_say_what_both_classifiers_do(run, trained):
    found = look(run)
    tested = trained["manifest"][-TESTED:]
    assert {case.slice_id for case in found.cases} <= set(tested["slice_id"])
    assert sum(found.n_right.values()) + sum(found.n_wrong.values()) == TESTED
    table = pd.read_parquet(run.metric("predictions-0.parquet"))
    first = table[table["seed"] == 0].set_index(["arm", "slice_id"])["probability"]
    for case in found.cases:
        assert case.probability == first[PRIMARY_ARM, case.slice_id]
        assert case.reference_probability == first[REFERENCE_ARM, case.slice_id]
        assert case.right == ((case.probability >= 0.5) == (case.diagnosis == TUMOUR))
        assert (case.lesion_share is None) == (case.diagnosis == NO_TUMOUR)
        assert case.in_lesion is None or (case.diagnosis == TUMOUR and case.probability >= 0.5)
    assert look(run) == found
    assert cases.read_occlusions(run) == found


def test_the_same_seed_draws_the_same_bytes_and_another_one_other_slices(run):
    first = look(run)
    bytes_of = {path.name: path.read_bytes() for path in run.picture("x").parent.iterdir()}
    assert len(bytes_of) == len({(case.diagnosis, case.right) for case in first.cases})
    look(run)
    assert {path.name: path.read_bytes() for path in run.picture("x").parent.iterdir()} == bytes_of
    chosen = {tuple(case.slice_id for case in look(run, seed).cases) for seed in range(8)}
    assert len(chosen) > 1


def test_what_stands_is_not_done_again_and_what_was_not_kept_is_not_looked_for(run, monkeypatch):
    done = []
    monkeypatch.setattr(cases, "look", lambda *_, **__: done.append(1))
    monkeypatch.setattr(cases, "record_of", lambda _: type("Record", (), {"seed": 3}))
    cases.occlusion_task.fn(run.root, 1)
    assert not done, "not the first fold"
    cases.occlusion_task.fn(run.root, 0)
    assert done == [1]
    monkeypatch.undo()
    look(run)
    monkeypatch.setattr(cases, "look", lambda *_, **__: pytest.fail("it stands"))
    cases.occlusion_task.fn(run.root, 0)
    cases.record_path(run, 0).unlink()
    run.classifier(0, REFERENCE_ARM).unlink()
    cases.occlusion_task.fn(run.root, 0)
    assert cases.read_occlusions(run) is None


def test_every_wrong_slice_has_its_picture_and_every_sheet_its_record(run):
    occlusions = look(run)
    found = wrong_cases(pd.read_parquet(run.metric("predictions-0.parquet")))
    shown = draw_cases(run, occlusions=occlusions, wrong=found)
    sheets = [picture for picture in shown if picture.kind != "wrong"]
    assert sum(picture.n for picture in sheets) == len(occlusions.cases)
    singles = [picture for picture in shown if picture.kind == "wrong"]
    assert len(singles) == len(found.cases)
    images, rows = np.load(run.normalised(0)), {f"file-{i:04d}": i for i in range(N)}
    for picture, case in zip(singles, found.cases, strict=True):
        np.testing.assert_array_equal(read_png(run.root / picture.path), to_uint8(images[rows[case.slice_id], 0]))
    assert {picture.origin for picture in shown} == {"real"}
    assert draw_cases(run, occlusions=None, wrong=found) == singles


# --- drawing ---


def test_colour_lies_where_the_map_does_and_a_faint_map_stays_pale():
    grey = np.full((40, 40), 100, np.uint8)
    map_ = np.zeros((40, 40), np.float32)
    map_[10:20, 10:20] = 0.5
    shown = heated(grey, map_)
    assert (shown[0, 0] == 100).all()
    assert shown[15, 15, 0] > 150 > shown[15, 15, 2]
    assert (shown[10, 15] == HOT).all(), "a line about the stronger half"
    faint = heated(grey, map_ * FAINT / 5)
    assert (faint != HOT).any(axis=-1).all()
    assert abs(faint[15, 15].astype(int) - 100).max() < abs(shown[15, 15].astype(int) - 100).max() / 2
    np.testing.assert_array_equal(heated(grey, -map_), np.repeat(grey[..., None], 3, axis=2))


def test_a_lesion_is_outlined_in_dashes_that_are_seen_on_dark_and_on_bright():
    mask = np.zeros((30, 30), bool)
    mask[8:20, 8:20] = True
    found = dashed(mask)
    assert not found[mask].any()
    assert {int(v) for v in np.unique(found)} == {-1, 0, 1}
    assert abs(int((found == 1).sum()) - int((found == -1).sum())) <= 8
    assert not dashed(np.zeros((30, 30), bool)).any()


def test_a_sheet_has_a_row_a_slice_and_three_columns(tmp_path):
    images, masks, _ = heads(3, 2)
    maps = [np.random.default_rng(i).uniform(0, 1, (3, SIDE, SIDE)).astype(np.float32) for i in range(2)]
    write_sheet(tmp_path / "sheet.png", images=images, maps=maps, lesions=masks > 0)
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (3 * 128 + 2 * 2, 3 * 128 + 2 * 2)
        pixels = np.asarray(sheet.convert("RGB")).astype(int)
    plain = pixels[:128, :128]
    assert np.abs(plain[..., 0] - plain[..., 2]).max() < 40, "the slice itself is grey, but for rounding to 256 colours"
    assert np.abs(pixels[:128, 130:258, 0] - pixels[:128, 130:258, 2]).max() > 100
