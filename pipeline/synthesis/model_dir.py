"""The folder of one trained GAN: weights, how they came about, curves, snapshots, the checkpoint while it trains."""

import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from safetensors.torch import load_file, save_file

from pipeline.compute import Compute
from pipeline.formats.raster import to_uint8, write_png
from pipeline.run_dir import read_record, whole, write_bytes, write_record, write_table
from pipeline.synthesis import gan
from pipeline.synthesis.networks.lean import Generator, LeanConfig

SNAPSHOT_IMAGES = 8


class TrainedGan(BaseModel):
    """`config.json`: all that is needed to rebuild the generator and to say how it came about."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    diagnosis: str
    seed: int
    network: LeanConfig
    gan: gan.GanConfig
    images_seen: int
    n_slices: int
    n_subjects: int
    position_edges: tuple[float, ...]  # heights between which the conditions lie; empty with one condition
    condition_counts: tuple[int, ...]  # training slices of each condition: what sampling draws conditions from
    generator_parameters: int
    discriminator_parameters: int


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

    images: float32 (N, 1, S, S) in [-1, 1], real slices of one diagnosis of one training part. Raises
    gan.TrainingFailed, and leaves the last checkpoint where it is. A finished folder is returned as it is.
    """
    if config_path(folder).exists():
        return read_record(config_path(folder), TrainedGan)
    conditions, edges = conditions_from(positions, config.position_bins)
    network = LeanConfig(
        image_size=images.shape[-1],
        latent_dim=config.latent_dim,
        conditions=len(edges) + 1,
        width=config.width,
        max_width=config.max_width,
    )
    state = gan.new_state(network=network, config=config, seed=seed, compute=compute)
    _resume(state, folder)
    counts = np.bincount(conditions, minlength=len(edges) + 1)

    def on_tick(state: gan.State) -> None:
        _write_snapshot(state, folder, network=network, conditions=len(counts), seed=seed, compute=compute)
        _save_checkpoint(state, folder)
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
        network=network,
        gan=config,
        images_seen=state.images_seen,
        n_slices=len(images),
        n_subjects=n_subjects,
        position_edges=edges,
        condition_counts=tuple(int(n) for n in counts),
        generator_parameters=sum(p.numel() for p in state.generator.parameters()),
        discriminator_parameters=sum(p.numel() for p in state.discriminator.parameters()),
    )
    _finish(state, folder, trained)
    return trained


def _resume(state: gan.State, folder: Path) -> None:
    path = _checkpoint(folder)
    if not path.exists():
        return
    try:
        gan.restore(state, torch.load(path, weights_only=True))
    except Exception as error:  # torch raises many kinds for a damaged or foreign file
        raise gan.TrainingFailed(
            f"the checkpoint {path} does not fit this training ({type(error).__name__}); "
            "remove the folder it stands in to train this GAN from the start"
        ) from error


def _save_checkpoint(state: gan.State, folder: Path) -> None:
    buffer = io.BytesIO()
    torch.save(gan.capture(state), buffer)
    write_bytes(_checkpoint(folder), buffer.getvalue())


@torch.no_grad()
def _write_snapshot(
    state: gan.State, folder: Path, *, network: LeanConfig, conditions: int, seed: int, compute: Compute
) -> None:
    """Draw the same latents as at every tick, so that pictures compare over time; conditions in turn."""
    z = torch.randn(SNAPSHOT_IMAGES, network.latent_dim, generator=torch.Generator().manual_seed(seed))
    c = torch.arange(SNAPSHOT_IMAGES) % conditions
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


def read_curve(folder: Path) -> list[gan.Tick]:
    """The training's curve, one point a tick."""
    return [gan.Tick(*row) for row in pd.read_parquet(folder / "curves.parquet").itertuples(index=False, name=None)]


def snapshots(folder: Path) -> Sequence[Path]:
    """Pictures of the fixed latents, in order of training."""
    return sorted((folder / "snapshots").glob("*.png"))


class ModelError(Exception):
    """A model folder that cannot be used; says which file and why."""


def load_generator(folder: Path) -> tuple[Generator, TrainedGan]:
    """Rebuild the averaged generator of a finished model, in evaluation mode on the CPU. Raises ModelError."""
    if not config_path(folder).exists():
        raise ModelError(f"{folder} holds no finished model (no config.json); train one with `augment-mri train`")
    try:
        trained = read_record(config_path(folder), TrainedGan)
        generator = Generator(trained.network)
        generator.load_state_dict(load_file(_weights(folder)))
    except Exception as error:
        raise ModelError(f"the model in {folder} cannot be read ({type(error).__name__}); train it again") from error
    return generator.eval().requires_grad_(False), trained
