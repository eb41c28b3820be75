"""Folds drawn over groups of slices, stratified by diagnosis: no subject and no duplicate stands on both sides.

For the learning curve the training part of each fold is thinned by whole groups, each share inside the next.
"""

from typing import Annotated, Final

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, model_validator
from sklearn.model_selection import StratifiedGroupKFold

from data_contracts.manifest import DIAGNOSES
from data_contracts.splits import WHOLE, Fold, Splits, check_splits, strata
from data_contracts.violations import Violation, require

MIN_TRAIN_GROUPS: Final = 3  # a copy of one patient is known by its distance from at least two others


class SplitConfig(BaseModel):
    """`folds_drawn` parts; each of the first `folds_evaluated` is the test part once, the others train.

    repeats: so often, parts drawn anew each time: what the draw of training groups does shows in several only.
    subjects: as many groups of each training part are learned from, drawn anew in each fold; None: all.
    shares: of the training groups, below 1; each is evaluated as folds of its own, a point of the learning curve.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    folds_drawn: int = Field(default=3, ge=2)
    folds_evaluated: int = Field(default=1, ge=1)
    repeats: int = Field(default=1, ge=1)
    subjects: int | None = Field(default=None, ge=MIN_TRAIN_GROUPS)
    shares: tuple[Annotated[float, Field(gt=0, lt=WHOLE)], ...] = ()

    @model_validator(mode="after")
    def _no_more_than_drawn(self) -> "SplitConfig":
        if self.folds_evaluated > self.folds_drawn:
            raise ValueError(f"folds_evaluated is {self.folds_evaluated}, more than folds_drawn, {self.folds_drawn}")
        if len(set(self.shares)) != len(self.shares):
            raise ValueError(f"shares are {self.shares}, want each once")
        return self


def split(manifest: pd.DataFrame, *, config: SplitConfig, seed: int) -> Splits:
    """Draw the folds of a study from the manifest's `group` and `diagnosis` columns.

    The draw depends on the seed and on which rows share a group, never on how groups are called. Slices are
    balanced between the parts as far as whole groups allow. Folds of a share follow the whole ones, numbered on;
    a share with too few groups to learn from is left out of all folds, for the study can do without it. Raises
    ContractError where a diagnosis has fewer groups than there are parts, where a training part has fewer than
    `subjects`, or where the folds found break the rules of `check_splits`.
    """
    require(_too_few(manifest, config))
    # numbers by order of appearance: sorted names would let a pseudonym decide who is tested
    numbers, names = pd.factorize(manifest["group"])
    diagnoses = manifest["diagnosis"].map({name: i for i, name in enumerate(DIAGNOSES)}).to_numpy()
    parts = []
    for repeat in range(config.repeats):
        again = seed if repeat == 0 else int(np.random.SeedSequence([seed, repeat]).generate_state(1)[0])
        folder = StratifiedGroupKFold(n_splits=config.folds_drawn, shuffle=True, random_state=again)
        parts += list(folder.split(np.zeros(len(manifest)), diagnoses, numbers))[: config.folds_evaluated]
    folds = tuple(
        Fold(fold=i, train=_names(names, numbers[train]), test=_names(names, numbers[test]))
        for i, (train, test) in enumerate(parts)
    )
    if config.subjects is not None:
        require(_too_few_to_draw(folds, config.subjects))  # of all folds at once
        folds = tuple(drawn(fold, manifest, subjects=config.subjects, seed=seed) for fold in folds)
    require([*check_splits(Splits(seed=seed, folds=folds), manifest), *_too_few_to_learn(manifest, folds)])
    for share in sorted(config.shares):
        thinned = tuple(
            _thinned(fold, manifest, share=share, number=len(folds) + i, seed=seed)
            for i, fold in enumerate(folds[: len(parts)])
        )
        folds += () if _too_few_to_learn(manifest, thinned) else thinned
    splits = Splits(seed=seed, folds=folds)
    require(check_splits(splits, manifest))
    return splits


def drawn(fold: Fold, manifest: pd.DataFrame, *, subjects: int, seed: int) -> Fold:
    """The fold with so many groups of its training part, each stratum of `strata` in its share (largest remainders).

    Raises ContractError where it has fewer.
    """
    require(_too_few_to_draw((fold,), subjects))
    rng = np.random.default_rng([seed, fold.fold, 1])
    rows = manifest[manifest["group"].isin(fold.train)]
    names = strata(rows["group"], rows["diagnosis"])
    quotas = subjects * np.array([len(one) for one in names]) / len(fold.train)
    counts = np.floor(quotas).astype(int)
    counts[np.argsort(counts - quotas, kind="stable")[: subjects - counts.sum()]] += 1
    kept = {name for one, n in zip(names, counts, strict=True) for name in rng.permutation(one)[:n]}
    return Fold(fold=fold.fold, train=tuple(name for name in fold.train if name in kept), test=fold.test)


def _thinned(fold: Fold, manifest: pd.DataFrame, *, share: float, number: int, seed: int) -> Fold:
    """The fold with a share of its training groups, at least one of each stratum of `strata`.

    The order in which groups are taken follows from seed and fold alone: a smaller share lies inside a larger one.
    """
    rng = np.random.default_rng([seed, fold.fold])
    rows = manifest[manifest["group"].isin(fold.train)]
    kept: set[str] = set()
    for names in strata(rows["group"], rows["diagnosis"]):
        kept.update(rng.permutation(names)[: max(1, round(share * len(names)))])
    return Fold(fold=number, train=tuple(name for name in fold.train if name in kept), test=fold.test, share=share)


def _names(names: pd.Index, numbers: np.ndarray) -> tuple[str, ...]:
    """Group names of the rows of one part, each once, in the manifest's order."""
    return tuple(str(names[number]) for number in np.unique(numbers))


