"""Train one painter a diagnosis, and paint: a lesion into a real head without one, healthy tissue over a real lesion.

A GAN of whole images leaves its own marks all over them, and a classifier learns those instead of the diagnosis. A
painter changes a masked part of a real slice and nothing else. It learns from two sources. In the first, pairs of a
real slice of its diagnosis and a mask in it: the masked part is hidden and restored, and L1 to what stood there tells
it what it should have been (Pathak et al. 2016, "Context encoders"). In the second, canvases: slices and masks where
it will be asked to paint, of which nobody knows what should stand there, so that the discriminator alone judges.
The losses are the relativistic pairing of the default GAN with R1 and R2 (Huang et al. 2024), conditioned on the mask.
Where the rest of a slice tells what may stand in a hole, its painter is guided: it gets that guess and learns what it
lacks (`Holes.guesses`).
"""

import copy
import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors.torch import load_file

from pipeline.compute import Compute
from pipeline.formats.raster import to_uint8, write_png
from pipeline.run_dir import read_record, whole, write_record, write_table
from pipeline.synthesis import augment, gan, losses, model_dir, optimisers
from pipeline.synthesis.curve import Step
from pipeline.synthesis.model_dir import ModelError
from pipeline.synthesis.networks.painter import Generator, PainterNetworkConfig, blend, build
from pipeline.synthesis.optimisers import OptimiserConfig, descend
from pipeline.synthesis.training import Progress

Pair = tuple[torch.Tensor, torch.Tensor]  # what a discriminator sees: images and masks, (n, 1, S, S)


class Holes(NamedTuple):
    """Slices with a part of each to be painted, all float32 (n, 1, S, S): images in [-1, 1], soft masks in [0, 1].

    guesses in [-1, 1]: what may stand in the masks, where there is anything to guess from; the rest of them is unused.
    """

    images: torch.Tensor
    masks: torch.Tensor
    guesses: torch.Tensor | None = None

    def map(self, change: Callable[[torch.Tensor], torch.Tensor]) -> "Holes":
        """The same change to each of them."""
        return Holes(change(self.images), change(self.masks), None if self.guesses is None else change(self.guesses))


Source = Callable[[torch.Generator, int], Holes]  # draws n of them; a function of the generator's state alone
PROBED: Final = 8  # pairs and canvases by which a resumed training knows its data again
RELATIVISTIC: Final = losses.LOSSES["relativistic"]


