from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from pydantic import ValidationError

from data_contracts.manifest import DIAGNOSES, NO_TUMOUR, TUMOUR
from data_contracts.splits import Splits, check_fold, check_splits
from data_contracts.violations import ContractError
from pipeline.run_dir import RunDir
from pipeline.scans.ingest import ingest
from pipeline.scans.inputs import IngestConfig
from pipeline.scans.sources import list_source
from pipeline.scans.split import SplitConfig, split


def manifest(*, tumour: int, no_tumour: int, seed: int = 0) -> pd.DataFrame:
    """Groups of 1 to 6 slices of one diagnosis, in mixed order."""
    rng = np.random.default_rng(seed)
    groups = [(f"group-{i:03d}", TUMOUR if i < tumour else NO_TUMOUR) for i in range(tumour + no_tumour)]
    rows = [one for one in groups for _ in range(rng.integers(1, 7))]
    rows = [rows[i] for i in rng.permutation(len(rows))]
    table = pd.DataFrame(rows, columns=["group", "diagnosis"])
    table["subject"] = table["group"].str.replace("group", "subject")
    table["sha256"] = [f"{i:064x}" for i in range(len(table))]
    table["origin"] = "real"
    return table


def test_every_group_is_tested_once_over_all_folds_and_never_learned_from_in_that_fold() -> None:
    table = manifest(tumour=20, no_tumour=13)
    folds = split(table, config=SplitConfig(folds_drawn=4, folds_evaluated=4), seed=3).folds
    tested = [name for fold in folds for name in fold.test]
    assert sorted(tested) == sorted(set(table["group"]))
    for fold in folds:
        assert not set(fold.train) & set(fold.test)
        assert set(fold.train) | set(fold.test) == set(table["group"])


def test_parts_keep_the_share_of_each_diagnosis() -> None:
    table = manifest(tumour=60, no_tumour=30)
    share = (table["diagnosis"] == TUMOUR).mean()
    for fold in split(table, config=SplitConfig(folds_drawn=5, folds_evaluated=5), seed=1).folds:
        test = table[table["group"].isin(fold.test)]
        assert abs((test["diagnosis"] == TUMOUR).mean() - share) < 0.08
        assert abs(len(test) / len(table) - 0.2) < 0.05


def test_fewer_folds_evaluated_are_the_first_of_those_drawn() -> None:
    table = manifest(tumour=9, no_tumour=9)
    every = split(table, config=SplitConfig(folds_drawn=3, folds_evaluated=3), seed=5)
    one = split(table, config=SplitConfig(folds_drawn=3, folds_evaluated=1), seed=5)
    assert one.folds == every.folds[:1]


def test_the_seed_decides_and_nothing_else() -> None:
    table = manifest(tumour=12, no_tumour=12)
    config = SplitConfig()
    assert split(table, config=config, seed=1) == split(table, config=config, seed=1)
    assert split(table, config=config, seed=1) != split(table, config=config, seed=2)


def test_names_of_groups_do_not_matter() -> None:
    table = manifest(tumour=12, no_tumour=12)
    names = sorted(set(table["group"]))
    renamed = dict(zip(names, np.random.default_rng(0).permutation(names), strict=True))
    other = table.assign(group=table["group"].map(renamed))
    before = split(table, config=SplitConfig(), seed=4).folds[0].test
    after = split(other, config=SplitConfig(), seed=4).folds[0].test
    assert sorted(renamed[name] for name in before) == sorted(after)


def test_groups_that_hold_both_diagnoses_are_never_cut() -> None:
    table = manifest(tumour=8, no_tumour=8)
    rng = np.random.default_rng(0)
    table["diagnosis"] = rng.choice(DIAGNOSES, len(table))
    fold = split(table, config=SplitConfig(), seed=0).folds[0]
    assert not set(fold.train) & set(fold.test)


def test_a_subject_on_both_sides_is_refused() -> None:
    table = manifest(tumour=9, no_tumour=9).assign(subject="subject-0001")
    with pytest.raises(ContractError, match="subject on both sides"):
        split(table, config=SplitConfig(), seed=0)


