"""Zip and tar archives: their members unpacked under numbers, so that no name in an archive says where anything goes.

Formats: ZIP (PKWARE APPNOTE 6.3, stored or deflated members) and tar (POSIX.1-1988 and -2001, GNU), plain or in gzip,
bzip2 or xz.
"""

import bz2
import gzip
import io
import lzma
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any, Final, cast

MAX_MEMBERS: Final = 200_000  # folders and nested archives counted
MAX_MEMBER_BYTES: Final = 4 * 2**30
MAX_TOTAL_BYTES: Final = 2**40
# What an archive may unpack to: this much, and so many times its own size. Empty masks deflate nearly a thousandfold,
# but no set of scans as a whole comes near it.
FREE_BYTES: Final = 256 * 2**20
MAX_RATIO: Final = 300
MAX_DEPTH: Final = 1  # an archive in an archive (a patient each) is unpacked, one in that is refused
MAX_NAME: Final = 1024
MAX_DIRECTORY_BYTES: Final = 64 * 2**20  # of a zip, which is parsed as a whole
MAX_XZ_BYTES: Final = 256 * 2**20  # memory of the xz decoder; its highest preset takes 65 MiB

EMPTY: Final = ("empty_archive", "no file in it that could be an image")  # of one that would vanish otherwise
_CHUNK: Final = 2**20
_HELD: Final = 2**24  # a tar header with its extensions, read at once
_BROKEN: Final = ("unreadable", "the archive is broken or cut short")
_NO_FILE: Final = ("not_a_file", "a link, a device or a sparse file")


@dataclass(frozen=True)
class Member:
    """One file of an archive: `path`, where it was written, or `refused`, a rule and a detail without any name.

    relative: its place in the archive, after that of the archive it is nested in; for memory only. Of a member whose
    name is unsafe, and of the archive itself, it is the number alone.
    """

    relative: PurePosixPath = field(repr=False)
    path: Path | None = None
    refused: tuple[str, str] | None = None


class _TooLarge(Exception):
    """The archive unpacks to more than its budget."""


class _Broken(Exception):
    """The archive cannot be read from here on."""


@dataclass(frozen=True)
class _Entry:
    """What an archive says of one member; `opened` gives its bytes, None for a folder."""

    name: str = field(repr=False)
    size: int
    refused: tuple[str, str] | None
    opened: Callable[[], IO[bytes]] | None


def is_archive(head: bytes, path: Path) -> bool:
    """Whether the file is an archive that `unpack` reads, by its content; `head` is its first 8 bytes or more.

    Office documents are zips by content and no archives of scans; a gzipped file that is no tar (NIfTI) is none.
    """
    if head.startswith((b"PK\3\4", b"PK\5\6")):
        return not _is_office(path)
    try:
        with closing(_inflated(path)) as stream:
            tarfile.TarInfo.frombuf(stream.read(512), "utf-8", "surrogateescape")
    except (OSError, EOFError, ValueError, tarfile.HeaderError, lzma.LZMAError, zlib.error):
        return False
    return True


def unpack(path: Path, into: Path) -> Iterator[Member]:
    """Unpack an archive under `into` (an empty folder) as files named by their number, one at a time, in its order.

    Folders and hidden files (names that start with a dot, `__MACOSX`) are passed over. Members come refused with:
    `unsafe_path` (absolute, with "..", a drive letter, a backslash or a control character), `not_a_file` (links,
    devices, sparse files), `encrypted`, `compression`, `nested_archive` (deeper than MAX_DEPTH), `too_large` (the
    limits above), `empty_archive` (one in this archive) and `unreadable`. An archive that breaks off or exceeds its
    budget ends with one such Member.
    """
    into.mkdir(parents=True, exist_ok=True)
    yield from _Unpacking(into, _budget(path)).unpack(path, PurePosixPath(), depth=0)


def _budget(path: Path) -> int:
    return min(MAX_TOTAL_BYTES, FREE_BYTES + MAX_RATIO * path.stat().st_size)


