"""How a generator is doing at one moment of its training, each measure beside that of real images at the same n.

What needs no feature space is measured here: distances of pixels, structural similarity, the discriminator's
accuracy. The rest (coverage, recall, kernel distance, near-copies) is handed in as functions, for the forger does not
know the judge. Real training images are halved by subject again and again, one half judged against the other: that is
what a perfect generator would get, and how much it varies by chance alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from math import hypot, sqrt
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.synthesis.variety import Images, variety

Features = NDArray[np.float32]

SMALLEST_SIDE: Final = 4  # images in one half; with fewer nothing can be compared
SMALLEST_HELD_OUT: Final = 16  # images; the kernel distance to fewer is mostly chance


class Likeness(Protocol):
    """What a comparison of two sets must tell (`data_contracts.results.MetricSet` does)."""

    @property
    def coverage(self) -> float: ...
    @property
    def recall(self) -> float: ...
    @property
    def kid(self) -> float: ...


class Extract(Protocol):
    """Images float32 (N, 1, S, S) in [-1, 1] to frozen features float32 (N, D) on one fixed scale."""

    def __call__(self, images: Images, /) -> Features: ...


class Compare(Protocol):
    """Judge n candidates against n real images, features (n, D) both."""

    def __call__(self, *, candidate: Features, training: Features) -> Likeness: ...


class FindCopies(Protocol):
    """Which images float32 (N, 1, S, S) are near-copies of training images: bool (N,)."""

    def __call__(self, images: Images, /) -> NDArray[np.bool_]: ...


@dataclass(frozen=True)
class Ruler:
    """The measures that are handed in; the same ones for a whole training."""

    extract: Extract
    compare: Compare
    near_copies: FindCopies | None  # None where a copy cannot be told from likeness
    # Of the training images (N,): which a finder that knows no slice of their group calls copies. None: too few groups
    real_copies: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class Real:
    """A measure of real images against real ones, over many halvings."""

    mean: float
    deviation: float


@dataclass(frozen=True)
class Measured:
    """A measure of generated images, and of as many real ones."""

    value: float
    real: float
    deviation: float  # of the real one, over halvings; of near-copies, the standard error of the difference

    @property
    def ratio(self) -> float:
        """Share of what real images reach; infinite where they reach nothing and this one does."""
        return self.value / self.real if self.real else float("inf" if self.value > 0 else 1.0)


@dataclass(frozen=True)
class Logits:
    """The discriminator's raw outputs, float (n,) each, on images seen as in training but not augmented at random."""

    training: NDArray[np.float32]
    synthetic: NDArray[np.float32]
    held_out: NDArray[np.float32] | None = None
    as_trained: float = 1.0  # share on the right side in the training's own batches, augmented, since the tick before


@dataclass(frozen=True)
class Accuracy:
    """Share of each set that the discriminator puts on its right side; 0.5 a draw."""

    training: float
    synthetic: float
    held_out: float | None
    n_training: int  # images judged of each set
    n_synthetic: int
    n_held_out: int
    as_trained: float = 1.0  # of both sides, in the training's own batches

    @property
    def gap(self) -> float:
        """Overfitting: how much better it knows the real images it was trained on than other real ones."""
        return 0.0 if self.held_out is None else self.training - self.held_out


@dataclass(frozen=True)
class Health:
    """One look at a training. Higher is better but for `kid` and `near_copies`."""

    images_seen: int
    n: int  # images a side of every comparison but that with held-out images
    diversity: Measured  # mean distance of all pairs, RMS grey value in [0, 2]
    nearest: Measured  # median distance to the nearest other image: falls to nothing where modes repeat
    dissimilarity: Measured  # 1 - MS-SSIM, mean over fixed pairs
    coverage: Measured
    recall: Measured
    kid: Measured  # to held-out real images where there are enough, else to training images
    near_copies: Measured | None  # share; None where it cannot be told
    accuracy: Accuracy | None
    kid_held_out: bool = True  # whether `kid` is to held-out images; nearness to training images may be a copy's

    def numbers(self) -> dict[str, float | None]:
        """One flat row for the training's curves: `coverage`, `coverage_real`, ..., `accuracy_held_out`."""
        row: dict[str, float | None] = {"images_seen": self.images_seen, "n": self.n}
        for field in fields(self):
            measured = getattr(self, field.name)
            if isinstance(measured, Measured):
                row |= {field.name: measured.value, f"{field.name}_real": measured.real}
        if self.near_copies is None:
            row |= {"near_copies": None, "near_copies_real": None}
        found = self.accuracy
        row["kid_deviation"] = self.kid.deviation
        row["accuracy_training"] = found.training if found else None
        row["accuracy_synthetic"] = found.synthetic if found else None
        row["accuracy_held_out"] = found.held_out if found else None
        row["n_judged_training"] = found.n_training if found else None
        row["n_judged_synthetic"] = found.n_synthetic if found else None
        return row


