"""Whether patients come out again, and what of them is in painted slices by design."""

from collections.abc import Iterable, Sequence

from data_contracts.manifest import NO_TUMOUR
from data_contracts.results import MemorisationScores
from reports.language import _, plural
from reports.numbers import decimal, digits_apart, percent, plain_interval, whole
from reports.wording.names import diagnosis_name, kind, slices_of


def of_regions(scores: MemorisationScores) -> bool:
    """Whether painted regions were judged, and not whole slices."""
    return (
        scores.compared == "regions" or scores.contains_patient_anatomy or scores.outside_copy_share is not None
    )  # what was compared, earlier runs did not note


def all_compared(memorisation: Iterable[MemorisationScores]) -> tuple[MemorisationScores, ...]:
    """Of each set its scores, and after them those of its parts: its canvases, and its painted regions."""
    return tuple(one for scores in memorisation for one in (scores, *scores.parts))


def compared_name(scores: MemorisationScores) -> str:
    """Which slices the scores are of, or what of them, in a table: `tumour`, `tumour, painted regions`."""
    said = {"canvases": _("{diagnosis}, before painting"), "regions": _("{diagnosis}, painted regions")}
    return said.get(scores.compared, "{diagnosis}").format(diagnosis=diagnosis_name(scores.diagnosis))


def compared_slices(scores: MemorisationScores) -> str:
    """The same by itself, before a colon: `tumour slices`, `painted regions of tumour slices`."""
    said = {"canvases": _("{kind} slices before painting"), "regions": _("painted regions of {kind} slices")}
    if scores.compared not in said:
        return slices_of(scores.diagnosis)
    return said[scores.compared].format(kind=kind(scores.diagnosis))


def held_out_name(scores: MemorisationScores) -> str:
    """What the synthetic slices of these scores, or their painted regions, stand beside."""
    return _("regions of held-out real slices") if of_regions(scores) else _("held-out real slices")


def anatomy_reading(memorisation: Sequence[MemorisationScores]) -> str:
    """That painted slices are slices of patients, how far they copy them, and what follows; empty of other sets."""
    painted = [scores for scores in memorisation if scores.contains_patient_anatomy and scores.n_generated]
    if not painted:
        return ""
    sentences = (_outside(painted), _within(painted), _("Treat the set as patient data."))
    return " ".join(sentences)


def _outside(painted: Sequence[MemorisationScores]) -> str:
    """That all but the region is a patient's, with the copy rate outside of it where it was measured."""
    told = [(s.outside_copy_share, s.n_generated) for s in painted if s.outside_copy_share is not None]
    if not told:
        return _("Each painted slice is a real patient’s slice but for the painted region.")
    share = sum(share * n for share, n in told) / sum(n for share, n in told)
    said = _(
        "Each painted slice is a real patient’s slice but for the painted region (copy rate outside of it: {rate})."
    )
    return said.format(rate=copy_rate(share))


def _within(painted: Sequence[MemorisationScores]) -> str:
    """Near-copies among the painted regions, beside regions of held-out real slices where there are any."""
    n, copies = sum(s.n_generated for s in painted), sum(s.n_near_copies for s in painted)
    n_real = sum(s.n_held_out_real for s in painted)
    real = sum(s.held_out_real_near_copy_share * s.n_held_out_real for s in painted) / n_real if n_real else 0.0
    if n_real:
        said = plural(
            "Inside: {copies} of {all} was near-copies ({share}); of {held_out} regions of held-out real slices the "
            "same rule calls {real} so.",
            "Inside: {copies} of {all} were near-copies ({share}); of {held_out} regions of held-out real slices the "
            "same rule calls {real} so.",
            copies,
        )
    else:
        said = plural(
            "Inside: {copies} of {all} was near-copies ({share}).",
            "Inside: {copies} of {all} were near-copies ({share}).",
            copies,
        )
    return said.format(
        copies=whole(copies), all=whole(n), share=percent(copies / n), held_out=whole(n_real), real=percent(real)
    )


def copy_rate(share: float) -> str:
    """A share of copies as a rate: `1` only where every slice is one, else with as many decimals as tell it from 1."""
    digits = digits_apart(share, 1.0, 2)
    told = decimal(share, digits)
    return "1" if share == 1 else _("just below 1") if told == decimal(1.0, digits) else told


