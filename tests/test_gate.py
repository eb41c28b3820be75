import numpy as np
import pytest

from pipeline.export.gate import Screened, screen


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


def _painted(n: int = 4) -> tuple[np.ndarray, np.ndarray]:
    regions = np.zeros((n, 8, 8), bool)
    regions[:, 2:5, 3:6] = True
    return _slices(n, 0), regions


def test_a_painted_set_shows_patients_unless_what_was_painted_on_is_synthetic() -> None:
    synthetic, regions = _painted()
    near_copy = np.array([False, True, False, False])

    def screened(*origins: str) -> Screened:
        return screen(
            synthetic=synthetic, training=_slices(50, 1), near_copy=near_copy, regions=regions, source_origins=origins
        )

    of_patients = screened("real", "real", "synthetic", "unknown")
    assert of_patients.patient_anatomy.tolist() == [True, True, False, True]
    assert of_patients.contains_patient_anatomy
    assert of_patients.kept.tolist() == [True, False, True, True]  # the user decides; only copies inside are refused
    assert not screened(*["synthetic"] * 4).contains_patient_anatomy
    assert not screened("synthetic", "real", "synthetic", "synthetic").contains_patient_anatomy  # refused as a copy
    generated = screen(synthetic=synthetic, training=_slices(50, 1), near_copy=near_copy)
    assert not generated.contains_patient_anatomy


@pytest.mark.parametrize("half", ["regions", "source_origins"])
def test_a_painted_set_cannot_pass_for_a_generated_one_by_half_a_declaration(half: str) -> None:
    synthetic, regions = _painted()
    told = {"regions": regions, "source_origins": ["real"] * 4}
    with pytest.raises(ValueError, match="need both"):
        screen(synthetic=synthetic, training=_slices(50, 1), near_copy=np.zeros(4, bool), **{half: told[half]})


@pytest.mark.parametrize("lesions", [True, False])
def test_a_broken_region_is_seen_however_sound_the_rest_is(lesions: bool) -> None:
    training = _slices(50, 1)
    synthetic, regions = _painted(5)
    training_regions = np.broadcast_to(regions[0], (50, 8, 8)).copy() if lesions else None
    if training_regions is not None:
        training_regions[7] = False  # a slice without a mask
    synthetic[0][0, regions[0]] = 1
    synthetic[1][0, regions[1]] = -1
    synthetic[2][0, ~regions[2]] = -1  # the source's own affair
    synthetic[3, 0, 0, 0] = np.nan
    regions[4] = False  # nothing was painted
    screened = screen(
        synthetic=synthetic,
        training=training,
        near_copy=np.zeros(5, bool),
        regions=regions,
        training_regions=training_regions,
        source_origins=["real"] * 5,
    )
    assert screened.broken.tolist() == [True, True, False, True, False]
    whole = screen(synthetic=synthetic[:2], training=training, near_copy=np.zeros(2, bool))
    assert not whole.broken.all()  # of the whole image too small a part
