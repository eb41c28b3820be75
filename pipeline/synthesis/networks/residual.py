"""Residual networks that double or halve the picture block by block: Gulrajani et al. 2017, Miyato et al. 2018 (SNGAN).

Against the papers' networks, shortcut and residual are averaged in energy (Karras et al. 2020), so that the
variance does not grow with depth where nothing normalises it.
"""

import math
from itertools import pairwise
from typing import Literal

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from pipeline.synthesis.networks.condition import Head, latent_features, with_condition
from pipeline.synthesis.networks.halving import BASE, HalvingConfig
from pipeline.synthesis.networks.lean import ConditionalBatchNorm


class ResidualConfig(HalvingConfig):
    """Sizes of the pair, and how it is normalised."""

    family: Literal["residual"] = "residual"
    # "batch": the condition is its gain and bias (de Vries et al. 2017); "none": it stands one-hot beside z
    norm: Literal["batch", "none"] = "batch"
    spectral_norm: bool = True  # in the discriminator (Miyato et al. 2018)


class SpectralNorm(nn.Module):
    """weight -> weight / its largest singular value, by one step of power iteration a forward (Miyato et al. 2018).

    torch's own multiplies by matrix products, which autocast turns to bf16 on a GPU beside vectors in float32;
    sums of products stay in float32 everywhere.
    """

    def __init__(self, weight: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("u", F.normalize(torch.randn(len(weight), device=weight.device), dim=0))
        self.u: torch.Tensor
        with torch.no_grad():
            for _ in range(15):  # so that the first forward is already close
                self.u.copy_(self._left(weight.flatten(1), self._right(weight.flatten(1), self.u)))

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        matrix = weight.flatten(1)
        with torch.no_grad():
            v = self._right(matrix, self.u)
            u = self._left(matrix, v)
            if self.training:
                self.u.copy_(u)
        return weight / (matrix * u[:, None] * v).sum()

    @staticmethod
    def _left(matrix: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return F.normalize((matrix * v).sum(1), dim=0)

    @staticmethod
    def _right(matrix: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return F.normalize((matrix * u[:, None]).sum(0), dim=0)


class _Up(nn.Module):
    """(N, a, S, S) -> (N, b, 2S, 2S): norm, ReLU, double, convolve, norm, ReLU, convolve; beside a 1x1 shortcut."""

    def __init__(self, a: int, b: int, config: ResidualConfig) -> None:
        super().__init__()
        self.norms = nn.ModuleList(
            ConditionalBatchNorm(n, config.conditions) if config.norm == "batch" else nn.Identity() for n in (a, b)
        )
        bias = config.norm == "none"  # else the next norm, or the last of all, takes away what it adds
        self.first = nn.Conv2d(a, b, 3, padding=1, bias=bias)
        self.second = nn.Conv2d(b, b, 3, padding=1, bias=bias)
        self.shortcut = nn.Conv2d(a, b, 1, bias=bias)

    def forward(self, x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = F.interpolate(F.relu(_normed(self.norms[0], x, c)), scale_factor=2)
        y = self.second(F.relu(_normed(self.norms[1], self.first(y), c)))
        # 1x1 before doubling is the same as after it, and a quarter of the work
        shortcut: torch.Tensor = self.shortcut(x)
        return (F.interpolate(shortcut, scale_factor=2) + y) * math.sqrt(0.5)


def _normed(norm: nn.Module, x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
    y: torch.Tensor = norm(x, c) if isinstance(norm, ConditionalBatchNorm) else x
    return y


class _Down(nn.Module):
    """(N, a, S, S) -> (N, b, S/2, S/2), or (N, b, S, S) where `halve` is off. The image's block has no first ReLU."""

    def __init__(self, a: int, b: int, *, halve: bool = True, first: bool = False) -> None:
        super().__init__()
        self.halve, self.is_first = halve, first
        self.first, self.second = nn.Conv2d(a, b, 3, padding=1), nn.Conv2d(b, b, 3, padding=1)
        self.shortcut = nn.Conv2d(a, b, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.second(F.relu(self.first(x if self.is_first else F.relu(x))))
        if self.halve:  # 1x1 after halving is the same as before it, and a quarter of the work
            x, y = F.avg_pool2d(x, 2), F.avg_pool2d(y, 2)
        shortcut: torch.Tensor = self.shortcut(x)
        return (shortcut + y) * math.sqrt(0.5)


class Generator(nn.Module):
    """(z, c) -> images: float (N, latent_dim), int64 (N,) -> float32 (N, 1, image_size, image_size) in [-1, 1]."""

    def __init__(self, config: ResidualConfig) -> None:
        super().__init__()
        widths = config.widths()
        self.one_hot = config.conditions if config.norm == "none" else 1
        self.dense = nn.Linear(latent_features(config.latent_dim, self.one_hot), widths[0] * BASE * BASE)
        self.blocks = nn.ModuleList(_Up(a, b, config) for a, b in pairwise(widths))
        self.norm = ConditionalBatchNorm(widths[-1], config.conditions) if config.norm == "batch" else nn.Identity()
        self.to_image = nn.Conv2d(widths[-1], 1, 3, padding=1)

    def forward(self, z: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        x = self.dense(with_condition(z, c, self.one_hot)).unflatten(1, (-1, BASE, BASE))
        for block in self.blocks:
            x = block(x, c)
        return torch.tanh(self.to_image(F.relu(_normed(self.norm, x, c))).float())


class Discriminator(nn.Module):
    """(images, c) -> logits: float (N, 1, image_size, image_size), int64 (N,) -> float32 (N,); higher is more real."""

    def __init__(self, config: ResidualConfig) -> None:
        super().__init__()
        full, *others = config.widths()[::-1]
        blocks = [_Down(1, full, first=True), *[_Down(a, b) for a, b in pairwise((full, *others[:-1]))]]
        self.blocks = nn.Sequential(*blocks, _Down(others[-2] if len(others) > 1 else full, others[-1], halve=False))
        self.head = Head(others[-1], config.conditions)
        if config.spectral_norm:
            for module in list(self.modules()):
                if isinstance(module, nn.Conv2d | nn.Linear | nn.Embedding):
                    parametrize.register_parametrization(module, "weight", SpectralNorm(module.weight))

    def forward(self, images: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.blocks(images)).sum(dim=(2, 3))
        logits: torch.Tensor = self.head(x, c)
        return logits
