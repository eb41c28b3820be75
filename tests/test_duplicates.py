"""Copies are found however they were rescaled; different heads, and neighbours of one subject, are not copies."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from pipeline.formats.raster import read_raster
from pipeline.scans.duplicates import groups, links_of_equal, near_duplicates, pixel_digest, thumbnail, views

SHARED = Path(__file__).parents[2] / "shared" / "data"


def head(seed: int, size: int = 160) -> np.ndarray:
    """An ellipse with a bright rim and its own inside: all look alike at 32 px, none in the detail."""
    y, x = np.mgrid[-1.3 : 1.3 : size * 1j, -1.5 : 1.5 : size * 1j]
    radius = x**2 + y**2
    coarse, fine = (gaussian_filter(np.random.default_rng(seed).normal(size=(160, 160)), s) for s in (8, 1.2))
    inside = 110 + 150 * coarse / coarse.std() * 0.1 + 60 * fine / fine.std() * 0.3
    if size != 160:
        inside = np.asarray(Image.fromarray(inside).resize((size, size), Image.Resampling.BICUBIC))
    picture = np.where(radius < 0.9, inside, np.where(radius < 1.0, 250, 0))
    return picture.clip(0, 255).astype(np.uint8)


def pairs_of(images: Sequence[np.ndarray], subjects: Sequence[int] | None = None) -> list[tuple[int, int]]:
    codes = np.array([-1] * len(images) if subjects is None else subjects, dtype=np.int64)
    thumbnails = np.stack([thumbnail(image) for image in images])
    wholes, heads = (np.stack(view) for view in zip(*map(views, images), strict=True))
    return near_duplicates(thumbnails=thumbnails, wholes=wholes, heads=heads, subjects=codes, load=lambda i: images[i])


def resized(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC))


def test_copies_are_found_rescaled_framed_brightened_and_compressed(tmp_path: Path) -> None:
    original = head(0)
    Image.fromarray(original).save(tmp_path / "x.jpg", quality=60)
    copies = [
        resized(original, (230, 200)),
        np.pad(original, ((40, 5), (3, 30))),
        (original * 0.7 + 20 * (original > 0)).astype(np.uint8),
        read_raster(tmp_path / "x.jpg").slices[0],
        original.astype(np.float32) / 7,
    ]
    for copy in copies:
        assert pairs_of([original, head(1), copy]) == [(0, 2)]


def test_different_heads_agree_in_thumbnails_and_are_no_pairs() -> None:
    heads = [head(seed) for seed in range(8)]
    thumbnails = np.stack([thumbnail(image) for image in heads])
    assert (np.triu(thumbnails @ thumbnails.T, 1) > 0.85).sum() > 10  # the second test has something to do
    assert pairs_of(heads) == []
    assert pairs_of([resized(image, (64, 64)) for image in heads]) == []


def test_slices_of_one_known_subject_are_no_pair() -> None:
    images = [head(0), resized(head(0), (150, 150)), resized(head(0), (140, 140))]
    assert pairs_of(images, [7, 7, 7]) == []
    assert pairs_of(images, [7, 7, 8]) == [(0, 2), (1, 2)]
    assert pairs_of(images, [7, -1, -1]) == [(0, 1), (0, 2), (1, 2)]


def test_order_does_not_matter() -> None:
    images = [head(0), head(1), resized(head(0), (150, 150)), head(2), resized(head(1), (210, 210))]
    order = np.random.default_rng(0).permutation(len(images))
    back = {tuple(sorted((int(order[i]), int(order[j])))) for i, j in pairs_of([images[i] for i in order])}
    assert back == set(pairs_of(images)) == {(0, 2), (1, 4)}


def test_digest_is_of_pixels_shape_and_depth() -> None:
    image = head(0)
    assert pixel_digest(image) == pixel_digest(image.copy(order="F"))
    assert len({pixel_digest(v) for v in (image, image.reshape(80, 320), image.astype(np.uint16), image + 1)}) == 4


def test_groups_are_connected_components() -> None:
    assert groups(6, [(4, 1), (1, 5), (3, 2)]) == [0, 1, 2, 2, 1, 1]
    assert groups(3, []) == [0, 1, 2]
    assert links_of_equal(["a", None, "b", "a", None, "a"]) == [(0, 3), (0, 5)]


def test_the_253_hold_the_known_copies() -> None:
    folder = SHARED / "brain_mri_253"
    if not folder.exists():
        pytest.skip("real data brain_mri_253 is not beside the project")
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    images = [read_raster(path).slices[0] for path in paths]
    pairs = pairs_of(images)
    digests = [pixel_digest(image) for image in images]
    assert len(digests) - len(set(digests)) == 25
    assert 70 <= len(pairs) <= 80
    # every pair whose heads correlate below 0.995 was looked at: all are copies
    assert len(set(groups(len(images), pairs + links_of_equal(digests)))) == 199
    assert all(paths[i].parent == paths[j].parent for i, j in pairs)


def test_patients_of_one_set_are_not_taken_for_copies() -> None:
    folder = SHARED / "lgg_flair"
    if not folder.exists():
        pytest.skip("real data lgg_flair is not beside the project")
    paths = sorted(path for path in folder.rglob("*.tif") if "_mask" not in path.name)[::3]
    patients = {patient: code for code, patient in enumerate(sorted({path.parent for path in paths}))}
    images = [read_raster(path).slices[0] for path in paths]
    assert pairs_of(images, [patients[path.parent] for path in paths]) == []
