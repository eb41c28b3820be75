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

    Copy and paste must be a gain by its own verdict. Where synthetic slices are one as well they must be better by
    their whole interval, for copy and paste is the simpler of two that cannot be told apart.
    """
    to_paste = summary.difference_to_copy_paste
    if to_paste is None or failed_controls(summary):
        return None
    paste_helps = summary.copy_paste is not None and summary.copy_paste.verdict == "gain"
    if summary.verdict == "gain":
        return "copy_paste" if paste_helps and to_paste.low <= 0 else "synthetic"
    return "copy_paste" if paste_helps else "neither"


def recommendation(summary: RunSummary) -> str:
    """What to use, in a few sentences with the intervals that say so; empty where `recommended` is None."""
    choice, to_paste = recommended(summary), summary.difference_to_copy_paste
    if choice is None or to_paste is None:
        return ""
    name, helped = made(painted=is_painted(summary)), summary.verdict == "gain"
    if choice == "synthetic":
        why = _against(to_paste) if to_paste.low > 0 else _unneeded(summary, to_paste)
        return f"Recommended: {name} slices. They {why}."
    if choice == "copy_paste" and helped:
        return (
            f"Recommended: copy and paste of real lesions. It helped as well{_by_itself(summary)} and needs no "
            f"network; {name} slices {_against(to_paste)}."
        )
    if choice == "copy_paste":
        return (
            f"Recommended: copy and paste of real lesions. It is shown to help{_by_itself(summary)}, whereas {name} "
            f"slices are not; they {_against(to_paste)}."
        )
    return (
        f"Recommended: neither {name} slices nor copy and paste of real lesions. Neither is shown to help. "
        f"{name.capitalize()} slices {_against(to_paste)}."
    )


def _unneeded(summary: RunSummary, to_paste: Difference) -> str:
    """What is open where synthetic slices helped and did no better than copy and paste, and that is no gain."""
    if to_paste.high < 0:
        return f"helped and {_against(to_paste)}, but that this helps by itself is not shown{_by_itself(summary)}"
    return (
        f"helped; that they are needed beyond copy and paste is not shown {_interval(to_paste)}, nor that copy and "
        f"paste helps by itself{_by_itself(summary)}"
    )


def _by_itself(summary: RunSummary) -> str:
    """What copy and paste made, in brackets after a space; empty where it was not compared with no added slices."""
    if summary.copy_paste is None:
        return ""
    return f" {_interval(summary.copy_paste.difference, ' against no added slices')}"


def paste_reading(difference: Difference, *, painted: bool) -> str:
    """Did the synthetic slices do more than copy and paste of real lesions?"""
    return f"{made(painted=painted).capitalize()} slices {_against(difference)}."


def _against(difference: Difference) -> str:
    interval = _interval(difference)
    if difference.low > 0:
        return f"did better than copy and paste {interval}"
    if difference.high < 0:
        return f"did worse than copy and paste {interval}"
    return f"are not shown to do better than copy and paste {interval}"


def _interval(difference: Difference, against: str = "") -> str:
    return (
        f"({points(difference.estimate)}{NBSP}points{against}, 95{NBSP}% interval {points(difference.low)} to "
        f"{points(difference.high)})"
    )


def compared(summary: RunSummary) -> tuple[Difference, ...]:
    """What synthetic slices made against each reference: the two that decide, then copy and paste where it was run."""
    to_paste = summary.difference_to_copy_paste
    return (summary.difference, summary.difference_to_duplicates, *(() if to_paste is None else (to_paste,)))


def in_learning(summary: RunSummary) -> bool:
    """Whether the learning curve shows copy and paste."""
    return any(PASTED_ARM in point.arms for point in summary.learning)


def paste_why(summary: RunSummary) -> str:
    """For a light: the difference to copy and paste, and what that made by itself. Empty without that arm."""
    if summary.difference_to_copy_paste is None:
        return ""
    against = f"Against copy and paste of real lesions: {points_interval(summary.difference_to_copy_paste)}."
    if summary.copy_paste is None:
        return against
    return f"{against} Copy and paste by itself: {points_interval(summary.copy_paste.difference)}."
