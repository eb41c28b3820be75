"""Writing DICOM: a volume as a classic MR series."""

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, MRImageStorage, generate_uid

# echo, repetition and inversion time in ms, that a written series states and a reader guesses its sequence from
_TIMES: Final = {"T1": (10, 500, None), "T1c": (10, 500, None), "T2": (90, 4000, None), "FLAIR": (120, 9000, 2500)}


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
