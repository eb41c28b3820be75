"""What was fetched from a remote source and is here already; and its URL as a message may show it."""

import hashlib
import os
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from data_contracts.violations import ContractError, Violation
from pipeline.run_dir import whole, write_bytes

Progress = Callable[[int, int], None]  # done, of how many


def shown(source: str) -> str:
    """The URL as a message may show it: without user, password, query and fragment, which may hold secrets or names."""
    return "::".join(_shown_link(link) for link in source.split("::"))


class Store:
    """A folder of fetched files and, in a hidden file beside it, which version of each is there; names as digests."""

    def __init__(self, into: Path, wanted: set[str]) -> None:
        """Keep of `into` only the files in `wanted`, posix paths below it."""
        self.into = into
        self._list = into.with_name(f".{into.name}.fetched")
        self._lock = threading.Lock()
        lines = self._list.read_text("ascii", "replace").splitlines() if self._list.exists() else []
        pairs = (line.split() for line in lines if re.fullmatch(r"[0-9a-f]{32} [0-9a-f]{32}", line))  # a torn one not
        self._versions = dict(pairs)
        write_bytes(self._list, "".join(f"{n} {v}\n" for n, v in self._versions.items()).encode())
        for folder, _, names in os.walk(into, topdown=False):
            here = Path(folder)
            for name in names:
                if (here / name).relative_to(into).as_posix() not in wanted:
                    (here / name).unlink()
            if here != into and not any(here.iterdir()):
                here.rmdir()

    def has(self, relative: str, version: str) -> bool:
        """Whether the file is there in this version."""
        return self._versions.get(_digest(relative)) == _digest(version) and (self.into / relative).is_file()

    @contextmanager
    def writing(self, relative: str, version: str) -> Iterator[Path]:
        """Give a path to write the file to; it takes its place when the block ends well. For many threads at once."""
        path = self.into / relative
        path.unlink(missing_ok=True)  # first, so that a crash never leaves one version listed as another
        with whole(path) as part:
            yield part
            with self._lock, self._list.open("a") as file:
                file.write(f"{_digest(relative)} {_digest(version)}\n")


def require_room(size: int, into: Path) -> None:
    """Raise ContractError `disk_full` where `size` bytes more do not fit beside what is there."""
    free = shutil.disk_usage(into).free
    if size > free:
        detail = f"{size / 1e9:.1f} GB are to be fetched and {free / 1e9:.1f} GB are free; make room"
        raise ContractError([Violation("source", "disk_full", detail)])


def _shown_link(link: str) -> str:
    scheme, mark, rest = link.partition("://")
    if not mark:
        return link if link.isalnum() else "..."
    plain = re.split(r"[?#]", rest, maxsplit=1)[0]
    if "@" in rest and "@" not in plain and ":" in plain:
        return f"{scheme}://..."  # a password with a question mark in it, perhaps
    return f"{scheme}://{plain.rpartition('@')[2]}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
