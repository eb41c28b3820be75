"""Records that a report is made of, for the tests of wording, figures and pages; `conftest` makes it importable."""

from pathlib import Path

from PIL import Image

from data_contracts.results import (
    ARMS,
    PRIMARY_EXTRACTOR,
    Alarm,
    AlarmReason,
    ArmDetail,
    ArmScores,
    Belief,
    CalibrationBin,
    ClassCount,
    CollapseReason,
    CollapseVerdict,
    Confusion,
    Control,
    CurvePoint,
    DataFlow,
    Difference,
    DiscriminatorScores,
    DosePoint,
    Estimate,
    ExternalTest,
    FeatureMap,
    FidelityScores,
    LearningPoint,
    LesionSource,
    MemorisationScores,
    OcclusionCase,
    Occlusions,
    PastedUtility,
    Picture,
    Provenance,
    RocPoint,
    RuleCount,
    RunSummary,
    Secondary,
    SetScores,
    ShortcutScores,
    Statistics,
    TrainingRecord,
    TransferScores,
    WayTried,
    WrongCase,
    WrongCases,
    WrongCount,
)


def estimate(value: float, half: float = 0.02) -> Estimate:
    return Estimate(estimate=value, low=value - half, high=value + half)


def difference(estimate: float = 0.021, low: float = 0.004, high: float = 0.038, **changes: object) -> Difference:
    fields = {
        "arm": "real+classic+synthetic",
        "reference": "real+classic",
        "n_subjects": 56,
        "n_slices": 833,
        "n_seeds": 3,
        "minimum_detectable_effect": 0.0512,
        "equivalence_margin": 0.02,
    }
    return Difference.model_validate({**fields, "estimate": estimate, "low": low, "high": high, **changes})


def arm(name: str, sensitivity: float = 0.8, specificity: float = 0.8, **changes: object) -> ArmScores:
    balanced = estimate((sensitivity + specificity) / 2)
    fields = {
        "arm": name,
        "n_seeds": 3,
        "n_real": 0 if name == "synthetic_only" else 889,
        "n_added": 0,
        "balanced_accuracy": balanced,
        "accuracy": balanced,
        "auc": estimate(0.9),
        "sensitivity": estimate(sensitivity),
        "specificity": estimate(specificity),
    }
    return ArmScores.model_validate({**fields, **changes})


def data(**changes: object) -> DataFlow:
    fields: dict[str, object] = {
        "files_found": 1786,
        "slices_used": 1722,
        "subjects": 109,
        "subjects_known": True,
        "label_rules": ("mask",),
        "sequences": ("FLAIR",),
        "planes": ("axial",),
        "out": (),
        "review": (),
        "classes": (),
        "exact_duplicates": 0,
        "near_duplicate_pairs": 0,
        "image_size": 64,
        "folds_evaluated": 5,
        "folds_drawn": 5,
    }
    return DataFlow.model_validate({**fields, **changes})


def shortcut(**changes: object) -> ShortcutScores:
    fields: dict[str, object] = {
        "what": "border",
        "n_features": 12,
        "n_slices": 67,
        "n_subjects": 61,
        "balanced_accuracy": {"estimate": 0.734, "low": 0.65, "high": 0.81},
        "chance_high": 0.6,
        "suspected": False,
        "telling": ("file_bytes",),
    }
    return ShortcutScores.model_validate({**fields, **changes})


# --- diversity ---


def set_scores(recall: float = 0.5, coverage: float = 0.4, **changes: object) -> SetScores:
    fields: dict[str, object] = {
        "precision": 0.8,
        "recall": recall,
        "density": 0.9,
        "coverage": coverage,
        "kid": 0.0123,
        "kid_standard_error": 0.0008,
        "spread": 0.93,
        "frechet": 12.34,
        "vendi": 42.04,
        "different_bins": 0.12,
        "duplicate_share": 0.012,
        "support": 4012.4,
        "dissimilarity": 0.41,
    }
    return SetScores.model_validate({**fields, **changes})


