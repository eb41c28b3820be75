"""What the run answers about its aim, its models, how they were judged, and what came of it."""

from typing import Final

from data_contracts.results import PRIMARY_ARM, REFERENCE_ARM, ArmScores, RunSummary
from reports.checklists.items import Answer, met, not_met, partly, unknown
from reports.language import _, later, plural
from reports.limits import limits
from reports.numbers import decimal, images, percent, percent_interval, points_interval, slices, units, whole
from reports.settings import number, setting, switch, text
from reports.wording.controls import controls_count, failed_controls, unsure_count
from reports.wording.further import external_units
from reports.wording.names import find_arm, is_painted, metric_words, on_generated
from reports.wording.training import by_maker
from reports.wording.transfer import flagged
from reports.wording.verdict import advice, headline, smallest_difference

CLASSIFIERS: Final = {  # by utility.classifier.network
    "small": later("a small residual network"),
    "resnet": later("a residual network (ResNet)"),
    "densenet": later("a densely connected network (DenseNet)"),
}
NO_ARMS: Final = later("This run trained no classifier.")


def aim(summary: RunSummary) -> Answer:
    """The question, and what counts as an answer."""
    margin = decimal(100 * summary.difference.equivalence_margin, 1)
    return met(
        "verdict",
        _("Does adding synthetic slices to real ones make a classifier of tumour and no tumour better on real slices?"),
        _("A gain must hold against classic augmentation and against as many repeated copies of real slices."),
        _("Up to ±{margin} percentage points count as no difference.").format(margin=margin),
    )


def goal() -> Answer:
    """What such a run is for."""
    return met("verdict", _("To measure whether a synthetic set helps; not to approve a device or a set for patients."))


def summary_of_study(summary: RunSummary) -> Answer:
    """The first screen as a summary."""
    by_hand = _("A summary of a paper must be written by a person.")
    return partly("verdict", headline(summary), by_hand)


# --- models ---


def models(summary: RunSummary) -> Answer:
    """What was trained to make slices, and what to judge them."""
    made_by, classifier = makers(summary), _classifier(summary)
    if not made_by and not classifier:
        return unknown(_("This run recorded no model."), anchor="training")
    of = family(summary) if made_by else ""
    if of and classifier:
        return met("provenance", made_by, of, classifier)
    return partly("training", made_by, of, classifier, _("The rest of their design was not recorded."))


def makers(summary: RunSummary) -> str:
    """How many generators or painters were trained, and how large; empty where none was."""
    told = []
    for painters, training in by_maker(summary.training, painted=is_painted(summary)) if summary.training else ():
        if painters:
            said = plural(
                "{n} painter was trained, of up to {weights} weights, against a discriminator.",
                "{n} painters were trained, of up to {weights} weights each, against a discriminator each.",
                len(training),
            )
        else:
            said = plural(
                "{n} generator was trained, of up to {weights} weights, against a discriminator.",
                "{n} generators were trained, of up to {weights} weights each, against a discriminator each.",
                len(training),
            )
        told.append(said.format(weights=whole(max(record.generator_parameters for record in training))))
    return " ".join(told)


def family(summary: RunSummary) -> str:
    """The family of their networks; empty where it was not recorded."""
    parts = ("gan", "painter") if on_generated(summary) else ("painter",) if is_painted(summary) else ("gan",)
    name = ", ".join(found for part in parts if (found := text(summary, part, "network", "family")))
    return _("Their networks are of the family “{family}” of this program.").format(family=name) if name else ""


def _classifier(summary: RunSummary) -> str:
    name, steps = text(summary, "utility", "classifier", "network"), number(summary, "utility", "classifier", "steps")
    if not name or steps is None:
        return ""
    told = plural(
        "The classifier that judges is {network}, trained anew in each arm for {n} step.",
        "The classifier that judges is {network}, trained anew in each arm for {n} steps.",
        steps,
    )
    return told.format(network=_(CLASSIFIERS[name]) if name in CLASSIFIERS else name)


def software(summary: RunSummary) -> Answer:
    """Names and versions."""
    versions = summary.provenance.versions
    if not versions:
        return unknown(_("No version of any software was recorded."), anchor="provenance")
    return met(
        "provenance", _("{packages}.").format(packages=", ".join(f"{k} {v}" for k, v in sorted(versions.items())))
    )


