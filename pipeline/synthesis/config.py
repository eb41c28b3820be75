"""The configuration of one training: every recipe is a value of GanConfig, and the default one is our own."""

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from pipeline.synthesis import augment, batches, losses
from pipeline.synthesis.collapse import WatchConfig
from pipeline.synthesis.networks import NetworkConfig
from pipeline.synthesis.networks.lean import LeanConfig
from pipeline.synthesis.optimisers import OptimiserConfig


class GanConfig(BaseModel):
    """One training. `images` is its budget in real images shown to the discriminator.

    What an alarm goes back on does not count as shown, so that up to three times as many may be; minutes always count.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    images: int = Field(50_000, ge=1)
    minutes: float | None = Field(None, gt=0)  # ends a training that is not through by then; resuming counts on
    batch_size: int = Field(16, ge=2)
    network: NetworkConfig = LeanConfig()  # its image size and conditions are replaced by the images' (`for_images`)
    loss: losses.LossName = "relativistic"
    real_label: float = Field(1.0, gt=0.5, le=1)  # below 1: one-sided label smoothing, of losses that have labels
    gamma: float = Field(1.0, ge=0)  # weight of R1 and of R2
    r2: bool = True  # else R1 alone (Mescheder et al. 2018; Karras et al. 2020)
    penalty_interval: int = Field(8, ge=1)  # steps between penalties, which are scaled up to match (lazy, Karras 2020)
    interpolate_penalty: float = Field(10.0, ge=0)  # lambda of Gulrajani et al. 2017, at every step; loss wgan-gp alone
    discriminator_steps: int = Field(1, ge=1)  # a step of the generator: k of Goodfellow et al. 2014, algorithm 1
    generator_optimiser: OptimiserConfig = OptimiserConfig()
    discriminator_optimiser: OptimiserConfig = OptimiserConfig()  # two rates: Heusel et al. 2017
    # torch.compile what is differentiated once; the first steps take a minute more and need a C++ compiler. Off: on the
    # CPU it trains slower than without (docs/gan.md), on a GPU it was not measured
    compile: bool = False
    sampling: batches.Sampling = "uniform"
    condition_weights: tuple[float, ...] = ()  # of sampling weighted: one a condition
    mirror: bool = True  # show half of all images mirrored
    ema_half_life: int = Field(2_000, ge=0)  # in images seen; 0 keeps the trained weights as they are
    tick: int = Field(4_096, ge=1)  # images between two points of the curve, snapshots and checkpoints
    snapshot_images: int = Field(8, ge=1)  # of the same latents at every tick
    # At first the discriminator sees images blurred by this much of their side, fading to none at this share of the
    # budget, or after so many images where that is sooner: else it wins on noise and grain, which the generator cannot
    # make yet, and never teaches it anatomy. (Karras et al. 2021, "Alias-free generative adversarial networks", blur
    # the early images of one configuration, their number fixed.)
    blur: float = Field(0.03, ge=0)
    blur_until: float = Field(0.5, gt=0, le=1)
    blur_images: int = Field(40_000, ge=1)
    position_bins: int = Field(3, ge=1)  # conditions by height in the head, where heights are known
    # Follows overfitting (ADA): a strength of 1 throughout cost a third of recall in five minutes (docs/gan.md). A
    # table of the user's own has no target unless it names one
    augmentation: augment.AugmentConfig = augment.AugmentConfig(target=0.6)
    held_out: float = Field(0.1, ge=0, le=0.5)  # share of the images that the collapse watch alone sees (`watching`)
    watch: WatchConfig = WatchConfig()

    @field_validator("network", mode="before")
    @classmethod
    def _lean_unless_said(cls, network: object) -> object:
        """Read a network without a family as the default's, so that one width can be changed by one line."""
        return {"family": "lean"} | network if isinstance(network, dict) else network

    @model_validator(mode="after")
    def _labels_are_used(self) -> "GanConfig":
        if self.real_label < 1 and not losses.LOSSES[self.loss].has_labels:
            raise ValueError(f"real_label = {self.real_label} needs a loss with labels, and {self.loss} has none")
        return self

    def with_budget(self, factor: float) -> "GanConfig":
        """The same training, so many times as long."""
        minutes = None if self.minutes is None else factor * self.minutes
        return self.model_copy(update={"images": round(factor * self.images), "minutes": minutes})

    def for_images(self, *, image_size: int, conditions: int) -> "GanConfig":
        """The same training, its network as large as the images and with their conditions.

        Raises ValueError, in one line, where the network cannot make images of this many pixels a side.
        """
        sized = self.network.model_dump() | {"image_size": image_size, "conditions": conditions}
        try:
            network = type(self.network).model_validate(sized)
        except ValidationError as error:
            said = "; ".join(one["msg"].removeprefix("Value error, ") for one in error.errors())
            raise ValueError(
                f"the {self.network.family} network cannot make images of {image_size} x {image_size} pixels: {said}"
            ) from None
        return self.model_copy(update={"network": network})
