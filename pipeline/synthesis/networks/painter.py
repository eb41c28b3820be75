"""The painter's pair: a small U-Net that fills a hole in a slice, and a discriminator of slices with their masks.

The U-Net (Ronneberger et al. 2015) halves down to 8 x 8 pixels whatever the size, so that a hole is always filled from
all of the head; skips are added, not concatenated, which halves the cost of the way up. As in the lean pair the first
halving and all doublings are shuffles of pixels (Shi et al. 2016), but a shuffle is not the last layer: it left a
checkerboard in painted tissue of real heads, so two narrow convolutions at the full size stand after it. No layer
normalises: brightness is what a lesion is known by, and a picture must not depend on its batch. The latent gives every
level of the way up its gains and biases (Perez et al. 2018, "FiLM"): at the bottleneck alone, the skips would lead past
it. A hole is filled with noise and not with one grey, so that grain has a source; on small phantom heads neither was
better.
"""

from itertools import pairwise
from typing import Literal

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional as F

from pipeline.synthesis.networks.halving import BASE, HalvingConfig

LEAK = 0.2
FINE = 8  # channels at the full size


class PainterNetworkConfig(HalvingConfig):
    """Sizes of the pair. One painter is of one diagnosis: its `conditions` stay 1."""

    family: Literal["painter"] = "painter"
    conditions: Literal[1] = 1
    latent_dim: int = Field(32, ge=1)
    width: int = Field(32, ge=4)  # channels at half the image size; twice as many a halving, up to max_width
    max_width: int = Field(128, ge=4)
    guided: bool = False  # whether it is told what may stand in a hole, and changes that, or begins with noise

    def widths(self) -> list[int]:
        """Channels at 4, 8, ... image_size / 2 pixels a side; the generator begins at 8."""
        return super().widths()[1:]


def hide(images: torch.Tensor, masks: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """Images with noise wherever their masks in [0, 1] are not 0, soft edges too; all (N, 1, S, S)."""
    return torch.where(masks > 0, noise, images)


def blend(images: torch.Tensor, painted: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """Lay `painted` into `images` by masks in [0, 1], all (N, 1, S, S): the same bits where a mask is 0."""
    # at a mask of 1 this form keeps no rounding error of what was there, images + masks * (painted - images) would
    return torch.where(masks > 0, images * (1 - masks) + painted * masks, images)


class Modulation(nn.Module):
    """Gain and bias a channel from the latent; Perez et al. 2018, eq. 1 and 2."""

    def __init__(self, latent_dim: int, channels: int) -> None:
        super().__init__()
        self.affine = nn.Linear(latent_dim, 2 * channels)

    def forward(self, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        gain, bias = self.affine(z).to(x.dtype)[:, :, None, None].chunk(2, dim=1)
        return torch.addcmul(x + bias, x, gain)


class Generator(nn.Module):
    """(images, masks, z, noise, guesses) -> what may stand in the masks, float32 (N, 1, S, S) in [-1, 1].

    images: float (N, 1, S, S) in [-1, 1]; masks: float (N, 1, S, S) in [0, 1]; z: float (N, latent_dim) and noise:
    float (N, 1, S, S), both standard normal; guesses: float (N, 1, S, S), of a guided one alone, to which it adds what
    they lack. What lies under a mask is hidden here, so no caller can let it through.
    """

    def __init__(self, config: PainterNetworkConfig) -> None:
        super().__init__()
        self.latent_dim = config.latent_dim
        widths = config.widths()[:0:-1]  # from half the size to 8 pixels
        self.guided = config.guided
        seen = 3 if config.guided else 2  # slice and mask; the noise stands in the hole, or beside a guess
        self.from_image = nn.Conv2d(seen * 4, widths[0], 3, padding=1)
        self.downs = nn.ModuleList(nn.Conv2d(a, b, 4, stride=2, padding=1) for a, b in pairwise(widths))
        self.middle = nn.Conv2d(widths[-1], widths[-1], 3, padding=1)
        self.modulate_middle = Modulation(config.latent_dim, widths[-1])
        climb = list(pairwise(widths[::-1]))
        self.ups = nn.ModuleList(nn.Conv2d(a, 4 * b, 3, padding=1) for a, b in climb)
        self.modulations = nn.ModuleList(Modulation(config.latent_dim, b) for _, b in climb)
        self.to_full_size = nn.Conv2d(widths[0], 4 * FINE, 3, padding=1)
        self.smooth = nn.Conv2d(FINE + seen, FINE, 3, padding=1)
        self.to_image = nn.Conv2d(FINE, 1, 3, padding=1)
        for shuffled in (*self.ups, self.to_full_size):
            _start_even(shuffled)

    def forward(
        self,
        images: torch.Tensor,
        masks: torch.Tensor,
        z: torch.Tensor,
        noise: torch.Tensor,
        guesses: torch.Tensor | None = None,
    ) -> torch.Tensor:
        if guesses is None:
            seen = torch.cat([hide(images, masks, noise), masks], dim=1)
        else:
            seen = torch.cat([hide(images, masks, guesses), masks, noise], dim=1)
        levels = [F.leaky_relu(self.from_image(F.pixel_unshuffle(seen, 2)), LEAK)]
        for down in self.downs:
            levels.append(F.leaky_relu(down(levels[-1]), LEAK))
        x = levels.pop()
        x = x + F.leaky_relu(self.modulate_middle(self.middle(x), z), LEAK)
        for up, modulate in zip(self.ups, self.modulations, strict=True):
            x = F.leaky_relu(modulate(F.pixel_shuffle(up(x), 2) + levels.pop(), z), LEAK)
        x = F.leaky_relu(F.pixel_shuffle(self.to_full_size(x), 2), LEAK)
        x = F.leaky_relu(self.smooth(torch.cat([x, seen.to(x.dtype)], dim=1)), LEAK)
        painted = self.to_image(x).float()
        return torch.tanh(painted) if guesses is None else (guesses + painted).clamp(-1, 1)


@torch.no_grad()
def _start_even(shuffled: nn.Module) -> None:
    """Let a convolution before a shuffle of pixels start as nearest-neighbour doubling (Aitken et al. 2017, ICNR)."""
    for values in shuffled.parameters():
        values.copy_(values[::4].repeat_interleave(4, dim=0))


class Discriminator(nn.Module):
    """(images, masks) -> logits: float (N, 1, S, S) in [-1, 1] and in [0, 1] -> float32 (N,); higher is more real."""

    def __init__(self, config: PainterNetworkConfig, features: int = 128) -> None:
        super().__init__()
        widths = config.widths()[::-1]
        self.from_image = nn.Conv2d(2 * 4, widths[0], 3, padding=1)
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 4, stride=2, padding=1) for a, b in pairwise(widths))
        self.features = nn.Linear(widths[-1] * BASE * BASE, features)
        self.logit = nn.Linear(features, 1)

    def forward(self, images: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
        x = F.leaky_relu(self.from_image(F.pixel_unshuffle(torch.cat([images, masks], dim=1), 2)), LEAK)
        for conv in self.convs:
            x = F.leaky_relu(conv(x), LEAK)
        logits: torch.Tensor = self.logit(F.leaky_relu(self.features(x.flatten(1)), LEAK))[:, 0].float()
        return logits


def build(config: PainterNetworkConfig) -> tuple[Generator, Discriminator]:
    """Build the pair; weights come from torch's global generator: seed and fork it around this."""
    return Generator(config), Discriminator(config)
