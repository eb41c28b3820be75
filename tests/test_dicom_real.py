"""What becomes of every real DICOM file beside the project: read with which shape, or refused by which rule."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from pipeline.formats.dicom import DicomHeader, assemble, is_dicom, order_series, read_header, read_pixels
from pipeline.formats.dicom_enhanced import read_enhanced
from pipeline.formats.scan import Scan, Unreadable

ROOT = Path(__file__).parents[2] / "shared" / "data" / "dicom"

pytestmark = pytest.mark.skipif(not ROOT.exists(), reason="real data dicom/ is not beside the project")

# a file or folder: shape, plane, sequence, pixel side in mm, distance of slices in mm, coding, rules of notes
READ = {
    "enhanced_mr_brain_tumour/BRTUM001": ((15, 256, 256), "sagittal", "T1", 0.820312, 6.0, "explicit_little", []),
    "enhanced_mr_brain_tumour/BRTUM003": ((24, 256, 256), "axial", "FLAIR", 0.820312, 6.0, "explicit_little", []),
    "enhanced_mr_brain_tumour/BRTUM008": ((24, 256, 256), "axial", "T1c", 0.820312, 6.0, "explicit_little", []),
    "ge_classic/MR_Implicit_Little.dcm": ((1, 256, 256), "axial", "FLAIR", 0.859375, None, "implicit_little", []),
    "philips_mprage": ((45, 256, 256), "sagittal", "T1", 1.0, 2.0, "explicit_little", ["missing_slices"]),
    "siemens_t1_sag": ((35, 256, 256), "sagittal", "T1", 1.015625, 4.8, "explicit_little", []),
    # fruit, and no header says so: that it is no head is for quality control to find
    "odd/fruit_labelled_mr": ((10, 256, 256), "sagittal", "T1", 1.0547, 9.6, "explicit_little", ["missing_slices"]),
    # its two files lie side by side: which third one is missing, nothing in them tells
    "odd/missing_slice": ((2, 256, 256), "sagittal", "FLAIR", 1.0, 1.0, "explicit_little", []),
    "transfer_syntaxes/MR_small.dcm": ((1, 64, 64), "axial", "T2", 0.3125, None, "explicit_little", []),
    "transfer_syntaxes/MR_small_implicit.dcm": ((1, 64, 64), "axial", "T2", 0.3125, None, "implicit_little", []),
    "transfer_syntaxes/MR_small_bigendian.dcm": ((1, 64, 64), "axial", "T2", 0.3125, None, "explicit_big", []),
    "transfer_syntaxes/MR_small_RLE.dcm": ((1, 64, 64), "axial", "T2", 0.3125, None, "rle", []),
    "transfer_syntaxes/MR_small_jp2klossless.dcm": ((1, 64, 64), "axial", "T2", 0.3125, None, "jpeg_2000", []),
    "transfer_syntaxes/MR_small_jpeg_ls_lossless.dcm": ((1, 64, 64), "axial", "T2", 0.3125, None, "jpeg_ls", []),
    "transfer_syntaxes/MR1_RLE": ((1, 512, 512), "axial", "T2", 0.3125, None, "rle", []),
    "transfer_syntaxes/MR1_J2KR": ((1, 512, 512), "axial", "T2", 0.3125, None, "jpeg_2000", []),
    "transfer_syntaxes/MR1_JLSL": ((1, 512, 512), "axial", "T2", 0.3125, None, "jpeg_ls", []),
    "transfer_syntaxes/MR1_JPLL": ((1, 512, 512), "axial", "T2", 0.3125, None, "jpeg_lossless", []),
}
REFUSED = {
    "enhanced_mr_brain_tumour/BRTUMSP1": "no_pixels",
    "ge_classic/MR_Explicit_Little_MultiFrame.dcm": "frames_unplaced",  # a film of a beating heart
    "odd/MR_truncated.dcm": "unreadable",
    "odd/CT_small.dcm": "wrong_modality",
    "odd/SC_rgb_jpeg.dcm": "wrong_modality",
    "odd/image_dfl.dcm": "wrong_modality",
    "odd/rtplan.dcm": "wrong_modality",
    "odd/test-SR.dcm": "wrong_modality",
    "odd/badVR.dcm": "wrong_modality",
    "odd/meta_missing_tsyntax.dcm": "unreadable",
    "odd/no_meta.dcm": "unreadable",  # a stray byte before the first element: not even its mark is where it should be
}


def files_of(name: str) -> list[Path]:
    path = ROOT / name
    return sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]


def stacked(headers: Sequence[DicomHeader]) -> tuple[Scan, int]:
    """The scan of one stack, and how many of its files are left over."""
    kept, left_over = order_series(headers)
    return assemble(kept, [read_pixels(header) for header in kept]), len(left_over)


def read(name: str) -> Scan:
    headers = [read_header(file) for file in files_of(name)]
    assert len({header.series for header in headers}) == 1
    if headers[0].multiframe:
        (scan,) = read_enhanced(*headers)
        return scan
    scan, left_over = stacked(headers)
    assert not left_over
    return scan


def test_the_tables_name_every_file() -> None:
    named = [file for name in [*READ, *REFUSED] for file in files_of(name)]
    assert sorted(named) == files_of(".")
    assert len(set(named)) == len(named)


@pytest.mark.parametrize("name", READ)
def test_is_read(name: str) -> None:
    shape, plane, sequence, spacing, slice_spacing, coding, notes = READ[name]
    scan = read(name)
    assert (scan.slices.shape, scan.plane, scan.sequence, scan.facts.coding) == (shape, plane, sequence, coding)
    assert scan.spacing_mm == pytest.approx(spacing)
    assert scan.slice_spacing_mm == pytest.approx(slice_spacing, abs=0.01)
    assert [note.rule for note in scan.notes] == notes
    assert (scan.raw_subject is None) == (name == "ge_classic/MR_Implicit_Little.dcm")
    assert (scan.positions is None) == (shape[0] == 1)
    assert len(np.unique(scan.slices)) > 100


@pytest.mark.parametrize("name", REFUSED)
def test_is_refused(name: str) -> None:
    with pytest.raises(Unreadable) as refused:
        read(name)
    assert refused.value.rule == REFUSED[name]


def test_what_is_dicom_by_its_first_bytes() -> None:
    for name in ("odd/no_meta.dcm", "enhanced_mr_brain_tumour/BRTUM001"):
        assert is_dicom(files_of(name)[0].read_bytes()[:132]) == (name != "odd/no_meta.dcm")


def test_codings_decode_to_the_same_pixels() -> None:
    for stem, first in (("MR_small", "MR_small.dcm"), ("MR1_", "MR1_RLE")):
        plain = read(f"transfer_syntaxes/{first}").slices
        for path in (ROOT / "transfer_syntaxes").glob(f"{stem}*"):
            np.testing.assert_array_equal(stacked([read_header(path)])[0].slices, plain)


def test_everything_in_one_heap_comes_apart_into_its_scans() -> None:
    """All files at once, in an order of no meaning: as many scans as there are, and every copy left over."""
    stacks: dict[object, list[DicomHeader]] = defaultdict(list)
    files = files_of(".")
    for i in np.random.default_rng(0).permutation(len(files)):
        try:
            header = read_header(files[i])
        except Unreadable:
            continue
        if not header.multiframe:
            stacks[header.series].append(header)
    shapes, repeated = [], 0
    for stack in stacks.values():
        scan, left_over = stacked(stack)
        repeated += left_over
        shapes.append(scan.slices.shape)
    of_512, of_64, of_256 = (sorted(shape[0] for shape in shapes if shape[1] == side) for side in (512, 64, 256))
    assert (of_512, of_64, of_256) == ([1, 1], [1], [1, 2, 10, 35, 45])
    assert repeated == 2 + 6  # the same pictures in other codings, and the truncated copy


def test_a_sagittal_face_looks_left() -> None:
    """A face, a jaw and a neck lie below and in front: the lower left is not empty, the upper left is."""
    middle = read("siemens_t1_sag").slices[17].astype(float)
    assert middle[150:, :80].mean() > 3 * middle[:40, :60].mean()
    middle = read("enhanced_mr_brain_tumour/BRTUM001").slices[7].astype(float)
    assert middle[150:, :80].mean() > 3 * middle[:40, :60].mean()


def test_the_tumour_of_the_enhanced_patient_is_right_and_in_front() -> None:
    """As his record says: bright in FLAIR, so on the viewer's left and in the upper half, and not mirrored there."""
    flair = read("enhanced_mr_brain_tumour/BRTUM003").slices[17:21, 40:200, 64:192].astype(float)
    bright = flair > np.percentile(flair, 98.5)
    rows, columns = np.nonzero(bright[:, 10:100, 20:108].sum(0) >= 3)
    assert np.median(columns) < 44 < 45 + np.median(rows)
    assert (columns < 44).mean() > 0.8
    assert (rows < 45).mean() > 0.8
