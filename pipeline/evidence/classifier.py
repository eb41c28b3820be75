"""Tumour or not: the classifier that every arm trains alike, from scratch, in a fixed number of steps.

One routine for every network. No early stopping, no threshold and no checkpoint is chosen by anything: there is
nothing to tune on test scans.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from scipy.special import expit
from torch.nn import functional as F

from data_contracts.manifest import DIAGNOSES, TUMOUR
from pipeline.compute import Compute
from pipeline.evidence.classifier_networks import Classifier, Network, build

DARKEST: Final = 2e-3  # a power of 0 is 0, but its neighbours' slopes are infinite
IS_TUMOUR: Final = DIAGNOSES.index(TUMOUR)


class ClassicAugmentation(BaseModel):
    """How far training images are moved and changed; each is drawn uniformly in +- its range. Half are mirrored."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    rotation_degrees: float = Field(15.0, ge=0)
    shift: float = Field(0.05, ge=0, le=0.5)  # of the image's side
    log_scale: float = Field(0.12, ge=0)
    log_gain: float = Field(0.15, ge=0)
    log_gamma: float = Field(0.3, ge=0)
    noise: float = Field(0.03, ge=0)  # largest standard deviation, of the range [-1, 1]


class ClassifierConfig(BaseModel):
    """One training. The number of steps is fixed, whatever the number of images."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    steps: int = Field(400, ge=1)
    batch_size: int = Field(64, ge=4, multiple_of=2)  # half of each diagnosis
    learning_rate: float = Field(4e-3, gt=0)  # at the peak of the one-cycle schedule
    weight_decay: float = Field(0.05, ge=0)
    label_smoothing: float = Field(0.1, ge=0, lt=1)
    network: Network = "small"
    width: int = Field(16, ge=4, multiple_of=2)  # channels of its first convolution
    augmentation: ClassicAugmentation = ClassicAugmentation()


@dataclass(frozen=True)
class Schedule:
    """How one training uses the slices that were added to the real ones.

    share: of each diagnosis' half of a batch, in [0, 1], drawn from added slices; one a step. None draws from all
    slices of the diagnosis alike. weight: of an added slice's loss, at least 0; a real one has 1.
    """

    share: tuple[float, ...] | None = None
    weight: float = 1.0


POOLED: Final = Schedule()


def augment(images: torch.Tensor, config: ClassicAugmentation, rng: torch.Generator) -> torch.Tensor:
    """Mirror, turn, shift, scale, brighten, bend and add noise to each image by its own draw.

    images float32 (N, 1, H, W) in [-1, 1], on the CPU; the same shape and range comes back.
    """
    n = len(images)
    u = 2 * torch.rand(n, 7, generator=rng) - 1
    mirror, zoom = u[:, 0].sign(), torch.exp(u[:, 1] * config.log_scale)
    angle = u[:, 2] * math.radians(config.rotation_degrees)
    cos, sin, moved = zoom * torch.cos(angle), zoom * torch.sin(angle), 2 * config.shift * u[:, 3:5]
    theta = torch.stack([mirror * cos, -sin, moved[:, 0], mirror * sin, cos, moved[:, 1]], 1).view(n, 2, 3)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    x = (F.grid_sample(images, grid, padding_mode="border", align_corners=False) + 1) / 2
    gamma, gain = torch.exp(u[:, 5] * config.log_gamma), torch.exp(u[:, 6] * config.log_gain)
    x = x.clamp(DARKEST, 1.0) ** gamma.view(n, 1, 1, 1) * gain.view(n, 1, 1, 1)
    spread = config.noise * torch.rand(n, 1, 1, 1, generator=rng)
    return (2 * x - 1 + spread * torch.randn(x.shape, generator=rng)).clamp(-1, 1)


def train_classifier(
    *,
    images: NDArray[np.float32],
    diagnoses: NDArray[np.int64],
    classic: bool,
    config: ClassifierConfig,
    seed: int,
    compute: Compute,
    added: NDArray[np.bool_] | None = None,
    schedule: Schedule = POOLED,
) -> Classifier:
    """Train from scratch on batches that hold both diagnoses equally, whatever their share in the training set.

    images float32 (N, 1, S, S) in [-1, 1], S even; diagnoses int (N,), indices into DIAGNOSES. `classic` turns
    classic augmentation on. AdamW with a one-cycle schedule (Loshchilov 2019; Smith 2018). The seed decides
    weights, batches and augmentation, and no global state is touched. added (N,) says which images were added to the
    real ones, for a schedule that treats these otherwise; steps and learning rate are the same in every schedule.
    Raises ValueError where a diagnosis has no image, or none of an origin that the schedule draws from.
    """
    if len(images) != len(diagnoses) or set(np.unique(diagnoses)) != set(range(len(DIAGNOSES))):
        raise ValueError(f"{len(images)} images with diagnoses {np.unique(diagnoses)}: want one each, both present")
    rng = torch.Generator().manual_seed(seed)
    model = _new_classifier(config, seed)
    compute.place(model)
    optimiser = torch.optim.AdamW(
        model.parameters(), config.learning_rate, weight_decay=config.weight_decay, fused=True
    )
    rate = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, config.learning_rate, total_steps=config.steps + 1, pct_start=0.2
    )
    pool = torch.from_numpy(np.array(images, np.float32))
    is_added = np.zeros(len(images), dtype=bool) if added is None else added
    draw = _drawing(diagnoses, is_added, schedule=schedule, config=config)
    weight = torch.from_numpy(np.where(is_added, schedule.weight, 1.0).astype(np.float32))
    target = torch.arange(len(DIAGNOSES)).repeat_interleave(config.batch_size // 2) == IS_TUMOUR
    smooth = (target * (1 - config.label_smoothing) + config.label_smoothing / 2).to(compute.device)
    for step in range(config.steps):
        rows = draw(step, rng)
        batch = pool[rows]
        batch = augment(batch, config.augmentation, rng) if classic else batch
        with compute.autocast():
            logits = model(compute.put(batch))
        # the mean is over all slices of the batch, so that real ones weigh what they do without a weight
        weights = None if schedule.weight == 1 else weight[rows].to(compute.device)
        loss = F.binary_cross_entropy_with_logits(logits.float(), smooth, weight=weights)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch has no type for it
        optimiser.step()
        rate.step()
    return model.eval()


def _drawing(
    diagnoses: NDArray[np.int64], added: NDArray[np.bool_], *, schedule: Schedule, config: ClassifierConfig
) -> Callable[[int, torch.Generator], torch.Tensor]:
    """Draws the rows (batch_size,) of a step's batch, with repeats: no-tumour ones first, of each the added first."""
    half = config.batch_size // 2
    shares = schedule.share
    sides = (slice(None),) if shares is None else (added, ~added)
    if shares is not None and len(shares) != config.steps:
        raise ValueError(f"a schedule of {len(shares)} steps for a training of {config.steps}")
    rows = np.arange(len(diagnoses))
    pools = [[torch.from_numpy(rows[side][diagnoses[side] == d]) for side in sides] for d in range(len(DIAGNOSES))]
    if not all(len(pool) for of in pools for pool in of):
        raise ValueError("this schedule needs added and real images of each diagnosis")

    def draw(step: int, rng: torch.Generator) -> torch.Tensor:
        first = half if shares is None else round(shares[step] * half)
        counts = (first, half - first)
        drawn = [
            pool[torch.randint(len(pool), (n,), generator=rng)]
            for of in pools
            for pool, n in zip(of, counts, strict=False)
        ]
        return torch.cat(drawn)

    return draw


def _new_classifier(config: ClassifierConfig, seed: int) -> Classifier:
    with torch.random.fork_rng(devices=[]):  # layers draw their weights from the global generator
        torch.manual_seed(seed)
        return build(config.network, width=config.width)


@torch.no_grad()
def predict_logits(model: Classifier, images: NDArray[np.float32], *, batch_size: int = 256) -> NDArray[np.float64]:
    """Logit of tumour of each image (M,): the mean of the image's and its mirror's, in float32.

    images float32 (M, 1, S, S) in [-1, 1]. The model stays on its device and in its mode, which is `eval`.
    """
    device = next(model.parameters()).device
    found = [np.empty(0)]
    for start in range(0, len(images), batch_size):
        batch = torch.from_numpy(np.array(images[start : start + batch_size], np.float32)).to(device)
        found.append(((model(batch) + model(batch.flip(-1))) / 2).double().cpu().numpy())
    return np.concatenate(found)


def predict(model: Classifier, images: NDArray[np.float32], *, batch_size: int = 256) -> NDArray[np.float64]:
    """Probability of tumour of each image (M,), at equal prevalence; arguments as in `predict_logits`."""
    return expit(predict_logits(model, images, batch_size=batch_size))
