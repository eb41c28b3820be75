"""How different the images of one set are from one another, in pixels: no feature space is needed for that."""

from math import sqrt
from typing import Final

import numpy as np
import torch
from monai.metrics.regression import MultiScaleSSIMMetric
from numpy.typing import NDArray
from torch.nn import functional as F

Images = NDArray[np.float32]

SIDE: Final = 16  # pixels a side at which distances are measured: anatomy is left, and grain is no diversity
WINDOW: Final = 11  # pixels a side of the Gaussian window of SSIM (Wang et al. 2004)
# weights of the scales, finest first (Wang et al. 2003); a small image has room for the first few of them
SCALE_WEIGHTS: Final = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


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


def ms_ssim(images: Images, others: Images) -> NDArray[np.float32]:
    """Multi-scale structural similarity of image pairs: float32 (N,) in [0, 1], 1 for equal ones (Wang et al. 2003).

    images and others: float32 (N, 1, S, S) in [-1, 1], S at least 11. The five scales of the paper need 176 px: a
    smaller image is compared at as many of the finest scales as an 11-pixel window fits into (three at 64 px, two
    below 44), with their weights scaled to a sum of 1, so values compare at one size only.
    """
    side = images.shape[-1]
    scales = max(count for count in range(1, len(SCALE_WEIGHTS) + 1) if _room(side, count))
    weights = np.array(SCALE_WEIGHTS[:scales]) / sum(SCALE_WEIGHTS[:scales])
    metric = MultiScaleSSIMMetric(spatial_dims=2, data_range=1.0, kernel_size=WINDOW, weights=tuple(weights.tolist()))
    # the luminance term is made for grey values that are not negative
    grey = [(torch.from_numpy(np.array(batch, np.float32)) + 1) / 2 for batch in (images, others)]
    return np.asarray(torch.as_tensor(metric(*grey)).flatten().numpy(), np.float32)


def _room(side: int, scales: int) -> bool:
    """Whether MONAI takes an image of this side at so many scales; its rule is stricter than halving asks for."""
    return side // max(1, scales - 1) ** 2 >= WINDOW and side >= WINDOW * 2 ** (scales - 1)
