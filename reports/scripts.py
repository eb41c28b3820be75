"""The page's few plain scripts, and the policy that lets a browser run these and no other.

A script stands inline in a file of its own, `templates/NAME.js`. The policy names each by the SHA-256 of its text
(Content Security Policy Level 3, W3C, section 2.3.1), so that no text of a run can become a script of the page.
"""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

TEMPLATES: Final = Path(__file__).parent / "templates"
ENDS_A_SCRIPT: Final = (
    "</script",
    "<script",
    "<!--",
)  # in any case; each makes HTML read a script otherwise than it is


@dataclass(frozen=True)
class Script:
    """The text of one script, to stand between its tags with nothing added, and its source expression."""

    text: str
    digest: str


def read(names: Sequence[str]) -> tuple[Script, ...]:
    """The scripts of these names, in this order: `read(["compare"])` is `templates/compare.js`.

    Raises FileNotFoundError for a name that has no file, ValueError for a text that cannot stand inside HTML.
    """
    return tuple(script(text=(TEMPLATES / f"{name}.js").read_text(encoding="utf-8")) for name in names)


def script(*, text: str) -> Script:
    """A script with the digest of the bytes that a browser will hash: UTF-8, lines ended as HTML ends them."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    found = [ending for ending in ENDS_A_SCRIPT if ending in text.lower()]
    if found:
        raise ValueError(f"a script must not hold {found[0]}: write it as '\\x3C{found[0][1:]}'")
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return Script(text, f"'sha256-{digest}'")


def policy(scripts: Sequence[Script]) -> str:
    """The page's content security policy: its own pictures and style, these scripts, and nothing from elsewhere."""
    allowed = " ".join(one.digest for one in scripts) or "'none'"
    return (
        f"default-src 'none'; script-src {allowed}; img-src data:; style-src 'unsafe-inline'; "
        "base-uri 'none'; form-action 'none'"
    )
