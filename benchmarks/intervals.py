"""Does a 95 % interval hold the truth in 95 % of simulated studies? Candidates side by side, and the one in use.

Two arms, five folds, seeds as told; slices of one head succeed and fail together, arms have luck of their own in each
head, and each trained model is a little better or worse than its method in all heads at once (`training`). Truths are
known in closed form: of the method (a new training each time) and of the models that were trained (in their shares of
the test groups). `python benchmarks/intervals.py [repetitions]`; 200 take about two minutes with OMP_NUM_THREADS=1.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from pipeline.evidence.inference import parts_by_group, sign_flip_p
from pipeline.evidence.measures import Floats, Study, tested
from pipeline.evidence.statistics import Bootstrap, Spread, jackknife_variance, resample, strata

FOLDS = 5
DRAWS = 400
FLIPS = 999
GROUPS = (12, 30, 80)
METRICS = ("balanced_accuracy", "auc", "sensitivity_at_specificity", "brier", "calibration_error")
Z = float(stats.norm.ppf(0.975))


@dataclass(frozen=True)
class World:
    """One truth. Quality is in standard deviations of a slice; `both`: groups hold slices of both diagnoses."""

    name: str
    both: bool
    training: float = 0.0
    seeds: int = 3
    quality: float = 1.0
    gain: float = 0.0
    slices: tuple[int, int] = (1, 12)
    head: float = 0.8  # spread of heads; luck of an arm in a head is 0.7 of it

    def share_right(self, better: Floats | float) -> Floats:
        spread = np.sqrt(1 + self.head**2 * 1.49)
        return np.asarray(stats.norm.cdf((self.quality + better) / spread))

    @property
    def truth(self) -> float:
        """Of the method, in balanced accuracy."""
        spread = np.sqrt(1 + self.head**2 * 1.49 + self.training**2)
        ours, theirs = (stats.norm.cdf((self.quality + gain) / spread) for gain in (self.gain, 0))
        return float(ours - theirs)


WORLDS = (
    World("slices of both diagnoses in a group", both=True),
    World("one diagnosis a group", both=False),
    World("one slice a group", both=False, slices=(1, 2)),
    World("nearly always right", both=False, quality=3.5),
    World("noise of training", both=False, training=0.3),
    World("noise of training, both diagnoses in a group", both=True, training=0.3),
    World("noise of training, one seed", both=False, training=0.3, seeds=1),
    World("noise of training, true gain", both=False, training=0.3, gain=0.5),
)


def simulate(world: World, groups: int, rng: np.random.Generator) -> tuple[Study, float]:
    """One study, and the true difference in balanced accuracy of its trained models."""
    group = np.repeat(np.arange(groups), rng.integers(*world.slices, size=groups))
    tumour = rng.random(len(group)) < 0.5 if world.both else group % 2 == 0
    folds_of = (np.arange(groups) // 2) % FOLDS
    folds_of[folds_of >= groups // 2] = 0
    hard = rng.normal(0, world.head, groups)[group]
    models = rng.normal(0, world.training, (2, FOLDS, world.seeds))
    probabilities = []
    for a in range(2):
        luck = rng.normal(0, 0.7 * world.head, groups)[group]
        noise = rng.normal(0, 1, (len(group), world.seeds))
        margin = world.quality + a * world.gain + (hard + luck)[:, None] + models[a, folds_of[group]] + noise
        probabilities.append(1 / (1 + np.exp(-np.where(tumour[:, None], margin, -margin))))
    at = [np.flatnonzero(folds_of[group] == fold) for fold in range(FOLDS)]
    study = Study(
        groups=tuple(str(g) for g in range(groups)),
        n_slices=len(group),
        n_seeds=world.seeds,
        tumour=np.bincount(group[tumour], minlength=groups).astype(float),
        no_tumour=np.bincount(group[~tumour], minlength=groups).astype(float),
        folds=tuple(tested(group[rows], tumour[rows]) for rows in at),
        arms={name: tuple(p[rows] for rows in at) for name, p in zip("ab", probabilities, strict=True)},
    )
    shares = np.bincount(folds_of, minlength=FOLDS) / groups
    by_model = world.share_right(models[1] + world.gain) - world.share_right(models[0])
    return study, float(shares @ by_model.mean(1))


def percentiles(drawn: Bootstrap, spread: Spread) -> tuple[float, float]:
    """Percentiles of the bootstrap, as far out as t is (Hesterberg 2015): what stood here before."""
    tail = stats.norm.cdf(-stats.t.ppf(0.975, drawn.degrees_of_freedom))
    low, high = np.quantile(spread.resampled, [tail, 1 - tail])
    return float(low), float(high)


def bca(drawn: Bootstrap, spread: Spread) -> tuple[float, float]:
    """Bias-corrected and accelerated (Efron 1987), with t in place of the normal."""
    below = (spread.resampled < spread.point).mean() + (spread.resampled == spread.point).mean() / 2
    bias = stats.norm.ppf(np.clip(below, 1e-3, 1 - 1e-3))
    influence = spread.left_out.mean() - spread.left_out
    acceleration = (influence**3).sum() / (6 * (influence**2).sum() ** 1.5 + 1e-300)
    t = stats.t.ppf(0.975, drawn.degrees_of_freedom) * np.array([-1, 1])
    low, high = np.quantile(spread.resampled, stats.norm.cdf(bias + (bias + t) / (1 - acceleration * (bias + t))))
    return float(low), float(high)


def bootstrap_t(drawn: Bootstrap, spread: Spread) -> tuple[float, float]:
    """Each resample's difference over its own standard error (Efron 1979), parts of groups taken as fixed shares."""
    groups = strata(drawn.study)
    parts = parts_by_group(drawn.study, arm="b", reference="a")
    rng = np.random.default_rng(len(parts))
    moved, variance, own = np.zeros(DRAWS), np.zeros(DRAWS), 0.0
    for members in (m for m in groups if len(m) > 1):
        n = len(members)
        again = parts[members][rng.integers(0, n, (DRAWS, n))]
        moved += again.sum(1) - parts[members].sum()
        variance += n * again.var(axis=1, ddof=1)
        own += n * parts[members].var(ddof=1)
    ok = variance > 1e-20
    if ok.sum() < DRAWS / 10:
        return percentiles(drawn, spread)
    low, high = np.quantile(moved[ok] / np.sqrt(variance[ok]), [0.025, 0.975])
    return float(spread.point - high * own**0.5), float(spread.point - low * own**0.5)


