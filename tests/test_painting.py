from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from phantom_heads import bank

from data_contracts.manifest import DIAGNOSES, NO_TUMOUR, TUMOUR
from flows.painting import MOST_PAINTED, paint_until
from pipeline.compute import PLAIN
from pipeline.export.gate import Screened
from pipeline.synthesis.lesions import edge_width, head_of, soften, widened
from pipeline.synthesis.networks.painter import PainterNetworkConfig, build
from pipeline.synthesis.painting import (
    EXAMPLES,
    PLACES,
    brims,
    guesses,
    lesson,
    paint_set,
    painted_region,
    propose_many,
)

SIDE = 32


def painter(diagnosis=TUMOUR):
    torch.manual_seed(0)
    guided = diagnosis == NO_TUMOUR
    return build(PainterNetworkConfig(image_size=SIDE, width=8, max_width=16, latent_dim=8, guided=guided))[0].eval()


def known(images):
    """Bytes of each slice, for membership."""
    return {np.float32(image).tobytes() for image in images}


@pytest.mark.parametrize("diagnosis", DIAGNOSES)
def test_a_painter_restores_its_own_diagnosis_and_paints_on_the_other(diagnosis):
    learned, heads = lesson(bank(SIDE), diagnosis, seed=1), bank(SIDE)
    own, other = (heads.tumour, heads.no_tumour) if diagnosis == TUMOUR else (heads.no_tumour, heads.tumour)
    for source, slices in ((learned.pairs, own), (learned.canvases, other)):
        images, masks, guesses = source(torch.Generator().manual_seed(3), 24)
        assert (guesses is None) == (diagnosis == TUMOUR)
        assert known(images.numpy()) <= known(slices)
        assert images.shape == masks.shape == (24, 1, SIDE, SIDE)
        assert masks.flatten(1).max(1).values.eq(1).all()  # none is empty
        assert masks.min() == 0
    again = [source(torch.Generator().manual_seed(3), 24) for source in (learned.canvases, learned.canvases)]
    assert all(torch.equal(*one) for one in zip(*again, strict=True) if one[0] is not None)
    images, masks, _ = learned.examples
    assert len(images) == len(masks) == EXAMPLES
    assert known(images.numpy()) <= known(other)


def test_a_slice_without_a_mask_of_its_own_has_several_places():
    source = lesson(bank(SIDE), TUMOUR, seed=1).canvases
    images, masks, _ = source(torch.Generator().manual_seed(0), 400)
    places = {}
    for image, mask in zip(images.numpy(), masks.numpy(), strict=True):
        places.setdefault(image.tobytes(), set()).add(mask.tobytes())
    assert max(len(of) for of in places.values()) == PLACES


