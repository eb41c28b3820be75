import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.compute import PLAIN
from pipeline.synthesis import gan, networks, recipes
from pipeline.synthesis.gan import GanConfig

MNIST = Path(__file__).parents[2] / "shared" / "data" / "mnist_t10k" / "t10k-images-idx3-ubyte.gz"
BCE = {"non-saturating", "minimax"}
ADAM_OF_DCGAN = ("adam", 2e-4, 0.5, 0.999)


def _two_steps(config: GanConfig, images: torch.Tensor | None = None) -> tuple[gan.State, list[gan.Tick]]:
    """Train two steps on the recipe's own networks, at its own image size; of two images, and two batches for five."""
    size, k, batch = config.network.image_size, min(2, config.discriminator_steps), 2
    config = config.for_images(image_size=size, conditions=config.position_bins)
    images_seen = 2 * k * batch
    short = config.model_copy(
        update={"batch_size": batch, "discriminator_steps": k, "images": images_seen, "tick": images_seen}
    )
    rng = torch.Generator().manual_seed(0)
    if images is None:
        images = torch.rand(8, 1, size, size, generator=rng) * 2 - 1
    conditions = torch.arange(len(images)) % config.position_bins
    state = gan.new_state(config=short, seed=0, compute=PLAIN)
    ticks: list[gan.Tick] = []
    gan.train(
        state,
        images=images,
        conditions=conditions,
        config=short,
        compute=PLAIN,
        on_tick=lambda _, tick: ticks.append(tick),
    )
    return state, ticks


def _optimisers(config: GanConfig) -> set[tuple[str, float, float, float]]:
    both = (config.generator_optimiser, config.discriminator_optimiser)
    return {(one.kind, one.learning_rate, one.beta1, one.beta2) for one in both}


def _layers(module: nn.Module, *kinds: type[nn.Module]) -> list[nn.Module]:
    return [layer for layer in module.modules() if isinstance(layer, kinds)]


def _shapes(module: nn.Module, *kinds: type[nn.Module]) -> list[tuple[int, ...]]:
    return [tuple(layer.weight.shape) for layer in _layers(module, *kinds)]


def _as_plain(config: GanConfig) -> None:
    """Without anything that came later than these systems."""
    assert config.gamma == 0
    assert config.ema_half_life == 0
    assert config.blur == 0
    assert config.augmentation.strength == 0
    assert config.augmentation.target is None


@pytest.mark.parametrize("name", recipes.NAMES)
def test_every_recipe_trains_two_steps_at_its_own_size_and_says_whose_it_is(name: str) -> None:
    config = recipes.load(name)
    state, ticks = _two_steps(config)
    assert len(ticks) == 1  # two steps, and every loss and weight after them was finite
    for optimiser in (state.generator_optimiser, state.discriminator_optimiser):
        kept = optimiser.state_dict()["state"].values()
        moving = [one["exp_avg" if "exp_avg" in one else "momentum_buffer"] for one in kept]
        assert len(moving) == sum(1 for group in optimiser.param_groups for _ in group["params"])
        assert any(mean.abs().max() > 0 for mean in moving)
    assert len(recipes.whose(name)) > 40
    assert recipes.text(name).startswith("# ")


def test_the_files_are_those_that_are_named() -> None:
    folder = Path(recipes.__file__).parent / "recipes"
    assert {path.stem for path in folder.iterdir()} == set(recipes.NAMES)


@pytest.mark.parametrize("name", ["sgan", "../recipes/default", ""])
def test_another_name_is_refused_with_those_there_are(name: str) -> None:
    with pytest.raises(ValueError, match="akkaya-old, akkaya-new"):
        recipes.load(name)


def test_default_is_what_is_done_where_nothing_is_said() -> None:
    assert recipes.load("default") == GanConfig()


def test_dcgan() -> None:
    config = recipes.load("dcgan")
    generator, discriminator = networks.build(config.network)
    assert config.loss in BCE
    assert _optimisers(config) == {ADAM_OF_DCGAN}
    assert [s[:2] for s in _shapes(generator, nn.ConvTranspose2d)] == [(512, 256), (256, 128), (128, 64), (64, 1)]
    assert [s[0] for s in _shapes(discriminator, nn.Conv2d)] == [64, 128, 256, 512]
    assert len(_layers(generator, nn.BatchNorm2d)) == 4
    assert len(_layers(discriminator, nn.BatchNorm2d)) == 3
    _as_plain(config)


def test_sngan_bounds_every_layer_of_the_discriminator() -> None:
    config = recipes.load("sngan")
    assert (config.loss, config.discriminator_steps) == ("hinge", 5)
    assert _optimisers(config) == {("adam", 2e-4, 0.0, 0.9)}
    _, discriminator = networks.build(config.network)
    layers = _layers(discriminator, nn.Conv2d, nn.Linear)
    assert len(layers) > 8
    assert all(torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item() < 1.2 for layer in layers)
    _as_plain(config)


