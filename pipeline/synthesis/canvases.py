"""Slices without a tumour that a generator drew, to be painted on: how high in the head each is taken to be."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.synthesis.conditions import Conditions
from pipeline.synthesis.lesions import Images, head_of
from pipeline.synthesis.model_dir import TrainedGan
from pipeline.synthesis.sample import latent


@dataclass(frozen=True, eq=False)
class Canvases:
    """images float32 (N, 1, S, S) in [-1, 1], each with a head (`paintable`); positions float64 (N,): relative heights
    in the scan, NaN where unknown.
    """

    images: Images
    positions: NDArray[np.float64]


def heights(trained: TrainedGan, seeds: Sequence[int], known: NDArray[np.float64]) -> NDArray[np.float64]:
    """Relative heights float64 (N,) of the slices of these seeds; known (M,): those of the training part's slices.

    A generator knows a height as its condition, an interval. So a height is drawn from those that training slices have
    in it, by the seed; NaN where the conditions say nothing of heights, or none is known in the interval.
    """
    found = np.full(len(seeds), np.nan)
    for i, seed in enumerate(seeds):
        bounds = _bounds(trained.conditions, latent(seed, trained)[1])
        inside = known[(known >= bounds[0]) & (known < bounds[1])]
        if inside.size:
            found[i] = np.random.default_rng(seed).choice(inside)
    return found


def _bounds(conditions: Conditions, c: int) -> tuple[float, float]:
    """From which height, and to below which, the slices of condition c lie; NaN where heights are no factor."""
    held = conditions.levels[c].position
    if held is None:
        return np.nan, np.nan
    edges = (-np.inf, *conditions.position_edges, np.inf)
    return edges[held[0]], edges[held[-1] + 1]


def paintable(images: Images) -> NDArray[np.bool_]:
    """Which slices float32 (N, 1, S, S), all finite, hold a head in which a lesion can lie: bool (N,)."""
    return np.array([_has_head(image) for image in images], dtype=np.bool_)


def _has_head(image: Images) -> bool:
    try:
        head_of(image)
    except ValueError:
        return False
    return True
