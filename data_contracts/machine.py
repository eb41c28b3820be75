"""What a run took and what went wrong on the way: where, how long, over how many attempts; `machine.json`.

Apart from the summary, which holds no time, so that two runs of one seed have equal summaries. No host, user, path or
name from the source is in it: of an error its class and the rules it broke, never its text.
"""

from typing import Literal

from pydantic import AwareDatetime

from data_contracts.results import Record

Outcome = Literal["running", "finished", "failed", "interrupted", "cut_off"]
FaultKind = Literal["contract", "configuration", "training", "memory", "disk", "file", "unexpected"]


class Machine(Record):
    """What one attempt ran on."""

    processor: str
    cores: int  # that the program may use
    threads: int  # that one calculation is shared by
    memory_gib: float | None  # that the program may use; None where it cannot be told
    accelerators: tuple[str, ...]  # one name a device
    system: str
    python: str
    precision: str  # of trainings: device, number format and memory layout


class Attempt(Record):
    """From a start or a resume to its end, or to when it was last known to run."""

    machine: Machine
    began: AwareDatetime  # UTC, whole seconds
    ended: AwareDatetime  # UTC, whole seconds; of one that runs or was cut off: when it last wrote here
    seconds: float  # wall clock between the two, by a clock that is never set
    outcome: Outcome  # cut_off: ended without a word, and another attempt came after it
    peak_memory_gib: float | None  # resident, of the largest process; None where the system does not tell


class StageTime(Record):
    """Wall clock that one stage took in all attempts; nothing is added where its result already stood."""

    stage: str
    fold: int | None = None
    diagnosis: str | None = None
    locked: bool = False  # of the locked test set
    seconds: float
    attempts: int  # in which it was begun and took a second or more


class Fault(Record):
    """An error that ended an attempt."""

    attempt: int  # counted from 0
    stage: str  # "" between stages
    fold: int | None = None
    diagnosis: str | None = None
    locked: bool = False
    kind: FaultKind
    error: str  # its class
    rules: tuple[str, ...] = ()  # of a broken data contract


class MachineRecord(Record):
    """The whole account of a run."""

    attempts: tuple[Attempt, ...]
    stages: tuple[StageTime, ...]  # in the order in which they were first begun
    faults: tuple[Fault, ...] = ()

    @property
    def seconds(self) -> float:
        """Wall clock of all attempts together."""
        return sum(attempt.seconds for attempt in self.attempts)
