"""A synthetic set on disk: one file a slice and the manifest that marks each row as synthetic.

A generator's grey is relative: -1 is the darkest and 1 the brightest of its training images, and no unit of a scanner.
It is stored as PNG, 8 bits, -1 to 0 and 1 to 255; as NIfTI and DICOM, 12 bits as scanners store them, -1 to 0 and 1 to
4095. So image = stored / 127.5 - 1, or stored / 2047.5 - 1, to half a step. Neither pixel spacing nor plane is known.
"""

import gzip
import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import nibabel
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

from data_contracts.manifest import MANIFEST, SYNTHETIC, check_manifest
from data_contracts.violations import require
from pipeline.formats.raster import from_uint8, read_png, to_uint8, write_png
from pipeline.formats.scan import from_display
from pipeline.run_dir import whole, write_table

MANIFEST_NAME = "manifest.parquet"
DEEPEST: Final = 4095  # of 12 bits
MARK: Final = "SYNTHETIC"  # stands in every DICOM file's patient, series, image type and comment
_nib: Any = nibabel  # typed in parts, and not in this one


@dataclass(frozen=True)
class _Facts:
    """What a file says of its image, but the pixels."""

    name: str
    number: int  # in the set, from 1
    generator: str
    diagnosis: str
    sha256: str  # of the stored pixels


