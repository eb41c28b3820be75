import copy
import math
import shutil
from typing import Any

import pytest
import torch

from pipeline.compute import PLAIN
from pipeline.synthesis import augment, gan
from pipeline.synthesis.augment import AugmentConfig
from pipeline.synthesis.gan import GanConfig
from pipeline.synthesis.networks.dcgan import DcganConfig
from pipeline.synthesis.networks.lean import Discriminator, Generator, LeanConfig
from pipeline.synthesis.networks.style import StyleConfig
from pipeline.synthesis.optimisers import OptimiserConfig

NETWORK = LeanConfig(image_size=16, latent_dim=8, conditions=2, width=8, max_width=16)
CONFIG = GanConfig(images=64, batch_size=8, tick=32, network=NETWORK)
PLAIN_SGD = OptimiserConfig(kind="sgd", learning_rate=0.01, momentum=0.5)
CHANCE_INSIDE = DcganConfig(
    image_size=16,
    latent_dim=8,
    conditions=2,
    start_width=8,
    generator_widths=(8,),
    generator_strides=(2, 2),
    discriminator_widths=(8, 8),
    discriminator_strides=(2, 2),
    discriminator_dropout=(0.4, 0.4),
)
VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "momentum": {"generator_optimiser": PLAIN_SGD, "discriminator_optimiser": PLAIN_SGD, "loss": "non-saturating"},
    "adaptive": {"augmentation": AugmentConfig(strength=0.5, target=0.3, adjustment=100)},
    "dropout": {"network": CHANCE_INSIDE, "loss": "hinge"},
    "style": {"network": StyleConfig(image_size=16, latent_dim=8, conditions=2, width=4, max_width=8, w_dim=8)},
    "two steps": {"discriminator_steps": 2, "sampling": "stratified", "loss": "least-squares"},
    "wgan-gp": {"loss": "wgan-gp", "gamma": 0.0, "sampling": "balanced"},
}


def _variant(name: str) -> GanConfig:
    return GanConfig.model_validate(dict(CONFIG) | VARIANTS[name])


def _state(seed: int = 0, config: GanConfig = CONFIG) -> gan.State:
    return gan.new_state(config=config, seed=seed, compute=PLAIN)


def _data(n: int = 12) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(1)
    return torch.rand(n, 1, 16, 16, generator=rng) * 2 - 1, torch.randint(2, (n,), generator=rng)


def _ticks(state: gan.State, config: GanConfig = CONFIG) -> list[gan.Tick]:
    images, conditions = _data()
    ticks: list[gan.Tick] = []
    gan.train(
        state,
        images=images,
        conditions=conditions,
        config=config,
        compute=PLAIN,
        on_tick=lambda _, tick: ticks.append(tick),
    )
    return ticks


def _train(state: gan.State, config: GanConfig = CONFIG) -> gan.State:
    _ticks(state, config)
    return state


def _captured_when_killed(at: int, config: GanConfig) -> dict[str, object]:
    images, conditions = _data()
    captured: list[dict[str, object]] = []

    def on_tick(state: gan.State, _tick: gan.Tick) -> None:
        if state.images_seen == at:
            captured.append(copy.deepcopy(gan.capture(state)))
            raise KeyboardInterrupt

    state = _state(config=config)
    with pytest.raises(KeyboardInterrupt):
        gan.train(state, images=images, conditions=conditions, config=config, compute=PLAIN, on_tick=on_tick)
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


