"""What the names of files and folders say: diagnosis, subject, mask, sequence. They are read here and go no further."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Final

from data_contracts.manifest import NO_TUMOUR, TUMOUR

_SIDECARS: Final = frozenset((
    ".bval", ".bvec", ".css", ".csv", ".db", ".doc", ".docx", ".htm", ".html", ".ini", ".js", ".json", ".log",
    ".md", ".npy", ".npz", ".parquet", ".pdf", ".py", ".rst", ".sh", ".toml", ".tsv", ".txt", ".xls", ".xlsx", ".xml",
    ".yaml", ".yml",
))  # fmt: skip
_SIDECAR_NAMES: Final = frozenset((
    "changes", "copying", "dicomdir", "license", "licence", "readme",
))  # fmt: skip
_TUMOUR_NAMES: Final = frozenset((
    "yes", "tumour", "tumours", "tumor", "tumors", "glioma", "gliomas", "glioma_tumour", "glioma_tumor",
    "meningioma", "meningiomas", "meningioma_tumour", "meningioma_tumor", "pituitary", "pituitary_tumour",
    "pituitary_tumor", "lesion", "lesions", "positive", "abnormal", "glioblastoma", "gbm", "metastasis",
    "metastases", "brain_tumour", "brain_tumor", "cancer",
))  # fmt: skip
_NO_TUMOUR_NAMES: Final = frozenset((
    "no", "no_tumour", "no_tumor", "no_tumours", "no_tumors", "notumour", "notumor", "non_tumour", "non_tumor",
    "healthy", "normal", "control", "controls", "negative", "no_lesion",
))  # fmt: skip
# say that something is there or not, and so a diagnosis only where it was asked for
_PRESENCE: Final = {"1": TUMOUR, "true": TUMOUR, "yes": TUMOUR, "positive": TUMOUR,
                    "0": NO_TUMOUR, "false": NO_TUMOUR, "no": NO_TUMOUR, "negative": NO_TUMOUR}  # fmt: skip
# words of folders that sort files or hold a data set, and name no subject
_NEUTRAL: Final = frozenset((
    "anat", "archive", "ax", "axial", "brain", "classification", "cor", "coronal", "data", "dataset", "datasets",
    "detection", "dicom", "flair", "gd", "image", "images", "img", "imgs", "jpeg", "jpg", "kaggle", "labels", "main",
    "mask", "masks", "master", "mri", "mris", "nifti", "png", "post", "pre", "sag", "sagittal", "scans", "slices",
    "t1", "t1c", "t1ce", "t1gd", "t1w", "t2", "t2w", "test", "testing", "tif", "tiff", "train", "training", "tumor",
    "tumors", "tumour", "tumours", "val", "validation",
))  # fmt: skip
# a day, as archives write it first or as the exports of TCIA do
_DATE: Final = r"(?:19|20)\d\d[-_.]?(?:0[1-9]|1[0-2])[-_.]?(?:0[1-9]|[12]\d|3[01])"
_DATE_AND_WORDS: Final = rf"{_DATE}(?:[-_ T]?\d{{4,6}})?|\d\d[-_.]\d\d[-_.](?:19|20)\d\d(?:\D.*)?"
# one of all patients' visits, so that above the patients' folders it names nobody
_WAVE: Final = (
    r"(?:ses|session|visit|timepoint|tp|day|week|month|year)[-_ ]?\d+|ses-\w+|baseline|initial|follow[-_ ]?up\d*"
    r"|(?:pre|post)[-_ ]?op"
)
# folders of one visit or series, below the folder of the patient; ST000001 and SE000001 are those of a DICOM disc
_VISIT: Final = re.compile(
    rf"{_DATE_AND_WORDS}|{_WAVE}|(?:study|series|exam|scan)[-_ ]?\d+|s[et]\d{{4,}}|\d+(?:\.\d+){{4,}}", re.IGNORECASE
)
_WAVE_FOLDER: Final = re.compile(_WAVE, re.IGNORECASE)
# words of a series: which it is, and what is said beside that
_SERIES: Final = (
    r"e?t[12](?:w|wi|c|ce|gd|post|n|f|\*|star)?|flair|tirm|mprage|mp2rage|spgr|bravo|vibe|stir|tse|fse|tfe|ffe|gre"
    r"|dwi|adc|swi|dti|ep2d|ax|axial|cor|coronal|sag|sagittal|tra|transversal|transverse|locali[sz]er|scout|survey"
)
_BESIDE_SERIES: Final = r"pre|post|gd|gad|ce|contrast|iso|[23]d|fs|fatsat|pdw?|mri?|wip|n4|bet|reg"
_SERIES_WORD: Final = re.compile(_SERIES, re.IGNORECASE)
_BESIDE_WORD: Final = re.compile(rf"{_BESIDE_SERIES}|[\d.]+", re.IGNORECASE)
_NO_PERSON: Final = re.compile(rf"(?:^|(?<=[-_ .]))(?:{_SERIES}|{_BESIDE_SERIES}|{_WAVE})(?=[-_ .]|$)", re.IGNORECASE)
_DATE_IN_NAME: Final = re.compile(rf"(?:^|(?<=[-_ .])){_DATE}(?=[-_ .]|$)")
# BraTS counts exams after the patient, nnU-Net the channels of a volume
_COUNTED_EXAM: Final = re.compile(r"(?<=^brats-[a-z]{3}-\d{5})-\d{3}(?!\d)", re.IGNORECASE)
_CHANNEL: Final = re.compile(r"(?<=\d)_000\d$")
NAMED: Final = "named"  # the kind of a subject's key that the source's own word for a patient makes
_ARCHIVE: Final = re.compile(r"\.(?:zip|tar|tgz|tar\.(?:gz|bz2|xz))$", re.IGNORECASE)
_MASK: Final = re.compile(
    r"(.+?)(?:_label-(?:l|lesion|tumou?r))?[_-](?:mask|seg|dseg|segmentation)$|(.+)_lesion_roi$", re.IGNORECASE
)
# the label map of a whole folder: the one beside the volumes of BraTS 2013, or a plain name
_FOLDER_MASK: Final = re.compile(r"otmulticlass|mask|seg|segmentation|tumou?r[_-]?mask", re.IGNORECASE)
_OTHER_MASK: Final = re.compile(
    r"(?:^|[_-])(?:brain|head|skull|deface)[_-]?mask$|defacemask$|probseg$|desc-(?:brain|aseg|aparcaseg|ribbon)\w*"
    r"|label-(?:bg|gm|wm|csf|bone|sft|ngm|sgm|scgm|brain|cr|bs)_",
    re.IGNORECASE,
)
_BIDS_SEQUENCES: Final = {"T1w": "T1", "UNIT1": "T1", "inplaneT1": "T1", "T2w": "T2", "inplaneT2": "T2",
                          "FLAIR": "FLAIR"}  # fmt: skip


def is_sidecar(name: str) -> bool:
    """Whether a file is hidden, a note or a table: nothing that was meant to be an image."""
    return name.startswith(".") or name.lower() in _SIDECAR_NAMES or Path(name).suffix.lower() in _SIDECARS


@lru_cache(maxsize=4096)  # a source has few folders and many files
def class_of(word: str) -> str | None:
    """Diagnosis that a folder's name or a word of a table stands for, or None."""
    name = re.sub(r"[\s-]+", "_", _ARCHIVE.sub("", word.strip()).lower())
    return TUMOUR if name in _TUMOUR_NAMES else NO_TUMOUR if name in _NO_TUMOUR_NAMES else None


