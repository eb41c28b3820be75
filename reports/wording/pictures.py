"""What a picture shows."""

from data_contracts.results import Picture
from reports.language import _, plural
from reports.numbers import slices, whole
from reports.wording.cases import case_picture_text
from reports.wording.names import kind


def still_text(picture: Picture, *, painted: bool = False) -> str:
    """What stands in place of a film where nothing may move, as its alternative text."""
    said = (
        _("The last moment of the film: {slices} by the painter of {kind} slices.")
        if painted
        else _("The last moment of the film: {slices} by the generator of {kind} slices.")
    )
    return said.format(slices=slices(picture.n), kind=kind(picture.diagnosis))


def picture_text(picture: Picture, *, painted: bool = False) -> str:
    """What a picture shows, as its alternative text and caption."""
    if picture.kind in ("looks_right", "looks_wrong", "wrong"):
        return case_picture_text(picture)
    said = {
        "review": _review,
        "training": _training,
        "film": _film,
        "nearest_pairs": _nearest_pairs,
        "slices": _slices,
    }[picture.kind](picture, painted=painted)
    return said.format(number=whole(picture.n), kind=kind(picture.diagnosis), fold=picture.fold)


def _review(picture: Picture, *, painted: bool) -> str:  # noqa: ARG001  real slices either way
    return plural(
        "{number} real {kind} slice that quality control wants a person to look at, those first that may be no head.",
        "{number} real {kind} slices that quality control wants a person to look at, those first that may be no head.",
        picture.n,
    )


def _training(picture: Picture, *, painted: bool) -> str:
    if painted:
        return plural(
            "What the painter of {kind} slices painted into the same {n} real slice as training went on: one row a "
            "moment, the first at the top, the last at the bottom (fold {fold}).",
            "What the painter of {kind} slices painted into the same {n} real slices as training went on: one row a "
            "moment, the first at the top, the last at the bottom (fold {fold}).",
            picture.n,
        )
    return plural(
        "What the generator of {kind} slices made of the same {n} latent as training went on: one row a moment, the "
        "first at the top, the last at the bottom (fold {fold}). The generator that is used may be of an earlier "
        "moment than the last.",
        "What the generator of {kind} slices made of the same {n} latents as training went on: one row a moment, the "
        "first at the top, the last at the bottom (fold {fold}). The generator that is used may be of an earlier "
        "moment than the last.",
        picture.n,
    )


def _film(picture: Picture, *, painted: bool) -> str:
    if painted:
        return plural(
            "Film: what the painter of {kind} slices painted into the same {n} real slice as training went on, from "
            "the first moment to the last, on which it rests (fold {fold}).",
            "Film: what the painter of {kind} slices painted into the same {n} real slices as training went on, from "
            "the first moment to the last, on which it rests (fold {fold}).",
            picture.n,
        )
    return plural(
        "Film: what the generator of {kind} slices made of the same {n} latent as training went on, from the first "
        "moment to the last, on which it rests (fold {fold}). The generator that is used may be of an earlier moment "
        "than the last.",
        "Film: what the generator of {kind} slices made of the same {n} latents as training went on, from the first "
        "moment to the last, on which it rests (fold {fold}). The generator that is used may be of an earlier moment "
        "than the last.",
        picture.n,
    )


def _nearest_pairs(picture: Picture, *, painted: bool) -> str:
    if painted:
        return plural(
            "The {n} pair of {kind} slices whose painted regions are most alike: left painted, right the nearest real "
            "training slice, most alike first (fold {fold}).",
            "The {n} pairs of {kind} slices whose painted regions are most alike: left painted, right the nearest real "
            "training slice, most alike first (fold {fold}).",
            picture.n,
        )
    return plural(
        "The {n} pair of {kind} slices most alike: left synthetic, right the nearest real training slice, most alike "
        "first (fold {fold}).",
        "The {n} pairs of {kind} slices most alike: left synthetic, right the nearest real training slice, most alike "
        "first (fold {fold}).",
        picture.n,
    )


def _slices(picture: Picture, *, painted: bool) -> str:
    n = picture.n
    if picture.origin == "real":
        return plural("{number} real {kind} slice (fold {fold}).", "{number} real {kind} slices (fold {fold}).", n)
    if picture.origin == "synthetic" and painted:
        return plural(
            "{number} painted {kind} slice (fold {fold}).", "{number} painted {kind} slices (fold {fold}).", n
        )
    if picture.origin == "synthetic":
        return plural(
            "{number} synthetic {kind} slice (fold {fold}).", "{number} synthetic {kind} slices (fold {fold}).", n
        )
    if painted:
        return plural(
            "{number} real and painted {kind} slice (fold {fold}).",
            "{number} real and painted {kind} slices (fold {fold}).",
            n,
        )
    return plural(
        "{number} real and synthetic {kind} slice (fold {fold}).",
        "{number} real and synthetic {kind} slices (fold {fold}).",
        n,
    )
