import json
from collections.abc import Sequence
from dataclasses import replace
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from phantom_heads import GROUPS, SIDE, heads
from PIL import Image
from scipy import ndimage

from flows.watch import make_ruler
from pipeline.likeness import ms_ssim
from pipeline.synthesis import health as looks
from pipeline.synthesis.collapse import Watch, WatchConfig, after_alarm, faults, poverty
from pipeline.synthesis.health import Health, Logits, Measured, accuracy, measure, reference
from pipeline.synthesis.variety import pixel_distances, variety

SEEDS = range(20)


@pytest.fixture(scope="module")
def real():
    """Ruler and reference of the phantoms' training part, with 40 held-out slices of 8 other subjects."""
    training, groups = heads(0), GROUPS
    ruler = make_ruler(k=5)(training, groups)
    rng = np.random.default_rng(0)
    held_out = heads(1)[:40]
    return ruler, reference(
        training=training, groups=groups, held_out=held_out, ruler=ruler, rng=rng, halvings=4, largest=64
    )


def healthy_samples(seed, n=64):
    """Heads of nobody in the training part, a little blurred and noisy, as samples are."""
    rng = np.random.default_rng(seed)
    new = heads(2 + seed % 3)
    soft = ndimage.gaussian_filter(new[rng.choice(len(new), n, replace=False)], (0, 0, 0.4, 0.4))
    return np.clip(soft + rng.normal(0, 0.02, soft.shape), -1, 1).astype(np.float32)


def collapsed_samples(seed, modes, n=64, noise=0.03):
    """A generator frozen to a few heads of nobody in the training part, with noise."""
    rng = np.random.default_rng(seed)
    kept = healthy_samples(seed, modes)[rng.integers(0, modes, n)]
    return np.clip(kept + rng.normal(0, noise, kept.shape), -1, 1).astype(np.float32)


def run_on(found: Sequence[Health], *, start=0.2, step=0.05):
    """Decisions of a new watch on these looks."""
    watch = Watch(WatchConfig())
    return [watch.look(health, progress=start + i * step) for i, health in enumerate(found)], watch


def look_at(
    images_seen=1000, *, diversity=1.0, nearest=None, dissimilarity=None, coverage=1.0, recall=0.5, kid=1.0, copies=0.0,
    sides=(0.6, 0.6, 0.5),
):  # fmt: skip
    """A look of which only the ratios to real are chosen; nearest and dissimilarity follow diversity unless told."""
    return Health(
        images_seen=images_seen,
        n=96,
        diversity=Measured(0.3 * diversity, 0.3, 0.014),
        nearest=Measured(0.1 * (diversity if nearest is None else nearest), 0.1, 0.006),
        dissimilarity=Measured(0.7 * (diversity if dissimilarity is None else dissimilarity), 0.7, 0.02),
        coverage=Measured(0.65 * coverage, 0.65, 0.05),
        recall=Measured(0.7 * recall, 0.7, 0.1),
        kid=Measured(kid, 0.4, 0.2),
        near_copies=Measured(copies, 0.02, 0.0),
        accuracy=None if sides is None else looks.Accuracy(*sides, n_training=192, n_synthetic=256, n_held_out=33),
    )


@pytest.mark.parametrize("modes", [1, 3, 10])
def test_a_generator_frozen_to_a_few_modes_raises_the_alarm_every_time(real, modes):
    ruler, against = real
    for seed in SEEDS:
        health = measure(images_seen=1, samples=collapsed_samples(seed, modes), reference=against, ruler=ruler)
        decisions, watch = run_on([health] * 3)
        assert [d.verdict for d in decisions] == ["suspect", "suspect", "alarm"], seed
        assert watch.alarms[0].reasons[0].rule == ("alike" if modes == 1 else "repeats"), seed


def test_one_mode_under_much_noise_looks_like_a_young_blur_and_is_found_at_maturity(real):
    ruler, against = real
    for seed in SEEDS[:5]:
        samples = collapsed_samples(seed, 1, noise=0.1)
        health = measure(images_seen=1, samples=samples, reference=against, ruler=ruler)
        young, _ = run_on([health] * 4, start=0.2)
        assert {d.verdict for d in young} == {"suspect"}
        mature, _ = run_on([health] * 4, start=0.7)
        assert mature[2].verdict == "alarm"


