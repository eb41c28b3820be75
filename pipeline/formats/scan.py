"""What every reader returns: a stack of slices in one display orientation, and the error that all readers raise."""

import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any, Final

import nibabel.orientations
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from data_contracts.manifest import PLANES

_orientations: Any = nibabel.orientations  # nibabel is typed in parts, and not in this one

MAX_PIXEL_RATIO: Final = 1.1  # a head drawn on pixels less square than this is visibly squeezed
MAX_STRETCH: Final = 8.0  # pixels less square than this hold no picture of a head along one side
SPACING_LIMITS_MM: Final = (0.01, 100.0)  # outside of these a header is wrong about its units or broken

# world axis (0 right, 1 anterior, 2 superior) that the slices of a plane are stacked along
STACKED_ALONG: Final = {"sagittal": 0, "coronal": 1, "axial": 2}
_PLANE_OF_AXIS: Final = {axis: plane for plane, axis in STACKED_ALONG.items()}
# families of loggers of libraries that log and warn with header text, which may name a patient
_TALKATIVE: Final = ("pydicom", "nibabel", "PIL", "tifffile")

# first match wins; a description is lower case with every other sign than letters, digits and * as one space
_SEQUENCE_WORDS: Final = (
    ("FLAIR", r"flair|\bfla\b|\btirm|dark fluid"),
    ("T1c", r"\bt1(c|ce|gd|wc|post)\b|(\bt1|mprage|spgr|bravo).*\b(gad|gd|post|ce|c|contrast)\b"),
    ("T1", r"\bt1|mprage|mp2rage|spgr|bravo"),
    ("T2", r"\bt2(?!star| ?\*| star)"),
)

_quiet: ContextVar[bool] = ContextVar("quiet", default=False)


class Unreadable(Exception):
    """A file that cannot be used, with the rule it broke. Neither text ever holds anything read from the source.

    Readers raise it `from None`: the decoder's own error may quote a header.
    """

    def __init__(self, rule: str, detail: str) -> None:
        super().__init__(f"{rule}: {detail}")
        self.rule = rule
        self.detail = detail


@dataclass(frozen=True)
class Note:
    """Something about a scan that is read all the same and that a person should know: a rule, and what was measured."""

    rule: str
    detail: str  # never holds anything read from the source but numbers


@dataclass(frozen=True)
class ScanFacts:
    """What file and header say beside the pixels, as `data_contracts.facts` allows it; None where they do not say."""

    coding: str
    bits: int | None = None
    channels: int | None = None
    manufacturer: str = "unknown"
    field_strength_t: float | None = None
    echo_time_ms: float | None = None
    repetition_time_ms: float | None = None
    inversion_time_ms: float | None = None
    flip_angle_deg: float | None = None


@dataclass(frozen=True)
class Scan:
    """One scan: a volume, or a single picture as a stack of one.

    slices: (Z, H, W) in native dtype, decoded, after rescale. Seen as a radiologist sees them:
      axial     inferior to superior; anterior at the top, patient's left on the viewer's right
      coronal   posterior to anterior; superior at the top, patient's left on the viewer's right
      sagittal  patient's left to right; superior at the top, anterior on the viewer's left
      unknown   as stored
    positions: float64 (Z,) in [0, 1], (index - 0.5) / n counted from 1 in the whole scan, None where unknown.
    spacing_mm: side of a pixel; slice_spacing_mm: distance of slice centres; None where unknown.
    affine: float64 (4, 4), index (slice, row, column) of `slices` to the voxel's centre in mm of RAS; between the first
    and the last slice as if they lay evenly. None where the file does not tell.
    raw_subject: the identifier as the source gives it; raw_attribute: the text of the header element that was asked
    for. For memory only: they must never be written, shown or logged.
    """

    slices: NDArray[Any]
    plane: str = "unknown"
    sequence: str = "unknown"
    spacing_mm: float | None = None
    slice_spacing_mm: float | None = None
    positions: NDArray[np.float64] | None = None
    affine: NDArray[np.float64] | None = None
    raw_subject: str | None = field(default=None, repr=False)
    raw_attribute: str | None = field(default=None, repr=False)
    facts: ScanFacts = ScanFacts(coding="unknown")
    notes: tuple[Note, ...] = ()


@contextmanager
def quiet() -> Iterator[None]:
    """Silence warnings and log lines of the decoding libraries: their texts quote headers.

    For the whole process, threads included. Inside another it does nothing and costs nothing.
    """
    if _quiet.get():
        yield
        return
    families = [logging.getLogger(name) for name in _TALKATIVE]
    # a family's switch does not reach its children, so each is switched off; one that is made meanwhile hands its
    # lines up to the family, where they end
    loggers = [logging.getLogger(n) for n in logging.root.manager.loggerDict if n.split(".")[0] in _TALKATIVE]
    before = [(logger, logger.disabled, logger.propagate) for logger in {*families, *loggers}]
    end = logging.NullHandler()
    token = _quiet.set(True)
    try:
        for logger, _, _ in before:
            logger.disabled = True
        for family in families:
            family.propagate = False
            family.addHandler(end)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        _quiet.reset(token)
        for family in families:
            family.removeHandler(end)
        for logger, disabled, propagate in before:
            logger.disabled, logger.propagate = disabled, propagate


def plane_of_axis(world_axis: int) -> str:
    """Plane whose slices are stacked along a world axis (0 right, 1 anterior, 2 superior)."""
    return _PLANE_OF_AXIS[world_axis]


