"""One seed, one image, in any company and by any road; walks that begin and end at their seeds; clear refusals."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from typer.testing import CliRunner

from flows import single
from flows.cli import app
from flows.errors import ConfigError
from pipeline.compute import PLAIN
from pipeline.formats.film import write_film
from pipeline.formats.raster import from_uint8, read_png, to_uint8, write_png
from pipeline.formats.synthetic import read_synthetic
from pipeline.synthesis import model_dir, training
from pipeline.synthesis import sample as sampling
from pipeline.synthesis.gan import GanConfig
from pipeline.synthesis.model_dir import ModelError, TrainedGan
from pipeline.synthesis.sample import encode, fingerprint, parse_counts, parse_seeds, sample, slerp, walk
from pipeline.synthesis.training import TrainingSet

CONFIG = GanConfig(images=48, batch_size=8, tick=16, position_bins=2)
Model = tuple[nn.Module, TrainedGan]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one small GAN a diagnosis, as RUN/models/0."""
    folder = tmp_path_factory.mktemp("models")
    for seed, diagnosis in enumerate(("no_tumour", "tumour")):
        rng = np.random.default_rng(seed)
        training.train(
            folder=folder / diagnosis,
            data=TrainingSet(
                images=rng.uniform(-1, 1, (16, 1, 16, 16)).astype(np.float32),
                groups=[f"s{i // 4}" for i in range(16)],
                diagnoses=[diagnosis] * 16,
                positions=np.linspace(0.3, 0.7, 16),
                sequences=["flair"] * 16,
                planes=["axial"] * 16,
            ),
            config=CONFIG,
            seed=seed,
            compute=PLAIN,
            progress=lambda done, total, said: None,
        )
    return folder


@pytest.fixture(scope="module")
def model(models: Path) -> Model:
    return model_dir.load_generator(models / "tumour")


