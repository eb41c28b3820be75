"""Pseudonyms. Nothing of a source's names goes further than this: things are numbered in the order they are met.

Files are `file-0117`, the 117th of the sorted listing; subjects and groups are numbered by first appearance.
"""

import re
from collections.abc import Hashable, Iterable
from pathlib import Path

from data_contracts.violations import ContractError, Violation
from pipeline.scans.sources import list_files


def file_record(number: int) -> str:
    """Name of the `number`-th file of a listing, counted from 1."""
    return f"file-{number:04d}"


def number(keys: Iterable[Hashable], prefix: str) -> list[str]:
    """`prefix-0001` for the first key and all equal to it, `prefix-0002` for the next new one, and so on."""
    numbers: dict[Hashable, int] = {}
    return [f"{prefix}-{numbers.setdefault(key, len(numbers) + 1):04d}" for key in keys]


def locate(source: Path, record: str) -> Path:
    """Path of `file-0117` or of the slice `file-0117-z042`, so that the owner of the data can find a refused file.

    The listing must be the one that was ingested. Raises ContractError where there is no such file.
    """
    found = re.fullmatch(r"file-(\d{4,})(-z\d+)?", record)
    paths = list_files(source).paths
    if found is None or not 1 <= int(found[1]) <= len(paths):
        raise ContractError([Violation(record, "unknown_record", f"want file-0001 to {file_record(len(paths))}")])
    return paths[int(found[1]) - 1]
