"""What the predictions of all trainings say: the difference that decides, its verdict, and what stands beside it."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd

from data_contracts.results import (
    CONTROL_HALF_WIDTH,
    DUPLICATES_ARM,
    PASTED_ARM,
    PRIMARY_ARM,
    PRIMARY_RATIO,
    REFERENCE_ARM,
    Arm,
    ArmScores,
    Control,
    Difference,
    DosePoint,
    Estimate,
    LearningPoint,
    PastedUtility,
    UtilityComparison,
    Verdict,
)
from data_contracts.splits import WHOLE
from pipeline.evidence.arms import learning_arms
from pipeline.evidence.detail import arm_details
from pipeline.evidence.inference import further_tests
from pipeline.evidence.statistics import METRICS, Bootstrap, Setting, bootstrap, verdict
from pipeline.evidence.utility import UtilityConfig

CHANCE: Final = 0.5


def compare(predictions: pd.DataFrame, *, config: UtilityConfig, rng: np.random.Generator) -> UtilityComparison:
    """Compare the arms over all folds and say whether synthetic data helped.

    predictions: the rows of `predict_arms` of every fold evaluated, those of shares too. Whole folds, PRIMARY_RATIO
    and the true diagnoses decide; all else stands beside, copy-paste too where the study has that arm. Raises
    ContractError where predictions are incomplete.
    """
    whole = predictions[(predictions["share"] == WHOLE) & (predictions["control"] == "none")]
    primary = whole[whole["ratio"] == PRIMARY_RATIO]
    setting = Setting(at_specificity=config.at_specificity, prevalence=config.prevalence)
    drawn = bootstrap(predictions=primary, draws=config.bootstrap, rng=rng, setting=setting)
    to_reference = _difference(drawn, reference=REFERENCE_ARM, config=config)
    to_duplicates = _difference(drawn, reference=DUPLICATES_ARM, config=config)
    pasted = PASTED_ARM in config.arms
    return UtilityComparison(
        verdict=_verdict(drawn, PRIMARY_ARM, config),
        difference=to_reference,
        difference_to_duplicates=to_duplicates,
        difference_to_copy_paste=_difference(drawn, reference=PASTED_ARM, config=config) if pasted else None,
        copy_paste=_pasted(drawn, config) if pasted else None,
        arms=tuple(_arm_scores(drawn, primary, arm=arm) for arm in config.arms),
        statistics=further_tests(
            drawn,
            arm=PRIMARY_ARM,
            reference=REFERENCE_ARM,
            margin=config.equivalence_margin,
            rng=rng,
            test_share=_test_share(primary),
        ),
        dose=_dose_points(whole, config=config, rng=rng),
        learning=_learning_points(predictions, config=config, rng=rng),
        controls=_controls(predictions, primary, config=config, rng=rng),
        arm_details=arm_details(drawn, primary),
    )


def _verdict(drawn: Bootstrap, arm: str, config: UtilityConfig) -> Verdict:
    """Of one arm against the reference and the duplicates in the same study."""
    return verdict(
        to_reference=drawn.difference(arm, REFERENCE_ARM, "balanced_accuracy")[0],
        to_duplicates=drawn.difference(arm, DUPLICATES_ARM, "balanced_accuracy")[0],
        margin=config.equivalence_margin,
        n_groups=len(drawn.study.groups),
        enough_groups=drawn.enough_groups(),
    )


def _pasted(drawn: Bootstrap, config: UtilityConfig) -> PastedUtility:
    difference = _difference(drawn, arm=PASTED_ARM, reference=REFERENCE_ARM, config=config)
    return PastedUtility(verdict=_verdict(drawn, PASTED_ARM, config), difference=difference)


def _difference(drawn: Bootstrap, *, reference: Arm, config: UtilityConfig, arm: Arm = PRIMARY_ARM) -> Difference:
    estimate, detectable = drawn.difference(arm, reference, "balanced_accuracy")
    return Difference(
        **estimate.model_dump(),
        arm=arm,
        reference=reference,
        n_subjects=len(drawn.study.groups),
        n_slices=drawn.study.n_slices,
        n_seeds=drawn.study.n_seeds,
        minimum_detectable_effect=detectable,
        equivalence_margin=config.equivalence_margin,
    )


def _mean_over_folds(predictions: pd.DataFrame, column: str) -> float:
    """Of what is the same in all rows of one training, and about so in all of one fold."""
    return float(predictions.groupby("fold")[column].mean().mean())


def _test_share(predictions: pd.DataFrame) -> float:
    """Test groups of one fold over its test and training groups, mean over folds."""
    by_fold = predictions.groupby("fold").agg(tested=("group", "nunique"), learned=("n_subjects", "first"))
    return float((by_fold["tested"] / (by_fold["tested"] + by_fold["learned"])).mean())


def _arm_scores(drawn: Bootstrap, primary: pd.DataFrame, *, arm: Arm) -> ArmScores:
    rows = primary[primary["arm"] == arm]
    return ArmScores(
        arm=arm,
        n_seeds=drawn.study.n_seeds,
        n_real=_mean_over_folds(rows, "n_real"),
        n_added=_mean_over_folds(rows, "n_added"),
        **{metric: drawn.estimate(arm, metric) for metric in METRICS},
    )


def _dose_points(whole: pd.DataFrame, *, config: UtilityConfig, rng: np.random.Generator) -> tuple[DosePoint, ...]:
    """The primary arm at every ratio, beside one reference, under the same resamples."""
    if not config.doses:
        return ()
    of_primary = whole[whole["arm"] == PRIMARY_ARM]
    named = of_primary.assign(arm=of_primary["ratio"].map(str))
    drawn = bootstrap(
        predictions=pd.concat([whole[whole["arm"] == REFERENCE_ARM], named]), draws=config.bootstrap, rng=rng
    )
    return tuple(
        DosePoint(
            ratio=ratio,
            n_added=_mean_over_folds(of_primary[of_primary["ratio"] == ratio], "n_added"),
            balanced_accuracy=drawn.estimate(str(ratio), "balanced_accuracy"),
            difference=drawn.difference(str(ratio), REFERENCE_ARM, "balanced_accuracy")[0],
        )
        for ratio in sorted({PRIMARY_RATIO, *config.doses})
    )


def _learning_points(
    predictions: pd.DataFrame, *, config: UtilityConfig, rng: np.random.Generator
) -> tuple[LearningPoint, ...]:
    """The same arms at every share of the training groups; () where all folds are whole."""
    comparable = (predictions["control"] == "none") & (predictions["ratio"] == PRIMARY_RATIO)
    arms = learning_arms(config.arms)
    of_arms = predictions[comparable & predictions["arm"].isin(arms)]
    shares = sorted(of_arms["share"].unique())
    if len(shares) < 2:
        return ()
    points = []
    for share in shares:
        rows = of_arms[of_arms["share"] == share]
        drawn = bootstrap(predictions=rows, draws=config.bootstrap, rng=rng)
        points.append(
            LearningPoint(
                share=share,
                n_subjects=_mean_over_folds(rows, "n_subjects"),
                arms={arm: drawn.estimate(arm, "balanced_accuracy") for arm in arms},
                difference=drawn.difference(PRIMARY_ARM, REFERENCE_ARM, "balanced_accuracy")[0],
            )
        )
    return tuple(points)


def _controls(
    predictions: pd.DataFrame, primary: pd.DataFrame, *, config: UtilityConfig, rng: np.random.Generator
) -> tuple[Control, ...]:
    """Those that were trained. Permuted diagnoses fail above chance; a collapsed generator, where it were a gain.

    The collapsed generator is judged by the rule of the verdict, beside the arms of the same seeds: better than the
    reference and than duplicates. Neither passes where it could hardly have failed (`_passed`).
    """
    found = []
    permuted = predictions[predictions["control"] == "permuted_diagnoses"]
    if len(permuted):
        drawn = bootstrap(predictions=permuted, draws=config.bootstrap, rng=rng)
        estimate = drawn.estimate(REFERENCE_ARM, "balanced_accuracy")
        passed = _passed(drawn, (estimate,), failed=estimate.low > CHANCE)
        found.append(Control(control="permuted_diagnoses", estimate=estimate, null=CHANCE, passed=passed))
    collapsed = predictions[predictions["control"] == "collapsed_generator"]
    if len(collapsed):
        beside = primary["arm"].isin((REFERENCE_ARM, DUPLICATES_ARM)) & primary["seed"].isin(collapsed["seed"])
        both = pd.concat([primary[beside], collapsed])
        drawn = bootstrap(predictions=both, draws=config.bootstrap, rng=rng)
        references: tuple[Arm, ...] = (REFERENCE_ARM, DUPLICATES_ARM)
        to = [drawn.difference(PRIMARY_ARM, reference, "balanced_accuracy")[0] for reference in references]
        passed = _passed(drawn, to, failed=_verdict(drawn, PRIMARY_ARM, config) == "gain")
        found.append(Control(control="collapsed_generator", estimate=to[0], null=0.0, passed=passed))
    return tuple(found)


def _passed(drawn: Bootstrap, intervals: Sequence[Estimate], *, failed: bool) -> bool | None:
    """None where the control could hardly have failed: too few groups of a diagnosis, or too wide an interval.

    intervals: all that must lie off null for the control to fail.
    """
    if not drawn.enough_groups():
        return None
    wide = any((interval.high - interval.low) / 2 > CONTROL_HALF_WIDTH for interval in intervals)
    return False if failed else None if wide else True
