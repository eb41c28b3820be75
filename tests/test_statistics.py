from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from data_contracts.manifest import NO_TUMOUR, TUMOUR
from data_contracts.results import Estimate
from data_contracts.violations import ContractError
from pipeline.evidence import statistics as st
from pipeline.evidence.statistics import bootstrap, count, resample, verdict, wilson


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
    # six groups of each diagnosis: about what twelve right answers of twelve say
    assert found.low == pytest.approx(proportion_confint(12, 12, method="wilson")[0], abs=0.04)


def all_right(n_tumour, n_no_tumour, *, slices=3):
    """Each of these groups shows one diagnosis on `slices` slices, and all are called what they are, just alike."""
    tumour = np.repeat([True] * n_tumour + [False] * n_no_tumour, slices)
    return table("a", tumour * 0.8 + 0.1, tumour, np.repeat(np.arange(n_tumour + n_no_tumour), slices))


def test_what_no_resample_moves_has_wilsons_interval_of_the_groups_that_say_it():
    """And not of all groups, nor of slices: 9 subjects found of 9 leave more room than 2 in 31 (Agresti and Min)."""
    found = drawn(all_right(9, 20))
    of_nine, of_twenty = (proportion_confint(n, n, method="wilson")[0] for n in (9, 20))
    assert 0.03 < of_nine**9 < 0.05  # such a study would as rarely be all right, were the truth at the low end
    for metric, low in {
        "sensitivity": of_nine,
        "specificity": of_twenty,
        "auc": of_nine,
        "sensitivity_at_specificity": of_nine,
        "balanced_accuracy": 1 - np.hypot((1 - of_nine) / 2, (1 - of_twenty) / 2),
        "ppv": 0.1 / (0.1 + 0.9 * (1 - of_twenty)),
        "npv": 0.9 / (0.9 + 0.1 * (1 - of_nine)),
    }.items():
        estimate = found.estimate("a", metric)
        assert (estimate.estimate, estimate.high) == (1.0, 1.0)
        assert estimate.low == pytest.approx(low, abs=1e-12), metric
    more = drawn(all_right(9, 20, slices=30)).estimate("a", "sensitivity")
    assert more.low == pytest.approx(of_nine, abs=1e-12)


def test_an_arm_that_calls_everything_tumour_has_room_on_either_side_of_chance():
    predictions = all_right(10, 10).assign(probability=0.7)
    found = drawn(predictions).estimate("a", "balanced_accuracy")
    room = (1 - proportion_confint(10, 10, method="wilson")[0]) / 2
    assert (found.low, found.estimate, found.high) == pytest.approx((0.5 - room, 0.5, 0.5 + room))


def test_seeds_whose_errors_cancel_in_every_group_are_not_certain_either():
    """Two trainings, each wrong where the other is right: every head has one answer of two, so no resample moves."""
    tumour, group = np.repeat([True, False], 3), np.arange(6)
    first = np.array([0.9, 0.1, 0.9, 0.2, 0.2, 0.2])
    second = np.where(tumour, 1 - first, first)
    found = drawn(pd.concat([table("a", first, tumour, group), table("a", second, tumour, group, seed=1)]))
    spread = found.spread("a", "sensitivity")
    assert spread.varies()  # from seed to seed, 2 of 3 and 1 of 3
    assert found.uncertainty(spread).error == pytest.approx(1 / 8)  # of one unseen change in 6 + 2 groups
    for metric in ("sensitivity", "balanced_accuracy", "sensitivity_at_specificity", "auc", "brier"):
        estimate = found.estimate("a", metric)
        assert estimate.low < estimate.estimate - 0.05 < estimate.estimate + 0.05 < estimate.high, metric


