"""Scans to read from a source: which files make one, its mask, and its decoded slices."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_contracts.manifest import LEFT_OUT, QUARANTINED
from pipeline.formats import dicom, dicom_enhanced, nifti, raster
from pipeline.formats.scan import Scan, Unreadable, displacement, plane_of_axis, world_axes
from pipeline.scans import drawn, names, workers
from pipeline.scans.candidates import LEFT_OUT_RULES
from pipeline.scans.deidentify import plain_identifier
from pipeline.scans.positions import raster_positions
from pipeline.scans.sources import SourceFile, pair_masks
from pipeline.scans.workers import Refusal

SECONDS = 10.0  # a file that is not read by then never will be; a large one gets more, by its bytes
BYTES_A_SECOND = 2e6
MASK_VOXELS = 1.0  # a mask that lies farther from its image than this along any of its axes is another's, or turned


@dataclass
class Findings:
    """Collects what stays out or wants a look, with the reason; knows records by pseudonym only."""

    rows: list[dict[str, str]] = field(default_factory=list)

    def add(self, record: str, outcome: str, rule: str, detail: str) -> None:
        """One row: `outcome` is quarantined, left_out or review."""
        self.rows.append({"record": record, "outcome": outcome, "rule": rule, "detail": detail})


@dataclass(frozen=True)
class Unit:
    """What is read together: a picture, a volume, a multi-frame object, or a DICOM series' files in slice order."""

    file: SourceFile  # names the unit; the first in the listing of a series
    mask: SourceFile | None
    position: float | None = None  # of a picture
    series: tuple[tuple[SourceFile, dicom.DicomHeader], ...] = ()
    regions: tuple[drawn.Region, ...] = field(default=(), repr=False)  # drawn in a table, for slices without a mask

    @property
    def bytes(self) -> int:
        """Of all its files."""
        paths = [file.path for file, _ in self.series] or [self.file.path]
        return sum(path.stat().st_size for path in paths if path.exists())  # one that is gone is refused when read

    @property
    def seconds(self) -> float:
        """How long reading it may take."""
        return SECONDS + self.bytes / BYTES_A_SECOND

    def scan_id(self, stack: int, stacks: int) -> str:
        """Pseudonym of one of the unit's scans, of which most units have one."""
        return self.file.record if stacks == 1 else f"{self.file.record}-s{stack + 1}"

    def subject(self, scan: Scan) -> tuple[str, str] | None:
        """Key of the patient: equal keys, one patient. None for a picture of nobody known. For memory only.

        ("named", the identifier in its plain spelling) where a table, the header or a folder has a word for the
        patient, whichever road it came by; else what keeps the slices of a scan together and names nobody: ("series",
        its UID) of DICOM, ("volume", what `names.volume_of` reads) of NIfTI.
        """
        told = self.file.declared.subject if self.file.declared else None
        for raw in (told, scan.raw_subject, self.file.subject):
            if raw is not None and (name := plain_identifier(raw)):
                return names.NAMED, name
        if self.series:
            return "series", str(self.series[0][1].series[1])
        return None if self.file.kind == "raster" else ("volume", plain_identifier(names.volume_of(self.file.relative)))


