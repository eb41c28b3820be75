"""Two tests for one locked test set whose cases are independent: McNemar of calls, DeLong of areas under the curve.

Both take one answer a case. Slices of one head are not independent, and answers of different folds come from
different models: neither test holds within the study itself.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from data_contracts.manifest import TUMOUR
from data_contracts.violations import require
from pipeline.evidence.measures import THRESHOLD, check_predictions

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


def locked_tests(*, predictions: pd.DataFrame, arm: str, reference: str) -> tuple[float | None, float | None]:
    """Two-sided p of McNemar's and of DeLong's test, arm against reference; None twice where a group has two slices.

    predictions: as in `measures.count`. The probabilities of all models that saw a slice are averaged first, so both
    tests are of the arms' joint answer, one a case.
    """
    require(check_predictions(predictions))
    one_a_group = predictions.groupby("group")["slice_id"].nunique().max() == 1
    if not one_a_group:
        return None, None
    answers = predictions.groupby(["slice_id", "diagnosis", "arm"])["probability"].mean().unstack("arm")  # noqa: PD010
    tumour = (answers.index.get_level_values("diagnosis") == TUMOUR).astype(bool)
    ours, theirs = answers[arm].to_numpy(float), answers[reference].to_numpy(float)
    right, reference_right = ((p >= THRESHOLD) == tumour for p in (ours, theirs))
    return (
        mcnemar_mid_p(right=right, reference_right=reference_right),
        delong_p(tumour=tumour, probability=ours, reference_probability=theirs),
    )


def mcnemar_mid_p(*, right: Flags, reference_right: Flags) -> float:
    """Two-sided mid-p that both are right equally often, from cases (n,) (Fagerland et al. 2013, equation 2)."""
    gained, lost = int((right & ~reference_right).sum()), int((~right & reference_right).sum())
    if gained == lost == 0:
        return 1.0
    fewer = stats.binom(gained + lost, 0.5)
    if gained == lost:
        return float(1 - fewer.pmf(gained) / 2)
    return float(2 * fewer.cdf(min(gained, lost)) - fewer.pmf(min(gained, lost)))


def delong(*, tumour: Flags, probabilities: Floats) -> tuple[Floats, Floats]:
    """Areas under the ROC curve (k,) and their covariance (k, k), by ranks (Sun and Xu 2014, algorithm 2).

    tumour (n,), with at least two cases of each diagnosis; probabilities (k, n). Raises ValueError with fewer.
    """
    n_tumour, n_others = int(tumour.sum()), int((~tumour).sum())
    if min(n_tumour, n_others) < 2:
        raise ValueError(f"two cases of each diagnosis, or there is no variance: {n_tumour} and {n_others}")
    positive, negative = probabilities[:, tumour], probabilities[:, ~tumour]
    among_all = stats.rankdata(np.concatenate([positive, negative], axis=1), axis=1)
    # share of the other diagnosis that each case is above (tumour), or below (no tumour)
    above = (among_all[:, :n_tumour] - stats.rankdata(positive, axis=1)) / n_others
    below = 1 - (among_all[:, n_tumour:] - stats.rankdata(negative, axis=1)) / n_tumour
    covariance = np.cov(above) / n_tumour + np.cov(below) / n_others
    return above.mean(1), np.atleast_2d(covariance)


def delong_p(*, tumour: Flags, probability: Floats, reference_probability: Floats) -> float | None:
    """Two-sided p that both areas are alike, from cases (n,); 1 where every case has the same rank in both.

    None with fewer than two cases of a diagnosis, and where areas differ without any variance.
    """
    if min(int(tumour.sum()), int((~tumour).sum())) < 2:
        return None
    areas, covariance = delong(tumour=tumour, probabilities=np.stack([probability, reference_probability]))
    variance = float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    if variance < 1e-15:
        return 1.0 if np.isclose(areas[0], areas[1]) else None
    return float(2 * stats.norm.sf(abs(areas[0] - areas[1]) / np.sqrt(variance)))
