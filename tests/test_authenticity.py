import numpy as np
import pytest

from pipeline.evidence import authenticity
from pipeline.evidence.authenticity import feature_copies, nearest_features


def points(n, seed=0):
    return np.random.default_rng(seed).normal(size=(n, 6)).astype(np.float32)


def each(n):
    return [f"group-{i}" for i in range(n)]


def test_nearest_equals_numpy_and_passes_over_its_own_group(monkeypatch):
    monkeypatch.setattr(authenticity, "BLOCK", 4)  # several blocks, the last one not full
    x, y = points(10), points(7, seed=1)
    distances = np.linalg.norm(x[:, None].astype(float) - y[None], axis=2)
    found, indices = nearest_features(x, y)
    np.testing.assert_allclose(found, distances.min(1), rtol=1e-6)
    assert indices.tolist() == distances.argmin(1).tolist()
    groups, others = np.array(list("aabbccddee")), np.array(list("abcdefg"))
    apart, indices = nearest_features(x, y, groups=groups.tolist(), reference_groups=others.tolist())
    distances[groups[:, None] == others[None]] = np.inf
    np.testing.assert_allclose(apart, distances.min(1), rtol=1e-6)
    assert not (groups == others[indices]).any()


def test_copies_are_not_authentic_and_independent_ones_are_about_as_real_ones():
    training = points(300)
    copied = feature_copies(images=training + 1e-3, training=training, training_groups=each(300))
    assert copied.copy_share == 1
    assert copied.authenticity == 0
    own = feature_copies(images=points(300, seed=2), training=training, training_groups=each(300))
    assert own.copy_share < 0.04
    # an independent image is as often nearer to a slice than that slice's nearest as it is farther; nearest of
    # 300 rather than 299 makes no difference
    assert 0.4 < own.authenticity < 0.75
    half = np.concatenate([training[:150], points(150, seed=2)])
    mixed = feature_copies(images=half, training=training, training_groups=each(300))
    assert 0.5 <= mixed.copy_share < 0.54
    assert mixed.authenticity < 0.4


def test_shares_equal_their_definition_by_hand():
    training = np.float32([[0, 0], [0.1, 0], [3, 0], [3, 4]])  # the first two are of one head
    groups = ["a", "a", "b", "c"]
    # nearest of another group: 3.0, 2.9, 2.9, 4.0; the copy quantile lies at 2.9
    images = np.float32([[0, 1], [-3.5, 0], [3, 8.5], [3, 1]])
    found = feature_copies(images=images, training=training, training_groups=groups)
    assert found.copy_share == 0.5  # at 1.0, 3.5, 4.5, 1.0
    assert found.authenticity == 0.5  # 1.0 < 3.0, 3.5 > 3.0, 4.5 > 4.0, 1.0 < 2.9


def test_one_group_and_no_images_are_refused():
    with pytest.raises(ValueError, match="another group"):
        feature_copies(images=points(2), training=points(3), training_groups=["a"] * 3)
    with pytest.raises(ValueError, match="no images"):
        feature_copies(images=points(0), training=points(3), training_groups=each(3))
