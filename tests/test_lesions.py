from dataclasses import replace

import numpy as np
import pytest
from phantom_heads import bank
from scipy import ndimage

from data_contracts.manifest import NO_TUMOUR, TUMOUR
from pipeline.formats.raster import to_uint8
from pipeline.scans.phantom import PhantomConfig, phantom
from pipeline.synthesis.lesions import (
    describe,
    differences,
    edge_width,
    head_of,
    inside_of,
    lesion_bank,
    midline,
    paste_healthy,
    paste_lesion,
    paste_set,
    propose,
    soften,
)

SIDES = (32, 64)


def disc(side: int, radius: float, *, row: float = 0.5, column: float = 0.5) -> np.ndarray:
    rows, columns = np.indices((side, side))
    return np.hypot(rows - row * side, columns - column * side) < radius


def test_a_bank_sorts_the_training_part_and_leaves_out_what_has_no_mask() -> None:
    real = np.random.default_rng(0).uniform(-1, 1, (5, 1, 16, 16)).astype(np.float32)
    masks = np.zeros((5, 16, 16), np.uint8)
    masks[[0, 3, 4], 4:8, 4:8] = 1  # the last is a slice without a tumour, whatever its mask says
    diagnoses = [TUMOUR, TUMOUR, NO_TUMOUR, TUMOUR, NO_TUMOUR]
    made = lesion_bank(real=real, masks=masks, diagnoses=diagnoses, groups=list("abcde"))
    assert made.tumour_rows.tolist() == [0, 3]
    assert made.no_tumour_rows.tolist() == [2, 4]
    assert (made.tumour_groups, made.no_tumour_groups) == (("a", "d"), ("c", "e"))
    np.testing.assert_array_equal(made.tumour, real[[0, 3]])
    assert np.isnan(made.tumour_positions).all()
    with pytest.raises(ValueError, match="0 slices with a lesion and its mask, 2 without a tumour"):
        lesion_bank(real=real, masks=masks * 0, diagnoses=diagnoses, groups=list("abcde"))
    with pytest.raises(ValueError, match="3 slices with a lesion and its mask, 0 without a tumour"):
        lesion_bank(real=real, masks=masks, diagnoses=[TUMOUR] * 5, groups=list("abcde"))
    with pytest.raises(ValueError, match="4 diagnoses"):
        lesion_bank(real=real, masks=masks, diagnoses=diagnoses[:4], groups=list("abcde"))


@pytest.mark.parametrize("side", SIDES)
def test_the_head_is_the_head_holes_and_all_but_nothing_beside_it(side: int) -> None:
    config = PhantomConfig(slices=3, size=side, spacing_mm=(8.0, 200 / side, 200 / side), noise=(0.01, 0.02))
    drawn = phantom(rng=np.random.default_rng(1), tumour=False, config=config)
    for voxels, tissues in zip(drawn.voxels, drawn.tissues, strict=True):
        image = (2 * np.clip(voxels / np.percentile(voxels, 99.5), 0, 1) - 1)[None]
        image[0, :2, :2] = 1  # a letter in the corner
        head = head_of(image)
        assert head[tissues > 0].mean() > 0.97
        assert not head[:2, :2].any()
        assert (head & (tissues == 0)).sum() < 0.1 * head.sum()
    with pytest.raises(ValueError, match="brighter than air"):
        head_of(np.full((1, side, side), -1, np.float32))


def test_the_inside_keeps_the_rim_that_training_lesions_keep_and_is_never_empty() -> None:
    head = disc(64, 25)
    rows, columns = np.nonzero(inside_of(head, 0.1))
    reached = np.hypot(rows - 32, columns - 32).max()
    assert reached == pytest.approx(25 - 0.1 * np.sqrt(head.sum()), abs=1)
    assert inside_of(head, 9.0).any()
    depths = np.array([one.depth / one.diameter for one in bank(64).lesions])
    assert 0.05 < (depths < bank(64).rim).mean() < 0.15


def test_a_soft_edge_is_one_inside_and_falls_to_nought_within_its_width() -> None:
    mask = disc(64, 8)
    soft = soften(mask, 4)
    assert soft.dtype == np.float32
    assert (soft[mask] == 1).all()
    outwards = soft[32, 32:]
    assert (np.diff(outwards) <= 0).all()
    distance = ndimage.distance_transform_edt(~mask)
    assert (soft[distance >= 5] == 0).all()
    assert ((soft > 0) & (soft < 1) == (~mask & (distance < 5))).all()
    assert (soften(mask, 8) >= soft).all()
    assert (soften(mask, 0) == mask).all()
    assert not soften(np.zeros((8, 8), bool), 2).any()


