"""The stages as Prefect tasks: each reads what earlier ones left in the run folder and writes its own part.

A task is a thin wrapper: it picks the rows a stage may see, calls the pipeline, and writes. Where its result
already stands it does nothing, which is how a killed run resumes. Paths and small records pass between tasks,
never images.
"""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data_contracts.manifest import DIAGNOSES, NO_TUMOUR
from data_contracts.results import FidelityScores, MemorisationScores, ShortcutScores, UtilityComparison
from data_contracts.splits import Splits
from data_contracts.violations import ContractError, Violation
from flows import case_pictures, cases, painting, pictures, progress
from flows.account import stage_task
from flows.config import RunRecord, config_digest
from flows.devices import Job, train_all
from flows.judge import judge
from flows.reader_slices import with_reader_study
from flows.report import write_report
from flows.study import CANVAS, fold_of, record_of, rows_of, score_path, seed_of
from flows.summary import summarise
from flows.watch import make_ruler, training_set
from pipeline.compute import best_compute
from pipeline.evidence import utility
from pipeline.evidence.arms import Sources
from pipeline.evidence.classifier import train_classifier
from pipeline.evidence.classifier_networks import Classifier
from pipeline.evidence.comparison import compare
from pipeline.evidence.feature_map import feature_map
from pipeline.evidence.shortcuts import audit
from pipeline.evidence.transfer import transfer
from pipeline.evidence.wrong_cases import wrong_cases
from pipeline.formats.synthetic import read_synthetic
from pipeline.run_dir import RunDir, read_record, write_json, write_record, write_table
from pipeline.scans.deidentify import read_key
from pipeline.scans.external import join
from pipeline.scans.ingest import ingest
from pipeline.scans.normalise import normalise
from pipeline.scans.phantom import write_phantoms
from pipeline.scans.split import split
from pipeline.synthesis import model_dir
from pipeline.synthesis.model_dir import JOINT
from pipeline.synthesis.training import train

_ORDER = {  # of the GANs of a fold, by strategy: those of one step can be trained at the same time
    "per_class": (DIAGNOSES,),
    "joint": ((JOINT,),),
    "finetune": ((JOINT,), DIAGNOSES),
    "paint": (DIAGNOSES,),
    "dream_and_paint": ((CANVAS, *DIAGNOSES),),
}


@stage_task("phantoms")
def phantoms_task(root: Path, out: Path) -> None:
    """Write the demo's head phantoms."""
    if out.exists():
        return
    record = record_of(RunDir(root))
    with progress.stage("Draw head phantoms", "subjects") as update:
        write_phantoms(
            out=out, subjects=record.config.phantoms.subjects, format="png", seed=record.seed, progress=update
        )


@stage_task("ingest")
def ingest_task(root: Path, source: str, key_file: Path | None = None) -> None:
    """Source -> manifest, facts, quarantine, what wants a look, and decoded slices."""
    run = RunDir(root)
    if run.manifest.exists():
        return
    record = record_of(run)
    with progress.stage("Read the scans", "scans") as update:
        ingest(
            source=source,
            out=run,
            config=record.config.ingest,
            seed=seed_of(record.seed, "ingest"),
            key=read_key(key_file),
            progress=update,
        )


@stage_task("split")
def split_task(root: Path) -> tuple[int, ...]:
    """Manifest -> folds; returns their numbers."""
    run = RunDir(root)
    if not run.splits.exists():
        record = record_of(run)
        manifest = pd.read_parquet(run.manifest)
        write_record(run.splits, split(manifest, config=record.config.split, seed=seed_of(record.seed, "split")))
    return tuple(fold.fold for fold in read_record(run.splits, Splits).folds)


@stage_task("normalise")
def normalise_task(root: Path) -> None:
    """Decoded slices -> one normalised array a fold, fitted on its training part."""
    run = RunDir(root)
    splits = read_record(run.splits, Splits)
    if run.normalised_masks.exists() and all(run.normalised(fold.fold).exists() for fold in splits.folds):
        return
    with progress.stage("Normalise", "slices") as update:
        normalise(
            run=run,
            manifest=pd.read_parquet(run.manifest),
            splits=splits,
            config=record_of(run).config.normalise,
            progress=update,
        )


