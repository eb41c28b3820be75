"""How a moment and a length of time are written, in the language that is spoken; every moment is in UTC."""

from datetime import UTC, datetime
from typing import Final

from babel.dates import format_datetime

from reports.language import NBSP, _, locale, spoken
from reports.numbers import decimal

_DAYS: Final = {"en": "d MMM y", "tr": "d MMM y", "hr": "d. MMM y."}


def moment(when: datetime) -> str:
    """A moment to the minute, with its zone: `21 Nov 2026, 20:01 UTC`."""
    return f"{_formatted(when, _DAYS[spoken()])}, {clock(when)}"


def clock(when: datetime) -> str:
    """The time of day alone: `20:01 UTC`."""
    return f"{_formatted(when, 'HH:mm')}{NBSP}UTC"


def _formatted(when: datetime, pattern: str) -> str:
    return str(format_datetime(when.astimezone(UTC), pattern, locale=locale())).replace(" ", NBSP)


def duration(seconds: float) -> str:
    """A length of time in the unit that suits it: `12 s`, `4.2 min`, `3 h 25 min`."""
    if seconds < 1:
        return _("under 1 s").replace(" ", NBSP)
    if round(seconds) < 100:
        return _("{n} s").replace(" ", NBSP).format(n=round(seconds))
    minutes = round(seconds / 60)
    if minutes < 100:
        return _("{n} min").replace(" ", NBSP).format(n=decimal(seconds / 60, 1))
    return _("{h} h {min} min").replace(" ", NBSP).format(h=minutes // 60, min=minutes % 60)
