"""A feature space that can be read: grey values, shape, symmetry and texture of a head, each number with a name.

Textures are Haralick's co-occurrence (Haralick, Shanmugam and Dinstein 1973), local binary patterns (Ojala,
Pietikainen and Maenpaa 2002), edges at several scales and the slope of the spectrum (Field 1987). No column changes
where the image is mirrored.
"""

import hashlib
import json
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pipeline.evidence.features import require_shape

Grey = NDArray[np.uint8]  # (N, H, W)
Inside = NDArray[np.bool_]  # (N, H, W), the head
Floats = NDArray[np.float64]

VERSION: Final = 1  # counts up with every change of what a column means: digests of before and after must differ
SMALLEST: Final = 16
DARKEST: Final = 12  # of 255, mean of 3 x 3 pixels: what is brighter is head; backgrounds lie at 0 after normalisation
PERCENTILES: Final = (5, 25, 50, 75, 95)
ENTROPY_BINS: Final = 32
SCALES: Final = (1, 2, 4)  # pixels
LEVELS: Final = 16  # of grey in co-occurrences: with more, the pairs of a small head fill few of the cells
HARALICK: Final = ("contrast", "homogeneity", "energy", "correlation")
PATTERNS: Final = 10  # of eight neighbours: 0 to 8 brighter in one run, and all that come in several
ROUNDING: Final = (2 / 255) ** 2 / 12  # variance of rounding [-1, 1] to eight bits: nothing is measured below it
NAMES: Final = (
    *(f"grey p{share}" for share in PERCENTILES),
    "grey mean",
    "grey deviation",
    "grey skewness",
    "grey entropy",
    "head area",
    "head aspect",
    "asymmetry",
    *(f"edges {scale} px" for scale in SCALES),
    *(f"co-occurrence {what} {scale} px" for scale in SCALES for what in HARALICK),
    *(f"pattern {kind}" for kind in ("peak", *(f"run of {n}" for n in range(1, 8)), "pit or flat", "broken")),
    "spectrum slope",
    "spectrum high share",
)
NEIGHBOURS: Final = ((-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1))  # once around


class TextureFeatures:
    """Interpretable features; `names` says what each column is. Nothing is fitted and nothing is drawn.

    Greys are rounded to eight bits first: synthetic images come out of files of eight bits, and a comparison of
    textures must not find the file. Where nothing is brighter than the background the whole frame counts as head.
    """

    name: Final = "texture"
    names: Final = NAMES
    smallest: Final = SMALLEST

    @property
    def digest(self) -> str:
        """Hex SHA-256 of the columns and what they are measured with."""
        told = [VERSION, NAMES, DARKEST, ENTROPY_BINS, SCALES, LEVELS]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()

    def extract(self, images: NDArray[np.float32], *, batch_size: int = 64) -> NDArray[np.float32]:
        """Features of images, each column in its own unit: see `standardise`.

        images: float32 (N, 1, H, W) in [-1, 1], H and W at least 16. Returns float32 (N, 39), finite also for blank
        images. Raises ValueError on another shape and on values that are not finite.
        """
        require_shape(images, smallest=SMALLEST)
        if not np.isfinite(images).all():
            raise ValueError("images hold values that are not finite")
        found = np.empty((len(images), len(NAMES)), np.float32)
        for start in range(0, len(images), batch_size):
            grey = np.rint((np.clip(images[start : start + batch_size, 0], -1, 1) + 1) * 127.5).astype(np.uint8)
            found[start : start + len(grey)] = _features(grey)
        return found


