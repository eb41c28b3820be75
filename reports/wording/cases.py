"""Single test slices: what the classifiers look at in some of them, and the ones that are called wrong."""

from statistics import mean, median
from typing import Final

from data_contracts.manifest import TUMOUR
from data_contracts.results import OcclusionCase, Occlusions, Picture, WrongCase, WrongCases
from reports.language import _, later, plural
from reports.numbers import decimal, in_points, percent, slices, units, whole
from reports.wording.names import kind

LITTLE: Final = 0.05  # fall of a probability below which no place is said to matter
CLEARLY: Final = 1.5  # times what chance would put into a lesion, or the inverse of it
LOOKS_LIMITS: Final = later(
    "A map says where, not why. A sign that stands in several places at once is never covered whole and so may not "
    "show. So few slices are examples, not a measurement."
)
OUTLINE: Final = later("The dashed outline is the lesion.")
WRONG_NUMBERS: Final = later(
    "The numbers below the pictures are this run’s own; with them the owner of the scans finds the files: {command}."
)


def looks_method(occlusions: Occlusions) -> str:
    """How a map came about and how it is read."""
    return _(
        "A square {share} as wide as the slice was moved over each slice, and what lay under it was replaced by a "
        "blurred copy of it. Colour marks where that lowers the probability of the answer that the classifier gave: "
        "there it looks. The lighter, the more; a line runs at half of the greatest effect, and is missing where no "
        "place matters much."
    ).format(share=percent(occlusions.patch_share, 0))


def has_outlines(occlusions: Occlusions) -> bool:
    """Whether a lesion is outlined in any of the pictures."""
    return any(case.lesion_share is not None for case in occlusions.cases)


def looks_choice(occlusions: Occlusions) -> str:
    """From how many slices those shown were drawn, and by what."""
    right, wrong = sum(occlusions.n_right.values()), sum(occlusions.n_wrong.values())
    told = {"fold": occlusions.fold, "n": slices(right + wrong), "right": whole(right), "wrong": whole(wrong)}
    if not wrong:
        return _(
            "The first classifier with synthetic slices called all {n} that fold {fold} tests right; those shown were "
            "drawn by lot."
        ).format(**told)
    return _(
        "Of the {n} that fold {fold} tests, the first classifier with synthetic slices called {right} right and "
        "{wrong} wrong; those shown were drawn by lot from both."
    ).format(**told)


def looks_effect(occlusions: Occlusions) -> str:
    """How much the answer hangs on one place, with and without synthetic slices."""
    ours, theirs = (
        [getattr(case, name) for case in occlusions.cases] for name in ("largest_fall", "reference_largest_fall")
    )
    told = {
        "n": slices(len(ours)),
        "fall": in_points(decimal(100 * median(ours), 1)),
        "most": in_points(decimal(100 * max(ours), 1)),
        "reference": in_points(decimal(100 * median(theirs), 1)),
    }
    if median(ours) < LITTLE:
        return _(
            "In half of the {n}, covering any one place lowers that probability by {fall} or less ({most} at most); "
            "without synthetic slices by {reference} or less. No single place decides there, and pale colour says "
            "little."
        ).format(**told)
    return _(
        "In half of the {n}, covering the place that matters most lowers that probability by {fall} or more ({most} at "
        "most); without synthetic slices by {reference} or more."
    ).format(**told)


def lesion_reading(occlusions: Occlusions) -> str:
    """How much of the maps lies in the lesion, beside what an even map would put there; empty where no mask is known.

    Of slices that both classifiers call tumour: no lesion speaks for the other answer.
    """
    found = [
        (case.in_lesion, case.reference_in_lesion, case.lesion_share)
        for case in occlusions.cases
        if case.in_lesion is not None and case.reference_in_lesion is not None and case.lesion_share is not None
    ]
    if not found:
        return ""
    ours, theirs, area = (mean(values) for values in zip(*found, strict=True))
    told = {
        "n": plural("{n} tumour slice", "{n} tumour slices", len(found)),
        "inside": percent(ours, 0),
        "area": percent(area, 0),
        "reference": percent(theirs, 0),
    }
    if ours > CLEARLY * area:
        return _(
            "In {n} that both classifiers called tumour, {inside} of what is coloured lies in the lesion, which is "
            "{area} of the head: more than chance would put there (without synthetic slices: {reference})."
        ).format(**told)
    if ours < area / CLEARLY:
        return _(
            "In {n} that both classifiers called tumour, {inside} of what is coloured lies in the lesion, which is "
            "{area} of the head: less than chance would put there, so these answers rest on something else (without "
            "synthetic slices: {reference})."
        ).format(**told)
    return _(
        "In {n} that both classifiers called tumour, {inside} of what is coloured lies in the lesion, which is {area} "
        "of the head: about what chance would put there (without synthetic slices: {reference})."
    ).format(**told)


