import subprocess
import sys
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
from pipeline.scans.frame import FrameError, Geometry, box_around, cut_out, put_back
from pipeline.scans.head import NoHeadError, find_head, otsu, percentiles, resize
from pipeline.scans.normalise import (
    BIAS_KEPT,
    SKULL_KEPT,
    Normalisation,
    NormaliseConfig,
    apply,
    denormalise,
    fit,
    has_mask,
    measure,
    measure_any,
    normalise,
    normalise_mask,
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


def shaded(raw: NDArray[np.float32]) -> NDArray[np.float32]:
    """As a coil on one side sees it: 1.8 times brighter there than on the other."""
    return raw * np.exp(np.linspace(-0.3, 0.3, raw.shape[1], dtype=np.float32))


@pytest.mark.parametrize(
    "mode",
    [
        {},
        {"spacing_mm": 1.75},
        {"bias_correction": True},
        {"strip": True},
        {"spacing_mm": 1.75, "bias_correction": True, "strip": True},
    ],
)
def test_denormalise_is_the_inverse_in_every_mode(mode: dict[str, float]) -> None:
    raw = shaded(ndimage.gaussian_filter(head(size=96), 1.2))
    config = NormaliseConfig(size=128, low_percentile=0, high_percentile=100, **mode)
    measured = measure(raw, config, pixel_mm=200 / 96)
    assert not measured.undone
    assert measured.stripped == config.strip
    fitted = fit([measured])
    back = denormalise(
        apply(measured, fitted),
        geometry=measured.geometry,
        landmarks=measured.landmarks,
        normalisation=fitted,
        bias=measured.bias,
    )
    # where the image shows something: the head, or the brain alone
    shown = put_back((measured.crop > measured.landmarks.low).astype(np.float32), measured.geometry, fill=0) > 0.99
    core = ndimage.binary_erosion(ndimage.binary_fill_holes(shown), iterations=3)
    assert core.sum() > (0.4 if config.strip else 0.8) * find_head(raw).sum()
    assert np.abs(back - raw)[core].mean() < 0.015 * np.ptp(raw[core])


def test_without_its_bias_field_a_slice_comes_back_unshaded() -> None:
    raw = shaded(ndimage.gaussian_filter(head(size=96), 1.2))
    measured = measure(raw, NormaliseConfig(size=96, bias_correction=True))
    flat = denormalise(
        apply(measured, fit([measured])),
        geometry=measured.geometry,
        landmarks=measured.landmarks,
        normalisation=fit([measured]),
    )
    core = ndimage.binary_erosion(find_head(raw), iterations=8)
    left, right = (np.where(side, core, False) for side in (np.arange(96) < 48, np.arange(96) >= 48))
    assert np.median(raw[right]) > 1.14 * np.median(raw[left])
    assert np.median(flat[right]) == pytest.approx(np.median(flat[left]), rel=0.06)


def test_what_could_not_be_done_is_counted() -> None:
    # no skull to be seen, and a surface brighter than the middle: it may be scalp, so it stays
    rows, columns = np.indices((96, 96)) - 48
    radius = np.hypot(rows, columns)
    drawn = np.where(radius < 40, 100 + 300 * (radius > 34) + rows, 0).astype(np.float32)
    config = NormaliseConfig(strip=True, bias_correction=True)
    kept = measure(drawn, config)
    assert (kept.stripped, kept.undone) == (False, (SKULL_KEPT,))
    scored = np.where(radius < 40, (drawn - 180) / 30, 0)
    assert measure(scored, config).undone[-1] == BIAS_KEPT
    done = measure(head(), config)
    assert fit([kept, done, kept]).undone == {SKULL_KEPT: 2}
    assert fit([measure(head(), CONFIG)]).undone == {}


def disc(*, diameter_mm: float, pixel_mm: float, size: int = 200) -> NDArray[np.float32]:
    rows, columns = (np.indices((size, size)) - (size - 1) / 2) * pixel_mm
    radius = np.hypot(rows, columns)
    return np.where(radius < diameter_mm / 2, 100 + rows, 0).astype(np.float32)


@pytest.mark.parametrize("pixel_mm", [0.8, 1.0, 1.9])
def test_with_a_spacing_a_head_has_its_size_whatever_its_pixels(pixel_mm: float) -> None:
    config = NormaliseConfig(size=80, spacing_mm=2.0)
    image = apply(
        measure(disc(diameter_mm=120, pixel_mm=pixel_mm), config, pixel_mm=pixel_mm), Normalisation(m=0, n_slices=1)
    )
    seen = image[0] > -0.98
    assert seen.any(axis=0).sum() == pytest.approx(60, abs=2)
    assert seen.any(axis=1).sum() == pytest.approx(60, abs=2)
    assert np.flatnonzero(seen.any(axis=0)).mean() == pytest.approx(39.5, abs=1)


def test_with_a_spacing_a_head_is_alike_at_two_resolutions() -> None:
    config = NormaliseConfig(size=64, spacing_mm=3.2)
    raw = head(size=256)
    halved = raw.reshape(128, 2, 128, 2).mean(axis=(1, 3))
    a, b = (measure(raw, config, pixel_mm=200 / 256), measure(halved, config, pixel_mm=200 / 128))
    assert likeness(a.crop, b.crop) > 0.98


def test_a_head_without_spacing_or_too_large_for_its_frame_is_refused() -> None:
    config = NormaliseConfig(size=64, spacing_mm=1.0)
    with pytest.raises(FrameError) as unknown:
        measure(head(), config)
    assert unknown.value.rule == "spacing_unknown"
    with pytest.raises(FrameError, match=r"the head measures 1[0-9]{2}\.[0-9] mm, the frame 64\.0 mm") as large:
        measure(head(), config, pixel_mm=200 / 160)
    assert large.value.rule == "head_too_large"


@pytest.mark.parametrize(("top", "left", "side"), [(10, 5, 30), (3.4, 7.7, 41.3), (-6.5, 20.25, 55.5)])
def test_a_ramp_comes_back_from_any_square(top: float, left: float, side: float) -> None:
    rows, columns = np.indices((60, 64)).astype(np.float32)
    ramp = 3 * rows + columns
    geometry = Geometry(60, 64, top, left, side)
    square = cut_out(ramp, geometry, size=64, fill=0)
    back = put_back(square, geometry, fill=-1)
    inside = np.zeros((60, 64), bool)
    inside[max(0, int(top)) + 3 : int(top + side) - 3, int(left) + 3 : int(left + side) - 3] = True
    inside &= (rows > 3) & (rows < 56) & (columns < 60)
    np.testing.assert_allclose(back[inside], ramp[inside], atol=0.3)
    assert (back[:, : int(left) - 1] == -1).all()


def test_the_box_holds_the_head_and_its_margin() -> None:
    mask = np.zeros((50, 80), bool)
    mask[10:40, 20:30] = True
    assert box_around(mask) == Geometry(height=50, width=80, top=9, left=9, side=32)


def test_resizing_keeps_levels_and_places() -> None:
    rng = np.random.default_rng(0)
    picture = rng.random((48, 36), dtype=np.float32)
    np.testing.assert_allclose(resize(np.full((7, 9), 3.5, np.float32), (20, 4)), 3.5, rtol=1e-6)
    assert resize(picture, (12, 9)).mean() == pytest.approx(picture.mean(), rel=0.02)
    assert resize(picture, (12, 9)).std() < 0.6 * picture.std()  # averaged, not picked
    np.testing.assert_array_equal(resize(picture, (10, 8), box=(4, 8, 14, 16)), picture[4:14, 8:16])
    ramp = np.arange(8, dtype=np.float32)[None].repeat(8, axis=0)
    np.testing.assert_allclose(resize(ramp, (8, 16))[0, 1:-1], np.arange(1, 15) / 2 - 0.25, atol=1e-6)


def test_percentiles_are_those_of_numpy() -> None:
    values = np.random.default_rng(1).normal(size=(31, 7)).astype(np.float32)
    wanted = (0, 1, 50, 99.5, 100)
    np.testing.assert_allclose(percentiles(values, wanted), np.percentile(values, wanted), rtol=1e-5)


def test_what_float32_cannot_hold_is_no_head() -> None:
    raw = head().astype(np.float64)
    with pytest.raises(NoHeadError):
        measure(raw * 1e38, CONFIG)
    with pytest.raises(NoHeadError):
        measure(np.where(raw > raw.mean(), 3e38, -3e38), CONFIG)


def test_a_worker_that_measures_loads_no_torch() -> None:
    heavy = ("torch", "monai", "SimpleITK", "prefect")
    code = f"import sys, pipeline.scans.normalise; print([m for m in {heavy} if m in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603 (ours)
    assert shown.stdout.strip() == "[]"


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


def masked_run(root: Path, *, size: int = 128) -> tuple[RunDir, pd.DataFrame, Splits]:
    """Two heads with bright tumours and their masks, one with an empty mask, and one of which no mask is known."""
    config = PhantomConfig(slices=5, size=size, spacing_mm=(10.0, 200 / size, 200 / size), noise=(0.01, 0.02))
    slices, masks = [], []
    for seed in range(4):
        drawn = phantom(rng=np.random.default_rng(seed), tumour=seed < 2, config=config)
        z = int(drawn.mask.sum(axis=(1, 2)).argmax()) if seed < 2 else 2
        slices.append(drawn.voxels[z])
        masks.append(drawn.mask[z] if seed < 3 else None)
    run, manifest, splits = stored_run(root, slices)
    for slice_id, pixels, mask in zip(manifest["slice_id"], slices, masks, strict=True):
        np.savez(
            run.slice_pixels(slice_id), **({"pixels": pixels} if mask is None else {"pixels": pixels, "mask": mask})
        )
    known = [None if mask is None else int(mask.sum()) for mask in masks]
    return run, manifest.assign(tumour_pixels=pd.array(known, dtype="Int64"), spacing_mm=200 / size), splits


@pytest.mark.parametrize("mode", [{}, {"spacing_mm": 3.5}, {"strip": True, "bias_correction": True}])
def test_masks_lie_on_their_lesions_in_every_mode(tmp_path: Path, mode: dict[str, float]) -> None:
    run, manifest, splits = masked_run(tmp_path)
    normalise(run=run, manifest=manifest, splits=splits, config=NormaliseConfig(size=64, **mode))
    masks, images = np.load(run.normalised_masks), np.load(run.normalised(0))[:, 0]
    assert (masks.shape, masks.dtype) == ((4, 64, 64), np.uint8)
    assert masks.any(axis=(1, 2)).tolist() == [True, True, False, False]
    assert set(np.unique(masks)) == {0, 1}
    for image, mask in zip(images[:2], masks[:2].astype(bool), strict=True):
        ring = ndimage.binary_dilation(mask, iterations=5) & ~ndimage.binary_dilation(mask, iterations=2)
        assert image[mask].mean() > image[ring].mean() + 0.15
        # moved by so little as its half width, it lies less well
        for shift in ((4, 0), (-4, 0), (0, 4), (0, -4)):
            assert image[mask].mean() > image[np.roll(mask, shift, axis=(0, 1))].mean()


def test_a_mask_goes_where_its_picture_goes() -> None:
    rng = np.random.default_rng(0)
    mask = ndimage.gaussian_filter(rng.normal(size=(70, 90)), 5) > 0.05
    for geometry in (Geometry(70, 90, 5, 10, 64), Geometry(70, 90, -6.5, 12.25, 77.7), Geometry(70, 90, 10, 10, 32)):
        found = normalise_mask(mask.astype(np.uint8) * 255, geometry, 64)
        as_picture = cut_out(mask.astype(np.float32), geometry, size=64, fill=0)
        np.testing.assert_array_equal(found, as_picture > 0.5)
        assert found.sum() * (geometry.side / 64) ** 2 == pytest.approx(
            put_back(np.ones((64, 64), np.float32), geometry, fill=0)[mask].sum(), rel=0.03
        )
    exact = normalise_mask(mask, Geometry(70, 90, 5, 10, 64), 64)
    np.testing.assert_array_equal(exact, mask[5:69, 10:74])


def test_of_which_slices_a_mask_is_known() -> None:
    manifest = pd.DataFrame({"tumour_pixels": pd.array([12, 0, None], dtype="Int64")})
    assert has_mask(manifest).tolist() == [True, True, False]


@pytest.mark.parametrize("mode", [{}, {"spacing_mm": 3.5}])
def test_an_older_run_gets_its_masks_without_its_folds_being_made_again(tmp_path: Path, mode: dict[str, float]) -> None:
    run, manifest, splits = masked_run(tmp_path)
    config = NormaliseConfig(size=64, **mode)
    normalise(run=run, manifest=manifest, splits=splits, config=config)
    folds = [run.normalised(0), run.normalised(1), run.normalisation(0), run.normalisation(1)]
    before, masks = [path.stat().st_mtime_ns for path in folds], run.normalised_masks.read_bytes()
    run.normalised_masks.unlink()
    seen: list[tuple[int, int]] = []
    normalise(run=run, manifest=manifest, splits=splits, config=config, progress=lambda *at: seen.append(at))
    assert run.normalised_masks.read_bytes() == masks
    assert [path.stat().st_mtime_ns for path in folds] == before
    assert seen == [(1, 3), (2, 3), (3, 3)]  # slices that have a mask, and no others
    # and where a fold is made again its masks are left alone
    written = run.normalised_masks.stat().st_mtime_ns
    run.normalised(1).unlink()
    normalise(run=run, manifest=manifest, splits=splits, config=config)
    assert run.normalised_masks.stat().st_mtime_ns == written


def test_every_slice_without_a_head_is_named(tmp_path: Path) -> None:
    blank = np.zeros((50, 50), np.float32)
    run, manifest, splits = stored_run(tmp_path, [head(0), blank, head(1), blank])
    with pytest.raises(ContractError) as caught:
        normalise(run=run, manifest=manifest, splits=splits, config=CONFIG)
    assert [violation.record for violation in caught.value.violations] == ["file-0001", "file-0003"]
    assert not run.normalised(0).exists()


def test_every_slice_that_does_not_fit_the_spacing_is_named(tmp_path: Path) -> None:
    run, manifest, splits = stored_run(tmp_path, [head(seed) for seed in range(4)])
    manifest["spacing_mm"] = [1.25, np.nan, 4.0, 1.25]
    config = NormaliseConfig(size=64, spacing_mm=3.5)
    with pytest.raises(ContractError) as caught:
        normalise(run=run, manifest=manifest, splits=splits, config=config)
    found = [(violation.record, violation.rule) for violation in caught.value.violations]
    assert found == [("file-0001", "spacing_unknown"), ("file-0002", "head_too_large")]
    assert "224.0 mm" in caught.value.violations[1].detail
    manifest["spacing_mm"] = 1.25
    normalise(run=run, manifest=manifest, splits=splits, config=config)
    assert np.load(run.normalised(0)).shape == (4, 1, 64, 64)


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (16, 16), (64, 100), (1, 5000)])
@pytest.mark.parametrize("values", ["blank", "noise", "none", "some"])
def test_any_picture_is_brought_into_the_frame(shape: tuple[int, int], values: str) -> None:
    pixels = np.random.default_rng(0).normal(size=shape)
    if values == "blank":
        pixels[:] = 7
    if values in ("none", "some"):
        pixels[:, :: 1 if values == "none" else 2] = np.nan
    image = apply(measure_any(pixels, CONFIG), Normalisation(m=-0.2, n_slices=1))
    assert image.shape == (1, 64, 64)
    assert np.isfinite(image).all()
    assert np.abs(image).max() <= 1


def test_a_picture_without_a_head_is_shown_whole_and_a_head_as_ever() -> None:
    ramp = np.tile(np.linspace(0, 10, 32, dtype=np.float32), (16, 1))
    ramp[0, 0] = np.nan  # so that no head is looked for
    whole = apply(measure_any(ramp, CONFIG), Normalisation(m=0, n_slices=1))[0]
    assert (whole[:16] == -1).all()  # above and below the picture
    assert (whole[48:] == -1).all()
    assert np.allclose(whole[32], np.interp(np.arange(64), (0.5, 62.5), (-1, 1)), atol=0.02)
    assert np.array_equal(measure_any(head(), CONFIG).crop, measure(head(), CONFIG).crop)


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
