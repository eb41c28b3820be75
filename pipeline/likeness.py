"""How alike two pictures are, for all wings that ask."""

from typing import Final

import numpy as np
import torch
from monai.metrics.regression import MultiScaleSSIMMetric
from numpy.typing import NDArray

Images = NDArray[np.float32]

WINDOW: Final = 11  # pixels a side of the Gaussian window of SSIM (Wang et al. 2004)
# weights of the scales, finest first (Wang et al. 2003); a small image has room for the first few of them
SCALE_WEIGHTS: Final = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


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