class Styles(nn.Module):
    """The smallest generator with a w: an affine mapping, an image that is a nonlinear function of w alone."""

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.mapping = nn.Linear(latent_dim, 6)
        self.kind = nn.Embedding(4, 6)
        self.image = nn.Linear(6, 16 * 16)
        self.mean = nn.Parameter(torch.randn(4, 6))
        self.requires_grad_(False)

    def map(self, z: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        return cast(torch.Tensor, self.mapping(z) + self.kind(c))

    def truncate(self, w: torch.Tensor, c: torch.Tensor, *, psi: float) -> torch.Tensor:
        return torch.lerp(self.mean[c], w, psi)

    def synthesise(self, w: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.image(w)).unflatten(1, (1, 16, 16))


def _unlike(model: Model) -> list[int]:
    """Two seeds whose conditions differ."""
    conditions = {sampling.latent(seed, model[1])[1]: seed for seed in range(50)}
    return list(conditions.values())[:2]


@pytest.mark.parametrize("at_once", [1, 3, 16])
def test_a_seed_has_the_same_bits_whatever_is_sampled_with_it(model: Model, at_once: int) -> None:
    together = sample(*model, seeds=range(48))
    parts = [sample(*model, seeds=range(i, i + at_once)) for i in range(0, 48, at_once)]
    assert np.array_equal(together, np.concatenate(parts))
    backwards = sample(*model, seeds=range(47, -1, -1))
    assert np.array_equal(together, backwards[::-1])


def test_conditions_are_drawn_as_often_as_they_stood_in_training(model: Model) -> None:
    trained = model[1].model_copy(update={"condition_counts": (30, 10)})
    drawn = [sampling.latent(seed, trained)[1] for seed in range(2000)]
    assert abs(np.mean(drawn) - 0.25) < 0.03  # three standard errors


def _code(model: Model, seed: int, psi: float = 1.0, generator: nn.Module | None = None) -> sampling.Code:
    generator = generator or model[0]
    return sampling.truncation_of(generator, model[1], psi)(encode(generator, model[1], seed=seed))


def test_truncation_leads_on_the_sphere_to_the_most_typical_image_of_the_condition(model: Model) -> None:
    for seed in _unlike(model):
        z, c = sampling.latent(seed, model[1])
        assert torch.equal(_code(model, seed).vector[0], z)
        drawn = [sampling.Code(sampling.latent(other, model[1])[0][None], c) for other in range(sampling.TYPICAL_OF)]
        images = np.stack([sampling.decode(model[0], code) for code in drawn]).reshape(len(drawn), -1)
        centre = drawn[int(np.linalg.norm(images - images.mean(0), axis=1).argmin())].vector[0]
        for psi in (0.8, 0.5, 0.2):
            code = _code(model, seed, psi)
            assert code.condition == c
            assert min(z.norm(), centre.norm()) * 0.95 < code.vector.norm() < max(z.norm(), centre.norm()) * 1.05
        assert torch.allclose(_code(model, seed, 1e-6).vector[0], centre, atol=1e-3)


def test_truncation_lessens_variety_step_by_step(model: Model) -> None:
    spread = [sample(*model, seeds=range(100, 164), truncation=psi).std(axis=0).mean() for psi in (1, 0.7, 0.4, 0.1)]
    assert spread == sorted(spread, reverse=True)
    assert spread[-1] < spread[0]


def test_truncation_in_w_is_about_the_mean_of_the_condition(model: Model) -> None:
    generator, trained = Styles(model[1].network.latent_dim), model[1]
    for seed in _unlike(model):
        z, c = sampling.latent(seed, trained)
        w = generator.map(z[None], torch.tensor([c]))
        assert torch.equal(_code(model, seed, generator=generator).vector, w)
        truncated = _code(model, seed, 0.25, generator).vector
        assert torch.allclose(truncated, generator.mean[c] + 0.25 * (w - generator.mean[c]))


def test_latents_are_standard_normal_and_seeds_tell_nothing_of_each_other(model: Model) -> None:
    z = torch.stack([sampling.latent(seed, model[1])[0] for seed in range(4000)])
    assert z.mean(0).abs().max() < 0.07  # four standard errors
    assert (z.std(0) - 1).abs().max() < 0.05
    assert ((z[1:] * z[:-1]).mean(0)).abs().max() < 0.07


@pytest.mark.parametrize("truncation", [0.0, -1.0, 1.5, math.nan])
def test_other_truncations_are_refused(model: Model, truncation: float) -> None:
    with pytest.raises(ValueError, match="at most 1"):
        sample(*model, seeds=[1], truncation=truncation)


def test_slerp_keeps_the_length_and_moves_evenly_along_the_arc() -> None:
    a, b = torch.tensor([3.0, 0.0, 0.0]), torch.tensor([0.0, 3.0, 0.0])
    assert torch.allclose(slerp(a, b, 1 / 3), 3 * torch.tensor([math.cos(math.pi / 6), 0.5, 0.0]))
    rng = torch.Generator().manual_seed(0)
    a, b = (torch.nn.functional.normalize(torch.randn(100, generator=rng), dim=0) for _ in range(2))
    points = torch.stack([slerp(a, b, i / 10) for i in range(11)])
    assert torch.allclose(points.norm(dim=1), torch.ones(11))
    chords = (points[1:] - points[:-1]).norm(dim=1)
    assert torch.allclose(chords, chords[:1].expand(10), atol=1e-6)
    assert torch.allclose(slerp(a, b, 0.3), slerp(b, a, 0.7))


def test_slerp_ends_exactly_and_is_straight_where_there_is_no_arc() -> None:
    rng = torch.Generator().manual_seed(1)
    a, b = torch.randn(2, 64, generator=rng)
    assert torch.equal(slerp(a, b, 0), a)
    assert torch.equal(slerp(a, b, 1), b)
    assert torch.allclose(slerp(a, 3 * a, 0.5), 2 * a)
    assert torch.equal(slerp(a, a, 0.3), a)
    assert torch.allclose(slerp(a, -a, 0.5), torch.zeros(64), atol=1e-6)


@pytest.mark.parametrize("styles", [False, True])
@pytest.mark.parametrize("truncation", [1.0, 0.6])
def test_a_walk_meets_the_image_of_each_seed_and_steps_in_between(
    model: Model, styles: bool, truncation: float
) -> None:
    generator = Styles(model[1].network.latent_dim) if styles else model[0]
    seeds = [*_unlike(model), 77]
    frames = np.stack(list(walk(generator, model[1], seeds=seeds, steps=5, truncation=truncation)))
    assert frames.shape == (11, 1, 16, 16)
    assert np.array_equal(frames[[0, 5, 10]], sample(generator, model[1], seeds=seeds, truncation=truncation))
    assert len(np.unique(frames, axis=0)) == 11
    around = np.stack(list(walk(generator, model[1], seeds=seeds, steps=5, truncation=truncation, loop=True)))
    assert np.array_equal(around[:11], frames)
    assert len(around) == 16
    assert np.array_equal(around[-1], around[0])


def test_a_walk_in_w_is_straight_and_has_no_jump(model: Model) -> None:
    generator = Styles(model[1].network.latent_dim)
    frames = np.stack(list(walk(generator, model[1], seeds=_unlike(model), steps=10)))
    logits = np.arctanh(frames.astype(float))  # affine in w
    assert np.allclose(np.diff(logits, n=2, axis=0), 0, atol=1e-4)


def test_a_condition_changes_halfway_or_is_held(model: Model) -> None:
    seeds = _unlike(model)
    codes = [encode(*model, seed=seed) for seed in seeds]
    way = [sampling.between(*codes, i / 4, straight=False).condition for i in range(5)]
    assert way == [codes[0].condition] * 2 + [codes[1].condition] * 3
    held = list(walk(*model, seeds=seeds, steps=4, condition=0))
    for frame, seed in ((held[0], seeds[0]), (held[-1], seeds[1])):
        code = encode(*model, seed=seed, condition=0)
        assert code.condition == 0
        assert np.array_equal(frame, sampling.decode(model[0], code))


@pytest.mark.parametrize(("seeds", "steps"), [([1], 5), ([], 5), ([1, 2], 0)])
def test_a_walk_that_leads_nowhere_is_refused(model: Model, seeds: list[int], steps: int) -> None:
    with pytest.raises(ValueError, match="two seeds"):
        next(walk(*model, seeds=seeds, steps=steps))


def test_a_fingerprint_is_of_the_weights(models: Path, model: Model) -> None:
    assert fingerprint(model[0]) == fingerprint(model_dir.load_generator(models / "tumour")[0])
    assert fingerprint(model[0]) != fingerprint(model_dir.load_generator(models / "no_tumour")[0])


@pytest.mark.parametrize("text", ["²", "1-99999999", "9223372036854775808", "1" * 30, "0-999999,5"])
def test_seeds_that_no_generator_takes_or_that_are_a_slip_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="seed"):
        parse_seeds(text)
    assert parse_seeds("9223372036854775807") == [2**63 - 1]
    assert len(parse_seeds("1-1000000")) == 1_000_000


