"""How weights move down the gradient: Adam, or gradient descent with momentum; L2 and L1 on the weights."""

from collections.abc import Iterable
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import nn


class OptimiserConfig(BaseModel):
    """One side's optimiser."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    kind: Literal["adam", "sgd"] = "adam"  # Kingma & Ba 2015; Polyak 1964
    learning_rate: float = Field(4e-4, gt=0)
    beta1: float = Field(0.0, ge=0, lt=1)  # adam: momentum and adversaries do not mix (Gidel et al. 2019)
    beta2: float = Field(0.99, gt=0, lt=1)  # adam
    momentum: float = Field(0.0, ge=0, lt=1)  # sgd
    l2: float = Field(0.0, ge=0)  # adds l2 * weight to the gradient: the penalty l2 / 2 * sum of squares
    l1: float = Field(0.0, ge=0)  # adds l1 * sign(weight): the penalty l1 * sum of magnitudes


def build(parameters: Iterable[nn.Parameter], config: OptimiserConfig) -> torch.optim.Optimizer:
    """Torch's optimiser over these parameters; `descend` adds what torch does not have, the L1 part."""
    # fused: one pass over the weights, in plain C++, instead of a Python loop over tensors
    if config.kind == "adam":
        betas = (config.beta1, config.beta2)
        return torch.optim.Adam(parameters, lr=config.learning_rate, betas=betas, weight_decay=config.l2, fused=True)
    return torch.optim.SGD(
        parameters, lr=config.learning_rate, momentum=config.momentum, weight_decay=config.l2, fused=True
    )


def descend(optimiser: torch.optim.Optimizer, loss: torch.Tensor, *, l1: float = 0.0) -> None:
    """One step of these parameters down the gradient of `loss`, a scalar."""
    optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]  # torch has no type for it
    if l1 > 0:
        for weight in (p for group in optimiser.param_groups for p in group["params"] if p.grad is not None):
            weight.grad.add_(weight.detach().sign(), alpha=l1)
    optimiser.step()
