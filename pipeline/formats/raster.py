"""PNG, JPEG, TIFF and BMP: single grey slices in, single grey slices out. The content decides, not the extension.

Pillow decodes what it decodes exactly; tifffile the TIFFs that Pillow cannot (TIFF 6.0: more than four samples a
pixel, 16-bit colour, floats of several samples, inverted 16-bit grey).
"""

import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo
from tifffile import PHOTOMETRIC, TiffFile, TiffPage

from pipeline.formats.scan import Note, Scan, ScanFacts, Unreadable, native_order, quiet

# summed difference of the channels over summed brightness: tinted photographs of films reach 0.14,
# three sequences stacked as red, green and blue start at 0.6 (measured on brain_mri_253 and lgg_3channel)
MAX_COLOUR: Final = 0.3
MAX_PIXELS: Final = 50_000_000  # a slice is a thousandth of this; more is a decompression bomb
MAX_BYTES: Final = 8 * MAX_PIXELS  # of all samples of a TIFF that tifffile decodes
MAX_PAGES: Final = 10_000
_FORMATS: Final = ("PNG", "JPEG", "TIFF", "BMP")
_PNG_SAMPLES: Final = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type, the byte after the depth
_BMP_HEADERS: Final = (12, 16, 40, 52, 56, 64, 108, 124)  # bytes of every header, the first two of OS/2
_TIFF: Final = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_GREY: Final = ("L", "I", "F", "I;16", "I;16L", "I;16B", "I;16N")
_AS_STORED: Final = (*_GREY, "RGB", "CMYK", "LA", "RGBA")  # modes whose samples Pillow gives as they are
# what tifffile decodes by itself; others would inflate a bomb whole, or need packages that are not here
_FLAT: Final = (PHOTOMETRIC.MINISWHITE, PHOTOMETRIC.MINISBLACK, PHOTOMETRIC.RGB)
# bits and sample format (1 unsigned, 2 signed, 3 float) that Pillow reads whole; uint32 would overflow in it
_DEEP: Final = ((12, 1), (16, 1), (16, 2), (32, 2), (32, 3))
_STORED, _DEFLATE = (1,), (8, 32946)
_BLOCK: Final = 2**16  # pixels whose brightness is taken at a time
# how a picture lies: turned so often by a quarter counter-clockwise after being mirrored (TIFF 6.0, Orientation)
_UPRIGHT: Final = {2: (True, 0), 3: (False, 2), 4: (True, 2), 5: (True, 1), 6: (False, 3), 7: (True, 3), 8: (False, 1)}


@dataclass(frozen=True)
class _Picture:
    """Decoded samples (H, W, C) as stored, upright; opacity (H, W) in [0, 1] or None.

    channels: of the file, which are its pages where there are several.
    """

    samples: NDArray[Any]
    opacity: NDArray[Any] | None
    coding: str
    bits: int | None
    channels: int
    notes: tuple[Note, ...] = ()


def is_raster(head: bytes) -> bool:
    """Whether a file that starts with `head` (at least 18 bytes) is one of the formats read here."""
    if head.startswith(b"BM"):  # which a table on the body mass index does too
        return int.from_bytes(head[14:18], "little") in _BMP_HEADERS
    return head.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", *_TIFF))


def read_raster(path: Path, *, channel: int | None = None) -> Scan:
    """Read one picture of any colour mode as grey: a Scan of slices (1, H, W), turned upright as its EXIF says.

    Without `channel`, colours are averaged and transparency is laid over black. With it, that sample of a pixel is
    taken as it is stored, counted from 0 (of RGB or RGBA, of CMYK, of any number in a TIFF, interleaved or planar), or
    that page where a file has several of one size; a file of one sample a pixel has nothing to choose. 8-bit pictures
    give uint8, deeper ones their own dtype; Pillow cuts 16-bit PNGs of more than one sample to 8 bits, which the Note
    `depth_reduced` says. facts.channels counts samples a pixel, or pages; facts.bits is None where a header lies.

    Raises Unreadable: `unreadable` (broken or cut short), `too_many_pixels`, `compression` (of a TIFF, no decoder),
    `several_pictures` (pages), `not_grey` (channels more than a tint apart), `no_such_channel`.
    """
    picture = _decode(path, channel)
    if channel is not None and picture.samples.shape[-1] == picture.channels > 1:
        pixels = np.ascontiguousarray(picture.samples[..., channel])
    else:
        pixels = _grey(picture)
    facts = ScanFacts(coding=picture.coding, bits=picture.bits, channels=picture.channels)
    return Scan(slices=pixels[None], facts=facts, notes=picture.notes)


