"""Classic DICOM MR series: one file a slice. Enhanced multi-frame objects are refused."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.pixels.processing import apply_rescale
from pydicom.pixels.utils import pixel_array
from pydicom.uid import UID, ExplicitVRLittleEndian, MRImageStorage, generate_uid

from pipeline.formats.scan import (
    Scan,
    Unreadable,
    even_positions,
    guess_sequence,
    native_order,
    plane_of_axis,
    quiet,
    square_spacing,
    to_display,
    world_axes,
)

DICOM_MARK: Final = b"DICM"  # bytes 128 to 131, after a preamble that may hold anything
GAP: Final = 1.5  # a step longer than this many median steps means that slices are missing
_MODALITIES: Final = (
    "CR", "CT", "DX", "MG", "NM", "OT", "PT", "RF", "RTDOSE", "RTIMAGE", "RTPLAN", "RTSTRUCT", "SC", "SEG", "SR", "US",
    "XA",
)  # fmt: skip
_HEADER: Final = (
    "SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "PatientID", "Modality", "NumberOfFrames", "Rows", "Columns",
    "SamplesPerPixel", "PixelSpacing", "ImagePositionPatient", "ImageOrientationPatient", "InstanceNumber",
    "ScanningSequence", "EchoTime", "RepetitionTime", "InversionTime", "ContrastBolusAgent", "SeriesDescription",
    "ProtocolName", "ImageType",
)  # fmt: skip
_RAS: Final = np.diag([-1.0, -1.0, 1.0])  # DICOM's axes grow to the left, back and top
# echo, repetition and inversion time in ms, that a written series states and a reader guesses its sequence from
_TIMES: Final = {"T1": (10, 500, None), "T1c": (10, 500, None), "T2": (90, 4000, None), "FLAIR": (120, 9000, 2500)}


@dataclass(frozen=True)
class DicomHeader:
    """What the series assembly needs of one file. Holds identifiers: for memory only, hidden from repr."""

    path: Path = field(repr=False)
    series: tuple[Any, ...] = field(repr=False)  # equal for files of one stack
    instance: str = field(repr=False)
    raw_subject: str | None = field(repr=False)
    number: int
    sequence: str
    spacing: tuple[float, float] | None  # (rows, columns) in mm
    position: NDArray[np.float64] | None  # (3,) mm, centre of the first pixel, in RAS
    axes: NDArray[np.float64] | None  # (2, 3) unit vectors in RAS: along a row, down a column


def is_dicom(head: bytes) -> bool:
    """Whether a file that starts with `head` (at least 132 bytes) is DICOM, with its preamble or without.

    Without: its first element must be of group 0002 or 0008 with a low element number, in either byte order.
    """
    if head[128:132] == DICOM_MARK:
        return True
    return (head[:2] in (b"\x02\0", b"\x08\0") and head[3:4] == b"\0") or head[:3] in (b"\0\x02\0", b"\0\x08\0")


def read_header(path: Path) -> DicomHeader:
    """Read one file's header without its pixels.

    Raises Unreadable: `unreadable`, `wrong_modality`, `multiframe_unsupported`, `no_pixels`, `not_grey`.
    """
    try:
        with quiet():
            data = pydicom.dcmread(path, force=True, stop_before_pixels=True, specific_tags=list(_HEADER))
            facts = {name: data.get(name) for name in _HEADER}
            _refuse_unless_single_mr(facts)
            return _header(path, facts)
    except Unreadable:
        raise
    # pydicom raises many kinds of error on broken headers, and their texts quote them
    except Exception:
        raise Unreadable("unreadable", "the DICOM header is broken or cut short") from None


def _refuse_unless_single_mr(facts: dict[str, Any]) -> None:
    modality = str(facts["Modality"] or "")
    if facts["SOPClassUID"] is None and not modality:
        raise Unreadable("unreadable", "a DICOM file that names neither its kind nor its modality")
    if modality != "MR":
        # only a word of the standard is repeated: anything else might be free text
        raise Unreadable("wrong_modality", f"{modality if modality in _MODALITIES else 'not stated'}, want MR")
    if not facts["Rows"] or not facts["Columns"] or "Spectroscopy" in UID(str(facts["SOPClassUID"] or "")).name:
        raise Unreadable("no_pixels", "an MR object that holds no image")
    frames = int(facts["NumberOfFrames"] or 1)
    if frames > 1 or "Enhanced" in UID(str(facts["SOPClassUID"] or "")).name:
        raise Unreadable("multiframe_unsupported", f"{frames} frames in one file; export it as one file a slice")
    if int(facts["SamplesPerPixel"] or 1) != 1:
        raise Unreadable("not_grey", f"{facts['SamplesPerPixel']} colour channels, want 1")


def _header(path: Path, facts: dict[str, Any]) -> DicomHeader:
    axes = _vectors(facts["ImageOrientationPatient"], 2)
    position = _vectors(facts["ImagePositionPatient"], 1)
    spacing = [float(side) for side in facts["PixelSpacing"] or ()]
    placed = axes is not None and position is not None
    subject = str(facts["PatientID"] or "").strip()
    series = str(facts["SeriesInstanceUID"] or path.parent)
    shape = (int(facts["Rows"]), int(facts["Columns"]))
    # localisers mix planes, and dual-echo scans mix contrasts, under one series number
    tilt = tuple(np.round(axes, 2).ravel().tolist()) if axes is not None else ()
    return DicomHeader(
        path=path,
        series=(subject, series, shape, tilt, str(facts["EchoTime"] or "")),
        instance=str(facts["SOPInstanceUID"] or path),
        raw_subject=subject or None,
        number=int(facts["InstanceNumber"] or 0),
        sequence=_sequence(facts),
        spacing=(spacing[0], spacing[1]) if len(spacing) == 2 and min(spacing) > 0 else None,
        position=position[0] if position is not None and placed else None,
        axes=axes if placed else None,
    )


def _vectors(values: Any, n: int) -> NDArray[np.float64] | None:
    """n vectors (n, 3) in RAS from a multi-valued element; None where it is missing or not numbers."""
    if values is None or len(values) != 3 * n:
        return None
    vectors: NDArray[np.float64] = np.array([float(value) for value in values]).reshape(n, 3) @ _RAS
    return vectors if np.isfinite(vectors).all() else None


def _sequence(facts: dict[str, Any]) -> str:
    """Weighting from the description, else from the timing in ms; contrast agent turns T1 into T1c."""
    told = guess_sequence(*(str(facts[name] or "") for name in ("SeriesDescription", "ProtocolName", "ImageType")))
    if told == "unknown":
        echo, repetition, inversion = (float(facts[n] or 0) for n in ("EchoTime", "RepetitionTime", "InversionTime"))
        if echo > 70 and repetition > 4000 and inversion > 1500:
            told = "FLAIR"
        elif echo > 70 and repetition > 1500:
            told = "T2"
        elif 0 < echo < 30 and 0 < repetition < 1000:
            told = "T1"
    return "T1c" if told == "T1" and str(facts["ContrastBolusAgent"] or "").strip() else told


def order_series(headers: Sequence[DicomHeader]) -> tuple[list[DicomHeader], list[DicomHeader]]:
    """Headers of one stack in the slice order of `Scan`, and those left over.

    Sorted along the normal, by instance number where positions are missing. A second file in the same place (a copy,
    a later time point of a dynamic series) is left over: a scan has one slice a place, the one of lowest number.
    """
    numbered = sorted(headers, key=lambda header: header.number)
    placed = all(header.position is not None for header in numbered)
    if placed:
        depths = _depths(numbered)
        order = np.argsort(depths.round(2), kind="stable")  # a hundredth of a millimetre is one place
        numbered, places = [numbered[i] for i in order], [float(depths[i].round(2)) for i in order]
    kept: list[DicomHeader] = []
    left_over: list[DicomHeader] = []
    seen: set[float | str] = set()
    for i, header in enumerate(numbered):
        place = places[i] if placed else header.instance
        (left_over if place in seen else kept).append(header)
        seen.add(place)
    return kept, left_over


def _normal(axes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Unit normal (3,) that points along the world axis it is nearest to."""
    normal = np.cross(axes[0], axes[1])
    upward: NDArray[np.float64] = normal * np.sign(normal[np.abs(normal).argmax()]) / np.linalg.norm(normal)
    return upward