@stage_task("audit shortcuts")
def audit_task(root: Path) -> None:
    """Can the diagnosis be told from the files, or from the edge of the normalised images?"""
    run = RunDir(root)
    path = run.metric("shortcuts.json")
    if path.exists():
        return
    record = record_of(run)
    with progress.stage("Look for shortcuts"):
        scores = audit(
            facts=pd.read_parquet(run.facts),
            images=lambda fold: np.load(run.normalised(fold), mmap_mode="r"),
            manifest=pd.read_parquet(run.manifest),
            splits=read_record(run.splits, Splits).whole,
            config=record.config.shortcuts,
            seed=seed_of(record.seed, "shortcuts"),
        )
    write_json(path, [one.model_dump(mode="json") for one in scores])


@stage_task("train on several devices")
def train_all_task(root: Path, folds: tuple[int, ...], devices: tuple[str, ...]) -> None:
    """Train every GAN of the study that is not finished, one a device; copies of joint ones when those are there."""
    for names in _ORDER[record_of(RunDir(root)).config.synthesis.strategy]:
        jobs = [Job(root, fold, name) for fold in folds for name in names]
        jobs = [job for job in jobs if not _finished(job)]
        if len(jobs) > 1:
            train_all(jobs, devices, train_job)
        elif jobs:
            _train_here(jobs[0])


@stage_task("train joint")
def train_joint_task(root: Path, fold: int) -> None:
    """Train the GAN of all diagnoses on one fold's training part."""
    job = Job(root, fold, JOINT)
    if not _finished(job):
        _train_here(job)


@stage_task("train canvases")
def train_canvas_task(root: Path, fold: int) -> None:
    """Train the GAN whose slices are to be painted on: of slices without a tumour of one fold's training part."""
    job = Job(root, fold, CANVAS)
    if not _finished(job):
        _train_here(job)


@stage_task("train")
def train_task(root: Path, fold: int, diagnosis: str) -> None:
    """Train the GAN of one diagnosis on one fold's training part, or make it from the joint one."""
    run, job = RunDir(root), Job(root, fold, diagnosis)
    if _finished(job):
        return
    if record_of(run).config.synthesis.strategy == "joint":
        model_dir.derive(run.model(fold, JOINT), run.model(fold, diagnosis), diagnosis=diagnosis)
    else:
        _train_here(job)


def _finished(job: Job) -> bool:
    return model_dir.config_path(RunDir(job.root).model(job.fold, job.diagnosis)).exists()


def _train_here(job: Job) -> None:
    with progress.stage(job.title, "images") as update:
        train_job(job, None, update)


def train_job(job: Job, device: str | None, update: progress.Update) -> None:
    """Train one GAN of a study on its fold's training part, going on from its checkpoint where one stands.

    By the study's strategy a diagnosis has a GAN that sees its slices alone, a copy of the joint one that goes on, or
    a painter; the GAN of canvases is the one that slices without a tumour would have alone. device: as `best_compute`.
    Nothing else depends on it. Raises as `training.train`.
    """
    run = RunDir(job.root)
    record, manifest = record_of(run), pd.read_parquet(run.manifest)
    synthesis = record.config.synthesis
    if synthesis.paints and job.diagnosis != CANVAS:
        painting.train_painter_job(job, device, update)
        return
    diagnosis = NO_TUMOUR if job.diagnosis == CANVAS else job.diagnosis
    alone = synthesis.strategy == "per_class" or job.diagnosis == CANVAS
    copy = not alone and job.diagnosis != JOINT
    budget = 1.0 if alone else synthesis.copy_budget if copy else synthesis.joint_budget
    rows = rows_of(manifest, fold_of(run, job.fold).train, diagnosis if alone else None)
    train(
        folder=run.model(job.fold, job.diagnosis),
        data=training_set(np.load(run.normalised(job.fold), mmap_mode="r")[rows], manifest[rows]),
        config=record.config.gan.with_budget(budget),
        seed=seed_of(record.seed, "gan", job.fold, diagnosis if alone else JOINT),
        compute=best_compute(device),
        progress=update,
        make_ruler=make_ruler(k=record.config.fidelity.k),
        diagnosis=job.diagnosis if copy else None,
        start=run.model(job.fold, JOINT) if copy else None,
    )


