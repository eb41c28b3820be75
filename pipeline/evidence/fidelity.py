"""Fidelity and diversity of a set of images against real training images: features in, numbers out.

Precision and recall: Kynkaanniemi et al. 2019. Density and coverage: Naeem et al. 2020. Kernel distance (KID):
Binkowski et al. 2018. Every figure depends on n, so sets are always compared at the same n.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from data_contracts.results import FidelityScores, MetricSet

Features = NDArray[np.float32]
BLOCK: Final = 1024  # rows of a distance matrix held at once


@dataclass(frozen=True)
class Neighbourhoods:
    """Of one set: each point's distance to its k-th nearest other point (N,), and the mean distance of all pairs."""

    radii: torch.Tensor
    mean_distance: float


@dataclass(frozen=True)
class Manifold:
    """Precision, recall, density and coverage: how two sets lie in each other's neighbourhoods."""

    precision: float
    recall: float
    density: float
    coverage: float


def _distances(x: torch.Tensor, y: torch.Tensor) -> Iterator[tuple[slice, torch.Tensor]]:
    """Euclidean distances of float64 x (N, D) to y (M, D), a block of rows at a time."""
    scale_y = y.norm(dim=1)
    for start in range(0, len(x), BLOCK):
        rows = slice(start, start + BLOCK)
        found = torch.cdist(x[rows], y, compute_mode="use_mm_for_euclid_dist")
        # the product form, ten times as fast, leaves rounding where two points are one: call that 0
        rounding = 1e-7 * (x[rows].norm(dim=1)[:, None] + scale_y)
        yield rows, found.masked_fill_(found < rounding, 0.0)


def neighbourhoods(features: Features, *, k: int) -> Neighbourhoods:
    """Measure each point's k-th nearest neighbour, itself not counted. features (N, D), N > k >= 1."""
    n = len(features)
    if not 1 <= k < n:
        raise ValueError(f"k = {k} neighbours of {n} images: want at least {k + 1} images and k of at least 1")
    x = torch.from_numpy(features).double()
    radii, total = torch.empty(n, dtype=torch.float64), 0.0
    for rows, distances in _distances(x, x):
        radii[rows] = distances.kthvalue(k + 1, dim=1).values  # the nearest is the point itself
        total += float(distances.sum())
    return Neighbourhoods(radii, total / (n * (n - 1)))


def manifold(
    *, candidate: Features, training: Features, near_candidate: Neighbourhoods, near_training: Neighbourhoods, k: int
) -> Manifold:
    """Precision, recall (Kynkaanniemi 2019), density and coverage (Naeem 2020); higher is better in all four.

    candidate (N, D), training (M, D), their neighbourhoods at the same k. Precision: share of candidates inside
    some training neighbourhood. Recall: share of training images inside some candidate neighbourhood. Density:
    training neighbourhoods a candidate lies in, over k. Coverage: share of training neighbourhoods with a
    candidate inside.
    """
    x, y = torch.from_numpy(training).double(), torch.from_numpy(candidate).double()
    neighbourhoods_of = torch.zeros(len(y), dtype=torch.int64)
    recalled, covered = 0, 0
    for rows, distances in _distances(x, y):
        inside_training = distances < near_training.radii[rows, None]
        neighbourhoods_of += inside_training.sum(0)
        covered += int(inside_training.any(1).sum())
        recalled += int((distances < near_candidate.radii).any(1).sum())
    return Manifold(
        precision=float((neighbourhoods_of > 0).double().mean()),
        recall=recalled / len(x),
        density=float(neighbourhoods_of.double().mean()) / k,
        coverage=covered / len(x),
    )


