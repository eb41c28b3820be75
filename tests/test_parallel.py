"""One training on two processes: the same weights, draws and alarms as in one, and no process survives a failure."""

import hashlib
import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import distributed

from flows.config import StudyConfig
from flows.errors import ConfigError
from flows.single import _devices
from flows.watch import make_ruler
from pipeline.compute import PLAIN, Compute
from pipeline.synthesis import gan, model_dir, parallel, training
from pipeline.synthesis.augment import AugmentConfig
from pipeline.synthesis.collapse import WatchConfig
from pipeline.synthesis.gan import GanConfig
from pipeline.synthesis.health import Ruler
from pipeline.synthesis.model_dir import ModelError, TrainedGan
from pipeline.synthesis.networks.dcgan import DcganConfig
from pipeline.synthesis.networks.lean import LeanConfig
from pipeline.synthesis.networks.residual import ResidualConfig
from pipeline.synthesis.networks.style import StyleConfig
from pipeline.synthesis.optimisers import OptimiserConfig
from pipeline.synthesis.training import TrainingSet

SIZES = {"image_size": 16, "latent_dim": 8, "conditions": 2}
INSTANCE = DcganConfig(
    **SIZES,
    start_width=8,
    generator_widths=(8,),
    generator_strides=(2, 2),
    discriminator_widths=(8, 8),
    discriminator_strides=(2, 2),
    generator_norm="instance",
    discriminator_norm="instance",
)
SPECTRAL = ResidualConfig(**SIZES, width=4, max_width=8, norm="none")
STYLE = StyleConfig(**SIZES, width=4, max_width=8, w_dim=8, minibatch_std=0)
PLAIN_SGD = OptimiserConfig(kind="sgd", learning_rate=0.01, momentum=0.5)
BASE: dict[str, Any] = {"images": 48, "batch_size": 8, "tick": 24, "penalty_interval": 2, "network": INSTANCE}
BASE |= {"generator_optimiser": PLAIN_SGD, "discriminator_optimiser": PLAIN_SGD}
VARIANTS: dict[str, dict[str, Any]] = {
    "instance norm": {},
    "adaptive": {"augmentation": AugmentConfig(strength=0.5, target=0.3, adjustment=100)},
    "style, Adam": {"network": STYLE, "generator_optimiser": OptimiserConfig(learning_rate=1e-3, beta1=0.5)},
    "two steps": {"discriminator_steps": 2, "sampling": "stratified", "loss": "least-squares", "r2": False},
    "wgan-gp": {"loss": "wgan-gp", "gamma": 0.0, "interpolate_penalty": 1.0},
    "minutes": {"minutes": 1e6},
    "spectral norm": {"network": SPECTRAL, "loss": "hinge"},
}
WITH_BATCHES: dict[str, dict[str, Any]] = {  # these look at their rows as a batch: not the same as in one process
    "batch norm": {"network": LeanConfig(**SIZES, width=8, max_width=16)},
    "deviation of groups": {"network": STYLE.model_copy(update={"minibatch_std": 8})},
    "dropout": {"network": INSTANCE.model_copy(update={"discriminator_dropout": (0.4, 0.4)})},
}
pytestmark = pytest.mark.slow  # each process imports torch and what stands on it

Trained = dict[str, tuple[dict[str, torch.Tensor], list[gan.Tick], float, float]]


def variant(name: str) -> GanConfig:
    return GanConfig.model_validate(BASE | (VARIANTS | WITH_BATCHES)[name])


def note(ticks: list[gan.Tick], _state: gan.State, tick: gan.Tick) -> None:
    ticks.append(tick)


