"""What had to come out null, and what to think of the study where it did not."""

from typing import Final, Literal

from data_contracts.results import CONTROL_HALF_WIDTH, REFERENCE_ARM, Control, RunSummary, ShortcutScores
from reports.numbers import (
    NBSP,
    count,
    decimal,
    percent,
    percent_interval,
    points,
    points_interval,
)
from reports.wording.names import arm_name

CHANCE: Final = 0.5  # balanced accuracy of guessing
CONTROL_NAMES: Final = {
    "permuted_diagnoses": "Diagnoses dealt anew among the training groups",
    "collapsed_generator": "Three synthetic slices of each diagnosis, repeated",
    "border": "Corners and border of the normalised images alone",
}
CONTROL_SEES: Final = {  # what makes it fail, and what it lets pass
    "permuted_diagnoses": (
        "diagnoses of test slices that reach the classifier, or a score that guessing can raise",
        "copies of test slices in training, whose diagnoses are dealt anew too; anything of the synthetic slices",
    ),
    "collapsed_generator": (
        "a comparison that calls anything added a gain",
        "what the generator learned from: three of its slices hardly help, of test slices or not",
    ),
    "border": (
        "a diagnosis that is left outside the head",
        "one that scanner or file left inside the head; anything of the synthetic slices",
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


def control_result(control: Control) -> str:
    """The result in words: `passed`, `NOT passed`, `could not tell`."""
    return "could not tell" if control.passed is None else "passed" if control.passed else "NOT passed"


def control_value(control: Control) -> str:
    """What a control measured, with its interval and unit."""
    in_points = control.control == "collapsed_generator"
    return points_interval(control.estimate) if in_points else percent_interval(control.estimate)


def control_null(control: Control) -> str:
    """What a control must come out as."""
    if control.control == "collapsed_generator":
        return f"no gain over {points(control.null)}{NBSP}points"
    told = f"{percent(control.null, 0)}, as by guessing"
    return f"{told}, or what shuffled diagnoses reach" if control.control == "border" else told


def disbelief(summary: RunSummary) -> str:
    """Why the figures of the study are not to be believed, control by control; empty where no control failed."""
    reasons = [
        {
            "permuted_diagnoses": "a classifier that learned diagnoses dealt anew at random did not do as guessing "
            f"does: its balanced accuracy is {control_value(control)}, where {percent(control.null, 0)} is guessing",
            "collapsed_generator": "three synthetic slices of each diagnosis, repeated, came out as a gain, although "
            f"they show next to nothing new: {control_value(control)} against {arm_name(REFERENCE_ARM).lower()}",
            "border": "corners and border of the normalised images alone give the diagnosis away: a balanced accuracy "
            f"of {control_value(control)}, where {percent(control.null, 0)} is guessing",
        }[control.control]
        for control in failed_controls(summary)
    ]
    if not reasons:
        return ""
    return f"The figures of this study are not to be believed, because {', and because '.join(reasons)}."


def controls_count(summary: RunSummary) -> str:
    """How many controls did not come out null, where any did not: for a place where the reasons stand elsewhere."""
    failed, n = len(failed_controls(summary)), len(all_controls(summary))
    return f"{failed} of {count(n, 'control', 'controls')} did not come out null." if failed else ""


def unsure_count(summary: RunSummary) -> str:
    """How many controls could not tell, where any could not; it speaks neither for nor against the study."""
    unsure, n = len(unsure_controls(summary)), len(all_controls(summary))
    return f"{unsure} of {count(n, 'control', 'controls')} could not tell." if unsure else ""


def controls_reading(summary: RunSummary) -> str:
    """Whether the controls came out null; what that is worth."""
    if failed_controls(summary):
        return f"{disbelief(summary)} {unsure_count(summary)}".rstrip()
    n, unsure = len(all_controls(summary)), len(unsure_controls(summary))
    if unsure:
        return (
            f"{unsure_count(summary)} Too few groups of a diagnosis were tested, or the interval is wider than "
            f"±{decimal(100 * CONTROL_HALF_WIDTH, 0)} points: it shows neither that the method is sound nor that it is "
            f"not. {n - unsure:,} came out null."
        )
    these = "The control that must come out null did" if n == 1 else f"The {n} controls that must come out null did"
    return f"{these}: no fault that they can see was found; a fault smaller than the intervals would not show."
