import contextlib
import io

import numpy as np
import pytest
from prdc import compute_prdc
from scipy import ndimage

from pipeline.evidence import fidelity as fid
from pipeline.evidence.fidelity import (
    FRECHET_NEEDS,
    fidelity,
    frechet_distance,
    kernel_distance,
    manifold,
    metric_set,
    neighbourhoods,
)


def draw(n, d=8, seed=0, shift=0.0, scale=1.0):
    return (shift + scale * np.random.default_rng(seed).normal(size=(n, d))).astype(np.float32)


def judge(candidate, training, k=5):
    return metric_set(candidate=candidate, training=training, k=k, rng=np.random.default_rng(0))


def four(candidate, training, k):
    return manifold(
        candidate=candidate,
        training=training,
        near_candidate=neighbourhoods(candidate, k=k),
        near_training=neighbourhoods(training, k=k),
        k=k,
    )


@pytest.mark.filterwarnings("ignore")  # prdc asks for more workers than there are cores
@pytest.mark.parametrize(("n", "m", "k", "shift"), [(60, 60, 1, 0.0), (130, 90, 5, 0.3), (40, 150, 3, 1.0)])
def test_equals_the_reference_implementation(n, m, k, shift, monkeypatch):
    monkeypatch.setattr(fid, "BLOCK", 32)  # several blocks, the last one not full
    candidate, training = draw(n, shift=shift, seed=1), draw(m, seed=2)
    with contextlib.redirect_stdout(io.StringIO()):
        want = compute_prdc(training, candidate, k)
    found = four(candidate, training, k)
    for name in ("precision", "recall", "density", "coverage"):
        assert getattr(found, name) == pytest.approx(want[name], abs=1e-6), name


def test_known_answer_on_a_line():
    training = np.float32([[0], [1], [2], [10]])  # radii at k = 1: 1, 1, 1, 8
    candidate = np.float32([[0.5], [0.75], [30], [31]])  # radii 0.25, 0.25, 1, 1
    found = four(candidate, training, 1)
    assert found.precision == 0.5  # 0.5 and 0.75
    assert found.recall == 0.0  # 1 lies exactly on the border of 0.75, which is outside
    assert found.density == (2 + 2) / 4  # 0 and 1 hold each of them; 10 is 9.25 from the nearer
    assert found.coverage == 0.5  # 0 and 1


def test_a_collapsed_set_is_precise_and_neither_recalls_nor_covers_nor_spreads():
    training = draw(200)
    collapsed = (training[:1] + 0.01 * draw(200, seed=3)).astype(np.float32)
    found, honest = judge(collapsed, training), judge(draw(200, seed=4), training)
    assert found.precision > 0.95
    assert found.recall < 0.05
    assert honest.recall > 0.5
    assert found.coverage < 0.2
    assert honest.coverage > 0.7
    assert found.spread < 0.05
    assert honest.spread == pytest.approx(1, abs=0.1)
    assert found.kid > 20 * honest.kid_standard_error


def test_repeating_one_training_image_exactly_still_counts_no_diversity():
    training = draw(100, d=480, shift=5)  # far from the origin, where rounding makes one point two
    found = judge(np.repeat(training[:1], 100, axis=0), training)
    assert (found.precision, found.recall, found.spread) == (1.0, 0.0, 0.0)


def test_noise_is_not_precise():
    found = judge(draw(200, seed=5, scale=4), draw(200))
    assert found.precision < 0.1
    assert found.density < 0.1
    assert found.spread > 3


def test_kid_is_zero_for_one_distribution_within_its_standard_error():
    pairs = [kernel_distance(candidate=draw(80, seed=2 * i), training=draw(80, seed=2 * i + 1)) for i in range(40)]
    estimates, errors = np.array(pairs).T
    assert abs(estimates.mean()) < 3 * estimates.std() / np.sqrt(len(estimates))
    assert (estimates < 0).any()  # unbiased, so at times below zero
    # never too small by much; a degenerate statistic's jackknife is known to be too large, by about sqrt(2)
    assert 0.9 * estimates.std() < errors.mean() < 2 * estimates.std()


