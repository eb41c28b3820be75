"""Small studies with painted slices, through the command line, on phantoms."""

import subprocess
from collections.abc import Callable
from pathlib import Path

from data_contracts.results import ARMS, PASTED_ARM
from pipeline.run_dir import RunDir

Command = Callable[..., "subprocess.CompletedProcess[str]"]


def config(strategy: str, *, utility: str = "", more: str = "") -> str:
    """TOML of the smallest study by this strategy; utility: more keys of that table; more: further tables."""
    return f"""
[synthesis]
strategy = "{strategy}"

[painter]
images = 512
tick = 256

[painter.network]
width = 8
max_width = 16

[utility]
arms = {[*ARMS, PASTED_ARM]}
seeds = 1
doses = []
controls = false
{utility}

[transfer.classifier]
steps = 10
{more}
"""


def run_study(
    root: Path, source: Path, augment_mri: Command, *options: object, config: str, timeout: float = 300
) -> RunDir:
    """Run it into `root`, and see that it ends well."""
    toml = root.with_suffix(".toml")
    toml.write_text(config)
    told = ("--preset", "smoke", "--seed", 5, "--config", toml, *options)
    done = augment_mri("run", source, "--out", root, *told, timeout=timeout)
    assert done.returncode == 0, done.stderr
    return RunDir(root)
