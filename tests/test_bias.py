import numpy as np
import pytest
import SimpleITK
from numpy.typing import NDArray

from pipeline.scans.bias import STORED, bias_field, factor
from pipeline.scans.head import find_head
from pipeline.scans.phantom import PhantomConfig, phantom
from pipeline.scans.phantom_anatomy import TISSUES

SIZE = 160


def scan(*, sequence: str = "T1", seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """A slice without shading, and where its white matter is."""
    config = PhantomConfig(
        slices=1, size=SIZE, spacing_mm=(5.0, 1.25, 1.25), noise=(0.01, 0.02), bias=0, sequence=sequence
    )
    drawn = phantom(rng=np.random.default_rng(seed), tumour=seed % 2 == 1, config=config)
    return drawn.voxels[0], drawn.tissues[0] == 1 + TISSUES.index("white")


def shading(seed: int = 0) -> NDArray[np.float32]:
    """Known and smooth: a slope in some direction and a dome, 2.0 to 2.8 from darkest to brightest inside a head."""
    y, x = np.mgrid[-1 : 1 : SIZE * 1j, -1 : 1 : SIZE * 1j]
    angle = np.random.default_rng(seed).uniform(0, 2 * np.pi)
    return np.exp(0.45 * (np.cos(angle) * x + np.sin(angle) * y) - 0.25 * (x**2 + y**2)).astype(np.float32)


def corrected(raw: NDArray[np.float32]) -> NDArray[np.float32]:
    field = bias_field(raw, find_head(raw))
    assert field is not None
    return raw / factor(field, raw.shape)


def variation(values: NDArray[np.float32]) -> float:
    return float(values.std() / values.mean())


@pytest.mark.parametrize(("sequence", "seed"), [("T1", 0), ("T2", 1), ("FLAIR", 2)])
def test_most_of_a_known_field_is_taken_off(sequence: str, seed: int) -> None:
    raw, white = scan(sequence=sequence, seed=seed)
    clean = variation(raw[white])
    dirty = variation((raw * shading(seed))[white])
    left = variation(corrected(raw * shading(seed))[white])
    assert dirty > 1.4 * clean
    # white matter varies by itself; of what the field adds, at most 30 % stay (measured: none to 22 %)
    assert left - clean < 0.3 * (dirty - clean)


@pytest.mark.parametrize("sequence", ["T1", "T2"])
def test_a_slice_without_shading_stays_nearly_as_it_is(sequence: str) -> None:
    raw, white = scan(sequence=sequence)
    change = corrected(raw) / raw
    assert np.abs(change[white] - 1).max() < 0.1  # measured: 0.08
    assert variation(corrected(raw)[white]) < 1.15 * variation(raw[white])


def test_the_estimate_follows_the_field() -> None:
    raw, white = scan()
    field = bias_field(raw * shading(), find_head(raw))
    assert field is not None
    assert field.shape == (STORED, STORED)
    assert field.dtype == np.float32
    found, known = np.log(factor(field, raw.shape)), np.log(shading())
    assert np.corrcoef(found[white], known[white])[0, 1] > 0.95


def test_the_gain_of_the_scanner_does_not_matter() -> None:
    raw, _ = scan()
    head = find_head(raw)
    one, other = bias_field(raw * shading(), head), bias_field(raw * shading() * 50, head)
    assert one is not None
    assert other is not None
    np.testing.assert_allclose(one, other, atol=2e-3)


def test_the_same_bytes_whatever_the_threads() -> None:
    raw, _ = scan()
    head = find_head(raw)
    before = SimpleITK.ProcessObject.GetGlobalDefaultNumberOfThreads()
    fields = []
    try:
        for threads in (1, 4, 1):
            SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)
            fields.append(bias_field(raw * shading(), head))
            assert SimpleITK.ProcessObject.GetGlobalDefaultNumberOfThreads() == threads  # as it was before
    finally:
        SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(before)
    assert fields[0] is not None
    np.testing.assert_array_equal(fields[0], fields[1])
    np.testing.assert_array_equal(fields[0], fields[2])


def test_a_scan_with_negative_values_has_no_factor() -> None:
    raw, _ = scan()
    head = find_head(raw)
    assert bias_field((raw - raw[head].mean()) / raw[head].std(), head) is None
    assert bias_field(raw, np.zeros_like(head)) is None
