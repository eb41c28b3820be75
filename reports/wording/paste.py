"""Copy and paste of real lesions beside the synthetic slices: which of the two to use, and why."""

from typing import Final, Literal

from data_contracts.results import PASTED_ARM, Difference, RunSummary
from reports.language import _, later
from reports.numbers import percent, points, points_interval
from reports.wording.controls import failed_controls
from reports.wording.names import is_painted

PASTE_MEANING: Final = later(
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
    """What to use, in its first sentence, and why with the intervals that say so; empty where `recommended` is None."""
    choice, to_paste, painted = recommended(summary), summary.difference_to_copy_paste, is_painted(summary)
    if choice is None or to_paste is None:
        return ""
    if choice == "synthetic":
        what = _("Recommended: painted slices.") if painted else _("Recommended: synthetic slices.")
        why = _better_than_paste(to_paste) if to_paste.low > 0 else _unneeded(summary, to_paste)
    elif choice == "copy_paste":
        what, why = _("Recommended: copy and paste of real lesions."), _pasted(summary, to_paste, painted=painted)
    else:
        what = (
            _("Recommended: neither painted slices nor copy and paste of real lesions.")
            if painted
            else _("Recommended: neither synthetic slices nor copy and paste of real lesions.")
        )
        comparison = paste_reading(to_paste, painted=painted)
        why = _("Neither is shown to help. {comparison}").format(comparison=comparison)
    return f"{what} {why}"


def _better_than_paste(to_paste: Difference) -> str:
    return _("They did better than copy and paste {interval}.").format(interval=_interval(to_paste))


def _pasted(summary: RunSummary, to_paste: Difference, *, painted: bool) -> str:
    """Why copy and paste is recommended: where synthetic slices helped too, and where they did not."""
    if summary.verdict == "gain":
        said = _("It helped as well{by_itself} and needs no network; {comparison}.")
        return said.format(by_itself=_by_itself(summary), comparison=_against(to_paste, painted=painted))
    if painted:
        said = _("It is shown to help{by_itself}, whereas painted slices are not; {they}.")
    else:
        said = _("It is shown to help{by_itself}, whereas synthetic slices are not; {they}.")
    return said.format(by_itself=_by_itself(summary), they=_they_against(to_paste))


def _unneeded(summary: RunSummary, to_paste: Difference) -> str:
    """What is open where synthetic slices helped and did no better than copy and paste, and that is no gain."""
    if to_paste.high < 0:
        said = _(
            "They helped and did worse than copy and paste {interval}, but that this helps by itself is not "
            "shown{by_itself}."
        )
    else:
        said = _(
            "They helped; that they are needed beyond copy and paste is not shown {interval}, nor that copy and paste "
            "helps by itself{by_itself}."
        )
    return said.format(interval=_interval(to_paste), by_itself=_by_itself(summary))


def _by_itself(summary: RunSummary) -> str:
    """What copy and paste made, in brackets after a space; empty where it was not compared with no added slices."""
    if summary.copy_paste is None:
        return ""
    d = summary.copy_paste.difference
    told = _("({change} points against no added slices, {share} interval {low} to {high})")
    return " " + _filled(told, d)


def paste_reading(difference: Difference, *, painted: bool) -> str:
    """Did the synthetic slices do more than copy and paste of real lesions?"""
    if difference.low > 0:
        said = (
            _("Painted slices did better than copy and paste {interval}.")
            if painted
            else _("Synthetic slices did better than copy and paste {interval}.")
        )
    elif difference.high < 0:
        said = (
            _("Painted slices did worse than copy and paste {interval}.")
            if painted
            else _("Synthetic slices did worse than copy and paste {interval}.")
        )
    else:
        said = (
            _("Painted slices are not shown to do better than copy and paste {interval}.")
            if painted
            else _("Synthetic slices are not shown to do better than copy and paste {interval}.")
        )
    return said.format(interval=_interval(difference))


def _against(difference: Difference, *, painted: bool) -> str:
    """Synthetic slices beside copy and paste, where copy and paste is the one to use: as a clause."""
    if difference.high < 0:
        said = (
            _("painted slices did worse than copy and paste {interval}")
            if painted
            else _("synthetic slices did worse than copy and paste {interval}")
        )
    else:
        said = (
            _("painted slices are not shown to do better than copy and paste {interval}")
            if painted
            else _("synthetic slices are not shown to do better than copy and paste {interval}")
        )
    return said.format(interval=_interval(difference))


def _they_against(difference: Difference) -> str:
    """The same of slices that were named just before."""
    if difference.low > 0:
        said = _("they did better than copy and paste {interval}")
    elif difference.high < 0:
        said = _("they did worse than copy and paste {interval}")
    else:
        said = _("they are not shown to do better than copy and paste {interval}")
    return said.format(interval=_interval(difference))


def _interval(difference: Difference) -> str:
    return _filled(_("({change} points, {share} interval {low} to {high})"), difference)


def _filled(message: str, difference: Difference) -> str:
    return message.replace("{change} ", "{change}\N{NO-BREAK SPACE}").format(
        change=points(difference.estimate),
        share=percent(0.95, 0),
        low=points(difference.low),
        high=points(difference.high),
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
    against = points_interval(summary.difference_to_copy_paste)
    if summary.copy_paste is None:
        return _("Against copy and paste of real lesions: {difference}.").format(difference=against)
    return _("Against copy and paste of real lesions: {difference}. Copy and paste by itself: {by_itself}.").format(
        difference=against, by_itself=points_interval(summary.copy_paste.difference)
    )
