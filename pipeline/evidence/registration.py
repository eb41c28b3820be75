"""How alike are two slices once one of them is moved: mirrored, shifted, turned or rescaled?

Two steps, as image registration is usually done. A coarse grid of motions, each tried on all pairs at 16 x 16 pixels
as one matrix product, finds the training slices that may be the source of an image; the enhanced correlation
coefficient (Evangelidis and Psarakis 2008, "Parametric image alignment using enhanced correlation coefficient
maximization", section 3) then aligns the best few at 32 x 32. Both compare only what both frames show: what a shift
has pushed out of the frame, or drawn into it, is no evidence.
"""

import itertools
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

Images = NDArray[np.float32]
FRAME: Final = 64  # pixels a side in which motions are given; images of other sizes are brought to it
COARSE, FINE = 16, 32  # pixels a side of the grid and of the alignment
SHIFTS: Final = (-6.0, -3.0, 0.0, 3.0, 6.0)  # pixels of 64; the blur of 16 x 16 bridges what lies between
SCALES: Final = (0.91, 1.0, 1.1)
TURNS: Final = (-8.0, 0.0, 8.0)  # degrees
MOST: Final = (8.0, 8.0, 0.13, 0.22)  # pixels, pixels, log of the scale, radians: limits of the alignment
CANDIDATES: Final = 6  # groups of which the most alike slice is aligned with each image
SLICES: Final = 3  # most alike slices that are aligned in any case: neighbours in one head differ little at 16 x 16
STEPS: Final = 8
DAMPING: Final = 1e-3  # of the normal equations, for pictures that do not tell a turn from a shift
PAIRS: Final = 512  # pairs aligned at once
BLANK: Final = 1e-6  # length of a centred picture that shows nothing


@torch.no_grad()
def searched_distances(
    images: Images, training: Images, *, group_of: NDArray[np.int64], excluded: torch.Tensor | None = None
) -> torch.Tensor:
    """Distances of images (N, 1, H, W) to training slices (M, 1, H, W) moved to lie on them: float32 (N, M).

    Pixels in [-1, 1]; group_of (M,): numbers 0, 1, ... of the slices' groups. The most
    alike slice of each of the CANDIDATES most alike groups is aligned, and the SLICES most alike ones whatever their
    group; their distance is 1 - the best correlation found, in [0, 2]. Every other entry is infinite, as are those of
    `excluded` pairs, bool (N, M). Motions: mirror, and about a tenth of the side in shift,
    a tenth in scale and ten degrees. Time grows with N M (5 s for a million pairs on one core) and with N.
    """
    coarse, motions = _best_on_grid(images, training)
    if excluded is not None:
        coarse.masked_fill_(excluded, -torch.inf)
    groups = torch.from_numpy(group_of)
    by_group = torch.full((len(images), int(groups.max()) + 1), -torch.inf)
    by_group.scatter_reduce_(1, groups.expand(len(images), -1), coarse, "amax")
    best_of_group = coarse.masked_fill(coarse < by_group[:, groups], -torch.inf)
    aligned = torch.zeros(coarse.shape, dtype=torch.bool)
    for score, most in ((best_of_group, CANDIDATES), (coarse, SLICES)):
        aligned.scatter_(1, score.topk(min(most, score.shape[1]), dim=1).indices, True)
    rows, columns = torch.nonzero(aligned & (coarse > -torch.inf), as_tuple=True)
    step = FRAME // FINE
    still, moving = pooled(images, FINE)[:, 0, ::step, ::step].flatten(1), pooled(training, FINE)
    tried, mirrors = _grid()
    found = torch.full(coarse.shape, torch.inf)
    for first in range(0, len(rows), PAIRS):
        i, j = rows[first : first + PAIRS], columns[first : first + PAIRS]
        start = motions[i, j].long()
        found[i, j] = 1 - _align(still[i], moving[j], tried[start], mirror=mirrors[start])
    return found


