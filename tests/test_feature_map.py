"""The map of features against clouds whose directions are known."""

import numpy as np
import pytest
from phantom_heads import GROUPS, heads

from data_contracts.results import PRIMARY_EXTRACTOR
from flows.config import FidelityConfig
from flows.judge import judge
from pipeline.evidence.feature_map import MOST, feature_map


def cloud(n, seed, scale=(5.0, 2.0, 0.5), shift=0.0):
    """A cloud that is longest along its second axis and next along its fourth, of five."""
    rng = np.random.default_rng(seed)
    found = np.zeros((n, 5))
    found[:, [1, 3, 0]] = rng.normal(0, 1, (n, 3)) * scale
    found[:, 1] += shift
    return found.astype(np.float32)


def mapped(training, held_out=None, synthetic=None, seed=0):
    return feature_map(
        fold=0,
        diagnosis="tumour",
        extractor="random-conv-480",
        training=training,
        held_out_real=cloud(40, 1) if held_out is None else held_out,
        synthetic=cloud(50, 2) if synthetic is None else synthetic,
        rng=np.random.default_rng(seed),
    )


def test_the_directions_are_those_in_which_training_slices_vary_most():
    training = cloud(200, 0)
    found = mapped(training)
    shown = np.array(found.training)
    centred = training - training.mean(0, dtype=np.float64)
    for axis, column in ((0, 1), (1, 3)):
        assert abs(np.corrcoef(shown[:, axis], centred[:, column])[0, 1]) > 0.99
    variance = centred.var(0)
    assert found.explained == pytest.approx(variance[[1, 3]] / variance.sum(), abs=0.01)
    assert shown.var(0) == pytest.approx(np.array(found.explained) * variance.sum(), rel=0.01)


def test_other_slices_are_laid_in_and_move_nothing():
    training = cloud(100, 0)
    near, far = mapped(training), mapped(training, synthetic=cloud(50, 2, shift=30.0))
    assert near.training == far.training
    assert near.explained == far.explained
    moved = np.array(far.synthetic).mean(0) - np.array(near.synthetic).mean(0)
    assert abs(moved[0]) == pytest.approx(30, rel=0.01)
    assert abs(moved[1]) < 1.5


def test_no_distance_grows_in_the_map():
    training = cloud(60, 0)
    shown = np.array(mapped(training).training)
    apart, seen = (np.linalg.norm(x[:, None] - x[None], axis=-1) for x in (training, shown))
    assert (seen <= apart + 0.002).all()


def test_at_most_so_many_are_drawn_by_the_seed_and_counted_all():
    training = cloud(900, 0)
    found = mapped(training, seed=1)
    assert len(found.training) == MOST
    assert (found.n_training, found.n_held_out_real, found.n_synthetic) == (900, 40, 50)
    assert found == mapped(training, seed=1)
    other = mapped(training, seed=2)
    assert set(other.training) != set(found.training)
    assert found.explained == other.explained
    assert set(found.synthetic) == set(other.synthetic), "all of them, whatever the seed"
    assert all(round(value, 3) == value for point in found.training for value in point)


def test_turned_features_give_the_same_picture_up_to_what_a_sign_decides():
    training = cloud(80, 0)
    flipped = training * np.array([1, -1, 1, 1, 1], np.float32)
    assert np.abs(np.array(mapped(training).training)) == pytest.approx(
        np.abs(np.array(mapped(flipped, seed=0).training)), abs=0.002
    )


@pytest.mark.parametrize("training", [np.ones((6, 5), np.float32), cloud(2, 0)])
def test_where_nothing_varies_points_lie_at_zero(training):
    found = mapped(training)
    assert found.explained[1] == pytest.approx(0, abs=1e-4)
    assert all(abs(point[1]) < 1e-3 for point in found.training)


def judged(extractors, keep=None):
    real = heads(0)
    return judge(
        fold=0,
        diagnosis="tumour",
        synthetic=heads(1)[:60],
        held_out_real=real[150:],
        training=real[:100],
        training_groups=GROUPS[:100],
        held_out_groups=GROUPS[150:],
        config=FidelityConfig(extractors=extractors),
        train_classifier=lambda: pytest.fail("not asked for"),
        seed=3,
        keep=keep,
    )


def test_the_space_that_decides_hands_over_its_features_and_no_score_changes():
    handed = []
    names = ("texture", PRIMARY_EXTRACTOR)
    scores = judged(names, lambda name, features: handed.append((name, features)))
    assert scores == judged(names)
    ((name, features),) = handed
    assert name == PRIMARY_EXTRACTOR
    assert {part: len(of) for part, of in features.items()} == {"training": 100, "held_out_real": 50, "synthetic": 60}
    np.testing.assert_allclose(features["training"].mean(0), 0, atol=1e-4)
    found = feature_map(fold=0, diagnosis="tumour", extractor=name, rng=np.random.default_rng(0), **features)
    assert 0.2 < sum(found.explained) < 1
