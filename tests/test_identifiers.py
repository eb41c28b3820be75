"""Identifiers planted wherever a scan can carry text appear in no byte of what comes out, logs and errors included."""

import io
import json
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pydicom
import pytest
from PIL import Image, PngImagePlugin
from pydicom.datadict import DicomDictionary
from pydicom.dataset import Dataset

from pipeline.formats.dicom_write import write_series
from pipeline.scans.phantom import PhantomConfig, phantom

Command = Callable[..., "subprocess.CompletedProcess[str]"]

pytestmark = pytest.mark.slow

MARK = "QZPLANT"  # with a number behind it, short enough for every kind of text element
DAY = "19631122"  # a date is digits, and as good as a name
UID = "1.2.840.99.1963"
TEXT = {"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"}
# without these the file would be no MR slice any more, or not the one it is
NEEDED = {
    "Modality", "SOPClassUID", "PhotometricInterpretation", "PixelData", "ImageType", "PatientID", "SeriesInstanceUID",
    "SOPInstanceUID", "StudyInstanceUID", "LossyImageCompression", "SpecificCharacterSet", "BurnedInAnnotation",
    "RecognizableVisualFeatures",
}  # fmt: skip


def plant(path: Path) -> int:
    """Text in every element of the dictionary that takes text, in nested and private ones, and in the preamble."""
    data = pydicom.dcmread(path)
    n = 0
    nested = Dataset()
    for tag, (vr, _, _, _, keyword) in DicomDictionary.items():
        if not keyword or keyword in NEEDED or tag >> 16 in (0x0000, 0x0002, 0x0004, 0x0028, 0x7FE0):
            continue
        value = {"DA": DAY, "DT": f"{DAY}101010", "UI": f"{UID}.{n}"}.get(vr, f"{MARK}{n}" if vr in TEXT else None)
        if value is None or (keyword in data and vr not in TEXT | {"DA", "DT"}):
            continue
        n += 1
        setattr(data, keyword, value)
        setattr(nested, keyword, value)
    deeper = Dataset()
    deeper.PatientComments = f"{MARK}deep"
    nested.RequestAttributesSequence = [deeper]
    data.RequestAttributesSequence = [nested]
    block = data.private_block(0x0099, f"{MARK}creator", create=True)
    block.add_new(0x01, "LO", f"{MARK}private")
    block.add_new(0x02, "UN", f"{MARK}unknown".encode())
    block.add_new(0x03, "SQ", [deeper])
    data.PatientID = f"{MARK}id{path.parent.name}"
    data.preamble = f"{MARK}preamble".encode().ljust(128, b"\0")
    data.save_as(path)
    return n


def voxels(seed: int, *, tumour: bool) -> np.ndarray:
    config = PhantomConfig(slices=16, size=64, spacing_mm=(6.0, 3.0, 3.0))
    values = phantom(rng=np.random.default_rng(seed), tumour=tumour, config=config).voxels
    return np.clip(values / values.max() * 4000, 0, 4000).astype(np.uint16)


def write_nifti(path: Path, stack: np.ndarray) -> None:
    image = nib.Nifti1Image(stack.transpose(2, 1, 0)[::-1, ::-1], np.diag([3.0, 3.0, 6.0, 1.0]))
    for name in ("descrip", "aux_file", "intent_name", "db_name"):
        image.header[name] = f"{MARK}{name}"[:15].encode()
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", f"{MARK}extension".encode()))
    nib.save(image, path)