@dataclass
class _Unpacking:
    """What an archive and those nested in it share: the numbers of their files, and the bytes left to write."""

    into: Path
    left: int
    number: int = 0

    def unpack(self, path: Path, inside: PurePosixPath, *, depth: int) -> Iterator[Member]:
        zipped = _starts_as_zip(path)
        entries = _zip_entries(path) if zipped else _tar_entries(path, self.left)
        try:
            with closing(entries):
                yield from self._members(entries, inside, depth, go_on=zipped)
        except _TooLarge:
            yield self._refused(inside, ("too_large", "unpacks to more than is allowed; the rest is left out"))
        except _Broken:
            yield self._refused(inside, _BROKEN)

    def _members(
        self, entries: Iterator[_Entry], inside: PurePosixPath, depth: int, *, go_on: bool
    ) -> Iterator[Member]:
        while (entry := _next(entries)) is not None:
            self.number += 1
            if self.number > MAX_MEMBERS:
                raise _TooLarge
            try:
                yield from self._member(entry, inside, depth)
            except _Broken:
                if not go_on:  # a zip knows where the next member lies, a tar does not
                    raise
                yield self._refused(inside, _BROKEN)

    def _member(self, entry: _Entry, inside: PurePosixPath, depth: int) -> Iterator[Member]:
        relative = _safe(entry.name)
        if relative is None:
            yield self._refused(inside, ("unsafe_path", "a name that leads elsewhere, or is no plain name"))
        elif entry.opened is None or any(part.startswith(".") or part == "__MACOSX" for part in relative.parts):
            return
        elif entry.refused is not None:
            yield Member(inside / relative, refused=entry.refused)
        elif entry.size > MAX_MEMBER_BYTES:
            detail = f"{entry.size / 2**30:.1f} GiB, at most {MAX_MEMBER_BYTES / 2**30:g}"
            yield Member(inside / relative, refused=("too_large", detail))
        else:
            path = self._write(entry.opened)
            if not _is_archive_file(path):
                yield Member(inside / relative, path)
                return
            if depth < MAX_DEPTH:
                members = self.unpack(path, inside / relative, depth=depth + 1)
                first = next(members, Member(inside / relative, refused=EMPTY))
                yield first
                yield from members
            else:
                detail = f"an archive {depth + 1} archives deep, at most {MAX_DEPTH}"
                yield Member(inside / relative, refused=("nested_archive", detail))
            path.unlink()

    def _write(self, opened: Callable[[], IO[bytes]]) -> Path:
        """A member's bytes, a chunk at a time, as the next numbered file. Errors of this disk are not the archive's."""
        path = self.into / f"{self.number:06d}"
        try:
            with path.open("xb") as file, _reading(), closing(opened()) as stream:
                while chunk := stream.read(_CHUNK):
                    self.left -= len(chunk)
                    if self.left < 0:
                        raise _TooLarge
                    _write_out(file, chunk)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return path

    def _refused(self, inside: PurePosixPath, refused: tuple[str, str]) -> Member:
        return Member(inside / f"{self.number:06d}", refused=refused)


class _DiskError(Exception):
    """Carries an OSError of the file being written past `_reading`, which takes all others for the archive's."""


def _write_out(file: IO[bytes], chunk: bytes) -> None:
    try:
        file.write(chunk)
    except OSError as error:
        raise _DiskError from error


@contextmanager
def _reading() -> Iterator[None]:
    try:
        yield
    except _DiskError as error:
        raise cast(OSError, error.__cause__) from None
    except (_TooLarge, MemoryError):
        raise
    # zipfile, tarfile and the decoders raise whatever a broken archive makes them stumble over
    except Exception:
        raise _Broken from None


def _next(entries: Iterator[_Entry]) -> _Entry | None:
    with _reading():
        return next(entries, None)


def _safe(name: str) -> PurePosixPath | None:
    """The name as a place inside the archive; None where it leads elsewhere on any system, or hides what it is."""
    plain = name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    relative = PurePosixPath(plain)
    if not relative.parts or len(plain) > MAX_NAME or relative.is_absolute() or ".." in relative.parts:
        return None
    return None if re.search(r"[\\\x00-\x1f\x7f]|^[A-Za-z]:", plain) else relative


def _starts_as_zip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) in (b"PK\3\4", b"PK\5\6")


def _is_archive_file(path: Path) -> bool:
    with path.open("rb") as file:
        return is_archive(file.read(8), path)


def _is_office(path: Path) -> bool:
    """Whether the first member of a zip says that it is a document (OOXML, OpenDocument)."""
    with path.open("rb") as file:
        head = file.read(64)
    return head[30:].startswith((b"[Content_Types].xml", b"mimetype"))


