"""TRIPOD+AI: what a paper on a prediction model should say, read for the classifier that judges the synthetic set.

Numbers are those of Collins et al. (2024), "TRIPOD+AI statement", BMJ 385:e078378, doi 10.1136/bmj-2023-078378; what
each asks is in our words.
"""

from data_contracts.results import RunSummary
from reports.checklists import data, study
from reports.checklists.items import Answer, Checklist, Section, item, met, not_met, partly, unknown
from reports.language import _


def tripod(summary: RunSummary) -> Checklist:
    """The filled list: 52 items under 27 numbers."""
    about = _(
        "For papers on prediction models: Collins et al. (2024), BMJ 385:e078378. The model here is the classifier of "
        "tumour and no tumour. It is an instrument that judges the synthetic set and not meant for use. Numbers are "
        "theirs, words are ours; read their list before you hand anything in."
    )
    sections = (
        _opening(summary),
        _scans(summary),
        _outcome(summary),
        _number(summary),
        _analysis(summary),
        _fairness(summary),
        _openness(summary),
        _results(summary),
        _discussion(summary),
    )
    return Checklist("tripod", _("TRIPOD+AI"), about, sections)


def _opening(summary: RunSummary) -> Section:
    return Section(
        _("Title, summary, aim"),
        (
            item("1", _("Title that names model, patients and outcome"), unknown()),
            item("2", _("Summary"), study.summary_of_study(summary)),
            item("3a", _("Clinical context, and models there are already"), unknown()),
            item("3b", _("For whom and where in care the model is meant"), unknown()),
            item("3c", _("Known inequalities between groups of people"), unknown()),
            item("4", _("Aim of the study"), study.aim(summary)),
        ),
    )


def _scans(summary: RunSummary) -> Section:
    return Section(
        _("Scans and patients"),
        (
            item("5a", _("Sources of data, and whom they stand for"), data.sources(summary)),
            item("5b", _("Dates of the data"), unknown()),
            item("6a", _("Kind, number and place of the centres"), unknown()),
            item("6b", _("Who was eligible"), data.eligibility(summary)),
            item("6c", _("Treatments"), unknown()),
            item("7", _("How data were prepared and checked"), data.preparation(summary)),
        ),
    )


def _outcome(summary: RunSummary) -> Section:
    pixels = met("data", _("All pixels of one slice and nothing else of the patient; none was picked beforehand."))
    measured = met("data", _("No: the scanner measures the greys, and no reader judges them."))
    return Section(
        _("Outcome and what predicts it"),
        (
            item("8a", _("The outcome, and how it was determined"), data.reference_standard(summary)),
            item("8b", _("Who determined it"), unknown()),
            item("8c", _("Whether those who determined it were blind"), unknown()),
            item("9a", _("How predictors were chosen"), pixels),
            item("9b", _("The predictors in detail"), data.preparation(summary)),
            item("9c", _("Whether predictors need a reader’s judgement"), measured),
        ),
    )


def _number(summary: RunSummary) -> Section:
    return Section(
        _("Number and gaps"),
        (
            item("10", _("How the number of patients came about"), study.sample_size(summary)),
            item("11", _("Missing data"), data.missing(summary)),
        ),
    )


def _analysis(summary: RunSummary) -> Section:
    return Section(
        _("Analysis"),
        (
            item("12a", _("Which data served for training and which for testing"), data.assignment(summary)),
            item("12b", _("How predictors were scaled"), data.preparation(summary)),
            item("12c", _("Kind of model, how it was built and tested inside"), study.models(summary)),
            item("12d", _("Differences between hospitals"), unknown()),
            item("12e", _("Measures of performance"), study.measures(summary)),
            item("12f", _("Changes to the model after its test"), study.updating(summary)),
            item("12g", _("How predictions were calculated"), study.output(summary)),
            item("13", _("Diagnoses of unequal number"), study.balance(summary)),
        ),
    )


def _fairness(summary: RunSummary) -> Section:
    fair = not_met("", _("Not done: of age, sex and origin of the patients this run knows nothing."))
    return Section(
        _("Fairness, output, setting, ethics"),
        (
            item("14", _("What was done for fairness"), fair),
            item("15", _("What the model gives out, and its threshold"), study.output(summary)),
            item("16", _("Differences between training and test data"), study.other_setting(summary)),
            item("17", _("Ethics committee and consent"), unknown()),
        ),
    )


def _openness(summary: RunSummary) -> Section:
    return Section(
        _("Openness"),
        (
            item("18a", _("Funding"), unknown()),
            item("18b", _("Conflicts of interest"), unknown()),
            item("18c", _("Protocol"), study.protocol(summary)),
            item("18d", _("Registration"), unknown()),
            item("18e", _("Where the data may be had"), unknown()),
            item("18f", _("Where the code may be had"), study.program(summary)),
            item("19", _("Part that patients and public had"), unknown()),
        ),
    )


def _results(summary: RunSummary) -> Section:
    return Section(
        _("Results"),
        (
            item("20a", _("Flow of patients and slices"), data.flow(summary)),
            item("20b", _("What is known of the patients"), data.characteristics(summary)),
            item("20c", _("Patients of training and test compared"), data.characteristics(summary)),
            item("21", _("Patients and outcomes in each analysis"), data.events(summary)),
            item("22", _("The model, so that others can use it"), study.made_again(summary)),
            item("23a", _("Performance with intervals, for groups too"), study.subgroup_performance(summary)),
            item("23b", _("Performance by hospital"), unknown()),
            item("24", _("Results of changes to the model"), study.updating(summary)),
        ),
    )


def _discussion(summary: RunSummary) -> Section:
    return Section(
        _("Discussion"),
        (
            item("25", _("What the results mean, and for fairness"), study.meaning(summary)),
            item("26", _("Limits of the study"), study.known_limits(summary)),
            item("27a", _("What to do with poor or absent images in use"), _poor_images(summary)),
            item("27b", _("What users must do and know"), unknown()),
            item("27c", _("Next steps of research"), unknown()),
        ),
    )


def _poor_images(summary: RunSummary) -> Answer:
    """What this run did with them; use is no matter of a run."""
    return partly("data", data.missing(summary).text, _("What is to be done in use is not known."))
