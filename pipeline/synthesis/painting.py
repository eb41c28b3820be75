"""From the slices of a training part to what painters learn from, and from painters to painted sets.

The tumour painter restores the lesions of real tumour slices, and paints where a lesion might be in real slices without
one. The no-tumour painter restores lesion-shaped holes in real slices without a tumour, and paints over real lesions;
the head's other side guides it. Where a part of a lesion might stay (`LesionBank.whole`) it paints where a lesion might
be in slices without one. Both diagnoses of a painted set are thus real heads with a painted part, so that having been
painted tells nothing. Or both are heads without a tumour that one generator drew, no head in both.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from data_contracts.manifest import NO_TUMOUR, TUMOUR
from pipeline.compute import Compute
from pipeline.synthesis.canvases import Canvases
from pipeline.synthesis.lesions import (
    Images,
    LesionBank,
    Mask,
    PastedSet,
    drawn_in,
    edge_width,
    head_of,
    in_turn,
    midline,
    other_side,
    propose,
    shaken,
    soften,
    widened,
)
from pipeline.synthesis.networks.painter import Generator
from pipeline.synthesis.painter import Holes, Source, paint

PLACES: Final = 6  # masks proposed for each slice that has none of its own
EXAMPLES: Final = 8  # canvases of a snapshot
BATCH: Final = 64  # paintings between two words of progress


@dataclass(frozen=True, eq=False)
class Pool:
    """Slices to be painted in: images float32 (N, 1, S, S) in [-1, 1]; masks uint8 (M, S, S), 255 a soft mask's 1;
    rows int64 (M,): the slice of each mask; guesses: of what may stand in it, float16 (M, S, S) in [-1, 1], or none.
    """

    images: torch.Tensor
    masks: torch.Tensor
    rows: torch.Tensor
    guesses: torch.Tensor | None = None

    def draw(self, rng: torch.Generator, n: int) -> Holes:
        """n slices, each as likely as the other, with one of their masks: a painter's `Source`."""
        chosen = torch.randint(len(self.rows), (n,), generator=rng)
        return self.take(chosen)

    def take(self, chosen: torch.Tensor) -> Holes:
        """Slices with these masks."""
        guesses = None if self.guesses is None else self.guesses[chosen, None].float()
        return Holes(self.images[self.rows[chosen]], self.masks[chosen, None].float() / 255, guesses)


@dataclass(frozen=True, eq=False)
class Lesson:
    """What one painter learns from, as `train_painter` takes it."""

    pairs: Source
    canvases: Source
    examples: Holes


def lesson(bank: LesionBank, diagnosis: str, *, seed: int) -> Lesson:
    """What the painter of `diagnosis` learns from: pairs to restore, and canvases to paint in, those of `paint_set`.

    Places of lesions are proposed once, PLACES a slice, for a proposal takes longer than a step of the training.
    """
    rng = np.random.default_rng(seed)
    if diagnosis == TUMOUR:
        pairs = _own(bank, bank.masks, np.arange(len(bank.masks)))
        canvases = _proposed(bank, propose_many(bank, PLACES, rng))
    else:
        # as wide as what will be painted over
        slices = (image for image in bank.no_tumour for _ in range(PLACES))
        pairs = _guessed(_proposed(bank, _with_brims(slices, propose_many(bank, PLACES, rng))))
        canvases = _guessed(_own(bank, brims(bank), np.arange(len(bank.masks)))) if bank.whole else pairs
    spread = np.linspace(0, len(canvases.rows) - 1, min(EXAMPLES, len(canvases.rows))).round().astype(np.int64)
    return Lesson(pairs.draw, canvases.draw, canvases.take(torch.from_numpy(np.unique(spread))))


def brims(bank: LesionBank) -> Mask:
    """What must be painted over in each tumour slice, bool (N, S, S): the lesion with its brim."""
    return _with_brims(bank.tumour, bank.masks)


def _with_brims(images: Iterable[Images], masks: Mask) -> Mask:
    return np.stack([widened(mask, head_of(image) | mask) for image, mask in zip(images, masks, strict=True)])


def propose_many(bank: LesionBank, places: int, rng: np.random.Generator) -> Mask:
    """So many places in each slice without a tumour: bool (M * places, S, S), those of a slice in a row."""
    return np.stack(
        [
            propose(bank, image, rng, position=float(position)).mask
            for image, position in zip(bank.no_tumour, bank.no_tumour_positions, strict=True)
            for _ in range(places)
        ]
    )


def _own(bank: LesionBank, masks: Mask, rows: NDArray[np.int64]) -> Pool:
    """Some of the slices with a tumour, each with its own of the masks (N, S, S)."""
    return Pool(torch.from_numpy(bank.tumour), _soft(masks[rows]), torch.from_numpy(rows))


