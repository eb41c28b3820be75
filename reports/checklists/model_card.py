"""A model card of what made the synthetic slices, generators or painters.

After Mitchell et al. (2019), "Model Cards for Model Reporting", FAT* '19, pages 220-229, doi 10.1145/3287560.3287596;
headings and questions are in our words.
"""

from data_contracts.results import FidelityScores, RunSummary, TrainingRecord
from reports.checklists import data, sets, study
from reports.checklists.items import Answer, Checklist, Section, item, met, partly, unknown
from reports.language import _, capitalised, plural
from reports.lights import copies_light
from reports.numbers import decimal, percent, points_interval, significant, slices, units, whole
from reports.wording.diversity import PAINTED_VARIETY, primary_fidelity
from reports.wording.names import is_painted, slices_of
from reports.wording.watch import doubt, looks


def model_card(summary: RunSummary) -> Checklist:
    """The filled card."""
    about = _(
        "After Mitchell et al. (2019), Model Cards for Model Reporting, with questions in our words. It is of the "
        "networks that made the synthetic slices, not of the classifier that judged them."
    )
    name = _("Model card of the painters") if is_painted(summary) else _("Model card of the generators")
    sections = (
        _details(summary),
        _intended(summary),
        _measured(summary),
        _results(summary),
        _ethics(summary),
    )
    return Checklist("model-card", name, about, sections)


def _details(summary: RunSummary) -> Section:
    return Section(
        _("Details"),
        (
            item("1.1", _("Who made them, when, under what licence?"), unknown()),
            item("1.2", _("What kind are they?"), networks(summary)),
            item("1.3", _("How were they trained?"), sets.method(summary)),
            item("1.4", _("What did they learn from?"), sets.learned_from(summary)),
            item("1.5", _("Which version are they?"), sets.same_again(summary)),
        ),
    )


def _intended(summary: RunSummary) -> Section:
    return Section(
        _("Use and factors"),
        (
            item("2.1", _("What are they meant for?"), purpose()),
            item("2.2", _("What are they not meant for?"), sets.unsuited(summary)),
            item("2.3", _("For which groups were results told apart?"), groups(summary)),
            item("2.4", _("For which scans?"), data.acquisition(summary)),
        ),
    )


def _measured(summary: RunSummary) -> Section:
    return Section(
        _("How they were judged"),
        (
            item("3.1", _("By which measures?"), metrics(summary)),
            item("3.2", _("Beside which data?"), compared_with(summary)),
            item("3.3", _("With what uncertainty?"), certainty(summary)),
        ),
    )


def _results(summary: RunSummary) -> Section:
    return Section(
        _("Results"),
        (
            item("4.1", _("How like and how varied are their slices?"), likeness(summary)),
            item("4.2", _("Do they copy patients?"), copying(summary)),
            item("4.3", _("What happened in training?"), watch(summary)),
            item("4.4", _("What did their slices change?"), effect(summary)),
        ),
    )


def _ethics(summary: RunSummary) -> Section:
    return Section(
        _("Ethics and caveats"),
        (
            item("5.1", _("Did patients consent, and did an ethics committee approve?"), unknown()),
            item("5.2", _("Can they give patients away?"), sets.shows_patients(summary)),
            item("5.3", _("Can their slices be taken for real ones?"), sets.marked(summary)),
            item("5.4", _("What else should one know?"), caveats(summary)),
        ),
    )


def networks(summary: RunSummary) -> Answer:
    """Number, weights and family of what made the slices."""
    if not summary.training:
        return unknown(_("This run recorded no training of what made the slices."), anchor="training")
    makers, family = study.makers(summary), study.family(summary)
    if family:
        return met("training", makers, family)
    return partly("training", makers, _("Of which family they are was not recorded."))


def purpose() -> Answer:
    """What they are for."""
    return met("limits", _("For research: to make slices that are added to real ones in training a classifier."))


def groups(summary: RunSummary) -> Answer:
    """By what results are told apart, and by what they cannot be."""
    diagnoses = list(dict.fromkeys(scores.diagnosis for scores in summary.fidelity))
    patients = _("Age, sex, scanner and kind of tumour are not known.")
    if not diagnoses:
        return unknown(_("No result was told apart by diagnosis."), patients, anchor="diversity")
    told = _("By diagnosis and fold: {names}.").format(names=", ".join(slices_of(name) for name in diagnoses))
    return partly("diversity", told, patients)


def metrics(summary: RunSummary) -> Answer:
    """What was measured of their slices."""
    found = []
    if summary.fidelity and not is_painted(summary):
        found.append(_("likeness and variety, in a feature space that was not trained for it"))
    if sets.screened(summary):
        found.append(_("copies of patients"))
    if summary.discriminators:
        found.append(_("what the discriminator can tell"))
    if summary.transfer:
        found.append(_("shortcuts, by classifiers carried to real slices"))
    found.append(_("what they change in a classifier"))
    return met("diversity", _("By {names}.").format(names="; ".join(found)))


