"""A source of any supported format becomes a manifest of pseudonymous slices, and a quarantine with reasons."""

import hashlib
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from data_contracts.facts import check_facts
from data_contracts.manifest import DIAGNOSES, LEFT_OUT, QUARANTINED, REVIEW, check_manifest
from data_contracts.violations import ContractError, Violation, require
from pipeline.formats.scan import guess_sequence
from pipeline.run_dir import RunDir, read_record, write_findings, write_record, write_table
from pipeline.scans import dataset, duplicates, linking, remote, sources, workers
from pipeline.scans.deidentify import Pseudonyms, file_record
from pipeline.scans.fetched import shown
from pipeline.scans.positions import read_slice_index
from pipeline.scans.reading import Job, ReadConfig, Slice, read
from pipeline.scans.sources import Candidate, SourceFile
from pipeline.scans.units import Findings, Unit, find_units
from pipeline.scans.workers import Refusal

_CODE: Final = ("data_contracts", "pipeline/formats", "pipeline/scans")  # what decides a dataset


class IngestConfig(ReadConfig):
    """What to take from a source."""

    # keep equally many slices of both diagnoses at each height, so that height does not tell them apart
    match_position: bool = True
    position_bin: float = Field(default=0.05, gt=0.0, le=1.0)
    keep_review: bool = True  # False leaves out of the study what a person should look at first


