"""How sure are we? Scores with intervals over subjects and trainings, paired differences, and the verdict.

The unit is the group (a subject, or the duplicates that stand in for one): slices of one head rise and fall
together, and folds and seeds are no cases at all. But another training would not have made the same models, and
another generator not the same synthetic slices, which all seeds of a fold share: where there are several seeds and
several folds, their spread is part of every interval, which so speaks of the method and not only of the models that
were trained. With one seed it speaks of these models, with one fold of the generators that it had. Figures that led to
this choice: docs/evidence.md.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from data_contracts.results import Estimate, Verdict
from pipeline.evidence.measures import (
    JUMPING,
    KIND,
    METRICS,
    THRESHOLD,
    Setting,
    Study,
    Sums,
    check_predictions,
    count,
    measure,
    sums,
    tumour_share,
)

__all__ = [
    "METRICS",
    "THRESHOLD",
    "Bootstrap",
    "Setting",
    "bootstrap",
    "check_predictions",
    "count",
    "verdict",
    "wilson",
]

Floats = NDArray[np.float64]
LEVEL: Final = 0.95
Z: Final = float(stats.norm.ppf((1 + LEVEL) / 2))
POWER: Final = 0.80
# below this many groups of a diagnosis an interval says more about the bootstrap than about the arms
FEWEST_GROUPS: Final = 5
NOTHING: Final = 1e-12  # a spread below this is rounding


def strata(study: Study) -> list[NDArray[np.int64]]:
    """Groups by what they hold: tumour only, no tumour only, both. Members of each stratum that is not empty."""
    kind = 2 * (study.tumour > 0) + (study.no_tumour > 0)
    return [np.flatnonzero(kind == k) for k in np.unique(kind)]


def resample(*, study: Study, draws: int, rng: np.random.Generator) -> Floats:
    """Weights of the groups in each bootstrap resample: (draws, G).

    Of each stratum of n groups n - 1 are drawn and weighted n / (n - 1) (Rao and Wu 1988): unlike n of n, this
    does not understate the variance of few groups, and no resample loses a diagnosis. A stratum of one group
    is always there as it is.
    """
    weights = np.ones((draws, len(study.groups)))
    for members in strata(study):
        n = len(members)
        if n > 1:
            weights[:, members] = rng.multinomial(n - 1, np.full(n, 1 / n), size=draws) * (n / (n - 1))
    return weights


def leave_out(study: Study) -> Floats:
    """Weights (G, G) that leave out one group a row and raise the others of its stratum in its place (jackknife)."""
    weights = np.ones((len(study.groups), len(study.groups)))
    for members in strata(study):
        n = len(members)
        if n > 1:
            weights[np.ix_(members, members)] = np.where(np.eye(n, dtype=bool), 0, n / (n - 1))
    return weights


@dataclass(frozen=True)
class Spread:
    """One figure (a score, or a difference of two) and how it moves.

    resampled (B,): over bootstrap resamples. left_out (G,): without one group. models (folds, seeds): where a fold
    is left to one seed alone; models_left_out (G, folds, seeds): the same without one group. folds_left_out (folds,):
    without one fold; cells_left_out (G, folds): without one group in one fold, though others test it too. shares
    (folds,): how much each fold counts, adding up to 1.
    """

    point: float
    resampled: Floats
    left_out: Floats
    models: Floats
    models_left_out: Floats
    folds_left_out: Floats
    cells_left_out: Floats
    shares: Floats

    def minus(self, other: "Spread") -> "Spread":
        return Spread(
            self.point - other.point,
            self.resampled - other.resampled,
            self.left_out - other.left_out,
            self.models - other.models,
            self.models_left_out - other.models_left_out,
            self.folds_left_out - other.folds_left_out,
            self.cells_left_out - other.cells_left_out,
            self.shares,
        )

    def varies(self) -> bool:
        """Whether anything was seen to move, over resamples or over seeds."""
        return bool(np.ptp(self.resampled) > NOTHING or np.ptp(self.models) > NOTHING)

    def effective_n(self, error: float) -> float:
        """How many independent answers know a share as well as its standard error says (Korn and Graubard 1998).

        The variance of one answer is p (1 - p) at the mean of the resamples and not at the point: near 1 a share that
        jumps is mostly just the point, and a standard error that holds the jumps is larger than p (1 - p) itself. No
        variable in [0, 1] varies by more than m (1 - m) about its mean m (Bhatia and Davis 2000), so of groups alone
        this is never below 1, but for rounding.
        """
        mean = float(self.resampled.mean())
        return mean * (1 - mean) / error**2


@dataclass(frozen=True)
class Uncertainty:
    """A standard error, and the degrees of freedom that it was measured with."""

    error: float
    degrees_of_freedom: float

    def quantile(self, share: float) -> float:
        """How far `share` of the t distribution lies above nothing, in units of the figure."""
        return float(stats.t.ppf(share, self.degrees_of_freedom)) * self.error

    def p(self, estimate: float) -> float:
        """Two-sided, of no difference; below 0.05 just where the 95 % interval leaves out 0."""
        return float(2 * stats.t.sf(abs(estimate) / self.error, self.degrees_of_freedom))


def jackknife_variance(left_out: Floats, *, groups: list[NDArray[np.int64]]) -> Floats:
    """Stratified jackknife over the first axis (G, ...) (Shao and Tu 1995, equation 6.14)."""
    found = np.zeros(left_out.shape[1:])
    for members in groups:
        n = len(members)
        of = left_out[members]
        found += (n - 1) / n * ((of - of.mean(0)) ** 2).sum(0)
    return found


def training_variance(spread: Spread, study: Study) -> tuple[float, float]:
    """Variance of the figure that comes from training again, and the variance over seeds that it was read from.

    Models and groups are crossed within a fold. The spread over seeds holds what all groups share, and luck in
    single groups that the variance over groups holds already; how each model's deviation moves from group to group
    measures the second, which is taken off (variance components of a crossed design, as of readers and cases:
    Gallas 2006). Never below 0; (0, 0) with one seed.
    """
    seeds = spread.models.shape[1]
    if seeds < 2:
        return 0.0, 0.0
    over_seeds = float(spread.models.var(axis=1, ddof=1).sum() / seeds)
    deviation = spread.models_left_out - spread.models_left_out.mean(axis=2, keepdims=True)
    luck = 0.0
    for members in strata(study):
        inside = [(place, np.intersect1d(members, fold.groups)) for place, fold in enumerate(study.folds)]
        freedom = sum(len(groups) - 1 for _, groups in inside if len(groups))
        if freedom:  # of one group a fold, its luck and what all share cannot be told apart: none is taken off
            parts = [deviation[groups, place] * (1 - 1 / len(members)) for place, groups in inside if len(groups)]
            squares = sum(float(((part - part.mean(0)) ** 2).sum()) for part in parts)
            luck += sum(len(part) for part in parts) * squares / freedom / (seeds * (seeds - 1))
    return max(0.0, over_seeds - luck), over_seeds


def fold_variance(spread: Spread, study: Study, *, training: float) -> tuple[float, float]:
    """Variance of the figure that comes from what a fold's models share, and the variance over folds it was read from.

    All seeds of a fold learn from the same subjects and from one generator a diagnosis, whose luck neither seeds nor
    single groups show. The squared deviations of the folds, each over 1 - its share of the test slices (the unbiased
    cluster-robust variance of a mean, Bell and McCaffrey 2002), hold that luck, the trainings' (`training`), and that
    of the groups which they happen to test. The last is expected from how each group moves each fold, group by group:
    folds of different repeats test the same groups and so deviate together, which is no luck of the fold. Both are
    taken off; never below 0; (0, 0) with one fold.
    """
    if len(spread.folds_left_out) < 2:
        return 0.0, 0.0
    over_folds = float(((1 - spread.shares) * (spread.folds_left_out - spread.point) ** 2).sum())
    tests = np.zeros(spread.cells_left_out.shape, dtype=bool)
    for place, fold in enumerate(study.folds):
        tests[fold.groups, place] = True
    moves = np.zeros(tests.shape)
    for members in strata(study):
        n, cells = len(members), tests[members]
        if n > 1:
            of = np.where(cells, spread.cells_left_out[members], 0)
            # a left out cell raises the weight of the others, and n groups have n - 1 degrees of freedom
            scale = (1 - 1 / cells.sum()) * np.sqrt(n / (n - 1))
            moves[members] = scale * cells * (of - of.sum() / cells.sum())
    by_groups = (moves - spread.shares * moves.sum(1, keepdims=True)) ** 2 / (1 - spread.shares)
    return max(0.0, over_folds - float(by_groups.sum()) - training), over_folds


@dataclass(frozen=True)
class Bootstrap:
    """One study with its resamples: the same for every arm, so that differences are paired."""

    study: Study
    weights: Floats  # (B, G)
    setting: Setting = field(default_factory=Setting)
    _kept: dict[tuple[str, str], tuple[Sums, Sums, Sums, Sums]] = field(default_factory=dict, repr=False, compare=False)

    @property
    def degrees_of_freedom(self) -> int:
        return max(1, len(self.study.groups) - len(strata(self.study)))

    def _sums(self, arm: str, kind: str) -> tuple[Sums, Sums, Sums, Sums]:
        """As it is, in each resample, without each group, and without it and with nobody in its place."""
        if (arm, kind) not in self._kept:
            n = len(self.study.groups)
            point, resampled, left_out, lost = (
                sums(kind, study=self.study, arm=arm, weights=weights, setting=self.setting)
                for weights in (np.ones((1, n)), self.weights, leave_out(self.study), 1 - np.eye(n))
            )
            self._kept[arm, kind] = point, resampled, left_out, lost
        return self._kept[arm, kind]

    def spread(self, arm: str, metric: str) -> Spread:
        """One of METRICS of one arm."""

        def read(rates: Floats, share: Floats) -> Floats:
            return measure(metric, rates, share=share, setting=self.setting)

        return self.spread_of(arm, KIND.get(metric, "right"), read)

    def spread_of(self, arm: str, kind: str, read: Callable[[Floats, Floats], Floats]) -> Spread:
        """A figure of one arm. What a resample cannot say (it lost all that was to get) stays as it was.

        kind: a key of `measures.SUMS`. read: from quotients (..., k) of that kind and the share (...) of test slices
        that show a tumour to the figure (...).
        """
        point, resampled, left_out, lost = self._sums(arm, kind)
        whole = np.ones((1, len(self.study.groups)))
        shares = [tumour_share(self.study, weights) for weights in (whole, self.weights, leave_out(self.study))]

        def figure(rates: Floats, share: Floats) -> Floats:
            return read(rates, share.reshape(-1, *[1] * (rates.ndim - 2)))

        estimate = float(figure(point.quotient(), shares[0])[0])
        return Spread(
            estimate,
            np.nan_to_num(figure(resampled.quotient(), shares[1]), nan=estimate),
            np.nan_to_num(figure(left_out.quotient(), shares[2]), nan=estimate),
            figure(point.quotient_by_model(), shares[0])[0],
            np.nan_to_num(figure(left_out.quotient_by_model(), shares[2]), nan=estimate),
            np.nan_to_num(figure(point.without_each_fold(), shares[0])[0], nan=estimate),
            np.nan_to_num(figure(point.with_each_fold_of(lost), shares[0]), nan=estimate),
            point.fold_shares(),
        )

    def uncertainty(self, spread: Spread, *, jackknife: bool = True) -> Uncertainty:
        """Standard error of a figure, over groups, trainings and folds.

        Over groups it is the larger of what the bootstrap and the jackknife find: the first understates few groups
        of unequal size, the second (False leaves it out) knows nothing of measures with jumps. Degrees of freedom are
        groups less strata, joined with those of the seeds and of the folds, folds - 1, where these add anything
        (Satterthwaite 1946). With one fold the luck of its generators cannot be known and is not in it. Where nothing
        was seen to vary, or what varies is all luck of seeds in single groups that cancels in each group, that is not
        certainty: Agresti and Min's (2005) error of one unseen change in n + 2 groups takes the place of none.
        """
        unseen = Uncertainty(unseen_change(len(self.study.groups)), float(np.inf))
        if not spread.varies():
            return unseen
        groups = strata(self.study)
        over_groups = float(spread.resampled.var(ddof=1))
        if jackknife:
            over_groups = max(over_groups, float(jackknife_variance(spread.left_out, groups=groups)))
        training, over_seeds = training_variance(spread, self.study)
        of_folds, over_folds = fold_variance(spread, self.study, training=training)
        total = over_groups + training + of_folds
        if total < NOTHING**2:
            return unseen
        folds, seeds = spread.models.shape
        squares = over_groups**2 / self.degrees_of_freedom
        if training > 0:
            squares += over_seeds**2 / (folds * (seeds - 1))
        if of_folds > 0:
            squares += over_folds**2 / (folds - 1)
        return Uncertainty(float(np.sqrt(total)), max(1.0, total**2 / squares))

    def estimate(self, arm: str, metric: str) -> Estimate:
        """One arm's metric with its 95 % interval: t on the logit scale, for a share knows no symmetry near 0 and 1.

        A sensitivity at a fixed specificity reads a quantile and jumps. There the jackknife is not consistent (Efron
        1982, chapter 3; Shao and Tu 1995, chapter 2), and the error can be many times p (1 - p), by which the logit
        scale divides. So it has the bootstrap's variance and the score interval, as in Huang et al. (2023): Wilson's,
        of the effective number of answers. Where nothing varies: `unmoved`. Else at 0 or 1 itself the interval is
        symmetric and cut off there.
        """
        spread = self.spread(arm, metric)
        if not spread.varies():
            return self.unmoved(arm, metric)
        jumps = KIND.get(metric) in JUMPING
        sure, point = self.uncertainty(spread, jackknife=not jumps), spread.point
        if jumps:
            t = sure.quantile((1 + LEVEL) / 2) / sure.error
            low, high = wilson(point, spread.effective_n(sure.error), t=t)
            return Estimate(estimate=point, low=low, high=high)
        half = sure.quantile((1 + LEVEL) / 2)
        slope = point * (1 - point)
        if slope < NOTHING:
            return Estimate(estimate=point, low=max(0.0, point - half), high=min(1.0, point + half))
        odds = np.log(point / (1 - point))
        low, high = (float(1 / (1 + np.exp(-np.clip(odds + side * half / slope, -700, 700)))) for side in (-1, 1))
        return Estimate(estimate=point, low=low, high=high)

    def unmoved(self, arm: str, metric: str) -> Estimate:
        """One arm's metric, where no resample and no seed moves it, with an interval of how many groups that says.

        Nothing tells how alike the slices of a group are, so each counts as one answer. Either diagnosis has Wilson's
        interval of its groups, and the metric is taken with one of them at its end at a time; the distances add up as
        squares (Zou and Donner 2008). A metric of both at once has the fewer groups of the two (of an AUC A the
        variance is at most A (1 - A) over these: Birnbaum and Klose 1957).
        """
        kind = KIND.get(metric, "right")
        rates = self._sums(arm, kind)[0].quotient()[0]
        groups = [int((slices > 0).sum()) for slices in (self.study.tumour, self.study.no_tumour)]
        share = float(tumour_share(self.study, np.ones((1, len(self.study.groups))))[0])
        point = float(measure(metric, rates, share=share, setting=self.setting))
        below, above = 0.0, 0.0
        for side, n in enumerate(groups if len(rates) == len(groups) else [min(groups)]):
            ends = np.tile(rates, (2, 1))
            ends[:, side] = wilson(float(rates[side]), n)
            low, high = sorted(measure(metric, ends, share=share, setting=self.setting) - point)
            below, above = below + min(0.0, low) ** 2, above + max(0.0, high) ** 2
        low, high = max(0.0, point - below**0.5), min(1.0, point + above**0.5)
        return Estimate(estimate=point, low=float(low), high=float(high))

    def difference(self, arm: str, reference: str, metric: str) -> tuple[Estimate, float]:
        """Arm minus reference with its 95 % interval, t of one standard error, and the minimum detectable effect.

        That is (t of 0.975 + t of 0.80) of the same standard errors, 2.8 with many groups: a true difference so
        large is found, two-sided at 5 %, in 80 % of repetitions of the study. It is that of one comparison: a verdict
        gain needs two, against the reference and against the duplicates, and is so found less often.
        """
        spread = self.spread(arm, metric).minus(self.spread(reference, metric))
        sure = self.uncertainty(spread)
        return self.signed_interval(spread), sure.quantile((1 + LEVEL) / 2) + sure.quantile(POWER)

    def signed_interval(self, spread: Spread) -> Estimate:
        """A figure in [-1, 1] with its 95 % interval: t of one standard error, symmetric, cut off at the ends."""
        point, half = spread.point, self.uncertainty(spread).quantile((1 + LEVEL) / 2)
        return Estimate(estimate=point, low=max(-1.0, point - half), high=min(1.0, point + half))

    def p(self, arm: str, reference: str, metric: str) -> float:
        """Two-sided p of no difference, from the interval of `difference` inverted."""
        spread = self.spread(arm, metric).minus(self.spread(reference, metric))
        return self.uncertainty(spread).p(spread.point)

    def enough_groups(self) -> bool:
        """Whether each diagnosis is tested in enough groups for any verdict."""
        sides = (self.study.tumour, self.study.no_tumour)
        return min(int((slices > 0).sum()) for slices in sides) >= FEWEST_GROUPS


def wilson(p: float, n: float, *, t: float = Z) -> tuple[float, float]:
    """95 % interval of a share p of n answers (Wilson 1927). n may be a fraction; t: quantile, where n is estimated."""
    centre = (p + t**2 / (2 * n)) / (1 + t**2 / n)
    half = t / (1 + t**2 / n) * np.sqrt(p * (1 - p) / n + t**2 / (4 * n**2))
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))


def unseen_change(n_groups: int) -> float:
    """Standard error left to a difference when none was seen in n groups (Agresti and Min 2005)."""
    return 1 / (n_groups + 2)


def bootstrap(
    *, predictions: pd.DataFrame, draws: int, rng: np.random.Generator, setting: Setting | None = None
) -> Bootstrap:
    """Sort the predictions (see `count`) and draw the resamples. setting: where two of the measures are taken."""
    study = count(predictions)
    return Bootstrap(study, resample(study=study, draws=draws, rng=rng), setting or Setting())


def verdict(
    *, to_reference: Estimate, to_duplicates: Estimate, margin: float, n_groups: int, enough_groups: bool
) -> Verdict:
    """Say in one word what the primary difference (to the reference arm) shows.

    gain: the whole interval is above 0, against the reference and against mere duplicates. harm: all of it is
    below 0. equivalent: it lies inside +- margin, with so many groups that this is knowledge and not luck: one
    unseen change must fit inside the margin too. Else, or with too few groups of a diagnosis, there is not
    enough evidence. A verdict of one fold speaks of the generators that it had, not of the method.
    """
    if not enough_groups:
        return "insufficient_evidence"
    if to_reference.low > 0 and to_duplicates.low > 0:
        return "gain"
    if to_reference.high < 0:
        return "harm"
    within = -margin <= to_reference.low and to_reference.high <= margin
    return "equivalent" if within and 1.96 * unseen_change(n_groups) <= margin else "insufficient_evidence"
