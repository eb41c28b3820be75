"""Finding files: below a folder, in the rows of a manifest, in archives."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Final

from data_contracts.manifest import NO_TUMOUR, TUMOUR
from data_contracts.violations import Violation, require
from pipeline.formats.archive import EMPTY, is_archive, unpack
from pipeline.formats.dicom_pixels import DICOM_MARK
from pipeline.formats.nifti import is_nifti
from pipeline.formats.raster import is_raster
from pipeline.formats.scan import Unreadable
from pipeline.scans import names, tables
from pipeline.scans.candidates import Candidate, Declared, Listing

_HEAD: Final = 512  # bytes that tell an archive: a tar says so at 257
_DICOMDIR: Final = b"1.2.840.10008.1.3.10"  # the kind of a DICOM directory (PS3.6 table A-1), in its meta header


def of_table(table: Path) -> Listing:
    """The files of a manifest's rows and of their masks; a row without its file is a refused candidate.

    Raises ContractError as `tables.read_manifest` does, and where folders of two rows hold the same file.
    """
    rows = tables.read_manifest(table)
    masks = {row.declared.mask for row in rows if row.declared.mask is not None}
    folder = Path(os.path.normpath(table.parent.absolute()))
    everything = [*masks, *(row.path for row in rows)]
    inside = all(path.is_relative_to(folder) for path in everything)
    # of files elsewhere only the folders in which they differ can name anybody
    base = folder if inside else Path(os.path.commonpath([path.parent for path in everything]))
    images: dict[Path, Candidate] = {}
    skipped, violations = 0, []
    for row in rows:
        listing = _of_row(row, PurePosixPath(row.path.relative_to(base).as_posix()))
        own = {candidate.path: candidate for candidate in listing.candidates if candidate.path not in masks}
        if own.keys() & images.keys():
            violations.append(Violation(row.record, "column_path", "names files of an earlier row"))
        images |= own
        skipped += listing.skipped
    require(violations)
    named = Declared("manifest", is_mask=True)
    of_mask = [Candidate(mask, PurePosixPath(mask.relative_to(base).as_posix()), named) for mask in masks]
    there = [candidate for candidate in of_mask if candidate.path.is_file()]
    return Listing((*images.values(), *there), skipped, tables=(table,))


def _of_row(row: tables.Row, here: PurePosixPath) -> Listing:
    """The file of a row, or those of its folder: a DICOM series, where one position cannot be that of each file."""
    own = Candidate(row.path, here, row.declared)
    if row.declared.mask is not None and not row.declared.mask.is_file():
        own = replace(own, refused=("mask_missing", "its row in the manifest names a mask that is not there"))
    if row.path.is_dir():
        declared = replace(row.declared, position=None)
        below = walked(row.path, here)
        files = (replace(file, declared=declared, refused=file.refused or own.refused) for file in below.candidates)
        found = replace(below, candidates=tuple(files))
        if found.candidates:
            return found
    if not row.path.is_file():
        own = replace(own, refused=("file_missing", "its row in the manifest names no file there"))
    return Listing((own,), 0)


def walked(source: Path, below: PurePosixPath) -> Listing:
    """All files of a folder but hidden ones and sidecars, placed below `below`; what cannot be opened is refused.

    A name alone makes no sidecar: an image that is called .txt is a candidate.
    """
    found: list[Candidate] = []
    skipped, seen = 0, set()

    def closed(error: OSError) -> None:
        path = Path(error.filename)
        place = below / path.relative_to(source).as_posix()
        found.append(Candidate(path, place, refused=("unreadable", "the folder cannot be opened")))

    for folder, folders, files in os.walk(source, followlinks=True, onerror=closed):
        here = Path(folder).resolve()
        if here in seen:
            folders.clear()
            continue
        seen.add(here)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        wanted = [name for name in files if not _is_sidecar(Path(folder, name), name)]
        skipped += len(files) - len(wanted)
        # opening a pipe or a device would wait for ever
        lost = ("not_a_file", "a link that leads nowhere, a pipe or a device")
        place = below / Path(folder).relative_to(source).as_posix()
        for name in wanted:
            path = Path(folder, name)
            found.append(Candidate(path, place / name, refused=None if path.is_file() else lost))
    return Listing(tuple(found), skipped)


def _is_sidecar(path: Path, name: str) -> bool:
    """Whether a file is hidden, or a note or table by its name and no image by its content."""
    return names.is_sidecar(name) and (name.startswith(".") or not _shows_image(path))


def _shows_image(path: Path) -> bool:
    """Whether the first bytes of a file are those of an image."""
    try:
        if not path.is_file():  # a pipe would wait for ever
            return False
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return False
    if b"\0" not in head:  # text, as nearly all sidecars are
        return False
    if head[128:132] == DICOM_MARK:
        return _DICOMDIR not in head
    return is_raster(head) or is_nifti(path)


def with_members(listing: Listing, scratch: Path) -> Listing:
    """The listing with each archive replaced by its members, unpacked into `scratch`/1, 2, ... in sorted order.

    One that holds nothing that could be an image stays, refused `empty_archive`.
    """
    archives = [one for one in listing.candidates if one.refused is None and is_archive_file(one.path)]
    packed = {archive.path for archive in archives}
    found = [candidate for candidate in listing.candidates if candidate.path not in packed]
    skipped = listing.skipped
    for number, archive in enumerate(sorted(archives, key=lambda archive: archive.relative.as_posix()), start=1):
        members = list(_members(archive, scratch / str(number)))
        wanted = [member for member in members if member.refused is not None or not _is_hidden(member, archive)]
        skipped += len(members) - len(wanted)
        found += wanted or [replace(archive, refused=EMPTY)]
    return Listing(tuple(found), skipped)


def _members(archive: Candidate, into: Path) -> Iterator[Candidate]:
    try:
        for member in unpack(archive.path, into):
            inside = member.relative.as_posix().lstrip("/")  # a refused name may be absolute, and would replace all
            yield Candidate(member.path or archive.path, archive.relative / inside, refused=member.refused)
    except Unreadable as error:
        yield replace(archive, refused=(error.rule, error.detail))


def _is_hidden(member: Candidate, archive: Candidate) -> bool:
    inside = member.relative.relative_to(archive.relative)
    return _is_sidecar(member.path, inside.name) or any(part.startswith((".", "__MACOSX")) for part in inside.parts)


def is_archive_file(path: Path) -> bool:
    """Whether a file can be unpacked, by its content; False where it cannot be opened."""
    try:
        with path.open("rb") as file:
            return is_archive(file.read(_HEAD), path)
    except OSError:
        return False


def wrapper_of(candidates: Sequence[Candidate]) -> int:
    """How many leading folders all files share that only hold class folders of both diagnoses, and so name nobody."""
    folders = [candidate.relative.parent.parts for candidate in candidates if candidate.refused is None]
    levels = list(zip(*folders, strict=False))
    shared = next((i for i, level in enumerate(levels) if len(set(level)) > 1), len(levels))
    below: Counter[str | None] = Counter()
    for parts in folders:
        sorting = (part for part in parts[shared:] if names.class_of(part) or not names.is_neutral(part))
        below[names.class_of(next(sorting, ""))] += 1
    return shared if set(below) == {TUMOUR, NO_TUMOUR} else 0
