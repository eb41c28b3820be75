"""What the run answers about the synthetic set itself: how many slices, what they show, what they are fit for."""

from collections.abc import Sequence

from data_contracts.results import ArmScores, MemorisationScores, RunSummary
from reports.checklists.items import Answer, met, partly, unknown
from reports.checklists.readers import diagnoses_seen, readers_anchor, told_apart
from reports.language import _, plural
from reports.lights import copies_light, diversity_light
from reports.numbers import percent, percent_interval, slices, units, whole
from reports.settings import text
from reports.wording.controls import failed_controls
from reports.wording.copies import anatomy_reading
from reports.wording.data import lesions_reading
from reports.wording.names import find_arm, is_painted, kind, on_generated
from reports.wording.paste import recommendation
from reports.wording.transfer import flagged, transfer_count, transfer_reading
from reports.wording.verdict import advice


def screened(summary: RunSummary) -> tuple[MemorisationScores, ...]:
    """What went through the screen, of every fold and diagnosis for which anything was made."""
    return tuple(scores for scores in summary.memorisation if scores.n_generated > 0)


def not_screened() -> Answer:
    """The answer where no set is known."""
    return unknown(_("This run screened no synthetic slices."), anchor="copies")


# --- what is in it ---


def one_piece(summary: RunSummary) -> Answer:
    """What a single record of the set is."""
    size = summary.data.image_size
    told = _("One slice of a head, {size} × {size} pixels, in greys without a unit.").format(size=size)
    if on_generated(summary):
        twice = _("It was generated, then one region of it was painted anew; beside it stands a mask of its lesion.")
        return met("diversity", told, twice)
    if not is_painted(summary):
        return met("diversity", told, _("It was generated as a whole, together with nothing else of the scan."))
    painted = _("It is another slice in which one region was painted; beside it stands a mask of its lesion.")
    return met("diversity", told, painted)


def counts(summary: RunSummary) -> Answer:
    """Slices that passed the screen, in all and in every fold, by diagnosis."""
    found = screened(summary)
    if not found:
        return not_screened()
    total = _("In all {slices} passed the screen.").format(slices=slices(sum(scores.n_kept for scores in found)))
    return met("copies", total, *_by_fold(found))


def _by_fold(found: Sequence[MemorisationScores]) -> list[str]:
    told = _("Fold {fold}: {counts}.")
    return [
        told.format(
            fold=fold,
            counts=", ".join(
                plural("{n} {kind} slice", "{n} {kind} slices", scores.n_kept).format(kind=kind(scores.diagnosis))
                for scores in found
                if scores.fold == fold
            ),
        )
        for fold in dict.fromkeys(scores.fold for scores in found)
    ]


def comes_with(summary: RunSummary) -> Answer:
    """What is known of each slice, and what never is."""
    mask = _("The mask of its lesion, the slice it was painted on and the seed stand beside it.")
    return partly(
        "data",
        _("Each slice comes with the diagnosis that it was made to show."),
        mask if is_painted(summary) or on_generated(summary) else "",
        _("Its files state neither pixel size nor plane nor sequence, and it has no age and no sex."),
    )


def diagnoses_hold(summary: RunSummary) -> Answer:
    """Whether the slices show the diagnosis that they are called by: as far as a classifier of real ones can tell."""
    seen_by = diagnoses_seen(summary)
    readers = seen_by or _("No reader was asked whether each slice shows its diagnosis.")
    if not summary.transfer:
        return met(readers_anchor(summary), seen_by) if seen_by else unknown(readers, anchor="limits")
    seen = sum(scores.real_to_synthetic for scores in summary.transfer) / len(summary.transfer)
    told = _("A classifier of real slices names it with {accuracy} balanced accuracy; 50 % is guessing.")
    said = told.format(accuracy=percent(seen))
    return met(readers_anchor(summary), seen_by, said) if seen_by else partly("transfer", said, readers)


def shows_patients(summary: RunSummary) -> Answer:
    """Whether patients are to be seen in it, by design or as copies."""
    found = screened(summary)
    if not found:
        return unknown(_("Copies of patients were not looked for."), anchor="copies")
    anatomy = anatomy_reading(found)
    if anatomy:
        return met("copies", anatomy)
    by_design = (
        _("Not by design: painted slices stand on generated heads.")
        if is_painted(summary) or on_generated(summary)
        else _("Not by design: slices were generated as a whole.")
    )
    return partly(
        "copies", by_design, copies_light(found).why, _("This does not prove that no patient can be recognised.")
    )


