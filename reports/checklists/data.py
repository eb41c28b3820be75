"""What the run answers about its scans: where they came from, what was kept, how they were divided and prepared."""

from data_contracts.results import RunSummary
from reports.checklists.items import Answer, met, partly, unknown
from reports.language import _, capitalised, plural
from reports.numbers import decimal, slices, units
from reports.settings import number, switch
from reports.wording.data import data_sentence, kept_out_sentence, label_sentence, series_name
from reports.wording.names import diagnosis_name

LETTERS_RULE = "burned_in_text"  # of the review list: a slice that may show letters


def sources(summary: RunSummary) -> Answer:
    """How much came in; never where it came from."""
    external = summary.external
    further = "" if external is None else _("A locked test set came in beside it.")
    origin = _("Hospital, scanner and dates of the scans are not known.")
    return partly("data", data_sentence(summary.data), further, origin)


def eligibility(summary: RunSummary) -> Answer:
    """What the program kept out; never by which criteria patients were scanned."""
    criteria = _("By which criteria patients were chosen and scanned is not known.")
    return partly("data", kept_out_sentence(summary.data), criteria)


def subsets(summary: RunSummary) -> Answer:
    """What was sound and still left out."""
    n = _out(summary, "left_out")
    if not n:
        return met("data", _("No sound file or slice was left out by a rule of the study."))
    return met(
        "data",
        plural(
            "{n} sound file or slice was left out by rules of the study, counted by reason.",
            "{n} sound files or slices were left out by rules of the study, counted by reason.",
            n,
        ),
    )


def missing(summary: RunSummary) -> Answer:
    """What became of what could not be used."""
    n = _out(summary, "quarantined")
    if not n:
        return met("data", _("No file or slice had to be refused as unusable, and none was filled in."))
    return met(
        "data",
        plural(
            "{n} unusable file or slice was refused with its reason, and none was filled in.",
            "{n} unusable files or slices were refused with their reasons, and none was filled in.",
            n,
        ),
    )


def _out(summary: RunSummary, outcome: str) -> int:
    return sum(rule.count for rule in summary.data.out if rule.outcome == outcome)


def flow(summary: RunSummary) -> Answer:
    """How many came in, were used, and were kept out."""
    return met("data", data_sentence(summary.data), kept_out_sentence(summary.data))


def names_removed(summary: RunSummary) -> Answer:
    """What the run itself does about names, and what of the scans it cannot know."""
    return partly(
        "data",
        _("The records of this run carry numbers in place of the names of patients and files."),
        _letters(summary),
        _("What was done to the scans before is not known."),
    )


def _letters(summary: RunSummary) -> str:
    """How many used slices may show letters, for these may be names; empty where none is suspected."""
    n = sum(rule.count for rule in summary.data.review if rule.rule == LETTERS_RULE)
    if not n:
        return ""
    return plural(
        "{n} slice that is used may show letters: look whether they name anyone.",
        "{n} slices that are used may show letters: look whether they name anyone.",
        n,
    )


def acquisition(summary: RunSummary) -> Answer:
    """Sequences and planes, where the source names them."""
    sequences, planes = (_known(names) for names in (summary.data.sequences, summary.data.planes))
    if not sequences and not planes:
        return unknown(_("The source states neither sequence nor plane."), anchor="data")
    return partly(
        "data",
        _("Sequences: {sequences}. Planes: {planes}.").format(
            sequences=sequences or _("not stated"), planes=planes or _("not stated")
        ),
        _("Scanner, field strength and settings are not known."),
    )


def _known(names: tuple[str, ...]) -> str:
    return ", ".join(series_name(name) for name in names if name != "unknown")


def reference_standard(summary: RunSummary) -> Answer:
    """Where the diagnoses came from."""
    if not summary.data.label_rules:
        return unknown(_("Where the diagnoses came from was not recorded."), anchor="data")
    return partly("data", label_sentence(summary.data), _("This run did not check it and does not know who made it."))


def test_annotation(summary: RunSummary) -> Answer:
    """Whether test slices got their diagnosis otherwise than others."""
    if not summary.data.label_rules:
        return unknown(_("Where the diagnoses came from was not recorded."), anchor="data")
    return partly("data", _("Test slices got their diagnosis as all others did; this run did not look at them again."))