def _proposed(bank: LesionBank, masks: Mask) -> Pool:
    rows = torch.arange(len(bank.no_tumour)).repeat_interleave(len(masks) // len(bank.no_tumour))
    return Pool(torch.from_numpy(bank.no_tumour), _soft(masks), rows)


def _guessed(pool: Pool) -> Pool:
    """The same with what the other side of each head guesses."""
    found = guesses(pool.images.numpy(), (pool.masks == 255).numpy(), pool.rows.numpy())
    return replace(pool, guesses=torch.from_numpy(found[:, 0].astype(np.float16)))


def guesses(images: Images, holes: Mask, rows: NDArray[np.int64], seeds: Sequence[int] | None = None) -> Images:
    """What may stand in holes, bool (M, S, S), of slices (N, 1, S, S), rows (M,): float32 (M, 1, S, S) in [-1, 1].

    The head's other side, mirrored (`lesions.other_side`): real tissue of that head, which a painter that begins with
    noise has to invent. What is left to paint is what the two sides do not share, brightness and seams. seeds (M,):
    each moves the mirror a little, so that a slice that is painted twice gives two.
    """
    found = np.empty((len(rows), *images.shape[1:]), np.float32)
    heads = {int(row): head_of(images[row]) | holes[rows == row].any(axis=0) for row in np.unique(rows)}
    axes = {row: midline(head) for row, head in heads.items()}
    for i, (hole, row) in enumerate(zip(holes, rows.tolist(), strict=True)):
        axis, brightness = axes[row], images[row, 0] + 1
        if seeds is not None:
            axis = shaken(axis, float(np.sqrt(heads[row].sum())), np.random.default_rng(seeds[i]))
        around = drawn_in(brightness, heads[row] & ~hole)
        # what is hidden must not even shine through a spline
        known = np.where(hole, around, brightness)
        found[i, 0] = np.clip(other_side(known, hole, heads[row], axis, around=around) - 1, -1, 1)
    return found


def _soft(masks: Mask) -> torch.Tensor:
    width = edge_width(masks.shape[-1])
    return torch.from_numpy(np.stack([np.rint(255 * soften(mask, width)).astype(np.uint8) for mask in masks]))


def paint_set(
    bank: LesionBank,
    generator: Generator,
    *,
    diagnosis: str,
    n: int,
    seed: int,
    compute: Compute,
    progress: Callable[[int, int], None] | None = None,
    dreamt: Canvases | None = None,
) -> PastedSet:
    """n slices of `diagnosis` by its painter, each on a real slice of the other one; none comes twice before all did.

    Masks are the lesion, or the region painted over. Slice i follows from its source and from seeds[i] alone. progress
    (done, n). dreamt: in place of real slices; source_rows are then of these. There, and where masks may not hold all
    of a lesion (`LesionBank.whole`), both diagnoses are painted on slices without a tumour, where a lesion might be.
    Raises ValueError for a diagnosis that is none.
    """
    if diagnosis not in (TUMOUR, NO_TUMOUR):
        raise ValueError(f"no painter paints {diagnosis!r}")
    rng = np.random.default_rng(seed)
    canvases, rows, positions = bank.no_tumour, bank.no_tumour_rows, bank.no_tumour_positions
    covered: Mask | None = None
    if dreamt is not None:
        canvases, rows, positions = dreamt.images, np.arange(len(dreamt.images)), dreamt.positions
    elif diagnosis == NO_TUMOUR and bank.whole:
        canvases, rows, covered = bank.tumour, bank.tumour_rows, brims(bank)
    chosen = in_turn([np.arange(len(canvases))], n, rng)
    seeds = rng.integers(2**63, size=n)
    side = canvases.shape[-1]
    images, masks = np.empty((n, 1, side, side), np.float32), np.empty((n, side, side), np.bool_)
    lesion_rows = np.full(n, -1, np.int64)
    for start in range(0, n, BATCH):
        part = slice(start, min(n, start + BATCH))
        for i in range(part.start, part.stop):
            if covered is not None:
                masks[i] = covered[chosen[i]]
                continue
            position = float(positions[chosen[i]])
            placed = propose(bank, canvases[chosen[i]], np.random.default_rng(seeds[i]), position=position)
            masks[i], lesion_rows[i] = placed.mask, bank.tumour_rows[placed.lesion]
        soft = np.stack([soften(mask, edge_width(side)) for mask in masks[part]])[:, None]
        onto = canvases[chosen[part]]
        drawn = seeds[part].tolist()
        guessed = guesses(onto, masks[part], np.arange(len(onto)), drawn) if generator.guided else None
        images[part] = paint(generator, images=onto, masks=soft, guesses=guessed, seeds=drawn, compute=compute)
        if progress:
            progress(part.stop, n)
    return PastedSet(images, masks, rows[chosen], lesion_rows, seeds)


def painted_region(masks: Mask) -> Iterator[Mask]:
    """Of each mask (N, S, S) the pixels that may differ from the source, bool (S, S): its soft edge too."""
    for mask in masks:
        yield soften(mask, edge_width(mask.shape[-1])) > 0
