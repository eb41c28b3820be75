"""The collapse watch at work in one training: it draws, measures, keeps the good states, and goes back to them.

`collapse` decides; here is done what it decided. Beside the checkpoint stand `healthy.pt`, the last state worth going
back to, and `best.safetensors`, the averaged generator of the best tick so far. Both are written before the checkpoint
that says so, and a training killed in between does that tick again and writes the same.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.compute import Compute
from pipeline.synthesis import gan, health, model_dir
from pipeline.synthesis.augment import STRONGEST
from pipeline.synthesis.collapse import Decision, Watch, after_alarm
from pipeline.synthesis.health import SMALLEST_HELD_OUT, Health, Logits, Ruler
from pipeline.synthesis.variety import Images

MakeRuler = Callable[[Images, Sequence[str]], Ruler]  # from the images trained on and their groups
FEWEST_SAMPLES: Final = 256  # a share of near-copies of fewer is too uncertain to be told from that of real slices
LARGEST_SHARE: Final = 0.2  # of the images that may be held out: a training of few needs them more than its watch does


def hold_out(groups: Sequence[str], *, share: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Whole subjects or duplicate groups, drawn at random, that a training never sees and its watch compares with.

    groups: of each image (N,). Returns bool (N,): at least this share of the images and at least as many as a kernel
    distance needs; none where that would be more than a fifth, or all but two groups.
    """
    names, group_of, sizes = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
    order = rng.permutation(len(names))
    held = sizes[order].cumsum()
    wanted = max(SMALLEST_HELD_OUT, share * len(groups))
    taken = int(np.searchsorted(held, wanted)) + 1
    if share == 0 or taken > len(names) - 2 or held[taken - 1] > max(LARGEST_SHARE, share) * len(groups):
        return np.zeros(len(groups), np.bool_)
    return np.isin(group_of, order[:taken])


class Watching:
    """One training's watch, what it holds samples against, and the states that it keeps in `folder`."""

    def __init__(
        self,
        *,
        folder: Path,
        images: Images,
        conditions: NDArray[np.int64],
        held_out: NDArray[np.bool_],
        groups: Sequence[str],
        make_ruler: MakeRuler,
        config: gan.GanConfig,
        seed: int,
        compute: Compute,
        start: Mapping[str, Any] | None = None,
        alarms_before: int = 0,
    ) -> None:
        """Measure real images against real ones, once.

        images: float32 (N, 1, S, S) in [-1, 1], conditions int64 (N,), groups (N,); held_out bool (N,), which of them
        the training does not see. start: the captured state that the training began with, where that is not a fresh
        one, and alarms_before that. Raises ValueError where they are too few, or all the same, to compare.
        """
        self.folder, self.config, self.seed, self.compute, self.start = folder, config, seed, compute, start
        self.alarms_before = alarms_before
        self.watch = Watch(config.watch)
        trained_on = np.flatnonzero(~held_out)
        training, names = images[trained_on], [groups[i] for i in trained_on.tolist()]
        rng = np.random.default_rng([seed, 1])
        self.ruler = make_ruler(training, names)
        self.reference = health.reference(
            training=training, groups=names, held_out=images[held_out], ruler=self.ruler, rng=rng
        )
        # the same latents at every tick, conditions as often as in training
        n = max(2 * self.reference.n, FEWEST_SAMPLES)
        self.z = torch.randn(n, config.network.latent_dim, generator=torch.Generator().manual_seed(seed))
        self.c = torch.from_numpy(rng.choice(conditions[trained_on], n))
        shown = rng.choice(trained_on, min(n, len(trained_on)), replace=False)
        self.training = torch.from_numpy(images[shown]), torch.from_numpy(conditions[shown])
        self.held_out = torch.from_numpy(images[held_out]), torch.from_numpy(conditions[held_out])

    def look(self, state: gan.State, *, accuracy: float = 1.0) -> tuple[Health, Decision]:
        """Judge a tick and do what follows: keep the state, put the last healthy one back, or start anew.

        accuracy: of the discriminator in the training's own batches since the tick before.

        After an alarm `state` is an earlier one, and goes on slower and with stronger augmentation; the seconds spent
        stay spent. Raises ModelError where a state cannot be written, and leaves the one before it whole.
        """
        measured = self.measure(state, accuracy=accuracy)
        answered = self.config.augmentation.target is not None and state.strength < STRONGEST
        progress = min(1.0, gan.progress(state, self.config))
        sharp = gan.blur_sigma(state, self.config, size=1) == 0
        decision = self.watch.look(measured, progress=progress, overfitting_answered=answered, sharp=sharp)
        if decision.best:
            model_dir.write_generator(model_dir.best_path(self.folder), state.generator_ema)
        if decision.verdict == "healthy":
            model_dir.write_state(model_dir.healthy_path(self.folder), gan.capture(state))
        if decision.verdict == "alarm":
            self._go_back(state, decision)
        return measured, decision

    @torch.no_grad()
    def measure(self, state: gan.State, *, accuracy: float) -> Health:
        """Samples of the fixed latents against real images, and what the discriminator thinks of both."""
        pairs = zip(torch.split(self.z, gan.EVALUATED), torch.split(self.c, gan.EVALUATED), strict=True)
        device = self.compute.device
        samples = torch.cat([state.generator_ema(z.to(device), c.to(device)).float().cpu() for z, c in pairs])

        def logits(images: torch.Tensor, conditions: torch.Tensor) -> NDArray[np.float32]:
            return gan.discriminate(state, images, conditions, config=self.config, compute=self.compute).numpy()

        return health.measure(
            images_seen=state.images_seen,
            samples=samples.numpy(),
            reference=self.reference,
            ruler=self.ruler,
            logits=Logits(
                training=logits(*self.training),
                synthetic=logits(samples, self.c),
                held_out=logits(*self.held_out) if len(self.held_out[0]) else None,
                as_trained=accuracy,
            ),
        )

    def _go_back(self, state: gan.State, decision: Decision) -> None:
        alarms, seconds = self.alarms_before + len(self.watch.alarms), state.seconds
        if decision.return_to is not None:
            path = model_dir.healthy_path(self.folder)
            gan.restore(state, model_dir.read_state(path, advice="remove the model's folder to train it anew"))
        elif self.start is not None:
            gan.restore(state, self.start)
            state.rng.manual_seed(self.seed + alarms)  # the same weights, another way on
        else:
            afresh = gan.new_state(config=self.config, seed=self.seed + alarms, compute=self.compute)
            afresh.since = seconds
            gan.restore(state, gan.capture(afresh))
        state.seconds = seconds
        changes = after_alarm(config=self.config.watch, alarms=alarms)
        gan.hold_back(
            state, self.config, learning_rate=changes.learning_rate_factor, strength=changes.augmentation_factor
        )
