"""A real PACS on this machine: Orthanc with its DICOMweb plugin (Debian packages orthanc and orthanc-dicomweb).

The module's fixture starts /usr/sbin/Orthanc with a configuration and a database of its own in a temporary folder: HTTP
on a free port that answers this machine only, a registered user, no DICOM port. Phantom series are uploaded by REST. It
is stopped at the end, whatever happens; two tests start another: one whose lists are cut short, one to ingest from.
"""

import hashlib
import json
import logging
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pydicom
import pytest
import requests
from numpy.typing import NDArray
from pydicom.uid import CTImageStorage, RLELossless, generate_uid

from data_contracts.violations import ContractError
from pipeline.formats.dicom_write import write_series
from pipeline.run_dir import RunDir
from pipeline.scans import pacs, remote
from pipeline.scans.ingest import ingest
from pipeline.scans.inputs import IngestConfig
from pipeline.scans.labels import LabelConfig
from pipeline.scans.phantom import PhantomConfig, phantom

ORTHANC = Path("/usr/sbin/Orthanc")
PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
USER, PASSWORD = "researcher", "correct-horse-7391"
SUBJECTS = {f"secret-patient-{i}": i for i in range(5)}  # five studies, more than two pages

pytestmark = pytest.mark.skipif(
    not (ORTHANC.exists() and PLUGIN.exists()),
    reason="no Orthanc here: apt-get install orthanc orthanc-dicomweb",
)


def volume(seed: int) -> NDArray[np.uint16]:
    return np.random.default_rng(seed).integers(0, 4096, (3, 16, 12), dtype=np.uint16)


@dataclass(frozen=True)
class Server:
    url: str  # of DICOMweb, as a source
    rest: str


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def upload(rest: str, folder: Path) -> None:
    """Five MR studies of three slices; the first also has a CT series, and a sixth study is CT alone."""
    for subject, seed in SUBJECTS.items():
        sequence = "FLAIR" if seed % 2 else "T1"
        write_series(
            folder / str(seed), volume(seed), spacing=(5, 1, 1), subject_id=subject, sequence=sequence, uid_seed=seed
        )
    for path in (folder / "4").iterdir():  # one series is stored compressed
        data = pydicom.dcmread(path)
        data.compress(RLELossless, generate_instance_uid=False)
        data.save_as(path)
    for name, subject, of in (("ct-beside", "secret-patient-0", 0), ("ct-alone", "secret-patient-9", 99)):
        write_series(folder / name, volume(9), spacing=(5, 1, 1), subject_id=subject, sequence="unknown", uid_seed=of)
        series = generate_uid(entropy_srcs=[name])
        for path in (folder / name).iterdir():
            data = pydicom.dcmread(path)
            data.Modality, data.SeriesInstanceUID, data.SOPClassUID = "CT", series, CTImageStorage
            data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = generate_uid(
                entropy_srcs=[name, path.name]
            )
            data.file_meta.MediaStorageSOPClassUID = CTImageStorage
            data.save_as(path)
    send(rest, folder)


def send(rest: str, folder: Path) -> None:
    for path in sorted(folder.rglob("*.dcm")):
        answer = requests.post(f"{rest}/instances", data=path.read_bytes(), auth=(USER, PASSWORD), timeout=10)
        answer.raise_for_status()


@contextmanager
def orthanc(home: Path, **options: int) -> Iterator[str]:
    """Its address, while it runs. It keeps nothing that is wanted, so it is killed in the end."""
    port = free_port()
    config = {
        "StorageDirectory": str(home / "db"),
        "IndexDirectory": str(home / "db"),
        "HttpPort": port,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": True,
        "RegisteredUsers": {USER: PASSWORD},
        "DicomServerEnabled": False,
        "Plugins": [str(PLUGIN)],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        **options,
    }
    (home / "orthanc.json").write_text(json.dumps(config))
    with (home / "log").open("wb") as log:
        process = subprocess.Popen([ORTHANC, home / "orthanc.json"], stdout=log, stderr=subprocess.STDOUT)  # noqa: S603
    try:
        wait_until_up(process, f"http://127.0.0.1:{port}", home / "log")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("orthanc")
    with orthanc(home) as rest:
        upload(rest, home / "upload")
        yield Server(url=f"dicomweb+{rest}/dicom-web", rest=rest)


def wait_until_up(process: "subprocess.Popen[bytes]", rest: str, log: Path) -> None:
    for _ in range(150):
        assert process.poll() is None, log.read_text()
        try:
            requests.get(f"{rest}/system", auth=(USER, PASSWORD), timeout=5).raise_for_status()
        except requests.ConnectionError:
            time.sleep(0.1)
        else:
            return
    pytest.fail(f"Orthanc did not start: {log.read_text()}")