class IngestInputs(BaseModel):
    """All that decides a dataset: equal inputs, equal bytes."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    source_digest: str  # of names, sizes and bytes of all that is read
    code_digest: str  # of the program that reads it
    key_check: str  # tells one pseudonymisation key from another and gives neither away; empty without a key
    seed: int  # draws which slices stay where heights are matched
    config: IngestConfig


class IngestRecord(BaseModel):
    """What ingest found and did; `ingest.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    files_found: int  # images and volumes; a file that is a mask is counted apart
    masks_found: int
    files_skipped: int  # hidden files and sidecars such as tables and notes
    slices_read: int  # decoded slices, before any was refused or left out
    slices_used: int  # rows of the manifest
    subjects_known: bool  # of every slice in the manifest
    exact_duplicates: int  # slices of the manifest whose pixels equal an earlier one's
    near_duplicate_pairs: int  # pairs of different slices of the manifest, of different or unknown subjects
    inputs: IngestInputs


def ingest(
    *,
    source: str | Path,
    out: RunDir,
    config: IngestConfig,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
    key: bytes | None = None,
) -> IngestRecord:
    """Read `source` into `out`: slices, quarantine.csv, review.csv, facts.parquet, ingest.json, manifest.parquet last.

    source: a folder, table, archive or URL (see `sources` and `remote`). One bad file never stops it; each ends in the
    quarantine with its rule. With `key`, subjects are named by it. Where `out` holds what the same inputs gave, nothing
    is read again. `progress(done, total)` counts files fetched, then units
    read. Raises ContractError where the source is missing, empty,
    or gives no slice of one diagnosis; the quarantine is written by then and says why.
    """
    pseudonyms = None if key is None else Pseudonyms(key)
    inputs = IngestInputs(
        source_digest=fingerprint(source, config),
        code_digest=_code_digest(),
        key_check="" if pseudonyms is None else pseudonyms.folder("key check"),
        seed=seed,
        config=config,
    )
    done = _finished(out)
    if done is not None and done.inputs == inputs:
        return done
    _require_outside(out, source)
    for path in (out.manifest, out.ingest_json):
        path.unlink(missing_ok=True)  # from here on there is no whole dataset until the end
    findings = Findings()
    with _on_this_machine(source, out, progress) as local:
        listing = sources.list_source(
            local, layout=config.labels.layout, column=config.labels.column, scratch=out.scratch / "unpacked"
        )
        for note in listing.notes:
            findings.add("source", REVIEW, note.rule, note.detail)
        sequence = guess_sequence(_name_of(source))
        files = [_described(candidate, i, sequence) for i, candidate in enumerate(listing.candidates, start=1)]
        units = find_units(
            files,
            slices_of=read_slice_index(local),
            attribute=config.labels.dicom_attribute or None,
            findings=findings,
        )
        features = out.scratch / "features"
        slices, decoded = _read_all(
            units=units, out=out, config=config, features=features, findings=findings, progress=progress
        )
        slices, near = linking.link(slices, _on_disk(features), seed=seed, findings=findings)
    if not config.keep_review:
        slices = _reviewed(slices, findings)
    if config.match_position:
        rng = np.random.default_rng(seed)
        slices = linking.match_positions(slices, width=config.position_bin, rng=rng, findings=findings)
    _write_findings(out, findings)
    _require_both(slices, source, out, findings)
    manifest, facts = dataset.manifest_table(slices, pseudonyms), dataset.facts_table(slices)
    require([*check_manifest(manifest), *check_facts(facts)])
    used = set(manifest["slice_id"])
    _remove_strangers(out, used)
    masks = {unit.mask.path for unit in units if unit.mask is not None}
    masks |= {file.path for file in files if file.mask_of is not None}
    record = IngestRecord(
        files_found=len(files) - len(masks),
        masks_found=len(masks),
        files_skipped=listing.skipped,
        slices_read=decoded,
        slices_used=len(manifest),
        subjects_known=bool(manifest["subject_known"].all()),
        exact_duplicates=int(manifest["sha256"].duplicated().sum()),
        near_duplicate_pairs=sum(used.issuperset(pair) for pair in near),
        inputs=inputs,
    )
    write_table(out.facts, facts)
    write_record(out.ingest_json, record)
    write_table(out.manifest, manifest)  # last: where the manifest stands, everything stands
    return record


def fingerprint(source: str | Path, config: IngestConfig) -> str:
    """Hex SHA-256 that changes when any file of the source does; of a remote one without fetching it."""
    if remote.is_remote(str(source)):
        return remote.fingerprint(str(source))
    return sources.digest_of(Path(source), layout=config.labels.layout)


def _code_digest() -> str:
    """Hex SHA-256 of the program text that decides a dataset: after a change nothing stored is taken for granted."""
    root = Path(__file__).parents[2]
    digest = hashlib.sha256()
    for path in sorted(path for folder in _CODE for path in (root / folder).glob("*.py")):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def _finished(out: RunDir) -> IngestRecord | None:
    """What an earlier ingest into `out` recorded, where it came to its end."""
    if not (out.manifest.exists() and out.ingest_json.exists()):
        return None
    try:
        return read_record(out.ingest_json, IngestRecord)
    except ValidationError:  # of an older version, which described itself otherwise
        return None


@contextmanager
def _on_this_machine(source: str | Path, out: RunDir, progress: Callable[[int, int], None] | None) -> Iterator[Path]:
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


def _require_outside(out: RunDir, source: str | Path) -> None:
    if not remote.is_remote(str(source)) and out.root.resolve().is_relative_to(Path(source).resolve()):
        raise ContractError([Violation("out", "inside_source", f"{out.root} lies in {source}; choose one outside it")])


def _name_of(source: str | Path) -> str:
    """The last part of a source's name: a folder may be called by the sequence that it holds."""
    return PurePosixPath(shown(str(source))).name if remote.is_remote(str(source)) else Path(source).resolve().name


def _described(candidate: Candidate, i: int, sequence: str) -> SourceFile:
    return SourceFile(
        record=file_record(i),
        path=candidate.path,
        relative=candidate.relative,
        kind="unknown" if candidate.refused else sources.kind_of(candidate.path),
        source_sequence=sequence,
        declared=candidate.declared,
        refused=candidate.refused,
        wrapper=candidate.wrapper,
    )


def _read_all(
    *,
    units: Sequence[Unit],
    out: RunDir,
    config: IngestConfig,
    features: Path,
    findings: Findings,
    progress: Callable[[int, int], None] | None,
) -> tuple[list[Slice], int]:
    """Every admitted slice, its pixels and features on disk; and how many slices were decoded."""
    slices: list[Slice] = []
    decoded = 0
    jobs = [Job(unit, config, out) for unit in units]
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


def _reviewed(slices: Sequence[Slice], findings: Findings) -> list[Slice]:
    """Without the slices that a person should look at first, which are left out for that."""
    for s in slices:
        if s.review:
            findings.add(s.slice_id, LEFT_OUT, "wants_review", "see review.csv; ingest.keep_review = true takes it in")
    return [s for s in slices if not s.review]


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


def _remove_strangers(out: RunDir, slice_ids: set[str]) -> None:
    """Delete slice files that are not in the manifest: left out later, or of an earlier ingest."""
    wanted = {out.slice_pixels(slice_id) for slice_id in slice_ids}
    for path in out.slice_pixels("any").parent.iterdir():
        if path not in wanted:
            path.unlink()