@stage_task("fidelity")
def fidelity_task(root: Path, fold: int, diagnosis: str) -> None:
    """Fidelity and diversity of the synthetic set of one fold and diagnosis, beside held-out real slices.

    Not of a fold of the learning curve: those are there for their classifiers.
    """
    run = RunDir(root)
    path, parts = score_path(run, "fidelity", fold, diagnosis), fold_of(run, fold)
    if path.exists() or not parts.whole:
        return
    record = record_of(run)
    manifest = pd.read_parquet(run.manifest)
    real = np.load(run.normalised(fold), mmap_mode="r")
    of_training, of_test = (rows_of(manifest, groups, diagnosis) for groups in (parts.train, parts.test))
    synthetic = read_synthetic(run.synthetic(fold, diagnosis))[1]
    k = record.config.fidelity.k
    smallest = min(int(of_training.sum()), int(of_test.sum()), len(synthetic))
    if smallest <= k:
        where = f"fold-{fold} {diagnosis}"
        detail = f"{smallest} slices in the smallest of training, test and synthetic set, {k + 1} are needed"
        detail += "; lower fidelity.k, train longer or add scans"
        raise ContractError([Violation(where, "too few slices to judge", detail)])
    with progress.stage(f"Judge {diagnosis} slices, fold {fold}"):
        scores = judge(
            fold=fold,
            diagnosis=diagnosis,
            synthetic=synthetic,
            held_out_real=real[of_test],
            training=real[of_training],
            training_groups=manifest.loc[of_training, "group"].tolist(),
            held_out_groups=manifest.loc[of_test, "group"].tolist(),
            config=record.config.fidelity,
            train_classifier=lambda: _classifier(run, fold),
            seed=seed_of(record.seed, "fidelity", fold, diagnosis),
            keep=_map_keeper(run, fold, diagnosis),
        )
    write_json(path, [one.model_dump(mode="json") for one in scores])


def _map_keeper(run: RunDir, fold: int, diagnosis: str) -> Callable[[str, dict[str, NDArray[np.float32]]], None] | None:
    """Keeps the map of features of one diagnosis, in the space that decides; of the first fold alone."""
    if fold != cases.first_fold(run):
        return None

    def keep(extractor: str, features: dict[str, NDArray[np.float32]]) -> None:
        rng = np.random.default_rng(seed_of(record_of(run).seed, "map", fold, diagnosis))
        found = feature_map(fold=fold, diagnosis=diagnosis, extractor=extractor, rng=rng, **features)
        write_record(score_path(run, "map", fold, diagnosis), found)

    return keep


def _classifier(run: RunDir, fold: int) -> Classifier:
    """A classifier of the fold's real training part alone, for its embedding."""
    record, manifest = record_of(run), pd.read_parquet(run.manifest)
    rows = rows_of(manifest, fold_of(run, fold).train)
    return train_classifier(
        images=np.load(run.normalised(fold), mmap_mode="r")[rows],
        diagnoses=manifest.loc[rows, "diagnosis"].map(DIAGNOSES.index).to_numpy(np.int64),
        classic=True,
        config=record.config.utility.classifier,
        seed=seed_of(record.seed, "embedding", fold),
        compute=best_compute(),
    )


@stage_task("classify")
def classify_task(root: Path, fold: int, *, judged: bool = True) -> None:
    """Train every arm's classifiers of one fold and keep what they say of its real test slices.

    judged: two of them are kept as they are, to see what they look at; not of a locked test set.
    """
    run = RunDir(root)
    path = run.metric(f"predictions-{fold}.parquet")
    if path.exists():
        return
    record = record_of(run)
    with progress.stage(f"Train classifiers, fold {fold}", "trainings") as update:
        predictions = utility.predict_arms(
            run=run,
            manifest=pd.read_parquet(run.manifest),
            fold=fold_of(run, fold),
            synthetic={d: read_synthetic(run.synthetic(fold, d))[1] for d in DIAGNOSES},
            pasted=painting.read_pasted(run, fold) if record.config.pastes else None,
            **_sources(run, fold),
            config=record.config.utility,
            seed=seed_of(record.seed, "classify", fold),
            compute=best_compute(),
            progress=update,
            keep=cases.keeper(run, fold, record.config.utility.classifier) if judged else None,
        )
    write_table(path, predictions)


def _sources(run: RunDir, fold: int) -> dict[str, Sources]:
    """Who is in the slices that were painted or pasted, as `predict_arms` wants it; nobody known is in others."""
    config, manifest = record_of(run).config, pd.read_parquet(run.manifest)
    found: dict[str, Sources] = {}
    if config.synthesis.paints:
        found["sources"] = painting.sources({d: run.synthetic(fold, d) for d in DIAGNOSES}, manifest)
    if config.pastes:
        found["pasted_sources"] = painting.sources({d: run.pasted(fold, d) for d in DIAGNOSES}, manifest)
    return found


