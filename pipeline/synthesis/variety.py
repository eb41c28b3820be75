"""How different the images of one set are from one another, in pixels: no feature space is needed for that."""

from math import sqrt
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from pipeline.likeness import ms_ssim

Images = NDArray[np.float32]

SIDE: Final = 16  # pixels a side at which distances are measured: anatomy is left, and grain is no diversity


def variety(images: Images, pairs: NDArray[np.int64]) -> dict[str, float]:
    """How different the images (N, 1, S, S) of one set are from one another; larger is more different.

    diversity: mean distance of all pairs; nearest: median distance to the nearest other image, which falls to nothing
    where modes repeat (with few modes a sample holds near-duplicates: Arora et al. 2018, "Do GANs learn the
    distribution?"); dissimilarity: 1 - MS-SSIM, mean over `pairs` int64 (P, 2) (Odena et al. 2017, section 4.2).
    """
    distances = pixel_distances(images)
    n = len(images)
    apart = ~torch.eye(n, dtype=torch.bool)
    similar = ms_ssim(images[pairs[:, 0]], images[pairs[:, 1]])
    return {
        "diversity": float(distances[apart].mean()),
        "nearest": float(distances.min(dim=1).values.median()),
        "dissimilarity": float(1 - similar.mean()),
    }


def pixel_distances(images: Images) -> torch.Tensor:
    """Distances of all pairs of images (N, 1, S, S), each the root mean square difference in grey at 16 px: (N, N).

    In [0, 2] for images in [-1, 1]; the diagonal is infinite, for no image is its own neighbour.
    """
    small = F.adaptive_avg_pool2d(torch.from_numpy(np.array(images, np.float32)), SIDE).flatten(1).double()
    # the product form, which is faster, leaves rounding where two images are one
    distances = torch.cdist(small, small, compute_mode="donot_use_mm_for_euclid_dist") / sqrt(small.shape[1])
    return distances.fill_diagonal_(torch.inf)
