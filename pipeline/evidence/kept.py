"""A trained classifier in one file, to be asked later what it looks at: its weights, its network, its temperature."""

from pathlib import Path
from typing import Final, cast

import torch
from safetensors import safe_open
from safetensors.torch import save

from pipeline.compute import Compute
from pipeline.evidence.classifier import ClassifierConfig
from pipeline.evidence.classifier_networks import Classifier, Network, build
from pipeline.run_dir import write_bytes

_NETWORK: Final = "network"
_WIDTH: Final = "width"
_TEMPERATURE: Final = "temperature"


def keep_classifier(path: Path, model: Classifier, *, config: ClassifierConfig, temperature: float) -> None:
    """Write a classifier as safetensors, whole or not at all; the same weights give the same bytes.

    temperature: by which its logits are divided to be calibrated.
    """
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    told = {_NETWORK: config.network, _WIDTH: str(config.width), _TEMPERATURE: repr(temperature)}
    write_bytes(path, save(weights, metadata=told))


def read_classifier(path: Path, *, compute: Compute) -> tuple[Classifier, float]:
    """What `keep_classifier` wrote, in evaluation mode where `compute` says, and its temperature.

    Raises FileNotFoundError where there is none, and leaves torch's global random state as it was.
    """
    with safe_open(path, framework="pt") as file:
        told = file.metadata()
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
    with torch.random.fork_rng(devices=[]):  # first weights are drawn, and replaced at once
        model = build(cast("Network", told[_NETWORK]), width=int(told[_WIDTH]))
    model.load_state_dict(weights)
    compute.place(model)
    return model.eval(), float(told[_TEMPERATURE])
