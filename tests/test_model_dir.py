import errno
from pathlib import Path

import numpy as np
import pytest

from pipeline.compute import PLAIN
from pipeline.synthesis import model_dir, training
from pipeline.synthesis.gan import GanConfig
from pipeline.synthesis.model_dir import ModelError, TrainedGan
from pipeline.synthesis.networks.lean import LeanConfig
from pipeline.synthesis.optimisers import OptimiserConfig
from pipeline.synthesis.sample import parse_seeds, sample
from pipeline.synthesis.training import TrainingSet

NETWORK = LeanConfig(latent_dim=8, width=8, max_width=16)
CONFIG = GanConfig(images=96, batch_size=8, tick=32, network=NETWORK, position_bins=2)


class Killed(Exception):
    pass


def _train(
    folder: Path,
    die_at: int | None = None,
    *,
    config: GanConfig = CONFIG,
    seed: int = 7,
    shape: tuple[int, ...] = (16, 1, 16, 16),
    brightest: float = 1.0,
) -> TrainedGan:
    rng = np.random.default_rng(0)

    def progress(done: int, _total: int, _said: str) -> None:
        if done == die_at:
            raise Killed

    n = shape[0]
    return training.train(
        folder=folder,
        data=TrainingSet(
            images=rng.uniform(-1, brightest, shape).astype(np.float32),
            groups=[f"s{i // 3}" for i in range(n)],
            diagnoses=["tumour"] * n,
            positions=np.linspace(0.3, 0.7, n),
            sequences=["flair"] * n,
            planes=["axial"] * n,
        ),
        config=config,
        seed=seed,
        compute=PLAIN,
        progress=progress,
    )


def test_a_killed_training_goes_on_and_ends_with_the_same_bytes(tmp_path: Path) -> None:
    whole = _train(tmp_path / "whole")
    with pytest.raises(Killed):
        _train(tmp_path / "killed", die_at=64)
    assert not model_dir.config_path(tmp_path / "killed").exists()
    assert _train(tmp_path / "killed") == whole
    weights = [(tmp_path / name / "generator.safetensors").read_bytes() for name in ("whole", "killed")]
    assert weights[0] == weights[1]
    assert len(model_dir.snapshots(tmp_path / "killed")) == 3
    assert not (tmp_path / "killed" / "checkpoint" / "state.pt").exists()


def test_a_finished_training_is_not_done_again(tmp_path: Path) -> None:
    first = _train(tmp_path)
    assert _train(tmp_path, die_at=32) == first


@pytest.mark.parametrize("kept", [0, 1000, 0.5, 0.99])
def test_a_damaged_checkpoint_is_named_and_left_where_it_is(tmp_path: Path, kept: float) -> None:
    with pytest.raises(Killed):
        _train(tmp_path, die_at=32)
    checkpoint = tmp_path / "checkpoint" / "state.pt"
    whole = checkpoint.read_bytes()
    damaged = whole[: int(kept * len(whole)) if kept < 1 else int(kept)]
    checkpoint.write_bytes(damaged)
    with pytest.raises(ModelError, match=r"state\.pt is damaged"):
        _train(tmp_path)
    assert checkpoint.read_bytes() == damaged


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"network": NETWORK.model_copy(update={"width": 12})}, r"gan\.network\.width"),
        ({"loss": "hinge"}, r"gan\.loss"),
        ({"images": 128}, r"gan\.images"),  # blur fades by the budget
        ({"generator_optimiser": OptimiserConfig(kind="sgd")}, r"gan\.generator_optimiser\.kind"),
    ],
)
def test_a_checkpoint_of_another_recipe_is_refused_by_what_differs(
    tmp_path: Path, change: dict[str, object], said: str
) -> None:
    with pytest.raises(Killed):
        _train(tmp_path, die_at=32)
    before = (tmp_path / "checkpoint" / "state.pt").read_bytes()
    with pytest.raises(ModelError, match=f"of another training: {said} differ"):
        _train(tmp_path, config=CONFIG.model_copy(update=change))
    assert (tmp_path / "checkpoint" / "state.pt").read_bytes() == before
    assert _train(tmp_path).images_seen == 96  # and the first one can still be gone on with


