"""Whether the synthetic slices are as varied as real ones, and whether a generator lost modes."""

from collections.abc import Sequence
from typing import Final

from data_contracts.results import PRIMARY_EXTRACTOR, CollapseReason, FidelityScores, SetScores
from reports.language import _, later, plural
from reports.numbers import decimal, digits_apart, percent, sample_size, significant, whole
from reports.wording.names import kind, slices_title

SMALLEST_FRECHET: Final = 2000  # slices; below it the bias of the distance is of the size of the distance
PAINTED_VARIETY: Final = later(
    "Whole heads are compared, and those of painted slices are their sources’ own; whether the painted regions vary is "
    "not told by that."
)
PAINTED_FIGURES: Final = later(
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
    return _(
        "Synthetic {kind} slices cover {coverage} of the real training slices; held-out real slices cover "
        "{real_coverage}. {recall} of the real training slices lie within reach of the synthetic ones (held-out real: "
        "{real_recall}). {precision} of the synthetic slices look like a training slice (held-out real: "
        "{real_precision}). They lie {spread} times as far apart as the training slices do (held-out real: "
        "{real_spread}). n = {n} slices of each, {neighbours}."
    ).format(
        kind=kind(scores.diagnosis),
        coverage=percent(synthetic.coverage, 0),
        real_coverage=percent(real.coverage, 0),
        recall=percent(synthetic.recall, 0),
        real_recall=percent(real.recall, 0),
        precision=percent(synthetic.precision, 0),
        real_precision=percent(real.precision, 0),
        spread=decimal(synthetic.spread, 2),
        real_spread=decimal(real.spread, 2),
        n=whole(scores.n),
        neighbours=plural("{n} neighbour", "{n} neighbours", scores.k),
    )


_FEWEST_DECIMALS: Final = {
    "coverage": 0,
    "recall": 0,
    "duplicate_share": 1,
    "vendi": 0,
    "spread": 2,
    "dissimilarity": 2,
}
_SHARES: Final = ("coverage", "recall", "duplicate_share")


def reason_values(reason: CollapseReason) -> tuple[str, str, str]:
    """Value, limit and what real subsets reach, with as many decimals as tell the value from its limit."""
    is_share = reason.measure in _SHARES
    factor = 100 if is_share else 1
    digits = digits_apart(factor * reason.value, factor * reason.limit, _FEWEST_DECIMALS[reason.measure])
    written = percent if is_share else decimal
    return written(reason.value, digits), written(reason.limit, digits), written(reason.real, digits)


def is_above(reason: CollapseReason) -> bool:
    """Whether a measure speaks of a collapse above its limit, and not below it."""
    return reason.measure == "duplicate_share"


def collapsed_side(reason: CollapseReason) -> str:
    """On which side of its limit a measure speaks of a collapse."""
    return _("above") if is_above(reason) else _("below")


def collapse_phrase(reason: CollapseReason, n: int) -> str:
    """One measure of diversity of n slices, with its limit and what real subsets of as many reach."""
    value, limit, real = reason_values(reason)
    measured = {
        "coverage": _("coverage {value}"),
        "recall": _("recall {value}"),
        "vendi": _("as varied as {value} different slices of {n}"),
        "spread": _("{value} times as far apart as training slices"),
        "duplicate_share": _("{value} all but repeat another"),
        "dissimilarity": _("dissimilarity of two slices {value}"),
    }[reason.measure].format(value=value, n=whole(n))
    said = (
        _("{measured} (collapse: above {limit}; real slices: {real})")
        if is_above(reason)
        else _("{measured} (collapse: below {limit}; real slices: {real})")
    )
    return said.format(measured=measured, limit=limit, real=real)


def beyond_limits(scores: FidelityScores) -> str:
    """The measures on the collapsed side of their limits, a phrase each; empty where there are none."""
    return "; ".join(collapse_phrase(r, scores.collapse.n) for r in scores.collapse.reasons if r.beyond)


def collapse_reading(scores: FidelityScores) -> str:
    """Whether the generator lost modes, and by which measures."""
    beyond = beyond_limits(scores)
    if scores.collapse.mode_collapse:
        said = _("Mode collapse, the generator of {kind} slices repeats itself: {measures}.")
    elif beyond:
        said = _("No mode collapse of {kind} slices was found, but less variety than in real ones: {measures}.")
    else:
        said = _("No mode collapse of {kind} slices was found.")
    measures = beyond or _("its measures together, none of them beyond its limit alone")
    return said.format(kind=kind(scores.diagnosis), measures=measures)


def elsewhere_reading(others: Sequence[FidelityScores]) -> str:
    """In which sets of slices features that do not decide found a mode collapse; empty where they found none."""
    lost = [scores for scores in others if scores.collapse.mode_collapse]
    if not lost:
        return ""
    return _(
        "In features that do not decide, a mode collapse was found in {n} of {sets} sets ({which}). The light of "
        "diversity does not follow from them."
    ).format(
        n=whole(len(lost)),
        sets=whole(len(others)),
        which="; ".join(f"{scores.extractor}: {slices_title(scores, several_folds=True)}" for scores in lost),
    )


def collapse_basis(scores: FidelityScores) -> str:
    """Where the limits of the verdict come from, and what it cannot see."""
    verdict = scores.collapse
    said = _("Limits from {draws} of {n} real slices, whole ones and ones with modes taken away.").format(
        draws=plural("{n} draw", "{n} draws", verdict.n_draws), n=whole(verdict.n)
    )
    too_small = _("A loss too small for them would not show.")
    return said if verdict.mode_collapse else f"{said} {too_small}"


def variety_reading(scores: FidelityScores) -> str:
    """How many different slices the set is worth, and how many its generator may know, beside the references."""
    synthetic, n = scores.synthetic, scores.n
    beside = _beside([(name, decimal(s.vendi, 1)) for name, s in references(scores)])
    if synthetic.support is None:
        known = _(
            "No two of them are all but alike, so how many different ones the generator may know cannot be told from "
            "{n}."
        ).format(n=whole(n))
    else:
        known = _(
            "{share} of them all but repeat another (held-out real: {real}): the generator may know about {support} "
            "different slices (birthday estimate)."
        ).format(
            share=percent(synthetic.duplicate_share),
            real=percent(scores.held_out_real.duplicate_share),
            support=whole(round(synthetic.support)),
        )
    return _("Synthetic {kind} slices are as varied as {vendi} different slices of {n} ({beside}). {known}").format(
        kind=kind(scores.diagnosis), vendi=decimal(synthetic.vendi, 1), n=whole(n), beside=beside, known=known
    )


def frechet_reading(scores: FidelityScores) -> str:
    """The Frechet distance with its n and what it may be compared with."""
    said = (
        _(
            "Frechet distance {distance} at {n} ({beside}): too few for a Frechet distance that can be compared "
            "elsewhere."
        )
        if scores.n < SMALLEST_FRECHET
        else _(
            "Frechet distance {distance} at {n} ({beside}): compare it only with one of as many slices in the same "
            "features."
        )
    )
    return said.format(
        distance=significant(scores.synthetic.frechet),
        n=sample_size(scores.n),
        beside=_beside([(name, significant(s.frechet)) for name, s in references(scores)]),
    )


def references(scores: FidelityScores) -> tuple[tuple[str, SetScores], ...]:
    """What the synthetic set stands beside, all of as many slices, from the best to hope for to the worst."""
    return (
        (_("held-out real"), scores.held_out_real),
        (_("a few repeated"), scores.collapsed),
        (_("noise"), scores.noise),
    )


def _beside(values: Sequence[tuple[str, str]]) -> str:
    return "; ".join(f"{name}: {value}" for name, value in values)
