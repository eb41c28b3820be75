"""No planted identifier comes through: files are written byte by byte, so that any text can stand in any element."""

import io
import struct
from collections.abc import Callable, Iterator
from datetime import date, datetime
from pathlib import Path

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom.datadict import DicomDictionary
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, EnhancedMRImageStorage, ExplicitVRLittleEndian, JPEGBaseline8Bit, MRImageStorage

from pipeline.formats.scan import Unreadable
from pipeline.scans.deidentify import Pseudonyms
from pipeline.scans.dicom_deidentify import deidentify, write_deidentified
from pipeline.scans.dicom_profile import SEQUENCES, STORAGE

KEY, OTHER = bytes(range(32)), bytes(range(1, 33))
MARK = b"ZQXJ"  # begins every planted text, and is in no file of this program
SIZE = (16, 12)
LONG = frozenset(("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"))
# elements without which the file is no MR image, and the one whose mere presence is refused
NEEDED = frozenset((*STORAGE, "SOPClassUID", "PixelData", "ModalityLUTSequence"))

Build = Callable[..., Dataset]


@pytest.fixture
def image() -> Build:
    """A small classic MR image of known pixels; keyword arguments replace or add elements."""

    def build(**elements: object) -> Dataset:
        data = Dataset()
        data.file_meta = FileMetaDataset()
        data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        data.SOPClassUID, data.PatientID = MRImageStorage, "Doe-4711"
        data.StudyInstanceUID, data.SeriesInstanceUID, data.SOPInstanceUID = "1.2.1", "1.2.2", "1.2.3"
        data.Rows, data.Columns = SIZE
        data.SamplesPerPixel, data.PhotometricInterpretation, data.PixelRepresentation = 1, "MONOCHROME2", 0
        data.BitsAllocated, data.BitsStored, data.HighBit = 16, 12, 11
        data.PixelData = pixels().tobytes()
        for keyword, value in elements.items():
            setattr(data, keyword, value)
        return data

    return build


def pixels() -> NDArray[np.uint16]:
    return np.random.default_rng(0).integers(0, 4096, SIZE).astype("<u2")


def planted(tag: int) -> bytes:
    """A text of its own for each element; letters alone, as in a name."""
    return MARK + bytes(65 + (tag >> shift) % 16 for shift in range(0, 32, 4)) + b"zqxj"


def element(tag: int, vr: str, value: bytes) -> bytes:
    """One element in explicit little endian (PS3.5, 7.1.2)."""
    value += b" " * (len(value) % 2)
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + vr.encode()
    return head + (struct.pack("<HI", 0, len(value)) if vr in LONG else struct.pack("<H", len(value))) + value


def item(content: bytes) -> bytes:
    return struct.pack("<HHI", 0xFFFE, 0xE000, len(content)) + content


def texts(inside: bytes) -> dict[int, bytes]:
    """Every element of pydicom's dictionary with a planted text, and a private block.

    `inside` goes into those sequences that may stay, and one planted element into all others.
    """
    found: dict[int, bytes] = {}
    for tag, (vr, _, _, _, keyword) in DicomDictionary.items():
        if tag >> 16 in {0x0000, 0x0002, 0xFFFE} or keyword in NEEDED:
            continue
        first = vr.split()[0]
        deeper = inside if keyword in SEQUENCES and inside else element(0x00080104, "LO", planted(tag))
        found[tag] = element(tag, first, item(deeper) if first == "SQ" else planted(tag))
    for group in (0x0009, 0x0029, 0x6001):
        block = group << 16
        found[block | 0x10] = element(block | 0x10, "LO", planted(block))
        found[block | 0x1001] = element(block | 0x1001, "UN", planted(block | 1))
        found[block | 0x1002] = element(block | 0x1002, "SQ", item(element(block | 0x10, "LO", planted(block | 2))))
    found[0x60000022] = element(0x60000022, "LO", planted(0x60000022))  # of an overlay
    found[0x60003000] = element(0x60003000, "OB", planted(0x60003000))
    found[0x50003000] = element(0x50003000, "OB", planted(0x50003000))  # of a curve
    return found


