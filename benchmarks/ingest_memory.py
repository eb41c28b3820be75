"""The most memory that an ingest takes, from 1,000 to 100,000 phantom slices; each size in a process of its own."""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from pipeline.formats.nifti import write_volume
from pipeline.run_dir import RunDir
from pipeline.scans.ingest import ingest
from pipeline.scans.inputs import IngestConfig
from pipeline.scans.phantom import PhantomConfig, phantom

SLICES = 50  # a volume
CONFIG = PhantomConfig(slices=SLICES, size=64, spacing_mm=(3.0, 3.0, 3.0))


def write_source(folder: Path, slices: int) -> None:
    for i in range(slices // SLICES):
        voxels = phantom(rng=np.random.default_rng(i), tumour=i % 2 == 0, config=CONFIG).voxels
        grey = np.clip(voxels / voxels.max() * 255, 0, 255).astype(np.uint8)
        subject = folder / ("yes", "no")[i % 2] / f"sub-{i:05d}"
        subject.mkdir(parents=True)
        write_volume(subject / f"sub-{i:05d}_FLAIR.nii", grey, (3.0, 3.0, 3.0))


def peak_of(process: "subprocess.Popen[str]") -> int:
    """Most bytes held at one time by the process and its children together, looked at five times a second.

    Pages of their own (RssAnon): pages of mapped files belong to the system, which takes them back when it likes.
    """
    peak = 0
    while process.poll() is None:
        family, held = {str(process.pid)}, 0
        for status in sorted(Path("/proc").glob("[0-9]*/status"), key=lambda path: int(path.parent.name)):
            try:
                facts = dict(line.split(":", 1) for line in status.read_text().splitlines())
            except OSError:
                continue  # it has ended meanwhile
            if status.parent.name in family or facts["PPid"].strip() in family:
                family.add(status.parent.name)
                held += 1024 * int(facts.get("RssAnon", "0 kB").split()[0])
        peak = max(peak, held)
        time.sleep(0.2)
    return peak


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--largest", type=int, default=10_000)
    arguments.add_argument("--ingest", nargs=2, type=Path, help=argparse.SUPPRESS)  # what the child is told
    chosen = arguments.parse_args()
    if chosen.ingest:
        source, out = chosen.ingest
        config = IngestConfig(window=(0.0, 1.0), match_position=False)
        record = ingest(source=source, out=RunDir(out), config=config, seed=0)
        print(f"{record.slices_read:,} read, {record.slices_used:,} used, {record.near_duplicate_pairs:,} near pairs")
        return
    size, first = 1_000, 0
    while size <= chosen.largest:
        with tempfile.TemporaryDirectory() as folder:
            write_source(Path(folder) / "scans", size)
            command = [sys.executable, __file__, "--ingest", f"{folder}/scans", f"{folder}/dataset"]
            start = time.perf_counter()
            process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own words
            peak = peak_of(process)
            said = process.communicate()[0].strip()
            assert process.returncode == 0
        first = first or peak
        taken = time.perf_counter() - start
        memory = f"peak {peak / 1e6:.0f} MB, {peak / first:.2f} x the first"
        print(f"{size:>7,} slices: {memory}; {taken:.0f} s; {said}", flush=True)
        size *= 10


if __name__ == "__main__":
    main()
