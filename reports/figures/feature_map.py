"""Real and synthetic slices in the two directions in which real training slices vary most."""

from matplotlib.figure import Figure

from data_contracts.results import FeatureMap
from reports.figures.drawing import ACCENT, CARD, INK, LINE, MUTED, WIDTH, style, svg
from reports.language import _
from reports.numbers import percent
from reports.wording.feature_map import map_reading
from reports.wording.names import slices_of


def feature_map(shown: FeatureMap) -> str:
    """Points of real training (dots), held-out real (rings) and synthetic slices (diamonds); both axes on one scale."""
    with style():
        figure = Figure(figsize=(WIDTH, 3.3), layout="constrained")
        axes = figure.subplots()
        sets = (  # points, name, marker, its size in points, inside, outline and its width in points
            (shown.training, _("real, learned from"), ".", 5.5, MUTED, MUTED, 0.0),
            (shown.held_out_real, _("real, held out"), "o", 5.0, "none", INK, 0.9),
            (shown.synthetic, _("synthetic"), "D", 3.4, ACCENT, CARD, 0.4),
        )
        for points, label, marker, size, inside, edge, width in sets:
            axes.plot(
                [point[0] for point in points],
                [point[1] for point in points],
                marker,
                label=label,
                markersize=size,
                markerfacecolor=inside,
                markeredgecolor=edge,
                markeredgewidth=width,
            )
        axes.set_aspect("equal", adjustable="datalim")
        axes.grid(color=LINE, linewidth=0.6)
        first, second = (percent(share, 0) for share in shown.explained)
        axes.set_xlabel(_("first direction ({share} of the variance)").format(share=first))
        axes.set_ylabel(_("second direction ({share})").format(share=second))
        figure.legend(loc="outside upper left", ncols=2, handletextpad=0.1, columnspacing=1.0, borderaxespad=0)
        return svg(
            figure,
            _("Map of the features of {slices}, fold {fold}. {reading}").format(
                slices=slices_of(shown.diagnosis), fold=shown.fold, reading=map_reading(shown)
            ),
        )
