"""What readers of a blind study can tell: real from synthetic slices, and the diagnosis in either.

Items are slices, half of them synthetic, of either diagnosis. Readers are fixed: every interval is over items, and
speaks of these readers alone. Items of one group (a patient) rise and fall together, and answers of several readers to
one item do too, so a share of such answers counts as one of fewer independent answers (its effective n).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

from data_contracts.results import Estimate, ReaderScores, ReaderStudy
from pipeline.evidence.statistics import wilson

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Z: Final = float(stats.norm.ppf(0.975))  # of a two-sided level of 5 %
POWER: Final = 0.80
DRAWS: Final = 4000  # bootstrap resamples
EDGE: Final = 1e-9


@dataclass(frozen=True)
class Reading:
    """Items (n,) and what each of R readers said of them, in the order of the items.

    synthetic, tumour, groups: (n,). said_synthetic, said_tumour: bool (R, n). confidence: int (R, n), 1 to 5.
    """

    synthetic: Flags
    tumour: Flags
    groups: tuple[str, ...]
    said_synthetic: Flags
    said_tumour: Flags
    confidence: NDArray[np.int64]


def score(reading: Reading, *, study: str, readers: Sequence[str], rng: np.random.Generator) -> ReaderStudy:
    """All scores of a study: by reader, of all together, and how far readers agree. readers: their names (R,)."""
    weights = resample(reading, draws=DRAWS, rng=rng)
    answers = answers_right(reading)
    of_synthetic, of_real = (
        {g for g, s in zip(reading.groups, reading.synthetic, strict=True) if s == side} for side in (True, False)
    )
    together = _scores(reading, list(range(len(readers))), reader="", auc=mean_area(reading, weights))
    return ReaderStudy(
        study=study,
        n_real=int((~reading.synthetic).sum()),
        n_synthetic=int(reading.synthetic.sum()),
        n_real_groups=len(of_real),
        n_synthetic_groups=len(of_synthetic),
        readers=tuple(
            _scores(reading, [place], reader=name, auc=area(reading, place)) for place, name in enumerate(readers)
        ),
        together=together,
        detectable_accuracy=detectable(effective_n(answers["origin"], reading.groups)),
        agreement_origin=agreement(reading.said_synthetic, reading, weights),
        agreement_diagnosis=agreement(reading.said_tumour, reading, weights),
    )


def answers_right(reading: Reading) -> dict[str, Flags]:
    """Whether each reader's answer (R, n) is right, of origin and of diagnosis."""
    return {
        "origin": reading.said_synthetic == reading.synthetic,
        "diagnosis": reading.said_tumour == reading.tumour,
    }


def _scores(reading: Reading, readers: list[int], *, reader: str, auc: Estimate) -> ReaderScores:
    right = {name: answers[readers] for name, answers in answers_right(reading).items()}
    groups = np.array(reading.groups)

    def of(answers: Flags, items: Flags) -> Estimate:
        return share(answers[:, items], tuple(groups[items]))

    everything = np.ones(len(groups), dtype=bool)
    return ReaderScores(
        reader=reader,
        accuracy=of(right["origin"], everything),
        auc=auc,
        sensitivity=of(right["origin"], reading.synthetic),
        specificity=of(right["origin"], ~reading.synthetic),
        diagnosis_real=of(right["diagnosis"], ~reading.synthetic),
        diagnosis_synthetic=of(right["diagnosis"], reading.synthetic),
    )


# --- shares ---


def share(right: Flags, groups: Sequence[str]) -> Estimate:
    """Share of right answers (R, n) with a 95 % interval: Wilson's (1927), of the effective n of `effective_n`.

    Of one reader and n items of n groups that is Wilson's interval of a binomial share.
    """
    p = float(right.mean())
    low, high = wilson(p, effective_n(right, groups))
    return Estimate(estimate=p, low=low, high=high)


