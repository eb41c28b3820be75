"""The multilayer perceptrons of the first GAN (Goodfellow et al. 2014): rectifiers against maxout with dropout.

Defaults are the paper's sizes for MNIST, 28 x 28, as its published configuration has them. There z is uniform; here
all families are fed normal z.
"""

from itertools import pairwise
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, PositiveInt
from torch import nn
from torch.nn import functional as F

from pipeline.synthesis.networks.condition import Head, latent_features, with_condition


class PerceptronConfig(BaseModel):
    """Sizes of both perceptrons. Parameters grow with image_size squared: 28 to 64 px is where this is sensible."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    family: Literal["perceptron"] = "perceptron"
    image_size: int = Field(28, ge=4, le=512)
    latent_dim: int = Field(100, ge=1)
    conditions: int = Field(1, ge=1)  # one-hot beside z (Mirza & Osindero 2014), projection (Miyato & Koyama 2018)
    generator_widths: tuple[PositiveInt, ...] = Field((1200, 1200), min_length=1)
    output: Literal["sigmoid", "tanh"] = "sigmoid"  # the sigmoid's [0, 1] is stretched to [-1, 1]: tanh(x / 2)
    discriminator_widths: tuple[PositiveInt, ...] = Field((240, 240), min_length=1)
    pieces: int = Field(5, ge=1)  # linear pieces a maxout unit (Goodfellow et al. 2013); 1 is a leaky rectifier
    leak: float = Field(0.2, ge=0, lt=1)  # of that rectifier (Maas et al. 2013); maxout has none
    input_dropout: float = Field(0.2, ge=0, lt=1)  # Srivastava et al. 2014, in the discriminator only
    dropout: float = Field(0.5, ge=0, lt=1)


class Generator(nn.Module):
    """(z, c) -> images: float (N, latent_dim), int64 (N,) -> float32 (N, 1, image_size, image_size) in [-1, 1]."""

    def __init__(self, config: PerceptronConfig) -> None:
        super().__init__()
        self.config = config
        widths = (latent_features(config.latent_dim, config.conditions), *config.generator_widths, config.image_size**2)
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))

    def forward(self, z: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        x = with_condition(z, c, self.config.conditions)
        *hidden, last = self.layers
        for layer in hidden:
            x = F.relu(layer(x))
        x = last(x).float().unflatten(1, (1, self.config.image_size, self.config.image_size))
        return torch.tanh(x if self.config.output == "tanh" else x / 2)


class Discriminator(nn.Module):
    """(images, c) -> logits: float (N, 1, image_size, image_size), int64 (N,) -> float32 (N,); higher is more real."""

    def __init__(self, config: PerceptronConfig) -> None:
        super().__init__()
        self.pieces, self.leak = config.pieces, config.leak
        widths = (config.image_size**2, *config.discriminator_widths)
        self.layers = nn.ModuleList(nn.Linear(a, b * config.pieces) for a, b in pairwise(widths))
        chances = (config.input_dropout, *[config.dropout] * len(config.discriminator_widths))
        self.dropouts = nn.ModuleList(nn.Dropout(p) for p in chances)
        self.head = Head(widths[-1], config.conditions)

    def forward(self, images: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        first, *others = self.dropouts
        x = first(images.flatten(1))
        for layer, dropout in zip(self.layers, others, strict=True):
            x = layer(x)
            x = F.leaky_relu(x, self.leak) if self.pieces == 1 else x.unflatten(1, (-1, self.pieces)).amax(2)
            x = dropout(x)
        logits: torch.Tensor = self.head(x, c)
        return logits
