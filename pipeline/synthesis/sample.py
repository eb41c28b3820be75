"""From a trained generator and seeds to images: one seed, one image, whatever else is sampled with it; and walks.

Every image is computed alone. Convolutions and matrix products add up in another order for another number of images
at once, which changes the last bit of every pixel; a batch of one gives a seed the same bits in any company, and
seldom costs more than the time of writing the files. (Another number of threads may change it, as in all of torch.)
"""

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from data_contracts.manifest import DIAGNOSES
from pipeline.synthesis.model_dir import TrainedGan

MOST_SEEDS = 1_000_000  # of one command: a range with a digit too many is a slip
LARGEST_SEED = 2**63 - 1  # what torch's generators take
TYPICAL_OF = 64  # latents among which the most typical one is looked for
PARALLEL = 1e-6  # radians from 0 or 180 degrees, where the arc between two latents is not defined


@runtime_checkable
class WithStyles(Protocol):
    """A generator with an intermediate space w, in which it truncates and walks (Karras et al. 2019)."""

    def map(self, z: torch.Tensor, c: torch.Tensor) -> torch.Tensor: ...

    def truncate(self, w: torch.Tensor, c: torch.Tensor, *, psi: float) -> torch.Tensor: ...

    def synthesise(self, w: torch.Tensor) -> torch.Tensor: ...


@dataclass(frozen=True)
class Code:
    """What one image is computed from: truncated w where the generator has that space, else truncated z."""

    vector: torch.Tensor  # float32 (1, ...)
    condition: int


def parse_seeds(text: str) -> list[int]:
    """`6600-6625` and `1,5,9` and mixtures of both, as a list. Raises ValueError that says what is allowed."""
    seeds: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        ends = (first, last) if dash else (first, first)
        if not all(end.isascii() and end.isdigit() and len(end) < 20 for end in ends) or int(ends[1]) < int(ends[0]):
            raise ValueError(f"seeds are numbers and ranges such as 6600-6625 or 1,5,9, not {part.strip()!r}")
        if int(ends[1]) > LARGEST_SEED:
            raise ValueError(f"the largest seed is {LARGEST_SEED}, not {ends[1]}")
        if len(seeds) + int(ends[1]) - int(ends[0]) >= MOST_SEEDS:
            raise ValueError(f"{part.strip()!r} makes more than {MOST_SEEDS:,} seeds; sample them in several calls")
        seeds.extend(range(int(ends[0]), int(ends[1]) + 1))
    return seeds


def parse_counts(text: str) -> dict[str, int]:
    """`tumour=100,no_tumour=50` as {diagnosis: images}. Raises ValueError that says what is allowed."""
    counts: dict[str, int] = {}
    for part in text.split(","):
        diagnosis, _, number = (word.strip() for word in part.partition("="))
        if diagnosis not in DIAGNOSES or not (number.isascii() and number.isdigit() and 0 < len(number) < 8):
            raise ValueError(f"counts are such as tumour=100,no_tumour=50, not {part.strip()!r}")
        if diagnosis in counts:
            raise ValueError(f"{diagnosis} is counted twice; give one number a diagnosis")
        if not 1 <= int(number) <= MOST_SEEDS:
            raise ValueError(f"a count is from 1 to {MOST_SEEDS:,}, not {number}")
        counts[diagnosis] = int(number)
    return counts


def latent(seed: int, trained: TrainedGan) -> tuple[torch.Tensor, int]:
    """Latent float32 (latent_dim,) and condition of one seed; the condition is drawn as often as it stood in training.

    Both follow from the seed, the size of z and the counts of conditions alone, so that two generators of one shape
    (a diagnosis each) make their images of one seed from the same latent.
    """
    rng = torch.Generator().manual_seed(seed)
    z = torch.randn(trained.network.latent_dim, generator=rng)
    counts = torch.tensor(trained.condition_counts, dtype=torch.float)
    return z, int(torch.multinomial(counts, 1, generator=rng))


@torch.no_grad()
def encode(generator: nn.Module, trained: TrainedGan, *, seed: int, condition: int | None = None) -> Code:
    """The code of one seed; `condition` replaces the seed's own."""
    z, c = latent(seed, trained)
    c = c if condition is None else condition
    if isinstance(generator, WithStyles):
        return Code(generator.map(z[None], torch.tensor([c])), c)
    return Code(z[None], c)


def truncation_of(generator: nn.Module, trained: TrainedGan, psi: float) -> Callable[[Code], Code]:
    """The truncation by psi in (0, 1]: 1 leaves codes as they are, less moves each towards what is typical.

    Less variety, more typical images, and a seed's image changes gradually. With w: m + psi (w - m), m the mean w of
    the condition (Karras et al. 2019, appendix B, here at all resolutions). Without: psi of the arc from the latent of
    `typical` to z, which is the same on the sphere near which Gaussian latents lie (White 2016).
    Not Brock et al. 2019, who draw numbers of z beyond a threshold again: that shortens z (by 0.88 for a threshold of
    2, 0.74 for 1.5), as scaling it would, and our generators never saw short latents. Of three trained lean ones at
    64 px (n = 200, precision against their own untruncated images, random features, k = 5, untruncated 0.97 to 0.99)
    a threshold of 1.5 left 0.42 to 0.75 and scaling by 0.7 left 0.24 to 0.66, broken images; this at 0.7, 0.96 to 0.99.
    Raises ValueError outside (0, 1].
    """
    if not 0 < psi <= 1:
        raise ValueError(f"truncation is above 0 and at most 1, not {psi}")
    centre = cache(lambda condition: typical(generator, trained, condition))

    @torch.no_grad()
    def truncate(code: Code) -> Code:
        if psi == 1:
            return code
        if isinstance(generator, WithStyles):
            moved = generator.truncate(code.vector, torch.tensor([code.condition]), psi=psi)
        else:
            moved = slerp(centre(code.condition), code.vector, psi)
        return Code(moved, code.condition)

    return truncate


