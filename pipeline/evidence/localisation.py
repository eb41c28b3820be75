"""Where is the lesion in a training slice of which only the diagnosis is known?

Four maps say how suspicious each pixel is. Two ask a classifier that never saw the patient: how far the tumour logit
falls where a patch is replaced by the mirrored hemisphere (occlusion, Zeiler and Fergus 2014, "Visualizing and
understanding convolutional networks", section 4.2), and how much of the logit each pixel carries on the way from a
healthy likeness to the slice (integrated gradients, Sundararajan et al. 2017, equation 1). Two need no network: how
unlike the other hemisphere a place is, and how unlike the same place of the most alike heads without a tumour. Their
product says where the lesion is; the last of them, which alone follows edges, how far it reaches. Whether the region
found is the lesion cannot be seen without a mask, so each is judged by how strange it is by the two maps that need no
network, against what the same search finds in slices that have no tumour. What its repair does to a classifier judges
worse: where the pictures' sources tell the diagnosis the verdict stays, however well the lesion was found.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from scipy import ndimage
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold
from torch.nn import functional as F

from data_contracts.manifest import DIAGNOSES, TUMOUR
from pipeline.compute import Compute
from pipeline.evidence.classifier import ClassifierConfig, predict_logits, train_classifier
from pipeline.evidence.classifier_networks import Classifier
from pipeline.evidence.occlusion import fall_where_covered

Images = NDArray[np.float32]
Masks = NDArray[np.bool_]
Map = Literal["occlusion", "gradient", "asymmetry", "unlikeness"]

IS_TUMOUR: Final = DIAGNOSES.index(TUMOUR)
AIR: Final = -0.95  # grey up to which a pixel is of no head; air is -1
TILTS: Final = tuple(range(-16, 17, 4))  # degrees by which a mirrored head may stand turned: twice the axis' tilt
OFFSETS: Final = tuple(np.linspace(-0.12, 0.12, 9))  # of the mirror axis from the middle; 1 is half a side
ALIKE_AT: Final = 16  # pixels a side at which heads are compared to find the most alike
NOISE: Final = 0.1  # grey: spread below which healthy heads are not told apart
STEPS: Final = 12  # of the integral along the path
BATCH: Final = 256


class LocalisationConfig(BaseModel):
    """How lesions are looked for. Lengths are shares of the side, areas of the head's area."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    classifier: ClassifierConfig = ClassifierConfig(steps=300)
    folds: int = Field(3, ge=2)  # inner folds: each is looked at by a classifier of the others
    maps: tuple[Map, ...] = Field(("occlusion", "gradient", "asymmetry", "unlikeness"), min_length=1)
    patches: tuple[float, ...] = Field((0.125, 0.25), min_length=1)  # sides of what occlusion replaces
    stride: float = Field(0.0625, gt=0, le=0.5)
    alike: int = Field(40, ge=2)  # healthy heads that a slice is compared with
    smoothing: float = Field(0.0125, ge=0)  # standard deviation; half of it before heads are compared
    floor: float = Field(0.2, gt=0)  # of each factor of the product: no map alone rules a place out
    rim: float = Field(0.08, ge=0)  # of a head, where no peak is looked for: skulls do not lie on one another
    reach: float = Field(0.045, ge=0)  # about the peak, where the unlikeness must be greatest to be the lesion's
    share_of_peak: float = Field(0.35, gt=0, lt=1)
    smallest: float = Field(0.005, gt=0, lt=1)
    largest: float = Field(0.25, gt=0, le=1)
    healthy_tried: int = Field(100, ge=1)  # slices without a tumour that are searched too
    healthy_quantile: float = Field(0.9, gt=0, lt=1)  # of the confidence in those; more than it is good enough


@dataclass(frozen=True)
class Found:
    """Lesions found in the M tumour slices, in their order.

    masks: bool (M, S, S). peaks: row and column of the most suspicious pixel, int (M, 2). confidence: how strange the
    region is (`strangeness`), float64 (M,), 0 or more. usable: bool (M,), those of a confidence above `limit`. Even of
    these a part of the lesion may lie outside: their shapes serve, but no slice without a tumour can be made of them.
    """

    masks: Masks
    peaks: NDArray[np.int64]
    confidence: NDArray[np.float64]
    usable: NDArray[np.bool_]
    limit: float
    method: str


