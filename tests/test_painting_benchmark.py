import importlib.util
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from report_records import lesions, painted_summary, transfer
from scipy import stats

from data_contracts.manifest import DIAGNOSES, NO_TUMOUR, TUMOUR
from data_contracts.results import DUPLICATES_ARM, PASTED_ARM, PRIMARY_ARM, REFERENCE_ARM
from data_contracts.splits import Fold, Splits
from data_contracts.violations import ContractError
from flows.config import StudyConfig, new_run_record
from flows.study import seed_of
from pipeline.compute import PLAIN
from pipeline.evidence.classifier import ClassicAugmentation, augment
from pipeline.evidence.comparison import compare
from pipeline.evidence.utility import UtilityConfig
from pipeline.formats.synthetic import write_synthetic
from pipeline.run_dir import RunDir, write_array, write_record, write_table

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "painting.py"
SIDE, GROUPS, TRAINING, SLICES = 32, 12, 8, 4
SICK = DIAGNOSES.index(TUMOUR)


def load():
    found = importlib.util.spec_from_file_location("painting_benchmark", SCRIPT)
    module = importlib.util.module_from_spec(found)
    sys.modules["painting_benchmark"] = module  # dataclasses look their module up
    found.loader.exec_module(module)
    return module


painting = load()
SETTINGS = painting.Settings(steps=2, batch_size=4, width=4)


# --- table ---


def invented(rng):
    """Predictions of two draws that test the same twenty subjects, two seeds, and rows that do not decide."""
    config = UtilityConfig(arms=painting.ORDER, doses=(2.0,), bootstrap=200, controls=False)
    skill = {arm: 0.6 + 0.3 * i for i, arm in enumerate(painting.ORDER)}
    tables = []
    for fold in range(2):
        for arm in painting.ORDER:
            for seed in range(2):
                diagnosis = np.tile(DIAGNOSES, 40)
                right = (diagnosis == TUMOUR) * 2 - 1
                noise = rng.normal(size=80)
                rows = {
                    "slice_id": [f"s{i}" for i in range(80)],
                    "group": [f"group-{i // 4}" for i in range(80)],
                    "diagnosis": diagnosis,
                    "probability": 1 / (1 + np.exp(-skill[arm] * right - noise)),
                }
                keys = {"fold": fold, "share": 1.0, "arm": arm, "ratio": 1.0, "control": "none", "seed": seed}
                tables.append(pd.DataFrame(keys | rows).assign(n_subjects=12, n_real=60, n_added=60))
    deciding = pd.concat(tables)
    other = deciding[deciding["arm"] == PRIMARY_ARM].assign(ratio=2.0, probability=0.5)
    return pd.concat([deciding, other], ignore_index=True), config


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    run = RunDir(tmp_path_factory.mktemp("study") / "few")
    predictions, utility = invented(np.random.default_rng(3))
    record = new_run_record(
        preset="paint", seed=7, config=StudyConfig(utility=utility), source_digest="d" * 64, compute="none"
    )
    write_record(run.run_json, record)
    rng = np.random.default_rng(seed_of(7, "compare"))
    comparison = compare(predictions, config=utility, rng=rng)
    write_record(run.metric("utility.json"), comparison)
    write_table(run.metric("predictions.parquet"), predictions)
    losses = [transfer(fold, loss, blurred_to=side) for fold, loss in enumerate((0.01, 0.05)) for side in (None, 16)]
    write_record(run.summary, painted_summary(transfer=tuple(losses), lesions=(lesions(), lesions(1))))
    train, test = (tuple(f"{part}-{i}" for i in range(n)) for part, n in (("train", 12), ("test", 20)))
    write_record(run.splits, Splits(seed=7, folds=tuple(Fold(fold=i, train=train, test=test) for i in range(2))))
    return run, predictions, comparison


def row(text, start):
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {start} |")]
    return [cell.strip() for cell in line.split("|")[1:-1]]


