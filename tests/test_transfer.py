from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from data_contracts.manifest import DIAGNOSES, NO_TUMOUR, TUMOUR
from data_contracts.splits import Fold
from pipeline.compute import PLAIN
from pipeline.evidence import transfer as transfers
from pipeline.evidence.arms import FoldData
from pipeline.evidence.classifier import ClassicAugmentation, ClassifierConfig
from pipeline.evidence.transfer import LOSS_MARGIN, TransferConfig, as_many, blur, transfer

SICK, SIZE = DIAGNOSES.index(TUMOUR), 16
STILL = ClassicAugmentation(rotation_degrees=0, shift=0, log_scale=0, log_gain=0, log_gamma=0, noise=0)
SMALL = TransferConfig(
    classifier=ClassifierConfig(steps=60, batch_size=16, width=8, augmentation=STILL),
    blurred_to=(None, 8),
    bootstrap=200,
)


def slices(n, rng, *, sign=True, corner=False):
    """Noise; a tumour is a bright square somewhere, and may carry a bright corner pixel that is no part of it."""
    images = rng.uniform(-0.6, 0.0, (n, 1, SIZE, SIZE)).astype(np.float32)
    diagnoses = np.arange(n) % 2
    for i in np.flatnonzero(diagnoses == SICK):
        row, column = rng.integers(2, SIZE - 7, 2)
        images[i, 0, row : row + 5, column : column + 5] += 0.6 * sign
        images[i, 0, 0, 0] = 1.0 if corner else images[i, 0, 0, 0]
    return images, diagnoses


def fold_of(rng, *, groups=16, **planted):
    """Real slices of both diagnoses in every group, four each; synthetic ones of their own draw."""
    real, diagnoses = slices(4 * groups, rng)
    test, tested = slices(4 * 20, rng)
    synthetic, drawn = slices(4 * groups, rng, **planted)
    names = [f"g{i:02d}" for i in range(groups)]
    rows = {"slice_id": [f"t{i}" for i in range(80)], "group": np.repeat([f"t{i}" for i in range(20)], 4)}
    return FoldData(
        fold=Fold(fold=1, train=tuple(names), test=tuple(sorted(set(rows["group"])))),
        real=real,
        real_diagnoses=diagnoses,
        real_groups=pd.Series(np.repeat(names, 4)),
        synthetic={NO_TUMOUR: synthetic[drawn != SICK], TUMOUR: synthetic[drawn == SICK]},
        test=test,
        test_rows=pd.DataFrame(rows | {"diagnosis": [DIAGNOSES[d] for d in tested]}),
    )


def test_a_planted_shortcut_is_flagged_and_real_slices_posing_as_synthetic_are_not():
    rng = np.random.default_rng(0)
    planted = transfer(data=fold_of(rng, sign=False, corner=True), config=SMALL, seed=3, compute=PLAIN)[0]
    assert planted.shortcuts
    assert planted.synthetic_inside > 0.9
    assert planted.loss.low > LOSS_MARGIN
    assert planted.real_to_real.estimate > planted.synthetic_to_real.high
    honest = transfer(data=fold_of(rng), config=SMALL, seed=3, compute=PLAIN)
    assert [scores.blurred_to for scores in honest] == [None, 8]
    assert not any(scores.shortcuts for scores in honest)
    assert honest[0].synthetic_to_real.estimate > 0.8
    assert honest[0].real_to_synthetic > 0.8


def test_a_set_that_has_no_sign_at_all_is_useless_and_no_shortcut():
    empty = fold_of(np.random.default_rng(1), sign=False)
    found = transfer(data=empty, config=SMALL.model_copy(update={"blurred_to": (None,)}), seed=3, compute=PLAIN)[0]
    assert found.loss.low > LOSS_MARGIN
    assert found.synthetic_inside < 0.7
    assert not found.shortcuts


