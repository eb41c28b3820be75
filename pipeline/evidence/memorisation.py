"""Did the generator learn, or copy? The nearest training slice of every image, and when it is too near.

Pixels rather than features: a copy of a patient's scan is a copy of its pixels, and correlation sees it through
a change of brightness or contrast. Nearness alone would call every blurred average head a copy, because it is
near to everybody; a copy is far nearer to one patient than to any other, so distances are relative (the test that
Carlini et al. 2023, "Extracting training data from diffusion models", section 4.2, apply to generated images).
What counts as too near is read from real training slices, which are never copies of another subject.
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
SMALLEST_THRESHOLD: Final = 1e-3  # an exact copy is always one, whatever rounding does to it
SAME: Final = 1e-5  # distance that rounding leaves between equal pixels
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
    images: Images, training: Images, *, training_groups: Sequence[str], image_groups: Sequence[str] | None = None
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Find each image's nearest training slice, and how much nearer its subject is than the next subject.

    images float32 (N, 1, H, W) and training float32 (M, 1, H, W) in [-1, 1]; training_groups (M,), the subject or
    duplicate group of each training slice. With image_groups (N,), an image is not compared with its own group.
    Returns relative distances float32 (N,) in [0, 1], 0 a copy, 1 no nearer to one subject than to the next: the
    distance to the nearest training slice over the distance to the nearest one of another subject; and indices
    (N,) of the nearest. A distance is 1 - Pearson's correlation of pixels at 32 x 32, the smaller of that to the
    slice and that to its left-right mirror. Raises ValueError with fewer than two (other) groups to compare with.
    """
    names, group_of = np.unique(np.asarray(training_groups), return_inverse=True)
    own = None if image_groups is None else np.asarray(image_groups)[:, None] == names[None, :]
    if len(names) - (0 if own is None else own.sum(axis=1).max(initial=0)) < 2:
        raise ValueError("copies are told from likeness by comparing with at least two other subjects")
    plain, mirrored = _thumbnails(training), _thumbnails(np.ascontiguousarray(training[..., ::-1]))
    of_slice = torch.from_numpy(group_of)
    relative, indices = np.empty(len(images), np.float32), np.empty(len(images), np.int64)
    for start in range(0, len(images), BLOCK):
        rows = slice(start, start + BLOCK)
        block = _thumbnails(images[rows])
        distances = 1 - torch.maximum(block @ plain.T, block @ mirrored.T)
        if own is not None:
            distances = distances.masked_fill(torch.from_numpy(own[rows])[:, of_slice], torch.inf)
        by_group = torch.full((len(block), len(names)), torch.inf)
        by_group = by_group.scatter_reduce(1, of_slice.expand(len(block), -1), distances, "amin")
        two = by_group.clamp_min(0).topk(2, dim=1, largest=False).values
        # the very same pixels are a copy, even where two subjects share them
        relative[rows] = torch.where(two[:, 0] > SAME, two[:, 0] / two[:, 1].clamp_min(SAME), 0.0).numpy()
        indices[rows] = distances.argmin(1).numpy()
    return relative, indices


def near_copy_threshold(training: Images, groups: Sequence[str]) -> float:
    """Relative distance at or below which an image is a near-copy, from the training part alone.

    training float32 (M, 1, H, W), groups (M,). The 1 % quantile, over training slices, of the relative distance to
    the slices of other groups: nearer to one of them than all but the most alike subjects are to each other. So
    about 1 % of slices of new subjects would be called near-copies by mistake, the price of catching real ones.
    Raises ValueError with fewer than three groups.
    """
    distances, _ = nearest(training, training, training_groups=groups, image_groups=groups)
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
