"""Classic DICOM: written series come back, geometry decides, and what is no MR slice is refused with its reason."""

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pydicom
import pytest

from pipeline.formats.dicom import assemble, is_dicom, order_series, read_header, read_pixels, split_localisers
from pipeline.formats.dicom_facts import scan_facts
from pipeline.formats.dicom_geometry import layout
from pipeline.formats.dicom_write import write_series
from pipeline.formats.scan import Scan, Unreadable


def read(paths: Sequence[Path]) -> Scan:
    """The files of one series, in any order, read as the program does: headers, order, pixels, stack."""
    headers = [read_header(path) for path in paths]
    assert len({header.series for header in headers}) == 1
    ordered, left_over = order_series(headers)
    assert not left_over
    return assemble(ordered, [read_pixels(header) for header in ordered])


def rule_of(*paths: Path) -> str:
    with pytest.raises(Unreadable) as refused:
        read(paths)
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
    scan = read(series[::-1])
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
    scaled = read([edited(series[0], RescaleSlope="0.5", RescaleIntercept="-7")]).slices
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(scaled[0], voxels[0] * 0.5 - 7)
    dark = read([edited(series[0], PhotometricInterpretation="MONOCHROME1")]).slices
    np.testing.assert_array_equal(dark[0], 65535 - voxels[0])
    signed = edited(series[0], PhotometricInterpretation="MONOCHROME1", PixelRepresentation=1)
    np.testing.assert_array_equal(read([signed]).slices[0], -1 - voxels[0].astype(np.int16))


def test_no_preamble_no_meta_no_extension(series: list[Path], voxels: np.ndarray) -> None:
    bare = series[0].with_name("IM0001")
    data = pydicom.dcmread(series[0])
    del data.file_meta
    data.preamble = None
    pydicom.dcmwrite(bare, data, implicit_vr=True, little_endian=True)
    assert bare.read_bytes()[128:132] != b"DICM"
    assert is_dicom(bare.read_bytes()[:132])
    np.testing.assert_array_equal(read([bare]).slices[0], voxels[0])
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
    scan = read(copies)
    assert scan.plane == plane
    wanted = tuple(at % n for at, n in zip(seen_at, scan.slices.shape, strict=True))
    assert tuple(np.argwhere(scan.slices)[0]) == wanted


def test_a_gap_is_counted_in_the_positions(series: list[Path]) -> None:
    scan = read([*series[:2], *series[3:]])
    np.testing.assert_allclose(scan.positions, (np.array([0, 1, 3, 4, 5]) + 0.5) / 6)
    assert [(note.rule, note.detail) for note in scan.notes] == [("missing_slices", "1 of 6 slices are missing")]
    assert read(series).notes == ()


def test_every_second_slice_missing_is_told_by_the_stated_spacing(series: list[Path]) -> None:
    scan = read(series[::2])
    np.testing.assert_allclose(scan.positions, (np.array([0, 2, 4]) + 0.5) / 5)
    assert scan.notes[0].detail == "2 of 5 slices are missing"
    # where the numbers do not bear it out, the distance is how the scan was made
    renumbered = [edited(path, InstanceNumber=i) for i, path in enumerate(series[::2])]
    assert read(renumbered).notes == ()


def test_layout_of_depths() -> None:
    even, notes = layout(np.array([0.0, 4.9, 10.1, 15.0]))
    np.testing.assert_allclose(even, [0.125, 0.375, 0.625, 0.875])
    assert notes == ()
    uneven, notes = layout(np.array([0.0, 5.0, 10.0, 16.5]))
    np.testing.assert_allclose(uneven, np.array([2.5, 7.5, 12.5, 19.0]) / 21.5)
    assert [note.rule for note in notes] == ["uneven_spacing"]
    assert layout(np.array([3.0])) == (None, ())
    # the step's own rounding must not add up to a slice over a long stack
    assert layout(np.cumsum(np.full(300, 1.004)), step=1.0)[1] == ()


