"""How a training went: its losses, its discriminator, and what the watch saw."""

from collections.abc import Callable
from itertools import groupby
from math import nan

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from data_contracts.results import CurvePoint, TrainingRecord
from reports.figures.drawing import ACCENT, INK, LINE, MUTED, WIDTH, style, svg
from reports.language import _
from reports.numbers import decimal, percent, whole
from reports.wording.names import diagnosis_name, kind, maker
from reports.wording.watch import alarm_possible, ended_at_alarm, n_compared

Value = Callable[[CurvePoint], float | None]  # one measure of a tick; None where it was not taken


def curves(record: TrainingRecord, *, painted: bool = False) -> str:
    """Losses above, the discriminator's accuracy with its line of a draw below, over thousands of images seen.

    Broken at alarms, each a dotted line; thin and dotted what an alarm went back on.
    """
    with style():
        figure = Figure(figsize=(WIDTH, 2.9), layout="constrained")
        losses, accuracy = figure.subplots(2, 1, sharex=True)
        _over_training(losses, record, lambda p: p.generator_loss, ACCENT, label=maker(painted=painted))
        _over_training(losses, record, lambda p: p.discriminator_loss, MUTED, style="--", label=_("discriminator"))
        losses.set_ylabel(_("loss, no unit"))
        _over_training(accuracy, record, lambda p: 100 * p.discriminator_accuracy, INK)
        accuracy.axhline(50, color=MUTED, linewidth=0.8, linestyle=":")
        accuracy.set_ylim(0, 104)
        accuracy.set_ylabel(_("told apart, %"))
        accuracy.set_xlabel(_("images seen, thousands (dotted: a draw, 50 %)"))
        for axes in (losses, accuracy):
            axes.grid(axis="y", color=LINE, linewidth=0.6)
        figure.legend(loc="outside upper left", ncols=2, handletextpad=0.4, borderaxespad=0)
        name = diagnosis_name(record.diagnosis)
        said = (
            _("Losses and share of images told apart by the discriminator while the painter learned, {diagnosis}.")
            if painted
            else _("Losses and share of images told apart by the discriminator during training, {diagnosis}.")
        )
        return svg(figure, said.format(diagnosis=name))


def health(record: TrainingRecord) -> str:
    """What the collapse watch saw: its alarms and the kept moment, then coverage, diversity and kernel distance.

    All over thousands of images seen and beside what real slices reach (dashed). An alarm is a numbered triangle with
    an arrow to the moment that training went back to, one at which it ended a cross, the kept moment a diamond, in
    every row.
    record: with at least one look of the watch.
    """
    rows: tuple[tuple[str, Value, Value], ...] = (
        (_("coverage, %"), lambda p: _times(100, p.coverage), lambda p: _times(100, p.coverage_real)),
        (
            _("diversity,\n% of real"),
            lambda p: _times(100, _over(p.diversity, p.diversity_real)),
            lambda p: _times(100, _over(p.diversity_real, p.diversity_real)),
        ),
        (_("KID,\nno unit"), lambda p: p.kid, lambda p: p.kid_real),
    )
    with style():
        strip = 0.2 * max(1, len(record.alarms) + (record.kept_at is not None))  # inches
        figure = Figure(figsize=(WIDTH, 3.6 + strip), layout="constrained")
        timeline, *panels = figure.subplots(4, 1, sharex=True, height_ratios=[strip, 1, 1, 1])
        _alarms(timeline, record)
        for axes, (label, generated, real) in zip(panels, rows, strict=True):
            first = axes is panels[0]
            _over_training(axes, record, real, MUTED, style="--", label=_("real against real") if first else None)
            _over_training(axes, record, generated, ACCENT, label=_("generated") if first else None)
            axes.set_ylabel(label)
            axes.grid(axis="y", color=LINE, linewidth=0.6)
            axes.set_ylim(*_reach(record, generated, real))
            if (kept := _kept(record)) is not None and (value := generated(kept)) is not None:
                axes.plot(kept.images_seen / 1000, value, "D", color=ACCENT, markersize=6, clip_on=False)
        panels[-1].set_xlabel(_("images seen, thousands"))
        figure.legend(loc="outside upper left", ncols=2, handletextpad=0.4, borderaxespad=0)
        return svg(figure, _health_aloud(record))


def _times(factor: float, value: float | None) -> float | None:
    return None if value is None else factor * value


def _over(value: float | None, real: float | None) -> float | None:
    """`value` as a share of `real`; None where either was not measured or real slices reach nothing."""
    return None if value is None or not real else value / real


def _ways(record: TrainingRecord) -> list[tuple[bool, list[CurvePoint]]]:
    """The curve in stretches drawn without a break, in order; with each, whether an alarm went back on it."""
    returns = [alarm.return_to for alarm in record.alarms]
    if ended_at_alarm(record):
        returns = returns[:-1]  # after the last alarm training ended: nothing was done again

    def left(point: CurvePoint) -> bool:
        return any(to is None or point.images_seen > to for to in returns[point.attempt :])

    return [(gone, list(points)) for (_, gone), points in groupby(record.curve, lambda p: (p.attempt, left(p)))]


