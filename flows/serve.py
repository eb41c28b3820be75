"""`augment-mri up`: a Prefect server on the loopback interface, both deployments, and a worker that runs them."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import ValidationError

from flows.config import PRESETS
from flows.errors import ConfigError
from flows.progress import console
from pipeline.scans.remote import is_remote

HOST = "127.0.0.1"  # patients' data: the server never listens to the network
START_SECONDS = 120.0


def serve_deployments(*, port: int, cron: str, timezone: str, nightly: Mapping[str, str]) -> None:
    """Serve `augment-mri/augment-mri` and `augment-mri/nightly` until interrupted. Raises ConfigError."""
    api = f"http://{HOST}:{port}/api"
    os.environ["PREFECT_API_URL"] = api  # read when Prefect is imported, hence the imports inside functions
    _check(port=port, cron=cron, timezone=timezone, nightly=nightly)
    with _server(port, api):
        from prefect import serve
        from prefect.schedules import Cron
        from prefect.types.entrypoint import EntrypointType

        from flows.augment_mri import augment_mri

        by_module = EntrypointType.MODULE_PATH  # found wherever the command is started
        on_demand = augment_mri.to_deployment(name="augment-mri", entrypoint_type=by_module)
        by_night = augment_mri.to_deployment(
            name="nightly",
            parameters=dict(nightly),
            schedule=Cron(cron, timezone=timezone),
            entrypoint_type=by_module,
        )
        console.print(f"Prefect serves on http://{HOST}:{port}; stop it with Ctrl-C. In another terminal:")
        console.print(f"  export PREFECT_API_URL={api}", soft_wrap=True)
        console.print(
            "  prefect deployment run augment-mri/augment-mri --param source=SCANS --param out=RUN --watch",
            soft_wrap=True,
        )
        console.print(f"augment-mri/nightly runs at '{cron}' {timezone} on {nightly['source']}.")
        # to_deployment is typed for both its sync and its async use; outside an event loop it is the former
        serve(on_demand, by_night, print_starting_message=False)  # type: ignore[arg-type]


def _check(*, port: int, cron: str, timezone: str, nightly: Mapping[str, str]) -> None:
    from prefect.client.schemas.schedules import CronSchedule

    try:
        CronSchedule(cron=cron)
    except ValidationError as error:
        message = f"{cron!r} is no cron schedule; five fields are needed, such as '0 2 * * *' for 02:00"
        raise ConfigError(message) from error
    try:
        ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ConfigError(f"there is no time zone {timezone!r}; name one such as Europe/Zagreb") from error
    if nightly["preset"] not in PRESETS:
        raise ConfigError(f"there is no preset {nightly['preset']!r}; choose one of {', '.join(PRESETS)}")
    source = nightly["source"]
    if source != "demo" and not is_remote(source) and not Path(source).exists():
        raise ConfigError(f"the nightly source {nightly['source']} does not exist; name a folder of scans")
    with socket.socket() as probe:
        if probe.connect_ex((HOST, port)) == 0:
            raise ConfigError(f"port {port} is in use; choose another with --port")


@contextmanager
def _server(port: int, api: str) -> Iterator[None]:
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", HOST, "--port", str(port), "--no-ui"]
    environment = os.environ | {"PREFECT_LOGGING_SERVER_LEVEL": "ERROR"}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)  # noqa: S603 - no user text in it
    try:
        _wait_until_healthy(process, api)
        yield
    finally:
        process.terminate()
        process.wait(timeout=30)


def _wait_until_healthy(process: "subprocess.Popen[bytes]", api: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(f"{api}/health", timeout=2):  # noqa: S310 - always our own loopback address
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.3)
    raise ConfigError(f"the Prefect server did not start on {api} (exit code {process.poll()}); see the lines above")
