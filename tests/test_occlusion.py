"""Occlusion maps against predictors whose every sign is known."""

import numpy as np
import pytest

from data_contracts.manifest import NO_TUMOUR, TUMOUR
from pipeline.evidence.localisation import heads_of
from pipeline.evidence.occlusion import BLUR, MOST, PATCH, draw_cases, neutral, occlusion_maps, shares_in_lesion

SIDE = 32
WHERE = (slice(8, 12), slice(20, 24))  # a square that the predictor looks at


def slices(n=3, *, bright=1.0):
    """Grey slices with a bright square."""
    images = np.zeros((n, 1, SIDE, SIDE), np.float32)
    images[(slice(None), 0, *WHERE)] = bright
    return images


def by_square(images):
    """Probability of tumour: brightness of the one square, from 0 to 1."""
    return images[(slice(None), 0, *WHERE)].mean((1, 2)).astype(np.float64).clip(0, 1)


def yes(n):
    return np.ones(n, bool)


def maps_of(predict, images, *, tumour):
    return occlusion_maps(predict, images, heads=heads_of(images), tumour=tumour)


def test_a_map_is_greatest_where_the_predictor_looks_and_nothing_where_no_square_reaches():
    (map_,) = maps_of(by_square, slices(1), tumour=yes(1))
    assert map_.shape == (SIDE, SIDE)
    peak = np.unravel_index(map_.argmax(), map_.shape)
    assert all(of.start <= at < of.stop for at, of in zip(peak, WHERE, strict=True))
    patch = round(PATCH * SIDE)
    far = np.ones_like(map_, bool)
    far[8 - patch : 12 + patch, 20 - patch : 24 + patch] = False
    assert np.abs(map_[far]).max() == 0
    assert (map_ >= 0).all()


def test_the_fall_is_that_of_the_square_replaced_by_the_blurred_slice():
    images = slices(1)
    (map_,) = maps_of(by_square, images, tumour=yes(1))
    filling = by_square(neutral(images, np.ones((1, SIDE, SIDE), bool)))[0]
    assert 0 < filling < 0.2
    assert map_.max() <= 1 - filling + 1e-6  # as much as when all of it is covered
    assert map_[10, 22] > 0.5 * (1 - filling)  # and more than half of the squares on its middle cover most of it


def test_what_speaks_for_one_answer_speaks_against_the_other():
    images = slices(2)
    both = maps_of(by_square, images, tumour=np.array([True, False]))
    np.testing.assert_allclose(both[0], -both[1], atol=1e-7)


def test_a_predictor_that_looks_at_nothing_gives_no_map():
    maps = maps_of(lambda images: np.full(len(images), 0.7), slices(), tumour=yes(3))
    assert not maps.any()


def test_nothing_is_hidden_of_a_slice_that_is_its_own_blur():
    flat = np.full((1, 1, SIDE, SIDE), 0.4, np.float32)
    maps = maps_of(lambda images: images.mean((1, 2, 3)).astype(np.float64), flat, tumour=yes(1))
    np.testing.assert_allclose(maps, 0, atol=1e-6)


def test_each_slice_has_the_map_that_it_has_alone_and_the_slices_are_left_as_they_are():
    images = slices(3)
    images[1] *= 0.5
    images[2, 0, :6] = -1
    before = images.copy()
    together = maps_of(by_square, images, tumour=yes(3))
    alone = [maps_of(by_square, images[i : i + 1], tumour=yes(1))[0] for i in range(3)]
    np.testing.assert_allclose(together, alone, atol=1e-6)
    np.testing.assert_array_equal(images, before)


