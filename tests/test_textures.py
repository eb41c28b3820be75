import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from pipeline.evidence.textures import NAMES, TextureFeatures, cooccurrence, find_head, haralick, local_patterns

EXAMPLE = np.array([[[0, 0, 1, 1], [0, 0, 1, 1], [0, 2, 2, 2], [2, 2, 3, 3]]], np.uint8)  # Haralick et al. 1973, fig. 3


def heads(n, side=64, seed=0):
    # ellipses of smooth tissue with some noise, each of its own grey, on a dark background
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    inside = (y / 0.9) ** 2 + (x / 0.7) ** 2 < 1
    tissue = gaussian_filter(rng.normal(0, 1, (n, side, side)), (0, 3, 3)) + rng.normal(0, 0.1, (n, side, side))
    tissue += rng.uniform(-0.3, 0.3, (n, 1, 1))
    return np.where(inside, tissue.clip(-0.8, 1), -1).astype(np.float32)[:, None]


def columns(images, *wanted):
    found = TextureFeatures().extract(images)
    at = [NAMES.index(name) for name in wanted]
    return found[:, at[0]] if len(at) == 1 else found[:, at]


def test_every_column_has_a_name_of_its_own():
    extractor = TextureFeatures()
    assert extractor.extract(heads(2)).shape == (2, len(extractor.names))
    assert len(set(extractor.names)) == len(extractor.names)


def test_digest_and_numbers_are_pinned_together_so_that_neither_moves_alone():
    extractor = TextureFeatures()
    y, x = np.mgrid[:20, :20]
    found = extractor.extract((np.sin(0.7 * y + 0.01 * x * x) * 0.8).astype(np.float32)[None, None])[0]
    pinned = {
        "grey p25": -0.4980,
        "grey entropy": 4.4494,
        "asymmetry": 0.6809,
        "edges 2 px": 0.5050,
        "co-occurrence correlation 1 px": 0.8062,
        "pattern run of 4": 0.7099,
        "spectrum slope": -9.8528,
        "spectrum high share": -4.2520,
    }
    assert {name: round(float(found[NAMES.index(name)]), 4) for name in pinned} == pytest.approx(pinned, abs=2e-4)
    assert extractor.digest.startswith("886cfa202e0843c3")


def test_cooccurrence_is_that_of_the_paper():
    # the four matrices printed there, added up
    across = np.array([[4, 2, 1, 0], [2, 4, 0, 0], [1, 0, 6, 1], [0, 0, 1, 2]])
    down = np.array([[6, 0, 2, 0], [0, 4, 2, 0], [2, 2, 2, 2], [0, 0, 2, 0]])
    falling = np.array([[2, 1, 3, 0], [1, 2, 1, 0], [3, 1, 0, 2], [0, 0, 2, 0]])
    rising = np.array([[4, 1, 0, 0], [1, 2, 2, 0], [0, 2, 4, 1], [0, 0, 1, 0]])
    counts = across + down + falling + rising
    found = cooccurrence(EXAMPLE, np.ones_like(EXAMPLE, bool), 1, 4)
    np.testing.assert_allclose(found[0], counts / counts.sum(), atol=1e-12)


def test_cooccurrence_counts_pairs_in_the_head_only():
    inside = np.zeros_like(EXAMPLE, bool)
    inside[0, :2, 1:3] = True  # 0 1 over 0 1
    found = cooccurrence(EXAMPLE, inside, 1, 4)[0]
    assert found[0, 0] == found[1, 1] == 2 / 12
    assert found[0, 1] == found[1, 0] == 4 / 12
    nowhere = cooccurrence(EXAMPLE, np.zeros_like(inside), 1, 4)[0]
    assert nowhere[0, 0] == nowhere.sum() == 1


