"""Children that hang, crash, raise or eat memory cost one item each, and the others come in order."""

import operator
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

from data_contracts.violations import ContractError
from pipeline.scans.workers import Refusal, each


def rules(results: Iterable[object]) -> list[object]:
    return [result.rule if isinstance(result, Refusal) else result for result in results]


def test_results_come_in_the_order_of_the_items() -> None:
    items = list(range(200))
    assert list(each(operator.neg, items, seconds=lambda _: 10, chunk=7)) == [-i for i in items]
    assert list(each(operator.neg, [], seconds=lambda _: 10)) == []


@pytest.mark.parametrize("chunk", [1, 8])
def test_what_hangs_is_ended_and_the_others_do_not_notice(chunk: int) -> None:
    start = time.monotonic()
    found = rules(each(time.sleep, [0, 60, 0, 0], seconds=lambda _: 0.5, chunk=chunk))
    assert found == [None, "took_too_long", None, None]
    assert time.monotonic() - start < 30


@pytest.mark.parametrize("chunk", [1, 3])
def test_what_kills_its_process_is_named(chunk: int) -> None:
    assert rules(each(os._exit, [3, 4], seconds=lambda _: 10, chunk=chunk)) == ["reader_crashed"] * 2


def test_memory_is_bounded() -> None:
    found = rules(each(bytearray, [10, 1 << 40, 600 << 20, 20], seconds=lambda _: 10, memory_bytes=500 << 20))
    assert found == [bytearray(10), "too_much_memory", "too_much_memory", bytearray(20)]


def test_an_error_is_a_refusal_that_quotes_nothing() -> None:
    found = list(each(int, ["3", "DOE^JANE"], seconds=lambda _: 10, chunk=2))
    assert found[0] == 3
    assert found[1] == Refusal("reader_failed", "unexpected ValueError")


def test_the_callers_script_is_not_run_again(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    call = "from pipeline.scans.workers import each; print(*each(abs, [-1], seconds=lambda _: 9))"
    script.write_text(f"print('run'); {call}")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)  # noqa: S603 - our own
    assert done.stdout.split() == ["run", "1"]


HUNG = """
import os, time
from pathlib import Path

def hang(folder):
    (folder / "begun").write_text(str(os.getpid()))
    time.sleep(600)
"""


def test_a_child_that_hangs_does_not_outlive_a_killed_caller(tmp_path: Path) -> None:
    (tmp_path / "hung.py").write_text(HUNG)
    call = "list(each(hung.hang, [Path(__file__).parent], seconds=lambda _: 600))"
    script = tmp_path / "script.py"
    script.write_text(f"import hung\nfrom pathlib import Path\nfrom pipeline.scans.workers import each\n{call}")
    caller = subprocess.Popen([sys.executable, script])  # noqa: S603 - our own
    begun, deadline = tmp_path / "begun", time.monotonic() + 60
    while not (begun.exists() and begun.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    caller.kill()
    caller.wait()
    status = Path("/proc", begun.read_text(), "stat")
    while status.exists() and ") Z " not in status.read_text():  # Z: it has ended, and nobody has cleared it away
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_full_disk_ends_the_work_and_loses_no_item_in_silence() -> None:
    with pytest.raises(OSError, match="No space left"):
        list(each(Path("/dev/full").write_bytes, [b"x" * 100], seconds=lambda _: 10))


def test_without_a_temporary_folder_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> str:
        raise FileNotFoundError

    monkeypatch.setattr(tempfile, "gettempdir", none)
    with pytest.raises(ContractError, match="TMPDIR"):
        list(each(abs, [1], seconds=lambda _: 10))
