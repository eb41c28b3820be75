"""What a picture shows."""

from typing import Final

from data_contracts.results import Picture
from reports.numbers import count
from reports.wording.names import slices_of

_NOT_ALWAYS_LAST: Final = "The generator that is used may be of an earlier moment than the last."


def still_text(picture: Picture) -> str:
    """What stands in place of a film where nothing may move, as its alternative text."""
    name, n = slices_of(picture.diagnosis), picture.n
    return f"The last moment of the film: {count(n, 'slice', 'slices')} by the generator of {name}."


def picture_text(picture: Picture) -> str:
    """What a picture shows, as its alternative text and caption."""
    name, n = slices_of(picture.diagnosis), picture.n
    if picture.kind == "review":
        shown = name.removesuffix("s") if n == 1 else name
        return f"{n:,} real {shown} that quality control wants a person to look at, those first that may be no head."
    if picture.kind == "training":
        return (
            f"What the generator of {name} made of the same {count(n, 'latent', 'latents')} as training went on: one "
            f"row a moment, the first at the top, the last at the bottom (fold {picture.fold}). {_NOT_ALWAYS_LAST}"
        )
    if picture.kind == "film":
        return (
            f"Film: what the generator of {name} made of the same {count(n, 'latent', 'latents')} as training went on, "
            f"from the first moment to the last, on which it rests (fold {picture.fold}). {_NOT_ALWAYS_LAST}"
        )
    if picture.kind == "nearest_pairs":
        return (
            f"The {count(n, 'pair', 'pairs')} of {name} most alike: left synthetic, right the nearest real training "
            f"slice, most alike first (fold {picture.fold})."
        )
    origin = {"real": "real", "synthetic": "synthetic", "both": "real and synthetic"}[picture.origin]
    shown = slices_of(picture.diagnosis).removesuffix("slices")
    return f"{n:,} {origin} {shown}{'slice' if n == 1 else 'slices'} (fold {picture.fold})."
