"""Pictures for the report: sheets of real and synthetic slices and nearest pairs, the training over time, its film."""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from data_contracts.results import PAIRS_A_ROW, SHEET_GAP, Picture
from data_contracts.splits import Fold
from flows.single import film_of_training
from pipeline.formats.raster import read_png, to_uint8, write_png
from pipeline.formats.synthetic import read_synthetic
from pipeline.run_dir import RunDir, whole
from pipeline.synthesis import model_dir

COLUMNS, ROWS = 8, 4
PAIRS = 8
SHEET_ROWS = 6
FILM_PICTURES = 4
# Ticks in a film, the most that keep it below FILM_BYTES: 24 of clean heads at 64 px, 12 of pure noise (280 kB)
FILM_TICKS = (24, 12)
FILM_BYTES = 300_000


def tile(images: NDArray[np.uint8], columns: int) -> NDArray[np.uint8]:
    """Lay uint8 (N, H, W) out row by row, `columns` wide, the last row filled with black."""
    n, height, width = images.shape
    rows = -(-n // columns)
    sheet = np.zeros((rows * (height + SHEET_GAP) - SHEET_GAP, columns * (width + SHEET_GAP) - SHEET_GAP), np.uint8)
    for i, image in enumerate(images):
        top, left = (i // columns) * (height + SHEET_GAP), (i % columns) * (width + SHEET_GAP)
        sheet[top : top + height, left : left + width] = image
    return sheet


def _write(run: RunDir, name: str, sheet: NDArray[np.uint8]) -> str:
    with whole(run.picture(name)) as part:
        write_png(part, sheet)
    return run.relative(run.picture(name))


def _spread(count: int, wanted: int) -> NDArray[np.intp]:
    """Indices of up to `wanted` of `count` items, evenly spread: nobody picks the prettiest."""
    return np.unique(np.linspace(0, count - 1, min(count, wanted)).round().astype(np.intp))


def slices(run: RunDir, fold: Fold, diagnosis: str, manifest: pd.DataFrame) -> list[Picture]:
    """Real training slices and synthetic ones of one diagnosis, each on its own sheet."""
    of_training = (manifest["group"].isin(fold.train) & (manifest["diagnosis"] == diagnosis)).to_numpy()
    real = np.load(run.normalised(fold.fold), mmap_mode="r")[of_training]
    _, synthetic = read_synthetic(run.synthetic(fold.fold, diagnosis))
    found = []
    for origin, images in (("real", real), ("synthetic", synthetic)):
        chosen = images[_spread(len(images), COLUMNS * ROWS), 0] if len(images) else images[:, 0]
        if len(chosen):
            path = _write(run, f"{fold.fold}-{diagnosis}-{origin}.png", tile(to_uint8(chosen), COLUMNS))
            found.append(_picture("slices", fold.fold, diagnosis, origin=origin, path=path, n=len(chosen)))
    return found


def review(run: RunDir, fold: Fold, diagnosis: str, manifest: pd.DataFrame) -> list[Picture]:
    """Real slices that want a look, as normalisation shows them, those first that may be no head."""
    wanted = manifest["review"].ne("") & manifest["diagnosis"].eq(diagnosis)
    strange = manifest["review"].str.contains("head")
    order = np.concatenate([np.flatnonzero(wanted & strange), np.flatnonzero(wanted & ~strange)])[: COLUMNS * ROWS]
    if not len(order):
        return []
    images = np.load(run.normalised(fold.fold), mmap_mode="r")[order, 0]
    path = _write(run, f"{fold.fold}-{diagnosis}-review.png", tile(to_uint8(images), COLUMNS))
    return [_picture("review", fold.fold, diagnosis, origin="real", path=path, n=len(order))]


def training_sheet(run: RunDir, fold: Fold, diagnosis: str) -> Picture:
    """The generator's fixed latents over training, a row a tick, evenly spread over the ticks, the last one last."""
    snapshots = model_dir.snapshots(run.model(fold.fold, diagnosis))
    rows = [read_png(snapshots[i]) for i in _spread(len(snapshots), SHEET_ROWS)]
    path = _write(run, f"{fold.fold}-{diagnosis}-training.png", tile(np.stack(rows), 1))
    n = _pictures_in(snapshots[-1])
    return _picture("training", fold.fold, diagnosis, origin="synthetic", path=path, n=n)


def film(run: RunDir, fold: Fold, diagnosis: str) -> Picture:
    """The same latents as a film of up to `FILM_BYTES`, and its last frame for those who want nothing that moves."""
    folder = run.model(fold.fold, diagnosis)
    name = f"{fold.fold}-{diagnosis}-film"
    with whole(run.picture(f"{name}.gif")) as part:
        for ticks in FILM_TICKS:
            part.unlink(missing_ok=True)  # a film is never written over another
            film_of_training(folder, part, most=ticks, pictures=FILM_PICTURES)
            if part.stat().st_size <= FILM_BYTES:
                break
        still = _write(run, f"{name}-end.png", _last_frame(part))
    return Picture(
        kind="film",
        fold=fold.fold,
        diagnosis=diagnosis,
        origin="synthetic",
        path=run.relative(run.picture(f"{name}.gif")),
        n=min(FILM_PICTURES, _pictures_in(model_dir.snapshots(folder)[-1])),
        still=still,
    )


def _pictures_in(snapshot: Path) -> int:
    """Pictures in a snapshot, which is a row of squares."""
    pixels = read_png(snapshot)
    return int(pixels.shape[1] // len(pixels))


def _last_frame(gif: Path) -> NDArray[np.uint8]:
    """uint8 (H, W)."""
    with Image.open(gif) as moving:
        moving.seek(getattr(moving, "n_frames", 1) - 1)
        return np.asarray(moving.convert("L"))


def _pairs_name(fold: int, diagnosis: str) -> str:
    return f"{fold}-{diagnosis}-nearest.png"


def nearest_pairs(
    run: RunDir,
    fold: int,
    diagnosis: str,
    *,
    generated: NDArray[np.float32],
    nearest: NDArray[np.float32],
    distances: NDArray[np.float32],
) -> None:
    """Draw the generated slices nearest to a training slice, each left of that slice, nearest first.

    generated, nearest: float32 (N, 1, S, S) in [-1, 1], one training slice a generated one; distances: (N,).
    """
    worst = np.argsort(distances, kind="stable")[:PAIRS]
    pairs = np.concatenate([generated[worst, 0], nearest[worst, 0]], axis=2)
    _write(run, _pairs_name(fold, diagnosis), tile(to_uint8(pairs), PAIRS_A_ROW))


def draw_all(run: RunDir, folds: list[Fold], diagnoses: tuple[str, ...], manifest: pd.DataFrame) -> list[Picture]:
    """Draw what the report shows of fold and diagnosis; the nearest pairs were drawn when they were found."""
    found = []
    for fold in folds:
        for diagnosis in diagnoses:
            pairs = run.relative(run.picture(_pairs_name(fold.fold, diagnosis)))
            if fold == folds[0]:  # the same slices in every fold
                found += review(run, fold, diagnosis, manifest)
            found += slices(run, fold, diagnosis, manifest)
            found.append(training_sheet(run, fold, diagnosis))
            found.append(film(run, fold, diagnosis))
            found.append(_picture("nearest_pairs", fold.fold, diagnosis, origin="both", path=pairs, n=PAIRS))
    return found


def _picture(kind: str, fold: int, diagnosis: str, *, origin: str, path: str, n: int) -> Picture:
    return Picture.model_validate(
        {"kind": kind, "fold": fold, "diagnosis": diagnosis, "origin": origin, "path": path, "n": n}
    )