def variety(summary: RunSummary) -> Answer:
    """How varied it is, as the light of the first screen says."""
    light = diversity_light(summary.fidelity, summary.training, painted=is_painted(summary))
    if light.level == "unknown":
        return unknown(light.why, anchor="diversity")
    return met("diversity", f"{light.word}.", light.why)


def shortcuts(summary: RunSummary) -> Answer:
    """Whether it carries signs that real slices do not have."""
    if not summary.transfer:
        return unknown(_("This run did not look for shortcuts in the synthetic set."), anchor="shortcuts")
    return met("transfer", transfer_reading(summary.transfer))


def parts(summary: RunSummary) -> Answer:
    """Which parts of it go with which real slices."""
    together = _("For training alone, and those of a fold only beside the real training slices of that fold.")
    if summary.data.folds_evaluated * summary.data.repeats == 1:
        return met("data", together, _("What made them learned from real training slices and from no test slice."))
    return met(
        "data",
        together,
        _("What made them learned from slices that are tested on in other folds, so do not mix folds."),
    )


# --- how it was made and screened ---


def method(summary: RunSummary) -> Answer:
    """By which kind of network."""
    strategy = "paint" if is_painted(summary) else text(summary, "synthesis", "strategy")
    told = {
        "per_class": _("By a generative adversarial network for each diagnosis."),
        "joint": _("By one generative adversarial network, told which diagnosis to make."),
        "finetune": _("By one generative adversarial network for both diagnoses, a copy trained on for each of them."),
        "paint": _("By painters, which lay lesions into slices and healthy tissue over lesions; the rest stays."),
        "dream_and_paint": _(
            "By a generative adversarial network of slices without a tumour, and by painters, which lay lesions into "
            "some of its slices and healthy tissue into others."
        ),
    }.get(strategy)
    if told is None:
        return partly("training", _("By generative adversarial networks; how they hang together was not recorded."))
    return met("training", told, lesions_reading(summary.lesions))


def learned_from(summary: RunSummary) -> Answer:
    """How many real slices and patients each network learned from."""
    if not summary.training:
        return unknown(_("This run recorded no training of what made the slices."), anchor="training")
    told = _("Networks that make {kind} slices learned from {low} to {high} of up to {units}.")
    same = _("Networks that make {kind} slices learned from {high} of up to {units}.")
    known = summary.data.subjects_known
    sentences = []
    for diagnosis in dict.fromkeys(record.diagnosis for record in summary.training):
        of = [record for record in summary.training if record.diagnosis == diagnosis]
        n = sorted(record.n_slices for record in of)
        sentences.append(
            (same if n[0] == n[-1] else told).format(
                kind=kind(diagnosis),
                low=whole(n[0]),
                high=slices(n[-1]),
                units=units(max(record.n_subjects for record in of), known=known),
            )
        )
    theirs = (
        _("All of these are real slices of the training part.")
        if len({record.fold for record in summary.training}) == 1
        else _("All of these are real slices of the training part of their fold.")
    )
    return met("training", *sentences, theirs)


def screen(summary: RunSummary) -> Answer:
    """What was refused before anything was used."""
    found = screened(summary)
    if not found:
        return not_screened()
    told = _("Of {made}, {copies} were refused as near-copies of a patient and {broken} as broken; {kept} were kept.")
    return met(
        "copies",
        told.format(
            made=slices(sum(scores.n_generated for scores in found)),
            copies=whole(sum(_refused_as_copies(scores) for scores in found)),
            broken=whole(sum(scores.n_broken for scores in found)),
            kept=whole(sum(scores.n_kept for scores in found)),
        ),
        _("Nobody looked through what was kept."),
    )


def _refused_as_copies(scores: MemorisationScores) -> int:
    """Near-copies; of slices that are judged in parts too, all that were refused and not broken."""
    return scores.n_generated - scores.n_kept - scores.n_broken if scores.parts else scores.n_near_copies


# --- uses ---


