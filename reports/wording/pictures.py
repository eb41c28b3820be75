"""What a picture shows."""

from typing import Final

from data_contracts.results import Picture
from reports.numbers import count
from reports.wording.cases import case_picture_text
from reports.wording.names import made, maker, slices_of

_NOT_ALWAYS_LAST: Final = "The generator that is used may be of an earlier moment than the last."


def still_text(picture: Picture, *, painted: bool = False) -> str:
    """What stands in place of a film where nothing may move, as its alternative text."""
    name, n, by = slices_of(picture.diagnosis), picture.n, maker(painted=painted)
    return f"The last moment of the film: {count(n, 'slice', 'slices')} by the {by} of {name}."


def picture_text(picture: Picture, *, painted: bool = False) -> str:
    """What a picture shows, as its alternative text and caption."""
    name, n, fold = slices_of(picture.diagnosis), picture.n, picture.fold
    if picture.kind in ("looks_right", "looks_wrong", "wrong"):
        return case_picture_text(picture)
    if picture.kind == "review":
        shown = name.removesuffix("s") if n == 1 else name
        return f"{n:,} real {shown} that quality control wants a person to look at, those first that may be no head."
    if picture.kind == "training":
        return (
            f"{_over_training(picture, painted=painted)} as training went on: one row a moment, the first at the top, "
            f"the last at the bottom (fold {fold}).{'' if painted else f' {_NOT_ALWAYS_LAST}'}"
        )
    if picture.kind == "film":
        seen = _over_training(picture, painted=painted)
        return (
            f"Film: {seen[0].lower()}{seen[1:]} as training went on, from the first moment to the last, on which it "
            f"rests (fold {fold}).{'' if painted else f' {_NOT_ALWAYS_LAST}'}"
        )
    if picture.kind == "nearest_pairs":
        alike = "whose painted regions are most alike: left painted" if painted else "most alike: left synthetic"
        return (
            f"The {count(n, 'pair', 'pairs')} of {name} {alike}, right the nearest real training slice, most alike "
            f"first (fold {fold})."
        )
    synthetic = made(painted=painted)
    origin = {"real": "real", "synthetic": synthetic, "both": f"real and {synthetic}"}[picture.origin]
    shown = name.removesuffix("slices")
    return f"{n:,} {origin} {shown}{'slice' if n == 1 else 'slices'} (fold {fold})."


def _over_training(picture: Picture, *, painted: bool) -> str:
    """What one generator made again and again: of the same latents, or in the same real slices."""
    name, n = slices_of(picture.diagnosis), picture.n
    if painted:
        return f"What the painter of {name} painted into the same {count(n, 'real slice', 'real slices')}"
    return f"What the generator of {name} made of the same {count(n, 'latent', 'latents')}"
