"""Copies in feature space: images nearer to a training slice than real subjects come to each other, and authenticity.

Features forgive what pixels do not, such as a shift, and blur what pixels keep apart: neither replaces the other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

Features = NDArray[np.float32]
QUANTILE: Final = 0.01  # of the nearest distances between training subjects, at or below which an image is a copy
BLOCK: Final = 1024


@dataclass(frozen=True)
class FeatureCopies:
    """Of one set of images: share that copy a training slice, and share that are authentic."""

    copy_share: float
    authenticity: float


def nearest_features(
    features: Features,
    reference: Features,
    *,
    groups: Sequence[str] | None = None,
    reference_groups: Sequence[str] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Euclidean distance (N,) of features (N, D) to the nearest of reference (M, D), and its index (N,).

    With groups (N,) and reference_groups (M,) those of an image's own group are passed over; raises ValueError
    where that leaves none.
    """
    y = torch.from_numpy(reference).double()
    own = None
    if groups is not None and reference_groups is not None:
        own = torch.from_numpy(np.asarray(groups)[:, None] == np.asarray(reference_groups)[None, :])
    distances, indices = np.empty(len(features)), np.empty(len(features), np.int64)
    for start in range(0, len(features), BLOCK):
        rows = slice(start, start + BLOCK)
        x = torch.from_numpy(features[rows]).double()
        found = torch.cdist(x, y, compute_mode="use_mm_for_euclid_dist")
        # the product form leaves rounding where two points are one: call that 0
        found.masked_fill_(found < 1e-7 * (x.norm(dim=1)[:, None] + y.norm(dim=1)), 0.0)
        if own is not None:
            found.masked_fill_(own[rows], torch.inf)
        least = found.min(dim=1)
        distances[rows], indices[rows] = least.values.numpy(), least.indices.numpy()
    if not np.isfinite(distances).all():
        raise ValueError("an image has no slice of another group to be compared with, or features are not finite")
    return distances, indices


def feature_copies(*, images: Features, training: Features, training_groups: Sequence[str]) -> FeatureCopies:
    """How much of a set, generated or held out, copies the training slices, in features on a common scale.

    images (N, D), N at least 1; training (M, D) of at least two groups, training_groups (M,). A copy lies at or
    below the 1 % quantile of the distances that training slices have to their nearest of another group. An image
    is authentic if it is farther from its nearest training slice than that slice is from its own nearest (Alaa et
    al. 2022, "How faithful is your synthetic data?", section 3.3), here of another group, for the next slice of
    one head would always be nearer. Raises ValueError with fewer groups or without images.
    """
    if not len(images):
        raise ValueError("no images to look for copies among")
    between, _ = nearest_features(training, training, groups=training_groups, reference_groups=training_groups)
    distances, indices = nearest_features(images, training)
    return FeatureCopies(
        copy_share=float((distances <= np.quantile(between, QUANTILE)).mean()),
        authenticity=float((distances > between[indices]).mean()),
    )
