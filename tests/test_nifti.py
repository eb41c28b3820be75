"""Volumes: any orientation gives the same picture, and what is written is read back."""

import gzip
import itertools
import tracemalloc
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform

from pipeline.formats.nifti import MAX_VOXELS, OBLIQUE_DEG, is_nifti, read_nifti, write_volume
from pipeline.formats.scan import Unreadable, guess_sequence

SHARED = Path(__file__).parents[2] / "shared" / "data" / "nifti"


@pytest.fixture
def voxels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 4000, (5, 7, 9), dtype=np.int16)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.float32])
@pytest.mark.parametrize("name", ["x.nii.gz", "x.nii"])
def test_written_is_read_back(tmp_path: Path, voxels: np.ndarray, dtype: type, name: str) -> None:
    written = voxels.astype(dtype)
    write_volume(tmp_path / name, written, (5.0, 0.9, 0.9))
    scan = read_nifti(tmp_path / name)
    np.testing.assert_array_equal(scan.slices, written)
    assert scan.slices.dtype == dtype
    assert (scan.plane, scan.slice_spacing_mm) == ("axial", 5.0)
    assert scan.spacing_mm == pytest.approx(0.9)
    np.testing.assert_allclose(scan.positions, [0.1, 0.3, 0.5, 0.7, 0.9])


def test_same_voxels_same_bytes(tmp_path: Path, voxels: np.ndarray) -> None:
    for name in ("a.nii.gz", "b.nii.gz"):
        write_volume(tmp_path / name, voxels, (5.0, 1.0, 1.0))
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()
    with pytest.raises(ValueError, match="closer"):
        write_volume(tmp_path / "c.nii", voxels, (0.5, 1.0, 1.0))


@pytest.mark.parametrize("signs", list(itertools.product("RL", "AP", "SI")))
@pytest.mark.parametrize("order", [(0, 1, 2), (1, 2, 0), (2, 1, 0)])
def test_stored_orientation_does_not_matter(
    tmp_path: Path, voxels: np.ndarray, signs: tuple[str, ...], order: tuple[int, ...]
) -> None:
    write_volume(tmp_path / "plain.nii", voxels, (5.0, 1.0, 1.0))
    plain = nib.load(tmp_path / "plain.nii")
    codes = tuple(signs[axis] for axis in order)
    turn = ornt_transform(io_orientation(plain.affine), axcodes2ornt(codes))
    turned = plain.as_reoriented(turn)
    assert nib.aff2axcodes(turned.affine) == codes
    nib.save(turned, tmp_path / "turned.nii.gz")
    np.testing.assert_array_equal(read_nifti(tmp_path / "turned.nii.gz").slices, voxels)


def one_marked(tmp_path: Path, at: tuple[int, int, int], spacing: tuple[float, float, float]) -> Path:
    """A RAS volume (8, 10, 12) with one bright voxel at (right, front, top)."""
    data = np.zeros((8, 10, 12), np.int16)
    data[at] = 1
    nib.save(nib.Nifti1Image(data, np.diag([*spacing, 1])), tmp_path / "x.nii")
    return tmp_path / "x.nii"


@pytest.mark.parametrize(
    ("spacing", "plane", "found"),
    [  # the voxel is at the patient's far right, front and top
        ((1, 1, 5), "axial", (11, 0, 0)),
        ((1, 5, 1), "coronal", (9, 0, 0)),
        ((5, 1, 1), "sagittal", (7, 0, 0)),
        ((1, 1, 1), "axial", (11, 0, 0)),
    ],
)
def test_right_front_top_is_seen_where_a_radiologist_sees_it(
    tmp_path: Path, spacing: tuple[float, float, float], plane: str, found: tuple[int, int, int]
) -> None:
    scan = read_nifti(one_marked(tmp_path, (7, 9, 11), spacing))
    assert scan.plane == plane
    assert tuple(np.argwhere(scan.slices)[0]) == found


def test_plane_can_be_asked_for(tmp_path: Path) -> None:
    scan = read_nifti(one_marked(tmp_path, (7, 9, 11), (1, 1, 1)), plane="sagittal")
    assert scan.slices.shape == (8, 12, 10)


