"""What the collapse watch saw of a training, and how far to trust what was kept."""

from collections.abc import Sequence
from typing import Final

from data_contracts.results import AlarmReason, AlarmRule, CurvePoint, TrainingRecord
from reports.language import _, later, plural
from reports.numbers import decimal, digits_apart, images, percent, sample_size, slices
from reports.wording.names import kind

RAISED: Final = ("alarm", "stop")  # verdicts of a tick at which an alarm was raised
SMALLEST_HELD_OUT: Final = 16  # slices; with fewer held out the watch takes the kernel distance to training slices


def watch_reading(record: TrainingRecord, *, painted: bool = False) -> str:
    """How often the collapse watch looked and how many alarms it raised; or that none looked."""
    if painted and not record.watched:
        return _(
            "No watch looks on while a painter learns, for the head around what it paints is a real one. Whether its "
            "paintings vary can only be seen in the painted slices themselves."
        )
    if not record.watched:
        return _(
            "No collapse watch looked on during this training: whether the generator repeats itself can only be read "
            "from what it made in the end."
        )
    n, own = len(looks(record)), looks(record)[_joint_looks(record) :]
    if not alarm_possible(record):
        return plural(
            "The collapse watch looked {n} time, too early or too seldom for an alarm; this says nothing for or "
            "against the generator.",
            "The collapse watch looked {n} times, too early or too seldom for an alarm; this says nothing for or "
            "against the generator.",
            n,
        )
    if record.alarms:
        said = _("The collapse watch raised {alarms} in {looks}: a training at fault several looks in a row.").format(
            alarms=plural("{n} alarm", "{n} alarms", len(record.alarms)), looks=_n_looks(n)
        )
    else:
        said = _("The collapse watch raised no alarm in {looks}.").format(looks=_n_looks(n))
    if _enough(own, record.confirm):
        return said
    of_these = plural(
        "Of these, {n} was at the copy that is used, too early or too seldom for an alarm; this says nothing for or "
        "against the generator.",
        "Of these, {n} were at the copy that is used, too early or too seldom for an alarm; this says nothing for or "
        "against the generator.",
        len(own),
    )
    return f"{said} {of_these}"


def _n_looks(n: int) -> str:
    return plural("{n} look", "{n} looks", n)


def alarm_possible(record: TrainingRecord) -> bool:
    """Whether any look, of this training or of a joint one before it, could have raised an alarm; or it is unknown."""
    first = _joint_looks(record)
    parts = looks(record)[:first], looks(record)[first:]
    return not record.watched or bool(record.alarms) or any(_enough(part, record.confirm) for part in parts)


def _enough(of: Sequence[CurvePoint], confirm: int | None) -> bool:
    """Whether an alarm was raised or could have been: so many looks old enough for one, or it was not noted."""
    if confirm is None or any(point.judged is None or point.verdict in RAISED for point in of):
        return True
    return sum(bool(point.judged) for point in of) >= confirm


def joint_reading(record: TrainingRecord) -> str:
    """What the generator learned from slices of the other diagnosis; empty where it never did."""
    if record.joint_until is None:
        return ""
    if record.joint_until >= record.images_seen:
        said = _("One generator was trained on the slices of all diagnoses, and is told which to make.")
        together = _("What the collapse watch measured is of all diagnoses together.")
        return f"{said} {together}" if record.watched else said
    return _(
        "Up to {images} it was trained on the slices of all diagnoses, and from there as a copy of its own on {kind} "
        "slices alone."
    ).format(images=images(record.joint_until), kind=kind(record.diagnosis))


def looks(record: TrainingRecord) -> tuple[CurvePoint, ...]:
    """The ticks at which the collapse watch looked."""
    return tuple(point for point in record.curve if point.verdict is not None)


def n_compared(record: TrainingRecord) -> int | None:
    """Generated slices, and as many real ones, in a comparison of the watch; None where it was not noted."""
    return next((point.n for point in reversed(looks(record))), None)


