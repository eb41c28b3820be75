"""What one arm scores on the real test slices, under any weights of the groups: a resample is a row of weights.

Every measure is a quotient of sums over models (a fold and a seed): what the model got over all there was to get.
Probabilities of different models never meet: orders, thresholds and bins are taken model by model, and the models of
one fold averaged.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data_contracts.manifest import DIAGNOSES, TUMOUR
from data_contracts.violations import Violation, require

Floats = NDArray[np.float64]
Places = NDArray[np.int64]
THRESHOLD: Final = 0.5  # probability from which a slice is called tumour; never tuned
BINS: Final = 10  # of the calibration error, equally wide
# where an ROC curve is read: denser where it bends, and where a clinic would work
ROC_RATES: Final = (0.01, 0.02, 0.05, 0.10, 0.15, 0.20, 0.25, 0.30, 0.40, 0.50, 0.60, 0.70, 0.80, 0.90)
NEAR: Final = 1e-3  # rates of false alarms no farther apart are one
CASE: Final = ("fold", "slice_id", "group", "diagnosis")
METRICS: Final = (
    "balanced_accuracy",
    "accuracy",
    "auc",
    "sensitivity",
    "specificity",
    "sensitivity_at_specificity",
    "ppv",
    "npv",
    "brier",
    "calibration_error",
)


@dataclass(frozen=True)
class Setting:
    """Where two of the measures are taken: specificity in (0, 1), prevalence of tumour in (0, 1)."""

    at_specificity: float = 0.90
    prevalence: float = 0.10  # nearer to patients sent for a scan than one half, which flatters the PPV

    def __post_init__(self) -> None:
        if not (0 < self.at_specificity < 1 and 0 < self.prevalence < 1):
            raise ValueError(f"at_specificity and prevalence must lie between 0 and 1: {self}")


@dataclass(frozen=True)
class Tested:
    """The test slices of one fold: `groups` (g,) places in `Study.groups`, `member` (n, g) 0 or 1, `tumour` (n,)."""

    groups: Places
    member: Floats
    tumour: NDArray[np.bool_]


@dataclass(frozen=True)
class Study:
    """All predictions: the groups tested, their slices (G,) of each diagnosis, and each arm's probabilities by fold."""

    groups: tuple[str, ...]
    n_slices: int
    n_seeds: int
    tumour: Floats
    no_tumour: Floats
    folds: tuple[Tested, ...]
    arms: Mapping[str, tuple[Floats, ...]]  # a fold each: (n, seeds)


@dataclass(frozen=True)
class Sums:
    """What each model got (B, folds, seeds, k) of what there was (B, folds, k), under B rows of group weights."""

    got: Floats
    of: Floats

    def quotient(self) -> Floats:
        """(B, k): over all folds, seeds averaged; NaN where a resample holds nothing to get."""
        return _divide(self.got.mean(2).sum(1), self.of.sum(1))

    def quotient_by_model(self) -> Floats:
        """(B, folds, seeds, k): the same where one fold is left to one seed alone."""
        mean = self.got.mean(2)
        alone = mean.sum(1)[:, None, None] + self.got - mean[:, :, None]
        return _divide(alone, self.of.sum(1)[:, None, None])

    def without_each_fold(self) -> Floats:
        """(B, folds, k): over all folds but one."""
        got = self.got.mean(2)
        return _divide(got.sum(1)[:, None] - got, self.of.sum(1)[:, None] - self.of)

    def with_each_fold_of(self, other: "Sums") -> Floats:
        """(B, folds, k): one fold as it is in `other` (B rows), all others as they are here (one row)."""
        got, there = self.got.mean(2), other.got.mean(2)
        return _divide(
            got.sum(1)[:, None] - got + there,
            self.of.sum(1)[:, None] - self.of + other.of,
        )

    def fold_shares(self) -> Floats:
        """Each fold's share (folds,) of what there was to get, mean over k; of the first row."""
        shares: Floats = (self.of[0] / self.of[0].sum(0)).mean(-1)
        return shares


def _divide(got: Floats, of: Floats) -> Floats:
    quotient: Floats = np.divide(got, of, out=np.full(np.broadcast(got, of).shape, np.nan), where=of > 0)
    return quotient


