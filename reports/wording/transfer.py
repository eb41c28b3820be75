"""Whether the diagnoses of synthetic slices differ as those of real ones do: classifiers carried across."""

from collections.abc import Sequence
from typing import Final

from data_contracts.results import TransferScores
from reports.numbers import NBSP, count, percent, points, points_interval

NOT_ALONE: Final = "no classifier for real scans should learn from it alone"
NOTHING_FOUND: Final = "No shortcut of the synthetic set was found."


def sharpness(scores: TransferScores) -> str:
    """How the images were shown: `as they are`, `blurred to 16 pixels`."""
    return "as they are" if scores.blurred_to is None else f"blurred to {scores.blurred_to}{NBSP}pixels"


def flagged(transfer: Sequence[TransferScores]) -> tuple[int, int]:
    """Folds in which shortcuts were found at any sharpness, and folds tested."""
    return len({s.fold for s in transfer if s.shortcuts}), len({s.fold for s in transfer})


def transfer_count(transfer: Sequence[TransferScores]) -> str:
    """That the set carries shortcuts, and what follows; for a place where the reasons stand elsewhere, or empty."""
    found, folds = flagged(transfer)
    if not found:
        return ""
    return f"The set carries its generator’s shortcuts in {found} of {count(folds, 'fold', 'folds')}: {NOT_ALONE}."


def transfer_reading(transfer: Sequence[TransferScores]) -> str:
    """Whether the set carries its generator's shortcuts, by the worst fold, and what that means for its use.

    Else how much a classifier might still lose by learning from it in place of real slices. transfer: at least one
    record.
    """
    found, folds = flagged(transfer)
    if found:
        worst = max((s for s in transfer if s.shortcuts), key=lambda s: s.loss.low)
        return (
            f"The synthetic set carries its generator’s shortcuts (in {found} of {count(folds, 'fold', 'folds')}): "
            "tumour and no tumour are told apart easily among its slices, by something that real slices do not have, "
            f"so {NOT_ALONE}. Whether it helps beside real slices, the arms say. At worst, fold {worst.fold}, images "
            f"{sharpness(worst)}: a classifier that learned from synthetic slices reaches "
            f"{percent(worst.synthetic_inside)} balanced accuracy on other synthetic ones and "
            f"{percent(worst.synthetic_to_real.estimate)} on real ones. Learned from real slices it reaches "
            f"{percent(worst.real_to_real.estimate)} on these: a loss of {_loss(worst)}."
        )
    shown = len({s.fold for s in transfer if s.loss.low > 0})
    some = (
        f" In {shown} of {count(folds, 'fold', 'folds')} learning from it in place of real slices is shown to do worse "
        "on real ones, but not in the way of a shortcut: little is lost, or synthetic slices are no easier."
    )
    return f"{NOTHING_FOUND}{some if shown else ''} {_not_ruled_out(transfer)}"


def transfer_means(transfer: Sequence[TransferScores]) -> str:
    """The loss at each sharpness, mean over folds, with its direction, and how synthetic slices look to real ones.

    transfer: at least one record.
    """
    parts = []
    for side in dict.fromkeys(s.blurred_to for s in transfer):
        of = [s for s in transfer if s.blurred_to == side]
        to_real = sum(s.synthetic_to_real.estimate for s in of) / len(of)
        real = sum(s.real_to_real.estimate for s in of) / len(of)
        parts.append(f"{percent(to_real)} against {percent(real)}, images {sharpness(of[0])} ({_lost(real - to_real)})")
    folds = flagged(transfer)[1]
    mean = f", mean over {folds} folds" if folds > 1 else ""
    return (
        "Balanced accuracy on real slices of a classifier that learned from synthetic ones alone, against one that "
        f"learned from as many real ones{mean}: {'; '.join(parts)}. What is lost is the price of synthetic slices in "
        f"place of real ones, not beside them. {_other_way_round(transfer)}"
    )


def _other_way_round(transfer: Sequence[TransferScores]) -> str:
    """What classifiers of real slices make of synthetic ones, at the first sharpness, mean over folds."""
    of = [s for s in transfer if s.blurred_to == transfer[0].blurred_to]
    seen, inside = sum(s.real_to_synthetic for s in of) / len(of), sum(s.real_inside for s in of) / len(of)
    meaning = (
        "to it they show their diagnosis no worse than real ones do"
        if seen >= inside
        else "to it they show their diagnosis less clearly than real ones do"
    )
    return (
        f"The other way round, a classifier of real slices reaches {percent(seen)} on synthetic ones and "
        f"{percent(inside)} on other real ones of the training part: {meaning}."
    )


def transfer_limit(transfer: Sequence[TransferScores]) -> str:
    """What the test leaves open, or what it found, as a limit of the run; empty where it was not made."""
    if not transfer:
        return ""
    if flagged(transfer)[0]:
        return (
            f"{transfer_count(transfer)} A classifier that learns from it learns something that real scans do not have."
        )
    return f"{NOTHING_FOUND} {_not_ruled_out(transfer)}"


def _not_ruled_out(transfer: Sequence[TransferScores]) -> str:
    """The largest loss that an interval holds, or the least gain where all gained; with the test slices it rests on."""
    largest = max(transfer, key=lambda s: s.loss.high)
    n = count(largest.n_real, "real test slice", "real test slices")
    where = f"(fold {largest.fold}, images {sharpness(largest)}, {n})"
    most = points(abs(largest.loss.high)).lstrip("+")
    if largest.loss.high <= 0:
        return f"Learning from it in place of real slices did better on real ones, by at least {most} points {where}."
    return (
        f"That learning from it in place of real slices costs up to {most} points of balanced accuracy on real ones is "
        f"not ruled out {where}."
    )


def _loss(scores: TransferScores) -> str:
    return points_interval(scores.loss).replace("+", "")


def _lost(loss: float) -> str:
    text = points(abs(loss)).lstrip("+")
    return f"{text} points {'lost' if loss >= 0 else 'gained'}"
