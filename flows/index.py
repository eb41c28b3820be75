"""`augment-mri report --index`: all run folders below one, as far as they can be read; needs no torch."""

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import quote

import pandas as pd
from pydantic import ValidationError

from data_contracts.results import SCHEMA_VERSION, RunSummary
from flows.errors import ConfigError
from flows.report import read_machine, writing
from pipeline.run_dir import RunDir, write_bytes
from reports.index import IndexedRun, Problem, render_index

DEPTH: Final = 3  # folders below the one that is indexed
NAME: Final = "index.html"
OURS: Final = b'<meta name="generator" content="augment-mri index">'


def write_index(runs: Path, out: Path | None, *, lang: str = "en") -> Path:
    """Draw one page over all runs below `runs`; returns where it lies: at `out`, or as index.html in `runs`.

    lang: one of `language.LANGUAGES`. Raises ConfigError where there is no such folder or no run in it, and where `out`
    cannot be written. A page of that name that this program did not make is left as it is, unless `out` names it.
    """
    if not runs.is_dir():
        raise ConfigError(f"{runs} is no folder; name the folder that holds the runs")
    if _is_run(runs):
        raise ConfigError(f"{runs} is itself a run; name the folder above it, or draw its report without --index")
    page = out or runs / NAME
    if out is None and page.is_file() and OURS not in page.read_bytes()[:2000]:
        raise ConfigError(f"{page} is there and was not made by this program; name another file with --out")
    found = [_read(RunDir(folder), runs, page) for folder in _folders(runs, DEPTH)]
    if not found:
        raise ConfigError(f"there is no run below {runs}, {DEPTH} folders deep; a run folder holds run.json")
    told = render_index(found, spoken=lang).encode()
    with writing(page):
        write_bytes(page, told)
    return page


def _folders(top: Path, depth: int) -> Iterator[Path]:
    """Run folders below `top`, in the order of their names; what lies inside of a run is a part of it."""
    try:
        below = sorted(path for path in top.iterdir() if not path.name.startswith(".") and path.is_dir())
    except OSError:  # a folder that may not be listed holds nothing that could be shown
        return
    for path in below:
        if _is_run(path):
            yield path
        elif depth > 1:
            yield from _folders(path, depth - 1)


def _is_run(folder: Path) -> bool:
    run = RunDir(folder)
    try:
        return run.run_json.exists() or run.summary.exists()
    except OSError:
        return False


def _read(run: RunDir, runs: Path, page: Path) -> IndexedRun:
    """One run as far as it can be read; nothing is raised for it."""
    summary, problem = _summary(run)
    machine = read_machine(run)
    noted = machine is not None and bool(machine.attempts)
    return IndexedRun(
        name=_text(run.root.relative_to(runs).as_posix()),
        link=_link(run.report, page) if summary is not None and run.report.is_file() else "",
        when=machine.attempts[0].began if machine is not None and noted else _file_time(run),
        noted=noted,
        summary=summary,
        problem=problem,
        machine=machine,
        slices=_slices(run) if summary is not None else frozenset(),
    )


def _summary(run: RunDir) -> tuple[RunSummary | None, Problem | None]:
    """The summary, or why there is none."""
    try:
        told = run.summary.read_bytes()
    except FileNotFoundError:
        return None, "unfinished"
    except OSError:
        return None, "closed"
    try:
        return RunSummary.model_validate_json(told), None
    except ValidationError:
        return None, "other_version" if _version(told) not in (None, SCHEMA_VERSION) else "not_a_summary"


def _version(told: bytes) -> object:
    """The version that a summary says it has, or None."""
    try:
        value = json.loads(told)
    except ValueError:
        return None
    return value.get("schema_version") if isinstance(value, dict) else None


def _file_time(run: RunDir) -> datetime:
    """When run.json was written, which is the first file of a run; else when the summary was."""
    for path in (run.run_json, run.summary):
        try:
            return datetime.fromtimestamp(int(path.stat().st_mtime), UTC)
        except OSError:
            continue
    return datetime.fromtimestamp(0, UTC)


def _slices(run: RunDir) -> frozenset[str]:
    """Digests of all slices that were read; none where the run folder does not keep them."""
    try:
        return frozenset(pd.read_parquet(run.seen)["sha256"])
    except (OSError, ValueError, KeyError):  # pyarrow's errors are ValueErrors
        return frozenset()


def _link(report: Path, page: Path) -> str:
    """The way from the page to a report, percent-encoded, so that any name of a folder can stand in a link."""
    way = os.path.relpath(report.resolve(), page.parent.resolve())
    return "./" + quote(os.fsencode(way.replace(os.sep, "/")))  # "./": a name with a colon would look like a scheme


def _text(name: str) -> str:
    """A name as text, where it is no UTF-8 too."""
    return os.fsencode(name).decode("utf-8", "replace")
