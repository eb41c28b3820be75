"""A locked test set from elsewhere joined to the scans that a study develops on: nothing of it was ever met there.

All development groups become the training part of one fold, all groups of the locked set its test part. A group of the
locked set that shares a patient, a picture or a near-copy with the development set is left out whole. A patient is
known again by a name that a key gave in both sets, or by a picture: every one that the study read, used or not.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data_contracts.manifest import DIAGNOSES, check_manifest
from data_contracts.splits import Fold, Splits, check_splits
from data_contracts.violations import ContractError, Violation, require
from pipeline.run_dir import RunDir, whole, write_json, write_record, write_table
from pipeline.scans import duplicates
from pipeline.scans.normalise import NormaliseConfig, measure
from pipeline.scans.split import drawn

MARK: Final = "external"  # in the names of the locked set, which are numbers that both sets use


def join(*, development: RunDir, locked: RunDir, out: RunDir, seed: int, subjects: int | None = None) -> int:
    """Write manifest, splits and slices of both sets into `out`; returns how many locked slices were left out.

    subjects: learn from so many development groups, drawn by the seed, as in `split`; None: from all.
    development, locked: ingested datasets. The pixels are linked, not copied, where the file system can. The seed draws
    the hashes of the search for copies. Raises ContractError where the locked set has nothing new of one diagnosis.
    """
    ours, theirs = pd.read_parquet(development.manifest), _marked(pd.read_parquet(locked.manifest))
    copies = _copies(development, locked, ours, theirs, seed=seed)
    met = _met(ours, theirs, copies, seen=set(pd.read_parquet(development.seen)["sha256"]))
    kept = theirs[~theirs["group"].isin(met)]
    missing = [diagnosis for diagnosis in DIAGNOSES if diagnosis not in set(kept["diagnosis"])]
    if missing:
        detail = f"no new {missing[0]} slice: {len(theirs) - len(kept)} of {len(theirs)} are of patients or pictures "
        raise ContractError([Violation("external test", "nothing new", f"{detail}that the study has")])
    manifest = pd.concat([ours, kept], ignore_index=True)
    fold = Fold(fold=0, train=tuple(ours["group"].unique()), test=tuple(kept["group"].unique()))
    if subjects is not None:
        fold = drawn(fold, manifest, subjects=subjects, seed=seed)
    splits = Splits(seed=seed, folds=(fold,))
    require([*check_manifest(manifest), *check_splits(splits, manifest)])
    for source, ids in ((development, ours["slice_id"]), (locked, kept["slice_id"])):
        for slice_id in ids:
            _link(source.slice_pixels(slice_id.removeprefix(f"{MARK}-")), out.slice_pixels(slice_id))
    write_json(out.left_out, len(theirs) - len(kept))
    write_record(out.splits, splits)
    write_table(out.manifest, manifest)  # last: where the manifest stands, everything stands
    return len(theirs) - len(kept)


def _marked(manifest: pd.DataFrame) -> pd.DataFrame:
    """The manifest with slices and groups under names that the other set does not use; patients keep theirs."""
    return manifest.assign(
        slice_id=MARK + "-" + manifest["slice_id"],
        group="group-" + MARK + "-" + manifest["group"].str.removeprefix("group-"),
        subject=manifest["subject"].where(_keyed(manifest), "subject-" + MARK + manifest["subject"].str[7:]),
    )


def _keyed(manifest: pd.DataFrame) -> pd.Series:
    """Which subjects are named by a key, so that one name is one patient in both sets; else names are numbers."""
    return manifest["subject"].str.fullmatch(r"subject-[0-9a-f]{16}")


def _copies(
    development: RunDir, locked: RunDir, ours: pd.DataFrame, theirs: pd.DataFrame, *, seed: int
) -> NDArray[np.int64]:
    """Rows of the locked set that look like a development slice."""
    seen = [
        *(_features(development, list(ours["slice_id"]))),
        *(_features(locked, [slice_id.removeprefix(f"{MARK}-") for slice_id in theirs["slice_id"]])),
    ]
    side = np.repeat([0, 1], [len(ours), len(theirs)])  # slices of one side are not compared with each other
    near = duplicates.near_duplicates(features=np.stack(seen), subjects=side, seed=seed)
    return np.unique([max(pair) - len(ours) for pair in near]).astype(np.int64)


def _features(run: RunDir, slice_ids: Sequence[str]) -> list[NDArray[np.float16]]:
    found = []
    for slice_id in slice_ids:
        with np.load(run.slice_pixels(slice_id)) as stored:
            pixels = stored["pixels"]
        found.append(duplicates.features(pixels, head=measure(pixels, NormaliseConfig(size=duplicates.SIZE))))
    return found


def _met(ours: pd.DataFrame, theirs: pd.DataFrame, copies: NDArray[np.int64], *, seen: set[str]) -> set[str]:
    """Groups of the locked set that share a picture, a near-copy or a patient with the development set."""
    same = theirs["sha256"].isin(seen) | theirs["subject"].isin(ours["subject"])
    same.iloc[copies] = True
    return set(theirs.loc[same, "group"])


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        return
    try:
        target.hardlink_to(source)
    except OSError:  # another file system, or one without links
        with whole(target) as part:
            shutil.copyfile(source, part)
