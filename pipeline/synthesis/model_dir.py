"""The folder of one trained GAN: weights, how they came about, curves, snapshots, the checkpoint while it trains."""

import hashlib
import io
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from safetensors.torch import load_file, save_file
from torch import nn

from pipeline.compute import Compute
from pipeline.formats.raster import to_uint8, write_png
from pipeline.run_dir import read_record, whole, write_bytes, write_record, write_table
from pipeline.synthesis import gan, networks
from pipeline.synthesis.curve import Tick

FEWEST_IMAGES = 8  # below, a discriminator knows each image before the generator has made one


class ModelError(Exception):
    """A model folder or a training that cannot be used; says which file or what, and why."""


class TrainedGan(BaseModel):
    """`config.json`: all that is needed to rebuild the generator and to say how it came about."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    diagnosis: str
    seed: int
    gan: gan.GanConfig  # its network is that which was trained
    images_seen: int
    n_slices: int
    n_subjects: int
    position_edges: tuple[float, ...]  # heights between which the conditions lie; empty with one condition
    condition_counts: tuple[int, ...]  # training slices of each condition: what sampling draws conditions from
    generator_parameters: int
    discriminator_parameters: int

    @property
    def network(self) -> networks.NetworkConfig:
        """What the generator is built from."""
        return self.gan.network


def config_path(folder: Path) -> Path:
    """The file that is written last: where it stands, the model is complete."""
    return folder / "config.json"


def _weights(folder: Path) -> Path:
    return folder / "generator.safetensors"


def _checkpoint(folder: Path) -> Path:
    return folder / "checkpoint" / "state.pt"


def conditions_from(positions: NDArray[np.float64], bins: int) -> tuple[NDArray[np.int64], tuple[float, ...]]:
    """Condition of each slice by height: `bins` equally filled intervals; one condition where any height is unknown.

    positions: float (N,) in [0, 1] or NaN. Returns int64 (N,) and the inner edges.
    """
    if bins == 1 or np.isnan(positions).any():
        return np.zeros(len(positions), np.int64), ()
    edges = np.unique(np.quantile(positions, np.linspace(0, 1, bins + 1)[1:-1]))
    return np.searchsorted(edges, positions, side="right").astype(np.int64), tuple(edges.tolist())


def train(
    *,
    folder: Path,
    images: NDArray[np.float32],
    positions: NDArray[np.float64],
    n_subjects: int,
    diagnosis: str,
    config: gan.GanConfig,
    seed: int,
    compute: Compute,
    progress: Callable[[int, int], None],
) -> TrainedGan:
    """Train one GAN into `folder`, going on from its checkpoint where one stands there.

    images: float32 (N, 1, S, S) in [-1, 1], real slices of one diagnosis of one training part. A finished folder is
    returned as it is. Raises ModelError before anything is trained where there are too few images, where the network
    cannot make such images, and where the checkpoint is damaged or of another training; gan.TrainingFailed where the
    training cannot go on. The last checkpoint stays where it is.
    """
    if config_path(folder).exists():
        return read_record(config_path(folder), TrainedGan)
    conditions, edges = conditions_from(positions, config.position_bins)
    _require_trainable(images, config, conditions=len(edges) + 1)
    try:
        config = config.for_images(image_size=images.shape[-1], conditions=len(edges) + 1)
        state = gan.new_state(config=config, seed=seed, compute=compute)
    except ValueError as error:
        raise ModelError(str(error)) from None
    identity = _identity(config, seed=seed, images=images, conditions=conditions)
    _resume(state, folder, identity)

    def on_tick(state: gan.State) -> None:
        _write_snapshot(state, folder, config=config, seed=seed, compute=compute)
        _save_checkpoint(state, folder, identity)
        progress(min(state.images_seen, config.images), config.images)

    gan.train(
        state,
        images=torch.from_numpy(images),
        conditions=torch.from_numpy(conditions),
        config=config,
        compute=compute,
        on_tick=on_tick,
    )
    trained = TrainedGan(
        diagnosis=diagnosis,
        seed=seed,
        gan=config,
        images_seen=state.images_seen,
        n_slices=len(images),
        n_subjects=n_subjects,
        position_edges=edges,
        condition_counts=tuple(np.bincount(conditions, minlength=len(edges) + 1).tolist()),
        generator_parameters=sum(p.numel() for p in state.generator.parameters()),
        discriminator_parameters=sum(p.numel() for p in state.discriminator.parameters()),
    )
    _finish(state, folder, trained)
    return trained


def _require_trainable(images: NDArray[np.float32], config: gan.GanConfig, *, conditions: int) -> None:
    """Raise ModelError where these images cannot be trained on with any network."""
    if len(images) < FEWEST_IMAGES:
        raise ModelError(f"a GAN needs {FEWEST_IMAGES} images to learn from, and here are {len(images)}; add scans")
    if images.ndim != 4 or images.shape[1] != 1 or images.shape[2] != images.shape[3]:
        raise ModelError(f"images are square with one channel, (N, 1, S, S), not {images.shape}")
    if not np.abs(images).max() <= 1 + 1e-5:  # written so that a number that is not one fails too
        raise ModelError("images hold values outside [-1, 1] or not finite; normalise them first")
    if config.condition_weights and len(config.condition_weights) != conditions:
        raise ModelError(f"condition_weights has {len(config.condition_weights)} entries for {conditions} conditions")


def _identity(
    config: gan.GanConfig, *, seed: int, images: NDArray[np.float32], conditions: NDArray[np.int64]
) -> dict[str, object]:
    """What a checkpoint must share with a training that goes on from it, flat, so that a difference has a name."""
    data = hashlib.sha256(np.ascontiguousarray(images).data)
    data.update(np.ascontiguousarray(conditions).data)
    return {"seed": seed, "training images": data.hexdigest(), **_flat("gan", config.model_dump(mode="json"))}


def _flat(name: str, value: object) -> dict[str, object]:
    if isinstance(value, dict):
        return {path: leaf for key, one in value.items() for path, leaf in _flat(f"{name}.{key}", one).items()}
    return {name: value}


def _resume(state: gan.State, folder: Path, identity: dict[str, object]) -> None:
    """Put the checkpoint's state back, where there is one. Raises ModelError and leaves a wrong one where it is."""
    path = _checkpoint(folder)
    if not path.exists():
        return
    advice = "remove the folder it stands in to train this GAN from the start"
    try:
        saved = torch.load(path, weights_only=True)
        other = saved["identity"]
        differing = sorted(key for key in identity.keys() | other.keys() if identity.get(key) != other.get(key))
        if not differing:
            gan.restore(state, saved["state"])
    except Exception as error:  # torch raises many kinds for a damaged or foreign file
        raise ModelError(f"the checkpoint {path} is damaged ({type(error).__name__}); {advice}") from error
    if differing:
        raise ModelError(f"the checkpoint {path} is of another training: {', '.join(differing)} differ; {advice}")


