"""Both deployments against a real Prefect server on the loopback interface, started by `augment-mri up`."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

BIN = Path(sys.executable).parent


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _post(api: str, path: str, body: dict[str, object]) -> list[dict[str, object]]:
    request = urllib.request.Request(  # noqa: S310 - our own loopback server
        f"{api}{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - likewise
        return json.loads(answer.read())


def _deployments(api: str) -> dict[str, dict[str, object]]:
    try:
        return {str(found["name"]): found for found in _post(api, "/deployments/filter", {})}
    except OSError:
        return {}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, dict[str, str]]]:
    folder = tmp_path_factory.mktemp("up")
    port = _free_port()
    api = f"http://127.0.0.1:{port}/api"
    environment = os.environ | {"PREFECT_HOME": str(folder / "prefect"), "PREFECT_API_URL": api}
    command = [
        str(BIN / "augment-mri"),
        "up",
        "--port",
        str(port),
        "--cron",
        "30 3 * * *",
        "--timezone",
        "Europe/Zagreb",
    ]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=log)  # noqa: S603
        try:
            deadline = time.monotonic() + 120
            while len(_deployments(api)) < 2:
                assert process.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < deadline, (folder / "log").read_text()
                time.sleep(0.5)
            yield api, environment
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=60)


def test_the_nightly_schedule_has_its_time_zone_and_creates_its_runs(served: tuple[str, dict[str, str]]) -> None:
    api, _ = served
    nightly = _deployments(api)["nightly"]
    (schedule,) = nightly["schedules"]  # type: ignore[misc]  # JSON
    assert schedule["active"]
    assert schedule["schedule"]["cron"] == "30 3 * * *"
    assert schedule["schedule"]["timezone"] == "Europe/Zagreb"
    wanted = {
        "deployments": {"id": {"any_": [nightly["id"]]}},
        "flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}},
    }
    deadline = time.monotonic() + 120
    while not (runs := _post(api, "/flow_runs/filter", wanted)):
        assert time.monotonic() < deadline, "the schedule made no run"
        time.sleep(1)
    assert all(run["auto_scheduled"] for run in runs)


def test_a_run_asked_for_by_prefects_own_command_ends_completed(
    served: tuple[str, dict[str, str]], tmp_path: Path
) -> None:
    api, environment = served
    config = tmp_path / "fewer.toml"
    config.write_text("[phantoms]\nsubjects = 20\n")
    command = [str(BIN / "prefect"), "deployment", "run", "augment-mri/augment-mri", "--watch"]
    for parameter in ("source=demo", f"out={tmp_path / 'run'}", "preset=smoke", f"config={config}"):
        command += ["--param", parameter]
    done = subprocess.run(  # noqa: S603
        command, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    states = [run["state_type"] for run in _post(api, "/flow_runs/filter", {"sort": "START_TIME_DESC"})]
    assert "COMPLETED" in states
    assert "FAILED" not in states
    assert (tmp_path / "run" / "report.html").exists()
