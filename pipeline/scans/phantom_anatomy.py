"""The geometry of a head phantom: which tissue fills each point, drawn from a seed.

Everything is a function of position in millimetres (x to the subject's left, y to the front, z up, origin below the
bodies of the ventricles), so a subject keeps its anatomy at any resolution. Mass effect needs no image warping either:
tissue is looked up where it stood before the tumour pushed it. Points are float32 (3, M); every other array is
float32 (M,), distances in mm and positive inside.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.scans.phantom_shapes import Array, Blob, blob_distance, edge, ellipsoid, rod, waves

Layer = tuple[str, Array]  # a tissue of TISSUES, and the share of each point that it covers, painted in order

# The label in Phantom.tissues is 1 + the index here; 0 is air.
TISSUES: Final = (
    "scalp", "skull", "marrow", "csf", "grey", "white", "deep_grey", "vessel", "bright", "scar", "oedema", "solid",
    "necrosis",
)  # fmt: skip
CORTEX: Final = 3.0  # mm
BRAIN: Final = ("grey", "white", "deep_grey", "bright", "scar", "oedema", "solid", "necrosis")
# Half of the lateral ventricles, as rods between two points (x, y, z) with a radius at each end.
VENTRICLE: Final = (
    ((11, 33, 6, 3.0), (5, 14, 15, 5.0)),  # frontal horn
    ((5, 14, 15, 5.0), (9, -14, 22, 5.0)),  # body
    ((9, -14, 22, 5.0), (23, -38, 10, 6.5)),  # atrium
    ((23, -38, 10, 6.5), (25, -60, 6, 1.5)),  # occipital horn
    ((23, -38, 10, 6.5), (31, -8, -14, 1.5)),  # temporal horn
)
# Deep nuclei of one half, as ellipsoids: centre, then half-axes.
NUCLEI: Final = (
    ((10, -12, 6), (8, 14, 9)),  # thalamus
    ((14, 18, 10), (4.5, 9, 10)),  # head of the caudate
    ((25, 3, 2), (5, 17, 10)),  # putamen and pallidum
)


@dataclass(frozen=True)
class Anatomy:
    """What differs between subjects; lengths in mm. Drawn once, before anything is computed."""

    axes: Array  # half-axes of the head: x, y, and z above the origin
    egg: float  # how much narrower the forehead is than the back of the head
    tilt: float  # rotation about z in radians
    bend: float  # of the midline
    scalp: float
    skull: float
    csf: float  # between skull and brain
    sulcus: float  # half-width of a sulcus at its mouth
    fold: float  # wavelength of the folding
    ventricles: float  # scale of their radius
    caps: float  # thickness of a bright rim around the ventricles


@dataclass(frozen=True)
class Head:
    """A healthy head: its tissues in the order they are painted, and how much of each point a lesion can grow in."""

    layers: list[Layer]
    white: Array  # share of each point
    brain: Array  # share of each point, white matter included, ventricles not


@dataclass(frozen=True)
class Tumour:
    """A tumour. `strength` in (0, 1] mixes its signal into the tissue's: low is subtle."""

    blob: Blob
    rim: float  # thickness of the solid part around the necrosis; beyond the radius: solid throughout
    oedema: float  # how far oedema reaches beyond the outline
    push: float  # largest displacement of the tissue around it
    strength: float


def draw_anatomy(rng: np.random.Generator) -> Anatomy:
    """One subject's measures. Wide sulci, wide ventricles and bright caps come together, as they do with age."""
    age = rng.uniform()
    return Anatomy(
        axes=rng.normal((69, 85, 84), (3, 3.5, 3)).astype(np.float32),
        egg=rng.uniform(0.05, 0.14),
        tilt=rng.normal(0, 0.05),
        bend=rng.normal(0, 1.5),
        scalp=rng.uniform(3.5, 6.5),
        skull=rng.uniform(4.5, 7.5),
        csf=rng.uniform(0.5, 1.2) + 1.5 * age,
        sulcus=rng.uniform(0.3, 0.6) + 0.8 * age,
        fold=rng.uniform(19, 25),
        ventricles=rng.uniform(0.65, 0.95) + 0.55 * age,
        caps=rng.uniform(0.0, 1.0) + 2.5 * age * rng.uniform(),
    )


