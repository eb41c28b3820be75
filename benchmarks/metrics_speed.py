"""Precision, recall, density and coverage of n x n x 512 features: time and memory beside the `prdc` package.

    python benchmarks/metrics_speed.py [--repeats 3] [--compared 10000] [--largest 20000]

Each side runs in a child process of its own, in turns, so that both meet the same load of the machine; the ratio is
of the medians. Seconds are of the computation alone, MiB the child's peak resident memory, its imports included.
The four figures must agree to 1e-6. The largest size runs with ours alone: prdc would want tens of gigabytes.
"""

import argparse
import contextlib
import io
import json
import os
import resource
import statistics
import subprocess
import sys
import time
import warnings
from typing import Any

import numpy as np

DIMENSIONS, K, SHIFT = 512, 5, 0.02
MEASURES = ("precision", "recall", "density", "coverage")


def side(name: str, n: int) -> dict[str, float]:
    """Run one side on features of two overlapping sets."""
    rng = np.random.default_rng(0)
    # a few directions vary most, as in features of images
    scales = (1 / np.sqrt(1 + np.arange(DIMENSIONS))).astype(np.float32)
    training, candidate = (rng.standard_normal((n, DIMENSIONS), dtype=np.float32) * scales for _ in range(2))
    candidate += SHIFT
    if name == "ours":
        from pipeline.evidence.fidelity import manifold, neighbourhoods  # noqa: PLC0415  # torch is not prdc's memory

        start, busy = time.perf_counter(), time.process_time()
        near_candidate, near_training = neighbourhoods(candidate, k=K), neighbourhoods(training, k=K)
        of = manifold(
            candidate=candidate, training=training, near_candidate=near_candidate, near_training=near_training, k=K
        )
        found = {measure: getattr(of, measure) for measure in MEASURES}
    else:
        from prdc import compute_prdc  # noqa: PLC0415

        warnings.simplefilter("ignore")
        start, busy = time.perf_counter(), time.process_time()
        with contextlib.redirect_stdout(io.StringIO()):
            found = {measure: float(value) for measure, value in compute_prdc(training, candidate, K).items()}
    took = {"seconds": time.perf_counter() - start, "cpu": time.process_time() - busy}
    return found | took | {"mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def in_child(name: str, n: int) -> dict[str, Any]:
    command = [sys.executable, __file__, "--side", name, "--compared", str(n)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--compared", type=int, default=10_000)
    parser.add_argument("--largest", type=int, default=20_000)
    parser.add_argument("--side", choices=("ours", "prdc"))
    given = parser.parse_args()
    if given.side:
        print(json.dumps(side(given.side, given.compared)))
        return
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before; {DIMENSIONS} features, k = {K}")
    print(
        f"{'side':>6} {'n':>7} {'seconds':>8} {'cpu':>8} {'MiB':>7}  "
        + "  ".join(f"{measure:>9}" for measure in MEASURES)
    )
    runs: dict[str, list[dict[str, Any]]] = {"ours": [], "prdc": []}
    for _ in range(given.repeats):
        for name, found in runs.items():
            found.append(in_child(name, given.compared))
            print(line(name, given.compared, found[-1]), flush=True)
    for measure in MEASURES:
        assert abs(runs["ours"][0][measure] - runs["prdc"][0][measure]) <= 1e-6, measure

    def middle(name: str, what: str) -> float:
        return statistics.median(one[what] for one in runs[name])

    ratio = {
        what: statistics.median(one[what] for one in runs["prdc"])
        / statistics.median(one[what] for one in runs["ours"])
        for what in ("seconds", "cpu", "mib")
    }
    print(f"prdc over ours at {given.compared}: " + ", ".join(f"{what} {times:.1f}" for what, times in ratio.items()))
    print(line("ours", given.largest, in_child("ours", given.largest)))


def line(name: str, n: int, found: dict[str, Any]) -> str:
    return f"{name:>6} {n:>7} {found['seconds']:8.2f} {found['cpu']:8.2f} {found['mib']:7.0f}  " + "  ".join(
        f"{found[measure]:9.6f}" for measure in MEASURES
    )


if __name__ == "__main__":
    main()