def ended_at_alarm(record: TrainingRecord) -> bool:
    """Whether nothing followed the last alarm: the watch stopped the training, or the budget was over."""
    if record.stopped or not record.alarms or not record.curve:
        return record.stopped
    end = record.curve[-1]
    return end.verdict == "alarm" and end.images_seen == record.alarms[-1].images_seen


def went_back(record: TrainingRecord) -> bool:
    """Whether training went on after an alarm, from an earlier moment or anew."""
    return len(record.alarms) > ended_at_alarm(record)


def _joint_ticks(record: TrainingRecord) -> int:
    """Points of the curve, the first ones, of a joint training that this one is a copy of; 0 where it is none."""
    until = record.joint_until
    if until is None or until >= record.images_seen:
        return 0
    if record.joint_ticks is not None:
        return record.joint_ticks
    return sum(point.images_seen <= until for point in record.curve)


def _joint_looks(record: TrainingRecord) -> int:
    return sum(point.verdict is not None for point in record.curve[: _joint_ticks(record)])


def _raised(record: TrainingRecord, i: int) -> tuple[CurvePoint | None, bool, bool]:
    """The tick of an alarm where there is one, whether a copy of a joint GAN raised it, and whether it ended the joint.

    Both are false in a training that is no copy.
    """
    ticks, until = _joint_ticks(record), record.joint_until
    at = next((k for k, p in enumerate(record.curve) if p.attempt == i and p.verdict in RAISED), None)
    if until is None or until >= record.images_seen:
        return None if at is None else record.curve[at], False, False
    if at is None:
        return None, record.alarms[i].images_seen > until, False
    return record.curve[at], at >= ticks, at == ticks - 1


def alarm_readings(record: TrainingRecord) -> tuple[str, ...]:
    """Each alarm in order: when, what was wrong with its number, limit and n, and what was done."""
    return tuple(
        _("Alarm {number}, at {images}: {broken}. {done}").format(
            number=i + 1, images=images(alarm.images_seen), broken=_broken(record, i), done=_done(record, i)
        )
        for i, alarm in enumerate(record.alarms)
    )


def _broken(record: TrainingRecord, i: int) -> str:
    """One phrase a rule; where several measures broke one rule, that which went farthest beyond its limit."""
    tick, of_copy = _raised(record, i)[:2]
    # a joint training holds out its own slices, which the record of its copy does not count
    held_out = record.n_held_out if of_copy or not _joint_ticks(record) else None
    worst: dict[str, AlarmReason] = {}
    for reason in record.alarms[i].reasons:
        if reason.rule not in worst or _excess(reason) > _excess(worst[reason.rule]):
            worst[reason.rule] = reason
    n = None if tick is None else tick.n
    phrases = (alarm_phrase(reason, n=n, n_held_out=held_out) for reason in worst.values())
    return "; ".join(phrases) or _("no reason was noted")


def _excess(reason: AlarmReason) -> float:
    """How far beyond its limit, as a share of it; below or above is the same."""
    return abs(reason.value - reason.limit) / abs(reason.limit) if reason.limit else abs(reason.value)


def alarm_phrase(reason: AlarmReason, *, n: int | None = None, n_held_out: int | None = None) -> str:
    """What a broken rule means, with the measured value, the limit that it went beyond, and n where it is known.

    n: generated slices in a comparison with as many real ones; copies are counted among at least as many.
    """
    digits = digits_apart(100 * reason.value, 100 * reason.limit)
    said = _(_ALARMS[reason.rule])
    return said.format(
        value=decimal(100 * reason.value, digits)
        if reason.rule == "discriminator_overfits"
        else percent(reason.value, digits),
        limit=_limit(reason, digits=digits, n=n, n_held_out=n_held_out),
    )


