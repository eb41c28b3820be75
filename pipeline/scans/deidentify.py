"""Pseudonyms. Nothing of a source's names goes further than this.

Without a key, things are numbered in the order they are met: files are `file-0117`, the 117th of the sorted listing.
With a key, a subject's name follows from who it is (HMAC-SHA-256, RFC 2104), so that two ingests agree on it, and
only who holds the key can tell which patient it is, by trying the patients there are.
"""

import hashlib
import hmac
import os
import re
import secrets
import unicodedata
from collections.abc import Hashable, Iterable
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NoReturn
from uuid import UUID

from data_contracts.violations import ContractError, Violation
from pipeline.scans.sources import list_source

KEY_VARIABLE: Final = "AUGMENT_MRI_KEY"
KEY_BYTES: Final = 32  # as long as the digest: a longer key is no stronger (RFC 2104, section 3)
LONGEST_SHIFT_DAYS: Final = 3650


def file_record(number: int) -> str:
    """Name of the `number`-th file of a listing, counted from 1."""
    return f"file-{number:04d}"


def number(keys: Iterable[Hashable], prefix: str) -> list[str]:
    """`prefix-0001` for the first key and all equal to it, `prefix-0002` for the next new one, and so on."""
    numbers: dict[Hashable, int] = {}
    return [f"{prefix}-{numbers.setdefault(key, len(numbers) + 1):04d}" for key in keys]


def locate(source: Path, record: str, *, layout: str = "auto") -> Path:
    """Path of `file-0117` or of the slice `file-0117-z042`, so that the owner of the data can find a refused file.

    A member of an archive is named below it, `batch.zip/yes/1.png`. Source and layout must be those of the ingest.
    Raises ContractError where there is no such file.
    """
    found = re.fullmatch(r"file-(\d{4,})(-s\d+)?(-z\d+)?", record)
    with TemporaryDirectory(prefix="augment-mri-locate-") as scratch:
        candidates = list_source(source, layout=layout, scratch=Path(scratch)).candidates
        if found is None or not 1 <= int(found[1]) <= len(candidates):
            want = f"want file-0001 to {file_record(len(candidates))}"
            raise ContractError([Violation(record, "unknown_record", want)])
        candidate = candidates[int(found[1]) - 1]
        if candidate.path.is_relative_to(scratch):
            return (source if source.is_dir() else source.parent) / candidate.relative
        return candidate.path


class Pseudonyms:
    """Names, identifiers and dates that stand in for real ones; the same key gives the same ones, anywhere.

    Each kind has a domain of its own, so a patient and a folder of the same name do not betray each other. The key
    is shown by no repr, and an object that holds it refuses to be pickled: a cache or a log of a flow must not
    come to hold it. Raises ContractError `key_too_short` below KEY_BYTES.
    """

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        if len(key) < KEY_BYTES:
            raise _key_error("key_too_short", f"{len(key)} bytes, want {KEY_BYTES} or more")
        self._key = key

    def __reduce__(self) -> NoReturn:
        raise TypeError("pseudonyms hold a key, which is written nowhere")

    def subject(self, raw: str) -> str:
        """`subject-` and 16 hexadecimal digits for a patient's identifier.

        64 bits: among a million patients two share a name once in 37 million studies.
        """
        return f"subject-{self._digest('subject', plain_identifier(raw)).hex()[:16]}"

    def folder(self, raw: str) -> str:
        """`folder-` and 16 hexadecimal digits for the name of a folder or file, which may hold an id or a date."""
        return f"folder-{self._digest('folder', plain_identifier(raw)).hex()[:16]}"

    def uid(self, raw: str) -> str:
        """A DICOM unique identifier of the form 2.25.<UUID> (PS3.5, B.2); equal ones stay equal."""
        name = self._digest("uid", raw.strip(" \0"))  # padding is not part of an identifier (PS3.5, 9.1)
        # to who lacks the key the digest is random, which is what version 4 says
        return f"2.25.{UUID(bytes=name[:16], version=4).int}"

    def shift_days(self, subject: str) -> int:
        """Days in 1 to LONGEST_SHIFT_DAYS by which the dates of the patient with this raw identifier move back."""
        return 1 + int.from_bytes(self._digest("date", plain_identifier(subject))[:8]) % LONGEST_SHIFT_DAYS

    def date(self, day: date, *, subject: str) -> date:
        """`day` moved into the past; the days between two dates of one subject stay as they are.

        subject: the raw identifier. Raises OverflowError where the year would be before 1.
        """
        return day - timedelta(days=self.shift_days(subject))

    def _digest(self, domain: str, text: str) -> bytes:
        # names of files may hold bytes that are no text; they count as they are
        message = f"{domain}\0{text}".encode(errors="surrogatepass")
        return hmac.digest(self._key, message, hashlib.sha256)


def plain_identifier(raw: str) -> str:
    """An identifier without what systems change in passing: padding, letter case, the coding of an accent.

    Two spellings of one patient on both sides of a split would leak; two patients taken for one only lose a split.
    What is plain stays as it is, so that who is linked as one is also named as one.
    """
    text = raw.replace("\0", " ")
    for _ in range(2):  # folding the case takes some accents apart, in an order of its own
        text = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    return text


def new_key() -> str:
    """A new key as text, 64 hexadecimal digits from the system's source of randomness: for `write_new_key`."""
    return secrets.token_hex(KEY_BYTES)


def write_new_key(file: Path) -> None:
    """Write a new key that only its owner may read.

    Raises ContractError `key_exists`: without the old key, the old names could never be made again.
    """
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise _key_error("key_exists", "the file for the new key is there already; give another name") from None
    with os.fdopen(handle, "w") as opened:
        opened.write(new_key() + "\n")


def read_key(file: Path | None) -> bytes | None:
    """The key in `file`, else in the variable AUGMENT_MRI_KEY, as hexadecimal digits; None where neither is given.

    Raises ContractError: `key_unreadable`, `key_exposed` (everybody may read the file), `key_malformed`,
    `key_too_short`. None of them repeats anything of the key.
    """
    if file is None:
        text = os.environ.get(KEY_VARIABLE, "")
        return _parse_key(text) if text.strip() else None
    try:
        exposed = os.name == "posix" and file.stat().st_mode & 0o007  # elsewhere the mode says nothing
        text = "" if exposed else file.read_text(encoding="ascii")
    except OSError as error:
        raise _key_error("key_unreadable", f"the key file: {os.strerror(error.errno or 0)}") from None
    except UnicodeDecodeError:
        raise _key_error("key_unreadable", "the key file cannot be read as text") from None
    if exposed:
        advice = f"close it to others (chmod o-rwx), or give the key in {KEY_VARIABLE}"
        raise _key_error("key_exposed", f"every user of this machine may open the key file: {advice}")
    return _parse_key(text)


def _parse_key(text: str) -> bytes:
    try:
        key = bytes.fromhex(text)
    except ValueError:
        raise _key_error("key_malformed", f"want {2 * KEY_BYTES} hexadecimal digits or more") from None
    if len(key) < KEY_BYTES:
        raise _key_error("key_too_short", f"{2 * len(key)} hexadecimal digits, want {2 * KEY_BYTES} or more")
    return key


def _key_error(rule: str, detail: str) -> ContractError:
    return ContractError([Violation("key", rule, detail)])
