"""Enhanced MR: one object of many frames, each placed and described by functional groups.

DICOM PS3.3 sections A.36.2 and C.7.6.16. An object may hold several stacks, echoes, time points or contrasts. They are
told apart: one Scan each.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from numpy.typing import NDArray
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset

from pipeline.formats import dicom_facts, dicom_geometry, dicom_pixels
from pipeline.formats.dicom import LOCALISER_DETAIL, DicomHeader
from pipeline.formats.dicom_geometry import Place
from pipeline.formats.scan import Note, Scan, Unreadable, quiet

# dimensions along a stack: everything else that an object counts its frames by tells stacks apart
_ALONG_STACK: Final = ("InStackPositionNumber", "ImagePositionPatient", "SliceLocation")


@dataclass(frozen=True)
class Frame:
    """One frame by its functional groups."""

    index: int  # in the object, from 0
    place: Place
    values: dict[str, Any]  # of header elements, under the names they have in a classic object
    kind: tuple[str, ...]  # words that say what it shows: frame type, complex component
    rescale: Dataset
    stack: tuple[object, ...]  # equal for frames of one stack, as far as it is usually told
    dimensions: tuple[object, ...]  # what else the object counts its frames by


def read_enhanced(header: DicomHeader) -> list[Scan]:
    """The scans in the object whose header is `header` (`multiframe`): one a stack, in the file's order.

    Frames that show no anatomy (phase, maps) are left out, with a note. Raises Unreadable: `unreadable`,
    `derived_map`, `localiser`, `frames_unplaced`, `repeated_position`, `gantry_tilt`, `orientation`,
    `pixels_not_square`, `too_many_pixels`, `transfer_syntax`.
    """
    try:
        with quiet():
            data = dicom_pixels.open_dicom(header.path)
            frames, notes = _showing_anatomy(_frames(data))
            stacks = _stacks(frames)
            pixels = dicom_pixels.decode(data)
            return [_scan(header, stack, pixels, notes) for stack in stacks]
    except Unreadable:
        raise
    # pydicom and the decoders raise many kinds of error on broken files, and their texts quote the header
    except Exception:
        raise Unreadable("unreadable", "the functional groups or pixels are broken or cut short") from None


def _frames(data: Dataset) -> list[Frame]:
    shared = (data.get("SharedFunctionalGroupsSequence") or [Dataset()])[0]
    own = data.get("PerFrameFunctionalGroupsSequence") or []
    n = int(data.get("NumberOfFrames") or 1)
    if len(own) != n:
        raise Unreadable("frames_unplaced", f"functional groups of {len(own)} frames, the header states {n}")
    top = {name: data.get(name) for name in dicom_facts.ELEMENTS}
    pointers = [item.get("DimensionIndexPointer") for item in data.get("DimensionIndexSequence") or []]
    along = [tag_for_keyword(keyword) for keyword in _ALONG_STACK]
    across = [i for i, pointer in enumerate(pointers) if pointer not in along]
    return [_frame(i, partial(_group, frame, shared), top, across) for i, frame in enumerate(own)]


def _group(frame: Dataset, shared: Dataset, name: str) -> Dataset:
    """A functional group of a frame, its own or the shared one; empty where there is none."""
    items = frame.get(name) or shared.get(name)
    return items[0] if items else Dataset()


def _frame(index: int, group: Callable[[str], Dataset], top: dict[str, Any], across: Sequence[int]) -> Frame:
    content, measures = group("FrameContentSequence"), group("PixelMeasuresSequence")
    kind, timing = group("MRImageFrameTypeSequence"), group("MRTimingAndRelatedParametersSequence")
    values = top | {
        "EchoTime": group("MREchoSequence").get("EffectiveEchoTime"),
        "RepetitionTime": timing.get("RepetitionTime"),
        "FlipAngle": timing.get("FlipAngle"),
        "InversionTime": group("MRModifierSequence").get("InversionTimes"),
    }
    if group("ContrastBolusUsageSequence").get("ContrastBolusAgentAdministered") == "NO":
        values["ContrastBolusAgentSequence"] = None
    place = dicom_geometry.place(
        number=content.get("InStackPositionNumber"),
        position=group("PlanePositionSequence").get("ImagePositionPatient"),
        orientation=group("PlaneOrientationSequence").get("ImageOrientationPatient"),
        spacing=measures.get("PixelSpacing"),
        slice_step=measures.get("SpacingBetweenSlices"),
    )
    names = ("FrameType", "ComplexImageComponent", "VolumeBasedCalculationTechnique")
    words = tuple(word for name in names for word in dicom_facts.texts(kind.get(name)))
    counted = content.get("DimensionIndexValues") or []
    counted = [counted] if isinstance(counted, int) else counted
    return Frame(
        index=index,
        place=place,
        values=values,
        kind=words,
        rescale=group("PixelValueTransformationSequence"),
        stack=(
            str(content.get("StackID")),
            str(content.get("TemporalPositionIndex")),
            str(group("MRDiffusionSequence").get("DiffusionBValue")),
            *(dicom_facts.texts(values[name]) for name in ("EchoTime", "InversionTime", "FlipAngle")),
            words,
            place.stack_key,
        ),
        dimensions=tuple(counted[i] for i in across if i < len(counted)),
    )


def _showing_anatomy(frames: Sequence[Frame]) -> tuple[list[Frame], tuple[Note, ...]]:
    """Frames that show anatomy, and a note for each rule under which others were left out."""
    kept: list[Frame] = []
    refused: dict[str, list[Unreadable]] = defaultdict(list)
    for frame in frames:
        try:
            dicom_facts.refuse_kind(frame.kind)
            kept.append(frame)
        except Unreadable as error:
            refused[error.rule].append(error)
    if not kept:
        raise next(iter(refused.values()))[0]
    if dicom_geometry.is_localiser([frame.place for frame in kept]):
        raise Unreadable("localiser", LOCALISER_DETAIL)
    out = "of the object's frames are left out"
    return kept, tuple(Note(rule, f"{len(errors)} of {len(frames)} {out}") for rule, errors in refused.items())


def _stacks(frames: Iterable[Frame]) -> list[list[Frame]]:
    """Frames by stack, each in slice order. Where frames share a place, the object's own dimensions part them."""
    stacks = []
    for stack in _parted(frames, lambda frame: frame.stack):
        if _repeats(stack):
            stacks += _parted(stack, lambda frame: frame.dimensions)
        else:
            stacks.append(stack)
    for stack in stacks:
        repeated = _repeats(stack)
        if repeated:
            raise Unreadable("repeated_position", f"{repeated} frames lie in the place of others, nothing says why")
        if len(stack) > 1 and any(frame.place.position is None for frame in stack):
            raise Unreadable("frames_unplaced", f"{len(stack)} frames that do not say where they lie")
    return [[stack[i] for i in _in_order(stack)[0]] for stack in stacks]


def _parted(frames: Iterable[Frame], key: Callable[[Frame], object]) -> list[list[Frame]]:
    parts: dict[object, list[Frame]] = defaultdict(list)
    for frame in frames:
        parts[key(frame)].append(frame)
    return list(parts.values())


def _in_order(stack: Sequence[Frame]) -> tuple[list[int], list[int]]:
    names = [str(frame.index) for frame in stack]
    return dicom_geometry.in_order([frame.place for frame in stack], names, [0] * len(stack))


def _repeats(stack: Sequence[Frame]) -> int:
    return len(_in_order(stack)[1])


def _scan(header: DicomHeader, stack: Sequence[Frame], pixels: NDArray[Any], notes: tuple[Note, ...]) -> Scan:
    values = stack[0].values
    sections = [dicom_pixels.rescaled(pixels[frame.index], frame.rescale) for frame in stack]
    scan = dicom_geometry.stack(sections, [frame.place for frame in stack])
    return replace(
        scan,
        sequence=dicom_facts.sequence_of(values),
        raw_subject=header.raw_subject,
        raw_attribute=header.attribute,
        facts=dicom_facts.scan_facts(values, coding=header.facts.coding),
        notes=(*scan.notes, *notes),
    )