def _limit(reason: AlarmReason, *, digits: int, n: int | None, n_held_out: int | None) -> str:
    """The limit in words, with the n that the measure rests on; what stands in the brackets after it."""
    limit = percent(reason.limit, digits)
    if reason.rule in ("repeats", "alike", "uncovered"):
        parts = [_("alarm below {limit}").format(limit=limit)]
    elif reason.rule == "fallen":
        parts = [_("alarm below {limit}, a share of that best").format(limit=limit)]
    elif reason.rule == "discriminator_wins":
        parts = [_("alarm from {limit}").format(limit=limit)]
    else:
        shown = decimal(100 * reason.limit, digits) if reason.rule == "discriminator_overfits" else limit
        parts = [_("alarm above {limit}").format(limit=shown)]
    of_discriminator = reason.rule.startswith("discriminator")
    if of_discriminator and n_held_out:
        parts.append(_("{n} held out").format(n=sample_size(n_held_out)))
    elif n is not None and reason.rule in ("copies", "discriminator_wins"):
        parts.append(_("{n} or more").format(n=sample_size(n)))
    elif n is not None and not of_discriminator:
        parts.append(sample_size(n))
    return "; ".join(parts)


_ALARMS: Final[dict[AlarmRule, str]] = {
    "repeats": later(
        "the generator repeated a few heads: the distance from one of its slices to the nearest other was {value} of "
        "what it is among equally varied real slices ({limit})"
    ),
    "alike": later("its slices hardly differed from one another, {value} as much as real slices do ({limit})"),
    "uncovered": later(
        "most kinds of real heads were missing: {value} of what real slices cover was covered ({limit})"
    ),
    "fallen": later(
        "its slices differed less, or covered less, than at this training's own best: {value} of what real slices "
        "reach ({limit})"
    ),
    "copies": later("slices of patients came out again: {value} of its slices were near-copies ({limit})"),
    "discriminator_wins": later(
        "the discriminator was right about nearly everything, so the generator learned nothing from it: right on "
        "{value} of the images it knew least ({limit})"
    ),
    "discriminator_overfits": later(
        "the discriminator knew its training slices by heart: it was right about them {value} percentage points more "
        "often than about real slices it had never seen, chance allowed for ({limit})"
    ),
}


def _done(record: TrainingRecord, i: int) -> str:
    """What followed an alarm."""
    alarm, (of_copy, ended_joint) = record.alarms[i], _raised(record, i)[1:]
    if i == len(record.alarms) - 1 and ended_at_alarm(record):
        return _stop(i + 1) if record.stopped else _("Training ended there: the budget was over.")
    if ended_joint and alarm.return_to is None:
        return _("The training of all diagnoses ended there, and the copy began from random first weights.")
    if ended_joint:
        said = _("The training of all diagnoses ended there, and the copy began from its state at {images}.")
    elif alarm.return_to is None and of_copy:
        said = (
            _(
                "No healthy moment had been seen since, so training began again from the joint generator, more slowly "
                "and with stronger augmentation."
            )
            if record.augmented
            else _(
                "No healthy moment had been seen since, so training began again from the joint generator, more slowly."
            )
        )
    elif alarm.return_to is None:
        said = (
            _(
                "No healthy moment had been seen, so training began anew from another random start, more slowly and "
                "with stronger augmentation."
            )
            if record.augmented
            else _("No healthy moment had been seen, so training began anew from another random start, more slowly.")
        )
    else:
        said = (
            _(
                "Training went back to its last healthy moment, at {images}, and went on more slowly and with stronger "
                "augmentation."
            )
            if record.augmented
            else _("Training went back to its last healthy moment, at {images}, and went on more slowly.")
        )
    return said.format(images=images(alarm.return_to or 0))


def _stop(n: int) -> str:
    return _("Training was stopped.") if n == 1 else _("Training was stopped, for going back had not helped.")


