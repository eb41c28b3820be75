"""Opening a DICOM file and decoding one frame of it, in bounded memory: sizes are checked before anything grows."""

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset
from pydicom.encaps import generate_frames
from pydicom.filereader import read_dataset
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_modality_lut
from pydicom.pixels.utils import pixel_array
from pydicom.tag import Tag
from pydicom.uid import UID

from pipeline.formats.scan import Unreadable, native_order

DICOM_MARK: Final = b"DICM"  # bytes 128 to 131, after a preamble that may hold anything
MAX_SAMPLES: Final = 1 << 27  # in one file or scan: 512 x 512 x 512; rescaled to float32 that is half a gigabyte
MAX_INFLATED: Final = 2 * MAX_SAMPLES + (16 << 20)  # bytes of a deflated file: samples of 16 bits and a header
# how pixels may be coded, in a word (DICOM PS3.5 section 10, PS3.6 table A-1)
CODINGS: Final = {
    "1.2.840.10008.1.2": "implicit_little",
    "1.2.840.10008.1.2.1": "explicit_little",
    "1.2.840.10008.1.2.1.99": "deflated",
    "1.2.840.10008.1.2.2": "explicit_big",
    "1.2.840.10008.1.2.4.50": "jpeg_baseline",
    "1.2.840.10008.1.2.4.51": "jpeg_extended",
    "1.2.840.10008.1.2.4.57": "jpeg_lossless",
    "1.2.840.10008.1.2.4.70": "jpeg_lossless",
    "1.2.840.10008.1.2.4.80": "jpeg_ls",
    "1.2.840.10008.1.2.4.81": "jpeg_ls_lossy",
    "1.2.840.10008.1.2.4.90": "jpeg_2000",
    "1.2.840.10008.1.2.4.91": "jpeg_2000_lossy",
    "1.2.840.10008.1.2.4.201": "htj2k",
    "1.2.840.10008.1.2.4.202": "htj2k",
    "1.2.840.10008.1.2.4.203": "htj2k_lossy",
    "1.2.840.10008.1.2.5": "rle",
}
_DEFLATED: Final = "1.2.840.10008.1.2.1.99"
# markers that begin a frame header (ITU-T T.81 table B.1, ITU-T T.87 table C.1)
_JPEG_FRAMES: Final = (*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0), 0xF7)
_J2K_START: Final = b"\xff\x4f\xff\x51"  # SOC and SIZ (ITU-T T.800 annex A)


def open_dicom(path: Path, tags: Sequence[str | int] | None = None) -> FileDataset:
    """The elements of a file, or only those in `tags` and none of its pixels; the caller keeps pydicom quiet.

    Old exporters leave out the meta header: then it is filled in with how pydicom has read the file. Raises
    Unreadable `too_large_inflated`, `transfer_syntax`; whatever pydicom raises on a broken file.
    """
    with path.open("rb") as file:
        _refuse_bomb(file)
    wanted = None if tags is None else [Tag(tag) for tag in tags]
    data = pydicom.dcmread(path, force=True, stop_before_pixels=tags is not None, specific_tags=wanted)
    if "TransferSyntaxUID" not in data.file_meta:
        implicit, little = data.original_encoding
        names = {(True, True): "1.2.840.10008.1.2", (False, True): "1.2.840.10008.1.2.1"}
        data.file_meta.TransferSyntaxUID = UID(names.get((bool(implicit), bool(little)), "1.2.840.10008.1.2.2"))
    return data


def _refuse_bomb(file: BinaryIO) -> None:
    """pydicom inflates a deflated file whole, however large it becomes; here it is counted first, and thrown away."""
    file.seek(132 if file.read(132)[128:] == DICOM_MARK else 0)
    meta = read_dataset(file, False, True, stop_when=lambda tag, *_: tag >> 16 != 2)
    if str(meta.get("TransferSyntaxUID", "")) == _DEFLATED:
        inflater, n = zlib.decompressobj(-zlib.MAX_WBITS), 0
        rest = file.read()
        while rest and not inflater.eof:
            n += len(inflater.decompress(rest, 1 << 20))
            rest = inflater.unconsumed_tail
            if n > MAX_INFLATED:
                raise Unreadable("too_large_inflated", f"more than {MAX_INFLATED} bytes once inflated")


def coding_of(data: FileDataset) -> str:
    """The transfer syntax in a word; raises Unreadable `transfer_syntax` where no decoder here reads it."""
    syntax = UID(str(data.file_meta.TransferSyntaxUID))
    if syntax not in CODINGS or not get_decoder(syntax).is_available:
        raise Unreadable("transfer_syntax", "the pixels are coded as no decoder here reads; decompress the file")
    return CODINGS[syntax]


