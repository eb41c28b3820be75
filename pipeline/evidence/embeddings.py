"""Feature spaces that a network learned: a fold's own classifier, or weights that a user brings.

What counts is what the last linear layer is given. A user's weights come as safetensors, numbers with names; a file
that could carry code is never opened as such.
"""

import copy
import hashlib
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load
from torch import nn

from pipeline.compute import PLAIN
from pipeline.evidence.classifier_networks import Classifier, DenseNet121, SmallClassifier
from pipeline.evidence.features import require_shape

CLASSIFIER: Final = "classifier"  # the only space that must be learned first, in every fold anew
Tensors = Mapping[str, torch.Tensor]

LARGEST_FILE: Final = 1 << 30  # bytes; the largest architecture has a tenth of it in float32
PROBES: Final = 4  # images of noise that weights must tell apart
UNUSED: Final = "num_batches_tracked"  # of batch normalisation: counts while training, and some files have it not
NAMED: Final = 3  # tensors in a message, at most
# what files that carry code begin with, to say so; they are refused for not being safetensors
CODE: Final = {b"\x80": "a pickle", b"PK\x03\x04": "a zip, as torch.save writes, with a pickle in it"}


class NetworkFeatures:
    """A copy of a network, in float32 on the CPU, its statistics fixed: what the original becomes does not matter."""

    def __init__(self, network: nn.Module, *, name: str, smallest: int, digest: str | None = None) -> None:
        self.name: Final = name
        self.network: Final = PLAIN.place(copy.deepcopy(network)).float().eval().requires_grad_(False)
        self.digest: Final = digest or digest_of(self.network)
        self.smallest: Final = smallest
        self.even: Final = isinstance(network, SmallClassifier)  # it unshuffles its pixels 2 x 2

    def extract(self, images: NDArray[np.float32], *, batch_size: int = 16) -> NDArray[np.float32]:
        """Features of images, not yet on a common scale: see `standardise`.

        images: float32 (N, 1, H, W) in [-1, 1], H and W at least `smallest`, and even for the small classifier.
        Returns float32 (N, D). Raises ValueError on another shape, and where features are not finite.
        """
        require_shape(images, smallest=self.smallest)
        if self.even and (images.shape[2] % 2 or images.shape[3] % 2):
            raise ValueError(f"images {images.shape}: the network of {self.name} wants an even height and width")
        found = embed(self.network, images, batch_size=batch_size)
        if not np.isfinite(found).all():
            raise ValueError(f"features of {self.name} are not finite")
        return found


@torch.no_grad()
def embed(network: nn.Module, images: NDArray[np.float32], *, batch_size: int = 16) -> NDArray[np.float32]:
    """What the last linear layer is given: `features` of a Classifier; other networks have that layer taken off.

    images: float32 (N, 1, H, W) in [-1, 1], N at least 1. The network is in `eval`, in float32, on the CPU. Returns
    float32 (N, D).
    """
    see: Callable[[torch.Tensor], torch.Tensor] = network.features if isinstance(network, Classifier) else network
    with torch.autocast("cpu", enabled=False):  # the ruler must not depend on the machine's fast precision
        return np.concatenate(
            [
                see(torch.from_numpy(np.array(images[start : start + batch_size], np.float32))).numpy()
                for start in range(0, len(images), batch_size)
            ]
        )


def digest_of(network: nn.Module) -> str:
    """Hex SHA-256 of a network's kind and of all its weights and statistics as float32, with their names."""
    sha = hashlib.sha256(type(network).__name__.encode())
    for key, tensor in sorted(network.state_dict().items()):
        if not key.endswith(UNUSED):
            sha.update(f"{key} {tuple(tensor.shape)}".encode())
            sha.update(tensor.cpu().numpy().astype("<f4").tobytes())
    return sha.hexdigest()


def of_classifier(classifier: Classifier) -> NetworkFeatures:
    """The features by which a trained classifier tells the diagnoses apart.

    To be fair it was fitted on the training part of the fold alone whose images are compared.
    """
    five_halvings = isinstance(classifier, DenseNet121)
    return NetworkFeatures(classifier, name=CLASSIFIER, smallest=32 if five_halvings else 16)


@dataclass(frozen=True)
class Architecture:
    """How a network is made to fit a file, what its first weights and last layer are called there, fewest pixels."""

    make: Callable[[Tensors], nn.Module]
    first: str
    head: str
    smallest: int


def _resnet(depth: int) -> Callable[[Tensors], nn.Module]:
    def make(_: Tensors) -> nn.Module:
        from monai.networks.nets.resnet import resnet18, resnet50  # noqa: PLC0415  # seconds to import

        kind = {18: resnet18, 50: resnet50}[depth]
        return kind(spatial_dims=2, n_input_channels=1, feed_forward=False)

    return make


def _densenet(_: Tensors) -> nn.Module:
    from monai.networks.nets.densenet import DenseNet121 as Published  # noqa: PLC0415  # seconds to import

    network: nn.Module = Published(spatial_dims=2, in_channels=1, out_channels=1)
    network.class_layers.out = nn.Identity()  # type: ignore[union-attr]  # a Sequential
    return network