def test_wilson_is_that_of_statsmodels_and_shorter_with_more_answers():
    for right, n in ((0, 4), (3, 4), (20, 20), (57, 60)):
        assert wilson(right / n, n) == pytest.approx(proportion_confint(right, n, method="wilson"), abs=1e-12)
    widths = [np.ptp(wilson(0.9, n)) for n in (1, 2.5, 10, 200)]
    assert widths == sorted(widths, reverse=True)
    assert np.ptp(wilson(0.9, 10, t=3.0)) > np.ptp(wilson(0.9, 10))


def test_false_gains_are_as_rare_as_the_level_says_though_slices_of_a_head_move_together():
    n = 120
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


def test_detectable_effect_follows_the_interval():
    for groups in (12, 80):
        found = drawn(study(np.random.default_rng(9), groups=groups, slices=8), draws=2000)
        spread = found.spread("b", "balanced_accuracy").minus(found.spread("a", "balanced_accuracy"))
        sure = found.uncertainty(spread)
        difference, detectable = found.difference("b", "a", "balanced_accuracy")
        t = stats.t(sure.degrees_of_freedom)
        assert difference.high - difference.estimate == pytest.approx(t.ppf(0.975) * sure.error)
        assert detectable == pytest.approx((t.ppf(0.975) + t.ppf(0.8)) * sure.error)
        assert detectable > 2.8 * sure.error


def even_study(rng, *, groups=24, folds=3, seeds=2, model=0.0, generator=0.0, hard=0.0, repeats=1):
    """A tumour and a no-tumour slice in every group, so that balanced accuracy is a mean over groups.

    model: spread of what a model adds to each group's share right, shared by all groups of its fold; generator: the
    same for all models of a fold, arm b only. hard: half the spread of groups between arms, the same in all folds.
    """
    group, tumour = np.repeat(np.arange(groups), 2), np.tile([True, False], groups)
    tables = []
    in_groups = rng.choice([-hard, hard], groups)[group]
    for repeat in range(repeats):
        fold = (rng.permutation(groups) if repeat else np.arange(groups))[group] % folds
        shared = rng.normal(0, generator, folds)[fold]
        for arm in ("a", "b"):
            for seed in range(seeds):
                chance = 0.7 + rng.normal(0, model, folds)[fold] + (arm == "b") * (shared + in_groups)
                p = np.where((rng.random(len(group)) < chance) == tumour, 0.8, 0.2)
                tables.append(table(arm, p, tumour, group, seed=seed, fold=repeat * folds + fold))
    return pd.concat(tables, ignore_index=True)


def by_group(predictions):
    """Difference in balanced accuracy, a row a fold and group and a column a seed."""
    right = ((predictions["probability"] >= 0.5) == (predictions["diagnosis"] == TUMOUR)).astype(float)
    shares = predictions.assign(right=right).pivot_table("right", ["fold", "group"], ["arm", "seed"])
    return shares["b"] - shares["a"]


def test_with_one_seed_and_even_groups_the_interval_is_that_of_a_paired_t_test():
    predictions = even_study(np.random.default_rng(20), seeds=1)
    found = drawn(predictions, draws=2000)
    parts = by_group(predictions)[0].to_numpy()
    spread = found.spread("b", "balanced_accuracy").minus(found.spread("a", "balanced_accuracy"))
    variance = st.jackknife_variance(spread.left_out, groups=st.strata(found.study))
    assert variance == pytest.approx(stats.sem(parts) ** 2, abs=1e-12)
    want = stats.ttest_1samp(parts, 0).confidence_interval(0.95)
    difference, _ = found.difference("b", "a", "balanced_accuracy")
    assert difference.low <= want.low + 1e-12  # the bootstrap's error is taken where it is larger
    assert difference.high - difference.low == pytest.approx(want.high - want.low, rel=0.06)
    assert found.degrees_of_freedom == 23