def check_predictions(predictions: pd.DataFrame) -> list[Violation]:
    """Each arm and seed predicts the same slices once, with probabilities, in folds that hold both diagnoses."""
    if predictions.empty:
        return [Violation("predictions", "empty", "no predictions")]
    found = []
    if predictions.duplicated([*CASE[:2], "arm", "seed"]).any():
        found.append(Violation("predictions", "unique", "a slice is predicted twice by one fold, arm and seed"))
    elif _aligned(predictions).isna().to_numpy().any() or len(set(predictions.value_counts("arm"))) > 1:
        found.append(Violation("predictions", "complete", "arms or seeds do not share their test slices"))
    if not predictions["probability"].between(0, 1).all():
        found.append(Violation("predictions", "range", "a probability is not in [0, 1]"))
    for fold, rows in predictions.groupby("fold"):
        missing = sorted(set(DIAGNOSES) - set(rows["diagnosis"]))
        if missing:
            found.append(Violation(f"fold-{fold}", "diagnosis missing in test", ", ".join(missing)))
    return found


def _aligned(predictions: pd.DataFrame) -> pd.DataFrame:
    """Probabilities, a row a tested slice and a column an arm and seed; null where one is missing."""
    keys = [*CASE, "arm", "seed"]
    table = predictions.set_index(keys)["probability"].unstack(["arm", "seed"])  # noqa: PD010 - pivot_table would average
    return table.sort_index(axis=0).sort_index(axis=1)


def count(predictions: pd.DataFrame) -> Study:
    """Sort the predictions by arm, fold, seed and group.

    predictions: a row a fold, arm, seed and test slice, with columns fold, arm, seed, slice_id, group, diagnosis,
    probability (of tumour at equal prevalence). Raises ContractError where `check_predictions` finds a violation.
    """
    require(check_predictions(predictions))
    table = _aligned(predictions)
    cases = table.index.to_frame(index=False)
    group, names = pd.factorize(cases["group"], sort=True)
    tumour, fold = (cases["diagnosis"] == TUMOUR).to_numpy(), cases["fold"].to_numpy()
    rows = [np.flatnonzero(fold == f) for f in np.unique(fold)]
    by_arm = {str(arm): table[arm].to_numpy(float) for arm in table.columns.unique("arm")}
    return Study(
        groups=tuple(str(name) for name in names),
        n_slices=int(cases["slice_id"].nunique()),
        n_seeds=predictions["seed"].nunique(),
        tumour=np.bincount(group[tumour], minlength=len(names)).astype(float),
        no_tumour=np.bincount(group[~tumour], minlength=len(names)).astype(float),
        folds=tuple(tested(group[at], tumour[at]) for at in rows),
        arms={arm: tuple(probabilities[at] for at in rows) for arm, probabilities in by_arm.items()},
    )


def tested(group: Places, tumour: NDArray[np.bool_]) -> Tested:
    """The test slices of one fold, from the place of each one's group (n,) and whether it shows a tumour (n,)."""
    groups = np.unique(group)
    return Tested(groups, (group[:, None] == groups).astype(float), tumour)


def by_diagnosis(fold: Tested, credit: Floats) -> Floats:
    """Credit (n, seeds) of each slice, summed by group and diagnosis: (g, seeds, 2), tumour first."""
    sides = [fold.member.T @ (credit * side[:, None]) for side in (fold.tumour, ~fold.tumour)]
    return np.stack(sides, axis=-1)


def roc_rates(setting: Setting) -> tuple[float, ...]:
    """Shares of false alarms at which an ROC curve is read; that of `sensitivity_at_specificity` is one of them."""
    at = 1 - setting.at_specificity
    return tuple(sorted({at, *(rate for rate in ROC_RATES if abs(rate - at) > NEAR)}))


def right(fold: Tested, probability: Floats) -> Floats:
    """1 where a slice is called what it is (n, seeds); a probability of just THRESHOLD calls it tumour."""
    is_right: Floats = ((probability >= THRESHOLD) == fold.tumour[:, None]).astype(float)
    return is_right


def squared_error(fold: Tested, probability: Floats) -> Floats:
    """(n, seeds) in [0, 1] (Brier 1950)."""
    error: Floats = (probability - fold.tumour[:, None]) ** 2
    return error


def confidence(_: Tested, probability: Floats) -> Floats:
    """Probability of what a slice is called (n, seeds) in [0.5, 1]."""
    sure: Floats = np.maximum(probability, 1 - probability)
    return sure


