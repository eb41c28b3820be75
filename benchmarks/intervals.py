"""Does a 95 % interval hold the truth in 95 % of simulated studies? Candidates side by side, and the one in use.

Two arms, folds and seeds as told; slices of one head succeed and fail together, arms have luck of their own in each
head, each trained model is a little better or worse than its method in all heads at once (`training`), and in the
second arm so are all models of a fold together, for they share a generator (`generator`). Truths are known in closed
form: of the method (a new training and new generators each time) and of the models that were trained (in their shares
of the test groups). `python benchmarks/intervals.py [repetitions] [words of the names of worlds]`, with
OMP_NUM_THREADS=1; where worlds are named, with the last two candidates only.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from pipeline.evidence.inference import parts_by_group, sign_flip_p
from pipeline.evidence.measures import Floats, Study, tested
from pipeline.evidence.statistics import Bootstrap, Spread, jackknife_variance, resample, strata

DRAWS = 400
FLIPS = 999
GROUPS = (12, 30, 80)
METRICS = ("balanced_accuracy", "auc", "sensitivity_at_specificity", "brier", "calibration_error")
Z = float(stats.norm.ppf(0.975))


@dataclass(frozen=True)
class World:
    """One truth. Quality is in standard deviations of a slice; `both`: groups hold slices of both diagnoses.

    training: spread of single models. generator: of what all models of a fold share, in the second arm only, which is
    so much better otherwise that the true difference is `gain` alone. folds: of each repeat.
    """

    name: str
    both: bool
    training: float = 0.0
    generator: float = 0.0
    folds: int = 5
    repeats: int = 1
    seeds: int = 3
    quality: float = 1.0
    gain: float = 0.0
    slices: tuple[int, int] = (1, 12)
    head: float = 0.8  # spread of heads; luck of an arm in a head is 0.7 of it

    @property
    def all_folds(self) -> int:
        return self.folds * self.repeats

    @property
    def evened(self) -> float:
        """What the second arm needs for the same share right, for luck that varies makes any share smaller."""
        known = 1 + self.head**2 * 1.49 + self.training**2
        return float(self.quality * (np.sqrt(1 + self.generator**2 / known) - 1))

    def share_right(self, better: Floats | float) -> Floats:
        spread = np.sqrt(1 + self.head**2 * 1.49)
        return np.asarray(stats.norm.cdf((self.quality + better) / spread))

    @property
    def truth(self) -> float:
        """Of the method, in balanced accuracy."""
        spread = np.sqrt(1 + self.head**2 * 1.49 + self.training**2)
        wider = np.sqrt(spread**2 + self.generator**2)
        ours = stats.norm.cdf((self.quality + self.evened + self.gain) / wider)
        return float(ours - stats.norm.cdf(self.quality / spread))


WORLDS = (
    World("slices of both diagnoses in a group", both=True),
    World("one diagnosis a group", both=False),
    World("one slice a group", both=False, slices=(1, 2)),
    World("nearly always right", both=False, quality=3.5),
    World("noise of training", both=False, training=0.3),
    World("noise of training, both diagnoses in a group", both=True, training=0.3),
    World("noise of training, one seed", both=False, training=0.3, seeds=1),
    World("noise of training, true gain", both=False, training=0.3, gain=0.5),
    *(
        World(name, both=False, training=0.15, head=head, generator=generator, folds=folds, repeats=repeats)
        for folds, repeats in ((5, 1), (3, 1), (3, 2), (1, 1))
        for name, head, generator in (
            ("heads alike, no luck of generators", 0.3, 0.0),
            ("heads alike, luck of generators", 0.3, 0.3),
            ("heads apart, no luck of generators", 0.8, 0.0),
            ("heads apart, luck of generators", 0.8, 0.3),
        )
    ),
)


def deal(groups: int, folds: int, repeat: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Fold of each group, in pairs so that both diagnoses are in each; dealt anew in later repeats."""
    pairs = groups // 2
    order = rng.permutation(pairs) if repeat else np.arange(pairs)
    return repeat * folds + np.repeat(order % folds, 2)


def simulate(world: World, groups: int, rng: np.random.Generator) -> tuple[Study, float]:
    """One study, and the true difference in balanced accuracy of its trained models."""
    group = np.repeat(np.arange(groups), rng.integers(*world.slices, size=groups))
    tumour = rng.random(len(group)) < 0.5 if world.both else group % 2 == 0
    dealt = [deal(groups, world.folds, repeat, rng) for repeat in range(world.repeats)]
    hard = rng.normal(0, world.head, groups)[group]
    models = rng.normal(0, world.training, (2, world.all_folds, world.seeds))
    models[1] += rng.normal(world.evened, world.generator, world.all_folds)[:, None] + world.gain
    at = [np.flatnonzero(folds[group] == fold) for folds in dealt for fold in np.unique(folds)]
    arms: dict[str, list[Floats]] = {"a": [], "b": []}
    for a, of_folds in enumerate(arms.values()):
        luck = rng.normal(0, 0.7 * world.head, groups)[group]
        for fold, rows in enumerate(at):
            noise = rng.normal(0, 1, (len(rows), world.seeds))
            margin = world.quality + (hard + luck)[rows, None] + models[a, fold] + noise
            of_folds.append(1 / (1 + np.exp(-np.where(tumour[rows, None], margin, -margin))))
    study = Study(
        groups=tuple(str(g) for g in range(groups)),
        n_slices=len(group),
        n_seeds=world.seeds,
        tumour=np.bincount(group[tumour], minlength=groups).astype(float),
        no_tumour=np.bincount(group[~tumour], minlength=groups).astype(float),
        folds=tuple(tested(group[rows], tumour[rows]) for rows in at),
        arms={name: tuple(of_folds) for name, of_folds in arms.items()},
    )
    shares = np.bincount(np.concatenate(dealt)) / groups / world.repeats
    by_model = world.share_right(models[1]) - world.share_right(models[0])
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


def without_folds(drawn: Bootstrap, spread: Spread) -> tuple[float, float]:
    """The one in use, as if the study had one fold and nothing could be known of the luck of generators."""
    return in_use(drawn, replace(spread, folds_left_out=spread.folds_left_out[:1]))


def in_use(drawn: Bootstrap, spread: Spread) -> tuple[float, float]:
    half = drawn.uncertainty(spread).quantile(0.975)
    return spread.point - half, spread.point + half


CANDIDATES: dict[str, Callable[[Bootstrap, Spread], tuple[float, float]]] = {
    "percentile": percentiles,
    "BCa": bca,
    "bootstrap-t": bootstrap_t,
    "t, groups": t_of_groups,
    "no folds": without_folds,
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
    points: dict[str, list[float]] = {metric: [] for metric in METRICS}
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
    words = " ".join(sys.argv[2:])
    if words:
        for name in [*CANDIDATES][:-2]:
            del CANDIDATES[name]
    print(f"{repetitions} studies each, {DRAWS} resamples")
    for world in (world for world in WORLDS if words in world.name):
        design = f"{world.folds} folds, {world.repeats} repeats, {world.seeds} seeds"
        print(f"\n{world.name}; {design}, true difference {world.truth:+.3f}")
        print("groups  interval      above 0  below 0  method   models   width")
        for groups in GROUPS:
            primary(world, groups, repetitions)
    if words:
        return
    world = WORLDS[4]
    print(f"\nother measures, {world.name}, two equal arms\ngroups  measure                      p <= 0.05  arm held")
    for groups in GROUPS:
        secondary(world, groups, repetitions)
    print(f"\n{time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
