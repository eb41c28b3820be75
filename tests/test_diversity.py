import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import pairwise_distances
from sklearn.metrics.pairwise import rbf_kernel
from vendi_score import vendi as reference

from pipeline.evidence import diversity
from pipeline.evidence.diversity import different_bins, distances, duplicate_share, structure, support, vendi


def draw(n, d=6, seed=0, scale=1.0):
    return (scale * np.random.default_rng(seed).normal(size=(n, d))).astype(np.float32)


def apart(x):
    return distances(x.astype(float), x.astype(float))


def frozen(modes, n, seed=0, noise=0.0):
    """n images of so many equally likely modes."""
    rng = np.random.default_rng(seed)
    return draw(modes, d=20, seed=seed)[rng.integers(0, modes, n)] + noise * draw(n, d=20, seed=seed + 1)


def test_distances_are_those_of_scikit_learn_and_zero_for_equal_points():
    x = draw(30, seed=1).astype(float) + 1e4
    both = np.concatenate([x, x[:5]])
    np.testing.assert_allclose(distances(both, x), pairwise_distances(both - 1e4, x - 1e4), atol=1e-6)
    assert (np.diag(distances(both, both), 30) == 0).all()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # vendi_score asks SciPy for an old name
@pytest.mark.parametrize("scale", [0.5, 2.0, 10.0])
def test_vendi_equals_the_reference_implementation(scale):
    x = draw(60, seed=2)
    want = reference.score_K(rbf_kernel(x.astype(float), gamma=1 / (2 * scale**2)))
    assert vendi(apart(x), scale=scale) == pytest.approx(want, abs=1e-6)


def test_vendi_counts_kinds():
    assert vendi(np.zeros((9, 9)), scale=1) == pytest.approx(1)
    assert vendi(1e3 * (1 - np.eye(9)), scale=1) == pytest.approx(9)
    six = np.repeat(np.eye(6) * 100, 5, axis=0)
    assert vendi(distances(six, six), scale=1) == pytest.approx(6)


@pytest.mark.parametrize("modes", [5, 20, 60])
def test_birthdays_tell_how_many_images_a_generator_knows(modes):
    found = [support(apart(frozen(modes, 100, seed, noise=1e-3)), same=0.05) for seed in range(30)]
    assert 1 / np.mean(1 / np.array(found)) == pytest.approx(modes, rel=0.1)


def test_birthday_pairs_are_counted_by_hand():
    line = np.array([[0.0], [0.001], [5.0], [9.0]])  # one of six pairs is the same image
    within = distances(line, line)
    assert support(within, same=0.01) == 6
    assert duplicate_share(within, same=0.01) == 0.5
    assert support(within, same=1e-6) is None
    assert duplicate_share(within, same=1e-6) == 0
    assert support(np.zeros((4, 4)), same=0.1) == 1
    assert duplicate_share(np.zeros((4, 4)), same=0.1) == 1


def test_a_set_drawn_together_repeats_nothing():
    within = apart(draw(80, d=20))
    same = diversity.same_image(within)
    assert duplicate_share(within, same=same) == duplicate_share(0.1 * within, same=same) == 0
    assert duplicate_share(apart(frozen(10, 80, noise=0.02)), same=same) > 0.95


def test_structure_is_that_of_the_singular_vectors_and_leaves_grain_out():
    rng = np.random.default_rng(0)
    large, grain = rng.normal(size=(200, 3)) @ rng.normal(size=(3, 400)) * 3, 0.3 * rng.normal(size=(200, 400))
    features = (large + grain + 7).astype(np.float32)
    found = structure(features)
    centred = features - features.mean(0, dtype=float)
    _, _, rows = np.linalg.svd(centred, full_matrices=False)
    for one, other in zip(found.directions.T[:3], rows[:3], strict=True):
        assert abs(one @ other) == pytest.approx(1, abs=1e-6)
    assert found.directions.shape == (400, diversity.COMPONENTS)
    again = (features[:100] + 0.3 * rng.normal(size=(100, 400))).astype(np.float32)
    moved = np.linalg.norm(found.project(again) - found.project(features[:100]), axis=1)
    assert moved.mean() < 0.3 * np.linalg.norm(again - features[:100], axis=1).mean()
    assert structure(draw(30, d=4)).directions.shape == (4, 4)


def test_a_bin_differs_where_a_test_of_proportions_says_so():
    training, candidate = draw(300, d=2), draw(200, d=2, seed=1) + np.float32([0.4, 0])
    cut = diversity.clusters(training, count=8, seed=0)
    counts = np.bincount(diversity.assign(candidate, cut), minlength=8)
    p = [
        stats.chi2_contingency([[a, 200 - a], [b, 300 - b]], correction=False).pvalue
        for a, b in zip(counts, cut.counts, strict=True)
    ]
    assert 0 < different_bins(candidate, cut) < 1
    assert different_bins(candidate, cut) == np.mean(np.array(p) < diversity.LEVEL)
    assert different_bins(training, cut) == 0


def test_bins_differ_more_where_modes_are_missing():
    training = draw(400, d=4)
    cut = diversity.bins(training, seed=0)
    assert len(cut.counts) == 40
    other = draw(400, d=4, seed=1)
    missing = other[other[:, 0] > 0][np.random.default_rng(0).integers(0, 150, 400)]
    assert different_bins(other, cut) < 0.3
    assert different_bins(missing, cut) > 0.6


def test_bins_of_few_different_images_are_as_many_as_those():
    assert len(diversity.bins(np.repeat(draw(3), 20, axis=0), seed=0).counts) == 3
