"""Is a slice usable? Each check measures one thing and says what it measured and what it wants."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pipeline.scans.head import NoHeadError
from pipeline.scans.normalise import NormaliseConfig, measure

MIN_SIDE: Final = 32
MAX_ELONGATION: Final = 3.0  # a head is at most twice as long as it is wide, even with a neck
MIN_GREY_LEVELS: Final = 16  # fewer is a label map or a drawing
MIN_FOREGROUND: Final = 0.05  # share of the picture; the emptiest of brain_mri_253 and lgg_flair has 0.21
MAX_SATURATED: Final = 0.5  # share of the foreground that sits at the largest value
MIN_SMOOTHNESS: Final = 0.3  # correlation of neighbouring pixels; air gives 0
_DIFFERS: Final = 0.1  # of the range of values, from the background


@dataclass(frozen=True)
class Finding:
    """A rule that a slice breaks, and the measured value with its threshold."""

    rule: str
    detail: str


def check_slice(pixels: NDArray[Any], *, min_side: int = MIN_SIDE) -> Finding | None:
    """The first thing that makes a slice (H, W) of any dtype unusable, or None. Cheap and fatal checks come first."""
    return (
        _too_small(pixels, min_side)
        or _elongated(pixels)
        or _not_finite(pixels)
        or _flat(pixels)
        or _blank(pixels)
        or _saturated(pixels)
        or _noise(pixels)
        or _headless(pixels)
    )


def foreground(pixels: NDArray[Any]) -> NDArray[np.bool_]:
    """Pixels (H, W) that differ from the background by more than a tenth of the range of values.

    The background is the median of the frame of the picture, so that it may be black, white, or zero between negative
    and positive values; the range leaves out half a percent at either end.
    """
    values = pixels.astype(np.float64)
    frame = np.concatenate([values[0], values[-1], values[:, 0], values[:, -1]])
    low, high = np.percentile(values, (0.5, 99.5))
    differs: NDArray[np.bool_] = np.abs(values - np.median(frame)) > _DIFFERS * max(high - low, 1e-12)
    return differs


def _headless(pixels: NDArray[Any]) -> Finding | None:
    """What normalisation could not find its frame and landmarks in, found here so that no later stage stops for it."""
    try:
        measure(pixels, NormaliseConfig())
    except NoHeadError as error:
        return Finding("no_head", str(error))
    return None


def _too_small(pixels: NDArray[Any], min_side: int) -> Finding | None:
    side = min(pixels.shape)
    return Finding("too_small", f"shorter side {side} pixels, at least {min_side}") if side < min_side else None


def _elongated(pixels: NDArray[Any]) -> Finding | None:
    ratio = max(pixels.shape) / min(pixels.shape)
    if ratio <= MAX_ELONGATION:
        return None
    return Finding("too_elongated", f"sides differ {ratio:.1f}-fold, at most {MAX_ELONGATION:g}")


def _not_finite(pixels: NDArray[Any]) -> Finding | None:
    broken = int((~np.isfinite(pixels)).sum())
    return Finding("not_finite", f"{broken} pixels are not numbers, want 0") if broken else None


def _flat(pixels: NDArray[Any]) -> Finding | None:
    levels = len(np.unique(pixels))
    return Finding("blank", f"{levels} grey levels, at least {MIN_GREY_LEVELS}") if levels < MIN_GREY_LEVELS else None


def _blank(pixels: NDArray[Any]) -> Finding | None:
    share = float(foreground(pixels).mean())
    if share >= MIN_FOREGROUND:
        return None
    return Finding("blank", f"{share:.3f} of the picture stands out from the background, at least {MIN_FOREGROUND}")


def _saturated(pixels: NDArray[Any]) -> Finding | None:
    values = pixels[foreground(pixels)]
    share = float((values == pixels.max()).mean())
    if share <= MAX_SATURATED:
        return None
    return Finding("saturated", f"{share:.2f} of the foreground is at the largest value, at most {MAX_SATURATED}")


def _noise(pixels: NDArray[Any]) -> Finding | None:
    values = pixels.astype(np.float64)
    # of pixels two apart: resampled noise is alike in direct neighbours
    smoothness = float(np.corrcoef(values[:, 2:].ravel(), values[:, :-2].ravel())[0, 1])
    if smoothness >= MIN_SMOOTHNESS:
        return None
    return Finding("noise", f"pixels two apart correlate at {smoothness:.2f}, at least {MIN_SMOOTHNESS}")
