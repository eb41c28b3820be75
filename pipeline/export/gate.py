"""What may leave: near-copies of patients and broken images never do. Decides from evidence handed in."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MARGIN = 0.25  # of the range that the training images span: how far outside it an image may still lie


@dataclass(frozen=True)
class Screened:
    """Masks (N,) over a set of generated images; an image may be both. Only `kept` may leave."""

    near_copy: NDArray[np.bool_]
    broken: NDArray[np.bool_]

    @property
    def kept(self) -> NDArray[np.bool_]:
        return ~(self.near_copy | self.broken)


def screen(
    *,
    synthetic: NDArray[np.float32],
    training: NDArray[np.float32],
    near_copy: NDArray[np.bool_],
) -> Screened:
    """Refuse generated images that copy a training slice or that are no images.

    synthetic, training: float32 (N, 1, S, S) and (M, 1, S, S) in [-1, 1]. near_copy: bool (N,), what the judge of
    memorisation found to copy a training slice. Broken: values that are not finite, or a mean or contrast outside
    the range of the training images widened by a quarter.
    """
    finite = np.array([np.isfinite(image).all() for image in synthetic], dtype=bool)
    broken = ~finite
    for measure in (np.mean, np.std):
        known = measure(training, axis=(1, 2, 3))
        slack = MARGIN * (known.max() - known.min())
        found = measure(np.where(finite[:, None, None, None], synthetic, 0.0), axis=(1, 2, 3))
        broken |= (found < known.min() - slack) | (found > known.max() + slack)
    return Screened(near_copy=near_copy, broken=broken)
