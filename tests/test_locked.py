import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score
from statsmodels.stats.contingency_tables import mcnemar

from data_contracts.manifest import NO_TUMOUR, TUMOUR
from pipeline.evidence.locked import delong, delong_p, locked_tests, mcnemar_mid_p


def answers(gained, lost, both=10):
    right = np.r_[np.ones(gained), np.zeros(lost), np.ones(both)].astype(bool)
    return {"right": right, "reference_right": np.r_[np.zeros(gained), np.ones(lost), np.ones(both)].astype(bool)}


def test_mcnemar_is_the_exact_test_less_the_probability_of_what_was_seen():
    for gained, lost in [(1, 7), (7, 1), (0, 5), (12, 30), (150, 130)]:
        exact = mcnemar(np.array([[10, lost], [gained, 0]]), exact=True).pvalue
        want = exact - stats.binom.pmf(gained, gained + lost, 0.5)
        assert mcnemar_mid_p(**answers(gained, lost)) == pytest.approx(want, abs=1e-9)


def test_mcnemar_of_the_published_example():
    assert mcnemar_mid_p(**answers(1, 7)) == pytest.approx(0.0391, abs=5e-5)  # Fagerland et al. 2013, table 1


def test_mcnemar_without_a_tendency():
    assert mcnemar_mid_p(**answers(0, 0)) == 1.0
    assert mcnemar_mid_p(**answers(4, 4)) == pytest.approx(1 - stats.binom.pmf(4, 8, 0.5) / 2)


def test_mcnemar_holds_its_level_and_finds_a_difference():
    rng = np.random.default_rng(0)

    def share(gain):
        drawn = rng.random((2000, 2, 60)) < np.array([0.8 + gain, 0.8])[:, None]
        return np.mean([mcnemar_mid_p(right=a, reference_right=b) <= 0.05 for a, b in drawn])

    assert share(0.0) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 2000)
    assert share(0.18) > 0.5


def cases(rng, n=(23, 31), gain=0.0, decimals=1):
    tumour = np.arange(sum(n)) < n[0]
    shared = rng.normal(tumour.astype(float), 1)
    one, other = shared + gain * tumour + rng.normal(0, 1, sum(n)), shared + rng.normal(0, 1, sum(n))
    return tumour, np.stack([one, other]).round(decimals)


def by_pairs(tumour, probabilities):
    """DeLong et al. 1988 as it is written: placements from every pair, then covariances."""
    positive, negative = probabilities[:, tumour], probabilities[:, ~tumour]
    order = (np.sign(positive[:, :, None] - negative[:, None, :]) + 1) / 2
    return order.mean((1, 2)), np.cov(order.mean(2)) / order.shape[1] + np.cov(order.mean(1)) / order.shape[2]


@pytest.mark.parametrize("decimals", [1, 9])
def test_delong_equals_its_definition_with_and_without_ties(decimals):
    tumour, probabilities = cases(np.random.default_rng(1), decimals=decimals)
    areas, covariance = delong(tumour=tumour, probabilities=probabilities)
    want_areas, want_covariance = by_pairs(tumour, probabilities)
    np.testing.assert_allclose(areas, [roc_auc_score(tumour, p) for p in probabilities], atol=1e-12)
    np.testing.assert_allclose(areas, want_areas, atol=1e-12)
    np.testing.assert_allclose(covariance, want_covariance, atol=1e-12)
    variance = want_covariance[0, 0] + want_covariance[1, 1] - 2 * want_covariance[0, 1]
    p = delong_p(tumour=tumour, probability=probabilities[0], reference_probability=probabilities[1])
    assert p == pytest.approx(2 * stats.norm.sf(abs(np.diff(want_areas)[0]) / np.sqrt(variance)), abs=1e-9)


def test_delong_holds_its_level_and_finds_a_difference():
    def share(gain):
        drawn = [cases(np.random.default_rng([2, i]), n=(40, 40), gain=gain, decimals=6) for i in range(800)]
        return np.mean([delong_p(tumour=t, probability=p[0], reference_probability=p[1]) <= 0.05 for t, p in drawn])

    assert share(0.0) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 800)
    assert share(1.0) > 0.5


def test_delong_of_the_same_ranks_and_of_too_few():
    tumour, probabilities = cases(np.random.default_rng(3))
    assert delong_p(tumour=tumour, probability=probabilities[0], reference_probability=2 * probabilities[0]) == 1.0
    few = np.array([True, False, False])
    assert delong_p(tumour=few, probability=np.ones(3), reference_probability=np.ones(3)) is None
    with pytest.raises(ValueError, match="two cases"):
        delong(tumour=few, probabilities=np.ones((2, 3)))


def locked(rng, *, slices=1, seeds=2):
    group = np.repeat(np.arange(40), slices)
    tumour = group % 2 == 0
    one = {
        "fold": 0,
        "slice_id": [f"file-{i}" for i in range(len(group))],
        "group": [f"g-{g}" for g in group],
        "diagnosis": np.where(tumour, TUMOUR, NO_TUMOUR),
    }
    return pd.concat(
        pd.DataFrame(one).assign(arm=arm, seed=seed, probability=rng.beta(2 + 2 * tumour, 4 - 2 * tumour))
        for arm in "ab"
        for seed in range(seeds)
    ).reset_index(drop=True)


def test_a_locked_set_is_asked_by_the_mean_answer_of_its_models():
    predictions = locked(np.random.default_rng(4))
    mean = predictions.groupby(["arm", "slice_id"])["probability"].mean()
    tumour = predictions.drop_duplicates("slice_id").set_index("slice_id")["diagnosis"].sort_index() == TUMOUR
    a, b = mean["a"].loc[tumour.index].to_numpy(), mean["b"].loc[tumour.index].to_numpy()
    truth = tumour.to_numpy()
    assert locked_tests(predictions=predictions, arm="a", reference="b") == (
        mcnemar_mid_p(right=(a >= 0.5) == truth, reference_right=(b >= 0.5) == truth),
        delong_p(tumour=truth, probability=a, reference_probability=b),
    )


def test_slices_of_one_head_are_not_independent_cases():
    predictions = locked(np.random.default_rng(5), slices=2)
    assert locked_tests(predictions=predictions, arm="a", reference="b") == (None, None)