class PainterConfig(BaseModel):
    """One painter's training. `images` is its budget in real images shown to the discriminator."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    images: int = Field(40_000, ge=1)
    minutes: float | None = Field(None, gt=0)  # ends a training that is not through by then; resuming counts on
    batch_size: int = Field(16, ge=4, multiple_of=4)  # a half restored, a quarter of canvases painted twice
    network: PainterNetworkConfig = PainterNetworkConfig()  # its image size is replaced by the slices'
    gamma: float = Field(1.0, ge=0)  # weight of R1 and of R2
    penalty_interval: int = Field(8, ge=1)  # steps between penalties, which are scaled up to match (lazy, Karras 2020)
    # Weight of the mean distance of a restored part to what stood there. On phantom heads 5 left flatter, smoother
    # lesions than 1, and restored them hardly better (L1 0.220 and 0.228; one seed).
    l1: float = Field(1.0, ge=0)
    # The same of a guided painter, which has its texture from the guess: with 1 it laid dark patches over lesions of
    # two of 61 slices of twelve patients, with 5 none (judged by eye on training slices; one seed).
    guided_l1: float = Field(5.0, ge=0)
    # Weight of what two paintings of one canvas lack of being `variety` apart, mean grey inside of the mask: the
    # diversity term of Yang et al. 2019 (eq. 2). L1 teaches to leave the latent out, and this takes it in again. A
    # guided painter does without: there is one healthy tissue to restore, and it met the term by a grain of its own.
    variety_weight: float = Field(5.0, ge=0)
    variety: float = Field(0.05, ge=0, le=2)
    generator_optimiser: OptimiserConfig = OptimiserConfig()
    discriminator_optimiser: OptimiserConfig = OptimiserConfig()
    ema_half_life: int = Field(2_000, ge=0)  # in images seen; 0 keeps the trained weights as they are
    mirror: bool = True  # show half of all pairs and canvases mirrored
    tick: int = Field(4_096, ge=1)  # images between two points of the curve, snapshots and checkpoints
    # As in GanConfig the discriminator first sees images blurred by this much of their side, fading to none at this
    # share of the budget or after so many, lest it win on grain before a painter makes any. On phantom heads it changed
    # nothing.
    blur: float = Field(0.03, ge=0)
    blur_until: float = Field(0.5, gt=0, le=1)
    blur_images: int = Field(40_000, ge=1)
    augmentation: augment.AugmentConfig = augment.AugmentConfig()

    def for_images(self, image_size: int, *, guided: bool = False) -> "PainterConfig":
        """The same training, its network as large as the slices. Raises ModelError where it cannot be."""
        try:
            sized = self.network.model_dump() | {"image_size": image_size, "guided": guided}
            return self.model_copy(update={"network": PainterNetworkConfig.model_validate(sized)})
        except ValidationError as error:
            said = "; ".join(one["msg"].removeprefix("Value error, ") for one in error.errors())
            raise ModelError(f"a painter cannot paint {image_size} x {image_size} pixels: {said}") from None


class TrainedPainter(BaseModel):
    """`config.json` of a painter's folder: what rebuilds the generator and says how it came about."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    diagnosis: str  # what its paintings show
    seed: int
    painter: PainterConfig  # its network is that which was trained
    images_seen: int
    l1: float  # of restored parts at the last tick, in grey values of [-1, 1]
    variety: float  # mean grey distance of two paintings of one canvas inside of the mask, at the last tick
    generator_parameters: int
    discriminator_parameters: int


@dataclass(frozen=True)
class _Measured:
    """One step: what every GAN measures, and the painter's own two; scalars on the device, without gradient."""

    step: Step
    l1: torch.Tensor
    variety: torch.Tensor


def train_painter(
    *,
    folder: Path,
    diagnosis: str,
    pairs: Source,
    canvases: Source,
    examples: Holes,
    config: PainterConfig,
    seed: int,
    compute: Compute,
    progress: Progress,
) -> TrainedPainter:
    """Train one painter into `folder`, going on from its checkpoint where one stands there.

    pairs: real slices of `diagnosis` with the soft mask of a part of them to be hidden and restored. canvases: real
    slices with the soft mask where the diagnosis is to be painted. Both yield `Holes` on the CPU, as functions of the
    given generator's state alone: else a resumed training is not what an uninterrupted one would have been. examples:
    canvases of the snapshots; where they have guesses the painter is a guided one. Writes what `model_dir` names,
    config.json last; a finished folder is returned as it is. Raises ModelError before anything is trained where the
    sources yield something else or the checkpoint is damaged or of another training, later where the disk is full;
    gan.TrainingFailed where the training cannot go on. The last checkpoint stays where it is.
    """
    for unfinished in folder.rglob(".*.part*"):
        unfinished.unlink()
    if model_dir.config_path(folder).exists():
        model_dir.checkpoint_path(folder).unlink(missing_ok=True)
        return read_record(model_dir.config_path(folder), TrainedPainter)
    config = config.for_images(examples.images.shape[-1], guided=examples.guesses is not None)
    training = _Training(folder, diagnosis, pairs, canvases, _checked(examples, config), config, seed, compute)
    training.resume()
    training.tell(progress)
    training.run(progress)
    return training.finish()


