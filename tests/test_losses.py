import math
from typing import get_args

import pytest
import torch

from pipeline.synthesis import losses
from pipeline.synthesis.losses import LOSSES, LossName

EVEN = torch.zeros(4)
REAL, FAKE = torch.tensor([2.0, -1.0, 0.5]), torch.tensor([-3.0, 1.0, 0.0])


def test_every_name_has_its_loss() -> None:
    assert set(LOSSES) == set(get_args(LossName))


@pytest.mark.parametrize(
    ("name", "discriminator", "generator"),
    [
        ("minimax", 2 * math.log(2), -math.log(2)),
        ("non-saturating", 2 * math.log(2), math.log(2)),
        ("hinge", 2.0, 0.0),
        ("least-squares", 0.5, 0.5),
        ("wgan-gp", 0.0, 0.0),
        ("relativistic", math.log(2), math.log(2)),
    ],
)
def test_losses_of_a_discriminator_that_says_nothing(name: LossName, discriminator: float, generator: float) -> None:
    assert LOSSES[name].discriminator(EVEN, EVEN, 1.0).item() == pytest.approx(discriminator)
    assert LOSSES[name].generator(EVEN, EVEN).item() == pytest.approx(generator)


def test_cross_entropy_is_that_of_torch_on_both_sides() -> None:
    bce = torch.nn.functional.binary_cross_entropy_with_logits
    for label in (1.0, 0.9):
        expected = bce(REAL, torch.full((3,), label)) + bce(FAKE, torch.zeros(3))
        for name in ("minimax", "non-saturating"):
            assert torch.isclose(LOSSES[name].discriminator(REAL, FAKE, label), expected)
    assert torch.isclose(LOSSES["non-saturating"].generator(REAL, FAKE), bce(FAKE, torch.ones(3)))
    assert torch.isclose(LOSSES["minimax"].generator(REAL, FAKE), -bce(FAKE, torch.zeros(3)))


def test_hinge_least_squares_and_wasserstein_by_hand() -> None:
    assert LOSSES["hinge"].discriminator(REAL, FAKE, 1.0).item() == pytest.approx((0 + 2 + 0.5) / 3 + (0 + 2 + 1) / 3)
    squares = (1 + 4 + 0.25) / 6 + (9 + 1 + 0) / 6
    assert LOSSES["least-squares"].discriminator(REAL, FAKE, 1.0).item() == pytest.approx(squares)
    assert LOSSES["least-squares"].generator(REAL, FAKE).item() == pytest.approx((16 + 0 + 1) / 6)
    assert LOSSES["wgan-gp"].discriminator(REAL, FAKE, 1.0).item() == pytest.approx(-2 / 3 - 1.5 / 3)
    assert LOSSES["hinge"].generator(REAL, FAKE).item() == pytest.approx(2 / 3)


def test_relativistic_compares_pairs() -> None:
    pairs = [math.log1p(math.exp(f - r)) for r, f in zip(REAL.tolist(), FAKE.tolist(), strict=True)]
    assert LOSSES["relativistic"].discriminator(REAL, FAKE, 1.0).item() == pytest.approx(sum(pairs) / 3)
    loss = LOSSES["relativistic"]
    assert torch.isclose(loss.generator(REAL, FAKE), loss.discriminator(FAKE, REAL, 1.0))


@pytest.mark.parametrize("name", get_args(LossName))
def test_discriminator_parts_real_from_fake_and_generator_raises_fake(name: LossName) -> None:
    real, fake = torch.full((3,), 0.1, requires_grad=True), torch.full((3,), -0.1, requires_grad=True)
    up_real, up_fake = torch.autograd.grad(LOSSES[name].discriminator(real, fake, 1.0), (real, fake))
    assert (up_real < 0).all()
    if name != "least-squares":  # its target for fake ones is 0, which lies above -0.1
        assert (up_fake > 0).all()
    (up_fake,) = torch.autograd.grad(LOSSES[name].generator(real.detach(), fake), fake)
    assert (up_fake < 0).all()


def test_minimax_is_flat_where_non_saturating_is_steep() -> None:
    slopes = {}
    for name in ("minimax", "non-saturating"):
        fake = torch.tensor([-8.0], requires_grad=True)
        slopes[name] = torch.autograd.grad(LOSSES[name].generator(EVEN[:1], fake), fake)[0].abs().item()
    assert slopes["minimax"] < 1e-3
    assert slopes["non-saturating"] > 0.99


