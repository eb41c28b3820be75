"""Did the generator learn, or copy? The nearest training slice of every image, and when it is too near.

Pixels rather than features: a copy of a patient's scan is a copy of its pixels, and correlation sees it through
a change of brightness or contrast. What counts as too near is read from real data: slices of different subjects
are alike too, and never copies.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from data_contracts.results import MemorisationScores

Images = NDArray[np.float32]
SIDE: Final = 32  # pixels a side at which slices are compared: anatomy is left, noise is not
QUANTILE: Final = 0.01  # share of real slices that the threshold would call copies of another subject
SMALLEST_THRESHOLD: Final = 1e-3  # correlation 0.999: an exact copy is always one, whatever rounding does to it
BLOCK: Final = 1024


def _thumbnails(images: Images) -> torch.Tensor:
    """Area-pooled, centred, of unit length, so that a dot product is Pearson's correlation: float32 (N, 1024).

    A blank image has no direction; its zeros correlate with nothing (distance 1).
    """
    small = F.adaptive_avg_pool2d(torch.from_numpy(np.array(images, np.float32)), SIDE).flatten(1).double()
    centred = small - small.mean(1, keepdim=True)
    length = centred.norm(dim=1, keepdim=True)
    return torch.where(length > 1e-6, centred / length.clamp_min(1e-6), 0.0).float()


def nearest(
    images: Images,
    training: Images,
    *,
    image_groups: Sequence[str] | None = None,
    training_groups: Sequence[str] | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Find the nearest training slice of each image, or the nearest of another group where groups are given.

    images float32 (N, 1, H, W) and training float32 (M, 1, H, W) in [-1, 1], M at least 1. Returns distances
    float32 (N,) in [0, 2] and indices (N,) into training. The distance is 1 - Pearson's correlation of pixels at
    32 x 32, the smaller of that to the slice and that to its left-right mirror. Raises ValueError where there is
    no training slice (of another group) to compare with.
    """
    if len(training) == 0:
        raise ValueError("no training slices to compare with")
    plain, mirrored = _thumbnails(training), _thumbnails(np.ascontiguousarray(training[..., ::-1]))
    own = None
    if image_groups is not None and training_groups is not None:
        own = np.asarray(image_groups)[:, None] == np.asarray(training_groups)[None, :]
        if own.all(axis=1).any():
            raise ValueError("a slice has no training slice of another group to be compared with")
    distances, indices = np.empty(len(images), np.float32), np.empty(len(images), np.int64)
    for start in range(0, len(images), BLOCK):
        rows = slice(start, start + BLOCK)
        block = _thumbnails(images[rows])
        alike = torch.maximum(block @ plain.T, block @ mirrored.T)
        if own is not None:
            alike = alike.masked_fill(torch.from_numpy(own[rows]), -torch.inf)
        best = alike.max(1)
        distances[rows], indices[rows] = (1 - best.values).clamp(0, 2).numpy(), best.indices.numpy()
    return distances, indices


def near_copy_threshold(training: Images, groups: Sequence[str]) -> float:
    """Distance at or below which an image is a near-copy, from the training part alone.

    training float32 (M, 1, H, W), groups (M,). The 1 % quantile, over training slices, of the distance to the
    nearest slice of another group: nearer than all but the most alike pairs of different subjects. So about 1 %
    of slices of new subjects would be called near-copies by mistake, the price of catching real ones. Raises
    ValueError with a single group.
    """
    distances, _ = nearest(training, training, image_groups=groups, training_groups=groups)
    return max(float(np.quantile(distances, QUANTILE)), SMALLEST_THRESHOLD)


def near_copies(distances: NDArray[np.float32], *, threshold: float) -> NDArray[np.bool_]:
    """Which images are near-copies: bool (N,)."""
    return distances <= threshold


def memorisation(
    *,
    fold: int,
    diagnosis: str,
    synthetic_distances: NDArray[np.float32],
    held_out_real_distances: NDArray[np.float32],
    threshold: float,
    n_broken: int,
    n_kept: int,
) -> MemorisationScores:
    """Sum up the nearest-training-slice distances (N,) of all generated images and of held-out real slices.

    Neither set may be empty (ValueError). n_broken and n_kept come from the screen.
    """
    if not len(synthetic_distances) or not len(held_out_real_distances):
        raise ValueError(f"fold {fold}, {diagnosis}: nothing to compare, generated or held out")
    return MemorisationScores(
        fold=fold,
        diagnosis=diagnosis,
        n_generated=len(synthetic_distances),
        n_near_copies=int(near_copies(synthetic_distances, threshold=threshold).sum()),
        n_broken=n_broken,
        n_kept=n_kept,
        threshold=threshold,
        n_held_out_real=len(held_out_real_distances),
        median_distance_synthetic=float(np.median(synthetic_distances)),
        median_distance_held_out_real=float(np.median(held_out_real_distances)),
        held_out_real_near_copy_share=float(near_copies(held_out_real_distances, threshold=threshold).mean()),
    )
