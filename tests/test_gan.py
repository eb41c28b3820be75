import copy
import math

import pytest
import torch

from pipeline.compute import PLAIN
from pipeline.synthesis import gan
from pipeline.synthesis.gan import GanConfig
from pipeline.synthesis.networks.lean import Discriminator, Generator, LeanConfig

NETWORK = LeanConfig(image_size=16, latent_dim=8, conditions=2, width=8, max_width=16)
CONFIG = GanConfig(images=64, batch_size=8, tick=32, latent_dim=8, width=8, max_width=16)


def _state(seed: int = 0, config: GanConfig = CONFIG) -> gan.State:
    return gan.new_state(network=NETWORK, config=config, seed=seed, compute=PLAIN)


def _data(n: int = 12) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(1)
    return torch.rand(n, 1, 16, 16, generator=rng) * 2 - 1, torch.randint(2, (n,), generator=rng)


def _train(state: gan.State, config: GanConfig = CONFIG) -> gan.State:
    images, conditions = _data()
    gan.train(state, images=images, conditions=conditions, config=config, compute=PLAIN, on_tick=lambda _: None)
    return state


def _captured_when_killed(at: int) -> dict[str, object]:
    images, conditions = _data()
    captured: list[dict[str, object]] = []

    def on_tick(state: gan.State) -> None:
        if state.images_seen == at:
            captured.append(copy.deepcopy(gan.capture(state)))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        gan.train(_state(), images=images, conditions=conditions, config=CONFIG, compute=PLAIN, on_tick=on_tick)
    return captured[0]


def _weights(state: gan.State) -> torch.Tensor:
    modules = (state.generator, state.discriminator, state.generator_ema)
    return torch.cat([t.flatten().float() for m in modules for t in m.state_dict().values()])


@pytest.mark.parametrize("size", [16, 32, 64, 128, 256])
def test_networks_keep_their_shapes_at_every_size(size: int) -> None:
    network = LeanConfig(image_size=size, latent_dim=8, conditions=3, width=4, max_width=16)
    z, c = torch.randn(2, 8), torch.tensor([0, 2])
    images = Generator(network)(z, c)
    assert images.shape == (2, 1, size, size)
    assert images.abs().max() < 1
    assert Discriminator(network)(images, c).shape == (2,)


def test_a_size_that_is_no_power_of_two_is_refused() -> None:
    with pytest.raises(ValueError, match="power of two"):
        Generator(LeanConfig(image_size=48))


def test_condition_changes_what_is_generated_once_it_was_trained() -> None:
    generator = _train(_state()).generator.eval()
    z = torch.randn(1, 8)
    assert not torch.equal(generator(z, torch.tensor([0])), generator(z, torch.tensor([1])))


def test_losses_are_equal_at_a_draw_and_opposed_otherwise() -> None:
    even = torch.zeros(4)
    assert gan.discriminator_loss(even, even).item() == pytest.approx(math.log(2))
    assert gan.generator_loss(even, even).item() == pytest.approx(math.log(2))
    assert gan.discriminator_loss(even + 3, even) < gan.generator_loss(even + 3, even)


def test_gradient_penalty_of_a_linear_discriminator_is_its_squared_norm() -> None:
    weight = torch.arange(16.0).view(1, 1, 4, 4)
    images = torch.randn(5, 1, 4, 4, requires_grad=True)
    penalty = gan.gradient_penalty((images * weight).sum(dim=(1, 2, 3)), images)
    assert penalty.item() == pytest.approx(weight.square().sum().item())


def test_penalty_reaches_the_discriminators_weights() -> None:
    with_penalty = _train(_state())
    free = CONFIG.model_copy(update={"gamma": 0.0})
    assert not torch.equal(_weights(with_penalty), _weights(_train(_state(config=free), free)))


def test_same_seed_same_weights_and_the_global_generator_is_left_alone() -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    once, again, other = (_weights(_train(_state(seed))) for seed in (3, 3, 4))
    assert torch.equal(once, again)
    assert not torch.equal(once, other)
    assert torch.equal(before, torch.random.get_rng_state())


def test_a_resumed_training_equals_one_that_never_stopped_bit_for_bit() -> None:
    whole = _train(_state())
    captured = _captured_when_killed(at=32)
    resumed = _state(seed=99)  # everything that matters comes from the captured state
    gan.restore(resumed, captured)
    _train(resumed)
    assert torch.equal(_weights(whole), _weights(resumed))
    assert whole.curve == resumed.curve


def test_blur_fades_to_none_at_its_share_of_the_budget() -> None:
    config = CONFIG.model_copy(update={"images": 1000, "blur": 0.1, "blur_until": 0.5})
    sigmas = [gan.blur_sigma(seen, size=64, config=config) for seen in (0, 250, 500, 900)]
    assert sigmas == pytest.approx([6.4, 3.2, 0.0, 0.0])


def test_ema_follows_the_generator_with_its_half_life() -> None:
    config = CONFIG.model_copy(update={"ema_half_life": 8})
    state = _state(config=config)
    state.images_seen = 10_000
    for parameter in state.generator.parameters():
        parameter.data.fill_(1.0)
    for parameter in state.generator_ema.parameters():
        parameter.data.zero_()
    gan.update_ema(state, config, 8)
    assert all(torch.allclose(p, torch.tensor(0.5)) for p in state.generator_ema.parameters())


def test_a_loss_that_is_not_finite_stops_the_training_and_says_where() -> None:
    images, conditions = _data()
    images[:] = math.nan
    with pytest.raises(gan.TrainingFailed, match="32 images"):
        gan.train(_state(), images=images, conditions=conditions, config=CONFIG, compute=PLAIN, on_tick=lambda _: None)


def test_the_generator_learns_where_the_bright_square_is() -> None:
    config = CONFIG.model_copy(update={"images": 4000, "tick": 4000, "batch_size": 16})
    images = torch.full((16, 1, 16, 16), -1.0)
    images[:, :, 4:12, 4:12] = 0.8
    state = _state(config=config)
    conditions = torch.zeros(16, dtype=torch.int64)
    gan.train(state, images=images, conditions=conditions, config=config, compute=PLAIN, on_tick=lambda _: None)
    with torch.no_grad():
        mean = state.generator_ema(torch.randn(32, 8), torch.zeros(32, dtype=torch.int64)).mean(0)[0]
    assert mean[5:11, 5:11].mean() > 0.3
    assert mean[0].mean() < -0.7
