"""Listing a source: a folder, a manifest table, a BIDS data set, archives; and which file is the mask of which.

Names are read here and go no further: what leaves are pseudonyms, words of the contracts, and keys held in memory.
"""

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Final

from data_contracts.violations import ContractError, Violation
from pipeline.formats.dicom import is_dicom
from pipeline.formats.dicom_pixels import DICOM_MARK
from pipeline.formats.nifti import is_nifti
from pipeline.formats.raster import is_raster
from pipeline.formats.scan import guess_sequence
from pipeline.scans import bids, names, tables, walk
from pipeline.scans.candidates import Candidate, Declared, Listing

__all__ = ("Candidate", "Declared", "Listing", "SourceFile", "digest_of", "kind_of", "list_source", "pair_masks")

_SLICE_INDEX: Final = "slice_index.csv"  # heights, read by `positions`


@dataclass(frozen=True)
class SourceFile:
    """One listed file. `path`, `relative` and what is `declared` name things of the source: for memory only."""

    record: str
    path: Path = field(repr=False)
    relative: PurePosixPath = field(repr=False)
    kind: str  # raster, nifti, dicom or unknown
    source_sequence: str = "unknown"  # what the name of the source itself says of all its files
    declared: Declared | None = None
    refused: tuple[str, str] | None = None
    wrapper: int = 0  # leading folders that name nobody, see Candidate

    @property
    def class_folder(self) -> str | None:
        """Class of the nearest class folder above the file, or None."""
        return next((d for d in map(names.class_of, reversed(self.relative.parent.parts)) if d), None)

    @property
    def diagnosis(self) -> str | None:
        """What a table says, else the class folder, or None."""
        return self.declared.diagnosis if self.declared and self.declared.diagnosis else self.class_folder

    @property
    def subject(self) -> str | None:
        """Who a table names, else the path (`names.subject_of`); None where neither names anybody."""
        if self.declared and self.declared.subject:
            return self.declared.subject
        return names.subject_of(self.relative, self.wrapper)

    @property
    def stack(self) -> str | None:
        """Key of the exam that pictures of a subject belong to: two exams of a patient are not one stack of slices."""
        subject = self.subject
        return None if subject is None else f"{subject}/{names.stack_of(self.relative.parent.parts[self.wrapper :])}"

    @cached_property  # asked for time and again
    def stem(self) -> str:
        """Name without its extension; `.nii.gz` is one extension."""
        return names.stem_of(self.relative.name)

    @cached_property  # asked for time and again
    def mask_of(self) -> str | None:
        """Stem of what this file is the mask of, by its name, "" for all of its folder; None for an image."""
        if self.declared is not None:
            if self.declared.is_mask:
                return self.stem  # its owners name it, not it them
            if self.declared.diagnosis or self.declared.mask:
                return None
        return names.mask_owner(self.stem) if self.kind != "dicom" else None

    @property
    def sequence(self) -> str:
        """Sequence by a table, the file's name, the folders above it, or the source."""
        if self.declared and self.declared.sequence:
            return self.declared.sequence
        of_bids = names.bids_name(self.stem)
        if of_bids and of_bids.sequence != "unknown":
            return of_bids.sequence
        named = guess_sequence(self.stem, *reversed(self.relative.parent.parts))
        return self.source_sequence if named == "unknown" else named


def list_source(source: Path, *, layout: str = "auto", column: str = "", scratch: Path | None = None) -> Listing:
    """Every candidate of a source, sorted by relative path.

    source: a folder (links are followed, each folder once), a manifest table, the folder of a BIDS data set, a zip or
    tar file, or one image. layout: as in LabelConfig; auto sees tables and BIDS by themselves. column: of the diagnosis
    in participants.tsv. scratch: an empty folder into which archives are unpacked, each below its number; members are
    listed below their archive (`batch.zip/yes/1.png`). Without it archives are listed as the files they are.
    Raises ContractError where the source is missing, empty, no source at all, or where a table breaks its contract.
    """
    if not source.exists():
        raise _broken("missing", f"{source} does not exist; give the folder of the images")
    table = _table_of(source, layout)
    if table is not None:
        listing = walk.of_table(table)
    elif source.is_dir():
        listing = _of_folder(source, layout, column, scratch)
    else:
        listing = _of_file(source, scratch)
    if not listing.candidates:
        raise _broken("empty", f"{source} holds no image file; give the folder of the images")
    ordered = sorted(listing.candidates, key=lambda candidate: candidate.relative.as_posix())
    wrapper = walk.wrapper_of(ordered)
    return replace(listing, candidates=tuple(replace(candidate, wrapper=wrapper) for candidate in ordered))


def _broken(rule: str, detail: str) -> ContractError:
    return ContractError([Violation("source", rule, detail)])


def _table_of(source: Path, layout: str) -> Path | None:
    """The manifest of a source: the file itself or, where the layout asks for one, `manifest.*` in the folder."""
    if source.is_file():
        if source.suffix.lower() in tables.TABLES:
            return source
    elif layout == "manifest":
        found = [source / f"manifest{suffix}" for suffix in tables.TABLES if (source / f"manifest{suffix}").is_file()]
        if len(found) == 1:
            return found[0]
    if layout == "manifest":
        wanted = f"{source} is no .csv, .tsv or .parquet table, and holds no single one that is named manifest"
        raise _broken("no_manifest", wanted)
    return None