def find_units(
    files: Sequence[SourceFile],
    *,
    slices_of: Mapping[str, int],
    attribute: str | None,
    findings: Findings,
    synthetic: bool = False,
    regions: drawn.Regions | None = None,
) -> list[Unit]:
    """Units to read, in the order of the listing; what makes none becomes a finding.

    slices_of: how many slices the whole scan of a folder has, where that is known. attribute: keyword of the DICOM
    element that tells the diagnosis. synthetic: DICOM that says that a generator made it is taken. regions: what was
    drawn in which file. Raises ContractError with every row of regions.csv that names no file listed.
    """
    drawn.check_files(regions or {}, [file.relative for file in files])
    for file in files:
        if file.refused is not None:
            outcome = LEFT_OUT if file.refused[0] in LEFT_OUT_RULES else QUARANTINED
            findings.add(file.record, outcome, *file.refused)
    files = [file for file in files if file.refused is None]
    masks, orphans = pair_masks(files)
    for mask in orphans:
        findings.add(mask.record, QUARANTINED, "mask_without_image", "named as a mask, but of no image beside it")
    used_as_mask = {mask.path for mask in masks.values()} | {mask.path for mask in orphans}
    images = [file for file in files if file.path not in used_as_mask]
    positions = raster_positions([file for file in images if file.kind == "raster"], slices_of)
    units = []
    for file in images:
        if file.kind == "unknown":
            findings.add(file.record, QUARANTINED, "unknown_format", "not PNG, JPEG, TIFF, BMP, NIfTI or DICOM")
        elif file.kind != "dicom":
            units.append(Unit(file, masks.get(file.path), positions.get(file.path)))
    read_header = partial(_header, attribute=attribute, synthetic=synthetic)
    units += _dicom_units([file for file in images if file.kind == "dicom"], masks, read_header, findings)
    units = [_with_regions(unit, regions or {}) for unit in units]
    return sorted(units, key=lambda unit: unit.file.relative.as_posix())


def _with_regions(unit: Unit, regions: drawn.Regions) -> Unit:
    """The unit with what was drawn in its files; in a file of a DICOM series, in the slice that the file is."""
    if len(unit.series) <= 1:
        return replace(unit, regions=regions.get(unit.file.relative, ()))
    of_slices = ((z, region) for z, (file, _) in enumerate(unit.series) for region in regions.get(file.relative, ()))
    return replace(unit, regions=tuple(replace(region, z=z) for z, region in of_slices))


def _header(file: SourceFile, *, attribute: str | None, synthetic: bool) -> dicom.DicomHeader | Refusal:
    try:
        return dicom.read_header(file.path, attribute, synthetic=synthetic)
    except Unreadable as error:
        return Refusal(error.rule, error.detail)


def _dicom_units(
    files: Sequence[SourceFile],
    masks: Mapping[Path, SourceFile],
    read_header: Callable[[SourceFile], dicom.DicomHeader | Refusal],
    findings: Findings,
) -> Iterator[Unit]:
    of_path = {file.path: file for file in files}
    headers: list[dicom.DicomHeader] = []
    read = workers.each(read_header, files, seconds=lambda _: SECONDS, chunk=32)
    for file, header in zip(files, read, strict=True):
        if isinstance(header, Refusal):
            findings.add(file.record, QUARANTINED, header.rule, header.detail)
        else:
            headers.append(header)
    headers, localisers = dicom.split_localisers(headers)
    for header in localisers:
        findings.add(of_path[header.path].record, QUARANTINED, "localiser", dicom.LOCALISER_DETAIL)
    stacks: dict[Hashable, list[dicom.DicomHeader]] = defaultdict(list)
    for header in headers:
        file = of_path[header.path]
        if header.multiframe:
            yield Unit(file, masks.get(file.path), series=((file, header),))
        else:
            # one series in folders of both classes is a contradiction to be found, not one scan
            stacks[header.series, file.diagnosis].append(header)
    for stack in stacks.values():
        kept, repeated = dicom.order_series(stack)
        for header in repeated:
            detail = "lies in the place of another slice of its series"
            findings.add(of_path[header.path].record, QUARANTINED, "repeated_position", detail)
        series = tuple((of_path[header.path], header) for header in kept)
        first = min((file for file, _ in series), key=lambda file: file.relative.as_posix())
        yield Unit(first, masks.get(first.path), series=series)