def is_presence(word: str) -> bool:
    """Whether a word only says that something is there or not: 0 and 1, true and false, yes and no."""
    return word.strip().lower() in _PRESENCE


def diagnosis_of(word: str) -> str | None:
    """Diagnosis in a column that asks for it: the words of class folders, 0 and 1, true and false, yes and no."""
    return _PRESENCE.get(word.strip().lower()) or class_of(word)


@lru_cache(maxsize=4096)
def is_neutral(folder: str) -> bool:
    """Whether every word of a folder's name is one that sorts files without naming a subject."""
    words = re.findall(r"[a-z0-9]+", _ARCHIVE.sub("", folder).lower())
    return bool(words) and _NEUTRAL.issuperset(words)


def stack_of(folders: Sequence[str]) -> str | None:
    """The folders that tell one exam from another, those of classes and neutral ones left out; None where none is left.

    A class folder may stand above the patient (`yes/p1`), below (`p1/yes`) or in both classes: all are one.
    """
    kept = [_ARCHIVE.sub("", folder) for folder in folders if not class_of(folder) and not is_neutral(folder)]
    return "/".join(kept) or None


def subject_of(relative: PurePosixPath, wrapper: int) -> str | None:
    """Who a path names: BIDS `sub-XX`, else its folders as in `stack_of` down to the first of a visit or a series.

    The first `wrapper` folders name nobody. Two scans of one patient must not fall on both sides of a split, so
    `p1/20190301/AX_T2_TSE` is p1, and `p1_20190301` and `p1_flair` are p1 too; a date that stands alone is all there
    is, and stays.
    """
    bids = re.search(r"(?:^|[/_-])(sub-[A-Za-z0-9]+)", relative.as_posix())
    if bids:
        return bids[1]
    stack = stack_of(relative.parent.parts[wrapper:])
    if stack is None:
        return None
    folders = stack.split("/")
    sorting = (_WAVE_FOLDER.fullmatch(folder) or not _person_in(folder) for folder in folders)
    folders = folders[next((i for i, sorts in enumerate(sorting) if not sorts), 0) :]
    below = (i for i, folder in enumerate(folders) if i and (_VISIT.fullmatch(folder) or _is_series(folder)))
    *above, last = folders[: next(below, None)]
    return "/".join([*above, _person_in(last) or last])