def _over_training(
    axes: Axes, record: TrainingRecord, value: Value, colour: str, *, style: str = "-", label: str | None = None
) -> None:
    """One measure over thousands of images seen, broken at alarms, and where each alarm was raised."""
    named = label is None
    for gone, ticks in _ways(record):
        values = [nan if (measured := value(tick)) is None else measured for tick in ticks]
        axes.plot(
            [tick.images_seen / 1000 for tick in ticks],
            values,
            color=MUTED if gone else colour,
            linestyle=":" if gone else style,
            linewidth=1 if gone else 1.5,
            marker="." if len(ticks) == 1 else "",  # a line needs two
            label=None if named or gone else label,
        )
        named = named or not gone
    for alarm in record.alarms:
        axes.axvline(alarm.images_seen / 1000, color=INK, linewidth=0.8, linestyle=":")


def _alarms(axes: Axes, record: TrainingRecord) -> None:
    """The alarms in order, one below the other, then the kept moment: each a sign beside its word."""
    words = [_("alarm {number}").format(number=n + 1) for n in range(len(record.alarms))]
    if record.kept_at is not None:
        words.append(_("kept"))
    axes.set_yticks(range(len(words)), words)
    axes.set_ylim(max(1, len(words)) - 0.4, -0.6)
    axes.tick_params(axis="x", length=0)
    axes.spines["bottom"].set_visible(False)
    for row, alarm in enumerate(record.alarms):
        at, back = alarm.images_seen / 1000, (alarm.return_to or 0) / 1000
        if ended_at_alarm(record) and row == len(record.alarms) - 1:
            axes.plot(at, row, "X", color=INK, markersize=7)
            continue
        axes.plot((back, at), (row, row), color=INK, linewidth=1)
        axes.plot(back, row, "<", color=INK, markersize=5)
        axes.plot(at, row, "^", color=INK, markersize=7)
    if record.kept_at is not None:
        axes.plot(record.kept_at / 1000, len(record.alarms), "D", color=ACCENT, markersize=6)


def _kept(record: TrainingRecord) -> CurvePoint | None:
    """The tick whose generator is kept; of several at as many images seen, in different attempts, the nearest."""
    at = [p for p in record.curve if p.images_seen == record.kept_at and p.kid is not None]
    return min(at, key=lambda p: p.kid or 0.0, default=None)


def _reach(record: TrainingRecord, generated: Value, real: Value) -> tuple[float, float]:
    """Lower and upper end of an axis: from 0, as far as all after the first tenth, before which it is still random."""
    late = [p for p in record.curve if p.images_seen > record.images_seen / 10] or record.curve
    values = [v for p in late for v in (generated(p), real(p)) if v is not None]
    return min([0.0, *values]), 1.1 * max(values, default=0.0) or 1.0


def _health_aloud(record: TrainingRecord) -> str:
    """The figure in one sentence, with the numbers of the kept moment."""
    if record.alarms:
        alarms = ", ".join(whole(alarm.images_seen) for alarm in record.alarms)
        said = _("alarms at {places} images seen").format(places=alarms)
    else:
        said = _("no alarm") if alarm_possible(record) else _("no alarm was possible")
    if (kept := _kept(record)) is not None:
        said = _("{alarms}; kept at {images}: {measures}").format(
            alarms=said, images=whole(kept.images_seen), measures=", ".join(_measures_aloud(kept))
        )
    n = n_compared(record)
    message = (
        _(
            "Coverage, diversity and kernel distance over the training of {kind} slices, beside what real slices "
            "reach: {what}."
        )
        if n is None
        else _(
            "Coverage, diversity and kernel distance over the training of {kind} slices, beside what real slices reach "
            "(n = {n} each): {what}."
        )
    )
    return message.format(kind=kind(record.diagnosis), n=whole(n or 0), what=said)


def _measures_aloud(kept: CurvePoint) -> list[str]:
    """What was measured at the kept moment, a phrase a measure."""
    diversity = _over(kept.diversity, kept.diversity_real)
    told = []
    if kept.coverage is not None and kept.coverage_real is not None:
        said = _("coverage {share} (real against real: {real})")
        told.append(said.format(share=percent(kept.coverage, 0), real=percent(kept.coverage_real, 0)))
    elif kept.coverage is not None:
        told.append(_("coverage {share}").format(share=percent(kept.coverage, 0)))
    if diversity is not None:
        told.append(_("diversity, share of real {share}").format(share=percent(diversity, 0)))
    told.append(_("kernel distance {distance}").format(distance=decimal(kept.kid or 0, 4)))
    return told
