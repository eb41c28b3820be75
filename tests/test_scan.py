"""What all readers share: silence about headers, and pixels made square."""

import logging
import warnings

import numpy as np
import pytest

from pipeline.formats.scan import Unreadable, quiet, square_pixels


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