COLLAPSED = set_scores(
    0.02, 0.03, precision=0.9, density=1.4, kid=0.2, spread=0.3, frechet=61.2, vendi=3.0, different_bins=0.97,
    duplicate_share=1.0, support=3.0, dissimilarity=0.2,
)  # fmt: skip
NOISE = set_scores(
    0.0, 0.01, precision=0.0, density=0.0, kid=0.9, spread=1.1, frechet=312.0, vendi=290.2, different_bins=0.99,
    duplicate_share=0.0, support=None, dissimilarity=0.97,
)  # fmt: skip


def collapse_reason(measure: str, value: float, limit: float, real: float, *, beyond: bool) -> CollapseReason:
    fields = {"measure": measure, "value": value, "limit": limit, "real": real, "beyond": beyond}
    return CollapseReason.model_validate(fields)


WITHIN = (
    collapse_reason("coverage", 0.42, 0.31, 0.40, beyond=False),
    collapse_reason("recall", 0.53, 0.45, 0.60, beyond=False),
    collapse_reason("vendi", 42.04, 30.0, 88.1, beyond=False),
    collapse_reason("spread", 0.93, 0.80, 1.0, beyond=False),
    collapse_reason("duplicate_share", 0.012, 0.06, 0.005, beyond=False),
    collapse_reason("dissimilarity", 0.41, 0.33, 0.44, beyond=False),
)


def collapse_verdict(*, lost: bool = False, reasons: tuple[CollapseReason, ...] = WITHIN) -> CollapseVerdict:
    return CollapseVerdict(mode_collapse=lost, reasons=reasons, n=300, n_draws=200)


LOST = collapse_verdict(
    lost=True,
    reasons=(
        collapse_reason("coverage", 0.12, 0.31, 0.40, beyond=True),
        collapse_reason("recall", 0.5, 0.45, 0.60, beyond=False),
        collapse_reason("vendi", 14.2, 30.0, 88.1, beyond=True),
        collapse_reason("duplicate_share", 0.3, 0.06, 0.005, beyond=True),
    ),
)


def fidelity(
    recall: float = 0.53,
    coverage: float = 0.42,
    reference: tuple[float, float] = (0.6, 0.4),
    **changes: object,
) -> FidelityScores:
    fields: dict[str, object] = {
        "fold": 0,
        "diagnosis": "tumour",
        "n": 300,
        "k": 5,
        "extractor": PRIMARY_EXTRACTOR,
        "extractor_digest": "a1b2c3d4e5f6" * 5 + "abcd",
        "synthetic": set_scores(recall, coverage),
        "held_out_real": set_scores(
            *reference, kid=0.0041, frechet=4.5, vendi=88.1, spread=1.02, duplicate_share=0.005, support=None
        ),
        "collapsed": COLLAPSED,
        "noise": NOISE,
        "collapse": collapse_verdict(),
    }
    return FidelityScores.model_validate({**fields, **changes})


# --- copies and training ---


def memorisation(
    n_near_copies: int = 4, n_generated: int = 400, median: float = 0.09, **changes: object
) -> MemorisationScores:
    fields: dict[str, object] = {
        "fold": 0,
        "diagnosis": "no_tumour",
        "n_generated": n_generated,
        "n_near_copies": n_near_copies,
        "n_broken": 1,
        "n_kept": max(0, n_generated - n_near_copies - 1),
        "threshold": 0.02,
        "median_distance_synthetic": median,
        "median_distance_held_out_real": 0.08,
        "n_held_out_real": 250,
        "held_out_real_near_copy_share": 0.01,
    }
    return MemorisationScores.model_validate({**fields, **changes})


def traced(membership: tuple[float, float] = (0.52, 0.05), **changes: object) -> MemorisationScores:
    """Searched for moved copies, in features, and by a membership attack (AUC, half its interval)."""
    fields: dict[str, object] = {
        "n_moved_copies": 1,
        "extractor": PRIMARY_EXTRACTOR,
        "feature_copy_share": 0.013,
        "held_out_real_feature_copy_share": 0.009,
        "authenticity": 0.91,
        "held_out_real_authenticity": 0.94,
        "membership_auc": estimate(*membership),
    }
    return memorisation(**{**fields, **changes})


