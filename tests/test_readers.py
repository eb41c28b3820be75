"""Scores of a reader study, against closed forms, scikit-learn, statsmodels and repetition."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import cohen_kappa_score, roc_auc_score
from statsmodels.stats.inter_rater import aggregate_raters, fleiss_kappa
from statsmodels.stats.proportion import proportion_confint

from pipeline.evidence.locked import delong
from pipeline.evidence.readers import (
    Reading,
    agreement,
    area,
    area_interval,
    detectable,
    effective_n,
    kappas,
    mean_area,
    ratings,
    resample,
    score,
    share,
)
from pipeline.evidence.statistics import wilson

N = 40


def reading(
    readers: int = 3,
    *,
    skill: float = 0.3,
    shared: float = 0.7,
    per_patient: int = 1,
    seed: int = 0,
    n: int = N,
) -> Reading:
    """Readers who sense the origin with some skill, and err together by `shared`; `per_patient` real items a group."""
    rng = np.random.default_rng(seed)
    synthetic, tumour = np.arange(n) % 2 == 1, np.arange(n) % 4 > 1
    place = np.where(synthetic, np.arange(n) + 1000, np.arange(n) // 2 // per_patient)
    of_group = dict(zip(np.unique(place), rng.normal(size=len(np.unique(place))), strict=True))
    common = np.array([of_group[p] for p in place])

    def sensed(truth: np.ndarray, strength: float) -> np.ndarray:
        own = rng.normal(size=(readers, n))
        return strength * np.where(truth, 1, -1) + np.sqrt(shared) * common + np.sqrt(1 - shared) * own

    origin, diagnosis = sensed(synthetic, skill), sensed(tumour, 1.5)
    confidence = np.clip(np.ceil(np.abs(origin) * 2), 1, 5).astype(np.int64)
    return Reading(synthetic, tumour, tuple(f"group-{p}" for p in place), origin > 0, diagnosis > 0, confidence)


def flags(n: int, right: int) -> np.ndarray:
    return (np.arange(n) < right)[None]


def alone(n: int) -> tuple[str, ...]:
    return tuple(str(i) for i in range(n))


@pytest.mark.parametrize(("right", "n"), [(0, 40), (20, 40), (31, 40), (40, 40), (3, 8)])
def test_one_reader_and_separate_slices_have_wilsons_interval(right: int, n: int) -> None:
    told = share(flags(n, right), alone(n))
    low, high = proportion_confint(right, n, method="wilson")
    assert told.estimate == right / n
    assert (told.low, told.high) == pytest.approx((low, high), abs=1e-12)


def test_effective_n_of_identical_answers_in_pairs_is_that_of_the_pairs() -> None:
    right = np.repeat(np.arange(20) < 12, 2)[None]
    groups = tuple(str(i // 2) for i in range(40))
    p, pairs = 0.6, 20
    variance = pairs / (pairs - 1) * pairs * (4 * p * (1 - p)) / 40**2  # closed form: e_g = 2 (x - p)
    narrower = (1.959963984540054 / stats.t.ppf(0.975, pairs - 1)) ** 2
    assert effective_n(right, groups) == pytest.approx(p * (1 - p) / variance * narrower, rel=1e-12)
    assert effective_n(right, groups) < pairs


def test_two_readers_who_always_agree_know_no_more_than_one() -> None:
    one = flags(N, 26)
    both = effective_n(np.concatenate([one, one]), alone(N))
    assert both == pytest.approx((N - 1) * (1.959963984540054 / stats.t.ppf(0.975, N - 1)) ** 2)
    assert both < N


def test_readers_who_err_apart_know_more_but_never_more_than_their_answers() -> None:
    rng = np.random.default_rng(1)
    right = rng.random((5, 400)) < 0.7
    assert 400 < effective_n(right, alone(400)) <= 5 * 400
    opposite = np.array(
        [[1, 0] * 20, [0, 1] * 20], dtype=bool
    )  # each item once right and once wrong: no variance at all
    assert effective_n(opposite, alone(40)) == pytest.approx(80 * (1.959963984540054 / stats.t.ppf(0.975, 39)) ** 2)


@pytest.mark.parametrize("right", [0, 40])
def test_where_all_are_right_each_group_counts_once_and_the_interval_keeps_a_width(right: int) -> None:
    groups = tuple(str(i // 4) for i in range(40))
    assert effective_n(flags(40, right), groups) == 10
    told = share(flags(40, right), groups)
    assert (told.low, told.high) == pytest.approx(wilson(right / 40, 10))
    assert told.high - told.low > 0.25
    assert effective_n(flags(40, 13), ("one",) * 40) == 1


def test_clustered_interval_covers_and_the_plain_one_does_not() -> None:
    """Answers to slices of a patient that are right together: the truth is 0.7."""
    rng = np.random.default_rng(2)
    groups = tuple(str(i // 4) for i in range(40))
    inside = {"clustered": 0, "plain": 0}
    for _ in range(600):
        patient = rng.random(10) < 0.7
        right = np.where(rng.random(40) < 0.8, np.repeat(patient, 4), rng.random(40) < 0.7)[None]
        told, plain = share(right, groups), wilson(float(right.mean()), 40)
        inside["clustered"] += told.low <= 0.7 <= told.high
        inside["plain"] += plain[0] <= 0.7 <= plain[1]
    assert inside["clustered"] / 600 > 0.92
    assert inside["plain"] / 600 < 0.85


@pytest.mark.parametrize("n", [20, 40, 200])
def test_detectable_accuracy_is_found_in_four_of_five_studies(n: int) -> None:
    p = detectable(n)
    assert p is not None
    level, power = stats.norm.ppf(0.975), stats.norm.ppf(0.80)
    assert p - 0.5 == pytest.approx(level * 0.5 / np.sqrt(n) + power * np.sqrt(p * (1 - p) / n))
    smallest = next(k for k in range(n + 1) if wilson(k / n, n)[0] > 0.5)
    assert stats.binom(n, p).sf(smallest - 1) == pytest.approx(0.80, abs=0.08)  # counts jump, the formula does not


def test_detectable_accuracy_falls_with_n_and_is_none_where_nothing_could_be_shown() -> None:
    found = [detectable(n) for n in (10, 20, 40, 80)]
    assert None not in found
    assert found == sorted(found, reverse=True)
    assert found[2] == pytest.approx(0.715, abs=5e-4)
    assert detectable(3) is None
    assert detectable(1) is None


def test_auc_of_confidence_signed_ratings_is_scikit_learns() -> None:
    told = reading()
    for i in range(3):
        assert area(told, i).estimate == pytest.approx(roc_auc_score(told.synthetic, ratings(told)[i]))
        signed = np.where(told.said_synthetic[i], told.confidence[i], -told.confidence[i])
        assert (ratings(told)[i] == signed).all()


def test_area_interval_solves_its_equation_and_lies_near_delongs() -> None:
    told = reading(1, skill=0.6, n=400)
    auc = area(told, 0)
    for limit in (auc.low, auc.high):
        half = 199  # (200 + 200) / 2 - 1
        hanley = limit * (1 - limit) / 200**2 * (1 + half * (1 - limit) / (2 - limit) + half * limit / (1 + limit))
        assert abs(limit - auc.estimate) == pytest.approx(1.959963984540054 * np.sqrt(hanley), rel=1e-6)
    areas, covariance = delong(tumour=told.synthetic, probabilities=ratings(told))
    assert auc.estimate == pytest.approx(areas[0])
    assert auc.high - auc.low == pytest.approx(2 * 1.96 * np.sqrt(covariance[0, 0]), rel=0.15)


@pytest.mark.parametrize(("auc", "edge"), [(1.0, "high"), (0.0, "low")])
def test_perfect_areas_keep_an_interval(auc: float, edge: str) -> None:
    low, high = area_interval(auc, 20, 20)
    assert {"low": low, "high": high}[edge] == pytest.approx(auc, abs=1e-6)
    assert 0.05 < high - low < 0.25
    wide = area_interval(auc, 5, 5)
    assert wide[1] - wide[0] > high - low


def test_slices_of_the_same_patients_widen_the_area() -> None:
    apart, together = (area(reading(1, shared=0.95, per_patient=k, seed=3), 0) for k in (1, 5))
    assert together.high - together.low > apart.high - apart.low
    plain = area_interval(together.estimate, 20, 20)
    assert together.high - together.low > plain[1] - plain[0]


def test_area_interval_covers_the_truth() -> None:
    truth = stats.norm.cdf(2 * 0.5 / np.sqrt(2))  # binormal with means -0.5 and 0.5
    rng = np.random.default_rng(4)
    inside = 0
    for _ in range(400):
        low, high = area_interval(
            float((rng.normal(0.5, size=20)[:, None] > rng.normal(-0.5, size=20)[None]).mean()), 20, 20
        )
        inside += low <= truth <= high
    assert inside / 400 > 0.92


def test_mean_area_is_the_mean_and_its_interval_moves_with_the_items() -> None:
    told = reading(3, skill=0.5)
    weights = resample(told, draws=2000, rng=np.random.default_rng(5))
    mean = mean_area(told, weights)
    assert mean.estimate == pytest.approx(np.mean([area(told, i).estimate for i in range(3)]))
    assert mean.low < mean.estimate < mean.high
    sure = reading(2, skill=9.0)
    certain = mean_area(sure, resample(sure, draws=200, rng=np.random.default_rng(5)))
    assert (certain.estimate, certain.high) == (1.0, 1.0)
    assert certain.low == pytest.approx(area_interval(1.0, 20, 20)[0])


def test_kappa_of_two_is_cohens_and_of_more_is_fleiss() -> None:
    ones = np.ones((1, N))
    two, four = reading(2).said_synthetic, reading(4).said_tumour
    assert kappas(two, ones)[0] == pytest.approx(cohen_kappa_score(two[0], two[1]))
    assert kappas(four, ones)[0] == pytest.approx(fleiss_kappa(aggregate_raters(four.T.astype(int))[0]))


def test_weighted_kappa_is_that_of_repeated_items() -> None:
    said = reading(3).said_synthetic
    counts = np.random.default_rng(6).integers(0, 4, N)
    repeated = kappas(np.repeat(said, counts, axis=1), np.ones((1, counts.sum())))[0]
    assert kappas(said, counts[None].astype(float))[0] == pytest.approx(repeated)


def test_agreement_has_an_interval_one_reader_has_none() -> None:
    told = reading(3)
    weights = resample(told, draws=2000, rng=np.random.default_rng(7))
    found = agreement(told.said_synthetic, told, weights)
    assert found is not None
    assert found.low < found.estimate < found.high
    assert found.low > 0  # they err together
    assert agreement(told.said_synthetic[:1], told, weights) is None
    assert agreement(np.ones((2, N), dtype=bool), told, weights) is None
    assert agreement(np.zeros((3, N), dtype=bool), told, weights) is None


def test_whole_agreement_is_no_certainty() -> None:
    told = reading(3, per_patient=4)
    weights = resample(told, draws=300, rng=np.random.default_rng(8))
    found = agreement(np.repeat(told.said_tumour[:1], 3, axis=0), told, weights)
    assert found is not None
    assert (found.estimate, found.high) == (1.0, 1.0)
    yes = told.said_tumour[0].mean()
    missed = proportion_confint(0, len(set(told.groups)), method="wilson")[1]
    assert found.low == pytest.approx(1 - missed / (2 * yes * (1 - yes)))


def test_resamples_keep_sides_apart_and_patients_whole() -> None:
    told = reading(per_patient=5)
    weights = resample(told, draws=500, rng=np.random.default_rng(9))
    assert weights[:, told.synthetic].sum(1) == pytest.approx(np.full(500, 20))
    assert weights[:, ~told.synthetic].sum(1) == pytest.approx(np.full(500, 20))
    for group in set(told.groups):
        members = [i for i, g in enumerate(told.groups) if g == group]
        assert np.ptp(weights[:, members], axis=1).max() == 0


def test_scores_of_a_study_in_whole() -> None:
    told = reading(3, skill=0.8, per_patient=2)
    study = score(told, study="0" * 16, readers=("AB", "", "CD"), rng=np.random.default_rng(10))
    again = score(told, study="0" * 16, readers=("AB", "", "CD"), rng=np.random.default_rng(10))
    assert study == again
    assert (study.n_real, study.n_synthetic, study.n_real_groups, study.n_synthetic_groups) == (20, 20, 10, 20)
    assert [one.reader for one in study.readers] == ["AB", "", "CD"]
    for name in ("accuracy", "sensitivity", "specificity", "diagnosis_real", "diagnosis_synthetic", "auc"):
        values = [getattr(one, name).estimate for one in study.readers]
        assert getattr(study.together, name).estimate == pytest.approx(np.mean(values))
    first, right = study.readers[0], told.said_synthetic[0] == told.synthetic
    assert first.accuracy.estimate == right.mean()
    assert first.sensitivity.estimate == told.said_synthetic[0][told.synthetic].mean()
    assert first.specificity.estimate == (~told.said_synthetic[0])[~told.synthetic].mean()
    called = told.said_tumour[0] == told.tumour
    assert first.diagnosis_real.estimate == called[~told.synthetic].mean()
    assert first.diagnosis_synthetic.estimate == called[told.synthetic].mean()
    # synthetic slices stand by themselves, so one reader's sensitivity has the plain interval
    assert first.sensitivity.low == pytest.approx(
        proportion_confint(right[told.synthetic].sum(), 20, method="wilson")[0]
    )
    assert study.detectable_accuracy is not None
    assert 0.5 < study.detectable_accuracy < 1


def test_guessing_readers_are_rarely_told_apart() -> None:
    """The rule of the report: the whole interval of the mean accuracy on one side of a half."""
    told = [reading(3, skill=0.0, per_patient=2, seed=seed) for seed in range(400)]
    intervals = [share(one.said_synthetic == one.synthetic, one.groups) for one in told]
    assert sum(not one.low <= 0.5 <= one.high for one in intervals) / 400 < 0.08
