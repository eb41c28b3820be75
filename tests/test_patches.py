import numpy as np
import pytest
from scipy import ndimage

from pipeline.evidence import patches
from pipeline.evidence.memorisation import QUANTILE, nearest
from pipeline.evidence.patches import PaintedCopies, lesion_patches, outside_copy_share, painted_copies, score_painted
from pipeline.synthesis.lesions import edge_width, soften
from pipeline.synthesis.painting import painted_region

SIDE = 64
N = 16


def textures(n, seed, *, side=SIDE, grain=2.5):
    """Smooth random slices float32 (n, 1, side, side) in [-1, 1], no two alike."""
    noise = np.random.default_rng(seed).normal(size=(n, side, side))
    smooth = np.stack([ndimage.gaussian_filter(one, grain * side / 64, mode="wrap") for one in noise])
    return np.clip(smooth / (3 * smooth.std()), -1, 1)[:, None].astype(np.float32)


def ellipses(n, seed, *, side=SIDE):
    """Lesion masks bool (n, side, side) of different sizes, turns and places."""
    rng, at = np.random.default_rng(seed), np.stack(np.mgrid[:side, :side], -1)
    masks = []
    for _ in range(n):
        angle, centre = rng.uniform(0, np.pi), side * rng.uniform(0.38, 0.62, 2)
        axes = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        masks.append((((at - centre) @ axes.T / (side * rng.uniform(0.09, 0.2, 2))) ** 2).sum(-1) < 1)
    return np.stack(masks)


def groups(n, name="group"):
    return [f"{name}-{i}" for i in range(n)]


def laid(canvases, tissue, masks):
    """Tissue over canvases where masks are, with the soft edge of real painting."""
    soft = np.stack([soften(mask, edge_width(mask.shape[-1])) for mask in masks])[:, None]
    return np.where(soft > 0, canvases + soft * (tissue - canvases), canvases).astype(np.float32)


def moved(picture, *, turn, scale, shift, mirror):
    """Mirrored, turned by degrees and scaled about the middle, then shifted; 0 from outside."""
    angle = np.deg2rad(turn)
    back = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) / scale
    middle = np.array([(SIDE - 1) / 2] * 2)
    picture = picture[:, ::-1] if mirror else picture
    return ndimage.affine_transform(picture.astype(np.float32), back, middle - back @ (middle + shift), order=1)


def pasted(images, masks, seed=3):
    """Each lesion in another slice: turned up to 20 degrees, scaled, moved, mirrored, its brightness changed."""
    rng = np.random.default_rng(seed)
    tissue, regions = [], []
    for i, (image, mask) in enumerate(zip(images[:, 0], masks, strict=True)):
        motion = {
            "turn": rng.uniform(-20, 20),
            "scale": np.exp(rng.uniform(-0.15, 0.15)),
            "shift": rng.uniform(-5, 5, 2),
            "mirror": i % 2 == 1,
        }
        tissue.append(0.8 * moved(image, **motion) + 0.1)
        regions.append(moved(mask, **motion) > 0.5)
    regions = np.stack(regions)
    return laid(textures(len(images), seed=11), np.stack(tissue)[:, None], regions), regions


@pytest.fixture(scope="module")
def lesions():
    return {
        "training": textures(N, 0),
        "training_regions": ellipses(N, 1),
        "training_groups": groups(N),
        "held_out": textures(N, 7),
        "held_out_regions": ellipses(N, 8),
    }


@pytest.fixture(scope="module")
def healthy():
    return {"training": textures(N, 20), "training_groups": groups(N), "held_out": textures(N, 21)}


def test_a_lesion_pasted_from_a_training_slice_is_found_however_it_was_moved(lesions):
    images, regions = pasted(lesions["training"], lesions["training_regions"])
    found = painted_copies(painted=images, regions=regions, **lesions)
    assert found.near_copy.mean() > 0.9
    assert (found.nearest == np.arange(N))[found.near_copy].mean() > 0.9
    assert found.held_out_near_copy_share < 0.15
    assert np.median(found.held_out_distances) > 0.7 > 2 * np.median(found.distances)


def test_other_tissue_in_the_outline_of_a_training_lesion_is_no_copy(lesions):
    images, regions = pasted(lesions["training"], lesions["training_regions"])
    painted = laid(images, textures(N, 30), regions)
    assert painted_copies(painted=painted, regions=regions, **lesions).near_copy.mean() < 0.15


