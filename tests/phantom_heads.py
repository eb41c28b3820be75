"""Phantom heads that several tests hold against each other."""

from functools import cache

import numpy as np

from data_contracts.manifest import NO_TUMOUR, TUMOUR
from pipeline.scans.phantom import PhantomConfig, phantom
from pipeline.synthesis.lesions import LesionBank, lesion_bank

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


@cache
def bank(side: int) -> LesionBank:
    """Middle slices of twenty phantom heads, half of them with a tumour; heights are known."""
    slices, masks, diagnoses, groups, positions = [], [], [], [], []
    for number in range(20):
        config = PhantomConfig(slices=5, size=side, spacing_mm=(8.0, 200 / side, 200 / side), noise=(0.01, 0.02))
        drawn = phantom(rng=np.random.default_rng([7, number]), tumour=number % 2 == 0, config=config)
        for z, (voxels, mask) in enumerate(zip(drawn.voxels, drawn.mask, strict=True)):
            if number % 2 == 0 and mask.sum() < side**2 / 300:
                continue
            grey = np.median(voxels[voxels > 0.3 * np.percentile(voxels, 99)])
            slices.append(2 * np.clip(voxels / (2 * grey), 0, 1)[None] - 1)
            masks.append(mask)
            diagnoses.append(NO_TUMOUR if number % 2 else TUMOUR)
            groups.append(f"group-{number}")
            positions.append(z / 4)
    return lesion_bank(
        real=np.stack(slices).astype(np.float32),
        masks=np.stack(masks),
        diagnoses=diagnoses,
        groups=groups,
        positions=positions,
    )
