"""Several GANs at once, one a device: each in a process of its own, stopped at its next tick where another has failed.

Processes are spawned: CUDA does not survive a fork. Each has a pipe of its own to here; along it go, one way, how far
it is and what went wrong, and the other way the wish that it stop.
"""

import multiprocessing
import os
import pickle
import signal
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from multiprocessing.popen_spawn_posix import Popen
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType, ModuleType
from typing import Final, NoReturn

import torch
from threadpoolctl import threadpool_limits

from flows import progress
from pipeline.synthesis.gan import TrainingFailed

GRACE_SECONDS: Final = 10.0  # for an interrupted process to leave nothing half written, before it is killed


@dataclass(frozen=True)
class Job:
    """One GAN to train: of one fold of the run in `root`, and of one diagnosis or, named JOINT, of all."""

    root: Path
    fold: int
    diagnosis: str

    @property
    def title(self) -> str:
        """What a user reads of it."""
        return f"Train the {self.diagnosis} GAN, fold {self.fold}"


Train = Callable[[Job, str, progress.Update], None]


def devices() -> tuple[str, ...]:
    """Where GANs can be trained at the same time: every CUDA device that torch sees, else the CPU."""
    return tuple(f"cuda:{i}" for i in range(torch.cuda.device_count())) or ("cpu",)


def train_all(jobs: Sequence[Job], devices: Sequence[str], train: Train) -> None:
    """`train(job, device, update)` of each job in a process of its own, in order, on the next device that is free.

    train: importable by name; it calls `update` with images seen, its budget in images and a few words, whenever a
    checkpoint stands, for there it may be stopped. The processes share the threads of this one. Where one fails no
    further job is begun, the others stop at their next update, and then the first failure is raised here as it was
    there; TrainingFailed where a process ended without a word. Where this process is interrupted the others are ended
    at once. No process is left behind.
    """
    devices = devices[: len(jobs)]
    waiting, free = deque(jobs), deque(devices)
    threads = max(1, torch.get_num_threads() // len(devices))
    running: list[_Training] = []
    failure: Exception | None = None
    try:
        with progress.stage(f"Train {len(jobs)} GANs on {len(devices)} devices", "images") as update:
            shown = _shown(len(jobs), update)
            while running or (waiting and failure is None):
                while waiting and free and failure is None:
                    running.append(_begin(train, waiting.popleft(), free.popleft(), threads))
                for one in _heard(running, shown):
                    running.remove(one)
                    free.append(one.device)
                    failed = one.failure()
                    progress.console.print(f"{one.job.title}, on {one.device}: {_outcome(one, failed, failure)}")
                    failure = failure or failed
                if failure is not None:
                    for one in running:
                        one.stop()
            if failure is not None:
                raise failure
    finally:
        _end(running)


@dataclass(eq=False)
class _Training:
    """One job under way on its device, as seen from here."""

    job: Job
    device: str
    process: "_Process"
    pipe: Connection
    last: object = None  # what it said last: (images seen, budget, words), True at its end, or what went wrong
    told_to_stop: bool = False

    def stop(self) -> None:
        """Ask it to end at its next update."""
        if not self.told_to_stop:
            self.told_to_stop = True
            with suppress(OSError):  # it has ended by itself
                self.pipe.send("stop")

    def failure(self) -> Exception | None:
        """What went wrong with it; asked when its process has ended."""
        if isinstance(self.last, Exception):
            return self.last
        if self.last is True or self.told_to_stop:
            return None
        code = self.process.exitcode or 0
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        return TrainingFailed(
            f"{self.job.title}, on {self.device}: its process {how}, without a word of why (memory that ran out is the "
            "usual cause: lower gan.batch_size); its last checkpoint stands"
        )


def _outcome(one: _Training, failed: Exception | None, earlier: Exception | None) -> str:
    if failed is not None:
        return "failed too" if earlier else "failed; the others stop at their next tick"
    return "done" if one.last is True else "stopped, to be gone on with"


def _shown(n_jobs: int, update: progress.Update) -> Callable[[_Training, tuple[int, int, str]], None]:
    """Sums what the trainings say of themselves; one not begun counts with the mean budget of those that are."""
    spent: dict[Job, tuple[int, int]] = {}

    def shown(one: _Training, said: tuple[int, int, str]) -> None:
        done, total, words = said
        spent[one.job] = done, total
        whole = n_jobs * sum(budget for _, budget in spent.values()) / len(spent)
        where = f"{one.job.diagnosis}, fold {one.job.fold}, on {one.device}"
        update(sum(images for images, _ in spent.values()), round(whole), f"{where}: {words}")

    return shown


def _heard(
    running: Sequence[_Training], shown: Callable[[_Training, tuple[int, int, str]], None]
) -> Sequence[_Training]:
    """Wait until a training says something or ends; returns those whose processes have ended."""
    ended = []
    heard = wait([one.pipe for one in running])
    for one in running:
        if one.pipe not in heard:
            continue
        try:
            one.last = one.pipe.recv()
        except (EOFError, OSError):
            one.process.join()
            one.pipe.close()
            ended.append(one)
            continue
        if isinstance(one.last, tuple):
            shown(one, one.last)
    return ended


def _begin(train: Train, job: Job, device: str, threads: int) -> _Training:
    ours, theirs = multiprocessing.Pipe()
    process = _Process(target=_work, args=(train, job, device, threads, theirs), name=job.title, daemon=True)
    process.start()
    theirs.close()  # so that its end is heard
    return _Training(job, device, process, ours)


def _end(running: Sequence[_Training]) -> None:
    """End what still runs: it was interrupted, and its last checkpoint stands."""
    try:
        for one in running:
            one.process.terminate()
        for one in running:
            one.process.join(GRACE_SECONDS)
    finally:  # also where the user is impatient
        for one in running:
            one.process.kill()
            one.process.join()


class _Process(SpawnProcess):
    """A child that does not run the caller's script again, which may lack a guard, and that Ctrl-C does not reach.

    The terminal sends Ctrl-C to all; who ends, and when, is decided in one place.
    """

    @staticmethod
    def _Popen(process: BaseProcess) -> Popen:  # noqa: N802 - multiprocessing's own name
        resource_tracker.ensure_running()  # beginning later, it would unblock the signal
        script = sys.modules["__main__"]
        before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT,))  # a child inherits it
        sys.modules["__main__"] = ModuleType("__main__")  # what a child is told to prepare itself by
        try:
            return SpawnProcess._Popen(process)  # noqa: SLF001 - there is no other place
        finally:
            sys.modules["__main__"] = script
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Stopped(BaseException):
    """This training is to end here. Not an Exception, which somebody might catch on the way."""