def draw_tumour(rng: np.random.Generator) -> Tumour:
    """A tumour of 9 to 24 mm radius inside one hemisphere, above the skull base."""
    radius = float(np.exp(rng.uniform(np.log(9), np.log(24))))
    return Tumour(
        blob=draw_blob(rng, radius=radius, roughness=rng.uniform(0.1, 0.3)),
        rim=rng.uniform(2.5, 5.5) if rng.uniform() < 0.65 else 99.0,
        oedema=rng.uniform(3, 14),
        push=radius * rng.uniform(0.1, 0.55),
        strength=rng.uniform(0.45, 1.0),
    )


def draw_blob(rng: np.random.Generator, *, radius: float, roughness: float = 0.0) -> Blob:
    """Somewhere in the white matter of one hemisphere, between the ventricles and the cortex."""
    angle = rng.uniform(-0.42, 0.42) * np.pi
    reach = rng.uniform(0.6, 1.0)
    centre = (rng.choice((-1, 1)) * 40 * reach * np.cos(angle), 55 * reach * np.sin(angle), rng.uniform(0, 50))
    axes = radius * rng.uniform(0.75, 1.25, 3)
    return Blob(np.array(centre, np.float32), axes.astype(np.float32), roughness)


def head_points(points: Array, anatomy: Anatomy, rng: np.random.Generator) -> tuple[Array, Array]:
    """Scanner positions in the head's own frame, and their depth under the skin, negative in air."""
    x, y, z = points
    cos, sin = np.float32(np.cos(anatomy.tilt)), np.float32(np.sin(anatomy.tilt))
    x, y = cos * x - sin * y, sin * x + cos * y
    bump, _ = waves(points, wavelength=110, rng=rng)
    lower = np.where(z < 0, np.float32(140 / anatomy.axes[2]), 1)  # below the origin the head narrows slowly
    scaled = (
        x / (anatomy.axes[0] * (1 - anatomy.egg * y / anatomy.axes[1])),
        y / anatomy.axes[1],
        z / (anatomy.axes[2] * lower),
    )
    rho = np.sqrt(sum(s**2 for s in scaled)) + 1e-3
    slope = np.sqrt(sum((s / a) ** 2 for s, a in zip(scaled, anatomy.axes, strict=True))) + 1e-6
    depth = (1 - rho) * rho / slope + bump
    x = x - anatomy.bend * np.sin(np.pi * y / 160)
    return np.stack([x, y, z]).astype(np.float32), depth.astype(np.float32)


def before_push(points: Array, depth: Array, tumour: Tumour) -> Array:
    """Where the tissue now at each point stood before the tumour grew: nearer to its centre. The skull stays put."""
    away = points - tumour.blob.centre[:, None]
    reach = 1.3 * float(tumour.blob.axes.mean()) + 8
    distance = np.sqrt((away**2).sum(axis=0)) / reach
    # zero at the centre, greatest at `reach`; the cap on push keeps the map one-to-one
    push = min(tumour.push, 0.5 * reach) * np.exp(0.5 * (1 - distance**2)) * np.clip((depth - 8) / 18, 0, 1)
    return np.asarray(points - away / reach * push, dtype=np.float32)


