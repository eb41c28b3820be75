"""The account of a run: wall clock by stage, memory and errors, kept over resumes in RUN/machine.json.

`attempt` surrounds a flow; what is decorated by `stage_task` inside of it is timed. It is written at the beginning and
end of every stage and each `SECONDS_BETWEEN` in between, so that a kill costs the account no more than that.
"""

import errno
import inspect
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import wraps
from typing import Final, NamedTuple, ParamSpec, TypeVar

from prefect import Task, task
from prefect.cache_policies import NO_CACHE
from pydantic import ValidationError

from data_contracts.machine import Attempt, Fault, FaultKind, Machine, MachineRecord, Outcome, StageTime
from data_contracts.violations import ContractError
from flows.errors import ConfigError
from flows.machine import peak_memory_gib, this_machine
from pipeline.run_dir import RunDir, read_record, write_record
from pipeline.synthesis.gan import TrainingFailed
from pipeline.synthesis.model_dir import ModelError

P = ParamSpec("P")
R = TypeVar("R")

SECONDS_BETWEEN = 60.0
BEGUN = 1.0  # seconds below which a stage is taken to have found its result there


class Place(NamedTuple):
    """One stage of the study."""

    stage: str
    fold: int | None = None
    diagnosis: str | None = None
    locked: bool = False


NOWHERE: Final = Place("")


@contextmanager
def attempt(run: RunDir, machine: Machine | None = None) -> Iterator[None]:
    """Keep the account of what is done inside as one more attempt at the run.

    machine: this one, where none is given. An account that cannot be read is begun anew; errors pass through.
    """
    account = _Account(run, machine or this_machine())
    token = _current.set(account)
    over = threading.Event()
    clock = threading.Thread(target=account.keep, args=(over,), daemon=True)
    clock.start()
    outcome: Outcome = "interrupted"  # by a signal, unless it comes to its end or to an error
    try:
        yield
        outcome = "finished"
    except Exception as error:
        outcome = "failed"
        account.note(NOWHERE, error)
        raise
    finally:
        over.set()
        clock.join()
        _current.reset(token)
        account.write(outcome)


def stage_task(name: str) -> Callable[[Callable[P, R]], Task[P, R]]:
    """A Prefect task of a function whose arguments are a run folder `root` and, where it has them, fold and diagnosis.

    Timed in the account of the attempt that it is called in, where there is one.
    """

    def decorate(work: Callable[P, R]) -> Task[P, R]:
        @wraps(work)
        def timed(*args: P.args, **kwargs: P.kwargs) -> R:
            account = _current.get()
            if account is None:
                return work(*args, **kwargs)
            given = inspect.signature(work).bind(*args, **kwargs).arguments
            locked = given["root"] != account.run.root
            with account.timing(Place(name, given.get("fold"), given.get("diagnosis"), locked)):
                return work(*args, **kwargs)

        return task(name=name, cache_policy=NO_CACHE)(timed)

    return decorate


class _Account:
    """What an attempt adds to the account that earlier ones left."""

    def __init__(self, run: RunDir, machine: Machine) -> None:
        self.run, self.machine = run, machine
        self.earlier = _earlier(run)
        self.times = {
            Place(s.stage, s.fold, s.diagnosis, s.locked): (s.seconds, s.attempts) for s in self.earlier.stages
        }
        self.faults = list(self.earlier.faults)
        self.began, self.start = datetime.now(UTC).replace(microsecond=0), time.monotonic()
        self.under_way: tuple[Place, float] | None = None
        self.lock = threading.Lock()
        self.write("running")

    def keep(self, over: threading.Event) -> None:
        """Write the account now and then, until it is over."""
        while not over.wait(SECONDS_BETWEEN):
            self.write("running")

    @contextmanager
    def timing(self, place: Place) -> Iterator[None]:
        """Add what is done inside to the time of its stage."""
        self.under_way = place, time.monotonic()
        self.write("running")
        try:
            yield
        except Exception as error:
            self.note(place, error)
            raise
        finally:
            with self.lock:
                self.times, self.under_way = self._times(), None
            self.write("running")

    def note(self, place: Place, error: Exception) -> None:
        """The error that ends this attempt; the first place that it passes is where it arose."""
        if any(fault.attempt == len(self.earlier.attempts) for fault in self.faults):
            return
        rules = sorted({v.rule for v in error.violations}) if isinstance(error, ContractError) else ()
        fault = Fault(
            **place._asdict(),
            attempt=len(self.earlier.attempts),
            kind=_kind(error),
            error=type(error).__name__,
            rules=tuple(rules),
        )
        self.faults.append(fault)

    def write(self, outcome: Outcome) -> None:
        """Write the account as it now stands; where it cannot be written the run goes on without it."""
        with self.lock, suppress(OSError):
            seconds = time.monotonic() - self.start
            this = Attempt(
                machine=self.machine,
                began=self.began,
                ended=datetime.now(UTC).replace(microsecond=0),
                seconds=round(seconds, 1),
                outcome=outcome,
                peak_memory_gib=None if (peak := peak_memory_gib()) is None else round(peak, 2),
            )
            stages = tuple(
                StageTime(**place._asdict(), seconds=round(seconds, 1), attempts=attempts)
                for place, (seconds, attempts) in self._times().items()
            )
            attempts = (*self.earlier.attempts, this)
            write_record(self.run.machine, MachineRecord(attempts=attempts, stages=stages, faults=tuple(self.faults)))

    def _times(self) -> dict[Place, tuple[float, int]]:
        """Seconds and attempts by stage, with the part of the one under way that is done."""
        times = dict(self.times)
        if self.under_way is not None:
            place, start = self.under_way
            seconds, attempts = times.get(place, (0.0, 0))
            more = time.monotonic() - start
            times[place] = seconds + more, attempts + (more >= BEGUN)
        return times


_current: ContextVar[_Account | None] = ContextVar("account", default=None)


def _earlier(run: RunDir) -> MachineRecord:
    """The account so far; an attempt in it that seems to run was cut off, for a run folder has one at a time."""
    try:
        there = read_record(run.machine, MachineRecord)
    except (OSError, ValidationError):
        return MachineRecord(attempts=(), stages=())
    ended = [
        one.model_copy(update={"outcome": "cut_off"}) if one.outcome == "running" else one for one in there.attempts
    ]
    return there.model_copy(update={"attempts": tuple(ended)})


def _kind(error: Exception) -> FaultKind:
    """What sort of error it is; its text may hold names from the source and is not kept."""
    kinds: tuple[tuple[tuple[type[Exception], ...], FaultKind], ...] = (
        ((ContractError,), "contract"),
        ((ConfigError,), "configuration"),
        ((TrainingFailed, ModelError), "training"),
        ((MemoryError,), "memory"),
    )
    for classes, kind in kinds:
        if isinstance(error, classes):
            return kind
    if type(error).__name__ == "OutOfMemoryError":  # of torch, for an accelerator
        return "memory"
    if isinstance(error, OSError):
        return "disk" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "file"
    return "unexpected"
