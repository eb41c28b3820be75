from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from pipeline.synthesis.conditions import Condition, Conditions, fit

seeds = pytest.mark.parametrize("seed", range(40))


def _fit(n: int = 60, **given: Any) -> tuple[Conditions, NDArray[np.int64]]:
    """Fit slices of which all is one level but what is given."""
    covariates: dict[str, Any] = {
        "positions": np.full(n, np.nan),
        "sequences": ["FLAIR"] * n,
        "planes": ["axial"] * n,
        "bins": 3,
    }
    return fit(**(covariates | given))


def _random(seed: int) -> dict[str, Any]:
    """Covariates as unequal as they come: rare levels, ties, unknown words, diagnoses at other heights."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(16, 400))

    def words(*levels: str) -> NDArray[np.str_]:
        shares = rng.dirichlet(np.full(len(levels), 0.5))
        return rng.choice(np.array(levels), n, p=shares)

    joint = bool(seed % 2)
    diagnoses = rng.permutation(np.where(np.arange(n) < rng.integers(8, n - 7), "tumour", "no_tumour"))
    heights = rng.beta(np.where(diagnoses == "tumour", 6, 1), 2)
    return {
        "positions": np.round(heights, int(rng.integers(1, 5))),
        "sequences": words("T1", "T1c", "T2", "FLAIR", "unknown").tolist(),
        "planes": words("axial", "coronal", "sagittal", "unknown").tolist(),
        "diagnoses": diagnoses.tolist() if joint else None,
        "bins": int(rng.integers(1, 6)),
        "fewest": int(rng.integers(1, 9)),
    }


def test_known_heights_alone_are_cut_into_equally_filled_intervals_from_the_bottom() -> None:
    positions = np.random.default_rng(0).permutation(np.linspace(0.3, 0.75, 90))
    conditions, c = _fit(90, positions=positions)
    assert c.tolist() == (positions.argsort().argsort() // 30).tolist()
    assert conditions.position_edges == pytest.approx((0.45, 0.60), abs=0.005)
    assert [conditions.describe(i) for i in range(3)] == [
        "below 0.45 of the height", "0.45 to 0.60 of the height", "from 0.60 of the height",
    ]  # fmt: skip


@pytest.mark.parametrize("unknown", [1, 30, 60])
def test_one_unknown_height_leaves_height_out_for_all(unknown: int) -> None:
    positions = np.array([np.nan] * unknown + list(np.linspace(0, 1, 60 - unknown)))
    conditions, c = _fit(60, positions=positions, planes=["axial", "coronal"] * 30)
    assert conditions.position_edges == ()
    assert conditions.levels == (Condition(plane=("axial",)), Condition(plane=("coronal",)))
    assert c.tolist() == [0, 1] * 30


def test_levels_that_all_slices_share_say_nothing() -> None:
    conditions, c = _fit(20, diagnoses=["tumour"] * 20, bins=1, positions=np.linspace(0, 1, 20))
    assert conditions == Conditions(position_edges=(), levels=(Condition(),))
    assert conditions.describe(0) == "all slices"
    assert not c.any()


def test_every_factor_that_tells_slices_apart_is_told_in_words() -> None:
    n = 96
    conditions, c = _fit(
        n,
        diagnoses=["tumour", "no_tumour"] * (n // 2),
        sequences=["T1", "T1", "unknown", "unknown"] * (n // 4),
        planes=[plane for plane in ("axial", "coronal", "unknown") for _ in range(32)],
        positions=np.tile(np.repeat([0.2, 0.8], 16), 3),
        bins=2,
        fewest=4,
    )
    assert np.bincount(c).tolist() == [4] * 24
    assert conditions.describe(0) == "no tumour, T1, axial, below 0.50 of the height"
    assert conditions.describe(23) == "tumour, unknown sequence, unknown plane, from 0.50 of the height"
    assert conditions.of_diagnosis("no_tumour") == tuple(range(12))
    assert conditions.of_diagnosis("tumour") == tuple(range(12, 24))


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ({"axial": 40, "coronal": 3, "sagittal": 5}, {"axial": 40, "coronal or sagittal": 8}),
        ({"axial": 40, "coronal": 3, "sagittal": 20}, {"axial": 40, "coronal or sagittal": 23}),
        ({"axial": 40, "coronal": 3}, {"all slices": 43}),
        ({"axial": 3, "coronal": 3, "sagittal": 3}, {"all slices": 9}),
        ({"axial": 8, "sagittal": 8}, {"axial": 8, "sagittal": 8}),
        ({"axial": 30, "sagittal": 3, "unknown": 6}, {"axial": 30, "sagittal or unknown plane": 9}),
        ({"axial": 2, "sagittal": 1}, {"all slices": 3}),
    ],
)
def test_rare_planes_are_pooled_and_common_ones_stay(numbers: dict[str, int], expected: dict[str, int]) -> None:
    planes = [plane for plane, number in numbers.items() for _ in range(number)]
    conditions, c = _fit(len(planes), planes=planes)
    found = {conditions.describe(i): n for i, n in enumerate(np.bincount(c).tolist())}
    assert found == expected


def test_few_slices_of_one_sequence_do_not_cost_the_others_their_planes() -> None:
    sequences = ["FLAIR"] * 40 + ["T1"] * 10
    planes = ["axial", "sagittal"] * 20 + ["axial"] * 6 + ["sagittal"] * 4
    conditions, c = _fit(50, sequences=sequences, planes=planes)
    assert [conditions.describe(i) for i in range(3)] == ["FLAIR, axial", "FLAIR, sagittal", "T1"]
    assert np.bincount(c).tolist() == [20, 20, 10]


def test_a_diagnosis_that_is_rare_at_a_height_joins_it_to_the_next() -> None:
    low, middle, high = np.linspace(0.0, 0.3, 30), np.linspace(0.4, 0.6, 30), np.linspace(0.7, 1.0, 30)
    diagnoses = ["no_tumour"] * 28 + ["tumour"] * 2 + ["tumour"] * 20 + ["no_tumour"] * 10 + ["no_tumour"] * 30
    conditions, c = _fit(90, positions=np.concatenate([low, middle, high]), diagnoses=diagnoses)
    assert [conditions.describe(i) for i in range(4)] == [
        "no tumour, below 0.37 of the height",
        "no tumour, 0.37 to 0.63 of the height",
        "no tumour, from 0.63 of the height",
        "tumour",
    ]
    assert np.bincount(c).tolist() == [28, 10, 30, 22]


def test_too_few_slices_to_tell_heights_apart_are_one_condition() -> None:
    conditions, c = _fit(20, positions=np.linspace(0, 1, 20))  # 7, 6 and 7 an interval
    assert conditions == Conditions(position_edges=(), levels=(Condition(),))
    assert not c.any()
    conditions, c = _fit(20, positions=np.linspace(0, 1, 20), fewest=7)  # 7, and 13
    assert np.bincount(c).tolist() == [7, 13]


def test_equal_heights_leave_no_empty_interval_behind() -> None:
    positions = np.array([0.0] * 40 + list(np.linspace(0.5, 1, 20)))
    conditions, c = _fit(60, positions=positions)
    assert np.bincount(c).tolist() == [40, 20]
    assert conditions.position_edges[0] == 0  # below it lies nothing, so it is no bound of what is said
    upper = f"{conditions.position_edges[1]:.2f} of the height"  # between the heap and the others
    assert [conditions.describe(0), conditions.describe(1)] == [f"below {upper}", f"from {upper}"]


def test_edges_alike_in_two_decimals_are_told_with_more() -> None:
    conditions, _ = _fit(24, positions=np.linspace(0.5, 0.503, 24))
    assert [conditions.describe(i) for i in range(3)] == [
        "below 0.501 of the height", "0.501 to 0.502 of the height", "from 0.502 of the height",
    ]  # fmt: skip


@seeds
def test_every_condition_holds_enough_slices_and_none_is_empty(seed: int) -> None:
    given = _random(seed)
    conditions, c = fit(**given)
    numbers = np.bincount(c, minlength=len(conditions.levels))
    assert len(numbers) == len(conditions.levels)
    assert numbers.min() >= given["fewest"]


@seeds
def test_a_condition_says_the_truth_of_each_of_its_slices(seed: int) -> None:
    given = _random(seed)
    conditions, numbers = fit(**given)
    edges = (-np.inf, *conditions.position_edges, np.inf)
    for row, c in enumerate(numbers):
        said = conditions.levels[c]
        assert said.sequence is None or given["sequences"][row] in said.sequence
        assert said.plane is None or given["planes"][row] in said.plane
        if said.position is not None:
            assert edges[said.position[0]] <= given["positions"][row] < edges[said.position[-1] + 1]
        if given["diagnoses"] is not None:
            assert said.diagnosis == given["diagnoses"][row]
            assert c in conditions.of_diagnosis(given["diagnoses"][row])
        else:
            assert said.diagnosis is None


@seeds
def test_words_tell_all_conditions_apart(seed: int) -> None:
    conditions, _ = fit(**_random(seed))
    words = [conditions.describe(c) for c in range(len(conditions.levels))]
    assert len(set(words)) == len(words)


@seeds
def test_slices_in_another_order_have_the_same_conditions(seed: int) -> None:
    given = _random(seed)
    conditions, c = fit(**given)
    order = np.random.default_rng(seed + 1).permutation(len(c))
    mixed: dict[str, Any] = {
        key: np.array(value)[order] if isinstance(value, list) else value for key, value in given.items()
    }
    others, other = fit(**(mixed | {"positions": given["positions"][order]}))
    assert others == conditions
    assert other.tolist() == c[order].tolist()


@seeds
def test_where_all_combinations_are_common_each_has_its_number(seed: int) -> None:
    rng = np.random.default_rng(seed)
    combinations = [(s, p, d) for s in ("T1", "T2") for p in ("axial", "sagittal") for d in ("no_tumour", "tumour")]
    kept = [combinations[i] for i in rng.permutation(8)[: rng.integers(1, 9)]]
    rows = rng.permutation(np.repeat(np.arange(len(kept)), rng.integers(8, 20, len(kept))))
    sequences, planes, diagnoses = zip(*(kept[row] for row in rows), strict=True)
    conditions, c = _fit(len(rows), sequences=sequences, planes=planes, diagnoses=diagnoses)
    assert len(conditions.levels) == len(kept)
    assert len({*zip(rows.tolist(), c.tolist(), strict=True)}) == len(kept)


@seeds
def test_a_record_is_read_back_from_json_as_it_was(seed: int) -> None:
    conditions, _ = fit(**_random(seed))
    assert Conditions.model_validate_json(conditions.model_dump_json()) == conditions


def test_without_diagnoses_all_conditions_are_of_each() -> None:
    conditions, _ = _fit(60, planes=["axial", "coronal"] * 30)
    assert conditions.of_diagnosis("tumour") == (0, 1)


def test_a_diagnosis_that_was_not_trained_on_has_no_conditions() -> None:
    conditions, _ = _fit(60, diagnoses=["tumour", "no_tumour"] * 30)
    with pytest.raises(ValueError, match="held no_tumour, tumour, not haemorrhage"):
        conditions.of_diagnosis("haemorrhage")


def test_edges_that_do_not_ascend_are_no_record() -> None:
    with pytest.raises(ValidationError, match="position_edges ascend"):
        Conditions(position_edges=(0.5, 0.5), levels=(Condition(),))


@pytest.mark.parametrize("c", [-1, 1])
def test_a_number_that_is_no_condition_is_refused(c: int) -> None:
    with pytest.raises(ValueError, match=f"0 to 0, not {c}"):
        _fit()[0].describe(c)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"sequences": ["T1"] * 9}, "not of 9, 10 slices"),
        ({"planes": ["axial"] * 11}, "not of 10, 11 slices"),
        ({"diagnoses": ["tumour"] * 9}, "not of 9, 10 slices"),
        ({"positions": np.zeros(11)}, "not of 10, 11 slices"),
        ({"positions": np.zeros(0), "sequences": [], "planes": []}, "not of 0 slices"),
        ({"bins": 0}, "not 0 and 8"),
        ({"fewest": 0}, "not 3 and 0"),
        ({"diagnoses": ["tumour"] * 7 + ["no_tumour"] * 3}, "needs 8 slices, and no_tumour has 3, tumour has 7"),
    ],
)
def test_covariates_that_cannot_be_conditions_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _fit(10, **given)
