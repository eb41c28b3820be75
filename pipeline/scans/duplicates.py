"""Exact and near duplicates among any number of slices, and the groups that a split must never cut.

A slice is seen in three framings, because each alone misses copies: the whole picture (letters over the head do not
move it), the box around everything bright (undoes cropping and stretching), the head as normalisation cuts it (undoes
frames and letters beside it). Of each framing a perceptual hash keeps what is finer than a few pixels, since all heads
are the same ellipse, as the lowest frequencies of a cosine transform. Two slices are copies where one framing agrees.

Candidates come from locality-sensitive hashing with signs of random projections (Charikar, STOC 2002), whose buckets
are split until they are small, as in the LSH forest of Bawa, Condie and Ganesan (WWW 2005). Up to BUCKET slices there
is one bucket, so the search is exact.
"""

import hashlib
import math
from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.fft import dctn
from scipy.ndimage import gaussian_filter

from pipeline.scans.normalise import Measured

SIZE: Final = 48  # pixels a side of a framing
BAND: Final = 32  # frequencies a side that are kept; a slice of 32 pixels holds them all
FRAMINGS: Final = 3
FEATURES: Final = FRAMINGS * BAND * BAND
# Measured: the copies in brain_mri_253 agree by 0.928 or more in their best framing, its other pictures by 0.721 at
# most, slices of different patients of lgg_flair, mirrored or not, by 0.773. The spread of the latter (Fisher's z)
# puts the highest of the five thousand million pairs of 100,000 slices near 0.83.
AGREEMENT: Final = 0.85
BUCKET: Final = 2048  # slices that are compared all with all
# Measured: where two slices agree by about AGREEMENT, what is hashed of them (centred, the symmetric part) correlates
# by this or more nine times in ten. Such a pair is to share a bucket with probability RECALL; closer pairs always do.
HASHED_CORRELATION: Final = 0.8
RECALL: Final = 0.95
_BITS: Final = 24  # to split by; enough for BUCKET times 2 ** 24 slices
_ROWS: Final = 4096  # read at once where all slices are gone through: 24 MiB
_SYMMETRIC: Final = BAND * BAND // 2  # features of a framing that a mirror leaves alone; it turns the sign of the rest


def pixel_digest(pixels: NDArray[Any]) -> str:
    """Hex SHA-256 of decoded pixels (H, W) with their shape, whatever file they came in."""
    return hashlib.sha256(repr((pixels.shape, pixels.dtype.str)).encode() + pixels.tobytes()).hexdigest()


def features(pixels: NDArray[Any], *, head: Measured) -> NDArray[np.float16]:
    """All that the search for copies needs of a slice: float16 (FEATURES,), each framing of length 1.

    pixels: (H, W), any real dtype and unit. head: what `normalise.measure` found in them, its crop SIZE pixels a side.
    """
    low, high = np.percentile(pixels, (0.5, 99.5))
    whole = _stretched(pixels, float(low), float(high))
    crop = _stretched(head.crop, head.landmarks.low, head.landmarks.high)
    hashed = [_perceptual_hash(_resized(framing)) for framing in (whole, _bright_box(whole), crop)]
    return np.concatenate(hashed).astype(np.float16)