@pytest.mark.parametrize(
    ("present", "advice"), [(0, "add 3 more$"), (1, "add 2 more$"), (2, "add 1 more, or set folds_drawn to 2")]
)
def test_too_few_groups_of_a_diagnosis_say_which_how_many_and_what_to_do(present: int, advice: str) -> None:
    table = manifest(tumour=present, no_tumour=9)
    with pytest.raises(ContractError, match=advice) as caught:
        split(table, config=SplitConfig(folds_drawn=3), seed=0)
    (violation,) = caught.value.violations
    assert violation.record == TUMOUR
    assert f"{present} with this diagnosis" in violation.detail
    assert "3 needed" in violation.detail


def test_two_patients_to_learn_from_cannot_tell_a_copy_from_a_likeness() -> None:
    with pytest.raises(ContractError, match="2 with tumour to learn from, at least 3"):
        split(manifest(tumour=4, no_tumour=9), config=SplitConfig(folds_drawn=2), seed=0)


def test_as_many_groups_as_parts_are_enough() -> None:
    table = manifest(tumour=5, no_tumour=5)
    config = SplitConfig(folds_drawn=5, folds_evaluated=5)
    for seed in range(20):
        assert len(split(table, config=config, seed=seed).folds) == 5


def test_repeats_are_other_draws_of_whole_k_folds() -> None:
    table = manifest(tumour=20, no_tumour=13)
    once = split(table, config=SplitConfig(folds_drawn=4, folds_evaluated=4), seed=3).folds
    thrice = split(table, config=SplitConfig(folds_drawn=4, folds_evaluated=4, repeats=3, shares=(0.5,)), seed=3).folds
    assert thrice[:4] == once
    assert [fold.fold for fold in thrice] == list(range(24))
    for repeat in (thrice[:4], thrice[4:8], thrice[8:12]):
        assert sorted(name for fold in repeat for name in fold.test) == sorted(set(table["group"]))
    assert len({fold.test for fold in thrice[:12]}) == 12  # no part was drawn twice
    assert [fold.test for fold in thrice[12:]] == [fold.test for fold in thrice[:12]]


def test_shares_are_nested_parts_of_whole_folds_tested_on_the_same_groups() -> None:
    table = manifest(tumour=40, no_tumour=24)
    plain = split(table, config=SplitConfig(folds_drawn=4, folds_evaluated=2), seed=3)
    splits = split(table, config=SplitConfig(folds_drawn=4, folds_evaluated=2, shares=(0.5, 0.25)), seed=3)
    assert splits.whole == plain
    assert [(fold.fold, fold.share) for fold in splits.folds] == [
        (0, 1.0), (1, 1.0), (2, 0.25), (3, 0.25), (4, 0.5), (5, 0.5),
    ]  # fmt: skip
    of = table.drop_duplicates("group").set_index("group")["diagnosis"]
    for whole, half, quarter in zip(splits.folds[:2], splits.folds[4:], splits.folds[2:4], strict=True):
        assert whole.test == half.test == quarter.test
        assert set(quarter.train) < set(half.train) < set(whole.train)
        for thin in (half, quarter):
            for diagnosis in DIAGNOSES:
                counts = [sum(of[name] == diagnosis for name in fold.train) for fold in (thin, whole)]
                assert counts[0] == pytest.approx(thin.share * counts[1], abs=0.5)


def test_so_many_subjects_are_learned_from_each_diagnosis_in_its_share_and_the_same_are_tested() -> None:
    table = manifest(tumour=24, no_tumour=12)
    config = SplitConfig(folds_drawn=2, folds_evaluated=2, repeats=2)
    few = split(table, config=config.model_copy(update={"subjects": 12}), seed=3).folds
    for fold, whole in zip(few, split(table, config=config, seed=3).folds, strict=True):
        assert len(fold.train) == 12
        assert set(fold.train) < set(whole.train)
        assert fold.test == whole.test
        assert fold.whole
        of_train = table[table["group"].isin(fold.train)].groupby("diagnosis")["group"].nunique()
        of_whole = table[table["group"].isin(whole.train)].groupby("diagnosis")["group"].nunique()
        assert abs(of_train[TUMOUR] - 12 * of_whole[TUMOUR] / of_whole.sum()) < 1
    assert len({frozenset(fold.train) for fold in few}) == 4  # each fold's own draw


