"""The lean pair: a generator and a discriminator that learn recognisable heads in minutes on two CPU cores.

All upsampling is one 3x3 convolution and a pixel shuffle (Shi et al. 2016), so that every multiplication is
done at the lower resolution. The condition enters the generator by conditional batch normalisation
(de Vries et al. 2017) and the discriminator by projection (Miyato & Koyama 2018).
"""

import math
from itertools import pairwise
from typing import Literal

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional as F

from pipeline.synthesis.networks.halving import BASE, HalvingConfig


class LeanConfig(HalvingConfig):
    """Sizes of the pair, whose last doubling and first halving are shuffles of pixels."""

    family: Literal["lean"] = "lean"
    width: int = Field(32, ge=4)  # channels at half the image size; deeper layers have up to max_width
    max_width: int = Field(192, ge=4)

    def widths(self) -> list[int]:
        """Channels at 4, 8, ... image_size / 2 pixels a side."""
        return super().widths()[1:]  # a shuffle of pixels skips the full size: `width` stands a halving later


class ConditionalBatchNorm(nn.Module):
    """Batch normalisation whose gain and bias are looked up by condition; starts as plain normalisation."""

    def __init__(self, channels: int, conditions: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.gain = nn.Embedding(conditions, channels)
        self.bias = nn.Embedding(conditions, channels)
        nn.init.ones_(self.gain.weight)
        nn.init.zeros_(self.bias.weight)

    def forward(self, x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        gain, bias = self.gain(c)[:, :, None, None], self.bias(c)[:, :, None, None]
        # in x's own precision: mixing bf16 with float32 would carry every later activation in float32
        return torch.addcmul(bias.to(x.dtype), self.norm(x), gain.to(x.dtype))


class Generator(nn.Module):
    """(z, c) -> images: float (N, latent_dim), int64 (N,) -> float (N, 1, image_size, image_size) in (-1, 1)."""

    def __init__(self, config: LeanConfig) -> None:
        super().__init__()
        widths = config.widths()
        self.dense = nn.Linear(config.latent_dim, widths[0] * BASE * BASE)
        self.first_norm = ConditionalBatchNorm(widths[0], config.conditions)
        pairs = list(pairwise(widths))
        self.convs = nn.ModuleList(nn.Conv2d(a, 4 * b, 3, padding=1) for a, b in pairs)
        self.norms = nn.ModuleList(ConditionalBatchNorm(b, config.conditions) for _, b in pairs)
        self.to_image = nn.Conv2d(widths[-1], 4, 3, padding=1)

    def forward(self, z: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        x = self.dense(z).unflatten(1, (-1, BASE, BASE))
        x = F.relu(self.first_norm(x, c))
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = F.relu(norm(F.pixel_shuffle(conv(x), 2), c))
        return torch.tanh(F.pixel_shuffle(self.to_image(x), 2).float())


class Discriminator(nn.Module):
    """(images, c) -> logits: float (N, 1, image_size, image_size), int64 (N,) -> float (N,); higher is more real."""

    def __init__(self, config: LeanConfig, features: int = 128) -> None:
        super().__init__()
        widths = config.widths()[::-1]
        self.from_image = nn.Conv2d(4, widths[0], 3, padding=1)
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 4, stride=2, padding=1) for a, b in pairwise(widths))
        self.features = nn.Linear(widths[-1] * BASE * BASE, features)
        self.condition = nn.Embedding(config.conditions, features)

    def forward(self, images: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        x = F.leaky_relu(self.from_image(F.pixel_unshuffle(images, 2)), 0.2)
        for conv in self.convs:
            x = F.leaky_relu(conv(x), 0.2)
        x = F.leaky_relu(self.features(x.flatten(1)), 0.2)
        # projection: the embedding starts random, so every condition has a gradient from the first step
        logits: torch.Tensor = (x * self.condition(c)).sum(1).float() / math.sqrt(x.shape[1])
        return logits