def to_uint12(images: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Images of any shape in [-1, 1] to uint16, -1 to 0 and 1 to 4095; values outside are clipped."""
    pixels: NDArray[np.uint16] = np.rint((np.clip(images, -1.0, 1.0) + 1.0) * (DEEPEST / 2)).astype("<u2")
    return pixels


def _write_png(path: Path, pixels: NDArray[Any], _facts: _Facts) -> None:
    write_png(path, pixels)


def _write_nifti(path: Path, pixels: NDArray[Any], _facts: _Facts) -> None:
    """Write one slice as NIfTI-1, laid out as an axial one of 1 mm so that viewers show it upright; it says no unit."""
    image = _nib.Nifti1Image(from_display(pixels[None]), np.eye(4), dtype=pixels.dtype)
    image.header["descrip"] = b"synthetic: made by a generator, no patient; plane and spacing unknown"
    path.write_bytes(gzip.compress(image.to_bytes(), mtime=0))


def _write_dicom(path: Path, pixels: NDArray[Any], facts: _Facts) -> None:
    """Write one slice as a secondary capture (PS3.3 A.8.1): that object needs no geometry and no scanner to be made up.

    Marked by SyntheticData YES (PS3.3 C.12.1), ConversionType SYN (C.8.6.1), ImageType, and MARK in patient, series and
    comment. No dates; identifiers follow from generator, name and pixels.
    """
    data = Dataset()
    data.SOPClassUID, data.SOPInstanceUID = (
        SecondaryCaptureImageStorage,
        _uid(facts.generator, facts.name, facts.sha256),
    )
    data.SyntheticData, data.ConversionType, data.ImageType = "YES", "SYN", ["DERIVED", "SECONDARY", MARK]
    data.PatientID = data.PatientName = f"{MARK}-{facts.generator}"
    data.PatientBirthDate = data.PatientSex = data.PatientOrientation = ""
    data.StudyDate = data.StudyTime = data.StudyID = data.AccessionNumber = data.ReferringPhysicianName = ""
    data.StudyInstanceUID, data.SeriesInstanceUID = _uid(facts.generator, "study"), _uid(facts.generator, "series")
    data.Modality, data.BodyPartExamined = "MR", "HEAD"  # of the scans that it was learned from
    data.StudyDescription, data.SeriesDescription = MARK, f"{MARK} {facts.diagnosis}"
    data.SeriesNumber, data.InstanceNumber = 1, facts.number
    data.ImageComments = f"{MARK}: made by a generator, shows no patient. {facts.name}"
    data.DerivationDescription = "sampled from a generative adversarial network; stored 0 to 4095 for -1 to 1"
    data.SecondaryCaptureDeviceManufacturer, data.BurnedInAnnotation = "augment-mri", "NO"
    data.SamplesPerPixel, data.PhotometricInterpretation, data.PixelRepresentation = 1, "MONOCHROME2", 0
    data.BitsAllocated, data.BitsStored, data.HighBit = 16, 12, 11
    data.WindowCenter, data.WindowWidth = (DEEPEST + 1) // 2, DEEPEST + 1
    data.Rows, data.Columns = pixels.shape
    data.PixelData = pixels.tobytes()
    data.file_meta = FileMetaDataset()
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.save_as(path, enforce_file_format=True)


def _uid(*words: str) -> UID:
    return generate_uid(entropy_srcs=["augment-mri synthetic", *words])


_Store = Callable[[NDArray[np.float32]], NDArray[Any]]
_Write = Callable[[Path, NDArray[Any], _Facts], None]
_FORMATS: Final[dict[str, tuple[str, _Store, _Write]]] = {
    "png": (".png", to_uint8, _write_png),
    "nifti": (".nii.gz", to_uint12, _write_nifti),
    "dicom": (".dcm", to_uint12, _write_dicom),
}


def write_synthetic(
    folder: Path,
    *,
    images: Iterable[NDArray[np.float32]],
    names: Sequence[str],
    generator: str,
    diagnosis: str,
    file_format: str = "png",
) -> None:
    """Write images one by one, then the manifest, last: where it stands, all stand.

    images: float32 (N, 1, S, S) in [-1, 1], or N of (1, S, S) as they come; file_format: png, nifti or dicom. `sha256`
    of the manifest is of the stored pixels. The same call writes the same bytes. Raises ContractError for names that
    are no slice ids or come twice, ValueError for fewer names than images or more, and for another format.
    """
    if file_format not in _FORMATS:
        raise ValueError(f"formats are {', '.join(_FORMATS)}, not {file_format!r}")
    suffix, store, write = _FORMATS[file_format]
    digests, shapes = [], []
    for number, (name, image) in enumerate(zip(names, images, strict=True), start=1):
        pixels = store(image[0])
        digests.append(hashlib.sha256(pixels.tobytes()).hexdigest())
        shapes.append(pixels.shape)
        with whole(folder / f"{name}{suffix}") as part:
            write(part, pixels, _Facts(name, number, generator, diagnosis, digests[-1]))
    manifest = _manifest(names, digests, shapes, generator=generator, diagnosis=diagnosis)
    require(check_manifest(manifest))
    write_table(folder / MANIFEST_NAME, manifest)


def _manifest(
    names: Sequence[str], digests: list[str], shapes: list[tuple[int, ...]], *, generator: str, diagnosis: str
) -> pd.DataFrame:
    unknown = np.full(len(names), np.nan)
    sides = np.array(shapes, dtype=np.int64).reshape(-1, 2)
    rows = {
        "slice_id": list(names),
        "origin": SYNTHETIC,
        "subject": f"generator-{generator}",
        "subject_known": False,
        "group": f"group-{generator}",
        "diagnosis": diagnosis,
        "label_rule": "generator",
        "sequence": "unknown",
        "plane": "unknown",
        "position": unknown,
        "height": sides[:, 0],
        "width": sides[:, 1],
        "spacing_mm": unknown,
        "tumour_pixels": pd.Series([pd.NA] * len(names), dtype="Int64"),
        "sha256": digests,
        "review": "",
    }
    return pd.DataFrame(rows, columns=list(MANIFEST.columns))


def read_synthetic(folder: Path) -> tuple[pd.DataFrame, NDArray[np.float32]]:
    """Manifest and images float32 (N, 1, S, S) in [-1, 1] of a set of PNG files that `write_synthetic` wrote."""
    manifest = pd.read_parquet(folder / MANIFEST_NAME)
    size = (int(manifest["height"].iloc[0]), int(manifest["width"].iloc[0])) if len(manifest) else (0, 0)
    images = np.empty((len(manifest), 1, *size), np.float32)
    for row, name in enumerate(manifest["slice_id"]):
        images[row, 0] = from_uint8(read_png(folder / f"{name}.png"))
    return manifest, images