def test_haralick_by_hand():
    # greys 0 and 1, a tenth each way unlike: contrast .2, homogeneity .8 + .2 / 2, covariance .4 - .25, variance .25
    found = haralick(np.array([[[0.4, 0.1], [0.1, 0.4]], [[0, 0], [0, 1]]]))
    np.testing.assert_allclose(found[0], [0.2, 0.9, np.sqrt(0.34), 0.6], atol=1e-12)
    np.testing.assert_allclose(found[1], [0, 1, 1, 1], atol=1e-12)


def test_correlation_is_that_of_the_pairs():
    rng = np.random.default_rng(3)
    levels = rng.integers(0, 5, (1, 9, 7)).astype(np.uint8)
    p = cooccurrence(levels, np.ones_like(levels, bool), 2, 5)
    i, j = np.indices((5, 5)).reshape(2, -1)
    wanted = np.cov(i, j, aweights=p[0].ravel(), bias=True)
    assert haralick(p)[0, 3] == pytest.approx(wanted[0, 1] / np.sqrt(wanted[0, 0] * wanted[1, 1]))


@pytest.mark.parametrize(
    ("neighbours", "pattern"),
    [
        ([0, 0, 0, 0, 0, 0, 0, 0], 0),  # a peak
        ([9, 9, 9, 9, 9, 9, 9, 9], 8),  # a pit
        ([5, 5, 5, 5, 5, 5, 5, 5], 8),  # flat
        ([9, 9, 9, 0, 0, 0, 0, 9], 4),  # an edge, past the first of the ring
        ([9, 0, 9, 0, 0, 0, 0, 0], 9),  # two runs
    ],
)
def test_local_patterns_of_one_pixel(neighbours, pattern):
    a, b, c, d, e, f, g, h = neighbours  # once around from the upper left corner
    grey = np.array([[[a, b, c], [h, 5, d], [g, f, e]]], np.uint8)
    found = local_patterns(grey, np.ones_like(grey, bool))[0]
    assert found[pattern] == found.sum() == 1


def test_greys_of_the_head_are_those_of_numpy():
    images = heads(3, seed=4)
    grey = np.rint((images[:, 0] + 1) * 127.5).astype(np.uint8)
    found = columns(images, "grey p5", "grey p50", "grey p95", "grey mean", "grey deviation", "head area")
    for row, one, inside in zip(found, grey, find_head(grey), strict=True):
        values = one[inside] / 127.5 - 1
        shares = np.percentile(values, [5, 50, 95], method="inverted_cdf")
        np.testing.assert_allclose(row, [*shares, values.mean(), values.std(), inside.mean()], atol=1e-6)


def test_a_head_keeps_its_dark_ventricles_and_leaves_noise_outside():
    image = heads(1)
    grey = np.rint((image[:, 0] + 1) * 127.5).astype(np.uint8)
    whole = find_head(grey)[0]
    grey[0, 28:36, 30:34] = 0
    grey[0, 1, 1] = 90  # one bright pixel in the corner
    np.testing.assert_array_equal(find_head(grey)[0], whole)


def test_taller_heads_have_a_larger_aspect():
    frame = np.full((1, 1, 64, 64), -1, np.float32)
    frame[:, :, 8:56, 20:44] = 0.5
    # the head is seen one pixel wider on each side: a mean of 3 x 3 decides
    assert columns(frame, "head aspect")[0] == pytest.approx(np.log(50 / 26), abs=0.01)
    assert columns(frame.swapaxes(2, 3), "head aspect")[0] == pytest.approx(-np.log(50 / 26), abs=0.01)


def test_blurring_lowers_edges_and_contrast_and_steepens_the_spectrum():
    images = heads(20)
    blurred = gaussian_filter(images, (0, 0, 1, 1))
    falls = ("edges 1 px", "edges 2 px", "co-occurrence contrast 1 px", "spectrum slope")
    falls += ("spectrum high share", "pattern broken")
    assert (columns(blurred, *falls) < columns(images, *falls)).all()
    assert (columns(gaussian_filter(images, (0, 0, 3, 3)), "edges 4 px") < columns(images, "edges 4 px")).all()
    rises = ("co-occurrence homogeneity 1 px", "co-occurrence correlation 1 px")
    assert (columns(blurred, *rises) > columns(images, *rises)).all()


