"""Did the generator learn, or copy? The nearest training slice of every image, and when it is too near.

Pixels rather than features: a copy of a patient's scan is a copy of its pixels, and correlation sees it through
a change of brightness or contrast. Nearness alone would call every blurred average head a copy, because it is
near to everybody; a copy is far nearer to one patient than to any other, so distances are relative (the test that
Carlini et al. 2023, "Extracting training data from diffusion models", section 4.2, apply to generated images).
What counts as too near is read from real training slices, which are never copies of another subject, through the
same search. Copies may be mirrored and, where `registration` looks for them, shifted, turned and rescaled.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Final, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from data_contracts.results import Estimate, MemorisationScores
from pipeline.evidence.authenticity import FeatureCopies
from pipeline.evidence.registration import searched_distances

Images = NDArray[np.float32]
SIDE: Final = 32  # pixels a side at which slices are compared: anatomy is left, noise is not
QUANTILE: Final = 0.01  # share of real slices that the threshold would call copies of another subject
SMALLEST_THRESHOLD: Final = 1e-3  # an exact copy is always one, whatever rounding does to it
SAME: Final = 1e-5  # distance that rounding leaves between equal pixels
BLOCK: Final = 1024
MOST_SLICES: Final = 2000  # that a threshold is read from, evenly spread: more would not sharpen a 1 % quantile


@dataclass(frozen=True)
class Found:
    """Of N images, each (N,): relative distance to the nearest training slice, its index, and what that says.

    A near-copy is what either comparison calls one, of the images as they are or moved; distance and index are of the
    search where there was one. `moved` are the near-copies that comparing the images as they are would have missed.
    """

    distances: NDArray[np.float32]
    nearest: NDArray[np.int64]
    near_copy: NDArray[np.bool_]
    moved: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.distances)

    def and_then(self, more: Self) -> Self:
        """Of these images and then those."""
        joined = (np.concatenate([getattr(self, f.name), getattr(more, f.name)]) for f in fields(self))
        return type(self)(*joined)


class CopyFinder:
    """Finds near-copies of training slices, by thresholds read from the training slices alone.

    training float32 (M, 1, H, W) in [-1, 1] and groups (M,), at least three different ones (ValueError). Without
    `search` only mirrored copies are looked for: a thousand images against a thousand slices then take a tenth of
    a second instead of ten on one core.
    """

    def __init__(self, training: Images, groups: Sequence[str], *, search: bool = True) -> None:
        self._training, self._groups, self._search = training, groups, search
        self._plain_threshold = near_copy_threshold(training, groups)
        self.threshold = near_copy_threshold(training, groups, search=True) if search else self._plain_threshold

    def find(self, images: Images) -> Found:
        """Judge images float32 (N, 1, H, W); what is not finite in them is read as grey."""
        images = np.where(np.isfinite(images), images, np.float32(0))
        plain, indices = nearest(images, self._training, training_groups=self._groups)
        as_it_is = near_copies(plain, threshold=self._plain_threshold)
        if not self._search or not len(images):
            return Found(plain, indices, as_it_is, np.zeros(len(images), np.bool_))
        distances, indices = nearest(images, self._training, training_groups=self._groups, search=True)
        searched = near_copies(distances, threshold=self.threshold)
        # the search also brings the next subject nearer, so it may clear what the plain comparison calls a copy
        return Found(distances, indices, searched | as_it_is, searched & ~as_it_is)


def cross_fitted_copies(images: Images, groups: Sequence[str], *, folds: int = 5) -> NDArray[np.bool_]:
    """Which of real slices would be called near-copies, each judged by a finder that knows no slice of its group.

    images float32 (N, 1, H, W) in [-1, 1], groups (N,): at least four different ones (ValueError), a fold of them left
    out at a time. No real slice is a copy of another subject's, so this is how often a finder errs. Without the search
    for moved copies. Returns bool (N,).
    """
    names, group_of = np.unique(np.asarray(groups), return_inverse=True)
    fold = group_of % min(folds, len(names))
    called = np.zeros(len(images), np.bool_)
    for one in range(min(folds, len(names))):
        known, judged = fold != one, fold == one
        finder = CopyFinder(images[known], np.asarray(groups)[known].tolist(), search=False)
        called[judged] = finder.find(images[judged]).near_copy
    return called


def thumbnails(images: Images) -> NDArray[np.float32]:
    """What is compared of images (N, 1, H, W): pixels at 32 x 32, centred and of unit length, float32 (N, 1024)."""
    found: NDArray[np.float32] = _thumbnails(images).numpy()
    return found


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
    training_groups: Sequence[str],
    image_groups: Sequence[str] | None = None,
    search: bool = False,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Find each image's nearest training slice, and how much nearer its subject is than the next subject.

    images float32 (N, 1, H, W) and training float32 (M, 1, H, W) in [-1, 1]; training_groups (M,), the subject or
    duplicate group of each training slice. With image_groups (N,), an image is not compared with its own group.
    Returns relative distances float32 (N,) in [0, 1], 0 a copy, 1 no nearer to one subject than to the next: the
    distance to the nearest training slice over the distance to the nearest one of another subject; and indices
    (N,) of the nearest. A distance is 1 - Pearson's correlation of pixels at 32 x 32, the smaller of that to the
    slice and that to its left-right mirror; with `search` also to the slice shifted, turned and rescaled, for those
    that `registration.searched_distances` aligns. Raises ValueError with fewer than two (other) groups to compare with.
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
        excluded = None if own is None else torch.from_numpy(own[rows])[:, of_slice]
        if search:
            moved = searched_distances(images[rows], training, group_of=group_of, excluded=excluded)
            distances = torch.minimum(distances, moved)
        if excluded is not None:
            distances = distances.masked_fill(excluded, torch.inf)
        by_group = torch.full((len(block), len(names)), torch.inf)
        by_group = by_group.scatter_reduce(1, of_slice.expand(len(block), -1), distances, "amin")
        two = by_group.clamp_min(0).topk(2, dim=1, largest=False).values
        # the very same pixels are a copy, even where two subjects share them
        relative[rows] = torch.where(two[:, 0] > SAME, two[:, 0] / two[:, 1].clamp_min(SAME), 0.0).numpy()
        indices[rows] = distances.argmin(1).numpy()
    return relative, indices


def near_copy_threshold(training: Images, groups: Sequence[str], *, search: bool = False) -> float:
    """Relative distance at or below which an image is a near-copy, from the training part alone.

    training float32 (M, 1, H, W), groups (M,); `search` as in `nearest`. The 1 % quantile, over training slices
    (MOST_SLICES of them at most), of the relative distance to the slices of other groups: nearer to one of them than
    all but the most alike subjects are to each other. So about 1 % of slices of new subjects would be called
    near-copies by mistake, the price of catching real ones.
    Raises ValueError with fewer than three groups.
    """
    asked = np.unique(np.linspace(0, len(training) - 1, min(len(training), MOST_SLICES)).round().astype(np.int64))
    distances, _ = nearest(
        training[asked],
        training,
        training_groups=groups,
        image_groups=np.asarray(groups)[asked].tolist(),
        search=search,
    )
    return max(float(np.quantile(distances, QUANTILE)), SMALLEST_THRESHOLD)


def near_copies(distances: NDArray[np.float32], *, threshold: float) -> NDArray[np.bool_]:
    """Which images are near-copies: bool (N,)."""
    return distances <= threshold


def memorisation(
    *,
    fold: int,
    diagnosis: str,
    synthetic: Found,
    held_out_real: Found,
    threshold: float,
    n_broken: int,
    n_kept: int,
    extractor: str,
    synthetic_features: FeatureCopies,
    held_out_real_features: FeatureCopies,
    membership_auc: Estimate | None,
) -> MemorisationScores:
    """Sum up what was found of all generated images and of held-out real slices, in pixels and in features.

    Neither set may be empty (ValueError). threshold: the finder's. n_broken and n_kept come from the screen,
    membership_auc from `membership`.
    """
    if not len(synthetic) or not len(held_out_real):
        raise ValueError(f"fold {fold}, {diagnosis}: nothing to compare, generated or held out")
    return MemorisationScores(
        fold=fold,
        diagnosis=diagnosis,
        n_generated=len(synthetic),
        n_near_copies=int(synthetic.near_copy.sum()),
        n_broken=n_broken,
        n_kept=n_kept,
        threshold=threshold,
        n_held_out_real=len(held_out_real),
        median_distance_synthetic=float(np.median(synthetic.distances)),
        median_distance_held_out_real=float(np.median(held_out_real.distances)),
        held_out_real_near_copy_share=float(held_out_real.near_copy.mean()),
        n_moved_copies=int(synthetic.moved.sum()),
        extractor=extractor,
        feature_copy_share=synthetic_features.copy_share,
        held_out_real_feature_copy_share=held_out_real_features.copy_share,
        authenticity=synthetic_features.authenticity,
        held_out_real_authenticity=held_out_real_features.authenticity,
        membership_auc=membership_auc,
    )