def read_mask(path: Path) -> NDArray[np.uint8]:
    """Read a mask picture as uint8 (H, W) in {0, 1}; raises Unreadable as `read_raster` does.

    Small whole numbers are labels, of which every one but 0 counts; otherwise everything brighter than half the
    maximum counts, so that the soft edges of a JPEG stay outside.
    """
    values = read_raster(path).slices[0]
    peak = values.max(initial=0)
    marked: NDArray[np.uint8] = (values > (0 if peak <= 10 else peak / 2)).astype(np.uint8)
    return marked


def _decode(path: Path, channel: int | None) -> _Picture:
    try:
        with quiet(), warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with path.open("rb") as file:
                head = file.read(32)
            if not is_raster(head):
                raise Unreadable("unreadable", "the file is not PNG, JPEG, TIFF or BMP")
            if head.startswith(_TIFF):
                return _decode_tiff(path, channel)
            with _opened(path) as image:
                # an MPO is a JPEG with previews behind it, of which the first picture is the whole
                if image.format != "MPO" and getattr(image, "n_frames", 1) > 1:
                    raise Unreadable("several_pictures", "a moving picture; save its frames one by one")
                coding = "jpeg" if image.format == "MPO" else str(image.format).lower()
                stored = _PNG_SAMPLES.get(head[25], 0) if coding == "png" else len(image.getbands())
                wanted = _chosen(channel, stored)
                return _samples(image, coding, _bits(coding, head), stored, stored=wanted is not None)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise Unreadable("too_many_pixels", f"more than {MAX_PIXELS}") from None
    except (Unreadable, MemoryError):
        raise
    # the decoders raise whatever a broken file makes them stumble over
    except Exception:
        raise Unreadable("unreadable", "the picture is broken or cut short") from None


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    # by its file and not by its name: Pillow 13.0 maps a named plain TIFF to memory and then forgets that one lying on
    # its side (orientation 5 to 8) has other rows than the upright picture
    with path.open("rb") as file, Image.open(file, formats=_FORMATS) as image:
        _require_pixels(image.width, image.height)
        yield image


def _require_pixels(width: int, height: int) -> None:
    if min(width, height) < 1:
        raise Unreadable("unreadable", "a picture without pixels")
    if width * height > MAX_PIXELS:
        raise Unreadable("too_many_pixels", f"{width} x {height}, at most {MAX_PIXELS}")


def _chosen(channel: int | None, channels: int) -> int | None:
    """The channel to take, None where the file has but one; raises Unreadable `no_such_channel`."""
    if channels == 1:
        return None
    if channel is not None and not 0 <= channel < channels:
        raise Unreadable("no_such_channel", f"channel {channel}, the file has {channels}, counted from 0")
    return channel


def _bits(coding: str, head: bytes) -> int | None:
    """Bits of a stored sample: PNG says so in its first chunk, BMP by the pixel, JPEGs that are read have 8."""
    if coding == "bmp":
        at = 24 if head[14] == _BMP_HEADERS[0] else 28
        return min(8, int.from_bytes(head[at : at + 2], "little")) or None
    return head[24] if coding == "png" else 8


def _reduced(picture: _Picture) -> _Picture:
    """The picture, with a note where its samples have fewer bits than the file."""
    read = 8 * picture.samples.dtype.itemsize
    if picture.bits is None or picture.bits <= read:
        return picture
    return replace(picture, notes=(Note("depth_reduced", f"{picture.bits} bits a sample in the file, {read} read"),))


def _samples(image: Image.Image, coding: str, bits: int | None, channels: int, *, stored: bool) -> _Picture:
    """Pillow's image, decoded and upright; `stored`: with the samples of the file, else as colours and opacity."""
    image.load()
    image = ImageOps.exif_transpose(image)
    if image.mode == "RGBA" and channels == 2:
        image = image.convert("LA")  # how Pillow gives deep grey with alpha
    elif image.mode == "1":
        image = image.convert("L")
    elif image.mode in ("YCbCr", "LAB") or (image.mode == "CMYK" and not stored):
        image = image.convert("RGB")
    elif image.mode not in _AS_STORED or (image.has_transparency_data and image.mode in ("L", "RGB") and not stored):
        image = image.convert("RGBA")
    values = native_order(np.asarray(image))
    values = values[..., None] if values.ndim == 2 else values
    opacity = values[..., -1] / np.float32(255) if image.mode in ("LA", "RGBA") else None
    return _reduced(_Picture(values, opacity, coding, bits, channels))


