"""From real slices to a finished model folder: conditions, what is held out, the training with its watch, the end."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.compute import Compute
from pipeline.formats.raster import to_uint8, write_png
from pipeline.run_dir import read_record, whole
from pipeline.synthesis import conditions, gan, model_dir, parallel
from pipeline.synthesis.collapse import Alarm
from pipeline.synthesis.curve import Tick
from pipeline.synthesis.model_dir import JOINT, ModelError, TrainedGan
from pipeline.synthesis.watching import MakeRuler, Watching, hold_out

FEWEST_IMAGES: Final = 8  # below, a discriminator knows each image before the generator has made one
Progress = Callable[[int, int, str], None]  # (images seen, budget in images, how it goes)


@dataclass(frozen=True)
class TrainingSet:
    """Real slices of one training part, one entry a slice in each field."""

    images: NDArray[np.float32]  # (N, 1, S, S) in [-1, 1]
    groups: Sequence[str]  # subjects or duplicate groups
    diagnoses: Sequence[str]
    positions: NDArray[np.float64]  # heights in the head in [0, 1], NaN where unknown
    sequences: Sequence[str]
    planes: Sequence[str]


@dataclass(frozen=True)
class _Prepared:
    """The slices of a training with their conditions, and which of them the watch alone sees."""

    diagnosis: str
    images: NDArray[np.float32]
    groups: list[str]
    c: NDArray[np.int64]
    held_out: NDArray[np.bool_]
    conditions: conditions.Conditions

    @property
    def counts(self) -> tuple[int, ...]:
        """Slices trained on of each condition."""
        return tuple(np.bincount(self.c[~self.held_out], minlength=len(self.conditions.levels)).tolist())


def train(
    *,
    folder: Path,
    data: TrainingSet,
    config: gan.GanConfig,
    seed: int,
    compute: Compute,
    progress: Progress,
    make_ruler: MakeRuler | None = None,
    diagnosis: str | None = None,
    start: Path | None = None,
) -> TrainedGan:
    """Train one GAN into `folder`, going on from its checkpoint where one stands there.

    data: of one diagnosis, or of several for a joint GAN that has the diagnosis among its conditions. With `diagnosis`
    and `start` a copy of the joint model in the folder `start`, of the same data and seed, goes on with the slices of
    one diagnosis until `config.images`, those of the joint training among them. make_ruler: the measures of the
    collapse watch; without them, or with `config.watch.on` false, the last generator is kept. A finished folder is
    returned as it is. Raises ModelError before anything is trained where there are too few images, where the network
    cannot make such images, and where the checkpoint is damaged or of another training; later where the disk is full;
    gan.TrainingFailed where the training cannot go on. The last checkpoint stays where it is. Of several processes
    (`train_on`) the first alone looks at the training and writes.
    """
    if parallel.rank() == 0:
        model_dir.tidy(folder)
    if model_dir.config_path(folder).exists():
        return read_record(model_dir.config_path(folder), TrainedGan)
    make_ruler = make_ruler if config.watch.on else None
    ready = _prepare(data, config=config, seed=seed, watched=make_ruler is not None, diagnosis=diagnosis)
    if parallel.rank() > 0:
        make_ruler, start = None, None
    training = _begin(folder, ready, config=config, seed=seed, compute=compute, make_ruler=make_ruler, start=start)
    if not parallel.by_first(training.resume):
        training.tell(progress)
        try:
            gan.train(
                training.state,
                images=torch.from_numpy(ready.images[~ready.held_out]),
                conditions=torch.from_numpy(ready.c[~ready.held_out]),
                config=training.config,
                compute=compute,
                on_tick=lambda _, tick: training.tick(tick, progress),
            )
        except ValueError as error:  # weights of conditions that leave none to draw
            raise ModelError(str(error)) from None
    return parallel.by_first(training.finish)


def train_on(
    devices: Sequence[str],
    *,
    config: gan.GanConfig,
    compute: Compute,
    progress: Progress,
    **arguments: Any,
) -> TrainedGan:
    """`train` on several devices at once, a process each: `cuda:0`, `cuda:1` and so on, or `cpu` so many times.

    What comes out is what `train` gives, but for rounding and for what networks do with a batch as a whole
    (docs/gan.md); one may go on where the other stopped. arguments: the others of `train`; make_ruler can be pickled.
    Raises what `train` raises, ValueError where the devices cannot have equal shares of a batch, and
    gan.TrainingFailed where a process is lost.
    """
    parallel.require_equal_shares(config.batch_size, processes=len(devices))
    shared = arguments | {"config": config}
    each = [shared | {"compute": replace(compute, device=device)} for device in devices]
    try:
        return parallel.run(train, devices=devices, arguments=each, progress=progress)
    except parallel.ProcessLost as error:
        raise gan.TrainingFailed(
            f"{error}, without a word of why (memory that ran out is the usual cause: lower gan.batch_size); its last "
            "checkpoint stands"
        ) from None


def _prepare(data: TrainingSet, *, config: gan.GanConfig, seed: int, watched: bool, diagnosis: str | None) -> _Prepared:
    """Conditions and held-out groups of all slices, then only those of one diagnosis where one is named.

    So a copy of a joint GAN goes on with the conditions, and without the held-out slices, of the joint training.
    """
    named = sorted(set(data.diagnoses))
    rows = np.flatnonzero([diagnosis in (None, one) for one in data.diagnoses])
    _require_trainable(data.images[rows])
    try:
        fitted, c = conditions.fit(
            positions=data.positions,
            sequences=data.sequences,
            planes=data.planes,
            diagnoses=data.diagnoses if len(named) > 1 else None,
            bins=config.position_bins,
            fewest=FEWEST_IMAGES,
        )
    except ValueError as error:
        raise ModelError(str(error)) from None
    held_out = np.zeros(len(c), np.bool_)
    if watched:
        held_out = hold_out(data.groups, share=config.held_out, rng=np.random.default_rng(seed))
        # a condition that this would leave with too few to learn gets back the groups it lost
        scarce = np.bincount(c[~held_out], minlength=len(fitted.levels))[c] < FEWEST_IMAGES
        groups = np.asarray(data.groups)
        held_out &= ~np.isin(groups, groups[held_out & scarce])
    if config.condition_weights and len(config.condition_weights) != len(fitted.levels):
        raise ModelError(
            f"condition_weights has {len(config.condition_weights)} entries for {len(fitted.levels)} conditions"
        )
    return _Prepared(
        diagnosis=diagnosis or (named[0] if len(named) == 1 else JOINT),
        images=np.ascontiguousarray(data.images[rows]),
        groups=[data.groups[i] for i in rows.tolist()],
        c=c[rows],
        held_out=held_out[rows],
        conditions=fitted,
    )


def _require_trainable(images: NDArray[np.float32]) -> None:
    """Raise ModelError where these images cannot be trained on with any network."""
    if len(images) < FEWEST_IMAGES:
        raise ModelError(f"a GAN needs {FEWEST_IMAGES} images to learn from, and here are {len(images)}; add scans")
    if images.ndim != 4 or images.shape[1] != 1 or images.shape[2] != images.shape[3]:
        raise ModelError(f"images are square with one channel, (N, 1, S, S), not {images.shape}")
    if not np.abs(images).max() <= 1 + 1e-5:  # written so that a number that is not one fails too
        raise ModelError("images hold values outside [-1, 1] or not finite; normalise them first")


@dataclass
class _Training:
    """One training under way in its folder."""

    folder: Path
    ready: _Prepared
    config: gan.GanConfig
    seed: int
    compute: Compute
    state: gan.State
    watching: Watching | None
    identity: dict[str, object]
    curve: list[dict[str, Any]] = field(default_factory=list)  # a row a tick, also of those that were gone back on
    joint: TrainedGan | None = None  # whose copy this is,
    joint_until: int | None = None  # from its state at so many images seen,
    joint_ticks: int | None = None  # at so many ticks
    stopped: bool = False  # by alarms
    unimproved_since: int | None = None  # ended, for nothing had become clearly better since so many images
    last_tick: tuple[float, int] = (0.0, 0)  # seconds and images then, for the speed

    def resume(self) -> bool:
        """Put the checkpoint back, where there is one; returns whether the training had ended there.

        Raises ModelError and leaves a wrong one where it is.
        """
        saved = model_dir.read_checkpoint(self.folder, identity=self.identity, kind="GAN")
        if saved is None:
            return False
        gan.restore(self.state, saved["state"])
        self.curve[:] = saved["curve"]
        self.stopped, self.unimproved_since = saved["stopped"], saved["unimproved_since"]
        if self.watching is not None:
            self.watching.watch.restore(saved["watch"])
        self.last_tick = (self.state.seconds, self.state.images_seen)
        return self._over

    def finish(self) -> TrainedGan:
        """Make the folder that of a finished model."""
        joint, healthy = self.ready.diagnosis == JOINT, model_dir.healthy_path(self.folder)
        if joint and not healthy.exists():
            # never healthy: too young to tell, or stopped for good; copies of a stopped one begin from first weights
            first = gan.new_state(config=self.config, seed=self.seed, compute=self.compute)
            model_dir.write_state(healthy, gan.capture(first if self.stopped else self.state))
        trained = self.trained()
        model_dir.finish(self.folder, trained, curve=self.curve, keep_state=joint)
        return trained

    def tick(self, tick: Tick, progress: Progress) -> bool:
        """Draw the fixed latents, let the watch look and act, note it all, save; returns whether to end here."""
        row = asdict(tick) | {"attempt": len(self._alarms), "verdict": "", "judged": False}
        seconds, images = self.last_tick
        speed = (tick.images_seen - images) / max(self.state.seconds - seconds, 1e-9)
        self._draw_snapshot(tick)
        if self.watching is None:
            model_dir.write_generator(model_dir.best_path(self.folder), self.state.generator_ema)
        else:
            old_enough = gan.progress(self.state, self.config) >= self.config.watch.grace
            health, decision = self.watching.look(self.state, accuracy=tick.discriminator_accuracy)
            row |= health.numbers() | {"verdict": decision.verdict, "judged": old_enough}
            self.stopped, self.unimproved_since = decision.verdict == "stop", decision.unimproved_since
        self.curve.append(row)
        self.last_tick = (self.state.seconds, self.state.images_seen)
        self._save()
        said = _said(row, speed)
        if self.unimproved_since is not None:
            said += f"; ended here, nothing has become clearly better since {self.unimproved_since} images"
        self.tell(progress, said)
        return self._over

    def tell(self, progress: Progress, said: str = "") -> None:
        """Say how far it is, in images; under a budget of minutes, of as many as it will have seen at this speed."""
        seen, spent = self.state.images_seen, gan.progress(self.state, self.config)
        total = self.config.images if self.config.minutes is None or spent == 0 else round(seen / spent)
        progress(min(seen, total), total, said)

    def trained(self) -> TrainedGan:
        """The record of the finished training."""
        best = None if self.watching is None else self.watching.watch.best
        return TrainedGan(
            diagnosis=self.ready.diagnosis,
            seed=self.seed,
            gan=self.config,
            conditions=self.ready.conditions,
            condition_counts=self.ready.counts,
            n_slices=int((~self.ready.held_out).sum()),
            n_held_out=int(self.ready.held_out.sum()),
            n_subjects=len({g for g, held in zip(self.ready.groups, self.ready.held_out, strict=True) if not held}),
            images_seen=self.curve[-1]["images_seen"],
            kept_at=self.curve[-1]["images_seen"] if best is None else best.images_seen,
            watched=self.watching is not None,
            best_wrong=0 if best is None else best.wrong,
            alarms=self._alarms,
            stopped=self.stopped,
            unimproved_since=self.unimproved_since,
            joint_until=self.joint_until,
            joint_ticks=self.joint_ticks,
            generator_parameters=sum(p.numel() for p in self.state.generator.parameters()),
            discriminator_parameters=sum(p.numel() for p in self.state.discriminator.parameters()),
        )

    @property
    def _over(self) -> bool:
        """Whether the watch ended the training, before its budget was spent."""
        return self.stopped or self.unimproved_since is not None

    @property
    def _alarms(self) -> tuple[Alarm, ...]:
        """All so far, those of the joint training that this one is a copy of among them."""
        before = () if self.joint is None else self.joint.alarms
        return before if self.watching is None else (*before, *self.watching.watch.alarms)

    def _save(self) -> None:
        content = {
            "identity": self.identity,
            "state": gan.capture(self.state),
            "curve": self.curve,
            "stopped": self.stopped,
            "unimproved_since": self.unimproved_since,
            "watch": None if self.watching is None else self.watching.watch.capture(),
        }
        model_dir.write_state(model_dir.checkpoint_path(self.folder), content)

    @torch.no_grad()
    def _draw_snapshot(self, tick: Tick) -> None:
        """Draw the same latents as at every tick, so that pictures compare over time; conditions in turn.

        A joint generator draws them a row a diagnosis, as the copy of that diagnosis will.
        """
        n = self.config.snapshot_images
        z = torch.randn(n, self.config.network.latent_dim, generator=torch.Generator().manual_seed(self.seed))
        rows = []
        for diagnosis in model_dir.rows_of_snapshots(self.ready.diagnosis):
            drawn = [c for c in self.ready.conditions.of_diagnosis(diagnosis) if self.ready.counts[c]]
            c = torch.tensor(drawn)[torch.arange(n) % len(drawn)]
            pictures = self.state.generator_ema(z.to(self.compute.device), c.to(self.compute.device)).float().cpu()
            if not pictures.isfinite().all():  # with weights that are
                raise gan.TrainingFailed(
                    f"images of the averaged generator are no longer finite, at {tick.images_seen} images seen; lower "
                    "learning_rate or raise gamma"
                )
            rows.append(np.concatenate(list(to_uint8(pictures.numpy()[:, 0])), axis=1))
        path = model_dir.snapshot_path(self.folder, number=len(self.curve), images_seen=tick.images_seen)
        with model_dir.writing(path), whole(path) as part:
            write_png(part, np.concatenate(rows))


def _begin(
    folder: Path,
    ready: _Prepared,
    *,
    config: gan.GanConfig,
    seed: int,
    compute: Compute,
    make_ruler: MakeRuler | None,
    start: Path | None,
) -> _Training:
    """A training at its start, or at that of a copy of a joint one. Raises ModelError where it cannot be."""
    data = hashlib.sha256(ready.images.data)
    for more in (ready.c, ready.held_out):
        data.update(np.ascontiguousarray(more).data)
    data.update("\n".join(ready.groups).encode())
    identity: dict[str, object] = {"seed": seed, "training images": data.hexdigest()}
    watching, joint, of_joint = None, None, None
    if start is not None:
        path = model_dir.healthy_path(start)
        of_joint = read_record(model_dir.config_path(start), TrainedGan)
        joint = model_dir.read_state(path, advice="remove the folder it stands in to train the joint GAN again")
        identity["start"] = hashlib.sha256(path.read_bytes()).hexdigest()
        if of_joint.unimproved_since is not None:  # early in its copies' budget, when the blur was over for it
            config = config.model_copy(update={"blur": 0.0})
    try:
        config = config.for_images(image_size=ready.images.shape[-1], conditions=len(ready.conditions.levels))
        state = gan.new_state(config=config, seed=seed, compute=compute)
    except ValueError as error:
        raise ModelError(str(error)) from None
    try:
        if make_ruler is not None:
            watching = Watching(
                folder=folder,
                images=ready.images,
                conditions=ready.c,
                held_out=ready.held_out,
                groups=ready.groups,
                make_ruler=make_ruler,
                config=config,
                seed=seed,
                compute=compute,
                start=joint,
                alarms_before=0 if of_joint is None else len(of_joint.alarms),
            )
    except ValueError as error:
        raise ModelError(f"{error}; without its collapse watch (gan.watch.on = false) a training asks less") from None
    identity |= _flat("gan", config.model_dump(mode="json"))
    training = _Training(folder, ready, config, seed, compute, state, watching, identity)
    if joint is not None and start is not None:
        gan.restore(state, joint)
        # a copy has its model's past: its pictures, its curve, its alarms
        past = model_dir.read_curve(start)
        # up to the healthy tick that it goes on from; all of it where it begins with first weights
        until = np.flatnonzero(past["images_seen"] == state.images_seen)
        past = past[: until[-1] + 1] if len(until) else past
        model_dir.copy_snapshots(start, folder, diagnosis=ready.diagnosis, first=len(past))
        training.curve[:] = [
            dict(zip(map(str, past), row, strict=True)) for row in past.itertuples(index=False, name=None)
        ]
        training.joint = of_joint
        training.joint_until, training.joint_ticks = state.images_seen, len(past)
        if gan.progress(state, config) >= 1:
            raise ModelError("the budget is spent in the joint training; give its copies more images or minutes")
        training.last_tick = (state.seconds, state.images_seen)
    return training


def _flat(name: str, value: object) -> dict[str, object]:
    """Nested keys as one flat table, so that a difference has a name."""
    if isinstance(value, dict):
        return {path: leaf for key, one in value.items() for path, leaf in _flat(f"{name}.{key}", one).items()}
    return {name: value}


def _said(row: dict[str, Any], speed: float) -> str:
    """How it goes, in a few words: losses, speed, and what the watch says."""
    said = f"loss G {row['generator_loss']:.2f} D {row['discriminator_loss']:.2f}, {speed:.0f} images/s"
    return f"{said}, {row['verdict']}" if row["verdict"] else said
