"""From a trained generator and seeds to images: one seed, one image, whatever else is sampled with it."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.synthesis.model_dir import TrainedGan
from pipeline.synthesis.networks.lean import Generator

BATCH = 32  # always this many at once, so that the arithmetic of one image never depends on its companions


def parse_seeds(text: str) -> list[int]:
    """`6600-6625` and `1,5,9` and mixtures of both, as a list. Raises ValueError that says what is allowed."""
    seeds: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdigit() or (dash and not last.isdigit()) or (dash and int(last) < int(first)):
            raise ValueError(f"seeds are numbers and ranges such as 6600-6625 or 1,5,9, not {part.strip()!r}")
        seeds.extend(range(int(first), int(last or first) + 1))
    return seeds


def latent(seed: int, trained: TrainedGan, truncation: float) -> tuple[torch.Tensor, int]:
    """Latent (latent_dim,) and condition of one seed; the condition is drawn as often as it stood in training.

    truncation in (0, 1] shrinks the latent towards its mean: less variety, fewer odd images (Brock et al. 2019).
    """
    rng = torch.Generator().manual_seed(seed)
    z = torch.randn(trained.network.latent_dim, generator=rng) * truncation
    counts = torch.tensor(trained.condition_counts, dtype=torch.float)
    return z, int(torch.multinomial(counts, 1, generator=rng))


@torch.no_grad()
def sample(
    generator: Generator, trained: TrainedGan, *, seeds: Sequence[int], truncation: float = 1.0
) -> NDArray[np.float32]:
    """Images float32 (len(seeds), 1, S, S) in [-1, 1], computed in float32 on the CPU."""
    pairs = [latent(seed, trained, truncation) for seed in seeds]
    images = np.empty((len(seeds), 1, trained.network.image_size, trained.network.image_size), np.float32)
    for start in range(0, len(seeds), BATCH):
        block = pairs[start : start + BATCH]
        filled = block + [block[0]] * (BATCH - len(block))
        z = torch.stack([z for z, _ in filled])
        c = torch.tensor([c for _, c in filled])
        images[start : start + len(block)] = generator(z, c)[: len(block)].numpy()
    return images
