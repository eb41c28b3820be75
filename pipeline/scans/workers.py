"""Work in child processes, which may hang, crash or run out of memory without harm to what is done beside them.

Decoders are large libraries in C that meet files from anywhere. In a process of its own the worst of them costs one
file and a fraction of a second.
"""

import errno
import os
import resource
import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.context import ForkServerContext, ForkServerProcess
from multiprocessing.popen_forkserver import Popen
from multiprocessing.process import BaseProcess
from typing import Final, TypeVar

from pebble import ProcessExpired, ProcessFuture, ProcessPool
from threadpoolctl import threadpool_limits

from data_contracts.violations import ContractError, Violation
from pipeline import children

T = TypeVar("T")
R = TypeVar("R")

MEMORY_BYTES: Final = 2 << 30  # of one child, beyond what it shares with the others
# faults that concern no item but the machine: going on would lose one item after another
_OF_THE_MACHINE: Final = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EMFILE, errno.ENFILE))
# rules that another attempt may not meet again
UNSETTLED: Final = frozenset(("took_too_long", "reader_crashed", "too_much_memory", "reader_failed"))
_PRELOAD: Final = ("pipeline.scans.reading",)  # imported once, in the process that children are forked from


@dataclass(frozen=True)
class Refusal:
    """In place of a result: the rule that an item broke, and what was measured."""

    rule: str
    detail: str


class _Process(ForkServerProcess):
    """A child that does not run the caller's script again."""

    @staticmethod
    def _Popen(process: BaseProcess) -> Popen:  # noqa: N802 - multiprocessing's own name
        with children.without_script():
            return ForkServerProcess._Popen(process)  # noqa: SLF001 - the pool begins its processes itself


class _Context(ForkServerContext):
    Process = _Process


def each(
    function: Callable[[T], R],
    items: Sequence[T],
    *,
    seconds: Callable[[T], float],
    chunk: int = 1,
    processes: int | None = None,
    memory_bytes: int = MEMORY_BYTES,
) -> Iterator[R | Refusal]:
    """`function` of each item, in their order, from `processes` children at a time (one a core unless told).

    `function` is importable, its arguments and results can be pickled. An item that takes longer than `seconds` of
    it, kills its process, needs more than `memory_bytes`, or raises, gives Refusal; the others do not notice. `chunk`
    items travel together, for quick functions. Few results are held at a time, however many items there are.
    Raises OSError where the machine fails (a full disk), ContractError where there is no folder for temporary files.
    """
    require_temporary_folder()
    processes = processes or len(os.sched_getaffinity(0))
    context = _Context()
    context.set_forkserver_preload(list(_PRELOAD))
    waiting: deque[tuple[tuple[T, ...], ProcessFuture[list[R | Refusal]]]] = deque()
    pool = ProcessPool(max_workers=processes, initializer=_limit, initargs=(memory_bytes,), context=context)

    def begin(part: tuple[T, ...]) -> ProcessFuture[list[R | Refusal]]:
        return pool.schedule(_apply, args=(function, part), timeout=sum(seconds(item) for item in part))

    def finish() -> Iterator[R | Refusal]:
        part, future = waiting.popleft()
        try:
            yield from future.result()
        except (TimeoutError, ProcessExpired) as error:
            if len(part) > 1:  # which of them was it?
                waiting.extendleft(((item,), begin((item,))) for item in reversed(part))
                for _ in part:
                    yield from finish()
            elif isinstance(error, TimeoutError):
                yield Refusal("took_too_long", f"no end after {seconds(part[0]):.0f} s")
            else:
                yield Refusal("reader_crashed", "the decoder ended its process")

    try:
        for start in range(0, len(items), chunk):
            part = tuple(items[start : start + chunk])
            waiting.append((part, begin(part)))
            if len(waiting) > 16 * processes:
                yield from finish()
        while waiting:
            yield from finish()
    finally:
        pool.stop()  # type: ignore[no-untyped-call]  # pebble annotates the rest
        pool.join()


def require_temporary_folder() -> None:
    """Raise ContractError where no folder for temporary files can be written: children are spoken to through one."""
    try:
        tempfile.gettempdir()
    except OSError:
        detail = "no folder for temporary files can be written; name one in the variable TMPDIR"
        raise ContractError([Violation("machine", "no_temporary_folder", detail)]) from None


def _limit(memory_bytes: int) -> None:
    children.end_with_parent()  # a decoder that hangs would outlive a pool that was killed
    resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    threadpool_limits(1)  # the children share the cores already


def _apply(function: Callable[[T], R], items: Sequence[T]) -> list[R | Refusal]:
    return [_one(function, item) for item in items]


def _one(function: Callable[[T], R], item: T) -> R | Refusal:
    try:
        return function(item)
    except OSError as error:
        if error.errno in _OF_THE_MACHINE:
            raise
        return Refusal("reader_failed", f"unexpected {type(error).__name__}")
    except MemoryError:
        return Refusal("too_much_memory", "reading it takes more memory than a reader may use")
    except Exception as error:  # whatever it is, it concerns this item alone; its text may quote a header
        return Refusal("reader_failed", f"unexpected {type(error).__name__}")
