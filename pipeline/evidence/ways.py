"""How best to learn from synthetic slices beside real ones: ways of the same length, one chosen on inner folds.

Every way has the same steps, batches of both diagnoses, first weights and learning rates; only which slices a batch
is drawn from, and what they weigh, differs. The choice is made within the training part, by real slices of groups
that were kept aside, so that it costs no test slice.
"""

from collections.abc import Callable
from typing import Final, Self, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from data_contracts.manifest import DIAGNOSES
from data_contracts.results import Way, WayTried
from data_contracts.splits import strata
from pipeline.evidence.arms import FoldData, Labels
from pipeline.evidence.classifier import POOLED, Schedule, predict_logits
from pipeline.evidence.classifier_networks import Classifier

WAYS: Final[tuple[Way, ...]] = get_args(Way)
Learner = Callable[[FoldData, Way, int], Classifier]


class WaysConfig(BaseModel):
    """What the ways leave open, fixed beforehand, and how one is chosen among those tried."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    tried: tuple[Way, ...] = WAYS
    inner_folds: int = Field(3, ge=2)
    pretrain_share: float = Field(0.5, gt=0, lt=1)  # of the steps, on added slices alone
    weight: float = Field(0.5, ge=0)  # of an added slice's loss where they are weighed

    @model_validator(mode="after")
    def _has_mix(self) -> Self:
        if "mix" not in self.tried or len(set(self.tried)) != len(self.tried):
            raise ValueError(f"tried: want each way once, and mix among them, not {self.tried}")
        return self


class Choice(BaseModel):
    """The ways tried in one fold; none where nothing could be tried."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    tried: tuple[WayTried, ...]

    @property
    def way(self) -> Way:
        """The chosen one; `mix` where none was tried."""
        return next((tried.way for tried in self.tried if tried.chosen), "mix")


def schedule(way: Way, *, steps: int, config: WaysConfig) -> Schedule:
    """What a way means step by step.

    `pretrain`: added slices alone, then real ones alone, under the one learning rate cycle that all trainings have: a
    cycle for each half would be another tuning, and its second peak would undo what the first half learned. `weigh`:
    pooled, the loss of added slices times a weight. `curriculum` (Bengio et al. 2009): the share of added slices in a
    batch falls in a straight line from 1 at the first step to 0 at the last. `mix` is pooled, and so is `balance`,
    whose dose alone is another (`arms.dose`).
    """
    match way:
        case "pretrain":
            first = min(steps, max(1, round(config.pretrain_share * steps)))
            return Schedule(share=(1.0,) * first + (0.0,) * (steps - first))
        case "curriculum":
            return Schedule(share=tuple(np.linspace(1, 0, steps).tolist()))
        case "weigh":
            return Schedule(weight=config.weight)
        case "mix" | "balance":
            return POOLED


def choose_way(
    *,
    data: FoldData,
    learn: Learner,
    config: WaysConfig,
    rng: np.random.Generator,
    progress: Callable[[], None] | None = None,
) -> tuple[WayTried, ...]:
    """Try every way on inner folds of a fold's training part and mark the best as chosen; a tie goes to `mix`.

    The training groups, of each stratum of `strata` alike, are dealt to inner folds. learn(left, way, i) trains one
    classifier from what inner fold i leaves: `left` holds no test slice, no slice of the groups kept aside, and no
    synthetic image that contains one of theirs (`data.sources`). Where sources are None every synthetic image stays,
    as it does for find_temperature: the generators saw all groups, equally for every way, so the figures flatter all
    ways and may favour those that lean on synthetic slices; nothing else reads them. A way is judged by balanced
    accuracy at 0.5 on the real slices kept aside, mean over inner folds. Inner folds that lack a diagnosis on either
    side, or in the synthetic images left, are passed over, equally for every way; () where none remains. `balance` is
    not tried with painted slices (those with sources): it adds one diagnosis alone, so that having been painted would
    tell the diagnosis. progress() counts trainings, passed over or not.
    """
    offered = [way for way in config.tried if way != "balance" or data.sources is None]
    parts = inner_folds(groups=data.real_groups, diagnoses=data.real_diagnoses, count=config.inner_folds, rng=rng)
    scores: dict[Way, list[float]] = {way: [] for way in offered}
    judged = 0
    for index, groups in enumerate(parts):
        aside = data.real_groups.isin(groups).to_numpy()
        left = data.without(groups)
        usable = _has_all(data.real_diagnoses[aside]) and _has_all(left.real_diagnoses)
        usable = usable and all(len(left.synthetic[name]) for name in DIAGNOSES)
        judged += len(groups) if usable else 0
        for way in config.tried:
            if usable and way in scores:
                logits = predict_logits(learn(left, way, index), data.real[aside])
                scores[way].append(balanced_accuracy(logits, data.real_diagnoses[aside]))
            if progress:
                progress()
    if not judged:
        return ()
    means = {way: float(np.mean(found)) for way, found in scores.items()}
    best = max(offered, key=lambda way: (means[way], way == "mix"))
    return tuple(
        WayTried(fold=data.fold.fold, way=way, balanced_accuracy=mean, n_groups=judged, chosen=way == best)
        for way, mean in means.items()
    )


def inner_folds(
    *, groups: pd.Series, diagnoses: Labels, count: int, rng: np.random.Generator
) -> tuple[frozenset[str], ...]:
    """Groups of each inner fold, all groups once: of each stratum dealt in turn, those of about as many slices apart.

    groups, diagnoses (N,): of the training slices. Fewer folds than `count` where there are fewer groups.
    """
    names = pd.Series([DIAGNOSES[d] for d in diagnoses], index=groups.index)
    sizes = groups.value_counts()
    dealt: list[str] = []
    for stratum in strata(groups, names):
        order = rng.permutation(stratum)
        dealt += list(order[np.argsort(-sizes[order].to_numpy(), kind="stable")])
    return tuple(frozenset(dealt[start::count]) for start in range(min(count, len(dealt))))


def balanced_accuracy(logits: NDArray[np.float64], diagnoses: Labels) -> float:
    """Mean over both diagnoses of the share called what it is; logits (n,) of tumour, diagnoses (n,) of both kinds."""
    called = (logits >= 0).astype(np.int64)
    return float(np.mean([(called[diagnoses == d] == d).mean() for d in range(len(DIAGNOSES))]))


def _has_all(diagnoses: Labels) -> bool:
    return set(diagnoses.tolist()) == set(range(len(DIAGNOSES)))
