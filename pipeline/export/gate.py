"""What may leave, and what it holds. Near-copies of patients and broken images never leave; decides from evidence.

An image that was painted on a slice is that slice but for one region. Where the slice is a patient's, so is the image,
however well its region is made: it passes the screen, for that is what was asked for, and is marked as showing a
patient. Whether it may then be passed on is for those to decide who may pass on the scans themselves.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data_contracts.manifest import SYNTHETIC

MARGIN = 0.25  # of the range that the training images span: how far outside it an image may still lie
Images = NDArray[np.float32]
Masks = NDArray[np.bool_]


@dataclass(frozen=True)
class Screened:
    """Masks (N,) over a set of generated images; an image may be all of them. Only `kept` may leave.

    patient_anatomy: which show a patient by design, near-copies or not.
    """

    near_copy: NDArray[np.bool_]
    broken: NDArray[np.bool_]
    patient_anatomy: NDArray[np.bool_]

    @property
    def kept(self) -> NDArray[np.bool_]:
        return ~(self.near_copy | self.broken)

    @property
    def contains_patient_anatomy(self) -> bool:
        """Whether any image that may leave shows a patient: such a set must never be said to show nobody."""
        return bool((self.patient_anatomy & self.kept).any())


def screen(
    *,
    synthetic: Images,
    training: Images,
    near_copy: NDArray[np.bool_],
    regions: Masks | None = None,
    training_regions: Masks | None = None,
    source_origins: Sequence[str] | None = None,
) -> Screened:
    """Refuse generated images that copy a training slice or that are no images, and mark those that show a patient.

    synthetic, training: float32 (N, 1, S, S) and (M, 1, S, S) in [-1, 1]. near_copy: bool (N,), what the judge of
    memorisation found to copy a training slice; of painted images, what it found inside of their painted regions, for
    as a whole each is its source; of those painted on synthetic slices, of either. Broken: values that are not finite,
    or a mean or contrast outside the range of the training images widened by a quarter.

    Of painted images only the regions, bool (N, S, S), have to be in such a range: that of lesions of training slices,
    training_regions (M, S, S), or without them that of the same place in training slices. source_origins (N,): whether
    the slice that each was painted on is real or synthetic; whatever is not known to be synthetic shows a patient.
    Raises ValueError for regions without source_origins, or the reverse: a painted set must not pass for one that shows
    nobody because something was not handed over.
    """
    if (regions is None) != (source_origins is None):
        raise ValueError("painted images need both: their regions, and whether the slices painted on are real")
    finite = np.array([np.isfinite(image).all() for image in synthetic], dtype=bool)
    sound = np.where(finite[:, None, None, None], synthetic, np.float32(0))
    if regions is None or source_origins is None:
        strange = _out_of_range(_measures(sound), _measures(training))
        nobody = np.zeros(len(synthetic), np.bool_)
        return Screened(near_copy=near_copy, broken=~finite | strange, patient_anatomy=nobody)
    if training_regions is None:
        strange = _out_of_place(sound, regions, training)
    else:
        strange = _out_of_range(_measures(sound, regions), _measures(training, training_regions))
    shows = np.array([origin != SYNTHETIC for origin in source_origins], dtype=np.bool_)
    return Screened(near_copy=near_copy, broken=~finite | strange, patient_anatomy=shows)


def _out_of_place(images: Images, regions: Masks, training: Images) -> NDArray[np.bool_]:
    """Which images (N, 1, S, S) show in their regions (N, S, S) what no training slice shows at the same place."""
    found = np.zeros(len(images), np.bool_)
    for i, region in enumerate(regions):
        everywhere = np.broadcast_to(region, (len(training), *region.shape))
        if region.any():
            found[i] = _out_of_range(_measures(images[i : i + 1], regions[i : i + 1]), _measures(training, everywhere))[
                0
            ]
    return found


def _measures(images: Images, regions: Masks | None = None) -> NDArray[np.float32]:
    """Mean and contrast of each image (N, 1, S, S), or of its region (N, S, S): (N, 2), NaN for an empty one."""
    if regions is None:
        return np.stack([images.mean((1, 2, 3)), images.std((1, 2, 3))], 1)
    found = np.full((len(images), 2), np.nan, np.float32)
    for row, image, region in zip(found, images[:, 0], regions, strict=True):
        if region.any():
            row[:] = image[region].mean(), image[region].std()
    return found


def _out_of_range(found: NDArray[np.float32], known: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which rows (N,) of found (N, 2) lie outside of what is known (M, 2), widened by MARGIN; NaNs do not count."""
    least, most = np.nanmin(known, axis=0), np.nanmax(known, axis=0)
    slack = MARGIN * (most - least)
    return np.asarray(((found < least - slack) | (found > most + slack)).any(axis=1), dtype=np.bool_)