def test_a_lesion_of_a_held_out_patient_painted_in_is_no_copy(lesions):
    images, regions = pasted(lesions["held_out"], lesions["held_out_regions"])
    assert painted_copies(painted=images, regions=regions, **lesions).near_copy.mean() < 0.15


def test_the_threshold_of_lesions_is_read_from_training_lesions_of_different_subjects_alone(lesions):
    images, regions = pasted(lesions["training"], lesions["training_regions"])
    beside = {  # each subject with two slices of one lesion
        "training": np.repeat(lesions["training"], 2, axis=0),
        "training_regions": np.repeat(lesions["training_regions"], 2, axis=0),
        "training_groups": [one for one in groups(N) for _ in range(2)],
    }
    upright, turned = (
        np.concatenate([lesion_patches(beside["training"], beside["training_regions"], turn=turn) for turn in turns])
        for turns in ([0], patches.TURNS)
    )
    own = beside["training_groups"]
    between, _ = nearest(upright, turned, training_groups=own * 3, image_groups=own, search=True)
    for held_out in (lesions["held_out"], lesions["training"]):
        found = painted_copies(
            painted=images[:1],
            regions=regions[:1],
            held_out=held_out,
            held_out_regions=lesions["held_out_regions"],
            **beside,
        )
        assert found.threshold == pytest.approx(np.quantile(between, QUANTILE), rel=1e-4)


def test_patches_of_a_lesion_do_not_change_with_its_place_size_or_turn():
    image, mask = textures(1, 4)[0, 0], ellipses(1, 5)[0]
    motion = {"turn": 15, "scale": 1.3, "shift": (4, -3), "mirror": False}
    there = lesion_patches(moved(image, **motion)[None, None], (moved(mask, **motion) > 0.5)[None])
    at_turns = [lesion_patches(image[None, None], mask[None], turn=turn) for turn in (-15, 0, 15)]
    likeness = [np.corrcoef(there.ravel(), one.ravel())[0, 1] for one in at_turns]
    assert np.argmax(likeness) in {0, 2}
    assert max(likeness) > 0.95 > likeness[1]


def test_patches_of_one_pixel_of_few_far_apart_and_of_flat_tissue_show_nothing():
    images, mask = textures(3, 0, side=200), np.zeros((3, 200, 200), bool)
    mask[0, 10, 10] = mask[1, 10, 10] = mask[1, 10, 189] = True
    mask[2, 90:110, 90:110] = True
    assert lesion_patches(images, mask).any(axis=(1, 2, 3)).tolist() == [False, False, True]
    images[2] = 0.3
    assert not lesion_patches(images, mask).any()


@pytest.mark.parametrize("kind", ["lesions", "healthy"])
def test_only_pixels_that_were_painted_wholly_count(kind, request):
    known = request.getfixturevalue(kind)
    images, regions = pasted(textures(6, 40), ellipses(6, 41))
    elsewhere = np.where(regions[:, None], images, textures(6, 42))
    first, second = (painted_copies(painted=one, regions=regions, **known) for one in (images, elsewhere))
    np.testing.assert_array_equal(first.distances, second.distances)
    np.testing.assert_array_equal(first.nearest, second.nearest)


def test_slices_without_a_lesion_mask_are_left_out_and_indices_stay_those_of_all(lesions):
    known = lesions | {"training_regions": lesions["training_regions"].copy()}
    known["training_regions"][:5] = False
    images, regions = pasted(lesions["training"], lesions["training_regions"])
    found = painted_copies(painted=images, regions=regions, **known)
    assert found.nearest.min() >= 5
    assert found.near_copy[5:].mean() > 0.9
    assert (found.nearest == np.arange(N))[5:][found.near_copy[5:]].mean() > 0.9
    assert found.near_copy[:5].mean() <= 0.4


@pytest.mark.parametrize("mirror", [False, True])
def test_tissue_of_another_patient_laid_into_a_hole_is_found(healthy, mirror):
    regions = ellipses(N, 9)
    donors = np.roll(np.arange(N), 5)
    tissue = np.roll(healthy["training"][donors], (2, -3), axis=(2, 3))
    tissue = 0.7 * (tissue[..., ::-1] if mirror else tissue) - 0.1
    found = painted_copies(
        painted=laid(textures(N, 12), tissue, regions), regions=regions, painted_groups=groups(N), **healthy
    )
    assert found.near_copy.mean() > 0.9
    assert (found.nearest == donors)[found.near_copy].all()
    assert found.held_out_near_copy_share < 0.1


