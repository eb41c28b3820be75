"""ROC and calibration curves, confidence and confusion counts of an arm, held against scikit-learn."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.calibration import calibration_curve
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, roc_curve

from data_contracts.manifest import NO_TUMOUR, TUMOUR
from data_contracts.results import ARMS, PASTED_ARM, PRIMARY_ARM, REFERENCE_ARM
from pipeline.evidence.comparison import compare
from pipeline.evidence.detail import DETAILED, arm_details, calibration, confusion, roc
from pipeline.evidence.measures import ROC_RATES, roc_rates
from pipeline.evidence.statistics import Setting, bootstrap
from pipeline.evidence.utility import UtilityConfig


def rows(probability, tumour, *, arm=REFERENCE_ARM, fold=0, seed=0, group=None, prefix="file"):
    n = len(probability)
    group = np.arange(n) if group is None else group
    return pd.DataFrame(
        {
            "fold": fold,
            "arm": arm,
            "seed": seed,
            "slice_id": [f"{prefix}-{fold}-{i:04d}" for i in range(n)],
            "group": [f"group-{fold}-{g:03d}" for g in group],
            "diagnosis": np.where(tumour, TUMOUR, NO_TUMOUR),
            "probability": probability,
        }
    )


def study(arms=(REFERENCE_ARM,), *, folds=2, seeds=2, groups=14, slices=3, sharper=1.0):
    """Two tumour slices for each without; models of different folds and seeds stand on different scales."""
    rng = np.random.default_rng(8)
    tables = []
    for fold in range(folds):
        group = np.repeat(np.arange(groups), slices)
        tumour = group % 3 > 0
        for arm in arms:
            for seed in range(seeds):
                logit = rng.normal(np.where(tumour, 0.8, -0.8) + 1.5 * fold - 0.6 * seed, 1.2)
                p = 1 / (1 + np.exp(-sharper * logit))
                tables.append(rows(p, tumour, arm=arm, fold=fold, seed=seed, group=group))
    return pd.concat(tables, ignore_index=True)


def drawn(predictions, *, at_specificity=0.9, draws=200):
    setting = Setting(at_specificity=at_specificity)
    return bootstrap(predictions=predictions, draws=draws, rng=np.random.default_rng(0), setting=setting)


def models(predictions):
    """Truth and probability of each fold and seed."""
    for _, of_model in predictions.groupby(["fold", "seed"]):
        yield (of_model["diagnosis"] == TUMOUR).to_numpy(), of_model["probability"].to_numpy()


def test_the_roc_curve_is_the_mean_of_the_models_own_curves():
    predictions = study(groups=60)
    of_models = []
    for truth, p in models(predictions):
        false, true, _ = roc_curve(truth, p, drop_intermediate=False)
        of_models.append(np.interp(ROC_RATES, false, true))
    points = roc(drawn(predictions), REFERENCE_ARM)
    np.testing.assert_allclose([point.false_alarms for point in points], ROC_RATES)
    np.testing.assert_allclose([point.sensitivity for point in points], np.mean(of_models, 0))
    one_scale = np.interp(ROC_RATES, *roc_curve(predictions["diagnosis"] == TUMOUR, predictions["probability"])[:2])
    assert (np.mean(of_models, 0) - one_scale)[5] > 0.05  # what pooling probabilities would cost


def test_a_curve_meets_the_table_at_its_specificity_and_rises_within_a_band_that_rises():
    found = drawn(study(), at_specificity=0.83)
    points = roc(found, REFERENCE_ARM)
    at = next(p for p in points if p.false_alarms == pytest.approx(0.17))
    assert at.sensitivity == found.estimate(REFERENCE_ARM, "sensitivity_at_specificity").estimate
    assert all(0 <= p.low <= p.sensitivity <= p.high <= 1 for p in points)
    for name in ("low", "sensitivity", "high"):
        assert (np.diff([getattr(point, name) for point in points]) >= -1e-12).all()


def test_the_band_leaves_out_what_it_should_as_often_as_it_says():
    """Single slices of one model, so that a share of tumour slices at a known threshold is a binomial share."""
    rng, inside = np.random.default_rng(3), 0
    truth = 1 - stats.norm.cdf(stats.norm.ppf(0.8), loc=1.2)
    for _ in range(100):
        tumour = np.arange(160) < 80
        p = stats.norm.cdf(rng.normal(np.where(tumour, 1.2, 0.0)))
        points = roc(drawn(rows(p, tumour)), REFERENCE_ARM)
        at = next(point for point in points if point.false_alarms == pytest.approx(0.2))
        inside += at.low <= truth <= at.high
    assert 88 <= inside <= 99


def test_a_rate_is_read_once_and_all_rise():
    for specificity in (0.9, 0.1 + 0.8, 0.83):
        rates = roc_rates(Setting(at_specificity=specificity))
        assert list(rates) == sorted(rates)
        assert np.diff(rates).min() > 0.005
        assert len(rates) == len(ROC_RATES) + (specificity == 0.83)


def test_calibration_bins_are_those_of_scikit_learn_with_as_many_slices_of_each_diagnosis():
    predictions = study(folds=1, seeds=1, groups=300)
    found = calibration(predictions)
    truth, p = next(models(predictions))
    even = np.repeat(np.arange(len(p)), np.where(truth, 1, 2))  # two tumour slices for each without
    share, mean = calibration_curve(truth[even], p[even], n_bins=10)
    np.testing.assert_allclose([one.tumour for one in found], share)
    np.testing.assert_allclose([one.probability for one in found], mean)
    np.testing.assert_allclose([one.n_slices for one in found], np.histogram(p, bins=10, range=(0, 1))[0])


def test_bins_hold_each_slice_once_and_leave_out_what_no_model_said():
    first, second = study(), study().assign(fold=lambda rows: rows["fold"] + 2)  # folds drawn anew: tested once more
    found = calibration(pd.concat([first, second], ignore_index=True))
    assert sum(one.n_slices for one in found) == pytest.approx(first["slice_id"].nunique())
    assert all(0 < one.n_subjects <= first["group"].nunique() for one in found)
    sure = calibration(rows(np.array([0.05, 0.05, 1.0, 1.0]), np.array([0, 0, 1, 1], bool), group=[0, 0, 1, 1]))
    assert [(one.probability, one.tumour, one.n_slices, one.n_subjects) for one in sure] == [
        (pytest.approx(0.05), 0, 2, 1),
        (1, 1, 2, 1),
    ]


def test_confusion_counts_are_those_of_scikit_learn_averaged_over_seeds():
    predictions = study(seeds=3)
    truth = predictions["diagnosis"] == TUMOUR
    (cleared, false_alarms), (missed, found) = confusion_matrix(truth, predictions["probability"] >= 0.5) / 3
    got = confusion(predictions)
    assert got.model_dump() == pytest.approx(
        {
            "found": found,
            "missed": missed,
            "cleared": cleared,
            "false_alarms": false_alarms,
            "n_tumour_subjects": 18,  # of 14 in each of two folds, every third has no tumour
            "n_no_tumour_subjects": 10,
        }
    )
    again = pd.concat([predictions, predictions.assign(fold=predictions["fold"] + 2)])
    assert confusion(again).model_dump() == pytest.approx(got.model_dump())
    edge = confusion(rows(np.array([0.5, 0.5]), np.array([True, False])))
    assert (edge.found, edge.missed, edge.cleared, edge.false_alarms) == (1, 0, 0, 1)  # just 0.5 is called tumour


def test_confidence_is_held_against_what_is_right_both_diagnoses_alike():
    predictions = study(seeds=1)
    (detail,) = arm_details(drawn(predictions), predictions)
    truth, p = predictions["diagnosis"] == TUMOUR, predictions["probability"]
    sure = np.maximum(p, 1 - p)
    confidence = (sure[truth].mean() + sure[~truth].mean()) / 2
    assert detail.confidence == pytest.approx(confidence)
    assert detail.overconfidence.estimate == pytest.approx(confidence - balanced_accuracy_score(truth, p >= 0.5))


def test_sharpened_probabilities_are_over_confident_and_flattened_ones_under_confident():
    over, under = (
        arm_details(drawn(predictions), predictions)[0].overconfidence
        for predictions in (study(groups=90, sharper=6), study(groups=90, sharper=0.2))
    )
    assert 0 < over.low < over.estimate < over.high < 0.5
    assert -0.5 < under.low < under.estimate < under.high < 0


def test_a_study_has_the_details_of_the_arms_that_decide_and_of_no_other():
    extra = {"share": 1.0, "control": "none", "ratio": 1.0, "n_subjects": 20, "n_real": 90, "n_added": 0}
    arms = (*ARMS, PASTED_ARM)
    predictions = study(arms, groups=20).assign(**extra)
    config = UtilityConfig(bootstrap=100, arms=arms, controls=False)
    found = compare(predictions, config=config, rng=np.random.default_rng(0))
    assert tuple(detail.arm for detail in found.arm_details) == DETAILED
    scores = {arm.arm: arm for arm in found.arms}
    for detail in found.arm_details:
        score, counts = scores[detail.arm], detail.confusion
        assert counts.found / (counts.found + counts.missed) == pytest.approx(score.sensitivity.estimate)
        assert counts.cleared / (counts.cleared + counts.false_alarms) == pytest.approx(score.specificity.estimate)
        assert score.sensitivity_at_specificity.estimate in [point.sensitivity for point in detail.roc]
        right = detail.confidence - detail.overconfidence.estimate
        assert right == pytest.approx(score.balanced_accuracy.estimate)
    assert PRIMARY_ARM in scores
