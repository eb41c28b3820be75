"""DICOM without the patient: the Basic Application Level Confidentiality Profile (PS3.15, Annex E) as an allow-list.

Nothing is copied. Numbers are read, held against bounds and written anew, words are looked up, pixels are decoded and
coded again: a name in the bytes of a number, in an unused bit or in a comment of a JPEG stream has no way through.
"""

import re
from datetime import date
from pathlib import Path
from typing import Any, Final
from uuid import NAMESPACE_OID, uuid5

from numpy.typing import NDArray
from pydicom.datadict import dictionary_VR, keyword_for_tag, tag_for_keyword
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.uid import UID, ExplicitVRLittleEndian

from pipeline.formats.dicom_pixels import decode, open_dicom
from pipeline.formats.scan import Unreadable, guess_sequence, quiet
from pipeline.run_dir import whole
from pipeline.scans.deidentify import Pseudonyms
from pipeline.scans.dicom_profile import (
    ALLOWED,
    CLASSES,
    DATES,
    DEEPEST,
    EMPTY,
    IDENTITY,
    MANUFACTURERS,
    NUMBERS,
    SEQUENCES,
    STORAGE,
    TERMS,
    TINY,
    UIDS,
)

METHOD: Final = "augment-mri: PS3.15 Annex E Basic Profile as an allow-list"
IMPLEMENTATION: Final = UID(f"2.25.{uuid5(NAMESPACE_OID, 'augment-mri').int}")


def deidentify(data: Dataset, *, pseudonyms: Pseudonyms) -> Dataset:
    """A new MR image that holds of `data` only what is known to be safe; `data` is left as it is.

    data: single-frame or multi-frame MR in any transfer syntax with a decoder, `file_meta` included. The result is
    explicit little endian with stored pixel values as they were (bits above BitsStored cleared), patient and unique
    identifiers replaced, dates moved into the past by 1 to 3650 days, times of day left out. It says so itself
    (PatientIdentityRemoved, method codes 113100 and 113107). The patient's new name follows from PatientID, else from
    the study. PS3.15, Annex E, tables E.1-1 and E.3-1.

    Raises Unreadable: `wrong_modality`, `burned_in_annotation` (the pixels show a name or a face, as the header says),
    `no_pixels`, `not_grey`, `too_many_pixels`, `unreadable`.
    """
    try:
        with quiet():
            _refuse(data)
            subject = str(_value(data, "PatientID") or "").strip() or f"study {_value(data, 'StudyInstanceUID')}"
            pixels = _decode(data)
            safe = _rebuild(data, pseudonyms=pseudonyms, subject=subject)
            _state_identity(safe, data, name=pseudonyms.subject(subject))
            _put_pixels(safe, pixels, bits_stored=int(data.BitsStored))
            return safe
    except Unreadable:
        raise
    # pydicom and the decoders raise many kinds of error on broken files, and their texts quote them
    except Exception:
        raise Unreadable("unreadable", "header or pixels are broken, or coded as no decoder here reads") from None


def write_deidentified(path_in: Path, path_out: Path, pseudonyms: Pseudonyms) -> None:
    """Read one DICOM file and write it as `deidentify` leaves it, whole or not at all.

    The preamble is zero and the file meta information is made anew. Raises Unreadable as `deidentify` does, and
    `too_large_inflated`.
    """
    try:
        with quiet():
            data = open_dicom(path_in)
    except Unreadable:
        raise
    except Exception:  # as above
        raise Unreadable("unreadable", "the DICOM header is broken or cut short") from None
    safe = deidentify(data, pseudonyms=pseudonyms)
    with whole(path_out) as part:
        safe.save_as(part, enforce_file_format=True)


def _value(data: Dataset, keyword: str) -> Any:
    """Value of an element; None where it is missing, empty or not to be understood."""
    try:
        value = data[keyword].value if keyword in data else None
    except Exception:  # pydicom's converters raise many kinds of error, and their texts quote the value
        return None
    return None if value is None or value == "" else value