def test_squares_that_hold_no_head_are_not_tried():
    images = np.full((2, 1, SIDE, SIDE), -1, np.float32)
    images[0, 0, 8:20, 8:20] = 0.3
    asked = []

    def predict(batch):
        asked.append(len(batch))
        return np.zeros(len(batch))

    maps = maps_of(predict, images, tumour=yes(2))
    assert not maps.any()
    assert asked[0] == 2
    assert set(asked[1:]) == {1}
    assert len(asked) - 1 < (SIDE // 2) ** 2 / 2
    to_the_head = maps_of(lambda batch: batch.mean((1, 2, 3)) / 2 + 0.5, images * 1, tumour=~yes(2))
    assert not to_the_head[1].any()
    assert not to_the_head[0][:8].any()


def test_a_blurred_slice_keeps_its_brightness_and_loses_its_detail():
    rng = np.random.default_rng(0)
    images = rng.uniform(-1, 1, (2, 1, SIDE, SIDE)).astype(np.float32)
    blurred = neutral(images, np.ones((2, SIDE, SIDE), bool))
    assert blurred.shape == images.shape
    assert blurred.std() < 0.15 * images.std()
    assert abs(float(blurred.mean() - images.mean())) < 0.02
    assert BLUR > PATCH


def test_air_neither_darkens_the_blurred_head_nor_is_filled():
    images, heads = np.full((1, 1, SIDE, SIDE), -1, np.float32), np.zeros((1, SIDE, SIDE), bool)
    heads[0, 8:24, 8:24] = True
    images[0, 0, 8:24, 8:24] = 0.3
    np.testing.assert_allclose(neutral(images, heads), images, atol=1e-5)


def test_an_even_map_lies_in_the_lesion_as_much_as_the_lesion_covers_of_the_head():
    head, lesion = np.zeros((10, 10), bool), np.zeros((10, 10), bool)
    head[2:8, :] = True
    lesion[0:4, :5] = True  # half of it lies outside of the head
    even = np.ones((10, 10), np.float32)
    assert shares_in_lesion(even, lesion=lesion, head=head) == (pytest.approx(1 / 6), pytest.approx(1 / 6))
    even[2:4, :5] = 4
    even[5, 5] = -100  # what speaks against the answer takes nothing away
    assert shares_in_lesion(even, lesion=lesion, head=head) == (pytest.approx(40 / (40 + 49)), pytest.approx(1 / 6))


def test_there_is_no_share_without_a_lesion_or_without_anything_that_fell():
    head = np.ones((4, 4), bool)
    assert shares_in_lesion(np.ones((4, 4), np.float32), lesion=~head, head=head) is None
    assert shares_in_lesion(-np.ones((4, 4), np.float32), lesion=head, head=head) is None


def test_cases_are_drawn_by_lot_from_each_diagnosis_right_and_wrong():
    diagnoses = np.array([TUMOUR] * 20 + [NO_TUMOUR] * 20)
    right = np.array(([True] * 17 + [False] * 3) + ([True] * 20))
    groups = np.array([f"group-{i}" for i in range(40)])
    asked = {"diagnoses": diagnoses, "groups": groups, "right": right}
    drawn = draw_cases(**asked, rng=np.random.default_rng(0))
    assert drawn.tolist() == draw_cases(**asked, rng=np.random.default_rng(0)).tolist()
    kinds = list(zip(diagnoses[drawn], right[drawn], strict=True))
    assert kinds == [(TUMOUR, True)] * MOST + [(TUMOUR, False)] * 3 + [(NO_TUMOUR, True)] * MOST
    assert len(set(drawn.tolist())) == len(drawn)
    ever = {int(i) for seed in range(60) for i in draw_cases(**asked, rng=np.random.default_rng(seed))}
    assert ever == set(range(40)), "every slice can be drawn"


def test_copies_of_one_slice_are_drawn_only_where_nothing_else_is_left():
    diagnoses, right = np.array([TUMOUR] * 30 + [NO_TUMOUR] * 6), np.ones(36, bool)
    groups = np.array(["copied"] * 27 + ["b", "c", "d"] + ["one"] * 5 + ["two"])
    for seed in range(20):
        drawn = draw_cases(diagnoses=diagnoses, groups=groups, right=right, rng=np.random.default_rng(seed))
        assert sorted(groups[drawn[:MOST]]) == ["b", "c", "copied", "d"]
        assert len(drawn) == len(set(drawn.tolist())) == 2 * MOST
        assert set(groups[drawn[MOST:]]) == {"one", "two"}, "filled up with copies"
