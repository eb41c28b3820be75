"""One unit is read as its headers say: a mask belongs to an image only where both lie in the same place."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path, PurePosixPath

import nibabel as nib
import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.uid import EnhancedMRImageStorage

from pipeline.formats import dicom
from pipeline.formats.dicom_write import write_series
from pipeline.formats.nifti import write_volume
from pipeline.formats.scan import Scan, Unreadable
from pipeline.scans.candidates import Declared
from pipeline.scans.phantom import write_phantoms
from pipeline.scans.sources import SourceFile, kind_of, list_source
from pipeline.scans.units import MASK_VOXELS, Findings, Unit, find_units, read_mask, read_unit

SPACING = (5.0, 2.0, 2.0)
LABELS = (np.random.default_rng(0).random((6, 10, 12)) > 0.9).astype(np.uint8)
Change = Callable[[nib.Nifti1Image], nib.Nifti1Image]


def file_of(path: Path) -> SourceFile:
    return SourceFile(record="file-0001", path=path, relative=PurePosixPath(path.name), kind=kind_of(path))


def nifti_unit(folder: Path) -> Unit:
    write_volume(folder / "x.nii.gz", np.arange(LABELS.size, dtype=np.int16).reshape(LABELS.shape), SPACING)
    write_volume(folder / "x_mask.nii", LABELS, SPACING)
    return Unit(file_of(folder / "x.nii.gz"), file_of(folder / "x_mask.nii"))


def dicom_unit(folder: Path) -> Unit:
    voxels = np.arange(LABELS.size, dtype=np.uint16).reshape(LABELS.shape)
    paths = write_series(folder / "x", voxels, spacing=SPACING, subject_id="s", sequence="T2", uid_seed=1)
    write_volume(folder / "x_mask.nii", LABELS, SPACING)
    series = tuple((file_of(path), dicom.read_header(path)) for path in paths)
    return Unit(series[0][0], file_of(folder / "x_mask.nii"), series=series)


def read(unit: Unit, channel: int | None = None) -> Scan:
    (scan,) = read_unit(unit, channel=channel, findings=Findings())
    return scan


def rewritten(unit: Unit, change: Change) -> Unit:
    """The unit with its mask changed on disk, whose bytes are copied first: the file is mapped to memory."""
    path = unit.mask.path
    image = nib.load(path)
    changed = change(nib.Nifti1Image(np.asarray(image.dataobj).copy(), image.affine))
    nib.save(changed, path)
    return unit


def moved(*mm: float) -> Change:
    shift = np.eye(4)
    shift[:3, 3] = mm
    return lambda image: nib.Nifti1Image(np.asarray(image.dataobj), shift @ image.affine)


def scaled(*factors: float) -> Change:
    """Another step along the axes of the file, which has the same origin and the same bytes."""
    return lambda image: nib.Nifti1Image(np.asarray(image.dataobj), image.affine @ np.diag([*factors, 1.0]))


def reoriented(image: nib.Nifti1Image) -> nib.Nifti1Image:
    """Stored another way round, and said so."""
    return image.as_reoriented(nib.orientations.axcodes2ornt("PIR"))


@pytest.mark.parametrize("make", [nifti_unit, dicom_unit])
@pytest.mark.parametrize(
    "change", [moved(0, 0, 0), moved(0.9, -0.9, 0.4), moved(2.0, 0, 0), moved(0, 0, 4.9), reoriented]
)
def test_a_mask_in_the_place_of_its_image_is_taken(
    tmp_path: Path, make: Callable[[Path], Unit], change: Change
) -> None:
    unit = rewritten(make(tmp_path), change)
    np.testing.assert_array_equal(read_mask(unit, read(unit)), LABELS)


@pytest.mark.parametrize("make", [nifti_unit, dicom_unit])
@pytest.mark.parametrize(
    ("change", "detail"),
    [
        (moved(60, 0, 0), "mask and image lie 60.0 mm apart, 30.0 voxels, at most 1"),
        (moved(0, 2.4, 0), "mask and image lie 2.4 mm apart, 1.2 voxels, at most 1"),
        (moved(0, 0, -10), "mask and image lie 10.0 mm apart, 2.0 voxels, at most 1"),
        (
            scaled(-1, 1, 1),
            "mask and image lie 22.0 mm apart, 11.0 voxels, at most 1",
        ),  # on the other side of the first voxel
        (scaled(1, 1, -1), "mask and image lie 25.0 mm apart, 5.0 voxels, at most 1"),
        (scaled(1.2, 1.2, 1), "mask and image lie 5.7 mm apart, 2.2 voxels, at most 1"),
    ],
)
def test_a_mask_of_another_place_is_refused(
    tmp_path: Path, make: Callable[[Path], Unit], change: Change, detail: str
) -> None:
    unit = rewritten(make(tmp_path), change)
    with pytest.raises(Unreadable) as refused:
        read_mask(unit, read(unit))
    assert (refused.value.rule, refused.value.detail) == ("mask_geometry", detail)
    assert MASK_VOXELS == 1


def enhanced_unit(folder: Path) -> Unit:
    """One object of two stacks of one shape, the second 60 mm above the first, and the mask of the first."""
    unit = dicom_unit(folder)
    data = pydicom.dcmread(unit.file.path)
    where, pixels = [float(mm) for mm in data.ImagePositionPatient], []
    frames = []
    for stack in range(2):
        for z in range(len(LABELS)):
            frame, place = pydicom.Dataset(), pydicom.Dataset()
            place.ImagePositionPatient = [*where[:2], where[2] + 60 * stack + SPACING[0] * z]
            frame.PlanePositionSequence, frame.FrameContentSequence = [place], [pydicom.Dataset()]
            frame.FrameContentSequence[0].StackID = str(stack)
            frames.append(frame)
            pixels.append(data.PixelData)
    shared, turned, sides = pydicom.Dataset(), pydicom.Dataset(), pydicom.Dataset()
    turned.ImageOrientationPatient, sides.PixelSpacing = data.ImageOrientationPatient, data.PixelSpacing
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [turned], [sides]
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = EnhancedMRImageStorage
    data.NumberOfFrames, data.PixelData = len(frames), b"".join(pixels)
    data.SharedFunctionalGroupsSequence, data.PerFrameFunctionalGroupsSequence = [shared], frames
    data.save_as(folder / "x.dcm")
    file = file_of(folder / "x.dcm")
    return Unit(file, unit.mask, series=((file, dicom.read_header(file.path)),))


def test_a_mask_of_one_stack_is_not_that_of_another_of_its_shape(tmp_path: Path) -> None:
    unit = enhanced_unit(tmp_path)
    first, second = read_unit(unit, channel=None, findings=Findings())
    assert first.slices.shape == second.slices.shape
    np.testing.assert_array_equal(read_mask(unit, first), LABELS)
    with pytest.raises(Unreadable, match=r"mask_geometry: mask and image lie 60\.0 mm apart"):
        read_mask(unit, second)


def test_where_one_does_not_say_where_it_lies_shapes_decide(tmp_path: Path) -> None:
    unit = rewritten(nifti_unit(tmp_path), moved(60, 0, 0))
    scan = replace(read(unit), affine=None)
    np.testing.assert_array_equal(read_mask(unit, scan), LABELS)
    with pytest.raises(Unreadable, match="mask_shape"):
        read_mask(unit, replace(scan, slices=scan.slices[1:]))


def test_a_table_that_renames_the_plane_does_not_turn_the_mask(tmp_path: Path) -> None:
    unit = nifti_unit(tmp_path)
    unit = replace(unit, file=replace(unit.file, declared=Declared("manifest", plane="coronal")))
    scan = read(unit)
    assert scan.plane == "coronal"
    np.testing.assert_array_equal(read_mask(unit, scan), LABELS)


@pytest.mark.parametrize("kind", ["nifti", "dicom"])
def test_phantoms_and_their_masks_lie_in_the_same_place(tmp_path: Path, kind: str) -> None:
    write_phantoms(out=tmp_path / "in", subjects=1, format=kind, seed=0)
    listing = list_source(tmp_path / "in")
    files = [
        replace(file_of(c.path), relative=c.relative, record=f"file-{i:04d}") for i, c in enumerate(listing.candidates)
    ]
    (unit,) = find_units(files, slices_of={}, attribute=None, findings=Findings())
    scan = read(unit)
    mask = read_mask(unit, scan)
    assert scan.affine is not None
    assert mask.any()
    rewritten(unit, moved(0, 0, 5.5))
    with pytest.raises(Unreadable, match="mask_geometry"):
        read_mask(unit, scan)


def test_a_second_file_in_one_place_is_quarantined_and_the_series_read(tmp_path: Path) -> None:
    paths = [header.path for _, header in dicom_unit(tmp_path).series]
    later = pydicom.dcmread(paths[2])
    later.InstanceNumber = 103
    later.save_as(paths[2].with_name("later.dcm"))
    files = [
        replace(file_of(path), record=f"file-{i:04d}")
        for i, path in enumerate([paths[2].with_name("later.dcm"), *paths])
    ]
    findings = Findings()
    (unit,) = find_units(files, slices_of={}, attribute=None, findings=findings)
    assert [header.path for _, header in unit.series] == paths
    assert [(row["record"], row["rule"]) for row in findings.rows] == [("file-0000", "repeated_position")]
    assert read(unit).slices.shape == LABELS.shape


def test_a_channel_is_chosen_only_where_there_are_several(tmp_path: Path) -> None:
    unit = nifti_unit(tmp_path)
    np.testing.assert_array_equal(read(unit, channel=1).slices, read(unit).slices)
    grey, three = np.arange(120, dtype=np.uint8).reshape(10, 12), np.zeros((10, 12, 3), np.uint8)
    three[..., 1] = grey
    for name, pixels in {"grey": grey, "three": three}.items():
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
        picture = Unit(file_of(tmp_path / f"{name}.png"), None)
        np.testing.assert_array_equal(read(picture, channel=1).slices[0], grey)
    with pytest.raises(Unreadable, match="no_such_channel"):
        read(picture, channel=3)
