"""Lesions that were drawn by hand: boxes and polygons in the table `regions.csv` of a source."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final

import numpy as np
from numpy.typing import NDArray

from data_contracts.violations import ContractError, Violation, require
from pipeline.formats.scan import Unreadable
from pipeline.scans.tables import read_cells, row_name

REGIONS: Final = "regions.csv"
BOX: Final = ("x0", "y0", "x1", "y1")
FEWEST_CORNERS: Final = 3

Mask = NDArray[np.uint8]


@dataclass(frozen=True)
class Region:
    """One drawn outline.

    row: of the table, as a spreadsheet counts. corners: float64 (C, 2), x and y in pixels of the picture as displayed;
    pixel i reaches from i to i + 1. z: slice of a volume from 0, None where the table names none.
    """

    row: str
    corners: NDArray[np.float64] = field(repr=False)
    z: int | None = None


Regions = Mapping[PurePosixPath, tuple[Region, ...]]  # by the path of the file below the source


def read_regions(source: Path) -> dict[PurePosixPath, tuple[Region, ...]]:
    """The regions of each file of a source folder by its `regions.csv`; empty where it has none.

    Columns: `file`, relative to the source; a box as `x0`, `y0`, `x1`, `y1`, or `polygon` as "x,y x,y x,y ..."; and,
    of volumes, `z`, the slice from 1 as in the ids of slices. Comma, semicolon or tab. Raises ContractError with every
    fault of the table by its row (the header is row 1); nothing of a row is quoted.
    """
    path = source / REGIONS
    if not path.is_file():
        return {}
    table = read_cells(path)
    boxes, polygons = set(BOX) <= set(table.columns), "polygon" in table
    if "file" not in table or not (boxes or polygons):
        wanted = f"needs the column file and either {', '.join(BOX)} or polygon"
        raise ContractError([Violation(REGIONS, "no_column", wanted)])
    found: dict[PurePosixPath, list[Region]] = defaultdict(list)
    faults = []
    for i, cells in enumerate(table.to_dict("records")):
        told = {str(column): str(cell) for column, cell in cells.items()}
        row = row_name(i)
        if not any(told.values()):
            continue  # a spreadsheet leaves blank rows behind
        try:
            region = Region(row, _corners(told), _slice(told.get("z", "")))
            found[_placed(told["file"])].append(region)
        except ValueError as error:
            faults.append(Violation(row, "region", str(error)))
    require(faults)
    return {file: tuple(regions) for file, regions in found.items()}


def check_files(regions: Regions, known: Iterable[PurePosixPath]) -> None:
    """Raise ContractError with every row that names none of the `known` files."""
    unknown = regions.keys() - set(known)
    rows = sorted(region.row for file in unknown for region in regions[file])
    require(Violation(row, "unknown_file", "names no file of this source") for row in rows)


def draw(regions: Sequence[Region], shape: tuple[int, int, int]) -> dict[int, Mask]:
    """The mask of each slice in which something is drawn: uint8 (H, W) in {0, 1} by its index from 0.

    shape: (Z, H, W) of the scan. A pixel is inside where its middle is, by the even-odd rule; several regions of a
    slice are united. Raises Unreadable `mask_region` with every row that reaches outside of the picture or the volume,
    names no slice of several, or holds the middle of no pixel.
    """
    depth, height, width = shape
    masks: dict[int, Mask] = {}
    faults = []
    for region in regions:
        z = 0 if region.z is None else region.z
        low, high = region.corners.min(0), region.corners.max(0)
        if region.z is None and depth > 1:
            faults.append(f"{region.row} names no slice of {depth}")
        elif z >= depth:
            faults.append(f"{region.row} lies outside of the {depth} slices")
        elif (low < 0).any() or high[0] > width or high[1] > height:
            faults.append(f"{region.row} reaches outside of the picture of {width} x {height} pixels")
        else:
            inside = _inside(region.corners, height, width)
            if not inside.any():
                faults.append(f"{region.row} holds the middle of no pixel")
            masks[z] = masks.get(z, np.zeros((height, width), np.uint8)) | inside
    if faults:
        raise Unreadable("mask_region", "; ".join(faults))
    return masks


def _inside(corners: NDArray[np.float64], height: int, width: int) -> Mask:
    """Pixels whose middle has an odd number of edges to its left."""
    x, y = np.arange(width)[None] + 0.5, np.arange(height)[:, None] + 0.5
    odd = np.zeros((height, width), np.bool_)
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if y0 != y1:
            odd ^= ((y0 <= y) != (y1 <= y)) & (x0 + (y - y0) * (x1 - x0) / (y1 - y0) <= x)
    return odd.astype(np.uint8)


def _corners(cells: Mapping[str, str]) -> NDArray[np.float64]:
    box, polygon = [cells.get(name, "") for name in BOX], cells.get("polygon", "")
    if bool(polygon) == any(box):
        raise ValueError("must hold a box or a polygon, and not both")
    if polygon:
        pairs = [corner.split(",") for corner in polygon.split()]
        if any(len(pair) != 2 for pair in pairs):
            raise ValueError("a polygon is written as x,y x,y x,y with spaces between its corners")
        corners = np.array([[_number(part) for part in pair] for pair in pairs])
        if len(corners) < FEWEST_CORNERS:
            raise ValueError(f"a polygon of {len(corners)} corners, want {FEWEST_CORNERS} or more")
        return corners
    x0, y0, x1, y1 = map(_number, box)
    if not (x0 < x1 and y0 < y1):
        raise ValueError("a box needs x0 below x1 and y0 below y1")
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])


def _number(cell: str) -> float:
    try:
        number = float(cell)
    except ValueError:
        number = np.nan
    if not np.isfinite(number):
        raise ValueError("holds what is not a number") from None
    return number


def _slice(cell: str) -> int | None:
    if not cell:
        return None
    number = _number(cell)
    if number < 1 or not number.is_integer():
        raise ValueError("z is no whole number from 1")
    return int(number) - 1


def _placed(cell: str) -> PurePosixPath:
    if not cell:
        raise ValueError("names no file")
    return PurePosixPath(cell.replace("\\", "/"))
