"""The arms that decide in detail: ROC curve, calibration curve, how sure they are, and what they call each slice."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data_contracts.manifest import DIAGNOSES, NO_TUMOUR, TUMOUR
from data_contracts.results import (
    DUPLICATES_ARM,
    PASTED_ARM,
    PRIMARY_ARM,
    REFERENCE_ARM,
    Arm,
    ArmDetail,
    CalibrationBin,
    Confusion,
    RocPoint,
)
from pipeline.evidence.measures import BINS, THRESHOLD, bins, roc_rates, sums
from pipeline.evidence.statistics import LEVEL, Bootstrap

DETAILED: tuple[Arm, ...] = (REFERENCE_ARM, DUPLICATES_ARM, PASTED_ARM, PRIMARY_ARM)
Floats = NDArray[np.float64]


def arm_details(drawn: Bootstrap, predictions: pd.DataFrame) -> tuple[ArmDetail, ...]:
    """Of each arm in DETAILED that the study has.

    predictions: those that `drawn` was drawn from, with its columns (see `measures.count`).
    """
    return tuple(
        _detail(drawn, predictions[predictions["arm"] == arm], arm=arm) for arm in DETAILED if arm in drawn.study.arms
    )


def _detail(drawn: Bootstrap, rows: pd.DataFrame, *, arm: Arm) -> ArmDetail:
    return ArmDetail(
        arm=arm,
        roc=roc(drawn, arm),
        calibration=calibration(rows),
        confidence=drawn.spread_of(arm, "confidence", _both_alike).point,
        overconfidence=drawn.signed_interval(drawn.spread_of(arm, "overconfidence", _both_alike)),
        confusion=confusion(rows),
    )


def _both_alike(rates: Floats, _: Floats) -> Floats:
    """Quotients (..., 2) of the diagnoses to their mean (...)."""
    mean: Floats = rates.mean(-1)
    return mean


def roc(drawn: Bootstrap, arm: Arm) -> tuple[RocPoint, ...]:
    """The arm's ROC curve at `roc_rates`, averaged over models at the same share of false alarms.

    The band is made of percentiles of resampled groups, for near a jump of a curve of few slices a standard error says
    little; like the curve it only rises.
    """
    of_study, resampled = (
        sums("roc", study=drawn.study, arm=arm, weights=weights, setting=drawn.setting).quotient()
        for weights in (np.ones((1, len(drawn.study.groups))), drawn.weights)
    )
    band = np.clip(np.nanquantile(resampled, ((1 - LEVEL) / 2, (1 + LEVEL) / 2), axis=0), 0, 1)  # rounding
    return tuple(
        RocPoint(false_alarms=rate, sensitivity=point, low=min(low, point), high=max(high, point))
        for rate, point, low, high in zip(roc_rates(drawn.setting), of_study[0], *band, strict=True)
    )


def calibration(rows: pd.DataFrame) -> tuple[CalibrationBin, ...]:
    """Mean probability and share of tumour in each bin that is not empty, of one arm's predictions.

    A model counts by its test slices and both diagnoses of its fold alike, as in the calibration error.
    """
    model = rows.groupby(["fold", "seed"])["slice_id"]
    side = rows.groupby(["fold", "seed", "diagnosis"])["slice_id"]
    told = pd.DataFrame(
        {
            "bin": bins(rows["probability"].to_numpy(float)),
            "weight": (model.transform("size") / len(DIAGNOSES) / side.transform("size")).to_numpy(),
            "probability": rows["probability"].to_numpy(float),
            "tumour": (rows["diagnosis"] == TUMOUR).to_numpy(float),
            "once": _once(rows),
            "seed": rows["seed"].to_numpy(),
            "group": rows["group"].to_numpy(),
        }
    )
    n_seeds = rows["seed"].nunique()
    found = []
    for place in range(BINS):
        inside = told[told["bin"] == place]
        if len(inside):
            found.append(
                CalibrationBin(
                    probability=float(np.average(inside["probability"], weights=inside["weight"])),
                    tumour=float(np.average(inside["tumour"], weights=inside["weight"])),
                    n_slices=float(inside["once"].sum()),
                    n_subjects=len(inside.drop_duplicates(["seed", "group"])) / n_seeds,
                )
            )
    return tuple(found)


def confusion(rows: pd.DataFrame) -> Confusion:
    """What one arm's models call the slices, from its predictions."""
    called = rows["probability"].to_numpy(float) >= THRESHOLD
    tumour, once = (rows["diagnosis"] == TUMOUR).to_numpy(), _once(rows)
    groups = rows.groupby("diagnosis")["group"].nunique()
    return Confusion(
        found=float(once[tumour & called].sum()),
        missed=float(once[tumour & ~called].sum()),
        cleared=float(once[~tumour & ~called].sum()),
        false_alarms=float(once[~tumour & called].sum()),
        n_tumour_subjects=int(groups[TUMOUR]),
        n_no_tumour_subjects=int(groups[NO_TUMOUR]),
    )


def _once(rows: pd.DataFrame) -> Floats:
    """Weights (n,) under which every slice counts once, however many models tested it."""
    return (1 / rows.groupby("slice_id")["slice_id"].transform("size")).to_numpy(float)