def train_variants(names: Sequence[str], *, progress: Callable[..., None]) -> tuple[Trained, list[Any]]:
    """Weights, ticks, strength and realness of each; and a digest of the state and what is listened on, by process."""
    rng = torch.Generator().manual_seed(1)
    data = {"images": torch.rand(12, 1, 16, 16, generator=rng) * 2 - 1}
    data |= {"conditions": torch.randint(2, (12,), generator=rng)}
    trained: Trained = {}
    digest = hashlib.sha256()
    for name in names:
        config = variant(name)
        ticks: list[gan.Tick] = []
        # only the first's own start counts
        state = gan.new_state(config=config, seed=parallel.rank(), compute=PLAIN)
        gan.train(state, **data, config=config, compute=PLAIN, on_tick=partial(note, ticks))
        sides = ("generator", "discriminator", "generator_ema")
        weights = {f"{side}.{key}": v for side in sides for key, v in getattr(state, side).state_dict().items()}
        for one in (*weights.values(), state.rng.get_state()):
            digest.update(one.numpy().tobytes())
        digest.update(repr((state.strength, state.realness, state.images_seen)).encode())
        trained[name] = weights, ticks, state.strength, state.realness
        progress(name, parallel.rank())
    everyone: list[Any] = [None] * parallel.count()
    mine = digest.hexdigest(), listened_on(), torch.get_num_threads()
    if parallel.count() > 1:
        distributed.all_gather_object(everyone, mine)
    return trained, everyone


def listened_on() -> set[str]:
    """Addresses, in the kernel's hexadecimal, that this process waits for connections on."""
    sockets = set()
    for one in Path("/proc/self/fd").iterdir():
        try:
            sockets.add(one.readlink().name)
        except OSError:
            continue  # the listing's own
    lines = [line.split() for name in ("tcp", "tcp6") for line in Path("/proc/net", name).read_text().splitlines()[1:]]
    return {line[1].split(":")[0] for line in lines if line[3] == "0A" and f"socket:[{line[9]}]" in sockets}


@pytest.fixture(scope="module", autouse=True)
def importable() -> Iterator[None]:
    """Children find this module as we are called here."""
    root = Path(__file__).parents[1] if __name__.startswith("tests.") else Path(__file__).parent
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(root))
        yield


@dataclass(frozen=True)
class Both:
    """Trainings in one process and in two: every variant, and one with an alarm in `folder`/1 and `folder`/2."""

    variants: tuple[Trained, Trained]
    everyone: list[Any]  # what the two say of themselves
    said: list[tuple[str, int]]  # the progress that came here
    alarmed: tuple[TrainedGan, TrainedGan]
    folder: Path


def train_everything(folder: Path, *, progress: Callable[..., None]) -> tuple[Trained, list[Any], TrainedGan]:
    trained, everyone = train_variants([*VARIANTS, *WITH_BATCHES], progress=progress)
    return trained, everyone, train(folder, processes=1, ruler=CopiesAt((5, 6, 7)))


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Both:
    folder, said = tmp_path_factory.mktemp("both"), []
    one, _, alarmed_in_one = train_everything(folder / "1", progress=lambda *_: None)
    two, everyone, alarmed_in_two = parallel.run(
        train_everything,
        devices=["cpu", "cpu"],
        arguments=[{"folder": folder / "2"}] * 2,
        progress=lambda *word: said.append(word),
    )
    return Both((one, two), everyone, said, (alarmed_in_one, alarmed_in_two), folder)


@pytest.mark.parametrize("name", VARIANTS)
def test_two_processes_give_the_weights_of_one(name: str, both: Both) -> None:
    (weights, ticks, strength, realness), (others, other_ticks, *adapted) = (trained[name] for trained in both.variants)
    for key, one in weights.items():
        if key.endswith("w_avg"):
            continue  # a mean over the rows of a condition, of which the processes do not have equally many
        torch.testing.assert_close(others[key], one, rtol=1e-3, atol=2e-5)
    assert len(ticks) == len(other_ticks) == 2
    for mine, other in zip(ticks, other_ticks, strict=True):
        assert other.discriminator_accuracy == mine.discriminator_accuracy
        assert other.generator_loss == pytest.approx(mine.generator_loss, rel=1e-4)
        assert other.discriminator_loss == pytest.approx(mine.discriminator_loss, rel=1e-4)
    assert adapted == [strength, realness]
    start = gan.new_state(config=variant(name), seed=0, compute=PLAIN).discriminator.state_dict()
    moved = max((weights[f"discriminator.{key}"] - one).abs().max().item() for key, one in start.items())
    assert moved > 1e-2  # five hundred times what they may differ by