@dataclass(frozen=True)
class Suspicion:
    """What each map says of n slices: float32 (n, S, S), 0 or more, about 1 where a head is most suspicious.

    rows: int (n,), which of the slices given, the n_tumour with a tumour first. heads: bool (n, S, S). asymmetry and
    unlikeness: float32 (n, S, S), these two before they are brought to 1, so that slices can be compared: in grey, and
    in spreads of healthy heads. fold: int (n,), the inner one whose classifier looked at a slice and never learned it.
    """

    rows: NDArray[np.int64]
    n_tumour: int
    maps: dict[Map, Images]
    heads: Masks
    asymmetry: Images
    unlikeness: Images
    fold: NDArray[np.int64]


def find_lesions(
    *,
    images: Images,
    diagnoses: NDArray[np.int64],
    groups: Sequence[str],
    config: LocalisationConfig,
    seed: int,
    compute: Compute,
) -> Found:
    """Find the lesion in every tumour slice of a training part, and tell the finds that are good enough.

    images float32 (N, 1, S, S) in [-1, 1], S even, air -1; diagnoses int (N,), indices into DIAGNOSES; groups (N,):
    the patient or duplicate group of each. No mask is used. The seed decides folds, classifiers and which no-tumour
    slices are searched for the limit. Raises ValueError where a diagnosis has fewer groups than there are folds.
    """
    seen = searched(images=images, diagnoses=diagnoses, groups=groups, config=config, seed=seed, compute=compute)
    masks, peaks = delineate(combined(seen.maps, config), seen.maps["unlikeness"], seen.heads, config)
    return judged(masks, peaks, seen, config)


def searched(
    *,
    images: Images,
    diagnoses: NDArray[np.int64],
    groups: Sequence[str],
    config: LocalisationConfig,
    seed: int,
    compute: Compute,
) -> Suspicion:
    """The maps of all tumour slices and, after them, of the no-tumour slices that set the limit; as `find_lesions`."""
    healthy = np.flatnonzero(diagnoses != IS_TUMOUR)
    rng = np.random.default_rng(seed)
    tried = np.sort(rng.choice(healthy, min(config.healthy_tried, len(healthy)), replace=False))
    return suspicion(
        images=images,
        diagnoses=diagnoses,
        groups=groups,
        rows=np.concatenate([np.flatnonzero(diagnoses == IS_TUMOUR), tried]),
        config=config,
        seed=seed,
        compute=compute,
    )


def judged(masks: Masks, peaks: NDArray[np.int64], seen: Suspicion, config: LocalisationConfig) -> Found:
    """The tumour slices' regions with their confidence, and which exceed what no-tumour slices reach by chance.

    masks and peaks: of the rows of `seen`.
    """
    confidence, n = strangeness(masks, seen), seen.n_tumour
    limit = float(np.quantile(confidence[n:], config.healthy_quantile))
    method = f"{' x '.join(config.maps)}, cut by unlikeness; {config.folds} inner folds"
    return Found(masks[:n], peaks[:n], confidence[:n], confidence[:n] > limit, limit, method)


def strangeness(masks: Masks, seen: Suspicion) -> NDArray[np.float64]:
    """How strange regions, bool (n, S, S) of the rows of `seen`, are: float64 (n,), 0 of an empty one.

    The geometric mean of a region's mean asymmetry and mean unlikeness: a ventricle may be unlike other heads' and a
    skull unlike its other side, a lesion is both.
    """
    size = np.maximum(masks.sum((1, 2)), 1)
    lopsided, unlike = ((of * masks).sum((1, 2)) / size for of in (seen.asymmetry, seen.unlikeness))
    return np.asarray(np.sqrt(lopsided * unlike), np.float64)


def score_found(found: Found, true_masks: Masks, *, chosen: Masks | None = None) -> tuple[float, float]:
    """Mean Dice of the found regions, and the share whose most suspicious pixel lies in the true lesion.

    true_masks: bool (M, S, S), of the same slices; chosen: bool (M,), those that count, all where it is not given.
    NaN both where none counts.
    """
    rows = np.arange(len(found.masks)) if chosen is None else np.flatnonzero(chosen)
    if not len(rows):
        return math.nan, math.nan
    mine, true = found.masks[rows], np.asarray(true_masks, bool)[rows]
    shared, both = (mine & true).sum((1, 2)), mine.sum((1, 2)) + true.sum((1, 2))
    hits = true[np.arange(len(rows)), found.peaks[rows, 0], found.peaks[rows, 1]]
    return float(np.mean(2 * shared / np.maximum(both, 1))), float(hits.mean())


