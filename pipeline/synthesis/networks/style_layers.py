"""Layers of the style family: equalised learning rates, modulated convolutions, blurs, minibatch deviation.

Equalised learning rates (Karras et al. 2018): weights are drawn from N(0, 1) and scaled where they are used, so that
an optimiser moves all of them alike.
"""

import math

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


class Blur(nn.Module):
    """Smooth every channel with (1, 3, 3, 1) x (1, 3, 3, 1), so that doubling and halving do not alias.

    (N, C, S, S) -> (N, C, S + 2 * padding - 3, ...).
    """

    def __init__(self, *, padding: int, gain: float = 1.0) -> None:
        super().__init__()
        taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
        self.register_buffer("kernel", gain * taps[:, None] * taps, persistent=False)
        self.kernel: torch.Tensor
        self.padding = padding

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kernel = self.kernel.to(x.dtype).expand(x.shape[1], 1, 4, 4)
        return F.conv2d(x, kernel, padding=self.padding, groups=x.shape[1])


class Conv(nn.Module):
    """Convolution with an equalised learning rate, (N, a, S, S) -> (N, b, S, S); half the side where `halve` is on."""

    def __init__(self, a: int, b: int, kernel: int, *, halve: bool = False) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.randn(b, a, kernel, kernel)), nn.Parameter(torch.zeros(b))
        self.blur = Blur(padding=(kernel + 1) // 2) if halve else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weight = self.weight / math.sqrt(self.weight[0].numel())
        if self.blur is not None:
            return F.conv2d(self.blur(x), weight, self.bias, stride=2)
        return F.conv2d(x, weight, self.bias, padding=self.weight.shape[2] // 2)


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
        self.demodulate = demodulate
        # inserting zeros thins the energy to a quarter
        self.blur = Blur(padding=1, gain=4.0) if double else None

    def forward(self, x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        style = self.style(w)
        weight = self.weight / math.sqrt(self.weight[0].numel())
        x = x * style[:, :, None, None].to(x.dtype)
        if self.blur is not None:
            x = self.blur(F.conv_transpose2d(x, weight.transpose(0, 1), stride=2))
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
