"""Numbers by first appearance, and the way back for the owner of the data."""

from pathlib import Path

import pytest

from data_contracts.violations import ContractError
from pipeline.scans.deidentify import file_record, locate, number


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