@pytest.mark.parametrize("name", WITH_BATCHES)
def test_networks_that_look_at_a_batch_see_that_of_a_process(name: str, both: Both) -> None:
    weights, others = (trained[name][0] for trained in both.variants)
    assert all(one.isfinite().all() for one in others.values())
    assert any(not torch.allclose(others[key], one, atol=1e-3) for key, one in weights.items())


def test_all_processes_end_with_one_state_and_listen_on_the_loopback_interface_alone(both: Both) -> None:
    digests, addresses, threads = zip(*both.everyone, strict=True)
    assert len(both.everyone) == 2
    assert len(set(digests)) == 1
    assert set.union(*addresses) <= {"0100007F", "00000000000000000000000001000000"}
    assert all(addresses)
    assert all(n == max(1, torch.get_num_threads() // 2) for n in threads)
    assert {one for one in both.said if one[1] == 0} == {(name, 0) for name in [*VARIANTS, *WITH_BATCHES]}


SIDE, BATCH = 32, 8
CONFIG = GanConfig(
    images=10 * BATCH,
    batch_size=BATCH,
    tick=BATCH,
    penalty_interval=2,
    network=StyleConfig(latent_dim=8, width=4, max_width=8, w_dim=8, minibatch_std=0),
    augmentation=AugmentConfig(strength=0.4),
    generator_optimiser=PLAIN_SGD,
    discriminator_optimiser=PLAIN_SGD,
    position_bins=1,
    snapshot_images=2,
    # of all rules only that of copies
    watch=WatchConfig(grace=0, mature=1, clumped=0, dead=0, diversity=0, dissimilarity=0, coverage=0, fallen=0, gap=1),
)


def slices(n: int = 60) -> TrainingSet:
    """Gradients under noise, three slices a subject."""
    rng = np.random.default_rng(0)
    images = np.linspace(-0.5, 0.5, SIDE) + rng.normal(0, 0.2, (n, 1, SIDE, SIDE))
    return TrainingSet(
        images=images.clip(-1, 1).astype(np.float32),
        groups=[f"s{i // 3}" for i in range(n)],
        diagnoses=["tumour"] * n,
        positions=np.full(n, np.nan),
        sequences=["unknown"] * n,
        planes=["unknown"] * n,
    )


@dataclass(frozen=True)
class CopiesAt:
    """Measures of the watch that call all samples copies at some looks."""

    looks: tuple[int, ...]

    def __call__(self, images: NDArray[np.float32], groups: Sequence[str]) -> Ruler:
        usual, looked = make_ruler(k=3)(images, groups), 0

        def copies(samples: NDArray[np.float32]) -> NDArray[np.bool_]:
            nonlocal looked
            looked += 1
            return np.full(len(samples), looked in self.looks)

        return Ruler(usual.extract, usual.compare, copies)


class Killed(Exception):
    pass


def train(folder: Path, *, processes: int, die_at: int | None = None, ruler: CopiesAt | None = None) -> TrainedGan:
    def progress(done: int, _total: int, _said: str) -> None:
        if done == die_at:
            raise Killed

    how = training.train if processes == 1 else partial(training.train_on, ["cpu"] * processes)
    return how(folder=folder, data=slices(), config=CONFIG, seed=3, compute=PLAIN, progress=progress, make_ruler=ruler)


def require_same_weights(one: Path, other: Path) -> None:
    mine, theirs = (load_file(folder / "generator.safetensors") for folder in (one, other))
    for key, weight in mine.items():
        torch.testing.assert_close(theirs[key], weight, rtol=1e-3, atol=2e-5)


def test_a_training_is_gone_on_with_by_another_number_of_processes_which_all_end_where_the_first_fails(
    tmp_path: Path,
) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    trained = train(whole, processes=1)
    with pytest.raises(Killed):
        train(cut, processes=1, die_at=3 * BATCH)
    obstacle = model_dir.snapshot_path(cut, number=6, images_seen=7 * BATCH)
    obstacle.mkdir()  # stops the seventh tick, as a full disk would
    with pytest.raises(ModelError, match="cannot be written") as raised:
        train(cut, processes=2)
    assert "process 1" in "".join(raised.value.__notes__)
    assert not multiprocessing.active_children()
    state = model_dir.read_state(model_dir.checkpoint_path(cut), advice="")
    assert state["state"]["images_seen"] == 6 * BATCH
    obstacle.rmdir()
    assert train(cut, processes=1) == trained
    require_same_weights(whole, cut)


def test_all_follow_the_first_through_an_alarm(both: Both) -> None:
    one, two = both.alarmed
    assert [(alarm.images_seen, alarm.return_to) for alarm in two.alarms] == [(7 * BATCH, 4 * BATCH)]
    assert two == one.model_copy(update={"alarms": two.alarms})
    mine, other = (model_dir.read_curve(both.folder / name) for name in ("1", "2"))
    assert (other["images_seen"] // BATCH).tolist() == [*range(1, 8), *range(5, 11)]
    for exact in ("images_seen", "attempt", "verdict", "augmentation_strength", "discriminator_accuracy"):
        assert other[exact].tolist() == mine[exact].tolist()
    for close in ("generator_loss", "discriminator_loss", "diversity"):
        assert other[close].tolist() == pytest.approx(mine[close].tolist(), rel=1e-4)
    require_same_weights(both.folder / "1", both.folder / "2")


KILLED = """
import os, signal, torch
from pipeline.synthesis import parallel

def wait_for_the_second(progress):
    progress("begun")
    if parallel.rank():
        os.kill(os.getpid(), signal.SIGKILL)
    parallel.mean_([torch.zeros(3)])
"""


def test_a_killed_process_ends_the_other_that_waits_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "killed.py").write_text(KILLED)  # imports little, so it is quick
    monkeypatch.syspath_prepend(str(tmp_path))
    wait_for_the_second = import_module("killed").wait_for_the_second
    said: list[str] = []
    with pytest.raises(parallel.ProcessLost, match="process 2 of 2, on cpu, was ended by SIGKILL"):
        parallel.run(wait_for_the_second, devices=["cpu", "cpu"], arguments=[{}] * 2, progress=said.append)
    assert set(said) == {"begun"}
    assert not multiprocessing.active_children()


def test_where_the_caller_is_interrupted_none_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        assert len(multiprocessing.active_children()) == 2
        raise Killed

    monkeypatch.setattr(parallel, "_listen", interrupted)
    with pytest.raises(Killed):
        parallel.run(time.sleep, devices=["cpu", "cpu"], arguments=[{}] * 2, progress=print)
    assert not multiprocessing.active_children()


def test_a_batch_that_cannot_be_shared_and_gpus_that_are_not_there_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match="3 devices cannot have equal shares of a batch of 8 images"):
        train(tmp_path, processes=3)
    config = StudyConfig(gan=CONFIG)
    with pytest.raises(ConfigError, match="equal shares"):
        _devices(3, config, PLAIN)
    assert _devices(4, config, PLAIN) == ["cpu"] * 4
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    cuda = Compute("cuda", None, torch.contiguous_format)
    assert _devices(2, config, cuda) == ["cuda:0", "cuda:1"]
    with pytest.raises(ConfigError, match="4 GPUs are asked for and 2 are here"):
        _devices(4, config, cuda)
