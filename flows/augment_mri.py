"""The flow: scans -> synthesis -> evidence -> report, in the order in which it happens."""

import os
import shutil
from pathlib import Path
from typing import Final

from prefect import flow
from prefect.runtime import flow_run

from data_contracts.manifest import DIAGNOSES
from flows import cases, painting, sampling, tasks
from flows.account import attempt
from flows.config import RunRecord, StudyConfig, load_config, new_run_record, require_free
from flows.devices import devices
from flows.errors import ConfigError
from flows.judge import require_extractors
from flows.report import write_report
from flows.study import record_of
from pipeline.compute import best_compute
from pipeline.run_dir import RunDir, write_record
from pipeline.scans.inputs import fingerprint
from pipeline.scans.remote import is_remote

DEMO = "demo"  # in place of a source: the built-in head phantoms


@flow(name="augment-mri", validate_parameters=True)
def augment_mri(
    source: str,
    out: str,
    *,
    preset: str = "quick",
    seed: int = 0,
    config: str | None = None,
    key_file: str | None = None,
    external_test: str | None = None,
    subjects: int | None = None,
    resume: bool = False,
) -> str:
    """Run the whole study of `source` into the run folder `out`; returns the verdict.

    source: a folder, table, archive or URL of scans, or `demo` for the built-in phantoms. out: a new folder, in which
    `{date}` stands for the scheduled day, so that a schedule does not meet its own earlier run. key_file: names
    subjects by its key (else by AUGMENT_MRI_KEY, else by numbers). external_test: scans from elsewhere that are read
    only when the verdict stands, and then once; they do not change it. subjects: learn from so many in each fold, drawn
    by the seed, and from no others. Raises ConfigError, ContractError or
    TrainingFailed; what was finished by then stays and `resume` goes on from it.
    """
    root = dated(out)
    record = open_run(
        source=source,
        root=root,
        preset=preset,
        seed=seed,
        config=config,
        external_test=external_test,
        subjects=subjects,
        resume=resume,
    )
    run = RunDir(root)
    with attempt(run):
        verdict = _stages(root, record, source, Path(key_file) if key_file else None, external_test)
    write_report(run, run.report)  # anew: the account of the run, which it shows, is closed only now
    return verdict


def _stages(root: Path, record: RunRecord, source: str, key: Path | None, external_test: str | None) -> str:
    """All that the run does, in order; returns the verdict."""
    if source == DEMO:
        tasks.phantoms_task(root, root / "phantoms")
        source = str(root / "phantoms")
    tasks.ingest_task(root, source, key)
    folds = tasks.split_task(root)
    verdict = _study(root, folds, record.config, judged=True)
    tasks.report_task(root)
    if external_test is not None:  # opened when all that could be decided is decided, and written
        locked = tasks.open_external_task(root, external_test, key)
        _study(locked, tasks.split_task(locked), record.config, judged=False)
        tasks.report_task(root)
    return verdict


def _study(root: Path, folds: tuple[int, ...], config: StudyConfig, *, judged: bool) -> str:
    """From the folds of a run folder to its verdict; not `judged`: to its classifiers alone."""
    tasks.normalise_task(root)
    if judged:
        tasks.audit_task(root)
    for fold in folds if config.uses_lesions else ():
        painting.lesions_task(root, fold)
    if len(devices()) > 1:  # else each GAN is trained in its turn
        tasks.train_all_task(root, folds, devices())
    for fold in folds:
        _synthesise(root, fold, config, judged=judged)
        if config.pastes:
            painting.paste_task(root, fold)
        tasks.classify_task(root, fold, judged=judged)
        if judged:
            cases.occlusion_task(root, fold)
            tasks.transfer_task(root, fold)
    return tasks.compare_task(root)


def _synthesise(root: Path, fold: int, config: StudyConfig, *, judged: bool) -> None:
    """The synthetic sets of one fold, by the study's strategy."""
    how = config.synthesis
    make = painting.paint_task if how.paints else sampling.sample_task
    if how.strategy in ("joint", "finetune"):
        tasks.train_joint_task(root, fold)
    if how.dreams:
        tasks.train_canvas_task(root, fold)
    for diagnosis in DIAGNOSES:
        tasks.train_task(root, fold, diagnosis)
        if how.dreams:
            sampling.dream_task(root, fold, diagnosis, judged=judged)
        make(root, fold, diagnosis, judged=judged)
        if judged:
            tasks.fidelity_task(root, fold, diagnosis)


def open_run(
    *,
    source: str,
    root: Path,
    preset: str,
    seed: int,
    config: str | None,
    resume: bool,
    external_test: str | None = None,
    subjects: int | None = None,
) -> RunRecord:
    """Write run.json into a new folder, or check that the one there is this very study. Raises ConfigError."""
    study = load_config(preset=preset, file=Path(config) if config else None, subjects=subjects)
    require_extractors(study.fidelity)
    run = RunDir(root)
    if not run.run_json.exists():
        require_free(root)
    digest = DEMO if source == DEMO else fingerprint(_existing(source), study.ingest)
    locked = "" if external_test is None else fingerprint(_existing(external_test), study.ingest)
    if locked and locked == digest:
        raise ConfigError("--external-test is the source itself; name scans that the study does not learn from")
    record = new_run_record(
        preset=preset,
        seed=seed,
        config=study,
        source_digest=digest,
        external_digest=locked,
        compute=str(best_compute()),
    )
    if not run.run_json.exists():
        try:
            write_record(run.run_json, record)
        except OSError as error:
            raise ConfigError(f"the run folder {root} cannot be written: {os.strerror(error.errno or 0)}") from error
        return record
    there = record_of(run)
    differing = record.differing(there)
    still_locked = differing == ["external_digest"] and not run.external.manifest.exists()
    if differing and not still_locked:
        raise ConfigError(
            f"{root} already holds a different run (its {', '.join(_IN_WORDS[name] for name in differing)} differ: "
            f"preset {there.preset}, seed {there.seed}); choose another folder with --out"
        )
    if not resume:
        raise ConfigError(f"{root} already holds this run; add --resume to go on with it, or choose another --out")
    if still_locked:  # nothing was learned from the other one, so it may be left aside
        shutil.rmtree(run.external.root, ignore_errors=True)
        there = there.model_copy(update={"external_digest": locked})
        write_record(run.run_json, there)
    return there


_IN_WORDS: Final = {
    "seed": "seed",
    "config_digest": "configuration",
    "source_digest": "scans",
    "external_digest": "locked test set, which was opened,",
}


def _existing(source: str) -> str:
    if not is_remote(source) and not Path(source).exists():
        raise ConfigError(f"the source {source} does not exist; name a folder of scans")
    return source


def dated(out: str) -> Path:
    """The run folder as an absolute path, `{date}` in it replaced by when this run was scheduled (else, by now)."""
    return Path(out.replace("{date}", flow_run.scheduled_start_time.strftime("%Y-%m-%d-%H%M"))).absolute()
