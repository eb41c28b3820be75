import numpy as np
import pytest

from pipeline.evidence.features import RandomFeatures, standardise


def some_images(n, size=32, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, (n, 1, size, size)).astype(np.float32)


def test_same_seed_same_space_and_other_seed_another():
    images = some_images(3)
    assert RandomFeatures(4).digest == RandomFeatures(4).digest != RandomFeatures(5).digest
    assert np.array_equal(RandomFeatures(4).extract(images), RandomFeatures(4).extract(images))
    assert not np.allclose(RandomFeatures(4).extract(images), RandomFeatures(5).extract(images))


def test_digest_is_pinned_so_that_scores_of_different_runs_compare():
    assert RandomFeatures().digest.startswith("6a0cfc819ceeed6a")


def test_one_by_one_equals_in_batches():
    images = some_images(5)
    extractor = RandomFeatures()
    together = extractor.extract(images)
    alone = np.concatenate([extractor.extract(image[None]) for image in images])
    np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(together, extractor.extract(images, batch_size=2), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [28, 33, 64, 128])
def test_any_size_gives_finite_features_of_one_length(size):
    found = RandomFeatures().extract(some_images(2, size))
    assert found.shape == (2, 480)
    assert found.dtype == np.float32
    assert np.isfinite(found).all()


def test_a_flat_image_has_no_spread_at_any_stage():
    channels = (32, 48, 64, 96)
    found = RandomFeatures().extract(np.full((1, 1, 32, 32), 0.5, np.float32))[0]
    start = 0
    for width in channels:
        means, spreads = found[start : start + width], found[start + width : start + 2 * width]
        assert np.abs(means).max() > 0.01
        np.testing.assert_allclose(spreads, 0, atol=1e-5)
        start += 2 * width


def test_features_follow_contrast():
    # no layer has a bias, so twice the contrast is twice the features
    images = some_images(4) / 2
    extractor = RandomFeatures()
    np.testing.assert_allclose(extractor.extract(2 * images), 2 * extractor.extract(images), rtol=1e-3, atol=1e-4)


def test_features_tell_textures_apart_that_share_their_grey_values():
    rough = some_images(40)
    smooth = np.repeat(np.repeat(some_images(40, 8, seed=1), 4, axis=2), 4, axis=3)
    features = RandomFeatures().extract(np.concatenate([rough, smooth]))
    found = standardise(features, reference=features)
    distances = np.linalg.norm(found[:, None] - found[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    is_smooth = np.arange(80) >= 40
    assert (is_smooth[distances.argmin(1)] == is_smooth).mean() > 0.95


def test_reference_becomes_standard_and_a_constant_column_stays_finite():
    rng = np.random.default_rng(1)
    reference = rng.normal(5, [0.1, 3, 20], (200, 3)).astype(np.float32)
    reference[:, 0] = 7
    found = standardise(reference, reference=reference)
    np.testing.assert_allclose(found.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(found[:, 1:].std(0), 1, atol=1e-5)
    moved = standardise(reference + np.float32([1, 0, 0]), reference=reference)
    np.testing.assert_allclose(moved[:, 0], 1, atol=1e-5)


@pytest.mark.parametrize("shape", [(2, 32, 32), (2, 3, 32, 32), (2, 1, 27, 64)])
def test_another_shape_is_refused(shape):
    with pytest.raises(ValueError, match="want \\(N, 1, H, W\\)"):
        RandomFeatures().extract(np.zeros(shape, np.float32))
