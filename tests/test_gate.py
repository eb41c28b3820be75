import numpy as np

from pipeline.export.gate import screen


def _slices(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 0.5, (n, 1, 8, 8)).astype(np.float32)


def test_near_copies_are_refused_and_the_rest_kept() -> None:
    screened = screen(synthetic=_slices(3, 0), training=_slices(50, 1), near_copy=np.array([True, True, False]))
    assert screened.near_copy.tolist() == [True, True, False]
    assert screened.kept.tolist() == [False, False, True]


def test_blank_bright_and_infinite_images_are_broken() -> None:
    synthetic = _slices(4, 0)
    synthetic[0] = -1
    synthetic[1] = 1
    synthetic[2, 0, 3, 3] = np.nan
    screened = screen(synthetic=synthetic, training=_slices(50, 1), near_copy=np.zeros(4, bool))
    assert screened.broken.tolist() == [True, True, True, False]


def test_training_slices_themselves_are_not_broken() -> None:
    training = _slices(50, 1)
    assert not screen(synthetic=training, training=training, near_copy=np.zeros(50, bool)).broken.any()
