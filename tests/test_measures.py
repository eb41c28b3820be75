import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import balanced_accuracy_score, brier_score_loss, confusion_matrix, roc_auc_score, roc_curve

from data_contracts.manifest import NO_TUMOUR, TUMOUR
from pipeline.evidence.measures import KIND, METRICS, Setting, count, measure, sums, tumour_share

SETTING = Setting(at_specificity=0.8, prevalence=0.2)


def rows(probability, tumour, *, fold=0, seed=0, group=None):
    n = len(probability)
    group = np.arange(n) if group is None else group
    return pd.DataFrame(
        {
            "fold": fold,
            "arm": "a",
            "seed": seed,
            "slice_id": [f"file-{fold}-{i:04d}" for i in range(n)],
            "group": [f"group-{fold}-{g:03d}" for g in group],
            "diagnosis": np.where(tumour, TUMOUR, NO_TUMOUR),
            "probability": probability,
        }
    )


def study(rng, *, folds=2, seeds=3, groups=9, slices=4, decimals=1):
    """Rounded, so that there are ties; groups of both diagnoses and of one."""
    tables = []
    for fold in range(folds):
        group = np.repeat(np.arange(groups), slices)
        tumour = np.where(group < 3, group == 0, rng.random(len(group)) < 0.4)
        for seed in range(seeds):
            p = 1 / (1 + np.exp(-rng.normal(np.where(tumour, 1.0, -1.0), 1.5)))
            tables.append(rows(p.round(decimals), tumour, fold=fold, seed=seed, group=group))
    return pd.concat(tables, ignore_index=True)


def found(predictions, weights=None, setting=SETTING):
    counted = count(predictions)
    weights = np.ones((1, len(counted.groups))) if weights is None else weights
    share = tumour_share(counted, weights)
    got = {}
    for metric in METRICS:
        kind = sums(KIND.get(metric, "right"), study=counted, arm="a", weights=weights, setting=setting)
        got[metric] = measure(metric, kind.quotient(), share=share, setting=setting)
    return got


def of_model(truth, p, weight):
    """One model by scikit-learn: (value, how much it counts) of each measure that is read model by model."""
    false, true, _ = roc_curve(truth, p, sample_weight=weight, drop_intermediate=False)
    last = np.flatnonzero(false <= 1 - SETTING.at_specificity + 1e-12)[-1]
    at = true[last]
    if last + 1 < len(false):
        run = false[last + 1] - false[last]
        at += (1 - SETTING.at_specificity - false[last]) / run * (true[last + 1] - true[last])
    even = weight / np.where(truth, weight[truth].sum(), weight[~truth].sum()) / 2
    inside = np.minimum((p * 10).astype(int), 9)
    error = sum(abs((even * (p - truth))[inside == b].sum()) for b in range(10))
    pairs = weight[truth].sum() * weight[~truth].sum()
    return {
        "auc": (roc_auc_score(truth, p, sample_weight=weight), pairs),
        "sensitivity_at_specificity": (at, weight[truth].sum()),
        "calibration_error": (error, weight.sum()),
    }


def expected(predictions):
    """All measures by scikit-learn; `weight` is a column of the predictions."""
    want = {}
    for seed, of_seed in predictions.groupby("seed"):
        truth, p = (of_seed["diagnosis"] == TUMOUR).to_numpy(), of_seed["probability"].to_numpy()
        weight = of_seed["weight"].to_numpy(float)
        (tn, fp), (fn, tp) = confusion_matrix(truth, p >= 0.5, sample_weight=weight)
        even = weight / np.where(truth, weight[truth].sum(), weight[~truth].sum())
        one = {
            "balanced_accuracy": balanced_accuracy_score(truth, p >= 0.5, sample_weight=weight),
            "accuracy": (tp + tn) / weight.sum(),
            "sensitivity": tp / (tp + fn),
            "specificity": tn / (tn + fp),
            "brier": brier_score_loss(truth, p, sample_weight=even),
        }
        models = [
            of_model((m["diagnosis"] == TUMOUR).to_numpy(), m["probability"].to_numpy(), m["weight"].to_numpy(float))
            for _, m in of_seed.groupby("fold")
        ]
        for metric in models[0]:
            values, sizes = zip(*(model[metric] for model in models), strict=True)
            one[metric] = np.average(values, weights=sizes)
        want[seed] = one
    mean = {metric: np.mean([one[metric] for one in want.values()]) for metric in want[0]}
    odds = SETTING.prevalence / (1 - SETTING.prevalence)
    sensitivity, specificity = mean["sensitivity"], mean["specificity"]
    mean["ppv"] = 1 / (1 + (1 - specificity) / (sensitivity * odds))
    mean["npv"] = 1 / (1 + (1 - sensitivity) / specificity * odds)
    return mean


