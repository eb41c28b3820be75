import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data_contracts.manifest import NO_TUMOUR, TUMOUR
from data_contracts.results import DUPLICATES_ARM, PRIMARY_ARM, REFERENCE_ARM
from data_contracts.splits import Fold
from pipeline.evidence.comparison import compare

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "calibration.py"


def load():
    found = importlib.util.spec_from_file_location("calibration", SCRIPT)
    module = importlib.util.module_from_spec(found)
    sys.modules["calibration"] = module  # dataclasses look their module up
    found.loader.exec_module(module)
    return module


calibration = load()


def tiny(name):
    heads = replace(getattr(calibration.SETTINGS, name), number=50)
    return replace(heads, lesion=(1, 400))


DESIGN = calibration.Design(heads=16, folds=2, seeds=2, ratio=1.0, learners=6)
SETTINGS = replace(
    calibration.SETTINGS,
    **{name: tiny(name) for name in ("truth", "subjects", "synthetic")},
    no_gain=DESIGN,
    gain=replace(DESIGN, ratio=2.0),
    truth_slices=40,
    steps=3,
    batch_size=8,
    width=4,
    draws=200,
)


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    folder = tmp_path_factory.mktemp("calibration")
    calibration.simulate_all(folder, studies=2, settings=SETTINGS)
    return folder


def read(work, kind, number=0):
    return [pd.read_parquet(path) for path in calibration.study_files(work, kind, number)]


def test_a_study_goes_on_and_trains_nothing_twice(work):
    files = sorted(work.rglob("*.parquet"))
    before = {path: path.stat().st_mtime_ns for path in files}
    one, _ = calibration.study_files(work, "gain", 1)  # the file that is written last
    content = pd.read_parquet(one)
    one.unlink()

    calibration.simulate_all(work, studies=2, settings=SETTINGS)

    pd.testing.assert_frame_equal(pd.read_parquet(one), content)
    assert all(path.stat().st_mtime_ns == before[path] for path in files if path.parent != one.parent)
    with pytest.raises(SystemExit, match="other settings"):
        calibration.simulate_all(work, studies=2, settings=replace(SETTINGS, steps=4))


def test_test_phantoms_subjects_and_synthetic_ones_are_different_heads(work):
    population = calibration.read_population(work, SETTINGS)
    seen = [{image.tobytes() for image in pool.images} for pool in vars(population).values()]
    assert not seen[0] & seen[1]
    assert not seen[0] & seen[2]
    assert not seen[1] & seen[2]
    assert set(population.truth.head % 2) == {0, 1}
    assert all(pool.images.min() >= -1 and pool.images.max() <= 1 for pool in vars(population).values())


def test_without_gain_the_added_slices_are_the_training_slices_and_with_gain_none_is(work):
    pool = calibration.read_population(work, SETTINGS)
    train, tumour = pool.subjects.images[:20], pool.subjects.tumour[:20]
    made = {
        kind: calibration.make_synthetic(
            kind, train=train, tumour=tumour, ratio=1.0, pool=pool.synthetic, rng=np.random.default_rng(0)
        )
        for kind in calibration.KINDS
    }
    for name, of in ((TUMOUR, tumour), (NO_TUMOUR, ~tumour)):
        own = sorted(image.tobytes() for image in train[of])
        assert sorted(image.tobytes() for image in made["no gain"][name]) == own
        assert len(made["gain"][name]) == of.sum()
        assert not set(own) & {image.tobytes() for image in made["gain"][name]}
    # in the same order the arm would be trained on the very same batches, and nothing would be tested
    assert not np.array_equal(made["no gain"][NO_TUMOUR], train[~tumour])


def test_few_learners_are_of_the_training_part_and_of_both_diagnoses():
    manifest = pd.DataFrame({"group": [*"aabbccddeeff"], "diagnosis": [*[TUMOUR] * 6, *[NO_TUMOUR] * 6]})
    fold = Fold(fold=0, train=("a", "b", "d", "e"), test=("c", "f"))
    found = calibration.few(fold, manifest, 2, np.random.default_rng(0))
    assert found.test == fold.test
    assert len(set(found.train) & {"a", "b"}) == len(set(found.train) & {"d", "e"}) == 1
    assert len(found.train) == 2
    assert calibration.few(fold, manifest, None, np.random.default_rng(0)) == fold