def test_other_heads_a_little_blurred_never_look_ill(real):
    ruler, against = real
    for seed in SEEDS:
        health = measure(images_seen=1, samples=healthy_samples(seed), reference=against, ruler=ruler)
        assert not faults(health, WatchConfig())
        assert not poverty(health, WatchConfig())


def test_a_memorising_generator_raises_near_copies(real):
    ruler, against = real
    rng = np.random.default_rng(0)
    copies = heads(0)[rng.choice(200, 64, replace=False)] * 0.9
    copies = np.clip(copies + rng.normal(0, 0.02, copies.shape), -1, 1).astype(np.float32)
    decisions, _ = run_on([measure(images_seen=1, samples=copies, reference=against, ruler=ruler)] * 3)
    assert decisions[-1].verdict == "alarm"
    assert {r.rule for r in decisions[-1].reasons} == {"copies"}
    one_in_ten = np.concatenate([copies[:5], healthy_samples(1)[5:]])
    assert not faults(measure(images_seen=1, samples=one_in_ten, reference=against, ruler=ruler), WatchConfig())


def test_the_less_real_images_tell_what_is_called_a_copy_the_more_must_be_one(real):
    found_by_folds, _ = real
    alone = replace(found_by_folds, real_copies=None)
    images, groups = heads(0), GROUPS
    copies = np.clip(images[:64] + np.random.default_rng(0).normal(0, 0.02, images[:64].shape), -1, 1)
    some = np.concatenate([copies[:16], healthy_samples(1)[:48]]).astype(np.float32)  # a quarter
    raised = {}
    for n, ruler in ((0, alone), (6, alone), (100, alone), (6, found_by_folds)):
        held_out = heads(900)[:n] if n else None
        rng = np.random.default_rng(1)
        against = reference(training=images, groups=groups, held_out=held_out, ruler=ruler, rng=rng, largest=64)
        for name, samples in (("some", some), ("all", copies.astype(np.float32))):
            found = faults(measure(images_seen=1, samples=samples, reference=against, ruler=ruler), WatchConfig())
            raised[n, ruler.real_copies is None, name] = "copies" in {reason.rule for reason in found}
    assert raised[100, True, "some"]
    assert not raised[6, True, "some"]  # six may be called copies more often than one knows
    assert raised[6, False, "some"]  # but 200 training images by finders without them tell enough
    assert all(raised[n, True, "all"] for n in (0, 6, 100))


def test_shares_of_copies_are_compared_with_the_errors_of_both(real):
    ruler, _ = real
    images, groups = heads(0), GROUPS
    calls = replace(ruler, near_copies=lambda x: np.arange(len(x)) < 0.2 * len(x))
    for rows, copied in ((slice(None), 0.25), (slice(100), 0.2)):
        real_copies = np.arange(len(images[rows])) < copied * len(images[rows])
        of_real = replace(calls, real_copies=real_copies)
        against = reference(training=images[rows], groups=groups[rows], held_out=None, ruler=of_real,
                            rng=np.random.default_rng(0), largest=64)  # fmt: skip
        subjects = len(set(groups[rows]))
        share = (copied * subjects + 1) / (subjects + 2)
        assert against.real["near_copies"].mean == copied
        assert against.real["near_copies"].deviation == pytest.approx(np.sqrt(share * (1 - share) / (subjects + 2)))
        measured = measure(images_seen=1, samples=healthy_samples(0, 100), reference=against, ruler=of_real).near_copies
        of_samples = (20 + 1) / 102
        both = against.real["near_copies"].deviation ** 2 + of_samples * (1 - of_samples) / 102
        assert (measured.value, measured.deviation) == (0.2, pytest.approx(np.sqrt(both)))


@pytest.mark.parametrize(
    ("sides", "rule"),
    [((1.0, 1.0, 1.0), "discriminator_wins"), ((0.95, 0.7, 0.5), "discriminator_overfits")],
)
def test_a_discriminator_that_always_wins_or_overfits_raises_the_alarm(sides, rule):
    decisions, _ = run_on([look_at(sides=sides)] * 3)
    assert decisions[-1].verdict == "alarm"
    assert [r.rule for r in decisions[-1].reasons] == [rule]