def test_known_answer():
    tumour = np.array([True, True, True, False, False])
    got = found(rows([0.9, 0.5, 0.2, 0.1, 0.7], tumour))
    want = {
        "sensitivity": 2 / 3,  # a probability of exactly 0.5 is called tumour
        "specificity": 1 / 2,
        "balanced_accuracy": 7 / 12,
        "accuracy": 3 / 5,
        "auc": 4 / 6,  # 0.9 beats both, 0.5 and 0.2 beat 0.1
        "sensitivity_at_specificity": 1 / 3,  # only 0.9 lies above both of the others; 0.7 alone finds no more
        "ppv": 0.2 * 2 / 3 / (0.2 * 2 / 3 + 0.8 / 2),
        "npv": 0.8 / 2 / (0.8 / 2 + 0.2 / 3),
        "brier": (0.01 + 0.25 + 0.64) / 6 + (0.01 + 0.49) / 4,
        "calibration_error": (0.1 + 0.5 + 0.8) / 6 + (0.1 + 0.7) / 4,  # a bin each
    }
    assert set(got) == set(METRICS) == set(want)
    for metric, value in want.items():
        assert got[metric][0] == pytest.approx(value), metric


@pytest.mark.parametrize("decimals", [1, 6])
def test_points_equal_scikit_learn_averaged_over_models(decimals):
    predictions = study(np.random.default_rng(1), decimals=decimals).assign(weight=1.0)
    got = found(predictions)
    for metric, value in expected(predictions).items():
        assert got[metric][0] == pytest.approx(value, abs=1e-9), metric


def test_weights_mean_repeated_slices():
    predictions = study(np.random.default_rng(2))
    weights = np.random.default_rng(3).integers(0, 3, size=(20, 18)).astype(float)
    weights[:, [0, 1, 9, 10]] = 1  # every fold keeps both diagnoses
    got = found(predictions, weights)
    names = sorted(set(predictions["group"]))
    for row in range(20):
        weighted = predictions.assign(weight=predictions["group"].map(dict(zip(names, weights[row], strict=True))))
        for metric, value in expected(weighted[weighted["weight"] > 0]).items():
            assert got[metric][row] == pytest.approx(value, abs=1e-9), metric


def test_calibration_error_equals_that_of_scikit_learns_bins_where_diagnoses_are_as_many():
    rng = np.random.default_rng(4)
    p = np.concatenate([rng.beta(4, 2, 500), rng.beta(2, 4, 500)])
    tumour = np.arange(1000) < 500
    share, mean = calibration_curve(tumour, p, n_bins=10)
    sizes = np.histogram(p, bins=10, range=(0, 1))[0]
    want = np.average(np.abs(share - mean), weights=sizes[sizes > 0])
    assert found(rows(p, tumour))["calibration_error"][0] == pytest.approx(want)


def test_models_are_not_compared_with_each_other():
    """One model says 0.9 and 0.8, the other 0.2 and 0.1: each orders its own slices, at any specificity."""
    tumour = np.array([True, False])
    got = found(pd.concat([rows([0.9, 0.8], tumour), rows([0.2, 0.1], tumour, fold=1)]))
    assert got["auc"][0] == got["sensitivity_at_specificity"][0] == 1.0


def test_chance_finds_as_many_as_it_calls():
    """Slices that a model cannot tell apart: the straight line of the ROC curve."""
    tumour = np.arange(10) < 5
    for specificity in (0.5, 0.9, 0.95):
        got = found(rows(np.full(10, 0.3), tumour), setting=Setting(at_specificity=specificity))
        assert got["sensitivity_at_specificity"][0] == pytest.approx(1 - specificity)


