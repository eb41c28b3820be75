from itertools import product
from typing import get_args

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.integrate import quad
from statsmodels.stats.multitest import multipletests

from data_contracts.manifest import NO_TUMOUR, TUMOUR
from data_contracts.results import SecondaryMetric
from data_contracts.violations import ContractError
from pipeline.evidence.inference import (
    EXACT,
    difference_by_model,
    further_tests,
    holm,
    parts_by_group,
    resampled_t,
    sign_flip_p,
)
from pipeline.evidence.statistics import Setting, bootstrap


def study(rng, *, groups=30, slices=5, gain=0.0, seeds=2, folds=3):
    """Two arms, b better by `gain` on the scale of a standard normal; slices of one head move together."""
    group = np.repeat(np.arange(groups), slices)
    tumour = rng.random(len(group)) < 0.5
    tumour[::slices], tumour[1::slices] = True, False
    hard = rng.normal(0, 0.8, groups)[group]
    tables = []
    for arm, seed in product("ab", range(seeds)):
        margin = 0.8 + hard + gain * (arm == "b") + rng.normal(0, 1, len(group))
        one = {
            "fold": group % folds,
            "arm": arm,
            "seed": seed,
            "slice_id": [f"file-{i:04d}" for i in range(len(group))],
            "group": [f"group-{g:03d}" for g in group],
            "diagnosis": np.where(tumour, TUMOUR, NO_TUMOUR),
            "probability": 1 / (1 + np.exp(-np.where(tumour, margin, -margin))),
        }
        tables.append(pd.DataFrame(one))
    return pd.concat(tables, ignore_index=True)


def drawn(predictions, draws=400):
    return bootstrap(predictions=predictions, draws=draws, rng=np.random.default_rng(0))


def ask(predictions, *, test_share=1 / 3, seed=0, **setting):
    rng = np.random.default_rng(seed)
    found = bootstrap(predictions=predictions, draws=400, rng=rng, setting=Setting(**setting))
    return further_tests(found, arm="b", reference="a", margin=0.01, rng=rng, test_share=test_share, flips=2000)


def test_parts_of_groups_add_up_to_the_difference():
    found = drawn(study(np.random.default_rng(1), gain=0.4))
    parts = parts_by_group(found.study, arm="b", reference="a")
    assert parts.shape == (30,)
    assert parts.sum() == pytest.approx(found.difference("b", "a", "balanced_accuracy")[0].estimate)


def test_exact_flips_are_those_of_scipy():
    parts = np.random.default_rng(2).normal(0.3, 1, 11)
    want = stats.permutation_test((parts,), np.sum, permutation_type="samples", n_resamples=np.inf).pvalue
    assert sign_flip_p(parts, flips=10, rng=np.random.default_rng(0)) == pytest.approx(want, abs=1e-12)


def test_groups_without_a_part_change_nothing_and_all_of_one_sign_is_the_rarest():
    parts = np.r_[np.full(8, 0.1), np.zeros(300)]
    assert sign_flip_p(parts, flips=10, rng=np.random.default_rng(0)) == 2 / 2**8
    assert sign_flip_p(np.zeros(5), flips=10, rng=np.random.default_rng(0)) == 1.0


def test_random_flips_agree_with_exact_ones_and_are_never_0():
    parts = np.random.default_rng(3).normal(0.4, 1, EXACT + 2)
    every = np.array(list(product([-1, 1], repeat=len(parts))))
    exact = (np.abs(every @ parts) >= abs(parts.sum()) - 1e-12).mean()
    assert sign_flip_p(parts, flips=20_000, rng=np.random.default_rng(0)) == pytest.approx(exact, abs=0.01)
    assert sign_flip_p(np.full(60, 1.0), flips=999, rng=np.random.default_rng(0)) == 1 / 1000


def test_flips_hold_their_level_and_find_a_difference():
    def share(place):
        rng = np.random.default_rng(4)
        return np.mean([sign_flip_p(rng.normal(place, 1, 20), flips=199, rng=rng) <= 0.05 for _ in range(800)])

    assert share(0.0) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 800)
    assert share(1.0) > 0.9


def test_resampled_t_is_a_paired_t_widened_by_the_share_tested():
    differences = np.random.default_rng(5).normal(0.02, 0.03, 10)
    found = resampled_t(differences, test_share=0.2)
    paired = stats.ttest_1samp(differences, 0)
    t = paired.statistic * np.sqrt((1 / 10) / (1 / 10 + 0.25))  # n_test / n_train of five folds is 1/4
    assert found.p() == pytest.approx(2 * stats.t.sf(abs(t), 9), abs=1e-9)
    assert found.p() > paired.pvalue


def test_belief_is_the_posterior_of_the_correlated_normal():
    """By integration over the variance: a normal likelihood of equally correlated differences, 1/variance prior."""
    differences, rho, margin = np.array([0.03, 0.01, 0.05, -0.01, 0.02]), 0.2, 0.01
    n = len(differences)
    covariance = (1 - rho) * np.eye(n) + rho
    inverse = np.linalg.inv(covariance)
    precision = inverse.sum()
    mean = inverse.sum(0) @ differences / precision
    rest = (differences - mean) @ inverse @ (differences - mean)

    def variance_density(v):
        return v ** (-(n - 1) / 2 - 1) * np.exp(-rest / (2 * v))

    whole = quad(variance_density, 0, 1, points=[rest / 10, rest, 10 * rest], limit=500)[0]
    below = quad(
        lambda v: variance_density(v) * stats.norm.cdf((-margin - mean) * np.sqrt(precision / v)),
        0, 1, points=[rest / 10, rest, 10 * rest], limit=500,
    )[0]  # fmt: skip
    found = resampled_t(differences, test_share=rho).belief(margin)
    assert found.worse == pytest.approx(below / whole, abs=1e-6)
    assert found.worse + found.equivalent + found.better == pytest.approx(1)


