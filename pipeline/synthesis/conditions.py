"""The one number a conditional GAN is given: from diagnosis, sequence, plane and height of slices, and back to words.

Conditions are made by splitting the training slices by one factor after the other, in the order of FACTORS. A level
too rare to be learnt stays with others: diagnoses never (a synthetic tumour must be one), sequences and planes with
the other rare ones of their part, and a height with its neighbour. So every condition says what its slices are.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import count, pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, field_validator

Levels = list[Any]  # of one factor: words, or intervals of height by number
Cut = Callable[[Levels, Levels, int], list[Levels]]

FACTORS: Final = ("diagnosis", "sequence", "plane", "position")


class Condition(BaseModel):
    """What the slices of one condition share; None where a factor says nothing of them."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    diagnosis: str | None = None
    sequence: tuple[str, ...] | None = None  # one of these
    plane: tuple[str, ...] | None = None
    position: tuple[int, ...] | None = None  # neighbouring intervals between the edges, 0 below the first edge


class Conditions(BaseModel):
    """All conditions of one training: condition number c is `levels[c]`. Made by `fit`."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    position_edges: tuple[float, ...]  # inner edges, ascending, in [0, 1]; each belongs to the interval above it
    levels: tuple[Condition, ...]

    @field_validator("position_edges")
    @classmethod
    def _ascend(cls, edges: tuple[float, ...]) -> tuple[float, ...]:
        if not all(low < high for low, high in pairwise(edges)):
            raise ValueError(f"position_edges ascend, and these do not: {edges}")
        return edges

    def describe(self, c: int) -> str:
        """Say in words what condition c is, such as "FLAIR, axial, 0.30 to 0.45 of the height"; each c otherwise.

        Raises ValueError where there is no such condition.
        """
        if not 0 <= c < len(self.levels):
            raise ValueError(f"the conditions are 0 to {len(self.levels) - 1}, not {c}")
        said = self.levels[c]
        words = [said.diagnosis.replace("_", " ")] if said.diagnosis is not None else []
        for name, levels in (("sequence", said.sequence), ("plane", said.plane)):
            if levels is not None:
                words.append(" or ".join(f"unknown {name}" if level == "unknown" else level for level in levels))
        if said.position is not None:
            words.append(f"{self._interval(said.position[0], said.position[-1])} of the height")
        return ", ".join(words) or "all slices"

    def of_diagnosis(self, diagnosis: str) -> tuple[int, ...]:
        """The conditions of one diagnosis, ascending; all of them where the diagnosis was no factor.

        Raises ValueError where other diagnoses were trained on, and not this one.
        """
        numbers = tuple(c for c, said in enumerate(self.levels) if said.diagnosis in {None, diagnosis})
        if not numbers:
            known = ", ".join(sorted({str(said.diagnosis) for said in self.levels}))
            raise ValueError(f"the training held {known}, not {diagnosis}")
        return numbers

    def _interval(self, first: int, last: int) -> str:
        """From the lower edge of one interval to the upper edge of another, neither of which bounds all heights."""
        edges = self.position_edges
        # two decimals, or as many more as tell the edges apart
        texts = next(t for t in ([f"{e:.{digits}f}" for e in edges] for digits in count(2)) if len({*t}) == len(t))
        if first == 0:
            return f"below {texts[last]}"
        return f"{texts[first - 1]} to {texts[last]}" if last < len(edges) else f"from {texts[first - 1]}"


def fit(
    *,
    positions: NDArray[np.float64],
    sequences: Sequence[str],
    planes: Sequence[str],
    diagnoses: Sequence[str] | None = None,
    bins: int,
    fewest: int = 8,
) -> tuple[Conditions, NDArray[np.int64]]:
    """Number the combinations of covariates that N training slices show, each of `fewest` slices at least.

    positions: float (N,), heights in [0, 1] or NaN, cut into `bins` equally filled intervals; no factor where any is
    unknown. sequences, planes: N words each, "unknown" where not known. diagnoses: N words in a joint training, else
    None. A factor of which the training shows one level says nothing and is left out. Where N is below `fewest` all
    slices are condition 0. Numbers ascend by diagnosis, sequence, plane (as words sort) and height.

    Returns the conditions, and int64 (N,) in [0, number of conditions): that of each slice. It does not depend on the
    order of the slices. Raises ValueError where there are no slices, where lengths differ, where `bins` or `fewest` is
    below 1, and in a joint training where a diagnosis has fewer slices than `fewest`.
    """
    n = len(positions)
    lengths = {len(sequences), len(planes), n if diagnoses is None else len(diagnoses), n}
    if lengths != {n} or n == 0:
        raise ValueError(f"covariates are one a slice, not of {', '.join(map(str, sorted(lengths)))} slices")
    if bins < 1 or fewest < 1:
        raise ValueError(f"bins and fewest are 1 or more, not {bins} and {fewest}")
    edges = _edges(positions, bins)
    words = [list(diagnoses) if diagnoses is not None else [""] * n, list(sequences), list(planes)]
    factors: list[tuple[Levels, Levels, Cut]] = [
        (values, sorted(set(values)), cut) for values, cut in zip(words, (_apart, _pooled, _pooled), strict=True)
    ]
    heights = np.searchsorted(edges, positions, side="right").tolist() if len(edges) else [0] * n
    factors.append((heights, list(range(len(edges) + 1)), _neighbours))

    # Top down, as in a tree, because a split looks at its own part alone: few slices of one sequence in one plane
    # then cost that part its split, and not all others theirs. Every part that a cut returns holds `fewest` slices.
    parts: list[tuple[list[int], dict[str, Any]]] = [(list(range(n)), {})]
    for name, (values, levels, cut) in zip(FACTORS, factors, strict=True):
        parts = [
            ([row for row in rows if values[row] in kept], said | {name: _told(name, kept, levels)})
            for rows, said in parts
            for kept in cut([values[row] for row in rows], levels, fewest)
        ]
    conditions = np.empty(n, np.int64)
    for c, (rows, _) in enumerate(parts):
        conditions[rows] = c
    told = tuple(Condition(**said) for _, said in parts)
    used = any(condition.position is not None for condition in told)
    return Conditions(position_edges=tuple(edges.tolist()) if used else (), levels=told), conditions


def _edges(positions: NDArray[np.float64], bins: int) -> NDArray[np.float64]:
    """Inner edges of equally filled intervals of height; none where any height is unknown."""
    if bins == 1 or np.isnan(positions).any():
        return np.empty(0)
    # equal heights may fill several intervals at once, whose edges are then one
    return np.unique(np.quantile(positions, np.linspace(0, 1, bins + 1)[1:-1]))


def _told(name: str, kept: Levels, levels: Levels) -> str | tuple[Any, ...] | None:
    """How a condition notes the levels it holds of a factor: None where it holds all that the training shows."""
    if len(kept) == len(levels):
        return None
    return str(kept[0]) if name == "diagnosis" else tuple(kept)


def _apart(values: Levels, levels: Levels, fewest: int) -> list[Levels]:
    """Each level by itself. Raises ValueError where there are several and one is too rare."""
    numbers = Counter(values)
    rare = [level for level in levels if numbers[level] < fewest]
    if rare and len(levels) > 1:
        said = ", ".join(f"{level} has {numbers[level]}" for level in rare)
        raise ValueError(f"each diagnosis of a joint training needs {fewest} slices, and {said}")
    return [[level] for level in levels]


def _pooled(values: Levels, _: Levels, fewest: int) -> list[Levels]:
    """Each level that occurs by itself; those too rare together, with the next rarest where that is still too few."""
    numbers = Counter(values)
    rare: Levels = []
    alone: list[Levels] = []
    for level in sorted(numbers, key=lambda level: (numbers[level], level)):
        enough_without = sum(numbers[one] for one in rare) >= fewest or not rare
        if numbers[level] >= fewest and enough_without:
            alone.append([level])
        else:
            rare.append(level)
    return sorted([*alone, *([sorted(rare)] if rare else [])])


def _neighbours(values: Levels, levels: Levels, fewest: int) -> list[Levels]:
    """Each interval by itself; one too empty with those above it until they have enough, at the top with those below.

    Intervals in which there is no slice here count too, so that the parts cover all heights.
    """
    numbers = Counter(values)
    parts: list[Levels] = [[]]
    for level in levels:
        if sum(numbers[one] for one in parts[-1]) >= fewest:
            parts.append([])
        parts[-1].append(level)
    if len(parts) > 1 and sum(numbers[one] for one in parts[-1]) < fewest:
        last = parts.pop()
        parts[-1].extend(last)
    return parts
