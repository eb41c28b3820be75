"""What a filled list is made of: items, their answers, the sections they stand in, and how they are counted."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from reports.language import _, later

Level = Literal["met", "partly", "not_met", "unknown"]

# of a scorecard, which judges, and of a list of questions, which are answered or not
JUDGED: Final[Mapping[Level, str]] = {
    "met": later("met"),
    "partly": later("met in part"),
    "not_met": later("not met"),
    "unknown": later("not known"),
}
ASKED: Final[Mapping[Level, str]] = {
    "met": later("answered"),
    "partly": later("answered in part"),
    "not_met": later("not done"),
    "unknown": later("not known"),
}


@dataclass(frozen=True)
class Answer:
    """What the run says to an item, how far that goes, and the anchor of the page where the evidence stands, or ""."""

    text: str
    level: Level
    anchor: str = ""


@dataclass(frozen=True)
class Item:
    """One item of a list: its number there, what it asks in our own words, and what the run answers."""

    number: str
    asks: str
    answer: str
    level: Level
    anchor: str

    @property
    def beyond_a_run(self) -> bool:
        """Whether no run can answer it, so that a person must."""
        return self.level == "unknown" and self.answer == cannot_tell()


@dataclass(frozen=True)
class Section:
    """Items that stand together."""

    title: str
    items: tuple[Item, ...]


@dataclass(frozen=True)
class Checklist:
    """A filled list. about: what it is and how it was filled; rules: by what its levels are set, where it judges."""

    anchor: str
    name: str
    about: str
    sections: tuple[Section, ...]
    rules: tuple[str, ...] = ()

    @property
    def items(self) -> tuple[Item, ...]:
        """All items in order."""
        return tuple(item for section in self.sections for item in section.items)

    @property
    def beyond_a_run(self) -> tuple[Section, ...]:
        """What a person must fill in, in its sections; sections without any are left out."""
        left = (Section(s.title, tuple(i for i in s.items if i.beyond_a_run)) for s in self.sections)
        return tuple(section for section in left if section.items)

    @property
    def tally(self) -> str:
        """How many items have which level, all of them named."""
        counts = {level: sum(item.level == level for item in self.items) for level in JUDGED}
        if self.rules:
            told = _("{met} of {n} met, {partly} met in part, {not_met} not met, {unknown} not known")
        elif counts["not_met"]:
            told = _("{met} of {n} answered, {partly} in part, {not_met} not done, {unknown} not known")
        else:
            told = _("{met} of {n} answered, {partly} in part, {unknown} not known")
        return told.format(n=len(self.items), **counts)

    def level_name(self, level: Level) -> str:
        """The level in words, in this list."""
        return _((JUDGED if self.rules else ASKED)[level])


def cannot_tell() -> str:
    """The answer to what no run can know."""
    return _("Not known: the run cannot tell.")


def item(number: str, asks: str, answer: Answer) -> Item:
    """An item with its answer."""
    return Item(number, asks, answer.text, answer.level, answer.anchor)


def met(anchor: str, *sentences: str) -> Answer:
    """Answered; empty sentences are left out."""
    return Answer(_joined(sentences), "met", anchor)


def partly(anchor: str, *sentences: str) -> Answer:
    """Answered in part: the sentences say what is open."""
    return Answer(_joined(sentences), "partly", anchor)


def not_met(anchor: str, *sentences: str) -> Answer:
    """Not met, or not done."""
    return Answer(_joined(sentences), "not_met", anchor)


def unknown(*sentences: str, anchor: str = "") -> Answer:
    """Not known: because this run did not measure or record it, where sentences say so, else because none could."""
    return Answer(_joined(sentences) or cannot_tell(), "unknown", anchor)


def _joined(sentences: tuple[str, ...]) -> str:
    return " ".join(sentence for sentence in sentences if sentence)
