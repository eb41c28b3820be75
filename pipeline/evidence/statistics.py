"""How sure are we? Scores with intervals from a bootstrap over subjects, paired differences, and the verdict.

The unit is the group (a subject, or the duplicates that stand in for one): slices of one head rise and fall
together, and folds and seeds are no cases at all. Probabilities of one slice are scored seed by seed and the
scores averaged. The interval is over subjects; the noise of training is averaged over seeds, not part of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from data_contracts.manifest import DIAGNOSES, TUMOUR
from data_contracts.results import Estimate, Verdict
from data_contracts.violations import Violation, require

Floats = NDArray[np.float64]
THRESHOLD: Final = 0.5  # probability from which a slice is called tumour; never tuned
LEVEL: Final = 0.95
POWER: Final = 0.80
# below this many groups of a diagnosis an interval says more about the bootstrap than about the arms
FEWEST_GROUPS: Final = 5
METRICS: Final = ("balanced_accuracy", "accuracy", "auc", "sensitivity", "specificity")
CASE: Final = ("fold", "slice_id", "group", "diagnosis")


@dataclass(frozen=True)
class Counts:
    """What one arm gets right, by group (G,), as means over seeds; or, for `total`, all there is to get right.

    tumour, no_tumour: slices of the diagnosis. pairs (G, G): a tumour slice of the row's group and a no-tumour
    slice of the column's group, tested by the same model, in the right order (half for a tie).
    """

    tumour: Floats
    no_tumour: Floats
    pairs: Floats


@dataclass(frozen=True)
class Study:
    """All predictions, counted: the groups tested, what there was to get right, and what each arm got right."""

    groups: tuple[str, ...]
    n_slices: int
    n_seeds: int
    total: Counts
    arms: Mapping[str, Counts]


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
    return predictions.set_index(keys)["probability"].unstack(["arm", "seed"]).sort_index()  # noqa: PD010 - pivot_table would average


def count(predictions: pd.DataFrame) -> Study:
    """Count what each arm gets right.

    predictions: a row a fold, arm, seed and test slice, with columns fold, arm, seed, slice_id, group, diagnosis,
    probability (of tumour). Raises ContractError where `check_predictions` finds a violation.
    """
    require(check_predictions(predictions))
    table = _aligned(predictions)
    cases = table.index.to_frame(index=False)
    group, names = pd.factorize(cases["group"], sort=True)
    tumour, fold = (cases["diagnosis"] == TUMOUR).to_numpy(), cases["fold"].to_numpy()
    perfect = tumour[:, None].astype(float)
    by_arm = {str(arm): table[arm].to_numpy(float) for arm in table.columns.unique("arm")}
    return Study(
        groups=tuple(str(name) for name in names),
        n_slices=int(cases["slice_id"].nunique()),
        n_seeds=predictions["seed"].nunique(),
        total=_count_arm(perfect, tumour, group, fold),
        arms={arm: _count_arm(probabilities, tumour, group, fold) for arm, probabilities in by_arm.items()},
    )


def _count_arm(
    probabilities: Floats, tumour: NDArray[np.bool_], group: NDArray[np.int64], fold: NDArray[np.int64]
) -> Counts:
    """probabilities (cases, seeds); tumour, group, fold (cases,)."""
    member = (group[:, None] == np.arange(group.max() + 1)).astype(float)  # cases x groups
    right = ((probabilities >= THRESHOLD) == tumour[:, None]).mean(1)
    pairs = np.zeros((member.shape[1], member.shape[1]))
    for tested in (fold == f for f in np.unique(fold)):
        positive, negative = tested & tumour, tested & ~tumour
        ordered = np.zeros((positive.sum(), negative.sum()))
        for p in probabilities.T:
            ordered += (np.sign(p[positive, None] - p[None, negative]) + 1) / 2
        pairs += member[positive].T @ ordered @ member[negative]
    return Counts(
        right @ (member * tumour[:, None]), right @ (member * ~tumour[:, None]), pairs / probabilities.shape[1]
    )


def strata(total: Counts) -> list[NDArray[np.int64]]:
    """Groups by what they hold: tumour only, no tumour only, both. Members of each stratum that is not empty."""
    kind = 2 * (total.tumour > 0) + (total.no_tumour > 0)
    return [np.flatnonzero(kind == k) for k in np.unique(kind)]


def resample(*, total: Counts, draws: int, rng: np.random.Generator) -> Floats:
    """Weights of the groups in each bootstrap resample: (draws, G).

    Of each stratum of n groups n - 1 are drawn and weighted n / (n - 1) (Rao and Wu 1988): unlike n of n, this
    does not understate the variance of few groups, and no resample loses a diagnosis. A stratum of one group
    is always there as it is.
    """
    weights = np.ones((draws, len(total.tumour)))
    for members in strata(total):
        n = len(members)
        if n > 1:
            weights[:, members] = rng.multinomial(n - 1, np.full(n, 1 / n), size=draws) * (n / (n - 1))
    return weights


def scores(*, right: Counts, total: Counts, weights: Floats) -> dict[str, Floats]:
    """Every metric of METRICS under each row of group weights (B, G): arrays (B,), fractions in [0, 1].

    The area under the ROC curve is the share of ordered pairs within folds, for the probabilities of different
    models do not compare (Parker et al. 2007). A resample without any such pair orders nothing: 0.5, a coin.
    """
    sensitivity = (weights @ right.tumour) / (weights @ total.tumour)
    specificity = (weights @ right.no_tumour) / (weights @ total.no_tumour)
    ordered, pairs = (((weights @ counts.pairs) * weights).sum(1) for counts in (right, total))
    return {
        "balanced_accuracy": (sensitivity + specificity) / 2,
        "accuracy": (weights @ (right.tumour + right.no_tumour)) / (weights @ (total.tumour + total.no_tumour)),
        "auc": np.divide(ordered, pairs, out=np.full(len(weights), 0.5), where=pairs > 0),
        "sensitivity": sensitivity,
        "specificity": specificity,
    }


@dataclass(frozen=True)
class Bootstrap:
    """One study with its resamples: the same for every arm, so that differences are paired."""

    study: Study
    weights: Floats  # (B, G)

    def _both(self, arm: str, metric: str) -> tuple[float, Floats]:
        right, total = self.study.arms[arm], self.study.total
        point = scores(right=right, total=total, weights=np.ones((1, len(self.study.groups))))[metric]
        return float(point[0]), scores(right=right, total=total, weights=self.weights)[metric]

    @property
    def degrees_of_freedom(self) -> int:
        return max(1, len(self.study.groups) - len(strata(self.study.total)))

    def estimate(self, arm: str, metric: str) -> Estimate:
        """One arm's metric with its 95 % interval."""
        point, replicates = self._both(arm, metric)
        low, high = self._interval(point, replicates)
        return Estimate(estimate=point, low=max(0.0, low), high=min(1.0, high))

    def difference(self, arm: str, reference: str, metric: str) -> tuple[Estimate, float]:
        """Arm minus reference with its 95 % interval, and the minimum detectable effect.

        That is (1.96 + 0.84) standard errors of this difference: a true difference so large is found, two-sided
        at 5 %, in 80 % of repetitions of the study.
        """
        ours, theirs = self._both(arm, metric), self._both(reference, metric)
        point, replicates = ours[0] - theirs[0], ours[1] - theirs[1]
        low, high = self._interval(point, replicates)
        error = float(replicates.std(ddof=1)) or unseen_change(len(self.study.groups))
        effect = float(stats.norm.ppf((1 + LEVEL) / 2) + stats.norm.ppf(POWER)) * error
        return Estimate(estimate=point, low=max(-1.0, low), high=min(1.0, high)), effect

    def _interval(self, point: float, replicates: Floats) -> tuple[float, float]:
        """Percentiles, widened as t is wider than the normal with few groups (Hesterberg 2015).

        Where no resample differs, nothing was seen to vary; that is not certainty, and Agresti and Min's (2005)
        error of one unseen change in n + 2 groups takes the place of none.
        """
        if np.ptp(replicates) < 1e-12:
            width = float(stats.norm.ppf((1 + LEVEL) / 2)) * unseen_change(len(self.study.groups))
            return point - width, point + width
        tail = float(stats.norm.cdf(-stats.t.ppf((1 + LEVEL) / 2, self.degrees_of_freedom)))
        low, high = np.quantile(replicates, [tail, 1 - tail])
        return float(low), float(high)

    def enough_groups(self) -> bool:
        """Whether each diagnosis is tested in enough groups for any verdict."""
        total = self.study.total
        return min(int((total.tumour > 0).sum()), int((total.no_tumour > 0).sum())) >= FEWEST_GROUPS