@stage_task("carry classifiers over")
def transfer_task(root: Path, fold: int) -> None:
    """Do the fold's synthetic slices carry their generators' shortcuts? Where the study asks, and not of a share."""
    run = RunDir(root)
    path, parts, record = run.metric(f"transfer/{fold}.json"), fold_of(run, fold), record_of(run)
    if path.exists() or not parts.whole or record.config.transfer is None:
        return
    with progress.stage(f"Carry classifiers between synthetic and real slices, fold {fold}"):
        data = utility.read_fold(
            run=run,
            manifest=pd.read_parquet(run.manifest),
            fold=parts,
            synthetic={d: read_synthetic(run.synthetic(fold, d))[1] for d in DIAGNOSES},
            sources=_sources(run, fold).get("sources"),
        )
        found = transfer(data=data, config=record.config.transfer, seed=seed_of(record.seed, "transfer", fold))
    write_json(path, [one.model_dump(mode="json") for one in found])


@stage_task("compare")
def compare_task(root: Path) -> str:
    """All folds' predictions -> differences, intervals, verdict."""
    run = RunDir(root)
    path = run.metric("utility.json")
    if not path.exists():
        record = record_of(run)
        folds = read_record(run.splits, Splits).folds
        predictions = pd.concat([pd.read_parquet(run.metric(f"predictions-{f.fold}.parquet")) for f in folds])
        with progress.stage("Compare the arms"):
            comparison = compare(
                predictions,
                config=record.config.utility,
                rng=np.random.default_rng(seed_of(record.seed, "compare")),
            )
        write_table(run.metric("predictions.parquet"), predictions)
        write_record(path, comparison)
    return read_record(path, UtilityComparison).verdict


@stage_task("open the locked test set")
def open_external_task(root: Path, source: str, key_file: Path | None = None) -> Path:
    """Read the locked test set, once the verdict stands, and join it to the study's scans; the folder of its own run.

    There all development groups train and all locked ones test; doses, shares and controls were looked at before.
    """
    run, record = RunDir(root), record_of(RunDir(root))
    if not run.metric("utility.json").exists():
        raise RuntimeError("the locked test set stays closed until the verdict stands")
    locked = run.external
    if not locked.manifest.exists():
        write_record(locked.run_json, _of_external(record))
        with progress.stage("Open the locked test set", "scans") as update:
            ingest(
                source=source,
                out=locked.locked_scans,
                config=record.config.ingest,
                seed=seed_of(record.seed, "ingest"),
                key=read_key(key_file),
                progress=update,
            )
        join(
            development=run,
            locked=locked.locked_scans,
            out=locked,
            seed=seed_of(record.seed, "external"),
            subjects=record.config.split.subjects,
        )
    return locked.root


def _of_external(record: RunRecord) -> RunRecord:
    """What the run of the locked test set is: the study's, but for what was looked at before."""
    alone = {"utility": {"doses": (), "controls": False}, "split": {"shares": (), "repeats": 1}}
    changed = {name: getattr(record.config, name).model_copy(update=values) for name, values in alone.items()}
    config = record.config.model_copy(update=changed)
    both = hashlib.sha256(f"{record.source_digest} {record.external_digest}".encode()).hexdigest()
    digests = {"config_digest": config_digest(config), "source_digest": both, "external_digest": ""}
    return record.model_copy(update={"config": config} | digests)


@stage_task("report")
def report_task(root: Path) -> None:
    """Everything measured -> summary.json and report.html."""
    run = RunDir(root)
    with progress.stage("Write the report"):
        # folds of a learning curve are judged too, and told of by the curve alone
        folds = list(read_record(run.splits, Splits).whole.folds)
        parts = {
            name: [json.loads(score_path(run, name, f.fold, d).read_bytes()) for f in folds for d in DIAGNOSES]
            for name in ("fidelity", "memorisation")
        }
        judged = {"fidelity": [scores for part in parts["fidelity"] for scores in part]}
        judged["memorisation"] = parts["memorisation"]
        for name, scores in judged.items():
            write_json(run.metric(f"{name}.json"), scores)
        wrong, occlusions = wrong_cases(pd.read_parquet(run.metric("predictions.parquet"))), cases.read_occlusions(run)
        of_cases = case_pictures.draw_cases(run, occlusions=occlusions, wrong=wrong)
        summary = summarise(
            run,
            fidelity=[FidelityScores.model_validate(scores) for scores in judged["fidelity"]],
            memorisation=[MemorisationScores.model_validate(scores) for scores in judged["memorisation"]],
            shortcuts=[
                ShortcutScores.model_validate(one) for one in json.loads(run.metric("shortcuts.json").read_bytes())
            ],
            pictures=[*pictures.draw_all(run, folds, DIAGNOSES, pd.read_parquet(run.manifest)), *of_cases],
            occlusions=occlusions,
            wrong=wrong,
        )
        write_record(run.summary, with_reader_study(run, summary))
        write_report(run, run.report)
