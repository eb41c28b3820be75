"""One GAN by itself, outside a study: train it on a dataset, sample from it, walk through it, film its training."""

import os
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from data_contracts.manifest import DIAGNOSES
from flows.config import StudyConfig, require_free
from flows.errors import ConfigError
from flows.progress import Update
from flows.watch import make_ruler, training_set
from pipeline.compute import Compute, best_compute
from pipeline.formats.film import FilmError, require_writable, write_film
from pipeline.formats.raster import read_png, to_uint8
from pipeline.formats.synthetic import write_synthetic
from pipeline.run_dir import RunDir, read_record, write_record
from pipeline.scans.normalise import Normalisation, apply, fit, measure_all
from pipeline.synthesis import model_dir, parallel
from pipeline.synthesis.sample import draw, fingerprint, parse_counts, parse_seeds, walk
from pipeline.synthesis.training import train, train_on

MOST_FRAMES = 20_000  # of a walk: ten minutes at 30 a second
FILM_FPS = 4  # of a training: slow enough to look at each tick


def train_model(
    *, dataset: Path, out: Path, diagnosis: str, config: StudyConfig, seed: int, progress: Update, devices: int = 1
) -> model_dir.TrainedGan:
    """Train on every slice of one diagnosis: there is no test part, so nothing may be judged on this dataset.

    devices: GPUs that share each batch, or processes where there is no GPU. Raises ConfigError.
    """
    compute = best_compute()
    names = _devices(devices, config, compute)
    if config.synthesis.strategy == "paint":
        raise ConfigError("painters are trained inside of `augment-mri run` alone; name another preset to train a GAN")
    if diagnosis not in DIAGNOSES:
        raise ConfigError(f"there is no diagnosis {diagnosis!r}; choose one of {', '.join(DIAGNOSES)}")
    source = RunDir(dataset)
    if not source.manifest.exists():
        raise ConfigError(f"{dataset} holds no dataset (no manifest.parquet); make one with `augment-mri ingest`")
    manifest = pd.read_parquet(source.manifest)
    rows = (manifest["diagnosis"] == diagnosis).to_numpy()
    if not rows.any():
        raise ConfigError(f"{dataset} holds no {diagnosis} slice; it has {', '.join(manifest['diagnosis'].unique())}")
    fitted = out / "normalisation.json"
    if model_dir.config_path(out).exists():
        raise ConfigError(f"{out} already holds a finished model; choose a new folder with --out")
    if not fitted.exists():  # else it is this training, to be gone on with
        require_free(out)
    chosen = manifest[rows]
    spacings = list(chosen["spacing_mm"].astype(float)) if config.normalise.spacing_mm else None
    measured = measure_all(source, list(chosen["slice_id"]), config.normalise, spacings=spacings)
    normalisation = fit(measured)
    if fitted.exists() and read_record(fitted, Normalisation) != normalisation:
        raise ConfigError(f"{out} holds a training of another dataset or size; choose a new folder with --out")
    try:
        write_record(fitted, normalisation)
    except OSError as error:
        raise ConfigError(f"{out} cannot be written: {os.strerror(error.errno or 0)}") from error
    train_here = train if devices == 1 else partial(train_on, names)
    return train_here(
        folder=out,
        data=training_set(np.stack([apply(one, normalisation) for one in measured]), chosen),
        config=config.gan,
        seed=seed,
        compute=compute,
        progress=progress,
        make_ruler=make_ruler(k=config.fidelity.k),
    )


def _devices(n: int, config: StudyConfig, compute: Compute) -> list[str]:
    """What n devices are called, where they are there and can share a batch. Raises ConfigError."""
    try:
        parallel.require_equal_shares(config.gan.batch_size, processes=n)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    if compute.device == "cpu":
        return ["cpu"] * n
    there = torch.cuda.device_count()
    if n > there:
        raise ConfigError(f"{n} GPUs are asked for and {there} are here; lower --devices")
    return [f"cuda:{i}" for i in range(n)]


