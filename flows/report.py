"""Render the report of a finished run; needs neither Prefect nor torch."""

from pathlib import Path

from pydantic import ValidationError

from data_contracts.machine import MachineRecord
from data_contracts.results import RunSummary
from pipeline.run_dir import RunDir, read_record, write_bytes
from reports.render import render


def write_report(run: RunDir, path: Path) -> None:
    """Draw `path` from the run's summary.json and pictures, whole or not at all."""
    summary = read_record(run.summary, RunSummary)
    write_bytes(path, render(summary=summary, run_root=run.root, machine=read_machine(run)).encode())


def read_machine(run: RunDir) -> MachineRecord | None:
    """What the run took; None of runs from before that was noted, and where it cannot be read: no result hangs on it."""
    try:
        return read_record(run.machine, MachineRecord)
    except (OSError, ValidationError):
        return None