def test_overfitting_is_no_alarm_while_augmentation_can_still_answer_it():
    overfitted, both = look_at(sides=(0.95, 0.7, 0.5)), look_at(sides=(0.95, 0.7, 0.5), nearest=0.1)
    for health, verdict in ((overfitted, "healthy"), (both, "alarm")):
        watch = Watch(WatchConfig())
        decisions = [watch.look(health, progress=0.8, overfitting_answered=True) for _ in range(3)]
        assert decisions[-1].verdict == verdict
        assert "discriminator_overfits" not in {reason.rule for reason in decisions[-1].reasons}


def test_missing_heads_are_an_alarm_only_when_enough_images_were_seen():
    enough = WatchConfig().young
    for seen, verdict in ((enough - 100, "suspect"), (enough, "alarm")):
        decisions, watch = run_on([look_at(seen + i, coverage=0.1) for i in range(3)], start=0.8)
        assert decisions[-1].verdict == verdict
        assert {r.rule for r in decisions[-1].reasons} == {"uncovered"}
        assert watch.best.wrong == 1  # poor all the same
    decisions, _ = run_on([look_at(1000, coverage=0.1, diversity=0.3)] * 3, start=0.8)
    assert decisions[-1].verdict == "alarm"  # alike too: no youth excuses that


def test_accuracy_of_separated_overfitted_and_alike_logits():
    rng = np.random.default_rng(0)
    real_side, fake_side = (rng.normal(mean, 1, 400).astype(np.float32) for mean in (8, -8))
    apart = accuracy(Logits(training=real_side, synthetic=fake_side, held_out=real_side))
    assert (apart.training, apart.synthetic, apart.held_out, apart.gap) == (1, 1, 1, 0)
    learnt = accuracy(Logits(training=real_side, synthetic=fake_side, held_out=fake_side))
    assert learnt.gap == 1
    draw = accuracy(Logits(training=real_side, synthetic=real_side[::-1]))
    assert draw.training == pytest.approx(0.5, abs=0.05)
    assert draw.held_out is None
    shifted = accuracy(Logits(real_side + 100, fake_side + 100, real_side + 100))
    assert shifted == apart  # a relativistic discriminator has no zero


def training_curve(rng):
    """A simulated training, after what those of `lgg_flair` showed tick by tick.

    Near-equal blurs, a sixth to a third as diverse as real heads and covering none, until 25 to 65 % of the budget;
    then heads come apart within a fifth of it, to 55 to 100 % of the diversity. Everything with the noise of one look.
    """
    onset, length, top = rng.uniform(0.25, 0.65), rng.uniform(0.1, 0.25), rng.uniform(0.55, 1.0)
    floor = rng.uniform(0.15, 0.4)
    for progress in np.arange(1, 26) / 25:
        grown = 1 / (1 + np.exp(-8 * ((progress - onset) / length - 0.5)))
        diversity, blur = floor + (top - floor) * grown, rng.normal(0, 0.03, 4)
        real_right = np.clip(rng.normal(0.58, 0.1), 0, 1)
        yield (
            progress,
            look_at(
                int(progress * 50_000),
                diversity=diversity + blur[0],
                nearest=diversity * rng.uniform(0.85, 1.4) + blur[1],
                dissimilarity=0.15 + (top - 0.15) * grown + blur[2],
                coverage=max(0.0, 1.1 * top * grown + blur[3]),
                kid=0.5 + 40 * (1 - grown) * rng.uniform(0.7, 1.3),
                copies=rng.choice([0, 0.01, 0.02, 0.04]),
                sides=(
                    real_right,
                    np.clip(rng.normal(0.7, 0.12), 0, 1),
                    np.clip(real_right - rng.normal(0.12, 0.1), 0, 1),
                ),
            ),
        )


def alarms_of(seed):
    watch = Watch(WatchConfig())
    for progress, health in training_curve(np.random.default_rng(seed)):
        watch.look(health, progress=progress)
    return watch


def test_twenty_healthy_trainings_raise_at_most_one_alarm_and_keep_a_late_tick():
    watches = [alarms_of(seed) for seed in SEEDS]
    assert sum(len(watch.alarms) for watch in watches) <= 1
    assert all(watch.best.wrong == 0 and watch.best.images_seen > 15_000 for watch in watches)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_training_that_collapses_on_its_way_goes_back_to_where_it_was_well(seed):
    watch, well = Watch(WatchConfig()), None
    for progress, health in training_curve(np.random.default_rng(seed)):
        if progress > 0.85:  # now it repeats a few of the heads that it makes, and covers fewer
            health = replace(  # noqa: PLW2901 - the planted collapse
                health,
                nearest=replace(health.nearest, value=0.1 * health.nearest.value),
                coverage=replace(health.coverage, value=0.4 * health.coverage.value),
            )
        decision = watch.look(health, progress=progress)
        well = health.images_seen if decision.verdict == "healthy" else well
        if decision.verdict == "alarm":
            break
    assert decision.verdict == "alarm"
    assert decision.return_to == well <= 0.85 * 50_000
    assert watch.best.images_seen <= well