def volume_of(relative: PurePosixPath) -> str:
    """What the volumes of one person share where no folder names anybody, `pat1` for `yes/pat1_flair.nii.gz`.

    A guess, for linking and not for naming: a stem without the words of series and visits, the same in every folder,
    as a split loses less by two people taken for one than by one taken for two. Where no such word is left, as in
    `yes/t1.nii.gz`, the folder.
    """
    person = _CHANNEL.sub("", _person_in(stem_of(relative.name)))
    if not person or is_neutral(person) or class_of(person):
        return f"{relative.parent.as_posix()}/"
    return person


def _person_in(name: str) -> str:
    """A name without dates, visits and words of a series; a date that stands alone stays, "" where nothing does."""
    undated = _tidy(_COUNTED_EXAM.sub("", _NO_PERSON.sub("", name)))
    return _tidy(_DATE_IN_NAME.sub("", undated)) or undated


def _tidy(name: str) -> str:
    """A name with what is left where words were taken out of it drawn together."""
    return re.sub(r"([-_ .])[-_ .]+", r"\1", name).strip("-_ .")


def _is_series(folder: str) -> bool:
    """Whether the first word of a folder that is no number and no by-word names a sequence or a plane."""
    words = (word for word in re.split(r"[-_ ]+", folder) if not _BESIDE_WORD.fullmatch(word))
    return _SERIES_WORD.fullmatch(next(words, "")) is not None


def stem_of(name: str) -> str:
    """Name without its extension; `.nii.gz` is one extension."""
    return re.sub(r"\.nii\.gz$|\.[^.]*$", "", name, flags=re.IGNORECASE)


def mask_owner(stem: str) -> str | None:
    """Stem of the image that a file is the mask of, by its name; "" for all of its folder; None for an image."""
    if _FOLDER_MASK.fullmatch(stem):
        return ""
    named = _MASK.match(stem)
    return (named[1] or named[2]) if named else None


def is_other_mask(stem: str) -> bool:
    """Whether a name is that of a mask of the brain or of its tissues, which says nothing of a tumour."""
    return _OTHER_MASK.search(stem) is not None


@dataclass(frozen=True)
class BidsName:
    """`sub-01_ce-gd_T1w` in parts: entities {sub: 01, ce: gd}, suffix T1w."""

    entities: dict[str, str] = field(repr=False)
    suffix: str = field(repr=False)

    @property
    def sequence(self) -> str:
        """One of SEQUENCES."""
        plain = _BIDS_SEQUENCES.get(self.suffix, "unknown")
        return "T1c" if plain == "T1" and "ce" in self.entities else plain


def bids_name(stem: str) -> BidsName | None:
    """Parts of a BIDS file name (BIDS 1.10, file name structure), or None where it is none.

    A suffix inside the name, as in `sub-01_T1w_label-lesion_mask`, counts as the entity `of`.
    """
    *parts, suffix = stem.split("_")
    if not parts or not re.fullmatch(r"sub-[A-Za-z0-9]+", parts[0]) or not re.fullmatch(r"[A-Za-z0-9]+", suffix):
        return None
    if suffix == "roi" and parts[-1].lower() == "lesion":
        parts[-1] = "label-lesion"
    pairs = [part.split("-", 1) if "-" in part else ["of", part] for part in parts]
    return BidsName(dict(pair for pair in pairs), suffix)
