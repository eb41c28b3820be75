"""A synthetic set on disk: one file a slice and the manifest that marks each row as synthetic.

A generator's grey is relative: -1 is the darkest and 1 the brightest of its training images, and no unit of a scanner.
It is stored as PNG, 8 bits, -1 to 0 and 1 to 255; as NIfTI and DICOM, 12 bits as scanners store them, -1 to 0 and 1 to
4095. So image = stored / 127.5 - 1, or stored / 2047.5 - 1, to half a step. Neither pixel spacing nor plane is known.

A painted set has more: beside each image its lesion as a label, NAME_mask, in the same format (PNG 0 and 255; NIfTI 0
and 1; DICOM a Segmentation object that refers to the image); which region was painted, of every slice, in painted.npy;
and from what, in painted.parquet. In slices without a tumour the painted region is healthy tissue, so their label is
empty: whoever reads the folder as scans with masks gets the right diagnosis of every slice. Around that region it shows
the anatomy of its source, so no file of a painted set says that it shows nobody, and each image says in its header
that it shows somebody; who copies the folder reads so in CONTAINS-PATIENT-ANATOMY.txt. Unless the slices that were
painted on are synthetic themselves: then nobody is shown by design, files say what they are, and there is no notice.
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
from pydicom.pixels.utils import pack_bits
from pydicom.sequence import Sequence as DicomSequence
from pydicom.tag import Tag
from pydicom.uid import UID, ExplicitVRLittleEndian, SecondaryCaptureImageStorage, SegmentationStorage, generate_uid

from data_contracts.manifest import MANIFEST, REAL, SYNTHETIC, TUMOUR, check_manifest
from data_contracts.violations import require
from pipeline.formats.raster import from_uint8, read_png, to_uint8, write_png
from pipeline.formats.scan import from_display
from pipeline.run_dir import whole, write_array, write_table

MANIFEST_NAME = "manifest.parquet"
PAINTED_NAME: Final = "painted.parquet"
REGIONS_NAME: Final = "painted.npy"
NOTICE_NAME: Final = "CONTAINS-PATIENT-ANATOMY.txt"
NOTICE: Final = """\
This folder holds a painted set: real scans in which a region was changed, by a generator or by copy and paste.
Only that region is synthetic, painted.npy says which it is; all around it is the anatomy of a real patient.
A lesion that was laid in may itself be that of another patient, its shape or its pixels.
Treat these files as patient data: do not share or publish them where their source scans may not go.
"""
IN_PART: Final = "synthetic in part: painted over an image whose anatomy it shows"
ON_SYNTHETIC: Final = "synthetic: a generated image, a part of it painted anew; no patient by design"
PROVENANCE: Final = ("source", "lesion", "seed")  # columns of what is known of a painted slice
_NO_DATE: Final = ("19000101", "000000")  # where the standard insists on one: the same set gives the same bytes
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
    # origin of the image that it was painted over, "" of one that was not: over a real one it shows that one's anatomy,
    # and no file may say that it shows nobody's
    painted_on: str = ""


def to_uint12(images: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Images of any shape in [-1, 1] to uint16, -1 to 0 and 1 to 4095; values outside are clipped."""
    pixels: NDArray[np.uint16] = np.rint((np.clip(images, -1.0, 1.0) + 1.0) * (DEEPEST / 2)).astype("<u2")
    return pixels


def _write_png(path: Path, pixels: NDArray[Any], facts: _Facts) -> None:
    write_png(path, pixels, warning=f"{IN_PART}; treat as patient data" if facts.painted_on == REAL else "")


def _write_nifti(path: Path, pixels: NDArray[Any], facts: _Facts) -> None:
    """Write one slice as NIfTI-1, laid out as an axial one of 1 mm so that viewers show it upright; it says no unit."""
    image = _nib.Nifti1Image(from_display(pixels[None]), np.eye(4), dtype=pixels.dtype)
    said = {REAL: IN_PART, SYNTHETIC: ON_SYNTHETIC}
    of_generator = "synthetic: made by a generator, no patient; plane and spacing unknown"
    image.header["descrip"] = said.get(facts.painted_on, of_generator).encode()
    path.write_bytes(gzip.compress(image.to_bytes(), mtime=0))


