"""One unit of a source, read in a child process: decode, label, examine, and write the slices that may enter."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from data_contracts.manifest import LEFT_OUT, NO_TUMOUR, QUARANTINED, REVIEW
from pipeline.formats.scan import Scan, ScanFacts, Unreadable, quiet
from pipeline.run_dir import RunDir, whole
from pipeline.scans import duplicates
from pipeline.scans.labels import LabelConfig, Unlabelled, label
from pipeline.scans.quality import MIN_SIDE, Examined, examine
from pipeline.scans.units import Findings, Unit, read_drawn, read_mask, read_unit

MOST_STRANGE: Final = 0.25  # share of a scan's sections that may be no head: tips of volumes look odd


class ReadConfig(BaseModel):
    """What of a scan may enter."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    labels: LabelConfig = LabelConfig()
    # which channel of several in one picture, or volume of several in one NIfTI file; unset refuses such files
    channel: int | None = Field(default=None, ge=0)
    # relative positions kept, where they are known: below and above there is no brain, or only ever one diagnosis
    window: tuple[float, float] = (0.30, 0.75)
    min_side: int = Field(default=MIN_SIDE, ge=1)


@dataclass(frozen=True)
class Job:
    """A unit to read, by what rules, and where its slices go.

    synthetic: a generator's images, which are taken however they look: what quality control refuses is a finding and
    enters all the same.
    """

    unit: Unit
    config: ReadConfig
    out: RunDir
    synthetic: bool = False


@dataclass(frozen=True)
class ScanSource:
    """What all slices of a scan share beside their pixels."""

    format: str
    n_slices: int
    file_bytes: float  # a slice
    slice_spacing_mm: float | None
    facts: ScanFacts


@dataclass(frozen=True, slots=True)
class Slice:
    """One admitted slice; its pixels lie on disk. `subject` is raw and stays in memory."""

    slice_id: str
    subject: tuple[str, str] | None
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
    review: str
    source: ScanSource
    group: int = -1  # of its duplicates and subject, once they are linked


Admitted = tuple[Slice, NDArray[np.float16]]  # and its features


@dataclass(frozen=True)
class Read:
    """A unit's admitted slices, their features for finding duplicates (N, FEATURES), and what was found on the way."""

    slices: tuple[Slice, ...]
    features: NDArray[np.float16]
    findings: tuple[dict[str, str], ...]
    decoded: int  # slices, before any was refused or left out


def read(job: Job) -> Read:
    """Decode a unit and write its slices that may enter, each whole or not at all. What may not is a finding."""
    with quiet():
        return _read(job)


def _read(job: Job) -> Read:
    findings = Findings()
    admitted: list[Admitted] = []
    decoded = 0
    try:
        scans = read_unit(job.unit, channel=job.config.channel, findings=findings)
    except Unreadable as error:
        findings.add(job.unit.file.record, QUARANTINED, error.rule, error.detail)
        scans = []
    for stack, scan in enumerate(scans):
        scan_id = job.unit.scan_id(stack, len(scans))
        decoded += len(scan.slices)
        try:
            mask = read_mask(job.unit, scan)
            drawn = read_drawn(job.unit, scan, stacks=len(scans)) if mask is None else {}
        except Unreadable as error:
            findings.add(scan_id, QUARANTINED, error.rule, error.detail)
            continue
        if drawn and job.config.labels.layout == "masks":  # then slices in which nothing is drawn show no tumour
            mask = np.stack([drawn.get(z, np.zeros(of.shape, np.uint8)) for z, of in enumerate(scan.slices)])
        kept = list(_admitted(job=job, scan=scan, scan_id=scan_id, mask=mask, drawn=drawn, findings=findings))
        kept = _doubted(kept, findings)
        for note in scan.notes if kept else ():
            findings.add(scan_id, REVIEW, note.rule, note.detail)
        admitted += [(_with_rules(one, [note.rule for note in scan.notes]), features) for one, features in kept]
    features = np.stack([row for _, row in admitted]) if admitted else np.empty((0, duplicates.FEATURES), np.float16)
    return Read(tuple(one for one, _ in admitted), features, tuple(findings.rows), decoded)


def _doubted(kept: list[Admitted], findings: Findings) -> list[Admitted]:
    """The slices of a scan, for review where many of its other sections are no head: then they are hardly one."""
    strange = sum(row["rule"] == "not_a_head" and row["outcome"] == QUARANTINED for row in findings.rows)
    share = strange / max(strange + len(kept), 1)
    if share <= MOST_STRANGE:
        return kept
    for one, _ in kept:
        detail = f"{share:.2f} of the sections of this scan are no head, at most {MOST_STRANGE}"
        findings.add(one.slice_id, REVIEW, "beside_no_head", detail)
    return [(_with_rules(one, ["beside_no_head"]), features) for one, features in kept]