def suspicion(
    *,
    images: Images,
    diagnoses: NDArray[np.int64],
    groups: Sequence[str],
    rows: NDArray[np.int64],
    config: LocalisationConfig,
    seed: int,
    compute: Compute,
) -> Suspicion:
    """The maps of config.maps, and unlikeness in any case, of some of the slices; arguments as in `find_lesions`.

    Brightness counts as it tells the diagnoses apart; of occlusion and gradients what speaks for a tumour.
    """
    side = images.shape[-1]
    sigma = config.smoothing * side
    fold, models = _cross_fitted(images, diagnoses, groups, config=config, seed=seed, compute=compute)
    heads, mirror = heads_of(images), mirrored(images)
    z, likeness = unlikeness(images, diagnoses, groups, alike=config.alike, sigma=sigma / 2)
    bright, dark = np.array(brightness_tells(z, heads, diagnoses), np.float32)
    likeness = np.where(heads, likeness, np.float32(-1))[:, None]
    unlike, lopsided = (bright * np.maximum(of, 0) - dark * np.minimum(of, 0) for of in (z, (images - mirror)[:, 0]))
    found: dict[Map, Images] = {"unlikeness": unlike[rows], "asymmetry": lopsided[rows]}
    found |= {"occlusion": np.zeros_like(z[rows]), "gradient": np.zeros_like(z[rows])}
    for i, model in enumerate(models):
        here = fold[rows] == i
        at = rows[here]
        if "occlusion" in config.maps:
            found["occlusion"][here] = occlusion(model, images[at], mirror[at], heads[at], config)
        if "gradient" in config.maps:
            found["gradient"][here] = integrated_gradients(model, images[at], likeness[at])
    inside = _inside(heads[rows], config.rim * side)
    maps = {
        name: _in_units(_smooth(of, sigma), heads[rows], inside)
        for name, of in found.items()
        if name in config.maps or name == "unlikeness"
    }
    n_tumour = int((diagnoses[rows] == IS_TUMOUR).sum())
    return Suspicion(rows, n_tumour, maps, heads[rows], found["asymmetry"], found["unlikeness"], fold[rows])


def _cross_fitted(
    images: Images,
    diagnoses: NDArray[np.int64],
    groups: Sequence[str],
    *,
    config: LocalisationConfig,
    seed: int,
    compute: Compute,
) -> tuple[NDArray[np.int64], tuple[Classifier, ...]]:
    """The inner fold of each slice, and for each fold a classifier that was trained on the others."""
    of = np.array(groups)
    for diagnosis in range(len(DIAGNOSES)):
        if (n := len(set(of[diagnoses == diagnosis]))) < config.folds:
            raise ValueError(f"{n} groups with {DIAGNOSES[diagnosis]}, want one for each of {config.folds} folds")
    fold = np.zeros(len(images), np.int64)
    models = []
    folder = StratifiedGroupKFold(config.folds, shuffle=True, random_state=seed)
    for i, (learnt, held) in enumerate(folder.split(images, diagnoses, of)):
        fold[held] = i
        model = train_classifier(
            images=images[learnt],
            diagnoses=diagnoses[learnt],
            classic=True,
            config=config.classifier,
            seed=seed + i,
            compute=compute,
        )
        models.append(model)
    return fold, tuple(models)


def combined(maps: dict[Map, Images], config: LocalisationConfig) -> Images:
    """Geometric mean of the maps of config.maps, each raised by config.floor: float32 (n, S, S)."""
    logs = [np.log(maps[name] + config.floor) for name in config.maps]
    return np.asarray(np.exp(np.mean(logs, axis=0)) - config.floor, np.float32)