def kernel_distance(*, candidate: Features, training: Features) -> tuple[float, float]:
    """KID: unbiased squared maximum mean discrepancy with the kernel (x·y / D + 1)^3 (Binkowski et al. 2018).

    candidate (N, D), training (M, D), N and M at least 3. Returns the estimate, 0 on average for two samples of
    one distribution (so at times negative), and its standard error: the delete-one jackknife over both samples
    (Efron 1982). The error is over images as if independent; slices of one subject are not, so it is a lower
    bound there. Where both samples share their distribution it is too large rather than too small.
    """
    if min(len(candidate), len(training)) < 3:
        raise ValueError(f"KID of {len(candidate)} and {len(training)} images: want at least 3 of each")
    x, y = torch.from_numpy(candidate).double(), torch.from_numpy(training).double()
    n, m = len(x), len(y)
    within_x, within_y = _kernel_sums(x, x, skip_self=True), _kernel_sums(y, y, skip_self=True)
    across_x, across_y = _kernel_sums(x, y), _kernel_sums(y, x)
    a, b, c = within_x.sum(), within_y.sum(), across_x.sum()
    estimate = a / (n * (n - 1)) + b / (m * (m - 1)) - 2 * c / (n * m)
    without_x = (a - 2 * within_x) / ((n - 1) * (n - 2)) + b / (m * (m - 1)) - 2 * (c - across_x) / ((n - 1) * m)
    without_y = a / (n * (n - 1)) + (b - 2 * within_y) / ((m - 1) * (m - 2)) - 2 * (c - across_y) / (n * (m - 1))
    variance = (n - 1) * without_x.var(correction=0) + (m - 1) * without_y.var(correction=0)
    return float(estimate), float(variance.sqrt())


def _kernel_sums(x: torch.Tensor, y: torch.Tensor, *, skip_self: bool = False) -> torch.Tensor:
    """Sum over y of the cubic kernel, for each x: (N,)."""
    dimensions = x.shape[1]
    blocks = (x[start : start + BLOCK] for start in range(0, len(x), BLOCK))
    sums = torch.cat([((block @ y.T / dimensions + 1) ** 3).sum(1) for block in blocks])
    return sums - ((x * y).sum(1) / dimensions + 1) ** 3 if skip_self else sums


def metric_set(*, candidate: Features, training: Features, k: int, rng: np.random.Generator) -> MetricSet:
    """Judge a candidate set against real training images, both cut at random to the size of the smaller.

    candidate (N, D), training (M, D): features on a common scale. Raises ValueError where fewer than k + 1 images
    are left, fewer than 3, or where all training images are one.
    """
    n = min(len(candidate), len(training))
    candidate, training = _draw(candidate, n, rng), _draw(training, n, rng)
    near_candidate, near_training = neighbourhoods(candidate, k=k), neighbourhoods(training, k=k)
    if near_training.mean_distance == 0:
        raise ValueError(f"all {n} training images are the same image")
    found = manifold(
        candidate=candidate, training=training, near_candidate=near_candidate, near_training=near_training, k=k
    )
    kid, standard_error = kernel_distance(candidate=candidate, training=training)
    return MetricSet(
        precision=found.precision,
        recall=found.recall,
        density=found.density,
        coverage=found.coverage,
        kid=kid,
        kid_standard_error=standard_error,
        spread=near_candidate.mean_distance / near_training.mean_distance,
    )


def fidelity(
    *,
    fold: int,
    diagnosis: str,
    synthetic: Features,
    held_out_real: Features,
    training: Features,
    k: int,
    extractor: str,
    extractor_digest: str,
    rng: np.random.Generator,
) -> FidelityScores:
    """Judge synthetic and held-out real images alike: the same n, the same training images, the same ruler.

    Features (N, D) of each set on a common scale. n is the size of the smallest set.
    """
    n = min(len(synthetic), len(held_out_real), len(training))
    training = _draw(training, n, rng)
    return FidelityScores(
        fold=fold,
        diagnosis=diagnosis,
        n=n,
        k=k,
        extractor=extractor,
        extractor_digest=extractor_digest,
        synthetic=metric_set(candidate=_draw(synthetic, n, rng), training=training, k=k, rng=rng),
        held_out_real=metric_set(candidate=_draw(held_out_real, n, rng), training=training, k=k, rng=rng),
    )


def _draw(features: Features, n: int, rng: np.random.Generator) -> Features:
    """n of the rows at random, in their order."""
    return features[np.sort(rng.choice(len(features), n, replace=False))]
