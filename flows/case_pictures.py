"""Pictures of single test slices: under the maps of what classifiers look at, and of those called wrong."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from data_contracts.manifest import NO_TUMOUR, TUMOUR
from data_contracts.results import Occlusions, Picture, WrongCases
from pipeline.evidence.occlusion import STRIDE
from pipeline.formats.raster import to_uint8, write_png
from pipeline.run_dir import RunDir, whole

Images = NDArray[np.float32]
Pixels = NDArray[np.uint8]
Flags = NDArray[np.bool_]

SHEETS: Final = tuple((diagnosis, right) for diagnosis in (TUMOUR, NO_TUMOUR) for right in (True, False))
TILE: Final = 128  # pixels a side of a slice under its map, about: small ones are enlarged by whole numbers
LARGEST: Final = 160  # pixels a side of a slice called wrong: larger ones are reduced, or a dozen fill the page
FAINT: Final = 0.05  # fall of a probability; a map that nowhere reaches it is as pale as if one place did
GAP: Final = 2  # pixels of black between tiles
COOL, HOT = np.array((255.0, 96.0, 0.0)), np.array((255.0, 240.0, 120.0))  # of a weak and of the strongest effect
OPACITY: Final = 0.6  # of the strongest: the slice stays seen
SMOOTH: Final = STRIDE / 3  # standard deviation, of a slice's side: the steps of the square are no borders in the head
DASH: Final = 3  # pixels


def rows_of_slices(run: RunDir, slice_ids: Sequence[str] | NDArray[np.str_]) -> NDArray[np.int64]:
    """The rows of these slices in the manifest, and so in every array that is in its order."""
    names = pd.read_parquet(run.manifest, columns=["slice_id"])["slice_id"]
    return pd.Series(np.arange(len(names)), index=names)[list(slice_ids)].to_numpy(np.int64)


def sheet_path(run: RunDir, fold: int, diagnosis: str, *, right: bool) -> Path:
    """Of slices of one diagnosis that are called right, or wrong, under their maps."""
    return run.picture(f"{fold}-{diagnosis}-looks-{'right' if right else 'wrong'}.png")


def draw_cases(run: RunDir, *, occlusions: Occlusions | None, wrong: WrongCases) -> list[Picture]:
    """The sheets of maps, which were drawn when they were found, and a picture of each case called wrong."""
    found = _sheets(run, occlusions) if occlusions else []
    for number, row in enumerate(rows_of_slices(run, [case.slice_id for case in wrong.cases])):
        case, path = wrong.cases[number], run.picture(f"wrong-{number:02d}.png")
        pixels = to_uint8(np.load(run.normalised(case.fold), mmap_mode="r")[row, 0])
        side = min(LARGEST, len(pixels))
        with whole(path) as part:
            write_png(part, np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.BOX)))
        found.append(_picture("wrong", case.fold, case.diagnosis, run.relative(path), n=1))
    return found


def _sheets(run: RunDir, occlusions: Occlusions) -> list[Picture]:
    found = []
    for diagnosis, right in SHEETS:
        n = sum((case.diagnosis, case.right) == (diagnosis, right) for case in occlusions.cases)
        if n:
            path = sheet_path(run, occlusions.fold, diagnosis, right=right)
            kind = "looks_right" if right else "looks_wrong"
            found.append(_picture(kind, occlusions.fold, diagnosis, run.relative(path), n=n))
    return found


def _picture(kind: str, fold: int, diagnosis: str, path: str, *, n: int) -> Picture:
    told = {"kind": kind, "fold": fold, "diagnosis": diagnosis, "origin": "real", "path": path, "n": n}
    return Picture.model_validate(told)


def write_sheet(path: Path, *, images: Images, maps: Sequence[Images], lesions: Flags) -> None:
    """A row a slice: the slice, then it again under each map, the lesion in a dashed outline; whole or not at all.

    images (N, 1, S, S) in [-1, 1]; maps, each (N, S, S); lesions (N, S, S). In 256 colours: a third of the bytes.
    """
    rows = [_row(image[0], [of[i] for of in maps], lesions[i]) for i, image in enumerate(images)]
    with whole(path) as part:
        Image.fromarray(_joined(rows, axis=0)).quantize(256, dither=Image.Dither.NONE).save(part, format="PNG")


def _row(image: Images, maps: list[Images], lesion: Flags) -> Pixels:
    """The slice (S, S), and under each map (S, S) once more: uint8 (T, W, 3)."""
    factor = max(1, round(TILE / len(image)))
    grey = np.kron(to_uint8(image), np.ones((factor, factor), np.uint8))
    outline = dashed(np.kron(lesion, np.ones((factor, factor), bool)))
    tiles = [np.repeat(grey[..., None], 3, axis=2)]
    for map_ in maps:
        smooth = ndimage.gaussian_filter(map_, SMOOTH * len(image))
        under = heated(grey, ndimage.zoom(smooth, factor, order=1, grid_mode=True, mode="nearest"))
        under[outline > 0], under[outline < 0] = 255, 0
        tiles.append(under)
    return _joined(tiles, axis=1)


def heated(grey: Pixels, map_: Images) -> Pixels:
    """A grey slice (H, W) with a map (H, W) laid over it: uint8 (H, W, 3).

    The more a place speaks for the answer, the more of the colour and the lighter it is; a line runs where the effect
    is half of the map's greatest. A map that nowhere reaches FAINT stays pale and has no line. What speaks against the
    answer is not drawn.
    """
    greatest = float(map_.max())
    strength = np.clip(map_ / max(greatest, FAINT), 0, 1)[..., None]
    cover = OPACITY * strength
    shown = grey[..., None] * (1 - cover) + (COOL + strength * (HOT - COOL)) * cover
    if greatest >= FAINT:
        strong = map_ >= greatest / 2
        shown[strong & ~ndimage.binary_erosion(strong)] = HOT
    pixels: Pixels = np.rint(shown).astype(np.uint8)
    return pixels


def dashed(mask: Flags) -> NDArray[np.int8]:
    """The pixels just outside of a mask (H, W), 1 and -1 in turn as dashes are light and dark; 0 elsewhere."""
    edge = ndimage.binary_dilation(mask) & ~mask
    rows, columns = np.indices(mask.shape)
    light = (rows + columns) // DASH % 2 == 0
    return np.where(edge, np.where(light, 1, -1), 0).astype(np.int8)


def _joined(tiles: list[Pixels], *, axis: int) -> Pixels:
    """Colour tiles with GAP pixels of black between them."""
    shape = list(tiles[0].shape)
    shape[axis] = GAP
    parts = [part for tile in tiles for part in (tile, np.zeros(shape, np.uint8))]
    return np.concatenate(parts[:-1], axis=axis)