def test_an_alarm_goes_back_to_the_last_healthy_tick_and_the_third_one_stops():
    ill = look_at(nearest=0.1)
    watch = Watch(WatchConfig())
    verdicts = []
    for start in (1, 10, 20):
        assert watch.look(look_at(start), progress=0.3).verdict == "healthy"
        for i in range(3):
            decision = watch.look(replace(ill, images_seen=start + 1 + i), progress=0.3)
        verdicts.append((decision.verdict, decision.return_to))
        assert watch.last_healthy == start
    assert verdicts == [("alarm", 1), ("alarm", 10), ("stop", 20)]
    assert [alarm.images_seen for alarm in watch.alarms] == [4, 13, 23]
    assert [look.images_seen for look in watch.looks] == [1, 10, 20]  # what was gone back on is forgotten


def test_after_going_back_the_ticks_at_fault_are_counted_anew():
    decisions, _ = run_on([look_at(), *[look_at(nearest=0.1)] * 6])
    assert [d.verdict for d in decisions[1:]] == ["suspect", "suspect", "alarm"] * 2


def test_one_bad_tick_is_no_alarm_and_nothing_is_in_the_grace():
    ill, well = look_at(nearest=0.1), look_at()
    decisions, _ = run_on([ill, ill, well, ill, ill, well])
    assert "alarm" not in [d.verdict for d in decisions]
    decisions, _ = run_on([ill] * 9, start=0.0, step=0.01)
    assert {d.verdict for d in decisions} == {"suspect"}


def test_without_a_healthy_tick_there_is_nothing_to_go_back_to_and_the_new_start_has_no_past():
    decisions, watch = run_on([look_at(nearest=0.1)] * 3)
    assert decisions[-1].return_to is None
    assert watch.looks == []


def test_a_blur_is_left_alone_while_young_and_while_it_comes_to_life_and_not_else():
    blur = look_at(diversity=0.3, dissimilarity=0.2, coverage=0.02)
    decisions, _ = run_on([blur] * 8, start=0.2)
    assert {d.verdict for d in decisions} == {"suspect"}
    decisions, _ = run_on([blur] * 8, start=0.6)
    assert "alarm" in [d.verdict for d in decisions]
    waking = [look_at(diversity=d, dissimilarity=d, coverage=0.1) for d in np.arange(0.1, 0.6, 0.06) + 0.06]
    decisions, _ = run_on([blur, *waking], start=0.6)
    assert "alarm" not in [d.verdict for d in decisions]


def test_falling_to_less_than_half_of_its_own_best_is_a_fault_though_above_every_floor():
    well, fallen = look_at(diversity=1.0, coverage=0.9), look_at(diversity=0.9, coverage=0.4)
    decisions, _ = run_on([well, well, fallen, fallen, fallen])
    assert [r.rule for r in decisions[-1].reasons] == ["fallen"]
    assert decisions[-1].verdict == "alarm"
    decisions, _ = run_on([fallen] * 5)
    assert {d.verdict for d in decisions} == {"healthy"}


def test_the_best_tick_is_the_nearest_healthy_one_and_a_faulty_one_only_for_want_of_another():
    ticks = [
        look_at(1, copies=0.9, kid=0.1),
        look_at(2, diversity=0.2, coverage=0.0, kid=30),
        look_at(3, kid=2),
        look_at(4, kid=1),
        look_at(5, kid=3),
        look_at(6, copies=0.9, kid=0.01),
    ]
    decisions, watch = run_on(ticks, step=0.01)
    assert [d.best for d in decisions] == [True, True, True, True, False, False]
    assert watch.best.images_seen == 4


