"""A source of any supported format becomes a manifest of pseudonymous slices, and a quarantine with reasons."""

import os
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data_contracts.facts import check_facts
from data_contracts.manifest import DIAGNOSES, LEFT_OUT, QUARANTINED, REVIEW, check_manifest
from data_contracts.violations import ContractError, Violation, require
from pipeline.run_dir import RunDir, write_bytes, write_findings, write_record, write_table
from pipeline.scans import dataset, duplicates, linking, remote, sources, workers
from pipeline.scans.candidates import Listing
from pipeline.scans.deidentify import Pseudonyms, file_record
from pipeline.scans.drawn import read_regions
from pipeline.scans.fetched import Progress, shown
from pipeline.scans.inputs import IngestConfig, IngestInputs, IngestRecord, inputs_of, standing
from pipeline.scans.positions import read_slice_index
from pipeline.scans.reading import Job, Slice, read
from pipeline.scans.sources import SourceFile
from pipeline.scans.units import Findings, Unit, find_units
from pipeline.scans.workers import Refusal


@dataclass(frozen=True)
class _Found:
    """What a source holds: its slices with their groups, before any choice among them, and counts of its files."""

    slices: list[Slice]
    near: list[tuple[str, str]]  # of slices that look alike
    files: int  # images and volumes
    masks: int
    drawn: int  # files with regions drawn in a table
    skipped: int
    decoded: int  # slices, before any was refused or left out


def ingest(
    *,
    source: str | Path,
    out: RunDir,
    config: IngestConfig,
    seed: int,
    progress: Progress | None = None,
    key: bytes | None = None,
) -> IngestRecord:
    """Read `source` into `out`: slices, quarantine.csv, review.csv, facts.parquet, ingest.json, manifest.parquet last.

    source: a folder, table, archive or URL (see `sources` and `remote`). One bad file never stops it; each ends in the
    quarantine with its rule. With `key`, subjects are named by it. Where `out` holds what the same inputs gave, nothing
    is read again. `progress(done, total)` counts files fetched, then units read. Raises ContractError where the source
    is missing, empty, or gives no slice of one diagnosis; the quarantine is written by then and says why.
    """
    pseudonyms = None if key is None else Pseudonyms(key)
    inputs = inputs_of(source, config=config, seed=seed, pseudonyms=pseudonyms)
    done = standing(out, inputs)
    if done is not None:
        return done
    begin(out, source)
    findings = Findings()
    with on_this_machine(source, out, progress) as local:
        found = read_source(local, inputs=inputs, out=out, findings=findings, progress=progress)
    slices = chosen(found.slices, inputs, findings)
    slices, manifest, facts = _tables(slices, pseudonyms, findings)
    _write_findings(out, findings)
    _require_both(slices, source, out, findings)
    record = _record_of(found, manifest, inputs, findings)
    write_table(out.seen, pd.DataFrame({"sha256": sorted({one.sha256 for one in found.slices})}, dtype=str))
    _write_dataset(out, manifest=manifest, facts=facts, record=record)
    return record


def begin(out: RunDir, source: str | Path) -> None:
    """Mark `out` as a dataset in the making: from here on there is no whole one until the end."""
    if not remote.is_remote(str(source)) and out.root.resolve().is_relative_to(Path(source).resolve()):
        raise ContractError([Violation("out", "inside_source", f"{out.root} lies in {source}; choose one outside it")])
    try:
        write_bytes(out.unfinished, b"")
    except OSError as error:
        detail = f"{out.root} cannot be written: {os.strerror(error.errno or 0)}"
        raise ContractError([Violation("out", "not_writable", detail)]) from None
    for path in (out.manifest, out.ingest_json):
        path.unlink(missing_ok=True)
    # what an interrupted ingest unpacked is unpacked again; what it fetched is gone on with
    shutil.rmtree(out.scratch / "unpacked", ignore_errors=True)


@contextmanager
def on_this_machine(source: str | Path, out: RunDir, progress: Progress | None) -> Iterator[Path]:
    """The source as a path here. What was fetched or unpacked for it goes when the block ends, well or not.

    Only what an interruption or a broken network leaves unfinished stays: the next attempt goes on with it.
    """
    local = Path(source)
    if remote.is_remote(str(source)):
        local = remote.fetch(str(source), into=out.scratch / "fetched", progress=progress)
    try:
        yield local
    except Exception:
        shutil.rmtree(out.scratch, ignore_errors=True)
        raise
    shutil.rmtree(out.scratch, ignore_errors=True)


