from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import ValidationError

from data_contracts.manifest import DIAGNOSES, NO_TUMOUR, TUMOUR
from data_contracts.results import PRIMARY_ARM
from data_contracts.splits import Fold
from pipeline.compute import PLAIN
from pipeline.evidence import utility
from pipeline.evidence.arms import FoldData
from pipeline.evidence.classifier import POOLED, ClassifierConfig
from pipeline.evidence.utility import UtilityConfig, find_temperature, find_way, predict_arms
from pipeline.evidence.ways import WAYS, Choice, WaysConfig, choose_way, inner_folds, schedule
from pipeline.run_dir import RunDir, read_record, write_array

TINY = UtilityConfig(
    seeds=1,
    calibrate=False,
    controls=False,
    way="best",
    ways=WaysConfig(inner_folds=2),
    classifier=ClassifierConfig(steps=2, batch_size=8, width=4),
)
SIZE, SLICES = 16, 4
PAINTED_WAYS = tuple(way for way in WAYS if way != "balance")


class Judge(torch.nn.Module):
    """Says tumour where an image is bright, or says it of the dark ones."""

    def __init__(self, side):
        super().__init__()
        self.side = torch.nn.Parameter(torch.tensor(float(side)))

    def forward(self, images):
        return self.side * images.mean((1, 2, 3))


def painted(n, value, rng):
    return (value + rng.uniform(-0.1, 0.1, (n, 1, SIZE, SIZE))).astype(np.float32)


@pytest.fixture
def data():
    """Nine groups of four slices, half of each group with a tumour, which is bright; no test slice can be looked at."""
    rng = np.random.default_rng(0)
    diagnoses = np.arange(9 * SLICES) % 2
    real = np.where(diagnoses[:, None, None, None] == 1, painted(36, 0.5, rng), painted(36, -0.5, rng))
    groups = pd.Series(np.repeat([f"g{i}" for i in range(9)], SLICES))
    sources = [{f"g{i}", f"g{(i + 1) % 9}"} for i in range(9) for _ in range(3)]
    return FoldData(
        fold=Fold(fold=2, train=tuple(sorted(set(groups))), test=("t",)),
        real=real.astype(np.float32),
        real_diagnoses=diagnoses,
        real_groups=groups,
        synthetic={NO_TUMOUR: painted(27, -0.4, rng), TUMOUR: painted(27, 0.4, rng)},
        test=np.full((4, 1, SIZE, SIZE), np.nan, np.float32),
        test_rows=pd.DataFrame({"slice_id": list("abcd"), "group": "t", "diagnosis": list(DIAGNOSES) * 2}),
        sources={NO_TUMOUR: sources, TUMOUR: sources[::-1]},
    )


def chosen(data, learn, **config):
    return choose_way(data=data, learn=learn, config=WaysConfig(**config), rng=np.random.default_rng(1))


def test_what_each_way_means_step_by_step():
    config = WaysConfig(pretrain_share=0.25, weight=0.3)
    assert schedule("mix", steps=8, config=config) == schedule("balance", steps=8, config=config) == POOLED
    assert schedule("pretrain", steps=8, config=config).share == (1, 1, 0, 0, 0, 0, 0, 0)
    assert schedule("curriculum", steps=5, config=config).share == (1, 0.75, 0.5, 0.25, 0)
    assert schedule("weigh", steps=8, config=config).weight == 0.3
    assert schedule("weigh", steps=8, config=config).share is None


