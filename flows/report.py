"""Render the report of a finished run; needs neither Prefect nor torch."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from data_contracts.machine import MachineRecord
from data_contracts.results import RunSummary
from flows.errors import ConfigError
from pipeline.run_dir import RunDir, read_record, write_bytes
from reports.render import render


def report_again(folder: Path, out: Path | None, *, lang: str = "en") -> Path:
    """Draw the report of the finished run in `folder` again; returns where it lies: at `out`, or in the run folder.

    lang: one of `language.LANGUAGES`. Raises ConfigError where no run is finished there, its summary cannot be read, or
    the page cannot be written.
    """
    run = RunDir(folder)
    page = out or run.report
    told = page_of(run, lang=lang)
    with writing(page):
        write_bytes(page, told)
    return page


@contextmanager
def writing(page: Path) -> Iterator[None]:
    """Turn what goes wrong in writing `page` inside into a ConfigError that says so."""
    if page.is_dir():
        raise ConfigError(f"{page} is a folder; name a file with --out")
    try:
        yield
    except OSError as error:
        raise ConfigError(f"{page} cannot be written: {os.strerror(error.errno or 0)}") from error


def write_report(run: RunDir, path: Path, *, lang: str = "en") -> None:
    """Draw `path` from the run's summary.json and pictures, whole or not at all, in one of `language.LANGUAGES`."""
    write_bytes(path, page_of(run, lang=lang))


def page_of(run: RunDir, *, lang: str = "en") -> bytes:
    """The report of a finished run; raises ConfigError as `summary_of` does."""
    return render(summary=summary_of(run), run_root=run.root, machine=read_machine(run), spoken=lang).encode()


def summary_of(run: RunDir) -> RunSummary:
    """The summary of a finished run. Raises ConfigError where there is none, or it cannot be read."""
    if not run.summary.is_file():
        raise ConfigError(
            f"{run.root} holds no finished run (no summary.json); name another, or finish it with --resume"
        )
    try:
        return read_record(run.summary, RunSummary)
    except OSError as error:
        raise ConfigError(f"{run.summary} cannot be read: {os.strerror(error.errno or 0)}") from error
    except ValidationError:
        raise ConfigError(
            f"{run.summary} is not whole, or of another version of this program; finish the run with --resume"
        ) from None


def read_machine(run: RunDir) -> MachineRecord | None:
    """What the run took; None where it was not noted, as in older runs, or cannot be read: no result hangs on it."""
    try:
        return read_record(run.machine, MachineRecord)
    except (OSError, ValidationError):
        return None
