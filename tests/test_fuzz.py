"""Ten thousand broken files: none stops an ingest, hangs it, fills the memory or writes where it must not."""

import gzip
import io
import os
import re
import struct
import tarfile
import threading
import time
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pydicom
import pytest
from PIL import Image
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless

from pipeline.formats.dicom_write import write_series
from pipeline.formats.nifti import write_volume
from pipeline.run_dir import RunDir
from pipeline.scans.deidentify import file_record
from pipeline.scans.ingest import ingest
from pipeline.scans.inputs import IngestConfig
from pipeline.scans.phantom import PhantomConfig, phantom
from pipeline.scans.sources import kind_of, list_source

pytestmark = pytest.mark.slow

FILES = 10_000
SUBJECTS = 20  # mutants of one head are alike, which within a known subject is nothing to be listed
SIZE = 48


def sound_files(folder: Path, rng: np.random.Generator, *, tumour: bool) -> dict[str, bytes]:
    """One head in every format, name to bytes."""
    config = PhantomConfig(slices=3, size=SIZE, spacing_mm=(5.0, 4.0, 4.0))
    voxels = phantom(rng=rng, tumour=tumour, config=config).voxels
    voxels = np.clip(voxels / voxels.max() * 4000, 0, 4000).astype(np.uint16)
    grey = (voxels[1] // 16).astype(np.uint8)
    files: dict[str, bytes] = {}
    [path] = write_series(folder, voxels[1:2], spacing=(5, 4, 4), subject_id="X", sequence="FLAIR", uid_seed=1)
    files["explicit.dcm"] = path.read_bytes()
    for name, syntax in (("rle", RLELossless), ("jls", JPEGLSLossless), ("j2k", JPEG2000Lossless)):
        data = pydicom.dcmread(path)
        data.compress(syntax)
        data.save_as(folder / name)
        files[f"{name}.dcm"] = (folder / name).read_bytes()
    data = pydicom.dcmread(path)
    data.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    data.save_as(folder / "deflated")
    files["deflated.dcm"] = (folder / "deflated").read_bytes()
    for name in ("volume.nii", "volume.nii.gz"):
        write_volume(folder / name, voxels, (5.0, 4.0, 4.0))
        files[name] = (folder / name).read_bytes()
    for name, picture, kind in (
        ("grey.png", grey, "PNG"),
        ("deep.png", voxels[1], "PNG"),
        ("grey.jpg", grey, "JPEG"),
        ("colour.jpg", np.stack([grey] * 3, axis=-1), "JPEG"),
        ("grey.tif", grey, "TIFF"),
    ):
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, kind)
        files[name] = buffer.getvalue()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inside.png", files["grey.png"])
        archive.writestr("inside.nii", files["volume.nii"])
    files["some.zip"] = buffer.getvalue()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        _add(tar, "inside.png", files["grey.png"])
    files["some.tar.gz"] = buffer.getvalue()
    return files


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))


def mutant(data: bytes, rng: np.random.Generator) -> bytes:
    """The file with one kind of damage: bytes flipped, cut short, zeroed, grown, or a header that lies."""
    raw = bytearray(data)
    at = int(rng.integers(len(raw)))
    kind = rng.integers(5)
    if kind == 0:
        for i in rng.integers(len(raw), size=rng.integers(1, 30)):
            raw[i] ^= 1 << int(rng.integers(8))
    elif kind == 1:
        del raw[at:]
    elif kind == 2:
        raw[at : at + 64] = bytes(min(64, len(raw) - at))
    elif kind == 3:
        raw[at:at] = rng.bytes(int(rng.integers(1, 200)))
    else:
        at = int(rng.integers(min(len(raw) - 8, 1500)))  # where the sizes and types of all these formats stand
        lie = struct.pack("<I", int(rng.choice([0, 0x7FFFFFFF, 0xFFFFFFFF, 0xFFFF, 0x10000001])))
        width = int(rng.choice([2, 4]))
        raw[at : at + width] = lie[:width]
    return bytes(raw)


def hostile_files() -> dict[str, bytes]:
    """Bombs, and names that point elsewhere."""
    chunk = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    header = b"IHDR" + chunk
    png = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    pixels = b"IDAT" + zlib.compress(bytes(60_000 * 1000), 9)
    png += struct.pack(">I", len(pixels) - 4) + pixels + struct.pack(">I", zlib.crc32(pixels))
    nifti = bytearray(352)
    nifti[0:4], nifti[344:348] = struct.pack("<i", 348), b"n+1\0"
    nifti[40:56] = struct.pack("<8h", 3, 2000, 2000, 2000, 1, 1, 1, 1)
    nifti[70:74], nifti[108:112] = struct.pack("<2h", 16, 32), struct.pack("<f", 352.0)
    nifti[280:328] = np.eye(4, dtype="<f4")[:3].tobytes()
    zeros = bytes(1 << 28)
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        for i in range(20):
            archive.writestr(f"{i}.png", zeros)
    climbing = io.BytesIO()
    with zipfile.ZipFile(climbing, "w") as archive:
        for name in ("../../evil.png", "/tmp/evil.png", "..\\..\\evil.png", "C:\\evil.png", "ok/../../evil.png"):  # noqa: S108 - the attack
            archive.writestr(name, b"evil")
    tarred = io.BytesIO()
    with tarfile.open(fileobj=tarred, mode="w") as tar:
        _add(tar, "../evil.png", b"evil")
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE):
            member = tarfile.TarInfo("evil.png")
            member.type, member.linkname = kind, "/etc/passwd"
            tar.addfile(member)
    return {
        "bomb.png": png,
        "bomb.nii.gz": gzip.compress(bytes(nifti) + zeros),
        "bomb.zip": bomb.getvalue(),
        "climbing.zip": climbing.getvalue(),
        "climbing.tar": tarred.getvalue(),
    }


