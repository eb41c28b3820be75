"""A PACS as a source: MR series found by QIDO-RS and brought here by WADO-RS (DICOM PS3.18, chapter 10).

`dicomweb+https://host:8042/dicom-web?StudyDate=20240101-&StudyDescription=*brain*`: each parameter is a QIDO filter by
keyword or tag, of the series where it is an attribute of series, else of the study. Only series of modality MR are
taken. Who asks is said by the environment and never by the URL: AUGMENT_MRI_DICOMWEB_TOKEN (bearer), or
AUGMENT_MRI_DICOMWEB_USER and AUGMENT_MRI_DICOMWEB_PASSWORD (basic); REQUESTS_CA_BUNDLE names certificates to trust.
Identifiers are held in memory, asked for and never shown: files are numbered, errors hold numbers and fixed words.
"""

import hashlib
import logging
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final, NoReturn
from urllib.parse import parse_qsl, unquote, urlsplit

import requests
from dicomweb_client import DICOMwebClient
from pydicom.errors import InvalidDicomError
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase, HTTPBasicAuth
from urllib3.util import Retry

from data_contracts.violations import ContractError, Violation
from pipeline.formats.scan import quiet
from pipeline.scans.fetched import Progress, Store, shown

TIMEOUT_S: Final = (10.0, 60.0)  # to connect, and between two pieces of an answer
_STUDY, _SERIES, _INSTANCE, _MODALITY = "0020000D", "0020000E", "00080018", "00080060"
_COUNT: Final = "00201209"  # number of instances in a series
# attributes of series that servers match, PS3.18 table 10.6.1-5 and what is common beyond it
_OF_SERIES: Final = frozenset((
    "SeriesInstanceUID", "SeriesNumber", "SeriesDescription", "BodyPartExamined", "ProtocolName", "Manufacturer",
    "ManufacturerModelName", "PerformedProcedureStepStartDate", "PerformedProcedureStepStartTime",
))  # fmt: skip
_AS_STORED: Final = (("application/dicom", "*"),)  # in whatever transfer syntax; nothing is coded anew
_TALKATIVE: Final = ("dicomweb_client.web", "urllib3.connectionpool")  # they log addresses, which name patients
_WANTED: Final = "want dicomweb+https://HOST:PORT/PATH?FILTER=VALUE"
_LOGIN: Final = (
    "access denied; set AUGMENT_MRI_DICOMWEB_USER and AUGMENT_MRI_DICOMWEB_PASSWORD, or AUGMENT_MRI_DICOMWEB_TOKEN, to "
    "those of an account that may read"
)
# the first that fits; the order matters, since some are kinds of others
_FAULTS: Final[tuple[tuple[type[Exception], str, str], ...]] = (
    (requests.exceptions.InvalidURL, "bad_url", _WANTED),
    (requests.exceptions.SSLError, "certificate", "its certificate is not trusted; set REQUESTS_CA_BUNDLE"),
    (requests.exceptions.RetryError, "busy", "the server is busy and stayed so; try again later"),
    (requests.exceptions.JSONDecodeError, "not_dicomweb", "the answer is not DICOMweb's; check the path"),
    (requests.Timeout, "timeout", "the server did not answer in time; check the network, or try again later"),
    (requests.ConnectionError, "no_connection", "no connection; check host, port, network and proxy"),
    (requests.RequestException, "no_connection", "the connection broke; start again, what is here stays"),
    (InvalidDicomError, "not_dicom", "the server sent something that is not DICOM; leave that series out by a filter"),
)


@dataclass(frozen=True)
class _Series:
    """One MR series by its identifiers, and those of its instances, sorted."""

    study: str = field(repr=False)
    series: str = field(repr=False)
    instances: tuple[str, ...] = field(repr=False)


