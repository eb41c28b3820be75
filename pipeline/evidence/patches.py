"""Copies inside of painted regions: is the part that was painted a part of some patient?

A painted slice is a real slice but for one region, so of whole slices only one answer could come. Here only the region
is compared, by the rule of `memorisation`: how much nearer is it to one training subject than to the next, and how
near are real patches of different subjects, by the same search.

Nothing but pixels that were painted wholly is looked at. The soft edge and what lies around are the source's own: with
them every painting would be a copy of its source, or of the neighbours of it. Nor does the region's outline count, for
painted lesions have the outline of a training lesion by design: what is outside of it takes the mean of what is inside,
and so adds nothing to a correlation. Two things are painted, and each might be copied in its own way:

- a lesion, laid anywhere: lesions are cut out about their centre, brought to one size, and compared however they are
  mirrored, turned, moved and scaled (`registration`);
- healthy tissue over a lesion, at its place in the head: it is compared with the same place of other subjects' slices,
  mirrored and shifted a little. The subject of the source is left out: what looks like the rest of the same head is
  what was asked for, and shows nobody who is not in the slice anyway.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch.nn import functional as F

from data_contracts.results import MemorisationScores
from pipeline.evidence.memorisation import MOST_SLICES, QUANTILE, SAME, SMALLEST_THRESHOLD, nearest

Images = NDArray[np.float32]
Masks = NDArray[np.bool_]
PATCH: Final = 64  # pixels a side of a lesion cut out
MARGIN: Final = 0.1  # of a lesion's reach: empty rim of its patch
TURNS: Final = (-16.0, 0.0, 16.0)  # degrees; what lies between, and a little beyond, the alignment reaches
FRAME: Final = 64  # pixels a side at which places are compared; smaller slices as they are
SHIFT: Final = 4  # of such pixels: how far tissue may have been moved
FLAT: Final = 0.01  # standard deviation of grey in [-1, 1] up to which a patch shows nothing
FEWEST: Final = 1000  # real patches that the threshold at places is read from, at least
HALF_STEP: Final = 1 / 255 + 1e-6  # half a grey step of 8 bits in [-1, 1], and what float32 may lose


@dataclass(frozen=True, eq=False)
class PaintedCopies:
    """Of N painted regions, each (N,): relative distance to the nearest real patch, that slice's index, the verdict.

    Distances are those of `memorisation.nearest`: 0 is a copy, 1 no nearer to one subject than to the next. A region is
    a near-copy at or below the threshold. held_out_distances (H,): of real patches of subjects nobody learned from.
    """

    near_copy: NDArray[np.bool_]
    distances: NDArray[np.float32]
    nearest: NDArray[np.int64]
    threshold: float
    held_out_distances: NDArray[np.float32]

    @property
    def held_out_near_copy_share(self) -> float:
        """Share of held-out patches that would be called copies; NaN without any."""
        return float((self.held_out_distances <= self.threshold).mean()) if len(self.held_out_distances) else np.nan


def painted_copies(
    *,
    painted: Images,
    regions: Masks,
    training: Images,
    training_groups: Sequence[str],
    held_out: Images,
    training_regions: Masks | None = None,
    held_out_regions: Masks | None = None,
    painted_groups: Sequence[str] | None = None,
) -> PaintedCopies:
    """Find painted regions that copy a training subject, by a threshold read from training slices alone.

    painted float32 (N, 1, S, S) in [-1, 1] and regions (N, S, S), what was painted wholly, without its soft edge;
    training (M, 1, S, S) and held_out (H, 1, S, S): real slices of the same diagnosis, the latter of other subjects.
    training_regions (M, S, S): lesions, which are looked for wherever a painting may have put them; slices where they
    are empty are left out. None: the tissue at the place of each region is looked at. held_out_regions (H, S, S) are
    the held-out lesions; None, where they are not known, and always without training_regions: patches at the painted
    regions stand in for them. painted_groups (N,): subjects that are not compared with, those of the sources of
    painted healthy tissue; None: all are. What is not finite is read as grey; an empty or flat region copies nobody.
    Raises ValueError with fewer than three training subjects, or fewer than two others than a source's.
    """
    if len(np.unique(np.asarray(training_groups))) < 3:
        raise ValueError("copies are told from likeness by comparing with at least three training subjects")
    painted, training, held_out = _finite(painted), _finite(training), _finite(held_out)
    if training_regions is None:
        return _copies_of_places(
            painted,
            regions,
            training=training,
            groups=training_groups,
            held_out=held_out,
            painted_groups=painted_groups,
        )
    if held_out_regions is None:
        turns = np.arange(len(held_out)) % max(1, len(regions))
        held_out_regions = np.asarray(regions, np.bool_)[turns]
    known = np.flatnonzero(np.asarray(training_regions).any(axis=(1, 2)))
    shown = np.flatnonzero(np.asarray(held_out_regions).any(axis=(1, 2)))
    found = _copies_of_lesions(
        lesion_patches(painted, regions),
        lesions=_Lesions(training[known], training_regions[known], [training_groups[int(row)] for row in known]),
        held_out=lesion_patches(held_out[shown], held_out_regions[shown]),
        painted_groups=painted_groups,
    )
    return PaintedCopies(
        found.near_copy, found.distances, known[found.nearest], found.threshold, found.held_out_distances
    )


def outside_copy_share(*, painted: Images, regions: Masks, sources: Images) -> float:
    """Share of painted slices that equal their source outside of the region that may differ, its soft edge included.

    painted and sources float32 (N, 1, S, S) in [-1, 1], regions (N, S, S). Equal: every pixel within half a grey step
    of 8 bits. 1 by design. Raises ValueError for no slices.
    """
    if not len(painted):
        raise ValueError("no painted slices to compare with their sources")
    with np.errstate(invalid="ignore"):
        same = np.abs(painted[:, 0] - sources[:, 0]) <= HALF_STEP  # false where either is not finite
    return float((same | np.asarray(regions, np.bool_)).all(axis=(1, 2)).mean())


def score_painted(
    *,
    fold: int,
    diagnosis: str,
    copies: PaintedCopies,
    outside: float | None,
    n_broken: int,
    n_kept: int,
    contains_patient_anatomy: bool = True,
) -> MemorisationScores:
    """Sum up copies inside of painted regions; n_held_out_real counts patches.

    outside: `outside_copy_share`. contains_patient_anatomy: false only where the slices painted in are synthetic
    themselves. Raises ValueError where nothing was painted, or nothing held out.
    """
    if not len(copies.distances) or not len(copies.held_out_distances):
        raise ValueError(f"fold {fold}, {diagnosis}: nothing to compare, painted or held out")
    return MemorisationScores(
        fold=fold,
        diagnosis=diagnosis,
        n_generated=len(copies.distances),
        n_near_copies=int(copies.near_copy.sum()),
        n_broken=n_broken,
        n_kept=n_kept,
        threshold=copies.threshold,
        n_held_out_real=len(copies.held_out_distances),
        median_distance_synthetic=float(np.median(copies.distances)),
        median_distance_held_out_real=float(np.median(copies.held_out_distances)),
        held_out_real_near_copy_share=copies.held_out_near_copy_share,
        contains_patient_anatomy=contains_patient_anatomy,
        outside_copy_share=outside,
        compared="regions",
    )


def lesion_patches(images: Images, regions: Masks, *, turn: float = 0.0) -> Images:
    """Regions (N, S, S) of slices (N, 1, S, S), cut out and turned by degrees: float32 (N, 1, PATCH, PATCH).

    A patch is a square about the region's centre of mass as wide as its farthest pixel asks for, so that it is the same
    however the region was moved or scaled. Grey is less the region's mean; 0 outside of it, and all over for a region
    that is empty or flat.
    """
    found = np.zeros((len(images), 1, PATCH, PATCH), np.float32)
    line = (np.arange(PATCH) + 0.5) * (2 / PATCH) - 1
    rows, columns = np.meshgrid(line, line, indexing="ij")
    cos, sin = np.cos(np.deg2rad(turn)), np.sin(np.deg2rad(turn))
    turned = np.stack([cos * rows - sin * columns, sin * rows + cos * columns])
    for patch, image, region in zip(found[:, 0], images[:, 0], regions, strict=True):
        pixels = np.argwhere(region)
        if not len(pixels):
            continue
        centre = pixels.mean(axis=0)
        reach = (np.hypot(*(pixels - centre).T).max() + 0.5) * (1 + MARGIN)
        at = centre[:, None, None] + reach * turned
        # painted pixels alone are mixed, or the source's own would shine in at the edge
        share = ndimage.map_coordinates(np.asarray(region, np.float32), at, order=1)
        grey = ndimage.map_coordinates(np.where(region, image, np.float32(0)), at, order=1)
        inside = share > 0.5
        if not inside.any():  # a few pixels far apart
            continue
        values = grey[inside] / share[inside]
        if values.std() > FLAT:
            patch[inside] = values - values.mean()
    return found


class _Lesions(NamedTuple):
    """Real training lesions: float32 (M, 1, S, S), bool (M, S, S), and whose they are."""

    images: Images
    regions: Masks
    groups: Sequence[str]


def _copies_of_lesions(
    patches: Images, *, lesions: _Lesions, held_out: Images, painted_groups: Sequence[str] | None
) -> PaintedCopies:
    """Compare patches with those of training lesions at every turn; `nearest` moves, mirrors and scales them."""
    upright = lesion_patches(lesions.images, lesions.regions)
    turned = [lesion_patches(lesions.images, lesions.regions, turn=turn) if turn else upright for turn in TURNS]
    against, groups = np.concatenate(turned), list(lesions.groups) * len(TURNS)

    def find(some: Images, own: Sequence[str] | None = None) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        return nearest(some, against, training_groups=groups, image_groups=own, search=True)

    asked = np.linspace(0, len(upright) - 1, min(len(upright), MOST_SLICES)).round().astype(np.int64)
    between, _ = find(upright[asked], [lesions.groups[int(row)] for row in asked])
    distances, indices = find(patches, painted_groups)
    return _judged(distances, indices % len(upright), between=between, held_out=find(held_out)[0])


def _copies_of_places(
    painted: Images,
    regions: Masks,
    *,
    training: Images,
    groups: Sequence[str],
    held_out: Images,
    painted_groups: Sequence[str] | None,
) -> PaintedCopies:
    """Compare each region with its place in the training slices, beside other real slices cut by the same region.

    Those are training slices against other subjects' (the threshold) and held-out ones (the reference), all in turn:
    regions differ in how much they tell, so both are read from the regions that were painted.
    """
    names, group_of = np.unique(np.asarray(groups), return_inverse=True)
    of_source = np.full(len(painted), -1) if painted_groups is None else _numbers(painted_groups, names)
    side = min(FRAME, painted.shape[-1])
    ours, others, strangers = (_reduced(images, side) for images in (painted, training, held_out))
    both_ways = torch.cat([others, others.flip(-1)])
    n_between = -(-max(FEWEST, len(training)) // max(1, len(painted)))  # a region
    n_held_out = -(-len(held_out) // max(1, len(painted)))
    distances, indices = np.empty(len(painted), np.float32), np.empty(len(painted), np.int64)
    between, reference = [], []
    for i, region in enumerate(regions):
        drawn = (i + np.arange(n_between) * len(training) // n_between) % len(training)  # spread over the heads
        met = (i * n_held_out + np.arange(n_held_out)) % max(1, len(held_out))
        asked = torch.cat([ours[i : i + 1], others[drawn], strangers[met]])
        likeness = _likeness_at(asked, both_ways, _reduced_region(region, side))
        own = np.concatenate([of_source[i : i + 1], group_of[drawn], np.full(len(met), -1)])
        relative, nearest_one = _relative(1 - likeness, group_of=group_of, own=own)
        distances[i], indices[i] = relative[0], nearest_one[0]
        between.append(relative[1 : 1 + n_between])
        reference.append(relative[1 + n_between :])
    empty = np.empty(0, np.float32)
    return _judged(
        distances, indices, between=np.concatenate([*between, empty]), held_out=np.concatenate([*reference, empty])
    )


@torch.no_grad()
def _likeness_at(asked: torch.Tensor, slices: torch.Tensor, region: Masks) -> NDArray[np.float32]:
    """Best correlation, over shifts and the mirror, of slices' pixels in one region: float32 (Q, M).

    asked (Q, 1, S, S) at the region, bool (S, S); slices (2 M, 1, S, S): M and their mirrors, around it. Patches that
    are flat correlate with nothing (0).
    """
    rows, columns = (np.flatnonzero(region.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return np.zeros((len(asked), len(slices) // 2), np.float32)
    top, left, bottom, right = rows[0], columns[0], rows[-1] + 1, columns[-1] + 1
    inside = torch.from_numpy(region[top:bottom, left:right]).float()[None, None]
    n = float(inside.sum())
    cut = asked[..., top:bottom, left:right] * inside
    template = (cut - cut.sum((2, 3), keepdim=True) / n) * inside
    length = template.flatten(1).norm(dim=1)
    flat = length <= FLAT * n**0.5
    template = template / torch.where(flat, torch.inf, length)[:, None, None, None]
    around = F.pad(slices, (SHIFT,) * 4, mode="replicate")
    around = around[..., top : bottom + 2 * SHIFT, left : right + 2 * SHIFT]
    around = around - around.mean((2, 3), keepdim=True)  # sums of squares lose less
    shared = F.conv2d(around, template)
    spread = F.conv2d(around**2, inside) - F.conv2d(around, inside) ** 2 / n
    spread = torch.where(spread > n * FLAT**2, spread, torch.inf)
    best = (shared / spread.sqrt()).flatten(2).amax(2)  # (2 M, Q)
    found: NDArray[np.float32] = torch.maximum(*best.T.chunk(2, dim=1)).numpy()
    return found


def _relative(
    distances: NDArray[np.float32], *, group_of: NDArray[np.int64], own: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """As `memorisation.nearest` of distances (Q, M): relative distance and index (Q,); own (Q,): not compared with."""
    apart = np.where(group_of[None] == own[:, None], np.inf, np.maximum(distances, 0))
    order = np.argsort(group_of, kind="stable")
    starts = np.flatnonzero(np.diff(group_of[order], prepend=-1))
    by_group = np.minimum.reduceat(apart[:, order], starts, axis=1)
    first, second = np.partition(by_group, 1, axis=1)[:, :2].T
    if not np.isfinite(second).all():
        raise ValueError("copies are told from likeness by comparing with at least two other subjects")
    relative = np.where(first > SAME, first / np.maximum(second, SAME), 0)
    return relative.astype(np.float32), apart.argmin(axis=1).astype(np.int64)


def _judged(
    distances: NDArray[np.float32],
    indices: NDArray[np.int64],
    *,
    between: NDArray[np.float32],
    held_out: NDArray[np.float32],
) -> PaintedCopies:
    """The verdict by real patches of different training subjects; none of them: only an exact copy is one."""
    quantile = float(np.quantile(between, QUANTILE)) if len(between) else 0.0
    threshold = max(quantile, SMALLEST_THRESHOLD)
    return PaintedCopies(distances <= threshold, distances, indices, threshold, held_out)


def _finite(images: Images) -> Images:
    return np.where(np.isfinite(images), images, np.float32(0))


def _numbers(groups: Sequence[str], names: NDArray[np.str_]) -> NDArray[np.int64]:
    """Of each group its number among names, -1 for one that is not there."""
    number = {str(name): at for at, name in enumerate(names)}
    return np.array([number.get(group, -1) for group in groups], np.int64)


def _reduced(images: Images, side: int) -> torch.Tensor:
    return F.adaptive_avg_pool2d(torch.from_numpy(np.array(images, np.float32)), side)


def _reduced_region(region: Masks, side: int) -> Masks:
    """Cells of side x side that were painted wholly; of a region that fills none, those it fills most."""
    share = F.adaptive_avg_pool2d(torch.from_numpy(np.array(region, np.float32))[None], side)[0].numpy()
    if not share.any():
        return np.zeros((side, side), np.bool_)
    return np.asarray(share >= min(1 - 1e-6, float(share.max())), dtype=np.bool_)
