"""The ways to learn from synthetic slices beside real ones, and which one a fold chose."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from data_contracts.results import Way, WayTried
from reports.language import _, later
from reports.numbers import folds, whole

WAY_NAMES: Final[dict[Way, str]] = {
    "mix": later("mixed with real ones"),
    "pretrain": later("synthetic ones first, then real ones alone"),
    "weigh": later("mixed, synthetic ones counting less"),
    "curriculum": later("fewer and fewer synthetic ones step by step"),
    "balance": later("only as many as even out the diagnoses"),
}


def ways_reading(ways: Sequence[WayTried]) -> str:
    """Which way each fold chose, by what, and what the figures of the choice are not.

    ways: at least one.
    """
    n_folds = len({tried.fold for tried in ways})
    chosen = Counter(tried.way for tried in ways if tried.chosen).most_common()
    in_folds = ", ".join(
        _("{way} ({n} of {folds})").format(way=_(WAY_NAMES[way]), n=whole(n), folds=folds(n_folds)) for way, n in chosen
    )
    return _(
        "How to learn from the synthetic slices was chosen in each fold by its training part alone, before any test "
        "slice was looked at: {ways}. The figures that chose flatter what they chose; the arms above are the result."
    ).format(ways=in_folds or _("none could be tried, so mixed with real ones"))


def fixed_way(config: Mapping[str, object]) -> str:
    """How added slices were used where that was fixed beforehand and is not plain mixing; empty where it is.

    config: that of the whole study.
    """
    utility = config.get("utility")
    way = utility.get("way") if isinstance(utility, Mapping) else None
    name = next((name for known, name in WAY_NAMES.items() if known == way and way != "mix"), "")
    if not name:
        return ""
    return _("In every arm that adds slices they were used in one way, fixed beforehand: {way}.").format(way=_(name))