def unseen_change(n_groups: int) -> float:
    """Standard error left to a difference when none was seen in n groups (Agresti and Min 2005)."""
    return 1 / (n_groups + 2)


def bootstrap(*, predictions: pd.DataFrame, draws: int, rng: np.random.Generator) -> Bootstrap:
    """Count the predictions (see `count`) and draw the resamples."""
    study = count(predictions)
    return Bootstrap(study, resample(total=study.total, draws=draws, rng=rng))


def verdict(
    *, to_reference: Estimate, to_duplicates: Estimate, margin: float, n_groups: int, enough_groups: bool
) -> Verdict:
    """Say in one word what the primary difference (to the reference arm) shows.

    gain: the whole interval is above 0, against the reference and against mere duplicates. harm: all of it is
    below 0. equivalent: it lies inside +- margin, with so many groups that this is knowledge and not luck: one
    unseen change must fit inside the margin too. Else, or with too few groups of a diagnosis, there is not
    enough evidence.
    """
    if not enough_groups:
        return "insufficient_evidence"
    if to_reference.low > 0 and to_duplicates.low > 0:
        return "gain"
    if to_reference.high < 0:
        return "harm"
    within = -margin <= to_reference.low and to_reference.high <= margin
    return "equivalent" if within and 1.96 * unseen_change(n_groups) <= margin else "insufficient_evidence"
