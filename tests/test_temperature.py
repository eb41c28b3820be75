import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from data_contracts.manifest import DIAGNOSES, TUMOUR
from pipeline.evidence.temperature import COLDEST, HOTTEST, calibrated, fit_temperature, hold_out

SICK = DIAGNOSES.index(TUMOUR)


def sample(n, temperature, rng, tumour_share=0.5):
    """Logits whose true probability, at equal prevalence, is sigmoid(logit / temperature): unit normals apart by 2."""
    diagnoses = np.where(rng.random(n) < tumour_share, SICK, 1 - SICK)
    return temperature * 2 * (rng.normal(size=n) + np.where(diagnoses == SICK, 1, -1)), diagnoses


@pytest.mark.parametrize("temperature", [0.6, 1.0, 3.0])
@pytest.mark.parametrize("tumour_share", [0.5, 0.1])
def test_the_true_temperature_is_found_at_equal_prevalence_whatever_the_share(temperature, tumour_share):
    logits, diagnoses = sample(20_000, temperature, np.random.default_rng(0), tumour_share)
    assert fit_temperature(logits=logits, diagnoses=diagnoses) == pytest.approx(temperature, rel=0.08)


def test_no_decision_and_no_order_changes_at_any_temperature():
    logits = np.sort(np.random.default_rng(0).uniform(-7, 7, 2000))
    for temperature in (COLDEST, 0.7, HOTTEST):
        probability = calibrated(logits, temperature=temperature)
        assert (np.diff(probability) > 0).all()
        np.testing.assert_array_equal(probability >= 0.5, logits >= 0)
    np.testing.assert_array_equal(calibrated(logits, temperature=1.0), expit(logits))


def test_luck_is_not_certainty_and_none_is_no_evidence():
    separated = np.array([-2.0, -1.0, 1.0, 2.0])
    diagnoses = np.where(separated > 0, SICK, 1 - SICK)
    few = fit_temperature(logits=separated, diagnoses=diagnoses)
    many = fit_temperature(logits=np.repeat(separated, 50), diagnoses=np.repeat(diagnoses, 50))
    assert COLDEST <= many < few
    assert calibrated(np.array([2.0]), temperature=few)[0] < 0.95
    assert fit_temperature(logits=-separated, diagnoses=diagnoses) == pytest.approx(HOTTEST, rel=1e-3)
    assert fit_temperature(logits=separated[:2], diagnoses=diagnoses[:2]) == 1.0


def test_a_fifth_of_the_groups_of_each_stratum_is_kept_aside_whole():
    rng = np.random.default_rng(0)
    groups = pd.Series(np.repeat([f"g{i:02d}" for i in range(45)], rng.integers(2, 6, 45)))
    number = groups.str[1:].astype(int)
    both = (number >= 30) & (groups.groupby(groups).cumcount() % 2 == 1)
    tumour = number.between(20, 29) | both
    diagnoses = pd.Series(np.where(tumour, TUMOUR, DIAGNOSES[1 - SICK]))
    aside = hold_out(groups=groups, diagnoses=diagnoses, rng=np.random.default_rng(1))
    kept = set(groups[aside])
    assert not kept & set(groups[~aside])
    assert sum(int(name[1:]) < 20 for name in kept) == 4
    assert sum(20 <= int(name[1:]) < 30 for name in kept) == 2
    other = hold_out(groups=groups, diagnoses=diagnoses, rng=np.random.default_rng(2))
    assert set(groups[other]) != kept


def test_two_groups_of_a_diagnosis_are_parted_and_one_is_learned_from():
    groups, diagnoses = pd.Series(["a", "b", "c"]), pd.Series([DIAGNOSES[0], DIAGNOSES[0], DIAGNOSES[1]])
    aside = hold_out(groups=groups, diagnoses=diagnoses, rng=np.random.default_rng(0))
    assert aside[:2].sum() == 1
    assert not aside[2]