def test_smooth_or_new_tissue_and_the_own_other_hemisphere_copy_nobody(healthy):
    regions, sources = ellipses(N, 9), healthy["training"]  # each source's subject has other slices in training
    smooth = np.stack([ndimage.gaussian_filter(one, 6) for one in sources[:, 0]])[:, None]
    for tissue in (smooth, textures(N, 50), sources[..., ::-1]):
        found = painted_copies(
            painted=laid(sources, tissue, regions), regions=regions, painted_groups=groups(N), **healthy
        )
        assert found.near_copy.mean() < 0.15
        assert (found.nearest != np.arange(N)).all()
    own = painted_copies(painted=laid(sources, sources[..., ::-1], regions), regions=regions, **healthy)
    assert own.near_copy.all()  # only because nobody was told whose head it is


def test_likeness_at_a_place_is_the_best_correlation_over_shifts_and_the_mirror():
    region = ellipses(1, 2)[0]
    asked, slices = textures(3, 60), textures(4, 61)
    padded = np.pad(slices, ((0, 0), (0, 0), *[(patches.SHIFT,) * 2] * 2), mode="edge")
    ways = [
        one[:, 0, row : row + SIDE, column : column + SIDE][:, region]
        for one in (padded, padded[..., ::-1])
        for row in range(2 * patches.SHIFT + 1)
        for column in range(2 * patches.SHIFT + 1)
    ]
    expected = np.max([np.corrcoef(asked[:, 0][:, region], way)[:3, 3:] for way in ways], axis=0)
    both = np.concatenate([slices, slices[..., ::-1]])
    found = patches._likeness_at(patches._reduced(asked, SIDE), patches._reduced(both, SIDE), region)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_the_threshold_at_places_is_read_from_training_slices_alone_and_held_out_ones_are_all_asked(healthy):
    known = {"painted": textures(5, 70), "regions": ellipses(5, 71), "painted_groups": groups(5, "other")}
    first = painted_copies(**known, **healthy)
    second = painted_copies(**known, **healthy | {"held_out": healthy["training"][:7]})
    assert first.threshold == second.threshold
    assert first.held_out_near_copy_share < 0.1
    assert len(second.held_out_distances) == 10  # two a region, so that each comes
    assert second.held_out_near_copy_share == 1


def test_relative_distances_are_those_of_whole_slices():
    rng = np.random.default_rng(0)
    distances, group_of = rng.uniform(0, 1, (5, 9)).astype(np.float32), rng.permutation(np.arange(9) % 4)
    distances[0, 3] = 1e-7
    own = np.array([-1, 0, 1, 2, -1])
    relative, index = patches._relative(distances, group_of=group_of, own=own)
    for row in range(5):
        others = {g: distances[row, group_of == g].min() for g in range(4) if g != own[row]}
        least, second = sorted(others.values())[:2]
        assert relative[row] == pytest.approx(0 if row == 0 else least / second)
        assert distances[row, index[row]] == least


@pytest.mark.parametrize("kind", ["lesions", "healthy"])
def test_what_is_not_finite_flat_or_empty_harms_no_other_and_copies_nobody(kind, request):
    known = request.getfixturevalue(kind)
    images, regions = textures(5, 80), ellipses(5, 81)
    sound = painted_copies(painted=images, regions=regions, **known)
    images[0] = np.nan
    images[1] = -1
    regions[2] = False
    found = painted_copies(painted=images, regions=regions, **known)
    assert not found.near_copy[:3].any()
    assert np.isfinite(found.distances).all()
    np.testing.assert_allclose(found.distances[3:], sound.distances[3:], atol=1e-5)


@pytest.mark.parametrize("kind", ["lesions", "healthy"])
def test_copies_need_three_subjects_and_other_ones_than_the_source(kind, request):
    known = request.getfixturevalue(kind)
    painted = {"painted": textures(2, 0), "regions": ellipses(2, 1)}
    two, three = ([f"group-{i % n}" for i in range(N)] for n in (2, 3))
    with pytest.raises(ValueError, match="three training subjects"):
        painted_copies(**painted, **known | {"training_groups": two})
    assert painted_copies(**painted, **known | {"training_groups": three}).threshold > 0


