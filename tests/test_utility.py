import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from data_contracts.manifest import DIAGNOSES, NO_TUMOUR, REAL, TUMOUR
from data_contracts.results import ARMS, DUPLICATES_ARM, PRIMARY_ARM, REFERENCE_ARM
from data_contracts.splits import Fold
from data_contracts.violations import ContractError
from pipeline.compute import PLAIN
from pipeline.evidence import utility
from pipeline.evidence.classifier import ClassifierConfig
from pipeline.evidence.utility import UtilityConfig, choose_synthetic, compare, dose, predict_arms, train_images
from pipeline.run_dir import RunDir, write_array

TINY = UtilityConfig(seeds=2, bootstrap=200, classifier=ClassifierConfig(steps=3, batch_size=8, width=4))


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


def test_synthetic_slices_are_drawn_without_repeats_and_keep_their_diagnosis():
    synthetic = {NO_TUMOUR: numbered(range(100, 130)), TUMOUR: numbered(range(200, 203))}
    images, diagnoses = choose_synthetic(
        synthetic=synthetic, real_diagnoses=REAL_DIAGNOSES, ratio=2.0, rng=np.random.default_rng(0)
    )
    values = images[:, 0, 0, 0]
    assert len(set(values)) == len(values) == 9
    assert ((values >= 200) == (diagnoses == DIAGNOSES.index(TUMOUR))).all()


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
    assert list(found) == ["fold", "arm", "seed", "slice_id", "group", "diagnosis", "probability"]
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


def test_a_test_slice_among_the_synthetic_ones_is_refused(study):
    leaked = np.load(study["run"].normalised(0))[20:21]
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
                        "arm": arm,
                        "seed": index,
                        "slice_id": [f"file-{i:04d}" for i in range(len(group))],
                        "group": [f"group-{g:04d}" for g in group],
                        "diagnosis": np.where(tumour, TUMOUR, NO_TUMOUR),
                        "probability": 1 / (1 + np.exp(-np.where(tumour, margin, -margin))),
                    }
                )
            )
    return pd.concat(tables, ignore_index=True)


def compared(predictions, seed=0, **config):
    return compare(
        predictions,
        config=UtilityConfig(bootstrap=500, **config),
        rng=np.random.default_rng(seed),
        n_real=100.0,
        n_added=80.0,
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


def test_same_seed_same_comparison():
    predictions = predictions_with({})
    assert compared(predictions, 1) == compared(predictions, 1) != compared(predictions, 2)


def test_arms_that_the_verdict_needs_cannot_be_left_out():
    with pytest.raises(ValidationError, match="the verdict needs"):
        UtilityConfig(arms=("real", REFERENCE_ARM, PRIMARY_ARM))
