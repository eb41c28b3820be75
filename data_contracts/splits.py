"""Splits: which groups of slices may be learned from and which are only ever tested on."""

import pandas as pd
from pydantic import BaseModel, ConfigDict

from data_contracts.manifest import DIAGNOSES, REAL
from data_contracts.violations import Violation


class Fold(BaseModel):
    """One fold: the `group` names of its training part and of its test part."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    fold: int
    train: tuple[str, ...]
    test: tuple[str, ...]


class Splits(BaseModel):
    """All folds that a study evaluates, and the seed that drew them."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    seed: int
    folds: tuple[Fold, ...]


def check_splits(splits: Splits, manifest: pd.DataFrame) -> list[Violation]:
    """Groups and subjects disjoint in each fold, both diagnoses on both sides, and only real slices in the manifest."""
    found = []
    if (manifest["origin"] != REAL).any():
        found.append(Violation("manifest", "origin", "a split is drawn from real slices alone"))
    for fold in splits.folds:
        record = f"fold-{fold.fold}"
        sides = {
            side: manifest[manifest["group"].isin(groups)]
            for side, groups in (("train", fold.train), ("test", fold.test))
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