def test_the_tables_say_what_the_study_measured(finished):
    run, _, comparison = finished
    text = painting.study_tables(run.root)
    for one in comparison.arms:
        cells = row(text, painting.NAMES[one.arm])
        assert cells[1] == "60 + 60"
        assert cells[2] == painting.share(one.balanced_accuracy)
        assert cells[3] == painting.share(one.sensitivity_at_specificity)
    painted = painting.NAMES[PRIMARY_ARM]
    for reference, written in (
        (REFERENCE_ARM, comparison.difference),
        (DUPLICATES_ARM, comparison.difference_to_duplicates),
        (PASTED_ARM, comparison.difference_to_copy_paste),
    ):
        cells = row(text, f"{painted} − {painting.NAMES[reference]}")
        assert cells[1] == painting.points(written)
        assert cells[2] == f"{100 * written.minimum_detectable_effect:.1f}"
    pasted = row(text, f"{painting.NAMES[PASTED_ARM]} − {painting.NAMES[REFERENCE_ARM]}")
    assert pasted[1] == painting.points(comparison.copy_paste.difference)
    assert f"**{comparison.verdict.replace('_', ' ')}**" in text
    assert "n = 80 test slices of 20 subjects" in text
    assert row(text, "as they are")[5:] == ["0.030 (0.010 to 0.050)", "0 of 2"]


def test_each_draw_has_a_row_with_its_own_balanced_accuracy(finished):
    run, predictions, _ = finished
    text = painting.study_tables(run.root)
    rows = predictions[predictions["ratio"] == 1]
    right = (rows["probability"] >= 0.5) == (rows["diagnosis"] == TUMOUR)
    shares = right.groupby([rows["fold"], rows["arm"], rows["diagnosis"]]).mean().groupby(["fold", "arm"]).mean()
    for fold in range(2):
        cells = row(text, str(fold))
        assert cells[1] == "12, 20"
        assert cells[2:-1] == [f"{shares[fold, arm]:.3f}" for arm in painting.ORDER]
        gain = 100 * (shares[fold, PRIMARY_ARM] - shares[fold, REFERENCE_ARM])
        assert cells[-1] == painting.signed(gain)
    spread = [f"{shares[:, arm].std():.3f}" for arm in painting.ORDER]
    assert row(text, "standard deviation")[2:-1] == spread


