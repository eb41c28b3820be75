"""Scans to read from a source: which files make one, its mask, and its decoded slices."""

from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_contracts.manifest import QUARANTINED
from pipeline.formats import dicom, nifti, raster
from pipeline.formats.scan import Scan, Unreadable
from pipeline.scans.positions import raster_positions
from pipeline.scans.sources import SourceFile, pair_masks


@dataclass
class Quarantine:
    """Collects what stays out, with the reason; knows records by pseudonym only."""

    rows: list[dict[str, str]] = field(default_factory=list)

    def add(self, record: str, outcome: str, rule: str, detail: str) -> None:
        """One row: `outcome` is refused or left_out."""
        self.rows.append({"record": record, "outcome": outcome, "rule": rule, "detail": detail})


@dataclass(frozen=True)
class Unit:
    """One scan: a picture, a volume, or the files of a DICOM series in slice order."""

    file: SourceFile  # names the scan; the first in the listing of a series
    mask: SourceFile | None
    position: float | None = None  # of a picture
    series: tuple[tuple[SourceFile, dicom.DicomHeader], ...] = ()

    def slice_id(self, z: int) -> str:
        """Pseudonym of slice z of the scan, counted from 1 in it."""
        return self.file.record if self.file.kind == "raster" else f"{self.file.record}-z{z + 1:03d}"

    def subject(self, scan: Scan) -> Hashable | None:
        """Raw key of the subject; None where the source names none. A volume without a name is its own subject."""
        if scan.raw_subject is not None:
            return ("patient", scan.raw_subject)
        if self.file.subject is not None:
            return ("folder", self.file.subject)
        return None if self.file.kind == "raster" else ("scan", self.file.record)


def find_units(files: Sequence[SourceFile], slices_of: Mapping[str, int], quarantine: Quarantine) -> list[Unit]:
    """Scans to read, in the order of the listing; what makes none goes to the quarantine."""
    masks, orphans = pair_masks(files)
    for mask in orphans:
        quarantine.add(mask.record, QUARANTINED, "mask_without_image", "named as a mask, but of no image beside it")
    images = [file for file in files if file.mask_of is None]
    positions = raster_positions([file for file in images if file.kind == "raster"], slices_of)
    units = []
    for file in images:
        if file.kind == "unknown":
            quarantine.add(file.record, QUARANTINED, "unknown_format", "not PNG, JPEG, TIFF, BMP, NIfTI or DICOM")
        elif file.kind != "dicom":
            units.append(Unit(file, masks.get(file.path), positions.get(file.path)))
    units += _series([file for file in images if file.kind == "dicom"], masks, quarantine)
    return sorted(units, key=lambda unit: unit.file.relative.as_posix())


def _series(files: Sequence[SourceFile], masks: Mapping[Path, SourceFile], quarantine: Quarantine) -> Iterator[Unit]:
    of_path = {file.path: file for file in files}
    stacks: dict[Hashable, list[dicom.DicomHeader]] = defaultdict(list)
    for file in files:
        try:
            header = dicom.read_header(file.path)
        except Unreadable as error:
            quarantine.add(file.record, QUARANTINED, error.rule, error.detail)
        else:
            # one series in folders of both classes is a contradiction to be found, not one scan
            stacks[header.series, file.diagnosis].append(header)
    for headers in stacks.values():
        kept, repeated = dicom.order_series(headers)
        for header in repeated:
            detail = "lies in the place of another slice of its series"
            quarantine.add(of_path[header.path].record, QUARANTINED, "repeated_position", detail)
        series = tuple((of_path[header.path], header) for header in kept)
        first = min((file for file, _ in series), key=lambda file: file.relative.as_posix())
        yield Unit(first, masks.get(first.path.parent), series=series)


def read_unit(unit: Unit, quarantine: Quarantine) -> Scan:
    """Decode a scan. A broken file of a series is quarantined and the others are kept; raises Unreadable."""
    if unit.file.kind == "raster":
        scan = raster.read_raster(unit.file.path)
        scan = replace(scan, positions=None if unit.position is None else np.array([unit.position]))
    elif unit.file.kind == "nifti":
        scan = nifti.read_nifti(unit.file.path)
    else:
        scan = _read_series(unit, quarantine)
    return scan if scan.sequence != "unknown" else replace(scan, sequence=unit.file.sequence)


def _read_series(unit: Unit, quarantine: Quarantine) -> Scan:
    headers, pixels = [], []
    for file, header in unit.series:
        try:
            pixels.append(dicom.read_pixels(header))
            headers.append(header)
        except Unreadable as error:
            if len(unit.series) == 1:
                raise
            quarantine.add(file.record, QUARANTINED, error.rule, error.detail)
    if not headers:
        raise Unreadable("unreadable", "no file of the series could be decoded")
    return dicom.assemble(headers, pixels)


def read_mask(unit: Unit, scan: Scan) -> NDArray[np.uint8] | None:
    """The scan's mask, uint8 (Z, H, W) in {0, 1} as its slices lie, or None where it has none.

    Raises Unreadable: `mask_shape`, or the rule of the mask's reader after `mask_`.
    """
    if unit.mask is None:
        return None
    try:
        if unit.mask.kind == "raster":
            mask = raster.read_mask(unit.mask.path)[None]
        elif unit.mask.kind == "nifti":
            plane = None if scan.plane == "unknown" else scan.plane
            labels = nifti.read_nifti(unit.mask.path, plane=plane).slices
            mask = (labels > 0.5).astype(np.uint8)  # interpolated masks hold 0.99999997 for 1
        else:
            raise Unreadable("unreadable", "neither a picture nor NIfTI")
    except Unreadable as error:
        raise Unreadable(f"mask_{error.rule}", error.detail) from None
    if mask.shape != scan.slices.shape:
        raise Unreadable("mask_shape", f"mask {mask.shape}, image {scan.slices.shape}")
    return mask
