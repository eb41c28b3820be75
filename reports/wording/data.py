"""What came in, what was used, whether it gives the diagnosis away, and where lesions were known from."""

from collections.abc import Sequence
from typing import Final

from data_contracts.results import DataFlow, LesionSource, ShortcutScores
from reports.language import _, later, plural
from reports.numbers import percent, slices, units, whole
from reports.wording.names import LABEL_RULE_NAMES
from reports.wording.rules import rule_name

__all__ = ["rule_name"]  # beside the functions, for the templates

LESION_SOURCES: Final = {
    "given": later("masks given with the scans"),
    "drawn": later("outlines drawn by hand"),
    "found": later("a search that was shown no mask, in the training part alone"),
}
PLANES: Final = {  # sequences are written alike in every language
    "axial": later("axial"),
    "coronal": later("coronal"),
    "sagittal": later("sagittal"),
    "unknown": later("unknown"),
}
UNCHECKED: Final = later(
    "Nobody checked these outlines, so some may lie beside the lesion; how well the search did where masks are known "
    "stands in docs/painting.md. Added slices without a tumour were therefore made of slices without one, changed "
    "where a lesion might be."
)


def data_sentence(data: DataFlow) -> str:
    """What came in and what was used."""
    return _("{files} found; {slices} of {units} used.").format(
        files=plural("{n} file", "{n} files", data.files_found),
        slices=slices(data.slices_used),
        units=units(data.subjects, known=data.subjects_known),
    )


def kept_out_sentence(data: DataFlow) -> str:
    """How much did not enter the study, quarantined and left out apart."""
    total = {o: sum(rule.count for rule in data.out if rule.outcome == o) for o in ("quarantined", "left_out")}
    if not any(total.values()):
        return _("Nothing was kept out.")
    return _(
        "Kept out: {quarantined} quarantined as unusable, {left_out} sound but outside what the study asks for."
    ).format(
        quarantined=plural("{n} file or slice", "{n} files or slices", total["quarantined"]),
        left_out=whole(total["left_out"]),
    )


def duplicates_found(data: DataFlow) -> str:
    """How many duplicates there were, and what was done about them."""
    exact, near = data.exact_duplicates, data.near_duplicate_pairs
    if exact == near == 0:
        return _("No duplicate slices were found.")
    return _(
        "{exact} and {near} were found; duplicates were always kept on the same side of the split, so that no slice is "
        "tested on that was learned from."
    ).format(
        exact=plural("{n} exact duplicate", "{n} exact duplicates", exact),
        near=plural("{n} pair of near-duplicates", "{n} pairs of near-duplicates", near),
    )


def folds_sentence(data: DataFlow) -> str:
    """How many folds were evaluated of how many drawn, and how often all were drawn anew."""
    folds = plural("{n} fold", "{n} folds", data.folds_evaluated)
    if data.repeats > 1:
        said = _("{folds} evaluated of {drawn} drawn, and all drawn anew, {repeats} times in all.")
        return said.format(folds=folds, drawn=whole(data.folds_drawn), repeats=whole(data.repeats))
    return _("{folds} evaluated of {drawn} drawn.").format(folds=folds, drawn=whole(data.folds_drawn))


def series_name(name: str) -> str:
    """A sequence or a plane as the page calls it."""
    return _(PLANES[name]) if name in PLANES else name


def series_sentence(data: DataFlow) -> str:
    """The sequences and planes of what came in, as the source names them."""
    stated = (", ".join(series_name(name) for name in names) for names in (data.sequences, data.planes))
    sequences, planes = (names or _("not stated") for names in stated)
    return _("Sequences: {sequences}. Planes: {planes}.").format(sequences=sequences, planes=planes)


def review_sentence(data: DataFlow) -> str:
    """How much is used although a person should look at it."""
    total = sum(rule.count for rule in data.review)
    if not total:
        return _("No slice is used that its quality control wants a person to look at.")
    return plural(
        "{n} scan or slice is used although quality control wants a person to look at it; review.csv in the run "
        "folder lists each.",
        "{n} scans or slices are used although quality control wants a person to look at them; review.csv in the run "
        "folder lists each.",
        total,
    )


def label_sentence(data: DataFlow) -> str:
    """Where the diagnoses came from."""
    places = _(" and from ").join(
        _(LABEL_RULE_NAMES[rule]) if rule in LABEL_RULE_NAMES else rule for rule in data.label_rules
    )
    return _("Diagnosis from {places}.").format(places=places)


def shortcut_reading(scores: ShortcutScores) -> str:
    """Whether the diagnosis can be told without looking at the brain, with what it means where it can."""
    found = _(
        "{accuracy} balanced accuracy on {slices} held out, {confidence} interval {low} to {high}; shuffled diagnoses "
        "reach {shuffled}, guessing {guessing}"
    ).format(
        accuracy=percent(scores.balanced_accuracy.estimate, 0),
        slices=slices(scores.n_slices),
        confidence=percent(0.95, 0),
        low=percent(scores.balanced_accuracy.low, 0),
        high=percent(scores.balanced_accuracy.high, 0),
        shuffled=percent(scores.chance_high, 0),
        guessing=percent(0.5, 0),
    )
    if scores.what == "file_facts":
        meaning = (
            _(
                "The two diagnoses came by different roads: whatever looks at the raw files can tell them apart "
                "without the brain, so normalisation must hide it."
            )
            if scores.suspected
            else _("No shortcut was found in the files; one weaker than what shuffled diagnoses reach would not show.")
        )
        said = _("From size, format and header alone: {found}. {meaning}")
    else:
        meaning = (
            _(
                "Even the normalised images give the diagnosis away at their edge: every accuracy on this page may be "
                "too high."
            )
            if scores.suspected
            else _("No shortcut was found at the edge; one weaker than what shuffled diagnoses reach would not show.")
        )
        said = _("From corners and border of the normalised images alone: {found}. {meaning}")
    return said.format(found=found, meaning=meaning)


def lesions_reading(lesions: Sequence[LesionSource]) -> str:
    """Where lesions were known from and for how many slices, and that nobody checked found ones; empty without any."""
    return " ".join(
        _lesions_of(source, [one for one in lesions if one.source == source])
        for source in dict.fromkeys(one.source for one in lesions)
    )


def _lesions_of(source: str, of: Sequence[LesionSource]) -> str:
    usable, tumour = (sum(counts) / len(of) for counts in ([o.n_usable for o in of], [o.n_tumour for o in of]))
    message = (
        _(
            "Where lesions lie was known from {source}: usable in {usable} of {tumour} tumour slices of the training "
            "part (mean over {folds} folds)."
        )
        if len(of) > 1
        else _(
            "Where lesions lie was known from {source}: usable in {usable} of {tumour} tumour slices of the training "
            "part."
        )
    )
    said = message.format(
        source=_(LESION_SOURCES[source]), usable=whole(usable), tumour=whole(tumour), folds=whole(len(of))
    )
    return f"{said} {_(UNCHECKED)}" if source == "found" else said
