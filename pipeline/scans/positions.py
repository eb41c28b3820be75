"""How high in its scan a slice lies, and the same mix of heights for both diagnoses."""

import re
from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data_contracts.violations import ContractError, Violation
from pipeline.scans.sources import SourceFile

# fewer pictures in a subject's folder are a choice of slices, whose order says nothing of their height
MIN_SLICES: Final = 8
SLICE_INDEX: Final = "slice_index.csv"


def read_slice_index(source: Path) -> dict[str, int]:
    """Slices in the whole scan of each patient folder, from `slice_index.csv` in or beside `source`; else empty.

    Raises ContractError where the file is there and lacks its columns patient and n_slices.
    """
    path = next((p for p in (source / SLICE_INDEX, source.resolve().parent / SLICE_INDEX) if p.is_file()), None)
    if path is None:
        return {}
    try:
        table = pd.read_csv(path, usecols=["patient", "n_slices"], dtype={"patient": str, "n_slices": int})
    except ValueError:
        wanted = f"{path} needs the columns patient and n_slices, with whole numbers of slices; mend or remove it"
        raise ContractError([Violation("source", "slice_index", wanted)]) from None
    return dict(zip(table["patient"], table["n_slices"], strict=True))


def raster_positions(files: Sequence[SourceFile], slices_of: Mapping[str, int]) -> dict[Path, float]:
    """Relative position (index - 0.5) / n in [0, 1] of the pictures that have one.

    Where `slices_of` knows the folder, index is the number that ends the name and n its slices in the whole scan.
    Elsewhere they count the subject's own pictures of one sequence in natural order, where there are enough of them.
    """
    positions = {}
    scans: dict[tuple[str, str], list[SourceFile]] = defaultdict(list)
    for file in files:
        last = re.search(r"(\d+)$", file.stem)
        n = slices_of.get(file.relative.parent.name)
        if n is not None and last and 1 <= int(last[1]) <= n:
            positions[file.path] = (int(last[1]) - 0.5) / n
        elif n is None and file.stack is not None:
            scans[file.stack, file.sequence].append(file)
    for scan in scans.values():
        if len(scan) >= MIN_SLICES:
            ordered = sorted(scan, key=lambda file: (_natural(file.stem), file.relative))
            positions.update({file.path: (i + 0.5) / len(scan) for i, file in enumerate(ordered)})
    return positions


def _natural(stem: str) -> list[tuple[int, str]]:
    """Sort key under which slice_10 comes after slice_9."""
    return [(int(number), "") if number else (-1, text) for number, text in re.findall(r"(\d+)|(\D+)", stem)]


def match(
    *,
    bins: Sequence[Hashable | None],
    diagnoses: Sequence[str],
    subjects: Sequence[Hashable],
    rng: np.random.Generator,
) -> NDArray[np.bool_]:
    """Which of N slices to keep so that every bin holds equally many of each diagnosis: bool (N,).

    bins: where a slice lies, None where unknown: such a slice is kept. Of the diagnosis that has more slices in a bin
    those are drawn whose subjects have the fewest kept so far, chance deciding between equals. Everything is kept
    where fewer than two diagnoses have known positions: there is nothing to match.
    """
    placed: dict[Hashable, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for i, place in enumerate(bins):
        if place is not None:
            placed[place][diagnoses[i]].append(i)
    keep = np.array([place is None for place in bins], dtype=bool)
    both = {diagnosis for here in placed.values() for diagnosis in here}
    if len(both) < 2:
        return np.ones(len(bins), dtype=bool)
    kept_of: Counter[Hashable] = Counter()
    for here in placed.values():
        wanted = min(len(here[diagnosis]) for diagnosis in both)
        for diagnosis in sorted(both):
            owners = {i: (diagnosis, subjects[i]) for i in here[diagnosis]}
            for i in _spread(owners, wanted, kept_of, rng):
                keep[i] = True
                kept_of[owners[i]] += 1
    return keep


def _spread(
    owners: Mapping[int, Hashable], wanted: int, kept_of: Mapping[Hashable, int], rng: np.random.Generator
) -> list[int]:
    """`wanted` of the slices in `owners`, those first whose owner would have the fewest kept with them."""
    slices = list(owners)
    shuffled = [slices[i] for i in rng.permutation(len(slices))]
    taken: Counter[Hashable] = Counter()
    rank = {}
    for i in shuffled:
        rank[i] = kept_of.get(owners[i], 0) + taken[owners[i]]
        taken[owners[i]] += 1
    return sorted(shuffled, key=lambda i: rank[i])[:wanted]
