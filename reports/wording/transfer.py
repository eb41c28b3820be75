"""Whether the diagnoses of synthetic slices differ as those of real ones do: classifiers carried across."""

from collections.abc import Sequence

from data_contracts.results import TransferScores
from reports.numbers import NBSP, count, percent, points, points_interval


def sharpness(scores: TransferScores) -> str:
    """How the images were shown: `as they are`, `blurred to 16 pixels`."""
    return "as they are" if scores.blurred_to is None else f"blurred to {scores.blurred_to}{NBSP}pixels"


def flagged(transfer: Sequence[TransferScores]) -> tuple[int, int]:
    """Folds in which shortcuts were found at any sharpness, and folds tested."""
    return len({s.fold for s in transfer if s.shortcuts}), len({s.fold for s in transfer})


def transfer_count(transfer: Sequence[TransferScores]) -> str:
    """That the set carries shortcuts, for a place where the reasons stand elsewhere; empty where none was found."""
    found, folds = flagged(transfer)
    return f"The set carries its generator’s shortcuts in {found} of {count(folds, 'fold', 'folds')}." if found else ""


def transfer_reading(transfer: Sequence[TransferScores]) -> str:
    """Whether the set carries its generator's shortcuts, by the worst fold; else how far a loss is ruled out.

    transfer: at least one record.
    """
    found, folds = flagged(transfer)
    if found:
        worst = max((s for s in transfer if s.shortcuts), key=lambda s: s.loss.low)
        return (
            f"The synthetic set carries its generator’s shortcuts (in {found} of {count(folds, 'fold', 'folds')}): its "
            "diagnoses are told apart easily, by something that real slices do not have. At worst, fold "
            f"{worst.fold}, images {sharpness(worst)}: among synthetic slices {percent(worst.synthetic_inside)} "
            f"balanced accuracy, carried to real ones {percent(worst.synthetic_to_real.estimate)}; learned from "
            f"real ones {percent(worst.real_to_real.estimate)}, a loss of {_loss(worst)}."
        )
    shown = len({s.fold for s in transfer if s.loss.low > 0})
    lost = f" A loss on real slices is shown in {shown} of {count(folds, 'fold', 'folds')}, but none that this rule"
    some = f"{lost} calls a shortcut." if shown else ""
    return f"No shortcut of the generators was found.{some} {_not_ruled_out(transfer)}"


def transfer_means(transfer: Sequence[TransferScores]) -> str:
    """The loss at each sharpness, mean over folds, with its direction."""
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
        f"learned from as many real ones{mean}: {'; '.join(parts)}."
    )


def transfer_limit(transfer: Sequence[TransferScores]) -> str:
    """What the test leaves open, or what it found, as a limit of the run; empty where it was not made."""
    if not transfer:
        return ""
    if flagged(transfer)[0]:
        return (
            f"{transfer_count(transfer)} A classifier that learns from it learns something that real scans do not have."
        )
    return f"No shortcut of the generators was found. {_not_ruled_out(transfer)}"


def _not_ruled_out(transfer: Sequence[TransferScores]) -> str:
    """The largest loss that an interval holds, with the test slices it rests on."""
    largest = max(transfer, key=lambda s: s.loss.high)
    most = points(max(0.0, largest.loss.high)).lstrip("+")
    n = count(largest.n_real, "real test slice", "real test slices")
    return f"A loss of up to {most} points is not ruled out (fold {largest.fold}, {n})."


def _loss(scores: TransferScores) -> str:
    return points_interval(scores.loss).replace("+", "")


def _lost(loss: float) -> str:
    text = points(abs(loss)).lstrip("+")
    return f"{text} points {'lost' if loss >= 0 else 'gained'}"
