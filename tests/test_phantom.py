from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from data_contracts.violations import ContractError
from pipeline.formats.dicom import order_series, read_header, read_pixels
from pipeline.formats.nifti import read_nifti
from pipeline.formats.raster import read_mask, read_png
from pipeline.scans.phantom import Format, Phantom, PhantomConfig, Sequence, draw_subject, phantom, write_phantoms
from pipeline.scans.phantom_anatomy import TISSUES, Tumour, before_push
from pipeline.scans.phantom_shapes import Blob, blob_distance, waves

FORMATS: tuple[Format, ...] = ("png", "nifti", "dicom")


def draw(seed: int, *, tumour: bool = True, **config: object) -> Phantom:
    return phantom(rng=np.random.default_rng(seed), tumour=tumour, config=PhantomConfig.model_validate(config))


def signal(head: Phantom, tissue: str) -> float:
    """Median signal of a tissue away from its borders with others and from the tumour."""
    here = ndimage.binary_erosion(head.tissues == 1 + TISSUES.index(tissue), np.ones((1, 2, 2)))
    return float(np.median(head.voxels[here & (head.mask == 0)]))


def files(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_a_phantom_is_a_volume_with_its_mask_and_geometry() -> None:
    head = draw(1)
    assert head.voxels.shape == head.mask.shape == head.tissues.shape == (24, 96, 96)
    assert head.voxels.dtype == np.float32
    assert head.mask.dtype == head.tissues.dtype == np.uint8
    assert head.voxels.min() >= 0
    assert set(np.unique(head.mask)) == {0, 1}
    assert head.spacing == (5.0, 2.0, 2.0)


def test_the_same_seed_gives_the_same_head_and_another_seed_another() -> None:
    np.testing.assert_array_equal(draw(3).voxels, draw(3).voxels)
    assert np.corrcoef(draw(3).voxels.ravel(), draw(4).voxels.ravel())[0, 1] < 0.95


def test_only_a_head_with_a_tumour_has_a_mask_and_it_stays_in_the_brain() -> None:
    for seed in range(8):
        assert not draw(seed, tumour=False).mask.any()
        head = draw(seed)
        volume_ml = head.mask.sum() * 5 * 2 * 2 / 1000
        assert 1 < volume_ml < 200
        outside = [0, *(1 + TISSUES.index(t) for t in ("scalp", "skull", "marrow"))]
        assert not head.mask[np.isin(head.tissues, outside)].any()


@pytest.mark.parametrize(
    ("sequence", "order"),
    [
        ("T1", ("skull", "csf", "grey", "white", "scalp")),
        ("T1c", ("skull", "csf", "grey", "white", "scalp")),
        ("T2", ("skull", "white", "grey", "csf")),
        ("FLAIR", ("csf", "white", "grey", "scalp")),
    ],
)
def test_tissues_are_as_dark_and_bright_as_their_sequence_shows_them(
    sequence: Sequence, order: tuple[str, ...]
) -> None:
    head = draw(5, sequence=sequence, bias=0.0, noise=(0.01, 0.01))
    levels = [signal(head, tissue) for tissue in order]
    assert levels == sorted(levels)


def test_the_anatomy_does_not_depend_on_sequence_or_resolution() -> None:
    np.testing.assert_array_equal(draw(6, sequence="T1").tissues, draw(6, sequence="T2").tissues)
    coarse = draw(6)
    fine = draw(6, size=192, spacing_mm=(5.0, 1.0, 1.0)).tissues[:, ::2, ::2]
    assert (coarse.tissues[10] == fine[10]).mean() > 0.85  # half a fine pixel apart
    fine_ml = draw(6, size=192, spacing_mm=(5.0, 1.0, 1.0)).mask.sum() * 5 / 1000
    assert coarse.mask.sum() * 20 / 1000 == pytest.approx(fine_ml, rel=0.05)


def test_the_tumour_shows_on_flair_and_its_rim_on_t1_with_contrast() -> None:
    contrast = [_lesion_contrast(draw(seed, sequence="FLAIR")) for seed in range(10)]
    assert np.mean(contrast) > 0.2
    assert min(contrast) > 0
    assert max(contrast) > 2 * min(contrast)  # some are subtle
    for seed in range(6):
        with_agent, without = draw(seed, sequence="T1c"), draw(seed, sequence="T1")
        solid = with_agent.tissues == 1 + TISSUES.index("solid")
        if solid.sum() > 30:
            assert with_agent.voxels[solid].mean() > 1.1 * without.voxels[solid].mean()


def _lesion_contrast(head: Phantom) -> float:
    brain = np.isin(head.tissues, [1 + TISSUES.index(t) for t in ("grey", "white")]) & (head.mask == 0)
    return float(np.median(head.voxels[head.mask == 1]) / np.median(head.voxels[brain]) - 1)


def test_heads_without_a_tumour_hold_bright_patches_too() -> None:
    bright = 1 + TISSUES.index("bright")
    counts = [(draw(seed, tumour=False).tissues == bright).sum() for seed in range(10)]
    assert np.median(counts) > 5


def test_mass_effect_pushes_outwards_fades_with_distance_and_spares_the_skull() -> None:
    tumour = Tumour(Blob(np.array([30, 0, 20], np.float32), np.full(3, 15, np.float32), 0.0), 4.0, 5.0, 6.0, 1.0)
    medial = np.array([[16, 2, -60], [0, 0, 0], [20, 20, 20]], np.float32)  # 14, 28 and 90 mm towards the midline
    deep = np.full(3, 40, np.float32)
    shift = (before_push(medial, deep, tumour) - medial)[0]
    assert (shift > 0).all()  # what is there now stood nearer to the tumour before: it was pushed towards the midline
    assert shift[1] > 4
    assert shift[2] < 0.2
    np.testing.assert_array_equal(before_push(medial, np.full(3, 5, np.float32), tumour), medial)


def test_mass_effect_never_folds_space() -> None:
    line = np.stack([np.linspace(30, -60, 400), np.zeros(400), np.full(400, 20)]).astype(np.float32)
    for push in (1.0, 5.0, 50.0):
        tumour = Tumour(Blob(np.array([30, 0, 20], np.float32), np.full(3, 10, np.float32), 0.0), 4.0, 5.0, push, 1.0)
        assert (np.diff(before_push(line, np.full(400, 40, np.float32), tumour)[0]) < 0).all()


def test_waves_have_unit_variance_and_their_own_slope() -> None:
    rng = np.random.default_rng(0)
    points = rng.uniform(-400, 400, (3, 20000)).astype(np.float32)
    step = np.array([[0.02], [0], [0]], np.float32)
    field, slope = waves(points, wavelength=20, rng=np.random.default_rng(1), count=24)
    assert field.std() == pytest.approx(1, abs=0.05)
    moved = [
        waves(points + np.roll(step, k, axis=0), wavelength=20, rng=np.random.default_rng(1), count=24)[0]
        for k in range(3)
    ]
    numeric = np.sqrt(sum(((one - field) / 0.02) ** 2 for one in moved))
    assert np.abs(numeric - slope).mean() < 0.02 * slope.mean()


def test_a_smooth_blob_is_the_ellipsoid_it_says() -> None:
    blob = Blob(np.array([1, 2, 3], np.float32), np.array([4, 5, 6], np.float32), 0.0)
    points = np.array([[1, 5, 9], [2, 2, 2], [3, 3, 3]], np.float32)  # centre, on the outline, as far outside
    np.testing.assert_allclose(blob_distance(points, blob, np.random.default_rng(0)), [5, 0, -5], atol=1e-5)


def test_half_the_subjects_have_a_tumour_and_no_two_share_a_head_or_an_identifier() -> None:
    subjects = [draw_subject(seed=7, number=number, config=PhantomConfig()) for number in range(1, 7)]
    assert [subject.diagnosis for subject in subjects] == ["tumour", "no_tumour"] * 3
    assert [bool(subject.head.mask.any()) for subject in subjects] == [True, False] * 3
    for of in (
        lambda subject: subject.name,
        lambda subject: subject.uid_seed,
        lambda subject: subject.head.voxels.sum(),
    ):
        assert len({of(subject) for subject in subjects}) == 6


@pytest.mark.parametrize("kind", FORMATS)
def test_the_same_seed_writes_the_same_bytes_and_more_subjects_keep_the_earlier(kind: Format, tmp_path: Path) -> None:
    for name, subjects, seed in (("a", 2, 7), ("b", 2, 7), ("more", 3, 7), ("other", 2, 8)):
        write_phantoms(out=tmp_path / name, subjects=subjects, format=kind, seed=seed)
    first, again, more, other = (files(tmp_path / name) for name in ("a", "b", "more", "other"))
    assert first == again
    assert first.items() < more.items()
    assert first.keys() == other.keys()
    assert first != other


def test_png_layout_reads_back_with_a_mask_beside_every_slice(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    write_phantoms(out=tmp_path / "out", subjects=2, format="png", seed=1, progress=lambda *at: seen.append(at))
    assert seen == [(1, 2), (2, 2)]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["phantom-0001", "phantom-0002"]
    for number in (1, 2):
        head = draw_subject(seed=1, number=number, config=PhantomConfig()).head
        stem = f"phantom-{number:04d}"
        for z in range(24):
            grey = read_png(tmp_path / "out" / stem / f"{stem}_{z + 1}.png")
            np.testing.assert_array_equal(read_mask(tmp_path / "out" / stem / f"{stem}_{z + 1}_mask.png"), head.mask[z])
            assert np.corrcoef(grey.ravel(), head.voxels[z].ravel())[0, 1] > 0.99


def test_nifti_layout_reads_back_the_same_way_up(tmp_path: Path) -> None:
    write_phantoms(out=tmp_path / "out", subjects=1, format="nifti", seed=1, sequence="T1c")
    head = draw_subject(seed=1, number=1, config=PhantomConfig(sequence="T1c")).head
    folder = tmp_path / "out" / "phantom-0001"
    scan = read_nifti(folder / "phantom-0001_T1c.nii.gz")
    _same(scan.slices, head)
    assert (scan.plane, scan.sequence, scan.spacing_mm, scan.slice_spacing_mm) == ("axial", "T1c", 2.0, 5.0)
    np.testing.assert_array_equal(read_nifti(folder / "phantom-0001_mask.nii.gz").slices, head.mask)


def test_dicom_layout_reads_back_as_one_series_in_its_class_folder(tmp_path: Path) -> None:
    write_phantoms(out=tmp_path / "out", subjects=2, format="dicom", seed=1)
    for number, diagnosis in ((1, "tumour"), (2, "no_tumour")):
        head = draw_subject(seed=1, number=number, config=PhantomConfig()).head
        folder = tmp_path / "out" / diagnosis / f"phantom-{number:04d}"
        headers, left_over = order_series([read_header(path) for path in sorted(folder.glob("*.dcm"), reverse=True)])
        assert not left_over
        assert {header.sequence for header in headers} == {"FLAIR"}
        _same(np.stack([read_pixels(header) for header in headers]), head)
        mask = read_nifti(folder.with_name(f"phantom-{number:04d}_mask.nii.gz")).slices
        np.testing.assert_array_equal(mask, head.mask)


def _same(voxels: NDArray[np.generic], head: Phantom) -> None:
    np.testing.assert_array_equal(voxels, np.rint(head.voxels))


@pytest.mark.parametrize("taken_by", ["file", "folder"])
def test_a_folder_that_holds_something_is_left_alone(taken_by: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    kept = out if taken_by == "file" else out / "kept.txt"
    kept.parent.mkdir(exist_ok=True)
    kept.write_text("mine")
    with pytest.raises(ContractError, match="name a new or an empty one"):
        write_phantoms(out=out, subjects=1, format="png", seed=0)
    assert kept.read_text() == "mine"


def test_an_empty_folder_will_do_and_a_failure_leaves_nothing(tmp_path: Path) -> None:
    out = tmp_path / "out"

    def fail(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_phantoms(out=out, subjects=2, format="png", seed=0, progress=fail)
    assert not any(tmp_path.iterdir())
    out.mkdir()
    write_phantoms(out=out, subjects=1, format="png", seed=0)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert len(files(out)) == 48
