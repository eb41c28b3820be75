"""What does a classifier look at? Maps of how far its answer weakens where a part of the slice is covered.

Occlusion sensitivity (Zeiler and Fergus 2014, "Visualizing and understanding convolutional networks", section 4.2):
a square is moved over the slice, what lies under it is replaced, and the fall of the answer's probability is noted.
What replaces it is the slice's own head, blurred until no structure is left: a grey or black square would be a sign of
its own. A map tells which places the answer hangs on; a sign that stands in several places at once hangs on none.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from data_contracts.manifest import DIAGNOSES, TUMOUR

Images = NDArray[np.float32]
Flags = NDArray[np.bool_]

PATCH: Final = 3 / 16  # side of the square, of the slice's side: near that of a lesion that is seen at a glance
STRIDE: Final = 3 / 32  # by which it is moved: half of it, so that each place is covered four times
BLUR: Final = 1 / 4  # standard deviation of what fills it: wider than the square, or a large lesion would show through
MOST: Final = 4  # slices drawn of each diagnosis, of those called right and of those called wrong


def occlusion_maps(
    predict: Callable[[Images], NDArray[np.float64]], images: Images, *, heads: Flags, tumour: Flags
) -> Images:
    """Fall of a probability where a square is blurred, mean over the squares that lie on a pixel: float32 (N, S, S).

    predict: images (M, 1, S, S) to the probability of tumour (M,). images: float32 (N, 1, S, S) in [-1, 1], air -1;
    heads: bool (N, S, S). tumour: bool (N,), of which slices the probability of tumour is meant; of the others that of
    no tumour. A map is in [-1, 1], positive where what is there speaks for that answer, and 0 outside of the head.
    """
    side = images.shape[-1]
    patch, stride = max(2, round(PATCH * side)), max(1, round(STRIDE * side))
    fall = fall_where_covered(predict, images, neutral(images, heads), heads=heads, patches=(patch,), stride=stride)
    sign = np.where(tumour, 1.0, -1.0)  # a probability of no tumour falls as that of tumour rises
    return np.where(heads, sign[:, None, None] * fall, 0).astype(np.float32)


def fall_where_covered(
    predict: Callable[[Images], NDArray[np.float64]],
    images: Images,
    filling: Images,
    *,
    heads: Flags,
    patches: Sequence[int],
    stride: int,
) -> NDArray[np.float64]:
    """Fall of an answer where a square is replaced by `filling`, mean over the squares on a pixel: float64 (N, S, S).

    predict: images (M, 1, S, S) to the answer (M,). images, filling: float32 (N, 1, S, S); heads: bool (N, S, S).
    patches: sides of the squares in pixels, whose maps are averaged; stride: pixels by which they move. Squares that
    hold no head are not tried; they reach over the edge, so that the outermost pixels are covered as often as others.
    """
    side = images.shape[-1]
    whole = predict(images)
    found = np.zeros((len(images), side, side))
    for patch in patches:
        total, count = np.zeros_like(found), np.zeros((side, side))
        for row, column in itertools.product(range(stride - patch, side, stride), repeat=2):
            rows, columns = slice(max(row, 0), row + patch), slice(max(column, 0), column + patch)
            count[rows, columns] += 1
            tried = np.flatnonzero(heads[:, rows, columns].any((1, 2)))
            if not len(tried):
                continue
            covered = images[tried]
            covered[..., rows, columns] = filling[tried][..., rows, columns]
            total[tried, rows, columns] += (whole[tried] - predict(covered))[:, None, None]
        found += total / count / len(patches)
    return found


def neutral(images: Images, heads: Flags) -> Images:
    """Each slice's head blurred until only its brightness from one side to the other is left; shape and range kept.

    images (N, 1, S, S), heads (N, S, S). The air about a head neither darkens it nor is filled: a darker rim, or a
    halo, would be a sign.
    """
    sigma = BLUR * images.shape[-1]
    inside = heads[:, None].astype(np.float32)
    bright, share = (
        ndimage.gaussian_filter(of, (0, 0, sigma, sigma), mode="constant") for of in ((images + 1) * inside, inside)
    )
    return np.where(heads[:, None], bright / np.maximum(share, 1e-6) - 1, images).astype(np.float32)


def shares_in_lesion(map_: Images, *, lesion: Flags, head: Flags) -> tuple[float, float] | None:
    """Share of a map's positive part that lies in the lesion, and the lesion's share of the head; all (S, S).

    Both inside of the head alone, so that a map which is the same everywhere gives two equal shares. None where there
    is no lesion in the head, or nothing positive.
    """
    positive = np.where(head, np.maximum(map_, 0), 0).astype(np.float64)
    inside = lesion & head
    if not inside.any() or not positive.any():
        return None
    return float(positive[inside].sum() / positive.sum()), float(inside.sum() / head.sum())


def draw_cases(
    *, diagnoses: NDArray[np.str_], groups: NDArray[np.str_], right: Flags, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Rows of up to MOST slices of each diagnosis that are called right, and as many that are called wrong.

    diagnoses, groups, right: (N,). By lot, nobody picks, but a group stands twice in a lot only where others do not
    suffice: copies of one picture teach nothing. Tumour first, of each diagnosis the right ones first, in their order.
    """
    found = []
    for diagnosis in sorted(DIAGNOSES, key=lambda name: name != TUMOUR):
        for called_right in (True, False):
            rows = rng.permutation(np.flatnonzero((diagnoses == diagnosis) & (right == called_right)))
            firsts = np.sort(np.unique(groups[rows], return_index=True)[1])  # of each group, in the order of the lot
            lot = np.concatenate([rows[firsts], np.delete(rows, firsts)])
            found.append(np.sort(lot[:MOST]))
    return np.concatenate(found).astype(np.int64)