def program(summary: RunSummary) -> Answer:
    """Which program made this, for one who wants to run it again."""
    version = summary.provenance.versions.get("augment-mri")
    if not version:
        return unknown(_("The version of the program was not recorded."), anchor="provenance")
    told = _("Made by augment-mri {version}; whether and where its code may be had, the run cannot tell.")
    return partly("provenance", told.format(version=version))


def first_weights(summary: RunSummary) -> Answer:
    """What networks began from."""
    if not summary.training and not summary.arms:
        return unknown(_("This run trained nothing."), anchor="training")
    copied = any(r.joint_until is not None and r.joint_until < r.images_seen for r in summary.training)
    return met(
        "provenance",
        _("Random weights, drawn from the seed {seed}; nothing had been trained on other data before.").format(
            seed=summary.provenance.seed
        ),
        _("The generator of each diagnosis went on as a copy of one trained on both.") if copied else "",
    )


def course(summary: RunSummary) -> Answer:
    """How long everything was trained, and where the settings stand."""
    seen = sorted(record.images_seen for record in summary.training)
    shown = ""
    if seen:
        shown = (
            _("Each network that makes slices was shown {images}.").format(images=images(seen[0]))
            if seen[0] == seen[-1]
            else _("Each network that makes slices was shown {low} to {high}.").format(
                low=whole(seen[0]), high=images(seen[-1])
            )
        )
    trained = (
        plural(
            "In each fold each arm was trained {n} time.",
            "In each fold each arm was trained {n} times.",
            summary.difference.n_seeds,
        )
        if summary.arms
        else ""
    )
    if not shown and not trained:
        return unknown(_("This run trained nothing."), anchor="training")
    if shown and trained and setting(summary, "utility", "classifier"):
        return met("provenance", shown, trained, _("Losses, rates and batches stand in the configuration."))
    return partly("training", shown, trained, _("Further settings were not recorded in full."))


def selection(summary: RunSummary) -> Answer:
    """Which moment of a training is used, and by what it was chosen."""
    if not summary.training and not summary.arms:
        return unknown(_("This run trained nothing."), anchor="training")
    kept = ""
    if any(record.watched and record.kept_at is not None for record in summary.training):
        kept = _("Of generators a moment was chosen by slices of the training part alone.")
    elif summary.training and all(record.kept_at is None for record in summary.training):
        kept = _("Networks that make slices are used as training left them.")
    last = _("Of classifiers the last step of a fixed number is used.") if summary.arms else ""
    way = _("How synthetic slices are used was chosen inside of the training part.") if summary.ways else ""
    return met("training", kept, last, way, _("Nothing was chosen on test slices."))


def ensembles(summary: RunSummary) -> Answer:
    """Whether answers of several models were put together."""
    if not summary.arms:
        return unknown(_(NO_ARMS), anchor="gain")
    return met("gain", _("No: each model was judged by itself, and the figures are means over models."))


def balance(summary: RunSummary) -> Answer:
    """What was done about diagnoses of different frequency."""
    if not summary.arms:
        return unknown(_(NO_ARMS), anchor="gain")
    return met("gain", _("Each batch held both diagnoses in equal parts, in every arm alike."), _calibrated(summary))


def _calibrated(summary: RunSummary) -> str:
    """Whether probabilities were calibrated, and on whom."""
    calibrated = switch(summary, "utility", "calibrate")
    if calibrated is None:
        return _("Whether probabilities were calibrated was not recorded.")
    if calibrated:
        return _("Probabilities were calibrated on a part of the training slices kept aside for it.")
    return _("Probabilities were not calibrated.")


def updating(summary: RunSummary) -> Answer:
    """Whether a model was changed after it was judged."""
    return met("gain", _("No model was changed after its test."), _calibrated(summary) if summary.arms else "")


