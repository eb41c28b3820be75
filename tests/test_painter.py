from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from pipeline.compute import PLAIN
from pipeline.formats.raster import read_png
from pipeline.synthesis import augment, gan, model_dir
from pipeline.synthesis import painter as painter_module
from pipeline.synthesis.augment import AugmentConfig
from pipeline.synthesis.model_dir import ModelError
from pipeline.synthesis.networks.painter import Generator, PainterNetworkConfig, blend, build
from pipeline.synthesis.optimisers import OptimiserConfig
from pipeline.synthesis.painter import Holes, PainterConfig, Source, TrainedPainter, load_painter, paint, train_painter

SIDE, LESION = 16, 0.7
NETWORK = PainterNetworkConfig(image_size=SIDE, latent_dim=4, width=8, max_width=8)
CONFIG = PainterConfig(images=160, batch_size=8, network=NETWORK, tick=64, penalty_interval=3, ema_half_life=64)


def _place(rng: torch.Generator, n: int) -> torch.Tensor:
    """Soft masks (n, 1, SIDE, SIDE): a square of 6 pixels anywhere, its rim at one half."""
    masks = torch.zeros(n, 1, SIDE, SIDE)
    for mask, (row, column) in zip(masks, torch.randint(0, SIDE - 6, (n, 2), generator=rng).tolist(), strict=True):
        mask[:, row : row + 6, column : column + 6] = 0.5
        mask[:, row + 1 : row + 5, column + 1 : column + 5] = 1.0
    return masks


def _heads(rng: torch.Generator, n: int) -> torch.Tensor:
    """Dark noise: a slice without a lesion."""
    return (-0.6 + 0.1 * torch.randn(n, 1, SIDE, SIDE, generator=rng)).clamp(-1, 1)


def with_lesions(rng: torch.Generator, n: int) -> Holes:
    masks = _place(rng, n)
    return Holes(blend(_heads(rng, n), torch.full((n, 1, SIDE, SIDE), LESION), masks), masks)


def without(rng: torch.Generator, n: int) -> Holes:
    return Holes(_heads(rng, n), _place(rng, n))


def guessed(source: Source, lack: float = 0.0) -> Source:
    """The same with a guess of each slice that is darker than it by `lack`."""

    def draw(rng: torch.Generator, n: int) -> Holes:
        drawn = source(rng, n)
        return drawn._replace(guesses=(drawn.images - lack).clamp(-1, 1))

    return draw


def _train(folder: Path, config: PainterConfig = CONFIG, **changes: Any) -> TrainedPainter:
    arguments: dict[str, Any] = {
        "diagnosis": "tumour",
        "pairs": with_lesions,
        "canvases": without,
        "examples": without(torch.Generator().manual_seed(9), 3),
        "seed": 1,
        "compute": PLAIN,
        "progress": lambda *_: None,
    }
    return train_painter(folder=folder, config=config, **(arguments | changes))


def _generator(config: PainterNetworkConfig = NETWORK, seed: int = 0) -> Generator:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return build(config)[0].eval().requires_grad_(False)