def _work(train: Train, job: Job, device: str, threads: int, pipe: Connection) -> None:
    """What a child does."""
    signal.signal(signal.SIGTERM, _exit)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(threads)
    threadpool_limits(threads)
    if device.startswith("cuda"):
        torch.cuda.set_device(device)  # else what names no device would go to the first

    def say(word: object) -> None:
        try:
            pipe.send(word)
        except BrokenPipeError:  # nobody is there any more
            sys.exit(1)

    def update(done: int, total: int, said: str = "", /) -> None:
        say((done, total, said))
        if pipe.poll():
            raise _Stopped

    try:
        train(job, device, update)
    except _Stopped:
        return
    except Exception as error:
        say(_portable(error, f"{job.title}, on {device}"))
    else:
        say(True)


def _exit(_signal: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(1)


def _end_with_parent() -> None:
    """Where the process that began this one is killed, there is no use in going on, and harm if it is begun again."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


def _portable(error: Exception, where: str) -> Exception:
    """The error with its traceback, which --debug shows, or its kind and text where it cannot travel as it is."""
    error.add_note(f"{where}:\n{traceback.format_exc()}")
    try:
        arrived = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    except Exception:
        arrived = None
    if type(arrived) is type(error) and str(arrived) == str(error):
        return error
    other = RuntimeError(f"{type(error).__name__}: {error}")
    other.add_note(f"{where}:\n{traceback.format_exc()}")
    return other