def _depths(headers: Sequence[DicomHeader]) -> NDArray[np.float64]:
    axes = headers[0].axes
    normal = _normal(axes if axes is not None else np.eye(3)[:2])
    return np.array([float(header.position @ normal) for header in headers if header.position is not None])


def positions_of(depths: NDArray[np.float64]) -> tuple[NDArray[np.float64] | None, float | None]:
    """Relative positions in the whole scan, and its slice spacing in mm, from ascending depths (Z,) in mm.

    Where a step is longer than GAP medians, the missing slices are counted in. None and None for a single slice.
    """
    if len(depths) < 2:
        return None, None
    steps = np.diff(depths)
    spacing = float(np.median(steps))
    if steps.max() <= GAP * spacing:
        return even_positions(len(depths)), spacing
    index = np.rint((depths - depths[0]) / spacing)
    return (index + 0.5) / (index[-1] + 1), spacing


def read_pixels(header: DicomHeader) -> NDArray[Any]:
    """Pixels (H, W) of one file, as stored on disk, MONOCHROME1 turned bright on dark, rescaled where it asks for it.

    Raises Unreadable `unreadable` where they are cut short or their coding has no decoder here.
    """
    try:
        with quiet():
            data = pydicom.dcmread(header.path, force=True)
            _complete(data)
            pixels = pixel_array(data)
            if data.get("PhotometricInterpretation") == "MONOCHROME1":
                top = (1 << int(data.BitsStored)) - 1
                pixels = ((-1 if data.PixelRepresentation else top) - pixels.astype(np.int64)).astype(pixels.dtype)
            slope, intercept = float(data.get("RescaleSlope", 1) or 1), float(data.get("RescaleIntercept", 0) or 0)
            plain = (slope, intercept) == (1.0, 0.0) and "ModalityLUTSequence" not in data
            pixels = pixels if plain else apply_rescale(pixels, data).astype(np.float32)
    # decoders and pydicom raise many kinds of error on broken pixels, and their texts quote the header
    except Exception:
        raise Unreadable("unreadable", "the pixels are cut short, or coded as no decoder here reads") from None
    if pixels.ndim != 2:
        raise Unreadable("unreadable", f"pixels of shape {pixels.shape}, want (H, W)")
    return native_order(pixels)


