"""Whether the synthetic slices are as varied as real ones, and whether a generator lost modes."""

from collections.abc import Sequence
from typing import Final

from data_contracts.results import PRIMARY_EXTRACTOR, CollapseReason, FidelityScores, MetricSet, SetScores
from reports.numbers import NBSP, count, decimal, digits_apart, percent, significant
from reports.wording.names import slices_of

SMALLEST_FRECHET: Final = 2000  # slices; below it the bias of the distance is of the size of the distance
PAINTED_VARIETY: Final = (
    "Whole heads are compared, and those of painted slices are their sources’ own; whether the painted regions vary is "
    "not told by that."
)
PAINTED_FIGURES: Final = (
    "So what the figures below say of variety is of the list of sources, how varied its heads are and how often one "
    "comes again, and speaks neither for nor against the painters."
)


def primary_fidelity(fidelity: Sequence[FidelityScores]) -> tuple[FidelityScores, ...]:
    """Those in the feature space that decides, or of the first extractor where that one was not used."""
    names = [scores.extractor for scores in fidelity]
    name = PRIMARY_EXTRACTOR if PRIMARY_EXTRACTOR in names else next(iter(names), "")
    return tuple(scores for scores in fidelity if scores.extractor == name)


def diversity_reading(scores: FidelityScores) -> str:
    """Coverage, recall and spread of one diagnosis in words, beside held-out real slices."""
    synthetic, real = scores.synthetic, scores.held_out_real
    name = slices_of(scores.diagnosis)
    return (
        f"Synthetic {name} cover {percent(synthetic.coverage, 0)} of the real training slices; held-out real slices "
        f"cover {percent(real.coverage, 0)}. {percent(synthetic.recall, 0)} of the real training slices lie "
        f"within reach of the synthetic ones (held-out real: {percent(real.recall, 0)}). {_precision(synthetic, real)} "
        f"{_spread(synthetic, real)} n = {scores.n:,} slices of each, {count(scores.k, 'neighbour', 'neighbours')}."
    )


def _precision(synthetic: MetricSet, real: MetricSet) -> str:
    return (
        f"{percent(synthetic.precision, 0)} of the synthetic slices look like a training slice "
        f"(held-out real: {percent(real.precision, 0)})."
    )


def _spread(synthetic: MetricSet, real: MetricSet) -> str:
    return (
        f"They lie {decimal(synthetic.spread, 2)} times as far apart as the training slices do "
        f"(held-out real: {real.spread:.2f})."
    )


_SCALES: Final[dict[str, tuple[float, str, int]]] = {  # factor, unit, fewest decimals
    "coverage": (100, f"{NBSP}%", 0),
    "recall": (100, f"{NBSP}%", 0),
    "duplicate_share": (100, f"{NBSP}%", 1),
    "vendi": (1, "", 0),
    "spread": (1, "", 2),
    "dissimilarity": (1, "", 2),
}


def reason_values(reason: CollapseReason) -> tuple[str, str, str]:
    """Value, limit and what real subsets reach, with as many decimals as tell the value from its limit."""
    factor, unit, fewest = _SCALES[reason.measure]
    digits = digits_apart(factor * reason.value, factor * reason.limit, fewest)
    value, limit, real = (decimal(factor * x, digits) + unit for x in (reason.value, reason.limit, reason.real))
    return value, limit, real


def collapsed_side(reason: CollapseReason) -> str:
    """On which side of its limit a measure speaks of a collapse."""
    return "above" if reason.measure == "duplicate_share" else "below"


def collapse_phrase(reason: CollapseReason, n: int) -> str:
    """One measure of diversity of n slices, with its limit and what real subsets of as many reach."""
    value, limit, real = reason_values(reason)
    said = {
        "coverage": f"coverage {value}",
        "recall": f"recall {value}",
        "vendi": f"as varied as {value} different slices of {n:,}",
        "spread": f"{value} times as far apart as training slices",
        "duplicate_share": f"{value} all but repeat another",
        "dissimilarity": f"dissimilarity of two slices {value}",
    }[reason.measure]
    return f"{said} (collapse: {collapsed_side(reason)} {limit}; real slices: {real})"


def beyond_limits(scores: FidelityScores) -> str:
    """The measures on the collapsed side of their limits, a phrase each; empty where there are none."""
    return "; ".join(collapse_phrase(r, scores.collapse.n) for r in scores.collapse.reasons if r.beyond)


def collapse_reading(scores: FidelityScores) -> str:
    """Whether the generator lost modes, and by which measures."""
    name, beyond = slices_of(scores.diagnosis), beyond_limits(scores)
    if scores.collapse.mode_collapse:
        why = beyond or "its measures together, none of them beyond its limit alone"
        return f"Mode collapse, the generator of {name} repeats itself: {why}."
    if beyond:
        return f"No mode collapse of {name} was found, but less variety than in real ones: {beyond}."
    return f"No mode collapse of {name} was found."


def collapse_basis(scores: FidelityScores) -> str:
    """Where the limits of the verdict come from, and what it cannot see."""
    verdict = scores.collapse
    said = (
        f"Limits from {count(verdict.n_draws, 'draw', 'draws')} of {verdict.n:,} real slices, whole ones and ones with "
        "modes taken away."
    )
    return said if verdict.mode_collapse else f"{said} A loss too small for them would not show."


def variety_reading(scores: FidelityScores) -> str:
    """How many different slices the set is worth, and how many its generator may know, beside the references."""
    synthetic, n = scores.synthetic, scores.n
    beside = _beside([(name, decimal(s.vendi, 1)) for name, s in references(scores)])
    if synthetic.support is None:
        known = (
            "No two of them are all but alike, so how many different ones the generator may know cannot be told from "
            f"{n:,}."
        )
    else:
        known = (
            f"{percent(synthetic.duplicate_share)} of them all but repeat another (held-out real: "
            f"{percent(scores.held_out_real.duplicate_share)}): the generator may know about "
            f"{round(synthetic.support):,} different slices (birthday estimate)."
        )
    return (
        f"Synthetic {slices_of(scores.diagnosis)} are as varied as {decimal(synthetic.vendi, 1)} different slices of "
        f"{n:,} ({beside}). {known}"
    )


def frechet_reading(scores: FidelityScores) -> str:
    """The Frechet distance with its n and what it may be compared with."""
    beside = _beside([(name, significant(s.frechet)) for name, s in references(scores)])
    few = (
        "too few for a Frechet distance that can be compared elsewhere"
        if scores.n < SMALLEST_FRECHET
        else "compare it only with one of as many slices in the same features"
    )
    return f"Frechet distance {significant(scores.synthetic.frechet)} at n{NBSP}={NBSP}{scores.n:,} ({beside}): {few}."


def references(scores: FidelityScores) -> tuple[tuple[str, SetScores], ...]:
    """What the synthetic set stands beside, all of as many slices, from the best to hope for to the worst."""
    return (
        ("held-out real", scores.held_out_real),
        ("a few repeated", scores.collapsed),
        ("noise", scores.noise),
    )


def _beside(values: Sequence[tuple[str, str]]) -> str:
    return "; ".join(f"{name}: {value}" for name, value in values)