def discriminator(**changes: object) -> DiscriminatorScores:
    fields: dict[str, object] = {
        "fold": 0,
        "diagnosis": "tumour",
        "on": "held_out_real",
        "n_real": 31,
        "n_synthetic": 96,
        "error_rate": 0.29,
        "accuracy": 0.71,
        "sensitivity": 0.80,
        "specificity": 0.62,
    }
    return DiscriminatorScores.model_validate({**fields, **changes})


def training(accuracies: list[float], **changes: object) -> TrainingRecord:
    """A training with a tick a thousand images."""
    fields: dict[str, object] = {
        "fold": 0,
        "diagnosis": "tumour",
        "n_slices": 1,
        "n_subjects": 1,
        "images_seen": 2000,
        "generator_parameters": 10,
        "discriminator_parameters": 20,
        "curve": tuple(
            CurvePoint(
                images_seen=1000 * i, generator_loss=1 + i, discriminator_loss=1, discriminator_accuracy=accuracy
            )
            for i, accuracy in enumerate(accuracies)
        ),
    }
    return TrainingRecord.model_validate({**fields, **changes})


# --- utility ---


def arm_detail(name: str, found: float = 0.8, surer: Estimate | None = None, **changes: object) -> ArmDetail:
    """Finds the share `found` of tumour slices at 10 % false alarms; of its four bins the second holds few subjects."""
    fields: dict[str, object] = {
        "arm": name,
        "roc": tuple(
            RocPoint(false_alarms=rate, sensitivity=found + rise, low=found + rise - 0.05, high=found + rise + 0.04)
            for rate, rise in ((0.02, -0.3), (0.05, -0.12), (0.1, 0.0), (0.2, 0.03), (0.5, 0.05), (0.9, 0.06))
        ),
        "calibration": tuple(
            CalibrationBin(probability=given, tumour=share, n_slices=n, n_subjects=of)
            for given, share, n, of in (
                (0.06, 0.02, 310.3, 41),
                (0.34, 0.2, 12, 3.7),
                (0.66, 0.81, 20, 9),
                (0.95, 0.97, 490.7, 50),
            )
        ),
        "confidence": 0.9,
        "overconfidence": surer or estimate(0.05, 0.03),
        "confusion": Confusion(
            found=300, missed=83, cleared=400, false_alarms=50, n_tumour_subjects=54, n_no_tumour_subjects=56
        ),
    }
    return ArmDetail.model_validate({**fields, **changes})


def statistics(*p_holm: float, **changes: object) -> Statistics:
    """With a secondary for each p, of accuracy, Brier score and sensitivity at fixed specificity in turn."""
    gains = {"accuracy": 0.019, "brier": -0.012, "sensitivity_at_specificity": -0.031}
    fields: dict[str, object] = {
        "sign_flip_p": 0.0132,
        "nadeau_bengio_p": 0.041,
        "belief": Belief(worse=0.02, equivalent=0.38, better=0.60),
        "secondaries": tuple(
            Secondary.model_validate(
                {"metric": metric, "difference": estimate(gain, 0.01), "p": holm / 3, "p_holm": holm}
            )
            for (metric, gain), holm in zip(gains.items(), p_holm, strict=False)
        ),
        "at_specificity": 0.9,
        "prevalence": 0.1,
    }
    return Statistics.model_validate({**fields, **changes})


def dose(*differences: Estimate) -> tuple[DosePoint, ...]:
    """At 0.25, 0.5, 1 and 2 synthetic slices a real one."""
    return tuple(
        DosePoint(ratio=ratio, n_added=889 * ratio, balanced_accuracy=estimate(0.861 + d.estimate), difference=d)
        for ratio, d in zip((0.25, 0.5, 1.0, 2.0), differences, strict=False)
    )


def learning(*differences: Estimate) -> tuple[LearningPoint, ...]:
    """With 25, 50 and 100 % of the subjects, the last of them with all."""
    shares = (0.25, 0.5, 1.0)[-len(differences) :]
    return tuple(
        LearningPoint(
            share=share,
            n_subjects=52.4 * share,
            arms={
                "real+classic": estimate(0.861 - 0.1 * (1 - share), 0.03),
                "real+classic+synthetic": estimate(0.861 - 0.1 * (1 - share) + d.estimate, 0.03),
            },
            difference=d,
        )
        for share, d in zip(shares, differences, strict=True)
    )


