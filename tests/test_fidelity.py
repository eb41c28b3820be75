import contextlib
import io

import numpy as np
import pytest
from prdc import compute_prdc

from pipeline.evidence import fidelity as fid
from pipeline.evidence.fidelity import fidelity, kernel_distance, manifold, metric_set, neighbourhoods


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
        assert getattr(other, name) == pytest.approx(value, rel=1e-9), name


def test_sets_are_cut_to_the_smallest_and_the_same_seed_gives_the_same_scores():
    def scores(seed):
        return fidelity(
            fold=0,
            diagnosis="tumour",
            synthetic=draw(90, seed=1),
            held_out_real=draw(40, seed=2),
            training=draw(200, seed=3),
            k=3,
            extractor="none",
            extractor_digest="0",
            rng=np.random.default_rng(seed),
        )

    assert scores(0).n == 40
    assert scores(0) == scores(0) != scores(1)


def test_held_out_and_synthetic_of_one_distribution_are_judged_alike():
    found = fidelity(
        fold=0,
        diagnosis="tumour",
        synthetic=draw(300, seed=1),
        held_out_real=draw(300, seed=2),
        training=draw(300, seed=3),
        k=5,
        extractor="none",
        extractor_digest="0",
        rng=np.random.default_rng(0),
    )
    for name in ("precision", "recall", "density", "coverage", "spread"):
        assert getattr(found.synthetic, name) == pytest.approx(getattr(found.held_out_real, name), abs=0.12), name


def test_too_few_or_equal_images_are_refused():
    with pytest.raises(ValueError, match="at least 6 images"):
        judge(draw(5), draw(50))
    with pytest.raises(ValueError, match="same image"):
        judge(draw(20), np.ones((20, 8), np.float32))
    with pytest.raises(ValueError, match="at least 3"):
        kernel_distance(candidate=draw(2), training=draw(9))
