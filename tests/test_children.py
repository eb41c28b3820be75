"""Children say what they do and how it ended; Ctrl-C does not reach them, and none outlives its parent."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from data_contracts.violations import ContractError, Violation
from pipeline import children
from pipeline.children import Done, Failed, Parent

NEVER = 600  # seconds


class Odd(Exception):
    """Of a kind of its own, with something that its text does not say."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def answer(parent: Parent, how: str) -> int:
    """Tell that it is there, wait to be told to go on, and end in the way named."""
    parent.tell(("here", os.getpid()))
    while not parent.has_spoken():
        time.sleep(0.01)
    if how == "fail":
        raise Odd(7)
    if how == "be killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "exit":
        sys.exit(3)
    return 5


def work_without_end(parent: Parent, folder: Path, deaf: bool = False) -> None:
    """Work without end; tidy up when it is ended, unless it does not hear that."""
    if deaf:
        children.GRACE_SECONDS = 1  # type: ignore[misc]  # a constant, made smaller in this process
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        (folder / "part").write_text("half written")
        (folder / "begun").write_text(str(os.getpid()))
        time.sleep(NEVER)
    finally:
        (folder / "part").unlink()


@pytest.fixture(scope="module", autouse=True)
def importable() -> Iterator[str]:
    """Children find this module as we are called here."""
    root = Path(__file__).parents[1] if __name__.startswith("tests.") else Path(__file__).parent
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(root))
        yield str(root)


def wait_until(true: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def runs(pid: int) -> bool:
    """Whether it is there and more than an entry that nobody has cleared away."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def begun(folder: Path) -> int:
    """The process that works in this folder, when it does."""
    path = folder / "begun"
    wait_until(lambda: path.exists() and path.read_text() != "")
    return int(path.read_text())


def test_a_child_says_what_it_does_and_how_its_work_ended() -> None:
    here = {
        how: children.begin(answer, how, where=f"the one to {how}") for how in ("return", "fail", "be killed", "exit")
    }
    last = {}
    for how, child in here.items():
        assert child.hear() == ("here", child.process.pid)
        before = time.monotonic()
        child.tell("go on")
        try:
            last[how] = child.hear()
        except EOFError:
            last[how] = child.how_it_ended()
        if how == "fail":
            assert before < last[how].at < time.monotonic()
    assert last["return"] == Done(5)
    assert isinstance(last["fail"], Failed)
    assert isinstance(last["fail"].error, Odd)
    assert last["fail"].error.number == 7
    assert last["fail"].error.__notes__[0].startswith("the one to fail:\nTraceback")
    assert "raise Odd(7)" in last["fail"].error.__notes__[0]
    assert last["be killed"] == "was ended by SIGKILL"
    assert last["exit"] == "ended with exit code 3"
    for how in ("return", "fail"):
        with pytest.raises(EOFError):
            here[how].hear()
        here[how].tell("are you there")  # nobody hears it, and nothing is raised
        assert here[how].how_it_ended() == "ended with exit code 0"
    children.end(list(here.values()))


def test_an_error_that_cannot_travel_tells_its_kind() -> None:
    class Local(Exception):
        pass

    told = children.portable(Local("what"), "here")
    assert (type(told), str(told)) == (RuntimeError, "Local: what")
    assert told.__notes__[0].startswith("here:\n")
    assert type(children.portable(Odd(3), "here")) is Odd
    broken = ContractError([Violation("file-0001", "rule", "detail")])  # whose copy would have another text
    assert str(children.portable(broken, "here")) == f"ContractError: {broken}"


@pytest.mark.parametrize("deaf", [False, True])
def test_ctrl_c_does_not_reach_a_child_and_its_end_leaves_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deaf: bool
) -> None:
    child = children.begin(work_without_end, tmp_path, deaf, where="it")
    pid = begun(tmp_path)
    os.kill(pid, signal.SIGINT)
    time.sleep(0.2)
    assert runs(pid)
    assert (tmp_path / "part").exists()
    if deaf:
        monkeypatch.setattr(children, "GRACE_SECONDS", 0.2)
    children.end([child])
    assert not runs(pid)
    assert (tmp_path / "part").exists() == deaf
    assert child.how_it_ended() == ("was ended by SIGKILL" if deaf else "ended with exit code 1")


SCRIPT = """
import sys
from pathlib import Path
from {module} import begun, work_without_end
from pipeline import children

print("run", flush=True)
children.begin(work_without_end, Path(sys.argv[1]), {deaf}, where="it")
begun(Path(sys.argv[1]))
input()
"""


@pytest.mark.parametrize("deaf", [False, True])
def test_a_child_ends_with_its_parent_and_does_not_run_its_script_again(
    tmp_path: Path, importable: str, deaf: bool
) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(module=__name__, deaf=deaf))  # without a guard
    process = subprocess.Popen(  # noqa: S603 - our own
        [sys.executable, str(script), str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": importable},
    )
    child = begun(tmp_path)
    assert runs(child)
    process.kill()
    said, _ = process.communicate(timeout=60)
    assert said.split() == ["run"]
    wait_until(lambda: not runs(child))
    assert (tmp_path / "part").exists() == deaf