@pytest.mark.parametrize("side", SIDES)
def test_proposed_lesions_lie_wholly_inside_of_the_head(side: int) -> None:
    made = bank(side)
    rng = np.random.default_rng(0)
    for turn in range(60):
        image = made.no_tumour[turn % len(made.no_tumour)]
        proposed = propose(made, image, rng)
        assert proposed.mask.any()
        assert inside_of(head_of(image), made.rim)[proposed.mask].all()
        assert 0 <= proposed.lesion < len(made.tumour)


@pytest.mark.parametrize("radius", [2, 4, 9])
def test_in_a_head_of_any_size_there_is_room_for_a_lesion(radius: float) -> None:
    made = bank(32)
    image = np.where(disc(32, radius, row=0.3), 0.2, -1).astype(np.float32)[None]
    for seed in range(10):
        mask = propose(made, image, np.random.default_rng(seed)).mask
        assert mask.any()
        assert head_of(image)[mask].all()


def test_proposed_lesions_are_as_large_and_lie_where_training_lesions_do() -> None:
    made = bank(64)
    rng = np.random.default_rng(0)
    canvases = np.arange(150) % len(made.no_tumour)
    masks = np.stack([propose(made, made.no_tumour[i], rng).mask for i in canvases])
    strays = differences(made, images=made.no_tumour[canvases], masks=masks)
    assert max(strays[name] for name in ("area", "row", "side", "depth")) < 0.25
    # and the measure knows specks, and lesions of one place
    specks = np.stack([ndimage.binary_erosion(mask, iterations=2) | disc(64, 1) for mask in masks])
    assert differences(made, images=made.no_tumour[canvases], masks=specks)["area"] > 0.5
    one_place = np.stack([disc(64, 6)] * len(masks))
    strays = differences(made, images=made.no_tumour[canvases], masks=one_place)
    assert min(strays["row"], strays["side"]) > 0.4
    assert differences(made, images=made.tumour, masks=made.masks) == dict.fromkeys(strays, 0.0)


def test_shapes_vary_and_lie_on_either_side() -> None:
    made = bank(64)
    image = made.no_tumour[0]
    rng = np.random.default_rng(2)
    found = [describe(image, propose(made, image, rng).mask) for _ in range(60)]
    assert len({one.area for one in found}) > 40
    assert 0.25 < np.mean([one.column < 0.5 for one in found]) < 0.75


def test_a_lesion_that_changes_sides_is_mirrored_with_its_place() -> None:
    head = disc(64, 28)
    rows, columns = np.indices((64, 64))
    # in the left half, its point towards the midline
    wedge = (columns >= 12) & (columns < 28) & (2 * np.abs(rows - 32) < 28 - columns)
    image = np.where(head, 0.0, -1.0).astype(np.float32)[None]
    made = lesion_bank(
        real=np.stack([image, image]),
        masks=np.stack([wedge, wedge & False]),
        diagnoses=[TUMOUR, NO_TUMOUR],
        groups=["a", "b"],
    )
    rng = np.random.default_rng(0)
    sides = []
    for _ in range(30):
        at = np.argwhere(propose(made, image, rng).mask)[:, 1] + 0.5
        middle, centre = (at.min() + at.max()) / 2, at.mean()
        sides.append(centre < 32)
        assert (centre < middle) == (centre < 32)  # its blunt end outwards on either side
    assert 0.2 < np.mean(sides) < 0.8


def test_where_heights_are_known_a_lesion_is_of_such_a_height() -> None:
    made = bank(32)
    rng = np.random.default_rng(0)
    heights = [made.tumour_positions[propose(made, made.no_tumour[0], rng, position=0.5).lesion] for _ in range(30)]
    assert np.mean(np.abs(np.array(heights) - 0.5) < 0.2) > 0.9
    unknown = made.tumour_positions[:1] * np.nan
    other = replace(made, tumour_positions=np.concatenate([unknown, made.tumour_positions[1:]]))
    found = [propose(other, made.no_tumour[0], rng, position=0.5).lesion for _ in range(30)]
    assert np.mean(np.abs(other.tumour_positions[found] - 0.5) < 0.2) > 0.9  # what is not known says nothing of others
    assert 0 not in found
    nowhere = replace(made, tumour_positions=made.tumour_positions * np.nan)
    assert len({propose(nowhere, made.no_tumour[0], rng, position=0.5).lesion for _ in range(30)}) > 5
    anywhere = {made.tumour_positions[propose(made, made.no_tumour[0], rng).lesion] for _ in range(30)}
    assert len(anywhere) > 2