def test_more_subjects_than_there_are_to_learn_from_name_each_fold() -> None:
    with pytest.raises(ContractError) as broken:
        split(manifest(tumour=9, no_tumour=9), config=SplitConfig(folds_evaluated=3, subjects=14), seed=0)
    assert [found.record for found in broken.value.violations] == ["fold-0", "fold-1", "fold-2"]
    assert "12 subjects or groups to learn from, 14 are to be drawn" in str(broken.value)


def test_names_of_groups_do_not_matter_to_shares() -> None:
    table = manifest(tumour=12, no_tumour=12)
    names = sorted(set(table["group"]))
    renamed = dict(zip(names, np.random.default_rng(0).permutation(names), strict=True))
    config = SplitConfig(shares=(0.5,))
    before = split(table, config=config, seed=4).folds[1].train
    after = split(table.assign(group=table["group"].map(renamed)), config=config, seed=4).folds[1].train
    assert sorted(renamed[name] for name in before) == sorted(after)


def test_a_share_that_leaves_too_few_to_learn_from_is_left_out() -> None:
    splits = split(manifest(tumour=30, no_tumour=12), config=SplitConfig(shares=(0.25, 0.5)), seed=0)
    assert [fold.share for fold in splits.folds] == [1.0, 0.5]


def test_a_share_that_learns_from_others_is_a_violation() -> None:
    table = manifest(tumour=20, no_tumour=20)
    splits = split(table, config=SplitConfig(shares=(0.5,)), seed=0)
    whole, half = splits.folds
    lost = whole.model_copy(update={"train": half.train[1:]})
    (found,) = check_splits(Splits(seed=0, folds=(lost, half)), table)
    assert (found.record, found.rule) == ("fold-1", "share")
    twice = half.model_copy(update={"fold": 0})
    assert [v.rule for v in check_splits(Splits(seed=0, folds=(whole, twice)), table)] == ["numbers"]
    assert check_fold(half, table) == []


@pytest.mark.parametrize("shares", [(1.0,), (0.0,), (0.5, 0.5)])
def test_shares_are_below_one_and_different(shares: tuple[float, ...]) -> None:
    with pytest.raises(ValidationError):
        SplitConfig(shares=shares)


def test_more_folds_evaluated_than_drawn_is_a_wrong_config() -> None:
    with pytest.raises(ValidationError, match="more than folds_drawn"):
        SplitConfig(folds_drawn=3, folds_evaluated=4)


def test_no_copy_in_the_253_set_stands_on_both_sides_of_any_fold(shared_data: Path, tmp_path: Path) -> None:
    source, run = shared_data / "brain_mri_253", RunDir(tmp_path)
    ingest(source=source, out=run, config=IngestConfig(), seed=0)
    manifest = pd.read_parquet(run.manifest)
    splits = split(manifest, config=SplitConfig(folds_drawn=5, folds_evaluated=5), seed=0)
    assert check_splits(splits, manifest) == []
    # copies by a measure apart from the pipeline's grouping: the box of everything bright, squeezed to one size
    paths = {f"file-{i:04d}": path for i, path in enumerate(list_source(source).paths, start=1)}
    pictures = [Image.open(paths[name]).convert("L") for name in manifest["slice_id"]]
    boxes = [picture.point(lambda grey: 255 * (grey > 60)).getbbox() for picture in pictures]
    vectors = [
        np.asarray(picture.crop(view).resize((48, 48)), float).ravel()
        for views in ([None] * len(pictures), boxes)
        for picture, view in zip(pictures, views, strict=True)
    ]
    half = len(pictures)
    alike = [np.triu(np.corrcoef(part), 1) > 0.98 for part in (vectors[:half], vectors[half:])]
    pairs = np.argwhere(alike[0] | alike[1])
    assert len(pairs) > 60  # the measure does find the copies that are known to be there
    groups = manifest["group"].to_numpy()
    for fold in splits.folds:
        in_test = np.isin(groups, fold.test)
        assert [(manifest["slice_id"][i], manifest["slice_id"][j]) for i, j in pairs if in_test[i] != in_test[j]] == []
