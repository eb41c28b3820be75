"""What this machine is, in words that name neither it nor its user."""

import contextlib
import os
import platform
import sys
from pathlib import Path

import torch

from data_contracts.machine import Machine
from pipeline.compute import best_compute

GIB = 2**30


def this_machine() -> Machine:
    """Processor, memory, accelerators, system and precision, as far as the system tells them."""
    accelerators = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return Machine(
        processor=_processor(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        threads=torch.get_num_threads(),
        memory_gib=_memory_gib(),
        accelerators=tuple(accelerators),
        system=_system(),
        python=platform.python_version(),
        precision=str(best_compute()),
    )


def peak_memory_gib() -> float | None:
    """Largest resident set so far of this process or of one that it began and that has ended, whichever is larger."""
    try:
        import resource  # noqa: PLC0415 - not there on Windows
    except ImportError:
        return None
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return peak / GIB if sys.platform == "darwin" else peak * 1024 / GIB


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _memory_gib() -> float | None:
    """What is there, or what the container that this runs in may use of it."""
    there = []
    with contextlib.suppress(ValueError, OSError, AttributeError):
        there.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    with contextlib.suppress(ValueError, OSError):  # "max" where there is no limit
        there.append(int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return min(there) / GIB if there else None


def _system() -> str:
    name = f"{platform.system()} {platform.release()}"
    with contextlib.suppress(OSError):
        name = platform.freedesktop_os_release()["PRETTY_NAME"]
    return f"{name}, {platform.machine()}"
