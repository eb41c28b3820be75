"""Train one conditional GAN on a few hundred slices: state, one step, the loop.

The default is a relativistic pairing loss with R1 and R2 penalties (Huang et al. 2024, "The GAN is dead; long live the
GAN!"): its regularised training dynamics converge locally and each real image is compared with a generated one, so
the generator cannot win by leaving modes out. Other recipes are other values of GanConfig (`config`, `recipes`). The
losses stand in `losses`, what makes up a batch in `batches`. "Fake" is the papers' word and stays in these files.
"""

import copy
import io
import math
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
import torch
from torch import nn

from pipeline.compute import Compute
from pipeline.synthesis import augment, batches, losses, networks, optimisers, parallel
from pipeline.synthesis.config import GanConfig
from pipeline.synthesis.curve import Step, Tick, first_fault, table
from pipeline.synthesis.optimisers import descend

__all__ = [  # GanConfig and Tick come from beside
    "GanConfig",
    "Paced",
    "State",
    "Tick",
    "TrainingFailed",
    "blur_sigma",
    "capture",
    "discriminate",
    "hold_back",
    "new_state",
    "progress",
    "restore",
    "train",
    "train_step",
    "update_ema",
]

STATEFUL: Final = ("generator", "discriminator", "generator_ema", "generator_optimiser", "discriminator_optimiser")
NUMBERS: Final = ("seed", "strength", "realness", "images_seen", "seconds", "since")
REMEMBERED: Final = 4  # batches over which overfitting is averaged (ADA, section 3.1)
FEWEST_TICKS: Final = 40  # of a budget in minutes
EVALUATED: Final = 64  # images judged at once outside of a training step


class Paced(Protocol):
    """What the configurations of GANs and painters say alike: how long, how averaged, how blurred at first."""

    @property
    def images(self) -> int: ...
    @property
    def minutes(self) -> float | None: ...
    @property
    def ema_half_life(self) -> int: ...
    @property
    def blur(self) -> float: ...
    @property
    def blur_until(self) -> float: ...
    @property
    def blur_images(self) -> int: ...


class Learning(Protocol):
    """What they say alike of how fast both networks learn."""

    @property
    def generator_optimiser(self) -> optimisers.OptimiserConfig: ...
    @property
    def discriminator_optimiser(self) -> optimisers.OptimiserConfig: ...
    @property
    def gamma(self) -> float: ...


class TrainingFailed(Exception):
    """A training that cannot go on; says at which step and why."""


@dataclass
class State:
    """All that a training is at one moment; what `capture` and `restore` carry across a kill."""

    generator: nn.Module
    discriminator: nn.Module
    generator_ema: nn.Module
    generator_optimiser: torch.optim.Optimizer
    discriminator_optimiser: torch.optim.Optimizer
    rng: torch.Generator  # every draw of the training: batches, latents, augmentation
    seed: int  # of the draws inside the networks (dropout, noise), with images_seen
    strength: float  # of augmentation
    realness: float = 0.0  # running mean sign of what the discriminator says of real images; 1 is overfitting
    images_seen: int = 0
    seconds: float = 0.0  # spent on it so far, one process after the other, looks at it included
    since: float = 0.0  # of them, spent before it last began anew


def new_state(*, config: GanConfig, seed: int, compute: Compute) -> State:
    """Networks with weights drawn from `seed`, optimisers, and the generator of all later draws.

    config.network holds the size of the images (`GanConfig.for_images`). Raises TrainingFailed where they are to be
    compiled and there is no compiler.
    """
    with _own_chance(seed, compute):
        generator, discriminator = networks.build(config.network)
    compute.place(generator)
    compute.place(discriminator)
    generator_ema = copy.deepcopy(generator).eval().requires_grad_(False)
    if config.compile:
        _require_compiler()
        generator.compile()
        discriminator.compile()
    return State(
        generator=generator,
        discriminator=discriminator,
        generator_ema=generator_ema,
        generator_optimiser=optimisers.build(generator.parameters(), config.generator_optimiser),
        discriminator_optimiser=optimisers.build(discriminator.parameters(), config.discriminator_optimiser),
        rng=torch.Generator().manual_seed(seed),
        seed=seed,
        strength=config.augmentation.strength,
    )


def _require_compiler() -> None:
    named = os.environ.get("CXX", "").split()[:1]  # as torch looks for it
    if not any(shutil.which(name) for name in named or ("g++", "clang++")):
        raise TrainingFailed(
            "gan.compile needs a C++ compiler, and there is none: install g++ or set gan.compile = false"
        )


def _as_written(config: GanConfig) -> AbstractContextManager[object]:
    """Where networks run uncompiled: compiled ones cannot be differentiated twice, and want batches of one size."""
    return torch.compiler.set_stance("force_eager") if config.compile else nullcontext()


