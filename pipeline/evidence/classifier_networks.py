"""The networks of the classifier, by name: a small one of our own, and two of MONAI's, narrowed to small grey slices.

Each maps images to features and features to one logit, so that what a training learned to see can be used apart from
what it decides.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Literal, cast

import torch
from torch import nn
from torch.nn import functional as F

Network = Literal["small", "resnet", "densenet"]


class Classifier(nn.Module, ABC):
    """Logit of tumour = linear `head` of `features`; subclasses make both."""

    head: nn.Linear

    @abstractmethod
    def features(self, images: torch.Tensor) -> torch.Tensor:
        """(N, 1, H, W) in [-1, 1] -> (N, D), D = head.in_features."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(N, 1, H, W) in [-1, 1] -> logits of tumour (N,)."""
        return self.head(self.features(images))[:, 0]  # type: ignore[no-any-return]  # modules return Any


class Block(nn.Module):
    """Pre-activation residual block (He et al. 2016) that halves the side."""

    def __init__(self, narrow: int, wide: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(narrow)
        self.conv1 = nn.Conv2d(narrow, wide, 3, stride=2, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(wide)
        self.conv2 = nn.Conv2d(wide, wide, 3, padding=1, bias=False)
        self.skip = nn.Conv2d(narrow, wide, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, narrow, H, W) -> (N, wide, H / 2, W / 2), sides rounded up."""
        h = self.conv1(F.relu(self.norm1(x)))
        h = self.conv2(F.relu(self.norm2(h)))
        return h + self.skip(F.avg_pool2d(x, 2, ceil_mode=True))  # type: ignore[no-any-return]  # modules return Any


class SmallClassifier(Classifier):
    """A residual network of three blocks, 0.3 million parameters at width 16, for slices with an even side.

    Pixels are unshuffled 2 x 2 first: at full resolution convolutions cost most and see least.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(4, width, 3, padding=1, bias=False)
        self.blocks = nn.Sequential(*(Block(width * 2**i, width * 2 ** (i + 1)) for i in range(3)))
        self.norm = nn.BatchNorm2d(width * 8)
        self.head = nn.Linear(width * 8, 1)

    def features(self, images: torch.Tensor) -> torch.Tensor:
        h = self.blocks(self.stem(F.pixel_unshuffle(images, 2)))
        return F.relu(self.norm(h)).mean((2, 3))


class ResNet18(Classifier):
    """MONAI's ResNet-18 in two dimensions, `width` channels first where He et al. (2016) have 64.

    Without the first pooling: after it a 64-px slice would be 2 x 2 at the end. 0.7 million parameters at width 16.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        from monai.networks.nets.resnet import ResNet  # noqa: PLC0415  # seconds to import, and seldom wanted

        self.body = ResNet(
            block="basic",
            layers=[2, 2, 2, 2],
            block_inplanes=[width * 2**i for i in range(4)],
            spatial_dims=2,
            n_input_channels=1,
            conv1_t_stride=2,
            no_max_pool=True,
            feed_forward=False,
        )
        self.head = nn.Linear(width * 8, 1)

    def features(self, images: torch.Tensor) -> torch.Tensor:
        return self.body(images)  # type: ignore[no-any-return]  # modules return Any


class DenseNet121(Classifier):
    """MONAI's DenseNet-121 in two dimensions, `width` channels first where Huang et al. (2017) have 64.

    It grows by half of that a layer, as theirs. 0.5 million parameters at width 16.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        from monai.networks.nets.densenet import DenseNet  # noqa: PLC0415  # seconds to import, and seldom wanted

        net = DenseNet(
            spatial_dims=2,
            in_channels=1,
            out_channels=1,
            init_features=width,
            growth_rate=width // 2,
            block_config=(6, 12, 24, 16),
        )
        self.body = net.features
        self.head = cast("nn.Linear", net.class_layers.out)

    def features(self, images: torch.Tensor) -> torch.Tensor:
        return F.relu(self.body(images)).mean((2, 3))


_NETWORKS: dict[Network, Callable[[int], Classifier]] = {
    "small": SmallClassifier,
    "resnet": ResNet18,
    "densenet": DenseNet121,
}


def build(network: Network, *, width: int) -> Classifier:
    """A network with weights drawn from torch's global generator."""
    return _NETWORKS[network](width)