def stored(path: Path, voxels: np.ndarray, *, spacing: tuple[float, ...] = (1, 1, 5), **fields: object) -> Path:
    """A volume with header fields overwritten after nibabel has had its say."""
    image = nib.Nifti1Image(voxels, np.diag([*spacing, 1.0]))
    image.header.set_xyzt_units("mm")
    data = bytearray(image.to_bytes())
    header = np.frombuffer(data, nib.Nifti1Header.template_dtype, count=1)  # a view: writes go to data
    for name, value in fields.items():
        header[name] = value
    path.write_bytes(gzip.compress(bytes(data)) if path.suffix == ".gz" else bytes(data))
    return path


def refused(path: Path, **options: object) -> Unreadable:
    with pytest.raises(Unreadable) as caught:
        read_nifti(path, **options)
    return caught.value


def test_a_volume_of_several_is_chosen_and_never_guessed(tmp_path: Path, voxels: np.ndarray) -> None:
    four = stored(tmp_path / "x.nii.gz", np.stack([voxels, voxels + 1, voxels + 2], axis=-1))
    error = refused(four)
    assert (error.rule, error.detail) == ("several_channels", "3 volumes in one file; choose one with --channel")
    alone = read_nifti(stored(tmp_path / "one.nii", voxels[..., None]))
    assert (alone.slices.shape, alone.facts.channels, alone.facts.coding) == ((9, 7, 5), 1, "nifti")
    for channel in range(3):
        chosen = read_nifti(four, channel=channel)
        np.testing.assert_array_equal(chosen.slices, alone.slices + channel)
        assert (chosen.facts.channels, chosen.facts.coding, chosen.facts.bits) == (3, "nifti_gz", 16)
    for channel in (-1, 3):
        assert refused(four, channel=channel).rule == "no_such_channel"
    one = read_nifti(tmp_path / "one.nii", channel=1)  # nothing to choose: a study of 4-D files may hold plain ones
    np.testing.assert_array_equal(one.slices, alone.slices)
    vectors = stored(tmp_path / "five.nii", np.stack([voxels, voxels + 1], axis=-1)[:, :, :, None])
    np.testing.assert_array_equal(read_nifti(vectors, channel=1).slices, alone.slices + 1)


def test_a_flat_image_is_a_volume_of_one_slice(tmp_path: Path, voxels: np.ndarray) -> None:
    flat = stored(tmp_path / "x.nii", voxels[:, :, 0])
    assert read_nifti(flat).slices.shape == (1, 7, 5)
    assert read_nifti(flat).positions is None


def test_values_are_scaled_as_the_header_says(tmp_path: Path, voxels: np.ndarray) -> None:
    plain = read_nifti(stored(tmp_path / "x.nii", voxels)).slices
    assert plain.dtype == np.int16
    scaled = read_nifti(stored(tmp_path / "x.nii", voxels, scl_slope=0.5, scl_inter=-10)).slices
    assert scaled.dtype == np.float32
    np.testing.assert_array_equal(scaled, plain * np.float32(0.5) - 10)
    ignored = read_nifti(stored(tmp_path / "x.nii", voxels, scl_slope=0, scl_inter=-10)).slices  # 0: not scaled
    np.testing.assert_array_equal(ignored, plain)


def test_z_scores_keep_their_sign_and_wide_numbers_their_value(tmp_path: Path) -> None:
    scores = np.random.default_rng(1).normal(size=(6, 7, 8))
    for dtype in (np.float32, np.float64):
        read = read_nifti(stored(tmp_path / "x.nii", scores.astype(dtype)))
        assert read.slices.dtype == np.float32
        np.testing.assert_array_equal(np.sort(read.slices, axis=None), np.sort(scores.astype(np.float32), axis=None))
        assert read.facts.bits == np.dtype(dtype).itemsize * 8
    image = nib.Nifti1Image(np.full((2, 3, 4), 4095, np.int64), np.eye(4), dtype=np.int64)
    nib.save(image, tmp_path / "wide.nii")
    assert (read_nifti(tmp_path / "wide.nii").slices == 4095).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8, np.int16])
def test_labels_are_whole_whatever_they_were_stored_as(tmp_path: Path, dtype: type) -> None:
    labels = np.random.default_rng(2).integers(0, 5, (6, 7, 8)).astype(dtype)
    wanted = read_nifti(stored(tmp_path / "x.nii", labels), labels=True).slices
    assert wanted.dtype == np.int32
    assert set(np.unique(wanted)) == {0, 1, 2, 3, 4}
    if dtype is np.float32:
        near = labels * np.float32(0.99999997)
        near[labels == 0] = np.nan  # the outside of a mask that was divided by itself
        np.testing.assert_array_equal(read_nifti(stored(tmp_path / "x.nii", near), labels=True).slices, wanted)


