import numpy as np
import pytest

from pipeline.evidence import memorisation as mem
from pipeline.evidence.memorisation import memorisation, near_copies, near_copy_threshold, nearest


def blobs(n, seed=0, size=64):
    """Smooth random images in [-1, 1]: what remains at 32 x 32 is what differs."""
    coarse = np.random.default_rng(seed).normal(size=(n, 1, 8, 8))
    images = np.repeat(np.repeat(coarse, size // 8, axis=2), size // 8, axis=3)
    return np.clip(images / 4, -1, 1).astype(np.float32)


def test_copies_mirrors_and_rescaled_copies_are_found_and_others_are_not():
    training = blobs(20)
    images = np.concatenate([training[3:4], training[7:8, ..., ::-1], training[11:12] * 0.5 + 0.2, blobs(1, seed=9)])
    distances, indices = nearest(images, training)
    np.testing.assert_allclose(distances[:3], 0, atol=1e-5)
    assert indices[:3].tolist() == [3, 7, 11]
    assert distances[3] > 0.3


def test_equals_correlation_by_numpy(monkeypatch):
    monkeypatch.setattr(mem, "BLOCK", 4)  # several blocks, the last one not full
    images, training = blobs(10, seed=1), blobs(7, seed=2)
    small = lambda a: a.reshape(len(a), 32, 2, 32, 2).mean((2, 4)).reshape(len(a), -1)  # noqa: E731 - a formula
    both = [np.corrcoef(small(images), small(t))[:10, 10:] for t in (training, training[..., ::-1])]
    want = 1 - np.maximum(*both)
    distances, indices = nearest(images, training)
    np.testing.assert_allclose(distances, want.min(1), atol=1e-5)
    assert indices.tolist() == want.argmin(1).tolist()


def test_a_flat_image_resembles_nothing():
    distances, _ = nearest(np.full((2, 1, 64, 64), 0.3, np.float32), blobs(5))
    np.testing.assert_allclose(distances, 1)


def test_groups_keep_a_slice_from_being_compared_with_its_own(monkeypatch):
    monkeypatch.setattr(mem, "BLOCK", 3)  # several blocks, the last one not full
    training = np.concatenate([blobs(4), blobs(4)])  # each slice twice
    groups = [f"group-{i}" for i in range(4)] * 2
    free, _ = nearest(training, training)
    apart, indices = nearest(training, training, image_groups=groups, training_groups=groups)
    np.testing.assert_allclose(free, 0, atol=1e-5)
    assert (apart > 0.2).all()
    assert all(groups[i] != groups[j] for i, j in enumerate(indices))


def test_threshold_calls_about_one_in_a_hundred_of_other_subjects_a_copy():
    training = blobs(600)
    threshold = near_copy_threshold(training, [f"group-{i}" for i in range(600)])
    new, _ = nearest(blobs(600, seed=5), training)
    assert near_copies(new, threshold=threshold).mean() < 0.03
    copies, _ = nearest(training[:50] + 0.02 * blobs(50, seed=6), training)
    assert near_copies(copies, threshold=threshold).all()


def test_threshold_is_a_low_quantile_and_neighbours_of_one_subject_do_not_lower_it():
    training = blobs(100)
    groups = [f"group-{i}" for i in range(100)]
    beside = training + 0.01 * blobs(100, seed=7)  # the next slice of each head
    alone = near_copy_threshold(training, groups)
    between, _ = nearest(training, training, image_groups=groups, training_groups=groups)
    assert alone == pytest.approx(np.quantile(between, 0.01))
    assert near_copy_threshold(np.concatenate([training, beside]), groups * 2) == pytest.approx(alone, rel=0.05)


def test_an_exact_copy_is_always_a_near_copy():
    training = np.concatenate([blobs(10), blobs(10)])  # other groups hold the same pixels: quantile 0
    threshold = near_copy_threshold(training, [f"group-{i}" for i in range(20)])
    assert threshold == mem.SMALLEST_THRESHOLD
    assert near_copies(nearest(training, training)[0], threshold=threshold).all()


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
    with pytest.raises(ValueError, match="no training slices"):
        nearest(blobs(1), blobs(0))
    with pytest.raises(ValueError, match="another group"):
        near_copy_threshold(blobs(3), ["group-1"] * 3)
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