def test_counts_are_a_number_a_diagnosis() -> None:
    assert parse_counts("tumour=100, no_tumour=50") == {"tumour": 100, "no_tumour": 50}
    for text in ("", "tumour", "tumour=", "tumour=0", "tumour=-1", "glioma=3", "tumour=1,tumour=2", "tumour=9999999"):
        with pytest.raises(ValueError, match=r"tumour|count"):
            parse_counts(text)


def _sample(models: Path, out: Path, **asked: Any) -> None:
    defaults: dict[str, Any] = {"seeds": None, "count": None, "first_seed": 0, "truncation": 1.0, "file_format": "png"}
    single.sample_model(model=models, out=out, progress=lambda done, total: None, **{**defaults, **asked})


def test_a_count_a_diagnosis_is_as_if_each_were_sampled_alone(tmp_path: Path, models: Path) -> None:
    _sample(models, tmp_path / "both", count="tumour=5,no_tumour=3", first_seed=10)
    _sample(models / "tumour", tmp_path / "alone", seeds="12-14")
    manifest, images = read_synthetic(tmp_path / "both" / "tumour")
    alone, images_alone = read_synthetic(tmp_path / "alone")
    assert list(manifest["slice_id"]) == [f"tumour-seed-{i:06d}" for i in range(10, 15)]
    assert set(alone["slice_id"]) < set(manifest["slice_id"])
    assert np.array_equal(images[2:5], images_alone)
    assert set(manifest["group"]) == set(alone["group"])
    other, _ = read_synthetic(tmp_path / "both" / "no_tumour")
    assert len(other) == 3
    assert set(other["diagnosis"]) == {"no_tumour"}
    assert not set(other["group"]) & set(manifest["group"])


