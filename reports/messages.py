"""Bring the catalogues up to date with the messages in the code: `python -m reports.messages`, or `make messages`.

New messages come in without a translation, those that are gone leave, and the rest stay as they are.
"""

from io import BytesIO
from pathlib import Path
from typing import Final

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po, write_po

from reports.language import DOMAIN, LANGUAGES, LOCALES

REPORTS: Final = Path(__file__).parent
METHODS: Final = [("**.py", "python"), ("templates/**.html.j2", "jinja2.ext:babel_extract")]
OPTIONS: Final = {"templates/**.html.j2": {"trim_blocks": "true", "lstrip_blocks": "true", "silent": "false"}}
KEYWORDS: Final = {"_": None, "later": None, "plural": (1, 2), "pgettext": ((1, "c"), 2)}
KEPT_HEADERS: Final = ("Project-Id-Version", "Language:", "MIME-Version", "Content", "Plural-Forms")  # no day, no name


def extract() -> Catalog:
    """Every message of the reports, with the files that it stands in."""
    found = Catalog(project=DOMAIN, charset="utf-8")
    for name, line, message, comments, context in extract_from_dir(
        REPORTS, method_map=METHODS, options_map=OPTIONS, keywords=KEYWORDS
    ):
        found.add(message, None, [(f"reports/{name}", line)], auto_comments=comments, context=context)
    return found


def catalogue(language: str) -> Catalog:
    """What is translated into a language, as it lies in the repository."""
    with place(language).open("rb") as file:
        return read_po(file, locale=language, domain=DOMAIN)


def place(language: str) -> Path:
    """The catalogue's file."""
    return LOCALES / language / "LC_MESSAGES" / f"{DOMAIN}.po"


def write(translated: Catalog, language: str) -> None:
    """The catalogue whole, the same bytes for the same messages on any day."""
    for message in translated:
        message.flags.discard("python-format")  # a per cent sign before a word is no place to fill
        message.locations = [(name, 0) for name in sorted({name for name, _line in message.locations})]
    buffer = BytesIO()
    write_po(buffer, translated, width=120, include_lineno=False, ignore_obsolete=True, sort_by_file=True)
    lines = buffer.getvalue().decode().lstrip("\n").splitlines(keepends=True)
    head = next(i for i, line in enumerate(lines) if line == "\n")
    kept = [line for line in lines[:head] if line.startswith(("msg", *(f'"{name}' for name in KEPT_HEADERS)))]
    place(language).write_text("".join([*kept, *lines[head:]]), encoding="utf-8")


def main() -> None:
    """Update every catalogue."""
    found = extract()
    for language in LANGUAGES:
        if language != "en":
            translated = catalogue(language)
            translated.update(found, no_fuzzy_matching=True)
            write(translated, language)


if __name__ == "__main__":
    main()
