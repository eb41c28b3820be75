"""Which slices readers are asked about: drawn by lot, written alike, and what they are kept apart from them.

Whoever has the page must not find out from it what a slice is. So all files are of one length, written in one way,
under names that are places in a random order. That order follows from the run's seed and from the pixels of all slices
that could have been drawn, for the page tells the seed. Slices that the page shows elsewhere are drawn only where
others do not suffice.
"""

import hashlib
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from data_contracts.manifest import DIAGNOSES, REAL, SYNTHETIC, TUMOUR
from data_contracts.reader import ReaderKey, key_item
from data_contracts.results import Picture, ReaderSlices, ReaderStudy, RunSummary
from data_contracts.splits import Fold, Splits
from flows.errors import ConfigError
from flows.reader_study import key_path, scores_path
from flows.report import summary_of, write_report
from flows.study import record_of, rows_of, seed_of
from pipeline.formats.raster import to_uint8, write_png
from pipeline.formats.synthetic import PAINTED_NAME, read_painted, read_synthetic
from pipeline.run_dir import RunDir, read_record, whole, write_record

ITEMS: Final = 40  # half of them synthetic
FEWEST: Final = 8  # with fewer nothing could be told
FEWEST_OF_DIAGNOSIS: Final = 2  # of either origin
LOOKED_AT: Final = (
    400  # slices of one origin and diagnosis, by lot, that may be drawn: each is looked for in every sheet
)
MOST_PIXELS: Final = 2_700_000  # of all slices together, so that the page stays small: 40 of 256 x 256

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Pool:
    """Slices of one origin and diagnosis that may be drawn: uint8 (N, S, S), their groups (N,), and whether the page
    shows them elsewhere (N,).
    """

    origin: str
    diagnosis: str
    pixels: Pixels
    groups: tuple[str, ...]
    shown: NDArray[np.bool_]


def with_reader_study(run: RunDir, summary: RunSummary) -> RunSummary:
    """The summary with its reader study: drawn now where it was not, and with its scores where these are of it."""
    if not key_path(run).exists():
        draw(run, summary)
    if not key_path(run).exists():
        return summary.model_copy(update={"reader_slices": None, "reader_study": None})
    key = read_record(key_path(run), ReaderKey)
    slices = ReaderSlices(study=key.study, size=key.size, names=tuple(item.item for item in key.items))
    scores = read_record(scores_path(run), ReaderStudy) if scores_path(run).exists() else None
    if scores is not None and scores.study != key.study:
        scores = None
    return summary.model_copy(update={"reader_slices": slices, "reader_study": scores})


def draw_again(root: Path, *, most: int = ITEMS, again: bool = False) -> RunSummary:
    """Draw the slices of a finished run that has none, and its report once more; `again`: new ones in their place.

    Raises ConfigError where no finished run is, where it has a study and `again` does not stand, and where it has too
    few slices. Answers to slices that were there before are no longer of any use: their scores go.
    """
    run = RunDir(root)
    summary = summary_of(run)
    if key_path(run).exists() and not again:
        raise ConfigError(f"{root} has a reader study; --again draws anew, and answers to the first are then refused")
    if draw(run, summary, most=most) is None:
        raise ConfigError(f"{root} has too few slices: {FEWEST} are needed, of either diagnosis and origin")
    summary = with_reader_study(run, summary)
    write_record(run.summary, summary)
    write_report(run, run.report)
    return summary


