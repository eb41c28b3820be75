"""The reader study: the key that no reader sees, and the file that a reader's answers come back in."""

import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from data_contracts.manifest import NO_TUMOUR, TUMOUR
from data_contracts.violations import ContractError, Violation

MOST_BYTES: Final = 1_000_000  # of one file of answers; a real one has five thousand
AGAIN: Final = "finish the study on the page of this run and export the answers again"

Origin = Literal["real", "synthetic"]
Diagnosis = Literal["tumour", "no_tumour"]
ItemName = Annotated[str, Field(pattern=r"^item-[0-9]{2,4}$")]  # says nothing but its place in a random order
StudyId = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]  # of the pictures in their order, and of nothing else


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class KeyItem(_Strict):
    """What one slice of the study is.

    group: a patient of the test part (or the copies that stand in for one); of a painted slice the patient it was
    painted over, or the generated slice; of any other synthetic slice that slice alone.
    """

    item: ItemName
    origin: Origin
    diagnosis: Diagnosis  # of a synthetic slice: what it was made to show
    group: str


class ReaderKey(_Strict):
    """`metrics/reader_key.json`: what the slices are, in the order of the page. Never part of any page."""

    study: StudyId
    fold: int
    size: int  # pixels a side
    items: tuple[KeyItem, ...]


class Answer(_Strict):
    """What a reader said of one slice; confidence 1 (a guess) to 5 (certain), of the origin."""

    item: ItemName
    origin: Origin
    diagnosis: Diagnosis
    confidence: int = Field(ge=1, le=5)


class ReaderAnswers(_Strict):
    """One reader's file, as the page exports it; answers in the order in which the slices were shown."""

    kind: Literal["augment-mri reader study"]
    version: Literal[1]
    study: StudyId
    reader: str = Field(max_length=60)  # a name or initials as typed; "" where none was given
    seed: int = Field(ge=0, le=2**32 - 1)  # of the order
    answers: tuple[Answer, ...]

    @field_validator("reader")
    @classmethod
    def _printed(cls, name: str) -> str:
        if any(unicodedata.category(character) == "Cc" for character in name):
            raise ValueError("a name holds no control characters")
        return name


def parse_answers(data: bytes, *, name: str) -> ReaderAnswers:
    """One file of answers. Raises ContractError that names the file, what is wrong in it, and what to do."""
    if len(data) > MOST_BYTES:
        detail = f"larger than {MOST_BYTES:,} bytes; name a file that the page exported"
        raise ContractError([Violation(name, "no answers", detail)])
    try:
        return ReaderAnswers.model_validate_json(data)
    except ValidationError as error:
        raise ContractError(Violation(name, rule, detail) for rule, detail in _explained(error)) from error


def _explained(error: ValidationError) -> Iterator[tuple[str, str]]:
    """Each problem in plain words: the place in the file, and what is wrong there."""
    for problem in error.errors():
        place = ".".join(str(part) for part in problem["loc"])
        if not place:
            yield "broken file", f"it is not the JSON that the page exports; {AGAIN}"
        elif problem["type"] == "missing":
            yield "broken file", f"{place} is missing; {AGAIN}"
        elif problem["type"] == "extra_forbidden":
            yield "broken file", f"no export has {place}; {AGAIN}"
        else:
            yield "broken file", f"{place} is not what the page exports; {AGAIN}"


def check_answers(files: Sequence[tuple[str, ReaderAnswers]], key: ReaderKey) -> list[Violation]:
    """Every file is of this study, whole, and of a reader of its own; each pair is a file's name and its answers."""
    found = []
    readers: dict[str, str] = {}
    for name, told in files:
        if told.study != key.study:
            detail = f"it answers study {told.study}, this run has {key.study}; name answers to this run's page"
            found.append(Violation(name, "another study", detail))
            continue
        found += [Violation(name, rule, f"{detail}; {AGAIN}") for rule, detail in _not_whole(told, key)]
        # who gave no name is told apart by the order, drawn anew each time
        reader = told.reader.strip().casefold() or f"order {told.seed}"
        if reader in readers:
            detail = f"the same reader as in {readers[reader]}; name each reader's answers once, or, of two people, "
            detail += "change the name in one of the files"
            found.append(Violation(name, "reader twice", detail))
        readers.setdefault(reader, name)
    return found


def _not_whole(told: ReaderAnswers, key: ReaderKey) -> Iterator[tuple[str, str]]:
    answered, known = Counter(answer.item for answer in told.answers), [item.item for item in key.items]
    if unknown := sorted(set(answered) - set(known)):
        yield "unknown slices", f"this study has no {', '.join(unknown[:5])}"
    if twice := sorted(item for item, n in answered.items() if n > 1):
        yield "answered twice", ", ".join(twice[:5])
    if missing := [item for item in known if item not in answered]:
        yield "not finished", f"{len(missing)} of {len(known)} slices have no answer ({', '.join(missing[:5])})"


def in_order(told: ReaderAnswers, key: ReaderKey) -> list[Answer]:
    """The answers of a whole file in the order of the key."""
    by_item = {answer.item: answer for answer in told.answers}
    return [by_item[item.item] for item in key.items]


def key_item(*, item: str, synthetic: bool, tumour: bool, group: str) -> KeyItem:
    """A row of the key from what is known of a slice."""
    return KeyItem(
        item=item,
        origin="synthetic" if synthetic else "real",
        diagnosis=TUMOUR if tumour else NO_TUMOUR,
        group=group,
    )
