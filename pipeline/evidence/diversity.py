"""How many different images a set holds: features or distances in, numbers out.

Effective number (Vendi score): Friedman and Dieng 2023. Bins filled otherwise than by chance (NDB): Richardson and
Weiss 2018. Duplicates and the number of images a generator may know: Arora et al. 2018. Repeats are looked for among
the leading principal components of the training features: what most of the variation between patients lies along.
There an image and the same image with other noise are nearly one, and two patients are not.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import norm
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

Features = NDArray[np.float32]
Distances = NDArray[np.float64]

COMPONENTS: Final = 16  # leading ones; tried 4 to 480: from 8 to 32 repeats stand apart most clearly
SAME: Final = 1 / 3  # of the median distance of real neighbours: nearer images are the same one
MOST_BINS: Final = 100  # as in the paper
BIN_SIZE: Final = 10  # training images a bin, on average, that a test of proportions wants
LEVEL: Final = 0.05  # of the test of one bin, two-sided


@dataclass(frozen=True)
class Structure:
    """Leading principal components of real training features: mean (D,), directions (D, P)."""

    mean: NDArray[np.float64]
    directions: NDArray[np.float64]

    def project(self, features: Features) -> NDArray[np.float64]:
        """Coordinates (N, P) of features (N, D)."""
        return np.asarray((features - self.mean) @ self.directions, np.float64)


@dataclass(frozen=True)
class Bins:
    """Parts of feature space: centres (B, D), and how many training images lie in each (B,)."""

    centres: NDArray[np.float64]
    counts: NDArray[np.int64]


def structure(training: Features) -> Structure:
    """Find the COMPONENTS directions in which training features (N, D) vary most; fewer where D or N is smaller."""
    mean = training.mean(0, dtype=np.float64)
    centred = training - mean
    _, directions = np.linalg.eigh(centred.T @ centred)
    kept = min(COMPONENTS, training.shape[1], len(training))
    return Structure(mean, np.ascontiguousarray(directions[:, ::-1][:, :kept]))


def distances(x: NDArray[np.float64], y: NDArray[np.float64]) -> Distances:
    """Euclidean distances (N, M) of x (N, D) to y (M, D), from differences: 0 for equal points, not only nearly."""
    found = torch.cdist(torch.from_numpy(x), torch.from_numpy(y), compute_mode="donot_use_mm_for_euclid_dist")
    return np.asarray(found.numpy(), np.float64)


def mean_distance(within: Distances) -> float:
    """Mean of all pairs of a set from its distances (N, N)."""
    n = len(within)
    return float(within.sum() / (n * (n - 1)))


def nearest(within: Distances) -> NDArray[np.float64]:
    """Each point's distance to its nearest other one, as a share of the set's mean distance (N,).

    Relative, because a set of soft images is all nearer together and repeats nothing. 0 where all points are one.
    """
    mean = mean_distance(within)
    if mean == 0:
        return np.zeros(len(within))
    masked = within.copy()
    np.fill_diagonal(masked, np.inf)
    return np.asarray(masked.min(1) / mean, np.float64)


def same_image(real: Distances) -> float:
    """Relative distance at or below which two images are the same one: SAME of what real ones (N, N) keep."""
    return SAME * float(np.median(nearest(real)))


def duplicate_share(within: Distances, *, same: float) -> float:
    """Share of images with another in the set no further than `same` times the set's mean distance; within (N, N)."""
    return float((nearest(within) <= same).mean())


def support(within: Distances, *, same: float) -> float | None:
    """How many different images a generator may know, from the pairs in its sample that are the same image.

    Of s images equally likely, each of the n (n - 1) / 2 pairs of a sample is twice the same one with probability
    1 / s (the birthday problem; Arora et al. 2018 turn it round). Unequal ones make the figure smaller: it is the
    number of equally likely images that would repeat as often. within (N, N); None where no pair is the same.
    """
    n = len(within)
    pairs = within[np.triu_indices(n, 1)]
    alike = int((pairs <= same * mean_distance(within)).sum())
    return n * (n - 1) / 2 / alike if alike else None


def vendi(within: Distances, *, scale: float) -> float:
    """Vendi score: effective number of different images, 1 (all the same) to n (Friedman and Dieng 2023, eq. 1).

    exp of the entropy of the eigenvalues of K / n, K the Gaussian kernel of width `scale` > 0; within (N, N).
    """
    kernel = np.exp(-((within / scale) ** 2) / 2)
    values = np.asarray(np.linalg.eigvalsh(kernel / len(kernel)), np.float64)
    values = values[values > 0]
    return float(np.exp(-(values * np.log(values)).sum()))


def bins(training: Features, *, seed: int) -> Bins:
    """Cut feature space into k-means bins of training features (N, D): N / BIN_SIZE of them, 2 to MOST_BINS."""
    return clusters(training, count=int(np.clip(len(training) // BIN_SIZE, 2, MOST_BINS)), seed=seed)


def clusters(training: Features, *, count: int, seed: int) -> Bins:
    """As many k-means bins as `count`, or as there are different images if those are fewer."""
    count = min(count, len(np.unique(training, axis=0)))
    with threadpool_limits(limits=1):  # the same sums in the same order on every machine
        found = KMeans(count, n_init=3, random_state=seed).fit(training.astype(np.float64))
    return Bins(np.asarray(found.cluster_centers_), np.bincount(found.labels_, minlength=count))


def assign(features: Features, to: Bins) -> NDArray[np.int64]:
    """The bin of each image (N,): that with the nearest centre."""
    squared = (to.centres**2).sum(1) - 2 * features.astype(np.float64) @ to.centres.T
    return np.asarray(squared.argmin(1), np.int64)


def different_bins(candidate: Features, training: Bins) -> float:
    """NDB / K: share of bins whose part of the candidates differs from its part of the training images.

    candidate (N, D). A two-sample test of proportions a bin at LEVEL (Richardson and Weiss 2018, section 3), so
    about LEVEL of the bins differ by chance; more do for other real images, as k-means fits its own.
    """
    n, m = len(candidate), int(training.counts.sum())
    counts = np.bincount(assign(candidate, training), minlength=len(training.counts))
    pooled = (counts + training.counts) / (n + m)
    error = np.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
    gap = np.abs(counts / n - training.counts / m)
    return float((gap > norm.ppf(1 - LEVEL / 2) * error).mean())
