"""Deep convolutional GANs as lists of layers (Radford et al. 2016), wide enough for what people have built since.

The generator: dense to a small picture, then one layer a stride. Stride 1 is a convolution that keeps the size,
a larger one a transposed convolution that multiplies it; the last layer makes the image and ends in tanh. The
discriminator: strided convolutions, dropout after each where wished, one logit.
"""

from itertools import accumulate, pairwise
from operator import mul
from typing import Literal, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator
from torch import nn
from torch.nn import functional as F

from pipeline.synthesis.networks.condition import Head, latent_features, with_condition

Norm = Literal["batch", "instance", "none"]


class DcganConfig(BaseModel):
    """Both networks, layer by layer. The default is the DCGAN of Radford et al. 2016 at 64 px, half as wide.

    Raises ValidationError where lists do not match or the strides do not lead to `image_size`, and says which
    sizes come out.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    family: Literal["dcgan"] = "dcgan"
    image_size: int = Field(64, ge=4, le=512)
    latent_dim: int = Field(100, ge=1)
    conditions: int = Field(1, ge=1)  # one-hot beside z (Mirza & Osindero 2014), projection (Miyato & Koyama 2018)
    start_side: int = Field(4, ge=1)  # pixels a side of the picture that the dense layer fills
    start_width: int = Field(512, ge=1)  # its channels
    generator_widths: tuple[PositiveInt, ...] = (256, 128, 64)  # channels after each layer but the last, the image
    generator_strides: tuple[PositiveInt, ...] = (2, 2, 2, 2)  # one a layer, the last for the image itself
    generator_kernel: int = Field(4, ge=1)
    generator_norm: Norm = "batch"  # Ioffe & Szegedy 2015; Ulyanov et al. 2016; never at the image (Radford 2016)
    generator_leak: float = Field(0.0, ge=0, lt=1)  # slope of the rectifier below 0 (Maas et al. 2013); 0 is ReLU
    discriminator_widths: tuple[PositiveInt, ...] = Field((64, 128, 256, 512), min_length=1)
    discriminator_strides: tuple[PositiveInt, ...] = (2, 2, 2, 2)
    discriminator_kernel: int = Field(4, ge=1)
    discriminator_norm: Norm = "batch"  # never in the first layer (Radford 2016)
    discriminator_leak: float = Field(0.2, ge=0, lt=1)
    discriminator_dropout: tuple[float, ...] = ()  # probability after each convolution; none where empty
    initialisation: Literal["normal", "glorot"] = "normal"  # N(0, 0.02), Radford 2016; uniform, Glorot & Bengio 2010

    @model_validator(mode="after")
    def _layers_match(self) -> Self:
        if len(self.generator_strides) != len(self.generator_widths) + 1:
            raise ValueError(
                f"generator_strides needs one entry a width and one for the image, {len(self.generator_widths) + 1}, "
                f"not {len(self.generator_strides)}"
            )
        if len(self.discriminator_strides) != len(self.discriminator_widths):
            raise ValueError(
                f"discriminator_strides needs one entry a width, {len(self.discriminator_widths)}, "
                f"not {len(self.discriminator_strides)}"
            )
        if len(self.discriminator_dropout) not in {0, len(self.discriminator_widths)}:
            raise ValueError(
                f"discriminator_dropout needs no entry or one a width, {len(self.discriminator_widths)}, "
                f"not {len(self.discriminator_dropout)}"
            )
        if not all(0 <= p < 1 for p in self.discriminator_dropout):
            raise ValueError("discriminator_dropout holds probabilities from 0 to below 1")
        return self

    @model_validator(mode="after")
    def _sizes_come_out(self) -> Self:
        sides = self.generator_sides()
        if sides[-1] != self.image_size:
            path = " -> ".join(map(str, sides))
            raise ValueError(
                f"the generator goes {path} pixels a side, but image_size is {self.image_size}: start_side times all "
                "generator_strides must be image_size"
            )
        if self.generator_kernel < max(self.generator_strides):
            raise ValueError(
                f"generator_kernel {self.generator_kernel} is smaller than stride {max(self.generator_strides)}: "
                "some pixels would be reached by nothing"
            )
        sides = self.discriminator_sides()
        if 1 in sides[:-1]:
            path = " -> ".join(map(str, sides))
            raise ValueError(f"the discriminator goes {path} pixels a side: nothing is left before its last layer")
        if (self.generator_norm == "instance" and self.start_side == 1) or (
            self.discriminator_norm == "instance" and sides[-1] == 1
        ):
            raise ValueError("instance norm of a picture of one pixel is always 0; use batch or none")
        return self

    def generator_sides(self) -> list[int]:
        """Pixels a side from the dense layer to the image."""
        return list(accumulate(self.generator_strides, mul, initial=self.start_side))

    def discriminator_sides(self) -> list[int]:
        """Pixels a side from the image to the last convolution; a stride leaves the half of an odd side rounded up."""
        return list(accumulate(self.discriminator_strides, lambda side, s: -(-side // s), initial=self.image_size))


def _upscale(a: int, b: int, *, kernel: int, stride: int, bias: bool) -> nn.Module:
    """Multiply the side by `stride`, exactly: out = (in - 1) * stride - 2 * padding + kernel + output_padding."""
    if stride == 1:
        return nn.Sequential(_padding(kernel - 1), nn.Conv2d(a, b, kernel, bias=bias))
    odd = (kernel - stride) % 2
    padding = (kernel - stride + odd) // 2
    return nn.ConvTranspose2d(a, b, kernel, stride, padding=padding, output_padding=odd, bias=bias)


def _downscale(a: int, b: int, *, kernel: int, stride: int, side: int, bias: bool) -> nn.Module:
    """Divide the side by `stride`, rounded up: pads as much as the last window lacks."""
    lacking = (-(-side // stride) - 1) * stride + kernel - side
    return nn.Sequential(_padding(max(0, lacking)), nn.Conv2d(a, b, kernel, stride, bias=bias))


def _padding(pixels: int) -> nn.Module:
    """Pad so many pixels with zeros, an odd one at the end, as TensorFlow's "same" does."""
    before, after = pixels // 2, pixels - pixels // 2
    return nn.ZeroPad2d((before, after, before, after))


