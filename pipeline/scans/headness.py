"""Is it a head? Signs against it, each with a value and a threshold, read from the crop that normalisation will use.

A section of a head is close to an ellipse, longer than it is wide unless it runs on into face or neck, and filled
with grey of middling strength: brain of two tissues that are folded finely, but never as finely as noise. What is
measured are departures from that. One family of signs asks for a look; two families together, or one sign far beyond
what any head shows, are proof.

Measured on ../shared/data; after the number of slices, how many were for review and how many quarantined as not a
head. Heads: brain_mri_253 252: 2, 0; lgg_flair, a sample of 350: 0, 0; lgg_3channel 75: 2, 0; Philips 45, Enhanced MR
63, Siemens sagittal with neck and face 35: 0, 0; NIfTI between relative positions 0.3 and 0.75 in all three planes
344: 2, 0; below and above, where 240 of 424 are blank: 4, 1 (air before a nose); drawn phantoms 144: 4, 1 (above the
vertex). Not heads: an abdomen 1, 0; ten sections of a fruit 0, 7; a beating heart 16, 0; a shoulder 1, 0; a piece of
spine with its spacing 0, 6; 60 enlarged handwritten digits 13, 36.

What it cannot see: anything elliptic, upright and finely grey inside. The three sections of the fruit beside its core
pass, and so would a thigh, a hand held closed, or an abdomen turned on its side. One slice is judged at a time: seven
quarantined sections of one scan are a reason to look at the other three.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.scans.normalise import Measured

Mask = NDArray[np.bool_]
Signs = list["Sign"]
DARK: Final = 0.08  # of the scale from low to high landmark: fainter is air when the outline is drawn
CORE: Final = 0.65  # of the way from centre to rim: brain in a head, skull and scalp left out
PORES: Final = 0.3  # of the core's median: darker is a hole


@dataclass(frozen=True)
class Limit:
    """Beyond `review` a value is a sign against a head, beyond `sure` it is proof; both on one side of normal."""

    review: float
    sure: float

    def broken(self, value: float) -> bool:
        """Whether the value is beyond `review`."""
        return value > self.review if self.sure >= self.review else value < self.review

    def proven(self, value: float) -> bool:
        """Whether the value is beyond `sure`."""
        return value > self.sure if self.sure >= self.review else value < self.sure


# in brackets what 99 % of the heads above keep to, then what the fruit, the heart or a drawn shape has
ELLIPSE: Final = Limit(0.70, 0.50)  # (0.73) spine 0.68, letters 0.45
BOX: Final = Limit(0.90, np.inf)  # (0.85) a square 1.0; a close-up of a head fills its picture too
WIDE: Final = Limit(1.05, np.inf)  # (no axial head but one turned on its side) abdomen 1.10
WIDE_ELLIPSE: Final = 0.93  # a wide outline is a head's that runs into the neck, unless it is this good an ellipse
CUT: Final = Limit(0.58, np.inf)  # (0.48) of the picture's edge, inside the outline; shoulder 0.62
HOLLOW_LEVEL: Final = 0.15  # (0.20) fruit 0.11
HOLLOW_SPREAD: Final = Limit(0.80, 0.98)  # (0.67) fruit 1.03
PORE_SHARE: Final = Limit(0.25, 0.60)  # (0.20) heart 0.30
FLAT: Final = Limit(0.03, 0.015)  # (0.07) a bottle of water 0.01
FINE: Final = Limit(2.4, 3.5)  # (1.75) noise 2.8
COARSE: Final = Limit(0.25, 0.08)  # (0.38) a blurred blob 0.05
LONG_MM: Final = Limit(300.0, 360.0)  # a head is 27 cm at most, with its neck a little more
SHORT_MM: Final = Limit(50.0, -np.inf)  # the tip of a head, an ear, or an animal


@dataclass(frozen=True)
class Sign:
    """One departure from a head. `family`: outline, core, grain or size; signs of one family go together."""

    family: str
    text: str
    sure: bool


@dataclass(frozen=True)
class Shape:
    """What a crop shows; shares and ratios without unit."""

    ellipse: float  # outline and the ellipse of its second moments: intersection over union
    box: float  # share of its bounding box that the outline fills; an ellipse has 0.785
    wide: float  # width over height of the bounding box
    cut: float  # share of the picture's edge that lies inside the outline
    level: float  # median of the core on the scale from low to high landmark
    spread: float  # standard deviation of the core over its mean
    pores: float  # share of the core darker than PORES of its median
    grain: float  # mean absolute Laplacian of the core over its standard deviation; white noise about 3


def signs_against(head: Measured, *, plane: str = "unknown", spacing_mm: float | None = None) -> Signs:
    """What speaks against a head in one measured slice; empty where nothing does.

    head.crop: float32 (S, S) in raw units, meant for S = 48, on which the limits were measured. plane: one of
    data_contracts.manifest.PLANES. spacing_mm: of a pixel of the slice, not of the crop.
    """
    shape = shape_of(head)
    found: Signs = []

    def mark(family: str, name: str, value: float, limit: Limit) -> None:
        if limit.broken(value):
            least = "at most" if limit.sure >= limit.review else "at least"
            proven = limit.proven(value)
            proof = f" and proof from {limit.sure:g}" if proven else ""
            found.append(Sign(family, f"{name} {value:.3g}, {least} {limit.review:g}{proof}", proven))

    mark("outline", "overlap of outline and ellipse", shape.ellipse, ELLIPSE)
    mark("outline", "share of its box that the outline fills", shape.box, BOX)
    mark("outline", "share of the picture's edge inside the outline", shape.cut, CUT)
    if shape.ellipse > WIDE_ELLIPSE and plane in ("axial", "unknown"):
        mark("outline", "width over height of a closed ellipse", shape.wide, WIDE)
    if shape.level < HOLLOW_LEVEL:
        mark("core", f"core at {shape.level:.2f} of the scale, with a spread over mean of", shape.spread, HOLLOW_SPREAD)
    mark("core", "share of the core that is holes", shape.pores, PORE_SHARE)
    mark("core", "spread over mean of the core", shape.spread, FLAT)
    mark("grain", "grain of the core", shape.grain, FINE)
    mark("grain", "grain of the core", shape.grain, COARSE)
    if spacing_mm:
        mark("size", "longer side in mm", head.geometry.side * spacing_mm, LONG_MM)
        mark("size", "longer side in mm", head.geometry.side * spacing_mm, SHORT_MM)
    return found


def shape_of(head: Measured) -> Shape:
    """Outline, core and grain of a measured slice."""
    scaled, outline = outline_of(head)
    rows, columns = np.nonzero(outline)
    from_centre = _from_centre(outline.shape, rows, columns)
    disc, inside = from_centre < 1, outline & (from_centre < CORE)
    core = scaled[inside if inside.any() else outline]
    height, width = int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1
    level, spread = float(np.median(core)), float(core.std())
    return Shape(
        ellipse=float((disc & outline).sum() / (disc | outline).sum()),
        box=rows.size / (height * width),
        wide=width / height,
        cut=_cut_share(outline, head),
        level=level,
        spread=spread / max(float(core.mean()), 1e-6),
        pores=float((core < PORES * level).mean()),
        grain=float(np.abs(ndimage.laplace(scaled)[inside]).sum()) / core.size / max(spread, 1e-6),
    )


def outline_of(head: Measured) -> tuple[NDArray[np.float32], Mask]:
    """The crop on the scale from low (0) to high landmark (1), clipped, and its largest filled region: both (S, S)."""
    marks = head.landmarks
    scaled = np.clip((head.crop - marks.low) / (marks.high - marks.low), 0, 1)
    padded = np.pad(scaled > DARK, 4)  # at the border of an array closing eats into what touches it
    filled = ndimage.binary_fill_holes(ndimage.binary_closing(padded, iterations=2))[4:-4, 4:-4]
    labels, _ = ndimage.label(filled)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return scaled, np.asarray(labels == sizes.argmax(), dtype=np.bool_)


def _from_centre(shape: tuple[int, ...], rows: NDArray[np.intp], columns: NDArray[np.intp]) -> NDArray[np.float64]:
    """Distance from the centroid in units in which an ellipse of the same second moments ends at 1: (S, S)."""
    points = np.stack([rows, columns]).astype(np.float64)
    inverse = np.linalg.inv(np.cov(points) + 1e-3 * np.eye(2)) if rows.size > 1 else np.eye(2)
    offsets = np.indices(shape) - points.mean(axis=1)[:, None, None]
    distance: NDArray[np.float64] = np.sqrt(np.einsum("iyx,ij,jyx->yx", offsets, inverse, offsets)) / 2
    return distance


def _cut_share(outline: Mask, head: Measured) -> float:
    """Share of the picture's edge that lies inside the outline: a head in its picture touches it with the neck only."""
    geometry = head.geometry
    scale = outline.shape[0] / geometry.side
    touched = 0
    for lines, start, length in ((outline, geometry.top, geometry.height), (outline.T, geometry.left, geometry.width)):
        first, last = round(-start * scale), round((length - start) * scale) - 1
        # one line further in, since the edge itself is blurred into what lies outside
        touched += sum(
            int(lines[at].sum()) for at, seen in ((first + 1, first >= 0), (last - 1, last < len(lines))) if seen
        )
    return float(touched / (2 * (geometry.height + geometry.width) * scale))
