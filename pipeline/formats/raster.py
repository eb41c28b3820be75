"""PNG, JPEG, TIFF and BMP: single grey slices in, single grey slices out. The content decides, not the extension."""

import warnings
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from pipeline.formats.scan import Scan, Unreadable, native_order, quiet

# summed difference of the channels over summed brightness: tinted photographs of films reach 0.14,
# three sequences stacked as red, green and blue start at 0.6 (measured on brain_mri_253 and lgg_3channel)
MAX_COLOUR: Final = 0.3
MAX_PIXELS: Final = 50_000_000  # a slice is a thousandth of this; more is a decompression bomb
_FORMATS: Final = ("PNG", "JPEG", "TIFF", "BMP")
_GREY: Final = ("1", "L", "I", "F", "I;16", "I;16L", "I;16B", "I;16N")


def is_raster(head: bytes) -> bool:
    """Whether a file that starts with `head` (at least 8 bytes) is one of the formats read here."""
    return head.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"BM"))


def read_raster(path: Path) -> Scan:
    """Read one picture of any colour mode as grey: a Scan of slices (1, H, W), turned upright as its EXIF says.

    8-bit pictures give uint8, deeper ones their own dtype. Transparency is laid over black. Raises Unreadable:
    `unreadable` (broken or cut short), `too_many_pixels`, `several_pictures`, `not_grey`.
    """
    return Scan(slices=_grey(_decode(path))[None])


def read_mask(path: Path) -> NDArray[np.uint8]:
    """Read a mask picture as uint8 (H, W) in {0, 1}; raises Unreadable as `read_raster` does.

    Small whole numbers are labels, of which every one but 0 counts; otherwise everything brighter than half the
    maximum counts, so that the soft edges of a JPEG stay outside.
    """
    values = _grey(_decode(path))
    peak = values.max(initial=0)
    marked: NDArray[np.uint8] = (values > (0 if peak <= 10 else peak / 2)).astype(np.uint8)
    return marked


def _decode(path: Path) -> Image.Image:
    try:
        with quiet(), warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=_FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise Unreadable("too_many_pixels", f"{image.width} x {image.height}, at most {MAX_PIXELS}")
                # an MPO is a JPEG with previews behind it, of which the first picture is the whole
                if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":
                    raise Unreadable("several_pictures", "a picture file with more than one frame")
                image.load()
                return ImageOps.exif_transpose(image)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise Unreadable("too_many_pixels", f"more than {MAX_PIXELS}") from None
    except Unreadable:
        raise
    # Pillow's decoders raise whatever a broken file makes them stumble over
    except Exception:
        raise Unreadable("unreadable", "the picture is broken or cut short") from None


def _grey(image: Image.Image) -> NDArray[Any]:
    """Brightness (H, W); raises Unreadable `not_grey` where the channels are more than a tint apart."""
    if image.mode in _GREY:
        values = np.asarray(image.convert("L") if image.mode == "1" else image)
        return native_order(values)
    layers = np.asarray(image.convert("RGBA"), dtype=np.float32)
    colour, opacity = layers[..., :3] * (layers[..., 3:] / 255), layers[..., 3]
    brightness = colour.mean(axis=-1)
    measured = float(np.ptp(colour, axis=-1).sum() / max(float(brightness.sum()), 1.0))
    if measured > MAX_COLOUR:
        raise Unreadable("not_grey", f"channels differ by {measured:.2f} of the brightness, at most {MAX_COLOUR}")
    if measured == 0 and (opacity == 255).all():
        return layers[..., 0].astype(np.uint8)  # exactly grey: keep the stored values
    grey: NDArray[np.uint8] = np.rint(brightness).astype(np.uint8)
    return grey


def to_uint8(images: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Images of any shape in [-1, 1] to uint8, -1 to 0 and 1 to 255; values outside are clipped."""
    pixels: NDArray[np.uint8] = np.rint((np.clip(images, -1.0, 1.0) + 1.0) * 127.5).astype(np.uint8)
    return pixels


def from_uint8(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The inverse of `to_uint8`: uint8 of any shape to float32 in [-1, 1]."""
    return images.astype(np.float32) / np.float32(127.5) - np.float32(1.0)


def write_png(path: Path, image: NDArray[np.uint8]) -> None:
    """Write uint8 (H, W) as a grey PNG; the same pixels give the same bytes (no time, no text in the file)."""
    if image.dtype != np.uint8 or image.ndim != 2:
        raise ValueError(f"want uint8 (H, W), got {image.dtype} {image.shape}")
    Image.fromarray(image).save(path, format="PNG", compress_level=6)


def read_png(path: Path) -> NDArray[np.uint8]:
    """Read a grey PNG that `write_png` wrote, uint8 (H, W); raises Unreadable where it is anything else."""
    pixels: NDArray[np.uint8] = read_raster(path).slices[0]
    if pixels.dtype != np.uint8:
        raise Unreadable("unreadable", f"{pixels.dtype} pixels, want 8 bits")
    return pixels