def test_the_noise_of_training_is_the_variance_component_of_the_crossed_design():
    """Analysis of variance of each fold, groups by seeds: (mean square of seeds - of the rest) / groups."""
    predictions = even_study(np.random.default_rng(21), seeds=4, model=0.2)
    found = drawn(predictions)
    spread = found.spread("b", "balanced_accuracy").minus(found.spread("a", "balanced_accuracy"))
    training, over_seeds = st.training_variance(spread, found.study)
    want = 0.0
    for _, of_fold in by_group(predictions).groupby("fold"):
        cells = of_fold.to_numpy()
        n, seeds = cells.shape
        rest = cells - cells.mean(1, keepdims=True) - cells.mean(0) + cells.mean()
        seeds_square, rest_square = n * cells.mean(0).var(ddof=1), (rest**2).sum() / ((n - 1) * (seeds - 1))
        want += (seeds_square - rest_square) / n / seeds * (n / 24) ** 2
    assert training == pytest.approx(want, abs=1e-12)
    assert 0 < training < over_seeds


def test_the_noise_of_training_widens_the_interval_and_the_detectable_effect():
    rng = np.random.default_rng(22)
    steady, shaky = (drawn(even_study(rng, groups=90, seeds=3, model=m)) for m in (0.0, 0.25))
    wider = []
    for found in (steady, shaky):
        spread = found.spread("b", "balanced_accuracy").minus(found.spread("a", "balanced_accuracy"))
        only_groups = np.sqrt(st.jackknife_variance(spread.left_out, groups=st.strata(found.study)))
        wider.append(found.uncertainty(spread).error / only_groups)
    assert 1 <= wider[0] < 1.3
    assert wider[1] > 2
    assert steady.difference("b", "a", "auc")[1] < shaky.difference("b", "a", "auc")[1]


def test_intervals_speak_of_the_method_though_every_training_has_its_luck():
    """No method is better, but each model is luckier or not in all heads at once."""
    n, left_out, by_groups_alone = 100, 0, 0
    for i in range(n):
        rng = np.random.default_rng([23, i])
        found = drawn(even_study(rng, groups=60, folds=5, seeds=3, model=0.25), seed=i, draws=200)
        difference, _ = found.difference("b", "a", "balanced_accuracy")
        left_out += not difference.low <= 0 <= difference.high
        spread = found.spread("b", "balanced_accuracy").minus(found.spread("a", "balanced_accuracy"))
        only_groups = st.jackknife_variance(spread.left_out, groups=st.strata(found.study))
        by_groups_alone += abs(spread.point) > 2 * np.sqrt(only_groups)
    assert left_out / n < 0.05 + 3 * np.sqrt(0.05 * 0.95 / n)
    assert by_groups_alone / n > 0.25


def spread_of(found):
    return found.spread("b", "balanced_accuracy").minus(found.spread("a", "balanced_accuracy"))


def test_the_luck_of_a_fold_is_the_variance_component_of_groups_in_folds():
    """Analysis of variance, groups within folds: mean square of the folds less that of all groups, over the groups."""
    predictions = even_study(np.random.default_rng(30), seeds=1, folds=4, generator=0.2)
    found = drawn(predictions)
    component, over_folds = st.fold_variance(spread_of(found), found.study, training=0.0)
    parts = by_group(predictions)[0]
    by_fold = parts.groupby("fold").mean()
    assert over_folds == pytest.approx(by_fold.var(ddof=1) / 4, abs=1e-12)
    assert component == pytest.approx(by_fold.var(ddof=1) / 4 - parts.var(ddof=1) / 24, abs=1e-12)
    assert component > 0
    less = st.fold_variance(spread_of(found), found.study, training=component / 3)
    assert less == pytest.approx((component * 2 / 3, over_folds))


def test_one_fold_knows_nothing_of_its_luck_and_folds_that_are_alike_have_none():
    one, found = (drawn(even_study(np.random.default_rng(31), groups=60, folds=folds)) for folds in (1, 3))
    assert st.fold_variance(spread_of(one), one.study, training=0.0) == (0.0, 0.0)
    spread = spread_of(found)
    alike = replace(spread, folds_left_out=np.full(3, spread.point))
    assert st.fold_variance(alike, found.study, training=0.0) == (0.0, 0.0)


