"""A datasheet for the synthetic set: why there is one, what is in it, how it was made, what it is fit for.

After Gebru et al. (2021), "Datasheets for Datasets", Communications of the ACM 64(12):86-92; headings and questions
are in our words and only those that a synthetic set raises.
"""

from data_contracts.results import RunSummary
from reports.checklists import data, sets
from reports.checklists.items import Checklist, Section, item, met, unknown
from reports.language import _


def datasheet(summary: RunSummary) -> Checklist:
    """The filled datasheet of the set that this run made."""
    about = _(
        "After Gebru et al. (2021), Communications of the ACM 64(12):86-92, with questions in our words. It is of the "
        "synthetic set of this run, not of the scans that it was learned from."
    )
    sections = (_why(), _what(summary), _how(summary), _uses(summary), _afterwards(summary))
    return Checklist("datasheet", _("Datasheet of the synthetic set"), about, sections)


def _why() -> Section:
    purpose = met(
        "verdict",
        _("To be added to real slices when a classifier of tumour and no tumour is trained, and to see if that helps."),
    )
    return Section(
        _("Why it was made"),
        (
            item("1.1", _("For what purpose?"), purpose),
            item("1.2", _("Who made it, for whom, and who paid?"), unknown()),
        ),
    )


def _what(summary: RunSummary) -> Section:
    return Section(
        _("What is in it"),
        (
            item("2.1", _("What is one record?"), sets.one_piece(summary)),
            item("2.2", _("How many are there, by fold and diagnosis?"), sets.counts(summary)),
            item("2.3", _("What comes with each, and what is missing?"), sets.comes_with(summary)),
            item("2.4", _("What scans does it stand for?"), data.acquisition(summary)),
            item("2.5", _("Does each show the diagnosis it is called by?"), sets.diagnoses_hold(summary)),
            item("2.6", _("Does it show patients?"), sets.shows_patients(summary)),
            item("2.7", _("How varied is it, and does it repeat itself?"), sets.variety(summary)),
            item("2.8", _("Does it carry shortcuts?"), sets.shortcuts(summary)),
            item("2.9", _("Which parts are to be used with which real slices?"), sets.parts(summary)),
            item("2.10", _("How are its slices told from real ones?"), sets.marked(summary)),
        ),
    )


def _how(summary: RunSummary) -> Section:
    return Section(
        _("How it was made"),
        (
            item("3.1", _("By what method?"), sets.method(summary)),
            item("3.2", _("From how many real slices?"), sets.learned_from(summary)),
            item("3.3", _("When and where were those scans made?"), unknown()),
            item("3.4", _("Did patients consent, and did an ethics committee approve?"), unknown()),
            item("3.5", _("How were the real slices prepared?"), data.preparation(summary)),
            item("3.6", _("What was refused afterwards?"), sets.screen(summary)),
        ),
    )


def _uses(summary: RunSummary) -> Section:
    return Section(
        _("What it is fit for"),
        (
            item("4.1", _("What has it been used for?"), sets.used_already(summary)),
            item("4.2", _("What is it good for?"), sets.uses(summary)),
            item("4.3", _("What must it not be used for?"), sets.unsuited(summary)),
        ),
    )


def _afterwards(summary: RunSummary) -> Section:
    return Section(
        _("Passing it on, keeping it up"),
        (
            item("5.1", _("Who may have it, and under what licence?"), unknown()),
            item("5.2", _("What rights do others have in the scans behind it?"), unknown()),
            item("5.3", _("Who keeps it, and whom does one write to?"), unknown()),
            item("5.4", _("Will errors be corrected, and will patients who withdraw be taken out?"), unknown()),
            item("5.5", _("Which version is it?"), sets.same_again(summary)),
        ),
    )