def test_the_same_generator_gives_the_same_bits_and_another_gives_others() -> None:
    made = bank(32)
    image = made.no_tumour[3]
    one, two, other = (paste_lesion(made, image, np.random.default_rng(seed)) for seed in (5, 5, 6))
    np.testing.assert_array_equal(one.image, two.image)
    assert one.lesion == two.lesion
    assert not np.array_equal(one.image, other.image)
    mask, lesion = propose(made, image, np.random.default_rng(5))
    np.testing.assert_array_equal(mask, one.mask)  # a lesion is pasted where one is proposed
    assert lesion == one.lesion


@pytest.mark.parametrize("side", SIDES)
def test_a_pasted_lesion_shines_and_outside_of_its_edge_no_bit_changes(side: int) -> None:
    made = bank(side)
    greys, before = [], []
    for seed in range(12):
        source = made.no_tumour[seed]
        pasted = paste_lesion(made, source, np.random.default_rng(seed))
        assert pasted.image.dtype == np.float32
        assert np.abs(pasted.image).max() <= 1
        kept = pasted.soft == 0
        np.testing.assert_array_equal(pasted.image[0][kept], source[0][kept])
        assert (pasted.soft <= soften(pasted.mask, edge_width(side))).all()
        assert (pasted.soft[pasted.mask] == 1).all()
        greys.append(describe(pasted.image, pasted.mask).grey)
        before.append(describe(source, pasted.mask).grey)
    theirs = [one.grey for one in made.lesions]
    assert np.median(greys) == pytest.approx(np.median(theirs), abs=0.3 * (np.median(theirs) - np.median(before)))


def test_a_lesion_is_as_bright_beside_its_new_tissue_as_it_was_beside_its_own() -> None:
    made = bank(64)
    source = made.no_tumour[2]
    darker = 0.75 * (source + 1) - 1
    one, two = (paste_lesion(made, image, np.random.default_rng(1)) for image in (source, darker))
    assert describe(two.image, two.mask).grey == pytest.approx(describe(one.image, one.mask).grey, rel=0.03)
    assert two.image[0][two.mask].mean() < one.image[0][one.mask].mean() - 0.1


@pytest.mark.parametrize("degrees", [-12, 0, 9])
def test_the_midline_of_a_turned_head_is_found(degrees: float) -> None:
    rows, columns = np.indices((64, 64)) - 31.5
    egg = np.hypot(rows / 28, columns / (20 + 0.25 * rows)) < 1  # blunt at one end, so one axis alone will do
    turned = ndimage.rotate(egg.astype(float), degrees, reshape=False, order=1) > 0.5
    moved = np.roll(turned, (2, -3), axis=(0, 1))
    found = midline(moved)
    assert abs(np.rad2deg(found.angle)) == pytest.approx(abs(degrees), abs=1.5)
    normal = np.array([np.sin(found.angle), np.cos(found.angle)])
    middle = np.array([31.5 + 2, 31.5 - 3])
    assert abs((middle - [found.row, found.column]) @ normal) < 1
    # the side that the angle turns to: a mirror about it maps the head onto itself
    points = np.argwhere(moved) - [found.row, found.column]
    mirrored = np.rint(points - 2 * np.outer(points @ normal, normal) + [found.row, found.column]).astype(int)
    assert moved[mirrored[:, 0], mirrored[:, 1]].mean() > 0.97


@pytest.mark.parametrize("side", SIDES)
def test_the_mirrored_hemisphere_takes_the_lesions_brightness_away(side: int) -> None:
    made = bank(side)
    left = []
    for image, mask in zip(made.tumour, made.masks, strict=True):
        healed = paste_healthy(image, mask, np.random.default_rng(0))
        kept = healed.soft == 0
        np.testing.assert_array_equal(healed.image[0][kept], image[0][kept])
        assert healed.mask[mask].all()
        assert healed.lesion is None
        was, now = describe(image, mask).grey, describe(healed.image, mask).grey
        left.append(abs(now - 1) / abs(was - 1))
    assert np.median(left) < 0.35


def test_a_lesion_on_the_midline_is_filled_with_the_tissue_around_it() -> None:
    head = disc(64, 27)
    lesion = disc(64, 6)
    rng = np.random.default_rng(0)
    image = np.where(lesion, 0.9, np.where(head, rng.normal(-0.2, 0.03, head.shape), -1)).astype(np.float32)[None]
    healed = paste_healthy(image, lesion, np.random.default_rng(0))
    assert healed.image[0][lesion].mean() == pytest.approx(-0.2, abs=0.05)
    assert healed.image[0][lesion].max() < 0.2


