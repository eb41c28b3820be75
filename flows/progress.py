"""Progress of long stages on the console: a bar with the time left on a terminal, a line now and then elsewhere."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class Update(Protocol):
    """Says how far a stage is, and in a few words how it goes."""

    def __call__(self, done: int, total: int, said: str = "", /) -> None: ...


console = Console(stderr=True, highlight=False)
SECONDS_BETWEEN_LINES = 15.0


@contextmanager
def stage(title: str, unit: str = "") -> Iterator[Update]:
    """Show one stage; the function given takes (done, total, words). Ends with a line that says how long it took."""
    start = time.monotonic()
    if console.is_terminal:
        words = TextColumn("{task.fields[said]}")
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn(unit), words)
        with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console, transient=True) as bar:
            task = bar.add_task(title, total=None, said="")

            def shown(done: int, total: int, said: str = "", /) -> None:
                bar.update(task, completed=done, total=total, said=said)

            yield shown
    else:
        yield _lines(title, unit, start)
    console.print(f"{title}: done in {_duration(time.monotonic() - start)}")


def _lines(title: str, unit: str, start: float) -> Update:
    last, before = start, None  # of what a resumed stage had done before, nothing tells its speed now

    def update(done: int, total: int, said: str = "", /) -> None:
        nonlocal last, before
        now = time.monotonic()
        before = done if before is None and done != 1 else before or 0
        if now - last < SECONDS_BETWEEN_LINES or done <= before:
            return
        last = now
        left = (now - start) / (done - before) * (total - done)
        console.print(f"{title}: {done:,} of {total:,} {unit}, about {_duration(left)} left{said and '; '}{said}")

    return update


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.1f} min"
