from functools import cache

import numpy as np
import pytest
from phantom_heads import GROUPS, SLICES, SUBJECTS, heads
from scipy import ndimage

from pipeline.evidence.diversity import structure
from pipeline.evidence.features import RandomFeatures, standardise
from pipeline.evidence.modes import real_limits

SEEDS = range(20)
EXTRACTOR = RandomFeatures()


@cache
def reference():
    return EXTRACTOR.extract(heads(0))


def features(images):
    return standardise(EXTRACTOR.extract(images.astype(np.float32)), reference=reference())


def limits(seed=0, **changed):
    asked = {
        "training": features(heads(0)),
        "training_groups": GROUPS,
        "held_out_real": features(heads(1)),
        "held_out_groups": GROUPS,
        "n": 100,
        "k": 5,
        "rng": np.random.default_rng(seed),
    }
    return real_limits(**asked | changed)


@cache
def usual(seed):
    """Limits from one of four bootstraps."""
    return limits(seed % 4)


def judge(images, seed=0, against=None):
    return (against or usual(seed)).judge(features(images), rng=np.random.default_rng(seed))


def samples(seed, n=120):
    """Heads of nobody in training or held-out part, a little blurred and noisy, as samples are."""
    rng = np.random.default_rng(seed)
    new = heads(2 + seed % 2)
    soft = ndimage.gaussian_filter(new[rng.choice(len(new), n, replace=False)], (0, 0, 0.4, 0.4))
    return np.clip(soft + rng.normal(0, 0.02, soft.shape), -1, 1)


def frozen(seed, modes, n=120, noise=0.03):
    rng = np.random.default_rng(seed)
    kept = samples(seed, modes)[rng.integers(0, modes, n)]
    return np.clip(kept + rng.normal(0, noise, kept.shape), -1, 1)


def why(verdict):
    return {reason.measure for reason in verdict.reasons if reason.beyond}


@pytest.mark.parametrize("modes", [1, 3, 10, 30])
def test_a_generator_frozen_to_a_few_modes_is_called_collapsed_every_time(modes):
    for seed in SEEDS:
        found = judge(frozen(seed, modes), seed)
        assert found.mode_collapse, seed
        assert ("spread" if modes == 1 else "duplicate_share") in why(found), seed


def test_exact_repeats_and_one_mode_under_much_noise_are_collapsed_too():
    for seed in SEEDS[:3]:
        assert {"spread", "duplicate_share"} <= why(judge(frozen(seed, 1, noise=0), seed))
        assert "duplicate_share" in why(judge(frozen(seed, 10, noise=0), seed))
        assert "spread" in why(judge(frozen(seed, 1, noise=0.1), seed))


def test_other_heads_as_a_generator_would_draw_them_are_not():
    for seed in SEEDS:
        found = judge(samples(seed), seed)
        assert not found.mode_collapse, (seed, found.reasons)


def test_held_out_subjects_are_not_collapsed_whatever_the_split():
    every = EXTRACTOR.extract(np.concatenate([heads(seed) for seed in range(4)]))
    for seed in range(10):
        # 20 subjects held out, 30 to train on, as a fold has them; and 20 more, of whom the limits know nothing
        subjects = np.random.default_rng(seed).permutation(4 * SUBJECTS)[:70]
        rows = (subjects[:, None] * SLICES + np.arange(SLICES)).ravel()
        scaled = standardise(every[rows], reference=every[rows[200:]])
        against = limits(
            seed, held_out_real=scaled[:100], held_out_groups=GROUPS[:100],
            training=scaled[200:], training_groups=GROUPS[:150],
        )  # fmt: skip
        for one in (scaled[:100], scaled[100:200]):
            found = against.judge(one, rng=np.random.default_rng(seed))
            assert not found.mode_collapse, (seed, found.reasons)


def test_what_training_images_alone_fit_is_not_held_against_others():
    # isotropic: every component is fitted to chance, and no other image varies along them as training images do
    some = np.random.default_rng(0).normal(size=(440, 200)).astype(np.float32)
    against = limits(training=some[:200], held_out_real=some[200:320], held_out_groups=GROUPS[:120])
    assert not against.judge(some[320:], rng=np.random.default_rng(0)).mode_collapse
    assert against.judge(some[320:330][np.arange(120) % 10], rng=np.random.default_rng(0)).mode_collapse


@pytest.mark.parametrize("blur", [0.5, 1.0, 1.5, 2.5])  # pixels of 6 mm
def test_a_soft_image_is_not_a_lost_mode(blur):
    for seed in SEEDS[:5]:
        soft = ndimage.gaussian_filter(samples(seed), (0, 0, blur, blur))
        found = judge(soft, seed)
        assert not found.mode_collapse, (seed, found.reasons)
    assert "coverage" in {reason.measure for reason in judge(samples(0)).reasons}
    assert "coverage" not in {reason.measure for reason in found.reasons}  # where blur has taken it away


@pytest.mark.parametrize("noise", [0.1, 0.2])
def test_a_noisy_image_is_not_a_lost_mode(noise):
    for seed in SEEDS[:5]:
        new = samples(seed)
        noisy = np.clip(new + np.random.default_rng(seed).normal(0, noise, new.shape), -1, 1)
        assert not judge(noisy, seed).mode_collapse, seed


def test_different_heads_of_one_narrow_kind_are_a_lost_mode():
    pool = np.concatenate([heads(2), heads(3)])
    places = structure(features(heads(0))).project(features(pool))
    for seed in SEEDS[:5]:
        # no head twice, and all of them like one: the nearest twentieth of the heads there are
        to_one = np.linalg.norm(places - places[np.random.default_rng(seed).integers(len(pool))], axis=1)
        against = limits(seed, n=20)
        found = judge(pool[np.argsort(to_one)[:20]], seed, against)
        assert {"recall", "coverage"} & why(found), (seed, found.reasons)
        assert "duplicate_share" not in why(found), seed


def test_limits_come_from_the_real_images_at_hand():
    few, many = limits(n=40), usual(0)
    assert few.limit != many.limit
    found = judge(samples(0))
    assert (found.n, found.n_draws) == (100, 200)
    # where a third of the training images are there twice, some repeats are no fault
    twice = np.concatenate([heads(0)[:150], heads(0)[:50]])
    other = limits(training=features(twice), training_groups=GROUPS[:150] + GROUPS[:50])
    assert other.reached["duplicate_share"] > many.reached["duplicate_share"]
    assert other.limit["duplicate_share"] > many.limit["duplicate_share"]
    again = limits(0)
    assert (again.limit, again.reached) == (many.limit, many.reached) != (usual(1).limit, usual(1).reached)
    assert judge(samples(0)) == judge(samples(0), against=again)


def test_one_subject_that_is_most_of_the_data_can_be_judged():
    against = limits(training_groups=["a"] * 190 + ["b"] * 10, held_out_groups=["c"] * 200)
    assert not judge(samples(0), against=against).mode_collapse
    assert judge(frozen(0, 3), against=against).mode_collapse


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"n": 5}, "n above k"),
        ({"n": 250}, "at most 200"),
        ({"training_groups": ["a"]}, "1 and 200 groups"),
        ({"training": np.ones((200, 480), np.float32)}, "same image"),
    ],
)
def test_what_cannot_set_limits_is_refused(changed, message):
    with pytest.raises(ValueError, match=message):
        limits(**changed)


def test_fewer_synthetic_images_than_real_ones_in_a_subset_are_refused():
    with pytest.raises(ValueError, match="want at least 100"):
        judge(samples(0)[:99])
