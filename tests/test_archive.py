"""Archives: what is inside comes out, nothing else happens, and nothing is written anywhere else."""

import gzip
import io
import lzma
import stat
import struct
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import numpy as np
import pytest

from pipeline.formats import archive
from pipeline.formats.archive import Member, is_archive, unpack

FILES = {f"patient-{n}/scan {n}.dat": np.random.default_rng(n).bytes(1000 * n) for n in range(1, 4)}
UNSAFE = (
    "../evil", "a/../../evil", "/etc/evil", "C:/evil", "c:evil", "..\\evil", "a\\b", "\\\\host\\evil", "a\x00b", "a\nb",
)  # fmt: skip


def zipped(path: Path, files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as writer:
        for name, data in files.items():
            writer.writestr(zipfile.ZipInfo(name), data, compress_type=method)
    return path


def tarred(path: Path, files: dict[str, bytes], mode: str = "w", form: int = tarfile.PAX_FORMAT) -> Path:
    with tarfile.open(path, mode, format=form) as writer:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            writer.addfile(info, io.BytesIO(data))
    return path


KINDS: dict[str, Callable[[Path, dict[str, bytes]], Path]] = {
    "stored": lambda path, files: zipped(path, files, zipfile.ZIP_STORED),
    "zip": zipped,
    "tar": tarred,
    "tar_old": lambda path, files: tarred(path, files, "w", tarfile.USTAR_FORMAT),
    "tar_gnu": lambda path, files: tarred(path, files, "w", tarfile.GNU_FORMAT),
    "tar_gz": lambda path, files: tarred(path, files, "w:gz"),
    "tar_bz2": lambda path, files: tarred(path, files, "w:bz2"),
    "tar_xz": lambda path, files: tarred(path, files, "w:xz"),
}


def unpacked(path: Path) -> list[Member]:
    """All members, once it is certain that nothing but their files was written, and under numbers alone."""
    beside = set(path.parent.rglob("*"))
    into = path.parent / "into"
    members = list(unpack(path, into))
    written = {member.path for member in members if member.path is not None}
    assert set(path.parent.rglob("*")) - beside == written | {into}
    assert all(member.path.parent == into and member.path.name.isdigit() for member in members if member.path)
    assert all((member.path is None) == (member.refused is not None) for member in members)
    return members


def rules(members: list[Member]) -> list[str | None]:
    return [member.refused[0] if member.refused else None for member in members]


def looks_like_archive(path: Path) -> bool:
    return is_archive(path.read_bytes()[:132], path)


@pytest.mark.parametrize("kind", list(KINDS))
def test_what_is_inside_comes_out(tmp_path: Path, kind: str) -> None:
    path = KINDS[kind](tmp_path / "x", FILES | {"deep/" * 30 + "last": b"end", "empty": b""})
    assert looks_like_archive(path)
    members = unpacked(path)
    read = {member.relative.as_posix(): member.path.read_bytes() for member in members}
    assert read == FILES | {"deep/" * 30 + "last": b"end", "empty": b""}
    assert [member.path.name for member in members] == ["000001", "000002", "000003", "000004", "000005"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"words",
        bytes(10240),
        gzip.compress(bytes(348) + b"n+1\0" + bytes(1000)),  # NIfTI
        gzip.compress(b"words"),
        lzma.compress(b"words"),
        bytes(128) + b"DICM" + bytes(600),
        b"\x1f\x8b\x08\x00broken",
        b"BZh9broken",
    ],
)
def test_other_files_are_no_archives(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.tar").write_bytes(content)
    assert not looks_like_archive(tmp_path / "x.tar")


def test_documents_that_are_zips_are_no_archives(tmp_path: Path) -> None:
    assert not looks_like_archive(zipped(tmp_path / "x.xlsx", {"[Content_Types].xml": b"", "xl/workbook.xml": b""}))
    assert not looks_like_archive(zipped(tmp_path / "x.ods", {"mimetype": b"", "content.xml": b""}))
    assert looks_like_archive(zipped(tmp_path / "x", {"scan": b"", "[Content_Types].xml": b""}))


# a tar name ends at its first zero byte
@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind in ("zip", "tar") for name in UNSAFE if kind == "zip" or "\0" not in name]
)
def test_names_that_lead_elsewhere_are_refused(tmp_path: Path, kind: str, name: str) -> None:
    place = "a/b/c" if kind == "zip" else name
    path = KINDS[kind](tmp_path / "x", {"good": b"1", place: b"evil", "also good": b"2"})
    if kind == "zip":  # the writer would mend the name
        raw = name.encode().ljust(5, b"_") if len(name) <= 5 else name.encode()
        path = zipped(tmp_path / "x", {"good": b"1", "#" * len(raw): b"evil", "also good": b"2"})
        path.write_bytes(path.read_bytes().replace(b"#" * len(raw), raw))
    members = unpacked(path)
    assert rules(members) == [None, "unsafe_path", None]
    assert [member.relative.as_posix() for member in members] == ["good", "000002", "also good"]
    assert "evil" not in repr(members[1])