def near_duplicates(
    *, features: NDArray[np.float16], subjects: NDArray[np.int64], seed: int, agreement: float = AGREEMENT
) -> list[tuple[int, int]]:
    """Pairs (i, j), i < j, sorted, of slices that show one section: rescaled, recompressed, annotated or mirrored.

    features: (N, FEATURES) from `features`, may lie on disk: at most _ROWS of them are held at a time. subjects: (N,)
    code of the known subject, -1 where unknown: two slices of one known subject are never a pair, as neighbours look
    alike. agreement: in (0, 1], wanted of one framing. Slices that nobody owns and whose features are the same to the
    bit are paired with the first of them and what that is paired with: n files of one picture are n - 1 pairs.

    Among BUCKET different slices every pair is found; among more, one that just agrees with a probability of about
    RECALL, and a closer one almost surely. Time grows as about N ** 1.4, memory as N times a few numbers.
    """
    n = len(features)
    first = _first_of_equal(features, subjects)
    distinct = np.flatnonzero(first == np.arange(n))
    rng = np.random.default_rng(seed)
    found = np.empty(0, dtype=np.int64)
    for framing in range(FRAMINGS):
        for codes in _hashes(features, distinct, framing, rng):
            buckets = (_alike(features, distinct[bucket], framing, subjects, agreement) for bucket in _buckets(codes))
            found = np.unique(np.concatenate([found, *(i * n + j for pairs in buckets for i, j in pairs)]))
    return _with_repeated(first, [(int(pair) // n, int(pair) % n) for pair in found])


def tables_needed(n: int) -> int:
    """Hash tables by which two slices among n, correlated by HASHED_CORRELATION, share a bucket with prob. RECALL.

    A bit of both is equal with probability 1 - arccos(correlation) / pi (Charikar 2002), and a table needs all bits.
    """
    if n <= BUCKET:
        return 1
    bits = math.ceil(math.log2(n / BUCKET)) + 1  # and one more: buckets are uneven, the fuller are split further
    collide = (1 - math.acos(HASHED_CORRELATION) / math.pi) ** bits
    return math.ceil(math.log(1 - RECALL) / math.log(1 - collide))


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


def _stretched(values: NDArray[Any], low: float, high: float) -> NDArray[np.float32]:
    scaled = (values.astype(np.float32) - np.float32(low)) / np.float32(max(high - low, 1e-6))
    return np.asarray(np.clip(scaled, 0, 1), dtype=np.float32)


def _bright_box(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The part of (H, W) in [0, 1] between the first and last row and column that are bright."""
    bright = values > 0.1
    # a row or column belongs to the head where more than a letter or a speck of it is bright
    rows, columns = (np.flatnonzero(bright.mean(axis=axis) > 0.05) for axis in (1, 0))
    if len(rows) > 8 and len(columns) > 8:
        return values[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return values


def _resized(values: NDArray[np.float32]) -> NDArray[np.float32]:
    method = Image.Resampling.BOX if min(values.shape) >= SIZE else Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(values).resize((SIZE, SIZE), method), dtype=np.float32)


def _perceptual_hash(framing: NDArray[np.float32]) -> NDArray[np.float32]:
    """The low frequencies of the detail of (SIZE, SIZE) in [0, 1]: (BAND * BAND,), symmetric ones first, length 1.

    Detail is divided by its local strength (what lies between skull and air, the same ellipse in every head, would
    otherwise outweigh the brain), as in the local contrast normalisation of Jarrett et al., ICCV 2009.
    """
    fine = framing - gaussian_filter(framing, 0.75)
    strength = np.sqrt(gaussian_filter(fine**2, 1.5))
    detail = fine / (strength + 0.02)  # the addend keeps the noise of air small
    spectrum = dctn(detail, norm="ortho")[:BAND, :BAND]
    spectrum[0, 0] = 0  # brightness
    flat = np.concatenate([spectrum[:, ::2].ravel(), spectrum[:, 1::2].ravel()])
    return np.asarray(flat / max(float(np.linalg.norm(flat)), 1e-9), dtype=np.float32)


def _first_of_equal(features: NDArray[np.float16], subjects: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each slice the first slice of an unknown subject with the same features; itself where its owner is known."""
    seen: dict[bytes, int] = {}
    first = np.arange(len(features), dtype=np.int64)
    for start in range(0, len(features), _ROWS):
        for i, row in enumerate(features[start : start + _ROWS], start=start):
            if subjects[i] < 0:
                first[i] = seen.setdefault(hashlib.blake2b(row.tobytes(), digest_size=16).digest(), i)
    return first


def _with_repeated(first: NDArray[np.int64], pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Pairs of first slices, and of each repeated one with its first and with all that this is paired with."""
    repeated: dict[int, list[int]] = {}
    for copy in np.flatnonzero(first != np.arange(len(first))).tolist():
        repeated.setdefault(int(first[copy]), []).append(copy)
    found = [(i, copy) for i, copies in repeated.items() for copy in copies]
    for i, j in pairs:
        found += [(copy, j) for copy in repeated.get(i, ())] + [(i, copy) for copy in repeated.get(j, ())]
    return sorted((min(pair), max(pair)) for pair in pairs + found)


def _hashes(
    features: NDArray[np.float16], slices: NDArray[np.int64], framing: int, rng: np.random.Generator
) -> Iterator[NDArray[np.uint32]]:
    """For each table a code of _BITS bits for each of `slices`: signs of random projections of the symmetric part.

    A slice and its mirror have the same code. All heads are alike: their mean is taken off, which evens the buckets.
    """
    if len(slices) <= BUCKET:  # one bucket, whatever the codes
        yield np.zeros(len(slices), dtype=np.uint32)
        return
    tables = tables_needed(len(slices))
    columns = slice(framing * BAND * BAND, framing * BAND * BAND + _SYMMETRIC)
    sample = np.sort(rng.choice(slices, min(len(slices), _ROWS), replace=False))
    mean = features[sample, columns].mean(axis=0, dtype=np.float32)
    planes = rng.standard_normal((_SYMMETRIC, tables * _BITS), dtype=np.float32)
    codes = np.empty((tables, len(slices)), dtype=np.uint32)
    for start in range(0, len(slices), _ROWS):
        rows = slices[start : start + _ROWS]
        signs = (features[rows, columns] - mean) @ planes > 0
        codes[:, start : start + _ROWS] = (signs.reshape(len(rows), tables, _BITS) @ (1 << np.arange(_BITS))).T
    yield from codes


def _buckets(codes: NDArray[np.uint32]) -> Iterator[NDArray[np.int64]]:
    """Indices that share the leading bits of their codes, split bit by bit until at most BUCKET of them do."""
    order = np.argsort(codes, kind="stable")
    ordered = codes[order]
    ranges = [(0, len(codes), _BITS)]
    while ranges:
        start, stop, bits = ranges.pop()
        if stop - start <= BUCKET or not bits:
            yield order[start:stop]
            continue
        middle = start + int(np.searchsorted((ordered[start:stop] >> (bits - 1)) & 1, 1))
        ranges += [(start, middle, bits - 1), (middle, stop, bits - 1)]


def _alike(
    features: NDArray[np.float16],
    bucket: NDArray[np.int64],
    framing: int,
    subjects: NDArray[np.int64],
    agreement: float,
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Pairs (i, j), i < j, of a bucket that agree in one framing, as they are or mirrored; BUCKET by BUCKET at a time.

    With s and a the symmetric and the antisymmetric part, x correlates with y by s.s' + a.a' and with its mirror by
    s.s' - a.a', so that looking for mirrored copies costs nothing.
    """
    blocks = [bucket[start : start + BUCKET] for start in range(0, len(bucket), BUCKET)]
    for at, one in enumerate(blocks):
        x, x_odd = _halves(features, one, framing)
        for other in blocks[at:]:
            y, y_odd = (x, x_odd) if other is one else _halves(features, other, framing)
            alike = x @ y.T
            alike += np.abs(x_odd @ y_odd.T)
            i, j = (side[at] for side, at in zip((one, other), np.nonzero(alike >= agreement), strict=True))
            i, j = np.minimum(i, j), np.maximum(i, j)
            pairs = (i < j) & ((subjects[i] != subjects[j]) | (subjects[i] < 0))
            yield i[pairs], j[pairs]


def _halves(
    features: NDArray[np.float16], rows: NDArray[np.int64], framing: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    start = framing * BAND * BAND
    both = features[rows, start : start + BAND * BAND].astype(np.float32)
    return both[:, :_SYMMETRIC], both[:, _SYMMETRIC:]