def shifted(series: list[Path], mm: float) -> list[Path]:
    """The series, each slice beginning so much farther to the back than the one below."""
    where = [pydicom.dcmread(path).ImagePositionPatient for path in series]
    return [
        edited(path, ImagePositionPatient=[x, float(y) + i * mm, z])
        for i, (path, (x, y, z)) in enumerate(zip(series, where, strict=True))
    ]


def test_a_sheared_stack_is_refused(series: list[Path]) -> None:
    assert rule_of(*shifted(series, 0.6)) == "gantry_tilt"
    assert read(shifted(series, 0.2)).slices.shape == (6, 20, 24)


def test_orientations_are_told_apart_and_localisers_set_apart(series: list[Path]) -> None:
    turned = [
        edited(path, ImageOrientationPatient=[0, 1, 0, 0, 0, -1], ImagePositionPatient=[i * 5.0, 0, 0])
        for i, path in enumerate(series)
    ]
    few = [read_header(path) for path in [*series[:3], *turned[:3]]]
    assert len({header.series for header in few}) == 2
    assert split_localisers(few) == ([], few)
    # one direction alone is a scan, however few; so are many parallel slices
    assert split_localisers(few[:3]) == (few[:3], [])
    many = [read_header(path) for path in [*series[:4], *turned[:3]]]
    assert split_localisers(many) == (many, [])


def test_a_second_file_in_one_place_is_left_over(series: list[Path]) -> None:
    later = edited(series[2], InstanceNumber=103, SOPInstanceUID="1.2.3")
    headers = [read_header(path) for path in [later, *series]]
    kept, left_over = order_series(headers)
    assert [header.path for header in kept] == series
    assert [header.path for header in left_over] == [later]


def test_of_copies_the_whole_one_stays(series: list[Path]) -> None:
    cut = series[0].with_name("a-cut-copy")  # first in the listing
    cut.write_bytes(series[0].read_bytes()[:-50])
    kept, left_over = order_series([read_header(path) for path in [cut, *series]])
    assert [header.path for header in kept] == series
    assert [header.path for header in left_over] == [cut]


def test_without_geometry_numbers_order_and_nothing_is_claimed(series: list[Path], voxels: np.ndarray) -> None:
    scan = read([edited(path, ImagePositionPatient=None) for path in series[::-1]])
    np.testing.assert_array_equal(scan.slices, voxels)
    assert (scan.plane, scan.positions) == ("unknown", None)


def test_pixels_that_are_not_square_are_made_so_in_the_picture(series: list[Path]) -> None:
    # rows 2 mm apart in the file; a sagittal file whose rows run upwards is turned, and its sides with it
    flat = [edited(path, PixelSpacing=[2, 1]) for path in series]
    scan = read(flat)
    assert (scan.slices.shape, scan.spacing_mm) == ((6, 40, 24), 1.0)
    upright = [
        edited(path, PixelSpacing=[2, 1], ImageOrientationPatient=[0, 0, -1, 0, 1, 0], ImagePositionPatient=[i, 0, 0])
        for i, path in enumerate(series)
    ]
    scan = read(upright)
    assert (scan.plane, scan.slices.shape) == ("sagittal", (6, 24, 40))
    assert rule_of(edited(series[0], PixelSpacing=[1, 9])) == "pixels_not_square"


def test_missing_spacing_is_noted(series: list[Path]) -> None:
    scan = read([edited(path, PixelSpacing=None) for path in series])
    assert (scan.spacing_mm, scan.slice_spacing_mm) == (None, pytest.approx(5.0))
    assert [note.rule for note in scan.notes] == ["spacing_missing"]
    assert scan.affine is None


