"""Which real test slices are called wrong, with synthetic slices and without: what they mended and what they broke."""

from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from data_contracts.manifest import TUMOUR
from data_contracts.results import PRIMARY_ARM, PRIMARY_RATIO, REFERENCE_ARM, WrongCase, WrongCases, WrongCount
from data_contracts.splits import WHOLE
from pipeline.evidence.measures import THRESHOLD

MOST: Final = 12  # cases that are shown


def wrong_cases(predictions: pd.DataFrame, *, most: int = MOST) -> WrongCases:
    """Counts of slices called wrong, and those that the primary arm calls wrong most confidently, the worst first.

    predictions: the rows of `utility.predict_arms` of every fold. Whole folds, PRIMARY_RATIO and the true diagnoses
    count, as for the verdict; of each slice and arm the mean probability over all trainings that were tested on it.
    Of each group the worst one alone, so that copies of one picture do not take the place of others; equal ones stand
    in the order of their numbers.
    """
    decide = (predictions["share"] == WHOLE) & (predictions["control"] == "none")
    decide &= predictions["ratio"] == PRIMARY_RATIO
    rows = predictions[decide & predictions["arm"].isin([PRIMARY_ARM, REFERENCE_ARM])]
    of_slice = ["slice_id", "group", "diagnosis"]
    means = rows.groupby([*of_slice, "arm"])["probability"].mean().unstack("arm")  # noqa: PD010
    slices = means.reset_index()
    tumour = (slices["diagnosis"] == TUMOUR).to_numpy()
    wrong, reference_wrong = ((slices[arm].to_numpy() >= THRESHOLD) != tumour for arm in (PRIMARY_ARM, REFERENCE_ARM))
    folds = rows.groupby("slice_id")["fold"].min()
    confidence = np.abs(slices[PRIMARY_ARM].to_numpy() - THRESHOLD)
    order = [i for i in np.lexsort((slices["slice_id"], -confidence)) if wrong[i]]
    worst = slices.loc[order].drop_duplicates("group").index[:most]
    return WrongCases(
        n_slices=len(slices),
        n_subjects=int(slices["group"].nunique()),
        n_trainings=len(rows) // (2 * len(slices)),
        both=_count(slices, tumour, wrong & reference_wrong),
        mended=_count(slices, tumour, ~wrong & reference_wrong),
        broken=_count(slices, tumour, wrong & ~reference_wrong),
        cases=tuple(
            WrongCase(
                slice_id=slices["slice_id"][i],
                fold=int(folds[slices["slice_id"][i]]),
                diagnosis=slices["diagnosis"][i],
                probability=float(slices[PRIMARY_ARM][i]),
                reference_probability=float(slices[REFERENCE_ARM][i]),
                reference_wrong=bool(reference_wrong[i]),
            )
            for i in worst
        ),
    )


def _count(slices: pd.DataFrame, tumour: NDArray[np.bool_], chosen: NDArray[np.bool_]) -> WrongCount:
    return WrongCount(
        n_slices=int(chosen.sum()),
        n_subjects=int(slices.loc[chosen, "group"].nunique()),
        n_tumour=int((tumour & chosen).sum()),
    )
