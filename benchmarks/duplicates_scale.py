"""Copies among 1,000 to 100,000 slices: seconds, growth, memory, and the share of planted copies that is found.

Features of phantom heads are measured, and more are drawn with their mean and covariance, as so many phantoms would
take hours: subjects are walks through that distribution, so that neighbouring slices are alike. Copies of slices of
other subjects are planted, half of them mirrored, in one framing only and just above the threshold or well above it.
Real copies agree in several framings, so the recall here is a lower bound. Growth is the exponent of the processor's
seconds between two rows (other work on the machine stretches the clock; set OMP_NUM_THREADS=1 to count no waiting
threads); it is steep where one bucket first becomes several tables. Memory is that of the process beside the
file of features, which lies on disk.
"""

import math
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.scans.duplicates import AGREEMENT, BAND, FEATURES, FRAMINGS, features, near_duplicates, tables_needed
from pipeline.scans.normalise import NormaliseConfig, measure
from pipeline.scans.phantom import PhantomConfig, phantom

SIZES = (1_000, 3_000, 10_000, 30_000, 100_000)
HEADS = 40  # measured phantoms
NEIGHBOUR = 0.9  # correlation of a slice with the next one of its subject
PER_SUBJECT = 100
COPIES = 50  # of each kind, so that all sizes plant as many
KINDS = (AGREEMENT + 0.01, 0.93, 0.98)
BLOCK = 100 * PER_SUBJECT
Features = NDArray[np.float32]


def measured() -> Features:
    """Features of every slice of HEADS phantoms that holds enough of a head."""
    heads = (
        phantom(rng=np.random.default_rng([0, number]), tumour=number % 2 == 1, config=PhantomConfig())
        for number in range(HEADS)
    )
    slices = (one for head in heads for one in head.voxels[6:19])
    found = [features(one, head=measure(one, NormaliseConfig(size=48))) for one in slices]
    return np.stack(found).astype(np.float32)


def standardised(found: Features) -> Features:
    """Each framing of length 1."""
    framed = found.reshape(len(found), FRAMINGS, BAND * BAND)
    return (framed / np.linalg.norm(framed, axis=2, keepdims=True)).reshape(len(found), FEATURES)


def write(path: Path, n: int, real: Features, rng: np.random.Generator) -> NDArray[np.float16]:
    """n rows of features on disk, a subject every PER_SUBJECT rows."""
    mean = real.mean(axis=0)
    # a random mixture of the deviations of measured slices has their covariance
    deviations = (real - mean) / math.sqrt(len(real))
    rows = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=(n, FEATURES))
    for start in range(0, n, BLOCK):
        many = min(BLOCK, n - start)
        walk = rng.standard_normal((math.ceil(many / PER_SUBJECT), PER_SUBJECT, len(real)), dtype=np.float32)
        for z in range(1, PER_SUBJECT):
            walk[:, z] = NEIGHBOUR * walk[:, z - 1] + math.sqrt(1 - NEIGHBOUR**2) * walk[:, z]
        drawn = mean + walk.reshape(-1, len(real))[:many] @ deviations
        rows[start : start + many] = standardised(drawn)
    rows.flush()
    return rows


def plant(rows: NDArray[np.float16], agreement: float, which: NDArray[np.int64], rng: np.random.Generator) -> None:
    """Overwrite rows which[1] by copies of which[0] that agree by `agreement` in one framing drawn at random."""
    mirror = np.where(np.arange(BAND * BAND) < BAND * BAND // 2, 1, -1)
    for at, (i, j) in enumerate(which.T):
        copy = rows[j].astype(np.float32).reshape(FRAMINGS, -1)
        framing = rng.integers(FRAMINGS)
        original = rows[i].astype(np.float32).reshape(FRAMINGS, -1)[framing]
        other = copy[framing] - (copy[framing] @ original) * original
        copy[framing] = agreement * original + math.sqrt(1 - agreement**2) * other / np.linalg.norm(other)
        copy[framing] *= mirror if at % 2 else 1
        rows[j] = copy.ravel()


def own_memory() -> float:
    """MiB of this process that are no file's: a mapped file's pages may be taken back at any time."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon"))


class Peak:
    """Highest own_memory above the start while the block runs."""

    def __enter__(self) -> "Peak":
        self.start, self.most, self.over = own_memory(), 0.0, threading.Event()
        self.watch = threading.Thread(target=self.look)
        self.watch.start()
        return self

    def look(self) -> None:
        while not self.over.wait(0.02):
            self.most = max(self.most, own_memory() - self.start)

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.watch.join()


def row(n: int, folder: Path, real: Features, *, known: bool) -> tuple[float, str]:
    """Seconds of the processor, and a row of the table."""
    rng = np.random.default_rng(n)
    path = folder / "features.npy"
    rows = write(path, n, real, rng)
    drawn = rng.permutation(n)[: 2 * COPIES * len(KINDS)].reshape(len(KINDS), 2, COPIES)
    for agreement, which in zip(KINDS, drawn, strict=True):
        plant(rows, agreement, which, rng)
    rows.flush()
    subjects = np.arange(n) // PER_SUBJECT if known else np.full(n, -1)
    with Peak() as peak:
        start, busy = time.perf_counter(), time.process_time()
        pairs = near_duplicates(features=np.load(path, mmap_mode="r"), subjects=subjects, seed=0)
        seconds, busy = time.perf_counter() - start, time.process_time() - busy
    found = {*pairs}
    wanted = [
        {(min(i, j), max(i, j)) for i, j in which.T.tolist() if not known or subjects[i] != subjects[j]}
        for which in drawn
    ]
    shares = "  ".join(f"{len(found & kind) / len(kind):5.2f}" for kind in wanted)
    others = len(found.difference(*wanted))
    return (
        busy,
        f"{n:>7}  {tables_needed(n):>6}  {seconds:7.1f}  {busy:7.1f}  {{}}  {peak.most:6.0f}  {shares}  {others:>8}",
    )


def main() -> None:
    """Print the table."""
    real = measured()
    closest = real.reshape(len(real), FRAMINGS, -1)[:, 2]
    print(
        f"{len(real)} phantom slices measured; their heads agree by {np.median(closest @ closest.T):.2f} in the median"
    )
    print("agreement of planted copies: " + ", ".join(f"{kind:.2f}" for kind in KINDS) + f"; wanted: {AGREEMENT}")
    print(" slices  tables  seconds      cpu  growth     MiB   found of each kind    other pairs")
    with tempfile.TemporaryDirectory() as folder:
        before: tuple[int, float] | None = None
        for n in SIZES:
            seconds, line = row(n, Path(folder), real, known=True)
            growth = math.log(seconds / before[1]) / math.log(n / before[0]) if before else math.nan
            print(line.format(f"{growth:6.2f}"), flush=True)
            before = n, seconds
        print("all subjects unknown, so that neighbours count as copies of one another:")
        print(row(10_000, Path(folder), real, known=False)[1].format("      "))


if __name__ == "__main__":
    main()
