import copy
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from torch import nn

from pipeline.synthesis.networks import Cost, NetworkConfig, build, lean, macs
from pipeline.synthesis.networks.dcgan import DcganConfig
from pipeline.synthesis.networks.lean import LeanConfig
from pipeline.synthesis.networks.perceptron import PerceptronConfig
from pipeline.synthesis.networks.residual import ResidualConfig, SpectralNorm
from pipeline.synthesis.networks.style import Generator as StyleGenerator
from pipeline.synthesis.networks.style import StyleConfig
from pipeline.synthesis.networks.style_layers import ModulatedConv, blur, group_std

SMALL_DCGAN = DcganConfig(
    image_size=16, latent_dim=8, conditions=2, start_side=4, start_width=8, generator_widths=(8,),
    generator_strides=(2, 2), discriminator_widths=(4, 8), discriminator_strides=(2, 2),
)  # fmt: skip
SMALL: dict[str, NetworkConfig] = {
    "lean": LeanConfig(image_size=16, latent_dim=8, conditions=2, width=4, max_width=8),
    "residual": ResidualConfig(image_size=16, latent_dim=8, conditions=2, width=4, max_width=8),
    "residual plain": ResidualConfig(
        image_size=16, latent_dim=8, conditions=2, width=4, max_width=8, norm="none", spectral_norm=False
    ),
    "dcgan": SMALL_DCGAN,
    "dcgan instance": SMALL_DCGAN.model_copy(
        update={
            "generator_norm": "instance", "discriminator_norm": "instance", "generator_kernel": 5,
            "discriminator_kernel": 3, "discriminator_dropout": (0.0, 0.4), "initialisation": "glorot",
        }
    ),
    "dcgan plain": SMALL_DCGAN.model_copy(
        update={"generator_norm": "none", "discriminator_norm": "none", "initialisation": "glorot"}
    ),
    "style": StyleConfig(image_size=16, latent_dim=8, conditions=2, w_dim=8, width=4, max_width=8),
    "style quiet": StyleConfig(
        image_size=16, latent_dim=8, conditions=2, w_dim=8, width=4, max_width=8, noise="none", minibatch_std=0
    ),
    "perceptron": PerceptronConfig(
        image_size=16, latent_dim=8, conditions=2, generator_widths=(12, 12), discriminator_widths=(6, 6)
    ),
    "perceptron leaky": PerceptronConfig(
        image_size=16, latent_dim=8, conditions=2, generator_widths=(12,), output="tanh", discriminator_widths=(12, 12),
        pieces=1, input_dropout=0, dropout=0,
    ),
}  # fmt: skip

# the recipes of earlier systems, each pure configuration
RECIPES: dict[str, dict[str, Any]] = {
    "akkaya-old": {
        "family": "dcgan", "image_size": 128, "start_side": 16, "start_width": 128, "generator_widths": [64, 32],
        "generator_strides": [2, 2, 2], "discriminator_widths": [64, 128], "discriminator_strides": [2, 2],
        "discriminator_norm": "none", "initialisation": "glorot",
    },
    "akkaya-new": {
        "family": "dcgan", "image_size": 128, "start_side": 32, "start_width": 256, "generator_widths": [128, 128],
        "generator_strides": [2, 2, 1], "generator_norm": "none", "generator_leak": 0.2,
        "discriminator_widths": [64, 128, 128, 256], "discriminator_strides": [1, 2, 2, 2], "discriminator_kernel": 3,
        "discriminator_norm": "none", "discriminator_dropout": [0, 0, 0, 0.4], "initialisation": "glorot",
    },
    "krog-mnist": {
        "family": "dcgan", "image_size": 28, "start_side": 7, "start_width": 256, "generator_widths": [128, 64],
        "generator_strides": [1, 2, 2], "generator_kernel": 5, "generator_leak": 0.3,
        "discriminator_widths": [64, 128], "discriminator_strides": [2, 2], "discriminator_kernel": 5,
        "discriminator_leak": 0.3, "discriminator_norm": "none", "discriminator_dropout": [0.3, 0.3],
        "initialisation": "glorot",
    },
    "dcgan": {"family": "dcgan"},
    "goodfellow": {"family": "perceptron"},
}  # fmt: skip

every = pytest.mark.parametrize("config", SMALL.values(), ids=SMALL.keys())


def _pair(config: NetworkConfig, seed: int = 0) -> tuple[nn.Module, nn.Module]:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return build(config)


