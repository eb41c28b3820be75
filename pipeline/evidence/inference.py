"""Other ways to ask whether an arm differs from its reference: sign flips, resampled t, beliefs, and many measures.

None of them decides (`statistics.verdict` does). All take the same predictions; the unit of the first is the group,
of the next two the model (a fold and a seed).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, get_args

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from data_contracts.results import Belief, Secondary, SecondaryMetric, Statistics
from pipeline.evidence.measures import Study, by_diagnosis, right
from pipeline.evidence.statistics import NOTHING, Bootstrap

Floats = NDArray[np.float64]
EXACT: Final = 14  # up to so many groups that differ, all 2^n patterns of signs are tried
FLIPS: Final = 10_000
BLOCK: Final = 4096  # patterns of signs at once
SECONDARIES: Final[tuple[SecondaryMetric, ...]] = get_args(SecondaryMetric)


def further_tests(
    drawn: Bootstrap,
    *,
    arm: str,
    reference: str,
    margin: float,
    rng: np.random.Generator,
    test_share: float,
    flips: int = FLIPS,
) -> Statistics:
    """Every further test of arm minus reference in a study whose resamples are drawn.

    margin: half the width of the region of equivalence, in (0, 1). test_share: test groups of one fold over all
    groups, n_test / (n_test + n_train) in (0, 1), so 1 / folds of a k-fold. flips: patterns of signs where there are
    too many to try all. Raises ValueError for a test_share outside its range where there are several folds.
    """
    by_model = difference_by_model(drawn, arm=arm, reference=reference)
    resampled = resampled_t(by_model.ravel(), test_share=test_share) if len(by_model) > 1 else None
    differences = [drawn.difference(arm, reference, metric)[0] for metric in SECONDARIES]
    p = [drawn.p(arm, reference, metric) for metric in SECONDARIES]
    return Statistics(
        sign_flip_p=sign_flip_p(parts_by_group(drawn.study, arm=arm, reference=reference), flips=flips, rng=rng),
        nadeau_bengio_p=resampled.p() if resampled else None,
        belief=resampled.belief(margin) if resampled else None,
        secondaries=tuple(
            Secondary(metric=metric, difference=difference, p=one, p_holm=adjusted)
            for metric, difference, one, adjusted in zip(SECONDARIES, differences, p, holm(p), strict=True)
        ),
        at_specificity=drawn.setting.at_specificity,
        prevalence=drawn.setting.prevalence,
    )


def parts_by_group(study: Study, *, arm: str, reference: str) -> Floats:
    """Each group's part (G,) of the difference in balanced accuracy, arm minus reference, which they add up to."""
    parts = np.zeros(len(study.groups))
    there = np.array(
        [sum(fold.tumour.sum() for fold in study.folds), sum((~fold.tumour).sum() for fold in study.folds)]
    )
    for fold, ours, theirs in zip(study.folds, study.arms[arm], study.arms[reference], strict=True):
        gained = by_diagnosis(fold, right(fold, ours) - right(fold, theirs)).mean(1)
        parts[fold.groups] += (gained / there / 2).sum(1)
    return parts


def sign_flip_p(parts: Floats, *, flips: int, rng: np.random.Generator) -> float:
    """Two-sided permutation p of parts (G,) that add up to nothing, each keeping or changing its sign.

    Exact with at most EXACT parts that are not 0, for the others change nothing; else from `flips` random patterns,
    the one observed counted among them (Phipson and Smyth 2010). Of these trained models: if the arms are alike in
    each group but for luck, either could have had the other's answers there. It knows nothing of a model that is
    luckier in all groups at once, so with few models and many groups it finds differences that training again
    would not.
    """
    parts = parts[np.abs(parts) > NOTHING]
    observed = abs(float(parts.sum())) - NOTHING  # patterns as far as this one, whatever the rounding
    if len(parts) <= EXACT:
        signs = 1 - 2 * ((np.arange(2 ** len(parts))[:, None] >> np.arange(len(parts))) & 1)
        return float((np.abs(signs @ parts) >= observed).mean())
    as_far = 0
    for start in range(0, flips, BLOCK):
        signs = 1 - 2 * rng.integers(0, 2, size=(min(BLOCK, flips - start), len(parts)))
        as_far += int((np.abs(signs @ parts) >= observed).sum())
    return (as_far + 1) / (flips + 1)


def difference_by_model(drawn: Bootstrap, *, arm: str, reference: str) -> Floats:
    """Difference in balanced accuracy on each model's own test slices: (folds, seeds)."""
    study = drawn.study
    found = []
    for fold, ours, theirs in zip(study.folds, study.arms[arm], study.arms[reference], strict=True):
        gained = by_diagnosis(fold, right(fold, ours) - right(fold, theirs)).sum(0)  # (seeds, 2)
        found.append((gained / [fold.tumour.sum(), (~fold.tumour).sum()]).mean(1))
    return np.stack(found)


@dataclass(frozen=True)
class ResampledT:
    """t distribution of the true difference, or of its estimate: its place, its scale, its degrees of freedom."""

    mean: float
    scale: float
    degrees_of_freedom: int

    def p(self) -> float:
        """Two-sided p of no difference (Nadeau and Bengio 2003, section 4.3)."""
        if self.scale < NOTHING:
            return 1.0 if abs(self.mean) < NOTHING else 0.0
        return float(2 * stats.t.sf(abs(self.mean) / self.scale, self.degrees_of_freedom))

    def belief(self, margin: float) -> Belief:
        """Posterior shares below, inside and above +- margin (Corani and Benavoli 2015, equation 12, flat prior)."""
        spread = stats.t(self.degrees_of_freedom, loc=self.mean, scale=max(self.scale, NOTHING))
        worse, better = float(spread.cdf(-margin)), float(spread.sf(margin))
        return Belief(worse=worse, equivalent=max(0.0, 1 - worse - better), better=better)


def resampled_t(differences: Floats, *, test_share: float) -> ResampledT:
    """Corrected resampled t of the differences of J models (J,), whose training parts overlap.

    The variance of their mean is (1/J + n_test/n_train) times theirs (Nadeau and Bengio 2003, equation 9). With the
    correlation rho = n_test / (n_test + n_train) = test_share that is (1/J + rho / (1 - rho)), the posterior of the
    correlated Bayesian t-test. Seeds of one fold share their test slices too, and count here as if they did not.
    Raises ValueError for fewer than two differences or a test_share outside (0, 1).
    """
    if len(differences) < 2 or not 0 < test_share < 1:
        raise ValueError(
            f"needs two differences and a share of test groups in (0, 1): {len(differences)}, {test_share}"
        )
    variance = float(differences.var(ddof=1)) * (1 / len(differences) + test_share / (1 - test_share))
    return ResampledT(float(differences.mean()), float(np.sqrt(variance)), len(differences) - 1)


def holm(p: Sequence[float]) -> list[float]:
    """p values adjusted for their number, step down (Holm 1979), in the order given."""
    order = np.argsort(p)
    stepped = np.asarray(p)[order] * np.arange(len(order), 0, -1)
    adjusted = np.empty(len(order))
    adjusted[order] = np.minimum(1, np.maximum.accumulate(stepped))
    return [float(one) for one in adjusted]
