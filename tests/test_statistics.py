import numpy as np
import pandas as pd
import pytest

from data_contracts.manifest import NO_TUMOUR, TUMOUR
from data_contracts.results import Estimate
from data_contracts.violations import ContractError
from pipeline.evidence import statistics as st
from pipeline.evidence.statistics import bootstrap, count, resample, verdict


def table(arm, probabilities, tumour, group, *, seed=0, fold=0):
    n = len(probabilities)
    return pd.DataFrame(
        {
            "fold": fold,
            "arm": arm,
            "seed": seed,
            "slice_id": [f"file-{i:04d}" for i in range(n)],
            "group": [f"group-{g:03d}" for g in group],
            "diagnosis": np.where(tumour, TUMOUR, NO_TUMOUR),
            "probability": probabilities,
        }
    )


def study(rng, *, groups=30, slices=6, gain=0.0, seeds=2, arms=("a", "b"), mixed=True, folds=1):
    """Arms whose slices of one head succeed and fail together; each arm but the first is better by `gain`."""
    group = np.repeat(np.arange(groups), slices)
    tumour = rng.random(len(group)) < 0.5 if mixed else (group % 2).astype(bool)
    if mixed:
        tumour[[0, -1]] = [False, True]  # both diagnoses, whatever is drawn
    hard = rng.normal(0, 0.8, groups)[group]
    tables = []
    for arm in arms:
        luck = rng.normal(0, 0.7, groups)[group] + (gain if arm != arms[0] else 0)
        for seed in range(seeds):
            margin = 1 + hard + luck + rng.normal(0, 1, len(group))
            p = 1 / (1 + np.exp(-np.where(tumour, margin, -margin)))
            tables.append(table(arm, p, tumour, group, seed=seed, fold=(group // 2) % folds))
    return pd.concat(tables, ignore_index=True)


def drawn(predictions, seed=0, draws=500):
    return bootstrap(predictions=predictions, draws=draws, rng=np.random.default_rng(seed))


def test_resamples_keep_each_stratum_and_have_the_variance_of_a_mean():
    predictions = study(np.random.default_rng(3), groups=9, slices=2, mixed=False, arms=("a",))
    counted = count(predictions)
    weights = resample(study=counted, draws=40_000, rng=np.random.default_rng(0))
    for members in st.strata(counted):
        np.testing.assert_allclose(weights[:, members].sum(1), len(members))
        values = np.random.default_rng(1).normal(size=len(members))
        means = weights[:, members] @ values / len(members)
        assert means.mean() == pytest.approx(values.mean(), abs=0.01)
        assert means.var() == pytest.approx(values.var(ddof=1) / len(members), rel=0.05)


def test_a_pairing_narrows_the_difference():
    found = drawn(study(np.random.default_rng(4), groups=60), draws=2000)
    difference, _ = found.difference("b", "a", "balanced_accuracy")
    widths = [
        found.estimate(arm, "balanced_accuracy").high - found.estimate(arm, "balanced_accuracy").low for arm in "ab"
    ]
    assert difference.high - difference.low < 0.85 * np.hypot(*widths)


def test_an_arm_differs_from_itself_by_nothing_but_not_for_certain():
    predictions = study(np.random.default_rng(5), groups=20, arms=("a",))
    found = drawn(pd.concat([predictions, predictions.assign(arm="b")]))
    difference, detectable = found.difference("b", "a", "balanced_accuracy")
    assert difference.estimate == 0
    assert difference.high == -difference.low == pytest.approx(1.96 / 22, abs=1e-3)
    assert detectable == pytest.approx(2.8 / 22, abs=1e-3)


def test_a_perfect_arm_is_not_perfect_for_certain():
    tumour = np.arange(12) % 2 == 0
    found = drawn(table("a", tumour.astype(float), tumour, np.arange(12))).estimate("a", "accuracy")
    assert (found.estimate, found.high) == (1.0, 1.0)
    assert 0.8 < found.low < 0.9


def test_false_gains_are_as_rare_as_the_level_says_though_slices_of_a_head_move_together():
    n = 300
    above, naive = 0, 0
    for i in range(n):
        rng = np.random.default_rng([7, i])
        predictions = study(rng, groups=24, slices=8)
        difference, _ = drawn(predictions, seed=i, draws=300).difference("b", "a", "balanced_accuracy")
        above += difference.low > 0
        by_slice = predictions.assign(group="group-" + predictions["slice_id"])  # what must not be done
        difference, _ = drawn(by_slice, seed=i, draws=300).difference("b", "a", "balanced_accuracy")
        naive += difference.low > 0
    assert above / n < 0.025 + 3 * np.sqrt(0.025 * 0.975 / n)
    assert naive > 2 * above


def test_a_known_large_gain_is_found_and_lies_in_its_interval():
    found = drawn(study(np.random.default_rng(8), groups=60, gain=1.0))
    difference, detectable = found.difference("b", "a", "balanced_accuracy")
    assert 0 < difference.low < difference.estimate < difference.high
    assert detectable < difference.estimate


def test_detectable_effect_is_2_8_standard_errors():
    found = drawn(study(np.random.default_rng(9), groups=80), draws=4000)
    difference, detectable = found.difference("b", "a", "balanced_accuracy")
    assert detectable == pytest.approx(2.8 * (difference.high - difference.low) / (2 * 1.96), rel=0.1)


def test_same_seed_same_numbers_and_order_of_rows_does_not_matter():
    predictions = study(np.random.default_rng(10))
    shuffled = predictions.sample(frac=1, random_state=1)
    metrics = st.METRICS
    one = [drawn(predictions, seed=1).estimate("b", metric) for metric in metrics]
    assert one == [drawn(predictions, seed=1).estimate("b", metric) for metric in metrics]
    assert one != [drawn(predictions, seed=2).estimate("b", metric) for metric in metrics]
    for mine, other in zip(one, [drawn(shuffled, seed=1).estimate("b", m) for m in metrics], strict=True):
        assert other.low == pytest.approx(mine.low, abs=1e-12)


def test_a_diagnosis_held_by_one_group_gives_finite_figures_and_no_verdict():
    group = np.r_[np.zeros(5), np.repeat(np.arange(1, 11), 5)].astype(int)
    rng = np.random.default_rng(11)
    found = drawn(table("a", rng.random(len(group)), group == 0, group))
    for metric in st.METRICS:
        estimate = found.estimate("a", metric)
        assert np.isfinite([estimate.low, estimate.high]).all()
        assert 0 <= estimate.low <= estimate.estimate <= estimate.high <= 1
    assert not found.enough_groups()


def test_two_slices_in_two_groups_do_not_divide_by_zero():
    found = drawn(table("a", [0.9, 0.1], np.array([True, False]), [0, 1]))
    assert found.estimate("a", "auc").estimate == 1.0


def test_enough_groups_counts_each_diagnosis():
    assert drawn(study(np.random.default_rng(12), groups=10, mixed=False)).enough_groups()
    assert not drawn(study(np.random.default_rng(12), groups=8, mixed=False)).enough_groups()


@pytest.mark.parametrize(
    ("break_it", "rule"),
    [
        (lambda p: p.iloc[1:], "complete"),
        (lambda p: p[(p["arm"] != "b") | (p["seed"] == 0)], "complete"),
        (lambda p: pd.concat([p, p.iloc[:1]]), "unique"),
        (lambda p: p.assign(probability=p["probability"] + 1), "range"),
        (lambda p: p.assign(probability=np.nan), "range"),
        (lambda p: p.assign(diagnosis=TUMOUR), "diagnosis missing"),
        (lambda p: p.iloc[:0], "empty"),
    ],
)
def test_broken_predictions_are_refused(break_it, rule):
    with pytest.raises(ContractError, match=rule):
        count(break_it(study(np.random.default_rng(13))))


def says(low, high, *, duplicates=(0.01, 0.2), n_groups=1000, enough=True):
    return verdict(
        to_reference=Estimate(estimate=(low + high) / 2, low=low, high=high),
        to_duplicates=Estimate(estimate=sum(duplicates) / 2, low=duplicates[0], high=duplicates[1]),
        margin=0.01,
        n_groups=n_groups,
        enough_groups=enough,
    )


def test_verdicts():
    assert says(0.001, 0.1) == "gain"
    assert says(0.001, 0.1, duplicates=(-0.01, 0.1)) == "insufficient_evidence"
    assert says(-0.1, -0.001) == "harm"
    assert says(-0.009, 0.008) == "equivalent"
    assert says(-0.009, 0.011) == "insufficient_evidence"
    assert says(-0.2, 0.3) == "insufficient_evidence"
    assert says(-0.001, 0.001, n_groups=50) == "insufficient_evidence"
    assert says(0.001, 0.1, enough=False) == says(-0.1, -0.01, enough=False) == "insufficient_evidence"
