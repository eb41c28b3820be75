"""The benchmark that tries to mend generators of whole slices."""

import importlib.util
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from data_contracts.manifest import DIAGNOSES, NO_TUMOUR, TUMOUR
from pipeline.compute import PLAIN
from pipeline.synthesis import model_dir, training
from pipeline.synthesis.config import GanConfig
from pipeline.synthesis.networks.lean import LeanConfig
from pipeline.synthesis.training import TrainingSet

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
SIDE, N = 16, 48
NETWORK = LeanConfig(latent_dim=8, width=8, max_width=16)
CONFIG = GanConfig(images=96, batch_size=8, tick=96, network=NETWORK, position_bins=2)


def load_benchmark():
    sys.path.insert(0, str(BENCHMARKS))  # as where it is run: it takes what it can from its neighbours
    try:
        found = importlib.util.spec_from_file_location("mended_benchmark", BENCHMARKS / "mended.py")
        module = importlib.util.module_from_spec(found)
        sys.modules["mended_benchmark"] = module  # dataclasses look their module up
        found.loader.exec_module(module)
    finally:
        sys.path.remove(str(BENCHMARKS))
    return module


mended = load_benchmark()


def slices():
    """Both diagnoses at every height, of images that tell nothing."""
    rng = np.random.default_rng(0)
    return TrainingSet(
        images=rng.uniform(-1, 1, (N, 1, SIDE, SIDE)).astype(np.float32),
        groups=[f"s{i // 4}" for i in range(N)],
        diagnoses=[DIAGNOSES[i % 2] for i in range(N)],
        positions=np.linspace(0.3, 0.7, N),
        sequences=["flair"] * N,
        planes=["axial"] * N,
    )


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("joint")
    arguments = {"folder": folder / "joint", "data": slices(), "config": CONFIG, "seed": 3, "compute": PLAIN}
    training.train(**arguments, progress=lambda *_: None)
    found = {}
    for one in DIAGNOSES:
        model_dir.derive(folder / "joint", folder / one, diagnosis=one)
        found[one] = model_dir.load_generator(folder / one)
    return found


def test_a_pair_is_of_one_latent_and_one_height(models, monkeypatch):
    asked = []
    monkeypatch.setattr(mended, "decode", lambda _, code: asked.append(code) or np.zeros((1, 4, 4), np.float32))
    found = mended.pairs(models, range(20))
    assert {one: len(of) for one, of in found.items()} == {TUMOUR: 20, NO_TUMOUR: 20}
    levels = models[TUMOUR][1].conditions.levels
    for tumour, none in zip(asked[::2], asked[1::2], strict=True):
        assert torch.equal(tumour.vector, none.vector)
        said = levels[tumour.condition], levels[none.condition]
        assert [one.diagnosis for one in said] == [TUMOUR, NO_TUMOUR]
        assert said[0].position == said[1].position


def test_apart_no_latent_is_in_both_diagnoses(models, monkeypatch):
    asked = []
    monkeypatch.setattr(mended, "sample", lambda *_, seeds: asked.append(set(seeds)))
    mended.apart(models, range(20))
    assert [len(of) for of in asked] == [20, 20]
    assert asked[0].isdisjoint(asked[1])


def test_images_that_a_joint_generator_was_shown_count_once(models):
    assert mended.shown(models, mended.Variant("joint")) == CONFIG.images
    copies = {
        one: (None, SimpleNamespace(joint_until=100, images_seen=100 + more))
        for one, more in zip(DIAGNOSES, (30, 50), strict=True)
    }
    assert mended.shown(copies, mended.Variant("finetune")) == 180
    alone = {one: (None, SimpleNamespace(joint_until=None, images_seen=70)) for one in DIAGNOSES}
    assert mended.shown(alone, mended.Variant("per_class")) == 140


@pytest.mark.parametrize("strategy", ["per_class", "joint", "finetune"])
def test_every_strategy_has_the_same_minutes_in_all(strategy):
    how, config = mended.SynthesisConfig(strategy=strategy), mended.gan_config(3.0)
    if strategy == "per_class":
        spent = 2 * config.minutes
    else:
        spent = config.with_budget(how.joint_budget).minutes
        if strategy == "finetune":
            spent += 2 * (config.with_budget(how.copy_budget).minutes - spent)
    assert spent == pytest.approx(3.0)


