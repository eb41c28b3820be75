import numpy as np
import pytest
from scipy import ndimage

from data_contracts.results import Estimate
from pipeline.evidence import memorisation as mem
from pipeline.evidence.authenticity import FeatureCopies
from pipeline.evidence.memorisation import (
    CopyFinder,
    Found,
    cross_fitted_copies,
    memorisation,
    near_copies,
    near_copy_threshold,
    nearest,
)


def blobs(n, seed=0, size=64):
    """Smooth random images in [-1, 1]: what remains at 32 x 32 is what differs."""
    coarse = np.random.default_rng(seed).normal(size=(n, 1, 8, 8))
    images = np.repeat(np.repeat(coarse, size // 8, axis=2), size // 8, axis=3)
    return np.clip(images / 4, -1, 1).astype(np.float32)


def each(n):
    """Every slice a subject of its own."""
    return [f"group-{i}" for i in range(n)]


def test_copies_mirrors_and_rescaled_copies_are_found_and_others_are_not():
    training = blobs(20)
    images = np.concatenate([training[3:4], training[7:8, ..., ::-1], training[11:12] * 0.5 + 0.2, blobs(1, seed=9)])
    distances, indices = nearest(images, training, training_groups=each(20))
    np.testing.assert_allclose(distances[:3], 0, atol=1e-4)
    assert indices[:3].tolist() == [3, 7, 11]
    assert distances[3] > 0.5


def test_equals_the_ratio_of_correlation_distances_by_numpy(monkeypatch):
    monkeypatch.setattr(mem, "BLOCK", 4)  # several blocks, the last one not full
    images, training = blobs(10, seed=1), blobs(7, seed=2)
    groups = np.array(["a", "a", "b", "c", "b", "c", "c"])
    small = lambda a: a.reshape(len(a), 32, 2, 32, 2).mean((2, 4)).reshape(len(a), -1)  # noqa: E731 - a formula
    both = [np.corrcoef(small(images), small(t))[:10, 10:] for t in (training, training[..., ::-1])]
    distance = 1 - np.maximum(*both)
    by_group = np.sort(np.stack([distance[:, groups == g].min(1) for g in "abc"], axis=1), axis=1)
    found, indices = nearest(images, training, training_groups=groups)
    np.testing.assert_allclose(found, by_group[:, 0] / by_group[:, 1], atol=1e-5)
    assert indices.tolist() == distance.argmin(1).tolist()


def test_an_average_that_is_near_to_everybody_copies_nobody():
    shared = 3 * blobs(1, seed=8)
    training = np.clip((shared + blobs(60)) / 4, -1, 1)
    average = training.mean(axis=0, keepdims=True)
    blurred_copy = (training[:1] + average) / 2
    distances, _ = nearest(np.concatenate([average, blurred_copy]), training, training_groups=each(60))
    assert distances[0] > 0.7
    assert distances[1] < 0.4


def test_real_slices_are_judged_by_finders_that_do_not_know_their_subject():
    images, subjects = blobs(60), [f"s{i // 3}" for i in range(60)]
    images[1::3] = images[::3]  # of each subject two slices are one: no copy of another subject's
    assert cross_fitted_copies(images, subjects).mean() < 0.1
    images[30] = images[0] * 0.9  # but these two are one slice in two subjects
    called = cross_fitted_copies(images, subjects)
    assert called[[0, 1, 30]].all()
    assert called.mean() < 0.2
    for n in (4, 5, 7):  # as few as there may be
        assert cross_fitted_copies(blobs(n), each(n)).shape == (n,)
    with pytest.raises(ValueError, match="two other subjects"):
        cross_fitted_copies(blobs(2), each(2))


def test_a_flat_image_resembles_nobody_more_than_the_next():
    distances, _ = nearest(np.full((2, 1, 64, 64), 0.3, np.float32), blobs(5), training_groups=each(5))
    np.testing.assert_allclose(distances, 1)


def test_a_slice_is_never_compared_with_its_own_group(monkeypatch):
    monkeypatch.setattr(mem, "BLOCK", 3)  # several blocks, the last one not full
    training = np.concatenate([blobs(4), blobs(4)])  # each slice twice
    groups = each(4) * 2
    free, _ = nearest(training, training, training_groups=groups)
    apart, indices = nearest(training, training, training_groups=groups, image_groups=groups)
    np.testing.assert_allclose(free, 0, atol=1e-4)
    assert (apart > 0.3).all()
    assert all(groups[i] != groups[j] for i, j in enumerate(indices))


def test_threshold_calls_about_one_in_a_hundred_of_other_subjects_a_copy():
    training = blobs(600)
    threshold = near_copy_threshold(training, each(600))
    new, _ = nearest(blobs(600, seed=5), training, training_groups=each(600))
    assert near_copies(new, threshold=threshold).mean() < 0.03
    copies, _ = nearest(training[:50] + 0.02 * blobs(50, seed=6), training, training_groups=each(600))
    assert near_copies(copies, threshold=threshold).all()


def test_threshold_is_a_low_quantile_and_neighbours_of_one_subject_do_not_lower_it():
    training = blobs(100)
    beside = training + 0.01 * blobs(100, seed=7)  # the next slice of each head
    alone = near_copy_threshold(training, each(100))
    between, _ = nearest(training, training, training_groups=each(100), image_groups=each(100))
    assert alone == pytest.approx(np.quantile(between, 0.01))
    assert near_copy_threshold(np.concatenate([training, beside]), each(100) * 2) == pytest.approx(alone, rel=0.05)


def test_an_exact_copy_is_always_a_near_copy_even_of_two_subjects_with_the_same_pixels():
    training = np.concatenate([blobs(10), blobs(10)])
    threshold = near_copy_threshold(training, each(20))
    distances, _ = nearest(training, training, training_groups=each(20))
    assert near_copies(distances, threshold=threshold).all()


def moved(images, *, shift=(0, 0), scale=1.0, turn=0.0):
    """Turned by degrees and scaled about the middle, then shifted by pixels; -1 where nothing was."""
    angle = np.deg2rad(turn)
    back = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) / scale
    middle = (np.array(images.shape[2:]) - 1) / 2
    offset = middle - back @ (middle + shift)
    found = [ndimage.affine_transform(one, back, offset=offset, order=1, cval=-1) for one in images[:, 0]]
    return np.stack(found)[:, None].astype(np.float32)


MOVES = {
    "shifted": {"shift": (6, -4)},
    "smaller": {"scale": 0.9},
    "larger": {"scale": 1.1},
    "turned": {"turn": -10},
    "all": {"shift": (-3, 4), "scale": 1.06, "turn": 6},
}


@pytest.fixture(scope="module")
def finders():
    return CopyFinder(blobs(24), each(24)), CopyFinder(blobs(24), each(24), search=False)


@pytest.mark.parametrize("move", MOVES)
def test_moved_copies_are_found_by_the_search(finders, move):
    searching, quick = finders
    training = blobs(24)
    training[12:] = training[12:, ..., ::-1]
    copies = moved(training, **MOVES[move])
    found, plain = searching.find(copies), quick.find(copies)
    assert found.near_copy.mean() > 0.9
    assert (found.nearest == np.arange(24))[found.near_copy].all()
    assert np.median(found.distances) < 0.5 * np.median(plain.distances)
    assert found.moved.tolist() == (found.near_copy & ~plain.near_copy).tolist()
    if move in ("shifted", "all"):
        assert found.moved.mean() > 0.9  # as they are, they resemble nobody
    assert not plain.moved.any()


def test_images_of_nobody_are_no_copies_however_they_are_moved(finders):
    assert finders[0].find(blobs(24, seed=5)).near_copy.mean() < 0.15


def test_what_the_plain_comparison_calls_a_copy_is_one_whatever_the_search_says(finders):
    searching, quick = finders
    strict = CopyFinder(blobs(24), each(24))
    strict.threshold = -1.0  # a search that finds nothing
    images = np.concatenate([blobs(24)[:2], blobs(2, seed=9)])
    found = strict.find(images)
    assert found.near_copy.tolist() == quick.find(images).near_copy.tolist() == [True, True, False, False]
    assert not found.moved.any()
    np.testing.assert_array_equal(found.distances, searching.find(images).distances)


def test_searched_threshold_is_read_through_the_same_search():
    training = blobs(12)
    searched, _ = nearest(training, training, training_groups=each(12), image_groups=each(12), search=True)
    plain, _ = nearest(training, training, training_groups=each(12), image_groups=each(12))
    assert near_copy_threshold(training, each(12), search=True) == pytest.approx(np.quantile(searched, 0.01))
    assert not np.allclose(searched, plain)
    finder = CopyFinder(training, each(12))
    found = finder.find(training)
    assert finder.threshold == near_copy_threshold(training, each(12), search=True)
    assert found.near_copy.all()
    assert not found.moved.any()


def test_a_threshold_asks_no_more_slices_than_its_most(monkeypatch):
    monkeypatch.setattr(mem, "MOST_SLICES", 5)
    training = blobs(9)
    every_other, _ = nearest(training[::2], training, training_groups=each(9), image_groups=each(9)[::2])
    assert near_copy_threshold(training, each(9)) == pytest.approx(np.quantile(every_other, 0.01))


def test_search_judges_other_sizes_blank_and_broken_images():
    small = blobs(8, size=32)
    finder = CopyFinder(small, each(8))
    strange = np.concatenate([small[:1], np.full_like(small[:1], 0.5), np.full_like(small[:1], np.nan)])
    found = finder.find(strange)
    assert found.near_copy.tolist() == [True, False, False]
    np.testing.assert_allclose(found.distances[1:], 1)
    assert len(finder.find(small[:0])) == 0
    joined = finder.find(small[:2]).and_then(finder.find(small[5:6]))
    assert joined.nearest.tolist() == [0, 1, 5]


def found(distances, near_copy, moved_copies=None):
    n = len(distances)
    moved_copies = [False] * n if moved_copies is None else moved_copies
    return Found(np.float32(distances), np.zeros(n, np.int64), np.array(near_copy, bool), np.array(moved_copies, bool))


def summed(synthetic, held_out_real):
    return memorisation(
        fold=1,
        diagnosis="tumour",
        synthetic=synthetic,
        held_out_real=held_out_real,
        threshold=0.1,
        n_broken=1,
        n_kept=1,
        extractor="some",
        synthetic_features=FeatureCopies(copy_share=0.3, authenticity=0.6),
        held_out_real_features=FeatureCopies(copy_share=0.1, authenticity=0.8),
        membership_auc=Estimate(estimate=0.6, low=0.5, high=0.7),
    )


def test_scores_count_what_the_screen_would():
    scores = summed(
        found([0.0, 0.1, 0.2, 0.5], [True, True, False, False], [False, True, False, False]),
        found([0.05, 0.3], [True, False]),
    )
    assert (scores.n_generated, scores.n_near_copies, scores.n_moved_copies, scores.n_held_out_real) == (4, 2, 1, 2)
    assert scores.median_distance_synthetic == pytest.approx(0.15)
    assert scores.median_distance_held_out_real == pytest.approx(0.175)
    assert scores.held_out_real_near_copy_share == 0.5
    assert (scores.feature_copy_share, scores.held_out_real_feature_copy_share) == (0.3, 0.1)
    assert (scores.authenticity, scores.held_out_real_authenticity) == (0.6, 0.8)
    assert (scores.extractor, scores.membership_auc.estimate) == ("some", 0.6)


def test_nothing_to_compare_with_is_refused():
    with pytest.raises(ValueError, match="two other subjects"):
        nearest(blobs(1), blobs(3), training_groups=["group-1"] * 3)
    with pytest.raises(ValueError, match="two other subjects"):
        near_copy_threshold(blobs(3), ["group-1", "group-1", "group-2"])
    with pytest.raises(ValueError, match="nothing to compare"):
        summed(found([], []), found([0.1], [False]))
