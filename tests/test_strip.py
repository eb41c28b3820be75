from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.formats.nifti import read_nifti
from pipeline.scans.head import background_of, find_head
from pipeline.scans.normalise import NormaliseConfig, measure
from pipeline.scans.phantom import PhantomConfig, phantom
from pipeline.scans.phantom_anatomy import TISSUES, brain_of
from pipeline.scans.strip import find_brain

SHARED = Path(__file__).parents[1].parent / "shared" / "data"
BRATS = SHARED / "nifti" / "brats2013"
SIX = SHARED / "nifti" / "tcga_fg_6692_raw"
PIXEL_MM = 1.5
Picture = NDArray[np.float32]
Mask = NDArray[np.bool_]


def slices(*, seed: int, sequence: str) -> Iterator[tuple[Picture, Mask]]:
    """Five slices of a phantom from the temporal lobes to above the ventricles, and the brain in each."""
    config = PhantomConfig(slices=5, size=128, spacing_mm=(14.0, PIXEL_MM, PIXEL_MM), sequence=sequence)
    drawn = phantom(rng=np.random.default_rng(seed), tumour=seed % 2 == 0, config=config)
    yield from zip(drawn.voxels, brain_of(drawn.tissues, pixel_mm=PIXEL_MM), strict=True)


def stripped(raw: Picture) -> Mask | None:
    head = find_head(raw)
    background = background_of(raw)
    return find_brain(raw, head & (raw != background) if background > raw.min() else head)


def dice(found: Mask, truth: Mask) -> float:
    return float(2 * (found & truth).sum() / (found.sum() + truth.sum()))


@pytest.mark.parametrize("sequence", ["T1", "T1c", "T2", "FLAIR"])
def test_the_brain_of_a_phantom_is_found(sequence: str) -> None:
    scores = []
    for seed in (0, 1):
        for raw, truth in slices(seed=seed, sequence=sequence):
            found = stripped(raw)
            if found is not None:
                scores.append(dice(found, truth))
    assert len(scores) >= 8  # of 10; the skull base and the vertex may keep their skull
    assert np.mean(scores) > (0.93 if sequence == "T2" else 0.96)  # in T2 the fluid around it is as bright
    assert min(scores) > 0.88


def test_what_is_left_of_the_skull_is_nothing_and_tumours_stay() -> None:
    config = PhantomConfig(slices=1, size=160, spacing_mm=(5.0, 1.25, 1.25))
    drawn = phantom(rng=np.random.default_rng(4), tumour=True, config=config)
    found = stripped(drawn.voxels[0])
    assert found is not None
    assert not found[drawn.tissues[0] == 1 + TISSUES.index("scalp")].any()
    assert found[drawn.mask[0] > 0].mean() > 0.97


def test_a_stripped_slice_stays_whole() -> None:
    for raw, truth in slices(seed=0, sequence="FLAIR"):
        bare = np.where(truth, raw, 0).astype(np.float32)
        found = stripped(bare)
        assert found is not None
        assert dice(found, truth) > 0.96


def test_unit_and_gain_do_not_matter() -> None:
    raw, _ = list(slices(seed=1, sequence="T1"))[2]
    one, other = stripped(raw), stripped(raw * 30 + 500)
    assert one is not None
    assert other is not None
    assert dice(one, other) > 0.995


def test_a_head_without_a_dark_skull_keeps_everything_and_says_so() -> None:
    rows, columns = np.indices((96, 96)) - 48
    radius = np.hypot(rows, columns)
    drawn = np.where(radius < 40, 100 + 300 * (radius > 34) + rows, 0).astype(np.float32)
    assert find_brain(drawn, radius < 40) is None
    measured = measure(drawn, NormaliseConfig(strip=True))
    assert not measured.stripped
    np.testing.assert_array_equal(measured.crop, measure(drawn, NormaliseConfig()).crop)


def test_a_brain_with_a_piece_gone_is_not_taken() -> None:
    raw, truth = list(slices(seed=1, sequence="T1"))[2]
    bitten = raw.copy()
    bitten[64:] = np.where(truth[64:], 0.05 * raw[64:], raw[64:])  # half of it as dark as bone
    found = stripped(bitten)
    assert found is None or dice(found, truth) > 0.9


def test_the_crop_is_the_brain() -> None:
    raw, truth = list(slices(seed=1, sequence="T2"))[2]
    whole, brain = measure(raw, NormaliseConfig()), measure(raw, NormaliseConfig(strip=True))
    assert (whole.stripped, brain.stripped) == (False, True)
    assert brain.geometry.side < 0.95 * whole.geometry.side
    height = np.flatnonzero(truth.any(axis=1))
    assert brain.geometry.side == pytest.approx(1.06 * (height[-1] - height[0]), rel=0.08)


@pytest.mark.skipif(not BRATS.exists(), reason="the BraTS 2013 volumes are not beside the project")
def test_a_real_stripped_scan_stays_whole() -> None:
    scores = []
    folder = BRATS / "brats_2013_pat0005_1"
    voxels = read_nifti(folder / "T1c_subtrMeanDivStd.nii.gz").slices
    masks = read_nifti(folder / "brainmask.nii.gz").slices > 0.5
    full = np.flatnonzero(masks.sum(axis=(1, 2)) > 0.6 * masks.sum(axis=(1, 2)).max())
    for z in full[:: max(1, len(full) // 6)]:
        found = stripped(voxels[z].astype(np.float32))
        if found is not None:
            scores.append(dice(found, ndimage.binary_fill_holes(masks[z])))
    assert len(scores) >= 5
    assert np.mean(scores) > 0.95


@pytest.mark.skipif(not SIX.exists(), reason="the raw TCGA-FG-6692 volumes are not beside the project")
def test_real_scans_are_stripped_soundly_or_not_at_all() -> None:
    """Without a truth: what is left of a section with scalp is 0.5 to 0.85 of the head, and darker than the scalp."""
    done = 0
    for path in sorted(SIX.glob("*T2*")):
        voxels = read_nifti(path).slices.astype(np.float32)
        for raw in voxels[10:20:2]:
            head, found = find_head(raw), stripped(raw)
            if found is not None:
                done += 1
                assert 0.5 < found.sum() / head.sum() < 0.85
                assert ndimage.label(found)[1] == 1
    assert done >= 3
