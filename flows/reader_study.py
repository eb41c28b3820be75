"""The answers of readers, held against the key of a run: scored, put into its summary, and its report drawn again.

Needs neither Prefect nor torch, so it runs where the report is read.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from data_contracts.manifest import SYNTHETIC, TUMOUR
from data_contracts.reader import MOST_BYTES, ReaderAnswers, ReaderKey, check_answers, in_order, parse_answers
from data_contracts.results import ReaderStudy, RunSummary
from data_contracts.violations import ContractError, Violation, require
from flows.errors import ConfigError
from flows.report import summary_of, write_report
from pipeline.evidence.readers import Reading, score
from pipeline.run_dir import RunDir, read_record, write_record


def key_path(run: RunDir) -> Path:
    """What the slices are; written last, so where it stands the pictures do."""
    return run.metric("reader_key.json")


def scores_path(run: RunDir) -> Path:
    """What readers could tell."""
    return run.metric("reader_study.json")


def score_answers(files: Sequence[Path], root: Path) -> ReaderStudy:
    """Score these files together, in place of what was scored before, and draw the report again.

    Raises ConfigError where a file or a finished run with a reader study is not there, ContractError where a file is
    broken, unfinished, of another study, or of a reader that another file is of; nothing is written then.
    """
    run = RunDir(root)
    summary, key = _opened(run)
    told = _read_all(files)
    require(check_answers(told, key))
    answers = [one for _, one in told]
    study = score(
        reading_of(answers, key),
        study=key.study,
        readers=[one.reader.strip() for one in answers],
        rng=np.random.default_rng([summary.provenance.seed, int(key.study, 16)]),
    )
    write_record(scores_path(run), study)
    write_record(run.summary, summary.model_copy(update={"reader_study": study}))
    write_report(run, run.report)
    return study


def reading_of(answers: Sequence[ReaderAnswers], key: ReaderKey) -> Reading:
    """What whole files say, in the order of the key."""
    sorted_answers = [in_order(one, key) for one in answers]
    return Reading(
        synthetic=np.array([item.origin == SYNTHETIC for item in key.items]),
        tumour=np.array([item.diagnosis == TUMOUR for item in key.items]),
        groups=tuple(item.group for item in key.items),
        said_synthetic=np.array([[answer.origin == SYNTHETIC for answer in one] for one in sorted_answers]),
        said_tumour=np.array([[answer.diagnosis == TUMOUR for answer in one] for one in sorted_answers]),
        confidence=np.array([[answer.confidence for answer in one] for one in sorted_answers]),
    )


def line(study: ReaderStudy) -> str:
    """What was scored, in one line."""
    readers, mean = len(study.readers), study.together.accuracy
    return (
        f"{readers} {'reader' if readers == 1 else 'readers'}, {study.n_real + study.n_synthetic} slices: real or "
        f"synthetic told right in {100 * mean.estimate:.1f} % ({100 * mean.low:.1f} to {100 * mean.high:.1f}), "
        "guessing is 50 %."
    )


def _opened(run: RunDir) -> tuple[RunSummary, ReaderKey]:
    """The summary and the key of a finished run."""
    summary = summary_of(run)
    if not key_path(run).exists():
        raise ConfigError(
            f"{run.root} has no reader study: its first fold was too small for one, or an earlier version made it; try "
            f"`augment-mri reader-study draw {run.root}`"
        )
    try:
        key = read_record(key_path(run), ReaderKey)
    except ValidationError as error:
        detail = "reader_key.json is not what this version writes; draw both anew with reader-study draw --again"
        raise ContractError([Violation(str(run.root), "broken run", detail)]) from error
    if summary.reader_slices is None or summary.reader_slices.study != key.study:
        raise ConfigError(
            f"the page of {run.root} shows other slices than its key tells of; draw both with `augment-mri "
            f"reader-study draw {run.root} --again`"
        )
    return summary, key


def _read_all(files: Sequence[Path]) -> list[tuple[str, ReaderAnswers]]:
    """Every file by its name; all that is broken in any of them is raised at once."""
    told: list[tuple[str, ReaderAnswers]] = []
    broken: list[Violation] = []
    for path in files:
        try:
            with path.open("rb") as file:
                data = file.read(MOST_BYTES + 1)
        except OSError as error:
            raise ConfigError(f"{path} cannot be read: {os.strerror(error.errno or 0)}; name exported files") from error
        try:
            told.append((str(path), parse_answers(data, name=str(path))))
        except ContractError as error:
            broken += error.violations
    require(broken)
    return told