def effective_n(right: Flags, groups: Sequence[str]) -> float:
    """How many independent answers know as much of their share as these (R, n), items grouped by `groups` (n,).

    One reader, each item of a group of its own: n. Else R n over the design effect, the cluster-robust variance of the
    share over that of independent answers, at least 1, and lowered as t with groups - 1 degrees of freedom is wider
    than the normal distribution (Korn and Graubard 1998). Where all answers are right, or all wrong, nothing tells how
    alike those of a group are, and each group counts as one.
    """
    names, place = np.unique(np.array(groups), return_inverse=True)
    n, p = right.size, float(right.mean())
    if len(right) == 1 and len(names) == n:
        return float(n)
    if len(names) == 1:
        return 1.0
    if p in (0.0, 1.0):
        return float(len(names))
    of_group = np.bincount(place, weights=(right - p).sum(0))
    variance = len(names) / (len(names) - 1) * float((of_group**2).sum()) / n**2
    independent = p * (1 - p) / n
    effective = n / max(1.0, variance / independent)
    return effective * float(Z / stats.t.ppf(0.975, len(names) - 1)) ** 2


def detectable(n: float) -> float | None:
    """Smallest true share above a half found in 80 % of repetitions with n independent answers, two-sided at 5 %.

    Normal approximation: z(0.975) standard errors at a half and z(0.80) at the share itself lie between the two. None
    where not even a share of 1 would be.
    """
    level, power = Z * 0.5 / np.sqrt(n), float(stats.norm.ppf(POWER)) / np.sqrt(n)
    # d = level + power sqrt(1/4 - d^2), d the distance from a half
    root = level**2 - (1 + power**2) * (level**2 - power**2 / 4)
    if root < 0 or level >= 0.5:
        return None
    distance = (level + np.sqrt(root)) / (1 + power**2)
    return float(0.5 + distance) if distance < 0.5 else None


# --- areas under the ROC curve ---


def ratings(reading: Reading) -> Floats:
    """How sure a reader is that an item is synthetic (R, n): confidence, negative where it was called real."""
    signed: Floats = np.where(reading.said_synthetic, reading.confidence, -reading.confidence).astype(float)
    return signed


def above(reading: Reading) -> Floats:
    """Whether each synthetic item is rated above each real one, half where alike: (R, synthetic, real)."""
    rated = ratings(reading)
    difference = rated[:, reading.synthetic, None] - rated[:, None, ~reading.synthetic]
    order: Floats = (np.sign(difference) + 1) / 2
    return order


def area(reading: Reading, reader: int) -> Estimate:
    """One reader's AUC, ties half, with Newcombe's (2006) interval, of the effective numbers on either side.

    The interval is `area_interval`. Each side's number of items is divided by the variance of its part of the AUC with
    items of a group summed over that with items by themselves (Obuchowski 1997), where that is more than 1.
    """
    order, groups = above(reading)[reader], np.array(reading.groups)
    auc = float(order.mean())
    synthetic = _effective(order.mean(1), groups[reading.synthetic])
    real = _effective(order.mean(0), groups[~reading.synthetic])
    low, high = area_interval(auc, synthetic, real)
    return Estimate(estimate=auc, low=low, high=high)


def _effective(part: Floats, groups: NDArray[np.str_]) -> float:
    """Of items (n,) on one side and their part of the AUC: n over the design effect of their groups."""
    names, place = np.unique(groups, return_inverse=True)
    if len(names) == len(part):
        return float(len(part))
    if len(names) == 1:
        return 1.0
    alone = float(part.var(ddof=1)) / len(part)
    summed = np.bincount(place, weights=part - part.mean())
    together = len(names) / (len(names) - 1) * float((summed**2).sum()) / len(part) ** 2
    return float(len(names)) if alone < EDGE else len(part) / max(1.0, together / alone)


def area_interval(auc: float, m: float, n: float) -> tuple[float, float]:
    """95 % interval of an AUC of m against n items: method 5 of Newcombe (2006, Statistics in Medicine 25:559).

    The areas whose own standard error (Hanley and McNeil 1982, with (m + n) / 2 items on either side) puts them just
    1.96 of these from the one that was seen: unlike DeLong's it has a width where the AUC is 0 or 1.
    """

    def variance(area: float) -> float:
        half = (m + n) / 2 - 1
        return area * (1 - area) / (m * n) * (1 + half * (1 - area) / (2 - area) + half * area / (1 + area))

    def limit(side: int) -> Callable[[float], float]:
        return lambda area: side * (area - auc) - Z * np.sqrt(max(0.0, variance(area)))

    low = float(optimize.brentq(limit(-1), EDGE, min(auc, 1 - EDGE))) if auc > EDGE else 0.0
    high = float(optimize.brentq(limit(1), max(auc, EDGE), 1 - EDGE)) if auc < 1 - EDGE else 1.0
    return low, high