def _decode_tiff(path: Path, channel: int | None) -> _Picture:
    with TiffFile(path) as tiff:
        pages = len(tiff.pages)
        if pages > MAX_PAGES:
            raise Unreadable("several_pictures", f"{pages} pages, at most {MAX_PAGES}")
        page = _whole_page(tiff, 0)
        if pages > 1 and channel is None:
            raise Unreadable("several_pictures", f"{pages} pages; choose one with --channel")
        if pages > 1 and any(tiff.pages.get(n).shape != page.shape for n in range(pages)):
            raise Unreadable("several_pictures", f"{pages} pages of different sizes; save them as single pictures")
        channels = pages if pages > 1 else page.samplesperpixel
        wanted = _chosen(channel, channels)
        number = (wanted or 0) if pages > 1 else 0
        picture = _decode_page(path, _whole_page(tiff, number), number, stored=pages == 1 and wanted is not None)
    if pages > 1 and picture.samples.shape[-1] > 1:  # a page is the channel, and must be grey by itself
        picture = replace(picture, samples=_grey(picture)[..., None], opacity=None)
    return replace(picture, channels=channels)


def _whole_page(tiff: TiffFile, number: int) -> TiffPage:
    page = tiff.pages.get(number)
    if not isinstance(page, TiffPage) or page.imagedepth != 1:
        raise Unreadable("unreadable", "a TIFF page that is no flat picture")
    _require_pixels(page.imagewidth, page.imagelength)
    _require_pixels(max(page.tilewidth, 1), max(page.tilelength, 1))  # decoders reserve a tile at once
    return page


def _decode_page(path: Path, page: TiffPage, number: int, *, stored: bool) -> _Picture:
    """One page, by Pillow where it gives the samples as they are, else by tifffile, else by Pillow cut to 8 bits."""
    colour = page.samplesperpixel > 1
    unsigned, kind = page.sampleformat == 1, page.photometric
    if page.bitspersample <= 8:
        exact = unsigned and not (colour and kind in _FLAT[:2]) and 0 not in page.extrasamples
    else:
        exact = not colour and kind == PHOTOMETRIC.MINISBLACK and (page.bitspersample, page.sampleformat) in _DEEP
    if not exact and kind in _FLAT and page.compression in (*_STORED, *_DEFLATE):
        return _decode_exactly(path, page)
    if page.samplesperpixel not in (1, 3, 4) or 0 in page.extrasamples:  # Pillow would drop a sample
        raise Unreadable("compression", "no decoder for these samples when compressed so; save it uncompressed")
    with _opened(path) as image:
        image.seek(number)
        return _samples(image, "tiff", page.bitspersample, page.samplesperpixel, stored=stored)


def _decode_exactly(path: Path, page: TiffPage) -> _Picture:
    _require_segments(path, page)
    values = native_order(np.asarray(page.asarray()))
    values = {"YX": lambda: values[..., None], "SYX": lambda: np.moveaxis(values, 0, -1), "YXS": lambda: values}[
        page.axes
    ]()
    if values.dtype.kind not in "buif" or values.shape != (page.imagelength, page.imagewidth, page.samplesperpixel):
        raise Unreadable("unreadable", "samples are not single numbers, or not as many as promised")
    if values.dtype.kind == "b":
        values = values.astype(np.uint8)
    full = 1.0 if values.dtype.kind == "f" else float(2**page.bitspersample - 1)
    if page.photometric == PHOTOMETRIC.MINISWHITE:
        values = values.dtype.type(full) - values if values.dtype.kind == "u" else -values
    mirrored, turns = _UPRIGHT.get(page.tags.valueof(274, 1), (False, 0))
    values = np.rot90(values[:, ::-1] if mirrored else values, turns)
    opacity = values[..., -1] / np.float32(full) if page.extrasamples and page.extrasamples[-1] in (1, 2) else None
    if values.dtype.itemsize > 4 or values.dtype == np.float16:  # scanners fill no more than float32 holds
        values = values.astype(np.float32)
    return _Picture(values, opacity, "tiff", page.bitspersample, page.samplesperpixel)


