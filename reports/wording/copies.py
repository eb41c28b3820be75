"""Whether patients come out again, and what of them is in painted slices by design."""

from collections.abc import Sequence

from data_contracts.results import MemorisationScores
from reports.numbers import decimal, digits_apart, percent, plain_interval, was
from reports.wording.names import slices_of

INSIDE = " inside the painted region"


def of_regions(scores: MemorisationScores) -> bool:
    """Whether painted regions were judged, and not whole slices."""
    return scores.contains_patient_anatomy or scores.outside_copy_share is not None


def held_out_name(scores: MemorisationScores) -> str:
    """What the synthetic slices of these scores, or their painted regions, stand beside."""
    return f"{'regions of ' if of_regions(scores) else ''}held-out real slices"


def anatomy_reading(memorisation: Sequence[MemorisationScores]) -> str:
    """That painted slices are slices of patients, how far they copy them, and what follows; empty of other sets."""
    painted = [scores for scores in memorisation if scores.contains_patient_anatomy and scores.n_generated]
    if not painted:
        return ""
    n, copies = sum(s.n_generated for s in painted), sum(s.n_near_copies for s in painted)
    n_real = sum(s.n_held_out_real for s in painted)
    real = sum(s.held_out_real_near_copy_share * s.n_held_out_real for s in painted) / n_real if n_real else 0.0
    told = [(s.outside_copy_share, s.n_generated) for s in painted if s.outside_copy_share is not None]
    outside = ""
    if told:
        share = sum(share * of for share, of in told) / sum(of for _, of in told)
        outside = f" (copy rate outside of it: {copy_rate(share)})"
    beside = f"; of {n_real:,} regions of held-out real slices the same rule calls {percent(real)} so" if n_real else ""
    return (
        f"Each painted slice is a real patient’s slice but for the painted region{outside}. Inside: {copies:,} of "
        f"{n:,} {was(copies)} near-copies ({percent(copies / n)}){beside}. Treat the set as patient data."
    )


def copy_rate(share: float) -> str:
    """A share of copies as a rate: `1` only where every slice is one, else with as many decimals as tell it from 1."""
    digits = digits_apart(share, 1.0, 2)
    told = decimal(share, digits)
    return "1" if share == 1 else "just below 1" if told == decimal(1.0, digits) else told


def copies_reading(scores: MemorisationScores) -> str:
    """Near-copies of one diagnosis: how many were refused, and what the rule would say of real slices."""
    if scores.n_generated == 0:
        return f"No {slices_of(scores.diagnosis)} were generated."
    share = percent(scores.n_near_copies / scores.n_generated)
    return (
        f"Of {scores.n_generated:,} {_made(scores)} {slices_of(scores.diagnosis)}, {scores.n_near_copies:,} ({share}) "
        f"{was(scores.n_near_copies)} too near to a training slice{_inside(scores)} and {scores.n_broken:,} "
        f"{was(scores.n_broken)} broken; all of these were refused and {scores.n_kept:,} {was(scores.n_kept)} kept. "
        f"{_moved(scores)}The same rule would call {percent(scores.held_out_real_near_copy_share)} of "
        f"{scores.n_held_out_real:,} {held_out_name(scores)} near-copies. "
        f"{_distance(scores)}"
    )


def _made(scores: MemorisationScores) -> str:
    return "painted" if of_regions(scores) else "generated"


def _inside(scores: MemorisationScores) -> str:
    return INSIDE if of_regions(scores) else ""


def _moved(scores: MemorisationScores) -> str:
    """How many near-copies were found only after moving them; ends with a space, or is empty."""
    n = scores.n_moved_copies
    if n is None or not scores.n_near_copies:
        return ""
    if not n:
        return "No near-copy had to be shifted, scaled or turned to be found. "
    return f"{n:,} of the near-copies {was(n)} found only by shifting, scaling or turning. "


def feature_copies_reading(scores: MemorisationScores) -> str:
    """Copies and authenticity in features, beside held-out real slices; empty where neither was measured."""
    n, n_real = f"{scores.n_generated:,} {_made(scores)}", f"{scores.n_held_out_real:,} {held_out_name(scores)}"
    found = []
    share, real = scores.feature_copy_share, scores.held_out_real_feature_copy_share
    if share is not None and real is not None:
        found.append(
            f"{percent(share)} of {n} {slices_of(scores.diagnosis)} lie nearer to a training slice than slices of "
            f"different subjects almost ever do, {_more(share, real)} among {n_real} ({percent(real)})."
        )
    own, real = scores.authenticity, scores.held_out_real_authenticity
    if own is not None and real is not None:
        found.append(
            f"{percent(own, 0)} are authentic, farther from their nearest training slice than that one is from other "
            f"subjects, {_more(own, real)} among the {held_out_name(scores)} ({percent(real, 0)}); many fewer would "
            "speak of copying."
        )
    if not found:
        return ""
    of = f" of {scores.extractor}" if scores.extractor else ""
    return f"In features{of}{_inside(scores)}: {' '.join(found)}"


def _more(share: float, real: float) -> str:
    return "more than" if share > real else "fewer than" if share < real else "as many as"


def membership_reading(scores: MemorisationScores) -> str:
    """Can one tell who was in the training part from the synthetic slices alone? Empty where it was not tried."""
    auc = scores.membership_auc
    if auc is None:
        return ""
    found = (
        f"AUC {plain_interval(auc)}, 0.5 is guessing; training slices against {scores.n_held_out_real:,} "
        f"{held_out_name(scores)}, by their nearest of the synthetic {slices_of(scores.diagnosis)}"
    )
    if of_regions(scores):
        found = f"{found}, of the painted region alone"
    if scores.contains_patient_anatomy:
        found = f"{found}; the anatomy around it shows its patient in any case"
    if auc.low > 0.5:
        return f"One can tell, better than by guessing, who was in the training part: {found}."
    if auc.high < 0.5:
        return (
            f"Held-out slices lie nearer to synthetic ones than training slices do, so no one is given away: {found}."
        )
    return (
        f"This attack could not tell who was in the training part: {found}. An AUC of up to {decimal(auc.high, 2)} is "
        "not ruled out, nor an attack of another kind."
    )


def _distance(scores: MemorisationScores) -> str:
    synthetic, real = scores.median_distance_synthetic, scores.median_distance_held_out_real
    where = "nearer to" if synthetic < real else "farther from" if synthetic > real else "just as far from"
    than = "as" if where == "just as far from" else "than"
    median, one = ("painted region", "region of a ") if of_regions(scores) else ("synthetic slice", "")
    return (
        f"The median {median} lies {where} a training slice {than} a {one}held-out real one does (relative distance "
        f"{decimal(synthetic, 3)} and {decimal(real, 3)}; 0 is a copy, 1 is no nearer to one patient than to the next)."
    )