def fetch(source: str, *, into: Path, progress: Progress | None = None) -> Path:
    """Bring all MR series that the source's filters match into `into`, a file an instance, and return `into`.

    source: as in the module's docstring. Files are `<series>/<instance>.dcm`, numbered from 1 in order of their
    unique identifiers, in the transfer syntax they are stored in. `into` and resuming as in `remote.fetch`; an instance
    never changes, so its identifier is its version. progress(done, total) counts instances. Raises ContractError where
    the server cannot be reached, refuses, is none of DICOMweb, or has no MR series that matches.
    """
    with _explained(source), _client(source) as client:
        found = _matching(client, source)
        places = {
            uid: f"{n:06d}/{m:06d}.dcm" for n, s in enumerate(found, 1) for m, uid in enumerate(s.instances, start=1)
        }
        into.mkdir(parents=True, exist_ok=True)
        store = Store(into, set(places.values()))
        missing = {uid for uid, place in places.items() if not store.has(place, uid)}
        for series in found:
            wanted = missing.intersection(series.instances)
            for uid in _received(client, series, wanted, places, store):
                missing.discard(uid)
                if progress is not None:
                    progress(len(places) - len(missing), len(places))
            lacking = len(missing.intersection(series.instances))
            if lacking:
                _refuse(source, "incomplete", f"{lacking} of {len(series.instances)} images of a series did not come")
    return into


def fingerprint(source: str) -> str:
    """Hex SHA-256 over the sorted instance identifiers of every matching MR series; no image is fetched.

    Raises ContractError as `fetch` does.
    """
    digest = hashlib.sha256()
    with _explained(source), _client(source) as client:
        for series in _matching(client, source):
            digest.update(f"{len(series.instances)}\n".encode())
            digest.update("".join(f"{uid}\n" for uid in series.instances).encode())
    return digest.hexdigest()


class _Adapter(HTTPAdapter):
    """Sends wildcards and commas of a query as they are, as RFC 3986 allows: Orthanc's plugin 1.7 decodes no %2A."""

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        request.url = re.sub("%(?:2A|3F|2C)", lambda escape: unquote(escape[0]), request.url or "")
        return super().send(request, *args, **kwargs)


class _Bearer(AuthBase):
    """A bearer token (RFC 6750); unlike a plain header, no .netrc overrides it."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def _login() -> AuthBase | None:
    token, user = (os.environ.get(f"AUGMENT_MRI_DICOMWEB_{name}", "") for name in ("TOKEN", "USER"))
    if token:
        return _Bearer(token)
    return HTTPBasicAuth(user, os.environ.get("AUGMENT_MRI_DICOMWEB_PASSWORD", "")) if user else None


@contextmanager
def _client(source: str) -> Iterator[DICOMwebClient]:
    """A client of the source's server, whose connections close and whose library is silent."""
    url = urlsplit(source)
    scheme = url.scheme.removeprefix("dicomweb+")
    if scheme not in {"http", "https"} or not url.hostname or url.fragment:
        _refuse(source, "bad_url", _WANTED)
    if "@" in url.netloc:
        _refuse(source, "credentials_in_url", f"take user and password out of the URL; {_LOGIN}")
    loggers = [logging.getLogger(name) for name in _TALKATIVE]
    before = [logger.disabled for logger in loggers]
    with requests.Session() as session, quiet():
        session.auth = _login()
        retry = Retry(total=3, connect=False, read=False, status_forcelist=(429, 503, 504), backoff_factor=0.5)
        session.mount(f"{scheme}://", _Adapter(max_retries=retry))
        base = f"{scheme}://{url.netloc}{url.path.rstrip('/')}"
        client = DICOMwebClient(base, session=session, permissive_uid=True, timeout=TIMEOUT_S)
        client.set_http_retry_params(retry=False)  # the session does that, and listens to Retry-After
        try:
            for logger in loggers:
                logger.disabled = True
            yield client
        finally:
            for logger, disabled in zip(loggers, before, strict=True):
                logger.disabled = disabled


def _matching(client: DICOMwebClient, source: str) -> list[_Series]:
    """All MR series of the source with their instances, sorted by identifier; ContractError where there is none."""
    of_study, of_series = _filters(source)
    studies = _all(partial(client.search_for_studies, search_filters=of_study), _STUDY)
    found = []
    for study in studies:
        hits = _all(partial(client.search_for_series, study, search_filters=of_series, fields=(_COUNT,)), _SERIES)
        for series, hit in hits.items():
            if _value(hit, _MODALITY) == "MR":  # some servers do not filter
                instances = _all(partial(client.search_for_instances, study, series), _INSTANCE)
                if len(instances) < int(_value(hit, _COUNT) or 0):
                    _refuse(
                        source, "cut_short", "the server lists fewer images than it holds; raise its limit of results"
                    )
                found.append(_Series(study, series, tuple(sorted(instances))))
    if not any(series.instances for series in found):
        _refuse(source, "no_mr_series", f"{len(studies)} studies match, and none has an MR series; check the filters")
    return sorted(found, key=lambda s: (s.study, s.series))


