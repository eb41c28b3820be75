from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from data_contracts.manifest import DIAGNOSES, NO_TUMOUR, REAL, TUMOUR
from data_contracts.results import ARMS, CONTROL_HALF_WIDTH, DUPLICATES_ARM, PASTED_ARM, PRIMARY_ARM, REFERENCE_ARM
from data_contracts.splits import Fold
from data_contracts.violations import ContractError
from pipeline.compute import PLAIN
from pipeline.evidence import utility
from pipeline.evidence.arms import LEARNING_ARMS, Training, choose_synthetic, deal_anew, dose, plan, train_images
from pipeline.evidence.classifier import ClassifierConfig
from pipeline.evidence.comparison import compare
from pipeline.evidence.utility import UtilityConfig, predict_arms, synthetic_wanted
from pipeline.formats.raster import from_uint8, to_uint8
from pipeline.run_dir import RunDir, write_array

TINY = UtilityConfig(
    seeds=2,
    calibrate=False,
    controls=False,
    bootstrap=200,
    classifier=ClassifierConfig(steps=3, batch_size=8, width=4),
)
COLUMNS = ["fold", "share", "arm", "ratio", "control", "seed", "slice_id", "group", "diagnosis", "probability"]
COLUMNS += ["n_subjects", "n_real", "n_added"]
FULL = TINY.model_copy(update={"calibrate": True, "controls": True, "doses": (0.5, 2.0)})


def pictures(n, seed):
    return np.random.default_rng(seed).uniform(-1, 1, (n, 1, 32, 32)).astype(np.float32)


def numbered(values):
    """Images whose grey value says which they are."""
    return np.repeat(np.float32(values), 16).reshape(-1, 1, 4, 4)


REAL_IMAGES, REAL_DIAGNOSES = numbered([0, 1, 2, 3, 4]), np.array([0, 0, 0, 1, 1])
SYNTHETIC_IMAGES, SYNTHETIC_DIAGNOSES = numbered([10, 11, 12, 13]), np.array([0, 1, 1, 1])


def composed(arm, seed=0):
    images, diagnoses = train_images(
        arm=arm,
        real=REAL_IMAGES,
        real_diagnoses=REAL_DIAGNOSES,
        synthetic=SYNTHETIC_IMAGES,
        synthetic_diagnoses=SYNTHETIC_DIAGNOSES,
        rng=np.random.default_rng(seed),
    )
    return images[:, 0, 0, 0].astype(int).tolist(), diagnoses.tolist()


def test_arms_are_composed_as_their_names_say():
    real = ([0, 1, 2, 3, 4], [0, 0, 0, 1, 1])
    assert composed("real") == composed("real+classic") == real
    assert composed("synthetic_only") == ([10, 11, 12, 13], [0, 1, 1, 1])
    assert composed(PRIMARY_ARM) == ([0, 1, 2, 3, 4, 10, 11, 12, 13], [0, 0, 0, 1, 1, 0, 1, 1, 1])


def test_pasted_slices_take_the_place_of_synthetic_ones():
    assert composed(PASTED_ARM) == composed(PRIMARY_ARM)


def test_duplicates_are_real_and_match_the_synthetic_count_in_each_diagnosis():
    images, diagnoses = composed(DUPLICATES_ARM)
    assert images[:5] == [0, 1, 2, 3, 4]
    assert diagnoses == [0, 0, 0, 1, 1, 0, 1, 1, 1]
    assert all(diagnosis == REAL_DIAGNOSES[image] for image, diagnosis in zip(images, diagnoses, strict=True))
    assert composed(DUPLICATES_ARM) == (images, diagnoses)
    assert {tuple(composed(DUPLICATES_ARM, seed)[0]) for seed in range(9)} != {tuple(images)}


def test_dose_follows_the_ratio_in_each_diagnosis_and_stops_at_what_there_is():
    diagnoses = np.array([0] * 10 + [1] * 4)
    assert dose(real_diagnoses=diagnoses, available={0: 99, 1: 99}, ratio=0.5) == {0: 5, 1: 2}
    assert dose(real_diagnoses=diagnoses, available={0: 99, 1: 3}, ratio=2.0) == {0: 20, 1: 3}


def test_to_balance_is_to_fill_up_the_rarer_diagnosis_as_far_as_the_dose_goes():
    diagnoses, plenty = np.array([0] * 10 + [1] * 6), {0: 99, 1: 99}
    assert dose(real_diagnoses=diagnoses, available=plenty, ratio=1.0, balance=True) == {0: 0, 1: 4}
    assert dose(real_diagnoses=diagnoses, available=plenty, ratio=0.5, balance=True) == {0: 0, 1: 3}
    assert dose(real_diagnoses=diagnoses, available={0: 99, 1: 2}, ratio=1.0, balance=True) == {0: 0, 1: 2}


