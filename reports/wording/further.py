"""Other ways to ask whether synthetic slices help; none of them decides."""

from collections.abc import Sequence
from typing import Final, Literal

from data_contracts.results import (
    PRIMARY_RATIO,
    Difference,
    DosePoint,
    Estimate,
    ExternalTest,
    LearningPoint,
    Secondary,
    SecondaryMetric,
    Statistics,
    Verdict,
)
from reports.language import _, plural
from reports.numbers import (
    decimal,
    general,
    percent,
    points_interval,
    probability,
    signed_interval,
    slices,
    units,
    whole,
)

LOWER_IS_BETTER: Final[frozenset[SecondaryMetric]] = frozenset({"brier"})
SIGNIFICANT: Final = 0.05


def metric_name(metric: SecondaryMetric, statistics: Statistics) -> str:
    """A secondary measure as the page calls it, with the specificity that it is taken at."""
    return {
        "accuracy": _("accuracy"),
        "auc": _("AUC"),
        "sensitivity": _("sensitivity"),
        "specificity": _("specificity"),
        "sensitivity_at_specificity": _("sensitivity at {share} specificity").format(
            share=percent(statistics.at_specificity, 0)
        ),
        "brier": _("Brier score (lower is better)"),
    }[metric]


def secondary_difference(metric: SecondaryMetric, difference: Estimate) -> str:
    """A difference in a secondary measure: in percentage points of shares, without unit of AUC and Brier score."""
    return signed_interval(difference) if metric in ("auc", "brier") else points_interval(difference)


def statistics_reading(statistics: Statistics, difference: Difference) -> str:
    """The primary difference asked in other ways, whether they agree with its interval, and that none decides."""
    p_values = [(_("sign flips of whole groups {p}"), statistics.sign_flip_p)]
    if statistics.nadeau_bengio_p is not None:
        p_values.append((_("a corrected t-test over folds and runs {p}"), statistics.nadeau_bengio_p))
    asked = ", ".join(name.format(p=probability(p)) for name, p in p_values)
    beyond = difference.low > 0 or difference.high < 0
    alike = all((p < SIGNIFICANT) == beyond for name, p in p_values)
    said = (
        _(
            "Nothing here decides; the verdict follows from the two differences above alone. Asked in other ways: "
            "{asked}; in line with the interval."
        )
        if alike
        else _(
            "Nothing here decides; the verdict follows from the two differences above alone. Asked in other ways: "
            "{asked}; not all in line with the interval, so take the difference with care."
        )
    )
    return said.format(asked=asked)


def belief_reading(statistics: Statistics, difference: Difference) -> str:
    """How probable a true gain, no difference and a loss are, by the Bayesian test; empty where it was not made."""
    belief = statistics.belief
    if belief is None:
        return ""
    return _(
        "Given these runs, a true gain of more than {margin} points has {better} of the belief, no difference that "
        "matters {equivalent}, a loss of more than {margin} points {worse} (correlated Bayesian t-test)."
    ).format(
        margin=decimal(100 * difference.equivalence_margin, 1),
        better=percent(belief.better, 0),
        equivalent=percent(belief.equivalent, 0),
        worse=percent(belief.worse, 0),
    )


def secondaries_reading(statistics: Statistics) -> str:
    """Which of the secondary measures differ after Holm's correction, and which way; empty where there are none."""
    tested = statistics.secondaries
    if not tested:
        return ""
    measures = plural("{n} further measure", "{n} further measures", len(tested))
    changed = [_changed(s, statistics) for s in tested if s.p_holm < SIGNIFICANT]
    if not changed:
        return _(
            "Of {measures}, not one differs by more than chance gives, corrected for asking {times} times (Holm)."
        ).format(measures=measures, times=whole(len(tested)))
    return (
        plural(
            "Of {measures}, corrected for asking {times} times (Holm), {number} differs: {changed}.",
            "Of {measures}, corrected for asking {times} times (Holm), {number} differ: {changed}.",
            len(changed),
        )
    ).format(measures=measures, times=whole(len(tested)), number=whole(len(changed)), changed=", ".join(changed))


def _changed(secondary: Secondary, statistics: Statistics) -> str:
    """One measure that differs, and which way."""
    up = secondary.difference.estimate > 0
    better = up != (secondary.metric in LOWER_IS_BETTER)
    name = _("Brier score") if secondary.metric == "brier" else metric_name(secondary.metric, statistics)
    return (_("{measure} is better") if better else _("{measure} is worse")).format(measure=name)


