"""Slices that a generator drew to be painted on: what becomes of them, how high they are, and which none can use."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from phantom_heads import bank

from data_contracts.manifest import DIAGNOSES, NO_TUMOUR, TUMOUR
from data_contracts.splits import Fold
from flows import sampling
from flows.sampling import Generated
from pipeline.compute import PLAIN
from pipeline.evidence.memorisation import Found
from pipeline.run_dir import RunDir, write_array, write_table
from pipeline.synthesis.canvases import Canvases, heights, paintable
from pipeline.synthesis.conditions import Condition, Conditions
from pipeline.synthesis.gan import TrainingFailed
from pipeline.synthesis.networks.painter import PainterNetworkConfig, build
from pipeline.synthesis.painting import paint_set, painted_region
from pipeline.synthesis.sample import latent

SIDE = 32


def painter():
    torch.manual_seed(0)
    return build(PainterNetworkConfig(image_size=SIDE, width=8, max_width=16, latent_dim=8))[0].eval()


def dreamt(n: int = 6) -> Canvases:
    """Heads of the bank in another grey, as if drawn: none of them is a slice of it."""
    heads = bank(SIDE)
    return Canvases(np.clip(heads.no_tumour[:n] * 0.9, -1, 1).astype(np.float32), heads.no_tumour_positions[:n])


# --- painting on them ---


@pytest.mark.parametrize("diagnosis", DIAGNOSES)
def test_both_diagnoses_are_painted_where_a_lesion_might_be_and_say_whose_shape_it_is(diagnosis: str) -> None:
    heads, on, n = bank(SIDE), dreamt(), 15
    made = paint_set(heads, painter(), diagnosis=diagnosis, n=n, seed=5, compute=PLAIN, dreamt=on)
    assert sorted(set(made.source_rows.tolist())) == list(range(len(on.images)))
    counts = np.bincount(made.source_rows)
    assert counts.max() - counts.min() <= 1  # in turn
    assert set(made.lesion_rows.tolist()) <= set(heads.tumour_rows.tolist())
    for image, source, region in zip(made.images, made.source_rows, painted_region(made.masks), strict=True):
        assert np.array_equal(image[0][~region], on.images[source][0][~region])  # bit for bit
        assert not np.array_equal(image[0][region], on.images[source][0][region])


def test_by_one_seed_the_regions_of_both_diagnoses_are_the_same() -> None:
    tumour, healthy = (
        paint_set(bank(SIDE), painter(), diagnosis=d, n=9, seed=5, compute=PLAIN, dreamt=dreamt())
        for d in (TUMOUR, NO_TUMOUR)
    )
    np.testing.assert_array_equal(tumour.masks, healthy.masks)  # so that place and size tell nothing


def test_only_slices_with_a_head_can_be_painted_on() -> None:
    images = np.concatenate([dreamt(2).images, np.full((1, 1, SIDE, SIDE), -1, np.float32)])
    assert paintable(images).tolist() == [True, True, False]


# --- how high they are ---


def trained(levels: tuple[Condition, ...], edges: tuple[float, ...]) -> SimpleNamespace:
    """What `latent` and `heights` ask of a trained GAN, each condition as often as the others."""
    return SimpleNamespace(
        network=SimpleNamespace(latent_dim=4),
        condition_counts=(1,) * len(levels),
        conditions=Conditions(position_edges=edges, levels=levels),
    )


def test_a_height_is_one_that_training_slices_have_in_the_interval_of_the_condition() -> None:
    known = np.array([0.30, 0.35, 0.50, 0.55, 0.70, np.nan])
    low, high = Condition(position=(0,)), Condition(position=(1, 2))
    seeds = list(range(60))
    gan = trained((low, high), (0.5, 0.6))
    found = heights(gan, seeds, known)
    of = np.array([latent(seed, gan)[1] for seed in seeds])
    assert set(found[of == 0]) == {0.30, 0.35}
    assert set(found[of == 1]) == {0.50, 0.55, 0.70}  # an edge belongs to the interval above it
    np.testing.assert_array_equal(heights(gan, seeds[10:20], known), found[10:20])  # by its seed alone


def test_a_height_is_unknown_where_conditions_say_nothing_of_it_or_no_training_slice_has_one() -> None:
    assert np.isnan(heights(trained((Condition(),), ()), [1, 2], np.array([0.4]))).all()
    empty = trained((Condition(position=(0,)),), (0.5,))
    assert np.isnan(heights(empty, [1, 2], np.array([0.7, np.nan]))).all()


# --- drawing them ---


class Finder:
    """Calls images near-copies whose first pixel says so."""

    threshold = 0.02

    def find(self, images: np.ndarray) -> Found:
        copied = images[:, 0, 0, 0] > 0.9
        zeros = np.zeros(len(images), np.float32)
        return Found(zeros, np.zeros(len(images), np.int64), copied, np.zeros(len(images), np.bool_))


def drawn(root: Path, monkeypatch: pytest.MonkeyPatch, *, wanted: int, copied: set[int], **more: object) -> Generated:
    """Sample from a generator whose image of a seed is noise by that seed; copied: seeds that give near-copies."""
    run, n = RunDir(root), 60  # so many that a new one is within their range
    noise = np.random.default_rng(0).uniform(-1, 0.5, (n, 1, 8, 8)).astype(np.float32)
    write_array(run.normalised(0), noise)
    write_table(run.manifest, pd.DataFrame({"group": [f"g{i}" for i in range(n)], "diagnosis": NO_TUMOUR}))

    def image(seed: int) -> np.ndarray:
        made = np.random.default_rng(seed).uniform(-1, 0.5, (1, 8, 8)).astype(np.float32)
        made[0, 0, 0] = 1 if seed in copied else 0
        return made

    monkeypatch.setattr(sampling.model_dir, "load_generator", lambda _folder: (None, None))
    monkeypatch.setattr(sampling, "sample", lambda _generator, _trained, seeds: np.stack([image(s) for s in seeds]))
    fold = Fold(fold=0, train=tuple(f"g{i}" for i in range(n)), test=("other",))
    return sampling._screened_sample(
        run,
        fold,
        NO_TUMOUR,
        model=root,
        wanted=wanted,
        finder=Finder(),
        seed=100,
        update=lambda *_: None,
        **more,
    )


def test_seeds_of_two_sets_are_taken_in_turns_whatever_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = drawn(tmp_path, monkeypatch, wanted=5, copied={102, 104, 110}, every=2)
    assert found.seeds.tolist() == [100, 102, 104, 106, 108, 110, 112, 114]
    assert found.seeds[found.chosen].tolist() == [100, 106, 108, 112, 114]


def test_what_cannot_be_painted_on_counts_as_broken_and_is_drawn_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = drawn(tmp_path, monkeypatch, wanted=4, copied=set(), sound=lambda images: np.arange(len(images)) != 1)
    assert odd.screened.broken.tolist() == [False, True, False, False, False]
    assert len(odd.chosen) == 4


def test_where_nothing_passes_the_training_has_failed_and_it_is_said_of_what(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = drawn(tmp_path, monkeypatch, wanted=2, copied=set(range(100, 200)))
    assert len(found.images) == sampling.MOST_DRAWN * 2
    with pytest.raises(TrainingFailed, match=r"none of 8 generated canvases of fold 0 .*8 near-copies, 0 broken"):
        sampling._require_some(found, "canvases of fold 0")
