"""What the swipe over a pair of most alike slices shows, a pair at a time."""

from data_contracts.results import Picture
from reports.language import _
from reports.numbers import whole
from reports.wording.names import slices_of


def pair_names(picture: Picture) -> tuple[str, ...]:
    """What each pair of a sheet of nearest pairs is called in the list to choose from, the most alike first."""
    if picture.n < 2:
        return (_("1, the only one"),) * picture.n
    middle = tuple(whole(n) for n in range(2, picture.n))
    return (_("1, most alike"), *middle, _("{n}, least alike of these").format(n=whole(picture.n)))


def pair_texts(picture: Picture, *, painted: bool) -> tuple[str, ...]:
    """What is seen of each pair, as alternative text: which of the two lies on which side of the line."""
    said = (
        _("Pair {n} of {m}, {name}: left of the line the painted slice, right the nearest real training slice.")
        if painted
        else _("Pair {n} of {m}, {name}: left of the line the synthetic slice, right the nearest real training slice.")
    )
    name = slices_of(picture.diagnosis)
    return tuple(said.format(n=whole(n), m=whole(picture.n), name=name) for n in range(1, picture.n + 1))


def side_names(*, painted: bool) -> tuple[str, str]:
    """The names of the two sides, as they stand on the picture: what was made, and what is real."""
    return (_("Painted") if painted else _("Synthetic"), _("Real"))


def swipe_name(*, painted: bool) -> str:
    """What the slider moves."""
    return _("How much of the painted slice is seen, %") if painted else _("How much of the synthetic slice is seen, %")
