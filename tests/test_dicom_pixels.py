"""DICOM pixels: every coding gives the same values, and no file takes more memory or time than its header may ask."""

import io
import resource
import shutil
import struct
import subprocess
import time
import zlib
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLSLossless,
    RLELossless,
)

from pipeline.formats.dicom import order_series, read_header, read_pixels
from pipeline.formats.dicom_pixels import CODINGS, MAX_INFLATED, stream_size
from pipeline.formats.dicom_write import write_series
from pipeline.formats.scan import Unreadable

COMPRESSED = (RLELossless, JPEG2000Lossless, JPEGLSLossless)


@pytest.fixture
def voxels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 4000, (2, 40, 48), dtype=np.uint16)


@pytest.fixture
def series(tmp_path: Path, voxels: np.ndarray) -> list[Path]:
    return write_series(tmp_path / "a", voxels, spacing=(5.0, 0.9, 0.9), subject_id="s", sequence="T2", uid_seed=1)


def recoded(path: Path, syntax: str) -> Path:
    """A copy of an uncompressed file beside it in another transfer syntax, its pixels unchanged."""
    data = pydicom.dcmread(path)
    copy = path.with_name(f"recoded-{path.name}")
    if syntax in COMPRESSED:
        data.compress(syntax, generate_instance_uid=False)
        data.save_as(copy)
        return copy
    little = syntax != ExplicitVRBigEndian
    if not little:
        data.PixelData = data.pixel_array.astype(">u2").tobytes()
    data.file_meta.TransferSyntaxUID = syntax
    pydicom.dcmwrite(copy, data, implicit_vr=syntax == ImplicitVRLittleEndian, little_endian=little)
    return copy


def with_stream(path: Path, stream: bytes, syntax: str, **elements: object) -> Path:
    """The file with a compressed stream for its pixels."""
    data = pydicom.dcmread(path)
    data.file_meta.TransferSyntaxUID = syntax
    data.PixelData = encapsulate([stream])
    data["PixelData"].VR = "OB"
    for name, value in elements.items():
        setattr(data, name, value)
    data.save_as(path)
    return path


@pytest.mark.parametrize(
    ("syntax", "coding"),
    [
        (ExplicitVRLittleEndian, "explicit_little"),
        (ImplicitVRLittleEndian, "implicit_little"),
        (ExplicitVRBigEndian, "explicit_big"),
        (DeflatedExplicitVRLittleEndian, "deflated"),
        (RLELossless, "rle"),
        (JPEG2000Lossless, "jpeg_2000"),
        (JPEGLSLossless, "jpeg_ls"),
    ],
)
def test_transfer_syntax_does_not_matter(series: list[Path], voxels: np.ndarray, syntax: str, coding: str) -> None:
    headers = [read_header(recoded(path, syntax)) for path in series]
    np.testing.assert_array_equal([read_pixels(header) for header in headers], voxels)
    assert {header.facts.coding for header in headers} == {coding}


@pytest.mark.parametrize("syntax", [JPEGBaseline8Bit, JPEGExtended12Bit])
def test_eight_bit_jpeg_is_read_to_its_losses(series: list[Path], syntax: str) -> None:
    ramp = np.add.outer(np.arange(40), np.arange(48)).astype(np.uint8) * 2
    stream = io.BytesIO()
    Image.fromarray(ramp).save(stream, "JPEG", quality=95)
    path = with_stream(series[0], stream.getvalue(), syntax, BitsAllocated=8, BitsStored=8, HighBit=7)
    assert np.abs(read_pixels(read_header(path)).astype(int) - ramp).max() <= 4