def test_a_model_at_the_limit_of_its_specificity_is_given_all_that_lies_above_the_next():
    """Ten no-tumour slices, one may be called: every tumour slice above the second highest of them is found."""
    negative, positive = np.arange(10) / 20, np.array([0.6, 0.43, 0.41, 0.2])
    got = found(
        rows(np.r_[negative, positive], np.arange(14) >= 10), setting=Setting(at_specificity=0.9)
    )  # the highest no-tumour slices are at 0.45 and 0.40
    assert got["sensitivity_at_specificity"][0] == pytest.approx(3 / 4)


def test_directions():
    rng = np.random.default_rng(5)
    tumour = np.arange(400) < 200
    logit = rng.normal(np.where(tumour, 1, -1), 1)  # of which 2 logit is the true log odds
    p = {name: 1 / (1 + np.exp(-slope * logit)) for name, slope in (("calibrated", 2), ("bold", 12), ("shy", 0.1))}
    got = {name: found(rows(values, tumour)) for name, values in p.items()}
    for wrong in ("bold", "shy"):
        assert got["calibrated"]["brier"] < got[wrong]["brier"]
        assert got["calibrated"]["calibration_error"] < got[wrong]["calibration_error"]
        assert got["calibrated"]["auc"][0] == pytest.approx(got[wrong]["auc"][0])
    assert found(rows(np.full(400, 0.5), tumour))["brier"][0] == pytest.approx(0.25)
    rare, common = (found(rows(p["bold"], tumour), setting=Setting(prevalence=v)) for v in (0.01, 0.5))
    assert rare["ppv"] < common["ppv"]
    assert rare["npv"] > common["npv"]
    loose, strict = (found(rows(p["bold"], tumour), setting=Setting(at_specificity=v)) for v in (0.6, 0.95))
    assert strict["sensitivity_at_specificity"] < loose["sensitivity_at_specificity"]


def test_a_model_that_calls_nothing_tumour_leaves_the_prevalence():
    got = found(rows([0.1, 0.2, 0.3, 0.4], np.array([True, True, False, False])))
    assert (got["ppv"][0], got["npv"][0]) == pytest.approx((0.2, 0.8))


def test_a_resample_that_lost_a_diagnosis_of_every_fold_says_nothing_where_models_are_read_alone():
    tumour = np.array([True, False])
    two = pd.concat([rows([0.9, 0.8], tumour), rows([0.2, 0.1], tumour, fold=1)])
    got = found(two, np.array([[1.0, 0, 0, 1], [1, 1, 1, 1]]))  # a tumour of one fold, no tumour of the other
    for metric in ("auc", "sensitivity_at_specificity", "calibration_error"):
        assert np.isfinite(got[metric]).tolist() == [False, True]
    assert got["balanced_accuracy"].tolist() == [1.0, 0.5]


@pytest.mark.parametrize("wrong", [{"at_specificity": 1.0}, {"prevalence": 0.0}])
def test_a_setting_outside_its_range_is_refused(wrong):
    with pytest.raises(ValueError, match="between 0 and 1"):
        Setting(**wrong)


@pytest.mark.parametrize("kind", ["right", "ordered", "calibration"])
def test_without_a_fold_or_with_a_part_of_it_is_what_it_is_without_those_slices(kind):
    predictions = study(np.random.default_rng(6), folds=3)
    counted = count(predictions)

    def of(which, weights):
        return sums(kind, study=which, arm="a", weights=weights, setting=SETTING)

    whole, weights = np.ones((1, 27)), 1 - np.eye(27)
    got = of(counted, whole).without_each_fold()[0]
    for fold in range(3):
        others = count(predictions[predictions["fold"] != fold])
        np.testing.assert_allclose(got[fold], of(others, np.ones((1, 18))).quotient()[0])
    cells = of(counted, whole).with_each_fold_of(of(counted, weights))  # each group is tested in one fold
    for fold, where in enumerate(counted.folds):
        np.testing.assert_allclose(cells[where.groups, fold], of(counted, weights[where.groups]).quotient())
        elsewhere = np.setdiff1d(np.arange(27), where.groups)
        np.testing.assert_allclose(cells[elsewhere, fold] - of(counted, whole).quotient(), 0, atol=1e-12)
    assert of(counted, whole).fold_shares().sum() == pytest.approx(1)
