"""Volumes: any orientation gives the same picture, and what is written is read back."""

import gzip
import itertools
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform

from pipeline.formats.nifti import is_nifti, read_nifti, write_volume
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


def test_four_dimensions_and_scaling(tmp_path: Path, voxels: np.ndarray) -> None:
    nib.save(nib.Nifti1Image(voxels[..., None], np.eye(4)), tmp_path / "one.nii")
    assert read_nifti(tmp_path / "one.nii").slices.size == voxels.size
    nib.save(nib.Nifti1Image(np.stack([voxels] * 2, axis=-1), np.eye(4)), tmp_path / "two.nii")
    with pytest.raises(Unreadable, match="dimensions"):
        read_nifti(tmp_path / "two.nii")
    scaled = nib.Nifti1Image(voxels, np.eye(4))
    scaled.header.set_slope_inter(0.5, 10)
    data = bytearray(scaled.to_bytes())
    data[112:120] = np.array([0.5, 10], "<f4").tobytes()
    (tmp_path / "scaled.nii").write_bytes(data)
    read = read_nifti(tmp_path / "scaled.nii").slices
    assert read.dtype == np.float32
    assert read.max() == voxels.max() * 0.5 + 10


def test_broken_files_are_refused_without_a_name(tmp_path: Path, voxels: np.ndarray) -> None:
    write_volume(tmp_path / "good.nii.gz", voxels, (5, 1, 1))
    whole = (tmp_path / "good.nii.gz").read_bytes()
    (tmp_path / "doe-cut.nii.gz").write_bytes(whole[:-30])
    (tmp_path / "doe-short.nii").write_bytes(gzip.decompress(whole)[:-30])
    (tmp_path / "doe-none.nii.gz").write_bytes(gzip.compress(b"Doe Jane"))
    for name in ("doe-cut.nii.gz", "doe-short.nii", "doe-none.nii.gz"):
        with pytest.raises(Unreadable, match="unreadable") as refused:
            read_nifti(tmp_path / name)
        assert "doe" not in str(refused.value).lower()
    assert is_nifti(tmp_path / "good.nii.gz")
    assert not is_nifti(tmp_path / "doe-none.nii.gz")


def test_pixels_far_from_square_are_refused(tmp_path: Path, voxels: np.ndarray) -> None:
    nib.save(nib.Nifti1Image(voxels, np.diag([1.0, 2.0, 5.0, 1.0])), tmp_path / "x.nii")
    with pytest.raises(Unreadable, match=r"pixels_not_square: .*2\.00"):
        read_nifti(tmp_path / "x.nii")


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


def test_real_volumes_of_odd_shapes() -> None:
    if not SHARED.exists():
        pytest.skip("real NIfTI data is not beside the project")
    assert read_nifti(SHARED / "odd" / "four_d_last_dim_1.nii.gz").slices.shape == (155, 240, 240)
    thick = read_nifti(SHARED / "odd" / "thick_slices_FLAIR_5mm.nii.gz")
    assert (thick.slices.shape, thick.slice_spacing_mm, thick.sequence) == ((35, 256, 256), 5.0, "FLAIR")
    turned = read_nifti(SHARED / "odd" / "psr_axes_T1_2mm.nii.gz")
    assert (turned.slices.shape, turned.plane, turned.spacing_mm) == ((120, 120, 90), "axial", 2.0)