def mean_area(reading: Reading, weights: Floats) -> Estimate:
    """Mean AUC of the readers, its interval by bootstrap over groups; weights (B, n) as from `resample`."""
    order = above(reading).mean(0)
    synthetic, real = weights[:, reading.synthetic], weights[:, ~reading.synthetic]
    drawn = ((synthetic @ order) * real).sum(1) / (synthetic.sum(1) * real.sum(1))
    auc = float(order.mean())
    if np.ptp(drawn) < EDGE:  # nothing was seen to move, which is not certainty
        groups = np.array(reading.groups)
        sides = [float(len(set(groups[side]))) for side in (reading.synthetic, ~reading.synthetic)]
        low, high = area_interval(auc, *sides)
    else:
        low, high = (float(limit) for limit in np.quantile(drawn, (0.025, 0.975)))
    return Estimate(estimate=auc, low=low, high=high)


# --- agreement ---


def resample(reading: Reading, *, draws: int, rng: np.random.Generator) -> Floats:
    """Weights (draws, n) of the items in each bootstrap resample of whole groups, real and synthetic ones apart.

    Of g groups g - 1 are drawn and weighted g / (g - 1) (Rao and Wu 1988), which does not understate few groups.
    """
    groups = np.array(reading.groups)
    weights = np.ones((draws, len(groups)))
    for side in (reading.synthetic, ~reading.synthetic):
        names, place = np.unique(groups[side], return_inverse=True)
        g = len(names)
        if g > 1:
            drawn = rng.multinomial(g - 1, np.full(g, 1 / g), size=draws) * (g / (g - 1))
            weights[:, side] = drawn[:, place]
    return weights


def agreement(said: Flags, reading: Reading, weights: Floats) -> Estimate | None:
    """Agreement of readers beyond chance, 1 whole, 0 none: Cohen's kappa (1960) of two, Fleiss' (1971) of more.

    said: bool (R, n). The interval is the bootstrap's percentiles. Where every reader gave the same answer to each item
    that interval has no width; its low end is then what kappa would be if answers differed at the upper end of Wilson's
    interval for none in so many groups. None for one reader, and where one answer was the only one.
    """
    if len(said) < 2 or said.all() or not said.any():
        return None
    kappa = float(kappas(said, np.ones((1, said.shape[1])))[0])
    drawn = kappas(said, weights)
    drawn = drawn[np.isfinite(drawn)]  # a resample of one and the same answer says nothing
    if kappa > 1 - EDGE:
        missed = wilson(0.0, float(len(set(reading.groups))))[1]
        by_chance = _by_chance(said, np.ones((1, said.shape[1])))[0]
        return Estimate(estimate=kappa, low=max(-1.0, float(1 - missed / (1 - by_chance))), high=1.0)
    low, high = (float(limit) for limit in np.quantile(drawn, (0.025, 0.975)))
    return Estimate(estimate=kappa, low=low, high=high)


def kappas(said: Flags, weights: Floats) -> Floats:
    """Kappa (B,) of readers' yes or no (R, n) under rows of item weights (B, n); NaN where chance alone agrees."""
    readers = len(said)
    yes = said.sum(0)
    pairs = (yes * (yes - 1) + (readers - yes) * (readers - yes - 1)) / (readers * (readers - 1))
    seen = weights @ pairs / weights.sum(1)
    chance = _by_chance(said, weights)
    kappa: Floats = np.divide(seen - chance, 1 - chance, out=np.full(len(weights), np.nan), where=1 - chance > EDGE)
    return kappa


def _by_chance(said: Flags, weights: Floats) -> Floats:
    """Agreement (B,) to expect of two readers with these shares of yes: each his own (Cohen), or all one (Fleiss)."""
    shares = weights @ said.T / weights.sum(1, keepdims=True)  # (B, R)
    if len(said) == 2:
        by_chance: Floats = shares.prod(1) + (1 - shares).prod(1)
        return by_chance
    yes = shares.mean(1)
    pooled: Floats = yes**2 + (1 - yes) ** 2
    return pooled