def write_pictures(folder: Path, stack: np.ndarray) -> None:
    for z, pixels in enumerate((stack // 16).astype(np.uint8)):
        text = PngImagePlugin.PngInfo()
        text.add_text("Author", f"{MARK}png")
        exif = Image.Exif()
        exif[0x013B] = f"{MARK}artist"
        image = Image.fromarray(pixels)
        image.save(folder / f"{MARK}-{z:02d}.png", pnginfo=text)
        image.rotate(1).save(folder / f"{MARK}-{z:02d}.jpg", exif=exif, comment=f"{MARK}comment".encode())
        image.rotate(2).save(folder / f"{MARK}-{z:02d}.tif", description=f"{MARK}description")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("planted") / "source"
    for i in range(12):
        diagnosis = ("yes", "no")[i % 2]
        folder = root / diagnosis / f"{MARK}{i}_{DAY}"
        folder.mkdir(parents=True)
        stack = voxels(i, tumour=i % 2 == 0)
        if i < 4:
            paths = write_series(folder, stack, spacing=(6.0, 3.0, 3.0), subject_id="X", sequence="FLAIR", uid_seed=i)
            for path in paths:
                assert plant(path) > 1000
            broken = bytearray(paths[3].read_bytes())
            (folder / f"{MARK}cut.dcm").write_bytes(broken[: len(broken) // 2])
            broken[-4000:] = b""
            paths[3].write_bytes(broken)
        elif i < 8:
            write_nifti(folder / f"{MARK}_FLAIR.nii.gz", stack)
            (folder / f"{MARK}_cut.nii").write_bytes(nib.load(folder / f"{MARK}_FLAIR.nii.gz").to_bytes()[:9000])
        else:
            write_pictures(folder, stack)
            (folder / f"{MARK}.png").write_bytes((folder / f"{MARK}-00.png").read_bytes()[:200])
            (folder / f"{MARK}.xyz").write_bytes(f"{MARK} unknown".encode())
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.comment = f"{MARK}zip".encode()
        archive.writestr(f"{MARK}/yes/{MARK}.png", (root / "yes" / f"{MARK}8_{DAY}" / f"{MARK}-05.jpg").read_bytes())
        archive.writestr(f"../{MARK}.png", b"climbs")
    (root / f"{MARK}.zip").write_bytes(buffer.getvalue())
    (root / f"{MARK}notes.txt").write_text(MARK)
    return root


def everything(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every file below a folder, by name, as its bytes; tables also as the text that their compression hides."""
    for path in sorted(folder.rglob("*")):
        yield path.relative_to(folder).as_posix(), path.name.encode()
        if path.is_file():
            yield path.relative_to(folder).as_posix(), path.read_bytes()
        if path.suffix == ".parquet":
            yield path.relative_to(folder).as_posix(), pd.read_parquet(path).to_csv().encode()


def leaks(done: "subprocess.CompletedProcess[str]", folder: Path, source: Path) -> list[str]:
    said = (done.stdout + done.stderr).replace(str(source), "")  # the caller's own word for the source
    places = [("what it said", said.encode()), *everything(folder)]
    return [f"{name}: {mark}" for name, data in places for mark in (MARK, DAY, UID) if mark.encode() in data]


@pytest.mark.parametrize("keyed", [False, True])
def test_an_ingest_leaks_nothing(
    keyed: bool, source: Path, tmp_path: Path, augment_mri: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "5e" * 32
    if keyed:
        monkeypatch.setenv("AUGMENT_MRI_KEY", key)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    done = augment_mri("ingest", source, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert leaks(done, tmp_path, source) == []
    assert not [name for name, data in everything(tmp_path) if key.encode() in data or bytes.fromhex(key) in data]
    manifest = pd.read_parquet(tmp_path / "out" / "manifest.parquet")
    assert {"dicom", "nifti", "raster"} == set(pd.read_parquet(tmp_path / "out" / "facts.parquet")["format"])
    assert manifest["subject"].str.fullmatch(r"subject-[0-9a-f]{16}" if keyed else r"subject-\d{4}").all()
    rules = set(pd.read_csv(tmp_path / "out" / "quarantine.csv")["rule"])
    assert {"unreadable", "unknown_format", "unsafe_path"} <= rules


def test_a_dry_run_says_nothing_that_identifies(source: Path, tmp_path: Path, augment_mri: Command) -> None:
    done = augment_mri("ingest", source, "--check")
    assert done.returncode == 0, done.stderr
    assert leaks(done, tmp_path, source) == []
    assert "slices read" in done.stdout


def test_a_whole_study_leaks_nothing(
    source: Path, tmp_path: Path, augment_mri: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    config = tmp_path / "study.toml"
    config.write_text("[split]\nfolds_drawn = 2\n")
    done = augment_mri("run", source, "--out", tmp_path / "run", "--preset", "smoke", "--config", config)
    assert done.returncode == 0, done.stderr
    assert leaks(done, tmp_path, source) == []
    assert json.loads((tmp_path / "run" / "summary.json").read_bytes())["data"]["subjects_known"]
