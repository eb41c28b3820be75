"""Phantom heads that several tests hold against each other."""

from functools import cache

import numpy as np

from pipeline.scans.phantom import PhantomConfig, phantom

SIDE, SUBJECTS, SLICES = 32, 40, 5
GROUPS = [f"s{i // SLICES}" for i in range(SUBJECTS * SLICES)]  # the subject of each slice


@cache
def heads(seed):
    """200 slices of 40 phantom heads, float32 (200, 1, 32, 32) in [-1, 1]."""
    config = PhantomConfig(slices=SLICES, size=SIDE, spacing_mm=(8.0, 6.0, 6.0))
    found = []
    for number in range(SUBJECTS):
        voxels = phantom(rng=np.random.default_rng([seed, number]), tumour=number % 2 == 0, config=config).voxels
        found.append(np.clip(voxels / np.percentile(voxels, 99.5), 0, 1) * 2 - 1)
    return np.concatenate(found)[:, None].astype(np.float32)
