"""One frame and one grey scale for every slice: find the head, crop it, resample, map three landmarks.

Size, aspect, frame, letters beside the head and exposure are facts about the file, not about the subject; what is
left after this stage must not tell one source from another. Intensity follows Nyul, Udupa and Zhang (2000), "New
variants of a method of MRI scale standardization", with three landmarks.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from scipy import ndimage

from data_contracts.images import ImageSpec, check_images
from data_contracts.splits import Splits
from data_contracts.violations import Violation, require
from pipeline.run_dir import RunDir, read_record, write_array, write_record
from pipeline.scans.head import NoHeadError, Pixels, background_of, find_head, resize

MARGIN = 0.03  # background kept on each side of the head, as a share of its longer side


class NormaliseConfig(BaseModel):
    """Pixels a side of a normalised image, and the percentiles of the head that are its outer landmarks."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    size: int = Field(default=64, ge=16)
    low_percentile: float = Field(default=1.0, ge=0, lt=50)
    high_percentile: float = Field(default=99.5, gt=50, le=100)


class Normalisation(BaseModel):
    """What was fitted on a training part: `m` in (-1, 1), where the median of every head is sent; `n_slices` of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    m: float = Field(gt=-1, lt=1)
    n_slices: int = Field(ge=1)


@dataclass(frozen=True)
class Geometry:
    """A square of `side` pixels at (`top`, `left`) of a slice of `height` x `width` pixels; it may reach outside."""

    height: int
    width: int
    top: int
    left: int
    side: int


@dataclass(frozen=True)
class Landmarks:
    """Low percentile, median and high percentile of the head, in raw units; low < median < high."""

    low: float
    median: float
    high: float

    @property
    def median_position(self) -> float:
        """Where the median stands between low (-1) and high (+1)."""
        return 2 * (self.median - self.low) / (self.high - self.low) - 1


@dataclass(frozen=True)
class Measured:
    """All of a slice that no fold changes. crop: float32 (size, size), raw units, `low` outside the head."""

    crop: Pixels
    landmarks: Landmarks
    geometry: Geometry


def measure(pixels: NDArray[np.generic], config: NormaliseConfig) -> Measured:
    """Find the head in one slice, crop it to a padded square of config.size pixels and read its landmarks.

    pixels: (H, W), any real dtype and unit. Everything outside the head is set to the low landmark, so that letters
    and frames are gone. Raises NoHeadError where nothing stands out from the background.
    """
    raw = np.asarray(pixels, dtype=np.float32)
    head = find_head(raw)
    background = background_of(raw)
    if background > raw.min():
        head &= raw != background  # in a z-scored scan the background is no darker than tissue
    low, median, high = np.percentile(raw[head], [config.low_percentile, 50, config.high_percentile])
    if not high > low:
        raise NoHeadError("the head has one grey value")
    # a median on top of an outer landmark would make one of the two linear pieces infinitely steep
    median = np.clip(median, low + 0.02 * (high - low), high - 0.02 * (high - low))
    rows, columns = ndimage.find_objects(head.astype(np.uint8))[0]
    geometry = _square(rows, columns, raw.shape)
    crop = resize(_cut(np.where(head, raw, np.float32(low)), geometry, fill=float(low)), (config.size, config.size))
    return Measured(crop, Landmarks(float(low), float(median), float(high)), geometry)


def fit(measured: Sequence[Measured]) -> Normalisation:
    """Mean position of the median among training slices. Raises ValueError for no slice at all."""
    if not measured:
        raise ValueError("nothing to fit on")
    positions = [one.landmarks.median_position for one in measured]
    return Normalisation(m=float(np.mean(positions)), n_slices=len(positions))


def apply(measured: Measured, normalisation: Normalisation) -> Pixels:
    """Map low, median, high to -1, m, +1, linearly between and clipped outside: float32 (1, size, size) in [-1, 1]."""
    marks = measured.landmarks
    scaled = np.interp(measured.crop, (marks.low, marks.median, marks.high), (-1.0, normalisation.m, 1.0))
    return scaled.astype(np.float32)[None]


def denormalise(image: Pixels, *, geometry: Geometry, landmarks: Landmarks, normalisation: Normalisation) -> Pixels:
    """Put a normalised image back into its slice: float32 (1, size, size) in [-1, 1] -> (H, W) in raw units.

    Lost for good: values clipped beyond the outer landmarks, all that stood outside the head (filled with the low
    landmark), and detail finer than the normalised grid.
    """
    raw = np.interp(image[0], (-1.0, normalisation.m, 1.0), (landmarks.low, landmarks.median, landmarks.high))
    square = resize(raw.astype(np.float32), (geometry.side, geometry.side))
    whole = np.full((geometry.height, geometry.width), landmarks.low, dtype=np.float32)
    target, source = _overlap(geometry)
    whole[target] = square[source]
    return whole


def normalise(
    *,
    run: RunDir,
    manifest: pd.DataFrame,
    splits: Splits,
    config: NormaliseConfig,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write each fold's images (float32 (N, 1, size, size) in manifest order) and its fitted Normalisation.

    Folds whose two files are there are left as they are. progress(done, total) counts slices measured. Raises
    ContractError that names every slice without a head.
    """
    missing = [f for f in splits.folds if not (run.normalised(f.fold).exists() and run.normalisation(f.fold).exists())]
    if not missing:
        return
    measured = measure_all(run, list(manifest["slice_id"]), config, progress)
    for fold in missing:
        train = manifest["group"].isin(fold.train).to_numpy()
        normalisation = fit([one for one, is_train in zip(measured, train, strict=True) if is_train])
        images = np.stack([apply(one, normalisation) for one in measured])
        require(check_images(images, ImageSpec(config.size), f"fold-{fold.fold}"))
        write_array(run.normalised(fold.fold), images)
        write_record(run.normalisation(fold.fold), normalisation)


