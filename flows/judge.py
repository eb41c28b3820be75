"""A synthetic set held against real ones: fidelity in every feature space that is named, and copies."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from data_contracts.results import PRIMARY_EXTRACTOR, FidelityScores, MemorisationScores
from flows.config import FidelityConfig
from flows.errors import ConfigError
from pipeline.evidence import fidelity, memorisation
from pipeline.evidence.authenticity import FeatureCopies, feature_copies
from pipeline.evidence.classifier_networks import Classifier
from pipeline.evidence.embeddings import CLASSIFIER
from pipeline.evidence.extractors import extractor
from pipeline.evidence.features import RandomFeatures, standardise
from pipeline.evidence.membership import membership_auc

Images = NDArray[np.float32]


def require_extractors(config: FidelityConfig) -> None:
    """Raise ConfigError where a feature space is not there, before anything is trained for it."""
    for name in config.extractors:
        if name != CLASSIFIER:
            try:
                extractor(name)
            except ValueError as error:
                raise ConfigError(f"fidelity.extractors: {error}") from error


def judge(
    *,
    fold: int,
    diagnosis: str,
    synthetic: Images,
    held_out_real: Images,
    training: Images,
    training_groups: Sequence[str],
    held_out_groups: Sequence[str],
    config: FidelityConfig,
    train_classifier: Callable[[], Classifier],
    seed: int,
    keep: Callable[[str, dict[str, Images]], None] | None = None,
) -> list[FidelityScores]:
    """Scores in each of config.extractors, on the scale of the real training images.

    Images float32 (N, 1, S, S) in [-1, 1] of one diagnosis; groups (N,) of the real ones. train_classifier: asked only
    where its embedding is a feature space; what it learned from must not hold a held-out image. keep: is handed the
    space that decides by its own name, with the features (N, D) of `training`, `held_out_real` and `synthetic` in it.
    """
    found = []
    sets = {"training": training, "held_out_real": held_out_real, "synthetic": synthetic}
    for i, name in enumerate(config.extractors):
        space = extractor(name, classifier=train_classifier() if name == CLASSIFIER else None)
        reference = space.extract(training)
        measured: dict[str, Images] = {}

        def extract(images: Images) -> Images:
            raw = reference if images is training else space.extract(images)  # noqa: B023 - used within this turn
            features = standardise(raw, reference=reference)  # noqa: B023
            measured.update({part: features for part, of in sets.items() if of is images})  # noqa: B023
            return features

        found.append(
            fidelity.fidelity(
                fold=fold,
                diagnosis=diagnosis,
                synthetic=synthetic,
                held_out_real=held_out_real,
                training=training,
                training_groups=training_groups,
                held_out_groups=held_out_groups,
                extract=extract,
                extractor=space.name,
                extractor_digest=space.digest,
                k=config.k,
                rng=np.random.default_rng([seed, i]),
            )
        )
        if keep is not None and name == PRIMARY_EXTRACTOR:
            keep(space.name, measured)
    return found


def score_copies(
    *,
    fold: int,
    diagnosis: str,
    synthetic: Images,
    copies: memorisation.Found,
    kept: NDArray[np.bool_],
    broken: NDArray[np.bool_],
    threshold: float,
    training: Images,
    training_groups: list[str],
    held_out: Images,
    held_out_groups: list[str],
    held_out_copies: memorisation.Found,
    attack: np.random.Generator | None,
) -> MemorisationScores:
    """Copies among all generated images, in pixels and features; the attack, on those that may leave, in pixels.

    synthetic (N, 1, S, S) with what was found of it, `kept` and `broken` (N,); threshold: by which copies were found.
    attack: draws for the membership attack; None where nobody knows who was learned from.
    """
    space = RandomFeatures()
    reference = space.extract(training)

    def in_features(images: Images) -> FeatureCopies:
        return feature_copies(
            images=standardise(space.extract(images), reference=reference),
            training=standardise(reference, reference=reference),
            training_groups=training_groups,
        )

    found = None
    if attack is not None:
        found = membership_auc(
            synthetic=memorisation.thumbnails(synthetic[kept]),
            training=memorisation.thumbnails(training),
            training_groups=training_groups,
            held_out=memorisation.thumbnails(held_out),
            held_out_groups=held_out_groups,
            rng=attack,
        )
    return memorisation.memorisation(
        fold=fold,
        diagnosis=diagnosis,
        synthetic=copies,
        held_out_real=held_out_copies,
        threshold=threshold,
        n_broken=int(broken.sum()),
        n_kept=int(kept.sum()),
        extractor=space.name,
        synthetic_features=in_features(synthetic[~broken]),
        held_out_real_features=in_features(held_out),
        membership_auc=found,
    )
