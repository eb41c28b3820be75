"""Several GANs at once: the same bytes as one after the other, failures of their own kind, and nothing left running."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest
import torch
from threadpoolctl import threadpool_limits

from data_contracts.manifest import DIAGNOSES
from data_contracts.splits import Fold, Splits
from data_contracts.violations import ContractError, Violation
from flows import augment_mri, devices, tasks
from flows.config import StudyConfig, SynthesisConfig, new_run_record
from flows.devices import Job
from pipeline.compute import Compute, best_compute
from pipeline.run_dir import RunDir, write_array, write_record, write_table
from pipeline.synthesis import model_dir
from pipeline.synthesis.collapse import WatchConfig
from pipeline.synthesis.gan import GanConfig, TrainingFailed
from pipeline.synthesis.model_dir import JOINT, ModelError
from pipeline.synthesis.networks.lean import LeanConfig

SIDE, BATCH = 32, 16
GAN = GanConfig(
    images=4 * BATCH,
    batch_size=BATCH,
    tick=2 * BATCH,
    network=LeanConfig(latent_dim=8, width=4, max_width=8),
    position_bins=1,
    snapshot_images=2,
    watch=WatchConfig(grace=1),
)
PRETENDED = ("cpu", "cpu")

pytestmark = pytest.mark.slow  # each process imports torch and what stands on it


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Sums come out the same, to the last bit, only with as many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with threadpool_limits(1):
        yield
    torch.set_num_threads(before)


def study(root: Path, *, per_diagnosis: tuple[int, int] = (60, 60), **config: object) -> Path:
    """A run folder with all that a training reads: slices of noise on a gradient, three a subject, one fold."""
    run, rng = RunDir(root), np.random.default_rng(0)
    diagnoses = np.repeat(DIAGNOSES, per_diagnosis)
    groups = [f"{name}-{i // 3}" for name, n in zip(DIAGNOSES, per_diagnosis, strict=True) for i in range(n)]
    slope = np.linspace(-0.5, 0.5, SIDE) * np.where(diagnoses == DIAGNOSES[0], 1, -1)[:, None]
    images = slope[:, None, None, :] + rng.uniform(-0.4, 0.4, (len(groups), 1, SIDE, SIDE))
    write_array(run.normalised(0), images.astype(np.float32))
    rows = {"diagnosis": diagnoses, "group": groups, "position": np.nan, "sequence": "unknown", "plane": "unknown"}
    write_table(run.manifest, pd.DataFrame(rows))
    write_record(run.splits, Splits(seed=0, folds=(Fold(fold=0, train=tuple(sorted(set(groups))), test=()),)))
    whole = StudyConfig.model_validate({"gan": GAN, **config})
    write_record(
        run.run_json, new_run_record(preset="smoke", seed=7, config=whole, source_digest="none", compute="none")
    )
    return root


def weights(root: Path) -> list[bytes]:
    return [(RunDir(root).model(0, name) / "generator.safetensors").read_bytes() for name in DIAGNOSES]


def ignored(_done: int, _total: int, _said: str = "", /) -> None:
    pass


def children() -> list[str]:
    """Spawned processes of this one that still run."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = status.read_text().rpartition(")")[2].split()[1]
            command = status.with_name("cmdline").read_text()
        except OSError:  # it has just ended
            continue
        if int(parent) == os.getpid() and "spawn_main" in command:
            found.append(command)
    return found


def test_two_at_once_are_the_same_bytes_as_one_after_the_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    once, apart = study(tmp_path / "once"), study(tmp_path / "apart")
    tasks.train_all_task.fn(once, (0,), PRETENDED)
    for name in DIAGNOSES:
        assert model_dir.load_generator(RunDir(once).model(0, name))[1].images_seen == GAN.images
        tasks.train_job(Job(apart, 0, name), "cpu", ignored)
    assert weights(once) == weights(apart)
    assert weights(once)[0] != weights(once)[1]
    assert not children()
    said = capsys.readouterr().err
    assert all(f"Train the {name} GAN, fold 0, on cpu: done" in said for name in DIAGNOSES)
    before = [path.stat().st_mtime_ns for path in sorted(once.rglob("*"))]
    tasks.train_all_task.fn(once, (0,), PRETENDED)  # all are finished
    tasks.train_task.fn(once, 0, DIAGNOSES[0])
    assert [path.stat().st_mtime_ns for path in sorted(once.rglob("*"))] == before


def test_a_failure_arrives_as_its_own_kind_and_the_other_stops_at_a_checkpoint(tmp_path: Path) -> None:
    endless = GAN.model_copy(update={"images": 10**9})
    root = study(tmp_path, per_diagnosis=(60, 5), gan=endless)
    with pytest.raises(ModelError, match="needs 8 images to learn from, and here are 5") as failed:
        tasks.train_all_task.fn(root, (0,), PRETENDED)
    assert f"{DIAGNOSES[1]} GAN, fold 0, on cpu:\nTraceback" in failed.value.__notes__[0]
    assert not children()
    folder = RunDir(root).model(0, DIAGNOSES[0])
    assert not model_dir.config_path(folder).exists()
    images_seen = model_dir.read_state(model_dir.checkpoint_path(folder), advice="")["state"]["images_seen"]
    assert images_seen >= GAN.tick
    assert images_seen % GAN.tick == 0
    assert not list(root.rglob("*.part*"))
    going_on: list[int] = []

    def one_tick(done: int, _total: int, _said: str = "", /) -> None:
        going_on.append(done)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tasks.train_job(Job(root, 0, DIAGNOSES[0]), "cpu", one_tick)
    assert going_on == [images_seen + GAN.tick]


