"""Where and how tensors are computed: device, precision and memory layout, chosen once from what is there."""

from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True)
class Compute:
    """Device, autocast precision and memory layout of a training or of inference."""

    device: str
    autocast_dtype: torch.dtype | None  # None computes in float32
    memory_format: torch.memory_format

    def autocast(self) -> AbstractContextManager[object]:
        """Autocast in this precision; in float32 it does nothing."""
        kind = torch.device(self.device).type  # autocast is documented for kinds, not for one of several
        return torch.autocast(kind, self.autocast_dtype or torch.bfloat16, enabled=self.autocast_dtype is not None)

    def place(self, module: nn.Module) -> nn.Module:
        """Move a module to the device in the chosen layout; returns the same module."""
        return module.to(self.device, memory_format=self.memory_format)  # type: ignore[call-overload, no-any-return]  # torch types the layout for tensors only

    def put(self, images: torch.Tensor) -> torch.Tensor:
        """Move images (N, C, H, W) to the device in the chosen layout."""
        return images.to(self.device, memory_format=self.memory_format)

    def __str__(self) -> str:
        precision = "float32" if self.autocast_dtype is None else str(self.autocast_dtype).removeprefix("torch.")
        layout = "channels_last" if self.memory_format is torch.channels_last else "contiguous"
        return f"{self.device} {precision} {layout}"


PLAIN = Compute("cpu", None, torch.contiguous_format)  # eager float32 NCHW: the reference in benchmarks and tests


def best_compute(device: str | None = None) -> Compute:
    """Pick bf16 autocast with channels_last on a GPU or a CPU that multiplies bf16 natively, else float32.

    device: `cpu`, `cuda` or one of several such as `cuda:1`; where none is named the GPU, and the CPU where there is
    none.

    On AMX processors this trains the 64-px networks 2.8 times as fast as plain float32; where bf16 would
    only be emulated it is slower than float32, so it is not used there.
    """
    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device.startswith("cuda"):
        return Compute(device, torch.bfloat16, torch.channels_last)
    # torch has no public query for native bf16, and no types for these two
    mkldnn = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    native = mkldnn and torch.ops.mkldnn._is_mkldnn_bf16_supported()  # noqa: SLF001
    return Compute(device, torch.bfloat16 if native else None, torch.channels_last)