def t_of_groups(drawn: Bootstrap, spread: Spread) -> tuple[float, float]:
    """t with the jackknife's error over groups, without the noise of training."""
    error = float(jackknife_variance(spread.left_out, groups=strata(drawn.study))) ** 0.5
    half = float(stats.t.ppf(0.975, drawn.degrees_of_freedom)) * error
    return spread.point - half, spread.point + half


def in_use(drawn: Bootstrap, spread: Spread) -> tuple[float, float]:
    half = drawn.uncertainty(spread).quantile(0.975)
    return spread.point - half, spread.point + half


CANDIDATES: dict[str, Callable[[Bootstrap, Spread], tuple[float, float]]] = {
    "percentile": percentiles,
    "BCa": bca,
    "bootstrap-t": bootstrap_t,
    "t, groups": t_of_groups,
    "in use": in_use,
}


def study_of(world: World, groups: int, rng: np.random.Generator) -> tuple[Bootstrap, float]:
    study, of_models = simulate(world, groups, rng)
    return Bootstrap(study, resample(study=study, draws=DRAWS, rng=rng)), of_models


def primary(world: World, groups: int, repetitions: int) -> None:
    """Balanced accuracy: every candidate, and the sign flips."""
    seen: dict[str, NDArray[np.float64]] = {name: np.zeros(5) for name in [*CANDIDATES, "sign flips"]}
    powered = 0
    for i in range(repetitions):
        rng = np.random.default_rng([groups, i])
        drawn, of_models = study_of(world, groups, rng)
        spread = drawn.spread("b", "balanced_accuracy").minus(drawn.spread("a", "balanced_accuracy"))
        powered += world.truth > drawn.difference("b", "a", "balanced_accuracy")[1]
        for name, candidate in CANDIDATES.items():
            low, high = candidate(drawn, spread) if spread.varies() else in_use(drawn, spread)
            holds = (low <= world.truth <= high, low <= of_models <= high)
            seen[name] += [low > 0, high < 0, *holds, high - low]
        p = sign_flip_p(parts_by_group(drawn.study, arm="b", reference="a"), flips=FLIPS, rng=rng)
        seen["sign flips"][:2] += [p <= 0.05 and spread.point > 0, p <= 0.05 and spread.point < 0]
    for name, sums in seen.items():
        above, below, method, models, width = sums / repetitions
        cover = "    -        -        -  " if name == "sign flips" else f"{method:7.1%}  {models:7.1%}  {width:7.3f}"
        print(f"{groups:6}  {name:12}  {above:6.1%}  {below:6.1%}  {cover}")
    if world.gain:
        print(f"{groups:6}  detectable effect below the truth in {powered / repetitions:.0%}")


def secondary(world: World, groups: int, repetitions: int) -> None:
    """Two equal arms: how often p <= 0.05 for each measure, and how often one arm's interval holds its mean."""
    points = {metric: [] for metric in METRICS}
    intervals: dict[str, list[tuple[float, float]]] = {metric: [] for metric in METRICS}
    called = dict.fromkeys(METRICS, 0)
    for i in range(repetitions):
        drawn, _ = study_of(world, groups, np.random.default_rng([groups, i]))
        for metric in METRICS:
            called[metric] += drawn.p("b", "a", metric) <= 0.05
            estimate = drawn.estimate("a", metric)
            points[metric].append(estimate.estimate)
            intervals[metric].append((estimate.low, estimate.high))
    for metric in METRICS:
        truth = np.mean(points[metric])
        held = np.mean([low <= truth <= high for low, high in intervals[metric]])
        print(f"{groups:6}  {metric:27}  {called[metric] / repetitions:6.1%}  {held:7.1%}")


def main() -> None:
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    began = time.monotonic()
    print(f"{repetitions} studies each, {DRAWS} resamples, {FOLDS} folds")
    for world in WORLDS:
        print(f"\n{world.name}; {world.seeds} seeds, true difference {world.truth:+.3f}")
        print("groups  interval      above 0  below 0  method   models   width")
        for groups in GROUPS:
            primary(world, groups, repetitions)
    world = WORLDS[4]
    print(f"\nother measures, {world.name}, two equal arms\ngroups  measure                      p <= 0.05  arm held")
    for groups in GROUPS:
        secondary(world, groups, repetitions)
    print(f"\n{time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