def read_source(
    local: Path,
    *,
    inputs: IngestInputs,
    out: RunDir,
    findings: Findings,
    progress: Progress | None,
    synthetic: bool = False,
) -> _Found:
    """List the files, find what makes a scan, decode its slices into `out`, and link copies and patients to groups."""
    labels = inputs.config.labels
    listing = sources.list_source(local, layout=labels.layout, column=labels.column, scratch=out.scratch / "unpacked")
    files = _described(listing, inputs, findings)
    regions = read_regions(local)
    units = find_units(
        files,
        regions=regions,
        slices_of=read_slice_index(local),
        attribute=labels.dicom_attribute or None,
        findings=findings,
        synthetic=synthetic,
    )
    features = out.scratch / "features"
    slices, decoded = _read_all(
        units=units,
        out=out,
        config=inputs.config,
        features=features,
        findings=findings,
        progress=progress,
        synthetic=synthetic,
    )
    if synthetic:  # of nobody, and what a generator repeats is no contradiction
        near: list[tuple[str, str]] = []
        slices = [replace(one, group=i) for i, one in enumerate(slices)]
    else:
        slices, near = linking.link(slices, _on_disk(features), seed=inputs.seed, findings=findings)
    masks = {unit.mask.path for unit in units if unit.mask is not None}
    masks |= {file.path for file in files if file.mask_of is not None}
    return _Found(
        slices=slices,
        near=near,
        files=len(files) - len(masks),
        masks=len(masks),
        drawn=len(regions),
        skipped=listing.skipped,
        decoded=decoded,
    )


def _described(listing: Listing, inputs: IngestInputs, findings: Findings) -> list[SourceFile]:
    """The files of a listing under their numbers; what is to be said of the listing becomes findings."""
    for note in listing.notes:
        findings.add("source", REVIEW, note.rule, note.detail)
    return [
        SourceFile(
            record=file_record(i),
            path=candidate.path,
            relative=candidate.relative,
            kind="unknown" if candidate.refused else sources.kind_of(candidate.path),
            source_sequence=inputs.source_sequence,
            declared=candidate.declared,
            refused=candidate.refused,
            wrapper=candidate.wrapper,
        )
        for i, candidate in enumerate(listing.candidates, start=1)
    ]


def _read_all(
    *,
    units: Sequence[Unit],
    out: RunDir,
    config: IngestConfig,
    features: Path,
    findings: Findings,
    progress: Progress | None,
    synthetic: bool,
) -> tuple[list[Slice], int]:
    """Every admitted slice, its pixels and features on disk; and how many slices were decoded."""
    slices: list[Slice] = []
    decoded = 0
    jobs = [Job(unit, config, out, synthetic) for unit in units]
    small = all(unit.file.kind == "raster" for unit in units)
    results = workers.each(read, jobs, seconds=lambda job: job.unit.seconds, chunk=8 if small else 1)
    features.parent.mkdir(parents=True, exist_ok=True)
    with features.open("wb") as file:
        for done, (unit, result) in enumerate(zip(units, results, strict=True), start=1):
            if isinstance(result, Refusal):
                findings.add(unit.file.record, QUARANTINED, result.rule, result.detail)
            else:
                slices += result.slices
                findings.rows += result.findings
                decoded += result.decoded
                file.write(result.features.tobytes())
            if progress:
                progress(done, len(units))
    return slices, decoded


def _on_disk(features: Path) -> NDArray[np.float16]:
    """The features (N, FEATURES) as they lie in the file, read as they are looked at."""
    empty = features.stat().st_size == 0  # which cannot be mapped
    flat = np.empty(0, np.float16) if empty else np.memmap(features, np.float16, "r")
    return flat.reshape(-1, duplicates.FEATURES)


def chosen(slices: Sequence[Slice], inputs: IngestInputs, findings: Findings) -> list[Slice]:
    """The slices that the configuration takes: without what wants a look, heights matched between the diagnoses."""
    config, kept = inputs.config, list(slices)
    if not config.keep_review:
        kept = _reviewed(kept, findings)
    if config.match_position:
        rng = np.random.default_rng(inputs.seed)
        kept = linking.match_positions(kept, width=config.position_bin, rng=rng, findings=findings)
    return kept