def test_places_are_plain_and_stay_out_of_texts(tmp_path: Path) -> None:
    members = unpacked(tarred(tmp_path / "x", {"./Doe_Jane//scan/./1": b"1", "\udcff": b"2"}))
    assert [member.relative for member in members] == [PurePosixPath("Doe_Jane/scan/1"), PurePosixPath("\ufffd")]
    assert "Doe" not in repr(members)


@pytest.mark.parametrize("kind", ["zip", "tar_gz"])
def test_folders_and_hidden_files_are_passed_over(tmp_path: Path, kind: str) -> None:
    hidden = {".DS_Store": b"1", "a/.hidden/x": b"2", "__MACOSX/a/._x": b"3"}
    assert [member.relative.name for member in unpacked(KINDS[kind](tmp_path / "x", hidden | {"a/x": b"4"}))] == ["x"]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_of_a_tar_are_no_files(tmp_path: Path, kind: bytes) -> None:
    with tarfile.open(tmp_path / "x", "w") as writer:
        info = tarfile.TarInfo("link")
        info.type, info.linkname = kind, "/etc/passwd"
        writer.addfile(info)
        writer.addfile(tarfile.TarInfo("good"))
    assert rules(unpacked(tmp_path / "x")) == ["not_a_file", None]


def test_links_locked_and_odd_members_of_a_zip_are_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link")
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "x", "w") as writer:
        writer.writestr(link, "/etc/passwd")
        writer.writestr("locked", b"secret")
        writer.writestr("odd", b"12" * 100, compress_type=zipfile.ZIP_BZIP2)
        writer.writestr("good", b"1")
    data = bytearray((tmp_path / "x").read_bytes())
    at = data.index(b"PK\1\2", data.index(b"PK\1\2") + 4)  # the second entry of the directory
    data[at + 8] |= 1
    (tmp_path / "x").write_bytes(data)
    assert rules(unpacked(tmp_path / "x")) == ["not_a_file", "encrypted", "compression", None]


@pytest.mark.parametrize("kind", ["zip", "tar_gz", "tar_bz2", "tar_xz"])
def test_bombs_end_an_archive_and_take_no_memory(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "FREE_BYTES", 2**22)
    monkeypatch.setattr(archive, "MAX_RATIO", 10)
    path = KINDS[kind](tmp_path / "x", {"good": b"1", "bomb": bytes(2**25), "after": b"2"})
    tracemalloc.start()
    try:
        members = unpacked(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert rules(members) == [None, "too_large"]
    assert peak < 2**24


def test_a_bomb_that_would_only_be_skipped_is_not_inflated_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "FREE_BYTES", 2**20)
    monkeypatch.setattr(archive, "MAX_RATIO", 10)
    monkeypatch.setattr(archive, "_HELD", 2**20)
    assert rules(unpacked(tarred(tmp_path / "x", {".hidden": bytes(2**24), "after": b"2"}, "w:gz"))) == ["too_large"]


def test_a_header_that_asks_for_gigabytes_is_refused(tmp_path: Path) -> None:
    info = tarfile.TarInfo("x")
    info.size, info.type = 2**32, tarfile.GNUTYPE_LONGNAME
    start = tarred(tmp_path / "x", {"good": b"1"}).read_bytes()[:1024]
    (tmp_path / "x").write_bytes(gzip.compress(start + info.tobuf(tarfile.GNU_FORMAT) + bytes(2**20)))
    assert rules(unpacked(tmp_path / "x")) == [None, "too_large"]


def test_too_many_and_too_large_members_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_MEMBER_BYTES", 100)
    path = zipped(tmp_path / "x", {"a": b"1", "b": bytes(101), "c": b"3", "d": b"4"})
    assert rules(list(unpack(path, tmp_path / "one"))) == [None, "too_large", None, None]
    monkeypatch.setattr(archive, "MAX_MEMBERS", 3)
    assert rules(list(unpack(path, tmp_path / "two"))) == [None, "too_large", None, "too_large"]
    monkeypatch.setattr(archive, "MAX_DIRECTORY_BYTES", 100)
    assert rules(list(unpack(path, tmp_path / "three"))) == ["too_large"]