@pytest.mark.parametrize("name", VARIANTS)
def test_a_resumed_training_equals_one_that_never_stopped_bit_for_bit(name: str) -> None:
    config = _variant(name)
    whole = _state(config=config)
    ticks = _ticks(whole, config)
    captured = _captured_when_killed(at=32, config=config)
    resumed = _state(seed=99, config=config)  # everything that matters comes from the captured state
    gan.restore(resumed, captured)
    assert _ticks(resumed, config) == ticks[1:]
    assert torch.equal(_weights(whole), _weights(resumed))
    assert (whole.strength, whole.realness) == (resumed.strength, resumed.realness)
    first, second = whole.generator_optimiser.state_dict(), resumed.generator_optimiser.state_dict()
    assert all(torch.equal(v, second["state"][i][k]) for i, kept in first["state"].items() for k, v in kept.items())


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_trains_both_networks_and_stays_finite(name: str) -> None:
    config = _variant(name)
    before, after = _state(config=config), _train(_state(config=config), config)
    for one in ("generator", "discriminator", "generator_ema"):
        old, new = getattr(before, one).state_dict(), getattr(after, one).state_dict()
        assert any(not torch.equal(old[key], new[key]) for key in old)
        assert all(new[key].isfinite().all() for key in new)
    assert after.images_seen == 64


def _magnitude(module: torch.nn.Module) -> float:
    return sum(t.double().abs().sum().item() for t in module.state_dict().values())


def test_the_default_recipe_at_fixed_strength_is_that_of_the_older_studies_in_docs() -> None:
    # computed at commit a2d74c9, whose program trained them; a draw or a sum in another order already shows
    config = GanConfig(images=160, augmentation=AugmentConfig()).for_images(image_size=32, conditions=3)
    rng = torch.Generator().manual_seed(1)
    images, conditions = torch.rand(20, 1, 32, 32, generator=rng) * 2 - 1, torch.randint(3, (20,), generator=rng)
    state = _state(seed=5, config=config)
    ticks: list[gan.Tick] = []
    gan.train(
        state,
        images=images,
        conditions=conditions,
        config=config,
        compute=PLAIN,
        on_tick=lambda _, tick: ticks.append(tick),
    )
    assert _magnitude(state.generator) == pytest.approx(18445.2963, rel=2e-6)
    assert _magnitude(state.discriminator) == pytest.approx(6107.3353, rel=2e-6)
    assert _magnitude(state.generator_ema) == pytest.approx(18446.2895, rel=2e-6)
    assert ticks[0].generator_loss == pytest.approx(0.762993, abs=2e-5)
    assert ticks[0].discriminator_loss == pytest.approx(0.671817, abs=2e-5)


def _moves(config: GanConfig) -> tuple[list[int], list[int]]:
    """Images seen when each network moved."""
    state = _state(config=config)
    generator: list[int] = []
    discriminator: list[int] = []
    for optimiser, at in ((state.generator_optimiser, generator), (state.discriminator_optimiser, discriminator)):
        optimiser.register_step_post_hook(lambda *_, at=at: at.append(state.images_seen))
    _train(state, config)
    return generator, discriminator


def test_the_discriminator_moves_so_many_times_a_step_of_the_generator() -> None:
    generator, discriminator = _moves(CONFIG.model_copy(update={"discriminator_steps": 4}))
    assert generator == [0, 32]
    assert discriminator == [0] * 4 + [32] * 4  # eight batches of eight: 64 images, as without
    assert [len(moves) for moves in _moves(CONFIG)] == [8, 8]


def test_each_side_has_its_own_optimiser() -> None:
    config = CONFIG.model_copy(update={"generator_optimiser": PLAIN_SGD})
    state = _state(config=config)
    assert isinstance(state.generator_optimiser, torch.optim.SGD)
    assert state.generator_optimiser.param_groups[0]["lr"] == 0.01
    assert isinstance(state.discriminator_optimiser, torch.optim.Adam)


def test_holding_back_is_from_the_configured_values_and_below_the_strongest() -> None:
    state = _state()
    for _ in range(2):  # twice is not squared
        gan.hold_back(state, CONFIG, learning_rate=0.5, strength=1.5)
    assert state.generator_optimiser.param_groups[0]["lr"] == pytest.approx(2e-4)
    assert state.discriminator_optimiser.param_groups[0]["lr"] == pytest.approx(2e-4)
    assert state.strength == 1.5
    gan.hold_back(state, CONFIG, learning_rate=1, strength=9)
    assert state.strength == augment.STRONGEST


