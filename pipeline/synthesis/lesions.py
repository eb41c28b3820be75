"""Lesions moved between heads, by geometry alone: where one may lie, real ones pasted in, mirrored tissue pasted over.

No network. Pasting real lesions into other slices follows TumorCP (Yang et al. 2021, MICCAI) and CarveMix (Zhang et al.
2021, arXiv 2108.06883); the other hemisphere laid over a lesion is its counterpart for the other diagnosis. It is the
baseline that painted slices must beat, and it proposes the masks that painters fill. Everything that is drawn follows
the training part: shapes, sizes and places of its lesions, and how near to the edge of a head they come.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, signal, stats

from data_contracts.manifest import NO_TUMOUR, TUMOUR

AIR: Final = -0.9  # smoothed grey up to which a pixel is air
RIM_QUANTILE: Final = 0.1  # of the training lesions' depths: the outermost may lie where their mask met the skull
EDGE: Final = 1 / 32  # width of the soft edge, as a share of the image's side
TRIES: Final = 8
NEAR: Final = 0.03  # a place that is moved by no more of the head's diameter is as good as the one wanted
JITTER: Final = 0.03  # standard deviation of a place, as a share of the head's box
TURN: Final = np.deg2rad(20.0)  # at most: a lesion keeps its side to the skull and to the midline
STRETCH: Final = 0.15  # at most, of the logarithm of the length
HEIGHT_REACH: Final = (
    0.08  # of relative positions: from how near a slice a lesion's shape is taken, where heights are known
)
MAX_RATIO: Final = 1.5  # between the brightness of two heads; beyond it is no exposure
# standard deviations of what varies where one slice is changed twice: the mirror's angle, its place as a share of the
# head's diameter, and the logarithm of the brightness of what is laid over
AXIS_TURN: Final = np.deg2rad(1.0)
AXIS_SHIFT: Final = 0.01
GREY: Final = 0.03
MAX_CROSSING: Final = 0.25  # of a lesion that has its mirror in itself: the other side shows no healthy tissue there
Images = NDArray[np.float32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Lesion:
    """One lesion as part of its head: what proposed ones must have in common with those of the training part.

    area: over the head's. row, column: of its centre in the head's box, 0 to 1. depth: least distance of its pixels
    from the head's edge, and diameter: of the head, in pixels (square root of its area). grey: mean brightness over the
    median of the healthy tissue; brightness is image + 1, so that air has none.
    """

    area: float
    row: float
    column: float
    depth: float
    diameter: float
    grey: float


@dataclass(frozen=True, eq=False)
class LesionBank:
    """Real slices of one training part, those with a lesion mask and those without a tumour. Made by `lesion_bank`.

    tumour float32 (N, 1, S, S) and no_tumour (M, 1, S, S) in [-1, 1], air -1; masks bool (N, S, S), none empty; groups
    by slice; positions: relative height in the scan, NaN where unknown; rows: where each slice stood in what the bank
    was made of. whole: masks hold all of each lesion, as given ones do. Of a lesion that was only found a part may lie
    outside: such slices never become slices without a tumour, which are made of slices without one then.
    """

    tumour: Images
    masks: Mask
    tumour_groups: tuple[str, ...]
    tumour_positions: NDArray[np.float64]
    tumour_rows: NDArray[np.int64]
    no_tumour: Images
    no_tumour_groups: tuple[str, ...]
    no_tumour_positions: NDArray[np.float64]
    no_tumour_rows: NDArray[np.int64]
    whole: bool = True

    @cached_property
    def lesions(self) -> tuple[Lesion, ...]:
        """Each training lesion in numbers."""
        return tuple(describe(image, mask) for image, mask in zip(self.tumour, self.masks, strict=True))

    @cached_property
    def rim(self) -> float:
        """Depth that all but the outermost training lesions keep, as a share of the head's diameter."""
        return float(np.quantile([one.depth / one.diameter for one in self.lesions], RIM_QUANTILE))

    @cached_property
    def crossing(self) -> NDArray[np.float64]:
        """(N,) share of each training lesion that the head's midline mirrors onto the lesion itself."""
        found = (
            (mask & _mirrored_mask(mask, midline(head_of(image)))).sum() / mask.sum()
            for image, mask in zip(self.tumour, self.masks, strict=True)
        )
        return np.fromiter(found, np.float64, len(self.masks))


