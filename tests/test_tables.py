"""A manifest table and participants.tsv: what they say, and that every fault is told at once without naming anybody."""

from pathlib import Path

import pandas as pd
import pytest

from data_contracts.violations import ContractError
from pipeline.scans.names import diagnosis_of
from pipeline.scans.sources import SourceFile, kind_of, list_source, pair_masks
from pipeline.scans.tables import read_manifest, read_participants

PNG = b"\x89PNG\r\n\x1a\n"


def manifest(folder: Path, text: str, name: str = "manifest.csv") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def faults(table: Path) -> list[tuple[str, str, str]]:
    with pytest.raises(ContractError) as refused:
        list_source(table)
    return [(fault.record, fault.rule, fault.detail) for fault in refused.value.violations]


def picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(PNG)
    return path


FULL = """path,diagnosis,subject,mask,position,sequence,plane,scanner
a/1.png,Yes,p1,a/m.png,0.25,T1w,ax,3T
a/2.png,0,p1,,1,flair,sagittal,3T
b/3.png,n/a,,,,,,1.5T
"""


def test_a_row_says_what_it_says(tmp_path: Path) -> None:
    rows = read_manifest(manifest(tmp_path, FULL))
    first, second, third = (row.declared for row in rows)
    assert (first.rule, first.diagnosis, first.subject) == ("manifest", "tumour", "p1")
    assert (first.mask, first.position, first.sequence, first.plane) == (tmp_path / "a/m.png", 0.25, "T1", "axial")
    assert (second.diagnosis, second.position, second.sequence, second.plane) == ("no_tumour", 1.0, "FLAIR", "sagittal")
    assert (third.diagnosis, third.subject, third.mask, third.position) == (None, None, None, None)
    assert (third.sequence, third.plane) == (None, None)
    assert [row.record for row in rows] == ["row-0002", "row-0003", "row-0004"]
    assert [row.path for row in rows] == [tmp_path / name for name in ("a/1.png", "a/2.png", "b/3.png")]


def test_every_way_of_writing_a_table_reads_the_same(tmp_path: Path) -> None:
    wanted = read_manifest(manifest(tmp_path, FULL))
    for name, separator in (("m.tsv", "\t"), ("semicolon.csv", ";")):
        assert read_manifest(manifest(tmp_path, FULL.replace(",", separator), name)) == wanted
    assert read_manifest(manifest(tmp_path, "\ufeff" + FULL, "excel.csv")) == wanted
    assert read_manifest(manifest(tmp_path, FULL.replace("path,diagnosis", " Path , DIAGNOSIS "), "loud.csv")) == wanted
    pd.DataFrame(
        {
            "path": ["a/1.png", "a/2.png", "b/3.png"],
            "diagnosis": pd.array([True, False, None], dtype="boolean"),
            "subject": ["p1", "p1", None],
            "mask": ["a/m.png", None, None],
            "position": [0.25, 1.0, None],
            "sequence": ["T1", "FLAIR", None],
            "plane": ["axial", "sagittal", None],
        }
    ).to_parquet(tmp_path / "m.parquet")
    assert read_manifest(tmp_path / "m.parquet") == wanted


def test_whole_numbers_stay_whole_in_a_column_with_gaps(tmp_path: Path) -> None:
    table = pd.DataFrame({"path": ["a.png", "b.png"], "subject": [7.0, None], "diagnosis": [1.0, 0.0]})
    table.to_parquet(tmp_path / "m.parquet")
    first, second = read_manifest(tmp_path / "m.parquet")
    assert (first.declared.subject, first.declared.diagnosis) == ("7", "tumour")
    assert (second.declared.subject, second.declared.diagnosis) == (None, "no_tumour")


def test_leading_noughts_of_a_subject_stay(tmp_path: Path) -> None:
    rows = read_manifest(manifest(tmp_path, "path,subject\na.png,007\nb.png,7\n"))
    assert [row.declared.subject for row in rows] == ["007", "7"]


def test_all_faults_at_once_by_row_and_without_names(tmp_path: Path) -> None:
    text = """path,diagnosis,subject,mask,position,sequence,plane
doe.png,yes,doe,,0.5,T1,axial
doe.png,doe,doe,,0.5,T1,axial
,no,doe,,0.5,T1,axial

roe.png,no,doe,,40,T1,axial
m.png,no,doe,,8154711,T1,doe
x.png,no,doe,m.png,low,doe,axial
"""
    found = faults(manifest(tmp_path / "doe", text))
    assert sorted({(record, rule) for record, rule, _ in found}) == [
        ("row-0003", "column_diagnosis"),
        ("row-0003", "column_path"),
        ("row-0004", "column_path"),
        ("row-0006", "column_position"),
        ("row-0007", "column_path"),
        ("row-0007", "column_plane"),
        ("row-0007", "column_position"),
        ("row-0008", "column_position"),
        ("row-0008", "column_sequence"),
    ]
    assert len(found) == 9
    details = {(record, rule): detail for record, rule, detail in found}
    assert details["row-0006", "column_position"] == "40 is no number from 0 to 1"
    assert details["row-0007", "column_position"] == "is no number from 0 to 1"  # a long number may be a patient's
    assert "doe" not in str(found)


