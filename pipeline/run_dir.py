"""The only file that knows the names inside a run folder. Files are written whole or not at all."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel

from data_contracts.manifest import FINDING_COLUMNS

M = TypeVar("M", bound=BaseModel)


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; rename it there when the block ends well, remove it otherwise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.part{path.suffix}")
    try:
        yield beside
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` to `path`, whole or not at all."""
    with whole(path) as part:
        part.write_bytes(data)


def write_json(path: Path, value: object) -> None:
    """Write a JSON-ready value, indented and with sorted keys, so that equal values give equal bytes."""
    write_bytes(path, (json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n").encode())


def write_record(path: Path, record: BaseModel) -> None:
    """Write a pydantic record as JSON in its own field order."""
    write_bytes(path, (record.model_dump_json(indent=2) + "\n").encode())


def read_record(path: Path, kind: type[M]) -> M:
    """Read what `write_record` wrote; raises pydantic.ValidationError where it breaks its contract."""
    return kind.model_validate_json(path.read_bytes())


@dataclass(frozen=True)
class RunDir:
    """Paths of one run (or of a dataset, which is a run that has only been ingested)."""

    root: Path

    @property
    def run_json(self) -> Path:
        return self.root / "run.json"

    @property
    def machine(self) -> Path:
        """What the run took: where, how long, how much memory, which errors; not of its results."""
        return self.root / "machine.json"

    @property
    def manifest(self) -> Path:
        return self.root / "manifest.parquet"

    @property
    def quarantine(self) -> Path:
        return self.root / "quarantine.csv"

    @property
    def review(self) -> Path:
        return self.root / "review.csv"

    @property
    def facts(self) -> Path:
        return self.root / "facts.parquet"

    @property
    def seen(self) -> Path:
        """Digests of every slice that was read and could have been used, chosen or not: a patient is known by them."""
        return self.root / "seen.parquet"

    @property
    def left_out(self) -> Path:
        """Of a locked test set: how many of its slices are of patients or pictures that the study has."""
        return self.root / "left_out.json"

    @property
    def ingest_json(self) -> Path:
        return self.root / "ingest.json"

    @property
    def unfinished(self) -> Path:
        """Stands while an ingest has begun and not come to its end: the folder is ours to begin again in."""
        return self.root / ".unfinished-ingest"

    @property
    def splits(self) -> Path:
        return self.root / "splits.json"

    @property
    def summary(self) -> Path:
        return self.root / "summary.json"

    @property
    def report(self) -> Path:
        return self.root / "report.html"

    @property
    def scratch(self) -> Path:
        """Fetched and unpacked files and measured features, while they are needed; gone when a stage ends."""
        return self.root / ".scratch"

    @property
    def external(self) -> "RunDir":
        """The locked test set as a run of its own: one fold, all of this run's groups its training part."""
        return RunDir(self.root / "external")

    @property
    def locked_scans(self) -> "RunDir":
        """The locked test set as it was ingested, in the folder of its run."""
        return RunDir(self.root / "scans")

    def slice_pixels(self, slice_id: str) -> Path:
        """One decoded slice, as it was read: pixels and, where there is one, its tumour mask."""
        return self.root / "slices" / f"{slice_id}.npz"

    def normalised(self, fold: int) -> Path:
        """All real slices of the manifest, in its order, normalised by what this fold's training part fitted."""
        return self.root / "normalised" / f"{fold}.npy"

    def normalisation(self, fold: int) -> Path:
        return self.root / "normalised" / f"{fold}.json"

    @property
    def normalised_masks(self) -> Path:
        """Lesion masks of all real slices of the manifest, in its order, in the frame of their normalised images."""
        return self.root / "normalised" / "masks.npy"

    def found_masks(self, fold: int) -> Path:
        """As `normalised_masks`, of the fold's training slices alone and found by what learned from them.

        2 where the slice shows no tumour without it, else 1.
        """
        return self.root / "normalised" / f"{fold}-found-masks.npy"

    def model(self, fold: int, diagnosis: str) -> Path:
        return self.root / "models" / str(fold) / diagnosis

    def classifier(self, fold: int, arm: str) -> Path:
        """The first classifier of an arm, kept to ask what it looks at."""
        return self.root / "models" / str(fold) / "classifiers" / f"{arm.replace('+', '_')}.safetensors"

    def synthetic(self, fold: int, diagnosis: str) -> Path:
        return self.root / "synthetic" / str(fold) / diagnosis

    def canvases(self, fold: int, diagnosis: str) -> Path:
        """Generated slices without a tumour, on which those of this diagnosis are painted, as a synthetic set."""
        return self.root / "canvases" / str(fold) / diagnosis

    def pasted(self, fold: int, diagnosis: str) -> Path:
        """Real lesions moved between real slices by copy and paste, as a synthetic set."""
        return self.root / "pasted" / str(fold) / diagnosis

    def metric(self, name: str) -> Path:
        return self.root / "metrics" / name

    def picture(self, name: str) -> Path:
        return self.root / "pictures" / name

    def reader_picture(self, item: str) -> Path:
        """One slice of the reader study, under a name that says nothing."""
        return self.picture(f"reader/{item}.png")

    def relative(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a table as parquet, whole or not at all."""
    with whole(path) as part:
        table.to_parquet(part, index=False)


def write_findings(path: Path, rows: list[dict[str, str]]) -> None:
    """Write the quarantine or the review list, one row a finding with its reason; an empty one still has its header."""
    with whole(path) as part:
        pd.DataFrame(rows, columns=list(FINDING_COLUMNS)).to_csv(part, index=False)


def write_array(path: Path, array: NDArray[np.generic]) -> None:
    """Write one array as .npy, whole or not at all."""
    with whole(path) as part, part.open("wb") as file:
        np.save(file, array)
