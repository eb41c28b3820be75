"""What the page calls arms, diagnoses and measures, and whether its synthetic slices were painted."""

from collections.abc import Sequence
from typing import Final

from data_contracts.manifest import NO_TUMOUR, TUMOUR
from data_contracts.results import ArmScores, FidelityScores, RunSummary, TrainingRecord
from reports.language import _, capitalised, later, pgettext
from reports.settings import text

OfSlices = FidelityScores | TrainingRecord
ARM_NAMES: Final = {
    "real": later("Real"),
    "real+classic": later("Real + classic augmentation"),
    "real+classic+duplicates": later("Real + classic + duplicates"),
    "real+classic+copy_paste": later("Real + classic + copy and paste"),
    "real+classic+synthetic": later("Real + classic + synthetic"),
    "synthetic_only": later("Synthetic only"),
}
ARM_NAMES_INSIDE: Final = {  # a sentence
    "real": later("real"),
    "real+classic": later("real + classic augmentation"),
    "real+classic+duplicates": later("real + classic + duplicates"),
    "real+classic+copy_paste": later("real + classic + copy and paste"),
    "real+classic+synthetic": later("real + classic + synthetic"),
    "synthetic_only": later("synthetic only"),
}
DIAGNOSIS_NAMES: Final = {TUMOUR: later("tumour"), NO_TUMOUR: later("no tumour")}
REFERENCE_NAMES: Final = {
    "real+classic": later("no added slices"),
    "real+classic+duplicates": later("repeated copies"),
    "real+classic+copy_paste": later("copy and paste"),
}
LABEL_RULE_NAMES: Final = {
    "mask": later("the mask beside the image"),
    "folder": later("the class folder"),
    "assumed": later("what the configuration assumes where nothing else tells it"),
    "manifest": later("the manifest table"),
    "participants": later("participants.tsv"),
    "dicom": later("a DICOM element"),
}
METRIC_NAMES: Final = {"balanced_accuracy": later("balanced accuracy"), "auc": later("AUC")}


def arm_name(arm: str) -> str:
    """The arm as the page calls it."""
    return _(ARM_NAMES[arm]) if arm in ARM_NAMES else arm


def arm_inside(arm: str) -> str:
    """The arm as the page calls it inside a sentence."""
    return _(ARM_NAMES_INSIDE[arm]) if arm in ARM_NAMES_INSIDE else arm.lower()


def reference_name(arm: str) -> str:
    """What an arm adds to the real slices and their classic augmentation, for a label that must be short."""
    return _(REFERENCE_NAMES[arm]) if arm in REFERENCE_NAMES else arm_inside(arm)


def diagnosis_name(diagnosis: str) -> str:
    """The diagnosis as the page calls it: `no_tumour` is `no tumour`."""
    return _(DIAGNOSIS_NAMES[diagnosis]) if diagnosis in DIAGNOSIS_NAMES else diagnosis


def kind(diagnosis: str) -> str:
    """What stands beside `slices` in a message, whatever the case of the noun: `tumour`, `no-tumour`; `s tumorom`."""
    if diagnosis == TUMOUR:
        return pgettext("which slices", "tumour")
    return pgettext("which slices", "no-tumour") if diagnosis == NO_TUMOUR else diagnosis.replace(" ", "-")


def slices_of(diagnosis: str) -> str:
    """`tumour slices`, `no-tumour slices`: by itself, as a title or before a colon."""
    return _("{kind} slices").format(kind=kind(diagnosis))


def slices_title(record: OfSlices, *, several_folds: bool) -> str:
    """`Tumour slices`, and of which fold where there are several."""
    name = capitalised(slices_of(record.diagnosis))
    return _("{slices}, fold {fold}").format(slices=name, fold=record.fold) if several_folds else name


def metric_words(metric: str) -> str:
    """The measure as the page calls it inside a sentence."""
    return _(METRIC_NAMES[metric]) if metric in METRIC_NAMES else metric.replace("_", " ")


def find_arm(arms: Sequence[ArmScores], name: str) -> ArmScores | None:
    """The scores of one arm, or None where the run did not train it."""
    return next((arm for arm in arms if arm.arm == name), None)


def is_painted(summary: RunSummary) -> bool:
    """Whether the synthetic slices are real ones with a painted region, whose heads are given and not generated."""
    known = any(scores.contains_patient_anatomy for scores in summary.memorisation)
    return known or text(summary, "synthesis", "strategy") == "paint"


def on_generated(summary: RunSummary) -> bool:
    """Whether the synthetic slices are generated ones with a painted region."""
    return text(summary, "synthesis", "strategy") == "dream_and_paint"


def by_painter(record: TrainingRecord, *, painted: bool) -> bool:
    """Whether a painter was trained and no generator; painted: whether the run's slices were painted on real ones,
    which tells it where the training did not note it.
    """
    return painted if record.maker is None else record.maker == "painter"


def made(*, painted: bool) -> str:
    """What synthetic slices are called where it matters how they came about: `painted` or `synthetic`."""
    return _("painted") if painted else _("synthetic")


def maker(*, painted: bool) -> str:
    """What made them: `painter` or `generator`."""
    return _("painter") if painted else _("generator")
