"""The square of a slice that a normalised image shows: laid around the head, cut out, and put back."""

from dataclasses import dataclass
from math import ceil, floor
from typing import Final

import numpy as np

from pipeline.scans.head import Mask, Pixels, resize

MARGIN: Final = 0.03  # background kept on each side of the head, as a share of its longer side


class FrameError(ValueError):
    """A slice that cannot be put on the wanted spacing: the rule it breaks, and what was measured."""

    def __init__(self, rule: str, detail: str) -> None:
        super().__init__(f"{rule}: {detail}")
        self.rule = rule
        self.detail = detail


@dataclass(frozen=True)
class Geometry:
    """A square of `side` pixels at (`top`, `left`) of a slice of `height` x `width` pixels; it may reach outside.

    Pixel i reaches from i to i + 1. A square of so many millimetres has its edges anywhere within a pixel.
    """

    height: int
    width: int
    top: float
    left: float
    side: float


def box_around(head: Mask) -> Geometry:
    """The bounding box of a head, bool (H, W), with its margin, as a square around the same centre."""
    rows, columns = extent(head)
    side = max(rows.stop - rows.start, columns.stop - columns.start)
    side += 2 * max(1, round(MARGIN * side))
    top = (rows.start + rows.stop - side) // 2  # whole pixels: nothing is blurred that need not be
    left = (columns.start + columns.stop - side) // 2
    return Geometry(height=head.shape[0], width=head.shape[1], top=top, left=left, side=side)


def millimetres_around(head: Mask, *, side_mm: float, pixel_mm: float | None) -> Geometry:
    """A square of side_mm around the centre of the bounding box of a head, bool (H, W) with pixels of pixel_mm.

    Raises FrameError `spacing_unknown`, or `head_too_large` where the box does not fit in the square.
    """
    if pixel_mm is None or not 0 < pixel_mm < np.inf:
        raise FrameError("spacing_unknown", f"a frame of {side_mm:.1f} mm needs the side of a pixel in mm")
    rows, columns = extent(head)
    longest_mm = max(rows.stop - rows.start, columns.stop - columns.start) * pixel_mm
    if longest_mm > side_mm:
        raise FrameError("head_too_large", f"the head measures {longest_mm:.1f} mm, the frame {side_mm:.1f} mm")
    side = side_mm / pixel_mm
    top, left = (rows.start + rows.stop - side) / 2, (columns.start + columns.stop - side) / 2
    return Geometry(height=head.shape[0], width=head.shape[1], top=top, left=left, side=side)


def cut_out(slice_: Pixels, geometry: Geometry, *, size: int, fill: float) -> Pixels:
    """What the square shows, resampled: float32 (H, W) -> (size, size), `fill` where it reaches outside the slice."""
    top, left, side = geometry.top, geometry.left, geometry.side
    return _resample(slice_, (top, left, top + side, left + side), (size, size), fill=fill)


def put_back(square: Pixels, geometry: Geometry, *, fill: float) -> Pixels:
    """The inverse of `cut_out` but for detail: float32 (size, size) -> (H, W), `fill` outside the square."""
    whole = np.full((geometry.height, geometry.width), fill, dtype=np.float32)
    # the whole pixels of the slice that the square touches, as a box in pixels of the square
    first_row, first_column = max(0, floor(geometry.top)), max(0, floor(geometry.left))
    last_row = min(geometry.height, ceil(geometry.top + geometry.side))
    last_column = min(geometry.width, ceil(geometry.left + geometry.side))
    scale = len(square) / geometry.side
    rows = ((first_row - geometry.top) * scale, (last_row - geometry.top) * scale)
    columns = ((first_column - geometry.left) * scale, (last_column - geometry.left) * scale)
    shape = (last_row - first_row, last_column - first_column)
    box = (rows[0], columns[0], rows[1], columns[1])
    whole[first_row:last_row, first_column:last_column] = _resample(square, box, shape, fill=fill)
    return whole


def extent(head: Mask) -> tuple[slice, slice]:
    """Rows and columns of the bounding box of a mask, bool (H, W), that is not empty."""
    rows, columns = (np.flatnonzero(head.any(axis=axis)) for axis in (1, 0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _resample(
    picture: Pixels, box: tuple[float, float, float, float], shape: tuple[int, int], *, fill: float
) -> Pixels:
    """A box (top, left, bottom, right) of a picture in shape pixels; the box may reach outside, onto `fill`."""
    first_row, first_column = floor(box[0]), floor(box[1])
    height, width = ceil(box[2]) - first_row, ceil(box[3]) - first_column
    whole = np.full((height, width), fill, dtype=np.float32)
    rows = slice(max(first_row, 0), min(first_row + height, picture.shape[0]))
    columns = slice(max(first_column, 0), min(first_column + width, picture.shape[1]))
    whole[
        rows.start - first_row : rows.stop - first_row, columns.start - first_column : columns.stop - first_column
    ] = picture[rows, columns]
    inner = (box[0] - first_row, box[1] - first_column, box[2] - first_row, box[3] - first_column)
    return resize(whole, shape, box=inner)