def test_a_checkpoint_of_another_seed_or_of_other_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        _train(tmp_path, die_at=32)
    with pytest.raises(ModelError, match="of another training: seed differ"):
        _train(tmp_path, seed=8)
    with pytest.raises(ModelError, match="of another training: training images differ"):
        _train(tmp_path, brightest=0.9)


def test_a_full_disk_leaves_the_checkpoint_before_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Killed):
        _train(tmp_path, die_at=32)
    checkpoint = tmp_path / "checkpoint" / "state.pt"
    before = checkpoint.read_bytes()

    def full(path: Path, _data: bytes) -> int:
        path.touch()
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", full)
        with pytest.raises(ModelError, match="cannot be written: No space left on device"):
            _train(tmp_path)
    assert checkpoint.read_bytes() == before
    assert {path.name for path in checkpoint.parent.iterdir()} == {"best.safetensors", "state.pt"}  # no part of a file
    whole = _train(tmp_path / "whole")
    assert _train(tmp_path) == whole
    assert (tmp_path / "generator.safetensors").read_bytes() == (
        tmp_path / "whole" / "generator.safetensors"
    ).read_bytes()


@pytest.mark.parametrize(
    ("shape", "brightest", "said"),
    [
        ((7, 1, 16, 16), 1.0, "needs 8 images to learn from, and here are 7"),
        ((16, 1, 8, 8), 1.0, "lean network cannot make images of 8 x 8 pixels: .*16"),
        ((16, 1, 48, 48), 1.0, "power of two"),
        ((16, 1, 16, 32), 1.0, r"square with one channel.*\(16, 1, 16, 32\)"),
        ((16, 3, 16, 16), 1.0, "one channel"),
        ((16, 1, 16, 16), 1.5, r"outside \[-1, 1\]"),
    ],
)
def test_images_that_cannot_be_trained_on_are_refused_before_anything_is_written(
    tmp_path: Path, shape: tuple[int, ...], brightest: float, said: str
) -> None:
    with pytest.raises(ModelError, match=said):
        _train(tmp_path / "model", shape=shape, brightest=brightest)
    assert not (tmp_path / "model").exists()


def test_weights_for_other_conditions_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"sampling": "weighted", "condition_weights": (1.0, 2.0, 3.0)})
    with pytest.raises(ModelError, match="3 entries for 2 conditions"):
        _train(tmp_path / "model", config=config)
    assert not (tmp_path / "model").exists()


def test_one_seed_gives_one_image_whatever_else_is_sampled(tmp_path: Path) -> None:
    _train(tmp_path)
    generator, trained = model_dir.load_generator(tmp_path)
    together = sample(generator, trained, seeds=range(40))
    alone = sample(generator, trained, seeds=[35])
    assert np.array_equal(together[35], alone[0])
    assert not np.array_equal(together[0], together[1])
    assert together.shape == (40, 1, 16, 16)


def test_truncation_shrinks_variety(tmp_path: Path) -> None:
    _train(tmp_path)
    generator, trained = model_dir.load_generator(tmp_path)
    spread = [sample(generator, trained, seeds=range(64), truncation=t).std(axis=0).mean() for t in (1.0, 0.3)]
    assert spread[1] < spread[0]


def test_a_folder_without_a_model_and_a_damaged_one_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no finished model"):
        model_dir.load_generator(tmp_path)
    _train(tmp_path)
    (tmp_path / "generator.safetensors").write_bytes(b"nonsense")
    with pytest.raises(ModelError, match="cannot be read"):
        model_dir.load_generator(tmp_path)


@pytest.mark.parametrize(("text", "seeds"), [("3", [3]), ("1-3", [1, 2, 3]), ("5,1-2, 9", [5, 1, 2, 9])])
def test_seeds_are_numbers_and_ranges(text: str, seeds: list[int]) -> None:
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "a", "3-1", "1-", "-1", "1,,2"])
def test_other_seeds_are_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(ValueError, match="6600-6625"):
        parse_seeds(text)


def test_the_curve_holds_a_row_a_tick(tmp_path: Path) -> None:
    _train(tmp_path)
    curve = model_dir.read_curve(tmp_path)
    assert curve["images_seen"].tolist() == [32, 64, 96]
    assert curve["discriminator_accuracy"].between(0, 1).all()
    assert curve["verdict"].tolist() == [""] * 3  # nobody watched
