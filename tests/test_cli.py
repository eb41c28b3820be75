"""Errors that a user can provoke: one line that says what, where and what to do, and the right exit code."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pydicom
import pytest

Command = Callable[..., "subprocess.CompletedProcess[str]"]


def _fails(done: "subprocess.CompletedProcess[str]", code: int, *said: str) -> None:
    assert done.returncode == code, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert "Traceback" not in done.stderr
    for words in said:
        assert words in lines[0]


def test_a_missing_source(tmp_path: Path, augment_mri: Command) -> None:
    _fails(augment_mri("run", tmp_path / "none", "--out", tmp_path / "run"), 2, "does not exist", "none")
    assert not (tmp_path / "run").exists()


def test_an_empty_source(tmp_path: Path, augment_mri: Command) -> None:
    (tmp_path / "empty").mkdir()
    _fails(augment_mri("run", tmp_path / "empty", "--out", tmp_path / "run", "--preset", "smoke"), 3, "empty")


def test_an_out_folder_with_other_things_in_it(tmp_path: Path, augment_mri: Command) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.docx").write_text("precious")
    _fails(augment_mri("run", tmp_path / "source", "--out", tmp_path / "out"), 2, "not empty", "--out")
    assert (tmp_path / "out" / "thesis.docx").read_text() == "precious"


def test_an_unknown_preset_and_an_unknown_key(tmp_path: Path, augment_mri: Command) -> None:
    _fails(augment_mri("run", tmp_path, "--out", tmp_path / "run", "--preset", "best"), 2, "quick")
    (tmp_path / "study.toml").write_text("[gan]\nepochs = 3\n")
    done = augment_mri("run", tmp_path, "--out", tmp_path / "run", "--config", tmp_path / "study.toml")
    _fails(done, 2, "gan.epochs", "images")


@pytest.mark.parametrize("command", ["report", "sample"])
def test_a_folder_that_holds_nothing_to_work_on(tmp_path: Path, augment_mri: Command, command: str) -> None:
    extra = ["--out", tmp_path / "o", "--seeds", "1"] if command == "sample" else []
    _fails(augment_mri(command, tmp_path, *extra), 4 if command == "sample" else 2, "no finished")


def test_train_on_what_is_no_dataset(tmp_path: Path, augment_mri: Command) -> None:
    _fails(augment_mri("train", tmp_path, "--out", tmp_path / "m"), 2, "augment-mri ingest")


def test_train_makes_no_painter(tmp_path: Path, augment_mri: Command) -> None:
    _fails(augment_mri("train", tmp_path, "--out", tmp_path / "m", "--preset", "paint"), 2, "name another preset")


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--cron", "often", "0 2 * * *"),
        ("--timezone", "Mars/Base", "Europe/Zagreb"),
        ("--nightly-preset", "x", "smoke"),
    ],
)
def test_a_schedule_that_cannot_be_kept(augment_mri: Command, option: str, value: str, said: str) -> None:
    _fails(augment_mri("up", option, value), 2, said)


def test_wrong_usage_is_2(augment_mri: Command) -> None:
    assert augment_mri("run").returncode == 2
    assert augment_mri("fly").returncode == 2


def test_presets_and_doctor_answer(augment_mri: Command) -> None:
    assert "standard" in augment_mri("presets").stdout
    assert "[gan]" in augment_mri("presets", "quick").stdout
    assert "cores" in augment_mri("doctor").stdout


def test_a_dry_run_keeps_nothing_and_a_renewed_dataset_is_known(tmp_path: Path, augment_mri: Command) -> None:
    scans = tmp_path / "scans"
    assert augment_mri("phantom", scans, "--subjects", 4, "--format", "dicom").returncode == 0
    (scans / "jane_doe.bin").write_bytes(b"x")
    before = set(tmp_path.rglob("*"))
    checked = augment_mri("ingest", scans, "--check")
    assert checked.returncode == 0, checked.stderr
    assert "quarantined: unknown_format: 1, first file-" in checked.stdout
    assert "diagnosis from: mask" in checked.stdout
    assert set(tmp_path.rglob("*")) == before
    assert "used. Manifest" in augment_mri("ingest", scans, "--out", tmp_path / "set").stderr
    assert "Nothing has changed" in augment_mri("ingest", scans, "--out", tmp_path / "set").stderr
    (scans / "jane_doe.bin").unlink()
    assert "Nothing has changed" not in augment_mri("ingest", scans, "--out", tmp_path / "set").stderr


def test_a_dry_run_of_one_diagnosis_says_every_broken_contract(tmp_path: Path, augment_mri: Command) -> None:
    table = tmp_path / "scans.csv"
    table.write_text("path,diagnosis,position\nx.png,perhaps,0.5\ny.png,tumour,7\n")
    done = augment_mri("ingest", table, "--check")
    assert done.returncode == 3
    assert "row-0002" in done.stdout
    assert "row-0003" in done.stdout
    assert "x.png" not in done.stdout + done.stderr


def test_a_deidentified_copy_needs_a_key_and_reads_back(tmp_path: Path, augment_mri: Command) -> None:
    scans = tmp_path / "scans"
    assert augment_mri("phantom", scans, "--subjects", 1, "--format", "dicom").returncode == 0
    _fails(augment_mri("deidentify", scans, "--out", tmp_path / "a"), 2, "--new-key")
    done = augment_mri("deidentify", scans, "--out", tmp_path / "b", "--new-key", tmp_path / "key")
    assert done.returncode == 0, done.stderr
    data = [pydicom.dcmread(path) for path in sorted((tmp_path / "b").glob("*.dcm"))]
    assert len(data) == len(list(scans.rglob("*.dcm"))) > 10
    assert len({one.PatientID for one in data}) == len({one.SeriesInstanceUID for one in data}) == 1
    assert all(one.PatientID.startswith("subject-") and one.PatientIdentityRemoved == "YES" for one in data)
    assert set(pd.read_csv(tmp_path / "b" / "quarantine.csv")["rule"]) <= {"not_dicom"}
