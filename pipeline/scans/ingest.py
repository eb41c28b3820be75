"""A source of any supported format becomes a manifest of pseudonymous slices, and a quarantine with reasons."""

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from data_contracts.manifest import DIAGNOSES, LEFT_OUT, MANIFEST, NO_TUMOUR, QUARANTINED, REAL, TUMOUR, check_manifest
from data_contracts.violations import ContractError, Violation, require
from pipeline.formats.scan import Scan, Unreadable, guess_sequence
from pipeline.run_dir import RunDir, whole, write_findings, write_record, write_table
from pipeline.scans import duplicates, sources
from pipeline.scans.deidentify import file_record, number
from pipeline.scans.positions import match, read_slice_index
from pipeline.scans.quality import MIN_SIDE, check_slice
from pipeline.scans.sources import SourceFile
from pipeline.scans.units import Quarantine, Unit, find_units, read_mask, read_unit


class IngestConfig(BaseModel):
    """What to take from a source."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    # auto: a mask beside the image decides, else the class folder; classes and masks: only the one
    layout: Literal["auto", "classes", "masks"] = "auto"
    # relative positions kept, where they are known: below and above there is no brain, or only ever one diagnosis
    window: tuple[float, float] = (0.30, 0.75)
    # a mask of 1 to this many pixels less one is ambiguous
    tumour_min_pixels: int = Field(default=100, ge=1)
    # keep equally many slices of both diagnoses at each height, so that height does not tell them apart
    match_position: bool = True
    position_bin: float = Field(default=0.05, gt=0.0, le=1.0)
    min_side: int = Field(default=MIN_SIDE, ge=1)
    thumbnail_correlation: float = Field(default=duplicates.THUMBNAIL_CORRELATION, gt=0.0, le=1.0)
    detail_correlation: float = Field(default=duplicates.DETAIL_CORRELATION, gt=0.0, le=1.0)


class IngestRecord(BaseModel):
    """What ingest found and did; `ingest.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    files_found: int  # images and volumes; a file that is a mask by its name is counted apart
    masks_found: int
    files_skipped: int  # hidden files and sidecars such as tables and notes
    slices_read: int  # decoded slices, before any was refused or left out
    slices_used: int  # rows of the manifest
    subjects_known: bool  # of every slice in the manifest
    exact_duplicates: int  # slices of the manifest whose pixels equal an earlier one's
    near_duplicate_pairs: int  # pairs of different slices of the manifest, of different or unknown subjects
    source_digest: str  # sha256 over sizes and bytes of all files in sorted order
    config: IngestConfig


@dataclass(frozen=True)
class _Slice:
    """One admitted slice; its pixels lie on disk. `subject` is raw and stays in memory."""

    slice_id: str
    subject: Hashable | None
    diagnosis: str
    label_rule: str
    sequence: str
    plane: str
    position: float | None
    height: int
    width: int
    spacing_mm: float | None
    tumour_pixels: int | None
    sha256: str
    thumbnail: NDArray[np.float32]
    views: tuple[NDArray[np.float32], NDArray[np.float32]]
    group: int = -1  # of its duplicates and subject, once they are linked


# columns of the manifest that are fields of a slice as they are
_MEASURED = (
    "slice_id", "diagnosis", "label_rule", "sequence", "plane", "position", "height", "width", "spacing_mm",
    "tumour_pixels", "sha256",
)  # fmt: skip


def ingest(
    *,
    source: Path,
    out: RunDir,
    config: IngestConfig,
    rng: np.random.Generator,
    progress: Callable[[int, int], None],
) -> IngestRecord:
    """Read `source` into `out`: slices, quarantine.csv, ingest.json and, last, manifest.parquet.

    One bad file never stops it; each ends in the quarantine with its rule. `rng` draws which slices stay where
    positions are matched. `progress(done, total)` counts files read. Raises ContractError where the source is
    missing, empty, or gives no slice of one diagnosis; the quarantine is written by then and says why.
    """
    listing = sources.list_files(source)
    if out.root.resolve().is_relative_to(source.resolve()):
        raise ContractError([Violation("out", "inside_source", f"{out.root} lies in {source}; choose one outside it")])
    for path in (out.manifest, out.ingest_json):
        path.unlink(missing_ok=True)  # from here on there is no whole dataset until the end
    files = [_described(path, source, i) for i, path in enumerate(listing.paths, start=1)]
    quarantine = Quarantine()
    units = find_units(files, read_slice_index(source), quarantine)
    slices, slices_read = _read_all(units=units, out=out, config=config, quarantine=quarantine, progress=progress)
    slices, near = _link(slices, out, config, quarantine)
    if config.match_position:
        slices = _match(slices, config, rng, quarantine)
    quarantine.rows.sort(key=lambda row: row["record"])
    write_findings(out.quarantine, quarantine.rows)
    _require_both(slices, source, out, quarantine)
    manifest = _manifest(slices)
    require(check_manifest(manifest))
    used = set(manifest["slice_id"])
    _remove_strangers(out, used)
    masks = sum(file.mask_of is not None for file in files)
    record = IngestRecord(
        files_found=len(files) - masks,
        masks_found=masks,
        files_skipped=listing.skipped,
        slices_read=slices_read,
        slices_used=len(manifest),
        subjects_known=bool(manifest["subject_known"].all()),
        exact_duplicates=int(manifest["sha256"].duplicated().sum()),
        near_duplicate_pairs=sum(used.issuperset(pair) for pair in near),
        source_digest=sources.digest_of(listing.paths),
        config=config,
    )
    write_record(out.ingest_json, record)
    write_table(out.manifest, manifest)  # last: where the manifest stands, everything stands
    return record


def _described(path: Path, source: Path, i: int) -> SourceFile:
    return SourceFile(
        record=file_record(i),
        path=path,
        relative=PurePosixPath(path.relative_to(source).as_posix()),
        kind=sources.kind_of(path),
        source_sequence=guess_sequence(source.resolve().name),
    )


def _read_all(
    *,
    units: Sequence[Unit],
    out: RunDir,
    config: IngestConfig,
    quarantine: Quarantine,
    progress: Callable[[int, int], None],
) -> tuple[list[_Slice], int]:
    """Every admitted slice, its pixels written; and how many slices were decoded."""
    slices: list[_Slice] = []
    read = 0
    for done, unit in enumerate(units, start=1):
        try:
            scan = read_unit(unit, quarantine)
            mask = read_mask(unit, scan)
        except Unreadable as error:
            quarantine.add(unit.file.record, QUARANTINED, error.rule, error.detail)
        else:
            read += len(scan.slices)
            slices += _admit(unit=unit, scan=scan, mask=mask, out=out, config=config, quarantine=quarantine)
        progress(done, len(units))
    return slices, read


def _admit(
    *,
    unit: Unit,
    scan: Scan,
    mask: NDArray[np.uint8] | None,
    out: RunDir,
    config: IngestConfig,
    quarantine: Quarantine,
) -> list[_Slice]:
    """The slices of one scan that may enter the study, each written to disk as it is admitted."""
    by_mask = mask is not None and config.layout != "classes"
    folder = unit.file.diagnosis if config.layout != "masks" else None
    if not by_mask and folder is None:
        quarantine.add(unit.file.record, QUARANTINED, "no_diagnosis", "no mask beside it and no class folder above it")
        return []
    admitted = []
    for z, pixels in enumerate(scan.slices):
        slice_id = unit.slice_id(z)
        position = None if scan.positions is None else float(scan.positions[z])
        tumour_pixels = None if mask is None else int(mask[z].sum())
        refusal = _why_not(pixels, position, tumour_pixels if by_mask else None, config)
        if refusal is not None:
            quarantine.add(slice_id, *refusal)
            continue
        arrays = {"pixels": pixels} if mask is None else {"pixels": pixels, "mask": mask[z]}
        with whole(out.slice_pixels(slice_id)) as part, part.open("wb") as file:
            np.savez(file, **arrays)
        admitted.append(
            _Slice(
                slice_id=slice_id,
                subject=unit.subject(scan),
                diagnosis=(TUMOUR if tumour_pixels else NO_TUMOUR) if by_mask else str(folder),
                label_rule="mask" if by_mask else "folder",
                sequence=scan.sequence,
                plane=scan.plane,
                position=position,
                height=pixels.shape[0],
                width=pixels.shape[1],
                spacing_mm=scan.spacing_mm,
                tumour_pixels=tumour_pixels,
                sha256=duplicates.pixel_digest(pixels),
                thumbnail=duplicates.thumbnail(pixels),
                views=duplicates.views(pixels),
            )
        )
    return admitted


def _why_not(
    pixels: NDArray[Any], position: float | None, tumour_pixels: int | None, config: IngestConfig
) -> tuple[str, str, str] | None:
    """Outcome, rule and detail of what keeps a slice out, or None. `tumour_pixels` is None where no mask decides."""
    low, high = config.window
    if position is not None and not low <= position <= high:
        return LEFT_OUT, "outside_window", f"relative position {position:.3f}, want {low:g} to {high:g}"
    finding = check_slice(pixels, min_side=config.min_side)
    if finding is not None:
        return QUARANTINED, finding.rule, finding.detail
    if tumour_pixels is not None and 0 < tumour_pixels < config.tumour_min_pixels:
        return (
            LEFT_OUT,
            "ambiguous_mask",
            f"{tumour_pixels} tumour pixels, want 0 or at least {config.tumour_min_pixels}",
        )
    return None


def _link(
    slices: Sequence[_Slice], out: RunDir, config: IngestConfig, quarantine: Quarantine
) -> tuple[list[_Slice], list[tuple[str, str]]]:
    """Slices with their group, and the near-duplicate pairs; contradictory slices go to the quarantine."""

    def load(i: int) -> NDArray[Any]:
        with np.load(out.slice_pixels(slices[i].slice_id)) as arrays:
            pixels: NDArray[Any] = arrays["pixels"]
        return pixels

    if not slices:
        return [], []
    codes = {subject: code for code, subject in enumerate(dict.fromkeys(s.subject for s in slices))}
    near = duplicates.near_duplicates(
        thumbnails=np.stack([s.thumbnail for s in slices]),
        wholes=np.stack([s.views[0] for s in slices]),
        heads=np.stack([s.views[1] for s in slices]),
        subjects=np.array([-1 if s.subject is None else codes[s.subject] for s in slices], dtype=np.int64),
        load=load,
        thumbnail_correlation=config.thumbnail_correlation,
        detail_correlation=config.detail_correlation,
    )
    near = [(i, j) for i, j in near if slices[i].sha256 != slices[j].sha256]
    links = near + duplicates.links_of_equal([s.sha256 for s in slices])
    links += duplicates.links_of_equal([s.subject for s in slices])
    roots = duplicates.groups(len(slices), links)
    contradictory = _contradictory(slices, near)
    for i, detail in sorted(contradictory.items()):
        quarantine.add(slices[i].slice_id, QUARANTINED, "contradictory_duplicate", detail)
    kept = [replace(s, group=roots[i]) for i, s in enumerate(slices) if i not in contradictory]
    return kept, [(slices[i].slice_id, slices[j].slice_id) for i, j in near]


def _contradictory(slices: Sequence[_Slice], near: Sequence[tuple[int, int]]) -> dict[int, str]:
    """Index of every slice that also occurs with the other diagnosis, and a detail that names the other record."""
    first: dict[tuple[str, str], int] = {}
    for i, s in enumerate(slices):
        first.setdefault((s.sha256, s.diagnosis), i)
    other = {diagnosis: DIAGNOSES[1 - c] for c, diagnosis in enumerate(DIAGNOSES)}
    found = {}
    for i, s in enumerate(slices):
        twin = first.get((s.sha256, other[s.diagnosis]))
        if twin is not None:
            found[i] = f"same pixels as {slices[twin].slice_id}, which is {slices[twin].diagnosis}"
    for i, j in near:
        # neighbours in an unnamed subject may look alike and differ in their masks; a folder says it of the whole head
        by_folder = slices[i].label_rule == slices[j].label_rule == "folder"
        if by_folder and slices[i].diagnosis != slices[j].diagnosis:
            for one, twin in ((i, j), (j, i)):
                found.setdefault(one, f"looks as {slices[twin].slice_id}, which is {slices[twin].diagnosis}")
    return found


def _match(
    slices: Sequence[_Slice], config: IngestConfig, rng: np.random.Generator, quarantine: Quarantine
) -> list[_Slice]:
    # the small addend keeps 0.3 / 0.05 from falling into the bin below
    bins = [None if s.position is None else (s.plane, int(s.position / config.position_bin + 1e-6)) for s in slices]
    subjects = [("group", s.group) if s.subject is None else s.subject for s in slices]
    keep = match(bins=bins, diagnoses=[s.diagnosis for s in slices], subjects=subjects, rng=rng)
    for s, kept in zip(slices, keep, strict=True):
        if not kept:
            detail = f"at relative position {s.position:.3f} there are more {s.diagnosis} slices than of the other kind"
            quarantine.add(s.slice_id, LEFT_OUT, "position_unmatched", detail)
    return [s for s, kept in zip(slices, keep, strict=True) if kept]


def _require_both(slices: Sequence[_Slice], source: Path, out: RunDir, quarantine: Quarantine) -> None:
    """Raise one ContractError, with the commonest reason, where nothing or only one diagnosis is left."""
    counts = Counter(s.diagnosis for s in slices)
    missing = [diagnosis for diagnosis in DIAGNOSES if not counts[diagnosis]]
    if not missing:
        return
    rules = Counter(row["rule"] for row in quarantine.rows).most_common(1)
    why = f"most often because of {rules[0][0]} ({rules[0][1]} times); " if rules else ""
    rest = f"{out.quarantine} lists each with its reason"
    if not slices:
        detail = f"no slice in {source} can be used, {why}{rest}"
    else:
        wanted = "it needs both, told apart by folders named yes and no or by a mask beside each image"
        out_of_it = f"{len(quarantine.rows)} were kept out, {why}{rest}" if quarantine.rows else "none was kept out"
        detail = f"{source} gives {len(slices)} slices, none of them {missing[0]}; {wanted}; {out_of_it}"
    raise ContractError([Violation("source", "no_slices" if not slices else "one_diagnosis", detail)])


def _manifest(slices: Sequence[_Slice]) -> pd.DataFrame:
    """The manifest table, one row a slice in the order of the listing, subjects and groups numbered."""
    # a slice of an unknown subject stands under its duplicate group, the smallest thing known to be one head
    subjects = number([("group", s.group) if s.subject is None else ("known", s.subject) for s in slices], "subject")
    table = pd.DataFrame([{column: getattr(s, column) for column in _MEASURED} for s in slices])
    table["origin"] = REAL
    table["subject"] = subjects
    table["subject_known"] = [s.subject is not None for s in slices]
    table["group"] = number([s.group for s in slices], "group")
    table["position"] = table["position"].astype(float)
    table["spacing_mm"] = table["spacing_mm"].astype(float)
    table["tumour_pixels"] = table["tumour_pixels"].astype("Int64")
    return table[list(MANIFEST.columns)]


def _remove_strangers(out: RunDir, slice_ids: set[str]) -> None:
    """Delete slice files that are not in the manifest: left out later, or of an earlier ingest."""
    wanted = {out.slice_pixels(slice_id) for slice_id in slice_ids}
    for path in out.slice_pixels("any").parent.iterdir():
        if path not in wanted:
            path.unlink()
