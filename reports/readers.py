"""The reader study of the page: its slices on one sheet, what its script must know, and the table of what was told."""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Final

from PIL import Image, UnidentifiedImageError

from data_contracts.results import Estimate, ReaderScores, ReaderSlices, ReaderStudy
from reports.language import _
from reports.numbers import percent_interval, plain_interval
from reports.tables import Table
from reports.wording.readers import page_texts, reader_name

FOLDER: Final = Path("pictures", "reader")  # of the files NAME.png, inside a run folder
COLUMNS: Final = 8  # slices side by side on the sheet
BUDGET: Final = 2_600_000  # bytes of the sheet; base64 makes 4/3 of them

COLUMN_OF: Final[tuple[tuple[str, Callable[[Estimate], str]], ...]] = (
    ("accuracy", percent_interval),
    ("auc", plain_interval),
    ("sensitivity", percent_interval),
    ("specificity", percent_interval),
    ("diagnosis_real", percent_interval),
    ("diagnosis_synthetic", percent_interval),
)


@dataclass(frozen=True)
class ShownStudy:
    """The slices as the page holds them: `source` is a data URI of the sheet, or empty where `problem` says why.

    told: JSON for the script: the study's id, names in the order of the sheet, and texts.
    """

    source: str
    problem: str
    told: str


def shown_study(slices: ReaderSlices, run_root: Path) -> ShownStudy:
    """All slices on one sheet, row by row, so that no length of a file tells one from another."""
    told = {
        "study": slices.study,
        "size": slices.size,
        "columns": COLUMNS,
        "names": slices.names,
        "texts": page_texts(),
    }
    try:
        data = _sheet(slices, run_root)
    except (OSError, UnidentifiedImageError, ValueError):
        return ShownStudy("", _("its pictures are missing from the run folder"), "")
    if len(data) > BUDGET:
        return ShownStudy("", _("left out to keep this page small; its pictures lie in the run folder"), "")
    return ShownStudy(f"data:image/png;base64,{base64.b64encode(data).decode()}", "", json.dumps(told))


def _sheet(slices: ReaderSlices, run_root: Path) -> bytes:
    """PNG of all slices; raises ValueError for one that lies elsewhere or is no grey square of the stated size."""
    rows = -(-len(slices.names) // COLUMNS)
    sheet = Image.new("L", (COLUMNS * slices.size, rows * slices.size))
    for i, name in enumerate(slices.names):
        path = (run_root / FOLDER / f"{name}.png").resolve()
        if not path.is_relative_to(run_root.resolve()):
            raise ValueError("a path that leaves the run folder")
        with Image.open(path, formats=["PNG"]) as picture:
            if picture.mode != "L" or picture.size != (slices.size, slices.size):
                raise ValueError("not a slice of this study")
            sheet.paste(picture, (i % COLUMNS * slices.size, i // COLUMNS * slices.size))
    written = BytesIO()
    sheet.save(written, format="PNG", compress_level=9)
    return written.getvalue()


def readers_table(study: ReaderStudy) -> Table:
    """What each reader could tell, all together last."""
    rows = [_row(reader_name(one, number), one) for number, one in enumerate(study.readers, start=1)]
    if len(study.readers) > 1:
        rows.append(_row(_("Mean of all readers"), study.together))
    columns = (
        _("Reader"),
        _("Real or synthetic, right"),
        _("AUC of confidence"),
        _("Synthetic called synthetic"),
        _("Real called real"),
        _("Diagnosis right, real"),
        _("Diagnosis right, synthetic"),
    )
    caption = _(
        "What each reader could tell, with 95 % intervals; 50 % is guessing, and so is 0.5 of the AUC, the chance that "
        "a synthetic slice is held for synthetic with more confidence than a real one."
    )
    return Table(caption, columns, tuple(rows))


def _row(name: str, scores: ReaderScores) -> tuple[str, ...]:
    return (name, *(written(getattr(scores, column)) for column, written in COLUMN_OF))
