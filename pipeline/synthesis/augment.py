"""Differentiable augmentation of what the discriminator sees, real and generated alike.

With a few hundred slices a discriminator soon knows them by heart. Shown only augmented images, and generated
ones augmented in the same way, it cannot, and the generator still learns the distribution before augmentation
(Karras et al. 2020, "Training generative adversarial networks with limited data", ADA; Zhao et al. 2020). Drawing
the parameters is apart from applying them, so that applying is deterministic.
"""

import math
from dataclasses import dataclass

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch.nn import functional as F

# x ** gamma has an infinite gradient at 0, and background is exactly 0 there
DARKEST = 2e-3
# changes made more often than this show up in what the generator makes: it cannot tell them from the data (ADA, fig. 4)
LEAKS_ABOVE = 0.8
STRONGEST = 2.0  # times the configured augmentation; beyond, heads leave the picture


class AugmentConfig(BaseModel):
    """How often and how far images are moved and changed. Each is drawn uniformly in +- the given range.

    The strength multiplies both probabilities and the range of gamma; 0 leaves every image as it is. With a `target`
    it moves while training, and `strength` is where it starts (`adjusted`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    # Resampling blurs the finest detail. Were every image resampled, the discriminator would never see a checkerboard
    # at the last pixel, and the generator would be free to leave one: half of the images stay as sharp as they are.
    probability: float = Field(0.5, ge=0, le=1)
    rotation_degrees: float = Field(8.0, ge=0)
    shift: float = Field(0.1, ge=0, le=0.5)  # of the image's side
    scale: float = Field(0.1, ge=0, lt=1)  # factor 1 +- scale
    log_gamma: float = Field(0.25, ge=0)  # brightness curve, exponent exp(+- log_gamma)
    cutout_probability: float = Field(0.3, ge=0, le=1)
    cutout_side: float = Field(0.4, ge=0, le=1)  # of the image's side
    strength: float = Field(1.0, ge=0, le=STRONGEST)
    target: float | None = Field(None, gt=-1, lt=1)  # of realness; ADA's is 0.6. Without one the strength stays
    adjustment: int = Field(20_000, ge=1)  # images in which the strength can move by 1


@dataclass(frozen=True)
class Parameters:
    """One augmentation per image: inverse affine maps (N, 2, 3), exponents (N,), cut-out boxes (N, 4) in [-1, 1]."""

    theta: torch.Tensor
    gamma: torch.Tensor
    cutout: torch.Tensor  # centre row, centre column, half height, half width; a half side of 0 cuts nothing

    def rows(self, which: slice) -> "Parameters":
        """Those of some of the images."""
        return Parameters(self.theta[which], self.gamma[which], self.cutout[which])


def adjusted(strength: float, *, realness: float, n: int, config: AugmentConfig) -> float:
    """The strength after n more images: up while the discriminator overfits, down while it does not; ADA, section 3.1.

    realness: mean sign of what the discriminator says of training images, -1 to 1 (r_t of ADA's eq. 1). Near 1 it
    knows them by heart; at 0 it guesses. Between 0 and STRONGEST; a config without a target changes nothing.
    """
    if config.target is None:
        return strength
    return min(STRONGEST, max(0.0, strength + math.copysign(n / config.adjustment, realness - config.target)))


def _often(probability: float, strength: float) -> float:
    return min(strength * probability, max(probability, LEAKS_ABOVE))


def draw(n: int, config: AugmentConfig, rng: torch.Generator, *, strength: float = 1.0) -> Parameters:
    """Draw the augmentation of n images. Returns CPU tensors; the same generator state gives the same draw."""
    u = 2 * torch.rand(n, 7, generator=rng) - 1
    moved = torch.rand(n, 1, generator=rng) < _often(config.probability, strength)
    u[:, :4] *= moved
    angle = u[:, 0] * math.radians(config.rotation_degrees)
    zoom = 1 + u[:, 1] * config.scale
    cos, sin = torch.cos(angle) / zoom, torch.sin(angle) / zoom
    # normalised coordinates run from -1 to 1, hence twice the shift
    theta = torch.stack([cos, -sin, 2 * config.shift * u[:, 2], sin, cos, 2 * config.shift * u[:, 3]], 1).view(n, 2, 3)
    cut = torch.rand(n, generator=rng) < _often(config.cutout_probability, strength)
    half = (cut * config.cutout_side)[:, None].expand(n, 2)
    return Parameters(theta, torch.exp(u[:, 4] * (strength * config.log_gamma)), torch.cat([u[:, 5:7], half], 1))


def apply(images: torch.Tensor, parameters: Parameters) -> torch.Tensor:
    """Augment images (N, 1, H, W) in [-1, 1]; differentiable in them; what comes in from outside is background, -1."""
    device = images.device
    x = move((images.float() + 1) / 2, parameters)  # background 0, so that zero padding is background
    x = x.clamp(DARKEST, 1.0) ** parameters.gamma.to(device)[:, None, None, None]
    return _cut_out(2 * x - 1, parameters.cutout.to(device))


def move(masks: torch.Tensor, parameters: Parameters) -> torch.Tensor:
    """The geometry alone, of masks (N, 1, H, W) in [0, 1]; what comes in from outside is 0.

    With the parameters of `apply` a mask stays on what it marks; a box that is cut out of the image stays marked.
    """
    grid = F.affine_grid(parameters.theta.to(masks.device), list(masks.shape), align_corners=False)
    return F.grid_sample(masks, grid, padding_mode="zeros", align_corners=False)


def blur(images: torch.Tensor, sigma: float) -> torch.Tensor:
    """Smooth images (N, 1, H, W) with a Gaussian of `sigma` pixels, edges carried on outside; none below 0.2 pixels."""
    if sigma < 0.2:
        return images
    reach = math.ceil(3 * sigma)
    offsets = torch.arange(-reach, reach + 1, dtype=images.dtype, device=images.device)
    kernel = torch.softmax(-(offsets**2) / (2 * sigma**2), dim=0)
    padded = F.pad(images, [reach] * 4, mode="replicate")
    return F.conv2d(F.conv2d(padded, kernel.view(1, 1, 1, -1)), kernel.view(1, 1, -1, 1))


def _cut_out(images: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
    """Fill one box an image with grey (0), a value no border of a head has everywhere."""
    rows = torch.linspace(-1, 1, images.shape[2], device=images.device)
    columns = torch.linspace(-1, 1, images.shape[3], device=images.device)
    in_rows = (rows - boxes[:, 0:1]).abs() < boxes[:, 2:3]
    in_columns = (columns - boxes[:, 1:2]).abs() < boxes[:, 3:4]
    return images * ~(in_rows[:, None, :, None] & in_columns[:, None, None, :])
