"""What came in, what was used, whether it gives the diagnosis away, and where lesions were known from."""

from collections.abc import Sequence
from typing import Final

from data_contracts.results import DataFlow, LesionSource, ShortcutScores
from reports.numbers import NBSP, count, percent, slices, units
from reports.wording.names import LABEL_RULE_NAMES

LESION_SOURCES: Final = {
    "given": "masks given with the scans",
    "drawn": "outlines drawn by hand",
    "found": "a search that was shown no mask, in the training part alone",
}
UNCHECKED: Final = (
    "Nobody checked these outlines, so some may lie beside the lesion; how well the search did where masks are known "
    "stands in docs/painting.md."
)


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
    """Where lesions were known from and for how many slices, and that nobody checked found ones; empty without any."""
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
    return f"{said}{_clean(of)} {UNCHECKED}" if source == "found" else said


def _clean(of: Sequence[LesionSource]) -> str:
    """How many finds can be painted out; begins with a space, or is empty where it was not noted."""
    noted = [(o.n_clean, o.n_usable) for o in of if o.n_clean is not None]
    if not noted:
        return ""
    clean, usable = (sum(counts) / len(noted) for counts in zip(*noted, strict=True))
    return (
        f" In {_whole(clean)} of these {_whole(usable)} the classifier sees no tumour any more once the find is "
        "painted over: only they are made into slices without a tumour."
    )


def _whole(n: float) -> str:
    return f"{n:,.0f}"
