"""Which diagnosis a slice has, and by which rule: a mask, a table, a class folder, or an element of a DICOM header."""

import re
from dataclasses import dataclass
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydicom.datadict import dictionary_VR, tag_for_keyword

from data_contracts.manifest import LEFT_OUT, NO_TUMOUR, QUARANTINED, TUMOUR
from pipeline.scans.names import class_of
from pipeline.scans.sources import SourceFile

_TEXT_VRS = frozenset(("CS", "LO", "LT", "SH", "ST", "UC", "UT"))
_LONGEST_TEXT = 1024  # of an element, before the owner's expressions search it


class LabelConfig(BaseModel):
    """Where the diagnosis is looked for."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    # auto: a mask decides, else a table, else the class folder, else the DICOM element; the others ask only the one
    # that they name, and manifest and bids the masks of their tables first
    layout: Literal["auto", "classes", "masks", "manifest", "bids", "dicom"] = "auto"
    # of a slice that nothing else tells of; "" refuses it, as a study must
    otherwise: Literal["", "tumour", "no_tumour"] = ""
    # a mask of 1 to this many pixels less one is ambiguous
    tumour_min_pixels: int = Field(default=100, ge=1)
    column: str = ""  # of participants.tsv; "" looks for a well-known one
    dicom_attribute: str = ""  # keyword of PS3.6, such as StudyDescription
    # regular expressions searched for in that element, in any case; both "": its whole text is a word as of a folder
    tumour: str = ""
    no_tumour: str = ""

    @field_validator("tumour", "no_tumour")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"is no regular expression: {error}") from None
        return pattern

    @field_validator("dicom_attribute")
    @classmethod
    def _is_text_element(cls, keyword: str) -> str:
        if keyword:
            tag = tag_for_keyword(keyword)
            if tag is None:
                raise ValueError("is no DICOM keyword; they are written as StudyDescription is")
            if dictionary_VR(tag) not in _TEXT_VRS:
                raise ValueError(f"holds no text (its VR is {dictionary_VR(tag)})")
        return keyword

    @model_validator(mode="after")
    def _needs_attribute(self) -> Self:
        if not self.dicom_attribute and (self.layout == "dicom" or self.tumour or self.no_tumour):
            raise ValueError("layout dicom, tumour and no_tumour need dicom_attribute, the element to look at")
        return self


@dataclass(frozen=True)
class Label:
    """A diagnosis, the rule of `LABEL_RULES` that told it, and where a person should look at it the rule and detail."""

    diagnosis: str
    rule: str
    review: tuple[str, str] | None = None


@dataclass(frozen=True)
class Unlabelled:
    """Why a slice has no diagnosis; outcome and rule as in a finding."""

    outcome: str
    rule: str
    detail: str


def label(
    *, file: SourceFile, raw_attribute: str | None, tumour_pixels: int | None, config: LabelConfig
) -> Label | Unlabelled:
    """Diagnosis of one slice.

    raw_attribute: text of the element `config.dicom_attribute`, None where there is none. tumour_pixels: set in the
    slice's mask, None where it has no mask. A mask tells slice by slice. Everything else says of a volume, and
    participants.tsv of a patient, what all its slices then carry: of a tumour volume most may show no tumour, so
    without a mask such a label is for review under `label_of_patient`.
    """
    if tumour_pixels is not None and config.layout in ("auto", "masks", "manifest", "bids"):
        return _by_mask(file, tumour_pixels, config)
    table = file.declared if config.layout in ("auto", "manifest", "bids") else None
    if table is not None and table.diagnosis is not None:
        return _of_whole(table.diagnosis, table.rule, file)
    if config.layout in ("auto", "classes") and file.class_folder is not None:
        return _of_whole(file.class_folder, "folder", file)
    if config.layout in ("auto", "dicom") and config.dicom_attribute and raw_attribute is not None:
        return _by_attribute(raw_attribute, file, config)
    if config.otherwise:
        return Label(config.otherwise, "assumed")
    return Unlabelled(QUARANTINED, "no_diagnosis", _WANTED[config.layout])


_WANTED = {
    "auto": "no mask, no table, no class folder above it and no DICOM element tells it",
    "classes": "no class folder above it",
    "masks": "no mask beside it",
    "manifest": "neither a mask nor a diagnosis in its row",
    "bids": "neither a mask nor a known word in participants.tsv",
    "dicom": "its header lacks the element that was asked for",
}


def _by_mask(file: SourceFile, tumour_pixels: int, config: LabelConfig) -> Label | Unlabelled:
    least = config.tumour_min_pixels
    if 0 < tumour_pixels < least:
        return Unlabelled(LEFT_OUT, "ambiguous_mask", f"{tumour_pixels} tumour pixels, want 0 or at least {least}")
    diagnosis = TUMOUR if tumour_pixels else NO_TUMOUR
    told = None if file.declared is None else file.declared.diagnosis
    # that a patient has a tumour does not contradict a slice without; that there is none contradicts one with
    if told is not None and told != diagnosis and (diagnosis == TUMOUR or not _tells_of_whole(file)):
        detail = f"its table says {told}, its mask holds {tumour_pixels} tumour pixels"
        return Unlabelled(QUARANTINED, "contradictory_label", detail)
    review = None
    if told is None and diagnosis == TUMOUR and file.class_folder == NO_TUMOUR and config.layout == "auto":
        detail = f"{tumour_pixels} tumour pixels in its mask, below a folder for no tumour; the mask decided"
        review = ("mask_against_folder", detail)
    return Label(diagnosis, "mask", review)


def _tells_of_whole(file: SourceFile) -> bool:
    """Whether what a table says of a file is said of more than one slice."""
    return file.kind != "raster" or (file.declared is not None and file.declared.rule == "participants")


def _of_whole(diagnosis: str, rule: str, file: SourceFile) -> Label:
    of_patient = file.kind != "raster" or rule == "participants"
    if diagnosis != TUMOUR or not of_patient:
        return Label(diagnosis, rule)
    detail = "tumour by its patient or volume, without a mask: this slice itself may show none"
    return Label(diagnosis, rule, ("label_of_patient", detail))


def _by_attribute(text: str, file: SourceFile, config: LabelConfig) -> Label | Unlabelled:
    text = text[:_LONGEST_TEXT]
    if not config.tumour and not config.no_tumour:
        diagnoses = [word for word in (class_of(text),) if word]
    else:
        patterns = ((TUMOUR, config.tumour), (NO_TUMOUR, config.no_tumour))
        diagnoses = [name for name, pattern in patterns if pattern and re.search(pattern, text, re.IGNORECASE)]
    if len(diagnoses) == 1:
        return _of_whole(diagnoses[0], "dicom", file)
    if diagnoses:
        return Unlabelled(QUARANTINED, "contradictory_label", "both expressions match the DICOM element")
    return Unlabelled(QUARANTINED, "unknown_attribute", "the text of the DICOM element is none that was asked for")
