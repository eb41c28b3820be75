"""How a condition enters a family that has no better way: one-hot beside the latent, projection at the logit."""

import math

import torch
from torch import nn
from torch.nn import functional as F


def latent_features(latent_dim: int, conditions: int) -> int:
    """Length of what `with_condition` returns: one condition says nothing and costs nothing."""
    return latent_dim + (conditions if conditions > 1 else 0)


def with_condition(z: torch.Tensor, c: torch.Tensor, conditions: int) -> torch.Tensor:
    """Append the condition, one-hot, to the latent (Mirza & Osindero 2014): (N, D), int64 (N,) -> (N, D + C)."""
    if conditions == 1:
        return z
    return torch.cat([z, F.one_hot(c, conditions).to(z.dtype)], dim=1)


class Head(nn.Module):
    """(features (N, F), c int64 (N,)) -> logits float32 (N,): linear, and a projection on the condition's embedding.

    Miyato & Koyama 2018, eq. 3. The embedding is divided by sqrt(F), so that both terms start equally large.
    """

    def __init__(self, features: int, conditions: int) -> None:
        super().__init__()
        self.linear = nn.Linear(features, 1)
        self.condition = nn.Embedding(conditions, features) if conditions > 1 else None

    def forward(self, features: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.linear(features)[:, 0].float()
        if self.condition is not None:
            logits = logits + (features * self.condition(c)).sum(1).float() / math.sqrt(features.shape[1])
        return logits