def test_pixels_are_made_square_and_labels_stay_labels(tmp_path: Path) -> None:
    labels = np.random.default_rng(3).choice([0, 1, 4], (6, 10, 4)).astype(np.float32)
    path = stored(tmp_path / "x.nii", labels, spacing=(1, 2, 5))
    smooth, nearest = read_nifti(path), read_nifti(path, labels=True)
    assert smooth.slices.shape == nearest.slices.shape == (4, 20, 6)
    assert smooth.spacing_mm == nearest.spacing_mm == 1.0
    assert set(np.unique(nearest.slices)) == {0, 1, 4}
    assert len(np.unique(smooth.slices)) > 3
    as_stored = read_nifti(stored(tmp_path / "y.nii", labels), labels=True).slices
    np.testing.assert_array_equal(nearest.slices, np.repeat(as_stored, 2, axis=1))
    assert refused(stored(tmp_path / "z.nii", labels, spacing=(1, 9, 10))).rule == "pixels_not_square"


def turned(path: Path, voxels: np.ndarray, degrees: float, shear: float = 0.0) -> Path:
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    affine = np.diag([1.0, 1.0, 4.0, 1.0])
    affine[:3, :3] = np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]]) @ affine[:3, :3]
    affine[1, 2] += shear
    nib.save(nib.Nifti1Image(voxels, affine), path)
    return path


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
@pytest.mark.parametrize("codes", ["RAS", "LPS", "SAL", "PIR"])
def test_each_shown_voxel_is_placed_where_the_file_puts_it(tmp_path: Path, codes: str, plane: str) -> None:
    number = np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6)
    affine = nib.load(turned(tmp_path / "x.nii", number, 12)).affine.copy()
    affine[:3, 3] = 3, -40, 7
    image = nib.Nifti1Image(number, affine)
    nib.save(image.as_reoriented(ornt_transform(io_orientation(affine), axcodes2ornt(codes))), tmp_path / "y.nii")
    rotated = nib.load(tmp_path / "y.nii")
    scan = read_nifti(tmp_path / "y.nii", plane=plane, labels=True)
    if plane == "axial":  # the others have pixels of 1 x 4 mm, which are made square
        for value in (0, 7, 119):
            shown, kept = np.argwhere(scan.slices == value)[0], np.argwhere(rotated.get_fdata() == value)[0]
            np.testing.assert_allclose(
                nib.affines.apply_affine(scan.affine, shown), rotated.affine @ [*kept, 1] @ np.eye(4, 3), atol=1e-4
            )
    # each number stands in a block, whose middle is where the one voxel of the file lies
    middle = np.argwhere(scan.slices == 64).mean(axis=0)
    kept = np.argwhere(rotated.get_fdata() == 64)[0]
    wanted = nib.affines.apply_affine(rotated.affine, kept)
    np.testing.assert_allclose(nib.affines.apply_affine(scan.affine, middle), wanted, atol=1e-4)


def test_where_a_volume_lies_is_unknown_without_an_orientation(tmp_path: Path, voxels: np.ndarray) -> None:
    assert read_nifti(stored(tmp_path / "x.nii", voxels, qform_code=0, sform_code=0)).affine is None


def test_oblique_slices_are_read_and_noted_with_their_angle(tmp_path: Path, voxels: np.ndarray) -> None:
    plain = read_nifti(turned(tmp_path / "x.nii", voxels, 0))
    for degrees in (5, 19, 21, -33, 40):
        scan = read_nifti(turned(tmp_path / "x.nii", voxels, degrees))
        np.testing.assert_array_equal(scan.slices, plain.slices)
        assert (scan.plane, scan.slice_spacing_mm) == ("axial", pytest.approx(4.0, abs=1e-5))
        beyond = abs(degrees) > OBLIQUE_DEG
        assert [note.rule for note in scan.notes] == (["oblique"] if beyond else [])
        assert not beyond or scan.notes[0].detail.startswith(f"{abs(degrees)} degrees")
    error = refused(turned(tmp_path / "x.nii", voxels, 0, shear=2.0))  # a stack whose slices slide, 2 mm in 4
    assert error.rule == "sheared"
    assert "26.6 degrees" in error.detail