def read_normalisation(run: RunDir, fold: int) -> Normalisation:
    """What `normalise` fitted on the training part of one fold."""
    return read_record(run.normalisation(fold), Normalisation)


def measure_all(
    run: RunDir, slice_ids: list[str], config: NormaliseConfig, progress: Callable[[int, int], None] | None = None
) -> list[Measured]:
    """Measure each slice of a run. Raises ContractError that names every slice without a head."""
    measured, found = [], []
    for done, slice_id in enumerate(slice_ids, start=1):
        with np.load(run.slice_pixels(slice_id)) as stored:
            pixels = stored["pixels"]
        try:
            measured.append(measure(pixels, config))
        except NoHeadError as error:
            found.append(Violation(slice_id, "head", str(error)))
        if progress:
            progress(done, len(slice_ids))
    require(found)
    return measured


def _square(rows: slice, columns: slice, shape: tuple[int, ...]) -> Geometry:
    """The head's bounding box with its margin, as a square around the same centre."""
    side = max(rows.stop - rows.start, columns.stop - columns.start)
    side += 2 * max(1, round(MARGIN * side))
    top = (rows.start + rows.stop - side) // 2
    left = (columns.start + columns.stop - side) // 2
    return Geometry(height=shape[0], width=shape[1], top=top, left=left, side=side)


def _overlap(geometry: Geometry) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Where square and slice overlap: as indices of the slice, and of the square."""
    inside, outside = [], []
    for start, length in ((geometry.top, geometry.height), (geometry.left, geometry.width)):
        first, last = max(start, 0), min(start + geometry.side, length)
        inside.append(slice(first, last))
        outside.append(slice(first - start, last - start))
    return (inside[0], inside[1]), (outside[0], outside[1])


def _cut(raw: Pixels, geometry: Geometry, *, fill: float) -> Pixels:
    square = np.full((geometry.side, geometry.side), fill, dtype=np.float32)
    source, target = _overlap(geometry)
    square[target] = raw[source]
    return square
