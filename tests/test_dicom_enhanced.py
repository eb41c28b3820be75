"""Enhanced MR: stacks, echoes, orientations and time points of one object come apart, each placed by its groups."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import EnhancedMRImageStorage, JPEG2000Lossless

from pipeline.formats.dicom import read_header
from pipeline.formats.dicom_enhanced import read_enhanced
from pipeline.formats.dicom_write import write_series
from pipeline.formats.scan import Scan, Unreadable

AXIAL, SAGITTAL, CORONAL = [1, 0, 0, 0, 1, 0], [0, 1, 0, 0, 0, -1], [1, 0, 0, 0, 0, -1]
GROUPS = {  # the group an element stands in
    "ImagePositionPatient": "PlanePositionSequence",
    "ImageOrientationPatient": "PlaneOrientationSequence",
    "PixelSpacing": "PixelMeasuresSequence",
    "SpacingBetweenSlices": "PixelMeasuresSequence",
    "RescaleSlope": "PixelValueTransformationSequence",
    "RescaleIntercept": "PixelValueTransformationSequence",
    "EffectiveEchoTime": "MREchoSequence",
    "RepetitionTime": "MRTimingAndRelatedParametersSequence",
    "FlipAngle": "MRTimingAndRelatedParametersSequence",
    "InversionTimes": "MRModifierSequence",
    "StackID": "FrameContentSequence",
    "InStackPositionNumber": "FrameContentSequence",
    "TemporalPositionIndex": "FrameContentSequence",
    "DimensionIndexValues": "FrameContentSequence",
    "FrameType": "MRImageFrameTypeSequence",
    "ComplexImageComponent": "MRImageFrameTypeSequence",
    "DiffusionBValue": "MRDiffusionSequence",
}
Write = Callable[..., Path]


def groups(elements: dict) -> Dataset:
    """A functional-group item of elements by keyword."""
    item = Dataset()
    for keyword, value in elements.items():
        name = GROUPS[keyword]
        if name not in item:
            setattr(item, name, [Dataset()])
        setattr(getattr(item, name)[0], keyword, value)
    return item


@pytest.fixture
def voxels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 4000, (8, 40, 48), dtype=np.uint16)


@pytest.fixture
def write(tmp_path: Path, voxels: np.ndarray) -> Write:
    """Writes an object: `frames` hold what differs, `shared` what does not; the pixels are `voxels`, a frame each."""
    classic = write_series(tmp_path, voxels[:1], spacing=(5, 1, 1), subject_id="sub-1", sequence="T2", uid_seed=1)[0]

    def write(frames: list[dict], shared: dict | None = None, **top: object) -> Path:
        data = pydicom.dcmread(classic)
        data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = EnhancedMRImageStorage
        for keyword in ("PixelSpacing", "SpacingBetweenSlices", "ImagePositionPatient", "ImageOrientationPatient"):
            delattr(data, keyword)
        del data.EchoTime, data.RepetitionTime
        data.NumberOfFrames = len(frames)
        data.PixelData = voxels[: len(frames)].tobytes()
        both = {"PixelSpacing": [0.9, 0.9], "ImageOrientationPatient": AXIAL} | (shared or {})
        data.SharedFunctionalGroupsSequence = [groups(both)]
        data.PerFrameFunctionalGroupsSequence = [groups(frame) for frame in frames]
        for keyword, value in top.items():
            setattr(data, keyword, value)
        path = tmp_path / "enhanced"
        data.save_as(path)
        return path

    return write


def at(z: float) -> dict:
    return {"ImagePositionPatient": [-20, -20, z]}


def read(path: Path) -> list[Scan]:
    return read_enhanced(read_header(path))


def rule_of(path: Path) -> str:
    with pytest.raises(Unreadable) as refused:
        read(path)
    return refused.value.rule


def test_frames_in_any_order_make_one_volume(write: Write, voxels: np.ndarray) -> None:
    order = np.random.default_rng(1).permutation(8)
    timing = {"EffectiveEchoTime": 93.0, "RepetitionTime": 4000.0, "FlipAngle": 90.0, "InversionTimes": [2000.0, 1.0]}
    (scan,) = read(write([at(5.0 * z) for z in order], timing, MagneticFieldStrength=3, PatientComments="tumour"))
    np.testing.assert_array_equal(scan.slices, voxels[np.argsort(order)])
    assert (scan.plane, scan.sequence, scan.raw_subject, scan.notes) == ("axial", "T2", "sub-1", ())
    assert (scan.spacing_mm, scan.slice_spacing_mm) == (pytest.approx(0.9), pytest.approx(5.0))
    np.testing.assert_allclose(scan.positions, (np.arange(8) + 0.5) / 8)
    facts = scan.facts
    assert (facts.echo_time_ms, facts.repetition_time_ms, facts.inversion_time_ms) == (93.0, 4000.0, 2000.0)
    assert (facts.flip_angle_deg, facts.field_strength_t, facts.bits) == (90.0, 3.0, 16)
    assert "sub-1" not in repr(scan)


def test_a_stack_knows_where_it_lies(write: Write) -> None:
    stacks = [{"StackID": "1"} | at(5.0 * z) for z in range(4)] + [
        {"StackID": "2"} | at(60 + 5.0 * z) for z in range(4)
    ]
    first, second = read(write(stacks))
    np.testing.assert_allclose(first.affine @ [0, 0, 0, 1], [20, 20, 0, 1])
    np.testing.assert_allclose(first.affine @ [3, 2, 1, 1], [20 - 0.9, 20 - 1.8, 15, 1])
    np.testing.assert_allclose(second.affine[:3, 3] - first.affine[:3, 3], [0, 0, 60])
    (unscaled,) = read(write([at(5.0 * z) for z in range(8)], {"PixelSpacing": ["1e-30", "1e-30"]}))
    assert (unscaled.spacing_mm, unscaled.affine) == (None, None)
    assert [note.rule for note in unscaled.notes] == ["spacing_missing"]


def test_sides_and_rescale_may_be_shared_by_all_frames(write: Write, voxels: np.ndarray) -> None:
    (scan,) = read(write([at(5.0 * z) for z in range(8)], {"PixelSpacing": [2, 1], "RescaleSlope": 2}))
    assert (scan.slices.shape, scan.slices.dtype, scan.spacing_mm) == ((8, 80, 48), np.float32, 1.0)
    # rows are halved and blended, the outermost are copies
    np.testing.assert_allclose(scan.slices[:, [0, -1]], 2.0 * voxels[:, [0, -1]])


@pytest.mark.parametrize(
    "part",
    [
        {"EffectiveEchoTime": (12.0, 90.0)},
        {"TemporalPositionIndex": (1, 2)},
        {"StackID": ("1", "2")},
        {"DiffusionBValue": (0.0, 1000.0)},
        {"InversionTimes": ([100.0], [2500.0])},
        {"FrameType": (["ORIGINAL", "PRIMARY", "WATER", "NONE"], ["ORIGINAL", "PRIMARY", "FAT", "NONE"])},
        {"PixelSpacing": ([0.9, 0.9], [1.8, 1.8])},
    ],
)
def test_what_differs_in_kind_comes_apart(write: Write, voxels: np.ndarray, part: dict) -> None:
    ((keyword, values),) = part.items()
    scans = read(write([at(5.0 * (i // 2)) | {keyword: values[i % 2]} for i in range(8)]))
    assert len(scans) == 2
    for i, scan in enumerate(scans):
        np.testing.assert_array_equal(scan.slices, voxels[i::2])
        np.testing.assert_allclose(scan.positions, (np.arange(4) + 0.5) / 4)
    if keyword == "EffectiveEchoTime":
        assert [scan.facts.echo_time_ms for scan in scans] == [12.0, 90.0]


def test_orientations_come_apart(write: Write, voxels: np.ndarray) -> None:
    turned = [{"ImagePositionPatient": [5.0 * i, 0, 0], "ImageOrientationPatient": SAGITTAL} for i in range(4)]
    axial, sagittal = read(write([*[at(5.0 * i) for i in range(4)], *turned]))
    np.testing.assert_array_equal(axial.slices, voxels[:4])
    assert (axial.plane, sagittal.plane) == ("axial", "sagittal")
    np.testing.assert_array_equal(sagittal.slices, voxels[7:3:-1])  # DICOM's axis grows to the left, ours to the right


def test_frames_in_one_place_are_told_apart_by_the_objects_own_dimensions(write: Write, voxels: np.ndarray) -> None:
    frames = [at(5.0 * (i // 2)) | {"DimensionIndexValues": [1 + i // 2, 1 + i % 2]} for i in range(8)]
    pointers = []
    for keyword in ("InStackPositionNumber", "NominalCardiacTriggerDelayTime"):
        pointers.append(Dataset())
        pointers[-1].DimensionIndexPointer = tag_for_keyword(keyword)
    first, second = read(write(frames, DimensionIndexSequence=pointers))
    np.testing.assert_array_equal(first.slices, voxels[::2])
    np.testing.assert_array_equal(second.slices, voxels[1::2])
    assert rule_of(write(frames)) == "repeated_position"  # without the dimensions nothing says what they are


def test_phase_and_maps_are_left_out_with_a_note(write: Write, voxels: np.ndarray) -> None:
    kinds = [{"ComplexImageComponent": word} for word in ("MAGNITUDE", "PHASE")]
    (scan,) = read(write([at(5.0 * (i // 2)) | kinds[i % 2] for i in range(8)]))
    np.testing.assert_array_equal(scan.slices, voxels[::2])
    assert [(note.rule, note.detail[:6]) for note in scan.notes] == [("derived_map", "4 of 8")]
    assert rule_of(write([at(z) | kinds[1] for z in range(8)])) == "derived_map"


def test_rescale_is_each_frames_own(write: Write, voxels: np.ndarray) -> None:
    (scan,) = read(write([at(5.0 * z) | {"RescaleSlope": z + 0.5, "RescaleIntercept": -z} for z in range(8)]))
    assert scan.slices.dtype == np.float32
    for z in range(8):
        np.testing.assert_allclose(scan.slices[z], voxels[z] * (z + 0.5) - z, rtol=1e-6)


def test_a_missing_frame_is_noted(write: Write) -> None:
    (scan,) = read(write([at(5.0 * z) for z in (0, 1, 2, 4, 5, 6)]))
    assert scan.notes[0].detail == "1 of 7 slices are missing"


def test_compressed_frames_are_read(write: Write, voxels: np.ndarray) -> None:
    path = write([at(5.0 * z) for z in range(8)])
    data = pydicom.dcmread(path)
    data.compress(JPEG2000Lossless, generate_instance_uid=False)
    data.save_as(path)
    (scan,) = read(path)
    np.testing.assert_array_equal(scan.slices, voxels)
    assert scan.facts.coding == "jpeg_2000"
    frames = list(pydicom.encaps.generate_frames(data.PixelData, number_of_frames=8))
    data.PixelData = encapsulate(frames[:5])
    data.save_as(path)
    assert rule_of(path) == "unreadable"


def test_refusals(write: Write) -> None:
    three = [at(0.0), at(0.0) | {"ImageOrientationPatient": SAGITTAL}, at(0.0) | {"ImageOrientationPatient": CORONAL}]
    assert rule_of(write(three)) == "localiser"
    assert rule_of(write([at(z) for z in range(8)], ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])) == "localiser"
    assert rule_of(write([{"StackID": "1"} for _ in range(4)])) == "frames_unplaced"
    assert rule_of(write([at(z) for z in range(8)], NumberOfFrames=3)) == "frames_unplaced"
    assert rule_of(write([at(z) for z in range(8)], NumberOfFrames=100_000)) == "too_many_pixels"
    assert rule_of(write([at(z) for z in range(8)], PixelData=bytes(100))) == "unreadable"
    sheared = [{"ImagePositionPatient": [0, 2.0 * z, 5.0 * z]} for z in range(8)]
    assert rule_of(write(sheared)) == "gantry_tilt"


def test_mutated_objects_are_read_or_refused(write: Write) -> None:
    path = write([at(5.0 * z) | {"StackID": "1", "InStackPositionNumber": z} for z in range(8)])
    content, rng = path.read_bytes(), np.random.default_rng(0)
    outcomes = set()
    for _ in range(80):
        changed = bytearray(content)
        for at_byte in rng.integers(128, len(content) - 8 * 40 * 48 * 2, int(rng.integers(1, 8))):
            changed[at_byte] = int(rng.integers(256))
        path.write_bytes(changed)
        try:
            header = read_header(path)
            if header.multiframe:
                read_enhanced(header)
            outcomes.add("read")
        except Unreadable as error:
            outcomes.add(error.rule)
    assert {"read", "unreadable"} <= outcomes