def test_the_luck_of_a_fold_widens_the_interval_with_folds_less_one_degrees_of_freedom():
    found = drawn(even_study(np.random.default_rng(32), groups=200, folds=5, generator=0.3))
    sure = found.uncertainty(spread_of(found))
    _, over_folds = st.fold_variance(spread_of(found), found.study, training=0.0)
    assert sure.error == pytest.approx(np.sqrt(over_folds), rel=0.02)
    assert 3.5 < sure.degrees_of_freedom <= 4.01
    one = found.uncertainty(found.spread("b", "auc"))  # an arm's own score too
    assert one.degrees_of_freedom < 8


@pytest.mark.parametrize(("repeats", "generator"), [(1, 0.0), (3, 0.0), (3, 0.1)])
def test_the_stated_variance_is_that_of_estimates_over_studies_though_repeats_test_the_same_groups(repeats, generator):
    """Groups have a difference of their own that all repeats meet again: no luck of a fold, and no less with repeats.

    So the component of the folds is 0 on average without any, before what is below 0 is cut off (training far below 0
    undoes the cut), and the variance of the luck over all folds with it.
    """
    n, points, components, over_groups = 60, [], [], []
    for i in range(n):
        found = drawn(
            even_study(np.random.default_rng([33, i]), folds=3, hard=0.15, generator=generator, repeats=repeats),
            draws=20,
        )
        spread = spread_of(found)
        points.append(spread.point)
        components.append(st.fold_variance(spread, found.study, training=-1.0)[0] - 1)
        over_groups.append(float(st.jackknife_variance(spread.left_out, groups=st.strata(found.study))))
    want = generator**2 / (3 * repeats)
    assert abs(np.mean(components) - want) < 3 * np.std(components) / np.sqrt(n) + 0.1 * want
    stated = np.mean(components) + np.mean(over_groups)
    assert stated == pytest.approx(np.var(points), rel=0.4)


def test_intervals_speak_of_the_method_though_every_generator_has_its_luck():
    """No method is better, but each generator is luckier or not in all heads and models of its fold at once."""
    n, left_out, before = 100, 0, 0
    for i in range(n):
        found = drawn(even_study(np.random.default_rng([34, i]), groups=60, folds=5, generator=0.2), draws=200)
        spread = spread_of(found)
        left_out += abs(spread.point) > found.uncertainty(spread).quantile(0.975)
        blind = replace(spread, folds_left_out=spread.folds_left_out[:1])
        before += abs(spread.point) > found.uncertainty(blind).quantile(0.975)
    assert left_out / n < 0.05 + 3 * np.sqrt(0.05 * 0.95 / n)
    assert before / n > 0.2


def test_p_is_the_interval_inverted():
    found = drawn(study(np.random.default_rng(24), gain=0.4))
    for metric in st.METRICS:
        difference, _ = found.difference("b", "a", metric)
        assert (found.p("b", "a", metric) < 0.05) == (difference.low > 0 or difference.high < 0)
    assert found.p("a", "a", "auc") == 1.0


def test_an_interval_of_one_arm_stays_inside_its_range_and_is_longer_towards_the_middle():
    found = drawn(study(np.random.default_rng(25), groups=16, gain=2.5)).estimate("b", "sensitivity")
    assert found.estimate > 0.9
    assert found.estimate - found.low > 1.2 * (found.high - found.estimate) > 0
    assert found.high < 1


def jumpy(*, alarms=3, higher=25):
    """Twenty groups. Sensitivity at 90 % specificity is read at the threshold of one head with `alarms` high slices.

    Of 99 no-tumour slices as many as `alarms` are nearly as high as the tumours; where more of them are than one in
    ten, the threshold leaps over most of the tumours. higher: tumour slices above all of them.
    """
    tumour = np.repeat([True, False], [40, 99])
    group = np.r_[np.repeat(np.arange(10), 4), 10 + np.repeat(np.arange(10), 10)[:99]]
    probability = np.r_[np.linspace(0.60, 0.69, 40), np.linspace(0.1, 0.4, 99)]
    probability[:higher], probability[40 : 40 + alarms] = 0.9, 0.8
    probability[higher] = 0.2  # one tumour is missed at any threshold, so that the share is not just 1
    return table("a", probability, tumour, group)