def pooled(images: Images, side: int) -> torch.Tensor:
    """Area means of cells of a `side` x `side` grid, at every shift of one pixel of 64: (N, 1, 65 - 64 / side, same).

    Every (64 / side)-th of them is what area pooling gives; those between serve motions by less than a cell.
    """
    framed = F.adaptive_avg_pool2d(torch.from_numpy(np.array(images, np.float32)), FRAME)
    return F.avg_pool2d(framed, FRAME // side, stride=1)


def _cells(side: int) -> torch.Tensor:
    """Centres of the cells, pixels of 64 from the middle of the frame: (side^2, 2), x then y."""
    line = (torch.arange(side) + 0.5) * (FRAME / side) - FRAME / 2
    return torch.stack(torch.meshgrid(line, line, indexing="xy"), -1).reshape(-1, 2)


def _grid() -> tuple[torch.Tensor, torch.Tensor]:
    """Every motion (450, 4) and mirror (450,) that the first step tries."""
    tried = list(itertools.product(SHIFTS, SHIFTS, np.log(SCALES), np.deg2rad(TURNS), (1.0, -1.0)))
    table = torch.tensor(tried, dtype=torch.float32)
    return table[:, :4], table[:, 4]


def _moved(cells: torch.Tensor, motion: torch.Tensor, mirror: torch.Tensor) -> torch.Tensor:
    """Where in the training slice each cell of the image lies: mirrored, turned, scaled, then shifted: (P, cells, 2).

    motion (P, 4): shift x and y in pixels of 64, log of the scale, radians; mirror (P,): -1 or 1.
    """
    x, y = cells[:, 0] * mirror[:, None], cells[:, 1].expand(len(mirror), -1)
    scale, turn = motion[:, 2, None].exp(), motion[:, 3, None]
    cos, sin = scale * turn.cos(), scale * turn.sin()
    return torch.stack([cos * x - sin * y + motion[:, 0, None], sin * x + cos * y + motion[:, 1, None]], -1)


def _inside(places: torch.Tensor) -> torch.Tensor:
    """Which places (..., 2) lie in the frame."""
    return (places.abs() <= FRAME / 2).all(-1)


def _unit(values: torch.Tensor, inside: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Centred over the cells `inside` and of unit length, zeros outside: a product is Pearson's correlation; length."""
    share = inside.float()
    centred = (values - (values * share).sum(-1, keepdim=True) / share.sum(-1, keepdim=True)) * share
    length = centred.norm(dim=-1, keepdim=True)
    return torch.where(length > BLANK, centred / length.clamp_min(BLANK), 0.0), length


def _best_on_grid(images: Images, training: Images) -> tuple[torch.Tensor, torch.Tensor]:
    """Best correlation of each pair over the grid at 16 x 16, and the number of its motion: (N, M) both."""
    cells, step = _cells(COARSE), FRAME // COARSE
    still = pooled(images, COARSE)[:, 0, ::step, ::step].flatten(1)
    moving = pooled(training, COARSE)
    width = moving.shape[-1]
    by_pixel = moving.flatten(1).T.contiguous()  # one motion for all slices: whole rows are read, and mixed
    best = torch.full((len(images), len(training)), -torch.inf)
    motions = torch.zeros(best.shape, dtype=torch.int16)
    for number, (motion, mirror) in enumerate(zip(*_grid(), strict=True)):
        places = _moved(cells, motion[None], mirror[None])[0]
        places = places[inside := _inside(places)]
        pixels, weights = _corners(places, width)
        moved = F.embedding_bag(pixels, by_pixel, mode="sum", per_sample_weights=weights).T
        everywhere = torch.ones(len(places), dtype=torch.bool)
        correlation = _unit(still[:, inside], everywhere)[0] @ _unit(moved, everywhere)[0].T
        motions.masked_fill_(correlation > best, number)
        torch.maximum(best, correlation, out=best)
    return best, motions


def _corners(places: torch.Tensor, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Bilinear interpolation: of each place (cells, 2) its four pixels, row by row, and their weights: (cells, 4).

    `width`: pixels a side of the pooled pictures. Places beyond their outermost pixels take the value there.
    """
    at = (places + (width - 1) / 2).clamp(0, width - 1)
    low = at.floor().clamp_max(width - 2)
    (x, y), (right, down) = low.long().unbind(-1), (at - low).unbind(-1)
    pixels = (y * width + x)[:, None] + torch.tensor([0, 1, width, width + 1])
    weights = torch.stack([(1 - down) * (1 - right), (1 - down) * right, down * (1 - right), down * right], -1)
    return pixels, weights


def _align(images: torch.Tensor, training: torch.Tensor, motion: torch.Tensor, *, mirror: torch.Tensor) -> torch.Tensor:
    """Best correlation (P,) of images (P, 1024) with pooled training slices (P, 1, 63, 63) moved, from a start (P, 4).

    The forward additive iteration of the paper: the motion that maximises the correlation with the slice's
    first-order change, solved anew at each step. A step may fail; the best correlation on the way is kept.
    """
    cells, most = _cells(FINE), torch.tensor(MOST)
    pictures = torch.cat([training, *torch.gradient(training, dim=(3, 2))], 1)  # values, slopes along x and y
    best = torch.full((len(images),), -torch.inf)
    for step in range(STEPS + 1):
        places = _moved(cells, motion, mirror)
        grid = places[:, None] * (2 / (pictures.shape[-1] - 1))
        values = F.grid_sample(pictures, grid, padding_mode="border", align_corners=True)[:, :, 0]
        inside = _inside(places)
        (image, _), (moved, length) = _unit(images, inside), _unit(values[:, 0], inside)
        best = torch.maximum(best, (image * moved).sum(1))
        if step < STEPS:
            change = _first_order(values[:, 1:], about=places - motion[:, None, :2], inside=inside)
            motion = (motion + _step(image, moved * length, change)).clamp(-most, most)
    return best


def _first_order(slopes: torch.Tensor, *, about: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
    """Change of each cell's value with each parameter, centred over `inside`: (P, cells, 4)."""
    across, down = slopes.unbind(1)
    scaling = across * about[..., 0] + down * about[..., 1]
    turning = down * about[..., 0] - across * about[..., 1]
    change = torch.stack([across, down, scaling, turning], -1)
    share = inside.float()[..., None]
    return (change - (change * share).sum(1, keepdim=True) / share.sum(1, keepdim=True)) * share


def _step(image: torch.Tensor, moved: torch.Tensor, change: torch.Tensor) -> torch.Tensor:
    """What to add to the motion, (P, 4): the paper's closed form, image of unit length, moved not, both centred.

    Where the moved slice has nothing in common with the image that its changes do not explain, the paper's optimal
    gain is not defined; the slice's own length takes its place, which is a plain Gauss-Newton step.
    """
    squares = change.mT @ change
    squares = squares + torch.diag_embed(DAMPING * squares.diagonal(dim1=1, dim2=2) + BLANK)
    onto = change.mT @ torch.stack([image, moved], -1)
    solved = torch.linalg.solve(squares, onto)
    unexplained = (moved**2).sum(1) - (onto[..., 1] * solved[..., 1]).sum(1)
    shared = (image * moved).sum(1) - (onto[..., 0] * solved[..., 1]).sum(1)
    gain = torch.where(shared > BLANK, unexplained / shared.clamp_min(BLANK), moved.norm(dim=1))
    added: torch.Tensor = gain[:, None] * solved[..., 0] - solved[..., 1]
    return added
