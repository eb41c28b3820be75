"""Which slices are called wrong, by predictions that are written down here."""

import numpy as np
import pandas as pd

from data_contracts.manifest import NO_TUMOUR, TUMOUR
from data_contracts.results import ARMS, PRIMARY_ARM, REFERENCE_ARM
from pipeline.evidence.wrong_cases import wrong_cases


def predictions(cases, **changes):
    """cases: slice_id, group, diagnosis, probabilities with synthetic slices by seed, and without."""
    rows = []
    for arm in ARMS:
        for slice_id, group, diagnosis, ours, theirs in cases:
            of = {PRIMARY_ARM: ours, REFERENCE_ARM: theirs}.get(arm, (0.5,) * len(ours))
            rows += [
                {"fold": 0, "share": 1.0, "arm": arm, "ratio": 1.0, "control": "none", "seed": seed,
                 "slice_id": slice_id, "group": group, "diagnosis": diagnosis, "probability": p}
                for seed, p in enumerate(of)
            ]  # fmt: skip
    return pd.DataFrame(rows).assign(**changes)


CASES = [
    ("file-0001", "a", TUMOUR, (0.1, 0.3), (0.2, 0.2)),  # wrong in both
    ("file-0002", "a", TUMOUR, (0.9, 0.7), (0.2, 0.4)),  # mended
    ("file-0003", "b", NO_TUMOUR, (0.4, 0.9), (0.6, 0.1)),  # broken, in the mean of two trainings
    ("file-0004", "b", NO_TUMOUR, (0.1, 0.1), (0.9, 0.7)),  # mended
    ("file-0005", "c", NO_TUMOUR, (0.1, 0.1), (0.1, 0.1)),  # right in both
    ("file-0006", "c", TUMOUR, (0.0, 0.4), (0.9, 0.9)),  # broken, as surely as the first
]


def test_counts_are_of_the_mean_over_trainings_in_slices_and_subjects():
    found = wrong_cases(predictions(CASES))
    assert (found.n_slices, found.n_subjects, found.n_trainings) == (6, 3, 2)
    counts = [(c.n_slices, c.n_subjects, c.n_tumour) for c in (found.both, found.mended, found.broken)]
    assert counts == [(1, 1, 1), (2, 2, 1), (2, 2, 1)]


def test_cases_are_the_most_confident_ones_the_worst_first_and_equal_ones_by_number():
    found = wrong_cases(predictions(CASES))
    assert [case.slice_id for case in found.cases] == ["file-0001", "file-0006", "file-0003"]
    first, second, third = found.cases
    np.testing.assert_allclose([first.probability, second.probability, third.probability], [0.2, 0.2, 0.65])
    np.testing.assert_allclose([first.reference_probability, second.reference_probability], [0.2, 0.9])
    assert (first.reference_wrong, second.reference_wrong, third.reference_wrong) == (True, False, False)
    assert (third.diagnosis, third.fold) == (NO_TUMOUR, 0)
    assert [case.slice_id for case in wrong_cases(predictions(CASES), most=1).cases] == ["file-0001"]


def test_of_each_group_only_the_worst_is_shown_and_all_are_counted():
    copies = [(f"file-{i:04d}", "a", TUMOUR, (0.1 - i / 100,), (0.9,)) for i in range(1, 6)]
    found = wrong_cases(predictions([*copies, ("file-0009", "b", TUMOUR, (0.4,), (0.9,))]))
    assert [case.slice_id for case in found.cases] == ["file-0005", "file-0009"]
    assert (found.broken.n_slices, found.broken.n_subjects) == (6, 2)


def test_rows_in_another_order_and_beside_those_that_decide_change_nothing():
    plain = predictions(CASES)
    beside = [
        plain.assign(control="permuted_diagnoses", probability=0.5),
        plain.assign(ratio=2.0, probability=1.0),
        plain.assign(share=0.5, fold=7, probability=0.0),
    ]
    mixed = pd.concat([plain, *beside]).sample(frac=1, random_state=0)
    assert wrong_cases(mixed) == wrong_cases(plain)


def test_a_slice_that_was_tested_in_two_folds_counts_once():
    again = predictions(CASES, fold=3)
    found = wrong_cases(pd.concat([again, predictions(CASES)]))
    assert (found.n_slices, found.n_trainings) == (6, 4)
    assert found.cases[0].fold == 0
    assert found.broken.n_slices == 2


def test_where_all_are_right_there_is_no_case():
    right = [("file-0001", "a", TUMOUR, (0.9,), (0.5,)), ("file-0002", "b", NO_TUMOUR, (0.1,), (0.4,))]
    found = wrong_cases(predictions(right))
    assert found.cases == ()
    assert (found.both.n_slices, found.mended.n_slices, found.broken.n_slices) == (0, 0, 0)