def read_unit(unit: Unit, *, channel: int | None, findings: Findings) -> list[Scan]:
    """Decode the scans of a unit. A broken file of a series is quarantined, the others kept; raises Unreadable.

    channel: which of several channels or volumes in one file; of no matter to a file that has one.
    """
    if unit.file.kind == "raster":
        scan = raster.read_raster(unit.file.path, channel=channel)
        scans = [replace(scan, positions=None if unit.position is None else np.array([unit.position]))]
    elif unit.file.kind == "nifti":
        scans = [nifti.read_nifti(unit.file.path, channel=channel)]
    elif unit.series[0][1].multiframe:
        scans = dicom_enhanced.read_enhanced(unit.series[0][1])
    else:
        scans = [_read_series(unit, findings)]
    return [_told(scan, unit.file) for scan in scans]


def _told(scan: Scan, file: SourceFile) -> Scan:
    """The scan with what a table says of it, or else what names say where the file itself is silent."""
    if scan.sequence == "unknown":
        scan = replace(scan, sequence=file.sequence)
    told = file.declared
    if told is None:
        return scan
    position = np.array([told.position]) if told.position is not None and len(scan.slices) == 1 else scan.positions
    return replace(scan, sequence=told.sequence or scan.sequence, plane=told.plane or scan.plane, positions=position)


def _read_series(unit: Unit, findings: Findings) -> Scan:
    headers, pixels = [], []
    for file, header in unit.series:
        try:
            pixels.append(dicom.read_pixels(header))
            headers.append(header)
        except Unreadable as error:
            if len(unit.series) == 1:
                raise
            findings.add(file.record, QUARANTINED, error.rule, error.detail)
    if not headers:
        raise Unreadable("unreadable", "no file of the series could be decoded")
    return dicom.assemble(headers, pixels)


def read_mask(unit: Unit, scan: Scan) -> NDArray[np.uint8] | None:
    """The scan's mask, uint8 (Z, H, W) in {0, 1} as its slices lie, or None where it has none.

    Raises Unreadable: `mask_shape`, `mask_geometry` where both headers tell where they lie and a corner differs by more
    than MASK_VOXELS, or the rule of the mask's reader after `mask_`.
    """
    if unit.mask is None:
        return None
    try:
        lies = None
        if unit.mask.kind == "raster":
            mask = raster.read_mask(unit.mask.path)[None]
        elif unit.mask.kind == "nifti":
            labels = nifti.read_nifti(unit.mask.path, plane=_shown_plane(scan), labels=True)
            mask, lies = (labels.slices > 0).astype(np.uint8), labels.affine
        else:
            raise Unreadable("unreadable", "neither a picture nor NIfTI")
    except Unreadable as error:
        raise Unreadable(f"mask_{error.rule}", error.detail) from None
    if mask.shape != scan.slices.shape:
        raise Unreadable("mask_shape", f"mask {mask.shape}, image {scan.slices.shape}")
    if scan.affine is not None and lies is not None:
        mm, voxels = displacement(scan.affine, lies, mask.shape)
        if not round(voxels, 2) <= MASK_VOXELS:
            detail = f"mask and image lie {mm:.1f} mm apart, {voxels:.1f} voxels, at most {MASK_VOXELS:g}"
            raise Unreadable("mask_geometry", detail)
    return mask


def read_drawn(unit: Unit, scan: Scan, *, stacks: int) -> dict[int, NDArray[np.uint8]]:
    """The masks drawn in the slices of a unit's one scan, uint8 (H, W) in {0, 1} by index; empty where none is.

    stacks: scans of the unit. Raises Unreadable `mask_region` as `drawn.draw` does, and where it cannot be told which
    slice is meant: of several stacks in one file, or of a series that lost a file.
    """
    if not unit.regions:
        return {}
    if stacks > 1 or (len(unit.series) > 1 and len(scan.slices) != len(unit.series)):
        raise Unreadable("mask_region", "regions are drawn in slices that cannot be told apart from others")
    return drawn.draw(unit.regions, scan.slices.shape)


def _shown_plane(scan: Scan) -> str:
    """Plane that the slices were read in, which is not always what a table says."""
    return scan.plane if scan.affine is None else plane_of_axis(world_axes(scan.affine)[0])
