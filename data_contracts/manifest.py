"""The manifest (one row a slice, real or synthetic), and the quarantine and review lists (one row a finding)."""

from typing import Final

import pandas as pd
import pandera.pandas as pa

from data_contracts.violations import Violation

TUMOUR: Final = "tumour"
NO_TUMOUR: Final = "no_tumour"
DIAGNOSES: Final = (NO_TUMOUR, TUMOUR)  # index in this tuple is the class index everywhere
REAL: Final = "real"
SYNTHETIC: Final = "synthetic"
PLANES: Final = ("axial", "coronal", "sagittal", "unknown")
SEQUENCES: Final = ("T1", "T1c", "T2", "FLAIR", "unknown")
# how a diagnosis was told: a mask, a class folder, a column of a table (manifest, participants.tsv), a DICOM element
LABEL_RULES: Final = ("mask", "folder", "manifest", "participants", "dicom", "assumed", "generator")

MANIFEST: Final = pa.DataFrameSchema(
    {
        # `file-0117` for a raster, `file-0117-z042` for one section of a volume, `g0-tumour-001234` for synthetic
        "slice_id": pa.Column(str, pa.Check.str_matches(r"^[a-z0-9-]+$"), unique=True),
        "origin": pa.Column(str, pa.Check.isin((REAL, SYNTHETIC))),
        # `subject-0007`; a synthetic slice belongs to nobody and carries its generator here, `generator-0-tumour`
        "subject": pa.Column(str, pa.Check.str_matches(r"^(subject|generator)-[a-z0-9_-]+$")),
        # False where the source names no subject: then the duplicate group stands in for one
        "subject_known": pa.Column(bool),
        # connected component over subjects and duplicates: the unit that a split never cuts
        "group": pa.Column(str, pa.Check.str_matches(r"^group-[a-z0-9_-]+$")),
        "diagnosis": pa.Column(str, pa.Check.isin(DIAGNOSES)),
        "label_rule": pa.Column(str, pa.Check.isin(LABEL_RULES)),
        "sequence": pa.Column(str, pa.Check.isin(SEQUENCES)),
        "plane": pa.Column(str, pa.Check.isin(PLANES)),
        # relative position in the scan along its slice axis, 0 first to 1 last; null where unknown
        "position": pa.Column(float, pa.Check.in_range(0.0, 1.0), nullable=True),
        "height": pa.Column(int, pa.Check.ge(1)),
        "width": pa.Column(int, pa.Check.ge(1)),
        "spacing_mm": pa.Column(float, pa.Check.gt(0.0), nullable=True),
        "tumour_pixels": pa.Column("Int64", pa.Check.ge(0), nullable=True),
        "sha256": pa.Column(str, pa.Check.str_matches(r"^[0-9a-f]{64}$")),  # of the decoded pixels
        # rules under which the slice is used but a person should look at it, joined by one space; "" for none
        "review": pa.Column(str, pa.Check.str_matches(r"^([a-z0-9_]+( [a-z0-9_]+)*)?$")),
    },
    strict=True,
    ordered=True,
)

# of quarantine.csv and review.csv: the record as a pseudonym, the rule, and the measured value with its threshold
FINDING_COLUMNS: Final = ("record", "outcome", "rule", "detail")
QUARANTINED: Final = "quarantined"  # cannot or must not be used
LEFT_OUT: Final = "left_out"  # sound, but outside what the study asks for
REVIEW: Final = "review"  # is used, and a person should look at it


def check_manifest(manifest: pd.DataFrame) -> list[Violation]:
    """Every violation of the manifest schema at once, with record, rule and value; empty where it holds."""
    return check_table(manifest, MANIFEST, "manifest")


def check_table(table: pd.DataFrame, schema: pa.DataFrameSchema, name: str) -> list[Violation]:
    """Every violation of `schema` at once; empty where it holds.

    The record is the slice where pandera names a row, else the whole table by its `name`; the rule is the column with
    its check, the detail the value that broke it.
    """
    try:
        schema.validate(table, lazy=True)
    except pa.errors.SchemaErrors as error:
        return [_violation_of(table, name, case) for case in error.failure_cases.to_dict("records")]
    return []


def _violation_of(table: pd.DataFrame, name: str, case: dict[str, object]) -> Violation:
    """A failure case of pandera as a violation of its slice, or of the whole table `name`."""
    row = case.get("index")
    record = name
    if isinstance(row, int) and "slice_id" in table and row in table.index:
        record = str(table["slice_id"].loc[row])
    return Violation(record, f"{case['column']} {case['check']}", str(case["failure_case"]))