def dose_reading(dose: Sequence[DosePoint]) -> str:
    """Which dose has the best estimate, whether it can be told from the others, and that one was fixed beforehand.

    dose: at least one point.
    """
    best = max(dose, key=lambda point: point.difference.estimate)
    apart = max(p.difference.low for p in dose) > min(p.difference.high for p in dose)
    said = (
        _(
            "The dose that decides, {fixed}, was fixed beforehand. The best estimate is that at {best}, {difference}; "
            "some intervals lie apart, so the dose matters."
        )
        if apart
        else _(
            "The dose that decides, {fixed}, was fixed beforehand. The best estimate is that at {best}, {difference}; "
            "all intervals overlap, so which dose is best cannot be told."
        )
    )
    return said.format(
        fixed=dose_name(PRIMARY_RATIO), best=dose_name(best.ratio), difference=points_interval(best.difference)
    )


def dose_name(ratio: float) -> str:
    """`0.25 synthetic slices a real one`."""
    told = plural("{ratio} synthetic slice a real one", "{ratio} synthetic slices a real one", ratio)
    return told.format(ratio=general(ratio))


def learning_reading(learning: Sequence[LearningPoint], *, known: bool) -> str:
    """The difference at the fewest and the most subjects, and whether it changes between them.

    learning: in order of share, at least one point.
    """
    fewest, most = learning[0], learning[-1]

    def at(point: LearningPoint) -> str:
        return _("with {share} of those in training ({units} a fold) {difference}").format(
            share=percent(point.share, 0),
            units=units(round(point.n_subjects), known=known),
            difference=points_interval(point.difference),
        )

    if fewest is most:
        said = _("The difference made by synthetic slices: {most}.")
    elif fewest.difference.low > most.difference.high:
        said = _(
            "The difference made by synthetic slices: {fewest}, {most}; they did more where there was less to learn "
            "from."
        )
    elif fewest.difference.high < most.difference.low:
        said = _(
            "The difference made by synthetic slices: {fewest}, {most}; they did less where there was less to learn "
            "from."
        )
    else:
        said = _(
            "The difference made by synthetic slices: {fewest}, {most}; the intervals overlap, so whether they do more "
            "with fewer cannot be told."
        )
    return said.format(fewest=at(fewest), most=at(most))


def external_reading(external: ExternalTest, verdict: Verdict) -> str:
    """What the locked external test says, with its own n and unit, and whether it bears out the verdict."""
    test = _(
        "A test set that was locked until the end and opened once in this run: {slices} of {units}, none of which any "
        "training met."
    ).format(slices=slices(external.n_slices), units=external_units(external))
    bears_out = _bears_out(external.difference, verdict)
    sentences = (test, _left_out(external), external_found(external), bears_out, _independent(external))
    return " ".join(said for said in sentences if said)


def external_found(external: ExternalTest) -> str:
    """What the locked external test found, in one sentence."""
    d = external.difference
    return {
        1: _("Synthetic slices made {difference} of difference in balanced accuracy: a gain is shown."),
        -1: _("Synthetic slices made {difference} of difference in balanced accuracy: a loss is shown."),
        0: _(
            "Synthetic slices made {difference} of difference in balanced accuracy: neither a gain nor a loss is shown."
        ),
    }[_side(d)].format(difference=points_interval(d))


def _left_out(external: ExternalTest) -> str:
    if not external.left_out:
        return ""
    return plural(
        "{n} slice of patients or pictures that the study has was left out.",
        "{n} slices of patients or pictures that the study has were left out.",
        external.left_out,
    )


def _bears_out(difference: Estimate, verdict: Verdict) -> str:
    """Whether an external difference bears out a verdict of gain or harm; empty of the other verdicts."""
    borne_out = {"gain": 1, "harm": -1}.get(verdict)
    if borne_out is None:
        return ""
    if _side(difference) == borne_out:
        return _("It bears out the verdict.")
    if _side(difference) == -borne_out:
        return _("It contradicts the verdict.")
    return _("It does not bear out the verdict.")


def external_units(external: ExternalTest) -> str:
    """What the external set was counted by, which may be another unit than that of the development set."""
    n = external.n_subjects
    if external.subjects_known:
        return units(n, known=True)
    return plural("{n} group whose patient is unknown", "{n} groups whose patients are unknown", n)


def _side(difference: Estimate) -> Literal[-1, 0, 1]:
    """Where the whole interval lies: 1 above zero, -1 below, 0 neither."""
    return 1 if difference.low > 0 else -1 if difference.high < 0 else 0


def _independent(external: ExternalTest) -> str:
    tests = [
        name.format(p=probability(p))
        for name, p in (
            (_("McNemar’s test of accuracy {p}"), external.mcnemar_p),
            (_("DeLong’s test of AUC {p}"), external.delong_p),
        )
        if p is not None
    ]
    if not tests:
        return _("McNemar’s and DeLong’s tests hold for one slice a known subject only, and were not made.")
    return _("Two-sided: {tests}; one slice a subject.").format(tests=", ".join(tests))