def _require_segments(path: Path, page: TiffPage) -> None:
    """Raise unless the strips or tiles are all there and inflate to no more than the picture: tifffile asks neither."""
    promised = page.imagewidth * page.imagelength * page.samplesperpixel * max(1, page.bitspersample // 8)
    tile = max(page.tilewidth, 1) * max(page.tilelength, 1) * page.samplesperpixel * max(1, page.bitspersample // 8)
    if max(promised, tile) > MAX_BYTES:
        raise Unreadable("too_many_pixels", f"{promised} bytes of samples, at most {MAX_BYTES}")
    size, inflated = path.stat().st_size, 0
    with path.open("rb") as file:
        for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
            if count < 1 or offset + count > size:
                raise Unreadable("unreadable", "the picture is broken or cut short")
            if page.compression in _DEFLATE:
                file.seek(offset)
                # tiles stick out over the edge, so up to twice the picture is honest in each direction
                inflated += len(zlib.decompressobj().decompress(file.read(count), 4 * promised + tile - inflated + 1))
            if inflated > 4 * promised + tile:
                raise Unreadable("too_many_pixels", "its strips inflate to more than the picture")


def _grey(picture: _Picture) -> NDArray[Any]:
    """Brightness (H, W); raises Unreadable `not_grey` where the channels are more than a tint apart."""
    samples, opacity = picture.samples, picture.opacity
    colours = samples if opacity is None else samples[..., :-1]
    if opacity is None and all((colours[..., 0] == colours[..., c]).all() for c in range(1, colours.shape[-1])):
        return np.ascontiguousarray(colours[..., 0])
    height, width, channels = colours.shape
    flat, clear = colours.reshape(-1, channels), None if opacity is None else opacity.reshape(-1)
    grey = np.empty(len(flat), samples.dtype)
    apart = bright = 0.0
    for start in range(0, len(flat), _BLOCK):  # a picture at the limit would take gigabytes as floats
        block = flat[start : start + _BLOCK].T.astype(np.float64)
        if clear is not None:
            block *= clear[start : start + _BLOCK]
        mean = block.sum(axis=0) / channels
        apart, bright = apart + float(np.ptp(block, axis=0).sum()), bright + float(np.abs(mean).sum())
        grey[start : start + _BLOCK] = np.rint(mean) if grey.dtype.kind in "ui" else mean
    measured = apart / bright if bright > 0 else 0.0
    if not measured <= MAX_COLOUR:
        detail = f"{channels} channels differ by {measured:.2f} of the brightness, at most {MAX_COLOUR}"
        raise Unreadable("not_grey", f"{detail}; choose one with --channel")
    return grey.reshape(height, width)


def to_uint8(images: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Images of any shape in [-1, 1] to uint8, -1 to 0 and 1 to 255; values outside are clipped."""
    pixels: NDArray[np.uint8] = np.rint((np.clip(images, -1.0, 1.0) + 1.0) * 127.5).astype(np.uint8)
    return pixels


def from_uint8(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The inverse of `to_uint8`: uint8 of any shape to float32 in [-1, 1]."""
    return images.astype(np.float32) / np.float32(127.5) - np.float32(1.0)


def write_png(path: Path, image: NDArray[np.uint8], *, warning: str = "", compressed: bool = True) -> None:
    """Write uint8 (H, W) as a grey PNG; the same pixels give the same bytes (no time in the file).

    warning: what whoever opens the file must know of its content, Latin-1, as the tEXt chunk of that keyword (PNG,
    third edition, 11.3.3.1); none where it is empty. compressed: else all pictures of one size have files of one
    length, which so tells nothing of the content.
    """
    if image.dtype != np.uint8 or image.ndim != 2:
        raise ValueError(f"want uint8 (H, W), got {image.dtype} {image.shape}")
    text = PngInfo()
    if warning:
        text.add_text("Warning", warning)
    Image.fromarray(image).save(path, format="PNG", compress_level=6 if compressed else 0, pnginfo=text)


def read_png(path: Path) -> NDArray[np.uint8]:
    """Read a grey PNG that `write_png` wrote, uint8 (H, W); raises Unreadable where it is anything else."""
    pixels: NDArray[np.uint8] = read_raster(path).slices[0]
    if pixels.dtype != np.uint8:
        raise Unreadable("unreadable", f"{pixels.dtype} pixels, want 8 bits")
    return pixels
