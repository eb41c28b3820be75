"""Each check finds the fault it is for, and leaves sound slices alone."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from pipeline.scans.quality import check_slice, foreground


@pytest.fixture
def head() -> np.ndarray:
    """A textured ellipse on black, uint8 (80, 64)."""
    y, x = np.mgrid[-1:1:80j, -1:1:64j]
    texture = gaussian_filter(np.random.default_rng(0).normal(size=(80, 64)), 2)
    return (np.where(x**2 + y**2 < 0.6, 120 + 400 * texture, 0)).clip(0, 255).astype(np.uint8)


def test_sound_slices_pass_whatever_their_values(head: np.ndarray) -> None:
    for values in (head, head.astype(np.float32) / 255, head.astype(np.int16) * 40 - 3000, 255 - head, head.T):
        assert check_slice(values) is None
    centred = np.where(head > 0, (head.astype(np.float32) - 120) / 30, 0)  # z-scored, with zero outside the head
    assert check_slice(centred) is None


def test_each_fault_is_found_with_what_was_measured(head: np.ndarray) -> None:
    broken = head.astype(np.float32)
    broken[3, 3] = np.nan
    speck = np.zeros((80, 64), np.float32)
    speck[40:44, 30:34] = np.arange(16).reshape(4, 4) + 50
    saturated = np.where(head > 0, 255, head)
    saturated[30:50, 20:40] = head[30:50, 20:40]
    air = np.random.default_rng(0).normal(10, 3, (80, 64))
    faults = {
        "too_small": head[:20],
        "too_elongated": np.tile(head, (4, 1)),
        "not_finite": broken,
        "saturated": saturated,
        "noise": air,
    }
    for rule, pixels in faults.items():
        finding = check_slice(pixels)
        assert finding is not None
        assert finding.rule == rule
        assert any(sign.isdigit() for sign in finding.detail)
    for pixels in (np.zeros((80, 64)), (head > 0) * 4, speck):
        finding = check_slice(pixels)
        assert finding is not None
        assert finding.rule == "blank"


def test_smallest_side_is_a_choice(head: np.ndarray) -> None:
    assert check_slice(head, min_side=64) is None
    assert check_slice(head, min_side=65) is not None


def test_foreground_is_the_head_on_any_background(head: np.ndarray) -> None:
    on_black, on_white = foreground(head), foreground(255 - head)
    np.testing.assert_array_equal(on_black, on_white)
    assert on_black[40, 32]
    assert not on_black[0].any()