def dicomdir(folder: Path) -> None:
    """A DICOMDIR that points out of its folder."""
    data = pydicom.Dataset()
    data.file_meta = pydicom.dataset.FileMetaDataset()
    data.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = pydicom.uid.MediaStorageDirectoryStorage
    data.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    record = pydicom.Dataset()
    record.DirectoryRecordType = "IMAGE"
    pointing = pydicom.DataElement(
        "ReferencedFileID", "CS", ["..", "..", "EVIL"], validation_mode=pydicom.config.IGNORE
    )
    record.add(pointing)
    data.DirectoryRecordSequence = [record]
    data.save_as(folder / "DICOMDIR", enforce_file_format=True)
    (folder / "DICOMDIR").replace(folder / "evil_dicomdir.dcm")  # so that it is opened, not passed over by its name
    data.save_as(folder / "DICOMDIR", enforce_file_format=True)


@contextmanager
def watched() -> Iterator[list[int]]:
    """Collects the most memory, in bytes, that any process of this one's family has held."""
    peaks, stop = [0], threading.Event()

    def look() -> None:
        while not stop.wait(0.2):
            for status in Path("/proc").glob("[0-9]*/status"):
                try:
                    facts = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
                    mine = "forkserver" in status.with_name("cmdline").read_text() or facts["Pid"].strip() == own
                    peaks[0] = max(peaks[0], 1024 * int(facts["VmHWM"].split()[0])) if mine else peaks[0]
                except (OSError, KeyError):
                    continue  # it has ended meanwhile

    own = str(os.getpid())
    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield peaks
    finally:
        stop.set()
        thread.join()


def test_ten_thousand_broken_files_stop_nothing(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    source = tmp_path / "somewhere" / "deep" / "source"
    written = 0
    for subject in range(SUBJECTS):
        folder = source / ("yes", "no")[subject % 2] / f"s{subject}"
        folder.mkdir(parents=True)
        (tmp_path / "sound").mkdir(exist_ok=True)
        sound = list(sound_files(tmp_path / "sound", rng, tumour=subject % 2 == 0).items())
        for i in range(FILES // SUBJECTS):
            name, data = sound[i % len(sound)]
            (folder / f"{i}-{name}").write_bytes(mutant(data, rng))
            written += 1
    for name, data in hostile_files().items():
        (folder / name).write_bytes(data)
    dicomdir(folder)
    before = set(tmp_path.rglob("*"))
    out, start = RunDir(tmp_path / "out"), time.monotonic()
    config = IngestConfig(window=(0.0, 1.0), match_position=False)
    with watched() as peaks:
        record = ingest(source=source, out=out, config=config, seed=0)
    assert written == FILES
    assert record.files_found >= FILES
    assert peaks[0] < 2 << 30
    slowest = (time.monotonic() - start) / record.files_found
    print(f"{1000 * slowest:.1f} ms a file, peak {peaks[0] >> 20} MB")  # noqa: T201 - shown where the test is run by hand
    outside = set(tmp_path.rglob("*")) - before
    assert all(path.is_relative_to(out.root) for path in outside)
    assert not [path for path in tmp_path.rglob("*") if "evil" in path.name and path not in before]
    manifest, quarantine = pd.read_parquet(out.manifest), pd.read_csv(out.quarantine)
    assert not list(Path("/tmp").glob("evil*"))  # noqa: S108 - where one archive points
    records = {re.match(r"file-\d+", name)[0] for name in [*manifest["slice_id"], *quarantine["record"]]}
    assert len(manifest) > FILES / 10  # many wounds are not deadly
    # a slice of a series is counted below the series' first file; every other file has a row of its own
    listed = list_source(source, scratch=tmp_path / "again").candidates
    alone = {file_record(i) for i, one in enumerate(listed, start=1) if one.refused or kind_of(one.path) != "dicom"}
    assert len(alone) > FILES / 2
    assert alone <= records
    rules = quarantine["rule"].value_counts()
    assert {"unreadable", "too_many_pixels", "unsafe_path", "not_a_file", "too_large"} <= set(rules.index)
    assert rules.get("took_too_long", 0) == 0
    assert not out.scratch.exists()
