"""A report is drawn where torch and its like are missing, twice to the same bytes, and errors keep their codes."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from report_records import full_summary, painted_summary, write_pictures

from pipeline.run_dir import RunDir, write_record

ABSENT = ("torch", "monai", "prefect", "nibabel", "pydicom", "SimpleITK", "sklearn", "scipy", "safetensors", "tifffile")
PROGRAM = """
import sys
from importlib.abc import MetaPathFinder

class Absent(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {absent!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}: taken away for this test", name=name)

sys.meta_path.insert(0, Absent())
sys.argv = ["augment-mri", *sys.argv[1:]]
from flows.cli import main
main()
"""


def without_torch(*arguments: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", PROGRAM.format(absent=ABSENT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)  # noqa: S603


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    top = tmp_path_factory.mktemp("runs")
    for name, summary in (("whole", full_summary()), ("painted", painted_summary())):
        write_record(RunDir(top / name).summary, summary)
        write_pictures(summary, top / name)
    return top


def test_what_was_taken_away_is_gone() -> None:
    done = without_torch("--debug", "doctor")
    assert done.returncode == 1
    assert "taken away for this test" in done.stderr


@pytest.mark.parametrize("name", ["whole", "painted"])
def test_a_report_needs_none_of_it_and_takes_the_same_bytes_twice(runs: Path, tmp_path: Path, name: str) -> None:
    pages = [tmp_path / f"{name}-{again}.html" for again in range(2)]
    for page in pages:
        done = without_torch("--debug", "report", runs / name, "--out", page)
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip() == str(page)
    first, second = (page.read_bytes() for page in pages)
    assert first == second
    assert b"Provenance" in first


def test_so_does_an_index_of_many(runs: Path, tmp_path: Path) -> None:
    done = without_torch("--debug", "report", "--index", runs, "--out", tmp_path / "index.html")
    assert done.returncode == 0, done.stderr
    assert "2 finished" in (tmp_path / "index.html").read_text().replace("\N{NO-BREAK SPACE}", " ")


def test_errors_keep_their_line_and_their_code(runs: Path, tmp_path: Path) -> None:
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "summary.json").write_text('{"schema_version"')
    for arguments, said in (
        (("report", tmp_path), "no finished run"),
        (("report", tmp_path / "torn"), "not whole"),
        (("report", runs / "whole", "--out", tmp_path), "is a folder"),
        (("report", "--index", tmp_path / "none"), "is no folder"),
        (("report",), "name one of the two"),
        (("report", runs / "whole", "--index", runs), "name one of the two"),
    ):
        done = without_torch(*arguments)
        assert done.returncode == 2, done.stderr
        assert done.stderr.startswith("error: ")
        assert done.stderr.count("\n") == 1
        assert said in done.stderr


def test_the_readme_names_what_a_report_needs() -> None:
    """What it says to install is among the dependencies, and none of it is what the report does without."""
    root = Path(__file__).parents[1]
    told = re.search(r"pip install -c constraints\.txt ([a-z0-9 -]+)", (root / "README.md").read_text())
    assert told is not None
    named = set(told[1].split())
    known = {
        re.split(r"[<>=\[]", one)[0]
        for one in tomllib.loads((root / "pyproject.toml").read_text())["project"]["dependencies"]
    }
    assert named <= known
    assert not named & {name.lower() for name in ABSENT}