@pytest.mark.parametrize("kind", ["lesions", "healthy"])
def test_nothing_painted_and_nothing_held_out_are_no_error(kind, request):
    known = request.getfixturevalue(kind)
    nothing = {"painted": np.empty((0, 1, SIDE, SIDE), np.float32), "regions": np.empty((0, SIDE, SIDE), bool)}
    assert len(painted_copies(**nothing, **known).near_copy) == 0
    alone = known | {"held_out": nothing["painted"]}
    if kind == "lesions":
        alone["held_out_regions"] = nothing["regions"]
    assert np.isnan(painted_copies(painted=textures(2, 0), regions=ellipses(2, 1), **alone).held_out_near_copy_share)


def test_held_out_lesions_that_are_not_known_are_stood_in_for_by_painted_regions(lesions):
    known = lesions | {"held_out_regions": None}
    found = painted_copies(painted=textures(2, 0), regions=ellipses(2, 1), **known)
    told = painted_copies(
        painted=textures(2, 0),
        regions=ellipses(2, 1),
        **lesions | {"held_out_regions": ellipses(2, 1)[np.arange(N) % 2]},
    )
    np.testing.assert_array_equal(found.held_out_distances, told.held_out_distances)


def test_places_in_larger_slices_are_compared_where_cells_were_painted_wholly():
    training, regions = textures(8, 20, side=160), ellipses(8, 9, side=160)
    donors = np.roll(np.arange(8), 3)
    found = painted_copies(
        painted=laid(textures(8, 12, side=160), training[donors], regions),
        regions=regions,
        training=training,
        training_groups=groups(8),
        held_out=textures(4, 22, side=160),
    )
    assert found.near_copy.all()
    assert found.nearest.tolist() == donors.tolist()
    assert np.median(found.distances) < 0.02  # nothing of the canvas in it
    single = np.zeros((160, 160), bool)
    single[81, 81] = True
    assert patches._reduced_region(single, 64).sum() == 1


def test_real_painting_leaves_the_outside_and_any_other_change_is_seen():
    sources, masks = textures(4, 0), ellipses(4, 1)
    painted = laid(sources, textures(4, 2), masks)
    may_differ = np.stack(list(painted_region(masks)))
    rounded = (np.rint((painted + 1) * 127.5) / 127.5 - 1).astype(np.float32)  # as 8-bit files keep it
    for images in (painted, rounded):
        assert outside_copy_share(painted=images, regions=may_differ, sources=sources) == 1
    assert outside_copy_share(painted=painted, regions=masks, sources=sources) == 0  # the soft edge differs
    painted[2, 0, 0, 0] += 0.02
    painted[3, 0, 1, 1] = np.nan
    assert outside_copy_share(painted=painted, regions=may_differ, sources=sources) == 0.5
    with pytest.raises(ValueError, match="no painted slices"):
        outside_copy_share(painted=painted[:0], regions=may_differ[:0], sources=sources[:0])


def test_scores_speak_of_the_painted_part_and_say_that_the_rest_is_a_patient():
    copies = PaintedCopies(
        near_copy=np.array([True, False, False]),
        distances=np.array([0.1, 0.6, 0.8], np.float32),
        nearest=np.array([1, 0, 2]),
        threshold=0.25,
        held_out_distances=np.array([0.2, 0.7, 0.9, 1.0], np.float32),
    )
    told = {"fold": 1, "diagnosis": "tumour", "outside": 1.0, "n_broken": 1, "n_kept": 1}
    scores = score_painted(copies=copies, **told)
    assert scores.contains_patient_anatomy
    assert scores.outside_copy_share == 1
    assert (scores.n_generated, scores.n_near_copies, scores.n_broken, scores.n_kept) == (3, 1, 1, 1)
    assert (scores.threshold, scores.n_held_out_real, scores.held_out_real_near_copy_share) == (0.25, 4, 0.25)
    assert scores.median_distance_synthetic == pytest.approx(0.6)
    assert scores.median_distance_held_out_real == pytest.approx(0.8)
    assert scores.authenticity is scores.membership_auc is scores.extractor is scores.n_moved_copies is None
    assert not score_painted(copies=copies, contains_patient_anatomy=False, **told).contains_patient_anatomy
    empty = np.empty(0, np.float32)
    for lacking in ({"held_out_distances": empty}, {"distances": empty}):
        with pytest.raises(ValueError, match="nothing to compare"):
            score_painted(copies=PaintedCopies(**vars(copies) | lacking), **told)
