"""The mode-collapse verdict: does a generator repeat itself or miss kinds of heads? Limits come from real images.

Real subsets of the same size are drawn, whole ones and ones that lost modes, and judged as the synthetic set is. A
measure speaks of collapse where it is beyond what whole real subsets reach *and* nearer to subsets that lost modes.
All but precision are taken among the leading principal components of the training features
(`diversity.Structure`), where grain counts little; precision is taken in the features themselves, where it counts.
The Vendi score does not vote: softness lowers it long before images repeat.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from data_contracts.results import CollapseReason, CollapseVerdict
from pipeline.evidence import diversity
from pipeline.evidence.diversity import Distances, Features, Structure

Measure = Literal["coverage", "recall", "spread", "duplicate_share"]
MEASURES: Final[tuple[Measure, ...]] = ("duplicate_share", "spread", "recall", "coverage")
# Blur and noise take these away too: they are asked only of a set as precise as real ones.
OF_PRECISE_SETS: Final = ("recall", "coverage")
UPWARDS: Final = ("duplicate_share",)  # more of it is worse

FALSE_ALARMS: Final = 0.01  # family-wise rate on whole real subsets
DRAWS: Final = 200  # of whole real subsets
LOST_DRAWS: Final = 50  # of subsets that lost modes: only their median is used
OWN_DRAWS: Final = 10  # of the synthetic set and of what it is judged against
MODES: Final = 10  # k-means clusters of the training images, half of which a lost draw is without
LARGEST: Final = 500  # images a subset: a larger one says no more and takes long
LARGEST_POOL: Final = 2000  # real images drawn from

Indices = NDArray[np.int64]
Measured = dict[str, float]


@dataclass(frozen=True)
class _Space:
    """Distances of points to one another, (N, N): of their features, and among the leading components."""

    features: Distances
    structure: Distances


@dataclass(frozen=True)
class _Ruler:
    """How a subset is measured: neighbours, and the relative distance at which two images are the same one."""

    k: int
    same: float

    def measure(self, points: _Space, *, subset: Indices, real: Indices) -> Measured:
        """Measure a subset of the points beside real ones, their indices (n,) and (m,)."""
        across, within = (points.structure[np.ix_(rows, subset)] for rows in (real, subset))
        compared = points.structure[np.ix_(real, real)]
        precise = points.features[np.ix_(real, subset)] < self._radii(points.features[np.ix_(real, real)])[:, None]
        return {
            "precision": float(precise.any(0).mean()),
            "coverage": float((across < self._radii(compared)[:, None]).any(1).mean()),
            "recall": float((across < self._radii(within)).any(1).mean()),
            "spread": diversity.mean_distance(within) / diversity.mean_distance(compared),
            "duplicate_share": diversity.duplicate_share(within, same=self.same),
        }

    def _radii(self, within: Distances) -> NDArray[np.float64]:
        return np.asarray(np.partition(within, self.k, axis=1)[:, self.k])


@dataclass(frozen=True)
class Limits:
    """What real subsets of n images reach, and from where on a set speaks of collapse; see `real_limits`."""

    n: int
    training: Features
    among: Structure
    ruler: "_Ruler"
    reached: Measured
    limit: Measured

    def judge(self, synthetic: Features, *, rng: np.random.Generator) -> CollapseVerdict:
        """Judge features (N, D) of synthetic images; N at least n, or ValueError."""
        if len(synthetic) < self.n:
            raise ValueError(f"{len(synthetic)} synthetic images: want at least {self.n}, as real subsets hold")
        own = _own_draws(synthetic, self.training, self.among, n=self.n, ruler=self.ruler, rng=rng)
        precise = own["precision"] >= self.limit["precision"]
        reasons = tuple(
            CollapseReason(
                measure=name,
                value=own[name],
                real=self.reached[name],
                limit=self.limit[name],
                beyond=own[name] > self.limit[name] if name in UPWARDS else own[name] < self.limit[name],
            )
            for name in MEASURES
            if precise or name not in OF_PRECISE_SETS
        )
        collapsed = any(reason.beyond for reason in reasons)
        return CollapseVerdict(mode_collapse=collapsed, reasons=reasons, n=self.n, n_draws=DRAWS)


def real_limits(
    *,
    held_out_real: Features,
    training: Features,
    training_groups: Sequence[str],
    held_out_groups: Sequence[str],
    n: int,
    k: int,
    rng: np.random.Generator,
) -> Limits:
    """Draw real subsets, whole ones and ones that lost modes, and set each measure's limit between the two.

    Features (N, D) on a common scale; groups (subjects) of the real images; n images a subset, at most as many as the
    smaller of the two sets holds, and no more than LARGEST are used; k neighbours. Raises ValueError where n is not
    above k, a set holds fewer than n, groups do not fit their images, or all training images are one.
    """
    n = _checked(held_out_real, training, training_groups, held_out_groups, n=n, k=k)
    among = diversity.structure(training)
    modes = diversity.clusters(training, count=MODES, seed=int(rng.integers(2**31)))
    # groups of the two parts are different even where they are called alike
    names = np.array([f"t{name}" for name in training_groups] + [f"h{name}" for name in held_out_groups])
    pool = _pool(names, rng=rng)
    features = np.concatenate([training, held_out_real])[pool]
    compared = among.project(training[rng.choice(len(training), n, replace=False)])
    ruler = _Ruler(k, diversity.same_image(diversity.distances(compared, compared)))
    kinds = diversity.assign(features, modes)
    whole, lost = _real_draws(_space(features, among), kinds, names[pool], n=n, ruler=ruler, rng=rng)
    # along components fitted to them training images vary more than any others: held-out ones show by how much
    held_out = _own_draws(held_out_real, training, among, n=n, ruler=ruler, rng=rng)
    reached, limit = _limits(whole, lost, held_out, same=ruler.same)
    return Limits(n, training, among, ruler, reached, limit)


def _checked(
    held_out_real: Features,
    training: Features,
    training_groups: Sequence[str],
    held_out_groups: Sequence[str],
    *,
    n: int,
    k: int,
) -> int:
    """Images a subset."""
    if (len(training), len(held_out_real)) != (len(training_groups), len(held_out_groups)):
        raise ValueError(
            f"{len(training_groups)} and {len(held_out_groups)} groups of {len(training)} training and "
            f"{len(held_out_real)} held-out images: want one each"
        )
    smallest = min(len(held_out_real), len(training))
    if not max(k, 1) < n <= smallest:
        raise ValueError(f"n = {n}, k = {k}: want n above k and above 1, and at most {smallest}, the smaller real set")
    if (training == training[0]).all():
        raise ValueError(f"all {len(training)} training images are the same image")
    return min(n, LARGEST)


def _pool(names: NDArray[np.str_], *, rng: np.random.Generator) -> Indices:
    """Real images to draw from: all of them, or whole groups at random until there are enough."""
    if len(names) <= LARGEST_POOL:
        return np.arange(len(names))
    return _by_group(names, rng)[:LARGEST_POOL]


def _by_group(names: NDArray[np.str_], rng: np.random.Generator) -> Indices:
    """All images, group after group, groups in random order and images of each in random order."""
    _, group = np.unique(names, return_inverse=True)
    place = rng.permutation(group.max() + 1)[group]
    return np.lexsort((rng.random(len(names)), place)).astype(np.int64)


def _space(features: Features, among: Structure) -> _Space:
    x = torch.from_numpy(features).double()
    # the product form is fast, and leaves rounding where two points are one
    whole = torch.cdist(x, x, compute_mode="use_mm_for_euclid_dist")
    lengths = x.norm(dim=1)
    whole.masked_fill_(whole < 1e-7 * (lengths[:, None] + lengths), 0.0)
    projected = among.project(features)
    return _Space(whole.numpy(), diversity.distances(projected, projected))


def _real_draws(
    points: _Space, mode: Indices, names: NDArray[np.str_], *, n: int, ruler: _Ruler, rng: np.random.Generator
) -> tuple[list[Measured], list[Measured]]:
    """Measure DRAWS whole real subsets and LOST_DRAWS that lost modes, against real images of other groups.

    Whole groups are drawn until there are n images: as few subjects as n images can be of, so that a held-out part
    of few subjects is nothing unusual. Without replacement: a bootstrap's repeats would be duplicates.
    """
    measured: list[Measured] = []
    for draw in range(DRAWS + LOST_DRAWS):
        order = _by_group(names, rng)
        chosen, rest = order[:n], order[n:]
        others = rest[names[rest] != names[chosen[-1]]]  # the last group may have been cut
        against = rng.choice(others if len(others) >= n else rest, n, replace=False)
        if draw >= DRAWS:
            chosen = _without_modes(chosen, mode, rng)
        measured.append(ruler.measure(points, subset=chosen, real=against))
    return measured[:DRAWS], measured[DRAWS:]


def _without_modes(chosen: Indices, mode: Indices, rng: np.random.Generator) -> Indices:
    """As many images, but only of half of the modes that are there, and only every fifth of those, over and over."""
    there = np.unique(mode[chosen])
    kept = chosen[np.isin(mode[chosen], rng.choice(there, max(1, len(there) // 2), replace=False))]
    few = rng.choice(kept, max(1, len(kept) // 5), replace=False)
    return rng.choice(few, len(chosen))


def _own_draws(
    candidate: Features, training: Features, among: Structure, *, n: int, ruler: _Ruler, rng: np.random.Generator
) -> Measured:
    """Measure n candidates against n training images: the median of OWN_DRAWS draws of both."""
    subset, measured = np.arange(n), []
    for _ in range(OWN_DRAWS):
        both = [of[rng.choice(len(of), n, replace=False)] for of in (candidate, training)]
        measured.append(ruler.measure(_space(np.concatenate(both), among), subset=subset, real=subset + n))
    return {name: float(np.median([one[name] for one in measured])) for name in measured[0]}


def _limits(
    whole: list[Measured], lost: list[Measured], held_out: Measured, *, same: float
) -> tuple[Measured, Measured]:
    """Of each measure, and of precision, what real images reach, and the value from which a set is beyond.

    Real images reach the median of whole subsets, or what held-out ones reach where that is worse. The edge of whole
    subsets is as many standard deviations from there as only FALSE_ALARMS of them exceed in any measure (by the
    largest deviation of each draw: Westfall and Young 1993). A set must also be more than halfway to subsets that
    lost modes, so that images merely less varied than real ones are not called collapsed. The further of the two is
    the limit.
    """
    names = ("precision", *MEASURES)
    sign = np.array([-1.0 if name in UPWARDS else 1.0 for name in names])  # so that less is worse
    table, gone = (np.array([[one[name] for name in names] for one in of]) * sign for of in (whole, lost))
    median, deviation = np.median(table, 0), table.std(0)
    below = np.divide(median - table, deviation, out=np.zeros_like(table), where=deviation > 0)
    reached = np.minimum(median, np.array([held_out[name] for name in names]) * sign)
    edge = reached - np.quantile(below.max(1), 1 - FALSE_ALARMS) * deviation
    halfway = (reached + np.median(gone, 0)) / 2
    # one image under noise: on average no further apart than what counts as one; a ratio, so halfway is geometric
    spread = names.index("spread")
    halfway[spread] = np.sqrt(reached[spread] * same)
    limit = np.where(np.array(names) == "precision", edge, np.minimum(edge, halfway))
    reached, limit = reached * sign, limit * sign
    return dict(zip(names, reached.tolist(), strict=True)), dict(zip(names, limit.tolist(), strict=True))