def test_seeds_of_a_folder_of_models_are_drawn_from_each(tmp_path: Path, models: Path) -> None:
    _sample(models, tmp_path / "out", seeds="1-2", truncation=0.5)
    for diagnosis in ("tumour", "no_tumour"):
        manifest, images = read_synthetic(tmp_path / "out" / diagnosis)
        expected = sample(*model_dir.load_generator(models / diagnosis), seeds=[1, 2], truncation=0.5)
        assert np.array_equal(images, from_uint8(to_uint8(expected)))
        assert manifest["group"].str.endswith("-t0500").all()


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({}, "--seeds"),
        ({"seeds": "1", "count": "tumour=1"}, "--seeds"),
        ({"seeds": "one"}, "6600-6625"),
        ({"seeds": "1,2,1"}, "twice"),
        ({"count": "glioma=1"}, "tumour=100"),
    ],
)
def test_what_cannot_be_sampled_is_said_and_nothing_is_written(
    tmp_path: Path, models: Path, asked: dict[str, str], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        _sample(models, tmp_path / "out", **asked)
    assert not (tmp_path / "out").exists()


def test_missing_models_are_named(tmp_path: Path, models: Path) -> None:
    with pytest.raises(ConfigError, match=r"no model of no_tumour; it has tumour"):
        _sample(models / "tumour", tmp_path / "out", count="no_tumour=1")
    with pytest.raises(ModelError, match="no finished"):
        _sample(tmp_path / "nowhere", tmp_path / "out", seeds="1")
    (tmp_path / "half" / "tumour").mkdir(parents=True)
    with pytest.raises(ModelError, match="no finished"):
        _sample(tmp_path / "half", tmp_path / "out", seeds="1")
    (tmp_path / "swapped").mkdir()
    (tmp_path / "swapped" / "tumour").symlink_to(models / "no_tumour")
    with pytest.raises(ModelError, match="is of no_tumour"):
        _sample(tmp_path / "swapped", tmp_path / "out", seeds="1")
    assert not (tmp_path / "out").exists()


def _walk(models: Path, out: Path, **asked: Any) -> None:
    defaults: dict[str, Any] = {
        "seeds": "3,4",
        "steps": 4,
        "fps": 10,
        "truncation": 1.0,
        "condition": None,
        "loop": False,
    }
    single.interpolate_model(
        model=models / "tumour", out=out, progress=lambda done, total: None, **{**defaults, **asked}
    )


def _gif(path: Path) -> Iterator[np.ndarray]:
    with Image.open(path) as picture:
        for i in range(picture.n_frames):
            picture.seek(i)
            yield np.asarray(picture.convert("L"))


def test_a_film_begins_and_ends_with_the_sampled_images(tmp_path: Path, models: Path) -> None:
    _walk(models, tmp_path / "walk.gif")
    frames = list(_gif(tmp_path / "walk.gif"))
    assert len(frames) == 5
    _sample(models / "tumour", tmp_path / "set", seeds="3,4")
    for frame, seed in ((frames[0], 3), (frames[-1], 4)):
        assert np.array_equal(frame, read_png(tmp_path / "set" / f"tumour-seed-{seed:06d}.png"))


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"seeds": "3"}, "two or more"),
        ({"seeds": "x,y"}, "6600-6625"),
        ({"steps": 10**6}, "frames"),
        ({"condition": 7}, r"no condition 7; it has 0 \(below 0\.50 of the height\); 1 \("),
        ({"fps": 99}, "frames a second"),
    ],
)
def test_a_film_that_cannot_be_made_is_refused_and_says_why(
    tmp_path: Path, models: Path, asked: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        _walk(models, tmp_path / "walk.gif", **asked)
    with pytest.raises(ConfigError, match=r"\.mp4 or \.gif"):
        _walk(models, tmp_path / "walk.mov")
    assert list(tmp_path.iterdir()) == []


def test_a_film_is_not_written_over(tmp_path: Path, models: Path) -> None:
    write_film(tmp_path / "walk.gif", np.zeros((1, 8, 8), np.uint8), fps=5)
    before = (tmp_path / "walk.gif").read_bytes()
    with pytest.raises(ConfigError, match="not written over"):
        _walk(models, tmp_path / "walk.gif")
    assert (tmp_path / "walk.gif").read_bytes() == before


def test_a_training_is_filmed_from_first_to_last_and_rests_there(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    strips = rng.integers(0, 256, (40, 32, 8 * 32), dtype=np.uint8)
    (tmp_path / "model" / "snapshots").mkdir(parents=True)
    for i, strip in enumerate(strips):
        write_png(tmp_path / "model" / "snapshots" / f"{4096 * (i + 1):09d}.png", strip)
    single.film_of_training(tmp_path / "model", tmp_path / "film.gif", most=10, pictures=3, side=16)
    frames = list(_gif(tmp_path / "film.gif"))
    assert len(frames) == 10
    for frame, strip in ((frames[0], strips[0]), (frames[-1], strips[-1])):
        averaged = strip[:, : 3 * 32].astype(float).reshape(16, 2, 48, 2).mean(axis=(1, 3))
        assert np.abs(frame - averaged).max() <= 0.5 + 1e-9
    with Image.open(tmp_path / "film.gif") as picture:
        picture.seek(9)
        assert picture.info["duration"] == 250 + 2000


def test_a_real_training_is_filmed_and_one_without_pictures_is_named(tmp_path: Path, models: Path) -> None:
    single.film_of_training(models / "tumour", tmp_path / "film.gif")
    last = read_png(model_dir.snapshots(models / "tumour")[-1])
    assert np.array_equal(list(_gif(tmp_path / "film.gif"))[-1], last[:, : 4 * 16])
    with pytest.raises(ModelError, match="no snapshots"):
        single.film_of_training(tmp_path, tmp_path / "other.gif")


def test_the_commands_do_what_the_functions_do(tmp_path: Path, models: Path) -> None:
    run = CliRunner()
    out = tmp_path / "set"
    asked = ["sample", models, "--out", out, "--count", "tumour=2", "--first-seed", 7, "--format", "dicom"]
    done = run.invoke(app, list(map(str, asked)))
    assert done.exit_code == 0, done.output
    assert sorted(path.name for path in out.iterdir()) == [
        "manifest.parquet",
        "tumour-seed-000007.dcm",
        "tumour-seed-000008.dcm",
    ]
    asked = ["interpolate", models / "tumour", "--seeds", "3,4", "--steps", 4, "--out", tmp_path / "a.gif", "--loop"]
    assert run.invoke(app, list(map(str, asked))).exit_code == 0
    _walk(models, tmp_path / "b.gif", loop=True, fps=15)
    assert (tmp_path / "a.gif").read_bytes() == (tmp_path / "b.gif").read_bytes()
