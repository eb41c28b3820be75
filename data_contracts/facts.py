"""What is known of a slice without looking at the brain: facts of its file and header, one row a slice.

No fact is free text: what a header states is a number, or one of the words below. The shortcut audit asks whether
the diagnosis can be told from these alone.
"""

from typing import Final

import pandas as pd
import pandera.pandas as pa

from data_contracts.manifest import check_table
from data_contracts.violations import Violation

FORMATS: Final = ("raster", "nifti", "dicom")
MANUFACTURERS: Final = ("siemens", "ge", "philips", "canon", "hitachi", "united_imaging", "other", "unknown")

FACTS: Final = pa.DataFrameSchema(
    {
        "slice_id": pa.Column(str, unique=True),
        "format": pa.Column(str, pa.Check.isin(FORMATS)),
        # how the pixels are coded: jpeg, png, tiff, bmp, nifti, nifti_gz, or the DICOM transfer syntax in a word
        "coding": pa.Column(str, pa.Check.str_matches(r"^[a-z0-9_]+$")),
        "file_bytes": pa.Column(float, pa.Check.ge(0)),  # of the scan's files, divided by its slices
        "bits": pa.Column(float, pa.Check.ge(1), nullable=True),  # stored a sample
        "channels": pa.Column(float, pa.Check.ge(1), nullable=True),
        "height": pa.Column(float, pa.Check.ge(1)),
        "width": pa.Column(float, pa.Check.ge(1)),
        "n_slices": pa.Column(float, pa.Check.ge(1)),  # of the scan
        "spacing_mm": pa.Column(float, pa.Check.gt(0), nullable=True),
        "slice_spacing_mm": pa.Column(float, pa.Check.gt(0), nullable=True),
        "manufacturer": pa.Column(str, pa.Check.isin(MANUFACTURERS)),
        "field_strength_t": pa.Column(float, nullable=True),
        "echo_time_ms": pa.Column(float, nullable=True),
        "repetition_time_ms": pa.Column(float, nullable=True),
        "inversion_time_ms": pa.Column(float, nullable=True),
        "flip_angle_deg": pa.Column(float, nullable=True),
    },
    strict=True,
    ordered=True,
)


def check_facts(facts: pd.DataFrame) -> list[Violation]:
    """Every violation of the facts schema at once; empty where it holds."""
    return check_table(facts, FACTS, "facts")
