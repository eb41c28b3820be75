"""Head phantoms: a drawn anatomy seen by a drawn scanner, and written as files, so that nobody's scan is needed."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from scipy import ndimage

from data_contracts.manifest import NO_TUMOUR, TUMOUR
from data_contracts.violations import Violation, require
from pipeline.formats.dicom_write import write_series
from pipeline.formats.nifti import write_volume
from pipeline.formats.raster import write_png
from pipeline.scans.phantom_anatomy import (
    TISSUES,
    Layer,
    before_push,
    draw_anatomy,
    draw_tumour,
    head_layers,
    head_points,
    mimic_layers,
    tumour_layers,
)
from pipeline.scans.phantom_shapes import Array, waves

Sequence = Literal["T1", "T1c", "T2", "FLAIR"]
Format = Literal["dicom", "nifti", "png"]
SHOWS: Final = 0.4  # share from which a tissue gives a point its label; the faintest tumour covers more
CENTRE_Z: Final = 24.0  # mm: the middle slice, so that 120 mm reach from the skull base to the vertex
# Relative signal of each tissue, in the order of TISSUES; grey matter stands near the middle of the scale.
CONTRAST: Final[dict[Sequence, tuple[float, ...]]] = {
    "T1": (0.95, 0.10, 0.35, 0.16, 0.46, 0.66, 0.55, 0.30, 0.50, 0.28, 0.44, 0.43, 0.27),
    "T1c": (0.95, 0.10, 0.35, 0.16, 0.46, 0.64, 0.54, 1.00, 0.50, 0.28, 0.43, 0.98, 0.24),
    "T2": (0.55, 0.06, 0.30, 1.00, 0.58, 0.42, 0.50, 0.15, 0.72, 0.88, 0.80, 0.68, 0.92),
    "FLAIR": (0.70, 0.08, 0.30, 0.10, 0.52, 0.44, 0.50, 0.20, 0.74, 0.35, 0.76, 0.70, 0.42),
}


class PhantomConfig(BaseModel):
    """Grid and contrast of a phantom. `noise` is the range of its standard deviation as a share of the grey signal."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    slices: int = Field(default=24, ge=1)
    size: int = Field(default=96, ge=16)
    spacing_mm: tuple[float, float, float] = (5.0, 2.0, 2.0)  # z, y, x
    sequence: Sequence = "FLAIR"
    noise: tuple[float, float] = (0.02, 0.08)
    bias: float = Field(default=0.2, ge=0, lt=0.5)  # the coil's shading towards the edges, as a share of the signal


@dataclass(frozen=True)
class Phantom:
    """One head. voxels: float32 (Z, H, W) >= 0, arbitrary unit; row 0 is the front, column 0 the subject's right.

    mask: uint8 (Z, H, W), 1 in the tumour, its oedema included. tissues: uint8 (Z, H, W), 0 air, else 1 + the index
    in TISSUES of the uppermost tissue there. spacing: mm, (z, y, x).
    """

    voxels: Array
    mask: NDArray[np.uint8]
    tissues: NDArray[np.uint8]
    spacing: tuple[float, float, float]


def phantom(*, rng: np.random.Generator, tumour: bool, config: PhantomConfig) -> Phantom:
    """Draw a head, with a tumour or without, and scan it.

    Heads of both kinds carry the same mimics at the same rates: white-matter hyperintensities, bright caps on the
    ventricles, old scars, diffuse bright patches. The result depends on the generator's state and the config alone.
    """
    anatomy = draw_anatomy(rng)
    lesion = draw_tumour(rng) if tumour else None
    shape = (config.slices, config.size, config.size)
    grid = _grid(config)
    points, depth = head_points(grid, anatomy, rng)
    inside = depth > -2
    points, depth = points[:, inside], depth[inside]
    origin = before_push(points, depth, lesion) if lesion else points
    head = head_layers(origin, depth, anatomy, rng)
    layers = head.layers + mimic_layers(origin, head, rng)
    mask = np.zeros(inside.shape, dtype=np.uint8)
    if lesion:
        grown, share = tumour_layers(points, head, lesion, rng)
        layers += grown
        mask[inside] = share > 0.5
    signal, labels = _paint(layers, config.sequence, rng)
    signal *= 1 + 0.03 * waves(origin, wavelength=14, rng=rng)[0]  # no tissue is one grey
    clean, tissues = np.zeros(inside.shape, np.float32), np.zeros(inside.shape, np.uint8)
    clean[inside], tissues[inside] = signal, labels
    voxels = _scan(clean.reshape(shape), grid.reshape(3, *shape), config, rng)
    return Phantom(voxels, mask.reshape(shape), tissues.reshape(shape), config.spacing_mm)


@dataclass(frozen=True)
class Subject:
    """One head and what its files say about it."""

    name: str
    head: Phantom
    diagnosis: str
    sequence: Sequence
    uid_seed: int


def draw_subject(*, seed: int, number: int, config: PhantomConfig) -> Subject:
    """Subject `number`, from 1, of a set: odd numbers have a tumour. Depends on (seed, number) and config alone."""
    tumour = number % 2 == 1
    return Subject(
        name=f"phantom-{number:04d}",
        head=phantom(rng=np.random.default_rng([seed, number]), tumour=tumour, config=config),
        diagnosis=TUMOUR if tumour else NO_TUMOUR,
        sequence=config.sequence,
        # one integer from both, so that no two subjects of any two sets share an identifier
        uid_seed=int(np.random.SeedSequence([seed, number]).generate_state(1, np.uint64)[0]),
    )