def test_wgan_gp_has_a_critic_without_norm_and_a_penalty_between() -> None:
    config = recipes.load("wgan-gp")
    assert (config.loss, config.discriminator_steps, config.interpolate_penalty) == ("wgan-gp", 5, 10.0)
    assert _optimisers(config) == {("adam", 1e-4, 0.0, 0.9)}
    _, critic = networks.build(config.network)
    assert not _layers(critic, nn.BatchNorm2d, nn.InstanceNorm2d, nn.Dropout)
    assert not any("parametrizations" in name for name, _ in critic.named_parameters())
    _as_plain(config)


def test_akkaya_old() -> None:
    config = recipes.load("akkaya-old")
    generator, discriminator = networks.build(config.network)
    assert config.network.image_size == 128
    assert _shapes(generator, nn.Linear) == [(16 * 16 * 128, 100)]
    assert len(_layers(generator, nn.ConvTranspose2d)) == 3
    assert _layers(generator, nn.BatchNorm2d)
    strided = _layers(discriminator, nn.Conv2d)
    assert [layer.stride for layer in strided] == [(2, 2), (2, 2)]
    assert config.loss in BCE
    assert _optimisers(config) == {ADAM_OF_DCGAN}
    _as_plain(config)


def test_akkaya_new() -> None:
    config = recipes.load("akkaya-new")
    generator, discriminator = networks.build(config.network)
    assert (config.network.image_size, config.network.latent_dim, config.batch_size) == (128, 100, 4)
    assert _shapes(generator, nn.Linear) == [(32 * 32 * 256, 100)]
    assert [s[2:] for s in _shapes(generator, nn.ConvTranspose2d)] == [(4, 4), (4, 4)]
    assert _shapes(generator, nn.Conv2d)[0][2:] == (4, 4)
    assert not _layers(generator, nn.BatchNorm2d)
    assert [s[0] for s in _shapes(discriminator, nn.Conv2d)] == [64, 128, 128, 256]
    assert max(layer.p for layer in _layers(discriminator, nn.Dropout)) == 0.4
    assert config.loss in BCE
    _as_plain(config)


def test_krog_mnist_on_its_digits() -> None:
    config = recipes.load("krog-mnist")
    generator, discriminator = networks.build(config.network)
    assert (config.network.image_size, config.network.latent_dim) == (28, 100)
    assert len(_layers(generator, nn.BatchNorm2d)) == 3
    assert len(_layers(generator, nn.ConvTranspose2d)) >= 2
    assert all(layer.p > 0 for layer in _layers(discriminator, nn.Dropout))
    assert config.loss in BCE
    assert {one[0] for one in _optimisers(config)} == {"adam"}
    assert (config.images // config.tick, config.tick, config.snapshot_images) == (50, 10_000, 16)
    _as_plain(config)
    if not MNIST.exists():
        pytest.skip(f"the digits are not here: {MNIST.name} under shared/data/mnist_t10k")
    _, ticks = _two_steps(config, _digits())
    assert ticks[0].discriminator_loss < 2.0


def _digits() -> torch.Tensor:
    """The digits of an IDX file (big-endian magic, count, rows, columns, pixels), float32 (N, 1, 28, 28) in [-1, 1]."""
    data = gzip.decompress(MNIST.read_bytes())
    magic, count, rows, columns = struct.unpack(">4I", data[:16])
    assert (magic, count, rows, columns) == (2051, 10_000, 28, 28)
    pixels = np.frombuffer(data, np.uint8, offset=16).reshape(count, 1, rows, columns)
    return torch.from_numpy(pixels.astype(np.float32) / 127.5 - 1)


def test_goodfellow() -> None:
    config = recipes.load("goodfellow")
    generator, discriminator = networks.build(config.network)
    assert _shapes(generator, nn.Linear) == [(1200, 100), (1200, 1200), (784, 1200)]
    assert not _layers(generator, nn.Conv2d, nn.ConvTranspose2d)
    assert _layers(discriminator, nn.Dropout)
    assert config.loss in BCE
    assert config.generator_optimiser.kind == config.discriminator_optimiser.kind == "sgd"
    assert config.generator_optimiser.momentum == 0.5
    assert config.discriminator_steps == 1
    _as_plain(config)


def test_goodfellow_takes_k_steps_and_minimax() -> None:
    config = recipes.load("goodfellow").model_copy(update={"discriminator_steps": 2, "loss": "minimax"})
    assert _two_steps(config)[1][0].generator_loss < 0  # only E log(1 - D(G(z))) is


def test_stylegan() -> None:
    config = recipes.load("stylegan")
    generator, _ = networks.build(config.network)
    assert (config.loss, config.r2, config.penalty_interval) == ("non-saturating", False, 16)
    assert config.augmentation.target == 0.6
    assert config.augmentation.strength == 0.0
    assert config.ema_half_life > 0
    assert config.network.family == "style"
    assert config.network.noise == "random"
    assert "w_avg" in dict(generator.named_buffers())