@pytest.mark.parametrize("side", ["1e-200", "1e-30", "0.009", "0", "101", "1e30"])
def test_a_spacing_that_no_scanner_has_counts_as_missing(series: list[Path], side: str) -> None:
    scan = read([edited(path, PixelSpacing=[side, side], SpacingBetweenSlices=side) for path in series])
    assert (scan.spacing_mm, scan.slice_spacing_mm, scan.affine) == (None, pytest.approx(5.0), None)
    note = "the header states no pixel spacing from 0.01 to 100 mm"
    assert [(found.rule, found.detail) for found in scan.notes] == [("spacing_missing", note)]


def test_limits_of_spacing_are_within(series: list[Path]) -> None:
    for side in (0.01, 100):
        assert read([edited(series[0], PixelSpacing=[side, side])]).spacing_mm == pytest.approx(side)


@pytest.mark.parametrize("spacing", [(0.9, 0.9), (2.0, 1.0)])
@pytest.mark.parametrize(
    "axes", [(1, 0, 0, 0, 1, 0), (0, 1, 0, 0, 0, -1), (-1, 0, 0, 0, 0, 1), (0.8, 0.6, 0, -0.6, 0.8, 0)]
)
def test_each_shown_pixel_is_placed_where_the_header_puts_it(series: list[Path], axes: tuple, spacing: tuple) -> None:
    """PS3.3 C.7.6.2.1.1: position + column * column spacing * row direction + row * row spacing * column direction."""
    along, down = np.array(axes[:3]), np.array(axes[3:])
    normal = np.cross(along, down)
    start, column, row, z = np.array([-30.0, 11.0, 70.0]), 5, 7, 4
    pixels = np.zeros((6, 20, 24), np.uint16)
    pixels[z, row, column] = 1000
    copies = [
        edited(
            path,
            PixelData=pixels[i].tobytes(),
            PixelSpacing=list(spacing),
            ImageOrientationPatient=list(axes),
            ImagePositionPatient=(start + 4 * i * normal).tolist(),
        )
        for i, path in enumerate(series)
    ]
    scan = read(copies)
    share = scan.slices / scan.slices.sum()  # of a pixel spread by squaring
    shown = [(share * where).sum() for where in np.indices(share.shape)]
    wanted = start + 4 * z * normal + column * spacing[1] * along + row * spacing[0] * down
    np.testing.assert_allclose((scan.affine @ [*shown, 1])[:3], wanted * [-1, -1, 1], atol=1e-4)


def test_a_slice_alone_lies_in_its_plane(series: list[Path]) -> None:
    whole, alone = read(series), read(series[2:3])
    np.testing.assert_allclose(alone.affine[:, :3], whole.affine[:, :3], atol=1e-9)
    np.testing.assert_allclose(alone.affine[:, 3], whole.affine @ [2, 0, 0, 1], atol=1e-9)


@pytest.mark.parametrize(
    ("elements", "rule"),
    [
        ({"Modality": "CT"}, "wrong_modality"),
        ({"NumberOfFrames": 2}, "frames_unplaced"),
        ({"SamplesPerPixel": 3}, "not_grey"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "not_grey"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "localiser"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"]}, "mosaic_unsupported"),
        ({"ImageType": ["DERIVED", "PRIMARY", "DIFFUSION", "ADC"]}, "derived_map"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "P", "ND"]}, "derived_map"),
        ({"ImageType": ["DERIVED", "SECONDARY", "PROJECTION IMAGE"]}, "derived_map"),
        ({"ComplexImageComponent": "PHASE"}, "derived_map"),
        ({"Rows": 65535, "Columns": 65535}, "too_many_pixels"),
        ({"Rows": 4000, "Columns": 4000}, "unreadable"),
        ({"PixelData": None}, "unreadable"),
    ],
)
def test_refusals_name_the_rule(series: list[Path], elements: dict, rule: str) -> None:
    assert rule_of(edited(series[0], **elements)) == rule


def test_what_is_no_map_stays(series: list[Path]) -> None:
    for kind in (["ORIGINAL", "PRIMARY", "M", "ND"], ["DERIVED", "PRIMARY", "DIFFUSION", "TRACEW"], "DERIVED"):
        assert read([edited(series[0], ImageType=kind)]).slices.shape == (1, 20, 24)


