"""Progress of long stages on the console: a bar with the time left on a terminal, a line now and then elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

Update = Callable[[int, int], None]  # (done, total)

console = Console(stderr=True, highlight=False)
SECONDS_BETWEEN_LINES = 15.0


@contextmanager
def stage(title: str, unit: str = "") -> Iterator[Update]:
    """Show one stage; the function given takes (done, total). Ends with a line that says how long it took."""
    start = time.monotonic()
    if console.is_terminal:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn(unit))
        with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console, transient=True) as bar:
            task = bar.add_task(title, total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)
    else:
        yield _lines(title, unit, start)
    console.print(f"{title}: done in {_duration(time.monotonic() - start)}")


def _lines(title: str, unit: str, start: float) -> Update:
    last = start

    def update(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < SECONDS_BETWEEN_LINES or not done:
            return
        last = now
        left = (now - start) / done * (total - done)
        console.print(f"{title}: {done:,} of {total:,} {unit}, about {_duration(left)} left")

    return update


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.1f} min"