def head_layers(points: Array, depth: Array, anatomy: Anatomy, rng: np.random.Generator) -> Head:
    """A healthy head, painted from the outside in. points: in the head's frame, before any push."""
    drift = np.stack([waves(points, wavelength=90, rng=rng, count=5)[0] for _ in range(3)])
    points = points + 1.5 * drift  # no two halves alike
    x, y, z = points
    side = np.abs(x)
    bone = depth - anatomy.scalp * (1 + 0.3 * drift[0])
    inner = bone - anatomy.skull
    pia = _pia(points, inner - anatomy.csf, anatomy, rng)
    ventricles = _ventricles(points, anatomy.ventricles)
    stem = rod(points, (0, -14, 2, 12), (0, -20, -60, 12))
    folia = 0.55 + 0.45 * np.cos(2 * np.pi * np.sqrt(x**2 + (y + 45) ** 2 + (z + 20) ** 2) / 6)
    mirrored = np.stack([side, y, z])
    nuclei = [ellipsoid(mirrored, *nucleus) for nucleus in NUCLEI]
    floor = edge(np.minimum(-18 - z - 0.2 * (60 - y), y - 18)) * edge(bone)  # of the front fossa
    orbit = edge(ellipsoid(mirrored, (30, 52, -32), (15, 20, 14))) * edge(bone)
    eye = edge(ellipsoid(mirrored, (30, 60, -32), (11, 11, 11))) * edge(bone)
    solid = 1 - np.maximum.reduce([edge(ventricles), floor, orbit, eye])
    white = edge(pia - CORTEX)
    sinus = 3.5 - np.hypot(x, inner - 2) + np.where((y < -20) | (z > 40), 0, -9)
    layers = [
        ("scalp", edge(depth)),
        ("skull", edge(bone)),
        ("marrow", edge(np.minimum(bone - 1.8, -inner - 1.8))),
        ("csf", edge(inner)),
        ("grey", edge(pia)),
        ("white", white),
        ("grey", edge(_tentorium(points)) * edge(pia) * folia),
        ("csf", 0.7 * edge(stem + 2) * edge(-8 - z) * edge(y + 22)),  # cistern in front of the stem
        ("white", edge(stem) * edge(-4 - z)),
        ("deep_grey", edge(np.maximum.reduce(nuclei)) * white),
        ("bright", 0.7 * edge(ventricles + anatomy.caps) * white),
        ("csf", edge(ventricles)),
        ("csf", edge(ellipsoid(points, (0, 10, -15), (13, 11, 7)))),  # cistern above the sella
        ("vessel", edge(sinus)),
        ("skull", floor),
        ("scalp", 0.6 * orbit),
        ("csf", eye),
    ]
    return Head(layers, white=white * solid, brain=edge(pia) * solid)


def mimic_layers(points: Array, head: Head, rng: np.random.Generator) -> list[Layer]:
    """What can be taken for a tumour and is none: bright dots, an old scar, a diffuse bright patch."""
    layers: list[Layer] = []
    for _ in range(rng.poisson(4)):
        dot = blob_distance(points, draw_blob(rng, radius=rng.uniform(1.5, 4.5)), rng)
        layers.append(("bright", edge(dot) * head.white * np.float32(rng.uniform(0.3, 1))))
    if rng.uniform() < 0.25:
        scar = blob_distance(points, draw_blob(rng, radius=rng.uniform(4, 10), roughness=0.25), rng)
        layers += [
            ("bright", 0.8 * edge(scar + rng.uniform(1, 3.5)) * head.white),
            ("scar", 0.9 * edge(scar) * head.brain),
        ]
    if rng.uniform() < 0.5:
        radius = rng.uniform(8, 20)
        patch = blob_distance(points, draw_blob(rng, radius=radius, roughness=0.25), rng)
        soft = np.clip(0.5 + patch / radius, 0, 1)  # no outline: it fades over its own size
        layers.append(("oedema", soft * head.white * np.float32(rng.uniform(0.15, 0.5))))
    return layers