def _save_checkpoint(state: gan.State, folder: Path, identity: dict[str, object]) -> None:
    """Write the whole state, or leave the checkpoint before it as it is. Raises ModelError where the disk refuses."""
    buffer = io.BytesIO()
    torch.save({"identity": identity, "state": gan.capture(state)}, buffer)
    path = _checkpoint(folder)
    try:
        write_bytes(path, buffer.getvalue())
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else type(error).__name__
        raise ModelError(
            f"the checkpoint {path} at {state.images_seen} images cannot be written: {why}; "
            "the one before it is whole, so the training can be gone on with once there is room"
        ) from error


@torch.no_grad()
def _write_snapshot(state: gan.State, folder: Path, *, config: gan.GanConfig, seed: int, compute: Compute) -> None:
    """Draw the same latents as at every tick, so that pictures compare over time; conditions in turn."""
    z = torch.randn(config.snapshot_images, config.network.latent_dim, generator=torch.Generator().manual_seed(seed))
    c = torch.arange(config.snapshot_images) % config.network.conditions
    pictures = state.generator_ema(z.to(compute.device), c.to(compute.device)).float().cpu().numpy()
    with whole(folder / "snapshots" / f"{state.images_seen:09d}.png") as part:
        write_png(part, np.concatenate(list(to_uint8(pictures[:, 0])), axis=1))


def _finish(state: gan.State, folder: Path, trained: TrainedGan) -> None:
    """Write weights and curves, then config.json, then drop the checkpoint, which nothing needs any more."""
    weights = {name: tensor.cpu().contiguous() for name, tensor in state.generator_ema.state_dict().items()}
    with whole(_weights(folder)) as part:
        save_file(weights, part)
    write_table(folder / "curves.parquet", pd.DataFrame(state.curve))
    write_record(config_path(folder), trained)
    _checkpoint(folder).unlink(missing_ok=True)


def read_curve(folder: Path) -> list[Tick]:
    """The training's curve, one point a tick."""
    return [Tick(*row) for row in pd.read_parquet(folder / "curves.parquet").itertuples(index=False, name=None)]


def snapshots(folder: Path) -> Sequence[Path]:
    """Pictures of the fixed latents, in order of training."""
    return sorted((folder / "snapshots").glob("*.png"))


def load_generator(folder: Path) -> tuple[nn.Module, TrainedGan]:
    """Rebuild the averaged generator of a finished model, in evaluation mode on the CPU. Raises ModelError."""
    if not config_path(folder).exists():
        raise ModelError(f"{folder} holds no finished model (no config.json); train one with `augment-mri train`")
    try:
        trained = read_record(config_path(folder), TrainedGan)
        with torch.random.fork_rng([]):  # first weights are drawn from the global generator, and replaced at once
            generator, _ = networks.build(trained.network)
        generator.load_state_dict(load_file(_weights(folder)))
    except Exception as error:
        raise ModelError(f"the model in {folder} cannot be read ({type(error).__name__}); train it again") from error
    return generator.eval().requires_grad_(False), trained
