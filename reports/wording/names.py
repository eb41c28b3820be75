"""What the page calls arms, diagnoses and measures, and whether its synthetic slices were painted."""

from collections.abc import Sequence
from typing import Final

from data_contracts.manifest import NO_TUMOUR, TUMOUR
from data_contracts.results import ArmScores, RunSummary

ARM_NAMES: Final = {
    "real": "Real",
    "real+classic": "Real + classic augmentation",
    "real+classic+duplicates": "Real + classic + duplicates",
    "real+classic+copy_paste": "Real + classic + copy and paste",
    "real+classic+synthetic": "Real + classic + synthetic",
    "synthetic_only": "Synthetic only",
}
DIAGNOSIS_NAMES: Final = {TUMOUR: "tumour", NO_TUMOUR: "no tumour"}
REFERENCE_NAMES: Final = {
    "real+classic": "no added slices",
    "real+classic+duplicates": "repeated copies",
    "real+classic+copy_paste": "copy and paste",
}
LABEL_RULE_NAMES: Final = {
    "mask": "the mask beside the image",
    "folder": "the class folder",
    "assumed": "what the configuration assumes where nothing else tells it",
    "manifest": "the manifest table",
    "participants": "participants.tsv",
    "dicom": "a DICOM element",
}
METRIC_NAMES: Final = {"balanced_accuracy": "balanced accuracy", "auc": "AUC"}


def arm_name(arm: str) -> str:
    """The arm as the page calls it."""
    return ARM_NAMES.get(arm, arm)


def reference_name(arm: str) -> str:
    """What an arm adds to the real slices and their classic augmentation, for a label that must be short."""
    return REFERENCE_NAMES.get(arm, arm_name(arm).lower())


def diagnosis_name(diagnosis: str) -> str:
    """The diagnosis as the page calls it: `no_tumour` is `no tumour`."""
    return DIAGNOSIS_NAMES.get(diagnosis, diagnosis)


def slices_of(diagnosis: str) -> str:
    """`tumour slices`, `no-tumour slices`."""
    return f"{diagnosis_name(diagnosis).replace(' ', '-')} slices"


def find_arm(arms: Sequence[ArmScores], name: str) -> ArmScores | None:
    """The scores of one arm, or None where the run did not train it."""
    return next((arm for arm in arms if arm.arm == name), None)


def is_painted(summary: RunSummary) -> bool:
    """Whether the synthetic slices are real or dreamt ones with a painted region, and not generated whole."""
    synthesis = summary.provenance.config.get("synthesis")
    strategy = synthesis.get("strategy") if isinstance(synthesis, dict) else None
    return strategy == "paint" or any(scores.contains_patient_anatomy for scores in summary.memorisation)


def made(*, painted: bool) -> str:
    """What synthetic slices are called where it matters how they came about: `painted` or `synthetic`."""
    return "painted" if painted else "synthetic"


def maker(*, painted: bool) -> str:
    """What made them: `painter` or `generator`."""
    return "painter" if painted else "generator"