def _norm(kind: Norm, channels: int) -> nn.Module:
    if kind == "none":
        return nn.Identity()
    return nn.BatchNorm2d(channels) if kind == "batch" else nn.InstanceNorm2d(channels, affine=True)


def _initialise(network: nn.Module, kind: Literal["normal", "glorot"]) -> None:
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            if kind == "normal":
                nn.init.normal_(module.weight, 0.0, 0.02)
            else:
                nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


class Generator(nn.Module):
    """(z, c) -> images: float (N, latent_dim), int64 (N,) -> float32 (N, 1, image_size, image_size) in [-1, 1]."""

    def __init__(self, config: DcganConfig) -> None:
        super().__init__()
        self.config = config
        widths = (config.start_width, *config.generator_widths)
        self.dense = nn.Linear(
            latent_features(config.latent_dim, config.conditions), config.start_width * config.start_side**2
        )
        self.norms = nn.ModuleList(_norm(config.generator_norm, width) for width in widths)
        # a norm takes away what a bias before it adds; the image has no norm
        biases = [config.generator_norm == "none"] * (len(widths) - 1) + [True]
        self.layers = nn.ModuleList(
            _upscale(a, b, kernel=config.generator_kernel, stride=stride, bias=bias)
            for (a, b), stride, bias in zip(pairwise((*widths, 1)), config.generator_strides, biases, strict=True)
        )
        _initialise(self, config.initialisation)

    def forward(self, z: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        side = self.config.start_side
        x = self.dense(with_condition(z, c, self.config.conditions)).unflatten(1, (-1, side, side))
        for norm, layer in zip(self.norms, self.layers, strict=True):
            x = layer(F.leaky_relu(norm(x), self.config.generator_leak))
        return torch.tanh(x.float())


class Discriminator(nn.Module):
    """(images, c) -> logits: float (N, 1, image_size, image_size), int64 (N,) -> float32 (N,); higher is more real."""

    def __init__(self, config: DcganConfig) -> None:
        super().__init__()
        self.leak = config.discriminator_leak
        widths, sides = config.discriminator_widths, config.discriminator_sides()
        norms: list[Norm] = ["none", *[config.discriminator_norm] * (len(widths) - 1)]
        self.norms = nn.ModuleList(_norm(kind, width) for kind, width in zip(norms, widths, strict=True))
        shapes = zip(pairwise((1, *widths)), config.discriminator_strides, sides[:-1], norms, strict=True)
        self.layers = nn.ModuleList(
            _downscale(a, b, kernel=config.discriminator_kernel, stride=stride, side=side, bias=norm == "none")
            for (a, b), stride, side, norm in shapes
        )
        chances = config.discriminator_dropout or (0.0,) * len(widths)
        self.dropouts = nn.ModuleList(nn.Dropout(p) for p in chances)
        self.head = Head(widths[-1] * sides[-1] ** 2, config.conditions)
        _initialise(self, config.initialisation)

    def forward(self, images: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        x = images
        for layer, norm, dropout in zip(self.layers, self.norms, self.dropouts, strict=True):
            x = dropout(F.leaky_relu(norm(layer(x)), self.leak))
        logits: torch.Tensor = self.head(x.flatten(1), c)
        return logits
