"""What a training measured: at every step on the device, and as one point of its curve at every tick."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Final

import torch


@dataclass(frozen=True)
class Tick:
    """Means since the tick before, and the strength of augmentation now. Accuracy: share of real and fake images that
    the discriminator puts on the right side of the other's mean logit; 0.5 is a draw."""

    images_seen: int
    generator_loss: float
    discriminator_loss: float
    discriminator_accuracy: float
    augmentation_strength: float


@dataclass(frozen=True)
class Step:
    """One step: scalars on the device, without gradient."""

    discriminator_loss: torch.Tensor
    penalty: torch.Tensor  # as it was added to the discriminator's loss; 0 at steps without
    accuracy: torch.Tensor
    generator_loss: torch.Tensor


WORDS: Final = {
    "discriminator_loss": "the discriminator's loss",
    "penalty": "the penalty on the discriminator's gradient",
    "accuracy": "the discriminator's accuracy",
    "generator_loss": "the generator's loss",
}


def table(steps: Sequence[Step]) -> dict[str, torch.Tensor]:
    """Each measure over the steps, float32 (steps,) on the CPU, in the order in which a step takes them."""
    return {one.name: torch.stack([getattr(s, one.name) for s in steps]).float().cpu() for one in fields(Step)}


def first_fault(measured: dict[str, torch.Tensor]) -> tuple[int, str] | None:
    """The first step at which a measure is not finite, and which one; None where all are."""
    sound = torch.stack([values.isfinite() for values in measured.values()])
    if sound.all():
        return None
    at = int((~sound.all(0)).nonzero()[0])
    name = next(name for name, values in measured.items() if not values[at].isfinite())
    before = f", {measured[name][at - 1]:.3g} a step earlier" if at else ""
    return at, f"{WORDS[name]} became {measured[name][at]:.3g}{before}"
