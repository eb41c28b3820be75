"""Style-based networks (Karras et al. 2019, 2020: StyleGAN2), small enough for one GPU and for tests.

A small mapping network turns z and the condition into w, which scales the channels of every convolution. The image
is the sum of one picture a size, each doubled to the next (skips); the discriminator is residual.
"""

import math
from itertools import pairwise
from typing import Literal, cast

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional as F

from pipeline.synthesis.networks.condition import Head
from pipeline.synthesis.networks.halving import BASE, HalvingConfig
from pipeline.synthesis.networks.style_layers import Conv, Linear, ModulatedConv, active, group_std, unit

MEAN_W_WEIGHT = 0.005  # of each batch in the tracked mean w (Karras et al. 2019)
Noise = Literal["const", "random", "none"]


class StyleConfig(HalvingConfig):
    """Sizes of the pair, its mapping and its noise."""

    family: Literal["style"] = "style"
    image_size: int = Field(128, ge=16, le=512)
    conditions: int = Field(1, ge=1)  # class index: embedded beside z (Karras et al. 2020, ADA), and projection
    width: int = Field(32, ge=1)
    max_width: int = Field(256, ge=1)
    w_dim: int = Field(128, ge=1)
    mapping_layers: int = Field(2, ge=1)  # 8 in the paper; 2 do for small sets (Karras et al. 2020, ADA)
    mapping_rate: float = Field(0.01, gt=0)  # the mapping learns this much slower (Karras et al. 2019)
    # Added to every layer (Karras et al. 2019). While training: "const" the same planes for all images, "random"
    # another for each; "none" builds no noise at all. In evaluation "random" falls back to "const".
    noise: Noise = "random"
    minibatch_std: int = Field(4, ge=0)  # images a group (Karras et al. 2018); 0 leaves it out


class _Layer(nn.Module):
    """Modulated convolution, noise, bias, leaky rectifier: (N, a, S, S), w (N, w_dim) -> (N, b, side, side)."""

    def __init__(self, a: int, b: int, side: int, config: StyleConfig, *, double: bool) -> None:
        super().__init__()
        self.conv = ModulatedConv(a, b, 3, config.w_dim, double=double)
        self.bias = nn.Parameter(torch.zeros(b))
        self.noisy = config.noise != "none"
        if self.noisy:
            self.register_buffer("plane", torch.randn(side, side))
            self.plane: torch.Tensor
            self.strength = nn.Parameter(torch.zeros(()))

    def forward(self, x: torch.Tensor, w: torch.Tensor, noise: torch.Tensor | None) -> torch.Tensor:
        x = self.conv(x, w)
        if self.noisy and noise is not None:
            x = x + (noise * self.strength).to(x.dtype)
        return active(x + self.bias[:, None, None].to(x.dtype))