def test_the_size_of_a_directory_is_found_in_wide_zips_too(tmp_path: Path) -> None:
    path = zipped(tmp_path / "x", {"a": b"1"})
    plain = path.read_bytes()
    end = plain.index(b"PK\5\6")
    wide = struct.pack("<4sQHHIIQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, 2**40, 0)
    path.write_bytes(plain[:end] + wide + plain[end : end + 12] + b"\xff" * 4 + plain[end + 16 :])
    assert rules(unpacked(path)) == ["too_large"]


def test_an_archive_in_an_archive_is_unpacked_and_one_in_that_refused(tmp_path: Path) -> None:
    inmost = tarred(tmp_path / "1", {"scan": b"1"}, "w:gz").read_bytes()
    inner = zipped(tmp_path / "2", {"b": b"2", "inmost.tgz": inmost}).read_bytes()
    members = unpacked(tarred(tmp_path / "3", {"a": b"3", "jane/inner": inner, "c": b"4"}))
    assert rules(members) == [None, None, "nested_archive", None]
    assert [member.relative.as_posix() for member in members] == ["a", "jane/inner/b", "jane/inner/inmost.tgz", "c"]


@pytest.mark.parametrize("files", [{}, {"folder/": b""}, {".DS_Store": b"1", "__MACOSX/a": b"2"}])
def test_an_empty_archive_in_an_archive_does_not_vanish(tmp_path: Path, files: dict[str, bytes]) -> None:
    inner = zipped(tmp_path / "1", files).read_bytes()
    members = unpacked(zipped(tmp_path / "2", {"a": b"3", "jane": inner, "c": b"4"}))
    assert rules(members) == [None, "empty_archive", None]
    assert [member.relative.as_posix() for member in members] == ["a", "jane", "c"]


@pytest.mark.parametrize("kind", ["tar", "tar_gz", "tar_bz2", "tar_xz"])
def test_a_tar_cut_short_says_so_after_what_could_be_read(tmp_path: Path, kind: str) -> None:
    path = KINDS[kind](tmp_path / "x", FILES)
    whole = path.read_bytes()
    for share in (0.1, 0.3, 0.6):
        path.write_bytes(whole[: int(len(whole) * share)])
        members = list(unpack(path, tmp_path / f"into-{share}"))
        assert rules(members)[-1] == "unreadable"
        for member in members[:-1]:
            assert member.path.read_bytes() == FILES[member.relative.as_posix()]
    if kind == "tar":  # cut between two members, and a header turned into nonsense, which tarfile takes for the end
        second = whole.index(b"patient-2")
        for name, broken in {"cut": whole[:second], "odd": whole[:second] + b"?" * 512 + whole[second + 512 :]}.items():
            path.write_bytes(broken)
            assert rules(list(unpack(path, tmp_path / name))) == [None, "unreadable"]


def test_a_broken_member_of_a_zip_costs_only_itself(tmp_path: Path) -> None:
    path = zipped(tmp_path / "x", FILES, zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    data[data.index(FILES["patient-2/scan 2.dat"]) + 5] ^= 1
    path.write_bytes(data)
    assert rules(unpacked(path)) == [None, "unreadable", None]
    path.write_bytes(data[:-30])
    assert rules(list(unpack(path, tmp_path / "again"))) == ["unreadable"]


def test_a_full_disk_is_not_the_archives_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(file: object, chunk: bytes) -> None:
        raise archive._DiskError from OSError(28, "No space left on device")

    monkeypatch.setattr(archive, "_write_out", full)
    with pytest.raises(OSError, match="No space"):
        list(unpack(zipped(tmp_path / "x", FILES), tmp_path / "into"))
    assert not list((tmp_path / "into").iterdir())


@pytest.mark.parametrize("kind", list(KINDS))
def test_mutated_archives_only_ever_refuse(tmp_path: Path, kind: str) -> None:
    whole = KINDS[kind](tmp_path / "good", {"a/b": b"abc" * 300, "c": bytes(700), "d": b"1"}).read_bytes()
    rng = np.random.default_rng(5)
    found = set()
    for seed in range(150):
        data = bytearray(whole)
        for at in rng.integers(0, len(data), rng.integers(1, 6)):
            data[at] = rng.integers(256)
        if seed % 4 == 0:
            del data[rng.integers(len(data)) :]
        path = tmp_path / "x"
        path.write_bytes(data)
        is_archive(bytes(data[:132]), path)
        into = tmp_path / f"into-{seed}"
        members = list(unpack(path, into))
        assert sorted(into.iterdir()) == sorted(member.path for member in members if member.path)
        assert all(file.stat().st_size < 2**20 for file in into.iterdir())
        found |= set(rules(members))
    assert {None, "unreadable"} <= found