def _zip_entries(path: Path) -> Generator[_Entry, None, None]:
    if _directory_bytes(path) > MAX_DIRECTORY_BYTES:
        raise _TooLarge
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            opened = None if info.is_dir() else partial(archive.open, info)
            yield _Entry(info.orig_filename, info.file_size, _zip_refusal(info), opened)


def _directory_bytes(path: Path) -> int:
    """What a zip says of the size of its directory, in the (ZIP64) end of central directory record."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 2**16 - 128))
        tail = file.read()
    at, wide = tail.rfind(b"PK\5\6"), tail.rfind(b"PK\6\6")
    size = int.from_bytes(tail[at + 12 : at + 16], "little") if at >= 0 else 0
    return int.from_bytes(tail[wide + 40 : wide + 48], "little") if size == 2**32 - 1 and wide >= 0 else size


def _zip_refusal(info: zipfile.ZipInfo) -> tuple[str, str] | None:
    kind = stat.S_IFMT(info.external_attr >> 16)  # 0 where the archive was not written on Unix
    if kind not in (0, stat.S_IFREG):
        return _NO_FILE
    if info.flag_bits & 1:
        return "encrypted", "a member locked with a password; unpack it first"
    # the decoders of the others take more memory than can be bounded
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "compression", f"compressed by method {info.compress_type}, want 0 (stored) or 8 (deflated)"
    return None


def _tar_entries(path: Path, limit: int) -> Generator[_Entry, None, None]:
    with closing(_inflated(path)) as stream:
        bounded = _Bounded(stream, limit)
        with tarfile.open(fileobj=cast(IO[bytes], bounded), mode="r:") as archive:
            while (info := archive.next()) is not None:
                archive.members.clear()  # type: ignore[attr-defined]  # or every header of a long archive is kept
                refused = None if info.isreg() and not info.issparse() else _NO_FILE
                opened = None if info.isdir() else partial(_member_of_tar, archive, info)
                yield _Entry(info.name, info.size, refused, opened)
            # tarfile takes a header that makes no sense for the end; the end is a block of zeros
            if len(bounded.last) < tarfile.BLOCKSIZE or any(bounded.last):
                raise _Broken
            while bounded.read(_CHUNK):  # to the end, where gzip and xz check their sums
                pass


def _member_of_tar(archive: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    stream = archive.extractfile(info)
    if stream is None:
        raise _Broken
    return stream


def _inflated(path: Path) -> IO[bytes]:
    with path.open("rb") as file:
        magic = file.read(6)
    if magic.startswith(b"\x1f\x8b"):
        return cast(IO[bytes], gzip.open(path))
    if magic.startswith(b"BZh"):
        return cast(IO[bytes], bz2.open(path))
    return cast(IO[bytes], io.BufferedReader(_Xz(path))) if magic == b"\xfd7zXZ\0" else path.open("rb")


class _Xz(io.RawIOBase):
    """One xz stream, inflated within MAX_XZ_BYTES of memory, which lzma.open cannot be told."""

    def __init__(self, path: Path) -> None:
        self._decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MAX_XZ_BYTES)
        self._file = path.open("rb")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = b""
        while not data and not self._decoder.eof:
            more = self._file.read(2**16) if self._decoder.needs_input else b""
            if self._decoder.needs_input and not more:
                raise EOFError
            data = self._decoder.decompress(more, len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()


class _Bounded:
    """A stream for tarfile that goes no further than `limit` and gives no more than _HELD at once.

    A tar header may ask for gigabytes to be held, and a small archive may inflate to any size, be it only skipped.
    """

    def __init__(self, stream: IO[bytes], limit: int) -> None:
        self._stream, self._limit, self._at = stream, limit, 0
        self.last = b""

    def read(self, size: int) -> bytes:
        if not 0 <= size <= _HELD or self._at + size > self._limit + _HELD:
            raise _TooLarge
        self.last = self._stream.read(size)
        self._at += len(self.last)
        return self.last

    def seek(self, to: int) -> int:
        if to > self._limit + _HELD:
            raise _TooLarge
        if to < self._at:
            raise _Broken
        while self._at < to and self.read(min(_CHUNK, to - self._at)):
            pass
        return self._at

    def tell(self) -> int:
        return self._at
