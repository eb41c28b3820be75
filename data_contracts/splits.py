"""Splits: which groups of slices may be learned from and which are only ever tested on."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from data_contracts.manifest import DIAGNOSES, REAL
from data_contracts.violations import Violation

WHOLE = 1.0  # the share of a fold that learns from all it may


class Fold(BaseModel):
    """One fold: the `group` names of its training part and of its test part.

    share: of the groups of the training part that a whole fold with the same test part has. A share below 1 is a
    fold with a number of its own: all that learns, generators too, sees only its `train`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    fold: int
    train: tuple[str, ...]
    test: tuple[str, ...]
    share: float = Field(WHOLE, gt=0, le=WHOLE)

    @property
    def whole(self) -> bool:
        """Whether it learns from all of its training part: only such folds decide."""
        return self.share == WHOLE


class Splits(BaseModel):
    """All folds that a study evaluates, and the seed that drew them."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    seed: int
    folds: tuple[Fold, ...]

    @property
    def whole(self) -> "Splits":
        """The folds that decide, without those of the learning curve: what every stage but the training loops over."""
        return Splits(seed=self.seed, folds=tuple(fold for fold in self.folds if fold.whole))


def strata(groups: pd.Series, diagnoses: pd.Series) -> tuple[NDArray[np.object_], ...]:
    """Names of the groups that hold the one diagnosis, the other, and both; empty strata are left out.

    groups, diagnoses: of the same rows, a row a slice. In the rows' order, so that names decide nothing.
    """
    kinds = sum(2**i * (diagnoses == name).groupby(groups, sort=False).max() for i, name in enumerate(DIAGNOSES))
    return tuple(names.index.to_numpy(object) for _, names in pd.Series(kinds).groupby(kinds))


def check_splits(splits: Splits, manifest: pd.DataFrame) -> list[Violation]:
    """Groups and subjects disjoint in each fold, both diagnoses on both sides, and only real slices in the manifest.

    A fold of the learning curve learns from a part of what a whole fold with the same test part learns from.
    """
    found = []
    if (manifest["origin"] != REAL).any():
        found.append(Violation("manifest", "origin", "a split is drawn from real slices alone"))
    if len({fold.fold for fold in splits.folds}) != len(splits.folds):
        found.append(Violation("splits", "numbers", "two folds have the same number"))
    for fold in splits.folds:
        found += _check_parts(fold, manifest)
        parents = [full for full in splits.whole.folds if set(full.test) == set(fold.test)]
        if not any(set(fold.train) <= set(full.train) for full in parents):
            found.append(Violation(f"fold-{fold.fold}", "share", "no whole fold of this test part has all of it"))
    return found


def check_fold(fold: Fold, manifest: pd.DataFrame) -> list[Violation]:
    """`check_splits` of one fold by itself, of any share."""
    return check_splits(Splits(seed=0, folds=(fold.model_copy(update={"share": WHOLE}),)), manifest)


def _check_parts(fold: Fold, manifest: pd.DataFrame) -> list[Violation]:
    found = []
    record = f"fold-{fold.fold}"
    sides = {
        side: manifest[manifest["group"].isin(groups)] for side, groups in (("train", fold.train), ("test", fold.test))
    }
    for column in ("group", "subject", "sha256"):
        shared = set(sides["train"][column]) & set(sides["test"][column])
        if shared:
            found.append(Violation(record, f"{column} on both sides", ", ".join(sorted(shared)[:5])))
    for side, rows in sides.items():
        missing = [d for d in DIAGNOSES if d not in set(rows["diagnosis"])]
        if missing:
            found.append(Violation(record, f"diagnosis missing in {side}", ", ".join(missing)))
    return found