def test_the_scale_of_edges_is_the_one_that_holds_them():
    y, x = np.indices((32, 32))
    checks = np.stack([(y + x) % 2, (y // 4 + x // 4) % 2])[:, None].astype(np.float32)
    found = columns(checks, "edges 1 px", "edges 4 px")
    assert found[0, 0] > 0.9
    assert found[0, 1] < 0.1
    assert found[1, 1] > 3 * found[0, 1]


@pytest.mark.parametrize("side", [(64, 64), (33, 47), (16, 17)])
def test_a_mirror_moves_nothing(side):
    images = np.random.default_rng(5).uniform(-1, 1, (3, 1, *side)).astype(np.float32)
    np.testing.assert_allclose(
        TextureFeatures().extract(images[..., ::-1]), TextureFeatures().extract(images), rtol=1e-5, atol=1e-5
    )


def test_one_sided_brightness_is_asymmetry():
    images = heads(4)
    symmetric = (images + images[..., ::-1]) / 2
    assert columns(symmetric, "asymmetry") == pytest.approx(0, abs=0.01)
    lesion = symmetric.copy()
    lesion[:, :, 25:35, 15:25] = 0.9
    assert (columns(lesion, "asymmetry") > 0.02).all()


def test_noise_has_a_flat_spectrum_and_smooth_images_a_steep_one():
    rng = np.random.default_rng(6)
    noise = rng.uniform(-1, 1, (30, 1, 64, 64)).astype(np.float32)
    assert columns(noise, "spectrum slope").mean() == pytest.approx(0, abs=0.1)
    assert columns(noise, "spectrum high share").mean() == pytest.approx(0, abs=0.02)
    # power that falls with the square of frequency has the slope -2, whatever the window and rings do to it
    frequency = np.hypot(np.fft.fftfreq(128)[:, None], np.fft.fftfreq(128))
    frequency[0, 0] = np.inf
    fields = np.fft.ifft2(np.fft.fft2(rng.normal(size=(30, 128, 128))) / frequency).real
    fields /= np.abs(fields).max((1, 2), keepdims=True)
    assert columns(fields[:, None].astype(np.float32), "spectrum slope").mean() == pytest.approx(-2, abs=0.1)


@pytest.mark.parametrize("grey", [-1, -0.3, 0, 1])
def test_blank_images_are_finite(grey):
    found = TextureFeatures().extract(np.full((2, 1, 16, 20), grey, np.float32))
    assert np.isfinite(found).all()
    assert (found[:, NAMES.index("head area")] == (grey > -0.9)).all()


def test_a_head_of_one_spot_is_finite():
    image = np.full((1, 1, 32, 32), -1, np.float32)
    image[0, 0, 0, 31] = 1
    assert np.isfinite(TextureFeatures().extract(image)).all()


def test_one_by_one_equals_in_batches():
    images, extractor = heads(7), TextureFeatures()
    together = extractor.extract(images)
    np.testing.assert_allclose(extractor.extract(images, batch_size=3), together, atol=1e-5)
    np.testing.assert_allclose(np.concatenate([extractor.extract(i[None]) for i in images]), together, atol=1e-5)


def test_files_of_eight_bits_have_the_texture_of_what_was_written():
    images = heads(3)
    stored = np.rint((images + 1) * 127.5).astype(np.uint8)
    read = (stored / 127.5 - 1).astype(np.float32)
    np.testing.assert_array_equal(TextureFeatures().extract(read), TextureFeatures().extract(images))


def test_what_is_no_image_is_refused():
    for shape in ((2, 32, 32), (2, 3, 32, 32), (1, 1, 15, 64)):
        with pytest.raises(ValueError, match=r"want \(N, 1, H, W\)"):
            TextureFeatures().extract(np.zeros(shape, np.float32))
    with pytest.raises(ValueError, match="not finite"):
        TextureFeatures().extract(np.full((1, 1, 32, 32), np.nan, np.float32))
