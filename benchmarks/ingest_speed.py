"""Ingest against a plain loop: MONAI's LoadImage and the same work on each slice, one after the other.

Both run on this machine in turn, and the ratio of their medians is what counts. Then a second ingest of the same,
unchanged source.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
from monai.transforms import LoadImage
from numpy.typing import NDArray

from pipeline.run_dir import RunDir
from pipeline.scans import duplicates
from pipeline.scans.ingest import ingest
from pipeline.scans.inputs import IngestConfig
from pipeline.scans.phantom import write_phantoms
from pipeline.scans.quality import examine

EVERYTHING = IngestConfig(window=(0.0, 1.0), match_position=False)


def plain_loop(source: Path, out: Path) -> None:
    """Every image and mask loaded by MONAI, each slice examined, prepared for the search of copies and written."""
    load = LoadImage(image_only=True, ensure_channel_first=False, dtype=None)
    for path in sorted(source.rglob("*")):
        if path.suffix not in {".png", ".gz"} or "_mask" in path.name:
            continue
        mask = np.asarray(load(path.with_name(path.name.replace(".", "_mask.", 1).replace("_FLAIR_mask", "_mask"))))
        for z, (pixels, marked) in enumerate(zip(sections(np.asarray(load(path))), sections(mask), strict=True)):
            examined = examine(pixels)
            if examined.usable and examined.head is not None:
                duplicates.pixel_digest(pixels)
                duplicates.features(pixels, head=examined.head)
                np.savez(out / f"{path.parent.name}-{path.name}-{z:03d}.npz", pixels=pixels, mask=marked)


def sections(volume: NDArray[Any]) -> list[NDArray[Any]]:
    volume = volume if volume.ndim == 3 else volume[..., None]
    return [np.ascontiguousarray(section.T) for section in np.moveaxis(volume, -1, 0)]


def our_ingest(source: Path, out: Path) -> None:
    ingest(source=source, out=RunDir(out), config=EVERYTHING, seed=0)


def seconds(work: Callable[[Path, Path], object], source: Path, out: Path) -> float:
    out.mkdir(exist_ok=True)
    start = time.perf_counter()
    work(source, out)
    return time.perf_counter() - start


def compare(folder: Path, kind: Literal["png", "nifti"], *, subjects: int, repeats: int) -> None:
    source = folder / "scans"
    write_phantoms(out=source, subjects=subjects, format=kind, seed=0)
    loop, ours, again = [], [], []
    for i in range(repeats):  # in turn, so that a busy moment of the machine meets all
        loop.append(seconds(plain_loop, source, folder / f"loop-{i}"))
        ours.append(seconds(our_ingest, source, folder / f"ours-{i}"))
        again.append(seconds(our_ingest, source, folder / f"ours-{i}"))
    plain, first, second = (statistics.median(times) for times in (loop, ours, again))
    print(f"{kind}: plain loop {plain:.1f} s, ingest {first:.1f} s: {plain / first:.2f} x")
    print(f"{kind}: unchanged source again {second:.2f} s: {first / second:.0f} x", flush=True)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--subjects", type=int, default=100)
    arguments.add_argument("--repeats", type=int, default=3)
    chosen = arguments.parse_args()
    for kind in ("png", "nifti"):
        with tempfile.TemporaryDirectory() as folder:
            compare(Path(folder), kind, subjects=chosen.subjects, repeats=chosen.repeats)


if __name__ == "__main__":
    main()
