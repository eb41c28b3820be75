"""What discriminator and generator minimise: logits in, one number out. Higher logits say more real.

Each loss is a pair of pure functions of the logits of real and fake images, float (N,) each; LOSSES names the pairs.
Penalties on the discriminator's gradient stand here too, without their weights.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch.nn import functional as F

LossName = Literal["minimax", "non-saturating", "hinge", "least-squares", "wgan-gp", "relativistic"]
Pair = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Loss:
    """One adversarial loss. `realness` is positive where the discriminator holds a real image to be real."""

    discriminator: Callable[[torch.Tensor, torch.Tensor, float], torch.Tensor]  # real, fake, label of real
    generator: Pair  # real, fake
    realness: Pair  # real, fake
    generator_sees_real: bool = False  # else its real logits are not looked at, and need not be computed
    has_labels: bool = False  # only then can the label of real be other than 1


def _cross_entropy(real: torch.Tensor, fake: torch.Tensor, real_label: float) -> torch.Tensor:
    """-E log D(x) - E log(1 - D(G(z))), D a sigmoid of the logits; Goodfellow et al. 2014, eq. 1.

    real_label below 1 is one-sided label smoothing (Salimans et al. 2016, section 3.4): fake ones keep theirs.
    """
    real_part = real_label * F.softplus(-real) + (1 - real_label) * F.softplus(real)
    return real_part.mean() + F.softplus(fake).mean()


def _minimax(_real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
    """E log(1 - D(G(z))), to be minimised; Goodfellow et al. 2014, eq. 1. Flat where the discriminator is sure."""
    return -F.softplus(fake).mean()


def _non_saturating(_real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
    """-E log D(G(z)); Goodfellow et al. 2014, section 3: the same fixed point, steep where the generator is worst."""
    return F.softplus(-fake).mean()


def _hinge(real: torch.Tensor, fake: torch.Tensor, _real_label: float) -> torch.Tensor:
    """E max(0, 1 - D(x)) + E max(0, 1 + D(G(z))); Lim & Ye 2017, and Miyato et al. 2018, eq. 16."""
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()


def _wasserstein(real: torch.Tensor, fake: torch.Tensor, _real_label: float) -> torch.Tensor:
    """E D(G(z)) - E D(x), for a critic of slope 1; Gulrajani et al. 2017, eq. 3, with `interpolate_penalty`."""
    return fake.mean() - real.mean()


def _raise_fake(_real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
    """-E D(G(z)): the generator's side of hinge and Wasserstein; Miyato et al. 2018, eq. 17."""
    return -fake.mean()


def _least_squares(real: torch.Tensor, fake: torch.Tensor, real_label: float) -> torch.Tensor:
    """E (D(x) - b)^2 / 2 + E (D(G(z)) - a)^2 / 2 with a = 0 and b = real_label; Mao et al. 2017, eq. 2 and 9."""
    return (real - real_label).square().mean() / 2 + fake.square().mean() / 2


def _least_squares_generator(_real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
    """E (D(G(z)) - c)^2 / 2 with c = 1; Mao et al. 2017, eq. 2 and 9."""
    return (fake - 1).square().mean() / 2


def _relativistic(real: torch.Tensor, fake: torch.Tensor, _real_label: float) -> torch.Tensor:
    """E softplus(-(D(x) - D(G(z)))) over pairs; Jolicoeur-Martineau 2019, and Huang et al. 2024, eq. 2."""
    return F.softplus(fake - real).mean()


def _relativistic_generator(real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
    """The same with the pair exchanged: the generator wants each fake above its real partner."""
    return F.softplus(real - fake).mean()


def _above_zero(real: torch.Tensor, _fake: torch.Tensor) -> torch.Tensor:
    return real


def _above_half(real: torch.Tensor, _fake: torch.Tensor) -> torch.Tensor:
    return real - 0.5  # between the targets 0 and 1


def _above_partner(real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
    return real - fake  # where a constant added to all logits changes nothing, zero means nothing


LOSSES: dict[LossName, Loss] = {
    "minimax": Loss(_cross_entropy, _minimax, _above_zero, has_labels=True),
    "non-saturating": Loss(_cross_entropy, _non_saturating, _above_zero, has_labels=True),
    "hinge": Loss(_hinge, _raise_fake, _above_zero),
    "least-squares": Loss(_least_squares, _least_squares_generator, _above_half, has_labels=True),
    "wgan-gp": Loss(_wasserstein, _raise_fake, _above_partner),
    "relativistic": Loss(_relativistic, _relativistic_generator, _above_partner, generator_sees_real=True),
}


def gradient_penalty(logits: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
    """Mean squared norm of the discriminator's gradient at `images`: R1 at real ones, R2 at fake ones.

    Mescheder et al. 2018, eq. 9 and 10, without the factor gamma / 2. `images` (N, 1, H, W) must require a gradient.
    """
    return _gradient(logits, images).square().sum(dim=(1, 2, 3)).mean()


def interpolate_penalty(
    discriminator: Callable[[torch.Tensor], torch.Tensor],
    real: torch.Tensor,
    fake: torch.Tensor,
    *,
    share: torch.Tensor,
) -> torch.Tensor:
    """E (|grad D(x)| - 1)^2 at x between each real image and a fake one; Gulrajani et al. 2017, eq. 3, without lambda.

    real, fake: float (N, 1, H, W), without gradient; share: float (N,) in [0, 1], how far each x lies towards fake.
    """
    between = torch.lerp(real, fake, share.to(real)[:, None, None, None]).requires_grad_()
    slope = _gradient(discriminator(between), between).square().sum(dim=(1, 2, 3))
    return ((slope + 1e-12).sqrt() - 1).square().mean()  # the root has an infinite slope at 0


def _gradient(logits: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return gradient.float()
