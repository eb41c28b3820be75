"""Where a run was made, how long it took, and which errors it met on the way."""

from typing import Final

from data_contracts.machine import Attempt, Fault, Machine, MachineRecord
from reports.language import _, later, plural
from reports.numbers import decimal, percent, whole
from reports.times import clock, duration, moment
from reports.wording.names import diagnosis_name

STAGES: Final = {  # by the names that flows give them
    "phantoms": later("Drawing head phantoms"),
    "ingest": later("Reading the scans"),
    "split": later("Dividing them into folds"),
    "normalise": later("Normalising"),
    "audit shortcuts": later("Looking for shortcuts"),
    "find lesions": later("Finding lesions"),
    "train on several devices": later("Training generators, several at once"),
    "train joint": later("Training generators of both diagnoses"),
    "train canvases": later("Training generators of slices to paint on"),
    "train": later("Training generators"),
    "dream canvases": later("Generating and screening slices to paint on"),
    "sample": later("Sampling and screening"),
    "paint": later("Painting and screening"),
    "copy and paste": later("Copying and pasting"),
    "fidelity": later("Judging the synthetic slices"),
    "classify": later("Training classifiers"),
    "see what classifiers look at": later("Asking what classifiers look at"),
    "carry classifiers over": later("Carrying classifiers between synthetic and real slices"),
    "compare": later("Comparing the arms"),
    "open the locked test set": later("Reading the locked test set"),
    "report": later("Gathering results and drawing pictures"),
}
KINDS: Final = {
    "contract": later("the data broke a rule that they must keep"),
    "configuration": later("the configuration could not be followed"),
    "training": later("a training could not go on"),
    "memory": later("memory ran out"),
    "disk": later("the disk was full"),
    "file": later("a file could not be read or written"),
    "unexpected": later("an error that the program did not expect"),
}
MEMORY_LIMIT: Final = later("Memory of accelerators, and of several processes at one time, is not counted.")


def stage_name(stage: str) -> str:
    """What a stage does, as the page calls it; its own name where it is not known here."""
    return _(STAGES[stage]) if stage in STAGES else stage


def made_on(machine: Machine) -> str:
    """Processor, memory, accelerators, system and precision, in one line."""
    memory = _("unknown memory") if machine.memory_gib is None else _gib(machine.memory_gib)
    beside = ", ".join(machine.accelerators) or _("no accelerator")
    return _("{processor}, {cores}; {memory}; {accelerators}; {system}; Python {python}; {precision}.").format(
        processor=machine.processor,
        cores=plural("{n} core", "{n} cores", machine.cores),
        memory=memory,
        accelerators=beside,
        system=machine.system,
        python=machine.python,
        precision=machine.precision,
    )


def machines(record: MachineRecord) -> tuple[str, ...]:
    """Each machine that the run was made on, once, in the order in which it came to them."""
    return tuple(dict.fromkeys(made_on(attempt.machine) for attempt in record.attempts))


def took(record: MachineRecord) -> str:
    """Wall clock in all, over how many attempts, and between which moments."""
    first, last = record.attempts[0], record.attempts[-1]
    same_day = first.began.date() == last.ended.date()
    said = _("{time} of wall clock, in one attempt, from {began} to {ended}.")
    if len(record.attempts) > 1:
        said = plural(
            "{time} of wall clock, in {n} attempt together, the first begun {began}, the last ended {ended}.",
            "{time} of wall clock, in {n} attempts together, the first begun {began}, the last ended {ended}.",
            len(record.attempts),
        )
    if last.outcome == "running":
        said = _("{time} of wall clock so far, begun {began}; the run went on when this page was drawn, at {ended}.")
    return said.format(
        time=duration(record.seconds),
        began=moment(first.began),
        ended=clock(last.ended) if same_day else moment(last.ended),
    )


def peak_memory(record: MachineRecord) -> str:
    """The most memory of any attempt; empty where no system told it."""
    peaks = [attempt.peak_memory_gib for attempt in record.attempts if attempt.peak_memory_gib is not None]
    return _("At most {memory} in one process.").format(memory=_gib(max(peaks))) if peaks else ""


def _gib(memory: float) -> str:
    return _("{n} GiB of memory").format(n=decimal(memory, 1))


def troubles(record: MachineRecord | None) -> tuple[str, ...]:
    """A sentence for each attempt that did not come to its end, in order; () where the account is missing."""
    if record is None:
        return ()
    told = []
    for number, attempt in enumerate(record.attempts):
        fault = next((fault for fault in record.faults if fault.attempt == number), None)
        said = _trouble(attempt, fault)
        if said:
            at = {"attempt": whole(number + 1), "all": whole(len(record.attempts)), "ended": moment(attempt.ended)}
            after = "" if number == len(record.attempts) - 1 else " " + _("The next attempt went on from there.")
            told.append(said.format(**at, **_of(fault)) + after)
    return tuple(told)


def _trouble(attempt: Attempt, fault: Fault | None) -> str:
    """The message for one attempt, with its places; empty where it ended well or still runs."""
    if attempt.outcome == "interrupted":
        return _("Attempt {attempt} of {all} was interrupted, {ended}.")
    if attempt.outcome == "cut_off":
        return _(
            "Attempt {attempt} of {all} ended without a word, as by a kill or a loss of power; it last wrote {ended}."
        )
    if fault is None:
        return ""
    if not fault.stage:
        return _("Attempt {attempt} of {all} ended in an error, {ended}: {kind} ({error}).")
    return _("Attempt {attempt} of {all} ended in an error while at “{stage}”, {ended}: {kind} ({error}).")


def _of(fault: Fault | None) -> dict[str, str]:
    """What fills the places of a fault's message."""
    if fault is None:
        return {}
    kind = _(KINDS[fault.kind])
    if fault.rules:
        kind = _("{what}: {rules}").format(what=kind, rules=", ".join(rule.replace("_", " ") for rule in fault.rules))
    return {"stage": _place(fault), "kind": kind, "error": fault.error}


def _place(fault: Fault) -> str:
    parts = [stage_name(fault.stage)]
    if fault.diagnosis is not None:
        parts.append(diagnosis_name(fault.diagnosis))
    if fault.fold is not None:
        parts.append(_("fold {n}").format(n=whole(fault.fold)))
    if fault.locked:
        parts.append(_("locked test set"))
    return ", ".join(parts)


def stage_rows(record: MachineRecord) -> tuple[tuple[str, str, str, str], ...]:
    """Stage, how often, wall clock and share of all; of all folds together, then the rest and the whole."""
    total = record.seconds
    by_stage: dict[tuple[str, bool], list[float]] = {}
    for stage in record.stages:
        by_stage.setdefault((stage.stage, stage.locked), []).append(stage.seconds)
    long = {of: times for of, times in by_stage.items() if sum(times) >= 1}
    rows = [
        (
            _("{stage}, locked test set").format(stage=stage_name(stage)) if locked else stage_name(stage),
            whole(len(times)),
            duration(sum(times)),
            _share(sum(times), total),
        )
        for (stage, locked), times in long.items()
    ]
    rest = max(0.0, total - sum(map(sum, long.values())))
    if rest >= 1:
        rows.append((_("All else"), "", duration(rest), _share(rest, total)))
    return (*rows, (_("Together"), "", duration(total), ""))


def _share(seconds: float, total: float) -> str:
    return percent(seconds / total, 0) if total else ""