def _complete(data: FileDataset) -> None:
    """A file from an old exporter may lack its meta header: say how pydicom has read it, which is how it is coded."""
    if "TransferSyntaxUID" not in data.file_meta:
        implicit, little = data.original_encoding
        names = {(True, True): "1.2.840.10008.1.2", (False, True): "1.2.840.10008.1.2.1"}
        data.file_meta.TransferSyntaxUID = UID(names.get((bool(implicit), bool(little)), "1.2.840.10008.1.2.2"))


def assemble(headers: Sequence[DicomHeader], pixels: Sequence[NDArray[Any]]) -> Scan:
    """Stack sorted slices of one series into a Scan; `headers` and `pixels` as `order_series` keeps them.

    Raises Unreadable `pixels_not_square` or `orientation`.
    """
    first = headers[0]
    stack = np.stack(pixels)
    spacing_mm = square_spacing(*first.spacing) if first.spacing else None
    scan = Scan(slices=stack, sequence=first.sequence, spacing_mm=spacing_mm, raw_subject=first.raw_subject)
    if first.axes is None or any(header.position is None for header in headers):
        return scan
    affine = np.eye(4)
    # voxel axes: along a row, down a column, through the stack (already ascending)
    affine[:3, :3] = np.stack([*first.axes, _normal(first.axes)], axis=1)
    plane = plane_of_axis(world_axes(affine)[2])
    positions, slice_spacing_mm = positions_of(_depths(headers))
    slices = to_display(stack.transpose(2, 1, 0), affine, plane)
    return replace(scan, slices=slices, plane=plane, positions=positions, slice_spacing_mm=slice_spacing_mm)


def read_series(paths: Sequence[Path]) -> Scan:
    """Read the files of one classic MR series, in any order; raises Unreadable at the first that cannot be used."""
    headers = [read_header(path) for path in paths]
    if not headers or len({header.series for header in headers}) != 1:
        raise Unreadable("several_series", "the files are not of one series")
    ordered, left_over = order_series(headers)
    if left_over:
        raise Unreadable("repeated_position", f"{len(left_over)} files lie in the place of another")
    return assemble(ordered, [read_pixels(header) for header in ordered])


