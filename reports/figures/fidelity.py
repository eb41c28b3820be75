"""How real and how varied synthetic slices are, beside real ones that the generator never saw."""

from matplotlib.figure import Figure

from data_contracts.results import FidelityScores
from reports.figures.drawing import ACCENT, CARD, LINE, MUTED, WIDTH, style, svg
from reports.language import _
from reports.wording.names import kind


def diversity(scores: FidelityScores) -> str:
    """Precision, recall, density and coverage of synthetic (diamond) and held-out real slices (ring).

    Smaller, for what a bad set reaches: a few slices repeated (cross) and noise (plus).
    """
    with style():
        figure = Figure(figsize=(WIDTH, 1.95), layout="constrained")
        axes = figure.subplots()
        names = ("precision", "recall", "density", "coverage")
        for row, name in enumerate(names):
            synthetic, real = getattr(scores.synthetic, name), getattr(scores.held_out_real, name)
            axes.plot((synthetic, real), (row, row), color=LINE, linewidth=3, zorder=1)
            for bad, marker, said in ((scores.collapsed, "x", _("a few repeated")), (scores.noise, "+", _("noise"))):
                value, first = getattr(bad, name), row == 0
                label = said if first else None
                axes.plot(value, row, marker, color=MUTED, markersize=5, label=label, clip_on=False)
            axes.plot(
                real,
                row,
                "o",
                color=MUTED,
                markerfacecolor=CARD,
                markersize=7,
                label=_("held-out real") if row == 0 else None,
            )
            axes.plot(synthetic, row, "D", color=ACCENT, markersize=6, label=_("synthetic") if row == 0 else None)
        axes.set_yticks(range(len(names)), [_("precision"), _("recall"), _("density"), _("coverage")])
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_xlim(left=0, right=max(1.02, axes.get_xlim()[1]))
        axes.grid(axis="x", color=LINE, linewidth=0.6)
        figure.legend(loc="outside upper left", ncols=2, handletextpad=0.2, borderaxespad=0, reverse=True)
        said = _("Precision, recall, density and coverage of {kind} slices; the table has the numbers.")
        return svg(figure, said.format(kind=kind(scores.diagnosis)))
