"""Pictures: colour modes, broken files, and the two-way street between [-1, 1] and 8 bits."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
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
from pipeline.formats.scan import ScanFacts, Unreadable

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


SEQUENCES = np.random.default_rng(7).integers(0, 250, (40, 50, 6), dtype=np.uint8)


def tiff(path: Path, values: np.ndarray, **options: object) -> Path:
    tifffile.imwrite(path, values, **options)
    return path


def refused(path: Path, **options: object) -> Unreadable:
    with pytest.raises(Unreadable) as caught:
        read_raster(path, **options)
    return caught.value


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp"])
def test_a_channel_of_colours_is_taken_as_stored(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x.{suffix}"
    Image.fromarray(SEQUENCES[..., :3]).save(path)
    error = refused(path)
    assert error.rule == "not_grey"
    assert error.detail.endswith("choose one with --channel")
    for channel in range(3):
        scan = read_raster(path, channel=channel)
        np.testing.assert_array_equal(scan.slices[0], SEQUENCES[..., channel])
        assert (scan.facts.channels, scan.facts.bits) == (3, 24 // 3)
    assert [refused(path, channel=channel).rule for channel in (-1, 3)] == ["no_such_channel"] * 2
    Image.fromarray(SEQUENCES[..., 0]).save(path)
    np.testing.assert_array_equal(read_raster(path, channel=0).slices[0], SEQUENCES[..., 0])
    # nothing to choose: a study of stacked sequences may hold plain pictures
    np.testing.assert_array_equal(read_raster(path, channel=1).slices[0], SEQUENCES[..., 0])


def test_a_channel_may_be_alpha_or_of_ink(tmp_path: Path) -> None:
    for mode in ("RGBA", "CMYK"):
        path = tmp_path / f"{mode}.tif"
        Image.frombytes(mode, (50, 40), SEQUENCES[..., :4].tobytes()).save(path)
        for channel in range(4):
            np.testing.assert_array_equal(read_raster(path, channel=channel).slices[0], SEQUENCES[..., channel])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("n", [2, 3, 6])
def test_a_channel_of_any_tiff_is_taken_as_stored(
    tmp_path: Path, dtype: type, planar: str, compression: str | None, n: int
) -> None:
    values = SEQUENCES[..., :n].astype(dtype) * dtype(3 if dtype is np.uint16 else 1)
    laid = np.moveaxis(values, -1, 0) if planar == "separate" else values
    kind = {"photometric": "rgb" if n == 3 else "minisblack", "planarconfig": planar, "compression": compression}
    path = tiff(tmp_path / "x.tif", laid, predictor=compression is not None and dtype is not np.float32, **kind)
    assert refused(path).rule == "not_grey"
    for channel in range(n):
        scan = read_raster(path, channel=channel)
        np.testing.assert_array_equal(scan.slices[0], values[..., channel])
        assert scan.slices.dtype == dtype
        assert (scan.facts.coding, scan.facts.bits, scan.facts.channels) == ("tiff", np.dtype(dtype).itemsize * 8, n)
    assert refused(path, channel=n).rule == "no_such_channel"
    axis = 0 if planar == "separate" else 2
    same = tiff(tmp_path / "same.tif", np.repeat(laid.take([0], axis), n, axis), **kind)
    np.testing.assert_array_equal(read_raster(same).slices[0], values[..., 0])


def test_a_channel_may_be_a_page(tmp_path: Path) -> None:
    path = tiff(tmp_path / "x.tif", np.moveaxis(SEQUENCES, -1, 0), photometric="minisblack")
    error = refused(path)
    assert (error.rule, error.detail) == ("several_pictures", "6 pages; choose one with --channel")
    for channel in range(6):
        scan = read_raster(path, channel=channel)
        np.testing.assert_array_equal(scan.slices[0], SEQUENCES[..., channel])
        assert scan.facts.channels == 6
    assert refused(path, channel=6).rule == "no_such_channel"
    with tifffile.TiffWriter(tmp_path / "odd.tif") as writer:
        writer.write(SEQUENCES[..., 0], photometric="minisblack")
        writer.write(SEQUENCES[:9, :, 0], photometric="minisblack")
    assert refused(tmp_path / "odd.tif", channel=0).detail.startswith("2 pages of different sizes")
    colours = np.stack([SEQUENCES[..., :3], np.repeat(SEQUENCES[..., :1], 3, axis=2)])
    pages = tiff(tmp_path / "colours.tif", colours, photometric="rgb")
    assert refused(pages, channel=0).rule == "not_grey"  # a page of colours is not one channel
    np.testing.assert_array_equal(read_raster(pages, channel=1).slices[0], SEQUENCES[..., 0])


@pytest.mark.parametrize(
    ("dtype", "read_as"),
    [
        ("bool", "uint8"),
        ("int8", "int8"),
        ("uint16", "uint16"),
        ("int16", "int32"),
        ("uint32", "uint32"),
        ("int32", "int32"),
        ("float16", "float32"),
        ("float32", "float32"),
        ("float64", "float32"),
    ],
)
def test_grey_tiffs_of_any_depth_keep_their_values(tmp_path: Path, dtype: str, read_as: str) -> None:
    limits = np.iinfo(dtype) if np.dtype(dtype).kind in "iu" else None
    values = np.random.default_rng(8).normal(0, 300, (40, 50)) if limits is None else None
    if limits is not None:
        values = np.random.default_rng(8).integers(limits.min, limits.max, (40, 50), endpoint=True)
    values = (values > 0) if dtype == "bool" else values.astype(dtype)
    read = read_raster(tiff(tmp_path / "x.tif", values, photometric="minisblack")).slices[0]
    assert read.dtype == read_as
    wanted = values.astype(np.float32) if limits is None and dtype != "bool" else values
    np.testing.assert_array_equal(read, wanted * 255 if dtype == "bool" else wanted)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_inverted_grey_is_turned_over(tmp_path: Path, dtype: type) -> None:
    values = np.random.default_rng(9).integers(0, np.iinfo(dtype).max, (40, 50), dtype=dtype)
    path = tiff(tmp_path / "x.tif", values, photometric="miniswhite")
    np.testing.assert_array_equal(read_raster(path).slices[0], np.iinfo(dtype).max - values)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_both_decoders_turn_a_tiff_alike(tmp_path: Path, grey: np.ndarray, orientation: int) -> None:
    tag = [(274, "H", 1, orientation, True)]
    by_pillow = tiff(tmp_path / "a.tif", grey, extratags=tag)
    by_tifffile = tiff(tmp_path / "b.tif", grey.astype(np.float64), extratags=tag)
    np.testing.assert_array_equal(read_raster(by_pillow).slices, read_raster(by_tifffile).slices)


def png(path: Path, head: bytes, body: bytes) -> Path:
    chunks = [(b"IHDR", head), (b"IDAT", body), (b"IEND", b"")]
    coded = (struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(coded))
    return path


def png16(path: Path, values: np.ndarray) -> Path:
    """A 16-bit PNG of (H, W, C), which Pillow reads and does not write."""
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[values.shape[2]]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    return png(
        path, struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 16, colour, 0, 0, 0), zlib.compress(rows)
    )


def test_sixteen_bit_pngs(tmp_path: Path) -> None:
    deep = np.random.default_rng(10).integers(0, 65536, (40, 50, 1), dtype=np.uint16)
    grey = read_raster(png16(tmp_path / "x.png", deep))
    np.testing.assert_array_equal(grey.slices[0], deep[..., 0])
    assert (grey.facts.bits, grey.facts.channels, grey.notes) == (16, 1, ())
    clear = np.full_like(deep, 65535)
    for layers in ([deep, clear], [deep, deep, deep], [deep, deep, deep, clear]):
        path = png16(tmp_path / "x.png", np.concatenate(layers, axis=2))
        scan = read_raster(path)
        last = read_raster(path, channel=len(layers) - 1).slices[0]
        np.testing.assert_array_equal(last, layers[-1][..., 0] >> 8)
        assert [note.rule for note in scan.notes] == ["depth_reduced"]
        assert (scan.facts.bits, scan.facts.channels) == (16, len(layers))
        assert np.abs(scan.slices[0] * 257.0 - deep[..., 0]).max() <= 257


def test_odd_pictures_are_read(tmp_path: Path, grey: np.ndarray) -> None:
    picture = Image.fromarray(grey)
    picture.convert("CMYK").save(tmp_path / "ink.jpg", quality=100)
    assert np.abs(read_raster(tmp_path / "ink.jpg").slices[0].astype(int) - grey).max() < 12
    assert read_raster(tmp_path / "ink.jpg").facts.channels == 4
    picture.convert("1").save(tmp_path / "two.png")
    assert (read_raster(tmp_path / "two.png").facts.bits, read_raster(tmp_path / "two.png").slices.max()) == (1, 255)
    picture.quantize(16).save(tmp_path / "few.png", bits=4)
    assert (read_raster(tmp_path / "few.png").facts.bits, read_raster(tmp_path / "few.png").facts.channels) == (4, 1)
    picture.save(tmp_path / "key.png", transparency=int(grey[3, 3]))
    assert (read_raster(tmp_path / "key.png").slices[0] == np.where(grey == grey[3, 3], 0, grey)).all()
    # 4 x 4, grey, Adam7: pixel (y, x) holds 16 y + x; the rows of its passes that are not empty
    rows = [[(0, 0)], [(0, 2)], [(2, 0), (2, 2)], [(0, 1), (0, 3)], [(2, 1), (2, 3)]]
    rows += [[(1, x) for x in range(4)], [(3, x) for x in range(4)]]
    body = zlib.compress(b"".join(b"\0" + bytes(16 * y + x for y, x in row) for row in rows))
    png(tmp_path / "laced.png", struct.pack(">IIBBBBB", 4, 4, 8, 0, 0, 0, 1), body)
    wanted = 16 * np.arange(4)[:, None] + np.arange(4)
    np.testing.assert_array_equal(read_raster(tmp_path / "laced.png").slices[0], wanted)


def test_facts_say_how_a_picture_was_coded(tmp_path: Path, grey: np.ndarray) -> None:
    for suffix, coding in {"png": "png", "jpg": "jpeg", "tif": "tiff", "bmp": "bmp"}.items():
        Image.fromarray(grey).save(tmp_path / f"x.{suffix}")
        (tmp_path / f"x.{suffix}").rename(tmp_path / "x")
        assert read_raster(tmp_path / "x").facts == ScanFacts(coding=coding, bits=8, channels=1)


@pytest.mark.parametrize("bits", [1, 4, 8, 24])
def test_a_bitmap_of_os2_states_its_depth_elsewhere(tmp_path: Path, bits: int) -> None:
    height, width = 3, 5
    row = (width * bits + 31) // 32 * 4
    colours = b"" if bits == 24 else b"".join(bytes([i * 255 // (2**bits - 1)] * 3) for i in range(2**bits))
    first = 26 + len(colours)
    head = struct.pack("<2sIHHI", b"BM", first + row * height, 0, 0, first)
    body = struct.pack("<IHHHH", 12, width, height, 1, bits) + colours
    (tmp_path / "x.bmp").write_bytes(head + body + bytes(row) + b"\xff" * row * (height - 1))
    scan = read_raster(tmp_path / "x.bmp")
    assert (scan.slices[0, :-1] == 255).all()
    assert (scan.slices[0, -1] == 0).all()  # the lowest row comes first
    assert scan.slices.shape == (1, height, width)
    assert (scan.facts.coding, scan.facts.bits) == ("bmp", min(bits, 8))


def test_a_table_on_body_mass_is_no_bitmap(tmp_path: Path, grey: np.ndarray) -> None:
    assert not is_raster(b"BMI,age,diagnosis\n21.5,63,tumour\n")
    Image.fromarray(grey).save(tmp_path / "x.bmp")
    assert is_raster((tmp_path / "x.bmp").read_bytes()[:18])


def test_a_channel_changes_nothing_where_there_is_one(tmp_path: Path, grey: np.ndarray) -> None:
    Image.fromarray(grey).save(tmp_path / "key.png", transparency=int(grey[3, 3]))
    Image.fromarray(grey).quantize(16).save(tmp_path / "palette.png")
    Image.fromarray(grey).save(tmp_path / "plain.tif")
    for path in tmp_path.iterdir():
        alone, chosen = read_raster(path), read_raster(path, channel=2)
        np.testing.assert_array_equal(chosen.slices, alone.slices)
        assert chosen.facts == alone.facts


def test_broken_bombs_and_stacks_are_refused_without_a_name(tmp_path: Path, grey: np.ndarray) -> None:
    buffer = io.BytesIO()
    Image.fromarray(grey).save(buffer, "PNG")
    (tmp_path / "doe-cut.png").write_bytes(buffer.getvalue()[:-200])
    (tmp_path / "doe-words.png").write_text("Doe Jane")
    Image.new("1", (20000, 20000)).save(tmp_path / "doe-bomb.png")
    Image.fromarray(grey).save(tmp_path / "doe-two.tif", save_all=True, append_images=[Image.fromarray(grey)])
    Image.fromarray(grey).save(tmp_path / "doe-film.png", save_all=True, append_images=[Image.fromarray(255 - grey)])
    wanted = {"cut": "unreadable", "words": "unreadable", "bomb": "too_many_pixels", "two": "several_pictures"}
    wanted["film"] = "several_pictures"
    for path in tmp_path.iterdir():
        error = refused(path)
        assert error.rule == wanted[path.stem.removeprefix("doe-")]
        assert "doe" not in str(error).lower()


def retagged(path: Path, **values: int) -> Path:
    """The TIFF with some tags of its first page overwritten, whatever they promise."""
    with tifffile.TiffFile(path, mode="r+") as file:
        for name, value in values.items():
            file.pages[0].tags[name].overwrite(value)
    return path


def test_tiffs_that_promise_or_inflate_too_much_are_refused(tmp_path: Path) -> None:
    deep = SEQUENCES.astype(np.uint16)
    options = {"photometric": "minisblack", "planarconfig": "contig"}
    path = tiff(tmp_path / "x.tif", deep, **options)
    assert refused(retagged(path, ImageWidth=60000, ImageLength=60000)).rule == "too_many_pixels"
    assert refused(retagged(path, ImageWidth=7000, ImageLength=7000), channel=0).rule == "too_many_pixels"
    assert refused(retagged(path, ImageWidth=500, ImageLength=400), channel=0).rule == "unreadable"
    tiled = tiff(tmp_path / "x.tif", deep, tile=(16, 16), **options)
    assert refused(retagged(tiled, TileWidth=2**17, TileLength=2**17), channel=0).rule == "too_many_pixels"
    zeros = np.zeros((4000, 4000, 6), np.uint16)
    bomb = tiff(tmp_path / "x.tif", zeros, compression="zlib", rowsperstrip=4000, **options)
    error = refused(retagged(bomb, ImageLength=10, ImageWidth=10, RowsPerStrip=10), channel=0)
    assert error.detail == "its strips inflate to more than the picture"
    cut = tiff(tmp_path / "x.tif", deep, rowsperstrip=4, **options)
    cut.write_bytes(cut.read_bytes()[:-100])
    assert refused(cut, channel=0).rule == "unreadable"


def test_samples_without_a_decoder_are_refused_and_not_dropped(tmp_path: Path) -> None:
    Image.fromarray(SEQUENCES[..., :3]).save(tmp_path / "x.tif", compression="tiff_lzw")
    np.testing.assert_array_equal(read_raster(tmp_path / "x.tif", channel=1).slices[0], SEQUENCES[..., 1])
    many = tiff(tmp_path / "y.tif", SEQUENCES, photometric="minisblack", planarconfig="contig")
    assert refused(retagged(many, Compression=5), channel=1).rule == "compression"


@pytest.mark.parametrize("kind", ["png", "palette", "jpg", "bmp", "tif", "lzw", "float", "planar", "deflate", "pages"])
def test_mutated_pictures_are_read_or_refused(tmp_path: Path, kind: str) -> None:
    path, small = tmp_path / "x", SEQUENCES[:12, :10]
    if kind in ("png", "jpg", "bmp", "tif"):
        Image.fromarray(small[..., 0]).save(path.with_suffix(f".{kind}"))
        path.with_suffix(f".{kind}").rename(path)
    elif kind == "palette":
        Image.fromarray(small[..., :3]).quantize(9).save(path, "PNG")
    elif kind == "lzw":
        Image.fromarray(small[..., :3]).save(path, "TIFF", compression="tiff_lzw")
    elif kind == "float":
        tiff(path, small.astype(np.float32), photometric="minisblack", planarconfig="contig")
    else:
        laid = np.moveaxis(small, -1, 0).astype(np.uint16)
        planar = {} if kind == "pages" else {"planarconfig": "separate"}
        tiff(path, laid, photometric="minisblack", compression="zlib" if kind == "deflate" else None, **planar)
    whole = path.read_bytes()
    rng = np.random.default_rng(11)
    rules = set()
    for seed in range(150):
        data = bytearray(whole)
        for at in rng.integers(0, len(data), rng.integers(1, 6)):
            data[at] = rng.integers(256)
        if seed % 4 == 0:
            del data[rng.integers(len(data)) :]
        path.write_bytes(data)
        try:
            assert read_raster(path, channel=seed % 2 or None).slices.ndim == 3
        except Unreadable as error:
            rules.add(error.rule)
    assert "unreadable" in rules


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
    assert b"tEXt" not in (tmp_path / "a.png").read_bytes()
    write_png(tmp_path / "w.png", grey, warning="shows a patient")
    np.testing.assert_array_equal(read_png(tmp_path / "w.png"), grey)
    with Image.open(tmp_path / "w.png") as picture:
        assert picture.info == {"Warning": "shows a patient"}
    with pytest.raises(ValueError, match="uint8"):
        write_png(tmp_path / "c.png", grey.astype(np.float32))


def test_all_253_are_read() -> None:
    pictures = [path for path in needs("brain_mri_253").rglob("*") if path.is_file()]
    assert len([read_raster(path) for path in pictures]) == 253


def test_stacked_sequences_are_read_one_at_a_time() -> None:
    """As published, the channels are pre-contrast, FLAIR, post-contrast; `lgg_flair` holds the FLAIR of others."""
    folder = needs("lgg_3channel") / "TCGA_CS_6666_20011109"
    pictures = [path for path in folder.glob("*.tif") if "mask" not in path.name]
    assert len(pictures) == 26
    for path in pictures:
        assert refused(path).rule == "not_grey"
        stored = tifffile.imread(path)
        for channel in range(3):
            scan = read_raster(path, channel=channel)
            np.testing.assert_array_equal(scan.slices[0], stored[..., channel])
        assert scan.facts == ScanFacts(coding="tiff", bits=8, channels=3)
    for path in folder.glob("*_mask.tif"):
        assert set(np.unique(read_mask(path))) <= {0, 1}


def test_where_flair_stands_for_the_missing_sequences_there_is_nothing_to_choose() -> None:
    folder = needs("lgg_3channel") / "TCGA_DU_7013_19860523"
    pictures = [path for path in folder.glob("*.tif") if "mask" not in path.name]
    assert pictures
    for path in pictures:
        np.testing.assert_array_equal(read_raster(path).slices, read_raster(path, channel=1).slices)
