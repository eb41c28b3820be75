import hashlib
import shutil
import subprocess
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pydicom
import pytest
from PIL import Image

from data_contracts.manifest import SYNTHETIC
from data_contracts.violations import ContractError
from pipeline.formats.dicom import read_header
from pipeline.formats.nifti import read_nifti
from pipeline.formats.raster import read_mask
from pipeline.formats.scan import Unreadable
from pipeline.formats.synthetic import read_painted, read_synthetic, to_uint12, write_synthetic
from pipeline.run_dir import RunDir
from pipeline.scans.ingest import ingest
from pipeline.scans.inputs import IngestConfig
from pipeline.scans.labels import LabelConfig
from pipeline.scans.phantom import PhantomConfig, phantom

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


def _masks() -> np.ndarray:
    masks = np.zeros((3, 16, 16), np.uint8)
    masks[0, 2:7, 3:5], masks[1, 9:12, 9:15], masks[2, 0, 0] = 1, 1, 1
    return masks


PROVENANCE = pd.DataFrame(
    {"source": ["file-0001", "file-0002", "file-0001"], "lesion": "file-0007", "seed": [5, 2**62, 0]}
)


def _paint(folder: Path, file_format: str = "png", diagnosis: str = "tumour", names: list[str] = NAMES) -> None:
    write_synthetic(
        folder,
        images=_images(),
        names=names,
        generator="0-tumour",
        diagnosis=diagnosis,
        file_format=file_format,
        masks=_masks(),
        provenance=PROVENANCE,
    )


@pytest.mark.parametrize("file_format", SUFFIX)
def test_a_painted_set_is_a_synthetic_set_with_masks_beside_it(tmp_path: Path, file_format: str) -> None:
    for folder in ("one", "two"):
        _paint(tmp_path / folder, file_format)
    _write(tmp_path / "plain", NAMES, file_format)
    suffix = SUFFIX[file_format]
    if file_format == "png":
        np.testing.assert_array_equal(read_synthetic(tmp_path / "one")[1], read_synthetic(tmp_path / "plain")[1])
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    masks = [f"{name}_mask{suffix}" for name in NAMES]
    told = ["CONTAINS-PATIENT-ANATOMY.txt", "manifest.parquet", "painted.npy", "painted.parquet"]
    assert files == sorted([*(n + suffix for n in NAMES), *masks, *told])
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()
    table, regions = read_painted(tmp_path / "one")
    np.testing.assert_array_equal(regions, _masks())
    assert table[["source", "lesion", "seed"]].equals(PROVENANCE)
    assert table["slice_id"].tolist() == NAMES
    assert table["mask_sha256"].tolist() == [hashlib.sha256(mask.tobytes()).hexdigest() for mask in _masks()]
    manifest, plain = (pd.read_parquet(tmp_path / of / "manifest.parquet") for of in ("one", "plain"))
    assert manifest["tumour_pixels"].tolist() == [10, 18, 1]
    assert plain["tumour_pixels"].isna().all()
    pd.testing.assert_frame_equal(manifest.drop(columns="tumour_pixels"), plain.drop(columns="tumour_pixels"))


def test_the_label_of_a_slice_without_a_tumour_is_empty_and_its_region_is_kept(tmp_path: Path) -> None:
    _paint(tmp_path, diagnosis="no_tumour")
    assert not read_mask(tmp_path / "a_mask.png").any()
    np.testing.assert_array_equal(read_painted(tmp_path)[1], _masks())
    assert pd.read_parquet(tmp_path / "manifest.parquet")["tumour_pixels"].tolist() == [0, 0, 0]


def test_masks_of_every_format_lie_as_their_images_do(tmp_path: Path) -> None:
    for file_format in SUFFIX:
        _paint(tmp_path / file_format, file_format)
    for number, name in enumerate(NAMES):
        expected = _masks()[number]
        np.testing.assert_array_equal(read_mask(tmp_path / "png" / f"{name}_mask.png"), expected)
        labels = read_nifti(tmp_path / "nifti" / f"{name}_mask.nii.gz", labels=True)
        np.testing.assert_array_equal(labels.slices[0], expected)
        np.testing.assert_array_equal(pydicom.dcmread(tmp_path / "dicom" / f"{name}_mask.dcm").pixel_array, expected)