def _small(tensors: Tensors) -> nn.Module:
    stem = tensors.get("stem.weight")
    return SmallClassifier(len(stem) if stem is not None and stem.ndim == 4 and len(stem) > 0 else 1)


ARCHITECTURES: Final = {
    "resnet18": Architecture(_resnet(18), "conv1.weight", "fc.", 16),
    "resnet50": Architecture(_resnet(50), "conv1.weight", "fc.", 16),
    "densenet121": Architecture(_densenet, "features.conv0.weight", "class_layers.out.", 32),
    CLASSIFIER: Architecture(_small, "stem.weight", "head.", 16),
}


def of_weights(architecture: str, path: Path) -> NetworkFeatures:
    """Features of a user's weights: MONAI's two-dimensional networks with their defaults, or our small classifier.

    path: a safetensors file with the names of the architecture's `state_dict`; its last linear layer is not looked
    at. Weights for three channels are taken as if given one grey three times. The digest is that of the file, as
    `sha256sum` tells it. Raises ValueError that says what is wrong: no such architecture or file, not safetensors
    (judged by content, never by suffix), tensors that are missing, of another shape, unknown or not finite, and
    weights that tell no two images apart.
    """
    if architecture not in ARCHITECTURES:
        raise ValueError(f"no architecture {architecture!r}: there are {', '.join(ARCHITECTURES)}")
    data = _read(path)
    known = ARCHITECTURES[architecture]
    network = _fitted(known, _parsed(data, path), what=f"{path} as weights of {architecture}")
    name, digest = f"weights:{architecture}", hashlib.sha256(data).hexdigest()
    found = NetworkFeatures(network, name=name, smallest=known.smallest, digest=digest)
    noise = np.random.default_rng(0).uniform(-1, 1, (PROBES, 1, found.smallest, found.smallest)).astype(np.float32)
    features = found.extract(noise)
    if features.std(0).max() <= 1e-5 * np.abs(features).max():
        raise ValueError(f"{path}: these weights give the same features for every image")
    return found


def _read(path: Path) -> bytes:
    try:
        if not path.is_file():
            raise ValueError(f"{path} is no file")
        if path.stat().st_size > LARGEST_FILE:
            raise ValueError(f"{path} has {path.stat().st_size:,} bytes, weights at most {LARGEST_FILE:,}")
        return path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error


def _parsed(data: bytes, path: Path) -> dict[str, torch.Tensor]:
    try:
        return load(data)
    except Exception as error:  # the parser raises many kinds for a damaged or foreign file
        kind = next((f" (it looks like {kind})" for start, kind in CODE.items() if data.startswith(start)), "")
        raise ValueError(
            f"{path} is not a whole safetensors file{kind}: {error}. Only safetensors are read, which carry no code: "
            "save the state_dict with safetensors.torch.save_file"
        ) from error


def _fitted(architecture: Architecture, given: Tensors, *, what: str) -> nn.Module:
    """The network with the file's weights in it; not a byte is allocated for it before all shapes are known to fit."""
    given = {k: v for k, v in given.items() if not k.endswith(UNUSED) and not k.startswith(architecture.head)}
    with torch.device("meta"):
        network = architecture.make(given)
    state = network.state_dict()
    wanted = {k: v for k, v in state.items() if not k.endswith(UNUSED) and not k.startswith(architecture.head)}
    given = {**given, **_for_grey(architecture.first, given, wanted)}
    _require(
        what,
        {
            "missing": wanted.keys() - given.keys(),
            "unknown": given.keys() - wanted.keys(),
            "of another shape": {k for k in wanted.keys() & given.keys() if wanted[k].shape != given[k].shape},
            "not of floating-point numbers": {k for k, v in given.items() if not v.is_floating_point()},
        },
    )
    weights = {k: v.float() for k, v in given.items()}
    _require(what, {"not finite": {k for k, v in weights.items() if not v.isfinite().all()}})
    idle = {k: torch.zeros(v.shape, dtype=v.dtype) for k, v in state.items() if k not in wanted}
    network.load_state_dict(weights | idle, assign=True)
    return network


def _for_grey(first: str, given: Tensors, wanted: Tensors) -> Tensors:
    """First weights for three channels, where one is wanted: a grey given three times meets the sum of the three."""
    weight = given.get(first)
    if weight is None or not weight.is_floating_point() or weight.ndim != 4 or wanted[first].shape[1] != 1:
        return {}
    return {first: weight.double().sum(1, keepdim=True)} if weight.shape[1] == 3 else {}


def _require(what: str, problems: Mapping[str, Set[str]]) -> None:
    """Raise ValueError with the first few tensors of each problem; names come from the file, so they are cut."""
    told = []
    for problem, keys in problems.items():
        some = ", ".join(repr(key[:80]) for key in sorted(keys)[:NAMED])
        more = f" and {len(keys) - NAMED} more" if len(keys) > NAMED else ""
        told += [f"{problem}: {some}{more}"] if keys else []
    if told:
        raise ValueError(f"{what}: tensors do not fit; {'; '.join(told)}")
