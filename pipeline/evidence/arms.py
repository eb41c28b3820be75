"""What each training of the utility experiment learns from: arms, doses, and the controls that must come out null."""

import math
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data_contracts.manifest import DIAGNOSES
from data_contracts.results import (
    DUPLICATES_ARM,
    PASTED_ARM,
    PRIMARY_ARM,
    PRIMARY_RATIO,
    REFERENCE_ARM,
    Arm,
    Way,
)
from data_contracts.splits import Fold, strata

Images = NDArray[np.float32]
Labels = NDArray[np.int64]
# by diagnosis, of each image the groups whose real slices it contains: the one painted on, the one its lesion is of
Sources = Mapping[str, Sequence[Set[str]]]
ControlName = Literal["none", "permuted_diagnoses", "collapsed_generator"]
# a point of the learning curve needs no more, and the copy-paste arm where the study has it
LEARNING_ARMS: Final[tuple[Arm, ...]] = (REFERENCE_ARM, DUPLICATES_ARM, PRIMARY_ARM)
ADDING_ARMS: Final[tuple[Arm, ...]] = (DUPLICATES_ARM, PASTED_ARM, PRIMARY_ARM)  # to the real slices
COLLAPSED_TO: Final = 3  # slices of each diagnosis that the collapsed generator knows


@dataclass(frozen=True)
class Training:
    """One classifier of a fold. index: of the seed; ratio: synthetic slices a real one, where the arm has any.

    way: how slices that were added to the real ones are used; `mix` in arms that are not of ADDING_ARMS.
    """

    arm: Arm
    index: int
    ratio: float = PRIMARY_RATIO
    control: ControlName = "none"
    way: Way = "mix"

    @property
    def decides(self) -> bool:
        """Whether it is one of those that the verdict and the arms' scores are read from."""
        return self.ratio == PRIMARY_RATIO and self.control == "none"

    @property
    def name(self) -> str:
        """For a file."""
        ratio = "" if self.ratio == PRIMARY_RATIO else f"-x{self.ratio:g}"
        control = "" if self.control == "none" else f"-{self.control}"
        way = "" if self.way == "mix" else f"-{self.way}"
        return f"{self.arm.replace('+', '_')}{ratio}{control}{way}-{self.index}"


@dataclass(frozen=True)
class FoldData:
    """What the trainings of one fold share: real training slices, the synthetic ones made from them, the test slices.

    real (N, 1, S, S) float32 in [-1, 1] with real_diagnoses (N,) and real_groups (N,); synthetic by diagnosis; test
    likewise, test_rows of the manifest in its order. pasted: as synthetic, for the copy-paste arm, None where there
    is none. sources and pasted_sources: of each of these images the training groups that it contains; None where it
    contains no one's anatomy, or where that is not known.
    """

    fold: Fold
    real: Images
    real_diagnoses: Labels
    real_groups: pd.Series
    synthetic: Mapping[str, Images]
    test: Images
    test_rows: pd.DataFrame
    pasted: Mapping[str, Images] | None = None
    sources: Sources | None = None
    pasted_sources: Sources | None = None

    def without(self, groups: Set[str]) -> "FoldData":
        """What can be learned from when some training groups are kept aside to try it on; it has no test slices.

        Synthetic and pasted images that contain any of the groups are left out as far as sources tell. Painted tumours
        contain two groups where painted no-tumours contain one and so lose more: of the other diagnosis as large a
        share is left out, or the dose would lean to it.
        """
        kept = ~self.real_groups.isin(groups).to_numpy()
        left = replace(
            self,
            real=self.real[kept],
            real_diagnoses=self.real_diagnoses[kept],
            real_groups=self.real_groups[kept].reset_index(drop=True),
            test=self.test[:0],
            test_rows=self.test_rows[:0],
        )
        if self.sources is not None:
            synthetic, sources = _free_of(groups, images=self.synthetic, sources=self.sources)
            left = replace(left, synthetic=synthetic, sources=sources)
        if self.pasted is not None and self.pasted_sources is not None:
            pasted, sources = _free_of(groups, images=self.pasted, sources=self.pasted_sources)
            left = replace(left, pasted=pasted, pasted_sources=sources)
        return left


