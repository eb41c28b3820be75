"""The two tables of a dataset: the manifest, and the facts of file and header beside it."""

from collections.abc import Sequence

import pandas as pd

from data_contracts.facts import FACTS
from data_contracts.manifest import MANIFEST, REAL
from pipeline.scans.deidentify import Pseudonyms, number
from pipeline.scans.names import NAMED
from pipeline.scans.reading import Slice

# columns of the manifest that are fields of a slice as they are
_MEASURED = (
    "slice_id", "diagnosis", "label_rule", "sequence", "plane", "position", "height", "width", "spacing_mm",
    "tumour_pixels", "sha256", "review",
)  # fmt: skip


def manifest_table(slices: Sequence[Slice], pseudonyms: Pseudonyms | None) -> pd.DataFrame:
    """The manifest, one row a slice in the order of the listing.

    Subjects are numbered as they are met, or named by the key where there is one: then a patient has one name in
    every dataset made with it. Groups are always numbered.
    """
    named = [_name(s) for s in slices]
    # a slice of an unknown subject stands under its duplicate group, the smallest thing known to be one head
    keys = [("group", s.group) if name is None else ("known", name) for s, name in zip(slices, named, strict=True)]
    numbers = number(keys, "subject")
    table = pd.DataFrame([{column: getattr(s, column) for column in _MEASURED} for s in slices])
    table["origin"] = REAL
    table["subject"] = [
        numbers[i] if pseudonyms is None or name is None else pseudonyms.subject(name) for i, name in enumerate(named)
    ]
    table["subject_known"] = [name is not None for name in named]
    table["group"] = number([s.group for s in slices], "group")
    table["position"] = table["position"].astype(float)
    table["spacing_mm"] = table["spacing_mm"].astype(float)
    table["tumour_pixels"] = table["tumour_pixels"].astype("Int64")
    return table[list(MANIFEST.columns)]


def _name(s: Slice) -> str | None:
    """The source's own word for the patient, whichever road it came by; None where it has none."""
    return s.subject[1] if s.subject is not None and s.subject[0] == NAMED else None


def facts_table(slices: Sequence[Slice]) -> pd.DataFrame:
    """The facts, one row a slice in the order of the manifest."""
    rows = [
        vars(s.source.facts)
        | {
            "slice_id": s.slice_id,
            "format": s.source.format,
            "file_bytes": s.source.file_bytes,
            "height": s.height,
            "width": s.width,
            "n_slices": s.source.n_slices,
            "spacing_mm": s.spacing_mm,
            "slice_spacing_mm": s.source.slice_spacing_mm,
        }
        for s in slices
    ]
    table = pd.DataFrame(rows)[list(FACTS.columns)]
    numbers = [name for name, column in FACTS.columns.items() if str(column.dtype) == "float64"]
    return table.astype(dict.fromkeys(numbers, float))
