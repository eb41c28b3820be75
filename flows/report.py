"""Render the report of a finished run; needs neither Prefect nor torch."""

from pathlib import Path

from data_contracts.results import RunSummary
from pipeline.run_dir import RunDir, read_record, write_bytes
from reports.render import render


def write_report(run: RunDir, path: Path) -> None:
    """Draw `path` from the run's summary.json and pictures, whole or not at all."""
    summary = read_record(run.summary, RunSummary)
    write_bytes(path, render(summary=summary, run_root=run.root).encode())
