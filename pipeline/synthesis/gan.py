"""Train one conditional GAN on a few hundred slices: configuration, state, losses, one step, the loop.

Relativistic pairing loss with R1 and R2 penalties (Huang et al. 2024, "The GAN is dead; long live the GAN!"):
its regularised training dynamics converge locally and each real image is compared with a generated one, so the
generator cannot win by leaving modes out. "Fake" is the papers' word and stays in this file.
"""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import nn
from torch.nn import functional as F

from pipeline.compute import Compute
from pipeline.synthesis import augment
from pipeline.synthesis.networks.lean import Discriminator, Generator, LeanConfig


class TrainingFailed(Exception):
    """A training that cannot go on; says at which image and why."""


class GanConfig(BaseModel):
    """One training. `images` is its budget in real images shown to the discriminator."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    images: int = Field(50_000, ge=1)
    batch_size: int = Field(16, ge=2)
    learning_rate: float = Field(4e-4, gt=0)
    beta2: float = Field(0.99, gt=0, lt=1)  # beta1 is 0: momentum and adversaries do not mix
    gamma: float = Field(1.0, ge=0)  # weight of R1 and of R2
    penalty_interval: int = Field(8, ge=1)  # steps between penalties, which are scaled up to match (lazy, Karras 2020)
    ema_half_life: int = Field(2_000, ge=1)  # in images seen
    tick: int = Field(4_096, ge=1)  # images between two points of the curve, snapshots and checkpoints
    width: int = Field(32, ge=4)
    max_width: int = Field(192, ge=4)
    latent_dim: int = Field(128, ge=1)
    # At first the discriminator sees images blurred by this much of their side, fading to none at this share of the
    # budget: else it wins on noise and grain, which the generator cannot make yet, and never teaches it anatomy
    # (Karras et al. 2021, "Alias-free generative adversarial networks", blur the early images of one configuration).
    blur: float = Field(0.03, ge=0)
    blur_until: float = Field(0.5, gt=0, le=1)
    position_bins: int = Field(3, ge=1)  # conditions by height in the head, where heights are known
    augmentation: augment.AugmentConfig = augment.AugmentConfig()


@dataclass(frozen=True)
class Tick:
    """Means since the tick before. Accuracy: share of real and fake images that the discriminator puts on the
    right side of the other's mean logit; 0.5 is a draw."""

    images_seen: int
    generator_loss: float
    discriminator_loss: float
    discriminator_accuracy: float


@dataclass
class State:
    """All that a training is at one moment; what `capture` and `restore` carry across a kill."""

    generator: nn.Module
    discriminator: nn.Module
    generator_ema: nn.Module
    generator_optimiser: torch.optim.Optimizer
    discriminator_optimiser: torch.optim.Optimizer
    rng: torch.Generator  # every draw of the training: batches, latents, augmentation
    images_seen: int = 0
    curve: list[Tick] = field(default_factory=list)


