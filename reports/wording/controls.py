"""What had to come out null, and what to think of the study where it did not."""

from typing import Final, Literal

from data_contracts.results import CONTROL_HALF_WIDTH, REFERENCE_ARM, Control, RunSummary, ShortcutScores
from reports.language import _, later, plural
from reports.numbers import (
    decimal,
    in_points,
    percent,
    percent_interval,
    points,
    points_interval,
    whole,
)
from reports.wording.names import arm_inside

CHANCE: Final = 0.5  # balanced accuracy of guessing
CONTROL_NAMES: Final = {
    "permuted_diagnoses": later("Diagnoses dealt anew among the training groups"),
    "collapsed_generator": later("Three synthetic slices of each diagnosis, repeated"),
    "border": later("Corners and border of the normalised images alone"),
}
CONTROL_SEES: Final = {  # what makes it fail, and what it lets pass
    "permuted_diagnoses": (
        later("diagnoses of test slices that reach the classifier, or a score that guessing can raise"),
        later(
            "copies of test slices in training, whose diagnoses are dealt anew too; anything of the synthetic slices"
        ),
    ),
    "collapsed_generator": (
        later("a comparison that calls anything added a gain"),
        later("what the generator learned from: three of its slices hardly help, of test slices or not"),
    ),
    "border": (
        later("a diagnosis that is left outside the head"),
        later("one that scanner or file left inside the head; anything of the synthetic slices"),
    ),
}


def all_controls(summary: RunSummary) -> tuple[Control, ...]:
    """Those that were trained, and what is left at the edge of normalised images: that must be null too."""
    edges = (scores for scores in summary.shortcuts if scores.what == "border")
    return (*summary.controls, *(_edge(scores) for scores in edges))


def _edge(scores: ShortcutScores) -> Control:
    """The audit of corners and border as a control, held to the same width of its interval."""
    found = scores.balanced_accuracy
    wide = (found.high - found.low) / 2 > CONTROL_HALF_WIDTH
    passed = False if scores.suspected else None if wide else True
    return Control(control="border", estimate=found, null=CHANCE, passed=passed)


def failed_controls(summary: RunSummary) -> tuple[Control, ...]:
    """The controls that had to come out null and did not; not those that could not tell."""
    return tuple(control for control in all_controls(summary) if control.passed is False)


def unsure_controls(summary: RunSummary) -> tuple[Control, ...]:
    """The controls that could not tell whether they are null."""
    return tuple(control for control in all_controls(summary) if control.passed is None)


def controls_level(summary: RunSummary) -> Literal["good", "caution", "problem"]:
    """Good only where every control could tell and came out null."""
    return "problem" if failed_controls(summary) else "caution" if unsure_controls(summary) else "good"


def control_name(control: Control) -> str:
    """What was done, as a title."""
    return _(CONTROL_NAMES[control.control])


def control_sees(control: Control) -> tuple[str, str]:
    """What makes a control fail, and what it lets pass."""
    fails, passes = CONTROL_SEES[control.control]
    return _(fails), _(passes)


def control_result(control: Control) -> str:
    """The result in words: `passed`, `NOT passed`, `could not tell`."""
    return _("could not tell") if control.passed is None else _("passed") if control.passed else _("NOT passed")


def control_value(control: Control) -> str:
    """What a control measured, with its interval and unit."""
    in_points = control.control == "collapsed_generator"
    return points_interval(control.estimate) if in_points else percent_interval(control.estimate)


def control_null(control: Control) -> str:
    """What a control must come out as."""
    if control.control == "collapsed_generator":
        return _("no gain over {limit}").format(limit=in_points(points(control.null)))
    if control.control == "border":
        told = _("{accuracy}, as by guessing, or what shuffled diagnoses reach")
    else:
        told = _("{accuracy}, as by guessing")
    return told.format(accuracy=percent(control.null, 0))


def disbelief(summary: RunSummary) -> str:
    """Why the figures of the study are not to be believed, control by control; empty where no control failed."""
    reasons = [_disbelieved(control) for control in failed_controls(summary)]
    if not reasons:
        return ""
    return _("The figures of this study are not to be believed, because {reasons}.").format(
        reasons=_(", and because ").join(reasons)
    )


def _disbelieved(control: Control) -> str:
    """What a control found where there is nothing to find, as a clause after `because`."""
    said = {
        "permuted_diagnoses": _(
            "a classifier that learned diagnoses dealt anew at random did not do as guessing does: its balanced "
            "accuracy is {value}, where {null} is guessing"
        ),
        "collapsed_generator": _(
            "three synthetic slices of each diagnosis, repeated, came out as a gain, although they show next to "
            "nothing new: {value} against {reference}"
        ),
        "border": _(
            "corners and border of the normalised images alone give the diagnosis away: a balanced accuracy of "
            "{value}, where {null} is guessing"
        ),
    }[control.control]
    return said.format(value=control_value(control), null=percent(control.null, 0), reference=arm_inside(REFERENCE_ARM))


def controls_count(summary: RunSummary) -> str:
    """How many controls did not come out null, where any did not: for a place where the reasons stand elsewhere."""
    failed, n = len(failed_controls(summary)), len(all_controls(summary))
    if not failed:
        return ""
    said = _("{failed} of {controls} did not come out null.")
    return said.format(failed=whole(failed), controls=_controls(n))


def unsure_count(summary: RunSummary) -> str:
    """How many controls could not tell, where any could not; it speaks neither for nor against the study."""
    unsure, n = len(unsure_controls(summary)), len(all_controls(summary))
    said = _("{unsure} of {controls} could not tell.")
    return said.format(unsure=whole(unsure), controls=_controls(n)) if unsure else ""


def _controls(n: int) -> str:
    return plural("{n} control", "{n} controls", n)


def controls_reading(summary: RunSummary) -> str:
    """Whether the controls came out null; what that is worth."""
    if failed_controls(summary):
        return f"{disbelief(summary)} {unsure_count(summary)}".rstrip()
    n, unsure = len(all_controls(summary)), len(unsure_controls(summary))
    if unsure:
        return _(
            "{unsure} Too few groups of a diagnosis were tested, or the interval is wider than ±{width} points: it "
            "shows neither that the method is sound nor that it is not. {null} came out null."
        ).format(unsure=unsure_count(summary), width=decimal(100 * CONTROL_HALF_WIDTH, 0), null=whole(n - unsure))
    return plural(
        "The control that must come out null did: no fault that they can see was found; a fault smaller than the "
        "intervals would not show.",
        "The {controls} controls that must come out null did: no fault that they can see was found; a fault smaller "
        "than the intervals would not show.",
        n,
    ).format(controls=whole(n))