def test_a_pasted_set_says_what_each_slice_was_made_of() -> None:
    made = bank(32)
    n_tumour, n_no_tumour = len(made.no_tumour) + 5, len(made.tumour) + 3
    found = paste_set(made, n_tumour, n_no_tumour, np.random.default_rng(4))
    tumour, healed = found[TUMOUR], found[NO_TUMOUR]
    assert tumour.images.shape == (n_tumour, 1, 32, 32)
    assert healed.images.shape == (n_no_tumour, 1, 32, 32)
    assert tumour.masks.any(axis=(1, 2)).all()
    # every canvas once before one comes twice
    assert set(tumour.source_rows[:-5]) == set(made.no_tumour_rows)
    assert set(healed.source_rows[:-3]) == set(made.tumour_rows)
    assert set(tumour.lesion_rows) <= set(made.tumour_rows)
    assert (healed.lesion_rows == -1).all()
    once_more = paste_set(made, n_tumour, n_no_tumour, np.random.default_rng(4))
    np.testing.assert_array_equal(once_more[TUMOUR].images, tumour.images)
    np.testing.assert_array_equal(once_more[NO_TUMOUR].images, healed.images)
    # one slice alone, from its source and its seed
    canvas = int(np.flatnonzero(made.no_tumour_rows == tumour.source_rows[7])[0])
    alone = paste_lesion(
        made,
        made.no_tumour[canvas],
        np.random.default_rng(tumour.seeds[7]),
        position=made.no_tumour_positions[canvas],
    )
    np.testing.assert_array_equal(alone.image, tumour.images[7])
    assert made.tumour_rows[alone.lesion] == tumour.lesion_rows[7]
    canvas = int(np.flatnonzero(made.tumour_rows == healed.source_rows[-1])[0])
    alone = paste_healthy(made.tumour[canvas], made.masks[canvas], np.random.default_rng(healed.seeds[-1]))
    np.testing.assert_array_equal(alone.image, healed.images[-1])
    # no two are alike, though three sources came twice
    assert len({to_uint8(image).tobytes() for image in healed.images}) == n_no_tumour


@pytest.mark.parametrize("side", SIDES)
def test_a_slice_that_is_used_again_is_changed_another_way(side: int) -> None:
    made = bank(side)
    for image, mask in zip(made.tumour[:4], made.masks[:4], strict=True):
        healed = [paste_healthy(image, mask, np.random.default_rng(seed)) for seed in range(4)]
        assert len({to_uint8(one.image).tobytes() for one in healed}) == 4  # as they are stored
        was = describe(image, mask).grey
        for one in healed:
            assert one.mask[mask].all()
            assert abs(describe(one.image, mask).grey - 1) < 0.5 * abs(was - 1)


def test_a_slice_in_which_a_part_of_a_lesion_may_stay_never_becomes_one_without() -> None:
    made = replace(bank(32), whole=False)
    n = len(made.no_tumour) + 2
    found = paste_set(made, 4, n, np.random.default_rng(0))
    assert set(found[TUMOUR].source_rows) <= set(made.no_tumour_rows)  # as ever
    healed = found[NO_TUMOUR]
    assert set(healed.source_rows) == set(made.no_tumour_rows)
    assert set(healed.lesion_rows) <= set(made.tumour_rows)  # whose place it is
    source = {int(row): image for row, image in zip(made.no_tumour_rows, made.no_tumour, strict=True)}
    for image, mask, row in zip(healed.images, healed.masks, healed.source_rows, strict=True):
        soft = soften(mask, edge_width(32)) > 0
        assert np.array_equal(image[0][~soft], source[int(row)][0][~soft])
        assert not np.array_equal(image[0][mask], source[int(row)][0][mask])


def test_lesions_that_do_not_cross_the_midline_are_painted_out_first() -> None:
    made = bank(32)
    assert ((made.crossing >= 0) & (made.crossing <= 1)).all()
    middle = lesion_bank(
        real=np.concatenate([made.tumour[:3], made.no_tumour[:1]]),
        masks=np.stack([disc(32, 4), disc(32, 3, column=0.3), disc(32, 3, column=0.7), disc(32, 0)]),
        diagnoses=[TUMOUR] * 3 + [NO_TUMOUR],
        groups=list("abcd"),
    )
    assert middle.crossing[0] > 0.7
    assert middle.crossing[1:].max() < 0.1
    found = paste_set(middle, 0, 3, np.random.default_rng(0))
    assert found[NO_TUMOUR].source_rows[-1] == 0
    assert found[TUMOUR].images.shape == (0, 1, 32, 32)
