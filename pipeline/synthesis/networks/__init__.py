"""Generator and discriminator architectures, one file a family; here they are named, built and measured."""

from dataclasses import dataclass
from typing import Annotated

import torch
from pydantic import Field
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from pipeline.synthesis.networks import dcgan, lean, perceptron, residual, style

# Told apart by the literal field `family`. All have image_size, conditions and latent_dim.
NetworkConfig = Annotated[
    lean.LeanConfig | residual.ResidualConfig | dcgan.DcganConfig | style.StyleConfig | perceptron.PerceptronConfig,
    Field(discriminator="family"),
]


@dataclass(frozen=True)
class Cost:
    """Parameters, and multiply-accumulates of one image passing forward once, of both networks."""

    generator_parameters: int
    discriminator_parameters: int
    generator_macs: int
    discriminator_macs: int


def build(config: NetworkConfig) -> tuple[nn.Module, nn.Module]:
    """Build generator and discriminator; weights come from torch's global generator: seed and fork it around this.

    generator(z float (N, latent_dim), c int64 (N,)) -> images float32 (N, 1, S, S) in [-1, 1];
    discriminator(images, c) -> logits float32 (N,), higher is more real. c lies in [0, conditions).
    """
    match config:
        case lean.LeanConfig():
            return lean.Generator(config), lean.Discriminator(config)
        case residual.ResidualConfig():
            return residual.Generator(config), residual.Discriminator(config)
        case dcgan.DcganConfig():
            return dcgan.Generator(config), dcgan.Discriminator(config)
        case style.StyleConfig():
            return style.Generator(config), style.Discriminator(config)
        case perceptron.PerceptronConfig():
            return perceptron.Generator(config), perceptron.Discriminator(config)


def macs(config: NetworkConfig) -> Cost:
    """Count what a pair costs: convolutions and matrix products, not what is done once a pixel (norms, activations).

    Counted on tensors without contents: takes milliseconds at any size, draws nothing.
    """
    with torch.device("meta"):
        generator, discriminator = (network.eval().requires_grad_(False) for network in build(config))
        z, c = torch.empty(1, config.latent_dim), torch.empty(1, dtype=torch.int64)
        images = torch.empty(1, 1, config.image_size, config.image_size)
    counts = []
    for network, x in ((generator, z), (discriminator, images)):
        with FlopCounterMode(display=False) as counter:
            network(x, c)
        counts.append(counter.get_total_flops() // 2)  # a multiplication and an addition each
    return Cost(*(sum(p.numel() for p in network.parameters()) for network in (generator, discriminator)), *counts)
