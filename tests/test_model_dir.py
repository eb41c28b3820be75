from pathlib import Path

import numpy as np
import pytest

from pipeline.compute import PLAIN
from pipeline.synthesis import gan, model_dir
from pipeline.synthesis.gan import GanConfig, TrainingFailed
from pipeline.synthesis.model_dir import ModelError, TrainedGan
from pipeline.synthesis.sample import parse_seeds, sample

CONFIG = GanConfig(images=96, batch_size=8, tick=32, latent_dim=8, width=8, max_width=16, position_bins=2)


class Killed(Exception):
    pass


def _train(folder: Path, die_at: int | None = None, config: GanConfig = CONFIG) -> TrainedGan:
    rng = np.random.default_rng(0)

    def progress(done: int, _total: int) -> None:
        if done == die_at:
            raise Killed

    return model_dir.train(
        folder=folder,
        images=rng.uniform(-1, 1, (12, 1, 16, 16)).astype(np.float32),
        positions=np.linspace(0.3, 0.7, 12),
        n_subjects=4,
        diagnosis="tumour",
        config=config,
        seed=7,
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


def test_a_damaged_checkpoint_is_named_and_left_where_it_is(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        _train(tmp_path, die_at=32)
    checkpoint = tmp_path / "checkpoint" / "state.pt"
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    with pytest.raises(TrainingFailed, match=r"state\.pt"):
        _train(tmp_path)
    assert checkpoint.stat().st_size == 1000


def test_a_checkpoint_of_other_networks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        _train(tmp_path, die_at=32)
    with pytest.raises(TrainingFailed, match="does not fit"):
        _train(tmp_path, config=CONFIG.model_copy(update={"width": 12}))


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


def test_conditions_are_equally_filled_bins_of_height_or_one_where_a_height_is_unknown() -> None:
    conditions, edges = model_dir.conditions_from(np.linspace(0, 1, 30), 3)
    assert np.bincount(conditions).tolist() == [10, 10, 10]
    assert len(edges) == 2
    conditions, edges = model_dir.conditions_from(np.array([0.1, np.nan, 0.9]), 3)
    assert conditions.tolist() == [0, 0, 0]
    assert edges == ()


@pytest.mark.parametrize(("text", "seeds"), [("3", [3]), ("1-3", [1, 2, 3]), ("5,1-2, 9", [5, 1, 2, 9])])
def test_seeds_are_numbers_and_ranges(text: str, seeds: list[int]) -> None:
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "a", "3-1", "1-", "-1", "1,,2"])
def test_other_seeds_are_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(ValueError, match="6600-6625"):
        parse_seeds(text)


def test_images_of_the_curve_are_counted(tmp_path: Path) -> None:
    _train(tmp_path)
    curve = model_dir.read_curve(tmp_path)
    assert [tick.images_seen for tick in curve] == [32, 64, 96]
    assert all(isinstance(tick, gan.Tick) and 0 <= tick.discriminator_accuracy <= 1 for tick in curve)