def csa_header(tiles: int) -> bytes:
    """Siemens' CSA header with one element, as its second version lays it out."""
    values = [str(tiles).encode().ljust(8)] if tiles else []
    items = b"".join(struct.pack("<4i", len(v), len(v), 77, len(v)) + v for v in values)
    element = b"NumberOfImagesInMosaic".ljust(64, b"\0") + struct.pack("<i4s3i", 1, b"US", 6, len(values), 77) + items
    return b"SV10\4\3\2\1" + struct.pack("<2i", 1, 77) + element + b"Next".ljust(64, b"\0")


@pytest.mark.parametrize(("tiles", "rule"), [(36, "mosaic_unsupported"), (0, None)])
def test_mosaics_are_known_by_siemens_private_elements(series: list[Path], tiles: int, rule: str | None) -> None:
    for group, creator, offset, vr, value in (
        (0x0019, "SIEMENS MR HEADER", 0x0A, "US", tiles),
        (0x0029, "SIEMENS CSA HEADER", 0x10, "OB", csa_header(tiles)),
    ):
        data = pydicom.dcmread(series[0])
        data.private_block(group, creator, create=True).add_new(offset, vr, value)
        path = series[0].with_name("siemens.dcm")
        for implicit in (False, True):
            data.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2" if implicit else "1.2.840.10008.1.2.1"
            pydicom.dcmwrite(path, data, implicit_vr=implicit, little_endian=True)
            if rule is None:
                assert read_header(path).sequence == "FLAIR"
            else:
                assert rule_of(path) == rule


def test_refusals_never_repeat_the_header(series: list[Path]) -> None:
    cut = series[0].with_name("cut")
    cut.write_bytes(series[0].read_bytes()[:-50])
    with pytest.raises(Unreadable, match=r"unreadable: 910 bytes of pixels, the header states 960"):
        read([cut])
    with pytest.raises(Unreadable) as refused:
        read_header(edited(series[0], Modality="DOE JANE"))
    assert "DOE" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_one_more_element_is_read_by_keyword_and_hidden(series: list[Path]) -> None:
    path = edited(series[0], PatientComments="glioma of Jane", ReasonForStudy="a\\b")
    header = read_header(path, "PatientComments")
    assert header.attribute == "glioma of Jane"
    assert "Jane" not in repr(header)
    assert read_header(path, "ReasonForStudy").attribute == "a\\b"
    assert read_header(path, "ClinicalTrialSiteID").attribute is None
    assert read_header(path).attribute is None
    with pytest.raises(ValueError, match="keyword"):
        read_header(path, "Diagnosis")


def test_facts_are_numbers_in_one_unit_and_fixed_words(series: list[Path]) -> None:
    facts = read([edited(series[0], Manufacturer="SIEMENS Healthineers", MagneticFieldStrength="15000")]).facts
    assert (facts.manufacturer, facts.field_strength_t, facts.bits, facts.channels) == ("siemens", 1.5, 16, 1)
    assert (facts.echo_time_ms, facts.repetition_time_ms, facts.inversion_time_ms) == (120.0, 9000.0, 2500.0)
    makers = {
        "GE MEDICAL SYSTEMS": "ge", "Philips Medical Systems": "philips", "TOSHIBA_MEC": "canon", "": "unknown",
        "UIH": "united_imaging", "FUJIFILM (Hitachi)": "hitachi", "Bridge Imaging": "other",
    }  # fmt: skip
    for name, maker in makers.items():
        assert scan_facts({"Manufacturer": name}, coding="rle").manufacturer == maker
    for nonsense in ("nan", "-3", "1e9", "DOE", ["1", "x"], []):
        assert scan_facts({"EchoTime": nonsense}, coding="rle").echo_time_ms in (None, 1.0)
