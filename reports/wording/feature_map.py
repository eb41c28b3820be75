"""Where synthetic slices lie among real ones, in two dimensions: how to read that, and what it does not show."""

from typing import Final

from data_contracts.results import FeatureMap
from reports.language import _, later
from reports.numbers import percent, whole

MAP_HOW: Final = later(
    "Where diamonds lie among dots and rings, synthetic slices look like real ones as far as these two directions "
    "tell. Dots and rings with no diamond near them may be heads that the synthetic slices leave out; diamonds by "
    "themselves, slices like no real one. Rings show how far real slices that were not learned from lie from the dots."
)
MAP_PAINTED: Final = later(
    "The heads of painted slices are their sources’ own, so they lie among real slices whatever was painted."
)


def map_reading(shown: FeatureMap) -> str:
    """What is drawn, how many of how many, and how much two directions show."""
    return _(
        "Each sign is one slice, drawn by lot: {training} of {n_training} training slices, {held_out} of {n_held_out} "
        "held-out real ones, {synthetic} of {n_synthetic} synthetic ones. The two directions are those in which real "
        "training slices vary most; they hold {share} of that variance."
    ).format(
        training=whole(len(shown.training)),
        n_training=whole(shown.n_training),
        held_out=whole(len(shown.held_out_real)),
        n_held_out=whole(shown.n_held_out_real),
        synthetic=whole(len(shown.synthetic)),
        n_synthetic=whole(shown.n_synthetic),
        share=percent(sum(shown.explained), 0),
    )


def map_limits(shown: FeatureMap) -> str:
    """What nearness in the map does not show."""
    return _(
        "Nearness here proves nothing: two slices that lie together may be far apart in the other {rest} of the "
        "variance, which is not drawn. The figures above measure in all of it."
    ).format(rest=percent(1 - sum(shown.explained), 0))
