import hashlib
import shutil
import subprocess
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pydicom
import pytest

from data_contracts.manifest import SYNTHETIC
from data_contracts.violations import ContractError
from pipeline.formats.dicom import read_header
from pipeline.formats.nifti import read_nifti
from pipeline.formats.scan import Unreadable
from pipeline.formats.synthetic import read_synthetic, to_uint12, write_synthetic

NAMES = ["a", "b", "c"]
SUFFIX = {"png": ".png", "nifti": ".nii.gz", "dicom": ".dcm"}


def _images() -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (3, 1, 16, 16)).astype(np.float32)


def _write(folder: Path, names: list[str], file_format: str = "png", generator: str = "0-tumour") -> None:
    write_synthetic(
        folder, images=_images(), names=names, generator=generator, diagnosis="tumour", file_format=file_format
    )


def test_what_is_written_is_read_back_to_half_a_grey_level(tmp_path: Path) -> None:
    _write(tmp_path, NAMES)
    manifest, images = read_synthetic(tmp_path)
    assert np.abs(images - _images()).max() <= 1 / 255 + 1e-6
    assert list(manifest["slice_id"]) == ["a", "b", "c"]
    assert set(manifest["origin"]) == {SYNTHETIC}


def test_a_name_that_breaks_the_contract_leaves_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="slice_id"):
        _write(tmp_path, ["a", "a", "c"])
    assert not (tmp_path / "manifest.parquet").exists()


def test_images_may_come_one_by_one_and_give_the_same_files(tmp_path: Path) -> None:
    _write(tmp_path / "whole", NAMES)
    write_synthetic(
        tmp_path / "flow", images=(one for one in _images()), names=NAMES, generator="0-tumour", diagnosis="tumour"
    )
    for path in (tmp_path / "whole").iterdir():
        assert path.read_bytes() == (tmp_path / "flow" / path.name).read_bytes()
    with pytest.raises(ValueError, match="shorter"):
        _write(tmp_path / "few", [*NAMES, "d"])
    assert not (tmp_path / "few" / "manifest.parquet").exists()


def test_twelve_bits_hold_both_ends_and_clip_what_is_beyond() -> None:
    assert to_uint12(np.array([-9, -1, 0, 1, 9], np.float32)).tolist() == [0, 0, 2048, 4095, 4095]


@pytest.mark.parametrize("file_format", SUFFIX)
def test_the_same_set_gives_the_same_bytes(tmp_path: Path, file_format: str) -> None:
    for folder in ("one", "two"):
        _write(tmp_path / folder, NAMES, file_format)
    files = sorted((tmp_path / "one").iterdir())
    assert [path.name for path in files] == [*(name + SUFFIX[file_format] for name in NAMES), "manifest.parquet"]
    for path in files:
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()
        if path.suffix == ".gz":
            assert path.read_bytes()[4:8] == bytes(4)  # no time of writing (RFC 1952)


def test_an_unknown_format_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="png, nifti, dicom"):
        _write(tmp_path / "set", NAMES, "jpeg")
    assert not (tmp_path / "set").exists()


def test_nifti_says_synthetic_and_reads_back_upright_to_half_a_step(tmp_path: Path) -> None:
    _write(tmp_path, NAMES, "nifti")
    scan = read_nifti(tmp_path / "b.nii.gz")
    assert scan.slices.shape == (1, 16, 16)
    assert np.abs(scan.slices[0] / 2047.5 - 1 - _images()[1, 0]).max() <= 1 / 4095 + 1e-6
    header = nibabel.load(tmp_path / "b.nii.gz").header
    assert header["descrip"].item().startswith(b"synthetic")
    assert header.get_xyzt_units()[0] == "unknown"


def test_dicom_is_marked_in_every_place_that_a_person_or_a_program_looks_at(tmp_path: Path) -> None:
    _write(tmp_path, NAMES, "dicom")
    files = [pydicom.dcmread(tmp_path / f"{name}.dcm") for name in NAMES]
    for data in files:
        assert data.SyntheticData == "YES"
        assert data.ConversionType == "SYN"
        assert list(data.ImageType)[:2] == ["DERIVED", "SECONDARY"]
        assert data.SOPClassUID.name == "Secondary Capture Image Storage"
        for place in ("PatientID", "PatientName", "SeriesDescription", "StudyDescription", "ImageComments"):
            assert str(data[place].value).startswith("SYNTHETIC"), place
        # nobody's data and no scanner's: what would tell of either is empty or not there
        assert not any(data.get(name) for name in ("PatientBirthDate", "PatientSex", "StudyDate", "AccessionNumber"))
        assert not any(name in data for name in ("PixelSpacing", "ImagePositionPatient", "EchoTime", "Manufacturer"))
    assert len({data.SOPInstanceUID for data in files}) == 3
    assert len({data.SeriesInstanceUID for data in files}) == 1
    assert [data.InstanceNumber for data in files] == [1, 2, 3]


def test_dicom_of_another_generator_shares_no_identifier(tmp_path: Path) -> None:
    for generator in ("tumour-aa", "tumour-bb"):
        _write(tmp_path / generator, NAMES, "dicom", generator)
    one, two = (pydicom.dcmread(tmp_path / name / "a.dcm") for name in ("tumour-aa", "tumour-bb"))
    for uid in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "PatientID"):
        assert one[uid].value != two[uid].value


def test_dicom_reads_back_to_half_a_step_and_its_window_shows_all_of_it(tmp_path: Path) -> None:
    _write(tmp_path, NAMES, "dicom")
    data = pydicom.dcmread(tmp_path / "c.dcm")
    pixels = data.pixel_array
    assert np.abs(pixels / 2047.5 - 1 - _images()[2, 0]).max() <= 1 / 4095 + 1e-6
    low = data.WindowCenter - 0.5 - (data.WindowWidth - 1) / 2  # PS3.3 C.11.2.1.2.1
    assert (low, low + data.WindowWidth - 1) == (0, 4095)
    assert data.BitsStored == 12
    assert int(pixels.max()) < 2**12


def test_synthetic_dicom_is_never_read_as_a_patients(tmp_path: Path) -> None:
    _write(tmp_path, NAMES, "dicom")
    with pytest.raises(Unreadable, match="synthetic"):
        read_header(tmp_path / "c.dcm")


@pytest.mark.skipif(shutil.which("dcmftest") is None, reason="dcmtk is not installed")
def test_dcmtk_takes_the_file_for_dicom_and_knows_the_mark(tmp_path: Path) -> None:
    _write(tmp_path, NAMES, "dicom")
    done = subprocess.run(["dcmdump", str(tmp_path / "a.dcm")], capture_output=True, text=True, check=True)  # noqa: S603, S607
    assert "(0008,001c) CS [YES]" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize("file_format", SUFFIX)
def test_the_manifest_is_of_the_stored_pixels_and_says_synthetic(tmp_path: Path, file_format: str) -> None:
    _write(tmp_path, NAMES, file_format)
    manifest = pd.read_parquet(tmp_path / "manifest.parquet")
    assert set(manifest["origin"]) == {SYNTHETIC}
    assert set(manifest["group"]) == {"group-0-tumour"}
    if file_format == "dicom":
        stored = pydicom.dcmread(tmp_path / "a.dcm").PixelData
        assert manifest["sha256"].iloc[0] == hashlib.sha256(stored).hexdigest()