def copies_reading(scores: MemorisationScores) -> str:
    """Near-copies of one diagnosis: how many were refused, and what the rule would say of real slices."""
    if scores.n_generated == 0:
        return _("No {kind} slices were generated.").format(kind=kind(scores.diagnosis))
    sentences = (
        _screened(scores),
        _for_its_region(scores),
        _moved(scores),
        _by_the_same_rule(scores),
        _distance(scores),
    )
    return " ".join(said for said in sentences if said)


def _screened(scores: MemorisationScores) -> str:
    """How many were refused, for what, and how many were kept."""
    near, broken, kept = scores.n_near_copies, scores.n_broken, scores.n_kept
    too_near = (
        plural(
            "{near} ({share}) was too near to a training slice inside the painted region",
            "{near} ({share}) were too near to a training slice inside the painted region",
            near,
        )
        if of_regions(scores)
        else plural(
            "{near} ({share}) was too near to a training slice",
            "{near} ({share}) were too near to a training slice",
            near,
        )
    )
    if of_regions(scores):
        said = _("Of {number} painted {kind} slices, {too_near} and {broken}; all of these were refused and {kept}.")
    elif scores.compared == "canvases":
        said = _(
            "Of {number} slices without a tumour, generated to paint {kind} slices on, {too_near} and {broken}; all of "
            "these were refused and {kept}."
        )
    else:
        said = _("Of {number} generated {kind} slices, {too_near} and {broken}; all of these were refused and {kept}.")
    return said.format(
        number=whole(scores.n_generated),
        kind=kind(scores.diagnosis),
        too_near=too_near.format(near=whole(near), share=percent(near / scores.n_generated)),
        broken=plural("{number} was broken", "{number} were broken", broken).format(number=whole(broken)),
        kept=plural("{number} was kept", "{number} were kept", kept).format(number=whole(kept)),
    )


def _for_its_region(scores: MemorisationScores) -> str:
    """How many slices were refused for their painted region; empty where none was."""
    n = sum(part.n_near_copies for part in scores.parts if part.compared == "regions")
    if not n:
        return ""
    return plural(
        "{number} of them had a painted region that was too near to one of a training slice, and was refused too.",
        "{number} of them had a painted region that was too near to one of a training slice, and were refused too.",
        n,
    ).format(number=whole(n))


def _moved(scores: MemorisationScores) -> str:
    """How many near-copies were found only after moving them; empty where there is nothing to tell."""
    n = scores.n_moved_copies
    if n is None or not scores.n_near_copies:
        return ""
    if not n:
        return _("No near-copy had to be shifted, scaled or turned to be found.")
    return plural(
        "{number} of the near-copies was found only by shifting, scaling or turning.",
        "{number} of the near-copies were found only by shifting, scaling or turning.",
        n,
    ).format(number=whole(n))


def _by_the_same_rule(scores: MemorisationScores) -> str:
    return _("The same rule would call {share} of {number} {held_out} near-copies.").format(
        share=percent(scores.held_out_real_near_copy_share),
        number=whole(scores.n_held_out_real),
        held_out=held_out_name(scores),
    )


def feature_copies_reading(scores: MemorisationScores) -> str:
    """Copies and authenticity in features, beside held-out real slices; empty where neither was measured."""
    found = " ".join(said for said in (_copied_in_features(scores), _authentic(scores)) if said)
    if not found:
        return ""
    if scores.extractor and of_regions(scores):
        said = _("In features of {extractor} inside the painted region: {found}")
    elif scores.extractor:
        said = _("In features of {extractor}: {found}")
    elif of_regions(scores):
        said = _("In features inside the painted region: {found}")
    else:
        said = _("In features: {found}")
    return said.format(extractor=scores.extractor, found=found)