def overconfidence(fold: Tested, probability: Floats) -> Floats:
    """How much surer a slice is called than it is right (n, seeds) in [-0.5, 1] (Guo et al. 2017)."""
    return confidence(fold, probability) - right(fold, probability)


def _additive(credit: Callable[[Tested, Floats], Floats]) -> Callable[..., tuple[Floats, Floats]]:
    """A measure that is a sum over slices, of each diagnosis by itself: got (B, seeds, 2), of (B, 2)."""

    def sums(fold: Tested, probability: Floats, weights: Floats, _: Setting) -> tuple[Floats, Floats]:
        there = by_diagnosis(fold, np.ones((len(fold.tumour), 1)))[:, 0]
        return np.tensordot(weights, by_diagnosis(fold, credit(fold, probability)), axes=1), weights @ there

    return sums


def _ordered(fold: Tested, probability: Floats, weights: Floats, _: Setting) -> tuple[Floats, Floats]:
    """Pairs of a tumour and a no-tumour slice in the right order, half for a tie; of all pairs of the fold.

    Only pairs of one fold, for the probabilities of different models do not compare (Parker et al. 2007).
    """
    positive, negative = fold.member[fold.tumour], fold.member[~fold.tumour]
    got = []
    for p in probability.T:
        order = (np.sign(p[fold.tumour, None] - p[None, ~fold.tumour]) + 1) / 2
        got.append(((weights @ (positive.T @ order @ negative)) * weights).sum(1))
    pairs = (weights @ positive.sum(0)) * (weights @ negative.sum(0))
    return np.stack(got, 1)[..., None], pairs[:, None]


