"""One GAN by itself, outside a study: train it on a dataset, sample from it."""

from pathlib import Path

import numpy as np
import pandas as pd

from data_contracts.manifest import DIAGNOSES
from data_contracts.splits import Fold, Splits
from flows.config import ConfigError, StudyConfig
from flows.progress import Update
from pipeline.compute import best_compute
from pipeline.formats.synthetic import write_synthetic
from pipeline.run_dir import RunDir
from pipeline.scans.normalise import normalise
from pipeline.synthesis import model_dir
from pipeline.synthesis.sample import parse_seeds
from pipeline.synthesis.sample import sample as sample_images


def train_model(
    *, dataset: Path, out: Path, diagnosis: str, config: StudyConfig, seed: int, progress: Update
) -> model_dir.TrainedGan:
    """Train on every slice of one diagnosis: there is no test part, so nothing may be judged on this dataset."""
    if diagnosis not in DIAGNOSES:
        raise ConfigError(f"there is no diagnosis {diagnosis!r}; choose one of {', '.join(DIAGNOSES)}")
    source, target = RunDir(dataset), RunDir(out)
    if not source.manifest.exists():
        raise ConfigError(f"{dataset} holds no dataset (no manifest.parquet); make one with `augment-mri ingest`")
    manifest = pd.read_parquet(source.manifest)
    rows = (manifest["diagnosis"] == diagnosis).to_numpy()
    if not rows.any():
        raise ConfigError(f"{dataset} holds no {diagnosis} slice; it has {', '.join(manifest['diagnosis'].unique())}")
    everything = Splits(seed=seed, folds=(Fold(fold=0, train=tuple(manifest["group"].unique()), test=()),))
    normalise(
        run=source, manifest=manifest, splits=everything, config=config.normalise, progress=lambda _done, _total: None
    )
    return model_dir.train(
        folder=target.root,
        images=np.load(source.normalised(0), mmap_mode="r")[rows],
        positions=manifest.loc[rows, "position"].to_numpy(float),
        n_subjects=manifest.loc[rows, "group"].nunique(),
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
    if out.exists() and any(out.iterdir()):
        raise ConfigError(f"{out} is not empty; choose a new folder with --out")
    generator, trained = model_dir.load_generator(model)
    write_synthetic(
        out,
        images=sample_images(generator, trained, seeds=numbers, truncation=truncation),
        names=[f"{trained.diagnosis.replace('_', '-')}-seed-{seed:06d}" for seed in numbers],
        generator=trained.diagnosis,
        diagnosis=trained.diagnosis,
    )