def _features(grey: Grey) -> Floats:
    seen = find_head(grey)
    inside = seen | ~seen.any((1, 2), keepdims=True)
    columns = [
        _grey_values(grey, inside),
        _shape(seen),
        _asymmetry(grey, inside)[:, None],
        np.stack([_edges(grey, inside, scale) for scale in SCALES], axis=1),
        *(haralick(cooccurrence(grey // (256 // LEVELS), inside, scale, LEVELS)) for scale in SCALES),
        local_patterns(grey, inside),
        _spectrum(grey),
    ]
    return np.concatenate(columns, axis=1)


def find_head(grey: Grey) -> Inside:
    """What is brighter than the background, with its holes: dark pixels that have bright ones on all four sides.

    grey: uint8 (N, H, W). A mean of 3 x 3 decides, so that single bright pixels of a noisy background do not.
    """
    bright = _box_mean(np.pad(grey, ((0, 0), (1, 1), (1, 1)), mode="edge"), 3) > DARKEST
    within = np.ones_like(bright)
    for axis in (1, 2):
        before = np.logical_or.accumulate(bright, axis)
        after = np.flip(np.logical_or.accumulate(np.flip(bright, axis), axis), axis)
        within &= before & after
    return within


def _grey_values(grey: Grey, inside: Inside) -> Floats:
    """Percentiles, mean and deviation in [-1, 1], skewness, and entropy in bits, of the pixels of the head: (N, 9)."""
    n = len(grey)
    codes = (np.arange(n)[:, None, None] * 256 + grey)[inside]
    counts = np.bincount(codes, minlength=n * 256).reshape(n, 256)
    p = counts / counts.sum(1, keepdims=True)
    values = np.arange(256) / 127.5 - 1
    below = counts.cumsum(1)  # in whole numbers, that a share that is just reached is
    percentiles = [values[(100 * below >= share * below[:, -1:]).argmax(1)] for share in PERCENTILES]
    mean = p @ values
    from_mean = values - mean[:, None]
    variance = (p * from_mean**2).sum(1)
    skewness = (p * from_mean**3).sum(1) / np.maximum(variance, ROUNDING) ** 1.5
    binned = p.reshape(n, ENTROPY_BINS, -1).sum(2)
    entropy = -(binned * np.log2(np.where(binned > 0, binned, 1))).sum(1)
    return np.stack([*percentiles, mean, np.sqrt(variance), skewness, entropy], axis=1)


def _shape(seen: Inside) -> Floats:
    """Share of the frame that is head, and the natural logarithm of its height over its width: (N, 2).

    Height and width are deviations of the head's pixels; the twelfth is the variance inside one pixel, without which
    a single row would have no height.
    """
    total = np.maximum(seen.sum((1, 2)), 1)
    spreads = []
    for along, across in ((1, 2), (2, 1)):
        counts = seen.sum(across)
        place = np.arange(seen.shape[along])
        mean = counts @ place / total
        spreads.append((counts * (place - mean[:, None]) ** 2).sum(1) / total + 1 / 12)
    return np.stack([seen.mean((1, 2)), np.log(spreads[0] / spreads[1]) / 2], axis=1)


def _asymmetry(grey: Grey, inside: Inside) -> Floats:
    """Mean absolute difference between the image and its mirror, in the head or its mirror: (N,) in [0, 2]."""
    either = inside | inside[:, :, ::-1]
    apart = np.abs(grey.astype(np.int16) - grey[:, :, ::-1])
    return np.asarray((apart * either).sum((1, 2)) / either.sum((1, 2)) / 127.5)


def _edges(grey: Grey, inside: Inside, scale: int) -> Floats:
    """Root mean square of the step between neighbouring squares of `scale` pixels, across and down: (N,) in [0, 2].

    Every pair of squares counts by how much of both is head.
    """
    mean, weight = _box_mean(grey, scale) / 127.5, _box_mean(inside, scale)
    energy, total = np.zeros(len(grey)), np.zeros(len(grey))
    for here, there in ((np.s_[:, scale:], np.s_[:, :-scale]), (np.s_[:, :, scale:], np.s_[:, :, :-scale])):
        both = weight[here] * weight[there]
        energy += (both * (mean[here] - mean[there]) ** 2).sum((1, 2))
        total += both.sum((1, 2))
    return np.sqrt(np.divide(energy, total, out=np.zeros_like(energy), where=total > 0))


def _box_mean(values: Grey | Inside, side: int) -> Floats:
    """Means of all squares of `side` pixels, by sums of whole numbers: (N, H - side + 1, W - side + 1)."""
    sums = np.pad(values.astype(np.int64), ((0, 0), (1, 0), (1, 0))).cumsum(1).cumsum(2)
    lower = sums[:, side:, side:] - sums[:, side:, :-side]
    return np.asarray((lower - sums[:, :-side, side:] + sums[:, :-side, :-side]) / side**2)


def cooccurrence(levels: Grey, inside: Inside, distance: int, n_levels: int) -> Floats:
    """How often two greys lie `distance` apart, in both orders and all four directions (Haralick et al. 1973, III).

    levels: uint8 (N, H, W) in [0, n_levels). Only pairs inside the head count. Returns shares (N, n_levels, n_levels)
    that sum to 1; where there is no pair, all of it stands in the first cell, as in an image of one grey.
    """
    n, height, width = levels.shape
    codes = np.arange(n, dtype=np.int64)[:, None, None] * n_levels**2 + levels
    counts = np.zeros(n * n_levels**2, np.int64)
    for down, right in ((0, distance), (distance, 0), (distance, distance), (distance, -distance)):
        here = np.s_[:, : height - down, max(0, -right) : width - max(0, right)]
        there = np.s_[:, down:, max(0, right) : width + min(0, right)]
        pairs = (codes[here] + levels[there].astype(np.int64) * n_levels)[inside[here] & inside[there]]
        counts += np.bincount(pairs, minlength=len(counts))
    both = counts.reshape(n, n_levels, n_levels)
    both = both + both.transpose(0, 2, 1)
    both[:, 0, 0] += both.sum((1, 2)) == 0
    return np.asarray(both / both.sum((1, 2), keepdims=True))


def haralick(p: Floats) -> Floats:
    """Contrast, homogeneity, energy and correlation of symmetric co-occurrences (N, L, L) that sum to 1: (N, 4).

    Sums of p (i - j)^2 and of p / (1 + (i - j)^2), the root of the sum of p^2, and the correlation of i with j, which
    is 1 where there is one grey only. Haralick et al. 1973, appendix, f2, f5, root of f1, f3.
    """
    i = np.arange(p.shape[1])
    apart = (i[:, None] - i) ** 2
    contrast, homogeneity = (p * apart).sum((1, 2)), (p / (1 + apart)).sum((1, 2))
    energy = np.sqrt((p**2).sum((1, 2)))
    one = p.sum(2)
    variance = one @ i**2 - (one @ i) ** 2
    # of a symmetric p: E(i - j)^2 = 2 var - 2 cov
    varies = variance > 1e-9
    correlation = np.where(varies, 1 - contrast / np.where(varies, 2 * variance, 1), 1.0)
    return np.stack([contrast, homogeneity, energy, correlation], axis=1)


def _pattern_of_code() -> NDArray[np.int64]:
    """Pattern of each of the 256 sets of neighbours: how many belong, or the last where they come in several runs."""
    bits = (np.arange(256)[:, None] >> np.arange(8)) & 1
    changes = (bits != np.roll(bits, 1, axis=1)).sum(1)
    return np.asarray(np.where(changes <= 2, bits.sum(1), PATTERNS - 1))


PATTERN_OF_CODE: Final = _pattern_of_code()


def local_patterns(grey: Grey, inside: Inside) -> Floats:
    """Shares (N, 10) of the rotation-invariant uniform patterns of eight neighbours, around pixels of the head.

    A neighbour belongs where it is at least as bright as the pixel; 0 of them belong around a peak, 8 around a pit or
    on flat ground (Ojala et al. 2002, LBP_8^riu2 with the square's corners as they are). Zeros where no pixel of the
    head has all its neighbours in the frame.
    """
    n, height, width = grey.shape
    centre = grey[:, 1:-1, 1:-1]
    code = np.zeros(centre.shape, np.uint8)
    for bit, (down, right) in enumerate(NEIGHBOURS):
        neighbour = grey[:, 1 + down : height - 1 + down, 1 + right : width - 1 + right]
        code |= (neighbour >= centre).astype(np.uint8) << bit
    patterns = (PATTERN_OF_CODE[code] + np.arange(n)[:, None, None] * PATTERNS)[inside[:, 1:-1, 1:-1]]
    counts = np.bincount(patterns, minlength=n * PATTERNS).reshape(n, PATTERNS)
    return np.asarray(counts / np.maximum(counts.sum(1, keepdims=True), 1))


def _spectrum(grey: Grey) -> Floats:
    """Slope of log10 power against log10 frequency, and log10 of the share of power above 1/4 cycle a pixel: (N, 2).

    The share is told as a multiple of what noise has there. Power is averaged over rings of the windowed frame's
    spectrum; natural images fall with a slope near -2 (Field 1987), noise and an image of one grey have 0 in both.
    """
    n, height, width = grey.shape
    window = np.hanning(height + 2)[1:-1, None] * np.hanning(width + 2)[1:-1]
    floor = ROUNDING * (window**2).sum()
    x = grey / 127.5 - 1
    mean = (x * window).sum((1, 2), keepdims=True) / window.sum()
    power = np.abs(np.fft.rfft2((x - mean) * window)) ** 2 + floor
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))
    twice = np.full(frequency.shape, 2.0)  # half of the plane stands for the other, but for its outermost columns
    twice[:, 0] = 1
    twice[:, -1] = 1 + width % 2
    ring = np.rint(frequency * min(height, width)).astype(int)
    ring[ring > min(height, width) // 2] = 0  # the corners are not seen in every direction
    rings = np.arange(2, min(height, width) // 2 + 1)  # the first is the window's own
    of_ring = (ring.ravel() == rings[:, None]) * twice.ravel()
    means = power.reshape(n, -1) @ (of_ring / of_ring.sum(1, keepdims=True)).T
    along = np.log10(rings) - np.log10(rings).mean()
    slope = np.log10(means) @ along / (along @ along)
    counted = twice * (frequency > 0)
    high = (power * counted * (frequency > 0.25)).sum((1, 2)) / (power * counted).sum((1, 2))
    in_noise = (counted * (frequency > 0.25)).sum() / counted.sum()  # what an image of one grey would have
    return np.stack([slope, np.log10(high / in_noise)], axis=1)