def draw(run: RunDir, summary: RunSummary, *, most: int = ITEMS) -> ReaderKey | None:
    """Draw the slices of a finished run's first fold and write them and their key; None where they are too few.

    Real ones are of groups held out for testing, each group once where that suffices; synthetic ones of the set that
    passed the screen. Of either diagnosis as many synthetic as real ones, up to a quarter of `most`. Those that the
    pictures of `summary` show are taken last.
    """
    fold = read_record(run.splits, Splits).whole.folds[0]
    manifest = pd.read_parquet(run.manifest)
    cases = [case.slice_id for told in (summary.wrong, summary.occlusions) if told for case in told.cases]
    named = manifest["slice_id"].isin(cases)
    if not summary.data.subjects_known:  # then a group is a slice and its copies, and one gives the others away
        named = manifest["group"].isin(manifest["group"][named])
    seed = seed_of(record_of(run).seed, "reader study")
    shown = _sheets(run, summary.pictures)
    rng = np.random.default_rng(seed)
    pools = list(_pools(run, fold, manifest, shown=shown, named=named.to_numpy(), rng=rng))
    size = pools[0].pixels.shape[-1]
    quarter = min(most, MOST_PIXELS // size**2) // 4
    wanted = {d: min(quarter, *(len(p.groups) for p in pools if p.diagnosis == d)) for d in DIAGNOSES}
    if min(wanted.values()) < FEWEST_OF_DIAGNOSIS or 2 * sum(wanted.values()) < FEWEST:
        return None
    rng = np.random.default_rng([seed, *_words(pools)])
    used: Counter[str] = Counter()
    chosen = [(pool, i) for pool in pools for i in choose(pool, wanted[pool.diagnosis], used=used, rng=rng)]
    return _write(run, fold.fold, [chosen[i] for i in rng.permutation(len(chosen))])


def _pools(
    run: RunDir,
    fold: Fold,
    manifest: pd.DataFrame,
    *,
    shown: Sequence[Pixels],
    named: NDArray[np.bool_],
    rng: np.random.Generator,
) -> Iterator[Pool]:
    """Real test slices and kept synthetic ones of the fold, a diagnosis after the other. named: rows shown for sure."""
    images = np.load(run.normalised(fold.fold), mmap_mode="r")
    group_of = manifest.set_index("slice_id")["group"]
    for diagnosis in DIAGNOSES:
        of = _some(np.flatnonzero(rows_of(manifest, fold.test, diagnosis)), rng)
        rows, pixels = manifest.iloc[of], to_uint8(images[of][:, 0])
        seen = seen_in(shown, pixels) | named[of]
        yield Pool(REAL, diagnosis, pixels, tuple(rows["group"]), seen)
        folder = run.synthetic(fold.fold, diagnosis)
        made, painted = read_synthetic(folder)
        groups = made["slice_id"]
        if (folder / PAINTED_NAME).exists():  # all around its lesion it shows a patient, or a head that a GAN drew
            sources = read_painted(folder)[0]["source"]
            groups = sources.map(group_of).fillna(sources)
        of = _some(np.arange(len(made)), rng)
        pixels = to_uint8(painted[of, 0])
        yield Pool(SYNTHETIC, diagnosis, pixels, tuple(groups.iloc[of]), seen_in(shown, pixels))


def _some(places: NDArray[np.intp], rng: np.random.Generator) -> NDArray[np.intp]:
    """All places where they are few, else LOOKED_AT of them by lot; in order."""
    return np.sort(rng.permutation(places)[:LOOKED_AT])


def _sheets(run: RunDir, pictures: Sequence[Picture]) -> list[Pixels]:
    """The pictures that the page shows, which are those of the first fold, as grey uint8 (H, W)."""
    found = []
    first = min((picture.fold for picture in pictures), default=0)
    for path in (run.root / picture.path for picture in pictures if picture.fold == first):
        if path.suffix == ".png" and path.exists():
            with Image.open(path) as sheet:
                found.append(np.asarray(sheet.convert("L")))
    return found


def seen_in(sheets: Sequence[Pixels], slices: Pixels) -> NDArray[np.bool_]:
    """Which of the slices (N, S, S) stand, pixel for pixel, somewhere in one of the sheets (H, W)."""
    found = np.zeros(len(slices), dtype=bool)
    lines = [(sheet, [row.tobytes() for row in sheet]) for sheet in sheets]
    for i, one in enumerate(slices):
        telling = int(one.std(axis=1).argmax())  # most rows of many slices are black
        row = one[telling].tobytes()
        found[i] = any(
            np.array_equal(sheet[y - telling : y - telling + len(one), x : x + len(one)], one)
            for sheet, texts in lines
            for y in range(telling, len(texts) - len(one) + telling + 1)
            for x in _places(texts[y], row)
        )
    return found


def _places(text: bytes, row: bytes) -> Iterator[int]:
    at = text.find(row)
    while at >= 0:
        yield at
        at = text.find(row, at + 1)


def choose(pool: Pool, n: int, *, used: Counter[str], rng: np.random.Generator) -> list[int]:
    """Places of n slices of the pool, at random; first those not shown, of these the groups least used so far.

    used: how often each group was drawn, counted on.
    """
    left = [int(i) for i in rng.permutation(len(pool.groups))]
    chosen = []
    for _ in range(n):
        best = min(left, key=lambda i: (bool(pool.shown[i]), used[pool.groups[i]]))  # of equals the first: by lot
        left.remove(best)
        used[pool.groups[best]] += 1
        chosen.append(best)
    return chosen


def _words(pools: Sequence[Pool]) -> list[int]:
    """Seeds from the pixels of all that could be drawn."""
    digest = hashlib.sha256()
    for pool in pools:
        digest.update(pool.pixels.tobytes())
    return [int(word) for word in np.frombuffer(digest.digest(), dtype=np.uint32)]


def _write(run: RunDir, fold: int, chosen: Sequence[tuple[Pool, int]]) -> ReaderKey:
    """Pictures first, the key last. The study is named by its pictures alone: a digest of the key could be guessed."""
    for old in (key_path(run), scores_path(run)):
        old.unlink(missing_ok=True)
    folder = run.reader_picture("item-00").parent
    shutil.rmtree(folder, ignore_errors=True)
    digest, items = hashlib.sha256(), []
    for number, (pool, i) in enumerate(chosen, start=1):
        name = f"item-{number:02d}"
        with whole(run.reader_picture(name)) as part:
            write_png(part, pool.pixels[i], compressed=False)
        digest.update(pool.pixels[i].tobytes())
        synthetic, tumour = pool.origin == SYNTHETIC, pool.diagnosis == TUMOUR
        items.append(key_item(item=name, synthetic=synthetic, tumour=tumour, group=pool.groups[i]))
    size = chosen[0][0].pixels.shape[-1]
    key = ReaderKey(study=digest.hexdigest()[:16], fold=fold, size=size, items=tuple(items))
    write_record(key_path(run), key)
    return key