def test_synthetic_slices_are_drawn_without_repeats_and_keep_their_diagnosis():
    synthetic = {NO_TUMOUR: numbered(range(100, 130)), TUMOUR: numbered(range(200, 203))}
    images, diagnoses = choose_synthetic(
        synthetic=synthetic, real_diagnoses=REAL_DIAGNOSES, ratio=2.0, rng=np.random.default_rng(0)
    )
    values = images[:, 0, 0, 0]
    assert len(set(values)) == len(values) == 9
    assert ((values >= 200) == (diagnoses == DIAGNOSES.index(TUMOUR))).all()


def test_a_smaller_dose_lies_inside_a_larger_one_and_a_collapsed_one_repeats_three():
    synthetic = {NO_TUMOUR: numbered(range(100, 130)), TUMOUR: numbered(range(200, 230))}
    real_diagnoses = np.array([0] * 12 + [1] * 8)

    def drawn(ratio, seed=0, **kw):
        rng = np.random.default_rng(seed)
        images, diagnoses = choose_synthetic(
            synthetic=synthetic, real_diagnoses=real_diagnoses, ratio=ratio, rng=rng, **kw
        )
        return images[:, 0, 0, 0].astype(int).tolist(), diagnoses.tolist()

    doses = [drawn(ratio)[0] for ratio in (0.25, 0.5, 1.0, 2.0)]
    assert [len(values) for values in doses] == [5, 10, 20, 40]
    assert all(set(small) < set(large) for small, large in pairwise(doses))
    assert set(drawn(1.0, seed=1)[0]) != set(doses[2])
    values, diagnoses = drawn(1.0, distinct=3)
    assert diagnoses == [0] * 12 + [1] * 8
    assert [values.count(value) for value in sorted(set(values))] == [4, 4, 4, 3, 3, 2]
    assert set(values) < set(doses[2])


def test_as_many_synthetic_slices_are_wanted_as_the_largest_dose_of_the_fold_takes():
    fold = Fold(fold=0, train=("a",), test=("b",))
    half = fold.model_copy(update={"share": 0.5})
    assert synthetic_wanted(n_real=10, fold=fold, config=TINY) == 10
    assert synthetic_wanted(n_real=10, fold=fold, config=FULL) == 20
    assert synthetic_wanted(n_real=10, fold=half, config=FULL) == 10
    small = TINY.model_copy(update={"doses": (0.25,)})
    assert synthetic_wanted(n_real=10, fold=fold, config=small) == 10


def test_each_fold_has_its_trainings_and_each_training_a_file():
    whole = plan(whole=True, seeds=3, arms=ARMS, doses=(0.25, 2.0), control_seeds=2)
    assert len(whole) == 3 * 5 + 3 * 2 + 2 * 2
    assert len({training.name for training in whole}) == len(whole)
    assert {training.arm for training in whole if training.ratio != 1} == {PRIMARY_ARM}
    part = plan(whole=False, seeds=3, arms=ARMS, doses=(0.25, 2.0), control_seeds=2)
    assert part == [Training(arm, index) for index in range(3) for arm in LEARNING_ARMS]
    assert {REFERENCE_ARM, PRIMARY_ARM} <= set(LEARNING_ARMS)
    pasted = plan(whole=False, seeds=2, arms=PASTE.arms, doses=(), control_seeds=0)
    assert [(one.arm, one.index) for one in pasted if one.arm == PASTED_ARM] == [(PASTED_ARM, 0), (PASTED_ARM, 1)]
    assert [one for one in pasted if one.arm != PASTED_ARM] == plan(
        whole=False, seeds=2, arms=ARMS, doses=(), control_seeds=0
    )


@pytest.mark.parametrize("mixed", [False, True])
def test_diagnoses_dealt_anew_say_nothing_of_the_truth_and_keep_groups_together(mixed):
    rng = np.random.default_rng(0)
    sizes = rng.integers(1, 8, 60)
    groups = pd.Series(np.repeat([f"g{i:02d}" for i in rng.permutation(60)], sizes))
    number = groups.str[1:].astype(int).to_numpy()
    truth = np.arange(len(groups)) % 2 if mixed else (number % 3 == 0).astype(int)
    dealt = [deal_anew(groups=groups, diagnoses=truth, rng=np.random.default_rng(seed)) for seed in range(20)]
    swapped = np.array([new != truth for new in dealt])
    for name in set(groups):
        assert (swapped[:, groups == name].all(1) | ~swapped[:, groups == name].any(1)).all()
    # by whole groups of unequal size an exact half is out of reach; a free permutation would stray further
    for diagnosis in (0, 1):
        np.testing.assert_allclose(swapped[:, truth == diagnosis].mean(1), 0.5, atol=0.08)
    assert swapped.any(0).all()
    assert not swapped.all(0).any()