def tumour_layers(points: Array, head: Head, tumour: Tumour, rng: np.random.Generator) -> tuple[list[Layer], Array]:
    """Oedema, solid rim and necrosis, and the share of each point that is lesion at all. points: after the push."""
    core = blob_distance(points, tumour.blob, rng)
    fingers, _ = waves(points, wavelength=22, rng=rng, count=12)
    swollen = edge(core + tumour.oedema * np.clip(1 + 0.6 * fingers, 0, None)) * head.brain
    spread = np.maximum(edge(core), 0.25 + 0.75 * head.white) * swollen  # water follows the white matter
    strength = np.float32(tumour.strength)
    layers = [
        ("oedema", strength * spread),
        ("solid", strength * edge(core) * head.brain),
        ("necrosis", strength * edge(core - tumour.rim) * head.brain),
    ]
    return layers, np.maximum(edge(core), np.where(head.white > 0.5, swollen, 0)) * head.brain


def brain_of(tissues: NDArray[np.uint8], *, pixel_mm: float) -> NDArray[np.bool_]:
    """What a skull strip should leave of each slice: the brain with its lesions, sulci and ventricles.

    tissues: uint8 (Z, H, W), labels as in Phantom.tissues, with pixels of pixel_mm. Returns bool (Z, H, W), one piece
    a slice; all False in a slice without brain. Sulci are closed up to a width of 10 mm.
    """
    brains = np.zeros(tissues.shape, dtype=np.bool_)
    reach = max(1, round(5 / pixel_mm))
    for brain, slice_ in zip(brains, tissues, strict=True):
        tissue = np.pad(np.isin(slice_, [1 + TISSUES.index(name) for name in BRAIN]), reach)
        filled = ndimage.binary_fill_holes(ndimage.binary_closing(tissue, iterations=reach))
        labels, count = ndimage.label(filled[reach:-reach, reach:-reach])
        if count:
            brain[:] = labels == 1 + np.bincount(labels.ravel())[1:].argmax()
    return brains


def _pia(points: Array, surface: Array, anatomy: Anatomy, rng: np.random.Generator) -> Array:
    """Distance to the nearest CSF on the brain's outside: its surface, sulci, fissures; they are all thin sheets."""
    x, y, z = points
    # drawn towards the centre, so that sulci cut into the brain at right angles to its surface
    shrink = (np.sqrt((points**2).sum(axis=0)) / 70 + 0.05) ** -0.7
    field, slope = waves(points * shrink, wavelength=anatomy.fold, rng=rng, count=24)
    length = 15 + 5 * waves(points, wavelength=45, rng=rng)[0]
    sulci = np.hypot(np.abs(field) / (slope * shrink + 0.02), np.maximum(surface - length, 0))
    taper = anatomy.sulcus * (1 - 0.7 * np.clip(surface / 15, 0, 1))
    callosum = 30 * (1 - np.sqrt((y / 46) ** 2 + ((z - 6) / 30) ** 2))
    between = np.hypot(x, np.maximum(callosum, 0)) - 0.5 - 0.5 * anatomy.sulcus
    sylvian = np.sqrt(
        (y - 10 + 0.5 * (np.abs(x) - 36)) ** 2
        + np.maximum(37 - np.abs(x), 0) ** 2
        + np.maximum(np.abs(z - 4) - 12, 0) ** 2
    )
    return np.asarray(
        np.minimum.reduce([surface, sulci - taper, between, sylvian - 0.6 - anatomy.sulcus]), dtype=np.float32
    )


def _tentorium(points: Array) -> Array:
    """Signed distance below the roof of the cerebellum."""
    x, y, z = points
    return np.asarray(np.minimum(0.35 * (y + 35) - 2 - 0.2 * np.abs(x) - z, -25 - y), dtype=np.float32)


def _ventricles(points: Array, scale: float) -> Array:
    x, y, z = points
    half = np.stack([np.abs(x), y, z])
    lateral = np.maximum.reduce([rod(half, *ends, scale=scale) for ends in VENTRICLE])
    third = np.minimum.reduce([1.6 * scale - half[0], 15 - np.abs(y + 4), 9 - np.abs(z + 1)])
    fourth = ellipsoid(points, (0, -33, -24), (6, 5, 9))
    return np.asarray(np.maximum.reduce([np.minimum(lateral, half[0] - 0.7), third, fourth]), dtype=np.float32)
