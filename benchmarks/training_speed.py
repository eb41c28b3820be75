"""Images per second of the GAN's training step: as shipped, against plain eager float32 NCHW with the same networks.

Both take turns in one run and the medians are compared, because machines are noisy. The plain side also has
Adam as torch gives it, unfused. A ratio below the target is printed as it is.
"""

import statistics
import time

import torch

from pipeline.compute import PLAIN, Compute, best_compute
from pipeline.synthesis import gan

TURNS = 7
STEPS = 16  # a turn; two penalty intervals, so that every turn pays the same penalties
TARGET = 2.5


def prepared(config: gan.GanConfig, size: int, compute: Compute) -> gan.State:
    """Make a fresh training state; the plain side gets the plain optimiser."""
    state = gan.new_state(config=config.for_images(image_size=size, conditions=3), seed=0, compute=compute)
    if compute == PLAIN:
        for name, module in (("generator", state.generator), ("discriminator", state.discriminator)):
            ours = getattr(config, f"{name}_optimiser")
            plain = torch.optim.Adam(module.parameters(), lr=ours.learning_rate, betas=(ours.beta1, ours.beta2))
            setattr(state, f"{name}_optimiser", plain)
    return state


def images_per_second(state: gan.State, config: gan.GanConfig, size: int, compute: Compute) -> float:
    """Time STEPS steps on one batch."""
    rng = torch.Generator().manual_seed(0)
    images = torch.rand(config.batch_size, 1, size, size, generator=rng) * 2 - 1
    conditions = torch.randint(3, (config.batch_size,), generator=rng)
    start = time.perf_counter()
    for _ in range(STEPS):
        gan.train_step(state, images=images, conditions=conditions, config=config, compute=compute)
    if compute.device == "cuda":
        torch.cuda.synchronize()
    return STEPS * config.batch_size / (time.perf_counter() - start)


def compare(size: int) -> None:
    """Let both sides take turns and print a row of the table."""
    config, best = gan.GanConfig(), best_compute()
    sides = {compute: prepared(config, size, compute) for compute in (best, PLAIN)}
    speeds: dict[Compute, list[float]] = {compute: [] for compute in sides}
    for turn in range(TURNS + 1):
        for compute, state in sides.items():
            speed = images_per_second(state, config, size, compute)
            if turn:  # the first turn warms up
                speeds[compute].append(speed)
    fast, plain = (statistics.median(speeds[compute]) for compute in (best, PLAIN))
    verdict = "reached" if fast / plain >= TARGET else "not reached"
    print(f"{size:>4} px  {fast:7.0f}  {plain:7.0f}  {fast / plain:5.2f}  {TARGET} {verdict}")


def matmul_ratio() -> float:
    """bf16 over float32 speed of a 2048 matrix product: what the processor itself offers."""
    seconds: dict[torch.dtype, list[float]] = {torch.float32: [], torch.bfloat16: []}
    for _ in range(TURNS):
        for dtype, found in seconds.items():
            a = torch.ones(2048, 2048, dtype=dtype)
            start = time.perf_counter()
            _ = a @ a
            found.append(time.perf_counter() - start)
    return statistics.median(seconds[torch.float32]) / statistics.median(seconds[torch.bfloat16])


def main() -> None:
    """Print the table."""
    print(f"shipped: {best_compute()}; plain: {PLAIN}; {torch.get_num_threads()} threads, median of {TURNS} turns")
    print(f"bf16 over float32, 2048 x 2048 matrix product on this processor: {matmul_ratio():.2f}")
    print("size     shipped  plain  ratio  target   (images per second of one whole step: D, G, penalties, EMA)")
    for size in (64, 128):
        compare(size)


if __name__ == "__main__":
    main()