class _Spy(torch.nn.Module):
    """A discriminator that notes what it is shown."""

    def __init__(self, real: torch.nn.Module) -> None:
        super().__init__()
        self.real = real
        self.shown: list[torch.Tensor] = []

    def forward(self, images: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        self.shown.append(images.detach())
        logits: torch.Tensor = self.real(images, c)
        return logits


def _dropped(seed: int, steps: int) -> list[torch.Tensor]:
    """What the first dropout of the discriminator leaves out of the first batch of each step."""
    config = _variant("dropout")
    state = _state(config=config)
    state.seed = seed
    dropout = next(module for module in state.discriminator.modules() if isinstance(module, torch.nn.Dropout))
    seen: list[torch.Tensor] = []
    dropout.register_forward_hook(lambda _m, _i, out: seen.append(out.detach() == 0))
    images, conditions = _data(8)
    for _ in range(steps):
        gan.train_step(state, images=images, conditions=conditions, config=config, compute=PLAIN)
    return seen[:: len(seen) // steps]


def test_dropout_differs_between_steps_and_seeds_and_nothing_else() -> None:
    once, again, other = _dropped(1, 2), _dropped(1, 2), _dropped(2, 2)
    assert torch.equal(once[0], again[0])
    assert not torch.equal(once[0], other[0])
    assert (once[0] != once[1]).float().mean() > 0.2


def test_augmentation_stands_before_the_discriminator_and_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    config = CONFIG.model_copy(update={"blur": 0.0})
    state, marked = _state(config=config), 0.123
    made: list[torch.Tensor] = []
    state.discriminator = spy = _Spy(state.discriminator)
    state.generator.register_forward_hook(lambda _m, _i, out: made.append(out.detach()))
    monkeypatch.setattr(augment, "apply", lambda images, _: images * 0 + marked)
    images, conditions = _data(8)
    given = images.clone()
    gan.train_step(state, images=images, conditions=conditions, config=config, compute=PLAIN)
    assert len(spy.shown) == 4  # real and fake, for either side
    assert all((shown == marked).all() for shown in spy.shown)
    assert len(made) == 2
    assert not any((image == marked).any() for image in made)
    assert torch.equal(images, given)
    sampled = state.generator_ema(torch.randn(4, 8), torch.zeros(4, dtype=torch.int64))
    assert not (sampled == marked).any()


def test_without_strength_the_discriminator_sees_images_as_they_are() -> None:
    config = CONFIG.model_copy(update={"blur": 0.0, "augmentation": AugmentConfig(strength=0.0)})
    state = _state(config=config)
    state.discriminator = spy = _Spy(state.discriminator)
    images, conditions = _data(8)
    gan.train_step(state, images=images, conditions=conditions, config=config, compute=PLAIN)
    assert torch.equal(spy.shown[0], images)
    assert not images.requires_grad


def test_strength_follows_overfitting() -> None:
    # a dozen images of noise are soon known by heart; a discriminator that does not move cannot know them
    states, ticks = [], []
    for rate in (5e-3, 1e-9):
        config = CONFIG.model_copy(
            update={
                "images": 640,
                "tick": 640,
                "gamma": 0.0,
                "augmentation": AugmentConfig(strength=0.3, target=0.5, adjustment=1000),
                "discriminator_optimiser": OptimiserConfig(learning_rate=rate),
                "generator_optimiser": OptimiserConfig(learning_rate=1e-9),
            }
        )
        states.append(_state(config=config))
        ticks.append(_ticks(states[-1], config))
    sure, idle = states
    assert sure.realness > 0.7
    assert sure.strength > 0.5
    assert ticks[0][-1].augmentation_strength == sure.strength
    assert idle.strength < 0.3


def test_a_fixed_strength_stays() -> None:
    fixed = CONFIG.model_copy(update={"augmentation": AugmentConfig()})
    assert _train(_state(config=fixed), fixed).strength == 1.0


def test_smoothed_labels_need_a_loss_with_labels() -> None:
    assert GanConfig(loss="minimax", real_label=0.9).real_label == 0.9
    with pytest.raises(ValueError, match="hinge has none"):
        GanConfig(loss="hinge", real_label=0.9)


def test_a_network_without_a_family_is_the_defaults() -> None:
    assert GanConfig.model_validate({"network": {"width": 8}}).network == LeanConfig(width=8)
    assert GanConfig.model_validate({"network": {"family": "style"}}).network == StyleConfig()


def test_a_network_is_made_as_large_as_the_images_or_says_why_not() -> None:
    config = GanConfig().for_images(image_size=128, conditions=2)
    assert (config.network.image_size, config.network.conditions) == (128, 2)
    with pytest.raises(ValueError, match=r"dcgan network cannot make images of 24 x 24 pixels: .*16"):
        _variant("dropout").for_images(image_size=24, conditions=1)


def test_no_averaging_keeps_the_trained_weights() -> None:
    config = CONFIG.model_copy(update={"ema_half_life": 0})
    state = _train(_state(config=config), config)
    averaged, trained = state.generator_ema.state_dict(), state.generator.state_dict()
    assert all(torch.equal(averaged[key], trained[key]) for key in trained)


def test_a_tick_may_put_an_earlier_state_back_or_end_the_training() -> None:
    images, conditions = _data()
    kept: list[dict[str, object]] = []
    ticks: list[int] = []

    def on_tick(state: gan.State, tick: gan.Tick) -> bool:
        assert tick.images_seen == state.images_seen
        ticks.append(state.images_seen)
        if len(ticks) == 1:
            kept.append(copy.deepcopy(gan.capture(state)))
        if len(ticks) == 2:
            gan.restore(state, kept[0])
        return len(ticks) == 3

    config = CONFIG.model_copy(update={"images": 128})
    state = _state(config=config)
    gan.train(state, images=images, conditions=conditions, config=config, compute=PLAIN, on_tick=on_tick)
    assert ticks == [32, 64, 64]


@pytest.mark.parametrize(
    ("images", "sigmas"),
    [(1000, [6.4, 3.2, 0.0, 0.0]), (100_000, [6.4, 4.8, 3.2, 0.64])],
    ids=["a share of the budget", "so many images"],
)
def test_blur_fades_to_none_at_its_share_of_the_budget_or_so_many_images(images: int, sigmas: list[float]) -> None:
    changed = {"images": images, "blur": 0.1, "blur_until": 0.5, "blur_images": 1000}
    config, state, found = CONFIG.model_copy(update=changed), _state(), []
    for state.images_seen in (0, 250, 500, 900):
        found.append(gan.blur_sigma(state, config, size=64))
    assert found == pytest.approx(sigmas)


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


def test_a_loss_that_is_not_finite_stops_the_training_and_says_at_which_step() -> None:
    images, conditions = _data()
    steps: list[int] = []

    def poison(_module: object, _inputs: object, logits: torch.Tensor) -> torch.Tensor:
        steps.append(len(steps))
        return logits * (math.nan if len(steps) > 8 else 1)  # four calls a step: the third is the first to see it

    state = _state()
    state.discriminator.register_forward_hook(poison)
    said = r"discriminator's loss became nan, 0\.\d+ a step earlier, at step 3, 24 images seen"
    with pytest.raises(gan.TrainingFailed, match=said):
        gan.train(state, images=images, conditions=conditions, config=CONFIG, compute=PLAIN, on_tick=_never)


def _never(_state: gan.State, _tick: gan.Tick) -> None:
    raise AssertionError("a broken state must not be kept")


def test_weights_that_are_not_finite_stop_the_training_though_every_loss_was() -> None:
    images, conditions = _data()
    state = _state()

    def break_at_the_end(*_: object) -> None:
        if state.images_seen == 24:  # the last step before the tick at 32
            next(state.generator.parameters()).data[0] = math.inf

    state.generator_optimiser.register_step_post_hook(break_at_the_end)
    with pytest.raises(gan.TrainingFailed, match="a weight of the generator is no longer finite, at step 4"):
        gan.train(state, images=images, conditions=conditions, config=CONFIG, compute=PLAIN, on_tick=_never)


def test_the_generator_learns_where_the_bright_square_is() -> None:
    config = CONFIG.model_copy(update={"images": 4000, "tick": 4000, "batch_size": 16})
    images = torch.full((16, 1, 16, 16), -1.0)
    images[:, :, 4:12, 4:12] = 0.8
    state = _state(config=config)
    conditions = torch.zeros(16, dtype=torch.int64)
    gan.train(state, images=images, conditions=conditions, config=config, compute=PLAIN, on_tick=lambda *_: None)
    with torch.no_grad():
        mean = state.generator_ema(torch.randn(32, 8), torch.zeros(32, dtype=torch.int64)).mean(0)[0]
    assert mean[5:11, 5:11].mean() > 0.3
    assert mean[0].mean() < -0.7


def test_minutes_end_a_training_too_and_count_on_after_a_kill(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 100_000, 10))  # every step takes ten seconds
    monkeypatch.setattr(gan.time, "monotonic", lambda: float(next(clock)))
    config = CONFIG.model_copy(update={"images": 10_000, "minutes": 1.0})
    state = _state()
    # six steps of eight; a fortieth of the budget is over at each, so each is a tick
    assert [tick.images_seen for tick in _ticks(state, config)] == [8, 16, 24, 32, 40, 48]
    assert (state.seconds, gan.progress(state, config)) == (60.0, 1.0)
    earlier = _state()
    earlier.seconds = 30.0
    assert _ticks(earlier, config)[-1].images_seen == 24
    few = _state()
    _ticks(few, config.model_copy(update={"images": 16}))  # and images as before
    assert few.images_seen == 16


@pytest.mark.filterwarnings("ignore")  # torch's own, of torch.jit and of .grad, while it compiles
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs Debian's g++")
def test_compiled_networks_train_as_the_written_ones_do() -> None:
    compiled = CONFIG.model_copy(update={"compile": True, "penalty_interval": 2})
    images, conditions = _data(8)

    def weights(config: GanConfig) -> list[torch.Tensor]:
        state = _state(config=config)
        for _ in range(3):  # of which the second has no penalty, and so is compiled on both sides
            gan.train_step(state, images=images, conditions=conditions, config=config, compute=PLAIN)
        gan.discriminate(state, images, conditions, config=config, compute=PLAIN)
        assert list(gan.capture(state)["generator"]) == list(gan.capture(_state())["generator"])  # type: ignore[call-overload]  # a state dict
        return [p.detach() for side in (state.generator, state.discriminator) for p in side.parameters()]

    torch.compiler.reset()
    began = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    ours = weights(compiled)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > began
    for mine, plain in zip(ours, weights(compiled.model_copy(update={"compile": False})), strict=True):
        torch.testing.assert_close(mine, plain, rtol=1e-3, atol=1e-5)


def test_compiling_without_a_compiler_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(gan.TrainingFailed, match=r"install g\+\+ or set gan.compile = false"):
        _state(config=CONFIG.model_copy(update={"compile": True}))


def test_the_discriminator_is_asked_without_dropout_and_without_chance() -> None:
    config = _variant("dropout")
    state, (images, conditions) = _train(_state(config=config), config), _data()
    before = state.rng.get_state()
    once, again = (gan.discriminate(state, images, conditions, config=config, compute=PLAIN) for _ in range(2))
    assert torch.equal(once, again)
    assert once.shape == (12,)
    assert torch.equal(before, state.rng.get_state())
    assert state.discriminator.training  # and goes on as it was
