"""The whole study through the command line, on phantoms, as a user runs it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from data_contracts.machine import MachineRecord
from data_contracts.manifest import DIAGNOSES, check_manifest
from data_contracts.results import ARMS, RunSummary
from data_contracts.splits import Splits, check_splits
from pipeline.run_dir import RunDir, read_record

Command = Callable[..., "subprocess.CompletedProcess[str]"]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory, augment_mri: Command, scans: Path) -> Path:
    folder = tmp_path_factory.mktemp("elsewhere") / "phantoms"
    augment_mri("phantom", folder, "--subjects", 10, "--seed", 4)
    shutil.copytree(scans / "phantom-0002", folder / "phantom-9999")  # somebody whom the study knows
    return folder


@pytest.fixture(scope="module")
def study(scans: Path, locked: Path) -> list[object]:
    """The call of one and the same study, but for its folder."""
    return ["run", scans, "--external-test", locked, "--preset", "smoke", "--seed", 5]


@pytest.fixture(scope="module")
def finished(
    tmp_path_factory: pytest.TempPathFactory, augment_mri: Command, scans: Path, study: list[object]
) -> RunDir:
    root = tmp_path_factory.mktemp("study") / "run"
    (scans / "phantom-0001" / "broken_99.png").write_bytes(b"not an image")
    done = augment_mri(*study, "--out", root)
    assert done.returncode == 0, done.stderr
    assert "Verdict" in done.stderr
    return RunDir(root)


def test_the_run_folder_is_whole(finished: RunDir) -> None:
    for path in (finished.run_json, finished.quarantine, finished.splits, finished.summary, finished.report):
        assert path.stat().st_size > 0
    for name in ("fidelity.json", "memorisation.json", "utility.json", "predictions.parquet"):
        assert finished.metric(name).exists()
    for diagnosis in DIAGNOSES:
        model = finished.model(0, diagnosis)
        assert {path.name for path in model.iterdir()} >= {"generator.safetensors", "config.json", "curves.parquet"}
        assert list(finished.synthetic(0, diagnosis).glob("*.png"))
    assert not [path for path in finished.root.rglob("*") if ".part" in path.name]


def test_the_one_bad_file_is_in_the_quarantine_and_stopped_nothing(finished: RunDir) -> None:
    quarantine = pd.read_csv(finished.quarantine)
    refused = quarantine[quarantine["outcome"] == "quarantined"]
    assert len(refused) == 1
    assert "broken_99" not in finished.quarantine.read_text()


def test_manifest_and_splits_keep_their_contracts(finished: RunDir) -> None:
    manifest = pd.read_parquet(finished.manifest)
    assert check_manifest(manifest) == []
    assert check_splits(read_record(finished.splits, Splits), manifest) == []


def test_the_locked_test_set_is_tested_on_and_never_learned_from(finished: RunDir) -> None:
    summary, locked = read_record(finished.summary, RunSummary), finished.external
    (fold,) = read_record(locked.splits, Splits).folds
    manifest = pd.read_parquet(locked.manifest)
    assert check_manifest(manifest) == []
    assert set(fold.train) == set(pd.read_parquet(finished.manifest)["group"])
    tested = manifest[manifest["group"].isin(fold.test)]
    assert tested["slice_id"].str.startswith("external-").all()
    assert summary.external is not None
    assert summary.external.n_slices == len(tested)
    assert summary.external.left_out > 0  # the one whom the study knows
    assert summary.external.n_slices + summary.external.left_out == len(pd.read_parquet(locked.locked_scans.manifest))
    assert "external-" not in finished.manifest.read_bytes().decode("latin-1")
    assert "opened once" in finished.report.read_text()


def test_the_summary_says_what_was_measured(finished: RunDir) -> None:
    summary = read_record(finished.summary, RunSummary)
    assert [scores.arm for scores in summary.arms] == list(ARMS)
    assert summary.difference.low <= summary.difference.estimate <= summary.difference.high
    assert summary.difference.n_subjects == summary.data.classes[0].test_subjects or summary.data.subjects_known
    assert {scores.diagnosis for scores in summary.fidelity} == set(DIAGNOSES)
    predictions = pd.read_parquet(finished.metric("predictions.parquet"))
    test_groups = set(read_record(finished.splits, Splits).folds[0].test)
    assert set(predictions["group"]) == test_groups
    assert predictions["slice_id"].str.startswith("file-").all()  # no synthetic slice is ever tested on


def test_no_name_from_the_source_is_in_any_output(finished: RunDir) -> None:
    for path in finished.root.rglob("*"):
        assert "phantom-" not in path.name
        if path.is_file():
            assert b"phantom-0" not in path.read_bytes(), path


def test_the_same_seed_gives_the_same_summary_and_report(
    finished: RunDir, study: list[object], tmp_path: Path, augment_mri: Command
) -> None:
    done = augment_mri(*study, "--out", tmp_path / "again")
    assert done.returncode == 0, done.stderr
    again = RunDir(tmp_path / "again")
    assert again.summary.read_bytes() == finished.summary.read_bytes()
    pages = []
    for number, run in enumerate((finished, again)):  # but for what each of them took
        root = tmp_path / f"without-account-{number}"
        shutil.copytree(run.root, root, ignore=shutil.ignore_patterns("machine.json", "models", "external"))
        assert augment_mri("report", root).returncode == 0
        pages.append(RunDir(root).report.read_bytes())
    assert pages[0] == pages[1]


def test_the_run_says_what_it_took_and_names_nobody(finished: RunDir) -> None:
    told = read_record(finished.machine, MachineRecord)
    assert [attempt.outcome for attempt in told.attempts] == ["finished"]
    timed = [(stage.stage, stage.fold, stage.diagnosis) for stage in told.stages if not stage.locked]
    assert timed[:2] == [("ingest", None, None), ("split", None, None)]
    assert {("train", 0, diagnosis) for diagnosis in DIAGNOSES} <= set(timed)
    assert ("classify", 0) in {(stage.stage, stage.fold) for stage in told.stages if stage.locked}
    assert 0.5 * told.seconds < sum(stage.seconds for stage in told.stages) <= told.seconds + 5
    assert told.faults == ()
    written = finished.machine.read_text()
    assert str(finished.root) not in written
    assert "Time by stage" in finished.report.read_text()


def test_a_killed_run_resumes_to_the_same_results(
    finished: RunDir, study: list[object], tmp_path: Path, augment_mri: Command
) -> None:
    root = tmp_path / "killed"
    command = [Path(sys.executable).with_name("augment-mri"), *study, "--out", root]
    process = subprocess.Popen(list(map(str, command)), stderr=subprocess.DEVNULL, start_new_session=True)  # noqa: S603
    deadline = time.monotonic() + 120
    while not (root / "models" / "0" / "no_tumour" / "checkpoint").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)  # Prefect's server with it, which else would outlive the test
    process.wait()
    assert not RunDir(root).summary.exists()
    assert augment_mri(*study, "--out", root).returncode == 2  # no --resume
    done = augment_mri(*study, "--out", root, "--resume")
    assert done.returncode == 0, done.stderr
    assert RunDir(root).summary.read_bytes() == finished.summary.read_bytes()
    told = read_record(RunDir(root).machine, MachineRecord)
    assert [attempt.outcome for attempt in told.attempts] == ["cut_off", "finished"]
    assert "ended without a word" in RunDir(root).report.read_text()


def test_a_terminated_run_exits_with_5(scans: Path, tmp_path: Path) -> None:
    root = tmp_path / "stopped"
    command = [Path(sys.executable).with_name("augment-mri"), "run", scans, "--out", root, "--preset", "smoke"]
    process = subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE, text=True)  # noqa: S603
    deadline = time.monotonic() + 120
    while not (root / "slices").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGTERM)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 5
    assert said.splitlines()[-1].startswith("error: interrupted")
    assert [attempt.outcome for attempt in read_record(RunDir(root).machine, MachineRecord).attempts] == ["interrupted"]


def test_a_folder_with_a_different_run_is_left_as_it_is(finished: RunDir, scans: Path, augment_mri: Command) -> None:
    before = finished.summary.read_bytes()
    done = augment_mri("run", scans, "--out", finished.root, "--preset", "smoke", "--seed", 6, "--resume")
    assert done.returncode == 2
    assert "different run" in done.stderr
    assert done.stderr.count("\n") == 1
    assert finished.summary.read_bytes() == before


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"seed": 5', '"seed": 5, "key_of_another_version": 1', "(key_of_another_version: "),
        ('"seed": 5', '"seed": "seven"', "(seed: "),
        ('"seed": 5', '"seed": ', "is not whole"),
    ],
)
def test_a_record_that_this_version_did_not_write_is_named_and_left_as_it_is(
    finished: RunDir, scans: Path, tmp_path: Path, augment_mri: Command, *, old: str, new: str, said: str
) -> None:
    told = finished.run_json.read_text().replace(old, new, 1)
    assert new in told
    root = tmp_path / "run"
    root.mkdir()
    RunDir(root).run_json.write_text(told)
    done = augment_mri("run", scans, "--out", root, "--preset", "smoke", "--resume")
    assert done.returncode == 2
    assert f"{RunDir(root).run_json} is not whole, or of another version" in done.stderr
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert RunDir(root).run_json.read_text() == told
    assert [path.name for path in root.iterdir()] == ["run.json"]


def test_a_locked_set_that_cannot_be_used_costs_no_result_and_can_be_left_aside(
    finished: RunDir, study: list[object], scans: Path, tmp_path: Path, augment_mri: Command
) -> None:
    root = tmp_path / "run"
    shutil.copytree(finished.root, root, ignore=shutil.ignore_patterns("external", "summary.json", "report.html"))
    known = tmp_path / "known"
    for name in ("phantom-0003", "phantom-0004", "phantom-0005"):
        shutil.copytree(scans / name, known / name)
    there = study.index("--external-test")
    other = [*study[: there + 1], known, *study[there + 2 :]]
    done = augment_mri(*other, "--out", root, "--resume")
    assert done.returncode == 3
    assert "that the study has" in done.stderr
    assert read_record(RunDir(root).summary, RunSummary).external is None  # the study itself is written
    without = [*study[:there], *study[there + 2 :]]
    assert augment_mri(*without, "--out", root, "--resume").returncode == 0
    opened = augment_mri(*without, "--out", finished.root, "--resume")
    assert opened.returncode == 2
    assert "locked test set, which was opened" in opened.stderr


def test_the_report_is_rendered_again_to_the_same_bytes(finished: RunDir, tmp_path: Path, augment_mri: Command) -> None:
    done = augment_mri("report", finished.root, "--out", tmp_path / "again.html")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "again.html").read_bytes() == finished.report.read_bytes()


def test_sampling_from_a_finished_run_marks_the_slices_as_synthetic(
    finished: RunDir, tmp_path: Path, augment_mri: Command
) -> None:
    model = finished.model(0, "tumour")
    done = augment_mri("sample", model, "--out", tmp_path / "sampled", "--seeds", "6600-6603,7")
    assert done.returncode == 0, done.stderr
    manifest = pd.read_parquet(tmp_path / "sampled" / "manifest.parquet")
    assert set(manifest["origin"]) == {"synthetic"}
    assert len(list((tmp_path / "sampled").glob("*.png"))) == 5


def test_ingest_and_train_alone(scans: Path, tmp_path: Path, augment_mri: Command) -> None:
    dataset, model = tmp_path / "dataset", tmp_path / "model"
    assert augment_mri("ingest", scans, "--out", dataset).returncode == 0
    done = augment_mri("train", dataset, "--out", model, "--preset", "smoke", "--diagnosis", "no_tumour")
    assert done.returncode == 0, done.stderr
    assert json.loads((model / "config.json").read_text())["diagnosis"] == "no_tumour"


def test_a_class_with_too_few_subjects_ends_in_one_line_and_3(
    scans: Path, tmp_path: Path, augment_mri: Command
) -> None:
    few = tmp_path / "few"
    for name in ("phantom-0001", "phantom-0002"):
        shutil.copytree(scans / name, few / name)
    done = augment_mri("run", few, "--out", tmp_path / "run", "--preset", "smoke")
    assert done.returncode == 3
    assert "subject" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    (fault,) = read_record(RunDir(tmp_path / "run").machine, MachineRecord).faults
    assert (fault.kind, fault.stage, fault.rules) == ("contract", "split", ("too few subjects to split",))
