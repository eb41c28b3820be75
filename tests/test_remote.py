"""Sources on an S3 server of this machine: moto's, started in a thread on a free loopback port by the module's fixture.

It is stopped at the end. Credentials are invented and the environment says where the server is, as a user's would.
"""

import functools
import http.server
import io
import itertools
import os
import socket
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import fsspec
import numpy as np
import pytest
from moto.server import ThreadedMotoServer
from PIL import Image

from data_contracts.violations import ContractError
from pipeline.run_dir import RunDir
from pipeline.scans import remote
from pipeline.scans.ingest import ingest
from pipeline.scans.inputs import IngestConfig
from pipeline.scans.phantom import PhantomConfig, phantom

KEY, SECRET = "AKIA5551234SECRETID", "wJalr/secret+of+nobody"
TREE = {
    "yes/p1/1.png": b"one",
    "yes/p1/1_mask.png": b"mask of one",
    "yes/p2/scan.nii.gz": bytes(range(256)) * 8192,  # 2 MiB: more than one chunk
    "no/Müller 3/2 (copy).png": b"two",
    "participants.tsv": b"participant_id\tdiagnosis\n",
    "no/empty.png": b"",
}

BUCKETS = itertools.count()

Put = Callable[..., None]


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("AWS_", "FSSPEC_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")  # never ask the network who we are
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@functools.cache  # since it takes longer to make than to use
def clients(endpoint: str) -> Any:
    return boto3.client("s3", endpoint_url=endpoint)