@pytest.mark.parametrize(
    ("kid", "copies", "replaces"),
    [
        (0.9, 0.02, False),  # less, but by no more than chance
        (0.9, 0.05, False),
        (0.7, 0.05, True),  # clearly less
        (1.0, 0.01, True),  # as near, and fewer copies
        (1.1, 0.0, False),  # fewer copies, but not as near
        (1.0, 0.02, False),  # the same: the earlier one is kept
    ],
)
def test_a_later_tick_is_kept_only_where_it_is_clearly_better(kid, copies, replaces):
    decisions, watch = run_on([look_at(1, kid=1.0, copies=0.02), look_at(2, kid=kid, copies=copies)])
    assert decisions[-1].best == replaces
    assert watch.best.images_seen == 1 + replaces


def test_many_small_steps_down_are_one_clear_one():
    ticks = [look_at(i, kid=1 - 0.06 * i) for i in range(12)]
    decisions, _ = run_on(ticks, step=0.01)
    assert [d.best for d in decisions] == [i in (0, 4, 8) for i in range(12)]


def test_nearer_to_training_images_than_they_are_to_each_other_is_no_improvement():
    near = look_at(2, kid=0.05)
    _, held_out = run_on([look_at(1, kid=0.5), near])
    assert held_out.best.images_seen == 2
    _, of_training = run_on([replace(look_at(1, kid=0.5), kid_held_out=False), replace(near, kid_held_out=False)])
    assert of_training.best.images_seen == 1  # real ones have 0.4, with a deviation of 0.2


def patient(ticks, *, patience=400, sharp_from=0, progress=0.8):
    """Since when nothing became better, as said at each tick; killed and resumed in the middle."""
    watch, found = Watch(WatchConfig(patience=patience)), []
    for i, health in enumerate(ticks):
        if i == len(ticks) // 2:
            captured, watch = json.loads(json.dumps(watch.capture())), Watch(WatchConfig(patience=patience))
            watch.restore(captured)
        decision = watch.look(health, progress=progress, sharp=health.images_seen >= sharp_from)
        found.append(decision.unimproved_since)
    return found


def test_patience_ends_a_training_that_does_not_become_clearly_better():
    seen = range(100, 1100, 100)
    still = [look_at(n, kid=1 - 0.1 * (n % 200 == 0)) for n in seen]
    assert patient(still) == [None] * 4 + [100] * 6
    falls = [look_at(n, kid=1.0 if n < 300 else 0.5) for n in seen]
    assert patient(falls) == [None] * 6 + [300] * 4
    fewer = [look_at(n, kid=1.0, copies=0.05 - n / 1e5) for n in seen]  # kept, but no reason to go on
    assert patient(fewer) == [None] * 4 + [100] * 6
    # each as near as the last but for chance, and together far nearer than the first
    steps = [look_at(n, kid=1.0 - n / 1200, copies=0.05 - n / 1e5) for n in seen]
    assert patient(steps) == [None] * 10
    assert patient(still, sharp_from=350) == [None] * 7 + [400] * 3
    assert patient(still, patience=0) == [None] * 10
    assert patient(still, progress=1.0) == [None] * 10  # the budget ends it


def test_patience_does_not_end_a_training_that_is_not_well():
    assert patient([look_at(n, coverage=0.1) for n in range(100, 1100, 100)], progress=0.6) == [None] * 10
    wakes = [look_at(n, coverage=0.1 if n < 500 else 1.0) for n in range(100, 1100, 100)]
    assert patient(wakes, progress=0.6) == [None] * 8 + [500] * 2


def test_no_short_training_loses_an_image_to_patience():
    """Presets show 40,000 to 75,000 images a GAN, half of them blurred."""
    for seed in SEEDS:
        watch = Watch(WatchConfig())
        for progress, health in training_curve(np.random.default_rng(seed)):
            longer = replace(health, images_seen=round(75_000 * progress))
            assert watch.look(longer, progress=progress, sharp=progress >= 0.5).unimproved_since is None


def test_a_captured_watch_goes_on_as_if_it_had_never_stopped():
    ticks = [*training_curve(np.random.default_rng(3))]
    ticks += [(1.0, look_at(60_000 + i, nearest=0.1)) for i in range(3)] + [(1.0, look_at(70_000))]
    whole = Watch(WatchConfig())
    expected = [whole.look(health, progress=p) for p, health in ticks]
    assert "alarm" in [d.verdict for d in expected]
    for stop in (0, 7, 26, 28):
        first, second = Watch(WatchConfig()), Watch(WatchConfig())
        for p, health in ticks[:stop]:
            first.look(health, progress=p)
        buffer = BytesIO()
        torch.save(json.loads(json.dumps(first.capture())), buffer)
        buffer.seek(0)
        second.restore(torch.load(buffer, weights_only=True))
        assert [second.look(health, progress=p) for p, health in ticks[stop:]] == expected[stop:]
        assert second == whole


