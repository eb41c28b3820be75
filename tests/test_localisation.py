import numpy as np
import pytest
import torch

from data_contracts.manifest import DIAGNOSES, TUMOUR
from pipeline.compute import PLAIN
from pipeline.evidence.classifier import ClassifierConfig
from pipeline.evidence.classifier_networks import Classifier
from pipeline.evidence.localisation import (
    Found,
    LocalisationConfig,
    Suspicion,
    brightness_tells,
    combined,
    delineate,
    find_lesions,
    heads_of,
    integrated_gradients,
    judged,
    mirrored,
    occlusion,
    score_found,
    searched,
    strangeness,
    unlikeness,
)

SICK = DIAGNOSES.index(TUMOUR)
SIDE = 32
TINY = LocalisationConfig(
    classifier=ClassifierConfig(steps=40, batch_size=16, width=8),
    folds=2,
    alike=8,
    patches=(0.25,),
    stride=0.125,
    healthy_tried=12,
)


def heads(n, *, seed=0, lesion=0.7):
    """Symmetric discs of smooth tissue, turned a little; half of them, two slices a patient, with a small lesion."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    images = np.full((n, 1, SIDE, SIDE), -1, np.float32)
    masks = np.zeros((n, SIDE, SIDE), bool)
    diagnoses = (np.arange(n) // 2 + np.arange(n)) % 2
    for i in range(n):
        inside = rows**2 / 14**2 + columns**2 / 12**2 < 1
        tissue = -0.3 + 0.2 * np.cos(np.abs(columns) / 3 + rng.uniform(-0.2, 0.2)) + rng.normal(0, 0.03, rows.shape)
        if diagnoses[i] == SICK:
            at = rng.choice([-6, 6]), rng.uniform(-6, 6)
            masks[i] = (columns - at[0]) ** 2 + (rows - at[1]) ** 2 < 3.2**2
            tissue = tissue + lesion * masks[i]
        images[i, 0][inside] = tissue[inside].clip(-0.9, 1)
    return images, masks, diagnoses, [f"p{i // 2}" for i in range(n)]


class Brightness(Classifier):
    """Logit: the sum of what is brighter than 0 in the left half."""

    def __init__(self):
        super().__init__()
        self.head = torch.nn.Linear(1, 1)

    def features(self, images):
        return images.clamp(min=0)[..., : SIDE // 2].sum((1, 2, 3))[:, None]

    def forward(self, images):
        return self.features(images)[:, 0]


def test_finds_the_lesions_and_knows_which_finds_are_good_enough():
    images, masks, diagnoses, groups = heads(48)
    masks = masks[diagnoses == SICK]
    found = find_lesions(images=images, diagnoses=diagnoses, groups=groups, config=TINY, seed=0, compute=PLAIN)
    dice, hits = score_found(found, masks)
    assert found.masks.shape == masks.shape
    assert hits > 0.9
    assert dice > 0.6
    assert found.usable.mean() > 0.9
    assert np.array_equal(found.usable, found.confidence > found.limit)


def test_equal_seeds_find_equal_lesions():
    images, _, diagnoses, groups = heads(16)
    config = TINY.model_copy(update={"classifier": TINY.classifier.model_copy(update={"steps": 2})})
    found, again = (
        find_lesions(images=images, diagnoses=diagnoses, groups=groups, config=config, seed=3, compute=PLAIN)
        for _ in range(2)
    )
    assert np.array_equal(found.masks, again.masks)
    assert np.array_equal(found.confidence, again.confidence)


def test_few_finds_are_used_where_there_is_nothing_to_find():
    images, _, diagnoses, groups = heads(48, lesion=0.0)
    found = find_lesions(images=images, diagnoses=diagnoses, groups=groups, config=TINY, seed=0, compute=PLAIN)
    assert found.usable.mean() < 0.4


def test_no_slice_is_explained_by_a_classifier_that_learnt_from_its_patient(monkeypatch):
    images, _, diagnoses, groups = heads(24)
    learnt = []

    def note(**given):
        learnt.append({image.tobytes() for image in given["images"]})
        return Brightness()

    monkeypatch.setattr("pipeline.evidence.localisation.train_classifier", note)
    seen = searched(images=images, diagnoses=diagnoses, groups=groups, config=TINY, seed=0, compute=PLAIN)
    assert len(learnt) == TINY.folds
    for row, fold in zip(seen.rows, seen.fold, strict=True):
        own = [images[i].tobytes() for i, group in enumerate(groups) if group == groups[row]]
        assert not learnt[fold] & set(own)


def test_too_few_groups_for_the_folds_is_said():
    images, _, diagnoses, _ = heads(8)
    with pytest.raises(ValueError, match="1 groups with"):
        find_lesions(images=images, diagnoses=diagnoses, groups=["a"] * 8, config=TINY, seed=0, compute=PLAIN)


def test_the_head_is_the_largest_part_and_has_no_holes():
    image = np.full((1, 1, SIDE, SIDE), -1, np.float32)
    image[0, 0, 8:24, 8:24] = 0
    image[0, 0, 14:17, 14:17] = -1  # a hole
    image[0, 0, 1:3, 1:3] = 0  # a letter
    assert heads_of(image)[0].sum() == 16 * 16


def test_a_head_is_mirrored_about_its_own_axis():
    images, _, _, _ = heads(4, lesion=0.0)
    shifted = np.roll(images, 2, axis=-1)
    assert np.abs(mirrored(shifted) - shifted).mean() < 0.06
    assert np.abs(shifted[..., ::-1] - shifted).mean() > 2 * np.abs(mirrored(shifted) - shifted).mean()


def test_unlikeness_is_greatest_in_lesions_and_takes_no_slice_of_the_own_group():
    images, masks, diagnoses, groups = heads(40)
    z, likeness = unlikeness(images, diagnoses, groups, alike=8, sigma=0.5)
    for i in np.flatnonzero(diagnoses == SICK):
        assert z[i][masks[i]].mean() > 2
        assert abs(z[i][~masks[i]].mean()) < 0.5
        assert likeness[i][masks[i]].max() < 0.2
    strange = images.copy()
    strange[1 - diagnoses[0]] += 0.5  # the healthy slice of the first patient
    sick = int(diagnoses[0] != SICK)
    assert np.array_equal(unlikeness(strange, diagnoses, groups, alike=8, sigma=0.5)[1][sick], likeness[sick])


@pytest.mark.parametrize(("lesion", "larger"), [(0.7, 0), (-0.5, 1)])
def test_bright_or_dark_is_learnt_from_the_diagnoses(lesion, larger):
    images, _, diagnoses, groups = heads(60, lesion=lesion)
    z, _ = unlikeness(images, diagnoses, groups, alike=8, sigma=0.5)
    weights = brightness_tells(z, heads_of(images), diagnoses)
    assert weights[larger] == 1
    assert weights[1 - larger] < 0.8


def test_occlusion_and_gradients_point_at_what_the_classifier_sees():
    images = np.full((2, 1, SIDE, SIDE), -0.5, np.float32)
    images[0, 0, 10:14, 6:10] = 0.8  # seen
    images[1, 0, 10:14, 22:26] = 0.8  # not by this classifier, but by its mean over mirror images
    fill = np.full_like(images, -0.5)
    model = Brightness()
    fall = occlusion(model, images, fill, np.ones((2, SIDE, SIDE), bool), LocalisationConfig())
    row, column = np.unravel_index(fall[0].argmax(), fall[0].shape)
    assert 10 <= row < 14
    assert 6 <= column < 10
    assert fall[0, 28, 28] == pytest.approx(0, abs=1e-6)
    parts = integrated_gradients(model, images, fill)
    # completeness (Sundararajan et al. 2017, proposition 1): parts add up to the change of the logit, here 16 x 0.8
    assert parts[0].sum() == pytest.approx(16 * 0.8, rel=0.1)
    assert parts[0][10:14, 6:10].sum() == pytest.approx(parts[0].sum())
    assert not parts[1].any()


def test_a_region_reaches_to_the_share_of_its_peak_within_bounds():
    head = np.zeros((3, SIDE, SIDE), bool)
    head[:, 2:30, 2:30] = True
    where = np.zeros(head.shape, np.float32)
    where[:, 16, 16] = 1
    extent = np.zeros(head.shape, np.float32)
    extent[0, 14:19, 14:19], extent[0, 20:23, 20:23] = 1, 1  # the second is another's
    extent[1, 4:28, 4:28], extent[1, 12:21, 12:21] = 0.5, 1  # too large at the usual share
    extent[2, 16, 16] = 1  # too small
    config = LocalisationConfig(smallest=0.005, largest=0.25, rim=0.05)
    masks, peaks = delineate(where, extent, head, config)
    assert [int(mask.sum()) for mask in masks] == [25, 81, 0]
    assert (peaks == 16).all()


def test_a_product_needs_all_maps():
    maps = {name: np.zeros((1, 2, 2), np.float32) for name in ("occlusion", "gradient", "asymmetry", "unlikeness")}
    maps["occlusion"][0, 0, 0] = 3
    for of in maps.values():
        of[0, 1, 1] = 1
    found = combined(maps, LocalisationConfig())
    assert found.argmax() == 3
    assert found[0, 1, 1] == pytest.approx(1)


def test_a_find_is_used_where_it_is_stranger_than_what_slices_without_a_tumour_hold():
    masks = np.zeros((7, 4, 4), bool)
    masks[:6, 1, 1:3] = True  # in the last slice nothing was found
    asymmetry, unlikeness = np.zeros((2, 7, 4, 4), np.float32)
    asymmetry[:, 1, 1], unlikeness[:, 1, 1:3] = [0.2, 2, 4, 0.8, 0.8, 0.8, 9], [[5], [5], [0], [0.9], [1], [1], [9]]
    seen = Suspicion(
        rows=np.arange(7),
        n_tumour=3,
        maps={},
        heads=np.ones_like(masks),
        asymmetry=asymmetry,
        unlikeness=unlikeness,
        fold=np.zeros(7, np.int64),
    )
    # of the mean asymmetry, half of what one of two pixels has, and the mean unlikeness
    by_hand = np.sqrt([0.1 * 5, 1 * 5, 2 * 0, 0.4 * 0.9, 0.4, 0.4, 0])
    assert strangeness(masks, seen) == pytest.approx(by_hand)
    found = judged(masks, np.zeros((7, 2), np.int64), seen, LocalisationConfig(healthy_quantile=0.5))
    assert found.limit == pytest.approx(np.median(by_hand[3:]))
    assert found.usable.tolist() == [True, True, False]  # the third is as lopsided as can be, and like any head
    stricter = judged(masks, np.zeros((7, 2), np.int64), seen, LocalisationConfig(healthy_quantile=0.9))
    assert stricter.limit > found.limit


def test_scores_by_hand():
    masks, true = np.zeros((2, 4, 4), bool), np.zeros((2, 4, 4), bool)
    masks[0, 0, :2], true[0, 0, 1:3] = True, True  # 1 shared of 2 and 2
    true[1, 3, 3] = True
    found = Found(masks, np.array([[0, 1], [0, 0]]), np.zeros(2), np.array([True, False]), 0.0, "")
    assert score_found(found, true) == (0.25, 0.5)
    assert score_found(found, true, chosen=found.usable) == (0.5, 1.0)
    assert np.isnan(score_found(found, true, chosen=np.zeros(2, bool))).all()
