"""Several GANs at once: the same bytes as one after the other, failures of their own kind, and nothing left running."""

import multiprocessing
import signal
from collections.abc import Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest
import torch
from threadpoolctl import threadpool_limits

from data_contracts.manifest import DIAGNOSES
from data_contracts.splits import Fold, Splits
from flows import augment_mri, devices, progress, tasks
from flows.config import StudyConfig, SynthesisConfig, new_run_record
from flows.devices import Job, train_all
from flows.study import CANVAS
from pipeline.children import Child, Done, Failed
from pipeline.compute import Compute, best_compute
from pipeline.run_dir import RunDir, write_array, write_record, write_table
from pipeline.synthesis import model_dir
from pipeline.synthesis.collapse import WatchConfig
from pipeline.synthesis.gan import GanConfig, TrainingFailed
from pipeline.synthesis.model_dir import JOINT
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
    whole = StudyConfig.model_validate({"gan": GAN, "synthesis": {"strategy": "per_class"}, **config})
    write_record(
        run.run_json, new_run_record(preset="smoke", seed=7, config=whole, source_digest="none", compute="none")
    )
    return root


def weights(root: Path, diagnosis: str) -> bytes:
    return (RunDir(root).model(0, diagnosis) / "generator.safetensors").read_bytes()


def written(root: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in root.rglob("*") if path.is_file()}


JOBS = """
import time

def train(job, device, update):
    if job.fold == 0:
        from flows import tasks
        tasks.train_job(job, device, update)
    elif job.diagnosis == "broken":
        raise TimeoutError("of its own kind")
    else:
        while True:
            update(1, 2)
            time.sleep(0.02)
"""


def test_at_once_they_are_the_same_as_alone_and_where_one_fails_the_others_stop_and_no_more_are_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "jobs.py").write_text(JOBS)  # without what only a real training imports
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", float("inf"))
    train = import_module("jobs").train
    once, apart = study(tmp_path / "once"), study(tmp_path / "apart")
    jobs = [Job(once, 0, name) for name in DIAGNOSES] + [Job(once, 1, name) for name in ("endless", "broken", "more")]
    with pytest.raises(TimeoutError, match="of its own kind") as failed:
        train_all(jobs, PRETENDED, train)
    assert not multiprocessing.active_children()
    assert failed.value.__notes__[0].startswith("Train the broken generator, fold 1, on cpu:\nTraceback")
    said = " ".join(capsys.readouterr().err.split())
    outcomes = ["done", "done", "failed; the others stop at their next tick", "stopped, to be gone on with"]
    assert [part.split(" Train the ")[0] for part in said.split(" on cpu: ")[1:]] == outcomes
    for name in DIAGNOSES:
        tasks.train_task.fn(apart, 0, name)
        assert weights(once, name) == weights(apart, name)
    assert weights(once, DIAGNOSES[0]) != weights(once, DIAGNOSES[1])


def test_what_is_finished_is_left_as_it_is_and_one_that_is_left_is_trained_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = study(tmp_path)
    tasks.train_task.fn(root, 0, DIAGNOSES[1])
    monkeypatch.setattr(tasks, "train_all", Mock(side_effect=AssertionError))
    before = written(root)
    tasks.train_all_task.fn(root, (0,), PRETENDED)
    assert before.items() <= written(root).items()
    assert model_dir.load_generator(RunDir(root).model(0, DIAGNOSES[0]))[1].images_seen == GAN.images
    before = written(root)
    tasks.train_all_task.fn(root, (0,), PRETENDED)
    tasks.train_task.fn(root, 0, DIAGNOSES[0])
    assert written(root) == before


def test_interrupted_it_leaves_no_process_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        assert len(multiprocessing.active_children()) == 2
        raise KeyboardInterrupt  # not by a signal: a job begun in the background is begun deaf to it

    monkeypatch.setattr(devices, "_heard", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train_all([Job(tmp_path, 0, name) for name in DIAGNOSES], PRETENDED, tasks.train_job)
    assert not multiprocessing.active_children()


def test_a_process_that_ends_without_a_word_is_a_failed_training() -> None:
    child = Child(Mock(exitcode=-signal.SIGKILL), Mock())
    one = devices._Training(Job(Path(), 0, "tumour"), "cuda:1", child, last=(16, 64, "loss"))
    failure = one.failure()
    assert isinstance(failure, TrainingFailed)
    assert "Train the tumour generator, fold 0, on cuda:1: its process was ended by SIGKILL" in str(failure)
    one.last = Failed(failure, at=0.0)
    assert one.failure() is failure
    one.last = Done(True)
    assert one.failure() is None


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ("per_class", [[(0, name) for name in DIAGNOSES] + [(1, name) for name in DIAGNOSES]]),
        ("joint", [[(0, JOINT), (1, JOINT)]]),
        ("finetune", [[(0, JOINT), (1, JOINT)], [(0, name) for name in DIAGNOSES] + [(1, name) for name in DIAGNOSES]]),
        ("dream_and_paint", [[(fold, name) for fold in (0, 1) for name in (CANVAS, *DIAGNOSES)]]),
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
    for other in ("cases", "sampling", "write_report"):
        monkeypatch.setattr(augment_mri, other, Mock())
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
