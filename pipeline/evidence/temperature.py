"""Probabilities that mean what they say: one temperature an arm, found on training subjects kept aside for it.

Nothing but the temperature is fitted, so no decision at 0.5 and no order of slices can change, and no verdict.
"""

from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from scipy.optimize import minimize_scalar
from scipy.special import expit

from data_contracts.manifest import DIAGNOSES, TUMOUR
from data_contracts.splits import strata

HELD_OUT: Final = 0.2  # of the training groups of each stratum
# beyond these one would read certainty from luck, and probabilities of different logits would tie at 1 in float64
COLDEST: Final = 0.5
HOTTEST: Final = 20.0


class Temperature(BaseModel):
    """What was found, and on how many slices and groups that were not learned from."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    temperature: float = Field(ge=COLDEST, le=HOTTEST)
    n_subjects: int
    n_slices: int


def hold_out(*, groups: pd.Series, diagnoses: pd.Series, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Rows (N,) of a fifth of the groups, of each stratum of `strata` at least one group and never its last.

    groups, diagnoses: of the training slices, a row a slice.
    """
    chosen: set[str] = set()
    for names in strata(groups, diagnoses):
        count = min(len(names) - 1, max(1, round(HELD_OUT * len(names))))
        chosen.update(rng.permutation(names)[:count])
    return groups.isin(chosen).to_numpy()


def fit_temperature(*, logits: NDArray[np.float64], diagnoses: NDArray[np.int64]) -> float:
    """Temperature T that minimises the cross-entropy of sigmoid(logit / T) on slices not learned from (Guo 2017).

    logits (N,); diagnoses (N,), indices into DIAGNOSES. Both diagnoses weigh alike: the probability is one at equal
    prevalence, as in the batches learned from. Targets are (n + 1) / (n + 2) and 1 / (n + 2) in place of 1 and 0, n
    being the slices of the diagnosis (Platt 1999): few slices that happen to be separated do not call for certainty.
    Returns T in [COLDEST, HOTTEST]; 1 where a diagnosis has no slice.
    """
    tumour = diagnoses == DIAGNOSES.index(TUMOUR)
    counts = np.where(tumour, tumour.sum(), (~tumour).sum())
    if not tumour.any() or tumour.all():
        return 1.0
    target = np.where(tumour, counts + 1, 1) / (counts + 2)
    weight = 1 / (2 * counts)

    def cross_entropy(log_temperature: float) -> float:
        scaled = logits / np.exp(log_temperature)
        return float((weight * (np.logaddexp(0, scaled) - target * scaled)).sum())

    found = minimize_scalar(cross_entropy, bounds=(np.log(COLDEST), np.log(HOTTEST)), method="bounded")
    return float(np.exp(found.x))


def calibrated(logits: NDArray[np.float64], *, temperature: float) -> NDArray[np.float64]:
    """Probabilities of tumour (N,), in the order of the logits and on their side of 0.5."""
    return expit(logits / temperature)