def test_kid_standard_error_is_the_spread_of_repetitions_where_distributions_differ():
    pairs = [
        kernel_distance(candidate=draw(80, seed=2 * i, shift=0.5), training=draw(80, seed=2 * i + 1)) for i in range(60)
    ]
    estimates, errors = np.array(pairs).T
    assert errors.mean() == pytest.approx(estimates.std(), rel=0.3)
    assert (estimates > 3 * errors).mean() > 0.9


def test_kid_equals_the_plain_double_sum():
    x, y = draw(7, d=3, seed=1).astype(float), draw(5, d=3, seed=2).astype(float)

    def kernel(a, b):
        return (a @ b / 3 + 1) ** 3

    within_x = np.mean([kernel(x[i], x[j]) for i in range(7) for j in range(7) if i != j])
    within_y = np.mean([kernel(y[i], y[j]) for i in range(5) for j in range(5) if i != j])
    across = np.mean([kernel(a, b) for a in x for b in y])
    found, error = kernel_distance(candidate=x.astype(np.float32), training=y.astype(np.float32))
    assert found == pytest.approx(within_x + within_y - 2 * across, rel=1e-5)

    def without(i):
        return kernel_distance(candidate=np.delete(x, i, 0).astype(np.float32), training=y.astype(np.float32))[0]

    def without_training(j):
        return kernel_distance(candidate=x.astype(np.float32), training=np.delete(y, j, 0).astype(np.float32))[0]

    variance = 6 * np.var([without(i) for i in range(7)]) + 4 * np.var([without_training(j) for j in range(5)])
    assert error == pytest.approx(np.sqrt(variance), rel=1e-4)


def test_order_does_not_matter():
    candidate, training = draw(120, shift=0.2, seed=6), draw(120)
    shuffled = np.random.default_rng(9).permutation(120)
    one, other = judge(candidate, training), judge(candidate[shuffled], training[shuffled[::-1]])
    for name, value in one.model_dump().items():
        assert getattr(other, name) == pytest.approx(value, rel=1e-6), name


@pytest.mark.parametrize(("n", "m", "d"), [(40, 50, 3), (9, 7, 30), (60, 8, 20)])  # also singular covariances
def test_frechet_distance_equals_the_formula_with_a_matrix_root(n, m, d):
    x, y = draw(n, d=d, shift=0.5, seed=1).astype(float), draw(m, d=d, scale=1.5, seed=2).astype(float)
    a, b = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    values, vectors = np.linalg.eigh(a)
    root = vectors @ np.diag(np.sqrt(np.clip(values, 0, None))) @ vectors.T  # symmetric, so of another form
    middle = np.sqrt(np.clip(np.linalg.eigvalsh(root @ b @ root), 0, None)).sum()
    want = ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(a) + np.trace(b) - 2 * middle
    found = frechet_distance(candidate=x.astype(np.float32), training=y.astype(np.float32))
    assert found == pytest.approx(want, abs=1e-6)


def test_frechet_distance_on_a_line_and_of_a_set_to_itself():
    x, y = draw(300, d=1, seed=1), draw(200, d=1, shift=2, scale=3, seed=2)
    want = (x.mean(dtype=float) - y.mean(dtype=float)) ** 2 + (x.std(ddof=1) - y.std(ddof=1)) ** 2
    assert frechet_distance(candidate=x, training=y) == pytest.approx(want, rel=1e-5)
    assert frechet_distance(candidate=y, training=y) == pytest.approx(0, abs=1e-6)


def test_frechet_distance_of_one_distribution_falls_with_n_which_is_why_n_stands_beside_it():
    small, large = (
        frechet_distance(candidate=draw(n, d=20, seed=1), training=draw(n, d=20, seed=2)) for n in (40, 800)
    )
    assert small > 5 * large > 0
    assert FRECHET_NEEDS == 2000


