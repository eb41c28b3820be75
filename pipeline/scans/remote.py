"""Sources that lie elsewhere, brought to this machine: any fsspec URL here, a PACS by DICOMweb in `pacs`.

Names of objects are read here and go no further: errors number them. A URL is shown without credentials and query.
"""

import errno
import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

from fsspec import available_protocols  # type: ignore[import-untyped]  # fsspec ships no types
from fsspec.core import url_to_fs  # type: ignore[import-untyped]  # fsspec ships no types

from data_contracts.violations import ContractError, Violation, require
from pipeline.scans.fetched import Progress, Store, require_room, shown

__all__ = ["fetch", "fingerprint", "is_remote", "shown"]

_URL: Final = re.compile(r"(?:[a-z][a-z0-9+.-]*::)*[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_AT_ONCE: Final = 8  # downloads side by side, where the protocol's library can do that
_CHUNK: Final = 2**20
_LONGEST_NAME: Final = 200  # bytes; file systems take 255, and the name of an unfinished file is longer
# what servers say of a version, the surest first: S3, GCS and the web, zip, then times of change
_VERSIONS: Final = (
    "ETag", "etag", "md5Hash", "content_md5", "Content-MD5", "generation", "CRC", "LastModified", "Last-Modified",
    "last_modified", "last_write_time", "mtime", "modify", "created",
)  # fmt: skip
_SILENT_SERVER: Final = "no answer; check the network, the proxy and, for S3, AWS_ENDPOINT_URL"
_NO_ACCESS: Final = "access denied; check the credentials in the environment and what they may read"
_NO_CREDENTIALS: Final = (
    "no credentials in the environment; for S3 set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, "
    """or for a public bucket FSSPEC_S3='{"anon": true}'"""
)
# by class names, since each protocol's library has errors of its own and none need be installed; first match wins
_REASONS: Final = (
    (
        {"FileNotFoundError", "ParamValidationError"},
        "not_found",
        "no such bucket, folder or file; check the name",
    ),
    ({"PermissionError"}, "access_denied", _NO_ACCESS),
    (
        {"NoCredentialsError", "PartialCredentialsError", "ProfileNotFound", "DefaultCredentialsError"},
        "no_credentials",
        _NO_CREDENTIALS,
    ),
    (
        {"ConnectionError", "TimeoutError", "gaierror", "ClientConnectionError", "HTTPClientError"},
        "no_connection",
        _SILENT_SERVER,
    ),
    ({"BadZipFile", "ReadError"}, "damaged", "the archive is damaged; fetch it anew from where it was made"),
)


def is_remote(source: str) -> bool:
    """Whether `source` is a URL (s3://, https://, file://, zip://::s3://, dicomweb+https://) and not a local path."""
    return _URL.match(source) is not None


def fetch(source: str, *, into: Path, progress: Progress | None = None) -> Path:
    """Bring all files below `source` into the folder `into`, laid out as there; return it, or the one file in it.

    source: any URL fsspec knows, for which the package of its protocol must be installed (s3fs for s3://), or
    dicomweb+http(s):// as in `pacs`. A web URL is one file, such as an archive, since a web page lists none.
    Credentials come from the environment, as each library reads them: for S3 AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY,
    AWS_SESSION_TOKEN, AWS_PROFILE, AWS_ENDPOINT_URL; options of any protocol from FSSPEC_<PROTOCOL> as JSON.
    into: belongs to this function, with a list of versions beside it; what is not of the source is removed, what is
    here in the same version stays, each file is whole or absent. Calling again resumes. progress(done, total) counts
    files. Raises ContractError where the source cannot be read, is empty, does not fit on the disk, or where names
    collide or cannot be names of files below a folder; then nothing has been fetched.
    """
    if _is_dicomweb(source):
        with _explained(source):
            from pipeline.scans import pacs  # noqa: PLC0415 (whoever reads local files needs no client of a PACS)

            return pacs.fetch(source, into=into, progress=progress)
    into.mkdir(parents=True, exist_ok=True)
    with _explained(source):
        fs, objects, single = _listing(source)
        store = Store(into, {o.relative for o in objects})
        missing = [o for o in objects if not (o.version and store.has(o.relative, o.stamp))]
        require_room(sum(o.size or 0 for o in missing), into)
        done = len(objects) - len(missing)
        for count in _download_all(fs, missing, store):
            if progress is not None:
                progress(done + count, len(objects))
    return into / objects[0].relative if single else into


def fingerprint(source: str) -> str:
    """Hex SHA-256 over sorted names, sizes and versions (ETag, checksum or time of change) of all files of `source`.

    Nothing is downloaded, except where a server tells no version: then the bytes are hashed as they stream by. Raises
    ContractError as `fetch` does.
    """
    if _is_dicomweb(source):
        with _explained(source):
            from pipeline.scans import pacs  # noqa: PLC0415 (as above)

            return pacs.fingerprint(source)
    digest = hashlib.sha256()
    with _explained(source):
        fs, objects, _ = _listing(source)
        for o in objects:
            version = o.version or _content(fs, o)
            for part in (o.relative, str(o.size), version):
                digest.update(f"{len(part)}:{part}".encode())  # with lengths, so that no two lists read the same
    return digest.hexdigest()


@dataclass(frozen=True)
class _Object:
    """One file of the source: what its server calls it, its posix path below the source, bytes, version or ""."""

    name: str = field(repr=False)
    relative: str = field(repr=False)
    size: int | None
    version: str

    @property
    def stamp(self) -> str:
        return f"{self.size} {self.version}"


def _is_dicomweb(source: str) -> bool:
    return source.lower().startswith("dicomweb+")


@contextmanager
def _explained(source: str) -> Iterator[None]:
    """Turn whatever a protocol's library raises into one ContractError; its own text may hold keys and addresses."""
    try:
        yield
    except ContractError:
        raise
    except Exception as error:
        rule, advice = _reason(error)
        raise ContractError([Violation("source", rule, f"{shown(source)}: {advice}")]) from None


def _reason(error: BaseException) -> tuple[str, str]:
    """Rule and advice; from the cause of the cause first, since a refused connection may end as a file not found."""
    if isinstance(error, ImportError):
        return "package_missing", f"a package is missing: {' '.join(str(error).split())}"  # names modules only
    if error.__cause__ is not None and not (deeper := _reason(error.__cause__))[0].startswith("unreadable"):
        return deeper
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return "disk_full", "the disk is full; make room and start again"
    if getattr(error, "status", None) in {401, 403}:
        return "access_denied", _NO_ACCESS
    names = {kind.__name__ for kind in type(error).__mro__}
    for kinds, rule, advice in _REASONS:
        if kinds & names:
            return rule, advice
    return "unreadable_source", f"it could not be read ({type(error).__name__})"


def _listing(source: str) -> tuple[Any, list[_Object], bool]:
    """The file system, all files sorted by their path, and whether the source itself is one file."""
    _require_known(source)
    web = re.match(r"https?://", source, re.IGNORECASE) is not None
    fs, root = url_to_fs(source, skip_instance_cache=True, **_patience(source))
    found = {} if web else fs.find(root, detail=True)
    single = found.keys() <= {root}
    if single:
        info = fs.info(root)  # which raises what `find` may have passed over in silence
        path = unquote(re.split(r"[?#]", root, maxsplit=1)[0]) if web else root
        objects = [_object(root, info, relative=path.rpartition("/")[2])] if info["type"] == "file" else []
    else:
        base = root.rstrip("/")
        below = ((name, name.removeprefix(base).removeprefix("/")) for name in found)
        objects = [_object(name, found[name], relative=relative) for name, relative in below]
        # an empty object whose name ends in a slash stands for a folder
        objects = [o for o in objects if o.size or not (o.relative == "" or o.relative.endswith("/"))]
    if not objects or (web and not objects[0].relative):
        detail = f"{shown(source)}: no file there; check the name, and of a web page give the address of one archive"
        raise ContractError([Violation("source", "empty", detail)])
    require(_unsafe(objects))
    return fs, sorted(objects, key=lambda o: o.relative), single


def _require_known(source: str) -> None:
    if not {link.partition("://")[0].lower() for link in source.split("::")} <= set(available_protocols()):
        detail = f"{shown(source)}: no such kind of URL; some are s3://, gs://, https:// and dicomweb+https://"
        raise ContractError([Violation("source", "unknown_protocol", detail)])


def _patience(source: str) -> dict[str, Any]:
    """Options for the web: a file may take as long as it flows, where the client's own limit is five minutes."""
    schemes = [scheme for scheme in ("http", "https") if f"{scheme}://" in source.lower()]
    if not schemes or _is_dicomweb(source):
        return {}
    from aiohttp import ClientTimeout  # noqa: PLC0415 (only whoever reads from the web needs it)

    timeout = ClientTimeout(total=None, sock_connect=30, sock_read=60)
    return {scheme: {"client_kwargs": {"timeout": timeout}} for scheme in schemes}


def _object(name: str, info: dict[str, Any], *, relative: str) -> _Object:
    version = next((f"{key}={info[key]}" for key in _VERSIONS if info.get(key) not in (None, "")), "")
    return _Object(name, relative, info.get("size"), version)


def _unsafe(objects: Sequence[_Object]) -> list[Violation]:
    """What keeps names from being files below a folder on any disk, one violation an object, by its number."""
    folded = [unicodedata.normalize("NFC", o.relative).casefold() for o in objects]
    times = Counter(folded)
    folders = {name[: match.start()] for name in times for match in re.finditer("/", name)}
    violations = []
    for i, (o, name) in enumerate(zip(objects, folded, strict=True), start=1):
        fault = next((fault for part in o.relative.split("/") if (fault := _fault(part))), None)
        if fault is not None:
            violations.append(Violation(f"object-{i:04d}", "unsafe_name", f"{fault}; rename it at the source"))
        elif times[name] > 1 or name in folders:
            detail = "its name is that of another file or folder, perhaps but for capitals; rename one at the source"
            violations.append(Violation(f"object-{i:04d}", "name_collision", detail))
    return violations


def _fault(part: str) -> str | None:
    """Why one part of a path cannot be a name, or None."""
    if part in {"", ".", ".."}:
        return "a part of its path is empty or made of dots"
    if "\\" in part or re.match("[A-Za-z]:", part) or any(unicodedata.category(c) in {"Cc", "Cs"} for c in part):
        return "its name holds a backslash, a drive or a control character"
    if len(part.encode()) > _LONGEST_NAME or len(Path(part).suffix) > 32:
        return f"a part of its path is longer than {_LONGEST_NAME} bytes, or its extension than 32"
    return None


def _download_all(fs: Any, objects: Sequence[_Object], store: Store) -> Iterator[int]:
    """Fetch all, some side by side, and yield how many are here after each."""
    with ThreadPoolExecutor(_AT_ONCE if fs.async_impl else 1) as pool:
        futures = [pool.submit(_download, fs, o, store) for o in objects]
        try:
            for done, future in enumerate(as_completed(futures), start=1):
                future.result()
                yield done
        finally:
            pool.shutdown(cancel_futures=True)  # after an error nothing more is begun


def _download(fs: Any, o: _Object, store: Store) -> None:
    with store.writing(o.relative, o.stamp) as part:
        fs.get_file(o.name, str(part))
        if o.size is not None and part.stat().st_size != o.size:
            detail = "a file changed while it was fetched; start again when the source is at rest"
            raise ContractError([Violation("source", "changed", detail)])


def _content(fs: Any, o: _Object) -> str:
    with fs.open(o.name, "rb") as file:
        digest = hashlib.sha256()
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