def _values(data: Dataset, keyword: str) -> list[Any]:
    value = _value(data, keyword)
    return [] if value is None else list(value) if isinstance(value, (MultiValue, list, tuple)) else [value]


def _refuse(data: Dataset) -> None:
    if _value(data, "SOPClassUID") not in CLASSES:
        raise Unreadable("wrong_modality", "neither a classic nor an enhanced MR image")
    for keyword in ("BurnedInAnnotation", "RecognizableVisualFeatures"):
        if "YES" in (str(value).strip().upper() for value in _values(data, keyword)):
            raise Unreadable("burned_in_annotation", "the header says that the pixels themselves identify")
    if "PixelData" not in data:
        raise Unreadable("no_pixels", "an MR object that holds no image")
    if int(data.get("SamplesPerPixel", 1)) != 1 or not _terms(data, "PhotometricInterpretation"):
        raise Unreadable("not_grey", "a coloured image")
    if "ModalityLUTSequence" in data:
        raise Unreadable("unreadable", "grey values by a table, which would be lost")
    if any(not str(_value(data, keyword) or "").strip(" \0") for keyword in IDENTITY):
        raise Unreadable("unreadable", "the header does not name its study, series and instance")


def _rebuild(data: Dataset, *, pseudonyms: Pseudonyms, subject: str, depth: int = 0) -> Dataset:
    """The allowed elements of a dataset or sequence item, each made anew and with the dictionary's own VR."""
    safe = Dataset()
    for keyword in sorted(ALLOWED):
        if keyword not in data:
            continue
        value: Any
        if keyword in SEQUENCES:
            items = _value(data, keyword) if depth < DEEPEST else None
            value = [
                _rebuild(item, pseudonyms=pseudonyms, subject=subject, depth=depth + 1)
                for item in (items if isinstance(items, Sequence) else ())
            ]
        elif keyword in NUMBERS:
            value = _numbers(data, keyword)
        elif keyword in TERMS:
            value = _terms(data, keyword)
        elif keyword in UIDS:
            value = [pseudonyms.uid(str(raw)) for raw in _values(data, keyword)[:1]]
        elif keyword in DATES:
            value = _shifted(data, keyword, pseudonyms=pseudonyms, subject=subject)
        else:
            value = [tag for tag in _values(data, keyword)[:1] if keyword_for_tag(tag) in ALLOWED]
        if value:
            tag = tag_for_keyword(keyword)
            assert tag is not None  # noqa: S101 (a keyword of the lists above)
            safe.add_new(tag, dictionary_VR(tag), value if len(value) > 1 or keyword in SEQUENCES else value[0])
    return safe


def _numbers(data: Dataset, keyword: str) -> list[int | float | str]:
    """Values within the keyword's bounds, to eight figures; none where one is no such number."""
    low, high, most = NUMBERS[keyword]
    vr = dictionary_VR(keyword)
    try:
        numbers = [float(value) for value in _values(data, keyword)]
    except (TypeError, ValueError):
        return []
    if len(numbers) > most or not all(low <= number <= high for number in numbers):  # NaN is not within
        return []
    if vr in {"DS", "FD", "FL"}:
        rounded = [f"{number if abs(number) >= TINY else 0:.8g}" for number in numbers]
        return [*rounded] if vr == "DS" else [float(text) for text in rounded]
    if any(number != int(number) for number in numbers):
        return []
    return [str(int(number)) if vr == "SH" else int(number) for number in numbers]


def _terms(data: Dataset, keyword: str) -> list[str]:
    """The values that are known terms."""
    return [word for word in (str(v).strip(" \0").upper() for v in _values(data, keyword)) if word in TERMS[keyword]]


