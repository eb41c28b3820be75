"""Tables that come with a source: a manifest of files, the participants.tsv of BIDS. All faults are told at once."""

import csv
import difflib
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import pandera.pandas as pa

from data_contracts.manifest import DIAGNOSES, PLANES, SEQUENCES
from data_contracts.violations import ContractError, Violation, require
from pipeline.formats.scan import Note, guess_sequence
from pipeline.scans.candidates import Declared
from pipeline.scans.names import class_of, diagnosis_of, is_presence

TABLES: Final = (".csv", ".tsv", ".parquet")
COLUMNS: Final = ("path", "diagnosis", "subject", "mask", "position", "sequence", "plane")
# columns that other programs use for the same; a table that has one and not ours was most likely meant so
_ALSO_CALLED: Final = {
    "path": ("file", "filename", "file_name", "filepath", "file_path", "image", "image_path", "img", "scan"),
    "diagnosis": ("label", "class", "target", "tumour", "tumor", "dx", "diagnose"),
    "subject": ("subject_id", "patient", "patient_id", "patientid", "participant_id", "case", "case_id", "id"),
    "mask": ("mask_path", "seg", "segmentation", "annotation"),
    "position": ("relative_position", "rel_pos", "z", "height"),
    "sequence": ("modality", "contrast", "weighting"),
    "plane": ("orientation", "view"),
}
# where participants.tsv is looked at for the diagnosis, in this order; the first ones ask whether there is a tumour, so
# that yes and 1 answer it, which they do not in a column that says who has whatever disease was studied
_ASKING_COLUMNS: Final = ("tumour", "tumor", "has_tumour", "has_tumor", "brain_tumour", "brain_tumor")
_GROUP_COLUMNS: Final = (
    "diagnosis",
    "group",
    "dx",
    "patient",
    "case_control",
    "cohort",
    "condition",
    "disease",
    "pathology",
)
_PLANES: Final = {"ax": "axial", "transverse": "axial", "transversal": "axial", "cor": "coronal", "sag": "sagittal"}
_UNSTATED: Final = frozenset(("", "n/a", "nan", "<na>"))
_SHOWN_UP_TO: Final = 100.0  # a percentage where a share was asked for; a larger number may be somebody's


@dataclass(frozen=True)
class Row:
    """One row of a manifest: where its file should lie, and what the row says of it."""

    record: str  # row-0002 is the first below the header
    path: Path = field(repr=False)
    declared: Declared


@dataclass(frozen=True)
class Participants:
    """Diagnosis by participant (`sub-01`), None where the table does not tell; and how it was understood."""

    diagnoses: dict[str, str | None] = field(repr=False)
    notes: tuple[Note, ...]


def read_manifest(path: Path) -> list[Row]:
    """Rows of a .csv, .tsv or .parquet manifest, in its order. Whether their files exist is not asked here.

    Columns: `path`, relative to the table's folder or absolute (a folder stands for all files in it); and, each
    optional, `diagnosis` (words of class folders, 0/1, true/false, yes/no), `subject`, `mask` (a path), `position` in
    [0, 1], `sequence`, `plane`. Other columns are the owner's own, unless one seems to be meant for a column that is
    not there. An empty cell and n/a say nothing. Raises ContractError with every fault of the table, by the row that a
    spreadsheet shows (the header is row 1); paths, subjects and unknown words are never quoted.
    """
    table = read_cells(path)
    violations = _misnamed(list(table.columns))
    table = table[[column for column in COLUMNS if column in table]]
    table = table[(table != "").any(axis="columns")]  # a spreadsheet leaves blank rows behind; the numbers stay
    for column in ("path", "mask"):
        if column in table:
            table[column] = table[column].map(lambda cell: _placed(cell, path.parent))
    if table.empty and not violations:
        violations.append(Violation("table", "no_rows", "holds no row below its header"))
    try:
        _schema(set(table["mask"]) - {""} if "mask" in table else set()).validate(table, lazy=True)
    except pa.errors.SchemaErrors as error:
        violations += [_violation(case) for case in error.failure_cases.to_dict("records")]
    require(violations)
    told = [{str(column): str(cell) for column, cell in row.items()} for row in table.to_dict("records")]
    return [Row(row_name(int(i)), Path(row["path"]), _declared(row)) for i, row in zip(table.index, told, strict=True)]