def test_a_share_that_jumps_near_one_has_an_interval_of_its_effective_number_and_not_of_all_there_is():
    """As in a demo study: 97 % found, and a few resamples whose threshold leaps over nearly all tumours."""
    found = drawn(jumpy(), draws=2000)
    spread, estimate = (
        found.spread("a", "sensitivity_at_specificity"),
        found.estimate("a", "sensitivity_at_specificity"),
    )
    assert estimate.estimate == pytest.approx(39 / 40)
    error = spread.resampled.std(ddof=1)
    assert error > 2 * estimate.estimate * (1 - estimate.estimate)  # more logits than an interval could use
    mean, t = spread.resampled.mean(), stats.t.ppf(0.975, found.degrees_of_freedom)
    want = wilson(39 / 40, mean * (1 - mean) / error**2, t=t)
    assert (estimate.low, estimate.high) == pytest.approx(want, abs=1e-9)
    assert 0.2 < estimate.low < 0.8 < estimate.estimate < estimate.high < 1


def test_an_effective_number_is_that_of_independent_answers():
    """One slice a group: a sensitivity of n answers is worth n, less one for the mean that is not known."""
    n, tumour = 40, np.arange(80) % 2 == 0
    probability = np.where(np.arange(80) < 24, 0.3, 0.7)  # 28 of 40 tumours found
    found = drawn(table("a", probability, tumour, np.arange(80)), draws=20_000)
    spread = found.spread("a", "sensitivity")
    assert spread.effective_n(found.uncertainty(spread).error) == pytest.approx(n - 1, rel=0.04)


def test_an_arms_interval_trusts_the_jackknife_but_where_a_threshold_is_read(monkeypatch):
    """What leaving out one head moves is made three times as large: no quantile's interval may notice."""
    found = drawn(study(np.random.default_rng(26), groups=12, slices=3, mixed=False, arms=("a",), seeds=1))
    plain = {metric: found.estimate("a", metric) for metric in ("sensitivity_at_specificity", "sensitivity", "auc")}
    spread_before = found.spread

    def stretched(self, arm, metric):
        spread = spread_before(arm, metric)
        return replace(spread, left_out=spread.point + 3 * (spread.left_out - spread.point))

    monkeypatch.setattr(st.Bootstrap, "spread", stretched)
    for metric, before in plain.items():
        after = found.estimate("a", metric)
        assert (after == before) is (metric == "sensitivity_at_specificity")
        assert after.high - after.low >= before.high - before.low


def test_intervals_of_a_sensitivity_at_a_specificity_hold_the_truth_and_are_not_all_there_is():
    """Normal scores of ten heads of either diagnosis: the true share is 0.97 in closed form."""
    n, held, widths = 60, 0, []
    for i in range(n):
        rng = np.random.default_rng([27, i])
        group = np.repeat(np.arange(20), 6)
        tumour = group % 2 == 0
        distance = np.sqrt(1.64) * (stats.norm.ppf(0.9) + stats.norm.ppf(0.97))
        score = tumour * distance + rng.normal(0, 0.8, 20)[group] + rng.normal(size=len(group))
        found = drawn(table("a", stats.norm.cdf((score - distance / 2) / 3), tumour, group), seed=i, draws=200)
        estimate = found.estimate("a", "sensitivity_at_specificity")
        held += estimate.low <= 0.97 <= estimate.high
        widths.append(estimate.high - estimate.low)
    assert held / n > 0.95 - 3 * np.sqrt(0.95 * 0.05 / n)
    assert max(widths) < 0.8
    assert np.mean(widths) < 0.3


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