def require_size(*, rows: int, columns: int, frames: int) -> None:
    """Raises Unreadable `too_many_pixels` where a header states more samples than MAX_SAMPLES."""
    if not 0 < rows * columns * frames <= MAX_SAMPLES:
        detail = f"{rows} x {columns} pixels in {frames} frames are stated, at most {MAX_SAMPLES} samples"
        raise Unreadable("too_many_pixels", detail)


def decode(data: FileDataset) -> NDArray[Any]:
    """Stored values (F, H, W) of every frame, MONOCHROME1 turned bright on dark, before any rescale.

    Raises Unreadable `unreadable`, `too_many_pixels`, and whatever the decoders raise on broken pixels.
    """
    rows, columns, frames = int(data.Rows), int(data.Columns), int(data.get("NumberOfFrames") or 1)
    require_size(rows=rows, columns=columns, frames=frames)
    _check_stated_size(data, rows=rows, columns=columns, frames=frames)
    pixels = pixel_array(data)
    if pixels.size != frames * rows * columns:
        raise Unreadable("unreadable", f"pixels of shape {pixels.shape}, want {(frames, rows, columns)}")
    if data.get("PhotometricInterpretation") == "MONOCHROME1":
        top = (1 << int(data.BitsStored)) - 1
        # the brightest value becomes the darkest, and the other way round, without a wider copy
        pixels = ~pixels if data.PixelRepresentation else pixels.dtype.type(top) - pixels
    return native_order(pixels.reshape(frames, rows, columns))


def rescaled(pixels: NDArray[Any], stated: Dataset) -> NDArray[Any]:
    """Pixels by the slope and intercept, or the look-up table, that `stated` holds: float32, or untouched without.

    Modality LUT of PS3.3 C.11.1. Raises Unreadable `unreadable` where the values leave the numbers.
    """
    if stated.get("ModalityLUTSequence"):
        return np.asarray(apply_modality_lut(pixels, stated), np.float32)
    slope, intercept = float(stated.get("RescaleSlope") or 1), float(stated.get("RescaleIntercept") or 0)
    if (slope, intercept) == (1.0, 0.0):
        return pixels
    values = (pixels * slope + intercept).astype(np.float32)
    if not np.isfinite(values).all():
        raise Unreadable("unreadable", "the rescaled pixels are no numbers")
    return values


def _check_stated_size(data: FileDataset, *, rows: int, columns: int, frames: int) -> None:
    """A decoder trusts the size in its stream, so a small file may ask for gigabytes: it must be the header's."""
    syntax = UID(str(data.file_meta.TransferSyntaxUID))
    if not syntax.is_encapsulated:
        want, held = rows * columns * frames * int(data.BitsAllocated) // 8, len(data.get("PixelData") or b"")
        if "PixelData" in data and held < want:
            raise Unreadable("unreadable", f"{held} bytes of pixels, the header states {want}")
    elif CODINGS.get(syntax) != "rle":  # its segments unpack to at most 64 times their bytes
        offsets = data.get("ExtendedOffsetTable"), data.get("ExtendedOffsetTableLengths")
        extended = (offsets[0], offsets[1]) if offsets[0] and offsets[1] else None
        for stream in generate_frames(data.PixelData, number_of_frames=frames, extended_offsets=extended):
            stated = stream_size(stream)
            if stated != (rows, columns):
                raise Unreadable("unreadable", f"the pixel stream is of {stated}, the header of {(rows, columns)}")


def stream_size(stream: bytes) -> tuple[int, int] | None:
    """Rows and columns that a one-channel JPEG, JPEG-LS or JPEG 2000 stream states; None where it does not."""
    start = stream.find(_J2K_START, 0, 1024)  # a few signature boxes may stand before it
    if start >= 0 and len(stream) >= start + 42:
        right, bottom, left, top = struct.unpack_from(">4I", stream, start + 8)
        (channels,) = struct.unpack_from(">H", stream, start + 40)
        return (bottom - top, right - left) if channels == 1 else None
    at = 2 if stream[:2] == b"\xff\xd8" else len(stream)
    while at + 10 <= len(stream) and stream[at] == 0xFF:
        marker = stream[at + 1]
        if marker in _JPEG_FRAMES:
            rows, columns, channels = struct.unpack_from(">HHB", stream, at + 5)
            return (rows, columns) if channels == 1 else None
        at += 1 if marker == 0xFF else 2 + struct.unpack_from(">H", stream, at + 2)[0]  # 0xFF fills
    return None