def sample_model(
    *,
    model: Path,
    out: Path,
    seeds: str | None,
    count: str | None,
    first_seed: int,
    truncation: float,
    file_format: str,
    progress: Update,
) -> None:
    """Write one file a seed and the manifest that marks them as synthetic; several diagnoses each into its own folder.

    model: of one GAN, or a folder with one for each diagnosis. `seeds` are drawn from each of them; `count` draws so
    many of the named ones, from `first_seed` upwards. One of the two is given. A seed's image is the same in either.
    Raises ConfigError, ModelError.
    """
    wanted = _wanted(model, seeds=seeds, count=count, first_seed=first_seed)
    require_free(out)
    models = {
        diagnosis: _load(folder, diagnosis) for diagnosis, folder in _models(model).items() if diagnosis in wanted
    }
    done, total = 0, sum(len(wanted[diagnosis]) for diagnosis in models)

    def counted(images: Iterable[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
        nonlocal done
        for image in images:
            yield image
            done += 1
            progress(done, total)

    shrunk = "" if truncation == 1 else f"-t{round(1000 * truncation):04d}"  # another distribution, so another name
    for diagnosis, (generator, trained) in models.items():
        numbers = wanted[diagnosis]
        write_synthetic(
            out / diagnosis if len(models) > 1 else out,
            images=counted(draw(generator, trained, seeds=numbers, truncation=truncation)),
            names=[f"{diagnosis.replace('_', '-')}-seed-{seed:06d}" for seed in numbers],
            generator=f"{diagnosis}-{fingerprint(generator)}{shrunk}",
            diagnosis=diagnosis,
            file_format=file_format,
        )


def _models(model: Path) -> dict[str, Path]:
    """The folder of each diagnosis' GAN: those inside `model`, or itself. Raises ModelError where there are none."""
    inside = {diagnosis: model / diagnosis for diagnosis in DIAGNOSES if (model / diagnosis).is_dir()}
    if inside and not model_dir.config_path(model).exists():
        return inside
    return {model_dir.load_generator(model)[1].diagnosis: model}


def _load(folder: Path, diagnosis: str) -> tuple[nn.Module, model_dir.TrainedGan]:
    generator, trained = model_dir.load_generator(folder)
    if trained.diagnosis != diagnosis:
        raise model_dir.ModelError(f"the model in {folder} is of {trained.diagnosis}; name its folder so")
    return generator, trained


def _wanted(model: Path, *, seeds: str | None, count: str | None, first_seed: int) -> dict[str, list[int]]:
    """The seeds of each diagnosis to sample. Raises ConfigError, ModelError."""
    if (seeds is None) == (count is None):
        raise ConfigError("say which images with --seeds 6600-6625, or how many with --count tumour=100,no_tumour=50")
    try:
        listed = parse_seeds(seeds) if seeds is not None else []
        counts = parse_counts(count) if count is not None else {}
    except ValueError as error:
        raise ConfigError(str(error)) from error
    if len(set(listed)) < len(listed):
        raise ConfigError("a seed is named twice in --seeds; it gives the same image each time")
    there = list(_models(model))
    if not set(counts) <= set(there):
        lacking = ", ".join(sorted(set(counts) - set(there)))
        raise ConfigError(f"{model} holds no model of {lacking}; it has {', '.join(there)}")
    if count is None:
        return dict.fromkeys(there, listed)
    return {diagnosis: list(range(first_seed, first_seed + n)) for diagnosis, n in counts.items()}


def interpolate_model(
    *,
    model: Path,
    out: Path,
    seeds: str,
    steps: int,
    fps: float,
    truncation: float,
    condition: int | None,
    loop: bool,
    progress: Update,
) -> None:
    """Write the way from each seed to the next as a film, mp4 or gif by its name. Raises ConfigError, ModelError."""
    try:
        numbers = parse_seeds(seeds)
        require_writable(out, fps=fps)
    except (ValueError, FilmError) as error:
        raise ConfigError(str(error)) from error
    if len(numbers) < 2:
        raise ConfigError("a walk leads from one seed to another; name two or more, such as --seeds 1000,1003,1001")
    total = steps * (len(numbers) - (not loop)) + 1
    if total > MOST_FRAMES:
        raise ConfigError(f"the film would have {total:,} frames, at most {MOST_FRAMES:,}; name fewer seeds or steps")
    generator, trained = model_dir.load_generator(model)
    there = [c for c, n in enumerate(trained.condition_counts) if n]
    if condition is not None and condition not in there:
        known = "; ".join(f"{c} ({trained.conditions.describe(c)})" for c in there)
        raise ConfigError(f"the model has no condition {condition}; it has {known}")
    frames = []
    for image in walk(
        generator, trained, seeds=numbers, steps=steps, truncation=truncation, condition=condition, loop=loop
    ):
        frames.append(to_uint8(image[0]))
        progress(len(frames), total)
    _film(out, np.stack(frames), fps=fps)


def film_of_training(folder: Path, out: Path, *, most: int = 24, pictures: int = 4, side: int = 64) -> None:
    """Film a model folder's snapshots, the same latents at every tick, small enough for a page; the last frame stays.

    Up to `most` ticks evenly spread, the last one among them, at 4 a second; of each the first `pictures`, shrunk by a
    whole number of pixels to `side` or less where they are larger. out: .gif or .mp4. A finished folder's and one's
    that still trains. Raises ModelError where there are no snapshots, ConfigError where `out` cannot be written.
    """
    ticks = model_dir.snapshots(folder)
    if not ticks:
        raise model_dir.ModelError(f"{folder} holds no snapshots of a training (snapshots/*.png)")
    chosen = np.unique(np.linspace(0, len(ticks) - 1, min(len(ticks), most)).round().astype(int))
    frames = np.stack([_strip(read_png(ticks[i]), pictures=pictures, side=side) for i in chosen])
    held = np.repeat(frames[-1:], 2 * FILM_FPS, axis=0)  # two seconds more, for the eye to rest on the result
    _film(out, np.concatenate([frames, held]), fps=FILM_FPS)


def _strip(snapshot: NDArray[np.uint8], *, pictures: int, side: int) -> NDArray[np.uint8]:
    """The first squares of a row of them, uint8 (S, S * n), each shrunk by averaging to at most `side`."""
    height = len(snapshot)
    picture = Image.fromarray(snapshot[:, : height * pictures])
    return np.asarray(picture.reduce(-(-height // side)))


def _film(out: Path, frames: NDArray[np.uint8], *, fps: float) -> None:
    try:
        write_film(out, frames, fps=fps)
    except FilmError as error:
        raise ConfigError(str(error)) from error
