"""DICOM: written series come back, geometry decides, and what is no MR slice is refused with its reason."""

from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import ImplicitVRLittleEndian, RLELossless

from pipeline.formats.dicom import is_dicom, order_series, positions_of, read_header, read_series, write_series
from pipeline.formats.scan import Unreadable

SHARED = Path(__file__).parents[2] / "shared" / "data" / "dicom"


def real(name: str) -> Path:
    if not (SHARED / name).exists():
        pytest.skip(f"real data dicom/{name} is not beside the project")
    return SHARED / name


def rule_of(*paths: Path) -> str:
    with pytest.raises(Unreadable) as refused:
        read_series(paths)
    return refused.value.rule


@pytest.fixture
def voxels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 4000, (6, 20, 24), dtype=np.uint16)


@pytest.fixture
def series(tmp_path: Path, voxels: np.ndarray) -> list[Path]:
    return write_series(
        tmp_path / "a", voxels, spacing=(5.0, 0.9, 0.9), subject_id="sub-1", sequence="FLAIR", uid_seed=1
    )


def edited(path: Path, **elements: object) -> Path:
    """A copy of a file beside it with some elements set, or removed where None."""
    data = pydicom.dcmread(path)
    for name, value in elements.items():
        if value is None:
            delattr(data, name)
        else:
            setattr(data, name, value)
    copy = path.with_name(f"edited-{path.name}")
    data.save_as(copy)
    return copy


def test_written_is_read_back_in_any_file_order(series: list[Path], voxels: np.ndarray) -> None:
    scan = read_series(series[::-1])
    np.testing.assert_array_equal(scan.slices, voxels)
    assert scan.slices.dtype == np.uint16
    assert (scan.plane, scan.sequence, scan.raw_subject) == ("axial", "FLAIR", "sub-1")
    assert (scan.spacing_mm, scan.slice_spacing_mm) == (pytest.approx(0.9), pytest.approx(5.0))
    np.testing.assert_allclose(scan.positions, (np.arange(6) + 0.5) / 6)
    assert "sub-1" not in repr(scan)
    assert "sub-1" not in repr(read_header(series[0]))


def test_files_are_whole_dicom_and_repeat_their_bytes(series: list[Path], tmp_path: Path, voxels: np.ndarray) -> None:
    facts = {"spacing": (5.0, 0.9, 0.9), "subject_id": "sub-1", "sequence": "FLAIR"}
    again = write_series(tmp_path / "b", voxels, **facts, uid_seed=1)
    other = write_series(tmp_path / "c", voxels, **facts, uid_seed=2)
    assert [path.read_bytes() for path in series] == [path.read_bytes() for path in again]
    first, second = pydicom.dcmread(series[0]), pydicom.dcmread(series[1])
    assert first.file_meta.MediaStorageSOPInstanceUID == first.SOPInstanceUID != second.SOPInstanceUID
    assert first.SeriesInstanceUID == second.SeriesInstanceUID != pydicom.dcmread(other[0]).SeriesInstanceUID
    assert first.SOPClassUID.name == "MR Image Storage"
    assert not first.StudyDate
    np.testing.assert_array_equal(first.pixel_array, voxels[0])


@pytest.mark.parametrize("sequence", ["T1", "T1c", "T2", "FLAIR"])
def test_sequence_shows_in_the_timing_alone(tmp_path: Path, voxels: np.ndarray, sequence: str) -> None:
    path = write_series(tmp_path, voxels, spacing=(5, 1, 1), subject_id="s", sequence=sequence, uid_seed=1)[0]
    assert read_header(edited(path, SeriesDescription="", ProtocolName="")).sequence == sequence


def test_rescale_and_inverted_grey(series: list[Path], voxels: np.ndarray) -> None:
    scaled = read_series([edited(series[0], RescaleSlope="0.5", RescaleIntercept="-7")]).slices
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(scaled[0], voxels[0] * 0.5 - 7)
    dark = read_series([edited(series[0], PhotometricInterpretation="MONOCHROME1")]).slices
    np.testing.assert_array_equal(dark[0], 65535 - voxels[0])


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, RLELossless])
def test_transfer_syntax_does_not_matter(series: list[Path], voxels: np.ndarray, syntax: str) -> None:
    data = pydicom.dcmread(series[0])
    if syntax == RLELossless:
        data.compress(RLELossless, generate_instance_uid=False)
        data.save_as(series[0])
    else:
        data.file_meta.TransferSyntaxUID = syntax
        pydicom.dcmwrite(series[0], data, implicit_vr=True, little_endian=True)
    np.testing.assert_array_equal(read_series(series).slices, voxels)


def test_no_preamble_no_meta_no_extension(series: list[Path], voxels: np.ndarray) -> None:
    bare = series[0].with_name("IM0001")
    data = pydicom.dcmread(series[0])
    del data.file_meta
    data.preamble = None
    pydicom.dcmwrite(bare, data, implicit_vr=True, little_endian=True)
    assert bare.read_bytes()[128:132] != b"DICM"
    assert is_dicom(bare.read_bytes()[:132])
    np.testing.assert_array_equal(read_series([bare]).slices[0], voxels[0])
    assert not is_dicom(b"a note about a patient".ljust(132))


