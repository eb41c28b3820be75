"""What somebody put on a picture: letters beside the head, a frame around it, margins.

Normalisation cuts all of it off; it is reported because a picture that was made for print was also cropped, windowed
and compressed for print, and because letters may name a patient.

Of 48 pictures of brain_mri_253 in which the eye sees letters beside the head, 41 are found, and 5 more are named for
marks of a few pixels; missed are letters that touch the edge, are fainter than INK, or stand on a white frame. False
alarms elsewhere: none in 350 of lgg_flair, 75 of lgg_3channel, 143 of DICOM heads and 768 of NIfTI; one in 16 of a
heart. A frame is named in 28 of brain_mri_253 and nowhere else; a margin in 3 of 344 NIfTI slices of the middle of a
head. Letters and arrows over the head are not looked for: by brightness and size they cannot be told from vessels.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.scans.headness import outline_of
from pipeline.scans.normalise import Measured

Mask = NDArray[np.bool_]
Pixels = NDArray[np.float32]
SIDES: Final = ("top", "bottom", "left", "right")
INK: Final = 0.3  # of the scale from background to high landmark: letters are at least this far from the background
BOLD: Final = 0.5  # the same for a letter that stands alone
STROKES: Final = 0.8  # share of its box that a lone letter fills at most: more is a blob, an ear or a vitamin capsule
LETTER_PX: Final = 4  # height from which a letter can be told from a speck
LETTER_SHARE: Final = 0.07  # of the longer side of the picture: the largest letter
EDGE: Final = 0.15  # of the shorter side: letters of a line stand this close to the edge
LONE_EDGE: Final = 0.06  # the same for a letter that stands alone; ears and crumbs of a stripped brain lie further in
MAX_LETTERS: Final = 1000  # more components than this are noise
WHITE: Final = 0.8  # of the scale from low to high landmark
LINE_SHARE: Final = 0.85  # share of a row or column that is white in a frame
FRAME_REACH: Final = 0.25  # how far in from the edge a frame is looked for
MAX_MARGIN: Final = 0.88  # of the picture, in border lines of one exact value; a stripped brain leaves up to 0.85


@dataclass(frozen=True)
class Letters:
    """Letter-like components beside the head: how many, the side most of them are near, their share of the picture."""

    count: int
    side: str
    share: float


def letters_beside(pixels: Pixels, head: Measured) -> Letters | None:
    """Components (H, W) near the edge with the size and strokes of letters: two in one line, or a bold one alone."""
    outside = ~_head_in_picture(head)
    if not outside.any():
        return None
    background = float(np.median(pixels[outside]))
    scale = head.landmarks.high - min(head.landmarks.low, background)
    ink = np.abs(pixels - background) / scale
    labels, count = ndimage.label((ink > INK) & outside, np.ones((3, 3)))
    if not 0 < count <= MAX_LETTERS:
        return None
    boxes = _letter_boxes(labels, ink, shape=pixels.shape)
    kept = _in_line(boxes) | (
        (boxes[:, 6] <= LONE_EDGE) & (boxes[:, 4] < STROKES * boxes[:, 2] * boxes[:, 3]) & (boxes[:, 5] > BOLD)
    )
    if not kept.any():
        return None
    sides = np.bincount(boxes[kept, 7].astype(int), minlength=4)
    return Letters(int(kept.sum()), SIDES[int(sides.argmax())], float(boxes[kept, 4].sum() / pixels.size))


def frame_widths(pixels: Pixels, head: Measured) -> dict[str, int]:
    """White rows or columns near each side of a picture (H, W), in pixels; sides without any are left out."""
    marks = head.landmarks
    white = pixels > marks.low + WHITE * (marks.high - marks.low)
    widths = []
    for lines in (white.mean(axis=1) > LINE_SHARE, white.mean(axis=0) > LINE_SHARE):
        zone = max(1, round(FRAME_REACH * len(lines)))
        widths += [int(lines[:zone].sum()), int(lines[-zone:].sum())]
    return {side: width for side, width in zip(SIDES, widths, strict=True) if width}


def margin_share(pixels: Pixels) -> float:
    """Share of a picture (H, W) in outer rows and columns that hold nothing but the value of the first pixel."""
    differs = pixels != pixels[0, 0]
    rows, columns = np.flatnonzero(differs.any(axis=1)), np.flatnonzero(differs.any(axis=0))
    if not rows.size:
        return 1.0
    return 1 - float((rows[-1] - rows[0] + 1) * (columns[-1] - columns[0] + 1)) / pixels.size


def _head_in_picture(head: Measured) -> Mask:
    """The outline of the crop, a little widened, laid back on the picture: bool (H, W)."""
    _, outline = outline_of(head)
    outline = ndimage.binary_dilation(outline, iterations=2)
    geometry = head.geometry
    size = outline.shape[0]
    whole = np.zeros((geometry.height, geometry.width), dtype=np.bool_)
    rows = (np.arange(geometry.height) - geometry.top) * size // geometry.side
    columns = (np.arange(geometry.width) - geometry.left) * size // geometry.side
    in_rows, in_columns = (rows >= 0) & (rows < size), (columns >= 0) & (columns < size)
    whole[np.ix_(in_rows, in_columns)] = outline[np.ix_(rows[in_rows], columns[in_columns])]
    return whole


def _letter_boxes(labels: NDArray[np.integer], ink: Pixels, *, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Letter-sized components near the edge: float64 (n, 8) of top, left, height, width, pixels, largest ink, distance
    to the nearest edge as a share of the shorter side, and which edge, as an index of SIDES."""
    areas = np.bincount(labels.ravel())
    largest = max(2 * LETTER_PX, LETTER_SHARE * max(shape))
    boxes = []
    for label, (rows, columns) in enumerate(ndimage.find_objects(labels), start=1):
        height, width = rows.stop - rows.start, columns.stop - columns.start
        if not (LETTER_PX <= height <= largest and 2 <= width <= largest and 0.15 <= width / height <= 4):
            continue
        edges = (rows.start, shape[0] - rows.stop, columns.start, shape[1] - columns.stop)
        distance = min(edges) / min(shape)
        if areas[label] < 6 or areas[label] < 0.15 * height * width or distance > EDGE:
            continue
        box = ink[rows, columns]
        peak = float(box[labels[rows, columns] == label].max())
        boxes.append((rows.start, columns.start, height, width, areas[label], peak, distance, edges.index(min(edges))))
    return np.array(boxes, dtype=np.float64).reshape(-1, 8)


def _in_line(boxes: NDArray[np.float64]) -> Mask:
    """Boxes with another of like height beside them on the same line of writing: bool (n,)."""
    top, left, height, width = boxes[:, 0], boxes[:, 1], boxes[:, 2], boxes[:, 3]
    taller = np.maximum(height[:, None], height[None])
    like = np.minimum(height[:, None], height[None]) >= 0.55 * taller
    same_line = np.abs((top + height)[:, None] - (top + height)[None]) <= 0.35 * taller + 1
    gap = np.maximum(left[None] - (left + width)[:, None], left[:, None] - (left + width)[None])
    pairs = like & same_line & (gap < 2 * taller)
    np.fill_diagonal(pairs, val=False)
    return np.asarray(pairs.any(axis=1), dtype=np.bool_)
