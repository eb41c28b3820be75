"""The report: one self-contained HTML page from a run's summary and the pictures in its run folder.

The page asks nothing of the network and no date but those that the run noted, so the same run folder gives the same
bytes on any day.
"""

import base64
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from data_contracts.machine import MachineRecord
from data_contracts.results import (
    PAIRS_A_ROW,
    SHEET_GAP,
    DiscriminatorScores,
    FidelityScores,
    MemorisationScores,
    Picture,
    RunSummary,
    TrainingRecord,
)
from reports import (
    case_tables,
    checklists,
    figures,
    language,
    lights,
    limits,
    numbers,
    readers,
    scripts,
    tables,
    wording,
)
from reports.language import _

OfFold = TypeVar("OfFold", Picture, FidelityScores, MemorisationScores, TrainingRecord, DiscriminatorScores)

KINDS: Final = {b"\x89PNG\r\n\x1a\n": "image/png", b"GIF89a": "image/gif", b"GIF87a": "image/gif"}  # by signature
TURNING: Final = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")  # Unicode's controls of direction
LONGEST_WORD: Final = 40  # letters: longer ones are broken anywhere, so that no column widens its table
# bytes on the whole page; base64 makes 4/3 of them, so that the page stays under 4.5 MB
PICTURE_BUDGET: Final = 2_000_000  # of what stands still
FILM_BUDGET: Final = 1_000_000  # apart, so that a film never takes the place of evidence


def script_names(summary: RunSummary) -> list[str]:
    """The scripts in `templates/` that this page has use for."""
    wanted = {
        "compare": any(picture.kind == "nearest_pairs" for picture in summary.pictures),
        "reader": summary.reader_slices is not None,
    }
    return [name for name, use in wanted.items() if use]


def visible(value: object) -> object:
    """What a template writes, with marks that turn the direction of text written out: `[U+202E]`.

    Left as they are, they would turn about the page's own words that follow a name from outside.
    """
    if not isinstance(value, str) or not TURNING.search(value):
        return value
    return type(value)(TURNING.sub(lambda mark: f"[U+{ord(mark[0]):04X}]", value))


def unbroken(value: object) -> bool:
    """Whether a text holds a run of letters too long for a column, as digests and names from outside may."""
    return any(len(word) > LONGEST_WORD for word in str(value).split())


def environment() -> Environment:
    """The templates of this folder: everything is escaped, and a name that is not there is an error."""
    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=visible,
    )
    made.tests["unbroken"] = unbroken
    made.globals.update(_=language.in_markup, plural=language.plural_in_markup)
    return made


def render(*, summary: RunSummary, run_root: Path, machine: MachineRecord | None = None, spoken: str = "en") -> str:
    """The whole report as HTML text, in the language `spoken` (one of `language.LANGUAGES`; ValueError of another).

    machine: what the run took, where that is known. run_root: where the paths of `summary.pictures` start. A picture
    that is missing, is neither PNG nor GIF, lies outside the run folder or no longer fits on the page is replaced by a
    line that says so; nothing is raised for it.
    """
    with language.speak(spoken):
        return _page(summary=summary, run_root=run_root, machine=machine)


def _page(*, summary: RunSummary, run_root: Path, machine: MachineRecord | None) -> str:
    painted = wording.names.is_painted(summary)
    used = scripts.read(script_names(summary))
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            s=summary,
            tag=language.TAGS[language.spoken()],
            machine=machine,
            known=summary.data.subjects_known,
            words=wording,
            numbers=numbers,
            tables=tables,
            figures=figures,
            lights=lights.lights(summary),
            scripts=used,
            policy=scripts.policy(used),
            pairs_a_row=PAIRS_A_ROW,
            sheet_gap=SHEET_GAP,
            limits=limits.limits(summary),
            checklists=checklists.checklists(summary),
            evidence=checklists.evidence(),
            painted=painted,
            readers=readers,
            reader=readers.shown_study(summary.reader_slices, run_root) if summary.reader_slices else None,
            light_rules=lights.rules(
                painted=painted,
                pasted=summary.difference_to_copy_paste is not None,
                on_generated=wording.names.on_generated(summary),
            ),
            primary=wording.diversity.primary_fidelity(summary.fidelity),
            shown=embed(
                pictures=first_fold(_but_wrong(summary.pictures)),
                run_root=run_root,
                painted=painted,
                painters=wording.names.on_generated(summary),
            ),
            wrong=embed(pictures=[p for p in summary.pictures if p.kind == "wrong"], run_root=run_root),
            case_tables=case_tables,
            first_fold=first_fold,
            several_folds=summary.data.folds_evaluated * summary.data.repeats > 1,
            config=json.dumps(summary.provenance.config, indent=2, sort_keys=True, ensure_ascii=False),
        )
    )


def _but_wrong(pictures: Sequence[Picture]) -> list[Picture]:
    """Without slices called wrong, which are the worst of all folds and stand apart."""
    return [picture for picture in pictures if picture.kind != "wrong"]


@dataclass(frozen=True)
class Shown:
    """A picture as the page shows it: `source` is a data URI, or empty where `problem` says why there is none.

    still: of a film, a data URI of what stands in its place where nothing may move; empty of other pictures. painted:
    whether it shows what a painter made, and no generator.
    """

    picture: Picture
    text: str
    source: str
    problem: str
    still: str
    painted: bool


def embed(
    *, pictures: Sequence[Picture], run_root: Path, painted: bool = False, painters: bool = False
) -> tuple[Shown, ...]:
    """Each picture as a data URI, in order, until the page's budget is spent.

    painted: synthetic slices are real ones that were painted on; painters: painters alone are seen while they learn.
    """
    shown = []
    left = {"image/png": PICTURE_BUDGET, "image/gif": FILM_BUDGET}

    def take(path: str) -> tuple[str, str]:
        """A data URI and no problem, or an empty one and the problem."""
        data, kind, problem = _read_picture(run_root, path)
        if problem:
            return "", problem
        if len(data) > left[kind]:
            return "", _("left out to keep this page small; it lies in the run folder")
        left[kind] -= len(data)
        return f"data:{kind};base64,{base64.b64encode(data).decode()}", ""

    for picture in pictures:
        source, problem = take(picture.path)
        still, missing = take(picture.still) if picture.still and source else ("", "")
        if still.startswith("data:image/gif"):
            missing = _("its file is not a PNG picture")
        if missing:  # a film that cannot be stopped is not shown
            source, problem, still = "", _("of the still in its place {problem}").format(problem=missing), ""
        by_painter = painted or (painters and picture.kind in {"training", "film"})
        text = wording.pictures.picture_text(picture, painted=by_painter)
        shown.append(Shown(picture, text, source, problem, still, by_painter))
    return tuple(shown)


def _read_picture(run_root: Path, path: str) -> tuple[bytes, str, str]:
    """The bytes of a PNG or GIF inside the run folder, its media type and no problem; or nothing and the problem."""
    place = (run_root / path).resolve()
    if not place.is_relative_to(run_root.resolve()):
        return b"", "", _("its path leaves the run folder")
    try:
        data = place.read_bytes()
    except OSError:
        return b"", "", _("its file is missing from the run folder")
    kind = next((kind for signature, kind in KINDS.items() if data.startswith(signature)), "")
    return (data, kind, "") if kind else (b"", "", _("its file is neither a PNG nor a GIF picture"))


def first_fold(records: Sequence[OfFold]) -> tuple[OfFold, ...]:
    """Only the records of the lowest fold among them."""
    first = min((record.fold for record in records), default=0)
    return tuple(record for record in records if record.fold == first)