class Proposal(NamedTuple):
    """Where a lesion may lie: bool (S, S), never empty; lesion: index in LesionBank.tumour that gave the shape."""

    mask: Mask
    lesion: int


class Pasted(NamedTuple):
    """A slice that was changed: image float32 (1, S, S) equals its source wherever soft, float32 (S, S), is 0.

    mask: bool (S, S), what was replaced wholly. lesion: index in LesionBank.tumour, None where none was laid in.
    """

    image: Images
    mask: Mask
    soft: Images
    lesion: int | None


@dataclass(frozen=True, eq=False)
class PastedSet:
    """Changed slices of one diagnosis: images float32 (n, 1, S, S), masks bool (n, S, S) as in Pasted.

    Provenance, int64 (n,): source and lesion are rows of what the bank was made of, -1 for no lesion; a slice is made
    from its source by np.random.default_rng(seed).
    """

    images: Images
    masks: Mask
    source_rows: NDArray[np.int64]
    lesion_rows: NDArray[np.int64]
    seeds: NDArray[np.int64]


class Midline(NamedTuple):
    """An axis of symmetry: a point on it (row, column) in pixels, and its angle from the columns in radians."""

    row: float
    column: float
    angle: float


def lesion_bank(
    *,
    real: Images,
    masks: NDArray[np.generic],
    diagnoses: Sequence[str],
    groups: Sequence[str],
    positions: Sequence[float] | None = None,
    whole: bool = True,
) -> LesionBank:
    """Sort the slices of a training part: float32 (N, 1, S, S), masks (N, S, S), 0 where no lesion is.

    whole: as of the bank. Tumour slices without a mask are left out. Raises ValueError where no lesion is left, where
    there is no slice without a tumour, and where shapes differ.
    """
    lesions = np.asarray(masks).astype(np.bool_)
    if real.shape != (len(diagnoses), 1, *lesions.shape[1:]) or {len(lesions), len(groups)} != {len(real)}:
        raise ValueError(
            f"images {real.shape}, masks {lesions.shape}, {len(diagnoses)} diagnoses, {len(groups)} groups"
        )
    is_tumour = np.array([diagnosis == TUMOUR for diagnosis in diagnoses], dtype=np.bool_)
    with_lesion = np.flatnonzero(is_tumour & lesions.any(axis=(1, 2)))
    without = np.flatnonzero(~is_tumour)
    if not with_lesion.size or not without.size:
        raise ValueError(f"{with_lesion.size} slices with a lesion and its mask, {without.size} without a tumour")
    heights = np.full(len(real), np.nan) if positions is None else np.asarray(positions, dtype=np.float64)
    return LesionBank(
        tumour=real[with_lesion],
        masks=lesions[with_lesion],
        tumour_groups=tuple(groups[int(row)] for row in with_lesion),
        tumour_positions=heights[with_lesion],
        tumour_rows=with_lesion.astype(np.int64),
        no_tumour=real[without],
        no_tumour_groups=tuple(groups[int(row)] for row in without),
        no_tumour_positions=heights[without],
        no_tumour_rows=without.astype(np.int64),
        whole=whole,
    )