def _free_of(
    groups: Set[str], *, images: Mapping[str, Images], sources: Sources
) -> tuple[dict[str, Images], dict[str, list[Set[str]]]]:
    """Images that contain none of the groups, and their sources: of each diagnosis the same share of what there was.

    That is the smaller one of both diagnoses; of the other diagnosis every so many-th one is left.
    """
    free = {name: [i for i, inside in enumerate(sources[name]) if groups.isdisjoint(inside)] for name in images}
    share = min(len(rows) / max(1, len(images[name])) for name, rows in free.items())
    for name, rows in free.items():
        n = min(len(rows), math.ceil(share * len(images[name]) - 1e-9))  # one is left where one is of the other
        free[name] = [rows[i * len(rows) // n] for i in range(n)]
    return (
        {name: images[name][np.array(rows, dtype=np.int64)] for name, rows in free.items()},
        {name: [sources[name][i] for i in rows] for name, rows in free.items()},
    )


def learning_arms(arms: Iterable[Arm]) -> tuple[Arm, ...]:
    """Of the arms of a study those that each point of its learning curve has."""
    return (*LEARNING_ARMS, PASTED_ARM) if PASTED_ARM in arms else LEARNING_ARMS


def plan(
    *,
    whole: bool,
    seeds: int,
    arms: Iterable[Arm],
    doses: Iterable[float],
    control_seeds: int,
    way: Way = "mix",
) -> list[Training]:
    """All trainings of one fold, those that decide first; a fold of the learning curve has `learning_arms` alone.

    way: of every arm that adds slices, so that duplicates and copy-paste are used as synthetic slices are.
    """
    found = _mixed(whole=whole, seeds=seeds, arms=arms, doses=doses, control_seeds=control_seeds)
    return [replace(training, way=way) if training.arm in ADDING_ARMS else training for training in found]


def _mixed(
    *, whole: bool, seeds: int, arms: Iterable[Arm], doses: Iterable[float], control_seeds: int
) -> list[Training]:
    if not whole:
        chosen = learning_arms(arms)
        return [Training(arm, index) for index in range(seeds) for arm in chosen]
    return [
        *(Training(arm, index) for index in range(seeds) for arm in arms),
        *(Training(PRIMARY_ARM, index, ratio) for index in range(seeds) for ratio in doses),
        *(Training(REFERENCE_ARM, index, control="permuted_diagnoses") for index in range(control_seeds)),
        *(Training(PRIMARY_ARM, index, control="collapsed_generator") for index in range(control_seeds)),
    ]


def dose(
    *, real_diagnoses: Labels, available: Mapping[int, int], ratio: float, balance: bool = False
) -> dict[int, int]:
    """Synthetic slices to add of each diagnosis: `ratio` per real training slice, or as many as there are.

    balance: no more than the rarer diagnosis lacks to be as many as the other, which gets none.
    """
    there = {d: int((real_diagnoses == d).sum()) for d in range(len(DIAGNOSES))}
    wanted = {d: round(ratio * n) for d, n in there.items()}
    if balance:
        wanted = {d: min(n, max(there.values()) - there[d]) for d, n in wanted.items()}
    return {d: min(n, available.get(d, 0)) for d, n in wanted.items()}


def choose_synthetic(
    *,
    synthetic: Mapping[str, Images],
    real_diagnoses: Labels,
    ratio: float,
    rng: np.random.Generator,
    distinct: int | None = None,
    balance: bool = False,
) -> tuple[Images, Labels]:
    """Draw the dose from each diagnosis' synthetic images: images (n, 1, S, S), diagnoses (n,).

    Without repeats, and nested: by the same rng a smaller dose lies inside a larger one. distinct: draw only so many
    of each diagnosis and repeat them to the same dose, as a collapsed generator would. balance: as in `dose`.
    """
    available = {d: len(synthetic[name]) for d, name in enumerate(DIAGNOSES)}
    counts = dose(real_diagnoses=real_diagnoses, available=available, ratio=ratio, balance=balance)
    return _draw(synthetic, counts=counts, rng=rng, distinct=distinct)


def choose_pasted(
    *, pasted: Mapping[str, Images], synthetic_diagnoses: Labels, rng: np.random.Generator
) -> tuple[Images, Labels]:
    """Draw as many pasted slices of each diagnosis as the dose has synthetic ones, or as many as there are.

    Images (n, 1, S, S), diagnoses (n,), without repeats.
    """
    available = {d: len(pasted[name]) for d, name in enumerate(DIAGNOSES)}
    counts = {d: min(int((synthetic_diagnoses == d).sum()), n) for d, n in available.items()}
    return _draw(pasted, counts=counts, rng=rng, distinct=None)


def _draw(
    images: Mapping[str, Images], *, counts: Mapping[int, int], rng: np.random.Generator, distinct: int | None
) -> tuple[Images, Labels]:
    orders = [rng.permutation(len(images[name]))[:distinct] for name in DIAGNOSES]
    drawn = [images[name][np.sort(np.resize(orders[d], counts[d]))] for d, name in enumerate(DIAGNOSES)]
    return np.concatenate(drawn), np.repeat(np.arange(len(DIAGNOSES)), [len(chosen) for chosen in drawn])


def train_images(
    *,
    arm: Arm,
    real: Images,
    real_diagnoses: Labels,
    synthetic: Images,
    synthetic_diagnoses: Labels,
    rng: np.random.Generator,
) -> tuple[Images, Labels]:
    """Compose what one arm trains on: images (N, 1, S, S) and diagnoses (N,), the real ones first.

    synthetic: the dose itself, all of it used; in the copy-paste arm, the pasted slices that take its place. The
    duplicates arm adds copies of real training slices instead, of each diagnosis exactly as many, drawn with repeats.
    """
    if arm in ("real", "real+classic"):
        return real, real_diagnoses
    if arm == "synthetic_only":
        return synthetic, synthetic_diagnoses
    if arm in (PRIMARY_ARM, PASTED_ARM):
        return np.concatenate([real, synthetic]), np.concatenate([real_diagnoses, synthetic_diagnoses])
    copies = [
        rng.choice(np.flatnonzero(real_diagnoses == d), int((synthetic_diagnoses == d).sum()))
        for d in range(len(DIAGNOSES))
    ]
    rows = np.concatenate([np.arange(len(real)), *copies])
    return real[rows], real_diagnoses[rows]


def deal_anew(*, groups: pd.Series, diagnoses: Labels, rng: np.random.Generator) -> Labels:
    """Diagnoses (N,) that say nothing of the truth: half of the groups of each stratum swap theirs for the other.

    groups, diagnoses: of the real training slices, in one order. Swapped by whole groups, so slices that shared a
    diagnosis still do; of two groups of one stratum and about as many slices one swaps, so new and true diagnosis
    are as good as uncorrelated, which a free permutation of few groups is only on average.
    """
    names = pd.Series([DIAGNOSES[d] for d in diagnoses], index=groups.index)
    sizes = groups.value_counts()
    swapped: set[str] = set()
    for stratum in strata(groups, names):
        order = rng.permutation(stratum)
        order = order[np.argsort(sizes[order].to_numpy(), kind="stable")]
        for start in range(0, len(order), 2):
            of_two = start + rng.integers(2)  # the odd one out swaps by the toss of a coin
            swapped.update(order[of_two : of_two + 1])
    return np.where(groups.isin(swapped), 1 - diagnoses, diagnoses)
