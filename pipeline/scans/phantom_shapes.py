"""Signed distances to simple bodies, and band-limited noise, at any position in space: what a phantom is built of.

Points are float32 (3, M) in mm; everything returned is float32 (M,), distances in mm and positive inside.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
EDGE: Final = 2.0  # mm over which one tissue gives way to the next: partial volume, and the scanner's own blur


@dataclass(frozen=True)
class Blob:
    """An irregular ellipsoid: centre and half-axes, and how far (share of its size) its outline wanders."""

    centre: Array
    axes: Array
    roughness: float


def edge(distance: Array) -> Array:
    """Share of a point that is inside a surface, from its signed distance to it."""
    return np.asarray(np.clip(0.5 + distance / EDGE, 0, 1), dtype=np.float32)


def waves(points: Array, *, wavelength: float, rng: np.random.Generator, count: int = 8) -> tuple[Array, Array]:
    """A random field of unit variance around one wavelength, and the length of its gradient per mm.

    A sum of `count` plane waves in random directions: band-limited noise at any position, on no grid (Berry 1977).
    """
    direction = rng.normal(size=(count, 3))
    direction *= (
        2 * np.pi / (wavelength * rng.uniform(0.8, 1.25, (count, 1)) * np.linalg.norm(direction, axis=1)[:, None])
    )
    turns = direction.astype(np.float32)
    phase = np.tensordot(turns, points, axes=1) + rng.uniform(0, 2 * np.pi, (count, 1)).astype(np.float32)
    scale = np.float32(np.sqrt(2 / count))
    slope = np.tensordot(turns.T, np.sin(phase), axes=1) * scale
    return np.cos(phase).sum(axis=0) * scale, np.sqrt((slope**2).sum(axis=0))


def blob_distance(points: Array, blob: Blob, rng: np.random.Generator) -> Array:
    """Signed distance to the outline of a blob, roughly."""
    scaled = (points - blob.centre[:, None]) / blob.axes[:, None]
    size = float(blob.axes.mean())
    distance = 1 - np.sqrt((scaled**2).sum(axis=0))
    if blob.roughness:
        distance += blob.roughness * waves(points, wavelength=1.3 * size, rng=rng, count=12)[0]
    return np.asarray(distance * np.float32(size), dtype=np.float32)


def rod(points: Array, start: tuple[float, ...], end: tuple[float, ...], *, scale: float = 1.0) -> Array:
    """Signed distance to a rod between two points (x, y, z, radius)."""
    first, last = np.array(start, np.float32), np.array(end, np.float32)
    along = (last - first)[:3]
    share = np.clip(np.tensordot(along, points - first[:3, None], axes=1) / (along @ along), 0, 1)
    off = points - first[:3, None] - along[:, None] * share
    return np.asarray(
        scale * (first[3] + share * (last[3] - first[3])) - np.sqrt((off**2).sum(axis=0)), dtype=np.float32
    )


def ellipsoid(points: Array, centre: tuple[float, ...], axes: tuple[float, ...]) -> Array:
    """Signed distance to an ellipsoid, roughly."""
    half = np.array(axes, np.float32)[:, None]
    scaled = (points - np.array(centre, np.float32)[:, None]) / half
    return np.asarray((1 - np.sqrt((scaled**2).sum(axis=0))) * np.float32(min(axes)), dtype=np.float32)