def test_each_alarm_slows_down_and_augments_more():
    changes = [after_alarm(config=WatchConfig(), alarms=n) for n in range(4)]
    assert (changes[0].learning_rate_factor, changes[0].augmentation_factor) == (1, 1)
    assert all(b.learning_rate_factor < a.learning_rate_factor for a, b in pairwise(changes))
    assert all(b.augmentation_factor > a.augmentation_factor for a, b in pairwise(changes))


def test_variety_of_pixels_is_that_of_numpy_and_knows_no_order():
    images = heads(0)[:12]
    small = images.reshape(12, 16, 2, 16, 2).mean((2, 4)).reshape(12, -1)
    expected = np.sqrt(((small[:, None] - small[None]) ** 2).mean(2))
    found = pixel_distances(images).numpy()
    assert np.isinf(np.diag(found)).all()
    off = ~np.eye(12, dtype=bool)
    np.testing.assert_allclose(found[off], expected[off], atol=1e-6)
    pairs = np.array([(i, j) for i in range(12) for j in range(12) if i != j])
    one, other = variety(images, pairs), variety(images[::-1], pairs)
    assert one == pytest.approx(other)
    assert one["diversity"] == pytest.approx(expected[off].mean(), abs=1e-6)
    same = variety(np.repeat(images[:1], 12, axis=0), pairs)
    assert same == pytest.approx({"diversity": 0, "nearest": 0, "dissimilarity": 0}, abs=1e-6)


@pytest.mark.parametrize("side", [28, 32, 64, 128, 256])
def test_ms_ssim_is_one_for_equal_images_and_falls_with_noise_at_every_size(side):
    rng = np.random.default_rng(0)
    images = ndimage.gaussian_filter(rng.normal(size=(3, 1, side, side)), (0, 0, 2, 2)).astype(np.float32)
    images = np.clip(images * 4, -1, 1)
    np.testing.assert_allclose(ms_ssim(images, images), 1, atol=1e-5)
    noisy = [np.clip(images + s * rng.normal(size=images.shape), -1, 1).astype(np.float32) for s in (0.1, 0.4)]
    little, much = (ms_ssim(images, other) for other in noisy)
    assert (little > much).all()
    np.testing.assert_allclose(ms_ssim(noisy[0], images), little, atol=1e-5)


def test_subjects_are_on_one_side_of_a_halving_and_one_large_subject_is_cut():
    groups = [f"s{i % 7}" for i in range(60)]
    one, other = looks._halve(groups, np.random.default_rng(0))
    assert sorted([*one, *other]) == list(range(60))
    assert not {groups[i] for i in one} & {groups[i] for i in other}
    assert abs(len(one) - len(other)) <= 9
    assert sorted(map(len, looks._halve(["a"] * 9 + ["b"], np.random.default_rng(0)))) == [5, 5]


def test_same_seed_same_reference_and_the_look_names_every_number(real):
    ruler, against = real
    training, groups = heads(0), GROUPS
    again, other = (
        reference(training=training, groups=groups, held_out=heads(1)[:40], ruler=ruler,
                  rng=np.random.default_rng(seed), halvings=4, largest=64)
        for seed in (0, 1)
    )  # fmt: skip
    assert again.real == against.real
    assert other.real != against.real
    two = np.array([1.0, 2.0], np.float32)
    logits = Logits(two, np.zeros(3, np.float32), two)
    row = measure(images_seen=7, samples=healthy_samples(0), reference=against, ruler=ruler, logits=logits).numbers()
    assert row["images_seen"] == 7
    assert {"coverage", "coverage_real", "kid", "nearest", "near_copies", "accuracy_held_out"} <= set(row)
    assert (row["n_judged_training"], row["n_judged_synthetic"]) == (2, 3)
    json.dumps(row, allow_nan=False)