def delineate(
    where: Images, extent: Images, heads: Masks, config: LocalisationConfig
) -> tuple[Masks, NDArray[np.int64]]:
    """The region about the peak of `where` in which `extent` is more than a share of its own peak there.

    Maps float32 (n, S, S), heads bool (n, S, S) -> masks bool (n, S, S) and peaks int (n, 2). Too large a region is
    cut higher, down to the head's share config.largest; one smaller than config.smallest is empty.
    """
    side = where.shape[-1]
    inside, reached = _inside(heads, config.rim * side), _inside(heads, config.rim * side / 2)
    masks, peaks = np.zeros(heads.shape, bool), np.zeros((len(heads), 2), np.int64)
    reach = round(config.reach * side)
    for i, (head, within, wide) in enumerate(zip(heads, inside, reached, strict=True)):
        if not within.any():
            continue
        row, column = np.unravel_index(np.where(within, where[i], -np.inf).argmax(), head.shape)
        peaks[i] = row, column
        near = np.zeros_like(head)
        near[max(row - reach, 0) : row + reach + 1, max(column - reach, 0) : column + reach + 1] = True
        there = np.where(wide, extent[i], 0)
        start = np.unravel_index(np.where(near, there, -1).argmax(), head.shape)
        for share in np.linspace(config.share_of_peak, 1, 12, endpoint=False):
            parts, _ = ndimage.label(there > share * there[start])
            region = ndimage.binary_fill_holes(parts == parts[start]) & head & (there[start] > 0)
            if region.sum() <= config.largest * head.sum():
                break
        if config.smallest * head.sum() <= region.sum() <= config.largest * head.sum():
            masks[i] = region
    return masks, peaks


def _in_units(values: Images, heads: Masks, inside: Masks) -> Images:
    """Maps without what is negative or outside of the head, each in units of the 99th percentile well inside."""
    positive = np.where(heads, np.maximum(values, 0), 0).astype(np.float32)
    tops = [np.quantile(one[within], 0.99) if within.any() else 0 for one, within in zip(positive, inside, strict=True)]
    return np.asarray(positive / np.maximum(np.array(tops, np.float32), 1e-6)[:, None, None])


def _inside(heads: Masks, rim: float) -> Masks:
    """Heads without what lies less than `rim` pixels from the outside."""
    return np.stack([ndimage.distance_transform_edt(np.pad(head, 1))[1:-1, 1:-1] > rim for head in heads])


def heads_of(images: Images) -> Masks:
    """The head in each slice (N, 1, S, S) in [-1, 1] without its holes: bool (N, S, S)."""
    found = np.zeros((len(images), *images.shape[2:]), bool)
    for head, image in zip(found, images[:, 0], strict=True):
        head[:] = ndimage.binary_fill_holes(_largest(ndimage.binary_closing(image > AIR)))
    return found


def _largest(mask: Masks) -> Masks:
    parts, n = ndimage.label(mask)
    if not n:
        return mask
    return np.asarray(parts == 1 + np.bincount(parts.ravel())[1:].argmax())


@torch.no_grad()
def mirrored(images: Images) -> Images:
    """Each head mirrored about its own midline, so that a place shows its counterpart: shape and range as given.

    The axis is the one of a grid of tilts and offsets about the vertical for which a head is most like its mirror
    image in the mean absolute difference, in which a lesion weighs less than in squares.
    """
    x = torch.from_numpy(np.array(images, np.float32))
    seen = F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)
    best = torch.full((len(x),), torch.inf)
    chosen = torch.zeros(len(x), 2, 3)
    for tilt in TILTS:
        cos, sin = math.cos(math.radians(tilt)), math.sin(math.radians(tilt))
        for offset in OFFSETS:
            # reflection about the line through (offset, 0): p -> c + R (p - c)
            theta = torch.tensor([[-cos, sin, offset * (1 + cos)], [sin, cos, -offset * sin]], dtype=x.dtype)
            away = (_warped(seen, theta.expand(len(x), 2, 3)) - seen).abs().mean((1, 2, 3))
            better = away < best
            best, chosen = torch.where(better, away, best), torch.where(better[:, None, None], theta, chosen)
    return _warped(x, chosen).numpy()


def _warped(images: torch.Tensor, theta: torch.Tensor) -> torch.Tensor:
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images + 1, grid, align_corners=False) - 1  # air, -1, beyond the frame


