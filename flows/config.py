"""The configuration of a whole study: the stages' own configs composed, presets, and the user's TOML on top."""

import hashlib
import json
import platform
import tomllib
from collections.abc import Iterable, Mapping
from importlib import metadata, resources
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from data_contracts.manifest import DIAGNOSES
from data_contracts.results import PASTED_ARM, PRIMARY_EXTRACTOR
from flows.errors import ConfigError
from pipeline.evidence.localisation import LocalisationConfig
from pipeline.evidence.shortcuts import ShortcutConfig
from pipeline.evidence.transfer import TransferConfig
from pipeline.evidence.utility import UtilityConfig
from pipeline.scans.inputs import IngestConfig
from pipeline.scans.normalise import NormaliseConfig
from pipeline.scans.split import SplitConfig
from pipeline.synthesis import recipes
from pipeline.synthesis.gan import GanConfig
from pipeline.synthesis.model_dir import ModelError
from pipeline.synthesis.painter import PainterConfig

PRESETS = ("smoke", "quick", "paint", "standard", "large", "demo")
NAMED_VERSIONS = ("augment-mri", "torch", "monai", "numpy", "scikit-learn", "pydicom", "nibabel", "pandas", "prefect")


def require_free(out: Path) -> None:
    """Raise ConfigError unless `out` is absent or an empty folder: nothing of the user's is ever written over."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"{out} is not empty; choose a new folder with --out")


class FidelityConfig(BaseModel):
    """How sets of images are compared."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    k: int = Field(5, ge=1)  # neighbours in precision, recall, density and coverage
    # feature spaces, by name (pipeline/evidence/features.py); PRIMARY_EXTRACTOR, which decides, must be among them
    extractors: tuple[str, ...] = (PRIMARY_EXTRACTOR, "texture")

    @field_validator("extractors")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if PRIMARY_EXTRACTOR not in names or len(set(names)) < len(names):
            raise ValueError(f"want each once, {PRIMARY_EXTRACTOR} among them, for it decides")
        return names


class PhantomsConfig(BaseModel):
    """The demo's data."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    subjects: int = Field(60, ge=8)


class SynthesisConfig(BaseModel):
    """How the GANs of the diagnoses hang together, at an equal number of images shown in all."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    # per_class: one for each diagnosis; joint: one for all, the diagnosis among its conditions; finetune: a joint one,
    # then a copy for each diagnosis goes on with that one's slices alone; paint: no GAN of whole slices, but a painter
    # for each diagnosis that lays lesions into real slices and takes them out of real ones; dream_and_paint: painters
    # that learn so, and paint on what a GAN of slices without a tumour drew, so that no patient is painted over
    strategy: Literal["per_class", "joint", "finetune", "paint", "dream_and_paint"] = "finetune"
    joint_share: float = Field(0.5, gt=0, lt=1)  # of all images, of finetune: shown to the joint one

    @property
    def paints(self) -> bool:
        """Whether a diagnosis has a painter, and no GAN."""
        return self.strategy in ("paint", "dream_and_paint")

    @property
    def dreams(self) -> bool:
        """Whether painters paint on what a GAN drew."""
        return self.strategy == "dream_and_paint"

    @property
    def joint_budget(self) -> float:
        """Of the joint GAN, as a multiple of what one diagnosis has."""
        return len(DIAGNOSES) * (self.joint_share if self.strategy == "finetune" else 1.0)

    @property
    def copy_budget(self) -> float:
        """Where a copy of it ends, as such a multiple: the joint training counts."""
        return self.joint_budget + 1 - self.joint_share