def test_without_an_orientation_a_volume_is_read_as_stored(tmp_path: Path, voxels: np.ndarray) -> None:
    path = stored(tmp_path / "x.nii", voxels, qform_code=0, sform_code=0)
    scan = read_nifti(path)
    np.testing.assert_array_equal(scan.slices, voxels.transpose())
    assert (scan.plane, scan.positions, scan.spacing_mm, scan.slice_spacing_mm) == ("unknown", None, 1.0, 5.0)
    assert [note.rule for note in scan.notes] == ["orientation_unknown"]
    assert refused(path, plane="axial").rule == "orientation"
    oriented = stored(tmp_path / "y.nii", voxels)  # a mask of it, which must lie as it does
    np.testing.assert_array_equal(read_nifti(oriented, plane="unknown", labels=True).slices, voxels.transpose())
    for missing in (0.0, np.nan):
        bare = read_nifti(stored(path, voxels, qform_code=0, sform_code=0, pixdim=[1, missing, 1, 1, 0, 0, 0, 0]))
        assert (bare.spacing_mm, bare.slice_spacing_mm) == (None, None)


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({"sform_code": 1, "srow_x": [0, 0, 0, 0]}, "orientation"),
        ({"sform_code": 1, "srow_x": [np.nan, 0, 0, 0]}, "orientation"),
        ({"sform_code": 0, "qform_code": 1, "pixdim": [1, 0, 1, 1, 0, 0, 0, 0]}, "orientation"),
        ({"sform_code": 0, "qform_code": 1, "quatern_b": np.nan}, "orientation"),
        ({"sform_code": 0, "qform_code": 1, "quatern_b": 7.0}, "orientation"),
        ({"sform_code": 1, "srow_x": [1e-6, 0, 0, 0]}, "spacing"),
        ({"sform_code": 1, "xyzt_units": 1}, "spacing"),  # metres
        ({"sform_code": 0, "qform_code": 0, "pixdim": [1, 1, 1, 1e30, 0, 0, 0, 0]}, "spacing"),
        ({"datatype": 32}, "voxel_kind"),  # complex
        ({"datatype": 128}, "voxel_kind"),  # RGB
        ({"datatype": 99}, "unreadable"),
        ({"dim": [3, 5, 7, 0, 1, 1, 1, 1]}, "dimensions"),
        ({"dim": [3, 5, -7, 9, 1, 1, 1, 1]}, "dimensions"),
        ({"dim": [1, 315, 1, 1, 1, 1, 1, 1]}, "dimensions"),
        ({"dim": [3, 5, 7, 10, 1, 1, 1, 1]}, "unreadable"),
        ({"vox_offset": np.nan}, "unreadable"),
        ({"vox_offset": 8}, "unreadable"),
        ({"vox_offset": 1e8}, "unreadable"),
        ({"scl_slope": 1, "scl_inter": np.nan}, "unreadable"),
        ({"dim": [3, 32767, 32767, 32767, 1, 1, 1, 1]}, "too_many_voxels"),
        ({"dim": [4, 32767, 4000, 1, 32767, 1, 1, 1]}, "several_channels"),
        ({"dim": [7, 5, 7, 9, 32767, 32767, 32767, 32767]}, "several_channels"),
    ],
)
@pytest.mark.parametrize("name", ["x.nii", "x.nii.gz"])
def test_headers_that_lie_are_refused(
    tmp_path: Path, voxels: np.ndarray, fields: dict[str, object], rule: str, name: str
) -> None:
    assert refused(stored(tmp_path / name, voxels, **fields)).rule == rule


def test_micrometres_are_understood(tmp_path: Path, voxels: np.ndarray) -> None:
    scan = read_nifti(stored(tmp_path / "x.nii", voxels, spacing=(900, 900, 5000), xyzt_units=3))
    assert (scan.spacing_mm, scan.slice_spacing_mm) == (pytest.approx(0.9), pytest.approx(5.0))