def _shifted(data: Dataset, keyword: str, *, pseudonyms: Pseudonyms, subject: str) -> list[str]:
    """A date, or the date of a date with time, moved; none where it is no date."""
    found = re.match(r"(\d{4})\.?(\d\d)\.?(\d\d)", str(_value(data, keyword) or "").strip())
    try:
        day = date(*map(int, found.groups())) if found else None
        return [f"{pseudonyms.date(day, subject=subject):%4Y%m%d}"] if day else []
    except (ValueError, OverflowError):
        return []


def _state_identity(safe: Dataset, data: Dataset, *, name: str) -> None:
    """Who and what it is now: the pseudonym, words of our own for free text, and how it was de-identified."""
    safe.SOPClassUID, safe.Modality = _value(data, "SOPClassUID"), "MR"
    safe.PatientID = safe.PatientName = name
    for keyword in EMPTY:
        setattr(safe, keyword, "")
    safe.setdefault("StudyDate", "")
    told = str(_value(data, "Manufacturer") or "").lower()
    safe.Manufacturer = next((maker for maker, pattern in MANUFACTURERS if re.search(pattern, told)), "")
    sequence = guess_sequence(*(str(_value(data, word) or "") for word in ("SeriesDescription", "ProtocolName")))
    if sequence != "unknown":
        safe.SeriesDescription = sequence
    if str(_value(data, "ContrastBolusAgent") or "").strip():
        safe.ContrastBolusAgent = "YES"
    safe.PatientIdentityRemoved, safe.DeidentificationMethod = "YES", METHOD
    dated = any(keyword in safe and safe[keyword].value for keyword in DATES)
    safe.LongitudinalTemporalInformationModified = "MODIFIED" if dated else "REMOVED"
    safe.DeidentificationMethodCodeSequence = [
        _code("113100", "Basic Application Confidentiality Profile"),
        *([_code("113107", "Retain Longitudinal Temporal Information Modified Dates Option")] if dated else ()),
    ]
    safe.file_meta = FileMetaDataset()
    safe.file_meta.MediaStorageSOPClassUID = safe.SOPClassUID
    safe.file_meta.MediaStorageSOPInstanceUID = safe.SOPInstanceUID
    safe.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    safe.file_meta.ImplementationClassUID, safe.file_meta.ImplementationVersionName = IMPLEMENTATION, "AUGMENT-MRI"


def _code(value: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "DCM", meaning
    return item


def _decode(data: Dataset) -> NDArray[Any]:
    """Stored pixel values (frames, rows, columns).

    The decoder sets the bits above BitsStored to the sign or to 0: old writers kept overlays there (PS3.5, 8.1.1),
    and anything else may be there.
    """
    source = FileDataset("", {}, file_meta=FileMetaDataset())
    for keyword in STORAGE:
        if keyword in data:
            setattr(source, keyword, data[keyword].value)
    source.PhotometricInterpretation = "MONOCHROME2"  # grey values are to stay as stored, not to be turned
    source.PixelData = data.PixelData
    source["PixelData"].is_undefined_length = data["PixelData"].is_undefined_length
    source.file_meta.TransferSyntaxUID = data.file_meta.TransferSyntaxUID
    lowest = int(data.get("HighBit", data.BitsStored - 1)) == data.BitsStored - 1
    if data.BitsAllocated not in {8, 16, 32} or data.BitsStored > data.BitsAllocated or not lowest:
        raise Unreadable("unreadable", f"{data.BitsStored} of {data.BitsAllocated} bits, or not in the lowest bits")
    return decode(source)


def _put_pixels(safe: Dataset, pixels: NDArray[Any], *, bits_stored: int) -> None:
    """Write the pixels and the elements that say how they are stored."""
    safe.SamplesPerPixel, (safe.Rows, safe.Columns) = 1, pixels.shape[-2:]
    safe.BitsAllocated, safe.BitsStored, safe.HighBit = 8 * pixels.dtype.itemsize, bits_stored, bits_stored - 1
    safe.PixelRepresentation = int(pixels.dtype.kind == "i")
    coded = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
    safe.add_new("PixelData", "OB" if pixels.dtype.itemsize == 1 else "OW", coded + b"\0" * (len(coded) % 2))
