import numpy as np
import pytest

from pipeline.evidence import memorisation as mem
from pipeline.evidence.memorisation import memorisation, near_copies, near_copy_threshold, nearest


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


def test_scores_count_what_the_screen_would():
    found = memorisation(
        fold=1,
        diagnosis="tumour",
        synthetic_distances=np.float32([0.0, 0.1, 0.2, 0.5]),
        held_out_real_distances=np.float32([0.05, 0.3]),
        threshold=0.1,
        n_broken=1,
        n_kept=1,
    )
    assert (found.n_generated, found.n_near_copies, found.n_held_out_real) == (4, 2, 2)
    assert found.median_distance_synthetic == pytest.approx(0.15)
    assert found.median_distance_held_out_real == pytest.approx(0.175)
    assert found.held_out_real_near_copy_share == 0.5


def test_nothing_to_compare_with_is_refused():
    with pytest.raises(ValueError, match="two other subjects"):
        nearest(blobs(1), blobs(3), training_groups=["group-1"] * 3)
    with pytest.raises(ValueError, match="two other subjects"):
        near_copy_threshold(blobs(3), ["group-1", "group-1", "group-2"])
    with pytest.raises(ValueError, match="nothing to compare"):
        memorisation(
            fold=0,
            diagnosis="tumour",
            synthetic_distances=np.float32([]),
            held_out_real_distances=np.float32([0.1]),
            threshold=0.1,
            n_broken=0,
            n_kept=0,
        )
