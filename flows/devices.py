"""Several GANs at once, one a device: each in a process of its own, stopped at its next tick where another has failed.

A process says how far it is, and is told where it is to stop.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path

import torch
from threadpoolctl import threadpool_limits

from flows import progress
from pipeline import children
from pipeline.children import Child, Done, Failed, Parent


@dataclass(frozen=True)
class Job:
    """One GAN to train: of one fold of the run in `root`, and of one diagnosis or, named JOINT, of all; or CANVAS."""

    root: Path
    fold: int
    diagnosis: str

    @property
    def title(self) -> str:
        """What a user reads of it."""
        return f"Train the {self.diagnosis} generator, fold {self.fold}"


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
        children.end([one.child for one in running])  # interrupted, they leave their last checkpoints


@dataclass(eq=False)
class _Training:
    """One job under way on its device, as seen from here."""

    job: Job
    device: str
    child: Child
    last: object = None  # what it said last: (images seen, budget, words), or at its end Done or Failed
    told_to_stop: bool = False

    def stop(self) -> None:
        """Ask it to end at its next update."""
        if not self.told_to_stop:
            self.told_to_stop = True
            self.child.tell("stop")

    def failure(self) -> Exception | None:
        """What went wrong with it; asked when its process has ended."""
        if isinstance(self.last, Failed):
            return self.last.error
        if isinstance(self.last, Done) or self.told_to_stop:
            return None
        from pipeline.synthesis.gan import TrainingFailed  # noqa: PLC0415 - children read this file, and begin sooner

        return TrainingFailed(
            f"{self.job.title}, on {self.device}: its process {self.child.how_it_ended()}, without a word of why "
            "(memory that ran out is the usual cause: lower gan.batch_size); its last checkpoint stands"
        )


def _outcome(one: _Training, failed: Exception | None, earlier: Exception | None) -> str:
    if failed is not None:
        return "failed too" if earlier else "failed; the others stop at their next tick"
    return "done" if one.last == Done(True) else "stopped, to be gone on with"


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
    heard = wait([one.child.pipe for one in running])
    for one in running:
        if one.child.pipe not in heard:
            continue
        try:
            one.last = one.child.hear()
        except EOFError:
            children.end([one.child])
            ended.append(one)
            continue
        if isinstance(one.last, tuple):
            shown(one, one.last)
    return ended


def _begin(train: Train, job: Job, device: str, threads: int) -> _Training:
    child = children.begin(_work, train, job, device, threads, where=f"{job.title}, on {device}")
    return _Training(job, device, child)


class _Stopped(BaseException):
    """This training is to end here. Not an Exception, which somebody might catch on the way."""


def _work(parent: Parent, train: Train, job: Job, device: str, threads: int) -> bool:
    """What a child does; returns whether it came to the end of the training."""
    torch.set_num_threads(threads)
    threadpool_limits(threads)
    if device.startswith("cuda"):
        torch.cuda.set_device(device)  # else what names no device would go to the first

    def update(done: int, total: int, said: str = "", /) -> None:
        parent.tell((done, total, said))
        if parent.has_spoken():
            raise _Stopped

    try:
        train(job, device, update)
    except _Stopped:
        return False
    return True
