"""Where DICOM sections lie: their order along the normal, what is missing between them, and how they are shown.

Positions and orientations as in DICOM PS3.3 section C.7.6.2.1.1, turned into RAS.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pipeline.formats.dicom_pixels import MAX_SAMPLES
from pipeline.formats.scan import (
    SPACING_LIMITS_MM,
    STACKED_ALONG,
    Note,
    Scan,
    Unreadable,
    display_affine,
    even_positions,
    plane_of_axis,
    squared,
    to_display,
    world_axes,
)

GAP: Final = 1.5  # a step longer than this many usual steps means that slices are missing
UNEVEN: Final = 0.1  # share of the usual step by which a step may differ from it
MAX_SLIP: Final = 0.05  # sideways, a millimetre of step: 3 degrees between the stack's direction and its normal
ROUNDING_MM: Final = 0.1  # what headers round positions to, at worst
LOCALISER_SLICES: Final = 4  # fewer parallel slices than this, in several planes of one series, are for planning
_FARTHEST_MM: Final = 1e4  # no scanner is that large
_RAS: Final = np.diag([-1.0, -1.0, 1.0])  # DICOM's axes grow to the left, back and top


@dataclass(frozen=True)
class Place:
    """Where one section lies, as its header says; None where it does not say."""

    number: int  # of the section in its series, in the order the scanner made them
    position: NDArray[np.float64] | None = None  # (3,) mm, centre of the first pixel, in RAS
    axes: NDArray[np.float64] | None = None  # (2, 3) unit vectors in RAS: along a row, down a column
    spacing: tuple[float, float] | None = None  # (rows, columns) in mm
    slice_step: float | None = None  # stated distance of neighbouring sections in mm

    @property
    def stack_key(self) -> tuple[object, ...]:
        """Equal for sections that may lie in one stack: of one orientation, to half a degree, and pixel size."""
        tilt = () if self.axes is None else tuple(np.round(self.axes, 2).ravel().tolist())
        return tilt, None if self.spacing is None else tuple(np.round(self.spacing, 3).tolist())


def place(*, number: Any, position: Any, orientation: Any, spacing: Any, slice_step: Any) -> Place:
    """Place from the header's values, any of which may be None; raises ValueError or TypeError where they are text.

    Distances outside SPACING_LIMITS_MM count as not stated.
    """
    low, high = SPACING_LIMITS_MM
    axes, where = _vectors(orientation, 2), _vectors(position, 1)
    placed = axes is not None and where is not None and bool(np.linalg.norm(np.cross(axes[0], axes[1])) > 0.5)
    sides = [float(side) for side in spacing or ()]
    usable = len(sides) == 2 and all(low <= side <= high for side in sides)
    step = abs(float(slice_step or 0))
    return Place(
        number=int(number or 0),
        position=where[0] if where is not None and placed else None,
        axes=axes if placed else None,
        spacing=(sides[0], sides[1]) if usable else None,
        slice_step=step if low <= step <= high else None,
    )


def _vectors(values: Any, n: int) -> NDArray[np.float64] | None:
    """n vectors (n, 3) in RAS from a multi-valued element; None where it is missing or no place in a scanner."""
    if values is None or len(values) != 3 * n:
        return None
    vectors: NDArray[np.float64] = np.array([float(value) for value in values]).reshape(n, 3) @ _RAS
    return vectors if (np.abs(vectors) < _FARTHEST_MM).all() else None  # false for NaN too


def in_order(places: Sequence[Place], names: Sequence[str], sizes: Sequence[int]) -> tuple[list[int], list[int]]:
    """Indices of sections of one stack in the slice order of `Scan`, and of those left over.

    Along the normal, by number where a position is missing. A second section in the same place (a copy, a later time
    point) is left over: the lowest number stays, of equal ones the largest of `sizes`, for a copy may be cut short.
    `names` tell sections without a position apart.
    """
    placed = all(section.position is not None for section in places)
    numbered = sorted(range(len(places)), key=lambda i: (places[i].number, -sizes[i] if placed else 0))
    where: Sequence[float | str] = [names[i] for i in numbered]
    if placed:
        depths = _depths([places[i] for i in numbered]).round(2)  # a hundredth of a millimetre is one place
        order = np.argsort(depths, kind="stable")
        numbered, where = [numbered[i] for i in order], [float(depths[i]) for i in order]
    kept: list[int] = []
    left_over: list[int] = []
    seen: set[float | str] = set()
    for i, here in zip(numbered, where, strict=True):
        (left_over if here in seen else kept).append(i)
        seen.add(here)
    return kept, left_over


def is_localiser(places: Sequence[Place]) -> bool:
    """Whether the sections of one series are for planning: in several planes, few parallel ones in each."""
    counts: dict[object, int] = {}
    planes = set()
    for section in places:
        if section.axes is None:
            return False
        key = section.stack_key[0]
        if key not in counts:
            planes.add(plane_of_axis(_world_axes(section.axes)[2]))
        counts[key] = counts.get(key, 0) + 1
    return len(planes) > 1 and max(counts.values()) < LOCALISER_SLICES


def stack(pixels: Sequence[NDArray[Any]], places: Sequence[Place]) -> Scan:
    """Sections (H, W) of one stack, as `in_order` keeps them, as a Scan on square pixels.

    Plane, positions and spacing are unknown where the header does not tell them; notes say what is missing. Raises
    Unreadable `gantry_tilt`, `orientation`, `pixels_not_square`, `too_many_pixels`.
    """
    spacing = places[0].spacing
    stretch = max(spacing) / min(spacing) if spacing else 1.0  # what squaring may multiply the samples by
    samples = len(pixels) * pixels[0].size
    if samples * min(stretch, 8.0) > MAX_SAMPLES:
        raise Unreadable("too_many_pixels", f"{samples} in one scan, stretched {stretch:.1f}-fold")
    voxels = np.stack(pixels)
    axes = places[0].axes
    if axes is None or any(section.position is None for section in places):
        return _squared(Scan(slices=voxels), spacing)
    _refuse_tilt(places)
    affine = _affine(places)
    world = world_axes(affine)
    plane = plane_of_axis(world[2])
    lies = None if spacing is None else display_affine(voxels.shape[::-1], affine, plane)
    if spacing is not None:  # which side of a stored pixel runs down the shown picture, and which across
        across, down = (axis for axis in range(3) if axis != STACKED_ALONG[plane])
        side = {world[0]: spacing[1], world[1]: spacing[0]}
        spacing = (side[down], side[across])
    depths = _depths(places)
    positions, notes = layout(depths, step=_stated_step(depths, places))
    scan = Scan(
        slices=to_display(voxels.transpose(2, 1, 0), affine, plane),
        plane=plane,
        slice_spacing_mm=float(np.median(np.diff(depths))) if len(depths) > 1 else None,
        positions=positions,
        affine=lies,
        notes=notes,
    )
    return _squared(scan, spacing)


def layout(
    depths: NDArray[np.float64], *, step: float | None = None
) -> tuple[NDArray[np.float64] | None, tuple[Note, ...]]:
    """Relative positions (Z,) in the whole scan from ascending depths (Z,) in mm, and what is odd about them.

    step: usual distance of neighbours in mm, their median unless told. Steps longer than GAP of it count as so many
    missing slices. Where steps differ by more than UNEVEN, depths in mm decide. None for a single slice.
    """
    if len(depths) < 2:
        return None, ()
    steps = np.diff(depths)
    usual = step or float(np.median(steps))
    counted = np.where(steps > GAP * usual, np.rint(steps / usual), 1.0)
    index = np.concatenate([[0.0], np.cumsum(counted)])
    n = int(index[-1]) + 1
    notes = []
    if n > len(depths):
        notes.append(Note("missing_slices", f"{n - len(depths)} of {n} slices are missing"))
    single = steps / counted
    if np.abs(single - usual).max() > UNEVEN * usual + ROUNDING_MM:
        notes.append(Note("uneven_spacing", f"slices lie {single.min():.2f} to {single.max():.2f} mm apart"))
        return (depths - depths[0] + usual / 2) / (depths[-1] - depths[0] + usual), tuple(notes)
    return even_positions(n) if n == len(depths) else (index + 0.5) / n, tuple(notes)


def _stated_step(depths: NDArray[np.float64], places: Sequence[Place]) -> float | None:
    """The header's distance of neighbours, where the sections' numbers bear it out: every second slice may be gone."""
    stated = places[0].slice_step
    if stated is None:
        return None
    numbers = np.abs(np.diff([section.number for section in places]))
    return stated if np.array_equal(numbers, np.rint(np.diff(depths) / stated)) else None


def _squared(scan: Scan, spacing: tuple[float, float] | None) -> Scan:
    if spacing is None:
        low, high = SPACING_LIMITS_MM
        missing = Note("spacing_missing", f"the header states no pixel spacing from {low:g} to {high:g} mm")
        return replace(scan, notes=(*scan.notes, missing))
    return squared(scan, *spacing)


def _refuse_tilt(places: Sequence[Place]) -> None:
    """A sheared stack is no box of voxels: each section begins beside where the one below it does."""
    axes, first = places[0].axes, np.array([section.position for section in places])
    moves = np.diff(first, axis=0)
    slips = np.linalg.norm(moves @ np.array(axes).T, axis=1)
    allowed = MAX_SLIP * np.linalg.norm(moves, axis=1) + ROUNDING_MM
    if (slips > allowed).any():
        worst = int((slips - allowed).argmax())
        detail = f"a slice begins {slips[worst]:.2f} mm beside the one below, at most {allowed[worst]:.2f}"
        raise Unreadable("gantry_tilt", detail)


def _normal(axes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Unit normal (3,) that points along the world axis it is nearest to."""
    normal = np.cross(axes[0], axes[1])
    upward: NDArray[np.float64] = normal * np.sign(normal[np.abs(normal).argmax()]) / np.linalg.norm(normal)
    return upward


def _affine(places: Sequence[Place]) -> NDArray[np.float64]:
    """(4, 4) index of column, row and section of a stack to mm in RAS; in units of its own where a step is unknown."""
    first, last = places[0], places[-1]
    rows_mm, columns_mm = first.spacing or (1.0, 1.0)
    affine = np.eye(4)
    if first.axes is not None and first.position is not None and last.position is not None:
        up = _normal(first.axes) * (first.slice_step or max(rows_mm, columns_mm))
        if len(places) > 1:
            up = (last.position - first.position) / (len(places) - 1)
        affine[:3] = np.stack([first.axes[0] * columns_mm, first.axes[1] * rows_mm, up, first.position], axis=1)
    return affine


def _world_axes(axes: NDArray[np.float64]) -> list[int]:
    affine = np.eye(4)
    affine[:3, :3] = np.stack([*axes, _normal(axes)], axis=1)
    return world_axes(affine)


def _depths(places: Sequence[Place]) -> NDArray[np.float64]:
    axes = places[0].axes
    normal = _normal(axes if axes is not None else np.eye(3)[:2])
    return np.array([float(section.position @ normal) for section in places if section.position is not None])