def compared_with(summary: RunSummary) -> Answer:
    """Which real slices stood beside theirs."""
    found = primary_fidelity(summary.fidelity)
    same = _("They are of the same source as those learned from.")
    if not found:
        return unknown(_("No real slices were set beside theirs."), anchor="diversity")
    fewest, most = (by(scores.n for scores in found) for by in (min, max))
    told = (
        _("Real slices kept from their training, {slices} in each comparison.").format(slices=slices(most))
        if fewest == most
        else _("Real slices kept from their training, {low} to {high} in a comparison.").format(
            low=whole(fewest), high=slices(most)
        )
    )
    return met("diversity", told, same)


def certainty(summary: RunSummary) -> Answer:
    """Where the uncertainty of the measures comes from, and what is not in it."""
    found = primary_fidelity(summary.fidelity)
    folds = summary.data.folds_evaluated * summary.data.repeats
    luck = (
        _("Each network was trained once a fold, so its luck shows between folds alone.")
        if folds > 1
        else _("Each network was trained once, so how much was luck is not known.")
    )
    if not found:
        return partly("limits", luck)
    draws = plural(
        "Limits of variety come from {n} draw of real slices; kernel distances have standard errors.",
        "Limits of variety come from {n} draws of real slices; kernel distances have standard errors.",
        max(scores.collapse.n_draws for scores in found),
    )
    return partly("diversity", draws if not is_painted(summary) else "", luck)


def likeness(summary: RunSummary) -> Answer:
    """The main measures of the weakest and strongest set of each diagnosis, with n; nothing of painted slices."""
    if is_painted(summary):
        return unknown(_(PAINTED_VARIETY), anchor="diversity")
    found = primary_fidelity(summary.fidelity)
    if not found:
        return unknown(_("Likeness and variety were not measured."), anchor="diversity")
    weakest = [
        min((s for s in found if s.diagnosis == name), key=lambda scores: scores.synthetic.coverage)
        for name in dict.fromkeys(scores.diagnosis for scores in found)
    ]
    return met("diversity", *(_figures(scores) for scores in weakest), sets.variety(summary).text)


def _figures(scores: FidelityScores) -> str:
    told = _(
        "{slices}, fold {fold} (least coverage), held-out real in brackets: precision {precision} "
        "({real_precision}), recall {recall} ({real_recall}), coverage {coverage} ({real_coverage}), "
        "density {density} ({real_density}), kernel distance {kid} ± {error} "
        "({real_kid} ± {real_error}); n = {n} each."
    )
    synthetic, real = scores.synthetic, scores.held_out_real
    shares = {
        f"{of}{name}": percent(getattr(values, name), 0)
        for of, values in (("", synthetic), ("real_", real))
        for name in ("precision", "recall", "coverage")
    }
    return told.format(
        slices=capitalised(slices_of(scores.diagnosis)),
        fold=scores.fold,
        density=decimal(synthetic.density, 2),
        real_density=decimal(real.density, 2),
        kid=significant(synthetic.kid),
        error=significant(synthetic.kid_standard_error),
        real_kid=significant(real.kid),
        real_error=significant(real.kid_standard_error),
        n=whole(scores.n),
        **shares,
    )


def copying(summary: RunSummary) -> Answer:
    """As the light of copies."""
    light = copies_light(sets.screened(summary))
    if light.level == "unknown":
        return unknown(_("Copies of patients were not looked for."), anchor="copies")
    return met("copies", f"{light.word}.", light.why)


def watch(summary: RunSummary) -> Answer:
    """What the collapse watch saw."""
    if not summary.training:
        return unknown(_("This run recorded no training of what made the slices."), anchor="training")
    watched = [record for record in summary.training if record.watched]
    if not watched:
        return unknown(_("No watch looked on while they were trained."), anchor="training")
    alarms = sum(len(record.alarms) for record in watched)
    raised = plural("The collapse watch raised {n} alarm.", "The collapse watch raised {n} alarms.", alarms)
    looked = plural(
        "It watched {n} training and looked at it {looks} times in all.",
        "It watched {n} trainings and looked at them {looks} times in all.",
        len(watched),
    ).format(looks=whole(sum(len(looks(record)) for record in watched)))
    return met("training", raised, looked, *_doubts(summary.training))


def _doubts(training: tuple[TrainingRecord, ...]) -> tuple[str, ...]:
    """What there is against any of them; each reason once."""
    return tuple(dict.fromkeys(said for record in training if (said := doubt(record))))


def effect(summary: RunSummary) -> Answer:
    """The difference that decides, with its n."""
    difference = summary.difference
    told = _("Balanced accuracy of a classifier changed by {difference}, tested on {slices} of {units}.")
    return met(
        "gain",
        told.format(
            difference=points_interval(difference),
            slices=slices(difference.n_slices),
            units=units(difference.n_subjects, known=summary.data.subjects_known),
        ),
        study.believed(summary),
    )


def caveats(summary: RunSummary) -> Answer:
    """That the limits of the run hold, and what speaks against the networks."""
    size = summary.data.image_size
    small = _("They make slices of {size} × {size} pixels one by one, which do not make up a scan.").format(size=size)
    return met("limits", small, *_doubts(summary.training), study.known_limits(summary).text)