def _too_few_to_learn(manifest: pd.DataFrame, folds: tuple[Fold, ...]) -> list[Violation]:
    """One violation a fold and diagnosis whose training part cannot tell a copy of a patient from a likeness."""
    found = []
    for fold in folds:
        train = manifest[manifest["group"].isin(fold.train)]
        for diagnosis in DIAGNOSES:
            count = train.loc[train["diagnosis"] == diagnosis, "group"].nunique()
            if count < MIN_TRAIN_GROUPS:
                detail = f"{count} with {diagnosis} to learn from, at least {MIN_TRAIN_GROUPS}: add subjects"
                found.append(Violation(f"fold-{fold.fold}", "too few subjects to learn from", detail))
    return found


def _too_few_to_draw(folds: tuple[Fold, ...], subjects: int) -> list[Violation]:
    """One violation a fold whose training part is no larger than what is to be drawn from it."""
    detail = "{} subjects or groups to learn from, {} are to be drawn: ask for fewer, or for all"
    return [
        Violation(f"fold-{fold.fold}", "too few subjects to draw from", detail.format(len(fold.train), subjects))
        for fold in folds
        if len(fold.train) < subjects
    ]


def _too_few(manifest: pd.DataFrame, config: SplitConfig) -> list[Violation]:
    """One violation a diagnosis that cannot have a group in every part."""
    found = []
    for diagnosis in DIAGNOSES:
        count = manifest.loc[manifest["diagnosis"] == diagnosis, "group"].nunique()
        if count < config.folds_drawn:
            advice = f"add {config.folds_drawn - count} more"
            if count >= 2:
                advice += f", or set folds_drawn to {count}"
            detail = (
                f"{count} with this diagnosis (subjects, or duplicate groups where subjects are unknown), "
                f"{config.folds_drawn} needed to have one in each of {config.folds_drawn} parts: {advice}"
            )
            found.append(Violation(diagnosis, "too few subjects to split", detail))
    return found
