"""Layers of the style family: equalised learning rates, modulated convolutions, blurs, minibatch deviation.

Equalised learning rates (Karras et al. 2018): weights are drawn from N(0, 1) and scaled where they are used, so that
an optimiser moves all of them alike.
"""

import math
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F


def active(x: torch.Tensor) -> torch.Tensor:
    """Leaky rectifier times sqrt(2), which keeps the energy, roughly."""
    return F.leaky_relu(x, 0.2) * math.sqrt(2)


def unit(x: torch.Tensor) -> torch.Tensor:
    """Scale rows to a mean square of 1."""
    return x * (x.square().mean(1, keepdim=True) + 1e-8).rsqrt()


class Linear(nn.Module):
    """Linear layer with an equalised learning rate, `rate` times as fast as the others."""

    def __init__(self, a: int, b: int, *, rate: float = 1.0, bias: float = 0.0) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.randn(b, a) / rate), nn.Parameter(torch.full((b,), bias / rate))
        self.rate = rate

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.linear(x, self.weight * (self.rate / math.sqrt(self.weight.shape[1])), self.bias * self.rate)


class _Blur(torch.autograd.Function):
    """The gradient of a blur is a blur, of any order.

    torch's own second derivative of a convolution a channel is one call a channel, thousands in an R1 penalty.
    """

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, padding: int) -> torch.Tensor:
        ctx.padding = padding
        i = torch.arange(4, device=x.device, dtype=x.dtype)
        taps = (1 + i * (3 - i)) / 8  # 1, 3, 3, 1: made where they are used, a copy from outside would stall a GPU
        kernel = (taps[:, None] * taps).expand(x.shape[1], 1, 4, 4)
        return F.conv2d(x, kernel, padding=padding, groups=x.shape[1])

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        return blur(gradients[0], padding=3 - ctx.padding), None


def blur(x: torch.Tensor, *, padding: int) -> torch.Tensor:
    """Smooth with (1, 3, 3, 1) / 8 along rows and columns, so that doubling and halving do not alias (Karras 2019).

    (N, C, S, S) -> (N, C, S + 2 * padding - 3, the same); padding 0 to 3, of zeros.
    """
    blurred: torch.Tensor = _Blur.apply(x, padding)  # type: ignore[no-untyped-call]  # torch has no type for it
    return blurred


class Conv(nn.Module):
    """Convolution with an equalised learning rate, (N, a, S, S) -> (N, b, S, S); half the side where `halve` is on."""

    def __init__(self, a: int, b: int, kernel: int, *, halve: bool = False) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.randn(b, a, kernel, kernel)), nn.Parameter(torch.zeros(b))
        self.halve = halve

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weight = self.weight / math.sqrt(self.weight[0].numel())
        padding = weight.shape[2] // 2
        if self.halve:
            return F.conv2d(blur(x, padding=padding + 1), weight, self.bias, stride=2)
        return F.conv2d(x, weight, self.bias, padding=padding)


class ModulatedConv(nn.Module):
    """Convolution whose inputs are scaled by a style, (N, a, S, S), w (N, w_dim) -> (N, b, S, S) or twice the side.

    Demodulated, outputs have the energy that unit inputs would give (Karras et al. 2020, eq. 1 and 3). Instead of one
    set of weights an image, activations are scaled before one shared convolution and rescaled after it: the same sum.
    """

    def __init__(
        self, a: int, b: int, kernel: int, w_dim: int, *, double: bool = False, demodulate: bool = True
    ) -> None:
        super().__init__()
        self.style = Linear(w_dim, a, bias=1.0)
        self.weight = nn.Parameter(torch.randn(b, a, kernel, kernel))
        self.doubles, self.demodulate = double, demodulate

    def forward(self, x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        style = self.style(w)
        weight = self.weight / math.sqrt(self.weight[0].numel())
        x = x * style[:, :, None, None].to(x.dtype)
        if self.doubles:  # times 4, because three pixels of four were zeros
            x = blur(F.conv_transpose2d(x, 4 * weight.transpose(0, 1), stride=2), padding=1)
        else:
            x = F.conv2d(x, weight, padding=weight.shape[2] // 2)
        if self.demodulate:
            energy = F.linear(style.square(), weight.square().sum(dim=(2, 3)))
            x = x * (energy.float() + 1e-8).rsqrt()[:, :, None, None].to(x.dtype)
        return x


def group_std(x: torch.Tensor, group: int) -> torch.Tensor:
    """One plane an image: the mean standard deviation of all features in its group (Karras et al. 2018, section 3).

    (N, C, S, S) -> (N, 1, S, S). The group is the largest of at most `group` images that divides N.
    """
    size = next(g for g in range(min(group, len(x)), 0, -1) if len(x) % g == 0)
    # squares of bf16 lose too much
    grouped = x.to(torch.promote_types(x.dtype, torch.float32)).reshape(size, -1, *x.shape[1:])
    std: torch.Tensor = (grouped.var(0, correction=0) + 1e-8).sqrt().mean(dim=(1, 2, 3))
    return std.to(x.dtype).repeat(size)[:, None, None, None].expand(-1, 1, *x.shape[2:])