def test_predictions_of_another_study_are_refused(finished, tmp_path):
    run, predictions, _ = finished
    other = RunDir(tmp_path)
    write_table(other.metric("predictions.parquet"), predictions.assign(probability=0.5))
    for path in run.root.rglob("*.json"):
        copy = other.root / path.relative_to(run.root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    with pytest.raises(ValueError, match=r"from predictions\.parquet"):
        painting.study_tables(other.root)


# --- segment ---


def slices(n, rng):
    """Grey noise; every second slice has a bright square somewhere, its mask."""
    images = rng.uniform(-0.7, -0.3, (n, 1, SIDE, SIDE)).astype(np.float32)
    masks = np.zeros((n, SIDE, SIDE), np.uint8)
    for i in range(SICK, n, 2):
        top, left = rng.integers(4, SIDE - 12, 2)
        masks[i, top : top + 8, left : left + 8] = 1
    images[masks[:, None] > 0] += 0.9
    return images, masks


def write_changed(folder, diagnosis, source, rng, n=10):
    images, masks = slices(2 * n, rng)
    provenance = pd.DataFrame({"source": source, "lesion": source if diagnosis == TUMOUR else "", "seed": range(n)})
    write_synthetic(
        folder,
        images=images[SICK::2],
        names=[f"p{i}" for i in range(n)],
        generator=f"0-{diagnosis}",
        diagnosis=diagnosis,
        masks=masks[SICK::2],  # painted regions, in slices without a tumour too
        provenance=provenance,
    )


def tiny_run(root, *, test_pixels=None, source="s0"):
    run, rng = RunDir(root), np.random.default_rng(0)
    n = GROUPS * SLICES
    images, masks = slices(n, rng)
    group = [f"group-{i // SLICES}" for i in range(n)]
    test = np.arange(n) >= TRAINING * SLICES
    if test_pixels is not None:
        images[test] = test_pixels
    manifest = pd.DataFrame({"slice_id": [f"s{i}" for i in range(n)], "group": group, "diagnosis": (DIAGNOSES * n)[:n]})
    write_table(run.manifest, manifest)
    write_array(run.normalised(0), images)
    write_array(run.normalised_masks, masks)
    names = [f"group-{i}" for i in range(GROUPS)]
    fold = Fold(fold=0, train=tuple(names[:TRAINING]), test=tuple(names[TRAINING:]))
    write_record(run.splits, Splits(seed=0, folds=(fold,)))
    for diagnosis in DIAGNOSES:
        write_changed(run.synthetic(0, diagnosis), diagnosis, source, rng)
        write_changed(run.pasted(0, diagnosis), diagnosis, "s1", rng, n=12)
    record = new_run_record(preset="paint", seed=0, config=StudyConfig(), source_digest="d" * 64, compute="none")
    write_record(run.run_json, record)
    return run, fold, images, masks


def test_dice_is_twice_the_common_area_over_both():
    found, true = np.zeros((2, 4, 8, 8), bool)
    found[0, :4, :4] = true[0, :4, 2:6] = True  # 16 pixels each, 8 in common
    found[1, :2, :2] = true[1, :2, :6] = True  # 4 of 12
    found[2, 0, 0] = true[2, 7, 7] = True
    assert painting.dice(found, true)[:3] == pytest.approx([0.5, 0.5, 0.0])
    assert np.isnan(painting.dice(found, true)[3])
    assert painting.dice(true[:3], true[:3]) == pytest.approx(1.0)


def test_a_mask_moves_as_its_image_does_whatever_happens_to_the_grey():
    images, masks = slices(40, np.random.default_rng(1))
    pairs = torch.from_numpy(np.concatenate([2.0 * masks[:, None] - 1, masks[:, None]], 1).astype(np.float32))
    still = ClassicAugmentation(log_gain=0, log_gamma=0, noise=0)
    image, mask = painting.moved(pairs, still, torch.Generator().manual_seed(5))
    assert torch.equal(image > 0, mask > 0)
    assert not torch.equal(mask, pairs[:, 1:])
    pairs = torch.from_numpy(painting.paired(images, masks))
    rng = torch.Generator().manual_seed(5)
    image, again = painting.moved(pairs, ClassicAugmentation(), rng)
    assert torch.equal(again, mask)
    assert torch.equal(image, augment(pairs[:, :1], ClassicAugmentation(), torch.Generator().manual_seed(5)))
    inside = image[mask > 0].mean() - image[mask == 0].mean()
    assert inside > 0.5  # the bright squares lie where their masks do


def test_no_test_slice_is_learned_from_and_nothing_is_trained_twice(tmp_path, monkeypatch):
    run, _, images, masks = tiny_run(tmp_path / "run", test_pixels=np.nan)
    seen, train = [], painting.train_unet

    def watched(pairs, diagnoses, **how):
        seen.append((pairs, diagnoses))
        return train(pairs, diagnoses, **how)

    monkeypatch.setattr(painting, "train_unet", watched)
    work = tmp_path / "work"
    scores = painting.segment(run, work, settings=SETTINGS, seeds=[0], compute=PLAIN)
    assert len(seen) == len(painting.SEGMENTING)
    n = TRAINING * SLICES
    for (pairs, diagnoses), arm in zip(seen, painting.SEGMENTING, strict=True):
        assert np.isfinite(pairs).all()
        assert np.array_equal(pairs[:n], painting.paired(images[:n], masks[:n]))
        added = 0 if arm == REFERENCE_ARM else 10  # of each diagnosis, as many as were painted
        assert np.bincount(diagnoses).tolist() == [n // 2 + added] * 2
        assert not pairs[diagnoses != SICK, 1].any()  # painted and pasted ones too
        assert pairs[diagnoses == SICK, 1].any((1, 2)).all()
    assert set(scores["group"]) == {f"group-{i}" for i in range(TRAINING, GROUPS)}
    assert (scores["dice"].notna() == (scores["diagnosis"] == TUMOUR)).all()
    monkeypatch.setattr(painting, "train_unet", None)
    again = painting.segment(run, work, settings=SETTINGS, seeds=[0], compute=PLAIN)
    pd.testing.assert_frame_equal(again, scores)
    with pytest.raises(ValueError, match="other settings"):
        painting.segment(run, work, settings=painting.Settings(steps=3), seeds=[0], compute=PLAIN)


def test_a_label_is_the_painted_lesion_and_a_set_made_of_test_slices_is_refused(tmp_path):
    run, fold, _, _ = tiny_run(tmp_path / "run")
    lessons = painting.read_lessons(run, fold)
    regions = np.load(run.synthetic(0, TUMOUR) / "painted.npy")
    assert np.array_equal(lessons.painted[TUMOUR][:, 1], regions)
    assert np.load(run.synthetic(0, NO_TUMOUR) / "painted.npy").any()
    assert not lessons.painted[NO_TUMOUR][:, 1].any()
    other, fold, _, _ = tiny_run(tmp_path / "other", source=f"s{TRAINING * SLICES}")
    with pytest.raises(ContractError, match="no training slices"):
        painting.read_lessons(other, fold)


def test_nothing_is_judged_without_true_masks(tmp_path):
    run, fold, _, masks = tiny_run(tmp_path / "run")
    write_array(run.found_masks(0), masks)
    with pytest.raises(ContractError, match="looked for"):
        painting.read_lessons(run, fold)
    write_array(run.normalised_masks, np.zeros_like(masks))
    with pytest.raises(ContractError, match="no mask"):
        painting.read_exam(run, fold)


def test_the_network_learns_and_the_seed_decides(tmp_path):
    run, fold, _, _ = tiny_run(tmp_path / "run")
    lessons, exam = painting.read_lessons(run, fold), painting.read_exam(run, fold)
    learned = {"pairs": lessons.real, "diagnoses": lessons.diagnoses, "compute": PLAIN}
    models = [painting.train_unet(**learned, settings=SETTINGS, seed=seed) for seed in (1, 1, 2)]
    weights = [torch.cat([one.flatten() for one in model.parameters()]) for model in models]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    settings = painting.Settings(steps=150, batch_size=16, width=4)
    model = painting.train_unet(**learned, settings=settings, seed=1)
    scores = painting.score(painting.found_by(model, exam.images), exam)
    assert scores["dice"].mean() > 0.8
    assert scores["false_area"].mean() < 0.02


def test_a_subject_counts_once_and_the_interval_of_one_fold_is_that_of_a_paired_t_test():
    rng = np.random.default_rng(4)
    tables = []
    for arm, shift in ((REFERENCE_ARM, 0.0), (PRIMARY_ARM, 0.05)):
        for subject in range(20):
            n = 1 + subject % 3  # slices
            values = 0.5 + 0.01 * subject + shift + rng.normal(0, 0.03, n)
            rows = {"slice_id": [f"{subject}-{i}" for i in range(2 * n)], "group": f"g{subject}"}
            figures = {"dice": [*values, *[np.nan] * n], "false_area": [*[np.nan] * n, *values / 100]}
            tables.append(pd.DataFrame(rows | figures).assign(arm=arm, fold=0, seed=0, n_real=9, n_added=9))
    scores = pd.concat(tables)
    found = painting.by_subject(scores, "dice", rng=np.random.default_rng(0))
    means = scores.groupby(["arm", "group"])["dice"].mean()
    paired = stats.ttest_rel(means[PRIMARY_ARM], means[REFERENCE_ARM]).confidence_interval()
    difference = found.difference(PRIMARY_ARM, REFERENCE_ARM)
    assert found.estimate(PRIMARY_ARM).estimate == pytest.approx(means[PRIMARY_ARM].mean())
    assert difference.estimate == pytest.approx((paired.low + paired.high) / 2)
    # the larger of bootstrap and jackknife, so never narrower, and 2,000 resamples know their spread to some per cent
    assert 1 - 1e-9 <= (difference.high - difference.low) / (paired.high - paired.low) < 1.06
    text = painting.segment_tables(scores, seed=0)
    names = f"{painting.NAMES[PRIMARY_ARM]} − {painting.NAMES[REFERENCE_ARM]}"
    assert row(text, names)[1] == painting.points(difference)
    assert row(text, "0")[1:] == [f"{means[arm].mean():.3f}" for arm in (REFERENCE_ARM, PRIMARY_ARM)]
    with pytest.raises(ValueError, match="same subjects"):
        painting.by_subject(scores.iloc[4:], "dice", rng=np.random.default_rng(0))
