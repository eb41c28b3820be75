"""Exact and near duplicates, and the groups that a split must never cut."""

import hashlib
from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from pipeline.scans.normalise import NormaliseConfig, measure

THUMBNAIL: Final = 32
VIEW: Final = 48
DETAIL: Final = 128
# Measured: true copies on brain_mri_253 reach 0.86 or more at 32 px, and 0.77 or more in their detail at 128 px. Heads
# of different patients on lgg_flair pass the first test 107 times, as all heads are ellipses, and never reach more than
# 0.42 in the second; at 64 px the same bounds are 0.85 and 0.62.
THUMBNAIL_CORRELATION: Final = 0.85
DETAIL_CORRELATION: Final = 0.6
# Three roads, because each alone misses copies. Faint letters or a frame can shift the box around everything bright;
# then whole pictures still agree, or heads as normalisation cuts them. In these views the copies on brain_mri_253 that
# the first road misses reach 0.998, different patients on lgg_flair 0.94 at most.
VIEW_CORRELATION: Final = 0.97
_ROWS: Final = 1024  # thumbnails compared at a time: bounds memory at _ROWS x N numbers


def pixel_digest(pixels: NDArray[Any]) -> str:
    """Hex SHA-256 of decoded pixels (H, W) with their shape, whatever file they came in."""
    return hashlib.sha256(repr((pixels.shape, pixels.dtype.str)).encode() + pixels.tobytes()).hexdigest()


def thumbnail(pixels: NDArray[Any]) -> NDArray[np.float32]:
    """The head in 32 x 32 pixels, standardised to mean 0 and length 1: float32 (1024,)."""
    return _standardised(_head(pixels, THUMBNAIL))


def views(pixels: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The whole picture, and the head as normalisation cuts it, in 48 x 48 pixels each, standardised: float32 (2304,).

    Raises NoHeadError where nothing stands out from the background.
    """
    whole = _resized(pixels.astype(np.float32), VIEW)
    return _standardised(whole), _standardised(measure(pixels, NormaliseConfig(size=VIEW)).crop)


def detail(pixels: NDArray[Any], size: int) -> NDArray[np.float32]:
    """What is finer than a few pixels of the head at size x size, standardised: float32 (size * size,).

    Divided by its local strength (what lies between skull and air, the same ellipse in every head, would otherwise
    outweigh the brain), as in the local contrast normalisation of Jarrett et al., ICCV 2009.
    """
    head = _head(pixels, size)
    fine = head - gaussian_filter(head, 2.0)
    strength = np.sqrt(gaussian_filter(fine**2, 4.0))
    return _standardised(fine / (strength + 0.02))  # the addend keeps the noise of air small


def near_duplicates(
    *,
    thumbnails: NDArray[np.float32],
    wholes: NDArray[np.float32],
    heads: NDArray[np.float32],
    subjects: NDArray[np.int64],
    load: Callable[[int], NDArray[Any]],
    thumbnail_correlation: float = THUMBNAIL_CORRELATION,
    detail_correlation: float = DETAIL_CORRELATION,
) -> list[tuple[int, int]]:
    """Pairs (i, j), i < j, of slices that show the same section, rescaled, cropped, recompressed or annotated.

    thumbnails: (N, 1024) from `thumbnail`; wholes, heads: (N, 2304) from `views`; subjects: (N,) code of the known
    subject, -1 where unknown: two slices of one known subject are never a pair, as neighbours look alike. `load(i)`
    gives the pixels of slice i, asked only where thumbnails alone agree. Small slices show little detail to tell heads
    apart, so more of it must agree.
    """

    @lru_cache(maxsize=2048)
    def detail_of(i: int, size: int) -> NDArray[np.float32]:
        return detail(load(i), size)

    @lru_cache(maxsize=16384)
    def side_of(i: int) -> int:
        return int(min(load(i).shape))

    pairs = {pair for view in (wholes, heads) for pair in _candidates(view, subjects, VIEW_CORRELATION)}
    for i, j in set(_candidates(thumbnails, subjects, thumbnail_correlation)) - pairs:
        size = min(DETAIL, side_of(i), side_of(j))
        wanted = 1 - (1 - detail_correlation) * size / DETAIL
        if float(detail_of(i, size) @ detail_of(j, size)) >= wanted:
            pairs.add((i, j))
    return sorted(pairs)


def _candidates(
    thumbnails: NDArray[np.float32], subjects: NDArray[np.int64], correlation: float
) -> Iterable[tuple[int, int]]:
    for start in range(0, len(thumbnails), _ROWS):
        rows = slice(start, start + _ROWS)
        alike = thumbnails[rows] @ thumbnails[start:].T >= correlation
        alike &= (subjects[rows, None] != subjects[None, start:]) | (subjects[rows, None] < 0)
        for i, j in np.argwhere(np.triu(alike, 1)):
            yield int(i) + start, int(j) + start


def groups(n: int, links: Iterable[tuple[int, int]]) -> list[int]:
    """Connected components of n slices under `links`: for each slice the smallest index of its component."""
    parent = list(range(n))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for i, j in links:
        a, b = sorted((root(i), root(j)))
        parent[b] = a
    return [root(i) for i in range(n)]


def links_of_equal(keys: Sequence[Hashable | None]) -> list[tuple[int, int]]:
    """A link from the first index of each key to every later one; None links nothing."""
    first: dict[Hashable, int] = {}
    return [(first[key], i) for i, key in enumerate(keys) if key is not None and first.setdefault(key, i) != i]


def _head(pixels: NDArray[Any], size: int) -> NDArray[np.float32]:
    """The box around everything bright, resampled to size x size float32 in [0, 1]: undoes cropping and scaling."""
    values = pixels.astype(np.float32)
    low, high = np.percentile(values, (0.5, 99.5))
    values = np.clip((values - low) / max(float(high - low), 1e-6), 0.0, 1.0)
    bright = values > 0.1
    # a row or column belongs to the head where more than a letter or a speck of it is bright
    rows, columns = (np.flatnonzero(bright.mean(axis=axis) > 0.05) for axis in (1, 0))
    if len(rows) > 8 and len(columns) > 8:
        values = values[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return _resized(values, size)


def _resized(values: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    method = Image.Resampling.BOX if min(values.shape) >= size else Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(values).resize((size, size), method), dtype=np.float32)


def _standardised(values: NDArray[Any]) -> NDArray[np.float32]:
    flat = values.ravel() - values.mean()
    standard: NDArray[np.float32] = (flat / max(float(np.linalg.norm(flat)), 1e-9)).astype(np.float32)
    return standard
