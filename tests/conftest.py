import subprocess
import sys
from collections.abc import Callable
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