@pytest.mark.parametrize(
    ("axes", "step", "plane", "seen_at"),
    [  # a bright pixel at column 0, row 0 of the file that lies farthest along `step` (left, back, top are positive);
        # axes: along a row, then down a column
        ((1, 0, 0, 0, 1, 0), (0, 0, 1), "axial", (5, 0, 0)),
        ((-1, 0, 0, 0, 1, 0), (0, 0, 1), "axial", (5, 0, -1)),
        ((1, 0, 0, 0, 1, 0), (0, 0, -1), "axial", (0, 0, 0)),
        ((0, 1, 0, 0, 0, -1), (1, 0, 0), "sagittal", (0, 0, 0)),
        ((1, 0, 0, 0, 0, -1), (0, -1, 0), "coronal", (5, 0, 0)),
    ],
)
def test_geometry_decides_how_it_is_shown(
    series: list[Path], axes: tuple, step: tuple, plane: str, seen_at: tuple
) -> None:
    copies = []
    for z, path in enumerate(series):
        pixels = np.zeros((24, 24), np.uint16)
        pixels[0, 0] = 1 if z == 5 else 0
        where = [float(z * 5 * s) for s in step]
        facts = {"ImageOrientationPatient": list(axes), "ImagePositionPatient": where}
        copies.append(edited(path, Rows=24, Columns=24, PixelData=pixels.tobytes(), **facts))
    scan = read_series(copies)
    assert scan.plane == plane
    wanted = tuple(at % n for at, n in zip(seen_at, scan.slices.shape, strict=True))
    assert tuple(np.argwhere(scan.slices)[0]) == wanted


def test_a_gap_is_counted_in_the_positions(series: list[Path]) -> None:
    scan = read_series([*series[:2], *series[3:]])
    np.testing.assert_allclose(scan.positions, (np.array([0, 1, 3, 4, 5]) + 0.5) / 6)
    even, spacing = positions_of(np.array([0.0, 4.9, 10.1, 15.0]))
    np.testing.assert_allclose(even, [0.125, 0.375, 0.625, 0.875])
    assert spacing == pytest.approx(4.9)
    assert positions_of(np.array([3.0])) == (None, None)


def test_a_second_file_in_one_place_is_left_over(series: list[Path]) -> None:
    later = edited(series[2], InstanceNumber=103, SOPInstanceUID="1.2.3")
    headers = [read_header(path) for path in [later, *series]]
    kept, left_over = order_series(headers)
    assert [header.path for header in kept] == series
    assert [header.path for header in left_over] == [later]
    assert rule_of(later, *series) == "repeated_position"


def test_without_geometry_numbers_order_and_nothing_is_claimed(series: list[Path], voxels: np.ndarray) -> None:
    scan = read_series([edited(path, ImagePositionPatient=None) for path in series[::-1]])
    np.testing.assert_array_equal(scan.slices, voxels)
    assert (scan.plane, scan.positions) == ("unknown", None)


def test_refusals_name_the_rule_and_never_the_header(series: list[Path]) -> None:
    assert rule_of(edited(series[0], Modality="CT")) == "wrong_modality"
    assert rule_of(edited(series[0], NumberOfFrames=2)) == "multiframe_unsupported"
    assert rule_of(edited(series[0], SamplesPerPixel=3)) == "not_grey"
    assert rule_of(edited(series[0], PixelSpacing=[1, 2])) == "pixels_not_square"
    assert rule_of(edited(series[0], PixelData=None)) == "unreadable"
    cut = series[0].with_name("cut")
    cut.write_bytes(series[0].read_bytes()[:-50])
    assert rule_of(cut) == "unreadable"
    with pytest.raises(Unreadable) as refused:
        read_header(edited(series[0], Modality="DOE JANE"))
    assert "DOE" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("odd/MR_truncated.dcm", "unreadable"),
        ("odd/CT_small.dcm", "wrong_modality"),
        ("odd/SC_rgb_jpeg.dcm", "wrong_modality"),
        ("odd/rtplan.dcm", "wrong_modality"),
        ("odd/test-SR.dcm", "wrong_modality"),
        ("odd/badVR.dcm", "wrong_modality"),
        ("odd/meta_missing_tsyntax.dcm", "unreadable"),
        ("enhanced_mr_brain_tumour/BRTUM001", "multiframe_unsupported"),
        ("enhanced_mr_brain_tumour/BRTUMSP1", "no_pixels"),
        ("ge_classic/MR_Explicit_Little_MultiFrame.dcm", "multiframe_unsupported"),
    ],
)
def test_real_oddities_are_refused(name: str, rule: str) -> None:
    assert rule_of(real(name)) == rule


def test_real_codings_decode_to_the_same_pixels() -> None:
    folder = real("transfer_syntaxes")
    for names in (("MR_small.dcm", "MR_small_*.dcm"), ("MR1_RLE", "MR1_*")):
        plain = read_series([folder / names[0]]).slices
        coded = list(folder.glob(names[1]))
        assert len(coded) >= 4
        for path in coded:
            np.testing.assert_array_equal(read_series([path]).slices, plain)


def test_real_sagittal_series() -> None:
    scan = read_series(list(real("siemens_t1_sag").rglob("*.dcm")))
    assert (scan.slices.shape, scan.plane, scan.sequence) == ((35, 256, 256), "sagittal", "T1")
    assert scan.slice_spacing_mm == pytest.approx(4.8)
    # a face, a jaw and a neck lie below and in front: the lower left of the picture is not empty, the upper left is
    middle = scan.slices[17].astype(float)
    assert middle[150:, :80].mean() > 3 * middle[:40, :60].mean()
