"""Fidelity of a set of images against real training images: features in, numbers out; and the whole judgement.

Precision and recall: Kynkaanniemi et al. 2019. Density and coverage: Naeem et al. 2020. Kernel distance (KID):
Binkowski et al. 2018. Frechet distance: Heusel et al. 2017. Every figure depends on n, so sets are always compared at
the same n. Neighbourhoods are searched with float32 products; whatever rounding could decide is measured again in
float64 from differences, so that equal images are at distance 0 and counts are those of an exact search.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from data_contracts.results import FidelityScores, MetricSet, SetScores
from pipeline.evidence import diversity
from pipeline.evidence.diversity import Bins, Structure
from pipeline.evidence.modes import real_limits
from pipeline.likeness import WINDOW, ms_ssim

Features = NDArray[np.float32]
Images = NDArray[np.float32]
BLOCK: Final = 1024  # rows and columns of a distance matrix held at once: they stay in the cache
# Of |x|^2 + |y|^2: more than float32 products of some hundred numbers err by in |x - y|^2 (measured: 0.3 of it)
ROUNDING: Final = 4e-6
SPARE: Final = 4  # neighbours beyond the k-th that are measured exactly, as rounding may have changed their order
PAIRS: Final = 1024  # distances measured exactly at once: few, for the cache
FRECHET_NEEDS: Final = 2000  # images: below, a Frechet distance says more of n than of the images
LARGEST: Final = 2000  # images whose every pair is looked at, in `vendi`, `duplicate_share` and `support`
COMPARED: Final = 300  # pairs of images in `dissimilarity`
KEPT: Final = 3  # different images in the collapsed reference


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


@dataclass(frozen=True)
class _Points:
    """Features (N, D) as they are, moved to where rounding is small, and the squares of their lengths there (N,)."""

    features: torch.Tensor
    moved: torch.Tensor
    squares: torch.Tensor


def _points(features: Features, *, centre: NDArray[np.float64]) -> _Points:
    moved = torch.from_numpy((features - centre).astype(np.float32))
    return _Points(torch.from_numpy(features), moved, (moved * moved).sum(1))


def _blocks(n: int) -> list[slice]:
    return [slice(start, min(start + BLOCK, n)) for start in range(0, n, BLOCK)]


def _squared(x: _Points, rows: slice, y: _Points, columns: slice) -> torch.Tensor:
    """Squared distances of some of x to some of y, float32; rounding moves them by less than ROUNDING says."""
    products = torch.addmm(y.squares[columns], x.moved[rows], y.moved[columns].T, alpha=-2)
    return products.add_(x.squares[rows, None])


def _exact(x: _Points, i: torch.Tensor, y: _Points, j: torch.Tensor) -> torch.Tensor:
    """Distances of pairs i of x, j of y, float64 (P,): exactly 0 where two points are one."""
    found = torch.empty(len(i), dtype=torch.float64)  # filled in place: small pieces between large ones hold memory
    for start in range(0, len(i), PAIRS):
        some = slice(start, start + PAIRS)
        apart = x.features[i[some]].double().sub_(y.features[j[some]])
        torch.linalg.vector_norm(apart, dim=1, out=found[some])
    return found


def neighbourhoods(features: Features, *, k: int) -> Neighbourhoods:
    """Measure each point's k-th nearest neighbour, itself not counted. features (N, D), N > k >= 1."""
    n = len(features)
    if not 1 <= k < n:
        raise ValueError(f"k = {k} neighbours of {n} images: want at least {k + 1} images and k of at least 1")
    x = _points(features, centre=features.mean(0, dtype=np.float64))
    nearest = _Nearest(n, min(k + SPARE, n - 1))
    total, blocks = 0.0, _blocks(n)
    for at, rows in enumerate(blocks):
        for columns in blocks[at:]:  # the other half is the same
            squared = _squared(x, rows, x, columns)
            if rows == columns:
                squared.fill_diagonal_(torch.inf)  # no point is its own neighbour
                nearest.look(squared, rows, columns)
                squared.fill_diagonal_(0.0)
            else:
                nearest.look(squared, rows, columns)
                nearest.look(squared.T, columns, rows)
            rounding = ROUNDING * float(x.squares[rows].max() + x.squares[columns].max())
            apart = torch.nn.functional.threshold(squared, rounding, 0.0, inplace=True).sqrt_()
            total += float(apart.sum(1).double().sum()) * (1 if rows == columns else 2)
    return Neighbourhoods(nearest.radii(x, k), total / (n * (n - 1)))


