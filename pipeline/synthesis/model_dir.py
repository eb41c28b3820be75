"""The folder of one trained GAN: weights, how they came about, curve, snapshots, the checkpoint while it trains."""

import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import torch
from pydantic import BaseModel, ConfigDict
from safetensors.torch import load_file, save
from torch import nn

from data_contracts.manifest import DIAGNOSES
from pipeline.formats.raster import read_png, write_png
from pipeline.run_dir import read_record, whole, write_bytes, write_record, write_table
from pipeline.synthesis import networks
from pipeline.synthesis.collapse import Alarm
from pipeline.synthesis.conditions import Conditions
from pipeline.synthesis.config import GanConfig

JOINT: Final = "joint"  # in place of a diagnosis: a GAN of all of them


class ModelError(Exception):
    """A model folder or a training that cannot be used; says which file or what, and why."""


class TrainedGan(BaseModel):
    """`config.json`: all that is needed to rebuild the generator and to say how it came about."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    diagnosis: str  # or JOINT
    seed: int
    gan: GanConfig  # its network is that which was trained
    conditions: Conditions
    condition_counts: tuple[int, ...]  # training slices of each condition: what sampling draws conditions from
    n_slices: int  # trained on
    n_held_out: int  # slices of the training part that the collapse watch alone saw
    n_subjects: int  # or groups, of those trained on
    images_seen: int  # where the training ended
    kept_at: int  # images seen by the generator that was kept: the best one of a watched training, else the last
    watched: bool
    best_wrong: int  # of the kept generator: 0 healthy or not watched, 1 poor, 2 at fault
    alarms: tuple[Alarm, ...]
    stopped: bool  # by the watch, before its budget was spent
    # where training ended because nothing had become clearly better: images seen at the last clear improvement
    unimproved_since: int | None = None
    joint_until: int | None = None  # of a copy of a joint GAN: images seen until then, of all diagnoses
    joint_ticks: int | None = None  # and as many rows of its curve are of the joint training
    generator_parameters: int
    discriminator_parameters: int

    @property
    def network(self) -> networks.NetworkConfig:
        """What the generator is built from."""
        return self.gan.network


def config_path(folder: Path) -> Path:
    """The file that is written last: where it stands, the model is complete."""
    return folder / "config.json"


def checkpoint_path(folder: Path) -> Path:
    """All that a training is at its last tick; stands while it is not finished."""
    return folder / "checkpoint" / "state.pt"


def healthy_path(folder: Path) -> Path:
    """The last state that the collapse watch would go back to; in a joint model it stays, to be gone on from."""
    return folder / "checkpoint" / "healthy.pt"


def best_path(folder: Path) -> Path:
    """The averaged generator of the best tick so far."""
    return folder / "checkpoint" / "best.safetensors"


def _weights(folder: Path) -> Path:
    return folder / "generator.safetensors"


def write_state(path: Path, content: object) -> None:
    """Write what torch.load reads with weights_only=True, or leave what stood there as it was. Raises ModelError."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    _write(path, buffer.getvalue())


def write_generator(path: Path, generator: nn.Module) -> None:
    """Write a generator's weights, or leave what stood there as it was. Raises ModelError."""
    _write(path, save({name: tensor.cpu().contiguous() for name, tensor in generator.state_dict().items()}))


def _write(path: Path, data: bytes) -> None:
    with writing(path):
        write_bytes(path, data)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Raise ModelError, with the file and the reason, where the disk refuses what is written in the block."""
    try:
        yield
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else type(error).__name__
        raise ModelError(
            f"{path} cannot be written: {why}; nothing that stood there was harmed, so the training can be gone on "
            "with once this is mended"
        ) from error


def tidy(folder: Path) -> None:
    """Remove what a killed training left: files begun and not finished, and a finished one's checkpoint."""
    for path in folder.rglob(".*.part*"):
        path.unlink()
    if config_path(folder).exists():
        _drop_checkpoint(folder, keep_state=read_record(config_path(folder), TrainedGan).diagnosis == JOINT)


def _drop_checkpoint(folder: Path, *, keep_state: bool) -> None:
    for path in (checkpoint_path(folder), best_path(folder), *([] if keep_state else [healthy_path(folder)])):
        path.unlink(missing_ok=True)


