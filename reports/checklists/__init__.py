"""Checklists that the program fills from the numbers of a run, each "not known" where a run cannot know.

Pure functions of RunSummary: nothing new is measured. `seven_cs`, `claim`, `tripod`, `datasheet` and `model_card` are
one list each; `data`, `study`, `sets` and `readers` are what a run answers, by subject, so that two lists that ask the
same get the same answer.
"""

from data_contracts.results import RunSummary
from reports.checklists.claim import claim
from reports.checklists.datasheet import datasheet
from reports.checklists.evidence import evidence
from reports.checklists.items import Answer, Checklist, Item, Level, Section
from reports.checklists.model_card import model_card
from reports.checklists.seven_cs import seven_cs
from reports.checklists.tripod import tripod

__all__ = [
    "Answer",
    "Checklist",
    "Item",
    "Level",
    "Section",
    "checklists",
    "claim",
    "datasheet",
    "evidence",
    "model_card",
    "seven_cs",
    "tripod",
]


def checklists(summary: RunSummary) -> tuple[Checklist, ...]:
    """All filled lists of the page, in order."""
    return tuple(fill(summary) for fill in (seven_cs, claim, tripod, datasheet, model_card))
