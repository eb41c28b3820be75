"""A dataset by itself, outside a study: made, looked at without being kept, or de-identified."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from data_contracts.violations import ContractError
from flows.config import load_config, require_free
from flows.errors import ConfigError
from flows.progress import stage
from pipeline.run_dir import RunDir
from pipeline.scans.deidentified_copy import write_copy
from pipeline.scans.deidentify import KEY_VARIABLE, locate, read_key, write_new_key
from pipeline.scans.ingest import ingest
from pipeline.scans.inputs import IngestConfig, IngestRecord
from pipeline.scans.workers import require_temporary_folder


def ingest_config(*, file: Path | None, layout: str | None, channel: int | None) -> IngestConfig:
    """The table `ingest` of a study's TOML file, or what is usual, with the two options on top."""
    config = load_config(preset="quick", file=file).ingest
    values = config.model_dump()
    if layout is not None:
        values["labels"]["layout"] = layout
    if channel is not None:
        values["channel"] = channel
    return IngestConfig.model_validate(values)


def make(*, source: str, out: Path, config: IngestConfig, key_file: Path | None, seed: int) -> str:
    """Ingest into a new folder, or again into an earlier dataset; returns one line on what is there now."""
    dataset = RunDir(out)
    if dataset.run_json.exists():
        raise ConfigError(f"{out} holds a study, whose dataset is part of it; choose a new folder with --out")
    if not (dataset.ingest_json.exists() or dataset.unfinished.exists()):
        require_free(out)
    before = dataset.ingest_json.stat().st_mtime_ns if dataset.ingest_json.exists() else None
    with stage("Read the scans", "scans") as update:
        record = ingest(source=source, out=dataset, config=config, seed=seed, key=read_key(key_file), progress=update)
    if dataset.ingest_json.stat().st_mtime_ns == before:
        return f"Nothing has changed since the last ingest: {_counts(record)}. Manifest: {dataset.manifest}"
    return (
        f"{_counts(record)}. Manifest: {dataset.manifest}; kept out: {dataset.quarantine}; "
        f"wants a look: {dataset.review}"
    )


def _counts(record: IngestRecord) -> str:
    return f"{record.files_found} files found, {record.slices_read} slices read, {record.slices_used} used"


@dataclass(frozen=True)
class Checked:
    """What a dry run would say, line by line, and whether a dataset would come of it."""

    lines: tuple[str, ...]
    sound: bool


def check(*, source: str, config: IngestConfig, key_file: Path | None, seed: int) -> Checked:
    """Ingest into a folder that goes again, and say what was found: by rule, and every broken contract."""
    require_temporary_folder()
    with tempfile.TemporaryDirectory(prefix="augment-mri-check-") as folder:
        dataset = RunDir(Path(folder) / "dataset")
        lines, violations = [], []
        try:
            with stage("Check the scans", "scans") as update:
                record = ingest(
                    source=source, out=dataset, config=config, seed=seed, key=read_key(key_file), progress=update
                )
            manifest = pd.read_parquet(dataset.manifest)
            by_diagnosis = ", ".join(
                f"{len(rows)} {name} of {rows['group'].nunique()} groups"
                for name, rows in manifest.groupby("diagnosis")
            )
            lines.append(f"{_counts(record)}: {by_diagnosis}")
            lines.append(f"diagnosis from: {', '.join(sorted(manifest['label_rule'].unique()))}")
        except ContractError as error:
            # the folder goes, so what stands in it cannot be pointed at
            violations = [str(v).replace(str(dataset.quarantine), "the list above") for v in error.violations]
        for path in (dataset.quarantine, dataset.review):
            if path.exists():
                lines += _by_rule(pd.read_csv(path, dtype=str))
        lines += [f"broken contract: {violation}" for violation in violations]
        return Checked(tuple(lines), sound=not violations)


def _by_rule(findings: pd.DataFrame) -> list[str]:
    return [
        f"{outcome}: {rule}: {len(rows)}, first {rows['record'].iloc[0]}: {rows['detail'].iloc[0]}"
        for (outcome, rule), rows in findings.groupby(["outcome", "rule"], sort=True)
    ]


def deidentify(*, source: Path, out: Path, key_file: Path | None, new_key: Path | None) -> str:
    """Copy DICOM files without what identifies; returns one line on what was written."""
    require_free(out)
    if new_key is not None:
        write_new_key(new_key)
    key = read_key(new_key or key_file)
    if key is None:
        raise ConfigError(f"a key is needed: --new-key FILE makes one, --key-file FILE or {KEY_VARIABLE} gives it")
    with stage("De-identify", "files") as update:
        written, refused = write_copy(source=source, out=out, key=key, progress=update)
    return f"{written} files written to {out}, {refused} refused; {out / 'quarantine.csv'} says why"


def locate_file(source: str, record: str, config: IngestConfig) -> Path:
    """The file of a local source that a record names, listed as `config` lists it."""
    if not Path(source).exists():
        raise ConfigError(f"{source} is not on this machine; only records of a local source can be located")
    return locate(Path(source), record, layout=config.labels.layout)
