"""Which training images make up a batch."""

from collections.abc import Callable, Sequence
from typing import Literal

import torch

Sampling = Literal["uniform", "balanced", "weighted", "stratified"]
Draw = Callable[[int, torch.Generator], torch.Tensor]


def sampler(conditions: torch.Tensor, *, sampling: Sampling, weights: Sequence[float] = ()) -> Draw:
    """Return a function of (n, rng) that draws n rows, int64 (n,), with replacement; always in the order drawn.

    conditions: int64 (N,), each row's condition (a class, a height).
    - uniform: every row is equally likely.
    - balanced: every condition that has rows is equally likely, and so is every row in it.
    - weighted: condition c is drawn in proportion to weights[c], then every row in it is equally likely.
    - stratified: every n rows hold each condition as often as its share of all rows says, up to one row more or less
      (systematic sampling, Madow 1949), so that the mean share is exact and no batch strays from it.
    Raises ValueError where the weights do not fit the conditions.
    """
    if sampling == "uniform":
        return lambda n, rng: torch.randint(len(conditions), (n,), generator=rng)
    by_condition = torch.argsort(conditions, stable=True)
    # conditions without rows count too: a copy of a joint GAN is shown some of its conditions only
    counts = torch.bincount(conditions, minlength=len(weights))
    starts = counts.cumsum(0) - counts
    shares = _shares(counts, sampling, weights)

    def draw(n: int, rng: torch.Generator) -> torch.Tensor:
        if sampling == "stratified":
            # n points one apart on a line of length n, of which each condition owns its share
            points = torch.rand(1, generator=rng, dtype=torch.float64) + torch.arange(n)
            chosen = torch.searchsorted(shares.cumsum(0) * n, points, right=True).clamp(max=int(conditions.max()))
        else:
            chosen = torch.multinomial(shares, n, replacement=True, generator=rng)
        within = torch.rand(n, generator=rng, dtype=torch.float64) * counts[chosen]
        return by_condition[starts[chosen] + within.long()]

    return draw


def _shares(counts: torch.Tensor, sampling: Sampling, weights: Sequence[float]) -> torch.Tensor:
    """How often each condition is drawn, float64 (conditions,), summing to 1; never one without rows."""
    if sampling == "balanced":
        share = (counts > 0).double()
    elif sampling == "stratified":
        share = counts.double()
    else:
        if len(weights) != len(counts):
            raise ValueError(f"condition_weights has {len(weights)} entries and there are {len(counts)} conditions")
        share = torch.tensor(weights, dtype=torch.float64) * (counts > 0)
        if not share.sum() > 0:
            raise ValueError("condition_weights gives no condition that has images a weight above 0")
    return share / share.sum()
