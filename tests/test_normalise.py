from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from data_contracts.splits import Fold, Splits
from data_contracts.violations import ContractError
from pipeline.run_dir import RunDir
from pipeline.scans.head import NoHeadError, find_head, otsu
from pipeline.scans.normalise import (
    Normalisation,
    NormaliseConfig,
    apply,
    denormalise,
    fit,
    measure,
    normalise,
    read_normalisation,
)
from pipeline.scans.phantom import PhantomConfig, phantom

CONFIG = NormaliseConfig(size=64)
REAL = Path(__file__).parents[1].parent / "shared" / "data" / "brain_mri_253"


def head(seed: int = 0, *, size: int = 160) -> NDArray[np.float32]:
    """A middle slice of a phantom of 200 mm in size x size pixels."""
    config = PhantomConfig(slices=1, size=size, spacing_mm=(5.0, 200 / size, 200 / size), noise=(0.01, 0.02))
    return phantom(rng=np.random.default_rng(seed), tumour=False, config=config).voxels[0]


def normalised(pixels: NDArray[np.generic], m: float = -0.3) -> NDArray[np.float32]:
    return apply(measure(pixels, CONFIG), Normalisation(m=m, n_slices=1))


def likeness(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Correlation; a crop that begins one raw pixel earlier costs a few hundredths, another head 0.15 to 0.5."""
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


def test_landmarks_go_to_minus_one_m_and_one_and_the_rest_is_linear_between() -> None:
    measured = measure(head(), CONFIG)
    marks = measured.landmarks
    image = apply(measured, Normalisation(m=-0.3, n_slices=1))
    assert image.shape == (1, 64, 64)
    assert image.dtype == np.float32
    assert image.min() == -1
    assert image.max() == 1
    below = (measured.crop > marks.low) & (measured.crop < marks.median)
    expected = -1 + 0.7 * (measured.crop - marks.low) / (marks.median - marks.low)
    np.testing.assert_allclose(image[0][below], expected[below], atol=1e-5)


def test_unit_dtype_and_exposure_do_not_matter() -> None:
    raw = np.rint(head() * 4).astype(np.uint16)
    np.testing.assert_allclose(normalised(raw), normalised(raw.astype(np.float64) * 37 - 900), atol=2e-3)


def test_frame_size_and_place_do_not_matter() -> None:
    raw = head()
    moved = np.pad(raw, ((70, 10), (15, 90)), constant_values=raw.min())
    assert likeness(normalised(raw), normalised(moved)) > 0.95


def test_resolution_hardly_matters() -> None:
    raw = head(size=256)
    halved = raw.reshape(128, 2, 128, 2).mean(axis=(1, 3))
    assert likeness(normalised(raw), normalised(halved)) > 0.95


@pytest.mark.parametrize("width", [1, 4, 40])
def test_white_frames_are_not_part_of_the_head(width: int) -> None:
    raw = head()
    framed = np.pad(raw, width, constant_values=raw.max())
    assert likeness(normalised(raw), normalised(framed)) > 0.99


def test_a_letter_in_the_corner_is_gone() -> None:
    raw = head()
    lettered = raw.copy()
    lettered[8:18, 8:14] = raw.max()
    assert np.abs(normalised(raw) - normalised(lettered)).mean() < 0.01
    assert not find_head(lettered)[8:18, 8:14].any()


def test_the_whole_head_is_found_scalp_included() -> None:
    config = PhantomConfig(slices=5, size=128, spacing_mm=(12.0, 1.6, 1.6))
    for seed in range(4):
        drawn = phantom(rng=np.random.default_rng(seed), tumour=seed % 2 == 0, config=config)
        for voxels, tissues in zip(drawn.voxels, drawn.tissues, strict=True):
            inside = find_head(voxels)
            assert inside[tissues > 0].mean() > 0.985
            assert inside[tissues == 0].mean() < 0.06


def test_a_z_scored_scan_keeps_its_dark_tissue() -> None:
    raw = head()
    skin = ndimage.binary_erosion(find_head(raw), iterations=3)
    scored = np.where(skin, (raw - raw[skin].mean()) / raw[skin].std(), 0).astype(np.float32)
    assert find_head(scored)[skin].mean() > 0.97
    outside = apply(measure(scored, CONFIG), Normalisation(m=-0.3, n_slices=1))[0, 0]
    assert (outside < -0.999).all()  # though 0, its raw value, is mid-grey in this scan


def test_denormalise_gives_back_the_raw_slice_inside_the_head() -> None:
    raw = ndimage.gaussian_filter(head(size=96), 1.2)  # detail finer than the grid is lost by design
    config = NormaliseConfig(size=128, low_percentile=0, high_percentile=100)
    measured = measure(raw, config)
    fitted = fit([measured])
    back = denormalise(
        apply(measured, fitted), geometry=measured.geometry, landmarks=measured.landmarks, normalisation=fitted
    )
    assert back.shape == raw.shape
    core = ndimage.binary_erosion(find_head(raw), iterations=3)
    span = measured.landmarks.high - measured.landmarks.low
    assert np.abs(back - raw)[core].mean() < 0.015 * span
    air = ~ndimage.binary_dilation(find_head(raw), iterations=3)
    np.testing.assert_allclose(back[air], measured.landmarks.low, rtol=1e-4)


def test_denormalise_puts_a_cut_off_head_back_where_it_was() -> None:
    raw = ndimage.gaussian_filter(head(size=128), 1.2)[:, 30:]  # touches the left edge: the square reaches outside
    measured = measure(raw, NormaliseConfig(size=128))
    assert measured.geometry.left < 0
    fitted = fit([measured])
    back = denormalise(
        apply(measured, fitted), geometry=measured.geometry, landmarks=measured.landmarks, normalisation=fitted
    )
    assert np.corrcoef(back.ravel(), raw.ravel())[0, 1] > 0.98


def test_fit_is_the_mean_median_position_and_needs_a_slice() -> None:
    measured = [measure(head(seed), CONFIG) for seed in range(3)]
    positions = [one.landmarks.median_position for one in measured]
    assert fit(measured) == Normalisation(m=float(np.mean(positions)), n_slices=3)
    assert fit(measured[::-1]).m == pytest.approx(fit(measured).m)
    with pytest.raises(ValueError, match="nothing to fit"):
        fit([])


@pytest.mark.parametrize("blank", [np.zeros((40, 40)), np.full((40, 40), 7), np.full((40, 40), np.nan)])
def test_a_blank_slice_has_no_head(blank: NDArray[np.float64]) -> None:
    with pytest.raises(NoHeadError):
        measure(blank, CONFIG)


def test_otsu_separates_two_heaps() -> None:
    values = np.concatenate([np.full(300, 0.2), np.full(50, 0.7)]).astype(np.float32)
    assert 0.2 < otsu(values) < 0.7


def stored_run(root: Path, slices: list[NDArray[np.float32]]) -> tuple[RunDir, pd.DataFrame, Splits]:
    run = RunDir(root)
    ids = [f"file-{i:04d}" for i in range(len(slices))]
    run.slice_pixels("x").parent.mkdir(parents=True)
    for slice_id, pixels in zip(ids, slices, strict=True):
        np.savez(run.slice_pixels(slice_id), pixels=pixels)
    groups = [f"group-{i}" for i in range(len(slices))]
    folds = (
        Fold(fold=0, train=tuple(groups[:-2]), test=tuple(groups[-2:])),
        Fold(fold=1, train=tuple(groups[2:]), test=tuple(groups[:2])),
    )
    return run, pd.DataFrame({"slice_id": ids, "group": groups}), Splits(seed=0, folds=folds)


def test_a_test_slice_changes_no_training_image_and_not_m(tmp_path: Path) -> None:
    slices = [head(seed) for seed in range(5)]
    run, manifest, splits = stored_run(tmp_path / "one", slices)
    normalise(run=run, manifest=manifest, splits=splits, config=CONFIG)
    changed, _, _ = stored_run(tmp_path / "two", [*slices[:4], np.sqrt(head(77))])
    normalise(run=changed, manifest=manifest, splits=splits, config=CONFIG)

    before, after = np.load(run.normalised(0)), np.load(changed.normalised(0))
    assert before.shape == (5, 1, 64, 64)
    np.testing.assert_array_equal(before[:4], after[:4])
    assert not np.array_equal(before[4], after[4])
    assert read_normalisation(run, 0) == read_normalisation(changed, 0)
    # the same slice trains in fold 1, and there it counts
    assert read_normalisation(run, 1) != read_normalisation(changed, 1)


def test_images_stand_in_manifest_order(tmp_path: Path) -> None:
    run, manifest, splits = stored_run(tmp_path, [head(seed) for seed in range(4)])
    normalise(run=run, manifest=manifest, splits=splits, config=CONFIG)
    fitted = read_normalisation(run, 0)
    for seed, image in enumerate(np.load(run.normalised(0))):
        np.testing.assert_array_equal(image, apply(measure(head(seed), CONFIG), fitted))


def test_resume_makes_only_what_is_missing(tmp_path: Path) -> None:
    run, manifest, splits = stored_run(tmp_path, [head(seed) for seed in range(4)])
    normalise(run=run, manifest=manifest, splits=splits, config=CONFIG)
    first, second = run.normalised(0).stat().st_mtime_ns, run.normalised(1).read_bytes()
    run.normalisation(1).unlink()
    seen: list[tuple[int, int]] = []
    normalise(run=run, manifest=manifest, splits=splits, config=CONFIG, progress=lambda *at: seen.append(at))
    assert run.normalised(0).stat().st_mtime_ns == first
    assert run.normalised(1).read_bytes() == second
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    normalise(run=run, manifest=manifest, splits=splits, config=CONFIG, progress=lambda *at: seen.append(at))
    assert len(seen) == 4  # nothing missing, nothing measured


def test_every_slice_without_a_head_is_named(tmp_path: Path) -> None:
    blank = np.zeros((50, 50), np.float32)
    run, manifest, splits = stored_run(tmp_path, [head(0), blank, head(1), blank])
    with pytest.raises(ContractError) as caught:
        normalise(run=run, manifest=manifest, splits=splits, config=CONFIG)
    assert [violation.record for violation in caught.value.violations] == ["file-0001", "file-0003"]
    assert not run.normalised(0).exists()


@pytest.mark.skipif(not REAL.exists(), reason="the 253-image set is not beside the project")
def test_real_slices_fill_the_frame_and_keep_no_border() -> None:
    paths = sorted(REAL.glob("*/*"))[::12]
    measured = []
    for path in paths:
        with Image.open(path) as image:
            measured.append(measure(np.asarray(image.convert("L")), CONFIG))
    fitted = fit(measured)
    images = np.stack([apply(one, fitted) for one in measured])
    assert (images[:, 0, [0, -1]] < -0.9).mean() > 0.97  # the margin is empty in nearly every row of border pixels
    assert (images[:, 0, :, [0, -1]] < -0.9).mean() > 0.97
    heads = (images > -0.95).mean(axis=(1, 2, 3))
    assert np.median(heads) > 0.45
    assert heads.min() > 0.25
