"""Real and synthetic slices in two dimensions: a linear picture of the feature space, to be looked at, not measured.

Principal components (Pearson 1901; Jolliffe 2002) rather than a map that bends (t-SNE, UMAP): it is one and the same
rule for every slice, fitted on training slices alone, so that others can be laid in without moving what is there, and
distances in it are never longer than in the features. They may be much shorter: what lies together here may lie apart.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from data_contracts.results import FeatureMap

Features = NDArray[np.float32]
MOST: Final = 300  # points of a set: more hide one another
DIGITS: Final = 3


def feature_map(
    *,
    fold: int,
    diagnosis: str,
    extractor: str,
    training: Features,
    held_out_real: Features,
    synthetic: Features,
    rng: np.random.Generator,
) -> FeatureMap:
    """Up to MOST slices of each set, drawn by rng, along the two directions in which training slices vary most.

    Features float32 (N, D) of each set, on the scale of the training ones; at least 2 of training. The directions are
    fitted on all training slices; each points to where its largest weight is positive, so that equal features give
    equal pictures. A direction along which nothing varies has variance 0 and all points at 0.
    """
    centre = training.mean(0, dtype=np.float64)
    known = training.astype(np.float64) - centre
    _, strengths, directions = np.linalg.svd(known, full_matrices=False)
    axes = np.zeros((2, known.shape[1]))
    axes[: len(directions[:2])] = directions[:2]
    axes *= np.sign(axes[np.arange(2), np.abs(axes).argmax(1)])[:, None]
    shares = np.zeros(2)
    variance = float((strengths**2).sum())
    shares[: len(strengths[:2])] = strengths[:2] ** 2 / variance if variance else 0.0

    def points(features: Features) -> tuple[tuple[float, float], ...]:
        rows = np.sort(rng.choice(len(features), min(MOST, len(features)), replace=False))
        places = np.round((features[rows].astype(np.float64) - centre) @ axes.T, DIGITS) + 0.0  # no minus zero
        return tuple((float(x), float(y)) for x, y in places)

    return FeatureMap(
        fold=fold,
        diagnosis=diagnosis,
        extractor=extractor,
        explained=(round(float(shares[0]), 4), round(float(shares[1]), 4)),
        n_training=len(training),
        n_held_out_real=len(held_out_real),
        n_synthetic=len(synthetic),
        training=points(training),
        held_out_real=points(held_out_real),
        synthetic=points(synthetic),
    )
