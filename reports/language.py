"""The language of the page: every sentence is one message, looked up in the catalogue of the language that is spoken.

Messages are British English and stand in the code, as `_("{n} of {m} slices")`. Turkish and Croatian stand in
`locale/LANGUAGE/LC_MESSAGES/augment-mri.po`, which are read as they are; `make messages` brings them up to date. A
message without a translation comes out in English.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Final

from babel import Locale
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po
from babel.numbers import get_decimal_symbol, get_group_symbol
from markupsafe import Markup

LANGUAGES: Final = {"en": "English", "tr": "Türkçe", "hr": "Hrvatski"}
TAGS: Final = {"en": "en-GB", "tr": "tr", "hr": "hr"}  # of the page, for screen readers and hyphenation
NBSP: Final = "\N{NO-BREAK SPACE}"  # keeps a number and its unit on one line
PLURAL_TAGS: Final = ("zero", "one", "two", "few", "many", "other")  # of Unicode's rules
DOMAIN: Final = "augment-mri"
ALPHABETS: Final = {"tr": "abcçdefgğhıijklmnoöprsştuüvyz", "hr": "abcčćdđefghijklmnoprsštuvzž"}
LOCALES: Final = Path(__file__).parent / "locale"

_spoken: ContextVar[str] = ContextVar("spoken", default="en")


@contextmanager
def speak(language: str) -> Iterator[None]:
    """All texts made inside of it are in this language, in this thread or task alone.

    Raises ValueError where there is no such language.
    """
    if language not in LANGUAGES:
        raise ValueError(f"no language {language!r}: there are {', '.join(LANGUAGES)}")
    before = _spoken.set(language)
    try:
        yield
    finally:
        _spoken.reset(before)


def spoken() -> str:
    """The language now spoken: `en`, `tr` or `hr`."""
    return _spoken.get()


def locale() -> Locale:
    """How the language now spoken writes numbers and dates."""
    return _locale(spoken())


def _(message: str) -> str:
    """The message in the language now spoken; its named places are for the caller to fill."""
    return _translated(message)[0] or message


def pgettext(context: str, message: str) -> str:
    """Like `_`, of a message that means another thing elsewhere: `context` tells the translator which this one is."""
    return _translated(message, context)[0] or message


def later(message: str) -> str:
    """The message itself, marked for the catalogues: of constants, whose users put it through `_`."""
    return message


def plural(one: str, many: str, n: float) -> str:
    """The form of the message that goes with n, `{n}` filled: `1 slice`, `57 slices`, `1,5 presjek`.

    n is written by `grouped`, and a no-break space follows it. Other named places are for the caller to fill.
    """
    digits = 0 if float(n).is_integer() else 1
    told = _plural_form(one, many, Decimal(f"{n:.{digits}f}"))
    return told.replace("{n} ", "{n}" + NBSP).replace("{n}", grouped(n, digits))


def _plural_form(one: str, many: str, n: Decimal) -> str:
    forms = _translated(one)
    if not all(forms):
        return one if n == 1 else many
    rule = locale().plural_form
    # in the order of a catalogue's forms
    tags: list[str] = [tag for tag in PLURAL_TAGS if tag in rule.tags or tag == "other"]
    return forms[min(tags.index(rule(n)), len(forms) - 1)]


def _translated(message: str, context: str | None = None) -> tuple[str, ...]:
    """All forms of a message in the language now spoken: one, more where it counts; an empty one where it has none."""
    known = None if spoken() == "en" else _catalogue(spoken()).get(message, context)
    if known is None or known.fuzzy or not known.string:
        return ("",)
    return (known.string,) if isinstance(known.string, str) else tuple(known.string)


def grouped(value: float, digits: int = 0) -> str:
    """`value`, not negative, as it is written in the language now spoken, thousands apart: `1,234.5`, `1.234,5`.

    Rounded as Python rounds, in every language alike.
    """
    return in_symbols(f"{value:,.{digits}f}")


def capitalised(text: str) -> str:
    """The text with a capital first letter: Turkish has two of `i`, and neither is `I`'s."""
    turkish = {"i": "İ", "ı": "I"} if spoken() == "tr" else {}
    return turkish.get(text[:1], text[:1].upper()) + text[1:]


def alphabetical(text: str) -> tuple[int, ...]:
    """A key that sorts as the alphabet of the language now spoken does; upper and lower case alike."""
    small = text.replace("I", "ı").replace("İ", "i").lower() if spoken() == "tr" else text.lower()
    alphabet = ALPHABETS.get(spoken(), "")
    return tuple(1000 + alphabet.index(c) if c in alphabet else ord(c) for c in small)


def in_symbols(text: str) -> str:
    """A number written by Python with the reader's decimal and grouping signs."""
    signs = {".": get_decimal_symbol(locale()), ",": get_group_symbol(locale())}
    return "".join(signs.get(character, character) for character in text)


def in_markup(message: str) -> Markup:
    """Like `_`, for templates: the message may hold tags, and what is filled in is escaped."""
    return Markup(_(message))  # noqa: S704  messages and catalogues are ours; `Markup.format` escapes what is not


def plural_in_markup(one: str, many: str, n: float) -> Markup:
    """Like `plural`, for templates."""
    return Markup(plural(one, many, n))  # noqa: S704


@cache
def _locale(language: str) -> Locale:
    return Locale.parse(language)


@cache
def _catalogue(language: str) -> Catalog:
    with (LOCALES / language / "LC_MESSAGES" / f"{DOMAIN}.po").open("rb") as file:
        return read_po(file, locale=language, domain=DOMAIN)
