"""CLAIM 2024: what a paper on artificial intelligence in medical imaging should say, as far as a run can say it.

Numbers are those of Tejani et al. (2024), "Checklist for Artificial Intelligence in Medical Imaging (CLAIM): 2024
Update", Radiology: Artificial Intelligence 6(4):e240300, doi 10.1148/ryai.240300; what each asks is in our words.
"""

from data_contracts.results import RunSummary
from reports.checklists import data, study
from reports.checklists.items import Checklist, Section, item, unknown
from reports.language import _


def claim(summary: RunSummary) -> Checklist:
    """The filled list: 44 items."""
    about = _(
        "For papers on artificial intelligence in medical imaging: Tejani et al. (2024), Radiology: Artificial "
        "Intelligence 6(4):e240300. Numbers are theirs, words are ours; read their list before you hand anything in. "
        "Answers are of this study as a whole."
    )
    sections = (
        _opening(summary),
        _scans(summary),
        _reference(summary),
        _division(summary),
        _models(summary),
        _training(summary),
        _judging(summary),
        _results(summary),
        _closing(summary),
    )
    return Checklist("claim", _("CLAIM 2024"), about, sections)


def _opening(summary: RunSummary) -> Section:
    return Section(
        _("Title, summary, aim"),
        (
            item("1", _("Title that names the kind of artificial intelligence"), unknown()),
            item("2", _("Summary of design, methods, results and conclusions"), study.summary_of_study(summary)),
            item("3", _("Background, and the role that the method is to have"), unknown()),
            item("4", _("Aim and hypotheses"), study.aim(summary)),
            item("5", _("Whether scans were collected for the study or before it"), unknown()),
            item("6", _("Goal of the study"), study.goal()),
        ),
    )


def _scans(summary: RunSummary) -> Section:
    return Section(
        _("Scans"),
        (
            item("7", _("Where the data came from"), data.sources(summary)),
            item("8", _("Who and what was taken in or kept out"), data.eligibility(summary)),
            item("9", _("How images were prepared"), data.preparation(summary)),
            item("10", _("Which part of the data was used"), data.subsets(summary)),
            item("11", _("How names were removed"), data.names_removed(summary)),
            item("12", _("What was done about missing data"), data.missing(summary)),
            item("13", _("How images were acquired"), data.acquisition(summary)),
        ),
    )


def _reference(summary: RunSummary) -> Section:
    return Section(
        _("Reference standard"),
        (
            item("14", _("What the diagnosis was taken from"), data.reference_standard(summary)),
            item("15", _("Why this reference was chosen"), unknown()),
            item("16", _("Who made the diagnoses or outlines, and their training"), unknown()),
            item("17", _("How the test slices were annotated"), data.test_annotation(summary)),
            item("18", _("How far annotators agreed"), unknown()),
        ),
    )


def _division(summary: RunSummary) -> Section:
    return Section(
        _("Division and number"),
        (
            item("19", _("How data were divided"), data.assignment(summary)),
            item("20", _("What never stands on both sides"), data.disjoint(summary)),
            item("21", _("How many were meant to be tested, and why"), study.sample_size(summary)),
        ),
    )


def _models(summary: RunSummary) -> Section:
    return Section(
        _("Models"),
        (
            item("22", _("The models in detail"), study.models(summary)),
            item("23", _("Software and versions"), study.software(summary)),
            item("24", _("Weights at the start"), study.first_weights(summary)),
        ),
    )


def _training(summary: RunSummary) -> Section:
    return Section(
        _("Training"),
        (
            item("25", _("How the models were trained"), study.course(summary)),
            item("26", _("How the final model was chosen"), study.selection(summary)),
            item("27", _("Whether several models answer together"), study.ensembles(summary)),
        ),
    )


def _judging(summary: RunSummary) -> Section:
    return Section(
        _("How it was judged"),
        (
            item("28", _("Measures of performance"), study.measures(summary)),
            item("29", _("Intervals and tests"), study.uncertainty(summary)),
            item("30", _("Whether the result holds when asked otherwise"), study.robustness(summary)),
            item("31", _("What the model looks at"), study.looked_at(summary)),
            item("32", _("Test on data of the same source"), study.internal_test(summary)),
            item("33", _("Test on data from elsewhere"), study.external_test(summary)),
            item("34", _("Registration of a clinical trial"), unknown()),
        ),
    )


def _results(summary: RunSummary) -> Section:
    return Section(
        _("Results"),
        (
            item("35", _("How many came in and were kept out"), data.flow(summary)),
            item("36", _("Patients and findings in each part"), data.characteristics(summary)),
            item("37", _("Performance with its uncertainty"), study.performance(summary)),
            item("38", _("Diagnostic accuracy with its precision"), study.diagnostic_performance(summary)),
            item("39", _("Wrong answers looked into"), study.failures(summary)),
        ),
    )


def _closing(summary: RunSummary) -> Section:
    return Section(
        _("Discussion and the rest"),
        (
            item("40", _("Limits of the study"), study.known_limits(summary)),
            item("41", _("What it means for practice"), study.meaning(summary)),
            item("42", _("Full protocol or further technical details"), study.protocol(summary)),
            item("43", _("Where software, model and data may be had"), unknown()),
            item("44", _("Funding, and what funders did"), unknown()),
        ),
    )