@dataclass(frozen=True)
class Reference:
    """Of one training part, made once: real images to compare with, and what real images get."""

    n: int
    sides: tuple[Features, ...]  # (n, D): one half of each halving
    pairs: NDArray[np.int64]  # (P, 2), indices below n: whose MS-SSIM is taken, the same at every look
    held_out: Features | None  # (M, D)
    real: dict[str, Real]  # by the names of Health's measures


def reference(
    *,
    training: Images,
    groups: Sequence[str],
    held_out: Images | None,
    ruler: Ruler,
    rng: np.random.Generator,
    halvings: int = 8,
    largest: int = 128,
) -> Reference:
    """Measure real images against real images, subjects apart: what a generator is held against at every look.

    training float32 (N, 1, S, S) in [-1, 1], groups (N,) their subjects or duplicate groups; held_out, of other
    subjects of the training part (never of the test part), is in no training batch. n is the smaller half, at most
    `largest`. Halvings of one training part overlap, so the deviations are a little too small. Raises ValueError with
    fewer than 8 images; `ruler.compare` may ask for more.
    """
    _check(training)
    if len(training) < 2 * SMALLEST_SIDE:
        raise ValueError(f"{len(training)} training images: want at least {2 * SMALLEST_SIDE}")
    halves = [_halve(groups, rng) for _ in range(halvings)]
    n = min(largest, *(len(side) for both in halves for side in both))
    pairs = np.stack([np.tile(np.arange(n), 2), np.concatenate([_others(n, rng), _others(n, rng)])], axis=1)
    features = ruler.extract(training)
    apart = ruler.extract(held_out) if held_out is not None and len(held_out) >= SMALLEST_HELD_OUT else None
    found: dict[str, list[float]] = {}
    sides = []
    for both in halves:
        one, other = (np.sort(rng.choice(side, n, replace=False)) for side in both)
        sides.append(features[one])
        like = ruler.compare(candidate=features[other], training=features[one])
        kid = like.kid if apart is None else _held_out_kid(features[other], apart, ruler)
        _note(found, coverage=like.coverage, recall=like.recall, kid=kid)
        for side in (one, other):
            _note(found, **variety(training[side], pairs))
    real = {name: Real(float(np.mean(values)), float(np.std(values))) for name, values in found.items()}
    if ruler.near_copies is not None:
        real["near_copies"] = _called_copies(ruler.near_copies, ruler.real_copies, held_out, n_groups=len(set(groups)))
    return Reference(n, tuple(sides), pairs, apart, real)


def _called_copies(
    near_copies: FindCopies, real_copies: NDArray[np.bool_] | None, held_out: Images | None, *, n_groups: int
) -> Real:
    """Share of real images that are called copies, though none is a copy of another subject's, and its standard error.

    Held-out images are few, so training images are judged too, by finders that do not know their groups. Slices of one
    subject are called copies together: in the worst case a share is one of so many subjects.
    """
    called = np.zeros(0, np.bool_) if held_out is None or not len(held_out) else near_copies(held_out)
    n = len(called)
    if real_copies is not None:
        called, n = np.concatenate([called, real_copies]), n_groups
    share = float(called.mean()) if len(called) else 0.0
    return Real(share, _standard_error(share, n))


def _standard_error(share: float, n: int) -> float:
    """Of one of two shares that are compared: a success and a failure are added to each (Agresti and Caffo 2000)."""
    moved = (share * n + 1) / (n + 2)
    return sqrt(moved * (1 - moved) / (n + 2))