@dataclass
class _Training:
    """One training under way in its folder."""

    folder: Path
    diagnosis: str
    pairs: Source
    canvases: Source
    examples: Holes
    config: PainterConfig
    seed: int
    compute: Compute
    curve: list[dict[str, Any]] = field(default_factory=list)  # a row a tick

    def __post_init__(self) -> None:
        self.state = new_state(config=self.config, seed=self.seed, compute=self.compute)
        identity = {"diagnosis": self.diagnosis, "seed": self.seed, "data": self._fingerprint()}
        self.identity = identity | self.config.model_dump(mode="json")

    def _fingerprint(self) -> str:
        """Follows from the examples and a few draws of both sources: other data, other pixels."""
        digest = hashlib.sha256()
        for source in (self.pairs, self.canvases):
            drawn = _checked(source(torch.Generator().manual_seed(self.seed), PROBED), self.config)
            for one in (*drawn, *self.examples):
                if one is not None:
                    digest.update(one.contiguous().numpy().tobytes())
        return digest.hexdigest()

    def resume(self) -> None:
        """Put the checkpoint back, where there is one. Raises ModelError and leaves a wrong one where it is."""
        saved = model_dir.read_checkpoint(self.folder, identity=self.identity, kind="painter")
        if saved is None:
            return
        gan.restore(self.state, saved["state"])
        self.curve[:] = saved["curve"]

    def run(self, progress: Progress) -> None:
        """Train until the budget is spent."""
        state, config, n = self.state, self.config, self.config.batch_size
        started = time.monotonic() - state.seconds  # as if it had never stopped
        measured: list[_Measured] = []
        looked = state.seconds
        while gan.progress(state, config) < 1:
            real = _drawn(self.pairs, n, state, config)
            # a quarter: each is painted twice, with two latents
            canvas = _drawn(self.canvases, n // 4, state, config)
            measured.append(train_step(state, real=real, canvas=canvas, config=config, compute=self.compute))
            state.seconds = time.monotonic() - started
            # a slow network would else spend its minutes between two looks
            late = config.minutes is not None and state.seconds - looked > 60 * config.minutes / gan.FEWEST_TICKS
            if state.images_seen % config.tick < n or late or gan.progress(state, config) >= 1:
                self._tick(measured, progress, seconds=state.seconds - looked)
                measured, looked = [], state.seconds

    def _tick(self, measured: Sequence[_Measured], progress: Progress, *, seconds: float) -> None:
        steps = [one.step for one in measured]
        tick = gan.tick_of(self.state, steps, self.config, shown=self.config.batch_size)
        row = asdict(tick)
        row |= {name: torch.stack([getattr(one, name) for one in measured]).mean().item() for name in ("l1", "variety")}
        self._draw_snapshot(number=len(self.curve))
        self.curve.append(row)
        content = {"identity": self.identity, "state": gan.capture(self.state), "curve": self.curve}
        model_dir.write_state(model_dir.checkpoint_path(self.folder), content)
        speed = len(measured) * self.config.batch_size / max(seconds, 1e-9)
        losses_said = f"loss G {tick.generator_loss:.2f} D {tick.discriminator_loss:.2f}"
        self.tell(progress, f"{losses_said}, L1 {row['l1']:.3f}, {speed:.0f} images/s")

    def tell(self, progress: Progress, said: str = "") -> None:
        """Say how far it is, in images; under a budget of minutes, of as many as it will have seen at this speed."""
        seen, share = self.state.images_seen, gan.progress(self.state, self.config)
        total = self.config.images if self.config.minutes is None or share == 0 else round(seen / share)
        progress(min(seen, total), total, said)

    def _draw_snapshot(self, *, number: int) -> None:
        """Paint the examples with the same latents as at every tick, so that pictures compare over time."""
        images, masks, guesses = self.examples
        generator = cast(Generator, self.state.generator_ema)  # `new_state` built it
        painted = paint(
            generator,
            images=images.numpy(),
            masks=masks.numpy(),
            guesses=None if guesses is None else guesses.numpy(),
            seeds=range(len(images)),
            compute=self.compute,
        )
        if not np.isfinite(painted).all():
            raise gan.TrainingFailed(
                f"images of the averaged generator are no longer finite, at {self.state.images_seen} images seen; "
                "lower learning_rate or raise gamma"
            )
        path = model_dir.snapshot_path(self.folder, number=number, images_seen=self.state.images_seen)
        with model_dir.writing(path), whole(path) as part:
            write_png(part, np.concatenate(list(to_uint8(painted[:, 0])), axis=1))

    def finish(self) -> TrainedPainter:
        """Make the folder that of a finished painter."""
        state = self.state
        trained = TrainedPainter(
            diagnosis=self.diagnosis,
            seed=self.seed,
            painter=self.config,
            images_seen=state.images_seen,
            l1=self.curve[-1]["l1"],
            variety=self.curve[-1]["variety"],
            generator_parameters=sum(p.numel() for p in state.generator.parameters()),
            discriminator_parameters=sum(p.numel() for p in state.discriminator.parameters()),
        )
        model_dir.write_generator(_weights(self.folder), state.generator_ema)
        with model_dir.writing(self.folder):
            write_table(self.folder / "curves.parquet", pd.DataFrame(self.curve))
            write_record(model_dir.config_path(self.folder), trained)
        model_dir.checkpoint_path(self.folder).unlink(missing_ok=True)
        return trained


def new_state(*, config: PainterConfig, seed: int, compute: Compute) -> gan.State:
    """Networks with weights drawn from `seed`, optimisers, and the generator of all later draws."""
    with torch.random.fork_rng([]):  # weights are drawn on the CPU
        torch.manual_seed(seed)
        generator, discriminator = build(config.network)
    compute.place(generator)
    compute.place(discriminator)
    return gan.State(
        generator=generator,
        discriminator=discriminator,
        generator_ema=copy.deepcopy(generator).eval().requires_grad_(False),
        generator_optimiser=optimisers.build(generator.parameters(), config.generator_optimiser),
        discriminator_optimiser=optimisers.build(discriminator.parameters(), config.discriminator_optimiser),
        rng=torch.Generator().manual_seed(seed),
        seed=seed,
        strength=config.augmentation.strength,
    )


def train_step(state: gan.State, *, real: Holes, canvas: Holes, config: PainterConfig, compute: Compute) -> _Measured:
    """Paint a batch, then the discriminator once, then the generator once, then EMA.

    real: B real pairs; canvas: B / 4 canvases. The first half of the fakes are the first half of the real slices,
    hidden and restored: each is compared with the very slice that it should have become, so that the two differ in the
    hole alone. The second half are the canvases, painted twice. Half and half, since restoring alone never shows a
    foreign head, and painting canvases alone leaves the discriminator to tell heads of one diagnosis from heads of the
    other, which no painting changes.
    """
    n = config.batch_size
    real = real.map(compute.put)
    images, masks, _ = real
    twice = canvas.map(lambda one: compute.put(one).repeat_interleave(2, dim=0))
    onto = torch.cat([images[: n // 2], twice.images])
    holes = torch.cat([masks[: n // 2], twice.masks])
    guesses = None
    if real.guesses is not None and twice.guesses is not None:
        guesses = torch.cat([real.guesses[: n // 2], twice.guesses])
    z, noise = _chance(n, latent_dim=config.network.latent_dim, size=images.shape[-1], rng=state.rng)
    with compute.autocast():
        # made once: the discriminator's step leaves the generator as it is
        painted = state.generator(onto, holes, z.to(compute.device), compute.put(noise), guesses)
    fakes = blend(onto, painted, holes)
    drawn = augment.draw(n, config.augmentation, state.rng, strength=state.strength)
    # one draw for both of a pair, so that no augmentation stands between a slice and its restoration
    sigma = gan.blur_sigma(state, config, size=images.shape[-1])
    shown_real = _shown(images, masks, drawn, sigma=sigma, compute=compute)
    shown_fake = _shown(fakes, holes, drawn, sigma=sigma, compute=compute)
    d_loss, penalty, accuracy = _discriminator_step(
        state, shown_real, (shown_fake[0].detach(), shown_fake[1]), config=config, compute=compute
    )
    l1 = _masked_mean((painted[: n // 2] - images[: n // 2]).abs(), masks[: n // 2]).mean()
    apart = _masked_mean((painted[n // 2 :: 2] - painted[n // 2 + 1 :: 2]).abs(), twice.masks[::2])
    if guesses is None:
        more = config.l1 * l1 + config.variety_weight * (config.variety - apart).clamp_min(0).mean()
    else:
        more = config.guided_l1 * l1
    state.discriminator.requires_grad_(False)
    with compute.autocast():
        real_logits, fake_logits = state.discriminator(*shown_real), state.discriminator(*shown_fake)
        g_loss = RELATIVISTIC.generator(real_logits, fake_logits)
    descend(state.generator_optimiser, g_loss + more, l1=config.generator_optimiser.l1)
    state.discriminator.requires_grad_(True)
    state.images_seen += n
    gan.update_ema(state, config, n)
    # the adversarial part alone compares with other GANs' curves; L1 is beside it
    step = Step(d_loss, penalty, accuracy, g_loss.detach())
    return _Measured(step, l1.detach(), apart.detach().mean())


def _discriminator_step(
    state: gan.State, real: Pair, fake: Pair, *, config: PainterConfig, compute: Compute
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Tell real slices from painted ones, each with its mask. Returns detached loss, penalty, accuracy."""
    step = state.images_seen // config.batch_size
    penalise = step % config.penalty_interval == 0 and config.gamma > 0
    # aliases, so that asking for a gradient marks no tensor that the generator's step uses; no slope of the mask is
    # penalised: it is the same for both sides
    seen_real, seen_fake = (one.view_as(one).requires_grad_(penalise) for one in (real[0], fake[0]))
    with compute.autocast():
        real_logits = state.discriminator(seen_real, real[1])
        fake_logits = state.discriminator(seen_fake, fake[1])
        loss = RELATIVISTIC.discriminator(real_logits, fake_logits, 1.0)
        penalty = torch.zeros_like(loss)
        if penalise:
            slope = losses.gradient_penalty(real_logits, seen_real) + losses.gradient_penalty(fake_logits, seen_fake)
            penalty = config.penalty_interval * config.gamma / 2 * slope
    descend(state.discriminator_optimiser, loss + penalty, l1=config.discriminator_optimiser.l1)
    real_logits, fake_logits = real_logits.detach(), fake_logits.detach()
    if config.augmentation.target is not None:
        sign = RELATIVISTIC.realness(real_logits, fake_logits).sign().mean().item()
        state.realness += (sign - state.realness) / gan.REMEMBERED
        state.strength = augment.adjusted(
            state.strength, realness=state.realness, n=config.batch_size, config=config.augmentation
        )
    middle = (real_logits.mean() + fake_logits.mean()) / 2
    accuracy = ((real_logits > middle).float().mean() + (fake_logits < middle).float().mean()) / 2
    return loss.detach(), penalty.detach(), accuracy


def _shown(
    images: torch.Tensor, masks: torch.Tensor, drawn: augment.Parameters, *, sigma: float, compute: Compute
) -> Pair:
    """What the discriminator sees: images and masks moved alike, images changed in grey and blurred besides."""
    return compute.put(augment.blur(augment.apply(images, drawn), sigma)), compute.put(augment.move(masks, drawn))


def _masked_mean(values: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """Mean of each of `values` (N, 1, S, S) weighted by its mask, (N,): small lesions count as much as large ones."""
    return (values * masks).sum(dim=(1, 2, 3)) / masks.sum(dim=(1, 2, 3)).clamp_min(1.0)


def _chance(n: int, *, latent_dim: int, size: int, rng: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """What n paintings owe to chance: latents (n, latent_dim) and noise (n, 1, size, size), standard normal."""
    return torch.randn(n, latent_dim, generator=rng), torch.randn(n, 1, size, size, generator=rng)


def _drawn(source: Source, n: int, state: gan.State, config: PainterConfig) -> Holes:
    """n of a source, half of them mirrored."""
    drawn = source(state.rng, n)
    if not config.mirror:
        return drawn
    mirrored = (torch.rand(n, generator=state.rng) < 0.5)[:, None, None, None]
    return drawn.map(lambda one: torch.where(mirrored, one.flip(3), one))


def _checked(drawn: Holes, config: PainterConfig) -> Holes:
    """The draw as it came. Raises ModelError where it is not what a source yields."""
    images, masks, guesses = drawn
    side = config.network.image_size
    if not images.shape == masks.shape == (len(images), 1, side, side) or not len(images):
        raise ModelError(f"painters want slices and masks (n, 1, {side}, {side}), not {images.shape} and {masks.shape}")
    if not images.dtype == masks.dtype == torch.float32:
        raise ModelError(f"painters want slices and masks in float32, not {images.dtype} and {masks.dtype}")
    # written so that a number that is not one fails too
    if not (images.abs().max() <= 1 + 1e-5 and masks.min() >= 0 and masks.max() <= 1):
        raise ModelError("painters want slices in [-1, 1] and masks in [0, 1], all finite")
    if (guesses is not None) != config.network.guided:
        raise ModelError("of a guided painter's sources each yields guesses, of another's none")
    if guesses is not None and not (guesses.shape == images.shape and guesses.abs().max() <= 1):
        raise ModelError(f"painters want a guess in [-1, 1] for each slice, not {guesses.shape}")
    if not (masks.flatten(1).amax(1) > 0).all():
        raise ModelError("a mask is empty: there is nothing to paint")
    return drawn


def _weights(folder: Path) -> Path:
    return folder / "generator.safetensors"  # where `model_dir` has it


def load_painter(folder: Path) -> tuple[Generator, TrainedPainter]:
    """Rebuild the averaged generator of a finished painter, in evaluation mode on the CPU. Raises ModelError."""
    if not model_dir.config_path(folder).exists():
        raise ModelError(f"{folder} holds no finished painter (no config.json)")
    try:
        trained = read_record(model_dir.config_path(folder), TrainedPainter)
        with torch.random.fork_rng([]):  # first weights are drawn from the global generator, and replaced at once
            generator, _ = build(trained.painter.network)
        generator.load_state_dict(load_file(_weights(folder)))
    except Exception as error:
        raise ModelError(f"the painter in {folder} cannot be read ({type(error).__name__}); train it again") from error
    return generator.eval().requires_grad_(False), trained


@torch.no_grad()
def paint(
    generator: Generator,
    *,
    images: NDArray[np.float32],
    masks: NDArray[np.float32],
    seeds: Sequence[int],
    compute: Compute,
    guesses: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Paint into each canvas where its mask is: float32 (N, 1, S, S) in [-1, 1].

    images: float32 (N, 1, S, S) in [-1, 1]; masks: float32 (N, 1, S, S) in [0, 1], soft at their edges; seeds: one a
    canvas; guesses: as images, for a guided painter alone. Where a mask is 0 the pixels are the canvas' own, bit for
    bit; where it is 1 nothing of what was there matters. Each is computed alone and in float32 (`sample` says why):
    canvas, mask, guess and seed give the same bits in any company. The generator is moved to the device of `compute`.
    Raises ValueError where they do not fit.
    """
    if (guesses is not None) != generator.guided:
        raise ValueError("a guided painter wants a guess for each canvas, any other has no use for one")
    if not images.shape == masks.shape == (len(seeds), 1, *images.shape[2:]):
        raise ValueError(f"one mask and one seed a canvas: {images.shape}, {masks.shape} and {len(seeds)} seeds")
    compute.place(generator)
    painted = np.empty(images.shape, np.float32)
    for i, seed in enumerate(seeds):
        rng = torch.Generator().manual_seed(seed)
        z, noise = _chance(1, latent_dim=generator.latent_dim, size=images.shape[-1], rng=rng)
        canvas, mask = (compute.put(torch.from_numpy(np.float32(one[i : i + 1]))) for one in (images, masks))
        guess = None if guesses is None else compute.put(torch.from_numpy(np.float32(guesses[i : i + 1])))
        made = generator(canvas, mask, z.to(compute.device), compute.put(noise), guess)
        painted[i] = blend(canvas, made, mask)[0].cpu().numpy()
    return painted