def _awake(config: NetworkConfig) -> tuple[nn.Module, nn.Module]:
    """A pair whose weights have left their start: conditions and noise have no effect on many a first image."""
    pair = _pair(config)
    rng = torch.Generator().manual_seed(7)
    for network in pair:
        for parameter in network.parameters():
            parameter.data += 0.3 * torch.randn(parameter.shape, generator=rng)
    return pair


def _inputs(config: NetworkConfig, n: int = 6) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(1)
    images = torch.rand(n, 1, config.image_size, config.image_size, generator=rng) * 2 - 1
    return torch.randn(n, config.latent_dim, generator=rng), torch.arange(n) % config.conditions, images


def _penalty(discriminator: nn.Module, images: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
    images = images.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(discriminator(images, c).sum(), images, create_graph=True)
    return gradient.square().sum()


def _check_shapes(config: NetworkConfig, n: int = 2) -> None:
    generator, discriminator = _pair(config)
    z, c, _ = _inputs(config, n)
    with torch.no_grad():
        images = generator(z, c)
        logits = discriminator(images, c)
    assert images.shape == (n, 1, config.image_size, config.image_size)
    assert images.dtype == logits.dtype == torch.float32
    assert images.abs().max() <= 1
    assert images.std() > 0
    assert logits.shape == (n,)


@every
def test_shapes_and_ranges(config: NetworkConfig) -> None:
    _check_shapes(config)


@pytest.mark.parametrize("size", [32, 64, 128, 256])
@pytest.mark.parametrize("family", [LeanConfig, ResidualConfig, StyleConfig])
def test_shapes_at_every_power_of_two(family: Any, size: int) -> None:
    _check_shapes(family(image_size=size, latent_dim=4, conditions=3, width=4, max_width=8))


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES.keys())
def test_earlier_systems_are_pure_configuration(recipe: dict[str, Any]) -> None:
    config = TypeAdapter[NetworkConfig](NetworkConfig).validate_python(recipe)
    assert config.latent_dim == 100
    _check_shapes(config)


@every
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_gradients_reach_every_parameter_of_both(config: NetworkConfig, training: bool) -> None:
    if training and isinstance(config, LeanConfig):
        pytest.skip("the lean pair has biases before a norm, which takes them away again while training")
    generator, discriminator = (network.double().train(training) for network in _pair(config))
    z, c, _ = _inputs(config, 8)
    (discriminator(generator(z.double(), c).double(), c) * torch.arange(1.0, 9.0)).sum().backward()
    for network in (generator, discriminator):
        largest = {name: p.grad is not None and p.grad.abs().max().item() for name, p in network.named_parameters()}
        assert largest
        assert [name for name, value in largest.items() if not value or value < 1e-12] == []


@every
def test_same_seed_same_weights(config: NetworkConfig) -> None:
    def weights(seed: int) -> torch.Tensor:
        return torch.cat(
            [t.flatten().float() for network in _pair(config, seed) for t in network.state_dict().values()]
        )

    assert torch.equal(weights(3), weights(3))
    assert not torch.equal(weights(3), weights(4))


# the weights of seed 3, each times the cosine of its place: any that moves, or is drawn in another order, changes it
DRAWN = {
    "lean": -10.35491, "residual": -1.16526, "residual plain": -3.97453, "dcgan": -8.21809,
    "dcgan instance": -14.31218, "dcgan plain": 13.14820, "style": 546.40677, "style quiet": 420.95546,
    "perceptron": -14.66955, "perceptron leaky": -11.22284,
}  # fmt: skip


@pytest.mark.parametrize("name", SMALL)
def test_a_seed_draws_the_weights_that_it_always_drew(name: str) -> None:
    pair = _pair(SMALL[name], seed=3)
    weights = torch.cat([t.flatten().double() for network in pair for t in network.state_dict().values()])
    places = torch.arange(1, len(weights) + 1, dtype=torch.float64)
    assert (weights * places.cos()).sum().item() == pytest.approx(DRAWN[name], abs=1e-3)


@pytest.mark.parametrize(
    ("config", "widths"),
    [
        (LeanConfig(image_size=64, width=32, max_width=192), [192, 128, 64, 32]),  # at 4, 8, 16, 32 pixels a side
        (ResidualConfig(image_size=64, width=32, max_width=192), [192, 192, 128, 64, 32]),  # and 64
        (StyleConfig(image_size=16, width=4, max_width=8), [8, 8, 4]),
    ],
)
def test_channels_double_with_every_halving_up_to_a_limit(config: Any, widths: list[int]) -> None:
    assert config.widths() == widths