def planted_file() -> bytes:
    """An MR image with planted text in the preamble, the meta header, every element two sequences deep, and behind."""
    plain = b"".join(value for _, value in sorted(texts(b"").items()))
    nested = b"".join(value for _, value in sorted(texts(plain).items()))
    everything = texts(b"") | {0x52009229: element(0x52009229, "SQ", item(nested))}
    numbers = {"SamplesPerPixel": 1, "Rows": SIZE[0], "Columns": SIZE[1], "BitsAllocated": 16, "BitsStored": 12}
    for keyword, value in (numbers | {"HighBit": 11, "PixelRepresentation": 0}).items():
        tag = pydicom.datadict.tag_for_keyword(keyword)
        everything[tag] = element(tag, "US", struct.pack("<H", value))
    everything[0x00280004] = element(0x00280004, "CS", b"MONOCHROME2")
    everything[0x00080016] = element(0x00080016, "UI", MRImageStorage.encode() + b"\0")
    above = pixels() | (np.frombuffer(b"ZQXJ" * 96, "<u2").reshape(SIZE) & 0xF000)  # in bits that are not stored
    everything[0x7FE00010] = element(0x7FE00010, "OW", above.tobytes() + planted(0x7FE00010))
    meta = element(0x00020010, "UI", ExplicitVRLittleEndian.encode() + b"\0")
    for tag, vr in ((0x00020013, "SH"), (0x00020016, "AE"), (0x00020100, "UI"), (0x00020102, "OB")):
        meta += element(tag, vr, planted(tag))
    length = element(0x00020000, "UL", struct.pack("<I", len(meta)))
    dataset = b"".join(value for _, value in sorted(everything.items()))
    return MARK * 32 + b"DICM" + length + meta + dataset + element(0xFFFCFFFC, "OB", planted(0xFFFCFFFC))


def all_elements(data: Dataset) -> Iterator[pydicom.DataElement]:
    yield from data.iterall()
    yield from data.file_meta


