"""What a training is given: its slices with what is known of them, and the judge's measures for its collapse watch."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data_contracts.results import MetricSet
from pipeline.evidence.features import RandomFeatures, standardise
from pipeline.evidence.fidelity import metric_set
from pipeline.evidence.memorisation import CopyFinder, cross_fitted_copies
from pipeline.synthesis.health import Features, Ruler
from pipeline.synthesis.training import TrainingSet
from pipeline.synthesis.variety import Images
from pipeline.synthesis.watching import MakeRuler

FEWEST_GROUPS = 3  # with fewer a copy cannot be told from likeness


def training_set(images: Images, rows: pd.DataFrame) -> TrainingSet:
    """Images (N, 1, S, S) with the manifest's rows of the same slices."""
    return TrainingSet(
        images=images,
        groups=rows["group"].tolist(),
        diagnoses=rows["diagnosis"].tolist(),
        positions=rows["position"].to_numpy(float),
        sequences=rows["sequence"].tolist(),
        planes=rows["plane"].tolist(),
    )


def make_ruler(*, k: int) -> MakeRuler:
    """Of the training images (N, 1, S, S), S at least 28, and their groups: measures as those of the final judgement.

    k: neighbours in coverage and recall, fewer where there are fewer images.
    """
    return partial(_ruler, k=k)  # which can be sent to another process


def _ruler(training: Images, groups: Sequence[str], *, k: int) -> Ruler:
    extractor = RandomFeatures()
    reference = extractor.extract(training)

    def extract(images: Images) -> Features:
        return standardise(extractor.extract(images), reference=reference)

    def compare(*, candidate: Features, training: Features) -> MetricSet:
        neighbours = min(k, len(candidate) - 1, len(training) - 1)
        return metric_set(candidate=candidate, training=training, k=neighbours, rng=np.random.default_rng(0))

    if len(set(groups)) < FEWEST_GROUPS:
        return Ruler(extract, compare, None)
    real_copies = cross_fitted_copies(training, groups) if len(set(groups)) > FEWEST_GROUPS else None
    finder = CopyFinder(training, groups, search=False)  # every tick: moved copies are left to the screen

    def copies(images: Images) -> NDArray[np.bool_]:
        return finder.find(images).near_copy

    return Ruler(extract, compare, copies, real_copies)
