"""What readers said of the synthetic slices, where they were asked."""

from typing import Final

from data_contracts.results import RunSummary
from reports.language import _, plural
from reports.numbers import percent_interval, slices

READER_ANCHOR: Final = "reader-study"


def readers_anchor(summary: RunSummary) -> str:
    """Where the readers' answers stand: their section is there only where slices were drawn for them."""
    return READER_ANCHOR if summary.reader_slices else "diversity"


def told_apart(summary: RunSummary) -> str:
    """How well readers told synthetic slices from real ones; empty where none was asked."""
    study = summary.reader_study
    if study is None:
        return ""
    told = plural(
        "{n} reader, blind, told {shown} rightly as real or synthetic in {accuracy}; 50 % is guessing.",
        "{n} readers, blind, told {shown} rightly as real or synthetic in {accuracy}; 50 % is guessing.",
        len(study.readers),
    )
    return told.format(
        shown=slices(study.n_real + study.n_synthetic), accuracy=percent_interval(study.together.accuracy)
    )


def diagnoses_seen(summary: RunSummary) -> str:
    """In how many slices readers saw the diagnosis, beside real ones; empty where none was asked."""
    study = summary.reader_study
    if study is None:
        return ""
    told = _("Readers saw the diagnosis in {synthetic} of synthetic slices and in {real} of real ones.")
    synthetic, real = study.together.diagnosis_synthetic, study.together.diagnosis_real
    return told.format(synthetic=percent_interval(synthetic), real=percent_interval(real))
