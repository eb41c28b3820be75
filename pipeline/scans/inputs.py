"""What decides a dataset, and whether the dataset that it decides is there already."""

import hashlib
from importlib import metadata
from pathlib import Path, PurePosixPath
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from data_contracts.violations import ContractError, Violation
from pipeline.formats.scan import guess_sequence
from pipeline.run_dir import RunDir, read_record
from pipeline.scans import drawn, remote, sources
from pipeline.scans.deidentify import Pseudonyms
from pipeline.scans.fetched import shown
from pipeline.scans.reading import ReadConfig

_CODE: Final = ("data_contracts", "pipeline", "pipeline/formats", "pipeline/scans")  # what makes a dataset
_DECODERS: Final = ("numpy", "scipy", "pillow", "tifffile", "nibabel", "pydicom", "pylibjpeg-libjpeg", "pyjpegls")


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
    source_sequence: str  # what the name of the source itself says of all its files
    code_digest: str  # of the program that reads it, and of the decoders' versions
    key_check: str  # tells one pseudonymisation key from another and gives neither away; empty without a key
    seed: int  # draws which slices stay where heights are matched
    config: IngestConfig


class IngestRecord(BaseModel):
    """What ingest found and did; `ingest.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    files_found: int  # images and volumes; a file that is a mask is counted apart
    masks_found: int
    masks_drawn: int = 0  # files with regions drawn in regions.csv
    files_skipped: int  # hidden files and sidecars such as tables and notes
    slices_read: int  # decoded slices, before any was refused or left out
    slices_used: int  # rows of the manifest
    subjects_known: bool  # of every slice in the manifest
    exact_duplicates: int  # slices of the manifest whose pixels equal an earlier one's
    near_duplicate_pairs: int  # pairs of different slices of the manifest, of different or unknown subjects
    unsettled: int  # files lost to time, memory or a crash, which another attempt may read
    inputs: IngestInputs


def inputs_of(source: str | Path, *, config: IngestConfig, seed: int, pseudonyms: Pseudonyms | None) -> IngestInputs:
    """Everything that decides the dataset of a source. Raises ContractError where there is no such source."""
    return IngestInputs(
        source_digest=fingerprint(source, config),
        source_sequence=guess_sequence(_name_of(source)),
        code_digest=_code_digest(),
        key_check="" if pseudonyms is None else pseudonyms.folder("key check"),
        seed=seed,
        config=config,
    )


def fingerprint(source: str | Path, config: IngestConfig) -> str:
    """Hex SHA-256 that changes when any file of the source does; of a remote one without fetching it."""
    if remote.is_remote(str(source)):
        return remote.fingerprint(str(source))
    local = Path(source)
    try:
        special = local.exists() and not (local.is_dir() or local.is_file())
    except OSError:  # a name that no file system takes
        special = True
    if special or not str(source).strip():
        raise ContractError([Violation("source", "no_folder", f"{str(source)[:200]!r} is no folder or file")])
    digest = sources.digest_of(local, layout=config.labels.layout)
    regions = local / drawn.REGIONS
    if not regions.is_file():
        return digest
    return hashlib.sha256(digest.encode() + regions.read_bytes()).hexdigest()


def standing(out: RunDir, inputs: IngestInputs) -> IngestRecord | None:
    """The record of the dataset in `out` where the same inputs made it, it is whole, and nothing was lost by chance."""
    if not all(
        path.exists() for path in (out.manifest, out.ingest_json, out.facts, out.seen, out.quarantine, out.review)
    ):
        return None
    try:
        record = read_record(out.ingest_json, IngestRecord)
    except ValidationError:  # of an older version, which described itself otherwise
        return None
    slices = sum(1 for _ in out.slice_pixels("any").parent.glob("*.npz"))
    sound = record.inputs == inputs and not record.unsettled and slices == record.slices_used
    return record if sound else None


def _name_of(source: str | Path) -> str:
    """The last part of a source's name: a folder may be called by the sequence that it holds."""
    return PurePosixPath(shown(str(source))).name if remote.is_remote(str(source)) else Path(source).resolve().name


def _code_digest() -> str:
    """Hex SHA-256 of the program text that makes a dataset: after a change nothing stored is taken for granted."""
    root = Path(__file__).parents[2]
    digest = hashlib.sha256(repr([metadata.version(name) for name in _DECODERS]).encode())
    for path in sorted(path for folder in _CODE for path in (root / folder).glob("*.py")):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()