def test_equal_images_are_at_distance_zero_in_any_block(monkeypatch):
    monkeypatch.setattr(fid, "BLOCK", 16)
    monkeypatch.setattr(fid, "PAIRS", 7)
    x = draw(50, d=480, shift=30)
    both = np.concatenate([x, x])
    near = neighbourhoods(both, k=1)
    assert (near.radii == 0).all()
    apart = np.linalg.norm(both[:, None].astype(float) - both[None].astype(float), axis=2)
    assert near.mean_distance == pytest.approx(apart.sum() / (100 * 99), rel=1e-6)
    np.testing.assert_allclose(neighbourhoods(both, k=3).radii, np.sort(apart, 1)[:, 3], rtol=1e-9)
    # a candidate on the border of a neighbourhood is outside of it, however products round
    found = four(x, both, 2)
    assert found.coverage == pytest.approx(1)
    assert four(x, x, 1).density == pytest.approx(1)


def pictures(n, seed, size=12):
    """Images of n heads that are nothing but smooth noise: float32 (n, 1, size, size) in [-1, 1]."""
    rng = np.random.default_rng(seed)
    soft = ndimage.gaussian_filter(rng.normal(size=(n, 1, size, size)), (0, 0, 2, 2))
    return np.clip(soft * 3, -1, 1).astype(np.float32)


def flat(images):
    return images.reshape(len(images), -1)


def whole(seed=0, **changed):
    asked = {
        "fold": 1,
        "diagnosis": "tumour",
        "synthetic": pictures(90, 1),
        "held_out_real": pictures(60, 2),
        "training": pictures(120, 3),
        "training_groups": [f"a{i // 4}" for i in range(120)],
        "held_out_groups": [f"b{i // 4}" for i in range(60)],
        "extract": flat,
        "extractor": "pixels",
        "extractor_digest": "0",
        "k": 3,
        "rng": np.random.default_rng(seed),
    }
    return fidelity(**asked | changed)


def test_four_sets_at_one_n_and_each_reference_where_it_must_be():
    found = whole()
    assert (found.fold, found.diagnosis, found.n, found.k, found.extractor) == (1, "tumour", 60, 3, "pixels")
    made, real, few, noise = found.synthetic, found.held_out_real, found.collapsed, found.noise
    for name in ("precision", "recall", "density", "coverage", "spread"):
        assert getattr(made, name) == pytest.approx(getattr(real, name), abs=0.25), name
    assert few.vendi == pytest.approx(3, abs=0.3)
    assert few.support == pytest.approx(3, abs=0.2)
    assert few.duplicate_share == 1
    assert few.different_bins > real.different_bins
    assert few.coverage < 0.5 * real.coverage
    assert few.recall < 0.2 * real.recall
    assert few.dissimilarity < 0.9 * real.dissimilarity
    assert noise.precision < 0.1
    assert noise.density < 0.1
    assert noise.frechet > 3 * real.frechet
    assert not found.collapse.mode_collapse
    assert found.collapse.n == 60
    assert made.vendi == pytest.approx(real.vendi, rel=0.2)
    assert real.duplicate_share == 0
    assert real.support is None


def test_the_same_seed_gives_the_same_scores_and_a_collapsed_generator_is_called_so():
    assert whole(0) == whole(0) != whole(1)
    found = whole(synthetic=pictures(2, 1)[np.arange(90) % 2])
    assert found.collapse.mode_collapse
    assert not whole(synthetic=pictures(90, 7)).collapse.mode_collapse


def test_images_too_small_for_ms_ssim_have_no_dissimilarity():
    small = {name: pictures(n, n, size=8) for name, n in (("synthetic", 30), ("held_out_real", 60), ("training", 120))}
    found = whole(**small)
    assert (found.n, found.synthetic.dissimilarity) == (30, None)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"synthetic": pictures(3, 1)}, "3 images in the smallest set: want at least 4"),
        ({"training_groups": ["a"]}, "1 and 60 groups of 120 training and 60 held-out images"),
        ({"training": np.zeros((120, 1, 12, 12), np.float32)}, "same image"),
    ],
)
def test_what_cannot_be_judged_is_refused(changed, message):
    with pytest.raises(ValueError, match=message):
        whole(**changed)


def test_too_few_or_equal_images_are_refused():
    with pytest.raises(ValueError, match="at least 6 images"):
        judge(draw(5), draw(50))
    with pytest.raises(ValueError, match="same image"):
        judge(draw(20), np.ones((20, 8), np.float32))
    with pytest.raises(ValueError, match="at least 3"):
        kernel_distance(candidate=draw(2), training=draw(9))