@pytest.mark.parametrize("typo", ["diagnosys", "Diagnose", "label", "class"])
def test_a_misspelt_column_is_noticed(tmp_path: Path, typo: str) -> None:
    ((record, rule, detail),) = faults(manifest(tmp_path, f"path,age,{typo}\na.png,5,yes\n"))
    assert (record, rule) == ("table", "unknown_column")
    assert "column 3" in detail
    assert "diagnosis" in detail
    rows = read_manifest(manifest(tmp_path, f"path,age,own_{typo}\na.png,5,yes\n"))
    assert rows[0].declared.diagnosis is None
    both = read_manifest(manifest(tmp_path, f"path,diagnosis,{typo}\na.png,no,yes\n"))
    assert both[0].declared.diagnosis == "no_tumour"


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (b"name,diagnosis\nx,yes\n", "no_column"),
        (b"path,diagnosis\n", "no_rows"),
        (b"path,path\na,b\n", "repeated_column"),
        ("path,subject\na.png,Jürgen\n".encode("latin-1"), "encoding"),
        (b"path,subject\na.png,x,y,z\n", "cells"),
        (b"path,subject\na.png\n", "cells"),
        (b'path,subject\n"a.png,x', "unreadable"),
        (b"", "no_column"),
        (b"\x00\x01\x02", "no_column"),
    ],
)
def test_a_table_that_is_none(tmp_path: Path, content: bytes, rule: str) -> None:
    (tmp_path / "m.csv").write_bytes(content)
    assert rule in [fault[1] for fault in faults(tmp_path / "m.csv")]


def test_a_parquet_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "doe.parquet").write_bytes(b"PAR1 doe")
    assert [fault[1] for fault in faults(tmp_path / "doe.parquet")] == ["unreadable"]


def described(table: Path) -> dict[str, SourceFile]:
    return {
        c.relative.as_posix(): SourceFile(
            record="file-0001",
            path=c.path,
            relative=c.relative,
            kind="unknown" if c.refused else kind_of(c.path),
            declared=c.declared,
            refused=c.refused,
            wrapper=c.wrapper,
        )
        for c in list_source(table).candidates
    }


def test_files_of_the_rows_and_those_that_are_missing(tmp_path: Path) -> None:
    for name in ("a/1.png", "a/2.png", "a/drawn.png", "a/never_listed.png"):
        picture(tmp_path / name)
    text = "path,diagnosis,mask\na/1.png,,a/drawn.png\na/2.png,no,a/lost.png\na/gone.png,yes,\n"
    files = described(manifest(tmp_path, text))
    assert sorted(files) == ["a/1.png", "a/2.png", "a/drawn.png", "a/gone.png"]
    assert {name: file.refused[0] for name, file in files.items() if file.refused} == {
        "a/2.png": "mask_missing",
        "a/gone.png": "file_missing",
    }
    masks, orphans = pair_masks(list(files.values()))
    assert {path.name: mask.path.name for path, mask in masks.items()} == {"1.png": "drawn.png"}
    assert not orphans
    assert files["a/1.png"].mask_of is None
    assert files["a/drawn.png"].mask_of is not None


def test_the_table_goes_before_names_of_folders(tmp_path: Path) -> None:
    picture(tmp_path / "yes" / "p1" / "T1" / "x_mask.png")
    table = manifest(tmp_path, "path,diagnosis,subject,sequence\nyes/p1/T1/x_mask.png,no,p9,T2\n")
    (file,) = described(table).values()
    assert (file.diagnosis, file.subject, file.sequence, file.mask_of) == ("no_tumour", "p9", "T2", None)
    assert file.class_folder == "tumour"


def test_absolute_paths_and_links_of_the_owner(tmp_path: Path) -> None:
    for name in ("pool/p1/1.png", "pool/p2/1.png"):
        picture(tmp_path / name)
    text = f"path,diagnosis\n{tmp_path}/pool/p1/1.png,yes\n../pool/p2/1.png,no\n"
    files = described(manifest(tmp_path / "tables", text))
    assert {name: file.subject for name, file in files.items()} == {"p1/1.png": "p1", "p2/1.png": "p2"}


def test_the_same_file_by_two_spellings_is_one(tmp_path: Path) -> None:
    picture(tmp_path / "a" / "1.png")
    found = faults(manifest(tmp_path, f"path,diagnosis\na/1.png,yes\n{tmp_path}/b/../a/1.png,no\n"))
    assert [fault[:2] for fault in found] == [("row-0003", "column_path")]