@contextmanager
def _own_chance(seed: int, compute: Compute) -> Iterator[None]:
    """Seed torch's global generators, which initialisers, dropout and noise draw from, and put them back on leaving."""
    with torch.random.fork_rng([compute.device] if compute.device.startswith("cuda") else []):
        torch.manual_seed(seed)
        yield


def train_step(
    state: State,
    *,
    images: torch.Tensor,
    conditions: torch.Tensor,
    config: GanConfig,
    compute: Compute,
) -> Step:
    """The discriminator once a batch, then the generator once, then EMA; Goodfellow et al. 2014, algorithm 1.

    images: float32 (k B, 1, H, W) in [-1, 1], k = discriminator_steps batches; conditions: int64 (k B,). Of several
    processes (`parallel`) each is given its own rows of every batch. Both sides see augmented images only.
    """
    step = state.images_seen // config.batch_size
    # a function of seed and progress alone: a resumed training drops out and makes noise like one that never stopped;
    # other rows are other images, and dropped out otherwise
    which = [parallel.rank()] if parallel.rank() else []
    inside = np.random.SeedSequence([state.seed, state.images_seen, *which]).generate_state(1)
    share = config.batch_size // parallel.count()
    with _own_chance(int(inside[0]), compute):
        for i in range(len(images) // share):
            rows = slice(i * share, (i + 1) * share)
            real, c = compute.put(images[rows]), conditions[rows].to(compute.device)
            d_loss, penalty, accuracy = _discriminator_step(
                state, real, c, step=step + i, config=config, compute=compute
            )
        g_loss = _generator_step(state, real, c, config=config, compute=compute)
    n = len(images) * parallel.count()
    state.images_seen += n
    # running means, which each process has of its own rows
    sides = (state.generator, state.discriminator)
    parallel.mean_(one for side in sides for one in side.buffers() if one.is_floating_point())
    update_ema(state, config, n)
    return Step(d_loss, penalty, accuracy, g_loss)


def _discriminator_step(
    state: State, real: torch.Tensor, c: torch.Tensor, *, step: int, config: GanConfig, compute: Compute
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Tell one real batch from a fake one of the same conditions. Returns detached loss, penalty, accuracy."""
    with torch.no_grad(), compute.autocast():
        fake = state.generator(_latents(state, config, compute), c)
    penalise = step % config.penalty_interval == 0 and config.gamma > 0
    seen_real = _seen(state, real, config, compute).requires_grad_(penalise)
    seen_fake = _seen(state, fake, config, compute).requires_grad_(penalise and config.r2)
    discriminator = parallel.averaging(state.discriminator)
    twice = penalise or config.loss == "wgan-gp"
    with compute.autocast(), _as_written(config) if twice else nullcontext():
        real_logits, fake_logits = discriminator(seen_real, c), discriminator(seen_fake, c)
        loss = losses.LOSSES[config.loss].discriminator(real_logits, fake_logits, config.real_label)
        penalty = torch.zeros_like(loss)
        if penalise:
            slope = losses.gradient_penalty(real_logits, seen_real)
            if config.r2:
                slope = slope + losses.gradient_penalty(fake_logits, seen_fake)
            penalty = config.penalty_interval * config.gamma / 2 * slope
        if config.loss == "wgan-gp":
            share = torch.rand(config.batch_size, generator=state.rng)[parallel.rows(config.batch_size)]
            ends = seen_real.detach(), seen_fake.detach()
            between = losses.interpolate_penalty(lambda x: discriminator(x, c), *ends, share=share)
            penalty = penalty + config.interpolate_penalty * between
    descend(state.discriminator_optimiser, loss + penalty, l1=config.discriminator_optimiser.l1)
    real_logits, fake_logits = parallel.gathered(real_logits.detach()), parallel.gathered(fake_logits.detach())
    _adapt(state, real_logits, fake_logits, config)
    middle = (real_logits.mean() + fake_logits.mean()) / 2
    accuracy = ((real_logits > middle).float().mean() + (fake_logits < middle).float().mean()) / 2
    return loss.detach(), penalty.detach(), accuracy


def _generator_step(
    state: State, real: torch.Tensor, c: torch.Tensor, *, config: GanConfig, compute: Compute
) -> torch.Tensor:
    """Deceive the discriminator with one fake batch. Returns the detached loss."""
    loss = losses.LOSSES[config.loss]
    state.discriminator.requires_grad_(False)
    with compute.autocast():
        fake = parallel.averaging(state.generator)(_latents(state, config, compute), c)
        fake_logits = state.discriminator(_seen(state, fake, config, compute), c)
        real_logits = torch.zeros_like(fake_logits)
        if loss.generator_sees_real:
            real_logits = state.discriminator(_seen(state, real, config, compute), c)
        g_loss = loss.generator(real_logits, fake_logits)
    descend(state.generator_optimiser, g_loss, l1=config.generator_optimiser.l1)
    state.discriminator.requires_grad_(True)
    return g_loss.detach()


def _latents(state: State, config: GanConfig, compute: Compute) -> torch.Tensor:
    z = torch.randn(config.batch_size, config.network.latent_dim, generator=state.rng)
    return z[parallel.rows(len(z))].to(compute.device)


def _seen(state: State, images: torch.Tensor, config: GanConfig, compute: Compute) -> torch.Tensor:
    """What the discriminator sees of images, real or fake: augmented, and early on blurred."""
    if state.strength > 0:
        drawn = augment.draw(config.batch_size, config.augmentation, state.rng, strength=state.strength)
        images = augment.apply(images, drawn.rows(parallel.rows(config.batch_size)))
    # an alias, so that asking for a gradient never marks the caller's own tensor
    return _blurred(state, images, config, compute).view_as(images)


def _blurred(state: State, images: torch.Tensor, config: GanConfig, compute: Compute) -> torch.Tensor:
    sigma = blur_sigma(state, config, size=images.shape[-1])
    return compute.put(augment.blur(images, sigma))


@torch.no_grad()
def discriminate(
    state: State, images: torch.Tensor, conditions: torch.Tensor, *, config: GanConfig, compute: Compute
) -> torch.Tensor:
    """What the discriminator says of images that are blurred as in training, but neither augmented nor dropped out.

    images: float32 (N, 1, H, W) in [-1, 1]; conditions: int64 (N,). Returns logits float32 (N,) on the CPU.
    """
    state.discriminator.eval()
    try:
        with compute.autocast(), _as_written(config):
            pairs = zip(torch.split(images, EVALUATED), torch.split(conditions, EVALUATED), strict=True)
            found = [
                state.discriminator(_blurred(state, compute.put(x), config, compute), c.to(compute.device))
                for x, c in pairs
            ]
    finally:
        state.discriminator.train()
    return torch.cat(found).float().cpu()


def progress(state: State, config: Paced) -> float:
    """Share of the budget that is spent, in images or in minutes, whichever is more; 1 and above is the end.

    Of a training that began anew, the share of what was then left: it is young again.
    """
    shown = state.images_seen / config.images
    if config.minutes is None:
        return shown
    left = 60 * config.minutes - state.since
    return max(shown, (state.seconds - state.since) / left) if left > 0 else 1.0


def blur_sigma(state: State, config: Paced, *, size: int) -> float:
    """Pixels of blur before the discriminator: from `config.blur` of the side down to none at `config.blur_until` of
    the budget, or at `config.blur_images` where that is sooner.
    """
    faded = max(progress(state, config) / config.blur_until, state.images_seen / config.blur_images)
    return config.blur * size * max(0.0, 1 - faded)


def _adapt(state: State, real_logits: torch.Tensor, fake_logits: torch.Tensor, config: GanConfig) -> None:
    """Follow the overfitting of the discriminator with the strength of augmentation, where a target is set."""
    if config.augmentation.target is None:
        return
    sign = losses.LOSSES[config.loss].realness(real_logits, fake_logits).sign().mean().item()
    state.realness += (sign - state.realness) / REMEMBERED
    state.strength = augment.adjusted(
        state.strength, realness=state.realness, n=len(real_logits), config=config.augmentation
    )


def hold_back(state: State, config: GanConfig, *, learning_rate: float, strength: float) -> None:
    """Go on with these factors on the configured learning rates and augmentation strength, as after a collapse."""
    sides = (
        (state.generator_optimiser, config.generator_optimiser),
        (state.discriminator_optimiser, config.discriminator_optimiser),
    )
    for optimiser, configured in sides:
        for group in optimiser.param_groups:
            group["lr"] = learning_rate * configured.learning_rate
    state.strength = min(augment.STRONGEST, strength * config.augmentation.strength)


@torch.no_grad()
def update_ema(state: State, config: Paced, n: int) -> None:
    """Move the averaged generator towards the trained one; early on with a shorter memory (Karras 2020)."""
    half_life = min(config.ema_half_life, max(1.0, 0.1 * state.images_seen))
    weight = 1 - math.exp2(-n / half_life) if half_life else 1.0
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
    on_tick: Callable[[State, Tick], bool | None],
) -> None:
    """Train until `config.images` real images were seen or `config.minutes` are over; `on_tick` at ticks and the end.

    images: float32 (N, 1, H, W) in [-1, 1], of one training part; conditions: int64 (N,). Half of all images
    are shown mirrored (`mirror`): heads are nearly symmetric, so that doubles the data and leaks nothing that is not
    true. `on_tick` may put an earlier state back, and ends the training by returning True. Of several processes
    (`parallel`) the first alone calls it; all start from, and go back to, the state that the first has. Raises
    TrainingFailed, at the first tick with a loss or weight that is not finite and before calling `on_tick`; ValueError
    where `condition_weights` do not fit the conditions.
    """
    draw = batches.sampler(conditions, sampling=config.sampling, weights=config.condition_weights)
    n = config.batch_size * config.discriminator_steps
    steps: list[Step] = []
    _follow(state)
    started, looked = time.monotonic() - state.seconds, state.seconds
    while progress(state, config) < 1:
        rows = _share(draw(n, state.rng), config)
        batch = images[rows]
        if config.mirror:
            mirrored = _share(torch.rand(n, generator=state.rng) < 0.5, config)
            batch = torch.where(mirrored[:, None, None, None], batch.flip(3), batch)
        c = conditions[rows]
        steps.append(train_step(state, images=batch, conditions=c, config=config, compute=compute))
        state.seconds = time.monotonic() - started
        if config.minutes is not None:  # then steps depend on it
            state.seconds = parallel.by_first(lambda: state.seconds)
        # a slow network would else spend its minutes between two looks
        late = config.minutes is not None and state.seconds - looked > 60 * config.minutes / FEWEST_TICKS
        if state.images_seen % config.tick < n or late or progress(state, config) >= 1:
            tick = tick_of(state, steps, config, shown=n)
            steps, looked = [], state.seconds
            if _acted_on(tick, state, on_tick):
                return


def _share(drawn: torch.Tensor, config: GanConfig) -> torch.Tensor:
    """What this process computes of draws (k B,) for k batches."""
    return drawn.view(-1, config.batch_size)[:, parallel.rows(config.batch_size)].flatten()


def _acted_on(tick: Tick, state: State, on_tick: Callable[[State, Tick], bool | None]) -> bool:
    """Let the first process act on a tick, and the others do as it did. Returns whether to end here."""
    end, went_back = parallel.by_first(lambda: (bool(on_tick(state, tick)), state.images_seen != tick.images_seen))
    if went_back:
        _follow(state)
    return end


def _follow(state: State) -> None:
    """Put the state of the first process into all of them, by way of the CPU: a tensor knows its device by number."""
    if parallel.count() == 1:
        return

    def saved() -> bytes:
        buffer = io.BytesIO()
        torch.save(capture(state), buffer)
        return buffer.getvalue()

    content = parallel.by_first(saved)
    if parallel.rank() > 0:
        restore(state, torch.load(io.BytesIO(content), map_location="cpu", weights_only=True))


def tick_of(state: State, steps: Sequence[Step], config: Learning, *, shown: int) -> Tick:
    """Means over these steps and all processes; shown: images a step.

    Raises TrainingFailed where one of them, or a weight after them, is not finite.
    """
    measured = table(steps)
    parallel.mean_(measured.values())
    fault = first_fault(measured)
    if fault is None:
        for name in ("discriminator", "generator"):
            if not all(p.isfinite().all() for p in getattr(state, name).parameters()):
                fault = len(steps) - 1, f"a weight of the {name} is no longer finite"
    if fault is not None:
        images_seen = state.images_seen - shown * (len(steps) - 1 - fault[0])
        rates = (config.generator_optimiser.learning_rate, config.discriminator_optimiser.learning_rate)
        raise TrainingFailed(
            f"{fault[1]}, at step {images_seen // shown}, {images_seen} images seen; lower learning_rate "
            f"({rates[0]:g} of the generator, {rates[1]:g} of the discriminator) or raise gamma ({config.gamma:g})"
        )
    return Tick(
        state.images_seen,
        generator_loss=measured["generator_loss"].mean().item(),
        discriminator_loss=measured["discriminator_loss"].mean().item(),
        discriminator_accuracy=measured["accuracy"].mean().item(),
        augmentation_strength=state.strength,
    )


def capture(state: State) -> dict[str, object]:
    """The state as tensors, numbers and lists only, so that it loads with weights_only=True."""
    return {
        **{name: getattr(state, name).state_dict() for name in STATEFUL},
        **{name: getattr(state, name) for name in NUMBERS},
        "rng": state.rng.get_state(),
    }


def restore(state: State, captured: Mapping[str, Any]) -> None:
    """Put a captured state back; training then continues bit for bit as if it had never stopped."""
    for name in STATEFUL:
        getattr(state, name).load_state_dict(captured[name])
    for name in NUMBERS:
        setattr(state, name, captured[name])
    state.rng.set_state(captured["rng"])
