"""The feature spaces that there are, by name."""

from pathlib import Path
from typing import Final

from pipeline.evidence.classifier_networks import Classifier
from pipeline.evidence.embeddings import ARCHITECTURES, CLASSIFIER, of_classifier, of_weights
from pipeline.evidence.features import Extractor, RandomFeatures
from pipeline.evidence.textures import TextureFeatures

NAMES: Final = (RandomFeatures.name, TextureFeatures.name, CLASSIFIER, "weights:ARCHITECTURE:FILE")


def extractor(name: str, *, classifier: Classifier | None = None) -> Extractor:
    """The feature space of this name.

    name: one of NAMES, such as `weights:resnet18:/models/head.safetensors` (see `embeddings.of_weights`). classifier:
    for CLASSIFIER, trained on the fold's training part alone. An extractor's own `name` holds no path. Raises
    ValueError where there is no such space, and for weights that cannot be used.
    """
    kind, _, rest = name.partition(":")
    architecture, _, path = rest.partition(":")
    if kind == "weights" and architecture and path:
        return of_weights(architecture, Path(path).expanduser())
    if name == CLASSIFIER:
        if classifier is None:
            raise ValueError(f"the features of {CLASSIFIER} want a trained classifier, and none was given")
        return of_classifier(classifier)
    if name == RandomFeatures.name:
        return RandomFeatures()
    if name == TextureFeatures.name:
        return TextureFeatures()
    raise ValueError(
        f"no features {name!r}: there are {', '.join(NAMES)}, where ARCHITECTURE is one of {', '.join(ARCHITECTURES)}"
    )
