"""What the collapse watch saw of a training, and how far to trust what was kept."""

from collections.abc import Sequence
from typing import Final

from data_contracts.results import AlarmReason, CurvePoint, TrainingRecord
from reports.numbers import NBSP, count, decimal, digits_apart, images, percent, slices
from reports.wording.names import slices_of

RAISED: Final = ("alarm", "stop")  # verdicts of a tick at which an alarm was raised
SMALLEST_HELD_OUT: Final = 16  # slices; with fewer held out the watch takes the kernel distance to training slices


def watch_reading(record: TrainingRecord, *, painted: bool = False) -> str:
    """How often the collapse watch looked and how many alarms it raised; or that none looked."""
    if painted and not record.watched:
        return (
            "No watch looks on while a painter learns, for the head around what it paints is a real one. Whether its "
            "paintings vary can only be seen in the painted slices themselves."
        )
    if not record.watched:
        return (
            "No collapse watch looked on during this training: whether the generator repeats itself can only be read "
            "from what it made in the end."
        )
    n, own = len(looks(record)), looks(record)[_joint_looks(record) :]
    if not alarm_possible(record):
        return f"The collapse watch looked {count(n, 'time', 'times')}, {_IN_VAIN}"
    said = f"The collapse watch raised no alarm in {count(n, 'look', 'looks')}."
    if record.alarms:
        said = (
            f"The collapse watch raised {count(len(record.alarms), 'alarm', 'alarms')} in "
            f"{count(n, 'look', 'looks')}: a training at fault several looks in a row."
        )
    if _enough(own, record.confirm):
        return said
    of_these = f"Of these, {count(len(own), 'was', 'were')} at the copy that is used"
    return f"{said} {of_these}, {_IN_VAIN}"


_IN_VAIN: Final = "too early or too seldom for an alarm; this says nothing for or against the generator."


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
        measured = " What the collapse watch measured is of all diagnoses together." if record.watched else ""
        return f"One generator was trained on the slices of all diagnoses, and is told which to make.{measured}"
    return (
        f"Up to {images(record.joint_until)} it was trained on the slices of all diagnoses, and from there as a copy "
        f"of its own on {slices_of(record.diagnosis)} alone."
    )


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
        f"Alarm {i + 1}, at {images(alarm.images_seen)}: {_broken(record, i)}. {_done(record, i)}"
        for i, alarm in enumerate(record.alarms)
    )


def _broken(record: TrainingRecord, i: int) -> str:
    """One phrase a rule; where several measures broke one rule, that which went farthest beyond its limit."""
    tick, of_copy, _ = _raised(record, i)
    # a joint training holds out its own slices, which the record of its copy does not count
    held_out = record.n_held_out if of_copy or not _joint_ticks(record) else None
    worst: dict[str, AlarmReason] = {}
    for reason in record.alarms[i].reasons:
        if reason.rule not in worst or _excess(reason) > _excess(worst[reason.rule]):
            worst[reason.rule] = reason
    n = None if tick is None else tick.n
    phrases = (alarm_phrase(reason, n=n, n_held_out=held_out) for reason in worst.values())
    return "; ".join(phrases) or "no reason was noted"


def _excess(reason: AlarmReason) -> float:
    """How far beyond its limit, as a share of it; below or above is the same."""
    return abs(reason.value - reason.limit) / abs(reason.limit) if reason.limit else abs(reason.value)


def alarm_phrase(reason: AlarmReason, *, n: int | None = None, n_held_out: int | None = None) -> str:
    """What a broken rule means, with the measured value, the limit that it went beyond, and n where it is known.

    n: generated slices in a comparison with as many real ones; copies are counted among at least as many.
    """
    digits = digits_apart(100 * reason.value, 100 * reason.limit)
    value, limit = percent(reason.value, digits), percent(reason.limit, digits)
    of = "" if n is None else f"; n{NBSP}={NBSP}{n:,}"
    held_out = f"; n{NBSP}={NBSP}{n_held_out:,} held out" if n_held_out else ""
    below = f"(alarm below {limit}{of})"
    at_least = f"{of} or more" if of else ""
    return {
        "repeats": "the generator repeated a few heads: the distance from one of its slices to the nearest other was "
        f"{value} of what it is among equally varied real slices {below}",
        "alike": f"its slices hardly differed from one another, {value} as much as real slices do {below}",
        "uncovered": f"most kinds of real heads were missing: {value} of what real slices cover was covered {below}",
        "fallen": "its slices differed less, or covered less, than at this training's own best: "
        f"{value} of what real slices reach (alarm below {limit}, a share of that best{of})",
        "copies": f"slices of patients came out again: {value} of its slices were near-copies "
        f"(alarm above {limit}{at_least})",
        "discriminator_wins": "the discriminator was right about nearly everything, so the generator learned nothing "
        f"from it: right on {value} of the images it knew least (alarm from {limit}{held_out or at_least})",
        "discriminator_overfits": "the discriminator knew its training slices by heart: it was right about them "
        f"{decimal(100 * reason.value, digits)} percentage points more often than about real slices it had never "
        f"seen, chance allowed for (alarm above {decimal(100 * reason.limit, digits)}{held_out})",
    }[reason.rule]


