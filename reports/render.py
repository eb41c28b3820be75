"""The report: one self-contained HTML page from a run's summary and the pictures in its run folder.

The page asks nothing of the network and holds no date, so the same run gives the same bytes on any day.
"""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from data_contracts.results import FidelityScores, MemorisationScores, Picture, RunSummary, TrainingRecord
from reports import figures, lights, limits, numbers, tables, wording

OfFold = TypeVar("OfFold", Picture, FidelityScores, MemorisationScores, TrainingRecord)

PNG_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
PICTURE_BUDGET: Final = (
    2_000_000  # bytes of PNG on the whole page: as base64 under 2.7 MB, so the page stays under 3 MB
)


def render(*, summary: RunSummary, run_root: Path) -> str:
    """The whole report as HTML text.

    `run_root` is where the paths of `summary.pictures` start. A picture that is missing, is no PNG, lies outside the
    run folder or no longer fits on the page is replaced by a line that says so; nothing is raised for it.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2").render(
        s=summary,
        known=summary.data.subjects_known,
        words=wording,
        numbers=numbers,
        tables=tables,
        figures=figures,
        lights=lights.lights(summary),
        limits=limits.limits(summary),
        light_rules=lights.rules(),
        shown=embed(pictures=first_fold(summary.pictures), run_root=run_root),
        first_fold=first_fold,
        several_folds=summary.data.folds_evaluated > 1,
        config=json.dumps(summary.provenance.config, indent=2, sort_keys=True, ensure_ascii=False),
    )


@dataclass(frozen=True)
class Shown:
    """A picture as the page shows it: `source` is a data URI, or empty where `problem` says why there is none."""

    picture: Picture
    text: str
    source: str
    problem: str


def embed(*, pictures: Sequence[Picture], run_root: Path) -> tuple[Shown, ...]:
    """Each picture as a data URI, in order, until the page's budget is spent."""
    shown, spent = [], 0
    for picture in pictures:
        data, problem = _read_png(run_root, picture.path)
        if spent + len(data) > PICTURE_BUDGET:
            data, problem = b"", "left out to keep this page small; it lies in the run folder"
        spent += len(data)
        source = "data:image/png;base64," + base64.b64encode(data).decode() if data else ""
        shown.append(Shown(picture, wording.picture_text(picture), source, problem))
    return tuple(shown)


def _read_png(run_root: Path, path: str) -> tuple[bytes, str]:
    """The bytes of a PNG inside the run folder and no problem, or no bytes and the problem."""
    place = (run_root / path).resolve()
    if not place.is_relative_to(run_root.resolve()):
        return b"", "its path leaves the run folder"
    try:
        data = place.read_bytes()
    except OSError:
        return b"", "its file is missing from the run folder"
    return (data, "") if data.startswith(PNG_SIGNATURE) else (b"", "its file is not a PNG picture")


def first_fold(records: Sequence[OfFold]) -> tuple[OfFold, ...]:
    """Only the records of the lowest fold among them."""
    first = min((record.fold for record in records), default=0)
    return tuple(record for record in records if record.fold == first)