def unlikeness(
    images: Images, diagnoses: NDArray[np.int64], groups: Sequence[str], *, alike: int, sigma: float
) -> tuple[Images, Images]:
    """How far each pixel lies from the same place of healthy heads, in their spread, and what those heads show there.

    The `alike` no-tumour slices or their mirror images that are most alike a slice when seen coarsely, none of its
    own group, stand for its height, place and sequence. sigma: pixels of smoothing before. Both float32 (N, S, S).
    """
    of = np.array(groups)
    healthy = diagnoses != IS_TUMOUR
    pool = np.concatenate([images[healthy], images[healthy][..., ::-1]])[:, 0]
    pool_of = np.tile(of[healthy], 2)
    coarse, coarse_pool = _coarse(images[:, 0]), _coarse(pool)
    smooth, smooth_pool = _smooth(images[:, 0], sigma), _smooth(pool, sigma)
    z, likeness = np.empty_like(smooth), np.empty_like(smooth)
    for i, distances in enumerate(1 - coarse @ coarse_pool.T):
        others = np.flatnonzero(pool_of != of[i])
        chosen = others[np.argsort(distances[others], kind="stable")[:alike]]
        mean = smooth_pool[chosen].mean(0)
        spread = np.sqrt(smooth_pool[chosen].var(0) + NOISE**2)
        z[i], likeness[i] = (smooth[i] - mean) / spread, mean
    return z, likeness


def _coarse(images: Images) -> Images:
    """Slices (N, S, S) as centred rows of length 1, so that a product is a correlation."""
    small = F.adaptive_avg_pool2d(torch.from_numpy(np.array(images)), ALIKE_AT).flatten(1).numpy()
    small = small - small.mean(1, keepdims=True)
    return np.asarray(small / np.maximum(np.linalg.norm(small, axis=1, keepdims=True), 1e-6))


def _smooth(images: Images, sigma: float) -> Images:
    return ndimage.gaussian_filter(images, (0, sigma, sigma)) if sigma else images


def brightness_tells(z: Images, heads: Masks, diagnoses: NDArray[np.int64]) -> tuple[float, float]:
    """How far being brighter, and being darker, than healthy heads tells the diagnoses apart: two weights, larger 1.

    Of each sign, 2 AUC - 1 of the mean over the most unlike hundredth of a head, no less than 0. In one sequence
    lesions shine, in another they are dark, and no mask is needed to learn which. Both 1 where neither tells anything.
    """
    weights = []
    for sign in (1, -1):
        scores = [
            np.sort(sign * one[head])[-max(1, head.sum() // 100) :].mean() for one, head in zip(z, heads, strict=True)
        ]
        weights.append(max(0.0, 2 * float(roc_auc_score(diagnoses == IS_TUMOUR, scores)) - 1))
    most = max(weights)
    return (weights[0] / most, weights[1] / most) if most else (1.0, 1.0)


def occlusion(model: Classifier, images: Images, fill: Images, heads: Masks, config: LocalisationConfig) -> Images:
    """Fall of the tumour logit where a patch is replaced by `fill`, the mean over the patches on a pixel.

    images and fill float32 (N, 1, S, S), heads bool (N, S, S); a patch that holds no head is not tried. float32
    (N, S, S), positive where what is there speaks for a tumour.
    """
    side = images.shape[-1]
    return fall_where_covered(
        partial(predict_logits, model),
        images,
        fill,
        heads=heads,
        patches=[max(2, round(of * side)) for of in config.patches],
        stride=max(1, round(config.stride * side)),
    ).astype(np.float32)


def integrated_gradients(model: Classifier, images: Images, baseline: Images) -> Images:
    """What each pixel adds to the tumour logit on the straight way from `baseline`: float32 (N, S, S).

    Sundararajan et al. 2017, equation 1 by the midpoint rule in STEPS steps; both float32 (N, 1, S, S).
    """
    device = next(model.parameters()).device
    found = []
    for first in range(0, len(images), BATCH):
        end, start = (torch.from_numpy(np.array(of[first : first + BATCH])).to(device) for of in (images, baseline))
        total = torch.zeros_like(end)
        for step in range(STEPS):
            x = (start + (step + 0.5) / STEPS * (end - start)).requires_grad_()
            (gradient,) = torch.autograd.grad(model(x).sum(), x)
            total += gradient
        found.append(((end - start) * total / STEPS)[:, 0].cpu().numpy())
    return np.concatenate(found)