def write_phantoms(
    *,
    out: Path,
    subjects: int,
    format: Format,  # noqa: A002 (the word of the command line)
    seed: int,
    sequence: Sequence = "FLAIR",
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write `subjects` heads under `out`, every second one with a tumour, with their masks.

    png: OUT/<subject>/<subject>_<slice>.png and ..._<slice>_mask.png (255 in the tumour), slices from 1, lowest first;
    nifti: OUT/<subject>/<subject>_<sequence>.nii.gz and ..._mask.nii.gz;
    dicom: OUT/<tumour or no_tumour>/<subject>/*.dcm and OUT/<class>/<subject>_mask.nii.gz.

    A subject depends on (seed, its number) alone, so a larger set begins with the smaller one. The same call writes
    the same bytes. The folder is whole or absent: a failure leaves nothing. progress(done, total) counts subjects.
    Raises ContractError where `out` is a file or a folder that already holds something.
    """
    require(_not_free(out))
    config = PhantomConfig(sequence=sequence)
    write = {"png": _write_png, "nifti": _write_nifti, "dicom": _write_dicom}[format]
    with _whole_folder(out) as part:
        for number in range(1, subjects + 1):
            write(part, draw_subject(seed=seed, number=number, config=config))
            if progress:
                progress(number, subjects)


def _grid(config: PhantomConfig) -> Array:
    """Positions of all voxels: float32 (3, Z * H * W), x, y, z in mm."""
    counts = (config.slices, config.size, config.size)
    z, y, x = (
        (np.arange(n, dtype=np.float32) - (n - 1) / 2) * step for n, step in zip(counts, config.spacing_mm, strict=True)
    )
    z, y, x = np.meshgrid(z + CENTRE_Z, -y, x, indexing="ij")
    return np.stack([x, y, z]).astype(np.float32).reshape(3, -1)


def _paint(layers: list[Layer], sequence: Sequence, rng: np.random.Generator) -> tuple[Array, NDArray[np.uint8]]:
    """Lay the tissues over one another in order: signal (M,) around 0.5 in grey matter, and the uppermost label."""
    table = dict(zip(TISSUES, CONTRAST[sequence], strict=True))
    jitter = dict(zip(TISSUES, rng.normal(1, 0.04, len(TISSUES)), strict=True))  # no two scanners agree
    signal = np.zeros(layers[0][1].shape, dtype=np.float32)
    labels = np.zeros(signal.shape, dtype=np.uint8)
    for tissue, share in layers:
        signal += share * (np.float32(table[tissue] * jitter[tissue]) - signal)
        labels[share > SHOWS] = 1 + TISSUES.index(tissue)
    return signal, labels


def _scan(clean: Array, grid: Array, config: PhantomConfig, rng: np.random.Generator) -> Array:
    """Blur, shading of the coil, gain and Rician noise: the magnitude of a complex signal (Gudbjartsson 1995)."""
    blurred = ndimage.gaussian_filter(clean, sigma=[0.8 / step for step in config.spacing_mm])
    x, y, z = grid / 90
    a, b, c, d = rng.uniform(-1, 1, 4)
    shading = 1 + config.bias * (0.5 * (a * x + b * y + c * z) + d * (x**2 + y**2 - 0.5))
    gain = 400 * np.exp(rng.uniform(-0.6, 0.6))
    noise = rng.uniform(*config.noise) * 0.5
    real, imaginary = rng.standard_normal((2, *clean.shape), dtype=np.float32) * np.float32(noise)
    return np.asarray(gain * np.hypot(blurred * shading + real, imaginary), dtype=np.float32)


def _write_png(out: Path, subject: Subject) -> None:
    folder = out / subject.name
    folder.mkdir()
    brightest = np.percentile(subject.head.voxels, 99.8)  # one scale for the scan: its slices stay comparable
    grey = np.rint(np.clip(subject.head.voxels / brightest, 0, 1) * 255).astype(np.uint8)
    for number, (pixels, mask) in enumerate(zip(grey, subject.head.mask, strict=True), start=1):
        write_png(folder / f"{subject.name}_{number}.png", pixels)
        write_png(folder / f"{subject.name}_{number}_mask.png", mask * np.uint8(255))


def _write_nifti(out: Path, subject: Subject) -> None:
    folder = out / subject.name
    folder.mkdir()
    spacing = subject.head.spacing
    write_volume(folder / f"{subject.name}_{subject.sequence}.nii.gz", _whole_numbers(subject.head), spacing)
    write_volume(folder / f"{subject.name}_mask.nii.gz", subject.head.mask, spacing)


def _write_dicom(out: Path, subject: Subject) -> None:
    folder = out / subject.diagnosis / subject.name
    folder.mkdir(parents=True)
    write_series(
        folder,
        _whole_numbers(subject.head),
        spacing=subject.head.spacing,
        subject_id=subject.name,
        sequence=subject.sequence,
        uid_seed=subject.uid_seed,
    )
    write_volume(folder.with_name(f"{subject.name}_mask.nii.gz"), subject.head.mask, subject.head.spacing)


def _whole_numbers(head: Phantom) -> NDArray[np.uint16]:
    """A scanner stores whole numbers; the signal reaches a few thousand, so nothing is clipped in practice."""
    return np.rint(np.clip(head.voxels, 0, 65535)).astype(np.uint16)


def _not_free(out: Path) -> list[Violation]:
    taken = out.exists() and not (out.is_dir() and not any(out.iterdir()))
    detail = "the folder for the phantoms already holds something: name a new or an empty one"
    return [Violation(out.name, "output not empty", detail)] if taken else []


@contextmanager
def _whole_folder(out: Path) -> Iterator[Path]:
    """Give a temporary folder beside `out`; rename it there when the block ends well, remove it otherwise."""
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_name(f".{out.name}.{os.getpid()}.part")
    part.mkdir()
    try:
        yield part
        part.replace(out)  # also over an empty folder
    finally:
        shutil.rmtree(part, ignore_errors=True)