SCRIPT = """
import os, sys
from pathlib import Path
from flows.devices import Job, train_all

sys.path.insert(0, os.path.dirname(__file__))
import endless
print("run", flush=True)
train_all([Job(Path(sys.argv[1]), 0, "tumour")], ("cpu", "cpu"), endless.train)
"""
ENDLESS = """
import os, time

def train(job, device, update):
    (job.root / "begun").write_text(str(os.getpid()))
    time.sleep(600)  # a tick so long that only what is outside of it can end it
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_interrupted_or_killed_it_leaves_no_process_behind(tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)  # without a guard: a child must not run it again
    (tmp_path / "endless.py").write_text(ENDLESS)
    process = subprocess.Popen(  # noqa: S603 - our own
        [sys.executable, str(tmp_path / "script.py"), str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    begun = tmp_path / "begun"
    wait_until(lambda: process.poll() is not None or (begun.exists() and begun.read_text() != ""))
    child = int(begun.read_text())
    assert runs(child)
    if number == signal.SIGINT:  # a terminal sends it to both; who ends is decided in one of them
        os.kill(child, number)
        time.sleep(0.5)
        assert runs(child)
    process.send_signal(number)
    said, errors = process.communicate(timeout=60)
    assert process.returncode == -number
    assert said.split() == ["run"]
    assert errors.count("Traceback") == (number == signal.SIGINT)  # the script's own
    wait_until(lambda: not runs(child))


def wait_until(true: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def runs(pid: int) -> bool:
    """Whether it is there and more than an entry that nobody has cleared away."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize(
    ("exit_code", "how"), [(-signal.SIGKILL, "was ended by SIGKILL"), (3, "ended with exit code 3")]
)
def test_a_process_that_ends_without_a_word_is_a_failed_training(exit_code: int, how: str) -> None:
    ours, _ = multiprocessing.Pipe()
    one = devices._Training(Job(Path(), 0, "tumour"), "cuda:1", Mock(exitcode=exit_code), ours)
    one.last = (16, 64, "loss")
    failure = one.failure()
    assert isinstance(failure, TrainingFailed)
    assert f"Train the tumour GAN, fold 0, on cuda:1: its process {how}" in str(failure)
    one.last = True
    assert one.failure() is None


def test_an_error_that_cannot_travel_tells_its_kind() -> None:
    class Local(Exception):
        pass

    told = devices._portable(Local("what"), "here")
    assert (type(told), str(told)) == (RuntimeError, "Local: what")
    assert type(devices._portable(ModelError("what"), "here")) is ModelError
    broken = ContractError([Violation("file-0001", "rule", "detail")])  # whose copy would have another text
    assert str(devices._portable(broken, "here")) == f"ContractError: {broken}"


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ("per_class", [[(0, name) for name in DIAGNOSES] + [(1, name) for name in DIAGNOSES]]),
        ("joint", [[(0, JOINT), (1, JOINT)]]),
        ("finetune", [[(0, JOINT), (1, JOINT)], [(0, name) for name in DIAGNOSES] + [(1, name) for name in DIAGNOSES]]),
    ],
)
def test_which_are_trained_at_once_follows_from_the_strategy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, strategy: str, expected: list[list[tuple[int, str]]]
) -> None:
    root, calls = study(tmp_path, synthesis=SynthesisConfig.model_validate({"strategy": strategy})), []
    monkeypatch.setattr(tasks, "train_all", lambda jobs, *_: calls.append([(job.fold, job.diagnosis) for job in jobs]))
    tasks.train_all_task.fn(root, (0, 1), PRETENDED)
    assert calls == expected


@pytest.mark.parametrize("several", [False, True])
def test_the_flow_trains_all_at_once_only_where_there_are_several_devices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, several: bool
) -> None:
    done: list[tuple[object, ...]] = []
    there = ("cuda:0", "cuda:1") if several else ("cuda:0",)
    recorded = Mock(**{f"{name}.side_effect": partial(note, done, name) for name in ("train_task", "train_all_task")})
    recorded.split_task.return_value = (0, 1)
    monkeypatch.setattr(augment_mri, "tasks", recorded)
    monkeypatch.setattr(augment_mri, "devices", lambda: there)
    augment_mri.augment_mri.fn(augment_mri.DEMO, str(tmp_path / "run"), preset="smoke")
    in_turn = [("train_task", tmp_path / "run", fold, name) for fold in (0, 1) for name in DIAGNOSES]
    assert done == [("train_all_task", tmp_path / "run", (0, 1), there)] * several + in_turn


def note(done: list[tuple[object, ...]], name: str, *arguments: object) -> None:
    done.append((name, *arguments))


def test_the_devices_are_all_of_cuda_or_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    assert devices.devices() == ("cuda:0", "cuda:1", "cuda:2")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert devices.devices() == ("cpu",)


def test_compute_is_on_the_device_named() -> None:
    assert best_compute("cuda:1") == Compute("cuda:1", torch.bfloat16, torch.channels_last)
    assert best_compute("cpu").device == "cpu"
    numbered = Compute("cpu:0", torch.bfloat16, torch.channels_last)
    with numbered.autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16