def test_a_dicom_mask_is_a_segmentation_of_its_image_and_is_never_read_as_a_scan(tmp_path: Path) -> None:
    _paint(tmp_path, "dicom")
    image, mask = (pydicom.dcmread(tmp_path / name) for name in ("b.dcm", "b_mask.dcm"))
    assert mask.SOPClassUID.name == "Segmentation Storage"
    assert (mask.Modality, mask.SyntheticData, mask.SegmentationType) == ("SEG", "YES", "BINARY")
    assert mask.StudyInstanceUID == image.StudyInstanceUID
    assert mask.SeriesInstanceUID != image.SeriesInstanceUID
    assert mask.PatientID == image.PatientID
    of = mask.ReferencedSeriesSequence[0]
    assert of.SeriesInstanceUID == image.SeriesInstanceUID
    derived = mask.SharedFunctionalGroupsSequence[0].DerivationImageSequence[0].SourceImageSequence[0]
    for reference in (of.ReferencedInstanceSequence[0], derived):
        assert reference.ReferencedSOPInstanceUID == image.SOPInstanceUID
        assert reference.ReferencedSOPClassUID == image.SOPClassUID
    assert mask.SharedFunctionalGroupsSequence[0].SegmentIdentificationSequence[0].ReferencedSegmentNumber == 1
    assert [segment.SegmentNumber for segment in mask.SegmentSequence] == [1]
    for taken in (False, True):
        with pytest.raises(Unreadable, match="SEG"):
            read_header(tmp_path / "b_mask.dcm", synthetic=taken)


def test_a_painted_set_says_in_the_folder_and_in_each_file_that_it_shows_a_patient(tmp_path: Path) -> None:
    for file_format in SUFFIX:
        _paint(tmp_path / file_format, file_format)
        notice = (tmp_path / file_format / "CONTAINS-PATIENT-ANATOMY.txt").read_text()
        assert len(notice.splitlines()) == 4
        assert "patient data" in notice
    for name in NAMES:
        with Image.open(tmp_path / "png" / f"{name}.png") as picture:
            assert "whose anatomy it shows; treat as patient data" in picture.info["Warning"]
        data = pydicom.dcmread(tmp_path / "dicom" / f"{name}.dcm")
        mask = pydicom.dcmread(tmp_path / "dicom" / f"{name}_mask.dcm")
        assert data.SeriesDescription == "SYNTHETIC in part tumour"
        assert data.StudyDescription == mask.StudyDescription == "SYNTHETIC in part"  # one study
    _write(tmp_path / "plain", NAMES)
    assert not any("ANATOMY" in path.name for path in (tmp_path / "plain").iterdir())
    with Image.open(tmp_path / "plain" / "a.png") as picture:
        assert not picture.info


def test_a_painted_file_does_not_say_that_it_shows_no_patient(tmp_path: Path) -> None:
    _paint(tmp_path / "dicom", "dicom")
    _paint(tmp_path / "nifti", "nifti")
    data = pydicom.dcmread(tmp_path / "dicom" / "a.dcm")
    said = [str(data.ImageComments), nibabel.load(tmp_path / "nifti" / "a.nii.gz").header["descrip"].item().decode()]
    for text in said:
        assert "whose anatomy it shows" in text
        assert "no patient" not in text
    assert data.SyntheticData == "YES"
    with pytest.raises(Unreadable, match="synthetic"):
        read_header(tmp_path / "dicom" / "a.dcm")


