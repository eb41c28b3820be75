"""What the page calls arms, diagnoses and measures."""

from collections.abc import Sequence
from typing import Final

from data_contracts.manifest import NO_TUMOUR, TUMOUR
from data_contracts.results import ArmScores

ARM_NAMES: Final = {
    "real": "Real",
    "real+classic": "Real + classic augmentation",
    "real+classic+duplicates": "Real + classic + duplicates",
    "real+classic+synthetic": "Real + classic + synthetic",
    "synthetic_only": "Synthetic only",
}
DIAGNOSIS_NAMES: Final = {TUMOUR: "tumour", NO_TUMOUR: "no tumour"}
REFERENCE_NAMES: Final = {"real+classic": "no added slices", "real+classic+duplicates": "repeated copies"}
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