class Guided(mended.Mending):
    """Knows its slices and nothing else: none is a copy, and the guide takes bright ones for tumours."""

    def __init__(self):
        rng = np.random.default_rng(0)
        rows = pd.DataFrame({"diagnosis": list(DIAGNOSES) * 10})
        images = rng.uniform(-1, 1, (20, 1, SIDE, SIDE)).astype(np.float32)
        self.data = mended.Data("invented", images, rows, np.zeros(20, np.bool_))
        mean = torch.nn.Conv2d(1, 1, SIDE, bias=False)
        torch.nn.init.constant_(mean.weight, 1 / SIDE**2)
        self.guide = torch.nn.Sequential(mean, torch.nn.Flatten(0))
        copies = np.array([False, False, True, False])
        self.finder = SimpleNamespace(find=lambda _: SimpleNamespace(near_copy=copies))


def test_the_screen_keeps_copies_back_and_the_guide_what_does_not_show_its_diagnosis():
    contrast = np.random.default_rng(1).uniform(-1, 1, (4, 1, SIDE, SIDE)).astype(np.float32)
    images = contrast - contrast.mean((2, 3), keepdims=True) + np.array([0.02, -0.02, 0.02, 0.02])[:, None, None, None]
    images = images.astype(np.float32)
    mending = Guided()
    assert mending.passes(images, TUMOUR, agreed=False).tolist() == [True, True, False, True]
    assert mending.passes(images, TUMOUR, agreed=True).tolist() == [True, False, False, True]
    assert mending.passes(images, NO_TUMOUR, agreed=True).tolist() == [False, True, False, False]


def predictions(arm, skill, rng):
    right = np.tile([1.0, -1.0], 40)
    rows = {
        "slice_id": [f"s{i}" for i in range(80)],
        "group": [f"group-{i // 4}" for i in range(80)],
        "diagnosis": np.where(right > 0, TUMOUR, NO_TUMOUR),
        "fold": 0,
        "arm": arm,
    }
    tables = [
        pd.DataFrame(rows).assign(seed=seed, probability=1 / (1 + np.exp(-skill * right - rng.normal(size=80))))
        for seed in range(2)
    ]
    return pd.concat(tables, ignore_index=True)


def test_the_table_has_a_row_for_what_is_finished_with_these_minutes_and_tells_gain_from_loss(tmp_path):
    rng = np.random.default_rng(0)
    trainer = SimpleNamespace(work=tmp_path, notes=tmp_path / "mended.jsonl", minutes=3.0)
    (tmp_path / "mended").mkdir()
    predictions(mended.REAL, 1.0, rng).to_parquet(mended.predictions_path(trainer, mended.REAL, 0))
    like = {"coverage": [0.5, 0.8], "recall": [0.25, 0.75], "kid": [1.0, 0.1]}
    lines = []
    for name, skill in (("joint", 0.2), ("painted", 4.0)):
        both = [predictions(mended.ALONE, skill, rng), predictions(mended.BESIDE, skill, rng)]
        pd.concat(both).to_parquet(mended.predictions_path(trainer, name, 0))
        line = {"name": name, "seed": 0, "cpu_minutes": 3.0, "images_seen": 1234, "n": {NO_TUMOUR: 7, TUMOUR: 8}}
        lines.append(line | dict.fromkeys(DIAGNOSES, like))
    lines.append(lines[0] | {"cpu_minutes": 5.0})
    trainer.notes.write_text("".join(json.dumps(line) + "\n" for line in lines))
    _, _, real, joint, painted = mended.table(trainer, 0).splitlines()
    assert real.startswith("| none: real + classic |")
    assert joint.startswith("| joint | 1,234 | 7 + 8 | 0.50 (0.80) | 0.25 (0.75) | 1.00 (0.10) | 0.")
    assert [row.split("|")[-2].strip()[0] for row in (joint, painted)] == ["−", "+"]