def _copied_in_features(scores: MemorisationScores) -> str:
    share, real = scores.feature_copy_share, scores.held_out_real_feature_copy_share
    if share is None or real is None:
        return ""
    said = (
        _(
            "{share} of {number} painted {kind} slices lie nearer to a training slice than slices of different "
            "subjects almost ever do, {comparison} ({real})."
        )
        if of_regions(scores)
        else _(
            "{share} of {number} generated {kind} slices lie nearer to a training slice than slices of different "
            "subjects almost ever do, {comparison} ({real})."
        )
    )
    beside = (
        _("more than among {number} {held_out}")
        if share > real
        else _("fewer than among {number} {held_out}")
        if share < real
        else _("as many as among {number} {held_out}")
    )
    return said.format(
        share=percent(share),
        number=whole(scores.n_generated),
        kind=kind(NO_TUMOUR if scores.compared == "canvases" else scores.diagnosis),
        comparison=beside.format(number=whole(scores.n_held_out_real), held_out=held_out_name(scores)),
        real=percent(real),
    )


def _authentic(scores: MemorisationScores) -> str:
    own, real = scores.authenticity, scores.held_out_real_authenticity
    if own is None or real is None:
        return ""
    beside = (
        _("more than among the {held_out}")
        if own > real
        else _("fewer than among the {held_out}")
        if own < real
        else _("as many as among the {held_out}")
    )
    return _(
        "{share} are authentic, farther from their nearest training slice than that one is from other subjects, "
        "{comparison} ({real}); many fewer would speak of copying."
    ).format(share=percent(own, 0), comparison=beside.format(held_out=held_out_name(scores)), real=percent(real, 0))


def membership_reading(scores: MemorisationScores) -> str:
    """Can one tell who was in the training part from the synthetic slices alone? Empty where it was not tried."""
    auc = scores.membership_auc
    if auc is None:
        return ""
    found = _attack(scores).format(
        auc=plain_interval(auc),
        guessing=decimal(0.5, 1),
        number=whole(scores.n_held_out_real),
        held_out=held_out_name(scores),
        kind=kind(scores.diagnosis),
    )
    if auc.low > 0.5:
        said = _("One can tell, better than by guessing, who was in the training part: {found}.")
    elif auc.high < 0.5:
        said = _(
            "Held-out slices lie nearer to synthetic ones than training slices do, so no one is given away: {found}."
        )
    else:
        said = _(
            "This attack could not tell who was in the training part: {found}. An AUC of up to {most} is not ruled "
            "out, nor an attack of another kind."
        )
    return said.format(found=found, most=decimal(auc.high, 2))


def _attack(scores: MemorisationScores) -> str:
    """The result of the attack and what it was made on, its places still to be filled."""
    if scores.contains_patient_anatomy:
        return _(
            "AUC {auc}, {guessing} is guessing; training slices against {number} {held_out}, by their nearest of the "
            "synthetic {kind} slices, of the painted region alone; the anatomy around it shows its patient in any case"
        )
    if of_regions(scores):
        return _(
            "AUC {auc}, {guessing} is guessing; training slices against {number} {held_out}, by their nearest of the "
            "synthetic {kind} slices, of the painted region alone"
        )
    return _(
        "AUC {auc}, {guessing} is guessing; training slices against {number} {held_out}, by their nearest of the "
        "synthetic {kind} slices"
    )


def _distance(scores: MemorisationScores) -> str:
    synthetic, real = scores.median_distance_synthetic, scores.median_distance_held_out_real
    return _(
        "{comparison} (relative distance {synthetic} and {real}; 0 is a copy, 1 is no nearer to one patient than to "
        "the next)."
    ).format(
        comparison=_nearer_regions(synthetic, real) if of_regions(scores) else _nearer_slices(synthetic, real),
        synthetic=decimal(synthetic, 3),
        real=decimal(real, 3),
    )


def _nearer_regions(synthetic: float, real: float) -> str:
    if synthetic < real:
        return _("The median painted region lies nearer to a training slice than a region of a held-out real one does")
    if synthetic > real:
        return _(
            "The median painted region lies farther from a training slice than a region of a held-out real one does"
        )
    return _("The median painted region lies just as far from a training slice as a region of a held-out real one does")


def _nearer_slices(synthetic: float, real: float) -> str:
    if synthetic < real:
        return _("The median synthetic slice lies nearer to a training slice than a held-out real one does")
    if synthetic > real:
        return _("The median synthetic slice lies farther from a training slice than a held-out real one does")
    return _("The median synthetic slice lies just as far from a training slice as a held-out real one does")
