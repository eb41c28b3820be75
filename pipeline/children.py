"""Child processes that do not run the caller's script again, end with their parent, and hand over errors as they were.

`begin` spawns, for CUDA does not survive a fork. Each child has a pipe of its own to the process that began it. Along
it go, one way, whatever the work says and at last Done or Failed, and the other way what the work is to be told.
"""

import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from types import FrameType, ModuleType
from typing import Any, Final, NoReturn

GRACE_SECONDS: Final = 10  # in which a process that is asked to end leaves nothing half written


@contextmanager
def without_script() -> Iterator[None]:
    """A process begun in this block does not run the caller's script, which may import much and may lack a guard."""
    script = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")  # what a child is told to prepare itself by
    try:
        yield
    finally:
        sys.modules["__main__"] = script


@dataclass(frozen=True)
class Done:
    """The last word of a child whose work ended well: what the work returned."""

    result: Any


@dataclass(frozen=True)
class Failed:
    """The last word of a child whose work raised, and when it did, by the clock that all processes here share."""

    error: Exception
    at: float  # seconds, time.monotonic


@dataclass(frozen=True, eq=False)
class Child:
    """A process as seen from the one that began it."""

    process: BaseProcess
    pipe: Connection

    def hear(self) -> Any:
        """Wait for what it says next; raises EOFError where it has ended."""
        try:
            return pickle.loads(self.pipe.recv_bytes())  # noqa: S301 - our own
        except (EOFError, OSError):
            self.process.join(GRACE_SECONDS)
            raise EOFError from None

    def tell(self, word: object) -> None:
        """Say something to it, where it is still there."""
        with suppress(OSError):
            self.pipe.send_bytes(pickle.dumps(word))

    def how_it_ended(self) -> str:
        """Such as "was ended by SIGKILL"."""
        code = self.process.exitcode or 0
        return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


@dataclass(frozen=True)
class Parent:
    """The process that began this one, as seen from here."""

    pipe: Connection

    def tell(self, word: object) -> None:
        """Say something to it; ends this process where nobody is there any more."""
        try:
            self.pipe.send_bytes(pickle.dumps(word))  # whole: torch would lend tensors, and wait to be asked
        except ConnectionError:
            sys.exit(1)

    def has_spoken(self) -> bool:
        """Whether it has told this process something, or has ended."""
        return self.pipe.poll()


def begin(work: Callable[..., object], *arguments: object, where: str) -> Child:
    """`work(parent, *arguments)` in a process of its own.

    work: can be imported; it is given Parent first. Its arguments and its result can be pickled. where: the words
    that a failure names the process by. Ctrl-C does not reach it: a terminal sends that to all processes at once, and
    who ends, and when, is for the one that began them to decide.
    """
    ours, theirs = multiprocessing.Pipe()
    spawn = multiprocessing.get_context("spawn")
    process = spawn.Process(target=_main, args=(work, arguments, where, theirs), name=where, daemon=True)
    resource_tracker.ensure_running()  # beginning later, it would unblock the signal
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT,))  # a child inherits it
    try:
        with without_script():
            process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    theirs.close()  # so that the end of the process is heard
    return Child(process, ours)


def end(children: Sequence[Child]) -> None:
    """End those that still run, after `GRACE_SECONDS` by force, and wait until all have ended."""
    try:
        for one in children:
            one.process.terminate()
        until = time.monotonic() + GRACE_SECONDS
        for one in children:
            one.process.join(max(0.0, until - time.monotonic()))
    finally:  # also where the user is impatient
        for one in children:
            one.process.kill()
            one.process.join()
            one.pipe.close()


def end_with_parent() -> None:
    """See to it that this process ends when the one that began it does, even where that one is killed."""
    threading.Thread(target=_await_end_of_parent, daemon=True).start()


def portable(error: Exception, where: str) -> Exception:
    """The error with its traceback, which --debug shows; or its kind and text, where it cannot travel as it is."""
    told = "".join(traceback.format_exception(error))
    arrived: object = None
    with suppress(Exception):
        arrived = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    if type(arrived) is not type(error) or str(arrived) != str(error):
        error = RuntimeError(f"{type(error).__name__}: {error}")
    error.add_note(f"{where}:\n{told}")
    return error


def _main(work: Callable[..., object], arguments: Sequence[object], where: str, pipe: Connection) -> None:
    """What a child does."""
    signal.signal(signal.SIGTERM, _exit)
    end_with_parent()
    parent = Parent(pipe)
    try:
        result = work(parent, *arguments)
    except Exception as error:
        parent.tell(Failed(portable(error, where), time.monotonic()))
    else:
        parent.tell(Done(result))
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # there is nothing left to tidy up


def _exit(_signal: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(1)


def _await_end_of_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        signal.alarm(GRACE_SECONDS)  # ends it by force: it may wait in a library for what does not come any more
        os.kill(os.getpid(), signal.SIGTERM)
