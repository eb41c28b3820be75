"""Can one tell from the synthetic images alone whose scans the generator learned from?

The attacker holds the scans of some people and the synthetic set, and takes those for members whose slices have a
synthetic image oddly near (the distance attack of Chen et al. 2020, "GAN-Leaks", section 4.2). An ordinary head has
something near it whatever the generator learned, so nearness is judged against how near other real people come
(calibration: Watson et al. 2022, "On the importance of difficulty calibration in membership inference attacks").
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from data_contracts.results import Estimate
from pipeline.evidence.authenticity import Features, nearest_features

LEVEL: Final = 0.95
FEWEST_GROUPS: Final = 2  # a side: one person has no spread
SMALLEST: Final = 1e-6  # relative distance of an exact copy, whose logarithm would be infinite


def membership_auc(
    *,
    synthetic: Features,
    training: Features,
    training_groups: Sequence[str],
    held_out: Features,
    held_out_groups: Sequence[str],
    rng: np.random.Generator,
    draws: int = 2000,
) -> Estimate | None:
    """Area under the ROC curve of the attack on groups, training against held-out: 1 all told, 0.5 nothing.

    synthetic (S, D), training (N, D), held_out (M, D): features on a common scale; the groups' names, (N,) and (M,).
    The interval is a cluster bootstrap over groups, members and others apart, n - 1 of n drawn (Rao and Wu 1988),
    the percentiles widened as t with the smaller side's degrees of freedom (Hesterberg 2015). None with fewer
    than two groups on a side. Raises ValueError where a group is on both sides or there are no synthetic images.
    """
    if set(training_groups) & set(held_out_groups):
        raise ValueError("a group cannot be both trained on and held out")
    if not len(synthetic):
        raise ValueError("no synthetic images to attack with")
    sizes = len(set(training_groups)), len(set(held_out_groups))
    if min(sizes) < FEWEST_GROUPS:
        return None
    real, groups = np.concatenate([training, held_out]), [*training_groups, *held_out_groups]
    scores = group_scores(real=real, groups=groups, synthetic=synthetic)
    members = np.array([scores[name] for name in sorted(set(training_groups))])
    others = np.array([scores[name] for name in sorted(set(held_out_groups))])
    right = (np.sign(others[None, :] - members[:, None]) + 1) / 2  # the member is nearer: right; half for a tie
    estimate = float(right.mean())
    weights = [rng.multinomial(n - 1, np.full(n, 1 / n), size=draws) / (n - 1) for n in sizes]
    low, high = _interval(estimate, np.einsum("bi,ij,bj->b", weights[0], right, weights[1]), min(sizes))
    return Estimate(estimate=estimate, low=max(0.0, low), high=min(1.0, high))


def group_scores(*, real: Features, groups: Sequence[str], synthetic: Features) -> dict[str, float]:
    """How near the synthetic set comes to each group, less is nearer: the mean over its slices of a log ratio.

    That is the distance to the nearest synthetic image over the distance to the nearest real slice of another
    group. real (N, D), groups (N,), synthetic (S, D).
    """
    to_synthetic, _ = nearest_features(real, synthetic)
    to_others, _ = nearest_features(real, real, groups=groups, reference_groups=groups)
    ratio = np.log(np.maximum(to_synthetic / np.maximum(to_others, SMALLEST), SMALLEST))
    of = np.asarray(groups)
    return {str(name): float(ratio[of == name].mean()) for name in np.unique(of)}


def _interval(estimate: float, replicates: NDArray[np.float64], n: int) -> tuple[float, float]:
    """Percentiles, widened for few groups; n: groups of the smaller side.

    Where all are told apart, or none, no resample differs; that is not certainty, and the error of one unseen
    change in n + 2 groups is the least that is left (Agresti and Min 2005).
    """
    tail = float(stats.norm.cdf(-stats.t.ppf((1 + LEVEL) / 2, n - 1)))
    low, high = np.quantile(replicates, [tail, 1 - tail])
    least = float(stats.norm.ppf((1 + LEVEL) / 2)) / (n + 2)
    if high - low < 1e-12:
        return estimate - least, estimate + least
    return float(low), float(high)
