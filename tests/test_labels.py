"""Which diagnosis a slice gets, by which rule, and when it gets none."""

from pathlib import Path, PurePosixPath

import pytest
from pydantic import ValidationError

from data_contracts.manifest import LABEL_RULES, LEFT_OUT, QUARANTINED
from pipeline.scans.candidates import Declared
from pipeline.scans.labels import Label, LabelConfig, Unlabelled, label
from pipeline.scans.sources import SourceFile

AUTO = LabelConfig(dicom_attribute="StudyDescription", tumour="glio", no_tumour="unauff|normal")


def file(relative: str = "x/1.png", kind: str = "raster", declared: Declared | None = None) -> SourceFile:
    path = PurePosixPath(relative)
    return SourceFile(record="file-0001", path=Path("/in") / path, relative=path, kind=kind, declared=declared)


def told(
    source: SourceFile, *, pixels: int | None = None, text: str | None = None, config: LabelConfig = AUTO
) -> Label | Unlabelled:
    return label(file=source, raw_attribute=text, tumour_pixels=pixels, config=config)


def rules(found: Label | Unlabelled) -> tuple[str, str]:
    return (found.diagnosis, found.rule) if isinstance(found, Label) else (found.outcome, found.rule)


TABLE = Declared("manifest", diagnosis="no_tumour")


def test_auto_asks_mask_then_table_then_folder_then_header() -> None:
    everything = file("no/1.png")
    assert rules(told(everything, pixels=500, text="glioma")) == ("tumour", "mask")
    assert rules(told(file("yes/1.png", declared=TABLE), text="glioma")) == ("no_tumour", "manifest")
    assert rules(told(file("no/1.png"), text="glioma")) == ("no_tumour", "folder")
    assert rules(told(file(), text="V.a. Glioblastom")) == ("tumour", "dicom")
    assert rules(told(file(), text=None)) == (QUARANTINED, "no_diagnosis")


@pytest.mark.parametrize(
    ("layout", "wanted"),
    [
        ("classes", ("tumour", "folder")),
        ("masks", ("no_tumour", "mask")),
        ("manifest", ("no_tumour", "mask")),
        ("bids", ("no_tumour", "mask")),
        ("dicom", ("tumour", "dicom")),
    ],
)
def test_a_layout_asks_only_what_it_names(layout: str, wanted: tuple[str, str]) -> None:
    config = AUTO.model_copy(update={"layout": layout})
    assert rules(told(file("yes/1.png"), pixels=0, text="glioma", config=config)) == wanted
    nothing = file("x/1.png") if layout != "dicom" else file("yes/1.png")
    assert rules(told(nothing, config=config)) == (QUARANTINED, "no_diagnosis")
    assert wanted[1] in LABEL_RULES


@pytest.mark.parametrize(
    ("pixels", "wanted"),
    [
        (0, ("no_tumour", "mask")),
        (1, (LEFT_OUT, "ambiguous_mask")),
        (99, (LEFT_OUT, "ambiguous_mask")),
        (100, ("tumour", "mask")),
    ],
)
def test_small_masks_are_ambiguous(pixels: int, wanted: tuple[str, str]) -> None:
    found = told(file("yes/1.png"), pixels=pixels)
    assert rules(found) == wanted
    if isinstance(found, Unlabelled):
        assert str(pixels) in found.detail
        assert "100" in found.detail


@pytest.mark.parametrize(
    ("rule", "kind", "says", "pixels", "wanted"),
    [
        # a row of one picture speaks of that picture
        ("manifest", "raster", "no_tumour", 500, "contradictory_label"),
        ("manifest", "raster", "tumour", 0, "contradictory_label"),
        ("manifest", "raster", "tumour", 500, "mask"),
        # a volume or a patient with a tumour has slices without
        ("manifest", "nifti", "tumour", 0, "mask"),
        ("participants", "raster", "tumour", 0, "mask"),
        ("participants", "nifti", "tumour", 0, "mask"),
        # and one without a tumour has none with
        ("manifest", "nifti", "no_tumour", 500, "contradictory_label"),
        ("participants", "nifti", "no_tumour", 500, "contradictory_label"),
        ("manifest", "raster", "no_tumour", 50, "ambiguous_mask"),
    ],
)
def test_a_table_against_a_mask(rule: str, kind: str, says: str, pixels: int, wanted: str) -> None:
    found = told(file(kind=kind, declared=Declared(rule, diagnosis=says)), pixels=pixels)
    assert found.rule == wanted


def test_a_folder_may_speak_of_the_patient_and_gives_way_to_the_mask() -> None:
    assert told(file("yes/1.png"), pixels=0) == Label("no_tumour", "mask")
    against = told(file("no/1.png"), pixels=500)
    assert isinstance(against, Label)
    assert (against.diagnosis, against.review is not None) == ("tumour", True)
    assert against.review[0] == "mask_against_folder"


@pytest.mark.parametrize(
    ("source", "review"),
    [
        (file("yes/1.nii", "nifti"), True),
        (file("yes/1", "dicom"), True),
        (file("yes/1.png"), False),
        (file("no/1.nii", "nifti"), False),
        (file(declared=Declared("participants", diagnosis="tumour")), True),
        (file(declared=Declared("manifest", diagnosis="tumour")), False),
        (file(kind="nifti", declared=Declared("manifest", diagnosis="tumour")), True),
    ],
)
def test_a_tumour_of_a_patient_is_not_one_of_each_slice(source: SourceFile, review: bool) -> None:
    found = told(source)
    assert isinstance(found, Label)
    assert (found.review is not None and found.review[0] == "label_of_patient") == review


def test_text_of_a_header() -> None:
    source = file(kind="dicom")
    assert rules(told(source, text="Kopf: UNAUFFÄLLIG")) == ("no_tumour", "dicom")
    assert rules(told(source, text="DOE^JANE")) == (QUARANTINED, "unknown_attribute")
    assert rules(told(source, text="normal, kein Gliom")) == (QUARANTINED, "contradictory_label")
    words = LabelConfig(dicom_attribute="StudyDescription")
    assert rules(told(source, text=" Glioma ", config=words)) == ("tumour", "dicom")
    assert rules(told(source, text="no glioma", config=words)) == (QUARANTINED, "unknown_attribute")
    assert rules(told(source, text="glioma", config=LabelConfig())) == (QUARANTINED, "no_diagnosis")


def test_nothing_of_the_source_is_in_what_is_told() -> None:
    source = file("doe/doe.png", "dicom", Declared("manifest", subject="doe", mask=Path("/doe")))
    for text in ("doe", "doe glioma", "doe glioma normal", None):
        assert "doe" not in repr(told(source, text=text)) + repr(source)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"layout": "dicom"}, "dicom_attribute"),
        ({"tumour": "glio"}, "dicom_attribute"),
        ({"dicom_attribute": "StudyDescripton"}, "keyword"),
        ({"dicom_attribute": "PixelData"}, "no text"),
        ({"dicom_attribute": "StudyDescription", "tumour": "(glio"}, "regular expression"),
        ({"layout": "xnat"}, "layout"),
        ({"tumour_min_pixels": 0}, "tumour_min_pixels"),
    ],
)
def test_a_config_that_cannot_work_is_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        LabelConfig(**values)