def test_sform_against_qform_is_noted(tmp_path: Path, voxels: np.ndarray) -> None:
    image = nib.Nifti1Image(voxels, np.diag([1, 1, 5, 1]))
    image.set_qform(np.diag([-1.0, 1, 5, 1]), code=1)
    nib.save(image, tmp_path / "x.nii")
    assert [note.rule for note in read_nifti(tmp_path / "x.nii").notes] == ["orientation_conflict"]
    image.set_qform(np.diag([1.0, 1, 5, 1]), code=1)
    nib.save(image, tmp_path / "x.nii")
    assert read_nifti(tmp_path / "x.nii").notes == ()


def test_bombs_and_promises_cost_neither_time_nor_memory(tmp_path: Path, voxels: np.ndarray) -> None:
    promise = stored(tmp_path / "promise.nii.gz", voxels, dim=[3, 512, 512, 512, 1, 1, 1, 1], datatype=64, bitpix=64)
    zeros = gzip.compress(bytes(2**24), compresslevel=1)
    bomb = stored(tmp_path / "bomb.nii.gz", voxels)
    bomb.write_bytes(bomb.read_bytes() + zeros * 256)  # 4 GiB behind the voxels
    deep = stored(tmp_path / "deep.nii.gz", voxels, dim=[4, 512, 512, 512, 30000, 1, 1, 1])
    deep.write_bytes(deep.read_bytes() + zeros * 256)
    tracemalloc.start()
    try:
        assert refused(promise).detail == "the file ends before its voxels do"
        assert refused(bomb).detail == "the file holds more than its header says"
        assert refused(deep, channel=29999).rule == "too_many_voxels"
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < MAX_VOXELS * 4 + 2**27  # numpy counts what it reserves, touched or not


def test_mutated_files_are_read_or_refused(tmp_path: Path, voxels: np.ndarray) -> None:
    whole = stored(tmp_path / "good.nii", voxels).read_bytes()
    packed = gzip.compress(whole, mtime=0)
    rng = np.random.default_rng(4)
    rules = set()
    for seed in range(600):
        data = bytearray(packed if seed % 3 == 0 else whole)
        reach = len(data) if seed % 3 == 0 else 352  # the voxels of a plain file may hold anything
        for at in rng.integers(0, reach, rng.integers(1, 5)):
            data[at] = rng.integers(256)
        if seed % 5 == 0:
            del data[rng.integers(len(data)) :]
        (tmp_path / "x.nii").write_bytes(data)
        try:
            read_nifti(tmp_path / "x.nii", labels=seed % 2 == 0)
        except Unreadable as error:
            rules.add(error.rule)
    assert {"unreadable", "orientation", "spacing", "dimensions"} <= rules


def test_broken_files_are_refused_without_a_name(tmp_path: Path, voxels: np.ndarray) -> None:
    write_volume(tmp_path / "good.nii.gz", voxels, (5, 1, 1))
    whole = (tmp_path / "good.nii.gz").read_bytes()
    (tmp_path / "doe-cut.nii.gz").write_bytes(whole[:-30])
    (tmp_path / "doe-short.nii").write_bytes(gzip.decompress(whole)[:-30])
    (tmp_path / "doe-none.nii.gz").write_bytes(gzip.compress(b"Doe Jane"))
    for name in ("doe-cut.nii.gz", "doe-short.nii", "doe-none.nii.gz"):
        error = refused(tmp_path / name)
        assert error.rule == "unreadable"
        assert "doe" not in str(error).lower()
    assert is_nifti(tmp_path / "good.nii.gz")
    assert not is_nifti(tmp_path / "doe-none.nii.gz")


@pytest.mark.parametrize(
    ("text", "sequence"),
    [
        ("sub-01_T1w", "T1"),
        ("MRHR_T1_AX_POST_GAD", "T1c"),
        ("t1ce", "T1c"),
        ("Flair_subtrMeanDivStd", "FLAIR"),
        ("T2_FLAIR", "FLAIR"),
        ("MRHR_T2_AX", "T2"),
        ("T2star", "unknown"),
        ("ADNI_Sag3D MPRAGE", "T1"),
        ("subject 12", "unknown"),
    ],
)
def test_sequence_from_words(text: str, sequence: str) -> None:
    assert guess_sequence(text) == sequence
    assert guess_sequence("nothing said", text) == sequence