def test_no_planted_text_comes_through(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    source = planted_file()
    assert source.count(MARK) > 90_000
    (tmp_path / f"{MARK.decode()}.dcm").write_bytes(source)
    out = tmp_path / "out.dcm"
    write_deidentified(tmp_path / f"{MARK.decode()}.dcm", out, Pseudonyms(KEY))
    written = out.read_bytes()
    assert MARK.lower() not in written.lower()
    # of each planted text also the middle, which is its own, in case that the bytes have moved
    pieces = {source[i + 4 : i + 12] for i in range(132, len(source)) if source.startswith(MARK, i)}
    assert not any(piece in written for piece in pieces)
    assert written[:132] == bytes(128) + b"DICM"
    data = pydicom.dcmread(out)
    assert np.array_equal(data.pixel_array, pixels())
    assert not any(entry.tag.is_private for entry in all_elements(data))
    assert "ZQXJ" not in "".join(capfd.readouterr())


def test_text_that_is_a_number_or_lies_about_its_kind_is_dropped(tmp_path: Path, image: Build) -> None:
    base = image()
    base.save_as(tmp_path / "base.dcm", enforce_file_format=True)
    plain = (tmp_path / "base.dcm").read_bytes()
    at = plain.index(struct.pack("<HH", 0x0028, 0x0002))
    lies = (
        element(0x00180080, "LT", b"400 ms, Jane")
        + element(0x00180081, "DS", b"4711081599")
        + element(0x00181310, "US", b"JaneRoe1")
        + element(0x00200032, "UT", b"1\\2\\Roe")
        + element(0x00200052, "LO", b"Roe")
    )
    (tmp_path / "in.dcm").write_bytes(plain[:at] + lies + plain[at:])
    assert pydicom.dcmread(tmp_path / "in.dcm").EchoTime == 4711081599
    write_deidentified(tmp_path / "in.dcm", tmp_path / "out.dcm", Pseudonyms(KEY))
    written = (tmp_path / "out.dcm").read_bytes()
    assert not any(text in written for text in (b"Jane", b"Roe", b"4711"))
    kept = pydicom.dcmread(tmp_path / "out.dcm")
    assert not {"RepetitionTime", "EchoTime", "AcquisitionMatrix", "ImagePositionPatient"} & set(kept.dir())


@pytest.mark.parametrize("text", [b"JANEROE!", b"janeroe ", b"19960909", b"00000000"])
def test_no_letters_or_digits_pass_as_a_binary_number(image: Build, text: bytes) -> None:
    echo = Dataset()
    echo.EffectiveEchoTime = struct.unpack("<d", text)[0]
    group = Dataset()
    group.MREchoSequence = [echo]
    data = image(SharedFunctionalGroupsSequence=[group], AcquisitionMatrix=list(struct.unpack("<4H", text)))
    safe = deidentify(data, pseudonyms=Pseudonyms(KEY))
    assert "AcquisitionMatrix" not in safe
    kept = safe.SharedFunctionalGroupsSequence[0].MREchoSequence
    assert not len(kept[0]) or kept[0].EffectiveEchoTime == 0


def test_a_comment_in_a_jpeg_stream_is_gone(tmp_path: Path, image: Build) -> None:
    grey = Image.fromarray((pixels() >> 4).astype(np.uint8))
    stream = io.BytesIO()
    grey.save(stream, "JPEG", comment=MARK * 4, quality=95)
    assert MARK in stream.getvalue()
    data = image(BitsAllocated=8, BitsStored=8, HighBit=7, LossyImageCompression="01")
    data.PixelData = encapsulate([stream.getvalue()])
    data["PixelData"].VR = "OB"
    data.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    data.save_as(tmp_path / "in.dcm", enforce_file_format=True)
    write_deidentified(tmp_path / "in.dcm", tmp_path / "out.dcm", Pseudonyms(KEY))
    assert MARK not in (tmp_path / "out.dcm").read_bytes()
    kept = pydicom.dcmread(tmp_path / "out.dcm")
    assert kept.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert kept.LossyImageCompression == "01"
    assert np.array_equal(kept.pixel_array, data.pixel_array)


def test_signed_pixels_and_frames_stay_as_they_are(image: Build) -> None:
    stack = np.random.default_rng(1).integers(-2048, 2048, (3, *SIZE)).astype("<i2")
    data = image(NumberOfFrames=3, PixelRepresentation=1, PixelData=stack.tobytes())
    safe = deidentify(data, pseudonyms=Pseudonyms(KEY))
    assert np.array_equal(safe.pixel_array, stack)
    assert np.array_equal(data.pixel_array, stack), "what was given is left as it is"


def test_grey_values_that_run_from_white_to_black_stay_so(image: Build) -> None:
    safe = deidentify(image(PhotometricInterpretation="MONOCHROME1"), pseudonyms=Pseudonyms(KEY))
    assert safe.PhotometricInterpretation == "MONOCHROME1"
    assert np.array_equal(safe.pixel_array, pixels())


def test_geometry_and_acquisition_stay(image: Build) -> None:
    measures, group, frame, position = Dataset(), Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = [0.82031251, 0.82031251], 5
    group.PixelMeasuresSequence = [measures]
    position.ImagePositionPatient = [-81.599998, -130, 1e-12]
    frame.PlanePositionSequence = [position]
    given = {
        "SOPClassUID": EnhancedMRImageStorage, "ImageType": ["ORIGINAL", "PRIMARY", "JANE ROE", "NORM"],
        "MagneticFieldStrength": 1.5, "EchoTime": "14.000008", "ScanningSequence": ["SE", "IR"],
        "Manufacturer": "SIEMENS, for Jane Roe", "SeriesDescription": "Roe ax FLAIR 4711", "ContrastBolusAgent": "Roe",
        "SharedFunctionalGroupsSequence": [group], "PerFrameFunctionalGroupsSequence": [frame, Dataset()],
    }  # fmt: skip
    safe = deidentify(image(**given), pseudonyms=Pseudonyms(KEY))
    assert safe.ImageType == ["ORIGINAL", "PRIMARY", "NORM"]
    assert (safe.MagneticFieldStrength, safe.EchoTime, safe.ScanningSequence) == (1.5, 14.000008, ["SE", "IR"])
    assert (safe.Manufacturer, safe.SeriesDescription, safe.ContrastBolusAgent) == ("SIEMENS", "FLAIR", "YES")
    kept = safe.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    assert (kept.PixelSpacing, kept.SliceThickness) == ([0.82031251, 0.82031251], 5)
    first, second = safe.PerFrameFunctionalGroupsSequence
    assert first.PlanePositionSequence[0].ImagePositionPatient == [-81.599998, -130, 0]
    assert len(second) == 0, "a frame that says nothing is still a frame"


def test_dates_keep_their_intervals_within_a_subject_only(image: Build) -> None:
    def days(name: str, key: bytes) -> list[date]:
        data = image(PatientID=name, StudyDate="19960909", ContentDate="19970102")
        data["SeriesDate"] = pydicom.DataElement("SeriesDate", "DA", "19961331", validation_mode=pydicom.config.IGNORE)
        data.AcquisitionDateTime, data.StudyTime = "19960909134501.5", "134501"
        safe = deidentify(data, pseudonyms=Pseudonyms(key))
        assert safe.LongitudinalTemporalInformationModified == "MODIFIED"
        assert "SeriesDate" not in safe
        assert "134501" not in str(safe)
        shown = (safe.StudyDate, safe.AcquisitionDateTime, safe.ContentDate)
        return [datetime.strptime(text, "%Y%m%d").date() for text in shown]

    doe, roe = days("Doe", KEY), days("Roe", KEY)
    for study, acquisition, content in (doe, roe):
        assert study == acquisition < date(1996, 9, 9)
        assert (content - study).days == 115
    assert doe != roe
    assert doe == days("doe ", KEY)
    assert doe != days("Doe", OTHER)


def test_the_same_key_gives_the_same_bytes_and_another_key_other_names(tmp_path: Path, image: Build) -> None:
    image(FrameOfReferenceUID="1.2.4").save_as(tmp_path / "in.dcm", enforce_file_format=True)
    for name, key in (("a", KEY), ("b", KEY), ("c", OTHER)):
        write_deidentified(tmp_path / "in.dcm", tmp_path / name, Pseudonyms(key))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    mine, other = (pydicom.dcmread(tmp_path / name) for name in ("a", "c"))
    assert mine.PatientID == mine.PatientName == Pseudonyms(KEY).subject("Doe-4711")
    assert mine.file_meta.MediaStorageSOPInstanceUID == mine.SOPInstanceUID == Pseudonyms(KEY).uid("1.2.3")
    for keyword in ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID"):
        assert mine[keyword].value != other[keyword].value
        assert mine[keyword].value not in {"Doe-4711", "1.2.1", "1.2.2", "1.2.3", "1.2.4"}


def test_the_file_says_how_it_was_de_identified(image: Build) -> None:
    dated = deidentify(image(StudyDate="19960909"), pseudonyms=Pseudonyms(KEY))
    assert dated.PatientIdentityRemoved == "YES"
    assert [code.CodeValue for code in dated.DeidentificationMethodCodeSequence] == ["113100", "113107"]
    undated = deidentify(image(), pseudonyms=Pseudonyms(KEY))
    assert [code.CodeValue for code in undated.DeidentificationMethodCodeSequence] == ["113100"]
    assert undated.LongitudinalTemporalInformationModified == "REMOVED"


def test_without_an_id_the_study_is_the_patient(image: Build) -> None:
    names = [
        deidentify(image(PatientID="", StudyInstanceUID=study), pseudonyms=Pseudonyms(KEY)).PatientID
        for study in ("1.2.1", "1.2.1", "1.2.9")
    ]
    assert names[0] == names[1] != names[2]


@pytest.mark.parametrize(
    ("elements", "rule"),
    [
        ({"BurnedInAnnotation": "YES"}, "burned_in_annotation"),
        ({"RecognizableVisualFeatures": "YES"}, "burned_in_annotation"),
        ({"SOPClassUID": UID("1.2.840.10008.5.1.4.1.1.2")}, "wrong_modality"),
        ({"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3}, "not_grey"),
        ({"Rows": 65535, "Columns": 65535}, "too_many_pixels"),
        ({"PixelData": b"\0" * 8}, "unreadable"),
        ({"BitsStored": 12, "HighBit": 15}, "unreadable"),
        ({"SOPInstanceUID": ""}, "unreadable"),
        ({"ModalityLUTSequence": [Dataset()]}, "unreadable"),
    ],
)
def test_what_cannot_be_made_safe_is_refused(
    tmp_path: Path, image: Build, elements: dict[str, object], rule: str
) -> None:
    image(**elements).save_as(tmp_path / "in.dcm", implicit_vr=False, little_endian=True)
    with pytest.raises(Unreadable) as refused:
        write_deidentified(tmp_path / "in.dcm", tmp_path / "out.dcm", Pseudonyms(KEY))
    assert refused.value.rule == rule
    assert refused.value.__cause__ is None
    assert [path.name for path in tmp_path.iterdir()] == ["in.dcm"]


def test_an_object_without_pixels_and_a_file_that_is_no_dicom_are_refused(tmp_path: Path, image: Build) -> None:
    data = image()
    del data.PixelData
    with pytest.raises(Unreadable, match="no_pixels"):
        deidentify(data, pseudonyms=Pseudonyms(KEY))
    (tmp_path / "x").write_bytes(b"Jane Roe" * 100)
    with pytest.raises(Unreadable, match=r"wrong_modality|unreadable"):
        write_deidentified(tmp_path / "x", tmp_path / "y", Pseudonyms(KEY))


def test_real_scans_keep_their_pixels_and_lose_their_names(shared_data: Path, tmp_path: Path) -> None:
    files = [
        shared_data / "dicom" / "enhanced_mr_brain_tumour" / "BRTUM001",
        shared_data / "dicom" / "philips_mprage" / "1301_0041.dcm",
        *sorted((shared_data / "dicom" / "siemens_t1_sag").rglob("*.dcm"))[:1],
        *(p for p in sorted((shared_data / "dicom" / "transfer_syntaxes").iterdir()) if p.is_file()),
    ]
    for file in files:
        write_deidentified(file, tmp_path / "out.dcm", Pseudonyms(KEY))
        before, after = pydicom.dcmread(file), pydicom.dcmread(tmp_path / "out.dcm")
        assert np.array_equal(before.pixel_array, after.pixel_array)
        written = (tmp_path / "out.dcm").read_bytes()
        for keyword in ("PatientName", "PatientID", "StudyInstanceUID", "SOPInstanceUID", "InstitutionName"):
            text = str(before.get(keyword) or "")
            assert len(text) < 4 or text.encode() not in written