def _with_rules(one: Slice, rules: Sequence[str]) -> Slice:
    """The slice, for review under these rules too."""
    return replace(one, review=" ".join(dict.fromkeys([*one.review.split(), *rules])))


def _admitted(
    *,
    job: Job,
    scan: Scan,
    scan_id: str,
    mask: NDArray[np.uint8] | None,
    drawn: Mapping[int, NDArray[np.uint8]],
    findings: Findings,
) -> Iterator[Admitted]:
    """The slices of one scan that may enter the study, each written to disk as it is admitted.

    mask: of all slices, which decides on the diagnosis; drawn: of single ones, which does not.
    """
    tell = partial(label, file=job.unit.file, raw_attribute=scan.raw_attribute, config=job.config.labels)
    told = tell(tumour_pixels=None) if mask is None else None  # then all slices have one label, or none for one reason
    if isinstance(told, Unlabelled):
        findings.add(scan_id, told.outcome, told.rule, told.detail)
        return
    if told is not None and told.review:
        findings.add(scan_id, REVIEW, *told.review)
    source = ScanSource(
        format=job.unit.file.kind,
        n_slices=len(scan.slices),
        file_bytes=job.unit.bytes / max(len(scan.slices), 1),
        slice_spacing_mm=scan.slice_spacing_mm,
        facts=scan.facts,
    )
    for z, pixels in enumerate(scan.slices):
        slice_id = scan_id if job.unit.file.kind == "raster" else f"{scan_id}-z{z + 1:03d}"
        examined = _examined(slice_id, z, scan=scan, config=job.config, findings=findings)
        if examined is None or not (examined.usable or job.synthetic):
            continue
        lesion = drawn.get(z) if mask is None else mask[z]
        tumour_pixels = None if lesion is None else int(lesion.sum())
        of_slice = told or tell(tumour_pixels=tumour_pixels)
        if isinstance(of_slice, Unlabelled):
            findings.add(slice_id, of_slice.outcome, of_slice.rule, of_slice.detail)
            continue
        if mask is None and lesion is not None and of_slice.diagnosis == NO_TUMOUR:
            detail = "a region is drawn in it, and its label says no tumour"
            findings.add(slice_id, QUARANTINED, "contradictory_label", detail)
            continue
        if told is None and of_slice.review:
            findings.add(slice_id, REVIEW, *of_slice.review)
        rules = [finding.rule for finding in examined.findings] + list(of_slice.review or ())[:1]
        arrays = {"pixels": pixels} if lesion is None else {"pixels": pixels, "mask": lesion}
        with whole(job.out.slice_pixels(slice_id)) as part, part.open("wb") as file:
            np.savez(file, **arrays)
        one = Slice(
            slice_id=slice_id,
            subject=job.unit.subject(scan),
            diagnosis=of_slice.diagnosis,
            label_rule=of_slice.rule,
            sequence=scan.sequence,
            plane=scan.plane,
            position=_position(scan, z),
            height=pixels.shape[0],
            width=pixels.shape[1],
            spacing_mm=scan.spacing_mm,
            tumour_pixels=tumour_pixels,
            sha256=duplicates.pixel_digest(pixels),
            review=" ".join(rules),
            source=source,
        )
        yield one, _features(pixels, examined)


def _features(pixels: NDArray[Any], examined: Examined) -> NDArray[np.float16]:
    """For finding duplicates among real slices, which all have a head."""
    if examined.head is None:
        return np.zeros(duplicates.FEATURES, np.float16)
    return duplicates.features(pixels, head=examined.head)


def _position(scan: Scan, z: int) -> float | None:
    return None if scan.positions is None else float(scan.positions[z])


def _examined(slice_id: str, z: int, *, scan: Scan, config: ReadConfig, findings: Findings) -> Examined | None:
    """What quality control says of a slice that lies in the window, None of one outside."""
    low, high = config.window
    position = _position(scan, z)
    if position is not None and not low <= position <= high:
        detail = f"relative position {position:.3f}, want {low:g} to {high:g}"
        findings.add(slice_id, LEFT_OUT, "outside_window", detail)
        return None
    examined = examine(scan.slices[z], min_side=config.min_side, plane=scan.plane, spacing_mm=scan.spacing_mm)
    for finding in examined.findings:
        findings.add(slice_id, finding.outcome, finding.rule, finding.detail)
    return examined
