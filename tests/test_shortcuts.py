"""A planted shortcut is found where it is, and nothing is found where nothing is."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from data_contracts.manifest import DIAGNOSES, TUMOUR
from data_contracts.results import ShortcutScores
from data_contracts.splits import Fold, Splits
from data_contracts.violations import ContractError
from pipeline.evidence.shortcuts import ShortcutConfig, audit, border_features, fact_features, shuffle_diagnoses

CONFIG = ShortcutConfig(trees=10, shuffles=20, bootstrap=200)
SIDE, GROUPS, SLICES = 32, 40, 4
Audit = Callable[..., tuple[ShortcutScores, ShortcutScores]]


def manifest_of(diagnoses: list[str], groups: list[str]) -> pd.DataFrame:
    ids = [f"file-{i:04d}" for i in range(len(groups))]
    table = pd.DataFrame({"slice_id": ids, "group": groups, "diagnosis": diagnoses, "origin": "real"})
    return table.assign(subject=table["group"].str.replace("group", "subject"), sha256=ids)


def facts_of(manifest: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Facts by chance, the same for all slices of a group; some are unknown."""
    unknown = pd.Series(np.nan, index=manifest.index)
    group = pd.factorize(manifest["group"])[0]
    a_group = pd.DataFrame(rng.normal(100, 10, (group.max() + 1, 2)))
    return pd.DataFrame({
        "slice_id": manifest["slice_id"], "format": "raster",
        "coding": np.where(rng.random(group.max() + 1) < 0.5, "jpeg", "png")[group],
        "file_bytes": a_group[0].to_numpy()[group], "bits": 8.0, "channels": 1.0, "height": 64.0,
        "width": a_group[1].to_numpy()[group].round(), "n_slices": 1.0, "spacing_mm": unknown,
        "slice_spacing_mm": unknown, "manufacturer": "unknown", "field_strength_t": unknown, "echo_time_ms": unknown,
        "repetition_time_ms": unknown, "inversion_time_ms": unknown, "flip_angle_deg": unknown,
    })  # fmt: skip


def images_of(manifest: pd.DataFrame, rng: np.random.Generator) -> NDArray[np.float32]:
    return rng.uniform(-1, 1, (len(manifest), 1, SIDE, SIDE)).astype(np.float32)


@pytest.fixture
def manifest() -> pd.DataFrame:
    """40 groups of four slices, each of one diagnosis."""
    groups = [f"group-{i:02d}" for i in range(GROUPS) for _ in range(SLICES)]
    return manifest_of([DIAGNOSES[int(name[-2:]) % 2] for name in groups], groups)


def tumour_of(manifest: pd.DataFrame) -> NDArray[np.bool_]:
    return (manifest["diagnosis"] == TUMOUR).to_numpy()


