"""The page's scripts stand inside HTML as they are, and the policy names each by what a browser hashes."""

import base64
import hashlib

import pytest

from reports import scripts


def test_each_script_is_named_by_its_digest_and_nothing_else_may_run() -> None:
    one, other = (
        scripts.script(text="'use strict';\n"),
        scripts.script(text="alert('č')"),
    )
    digests = [base64.b64encode(hashlib.sha256(s.text.encode()).digest()).decode() for s in (one, other)]
    rules = dict(rule.split(" ", 1) for rule in scripts.policy([one, other]).split("; "))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert rules["script-src"] == f"'sha256-{digests[0]}' 'sha256-{digests[1]}'"
    assert rules["img-src"] == "data:"


def test_a_page_without_scripts_lets_none_run() -> None:
    assert "script-src 'none'" in scripts.policy([])


def test_lines_end_as_a_browser_reads_them() -> None:
    assert scripts.script(text="a;\r\nb;\rc;\n") == scripts.script(text="a;\nb;\nc;\n")


@pytest.mark.parametrize("held", ["</script>", "</SCRIPT >", "<!-- note", "'<script>'"])
def test_a_script_that_would_end_itself_is_refused(held: str) -> None:
    with pytest.raises(ValueError, match="must not hold"):
        scripts.script(text=f"f('{held}');")


def test_every_script_of_the_page_can_stand_inside_it() -> None:
    names = sorted(path.stem for path in scripts.TEMPLATES.glob("*.js"))
    assert "compare" in names
    assert [one.text for one in scripts.read(names)] == [
        (scripts.TEMPLATES / f"{name}.js").read_text(encoding="utf-8") for name in names
    ]


def test_a_script_that_is_not_there_is_no_silence() -> None:
    with pytest.raises(FileNotFoundError):
        scripts.read(["no_such_script"])
