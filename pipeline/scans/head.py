"""Where the head is in a slice: air, frames, letters and straps around it left out."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

SEARCH: Final = 128  # pixels of the longer side of the copy in which the head is looked for
MAX_ELONGATION: Final = 3.0  # a head is at most twice as long as it is wide, even with a neck
Pixels = NDArray[np.float32]
Mask = NDArray[np.bool_]


class NoHeadError(ValueError):
    """A slice has no region that could be a head."""


def find_head(raw: Pixels) -> Mask:
    """The largest bright region of a slice, bridged and filled: bool (H, W). raw: float32 (H, W), any unit.

    Raises NoHeadError for a blank slice.
    """
    if not np.isfinite(raw).all():
        raise NoHeadError("values that are not finite")
    with np.errstate(over="ignore"):  # a range that float32 cannot hold shows as an infinite percentile
        contrast = raw - np.float32(background_of(raw))
    np.abs(contrast, out=contrast)  # a z-scored scan has tissue on both sides of its background
    stretched = _stretch(contrast)
    inner = inside_frame(stretched)
    if contrast[inner].shape != raw.shape:  # without its white frame the brightest is another
        stretched = _stretch(contrast[inner])
    # one size for the search, so that its reaches below are shares of the picture whatever its resolution
    scale = SEARCH / max(stretched.shape)
    height, width = (max(1, round(n * scale)) for n in stretched.shape)
    small = resize(stretched, (height, width))
    threshold = 0.8 * otsu(small)
    solid = resize(_solid(small > threshold).astype(np.float32), stretched.shape) > 0.5
    head = np.zeros(raw.shape, dtype=np.bool_)
    head[inner] = _trim(solid, stretched > threshold)
    return head


def _trim(solid: Mask, bright: Mask) -> Mask:
    """Without the outer rows and columns of air that the coarse search took along: how many depends on its scale."""
    trimmed = solid.copy()
    for axis in (0, 1):
        lines, seen = np.moveaxis(trimmed, axis, 0), (solid & bright).sum(axis=1 - axis)
        full = np.flatnonzero(seen > 0.05 * seen.max())
        if not full.size:
            raise NoHeadError("no solid bright region")
        lines[: full[0]] = False
        lines[full[-1] + 1 :] = False
    return trimmed


def inside_frame(contrast: Pixels) -> tuple[slice, slice]:
    """Rows and columns left when white borders are cut off: up to a line that is bright along most of its length.

    contrast: float32 (H, W) in [0, 1]. A broad band reaches up to a third of the way in and must be white, since a
    bright head can fill a line there; close to the edge a grey line will do.
    """
    kept = []
    for lines in (contrast, contrast.T):
        start, stop = 0, len(lines)
        for brightness, reach in ((0.93, 1 / 3), (0.75, 1 / 16)):
            bright = (lines > brightness).mean(axis=1) > 0.7
            zone = max(1, int(reach * len(lines)))
            first, last = np.flatnonzero(bright[:zone]), np.flatnonzero(bright[-zone:])
            # and one more: the line's own blurred edge
            start = max(start, first[-1] + 2 if first.size else 0)
            stop = min(stop, len(lines) - zone + last[0] - 1 if last.size else len(lines))
        kept.append(slice(int(start), int(stop)))
    return kept[0], kept[1]


def otsu(values: Pixels) -> float:
    """Threshold in [0, 1] that best separates two classes of values in [0, 1] (Otsu 1979)."""
    bins = 128
    counts = np.bincount(np.clip(values.ravel() * bins, 0, bins - 1).astype(np.intp), minlength=bins)
    edges = np.arange(bins + 1) / bins
    centres = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)[:-1]
    above = values.size - below
    sums = np.cumsum(counts * centres)
    with np.errstate(divide="ignore", invalid="ignore"):  # an empty class has no mean, and never wins
        between = below * above * (sums[:-1] / below - (sums[-1] - sums[:-1]) / above) ** 2
    return float(edges[1 + int(np.nanargmax(between))])


def background_of(raw: Pixels) -> float:
    """The value that fills most of the border, where one does and the scan has negative values; else the minimum."""
    border = np.concatenate([raw[0], raw[-1], raw[:, 0], raw[:, -1]])
    values, counts = np.unique(border, return_counts=True)
    lowest = float(raw.min())
    return float(values[counts.argmax()]) if lowest < 0 and counts.max() > border.size / 2 else lowest


def resize(picture: Pixels, shape: tuple[int, int], *, box: tuple[float, float, float, float] | None = None) -> Pixels:
    """Bilinear, with the kernel widened where it shrinks, so that fine detail is averaged and not aliased.

    picture: float32 (H, W); shape: (height, width) wanted; box: the part of the picture to show, (top, left, bottom,
    right) in pixels, whole by default. Areas are mapped, not pixel centres: the outer edges stay where they are.
    """
    image = Image.fromarray(np.ascontiguousarray(picture, dtype=np.float32))
    part = box and (box[1], box[0], box[3], box[2])
    return np.array(image.resize(shape[::-1], Image.Resampling.BILINEAR, box=part), dtype=np.float32)


def percentiles(values: Pixels, shares: Sequence[float]) -> list[float]:
    """Percentiles (shares in [0, 100]) of values of any shape, linear between ranks: as np.percentile, and faster."""
    ranked = np.sort(values, axis=None)
    found = []
    for share in shares:
        below, part = divmod(share / 100 * (ranked.size - 1), 1)
        low, high = ranked[int(below)], ranked[min(int(below) + 1, ranked.size - 1)]
        found.append(float(low) + part * (float(high) - float(low)))
    return found


def _stretch(contrast: Pixels) -> Pixels:
    """To [0, 1]; the square root brings a dim brain under bright scalp fat nearer to the fat than to air."""
    top = percentiles(contrast, (99,))[0] if contrast.size else 0
    if not 0 < top < np.inf:
        raise NoHeadError("nothing stands out from the background")
    stretched = contrast / np.float32(top)
    np.minimum(stretched, 1, out=stretched)
    np.sqrt(stretched, out=stretched)
    return stretched


def _solid(bright: Mask) -> Mask:
    """One solid region from the bright pixels of a SEARCH-sized picture."""
    reach = SEARCH // 16
    padded = np.pad(bright, reach)  # at the border of an array closing eats into what touches it
    # wide enough to bridge the dark skull between brain and scalp, so that the head is one piece, scalp included
    outside, _ = ndimage.label(~ndimage.binary_closing(padded, iterations=reach // 2))
    filled = outside != outside[0, 0]  # the padding is dark: what is not joined to its corner is the head or a hole
    # the head is solid by now: what a wide opening takes off are letters, rulers and straps beside it
    head = _largest(ndimage.binary_opening(filled, iterations=reach * 3 // 4))
    return np.asarray(ndimage.binary_dilation(head)[reach:-reach, reach:-reach], dtype=np.bool_)


def _largest(mask: Mask) -> Mask:
    labels, count = ndimage.label(mask)
    if not count:
        raise NoHeadError("no connected bright region")
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return np.asarray(labels == sizes.argmax(), dtype=np.bool_)