def permuted(value: float = 0.497, *, passed: bool | None = True) -> Control:
    return Control(control="permuted_diagnoses", estimate=estimate(value, 0.05), null=0.5, passed=passed)


def collapsed_generator(value: float = -0.004, *, passed: bool | None = True) -> Control:
    return Control(control="collapsed_generator", estimate=estimate(value, 0.015), null=0.0, passed=passed)


def external(low: float = 0.001, high: float = 0.045, **changes: object) -> ExternalTest:
    compared = difference((low + high) / 2, low, high, n_subjects=40, n_slices=40)
    fields: dict[str, object] = {
        "n_subjects": 40,
        "n_slices": 40,
        "left_out": 2,
        "arms": (arm("real+classic", 0.82, 0.80), arm("real+classic+synthetic", 0.84, 0.82)),
        "difference": compared,
        "mcnemar_p": 0.21,
        "delong_p": 0.03,
    }
    return ExternalTest.model_validate({**fields, **changes})


# --- single slices ---


def occlusion_case(diagnosis: str = "tumour", *, right: bool = True, **changes: object) -> OcclusionCase:
    """Half of what is coloured lies in the lesion, a tenth of the head; other diagnoses have none."""
    tumour = diagnosis == "tumour"
    lesion = {"lesion_share": 0.1, "in_lesion": 0.5, "reference_in_lesion": 0.4} if tumour and right else {}
    fields: dict[str, object] = {
        "slice_id": "file-0117",
        "diagnosis": diagnosis,
        "right": right,
        "probability": 0.91 if tumour == right else 0.12,
        "reference_probability": 0.88 if tumour == right else 0.14,
        "largest_fall": 0.31,
        "reference_largest_fall": 0.24,
        **lesion,
    }
    return OcclusionCase.model_validate({**fields, **changes})


def occlusions(*cases: OcclusionCase, **changes: object) -> Occlusions:
    """Without cases, four of each diagnosis that are called right, and two of tumour that are called wrong."""
    some = (
        *(occlusion_case(slice_id=f"file-{i:04d}") for i in range(4)),
        *(occlusion_case(right=False, slice_id=f"file-{i:04d}", lesion_share=0.05) for i in range(4, 6)),
        *(occlusion_case("no_tumour", slice_id=f"file-{i:04d}") for i in range(6, 10)),
    )
    fields: dict[str, object] = {
        "fold": 0,
        "patch_share": 0.1875,
        "n_right": {"tumour": 429, "no_tumour": 402},
        "n_wrong": {"tumour": 2, "no_tumour": 0},
        "cases": cases or some,
    }
    return Occlusions.model_validate({**fields, **changes})


def wrong_case(diagnosis: str = "tumour", **changes: object) -> WrongCase:
    fields: dict[str, object] = {
        "slice_id": "file-0453",
        "fold": 0,
        "diagnosis": diagnosis,
        "probability": 0.104 if diagnosis == "tumour" else 0.872,
        "reference_probability": 0.036 if diagnosis == "tumour" else 0.91,
        "reference_wrong": True,
    }
    return WrongCase.model_validate({**fields, **changes})


