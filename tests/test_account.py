"""The account of a run: what each stage took, over attempts that end well, in an error, by a signal or by a kill."""

import errno
import getpass
import platform
import time
from pathlib import Path

import pytest

from data_contracts.machine import Fault, Machine, MachineRecord, StageTime
from data_contracts.violations import ContractError, Violation
from flows import account
from flows.account import attempt, stage_task
from flows.errors import ConfigError
from flows.machine import peak_memory_gib, this_machine
from pipeline.run_dir import RunDir, read_record
from pipeline.synthesis.gan import TrainingFailed

HERE = Machine(
    processor="Abacus",
    cores=2,
    threads=2,
    memory_gib=7.5,
    accelerators=(),
    system="Linux",
    python="3.11.2",
    precision="cpu float32",
)


@stage_task("train")
def train(root: Path, fold: int, diagnosis: str, error: BaseException | None = None) -> str:
    time.sleep(0.02)
    if error is not None:
        raise error
    return f"{fold} {diagnosis}"


@stage_task("compare")
def compare(root: Path) -> None:
    time.sleep(0.02)


def read(root: Path) -> MachineRecord:
    return read_record(RunDir(root).machine, MachineRecord)


def fails(root: Path, error: BaseException) -> Fault:
    with pytest.raises(type(error)), attempt(RunDir(root), HERE):
        train.fn(root, 1, "tumour", error)
    return read(root).faults[-1]


def test_stages_are_timed_and_say_what_they_were_of(tmp_path: Path) -> None:
    with attempt(RunDir(tmp_path), HERE):
        assert train.fn(tmp_path, 0, "tumour") == "0 tumour"
        train.fn(tmp_path, fold=0, diagnosis="no_tumour")
        compare.fn(tmp_path)
        compare.fn(tmp_path / "external")
        assert read(tmp_path).attempts[0].outcome == "running"
    told = read(tmp_path)
    assert [(s.stage, s.fold, s.diagnosis, s.locked) for s in told.stages] == [
        ("train", 0, "tumour", False),
        ("train", 0, "no_tumour", False),
        ("compare", None, None, False),
        ("compare", None, None, True),
    ]
    (only,) = told.attempts
    assert (only.outcome, only.machine) == ("finished", HERE)
    assert only.began.utcoffset() == only.ended.utcoffset()
    assert only.began <= only.ended
    assert sum(stage.seconds for stage in told.stages) <= only.seconds + 0.3  # each is rounded to a tenth
    assert told.seconds == only.seconds >= 0.1
    assert told.faults == ()


def test_time_is_summed_over_attempts_and_what_was_cut_off_is_called_so(tmp_path: Path) -> None:
    with attempt(RunDir(tmp_path), HERE):
        train.fn(tmp_path, 0, "tumour")
    done = read(tmp_path)
    killed = done.attempts[0].model_copy(update={"outcome": "running", "seconds": 100.0})
    before = MachineRecord(
        attempts=(killed,), stages=(StageTime(stage="train", fold=0, diagnosis="tumour", seconds=90.0, attempts=1),)
    )
    RunDir(tmp_path).machine.write_text(before.model_dump_json())
    with attempt(RunDir(tmp_path), HERE):
        train.fn(tmp_path, 0, "tumour")
    told = read(tmp_path)
    assert [one.outcome for one in told.attempts] == ["cut_off", "finished"]
    (stage,) = told.stages
    assert 90.0 <= stage.seconds < 91
    assert stage.attempts == 1  # a stage that took no second found its result there
    assert told.seconds >= 100


def test_a_stage_under_way_is_in_the_account_before_it_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account, "SECONDS_BETWEEN", 0.02)
    monkeypatch.setattr(account, "BEGUN", 0.1)

    @stage_task("long")
    def long(root: Path) -> MachineRecord:
        time.sleep(0.4)
        return read(root)

    with attempt(RunDir(tmp_path), HERE):
        seen = long.fn(tmp_path)
    assert seen.stages[0].seconds >= 0.2
    assert seen.attempts[0].outcome == "running"
    assert read(tmp_path).stages[0].seconds >= 0.4
    assert read(tmp_path).stages[0].attempts == 1


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (TrainingFailed("Jane Doe"), "training"),
        (ConfigError("Jane Doe"), "configuration"),
        (MemoryError("Jane Doe"), "memory"),
        (OSError(errno.ENOSPC, "Jane Doe", "/data/jane_doe"), "disk"),
        (FileNotFoundError(errno.ENOENT, "Jane Doe", "/data/jane_doe"), "file"),
        (KeyError("Jane Doe"), "unexpected"),
    ],
)
def test_an_error_is_kept_by_its_kind_and_never_by_its_text(tmp_path: Path, error: Exception, kind: str) -> None:
    fault = fails(tmp_path, error)
    assert fault == Fault(attempt=0, stage="train", fold=1, diagnosis="tumour", kind=kind, error=type(error).__name__)
    assert read(tmp_path).attempts[0].outcome == "failed"
    assert "jane" not in RunDir(tmp_path).machine.read_text().lower()


def test_a_broken_contract_is_told_by_its_rules(tmp_path: Path) -> None:
    broken = [Violation("jane_doe", rule, "of Jane Doe") for rule in ("one_diagnosis", "no_slices", "no_slices")]
    fault = fails(tmp_path, ContractError(broken))
    assert (fault.kind, fault.rules) == ("contract", ("no_slices", "one_diagnosis"))
    assert "jane" not in RunDir(tmp_path).machine.read_text().lower()


def test_each_attempt_keeps_its_own_error_and_a_signal_is_none(tmp_path: Path) -> None:
    fails(tmp_path, TrainingFailed("first"))
    with pytest.raises(KeyboardInterrupt), attempt(RunDir(tmp_path), HERE):
        train.fn(tmp_path, 1, "tumour", KeyboardInterrupt())
    with pytest.raises(ZeroDivisionError), attempt(RunDir(tmp_path), HERE):
        raise ZeroDivisionError("between stages")
    told = read(tmp_path)
    assert [one.outcome for one in told.attempts] == ["failed", "interrupted", "failed"]
    assert [(fault.attempt, fault.stage, fault.error) for fault in told.faults] == [
        (0, "train", "TrainingFailed"),
        (2, "", "ZeroDivisionError"),
    ]


def test_an_account_that_cannot_be_kept_costs_no_run(tmp_path: Path) -> None:
    root = tmp_path / "run"
    root.write_text("a file where the folder should be")
    with attempt(RunDir(root), HERE):
        assert train.fn(root, 0, "tumour") == "0 tumour"
    torn = tmp_path / "torn"
    torn.mkdir()
    RunDir(torn).machine.write_text('{"attempts": [')
    with attempt(RunDir(torn), HERE):
        compare.fn(torn)
    assert len(read(torn).attempts) == 1


def test_outside_of_an_attempt_nothing_is_written(tmp_path: Path) -> None:
    compare.fn(tmp_path)
    assert not any(tmp_path.iterdir())


def test_this_machine_is_described_and_not_named() -> None:
    here = this_machine()
    assert here.cores >= 1
    assert here.memory_gib is None or 0.1 < here.memory_gib < 100_000
    assert here.processor
    assert here.precision.startswith(("cpu", "cuda"))
    told = here.model_dump_json()
    assert platform.node() not in told or len(platform.node()) < 5
    assert f'"{getpass.getuser()}"' not in told
    assert (peak := peak_memory_gib()) is None or 0.01 < peak < 10_000