def _write_dicom(path: Path, pixels: NDArray[Any], facts: _Facts) -> None:
    """Write one slice as a secondary capture (PS3.3 A.8.1): that object needs no geometry and no scanner to be made up.

    Marked by SyntheticData YES (PS3.3 C.12.1), ConversionType SYN (C.8.6.1), ImageType, and MARK in patient, series and
    comment. No dates; identifiers follow from generator, name and pixels.
    """
    data = _without_patient(facts, SecondaryCaptureImageStorage, _image_uid(facts), series="series")
    data.ConversionType, data.ImageType = "SYN", ["DERIVED", "SECONDARY", MARK]
    data.PatientOrientation = ""
    data.Modality, data.BodyPartExamined = "MR", "HEAD"  # of the scans that it was learned from
    data.SeriesDescription = f"{_mark(facts)} {facts.diagnosis}"
    data.SeriesNumber, data.InstanceNumber = 1, facts.number
    if facts.painted_on:
        said = IN_PART if facts.painted_on == REAL else ON_SYNTHETIC
        data.ImageComments = f"{said.replace('synthetic', MARK)}. {facts.name}"
        data.DerivationDescription = "painted over a part of another image; stored 0 to 4095 for -1 to 1"
    else:
        data.ImageComments = f"{MARK}: made by a generator, shows no patient. {facts.name}"
        data.DerivationDescription = "sampled from a generative adversarial network; stored 0 to 4095 for -1 to 1"
    data.SecondaryCaptureDeviceManufacturer, data.BurnedInAnnotation = "augment-mri", "NO"
    data.WindowCenter, data.WindowWidth = (DEEPEST + 1) // 2, DEEPEST + 1
    _save(path, data, pixels.tobytes(), shape=pixels.shape, bits=(16, 12))


def _write_png_mask(path: Path, mask: NDArray[np.uint8], _facts: _Facts) -> None:
    write_png(path, mask * np.uint8(255))


def _write_nifti_mask(path: Path, mask: NDArray[np.uint8], _facts: _Facts) -> None:
    image = _nib.Nifti1Image(from_display(mask[None]), np.eye(4), dtype=np.uint8)
    image.header["descrip"] = b"synthetic: the lesion of the image beside it"
    path.write_bytes(gzip.compress(image.to_bytes(), mtime=0))


def _write_dicom_mask(path: Path, mask: NDArray[np.uint8], facts: _Facts) -> None:
    """Write a lesion as a Segmentation (PS3.3 A.51) of one frame and one segment, in a series of its own.

    It lies where its image lies because it is derived from it: where the Derivation Image macro is present the object
    needs neither a frame of reference nor a spacing (PS3.3 A.51.5.1), and none is known.
    """
    data = _without_patient(
        facts, SegmentationStorage, _uid(facts.generator, facts.name, facts.sha256, "mask"), series="masks"
    )
    data.Modality, data.ImageType = "SEG", ["DERIVED", "PRIMARY"]
    data.SeriesDescription = f"{MARK} lesions"
    data.SeriesNumber, data.InstanceNumber = 2, facts.number
    data.Manufacturer = data.ManufacturerModelName = data.SoftwareVersions = "augment-mri"
    data.DeviceSerialNumber = "none"
    data.ContentDate, data.ContentTime = _NO_DATE
    data.ContentLabel, data.ContentDescription, data.ContentCreatorName = "LESION", f"{MARK} lesion", ""
    data.SegmentationType, data.LossyImageCompression, data.NumberOfFrames = "BINARY", "00", 1
    data.SegmentSequence = _item(
        SegmentNumber=1,
        SegmentLabel="lesion",
        SegmentAlgorithmType="AUTOMATIC",
        SegmentAlgorithmName="augment-mri",
        SegmentedPropertyCategoryCodeSequence=_code("49755003", "SCT", "Morphologically Abnormal Structure"),
        SegmentedPropertyTypeCodeSequence=_code("52988006", "SCT", "Lesion"),
    )
    image = {"ReferencedSOPClassUID": SecondaryCaptureImageStorage, "ReferencedSOPInstanceUID": _image_uid(facts)}
    series = _uid(facts.generator, "series")
    data.ReferencedSeriesSequence = _item(SeriesInstanceUID=series, ReferencedInstanceSequence=_item(**image))
    dimensions = _uid(facts.generator, "dimensions")
    data.DimensionOrganizationSequence = _item(DimensionOrganizationUID=dimensions)
    data.DimensionIndexSequence = _item(
        DimensionOrganizationUID=dimensions,
        DimensionIndexPointer=Tag("ReferencedSegmentNumber"),
        FunctionalGroupPointer=Tag("SegmentIdentificationSequence"),
    )
    purpose = _code("121322", "DCM", "Source image for image processing operation")
    data.SharedFunctionalGroupsSequence = _item(
        SegmentIdentificationSequence=_item(ReferencedSegmentNumber=1),
        DerivationImageSequence=_item(
            DerivationCodeSequence=_code("113076", "DCM", "Segmentation"),
            SourceImageSequence=_item(**image, PurposeOfReferenceCodeSequence=purpose, SpatialLocationsPreserved="YES"),
        ),
    )
    data.PerFrameFunctionalGroupsSequence = _item(FrameContentSequence=_item(DimensionIndexValues=[1]))
    _save(path, data, pack_bits(mask), shape=mask.shape, bits=(1, 1))