def world_axes(affine: NDArray[np.float64]) -> list[int]:
    """World axis (0 right, 1 anterior, 2 superior) nearest to each voxel axis; raises Unreadable `orientation`."""
    if np.isfinite(affine).all() and abs(np.linalg.det(affine[:3, :3])) > 0:
        nearest = _orientations.io_orientation(affine)[:, 0]
        if np.isfinite(nearest).all():
            return [int(axis) for axis in nearest]
    raise Unreadable("orientation", "the header gives no usable orientation")


def to_display(voxels: NDArray[Any], affine: NDArray[np.float64], plane: str) -> NDArray[Any]:
    """Turn voxels into the display orientation of `plane`.

    voxels: (I, J, K); affine: (4, 4), voxel index to millimetres in RAS. Returns (Z, H, W) as in `Scan`.
    """
    canonical = _orientations.apply_orientation(
        voxels, _orientations.io_orientation(affine)
    )  # indices grow to the right, front and top
    stacked = STACKED_ALONG[plane]
    across, down = (axis for axis in range(3) if axis != stacked)
    # rows run from the top (front) down and columns from the viewer's left, so both run against the world axes
    return np.ascontiguousarray(canonical.transpose(stacked, down, across)[:, ::-1, ::-1])


def display_affine(shape: tuple[int, ...], affine: NDArray[np.float64], plane: str) -> NDArray[np.float64]:
    """Affine of what `to_display` gives, as in `Scan`; shape: (I, J, K) of the voxels, the rest as there."""
    turned = _orientations.io_orientation(affine)
    canonical = affine @ _orientations.inv_ornt_aff(turned, shape)
    counts = dict(zip(turned[:, 0].astype(int).tolist(), shape, strict=True))
    stacked = STACKED_ALONG[plane]
    across, down = (axis for axis in range(3) if axis != stacked)
    shown = np.zeros((4, 4))  # index (slice, row, column) to index that grows to the right, front and top
    shown[stacked, 0] = shown[3, 3] = 1
    for column, axis in ((1, down), (2, across)):
        shown[axis, column], shown[axis, 3] = -1, counts[axis] - 1
    return np.asarray(canonical @ shown, np.float64)


def displacement(
    affine: NDArray[np.float64], other: NDArray[np.float64], shape: tuple[int, ...]
) -> tuple[float, float]:
    """How far apart two affines put one stack (Z, H, W), at the corner where they differ most.

    Returns mm, and voxels of `affine` along the axis where those are most.
    """
    ends = [(0, n - 1) for n in shape]
    corners = np.array([(*corner, 1) for corner in product(*ends)], np.float64).T
    apart = ((other - affine) @ corners)[:3]
    voxels = np.linalg.solve(affine[:3, :3], apart)
    return float(np.linalg.norm(apart, axis=0).max()), float(np.abs(voxels).max())


def from_display(slices: NDArray[Any]) -> NDArray[Any]:
    """Axial (Z, H, W) in display orientation to (I, J, K) whose indices grow to the right, front and top."""
    return np.ascontiguousarray(slices[:, ::-1, ::-1].transpose(2, 1, 0))


def square_pixels(
    slices: NDArray[Any], rows_mm: float, columns_mm: float, *, labels: bool = False
) -> tuple[NDArray[Any], float]:
    """Slices (Z, H, W) on square pixels, and the side of a pixel in mm.

    rows_mm: distance of rows (down), columns_mm: of columns (across). Pixels that are nearly square stay as they are
    and count as squares of the same area; else the coarser axis is resampled to the finer spacing, linearly in
    float32, or to the nearest for `labels`. Raises Unreadable `pixels_not_square` beyond MAX_STRETCH.
    """
    ratio = max(rows_mm, columns_mm) / min(rows_mm, columns_mm)
    if ratio <= MAX_PIXEL_RATIO:
        return slices, float(np.sqrt(rows_mm * columns_mm))
    if not ratio <= MAX_STRETCH:
        raise Unreadable("pixels_not_square", f"sides differ {ratio:.2f}-fold, at most {MAX_STRETCH:g}")
    finer = min(rows_mm, columns_mm)
    values = slices if labels else slices.astype(np.float32)
    factors = (1.0, rows_mm / finer, columns_mm / finer)
    return ndimage.zoom(values, factors, order=0 if labels else 1, grid_mode=True, mode="nearest"), finer


def squared(scan: Scan, rows_mm: float, columns_mm: float, *, labels: bool = False) -> Scan:
    """The scan on square pixels, as `square_pixels` makes them, and where they lie then."""
    slices, spacing_mm = square_pixels(scan.slices, rows_mm, columns_mm, labels=labels)
    affine = scan.affine
    if affine is not None:  # the same box, cut into other counts: its outer edges stay where they are
        ratio = np.divide(scan.slices.shape, slices.shape)
        cut = np.diag([*ratio, 1.0])
        cut[:3, 3] = (ratio - 1) / 2
        affine = affine @ cut
    return replace(scan, slices=slices, spacing_mm=spacing_mm, affine=affine)


def even_positions(n: int) -> NDArray[np.float64] | None:
    """Relative positions of the n slices of a whole scan; None for a single slice, which says nothing of its height."""
    return (np.arange(n) + 0.5) / n if n > 1 else None


def guess_sequence(*texts: str) -> str:
    """One of SEQUENCES from the first text that tells (a description, a file name); the texts go no further."""
    for text in texts:
        words = " ".join(re.findall(r"[a-z]+[0-9]*[a-z]*\*?|[0-9]+", text.lower()))
        for sequence, pattern in _SEQUENCE_WORDS:
            if re.search(pattern, words):
                return sequence
    return "unknown"


def native_order(array: NDArray[Any]) -> NDArray[Any]:
    """The same values in this machine's byte order."""
    return array.astype(array.dtype.newbyteorder("="), copy=False)


assert set(STACKED_ALONG) < set(PLANES)  # noqa: S101 (the two tables must name the same planes)
