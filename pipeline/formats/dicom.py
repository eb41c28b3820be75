"""Classic DICOM MR series: one file a slice. Enhanced multi-frame objects are read by `dicom_enhanced`."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from numpy.typing import NDArray
from pydicom.datadict import tag_for_keyword
from pydicom.uid import UID

from pipeline.formats import dicom_facts, dicom_geometry, dicom_pixels
from pipeline.formats.dicom_geometry import Place
from pipeline.formats.dicom_pixels import DICOM_MARK
from pipeline.formats.scan import Scan, ScanFacts, Unreadable, quiet

LOCALISER_DETAIL: Final = (
    f"several planes in one series, with fewer than {dicom_geometry.LOCALISER_SLICES} parallel slices in each"
)
_MODALITIES: Final = (
    "CR", "CT", "DX", "MG", "NM", "OT", "PT", "RF", "RTDOSE", "RTIMAGE", "RTPLAN", "RTSTRUCT", "SC", "SEG", "SR", "US",
    "XA",
)  # fmt: skip
_HEADER: Final = (
    "SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "SeriesNumber", "PatientID", "Modality", "NumberOfFrames",
    "FrameIncrementPointer", "Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation", "PixelSpacing",
    "SpacingBetweenSlices", "ImagePositionPatient", "ImageOrientationPatient", "InstanceNumber",
    *dicom_facts.ELEMENTS, *dicom_facts.KIND,
)  # fmt: skip
# Siemens' private elements that tell a mosaic, each with the element that reserves its block
_SIEMENS: Final = (0x00190010, dicom_facts.MOSAIC_TILES, 0x00290010, dicom_facts.CSA_HEADER)
_FRAME_TIMES: Final = (0x00181063, 0x00181065)  # what a film's frames are counted by (PS3.3 C.7.6.6)


@dataclass(frozen=True)
class DicomHeader:
    """What the series assembly needs of one file. Holds identifiers: for memory only, hidden from repr."""

    path: Path = field(repr=False)
    series: tuple[Any, ...] = field(repr=False)  # equal for files of one stack; begins with subject and series
    instance: str = field(repr=False)
    raw_subject: str | None = field(repr=False)
    attribute: str | None = field(repr=False)  # text of the element that was asked for; None where it is missing
    bytes: int  # of the file
    multiframe: bool  # a whole object of many frames, for `dicom_enhanced.read_enhanced`; the rest is one slice
    sequence: str
    place: Place
    facts: ScanFacts


def is_dicom(head: bytes) -> bool:
    """Whether a file that starts with `head` (at least 132 bytes) is DICOM, with its preamble or without.

    Without: its first element must be of group 0002 or 0008 with a low element number, in either byte order.
    """
    if head[128:132] == DICOM_MARK:
        return True
    return (head[:2] in (b"\x02\0", b"\x08\0") and head[3:4] == b"\0") or head[:3] in (b"\0\x02\0", b"\0\x08\0")


def read_header(path: Path, attribute: str | None = None, *, synthetic: bool = False) -> DicomHeader:
    """Read one file's header without its pixels, and the text of one more element by its keyword.

    synthetic: take images that say that a generator made them. Raises Unreadable: `synthetic` else, `unreadable`,
    `wrong_modality`, `no_pixels`, `not_grey`, `mosaic_unsupported`, `localiser`, `derived_map`,
    `frames_unplaced`, `too_many_pixels`, `too_large_inflated`, `transfer_syntax`; ValueError where the standard knows
    no element of that keyword.
    """
    if attribute is not None and tag_for_keyword(attribute) is None:
        raise ValueError("the attribute is no keyword of a DICOM element, such as PatientID or ClinicalTrialArm")
    try:
        with quiet():
            data = dicom_pixels.open_dicom(path, [*_HEADER, *_SIEMENS, *([attribute] if attribute else [])])
            values = {name: data.get(name) for name in _HEADER}
            _require_grey_mr(values)
            kind = [word for name in dicom_facts.KIND for word in dicom_facts.texts(values[name])]
            dicom_facts.refuse_kind(kind, synthetic=synthetic)
            private = (data[tag].value if tag in data else None for tag in _SIEMENS[1::2])
            dicom_facts.refuse_mosaic(*private)
            multiframe = _is_multiframe(values)
            text = "\\".join(dicom_facts.texts(data.get(attribute))) if attribute and attribute in data else None
            header = _header(path, values, coding=dicom_pixels.coding_of(data))
            return replace(header, multiframe=multiframe, attribute=text)
    except Unreadable:
        raise
    # pydicom raises many kinds of error on broken headers, and their texts quote them
    except Exception:
        raise Unreadable("unreadable", "the DICOM header is broken or cut short") from None


def _require_grey_mr(values: Mapping[str, Any]) -> None:
    modality = str(values["Modality"] or "")
    if values["SOPClassUID"] is None and not modality:
        raise Unreadable("unreadable", "a DICOM file that names neither its kind nor its modality")
    if modality != "MR":
        # only a word of the standard is repeated: anything else might be free text
        raise Unreadable("wrong_modality", f"{modality if modality in _MODALITIES else 'not stated'}, want MR")
    if not values["Rows"] or not values["Columns"] or "Spectroscopy" in UID(str(values["SOPClassUID"] or "")).name:
        raise Unreadable("no_pixels", "an MR object that holds no image")
    channels = int(values["SamplesPerPixel"] or 1)
    if channels != 1:
        raise Unreadable("not_grey", f"{channels} colour channels, want 1")
    if str(values["PhotometricInterpretation"] or "MONOCHROME2") not in ("MONOCHROME1", "MONOCHROME2"):
        raise Unreadable("not_grey", "pixels stand for colours of a palette")
    frames = int(values["NumberOfFrames"] or 1)
    dicom_pixels.require_size(rows=int(values["Rows"]), columns=int(values["Columns"]), frames=frames)


def _is_multiframe(values: Mapping[str, Any]) -> bool:
    frames = int(values["NumberOfFrames"] or 1)
    enhanced = "Enhanced MR" in UID(str(values["SOPClassUID"] or "")).name
    if frames > 1 and not enhanced:
        film = values["FrameIncrementPointer"] in _FRAME_TIMES
        what = "follow each other in time, a film of one place" if film else "do not say where they lie"
        raise Unreadable("frames_unplaced", f"{frames} frames that {what}; export one file a slice, or Enhanced MR")
    return enhanced


def _header(path: Path, values: Mapping[str, Any], *, coding: str) -> DicomHeader:
    place = dicom_geometry.place(
        number=values["InstanceNumber"],
        position=values["ImagePositionPatient"],
        orientation=values["ImageOrientationPatient"],
        spacing=values["PixelSpacing"],
        slice_step=values["SpacingBetweenSlices"],
    )
    subject = str(values["PatientID"] or "").strip()
    series = str(values["SeriesInstanceUID"] or (path.parent, values["SeriesNumber"]))
    shape = (int(values["Rows"]), int(values["Columns"]))
    # localisers mix planes, and dual-echo scans mix contrasts, under one series number
    return DicomHeader(
        path=path,
        series=(subject, series, shape, place.stack_key, str(values["EchoTime"] or "")),
        instance=str(values["SOPInstanceUID"] or path),
        raw_subject=subject or None,
        attribute=None,
        bytes=path.stat().st_size,
        multiframe=False,
        sequence=dicom_facts.sequence_of(values),
        place=place,
        facts=dicom_facts.scan_facts(values, coding=coding),
    )


def split_localisers(headers: Sequence[DicomHeader]) -> tuple[list[DicomHeader], list[DicomHeader]]:
    """Headers of any number of series, in their order: those of scans, and those of series made for planning.

    A series of few parallel slices in several planes is one (LOCALISER_DETAIL), whatever its header calls it.
    """
    series: dict[tuple[Any, ...], list[DicomHeader]] = defaultdict(list)
    for header in headers:
        if not header.multiframe:
            series[header.series[:2]].append(header)
    planning = {key for key, files in series.items() if dicom_geometry.is_localiser([file.place for file in files])}
    kept = [header for header in headers if header.multiframe or header.series[:2] not in planning]
    return kept, [header for header in headers if not header.multiframe and header.series[:2] in planning]


def order_series(headers: Sequence[DicomHeader]) -> tuple[list[DicomHeader], list[DicomHeader]]:
    """Headers of one stack (equal `series`) in the slice order of `Scan`, and those left over.

    Sorted along the normal, by instance number where positions are missing. A second file in the same place (a copy,
    a later time point of a dynamic series) is left over: a scan has one slice a place, the one of lowest number, and
    of copies the longest, for the others may be cut short.
    """
    kept, left_over = dicom_geometry.in_order(
        [header.place for header in headers],
        [header.instance for header in headers],
        [header.bytes for header in headers],
    )
    return [headers[i] for i in kept], [headers[i] for i in left_over]


def read_pixels(header: DicomHeader) -> NDArray[Any]:
    """Pixels (H, W) of one file, as stored on disk, MONOCHROME1 turned bright on dark, rescaled where it asks for it.

    Raises Unreadable `unreadable` where they are cut short or their stream is broken; `too_many_pixels`.
    """
    try:
        with quiet():
            data = dicom_pixels.open_dicom(header.path)
            return dicom_pixels.rescaled(dicom_pixels.decode(data)[0], data)
    except Unreadable:
        raise
    # decoders and pydicom raise many kinds of error on broken pixels, and their texts quote the header
    except Exception:
        raise Unreadable("unreadable", "the pixels are cut short, or their coding is broken") from None


def assemble(headers: Sequence[DicomHeader], pixels: Sequence[NDArray[Any]]) -> Scan:
    """Stack sorted slices of one series into a Scan; `headers` and `pixels` as `order_series` keeps them.

    Raises Unreadable `gantry_tilt`, `orientation`, `pixels_not_square`, `too_many_pixels`.
    """
    first = headers[0]
    return replace(
        dicom_geometry.stack(pixels, [header.place for header in headers]),
        sequence=first.sequence,
        raw_subject=first.raw_subject,
        raw_attribute=first.attribute,
        facts=first.facts,
    )