@every
def test_a_forward_draws_nothing_global_but_dropout(config: NetworkConfig) -> None:
    generator, discriminator = _pair(config)
    z, c, images = _inputs(config)
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    with torch.no_grad():
        generator(z, c)
        discriminator.eval()(images, c)
    assert torch.equal(before, torch.random.get_rng_state())


@every
def test_batch_equals_loop(config: NetworkConfig) -> None:
    if isinstance(config, StyleConfig):
        config = config.model_copy(update={"minibatch_std": 0})  # which is about the batch
    generator, discriminator = (network.eval() for network in _awake(config))
    z, c, images = _inputs(config)
    with torch.no_grad():
        one_by_one = torch.cat([generator(z[i : i + 1], c[i : i + 1]) for i in range(len(z))])
        logits = torch.cat([discriminator(images[i : i + 1], c[i : i + 1]) for i in range(len(z))])
        torch.testing.assert_close(generator(z, c), one_by_one, rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(discriminator(images, c), logits, rtol=1e-3, atol=1e-3)


@every
def test_weights_saved_are_all_that_makes_an_image(config: NetworkConfig) -> None:
    trained, other = _awake(config), _pair(config, seed=9)
    z, c, images = _inputs(config)
    for mine, theirs, x in zip(trained, other, (z, images), strict=True):
        theirs.load_state_dict(copy.deepcopy(mine).state_dict())
        with torch.no_grad():
            assert torch.equal(mine.eval()(x, c), theirs.eval()(x, c))


@every
def test_gradient_of_the_r1_penalty_is_its_finite_difference(config: NetworkConfig) -> None:
    if isinstance(config, ResidualConfig):
        config = config.model_copy(update={"spectral_norm": False})  # its singular vectors are constants by design
    discriminator = _awake(config)[1].double().eval()
    _, c, images = _inputs(config)
    _penalty(discriminator, images.double(), c).backward()
    rng = torch.Generator().manual_seed(2)
    step = [torch.randn(p.shape, generator=rng, dtype=torch.float64) for p in discriminator.parameters()]
    expected = sum(
        (p.grad * d).sum() for p, d in zip(discriminator.parameters(), step, strict=True) if p.grad is not None
    )
    values = []
    for sign in (1, -2):  # forwards, then backwards over the start
        for p, d in zip(discriminator.parameters(), step, strict=True):
            p.data += sign * 1e-7 * d
        values.append(_penalty(discriminator, images.double(), c).item())
    assert (values[0] - values[1]) / 2e-7 == pytest.approx(float(expected), rel=1e-3)


@every
def test_bf16_autocast_is_finite_both_ways(config: NetworkConfig) -> None:
    generator, discriminator = (n.to(memory_format=torch.channels_last) for n in _pair(config))
    z, c, images = _inputs(config)
    with torch.autocast("cpu", torch.bfloat16):
        made = generator(z, c)
        loss = discriminator(made, c).sum() + _penalty(discriminator, images, c)
    loss.backward()
    assert made.dtype == torch.float32
    with torch.no_grad():
        assert (made - _pair(config)[0](z, c)).abs().max() < 0.1
    for network in (generator, discriminator):
        assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


@every
def test_the_condition_changes_image_and_logit(config: NetworkConfig) -> None:
    generator, discriminator = (network.eval() for network in _awake(config))
    z, _, images = _inputs(config)
    zeros, ones = torch.zeros(6, dtype=torch.int64), torch.ones(6, dtype=torch.int64)
    with torch.no_grad():
        assert (generator(z, zeros) - generator(z, ones)).abs().amax((1, 2, 3)).min() > 1e-4
        assert (discriminator(images, zeros) - discriminator(images, ones)).abs().min() > 1e-6


@every
def test_one_condition_costs_nothing(config: NetworkConfig) -> None:
    if isinstance(config, LeanConfig):
        pytest.skip("the lean pair keeps its one embedding, so that its weights stay what they were")
    one, two, three = (macs(config.model_copy(update={"conditions": n})) for n in (1, 2, 3))
    assert one.generator_parameters < two.generator_parameters < three.generator_parameters
    assert one.discriminator_parameters < two.discriminator_parameters
    assert one.generator_macs <= two.generator_macs
    alone = _pair(config.model_copy(update={"conditions": 1}))
    assert not [m for m in alone[1].modules() if isinstance(m, nn.Embedding)]
    if isinstance(config, DcganConfig):
        # nothing but a row more an output of the dense layer, and a row more at the logit
        assert three.generator_parameters - two.generator_parameters == config.start_width * config.start_side**2
        assert three.discriminator_macs == one.discriminator_macs


def test_the_registry_builds_the_lean_pair_as_it_always_was() -> None:
    config = LeanConfig(image_size=16, latent_dim=8, conditions=3, width=8, max_width=16)
    torch.manual_seed(3)
    by_hand = (lean.Generator(config), lean.Discriminator(config))
    for mine, theirs in zip(_pair(config, seed=3), by_hand, strict=True):
        theirs_weights = theirs.state_dict()
        assert all(torch.equal(weight, theirs_weights[name]) for name, weight in mine.state_dict().items())


def test_the_family_tells_configurations_apart() -> None:
    adapter = TypeAdapter[NetworkConfig](NetworkConfig)
    for config in SMALL.values():
        assert adapter.validate_json(config.model_dump_json()) == config
    with pytest.raises(ValidationError, match="family"):
        adapter.validate_python({"family": "diffusion"})
    with pytest.raises(ValidationError, match="Extra inputs"):
        adapter.validate_python({"family": "style", "start_side": 4})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"generator_strides": [2, 3]}, r"4 -> 8 -> 24 pixels a side, but image_size is 16"),
        ({"start_side": 8}, r"8 -> 16 -> 32"),
        ({"generator_strides": [2, 2, 2]}, r"one for the image, 2, not 3"),
        ({"discriminator_strides": [2]}, r"one entry a width, 2, not 1"),
        ({"discriminator_dropout": [0.3]}, r"no entry or one a width, 2, not 1"),
        ({"discriminator_dropout": [0.3, 1.0]}, r"from 0 to below 1"),
        ({"start_side": 4, "generator_strides": [4, 1], "generator_kernel": 3}, r"kernel 3 is smaller than stride 4"),
        ({"discriminator_strides": [16, 2]}, r"16 -> 1 -> 1 pixels"),
        ({"discriminator_strides": [4, 4], "discriminator_norm": "instance"}, r"one pixel"),
    ],
)
def test_layers_that_do_not_fit_say_what_comes_out(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        DcganConfig(**(SMALL_DCGAN.model_dump() | changes))


@pytest.mark.parametrize("kernel", [3, 4, 5, 6, 7])
@pytest.mark.parametrize(("start", "strides"), [(7, (2, 2)), (4, (1, 3)), (5, (3, 1)), (3, (2, 3))])
def test_sizes_are_those_of_the_configuration(kernel: int, start: int, strides: tuple[int, int]) -> None:
    side = start * strides[0] * strides[1]
    config = DcganConfig(
        image_size=side, latent_dim=4, start_side=start, start_width=2, generator_widths=(2,),
        generator_strides=strides, generator_kernel=kernel, discriminator_widths=(2, 2),
        discriminator_strides=strides, discriminator_kernel=kernel,
    )  # fmt: skip
    _check_shapes(config)


@pytest.mark.parametrize("family", [LeanConfig, ResidualConfig, StyleConfig])
def test_a_size_that_is_no_power_of_two_is_refused(family: Any) -> None:
    with pytest.raises(ValidationError, match="96 is not a power of two"):
        family(image_size=96)


def test_dcgan_normalises_neither_the_image_nor_what_first_sees_it() -> None:
    generator, discriminator = _pair(SMALL_DCGAN)
    counts = [sum(isinstance(m, nn.BatchNorm2d) for m in network.modules()) for network in (generator, discriminator)]
    assert counts == [2, 1]  # dense and one transposed convolution; the second of two convolutions
    first = next(m for m in discriminator.modules() if isinstance(m, nn.BatchNorm2d))
    assert first.num_features == SMALL_DCGAN.discriminator_widths[1]


def test_cost_of_a_small_pair_is_the_hand_count() -> None:
    config = DcganConfig(
        image_size=8, latent_dim=5, start_side=2, start_width=6, generator_widths=(3,), generator_strides=(2, 2),
        generator_norm="none", discriminator_widths=(7,), discriminator_strides=(2,), discriminator_norm="none",
    )  # fmt: skip
    # dense 5 -> 6 x 2 x 2; 4x4 transposed 6 -> 3 from 2 x 2 pixels; 4x4 transposed 3 -> 1 from 4 x 4 pixels
    generator_macs = 5 * 24 + 2 * 2 * 16 * 6 * 3 + 4 * 4 * 16 * 3 * 1
    generator_parameters = (5 * 24 + 24) + (16 * 6 * 3 + 3) + (16 * 3 + 1)
    # 4x4 1 -> 7 to 4 x 4 pixels; linear 7 x 4 x 4 -> 1
    discriminator_macs, discriminator_parameters = 4 * 4 * 16 * 7 + 112, (16 * 7 + 7) + (112 + 1)
    expected = Cost(generator_parameters, discriminator_parameters, generator_macs, discriminator_macs)
    assert macs(config) == expected


def test_cost_of_the_first_gan_is_the_hand_count() -> None:
    generator = 100 * 1200 + 1200 * 1200 + 1200 * 784
    discriminator = 784 * 1200 + 240 * 1200 + 240
    assert macs(PerceptronConfig()) == Cost(generator + 3184, discriminator + 2401, generator, discriminator)


def test_counting_draws_nothing() -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    for config in SMALL.values():
        assert macs(config).discriminator_macs > 0
    assert torch.equal(before, torch.random.get_rng_state())


def test_spectral_norm_divides_by_the_largest_singular_value() -> None:
    rng = torch.Generator().manual_seed(0)
    weight = torch.randn(6, 3, 3, 3, generator=rng)
    norm = SpectralNorm(weight)
    for _ in range(50):
        norm(weight)
    assert torch.linalg.matrix_norm(norm(weight).flatten(1), ord=2).item() == pytest.approx(1, rel=1e-4)
    torch.testing.assert_close(norm(5 * weight), norm(weight))
    settled = norm.u.clone()
    norm.eval()(torch.randn(6, 3, 3, 3, generator=rng))
    assert torch.equal(norm.u, settled)


def _style(**changes: Any) -> StyleGenerator:
    config = SMALL["style"].model_copy(update=changes)
    generator = _awake(config)[0]
    assert isinstance(generator, StyleGenerator)
    return generator


def test_truncation_ends_in_one_image_a_condition_and_begins_with_the_untouched() -> None:
    generator = _style()
    z, c, _ = _inputs(generator.config, 8)
    with torch.no_grad():
        for _ in range(20):
            generator(z, c)
        generator.eval()
        means = generator(z, c, psi=0.0)
        assert torch.equal(generator(z, c, psi=1.0), generator(z, c))
        assert torch.equal(generator.truncate(generator.map(z, c), c, psi=1.0), generator.map(z, c))
        spread = [generator(z, c, psi=psi)[c == 0].var(0).mean() for psi in (0.0, 0.3, 0.6, 1.0)]
    torch.testing.assert_close(means[c == 0], means[:1].expand(4, -1, -1, -1))
    assert (means[0] - means[1]).abs().max() > 1e-3  # the means of two conditions are two
    assert spread == sorted(spread)
    assert spread[1] > 0


def test_the_mean_w_is_tracked_by_condition_and_only_while_training() -> None:
    generator = _style(conditions=3)
    z, c, _ = _inputs(generator.config, 6)
    c = c.clamp(max=1)  # condition 2 is never seen
    with torch.no_grad():
        generator.w_avg[2] = 1
        w = generator.map(z, c)
        generator(z, c)
        torch.testing.assert_close(generator.w_avg[0], 0.005 * w[c == 0].mean(0))
        torch.testing.assert_close(generator.w_avg[1], 0.005 * w[c == 1].mean(0))
        assert generator.w_avg[2].eq(1).all()
        before = generator.w_avg.clone()
        generator.eval()(z, c)
    assert torch.equal(generator.w_avg, before)


def test_parts_of_the_style_generator_make_its_image() -> None:
    generator = _style().eval()
    z, c, _ = _inputs(generator.config)
    with torch.no_grad():
        assert torch.equal(generator.synthesise(generator.map(z, c)), generator(z, c))


def test_random_noise_comes_from_what_is_handed_in() -> None:
    generator = _style(noise="random")
    z, c, _ = _inputs(generator.config)

    def images(**options: Any) -> torch.Tensor:
        with torch.no_grad():
            return generator(z, c, **options)

    def seeded(seed: int) -> torch.Tensor:
        return images(noise="random", rng=torch.Generator().manual_seed(seed))

    assert torch.equal(seeded(1), seeded(1))
    assert not torch.equal(seeded(1), seeded(2))
    training = images()
    assert torch.equal(training, images())  # without a generator, z says it
    assert not torch.equal(training, images(noise="const"))
    generator.eval()
    assert torch.equal(images(), images(noise="const"))
    assert not torch.equal(images(), images(noise="none"))
    alone = generator(z[2:3], c[2:3], noise="random").detach()
    torch.testing.assert_close(alone, images(noise="random")[2:3], rtol=1e-3, atol=1e-4)


def test_noise_without_a_generator_differs_between_latents_and_layers_but_not_in_its_values() -> None:
    generator = _style(noise="random")
    z, _, _ = _inputs(generator.config, 8)
    planes, const = generator.planes(z, mode="random"), generator.planes(z, mode="const")
    for plane, own in zip(planes, const, strict=True):
        assert plane is not None
        assert own is not None
        assert len({tuple(p.flatten().tolist()) for p in plane}) >= 5
        torch.testing.assert_close(plane[3].flatten().sort().values, own.flatten().sort().values)


def test_a_generator_without_noise_carries_none() -> None:
    generator = _style(noise="none")
    assert not [name for name in generator.state_dict() if "plane" in name or "strength" in name]
    z, c, _ = _inputs(generator.config)
    with torch.no_grad():
        assert torch.equal(generator(z, c), generator(z, c, noise="random"))


def test_a_modulated_convolution_is_one_with_weights_of_its_own_for_each_image() -> None:
    torch.manual_seed(0)
    conv = ModulatedConv(5, 3, 3, 4)
    x, w = torch.randn(2, 5, 6, 6), torch.randn(2, 4)
    with torch.no_grad():
        for i in range(2):
            weight = conv.weight / 45**0.5 * conv.style(w)[i][:, None, None]
            weight = weight / (weight.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
            expected = torch.nn.functional.conv2d(x[i : i + 1], weight, padding=1)
            torch.testing.assert_close(conv(x, w)[i : i + 1], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("padding", [0, 1, 2, 3])
def test_a_blur_is_its_filter(padding: int) -> None:
    x = torch.randn(2, 3, 9, 9, generator=torch.Generator().manual_seed(0))
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
    expected = torch.nn.functional.conv2d(x.flatten(0, 1)[:, None], (taps[:, None] * taps)[None, None], padding=padding)
    torch.testing.assert_close(blur(x, padding=padding), expected.view(2, 3, *expected.shape[2:]))
    exact = x[:1, :1, :4, :4].double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: blur(x, padding=padding), exact)
    assert torch.autograd.gradgradcheck(lambda x: blur(x, padding=padding).square(), exact)


def test_doubling_keeps_the_energy_of_a_layer() -> None:
    torch.manual_seed(0)
    x, w = torch.randn(8, 64, 16, 16), torch.randn(8, 4)
    with torch.no_grad():
        smooth = torch.nn.functional.interpolate(x[:, :, ::4, ::4], scale_factor=4, mode="bilinear")
        flat, doubled = (ModulatedConv(64, 64, 3, 4, double=double)(smooth, w).std() for double in (False, True))
    assert 0.6 < doubled / flat < 1.4


def test_minibatch_deviation_sees_a_collapsed_group() -> None:
    rng = torch.Generator().manual_seed(0)
    varied = torch.randn(8, 3, 4, 4, generator=rng)
    same = varied[:1].expand(8, -1, -1, -1)
    assert group_std(same, 4).max().item() == pytest.approx(1e-4)
    assert group_std(varied, 4).min() > 0.5
    first = varied[[0, 2, 4, 6]].std(0, correction=0).mean().item()  # groups of 4 in 8: every second image
    assert group_std(varied, 4)[[0, 2, 4, 6], 0, 0, 0].tolist() == pytest.approx([first] * 4, rel=1e-4)
    assert group_std(varied[:7], 4).max().item() == pytest.approx(1e-4)  # 7 has no divisor but 1: groups of one
    three = varied[[0, 2, 4]].std(0, correction=0).mean().item()  # groups of 3 in 6
    assert group_std(varied[:6], 4)[0, 0, 0, 0].item() == pytest.approx(three, rel=1e-4)
