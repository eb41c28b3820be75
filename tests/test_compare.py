"""What the swipe over most alike pairs is called, pair by pair."""

from data_contracts.results import Picture
from reports.wording.compare import pair_names, pair_texts, side_names, swipe_name


def sheet(n: int, diagnosis: str = "no_tumour") -> Picture:
    return Picture(kind="nearest_pairs", fold=0, diagnosis=diagnosis, origin="both", path="pictures/pairs.png", n=n)


def test_pairs_are_numbered_and_their_order_is_said() -> None:
    assert pair_names(sheet(4)) == ("1, most alike", "2", "3", "4, least alike of these")
    assert pair_names(sheet(2)) == ("1, most alike", "2, least alike of these")
    assert pair_names(sheet(1)) == ("1, the only one",)
    assert pair_names(sheet(0)) == ()


def test_each_pair_says_which_side_is_real() -> None:
    assert pair_texts(sheet(2), painted=False) == (
        "Pair 1 of 2, no-tumour slices: left of the line the synthetic slice, right the nearest real training slice.",
        "Pair 2 of 2, no-tumour slices: left of the line the synthetic slice, right the nearest real training slice.",
    )
    assert pair_texts(sheet(8, "tumour"), painted=True)[6] == (
        "Pair 7 of 8, tumour slices: left of the line the painted slice, right the nearest real training slice."
    )
    assert side_names(painted=False) == ("Synthetic", "Real")
    assert side_names(painted=True) == ("Painted", "Real")


def test_the_slider_says_what_it_uncovers() -> None:
    assert swipe_name(painted=False) == "How much of the synthetic slice is seen, %"
    assert swipe_name(painted=True) == "How much of the painted slice is seen, %"