class StudyConfig(BaseModel):
    """Everything that decides a study's numbers, with the seed and the source."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    ingest: IngestConfig = IngestConfig()
    split: SplitConfig = SplitConfig()
    normalise: NormaliseConfig = NormaliseConfig()
    synthesis: SynthesisConfig = SynthesisConfig()
    gan: GanConfig = GanConfig()
    painter: PainterConfig = PainterConfig()  # of paint, in place of gan, and of dream_and_paint, beside it
    localisation: LocalisationConfig = LocalisationConfig()  # of lesions to paint from, where no mask is given
    shortcuts: ShortcutConfig = ShortcutConfig()
    fidelity: FidelityConfig = FidelityConfig()
    utility: UtilityConfig = UtilityConfig()
    transfer: TransferConfig | None = None  # whether (false: no) and how classifiers are carried over to real slices
    phantoms: PhantomsConfig = PhantomsConfig()  # of `augment-mri demo` alone

    @field_validator("transfer", mode="before")
    @classmethod
    def _off(cls, value: object) -> object:
        return None if value is False else value

    @model_validator(mode="after")
    def _paintable(self) -> "StudyConfig":
        if self.synthesis.paints:
            try:
                self.painter.for_images(self.normalise.size)
            except ModelError as error:
                raise ValueError(f"normalise.size: {error}") from None
        return self

    @property
    def uses_lesions(self) -> bool:
        """Whether a fold must know where lesions lie."""
        return self.synthesis.paints or self.pastes

    @property
    def pastes(self) -> bool:
        """Whether slices by copy and paste are wanted."""
        return PASTED_ARM in self.utility.arms


class RunRecord(BaseModel):
    """`run.json`: what this run is, written before it does anything."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    preset: str
    seed: int
    config: StudyConfig
    config_digest: str
    source_digest: str
    external_digest: str = ""  # of the locked test set; "" where there is none
    versions: dict[str, str]
    machine: str

    def differing(self, other: "RunRecord") -> list[str]:
        """What is not the same of all that decides the numbers; the machine apart."""
        deciding = ("seed", "config_digest", "source_digest", "external_digest")
        return [name for name in deciding if getattr(self, name) != getattr(other, name)]


def preset_text(name: str) -> str:
    """The TOML text of a preset. Raises ConfigError for a name that is none."""
    if name not in PRESETS:
        raise ConfigError(f"there is no preset {name!r}; choose one of {', '.join(PRESETS)}")
    return resources.files("flows").joinpath("presets", f"{name}.toml").read_text()


def load_config(
    *, preset: str, file: Path | None = None, recipe: str | None = None, subjects: int | None = None
) -> StudyConfig:
    """The preset, a recipe in place of its GAN, the user's TOML file on top, and on that `split.subjects`.

    A recipe brings the size of image that its networks make. Raises ConfigError that names each wrong key or value.
    """
    values: dict[str, object] = tomllib.loads(preset_text(preset))
    if recipe is not None:
        try:
            size = recipes.load(recipe).network.image_size
        except ValueError as error:
            raise ConfigError(str(error)) from error
        values = _merged(values | {"gan": tomllib.loads(recipes.text(recipe))}, {"normalise": {"size": size}})
    if file is not None:
        try:
            values = _merged(values, tomllib.loads(file.read_text()))
        except OSError as error:
            raise ConfigError(f"the config {file} cannot be read: {error.strerror}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"the config {file} is not valid TOML: {error}") from error
    if subjects is not None:
        values = _merged(values, {"split": {"subjects": subjects}})
    try:
        return StudyConfig.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"{file or preset}: {'; '.join(_explained(error))}") from error


def _merged(base: Mapping[str, object], over: Mapping[str, object]) -> dict[str, object]:
    """Tables merged key by key, everything else replaced; so is a network by one of another family."""
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            other_family = "family" in value and value["family"] != old.get("family", "lean")
            merged[key] = value if other_family else _merged(old, value)
        else:
            merged[key] = value
    return merged


def _explained(error: ValidationError) -> Iterable[str]:
    for problem in error.errors():
        place = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            yield f"there is no key {place!r}; known there: {', '.join(_known_keys(problem['loc'][:-1]))}"
        elif isinstance(problem["input"], dict):  # keys that do not go together: the message names them
            yield f"{place}{place and ': '}{problem['msg'].removeprefix('Value error, ')}"
        else:
            yield f"{place} = {problem['input']!r}: {problem['msg']}"


def _known_keys(table: Iterable[int | str]) -> list[str]:
    model: type[BaseModel] = StudyConfig
    for part in table:
        inner = model.model_fields[str(part)].annotation
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            return []
        model = inner
    return sorted(model.model_fields)


def config_digest(config: StudyConfig) -> str:
    """Hex SHA-256 of the resolved configuration."""
    return hashlib.sha256(json.dumps(config.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()


def versions() -> dict[str, str]:
    """Of Python and of what the figures depend on."""
    return {"python": platform.python_version()} | {name: metadata.version(name) for name in NAMED_VERSIONS}


def new_run_record(
    *, preset: str, seed: int, config: StudyConfig, source_digest: str, compute: str, external_digest: str = ""
) -> RunRecord:
    """Describe a run that is about to start on this machine."""
    return RunRecord(
        preset=preset,
        seed=seed,
        config=config,
        config_digest=config_digest(config),
        source_digest=source_digest,
        external_digest=external_digest,
        versions=versions(),
        machine=f"{platform.machine()}, {compute}",
    )