def _filters(source: str) -> tuple[dict[str, str], dict[str, str]]:
    """QIDO filters of studies and of series."""
    pairs = parse_qsl(urlsplit(source).query, keep_blank_values=True)
    if len({name for name, _ in pairs}) != len(pairs) or not all(
        re.fullmatch(r"[A-Z][A-Za-z]+|fuzzymatching|[0-9A-F]{8}", name) for name, _ in pairs
    ):
        _refuse(
            source,
            "bad_filter",
            "a filter is a DICOM keyword or a tag of 8 hex digits, each once; limit and offset are set here",
        )
    of_study = {name: value for name, value in pairs if name not in _OF_SERIES and name != "Modality"}
    of_series = {name: value for name, value in pairs if name in _OF_SERIES}
    return {"ModalitiesInStudy": "MR", **of_study}, {**of_series, "Modality": "MR"}


def _all(search: Callable[..., Sequence[dict[str, Any]]], tag: str) -> dict[str, dict[str, Any]]:
    """Every hit of a search by the identifier in `tag`, page by page until one brings nothing new.

    The length of a page is left to the server (PS3.18 section 8.3.4.4): Orthanc takes a limit to count what the offset
    skips as well, so that nothing would lie beyond it. Some know no offset and send the same page for ever. A server
    that drops studies beyond a limit of its own and says nothing cannot be found out here.
    """
    hits: dict[str, dict[str, Any]] = {}
    seen = 0
    while page := search(offset=seen):
        if not (isinstance(page, list) and all(isinstance(hit, dict) for hit in page)):
            raise ValueError("a list of hits was wanted")
        new = {uid: hit for hit in page if (uid := _value(hit, tag)) and uid not in hits}
        if not new:
            break
        hits.update(new)
        seen += len(page)
    return hits


def _value(hit: dict[str, Any], tag: str) -> str:
    """The first value of an attribute in the DICOM JSON model (PS3.18 annex F), "" where there is none."""
    attribute = hit.get(tag)
    values = attribute.get("Value") if isinstance(attribute, dict) else None
    return str(values[0]) if isinstance(values, list) and values else ""


def _received(
    client: DICOMwebClient, series: _Series, wanted: set[str], places: dict[str, str], store: Store
) -> Iterator[str]:
    """Fetch a series, one instance in memory at a time, write those that are wanted and yield their identifiers."""
    if not wanted:
        return
    for dataset in client.iter_series(series.study, series.series, media_types=_AS_STORED):
        uid = str(dataset.get("SOPInstanceUID", ""))
        if uid in wanted:
            with store.writing(places[uid], uid) as part:
                dataset.save_as(part)
            yield uid


@contextmanager
def _explained(source: str) -> Iterator[None]:
    """Turn what the client raises into one ContractError; the client's texts hold addresses, which name patients."""
    try:
        yield
    except requests.HTTPError as error:
        status = error.response.status_code
        if status in {401, 403}:
            _refuse(source, "access_denied", _LOGIN)
        if status == 404:
            _refuse(source, "not_found", "no DICOMweb service there; check the path (Orthanc's is /dicom-web)")
        _refuse(source, "server_error", f"the server answered with status {status}; check filters and its log")
    except tuple(kind for kind, _, _ in _FAULTS) as error:
        rule, advice = next((rule, advice) for kind, rule, advice in _FAULTS if isinstance(error, kind))
        _refuse(source, rule, advice)
    except (ValueError, KeyError):  # from answers of another shape, or without their content type
        _refuse(source, "not_dicomweb", "the answer is not DICOMweb's; check the path")


def _refuse(source: str, rule: str, detail: str) -> NoReturn:
    raise ContractError([Violation("source", rule, f"{shown(source)}: {detail}")]) from None
