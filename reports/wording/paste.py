"""Copy and paste of real lesions beside the synthetic slices: which of the two to use, and why."""

from typing import Final, Literal

from data_contracts.results import PASTED_ARM, Difference, RunSummary
from reports.numbers import NBSP, points, points_interval
from reports.wording.controls import failed_controls
from reports.wording.names import is_painted, made

PASTE_MEANING: Final = (
    "a real lesion moved, turned and blended into another patient’s slice; the other half of the head mirrored over a "
    "lesion. It needs no network, and its slices are patient data too."
)
Choice = Literal["synthetic", "copy_paste", "neither"]


def recommended(summary: RunSummary) -> Choice | None:
    """What to train with, of synthetic slices and copy and paste; None without that arm or where a control failed.

    Synthetic slices must be a gain and, by their whole interval, better than copy and paste. Where they are a gain
    and no more, copy and paste is the simpler of two that cannot be told apart. Where they are none, copy and paste
    must be a gain itself, by the same rule.
    """
    to_paste = summary.difference_to_copy_paste
    if to_paste is None or failed_controls(summary):
        return None
    if summary.verdict == "gain":
        return "synthetic" if to_paste.low > 0 else "copy_paste"
    return "copy_paste" if summary.copy_paste is not None and summary.copy_paste.verdict == "gain" else "neither"


def recommendation(summary: RunSummary) -> str:
    """What to use, in one or two sentences with the interval that says so; empty where `recommended` is None."""
    choice, to_paste = recommended(summary), summary.difference_to_copy_paste
    if choice is None or to_paste is None:
        return ""
    name = made(painted=is_painted(summary))
    if choice == "synthetic":
        return f"Recommended: {name} slices. They {_against(to_paste)}."
    if choice == "copy_paste" and summary.verdict == "gain":
        return f"Recommended: copy and paste of real lesions. {name.capitalize()} slices {_against(to_paste)}."
    if summary.copy_paste is not None and choice == "copy_paste":
        gain = summary.copy_paste.difference
        return (
            f"Recommended: copy and paste of real lesions. It is shown to help ({points(gain.estimate)}{NBSP}points "
            f"against no added slices, 95{NBSP}% interval {points(gain.low)} to {points(gain.high)}), whereas "
            f"{name} slices are not; they {_against(to_paste)}."
        )
    return (
        f"Recommended: neither {name} slices nor copy and paste of real lesions. Neither is shown to help. "
        f"{name.capitalize()} slices {_against(to_paste)}."
    )


def paste_reading(difference: Difference, *, painted: bool) -> str:
    """Did the synthetic slices do more than copy and paste of real lesions?"""
    return f"{made(painted=painted).capitalize()} slices {_against(difference)}."


def _against(difference: Difference) -> str:
    interval = (
        f"({points(difference.estimate)}{NBSP}points, 95{NBSP}% interval {points(difference.low)} to "
        f"{points(difference.high)})"
    )
    if difference.low > 0:
        return f"did better than copy and paste {interval}"
    if difference.high < 0:
        return f"did worse than copy and paste {interval}"
    return f"are not shown to do better than copy and paste {interval}"


def compared(summary: RunSummary) -> tuple[Difference, ...]:
    """What synthetic slices made against each reference: the two that decide, then copy and paste where it was run."""
    to_paste = summary.difference_to_copy_paste
    return (summary.difference, summary.difference_to_duplicates, *(() if to_paste is None else (to_paste,)))


def in_learning(summary: RunSummary) -> bool:
    """Whether the learning curve shows copy and paste."""
    return any(PASTED_ARM in point.arms for point in summary.learning)


def paste_why(difference: Difference) -> str:
    """The difference to copy and paste for a light."""
    return f"Against copy and paste of real lesions: {points_interval(difference)}."