@pytest.fixture
def put(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Put:
    """Put objects into a bucket of this test's own; `put.url` is where."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    client = clients(endpoint)
    bucket = f"bucket-{next(BUCKETS)}"
    client.create_bucket(Bucket=bucket)

    def put(objects: dict[str, bytes], *, below: str = "study/") -> None:
        for key, data in objects.items():
            client.put_object(Bucket=bucket, Key=below + key, Body=data)

    put.url = f"s3://{bucket}/study"  # type: ignore[attr-defined]  # a function that knows its bucket
    put.client, put.bucket = client, bucket  # type: ignore[attr-defined]
    return put


def files(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def refused(source: str, tmp_path: Path) -> str:
    """The text of a refusal: one line and no credentials; no file is written."""
    with pytest.raises(ContractError) as caught:
        remote.fetch(source, into=tmp_path / "scratch" / "refused")
    text = str(caught.value)
    assert "\n" not in text
    assert KEY not in text
    assert SECRET not in text
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    return text


@pytest.mark.parametrize(
    ("source", "is_one"),
    [
        ("s3://bucket/prefix", True),
        ("S3://bucket", True),
        ("memory://x", True),
        ("file:///tmp/x", True),
        ("zip://*.png::https://host/x.zip", True),
        ("dicomweb+https://host/dicom-web?PatientID=1", True),
        ("/data/brain", False),
        ("data:2024/brain", False),
        ("s3:/bucket", False),
        ("scans", False),
    ],
)
def test_a_url_is_told_from_a_path(source: str, is_one: bool) -> None:
    assert remote.is_remote(source) is is_one


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("s3://bucket/a/b", "s3://bucket/a/b"),
        ("https://me:pass@host:8042/x?token=abc#frag", "https://host:8042/x"),
        ("ftp://me:pa/ss@host/x", "ftp://host/x"),
        ("ftp://me:pa@ss@host/x", "ftp://host/x"),
        ("https://me:pa?ss@host/x", "https://..."),
        ("https://me:pa#ss@host/x", "https://..."),
        ("zip://a::https://me:pass@host/x.zip?sig=abc", "zip://a::https://host/x.zip"),
        ("dicomweb+http://host/dicom-web?PatientName=Doe^Jane", "dicomweb+http://host/dicom-web"),
    ],
)
def test_what_is_shown_holds_no_secret(source: str, text: str) -> None:
    assert remote.shown(source) == text


def test_a_tree_comes_as_it_lies_there(put: Put, tmp_path: Path) -> None:
    put({**TREE, "folder/": b""})
    put({"x": b"of another"}, below="study-2/")
    seen: list[tuple[int, int]] = []
    into = remote.fetch(put.url, into=tmp_path / "in", progress=lambda done, total: seen.append((done, total)))
    assert into == tmp_path / "in"
    assert files(into) == TREE
    assert seen == [(done, len(TREE)) for done in range(1, len(TREE) + 1)]
    assert remote.fetch(put.url + "/", into=tmp_path / "again") == tmp_path / "again"  # a slash says nothing
    assert files(tmp_path / "again") == TREE


def test_one_object_comes_as_one_file(put: Put, tmp_path: Path) -> None:
    put(TREE)
    path = remote.fetch(f"{put.url}/yes/p2/scan.nii.gz", into=tmp_path / "in")
    assert path == tmp_path / "in" / "scan.nii.gz"
    assert path.read_bytes() == TREE["yes/p2/scan.nii.gz"]


def test_the_fingerprint_changes_with_the_objects_and_not_otherwise(put: Put) -> None:
    put(TREE)
    prints = [remote.fingerprint(put.url)]
    assert remote.fingerprint(put.url) == prints[0]
    put({"yes/p1/1.png": b"one"})  # the same bytes once more, later
    assert remote.fingerprint(put.url) == prints[0]
    put({"yes/p1/1.png": b"ONE"})  # as long as before
    prints.append(remote.fingerprint(put.url))
    put({"yes/p1/new.png": b"new"})
    prints.append(remote.fingerprint(put.url))
    put.client.delete_object(Bucket=put.bucket, Key="study/no/empty.png")
    prints.append(remote.fingerprint(put.url))
    assert len(set(prints)) == 4


def test_resuming_fetches_what_is_missing_or_changed(put: Put, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(TREE)
    into = remote.fetch(put.url, into=tmp_path / "in")
    (into / "yes" / "p1" / "1.png").unlink()
    (into / "gone").mkdir()
    (into / "gone" / "3.png").write_bytes(b"no longer there")
    (into / ".1.png.77.part.png").write_bytes(b"of a fetch that was killed")
    put({"no/empty.png": b"no more"})
    fetched = []
    download = remote._download
    monkeypatch.setattr(remote, "_download", lambda fs, o, store: (fetched.append(o.relative), download(fs, o, store)))
    seen: list[tuple[int, int]] = []
    remote.fetch(put.url, into=into, progress=lambda done, total: seen.append((done, total)))
    assert sorted(fetched) == ["no/empty.png", "yes/p1/1.png"]
    assert seen == [(5, 6), (6, 6)]
    assert files(into) == {**TREE, "no/empty.png": b"no more"}
    assert not (into / "gone").exists()


def test_a_fetch_that_breaks_off_is_resumed(put: Put, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(TREE)

    class Interrupted(BaseException):
        pass

    def interrupt(done: int, total: int) -> None:
        if done == 2:
            raise Interrupted

    monkeypatch.setattr(remote, "_AT_ONCE", 1)
    with pytest.raises(Interrupted):
        remote.fetch(put.url, into=tmp_path / "in", progress=interrupt)
    here = files(tmp_path / "in")
    assert here.items() < TREE.items()  # each whole or absent
    assert len(here) >= 2
    seen: list[int] = []
    remote.fetch(put.url, into=tmp_path / "in", progress=lambda done, total: seen.append(done))
    assert seen == list(range(len(here) + 1, len(TREE) + 1))
    assert files(tmp_path / "in") == TREE


def test_a_list_of_versions_torn_by_a_crash_is_not_believed(put: Put, tmp_path: Path) -> None:
    put(TREE)
    into = remote.fetch(put.url, into=tmp_path / "in")
    versions = tmp_path / ".in.fetched"
    versions.write_bytes(versions.read_bytes()[:-20])
    (into / "yes" / "p1" / "1.png").write_bytes(b"kept, since it is listed")
    seen: list[int] = []
    remote.fetch(put.url, into=into, progress=lambda done, total: seen.append(done))
    assert seen == [6]  # one line was torn, one file fetched
    assert b"p1" not in versions.read_bytes()  # digests, not names


HOSTILE = {
    "../../x": "unsafe_name",
    "a/../../../x": "unsafe_name",
    "a//b": "unsafe_name",
    "/abs": "unsafe_name",
    "a/./b": "unsafe_name",
    "..": "unsafe_name",
    "..\\x": "unsafe_name",
    "C:x": "unsafe_name",
    "full/": "unsafe_name",  # with bytes in it, so no mere sign of a folder
    "a" * 300: "unsafe_name",
    "a." + "b" * 100: "unsafe_name",
    "yes/p2": "name_collision",  # a file where others have a folder
    "yes/P1/1.PNG": "name_collision",
}


def test_names_that_cannot_be_files_here_stop_everything(put: Put, tmp_path: Path) -> None:
    put({**TREE, **dict.fromkeys(HOSTILE, b"hostile")})
    with pytest.raises(ContractError) as caught:
        remote.fetch(put.url, into=tmp_path / "deep" / "down" / "in")
    rules = sorted(violation.rule for violation in caught.value.violations)
    assert rules == sorted([*HOSTILE.values(), "name_collision"])  # of two that collide, each is named
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    for violation in caught.value.violations:
        assert violation.record.startswith("object-0")
        assert not any(key in str(violation) for key in HOSTILE if len(key) > 2)


@pytest.mark.parametrize("key", HOSTILE)
def test_each_such_name_alone_stops_everything(key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"/hostile/{name}" for name in (*TREE, key)]
    listed = {name: {"name": name, "size": 1, "type": "file", "mtime": 1} for name in names}
    monkeypatch.setattr("fsspec.implementations.memory.MemoryFileSystem.find", lambda *_, **__: listed)
    assert HOSTILE[key] in refused("memory://hostile", tmp_path)


@pytest.mark.parametrize("part", ["a\nb", "a\0b", "\x7f", "\ud800", "", ".", "..", "a\\b", "c:"])
def test_a_part_that_is_no_name(part: str) -> None:
    assert remote._fault(part) is not None


@pytest.mark.parametrize("part", ["a", ".a", "...", "2024-01-01T10:00.dcm", "Bild\u202fä 1.png", "a..b", "x" * 200])
def test_a_part_that_is_a_name(part: str) -> None:
    assert remote._fault(part) is None


def test_refusals_say_what_to_do(put: Put, tmp_path: Path, endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    put(TREE)
    assert "not_found" in refused("s3://no-such-bucket-here/x", tmp_path)
    assert "not_found" in refused("s3://Not A Bucket/x", tmp_path)
    assert "not_found" in refused(f"{put.url}/nothing", tmp_path)
    put({"folder/": b""})
    assert "empty" in refused(f"{put.url}/folder", tmp_path)
    with pytest.raises(ContractError, match="not_found"):
        remote.fingerprint(f"{put.url}/nothing")
    assert "unknown_protocol" in refused("s4://bucket/x", tmp_path)
    assert "Please install gcsfs" in refused("gs://bucket/x", tmp_path)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        nobody = f"127.0.0.1:{unused.getsockname()[1]}"
        assert "no_connection" in refused(f"http://user:{KEY}@{nobody}/x.zip", tmp_path)
        assert "no_connection" in refused(f"ftp://user:{KEY}@{nobody}/x", tmp_path)
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{nobody}")
        assert "no_connection" in refused(put.url, tmp_path)
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    assert "AWS_ACCESS_KEY_ID" in refused(put.url, tmp_path)


def test_access_that_is_denied_is_called_that(put: Put, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(TREE)
    monkeypatch.setattr("moto.settings.INITIAL_NO_AUTH_ACTION_COUNT", 0)  # moto checks the credentials from now on
    monkeypatch.setattr("moto.core.responses.ActionAuthenticatorMixin.request_count", 0)
    text = refused(put.url, tmp_path)
    assert "access_denied" in text


def test_a_source_larger_than_the_disk_is_refused(put: Put, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(TREE)
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 2**20})())
    with pytest.raises(ContractError, match="disk_full"):
        remote.fetch(put.url, into=tmp_path / "in")
    assert files(tmp_path / "in") == {}


def zipped(tree: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in tree.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def test_an_archive_in_a_bucket_opens_as_a_folder(put: Put, tmp_path: Path) -> None:
    put({"all.zip": zipped(TREE)})
    source = f"zip://::{put.url}/all.zip"
    assert files(remote.fetch(source, into=tmp_path / "in")) == TREE
    assert remote.fingerprint(source) == remote.fingerprint(source)
    put({"all.zip": zipped({**TREE, "../../../x": b"hostile"})})
    (tmp_path / "other").mkdir()
    assert "unsafe_name" in refused(source, tmp_path / "other")


def test_other_protocols_give_the_same_tree(tmp_path: Path) -> None:
    memory: Any = fsspec.filesystem("memory")
    (tmp_path / "there").mkdir()
    for name, data in TREE.items():
        memory.pipe(f"/remote-test/{name}", data)
        path = tmp_path / "there" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    try:
        for i, source in enumerate(["memory://remote-test", f"file://{tmp_path / 'there'}"]):
            assert files(remote.fetch(source, into=tmp_path / f"in-{i}")) == TREE
            assert remote.fingerprint(source) == remote.fingerprint(source)
    finally:
        memory.rm("/remote-test", recursive=True)


def test_one_file_of_the_web_is_fetched(tmp_path: Path) -> None:
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "my scans.zip").write_bytes(zipped(TREE))

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def send_head(self) -> Any:
            return self.send_error(401) if "locked" in self.path else super().send_head()

        def log_message(self, *_: object) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(tmp_path / "www"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            base = f"http://127.0.0.1:{server.server_port}"
            path = remote.fetch(f"{base}/my%20scans.zip?token=1", into=tmp_path / "in")
            before = remote.fingerprint(f"{base}/my%20scans.zip")
            assert remote.fingerprint(f"{base}/my%20scans.zip") == before
            os.utime(tmp_path / "www" / "my scans.zip", (10**9, 10**9))
            assert remote.fingerprint(f"{base}/my%20scans.zip") != before
            with pytest.raises(ContractError, match="not_found"):
                remote.fetch(f"{base}/nothing.zip", into=tmp_path / "nothing")
            with pytest.raises(ContractError, match="access_denied"):
                remote.fetch(f"{base}/locked.zip", into=tmp_path / "locked")
            with pytest.raises(ContractError, match="give the address of one archive"):
                remote.fetch(f"{base}/", into=tmp_path / "listing")
        finally:
            server.shutdown()
            thread.join()
    assert path == tmp_path / "in" / "my scans.zip"
    assert path.read_bytes() == (tmp_path / "www" / "my scans.zip").read_bytes()


def test_local_use_imports_no_client_of_a_remote_protocol() -> None:
    remote_only = "{'s3fs', 'aiohttp', 'dicomweb_client', 'requests'}"
    code = f"import pipeline.scans.remote, sys; print(*{remote_only} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stdout.strip() == ""


def test_a_dataset_comes_of_a_bucket_and_is_known_again(put: Put, tmp_path: Path) -> None:
    objects = {}
    for seed in range(4):
        head = phantom(rng=np.random.default_rng(seed), tumour=seed % 2 == 0, config=PhantomConfig()).voxels[12]
        buffer = io.BytesIO()
        Image.fromarray(np.clip(head / head.max() * 255, 0, 255).astype(np.uint8)).save(buffer, "PNG")
        objects[f"{('yes', 'no')[seed % 2]}/jane-doe-{seed}.png"] = buffer.getvalue()
    put(objects)
    out = RunDir(tmp_path / "out")
    record = ingest(source=put.url, out=out, config=IngestConfig(), seed=0)
    assert (record.files_found, record.slices_used) == (4, 4)
    assert not out.scratch.exists()
    assert not [path for path in out.root.rglob("*") if path.is_file() and b"jane" in path.read_bytes()]
    before = out.manifest.stat().st_mtime_ns
    assert ingest(source=put.url, out=out, config=IngestConfig(), seed=0) == record
    assert out.manifest.stat().st_mtime_ns == before
    put({"yes/another.png": objects["yes/jane-doe-0.png"]})
    assert ingest(source=put.url, out=out, config=IngestConfig(), seed=0).exact_duplicates == 1
