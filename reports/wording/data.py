"""What came in, what was used, whether it gives the diagnosis away, and where lesions were known from."""

from collections.abc import Sequence
from typing import Final

from data_contracts.results import DataFlow, LesionSource, ShortcutScores
from reports.numbers import NBSP, count, decimal, percent, slices, units
from reports.wording.names import LABEL_RULE_NAMES

LESION_SOURCES: Final = {
    "given": "masks given with the scans",
    "drawn": "outlines drawn by hand",
    "found": "a search that was shown no mask, in the training part alone",
}


def data_sentence(data: DataFlow) -> str:
    """What came in and what was used."""
    return (
        f"{count(data.files_found, 'file', 'files')} found; {slices(data.slices_used)} of "
        f"{units(data.subjects, known=data.subjects_known)} used."
    )


def kept_out_sentence(data: DataFlow) -> str:
    """How much did not enter the study, quarantined and left out apart."""
    total = {o: sum(rule.count for rule in data.out if rule.outcome == o) for o in ("quarantined", "left_out")}
    if not any(total.values()):
        return "Nothing was kept out."
    return (
        f"Kept out: {count(total['quarantined'], 'file or slice', 'files or slices')} quarantined as unusable, "
        f"{total['left_out']:,} sound but outside what the study asks for."
    )


def duplicates_found(data: DataFlow) -> str:
    """How many duplicates there were, and what was done about them."""
    exact, near = data.exact_duplicates, data.near_duplicate_pairs
    if exact == near == 0:
        return "No duplicate slices were found."
    return (
        f"{count(exact, 'exact duplicate', 'exact duplicates')} and "
        f"{count(near, 'pair of near-duplicates', 'pairs of near-duplicates')} were found; duplicates were always kept "
        "on the same side of the split, so that no slice is tested on that was learned from."
    )


def review_sentence(data: DataFlow) -> str:
    """How much is used although a person should look at it."""
    total = sum(rule.count for rule in data.review)
    if not total:
        return "No slice is used that its quality control wants a person to look at."
    return (
        f"{count(total, 'scan or slice is', 'scans or slices are')} used although quality control wants a person to "
        "look at them; review.csv in the run folder lists each."
    )


def label_sentence(data: DataFlow) -> str:
    """Where the diagnoses came from."""
    return f"Diagnosis from {' and from '.join(LABEL_RULE_NAMES.get(rule, rule) for rule in data.label_rules)}."


def shortcut_reading(scores: ShortcutScores) -> str:
    """Whether the diagnosis can be told without looking at the brain, with what it means where it can."""
    found = (
        f"{percent(scores.balanced_accuracy.estimate, 0)} balanced accuracy on {slices(scores.n_slices)} held out, "
        f"95{NBSP}% interval {percent(scores.balanced_accuracy.low, 0)} to "
        f"{percent(scores.balanced_accuracy.high, 0)}; shuffled diagnoses reach {percent(scores.chance_high, 0)}, "
        f"guessing 50{NBSP}%"
    )
    if scores.what == "file_facts":
        meaning = (
            "The two diagnoses came by different roads: whatever looks at the raw files can tell them apart without "
            "the brain, so normalisation must hide it."
            if scores.suspected
            else "No shortcut was found in the files; one weaker than what shuffled diagnoses reach would not show."
        )
        return f"From size, format and header alone: {found}. {meaning}"
    meaning = (
        "Even the normalised images give the diagnosis away at their edge: every accuracy on this page may be too high."
        if scores.suspected
        else "No shortcut was found at the edge; one weaker than what shuffled diagnoses reach would not show."
    )
    return f"From corners and border of the normalised images alone: {found}. {meaning}"


def rule_name(rule: str) -> str:
    """A quarantine rule as words: `not_a_head` is `not a head`."""
    return rule.replace("_", " ")


def lesions_reading(lesions: Sequence[LesionSource]) -> str:
    """Where lesions were known from, for how many slices, and how good found ones are; empty where none were needed."""
    return " ".join(
        _lesions_of(source, [one for one in lesions if one.source == source])
        for source in dict.fromkeys(one.source for one in lesions)
    )


def _lesions_of(source: str, of: Sequence[LesionSource]) -> str:
    usable, tumour = (sum(counts) / len(of) for counts in ([o.n_usable for o in of], [o.n_tumour for o in of]))
    mean = f" (mean over {len(of)} folds)" if len(of) > 1 else ""
    said = (
        f"Where lesions lie was known from {LESION_SOURCES[source]}: usable in {_whole(usable)} of {_whole(tumour)} "
        f"tumour slices of the training part{mean}."
    )
    return f"{said} {_found_quality(of)}" if source == "found" else said


def _found_quality(of: Sequence[LesionSource]) -> str:
    dice, hits = [o.dice for o in of if o.dice is not None], [o.hit_rate for o in of if o.hit_rate is not None]
    found = [
        f"Dice {decimal(sum(dice) / len(dice), 2)} (1 is the same outline)" if dice else "",
        f"the most suspicious point lies in the lesion in {percent(sum(hits) / len(hits), 0)} of slices"
        if hits
        else "",
    ]
    if not any(found):
        return "How well these match the true lesions is not known: no true mask was at hand."
    return f"Held against true masks that the search did not see: {', '.join(text for text in found if text)}."


def _whole(n: float) -> str:
    return f"{n:,.0f}"