def read_participants(path: Path, column: str = "") -> Participants:
    """The diagnoses in a BIDS participants.tsv (BIDS 1.10, participants file).

    column: where they stand; "" takes the first well-known column that holds a word of class folders. In `group` and
    its like 1 and yes say nothing, as they may mean any patient. Raises ContractError where the table cannot be read,
    lacks `participant_id` or `column`, or says different things of one participant.
    """
    table = read_cells(path)
    wanted = [name for name in ("participant_id", column.strip().lower()) if name and name not in table]
    require(Violation("participants", "no_column", f"lacks its column {name}") for name in wanted)
    chosen = column.strip().lower() or _chosen_column(table)
    if not chosen:
        known = ", ".join((*_ASKING_COLUMNS, *_GROUP_COLUMNS))
        return Participants({}, (Note("participants", f"no column with a known word; looked for {known}"),))
    asks = bool(column) or chosen in _ASKING_COLUMNS
    diagnoses: dict[str, str | None] = {}
    counts: Counter[str] = Counter()
    violations = []
    for i, (name, word) in enumerate(zip(table["participant_id"], table[chosen], strict=True)):
        diagnosis = _understood(word, asks=asks)
        subject = name if name.startswith("sub-") else f"sub-{name}"
        if name and diagnoses.setdefault(subject, diagnosis) != diagnosis:
            violations.append(
                Violation(row_name(i), "contradictory_label", "its participant has another in a row above")
            )
        counts[f"{word.lower()} is {diagnosis}" if diagnosis else "other words or none"] += 1
    require(violations)
    told = ", ".join(f"{what}: {n}" for what, n in sorted(counts.items()))
    where = "the configured column" if column else f"column {chosen}"
    return Participants(diagnoses, (Note("participants", f"diagnosis by {where}; {told}"),))


def _chosen_column(table: pd.DataFrame) -> str:
    for names, asks in ((_ASKING_COLUMNS, True), (_GROUP_COLUMNS, False)):
        for name in names:
            if name in table and any(_understood(word, asks=asks) for word in table[name]):
                return name
    return ""


def _understood(word: str, *, asks: bool) -> str | None:
    return diagnosis_of(word) if asks else None if is_presence(word) else class_of(word)


def read_cells(path: Path) -> pd.DataFrame:
    """A table of stripped text, columns in lower case, "" where a cell says nothing; rows keep their place."""
    try:
        table = pd.read_parquet(path) if path.suffix.lower() == ".parquet" else _read_text(path)
    except UnicodeDecodeError:
        raise ContractError([Violation("table", "encoding", "is not UTF-8; save it as UTF-8 text")]) from None
    except (OSError, ValueError, csv.Error):  # pyarrow quotes cells in its errors
        raise ContractError([Violation("table", "unreadable", "is not the table that its extension says")]) from None
    names = [str(name).strip().lower() for name in table.columns]
    require(
        Violation("table", "repeated_column", f"column {i + 1} has the name of an earlier one")
        for i, name in enumerate(names)
        if name and name in names[:i]
    )
    table = table.reset_index(drop=True).set_axis(names, axis="columns")
    return table.map(_text).astype(object)


def _read_text(path: Path) -> pd.DataFrame:
    with path.open(encoding="utf-8-sig", newline="") as file:
        separator = max("\t,;", key=file.readline().count)  # spreadsheets of many countries write semicolons
        file.seek(0)
        header, *rows = list(csv.reader(file, delimiter=separator, strict=True)) or [[]]
    require(
        Violation(row_name(i), "cells", f"has {len(row)} cells, the header {len(header)}")
        for i, row in enumerate(rows)
        if row and len(row) != len(header)
    )
    return pd.DataFrame([row or [""] * len(header) for row in rows], columns=header, dtype=object)


def _text(cell: object) -> str:
    if isinstance(cell, float | np.floating) and cell.is_integer():
        cell = int(cell)  # a column of whole numbers with one gap is stored as floats
    text = str(cell).strip()
    return "" if cell is None or text.lower() in _UNSTATED else text