def _of_folder(source: Path, layout: str, column: str, scratch: Path | None) -> Listing:
    if layout == "bids" and not bids.is_bids(source):
        raise _broken("no_bids", f"{source} needs folders sub-* and {bids.DESCRIPTION} or {bids.PARTICIPANTS}")
    walked = walk.walked(source, PurePosixPath())
    if layout in {"auto", "bids"} and bids.is_bids(source):
        table = source / bids.PARTICIPANTS
        participants = tables.read_participants(table, column) if table.is_file() else None
        declared = bids.declare(walked.candidates, participants)
        if participants is None:
            return replace(walked, candidates=tuple(declared))
        return replace(walked, candidates=tuple(declared), tables=(table,), notes=participants.notes)
    unpacked = walked if scratch is None else walk.with_members(walked, scratch)
    return replace(unpacked, candidates=tuple(map(_tumour_masks_only, unpacked.candidates)))


def _of_file(source: Path, scratch: Path | None) -> Listing:
    alone = Candidate(source, PurePosixPath(source.name))
    if walk.is_archive_file(source):
        return Listing((alone,), 0) if scratch is None else walk.with_members(Listing((alone,), 0), scratch)
    if kind_of(source) == "unknown":
        raise _broken("no_folder", f"{source} is no image, table or archive; give the folder of the images")
    return Listing((alone,), 0)


def _tumour_masks_only(candidate: Candidate) -> Candidate:
    if candidate.refused is None and names.is_other_mask(names.stem_of(candidate.relative.name)):
        return replace(candidate, refused=("not_a_tumour_mask", "a mask of brain, face or tissue, by its name"))
    return candidate


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


def digest_of(source: Path, *, layout: str = "auto") -> str:
    """Hex SHA-256 over name and bytes of all that is listed, and of the tables that tell of it.

    A file that moves from one class folder to the other is a change. Archives count as the files they are, and what
    cannot be opened as empty. Raises ContractError as `list_source` does.
    """
    listing = list_source(source, layout=layout)
    told = [*listing.tables, source / bids.DESCRIPTION, source / _SLICE_INDEX, source.resolve().parent / _SLICE_INDEX]
    files = [(candidate.relative.as_posix(), candidate.path) for candidate in listing.candidates]
    digest = hashlib.sha256()
    for name, path in files + [(path.name, path) for path in told]:
        for part in (name.encode(errors="surrogateescape"), _digest_of_bytes(path)):
            digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


def _digest_of_bytes(path: Path) -> bytes:
    try:
        if path.is_file():  # a pipe would wait for ever
            with path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").digest()
    except OSError:
        pass
    return b""


def pair_masks(files: Sequence[SourceFile]) -> tuple[dict[Path, SourceFile], list[SourceFile]]:
    """The mask of each image, by the image's path (each file of a DICOM series), and the masks that belong to nothing.

    A table's word goes first. `X_mask` or `X_seg` belongs to `X` beside it, whatever their extensions; a NIfTI mask
    also to a folder `X` of DICOM beside it, or else, as in BraTS, to every volume beside it whose name begins with `X`.
    One that is called no more than `seg` or `mask` belongs to all volumes beside it, or to the one picture.
    """
    files = [file for file in files if file.refused is None]
    images = [file for file in files if file.mask_of is None]
    # by place in the source: members of an archive lie elsewhere
    beside: dict[PurePosixPath, dict[str, list[SourceFile]]] = defaultdict(lambda: defaultdict(list))
    for image in images:
        beside[image.relative.parent][image.stem].append(image)
    masks: dict[Path, SourceFile] = {}
    orphans = []
    for mask in files:
        if mask.mask_of is None or (mask.declared is not None and mask.declared.is_mask):
            continue
        owners = _owners(mask, mask.mask_of, beside)
        masks.update((image.path, mask) for image in owners)
        if not owners:
            orphans.append(mask)
    of_path = {file.path: file for file in files}
    for image in images:
        if image.declared and image.declared.mask in of_path:
            masks[image.path] = of_path[image.declared.mask]
    used = {mask.path for mask in masks.values()}
    orphans += [file for file in files if file.declared and file.declared.is_mask and file.path not in used]
    return masks, orphans


def _owners(
    mask: SourceFile, stem: str, beside: Mapping[PurePosixPath, Mapping[str, Sequence[SourceFile]]]
) -> list[SourceFile]:
    """The images that a mask is of, by its name."""
    folder = mask.relative.parent
    here = beside.get(folder, {})
    if not stem:
        alike = [image for images in here.values() for image in images if image.kind == mask.kind]
        return alike if mask.kind == "nifti" or len(alike) == 1 else []
    owners = [image for image in here.get(stem, ()) if image.kind == mask.kind]
    if owners or mask.kind != "nifti":
        return owners
    series = [image for images in beside.get(folder / stem, {}).values() for image in images if image.kind == "dicom"]
    family = [other for other in here if other.startswith((f"{stem}_", f"{stem}-"))]
    return series or [image for other in family for image in here[other] if image.kind == "nifti"]
