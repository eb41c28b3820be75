"""Figures over many runs, in the order of time: gain, diversity and data. Only runs of one source are joined."""

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Final, Protocol

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from data_contracts.manifest import DIAGNOSES
from data_contracts.results import RunSummary
from reports.figures.drawing import ACCENT, BAND, CARD, INK, LINE, MUTED, WIDTH, style, svg
from reports.language import _
from reports.numbers import percent, points_interval, slices, whole
from reports.wording.diversity import primary_fidelity
from reports.wording.names import is_painted, slices_of

CROWDED: Final = 16  # runs from which on markers shrink and not every run is named on the axis
# of sources, in turn
_LOOKS: Final = (("D", ACCENT), ("s", INK), ("o", MUTED), ("^", ACCENT), ("v", INK), ("P", MUTED))


class Numbered(Protocol):
    """A finished run with its number, a letter for its source, and whether its settings are not those before it."""

    @property
    def number(self) -> int: ...
    @property
    def source(self) -> str: ...
    @property
    def summary(self) -> RunSummary: ...
    @property
    def altered(self) -> bool: ...


Value = Callable[[RunSummary], float | None]


def gain_over_runs(runs: Sequence[Numbered]) -> str:
    """Difference made by synthetic slices in each run, percentage points with 95 % interval; shaded its margin."""
    with style():
        figure, (axes,) = _panels(runs, 1, height=2.6)
        for margin, neighbours in groupby(runs, lambda run: 100 * run.summary.difference.equivalence_margin):
            first, *others = [run.number for run in neighbours]
            axes.add_patch(Rectangle((first - 0.5, -margin), 1 + len(others), 2 * margin, color=BAND, linewidth=0))
        for run in runs:
            d = run.summary.difference
            axes.vlines(run.number, 100 * d.low, 100 * d.high, color=_look(runs, run)[1], linewidth=1.5)
        axes.axhline(0, color=INK, linewidth=1)
        _series(axes, runs, lambda summary: 100 * summary.difference.estimate)
        axes.set_ylabel(_("gain, points"))
        told = "; ".join(
            _("run {n} (source {source}) {gain}").format(
                n=whole(run.number), source=run.source, gain=points_interval(run.summary.difference)
            )
            for run in runs
        )
        label = _(
            "Difference made by synthetic slices in each run, with 95 % intervals: {told}. Shaded: no difference."
        )
        return svg(figure, label.format(told=told))


def diversity_over_runs(runs: Sequence[Numbered]) -> str:
    """Coverage of synthetic slices (filled) beside that of held-out real ones (ring), per cent, mean over folds.

    Nothing of painted runs, whose whole heads are those of their sources.
    """
    with style():
        figure, panels = _panels(runs, len(DIAGNOSES), height=3.6)
        told = []
        for axes, diagnosis in zip(panels, DIAGNOSES, strict=True):
            for run in runs:
                real = coverage(run.summary, diagnosis, real=True)
                if real is not None:
                    size = _size(runs) + 1
                    axes.plot(run.number, real, "o", color=MUTED, markerfacecolor=CARD, markersize=size, clip_on=False)

            def made(summary: RunSummary, of: str = diagnosis) -> float | None:
                return coverage(summary, of, real=False)

            _series(axes, runs, made)
            axes.set_ylim(0, 1.05 * axes.get_ylim()[1])
            axes.set_ylabel(_("{slices}:\ncoverage, %").format(slices=slices_of(diagnosis)))
            told += [_coverage_aloud(run, diagnosis) for run in runs]
        label = _("Coverage of synthetic slices in each run, beside held-out real ones: {told}.")
        return svg(figure, label.format(told="; ".join(one for one in told if one)))


def coverage(summary: RunSummary, diagnosis: str, *, real: bool) -> float | None:
    """Coverage in per cent in the feature space that decides, mean over folds; None of painted runs and where none is.

    real: of held-out real slices, which is what a good set reaches.
    """
    if is_painted(summary):
        return None
    of = [scores for scores in primary_fidelity(summary.fidelity) if scores.diagnosis == diagnosis]
    sets = [scores.held_out_real if real else scores.synthetic for scores in of]
    return 100 * sum(one.coverage for one in sets) / len(sets) if sets else None


def _coverage_aloud(run: Numbered, diagnosis: str) -> str:
    made, real = (coverage(run.summary, diagnosis, real=of) for of in (False, True))
    if made is None or real is None:
        return ""
    return _("run {n} (source {source}), {slices}, {made} beside {real}").format(
        n=whole(run.number),
        source=run.source,
        slices=slices_of(diagnosis),
        made=percent(made / 100, 0),
        real=percent(real / 100, 0),
    )


def data_over_runs(runs: Sequence[Numbered]) -> str:
    """Slices used above, files and slices kept out below, in each run."""
    with style():
        figure, (used, out) = _panels(runs, 2, height=3.6)
        _series(used, runs, lambda summary: summary.data.slices_used)
        _series(out, runs, kept_out)
        used.set_ylabel(_("slices used"))
        out.set_ylabel(_("kept out"))
        for axes in (used, out):
            axes.set_ylim(0, 1.1 * axes.get_ylim()[1] or 1)
        told = "; ".join(
            _("run {n} (source {source}) {slices} used, {out} kept out").format(
                n=whole(run.number),
                source=run.source,
                slices=slices(run.summary.data.slices_used),
                out=whole(kept_out(run.summary)),
            )
            for run in runs
        )
        return svg(figure, _("Slices used and files or slices kept out in each run: {told}.").format(told=told))


def kept_out(summary: RunSummary) -> int:
    """Files and slices that did not enter the study, quarantined or left out."""
    return sum(rule.count for rule in summary.data.out)


def _panels(runs: Sequence[Numbered], n: int, *, height: float) -> tuple[Figure, Sequence[Axes]]:
    """n panels, one below the other, that share the axis of runs."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    panels = list(figure.subplots(n, 1, sharex=True, squeeze=False)[:, 0])
    for axes in panels:
        axes.grid(axis="y", color=LINE, linewidth=0.6)
    last = panels[-1]
    each = -(-len(runs) // CROWDED)
    named = [run for i, run in enumerate(runs) if i % each == 0]
    last.set_xticks([run.number for run in named], [f"{whole(run.number)}\n{run.source}" for run in named])
    last.set_xlim(runs[0].number - 0.6, runs[-1].number + 0.6)
    last.set_xlabel(_("run, with the letter of its source"))
    return figure, panels


def _series(axes: Axes, runs: Sequence[Numbered], value: Value) -> None:
    """One measure over runs: a marker each; neighbours of one source that both have it joined, dashed at `altered`."""
    latest: dict[str, tuple[int, float]] = {}
    for run in runs:
        y = value(run.summary)
        marker, colour = _look(runs, run)
        if y is None:
            latest.pop(run.source, None)
            continue
        if run.source in latest:
            (place, value_before), line = latest[run.source], "--" if run.altered else "-"
            axes.plot((place, run.number), (value_before, y), line, color=colour, linewidth=1)
        axes.plot(run.number, y, marker, color=colour, markersize=_size(runs), clip_on=False)
        latest[run.source] = run.number, y


def _look(runs: Sequence[Numbered], run: Numbered) -> tuple[str, str]:
    """Marker and colour of a run's source."""
    return _LOOKS[list(dict.fromkeys(one.source for one in runs)).index(run.source) % len(_LOOKS)]


def _size(runs: Sequence[Numbered]) -> int:
    return 6 if len(runs) <= CROWDED else 3
