"""Whether the diagnoses of synthetic slices differ as those of real ones do: classifiers carried across."""

from collections.abc import Sequence
from typing import Final

from data_contracts.results import TransferScores
from reports.language import _, later, plural
from reports.numbers import folds, percent, points, points_interval, whole

NOTHING_FOUND: Final = later("No shortcut of the synthetic set was found.")


def sharpness(scores: TransferScores) -> str:
    """How the images were shown: `as they are`, `blurred to 16 pixels`."""
    if scores.blurred_to is None:
        return _("as they are")
    return _("blurred to {pixels}").format(pixels=plural("{n} pixel", "{n} pixels", scores.blurred_to))


def flagged(transfer: Sequence[TransferScores]) -> tuple[int, int]:
    """Folds in which shortcuts were found at any sharpness, and folds tested."""
    return len({s.fold for s in transfer if s.shortcuts}), len({s.fold for s in transfer})


def transfer_count(transfer: Sequence[TransferScores]) -> str:
    """That the set carries shortcuts, and what follows; for a place where the reasons stand elsewhere, or empty."""
    found, n_folds = flagged(transfer)
    if not found:
        return ""
    return _(
        "The set carries its generator’s shortcuts in {found} of {folds}: no classifier for real scans should learn "
        "from it alone."
    ).format(found=whole(found), folds=folds(n_folds))


def transfer_reading(transfer: Sequence[TransferScores]) -> str:
    """Whether the set carries its generator's shortcuts, by the worst fold, and what that means for its use.

    Else how much a classifier might still lose by learning from it in place of real slices. transfer: at least one
    record.
    """
    found, n_folds = flagged(transfer)
    if found:
        worst = max((s for s in transfer if s.shortcuts), key=lambda s: s.loss.low)
        return _(
            "The synthetic set carries its generator’s shortcuts (in {found} of {folds}): tumour and no tumour are "
            "told apart easily among its slices, by something that real slices do not have, so no classifier for real "
            "scans should learn from it alone. Whether it helps beside real slices, the arms say. At worst, fold "
            "{fold}, images {sharpness}: a classifier that learned from synthetic slices reaches {inside} balanced "
            "accuracy on other synthetic ones and {to_real} on real ones. Learned from real slices it reaches {real} "
            "on these: a loss of {loss}."
        ).format(
            found=whole(found),
            folds=folds(n_folds),
            fold=worst.fold,
            sharpness=sharpness(worst),
            inside=percent(worst.synthetic_inside),
            to_real=percent(worst.synthetic_to_real.estimate),
            real=percent(worst.real_to_real.estimate),
            loss=_loss(worst),
        )
    shown = len({s.fold for s in transfer if s.loss.low > 0})
    some = _(
        "In {shown} of {folds} learning from it in place of real slices is shown to do worse on real ones, but not in "
        "the way of a shortcut: little is lost, or synthetic slices are no easier."
    ).format(shown=whole(shown), folds=folds(n_folds))
    return " ".join((_(NOTHING_FOUND), *([some] if shown else []), _not_ruled_out(transfer)))


def transfer_means(transfer: Sequence[TransferScores]) -> str:
    """The loss at each sharpness, mean over folds, with its direction, and how synthetic slices look to real ones.

    transfer: at least one record.
    """
    parts = []
    for side in dict.fromkeys(s.blurred_to for s in transfer):
        of = [s for s in transfer if s.blurred_to == side]
        to_real = sum(s.synthetic_to_real.estimate for s in of) / len(of)
        real = sum(s.real_to_real.estimate for s in of) / len(of)
        said = (
            _("{to_real} against {real}, images {sharpness} ({change} points lost)")
            if real >= to_real
            else _("{to_real} against {real}, images {sharpness} ({change} points gained)")
        )
        change = points(abs(real - to_real)).lstrip("+")
        parts.append(
            said.format(to_real=percent(to_real), real=percent(real), sharpness=sharpness(of[0]), change=change)
        )
    n_folds = flagged(transfer)[1]
    message = (
        _(
            "Balanced accuracy on real slices of a classifier that learned from synthetic ones alone, against one that "
            "learned from as many real ones, mean over {folds} folds: {parts}. What is lost is the price of synthetic "
            "slices in place of real ones, not beside them. {other_way_round}"
        )
        if n_folds > 1
        else _(
            "Balanced accuracy on real slices of a classifier that learned from synthetic ones alone, against one that "
            "learned from as many real ones: {parts}. What is lost is the price of synthetic slices in place of real "
            "ones, not beside them. {other_way_round}"
        )
    )
    return message.format(folds=whole(n_folds), parts="; ".join(parts), other_way_round=_other_way_round(transfer))


def _other_way_round(transfer: Sequence[TransferScores]) -> str:
    """What classifiers of real slices make of synthetic ones, at the first sharpness, mean over folds."""
    of = [s for s in transfer if s.blurred_to == transfer[0].blurred_to]
    seen, inside = sum(s.real_to_synthetic for s in of) / len(of), sum(s.real_inside for s in of) / len(of)
    said = (
        _(
            "The other way round, a classifier of real slices reaches {seen} on synthetic ones and {inside} on other "
            "real ones of the training part: to it they show their diagnosis no worse than real ones do."
        )
        if seen >= inside
        else _(
            "The other way round, a classifier of real slices reaches {seen} on synthetic ones and {inside} on other "
            "real ones of the training part: to it they show their diagnosis less clearly than real ones do."
        )
    )
    return said.format(seen=percent(seen), inside=percent(inside))


def transfer_limit(transfer: Sequence[TransferScores]) -> str:
    """What the test leaves open, or what it found, as a limit of the run; empty where it was not made."""
    if not transfer:
        return ""
    if flagged(transfer)[0]:
        learns = _("A classifier that learns from it learns something that real scans do not have.")
        return f"{transfer_count(transfer)} {learns}"
    return f"{_(NOTHING_FOUND)} {_not_ruled_out(transfer)}"


def _not_ruled_out(transfer: Sequence[TransferScores]) -> str:
    """The largest loss that an interval holds, or the least gain where all gained; with the test slices it rests on."""
    largest = max(transfer, key=lambda s: s.loss.high)
    said = (
        _(
            "Learning from it in place of real slices did better on real ones, by at least {most} points (fold {fold}, "
            "images {sharpness}, {slices})."
        )
        if largest.loss.high <= 0
        else _(
            "That learning from it in place of real slices costs up to {most} points of balanced accuracy on real ones "
            "is not ruled out (fold {fold}, images {sharpness}, {slices})."
        )
    )
    return said.format(
        most=points(abs(largest.loss.high)).lstrip("+"),
        fold=largest.fold,
        sharpness=sharpness(largest),
        slices=plural("{n} real test slice", "{n} real test slices", largest.n_real),
    )


def _loss(scores: TransferScores) -> str:
    return points_interval(scores.loss).replace("+", "")
