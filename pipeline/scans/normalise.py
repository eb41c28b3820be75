"""One frame and one grey scale for every slice: find the head, crop it, resample, map three landmarks.

Size, aspect, frame, letters beside the head and exposure are facts about the file, not about the subject; what is
left after this stage must not tell one source from another. Intensity follows Nyul, Udupa and Zhang (2000), "New
variants of a method of MRI scale standardization", with three landmarks.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from data_contracts.images import ImageSpec, check_images
from data_contracts.splits import Splits
from data_contracts.violations import Violation, require
from pipeline.run_dir import RunDir, read_record, write_array, write_record
from pipeline.scans.bias import bias_field, factor
from pipeline.scans.frame import FrameError, box_around, cut_out, millimetres_around, put_back
from pipeline.scans.frame import Geometry as Geometry  # noqa: PLC0414 (a part of Measured: readers take it from here)
from pipeline.scans.head import (
    MAX_ELONGATION,
    Mask,
    NoHeadError,
    Pixels,
    background_of,
    find_head,
    percentiles,
    resize,
)
from pipeline.scans.strip import find_brain

# what was asked for and could not be done for a slice, which is used all the same
SKULL_KEPT: Final = "skull_kept"
BIAS_KEPT: Final = "bias_kept"


class NormaliseConfig(BaseModel):
    """Pixels a side of a normalised image, and what is done to a slice on the way there.

    The two percentiles of the head are its outer landmarks. With spacing_mm the frame is a square of
    size * spacing_mm millimetres around the head's centre, so that a head keeps its size; without it, the head's own
    box. bias_correction divides the coil's shading out (`pipeline.scans.bias`); strip takes skull and scalp off
    (`pipeline.scans.strip`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    size: int = Field(default=64, ge=16)
    low_percentile: float = Field(default=1.0, ge=0, lt=50)
    high_percentile: float = Field(default=99.5, gt=50, le=100)
    spacing_mm: float | None = Field(default=None, gt=0)
    bias_correction: bool = False
    strip: bool = False


class Normalisation(BaseModel):
    """What was fitted on a training part: `m` in (-1, 1), where the median of every head is sent; `n_slices` of it.

    undone: of those slices, how many were left with SKULL_KEPT or BIAS_KEPT though the config asked otherwise.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    m: float = Field(gt=-1, lt=1)
    n_slices: int = Field(ge=1)
    undone: dict[str, int] = {}


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
    """All of a slice that no fold changes. crop: float32 (size, size), raw units, `low` outside the head.

    bias: the coarse logarithm of what crop was divided by, None where nothing was. stripped: the head is the brain
    alone. undone: SKULL_KEPT, BIAS_KEPT where that was asked for in vain.
    """

    crop: Pixels
    landmarks: Landmarks
    geometry: Geometry
    bias: Pixels | None = None
    stripped: bool = False
    undone: tuple[str, ...] = ()


def measure(pixels: NDArray[np.generic], config: NormaliseConfig, *, pixel_mm: float | None = None) -> Measured:
    """Find the head in one slice, crop it to a square of config.size pixels and read its landmarks.

    pixels: (H, W), any real dtype and unit; pixel_mm: side of a pixel, needed where config.spacing_mm is set.
    Everything outside the head is set to the low landmark, so that letters and frames are gone. Raises NoHeadError
    where nothing stands out from the background; FrameError `spacing_unknown` or `head_too_large` where the slice
    cannot be put on config.spacing_mm.
    """
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is refused below
        raw = np.asarray(pixels, dtype=np.float32)
    head = find_head(raw)
    background = background_of(raw)
    if background > raw.min():
        head &= raw != background  # in a z-scored scan the background is no darker than tissue
    bias = bias_field(raw, head) if config.bias_correction else None
    if bias is not None:
        raw = raw / factor(bias, raw.shape)
    brain = find_brain(raw, head) if config.strip else None
    seen = head if brain is None else brain
    landmarks = _landmarks(raw[seen], config)
    geometry = _frame(seen, config, pixel_mm)
    crop = cut_out(np.where(seen, raw, np.float32(landmarks.low)), geometry, size=config.size, fill=landmarks.low)
    left = ((SKULL_KEPT, config.strip and brain is None), (BIAS_KEPT, config.bias_correction and bias is None))
    undone = tuple(rule for rule, kept in left if kept)
    return Measured(crop, landmarks, geometry, bias=bias, stripped=brain is not None, undone=undone)


def measure_any(pixels: NDArray[np.generic], config: NormaliseConfig, *, pixel_mm: float | None = None) -> Measured:
    """As `measure`; where there is no head that fits the frame, the whole picture, linear between its extremes.

    For images that are judged whatever they show; a study takes heads alone. Raises FrameError `spacing_unknown`.
    """
    if max(pixels.shape) > MAX_ELONGATION * min(pixels.shape):
        return _whole_picture(pixels, config)
    try:
        return measure(pixels, config, pixel_mm=pixel_mm)
    except NoHeadError:
        return _whole_picture(pixels, config)
    except FrameError as error:
        if error.rule != "head_too_large":
            raise
        return _whole_picture(pixels, config)


def _whole_picture(pixels: NDArray[np.generic], config: NormaliseConfig) -> Measured:
    """A picture (H, W) in the middle of a square; what is not finite is read as its lowest value."""
    with np.errstate(over="ignore"):
        raw = np.asarray(pixels, dtype=np.float32)
    finite = np.isfinite(raw)
    low, high = (float(raw[finite].min()), float(raw[finite].max())) if finite.any() else (0.0, 0.0)
    if not high > low:
        high = low + max(1.0, abs(low))  # a picture of one grey value is all background
    side = max(raw.shape)
    height, width = (max(1, round(n * config.size / side)) for n in raw.shape)
    top, left = (config.size - height) // 2, (config.size - width) // 2
    crop = np.full((config.size, config.size), low, dtype=np.float32)
    crop[top : top + height, left : left + width] = resize(np.where(finite, raw, np.float32(low)), (height, width))
    rows, columns = raw.shape
    frame = Geometry(height=rows, width=columns, top=(rows - side) / 2, left=(columns - side) / 2, side=side)
    return Measured(crop, Landmarks(low, (low + high) / 2, high), frame)


def fit(measured: Sequence[Measured]) -> Normalisation:
    """Mean position of the median among training slices. Raises ValueError for no slice at all."""
    if not measured:
        raise ValueError("nothing to fit on")
    positions = [one.landmarks.median_position for one in measured]
    undone = Counter(rule for one in measured for rule in one.undone)
    return Normalisation(m=float(np.mean(positions)), n_slices=len(positions), undone=dict(sorted(undone.items())))


def apply(measured: Measured, normalisation: Normalisation) -> Pixels:
    """Map low, median, high to -1, m, +1, linearly between and clipped outside: float32 (1, size, size) in [-1, 1]."""
    marks = measured.landmarks
    scaled = np.interp(measured.crop, (marks.low, marks.median, marks.high), (-1.0, normalisation.m, 1.0))
    return scaled.astype(np.float32)[None]


def denormalise(
    image: Pixels,
    *,
    geometry: Geometry,
    landmarks: Landmarks,
    normalisation: Normalisation,
    bias: Pixels | None = None,
) -> Pixels:
    """Put a normalised image back into its slice: float32 (1, size, size) in [-1, 1] -> (H, W) in raw units.

    bias: Measured.bias, to shade the slice as its coil did. Lost for good: values clipped beyond the outer landmarks,
    all that stood outside the head or the stripped brain (filled with the low landmark), and detail finer than the
    normalised grid.
    """
    raw = np.interp(image[0], (-1.0, normalisation.m, 1.0), (landmarks.low, landmarks.median, landmarks.high))
    whole = put_back(raw.astype(np.float32), geometry, fill=landmarks.low)
    return whole if bias is None else whole * factor(bias, whole.shape)


def normalise(
    *,
    run: RunDir,
    manifest: pd.DataFrame,
    splits: Splits,
    config: NormaliseConfig,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write each fold's images (float32 (N, 1, size, size) in manifest order) and its fitted Normalisation.

    And once, as no fold changes the frame, the lesion masks in the frame of the images, `run.normalised_masks`: uint8
    (N, size, size) in manifest order, 1 in the lesion, all 0 where a slice has none (`has_mask` tells). What is there
    already is left as it is. progress(done, total) counts slices measured. Raises ContractError that names every slice
    without a head, or that cannot be put on config.spacing_mm.
    """
    missing = [f for f in splits.folds if not (run.normalised(f.fold).exists() and run.normalisation(f.fold).exists())]
    ids = list(manifest["slice_id"])
    spacings = list(manifest["spacing_mm"].astype(float)) if config.spacing_mm else None
    if not missing:
        if not run.normalised_masks.exists():  # of a run by an earlier version
            write_array(run.normalised_masks, _masks(run, ids, config, progress, spacings=spacings))
        return
    measured = measure_all(run, ids, config, progress, spacings=spacings)
    for fold in missing:
        train = manifest["group"].isin(fold.train).to_numpy()
        normalisation = fit([one for one, is_train in zip(measured, train, strict=True) if is_train])
        images = np.stack([apply(one, normalisation) for one in measured])
        require(check_images(images, ImageSpec(config.size), f"fold-{fold.fold}"))
        write_array(run.normalised(fold.fold), images)
        write_record(run.normalisation(fold.fold), normalisation)
    if not run.normalised_masks.exists():
        write_array(
            run.normalised_masks, np.stack([_mask_of(run, *one, config) for one in zip(ids, measured, strict=True)])
        )


def has_mask(manifest: pd.DataFrame) -> Mask:
    """Of which slices of a manifest a mask is known, be it an empty one: bool (N,)."""
    return np.asarray(manifest["tumour_pixels"].notna(), dtype=np.bool_)


def normalise_mask(mask: NDArray[np.generic], geometry: Geometry, size: int) -> NDArray[np.uint8]:
    """A slice's mask (H, W), 0 where no lesion is, in the square that its normalised image shows.

    uint8 (size, size): 1 where the lesion fills more than half of the pixel, to bilinear accuracy. A lesion much
    smaller than such a pixel is lost.
    """
    share = cut_out((np.asarray(mask) != 0).astype(np.float32), geometry, size=size, fill=0)
    return np.asarray(share > 0.5, dtype=np.uint8)


def read_normalisation(run: RunDir, fold: int) -> Normalisation:
    """What `normalise` fitted on the training part of one fold."""
    return read_record(run.normalisation(fold), Normalisation)


def measure_all(
    run: RunDir,
    slice_ids: Sequence[str],
    config: NormaliseConfig,
    progress: Callable[[int, int], None] | None = None,
    *,
    spacings: Sequence[float] | None = None,
    any_picture: bool = False,
) -> list[Measured]:
    """Measure each slice of a run. spacings: side of a pixel of each in mm, NaN where unknown.

    any_picture: by `measure_any`, so that none is without a head or too large.
    Raises ContractError that names every slice without a head, and with config.spacing_mm every one whose spacing is
    unknown or whose head does not fit.
    """
    known = [np.nan] * len(slice_ids) if spacings is None else spacings
    one_of = measure_any if any_picture else measure
    measured, found = [], []
    for done, (slice_id, pixel_mm) in enumerate(zip(slice_ids, known, strict=True), start=1):
        with np.load(run.slice_pixels(slice_id)) as stored:
            pixels = stored["pixels"]
        try:
            measured.append(one_of(pixels, config, pixel_mm=None if np.isnan(pixel_mm) else pixel_mm))
        except NoHeadError as error:
            found.append(Violation(slice_id, "head", str(error)))
        except FrameError as error:
            found.append(Violation(slice_id, error.rule, error.detail))
        if progress:
            progress(done, len(slice_ids))
    require(found)
    return measured


def _masks(
    run: RunDir,
    ids: Sequence[str],
    config: NormaliseConfig,
    progress: Callable[[int, int], None] | None,
    *,
    spacings: Sequence[float] | None,
) -> NDArray[np.uint8]:
    """Masks of all slices, uint8 (N, size, size), where only those that have one are measured."""
    masks = np.zeros((len(ids), config.size, config.size), dtype=np.uint8)
    rows = [row for row, slice_id in enumerate(ids) if _stored_mask(run, slice_id) is not None]
    known = None if spacings is None else [spacings[row] for row in rows]
    for row, one in zip(rows, measure_all(run, [ids[r] for r in rows], config, progress, spacings=known), strict=True):
        masks[row] = _mask_of(run, ids[row], one, config)
    return masks


def _mask_of(run: RunDir, slice_id: str, measured: Measured, config: NormaliseConfig) -> NDArray[np.uint8]:
    stored = _stored_mask(run, slice_id)
    if stored is None:
        return np.zeros((config.size, config.size), dtype=np.uint8)
    return normalise_mask(stored, measured.geometry, config.size)


def _stored_mask(run: RunDir, slice_id: str) -> NDArray[np.generic] | None:
    with np.load(run.slice_pixels(slice_id)) as stored:
        return np.asarray(stored["mask"]) if "mask" in stored else None


def _landmarks(values: Pixels, config: NormaliseConfig) -> Landmarks:
    if not values.size:
        raise NoHeadError("the head is as grey as the background")
    low, median, high = percentiles(values, (config.low_percentile, 50, config.high_percentile))
    if not high > low:
        raise NoHeadError("the head has one grey value")
    # a median on top of an outer landmark would make one of the two linear pieces infinitely steep
    return Landmarks(low, float(np.clip(median, low + 0.02 * (high - low), high - 0.02 * (high - low))), high)


def _frame(seen: Mask, config: NormaliseConfig, pixel_mm: float | None) -> Geometry:
    if config.spacing_mm is None:
        return box_around(seen)
    return millimetres_around(seen, side_mm=config.size * config.spacing_mm, pixel_mm=pixel_mm)
