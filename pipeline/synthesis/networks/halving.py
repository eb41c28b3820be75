"""What families share whose generator doubles a small picture size by size, and whose discriminator halves it back."""

import math
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

BASE = 4  # pixels a side where the generator starts and the discriminator ends


class HalvingConfig(BaseModel):
    """Sizes of such a pair. `image_size` is a power of two from 16; raises ValidationError where it is not."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    family: str
    image_size: int = Field(64, ge=16, le=512)
    latent_dim: int = Field(128, ge=1)
    conditions: int = Field(1, ge=1)
    width: int = Field(64, ge=1)  # channels at full size; twice as many a halving, up to max_width
    max_width: int = Field(512, ge=1)

    @model_validator(mode="after")
    def _power_of_two(self) -> Self:
        if self.image_size & (self.image_size - 1):
            raise ValueError(f"image_size {self.image_size} is not a power of two")
        return self

    def widths(self) -> list[int]:
        """Channels at 4, 8, ... image_size pixels a side."""
        stages = int(math.log2(self.image_size // BASE))
        return [min(self.max_width, self.width * 2 ** (stages - i)) for i in range(stages + 1)]