def overlapping(study):
    both = study["fold"].train + study["fold"].test
    return study | {"fold": study["fold"].model_copy(update={"train": both})}


def manifest_of(groups, diagnoses):
    n = len(groups)
    return pd.DataFrame(
        {
            "slice_id": [f"file-{i:04d}" for i in range(n)],
            "origin": REAL,
            "subject": [g.replace("group", "subject") for g in groups],
            "group": groups,
            "diagnosis": diagnoses,
            "sha256": [f"{i:064x}" for i in range(n)],
        }
    )


@pytest.fixture
def study(tmp_path):
    """A run of 8 groups of 3 slices, the last two tested, and synthetic slices."""
    groups = [f"group-{i // 3:04d}" for i in range(24)]
    manifest = manifest_of(groups, [DIAGNOSES[i // 3 % 2] for i in range(24)])
    fold = Fold(fold=0, train=tuple(sorted(set(groups[:18]))), test=tuple(sorted(set(groups[18:]))))
    run = RunDir(tmp_path)
    write_array(run.normalised(0), pictures(24, 0))
    return {
        "run": run,
        "manifest": manifest,
        "fold": fold,
        "synthetic": {NO_TUMOUR: pictures(12, 1), TUMOUR: pictures(12, 2)},
        "config": TINY,
        "seed": 5,
        "compute": PLAIN,
    }


def test_every_arm_and_seed_predicts_the_real_test_slices_alone(study):
    seen = []
    found = predict_arms(**study, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(i, 10) for i in range(1, 11)]
    assert list(found) == COLUMNS
    tested = study["manifest"][18:]
    for (arm, seed), rows in found.groupby(["arm", "seed"]):
        assert arm in ARMS
        assert seed in (0, 1)
        for column in ("slice_id", "group", "diagnosis"):
            assert rows[column].tolist() == tested[column].tolist()
    assert found["probability"].between(0, 1).all()


def test_a_killed_run_resumes_and_ends_the_same(study, tmp_path, monkeypatch):
    whole = predict_arms(**study)
    files = sorted(study["run"].metric("predictions").iterdir())
    assert len(files) == 10
    assert not any("+" in file.name for file in files)
    for file in files[1::3]:
        file.unlink()
    left = {file: file.stat().st_mtime_ns for file in files if file.exists()}
    trained = []
    monkeypatch.setattr(
        utility, "train_classifier", lambda real=utility.train_classifier, **kw: trained.append(1) or real(**kw)
    )
    pd.testing.assert_frame_equal(predict_arms(**study), whole)
    assert len(trained) == 3
    assert {file: file.stat().st_mtime_ns for file in left} == left


def test_arms_of_one_seed_share_all_but_their_images(study, monkeypatch):
    calls = []
    real = utility.train_classifier
    monkeypatch.setattr(utility, "train_classifier", lambda **kw: calls.append(kw) or real(**kw))
    predict_arms(**study)
    by_arm = dict(zip(ARMS, calls[:5], strict=True))
    assert len({call["seed"] for call in calls[:5]}) == 1
    assert calls[5]["seed"] != calls[0]["seed"]
    assert [call["classic"] for call in calls[:5]] == [False, True, True, True, True]
    assert len(by_arm[DUPLICATES_ARM]["images"]) == len(by_arm[PRIMARY_ARM]["images"]) == 36
    np.testing.assert_array_equal(by_arm[PRIMARY_ARM]["images"][18:], by_arm["synthetic_only"]["images"])
    np.testing.assert_array_equal(by_arm["real"]["images"], np.load(study["run"].normalised(0))[:18])


def test_doses_and_controls_stand_beside_the_arms_and_change_nothing_of_them(study):
    alone = predict_arms(**study)
    more = study | {"config": FULL.model_copy(update={"calibrate": False}), "run": RunDir(study["run"].root / "more")}
    write_array(more["run"].normalised(0), np.load(study["run"].normalised(0)))
    found = predict_arms(**more)
    decides = (found["ratio"] == 1) & (found["control"] == "none")
    pd.testing.assert_frame_equal(found[decides].reset_index(drop=True), alone)
    counts = (
        found[~decides]
        .groupby(["arm", "ratio", "control"])[["seed", "n_added"]]
        .agg({"seed": "nunique", "n_added": "first"})
    )
    assert {key: tuple(row) for key, *row in counts.itertuples()} == {
        (PRIMARY_ARM, 0.5, "none"): (2, 8),  # of nine in each diagnosis, rounded to even
        (PRIMARY_ARM, 2.0, "none"): (2, 24),  # there are twelve, not eighteen
        (PRIMARY_ARM, 1.0, "collapsed_generator"): (2, 18),
        (REFERENCE_ARM, 1.0, "permuted_diagnoses"): (2, 0),
    }


PASTE = TINY.model_copy(update={"arms": (*ARMS[:3], PASTED_ARM, *ARMS[3:])})
PASTED = {NO_TUMOUR: pictures(15, 3), TUMOUR: pictures(7, 4)}
MINE = {"group-0000", "group-0001"}


def test_the_copy_paste_arm_learns_as_many_pasted_slices_and_changes_no_other_arm(study, monkeypatch):
    alone = predict_arms(**study)
    more = study | {"config": PASTE, "pasted": PASTED, "run": RunDir(study["run"].root / "more")}
    write_array(more["run"].normalised(0), np.load(study["run"].normalised(0)))
    calls = spied(monkeypatch)
    found = predict_arms(**more)
    pasted = found[found["arm"] == PASTED_ARM]
    assert set(pasted["n_added"]) == {16}  # of nine and nine, and there are seven
    pd.testing.assert_frame_equal(found[found["arm"] != PASTED_ARM].reset_index(drop=True), alone)
    arms = dict(zip(PASTE.arms, calls, strict=False))
    assert arms[PASTED_ARM]["seed"] == arms[PRIMARY_ARM]["seed"]
    np.testing.assert_array_equal(arms[PASTED_ARM]["images"][:18], arms[REFERENCE_ARM]["images"])
    known = {image.tobytes() for images in PASTED.values() for image in images}
    added = {image.tobytes() for image in arms[PASTED_ARM]["images"][18:]}
    assert len(added) == 16
    assert added < known


@pytest.mark.parametrize(
    ("given", "rule"),
    [
        ({}, "no pasted slices for the arm"),
        ({"pasted": {TUMOUR: PASTED[TUMOUR]}}, "no pasted images"),
        ({"pasted": PASTED, "pasted_sources": {NO_TUMOUR: [MINE] * 15, TUMOUR: []}}, "of 0 images, there are 7"),
        ({"pasted": PASTED, "sources": {NO_TUMOUR: [MINE] * 12, TUMOUR: [{"group-0007"}] * 12}}, "not trained on"),
    ],
)  # fmt: skip  # one breach a line
def test_what_is_pasted_or_painted_has_to_be_there_and_of_the_training_part(study, given, rule):
    with pytest.raises(ContractError, match=rule):
        predict_arms(**study | {"config": PASTE} | given)
    assert not study["run"].metric("predictions").exists()


def test_a_test_slice_among_the_pasted_ones_is_refused(study):
    leaked = PASTED | {TUMOUR: np.load(study["run"].normalised(0))[20:21]}
    with pytest.raises(ContractError, match="1 images equal real test slices"):
        predict_arms(**study | {"config": PASTE, "pasted": leaked})


def test_added_slices_are_used_the_same_way_in_every_arm_and_no_other_arm_knows_of_it(study, monkeypatch):
    calls = spied(monkeypatch)
    config = PASTE.model_copy(update={"way": "curriculum", "calibrate": True})
    predict_arms(**study | {"config": config, "pasted": PASTED})
    assert len(calls) == 6 + 12
    for index, call in enumerate(calls):
        arm = PASTE.arms[index % 6]
        if arm in (DUPLICATES_ARM, PASTED_ARM, PRIMARY_ARM):
            assert call["schedule"].share == (1.0, 0.5, 0.0)
            n_real = 12 if index < 6 else 18  # of which some are kept aside to calibrate
            np.testing.assert_array_equal(call["added"], np.arange(len(call["images"])) >= n_real)
        else:
            assert call["schedule"].share is None
            assert call["schedule"].weight == 1


def test_to_balance_adds_the_same_count_to_every_arm_and_to_the_rarer_diagnosis_alone(study, monkeypatch):
    study["manifest"].loc[3:8, "diagnosis"] = TUMOUR  # six more slices of it
    calls = spied(monkeypatch)
    config = PASTE.model_copy(update={"way": "balance", "seeds": 1})
    found = predict_arms(**study | {"config": config, "pasted": PASTED})
    counts = found.groupby("arm")["n_added"].first()
    assert counts[[DUPLICATES_ARM, PASTED_ARM, PRIMARY_ARM]].tolist() == [6, 6, 6]
    assert counts["synthetic_only"] == 6 + 12
    for call in calls[2:5]:
        assert set(call["diagnoses"][18:]) == {DIAGNOSES.index(NO_TUMOUR)}


def test_the_controls_learn_what_they_should(study, monkeypatch):
    calls = spied(monkeypatch)
    predict_arms(**study | {"config": TINY.model_copy(update={"controls": True})})
    arms, (permuted, collapsed) = dict(zip(ARMS, calls[:5], strict=True)), calls[10::2]
    np.testing.assert_array_equal(permuted["images"], arms[REFERENCE_ARM]["images"])
    truth = arms[REFERENCE_ARM]["diagnoses"]
    assert (permuted["diagnoses"] != truth).reshape(6, 3).all(1).sum() in (2, 3, 4)
    assert permuted["seed"] == arms[REFERENCE_ARM]["seed"] == collapsed["seed"]
    added = collapsed["images"][18:]
    np.testing.assert_array_equal(collapsed["diagnoses"], arms[PRIMARY_ARM]["diagnoses"])
    assert len({image.tobytes() for image in added}) == 6
    assert len({image.tobytes() for image in arms[PRIMARY_ARM]["images"][18:]}) == 18


def spied(monkeypatch):
    calls = []
    real = utility.train_classifier
    monkeypatch.setattr(utility, "train_classifier", lambda **kw: calls.append(kw) or real(**kw))
    return calls


def test_calibration_keeps_groups_aside_and_changes_no_decision_and_no_order(study, monkeypatch):
    plain = predict_arms(**study)
    again = study | {"config": TINY.model_copy(update={"calibrate": True}), "run": RunDir(study["run"].root / "again")}
    write_array(again["run"].normalised(0), np.load(study["run"].normalised(0)))
    calls, seen = spied(monkeypatch), []
    found = predict_arms(**again, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(i, 15) for i in range(1, 16)]
    learned = {arm: call["images"] for arm, call in zip(ARMS, calls[:5], strict=True)}
    real = np.load(study["run"].normalised(0))[:18]
    kept = [any(np.array_equal(image, one) for one in learned["real"]) for image in real]
    assert np.reshape(kept, (6, 3)).all(1).tolist() == np.reshape(kept, (6, 3)).any(1).tolist()
    assert sum(kept) == 12
    for arm in (REFERENCE_ARM, PRIMARY_ARM, DUPLICATES_ARM):
        np.testing.assert_array_equal(learned[arm][:12], learned["real"])
    assert len(learned[PRIMARY_ARM]) == len(learned[DUPLICATES_ARM]) == 24
    before, after = plain["probability"], found["probability"]
    assert not np.allclose(before, after)
    np.testing.assert_array_equal(before >= 0.5, after >= 0.5)
    for _, rows in found.groupby(["arm", "seed"]):
        np.testing.assert_array_equal(rows["probability"].argsort(), before[rows.index].argsort())
    pd.testing.assert_frame_equal(found.drop(columns="probability"), plain.drop(columns="probability"))
    assert len(calls) == 15
    pd.testing.assert_frame_equal(predict_arms(**again), found)
    assert len(calls) == 15  # temperatures are kept as trainings are


def test_no_training_depends_on_the_test_slices(study):
    found = predict_arms(**study | {"config": FULL})
    images = np.load(study["run"].normalised(0))
    other = study | {"config": FULL, "run": RunDir(study["run"].root / "other")}
    write_array(other["run"].normalised(0), np.concatenate([images[:18], images[:17:-1]]))
    turned = predict_arms(**other)
    for (_, before), (_, after) in zip(
        found.groupby(["arm", "ratio", "control", "seed"]),
        turned.groupby(["arm", "ratio", "control", "seed"]),
        strict=True,
    ):
        np.testing.assert_allclose(before["probability"], after["probability"][::-1], atol=1e-5)


def test_a_fold_of_a_share_trains_what_the_learning_curve_needs_on_its_groups_alone(study, monkeypatch):
    calls = spied(monkeypatch)
    part = study["fold"].model_copy(update={"fold": 0, "train": study["fold"].train[:4], "share": 0.67})
    found = predict_arms(**study | {"config": FULL, "fold": part})
    assert set(found["arm"]) == set(LEARNING_ARMS)
    assert (set(found["ratio"]), set(found["control"]), set(found["share"])) == ({1.0}, {"none"}, {0.67})
    assert set(found["n_subjects"]) == {4}
    assert len(calls) == 6
    np.testing.assert_array_equal(calls[0]["images"], np.load(study["run"].normalised(0))[:12])


def test_a_fold_of_a_share_has_the_copy_paste_arm_where_the_study_has_it(study):
    part = study["fold"].model_copy(update={"train": study["fold"].train[:4], "share": 0.67})
    alone = predict_arms(**study | {"fold": part})
    more = study | {"config": PASTE, "fold": part, "run": RunDir(study["run"].root / "more")}
    write_array(more["run"].normalised(0), np.load(study["run"].normalised(0)))
    with pytest.raises(ContractError, match="no pasted slices for the arm"):
        predict_arms(**more)
    found = predict_arms(**more, pasted=PASTED)
    assert set(found.loc[found["arm"] == PASTED_ARM, "n_added"]) == {12}  # six and six
    pd.testing.assert_frame_equal(found[found["arm"] != PASTED_ARM].reset_index(drop=True), alone)


def test_a_test_slice_among_the_synthetic_ones_is_refused(study):
    leaked = from_uint8(to_uint8(np.load(study["run"].normalised(0))[20:21]))  # as it comes out of a PNG file
    study["synthetic"][TUMOUR] = np.concatenate([study["synthetic"][TUMOUR], leaked])
    with pytest.raises(ContractError, match="1 images equal real test slices"):
        predict_arms(**study)


@pytest.mark.parametrize(
    ("break_it", "rule"),
    [
        (overlapping, "group on both"),
        (lambda s: s | {"manifest": s["manifest"].assign(origin="synthetic")}, "real slices alone"),
        (lambda s: s | {"manifest": s["manifest"].assign(subject="subject-0001")}, "subject on both"),
        (lambda s: s | {"manifest": s["manifest"][:-1]}, "24 images, 23 in the manifest"),
        (lambda s: s | {"synthetic": {TUMOUR: pictures(5, 1)}}, "no synthetic images"),
        (lambda s: s | {"synthetic": s["synthetic"] | {TUMOUR: 2 * pictures(5, 1)}}, "range"),
    ],
)  # fmt: skip  # one breach a line
def test_a_breach_is_refused_before_anything_is_trained(study, break_it, rule):
    with pytest.raises(ContractError, match=rule):
        predict_arms(**break_it(study))
    assert not study["run"].metric("predictions").exists()


def predictions_with(skill, *, groups=60, slices=4, seeds=2, seed=0):
    """Predictions of every arm; `skill` is its mean margin, and arms of equal skill differ by luck alone."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(groups), slices)
    tumour = group % 2 == 0
    tables = []
    for arm in ARMS:
        for index in range(seeds):
            margin = skill.get(arm, 1.0) + rng.normal(0, 1, groups)[group] + rng.normal(0, 1, len(group))
            tables.append(
                pd.DataFrame(
                    {
                        "fold": (group // 2) % 3,
                        "share": 1.0,
                        "arm": arm,
                        "ratio": 1.0,
                        "control": "none",
                        "seed": index,
                        "slice_id": [f"file-{i:04d}" for i in range(len(group))],
                        "group": [f"group-{g:04d}" for g in group],
                        "diagnosis": np.where(tumour, TUMOUR, NO_TUMOUR),
                        "probability": 1 / (1 + np.exp(-np.where(tumour, margin, -margin))),
                        "n_subjects": groups * 2 // 3,
                        "n_real": 0 if arm == "synthetic_only" else 100,
                        "n_added": 0 if arm in ("real", "real+classic") else 80,
                    }
                )
            )
    return pd.concat(tables, ignore_index=True)


def compared(predictions, seed=0, **config):
    return compare(
        predictions,
        config=UtilityConfig(bootstrap=500, **config),
        rng=np.random.default_rng(seed),
    )


def test_a_large_gain_is_a_gain_only_beyond_mere_duplicates():
    found = compared(predictions_with({PRIMARY_ARM: 3.0}))
    assert found.verdict == "gain"
    assert found.difference.low > 0
    assert (found.difference.n_subjects, found.difference.n_slices, found.difference.n_seeds) == (60, 240, 2)
    both = compared(predictions_with({PRIMARY_ARM: 3.0, DUPLICATES_ARM: 3.0}))
    assert both.difference.low > 0
    assert both.verdict == "insufficient_evidence"


def test_harm_and_no_evidence():
    assert compared(predictions_with({PRIMARY_ARM: -1.0})).verdict == "harm"
    assert compared(predictions_with({})).verdict == "insufficient_evidence"


def test_arms_that_answer_alike_are_equivalent_where_there_are_enough_groups():
    predictions = predictions_with({}, groups=400, slices=1)
    reference = predictions[predictions["arm"] == REFERENCE_ARM]
    alike = pd.concat([reference.assign(arm=arm) for arm in ARMS])
    assert compared(alike).verdict == "equivalent"
    few = alike[alike["group"] < "group-0060"]
    assert compared(few).verdict == "insufficient_evidence"
    assert compared(few, equivalence_margin=0.05).verdict == "equivalent"


def test_records_hold_the_difference_and_the_counts_of_each_arm():
    found = compared(predictions_with({PRIMARY_ARM: 2.0}))
    arms = {scores.arm: scores for scores in found.arms}
    assert tuple(arms) == ARMS
    gap = arms[PRIMARY_ARM].balanced_accuracy.estimate - arms[REFERENCE_ARM].balanced_accuracy.estimate
    assert found.difference.estimate == pytest.approx(gap)
    assert {arm: (s.n_real, s.n_added) for arm, s in arms.items()} == {
        "real": (100, 0),
        "real+classic": (100, 0),
        DUPLICATES_ARM: (100, 80),
        PRIMARY_ARM: (100, 80),
        "synthetic_only": (0, 80),
    }
    assert type(found).model_validate_json(found.model_dump_json()) == found


def test_copy_paste_stands_beside_where_the_study_has_it_and_changes_no_verdict():
    base = predictions_with({PRIMARY_ARM: 2.5})
    pasted = base[base["arm"] == DUPLICATES_ARM].assign(arm=PASTED_ARM)
    alone, found = compared(base), compared(pd.concat([base, pasted]), arms=PASTE.arms)
    assert alone.difference_to_copy_paste is None
    assert found.difference_to_copy_paste.reference == PASTED_ARM
    assert found.difference_to_copy_paste.arm == PRIMARY_ARM
    for field in ("estimate", "low", "high"):
        assert getattr(found.difference_to_copy_paste, field) == getattr(alone.difference_to_duplicates, field)
    assert found.copy_paste.difference.arm == PASTED_ARM
    assert found.copy_paste.difference.reference == REFERENCE_ARM
    assert found.copy_paste.difference.estimate == pytest.approx(
        alone.difference.estimate - alone.difference_to_duplicates.estimate
    )
    assert found.copy_paste.verdict != "gain"  # it is the duplicates
    assert tuple(scores.arm for scores in found.arms) == PASTE.arms
    rest = tuple(scores for scores in found.arms if scores.arm != PASTED_ARM)
    details = tuple(detail for detail in found.arm_details if detail.arm != PASTED_ARM)
    assert len(details) == len(found.arm_details) - 1
    without = {"difference_to_copy_paste": None, "copy_paste": None, "arms": rest, "arm_details": details}
    assert found.model_copy(update=without) == alone


def test_same_seed_same_comparison():
    predictions = predictions_with({})
    assert compared(predictions, 1) == compared(predictions, 1) != compared(predictions, 2)


def test_arms_that_the_verdict_needs_cannot_be_left_out():
    with pytest.raises(ValidationError, match="the verdict needs"):
        UtilityConfig(arms=("real", REFERENCE_ARM, PRIMARY_ARM))


def beside(skill, *, arms, seed, **columns):
    """Predictions of some arms that stand beside those that decide."""
    found = predictions_with(skill, seed=seed)
    return found[found["arm"].isin(arms)].assign(**columns)


def test_doses_are_points_beside_the_primary_one_and_change_nothing_of_it():
    base = predictions_with({PRIMARY_ARM: 2.0})
    half = beside({PRIMARY_ARM: 1.5}, arms=[PRIMARY_ARM], seed=1, ratio=0.5, n_added=40)
    double = beside({PRIMARY_ARM: -1.0}, arms=[PRIMARY_ARM], seed=2, ratio=2.0, n_added=160)
    alone, found = compared(base), compared(pd.concat([base, double, half]), doses=(2.0, 0.5))
    assert [(point.ratio, point.n_added) for point in found.dose] == [(0.5, 40), (1.0, 80), (2.0, 160)]
    assert found.dose[1].difference.estimate == pytest.approx(found.difference.estimate)
    assert found.dose[0].difference.estimate < found.dose[1].difference.estimate
    assert found.dose[2].difference.high < 0
    assert found.model_copy(update={"dose": ()}) == alone
    assert alone.dose == ()


def test_the_learning_curve_pools_the_folds_of_a_share_and_ends_with_all_subjects():
    base = predictions_with({PRIMARY_ARM: 1.2})
    half = beside({PRIMARY_ARM: 3.0}, arms=LEARNING_ARMS, seed=1, share=0.5, n_subjects=20)
    half["fold"] += 3
    alone, found = compared(base), compared(pd.concat([base, half]))
    assert [(point.share, point.n_subjects) for point in found.learning] == [(0.5, 20), (1.0, 40)]
    assert found.learning[0].difference.low > 0
    assert found.learning[1].difference.estimate == pytest.approx(found.difference.estimate)
    assert set(found.learning[0].arms) == set(LEARNING_ARMS)
    assert found.model_copy(update={"learning": ()}) == alone


def test_copy_paste_stands_on_the_learning_curve_where_the_study_has_it():
    base = predictions_with({PRIMARY_ARM: 1.2})
    half = beside({PRIMARY_ARM: 3.0}, arms=LEARNING_ARMS, seed=1, share=0.5, n_subjects=20)
    half["fold"] += 3
    alone = pd.concat([base, half])
    pasted = alone[alone["arm"] == PRIMARY_ARM].assign(arm=PASTED_ARM)
    found = compared(pd.concat([alone, pasted]), arms=PASTE.arms).learning
    assert [set(point.arms) for point in found] == [{*LEARNING_ARMS, PASTED_ARM}] * 2
    for point, plain in zip(found, compared(alone).learning, strict=True):
        assert point.arms[PASTED_ARM].estimate == point.arms[PRIMARY_ARM].estimate
        assert {arm: point.arms[arm].estimate for arm in LEARNING_ARMS} == {
            arm: plain.arms[arm].estimate for arm in LEARNING_ARMS
        }


def test_controls_pass_where_nothing_is_found_and_fail_where_something_is():
    def controls(permuted, collapsed):
        base = predictions_with({PRIMARY_ARM: 2.0})
        tables = [
            beside({REFERENCE_ARM: permuted}, arms=[REFERENCE_ARM], seed=1, control="permuted_diagnoses"),
            beside({PRIMARY_ARM: collapsed}, arms=[PRIMARY_ARM], seed=2, control="collapsed_generator"),
        ]
        alone, found = compared(base), compared(pd.concat([base, *tables]))
        assert found.model_copy(update={"controls": ()}) == alone
        return {control.control: control for control in found.controls}

    null = controls(permuted=0.0, collapsed=1.0)
    assert null["permuted_diagnoses"].passed is True
    assert (null["permuted_diagnoses"].null, null["collapsed_generator"].null) == (0.5, 0.0)
    assert null["permuted_diagnoses"].estimate.low < 0.5 < null["permuted_diagnoses"].estimate.high
    assert null["collapsed_generator"].passed is True
    broken = controls(permuted=1.0, collapsed=3.0)
    assert broken["permuted_diagnoses"].passed is False
    assert broken["collapsed_generator"].passed is False
    assert broken["collapsed_generator"].estimate.low > 0


@pytest.mark.parametrize(("groups", "slices", "told"), [(6, 40, False), (14, 1, False), (60, 4, True)])
def test_a_control_that_could_hardly_fail_does_not_pass(groups, slices, told):
    base = predictions_with({}, groups=groups, slices=slices)
    permuted = predictions_with({REFERENCE_ARM: 0.0}, groups=groups, slices=slices, seed=1)
    permuted = permuted[permuted["arm"] == REFERENCE_ARM].assign(control="permuted_diagnoses")
    collapsed = predictions_with({}, groups=groups, slices=slices, seed=2)
    collapsed = collapsed[collapsed["arm"] == PRIMARY_ARM].assign(control="collapsed_generator")
    controls = compared(pd.concat([base, permuted, collapsed])).controls
    assert [control.passed for control in controls] == ([True, True] if told else [None, None])


def test_a_wide_interval_that_leaves_out_null_still_fails_a_control():
    permuted = predictions_with({REFERENCE_ARM: 1.5}, groups=14, slices=1)
    permuted = permuted[permuted["arm"] == REFERENCE_ARM].assign(control="permuted_diagnoses")
    (found,) = compared(pd.concat([predictions_with({}), permuted])).controls
    assert found.estimate.high - found.estimate.low > 2 * CONTROL_HALF_WIDTH
    assert found.passed is False


def test_one_seed_of_a_control_is_compared_with_the_same_seed_of_the_arms():
    base = predictions_with({}, seeds=3)
    collapsed = base[(base["arm"] == REFERENCE_ARM) & (base["seed"] == 0)]
    collapsed = collapsed.assign(arm=PRIMARY_ARM, control="collapsed_generator")
    (found,) = compared(pd.concat([base, collapsed])).controls
    assert found.estimate.estimate == 0
    assert found.passed is not False


def test_the_study_says_how_else_it_was_asked_and_at_which_prevalence():
    found = compared(predictions_with({PRIMARY_ARM: 3.0}), prevalence=0.05, at_specificity=0.8)
    assert (found.statistics.prevalence, found.statistics.at_specificity) == (0.05, 0.8)
    assert found.statistics.sign_flip_p < 0.05
    arms = {scores.arm: scores for scores in found.arms}
    assert arms[PRIMARY_ARM].ppv.estimate < arms[PRIMARY_ARM].sensitivity.estimate
    other = compared(predictions_with({PRIMARY_ARM: 3.0}), prevalence=0.5, at_specificity=0.8)
    assert other.arms[0].ppv.estimate > found.arms[0].ppv.estimate


@pytest.mark.parametrize("doses", [(1.0,), (0.5, 0.5), (0.0,)])
def test_doses_are_others_than_the_primary_one(doses):
    with pytest.raises(ValidationError):
        UtilityConfig(doses=doses)
