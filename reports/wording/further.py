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
    SecondaryMetric,
    Statistics,
    Verdict,
)
from reports.numbers import (
    count,
    decimal,
    percent,
    points_interval,
    probability,
    signed_interval,
    slices,
    units,
    was,
)

LOWER_IS_BETTER: Final[frozenset[SecondaryMetric]] = frozenset({"brier"})
SIGNIFICANT: Final = 0.05


def metric_name(metric: SecondaryMetric, statistics: Statistics) -> str:
    """A secondary measure as the page calls it, with the specificity that it is taken at."""
    return {
        "accuracy": "accuracy",
        "auc": "AUC",
        "sensitivity": "sensitivity",
        "specificity": "specificity",
        "sensitivity_at_specificity": f"sensitivity at {percent(statistics.at_specificity, 0)} specificity",
        "brier": "Brier score (lower is better)",
    }[metric]


def secondary_difference(metric: SecondaryMetric, difference: Estimate) -> str:
    """A difference in a secondary measure: in percentage points of shares, without unit of AUC and Brier score."""
    return signed_interval(difference) if metric in ("auc", "brier") else points_interval(difference)


def statistics_reading(statistics: Statistics, difference: Difference) -> str:
    """The primary difference asked in other ways, whether they agree with its interval, and that none decides."""
    p_values = [("sign flips of whole groups", statistics.sign_flip_p)]
    if statistics.nadeau_bengio_p is not None:
        p_values.append(("a corrected t-test over folds and runs", statistics.nadeau_bengio_p))
    asked = ", ".join(f"{name} {probability(p)}" for name, p in p_values)
    beyond = difference.low > 0 or difference.high < 0
    alike = all((p < SIGNIFICANT) == beyond for _, p in p_values)
    agree = (
        "in line with the interval" if alike else "not all in line with the interval, so take the difference with care"
    )
    return (
        "Nothing here decides; the verdict follows from the two differences above alone. "
        f"Asked in other ways: {asked}; {agree}."
    )


def belief_reading(statistics: Statistics, difference: Difference) -> str:
    """How probable a true gain, no difference and a loss are, by the Bayesian test; empty where it was not made."""
    belief = statistics.belief
    if belief is None:
        return ""
    margin = f"{decimal(100 * difference.equivalence_margin, 1)} points"
    return (
        f"Given these runs, a true gain of more than {margin} has {percent(belief.better, 0)} of the belief, no "
        f"difference that matters {percent(belief.equivalent, 0)}, a loss of more than {margin} "
        f"{percent(belief.worse, 0)} (correlated Bayesian t-test)."
    )


def secondaries_reading(statistics: Statistics) -> str:
    """Which of the secondary measures differ after Holm's correction, and which way; empty where there are none."""
    tested = statistics.secondaries
    if not tested:
        return ""
    n = count(len(tested), "further measure", "further measures")
    changed = [
        f"{metric_name(s.metric, statistics).removesuffix(' (lower is better)')} {_way(s.metric, s.difference)}"
        for s in tested
        if s.p_holm < SIGNIFICANT
    ]
    if not changed:
        return f"Of {n}, not one differs by more than chance gives, corrected for asking {len(tested)} times (Holm)."
    return f"Of {n}, corrected for asking {len(tested)} times (Holm), {_differ(len(changed))}: {', '.join(changed)}."


def _differ(n: int) -> str:
    return f"{n} {'differs' if n == 1 else 'differ'}"


def _way(metric: SecondaryMetric, difference: Estimate) -> str:
    return "is better" if (difference.estimate > 0) != (metric in LOWER_IS_BETTER) else "is worse"


def dose_reading(dose: Sequence[DosePoint]) -> str:
    """Which dose has the best estimate, whether it can be told from the others, and that one was fixed beforehand.

    dose: at least one point.
    """
    best = max(dose, key=lambda point: point.difference.estimate)
    apart = max(p.difference.low for p in dose) > min(p.difference.high for p in dose)
    told = (
        "some intervals lie apart, so the dose matters"
        if apart
        else "all intervals overlap, so which dose is best cannot be told"
    )
    return (
        f"The dose that decides, {dose_name(PRIMARY_RATIO)}, was fixed beforehand. The best estimate is that at "
        f"{dose_name(best.ratio)}, {points_interval(best.difference)}; {told}."
    )


def dose_name(ratio: float) -> str:
    """`0.25 synthetic slices a real one`."""
    return f"{ratio:g} synthetic {'slice' if ratio == 1 else 'slices'} a real one"


def learning_reading(learning: Sequence[LearningPoint], *, known: bool) -> str:
    """The difference at the fewest and the most subjects, and whether it changes between them.

    learning: in order of share, at least one point.
    """
    fewest, most = learning[0], learning[-1]

    def at(point: LearningPoint) -> str:
        unit = ("subject", "subjects") if known else ("image group", "image groups")
        return (
            f"with {percent(point.share, 0)} of those in training ({count(round(point.n_subjects), *unit)} a fold) "
            f"{points_interval(point.difference)}"
        )

    if fewest is most:
        return f"The difference made by synthetic slices: {at(most)}."
    if fewest.difference.low > most.difference.high:
        change = "they did more where there was less to learn from"
    elif fewest.difference.high < most.difference.low:
        change = "they did less where there was less to learn from"
    else:
        change = "the intervals overlap, so whether they do more with fewer cannot be told"
    return f"The difference made by synthetic slices: {at(fewest)}, {at(most)}; {change}."


def external_reading(external: ExternalTest, verdict: Verdict) -> str:
    """What the locked external test says, with its own n and unit, and whether it bears out the verdict."""
    d = external.difference
    found = {1: "a gain", -1: "a loss", 0: "neither a gain nor a loss"}[_side(d)]
    borne_out = {"gain": 1, "harm": -1}.get(verdict)
    if borne_out is None:
        meaning = ""
    elif _side(d) == borne_out:
        meaning = " It bears out the verdict."
    elif _side(d) == -borne_out:
        meaning = " It contradicts the verdict."
    else:
        meaning = " It does not bear out the verdict."
    left_out = (
        f" {slices(external.left_out)} of patients or pictures that the study has {was(external.left_out)} left out."
        if external.left_out
        else ""
    )
    return (
        f"A test set that was locked until the end and opened once in this run: {slices(external.n_slices)} of "
        f"{external_units(external)}, none of which any training met.{left_out} Synthetic slices made "
        f"{points_interval(d)} of difference in balanced accuracy: {found} is shown.{meaning} {_independent(external)}"
    )


def external_units(external: ExternalTest) -> str:
    """What the external set was counted by, which may be another unit than that of the development set."""
    n = external.n_subjects
    if external.subjects_known:
        return units(n, known=True)
    return count(n, "group whose patient is unknown", "groups whose patients are unknown")


def _side(difference: Estimate) -> Literal[-1, 0, 1]:
    """Where the whole interval lies: 1 above zero, -1 below, 0 neither."""
    return 1 if difference.low > 0 else -1 if difference.high < 0 else 0


def _independent(external: ExternalTest) -> str:
    tests = [
        f"{name} {probability(p)}"
        for name, p in (("McNemar’s test of accuracy", external.mcnemar_p), ("DeLong’s test of AUC", external.delong_p))
        if p is not None
    ]
    if not tests:
        return "McNemar’s and DeLong’s tests hold for one slice a known subject only, and were not made."
    return f"Two-sided: {', '.join(tests)}; one slice a subject."
