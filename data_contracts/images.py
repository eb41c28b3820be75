"""What a normalised image must be before anything learns from it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data_contracts.violations import Violation


@dataclass(frozen=True)
class ImageSpec:
    """Square single-channel images of `size` pixels a side with values in [low, high]."""

    size: int
    low: float = -1.0
    high: float = 1.0


def check_images(images: NDArray[np.float32], spec: ImageSpec, record: str) -> list[Violation]:
    """Check a stack against its specification.

    images: float32 (N, 1, size, size) in [spec.low, spec.high]. `record` names the stack in the violations.
    """
    found = []
    if images.dtype != np.float32:
        found.append(Violation(record, "dtype", f"{images.dtype}, want float32"))
    if images.ndim != 4 or images.shape[1:] != (1, spec.size, spec.size):
        found.append(Violation(record, "shape", f"{images.shape}, want (N, 1, {spec.size}, {spec.size})"))
    if not np.isfinite(images).all():
        found.append(Violation(record, "finite", f"{int((~np.isfinite(images)).sum())} values are not finite"))
    elif images.size and (images.min() < spec.low or images.max() > spec.high):
        found.append(
            Violation(record, "range", f"[{images.min():.3f}, {images.max():.3f}], want [{spec.low}, {spec.high}]")
        )
    return found
