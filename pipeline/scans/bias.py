"""The coil's shading: a smooth field that multiplies the signal, estimated in the head and divided out.

N4 of Tustison et al. (2010), "N4ITK: improved N3 bias correction", in the implementation of its authors' toolkit: it
sharpens the histogram of the logarithms and asks a B-spline for the smooth part of what that took away.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Final

import numpy as np

from pipeline.scans.head import Mask, Pixels, resize

GRID: Final = 64  # pixels of the longer side of the copy on which the field is estimated
STORED: Final = 32  # pixels a side of the field as it is kept; it bends at most LEVELS times and needs no more
ITERATIONS: Final = (25, 25, 25)  # of the three levels of spline, with 1, 2 and 4 spans a side; all are always run
DARKEST: Final = 0.1  # of the head's median: logarithms of darker pixels are noise, and say nothing of a factor


def bias_field(raw: Pixels, head: Mask) -> Pixels | None:
    """Logarithm of the field that multiplies a slice, coarse: float32 (STORED, STORED) over the whole slice.

    raw: float32 (H, W), head: bool (H, W) where to look. The mean of the result over the head is about 0, so that
    values keep their unit. None where a factor has no meaning: a scan with negative values inside the head (z-scored),
    or fewer than 50 pixels of the coarse copy to go by. One thread and a fixed number of iterations: the same slice
    gives the same bytes, in about the same time.
    """
    if not head.any() or raw[head].min() < 0:
        return None
    scale = GRID / max(raw.shape)
    shape = (max(8, round(raw.shape[0] * scale)), max(8, round(raw.shape[1] * scale)))
    small = resize(raw, shape)
    inside = resize(head.astype(np.float32), shape) > 0.5
    median = float(np.median(small[inside])) if inside.any() else 0.0
    inside &= small > DARKEST * median
    if inside.sum() < 50:
        return None
    field = _n4(small / np.float32(median), inside)
    # a spline knows nothing of where it saw nothing, and may rise there without end
    field = np.clip(field, field[inside].min(), field[inside].max()) - field[inside].mean()
    return resize(field.astype(np.float32), (STORED, STORED))


def factor(field: Pixels, shape: tuple[int, int]) -> Pixels:
    """What multiplies a slice of shape (H, W) under a field of `bias_field`: float32 (H, W) > 0."""
    return np.exp(resize(field, shape))


def _n4(small: Pixels, inside: Mask) -> Pixels:
    """Logarithm of N4's field on the grid of `small`, where `inside` says what it may look at."""
    sitk = import_module("SimpleITK")  # large: workers that correct nothing need not load it
    image = sitk.GetImageFromArray(np.maximum(small, np.float32(1e-3)))
    correct = sitk.N4BiasFieldCorrectionImageFilter()
    correct.SetMaximumNumberOfIterations(ITERATIONS)
    correct.SetConvergenceThreshold(0.0)
    with _one_thread(sitk):
        correct.Execute(image, sitk.GetImageFromArray(inside.astype(np.uint8)))
        log_field: Pixels = sitk.GetArrayFromImage(correct.GetLogBiasFieldAsImage(image))
    return log_field


@contextmanager
def _one_thread(sitk: ModuleType) -> Iterator[None]:
    """Sums of floats depend on who adds what. N4's inner filters heed only the setting for the whole process."""
    before = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(before)
