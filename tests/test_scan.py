"""What all readers share: silence about headers, and pixels made square."""

import logging
import warnings

import numpy as np
import pytest

from pipeline.formats.scan import (
    Scan,
    Unreadable,
    displacement,
    display_affine,
    quiet,
    square_pixels,
    squared,
    to_display,
)


@pytest.mark.parametrize("name", ["pydicom", "PIL.TiffImagePlugin", "nibabel.global", "tifffile", "PIL.new_one"])
def test_no_logger_of_a_decoding_library_speaks_and_all_do_afterwards(
    name: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    if name != "PIL.new_one":
        logging.getLogger(name)  # otherwise it is made only while all is quiet
    with quiet(), quiet():
        logging.getLogger(name).error("DOE^JANE")
        warnings.warn("DOE^JANE", stacklevel=1)
    assert not caplog.records
    assert capfd.readouterr() == ("", "")
    logging.getLogger(name).error("heard again")
    assert "heard again" in caplog.text


def test_nearly_square_pixels_stay_and_others_are_resampled_to_the_finer_side() -> None:
    stack = np.arange(2 * 6 * 8, dtype=np.int16).reshape(2, 6, 8)
    same, side = square_pixels(stack, 1.0, 1.05)
    assert same is stack
    assert side == pytest.approx(np.sqrt(1.05))
    finer, side = square_pixels(stack, 2.0, 1.0)
    assert (finer.shape, finer.dtype, side) == ((2, 12, 8), np.float32, 1.0)
    ramp = np.broadcast_to(np.arange(6.0, dtype=np.float32)[None, :, None], (2, 6, 8))
    np.testing.assert_allclose(square_pixels(ramp, 2.0, 1.0)[0][0, 2:10, 0], np.arange(2, 10) / 2 - 0.25, atol=1e-5)


def test_labels_stay_labels() -> None:
    labels = np.zeros((1, 4, 4), np.uint8)
    labels[0, 1, 2] = 3
    wider, _ = square_pixels(labels, 1.0, 3.0, labels=True)
    assert wider.dtype == np.uint8
    assert np.unique(wider).tolist() == [0, 3]
    assert (wider == 3).sum() == 3


def test_slits_are_no_pixels() -> None:
    with pytest.raises(Unreadable, match="pixels_not_square"):
        square_pixels(np.zeros((1, 4, 4)), 0.5, 5.0)


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
def test_the_affine_of_what_is_shown_leads_to_the_same_millimetres(plane: str) -> None:
    voxels = np.arange(3 * 4 * 5).reshape(3, 4, 5)
    affine = np.array([[0, -2.0, 0.1, 9], [0.1, 0, 3.0, -8], [-4.0, 0.1, 0, 7], [0, 0, 0, 1]])
    shown = display_affine(voxels.shape, affine, plane)
    for at, value in np.ndenumerate(to_display(voxels, affine, plane)):
        kept = np.argwhere(voxels == value)[0]
        np.testing.assert_allclose(shown @ [*at, 1], affine @ [*kept, 1])


def test_square_pixels_keep_the_outer_edges_of_the_box() -> None:
    affine = np.diag([5.0, 2.0, 1.0, 1.0])
    affine[:3, 3] = 7, 8, 9
    before = Scan(np.zeros((3, 6, 8), np.float32), affine=affine)
    after = squared(before, 2.0, 1.0)
    assert after.slices.shape == (3, 12, 8)
    for corner in np.ndindex(2, 2, 2):
        edges = [[n * c - 0.5 for n, c in zip(scan.slices.shape, corner, strict=True)] for scan in (before, after)]
        np.testing.assert_allclose(affine @ [*edges[0], 1], after.affine @ [*edges[1], 1])


def test_displacement_is_of_the_corner_that_moves_most() -> None:
    affine = np.diag([5.0, 2.0, 2.0, 1.0])
    moved = affine.copy()
    moved[:3, 3] = 3, 0, -4
    assert displacement(affine, affine, (4, 5, 6)) == (0, 0)
    assert displacement(affine, moved, (4, 5, 6)) == pytest.approx((5.0, 2.0))  # 4 mm of pixels of 2 mm
    flipped = np.diag([1.0, -1.0, 1.0, 1.0]) @ affine
    assert displacement(affine, flipped, (4, 5, 6)) == pytest.approx((16.0, 8.0))
