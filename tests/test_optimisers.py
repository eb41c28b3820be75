import pytest
import torch
from torch import nn

from pipeline.synthesis.optimisers import OptimiserConfig, build, descend


def _descended(config: OptimiserConfig, *, slope: float, steps: int = 1, start: float = 2.0) -> float:
    weight = nn.Parameter(torch.tensor([start]))
    optimiser = build([weight], config)
    for _ in range(steps):
        descend(optimiser, (slope * weight).sum(), l1=config.l1)
    return weight.item()


def test_gradient_descent_with_momentum_is_polyaks() -> None:
    config = OptimiserConfig(kind="sgd", learning_rate=0.1, momentum=0.5)
    assert _descended(config, slope=1.0, steps=3) == pytest.approx(2 - 0.1 * (1 + 1.5 + 1.75))


def test_first_step_of_adam_is_its_rate_whatever_the_slope() -> None:
    config = OptimiserConfig(learning_rate=0.01, beta1=0.5, beta2=0.999)
    assert _descended(config, slope=7.0) == pytest.approx(1.99)
    assert _descended(config, slope=-0.1) == pytest.approx(2.01)


def test_beta1_and_beta2_are_adams() -> None:
    weight = nn.Parameter(torch.zeros(1))
    optimiser = build([weight], OptimiserConfig(beta1=0.5, beta2=0.9))
    assert optimiser.param_groups[0]["betas"] == (0.5, 0.9)


def test_l2_pulls_in_proportion_and_l1_by_the_sign() -> None:
    still = {"kind": "sgd", "learning_rate": 0.1}
    assert _descended(OptimiserConfig(**still, l2=0.3), slope=0.0) == pytest.approx(2 - 0.1 * 0.3 * 2)
    assert _descended(OptimiserConfig(**still, l1=0.3), slope=0.0) == pytest.approx(2 - 0.1 * 0.3)
    assert _descended(OptimiserConfig(**still, l1=0.3), slope=0.0, start=-2.0) == pytest.approx(-2 + 0.1 * 0.3)


def test_adam_decays_by_l2_too() -> None:
    assert _descended(OptimiserConfig(learning_rate=0.01, l2=0.5), slope=0.0) == pytest.approx(1.99)
