"""Which slices belong together: duplicates found, contradictions among them refused, heights matched."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from data_contracts.manifest import DIAGNOSES, LEFT_OUT, QUARANTINED
from pipeline.scans import duplicates
from pipeline.scans.positions import match
from pipeline.scans.reading import Slice
from pipeline.scans.units import Findings


def link(
    slices: Sequence[Slice], features: NDArray[np.float16], *, seed: int, findings: Findings
) -> tuple[list[Slice], list[tuple[str, str]]]:
    """Slices with their group (a component over duplicates and subjects), and the near-duplicate pairs.

    features: (N, FEATURES), may lie on disk. Slices that contradict each other's diagnosis become findings.
    """
    if not slices:
        return [], []
    # by the word alone: a volume that only its file's name connects may be of somebody that another road names
    people = [None if s.subject is None else s.subject[1] for s in slices]
    codes = {person: code for code, person in enumerate(dict.fromkeys(people))}
    near = duplicates.near_duplicates(
        features=features,
        subjects=np.array([-1 if person is None else codes[person] for person in people], dtype=np.int64),
        seed=seed,
    )
    near = [(i, j) for i, j in near if slices[i].sha256 != slices[j].sha256]
    links = near + duplicates.links_of_equal([s.sha256 for s in slices])
    links += duplicates.links_of_equal(people)
    roots = duplicates.groups(len(slices), links)
    contradictory = _contradictory(slices, near)
    for i, detail in sorted(contradictory.items()):
        findings.add(slices[i].slice_id, QUARANTINED, "contradictory_duplicate", detail)
    kept = [replace(s, group=roots[i]) for i, s in enumerate(slices) if i not in contradictory]
    return kept, [(slices[i].slice_id, slices[j].slice_id) for i, j in near]


def _contradictory(slices: Sequence[Slice], near: Sequence[tuple[int, int]]) -> dict[int, str]:
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
        # neighbours in an unnamed subject may look alike and differ in their masks; a label from anywhere else says
        # it of the whole head, whose copy then cannot be right too
        by_masks = slices[i].label_rule == slices[j].label_rule == "mask"
        if not by_masks and slices[i].diagnosis != slices[j].diagnosis:
            for one, twin in ((i, j), (j, i)):
                found.setdefault(one, f"looks as {slices[twin].slice_id}, which is {slices[twin].diagnosis}")
    # of slices equal to the last bit only the first is compared with others
    said = {slices[i].sha256: detail for i, detail in found.items()}
    return {i: said[s.sha256] for i, s in enumerate(slices) if s.sha256 in said} | found


def match_positions(
    slices: Sequence[Slice], *, width: float, rng: np.random.Generator, findings: Findings
) -> list[Slice]:
    """The slices left when each bin of heights, `width` of the scan wide, holds equally many of both diagnoses."""
    # the small addend keeps 0.3 / 0.05 from falling into the bin below
    bins = [None if s.position is None else (s.plane, int(s.position / width + 1e-6)) for s in slices]
    subjects = [("group", s.group) if s.subject is None else s.subject for s in slices]
    keep = match(bins=bins, diagnoses=[s.diagnosis for s in slices], subjects=subjects, rng=rng)
    for s, kept in zip(slices, keep, strict=True):
        if not kept:
            detail = f"at relative position {s.position:.3f} there are more {s.diagnosis} slices than of the other kind"
            findings.add(s.slice_id, LEFT_OUT, "position_unmatched", detail)
    return [s for s, kept in zip(slices, keep, strict=True) if kept]
