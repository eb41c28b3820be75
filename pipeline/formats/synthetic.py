"""A synthetic set on disk: one 8-bit PNG a slice and the manifest that marks each row as synthetic."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data_contracts.manifest import MANIFEST, SYNTHETIC, check_manifest
from data_contracts.violations import require
from pipeline.formats.raster import from_uint8, read_png, to_uint8, write_png
from pipeline.run_dir import whole, write_table

MANIFEST_NAME = "manifest.parquet"


def write_synthetic(
    folder: Path, *, images: NDArray[np.float32], names: Sequence[str], generator: str, diagnosis: str
) -> None:
    """Write images float32 (N, 1, S, S) in [-1, 1] as PNG, then the manifest, last: where it stands, all stand."""
    pixels = to_uint8(images[:, 0])
    for name, image in zip(names, pixels, strict=True):
        with whole(folder / f"{name}.png") as part:
            write_png(part, image)
    unknown = np.full(len(names), np.nan)
    rows = {
        "slice_id": list(names),
        "origin": SYNTHETIC,
        "subject": f"generator-{generator}",
        "subject_known": False,
        "group": f"group-{generator}",
        "diagnosis": diagnosis,
        "label_rule": "generator",
        "sequence": "unknown",
        "plane": "unknown",
        "position": unknown,
        "height": images.shape[2],
        "width": images.shape[3],
        "spacing_mm": unknown,
        "tumour_pixels": pd.Series([pd.NA] * len(names), dtype="Int64"),
        "sha256": [hashlib.sha256(image.tobytes()).hexdigest() for image in pixels],
        "review": "",
    }
    manifest = pd.DataFrame(rows, columns=list(MANIFEST.columns))
    require(check_manifest(manifest))
    write_table(folder / MANIFEST_NAME, manifest)


def read_synthetic(folder: Path) -> tuple[pd.DataFrame, NDArray[np.float32]]:
    """Manifest and images float32 (N, 1, S, S) in [-1, 1] of a set that `write_synthetic` wrote."""
    manifest = pd.read_parquet(folder / MANIFEST_NAME)
    size = (int(manifest["height"].iloc[0]), int(manifest["width"].iloc[0])) if len(manifest) else (0, 0)
    images = np.empty((len(manifest), 1, *size), np.float32)
    for row, name in enumerate(manifest["slice_id"]):
        images[row, 0] = from_uint8(read_png(folder / f"{name}.png"))
    return manifest, images
