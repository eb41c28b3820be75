"""The index over many runs: how many, which are of one source, and what a step between two may be put down to."""

from typing import Final

from data_contracts.results import Difference, RunSummary
from reports.language import _, later, plural
from reports.numbers import in_points, points, points_interval, signed, whole
from reports.wording.verdict import verdict_name

PROBLEMS: Final = {
    "unfinished": later("Not finished: it has no summary.json. Go on with it by --resume."),
    "not_a_summary": later("Its summary.json is not whole, or no summary. Go on with the run by --resume."),
    "other_version": later("Its summary.json is of another version of this program and cannot be read by this one."),
    "closed": later("Its files may not be read here."),
}
SOURCES: Final = later(
    "Runs have the same letter, and are joined by a line, where they read the same source: their digests are equal, or "
    "at least nine in ten of the slices that the earlier run read are among those of the later one, pixel by pixel: a "
    "source that grew. Where a source lies no run notes, so a source that moved is still the same, and one that was "
    "exported anew with other pixels is another. Runs of different sources are never joined: their figures are of "
    "other patients. A dashed line: configuration or software changed in between, see below."
)
NO_TEST: Final = later(
    "No test of a change between two runs was made. Runs of one source share their patients, so overlapping intervals "
    "do not say that nothing changed, and intervals that lie apart do not say why. Whoever picks the best of many runs "
    "picks luck as well."
)
UNSEEN: Final = later(
    "A change of the program that left its version as it was, and one of settings outside of the run, are not seen."
)


def headline(*, finished: int, sources: int, others: int) -> str:
    """How many runs there are, of how many sources, and how many could not be read."""
    said = plural("{n} finished run", "{n} finished runs", finished)
    if finished:
        of = plural("{runs} of {n} source", "{runs} of {n} sources", sources)
        said = of.format(runs=said)
    if others:
        rest = plural("{runs}, {n} not finished or not readable", "{runs}, {n} not finished or not readable", others)
        said = rest.format(runs=said)
    return said


def newest(summary: RunSummary, number: int) -> str:
    """What the last run says."""
    return _("The newest finished run, number {n}: {verdict}, {gain}.").format(
        n=whole(number), verdict=verdict_name(summary).lower(), gain=points_interval(summary.difference)
    )


def order(*, noted: int, by_file: int) -> str:
    """What the order of the runs rests on."""
    if not by_file:
        return _("In the order in which they began.")
    if not noted:
        return _(
            "In the order of the times of their files, for none of them noted when it began; copying may change those "
            "times."
        )
    return plural(
        "In the order in which they began; {n} run did not note that and stands by the time of its file, which copying "
        "may change. It is marked “file”.",
        "In the order in which they began; {n} runs did not note that and stand by the times of their files, which "
        "copying may change. They are marked “file”.",
        by_file,
    )


def problem(name: str) -> str:
    """Why a run has no results here."""
    return _(PROBLEMS[name])


def gain_step(before: Difference, after: Difference) -> str:
    """How the gain went from one run to the next, and whether the earlier interval holds the later estimate."""
    change = round(100 * after.estimate, 1) - round(100 * before.estimate, 1)
    place = {"old": points(before.estimate), "new": points(after.estimate), "by": in_points(signed(change, 1))}
    if round(change, 1) == 0:
        return _("The gain stayed at {new} points.").format(**place)
    inside = before.low <= after.estimate <= before.high
    if inside:
        said = _("The gain went from {old} to {new}, {by}: inside the 95 % interval of the earlier run.")
    elif after.estimate > before.high:
        said = _("The gain went from {old} to {new}, {by}: above the 95 % interval of the earlier run.")
    else:
        said = _("The gain went from {old} to {new}, {by}: below the 95 % interval of the earlier run.")
    return said.format(**place)


def source_step(*, same: bool, n_before: int, n_again: int, n_new: int) -> str:
    """What became of the source from one run to the next.

    same: whether its digest is. n_again: slices of the n_before read earlier that were read again; n_new: others.
    """
    if same:
        return _("The source is the same, byte for byte.")
    if n_again == n_before and not n_new:
        return _("The files of the source differ, its slices do not.")
    told = {"again": whole(n_again), "before": whole(n_before), "new": whole(n_new)}
    return _("The source changed: {again} of {before} slices are there again, {new} are new.").format(**told)


def nothing_else(*, seed: bool, grew: bool) -> str:
    """Said where neither configuration but for the seed, nor software, nor machine differs."""
    if seed and not grew:
        return _("Only the seed differs: what changed in the results is luck.")
    if seed:
        return _("Configuration, software and machine are the same; seed and source differ.")
    if grew:
        return _("Configuration, software and machine are the same; only the source differs.")
    return _("Nothing that is noted differs: this run repeats the one before it.")


def n_changes(n: int) -> str:
    """The head of a list of what differs in the configuration."""
    return plural("{n} key of the configuration differs", "{n} keys of the configuration differ", n)