def write_series(
    folder: Path,
    voxels: NDArray[np.uint16],
    *,
    spacing: tuple[float, float, float],
    subject_id: str,
    sequence: str,
    uid_seed: int,
) -> list[Path]:
    """Write an axial volume as a classic MR series, one explicit little-endian file a slice, and return their paths.

    voxels: uint16 (Z, H, W) in the orientation of `Scan`; spacing: (z, y, x) in mm; sequence: one of SEQUENCES.
    Unique identifiers follow from `uid_seed` and there are no dates: the same call writes the same bytes.
    """
    if voxels.dtype != np.uint16 or voxels.ndim != 3:
        raise ValueError(f"want uint16 (Z, H, W), got {voxels.dtype} {voxels.shape}")
    folder.mkdir(parents=True, exist_ok=True)
    origin = [-(n - 1) / 2 * mm for n, mm in zip(voxels.shape, spacing, strict=True)]
    paths = []
    for z, pixels in enumerate(voxels):
        data = _series_facts(spacing=spacing, subject_id=subject_id, sequence=sequence, uid_seed=uid_seed)
        data.SOPInstanceUID = _uid(uid_seed, f"instance {z}")
        data.InstanceNumber = z + 1
        data.ImagePositionPatient = [f"{mm:.6g}" for mm in (origin[2], origin[1], origin[0] + z * spacing[0])]
        data.Rows, data.Columns = pixels.shape
        data.PixelData = pixels.astype("<u2").tobytes()
        data.file_meta = FileMetaDataset()
        data.file_meta.MediaStorageSOPClassUID = MRImageStorage
        data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
        data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        paths.append(folder / f"IM-{z + 1:04d}.dcm")
        data.save_as(paths[-1], enforce_file_format=True)
    return paths


def _uid(seed: int, what: str) -> UID:
    return generate_uid(entropy_srcs=["augment-mri", str(seed), what])


def _series_facts(*, spacing: tuple[float, float, float], subject_id: str, sequence: str, uid_seed: int) -> Dataset:
    """The elements that all slices share: patient, study, frame of reference, equipment, MR and pixel modules."""
    data = Dataset()
    data.SOPClassUID, data.Modality = MRImageStorage, "MR"
    data.PatientID = data.PatientName = subject_id
    data.PatientBirthDate = data.PatientSex = ""
    data.StudyDate = data.StudyTime = data.StudyID = data.AccessionNumber = data.ReferringPhysicianName = ""
    data.StudyInstanceUID, data.SeriesInstanceUID = _uid(uid_seed, "study"), _uid(uid_seed, "series")
    data.FrameOfReferenceUID, data.PositionReferenceIndicator = _uid(uid_seed, "frame"), ""
    data.SeriesNumber, data.PatientPosition, data.Manufacturer = 1, "HFS", ""
    data.SeriesDescription = data.ProtocolName = "" if sequence == "unknown" else sequence
    data.BodyPartExamined, data.ImageType = "HEAD", ["DERIVED", "SECONDARY", "OTHER"]
    data.ScanningSequence, data.SequenceVariant = ("IR" if sequence == "FLAIR" else "SE"), "NONE"
    data.ScanOptions, data.MRAcquisitionType, data.EchoTrainLength = "", "2D", 1
    echo, repetition, inversion = _TIMES.get(sequence, ("", "", None))
    data.EchoTime, data.RepetitionTime = echo, repetition
    if inversion is not None:
        data.InversionTime = inversion
    if sequence == "T1c":
        data.ContrastBolusAgent = "GADOLINIUM"
    data.SliceThickness, data.SpacingBetweenSlices = f"{spacing[0]:.6g}", f"{spacing[0]:.6g}"
    data.PixelSpacing = [f"{spacing[1]:.6g}", f"{spacing[2]:.6g}"]
    data.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]  # rows run to the patient's left, columns to the back
    data.SamplesPerPixel, data.PhotometricInterpretation, data.PixelRepresentation = 1, "MONOCHROME2", 0
    data.BitsAllocated, data.BitsStored, data.HighBit = 16, 16, 15
    return data
