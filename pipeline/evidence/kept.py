"""A trained classifier in one file, to be asked later what it looks at: its weights, its network, its temperature."""

import json
from pathlib import Path
from typing import Final

import torch
from safetensors import safe_open
from safetensors.torch import save

from pipeline.compute import Compute
from pipeline.evidence.classifier import ClassifierConfig
from pipeline.evidence.classifier_networks import Classifier, build
from pipeline.run_dir import write_bytes

_TOLD: Final = "classifier"  # one word of metadata: the order of several is another in every process


def keep_classifier(path: Path, model: Classifier, *, config: ClassifierConfig, temperature: float) -> None:
    """Write a classifier as safetensors, whole or not at all; the same weights give the same bytes.

    temperature: by which its logits are divided to be calibrated.
    """
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    told = {"network": config.network, "width": config.width, "temperature": temperature}
    write_bytes(path, save(weights, metadata={_TOLD: json.dumps(told)}))


def read_classifier(path: Path, *, compute: Compute) -> tuple[Classifier, float]:
    """What `keep_classifier` wrote, in evaluation mode where `compute` says, and its temperature.

    Raises FileNotFoundError where there is none, and leaves torch's global random state as it was.
    """
    with safe_open(path, framework="pt") as file:
        told = json.loads(file.metadata()[_TOLD])
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
    with torch.random.fork_rng(devices=[]):  # first weights are drawn, and replaced at once
        model = build(told["network"], width=told["width"])
    model.load_state_dict(weights)
    compute.place(model)
    return model.eval(), float(told["temperature"])
