"""Frozen feature spaces in which sets of images are compared: what they have in common, and the one that decides.

Random convolutional features rather than an ImageNet network: nothing is downloaded, nothing is fitted to the
images judged, and what photographs taught counts for little in a head scan (Naeem et al. 2020 embed images far
from ImageNet in randomly initialised networks for that reason). Others stand in `textures` and `embeddings`;
`extractors` finds them by name.
"""

import hashlib
from itertools import pairwise
from typing import Final, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

SMALLEST: Final = 28  # pixels a side; four halvings of less leave nothing to take a spread over
CHANNELS: Final = (1, 32, 48, 64, 96)
KERNEL: Final = 5
SLOPE: Final = 0.2  # of the leaky ReLU


class Extractor(Protocol):
    """A space of features: frozen, in float32 on the CPU, each image by itself.

    `name` says which; two with the same `digest`, a hex SHA-256, measure in the same space. Images have at least
    `smallest` pixels a side.
    """

    @property
    def name(self) -> str: ...
    @property
    def digest(self) -> str: ...
    @property
    def smallest(self) -> int: ...

    def extract(self, images: NDArray[np.float32], *, batch_size: int = ...) -> NDArray[np.float32]:
        """float32 (N, 1, H, W) in [-1, 1] -> float32 (N, D). Raises ValueError on another shape."""
        ...


def require_shape(images: NDArray[np.float32], *, smallest: int) -> None:
    """Raise ValueError unless images are (N, 1, H, W) with H and W at least `smallest`."""
    if images.ndim != 4 or images.shape[1] != 1 or min(images.shape[2:]) < smallest:
        raise ValueError(f"images {images.shape}: want (N, 1, H, W) with H and W at least {smallest}")


class RandomFeatures:
    """Four strided convolutions with He-normal weights drawn from one seed and never trained.

    Each stage gives the mean and the standard deviation of its channels over the image: D = 480 numbers that
    say what there is and how much it varies, at four scales, and little about where.
    """

    name: Final = "random-conv-480"
    smallest: Final = SMALLEST

    def __init__(self, seed: int = 0) -> None:
        rng = torch.Generator().manual_seed(seed)
        # variance that keeps the scale of activations through a leaky ReLU (He et al. 2015)
        gain = (2 / (1 + SLOPE**2)) ** 0.5
        self.weights = tuple(
            torch.randn(wide, narrow, KERNEL, KERNEL, generator=rng) * gain / (narrow * KERNEL**2) ** 0.5
            for narrow, wide in pairwise(CHANNELS)
        )

    @property
    def digest(self) -> str:
        """Hex SHA-256 of the weights: two extractors with the same digest measure in the same space."""
        sha = hashlib.sha256()
        for weight in self.weights:
            sha.update(weight.numpy().astype("<f4").tobytes())
        return sha.hexdigest()

    @torch.no_grad()
    def extract(self, images: NDArray[np.float32], *, batch_size: int = 64) -> NDArray[np.float32]:
        """Features of images, not yet on a common scale: see `standardise`.

        images: float32 (N, 1, H, W) in [-1, 1], H and W at least 28. Returns float32 (N, 480). Raises ValueError
        on another shape. Always in float32: the ruler must not depend on the machine's fast precision.
        """
        require_shape(images, smallest=SMALLEST)
        found = np.empty((len(images), 2 * sum(CHANNELS[1:])), np.float32)
        for start in range(0, len(images), batch_size):
            batch = torch.from_numpy(np.array(images[start : start + batch_size], np.float32))
            found[start : start + len(batch)] = self._stages(batch).numpy()
        return found

    def _stages(self, x: torch.Tensor) -> torch.Tensor:
        pooled = []
        for weight in self.weights:
            # edge values carry on outside: zeros would be grey, and every border would look like an edge
            padded = F.pad(x, [KERNEL // 2] * 4, mode="replicate")
            x = F.leaky_relu(F.conv2d(padded, weight, stride=2), SLOPE)
            pooled += [x.mean((2, 3)), x.std((2, 3), correction=0)]
        return torch.cat(pooled, 1)


def standardise(features: NDArray[np.float32], *, reference: NDArray[np.float32]) -> NDArray[np.float32]:
    """Put features on the scale of the reference set, so that no loud channel decides every distance alone.

    features (N, D), reference (M, D): features of the real training images. Returns float32 (N, D); the
    reference itself comes out with mean 0 and standard deviation 1 in each column. A column that does not vary
    in the reference is centred only.
    """
    mean = reference.mean(0, dtype=np.float64)
    deviation = reference.std(0, dtype=np.float64)
    deviation[deviation <= 1e-6 * np.abs(mean)] = 1.0  # constant but for rounding
    standard: NDArray[np.float32] = ((features - mean) / deviation).astype(np.float32)
    return standard
