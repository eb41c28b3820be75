"""The lean pair: a generator and a discriminator that learn recognisable heads in minutes on two CPU cores.

All upsampling is one 3x3 convolution and a pixel shuffle (Shi et al. 2016), so that every multiplication is
done at the lower resolution. The condition enters the generator by conditional batch normalisation
(de Vries et al. 2017) and the discriminator by projection (Miyato & Koyama 2018).
"""

import math
from itertools import pairwise
from typing import Literal, Self

import torch
from pydantic import Field, model_validator
from torch import nn
from torch.nn import functional as F

from pipeline.synthesis.networks.halving import BASE, HalvingConfig


class LeanConfig(HalvingConfig):
    """Sizes of the pair, whose last doubling and first halving are shuffles of pixels."""

    family: Literal["lean"] = "lean"
    width: int = Field(32, ge=4)  # channels at half the image size; deeper layers have up to max_width
    max_width: int = Field(192, ge=4)
    # Coarsest sizes of the generator, of 4, 8, 16, ... pixels a side, that know the diagnosis; the others know the rest
    # of the condition alone, so that all finer detail is one decoder's for all diagnoses. Coarse sizes decide what is
    # where (Karras et al. 2019, section 3.1). None: all know it.
    class_blocks: int | None = Field(None, ge=0)
    shared: tuple[int, ...] = ()  # by condition, the number of that rest; () for as many as there are conditions

    @model_validator(mode="after")
    def _one_a_condition(self) -> Self:
        if self.shared and len(self.shared) != self.conditions:
            raise ValueError(f"shared has {len(self.shared)} entries for {self.conditions} conditions")
        return self

    def told(self) -> list[list[int]]:
        """What each size from 4 pixels a side is told of each condition."""
        everything = list(range(self.conditions))
        known = len(self.widths()) if self.class_blocks is None else self.class_blocks
        return [everything if i < known else list(self.shared or everything) for i in range(len(self.widths()))]

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
        told = config.told()
        # not among the weights, whose names stay those of models from before there was such a choice
        self.register_buffer("told", torch.tensor(told), persistent=False)
        self.told: torch.Tensor
        self.first_norm = ConditionalBatchNorm(widths[0], max(told[0]) + 1)
        pairs = list(pairwise(widths))
        self.convs = nn.ModuleList(nn.Conv2d(a, 4 * b, 3, padding=1) for a, b in pairs)
        self.norms = nn.ModuleList(
            ConditionalBatchNorm(b, max(of) + 1) for (_, b), of in zip(pairs, told[1:], strict=True)
        )
        self.to_image = nn.Conv2d(widths[-1], 4, 3, padding=1)

    def forward(self, z: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        x = self.dense(z).unflatten(1, (-1, BASE, BASE))
        first, *others = self.told[:, c]
        x = F.relu(self.first_norm(x, first))
        for conv, norm, told in zip(self.convs, self.norms, others, strict=True):
            x = F.relu(norm(F.pixel_shuffle(conv(x), 2), told))
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