def case_picture_text(picture: Picture) -> str:
    """What a sheet of maps or a picture of a slice called wrong shows, as its alternative text."""
    if picture.kind == "wrong":
        if picture.diagnosis == TUMOUR:
            return _("A real slice with a tumour that is called no tumour.")
        return _("A real slice without a tumour that is called tumour.")
    if picture.kind == "looks_right":
        said = plural(
            "{n} real {kind} slice that the classifier with synthetic slices calls right: left the slice, in the "
            "middle what that classifier looks at, right what the one without synthetic slices looks at (fold {fold}).",
            "{n} real {kind} slices that the classifier with synthetic slices calls right, one a row: left the slice, "
            "in the middle what that classifier looks at, right what the one without synthetic slices looks at "
            "(fold {fold}).",
            picture.n,
        )
    else:
        said = plural(
            "{n} real {kind} slice that the classifier with synthetic slices calls wrong: left the slice, in the "
            "middle what that classifier looks at, right what the one without synthetic slices looks at (fold {fold}).",
            "{n} real {kind} slices that the classifier with synthetic slices calls wrong, one a row: left the slice, "
            "in the middle what that classifier looks at, right what the one without synthetic slices looks at "
            "(fold {fold}).",
            picture.n,
        )
    return said.format(kind=kind(picture.diagnosis), fold=picture.fold)


def wrong_reading(wrong: WrongCases, *, known: bool) -> str:
    """How many slices are called wrong with and without synthetic slices, and how many changed sides."""
    return _(
        "Of {n} of {units}, {both} are called wrong with synthetic slices and without. Synthetic slices mended "
        "{mended} that are called wrong without them, and broke {broken} that are called right."
    ).format(
        n=plural("{n} real test slice", "{n} real test slices", wrong.n_slices),
        units=units(wrong.n_subjects, known=known),
        both=whole(wrong.both.n_slices),
        mended=whole(wrong.mended.n_slices),
        broken=whole(wrong.broken.n_slices),
    )


def wrong_direction(wrong: WrongCases) -> str:
    """Whether more were mended than broken, and what that does not show."""
    fewer = wrong.mended.n_slices - wrong.broken.n_slices
    trainings = whole(wrong.n_trainings)
    if not wrong.mended.n_slices + wrong.broken.n_slices:
        said = _("None changed sides.")
    elif fewer > 0:
        said = _("More were mended than broken: {n} fewer wrong.").format(n=slices(fewer))
    elif fewer < 0:
        said = _("More were broken than mended: {n} more wrong.").format(n=slices(-fewer))
    else:
        said = _("As many were broken as mended.")
    basis = plural(
        "A slice counts by the one training of each arm; another training would call some of them otherwise, so the "
        "verdict rests on intervals and not on these counts.",
        "A slice counts by its mean probability over {n} trainings of each arm; other trainings would call some of "
        "them otherwise, so the verdict rests on intervals and not on these counts.",
        wrong.n_trainings,
    ).format(n=trainings)
    return f"{said} {basis}"


def worst_reading(wrong: WrongCases, *, known: bool) -> str:
    """Which of the wrong slices are shown."""
    n, of = len(wrong.cases), wrong.both.n_slices + wrong.broken.n_slices
    if not n:
        return _("With synthetic slices no slice is called wrong.")
    if n == of:
        return plural(
            "The one slice that is called wrong with synthetic slices.",
            "All {n} slices that are called wrong with synthetic slices, the surest first.",
            n,
        )
    if known:
        return plural(
            "Of {of} that are called wrong with synthetic slices, the one that is called so most surely.",
            "Of {of} that are called wrong with synthetic slices, the {n} that are called so most surely, one of each "
            "subject, the surest first.",
            n,
        ).format(of=slices(of))
    return plural(
        "Of {of} that are called wrong with synthetic slices, the one that is called so most surely.",
        "Of {of} that are called wrong with synthetic slices, the {n} that are called so most surely, one of each "
        "image group, the surest first.",
        n,
    ).format(of=slices(of))


def case_text(case: WrongCase) -> str:
    """One slice that is called wrong: what it shows, how sure the classifiers are, and whether they agree."""
    tumour = case.diagnosis == TUMOUR
    if case.reference_wrong:
        said = (
            _("Tumour, called no tumour: probability of tumour {ours}. Without synthetic slices {theirs}, wrong too.")
            if tumour
            else _("No tumour, called tumour: probability {ours}. Without synthetic slices {theirs}, wrong too.")
        )
    else:
        said = (
            _("Tumour, called no tumour: probability of tumour {ours}. Without synthetic slices {theirs}, right.")
            if tumour
            else _("No tumour, called tumour: probability {ours}. Without synthetic slices {theirs}, right.")
        )
    return said.format(ours=percent(case.probability, 0), theirs=percent(case.reference_probability, 0))


def answer_name(case: OcclusionCase) -> str:
    """Whether a slice under a map is called what it is."""
    return _("right") if case.right else _("wrong")
