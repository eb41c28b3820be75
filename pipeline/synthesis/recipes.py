"""Named recipes: our own and those of others, each one TOML file whose first line says whose it is."""

import tomllib
from importlib import resources
from typing import Final

from pipeline.synthesis.config import GanConfig

NAMES: Final = (
    "default",
    "dcgan",
    "sngan",
    "wgan-gp",
    "stylegan",
    "goodfellow",
    "akkaya-old",
    "akkaya-new",
    "krog-mnist",
)


def text(name: str) -> str:
    """The recipe's file, a table of GanConfig in TOML. Raises ValueError for a name that is none."""
    if name not in NAMES:
        raise ValueError(f"there is no recipe {name!r}; choose one of {', '.join(NAMES)}")
    return resources.files("pipeline.synthesis").joinpath("recipes", f"{name}.toml").read_text("utf-8")


def load(name: str) -> GanConfig:
    """The recipe of this name, for images of its own size, `network.image_size`. Raises ValueError for no such name."""
    return GanConfig.model_validate(tomllib.loads(text(name)))


def whose(name: str) -> str:
    """One line: whose recipe it is and what defines it."""
    return text(name).partition("\n")[0].removeprefix("# ")