@pytest.mark.skipif(shutil.which("dcmcjpeg") is None, reason="needs dcmcjpeg of Debian's dcmtk")
@pytest.mark.parametrize(
    ("option", "coding", "loss"),
    [("+ee", "jpeg_extended", 40), ("+el", "jpeg_lossless", 0), ("+e1", "jpeg_lossless", 0)],
)
def test_twelve_bit_jpeg_of_another_program_is_read(series: list[Path], option: str, coding: str, loss: int) -> None:
    ramp = np.add.outer(np.arange(40), np.arange(48)).astype(np.uint16) * 45
    data = pydicom.dcmread(series[0])
    data.PixelData, data.BitsStored, data.HighBit = ramp.tobytes(), 12, 11
    data.save_as(series[0])
    out = series[0].with_name("jpeg.dcm")
    command = ["dcmcjpeg", option, str(series[0]), str(out)]
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603 (a fixed program on the test's own file)
    header = read_header(out)
    assert header.facts.coding == coding
    assert np.abs(read_pixels(header).astype(int) - ramp).max() <= loss


def test_every_coding_named_has_a_decoder_here(series: list[Path]) -> None:
    """The stream is no stream, so the pixels are refused; the transfer syntax is not."""
    for syntax in CODINGS:
        if pydicom.uid.UID(syntax).is_encapsulated:
            path = with_stream(series[0], b"no stream at all", syntax)
            assert read_header(path).facts.coding == CODINGS[syntax]
            with pytest.raises(Unreadable, match="unreadable: "):
                read_pixels(read_header(path))


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.4.100", "1.2.3", "1.2.840.10008.1.2.4.52"])
def test_other_codings_are_refused_by_name_of_the_rule(series: list[Path], syntax: str) -> None:
    with pytest.raises(Unreadable, match="transfer_syntax: "):
        read_header(with_stream(series[0], b"no stream at all", syntax))


def test_a_stream_of_another_size_than_the_header_is_not_decoded(series: list[Path]) -> None:
    """A JPEG 2000 stream of 30,000 by 30,000 pixels would take 3.6 GB before the decoder finds its data missing."""
    path = recoded(series[0], JPEG2000Lossless)
    content = path.read_bytes()
    at = content.index(b"\xff\x4f\xff\x51") + 8
    path.write_bytes(content[:at] + struct.pack(">2I", 30000, 30000) + content[at + 8 :])
    with pytest.raises(Unreadable, match=r"\(30000, 30000\), the header of \(40, 48\)"):
        read_pixels(read_header(path))


def test_stream_size_is_the_pictures(series: list[Path]) -> None:
    for kind, options in (
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("JPEG2000", {"no_jp2": True}),
        ("JPEG2000", {}),
    ):
        for mode, size in (("L", (31, 17)), ("RGB", None)):
            stream = io.BytesIO()
            Image.new(mode, (17, 31)).save(stream, kind, **options)
            assert stream_size(stream.getvalue()) == size
            for cut in range(0, 60, 7):  # nothing but a size or None, wherever it ends
                assert stream_size(stream.getvalue()[:cut]) in (None, size)
    for loop in (b"\xff\xd8" + b"\xff\xe0\0\0" * 9, b"\xff\xd8" + b"\xff" * 99, b""):
        assert stream_size(loop) is None


def test_a_deflated_bomb_is_counted_before_it_is_inflated(series: list[Path]) -> None:
    path = recoded(series[0], DeflatedExplicitVRLittleEndian)
    content = path.read_bytes()
    meta = content[: 132 + 12 + struct.unpack_from("<I", content, 140)[0]]
    inflated = zlib.decompress(content[len(meta) :], -zlib.MAX_WBITS)
    packer = zlib.compressobj(1, wbits=-zlib.MAX_WBITS)
    private = inflated.index(struct.pack("<HH", 0x7FE0, 0x0010))  # one long private element before the pixels
    long = struct.pack("<HH2sHI", 0x7FDF, 0x1010, b"OB", 0, MAX_INFLATED)
    bomb = packer.compress(inflated[:private] + long)
    block = bytes(1 << 22)
    bomb += b"".join(packer.compress(block) for _ in range(MAX_INFLATED // len(block) + 1)) + packer.flush()
    path.write_bytes(meta + bomb)
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    with pytest.raises(Unreadable, match="too_large_inflated: "):
        read_header(path)
    assert time.monotonic() - start < 10
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10  # kilobytes


def mutated(content: bytes, rng: np.random.Generator) -> bytes:
    """Some bytes changed, mostly in the header; now and then the end cut off."""
    changed = bytearray(content)
    for _ in range(int(rng.integers(1, 8))):
        changed[int(rng.integers(128, min(len(changed), 2500)))] = int(rng.integers(256))
    return bytes(changed[: int(rng.integers(len(changed)))] if rng.random() < 0.2 else changed)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, *COMPRESSED])
def test_mutated_files_are_read_or_refused_in_good_time(series: list[Path], syntax: str) -> None:
    content, rng = recoded(series[0], syntax).read_bytes(), np.random.default_rng(0)
    path = series[0].with_name("mutated")
    outcomes = set()
    start = time.monotonic()
    for _ in range(60):
        path.write_bytes(mutated(content, rng))
        try:
            headers, _ = order_series([read_header(path)])
            assert read_pixels(headers[0]).ndim == 2
            outcomes.add("read")
        except Unreadable as error:
            outcomes.add(error.rule)
    assert {"read", "unreadable"} <= outcomes
    assert time.monotonic() - start < 10