def kept_reading(record: TrainingRecord) -> str:
    """Which moment's generator is used; empty where none is recorded."""
    if record.kept_at is None:
        return ""
    if not record.watched:
        return _("The generator is used as it was at {images}.").format(images=images(record.kept_at))
    said = {
        0: _(
            "The generator is used as it was at {images}: it was healthy, and no later healthy moment was clearly "
            "nearer to real slices of the training part (kernel distance)."
        ),
        1: _(
            "The generator is used as it was at {images}: no moment was healthy, and of the poor ones no later one was "
            "clearly nearer to real slices of the training part (kernel distance)."
        ),
        2: _(
            "The generator is used as it was at {images}: every moment was at fault, and no later one was clearly "
            "nearer to real slices of the training part (kernel distance)."
        ),
    }[record.best_wrong]
    return said.format(images=images(record.kept_at))


def ended_reading(record: TrainingRecord) -> str:
    """That training ended before its budget was spent, since nothing became better; empty where it did not."""
    if record.unimproved_since is None:
        return ""
    return _(
        "Training ended early, at {end}: the kernel distance to real slices of the training part had not become "
        "clearly less since {since}, and with longer training more samples are near-copies of patients."
    ).format(end=images(record.images_seen), since=images(record.unimproved_since))


def health_caption(record: TrainingRecord) -> str:
    """What the figure of the watch measures, at which n, and its signs, only those that are there."""
    signs = (
        _(
            "Triangle and dotted line: alarm, its arrow to where training went on again; thin and dotted: what it went "
            "back on."
        )
        if went_back(record)
        else "",
        _ended_sign(record),
        _("Diamond: the moment that is kept.") if record.kept_at is not None else "",
    )
    meaning = _(
        "Coverage: share of real slices that have a generated one near them. Diversity: how much two generated slices "
        "differ, beside two real ones; both are better high. KID: kernel distance to real slices, better low; the "
        "random start may lie beyond an axis."
    )
    return " ".join(text for text in (meaning, _compared(record), *signs) if text)


def _ended_sign(record: TrainingRecord) -> str:
    if not ended_at_alarm(record):
        return ""
    if record.stopped:
        return _("Cross: alarm at which training was stopped.")
    return _("Cross: alarm at which the budget was over.")


def _compared(record: TrainingRecord) -> str:
    """How many slices the watch compared with how many; empty where it was not noted."""
    n, held_out = n_compared(record), record.n_held_out
    if n is None:
        return ""
    if held_out is None:
        said = _("Compared: {n} generated against as many real slices of the training part")
    elif held_out < SMALLEST_HELD_OUT:
        said = _(
            "Compared: {n} generated against as many real slices of the training part; kernel distance to training "
            "slices too, for fewer than {fewest} were held out"
        )
    elif held_out > n:  # of many held out it takes as many as it has others
        said = _(
            "Compared: {n} generated against as many real slices of the training part; kernel distance to up to "
            "{slices} held out from the generator"
        )
    else:
        said = _(
            "Compared: {n} generated against as many real slices of the training part; kernel distance to {slices} "
            "held out from the generator"
        )
    sentences = [said.format(n=sample_size(n), fewest=SMALLEST_HELD_OUT, slices=slices(held_out or 0))]
    before = looks(record)[: _joint_looks(record)]
    if before and before[-1].n is not None and record.joint_until is not None:
        joint = _("In the training of all diagnoses, up to {images}: {n}, generated and real slices of all diagnoses")
        sentences.append(joint.format(images=images(record.joint_until), n=sample_size(before[-1].n)))
    return ". ".join(sentences) + "."


def doubt(record: TrainingRecord) -> str:
    """Why the generator is to be distrusted for how it was trained; empty where the watch has nothing against it."""
    if record.best_wrong == 2:
        said = _(
            "Do not trust the generator of {kind} slices: the watch found it at fault even at the moment that was kept."
        )
    elif record.best_wrong == 1:
        said = _(
            "Distrust the generator of {kind} slices: even at the moment that was kept its slices were too much alike, "
            "or most kinds of real heads were missing."
        )
    elif record.stopped:
        said = _(
            "Use the generator of {kind} slices with caution: the watch stopped its training early, and an earlier, "
            "healthy moment was kept."
        )
    else:
        return ""
    return said.format(kind=kind(record.diagnosis))