def wrong(both: int = 31, mended: int = 14, broken: int = 9, n_cases: int = 12, **changes: object) -> WrongCases:
    """A third of each count are tumours; of the cases every other one."""
    counts = {
        name: WrongCount(n_slices=n, n_subjects=min(n, 11), n_tumour=n // 3)
        for name, n in (("both", both), ("mended", mended), ("broken", broken))
    }
    cases = tuple(wrong_case("no_tumour" if i % 2 else "tumour", slice_id=f"file-{i:04d}") for i in range(n_cases))
    return WrongCases.model_validate(
        {"n_slices": 833, "n_subjects": 56, "n_trainings": 3, "cases": cases, **counts, **changes}
    )


def feature_map(diagnosis: str = "tumour", **changes: object) -> FeatureMap:
    """Training slices on a grid, held-out ones between them, synthetic ones along one side."""
    grid = [(float(x), float(y)) for x in range(-4, 5) for y in range(-4, 5)]
    fields: dict[str, object] = {
        "fold": 0,
        "diagnosis": diagnosis,
        "extractor": PRIMARY_EXTRACTOR,
        "explained": (0.36, 0.13),
        "n_training": 449,
        "n_held_out_real": 431,
        "n_synthetic": 440,
        "training": tuple(grid),
        "held_out_real": tuple((x + 0.5, y - 0.5) for x, y in grid[::3]),
        "synthetic": tuple((x + 0.25, y) for x, y in grid if x > 0),
    }
    return FeatureMap.model_validate({**fields, **changes})


def case_pictures(shown: Occlusions, cases: WrongCases) -> tuple[Picture, ...]:
    found = []
    for diagnosis in ("tumour", "no_tumour"):
        for right, kind in ((True, "looks_right"), (False, "looks_wrong")):
            n = sum((case.diagnosis, case.right) == (diagnosis, right) for case in shown.cases)
            path = f"pictures/0-{diagnosis}-{kind}.png"
            found += [Picture(kind=kind, fold=0, diagnosis=diagnosis, origin="real", path=path, n=n)] if n else []
    for i, case in enumerate(cases.cases):
        path = f"pictures/wrong-{i:02d}.png"
        found.append(Picture(kind="wrong", fold=case.fold, diagnosis=case.diagnosis, origin="real", path=path, n=1))
    return tuple(found)


# --- a whole run ---


def of_diagnosis(fold: int, diagnosis: str) -> tuple[FidelityScores, MemorisationScores, TrainingRecord]:
    of = {"fold": fold, "diagnosis": diagnosis}
    shift = 0.1 if diagnosis == "no_tumour" else 0.0
    scores = fidelity(0.53, 0.42 + shift, (0.68 - shift / 2, 0.40 + shift / 3), **of)
    curve = tuple(
        CurvePoint(
            images_seen=2000 * i,
            generator_loss=0.7 + 0.5 * (1 - 0.97**i) + 0.05 * (i % 3),
            discriminator_loss=0.69 - 0.2 * (1 - 0.97**i) + 0.02 * (i % 4),
            discriminator_accuracy=0.5 + 0.25 * (1 - 0.95**i),
        )
        for i in range(60)
    )
    record = training(
        [],
        **of,
        n_slices=440,
        n_subjects=53,
        images_seen=118_000,
        generator_parameters=1_204_113,
        discriminator_parameters=988_224,
        curve=curve,
    )
    return scores, memorisation(3, **of), record


def watched_tick(images_seen: int, attempt: int, sickness: float, verdict: str) -> CurvePoint:
    """A tick of a generator that grows as varied as real slices, less `sickness` in [0, 1]."""
    grown = (1 - 0.94 ** (images_seen / 2000)) * (1 - sickness)
    return CurvePoint.model_validate(
        {
            "images_seen": images_seen,
            "attempt": attempt,
            "generator_loss": 0.9 + 0.05 * (images_seen // 2000 % 3) + sickness,
            "discriminator_loss": 0.6 - 0.2 * sickness,
            "discriminator_accuracy": 0.6 + 0.35 * sickness,
            "verdict": verdict,
            "judged": images_seen > 10_000,
            "n": 64,
            "coverage": 0.5 * grown,
            "coverage_real": 0.46,
            "kid": 0.005 + 0.12 * (1 - grown) ** 2,
            "kid_real": 0.004,
            "diversity": 0.30 * grown,
            "diversity_real": 0.33,
        }
    )


def with_alarms(record: TrainingRecord, *, stopped: bool, best_wrong: int) -> TrainingRecord:
    """The same training watched: ill from 42,000 images, back to 34,000; ill again from 70,000, back or stopped."""
    ticks = []
    for attempt, (first, well_until, last) in enumerate([(0, 40, 48), (36, 68, 78), (64, 200, 118)]):
        if attempt < 2 or not stopped:
            for n in range(first, last + 1, 2):
                sickness = min(0.85, max(0, n - well_until) / 8)
                verdict = "healthy" if not sickness else "suspect" if n < last else "alarm"
                ticks.append(watched_tick(1000 * n, attempt, sickness, verdict))
    clumps = AlarmReason(rule="repeats", value=0.21, limit=0.4)
    fallen = AlarmReason(rule="fallen", value=0.13, limit=0.41)
    alarms = (
        Alarm(images_seen=48_000, reasons=(clumps, fallen), return_to=34_000),
        Alarm(images_seen=78_000, reasons=(fallen,), return_to=62_000),
    )
    changes = {"curve": tuple(ticks), "alarms": alarms, "watched": True, "stopped": stopped, "best_wrong": best_wrong}
    changes |= {"confirm": 3, "n_held_out": 39, "augmented": True}
    end, kept = (78_000, 68_000) if stopped else (118_000, 112_000)
    return record.model_copy(update={**changes, "images_seen": end, "kept_at": kept})


def pictures(fold: int) -> tuple[Picture, ...]:
    found = []
    for diagnosis in ("tumour", "no_tumour"):
        for kind, origin, n in (
            ("slices", "real", 24),
            ("slices", "synthetic", 24),
            ("training", "synthetic", 8),
            ("review", "real", 5),
            ("nearest_pairs", "both", 8),
        ):
            path = f"pictures/{fold}-{diagnosis}-{kind}-{origin}.png"
            found.append(Picture(kind=kind, fold=fold, diagnosis=diagnosis, origin=origin, path=path, n=n))
        path = f"pictures/{fold}-{diagnosis}-film"
        moving = Picture(
            kind="film",
            fold=fold,
            diagnosis=diagnosis,
            origin="synthetic",
            path=f"{path}.gif",
            n=4,
            still=f"{path}-end.png",
        )
        found.append(moving)
    return tuple(found)


def write_pictures(summary: RunSummary, root: Path) -> None:
    """A grey square a picture: the page does not care what a picture shows."""
    for shown in summary.pictures:
        for name in (shown.path, shown.still):
            if name:
                path = root / name
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.new("L", (36, 36), 128).save(path)


def run_data(*, folds: int, subjects_known: bool) -> DataFlow:
    classes = (
        ClassCount(
            diagnosis="no_tumour",
            subjects=101,
            slices=842,
            train_subjects=50,
            train_slices=440,
            test_subjects=51,
            test_slices=402,
        ),
        ClassCount(
            diagnosis="tumour",
            subjects=109,
            slices=880,
            train_subjects=53,
            train_slices=449,
            test_subjects=56,
            test_slices=431,
        ),
    )
    out = (
        RuleCount(outcome="quarantined", rule="not_a_head", count=1, example="bright area 3 % of the frame, want 15 %"),
        RuleCount(outcome="quarantined", rule="unreadable", count=2, example="the file ends after 312 bytes"),
        RuleCount(outcome="left_out", rule="tumour_too_small", count=61, example="37 tumour pixels, want 0 or 100"),
    )
    return data(
        subjects_known=subjects_known,
        out=out,
        review=(RuleCount(outcome="review", rule="text_suspected", count=3, example="5 letters, want 2"),),
        classes=classes,
        exact_duplicates=4,
        near_duplicate_pairs=11,
        folds_evaluated=folds,
    )


def build_summary(*, folds: int = 1, subjects_known: bool = True, **changes: object) -> RunSummary:
    """A run on 109 subjects that gained 2.1 points; `changes` replace whole fields of the summary."""
    scores = [of_diagnosis(fold, diagnosis) for fold in range(folds) for diagnosis in ("tumour", "no_tumour")]
    arms = {
        "real": (0.802, 0.846),
        "real+classic": (0.851, 0.871),
        "real+classic+duplicates": (0.846, 0.874),
        "real+classic+synthetic": (0.879, 0.885),
        "synthetic_only": (0.702, 0.655),
    }
    added = ("real+classic+duplicates", "real+classic+synthetic", "synthetic_only")
    fields: dict[str, object] = {
        "verdict": "gain",
        "difference": difference(),
        "difference_to_duplicates": difference(0.022, 0.002, 0.042, reference="real+classic+duplicates"),
        "data": run_data(folds=folds, subjects_known=subjects_known),
        "shortcuts": tuple(
            shortcut(what=what, n_slices=880, n_subjects=56, suspected=what == "file_facts", telling=("width",))
            for what in ("file_facts", "border")
        ),
        "arms": tuple(arm(name, *arms[name], n_added=889 if name in added else 0) for name in ARMS),
        "fidelity": tuple(s[0] for s in scores),
        "memorisation": tuple(s[1] for s in scores),
        "training": tuple(s[2] for s in scores),
        "pictures": tuple(p for fold in range(folds) for p in pictures(fold)),
        "warnings": ("the rarer diagnosis holds 402 test slices",),
        "provenance": Provenance(
            preset="standard",
            seed=20,
            versions={"torch": "2.13.0", "numpy": "2.4.6"},
            config={"gan": {"gamma": 1.0, "images_seen": 118000}, "source": "scans"},
            config_digest="c" * 64,
            source_digest="d" * 64,
        ),
    }
    return RunSummary.model_validate({**fields, **changes})


def full_summary(**changes: object) -> RunSummary:
    """The same run with every optional part of the evidence."""
    plain = build_summary()
    further = {
        "sensitivity_at_specificity": estimate(0.81),
        "ppv": estimate(0.44),
        "npv": estimate(0.983, 0.005),
        "brier": estimate(0.105),
        "calibration_error": estimate(0.043),
    }
    other = {"extractor": "classifier", "extractor_digest": "f0e1" * 16}
    gain = [Estimate(estimate=x, low=x - 0.02, high=x + 0.02) for x in (0.034, 0.026)]
    fields: dict[str, object] = {
        "arms": tuple(arm.model_copy(update=further) for arm in plain.arms),
        "statistics": statistics(0.03, 0.2, 0.4),
        "arm_details": tuple(arm_detail(arm.arm) for arm in plain.arms if arm.arm.startswith("real+classic")),
        "dose": dose(estimate(0.004), estimate(0.012), plain.difference, estimate(0.024)),
        "learning": learning(*gain, plain.difference),
        "controls": (permuted(), collapsed_generator()),
        "external": external(),
        "fidelity": tuple(s.model_copy(update=changed) for s in plain.fidelity for changed in ({}, other)),
        "discriminators": (discriminator(), discriminator(diagnosis="no_tumour", on="training")),
        "memorisation": tuple(traced(diagnosis=diagnosis) for diagnosis in ("tumour", "no_tumour")),
        "maps": (feature_map(), feature_map("no_tumour")),
        "occlusions": occlusions(),
        "wrong": wrong(),
        "pictures": (*plain.pictures, *case_pictures(occlusions(), wrong())),
    }
    return build_summary(**{**fields, **changes})


# --- painted slices ---


def to_copy_paste(estimate: float = 0.031, low: float = 0.009, high: float = 0.053) -> Difference:
    return difference(estimate, low, high, reference="real+classic+copy_paste")


def transfer(fold: int = 0, loss: float = 0.031, *, half: float = 0.03, **changes: object) -> TransferScores:
    """Learned from synthetic slices a classifier loses so much on real ones; the figures FACTS has of painted ones."""
    fields: dict[str, object] = {
        "fold": fold,
        "blurred_to": None,
        "n_synthetic": 880,
        "n_real": 167,
        "synthetic_inside": 0.872,
        "real_inside": 0.884,
        "synthetic_to_real": estimate(0.891 - loss, 0.04),
        "real_to_real": estimate(0.891, 0.03),
        "real_to_synthetic": 0.853,
        "loss": estimate(loss, half),
        "shortcuts": False,
    }
    return TransferScores.model_validate({**fields, **changes})


def ways(fold: int = 0, chosen: str = "mix") -> tuple[WayTried, ...]:
    reached = {"mix": 0.871, "pretrain": 0.868, "weigh": 0.859, "curriculum": 0.874, "balance": 0.846}
    return tuple(
        WayTried.model_validate(
            {"fold": fold, "way": way, "balanced_accuracy": value, "n_groups": 53, "chosen": way == chosen}
        )
        for way, value in reached.items()
    )


def lesions(fold: int = 0, source: str = "given", **changes: object) -> LesionSource:
    fields: dict[str, object] = {"fold": fold, "source": source, "n_tumour": 449, "n_usable": 441}
    return LesionSource.model_validate({**fields, **changes})


def painted_copies(diagnosis: str = "tumour", fold: int = 0, **changes: object) -> MemorisationScores:
    """Figures of the painted regions alone; all around them is a patient's."""
    fields = {"n_near_copies": 3, "contains_patient_anatomy": True, "outside_copy_share": 1.0, **changes}
    return memorisation(diagnosis=diagnosis, fold=fold, **fields)


def dreamt_copies(diagnosis: str = "tumour", fold: int = 0, *, near: int = 0, inside: int = 0) -> MemorisationScores:
    """Of slices painted on generated ones: as a whole, of what they were painted on, and of their painted regions."""
    of = {"diagnosis": diagnosis, "fold": fold}
    canvases = memorisation(near, 410, compared="canvases", **of)
    regions = memorisation(inside, compared="regions", outside_copy_share=1.0, n_kept=399 - inside, **of)
    return memorisation(0, n_kept=399 - inside, parts=(canvases, regions), **of)


def recorded(summary: RunSummary, **changes: object) -> RunSummary:
    """With another provenance."""
    return summary.model_copy(update={"provenance": summary.provenance.model_copy(update=changes)})


def painted_summary(*, folds: int = 5, **changes: object) -> RunSummary:
    """A study of painted slices that gained 4.2 points, 3.1 more than copy and paste did."""
    plain = full_summary()
    arms = {one.arm: one for one in plain.arms}
    pasted = arms["real+classic+duplicates"].model_copy(
        update={"arm": "real+classic+copy_paste", "balanced_accuracy": estimate(0.872), "sensitivity": estimate(0.864)}
    )
    order = ("real", "real+classic", "real+classic+duplicates", "pasted", "real+classic+synthetic", "synthetic_only")
    places = [(fold, diagnosis) for fold in range(folds) for diagnosis in ("tumour", "no_tumour")]
    config = {"synthesis": {"strategy": "paint"}, "painter": {"images": 24_000}}
    fields: dict[str, object] = {
        "difference": difference(0.042, 0.017, 0.067),
        "difference_to_duplicates": difference(0.044, 0.018, 0.070, reference="real+classic+duplicates"),
        "difference_to_copy_paste": to_copy_paste(),
        "copy_paste": PastedUtility(
            verdict="insufficient_evidence",
            difference=difference(0.011, -0.012, 0.034, arm="real+classic+copy_paste"),
        ),
        "arms": tuple({**arms, "pasted": pasted}[name] for name in order),
        "fidelity": tuple(of_diagnosis(*place)[0] for place in places),
        "discriminators": (),
        "memorisation": tuple(painted_copies(diagnosis, fold) for fold, diagnosis in places),
        "transfer": tuple(
            transfer(fold, 0.031 + 0.01 * (fold - 2), blurred_to=side) for fold in range(folds) for side in (None, 16)
        ),
        "ways": tuple(one for fold in range(folds) for one in ways(fold, "mix" if fold % 2 else "curriculum")),
        "lesions": tuple(lesions(fold, n_usable=441 - fold) for fold in range(folds)),
        "training": tuple(of_diagnosis(*place)[2] for place in places),
        "data": run_data(folds=folds, subjects_known=True),
        "provenance": plain.provenance.model_copy(update={"preset": "paint", "config": config}),
    }
    return full_summary(**{**fields, **changes})


def dreamt_summary(**changes: object) -> RunSummary:
    """A study of one fold whose painters painted on what a GAN of slices without a tumour drew."""
    plain = painted_summary(folds=1)
    trained = {d: of_diagnosis(0, d)[2] for d in ("no_tumour", "tumour")}
    networks = {"gan": {"network": {"family": "lean"}}, "painter": {"network": {"family": "painter"}}}
    config = {"synthesis": {"strategy": "dream_and_paint"}, **networks}
    fields: dict[str, object] = {
        "memorisation": tuple(dreamt_copies(diagnosis) for diagnosis in trained),
        "training": (
            trained["no_tumour"].model_copy(update={"maker": "generator"}),
            *(record.model_copy(update={"maker": "painter"}) for record in trained.values()),
        ),
        "provenance": plain.provenance.model_copy(update={"config": config}),
    }
    return plain.model_copy(update={**fields, **changes})
