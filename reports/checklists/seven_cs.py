"""The scorecard of synthetic medical data: seven criteria, each with a level by a rule that stands beside it.

The criteria are those of Zamzmi et al. (2025), "Scorecard for synthetic medical data evaluation", Communications
Engineering 4:130, doi 10.1038/s44172-025-00450-1; rules and words are ours.
"""

from typing import Final

from data_contracts.manifest import DIAGNOSES
from data_contracts.results import FidelityScores, RunSummary
from reports.checklists.items import Answer, Checklist, Level, Section, item, met, not_met, partly, unknown
from reports.checklists.readers import told_apart
from reports.checklists.sets import not_screened, screened
from reports.language import _
from reports.lights import REACH_CAUTION, REACH_GOOD, copies_light, diversity_light, reach
from reports.numbers import decimal, percent, significant, slices, whole
from reports.wording.diversity import PAINTED_VARIETY, primary_fidelity
from reports.wording.names import is_painted, kind, on_generated, slices_of
from reports.wording.transfer import transfer_count

BROKEN_TOLERATED: Final = 0.10  # share of what was made that may be broken, and is refused in any case
FEWEST: Final = 50  # slices a set, from which likeness may count as met
_OF_LIGHT: Final[dict[str, Level]] = {"good": "met", "caution": "partly", "problem": "not_met", "unknown": "unknown"}


def seven_cs(summary: RunSummary) -> Checklist:
    """The filled scorecard."""
    items = (
        item("1", _("Congruence: do synthetic slices look like real ones, by measure?"), congruence(summary)),
        item("2", _("Coverage: are all kinds of real slices there, and new ones?"), coverage(summary)),
        item("3", _("Constraint: do they keep to anatomy and to how such scans look?"), constraint(summary)),
        item("4", _("Completeness: does each slice come with what its use needs?"), completeness(summary)),
        item("5", _("Compliance: are patients, law and standards respected?"), compliance(summary)),
        item("6", _("Comprehension: can one follow how it was made?"), comprehension(summary)),
        item("7", _("Consistency: is it as good for every group and every time?"), consistency(summary)),
    )
    about = _(
        "Seven criteria of Zamzmi et al. (2025), Communications Engineering 4:130. Levels follow the rules below, "
        "which are conventions of this report; no other scorecard need agree."
    )
    name = _("Scorecard of the synthetic set: seven Cs")
    return Checklist("seven-cs", name, about, (Section("", items),), rules(painted=is_painted(summary)))


def congruence(summary: RunSummary) -> Answer:
    """By precision over that of held-out real slices, in the weakest diagnosis and fold; not of painted slices."""
    carried = transfer_count(summary.transfer)
    if is_painted(summary):
        return _unlike(_(PAINTED_VARIETY), carried)
    found = [scores for scores in primary_fidelity(summary.fidelity) if scores.held_out_real.precision > 0]
    if not found:
        return _unlike(_("Likeness to held-out real slices was not measured."), carried)
    weakest = min(found, key=lambda scores: scores.synthetic.precision / scores.held_out_real.precision)
    ratio = weakest.synthetic.precision / weakest.held_out_real.precision
    level: Level = "met" if ratio >= REACH_GOOD else "partly" if ratio >= REACH_CAUTION else "not_met"
    few = _("So few slices prove little.") if weakest.n < FEWEST else ""
    if (carried or few) and level == "met":
        level = "partly"
    return Answer(" ".join(text for text in (_likeness(weakest), few, carried) if text), level, "diversity")


def _unlike(unmeasured: str, carried: str) -> Answer:
    """Where likeness was not measured: shortcuts alone can speak, and they speak against."""
    return not_met("transfer", unmeasured, carried) if carried else unknown(unmeasured, anchor="diversity")


def _likeness(scores: FidelityScores) -> str:
    told = _(
        "Weakest, {kind} slices, fold {fold}: {precision} look like a training slice, held-out real ones {real}; "
        "kernel distance and its standard error {kid} ± {error}, held-out real ones {real_kid} ± {real_error}; "
        "n = {n} each."
    )
    return told.format(
        kind=kind(scores.diagnosis),
        fold=scores.fold,
        precision=percent(scores.synthetic.precision, 0),
        real=percent(scores.held_out_real.precision, 0),
        kid=significant(scores.synthetic.kid),
        error=significant(scores.synthetic.kid_standard_error),
        real_kid=significant(scores.held_out_real.kid),
        real_error=significant(scores.held_out_real.kid_standard_error),
        n=whole(scores.n),
    )


def coverage(summary: RunSummary) -> Answer:
    """As the light of diversity."""
    light = diversity_light(summary.fidelity, summary.training, painted=is_painted(summary))
    return Answer(light.why, _OF_LIGHT[light.level], "diversity")


def constraint(summary: RunSummary) -> Answer:
    """By the share of broken images, which were refused; at best in part, for nobody judged the anatomy."""
    found = screened(summary)
    if not found:
        return not_screened()
    worst = max(found, key=lambda scores: scores.n_broken / scores.n_generated)
    share = worst.n_broken / worst.n_generated
    told = _("Refused as broken, by greys and contrast: {broken} of {made}, at worst {share} of {kind} slices.").format(
        broken=whole(sum(scores.n_broken for scores in found)),
        made=slices(sum(scores.n_generated for scores in found)),
        share=percent(share),
        kind=kind(worst.diagnosis),
    )
    anatomy = _("Whether anatomy and lesions are right, nobody judged.")
    answer = partly if share <= BROKEN_TOLERATED else not_met
    return answer("copies", told, told_apart(summary), anatomy)