def assignment(summary: RunSummary) -> Answer:
    """How slices came into training and test."""
    data = summary.data
    parts = plural(
        "All slices were divided at random into {n} part.",
        "All slices were divided at random into {n} parts.",
        data.folds_drawn,
    )
    drawn = (
        _("Whole patients were drawn, both diagnoses spread evenly.")
        if data.subjects_known
        else _("Whole groups of copies were drawn, both diagnoses spread evenly.")
    )
    tested = plural(
        "{n} of these parts was tested on by models that learned from the others.",
        "{n} of these parts were each tested on by models that learned from the others.",
        data.folds_evaluated,
    )
    again = (
        plural("This was done once.", "This was done {n} times, drawn anew each time.", data.repeats)
        if data.repeats > 1
        else ""
    )
    return met("data", parts, drawn, tested, again, _("Synthetic slices were only ever learned from, never tested on."))


def disjoint(summary: RunSummary) -> Answer:
    """At which level nothing stands on both sides of the split."""
    if summary.data.subjects_known:
        return met("data", _("Patients: no patient and no copy of a slice stands on both sides of the split."))
    return partly(
        "limits",
        _("Groups of copies: the source names no patients, so two different slices of one may stand on both sides."),
    )


def preparation(summary: RunSummary) -> Answer:
    """What was done to a slice before anything learned from it."""
    size = summary.data.image_size
    low, high = (number(summary, "normalise", name) for name in ("low_percentile", "high_percentile"))
    if low is None or high is None:
        told = _("Each slice was reduced to {size} × {size} pixels. How else it was prepared was not recorded.")
        return partly("data", told.format(size=size))
    return met(
        "provenance",
        _("Each slice was cut to the head and reduced to {size} × {size} pixels.").format(size=size),
        _("Its greys were scaled by percentiles {low} to {high} of the head and by what training slices say.").format(
            low=decimal(low, 1), high=decimal(high, 1)
        ),
        _scale(number(summary, "normalise", "spacing_mm")),
        _shading(switch(summary, "normalise", "bias_correction")),
        _skull(switch(summary, "normalise", "strip")),
    )


def _scale(spacing_mm: float | None) -> str:
    if spacing_mm is None:
        return _("Every head fills the frame, so its size in millimetres is lost.")
    return _("One pixel is {mm} mm wide.").format(mm=decimal(spacing_mm, 2))


def _shading(corrected: bool | None) -> str:
    if corrected is None:
        return ""
    return _("Shading by the coil was corrected.") if corrected else _("Shading by the coil was not corrected.")


def _skull(stripped: bool | None) -> str:
    if stripped is None:
        return ""
    return _("Skull and scalp were taken off.") if stripped else _("Skull and scalp were left on.")


def characteristics(summary: RunSummary) -> Answer:
    """What is known of the patients on either side of the split: their diagnosis and number alone."""
    if not summary.data.classes:
        return unknown(_("The run did not count its patients by diagnosis."), anchor="data")
    return partly("data", *_sides(summary), _("Age, sex and clinical findings are not known."))


def events(summary: RunSummary) -> Answer:
    """Patients and slices of each diagnosis in training and test."""
    if not summary.data.classes:
        tested = _("Tested on {slices} of {units}; the diagnoses were not counted apart.")
        difference = summary.difference
        n = units(difference.n_subjects, known=summary.data.subjects_known)
        return partly("gain", tested.format(slices=slices(difference.n_slices), units=n))
    return met("data", *_sides(summary))


def _sides(summary: RunSummary) -> list[str]:
    """A sentence a diagnosis: how much was learned from and tested on in fold 0."""
    known = summary.data.subjects_known
    told = _("{diagnosis}: learned from {train} of {train_units}, tested on {test} of {test_units} (fold 0).")
    return [
        told.format(
            diagnosis=capitalised(diagnosis_name(c.diagnosis)),
            train=slices(c.train_slices),
            train_units=units(c.train_subjects, known=known),
            test=slices(c.test_slices),
            test_units=units(c.test_subjects, known=known),
        )
        for c in summary.data.classes
    ]
