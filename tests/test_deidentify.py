"""Numbers by first appearance and the way back for the owner of the data; keyed names, and the key that is kept."""

import os
import pickle
import re
import zipfile
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from data_contracts.violations import ContractError
from pipeline.scans.deidentify import (
    KEY_VARIABLE,
    LONGEST_SHIFT_DAYS,
    Pseudonyms,
    file_record,
    locate,
    new_key,
    number,
    plain_identifier,
    read_key,
    write_new_key,
)

KEY, OTHER = bytes(range(32)), bytes(range(1, 33))


def test_numbers_go_by_first_appearance() -> None:
    assert number(["z", "a", "z", None], "subject") == ["subject-0001", "subject-0002", "subject-0001", "subject-0003"]
    assert file_record(117) == "file-0117"
    assert file_record(12345) == "file-12345"


def test_the_owner_finds_a_file_again(tmp_path: Path) -> None:
    for name in ("b/doe.png", "a/9.png", "a/10.png", "a/notes.txt", ".hidden.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert locate(tmp_path, "file-0001") == tmp_path / "a" / "10.png"
    assert locate(tmp_path, "file-0003-z042") == tmp_path / "b" / "doe.png"
    for record in ("file-0000", "file-0004", "doe.png", "subject-0001"):
        with pytest.raises(ContractError) as refused:
            locate(tmp_path, record)
        assert "b/doe" not in str(refused.value)


def test_the_owner_finds_a_member_of_an_archive(tmp_path: Path) -> None:
    (tmp_path / "9.png").touch()
    with zipfile.ZipFile(tmp_path / "10.zip", "w") as archive:
        archive.writestr("yes/1.png", b"\x89PNG")
    assert locate(tmp_path, "file-0001") == tmp_path / "10.zip" / "yes" / "1.png"
    assert locate(tmp_path, "file-0002") == tmp_path / "9.png"


def test_the_same_key_gives_the_same_names_and_another_key_others() -> None:
    first, again, other = Pseudonyms(KEY), Pseudonyms(KEY), Pseudonyms(OTHER)
    for name in ("subject", "folder", "uid"):
        assert getattr(first, name)("TCGA_CS_4941_19960909") == getattr(again, name)("TCGA_CS_4941_19960909")
        assert getattr(first, name)("TCGA_CS_4941_19960909") != getattr(other, name)("TCGA_CS_4941_19960909")
    # HMAC-SHA-256 of "subject", a zero byte and "doe", as openssl dgst computes it
    assert first.subject("Doe") == "subject-7b3f34a5544dafc3"


def test_names_have_the_form_that_contracts_want() -> None:
    names = Pseudonyms(KEY)
    assert re.fullmatch(r"subject-[0-9a-f]{16}", names.subject("Zoë\udcff"))
    assert re.fullmatch(r"folder-[0-9a-f]{16}", names.folder("Zoë"))
    uid = names.uid("1.2.3")
    assert re.fullmatch(r"2\.25\.[1-9]\d*", uid)
    assert len(uid) <= 64
    assert len({names.subject(str(i)) for i in range(2000)}) == 2000


def test_what_a_name_is_of_does_not_show() -> None:
    names = Pseudonyms(KEY)
    assert names.subject("doe").split("-")[1] != names.folder("doe").split("-")[1]


def test_a_patient_spelt_in_two_ways_is_one() -> None:
    names = Pseudonyms(KEY)
    spellings = ("Zoë Doe", " zoë  doe ", "ZOE\u0308 DOE\0", "Zoë Doe")
    assert len({names.subject(spelling) for spelling in spellings}) == 1
    assert len({names.shift_days(spelling) for spelling in spellings}) == 1
    assert names.subject("Zoe Doe") != names.subject("Zoë Doe")
    assert names.uid("1.2.3\0") == names.uid("1.2.3 ") == names.uid("1.2.3")


def test_what_is_plain_stays_as_it_is() -> None:
    marks = "\u0345\u0301\u0308\u0323\u03b1\u1fb4\u0130\u00df\ufb03 \0A"  # folding some of them changes others' order
    rng = np.random.default_rng(0)
    spellings = ["".join(rng.choice(list(marks), size=5)) for _ in range(5000)] + [" \0 "]
    for plain in map(plain_identifier, spellings):
        assert plain_identifier(plain) == plain
    assert plain_identifier(" \0 ") == ""


def test_dates_keep_their_intervals_within_a_subject_only() -> None:
    names = Pseudonyms(KEY)
    before, after = date(1996, 2, 28), date(1996, 3, 1)
    assert names.date(after, subject="a") - names.date(before, subject="a") == after - before
    shifts = {names.shift_days(str(i)) for i in range(500)}
    assert len(shifts) > 400
    assert 1 <= min(shifts) < 100 < LONGEST_SHIFT_DAYS - 100 < max(shifts) <= LONGEST_SHIFT_DAYS
    assert names.date(after, subject="a") != Pseudonyms(OTHER).date(after, subject="a")


def test_the_key_is_shown_and_kept_nowhere() -> None:
    key = b"SECRET-" * 5
    names = Pseudonyms(key)
    assert "SECRET" not in f"{names!r} {names}"
    with pytest.raises(TypeError, match="written nowhere") as refused:
        pickle.dumps(names)
    assert "SECRET" not in str(refused.value)


def test_a_new_key_is_read_back_and_never_written_over(tmp_path: Path) -> None:
    file = tmp_path / "key"
    write_new_key(file)
    key = read_key(file)
    assert key is not None
    assert len(key) == 32
    assert file.stat().st_mode & 0o077 == 0
    with pytest.raises(ContractError, match="key_exists"):
        write_new_key(file)
    assert read_key(file) == key
    assert new_key() != new_key()


def test_the_key_comes_from_the_file_or_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    assert read_key(None) is None
    monkeypatch.setenv(KEY_VARIABLE, f" {KEY.hex()}\n")
    assert read_key(None) == KEY
    file = tmp_path / "key"
    file.write_text(OTHER.hex())
    file.chmod(0o600)
    assert read_key(file) == OTHER


@pytest.mark.parametrize(
    ("content", "mode", "rule"),
    [
        (b"5ec2e7" * 5, 0o600, "key_too_short"),
        (b"", 0o600, "key_too_short"),
        (b"5ec2e7" * 11 + b"xyz", 0o600, "key_malformed"),
        (b"\xff\xfe" * 40, 0o600, "key_unreadable"),
        (b"5ec2e7" * 11, 0o604, "key_exposed"),
    ],
)
def test_a_bad_key_file_is_refused_without_its_content(tmp_path: Path, content: bytes, mode: int, rule: str) -> None:
    file = tmp_path / "key"
    file.write_bytes(content)
    file.chmod(mode)
    with pytest.raises(ContractError, match=rule) as refused:
        read_key(file)
    assert "5ec2e7" not in str(refused.value)


def test_a_missing_key_file_and_a_short_variable_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ContractError, match="key_unreadable"):
        read_key(tmp_path / "none")
    monkeypatch.setenv(KEY_VARIABLE, "5ec2e7")
    with pytest.raises(ContractError, match="key_too_short") as refused:
        read_key(None)
    assert "5ec2e7" not in str(refused.value)
    with pytest.raises(ContractError, match="key_too_short"):
        Pseudonyms(os.urandom(31))
