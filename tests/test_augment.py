import pytest
import torch

from pipeline.synthesis import augment
from pipeline.synthesis.augment import AugmentConfig

STILL = AugmentConfig(rotation_degrees=0, shift=0, scale=0, log_gamma=0, cutout_probability=0)


def _images(n: int = 4, size: int = 32) -> torch.Tensor:
    images = torch.full((n, 1, size, size), -1.0)
    images[:, :, 8:24, 10:22] = torch.rand(n, 1, 16, 12, generator=torch.Generator().manual_seed(0))
    return images


def _draw(config: AugmentConfig, n: int = 4, seed: int = 0) -> augment.Parameters:
    return augment.draw(n, config, torch.Generator().manual_seed(seed))


def test_with_nothing_to_change_images_stay_as_they_are() -> None:
    images = _images()
    assert torch.allclose(augment.apply(images, _draw(STILL)), images.clamp(min=2 * augment.DARKEST - 1), atol=1e-5)


def test_same_generator_state_gives_the_same_images_and_another_seed_others() -> None:
    images, config = _images(), AugmentConfig()
    once, again, other = (augment.apply(images, _draw(config, seed=seed)) for seed in (1, 1, 2))
    assert torch.equal(once, again)
    assert not torch.equal(once, other)


def test_gradients_are_finite_at_pure_background_whatever_the_exponent() -> None:
    images = torch.full((8, 1, 16, 16), -1.0, requires_grad=True)
    augment.apply(images, _draw(AugmentConfig(log_gamma=0.7), n=8)).sum().backward()
    assert images.grad is not None
    assert images.grad.isfinite().all()


def test_shift_moves_content_by_its_share_of_the_side() -> None:
    image = torch.full((1, 1, 20, 20), -1.0)
    image[0, 0, 10, 10] = 1.0
    right_by_a_fifth = augment.Parameters(torch.tensor([[[1.0, 0, -0.4], [0, 1, 0]]]), torch.ones(1), torch.zeros(1, 4))
    moved = augment.apply(image, right_by_a_fifth)
    assert divmod(int(moved.argmax()), 20) == (10, 14)


def test_cutout_fills_one_box_of_the_asked_size_with_grey() -> None:
    config = STILL.model_copy(update={"cutout_probability": 1.0, "cutout_side": 0.5})
    filled = (augment.apply(torch.ones(64, 1, 32, 32), _draw(config, n=64)) == 0).flatten(1).sum(1)
    assert filled.max() == 16 * 16  # whole boxes; those at the border are cut off
    assert (filled > 0).all()


def test_what_comes_in_from_outside_is_background() -> None:
    config = STILL.model_copy(update={"shift": 0.5})
    moved = augment.apply(torch.ones(16, 1, 32, 32), _draw(config, n=16))
    assert moved.min() < -0.99


def _changed(strength: float, config: AugmentConfig, n: int = 4000) -> tuple[float, float, float]:
    """Shares of images moved and cut, and the largest exponent's logarithm."""
    drawn = augment.draw(n, config, torch.Generator().manual_seed(0), strength=strength)
    moved = (drawn.theta != torch.eye(2, 3)).flatten(1).any(1).float().mean()
    cut = (drawn.cutout[:, 2] > 0).float().mean()
    return moved.item(), cut.item(), drawn.gamma.log().abs().max().item()


def test_strength_multiplies_how_often_and_how_far_up_to_where_it_would_leak() -> None:
    config = AugmentConfig(probability=0.5, cutout_probability=0.3, log_gamma=0.2)
    assert _changed(0.0, config) == (0, 0, 0)
    assert _changed(0.5, config) == pytest.approx((0.25, 0.15, 0.1), abs=0.02)
    assert _changed(1.0, config) == pytest.approx((0.5, 0.3, 0.2), abs=0.02)
    assert _changed(2.0, config) == pytest.approx((augment.LEAKS_ABOVE, 0.6, 0.4), abs=0.02)


def test_strength_one_draws_what_no_strength_draws() -> None:
    first, second = _draw(AugmentConfig()), augment.draw(4, AugmentConfig(), torch.Generator().manual_seed(0))
    assert torch.equal(first.theta, second.theta)
    assert torch.equal(first.gamma, second.gamma)


def test_what_was_asked_for_above_the_leak_is_kept() -> None:
    assert _changed(1.0, AugmentConfig(probability=0.95))[0] == pytest.approx(0.95, abs=0.02)
    assert _changed(2.0, AugmentConfig(probability=0.95))[0] == pytest.approx(0.95, abs=0.02)


def test_strength_rises_with_overfitting_falls_without_and_stays_inside_its_range() -> None:
    config = AugmentConfig(target=0.6, adjustment=1000)
    assert augment.adjusted(0.5, realness=0.9, n=100, config=config) == pytest.approx(0.6)
    assert augment.adjusted(0.5, realness=0.2, n=100, config=config) == pytest.approx(0.4)
    assert augment.adjusted(0.01, realness=0.2, n=100, config=config) == 0
    assert augment.adjusted(1.99, realness=0.9, n=100, config=config) == augment.STRONGEST
    assert augment.adjusted(0.5, realness=0.9, n=100, config=AugmentConfig()) == 0.5


def test_from_none_to_one_takes_the_configured_number_of_images() -> None:
    strength, config = 0.0, AugmentConfig(target=0.0, adjustment=160)
    for _ in range(10):
        strength = augment.adjusted(strength, realness=1.0, n=16, config=config)
    assert strength == pytest.approx(1.0)


def test_blur_smooths_keeps_the_mean_and_leaves_a_flat_image_alone() -> None:
    noise = torch.randn(4, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    smooth = augment.blur(noise, 1.5)
    assert smooth.std() < 0.4 * noise.std()
    assert torch.allclose(smooth.mean(), noise.mean(), atol=0.02)
    flat = torch.full((1, 1, 16, 16), 0.3)
    assert torch.allclose(augment.blur(flat, 2.0), flat)
    assert torch.equal(augment.blur(noise, 0.1), noise)


def test_blur_of_a_point_is_a_gaussian_of_its_sigma() -> None:
    point = torch.zeros(1, 1, 41, 41)
    point[0, 0, 20, 20] = 1.0
    across = augment.blur(point, 2.0)[0, 0].sum(0)
    offsets = torch.arange(41.0) - 20
    assert torch.isclose((across * offsets**2).sum().sqrt(), torch.tensor(2.0), atol=0.05)
