"""One GAN by itself, outside a study: train it on a dataset, sample from it."""

from pathlib import Path

import numpy as np
import pandas as pd

from data_contracts.manifest import DIAGNOSES
from flows.config import ConfigError, StudyConfig, require_free
from flows.progress import Update
from pipeline.compute import best_compute
from pipeline.formats.synthetic import write_synthetic
from pipeline.run_dir import RunDir, write_record
from pipeline.scans.normalise import apply, fit, measure_all
from pipeline.synthesis import model_dir
from pipeline.synthesis.sample import parse_seeds
from pipeline.synthesis.sample import sample as sample_images


def train_model(
    *, dataset: Path, out: Path, diagnosis: str, config: StudyConfig, seed: int, progress: Update
) -> model_dir.TrainedGan:
    """Train on every slice of one diagnosis: there is no test part, so nothing may be judged on this dataset."""
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
    write_record(fitted, normalisation)
    return model_dir.train(
        folder=out,
        images=np.stack([apply(one, normalisation) for one in measured]),
        positions=chosen["position"].to_numpy(float),
        n_subjects=chosen["group"].nunique(),
        diagnosis=diagnosis,
        config=config.gan,
        seed=seed,
        compute=best_compute(),
        progress=progress,
    )


def sample_model(*, model: Path, out: Path, seeds: str, truncation: float) -> None:
    """Write one PNG a seed and the manifest that marks them as synthetic. Raises ConfigError, ModelError."""
    try:
        numbers = parse_seeds(seeds)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    require_free(out)
    generator, trained = model_dir.load_generator(model)
    write_synthetic(
        out,
        images=sample_images(generator, trained, seeds=numbers, truncation=truncation),
        names=[f"{trained.diagnosis.replace('_', '-')}-seed-{seed:06d}" for seed in numbers],
        generator=trained.diagnosis,
        diagnosis=trained.diagnosis,
    )
