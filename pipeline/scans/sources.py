"""Finding the files of a source, and what their places and names say: diagnosis, subject, sequence, mask.

Names are read here and go no further: what leaves are pseudonyms, words of the contracts, and keys held in memory.
"""

import hashlib
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from data_contracts.manifest import NO_TUMOUR, TUMOUR
from data_contracts.violations import ContractError, Violation
from pipeline.formats.dicom import DICOM_MARK, is_dicom
from pipeline.formats.nifti import is_nifti
from pipeline.formats.raster import is_raster
from pipeline.formats.scan import guess_sequence

_SIDECARS: Final = frozenset((
    ".bval", ".bvec", ".css", ".csv", ".db", ".doc", ".docx", ".htm", ".html", ".ini", ".js", ".json", ".log",
    ".md", ".npy", ".npz", ".pdf", ".py", ".rst", ".sh", ".toml", ".tsv", ".txt", ".xls", ".xlsx", ".xml", ".yaml",
    ".yml",
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
# folders that sort files without naming a subject
_NEUTRAL_NAMES: Final = frozenset((
    "anat", "data", "dataset", "dicom", "image", "images", "img", "imgs", "jpeg", "jpg", "masks", "mri", "nifti",
    "png", "scans", "slices", "test", "testing", "tif", "tiff", "train", "training", "val", "validation",
))  # fmt: skip
_MASK_NAME: Final = re.compile(r"(.+)[_-](?:mask|seg)$", re.IGNORECASE)


@dataclass(frozen=True)
class Listing:
    """Files in the order that numbers them, and how many hidden files and sidecars were passed over."""

    paths: tuple[Path, ...]
    skipped: int


@dataclass(frozen=True)
class SourceFile:
    """One listed file. `path` and `relative` name things of the source: for memory only."""

    record: str
    path: Path
    relative: PurePosixPath
    kind: str  # raster, nifti, dicom or unknown
    source_sequence: str = "unknown"  # what the name of the source itself says of all its files

    @property
    def diagnosis(self) -> str | None:
        """Class of the nearest class folder above the file, or None."""
        return next((d for d in map(_class_of, reversed(self.relative.parent.parts)) if d), None)

    @property
    def subject(self) -> str | None:
        """BIDS `sub-XX`, else the folder that holds the file, class folders left out of its path; None where that
        folder is the root or a class folder.
        """
        bids = re.search(r"(?:^|[/_-])(sub-[A-Za-z0-9]+)", self.relative.as_posix())
        if bids:
            return bids[1]
        folders = list(self.relative.parent.parts)
        while folders and folders[-1].lower() in _NEUTRAL_NAMES:
            folders.pop()
        if not folders or _class_of(folders[-1]):
            return None
        return "/".join(folder for folder in folders if not _class_of(folder))

    @property
    def stem(self) -> str:
        """Name without its extension; `.nii.gz` is one extension."""
        return re.sub(r"\.nii\.gz$|\.[^.]*$", "", self.relative.name, flags=re.IGNORECASE)

    @property
    def mask_of(self) -> str | None:
        """Stem of what this file is the mask of, by its name; None for an image."""
        named = _MASK_NAME.match(self.stem)
        return named[1] if named and self.kind != "dicom" else None

    @property
    def sequence(self) -> str:
        """Sequence by the file's name, the folders above it, or the source."""
        named = guess_sequence(self.stem, *reversed(self.relative.parent.parts))
        return self.source_sequence if named == "unknown" else named


def _class_of(folder: str) -> str | None:
    name = re.sub(r"[\s-]+", "_", folder.strip().lower())
    return TUMOUR if name in _TUMOUR_NAMES else NO_TUMOUR if name in _NO_TUMOUR_NAMES else None


def list_files(source: Path) -> Listing:
    """Every image candidate below `source`, sorted by relative path; links are followed, each folder once.

    Raises ContractError where `source` is missing, no folder, or empty.
    """
    if not source.exists():
        raise ContractError([Violation("source", "missing", f"{source} does not exist; give the folder of the images")])
    if not source.is_dir():
        raise ContractError([Violation("source", "no_folder", f"{source} is a file; give the folder that holds it")])
    paths, skipped, seen = [], 0, set()
    for folder, folders, names in os.walk(source, followlinks=True):
        here = Path(folder).resolve()
        if here in seen:
            folders.clear()
            continue
        seen.add(here)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        wanted = [name for name in names if not _is_sidecar(name)]
        skipped += len(names) - len(wanted)
        paths += [Path(folder) / name for name in wanted]
    if not paths:
        raise ContractError(
            [Violation("source", "empty", f"{source} holds no image file; give the folder of the images")]
        )
    return Listing(tuple(sorted(paths, key=lambda path: path.relative_to(source).as_posix())), skipped)


def _is_sidecar(name: str) -> bool:
    return name.startswith(".") or name.lower() in _SIDECAR_NAMES or Path(name).suffix.lower() in _SIDECARS


def kind_of(path: Path) -> str:
    """Format by content: raster, nifti, dicom, or unknown."""
    try:
        with path.open("rb") as file:
            head = file.read(132)
        if head.endswith(DICOM_MARK):
            return "dicom"  # asked first: the preamble before the mark may itself be the head of a TIFF
        if is_raster(head):
            return "raster"
        if is_nifti(path):
            return "nifti"
    except OSError:
        return "unknown"
    return "dicom" if is_dicom(head) else "unknown"


def digest_of(paths: Iterable[Path]) -> str:
    """Hex SHA-256 over the size and bytes of each file in turn; a file that cannot be opened counts as empty."""
    digest = hashlib.sha256()
    for path in paths:
        try:
            with path.open("rb") as file:
                inner = hashlib.file_digest(file, "sha256").digest()
            size = path.stat().st_size
        except OSError:
            size, inner = 0, b""
        digest.update(size.to_bytes(8, "big") + inner)
    return digest.hexdigest()


def pair_masks(files: Sequence[SourceFile]) -> tuple[dict[Path, SourceFile], list[SourceFile]]:
    """The mask of each image (of each folder, for a DICOM series), and the masks that belong to nothing.

    `X_mask` or `X_seg` belongs to `X` beside it, whatever their extensions; a NIfTI mask also to a folder `X` of DICOM
    beside it, or else, as in BraTS, to every volume beside it whose name begins with `X`.
    """
    beside: dict[Path, dict[str, list[SourceFile]]] = defaultdict(lambda: defaultdict(list))
    for file in files:
        if file.mask_of is None:
            beside[file.path.parent][file.stem].append(file)
    dicom_folders = {file.path.parent for file in files if file.kind == "dicom"}
    masks: dict[Path, SourceFile] = {}
    orphans = []
    for mask in files:
        stem = mask.mask_of
        if stem is None:
            continue
        folder = mask.path.parent
        owners = [image.path for image in beside[folder].get(stem, ()) if image.kind == mask.kind]
        if not owners and mask.kind == "nifti":
            family = [other for other in beside[folder] if other.startswith((f"{stem}_", f"{stem}-"))]
            volumes = [image.path for other in family for image in beside[folder][other] if image.kind == "nifti"]
            owners = [folder / stem] if folder / stem in dicom_folders else volumes
        masks.update(dict.fromkeys(owners, mask))
        if not owners:
            orphans.append(mask)
    return masks, orphans