def test_holes_to_learn_from_are_as_wide_as_what_is_painted_over():
    heads = bank(SIDE)
    proposed = propose_many(heads, PLACES, np.random.default_rng(1))
    of = [head_of(heads.no_tumour[i // PLACES]) for i in range(len(proposed))]
    wide = {widened(mask, head | mask).tobytes() for mask, head in zip(proposed, of, strict=True)}
    _, masks, _ = lesson(heads, NO_TUMOUR, seed=1).pairs(torch.Generator().manual_seed(0), 50)
    assert {(mask[0].numpy() == 1).tobytes() for mask in masks} <= wide


def test_lesions_are_painted_over_with_their_brims():
    heads = bank(SIDE)
    images, masks, _ = lesson(heads, NO_TUMOUR, seed=1).canvases(torch.Generator().manual_seed(0), 200)
    own = dict(zip((image.tobytes() for image in heads.tumour), brims(heads), strict=True))
    assert {image.numpy().tobytes() for image in images} == known(heads.tumour)
    for image, mask in zip(images.numpy(), masks.numpy(), strict=True):
        assert np.array_equal(mask[0] == 1, own[image.tobytes()])
    made = paint_set(heads, painter(NO_TUMOUR), diagnosis=NO_TUMOUR, n=20, seed=5, compute=PLAIN)
    place = {int(row): i for i, row in enumerate(heads.tumour_rows)}
    for source, mask in zip(made.source_rows, made.masks, strict=True):
        assert np.array_equal(mask, brims(heads)[place[int(source)]])


def test_a_slice_in_which_a_part_of_a_lesion_may_stay_never_becomes_one_without():
    heads = replace(bank(SIDE), whole=False)
    learned = lesson(heads, NO_TUMOUR, seed=1)
    for source in (learned.pairs, learned.canvases):
        images, *_ = source(torch.Generator().manual_seed(0), 200)
        assert {image.numpy().tobytes() for image in images} <= known(heads.no_tumour)
    made = paint_set(heads, painter(NO_TUMOUR), diagnosis=NO_TUMOUR, n=20, seed=5, compute=PLAIN)
    assert set(made.source_rows.tolist()) <= set(heads.no_tumour_rows.tolist())
    assert set(made.lesion_rows.tolist()) <= set(heads.tumour_rows.tolist())  # whose place it is
    place = {int(row): i for i, row in enumerate(heads.no_tumour_rows)}
    for image, source, region in zip(made.images, made.source_rows, painted_region(made.masks), strict=True):
        assert np.array_equal(image[0][~region], heads.no_tumour[place[int(source)]][0][~region])


def test_what_is_painted_over_holds_the_whole_lesion():
    heads = bank(SIDE)
    assert (brims(heads) & heads.masks).sum() == heads.masks.sum()
    assert brims(heads).sum() > heads.masks.sum()


@pytest.mark.parametrize("diagnosis", DIAGNOSES)
def test_a_painted_set_says_what_each_slice_was_made_of(diagnosis):
    heads, n = bank(SIDE), 20
    made = paint_set(heads, painter(diagnosis), diagnosis=diagnosis, n=n, seed=5, compute=PLAIN)
    canvases, rows = (
        (heads.no_tumour, heads.no_tumour_rows) if diagnosis == TUMOUR else (heads.tumour, heads.tumour_rows)
    )
    place = {int(row): i for i, row in enumerate(rows)}
    for image, mask, source, region in zip(
        made.images, made.masks, made.source_rows, painted_region(made.masks), strict=True
    ):
        canvas = canvases[place[int(source)]]
        assert np.array_equal(image[0][~region], canvas[0][~region])  # bit for bit
        assert not np.allclose(image[0][mask], canvas[0][mask])
        assert np.array_equal(region, soften(mask, edge_width(SIDE)) > 0)
    assert len(set(made.source_rows.tolist())) == min(n, len(canvases))  # none twice before all came
    if diagnosis == TUMOUR:
        assert set(made.lesion_rows.tolist()) <= set(heads.tumour_rows.tolist())
    else:
        assert (made.lesion_rows == -1).all()


def test_a_guess_is_the_other_side_and_tells_nothing_of_what_is_hidden():
    heads = bank(SIDE)
    holes, rows = brims(heads)[:6], np.arange(6)
    found = guesses(heads.tumour, holes, rows)
    assert np.abs(found).max() <= 1
    changed = np.where(holes[:, None], 0.9, heads.tumour[:6]).astype(np.float32)  # another lesion
    same = guesses(changed, holes, rows)
    np.testing.assert_array_equal(same[:, 0][holes], found[:, 0][holes])
    mirror = [hole[:, ::-1] & ~hole for hole in holes]  # phantom heads are symmetric about the middle column
    for image, guess, there in zip(heads.tumour[:6, 0], found[:, 0], mirror, strict=True):
        assert np.abs(guess[:, ::-1] - image)[there].mean() < np.abs(image[:, ::-1] - image)[there].mean()


def test_a_slice_of_a_set_follows_from_its_seed_and_other_seeds_make_others():
    one, same, other = (
        paint_set(bank(SIDE), painter(), diagnosis=TUMOUR, n=4, seed=seed, compute=PLAIN) for seed in (5, 5, 6)
    )
    assert np.array_equal(one.images, same.images)
    assert not np.array_equal(one.images, other.images)
    assert len(set(one.seeds.tolist())) == 4


def test_no_painter_paints_another_diagnosis():
    with pytest.raises(ValueError, match="'stroke'"):
        paint_set(bank(SIDE), painter(), diagnosis="stroke", n=1, seed=0, compute=PLAIN)
    assert {NO_TUMOUR, TUMOUR} == set(DIAGNOSES)


def rounds_until(wanted, kept):
    """Numbers of slices painted in each round where a judge keeps kept(number) of so many, from the first on."""
    asked = []

    def painted_in(turn, n):
        assert turn == len(asked)
        asked.append(n)
        return paint_set(bank(SIDE), painter(), diagnosis=TUMOUR, n=n, seed=turn, compute=PLAIN)

    def screen(made, **_):
        refused = np.arange(len(made.images)) >= kept(len(made.images))
        return Screened(near_copy=refused, broken=np.zeros_like(refused), patient_anatomy=~refused)

    judge = SimpleNamespace(finder=None, copies_inside=lambda made: None, screen=screen)
    painted = paint_until(wanted, painted_in, judge=judge, update=lambda done, total: None)
    assert len(painted.made.images) == sum(asked)
    return asked


def test_what_is_refused_is_painted_anew_until_enough_passed():
    assert rounds_until(4, lambda n: n) == [4]
    assert rounds_until(4, lambda n: n - 2 if n < 6 else n - 1) == [4, 2]
    assert rounds_until(4, lambda n: n - 2 if n < 6 else n - 3) == [4, 2, 1]
    # judged with more slices beside them, earlier ones pass that did not: more than wanted
    assert rounds_until(4, lambda n: 1 if n == 4 else n) == [4, 3]
    assert sum(rounds_until(2, lambda n: 0)) == 2 * MOST_PAINTED