def completeness(summary: RunSummary) -> Answer:
    """Both diagnoses must be there; at best in part, for pixel size, plane and sequence never are."""
    found = screened(summary)
    if not found:
        return not_screened()
    empty = [name for name in DIAGNOSES if not sum(s.n_kept for s in found if s.diagnosis == name)]
    lacking = _("Its files state no pixel size, no plane and no sequence, and nothing of age or sex.")
    if empty:
        names = ", ".join(slices_of(name) for name in empty)
        return not_met("copies", _("Of these none passed the screen: {names}.").format(names=names), lacking)
    painted = is_painted(summary) or on_generated(summary)
    mask = _("Each painted slice has the mask of its lesion.") if painted else ""
    return partly("data", _("Each slice has its diagnosis."), mask, lacking)


def compliance(summary: RunSummary) -> Answer:
    """By the light of copies, which anatomy of patients takes the good from; in part at best: no run knows the law."""
    found = screened(summary)
    light = copies_light(found)
    if light.level == "unknown":
        return unknown(_("Copies of patients were not looked for."), anchor="copies")
    law = _("Consent, licence, ethics and data protection law, the run cannot judge.")
    answer = partly if light.level == "good" else not_met
    return answer("copies", light.why, law)


def comprehension(summary: RunSummary) -> Answer:
    """By what was recorded of how the set was made; whether a reader understands it was not asked."""
    provenance = summary.provenance
    recorded = {
        _("configuration"): bool(provenance.config),
        _("software versions"): bool(provenance.versions),
        _("digests of source and configuration"): bool(provenance.source_digest and provenance.config_digest),
        _("course of each training"): bool(summary.training) and all(record.curve for record in summary.training),
    }
    there = ", ".join(name for name, found in recorded.items() if found)
    absent = ", ".join(name for name, found in recorded.items() if not found)
    asked = _("Whether readers understand it was not asked.")
    if not there:
        return not_met("provenance", _("Nothing was recorded of: {names}.").format(names=absent), asked)
    told = _("Recorded here: {names}.").format(names=there)
    if not absent:
        return met("provenance", told, asked)
    return partly("provenance", told, _("Not recorded: {names}.").format(names=absent), asked)


def consistency(summary: RunSummary) -> Answer:
    """By what the weakest set reaches over what the strongest does; at best in part, for groups are not known."""
    groups = _("By age, sex, scanner or over time it is not known.")
    if is_painted(summary):
        return unknown(_(PAINTED_VARIETY), groups, anchor="diversity")
    reached = [(ratio, scores) for scores in primary_fidelity(summary.fidelity) if (ratio := reach(scores)) is not None]
    if len(reached) < 2 or max(ratio for ratio, _scores in reached) <= 0:
        return unknown(_("Fewer than two sets could be compared."), groups, anchor="diversity")
    (low, weakest), (high, strongest) = (by(reached, key=lambda pair: pair[0]) for by in (min, max))
    told = _(
        "Of what held-out real slices reach, {weakest} slices (fold {fold}) reach {low} and {strongest} slices "
        "(fold {other}) {high}, in {n} sets."
    ).format(
        weakest=kind(weakest.diagnosis),
        fold=weakest.fold,
        low=percent(low, 0),
        strongest=kind(strongest.diagnosis),
        other=strongest.fold,
        high=percent(high, 0),
        n=whole(len(reached)),
    )
    answer = partly if low >= REACH_CAUTION * high else not_met
    return answer("diversity", told, groups)


def rules(*, painted: bool = False) -> tuple[str, ...]:
    """How each level is set, from the constants above; painted: with the rule of a painted set."""
    of_painted = _(
        "Of painted slices likeness, coverage and consistency are not known, for their heads are those of other slices."
    )
    good, caution = decimal(REACH_GOOD, 1), decimal(REACH_CAUTION, 1)
    return (
        _(
            "Congruence takes the share of slices that look like a training slice over that of held-out real ones, in "
            "the weakest diagnosis and fold: met from {good}, in part from {caution}. With fewer than {fewest} slices "
            "it is at best met in part."
        ).format(good=good, caution=caution, fewest=FEWEST),
        _(
            "Where the set carries shortcuts, congruence is at best met in part, and not met where that is all that is "
            "known."
        ),
        _("Coverage follows the light of diversity: good is met, caution in part, problem not met."),
        _(
            "Constraint is not met where more than {share} of one diagnosis and fold were broken. It is never met "
            "wholly, for nobody judged the anatomy."
        ).format(share=percent(BROKEN_TOLERATED, 0)),
        _(
            "Completeness is not met where no slice of a diagnosis passed the screen. It is never met wholly, for "
            "pixel size, plane and sequence are not in the files."
        ),
        _(
            "Compliance is met in part where the light of copies is good, and else not met. It is never met wholly, "
            "for no run can judge law and consent."
        ),
        _(
            "Comprehension is met where configuration, software, digests and the course of each training are recorded, "
            "and not met where none of these is."
        ),
        _(
            "Consistency takes what the weakest set reaches of recall and coverage over what the strongest does: not "
            "met below {caution}. It is never met wholly, for groups of patients are not known."
        ).format(caution=caution),
        *((of_painted,) if painted else ()),
    )