def output(summary: RunSummary) -> Answer:
    """What the classifier says of a slice, and where it draws the line."""
    if not summary.arms:
        return unknown(_(NO_ARMS), anchor="gain")
    fixed = ""
    at = summary.statistics.at_specificity if summary.statistics else None
    if at is not None and any(arm.sensitivity_at_specificity is not None for arm in summary.arms):
        fixed = _("Beside it, sensitivity is given at a specificity of {specificity}.").format(
            specificity=percent(at, 0)
        )
    line = _("A probability of tumour for each slice; from 0.5 on it is called one, fixed beforehand.")
    return met("gain", line, fixed)


# --- how they were judged ---


def measures(summary: RunSummary) -> Answer:
    """What decides, and what stands beside it."""
    decides = _("What decides is the difference in {metric}.").format(metric=metric_words(summary.difference.metric))
    if not summary.arms:
        return partly("gain", decides, _(NO_ARMS))
    beside = [_("accuracy"), _("AUC"), _("sensitivity"), _("specificity")]
    further = {
        "sensitivity_at_specificity": _("sensitivity at a fixed specificity"),
        "ppv": _("predictive values"),
        "brier": _("Brier score"),
        "calibration_error": _("calibration error"),
    }
    beside += [name for field, name in further.items() if any(getattr(a, field) is not None for a in summary.arms)]
    return met("gain", decides, _("Beside it stand: {names}.").format(names=", ".join(beside)))


def uncertainty(summary: RunSummary) -> Answer:
    """Where intervals come from."""
    resampled = (
        _("95 % intervals come from resampling whole patients, and trainings and folds where there are several.")
        if summary.data.subjects_known
        else _("95 % intervals come from resampling whole groups of copies, and trainings and folds if several.")
    )
    tests = _("Further tests stand beside them and decide nothing.") if summary.statistics else ""
    return met("gain", resampled, tests)


def robustness(summary: RunSummary) -> Answer:
    """In which other ways the question was asked, and whether controls came out null."""
    asked = [_("repeated copies in place of synthetic slices")]
    further = {
        _("copy and paste of lesions"): summary.difference_to_copy_paste,
        _("other amounts of synthetic slices"): summary.dose,
        _("fewer patients"): summary.learning,
        _("classifiers carried from synthetic to real slices"): summary.transfer,
        _("a locked test set"): summary.external,
    }
    asked += [name for name, found in further.items() if found]
    said = _("Asked again with: {ways}.").format(ways="; ".join(asked))
    if not summary.controls:
        return partly("gain", said, _("No control with nothing to find was trained."))
    failed, unsure = controls_count(summary), unsure_count(summary)
    null = "" if failed or unsure else _("All controls came out null.")
    return met("gain", said, failed, unsure, null)


def sample_size(summary: RunSummary) -> Answer:
    """What this number of patients can show, which was not planned by the program."""
    tested = units(summary.difference.n_subjects, known=summary.data.subjects_known)
    return partly(
        "gain",
        _("Tested: {units}.").format(units=tested),
        smallest_difference(summary.difference),
        _("The program did not work out beforehand how many are needed."),
    )


def internal_test(summary: RunSummary) -> Answer:
    """On how much of the same source was tested."""
    difference = summary.difference
    told = _("On {slices} of {units} of the same source, kept from all training of their fold.")
    n = units(difference.n_subjects, known=summary.data.subjects_known)
    return met("gain", told.format(slices=slices(difference.n_slices), units=n))


def external_test(summary: RunSummary) -> Answer:
    """Whether a set from elsewhere was tested on."""
    if summary.external is None:
        return not_met("limits", _("Not done: all scans that were tested on come from the same source."))
    told = _("One locked set, opened once: {difference}; {tested}. Whether it is of another hospital is not known.")
    n, change = external_units(summary.external), points_interval(summary.external.difference)
    return partly("gain", told.format(difference=change, tested=n))


def other_setting(summary: RunSummary) -> Answer:
    """How test slices differ from those learned from."""
    drawn = _("Test slices are of the same source as those learned from; chance alone divided them.")
    if summary.external is None:
        return met("data", drawn)
    return partly("gain", drawn, _("In what the locked test set differs is not known."))


