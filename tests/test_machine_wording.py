"""Where a run was made, how long it took and what went wrong on the way, sentence by sentence and on the page."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from report_records import build_summary

from data_contracts.machine import Attempt, Fault, Machine, MachineRecord, StageTime
from flows.report import read_machine, write_report
from pipeline.run_dir import RunDir, write_record
from reports import tables, times
from reports.language import speak
from reports.wording import machine

BEGAN = datetime(2026, 11, 20, 22, 1, tzinfo=UTC)
ABACUS = Machine(
    processor="Abacus 9",
    cores=2,
    threads=2,
    memory_gib=23.54,
    accelerators=(),
    system="Debian, x86_64",
    python="3.11.7",
    precision="cpu float32",
)


def attempt(outcome: str = "finished", *, hour: float = 0, seconds: float = 600, **changes: object) -> Attempt:
    began = BEGAN + timedelta(hours=hour)
    fields = {"machine": ABACUS, "began": began, "ended": began + timedelta(seconds=seconds), "seconds": seconds}
    return Attempt.model_validate({**fields, "outcome": outcome, "peak_memory_gib": 1.5, **changes})


def record(*attempts: Attempt, stages: tuple[StageTime, ...] = (), faults: tuple[Fault, ...] = ()) -> MachineRecord:
    return MachineRecord(attempts=attempts or (attempt(),), stages=stages, faults=faults)


def fault(stage: str = "train", kind: str = "memory", error: str = "MemoryError", **changes: object) -> Fault:
    fields = {"attempt": 0, "stage": stage, "kind": kind, "error": error}
    return Fault.model_validate({**fields, **changes})


def plain(text: str) -> str:
    return text.replace("\N{NO-BREAK SPACE}", " ")


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.4, "under 1 s"),
        (1, "1 s"),
        (99.4, "99 s"),
        (99.6, "1.7 min"),
        (5969, "99.5 min"),
        (5971, "1 h 40 min"),
        (7199, "2 h 0 min"),
        (360_000, "100 h 0 min"),
    ],
)
def test_a_length_of_time_has_the_unit_that_suits_it(seconds: float, said: str) -> None:
    assert plain(times.duration(seconds)) == said


def test_a_moment_is_in_utc_and_as_the_reader_writes_it() -> None:
    ours = datetime.fromisoformat("2026-11-21T00:01:00+02:00")
    assert plain(times.moment(ours)) == "20 Nov 2026, 22:01 UTC"
    with speak("hr"):
        assert plain(times.moment(ours)) == "20. stu 2026., 22:01 UTC"
    with speak("tr"):
        assert plain(times.moment(ours)) == "20 Kas 2026, 22:01 UTC"


def test_the_machine_is_told_with_and_without_an_accelerator() -> None:
    assert plain(machine.made_on(ABACUS)) == (
        "Abacus 9, 2 cores; 23.5 GiB of memory; no accelerator; Debian, x86_64; Python 3.11.7; cpu float32."
    )
    other = ABACUS.model_copy(update={"accelerators": ("H100", "H100"), "memory_gib": None, "cores": 1})
    assert plain(machine.made_on(other)) == (
        "Abacus 9, 1 core; unknown memory; H100, H100; Debian, x86_64; Python 3.11.7; cpu float32."
    )
    assert len(machine.machines(record(attempt(), attempt(machine=other), attempt()))) == 2


def test_what_it_took_in_one_attempt_in_several_and_while_it_runs() -> None:
    assert plain(machine.took(record())) == (
        "10.0 min of wall clock, in one attempt, from 20 Nov 2026, 22:01 UTC to 22:11 UTC."
    )
    assert plain(machine.took(record(attempt("failed"), attempt(hour=3)))) == (
        "20.0 min of wall clock, in 2 attempts together, the first begun 20 Nov 2026, 22:01 UTC, "
        "the last ended 21 Nov 2026, 01:11 UTC."
    )
    assert plain(machine.took(record(attempt("running")))) == (
        "10.0 min of wall clock so far, begun 20 Nov 2026, 22:01 UTC; the run went on when this page was drawn, "
        "at 22:11 UTC."
    )


def test_the_peak_is_that_of_the_largest_attempt_and_silent_where_nobody_knows() -> None:
    told = record(attempt(peak_memory_gib=1.94), attempt(peak_memory_gib=None), attempt(peak_memory_gib=1.2))
    assert plain(machine.peak_memory(told)) == "At most 1.9 GiB of memory in one process."
    assert machine.peak_memory(record(attempt(peak_memory_gib=None))) == ""


@pytest.mark.parametrize(
    ("outcome", "faults", "said"),
    [
        (
            "failed",
            (fault(fold=2, diagnosis="no_tumour"),),
            (
                "Attempt 1 of 2 ended in an error while at “Training generators, no tumour, fold 2”, 20 Nov "
                "2026, 22:11 "
                "UTC: memory ran out (MemoryError). The next attempt went on from there."
            ),
        ),
        (
            "failed",
            (fault("open the locked test set", "contract", "ContractError", rules=("no_slices",), locked=True),),
            (
                "Attempt 1 of 2 ended in an error while at “Reading the locked test set, locked test set”, 20 "
                "Nov 2026, "
                "22:11 UTC: the data broke a rule that they must keep: no slices (ContractError). The next "
                "attempt went on "
                "from there."
            ),
        ),
        (
            "failed",
            (fault("", "unexpected", "KeyError"),),
            (
                "Attempt 1 of 2 ended in an error, 20 Nov 2026, 22:11 UTC: an error that the program did not expect "
                "(KeyError). The next attempt went on from there."
            ),
        ),
        (
            "interrupted",
            (),
            "Attempt 1 of 2 was interrupted, 20 Nov 2026, 22:11 UTC. The next attempt went on from there.",
        ),
        (
            "cut_off",
            (),
            (
                "Attempt 1 of 2 ended without a word, as by a kill or a loss of power; it last wrote 20 Nov "
                "2026, 22:11 "
                "UTC. The next attempt went on from there."
            ),
        ),
    ],
)
def test_each_attempt_that_did_not_end_well_is_told(outcome: str, faults: tuple[Fault, ...], said: str) -> None:
    told = machine.troubles(record(attempt(outcome), attempt(hour=1), faults=faults))
    assert [plain(one) for one in told] == [said]


def test_the_last_attempt_has_no_next_one_and_a_good_run_no_trouble() -> None:
    (said,) = machine.troubles(record(attempt("interrupted")))
    assert plain(said) == "Attempt 1 of 1 was interrupted, 20 Nov 2026, 22:11 UTC."
    assert machine.troubles(record()) == machine.troubles(None) == ()


def test_stages_are_summed_over_folds_and_the_rest_is_told() -> None:
    stages = [StageTime(stage="train", fold=f, diagnosis="tumour", seconds=100, attempts=1) for f in range(3)]
    stages += [StageTime(stage="classify", fold=0, locked=True, seconds=150, attempts=1)]
    stages += [StageTime(stage="split", seconds=0.2, attempts=0), StageTime(stage="brew", seconds=50, attempts=1)]
    shown = tables.stages_table(record(stages=tuple(stages)))
    assert [tuple(map(plain, row)) for row in shown.rows] == [
        ("Training generators", "3", "5.0 min", "50 %"),
        ("Training classifiers, locked test set", "1", "2.5 min", "25 %"),
        ("brew", "1", "50 s", "8 %"),
        ("All else", "", "1.7 min", "17 %"),
        ("Together", "", "10.0 min", ""),
    ]


def test_every_stage_of_the_flow_has_a_name_for_readers() -> None:
    flows = Path(__file__).parents[1] / "flows"
    stages = {
        line.split('"')[1]
        for path in flows.glob("*.py")
        for line in path.read_text().splitlines()
        if line.startswith('@stage_task("')
    }
    assert len(stages) > 10
    assert stages <= set(machine.STAGES)


def test_the_page_shows_the_account_where_there_is_one_and_draws_without(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    write_record(run.summary, build_summary())
    write_report(run, tmp_path / "without.html")
    write_record(run.machine, record(attempt("failed"), attempt(hour=1), faults=(fault(),)))
    write_report(run, tmp_path / "with.html")
    without, page = ((tmp_path / f"{name}.html").read_text() for name in ("without", "with"))
    for said in ("Made on", "Abacus 9", "Time by stage", "Errors of the run", "memory ran out"):
        assert said in page
        assert said not in without
    run.machine.write_text("{")
    assert read_machine(run) is None
    write_report(run, tmp_path / "torn.html")
    assert (tmp_path / "torn.html").read_text() == without