def test_kernel_distance_is_to_held_out_images_where_there_are_enough(real):
    ruler, against = real
    training, groups = heads(0), GROUPS
    few = reference(training=training, groups=groups, held_out=heads(1)[:5], ruler=ruler,
                    rng=np.random.default_rng(0), halvings=4, largest=64)  # fmt: skip
    assert few.held_out is None
    assert few.real["kid"] != against.real["kid"]
    assert few.real["coverage"] == against.real["coverage"]
    copies = training[np.random.default_rng(0).choice(200, 64, replace=False)]
    near, far = (measure(images_seen=1, samples=copies, reference=r, ruler=ruler).kid.value for r in (few, against))
    assert near < far  # copies of training images are nearer to them than to others


def test_kernel_distance_to_few_held_out_images_knows_no_order_of_subjects(real):
    ruler, _ = real
    rng = np.random.default_rng(0)
    kinds = np.repeat([[-2.0], [2.0]], 64, axis=0)  # two kinds of heads, one after the other
    sorted_by_kind = (kinds + rng.normal(0, 0.1, (128, 16))).astype(np.float32)
    held_out = sorted_by_kind[np.r_[:8, 64:72]] + rng.normal(0, 0.1, (16, 16)).astype(np.float32)
    found = looks._held_out_kid(sorted_by_kind, held_out, ruler)
    one_kind = ruler.compare(candidate=sorted_by_kind[:16], training=held_out).kid
    assert abs(found) < 0.2 * one_kind


def test_ten_images_of_two_subjects_can_be_watched():
    training, groups = heads(0)[:10], ["a"] * 5 + ["b"] * 5
    ruler = replace(make_ruler(k=5)(heads(0), GROUPS), near_copies=lambda images: np.zeros(len(images), bool))
    small = reference(training=training, groups=groups, held_out=None, ruler=ruler, rng=np.random.default_rng(0))
    assert small.n == 5
    frozen = measure(images_seen=1, samples=collapsed_samples(0, 1), reference=small, ruler=ruler)
    assert run_on([frozen] * 3)[0][-1].verdict == "alarm"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x[:20], "at least 64"),
        (lambda x: x[:, 0], "want \\(N, 1, S, S\\)"),
        (lambda x: np.where(x > 0, np.nan, x), "not finite"),
    ],
)
def test_samples_that_cannot_be_judged_are_refused(real, change, message):
    ruler, against = real
    with pytest.raises(ValueError, match=message):
        measure(images_seen=1, samples=change(healthy_samples(0)), reference=against, ruler=ruler)


def test_fewer_than_eight_training_images_are_refused(real):
    with pytest.raises(ValueError, match="at least 8"):
        reference(training=heads(0)[:7], groups=list("abcdefg"), held_out=None, ruler=real[0],
                  rng=np.random.default_rng(0))  # fmt: skip


def flair(folder: Path):
    """Every second tumour slice of a patient at 32 px, each scaled to [-1, 1]."""
    found = []
    for mask in sorted(folder.glob("*_mask.tif"))[::2]:
        with Image.open(mask) as m, Image.open(mask.with_name(mask.name.replace("_mask", ""))) as picture:
            if np.asarray(m).any():
                grey = np.asarray(picture.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX), np.float32)
                found.append(grey / max(1.0, float(grey.max())) * 2 - 1)
    return found


def test_half_of_the_real_patients_look_healthy_to_the_other_half_and_a_few_of_their_slices_do_not(shared_data):
    patients = [flair(folder) for folder in sorted((shared_data / "lgg_flair").iterdir())]
    one, other = patients[::2], patients[1::2]
    training, new = (np.stack([s for p in half for s in p])[:, None] for half in (one, other))
    groups = [f"p{i}" for i, p in enumerate(one) for _ in p]
    ruler = make_ruler(k=5)(training, groups)
    against = reference(training=training, groups=groups, held_out=None, ruler=ruler, rng=np.random.default_rng(0))
    assert len(new) >= against.n
    rng = np.random.default_rng(0)
    health = measure(images_seen=1, samples=new[rng.permutation(len(new))], reference=against, ruler=ruler)
    assert not faults(health, WatchConfig())
    assert not poverty(health, WatchConfig())
    for modes in (1, 3, 10):
        frozen = new[rng.choice(len(new), modes, replace=False)][rng.integers(0, modes, against.n)]
        frozen = np.clip(frozen + rng.normal(0, 0.03, frozen.shape), -1, 1).astype(np.float32)
        assert faults(measure(images_seen=1, samples=frozen, reference=against, ruler=ruler), WatchConfig())
