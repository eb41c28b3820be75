"""What the sections of the page are called to which the answers lead."""

from reports.checklists.readers import READER_ANCHOR
from reports.language import _


def evidence() -> dict[str, str]:
    """The name of each section by its anchor; every anchor of an answer is among them."""
    return {
        "verdict": _("Verdict"),
        "data": _("Data"),
        "shortcuts": _("Shortcuts"),
        "gain": _("Gain per arm"),
        "diversity": _("Diversity"),
        "transfer": _("Transfer"),
        "copies": _("Copies"),
        "looks": _("What the classifier looks at"),
        "wrong": _("Wrong cases"),
        READER_ANCHOR: _("Reader study"),
        "training": _("Training"),
        "limits": _("Limits"),
        "provenance": _("Provenance"),
    }