def test_a_row_may_name_the_folder_of_a_series(tmp_path: Path) -> None:
    for name in ("s/1", "s/2", "s/mask.nii", "t/1"):
        picture(tmp_path / name)
    files = described(manifest(tmp_path, "path,diagnosis,mask,position\ns,yes,s/mask.nii,0.5\nt,no,,\n"))
    assert {name: file.diagnosis for name, file in files.items()} == {
        "s/1": "tumour",
        "s/2": "tumour",
        "s/mask.nii": None,
        "t/1": "no_tumour",
    }
    assert files["s/1"].declared.position is None
    overlapping = manifest(tmp_path, "path,diagnosis\ns,yes\ns/1,no\n")
    assert [fault[:2] for fault in faults(overlapping)] == [("row-0003", "column_path")]


def test_a_folder_with_its_manifest(tmp_path: Path) -> None:
    picture(tmp_path / "1.png")
    manifest(tmp_path, "path,diagnosis\n1.png,yes\n")
    (candidate,) = list_source(tmp_path, layout="manifest").candidates
    assert candidate.declared is not None
    assert candidate.declared.diagnosis == "tumour"
    (plain,) = list_source(tmp_path).candidates
    assert plain.declared is None


def test_words_of_a_diagnosis() -> None:
    assert {diagnosis_of(word) for word in ("1", "TRUE", "Yes", "glioma", "Brain Tumor", "positive")} == {"tumour"}
    assert {diagnosis_of(word) for word in ("0", "false", "no", "Healthy", "no tumour", "control")} == {"no_tumour"}
    assert {diagnosis_of(word) for word in ("", "2", "depr", "patient")} == {None}


def people(folder: Path, text: str) -> Path:
    return manifest(folder, text, "participants.tsv")


def test_participants_by_the_first_column_with_a_known_word(tmp_path: Path) -> None:
    text = "participant_id\tsex\tgroup\tdx\nsub-01\tm\tA\tglioma\n02\tf\tB\thealthy\nsub-03\tf\tB\tdepr\n"
    found = read_participants(people(tmp_path, text))
    assert found.diagnoses == {"sub-01": "tumour", "sub-02": "no_tumour", "sub-03": None}
    (note,) = found.notes
    assert note.detail == "diagnosis by column dx; glioma is tumour: 1, healthy is no_tumour: 1, other words or none: 1"


def test_presence_says_nothing_in_a_column_of_groups(tmp_path: Path) -> None:
    text = "participant_id\tgroup\nsub-01\tglioma\nsub-02\t1\nsub-03\tno\n"
    assert read_participants(people(tmp_path, text)).diagnoses == {"sub-01": "tumour", "sub-02": None, "sub-03": None}


def test_depression_is_no_tumour_word(tmp_path: Path) -> None:
    found = read_participants(people(tmp_path, "participant_id\tgroup\nsub-01\tcontrol\nsub-02\tdepr\n"))
    assert found.diagnoses == {"sub-01": "no_tumour", "sub-02": None}
    assert "depr" not in found.notes[0].detail


def test_a_patient_of_any_disease_is_no_tumour_patient(tmp_path: Path) -> None:
    table = people(tmp_path, "participant_id\tpatient\nsub-01\tyes\nsub-02\tno\nsub-03\t1\n")
    found = read_participants(table)
    assert found.diagnoses == {}
    assert "looked for" in found.notes[0].detail
    of_depression = people(tmp_path, "participant_id\tdiagnosis\nsub-01\t1\nsub-02\t0\n")
    assert read_participants(of_depression).diagnoses == {}
    table = people(tmp_path, "participant_id\tpatient\nsub-01\tyes\nsub-02\tno\nsub-03\t1\n")
    asked = read_participants(table, "Patient").diagnoses
    assert asked == {"sub-01": "tumour", "sub-02": "no_tumour", "sub-03": "tumour"}
    asking = people(tmp_path, "participant_id\ttumor\nsub-01\t1\nsub-02\t0\n")
    assert read_participants(asking).diagnoses == {"sub-01": "tumour", "sub-02": "no_tumour"}


@pytest.mark.parametrize(
    ("text", "column", "rule"),
    [
        ("name\tgroup\nsub-01\tglioma\n", "", "no_column"),
        ("participant_id\tgroup\nsub-01\tglioma\n", "tumour", "no_column"),
        ("participant_id\tgroup\nsub-01\tglioma\n01\thealthy\n", "", "contradictory_label"),
    ],
)
def test_participants_that_cannot_be_used(tmp_path: Path, text: str, column: str, rule: str) -> None:
    with pytest.raises(ContractError) as refused:
        read_participants(people(tmp_path, text), column)
    assert [fault.rule for fault in refused.value.violations] == [rule]
    assert "sub-01" not in str(refused.value)


def test_nobody_is_named_in_a_representation(tmp_path: Path) -> None:
    rows = read_manifest(manifest(tmp_path / "doe", "path,subject,mask\ndoe.png,doe,doe_m.png\n"))
    people_found = read_participants(people(tmp_path, "participant_id\tgroup\nsub-doe\tglioma\n"))
    assert "doe" not in repr(rows) + repr(people_found)