@pytest.mark.parametrize("name", [name for name, loss in LOSSES.items() if not loss.generator_sees_real])
def test_generators_that_do_not_look_at_real_logits_give_the_same_for_any(name: LossName) -> None:
    assert torch.equal(LOSSES[name].generator(REAL, FAKE), LOSSES[name].generator(EVEN[:3], FAKE))


@pytest.mark.parametrize("name", get_args(LossName))
def test_smoothed_labels_change_only_losses_that_have_labels(name: LossName) -> None:
    hard, soft = (LOSSES[name].discriminator(REAL, FAKE, label) for label in (1.0, 0.9))
    assert torch.equal(hard, soft) != LOSSES[name].has_labels


def test_smoothing_draws_a_sure_discriminator_back_and_leaves_fake_ones_alone() -> None:
    real, fake = torch.tensor([6.0], requires_grad=True), torch.tensor([-1.0], requires_grad=True)
    loss = LOSSES["non-saturating"]
    sure = torch.autograd.grad(loss.discriminator(real, fake, 1.0), (real, fake))
    drawn_back = torch.autograd.grad(loss.discriminator(real, fake, 0.9), (real, fake))
    assert sure[0] < 0 < drawn_back[0]
    assert torch.equal(sure[1], drawn_back[1])


def test_realness_has_its_zero_where_the_loss_has_its_boundary() -> None:
    assert LOSSES["hinge"].realness(REAL, FAKE).sign().tolist() == [1, -1, 1]
    assert LOSSES["least-squares"].realness(REAL, FAKE).sign().tolist() == [1, -1, 0]
    for name in ("relativistic", "wgan-gp"):
        shifted = LOSSES[name].realness(REAL + 100, FAKE + 100)
        assert torch.allclose(shifted, LOSSES[name].realness(REAL, FAKE), atol=1e-4)


def test_gradient_penalty_of_a_linear_discriminator_is_its_squared_norm() -> None:
    weight = torch.arange(16.0).view(1, 1, 4, 4)
    images = torch.randn(5, 1, 4, 4, requires_grad=True)
    penalty = losses.gradient_penalty((images * weight).sum(dim=(1, 2, 3)), images)
    assert penalty.item() == pytest.approx(weight.square().sum().item())


@pytest.mark.parametrize(("slope", "expected"), [(1.0, 0.0), (3.0, 4.0), (0.5, 0.25)])
def test_interpolate_penalty_of_a_linear_discriminator_is_its_distance_from_slope_one(
    slope: float, expected: float
) -> None:
    real, fake = torch.randn(5, 1, 4, 4), torch.randn(5, 1, 4, 4)
    weight = torch.full((1, 1, 4, 4), slope / 4)  # of norm `slope`
    penalty = losses.interpolate_penalty(lambda x: (x * weight).sum(dim=(1, 2, 3)), real, fake, share=torch.rand(5))
    assert penalty.item() == pytest.approx(expected, abs=1e-5)


def test_interpolate_penalty_looks_between_the_two_and_reaches_the_weights() -> None:
    weight = torch.tensor(2.0, requires_grad=True)
    seen: list[torch.Tensor] = []

    def discriminator(x: torch.Tensor) -> torch.Tensor:
        seen.append(x.detach())
        return weight * x.square().sum(dim=(1, 2, 3))

    real, fake = torch.zeros(3, 1, 2, 2), torch.ones(3, 1, 2, 2)
    penalty = losses.interpolate_penalty(discriminator, real, fake, share=torch.tensor([0.0, 0.25, 1.0]))
    assert seen[0][:, 0, 0, 0].tolist() == [0.0, 0.25, 1.0]
    (gradient,) = torch.autograd.grad(penalty, weight)
    assert gradient.isfinite()
    assert gradient > 0


def test_a_flat_discriminator_has_a_finite_penalty_gradient() -> None:
    weight = torch.zeros((), requires_grad=True)
    images = torch.ones(2, 1, 2, 2)
    penalty = losses.interpolate_penalty(
        lambda x: weight * x.sum(dim=(1, 2, 3)), images, images, share=torch.tensor([0.5, 0.5])
    )
    (gradient,) = torch.autograd.grad(penalty, weight)
    assert gradient.isfinite()