def splits_of(manifest: pd.DataFrame, folds: int) -> Splits:
    """Of two parts, the first or both are tested; consecutive groups are of different diagnoses."""
    names = sorted(manifest["group"].unique())
    parts = [tuple(names[i] for i in range(len(names)) if i // 2 % 2 == part) for part in range(2)]
    return Splits(seed=0, folds=tuple(Fold(fold=i, train=parts[1 - i], test=parts[i]) for i in range(folds)))


def judge(
    manifest: pd.DataFrame,
    *,
    facts: pd.DataFrame | None = None,
    images: NDArray[np.float32] | None = None,
    seed: int = 0,
    folds: int = 1,
) -> tuple[ShortcutScores, ShortcutScores]:
    rng = np.random.default_rng(5)
    stack = images_of(manifest, rng) if images is None else images
    return audit(
        facts=facts_of(manifest, rng) if facts is None else facts,
        images={0: stack, 1: stack}.__getitem__,
        manifest=manifest,
        splits=splits_of(manifest, folds),
        config=CONFIG,
        seed=seed,
    )


@pytest.mark.parametrize(("fact", "folds"), [("file_bytes", 2), ("echo_time_ms", 1)])
def test_a_planted_fact_is_found_and_named(manifest: pd.DataFrame, fact: str, folds: int) -> None:
    facts = facts_of(manifest, np.random.default_rng(1))
    tumour = tumour_of(manifest)
    if fact == "file_bytes":
        facts[fact] += 40.0 * tumour
    else:
        facts[fact] = np.where(tumour, 90.0, np.nan)  # stated or not is all it says
    found, border = judge(manifest, facts=facts.sample(frac=1, random_state=0), folds=folds)
    assert found.what == "file_facts"
    assert found.suspected
    assert found.balanced_accuracy.estimate > 0.85
    assert found.telling[0] == fact
    assert (found.n_slices, found.n_subjects) == (len(manifest) * folds // 2, GROUPS * folds // 2)
    assert not border.suspected, "what the files say is not in the pixels"


@pytest.mark.parametrize("seed", range(2))
def test_facts_and_borders_by_chance_are_not_suspected(manifest: pd.DataFrame, seed: int) -> None:
    rng = np.random.default_rng(100 + seed)
    for scores in judge(manifest, facts=facts_of(manifest, rng), images=images_of(manifest, rng), seed=seed):
        assert not scores.suspected
        assert scores.balanced_accuracy.low <= 0.5 <= scores.chance_high < 0.8


def test_a_planted_corner_pixel_is_found_and_named(manifest: pd.DataFrame) -> None:
    images = images_of(manifest, np.random.default_rng(2)) * np.float32(0.1)
    images[tumour_of(manifest), 0, SIDE - 1, 0] = 1
    facts, border = judge(manifest, images=images)
    assert border.suspected
    assert border.balanced_accuracy.estimate > 0.95
    assert border.telling[0] == "bottom left corner"
    assert not facts.suspected


def test_nothing_inside_the_border_is_seen(manifest: pd.DataFrame) -> None:
    images = images_of(manifest, np.random.default_rng(3))
    width = SIDE // CONFIG.cells
    images[tumour_of(manifest), :, width:-width, width:-width] = 1
    assert not judge(manifest, images=images)[1].suspected


@pytest.mark.parametrize(("side", "width"), [(32, 2), (28, 2), (5, 1)])
def test_every_border_pixel_counts_and_no_other(side: int, width: int) -> None:
    one_lit = np.eye(side * side, dtype=np.float32).reshape(-1, 1, side, side)
    changed = border_features(one_lit, cells=16).table.any(axis=1).reshape(side, side)
    depth = np.minimum(np.arange(side), np.arange(side)[::-1])
    assert (changed == (np.minimum(depth[:, None], depth[None]) < width)).all()


def test_the_same_seed_gives_the_same_scores_whatever_groups_are_called(manifest: pd.DataFrame) -> None:
    renamed = manifest.assign(group=manifest["group"].str.replace("group-", "group-q"))
    first = judge(manifest, seed=3)
    assert judge(renamed, seed=3) == first
    assert judge(manifest, seed=4) != first


def test_a_fact_of_the_patient_tells_nothing_where_patients_have_both_diagnoses() -> None:
    groups = [f"group-{i:02d}" for i in range(GROUPS) for _ in range(SLICES)]
    both = manifest_of([DIAGNOSES[(i % SLICES) // 2] for i in range(len(groups))], groups)
    facts, _ = judge(both)
    assert not facts.suspected
    position = facts_of(both, np.random.default_rng(1)).assign(file_bytes=np.arange(len(both)) % SLICES * 10.0)
    facts, _ = judge(both, facts=position)
    assert facts.suspected, "a fact of the slice does, and the shuffle turns the series, so that luck cannot know it"
    assert facts.chance_high < facts.balanced_accuracy.estimate


def test_a_shuffle_deals_groups_whole_and_keeps_neighbours_together() -> None:
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(6).astype(str), [3, 5, 2, 8, 1, 6]).astype(object)
    pure = np.repeat([0, 1, 0, 1, 1, 0], [3, 5, 2, 8, 1, 6])
    dealt = [shuffle_diagnoses(pure, groups, rng=rng) for _ in range(200)]
    for diagnoses in dealt:
        per_group = [set(diagnoses[groups == name]) for name in np.unique(groups)]
        assert all(len(kinds) == 1 for kinds in per_group)
        assert sum(kinds == {1} for kinds in per_group) == 3
    assert np.mean(dealt, axis=0) == pytest.approx(0.5, abs=0.15), "every group gets either diagnosis"
    mixed = np.tile([0, 0, 1, 1, 1, 0, 0, 0], 5)
    names = np.repeat(np.arange(5).astype(str), 8).astype(object)
    dealt = [shuffle_diagnoses(mixed, names, rng=rng) for _ in range(400)]
    assert all(diagnoses.sum() == mixed.sum() for diagnoses in dealt)
    assert np.mean(dealt, axis=0) == pytest.approx(3 / 8, abs=0.1), "no place in the head is a tumour's"
    turns = [np.count_nonzero(d.reshape(5, 8) != np.roll(d.reshape(5, 8), 1, axis=1), axis=1) for d in dealt]
    assert (np.array(turns) == 2).all(), "one run of tumour, as before"


def test_words_are_columns_and_unknown_stays_unknown(manifest: pd.DataFrame) -> None:
    features = fact_features(facts_of(manifest, np.random.default_rng(0)))
    assert features.table.shape == (len(manifest), len(features.names))
    assert features.names.count("coding") == 2
    assert features.names.count("file_bytes") == 1
    assert np.isnan(features.table[:, features.names.index("echo_time_ms")]).all()
    assert "slice_id" not in features.names


def test_broken_contracts_are_refused(manifest: pd.DataFrame) -> None:
    facts = facts_of(manifest, np.random.default_rng(0))
    with pytest.raises(ContractError, match="of 1 slices"):
        judge(manifest, facts=facts.iloc[1:])
    with pytest.raises(ContractError, match="origin"):
        judge(manifest.assign(origin=["synthetic", *["real"] * (len(manifest) - 1)]))
    images = images_of(manifest, np.random.default_rng(0))
    with pytest.raises(ContractError, match="rows"):
        judge(manifest, images=images[1:])
    with pytest.raises(ContractError, match="range"):
        judge(manifest, images=images * 2)
