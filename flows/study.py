"""What every stage asks of a run folder: its record, its folds, which slices a stage may see, the stage's own seed."""

import zlib
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import ValidationError

from data_contracts.splits import Fold, Splits
from flows.config import RunRecord
from flows.errors import ConfigError
from pipeline.run_dir import RunDir, read_record

CANVAS: Final = "canvas"  # in place of a diagnosis: the GAN of slices without a tumour that are to be painted on


def seed_of(run_seed: int, *path: int | str) -> int:
    """A seed for one place in the study, a function of the run's seed and the place alone."""
    words = [zlib.crc32(part.encode()) if isinstance(part, str) else part for part in path]
    return int(np.random.SeedSequence([run_seed, *words]).generate_state(1)[0])


def record_of(run: RunDir) -> RunRecord:
    """What this run is. Raises ConfigError where its run.json is not one that this version of the program wrote."""
    try:
        return read_record(run.run_json, RunRecord)
    except ValidationError as error:
        wrong = error.errors(include_input=False)[0]
        where = ".".join(str(part) for part in wrong["loc"])
        raise ConfigError(
            f"{run.run_json} is not whole, or of another version of this program "
            f"({where}{where and ': '}{wrong['msg']}); go on with the version that began it, or begin anew elsewhere"
        ) from error


def fold_of(run: RunDir, number: int) -> Fold:
    """One fold of its split."""
    return next(fold for fold in read_record(run.splits, Splits).folds if fold.fold == number)


def rows_of(manifest: pd.DataFrame, groups: tuple[str, ...], diagnosis: str | None = None) -> NDArray[np.bool_]:
    """Which slices of the manifest are of these groups, and of this diagnosis; bool (N,)."""
    chosen = manifest["group"].isin(groups)
    if diagnosis is not None:
        chosen &= manifest["diagnosis"] == diagnosis
    return chosen.to_numpy()


def score_path(run: RunDir, name: str, fold: int, diagnosis: str) -> Path:
    """One fold's and diagnosis's part of metrics/NAME.json, kept apart until all are there."""
    return run.metric(f"{name}/{fold}-{diagnosis}.json")