def _without_patient(facts: _Facts, kind: UID, uid: UID, *, series: str) -> Dataset:
    """What all objects of a set say of patient and study: no name, no day."""
    data = Dataset()
    data.SOPClassUID, data.SOPInstanceUID, data.SyntheticData = kind, uid, "YES"
    data.PatientID = data.PatientName = f"{MARK}-{facts.generator}"
    data.PatientBirthDate = data.PatientSex = ""
    data.StudyDate = data.StudyTime = data.StudyID = data.AccessionNumber = data.ReferringPhysicianName = ""
    data.StudyDescription = _mark(facts)
    data.StudyInstanceUID, data.SeriesInstanceUID = _uid(facts.generator, "study"), _uid(facts.generator, series)
    return data


def _mark(facts: _Facts) -> str:
    return f"{MARK} in part" if facts.painted_on == REAL else MARK


def _save(path: Path, data: Dataset, pixels: bytes, *, shape: tuple[int, ...], bits: tuple[int, int]) -> None:
    """Write an object with its grey pixels; bits: allocated and stored."""
    data.SamplesPerPixel, data.PhotometricInterpretation, data.PixelRepresentation = 1, "MONOCHROME2", 0
    data.BitsAllocated, data.BitsStored, data.HighBit = *bits, bits[1] - 1
    data.Rows, data.Columns = shape
    data.PixelData = pixels
    data.file_meta = FileMetaDataset()
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.save_as(path, enforce_file_format=True)


def _item(**elements: object) -> DicomSequence:
    """A sequence of one item with these elements."""
    item = Dataset()
    for keyword, value in elements.items():
        setattr(item, keyword, value)
    return DicomSequence([item])


def _code(value: str, scheme: str, meaning: str) -> DicomSequence:
    return _item(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)


def _image_uid(facts: _Facts) -> UID:
    return _uid(facts.generator, facts.name, facts.sha256)


def _uid(*words: str) -> UID:
    return generate_uid(entropy_srcs=["augment-mri synthetic", *words])


_Store = Callable[[NDArray[np.float32]], NDArray[Any]]
_Write = Callable[[Path, NDArray[Any], _Facts], None]
_FORMATS: Final[dict[str, tuple[str, _Store, _Write, _Write]]] = {
    "png": (".png", to_uint8, _write_png, _write_png_mask),
    "nifti": (".nii.gz", to_uint12, _write_nifti, _write_nifti_mask),
    "dicom": (".dcm", to_uint12, _write_dicom, _write_dicom_mask),
}


