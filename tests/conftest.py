import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

# `report_records` and `phantom_heads` are shared by tests, which are imported without a path of their own
sys.path.append(str(Path(__file__).parent))

SHARED = Path(__file__).parents[2] / "shared" / "data"

Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    if not SHARED.is_dir():
        pytest.skip(f"real MRI is not here: no folder {SHARED}")
    return SHARED


@pytest.fixture(scope="session")
def augment_mri() -> Command:
    """Run the installed command line as a user does, in a process of its own."""

    def run(*arguments: object, timeout: float = 300) -> "subprocess.CompletedProcess[str]":
        program = Path(sys.executable).with_name("augment-mri")
        command = [str(program), *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)  # noqa: S603

    return run


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory, augment_mri: Command) -> Path:
    """A source of 24 phantoms; of each module its own, for some add to it."""
    folder = tmp_path_factory.mktemp("source") / "phantoms"
    done = augment_mri("phantom", folder, "--subjects", 24, "--format", "png", "--seed", 3)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    """Debian's chromium; ended with its module, because while it runs no other event loop can."""
    playwright = pytest.importorskip("playwright.sync_api", reason="no Playwright here: make install")
    arguments = ["--disable-gpu", *(["--no-sandbox"] if os.geteuid() == 0 else [])]  # root has no sandbox
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=shutil.which("chromium"), args=arguments)
        yield chromium
        chromium.close()
