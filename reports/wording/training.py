"""How a generator of whole slices or a painter was trained."""

from typing import Final

from data_contracts.manifest import NO_TUMOUR, TUMOUR
from data_contracts.results import DiscriminatorScores, TrainingRecord
from reports.numbers import NBSP, count, images, percent, slices, units
from reports.wording.names import made, maker, slices_of
from reports.wording.watch import went_back

NEARLY_ALL: Final = 0.95  # above this the discriminator has all but won and teaches the generator little


def training_reading(record: TrainingRecord, *, known: bool, painted: bool = False) -> str:
    """How one generator was trained, and where the contest stood at the end."""
    without = " (without those that an alarm went back on)" if went_back(record) else ""
    lesson = _lesson(record.diagnosis) if painted else ""
    weights = count(record.generator_parameters, "weight", "weights")
    start = (
        f"Learned from {slices(record.n_slices)} of {units(record.n_subjects, known=known)}{lesson}, shown "
        f"{images(record.images_seen)}{without}; {weights} in the {maker(painted=painted)}, "
        f"{record.discriminator_parameters:,} in the discriminator."
    )
    if not record.curve:
        return f"{start} No curve was recorded."
    last = [point for point in record.curve if point.attempt == record.curve[-1].attempt]
    end = last[-max(1, len(last) // 10) :]  # the last tenth: one tick alone is noise
    accuracy = sum(point.discriminator_accuracy for point in end) / len(end)
    state = (
        f"At the end the discriminator told real from {made(painted=painted)} in {percent(accuracy, 0)} of images "
        "(50 % is a draw)"
    )
    won = f": it had all but won, and the {maker(painted=painted)} could learn little more"
    alarm = f"{won if accuracy >= NEARLY_ALL else ''}."
    return f"{start} {state}{alarm}"


def _lesson(diagnosis: str) -> str:
    """What a painter learns by, in brackets; empty of a diagnosis that none paints."""
    return {
        TUMOUR: " (restoring hidden lesions of real tumour slices, and painting lesions into real no-tumour slices)",
        NO_TUMOUR: " (restoring hidden parts of real no-tumour slices, and painting healthy tissue over the lesions of "
        "real tumour slices)",
    }.get(diagnosis, "")


def discriminator_reading(scores: DiscriminatorScores) -> str:
    """What the discriminator of the kept generator could tell; "right" is to call synthetic slices synthetic."""
    of = {
        "held_out_real": f"{scores.n_real:,} real slices held out from its training",
        "training": f"{scores.n_real:,} real slices that it learned from, which it may know by heart,",
    }[scores.on]
    return (
        f"At the moment that is kept the discriminator was right on {percent(scores.accuracy, 0)} of slices "
        f"(error rate {percent(scores.error_rate, 0)}; 50{NBSP}% is a draw): it called "
        f"{percent(scores.sensitivity, 0)} of {scores.n_synthetic:,} synthetic {slices_of(scores.diagnosis)} synthetic "
        "(sensitivity) and "
        f"{percent(scores.specificity, 0)} of {of} real (specificity). Its threshold is the middle between its mean "
        "answers to training slices and to these synthetic ones."
    )