def _found_at(rates: Sequence[float], fold: Tested, probability: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Tumour slices found when this share of the fold's own no-tumour slices is called tumour, for each of the rates.

    The threshold is the model's own, found anew in each resample. The ROC curve is read at just that rate, on
    straight lines between its corners, as if chance called the slices that lie on the threshold (Fawcett 2006): so
    ties need no rule, and few no-tumour slices do not force a stricter threshold than was asked for. A resample in
    which a fold has no no-tumour slice says nothing of that fold. rates: k shares in (0, 1); got (B, seeds, k).
    """
    negative = weights @ fold.member[~fold.tumour].sum(0)
    row = np.arange(len(weights))
    found = []
    for p in probability.T:
        levels = np.unique(p[~fold.tumour])[::-1]  # thresholds at which a no-tumour slice more is called tumour
        called = fold.member[~fold.tumour].T @ (p[~fold.tumour, None] >= levels)
        from_level = fold.member[fold.tumour].T @ (p[fold.tumour, None] >= levels)
        above_level = fold.member[fold.tumour].T @ (p[fold.tumour, None] > levels)
        false = weights @ called  # (B, levels), rising
        of_model = []
        for rate in rates:
            allowed = rate * negative
            crossed = np.minimum((false <= allowed[:, None] * (1 + 1e-9)).sum(1), len(levels) - 1)
            before = np.where(crossed > 0, false[row, crossed - 1], 0.0)
            share = np.clip(_divide(allowed - before, false[row, crossed] - before), 0, 1)
            low, high = ((weights * of.T[crossed]).sum(1) for of in (above_level, from_level))
            of_model.append(low + np.nan_to_num(share) * (high - low))
        found.append(np.stack(of_model, 1))
    there = (weights @ fold.member[fold.tumour].sum(0)) * (negative > 0)
    got = np.stack(found, 1) * (negative > 0)[:, None, None]
    return got, np.repeat(there[:, None], len(rates), axis=1)


def _found_at_specificity(
    fold: Tested, probability: Floats, weights: Floats, setting: Setting
) -> tuple[Floats, Floats]:
    return _found_at([1 - setting.at_specificity], fold, probability, weights)


def _roc(fold: Tested, probability: Floats, weights: Floats, setting: Setting) -> tuple[Floats, Floats]:
    return _found_at(roc_rates(setting), fold, probability, weights)


def bins(probability: Floats) -> Places:
    """The place of each probability's bin, 0 to BINS - 1; one of just 1 lies in the last."""
    places: Places = np.minimum((probability * BINS).astype(np.int64), BINS - 1)
    return places


def _calibration(fold: Tested, probability: Floats, weights: Floats, _: Setting) -> tuple[Floats, Floats]:
    """Distance of mean probability and share of tumour in each of BINS bins, a model counting by its test slices.

    Both diagnoses weigh one half (Naeini et al. 2015 for the bins). Upwards of the truth by more the fewer slices a
    model is tested on. A resample in which a fold lacks a diagnosis says nothing of that fold.
    """
    positive, negative = ((weights @ fold.member[side].sum(0))[:, None] for side in (fold.tumour, ~fold.tumour))
    errors = []
    for p in probability.T:
        inside = (bins(p)[:, None] == np.arange(BINS)).astype(float)
        excess = inside * (p - fold.tumour)[:, None]
        sides = [weights @ (fold.member[side].T @ excess[side]) for side in (fold.tumour, ~fold.tumour)]
        errors.append(np.abs(np.nan_to_num(_divide(sides[0], positive) + _divide(sides[1], negative)) / 2).sum(1))
    size = (positive + negative) * ((positive > 0) & (negative > 0))
    return (np.stack(errors, 1) * size)[..., None], size


def _predictive(rates: Floats, setting: Setting, *, positive: bool) -> Floats:
    """PPV or NPV by Bayes' rule from sensitivity and specificity; what the prevalence says where nothing is called."""
    sensitivity, specificity = rates[..., 0], rates[..., 1]
    prevalence = setting.prevalence if positive else 1 - setting.prevalence
    true, false = (sensitivity, 1 - specificity) if positive else (specificity, 1 - sensitivity)
    called = true * prevalence + false * (1 - prevalence)
    value: Floats = np.divide(true * prevalence, called, out=np.full(called.shape, prevalence), where=called != 0)
    return value


SUMS: Final[Mapping[str, Callable[[Tested, Floats, Floats, Setting], tuple[Floats, Floats]]]] = {
    "right": _additive(right),
    "squared_error": _additive(squared_error),
    "ordered": _ordered,
    "found_at_specificity": _found_at_specificity,
    "calibration": _calibration,
    "roc": _roc,
    "confidence": _additive(confidence),
    "overconfidence": _additive(overconfidence),
}
KIND: Final[Mapping[str, str]] = {
    "auc": "ordered",
    "brier": "squared_error",
    "sensitivity_at_specificity": "found_at_specificity",
    "calibration_error": "calibration",
}  # what a measure is made of; all others of what is right
JUMPING: Final = frozenset({"found_at_specificity", "roc"})  # read at a quantile of the probabilities


def sums(kind: str, *, study: Study, arm: str, weights: Floats, setting: Setting) -> Sums:
    """What the models of one arm got, of `kind` (a key of SUMS), under each row of group weights (B, G)."""
    found = [
        SUMS[kind](fold, probability, weights[:, fold.groups], setting)
        for fold, probability in zip(study.folds, study.arms[arm], strict=True)
    ]
    return Sums(np.stack([got for got, _ in found], 1), np.stack([of for _, of in found], 1))


def measure(metric: str, rates: Floats, *, share: Floats | float, setting: Setting) -> Floats:
    """One of METRICS from quotients (..., k) of its kind; share (...) of test slices that show a tumour."""
    match metric:
        case "balanced_accuracy" | "brier":
            mean: Floats = rates.mean(-1)
            return mean
        case "accuracy":
            return share * rates[..., 0] + (1 - share) * rates[..., 1]
        case "specificity":
            return rates[..., 1]
        case "ppv" | "npv":
            return _predictive(rates, setting, positive=metric == "ppv")
        case "sensitivity" | "auc" | "sensitivity_at_specificity" | "calibration_error":
            return rates[..., 0]
    raise ValueError(f"no such measure: {metric}; there are {', '.join(METRICS)}")


def tumour_share(study: Study, weights: Floats) -> Floats:
    """Share of test slices that show a tumour, under each row of group weights: (B,)."""
    tumour, no_tumour = sum((weights[:, fold.groups] @ _sizes(fold) for fold in study.folds), np.zeros((1, 2))).T
    share: Floats = tumour / (tumour + no_tumour)
    return share


def _sizes(fold: Tested) -> Floats:
    return by_diagnosis(fold, np.ones((len(fold.tumour), 1)))[:, 0]
