"""Can the diagnosis be told without looking at the brain? Two random forests (Breiman 2001) that try.

One is given the facts of file and header, what a careless program would learn from; the other the frame of the
normalised images, what is left of it for anything that learns here. Each is fitted on a fold's training groups and
scored on its test slices. What knows nothing reaches about a half; how far from it by luck is measured by forests
that learned from shuffled diagnoses.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import balanced_accuracy_score

from data_contracts.facts import check_facts
from data_contracts.images import ImageSpec, check_images
from data_contracts.manifest import DIAGNOSES, TUMOUR
from data_contracts.results import ShortcutScores
from data_contracts.splits import Fold, Splits, check_splits
from data_contracts.violations import Violation, require
from pipeline.evidence.statistics import THRESHOLD, bootstrap

Images = NDArray[np.float32]
Floats = NDArray[np.float64]
Labels = NDArray[np.int64]
What = Literal["file_facts", "border"]

IS_TUMOUR: Final = DIAGNOSES.index(TUMOUR)
CHANCE_QUANTILE: Final = 0.975


class ShortcutConfig(BaseModel):
    """The forests, the luck they are held against, and the frame of the image that one of them sees."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    trees: int = Field(100, ge=10)  # of the shuffled too: fewer would waver slice by slice and set the bar too low
    slices_a_tree: int = Field(2000, ge=10)  # at most, so that time grows slowly with the study
    slices_a_leaf: int = Field(3, ge=1)  # at least
    shuffles: int = Field(40, ge=20)  # that the bar is passed by luck once in 41 times
    cells: int = Field(16, ge=4)  # an image is this many cells wide and high; the outermost ones are its border
    bootstrap: int = Field(2000, ge=100)
    telling: int = Field(5, ge=1)  # features named, at most


@dataclass(frozen=True)
class Features:
    """What a forest may look at: (N, D), NaN where unknown, and for each column the thing that it is part of."""

    table: Floats
    names: tuple[str, ...]


def fact_features(facts: pd.DataFrame) -> Features:
    """Facts (see data_contracts.facts) as numbers, words as one column a word.

    NaN stays NaN: the trees of scikit-learn split on "unknown" as on any other value.
    """
    columns, names = [], []
    for name in facts.columns.drop("slice_id"):
        numeric = pd.api.types.is_numeric_dtype(facts[name])
        told = facts[[name]].astype(float) if numeric else pd.get_dummies(facts[name], dtype=float)
        columns.append(told.to_numpy(float))
        names += [name] * told.shape[1]
    return Features(np.concatenate(columns, axis=1), tuple(names))


def border_features(images: Images, *, cells: int) -> Features:
    """Mean and standard deviation of each cell of the border, the corners included.

    images: float32 (N, 1, S, S) in [-1, 1]. The image is cut into cells x cells cells (or one a pixel, where it has
    fewer) and the outermost ones, S / cells pixels wide, are the border: nothing further inside is looked at. Cells
    are named by where they lie, as `top 3 of 16` or `bottom left corner`.
    """
    side = images.shape[-1]
    cells = min(cells, side)
    edges = np.linspace(0, side, cells + 1).round().astype(int)
    columns, names = [], []
    for row in range(cells):
        for column in range(cells):
            if not {row, column} & {0, cells - 1}:
                continue
            cell = images[:, 0, edges[row] : edges[row + 1], edges[column] : edges[column + 1]].astype(np.float64)
            columns += [cell.mean((1, 2)), cell.std((1, 2))]
            names += [_place(row, column, cells)] * 2
    return Features(np.stack(columns, axis=1), tuple(names))


def _place(row: int, column: int, cells: int) -> str:
    vertical = {0: "top", cells - 1: "bottom"}.get(row)
    horizontal = {0: "left", cells - 1: "right"}.get(column)
    if vertical and horizontal:
        return f"{vertical} {horizontal} corner"
    return f"{vertical or horizontal} {(column if vertical else row) + 1} of {cells}"


def audit(
    *,
    facts: pd.DataFrame,
    images: Callable[[int], Images],
    manifest: pd.DataFrame,
    splits: Splits,
    config: ShortcutConfig,
    seed: int,
) -> tuple[ShortcutScores, ShortcutScores]:
    """Score what file facts and what the image border tell of the diagnosis.

    facts: a row a slice of the manifest, in any order. images(fold): normalised, float32 (N, 1, S, S) in [-1, 1] in
    the manifest's order (the `__getitem__` of a mapping will do). manifest: real slices. Returns the scores of
    `file_facts`, then of `border`: balanced accuracy over the test slices of all folds with its interval from the
    cluster bootstrap over groups, and the 97.5 % quantile of forests that learned from shuffled diagnoses.
    `telling` goes by the mean decrease in impurity, averaged over folds, added up over the columns of one thing; it
    favours numbers of many values, so it points at where to look and proves nothing.
    Raises ContractError where facts, splits, manifest or images break their contracts.
    """
    require([*check_splits(splits, manifest), *_check_rows(facts, manifest)])
    told = fact_features(facts.set_index("slice_id", drop=False).loc[manifest["slice_id"]].reset_index(drop=True))

    def seen(fold: int) -> Features:
        stack = images(fold)
        if len(stack) != len(manifest):
            require([Violation(f"fold-{fold}", "rows", f"{len(stack)} images, {len(manifest)} in the manifest")])
        require(check_images(stack, ImageSpec(size=stack.shape[-1]), f"fold-{fold} real"))
        return border_features(stack, cells=config.cells)

    fact_seed, border_seed = np.random.SeedSequence(seed).spawn(2)
    score = partial(_score, manifest=manifest, splits=splits, config=config)
    return (
        score(what="file_facts", features=lambda _: told, seed=fact_seed),
        score(what="border", features=seen, seed=border_seed),
    )


