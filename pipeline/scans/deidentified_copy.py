"""A copy of a source's MR DICOM files in which nothing identifies, and the list of those that were refused."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from data_contracts.manifest import QUARANTINED
from pipeline.formats.scan import Unreadable
from pipeline.run_dir import write_findings
from pipeline.scans import workers
from pipeline.scans.deidentify import Pseudonyms, file_record
from pipeline.scans.dicom_deidentify import write_deidentified
from pipeline.scans.sources import kind_of, list_source
from pipeline.scans.units import BYTES_A_SECOND, SECONDS, Findings
from pipeline.scans.workers import Refusal


@dataclass(frozen=True)
class _Job:
    source: Path = field(repr=False)
    copy: Path
    key: bytes = field(repr=False)  # goes through a pipe to the child and nowhere else

    @property
    def seconds(self) -> float:
        return SECONDS + self.source.stat().st_size / BYTES_A_SECOND


def write_copy(
    *, source: Path, out: Path, key: bytes, progress: Callable[[int, int], None] | None = None
) -> tuple[int, int]:
    """Write `out/file-0117.dcm` for every MR DICOM file of a folder, and `out/quarantine.csv` for the others.

    Returns how many were written and how many refused. Files are numbered as `ingest` numbers them. `progress(done,
    total)` counts files. Raises ContractError where the source is missing or empty, or the key too short.
    """
    Pseudonyms(key)  # a key that will not do is said before anything is read
    findings = Findings()
    jobs = {}
    for i, path in enumerate(list_source(source).paths, start=1):
        record = file_record(i)
        if kind_of(path) == "dicom":
            jobs[record] = _Job(path, out / f"{record}.dcm", key)
        else:
            findings.add(record, QUARANTINED, "not_dicom", "only DICOM files are copied")
    results = workers.each(_copy, list(jobs.values()), seconds=lambda job: job.seconds, chunk=8)
    for done, (record, result) in enumerate(zip(jobs, results, strict=True), start=1):
        if result is not None:
            findings.add(record, QUARANTINED, result.rule, result.detail)
        if progress:
            progress(done, len(jobs))
    write_findings(out / "quarantine.csv", sorted(findings.rows, key=lambda row: row["record"]))
    refused = len(findings.rows)
    return len(list(out.glob("file-*.dcm"))), refused


def _copy(job: _Job) -> Refusal | None:
    try:
        write_deidentified(job.source, job.copy, Pseudonyms(job.key))
    except Unreadable as error:
        return Refusal(error.rule, error.detail)
    return None