def _placed(cell: str, folder: Path) -> str:
    # the links of the owner's folders are kept as they are, since names are read from the path
    return os.path.normpath(folder.absolute() / cell) if cell else ""


def _misnamed(names: list[str]) -> list[Violation]:
    """Columns that seem to be meant for one that is not there, and a missing `path`."""
    missing = [column for column in COLUMNS if column not in names]
    found = []
    for i, name in enumerate(names):
        close = next(iter(difflib.get_close_matches(name, missing, n=1, cutoff=0.75)), "")
        meant = next((column for column in missing if name in _ALSO_CALLED[column]), close)
        if meant and name not in COLUMNS:
            detail = f"column {i + 1} seems to be meant for {meant}; name it so, or begin its name with own_"
            found.append(Violation("table", "unknown_column", detail))
    if "path" in missing:
        found.append(Violation("table", "no_column", f"lacks its column path; known are {', '.join(COLUMNS)}"))
    return found


def _each(accept: Callable[[str], bool], wanted: str) -> pa.Check:
    return pa.Check(lambda cell: not cell or accept(cell), element_wise=True, error=wanted)


def _is_share(cell: str) -> bool:
    try:
        return 0.0 <= float(cell) <= 1.0
    except ValueError:
        return False


def _schema(masks: set[str]) -> pa.DataFrameSchema:
    """What the cells of a manifest must be, where `masks` are the paths in its column mask."""
    checks = {
        "path": [
            pa.Check(bool, element_wise=True, error="names no file"),
            _each(lambda cell: cell not in masks, "names a file that another row names as its mask"),
            pa.Check(lambda paths: ~paths.duplicated() | (paths == ""), error="names a file of an earlier row"),
        ],
        "diagnosis": [
            _each(lambda cell: diagnosis_of(cell) is not None, "is no word for tumour or none, as yes and no")
        ],
        "position": [_each(_is_share, "is no number from 0 to 1")],
        "sequence": [_each(lambda cell: _sequence(cell) is not None, f"is none of {', '.join(SEQUENCES)}")],
        "plane": [_each(lambda cell: _plane(cell) in PLANES, f"is none of {', '.join(PLANES)}")],
    }
    # not even `path` is required here: `_misnamed` says so, with what is known
    return pa.DataFrameSchema({name: pa.Column(str, checks.get(name), required=False) for name in COLUMNS})


def row_name(i: int) -> str:
    """Name of row i of a table's frame, by the row that a spreadsheet shows: the header is row 1."""
    return f"row-{i + 2:04d}"


def _violation(case: dict[str, object]) -> Violation:
    """One fault, quoting the value only where it is a small number, which names nobody."""
    index, column, value = case["index"], str(case["column"]), str(case["failure_case"])
    shown = ""
    if column == "position":
        try:
            shown = f"{float(value):g} " if abs(float(value)) <= _SHOWN_UP_TO else ""
        except ValueError:
            shown = ""
    record = row_name(int(index)) if isinstance(index, int) else "table"
    return Violation(record, f"column_{column}", f"{shown}{case['check']}")


def _sequence(cell: str) -> str | None:
    exact = {sequence.lower(): sequence for sequence in SEQUENCES}.get(cell.lower())
    guessed = guess_sequence(cell)
    return exact or (None if guessed == "unknown" else guessed)


def _plane(cell: str) -> str:
    return _PLANES.get(cell.lower(), cell.lower())


def _declared(row: dict[str, str]) -> Declared:
    diagnosis = diagnosis_of(row.get("diagnosis", ""))
    return Declared(
        rule="manifest",
        diagnosis=diagnosis,
        subject=row.get("subject") or None,
        mask=Path(row["mask"]) if row.get("mask") else None,
        position=float(row["position"]) if row.get("position") else None,
        sequence=_sequence(row.get("sequence", "")),
        plane=_plane(row.get("plane", "")) or None,
    )


assert set(DIAGNOSES) == {diagnosis_of("0"), diagnosis_of("1")}  # noqa: S101 (words must lead to both)
