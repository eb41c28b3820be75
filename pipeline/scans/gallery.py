"""The slices of a folder that is looked at and not studied: any two sets are compared so, whoever made them."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from data_contracts.manifest import REVIEW
from data_contracts.violations import ContractError, Violation
from pipeline.run_dir import RunDir
from pipeline.scans.fetched import Progress
from pipeline.scans.ingest import begin, chosen, on_this_machine, read_source
from pipeline.scans.inputs import IngestConfig, inputs_of
from pipeline.scans.names import NAMED
from pipeline.scans.reading import Slice
from pipeline.scans.units import Findings


@dataclass(frozen=True)
class Gallery:
    """The slices of a folder that is looked at and not studied.

    refused: how many did not enter, by rule. strange: of a generator's slices, how many entered that quality control
    refuses among scans, by rule. subjects_known: every slice names its subject.
    """

    slices: tuple[Slice, ...]
    refused: dict[str, int]
    strange: dict[str, int]
    subjects_known: bool


def read_gallery(
    *,
    source: str | Path,
    out: RunDir,
    config: IngestConfig,
    seed: int,
    synthetic: bool,
    progress: Progress | None = None,
) -> Gallery:
    """Read a folder as `ingest` does, with one diagnosis or two, and no manifest: its slices' pixels lie in `out`.

    synthetic: a generator's images: those that say so are taken, and a slice is a group of its own, for they are of
    nobody. None is refused for how it looks, for a generator answers for its worst; what cannot be read is. Else
    slices are linked to groups and, of two diagnoses, chosen among as in an ingest. Raises ContractError where no
    slice is left.
    """
    inputs = inputs_of(source, config=config, seed=seed, pseudonyms=None)
    begin(out, source)
    findings = Findings()
    with on_this_machine(source, out, progress) as local:
        found = read_source(local, inputs=inputs, out=out, findings=findings, progress=progress, synthetic=synthetic)
    slices = found.slices
    if not synthetic and len({one.diagnosis for one in slices}) > 1:  # of one alone there is nothing to match
        slices = chosen(slices, inputs, findings)
    taken = {one.slice_id for one in slices}
    kept_out = [row for row in findings.rows if row["outcome"] != REVIEW]
    refused = Counter(row["rule"] for row in kept_out if row["record"] not in taken)
    strange = Counter(row["rule"] for row in kept_out if row["record"] in taken)
    if not slices:
        reasons = ", ".join(f"{rule} ({n})" for rule, n in refused.most_common(3)) or "it holds no image"
        raise ContractError([Violation("source", "no_slices", f"no slice in {source} can be used: {reasons}")])
    return Gallery(
        slices=tuple(slices),
        refused=dict(refused.most_common()),
        strange=dict(strange.most_common()),
        subjects_known=all(one.subject is not None and one.subject[0] == NAMED for one in slices),
    )