def _check_rows(facts: pd.DataFrame, manifest: pd.DataFrame) -> list[Violation]:
    missing = len(set(manifest["slice_id"]) - set(facts["slice_id"]))
    return [*check_facts(facts), *([Violation("facts", "missing", f"of {missing} slices")] if missing else [])]


def _score(
    *,
    what: What,
    features: Callable[[int], Features],
    manifest: pd.DataFrame,
    splits: Splits,
    config: ShortcutConfig,
    seed: np.random.SeedSequence,
) -> ShortcutScores:
    """What the forests of all folds reach on all test slices together, beside what luck reaches there."""
    draw, *fold_seeds = seed.spawn(1 + len(splits.folds))
    folds = [
        _try_fold(features(fold.fold), manifest=manifest, fold=fold, config=config, seed=fold_seed)
        for fold, fold_seed in zip(splits.folds, fold_seeds, strict=True)
    ]
    predictions = pd.concat([tried.predictions for tried in folds], ignore_index=True).assign(arm=what, seed=0)
    resampled = bootstrap(predictions=predictions, draws=config.bootstrap, rng=np.random.default_rng(draw))
    estimate = resampled.estimate(what, "balanced_accuracy")
    truth = (predictions["diagnosis"] == TUMOUR).to_numpy()
    by_luck = np.concatenate([tried.by_luck for tried in folds], axis=1) >= THRESHOLD
    chance = [balanced_accuracy_score(truth, calls) for calls in by_luck]
    chance_high = float(np.quantile(chance, CHANCE_QUANTILE, method="higher"))  # between two would be passed too often
    return ShortcutScores(
        what=what,
        n_features=len(folds[0].importances),
        n_slices=resampled.study.n_slices,
        n_subjects=len(resampled.study.groups),
        balanced_accuracy=estimate,
        chance_high=chance_high,
        suspected=estimate.low > 0.5 and estimate.estimate > chance_high,
        telling=_telling(folds[0].names, np.mean([tried.importances for tried in folds], axis=0), most=config.telling),
    )


@dataclass(frozen=True)
class _Tried:
    """One fold: a row a test slice; the importance of each column; what the shuffled say, (shuffles, test slices)."""

    predictions: pd.DataFrame
    names: tuple[str, ...]
    importances: Floats
    by_luck: Floats


def _try_fold(
    seen: Features, *, manifest: pd.DataFrame, fold: Fold, config: ShortcutConfig, seed: np.random.SeedSequence
) -> _Tried:
    train, test = (manifest["group"].isin(groups).to_numpy() for groups in (fold.train, fold.test))
    diagnoses = manifest["diagnosis"].map(DIAGNOSES.index).to_numpy(np.int64)[train]
    groups = manifest["group"].to_numpy()[train]
    known, asked = seen.table[train], seen.table[test]
    learn, *lucks = seed.spawn(1 + config.shuffles)
    probabilities, importances = _forest(known, diagnoses, asked, config=config, seed=learn)
    by_luck = []
    for luck in lucks:
        draw, learn = luck.spawn(2)
        shuffled = shuffle_diagnoses(diagnoses, groups, rng=np.random.default_rng(draw))
        by_luck.append(_forest(known, shuffled, asked, config=config, seed=learn)[0])
    rows = manifest.loc[test, ["slice_id", "group", "diagnosis"]].assign(fold=fold.fold, probability=probabilities)
    return _Tried(rows, seen.names, importances, np.stack(by_luck))


def _forest(
    known: Floats, diagnoses: Labels, asked: Floats, *, config: ShortcutConfig, seed: np.random.SeedSequence
) -> tuple[Floats, Floats]:
    """Probability of tumour for each row of `asked`, and the importance of each column; diagnoses weigh the same."""
    forest = RandomForestClassifier(
        n_estimators=config.trees,
        min_samples_leaf=config.slices_a_leaf,
        max_samples=min(len(known), config.slices_a_tree),
        class_weight="balanced_subsample",
        random_state=int(seed.generate_state(1)[0]),
    ).fit(known, diagnoses)
    # a shuffle may leave one diagnosis alone: then there is one column
    return forest.predict_proba(asked) @ (forest.classes_ == IS_TUMOUR), forest.feature_importances_


def shuffle_diagnoses(diagnoses: Labels, groups: NDArray[np.object_], *, rng: np.random.Generator) -> Labels:
    """Diagnoses (n,) dealt anew between groups (n,), each group's together, so that nothing seen tells them any more.

    Slices of one group look alike, and a forest's luck grows with that; shuffling slices one by one would break it
    and set the bar too low. So a group takes over the whole series of another, stretched to its own length. Where
    groups hold both diagnoses the series is turned by a random number of slices as well: neighbouring slices stay
    alike in diagnosis, but no longer is, say, the middle of every head a tumour.
    """
    rows = list(pd.Series(diagnoses).groupby(groups, sort=False).indices.values())
    shuffled = np.empty_like(diagnoses)
    for mine, donor in zip(rows, rng.permutation(len(rows)), strict=True):
        series = diagnoses[rows[donor]]
        stretched = series[np.arange(len(mine)) * len(series) // len(mine)]
        shuffled[mine] = np.roll(stretched, rng.integers(len(mine)))
    return shuffled


def _telling(names: Sequence[str], importances: Floats, *, most: int) -> tuple[str, ...]:
    """The things whose columns together matter most, first the strongest; none that matters nothing."""
    total = pd.Series(importances, index=list(names), dtype=float).groupby(level=0).sum()
    ordered = total[total > 0].sort_values(ascending=False, kind="stable")
    return tuple(str(name) for name in ordered.index[:most])