@pytest.fixture
def spied(monkeypatch):
    """What each classifier learned from and what it was asked: pairs of the sets of marks of their images."""
    config = TransferConfig(
        classifier=ClassifierConfig(steps=1, batch_size=4, width=4), blurred_to=(None,), bootstrap=100
    )
    learned, asked = {}, []
    train, predict = transfers.train_classifier, transfers.predict_logits

    def marks(images):
        return {float(mark) for mark in images[:, 0, 0, 0]}

    def trained(**kw):
        model = train(**kw)
        learned[id(model)] = model, marks(kw["images"]), np.bincount(kw["diagnoses"]).tolist(), kw["config"]
        return model

    def predicted(model, images):
        asked.append((learned[id(model)][1], marks(images)))
        return predict(model, images)

    monkeypatch.setattr(transfers, "train_classifier", trained)
    monkeypatch.setattr(transfers, "predict_logits", predicted)
    return config, learned, asked


def marked(data, *, sources):
    """Each image with a mark of its own, and the groups that each mark stands for."""
    marks = np.linspace(-0.99, 0.99, len(data.real) + len(data.test) + 64).astype(np.float32)
    stacks = [data.real.copy(), data.test.copy(), *(data.synthetic[name].copy() for name in DIAGNOSES)]
    groups = [{name} for name in [*data.real_groups, *data.test_rows["group"]]]
    groups += [of for name in DIAGNOSES for of in sources[name]]
    start = 0
    for stack in stacks:
        stack[:, 0, 0, 0] = marks[start : start + len(stack)]
        start += len(stack)
    found = replace(
        data, real=stacks[0], test=stacks[1], synthetic=dict(zip(DIAGNOSES, stacks[2:], strict=True)), sources=sources
    )
    return found, {float(mark): of for mark, of in zip(marks, groups, strict=False)}


def test_no_classifier_is_asked_about_a_patient_whom_it_learned_from(spied):
    config, learned, asked = spied
    plain = fold_of(np.random.default_rng(2))
    sources = {
        name: [{f"g{i % 16:02d}", f"g{(3 * i + d) % 16:02d}"} for i in range(32)] for d, name in enumerate(DIAGNOSES)
    }
    data, of = marked(plain, sources=sources)
    (scores,) = transfer(data=data, config=config, seed=1, compute=PLAIN)
    assert len(asked) == 5
    assert len(learned) == 4
    for known, tested in asked:
        assert not set().union(*(of[mark] for mark in known)) & set().union(*(of[mark] for mark in tested))
    counts = [counts for _, _, counts, _ in learned.values()]
    assert counts[0] == counts[1]  # halves, of both origins
    assert counts[2] == counts[3] == [32, 32]
    assert (scores.n_synthetic, scores.n_real, scores.fold) == (64, 80, 1)


def test_too_few_slices_for_halves_tell_nothing(spied):
    config, learned, _ = spied
    few = fold_of(np.random.default_rng(2))
    everywhere = dict.fromkeys(DIAGNOSES, [set(few.real_groups)] * 32)
    assert transfer(data=replace(few, sources=everywhere), config=config, seed=1, compute=PLAIN) == ()
    one = few.real_groups == "g00"
    alone = replace(few, real=few.real[one], real_diagnoses=few.real_diagnoses[one], real_groups=few.real_groups[one])
    assert transfer(data=alone, config=config, seed=1, compute=PLAIN) == ()
    assert not learned


def test_as_many_of_each_diagnosis_of_both_origins():
    real, synthetic = np.array([0] * 5 + [1] * 9), np.array([0] * 8 + [1] * 3)
    chosen = as_many(real, np.arange(1, 14), synthetic, None, rng=np.random.default_rng(0))
    for diagnoses, rows in zip((real, synthetic), chosen, strict=True):
        assert np.bincount(diagnoses[rows]).tolist() == [4, 3]
        assert len(set(rows)) == 7
    assert 0 not in chosen[0]


def test_blur_takes_fine_detail_and_keeps_large_shapes_and_what_is_small_already():
    rng = np.random.default_rng(0)
    noise = rng.uniform(-1, 1, (3, 1, 32, 32)).astype(np.float32)
    assert blur(noise, side=8).shape == noise.shape
    assert blur(noise, side=8).std() < 0.3 * noise.std()
    half = np.broadcast_to(np.where(np.arange(32) < 16, -1, 1).astype(np.float32), (1, 1, 32, 32))
    np.testing.assert_array_equal(blur(half, side=8)[..., :12], -1)
    np.testing.assert_array_equal(blur(half, side=8)[..., 20:], 1)
    assert blur(noise, side=32) is noise