def measure(
    *, images_seen: int, samples: Images, reference: Reference, ruler: Ruler, logits: Logits | None = None
) -> Health:
    """Look at the averaged generator's samples of a fixed grid of latents and conditions.

    samples: float32 (N, 1, S, S) in [-1, 1], N at least `reference.n`, conditions drawn as often as they are in the
    training part and in no order. They are compared in whole portions of n, and near-copies counted in all. Raises
    ValueError on another shape, too few, or values that are not finite.
    """
    _check(samples)
    n, real = reference.n, reference.real
    if len(samples) < n:
        raise ValueError(f"{len(samples)} samples: want at least {n}, as many as real images are compared")
    features = ruler.extract(samples)
    portions = [slice(start, start + n) for start in range(0, len(samples) - n + 1, n)]
    found: dict[str, list[float]] = {}
    for portion in portions:
        _note(found, **variety(samples[portion], reference.pairs))
    for i, side in enumerate(reference.sides):
        like = ruler.compare(candidate=features[portions[i % len(portions)]], training=side)
        _note(found, coverage=like.coverage, recall=like.recall, kid=like.kid)
    if reference.held_out is not None:
        found["kid"] = [_held_out_kid(features, reference.held_out, ruler)]
    if ruler.near_copies is not None:
        _note(found, near_copies=float(ruler.near_copies(samples).mean()))
    measured: dict[str, Measured | None] = {"near_copies": None}
    measured |= {
        name: Measured(float(np.mean(of)), real[name].mean, real[name].deviation) for name, of in found.items()
    }
    if (copies := measured["near_copies"]) is not None:  # of two shares that are compared, both are uncertain
        both = hypot(copies.deviation, _standard_error(copies.value, len(samples)))
        measured["near_copies"] = replace(copies, deviation=both)
    judged, held_out = None if logits is None else accuracy(logits), reference.held_out is not None
    return Health(images_seen=images_seen, n=n, accuracy=judged, kid_held_out=held_out, **measured)  # type: ignore[arg-type]  # by name


def accuracy(logits: Logits) -> Accuracy:
    """Share of each set on its side of the middle between the mean logits of training and generated images.

    A relativistic discriminator has no zero of its own, hence the middle; 0.5 on all sides is a draw.
    """
    middle = (logits.training.mean() + logits.synthetic.mean()) / 2
    apart = logits.held_out if logits.held_out is not None and len(logits.held_out) else None
    return Accuracy(
        training=float((logits.training > middle).mean()),
        synthetic=float((logits.synthetic < middle).mean()),
        held_out=None if apart is None else float((apart > middle).mean()),
        n_training=len(logits.training),
        n_synthetic=len(logits.synthetic),
        n_held_out=0 if apart is None else len(apart),
        as_trained=logits.as_trained,
    )


def _held_out_kid(candidate: Features, held_out: Features, ruler: Ruler) -> float:
    """Mean kernel distance of as many whole portions of the candidates as there are, each as large as the held-out.

    A portion is spread over all candidates: those that follow one another may be of one subject.
    """
    m = min(len(candidate), len(held_out))
    portions = len(candidate) // m
    spread = [candidate[i::portions][:m] for i in range(portions)]
    return float(np.mean([ruler.compare(candidate=portion, training=held_out[:m]).kid for portion in spread]))


def _halve(groups: Sequence[str], rng: np.random.Generator) -> list[list[int]]:
    """Indices of two halves of the images, each group on one side: in random order, each to the smaller side.

    Where one group holds nearly all images, single images are halved: a poor reference is better than no watch.
    """
    _, group_of = np.unique(np.asarray(groups), return_inverse=True)
    sides: list[list[int]] = [[], []]
    for group in rng.permutation(int(group_of.max()) + 1):
        min(sides, key=len).extend(np.flatnonzero(group_of == group).tolist())
    if min(map(len, sides)) >= SMALLEST_SIDE:
        return sides
    mixed = rng.permutation(len(group_of)).tolist()
    return [mixed[: len(mixed) // 2], mixed[len(mixed) // 2 :]]


def _others(n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """A random partner other than itself for each of n: int64 (n,)."""
    return (np.arange(n) + rng.integers(1, n, n)) % n


def _note(found: dict[str, list[float]], **values: float) -> None:
    for name, value in values.items():
        found.setdefault(name, []).append(value)


def _check(images: Images) -> None:
    if images.ndim != 4 or images.shape[1] != 1 or images.shape[2] != images.shape[3]:
        raise ValueError(f"images {images.shape}: want (N, 1, S, S)")
    if not np.isfinite(images).all():
        raise ValueError("images hold values that are not finite")