class _Nearest:
    """Of each of n points the `kept` nearest others, by squared distances that come a block at a time."""

    def __init__(self, n: int, kept: int) -> None:
        self.squared = torch.full((n, kept), torch.inf)
        self.which = torch.zeros((n, kept), dtype=torch.int64)

    def look(self, squared: torch.Tensor, rows: slice, columns: slice) -> None:
        """Keep those of a block (rows, columns) that are nearer than what is kept."""
        kept = self.which.shape[1]
        near = squared.topk(min(kept, squared.shape[1]), largest=False, sorted=False)
        values = torch.cat([self.squared[rows], near.values], 1)
        which = torch.cat([self.which[rows], near.indices + columns.start], 1)
        self.squared[rows], chosen = values.topk(kept, largest=False, sorted=False)
        self.which[rows] = which.gather(1, chosen)

    def radii(self, x: _Points, k: int) -> torch.Tensor:
        """Distance of each point to its k-th nearest other one, float64 (N,)."""
        n, kept = self.which.shape
        exact = _exact(x, torch.arange(n).repeat_interleave(kept), x, self.which.flatten())
        return exact.reshape(n, kept).kthvalue(k, dim=1).values


def manifold(
    *, candidate: Features, training: Features, near_candidate: Neighbourhoods, near_training: Neighbourhoods, k: int
) -> Manifold:
    """Precision, recall (Kynkaanniemi 2019), density and coverage (Naeem 2020); higher is better in all four.

    candidate (N, D), training (M, D), their neighbourhoods at the same k. Precision: share of candidates inside
    some training neighbourhood. Recall: share of training images inside some candidate neighbourhood. Density:
    training neighbourhoods a candidate lies in, over k. Coverage: share of training neighbourhoods with a
    candidate inside.
    """
    centre = training.mean(0, dtype=np.float64)
    x, y = _points(training, centre=centre), _points(candidate, centre=centre)
    neighbourhoods_of = torch.zeros(len(y.moved), dtype=torch.int64)
    recalled, covered = torch.zeros(len(x.moved), dtype=torch.bool), torch.zeros(len(x.moved), dtype=torch.bool)
    for rows in _blocks(len(x.moved)):
        for columns in _blocks(len(y.moved)):
            block = _Block(x, rows, y, columns, _squared(x, rows, y, columns))
            inside_training = block.below(near_training.radii[rows, None])
            neighbourhoods_of[columns] += inside_training.sum(0)
            covered[rows] |= inside_training.any(1)
            recalled[rows] |= block.below(near_candidate.radii[None, columns]).any(1)
    return Manifold(
        precision=float((neighbourhoods_of > 0).double().mean()),
        recall=float(recalled.double().mean()),
        density=float(neighbourhoods_of.double().mean()) / k,
        coverage=float(covered.double().mean()),
    )


@dataclass(frozen=True)
class _Block:
    """Squared distances of some rows of x to some of y."""

    x: _Points
    rows: slice
    y: _Points
    columns: slice
    squared: torch.Tensor

    def below(self, radii: torch.Tensor) -> torch.Tensor:
        """Which distances are below the radii, float64, one a row (b, 1) or one a column (1, c): bool (b, c)."""
        rounding = ROUNDING * float(self.x.squares[self.rows].max() + self.y.squares[self.columns].max())
        limits = radii.square()
        surely = self.squared < (limits - rounding).float()
        perhaps = self.squared <= (limits + rounding).float()
        i, j = (surely ^ perhaps).nonzero(as_tuple=True)
        if len(i):
            exact = _exact(self.x, i + self.rows.start, self.y, j + self.columns.start)
            surely[i, j] = exact < radii.expand(surely.shape)[i, j]
        return surely


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


def frechet_distance(*, candidate: Features, training: Features) -> float:
    """Frechet distance of two normal distributions fitted to features, at least 0 (Heusel et al. 2017, eq. 6).

    candidate (N, D), training (M, D), N and M at least 2. Biased upwards by more the smaller N and M are, so only
    figures of one n compare, and below FRECHET_NEEDS images they need that said beside them.
    """
    if min(len(candidate), len(training)) < 2:
        raise ValueError(f"Frechet distance of {len(candidate)} and {len(training)} images: want at least 2 of each")
    (x, mean_x), (y, mean_y) = _root_of_covariance(candidate), _root_of_covariance(training)
    # tr (A'A B'B)^(1/2) is the sum of the singular values of AB': no root of a singular matrix is taken
    shared = float(np.linalg.svd(x @ y.T, compute_uv=False).sum())
    return max(0.0, float(((mean_x - mean_y) ** 2).sum() + (x**2).sum() + (y**2).sum()) - 2 * shared)


def _root_of_covariance(features: Features) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A of at most D rows with A'A the covariance of features (N, D); and their mean (D,)."""
    mean = features.mean(0, dtype=np.float64)
    root = (features - mean) / np.sqrt(len(features) - 1)
    if len(root) > root.shape[1]:
        root = np.asarray(np.linalg.qr(root, mode="r"), np.float64)
    return root, np.asarray(mean, np.float64)


def metric_set(*, candidate: Features, training: Features, k: int, rng: np.random.Generator) -> MetricSet:
    """Judge a candidate set against real training images, both cut at random to the size of the smaller.

    candidate (N, D), training (M, D): features on a common scale. Raises ValueError where fewer than k + 1 images
    are left, fewer than 3, or where all training images are one.
    """
    n = min(len(candidate), len(training))
    candidate, training = _draw(candidate, n, rng), _draw(training, n, rng)
    return _metrics(candidate, training, neighbourhoods(training, k=k), k=k)


