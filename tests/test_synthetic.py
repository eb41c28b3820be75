from pathlib import Path

import numpy as np
import pytest

from data_contracts.manifest import SYNTHETIC
from data_contracts.violations import ContractError
from pipeline.formats.synthetic import read_synthetic, write_synthetic


def _images() -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (3, 1, 16, 16)).astype(np.float32)


def _write(folder: Path, names: list[str]) -> None:
    write_synthetic(folder, images=_images(), names=names, generator="0-tumour", diagnosis="tumour")


def test_what_is_written_is_read_back_to_half_a_grey_level(tmp_path: Path) -> None:
    _write(tmp_path, ["a", "b", "c"])
    manifest, images = read_synthetic(tmp_path)
    assert np.abs(images - _images()).max() <= 1 / 255 + 1e-6
    assert list(manifest["slice_id"]) == ["a", "b", "c"]
    assert set(manifest["origin"]) == {SYNTHETIC}


def test_a_name_that_breaks_the_contract_leaves_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="slice_id"):
        _write(tmp_path, ["a", "a", "c"])
    assert not (tmp_path / "manifest.parquet").exists()
