from pathlib import Path

import pytest

from flows.config import PRESETS, config_digest, load_config
from flows.errors import ConfigError


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_loads(preset: str) -> None:
    assert load_config(preset=preset).gan.images > 0


def test_a_users_file_replaces_single_keys_and_leaves_the_rest(tmp_path: Path) -> None:
    file = tmp_path / "study.toml"
    file.write_text("[gan]\nimages = 1234\n")
    config, preset = load_config(preset="quick", file=file), load_config(preset="quick")
    assert config.gan.images == 1234
    assert config.gan.batch_size == preset.gan.batch_size
    assert config.split == preset.split
    assert config_digest(config) != config_digest(preset)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[gan]\nimagse = 5\n", r"no key 'gan\.imagse'; known there: .*images"),
        ("[gann]\nimages = 5\n", r"no key 'gann'; known there: .*gan"),
        ("[gan.augmentation]\nflip = 1\n", r"no key 'gan\.augmentation\.flip'; known there: .*cutout"),
        ("[gan]\nimages = 'many'\n", r"gan\.images = 'many'"),
        ("[gan\n", "not valid TOML"),
    ],
)
def test_a_wrong_file_is_refused_with_what_is_known(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "study.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=said):
        load_config(preset="quick", file=file)


def test_all_wrong_keys_are_named_at_once(tmp_path: Path) -> None:
    file = tmp_path / "study.toml"
    file.write_text("[gan]\na = 1\n[split]\nb = 2\n")
    with pytest.raises(ConfigError) as refused:
        load_config(preset="quick", file=file)
    assert "'gan.a'" in str(refused.value)
    assert "'split.b'" in str(refused.value)


def test_a_missing_file_and_an_unknown_preset_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(preset="quick", file=tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="choose one of smoke, quick"):
        load_config(preset="fast")


def test_a_recipe_replaces_the_gan_and_brings_its_size(tmp_path: Path) -> None:
    old = load_config(preset="quick", recipe="akkaya-old")
    assert (old.normalise.size, old.gan.network.family, old.gan.loss) == (128, "dcgan", "non-saturating")
    file = tmp_path / "study.toml"
    file.write_text("[gan]\nimages = 77\n")
    assert load_config(preset="quick", recipe="sngan", file=file).gan.images == 77
    with pytest.raises(ConfigError, match="akkaya-new"):
        load_config(preset="quick", recipe="x")


def test_a_network_of_another_family_replaces_the_presets(tmp_path: Path) -> None:
    file = tmp_path / "study.toml"
    file.write_text('[gan.network]\nfamily = "residual"\nwidth = 16\n')
    assert load_config(preset="large", file=file).gan.network.family == "residual"
    file.write_text("[gan.network]\nwidth = 16\n")
    assert load_config(preset="large", file=file).gan.network.width == 16


def test_what_paints_is_checked_before_it_starts_and_transfer_can_be_left_out(tmp_path: Path) -> None:
    file = tmp_path / "study.toml"
    file.write_text("transfer = false\n")
    assert load_config(preset="paint").transfer is not None
    assert load_config(preset="paint", file=file).transfer is None
    file.write_text("[normalise]\nsize = 96\n")
    assert load_config(preset="quick", file=file).normalise.size == 96
    with pytest.raises(ConfigError, match=r"study.toml: normalise.size: a painter cannot paint 96 x 96 pixels"):
        load_config(preset="paint", file=file)


def test_subjects_of_the_command_line_stand_above_the_file(tmp_path: Path) -> None:
    file = tmp_path / "study.toml"
    file.write_text("[split]\nsubjects = 20\nfolds_drawn = 2\nfolds_evaluated = 2\n")
    config = load_config(preset="paint", file=file, subjects=12)
    assert (config.split.subjects, config.split.folds_drawn) == (12, 2)