def uses(summary: RunSummary) -> Answer:
    """What the verdict recommends; where a control failed, nothing."""
    if failed_controls(summary):
        return met("verdict", _("For nothing: a control of this study failed, so nothing in it speaks for any use."))
    sound = _("As a subject of research on synthetic images, with its limits.")
    return met("verdict", advice(summary), recommendation(summary), sound)


def unsuited(summary: RunSummary) -> Answer:
    """What it must not be used for, by what was found."""
    return met(
        "limits",
        _("Never to test or compare classifiers, and never for decisions about any person."),
        _harmful(summary),
        _alone(summary),
        _few_kinds(summary),
        _passed_on(summary),
    )


def _harmful(summary: RunSummary) -> str:
    if failed_controls(summary):
        return _("Not for training, for it is not known whether it helps.")
    return {
        "gain": "",
        "harm": _("Not for training beside real slices: it did harm."),
        "equivalent": _("Not to make a classifier better: it made no difference."),
        "insufficient_evidence": _("Not for training beside real slices: that it helps is not shown."),
    }[summary.verdict]


def _alone(summary: RunSummary) -> str:
    """Whether it can stand in place of real slices."""
    if flagged(summary.transfer)[0]:
        return _("Not in place of real slices. {why}").format(why=transfer_count(summary.transfer))
    alone, real = find_arm(summary.arms, "synthetic_only"), find_arm(summary.arms, "real")
    if alone is None or real is None:
        return _("Not in place of real slices: that was not tested.")
    return _alone_beside_real(alone, real)


def _alone_beside_real(alone: ArmScores, real: ArmScores) -> str:
    pair = percent_interval(alone.balanced_accuracy), percent_interval(real.balanced_accuracy)
    if alone.balanced_accuracy.high < real.balanced_accuracy.low:
        told = _(
            "Not in place of real slices: learned from alone, balanced accuracy is {alone}, from real ones {real}."
        )
    else:
        told = _(
            "Not in place of real slices unless tested further: learned from alone, balanced accuracy is {alone}, "
            "from real ones {real}."
        )
    return told.format(alone=pair[0], real=pair[1])


def _few_kinds(summary: RunSummary) -> str:
    light = diversity_light(summary.fidelity, summary.training, painted=is_painted(summary))
    return {
        "good": "",
        "caution": _("Not where all kinds of heads must be there: some may be missing."),
        "problem": _("Not where variety matters: much of the variety of real slices is missing."),
        "unknown": _("Not where variety matters: how varied it is was not shown."),
    }[light.level]


def _passed_on(summary: RunSummary) -> str:
    found = screened(summary)
    if anatomy_reading(found):
        return _("Not where the scans themselves may not go: it holds the anatomy of patients.")
    return {
        "good": "",
        "caution": _("Not to be passed on before its likeness to patients was looked into."),
        "problem": _("Not to be passed on: it copies its patients."),
        "unknown": _("Not to be passed on: copies of patients were not looked for."),
    }[copies_light(found).level]


def used_already(summary: RunSummary) -> Answer:
    """What this run did with it."""
    if not summary.arms:
        return unknown(_("This run trained no classifier with it; elsewhere, nothing is known."), anchor="gain")
    n = sum("synthetic" in arm.arm for arm in summary.arms)
    told = plural(
        "In {n} arm of this run a classifier learned from it.",
        "In {n} arms of this run classifiers learned from it.",
        n,
    )
    return partly("gain", told, _("Whether it was used elsewhere is not known."))


def marked(summary: RunSummary) -> Answer:
    """How one can tell it from real slices."""
    said = _("Its manifest calls every slice synthetic, and so do its DICOM files; a single PNG file says nothing.")
    shown = (
        _("A notice in its folder says that it holds the anatomy of patients.")
        if anatomy_reading(screened(summary))
        else ""
    )
    readers = told_apart(summary)
    if readers:
        return met(readers_anchor(summary), said, shown, readers)
    return partly("copies", said, shown, _("Whether a reader can tell it from real slices was not asked."))


def same_again(summary: RunSummary) -> Answer:
    """Its version, and how it could be made anew."""
    version = summary.provenance.versions.get("augment-mri") or _("not recorded")
    told = _(
        "Seed {seed}, program version {version}, digests of source and configuration: from these it can be made again."
    )
    return met("provenance", told.format(seed=summary.provenance.seed, version=version))
