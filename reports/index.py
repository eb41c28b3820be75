"""The index: one page over many runs, from their summaries alone; which runs are of one source, and what changed.

Like the report it asks nothing of the network and holds no date but those of the runs.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise
from string import ascii_uppercase
from typing import Final, Literal

from data_contracts.machine import MachineRecord
from data_contracts.results import RunSummary
from reports import figures, language, lights, numbers, scripts, times, wording
from reports.lights import Light
from reports.render import environment

Problem = Literal["unfinished", "not_a_summary", "other_version", "closed"]
MOST_SHOWN: Final = 200  # characters of one value of a configuration
SAME: Final = 0.9  # of a run's slices that must be there again for its source to be the one that grew
ABSENT: Final = "–"


@dataclass(frozen=True)
class IndexedRun:
    """One run folder.

    name: its folder below the indexed one. link: to its report, relative to the page and ready for an attribute; ""
    where it has none. when: its beginning in UTC, `noted` by the run itself or else by the time of a file. slices:
    digests of the pixels of every slice that it read; empty where they are not kept. summary and problem: exactly one
    of them is there.
    """

    name: str
    link: str
    when: datetime
    noted: bool
    summary: RunSummary | None = None
    problem: Problem | None = None
    machine: MachineRecord | None = None
    slices: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Finished:
    """A finished run with its number on the page, counted from 1, and the letter of its source.

    altered: its configuration but for the seed, or its software, is not that of the run of its source before it.
    """

    number: int
    source: str
    run: IndexedRun
    summary: RunSummary
    altered: bool = False

    @property
    def lights(self) -> tuple[Light, ...]:
        return lights.lights(self.summary)


@dataclass(frozen=True)
class Change:
    """One thing that is not the same in two runs."""

    name: str
    before: str
    after: str


@dataclass(frozen=True)
class Step:
    """From one run to the next of the same source: all that could have made their results differ."""

    before: Finished
    after: Finished
    config: tuple[Change, ...]
    software: tuple[Change, ...]
    machine: tuple[Change, ...]

    @property
    def altered(self) -> bool:
        """Whether configuration but for the seed, or software, differs."""
        return bool(self.software) or any(change.name != "seed" for change in self.config)

    @property
    def n_again(self) -> int:
        """Slices that both runs read."""
        return len(self.before.run.slices & self.after.run.slices)

    @property
    def n_new(self) -> int:
        return len(self.after.run.slices - self.before.run.slices)


def render_index(runs: Sequence[IndexedRun], *, spoken: str = "en") -> str:
    """The whole page as HTML text, in the language `spoken`. runs: at least one, in any order."""
    ordered = sorted(runs, key=lambda run: (run.when, run.name))
    finished = in_series(ordered)
    with language.speak(spoken):
        return (
            environment()
            .get_template("index.html.j2")
            .render(
                runs=finished,
                others=[run for run in ordered if run.summary is None],
                ordered=ordered,
                steps=steps(finished),
                words=wording,
                numbers=numbers,
                times=times,
                figures=figures,
                tag=language.TAGS[spoken],
                policy=scripts.policy(()),
            )
        )


def in_series(ordered: Sequence[IndexedRun]) -> tuple[Finished, ...]:
    """The finished runs, in the order given, numbered, each with its source: A is that of the first run."""
    found: list[Finished] = []
    for run in ordered:
        if run.summary is None:
            continue
        latest = {one.source: one for one in found}  # the latest run of each source
        kin = [one for one in latest.values() if is_same_source(one.run, run)]
        before = max(kin, key=lambda one: one.number, default=None)
        source = _letters(len(latest)) if before is None else before.source
        one = Finished(len(found) + 1, source, run, run.summary)
        found.append(one if before is None else replace(one, altered=step(before, one).altered))
    return tuple(found)


def is_same_source(earlier: IndexedRun, later: IndexedRun) -> bool:
    """Whether both read the same source, or the later one the same source when it had grown.

    By their digests, or by their slices: `SAME` of the earlier run's must be there again. Where the source lies, no run
    notes.
    """
    if earlier.summary is None or later.summary is None:
        return False
    if _source(earlier.summary) == _source(later.summary):
        return True
    return len(earlier.slices & later.slices) >= SAME * len(earlier.slices) > 0


def _source(summary: RunSummary) -> tuple[object, ...]:
    """What tells a source from others; phantoms have one digest, and are other ones with each seed."""
    told = summary.provenance
    drawn = (told.seed, json.dumps(told.config.get("phantoms"))) if told.source_digest == "demo" else ()
    return (told.source_digest, *drawn)


def _letters(n: int) -> str:
    """A, B, ... Z, AA, AB, ... for 0, 1, ..."""
    more, last = divmod(n, len(ascii_uppercase))
    return (_letters(more - 1) if more else "") + ascii_uppercase[last]


def steps(finished: Sequence[Finished]) -> tuple[Step, ...]:
    """From each run to the next of its source, in the order of the later runs."""
    sources = dict.fromkeys(one.source for one in finished)
    found = [step(a, b) for source in sources for a, b in pairwise(one for one in finished if one.source == source)]
    return tuple(sorted(found, key=lambda one: one.after.number))


def step(before: Finished, after: Finished) -> Step:
    """What changed from one run to the next."""
    old, new = before.summary.provenance, after.summary.provenance
    decided = [{"preset": told.preset, "seed": told.seed, **dict(_flat(told.config))} for told in (old, new)]
    hardware = [_hardware(one.run.machine) for one in (before, after)]
    return Step(
        before=before,
        after=after,
        config=changes(*decided),
        software=changes(old.versions, new.versions),
        machine=changes(*hardware) if all(hardware) else (),
    )


def changes(before: Mapping[str, object], after: Mapping[str, object]) -> tuple[Change, ...]:
    """The keys whose values differ, in the order of the later mapping; what one of the two lacks is `ABSENT`."""
    return tuple(
        Change(name, _shown(before, name), _shown(after, name))
        for name in dict.fromkeys([*after, *before])
        if before.get(name, ABSENT) != after.get(name, ABSENT)
    )


def _shown(values: Mapping[str, object], name: str) -> str:
    """A value as text, cut where it is long."""
    value = values.get(name, ABSENT)
    told = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return told if len(told) <= MOST_SHOWN else told[: MOST_SHOWN - 1] + "…"


def _flat(table: Mapping[str, object], place: str = "") -> Iterator[tuple[str, object]]:
    """Keys of nested tables joined by dots."""
    for key, value in table.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{place}{key}.")
        else:
            yield f"{place}{key}", value


def _hardware(machine: MachineRecord | None) -> dict[str, object]:
    """What may change a result in its last digits, of the attempt that ended last; nothing where it was not noted."""
    if machine is None or not machine.attempts:
        return {}
    last = machine.attempts[-1].machine
    return {
        "processor": last.processor,
        "accelerators": ", ".join(last.accelerators) or ABSENT,
        "precision": last.precision,
        "threads": last.threads,
    }