def _done(record: TrainingRecord, i: int) -> str:
    """What followed an alarm."""
    alarm, (_, of_copy, ended_joint) = record.alarms[i], _raised(record, i)
    onward = "more slowly and with stronger augmentation" if record.augmented else "more slowly"
    if i == len(record.alarms) - 1 and ended_at_alarm(record):
        return _stop(i + 1) if record.stopped else "Training ended there: the budget was over."
    if ended_joint:
        start = "random first weights" if alarm.return_to is None else f"its state at {images(alarm.return_to)}"
        return f"The training of all diagnoses ended there, and the copy began from {start}."
    if alarm.return_to is None and of_copy:
        return f"No healthy moment had been seen since, so training began again from the joint generator, {onward}."
    if alarm.return_to is None:
        return f"No healthy moment had been seen, so training began anew from another random start, {onward}."
    return f"Training went back to its last healthy moment, at {images(alarm.return_to)}, and went on {onward}."


def _stop(n: int) -> str:
    return "Training was stopped." if n == 1 else "Training was stopped, for going back had not helped."


def kept_reading(record: TrainingRecord) -> str:
    """Which moment's generator is used; empty where none is recorded."""
    if record.kept_at is None:
        return ""
    if not record.watched:
        return f"The generator is used as it was at {images(record.kept_at)}."
    which = {
        0: "of all healthy moments",
        1: "no moment was healthy; of the poor ones",
        2: "every moment was at fault; of these",
    }[record.best_wrong]
    return (
        f"The generator is used as it was at {images(record.kept_at)}: {which} the nearest to real slices of the "
        "training part (kernel distance)."
    )


def health_caption(record: TrainingRecord) -> str:
    """What the figure of the watch measures, at which n, and its signs, only those that are there."""
    ended = "training was stopped" if record.stopped else "the budget was over"
    signs = (
        "Triangle and dotted line: alarm, its arrow to where training went on again; thin and dotted: what it went "
        "back on." if went_back(record) else "",
        f"Cross: alarm at which {ended}." if ended_at_alarm(record) else "",
        "Diamond: the moment that is kept." if record.kept_at is not None else "",
    )  # fmt: skip
    meaning = (
        "Coverage: share of real slices that have a generated one near them. Diversity: how much two generated slices "
        "differ, beside two real ones; both are better high. KID: kernel distance to real slices, better low; the "
        "random start may lie beyond an axis."
    )
    return " ".join(text for text in (meaning, _compared(record), *signs) if text)


def _compared(record: TrainingRecord) -> str:
    """How many slices the watch compared with how many; empty where it was not noted."""
    n, held_out = n_compared(record), record.n_held_out
    if n is None:
        return ""
    said = f"Compared: n{NBSP}={NBSP}{n:,} generated against as many real slices of the training part"
    if held_out is not None and held_out < SMALLEST_HELD_OUT:
        said += f"; kernel distance to training slices too, for fewer than {SMALLEST_HELD_OUT} were held out"
    elif held_out is not None:
        most = "up to " if held_out > n else ""  # of many held out it takes as many as it has others
        said += f"; kernel distance to {most}{slices(held_out)} held out from the generator"
    before = looks(record)[: _joint_looks(record)]
    if before and before[-1].n is not None and record.joint_until is not None:
        said += (
            f". In the training of all diagnoses, up to {images(record.joint_until)}: "
            f"n{NBSP}={NBSP}{before[-1].n:,}, generated and real slices of all diagnoses"
        )
    return f"{said}."


def doubt(record: TrainingRecord) -> str:
    """Why the generator is to be distrusted for how it was trained; empty where the watch has nothing against it."""
    name = slices_of(record.diagnosis)
    if record.best_wrong == 2:
        return f"Do not trust the generator of {name}: the watch found it at fault even at the moment that was kept."
    if record.best_wrong == 1:
        return (
            f"Distrust the generator of {name}: even at the moment that was kept its slices were too much alike, or "
            "most kinds of real heads were missing."
        )
    if record.stopped:
        return (
            f"Use the generator of {name} with caution: the watch stopped its training early, and an earlier, healthy "
            "moment was kept."
        )
    return ""