def test_inner_folds_hold_every_group_once_and_share_out_each_stratum():
    groups = pd.Series(np.repeat([f"g{i:02d}" for i in range(18)], 3))
    number = groups.str[1:].astype(int).to_numpy()
    diagnoses = np.where(number < 6, 0, np.where(number < 12, 1, np.arange(54) % 2))
    parts = inner_folds(groups=groups, diagnoses=diagnoses, count=3, rng=np.random.default_rng(0))
    assert sorted(name for part in parts for name in part) == sorted(set(groups))
    for part in parts:
        kinds = [int(name[1:]) // 6 for name in part]
        assert [kinds.count(kind) for kind in range(3)] == [2, 2, 2]
    other = inner_folds(groups=groups, diagnoses=diagnoses, count=3, rng=np.random.default_rng(1))
    assert set(other) != set(parts)
    assert len(inner_folds(groups=groups[:6], diagnoses=diagnoses[:6], count=3, rng=np.random.default_rng(0))) == 2


def test_the_way_that_does_best_on_groups_kept_aside_is_chosen(data):
    tried = chosen(replace(data, sources=None), lambda _, way, __: Judge(1 if way == "pretrain" else -1))
    assert tuple(one.way for one in tried) == WAYS
    assert [one.balanced_accuracy for one in tried] == [1.0 if way == "pretrain" else 0.0 for way in WAYS]
    assert [one.way for one in tried if one.chosen] == ["pretrain"]
    assert {(one.fold, one.n_groups) for one in tried} == {(2, 9)}
    assert Choice(tried=tried).way == "pretrain"


def test_painted_slices_are_never_added_to_one_diagnosis_alone(data):
    tried = chosen(data, lambda _, way, __: Judge(1 if way == "balance" else -1))
    assert tuple(one.way for one in tried) == PAINTED_WAYS
    assert Choice(tried=tried).way == "mix"


def test_a_tie_goes_to_mix_whatever_the_order(data):
    tried = chosen(data, lambda *_: Judge(1), tried=("balance", "curriculum", "mix"))
    assert [one.way for one in tried if one.chosen] == ["mix"]


def test_nothing_that_learns_meets_a_group_kept_aside_or_a_test_slice(data):
    seen = []
    chosen(data, lambda left, *_: seen.append(left) or Judge(1), inner_folds=3)
    assert len(seen) == 3 * len(PAINTED_WAYS)
    for left in seen:
        kept = set(left.real_groups)
        assert len(kept) == 6
        assert len(left.real) == len(left.real_diagnoses) == len(left.real_groups) == 6 * SLICES
        assert len(left.test) == len(left.test_rows) == 0
        for name in DIAGNOSES:
            assert 0 < len(left.synthetic[name]) == len(left.sources[name]) < 27
            assert all(of <= kept for of in left.sources[name])
            stays = [of <= kept for of in data.sources[name]]
            np.testing.assert_array_equal(left.synthetic[name], data.synthetic[name][stays])
    plain = []
    chosen(replace(data, sources=None), lambda left, *_: plain.append(left) or Judge(1))
    assert all(len(left.synthetic[name]) == 27 for left in plain for name in DIAGNOSES)


def test_without_some_groups_the_dose_falls_in_both_diagnoses_alike(data):
    two = {NO_TUMOUR: [{f"g{i % 9}"} for i in range(27)], TUMOUR: data.sources[TUMOUR]}
    pasted = {NO_TUMOUR: data.synthetic[NO_TUMOUR], TUMOUR: data.synthetic[TUMOUR][:18]}
    of_pasted = {NO_TUMOUR: two[NO_TUMOUR], TUMOUR: two[TUMOUR][:18]}
    aside = {"g2", "g6"}
    left = replace(data, sources=two, pasted=pasted, pasted_sources=of_pasted).without(aside)
    assert [len(left.synthetic[name]) for name in (NO_TUMOUR, TUMOUR)] == [15, 15]  # 21 and 15 do without the two
    free = sum(aside.isdisjoint(of) for of in of_pasted[TUMOUR])
    assert len(left.pasted[TUMOUR]) == free
    assert len(left.pasted[NO_TUMOUR]) == pytest.approx(free * 27 / 18, abs=0.5)
    for images, sources, whole in (
        (left.synthetic, left.sources, data.synthetic),
        (left.pasted, left.pasted_sources, pasted),
    ):
        for name in DIAGNOSES:
            order = [image.tobytes() for image in whole[name]]
            rows = [order.index(image.tobytes()) for image in images[name]]
            assert len(set(rows)) == len(rows)
            assert [two[name][row] for row in rows] == sources[name]
            assert all(aside.isdisjoint(of) for of in sources[name])


def test_an_inner_fold_without_any_synthetic_slice_left_is_passed_over_for_every_way(data):
    everywhere = [set(data.real_groups)] * 27
    ticks = []
    tried = choose_way(
        data=replace(data, sources=dict.fromkeys(DIAGNOSES, everywhere)),
        learn=lambda *_: pytest.fail("there is nothing to learn from"),
        config=WaysConfig(),
        rng=np.random.default_rng(0),
        progress=lambda: ticks.append(1),
    )
    assert tried == ()
    assert len(ticks) == 15
    assert Choice(tried=tried).way == "mix"


def test_the_choice_trains_every_way_alike_and_does_not_depend_on_the_test_part(data, monkeypatch):
    data = replace(data, sources=None)  # with them one way is not tried
    calls, real = [], utility.train_classifier
    monkeypatch.setattr(utility, "train_classifier", lambda **kw: calls.append(kw) or real(**kw))
    tried = find_way(data=data, config=TINY, seed=7, compute=PLAIN)
    assert len(calls) == 2 * len(WAYS)
    assert len({call["seed"] for call in calls[: len(WAYS)]}) == 1
    assert calls[0]["seed"] != calls[len(WAYS)]["seed"]
    assert all(np.isfinite(call["images"]).all() for call in calls)
    pretrain = calls[WAYS.index("pretrain")]
    assert pretrain["schedule"].share == (1, 0)
    assert len(pretrain["images"]) == len(calls[0]["images"]) > len(calls[WAYS.index("balance")]["images"])
    other = replace(data, test=np.zeros_like(data.test))
    assert find_way(data=other, config=TINY, seed=7, compute=PLAIN) == tried


def test_a_temperature_is_found_without_images_of_the_groups_kept_aside(data, monkeypatch):
    calls, real = [], utility.train_classifier
    monkeypatch.setattr(utility, "train_classifier", lambda **kw: calls.append(kw) or real(**kw))
    find_temperature(data=data, arm="synthetic_only", config=TINY, seed=7, compute=PLAIN)
    find_temperature(data=replace(data, sources=None), arm="synthetic_only", config=TINY, seed=7, compute=PLAIN)
    fewer, all_of_them = (len(call["images"]) for call in calls)
    assert all_of_them == 28  # one to one: seven groups of two slices of each diagnosis
    shared = [image.tobytes() for name in DIAGNOSES for image in data.synthetic[name]]
    used = {shared.index(image.tobytes()) for image in calls[0]["images"]}
    sources = [of for name in DIAGNOSES for of in data.sources[name]]
    met = set().union(*(sources[i] for i in used))
    assert 0 < fewer <= all_of_them
    assert len(met) <= 7


def test_a_study_chooses_once_a_fold_and_goes_on_with_what_was_chosen(data, tmp_path, monkeypatch):
    run = RunDir(tmp_path)
    test = painted(4, 0.0, np.random.default_rng(5))
    write_array(run.normalised(2), np.concatenate([data.real, test]))
    manifest = pd.DataFrame(
        {
            "slice_id": [f"s{i:02d}" for i in range(40)],
            "origin": "real",
            "subject": [*data.real_groups, "t", "t", "t", "t"],
            "group": [*data.real_groups, "t", "t", "t", "t"],
            "diagnosis": [DIAGNOSES[i % 2] for i in range(40)],
            "sha256": [f"{i:064x}" for i in range(40)],
        }
    )
    study = {"run": run, "manifest": manifest, "fold": data.fold, "synthetic": data.synthetic, "config": TINY}
    study |= {"sources": data.sources, "seed": 7, "compute": PLAIN}
    seen = []
    whole = predict_arms(**study, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(i, 15) for i in range(1, 16)]
    kept = run.metric("predictions/2-way.json")
    record = read_record(kept, Choice)
    assert record.tried == find_way(data=data, config=TINY, seed=7, compute=PLAIN)
    calls, real = [], utility.train_classifier
    monkeypatch.setattr(utility, "train_classifier", lambda **kw: calls.append(kw) or real(**kw))
    pd.testing.assert_frame_equal(predict_arms(**study), whole)
    assert not calls
    other = Choice(tried=tuple(one.model_copy(update={"chosen": one.way == "pretrain"}) for one in record.tried))
    kept.write_text(other.model_dump_json())
    for file in run.metric("predictions").glob("*.parquet"):
        file.unlink()
    found = predict_arms(**study)
    assert [call["schedule"].share for call in calls] == [None, None, (1, 0), (1, 0), None]
    before, after = (rows[rows["arm"] == PRIMARY_ARM] for rows in (whole, found))
    assert (before["n_added"].to_numpy() == after["n_added"].to_numpy()).all()


@pytest.mark.parametrize("tried", [("pretrain", "weigh"), ("mix", "mix"), ()])
def test_mix_is_always_among_the_ways_tried(tried):
    with pytest.raises(ValidationError, match="mix among them"):
        WaysConfig(tried=tried)