class Generator(nn.Module):
    """(z, c) -> images: float (N, latent_dim), int64 (N,) -> float32 (N, 1, image_size, image_size) in [-1, 1].

    `map` and `truncate` and `synthesise` are its parts. The papers leave the image unbounded; here tanh bounds it.
    """

    def __init__(self, config: StyleConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.conditions, config.w_dim) if config.conditions > 1 else None
        mapped = config.latent_dim + (config.w_dim if config.conditions > 1 else 0)
        sizes = (mapped, *[config.w_dim] * config.mapping_layers)
        self.mapping = nn.ModuleList(Linear(a, b, rate=config.mapping_rate) for a, b in pairwise(sizes))
        self.register_buffer("w_avg", torch.zeros(config.conditions, config.w_dim))
        self.w_avg: torch.Tensor
        widths = config.widths()
        self.start = nn.Parameter(torch.randn(1, widths[0], BASE, BASE))
        self.layers = nn.ModuleList([_Layer(widths[0], widths[0], BASE, config, double=False)])
        for i, (a, b) in enumerate(pairwise(widths), start=1):
            self.layers.append(_Layer(a, b, BASE * 2**i, config, double=True))
            self.layers.append(_Layer(b, b, BASE * 2**i, config, double=False))
        self.to_image = nn.ModuleList(ModulatedConv(n, 1, 1, config.w_dim, demodulate=False) for n in widths)
        self.image_bias = nn.Parameter(torch.zeros(()))

    def forward(
        self,
        z: torch.Tensor,
        c: torch.Tensor,
        *,
        psi: float = 1.0,
        noise: Noise | None = None,
        rng: torch.Generator | None = None,
    ) -> torch.Tensor:
        """Images of latents z (N, latent_dim) under conditions c (N,), truncated by psi in [0, 1]; 1 leaves them.

        `noise` overrides the configuration. Noise "random" comes from `rng` where one is handed in. Else it is a
        function of z, so no hidden state is drawn from and one latent has one image, whatever its batch.
        """
        w = self.map(z, c)
        if self.training:
            self._track(w.detach().to(self.w_avg.dtype), c)
        if psi != 1.0:
            w = self.truncate(w, c, psi=psi)
        training_noise = self.config.noise if self.training else "const"
        return self.synthesise(w, noise=self.planes(z, mode=noise or training_noise, rng=rng))

    def map(self, z: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        """Latents and conditions to w: (N, latent_dim), int64 (N,) -> (N, w_dim)."""
        x = unit(z)
        if self.embedding is not None:
            x = torch.cat([x, unit(self.embedding(c))], dim=1)
        for layer in self.mapping:
            x = active(layer(x))
        return x

    def truncate(self, w: torch.Tensor, c: torch.Tensor, *, psi: float) -> torch.Tensor:
        """Pull w (N, w_dim) towards the tracked mean w of its own condition (Karras et al. 2019, section B).

        psi 0 is the mean itself, 1 is w untouched. One mean a condition, so that truncating keeps the condition
        (Dobler et al. 2022, conditional truncation).
        """
        return torch.lerp(self.w_avg[c], w.to(self.w_avg.dtype), psi)

    def planes(
        self, z: torch.Tensor, *, mode: Noise = "const", rng: torch.Generator | None = None
    ) -> list[torch.Tensor | None]:
        """Noise of every layer: (1 or N, 1, side, side) each, or None each. See `forward` for what "random" is."""
        if mode == "none" or self.config.noise == "none":
            return [None] * len(self.layers)
        planes = [layer.plane for layer in cast(list[_Layer], list(self.layers))]
        if mode == "const":
            return [plane[None, None] for plane in planes]
        if rng is not None:
            shapes = [(len(z), 1, *plane.shape) for plane in planes]
            return [torch.randn(shape, generator=rng, device=rng.device).to(z.device) for shape in shapes]
        return [_turned(plane, z, i) for i, plane in enumerate(planes)]

    def synthesise(self, w: torch.Tensor, *, noise: list[torch.Tensor | None] | None = None) -> torch.Tensor:
        """Images float32 (N, 1, image_size, image_size) in [-1, 1] of w (N, w_dim); constant noise unless handed in."""
        noise = self.planes(w) if noise is None else noise
        x = self.layers[0](self.start.expand(len(w), -1, -1, -1), w, noise[0])
        image = self.to_image[0](x, w).float()
        for i, to_image in enumerate(self.to_image[1:], start=1):
            for layer in (2 * i - 1, 2 * i):
                x = self.layers[layer](x, w, noise[layer])
            doubled = F.interpolate(image, scale_factor=2, mode="bilinear")
            image = doubled + to_image(x, w).float()
        return torch.tanh(image + self.image_bias)

    @torch.no_grad()
    def _track(self, w: torch.Tensor, c: torch.Tensor) -> None:
        """Move each condition's mean w towards its mean in this batch; conditions that are not in it stay."""
        members = F.one_hot(c, self.config.conditions).to(w.dtype)
        counts = members.sum(0)[:, None]
        mean = (members[:, :, None] * w[:, None]).sum(0) / counts.clamp(min=1)
        self.w_avg.lerp_(mean, MEAN_W_WEIGHT * (counts > 0).to(w.dtype).expand_as(mean))


def _turned(plane: torch.Tensor, z: torch.Tensor, layer: int) -> torch.Tensor:
    """Turn a noise plane (S, S) around both edges, for each image by what the bits of its z say: (N, 1, S, S)."""
    side = len(plane)
    bits = z[:, 0].float().contiguous().view(torch.int32).long()
    # an odd multiplier a layer spreads the bits (Knuth, multiplicative hashing), so layers turn independently
    turn = (bits * (0x9E3779B1 + 2 * layer) >> 12) & 0xFFFFF
    steps = torch.arange(side, device=plane.device)
    rows = (steps + (turn % side)[:, None]) % side
    columns = (steps + (turn // side % side)[:, None]) % side
    return plane[rows[:, :, None], columns[:, None, :]][:, None]


class _Down(nn.Module):
    """(N, a, S, S) -> (N, b, S/2, S/2): two convolutions beside a 1x1 shortcut (Karras et al. 2020, figure 7)."""

    def __init__(self, a: int, b: int) -> None:
        super().__init__()
        self.first, self.second = Conv(a, a, 3), Conv(a, b, 3, halve=True)
        self.shortcut = Conv(a, b, 1, halve=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = active(self.second(active(self.first(x))))
        shortcut: torch.Tensor = self.shortcut(x)
        return (shortcut + y) * math.sqrt(0.5)


class Discriminator(nn.Module):
    """(images, c) -> logits: float (N, 1, image_size, image_size), int64 (N,) -> float32 (N,); higher is more real.

    With `minibatch_std` an image's logit depends on the group it stands in: images i, i + N/g, i + 2N/g, ...
    """

    def __init__(self, config: StyleConfig) -> None:
        super().__init__()
        widths = config.widths()[::-1]
        self.group = config.minibatch_std
        self.from_image = Conv(1, widths[0], 1)
        self.blocks = nn.Sequential(*[_Down(a, b) for a, b in pairwise(widths)])
        self.last = Conv(widths[-1] + (1 if self.group else 0), widths[-1], 3)
        self.dense = Linear(widths[-1] * BASE * BASE, widths[-1])
        self.head = Head(widths[-1], config.conditions)

    def forward(self, images: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        x = self.blocks(active(self.from_image(images)))
        if self.group:
            x = torch.cat([x, group_std(x, self.group)], dim=1)
        x = active(self.dense(active(self.last(x)).flatten(1)))
        logits: torch.Tensor = self.head(x, c)
        return logits