def test_beliefs_follow_the_differences():
    rng = np.random.default_rng(6)
    better, worse, alike = (resampled_t(rng.normal(place, s, 15), test_share=0.2).belief(0.01)
                            for place, s in [(0.1, 0.02), (-0.1, 0.02), (0.0, 0.002)])  # fmt: skip
    assert better.better > 0.95
    assert worse.worse > 0.95
    assert alike.equivalent > 0.95
    nothing = resampled_t(np.zeros(6), test_share=0.2)
    assert nothing.p() == nothing.belief(0.01).equivalent == 1.0


@pytest.mark.parametrize(("differences", "share"), [(np.zeros(1), 0.2), (np.zeros(5), 1.0), (np.zeros(5), 0.0)])
def test_a_resampled_t_without_a_variance_or_a_training_part_is_refused(differences, share):
    with pytest.raises(ValueError, match="share of test groups"):
        resampled_t(differences, test_share=share)


def test_holm_is_that_of_statsmodels():
    for seed in range(5):
        p = np.random.default_rng(seed).beta(0.3, 1, 6)
        p[1] = p[4]
        assert holm(p) == pytest.approx(multipletests(p, method="holm")[1], abs=1e-12)


def test_statistics_hold_every_test():
    predictions = study(np.random.default_rng(7), gain=0.9)
    found = ask(predictions, at_specificity=0.8, prevalence=0.3)
    same = drawn(predictions)
    assert (found.at_specificity, found.prevalence) == (0.8, 0.3)
    assert [one.metric for one in found.secondaries] == list(get_args(SecondaryMetric))
    assert found.sign_flip_p < 0.01
    assert found.nadeau_bengio_p < 0.1
    assert found.belief.better > 0.9
    assert next(one for one in found.secondaries if one.metric == "brier").difference.high < 0  # less is better
    for one in found.secondaries:
        assert one.p <= one.p_holm <= 1
        assert (one.p < 0.05) == (one.difference.low > 0 or one.difference.high < 0)
    assert [one.p_holm for one in found.secondaries] == holm([one.p for one in found.secondaries])
    by_model = difference_by_model(same, arm="b", reference="a")
    assert by_model.shape == (3, 2)
    assert found.nadeau_bengio_p == resampled_t(by_model.ravel(), test_share=1 / 3).p()


def test_a_difference_by_model_is_that_of_its_own_test_slices():
    predictions = study(np.random.default_rng(8), gain=0.5)
    one = predictions[(predictions["fold"] == 1) & (predictions["seed"] == 1)]
    want = drawn(one).difference("b", "a", "balanced_accuracy")[0].estimate
    assert difference_by_model(drawn(predictions), arm="b", reference="a")[1, 1] == pytest.approx(want)


def test_swapping_the_arms_turns_every_answer_round():
    predictions = study(np.random.default_rng(9), gain=0.5)
    back = predictions.assign(arm=predictions["arm"].map({"a": "b", "b": "a"}))
    one, other = ask(predictions), ask(back)
    assert one.sign_flip_p == other.sign_flip_p
    assert one.nadeau_bengio_p == pytest.approx(other.nadeau_bengio_p)
    assert one.belief.better == pytest.approx(other.belief.worse)
    assert [s.p for s in one.secondaries] == pytest.approx([s.p for s in other.secondaries])


def test_one_fold_knows_no_resampled_t():
    found = ask(study(np.random.default_rng(10), folds=1))
    assert found.nadeau_bengio_p is None
    assert found.belief is None


def test_a_smaller_share_of_groups_tested_means_less_overlap_of_training_parts():
    predictions = study(np.random.default_rng(11), folds=2, gain=0.5)
    assert ask(predictions, test_share=0.2).nadeau_bengio_p < ask(predictions, test_share=0.5).nadeau_bengio_p
    with pytest.raises(ValueError, match="share of test groups"):
        ask(predictions, test_share=1.0)


def test_arms_that_are_the_same_differ_in_nothing():
    predictions = study(np.random.default_rng(12))
    one = predictions[predictions["arm"] == "a"]
    found = ask(pd.concat([one, one.assign(arm="b")]))
    assert found.sign_flip_p == found.nadeau_bengio_p == found.belief.equivalent == 1.0
    assert {s.p_holm for s in found.secondaries} == {1.0}


def test_same_seed_same_numbers():
    predictions = study(np.random.default_rng(13))
    assert ask(predictions) == ask(predictions.sample(frac=1, random_state=1))
    assert ask(predictions).sign_flip_p != ask(predictions, seed=1).sign_flip_p


def test_broken_predictions_are_refused():
    with pytest.raises(ContractError, match="complete"):
        ask(study(np.random.default_rng(14)).iloc[1:])


def test_a_setting_reaches_the_measures():
    predictions = study(np.random.default_rng(15))
    rng = np.random.default_rng
    ppv = [
        bootstrap(predictions=predictions, draws=100, rng=rng(0), setting=Setting(prevalence=p)).estimate("a", "ppv")
        for p in (0.01, 0.5)
    ]
    assert ppv[0].high < ppv[1].low