def read_state(path: Path, *, advice: str) -> dict[str, Any]:
    """What `write_state` wrote. Raises ModelError, with the advice, where it is damaged or another file."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)  # its device may be another's by now
        return dict(content)
    except Exception as error:  # torch raises many kinds for a damaged or foreign file
        raise ModelError(f"the checkpoint {path} is damaged ({type(error).__name__}); {advice}") from error


def read_checkpoint(folder: Path, *, identity: Mapping[str, object], kind: str) -> dict[str, Any] | None:
    """What stands in the folder of a training of a `kind`, with this `identity` in it; None where nothing does.

    Raises ModelError, and leaves the checkpoint where it is, where it is damaged or another training's.
    """
    path = checkpoint_path(folder)
    if not path.exists():
        return None
    advice = f"remove the folder it stands in to train this {kind} from the start"
    saved = read_state(path, advice=advice)
    other = saved.get("identity", {})
    differing = sorted(k for k in identity.keys() | other.keys() if identity.get(k) != other.get(k))
    if differing:
        raise ModelError(f"the checkpoint {path} is of another training: {', '.join(differing)} differ; {advice}")
    return saved


def finish(folder: Path, trained: TrainedGan, *, curve: Sequence[dict[str, Any]], keep_state: bool) -> None:
    """Make the best generator the model's, write curve and then config.json, and drop what nothing needs any more."""
    _write(_weights(folder), best_path(folder).read_bytes())
    with writing(folder):
        write_table(folder / "curves.parquet", pd.DataFrame(curve))
        write_record(config_path(folder), trained)
    _drop_checkpoint(folder, keep_state=keep_state)


def derive(joint: Path, folder: Path, *, diagnosis: str) -> TrainedGan:
    """Copy a finished joint model into `folder` as the model of one diagnosis: it draws that one's conditions only."""
    trained = read_record(config_path(joint), TrainedGan)
    of_diagnosis = trained.conditions.of_diagnosis(diagnosis)
    counts = tuple(n if c in of_diagnosis else 0 for c, n in enumerate(trained.condition_counts))
    ticks = len(read_curve(joint))
    copy_snapshots(joint, folder, diagnosis=diagnosis, first=ticks)
    for path in (_weights(joint), joint / "curves.parquet"):
        write_bytes(folder / path.name, path.read_bytes())
    update: dict[str, object] = {"diagnosis": diagnosis, "condition_counts": counts}
    update |= {"joint_until": trained.images_seen, "joint_ticks": ticks}
    derived = trained.model_copy(update=update)
    write_record(config_path(folder), derived)
    return derived


def read_curve(folder: Path) -> pd.DataFrame:
    """The training's curve, one row a tick in the order in which they came, also those that were gone back on.

    Columns: those of `curve.Tick`; attempt (alarms before it); verdict, empty without a watch; judged, whether it was
    old enough for an alarm; and, with a watch, those of `health.Health.numbers`.
    """
    return pd.read_parquet(folder / "curves.parquet")


def snapshot_path(folder: Path, *, number: int, images_seen: int) -> Path:
    """Picture of the fixed latents at a tick; ticks are numbered in the order in which they came."""
    return folder / "snapshots" / f"{number:05d}-{images_seen:09d}.png"


def snapshots(folder: Path) -> Sequence[Path]:
    """Pictures of the fixed latents, in the order in which they came."""
    return sorted((folder / "snapshots").glob("[0-9]*.png"))  # and none that is still being written


def rows_of_snapshots(diagnosis: str) -> tuple[str, ...]:
    """The diagnosis of each row of pictures in a snapshot, from above."""
    return DIAGNOSES if diagnosis == JOINT else (diagnosis,)


def copy_snapshots(joint: Path, folder: Path, *, diagnosis: str, first: int) -> None:
    """Copy one diagnosis' row of so many of a joint model's snapshots."""
    rows = rows_of_snapshots(JOINT)
    for path in snapshots(joint)[:first]:
        picture = np.split(read_png(path), len(rows))[rows.index(diagnosis)]
        with whole(folder / "snapshots" / path.name) as part:
            write_png(part, picture)


def load_generator(folder: Path) -> tuple[nn.Module, TrainedGan]:
    """Rebuild the averaged generator of a finished model, in evaluation mode on the CPU. Raises ModelError."""
    if not config_path(folder).exists():
        raise ModelError(f"{folder} holds no finished model (no config.json); train one with `augment-mri train`")
    try:
        if "painter" in json.loads(config_path(folder).read_bytes()):
            raise ModelError(f"{folder} holds a painter, which paints on given slices; only a GAN can be sampled")
        trained = read_record(config_path(folder), TrainedGan)
        with torch.random.fork_rng([]):  # first weights are drawn from the global generator, and replaced at once
            generator, _ = networks.build(trained.network)
        generator.load_state_dict(load_file(_weights(folder)))
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(f"the model in {folder} cannot be read ({type(error).__name__}); train it again") from error
    return generator.eval().requires_grad_(False), trained