def head_of(image: Images) -> Mask:
    """The head of a normalised slice, float32 (1, S, S), holes filled: bool (S, S). Raises ValueError for all air."""
    side = image.shape[-1]
    reach = max(1, side // 32)
    bright = ndimage.gaussian_filter(image[0], side / 128) > AIR
    # at the border of an array closing eats into what touches it
    closed = ndimage.binary_closing(np.pad(bright, 2 * reach), iterations=reach)[
        2 * reach : -2 * reach, 2 * reach : -2 * reach
    ]
    labels, count = ndimage.label(ndimage.binary_fill_holes(closed | bright))
    if not count:
        raise ValueError("no head: nothing in the slice is brighter than air")
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return np.asarray(labels == sizes.argmax(), dtype=np.bool_)


def depth_in(head: Mask) -> NDArray[np.float64]:
    """Distance in pixels of every pixel from the nearest outside of the head, beyond the frame included; 0 outside."""
    depth: NDArray[np.float64] = ndimage.distance_transform_edt(np.pad(head, 1))[1:-1, 1:-1]
    return depth


def inside_of(head: Mask, rim: float) -> Mask:
    """Where a lesion may lie: the head, bool (S, S), but for a rim (LesionBank.rim); at least its deepest pixels."""
    depth = depth_in(head)
    return np.asarray(depth >= min(rim * np.sqrt(head.sum()), depth.max()), dtype=np.bool_) & head


def describe(image: Images, mask: Mask) -> Lesion:
    """A lesion, bool (S, S) and not empty, of a slice, float32 (1, S, S), in numbers."""
    head = head_of(image) | mask
    rows, columns = (np.flatnonzero(head.any(axis=axis)) for axis in (1, 0))
    row, column = _centre(mask)
    return Lesion(
        area=float(mask.sum() / head.sum()),
        row=float((row + 0.5 - rows[0]) / (rows[-1] + 1 - rows[0])),
        column=float((column + 0.5 - columns[0]) / (columns[-1] + 1 - columns[0])),
        depth=float(depth_in(head)[mask].min()),
        diameter=float(np.sqrt(head.sum())),
        grey=float((image[0][mask] + 1).mean() / _healthy_brightness(image, head, mask)),
    )


def differences(bank: LesionBank, *, images: Images, masks: Mask) -> dict[str, float]:
    """How far lesions stray from those of the training part: two-sample Kolmogorov-Smirnov statistics in [0, 1].

    images: float32 (n, 1, S, S); masks: bool (n, S, S), none empty. By area, row, side (distance from the middle of the
    head's box), depth and grey; the last means something only where the lesions are in the images already.
    """

    def measures(lesions: Sequence[Lesion]) -> dict[str, list[float]]:
        return {
            "area": [one.area for one in lesions],
            "row": [one.row for one in lesions],
            "side": [abs(one.column - 0.5) for one in lesions],  # either half of the head will do
            "depth": [one.depth / one.diameter for one in lesions],
            "grey": [one.grey for one in lesions],
        }

    theirs = measures([describe(image, mask) for image, mask in zip(images, masks, strict=True)])
    return {name: float(stats.ks_2samp(of, theirs[name]).statistic) for name, of in measures(bank.lesions).items()}


def soften(mask: Mask, width_px: float) -> Images:
    """A mask, bool (S, S), with a soft edge: float32 in [0, 1], 1 inside, 0 from more than width_px outside on."""
    if not mask.any():
        return np.zeros(mask.shape, np.float32)
    ramp = np.clip(1 - ndimage.distance_transform_edt(~mask) / (width_px + 1), 0, 1)
    return np.asarray(ramp**2 * (3 - 2 * ramp), dtype=np.float32)  # level at both ends


def widened(mask: Mask, head: Mask, *, further: int = 0) -> Mask:
    """A lesion's mask with its brim, both bool (S, S): what healthy tissue must cover, for a lesion shines beyond its
    outline. further: pixels by which the brim is wider than it must be.
    """
    brim = ndimage.binary_dilation(mask, iterations=brim_width(len(mask)) + further)
    return np.asarray(brim & head, dtype=np.bool_)


def brim_width(side: int) -> int:
    """Pixels by which a lesion shines beyond its outline in images of so many pixels a side."""
    return max(1, side // 64)


def edge_width(side: int) -> float:
    """Width in pixels of the soft edge of a pasted lesion in images of so many pixels a side."""
    return max(1.0, side * EDGE)


def propose(bank: LesionBank, image: Images, rng: np.random.Generator, *, position: float = np.nan) -> Proposal:
    """A place and a shape for a lesion in a slice, float32 (1, S, S): those of a training lesion, changed a little.

    The lesion keeps its place in the head's box and its share of the head, is mirrored at the midline half of the
    time, turned and scaled a little, and lies wholly inside of the head (`inside_of`). position: height of the slice;
    where heights are known lesions of such heights are drawn. Raises ValueError for a slice of air.
    """
    placed = _place(bank, image, rng, position)
    return Proposal(placed.mask, placed.lesion)


def paste_lesion(bank: LesionBank, image: Images, rng: np.random.Generator, *, position: float = np.nan) -> Pasted:
    """Lay a real training lesion with its pixels into a real no-tumour slice, float32 (1, S, S).

    Its brightness is scaled by the ratio of the healthy tissue of both heads; the soft edge blends tissue of both.
    """
    placed = _place(bank, image, rng, position)
    source, old = bank.tumour[placed.lesion], bank.masks[placed.lesion]
    head, source_head = head_of(image), head_of(source)
    ratio = _healthy_brightness(image, head, placed.mask) / _healthy_brightness(source, source_head, old)
    moved = _moved(source[0] + 1, placed, order=3) * np.clip(ratio, 1 / MAX_RATIO, MAX_RATIO) - 1
    # beside the lesion only brain may come along, and no skull of the source's
    tissue = inside_of(source_head, bank.rim) | old
    brought = _moved(tissue.astype(np.float32), placed, order=1) > 0.5
    soft = np.where(placed.mask | (brought & head), soften(placed.mask, edge_width(len(head))), np.float32(0))
    return Pasted(_blend(image, moved, soft), placed.mask, soft, placed.lesion)


def paste_healthy(image: Images, mask: Mask, rng: np.random.Generator) -> Pasted:
    """Lay the other hemisphere, mirrored, over the lesion, bool (S, S), of a real slice, float32 (1, S, S); or over a
    place without one.

    The mask that comes back is a little wider, as a lesion shines beyond its outline. Where the mirror shows the lesion
    itself, or no head, the tissue around the hole is drawn into it. How much wider, where exactly the mirror stands and
    how bright the tissue is are drawn, so that a slice that is changed twice gives two.
    """
    side = len(mask)
    head = head_of(image) | mask
    axis = shaken(midline(head), float(np.sqrt(head.sum())), rng)
    wide = widened(mask, head, further=int(rng.integers(brim_width(side) + 1)))
    brightness = image[0] + 1
    tissue = other_side(brightness, wide, head, axis, around=drawn_in(brightness, head & ~wide))
    healthy = tissue * np.exp(rng.normal(0, GREY)) - 1
    soft = np.where(head, soften(wide, edge_width(side)), np.float32(0))
    return Pasted(_blend(image, healthy, soft), wide, soft, None)


def other_side(brightness: Images, hole: Mask, head: Mask, axis: "Midline", *, around: Images) -> Images:
    """What may stand in a hole of a slice, from its brightness (S, S): its head's other side, mirrored, (S, S).

    hole, head: bool (S, S); axis: the head's midline; around: the brightness with the tissue around the hole drawn into
    it (`drawn_in`), which is taken where the mirror shows the hole itself, or no head. As bright as what is around.
    """
    side = len(hole)
    other = _mirrored(brightness, axis)
    usable = _mirrored_mask(head & ~hole, axis)
    ring = ndimage.binary_dilation(hole, iterations=max(2, side // 16)) & ~hole & head & usable
    # over the ring around the hole: one side of a coil's field is brighter than the other
    here, there = ((np.median(of[ring]) if ring.any() else 1.0) for of in (brightness, other))
    ratio = float(np.clip(here / max(there, 1e-3), 1 / MAX_RATIO, MAX_RATIO))
    unknown = soften(hole & ~usable, edge_width(side))  # soft too, or a seam shows where both meet
    tissue: Images = other * ratio + unknown * (around - other * ratio)
    return tissue


def paste_set(bank: LesionBank, n_tumour: int, n_no_tumour: int, rng: np.random.Generator) -> dict[str, PastedSet]:
    """A set of both diagnoses by copy and paste, by diagnosis. No source comes twice before all came once.

    Of tumour slices those are laid over first whose lesion does not cross the midline. Where masks may not hold all of
    a lesion (`LesionBank.whole`) none is: mirrored tissue is laid into slices without a tumour then, where a lesion
    might be.
    """
    healthy = [np.arange(len(bank.no_tumour))]
    apart = bank.crossing <= MAX_CROSSING
    laid_over_in = [np.flatnonzero(apart), np.flatnonzero(~apart)] if bank.whole else healthy
    rows = in_turn(laid_over_in, n_no_tumour, rng)
    without = in_turn(healthy, n_tumour, rng)
    seeds = rng.integers(2**63, size=n_tumour + n_no_tumour)
    laid_in = (
        paste_lesion(
            bank,
            bank.no_tumour[row],
            np.random.default_rng(seed),
            position=float(bank.no_tumour_positions[row]),
        )
        for row, seed in zip(without, seeds, strict=False)
    )
    laid_over = (
        _covered(bank, int(row), np.random.default_rng(seed)) for row, seed in zip(rows, seeds[n_tumour:], strict=True)
    )
    side = bank.tumour.shape[-1]
    rows_over = (bank.tumour_rows if bank.whole else bank.no_tumour_rows)[rows]
    return {
        TUMOUR: _collect(bank, laid_in, bank.no_tumour_rows[without], seeds[:n_tumour], side),
        NO_TUMOUR: _collect(bank, laid_over, rows_over, seeds[n_tumour:], side),
    }


def _covered(bank: LesionBank, row: int, rng: np.random.Generator) -> Pasted:
    """Mirrored tissue over the lesion of a tumour slice or, where masks may not hold all of one, in another slice."""
    if bank.whole:
        return paste_healthy(bank.tumour[row], bank.masks[row], rng)
    image = bank.no_tumour[row]
    place = propose(bank, image, rng, position=float(bank.no_tumour_positions[row]))
    return paste_healthy(image, place.mask, rng)._replace(lesion=place.lesion)


def midline(head: Mask) -> Midline:
    """The axis, within 20 degrees of the columns, about which a head, bool (S, S) and not empty, is most symmetric."""
    points = np.argwhere(head).astype(np.float64)
    points = points[:: max(1, len(points) // 1500)]
    centre, diameter = points.mean(axis=0), np.sqrt(head.sum())
    best, reach_angle, reach_shift = (0.0, 0.0), np.deg2rad(20), 0.06
    for _ in range(3):  # each time around the best so far, and a fourth as far
        angles = np.unique(np.append(best[0] + np.linspace(-reach_angle, reach_angle, 9), 0.0))
        shifts = best[1] + np.linspace(-reach_shift, reach_shift, 9)
        scores = [
            # of equal ones, as in a round head, the most upright
            (
                _symmetry(head, points, Midline(*_on_axis(centre, angle, shift * diameter), angle)) - 1e-3 * abs(angle),
                angle,
                shift,
            )
            for angle in angles
            for shift in shifts
        ]
        _, *found = max(scores)
        best, reach_angle, reach_shift = (found[0], found[1]), reach_angle / 4, reach_shift / 4
    return Midline(*_on_axis(centre, best[0], best[1] * diameter), best[0])


@dataclass(frozen=True)
class _Placed:
    """A training lesion in another head: p there comes from matrix @ p + offset in the lesion's own slice."""

    mask: Mask
    lesion: int
    matrix: NDArray[np.float64]
    offset: NDArray[np.float64]


def _place(bank: LesionBank, image: Images, rng: np.random.Generator, position: float) -> _Placed:
    """Draw a training lesion and a place for it, several times; of these the first that needs hardly be moved inward,
    else the one that is moved least. Shapes that fit nowhere shrink.
    """
    head = head_of(image)
    inside = inside_of(head, bank.rim)
    rows, columns = (np.flatnonzero(head.any(axis=axis)) for axis in (1, 0))
    corner = np.array([rows[0], columns[0]])
    box = np.array([rows[-1] + 1, columns[-1] + 1]) - corner
    diameter = float(np.sqrt(head.sum()))
    index = int(rng.choice(len(bank.masks), p=_weights(bank, position)))
    lesion = bank.lesions[index]
    areas = [one.area for one in bank.lesions]
    best: tuple[float, _Placed] | None = None
    shrink, tries = 1.0, 0
    while best is None or (tries < TRIES and best[0] > NEAR * diameter):
        mirrored = rng.random() < 0.5
        stretch = np.exp(rng.uniform(-STRETCH, STRETCH))
        area = np.clip(lesion.area * stretch**2, min(areas), max(areas)) * shrink**2
        length = np.sqrt(area / lesion.area) * diameter / lesion.diameter
        matrix = _from_there(rng.uniform(-TURN, TURN), length, mirrored=mirrored)
        column = 1 - lesion.column if mirrored else lesion.column
        wanted = corner + (np.array([lesion.row, column]) + rng.normal(0, JITTER, 2)) * box - 0.5
        moved, placed = _fit_in(inside, bank.masks[index], matrix, wanted, index)
        if placed is not None and (best is None or moved < best[0]):
            best = (moved, placed)
        tries += 1
        if best is None and tries >= TRIES // 2:
            shrink *= 0.85
    return best[1]


def _fit_in(
    inside: Mask, shape: Mask, matrix: NDArray[np.float64], wanted: NDArray[np.float64], lesion: int
) -> tuple[float, _Placed | None]:
    """A turned shape where it lies wholly inside and nearest to the place wanted, and how far that is; or nowhere."""
    half = len(shape) // 2
    start = _Placed(shape, lesion, matrix, _centre(shape) - matrix @ np.array([half, half]))
    turned = _moved(shape.astype(np.float32), start, order=1) > 0.5
    if not turned.any():
        turned[half, half] = True  # smaller than a pixel
    room = signal.fftconvolve(inside.astype(np.float64), turned[::-1, ::-1].astype(np.float64), mode="same")
    free = np.argwhere(room > turned.sum() - 0.5)  # centres at which every pixel is inside
    if not free.size:
        return np.inf, None
    distances = np.hypot(*(free - wanted).T)
    shift = free[distances.argmin()] - half
    mask = np.zeros_like(turned)
    at = np.argwhere(turned) + shift
    mask[at[:, 0], at[:, 1]] = True
    return float(distances.min()), _Placed(mask, lesion, matrix, start.offset - matrix @ shift)


def _weights(bank: LesionBank, position: float) -> NDArray[np.float64]:
    """How likely each training lesion is drawn for a slice at this height: alike where its height, or that of every
    lesion, is not known; else none of unknown height.
    """
    steps = ((bank.tumour_positions - position) / HEIGHT_REACH) ** 2
    if np.isnan(steps).all():
        return np.full(len(steps), 1 / len(steps))
    weights = np.where(np.isnan(steps), 0.0, np.exp(-(steps - np.nanmin(steps)) / 2))
    return np.asarray(weights / weights.sum(), dtype=np.float64)


def _from_there(angle: float, length: float, *, mirrored: bool) -> NDArray[np.float64]:
    """The inverse of: mirror the columns, turn by the angle, lengthen."""
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.asarray(np.linalg.inv(length * turn @ np.diag([1.0, -1.0 if mirrored else 1.0])), dtype=np.float64)


def _moved(picture: Images, placed: _Placed, *, order: Literal[1, 3]) -> Images:
    """A picture (S, S) of the lesion's own slice, brought to where the lesion was placed; 0 from beyond its frame."""
    moved: Images = ndimage.affine_transform(picture, placed.matrix, placed.offset, order=order, cval=0.0)
    return moved


def _centre(mask: Mask) -> NDArray[np.float64]:
    return np.asarray(np.argwhere(mask).mean(axis=0), dtype=np.float64)


def _healthy_brightness(image: Images, head: Mask, mask: Mask) -> float:
    """Median brightness (image + 1) of the head without its outermost part and without the lesion's surroundings."""
    beside = ~ndimage.binary_dilation(mask, iterations=max(1, len(mask) // 32))
    for region in (inside_of(head, 0.1) & beside, head & beside, head):
        if region.any():
            return max(float(np.median(image[0][region])) + 1, 1e-3)
    raise ValueError("no head")


def _blend(image: Images, tissue: NDArray[np.floating], soft: Images) -> Images:
    """tissue over image where soft says so, clipped to [-1, 1]; the image's own bits where soft is 0."""
    mixed = image + soft * (np.clip(tissue, -1, 1) - image)
    return np.asarray(np.where(soft > 0, np.clip(mixed, -1, 1), image), dtype=np.float32)


def _on_axis(centre: NDArray[np.float64], angle: float, shift: float) -> tuple[float, float]:
    """A point `shift` beside the centre, square to an axis of this angle."""
    row, column = centre + shift * np.array([np.sin(angle), np.cos(angle)])
    return float(row), float(column)


def shaken(axis: Midline, diameter: float, rng: np.random.Generator) -> Midline:
    """The axis of a head of this diameter in pixels, moved and turned by little."""
    angle = axis.angle + rng.normal(0, AXIS_TURN)
    shift = rng.normal(0, AXIS_SHIFT) * diameter
    return Midline(*_on_axis(np.array([axis.row, axis.column]), angle, shift), angle)


def _reflection(axis: Midline) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """matrix and offset of p -> p - 2 ((p - point) . n) n, n the axis' normal; it is its own inverse."""
    normal = np.array([np.sin(axis.angle), np.cos(axis.angle)])
    matrix = np.eye(2) - 2 * np.outer(normal, normal)
    point = np.array([axis.row, axis.column])
    return matrix, point - matrix @ point


def _symmetry(head: Mask, points: NDArray[np.float64], axis: Midline) -> float:
    """Share of the head's points whose mirror lies in the head."""
    matrix, offset = _reflection(axis)
    at = np.rint(points @ matrix.T + offset).astype(np.int64)
    within = ((at >= 0) & (at < len(head))).all(axis=1)
    return float(head[at[within, 0], at[within, 1]].sum() / len(points))


def _mirrored(picture: Images, axis: Midline) -> Images:
    matrix, offset = _reflection(axis)
    mirrored: Images = ndimage.affine_transform(picture, matrix, offset, order=3, cval=0.0)
    return mirrored


def _mirrored_mask(mask: Mask, axis: Midline) -> Mask:
    matrix, offset = _reflection(axis)
    return np.asarray(ndimage.affine_transform(mask.astype(np.float32), matrix, offset, order=1) > 0.5, dtype=np.bool_)


def drawn_in(brightness: Images, known: Mask) -> Images:
    """Brightness (S, S) with what is not known replaced: the mean of the known around, the nearest first (normalised
    convolution).
    """
    filled = np.where(known, brightness, 0).astype(np.float32)
    open_ = ~known
    for sigma in len(known) / 64 * 2.0 ** np.arange(6):
        weight = ndimage.gaussian_filter(known.astype(np.float32), sigma)
        reached = open_ & (weight > 0.05)
        mean = ndimage.gaussian_filter(np.where(known, brightness, 0).astype(np.float32), sigma)
        filled[reached] = mean[reached] / weight[reached]
        open_ &= ~reached
    # from one reach to the next is a step
    return np.asarray(np.where(known, filled, ndimage.gaussian_filter(filled, len(known) / 64)), dtype=np.float32)


def in_turn(parts: Sequence[NDArray[np.int64]], n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """n of the parts' items, each part shuffled and one part after the other, and all again as often as needed."""
    rounds: list[NDArray[np.int64]] = []
    while sum(map(len, rounds)) < n:
        rounds += [rng.permutation(part) for part in parts]
    return np.concatenate([*rounds, np.empty(0, np.int64)])[:n].astype(np.int64)


def _collect(
    bank: LesionBank,
    pasted: Iterator[Pasted],
    source_rows: NDArray[np.int64],
    seeds: NDArray[np.int64],
    side: int,
) -> PastedSet:
    n = len(source_rows)
    images, masks = np.empty((n, 1, side, side), np.float32), np.empty((n, side, side), np.bool_)
    lesion_rows = np.full(n, -1, np.int64)
    for row, one in enumerate(pasted):
        images[row], masks[row] = one.image, one.mask
        if one.lesion is not None:
            lesion_rows[row] = bank.tumour_rows[one.lesion]
    return PastedSet(images, masks, source_rows, lesion_rows, seeds)