def typical(generator: nn.Module, trained: TrainedGan, condition: int) -> torch.Tensor:
    """Of the latents of seeds 0 to TYPICAL_OF - 1 that float32 (1, latent_dim) whose image is nearest to their mean."""
    vectors = [latent(seed, trained)[0][None] for seed in range(TYPICAL_OF)]
    images = np.stack([decode(generator, Code(z, condition)) for z in vectors]).astype(np.float64)
    distances = np.square(images - images.mean(axis=0)).sum(axis=(1, 2, 3))
    return vectors[int(distances.argmin())]


@torch.no_grad()
def decode(generator: nn.Module, code: Code) -> NDArray[np.float32]:
    """The image float32 (1, S, S) in [-1, 1] of one code, computed in float32 on the CPU."""
    if isinstance(generator, WithStyles):
        images = generator.synthesise(code.vector)
    else:
        images = generator(code.vector, torch.tensor([code.condition]))
    image: NDArray[np.float32] = images[0].numpy()
    return image


def draw(
    generator: nn.Module, trained: TrainedGan, *, seeds: Sequence[int], truncation: float = 1.0
) -> Iterator[NDArray[np.float32]]:
    """Images float32 (1, S, S) in [-1, 1] of the seeds, one after the other."""
    truncate = truncation_of(generator, trained, truncation)
    for seed in seeds:
        yield decode(generator, truncate(encode(generator, trained, seed=seed)))


def sample(
    generator: nn.Module, trained: TrainedGan, *, seeds: Sequence[int], truncation: float = 1.0
) -> NDArray[np.float32]:
    """Images float32 (len(seeds), 1, S, S) in [-1, 1], the same bits for a seed whatever the other seeds are."""
    images = np.empty((len(seeds), 1, trained.network.image_size, trained.network.image_size), np.float32)
    for i, image in enumerate(draw(generator, trained, seeds=seeds, truncation=truncation)):
        images[i] = image
    return images


def slerp(start: torch.Tensor, end: torch.Tensor, t: float) -> torch.Tensor:
    """Point t in [0, 1] of the arc from `start` to `end`, two vectors of one shape; exactly these at 0 and 1.

    Shoemake 1985, for latents White 2016 (arXiv 1609.04468): Gaussian vectors of many dimensions lie near a sphere,
    and the straight line between two of them leads through its empty inside. The angle is that of the directions, so
    length changes evenly too. Straight where the vectors point the same way or opposite ways.
    """
    a, b = start.double(), end.double()
    cosine = float((a * b).sum() / (a.norm() * b.norm()).clamp_min(1e-300))
    angle = math.acos(max(-1.0, min(1.0, cosine)))
    if min(angle, math.pi - angle) < PARALLEL:
        return torch.lerp(start, end, t)
    mixed = (math.sin((1 - t) * angle) * a + math.sin(t * angle) * b) / math.sin(angle)
    return start if t == 0 else end if t == 1 else mixed.to(start.dtype)


def between(start: Code, end: Code, t: float, *, straight: bool) -> Code:
    """The code t in [0, 1] of the way; the condition is that of the nearer end, so it changes halfway."""
    vector = torch.lerp(start.vector, end.vector, t) if straight else slerp(start.vector, end.vector, t)
    return Code(vector, start.condition if t < 0.5 else end.condition)


def walk(
    generator: nn.Module,
    trained: TrainedGan,
    *,
    seeds: Sequence[int],
    steps: int,
    truncation: float = 1.0,
    condition: int | None = None,
    loop: bool = False,
) -> Iterator[NDArray[np.float32]]:
    """Images float32 (1, S, S) in [-1, 1] along the way from each seed to the next, `steps` apart; with both ends.

    In w straight, since the mapping has made that space straight (Karras et al. 2019, section 4.1); in z along arcs.
    Image 0, `steps`, 2 `steps`, ... are those that `sample` gives for the seeds. With `loop` the way leads back to the
    first. Where the seeds' conditions differ, z walks change theirs halfway, at once (w holds the condition and changes
    it gradually); `condition` holds one all the way, and the seeds' images are then those under it.
    Makes `steps` images a stretch and one more. Raises ValueError for fewer than two seeds or steps below 1.
    """
    if len(seeds) < 2 or steps < 1:
        raise ValueError(f"a walk needs two seeds and one step at least, not {len(seeds)} and {steps}")
    truncate = truncation_of(generator, trained, truncation)
    codes = [truncate(encode(generator, trained, seed=seed, condition=condition)) for seed in seeds]
    stops = [*codes, codes[0]] if loop else codes
    straight = isinstance(generator, WithStyles)
    yield decode(generator, stops[0])
    for start, end in pairwise(stops):
        for step in range(1, steps + 1):
            yield decode(generator, between(start, end, step / steps, straight=straight))


def fingerprint(generator: nn.Module) -> str:
    """Twelve hex digits that follow from the weights: two generators of one diagnosis are told apart by them."""
    digest = hashlib.sha256()
    for name, tensor in sorted(generator.state_dict().items()):
        digest.update(name.encode() + tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]
