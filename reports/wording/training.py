"""How a generator of whole slices or a painter was trained."""

from collections.abc import Sequence
from typing import Final

from data_contracts.manifest import NO_TUMOUR, TUMOUR
from data_contracts.results import DiscriminatorScores, TrainingRecord
from reports.language import _, plural
from reports.numbers import images, percent, slices, units, whole
from reports.wording.names import by_painter, kind
from reports.wording.watch import went_back

NEARLY_ALL: Final = 0.95  # above this the discriminator has all but won and teaches the generator little


def by_maker(
    training: Sequence[TrainingRecord], *, painted: bool
) -> tuple[tuple[bool, tuple[TrainingRecord, ...]], ...]:
    """The trainings of generators, then those of painters, each with whether it is of painters; one of the two is
    there where nothing was trained. painted: as of `names.by_painter`.
    """
    of = {maker: tuple(r for r in training if by_painter(r, painted=painted) == maker) for maker in (False, True)}
    return tuple((maker, records) for maker, records in of.items() if records) or ((painted, ()),)


def training_reading(record: TrainingRecord, *, known: bool, painted: bool = False) -> str:
    """How one generator was trained, and where the contest stood at the end."""
    start = _start(record, known=known, painted=painted)
    if not record.curve:
        uncharted = _("No curve was recorded.")
        return f"{start} {uncharted}"
    last = [point for point in record.curve if point.attempt == record.curve[-1].attempt]
    end = last[-max(1, len(last) // 10) :]  # the last tenth: one tick alone is noise
    accuracy = sum(point.discriminator_accuracy for point in end) / len(end)
    return f"{start} {_contest(accuracy, painted=painted).format(accuracy=percent(accuracy, 0))}"


def _start(record: TrainingRecord, *, known: bool, painted: bool) -> str:
    """What it learned from, how long, and how large the networks are."""
    shown = (
        _("shown {images} (without those that an alarm went back on)") if went_back(record) else _("shown {images}")
    ).format(images=images(record.images_seen))
    message = (
        _("Learned from {slices} of {units}{lesson}, {shown}; {weights} in the painter, {others} in the discriminator.")
        if painted
        else _(
            "Learned from {slices} of {units}{lesson}, {shown}; {weights} in the generator, {others} in the "
            "discriminator."
        )
    )
    return message.format(
        slices=slices(record.n_slices),
        units=units(record.n_subjects, known=known),
        lesson=_lesson(record.diagnosis) if painted else "",
        shown=shown,
        weights=plural("{n} weight", "{n} weights", record.generator_parameters),
        others=whole(record.discriminator_parameters),
    )


def _contest(accuracy: float, *, painted: bool) -> str:
    """Where the contest with the discriminator stood, its place still to be filled."""
    if painted and accuracy >= NEARLY_ALL:
        return _(
            "At the end the discriminator told real from painted in {accuracy} of images (50 % is a draw): it had all "
            "but won, and the painter could learn little more."
        )
    if painted:
        return _("At the end the discriminator told real from painted in {accuracy} of images (50 % is a draw).")
    if accuracy >= NEARLY_ALL:
        return _(
            "At the end the discriminator told real from synthetic in {accuracy} of images (50 % is a draw): it had "
            "all but won, and the generator could learn little more."
        )
    return _("At the end the discriminator told real from synthetic in {accuracy} of images (50 % is a draw).")


def _lesson(diagnosis: str) -> str:
    """What a painter learns by, in brackets after a space; empty of a diagnosis that none paints."""
    lesson = {
        TUMOUR: _("(restoring hidden lesions of real tumour slices, and painting lesions into real no-tumour slices)"),
        NO_TUMOUR: _(
            "(restoring hidden parts of real no-tumour slices, and painting healthy tissue over the lesions of "
            "real tumour slices)"
        ),
    }.get(diagnosis, "")
    return f" {lesson}" if lesson else ""


def discriminator_reading(scores: DiscriminatorScores) -> str:
    """What the discriminator of the kept generator could tell; "right" is to call synthetic slices synthetic."""
    of = {
        "held_out_real": _("{n} real slices held out from its training"),
        "training": _("{n} real slices that it learned from, which it may know by heart,"),
    }[scores.on].format(n=whole(scores.n_real))
    return _(
        "At the moment that is kept the discriminator was right on {accuracy} of slices (error rate {errors}; {draw} "
        "is a draw): it called {sensitivity} of {synthetic} synthetic {kind} slices synthetic (sensitivity) and "
        "{specificity} of {real_slices} real (specificity). Its threshold is the middle between its mean answers to "
        "training slices and to these synthetic ones."
    ).format(
        accuracy=percent(scores.accuracy, 0),
        errors=percent(scores.error_rate, 0),
        draw=percent(0.5, 0),
        sensitivity=percent(scores.sensitivity, 0),
        synthetic=whole(scores.n_synthetic),
        kind=kind(scores.diagnosis),
        specificity=percent(scores.specificity, 0),
        real_slices=of,
    )