def _reviewed(slices: Sequence[Slice], findings: Findings) -> list[Slice]:
    """Without the slices that a person should look at first, which are left out for that."""
    for s in slices:
        if s.review:
            findings.add(s.slice_id, LEFT_OUT, "wants_review", "see review.csv; ingest.keep_review = true takes it in")
    return [s for s in slices if not s.review]


def _tables(
    slices: Sequence[Slice], pseudonyms: Pseudonyms | None, findings: Findings
) -> tuple[list[Slice], pd.DataFrame, pd.DataFrame]:
    """The slices that keep their contract, their manifest and their facts; one that breaks it is quarantined alone."""
    kept = list(slices)
    if not kept:
        return [], pd.DataFrame(), pd.DataFrame()
    manifest, facts = dataset.manifest_table(kept, pseudonyms), dataset.facts_table(kept)
    broken = [*check_manifest(manifest), *check_facts(facts)]
    named = {violation.record for violation in broken} & set(manifest["slice_id"])
    for violation in broken:
        if violation.record in named:
            findings.add(violation.record, QUARANTINED, "broken_contract", f"{violation.rule}: {violation.detail}")
    require(violation for violation in broken if violation.record not in named)
    if not named:
        return kept, manifest, facts
    return _tables([s for s in kept if s.slice_id not in named], pseudonyms, findings)


def _write_findings(out: RunDir, findings: Findings) -> None:
    rows = sorted(findings.rows, key=lambda row: (row["record"], row["outcome"], row["rule"]))
    write_findings(out.quarantine, [row for row in rows if row["outcome"] != REVIEW])
    write_findings(out.review, [row for row in rows if row["outcome"] == REVIEW])


def _require_both(slices: Sequence[Slice], source: str | Path, out: RunDir, findings: Findings) -> None:
    """Raise one ContractError, with the commonest reason, where nothing or only one diagnosis is left."""
    counts = Counter(s.diagnosis for s in slices)
    missing = [diagnosis for diagnosis in DIAGNOSES if not counts[diagnosis]]
    if not missing:
        return
    kept_out = [row["rule"] for row in findings.rows if row["outcome"] != REVIEW]
    rules = Counter(kept_out).most_common(1)
    why = f"most often because of {rules[0][0]} ({rules[0][1]} times); " if rules else ""
    rest = f"{out.quarantine} lists each with its reason"
    where = shown(str(source)) if remote.is_remote(str(source)) else source
    if not slices:
        detail = f"no slice in {where} can be used, {why}{rest}"
    else:
        wanted = (
            "it needs both, told apart by folders named yes and no, by a mask beside each image, by a table, or by a "
            "DICOM element"
        )
        out_of_it = f"{len(kept_out)} were kept out, {why}{rest}" if kept_out else "none was kept out"
        detail = f"{where} gives {len(slices)} slices, none of them {missing[0]}; {wanted}; {out_of_it}"
    raise ContractError([Violation("source", "no_slices" if not slices else "one_diagnosis", detail)])


def _record_of(found: _Found, manifest: pd.DataFrame, inputs: IngestInputs, findings: Findings) -> IngestRecord:
    used = set(manifest["slice_id"])
    return IngestRecord(
        files_found=found.files,
        masks_found=found.masks,
        masks_drawn=found.drawn,
        files_skipped=found.skipped,
        slices_read=found.decoded,
        slices_used=len(manifest),
        subjects_known=bool(manifest["subject_known"].all()),
        exact_duplicates=int(manifest["sha256"].duplicated().sum()),
        near_duplicate_pairs=sum(used.issuperset(pair) for pair in found.near),
        unsettled=sum(row["rule"] in workers.UNSETTLED for row in findings.rows),
        inputs=inputs,
    )


def _write_dataset(out: RunDir, *, manifest: pd.DataFrame, facts: pd.DataFrame, record: IngestRecord) -> None:
    """Write the tables beside the slices, which are there already, and mark the dataset as whole."""
    _remove_strangers(out, set(manifest["slice_id"]))
    write_table(out.facts, facts)
    write_record(out.ingest_json, record)
    write_table(out.manifest, manifest)  # last: where the manifest stands, everything stands
    out.unfinished.unlink()


def _remove_strangers(out: RunDir, slice_ids: set[str]) -> None:
    """Delete slice files that are not in the manifest: left out later, or of an earlier ingest."""
    wanted = {out.slice_pixels(slice_id) for slice_id in slice_ids}
    for path in out.slice_pixels("any").parent.iterdir():
        if path not in wanted:
            path.unlink()