def write_synthetic(
    folder: Path,
    *,
    images: Iterable[NDArray[np.float32]],
    names: Sequence[str],
    generator: str,
    diagnosis: str,
    file_format: str = "png",
    masks: NDArray[np.generic] | None = None,
    provenance: pd.DataFrame | None = None,
    painted_on: str = REAL,
    positions: NDArray[np.float64] | None = None,
) -> None:
    """Write images one by one, then the manifest, last: where it stands, all stand.

    images: float32 (N, 1, S, S) in [-1, 1], or N of (1, S, S) as they come; file_format: png, nifti or dicom. `sha256`
    of the manifest is of the stored pixels. Of a painted set, both or neither: masks (N, S, S), not 0 where a slice was
    painted, and provenance, N rows in the same order with the columns of PROVENANCE: slice_id of the slice that was
    painted on, slice_id of the lesion's shape ("" where there is none), seed. painted_on: whether those slices are
    real, as of every set of which nothing else is known, or synthetic. Then `tumour_pixels` of the manifest is the area
    of the label, and over real slices NOTICE is written first. positions (N,): heights in the scan that the images are
    taken to be of, in [0, 1], NaN where unknown; None: all are. The same call writes the same bytes. Raises
    ContractError for names that are no slice ids or come twice, ValueError for fewer names than images or more, as many
    masks and rows, for another format, and where what was painted on is neither real nor synthetic.
    """
    if file_format not in _FORMATS:
        raise ValueError(f"formats are {', '.join(_FORMATS)}, not {file_format!r}")
    regions = _regions(masks, provenance, len(names))
    labels = None if regions is None else regions * np.uint8(diagnosis == TUMOUR)
    suffix, store, write, write_mask = _FORMATS[file_format]
    if painted_on not in (REAL, SYNTHETIC):
        raise ValueError(f"slices to paint on are {REAL} or {SYNTHETIC}, not {painted_on!r}")
    if regions is not None and painted_on == REAL:
        with whole(folder / NOTICE_NAME) as part:
            part.write_text(NOTICE, encoding="utf-8")
    digests, shapes = [], []
    for number, (name, image) in enumerate(zip(names, images, strict=True), start=1):
        pixels = store(image[0])
        digests.append(hashlib.sha256(pixels.tobytes()).hexdigest())
        shapes.append(pixels.shape)
        facts = _Facts(name, number, generator, diagnosis, digests[-1], painted_on if regions is not None else "")
        with whole(folder / f"{name}{suffix}") as part:
            write(part, pixels, facts)
        if labels is not None:
            if labels.shape[1:] != pixels.shape:
                raise ValueError(f"masks of {labels.shape[1:]} pixels, images of {pixels.shape}")
            with whole(folder / f"{name}_mask{suffix}") as part:
                write_mask(part, labels[number - 1], facts)
    areas = None if labels is None else [int(label.sum()) for label in labels]
    manifest = _manifest(names, digests, shapes, areas, generator=generator, diagnosis=diagnosis)
    if positions is not None:
        manifest["position"] = positions
    require(check_manifest(manifest))
    if regions is not None and provenance is not None:
        write_array(folder / REGIONS_NAME, regions)
        write_table(folder / PAINTED_NAME, _painted(names, regions, provenance))
    write_table(folder / MANIFEST_NAME, manifest)


def _regions(masks: NDArray[np.generic] | None, provenance: pd.DataFrame | None, n: int) -> NDArray[np.uint8] | None:
    """Masks as uint8 (n, S, S) in {0, 1}, None where there are none; ValueError where they and their rows differ."""
    if masks is None and provenance is None:
        return None
    if masks is None or provenance is None:
        raise ValueError("a painted set has masks and provenance, or neither")
    if masks.ndim != 3 or len(masks) != n or len(provenance) != n:
        raise ValueError(f"{n} names, masks {masks.shape}, {len(provenance)} rows of provenance")
    return np.asarray(masks != 0, dtype=np.uint8)


def _painted(names: Sequence[str], regions: NDArray[np.uint8], provenance: pd.DataFrame) -> pd.DataFrame:
    rows = {
        "slice_id": list(names),
        "source": provenance["source"].astype(str).tolist(),
        "lesion": provenance["lesion"].astype(str).tolist(),
        "seed": provenance["seed"].astype("int64").tolist(),
        "mask_sha256": [hashlib.sha256(region.tobytes()).hexdigest() for region in regions],
    }
    return pd.DataFrame(rows, columns=["slice_id", *PROVENANCE, "mask_sha256"])


def _manifest(
    names: Sequence[str],
    digests: list[str],
    shapes: list[tuple[int, ...]],
    areas: list[int] | None,
    *,
    generator: str,
    diagnosis: str,
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
        "tumour_pixels": pd.Series([pd.NA] * len(names) if areas is None else areas, dtype="Int64"),
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


def read_painted(folder: Path) -> tuple[pd.DataFrame, NDArray[np.uint8]]:
    """Of a painted set: a row a slice (slice_id, source, lesion, seed, mask_sha256) and what was painted, (N, S, S).

    uint8, 1 in the painted region, of slices without a tumour too, whatever the format of the images. Raises
    FileNotFoundError where the set is not a painted one, ValueError where a region is not the one that was written.
    """
    table, regions = pd.read_parquet(folder / PAINTED_NAME), np.load(folder / REGIONS_NAME)
    found = [hashlib.sha256(region.tobytes()).hexdigest() for region in regions]
    if found != table["mask_sha256"].tolist():
        raise ValueError(f"{REGIONS_NAME} is not what {PAINTED_NAME} tells of")
    return table, regions