def test_truth_of_the_models_weighs_folds_by_what_they_tested():
    tested = pd.DataFrame(
        {
            "slice_id": [*"abcdef"],
            "fold": [0, 0, 0, 1, 0, 1],
            "diagnosis": [TUMOUR] * 4 + [NO_TUMOUR] * 2,
        }
    )
    truths = pd.DataFrame(
        {
            "arm": REFERENCE_ARM,
            "fold": [0, 0, 1, 1],
            "seed": [0, 1, 0, 1],
            "sensitivity": [0.8, 0.6, 0.5, 0.3],
            "specificity": [0.9, 0.9, 0.7, 0.5],
        }
    )
    # sensitivity 3/4 of 0.7 and 1/4 of 0.4, specificity half of 0.9 and half of 0.6
    known = calibration.known_scores(tested, truths)
    assert known == {REFERENCE_ARM: pytest.approx((0.625 + 0.75) / 2)}


def test_seed_variance_is_of_the_mean_over_seeds_and_weighs_folds():
    tested = pd.DataFrame({"slice_id": [*"abcd"], "fold": [0, 0, 0, 1]})
    scores = {(PRIMARY_ARM, 0): (0.9, 0.7), (REFERENCE_ARM, 0): (0.5, 0.5), (PRIMARY_ARM, 1): (0.6, 0.8)}
    scores[REFERENCE_ARM, 1] = (0.6, 0.4)
    truths = pd.DataFrame(
        {"arm": arm, "fold": fold, "seed": seed, "sensitivity": score, "specificity": score}
        for (arm, fold), both in scores.items()
        for seed, score in enumerate(both)
    )
    # differences 0.4 and 0.2 in the first fold, 0 and 0.4 in the second: variances 0.02 and 0.08, of two seeds each
    expected = (0.75**2 * 0.02 + 0.25**2 * 0.08) / 2
    assert calibration.seed_variance(tested, truths) == pytest.approx(expected)


def test_it_says_what_the_report_of_the_same_study_says(work):
    predictions, truths = read(work, "gain")
    share = SETTINGS.gain.test_share
    judged = calibration.judge(predictions, truths, draws=200, test_share=share, rng=np.random.default_rng(0))
    of_report = predictions.assign(share=1.0, ratio=1.0, control="none", n_subjects=6, n_real=12, n_added=12)
    config = SETTINGS.config.model_copy(update={"bootstrap": 200})
    report = compare(of_report, config=config, rng=np.random.default_rng(0))

    assert judged["verdict"] == report.verdict
    assert judged["detectable"] == pytest.approx(report.difference.minimum_detectable_effect)
    assert judged["nadeau_bengio_p"] == pytest.approx(report.statistics.nadeau_bengio_p)
    for arm, difference in ((REFERENCE_ARM, report.difference), (DUPLICATES_ARM, report.difference_to_duplicates)):
        assert judged[f"estimate to {arm}"] == pytest.approx(difference.estimate)
        assert judged[f"low to {arm}"] == pytest.approx(difference.low)
        assert judged[f"high to {arm}"] == pytest.approx(difference.high)


def test_every_arm_of_a_study_is_tested_and_known(work):
    for kind in calibration.KINDS:
        predictions, truths = read(work, kind, 1)
        models = {(f, arm, s) for f in (0, 1) for arm in (REFERENCE_ARM, DUPLICATES_ARM, PRIMARY_ARM) for s in (0, 1)}
        keys = ["fold", "arm", "seed"]
        assert set(predictions[keys].itertuples(index=False, name=None)) == models
        assert set(truths[keys].itertuples(index=False, name=None)) == models
        assert predictions["group"].nunique() == DESIGN.heads
        # every head is tested by one fold only, by each model of it
        assert len(predictions.drop_duplicates(["group", "fold"])) == DESIGN.heads


def test_coverage_counts_the_truths_that_lie_in_the_interval(work, capsys):
    judged = calibration.judge_all(work, studies=2, settings=SETTINGS)
    assert list(judged["kind"]) == ["no gain", "no gain", "gain", "gain"]
    of = judged[judged["kind"] == "no gain"].copy()
    of[f"low to {REFERENCE_ARM}"], of[f"high to {REFERENCE_ARM}"] = [-0.1, 0.05], [0.1, 0.2]
    of[f"models to {REFERENCE_ARM}"] = [0.15, 0.1]
    lines = dict(calibration.summary("no gain", of))
    assert lines[f"interval to {REFERENCE_ARM} holds the method's truth"].startswith("50.0%")  # 0 in the first
    assert lines[f"interval to {REFERENCE_ARM} holds the models' truth"].startswith("50.0%")  # 0.1 in the second
    calibration.print_table(judged)
    assert "| studies | 2 | 2 |" in capsys.readouterr().out