def looked_at(summary: RunSummary) -> Answer:
    """Whether it was shown what the classifier looks at."""
    if summary.occlusions is None:
        return not_met("", _("Not done: this run did not map what the classifier looks at."))
    if not summary.occlusions.cases:
        return unknown(_("Occlusion maps were asked for, and none was made."), anchor="looks")
    n = len(summary.occlusions.cases)
    told = plural(
        "Occlusion maps of {n} real test slice show where its classifiers look.",
        "Occlusion maps of {n} real test slices show where the classifiers look.",
        n,
    )
    return met("looks", told, _("They say where, not why."))


def failures(summary: RunSummary) -> Answer:
    """Whether wrong answers were looked into."""
    if summary.wrong is None:
        return not_met("", _("Not done: this run did not list the slices that were called wrong."))
    wrong = summary.wrong
    told = plural(
        "{n} of {all} was called wrong with synthetic slices, {without} without.",
        "{n} of {all} were called wrong with synthetic slices, {without} without.",
        wrong.both.n_slices + wrong.broken.n_slices,
    ).format(all=slices(wrong.n_slices), without=whole(wrong.both.n_slices + wrong.mended.n_slices))
    return partly("wrong", told, _("Why they were is for a reader to say."))


# --- what came of it ---


def performance(summary: RunSummary) -> Answer:
    """The two arms that decide and their difference."""
    pair = _deciding(summary)
    change = _("The difference is {difference}.").format(difference=points_interval(summary.difference))
    if pair is None:
        return partly("gain", change, _("The arms themselves were not recorded."))
    told = _(
        "Balanced accuracy is {primary} with synthetic slices and {reference} without, 95 % intervals in brackets."
    )
    primary, reference = (percent_interval(arm.balanced_accuracy) for arm in pair)
    return met("gain", told.format(primary=primary, reference=reference), change, believed(summary))


def subgroup_performance(summary: RunSummary) -> Answer:
    """The same, where the list asks for groups of patients too."""
    groups = _("For groups of patients, by age or sex, it is not known.")
    return partly("gain", performance(summary).text, groups)


def diagnostic_performance(summary: RunSummary) -> Answer:
    """Sensitivity and specificity of the two arms that decide."""
    pair = _deciding(summary)
    if pair is None:
        return unknown(_("The two arms that decide were not both recorded."), anchor="gain")
    messages = (
        _("With synthetic slices: sensitivity {sensitivity}, specificity {specificity}."),
        _("Without: sensitivity {sensitivity}, specificity {specificity}."),
    )
    told = (
        message.format(sensitivity=percent_interval(arm.sensitivity), specificity=percent_interval(arm.specificity))
        for message, arm in zip(messages, pair, strict=True)
    )
    return met("gain", *told, believed(summary))


def _deciding(summary: RunSummary) -> tuple[ArmScores, ArmScores] | None:
    primary, reference = find_arm(summary.arms, PRIMARY_ARM), find_arm(summary.arms, REFERENCE_ARM)
    return None if primary is None or reference is None else (primary, reference)


def believed(summary: RunSummary) -> str:
    """That the figures are not to be believed where a control failed; empty where none did."""
    return _("A control failed, so this is not to be believed.") if failed_controls(summary) else ""


def known_limits(summary: RunSummary) -> Answer:
    """How many limits the page names."""
    n = len(limits(summary))
    return met("limits", plural("{n} limit of this run is named.", "{n} limits of this run are named.", n))


def meaning(summary: RunSummary) -> Answer:
    """What the verdict means for use, which a person must still weigh."""
    carried = _("The set carries shortcuts of what made it.") if flagged(summary.transfer)[0] else ""
    return partly("verdict", advice(summary), carried, _("What it means for a clinic is for a person to say."))


def protocol(summary: RunSummary) -> Answer:
    """What was fixed before the run began."""
    if not summary.provenance.config:
        return unknown(_("No configuration was recorded."), anchor="provenance")
    return partly(
        "provenance",
        _("The configuration was fixed before the run began and stands on this page."),
        _("Of a protocol of the study nothing is known."),
    )


def made_again(summary: RunSummary) -> Answer:
    """Whether one could use the classifier elsewhere."""
    if not summary.provenance.config:
        return unknown(_("No configuration was recorded."), anchor="provenance")
    return partly(
        "provenance",
        _("Settings and seed stand on this page, and the same classifiers can be trained from them and the scans."),
        _("The trained classifiers do not stand on this page: they are meant to judge and not for use."),
    )