def test_a_set_painted_on_generated_images_says_that_it_is_synthetic_all_over(tmp_path: Path) -> None:
    for file_format in SUFFIX:
        write_synthetic(
            tmp_path / file_format,
            images=_images(),
            names=NAMES,
            generator="0-tumour",
            diagnosis="tumour",
            file_format=file_format,
            masks=_masks(),
            provenance=PROVENANCE,
            painted_on=SYNTHETIC,
            positions=np.array([0.4, np.nan, 0.5]),
        )
        assert not any("ANATOMY" in path.name for path in (tmp_path / file_format).iterdir())
    np.testing.assert_array_equal(read_painted(tmp_path / "png")[1], _masks())
    manifest = pd.read_parquet(tmp_path / "png" / "manifest.parquet")
    np.testing.assert_array_equal(manifest["position"], [0.4, np.nan, 0.5])
    with Image.open(tmp_path / "png" / "a.png") as picture:
        assert not picture.info
    data = pydicom.dcmread(tmp_path / "dicom" / "a.dcm")
    assert (data.SeriesDescription, data.SyntheticData) == ("SYNTHETIC tumour", "YES")
    said = [str(data.ImageComments), nibabel.load(tmp_path / "nifti" / "a.nii.gz").header["descrip"].item().decode()]
    for text in said:
        assert "a generated image, a part of it painted anew; no patient by design" in text
        assert "whose anatomy" not in text


def test_what_was_painted_on_is_real_or_synthetic(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not 'dreamt'"):
        write_synthetic(
            tmp_path,
            images=_images(),
            names=NAMES,
            generator="g",
            diagnosis="tumour",
            masks=_masks(),
            provenance=PROVENANCE,
            painted_on="dreamt",
        )
    assert not list(tmp_path.iterdir())


def test_masks_and_provenance_go_together_and_fit_the_images(tmp_path: Path) -> None:
    def write(**more: object) -> None:
        write_synthetic(tmp_path / "set", images=_images(), names=NAMES, generator="g", diagnosis="tumour", **more)

    with pytest.raises(ValueError, match="or neither"):
        write(masks=_masks())
    with pytest.raises(ValueError, match="or neither"):
        write(provenance=PROVENANCE)
    with pytest.raises(ValueError, match="3 names"):
        write(masks=_masks()[:2], provenance=PROVENANCE)
    with pytest.raises(ValueError, match="2 rows"):
        write(masks=_masks(), provenance=PROVENANCE[:2])
    with pytest.raises(ValueError, match="masks of"):
        write(masks=np.ones((3, 8, 8)), provenance=PROVENANCE)
    assert not (tmp_path / "set" / "manifest.parquet").exists()


def test_regions_that_were_changed_are_noticed(tmp_path: Path) -> None:
    _paint(tmp_path)
    np.save(tmp_path / "painted.npy", _masks()[::-1])
    with pytest.raises(ValueError, match="not what"):
        read_painted(tmp_path)
    _write(tmp_path / "plain", NAMES)
    with pytest.raises(FileNotFoundError):
        read_painted(tmp_path / "plain")


def test_our_own_ingest_reads_a_painted_folder_as_scans_with_masks(tmp_path: Path) -> None:
    """The label, and not the painted region, decides: a slice with a painted-out lesion has no tumour."""
    config = PhantomConfig(slices=1, size=96, spacing_mm=(5.0, 2.0, 2.0))
    drawn = {
        diagnosis: [phantom(rng=np.random.default_rng(n), tumour=False, config=config).voxels[0] for n in numbers]
        for diagnosis, numbers in (("tumour", range(3)), ("no_tumour", range(3, 6)))
    }
    masks = np.zeros((3, 96, 96), np.uint8)
    masks[:, 40:60, 40:60] = 1
    for diagnosis, heads in drawn.items():
        write_synthetic(
            tmp_path / "set" / diagnosis,
            images=[(2 * np.clip(head / np.percentile(head, 99), 0, 1) - 1)[None] for head in heads],
            names=[f"g0-{diagnosis.replace('_', '-')}-{i:06d}" for i in range(3)],
            generator="0",
            diagnosis=diagnosis,
            masks=masks,
            provenance=PROVENANCE,
        )
    run = RunDir(tmp_path / "run")
    labels = LabelConfig(layout="masks")
    source = str(tmp_path / "set")
    ingest(source=source, out=run, config=IngestConfig(labels=labels), seed=0, key=None, progress=lambda *_: None)
    found = pd.read_parquet(run.manifest)
    assert sorted(found["tumour_pixels"]) == [0, 0, 0, 400, 400, 400]
    assert found["diagnosis"].value_counts().to_dict() == {"tumour": 3, "no_tumour": 3}
    assert found.loc[found["diagnosis"] == "tumour", "tumour_pixels"].tolist() == [400, 400, 400]
    assert set(found["label_rule"]) == {"mask"}