def new_state(*, network: LeanConfig, config: GanConfig, seed: int, compute: Compute) -> State:
    """Networks with weights drawn from `seed`, optimisers, and the generator of all later draws."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)  # torch's initialisers draw from the global generator, restored on leaving
        generator = compute.place(Generator(network))
        discriminator = compute.place(Discriminator(network))
    return State(
        generator=generator,
        discriminator=discriminator,
        generator_ema=copy.deepcopy(generator).eval().requires_grad_(False),
        generator_optimiser=_adam(generator, config),
        discriminator_optimiser=_adam(discriminator, config),
        rng=torch.Generator().manual_seed(seed),
    )


def _adam(module: nn.Module, config: GanConfig) -> torch.optim.Adam:
    # fused: one pass over the weights, in plain C++, instead of a Python loop over tensors
    return torch.optim.Adam(module.parameters(), lr=config.learning_rate, betas=(0.0, config.beta2), fused=True)


def discriminator_loss(real_logits: torch.Tensor, fake_logits: torch.Tensor) -> torch.Tensor:
    """Relativistic pairing loss of the discriminator, E softplus(-(D(x) - D(G(z)))); Huang et al. 2024, eq. 2."""
    return F.softplus(fake_logits - real_logits).mean()


def generator_loss(real_logits: torch.Tensor, fake_logits: torch.Tensor) -> torch.Tensor:
    """The same with the pair exchanged: the generator wants each fake above its real partner."""
    return F.softplus(real_logits - fake_logits).mean()


def gradient_penalty(logits: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
    """Mean squared norm of the discriminator's gradient at `images`: R1 at real ones, R2 at fake ones.

    Mescheder et al. 2018, eq. 9 and 10, without the factor gamma / 2. `images` must require a gradient.
    """
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return gradient.float().square().sum(dim=(1, 2, 3)).mean()


def train_step(
    state: State, *, images: torch.Tensor, conditions: torch.Tensor, config: GanConfig, compute: Compute
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """One batch: discriminator, then generator, then EMA. Returns detached losses (G, D) and D's accuracy.

    images: float32 (B, 1, H, W) in [-1, 1]; conditions: int64 (B,). Both sides see augmented images only.
    """
    step = state.images_seen // config.batch_size
    real, c = compute.put(images), conditions.to(compute.device)
    n = len(images)

    sigma = blur_sigma(state.images_seen, size=real.shape[-1], config=config)

    def see(x: torch.Tensor) -> torch.Tensor:
        return compute.put(augment.blur(augment.apply(x, augment.draw(n, config.augmentation, state.rng)), sigma))

    def latents() -> torch.Tensor:
        return torch.randn(n, config.latent_dim, generator=state.rng).to(compute.device)

    with torch.no_grad(), compute.autocast():
        fake = state.generator(latents(), c)
    penalise = step % config.penalty_interval == 0 and config.gamma > 0
    seen_real, seen_fake = see(real).requires_grad_(penalise), see(fake).requires_grad_(penalise)
    with compute.autocast():
        real_logits, fake_logits = state.discriminator(seen_real, c), state.discriminator(seen_fake, c)
        d_loss = discriminator_loss(real_logits, fake_logits)
        total = d_loss
        if penalise:
            r1_penalty, r2_penalty = gradient_penalty(real_logits, seen_real), gradient_penalty(fake_logits, seen_fake)
            total = d_loss + config.penalty_interval * config.gamma / 2 * (r1_penalty + r2_penalty)
    _descend(state.discriminator_optimiser, total)

    state.discriminator.requires_grad_(False)
    with compute.autocast():
        fake_logits_g = state.discriminator(see(state.generator(latents(), c)), c)
        g_loss = generator_loss(state.discriminator(see(real), c), fake_logits_g)
    _descend(state.generator_optimiser, g_loss)
    state.discriminator.requires_grad_(True)

    state.images_seen += n
    update_ema(state, config, n)
    middle = (real_logits.mean() + fake_logits.mean()).detach() / 2
    accuracy = ((real_logits > middle).float().mean() + (fake_logits < middle).float().mean()) / 2
    return g_loss.detach(), d_loss.detach(), accuracy


def blur_sigma(images_seen: int, *, size: int, config: GanConfig) -> float:
    """Pixels of blur before the discriminator: from `config.blur` of the side down to none at `config.blur_until`."""
    return config.blur * size * max(0.0, 1 - images_seen / (config.blur_until * config.images))


def _descend(optimiser: torch.optim.Optimizer, loss: torch.Tensor) -> None:
    optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]  # torch has no type for it
    optimiser.step()


@torch.no_grad()
def update_ema(state: State, config: GanConfig, n: int) -> None:
    """Move the averaged generator towards the trained one; early on with a shorter memory (Karras 2020)."""
    half_life = min(config.ema_half_life, max(1.0, 0.1 * state.images_seen))
    weight = 1 - math.exp2(-n / half_life)
    averaged, trained = state.generator_ema.state_dict(), state.generator.state_dict()
    for name, mine in averaged.items():
        if mine.is_floating_point():
            mine.lerp_(trained[name], weight)
        else:
            mine.copy_(trained[name])  # counts of batches


def train(
    state: State,
    *,
    images: torch.Tensor,
    conditions: torch.Tensor,
    config: GanConfig,
    compute: Compute,
    on_tick: Callable[[State], None],
) -> None:
    """Train until `config.images` real images were seen, calling `on_tick` at every tick and at the end.

    images: float32 (N, 1, H, W) in [-1, 1], of one training part; conditions: int64 (N,). Half of all images
    are shown mirrored: heads are nearly symmetric, so that doubles the data and leaks nothing that is not true.
    Raises TrainingFailed at the first tick with a loss that is not finite.
    """
    sums = torch.zeros(3)
    steps = 0
    while state.images_seen < config.images:
        rows = torch.randint(len(images), (config.batch_size,), generator=state.rng)
        mirrored = torch.rand(config.batch_size, generator=state.rng) < 0.5
        batch = torch.where(mirrored[:, None, None, None], images[rows].flip(3), images[rows])
        statistics = train_step(state, images=batch, conditions=conditions[rows], config=config, compute=compute)
        sums += torch.stack(statistics).cpu()
        steps += 1
        if state.images_seen % config.tick < config.batch_size or state.images_seen >= config.images:
            g_loss, d_loss, accuracy = (sums / steps).tolist()
            if not math.isfinite(g_loss + d_loss):
                raise TrainingFailed(
                    f"a loss became {g_loss} (generator), {d_loss} (discriminator) before {state.images_seen} images "
                    f"were seen; lower learning_rate ({config.learning_rate}) or raise gamma ({config.gamma})"
                )
            state.curve.append(Tick(state.images_seen, g_loss, d_loss, accuracy))
            sums, steps = torch.zeros(3), 0
            on_tick(state)


def capture(state: State) -> dict[str, object]:
    """The state as tensors, numbers and lists only, so that it loads with weights_only=True."""
    return {
        "generator": state.generator.state_dict(),
        "discriminator": state.discriminator.state_dict(),
        "generator_ema": state.generator_ema.state_dict(),
        "generator_optimiser": state.generator_optimiser.state_dict(),
        "discriminator_optimiser": state.discriminator_optimiser.state_dict(),
        "rng": state.rng.get_state(),
        "images_seen": state.images_seen,
        "curve": [
            (t.images_seen, t.generator_loss, t.discriminator_loss, t.discriminator_accuracy) for t in state.curve
        ],
    }


def restore(state: State, captured: dict[str, object]) -> None:
    """Put a captured state back; training then continues bit for bit as if it had never stopped."""
    for name in ("generator", "discriminator", "generator_ema", "generator_optimiser", "discriminator_optimiser"):
        getattr(state, name).load_state_dict(captured[name])
    state.rng.set_state(captured["rng"])  # type: ignore[arg-type]  # checked by torch
    state.images_seen = int(captured["images_seen"])  # type: ignore[call-overload]  # written by capture
    state.curve[:] = [Tick(*point) for point in captured["curve"]]  # type: ignore[attr-defined]  # likewise