@pytest.fixture(autouse=True)
def login(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUGMENT_MRI_DICOMWEB_USER", USER)
    monkeypatch.setenv("AUGMENT_MRI_DICOMWEB_PASSWORD", PASSWORD)
    monkeypatch.delenv("AUGMENT_MRI_DICOMWEB_TOKEN", raising=False)


@pytest.fixture(autouse=True, scope="module")
def no_proxy() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_PROXY", "127.0.0.1")  # which a server on this machine is not behind
        yield


def pixels(folder: Path) -> set[bytes]:
    """Each series of a folder as the bytes of its slices in order."""
    series = []
    for place in sorted(p for p in folder.iterdir() if p.is_dir()):
        slices = sorted((pydicom.dcmread(path) for path in place.iterdir()), key=lambda d: int(d.InstanceNumber))
        series.append(np.stack([d.pixel_array for d in slices]).tobytes())
    assert len(set(series)) == len(series)
    return set(series)


def refused(source: str, tmp_path: Path) -> str:
    """The rule and text of the one violation, which names no patient and no secret; nothing is left behind."""
    with pytest.raises(ContractError) as caught:
        remote.fetch(source, into=tmp_path / "refused")
    with pytest.raises(ContractError) as again:
        remote.fingerprint(source)
    assert str(caught.value) == str(again.value)
    text = str(caught.value)
    assert "\n" not in text
    for secret in (*SUBJECTS, PASSWORD, "no-such-token", "another-password"):
        assert secret not in text
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    return text


def test_what_was_uploaded_comes_back_with_equal_pixels(server: Server, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    into = remote.fetch(server.url, into=tmp_path / "in", progress=lambda done, total: seen.append((done, total)))
    assert into == tmp_path / "in"
    assert pixels(into) == {volume(seed).tobytes() for seed in SUBJECTS.values()}  # all five studies: paging; no CT
    assert seen == [(done, 15) for done in range(1, 16)]
    names = sorted(path.relative_to(into).as_posix() for path in into.rglob("*") if path.is_file())
    assert names == [f"{n:06d}/{m:06d}.dcm" for n in range(1, 6) for m in range(1, 4)]  # numbers, no identifier
    assert sorted(path.name for path in tmp_path.iterdir()) == [".in.fetched", "in"]  # no unfinished file


def test_an_instance_comes_as_it_is_stored(server: Server, tmp_path: Path) -> None:
    into = remote.fetch(f"{server.url}?PatientID=secret-patient-4", into=tmp_path / "in")
    sent = {
        uid: requests.get(f"{server.rest}/instances/{uid}/file", auth=(USER, PASSWORD), timeout=10).content
        for uid in requests.get(f"{server.rest}/instances", auth=(USER, PASSWORD), timeout=10).json()
    }
    digests = {hashlib.sha256(content).hexdigest() for content in sent.values()}
    assert {hashlib.sha256(path.read_bytes()).hexdigest() for path in into.rglob("*.dcm")} < digests
    assert pydicom.dcmread(into / "000001" / "000001.dcm").file_meta.TransferSyntaxUID == RLELossless


@pytest.mark.parametrize(
    ("query", "seeds"),
    [
        ("PatientID=secret-patient-3", {3}),
        ("PatientID=secret-patient-*", {0, 1, 2, 3, 4}),
        ("SeriesDescription=FLAIR", {1, 3}),
        ("00100020=secret-patient-4&Modality=MR", {4}),
    ],
)
def test_filters_choose(
    server: Server, tmp_path: Path, query: str, seeds: set[int], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    into = remote.fetch(f"{server.url}?{query}", into=tmp_path / "in")
    assert pixels(into) == {volume(seed).tobytes() for seed in seeds}
    assert caplog.text == ""  # no address, which would name the patient


def test_resuming_asks_only_for_series_that_lack_something(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    into = remote.fetch(server.url, into=tmp_path / "in")
    first = {path: path.read_bytes() for path in into.rglob("*.dcm")}
    (into / "000002" / "000001.dcm").unlink()
    (into / "stranger.dcm").write_bytes(b"of an earlier source")
    kept = (into / "000002" / "000002.dcm").stat().st_mtime_ns
    asked = []
    iter_series = pacs.DICOMwebClient.iter_series
    monkeypatch.setattr(
        pacs.DICOMwebClient, "iter_series", lambda *a, **k: (asked.append(a[1:]), iter_series(*a, **k))[1]
    )
    remote.fetch(server.url, into=into)
    assert len(asked) == 1
    assert {path: path.read_bytes() for path in into.rglob("*.dcm")} == first
    assert (into / "000002" / "000002.dcm").stat().st_mtime_ns == kept


def test_the_fingerprint_follows_the_instances(server: Server, tmp_path: Path) -> None:
    one = f"{server.url}?PatientID=secret-patient-*"
    before = remote.fingerprint(one)
    assert remote.fingerprint(one) == before == remote.fingerprint(server.url)
    assert remote.fingerprint(f"{server.url}?PatientID=secret-patient-1") != before
    write_series(
        tmp_path / "new", volume(7), spacing=(5, 1, 1), subject_id="secret-patient-7", sequence="T1", uid_seed=7
    )
    path = next((tmp_path / "new").iterdir())
    answer = requests.post(f"{server.rest}/instances", data=path.read_bytes(), auth=(USER, PASSWORD), timeout=10).json()
    try:
        assert remote.fingerprint(one) != before
    finally:
        requests.delete(f"{server.rest}{answer['Path']}", auth=(USER, PASSWORD), timeout=10).raise_for_status()
    assert remote.fingerprint(one) == before


def test_refusals_say_what_to_do(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "no_mr_series" in refused(f"{server.url}?PatientID=secret-patient-0&StudyDate=19000101", tmp_path)
    assert "0 studies match" in refused(f"{server.url}?PatientName=secret-patient-11", tmp_path)
    assert "no_mr_series" in refused(f"{server.url}?PatientID=ct&ModalitiesInStudy=CT", tmp_path)
    assert "bad_filter" in refused(f"{server.url}?limit=1", tmp_path)
    assert "not_found" in refused(server.url.replace("dicom-web", "elsewhere"), tmp_path)
    monkeypatch.setenv("AUGMENT_MRI_DICOMWEB_PASSWORD", "another-password")
    assert "AUGMENT_MRI_DICOMWEB_PASSWORD" in refused(server.url, tmp_path)
    monkeypatch.setenv("AUGMENT_MRI_DICOMWEB_TOKEN", "no-such-token")
    assert "access_denied" in refused(server.url, tmp_path)


def test_credentials_do_not_belong_in_a_url(tmp_path: Path) -> None:
    text = refused(f"dicomweb+http://{USER}:{PASSWORD}@127.0.0.1:1/dicom-web", tmp_path)
    assert "credentials_in_url" in text
    assert USER not in text


@pytest.mark.parametrize("source", ["dicomweb+ftp://host/x", "dicomweb+http://", "dicomweb+http://host:abc/x"])
def test_a_url_that_is_none_is_refused(source: str, tmp_path: Path) -> None:
    assert "bad_url" in refused(source, tmp_path)


def test_no_server_and_a_silent_one_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = f"dicomweb+http://127.0.0.1:{free_port()}/dicom-web?PatientID=secret-patient-1"
    assert "no_connection" in refused(nobody, tmp_path)
    monkeypatch.setattr(pacs, "TIMEOUT_S", (0.2, 0.2))
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        assert "timeout" in refused(f"dicomweb+http://127.0.0.1:{deaf.getsockname()[1]}/dicom-web", tmp_path)


@contextmanager
def answering(body: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """A server that gives one request this answer: its address as a source, and what it heard."""
    heard: list[bytes] = []

    def answer(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection:
            heard.append(connection.recv(65536))
            connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + body)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=answer, args=(listening,), daemon=True)  # which never outlives the tests
        thread.start()
        yield f"dicomweb+http://127.0.0.1:{listening.getsockname()[1]}", heard
        thread.join(timeout=5)


@pytest.mark.parametrize("body", [b"<html></p>", b"7", b'"text"', b"[1, 2]", b"[[]]", b"\xff\xfe"])
def test_an_answer_that_is_not_dicomweb_is_called_that(body: bytes, tmp_path: Path) -> None:
    with answering(body) as (source, _), pytest.raises(ContractError, match="not_dicomweb"):
        remote.fetch(source, into=tmp_path / "in")


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'[{"0020000D": 3}]', b'[{"0020000D": {"Value": []}}]'])
def test_an_answer_without_a_study_is_an_empty_one(body: bytes, tmp_path: Path) -> None:
    with answering(body) as (source, _), pytest.raises(ContractError, match="0 studies match"):
        remote.fetch(source, into=tmp_path / "in")


def test_a_bearer_token_is_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUGMENT_MRI_DICOMWEB_TOKEN", "no-such-token")
    with answering(b"[]") as (source, heard), pytest.raises(ContractError, match="no_mr_series"):
        remote.fetch(source, into=tmp_path / "in")
    assert b"Authorization: Bearer no-such-token" in heard[0]


STUDIES = [{pacs._STUDY: {"vr": "UI", "Value": [f"1.2.{i}"]}} for i in range(7)]


@pytest.mark.parametrize("most", [1, 2, 3, 7, 100])
def test_every_page_is_asked_for(most: int) -> None:
    found = pacs._all(lambda offset: STUDIES[offset : offset + most], pacs._STUDY)
    assert list(found) == [f"1.2.{i}" for i in range(7)]


def test_a_server_that_knows_no_offset_is_asked_no_more_than_twice() -> None:
    offsets = []
    found = pacs._all(lambda offset: (offsets.append(offset), STUDIES)[1], pacs._STUDY)
    assert len(found) == 7
    assert offsets == [0, 7]


def test_a_list_that_the_server_cut_short_is_refused(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> None:
    home = tmp_path_factory.mktemp("cut")
    slices = np.random.default_rng(0).integers(0, 4096, (6, 8, 8), dtype=np.uint16)
    write_series(home / "in", slices, spacing=(5, 1, 1), subject_id="secret-patient-0", sequence="T1", uid_seed=0)
    with orthanc(home, LimitFindInstances=2) as rest:
        send(rest, home / "in")
        assert "cut_short" in refused(f"dicomweb+{rest}/dicom-web", tmp_path)


def test_a_dataset_comes_of_a_pacs_and_holds_no_identifier(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    home, out = tmp_path_factory.mktemp("ingest"), RunDir(tmp_path / "out")
    drawn = PhantomConfig(slices=8, size=48, spacing_mm=(12.0, 4.0, 4.0))
    for seed, told in enumerate(("glioma, left", "healthy volunteer") * 2):
        head = phantom(rng=np.random.default_rng(seed), tumour=seed % 2 == 0, config=drawn).voxels
        grey = np.clip(head / head.max() * 4000, 0, 4000).astype(np.uint16)
        subject = f"secret-patient-{seed}"
        write_series(
            home / "in" / str(seed), grey, spacing=(12, 4, 4), subject_id=subject, sequence="T2", uid_seed=seed
        )
        for path in (home / "in" / str(seed)).iterdir():
            data = pydicom.dcmread(path)
            data.StudyDescription = told
            data.save_as(path)
    labels = LabelConfig(dicom_attribute="StudyDescription", tumour="glioma", no_tumour="healthy")
    with orthanc(home) as rest:
        send(rest, home / "in")
        source = f"dicomweb+{rest}/dicom-web"
        record = ingest(source=source, out=out, config=IngestConfig(labels=labels), seed=0)
        assert ingest(source=source, out=out, config=IngestConfig(labels=labels), seed=0) == record
    manifest = pd.read_parquet(out.manifest)
    assert manifest.groupby("diagnosis")["subject"].nunique().to_dict() == {"no_tumour": 2, "tumour": 2}
    assert set(manifest["label_rule"]) == {"dicom"}
    assert set(manifest["sequence"]) == {"T2"}
    assert not out.scratch.exists()
    assert not [path for path in out.root.rglob("*") if path.is_file() and b"secret-patient" in path.read_bytes()]


def test_of_a_server_that_does_not_filter_only_mr_is_taken() -> None:
    def hit(tag: str, uid: str, modality: str = "") -> dict[str, object]:
        return {tag: {"Value": [uid]}, pacs._MODALITY: {"Value": [modality]}}

    class Indifferent:
        def search_for_studies(self, **_: object) -> list[dict[str, object]]:
            return [hit(pacs._STUDY, "1.1")]

        def search_for_series(self, *_: object, **__: object) -> list[dict[str, object]]:
            return [
                hit(pacs._SERIES, "1.1.1", "CT"),
                hit(pacs._SERIES, "1.1.2", "MR"),
                hit(pacs._SERIES, "1.1.3", "SR"),
            ]

        def search_for_instances(self, study: str, series: str, **_: object) -> list[dict[str, object]]:
            return [hit(pacs._INSTANCE, f"{series}.{i}") for i in (2, 1)]

    found = pacs._matching(Indifferent(), "dicomweb+http://host/x")
    assert found == [pacs._Series("1.1", "1.1.2", ("1.1.2.1", "1.1.2.2"))]
    assert "1.1" not in repr(found)