# what becomes of every NIfTI file beside the project: shape, plane, sequence, pixel and slice distance, bits, notes
REAL_FILES = {
    "brats2013/brats_2013_pat0005_1/Flair_subtrMeanDivStd": ((155, 240, 240), "FLAIR", 1.0, 1.0, 32),
    "brats2013/brats_2013_pat0005_1/T1c_subtrMeanDivStd": ((155, 240, 240), "T1c", 1.0, 1.0, 32),
    "brats2013/brats_2013_pat0005_1/OTMultiClass": ((155, 240, 240), "unknown", 1.0, 1.0, 32),
    "brats2013/brats_2013_pat0005_1/brainmask": ((155, 240, 240), "unknown", 1.0, 1.0, 32),
    "brats2013/brats_2013_pat0006_1/Flair_subtrMeanDivStd": ((155, 240, 240), "FLAIR", 1.0, 1.0, 32),
    "brats2013/brats_2013_pat0006_1/T1c_subtrMeanDivStd": ((155, 240, 240), "T1c", 1.0, 1.0, 32),
    "brats2013/brats_2013_pat0006_1/OTMultiClass": ((155, 240, 240), "unknown", 1.0, 1.0, 32),
    "brats2013/brats_2013_pat0006_1/brainmask": ((155, 240, 240), "unknown", 1.0, 1.0, 32),
    "ds002748/sub-52/anat/sub-52_T1w": ((181, 288, 288), "T1", 0.868, 1.0, 32),
    "ds002748/sub-53/anat/sub-53_T1w": ((181, 288, 288), "T1", 0.868, 1.0, 32),
    "ds002748/sub-54/anat/sub-54_T1w": ((181, 288, 288), "T1", 0.868, 1.0, 32),
    "odd/four_d_last_dim_1": ((155, 240, 240), "unknown", 1.0, 1.0, 16),
    "odd/psr_axes_T1_2mm": ((120, 120, 90), "T1", 2.0, 2.0, 8),
    "odd/thick_slices_FLAIR_5mm": ((35, 256, 256), "FLAIR", 0.859, 5.0, 16),
    "tcga_fg_6692_raw/MRHR_FLAIR": ((26, 256, 208), "FLAIR", 0.898, 5.5, 16),
    "tcga_fg_6692_raw/MRHR_T1_AX_POST": ((26, 224, 256), "T1c", 0.898, 5.5, 16),
    "tcga_fg_6692_raw/MRHR_T2": ((26, 256, 224), "T2", 0.898, 5.5, 16),
    "tcga_fg_6692_raw/T1_AX": ((26, 224, 256), "T1", 0.898, 5.5, 16),
}


def real_files() -> dict[str, Path]:
    if not SHARED.exists():
        pytest.skip("real NIfTI data is not beside the project")
    found = {path.relative_to(SHARED).as_posix(): path for path in SHARED.rglob("*.nii*")}
    named = {name: next(path for place, path in found.items() if place.startswith(name)) for name in REAL_FILES}
    assert sorted(named.values()) == sorted(found.values())  # no file without an answer
    return named


def test_every_real_volume_is_read_as_it_is() -> None:
    for name, path in real_files().items():
        scan = read_nifti(path)
        shape, sequence, pixel, distance, bits = REAL_FILES[name]
        assert (scan.slices.shape, scan.plane, scan.sequence, scan.notes) == (shape, "axial", sequence, ()), name
        assert scan.spacing_mm == pytest.approx(pixel, abs=1e-3)
        assert scan.slice_spacing_mm == pytest.approx(distance, abs=1e-5)
        assert (scan.facts.coding, scan.facts.bits, scan.facts.channels) == ("nifti_gz", bits, 1)
        assert len(scan.positions) == shape[0]
        negative = "subtrMeanDivStd" in name  # already z-scored
        assert (scan.slices.min() < 0) == negative


def test_real_labels_are_whole_and_files_beside_volumes_are_not_volumes() -> None:
    for name, path in real_files().items():
        if "OTMulti" in name:
            assert set(np.unique(read_nifti(path, labels=True).slices)) == {0, 1, 2, 3, 4}
        if "brainmask" in name:  # stored as 0.99999997
            assert nib.load(path).get_fdata().max() < 1
            assert set(np.unique(read_nifti(path, labels=True).slices)) == {0, 1}
    others = [path for path in SHARED.rglob("*") if path.is_file() and ".nii" not in path.name]
    assert len(others) == 6
    assert not any(is_nifti(path) for path in others)
