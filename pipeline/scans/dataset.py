"""The two tables of a dataset: the manifest, and the facts of file and header beside it."""

from collections.abc import Sequence

import pandas as pd

from data_contracts.facts import FACTS
from data_contracts.manifest import MANIFEST, REAL
from pipeline.scans.deidentify import Pseudonyms, number
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
    # a slice of an unknown subject stands under its duplicate group, the smallest thing known to be one head
    numbers = number([("group", s.group) if s.subject is None else ("known", s.subject) for s in slices], "subject")
    table = pd.DataFrame([{column: getattr(s, column) for column in _MEASURED} for s in slices])
    table["origin"] = REAL
    table["subject"] = [
        # the source's own word for the patient, whichever road it came by, and nothing else, is what a key names
        numbers[i] if pseudonyms is None or s.subject is None else pseudonyms.subject(s.subject[1])
        for i, s in enumerate(slices)
    ]
    table["subject_known"] = [s.subject is not None for s in slices]
    table["group"] = number([s.group for s in slices], "group")
    table["position"] = table["position"].astype(float)
    table["spacing_mm"] = table["spacing_mm"].astype(float)
    table["tumour_pixels"] = table["tumour_pixels"].astype("Int64")
    return table[list(MANIFEST.columns)]


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