def _canvases(n: int, seed: int = 5) -> tuple[Any, Any]:
    images, masks, _ = without(torch.Generator().manual_seed(seed), n)
    return images.numpy(), masks.numpy()


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A painter of bright squares after 160 small steps."""
    folder = tmp_path_factory.mktemp("painter")
    rate = OptimiserConfig(learning_rate=2e-3)
    update = {"images": 1280, "tick": 160, "generator_optimiser": rate, "discriminator_optimiser": rate}
    _train(folder, CONFIG.model_copy(update=update))
    return folder


@pytest.mark.parametrize("size", [16, 32, 64, 256])
def test_networks_paint_and_judge_at_every_size(size: int) -> None:
    config = PainterNetworkConfig(image_size=size, latent_dim=4, width=4, max_width=8)
    generator, discriminator = build(config)
    rng = torch.Generator().manual_seed(0)
    images, masks = torch.rand(2, 1, size, size, generator=rng) * 2 - 1, torch.zeros(2, 1, size, size)
    masks[:, :, 4:9, 5:12] = 1
    painted = generator(images, masks, torch.randn(2, 4, generator=rng), torch.randn(images.shape, generator=rng))
    assert painted.shape == images.shape
    assert painted.dtype == torch.float32
    assert painted.abs().max() <= 1
    logits = discriminator(painted, masks)
    assert logits.shape == (2,)
    logits.sum().backward()
    for parameter in (*generator.parameters(), *discriminator.parameters()):
        assert parameter.grad is not None
        assert parameter.grad.abs().sum() > 0


def test_a_painter_has_one_diagnosis_and_sizes_are_powers_of_two() -> None:
    with pytest.raises(ModelError, match=r"48 x 48 pixels: .*power of two"):
        CONFIG.for_images(48, guided=False)
    assert CONFIG.for_images(32, guided=False).network.image_size == 32


def _painted(images: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """What a generator with its first weights would lay into these canvases, the same latents at every call."""
    rng = torch.Generator().manual_seed(2)
    z, noise = torch.randn(len(images), 4, generator=rng), torch.randn(images.shape, generator=rng)
    return _generator()(images, masks, z, noise)


def test_what_lies_under_the_mask_is_never_seen() -> None:
    images, masks, _ = without(torch.Generator().manual_seed(0), 2)
    other = torch.where(masks > 0, torch.rand(images.shape, generator=torch.Generator().manual_seed(1)), images)
    assert not torch.equal(images, other)
    first, second = _painted(images, masks), _painted(other, masks)
    assert torch.equal(first, second)
    assert torch.equal(blend(images, first, masks)[masks == 1], blend(other, second, masks)[masks == 1])


def test_what_lies_beside_the_mask_is_seen() -> None:
    images, masks, _ = without(torch.Generator().manual_seed(0), 2)
    other = torch.where(masks > 0, images, images + 0.5)
    assert not torch.equal(_painted(images, masks)[masks == 1], _painted(other, masks)[masks == 1])


def test_outside_of_the_mask_the_canvas_keeps_its_bits() -> None:
    images, masks = _canvases(4)
    images[:, :, 0, 0] = -0.0  # a sum would lose its sign
    masks[:, :, 0, 0] = 0
    painted = paint(_generator(), images=images, masks=masks, seeds=range(4), compute=PLAIN)
    assert painted.dtype == np.float32
    assert painted[masks == 0].tobytes() == images[masks == 0].tobytes()
    assert (painted[masks == 1] != images[masks == 1]).mean() > 0.99


def test_canvas_mask_and_seed_give_the_same_bits_in_any_company() -> None:
    generator, (images, masks) = _generator(), _canvases(5)
    together = paint(generator, images=images, masks=masks, seeds=[3, 1, 4, 1, 5], compute=PLAIN)
    alone = [
        paint(generator, images=images[i : i + 1], masks=masks[i : i + 1], seeds=[seed], compute=PLAIN)
        for i, seed in enumerate([3, 1, 4, 1, 5])
    ]
    assert np.array_equal(together, np.concatenate(alone))


def test_painting_refuses_what_does_not_fit() -> None:
    images, masks = _canvases(3)
    with pytest.raises(ValueError, match="one mask and one seed a canvas"):
        paint(_generator(), images=images, masks=masks, seeds=[1, 2], compute=PLAIN)


def test_a_guided_painter_learns_what_its_guesses_lack(tmp_path: Path) -> None:
    rate = OptimiserConfig(learning_rate=2e-3)
    config = CONFIG.model_copy(update={"images": 640, "generator_optimiser": rate, "discriminator_optimiser": rate})
    source = guessed(without, lack=0.3)
    drawn = source(torch.Generator().manual_seed(9), 16)
    trained = _train(tmp_path, config, pairs=source, canvases=source, examples=drawn)
    assert trained.painter.network.guided
    generator, _ = load_painter(tmp_path)
    images, masks, guesses = (of.numpy() for of in drawn)
    made = paint(generator, images=images, masks=masks, guesses=guesses, seeds=range(16), compute=PLAIN)
    hole = masks == 1
    assert np.abs(made - images)[hole].mean() < 0.5 * np.abs(guesses - images)[hole].mean()
    others = np.where(masks > 0, -images, images)  # the guess alone tells of what was hidden
    again = paint(generator, images=others, masks=masks, guesses=guesses, seeds=range(16), compute=PLAIN)
    assert np.array_equal(again[hole], made[hole])
    with pytest.raises(ValueError, match="a guided painter wants a guess"):
        paint(generator, images=images, masks=masks, seeds=range(16), compute=PLAIN)


def test_guesses_that_do_not_fit_are_refused_first(tmp_path: Path) -> None:
    source = guessed(without)
    examples = source(torch.Generator().manual_seed(9), 3)
    for wrong in (lambda one: one[:, :, 1:], lambda one: one * 3):
        bent = [lambda rng, n, wrong=wrong: (d := source(rng, n))._replace(guesses=wrong(d.guesses))]
        with pytest.raises(ModelError, match="a guess in"):
            _train(tmp_path, pairs=source, canvases=bent[0], examples=examples)
    with pytest.raises(ModelError, match="each yields guesses"):
        _train(tmp_path, pairs=source, examples=examples)


def test_a_painter_is_not_sampled_like_a_gan(learnt: Path) -> None:
    with pytest.raises(ModelError, match="holds a painter"):
        model_dir.load_generator(learnt)


def test_it_learns_to_paint_bright_lesions_into_dark_heads(learnt: Path) -> None:
    generator, trained = load_painter(learnt)
    images, masks = _canvases(16)
    painted = paint(generator, images=images, masks=masks, seeds=range(16), compute=PLAIN)
    assert np.median(images[masks == 1]) < -0.5
    assert np.median(painted[masks == 1]) > 0.3
    curve = model_dir.read_curve(learnt)
    assert curve["l1"].iloc[-1] < 0.6 * curve["l1"].iloc[0]
    assert trained.l1 == curve["l1"].iloc[-1]


def test_two_seeds_paint_one_canvas_differently(learnt: Path) -> None:
    generator, _ = load_painter(learnt)
    images, masks = _canvases(8)
    first, second = (
        paint(generator, images=images, masks=masks, seeds=range(start, start + 8), compute=PLAIN) for start in (0, 8)
    )
    assert np.abs(first - second)[masks == 1].mean() > 0.01


def test_the_diversity_term_sets_paintings_of_one_canvas_apart(tmp_path: Path) -> None:
    shared = {"images": 480, "l1": 20.0, "variety": 0.3, "generator_optimiser": OptimiserConfig(learning_rate=2e-3)}
    without_term, with_term = (
        _train(tmp_path / str(weight), CONFIG.model_copy(update=shared | {"variety_weight": weight})).variety
        for weight in (0.0, 20.0)
    )
    assert with_term > 1.5 * without_term


def test_a_finished_folder_holds_all_and_is_returned_as_it_is(tmp_path: Path) -> None:
    trained = _train(tmp_path)
    assert trained.images_seen == 160
    assert trained.diagnosis == "tumour"
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "checkpoint", "config.json", "curves.parquet", "generator.safetensors", "snapshots",
    ]  # fmt: skip
    assert not model_dir.checkpoint_path(tmp_path).exists()
    curve = pd.read_parquet(tmp_path / "curves.parquet")
    assert list(curve["images_seen"]) == [64, 128, 160]
    assert list(curve.columns) == [
        "images_seen", "generator_loss", "discriminator_loss", "discriminator_accuracy", "augmentation_strength", "l1",
        "variety",
    ]  # fmt: skip
    assert [path.name for path in model_dir.snapshots(tmp_path)] == [
        "00000-000000064.png", "00001-000000128.png", "00002-000000160.png",
    ]  # fmt: skip
    assert read_png(model_dir.snapshots(tmp_path)[-1]).shape == (SIDE, 3 * SIDE)
    assert _train(tmp_path, pairs=None, canvases=None) == trained  # and draws nothing


class _Killed(Exception):
    pass


def test_a_killed_training_goes_on_bit_for_bit(tmp_path: Path) -> None:
    adaptive = CONFIG.model_copy(update={"augmentation": AugmentConfig(target=0.1, adjustment=200)})
    whole = _train(tmp_path / "whole", adaptive)

    def kill(done: int, _total: int, _said: str) -> None:
        if done == 64:
            raise _Killed

    with pytest.raises(_Killed):
        _train(tmp_path / "killed", adaptive, progress=kill)
    assert not model_dir.config_path(tmp_path / "killed").exists()
    (tmp_path / "killed" / "snapshots" / ".x.png.1.part.png").touch()  # as a kill leaves it
    seen: list[int] = []
    assert _train(tmp_path / "killed", adaptive, progress=lambda done, *_: seen.append(done)) == whole
    assert seen == [64, 128, 160]
    for name in ("generator.safetensors", "curves.parquet", "config.json", "snapshots/00002-000000160.png"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert not list((tmp_path / "killed").rglob(".*"))


def _stop_after_one_tick(folder: Path, config: PainterConfig = CONFIG) -> None:
    def kill(done: int, *_: object) -> None:
        if done:
            raise _Killed

    with pytest.raises(_Killed):
        _train(folder, config, progress=kill)


def test_a_checkpoint_of_another_training_is_left_alone(tmp_path: Path) -> None:
    _stop_after_one_tick(tmp_path)
    with pytest.raises(ModelError, match="another training: l1 differ"):
        _train(tmp_path, CONFIG.model_copy(update={"l1": 3.0}))
    with pytest.raises(ModelError, match="another training: data differ"):
        _train(tmp_path, pairs=without)
    model_dir.checkpoint_path(tmp_path).write_bytes(b"nonsense")
    with pytest.raises(ModelError, match="damaged"):
        _train(tmp_path)


def test_minutes_end_a_training_and_count_on_after_a_kill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(painter_module.time, "monotonic", lambda: now.__setitem__(0, now[0] + 1.0) or now[0])
    config = CONFIG.model_copy(update={"images": 10_000, "minutes": 0.5})
    _stop_after_one_tick(tmp_path, config)  # a second a step: 30 steps of 8 in all
    assert _train(tmp_path, config).images_seen == 240


def test_numbers_that_are_none_stop_the_training_with_step_and_cause(tmp_path: Path) -> None:
    calls = [0]

    def poisoned(rng: torch.Generator, n: int) -> Holes:
        drawn = with_lesions(rng, n)
        calls[0] += 1
        # the first draw is the fingerprint's: step 12
        return drawn._replace(images=drawn.images / 0) if calls[0] == 13 else drawn

    with pytest.raises(gan.TrainingFailed, match=r"became nan, .* at step 12, 96 images seen; lower learning_rate"):
        _train(tmp_path, pairs=poisoned)
    assert model_dir.checkpoint_path(tmp_path).exists()
    assert not model_dir.config_path(tmp_path).exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda images, masks: Holes(images * 3, masks), "slices in"),
        (lambda images, masks: Holes(images, masks * 0), "a mask is empty"),
        (lambda images, masks: Holes(images.double(), masks), "float32"),
        (lambda images, masks: Holes(images[:, 0], masks), r"slices and masks \(n, 1, 16, 16\)"),
        (lambda images, masks: Holes(images, masks, images), "guesses"),
    ],
)
def test_sources_that_yield_something_else_are_refused_first(tmp_path: Path, change: Any, said: str) -> None:
    with pytest.raises(ModelError, match=said):
        _train(tmp_path, canvases=lambda rng, n: change(*without(rng, n)[:2]))
    assert not list(tmp_path.iterdir())


def test_masks_move_with_their_images_and_keep_their_grey() -> None:
    config = AugmentConfig(probability=1.0, rotation_degrees=30, cutout_probability=0)
    masks = _place(torch.Generator().manual_seed(3), 8)
    drawn = augment.draw(8, config, torch.Generator().manual_seed(4))
    moved = augment.move(masks, drawn)
    assert not torch.equal(moved, masks)
    as_images = augment.apply(2 * masks - 1, augment.Parameters(drawn.theta, torch.ones(8), drawn.cutout))
    assert torch.allclose((as_images + 1) / 2, moved.clamp(min=augment.DARKEST), atol=1e-6)
    darker = augment.Parameters(drawn.theta, torch.full((8,), 2.0), drawn.cutout)
    assert torch.equal(augment.move(masks, darker), moved)


def test_no_painter_where_none_is_finished(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="holds no finished painter"):
        load_painter(tmp_path)
    _train(tmp_path)
    (tmp_path / "generator.safetensors").write_bytes(b"nonsense")
    with pytest.raises(ModelError, match="cannot be read"):
        load_painter(tmp_path)
