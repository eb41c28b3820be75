"""Pictures: colour modes, broken files, and the two-way street between [-1, 1] and 8 bits."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.formats.raster import (
    MAX_COLOUR,
    from_uint8,
    is_raster,
    read_mask,
    read_png,
    read_raster,
    to_uint8,
    write_png,
)
from pipeline.formats.scan import Unreadable

SHARED = Path(__file__).parents[2] / "shared" / "data"


def needs(name: str) -> Path:
    if not (SHARED / name).exists():
        pytest.skip(f"real data {name} is not beside the project")
    return SHARED / name


@pytest.fixture
def grey() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (40, 50), dtype=np.uint8)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "LA", "CMYK"])
def test_grey_comes_back_whatever_the_colour_mode(tmp_path: Path, grey: np.ndarray, mode: str) -> None:
    path = tmp_path / "x.tif"
    Image.fromarray(grey).convert(mode).save(path)
    read = read_raster(path).slices
    assert read.shape == (1, 40, 50)
    assert read.dtype == np.uint8
    assert np.abs(read[0].astype(int) - grey).max() <= (1 if mode == "CMYK" else 0)


@pytest.mark.parametrize("order", ["<u2", ">u2"])
def test_sixteen_bits_keep_their_depth(tmp_path: Path, order: str) -> None:
    values = np.random.default_rng(0).integers(0, 65536, (40, 50), dtype=np.uint16)
    path = tmp_path / "deep.tif"
    header = {"<u2": (b"II*\0", "little"), ">u2": (b"MM\0*", "big")}[order]
    data = values.astype(order).tobytes()
    tags = [(256, 50), (257, 40), (258, 16), (259, 1), (262, 1), (273, 8), (277, 1), (278, 40), (279, len(data))]
    as_bytes = lambda n, size: int(n).to_bytes(size, header[1])  # noqa: E731 (one line says it)
    entries = b"".join(as_bytes(t, 2) + as_bytes(4, 2) + as_bytes(1, 4) + as_bytes(v, 4) for t, v in tags)
    directory = as_bytes(len(tags), 2) + entries + as_bytes(0, 4)
    path.write_bytes(header[0] + as_bytes(8 + len(data), 4) + data + directory)
    read = read_raster(path).slices[0]
    assert read.dtype == np.uint16
    np.testing.assert_array_equal(read, values)


def test_content_decides_not_the_extension(tmp_path: Path, grey: np.ndarray) -> None:
    Image.fromarray(grey).save(tmp_path / "x.png")
    (tmp_path / "x.png").rename(tmp_path / "x.jpg")
    np.testing.assert_array_equal(read_raster(tmp_path / "x.jpg").slices[0], grey)
    assert is_raster((tmp_path / "x.jpg").read_bytes()[:132])


def test_transparent_pixels_are_black_whatever_they_hide(tmp_path: Path, grey: np.ndarray) -> None:
    rgba = np.dstack([grey, grey, grey, np.full_like(grey, 255)])
    rgba[:10] = (255, 0, 0, 0)
    Image.fromarray(rgba).save(tmp_path / "x.png")
    read = read_raster(tmp_path / "x.png").slices[0]
    assert (read[:10] == 0).all()
    np.testing.assert_array_equal(read[10:], grey[10:])


def test_exif_rotation_is_undone(tmp_path: Path, grey: np.ndarray) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise
    Image.fromarray(grey).save(tmp_path / "x.png", exif=exif)
    np.testing.assert_array_equal(read_raster(tmp_path / "x.png").slices[0], np.rot90(grey, -1))


def test_tint_is_grey_and_three_sequences_are_not(tmp_path: Path, grey: np.ndarray) -> None:
    tinted = np.stack([grey, 0.95 * grey, 0.9 * grey], axis=-1).astype(np.uint8)
    stacked = np.stack([grey, 255 - grey, grey[::-1]], axis=-1)
    Image.fromarray(tinted).save(tmp_path / "tint.png")
    Image.fromarray(stacked).save(tmp_path / "stack.png")
    assert read_raster(tmp_path / "tint.png").slices.shape == (1, 40, 50)
    with pytest.raises(Unreadable, match=f"not_grey: .*at most {MAX_COLOUR}"):
        read_raster(tmp_path / "stack.png")


def test_broken_bombs_and_stacks_are_refused_without_a_name(tmp_path: Path, grey: np.ndarray) -> None:
    buffer = io.BytesIO()
    Image.fromarray(grey).save(buffer, "PNG")
    (tmp_path / "doe-cut.png").write_bytes(buffer.getvalue()[:-200])
    (tmp_path / "doe-words.png").write_text("Doe Jane")
    Image.new("1", (20000, 20000)).save(tmp_path / "doe-bomb.png")
    Image.fromarray(grey).save(tmp_path / "doe-two.tif", save_all=True, append_images=[Image.fromarray(grey)])
    wanted = {"cut": "unreadable", "words": "unreadable", "bomb": "too_many_pixels", "two": "several_pictures"}
    for path in tmp_path.iterdir():
        with pytest.raises(Unreadable) as refused:
            read_raster(path)
        assert refused.value.rule == wanted[path.stem.removeprefix("doe-")]
        assert "doe" not in str(refused.value).lower()


def test_masks_of_labels_and_of_soft_edges(tmp_path: Path) -> None:
    labels = np.zeros((40, 40), np.uint8)
    labels[5:10] = 1
    labels[10:12] = 4
    Image.fromarray(labels).save(tmp_path / "labels.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "labels.png"), labels > 0)
    soft = np.zeros((40, 40), np.uint8)
    soft[10:20], soft[20] = 255, 60
    Image.fromarray(soft).save(tmp_path / "soft.png")
    assert read_mask(tmp_path / "soft.png").sum() == 400
    Image.fromarray(np.zeros((40, 40), np.uint8)).save(tmp_path / "none.png")
    assert read_mask(tmp_path / "none.png").sum() == 0


def test_eight_bits_are_the_inverse() -> None:
    every = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(to_uint8(from_uint8(every)), every)
    np.testing.assert_array_equal(to_uint8(np.array([-3, -1, 0.999, 1, 9], np.float32)), [0, 0, 255, 255, 255])
    assert from_uint8(every).min() == -1
    assert from_uint8(every).max() == 1


def test_png_comes_back_and_its_bytes_repeat(tmp_path: Path, grey: np.ndarray) -> None:
    write_png(tmp_path / "a.png", grey)
    write_png(tmp_path / "b.png", grey.copy())
    np.testing.assert_array_equal(read_png(tmp_path / "a.png"), grey)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    with pytest.raises(ValueError, match="uint8"):
        write_png(tmp_path / "c.png", grey.astype(np.float32))


def test_all_253_are_read_and_stacked_sequences_are_refused() -> None:
    pictures = [path for path in needs("brain_mri_253").rglob("*") if path.is_file()]
    assert len([read_raster(path) for path in pictures]) == 253
    stacked = needs("lgg_3channel") / "TCGA_CS_6666_20011109"
    for path in stacked.glob("*.tif"):
        if "mask" not in path.name:
            with pytest.raises(Unreadable, match="not_grey"):
                read_raster(path)
