"""`augment-mri doctor`: what this machine can do, in the terms that decide presets and times."""

import os
import shutil
import sys
from importlib import metadata
from pathlib import Path

import torch

from pipeline.compute import best_compute


def findings() -> dict[str, str]:
    """Subject -> finding, in the order to show."""
    free = shutil.disk_usage(Path.cwd()).free / 2**30
    compute = best_compute()
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none; presets smoke and quick suit a CPU"
    return {
        "program": f"augment-mri {metadata.version('augment-mri')}, Python {sys.version.split()[0]}",
        "compute": f"{compute}, {torch.get_num_threads()} threads, {os.cpu_count()} cores",
        "gpu": gpu,
        "bf16": "native" if compute.autocast_dtype else "not native: training runs in float32, about half as fast",
        "disk": f"{free:.0f} GiB free here",
        "prefect": metadata.version("prefect"),
    }
