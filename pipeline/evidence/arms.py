"""What each training of the utility experiment learns from: arms, doses, and the controls that must come out null."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data_contracts.manifest import DIAGNOSES
from data_contracts.results import (
    DUPLICATES_ARM,
    PRIMARY_ARM,
    PRIMARY_RATIO,
    REFERENCE_ARM,
    Arm,
)
from data_contracts.splits import strata

Images = NDArray[np.float32]
Labels = NDArray[np.int64]
ControlName = Literal["none", "permuted_diagnoses", "collapsed_generator"]
# a point of the learning curve needs no more
LEARNING_ARMS: Final[tuple[Arm, ...]] = (REFERENCE_ARM, DUPLICATES_ARM, PRIMARY_ARM)
COLLAPSED_TO: Final = 3  # slices of each diagnosis that the collapsed generator knows


@dataclass(frozen=True)
class Training:
    """One classifier of a fold. index: of the seed; ratio: synthetic slices a real one, where the arm has any."""

    arm: Arm
    index: int
    ratio: float = PRIMARY_RATIO
    control: ControlName = "none"

    @property
    def name(self) -> str:
        """For a file."""
        ratio = "" if self.ratio == PRIMARY_RATIO else f"-x{self.ratio:g}"
        control = "" if self.control == "none" else f"-{self.control}"
        return f"{self.arm.replace('+', '_')}{ratio}{control}-{self.index}"


def plan(*, whole: bool, seeds: int, arms: Iterable[Arm], doses: Iterable[float], control_seeds: int) -> list[Training]:
    """All trainings of one fold, those that decide first; a fold of the learning curve has LEARNING_ARMS alone."""
    if not whole:
        return [Training(arm, index) for index in range(seeds) for arm in LEARNING_ARMS]
    return [
        *(Training(arm, index) for index in range(seeds) for arm in arms),
        *(Training(PRIMARY_ARM, index, ratio) for index in range(seeds) for ratio in doses),
        *(Training(REFERENCE_ARM, index, control="permuted_diagnoses") for index in range(control_seeds)),
        *(Training(PRIMARY_ARM, index, control="collapsed_generator") for index in range(control_seeds)),
    ]


def dose(*, real_diagnoses: Labels, available: Mapping[int, int], ratio: float) -> dict[int, int]:
    """Synthetic slices to add of each diagnosis: `ratio` per real training slice, or as many as there are."""
    wanted = {d: round(ratio * int((real_diagnoses == d).sum())) for d in range(len(DIAGNOSES))}
    return {d: min(n, available.get(d, 0)) for d, n in wanted.items()}


def choose_synthetic(
    *,
    synthetic: Mapping[str, Images],
    real_diagnoses: Labels,
    ratio: float,
    rng: np.random.Generator,
    distinct: int | None = None,
) -> tuple[Images, Labels]:
    """Draw the dose from each diagnosis' synthetic images: images (n, 1, S, S), diagnoses (n,).

    Without repeats, and nested: by the same rng a smaller dose lies inside a larger one. distinct: draw only so many
    of each diagnosis and repeat them to the same dose, as a collapsed generator would.
    """
    available = {d: len(synthetic[name]) for d, name in enumerate(DIAGNOSES)}
    counts = dose(real_diagnoses=real_diagnoses, available=available, ratio=ratio)
    orders = [rng.permutation(available[d])[:distinct] for d in range(len(DIAGNOSES))]
    drawn = [synthetic[name][np.sort(np.resize(orders[d], counts[d]))] for d, name in enumerate(DIAGNOSES)]
    return np.concatenate(drawn), np.repeat(np.arange(len(DIAGNOSES)), [len(images) for images in drawn])


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

    synthetic: the dose itself, all of it used. The duplicates arm adds copies of real training slices instead,
    of each diagnosis exactly as many, drawn with repeats.
    """
    if arm in ("real", "real+classic"):
        return real, real_diagnoses
    if arm == "synthetic_only":
        return synthetic, synthetic_diagnoses
    if arm == "real+classic+synthetic":
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
