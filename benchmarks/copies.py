"""Which copies of real training slices are found, by how they were changed, and how often a new subject is called one.

    python benchmarks/copies.py DATA WORK [--splits 10]

DATA: a folder of scans such as ../shared/data/lgg_flair. WORK: a folder outside of the repository, where an ingested
dataset is kept and used again. Copies are of the training slices of the fold that `benchmarks/gan.py` trains on, each
judged as a generated image would be; false positives are real slices of subjects held out, in that fold and in further
random splits of the subjects (two thirds to train on), where thresholds are read anew.
"""

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from gan import Data, load
from numpy.typing import NDArray
from scipy import ndimage

from data_contracts.manifest import DIAGNOSES
from pipeline.evidence.memorisation import CopyFinder

Images = NDArray[np.float32]
AIR = -1.0


def moved(
    images: Images, *, shift: tuple[float, float] = (0, 0), scale: float = 1.0, turn: float = 0.0, mirror: bool = False
) -> Images:
    """(N, 1, S, S) mirrored, turned by degrees and scaled about the middle, then shifted; air where nothing was."""
    angle = np.deg2rad(turn)
    back = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) / scale
    middle = (np.array(images.shape[2:]) - 1) / 2
    offset = middle - back @ (middle + np.array(shift))
    source = images[:, 0, :, ::-1] if mirror else images[:, 0]
    found = [ndimage.affine_transform(one, back, offset=offset, order=1, cval=AIR) for one in source]
    return np.stack(found)[:, None].astype(np.float32)


def kinds(side: int, rng: np.random.Generator) -> Mapping[str, Callable[[Images], Images]]:
    """How copies are changed; shifts in pixels of 64, drawn in all directions."""
    pixel = side / 64

    def noisy(images: Images) -> Images:
        return (images + 0.1 * rng.normal(size=images.shape)).astype(np.float32)

    def shifted(images: Images, by: float) -> Images:
        angles = rng.uniform(0, 2 * np.pi, len(images))
        towards = by * pixel * np.stack([np.sin(angles), np.cos(angles)], 1)
        pairs = zip(images, towards, strict=True)
        return np.concatenate([moved(one[None], shift=(float(t[0]), float(t[1]))) for one, t in pairs])

    def drawn(images: Images) -> Images:
        """A mirror or not, up to 10 % shift and scale, up to 10 degrees, and noise, anew for each."""
        one_by_one = [
            moved(
                one[None],
                shift=(float(rng.uniform(-6.4, 6.4) * pixel), float(rng.uniform(-6.4, 6.4) * pixel)),
                scale=float(rng.uniform(0.9, 1.1)),
                turn=float(rng.uniform(-10, 10)),
                mirror=bool(rng.integers(2)),
            )
            for one in images
        ]
        return noisy(np.concatenate(one_by_one))

    return {
        "as they are": lambda images: images,
        "brightened and less contrast": lambda images: (0.7 * images + 0.2).astype(np.float32),
        "noise, sd 0.1": noisy,
        "blurred, sd 1 pixel": lambda images: ndimage.gaussian_filter(images, (0, 0, pixel, pixel)),
        "mirrored": lambda images: moved(images, mirror=True),
        "shifted 1 pixel": lambda images: shifted(images, 1),
        "shifted 2 pixels": lambda images: shifted(images, 2),
        "shifted 4 pixels": lambda images: shifted(images, 4),
        "shifted 6 pixels": lambda images: shifted(images, 6),
        "scaled to 97 %": lambda images: moved(images, scale=0.97),
        "scaled to 90 %": lambda images: moved(images, scale=0.90),
        "scaled to 110 %": lambda images: moved(images, scale=1.10),
        "turned 5 degrees": lambda images: moved(images, turn=5),
        "turned 10 degrees": lambda images: moved(images, turn=-10),
        "all of it at random, and noise": drawn,
    }


def _finders(images: Images, groups: list[str]) -> list[CopyFinder]:
    """Without and with the search for moved copies."""
    return [CopyFinder(images, groups, search=search) for search in (False, True)]


def found_by_kind(data: Data, diagnosis: str) -> dict[str, list[float]]:
    """Share of copies found, without and with the search, by kind of change; of held-out slices in the last line."""
    part, test = data.of(diagnosis, test=False), data.of(diagnosis, test=True)
    finders = _finders(data.images[part], data.rows.loc[part, "group"].tolist())
    rng = np.random.default_rng(0)
    changed = {kind: change(data.images[part]) for kind, change in kinds(data.images.shape[-1], rng).items()}
    changed[f"held-out real slices ({int(test.sum())})"] = data.images[test]
    return {
        kind: [float(finder.find(images).near_copy.mean()) for finder in finders] for kind, images in changed.items()
    }


def false_positives(data: Data, diagnosis: str, splits: int) -> NDArray[np.float64]:
    """Share of held-out slices called copies, without and with the search: (splits, 2)."""
    of = (data.rows["diagnosis"] == diagnosis).to_numpy()
    images, groups = data.images[of], data.rows.loc[of, "group"].to_numpy(str)
    names, shares = np.unique(groups), []
    for split in range(splits):
        learned = np.random.default_rng(split).permutation(names)[: round(2 / 3 * len(names))]
        part = np.isin(groups, learned)
        finders = _finders(images[part], groups[part].tolist())
        shares.append([float(finder.find(images[~part]).near_copy.mean()) for finder in finders])
    return np.array(shares)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--splits", type=int, default=10)
    given = parser.parse_args()
    data = load(given.data, given.work)
    by_diagnosis = {diagnosis: found_by_kind(data, diagnosis) for diagnosis in DIAGNOSES}
    print("| copies | " + " | ".join(f"{d}, as they are | {d}, searched" for d in by_diagnosis) + " |")
    print("|" + "---|" * (1 + 2 * len(by_diagnosis)))
    for lines in zip(*(found.items() for found in by_diagnosis.values()), strict=True):
        cells = [f"{share:.0%}" for _, shares in lines for share in shares]
        print(
            "| " + " | ".join([lines[0][0] if lines[0][0] == lines[-1][0] else "held-out real slices", *cells]) + " |"
        )
    for diagnosis in DIAGNOSES:
        plain, searched = false_positives(data, diagnosis, given.splits).T
        print(
            f"{diagnosis}: held-out slices called copies in {given.splits} random splits, mean (most): as they are "
            f"{plain.mean():.1%} ({plain.max():.1%}), searched {searched.mean():.1%} ({searched.max():.1%})"
        )


if __name__ == "__main__":
    main()