def _metrics(candidate: Features, training: Features, near_training: Neighbourhoods, *, k: int) -> MetricSet:
    near_candidate = neighbourhoods(candidate, k=k)
    if near_training.mean_distance == 0:
        raise ValueError(f"all {len(training)} training images are the same image")
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
    synthetic: Images,
    held_out_real: Images,
    training: Images,
    training_groups: Sequence[str],
    held_out_groups: Sequence[str],
    extract: Callable[[Images], Features],
    extractor: str,
    extractor_digest: str,
    k: int,
    rng: np.random.Generator,
) -> FidelityScores:
    """Judge synthetic images beside three references: the same n, the same training images, the same ruler.

    Images float32 (N, 1, S, S) in [-1, 1] of each set, and the group (subject) of each real one. extract: images to
    features (N, D) on the scale of the training images'. n is the size of the smallest set. The references are
    held-out real images, KEPT of the synthetic images over and over, and grey noise of the training images' mean
    and contrast. Raises ValueError where the smallest set has no more than k images or fewer than 3, where groups do
    not fit their images, or where all training images are one.
    """
    n = min(len(synthetic), len(held_out_real), len(training))
    if n <= max(k, 2):
        raise ValueError(f"{n} images in the smallest set: want at least {max(k, 2) + 1} for k = {k}")
    known, real, made = extract(training), extract(held_out_real), extract(synthetic)
    limits = real_limits(
        held_out_real=real,
        training=known,
        training_groups=training_groups,
        held_out_groups=held_out_groups,
        n=n,
        k=k,
        rng=rng,
    )
    chosen = _rows(len(training), n, rng)
    judge = _Judge.of(known, training=known[chosen], k=k, rng=rng)
    rows_made, rows_real = _rows(len(synthetic), n, rng), _rows(len(held_out_real), n, rng)
    repeated = synthetic[_rows(len(synthetic), KEPT, rng)[np.arange(n) % KEPT]]
    grey = rng.normal(training.mean(), training.std(), (n, *training.shape[1:])).clip(-1, 1).astype(np.float32)
    return FidelityScores(
        fold=fold,
        diagnosis=diagnosis,
        n=n,
        k=k,
        extractor=extractor,
        extractor_digest=extractor_digest,
        synthetic=judge.scores(synthetic[rows_made], made[rows_made], rng),
        held_out_real=judge.scores(held_out_real[rows_real], real[rows_real], rng),
        collapsed=judge.scores(repeated, extract(repeated), rng),
        noise=judge.scores(grey, extract(grey), rng),
        collapse=limits.judge(made, rng=rng),
    )


@dataclass(frozen=True)
class _Judge:
    """What n training images set for all sets of n: neighbourhoods, bins, and when two images are the same one."""

    training: Features
    near: Neighbourhoods
    bins: Bins
    structure: Structure
    same: float
    k: int

    @classmethod
    def of(cls, known: Features, *, training: Features, k: int, rng: np.random.Generator) -> "_Judge":
        """known: features of all training images; training: of n of them."""
        near = neighbourhoods(training, k=k)
        if near.mean_distance == 0:
            raise ValueError(f"all {len(training)} training images are the same image")
        structure = diversity.structure(known)
        projected = structure.project(training[:LARGEST])
        same = diversity.same_image(diversity.distances(projected, projected))
        bins = diversity.bins(training, seed=int(rng.integers(2**31)))
        return cls(training, near, bins, structure, same, k)

    def scores(self, images: Images, features: Features, rng: np.random.Generator) -> SetScores:
        """All that is measured of n images (n, 1, S, S), features (n, D)."""
        looked_at = _draw(features, min(len(features), LARGEST), rng)
        projected = self.structure.project(looked_at)
        within = diversity.distances(projected, projected)
        exact = looked_at.astype(np.float64)
        return SetScores(
            **_metrics(features, self.training, self.near, k=self.k).model_dump(),
            frechet=frechet_distance(candidate=features, training=self.training),
            vendi=diversity.vendi(diversity.distances(exact, exact), scale=self.near.mean_distance / 2),
            different_bins=diversity.different_bins(features, self.bins),
            duplicate_share=diversity.duplicate_share(within, same=self.same),
            support=diversity.support(within, same=self.same),
            dissimilarity=_dissimilarity(images, rng),
        )


def _dissimilarity(images: Images, rng: np.random.Generator) -> float | None:
    """Mean 1 - MS-SSIM of COMPARED pairs of different images (Odena et al. 2017); None below MS-SSIM's window."""
    if images.shape[-1] < WINDOW:
        return None
    first = rng.integers(0, len(images), COMPARED)
    second = (first + rng.integers(1, len(images), COMPARED)) % len(images)
    return float(1 - ms_ssim(images[first], images[second]).mean())


def _rows(size: int, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """n of so many rows at random, in their order."""
    return np.sort(rng.choice(size, n, replace=False))


def _draw(features: Features, n: int, rng: np.random.Generator) -> Features:
    """n of the rows at random, in their order."""
    return features[_rows(len(features), n, rng)]
